//! What is applied at once, what waits, and what is told of it.

use aquabills::actions::held::{Decision, ToDoFilter, decide_all, decide_some, list_todos};
use aquabills::db::{bank_match, customers};

use super::support::{day, lines, on_both};
use super::{assign, counts, csv, try_csv, waiting};

on_both! {
    fn what_surely_fits_is_applied_and_the_rest_waits(town: Town) {
        let town = crate::town(town);
        let rows = [
            "2026-06-10,100.00,A-1001,SMITH JANE,DE01,water,1",
            "2026-06-10,50.00,,,DE02,thanks a1002,2",
            "2026-06-10,77.00,,Unknown Person,DE03,hello,3",
            "2026-06-10,-12.34,,The Bank,,fee of the bank,4",
            "2026-06-10,-9.00,,The Bank,,RETURNED CHEQUE,5",
        ];
        let report = csv(&town, &rows);
        assert_eq!(counts(&report), "5 new, 0 known: 1 applied, 3 waiting, 0 settled, 1 aside");
        assert_eq!((report.credits_cents, report.debits_cents), (Some(22_700), Some(2_134)));
        assert_eq!(town.balance("A-1001"), "0.00");
        let views = waiting(&town);
        assert_eq!(views[0].account.as_ref().map(|account| account.number.as_str()), Some("A-1002"));
        assert!((40..90).contains(&views[0].row.confidence), "{:?}", views[0].row);
        assert_eq!((views[1].account.is_none(), views[1].row.confidence), (true, 0));
        assert!(views[2].row.why.contains("reads like a return"), "{}", views[2].row.why);
        // The same file adds nothing, and of a longer one only what is new.
        assert_eq!(counts(&csv(&town, &rows)), "0 new, 5 known: 0 applied, 0 waiting, 0 settled, 0 aside");
        let longer: Vec<&str> = rows.iter().copied().chain(["2026-06-11,25.00,A-1003,Nunez Ana,DE04,,6"]).collect();
        assert_eq!(counts(&csv(&town, &longer)), "1 new, 5 known: 1 applied, 0 waiting, 0 settled, 0 aside");
        assert_eq!((town.balance("A-1003"), town.balance("A-1002")), ("75.00".to_owned(), "100.00".to_owned()));
        town.assert_sound();
    }

    fn the_payment_says_where_it_came_from(town: Town) {
        let town = crate::town(town);
        csv(&town, &["2026-06-10,100.00,A-1001,SMITH JANE,DE01,water,1"]);
        let rows = town.context.database.read(|conn| {
            let account = customers::account_by_number(conn, "A-1001")?.expect("the account is there");
            bank_match::standing_payments(conn, account.id, 10_000)
        });
        let rows = rows.expect("the payments are read");
        let [payment] = rows.as_slice() else { panic!("{rows:?}") };
        assert_eq!((payment.provider.as_str(), payment.merchant.as_str(), payment.tender.as_str()), ("bank", "OPS-1", "transfer"));
        assert_eq!((payment.effective_on, payment.bank_entry_id.is_some()), (day("2026-06-10"), true));
        let reference = payment.provider_ref.clone().expect("a reference");
        assert!(reference.starts_with("B260610-") && reference.len() == 18, "{reference}");
        // One notice to the customer, and the movement in the audit trail.
        let told = town.context.database.read(|conn| Ok::<_, diesel::result::Error>(lines(conn, "SELECT kind AS line FROM notice ORDER BY id")));
        assert_eq!(told.expect("the notices are read"), ["payment_received"]);
    }

    fn a_payer_who_is_known_is_found_again(town: Town) {
        let town = crate::town(town);
        csv(&town, &["2026-06-10,40.00,A-1001,SMITH JANE,DE01,water,1"]);
        // Her bank account, her name and the amount due are enough together; an initial, or no amount, is not.
        assert_eq!(csv(&town, &["2026-06-11,25.00,,J Smith,DE01,rent and water,2"]).waiting, 1);
        assert_eq!(csv(&town, &["2026-06-11,60.00,,J Smith,DE01,rent and water,3"]).waiting, 1);
        assert_eq!(csv(&town, &["2026-06-11,60.00,,Jane Smith,DE01,rent and water,4"]).applied, 1, "{:?}", waiting(&town));
        let report = csv(&town, &["2026-06-12,33.33,,,DE01,,5"]);
        assert_eq!((report.applied, waiting(&town)[2].row.confidence), (0, 65));
    }

    fn two_that_fit_equally_well_wait(town: Town) {
        let town = crate::town(town);
        let report = csv(&town, &["2026-06-10,200.00,A-1001 A-1002,Somebody,DE01,both,1"]);
        assert_eq!((report.applied, report.waiting), (0, 1));
        let view = &waiting(&town)[0];
        assert_eq!(view.row.confidence, 50);
        assert!(view.row.why.contains("A-1002 fits as well"), "{}", view.row.why);
    }

    fn another_currency_is_never_posted(town: Town) {
        let town = crate::town(town);
        let text = crate::camt("054", "N1", "2026-06-10", &[crate::Booking { cents: 10_000, bank_ref: "R1", reference: "A-1001", ..Default::default() }]);
        let report = crate::file(&town, "eur.xml", &text.replace("USD", "EUR"));
        assert_eq!((report.applied, report.waiting), (0, 1));
        let view = waiting(&town).remove(0);
        assert!(view.row.why.contains("it is in EUR, the ledger in USD"), "{}", view.row.why);
        let refused = assign(&town, view.row.id, "A-1001").expect_err("euros").to_string();
        assert!(refused.contains("it cannot be posted"), "{refused}");
    }

    fn the_settings_say_how_sure_it_must_be(town: Town) {
        let mut town = crate::town(town);
        town.configure(|config| config.bank.auto_confidence = 100);
        assert_eq!(csv(&town, &["2026-06-10,100.00,A-1001,SMITH JANE,DE01,water,1"]).waiting, 1);
        town.configure(|config| (config.bank.auto_confidence, config.bank.suggest_confidence) = (90, 95));
        assert_eq!(csv(&town, &["2026-06-10,50.00,,,DE02,thanks a1002,2"]).waiting, 1);
        assert!(waiting(&town)[1].account.is_none());
    }

    fn a_bill_waits_for_money_that_waits(town: Town) {
        let town = crate::town(town);
        town.reads(&["M1001,2026-05-01,0", "M1001,2026-06-01,5", "M1002,2026-05-01,0", "M1002,2026-06-01,5"]);
        csv(&town, &["2026-06-10,50.00,,,DE02,thanks a1002,1"]);
        let run = town.bill("2026-06-01");
        assert_eq!((run.totals.bills, run.totals.held), (1, 1), "{run:?}");
        let entry = waiting(&town)[0].row.id;
        assign(&town, entry, "A-1002").expect("it is given");
        assert_eq!(town.bill("2026-06-01").totals.bills, 1);
        town.assert_sound();
    }

    fn what_waits_is_on_the_work_list_until_it_is_decided(town: Town) {
        let town = crate::town(town);
        csv(&town, &["2026-06-10,77.00,,Unknown Person,DE03,hello,3"]);
        let items = list_todos(&town.context, &ToDoFilter::default(), None, 10).expect("the work list is read");
        assert_eq!((items.len(), items[0].kind.as_str(), items[0].amount_cents), (1, "unapplied_credit", Some(7_700)));
        // It is not closed without its money.
        let refused = decide_some(&town.context, &[items[0].id], Decision::Release, "done").expect_err("money waits").to_string();
        assert!(refused.contains("money waits for it"), "{refused}");
        assert_eq!(decide_all(&town.context, None, Decision::Release, "").expect("the rest is released"), 0);
        assign(&town, waiting(&town)[0].row.id, "A-1004").expect("it is given");
        assert_eq!(list_todos(&town.context, &ToDoFilter::default(), None, 10).expect("the work list is read").len(), 0);
    }

    fn a_day_that_cannot_be_refuses_the_file(town: Town) {
        let town = crate::town(town);
        let refused = try_csv(&town, &["2026-06-10,1.00,A-1001,,,,1", "2062-06-10,1.00,A-1001,,,,2"]).expect_err("a day in 2062").to_string();
        assert!(refused.contains("day.csv") && refused.contains("booking date") && refused.contains("2062-06-10"), "{refused}");
        assert_eq!(town.balance("A-1001"), "100.00");
    }
}
