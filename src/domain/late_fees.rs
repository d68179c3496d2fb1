//! Late fees: which fee of a bill is due, and how much it is. Pure rules over values.
//!
//! The terms are those that held on the bill's date. A bill is in time when it is paid by its deadline: the due date and the
//! days of grace, or the days that are left to pay after a question was answered, whichever is later. What was unpaid on that
//! day, by the value dates of payments, is what the fee is reckoned on: so it does not matter when the program looks.

use std::collections::BTreeSet;

use chrono::{Days, NaiveDate};

use super::money::Money;
use super::percent::{millionths, share};
use super::policy::LateFees;

/// What of a bill matters for its fees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BillTerms {
    /// When it is due.
    pub due_on: NaiveDate,
    /// Until when it can be paid without a fee because it was held back: questioned, say.
    pub extended_to: Option<NaiveDate>,
    /// The fees that it has, by number; those that were taken back are not among them.
    pub charged: BTreeSet<u32>,
}

/// A fee that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueFee {
    /// Which fee of the bill it is, from 1.
    pub number: u32,
    /// The last day on which a payment was in time.
    pub deadline: NaiveDate,
}

fn later(day: NaiveDate, days: u64) -> NaiveDate {
    day.checked_add_days(Days::new(days)).unwrap_or(day)
}

/// The fees of a bill whose deadline is over on a day and that are not charged, the first first.
#[must_use]
pub fn due_fees(policy: &LateFees, bill: &BillTerms, today: NaiveDate) -> Vec<DueFee> {
    let first = later(bill.due_on, policy.grace_days.into());
    let first = bill.extended_to.map_or(first, |extended| extended.max(first));
    let again = u64::from(policy.again_after_days.unwrap_or(0));
    let most = if policy.again_after_days.is_some() { policy.most_per_bill } else { 1 };
    let all = (1..=most).map(|number| DueFee { number, deadline: later(first, again * u64::from(number - 1)) });
    all.take_while(|fee| fee.deadline < today).filter(|fee| !bill.charged.contains(&fee.number)).collect()
}

/// The fee on what of a bill was unpaid on its deadline; nothing below the smallest amount. A bill that is in question is not asked
/// about here at all: all of it is held back until the answer.
#[must_use]
pub fn fee(policy: &LateFees, unpaid: Money) -> Money {
    if !unpaid.is_positive() || unpaid < policy.smallest_overdue {
        return Money::ZERO;
    }
    let part = share(unpaid, millionths(policy.percent).unwrap_or(0));
    policy.fee.checked_add(part).unwrap_or(policy.largest).min(policy.largest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn policy() -> LateFees {
        LateFees {
            citation: "Rule 11".to_owned(),
            grace_days: 5,
            fee: Money::from_cents(500),
            percent: "1.5".parse().unwrap(),
            smallest_overdue: Money::from_cents(1_000),
            largest: Money::from_cents(2_000),
            again_after_days: None,
            most_per_bill: 1,
        }
    }

    fn bill(charged: &[u32]) -> BillTerms {
        BillTerms { due_on: day("2026-07-06"), extended_to: None, charged: charged.iter().copied().collect() }
    }

    fn numbers(policy: &LateFees, bill: &BillTerms, today: &str) -> Vec<(u32, String)> {
        due_fees(policy, bill, day(today)).into_iter().map(|fee| (fee.number, fee.deadline.to_string())).collect()
    }

    #[test]
    fn the_days_of_grace_are_in_time() {
        assert_eq!(numbers(&policy(), &bill(&[]), "2026-07-11"), []);
        assert_eq!(numbers(&policy(), &bill(&[]), "2026-07-12"), [(1, "2026-07-11".to_owned())]);
        assert_eq!(numbers(&policy(), &bill(&[1]), "2026-12-31"), []);
    }

    #[test]
    fn a_bill_that_was_questioned_has_its_days_after_the_answer() {
        let questioned = BillTerms { extended_to: Some(day("2026-08-20")), ..bill(&[]) };
        assert_eq!(numbers(&policy(), &questioned, "2026-08-20"), []);
        assert_eq!(numbers(&policy(), &questioned, "2026-08-21"), [(1, "2026-08-20".to_owned())]);
    }

    #[test]
    fn further_fees_come_by_their_days_and_end() {
        let policy = LateFees { again_after_days: Some(30), most_per_bill: 3, ..policy() };
        let all = [(1, "2026-07-11"), (2, "2026-08-10"), (3, "2026-09-09")].map(|(number, on)| (number, on.to_owned()));
        assert_eq!(numbers(&policy, &bill(&[]), "2027-07-12"), all);
        assert_eq!(numbers(&policy, &bill(&[1, 3]), "2027-07-12"), all[1..2]);
    }

    #[test]
    fn the_fee_is_fixed_and_a_share_within_its_bounds() {
        let of = |unpaid: i64| fee(&policy(), Money::from_cents(unpaid)).cents();
        assert_eq!((of(0), of(999), of(1_000), of(4_750)), (0, 0, 515, 571), "4750 × 1.5 % is 71.25");
        assert_eq!(of(1_000_000), 2_000);
    }
}
