//! A second, independent evaluator: slow, plain, and in exact fractions.
//!
//! Belongs here: the same bill by other means. A bill run recomputes a sample
//! with it and holds the run when the two differ. Does not belong here: lines,
//! speed, or any code of the compiled engine; the two share only the tariff as
//! read. Names are looked up afresh each time, nothing is remembered, and a
//! block charge is the sum of price steps over the usage beyond each boundary
//! instead of a walk through the blocks.

use std::cell::Cell;

use rust_decimal::Decimal;

use super::attributes::Attributes;
use super::error::PricingError;
use super::formula::{Expr, Operator};
use super::key;
use super::line::PricingInput;
use super::names::{is_metered_usage, is_usage};
use super::number::parse_number;
use super::ratio::Ratio;
use super::reference_extras::{self, Total};
use super::settings::{Rounding, TierRule};
use super::tariff::{Body, ChargeKind, Class, ItemKind, Map, Part, Range, Tariff};
use crate::domain::money::Money;

/// Most steps for one bill: nothing is remembered, so parts that name each
/// other twice double the work at every level.
const MAX_STEPS: u32 = 1_000_000;

/// The exact total of a bill, to 18 decimals.
///
/// # Errors
/// As [`super::CompiledClass::price`], and for a class that is not there.
pub fn bill(tariff: &Tariff, class: &str, input: &PricingInput<'_>) -> Result<Decimal, PricingError> {
    let total = total(tariff, class, input)?.sum;
    total.decimal().ok_or(PricingError::TotalTooLarge)
}

/// What of a bill is tax, exact to 18 decimals.
///
/// # Errors
/// As [`bill`].
pub fn tax(tariff: &Tariff, class: &str, input: &PricingInput<'_>) -> Result<Decimal, PricingError> {
    total(tariff, class, input)?.tax.decimal().ok_or(PricingError::TotalTooLarge)
}

/// The total of a bill in cents, rounded by the class's rule.
///
/// # Errors
/// As [`bill`].
pub fn bill_money(tariff: &Tariff, class: &str, input: &PricingInput<'_>) -> Result<Money, PricingError> {
    let cents = total(tariff, class, input)?
        .sum
        .times(Ratio::whole(100))
        .and_then(|cents| cents.rounded(tariff.settings_of(class).rounding))
        .and_then(|cents| i64::try_from(cents).ok());
    cents.map(Money::from_cents).ok_or(PricingError::TotalTooLarge)
}

fn total(tariff: &Tariff, class: &str, input: &PricingInput<'_>) -> Result<Total, PricingError> {
    let Some(found) = tariff.class(class) else {
        return Err(PricingError::Unusable { class: class.to_owned(), part: "bill".to_owned(), reason: "no such rate class".to_owned() });
    };
    if input.usage < Decimal::ZERO {
        return Err(PricingError::NegativeUsage(input.usage.to_string()));
    }
    let (days, of_days) = (input.share.days, input.share.of_days);
    if days == 0 || of_days == 0 {
        return Err(PricingError::BadShare { days, of_days });
    }
    let share = Ratio::new(days.into(), of_days.into());
    let usage = Ratio::of(input.usage).zip(share).and_then(|(usage, share)| usage.over(share));
    let (Some(share), Some(usage)) = (share, usage) else {
        return Err(PricingError::TotalTooLarge);
    };
    let whole = reference_extras::total(found, tariff.settings_of(class), usage, input.attributes)?;
    whole.times(share).ok_or(PricingError::TotalTooLarge)
}

/// One walk through the formulas of a class.
pub(super) struct Walk<'a> {
    pub class: &'a Class,
    pub rule: TierRule,
    pub usage: Ratio,
    pub attributes: &'a Attributes,
    /// An attribute that was worked out, exactly.
    pub derived: Option<(&'a str, Ratio)>,
    /// Parts that count only for a part of their value, or not at all.
    pub factors: &'a [(String, Ratio)],
    pub steps: Cell<u32>,
}

pub(super) type Found = Result<Ratio, PricingError>;

impl Walk<'_> {
    /// The bill that the formulas give.
    pub(super) fn bill(&self) -> Found {
        self.name("bill", None)
    }

    /// The part of a name, or of its longer form.
    pub(super) fn part(&self, name: &str) -> Option<&Part> {
        let named = |wanted: &str| self.class.parts.iter().find(|part| part.normal == wanted);
        named(name).or_else(|| named(&format!("{name}_commodity")))
    }

    /// The account's word for a part: by the part's name, or its shorter name.
    fn override_of(&self, part: &Part) -> Option<&str> {
        self.attributes.get(&part.normal).or_else(|| {
            let short = part.normal.strip_suffix("_commodity")?;
            let taken = self.class.parts.iter().any(|other| other.normal == short);
            if taken { None } else { self.attributes.get(short) }
        })
    }

    /// The value of a name, as used in a part.
    fn name(&self, name: &str, user: Option<&Part>) -> Found {
        self.step(user)?;
        let part = self.part(name).filter(|part| user.is_none_or(|user| user.normal != part.normal));
        if let Some(part) = part {
            let value = match self.override_of(part) {
                Some(text) => self.number(text, name, Some(part)),
                None => self.body(&part.body, part),
            };
            return self.counted(value?, part);
        }
        if is_metered_usage(name) {
            return Ok(self.usage);
        }
        match self.attributes.get(name) {
            Some(text) => self.number(text, name, user),
            None if is_usage(name) => Ok(self.usage),
            None => Err(PricingError::UndefinedName { class: self.class.name.clone(), part: part_name(user), name: name.to_owned() }),
        }
    }

    /// What of a part's value counts.
    fn counted(&self, mut value: Ratio, part: &Part) -> Found {
        for (_, factor) in self.factors.iter().filter(|(name, _)| *name == part.normal) {
            value = self.exact(value.times(*factor), part)?;
        }
        Ok(value)
    }

    fn number(&self, text: &str, name: &str, user: Option<&Part>) -> Found {
        if let Some((_, value)) = self.derived.filter(|(derived, _)| *derived == name) {
            return Ok(value);
        }
        let number = parse_number(text).and_then(Ratio::of);
        number.ok_or_else(|| PricingError::NotANumber {
            class: self.class.name.clone(),
            part: part_name(user),
            name: name.to_owned(),
            value: text.to_owned(),
        })
    }

    fn body(&self, body: &Body, part: &Part) -> Found {
        match body {
            Body::Formula { expr, .. } => self.formula(expr, part),
            Body::List(items) => match items.as_slice() {
                [item] => match &item.kind {
                    ItemKind::Formula(expr) => self.formula(expr, part),
                    _ => Err(self.unusable(part, "a list where one number is needed")),
                },
                _ => Err(self.unusable(part, "a list where one number is needed")),
            },
            Body::Charge(kind) => self.charge(*kind, part),
            Body::Map(map) => match self.entry(map, part)? {
                // A plain number in a map is taken as it is, even in a budget.
                Body::Formula { expr: Expr::Number(number), .. } => self.exact(Ratio::of(*number), part),
                chosen => self.body(chosen, part),
            },
            Body::Range(range) => self.body(self.in_range(range, part)?, part),
            Body::Unreadable(reason) => Err(self.unusable(part, reason)),
        }
    }

    /// A formula; in a budget, what `+` and `*` join is rounded first.
    fn formula(&self, expr: &Expr, part: &Part) -> Found {
        if !part.normal.contains("budget") {
            return self.expr(expr, part);
        }
        match expr {
            Expr::Binary(Operator::Add, left, right) => {
                let sum = self.formula(left, part)?.plus(self.formula(right, part)?);
                self.exact(sum, part)
            }
            Expr::Binary(Operator::Multiply, left, right) => {
                let product = self.formula(left, part)?.times(self.formula(right, part)?);
                self.exact(product, part)
            }
            operand => self.whole(self.expr(operand, part)?, part),
        }
    }

    fn expr(&self, expr: &Expr, part: &Part) -> Found {
        self.step(Some(part))?;
        let result = match expr {
            Expr::Number(number) => Ratio::of(*number),
            Expr::Name(name) => return self.name(name, Some(part)),
            Expr::Negative(inner) => self.expr(inner, part)?.negative(),
            Expr::Binary(operator, left, right) => {
                let (left, right) = (self.expr(left, part)?, self.expr(right, part)?);
                match operator {
                    Operator::Add => left.plus(right),
                    Operator::Subtract => left.minus(right),
                    Operator::Multiply => left.times(right),
                    Operator::Divide if right.is_zero() => {
                        return Err(PricingError::DivisionByZero { class: self.class.name.clone(), part: part.name.clone() });
                    }
                    Operator::Divide => left.over(right),
                }
            }
        };
        self.exact(result, part)
    }

    /// What a map says for this account: the entry spelt like the account's
    /// key, else the only one that means the same.
    fn entry<'m>(&self, map: &'m Map, part: &Part) -> Result<&'m Body, PricingError> {
        let words: Vec<String> = map.dimensions.iter().map(|name| self.word(name, part)).collect::<Result<_, _>>()?;
        let alike = |form: fn(&str) -> String| {
            let mut found = map.entries.iter().filter(|entry| {
                let pairs = entry.values.iter().zip(&words);
                pairs.into_iter().all(|(value, word)| form(value) == form(word))
            });
            (found.next(), found.next())
        };
        match (alike(key::exact), alike(key::folded)) {
            ((Some(entry), _), _) | ((None, _), (Some(entry), None)) => Ok(&entry.body),
            _ => Err(PricingError::MissingKey {
                class: self.class.name.clone(),
                part: part.name.clone(),
                key: words.join("|"),
                known: map.entries.iter().map(|entry| entry.values.join("|")).collect(),
            }),
        }
    }

    /// The account's word in one dimension of a key.
    fn word(&self, name: &str, user: &Part) -> Result<String, PricingError> {
        let part = self.part(name).filter(|part| part.normal != user.normal);
        let given = match part {
            Some(part) => self.override_of(part),
            None if is_metered_usage(name) => None,
            None => self.attributes.get(name),
        };
        if let Some(text) = given {
            return Ok(text.to_owned());
        }
        if let Some(Body::Formula { text, expr: Expr::Name(inner) }) = part.map(|part| &part.body) {
            let is_self = part.is_some_and(|part| self.part(inner).is_some_and(|p| p.normal == part.normal));
            if (self.part(inner).is_none() || is_self) && !is_usage(inner) {
                return Ok(self.attributes.get(inner).unwrap_or(text).to_owned());
            }
        }
        let number = self.name(name, Some(user))?.decimal();
        let number = number.ok_or_else(|| self.overflow(user))?;
        Ok(number.normalize().to_string())
    }

    fn in_range<'m>(&self, range: &'m Range, part: &Part) -> Result<&'m Body, PricingError> {
        let value = self.name(&range.dimension, Some(part))?;
        let mut chosen = range.values.first();
        for (start, candidate) in range.starts.iter().zip(&range.values) {
            let start = self.exact(Ratio::of(*start), part)?;
            let beyond = start.is_above(value).ok_or_else(|| self.overflow(part))?;
            if !beyond {
                chosen = Some(candidate);
            }
        }
        chosen.map(|(_, body)| body).ok_or_else(|| self.unusable(part, "a map without values"))
    }

    /// A block charge as the sum of its price steps: each step in price is paid
    /// on all usage beyond the boundary where it happens.
    fn charge(&self, kind: ChargeKind, part: &Part) -> Found {
        let tiers = self.class.tier_parts(&part.normal);
        let find = |index: Option<usize>| index.and_then(|index| self.class.part(index));
        let (Some(starts), Some(prices)) = (find(tiers.starts), find(tiers.prices)) else {
            return Err(self.unusable(part, "a block charge without tiers"));
        };
        let start_items = self.items(starts)?;
        let price_items = self.items(prices)?;
        if start_items.len() != price_items.len() {
            return Err(PricingError::UnequalTiers {
                class: self.class.name.clone(),
                part: part.name.clone(),
                starts: start_items.len(),
                prices: price_items.len(),
            });
        }
        let mut total = Ratio::ZERO;
        let mut boundary = Ratio::ZERO;
        let mut last_price = Ratio::ZERO;
        for (at, (start, price)) in start_items.iter().zip(&price_items).enumerate() {
            if at > 0 {
                let next = self.boundary(kind, start, starts, part, &tiers.budget)?;
                boundary = self.exact(boundary.or_larger(next), part)?;
            }
            let ItemKind::Formula(price) = price else {
                return Err(self.unusable(prices, "a price in percent: expected a number"));
            };
            let price = self.formula(price, prices)?;
            let beyond = self.exact(self.usage.minus(boundary), part)?;
            let beyond = self.exact(beyond.or_larger(Ratio::ZERO), part)?;
            let step = self.exact(price.minus(last_price), part)?;
            total = self.exact(step.times(beyond).and_then(|area| area.plus(total)), part)?;
            last_price = price;
        }
        Ok(total)
    }

    /// The entries of a list part for this account.
    fn items(&self, part: &Part) -> Result<Vec<ItemKind>, PricingError> {
        self.step(Some(part))?;
        if let Some(text) = self.override_of(part) {
            let words = text.split(|c: char| c.is_whitespace() || c == '|');
            let words = words.filter(|word| !word.is_empty()).map(|word| {
                let number = parse_number(word.strip_suffix('%').unwrap_or(word));
                number.map(|number| if word.ends_with('%') { ItemKind::Percent(number) } else { ItemKind::Formula(Expr::Number(number)) })
            });
            return words.collect::<Option<_>>().ok_or_else(|| PricingError::NotANumber {
                class: self.class.name.clone(),
                part: part.name.clone(),
                name: part.name.clone(),
                value: text.to_owned(),
            });
        }
        let mut body = &part.body;
        loop {
            body = match body {
                Body::List(items) => {
                    return Ok(items.iter().map(|item| item.kind.clone()).collect());
                }
                Body::Formula { expr, .. } => return Ok(vec![ItemKind::Formula(expr.clone())]),
                Body::Map(map) => self.entry(map, part)?,
                Body::Range(range) => self.in_range(range, part)?,
                Body::Charge(_) => {
                    return Err(self.unusable(part, "a charge where a list of numbers is needed"));
                }
                Body::Unreadable(reason) => return Err(self.unusable(part, reason)),
            };
        }
    }

    fn boundary(&self, kind: ChargeKind, start: &ItemKind, starts: &Part, charge: &Part, budget: &str) -> Found {
        match (kind, start) {
            (ChargeKind::Tiered, ItemKind::Formula(expr)) => {
                let start = self.formula(expr, starts)?;
                match self.rule {
                    TierRule::Boundary => Ok(start),
                    TierRule::FirstUnit => self.exact(start.minus(Ratio::whole(1)), starts),
                }
            }
            (ChargeKind::Budget, ItemKind::Formula(Expr::Number(number))) => self.exact(Ratio::of(*number), starts),
            (ChargeKind::Budget, ItemKind::Formula(expr)) => self.whole(self.formula(expr, starts)?, starts),
            (ChargeKind::Budget, ItemKind::Percent(percent)) => {
                let budget = self.name(budget, Some(charge))?;
                let hundredth = Ratio::of(*percent).and_then(|p| p.over(Ratio::whole(100)));
                let share = hundredth.and_then(|share| share.times(budget));
                self.whole(self.exact(share, starts)?, starts)
            }
            (_, ItemKind::Percent(_) | ItemKind::Unreadable(_)) => Err(self.unusable(starts, "expected a number, or `Budget` for the charge")),
        }
    }

    fn whole(&self, value: Ratio, part: &Part) -> Found {
        self.exact(value.rounded(Rounding::HalfEven).map(Ratio::whole), part)
    }

    fn exact(&self, result: Option<Ratio>, part: &Part) -> Found {
        result.ok_or_else(|| self.overflow(part))
    }

    fn overflow(&self, part: &Part) -> PricingError {
        PricingError::Overflow { class: self.class.name.clone(), part: part.name.clone() }
    }

    fn unusable(&self, part: &Part, reason: &str) -> PricingError {
        PricingError::Unusable { class: self.class.name.clone(), part: part.name.clone(), reason: reason.to_owned() }
    }

    fn step(&self, part: Option<&Part>) -> Result<(), PricingError> {
        self.steps.set(self.steps.get().saturating_add(1));
        if self.steps.get() <= MAX_STEPS {
            return Ok(());
        }
        Err(PricingError::Unusable {
            class: self.class.name.clone(),
            part: part_name(part),
            reason: format!("more than {MAX_STEPS} steps to price one bill"),
        })
    }
}

fn part_name(part: Option<&Part>) -> String {
    part.map_or_else(|| "bill".to_owned(), |part| part.name.clone())
}
