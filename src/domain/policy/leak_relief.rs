//! Section `[leak_relief]`: relief for water that a leak lost.

use serde::Deserialize;

use super::{amount, cited, within};
use crate::domain::money::Money;

/// Relief after a leak.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeakRelief {
    /// Which law, tariff rule or resolution this follows.
    pub citation: String,
    /// Which share of the use above the usual is given back, in percent.
    #[serde(deserialize_with = "amount::decimal")]
    pub percent: rust_decimal::Decimal,
    /// The most for one leak.
    #[serde(deserialize_with = "amount::money")]
    pub largest: Money,
    /// One relief in so many months, from 1 to 120.
    pub once_in_months: u32,
    /// The most billing periods of one leak, from 1 to 12.
    pub most_periods: u32,
}

impl LeakRelief {
    pub(super) fn check(&self) -> Result<(), String> {
        cited(&self.citation)?;
        within("once_in_months", self.once_in_months, 1..=120)?;
        within("most_periods", self.most_periods, 1..=12)?;
        if self.percent > rust_decimal::Decimal::ONE_HUNDRED {
            return Err(format!("percent: {} found; expected 0 to 100", self.percent));
        }
        Ok(())
    }
}
