//! What is late is not wrong: midnight, time zones, bank debits, and how long anything may be under way.

use aquabills::actions::reconcile::{LookOptions, reconcile};

use crate::fake_provider::deliver;
use crate::support::{Town, day, on_both};
use crate::{apply, at, look, repair, standing, told, town, wants_to_pay};

fn range(t: &Town, from: &str, to: &str) -> aquabills::actions::reconcile::Report {
    reconcile(&t.context, &LookOptions { from: Some(day(from)), to: Some(day(to)), ..standing() }).expect("a look")
}

on_both! {
    fn what_moved_just_now_does_not_ring(t: Town) {
        let (t, books) = town(t, 1);
        wants_to_pay(&t, "pi_1", "A1", 5000);
        // Noon, and the callback is on its way.
        let event = books.pays("pi_1", 5000, "2026-06-15T11:45:00Z");
        let report = look(&t);
        assert_eq!((report.differences, report.in_transit, report.total.in_transit.cents()), (0, 1, 5000));
        assert!(report.agrees());
        // Half an hour after it moved it is a difference.
        at(&t, "2026-06-15T12:16:00Z");
        assert_eq!(look(&t).delta_cents, 5000);
        // The callback came late; a moment later the other side of a new payment is missing, and that is under way again.
        deliver(&t.context, &event);
        apply(&t);
        assert!(look(&t).agrees());
        wants_to_pay(&t, "pi_2", "A1", 100);
        let early = books.pays("pi_2", 100, "2026-06-15T12:15:00Z");
        books.written().movements.pop();
        deliver(&t.context, &early);
        apply(&t);
        let report = look(&t);
        assert_eq!((report.differences, report.in_transit), (0, 1), "the provider may list it in a minute");
    }

    fn a_difference_that_moves_again_is_neither_gone_nor_new(t: Town) {
        let (t, books) = town(t, 1);
        wants_to_pay(&t, "pi_1", "A1", 5000);
        books.pays("pi_1", 5000, "2026-06-15T10:00:00Z");
        assert_eq!(look(&t).differences, 1);
        books.corrects("pi_1", 5000, 4000, "2026-06-15T10:00:00Z", "2026-06-15T11:59:00Z");
        assert_eq!(look(&t).differences, 0, "it is under way again");
        assert_eq!(told(&t), ["not_in_ledger pi_1 - 50.00 -"], "and what was found is not called gone");
        at(&t, "2026-06-15T13:00:00Z");
        assert_eq!(look(&t).delta_cents, 4000);
        assert_eq!(told(&t), ["not_in_ledger pi_1 - 40.00 -"]);
        assert!(repair(&t).agrees());
        assert_eq!(told(&t), [""; 0]);
    }

    fn made_before_midnight_and_booked_after_it_is_one_payment(t: Town) {
        let mut t = t;
        t.configure(|config| config.time_zone = chrono_tz::America::Los_Angeles);
        let (t, books) = town(t, 2);
        // 23:58 on the 12th in Los Angeles, booked at 00:03 on the 13th; it is the 13th in UTC both times.
        wants_to_pay(&t, "pi_1", "A1", 5000);
        deliver(&t.context, &books.pays_later("pi_1", 5000, "2026-06-13T06:58:00Z", "2026-06-13T07:03:00Z"));
        // 20:00 on the 12th in Los Angeles: the 13th in UTC.
        wants_to_pay(&t, "pi_2", "A2", 900);
        deliver(&t.context, &books.pays("pi_2", 900, "2026-06-13T03:00:00Z"));
        apply(&t);
        assert!(look(&t).agrees());
        // Days side by side count everything once, wherever the cut is.
        for (from, to, cents) in [("2026-06-12", "2026-06-12", 900), ("2026-06-13", "2026-06-13", 5000), ("2026-06-12", "2026-06-13", 5900), ("2026-06-14", "2026-06-15", 0)] {
            let report = range(&t, from, to);
            assert!(report.agrees(), "{from} to {to}: {report:#?}");
            assert_eq!((report.ledger_cents, report.provider_cents), (cents, cents), "{from} to {to}");
        }
    }

    fn a_bank_debit_is_booked_days_after_it_was_made(t: Town) {
        let (t, books) = town(t, 1);
        wants_to_pay(&t, "pi_1", "A1", 5000);
        deliver(&t.context, &books.pays_later("pi_1", 5000, "2026-06-08T10:00:00Z", "2026-06-12T10:00:00Z"));
        apply(&t);
        at(&t, "2026-06-15T18:00:00Z");
        assert_eq!(range(&t, "2026-06-08", "2026-06-08").ledger_cents, 0, "it counts on the day on which the provider moved it");
        assert_eq!(range(&t, "2026-06-12", "2026-06-12").ledger_cents, 5000);
        assert!(look(&t).agrees());
    }

    fn a_correction_of_an_old_payment_is_found_today(t: Town) {
        let (t, books) = town(t, 1);
        at(&t, "2026-04-20T12:00:00Z");
        wants_to_pay(&t, "pi_1", "A1", 5000);
        deliver(&t.context, &books.pays("pi_1", 5000, "2026-04-20T10:00:00Z"));
        apply(&t);
        at(&t, "2026-06-15T12:00:00Z");
        // Nobody looked for two months: the first movement is asked for when the second makes no sense alone.
        let event = books.corrects("pi_1", 5000, 5500, "2026-04-20T10:00:00Z", "2026-06-14T10:00:00Z");
        let report = look(&t);
        assert_eq!((report.differences, report.delta_cents), (1, 500), "{report:#?}");
        assert_eq!(told(&t), ["amounts_differ pi_1 50.00 55.00 -"]);
        deliver(&t.context, &event);
        apply(&t);
        assert!(look(&t).agrees());
    }

    fn what_was_found_is_carried_until_it_is_gone(t: Town) {
        let (t, books) = town(t, 1);
        wants_to_pay(&t, "pi_1", "A1", 5000);
        books.pays("pi_1", 5000, "2026-06-14T10:00:00Z");
        assert_eq!(look(&t).delta_cents, 5000);
        at(&t, "2026-06-28T12:00:00Z");
        let report = look(&t);
        assert_eq!((report.differences, report.earlier.differences, report.delta_cents), (1, 1, 5000));
        // A look at other days neither finds it nor calls it gone.
        assert!(range(&t, "2026-06-20", "2026-06-25").agrees());
        assert_eq!(told(&t).len(), 1);
        assert!(repair(&t).agrees());
        assert_eq!(t.balance("A1"), "-50.00");
    }

    fn ranges_that_make_no_sense_are_refused(t: Town) {
        let (t, _) = town(t, 1);
        let refused = |from: &str, to: &str| {
            let outcome = reconcile(&t.context, &LookOptions { from: Some(day(from)), to: Some(day(to)), ..standing() });
            outcome.expect_err("a refusal").to_string()
        };
        assert!(refused("2026-06-15", "2026-06-16").contains("in the future"));
        assert!(refused("2026-06-15", "2026-06-14").contains("is after"));
        assert!(refused("2020-01-01", "2026-06-15").contains("more than 400 days"));
    }
}
