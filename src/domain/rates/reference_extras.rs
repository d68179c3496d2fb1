//! Discounts, minimum, fees and taxes of the second evaluator.
//!
//! Belongs here: the same rules as `extras_price`, worked out another way. Does not belong here: lines, or any code of
//! the compiled engine; the two share only the settings as read.
//!
//! No line is looked at. What a discount or tax is taken of is the difference between two whole bills, one with the
//! parts it names and one in which they are nothing; a discount on a part is a bill in which the part is smaller. All
//! is worked out for one dwelling and multiplied at the end.

use std::cell::Cell;

use super::attributes::Attributes;
use super::error::PricingError;
use super::extras::{Condition, EquivalentUnits, Rule, RuleAmount, RuleKind, Test, UnitRounding};
use super::key;
use super::names::normal;
use super::number::parse_number;
use super::ratio::Ratio;
use super::reference::{Found, Walk};
use super::settings::{Rounding, Settings};
use super::tariff::Class;

/// A bill, and what of it is tax.
#[derive(Clone, Copy)]
pub(super) struct Total {
    pub sum: Ratio,
    pub tax: Ratio,
}

impl Total {
    pub fn times(self, factor: Ratio) -> Option<Self> {
        Some(Self { sum: self.sum.times(factor)?, tax: self.tax.times(factor)? })
    }
}

/// The bill of a whole period.
pub(super) fn total(class: &Class, settings: &Settings, usage: Ratio, attributes: &Attributes) -> Result<Total, PricingError> {
    let dwellings = dwellings(class, settings, attributes)?;
    let units = settings.equivalent_units.as_ref().and_then(|rule| Some((rule.attribute.as_str(), units(rule, attributes)?)));
    let mut attributes = attributes.clone();
    if let Some((name, value)) = units {
        let text = value.decimal().ok_or(PricingError::TotalTooLarge)?.normalize().to_string();
        attributes.set(name, &text);
    }
    let usage = usage.over(dwellings).ok_or(PricingError::TotalTooLarge)?;
    let bill = Bill { class, settings, usage, attributes: &attributes, derived: units, dwellings };
    bill.total()?.times(dwellings).ok_or(PricingError::TotalTooLarge)
}

fn dwellings(class: &Class, settings: &Settings, attributes: &Attributes) -> Found {
    let one = Ratio::whole(1);
    let Some(name) = &settings.dwelling_units else {
        return Ok(one);
    };
    let text = attributes.get(name);
    let count = text.and_then(parse_number).and_then(Ratio::of);
    let whole = count.filter(|count| count.rounded(Rounding::Down).map(Ratio::whole) == Some(*count) && one.is_above(*count) == Some(false));
    whole.ok_or_else(|| PricingError::BadAttribute {
        class: class.name.clone(),
        name: name.clone(),
        value: text.map(str::to_owned),
        expected: "a whole number of dwelling units, 1 or more".to_owned(),
    })
}

/// The units of an account that does not state them; nothing where they cannot be told, which fails where it is used.
fn units(rule: &EquivalentUnits, attributes: &Attributes) -> Option<Ratio> {
    if attributes.get(&rule.attribute).is_some() {
        return None;
    }
    let measure = attributes.get(&rule.of).and_then(parse_number).and_then(Ratio::of)?;
    if Ratio::ZERO.is_above(measure)? {
        return None;
    }
    let exact = measure.over(Ratio::of(rule.per)?)?;
    let rounded = match rule.round {
        UnitRounding::None => exact,
        UnitRounding::Up => Ratio::whole(exact.rounded(Rounding::Up)?),
        UnitRounding::Nearest => Ratio::whole(exact.rounded(Rounding::HalfUp)?),
    };
    rounded.or_larger(Ratio::of(rule.minimum)?)
}

/// The bill of one dwelling.
struct Bill<'a> {
    class: &'a Class,
    settings: &'a Settings,
    usage: Ratio,
    attributes: &'a Attributes,
    derived: Option<(&'a str, Ratio)>,
    dwellings: Ratio,
}

/// What the discounts so far have left.
struct Left {
    /// Of all charges together.
    charges: Ratio,
    /// Of each charge alike.
    all: Ratio,
    /// Of single parts.
    parts: Vec<(String, Ratio)>,
}

impl Bill<'_> {
    fn total(&self) -> Result<Total, PricingError> {
        let mut left = Left { charges: self.formulas(&[])?, all: Ratio::whole(1), parts: Vec::new() };
        for discount in &self.settings.discounts {
            if self.holds(discount)? {
                self.take_off(discount, &mut left)?;
            }
        }
        let mut charges = left.charges;
        if let Some(minimum) = self.settings.minimum {
            charges = exact(Ratio::of(minimum).and_then(|minimum| charges.or_larger(minimum)))?;
        }
        let mut total = Total { sum: charges, tax: Ratio::ZERO };
        let mut named: Vec<(String, Ratio)> = vec![("charges".to_owned(), charges)];
        for fee in &self.settings.fees_and_taxes {
            let amount = if self.holds(fee)? { self.fee(fee, &named, &left)? } else { Ratio::ZERO };
            total.sum = exact(total.sum.plus(amount))?;
            if fee.kind == RuleKind::Tax {
                total.tax = exact(total.tax.plus(amount))?;
            }
            named.push((normal(&fee.name), amount));
        }
        Ok(total)
    }

    /// The bill of the formulas alone, with some parts counted in part.
    fn formulas(&self, factors: &[(String, Ratio)]) -> Found {
        self.walk(factors).bill()
    }

    fn walk<'w>(&'w self, factors: &'w [(String, Ratio)]) -> Walk<'w> {
        Walk {
            class: self.class,
            rule: self.settings.tier_rule,
            usage: self.usage,
            attributes: self.attributes,
            derived: self.derived,
            factors,
            steps: Cell::new(0),
        }
    }

    /// The full names of parts that are named in any way.
    fn parts(&self, names: &[&str]) -> Vec<String> {
        let walk = self.walk(&[]);
        names.iter().filter_map(|name| walk.part(name)).map(|part| part.normal.clone()).collect()
    }

    /// What parts make of the bill: the bill with them less the bill without them.
    fn difference(&self, names: &[&str], left: &Left) -> Found {
        let mut without = left.parts.clone();
        without.extend(self.parts(names).into_iter().map(|name| (name, Ratio::ZERO)));
        let (with, without) = (self.formulas(&left.parts)?, self.formulas(&without)?);
        exact(with.minus(without).and_then(|difference| difference.times(left.all)))
    }

    fn take_off(&self, discount: &Rule, left: &mut Left) -> Result<(), PricingError> {
        let names: Vec<&str> = discount.of.iter().map(|base| base.name.as_str()).collect();
        let whole = names.contains(&"charges");
        let base = if whole { left.charges } else { self.difference(&names, left)? };
        if exact(base.is_above(Ratio::ZERO))? {
            let wanted = match discount.amount {
                RuleAmount::Percent(percent) => exact(Ratio::of(percent).and_then(|percent| percent.times(base)?.over(Ratio::whole(100))))?,
                _ => self.fixed(discount)?,
            };
            let rest = exact(base.minus(wanted).and_then(|rest| rest.or_larger(Ratio::ZERO)))?;
            left.charges = exact(base.minus(rest).and_then(|off| left.charges.minus(off)))?;
            let factor = exact(rest.over(base))?;
            if whole {
                left.all = exact(left.all.times(factor))?;
            } else {
                left.parts.extend(self.parts(&names).into_iter().map(|name| (name, factor)));
            }
        }
        Ok(())
    }

    fn fee(&self, fee: &Rule, named: &[(String, Ratio)], left: &Left) -> Found {
        let RuleAmount::Percent(percent) = fee.amount else {
            return self.fixed(fee);
        };
        let mut base = Ratio::ZERO;
        for name in fee.of.iter().map(|base| base.name.as_str()) {
            let amount = match named.iter().find(|(earlier, _)| earlier == name) {
                Some((_, amount)) => *amount,
                None => self.difference(&[name], left)?,
            };
            base = exact(base.plus(amount))?;
        }
        let base = exact(base.or_larger(Ratio::ZERO))?;
        exact(Ratio::of(percent).and_then(|percent| percent.times(base)?.over(Ratio::whole(100))))
    }

    /// A fixed amount's share of one dwelling.
    fn fixed(&self, rule: &Rule) -> Found {
        exact(match rule.amount {
            RuleAmount::Fixed(amount) | RuleAmount::Percent(amount) => Ratio::of(amount),
            RuleAmount::FixedPerBill(amount) => Ratio::of(amount).and_then(|amount| amount.over(self.dwellings)),
        })
    }

    fn holds(&self, rule: &Rule) -> Result<bool, PricingError> {
        if let Some(when) = &rule.when
            && !self.is_true(when, rule)?
        {
            return Ok(false);
        }
        match &rule.unless {
            Some(unless) => Ok(!self.is_true(unless, rule)?),
            None => Ok(true),
        }
    }

    fn is_true(&self, condition: &Condition, rule: &Rule) -> Result<bool, PricingError> {
        let Some(text) = self.attributes.get(&condition.attribute) else {
            return Ok(false);
        };
        let (at_least, below) = match &condition.test {
            Test::Is(word) => return Ok([key::exact, key::folded].iter().any(|form| form(text) == form(word))),
            Test::Between { at_least, below } => (at_least, below),
        };
        let derived = self.derived.filter(|(name, _)| *name == condition.attribute).map(|(_, value)| value);
        let number = derived.or_else(|| parse_number(text).and_then(Ratio::of)).ok_or_else(|| PricingError::NotANumber {
            class: self.class.name.clone(),
            part: rule.part.clone(),
            name: condition.attribute.clone(),
            value: text.to_owned(),
        })?;
        let reached = |limit: &rust_decimal::Decimal| exact(Ratio::of(*limit).and_then(|limit| limit.is_above(number))).map(|above| !above);
        let from = at_least.as_ref().map_or(Ok(true), reached)?;
        let beyond = below.as_ref().map_or(Ok(false), reached)?;
        Ok(from && !beyond)
    }
}

fn exact<T>(result: Option<T>) -> Result<T, PricingError> {
    result.ok_or(PricingError::TotalTooLarge)
}
