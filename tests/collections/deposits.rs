//! Deposits: held apart in the general ledger, with interest by days, applied at the end or after paying well.

use aquabills::actions::approvals::Outcome;
use aquabills::actions::collections::deposits::{Taking, apply_deposit, credit_all_interest, refund_deposit, take_deposit};
use aquabills::actions::payments::return_payment;
use aquabills::db::ledger::control_total;
use aquabills::domain::ledger::Tender;

use crate::support::{Town, day, on_both};
use crate::{billed, look, look_daily, on, pay_on, told, view};

fn taking(reference: &str, amount: &str) -> Taking {
    Taking {
        account: "A1".to_owned(),
        amount: amount.parse().unwrap(),
        tender: Tender::Cash,
        reference: reference.to_owned(),
        note: "new customer without a history".to_owned(),
    }
}

/// What the general ledger holds for customers.
fn held(town: &Town) -> i64 {
    -town.context.database.read(|conn| control_total(conn, "payable:deposits")).unwrap()
}

on_both! {
    fn a_deposit_is_held_apart_and_earns_by_the_day(town: Town) {
        let town = billed(town, 1);
        take_deposit(&town.context, &taking("D-1", "200.00")).unwrap();
        take_deposit(&town.context, &taking("D-1", "200.00")).unwrap();
        assert!(take_deposit(&town.context, &taking("D-1", "100.00")).is_err());
        assert!(take_deposit(&town.context, &taking("D-2", "500.01")).is_err(), "the policy's most");
        assert_eq!((town.balance("A1"), held(&town)), ("47.50".to_owned(), 20_000), "the balance is what was owed before");
        assert_eq!(view(&town, "A1").bills[0].open_cents, 4_750, "and the bill is not paid by it");
        // 73 days at 1.25 % are 0.50 exactly.
        on(&town, "2026-08-27");
        assert_eq!(view(&town, "A1").deposits[0].accrued_cents, 50);
        let counts = credit_all_interest(&town.context, day("2026-08-27")).unwrap();
        assert_eq!((counts.credited, counts.interest_cents), (1, 50));
        assert_eq!(credit_all_interest(&town.context, day("2026-08-27")).unwrap().interest_cents, 0, "no day twice");
        assert!(credit_all_interest(&town.context, day("2026-08-28")).is_err());
        on(&town, "2026-08-28");
        // One more day is 0.68 cents, half up a cent; it is applied to the bill.
        assert_eq!(apply_deposit(&town.context, "A1", "D-1", "asked for").unwrap().balance_after_cents, 4_750 - 51 - 20_000);
        assert!(apply_deposit(&town.context, "A1", "D-1", "asked for").unwrap().unchanged);
        assert_eq!(held(&town), 0);
        assert_eq!(told(&town, "A1"), ["adjustment_given", "adjustment_given", "adjustment_given"]);
        town.assert_sound();
    }

    fn it_is_refunded_without_what_is_owed(town: Town) {
        let town = billed(town, 1);
        take_deposit(&town.context, &taking("D-1", "100.00")).unwrap();
        let Outcome::Done(posted) = refund_deposit(&town.context, "A1", "D-1", "moves away").unwrap() else { panic!("it needs nobody else") };
        assert_eq!((posted.balance_after_cents, held(&town)), (0, 0), "47.50 stay, 52.50 are paid out");
        assert!(matches!(refund_deposit(&town.context, "A1", "D-1", "moves away").unwrap(), Outcome::Done(posted) if posted.unchanged));
        assert_eq!(town.balance("A1"), "0.00");
        town.assert_sound();
    }

    fn a_deposit_whose_payment_goes_back_is_owed_and_earns_nothing(town: Town) {
        let town = billed(town, 1);
        take_deposit(&town.context, &taking("D-1", "100.00")).unwrap();
        on(&town, "2026-06-20");
        return_payment(&town.context, "counter", "D-1", day("2026-06-20"), "the cheque bounced").unwrap();
        assert_eq!(town.balance("A1"), "147.50");
        assert!(apply_deposit(&town.context, "A1", "D-1", "asked for").is_err());
        on(&town, "2026-12-31");
        assert_eq!(credit_all_interest(&town.context, day("2026-12-31")).unwrap().interest_cents, 0);
        assert!(!view(&town, "A1").deposits[0].is_paid);
        town.assert_sound();
    }

    fn who_pays_well_for_long_gets_it_back(town: Town) {
        let town = billed(town, 1);
        take_deposit(&town.context, &taking("D-1", "100.00")).unwrap();
        on(&town, "2026-07-01");
        pay_on(&town, "A1", "47.50", "2026-07-01", "R-1");
        assert_eq!(look(&town, "2027-06-14").deposits_applied, 0);
        assert_eq!(look(&town, "2027-06-15").deposits_applied, 1);
        // 365 days at 1.25 %.
        assert_eq!((town.balance("A1"), view(&town, "A1").deposits[0].interest_cents), ("-101.25".to_owned(), 125));
        town.assert_sound();
    }

    fn a_fee_puts_it_off_and_the_final_bill_ends_it(town: Town) {
        let town = billed(town, 1);
        take_deposit(&town.context, &taking("D-1", "100.00")).unwrap();
        look(&town, "2026-07-12");
        on(&town, "2026-07-13");
        town.pay("A1", "53.21", "R-1");
        assert_eq!(look_daily(&town, "2027-06-14", "2027-06-16").deposits_applied, 0, "the fee of July is in these twelve months");
        assert_eq!(look(&town, "2027-07-13").deposits_applied, 1, "and not in those");
    }
}
