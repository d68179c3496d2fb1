//! What happens to single payments: on their way, come, corrected, returned, for nobody; and what a bill run makes of them.

use aquabills::actions::ActionError;
use aquabills::actions::inbox::{Inbox, ReceiveError, receive};
use aquabills::db::{inbox, notices, provider_payments};
use aquabills::domain::ids::NoticeId;
use aquabills::providers::SignatureError;
use serde_json::{Value, json};

use super::provider::{DAY, MERCHANT, NAME, NOON, deliver, dispute, payment, refund};
use super::support::{Town, on_both};
use super::{attempt, open_todos, settle_all, town};

fn state(town: &Town, reference: &str) -> String {
    let row = town.context.database.read(|conn| provider_payments::by_reference(conn, NAME, MERCHANT, reference));
    row.expect("a read").expect("the payment").state
}

fn mails(town: &Town, kind: &str) -> usize {
    let all = town.context.database.read(|conn| notices::page(conn, &notices::Wanted::default(), NoticeId(i64::MAX), 500));
    all.expect("the notices").iter().filter(|(notice, _)| notice.kind == kind).count()
}

on_both! {
    fn only_certain_money_is_posted(start: Town) {
        let town = town(start, 1);
        attempt(&town.context, "p", &[("A1", 5000)]);
        deliver(&town.context, &payment("p", "1", 0, "created", 5000));
        settle_all(&town.context);
        assert_eq!((state(&town, "p").as_str(), town.balance("A1").as_str()), ("created", "0.00"));
        deliver(&town.context, &payment("p", "2", 60, "submitted", 5000));
        settle_all(&town.context);
        assert_eq!((state(&town, "p").as_str(), town.balance("A1").as_str()), ("submitted", "0.00"));
        deliver(&town.context, &payment("p", "3", 120, "succeeded", 5000));
        settle_all(&town.context);
        assert_eq!((state(&town, "p").as_str(), town.balance("A1").as_str()), ("succeeded", "-50.00"));
        deliver(&town.context, &dispute("p", "4", 2 * DAY, 5000, true, false));
        settle_all(&town.context);
        assert_eq!((state(&town, "p").as_str(), town.balance("A1").as_str()), ("returned", "0.00"));
        deliver(&town.context, &dispute("p", "5", 9 * DAY, 5000, true, true));
        settle_all(&town.context);
        assert_eq!((state(&town, "p").as_str(), town.balance("A1").as_str()), ("succeeded", "-50.00"));
        town.assert_sound();
    }

    // A refund's event names no attempt of ours, and may come first.
    fn an_event_that_names_no_attempt_finds_it_all_the_same(start: Town) {
        let town = town(start, 2);
        attempt(&town.context, "p", &[("A1", 5000)]);
        attempt(&town.context, "q", &[("A2", 5000)]);
        for name in ["p", "q"] {
            deliver(&town.context, &refund(name, "r", "2", DAY, 1000, true));
            if name == "p" {
                settle_all(&town.context);
            }
            deliver(&town.context, &payment(name, "1", 0, "succeeded", 5000));
            settle_all(&town.context);
        }
        assert_eq!((town.balance("A1").as_str(), town.balance("A2").as_str()), ("-40.00", "-40.00"));
        assert_eq!(open_todos(&town.context, "unapplied_credit"), 0);
        // The attempt leads to the payment, not to what was begun and never went on.
        for name in ["p", "q"] {
            let found = town.context.database.read(|conn| {
                let checkout = provider_payments::checkout_by_token(conn, &format!("token-{name}"))?.expect("the attempt");
                provider_payments::of_checkout(conn, checkout.id)
            });
            let found = found.expect("a read").expect("its payment");
            assert_eq!((found.provider_ref.as_deref(), found.state.as_str()), (Some(name), "succeeded"));
        }
        town.assert_sound();
    }

    fn a_failed_payment_moves_nothing(start: Town) {
        let town = town(start, 1);
        attempt(&town.context, "p", &[("A1", 5000)]);
        deliver(&town.context, &payment("p", "1", 60, "failed", 5000));
        deliver(&town.context, &payment("p", "2", 0, "submitted", 5000));
        settle_all(&town.context);
        assert_eq!((state(&town, "p").as_str(), town.balance("A1").as_str()), ("failed", "0.00"));
    }

    fn one_payment_for_several_accounts(start: Town) {
        let town = town(start, 3);
        attempt(&town.context, "p", &[("A1", 3000), ("A2", 2000), ("A3", 1000)]);
        deliver(&town.context, &payment("p", "1", 0, "succeeded", 6000));
        settle_all(&town.context);
        assert_eq!(["A1", "A2", "A3"].map(|account| town.balance(account)), ["-30.00", "-20.00", "-10.00"]);
        // What goes back goes back from the first that has any left.
        deliver(&town.context, &refund("p", "r", "2", DAY, 4000, true));
        settle_all(&town.context);
        assert_eq!(["A1", "A2", "A3"].map(|account| town.balance(account)), ["0.00", "-10.00", "-10.00"]);
        // The refund did not arrive after all.
        deliver(&town.context, &refund("p", "r", "3", 2 * DAY, 4000, false));
        settle_all(&town.context);
        assert_eq!(["A1", "A2", "A3"].map(|account| town.balance(account)), ["-30.00", "-20.00", "-10.00"]);
        town.assert_sound();
    }

    fn money_for_nobody_waits_for_a_person(start: Town) {
        let town = town(start, 1);
        deliver(&town.context, &json!({"id": "e1", "at": NOON, "payment": "lost", "what": "payment", "state": "succeeded", "amount": 700, "made_at": NOON}));
        settle_all(&town.context);
        settle_all(&town.context);
        assert_eq!(open_todos(&town.context, "unapplied_credit"), 1);
        // It turns out who it was for: the provider says so in a later event.
        attempt(&town.context, "lost", &[("A1", 700)]);
        deliver(&town.context, &payment("lost", "2", 60, "succeeded", 700));
        settle_all(&town.context);
        assert_eq!((open_todos(&town.context, "unapplied_credit"), town.balance("A1").as_str()), (0, "-7.00"));
        town.assert_sound();
    }

    fn a_customer_is_told_once(start: Town) {
        let town = town(start, 1);
        give_an_address(&town);
        attempt(&town.context, "p", &[("A1", 5000)]);
        for _ in 0..20 {
            deliver(&town.context, &payment("p", "1", 0, "succeeded", 5000));
            settle_all(&town.context);
        }
        assert_eq!(mails(&town, "payment_received"), 1);
    }

    // Whoever was told that money came hears when it goes back, and whoever was asked to pay again hears when it need not be.
    fn what_goes_back_and_what_stands_again_is_told_once(start: Town) {
        let town = town(start, 1);
        give_an_address(&town);
        attempt(&town.context, "p", &[("A1", 5000)]);
        let thrice = |event: &Value| {
            for _ in 0..3 {
                deliver(&town.context, event);
                settle_all(&town.context);
            }
        };
        let told = || ["payment_received", "refund_sent", "refund_failed", "payment_returned", "payment_corrected"].map(|kind| mails(&town, kind));
        thrice(&payment("p", "1", 0, "succeeded", 5000));
        thrice(&refund("p", "r", "2", DAY, 1000, true));
        assert_eq!((told(), town.balance("A1").as_str()), ([1, 1, 0, 0, 0], "-40.00"));
        // Told again by another event, and with the payment told to be of a bank: no news.
        thrice(&refund("p", "r", "2b", DAY + 60, 1000, true));
        let mut from_bank = payment("p", "2c", DAY + 90, "succeeded", 5000);
        from_bank["from_bank"] = Value::from(true);
        thrice(&from_bank);
        assert_eq!((told(), town.balance("A1").as_str()), ([1, 1, 0, 0, 0], "-40.00"));
        thrice(&refund("p", "r", "3", 2 * DAY, 1000, false));
        assert_eq!((told(), town.balance("A1").as_str()), ([1, 1, 1, 0, 0], "-50.00"));
        thrice(&dispute("p", "4", 2 * DAY, 5000, true, false));
        assert_eq!((told(), town.balance("A1").as_str()), ([1, 1, 1, 1, 0], "0.00"));
        thrice(&dispute("p", "5", 4 * DAY, 5000, true, true));
        assert_eq!((told(), town.balance("A1").as_str()), ([1, 1, 1, 1, 1], "-50.00"));
        thrice(&dispute("p", "4", 2 * DAY, 5000, true, false));
        assert_eq!(told(), [1, 1, 1, 1, 1], "what is old changes nothing");
        let all = town.context.database.read(|conn| notices::page(conn, &notices::Wanted::default(), NoticeId(i64::MAX), 500)).expect("the notices");
        let (won, _) = all.iter().find(|(notice, _)| notice.kind == "payment_corrected").expect("the last news");
        let facts: Value = serde_json::from_str(&won.facts).expect("JSON");
        assert_eq!((&facts["stands_again"], &facts["is_cents"], &facts["balance_cents"]), (&json!(true), &json!(5000), &json!(-5000)));
        // A dispute over a part, and its end.
        attempt(&town.context, "q", &[("A1", 2000)]);
        thrice(&payment("q", "1", 0, "succeeded", 2000));
        thrice(&dispute("q", "2", 2 * DAY, 500, true, false));
        assert_eq!(told(), [2, 1, 1, 2, 1]);
        thrice(&dispute("q", "3", 4 * DAY, 500, true, true));
        assert_eq!(told(), [2, 1, 1, 2, 2]);
        town.assert_sound();
    }

    fn a_refund_is_told_once_in_any_order_and_history_is_not_told(start: Town) {
        let town = town(start, 1);
        give_an_address(&town);
        for name in ["p", "q"] {
            attempt(&town.context, name, &[("A1", 5000)]);
            let mut events = vec![payment(name, "1", 0, "succeeded", 5000), refund(name, "r", "2", DAY, 5000, true)];
            if name == "q" {
                events.reverse();
            }
            for event in events.iter().chain(&events) {
                deliver(&town.context, event);
                settle_all(&town.context);
            }
        }
        assert_eq!((mails(&town, "payment_received"), mails(&town, "refund_sent"), town.balance("A1").as_str()), (2, 2, "0.00"));
        // Long ago: the ledger has it, and nobody is told, neither at once nor one after the other.
        let long_ago = |event: Value| {
            let mut event = event;
            for time in ["at", "made_at"] {
                event[time] = Value::from(event[time].as_i64().expect("a time") - 400 * DAY);
            }
            event
        };
        attempt(&town.context, "old", &[("A1", 3000)]);
        let history = [
            payment("old", "1", 0, "succeeded", 3000),
            refund("old", "r", "2", DAY, 1000, true),
            refund("old", "r", "3", 2 * DAY, 1000, false),
            dispute("old", "4", 2 * DAY, 3000, true, false),
            dispute("old", "5", 9 * DAY, 3000, true, true),
        ];
        for event in history {
            deliver(&town.context, &long_ago(event));
            settle_all(&town.context);
        }
        assert_eq!(town.balance("A1"), "-30.00");
        let all = town.context.database.read(|conn| notices::page(conn, &notices::Wanted::default(), NoticeId(i64::MAX), 500)).expect("the notices");
        assert_eq!(all.len(), 4, "{all:?}");
        town.assert_sound();
    }

    fn an_unsigned_event_changes_nothing(start: Town) {
        let town = town(start, 1);
        let event = payment("p", "1", 0, "succeeded", 5000).to_string();
        let refused = receive(&town.context, NAME, event.as_bytes(), Some("forged"));
        assert!(matches!(refused, Err(ReceiveError::Signature(SignatureError::Mismatch))), "{refused:?}");
        assert!(matches!(receive(&town.context, NAME, event.as_bytes(), None), Err(ReceiveError::Signature(_))));
        assert!(matches!(receive(&town.context, "nobody", event.as_bytes(), Some("signed")), Err(ReceiveError::Unknown(_))));
        assert_eq!(settle_all(&town.context).applied, 0);
    }

    fn what_cannot_be_read_is_kept_and_stops_nobody(start: Town) {
        let town = town(start, 1);
        attempt(&town.context, "p", &[("A1", 5000)]);
        deliver(&town.context, &json!({"id": "odd", "at": NOON, "payment": "p", "what": "a new thing"}));
        deliver(&town.context, &payment("p", "1", 0, "succeeded", 5000));
        let settled = settle_all(&town.context);
        assert_eq!((settled.applied, settled.failed), (1, 1));
        assert_eq!(town.balance("A1"), "-50.00");
    }

    fn another_currency_is_never_posted(start: Town) {
        let town = town(start, 1);
        attempt(&town.context, "p", &[("A1", 5000)]);
        let mut event = payment("p", "1", 0, "succeeded", 5000);
        event["currency"] = Value::from("EUR");
        deliver(&town.context, &event);
        assert_eq!(settle_all(&town.context).failed, 1);
        assert_eq!(town.balance("A1"), "0.00");
    }

    // P1: the run applies what waits before it prices anything, without any job beside it.
    fn a_bill_run_settles_the_inbox_first(start: Town) {
        let town = town(start, 1);
        town.reads(&["M1,2026-04-01,100", "M1,2026-05-01,110"]);
        attempt(&town.context, "p", &[("A1", 5000)]);
        deliver(&town.context, &payment("p", "1", 0, "succeeded", 5000));
        assert_eq!(town.balance("A1"), "0.00");
        let report = town.bill("2026-05-01");
        assert_eq!(report.totals.billed, 1);
        // 10.00 and 10 units at 2.00, less the 50.00 that nobody had applied before.
        assert_eq!(town.balance("A1"), "-20.00");
        town.assert_sound();
    }

    // An account for which something waits that cannot be applied is not billed, and the run says why; others are.
    fn an_account_with_an_unapplied_event_is_held(start: Town) {
        let town = town(start, 2);
        town.reads(&["M1,2026-04-01,100", "M1,2026-05-01,110", "M2,2026-04-01,100", "M2,2026-05-01,110"]);
        attempt(&town.context, "p", &[("A1", 5000)]);
        let mut event = payment("p", "1", 0, "succeeded", 5000);
        event["currency"] = Value::from("EUR");
        deliver(&town.context, &event);
        let report = town.bill("2026-05-01");
        assert_eq!((report.totals.billed, report.totals.held), (1, 1));
        assert_eq!((town.balance("A1").as_str(), town.balance("A2").as_str()), ("0.00", "30.00"));
        // The provider corrects it; the account is billed with what came.
        deliver(&town.context, &payment("p", "2", 60, "succeeded", 5000));
        settle_all(&town.context);
        let report = town.bill("2026-05-01");
        assert_eq!((report.totals.billed, report.totals.held), (1, 0));
        assert_eq!(town.balance("A1"), "-20.00");
        town.assert_sound();
    }

    // A bill names the last payment that stands, also when corrections and disputes lie between.
    fn a_bill_names_the_payment_that_stands(start: Town) {
        let town = town(start, 1);
        town.reads(&["M1,2026-04-01,100", "M1,2026-05-01,110", "M1,2026-06-01,120"]);
        town.pay("A1", "5.00", "R1");
        attempt(&town.context, "p", &[("A1", 5000)]);
        deliver(&town.context, &payment("p", "1", 0, "succeeded", 5000));
        settle_all(&town.context);
        deliver(&town.context, &payment("p", "2", 60, "succeeded", 4500));
        settle_all(&town.context);
        town.bill("2026-05-01");
        deliver(&town.context, &dispute("p", "3", 2 * DAY, 4500, true, false));
        settle_all(&town.context);
        town.bill("2026-06-01");
        assert_eq!(town.balance("A1"), "55.00");
        deliver(&town.context, &dispute("p", "4", 3 * DAY, 4500, true, true));
        settle_all(&town.context);
        town.reads(&["M1,2026-06-10,121"]);
        town.bill("2026-06-10");
        town.assert_sound();
    }

    // Many deliveries at once share commits, and each is answered for itself.
    fn a_burst_is_stored_whole(start: Town) {
        let town = town(start, 1);
        let inbox = Inbox::start(&town.context).expect("the inbox");
        attempt(&town.context, "p", &[("A1", 5000)]);
        std::thread::scope(|scope| {
            for thread in 0..16 {
                let (inbox, context) = (&inbox, &town.context);
                scope.spawn(move || {
                    for number in 0..25 {
                        let cents = if number % 2 == 0 { 5000 } else { 4000 };
                        let event = payment("p", &(number % 10).to_string(), i64::from(number % 10), "succeeded", cents).to_string();
                        inbox.receive(context, NAME, event.as_bytes(), Some("signed")).unwrap_or_else(|error| panic!("{thread}: {error}"));
                    }
                });
            }
        });
        settle_all(&town.context);
        assert_eq!(town.balance("A1"), "-40.00");
        let events = town.context.database.read(|conn| inbox::of_payment(conn, NAME, MERCHANT, Some("p"), None, 100)).expect("the events");
        assert_eq!((events.len(), events.iter().map(|event| event.deliveries).sum::<i32>()), (10, 400));
        town.assert_sound();
    }

    // Two programs at one inbox: each event is applied once.
    fn two_that_settle_do_not_apply_twice(start: Town) {
        let town = town(start, 8);
        for number in 1..=8 {
            attempt(&town.context, &format!("p{number}"), &[(&format!("A{number}"), 5000)]);
            for id in ["1", "2", "3"] {
                deliver(&town.context, &payment(&format!("p{number}"), id, id.parse().unwrap(), "succeeded", 5000));
            }
        }
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| settle_all(&town.context));
            }
        });
        for number in 1..=8 {
            assert_eq!(town.balance(&format!("A{number}")), "-50.00");
        }
        town.assert_sound();
    }

    // The reference of a provider's payment is never taken away and never given twice.
    fn references_stay(start: Town) {
        let town = town(start, 1);
        attempt(&town.context, "p", &[("A1", 5000)]);
        deliver(&town.context, &payment("p", "1", 0, "succeeded", 5000));
        settle_all(&town.context);
        let sql = |text: &str| {
            let text = text.to_owned();
            let done: Result<(), ActionError> =
                town.context.database.write(|conn| diesel::connection::SimpleConnection::batch_execute(conn, &text).map_err(ActionError::from));
            done.expect_err("it is refused").to_string()
        };
        assert!(sql("UPDATE provider_payment SET provider_ref = NULL").contains("never changed"));
        assert!(sql("UPDATE provider_payment SET provider_ref = 'q'").contains("never changed"));
        assert!(sql("UPDATE payment SET provider_payment_id = NULL").contains("never edited"));
        assert!(sql("DELETE FROM provider_event").contains("never deleted"));
        assert!(sql("UPDATE provider_event SET event_type = 'x'").contains("never edited"));
        let copy = "INSERT INTO provider_payment (provider, merchant, provider_ref, state, amount_cents, currency, tender, made_on, trace_id, created_at, updated_at) \
            SELECT provider, merchant, provider_ref, state, amount_cents, currency, tender, made_on, trace_id, created_at, updated_at FROM provider_payment";
        assert!(town.context.database.write(|conn| diesel::connection::SimpleConnection::batch_execute(conn, copy).map_err(ActionError::from)).is_err());
    }
}

fn give_an_address(town: &Town) {
    let csv = "customer_id,service_id,rate_class,meter_id,register_digits,email\nA1,S1,HOME,M1,4,ada@example.com\n";
    assert_eq!(town.services(csv).expect("the services").refused, 0);
}
