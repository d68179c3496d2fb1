//! Lines of a bill while they are still exact, and shares of a period.
//!
//! Belongs here: what a line carries and how it is weighted by days. Does not
//! belong here: cents (`settle`).

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::attributes::Attributes;
use super::error::PricingError;

/// What is priced.
#[derive(Debug, Clone)]
pub struct PricingInput<'a> {
    /// Usage in the file's unit.
    pub usage: Decimal,
    /// What the tariff may need to know of the account.
    pub attributes: &'a Attributes,
    /// How much of a standard period is billed.
    pub share: Share,
}

impl<'a> PricingInput<'a> {
    /// A whole period.
    #[must_use]
    pub fn new(usage: Decimal, attributes: &'a Attributes) -> Self {
        Self { usage, attributes, share: Share::WHOLE }
    }
}

/// A share of a standard period. A bill for a share is `share × bill(usage /
/// share)`, which scales fixed charges and tier widths by days in one stroke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Days billed.
    pub days: u32,
    /// Days of a standard period.
    pub of_days: u32,
}

impl Share {
    /// The whole period.
    pub const WHOLE: Self = Self { days: 1, of_days: 1 };

    /// `days` of `of_days`.
    #[must_use]
    pub fn new(days: u32, of_days: u32) -> Self {
        Self { days, of_days }
    }

    /// Whether it is the whole period.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self.days == self.of_days
    }
}

/// A line before rounding. The lines of a bill add up to it exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExactLine {
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
    /// The amount, exact.
    #[serde(with = "rust_decimal::serde::str")]
    pub amount: Decimal,
}

/// A block of usage: above `from`, up to and including `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TierDetail {
    /// The block's number, from 1.
    pub number: u32,
    /// Usage below the block.
    #[serde(with = "rust_decimal::serde::str")]
    pub from: Decimal,
    /// Usage at the block's end; `None` for the last.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "rust_decimal::serde::str_option")]
    pub to: Option<Decimal>,
}

impl ExactLine {
    /// The line's part of a period of which these rates hold `days` of `of_days`.
    /// Quantity, block and amount shrink; the price stays.
    ///
    /// # Errors
    /// When the days are not a share, or a number is too large to be exact.
    pub fn weighted(mut self, days: u32, of_days: u32) -> Result<Self, PricingError> {
        if days == of_days && of_days > 0 {
            return Ok(self);
        }
        let part = self.part.clone();
        let weigh = |value: Decimal| weighted(value, days, of_days, &part);
        self.amount = weigh(self.amount)?;
        self.quantity = self.quantity.map(weigh).transpose()?;
        if let Some(tier) = &mut self.tier {
            tier.from = weigh(tier.from)?;
            tier.to = tier.to.map(weigh).transpose()?;
        }
        Ok(self)
    }
}

/// Weights every line; blend versions across a rate change by appending the
/// weighted lines of each and settling once.
///
/// # Errors
/// When the days are not a share, or a number is too large to be exact.
pub fn weighted_lines(lines: Vec<ExactLine>, days: u32, of_days: u32) -> Result<Vec<ExactLine>, PricingError> {
    lines.into_iter().map(|line| line.weighted(days, of_days)).collect()
}

/// `value × days / of_days`, multiplied first so that whole results stay whole. What division leaves in the last digits
/// is dropped once, from the sum of the lines (`settle`): dropped here, it could add up to the other side of half a cent.
fn weighted(value: Decimal, days: u32, of_days: u32, part: &str) -> Result<Decimal, PricingError> {
    if days == 0 || of_days == 0 {
        return Err(PricingError::BadShare { days, of_days });
    }
    value
        .checked_mul(Decimal::from(days))
        .and_then(|product| product.checked_div(Decimal::from(of_days)))
        .ok_or_else(|| PricingError::ShareTooLarge { what: part.to_owned(), days, of_days })
}
