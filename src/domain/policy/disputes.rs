//! Section `[disputes]`: bills that a customer disputes.

use serde::Deserialize;

use super::{cited, within};

/// Disputes of bills.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disputes {
    /// Which law, tariff rule or resolution this follows.
    pub citation: String,
    /// A bill can be disputed for so many days after its date, from 1 to 3660.
    pub open_days: u32,
    /// The utility answers within so many days, from 1 to 365.
    pub answer_days: u32,
}

impl Disputes {
    pub(super) fn check(&self) -> Result<(), String> {
        cited(&self.citation)?;
        within("open_days", self.open_days, 1..=3660)?;
        within("answer_days", self.answer_days, 1..=365)
    }
}
