//! The trace of a payment: from the callback through the ledger to the look after it, as a clerk reads it.

use aquabills::actions::inbox::{Rechecks, receive, recheck};
use aquabills::actions::stop::Stop;
use aquabills::domain::roles::Role;

use crate::stage::{PARENT, TRACE, apply, attempt, paid, signature, sql, stage, wait};
use crate::support::http::Served;
use crate::support::{lines, on_both};

on_both! {
    fn a_clerk_follows_a_payment_from_the_callback_to_the_look_after_it(town: Town) {
        let mut town = stage(town);
        let context = town.context.clone();
        let served = Served::new(&mut town);
        let token = attempt(&context, "A1", "20.00", 'a');
        let body = paid(&context, "evt_follow", "pi_follow", &token, 2000);
        let mut provider = served.browser();
        provider.extra = vec![
            ("Stripe-Signature".to_owned(), signature(&context, &body)),
            ("X-Request-Id".to_owned(), "req-follow-1".to_owned()),
            ("traceparent".to_owned(), format!("00-{TRACE}-{PARENT}-01")),
        ];
        for _ in 0..2 {
            let answer = provider.post("/callbacks/stripe", &body);
            assert_eq!((answer.status, answer.header("x-request-id")), (200, "req-follow-1"), "{}", answer.body);
        }
        apply(&context);
        wait(&context, 6);
        let mut rechecks = Rechecks::default();
        assert_eq!(recheck(&context, &mut rechecks, &Stop::default()).expect("somebody looks again"), 1);
        assert_eq!(recheck(&context, &mut Rechecks::default(), &Stop::default()).expect("another server looks"), 1);
        assert_eq!(rechecks.disagreeing(), 0);

        let steps = "SELECT step AS line FROM trace_step ORDER BY id";
        let steps = context.database.read(|conn| Ok::<_, diesel::result::Error>(lines(conn, steps))).expect("the steps are read");
        assert_eq!(steps, ["begun", "received", "received", "posted", "applied", "rechecked"]);

        let mut clerk = served.staff(Role::Clerk);
        let payment = clerk.get("/staff/accounts/A1/payments/1").body;
        assert!(payment.contains("href=\"/staff/payments/1/trace\""), "{payment}");
        assert!(clerk.get("/staff/accounts/A1").body.contains("href=\"/staff/payments/1/trace\""));
        let page = clerk.get("/staff/payments/1/trace");
        assert_eq!(page.status, 200);
        for expected in ["evt_follow", "pi_follow", "payment_intent.succeeded", "req-follow-1", "Written into the ledger", "Looked at again: the ledger agrees", "A1</a>, no. 1", "$20.00", "6.0 s", "it came 2 times"] {
            assert!(page.body.contains(expected), "{expected}: {}", page.body);
        }
        assert!(!page.body.contains("Markbearer"), "what the provider wrote is not for everybody");
        assert_eq!(clerk.get("/staff/payments/1/events/1").status, 403);
        let mut auditor = served.staff(Role::Auditor);
        let event = auditor.get("/staff/payments/1/events/1").body;
        assert!(event.contains("Zaphod &#60;b&#62;Markbearer") && !event.contains("<b>Mark"), "{event}");
        assert_eq!(auditor.get("/staff/payments/1/events/2").status, 404);
        assert_eq!(clerk.get("/staff/payments/2/trace").status, 404);
    }
}

on_both! {
    fn a_caller_who_uses_one_trace_for_everything_mixes_nothing(town: Town) {
        let mut town = stage(town);
        let context = town.context.clone();
        let served = Served::new(&mut town);
        for (account, key) in [("A1", 'a'), ("B1", 'b')] {
            let token = attempt(&context, account, "20.00", key);
            let body = paid(&context, &format!("evt_{account}"), &format!("pi_{account}"), &token, 2000);
            let mut provider = served.browser();
            provider.extra = vec![
                ("Stripe-Signature".to_owned(), signature(&context, &body)),
                ("traceparent".to_owned(), format!("00-{TRACE}-{PARENT}-01")),
            ];
            assert_eq!(provider.post("/callbacks/stripe", &body).status, 200);
        }
        apply(&context);
        let page = served.staff(Role::Clerk).get("/staff/payments/1/trace").body;
        assert!(page.contains("evt_A1") && !page.contains("evt_B1"), "{page}");
    }
}

on_both! {
    fn a_ledger_that_is_not_what_the_events_ask_for_is_found(town: Town) {
        let town = stage(town);
        let context = &town.context;
        let token = attempt(context, "A1", "20.00", 'a');
        let body = paid(context, "evt_1", "pi_1", &token, 2000);
        receive(context, "stripe", body.as_bytes(), Some(&signature(context, &body))).expect("it is taken");
        apply(context);
        // Somebody was in the database by hand.
        assert_eq!(sql(context, "UPDATE provider_payment_part SET account_id = (SELECT id FROM account WHERE number = 'B1')"), 1);
        wait(context, 6);
        let mut rechecks = Rechecks::default();
        recheck(context, &mut rechecks, &Stop::default()).expect("somebody looks again");
        assert_eq!(rechecks.disagreeing(), 1);
        let last = "SELECT step AS line FROM trace_step ORDER BY id DESC LIMIT 1";
        let last = context.database.read(|conn| Ok::<_, diesel::result::Error>(lines(conn, last))).expect("the steps are read");
        assert_eq!(last, ["disagrees"]);
    }
}
