//! Section `[back_billing]`: how far back a mistake is put right.
//!
//! A customer who paid too much gets back what was charged too much within `credit_months` before the mistake was found; a
//! customer who paid too little is asked for at most `charge_months` of it. Built in, where no policy is imported: everything
//! that was charged too much is given back, and nothing that was charged too little is asked for later than 12 months back.

use chrono::{Months, NaiveDate};
use serde::Deserialize;

use super::{PolicyBook, cited, within};

/// How far back a mistake is put right.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackBilling {
    /// Which law, tariff rule or resolution this follows.
    pub citation: String,
    /// How many months before it was found an overcharge is given back, from 1 to 1200. Without it there is no limit.
    pub credit_months: Option<u32>,
    /// How many months before it was found an undercharge is charged, from 0 to 1200: 0 charges nothing.
    pub charge_months: u32,
}

impl Default for BackBilling {
    fn default() -> Self {
        Self { citation: "Built-in careful rule: no policy is imported".to_owned(), credit_months: None, charge_months: 12 }
    }
}

impl BackBilling {
    /// The first value date that a charge for what was billed too little may have; none when nothing is charged.
    #[must_use]
    pub fn charges_from(&self, found_on: NaiveDate) -> Option<NaiveDate> {
        (self.charge_months > 0).then(|| found_on.checked_sub_months(Months::new(self.charge_months)).unwrap_or(NaiveDate::MIN))
    }

    pub(super) fn check(&self) -> Result<(), String> {
        cited(&self.citation)?;
        within("credit_months", self.credit_months.unwrap_or(1), 1..=1200)?;
        within("charge_months", self.charge_months, 0..=1200)
    }
}

/// Which part of a period may be put right: in days, for money in proportion to the days or by the bills within it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// What was charged too much on these days is given back: first day, and the day after the last. None: nothing of it.
    pub credit: Option<(NaiveDate, NaiveDate)>,
    /// What was charged too little on these days is charged.
    pub charge: Option<(NaiveDate, NaiveDate)>,
    /// The authority of both.
    pub citation: String,
}

impl Parts {
    /// The part for a difference in cents, should − billed: negative is to be given back.
    #[must_use]
    pub fn of(&self, difference_cents: i64) -> Option<(NaiveDate, NaiveDate)> {
        if difference_cents < 0 { self.credit } else { self.charge }
    }
}

/// Which part of the days from `from` up to but not including `to` may still be put right, for a mistake that was found on
/// `found_on`, by the policy in force on that day.
#[must_use]
pub fn back_billing(book: &PolicyBook, found_on: NaiveDate, from: NaiveDate, to: NaiveDate) -> Parts {
    let rule = &book.on(found_on).back_billing;
    let since = |months: u32| found_on.checked_sub_months(Months::new(months)).unwrap_or(NaiveDate::MIN);
    let cut = |limit: NaiveDate| {
        let first = from.max(limit);
        (first < to).then_some((first, to))
    };
    Parts {
        credit: cut(rule.credit_months.map_or(NaiveDate::MIN, since)),
        charge: if rule.charge_months == 0 { None } else { cut(since(rule.charge_months)) },
        citation: rule.citation.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::policy::Policy;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn only_the_part_within_the_limits_is_put_right() {
        let mut book = PolicyBook::default();
        let found = day("2026-07-15");
        let parts = back_billing(&book, found, day("2020-01-01"), day("2026-07-01"));
        assert_eq!(parts.of(-1), Some((day("2020-01-01"), day("2026-07-01"))), "an overcharge is given back whole");
        assert_eq!(parts.of(1), Some((day("2025-07-15"), day("2026-07-01"))), "an undercharge for a year");
        let text = "title = \"T\"\neffective_on = 2026-01-01\n[back_billing]\ncitation = \"Code 12\"\ncredit_months = 36\ncharge_months = 0\n";
        book.add(Policy::parse(text).unwrap());
        let parts = back_billing(&book, found, day("2020-01-01"), day("2026-07-01"));
        assert_eq!(parts.credit, Some((day("2023-07-15"), day("2026-07-01"))));
        assert_eq!((parts.charge, parts.citation.as_str()), (None, "Code 12"));
        assert_eq!(back_billing(&book, found, day("2020-01-01"), day("2023-07-15")).credit, None, "it ended before the limit");
        assert_eq!(back_billing(&book, day("2025-12-31"), day("2020-01-01"), day("2023-07-15")).credit, Some((day("2020-01-01"), day("2023-07-15"))));
    }
}
