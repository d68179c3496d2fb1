//! Section `[deposits]`: the interest that deposits earn, and when they go back by themselves.

use rust_decimal::Decimal;
use serde::Deserialize;

use super::{amount, cited, within};
use crate::domain::money::Money;
use crate::domain::percent;

/// Deposits.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deposits {
    /// Which law, tariff rule or resolution this follows.
    pub citation: String,
    /// No deposit is larger.
    #[serde(deserialize_with = "amount::money")]
    pub largest: Money,
    /// Interest in a year of 365 days, in percent with at most four decimals: simple interest on what was taken.
    #[serde(deserialize_with = "amount::decimal")]
    pub interest_percent: Decimal,
    /// It goes back after so many months without a fee, a reminder or a returned payment, from 1 to 120. Without it, it stays
    /// until the final bill.
    #[serde(default)]
    pub refund_after_months: Option<u32>,
    /// Interest is credited every so many months, from 1 to 120; when a deposit is applied, in any case.
    #[serde(default = "year")]
    pub interest_every_months: u32,
}

fn year() -> u32 {
    12
}

impl Deposits {
    pub(super) fn check(&self) -> Result<(), String> {
        cited(&self.citation)?;
        percent::check("interest_percent", self.interest_percent)?;
        within("interest_every_months", self.interest_every_months, 1..=120)?;
        self.refund_after_months.map_or(Ok(()), |months| within("refund_after_months", months, 1..=120))
    }
}
