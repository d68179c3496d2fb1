//! Dunning: which step comes next, and when. Pure rules over values.
//!
//! A step is a notice. Nothing comes after it before its days are over, counted from the day on which it was sent and not from
//! the day on which it was made. What is paid or held back ends the procedure; it begins anew with its first step.

use chrono::{Days, NaiveDate};

use super::money::Money;
use super::policy::Dunning;

/// What is overdue of an account: without what is held back, in question, or in a pay plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overdue {
    /// How much.
    pub amount: Money,
    /// The day on which the oldest of it was due.
    pub since: NaiveDate,
}

/// How far a procedure has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reached {
    /// The last step that was taken, from 1; 0 before the first.
    pub step: usize,
    /// When its notice was sent; none while it was not.
    pub sent_on: Option<NaiveDate>,
    /// The days that the last step's notice gave when it was made.
    pub notice_days: u32,
    /// Whether the work item at the end was raised.
    pub finished: bool,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// Nothing, today.
    Wait,
    /// The notice of this step, from 1.
    Notice(usize),
    /// The work item at the end.
    WorkItem,
    /// The procedure is over: too little is overdue.
    End,
}

/// What is to be done about an account today.
#[must_use]
pub fn next(policy: &Dunning, overdue: Option<Overdue>, reached: Reached, today: NaiveDate) -> Move {
    let Some(overdue) = overdue.filter(|overdue| overdue.amount.is_positive() && overdue.amount >= policy.smallest_overdue) else {
        return if reached.step > 0 { Move::End } else { Move::Wait };
    };
    if let Some(last) = reached.step.checked_sub(1) {
        // What was told holds, and what the policy asks for by now where that is longer. Of a policy that has fewer steps by now the
        // last one's days hold.
        let days = policy.steps.get(last).or(policy.steps.last()).map_or(0, |step| step.notice_days).max(reached.notice_days);
        let is_over = reached.sent_on.is_some_and(|sent| today >= after(sent, days));
        if !is_over || reached.finished {
            return Move::Wait;
        }
    }
    match policy.steps.get(reached.step) {
        Some(step) if today >= after(overdue.since, step.after_days) && today > overdue.since => Move::Notice(reached.step + 1),
        None if policy.disconnection => Move::WorkItem,
        Some(_) | None => Move::Wait,
    }
}

fn after(day: NaiveDate, days: u32) -> NaiveDate {
    day.checked_add_days(Days::new(days.into())).unwrap_or(day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::policy::DunningStep;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn policy() -> Dunning {
        let step = |name: &str, after_days, notice_days| DunningStep { name: name.to_owned(), after_days, notice_days };
        Dunning {
            citation: "Code 777".to_owned(),
            smallest_overdue: Money::from_cents(2_000),
            steps: vec![step("Reminder", 10, 14), step("Final notice", 20, 10)],
            disconnection: true,
        }
    }

    fn owing(cents: i64) -> Overdue {
        Overdue { amount: Money::from_cents(cents), since: day("2026-07-06") }
    }

    fn reached(step: usize, sent_on: Option<&str>) -> Reached {
        Reached { step, sent_on: sent_on.map(day), notice_days: 0, finished: false }
    }

    #[test]
    fn the_days_that_were_told_are_waited_for_whatever_the_policy_says_by_now() {
        let on = |told, today| next(&policy(), Some(owing(2_000)), Reached { notice_days: told, ..reached(1, Some("2026-07-20")) }, day(today));
        assert_eq!((on(30, "2026-08-18"), on(30, "2026-08-19")), (Move::Wait, Move::Notice(2)), "longer was told");
        assert_eq!((on(3, "2026-08-02"), on(3, "2026-08-03")), (Move::Wait, Move::Notice(2)), "longer is asked for");
    }

    #[test]
    fn steps_follow_each_other_after_the_days_of_what_was_sent() {
        let on = |reached, today| next(&policy(), Some(owing(2_000)), reached, day(today));
        assert_eq!(on(Reached::default(), "2026-07-15"), Move::Wait);
        assert_eq!(on(Reached::default(), "2026-07-16"), Move::Notice(1));
        assert_eq!(on(reached(1, None), "2026-12-31"), Move::Wait, "it was never sent");
        assert_eq!(on(reached(1, Some("2026-07-20")), "2026-08-02"), Move::Wait);
        assert_eq!(on(reached(1, Some("2026-07-20")), "2026-08-03"), Move::Notice(2));
        assert_eq!(on(reached(2, Some("2026-08-03")), "2026-08-12"), Move::Wait);
        assert_eq!(on(reached(2, Some("2026-08-03")), "2026-08-13"), Move::WorkItem);
        assert_eq!(on(Reached { finished: true, ..reached(2, Some("2026-08-03")) }, "2026-09-13"), Move::Wait);
        let none = Dunning { disconnection: false, ..policy() };
        assert_eq!(next(&none, Some(owing(2_000)), reached(2, Some("2026-08-03")), day("2026-09-13")), Move::Wait);
    }

    #[test]
    fn who_paid_or_owes_little_is_left_alone() {
        for overdue in [None, Some(owing(1_999)), Some(owing(0))] {
            assert_eq!(next(&policy(), overdue, Reached::default(), day("2026-12-31")), Move::Wait);
            assert_eq!(next(&policy(), overdue, reached(1, None), day("2026-12-31")), Move::End);
        }
    }
}
