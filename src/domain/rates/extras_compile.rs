//! Which lines of a class's bill its discounts, fees and taxes work on.
//!
//! Belongs here: resolving `of` to lines once, refusing what is not a share of the bill, and usage in a bill that has
//! none. Does not belong here: amounts (`extras_price`), reading the settings (`extras_read`).
//!
//! A part may be named when all that the bill has of it stands on lines of its own and grows in proportion to it.
//! Then the sum of those lines is also the difference that the part makes to the bill, and a discount on it is the
//! bill of a smaller part: the second evaluator works it out that way.

use std::collections::BTreeSet;

use rust_decimal::Decimal;

use super::attributes::AttributeValue;
use super::compile::{Code, Inner, Input, ItemCode, Op};
use super::error::{Place, TariffError};
use super::extras::{BaseName, CHARGES, Condition, EquivalentUnits, Rule, RuleAmount, RuleKind, Test};
use super::formula::Operator;
use super::key;
use super::names::normal;
use super::plan::{Leaf, Plan};
use super::tariff::Class;

/// What the settings of a class add to the lines of its formula.
#[derive(Debug)]
pub(crate) struct Extras {
    /// The derived attribute, where the class uses it.
    pub equivalent: Option<EquivalentUnits>,
    pub dwellings: Option<String>,
    pub minimum: Option<Decimal>,
    pub discounts: Vec<Step>,
    pub fees: Vec<Step>,
    /// Attributes these ask for that the formulas do not.
    pub attributes: Vec<String>,
}

/// A rule with everything found that can be found before there is an account.
#[derive(Debug)]
pub(crate) struct Step {
    pub part: String,
    pub label: String,
    pub amount: RuleAmount,
    pub base: Base,
    pub when: Option<Tested>,
    pub unless: Option<Tested>,
}

/// What a rule works on.
#[derive(Debug, Default)]
pub(crate) struct Base {
    /// All charges after discounts and minimum.
    pub charges: bool,
    /// Lines of these parts.
    pub parts: BTreeSet<String>,
    /// Earlier fees and taxes, by position.
    pub fees: Vec<usize>,
}

/// A condition with its word in the forms in which it is compared.
#[derive(Debug)]
pub(crate) struct Tested {
    pub attribute: String,
    pub test: CompiledTest,
}

#[derive(Debug)]
pub(crate) enum CompiledTest {
    Is { exact: String, folded: String },
    Between { at_least: Option<Decimal>, below: Option<Decimal> },
}

impl CompiledTest {
    /// Whether a value passes; `None` when it should be a number and is none.
    pub fn passes(&self, given: &AttributeValue) -> Option<bool> {
        match self {
            Self::Is { exact, folded } => Some(given.exact == *exact || given.folded == *folded),
            Self::Between { at_least, below } => {
                let number = given.number?;
                Some(at_least.is_none_or(|least| number >= least) && below.is_none_or(|below| number < below))
            }
        }
    }
}

/// Resolves the settings of a class whose bill is already cut into lines.
pub(crate) fn resolve(class: &Class, inner: &Inner) -> Result<Option<Extras>, Vec<TariffError>> {
    let settings = &inner.settings;
    let mut errors = Vec::new();
    if !settings.metered {
        errors.extend(usage_without_meter(class, inner));
    }
    let mut resolver = Resolver { class, inner, errors };
    let discounts = resolver.steps(&settings.discounts);
    let fees = resolver.steps(&settings.fees_and_taxes);
    if !resolver.errors.is_empty() {
        return Err(resolver.errors);
    }
    if !settings.has_extras() {
        return Ok(None);
    }
    let tests = || discounts.iter().chain(&fees).flat_map(|step| step.when.iter().chain(&step.unless));
    let uses = |attribute: &str| inner.inputs.contains_key(attribute) || tests().any(|test| test.attribute == attribute);
    let equivalent = settings.equivalent_units.clone().filter(|units| uses(&units.attribute));
    let mut attributes: Vec<String> = tests().map(|test| test.attribute.clone()).collect();
    attributes.extend(settings.dwelling_units.clone());
    attributes.extend(equivalent.as_ref().map(|units| units.of.clone()));
    attributes.sort_unstable();
    attributes.dedup();
    attributes.retain(|name| !inner.externals.contains(name));
    Ok(Some(Extras { equivalent, dwellings: settings.dwelling_units.clone(), minimum: settings.minimum, discounts, fees, attributes }))
}

/// The parts of a flat service's bill that use usage.
fn usage_without_meter(class: &Class, inner: &Inner) -> Vec<TariffError> {
    let uses_usage = |code: &Code| {
        let mut found = matches!(code, Code::Charge(_));
        inputs_of_code(code, &mut |input| found |= matches!(input, Input::Usage | Input::UsageUnless(_)));
        found
    };
    let parts = inner.slots.iter().filter(|slot| uses_usage(&slot.code));
    let parts = parts.filter_map(|slot| class.parts.iter().find(|part| part.name == slot.name));
    let message = "uses usage, which a flat service (`metered: false`) has not";
    parts.map(|part| TariffError::new(Place::part(part.line, &class.name, &part.name), message)).collect()
}

struct Resolver<'a> {
    class: &'a Class,
    inner: &'a Inner,
    errors: Vec<TariffError>,
}

impl Resolver<'_> {
    fn steps(&mut self, rules: &[Rule]) -> Vec<Step> {
        let numbered = rules.iter().enumerate();
        let step = |(at, rule): (usize, &Rule)| Step {
            part: rule.part.clone(),
            label: rule.name.clone(),
            amount: rule.amount,
            base: self.base(rule, rules.get(..at).unwrap_or_default()),
            when: rule.when.as_ref().map(tested),
            unless: rule.unless.as_ref().map(tested),
        };
        numbered.map(step).collect()
    }

    fn base(&mut self, rule: &Rule, earlier: &[Rule]) -> Base {
        let mut base = Base::default();
        for named in &rule.of {
            if named.name == CHARGES {
                base.charges = true;
                continue;
            }
            let fee = earlier.iter().position(|fee| rule.kind != RuleKind::Discount && normal(&fee.name) == named.name);
            match (fee, self.lines_of(&named.name)) {
                (Some(_), Ok(_)) => self.refuse(rule, named, "is both a part and a fee or tax: expected another name for the latter"),
                (Some(fee), Err(_)) => base.fees.push(fee),
                (None, Ok(parts)) if parts.is_disjoint(&base.parts) => base.parts.extend(parts),
                (None, Ok(_)) => self.refuse(rule, named, "is already part of what stands before it"),
                (None, Err(reason)) => self.refuse(rule, named, &reason),
            }
        }
        if let (true, Some(named)) = (base.charges && !base.parts.is_empty(), rule.of.first()) {
            self.refuse(rule, named, "already contains every part");
        }
        base
    }

    fn refuse(&mut self, rule: &Rule, named: &BaseName, reason: &str) {
        let message = format!("aquabills: `{}` is of `{}`, which {reason}", rule.name, named.name);
        self.errors.push(TariffError::new(Place::class(named.line, &self.class.name), message));
    }

    /// The parts whose lines are what the bill has of a part.
    fn lines_of(&self, name: &str) -> Result<BTreeSet<String>, String> {
        let part = self.class.find(name).and_then(|index| self.class.part(index));
        let slot = part.and_then(|part| self.inner.slots.iter().position(|slot| slot.name == part.name));
        let mut lines = Lines { inner: self.inner, wanted: slot.unwrap_or(usize::MAX), own: BTreeSet::new(), all: BTreeSet::new() };
        lines.gather(&self.inner.plan, false);
        if lines.own.is_empty() || slot == Some(self.inner.bill) {
            let all: Vec<&str> = lines.all.iter().filter(|slot| **slot != self.inner.bill).map(|slot| self.part_name(*slot)).collect();
            return Err(format!("has no line in this bill: expected charges, {}or a fee or tax before it", list(&all)));
        }
        let reaches = Reaches::of(self.inner, lines.wanted);
        lines.judge(&self.inner.plan, &reaches).map_err(str::to_owned)?;
        Ok(lines.own.iter().map(|slot| self.part_name(*slot).to_owned()).collect())
    }

    fn part_name(&self, slot: usize) -> &str {
        self.inner.slots.get(slot).map_or("", |slot| slot.name.as_str())
    }
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("{name}, ")).collect()
}

fn tested(condition: &Condition) -> Tested {
    let test = match &condition.test {
        Test::Is(word) => CompiledTest::Is { exact: key::exact(word), folded: key::folded(word) },
        Test::Between { at_least, below } => CompiledTest::Between { at_least: *at_least, below: *below },
    };
    Tested { attribute: condition.attribute.clone(), test }
}

/// The lines of a plan, seen from one part.
struct Lines<'a> {
    inner: &'a Inner,
    wanted: usize,
    /// The slots its lines are named after.
    own: BTreeSet<usize>,
    /// The slots any line is named after.
    all: BTreeSet<usize>,
}

impl Lines<'_> {
    fn gather(&mut self, plan: &Plan, under: bool) {
        match plan {
            Plan::Sum(plans) => {
                for plan in plans {
                    self.gather(plan, under);
                }
            }
            Plan::Negative(plan) | Plan::Scaled { plan, .. } => self.gather(plan, under),
            Plan::Part { slot, plan } => {
                let under = under || *slot == self.wanted;
                if under {
                    // An attribute that overrides the part makes it a line.
                    self.own.insert(*slot);
                }
                self.gather(plan, under);
            }
            Plan::Choice { slot, plans, .. } => {
                self.line(*slot, under);
                for plan in plans {
                    self.gather(plan, under);
                }
            }
            Plan::Tiers { slot, .. } => self.line(*slot, under),
            Plan::Leaf(leaf) => self.line(leaf.slot, under),
        }
    }

    fn line(&mut self, slot: usize, under: bool) {
        self.all.insert(slot);
        if under || slot == self.wanted {
            self.own.insert(slot);
        }
    }

    /// Whether the lines of the part, and no others, depend on it, and in proportion.
    fn judge(&self, plan: &Plan, reaches: &Reaches) -> Result<(), &'static str> {
        const FACTOR: &str = "also multiplies or divides other charges";
        const OTHER_LINE: &str = "is also used in the line of another part";
        const NOT_ALONE: &str = "shares its line with other amounts: give what is meant a part of its own";
        const SAME_NAME: &str = "is made of lines that the bill has elsewhere too";
        match plan {
            Plan::Sum(plans) => plans.iter().try_for_each(|plan| self.judge(plan, reaches)),
            Plan::Scaled { by, .. } if reaches.op(by) => Err(FACTOR),
            // All below it is of the part, in whatever way.
            Plan::Part { slot, .. } if *slot == self.wanted => Ok(()),
            Plan::Negative(plan) | Plan::Scaled { plan, .. } | Plan::Part { plan, .. } => self.judge(plan, reaches),
            Plan::Choice { table, .. } if table.dimensions.iter().any(|dimension| reaches.input(dimension.input)) => Err(OTHER_LINE),
            Plan::Choice { plans, .. } => plans.iter().try_for_each(|plan| self.judge(plan, reaches)),
            Plan::Tiers { slot, .. } | Plan::Leaf(Leaf { slot, .. }) if *slot != self.wanted && self.own.contains(slot) => Err(SAME_NAME),
            Plan::Tiers { slot, .. } => match self.inner.slots.get(*slot) {
                Some(part) if reaches.code(&part.code) => Err(OTHER_LINE),
                _ => Ok(()),
            },
            Plan::Leaf(leaf) if leaf.slot == self.wanted && proportional(&leaf.op, self.wanted, reaches) => Ok(()),
            Plan::Leaf(leaf) if leaf.slot == self.wanted => Err(NOT_ALONE),
            Plan::Leaf(leaf) if reaches.op(&leaf.op) => Err(OTHER_LINE),
            Plan::Leaf(_) => Ok(()),
        }
    }
}

/// Whether a formula doubles when the part doubles.
fn proportional(op: &Op, wanted: usize, reaches: &Reaches) -> bool {
    let is = |op: &Op| proportional(op, wanted, reaches);
    match op {
        Op::Input(Input::Slot(slot)) => *slot == wanted,
        Op::Negative(inner) => is(inner),
        Op::Binary(Operator::Add | Operator::Subtract, left, right) => is(left) && is(right),
        Op::Binary(Operator::Multiply, left, right) => (is(left) && !reaches.op(right)) || (is(right) && !reaches.op(left)),
        Op::Binary(Operator::Divide, left, right) => is(left) && !reaches.op(right),
        Op::Number(_) | Op::Input(_) | Op::Whole(_) => false,
    }
}

/// Which parts depend on one part.
struct Reaches(Vec<bool>);

impl Reaches {
    fn of(inner: &Inner, wanted: usize) -> Self {
        let mut reaches = Self((0..inner.slots.len()).map(|slot| slot == wanted).collect());
        // As often as parts name parts in a row; there are no circles.
        loop {
            let found: Vec<usize> =
                inner.slots.iter().enumerate().filter(|(at, slot)| !reaches.slot(*at) && reaches.code(&slot.code)).map(|(at, _)| at).collect();
            if found.is_empty() {
                return reaches;
            }
            for at in found {
                if let Some(slot) = reaches.0.get_mut(at) {
                    *slot = true;
                }
            }
        }
    }

    fn slot(&self, slot: usize) -> bool {
        self.0.get(slot).copied().unwrap_or(false)
    }

    fn input(&self, input: Input) -> bool {
        matches!(input, Input::Slot(slot) if self.slot(slot))
    }

    fn op(&self, op: &Op) -> bool {
        let mut found = false;
        inputs_of_op(op, &mut |input| found |= self.input(input));
        found
    }

    fn code(&self, code: &Code) -> bool {
        let mut found = false;
        inputs_of_code(code, &mut |input| found |= self.input(input));
        found
    }
}

fn inputs_of_op(op: &Op, visit: &mut dyn FnMut(Input)) {
    match op {
        Op::Number(_) => {}
        Op::Input(input) => visit(*input),
        Op::Negative(inner) | Op::Whole(inner) => inputs_of_op(inner, visit),
        Op::Binary(_, left, right) => {
            inputs_of_op(left, visit);
            inputs_of_op(right, visit);
        }
    }
}

fn inputs_of_code(code: &Code, visit: &mut dyn FnMut(Input)) {
    match code {
        Code::Items(items) => {
            for item in items {
                if let ItemCode::Formula(op) = item {
                    inputs_of_op(op, visit);
                }
            }
        }
        Code::Charge(charge) => {
            visit(Input::Slot(charge.starts));
            visit(Input::Slot(charge.prices));
            visit(charge.budget);
        }
        Code::Choice(table) => {
            for dimension in &table.dimensions {
                visit(dimension.input);
            }
            for code in &table.codes {
                inputs_of_code(code, visit);
            }
        }
        Code::Range { dimension, codes, .. } => {
            visit(dimension.input);
            for code in codes {
                inputs_of_code(code, visit);
            }
        }
        Code::Unusable(_) => {}
    }
}
