//! Section `[late_fees]`: fees for paying late.

use serde::Deserialize;

use super::{amount, cited, within};
use crate::domain::money::Money;

/// Fees for paying late.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LateFees {
    /// Which law, tariff rule or resolution this follows.
    pub citation: String,
    /// A fixed fee for each bill.
    #[serde(deserialize_with = "amount::money")]
    pub fee: Money,
    /// A share of what is overdue, in percent, beside the fixed fee.
    #[serde(deserialize_with = "amount::decimal")]
    pub percent: rust_decimal::Decimal,
    /// Nothing is charged while less is overdue.
    #[serde(deserialize_with = "amount::money")]
    pub smallest_overdue: Money,
    /// No fee is larger.
    #[serde(deserialize_with = "amount::money")]
    pub largest: Money,
    /// Days after the due date before a fee is charged, from 0 to 90.
    pub grace_days: u32,
}

impl LateFees {
    pub(super) fn check(&self) -> Result<(), String> {
        cited(&self.citation)?;
        within("grace_days", self.grace_days, 0..=90)
    }
}
