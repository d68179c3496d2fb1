//! The laws of the rules: for any bill, limit, payments and days.

use aquabills::domain::autopay::{Announcement, DrawRules, DrawState, MandateState, OnTheDay, SkipReason, announce, pauses_after};
use aquabills::domain::money::Money;
use chrono::{Days, NaiveDate};
use proptest::prelude::*;

fn money() -> impl Strategy<Value = Money> {
    (-200_000_i64..200_000).prop_map(Money::from_cents)
}

fn any_day() -> impl Strategy<Value = NaiveDate> {
    (0_u64..20_000).prop_map(|days| NaiveDate::from_ymd_opt(2000, 1, 1).unwrap() + Days::new(days))
}

fn rules() -> impl Strategy<Value = DrawRules> {
    (0_u32..=60, 0_u32..=60, 1_u32..=2, 1_u32..=30, 0_u32..=60).prop_map(
        |(notice_days, days_before_due, tries, second_try_after_days, latest_days)| DrawRules {
            notice_days,
            days_before_due,
            tries,
            second_try_after_days,
            latest_days,
        },
    )
}

fn mandate() -> impl Strategy<Value = MandateState> {
    prop::sample::select(MandateState::ALL.to_vec())
}

prop_compose! {
    fn any_moment()(announced in 1_i64..200_000, mandate in mandate(), limit in prop::option::of(1_i64..200_000), taken_back: bool,
        unpaid in money(), balance in money(), pending in 0_i64..200_000) -> OnTheDay {
        OnTheDay { announced: Money::from_cents(announced), mandate, limit: limit.map(Money::from_cents), taken_back, unpaid, balance,
            pending: Money::from_cents(pending) }
    }
}

proptest! {
    #[test]
    fn never_more_than_announced_due_owed_or_the_limit(day in any_moment()) {
        if let Ok(amount) = day.decide() {
            prop_assert!(amount > Money::ZERO && amount <= day.announced && amount <= day.unpaid && amount <= day.balance);
            prop_assert!(amount.checked_add(day.pending).unwrap() <= day.unpaid.min(day.balance));
            prop_assert!(day.limit.is_none_or(|limit| amount <= limit));
            prop_assert!(day.mandate == MandateState::Active && !day.taken_back);
        }
    }

    #[test]
    fn more_money_on_its_way_never_draws_more(day in any_moment(), more in 0_i64..100_000) {
        let richer = OnTheDay { pending: day.pending.checked_add(Money::from_cents(more)).unwrap(), limit: None, ..day };
        let day = OnTheDay { limit: None, ..day };
        if let Ok(amount) = richer.decide() {
            prop_assert!(day.decide().is_ok_and(|before| amount <= before));
        }
    }

    #[test]
    fn a_draw_that_was_begun_goes_on_only_while_it_is_right(day in any_moment(), drawn in 1_i64..200_000) {
        let drawn = Money::from_cents(drawn);
        if day.still_good_for(drawn).is_ok() {
            prop_assert!(day.decide().is_ok_and(|now| now >= drawn));
        }
        if let Ok(now) = day.decide() {
            prop_assert_eq!(day.still_good_for(now), Ok(()));
            let more = now.checked_add(Money::from_cents(1)).unwrap();
            prop_assert_eq!(day.still_good_for(more), Err(SkipReason::PaidInPart));
        }
    }

    #[test]
    fn nobody_is_drawn_from_without_notice(rules in rules(), told in any_day(), due in any_day(), amount in money(), limit in prop::option::of(1_i64..200_000)) {
        let limit = limit.map(Money::from_cents);
        match announce(&rules, MandateState::Active, limit, amount, told, due) {
            Announcement::Draw { amount: drawn, on } => {
                prop_assert!(drawn == amount && amount > Money::ZERO && limit.is_none_or(|limit| amount <= limit));
                prop_assert!(on >= told + Days::new(rules.notice_days.into()));
                prop_assert!(on >= due - Days::new(rules.days_before_due.into()));
            }
            Announcement::Skip { why, .. } => prop_assert!(why == SkipReason::AboveLimit && limit.is_some_and(|limit| amount > limit)),
            Announcement::Nothing => prop_assert!(amount <= Money::ZERO),
        }
    }

    #[test]
    fn there_are_at_most_two_tries(rules in rules(), failed in any_day(), try_no in 1_i32..5) {
        match rules.second_try_on(failed, try_no) {
            Some(on) => prop_assert!(try_no == 1 && rules.tries == 2 && on > failed),
            None => prop_assert!(try_no != 1 || rules.tries == 1),
        }
    }

    #[test]
    fn a_mandate_that_is_over_stays_over(from in mandate(), to in mandate()) {
        if from.may_become(to) {
            prop_assert!(from.is_alive() && from != to && to != MandateState::Pending);
        }
        if matches!(from, MandateState::Ended | MandateState::Failed) {
            prop_assert!(!from.may_become(to));
        }
    }

    #[test]
    fn only_two_failures_in_a_row_pause(outcomes in prop::collection::vec(prop::sample::select(DrawState::ALL.to_vec()), 0..5)) {
        let failed = |state: Option<&DrawState>| matches!(state, Some(DrawState::Failed | DrawState::Returned));
        prop_assert_eq!(pauses_after(&outcomes), failed(outcomes.first()) && failed(outcomes.get(1)));
    }
}

#[test]
fn every_state_has_a_name_of_its_own() {
    for state in MandateState::ALL {
        assert_eq!(state.as_str().parse(), Ok(*state));
    }
    for state in DrawState::ALL {
        assert_eq!(state.as_str().parse(), Ok(*state));
    }
    assert_eq!("asleep".parse::<DrawState>(), Err("'asleep' is not a draw's state".to_owned()));
}
