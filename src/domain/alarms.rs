//! Alarms: when something is wrong enough to tell people, and when it is over. Pure rules over figures.
//!
//! An alarm opens when its figure is above its limit. So that it does not flap, it is over only when the figure has been a
//! fifth below the limit for a while: what swings about the limit is one alarm.

use std::fmt;
use std::str::FromStr;

use chrono::{NaiveDateTime, TimeDelta};

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmKind {
    /// Ledger and provider have differed for too long.
    LedgerDelta,
    /// A burst of deliveries of what was there before.
    Duplicates,
    /// A burst of callbacks.
    Callbacks,
    /// Messages whose signature is not the provider's: our secret is wrong, or somebody tries.
    Signatures,
    /// A payment's event waits for too long.
    Unapplied,
    /// Too many events wait.
    InboxDepth,
    /// Notices fail.
    Notices,
    /// A payment's ledger is not what its events ask for.
    Recheck,
    /// A job gives no sign of life.
    Silent,
    /// A customer's question was not answered by its day.
    Disputes,
}

impl AlarmKind {
    /// Every kind, the worst first.
    pub const ALL: [Self; 10] = [
        Self::LedgerDelta,
        Self::Recheck,
        Self::Unapplied,
        Self::InboxDepth,
        Self::Signatures,
        Self::Duplicates,
        Self::Callbacks,
        Self::Silent,
        Self::Disputes,
        Self::Notices,
    ];

    /// The name that tables and metrics use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LedgerDelta => "ledger_delta",
            Self::Duplicates => "duplicates",
            Self::Callbacks => "callbacks",
            Self::Signatures => "signatures",
            Self::Unapplied => "unapplied",
            Self::InboxDepth => "inbox_depth",
            Self::Notices => "notices",
            Self::Recheck => "recheck",
            Self::Silent => "silent",
            Self::Disputes => "disputes",
        }
    }

    /// What people call it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::LedgerDelta => "Ledger and payment provider disagree",
            Self::Duplicates => "The payment provider repeats itself",
            Self::Callbacks => "A burst of messages from the payment provider",
            Self::Signatures => "Messages of the payment provider are refused",
            Self::Unapplied => "A payment waits to be applied",
            Self::InboxDepth => "Many payments wait to be applied",
            Self::Notices => "E-mails cannot be delivered",
            Self::Recheck => "A payment is not in the ledger as it should be",
            Self::Silent => "A job has stopped working",
            Self::Disputes => "A customer's question is not answered in time",
        }
    }

    /// What helps, in a sentence.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::LedgerDelta => "Look at the differences before the next bill run.",
            Self::Duplicates => "Nothing is posted twice. If it goes on, ask the provider why it sends the same messages again.",
            Self::Callbacks => "Nothing is lost: messages are stored first. Look at whether the payments are real.",
            Self::Signatures => {
                "Compare the secret of the callbacks with the one that the provider shows. What it sent is fetched by the reconciliation."
            }
            Self::Unapplied => "Accounts with such a payment are held out of bill runs. Look at why it cannot be applied.",
            Self::InboxDepth => "Look at whether the server that applies them is running and how quickly the number falls.",
            Self::Notices => "Look at which addresses refuse and whether the mail server can be reached.",
            Self::Recheck => "Look at the payment's trace and correct the account by hand if needed.",
            Self::Disputes => "Answer it: the work list shows it first. Until then no fee is charged and nobody is reminded of the bill.",
            Self::Silent => "Restart the server, and look at its log for the reason.",
        }
    }

    /// The staff's page that helps.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Notices => "/staff/notices?status=given_up",
            Self::Disputes => "/staff/todos?kind=dispute",
            _ => "/staff/watch",
        }
    }
}

impl fmt::Display for AlarmKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for AlarmKind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let names = || Self::ALL.map(Self::as_str).join(", ");
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| format!("'{text}' is not an alarm: expected one of {}", names()))
    }
}

/// A figure against its limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// What it is about.
    pub kind: AlarmKind,
    /// How high it stands.
    pub value: i64,
    /// Above it something is wrong.
    pub limit: i64,
    /// Whether it has been above the limit for long enough to tell people.
    pub long_enough: bool,
    /// In words, with figures, without personal data.
    pub detail: String,
}

/// What is done about a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    Nothing,
    /// The alarm opens, and people are told.
    Open,
    /// The alarm goes on.
    GoOn,
    /// The alarm is over.
    Close,
}

impl Reading {
    /// Whether something is wrong.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.value > self.limit
    }

    /// Whether nothing is wrong, by a margin.
    #[must_use]
    pub fn is_calm(&self) -> bool {
        self.value <= self.limit - self.limit / 5
    }

    /// What is done about it, when an alarm of its kind was last seen to hold at `open_since_seen` (none is open otherwise).
    #[must_use]
    pub fn change(&self, open_last_seen: Option<NaiveDateTime>, now: NaiveDateTime, calm: TimeDelta) -> Change {
        match open_last_seen {
            None if self.is_over() && self.long_enough => Change::Open,
            // Between the limit and the margin below it an alarm neither begins nor ends.
            Some(_) if !self.is_calm() => Change::GoOn,
            Some(seen) if now - seen >= calm => Change::Close,
            _ => Change::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(value: i64, limit: i64) -> Reading {
        Reading { kind: AlarmKind::Duplicates, value, limit, long_enough: true, detail: String::new() }
    }

    fn at(minute: u32) -> NaiveDateTime {
        chrono::NaiveDate::from_ymd_opt(2026, 6, 15).unwrap().and_hms_opt(12, minute, 0).unwrap()
    }

    #[test]
    fn an_alarm_opens_above_its_limit_and_ends_well_below_it() {
        let calm = TimeDelta::minutes(5);
        assert_eq!(reading(100, 100).change(None, at(0), calm), Change::Nothing);
        assert_eq!(reading(101, 100).change(None, at(0), calm), Change::Open);
        assert_eq!(Reading { long_enough: false, ..reading(101, 100) }.change(None, at(0), calm), Change::Nothing);
        assert_eq!(reading(500, 100).change(Some(at(0)), at(9), calm), Change::GoOn);
        assert_eq!(reading(81, 100).change(Some(at(0)), at(9), calm), Change::GoOn, "between the margin and the limit nothing is over");
        assert_eq!(reading(80, 100).change(Some(at(0)), at(4), calm), Change::Nothing, "it has to stay calm for a while");
        assert_eq!(reading(80, 100).change(Some(at(0)), at(5), calm), Change::Close);
        assert_eq!(reading(1, 0).change(None, at(0), calm), Change::Open, "a limit of nothing");
        assert_eq!(reading(0, 0).change(Some(at(0)), at(5), calm), Change::Close);
    }

    #[test]
    fn what_swings_about_the_limit_is_one_alarm() {
        let calm = TimeDelta::minutes(5);
        let (mut seen, mut opened, mut closed) = (None, 0, 0);
        for minute in 0..60 {
            let value = if minute % 3 == 0 { 120 } else { 60 };
            match reading(value, 100).change(seen, at(minute), calm) {
                Change::Open => {
                    opened += 1;
                    seen = Some(at(minute));
                }
                Change::GoOn => seen = Some(at(minute)),
                Change::Close => {
                    closed += 1;
                    seen = None;
                }
                Change::Nothing => {}
            }
        }
        assert_eq!((opened, closed), (1, 0));
    }

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        for kind in AlarmKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        assert!("fire".parse::<AlarmKind>().is_err());
    }
}
