//! What goes wrong between the ledger and a provider, told one by one.

use aquabills::actions::audit_trail::{Question, audit_trail};
use aquabills::actions::reconcile::backfill::replay;
use aquabills::actions::reconcile::{Fetch, LookOptions, reconcile};
use aquabills::actions::stop::Stop;
use aquabills::domain::reconciliation::Action;

use crate::fake_provider::deliver;
use crate::support::{day, lines, on_both};
use crate::{apply, at, look, open, repair, standing, tamper, told, town, wants_to_pay};

on_both! {
    fn what_agrees_agrees_and_stands_in_the_trace(t: Town) {
        let (t, books) = town(t, 2);
        wants_to_pay(&t, "pi_1", "A1", 5000);
        deliver(&t.context, &books.pays("pi_1", 5000, "2026-06-14T10:00:00Z"));
        apply(&t);
        let report = look(&t);
        assert!(report.agrees(), "{report:#?}");
        assert_eq!((report.ledger_cents, report.provider_cents, report.delta_cents, report.newly_agreed), (5000, 5000, 0, 1));
        let line = report.days.iter().find(|line| line.day == day("2026-06-14")).expect("the day");
        assert_eq!((line.sums.online.left.cents(), line.sums.online.right.cents()), (5000, 5000));
        assert_eq!(report.days.len(), 8);
        // Once for each time that the payment moved.
        assert_eq!(look(&t).newly_agreed, 0);
        let steps = t.context.database.read(|conn| Ok::<_, diesel::result::Error>(lines(conn, "SELECT detail AS line FROM trace_step WHERE step = 'reconciled'")));
        assert_eq!(steps.expect("the trace"), ["ledger and provider agree: 50.00"]);
    }

    fn lost_callbacks_are_found_and_mended(t: Town) {
        let (t, books) = town(t, 5);
        for n in 1..=5_i64 {
            wants_to_pay(&t, &format!("pi_{n}"), &format!("A{n}"), n * 1000);
            let event = books.pays(&format!("pi_{n}"), n * 1000, "2026-06-14T10:00:00Z");
            if n == 1 {
                deliver(&t.context, &event);
            }
        }
        apply(&t);
        let report = look(&t);
        assert_eq!((report.differences, report.delta_cents, report.ledger_cents, report.provider_cents), (4, 14_000, 1000, 15_000));
        assert_eq!(told(&t), ["not_in_ledger pi_2 - 20.00 -", "not_in_ledger pi_3 - 30.00 -", "not_in_ledger pi_4 - 40.00 -", "not_in_ledger pi_5 - 50.00 -"]);
        assert!(open(&t).iter().all(|row| row.action() == Action::FetchEvents && row.detail.cause.contains("lost")));
        assert_eq!(t.balance("A2"), "0.00", "a look alone moves nothing");

        let report = repair(&t);
        assert!(report.agrees(), "{report:#?}");
        assert_eq!((report.repaired.listed, report.repaired.fetched, report.repaired.applied), (5, 4, 4));
        assert_eq!((t.balance("A2"), t.balance("A5")), ("-20.00".to_owned(), "-50.00".to_owned()));
        assert_eq!(told(&t), [""; 0]);
        // Again: nothing is left to do, and nothing is done twice.
        let rows = t.ledger_rows();
        assert_eq!(repair(&t).repaired.fetched, 0);
        assert_eq!(t.ledger_rows(), rows);
        t.assert_sound();
        let question = Question { action: Some("reconciliation.repair".to_owned()), ..Question::default() };
        assert_eq!(audit_trail(&t.context, &question, 10).expect("the trail").rows.len(), 1, "what was mended is in the trail, once");
    }

    fn a_payment_and_its_dispute_that_both_got_lost_are_no_agreement(t: Town) {
        let (t, books) = town(t, 1);
        wants_to_pay(&t, "pi_1", "A1", 777);
        books.pays("pi_1", 777, "2026-06-12T10:00:00Z");
        books.disputes("pi_1", 777, "2026-06-14T10:00:00Z");
        let report = look(&t);
        assert!(!report.agrees(), "{report:#?}");
        assert_eq!(told(&t), ["not_in_ledger pi_1 - 7.77 -", "returned_there_not_here pi_1 - -7.77 -"]);
        assert!(repair(&t).agrees());
        assert_eq!((t.balance("A1"), told(&t).len()), ("0.00".to_owned(), 0));
        assert_eq!(t.ledger_rows().len(), 2, "both ways are in the ledger");
    }

    fn more_that_went_back_than_came_is_asked_about(t: Town) {
        let (t, books) = town(t, 1);
        wants_to_pay(&t, "pi_1", "A1", 3606);
        for event in [books.pays("pi_1", 3606, "2026-06-12T10:00:00Z"), books.refunds("pi_1", 3000, "2026-06-13T10:00:00Z"), books.disputes("pi_1", 3606, "2026-06-14T10:00:00Z")] {
            deliver(&t.context, &event);
        }
        apply(&t);
        at(&t, "2026-06-15T13:00:00Z");
        let report = look(&t);
        assert_eq!((report.differences, report.delta_cents), (1, 3000), "{report:#?}");
        let row = open(&t).remove(0);
        assert!(row.action() == Action::AskProvider && row.detail.cause.contains("66.06 back of a payment of 36.06"), "{row:#?}");
    }

    fn a_correction_that_never_arrived(t: Town) {
        let (t, books) = town(t, 1);
        wants_to_pay(&t, "pi_1", "A1", 5000);
        deliver(&t.context, &books.pays("pi_1", 5000, "2026-06-10T10:00:00Z"));
        apply(&t);
        at(&t, "2026-06-15T13:00:00Z");
        assert!(look(&t).agrees());
        books.corrects("pi_1", 5000, 4321, "2026-06-10T10:00:00Z", "2026-06-14T10:00:00Z");
        let report = look(&t);
        assert_eq!((report.differences, report.delta_cents), (1, 679));
        assert_eq!(told(&t), ["amounts_differ pi_1 50.00 43.21 -"]);
        let found = &open(&t)[0];
        assert_eq!((found.ours().len(), found.theirs().len(), found.account.as_deref()), (1, 2, Some("A1")));
        assert!(repair(&t).agrees());
        assert_eq!(t.balance("A1"), "-43.21");
        t.assert_sound();
    }

    fn a_chargeback_that_is_missing(t: Town) {
        let (t, books) = town(t, 2);
        for (payment, account) in [("pi_1", "A1"), ("pi_2", "A2")] {
            wants_to_pay(&t, payment, account, 5000);
            deliver(&t.context, &books.pays(payment, 5000, "2026-06-10T10:00:00Z"));
        }
        apply(&t);
        books.disputes("pi_1", 5000, "2026-06-14T10:00:00Z");
        books.refunds("pi_2", 1200, "2026-06-14T10:00:00Z");
        let report = look(&t);
        assert_eq!((report.differences, report.delta_cents), (2, 6200));
        assert_eq!(told(&t), ["returned_there_not_here pi_1 - -50.00 -", "returned_there_not_here pi_2 - -12.00 -"]);
        assert!(repair(&t).agrees());
        assert_eq!((t.balance("A1"), t.balance("A2")), ("0.00".to_owned(), "-38.00".to_owned()));
        t.assert_sound();
    }

    fn a_wrong_amount_planted_behind_the_back_is_found_to_the_cent(t: Town) {
        let (t, books) = town(t, 2);
        for (payment, account) in [("pi_1", "A1"), ("pi_2", "A2")] {
            wants_to_pay(&t, payment, account, 5000);
            deliver(&t.context, &books.pays(payment, 5000, "2026-06-14T10:00:00Z"));
        }
        apply(&t);
        at(&t, "2026-06-15T13:00:00Z");
        assert!(look(&t).agrees());
        // A cent in the ledger's transaction, and seven in a payment's own row.
        tamper(
            &t,
            "DROP TRIGGER financial_transaction_no_update; DROP TRIGGER payment_money_is_fixed;
             UPDATE financial_transaction SET amount_cents = -5001 WHERE source = 'books:pi_1';
             UPDATE payment SET amount_cents = 5007 WHERE provider_ref = 'pi_2';",
            "ALTER TABLE financial_transaction DISABLE TRIGGER ALL; ALTER TABLE payment DISABLE TRIGGER ALL;
             UPDATE financial_transaction SET amount_cents = -5001 WHERE source = 'books:pi_1';
             UPDATE payment SET amount_cents = 5007 WHERE provider_ref = 'pi_2';
             ALTER TABLE financial_transaction ENABLE TRIGGER ALL; ALTER TABLE payment ENABLE TRIGGER ALL;",
        );
        let report = look(&t);
        // The first is wrong on two counts: against the provider, and against its own row.
        assert_eq!((report.differences, report.delta_cents), (3, 1 + 1 + 7));
        assert_eq!(told(&t), ["amounts_differ pi_1 50.01 50.00 -", "rows_disagree pi_1 50.01 - -", "rows_disagree pi_2 50.00 - -"]);
        // No event says so: a repair invents nothing.
        assert_eq!(repair(&t).delta_cents, 9);
    }

    fn the_second_row_of_the_incident_is_called_by_its_name(t: Town) {
        let (t, books) = town(t, 1);
        wants_to_pay(&t, "pi_1", "A1", 5000);
        deliver(&t.context, &books.pays("pi_1", 5000, "2026-06-14T10:00:00Z"));
        apply(&t);
        // The old table had no unique key on the reference: it is taken away, and a second payment gets the reference of the first.
        t.pay("A1", "50.00", "R-2");
        let twice = "UPDATE payment SET provider = 'books', merchant = 'waterworks', provider_ref = 'pi_1' WHERE provider_ref = 'R-2';";
        tamper(
            &t,
            &format!("DROP INDEX payment_provider_ref_once; DROP TRIGGER payment_money_is_fixed; {twice}"),
            &format!("DROP INDEX payment_provider_ref_once; ALTER TABLE payment DISABLE TRIGGER ALL; {twice} ALTER TABLE payment ENABLE TRIGGER ALL;"),
        );
        at(&t, "2026-06-15T13:00:00Z");
        let report = look(&t);
        assert_eq!(told(&t), ["twice_in_ledger pi_1 100.00 50.00 -"]);
        assert_eq!((report.differences, report.delta_cents), (1, 5000));
    }

    fn money_for_nobody_waits_and_is_told(t: Town) {
        let (t, books) = town(t, 1);
        deliver(&t.context, &books.pays("pi_9", 700, "2026-06-14T10:00:00Z"));
        apply(&t);
        let report = look(&t);
        assert_eq!((report.differences, report.delta_cents), (1, 700));
        assert_eq!(told(&t), ["unapplied_credit pi_9 - 7.00 -"]);
        assert_eq!(open(&t)[0].action(), Action::AssignAccount);
        // A part of it goes back at the provider: what waits is the rest, and it is one difference.
        deliver(&t.context, &books.refunds("pi_9", 200, "2026-06-14T18:00:00Z"));
        apply(&t);
        assert_eq!(look(&t).delta_cents, 500);
        assert_eq!(told(&t), ["unapplied_credit pi_9 - 5.00 -"]);
        // Somebody decides that it is no customer's: that is an answer.
        let credit = aquabills::domain::ids::UnappliedCreditId(1);
        aquabills::actions::bank::credits::dismiss(&t.context, credit, "a test of the provider's").expect("it is dismissed");
        let report = look(&t);
        assert!(report.agrees(), "{report:#?}");
    }

    fn an_event_that_cannot_be_applied_is_the_cause(t: Town) {
        let (t, books) = town(t, 1);
        wants_to_pay(&t, "pi_1", "A1", 5000);
        let mut event = books.pays("pi_1", 5000, "2026-06-14T10:00:00Z");
        event["currency"] = "EUR".into();
        deliver(&t.context, &event);
        apply(&t);
        at(&t, "2026-06-15T13:00:00Z");
        let report = look(&t);
        assert_eq!((report.differences, report.delta_cents), (1, 5000), "the event explains the difference and is none of its own");
        let found = &open(&t)[0];
        assert!(found.detail.cause.contains("EUR") && found.action() == Action::ApplyEvents, "{found:#?}");
    }

    fn in_the_ledger_and_not_at_the_provider(t: Town) {
        let (t, books) = town(t, 2);
        for (payment, account) in [("pi_1", "A1"), ("pi_2", "A2")] {
            wants_to_pay(&t, payment, account, 5000);
            deliver(&t.context, &books.pays(payment, 5000, "2026-06-14T10:00:00Z"));
        }
        apply(&t);
        // It vanishes from the provider's list before anybody looked.
        books.written().movements.remove(0);
        at(&t, "2026-06-15T13:00:00Z");
        let report = look(&t);
        assert_eq!((report.differences, report.delta_cents), (1, 5000));
        assert_eq!(told(&t), ["not_at_provider pi_1 50.00 - -"]);
        assert_eq!(open(&t)[0].action(), Action::AskProvider);
    }

    fn a_provider_that_is_down_rings_no_false_alarm_and_hides_none(t: Town) {
        let (t, books) = town(t, 3);
        wants_to_pay(&t, "pi_1", "A1", 5000);
        books.pays("pi_1", 5000, "2026-06-14T10:00:00Z");
        assert_eq!(look(&t).delta_cents, 5000);
        // It goes down; meanwhile a callback came in that it can no longer confirm.
        at(&t, "2026-06-15T18:00:00Z");
        wants_to_pay(&t, "pi_2", "A2", 900);
        deliver(&t.context, &books.pays("pi_2", 900, "2026-06-15T17:00:00Z"));
        apply(&t);
        at(&t, "2026-06-15T20:00:00Z");
        for answered in [0, 1] {
            books.goes_down_after(Some(answered));
            let report = repair(&t);
            assert_eq!(report.unreachable.len(), 1);
            assert!(!report.agrees(), "what was not asked does not agree");
            assert_eq!((report.differences, report.delta_cents), (1, 5000), "{report:#?}");
            assert_eq!(told(&t), ["not_in_ledger pi_1 - 50.00 -"]);
        }
        books.goes_down_after(None);
        assert!(repair(&t).agrees());
        assert_eq!(t.balance("A1"), "-50.00");
    }

    fn a_replay_changes_nothing_when_the_ledger_was_right(t: Town) {
        let (t, books) = town(t, 3);
        for (n, cents) in [(1, 5000), (2, 700), (3, 900)] {
            wants_to_pay(&t, &format!("pi_{n}"), &format!("A{n}"), cents);
            deliver(&t.context, &books.pays(&format!("pi_{n}"), cents, "2026-06-12T10:00:00Z"));
        }
        deliver(&t.context, &books.corrects("pi_1", 5000, 4000, "2026-06-12T10:00:00Z", "2026-06-13T10:00:00Z"));
        deliver(&t.context, &books.disputes("pi_2", 700, "2026-06-13T10:00:00Z"));
        deliver(&t.context, &books.refunds("pi_3", 400, "2026-06-13T10:00:00Z"));
        apply(&t);
        let before = t.ledger_rows();
        let done = replay(&t.context, day("2026-06-01"), day("2026-06-15"), &Stop::default()).expect("a replay");
        assert_eq!((done.payments, done.changed, done.failed, done.applied), (3, 0, 0, 0));
        assert_eq!(t.ledger_rows(), before);
        assert!(look(&t).agrees());
    }

    fn a_replay_brings_back_what_was_taken_out_of_the_ledger(t: Town) {
        let (t, books) = town(t, 1);
        wants_to_pay(&t, "pi_1", "A1", 5000);
        deliver(&t.context, &books.pays("pi_1", 5000, "2026-06-12T10:00:00Z"));
        apply(&t);
        tamper(
            &t,
            "DROP TRIGGER payment_no_delete; DELETE FROM payment WHERE provider_ref = 'pi_1';",
            "ALTER TABLE payment DISABLE TRIGGER ALL; DELETE FROM payment WHERE provider_ref = 'pi_1'; ALTER TABLE payment ENABLE TRIGGER ALL;",
        );
        assert_eq!(look(&t).delta_cents, 5000);
        let done = replay(&t.context, day("2026-06-10"), day("2026-06-15"), &Stop::default()).expect("a replay");
        assert_eq!((done.payments, done.changed), (1, 1));
        assert!(look(&t).agrees());
    }

    fn offline_compares_what_is_stored(t: Town) {
        let (t, books) = town(t, 1);
        wants_to_pay(&t, "pi_1", "A1", 5000);
        deliver(&t.context, &books.pays("pi_1", 5000, "2026-06-14T10:00:00Z"));
        apply(&t);
        at(&t, "2026-06-15T18:00:00Z");
        let offline = LookOptions { fetch: Fetch::Nothing, ..standing() };
        // Nothing was ever asked: nothing can be judged.
        let report = reconcile(&t.context, &offline).expect("a look");
        assert_eq!((report.differences, report.in_transit), (0, 1));
        assert_eq!(books.written().calls, 0);
        look(&t);
        assert_eq!(reconcile(&t.context, &offline).expect("a look").total.online.right.cents(), 5000);
    }
}
