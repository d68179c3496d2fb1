//! Leak relief: what a service usually uses, and how much of a bill's use is left when a share of the excess is taken off. The
//! money follows from pricing the bill anew ([`super::billing::charge_reduced`]). Pure rules over values.

use chrono::{Days, Months, NaiveDate};
use serde::Serialize;

use super::money::Money;
use super::policy::{Compare, LeakRelief};

/// How many earlier periods the own average looks at.
const RECENT: usize = 6;
/// How far the days of a period may lie from those a year later and still be of the same season.
const SEASON_DAYS: u64 = 45;

/// A period as it was billed, by real reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// Its first day.
    pub start_on: NaiveDate,
    /// The day after its last.
    pub end_on: NaiveDate,
    /// What was used, in thousandths of the tariff's unit.
    pub usage_milli: i64,
}

impl Period {
    fn days(&self) -> i64 {
        (self.end_on - self.start_on).num_days()
    }
}

/// What a usual use was taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The same season a year before.
    Season,
    /// The own average of the periods before.
    Own,
}

impl Basis {
    /// The name that tables use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Season => "season",
            Self::Own => "own",
        }
    }

    /// What people read.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Season => "the same season a year before",
            Self::Own => "the own average before",
        }
    }
}

/// What a service would usually have used in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Usual {
    /// How much, in thousandths.
    pub milli: i64,
    /// What it was taken from.
    pub basis: Basis,
}

/// What a service would usually have used in the days of a leak, by the periods that were billed before it (in any order).
#[must_use]
pub fn usual(compare: Compare, before: &[Period], leak: &Period) -> Option<Usual> {
    let mut earlier: Vec<Period> = before.iter().filter(|period| period.end_on <= leak.start_on && period.days() > 0).copied().collect();
    earlier.sort_by_key(|period| period.start_on);
    let season = || of(&season(&earlier, leak), leak, Basis::Season);
    let own = || of(earlier.get(earlier.len().saturating_sub(RECENT)..).unwrap_or_default(), leak, Basis::Own);
    match compare {
        Compare::SeasonThenOwn => season().or_else(own),
        Compare::Season => season(),
        Compare::Own => own(),
    }
}

/// The periods whose first and last day are near those of the leak, a year before.
fn season(earlier: &[Period], leak: &Period) -> Vec<Period> {
    let year_before = |day: NaiveDate| day.checked_sub_months(Months::new(12)).unwrap_or(day);
    let (start, end) = (year_before(leak.start_on), year_before(leak.end_on));
    let near = |day: NaiveDate, other: NaiveDate| day.signed_duration_since(other).num_days().unsigned_abs() <= SEASON_DAYS;
    let overlaps = |period: &Period| period.start_on < end && start < period.end_on;
    earlier.iter().filter(|period| overlaps(period) && (near(period.start_on, start) || near(period.end_on, end))).copied().collect()
}

/// The use of some periods over as many days as the leak's, half up.
fn of(periods: &[Period], leak: &Period, basis: Basis) -> Option<Usual> {
    let days: i64 = periods.iter().map(Period::days).sum();
    let used: i128 = periods.iter().map(|period| i128::from(period.usage_milli)).sum();
    if days <= 0 {
        return None;
    }
    let milli = (2 * used * i128::from(leak.days()) + i128::from(days)) / (2 * i128::from(days));
    i64::try_from(milli).ok().map(|milli| Usual { milli, basis })
}

/// The use that is left when the policy's share of the excess is taken off; none when it is not above the usual by enough. What
/// is left is never below the usual use nor above what was billed.
#[must_use]
pub fn reduced(policy: &LeakRelief, usage_milli: i64, usual_milli: i64) -> Option<i64> {
    let excess = usage_milli.checked_sub(usual_milli)?;
    let enough = i128::from(excess) * 100 >= i128::from(usual_milli) * i128::from(policy.at_least_above);
    if excess <= 0 || !enough {
        return None;
    }
    let off = i128::from(excess) * i128::from(policy.percent.min(100)) / 100;
    i64::try_from(i128::from(usage_milli) - off).ok()
}

/// The credit of a bill that was priced anew: never below nothing, never more than was charged, never more than is left of the
/// most.
#[must_use]
pub fn credit(was: Money, is: Money, left: Money) -> Money {
    let difference = was.checked_sub(is).unwrap_or_default();
    difference.min(was).min(left).max(Money::ZERO)
}

/// The first day on which an account that was relieved on a day may be relieved again.
#[must_use]
pub fn next_on(policy: &LeakRelief, relieved_on: NaiveDate) -> NaiveDate {
    let months = Months::new(policy.once_in_months);
    relieved_on.checked_add_months(months).unwrap_or_else(|| relieved_on.checked_add_days(Days::new(1)).unwrap_or(relieved_on))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn period(start: &str, end: &str, usage: i64) -> Period {
        Period { start_on: day(start), end_on: day(end), usage_milli: usage * 1_000 }
    }

    fn policy() -> LeakRelief {
        LeakRelief {
            citation: "Rule 17".to_owned(),
            compare: Compare::SeasonThenOwn,
            percent: 50,
            at_least_above: 100,
            largest: Money::from_cents(100_000),
            once_in_months: 12,
            most_bills: 2,
        }
    }

    #[test]
    fn the_same_season_comes_first_and_the_own_average_else() {
        let before = [period("2025-07-01", "2025-08-01", 31), period("2026-05-01", "2026-06-01", 10), period("2026-06-01", "2026-07-01", 20)];
        let leak = period("2026-07-01", "2026-07-31", 200);
        assert_eq!(usual(Compare::SeasonThenOwn, &before, &leak), Some(Usual { milli: 30_000, basis: Basis::Season }));
        assert_eq!(usual(Compare::Own, &before[1..], &leak), Some(Usual { milli: 14_754, basis: Basis::Own }), "30 000 × 30 / 61");
        assert_eq!(usual(Compare::SeasonThenOwn, &before[1..], &leak).map(|usual| usual.basis), Some(Basis::Own));
        assert_eq!(usual(Compare::Season, &before[1..], &leak), None);
        assert_eq!(usual(Compare::SeasonThenOwn, &[], &leak), None);
    }

    #[test]
    fn a_share_of_the_excess_is_taken_off() {
        assert_eq!(reduced(&policy(), 200_000, 30_000), Some(115_000));
        assert_eq!(reduced(&policy(), 60_000, 30_000), Some(45_000), "twice the usual is enough");
        assert_eq!(reduced(&policy(), 59_999, 30_000), None);
        assert_eq!(reduced(&policy(), 10, 30_000), None);
        assert_eq!(reduced(&LeakRelief { percent: 100, ..policy() }, 200_001, 30_000), Some(30_000));
    }

    #[test]
    fn the_credit_stays_within_its_bounds() {
        let of = |was, is, left| credit(Money::from_cents(was), Money::from_cents(is), Money::from_cents(left)).cents();
        assert_eq!((of(500, 300, 1_000), of(500, 300, 50), of(300, 500, 1_000), of(500, -200, 1_000)), (200, 50, 0, 500));
    }
}
