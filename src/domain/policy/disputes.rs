//! Section `[disputes]`: how long the utility may take to answer a customer's question about a bill, and how long one may ask.
//!
//! Built in, where the policy has no such section: every bill of the last year can be questioned, is answered within ten days,
//! can be questioned once more within thirty, and what is left of it can be paid without a fee for fourteen.

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
    /// The customer may ask once more within so many days of the answer, from 0 to 365.
    #[serde(default = "month")]
    pub reopen_days: u32,
    /// After the answer what is left of the bill can be paid without a fee for so many days, from 0 to 90.
    #[serde(default = "fortnight")]
    pub pay_days: u32,
}

fn month() -> u32 {
    30
}

fn fortnight() -> u32 {
    14
}

impl Default for Disputes {
    fn default() -> Self {
        let citation = "Built-in careful rule: the policy does not speak of disputes".to_owned();
        Self { citation, open_days: 366, answer_days: 10, reopen_days: month(), pay_days: fortnight() }
    }
}

impl Disputes {
    pub(super) fn check(&self) -> Result<(), String> {
        cited(&self.citation)?;
        within("open_days", self.open_days, 1..=3660)?;
        within("answer_days", self.answer_days, 1..=365)?;
        within("reopen_days", self.reopen_days, 0..=365)?;
        within("pay_days", self.pay_days, 0..=90)
    }
}
