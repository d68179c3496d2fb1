//! Section `[deposits]`: deposits and their interest.

use serde::Deserialize;

use super::{amount, cited, within};
use crate::domain::money::Money;

/// Deposits.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deposits {
    /// Which law, tariff rule or resolution this follows.
    pub citation: String,
    /// How much is asked for.
    #[serde(deserialize_with = "amount::money")]
    pub amount: Money,
    /// Interest in a year, in percent.
    #[serde(deserialize_with = "amount::decimal")]
    pub interest_percent: rust_decimal::Decimal,
    /// It goes back after so many months without a late payment, from 1 to 120.
    pub refund_after_months: u32,
}

impl Deposits {
    pub(super) fn check(&self) -> Result<(), String> {
        cited(&self.citation)?;
        within("refund_after_months", self.refund_after_months, 1..=120)
    }
}
