//! Pay plans: how a debt is divided, and when a plan is broken. Pure rules over values.

use chrono::{Days, Months, NaiveDate};

use super::aging::{Instalment, Open};
use super::money::Money;

/// Divides an amount: the instalments add up to it exactly, the first ones are a cent larger where it does not divide. The
/// days are those of the month on which the first one falls, or the last of a shorter month. None when a part would be nothing,
/// or a day is beyond the calendar.
#[must_use]
pub fn divide(total: Money, count: u32, first_due_on: NaiveDate, months_between: u32) -> Option<Vec<Instalment>> {
    let parts = i64::from(count);
    if parts == 0 || total.cents() < parts {
        return None;
    }
    let (each, rest) = (total.cents() / parts, total.cents() % parts);
    let instalment = |number: u32| {
        let due_on = first_due_on.checked_add_months(Months::new(months_between.checked_mul(number)?))?;
        let amount = Money::from_cents(each + i64::from(i64::from(number) < rest));
        Some(Instalment { due_on, amount })
    };
    (0..count).map(instalment).collect()
}

/// The first instalment that is late by more than the days of grace.
#[must_use]
pub fn missed(items: &[Open], grace_days: u32, today: NaiveDate) -> Option<Open> {
    let too_late = |due_on: NaiveDate| due_on.checked_add_days(Days::new(grace_days.into())).is_some_and(|last| last < today);
    items.iter().find(|item| item.instalment > 0 && item.open.is_positive() && too_late(item.due_on)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn the_first_instalments_get_the_cents() {
        let plan = divide(Money::from_cents(10_000), 3, day("2026-01-31"), 1).unwrap();
        let plan: Vec<(String, i64)> = plan.into_iter().map(|part| (part.due_on.to_string(), part.amount.cents())).collect();
        let expected = [("2026-01-31", 3334), ("2026-02-28", 3333), ("2026-03-31", 3333)];
        assert_eq!(plan, expected.map(|(on, cents)| (on.to_owned(), cents)));
        assert_eq!(divide(Money::from_cents(2), 3, day("2026-01-31"), 1), None);
        assert_eq!(divide(Money::from_cents(-900), 3, day("2026-01-31"), 1), None);
    }

    #[test]
    fn a_plan_is_broken_after_the_days_of_grace() {
        let item =
            |due_on: &str, open| Open { seq: 1, instalment: 1, due_on: day(due_on), amount: Money::from_cents(100), open: Money::from_cents(open) };
        let items = [item("2026-01-31", 0), item("2026-02-28", 1)];
        assert_eq!(missed(&items, 5, day("2026-03-05")), None);
        assert_eq!(missed(&items, 5, day("2026-03-06")), Some(items[1]));
    }
}
