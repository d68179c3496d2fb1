//! Section `[dunning]`: reminders of what is overdue, step by step.

use serde::Deserialize;

use super::{amount, cited, within};
use crate::domain::money::Money;

/// Reminders of what is overdue.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dunning {
    /// Which law, tariff rule or resolution this follows.
    pub citation: String,
    /// Nothing is sent while less is overdue.
    #[serde(deserialize_with = "amount::money")]
    pub smallest_overdue: Money,
    /// The steps, in their order.
    pub steps: Vec<DunningStep>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DunningStep {
    /// What it is called.
    pub name: String,
    /// Days after the due date, from 0 to 365.
    pub after_days: u32,
    /// Days that the notice leaves until the next step, from 0 to 90.
    pub notice_days: u32,
}

impl Dunning {
    pub(super) fn check(&self) -> Result<(), String> {
        cited(&self.citation)?;
        if self.steps.is_empty() || self.steps.len() > 12 {
            return Err(format!("steps: {} found; expected 1 to 12", self.steps.len()));
        }
        for step in &self.steps {
            within("steps.after_days", step.after_days, 0..=365)?;
            within("steps.notice_days", step.notice_days, 0..=90)?;
        }
        let ordered = self.steps.windows(2).all(|two| matches!(two, [a, b] if a.after_days + a.notice_days <= b.after_days));
        if ordered { Ok(()) } else { Err("steps: each must come after the one before it and its notice".to_owned()) }
    }
}
