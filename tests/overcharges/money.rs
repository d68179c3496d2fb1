//! Money that was there before a bill and was not deducted, and fees whose reason was taken back.

use std::sync::atomic::Ordering;

use aquabills::actions::adjust::{Adjustment, adjust};
use aquabills::actions::inbox::settle;
use aquabills::db::overcharges;

use super::*;
use crate::support::on_both;
use crate::support::plain_provider::{Event, Plain, begin, deliver};

/// Issues a run that its gates hold, with a reason that a person gives.
fn force(town: &Town, through: &str) -> RunReport {
    let options = RunOptions { override_gates: Some("the bills must go out".to_owned()), ..RunOptions::approving_all(day(through), &|_, _, _| {}) };
    run_bills(&town.context, &options).expect("the run goes through")
}

/// The hour of the town's day.
fn clock(town: &Town, hour: u32) {
    let at = town.context.today().and_hms_opt(hour, 30, 0).expect("a moment");
    town.context.clock.set(at.and_utc());
}

on_both! {
    fn a_payment_that_had_been_received_and_was_hidden_from_the_bill(town: Town) {
        let mut town = town.with_services(&["A1,S1,HOME,M1", "A2,S2,HOME,M2"]);
        let plain = Plain::at(&mut town);
        town.reads(&["M1,2026-01-01,100", "M1,2026-02-01,120", "M2,2026-01-01,100", "M2,2026-02-01,120"]);
        town.try_bill("2026-02-01", false, None).expect("it is priced");
        begin(&town, "t1", &[("A1", 2000)]);
        // Nobody understands the event while the bills go out past the gates.
        plain.mute.store(true, Ordering::SeqCst);
        deliver(&town, &Event::payment("e1", 10, "p1", "succeeded", 2000).with("token", "t1"));
        clock(&town, 12);
        let run = force(&town, "2026-02-01").run_id.expect("a run");
        assert_eq!(town.balance("A1"), "65.00");
        clock(&town, 13);
        plain.mute.store(false, Ordering::SeqCst);
        begin(&town, "t2", &[("A2", 3000)]);
        deliver(&town, &Event::payment("e2", 11, "p2", "succeeded", 3000).with("token", "t2"));
        settle(&town.context, true, &Stop::default()).expect("the inbox is settled");
        assert_eq!((town.balance("A1"), town.balance("A2")), ("45.00".to_owned(), "35.00".to_owned()));
        // The payment that came after the bill is none too late; the balances are right, what was asked for was not.
        // The account was queued when the payment was posted: nobody waits for the night.
        let report = swept(&town);
        assert_eq!((report.open.findings, report.open.over_cents, report.open.asked_cents), (1, 0, 2000));
        let case = only_case(&town);
        assert_eq!(named(&case), ("late_payment", format!("run {run}").as_str()));
        let found = findings(&town, &case);
        assert_eq!((found[0].row.account.as_str(), found[0].row.billed_cents, found[0].row.should_cents), ("A1", 6500, 4500));
        // Told, it is not found again.
        let (id, now) = (found[0].row.id, town.context.now());
        assert!(town.context.database.write(|conn| overcharges::settle(conn, id, "told", 0, now)).expect("it is settled"));
        assert!(scan(&town).is_clean());
    }

    fn a_fee_for_a_return_that_was_none(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        let paid = town.pay("A1", "20.00", "R-1");
        let fee = returned_fee(&town, paid.account_seq);
        let posted = adjust(&town.context, &fee).expect("the fee is posted");
        scan(&town);
        let case = only_case(&town);
        assert_eq!((named(&case).0, case.row.over_cents), ("fee_reversed", 2500));
        assert!(findings(&town, &case)[0].row.detail.contains("payment R-1 stands"), "{posted:?}");
        // Given back under the reference that the program itself uses, it is gone.
        let back = Adjustment { amount: "-25.00".parse().expect("an amount"), reference: format!("{}/back", fee.reference), ..fee };
        let given = adjust(&town.context, &Adjustment { reason_code: "goodwill".to_owned(), ..back });
        given.expect("it is given back");
        assert_eq!(scan(&town).gone, 1);
    }
}
