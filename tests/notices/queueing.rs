//! One notice for one event, in the event's own transaction; none that nobody wants.

use aquabills::actions::ActionError;
use aquabills::actions::adjust::{Adjustment, adjust};
use aquabills::actions::notices::{Preferences, preferences, queue, set_preferences};
use aquabills::actions::payments::{COUNTER_PROVIDER, return_payment};
use aquabills::db::DbConnection;
use aquabills::domain::ids::{LoginId, PersonId};
use aquabills::domain::notices::{Addressee, Facts, NewNotice, NoticeKind, NoticeStatus, PasswordChanged};

use crate::support::{Town, day, lines, on_both};
use crate::{audited, notices, peopled, states, with_login, with_mail, with_status};

const ONE: &[Option<&str>] = &[Some("one@town.example"), None];

fn facts(town: &Town, kind: &str) -> Vec<serde_json::Value> {
    let sql = format!("SELECT facts AS line FROM notice WHERE kind = '{kind}' ORDER BY id");
    let rows = town.context.database.read(|conn| Ok::<_, diesel::result::Error>(lines(conn, &sql))).unwrap();
    rows.iter().map(|row| serde_json::from_str(row).unwrap()).collect()
}

fn person_of(town: &Town, account: &str) -> PersonId {
    let read = |conn: &mut DbConnection| aquabills::db::customers::account_by_number(conn, account);
    town.context.database.read(read).unwrap().unwrap().person_id
}

fn credit(town: &Town, account: &str, amount: &str, reference: &str) -> Result<(), ActionError> {
    let adjustment = Adjustment {
        account: account.to_owned(),
        reason_code: "goodwill".to_owned(),
        amount: amount.parse().unwrap(),
        effective_on: town.context.today(),
        reference: reference.to_owned(),
        note: "a clerk's own note".to_owned(),
    };
    adjust(&town.context, &adjustment).map(|_| ())
}

on_both! {
    fn each_event_tells_once_and_with_the_ledgers_figures(town: Town) {
        let town = peopled(town, ONE);
        town.reads(&["M1,2026-05-01,100", "M1,2026-06-01,115", "M2,2026-05-01,0", "M2,2026-06-01,5"]);
        let run = town.bill("2026-06-15");
        town.bill("2026-06-15");
        town.pay("A1", "40.00", "R-1");
        town.pay("A1", "40.00", "R-1");
        town.pay("A2", "5.00", "R-2");
        let file = ["A1,1.50,2026-06-14,F-1", "A2,1.50,2026-06-14,F-2"];
        town.payments(&file);
        town.payments(&file);
        for _ in 0..2 {
            return_payment(&town.context, COUNTER_PROVIDER, "R-1", day("2026-06-15"), "no funds").unwrap();
        }
        assert!(credit(&town, "A1", "5.00", "C-0").is_err(), "a credit above zero is refused, and nobody is told");
        credit(&town, "A1", "-5.00", "C-1").unwrap();
        credit(&town, "A1", "-5.00", "C-1").unwrap();
        let expected = ["bill_ready queued", "payment_received queued", "payment_received queued", "payment_returned queued", "adjustment_given queued"];
        assert_eq!(states(&town), expected);
        assert!(notices(&town).iter().all(|notice| notice.account.as_deref() == Some("A1")), "A2 has no address");
        let bill = &facts(&town, "bill_ready")[0];
        assert_eq!((&bill["charges_cents"], &bill["opening_balance_cents"], &bill["amount_due_cents"]), (&4750.into(), &0.into(), &4750.into()));
        assert_eq!(bill["bill_number"].as_str().unwrap(), town.bills()[0].get(0).unwrap());
        assert_eq!((run.totals.bills, bill["due_on"].as_str()), (2, Some("2026-07-06")));
        let balances: Vec<i64> = facts(&town, "payment_received").iter().map(|facts| facts["balance_cents"].as_i64().unwrap()).collect();
        assert_eq!(balances, [750, 600]);
        assert_eq!(facts(&town, "payment_returned")[0]["balance_cents"], 4600);
        assert_eq!(facts(&town, "adjustment_given")[0]["balance_cents"], 4100);
        assert_eq!(town.balance("A1"), "41.00");
        assert!(!facts(&town, "adjustment_given")[0].to_string().contains("own note"), "what a clerk notes stays inside");
    }

    fn a_transaction_that_fails_tells_nobody(town: Town) {
        let town = peopled(town, ONE);
        with_login(&town);
        let failed = town.context.database.write(|conn| {
            queue(conn, &town.context, changed("changed:1", "one@town.example", town.context.today()))?;
            Err::<(), _>(ActionError::Refused("something later went wrong".to_owned()))
        });
        assert!(failed.is_err());
        assert_eq!(states(&town), Vec::<String>::new());
        for _ in 0..2 {
            let queued = town.context.database.write(|conn| queue(conn, &town.context, changed("changed:1", "one@town.example", town.context.today())));
            queued.unwrap();
        }
        assert_eq!(states(&town), ["password_changed queued"]);
    }

    fn old_news_is_not_told(town: Town) {
        let town = peopled(town, ONE);
        town.payments(&["A1,10.00,2024-02-01,H-1", "A1,10.00,2026-05-15,H-2", "A1,10.00,2026-05-16,H-3"]);
        assert_eq!(facts(&town, "payment_received").len(), 1, "only what happened within 30 days");
        assert_eq!(facts(&town, "payment_received")[0]["reference"], "H-3");
    }

    fn what_a_person_switched_off_is_not_sent(town: Town) {
        let town = peopled(town, ONE);
        let person = person_of(&town, "A1");
        let before = preferences(&town.context, person).unwrap();
        assert!(before.kinds.iter().all(|preference| preference.wanted) && !before.paperless);
        let mut wanted = Preferences { paperless: true, ..before };
        wanted.kinds.iter_mut().filter(|preference| preference.kind == NoticeKind::PaymentReceived).for_each(|preference| preference.wanted = false);
        set_preferences(&town.context, person, &wanted).unwrap();
        set_preferences(&town.context, person, &wanted).unwrap();
        assert_eq!(audited(&town, "notices.preferences"), ["payment_received off, paperless on"]);
        assert_eq!(preferences(&town.context, person).unwrap(), wanted);
        town.pay("A1", "1.00", "R-1");
        credit(&town, "A1", "-5.00", "C-1").unwrap();
        assert_eq!(states(&town), ["payment_received suppressed", "adjustment_given queued"]);
        let reason = with_status(&town, NoticeStatus::Suppressed)[0].last_error.clone();
        assert_eq!(reason.as_deref(), Some("it is switched off by the person"));
        for kind in NoticeKind::ALL.into_iter().filter(|kind| !kind.can_be_switched_off()) {
            wanted.kinds[0] = aquabills::actions::notices::Preference { kind, wanted: false };
            let refused = set_preferences(&town.context, person, &wanted);
            assert!(refused.is_err_and(|error| error.to_string().contains("cannot be switched off")), "{kind}");
        }
        assert!(preferences(&town.context, PersonId(999)).is_err());
    }

    fn staff_is_told_of_a_held_run(town: Town) {
        let mut town = peopled(town, ONE);
        with_mail(&mut town, |mail| mail.staff = vec!["ann@utility.example".to_owned(), "bob@utility.example".to_owned()]);
        town.configure(|config| config.gates.fewest_compared = 1);
        town.reads(&["M1,2026-03-01,0", "M1,2026-04-01,5", "M1,2026-05-01,90", "M2,2026-03-01,0", "M2,2026-04-01,5", "M2,2026-05-01,90"]);
        town.bill("2026-04-01");
        let held = town.try_bill("2026-05-01", true, None);
        assert!(held.is_err(), "the bills jump");
        let told: Vec<_> = notices(&town).into_iter().filter(|notice| notice.kind == NoticeKind::RunHeld).collect();
        assert_eq!(told.iter().map(|notice| notice.recipient.as_str()).collect::<Vec<_>>(), ["ann@utility.example", "bob@utility.example"]);
        let _ = town.try_bill("2026-05-01", true, None);
        assert_eq!(facts(&town, "run_held").len(), 2, "looking at it again tells nobody again");
        assert!(!facts(&town, "run_held")[0]["reasons"].as_array().unwrap().is_empty());
    }

    fn a_customer_is_told_of_a_possible_leak(town: Town) {
        let town = peopled(town, ONE);
        let months = ["01", "02", "03", "04", "05"];
        let reads: Vec<String> = months.iter().enumerate().map(|(n, month)| format!("M1,2026-{month}-01,{}", 100 + n * 10)).collect();
        town.reads(&reads.iter().map(String::as_str).collect::<Vec<_>>());
        let report = town.reads(&["M1,2026-06-01,900"]);
        assert_eq!(report.held, 1);
        assert_eq!(states(&town), ["high_usage queued"]);
        let told = &facts(&town, "high_usage")[0];
        assert!(told["detail"].as_str().unwrap().starts_with("it counts 760 in 31 days"), "{told}");
        assert_eq!(told["service_id"], "S1");
        town.reads(&["M1,2026-06-02,5"]);
        assert_eq!(states(&town).len(), 1, "a reversed read is no leak");
    }
}

fn changed(key: &str, email: &str, happened_on: chrono::NaiveDate) -> NewNotice {
    NewNotice {
        key: key.to_owned(),
        to: Addressee::Login { id: LoginId(1), person_id: None, email: email.to_owned(), name: "One".to_owned() },
        happened_on,
        facts: Facts::PasswordChanged(PasswordChanged { at: happened_on.and_hms_opt(12, 0, 0).unwrap() }),
    }
}
