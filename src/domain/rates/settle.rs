//! From exact lines to cents: the one rounding point.
//!
//! Belongs here: rounding a total once and showing its lines in cents that add
//! up to it. Does not belong here: anything exact.

use std::cmp::Reverse;

use rust_decimal::prelude::ToPrimitive;
use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

use super::error::PricingError;
use super::extras::RuleKind;
use super::line::{ExactLine, TierDetail};
use super::number::without_noise;
use super::settings::Rounding;
use crate::domain::money::Money;

/// The charge of a segment, in cents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// The total, rounded once.
    pub total: Money,
    /// The total before rounding.
    #[serde(with = "rust_decimal::serde::str")]
    pub exact: Decimal,
    /// What of the total is tax, collected for others: the cents of the tax lines.
    #[serde(default)]
    pub tax: Money,
    /// The lines; their cents add up to the total.
    pub lines: Vec<ChargeLine>,
}

/// A line of a charge: the working kept with the amount (habit 7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChargeLine {
    /// The part of the tariff the line comes from.
    pub part: String,
    /// The part's name for people.
    pub label: String,
    /// Which block, for a block charge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<TierDetail>,
    /// How much was priced, for what is priced by usage.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "rust_decimal::serde::str_option")]
    pub quantity: Option<Decimal>,
    /// The price of one unit.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "rust_decimal::serde::str_option")]
    pub price: Option<Decimal>,
    /// The amount before rounding.
    #[serde(with = "rust_decimal::serde::str")]
    pub amount: Decimal,
    /// The amount shown, less than one cent from the exact one.
    pub amount_cents: Money,
}

/// Rounds the total of the lines once and gives each line its cents.
///
/// The cents go by largest remainder: every line is first rounded down, and the
/// cents still missing go one each to the lines that lost most, the earlier one
/// first where two lost the same.
///
/// # Errors
/// When the total is more than 64-bit cents hold.
pub fn settle(lines: Vec<ExactLine>, rounding: Rounding) -> Result<Charge, PricingError> {
    let mut exact = Decimal::ZERO;
    for line in &lines {
        exact = exact.checked_add(line.amount).ok_or(PricingError::TotalTooLarge)?;
    }
    let exact = without_noise(exact).normalize();
    let total = round(cents(exact)?, rounding).to_i64().ok_or(PricingError::TotalTooLarge)?;
    let shown = spread(&lines, total)?;
    let is_tax = |line: &ExactLine| line.part.starts_with(RuleKind::Tax.prefix());
    let tax = lines.iter().zip(&shown).filter(|(line, _)| is_tax(line)).try_fold(0_i64, |sum, (_, cents)| sum.checked_add(*cents));
    let tax = Money::from_cents(tax.ok_or(PricingError::TotalTooLarge)?);
    let lines = lines.into_iter().zip(shown).map(|(line, cents)| ChargeLine {
        part: line.part,
        label: line.label,
        tier: line.tier,
        quantity: line.quantity.map(|quantity| without_noise(quantity).normalize()),
        price: line.price,
        amount: without_noise(line.amount).normalize(),
        amount_cents: Money::from_cents(cents),
    });
    Ok(Charge { total: Money::from_cents(total), exact, tax, lines: lines.collect() })
}

/// Cents of each line, adding up to `total`.
fn spread(lines: &[ExactLine], total: i64) -> Result<Vec<i64>, PricingError> {
    let mut shown = Vec::with_capacity(lines.len());
    let mut lost = Vec::with_capacity(lines.len());
    let mut missing = total;
    for (index, line) in lines.iter().enumerate() {
        let exact = cents(without_noise(line.amount))?;
        let floor = exact.floor();
        let whole = floor.to_i64().ok_or(PricingError::TotalTooLarge)?;
        missing = missing.checked_sub(whole).ok_or(PricingError::TotalTooLarge)?;
        shown.push(whole);
        lost.push((Reverse(exact - floor), index));
    }
    lost.sort_unstable();
    let missing = usize::try_from(missing).unwrap_or(0);
    for (_, index) in lost.into_iter().take(missing) {
        if let Some(cents) = shown.get_mut(index) {
            *cents = cents.checked_add(1).ok_or(PricingError::TotalTooLarge)?;
        }
    }
    Ok(shown)
}

fn cents(amount: Decimal) -> Result<Decimal, PricingError> {
    amount.checked_mul(Decimal::ONE_HUNDRED).ok_or(PricingError::TotalTooLarge)
}

fn round(cents: Decimal, rounding: Rounding) -> Decimal {
    cents.round_dp_with_strategy(
        0,
        match rounding {
            Rounding::HalfUp => RoundingStrategy::MidpointAwayFromZero,
            Rounding::HalfEven => RoundingStrategy::MidpointNearestEven,
            Rounding::Up => RoundingStrategy::AwayFromZero,
            Rounding::Down => RoundingStrategy::ToZero,
        },
    )
}
