//! Section `[leak_relief]`: relief for water that a leak lost.

use serde::Deserialize;

use super::{amount, cited, within};
use crate::domain::money::Money;

/// Relief after a leak: each bill is priced anew with a share of the excess use taken off.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeakRelief {
    /// Which law, tariff rule or resolution this follows.
    pub citation: String,
    /// What the use is held against.
    #[serde(default)]
    pub compare: Compare,
    /// Which share of the use above the usual is taken off, in whole percent from 1 to 100.
    pub percent: u32,
    /// So much above the usual, in percent of it, is a leak; from 0 to 10000.
    pub at_least_above: u32,
    /// The most for one leak.
    #[serde(deserialize_with = "amount::money")]
    pub largest: Money,
    /// One relief in so many months, from 1 to 120.
    pub once_in_months: u32,
    /// The most bills of one leak, from 1 to 12.
    pub most_bills: u32,
}

/// What the use of a leak is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compare {
    /// The same season a year before; where there is none, the own average.
    #[default]
    SeasonThenOwn,
    /// The same season a year before.
    Season,
    /// The own average of the periods before.
    Own,
}

impl LeakRelief {
    pub(super) fn check(&self) -> Result<(), String> {
        cited(&self.citation)?;
        within("percent", self.percent, 1..=100)?;
        within("at_least_above", self.at_least_above, 0..=10_000)?;
        within("once_in_months", self.once_in_months, 1..=120)?;
        within("most_bills", self.most_bills, 1..=12)
    }
}
