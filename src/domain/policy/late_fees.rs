//! Section `[late_fees]`: when a bill that is not paid costs a fee, and how much.

use rust_decimal::Decimal;
use serde::Deserialize;

use super::{amount, cited, within};
use crate::domain::money::Money;
use crate::domain::percent;

/// When a bill that is not paid costs a fee, and how much: a fixed part and a share of what is unpaid.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LateFees {
    /// Which law, tariff rule or resolution this follows.
    pub citation: String,
    /// Days after the due date on which a payment is still in time, from 0 to 90.
    pub grace_days: u32,
    /// A fixed fee for each bill.
    #[serde(deserialize_with = "amount::money")]
    pub fee: Money,
    /// A share of what is unpaid of the bill, in percent, beside the fixed fee; at most four decimals.
    #[serde(deserialize_with = "amount::decimal")]
    pub percent: Decimal,
    /// Nothing is charged while less is unpaid.
    #[serde(deserialize_with = "amount::money")]
    pub smallest_overdue: Money,
    /// No fee is larger.
    #[serde(deserialize_with = "amount::money")]
    pub largest: Money,
    /// Days from one fee of a bill to its next, from 1 to 366. Without it a bill has one fee.
    #[serde(default)]
    pub again_after_days: Option<u32>,
    /// The most fees of one bill, from 1 to 120.
    #[serde(default = "one")]
    pub most_per_bill: u32,
}

fn one() -> u32 {
    1
}

impl LateFees {
    pub(super) fn check(&self) -> Result<(), String> {
        cited(&self.citation)?;
        within("grace_days", self.grace_days, 0..=90)?;
        percent::check("percent", self.percent)?;
        if let Some(days) = self.again_after_days {
            within("again_after_days", days, 1..=366)?;
        }
        within("most_per_bill", self.most_per_bill, 1..=120)?;
        if self.most_per_bill > 1 && self.again_after_days.is_none() {
            return Err(format!("most_per_bill: {} found; expected 1, or again_after_days beside it", self.most_per_bill));
        }
        Ok(())
    }
}
