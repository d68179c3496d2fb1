//! Disputes: a customer questions a bill. Until when it may be asked and must be answered. Pure rules over values.

use std::fmt;
use std::str::FromStr;

use chrono::{Days, NaiveDate};
use serde::{Deserialize, Serialize};

use super::policy::Disputes;

/// How a question is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The customer is right.
    Upheld,
    /// The customer is right in part.
    Partly,
    /// The bill stands.
    Declined,
}

impl Answer {
    /// Every answer.
    pub const ALL: [Self; 3] = [Self::Upheld, Self::Partly, Self::Declined];

    /// The name that tables and commands use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upheld => "upheld",
            Self::Partly => "partly",
            Self::Declined => "declined",
        }
    }

    /// What a customer reads.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Upheld => "You were right",
            Self::Partly => "You were right in part",
            Self::Declined => "The bill stands",
        }
    }

    /// Whether something of the bill must be put right.
    #[must_use]
    pub fn changes_the_bill(self) -> bool {
        self != Self::Declined
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Answer {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|answer| answer.as_str() == text);
        found.ok_or_else(|| format!("'{text}' is no answer: expected upheld, partly or declined"))
    }
}

/// Why a customer questions a bill: what a form offers, and what a clerk reads.
pub const REASONS: [(&str, &str); 6] = [
    ("usage", "I did not use so much"),
    ("read", "The meter reading is wrong"),
    ("rate", "The rate or a charge is wrong"),
    ("payment", "A payment is missing"),
    ("not-mine", "It is not for my home or my time there"),
    ("other", "Something else"),
];

/// What was asked about a bill before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asked {
    /// Whether an answer is still to come.
    pub open: bool,
    /// How often it was asked.
    pub times: usize,
    /// When the last answer was given.
    pub answered_on: Option<NaiveDate>,
}

/// Until when a question that is asked on a day must be answered.
#[must_use]
pub fn answer_by(policy: &Disputes, asked_on: NaiveDate) -> NaiveDate {
    later(asked_on, policy.answer_days)
}

/// Until when what is left of a bill can be paid without a fee after the answer.
#[must_use]
pub fn pay_by(policy: &Disputes, answered_on: NaiveDate) -> NaiveDate {
    later(answered_on, policy.pay_days)
}

/// Whether a bill may be questioned today: once within its time, and once more after the answer.
///
/// # Errors
/// Why it may not, as a sentence.
pub fn may_ask(policy: &Disputes, bill_on: NaiveDate, asked: Asked, today: NaiveDate) -> Result<(), String> {
    if asked.open {
        return Err("this bill is questioned already, and the answer is on its way".to_owned());
    }
    match (asked.times, asked.answered_on) {
        (0, _) if today <= later(bill_on, policy.open_days) => Ok(()),
        (0, _) => Err(format!("a bill can be questioned for {} days after its date", policy.open_days)),
        (1, Some(answered)) if today <= later(answered, policy.reopen_days) => Ok(()),
        (1, _) => Err(format!("a question can be asked again for {} days after its answer", policy.reopen_days)),
        _ => Err("this bill was questioned twice, and both questions were answered".to_owned()),
    }
}

fn later(day: NaiveDate, days: u32) -> NaiveDate {
    day.checked_add_days(Days::new(days.into())).unwrap_or(day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn a_bill_is_questioned_in_its_time_and_once_more() {
        let policy = Disputes { open_days: 60, answer_days: 10, reopen_days: 30, ..Disputes::default() };
        let may = |asked, on| may_ask(&policy, day("2026-06-01"), asked, day(on)).is_ok();
        let asked = |open, times, answered: Option<&str>| Asked { open, times, answered_on: answered.map(day) };
        assert!(may(Asked::default(), "2026-07-31") && !may(Asked::default(), "2026-08-01"));
        assert!(!may(asked(true, 1, None), "2026-06-02"));
        assert!(may(asked(false, 1, Some("2026-06-20")), "2026-07-20"));
        assert!(!may(asked(false, 1, Some("2026-06-20")), "2026-07-21"));
        assert!(!may(asked(false, 2, Some("2026-06-20")), "2026-06-21"));
        assert_eq!(answer_by(&policy, day("2026-06-25")), day("2026-07-05"));
    }
}
