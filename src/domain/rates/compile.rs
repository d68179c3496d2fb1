//! From a class as read to a class that prices in a microsecond or two.
//!
//! Belongs here: resolving names to indices, hashing maps, applying the rule of
//! budget parts. Does not belong here: evaluation (`price`, `tiers`) or how the
//! bill is cut into lines (`plan`).

use std::collections::HashMap;
use std::sync::Arc;

use rust_decimal::Decimal;

use super::check;
use super::error::{Place, TariffError};
use super::extras_compile::{self, Extras};
use super::formula::{Expr, Operator};
use super::key;
use super::names::{is_metered_usage, is_usage, label};
use super::plan::{self, Plan};
use super::settings::{Settings, TierRule};
use super::tariff::{Body, ChargeKind, Class, ItemKind, Map, Part};

/// A rate class ready to price; shared freely between threads.
#[derive(Debug, Clone)]
pub struct CompiledClass {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub class: String,
    pub settings: Settings,
    /// The parts `bill` can reach.
    pub slots: Vec<Slot>,
    /// Names that are no parts: attributes of the account.
    pub externals: Vec<String>,
    /// Where an attribute of a name goes: a slot it overrides, or an external
    /// (counted on from the slots).
    pub inputs: HashMap<String, usize>,
    /// The slot of `bill`.
    pub bill: usize,
    /// How the bill is cut into lines.
    pub plan: Plan,
    /// What the settings add to those lines; nothing for most classes.
    pub extras: Option<Extras>,
}

/// A compiled part.
#[derive(Debug)]
pub(crate) struct Slot {
    pub name: String,
    pub label: String,
    pub code: Code,
}

/// What a part computes.
#[derive(Debug, Clone)]
pub(crate) enum Code {
    /// A list; a list of one is also a value.
    Items(Vec<ItemCode>),
    Charge(Charge),
    Choice(Table),
    Range {
        dimension: Dimension,
        starts: Vec<Decimal>,
        codes: Vec<Code>,
    },
    /// Reachable only by way of an attribute that overrides it.
    Unusable(String),
}

#[derive(Debug, Clone)]
pub(crate) enum ItemCode {
    Percent(Decimal),
    Formula(Op),
}

/// A block charge.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Charge {
    pub kind: ChargeKind,
    pub rule: TierRule,
    pub starts: usize,
    pub prices: usize,
    pub budget: Input,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input {
    Slot(usize),
    External(usize),
    Usage,
    /// An attribute if the account has it, else the usage.
    UsageUnless(usize),
}

/// A formula with its names resolved.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Number(Decimal),
    Input(Input),
    Negative(Box<Op>),
    Binary(Operator, Box<Op>, Box<Op>),
    /// Rounded to whole units, half even.
    Whole(Box<Op>),
}

/// A hashed `depends_on` map.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub dimensions: Vec<Dimension>,
    pub exact: HashMap<String, usize>,
    /// Looser spellings; `None` where two keys share one.
    pub folded: HashMap<String, Option<usize>>,
    pub codes: Vec<Code>,
    pub keys: Vec<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Dimension {
    pub input: Input,
    /// For a part that is one word (`water_type: POTABLE`): the attribute of
    /// that name if the account has it, else the word itself.
    pub word: Option<(usize, String)>,
}

/// Compiles a class that passed `check`.
pub(crate) fn class(class: &Class, settings: &Settings) -> Result<CompiledClass, Vec<TariffError>> {
    let parts = check::reachable(class);
    let numbered = parts.iter().enumerate();
    let mut compiler =
        Compiler { class, rule: settings.tier_rule, slot_of: numbered.map(|(slot, part)| (*part, slot)).collect(), externals: Vec::new() };
    let slots = compiler.slots(&parts);
    let bill = class.index.get("bill");
    let bill = bill.and_then(|bill| compiler.slot_of.get(bill)).copied();
    let bill = bill.ok_or_else(|| {
        let place = Place::class(class.line, &class.name);
        vec![TariffError::new(place, "no part `bill`: expected the formula of the bill")]
    })?;
    let inputs = compiler.inputs(&parts);
    let plan = plan::of(&slots, bill);
    let (name, settings) = (class.name.clone(), settings.clone());
    let mut inner = Inner { class: name, settings, slots, externals: compiler.externals, inputs, bill, plan, extras: None };
    inner.extras = extras_compile::resolve(class, &inner)?;
    Ok(CompiledClass { inner: Arc::new(inner) })
}

impl CompiledClass {
    /// The class's name.
    #[must_use]
    pub fn class(&self) -> &str {
        &self.inner.class
    }

    /// The settings that hold for the class.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// Attributes of an account the class may ask for, in normal form.
    pub fn attributes(&self) -> impl Iterator<Item = &str> {
        let added = self.inner.extras.iter().flat_map(|extras| &extras.attributes);
        self.inner.externals.iter().chain(added).map(String::as_str)
    }
}

struct Compiler<'a> {
    class: &'a Class,
    rule: TierRule,
    slot_of: HashMap<usize, usize>,
    externals: Vec<String>,
}

impl Compiler<'_> {
    fn slots(&mut self, parts: &[usize]) -> Vec<Slot> {
        let class = self.class;
        let numbered = parts.iter().filter_map(|index| Some((*index, class.part(*index)?)));
        numbered.map(|(index, part)| Slot { name: part.name.clone(), label: label(&part.name), code: self.body(index, part, &part.body) }).collect()
    }

    /// Where attributes go: a part is overridden by an attribute of its name,
    /// or of the shorter name it answers to.
    fn inputs(&self, parts: &[usize]) -> HashMap<String, usize> {
        let mut inputs = HashMap::new();
        for (index, name) in self.externals.iter().enumerate() {
            inputs.insert(name.clone(), parts.len() + index);
        }
        for (slot, part) in parts.iter().enumerate() {
            let Some(part) = self.class.part(*part) else {
                continue;
            };
            let short = part.normal.strip_suffix("_commodity");
            let free = short.filter(|short| !self.class.index.contains_key(*short));
            if let Some(short) = free {
                inputs.insert(short.to_owned(), slot);
            }
        }
        for (slot, part) in parts.iter().enumerate() {
            if let Some(part) = self.class.part(*part) {
                inputs.insert(part.normal.clone(), slot);
            }
        }
        inputs
    }

    fn body(&mut self, index: usize, part: &Part, body: &Body) -> Code {
        match body {
            Body::Formula { expr, .. } => Code::Items(vec![ItemCode::Formula(self.formula(index, part, expr))]),
            Body::List(items) => Code::Items(
                items
                    .iter()
                    .map(|item| match &item.kind {
                        ItemKind::Percent(percent) => ItemCode::Percent(*percent),
                        ItemKind::Formula(expr) => ItemCode::Formula(self.formula(index, part, expr)),
                        ItemKind::Unreadable(_) => ItemCode::Formula(Op::Number(Decimal::ZERO)),
                    })
                    .collect(),
            ),
            Body::Charge(kind) => self.charge(index, part, *kind),
            Body::Map(map) => Code::Choice(self.table(index, part, map)),
            Body::Range(range) => Code::Range {
                dimension: self.dimension(index, &range.dimension),
                starts: range.starts.clone(),
                codes: range.values.iter().map(|(_, value)| self.body(index, part, value)).collect(),
            },
            Body::Unreadable(reason) => Code::Unusable(reason.clone()),
        }
    }

    fn charge(&mut self, index: usize, part: &Part, kind: ChargeKind) -> Code {
        let tiers = self.class.tier_parts(&part.normal);
        let slot = |found: Option<usize>| found.and_then(|f| self.slot_of.get(&f)).copied();
        let (Some(starts), Some(prices)) = (slot(tiers.starts), slot(tiers.prices)) else {
            return Code::Unusable("a block charge without tiers".into());
        };
        let budget = self.input(index, &tiers.budget);
        Code::Charge(Charge { kind, rule: self.rule, starts, prices, budget })
    }

    fn table(&mut self, index: usize, part: &Part, map: &Map) -> Table {
        let mut table = Table {
            dimensions: map.dimensions.iter().map(|name| self.dimension(index, name)).collect(),
            exact: HashMap::new(),
            folded: HashMap::new(),
            codes: Vec::with_capacity(map.entries.len()),
            keys: map.entries.iter().map(|entry| entry.values.join("|")).collect(),
        };
        let joined = |values: &[String], form: fn(&str) -> String| {
            let words: Vec<String> = values.iter().map(|value| form(value)).collect();
            words.join(&key::SEPARATOR.to_string())
        };
        for (at, entry) in map.entries.iter().enumerate() {
            table.exact.insert(joined(&entry.values, key::exact), at);
            table.folded.entry(joined(&entry.values, key::folded)).and_modify(|found| *found = None).or_insert(Some(at));
            table.codes.push(match &entry.body {
                // A plain number in a map is taken as it is, even in a budget.
                Body::Formula { expr: Expr::Number(number), .. } => Code::Items(vec![ItemCode::Formula(Op::Number(*number))]),
                body => self.body(index, part, body),
            });
        }
        table
    }

    fn dimension(&mut self, index: usize, name: &str) -> Dimension {
        let found = self.class.find_from(index, name);
        let part = found.and_then(|found| self.class.part(found));
        let input = self.input(index, name);
        let body = part.map(|part| &part.body);
        let mut word = None;
        if let (Some(found), Some(Body::Formula { text, expr })) = (found, body)
            && let Expr::Name(inner) = expr
            && let Input::External(external) = self.input(found, inner)
        {
            word = Some((external, text.clone()));
        }
        Dimension { input, word }
    }

    fn input(&mut self, index: usize, name: &str) -> Input {
        let slot = self.class.find_from(index, name).and_then(|found| self.slot_of.get(&found));
        if let Some(slot) = slot {
            return Input::Slot(*slot);
        }
        if is_metered_usage(name) {
            return Input::Usage;
        }
        let known = self.externals.iter().position(|external| external == name);
        let external = known.unwrap_or_else(|| {
            self.externals.push(name.to_owned());
            self.externals.len() - 1
        });
        if is_usage(name) { Input::UsageUnless(external) } else { Input::External(external) }
    }

    /// A formula; "in a part whose name contains `budget`, each operand is
    /// rounded to whole units, half even, before it is used" (design, 5).
    fn formula(&mut self, index: usize, part: &Part, expr: &Expr) -> Op {
        if part.normal.contains("budget") { self.budget(index, expr) } else { self.op(index, expr) }
    }

    /// Operands are what `+` and `*` join, as in the reference calculator: a
    /// difference or a quotient is one operand, rounded as a whole, so that
    /// `area*(1/748)` is not `area*(1/748 rounded twice)`.
    fn budget(&mut self, index: usize, expr: &Expr) -> Op {
        match expr {
            Expr::Binary(operator @ (Operator::Add | Operator::Multiply), left, right) => {
                let left = self.budget(index, left);
                let right = self.budget(index, right);
                Op::Binary(*operator, Box::new(left), Box::new(right))
            }
            other => Op::Whole(Box::new(self.op(index, other))),
        }
    }

    fn op(&mut self, index: usize, expr: &Expr) -> Op {
        match expr {
            Expr::Number(number) => Op::Number(*number),
            Expr::Name(name) => Op::Input(self.input(index, name)),
            Expr::Negative(inner) => Op::Negative(Box::new(self.op(index, inner))),
            Expr::Binary(operator, left, right) => {
                let left = self.op(index, left);
                let right = self.op(index, right);
                Op::Binary(*operator, Box::new(left), Box::new(right))
            }
        }
    }
}
