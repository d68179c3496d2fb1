//! The lines that discounts, a minimum, fees and taxes add to a bill.
//!
//! Belongs here: their amounts, exact. Does not belong here: which lines they work on (`extras_compile`), cents
//! (`settle`).
//!
//! Everything is worked out for a whole period, exact; the share of a short period is taken of all lines alike at the
//! end. A tax is a percentage of exact amounts, never of rounded ones, and the total is rounded once.

use rust_decimal::{Decimal, RoundingStrategy};

use super::attributes::{AttributeValue, Attributes};
use super::compile::Inner;
use super::error::PricingError;
use super::extras::{EquivalentUnits, RuleAmount, UnitRounding};
use super::extras_compile::{Extras, Step, Tested};
use super::line::ExactLine;
use super::number::without_noise;
use super::price::charges;

/// The part of the line that lifts a bill to its minimum.
const MINIMUM: &str = "minimum";

type Priced<T> = Result<T, PricingError>;

/// All lines of a bill for a whole period.
pub(crate) fn lines(class: &Inner, extras: &Extras, usage: Decimal, attributes: &Attributes) -> Priced<Vec<ExactLine>> {
    let derived = match &extras.equivalent {
        Some(units) => derive(&class.class, units, attributes)?,
        None => None,
    };
    let derived = extras.equivalent.as_ref().map(|units| units.attribute.as_str()).zip(derived.as_ref());
    let dwellings = dwellings(&class.class, extras, attributes)?;
    let adding = Adding { class: &class.class, attributes, derived, dwellings };
    let mut lines = if dwellings == Decimal::ONE {
        charges(class, usage, attributes, derived)?
    } else {
        let of_one = adding.exact(usage.checked_div(dwellings), "usage")?;
        let mut lines = charges(class, of_one, attributes, derived)?;
        adding.scale(&mut lines)?;
        lines
    };
    adding.add(extras, &mut lines)?;
    Ok(lines)
}

/// The equivalent units of an account, as an attribute; `None` when the account states its own.
fn derive(class: &str, units: &EquivalentUnits, attributes: &Attributes) -> Priced<Option<AttributeValue>> {
    if attributes.value(&units.attribute).is_some() {
        return Ok(None);
    }
    let wrong = |value: Option<&str>| PricingError::BadAttribute {
        class: class.to_owned(),
        name: units.of.clone(),
        value: value.map(str::to_owned),
        expected: format!("a number of zero or more, to derive `{}` from", units.attribute),
    };
    let given = attributes.value(&units.of).ok_or_else(|| wrong(None))?;
    let measure = given.number.filter(|number| *number >= Decimal::ZERO).ok_or_else(|| wrong(Some(&given.text)))?;
    let count = measure.checked_div(units.per).ok_or_else(|| wrong(Some(&given.text)))?;
    let rounded = match units.round {
        UnitRounding::None => count,
        UnitRounding::Up => without_noise(count).ceil(),
        UnitRounding::Nearest => without_noise(count).round_dp_with_strategy(0, RoundingStrategy::MidpointAwayFromZero),
    };
    Ok(Some(AttributeValue::of_number(rounded.max(units.minimum))))
}

/// How many dwellings an account has; one where the class does not ask.
fn dwellings(class: &str, extras: &Extras, attributes: &Attributes) -> Priced<Decimal> {
    let Some(name) = &extras.dwellings else {
        return Ok(Decimal::ONE);
    };
    let given = attributes.value(name);
    let count = given.and_then(|given| given.number).filter(|count| *count >= Decimal::ONE && count.fract().is_zero());
    count.map(|count| count.normalize()).ok_or_else(|| PricingError::BadAttribute {
        class: class.to_owned(),
        name: name.clone(),
        value: given.map(|given| given.text.clone()),
        expected: "a whole number of dwelling units, 1 or more".to_owned(),
    })
}

/// One bill to which lines are added.
struct Adding<'a> {
    class: &'a str,
    attributes: &'a Attributes,
    derived: Option<(&'a str, &'a AttributeValue)>,
    dwellings: Decimal,
}

impl Adding<'_> {
    /// The lines of one dwelling, for all of them. The price stays.
    fn scale(&self, lines: &mut [ExactLine]) -> Priced<()> {
        for line in lines {
            let scaled = |value: Decimal| self.exact(value.checked_mul(self.dwellings), &line.part);
            let amount = scaled(line.amount)?;
            let quantity = line.quantity.map(scaled).transpose()?;
            let tier = match line.tier {
                Some(mut tier) => {
                    tier.from = scaled(tier.from)?;
                    tier.to = tier.to.map(scaled).transpose()?;
                    Some(tier)
                }
                None => None,
            };
            (line.amount, line.quantity, line.tier) = (amount, quantity, tier);
        }
        Ok(())
    }

    fn add(&self, extras: &Extras, lines: &mut Vec<ExactLine>) -> Priced<()> {
        // What is left of each line after the discounts on it.
        let mut left: Vec<Decimal> = lines.iter().map(|line| line.amount).collect();
        for step in &extras.discounts {
            if self.holds(step)? {
                self.discount(step, &mut left, lines)?;
            }
        }
        let mut total = self.sum(left.iter().copied(), MINIMUM)?;
        if let Some(minimum) = extras.minimum {
            let minimum = self.exact(minimum.checked_mul(self.dwellings), MINIMUM)?;
            if total < minimum {
                let lift = self.exact(minimum.checked_sub(total), MINIMUM)?;
                push(lines, MINIMUM, "Minimum charge", lift);
                total = minimum;
            }
        }
        let mut fees = Vec::with_capacity(extras.fees.len());
        for step in &extras.fees {
            let amount = if self.holds(step)? { self.fee(step, total, (lines, &left), &fees)? } else { Decimal::ZERO };
            fees.push(amount);
        }
        for (step, amount) in extras.fees.iter().zip(fees) {
            push(lines, &step.part, &step.label, amount);
        }
        Ok(())
    }

    /// Takes a discount off the lines of its base, each in proportion to what is left of it.
    fn discount(&self, step: &Step, left: &mut [Decimal], lines: &mut Vec<ExactLine>) -> Priced<()> {
        let in_base = |line: &ExactLine| step.base.charges || step.base.parts.contains(&line.part);
        let base = self.sum(lines.iter().zip(left.iter()).filter(|(line, _)| in_base(line)).map(|(_, left)| *left), &step.part)?;
        if base <= Decimal::ZERO {
            return Ok(());
        }
        let off = match step.amount {
            RuleAmount::Percent(percent) => self.percent(percent, base, &step.part)?,
            RuleAmount::Fixed(_) | RuleAmount::FixedPerBill(_) => self.fixed(step)?.min(base),
        };
        for (line, left) in lines.iter().zip(left.iter_mut()).filter(|(line, _)| in_base(line)) {
            let share = match step.amount {
                RuleAmount::Percent(percent) => self.percent(percent, *left, &line.part)?,
                _ => self.exact(off.checked_mul(*left).and_then(|product| product.checked_div(base)), &line.part)?,
            };
            *left = self.exact(left.checked_sub(share), &line.part)?;
        }
        push(lines, &step.part, &step.label, -off);
        Ok(())
    }

    /// The amount of a fee or tax; a base below zero counts as nothing.
    fn fee(&self, step: &Step, total: Decimal, (lines, left): (&[ExactLine], &[Decimal]), earlier: &[Decimal]) -> Priced<Decimal> {
        let RuleAmount::Percent(percent) = step.amount else {
            return self.fixed(step);
        };
        let all = step.base.charges.then_some(total);
        let parts = lines.iter().zip(left).filter(|(line, _)| step.base.parts.contains(&line.part)).map(|(_, left)| *left);
        let fees = step.base.fees.iter().filter_map(|at| earlier.get(*at).copied());
        let base = self.sum(all.into_iter().chain(parts).chain(fees), &step.part)?;
        self.percent(percent, base.max(Decimal::ZERO), &step.part)
    }

    fn fixed(&self, step: &Step) -> Priced<Decimal> {
        match step.amount {
            RuleAmount::Fixed(amount) => self.exact(amount.checked_mul(self.dwellings), &step.part),
            RuleAmount::FixedPerBill(amount) | RuleAmount::Percent(amount) => Ok(amount),
        }
    }

    fn percent(&self, percent: Decimal, of: Decimal, part: &str) -> Priced<Decimal> {
        self.exact(percent.checked_mul(of).and_then(|product| product.checked_div(Decimal::ONE_HUNDRED)), part)
    }

    fn sum(&self, amounts: impl Iterator<Item = Decimal>, part: &str) -> Priced<Decimal> {
        let mut sum = Decimal::ZERO;
        for amount in amounts {
            sum = self.exact(sum.checked_add(amount), part)?;
        }
        Ok(sum)
    }

    fn holds(&self, step: &Step) -> Priced<bool> {
        let when = step.when.as_ref().map_or(Ok(true), |test| self.passes(test, step))?;
        let unless = step.unless.as_ref().map_or(Ok(false), |test| self.passes(test, step))?;
        Ok(when && !unless)
    }

    /// Whether an attribute passes a test; one that is not there does not.
    fn passes(&self, tested: &Tested, step: &Step) -> Priced<bool> {
        let derived = self.derived.filter(|(name, _)| *name == tested.attribute).map(|(_, value)| value);
        let Some(given) = derived.or_else(|| self.attributes.value(&tested.attribute)) else {
            return Ok(false);
        };
        tested.test.passes(given).ok_or_else(|| PricingError::NotANumber {
            class: self.class.to_owned(),
            part: step.part.clone(),
            name: tested.attribute.clone(),
            value: given.text.clone(),
        })
    }

    fn exact(&self, result: Option<Decimal>, part: &str) -> Priced<Decimal> {
        result.ok_or_else(|| PricingError::Overflow { class: self.class.to_owned(), part: part.to_owned() })
    }
}

fn push(lines: &mut Vec<ExactLine>, part: &str, label: &str, amount: Decimal) {
    if !amount.is_zero() {
        lines.push(ExactLine { part: part.to_owned(), label: label.to_owned(), tier: None, quantity: None, price: None, amount });
    }
}
