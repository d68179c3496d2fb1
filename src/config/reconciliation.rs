//! Ledger, providers and bank beside each other: how often, how far back, and how long something may be under way.

use serde::Deserialize;

/// Ledger, providers and bank beside each other.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReconciliationSettings {
    /// Minutes between two looks of the server; 0 means that it does not look by itself.
    pub every_minutes: u32,
    /// A look goes so many days back from today.
    pub days: u32,
    /// What moved within so many minutes is not judged yet: the other side may not have it.
    pub grace_minutes: u32,
    /// An event that waits for longer, in minutes, is a difference.
    pub event_minutes: u32,
    /// A payout is at the bank so many business days (Monday to Friday) after the provider's day.
    pub payout_days: u32,
    /// A refund has the provider's reference after so many days.
    pub refund_days: u32,
    /// A bank's movement is decided within so many days.
    pub bank_days: u32,
    /// Whether the server fetches by itself the events that never arrived.
    pub backfill: bool,
}

impl Default for ReconciliationSettings {
    fn default() -> Self {
        Self { every_minutes: 5, days: 7, grace_minutes: 30, event_minutes: 10, payout_days: 3, refund_days: 5, bank_days: 3, backfill: true }
    }
}

impl ReconciliationSettings {
    /// The first setting that does not fit, with what was expected.
    pub(super) fn fault(&self) -> Option<String> {
        let week = 7 * 24 * 60;
        let bounds = [
            ("every_minutes", self.every_minutes, 0, 24 * 60),
            ("days", self.days, 1, 60),
            ("grace_minutes", self.grace_minutes, 0, week),
            ("event_minutes", self.event_minutes, 0, week),
            ("payout_days", self.payout_days, 0, 30),
            ("refund_days", self.refund_days, 0, 60),
            ("bank_days", self.bank_days, 0, 60),
        ];
        let fault = bounds.iter().find(|(_, value, least, most)| !(*least..=*most).contains(value));
        fault.map(|(name, _, least, most)| format!("reconciliation.{name}: expected {least} to {most}"))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn what_is_out_of_range_is_named() {
        assert!(Config::parse("[reconciliation]\nevery_minutes = 0\nbackfill = false").is_ok());
        for (setting, named) in [
            ("every_minutes = 1441", "every_minutes"),
            ("days = 0", "days"),
            ("grace_minutes = 10081", "grace_minutes"),
            ("refund_days = 61", "refund_days"),
        ] {
            let fault = Config::parse(&format!("[reconciliation]\n{setting}")).err().unwrap_or_default();
            assert!(fault.contains(&format!("reconciliation.{named}: expected")), "{fault}");
        }
        assert!(Config::parse("[reconciliation]\nminutes = 1").is_err_and(|error| error.contains("minutes")));
    }
}
