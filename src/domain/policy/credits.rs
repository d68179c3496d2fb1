//! Section `[credits]`: credits that staff gives, and when a second person must agree.
//!
//! Built in, where no policy is imported: a second person above 100.00, or above 250.00 for what one person gave one account
//! within 30 days, and for a charge above 100.00; a supervisor decides; a request that nobody decides expires after 14 days.

use serde::Deserialize;

use super::{amount, cited, within};
use crate::domain::money::Money;
use crate::domain::roles::Role;

/// Credits that staff gives.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credits {
    /// Which law, tariff rule or resolution this follows.
    pub citation: String,
    /// One credit above this needs a second person.
    #[serde(deserialize_with = "amount::money")]
    pub approval_above: Money,
    /// So does what one person gave one account without another's approval in `approval_days`, when it comes above this.
    #[serde(deserialize_with = "amount::money")]
    pub approval_total_above: Money,
    /// How long credits are added up, in days, from 1 to 366.
    pub approval_days: u32,
    /// A charge above this needs a second person, too. Without it, one above `approval_above`.
    #[serde(default, deserialize_with = "amount::some_money")]
    pub charge_approval_above: Option<Money>,
    /// Who may be the second person: supervisor, administrator.
    pub approvers: Vec<Role>,
    /// A request that nobody decided expires after so many days, from 1 to 90.
    pub request_days: u32,
    /// No credit and no charge by hand is larger, whoever agrees.
    #[serde(deserialize_with = "amount::money")]
    pub largest: Money,
}

impl Default for Credits {
    fn default() -> Self {
        Self {
            citation: "Built-in careful rule: no policy is imported".to_owned(),
            approval_above: Money::from_cents(10_000),
            approval_total_above: Money::from_cents(25_000),
            approval_days: 30,
            charge_approval_above: None,
            approvers: vec![Role::Supervisor],
            request_days: 14,
            largest: Money::from_cents(10_000_000),
        }
    }
}

impl Credits {
    /// The charge above which a second person is needed.
    #[must_use]
    pub fn charge_above(&self) -> Money {
        self.charge_approval_above.unwrap_or(self.approval_above)
    }

    pub(super) fn check(&self) -> Result<(), String> {
        cited(&self.citation)?;
        within("approval_days", self.approval_days, 1..=366)?;
        within("request_days", self.request_days, 1..=90)?;
        let may = |role: &Role| matches!(role, Role::Supervisor | Role::Administrator);
        if self.approvers.is_empty() || !self.approvers.iter().all(may) {
            return Err("approvers: expected one or both of \"supervisor\" and \"administrator\"".to_owned());
        }
        if self.approval_total_above < self.approval_above {
            return Err(format!(
                "approval_total_above: {} found; expected at least approval_above, {}",
                self.approval_total_above, self.approval_above
            ));
        }
        if self.largest < self.approval_above {
            return Err(format!("largest: {} found; expected at least approval_above, {}", self.largest, self.approval_above));
        }
        Ok(())
    }
}
