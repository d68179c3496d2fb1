//! Pricing one usage with a compiled class.
//!
//! Belongs here: evaluating parts and emitting the lines of the plan. Does not
//! belong here: the arithmetic of blocks (`tiers`), names (`compile`), cents
//! (`settle`).

use std::borrow::Cow;
use std::cell::OnceCell;

use rust_decimal::Decimal;

use super::attributes::{AttributeValue, Attributes, DAYS_IN_PERIOD};
use super::compile::{Charge, Code, CompiledClass, Dimension, Inner, Input, ItemCode, Op, Table};
use super::error::PricingError;
use super::extras_price;
use super::formula::{Expr, Operator};
use super::key;
use super::line::{ExactLine, PricingInput, Share, weighted_lines};
use super::number::{parse_number, whole, without_noise};
use super::plan::{Leaf, Plan, Rate};

impl CompiledClass {
    /// Prices one usage: the lines of the bill, exact. Their sum is the bill.
    ///
    /// # Errors
    /// When the account lacks what the tariff asks for, or the arithmetic
    /// cannot be done; nothing is guessed.
    pub fn price(&self, input: &PricingInput<'_>) -> Result<Vec<ExactLine>, PricingError> {
        let usage = usage_of_whole_period(input)?;
        let mut lines = match &self.inner.extras {
            None => charges(&self.inner, usage, input.attributes, None)?,
            Some(extras) => extras_price::lines(&self.inner, extras, usage, input.attributes)?,
        };
        if lines.is_empty() {
            lines.push(nothing(&self.inner));
        }
        if input.share.is_whole() {
            return Ok(lines);
        }
        weighted_lines(lines, input.share.days, input.share.of_days)
    }

    /// Whether a service with these attributes can be priced at all, tried with no usage, one unit and very many.
    /// The length of the period, which a bill run provides, need not be among them.
    ///
    /// # Errors
    /// As [`Self::price`]: what is missing or wrong.
    pub fn check_attributes(&self, attributes: &Attributes) -> Result<(), PricingError> {
        const VERY_MANY: Decimal = Decimal::from_parts(1_000_000, 0, 0, false, 0);
        let mut attributes = Cow::Borrowed(attributes);
        if attributes.get(DAYS_IN_PERIOD).is_none() && self.attributes().any(|name| name == DAYS_IN_PERIOD) {
            attributes.to_mut().set(DAYS_IN_PERIOD, &self.settings().proration.standard_days.to_string());
        }
        let usages: &[Decimal] = if self.settings().metered { &[Decimal::ZERO, Decimal::ONE, VERY_MANY] } else { &[Decimal::ZERO] };
        for usage in usages {
            self.price(&PricingInput::new(*usage, &attributes))?;
        }
        Ok(())
    }
}

/// The lines of the bill's own formula, for one dwelling and a whole period.
pub(crate) fn charges(
    class: &Inner,
    usage: Decimal,
    attributes: &Attributes,
    derived: Option<(&str, &AttributeValue)>,
) -> Result<Vec<ExactLine>, PricingError> {
    let pricing = Pricing::new(class, usage, attributes, derived);
    let mut lines = Vec::with_capacity(8);
    pricing.emit(&class.plan, Factor::ONE, &mut lines)?;
    Ok(lines)
}

/// The line of a bill on which nothing is charged.
fn nothing(class: &Inner) -> ExactLine {
    ExactLine {
        part: class.slots.get(class.bill).map(|slot| slot.name.clone()).unwrap_or_default(),
        label: "Nothing to charge".to_owned(),
        tier: None,
        quantity: None,
        price: None,
        amount: Decimal::ZERO,
    }
}

/// The usage a whole period would have had: `usage / share`.
fn usage_of_whole_period(input: &PricingInput<'_>) -> Result<Decimal, PricingError> {
    let Share { days, of_days } = input.share;
    if input.usage.is_sign_negative() && !input.usage.is_zero() {
        return Err(PricingError::NegativeUsage(input.usage.to_string()));
    }
    if days == 0 || of_days == 0 {
        return Err(PricingError::BadShare { days, of_days });
    }
    if input.share.is_whole() {
        return Ok(input.usage);
    }
    input
        .usage
        .checked_mul(Decimal::from(of_days))
        .and_then(|product| product.checked_div(Decimal::from(days)))
        .ok_or_else(|| PricingError::ShareTooLarge { what: "usage".to_owned(), days, of_days })
}

/// What a line is multiplied by on its way out of a product over a sum.
#[derive(Clone, Copy)]
pub(crate) struct Factor(Decimal);

impl Factor {
    const ONE: Self = Self(Decimal::ONE);
}

/// One pricing: the inputs in place, values computed once.
pub(crate) struct Pricing<'a> {
    pub class: &'a Inner,
    pub usage: Decimal,
    /// Attributes by slot, then by external.
    given: Vec<Option<&'a AttributeValue>>,
    memo: Vec<OnceCell<Decimal>>,
}

type Priced<T> = Result<T, PricingError>;

impl<'a> Pricing<'a> {
    fn new(class: &'a Inner, usage: Decimal, attributes: &'a Attributes, derived: Option<(&'a str, &'a AttributeValue)>) -> Self {
        let mut given = vec![None; class.slots.len() + class.externals.len()];
        for (name, value) in attributes.values().chain(derived) {
            if let Some(place) = class.inputs.get(name).and_then(|at| given.get_mut(*at)) {
                *place = Some(value);
            }
        }
        Self { class, usage, given, memo: vec![OnceCell::new(); class.slots.len()] }
    }

    fn given(&self, slot: usize) -> Option<&'a AttributeValue> {
        self.given.get(slot).copied().flatten()
    }

    fn external(&self, external: usize) -> Option<&'a AttributeValue> {
        self.given(self.class.slots.len() + external)
    }

    /// The value of a part.
    fn value(&self, slot: usize) -> Priced<Decimal> {
        if let Some(given) = self.given(slot) {
            return given.number.ok_or_else(|| self.not_a_number(slot, slot, given));
        }
        if let Some(known) = self.memo.get(slot).and_then(OnceCell::get) {
            return Ok(*known);
        }
        let value = match self.class.slots.get(slot) {
            Some(part) => self.code_value(&part.code, slot)?,
            None => return Err(self.unusable(slot, "not a part")),
        };
        if let Some(cell) = self.memo.get(slot) {
            cell.get_or_init(|| value);
        }
        Ok(value)
    }

    fn code_value(&self, code: &Code, slot: usize) -> Priced<Decimal> {
        match code {
            Code::Items(items) => match items.as_slice() {
                [ItemCode::Formula(op)] => self.op(op, slot),
                _ => Err(self.unusable(slot, "a list where one number is needed")),
            },
            Code::Charge(charge) => {
                let mut total = Decimal::ZERO;
                for block in self.blocks(charge, slot)? {
                    let amount = self.exact(block.quantity.checked_mul(block.price), slot)?;
                    total = self.exact(total.checked_add(amount), slot)?;
                }
                Ok(total)
            }
            Code::Choice(_) | Code::Range { .. } => self.code_value(self.chosen(code, slot)?, slot),
            Code::Unusable(reason) => Err(self.unusable(slot, reason)),
        }
    }

    /// What a map gives for this account; any other code is itself.
    fn chosen<'c>(&self, code: &'c Code, slot: usize) -> Priced<&'c Code> {
        let mut code = code;
        loop {
            let next = match code {
                Code::Choice(table) => table.codes.get(self.row(table, slot)?),
                Code::Range { dimension, starts, codes } => {
                    let value = self.input(dimension.input, slot)?;
                    // Below the first start is the first value, as the first
                    // start of tiers is ignored.
                    let above = starts.iter().filter(|start| **start <= value).count();
                    codes.get(above.saturating_sub(1))
                }
                _ => return Ok(code),
            };
            code = next.ok_or_else(|| self.unusable(slot, "a map without values"))?;
        }
    }

    /// The row of a map for this account's key.
    pub(crate) fn row(&self, table: &Table, slot: usize) -> Priced<usize> {
        let words = |folded: bool| -> Priced<Cow<'_, str>> {
            if let [dimension] = table.dimensions.as_slice() {
                return self.word(dimension, folded, slot);
            }
            let mut joined = String::new();
            for dimension in &table.dimensions {
                if !joined.is_empty() {
                    joined.push(key::SEPARATOR);
                }
                joined.push_str(&self.word(dimension, folded, slot)?);
            }
            Ok(Cow::Owned(joined))
        };
        let exact = words(false)?;
        if let Some(row) = table.exact.get(exact.as_ref()) {
            return Ok(*row);
        }
        let folded = words(true)?;
        if let Some(Some(row)) = table.folded.get(folded.as_ref()) {
            return Ok(*row);
        }
        Err(PricingError::MissingKey {
            class: self.class.class.clone(),
            part: self.name(slot),
            key: exact.replace(key::SEPARATOR, "|"),
            known: table.keys.clone(),
        })
    }

    /// One dimension of this account's key.
    fn word(&self, dimension: &Dimension, folded: bool, slot: usize) -> Priced<Cow<'a, str>> {
        let own = match dimension.input {
            Input::Slot(part) => self.given(part),
            Input::External(external) => {
                let given = self.external(external);
                Some(given.ok_or_else(|| self.undefined(external, slot))?)
            }
            Input::UsageUnless(external) => self.external(external),
            Input::Usage => None,
        };
        let named = dimension.word.as_ref();
        let given = own.or_else(|| self.external(named?.0));
        let form = |text: &str| {
            if folded { key::folded(text) } else { key::exact(text) }
        };
        Ok(match (given, named) {
            (Some(value), _) if folded => Cow::Borrowed(&value.folded),
            (Some(value), _) => Cow::Borrowed(&value.exact),
            (None, Some((_, word))) => Cow::Owned(form(word)),
            (None, None) => {
                let number = self.input(dimension.input, slot)?.normalize();
                Cow::Owned(form(&number.to_string()))
            }
        })
    }

    fn input(&self, input: Input, slot: usize) -> Priced<Decimal> {
        let attribute = |external: usize, given: &AttributeValue| {
            let at = self.class.slots.len() + external;
            given.number.ok_or_else(|| self.not_a_number(slot, at, given))
        };
        match input {
            Input::Slot(part) => self.value(part),
            Input::Usage => Ok(self.usage),
            Input::External(external) => match self.external(external) {
                Some(given) => attribute(external, given),
                None => Err(self.undefined(external, slot)),
            },
            Input::UsageUnless(external) => match self.external(external) {
                Some(given) => attribute(external, given),
                None => Ok(self.usage),
            },
        }
    }

    pub(crate) fn input_value(&self, input: Input, slot: usize) -> Priced<Decimal> {
        self.input(input, slot)
    }

    pub(crate) fn op(&self, op: &Op, slot: usize) -> Priced<Decimal> {
        match op {
            Op::Number(number) => Ok(*number),
            Op::Input(input) => self.input(*input, slot),
            Op::Negative(inner) => Ok(-self.op(inner, slot)?),
            Op::Whole(inner) => Ok(whole(self.op(inner, slot)?)),
            Op::Binary(operator, left, right) => {
                let operands = (self.op(left, slot)?, self.op(right, slot)?);
                self.binary(*operator, operands, slot)
            }
        }
    }

    /// Apart from `op` to keep the frames of its recursion small.
    fn binary(&self, operator: Operator, operands: (Decimal, Decimal), slot: usize) -> Priced<Decimal> {
        let (left, right) = operands;
        let result = match operator {
            Operator::Add => left.checked_add(right),
            Operator::Subtract => left.checked_sub(right),
            Operator::Multiply => left.checked_mul(right),
            Operator::Divide => return self.quotient(left, right, slot),
        };
        self.exact(result, slot)
    }

    fn quotient(&self, left: Decimal, right: Decimal, slot: usize) -> Priced<Decimal> {
        // 1/3*3 - 1 is nothing, though its last digits say otherwise.
        if without_noise(right).is_zero() {
            return Err(PricingError::DivisionByZero { class: self.class.class.clone(), part: self.name(slot) });
        }
        self.exact(left.checked_div(right), slot)
    }

    /// The entries of a list part, from the tariff or from the account.
    pub(crate) fn items(&self, slot: usize, charge: usize) -> Priced<Cow<'a, [ItemCode]>> {
        if let Some(given) = self.given(slot) {
            let split = |c: char| c.is_whitespace() || c == '|';
            let words = given.text.split(split).filter(|word| !word.is_empty());
            let items: Option<Vec<ItemCode>> = words.map(item_of_text).collect();
            return items.map(Cow::Owned).ok_or_else(|| self.not_a_number(charge, slot, given));
        }
        let Some(part) = self.class.slots.get(slot) else {
            return Err(self.unusable(charge, "no tiers"));
        };
        match self.chosen(&part.code, slot)? {
            Code::Items(items) => Ok(Cow::Borrowed(items)),
            Code::Unusable(reason) => Err(self.unusable(slot, reason)),
            _ => Err(self.unusable(slot, "a charge where a list of numbers is needed")),
        }
    }

    /// Emits the lines of a plan. It calls itself, so what needs room is done
    /// in functions of its own.
    fn emit(&self, plan: &Plan, factor: Factor, lines: &mut Vec<ExactLine>) -> Priced<()> {
        match plan {
            Plan::Sum(plans) => {
                for plan in plans {
                    self.emit(plan, factor, lines)?;
                }
                Ok(())
            }
            Plan::Negative(plan) => self.emit(plan, Factor(-factor.0), lines),
            Plan::Scaled { plan, by, divide } => self.emit(plan, self.scaled(factor, by, *divide)?, lines),
            Plan::Part { slot, .. } if self.given(*slot).is_some() => self.emit_value(*slot, factor, lines),
            Plan::Part { plan, .. } => self.emit(plan, factor, lines),
            Plan::Choice { slot, table, plans } => self.emit(self.chosen_plan(*slot, table, plans)?, factor, lines),
            Plan::Tiers { slot, charge } => self.emit_blocks(*slot, charge, factor, lines),
            Plan::Leaf(leaf) => self.emit_leaf(leaf, factor, lines),
        }
    }

    fn scaled(&self, factor: Factor, by: &Op, divide: bool) -> Priced<Factor> {
        let bill = self.class.bill;
        let by = self.op(by, bill)?;
        if divide {
            return self.quotient(factor.0, by, bill).map(Factor);
        }
        self.exact(factor.0.checked_mul(by), bill).map(Factor)
    }

    fn chosen_plan<'p>(&self, slot: usize, table: &Table, plans: &'p [Plan]) -> Priced<&'p Plan> {
        let plan = plans.get(self.row(table, slot)?);
        plan.ok_or_else(|| self.unusable(slot, "a map without values"))
    }

    /// A part an attribute overrides: one line.
    fn emit_value(&self, slot: usize, factor: Factor, lines: &mut Vec<ExactLine>) -> Priced<()> {
        let amount = self.value(slot)?;
        self.push(slot, None, None, (None, amount), factor, lines)
    }

    fn emit_blocks(&self, slot: usize, charge: &Charge, factor: Factor, lines: &mut Vec<ExactLine>) -> Priced<()> {
        for block in self.blocks(charge, slot)? {
            let amount = self.exact(block.quantity.checked_mul(block.price), slot)?;
            let price = (Some(block.price), amount);
            let quantity = Some(block.quantity);
            self.push(slot, Some(block.detail), quantity, price, factor, lines)?;
        }
        Ok(())
    }

    fn emit_leaf(&self, leaf: &Leaf, factor: Factor, lines: &mut Vec<ExactLine>) -> Priced<()> {
        let amount = self.op(&leaf.op, leaf.slot)?;
        let seen = |rate: &&Rate| rate.through.iter().all(|slot| self.given(*slot).is_none());
        let (quantity, price) = match leaf.rate.as_ref().filter(seen) {
            Some(rate) => (Some(self.usage), Some(self.op(&rate.price, leaf.slot)?)),
            None => (None, None),
        };
        self.push(leaf.slot, None, quantity, (price, amount), factor, lines)
    }

    /// Adds a line, unless there is nothing on it: no amount and no quantity.
    fn push(
        &self,
        slot: usize,
        tier: Option<super::line::TierDetail>,
        quantity: Option<Decimal>,
        (price, amount): (Option<Decimal>, Decimal),
        factor: Factor,
        lines: &mut Vec<ExactLine>,
    ) -> Priced<()> {
        let scaled = |value: Decimal| {
            if factor.0 == Decimal::ONE {
                return Ok(value);
            }
            self.exact(value.checked_mul(factor.0), slot)
        };
        let amount = unsigned_zero(scaled(amount)?);
        if amount.is_zero() && quantity.is_none_or(|quantity| quantity.is_zero()) {
            return Ok(());
        }
        let (part, label) = match self.class.slots.get(slot) {
            Some(slot) => (slot.name.clone(), slot.label.clone()),
            None => (String::new(), String::new()),
        };
        lines.push(ExactLine { part, label, tier, quantity, price: price.map(scaled).transpose()?.map(unsigned_zero), amount });
        Ok(())
    }
}

/// How pricing errors are made: each names the class and the part.
impl Pricing<'_> {
    fn name(&self, slot: usize) -> String {
        let part = self.class.slots.get(slot);
        part.map(|part| part.name.clone()).unwrap_or_default()
    }

    /// A result that was computed exactly enough, or the error that it was not.
    pub(crate) fn exact(&self, result: Option<Decimal>, slot: usize) -> Priced<Decimal> {
        result.ok_or_else(|| PricingError::Overflow { class: self.class.class.clone(), part: self.name(slot) })
    }

    pub(crate) fn unusable(&self, slot: usize, reason: &str) -> PricingError {
        PricingError::Unusable { class: self.class.class.clone(), part: self.name(slot), reason: reason.to_owned() }
    }

    pub(crate) fn unequal(&self, slot: usize, starts: usize, prices: usize) -> PricingError {
        PricingError::UnequalTiers { class: self.class.class.clone(), part: self.name(slot), starts, prices }
    }

    fn undefined(&self, external: usize, slot: usize) -> PricingError {
        PricingError::UndefinedName {
            class: self.class.class.clone(),
            part: self.name(slot),
            name: self.class.externals.get(external).cloned().unwrap_or_default(),
        }
    }

    /// An attribute, given at an input, that is used as a number and is none.
    fn not_a_number(&self, slot: usize, input: usize, given: &AttributeValue) -> PricingError {
        let slots = self.class.slots.len();
        let name = match input.checked_sub(slots) {
            Some(external) => self.class.externals.get(external).cloned().unwrap_or_default(),
            None => self.name(input),
        };
        PricingError::NotANumber { class: self.class.class.clone(), part: self.name(slot), name, value: given.text.clone() }
    }
}

/// Nothing taken off is nothing: `-0` would show on a bill.
fn unsigned_zero(value: Decimal) -> Decimal {
    if value.is_zero() { value.abs() } else { value }
}

/// A start or price given by an attribute, such as `0|10|100%`.
fn item_of_text(word: &str) -> Option<ItemCode> {
    if let Some(percent) = word.strip_suffix('%') {
        return parse_number(percent).map(ItemCode::Percent);
    }
    match Expr::parse(word) {
        Ok(Expr::Number(number)) => Some(ItemCode::Formula(Op::Number(number))),
        _ => None,
    }
}
