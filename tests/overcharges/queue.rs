//! What queues an account: found by looking at the queue alone, long before the night; and the night itself, which is not left out.

use aquabills::actions::adjust::adjust;
use aquabills::actions::overcharges::nightly::scan_if_due;
use aquabills::actions::payments::{COUNTER_PROVIDER, NewPayment, post_payment, return_payment};
use aquabills::actions::undo::{Undo, undo};
use aquabills::domain::ids::AccountId;
use aquabills::domain::ledger::Tender;
use chrono::TimeDelta;

use super::*;
use crate::support::{dump, on_both};

/// Looks at the queue; whether anybody was in it.
fn anybody_queued(town: &Town) -> bool {
    sweep_queue(&town.context, &Stop::default()).expect("the queue is swept").is_some()
}

fn pay_on(town: &Town, on: &str, reference: &str) {
    let payment = NewPayment {
        account_id: AccountId(0),
        amount: "20.00".parse().expect("an amount"),
        effective_on: day(on),
        tender: Tender::Cheque,
        provider: COUNTER_PROVIDER.to_owned(),
        reference: reference.to_owned(),
    };
    post_payment(&town.context, "A1", &payment).expect("the payment is posted");
}

/// So many days later.
fn days_later(town: &Town, days: i64) {
    town.context.clock.set(town.context.now().and_utc() + TimeDelta::days(days));
}

/// One home, billed 65.00, and nobody in the queue.
fn billed(town: Town) -> Town {
    let town = town.with_services(&["A1,S1,HOME,M1"]);
    town.reads(&["M1,2026-01-01,100", "M1,2026-02-01,120"]);
    town.bill("2026-02-01");
    assert!(!anybody_queued(&town), "a bill is no correction");
    town
}

on_both! {
    fn a_late_payment_and_its_return(town: Town) {
        let town = billed(town);
        days_later(&town, 3);
        let today = town.context.today().to_string();
        pay_on(&town, &today, "now");
        assert!(!anybody_queued(&town), "a payment of after the bill costs no look");
        pay_on(&town, "2026-06-01", "late");
        swept(&town);
        let case = only_case(&town);
        assert_eq!((named(&case).0, case.row.information, case.row.asked_cents), ("late_payment", 1, 2000));
        return_payment(&town.context, COUNTER_PROVIDER, "late", town.context.today(), "bounced").expect("it went back");
        swept(&town);
        assert_eq!(open_cases(&town), []);
    }

    fn late_payments_of_a_file(town: Town) {
        let town = billed(town);
        days_later(&town, 3);
        town.payments(&["A1,5.00,2026-06-01,R-1", "A1,6.00,2026-06-02,R-2"]);
        swept(&town);
        assert_eq!(only_case(&town).row.asked_cents, 1100);
    }

    fn a_fee_that_a_clerk_took_back(town: Town) {
        let town = town.lenient().with_services(&["A1,S1,HOME,M1"]);
        let paid = town.pay("A1", "20.00", "R-1");
        let fee = returned_fee(&town, paid.account_seq);
        adjust(&town.context, &fee).expect("the fee is posted");
        scan(&town);
        assert_eq!(only_case(&town).row.over_cents, 2500);
        let wish = Undo { account: "A1".to_owned(), of: fee.reference, reference: "U-1".to_owned(), note: "it was none".to_owned() };
        undo(&town.context, &wish).expect("it is taken back");
        assert_eq!(town.balance("A1"), "-20.00");
        swept(&town);
        assert_eq!(open_cases(&town), [], "what was taken back by hand is not given a second time");
        town.assert_sound();
    }

    fn the_night_is_caught_up_with(town: Town) {
        let town = billed(town);
        let due = |stop: &Stop| scan_if_due(&town.context, stop, &|_, _| {});
        let looked = || due(&Stop::default()).expect("it is looked at").is_some();
        assert!(!looked(), "the first server begins the nights");
        assert!(!looked());
        days_later(&town, 1);
        let asked = Stop::default();
        asked.request();
        due(&asked).expect_err("it is stopped");
        assert!(looked(), "what was stopped stays due");
        let before = dump(&town);
        assert!(!looked(), "once a night");
        assert_eq!(dump(&town), before);
        // No server ran for three nights, and none runs at that time.
        days_later(&town, 3);
        assert!(looked());
        assert!(!looked());
    }
}
