//! Section `[dunning]`: reminders of what is overdue, step by step, and the work item at their end.

use serde::Deserialize;

use super::{amount, cited, within};
use crate::domain::money::Money;

/// Reminders of what is overdue. Each step is a notice; the next one waits for its days after that notice was sent.
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
    /// Whether a clerk gets a work item about disconnection when the last notice's days are over. Nothing is ever disconnected
    /// by itself.
    #[serde(default)]
    pub disconnection: bool,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DunningStep {
    /// What it is called: `Reminder`, `Final notice`.
    pub name: String,
    /// Days after the due date before it is sent, from 0 to 365.
    pub after_days: u32,
    /// Days that must lie between the sending of its notice and whatever comes next, from 1 to 90.
    pub notice_days: u32,
}

impl Dunning {
    pub(super) fn check(&self) -> Result<(), String> {
        cited(&self.citation)?;
        if self.steps.is_empty() || self.steps.len() > 12 {
            return Err(format!("steps: {} found; expected 1 to 12", self.steps.len()));
        }
        for step in &self.steps {
            if !(1..=60).contains(&step.name.trim().chars().count()) {
                return Err(format!("steps.name: '{}' found; expected 1 to 60 letters", step.name));
            }
            within("steps.after_days", step.after_days, 0..=365)?;
            within("steps.notice_days", step.notice_days, 1..=90)?;
        }
        let ordered = self.steps.windows(2).all(|two| matches!(two, [before, after] if before.after_days <= after.after_days));
        if ordered { Ok(()) } else { Err("steps.after_days: expected no step before the one above it".to_owned()) }
    }
}
