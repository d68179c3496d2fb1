//! Section `[pay_plans]`: plans to pay what is owed by instalments.

use serde::Deserialize;

use super::{amount, cited, within};
use crate::domain::money::Money;

/// Plans to pay by instalments.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PayPlans {
    /// Which law, tariff rule or resolution this follows.
    pub citation: String,
    /// The most instalments, from 2 to 60.
    pub most_instalments: u32,
    /// No instalment is smaller.
    #[serde(deserialize_with = "amount::money")]
    pub smallest_instalment: Money,
    /// An instalment that is later by more days breaks the plan, from 0 to 60.
    pub grace_days: u32,
}

impl PayPlans {
    pub(super) fn check(&self) -> Result<(), String> {
        cited(&self.citation)?;
        within("most_instalments", self.most_instalments, 2..=60)?;
        within("grace_days", self.grace_days, 0..=60)
    }
}
