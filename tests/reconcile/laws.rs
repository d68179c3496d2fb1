//! The laws of the comparison, over random payments: the delta is the sum of the differences, it is zero exactly when nothing
//! differs, the days add up, and no order of rows changes anything.

use std::collections::BTreeSet;

use aquabills::domain::ids::AccountId;
use aquabills::domain::money::Money;
use aquabills::domain::reconciliation::payment::{Entry, LedgerRow, Leg, Movement, PaymentView, compare, named_by};
use aquabills::domain::reconciliation::{Finding, Kind, Look, Rules, Seen, business_days_after};
use chrono::{Days, NaiveDate, TimeDelta};
use proptest::prelude::*;

use crate::support::day;

fn first() -> NaiveDate {
    day("2026-06-01")
}

fn rules() -> Rules {
    let today = day("2026-06-15");
    let now = today.and_hms_opt(12, 0, 0).expect("noon");
    Rules { now, today, grace_minutes: 30, event_minutes: 10, payout_days: 3, refund_days: 5, bank_days: 3 }
}

fn seen() -> Seen {
    Seen { from: Some(day("2026-05-01")), until: Some(rules().now) }
}

fn receipt(part: i32, cents: i64, on: NaiveDate) -> LedgerRow {
    LedgerRow {
        entry: Entry::Receipt { part, noted: Money::from_cents(cents) },
        account: AccountId(i64::from(part)),
        number: format!("A{part}"),
        amount: Money::from_cents(cents),
        on,
        posted_at: on.and_hms_opt(9, 0, 0).expect("nine"),
        reference: "pi".to_owned(),
    }
}

fn back(cents: i64, on: NaiveDate) -> LedgerRow {
    LedgerRow { entry: Entry::Taken, amount: Money::from_cents(-cents), ..receipt(1, cents, on) }
}

fn movement(leg: Leg, n: usize, cents: i64, on: NaiveDate) -> Movement {
    let occurred_at = on.and_hms_opt(8, 0, 0).expect("eight").and_utc().timestamp();
    Movement { leg, reference: format!("txn_{n}"), what: "payment".to_owned(), amount: Money::from_cents(cents), on, occurred_at }
}

fn row() -> impl Strategy<Value = (bool, i64, u64)> {
    (any::<bool>(), 1_i64..5, 0_u64..14)
}

prop_compose! {
    fn payments()(all in prop::collection::vec((prop::collection::vec(row(), 0..4), prop::collection::vec(row(), 0..4)), 0..12)) -> Vec<PaymentView> {
        let on = |days: u64| first() + Days::new(days);
        all.into_iter().enumerate().map(|(n, (ledger, movements))| PaymentView {
            provider: "books".to_owned(),
            merchant: "m".to_owned(),
            reference: format!("pi_{n}"),
            ledger: ledger.into_iter().zip(1..).map(|((came, cents, at), part)| if came { receipt(part, cents, on(at)) } else { back(cents, on(at)) }).collect(),
            movements: movements.into_iter().enumerate().map(|(n, (came, cents, at))| {
                if came { movement(Leg::Came, n, cents, on(at)) } else { movement(Leg::Back, n, -cents, on(at)) }
            }).collect(),
            ..PaymentView::default()
        }).collect()
    }
}

fn look(views: &[PaymentView], from: NaiveDate, to: NaiveDate) -> Look {
    let mut look = Look::new(from, to, false, BTreeSet::new());
    for view in views {
        for finding in compare(view, &rules(), &seen()) {
            look.take(finding);
        }
    }
    look
}

fn size(amount: Money) -> i64 {
    amount.cents().abs()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn the_delta_is_the_sum_of_the_differences(views in payments()) {
        let look = look(&views, first(), rules().today);
        let total = look.total();
        let gaps: Money = look.differences.iter().map(|difference| difference.gap).sum();
        prop_assert_eq!(total.delta, gaps);
        prop_assert_eq!(total.differences, u64::try_from(look.differences.len()).unwrap());
        // Signed, the differences are exactly what the sums of the two sides are apart.
        let apart: Money = look.differences.iter().map(|d| d.ledger.unwrap_or_default() - d.provider.unwrap_or_default()).sum();
        prop_assert_eq!(total.online.left - total.online.right, apart);
        // Zero exactly when nothing differs.
        prop_assert_eq!(total.delta.is_zero(), look.differences.is_empty());
    }

    #[test]
    fn it_is_told_by_the_sums_of_the_legs_and_by_nothing_else(views in payments()) {
        let look = look(&views, first(), rules().today);
        let mut expected = 0;
        for view in &views {
            let ours = |leg| view.ledger.iter().filter(|row| matches!(row.entry, Entry::Receipt { .. }) == (leg == Leg::Came)).map(|row| row.amount).sum::<Money>();
            let theirs = |leg| view.movements.iter().filter(|row| row.leg == leg).map(|row| row.amount).sum::<Money>();
            let nothing = (ours(Leg::Came) + ours(Leg::Back)).is_zero() && (theirs(Leg::Came) + theirs(Leg::Back)).is_zero();
            // That nothing is left of what we never heard of is no agreement.
            if !nothing || view.ledger.is_empty() {
                expected += [Leg::Came, Leg::Back].into_iter().map(|leg| size(ours(leg) - theirs(leg))).sum::<i64>();
            }
        }
        prop_assert_eq!(look.total().delta.cents(), expected);
    }

    #[test]
    fn no_order_changes_anything(views in payments(), seed in any::<u64>()) {
        let mut other = views.clone();
        let turn = |len: usize| if len == 0 { 0 } else { usize::try_from(seed % u64::try_from(len).unwrap()).unwrap_or(0) };
        other.reverse();
        for view in &mut other {
            let (a, b) = (turn(view.ledger.len()), turn(view.movements.len()));
            view.ledger.rotate_left(a);
            view.movements.rotate_left(b);
            view.movements.reverse();
        }
        let sorted = |mut look: Look| { look.differences.sort_by(|a, b| a.key.cmp(&b.key)); look };
        let [one, two] = [&views, &other].map(|views| sorted(look(views, first(), rules().today)));
        prop_assert_eq!(one, two);
    }

    #[test]
    fn looks_side_by_side_are_one_look(views in payments(), cut in 0_u64..14) {
        let middle = first() + Days::new(cut);
        let whole = look(&views, first(), rules().today).total();
        let mut parts = look(&views, first(), middle).total();
        parts.merge(&look(&views, middle + Days::new(1), rules().today).total());
        prop_assert_eq!(parts, whole);
    }

    #[test]
    fn what_agrees_never_differs(cents in prop::collection::vec((1_i64..100_000, 0_u64..14, 0_u64..14), 1..20)) {
        let on = |days: u64| first() + Days::new(days);
        let views: Vec<PaymentView> = cents.iter().enumerate().map(|(n, (cents, here, there))| PaymentView {
            provider: "books".to_owned(),
            reference: format!("pi_{n}"),
            ledger: vec![receipt(1, *cents, on(*here))],
            movements: vec![movement(Leg::Came, 0, *cents, on(*there))],
            ..PaymentView::default()
        }).collect();
        let look = look(&views, first(), rules().today);
        prop_assert!(look.differences.is_empty());
        let all: i64 = cents.iter().map(|(cents, _, _)| cents).sum();
        prop_assert_eq!((look.total().online.left.cents(), look.total().online.right.cents()), (all, all));
    }
}

#[test]
fn nothing_is_judged_before_its_time() {
    let rules = rules();
    let mut view = PaymentView { provider: "books".to_owned(), reference: "pi".to_owned(), ..PaymentView::default() };
    let moment = (rules.now - TimeDelta::minutes(30)).and_utc().timestamp();
    for (earlier, judged) in [(-1, false), (0, true), (1, true)] {
        view.movements = vec![Movement { occurred_at: moment - earlier, ..movement(Leg::Came, 0, 100, rules.today) }];
        let found = compare(&view, &rules, &seen());
        assert_eq!(matches!(found[..], [Finding::Differs(_)]), judged, "{earlier}: {found:?}");
    }
    // What the ledger did after the provider was last asked, and days that it was never asked about, cannot be judged.
    view.movements.clear();
    view.ledger = vec![receipt(1, 100, day("2026-06-10"))];
    let asked = |from: &str, until: &str| Seen { from: Some(day(from)), until: Some(day(until).and_hms_opt(0, 0, 0).expect("midnight")) };
    for (seen, judged) in [
        (asked("2026-06-01", "2026-06-11"), true),
        (asked("2026-06-01", "2026-06-10"), false),
        (asked("2026-06-11", "2026-06-15"), false),
        (Seen::default(), false),
    ] {
        let found = compare(&view, &rules, &seen);
        assert_eq!(matches!(found[..], [Finding::Differs(_)]), judged, "{seen:?}: {found:?}");
    }
}

#[test]
fn a_refund_that_was_not_asked_for_yet_has_its_days() {
    let rules = rules();
    let refund = |on: &str, state: &str, named: bool| LedgerRow { entry: Entry::Refund { state: state.to_owned(), named }, ..back(40, day(on)) };
    let found = |row: LedgerRow, came_back: Option<i64>| {
        let mut movements = vec![movement(Leg::Came, 0, 100, day("2026-06-01"))];
        if let Some(cents) = came_back {
            movements.extend([movement(Leg::Back, 1, -40, day("2026-06-05")), movement(Leg::Back, 2, cents, day("2026-06-06"))]);
        }
        let view = PaymentView { ledger: vec![receipt(1, 100, day("2026-06-01")), row], movements, ..PaymentView::default() };
        compare(&view, &rules, &seen()).into_iter().find_map(|finding| match finding {
            Finding::Differs(difference) => Some(difference.kind),
            _ => None,
        })
    };
    assert_eq!(found(refund("2026-06-11", "created", false), None), None, "it is asked for within days");
    assert_eq!(found(refund("2026-06-09", "created", false), None), Some(Kind::RefundWithoutReference));
    assert_eq!(found(refund("2026-06-09", "submitted", true), None), Some(Kind::ReturnedHereNotThere));
    assert_eq!(found(refund("2026-06-05", "submitted", true), Some(40)), Some(Kind::RefundFailedThere));
    assert_eq!(found(refund("2026-06-05", "succeeded", true), Some(-1)), Some(Kind::ReturnsDiffer));
}

#[test]
fn keys_name_their_payment() {
    let view = PaymentView { provider: "stripe".to_owned(), merchant: "acct_1".to_owned(), reference: "pi|x".to_owned(), ..PaymentView::default() };
    assert_eq!(named_by(&view.key(Leg::Came)), Some(("stripe", "acct_1", "pi|x")));
    assert_eq!(named_by("payout|a|b|c|d"), None);
}

#[test]
fn business_days_skip_the_weekend() {
    for (from, days, to) in
        [("2026-06-12", 0, "2026-06-12"), ("2026-06-12", 1, "2026-06-15"), ("2026-06-12", 3, "2026-06-17"), ("2026-06-13", 1, "2026-06-15")]
    {
        assert_eq!(business_days_after(day(from), days), day(to), "{from} + {days}");
    }
}
