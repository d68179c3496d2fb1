//! Where nothing is wrong nothing is found: what bills could not know when they were made makes none of them wrong.

use super::*;
use crate::support::moves::{comes, leaves, reading};
use crate::support::{TARIFF, on_both};

on_both! {
    fn a_bill_before_anybody_knew_that_it_would_be_the_last(town: Town) {
        // February has 28 days, less than the 30 of a standard month: as a last period it would be charged by the day.
        let by_days = TARIFF.replace("  tier_rule: boundary\n", "  tier_rule: boundary\n  proration:\n    short_periods: by_days\n    standard_days: 30\n");
        town.tariff(&by_days).expect("the tariff is accepted");
        let csv = "customer_id,service_id,rate_class,meter_id,register_digits\nA1,S1,HOME,M1,4\nA2,S2,HOME,M2,4\n";
        assert_eq!(town.services(csv).expect("the services are read").refused, 0);
        town.reads(&["M1,2026-02-01,100", "M1,2026-03-01,120", "M2,2026-02-01,100", "M2,2026-03-01,120"]);
        town.bill("2026-03-01");
        assert_eq!(town.balance("A1"), "65.00");
        leaves(&town, "A1", "S1", "2026-03-01", vec![reading("M1", 120)]).expect("they leave");
        leaves(&town, "A2", "S2", "2026-03-15", vec![reading("M2", 125)]).expect("they leave");
        town.bill("2026-03-15");
        town.assert_sound();
        // Who knew it in time is charged by the day, and that is right, too.
        comes(&town, "A3", "S1", "2026-03-01", vec![]).expect("they come");
        town.reads(&["M1,2026-03-20,130"]);
        town.bill("2026-03-20");
        town.assert_sound();
    }

    fn a_meter_exchange_and_what_came_after(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        town.reads(&["M1,2026-01-01,100", "M1,2026-02-01,120"]);
        town.bill("2026-02-01");
        assert_eq!(town.exchanges(&["S1,2026-02-11,M1,126,M9,0,4"]).accepted, 1);
        town.reads(&["M9,2026-03-01,9"]);
        town.bill("2026-03-01");
        town.assert_sound();
        leaves(&town, "A1", "S1", "2026-03-11", vec![reading("M9", 12)]).expect("they leave");
        town.bill("2026-03-11");
        town.assert_sound();
    }

    fn a_payment_by_hand_of_an_earlier_day_is_worth_knowing_and_no_more(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        town.reads(&["M1,2026-01-01,100", "M1,2026-02-01,120"]);
        town.bill("2026-02-01");
        town.payments(&["A1,20.00,2026-06-01,R-1"]);
        town.assert_sound();
        let case = only_case(&town);
        assert_eq!((named(&case).0, case.row.information, case.row.asked_cents), ("late_payment", 1, 2000));
        assert!(findings(&town, &case)[0].row.detail.contains("was entered after bill"));
        // The next bill deducts it, and today's payment is none too late.
        town.pay("A1", "5.00", "R-2");
        town.assert_sound();
        town.reads(&["M1,2026-03-01,130"]);
        town.bill("2026-03-01");
        assert_eq!(scan(&town).gone, 1);
        assert_eq!(open_cases(&town), [], "a case does not stay open for ever of which nothing is to be done");
        town.assert_sound();
    }

    fn a_late_addition_of_another_service(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        town.reads(&["M1,2026-01-01,100", "M1,2026-02-01,120"]);
        bill_account(&town, "A1", "2026-02-01");
        let csv = "customer_id,service_id,rate_class,meter_id,register_digits\nA1,S2,SHOP,M2,4\n";
        assert_eq!(services::import_services(&town.context, &town.file("more.csv", csv), QUIET).expect("it is read").refused, 0);
        town.reads(&["M2,2026-01-01,0", "M2,2026-02-01,7", "M1,2026-03-01,130"]);
        town.bill("2026-03-01");
        town.assert_sound();
    }
}
