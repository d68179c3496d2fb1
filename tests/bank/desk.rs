//! What clerks decide: split, set aside, take back; two of them at once.

use std::thread;

use aquabills::actions::ActionError;
use aquabills::actions::balances::{PayOut, ask_pay_out, refund_credit};
use aquabills::actions::bank::decide::{Verdict, decide, stamp};
use aquabills::actions::bank::settle_payouts;
use aquabills::actions::bank::view::show_entry;
use aquabills::actions::payout_batch::{Medium, make_batch};
use aquabills::actions::refunds::refunds_of;
use aquabills::domain::payouts::Payee;
use diesel::RunQueryDsl;

use super::support::{Town, lines, on_both, stdout};
use super::{assign, counts, csv, split, waiting};

/// A hundred that nobody knows the account of.
fn unknown(town: &Town) -> aquabills::domain::ids::BankEntryId {
    csv(town, &["2026-06-10,100.00,,Unknown Person,DE03,hello,3"]);
    waiting(town)[0].row.id
}

fn words<T: std::fmt::Debug>(outcome: Result<T, ActionError>) -> String {
    outcome.expect_err("a refusal").to_string()
}

on_both! {
    fn a_movement_is_divided(town: Town) {
        let town = crate::town(town);
        let entry = unknown(&town);
        assert!(words(split(&town, entry, &[("A-1001", Some("60.00")), ("A-1002", Some("39.99"))])).contains("add up to 99.99: expected 100.00"));
        assert!(words(split(&town, entry, &[("A-1001", Some("100.00")), ("A-1002", None)])).contains("expected more than 0"));
        assert!(words(split(&town, entry, &[("A-1001", Some("60.00")), ("A-1001", None)])).contains("is there twice"));
        assert!(words(split(&town, entry, &[("A-1001", None), ("A-1002", None)])).contains("each account but one"));
        assert!(words(split(&town, entry, &[("A-9", None)])).contains("there is no account 'A-9'"));
        assert!(words(split(&town, entry, &[("A-1001", Some("-5.00")), ("A-1002", None)])).contains("expected more than 0"));
        split(&town, entry, &[("A-1001", Some("60.00")), ("A-1002", None)]).expect("it is divided");
        assert_eq!((town.balance("A-1001"), town.balance("A-1002")), ("40.00".to_owned(), "60.00".to_owned()));
        let view = show_entry(&town.context, entry).expect("it is shown");
        assert_eq!(view.parts, [("A-1001".to_owned(), 6_000), ("A-1002".to_owned(), 4_000)]);
        town.assert_sound();
    }

    fn what_was_decided_is_taken_back_and_decided_anew(town: Town) {
        let town = crate::town(town);
        let entry = unknown(&town);
        assign(&town, entry, "A-1001").expect("it is given");
        assert_eq!(town.balance("A-1001"), "0.00");
        // The same decision again is the same, another one is told.
        assert!(assign(&town, entry, "A-1001").expect("it is so").unchanged);
        assert!(words(assign(&town, entry, "A-1002")).contains("decided meanwhile by tester: it was applied to A-1001"));
        assert!(words(decide(&town.context, entry, &Verdict::Undo, " ", None)).contains("note: it is empty"));
        decide(&town.context, entry, &Verdict::Undo, "the wrong Smith", None).expect("it is taken back");
        assert_eq!((town.balance("A-1001"), waiting(&town).len()), ("100.00".to_owned(), 1));
        assert!(words(decide(&town.context, entry, &Verdict::Undo, "again", None)).contains("waits already"));
        assign(&town, entry, "A-1002").expect("it is given to another");
        assert_eq!(town.balance("A-1002"), "0.00");
        town.assert_sound();
        decide(&town.context, entry, &Verdict::Undo, "no customer", None).expect("it is taken back");
        decide(&town.context, entry, &Verdict::SetAside, "a sale of scrap", None).expect("it is set aside");
        assert!(decide(&town.context, entry, &Verdict::SetAside, "a sale of scrap", None).expect("it is so").unchanged);
        assert!(waiting(&town).is_empty());
        // A new file with the same movement changes nothing of it.
        let report = csv(&town, &["2026-06-10,100.00,,Unknown Person,DE03,hello,3", "2026-06-11,1.00,,,,,9"]);
        assert_eq!(counts(&report), "1 new, 1 known: 0 applied, 1 waiting, 0 settled, 0 aside");
        town.assert_sound();
    }

    fn a_page_that_is_old_decides_nothing(town: Town) {
        let town = crate::town(town);
        let entry = unknown(&town);
        let seen = stamp(&waiting(&town)[0].row);
        let give = |account: &str| Verdict::Assign {
            shares: vec![aquabills::actions::bank::decide::Share { account: account.to_owned(), amount: None }],
            payment: None,
        };
        decide(&town.context, entry, &give("A-1001"), "", Some(&seen)).expect("it is given");
        // The form sent twice is one decision; a second clerk's is told; after an undo the old form no longer holds.
        assert!(decide(&town.context, entry, &give("A-1001"), "", Some(&seen)).expect("it is the same form").unchanged);
        assert!(words(decide(&town.context, entry, &give("A-1002"), "", Some(&seen))).contains("decided meanwhile"));
        decide(&town.context, entry, &Verdict::Undo, "wrong", None).expect("it is taken back");
        assert!(words(decide(&town.context, entry, &give("A-1001"), "", Some(&seen))).contains("looked at, and waits again"));
        assert_eq!(town.balance("A-1001"), "100.00");
    }

    fn two_clerks_at_once(town: Town) {
        let town = crate::town(town);
        let entry = unknown(&town);
        let outcomes: Vec<_> = thread::scope(|scope| {
            let clerks: Vec<_> = ["A-1001", "A-1002", "A-1003", "A-1004"].map(|account| scope.spawn({ let town = &town; move || (account, assign(town, entry, account)) })).into_iter().collect();
            clerks.into_iter().map(|clerk| clerk.join().expect("a clerk")).collect()
        });
        let done: Vec<&str> = outcomes.iter().filter(|(_, outcome)| outcome.is_ok()).map(|(account, _)| *account).collect();
        let [one] = done.as_slice() else { panic!("{outcomes:?}") };
        for number in 1001..=1004 {
            let account = format!("A-{number}");
            assert_eq!(town.balance(&account), if account == *one { "0.00" } else { "100.00" });
        }
        town.assert_sound();
    }

    fn the_debit_of_a_file_of_payouts_settles_all_of_it(town: Town) {
        let mut town = crate::town(town);
        town.configure(|config| {
            let payouts = &mut config.bank.payouts;
            (payouts.originator_id, payouts.bank_code) = ("1234567890".to_owned(), "091000019".to_owned());
            (payouts.bank_name, payouts.bank_account) = ("First Bank".to_owned(), "555001".to_owned());
        });
        for (account, paid) in [("A-1001", "120.00"), ("A-1002", "130.00")] {
            town.pay(account, paid, &format!("P-{account}"));
            let payee = Payee::Payout { name: "Jane Smith".to_owned(), bank_code: "021000021".to_owned(), bank_account: "1".to_owned(), savings: false };
            let (reference, note) = (format!("OUT-{account}"), "paid twice".to_owned());
            ask_pay_out(&town.context, &PayOut { account: account.to_owned(), amount: None, reference, note, payee: Some(payee) }).expect("it is paid out");
        }
        let (report, _) = make_batch(&town.context, Medium::Payout, town.context.today()).expect("the file is made");
        assert_eq!((report.items, report.total_cents), (2, 5_000));
        assert_eq!(counts(&csv(&town, &["2026-06-14,-50.00,,Pump Works,DE01,a pump,1"])), "1 new, 0 known: 0 applied, 0 waiting, 0 settled, 1 aside", "before the file was made");
        assert_eq!(counts(&csv(&town, &["2026-06-15,-50.00,,First Bank,DE02,bulk,2"])), "1 new, 0 known: 0 applied, 0 waiting, 1 settled, 0 aside");
        for account in ["A-1001", "A-1002"] {
            assert_eq!(refunds_of(&town.context, account).expect("its refunds")[0].state, "succeeded", "{account}");
        }
        assert_eq!(counts(&csv(&town, &["2026-06-15,-50.00,,Pump Works,DE01,a pump,3"])), "1 new, 0 known: 0 applied, 0 waiting, 0 settled, 1 aside", "once only");
        town.assert_sound();
    }

    fn a_providers_payout_is_no_payment(town: Town) {
        let town = crate::town(town);
        let payout = |reference: &str, cents: i64, on: &str| {
            let sql = format!(
                "INSERT INTO provider_payout (provider, merchant, payout_ref, amount_cents, arrives_on, paid, statement_text, fetched_at) \
                 VALUES ('stripe', 'acct_1', '{reference}', {cents}, '{on}', 1, 'STRIPE PAYOUT', '2026-06-10 12:00:00')"
            );
            town.context.database.write(|conn| { diesel::sql_query(&sql).execute(conn)?; Ok::<_, ActionError>(()) }).expect("the payout is stored");
        };
        payout("po_1AbCdEfGh", 50_000, "2026-06-09");
        let rows = ["2026-06-10,500.00,,Stripe,DE88,STRIPE PAYOUT po_1AbCdEfGh,1", "2026-06-10,300.00,,Stripe,DE88,Stripe payout,2"];
        assert_eq!(counts(&csv(&town, &rows)), "2 new, 0 known: 0 applied, 1 waiting, 1 settled, 0 aside");
        // Another day's, another amount's, and then the right one becomes known later.
        payout("po_far", 30_000, "2026-07-20");
        payout("po_less", 29_999, "2026-06-10");
        assert_eq!(settle_payouts(&town.context).expect("payouts are looked at").settled, 0);
        payout("po_2", 30_000, "2026-06-12");
        assert_eq!(settle_payouts(&town.context).expect("payouts are looked at").settled, 1);
        assert!(waiting(&town).is_empty());
        assert_eq!(settle_payouts(&town.context).expect("payouts are looked at").settled, 0);
        assert!(crate::open_items(&town).is_empty());
        assert_eq!(town.balance("A-1001"), "100.00");
    }

    fn a_refund_that_the_bank_paid_out(town: Town) {
        let town = crate::town(town);
        csv(&town, &["2026-06-10,150.00,A-1001,Jane Smith,DE01,,1"]);
        let wish = Some("50.00".parse().expect("an amount"));
        // A CSV does not tell whether it was a cheque: until the longest of the windows is over it may go back.
        let early = words(refund_credit(&town.context, "A-1001", wish, "out-77777", "moved away"));
        assert!(early.contains("150.00 by bank, it is not known how") && early.contains("until 2026-10-13"), "{early}");
        let town = town.lenient();
        town.context.clock.set(chrono::TimeZone::from_utc_datetime(&chrono::Utc, &(town.context.now() + chrono::TimeDelta::days(1))));
        refund_credit(&town.context, "A-1001", wish, "out-77777", "moved away").expect("a part of the credit is paid out");
        let report = csv(&town, &["2026-06-12,-50.00,out-77777,Jane Smith,DE01,refund,2", "2026-06-12,-50.00,,Somebody,DE02,rent,3"]);
        assert_eq!(counts(&report), "2 new, 0 known: 0 applied, 1 waiting, 1 settled, 0 aside");
        let state = |town: &Town| town.context.database.read(|conn| Ok::<_, diesel::result::Error>(lines(conn, "SELECT state AS line FROM refund")));
        assert_eq!(state(&town).expect("the refund is read"), ["succeeded"]);
        town.assert_sound();
    }

    fn the_command_line_decides_too(town: Town) {
        let town = crate::town(town);
        let entry = unknown(&town).to_string();
        let listed = stdout(&town.program(&["bank", "waiting"]));
        assert!(listed.contains("Unknown Person") && listed.contains("nothing in it names an account"), "{listed}");
        let done = town.program(&["bank", "assign", &entry, "A-1001=60.00", "A-1002", "--json"]);
        assert!(stdout(&done).contains("\"applied\""), "{done:?}");
        assert!(!town.program(&["bank", "set-aside", &entry, "--note", "x"]).status.success());
        assert!(town.program(&["bank", "undo", &entry]).status.success());
        assert!(town.program(&["bank", "set-aside", &entry, "--note", "scrap"]).status.success());
        assert!(stdout(&town.program(&["bank", "movement", &entry])).contains("set_aside"));
        assert!(stdout(&town.program(&["bank", "show", "1", "--json"])).contains("\"movements\""));
        assert_eq!(town.program(&["bank", "show", "99"]).status.code(), Some(1));
        assert_eq!(town.program(&["bank", "assign", &entry, "A-1001=x"]).status.code(), Some(2));
    }
}
