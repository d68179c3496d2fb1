//! The laws of the rules: for any ledger, plan, days and tariff.

use aquabills::domain::aging::{Aging, Instalment, Plan, Row};
use aquabills::domain::late_fees::fee;
use aquabills::domain::leak_relief::{credit, reduced};
use aquabills::domain::money::Money;
use aquabills::domain::pay_plans::divide;
use aquabills::domain::percent::{interest, interest_due, share};
use aquabills::domain::policy::{Compare, LateFees, LeakRelief};
use chrono::{Days, NaiveDate};
use proptest::prelude::*;

fn first_day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 1, 1).unwrap()
}

fn after(days: u64) -> NaiveDate {
    first_day() + Days::new(days)
}

prop_compose! {
    /// Any ledger: charges, payments, and rows that take earlier ones back, each at most once.
    fn any_rows()(moves in prop::collection::vec((-20_000_i64..20_000, 0_u64..400, 0_u64..60, 0_usize..40), 0..40)) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        let mut undone = std::collections::BTreeSet::new();
        for (at, (cents, on, due, undoes)) in moves.into_iter().enumerate() {
            let seq = i64::try_from(at).unwrap() + 1;
            let target = rows.get(undoes).filter(|row| !undone.contains(&row.seq)).cloned();
            let (amount, undoes) = match target {
                Some(row) => {
                    undone.insert(row.seq);
                    (-row.amount, Some(row.seq))
                }
                None => (Money::from_cents(cents), None),
            };
            rows.push(Row { seq, amount, effective_on: after(on), due_on: after(on + due), undoes });
        }
        rows
    }
}

prop_compose! {
    fn any_plan()(from_seq in 0_i64..40, parts in prop::collection::vec((0_u64..400, 1_i64..20_000), 1..12)) -> Plan {
        let mut instalments: Vec<Instalment> =
            parts.into_iter().map(|(on, cents)| Instalment { due_on: after(on), amount: Money::from_cents(cents) }).collect();
        instalments.sort_by_key(|part| part.due_on);
        Plan { from_seq, instalments }
    }
}

proptest! {
    #[test]
    fn what_is_open_less_what_waits_is_the_balance(rows in any_rows(), plan in prop::option::of(any_plan())) {
        let aging = Aging::of(&rows, plan.as_ref());
        let balance: Money = rows.iter().map(|row| row.amount).sum();
        prop_assert_eq!(aging.balance(), balance);
        prop_assert!(aging.items.iter().chain(&aging.planned).all(|item| !item.open.is_negative() && item.open <= item.amount));
        prop_assert!(aging.items.windows(2).all(|two| two[0].due_on <= two[1].due_on));
        if aging.unapplied.is_positive() {
            prop_assert!(aging.items.iter().all(|item| item.open.is_zero()), "credit waits only when nothing is open");
        }
        let in_plan: Money = aging.items.iter().filter(|item| item.instalment > 0).map(|item| item.open).sum();
        prop_assert_eq!(in_plan, aging.planned.iter().map(|item| item.open).sum::<Money>(), "a plan's instalments are its charges");
    }

    #[test]
    fn more_money_never_opens_a_charge(rows in any_rows(), cents in 1_i64..50_000) {
        let before = Aging::of(&rows, None);
        let seq = i64::try_from(rows.len()).unwrap() + 1;
        let paid = Row { seq, amount: Money::from_cents(-cents), effective_on: after(500), due_on: after(500), undoes: None };
        let after = Aging::of(&rows.iter().cloned().chain([paid]).collect::<Vec<_>>(), None);
        for row in &rows {
            prop_assert!(after.open_of(row.seq) <= before.open_of(row.seq));
        }
    }

    #[test]
    fn what_was_paid_and_returned_is_as_if_it_had_not_been(rows in any_rows(), cents in 1_i64..50_000) {
        let seq = i64::try_from(rows.len()).unwrap() + 1;
        let row = |seq, cents, undoes| Row { seq, amount: Money::from_cents(cents), effective_on: after(500), due_on: after(500), undoes };
        let both: Vec<Row> = rows.iter().cloned().chain([row(seq, -cents, None), row(seq + 1, cents, Some(seq))]).collect();
        prop_assert_eq!(Aging::of(&both, None), Aging::of(&rows, None));
    }

    #[test]
    fn instalments_add_up_and_the_first_are_never_smaller(cents in 1_i64..10_000_000, count in 1_u32..60, months in 1_u32..4) {
        if let Some(plan) = divide(Money::from_cents(cents), count, first_day(), months) {
            prop_assert_eq!(plan.len(), usize::try_from(count).unwrap());
            prop_assert_eq!(plan.iter().map(|part| part.amount).sum::<Money>(), Money::from_cents(cents));
            prop_assert!(plan.windows(2).all(|two| two[0].amount >= two[1].amount && two[0].due_on < two[1].due_on));
            prop_assert!(plan[0].amount.cents() - plan[plan.len() - 1].amount.cents() <= 1);
        } else {
            prop_assert!(cents < i64::from(count));
        }
    }

    #[test]
    fn interest_is_the_exact_fraction_half_up(cents in 0_i64..100_000_000, rates in prop::collection::vec((0_i64..1_000_000, 0_usize..800), 0..5)) {
        let daily: Vec<i64> = rates.iter().flat_map(|(rate, days)| std::iter::repeat_n(*rate, *days)).collect();
        let got = i128::from(interest(Money::from_cents(cents), daily.iter().copied()).cents());
        // The same as a fraction over one denominator, compared without dividing: got − ½ ≤ exact < got + ½.
        let exact: i128 = rates.iter().map(|(rate, days)| i128::from(cents) * i128::from(*rate) * i128::try_from(*days).unwrap()).sum();
        let whole = 365_000_000_i128;
        prop_assert!((2 * got - 1) * whole <= 2 * exact && 2 * exact < (2 * got + 1) * whole);
        let one = share(Money::from_cents(cents), 1_000_000);
        prop_assert_eq!(one, Money::from_cents(cents), "all of it is all of it");
    }

    #[test]
    fn a_fee_is_bounded_and_grows_with_what_is_unpaid(unpaid in 0_i64..1_000_000, more in 0_i64..1_000_000, fixed in 0_i64..5_000, rate in 0_i64..100_000, least in 0_i64..10_000) {
        let policy = LateFees {
            citation: "x".to_owned(), grace_days: 5, fee: Money::from_cents(fixed), percent: rust_decimal::Decimal::new(rate, 4),
            smallest_overdue: Money::from_cents(least), largest: Money::from_cents(10_000), again_after_days: None, most_per_bill: 1,
        };
        let of = |unpaid: i64| fee(&policy, Money::from_cents(unpaid));
        prop_assert!(of(unpaid) <= of(unpaid + more), "what was paid in time never makes it larger");
        prop_assert!(unpaid >= least || of(unpaid).is_zero());
        prop_assert!(of(unpaid) <= Money::from_cents(10_000) && !of(unpaid).is_negative());
    }

    #[test]
    fn interest_comes_to_the_same_however_often_it_is_credited(cents in 1_i64..100_000_000, days in prop::collection::vec((0_i64..100_000, 1_usize..90), 1..12)) {
        let amount = Money::from_cents(cents);
        let mut rates: Vec<i64> = Vec::new();
        let mut credited = Money::ZERO;
        for (rate, count) in days {
            rates.extend(std::iter::repeat_n(rate, count));
            let part = interest_due(amount, rates.iter().copied(), credited);
            prop_assert!(!part.is_negative());
            credited += part;
        }
        prop_assert_eq!(credited, interest(amount, rates));
    }

    #[test]
    fn a_relief_stays_between_nothing_and_the_charge(usage in 0_i64..10_000_000, usual in 0_i64..10_000_000, percent in 1_u32..=100,
        above in 0_u32..500, was in -100_000_i64..100_000, is in -100_000_i64..200_000, left in 0_i64..50_000) {
        let policy = LeakRelief { citation: "x".to_owned(), compare: Compare::Own, percent, at_least_above: above,
            largest: Money::from_cents(left), once_in_months: 12, most_bills: 2 };
        if let Some(kept) = reduced(&policy, usage, usual) {
            prop_assert!(kept >= usual && kept <= usage);
            prop_assert!((usage - usual) * 100 >= usual * i64::from(above));
        }
        let given = credit(Money::from_cents(was), Money::from_cents(is), Money::from_cents(left));
        prop_assert!(!given.is_negative() && given <= Money::from_cents(left) && given <= Money::from_cents(was.max(0)));
    }
}
