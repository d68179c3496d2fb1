//! The life of an account: estimates and what settles them, people who come and go, terms that change, services
//! without a meter, and what becomes of a balance at the end.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on must fail loudly")]

mod support;

use aquabills::actions::balances::{refund_credit, transfer_balance};
use aquabills::actions::bill_run::{RunOptions, RunReport, run_bills};
use aquabills::actions::change_terms::{TermChange, change_terms};
use aquabills::actions::import::{ImportReport, reads};
use aquabills::actions::moves::set_owner;
use aquabills::db::operations;
use aquabills::domain::ids::ToDoId;
use support::moves::{comes, leaves, reading, refusal};
use support::{QUIET, Town, day, on_both};

/// Imports reads given as `meter,date,reading,kind` lines.
fn kinds(town: &Town, rows: &[&str]) -> ImportReport {
    let csv = format!("meter_id,read_on,reading,kind\n{}\n", rows.join("\n"));
    let report = reads::import_reads(&town.context, &town.file("kinds.csv", &csv), QUIET).expect("the reads are read");
    assert_eq!(report.refused, 0, "{:?}", report.first_refusals);
    report
}

fn bill_account(town: &Town, account: &str, through: &str) -> RunReport {
    let options = RunOptions { cycle: format!("account:{account}"), ..RunOptions::approving_all(day(through), &|_, _, _| {}) };
    run_bills(&town.context, &options).expect("the run goes through")
}

fn open_todos(town: &Town) -> Vec<(String, Option<i64>)> {
    let rows = town.context.database.read(|conn| operations::open_todos(conn, ToDoId(0), 100)).expect("the items are read");
    rows.into_iter().map(|row| (row.kind, row.amount_cents)).collect()
}

on_both! {
    fn a_real_read_puts_the_estimates_before_it_right(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        kinds(&town, &["M1,2026-01-01,100,actual", "M1,2026-02-01,130,estimated", "M1,2026-03-01,150,estimated"]);
        town.bill("2026-02-01");
        town.bill("2026-03-01");
        // 30 units: 10 + 10 x 2.00 + 20 x 3.50; 20 units: 10 + 20.00 + 10 x 3.50
        assert_eq!(town.totals().iter().map(|row| row.2.as_str()).collect::<Vec<_>>(), ["100.00", "65.00"]);
        // 45 units in 90 days: 15.5 in January's 31, 14 in February's 28, 15.5 in March's 31 days.
        // January 10 + 20 + 5.5 x 3.50 = 49.25, was 100.00; February 10 + 20 + 4 x 3.50 = 44.00, was 65.00; March 49.25.
        kinds(&town, &["M1,2026-04-01,145,actual"]);
        town.bill("2026-04-01");
        assert_eq!(town.totals()[2].2, "-22.50");
        assert_eq!(town.balance("A1"), "142.50");
        town.assert_sound();
        // What comes after is billed as if nothing had been: 5 units.
        kinds(&town, &["M1,2026-05-01,150,actual"]);
        town.bill("2026-05-01");
        assert_eq!(town.totals()[3].2, "20.00");
        town.assert_sound();
    }

    fn estimates_and_the_read_that_settles_them_may_come_in_one_run(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        kinds(&town, &["M1,2026-01-01,100,actual", "M1,2026-02-01,130,estimated", "M1,2026-03-01,150,estimated", "M1,2026-04-01,145,actual"]);
        town.bill("2026-04-01");
        assert_eq!(town.totals().iter().map(|row| row.2.as_str()).collect::<Vec<_>>(), ["100.00", "65.00", "-22.50"]);
        town.assert_sound();
        // Taken back and billed again it is the same.
        let run = town.context.database.read(|conn| aquabills::db::billing::latest_runs(conn, 1)).expect("the run")[0].id;
        aquabills::actions::bill_run::roll_back_run(&town.context, run, "once more", |_, _| {}).expect("it is rolled back");
        assert_eq!(town.balance("A1"), "0.00");
        town.bill("2026-04-01");
        assert_eq!(town.balance("A1"), "142.50");
        town.assert_sound();
    }

    fn terms_change_within_a_period_by_the_days(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        town.reads(&["M1,2026-04-01,100", "M1,2026-05-01,120"]);
        let change = TermChange {
            service: "S1".to_owned(),
            effective_on: day("2026-04-11"),
            rate_class: Some("SHOP".to_owned()),
            attributes: vec![("floor".to_owned(), "2".to_owned())],
            note: "the house became a shop".to_owned(),
        };
        assert!(!change_terms(&town.context, &change).expect("the terms change").unchanged);
        assert!(change_terms(&town.context, &change).expect("the same again").unchanged);
        town.bill("2026-05-01");
        // 20 units: 10 of 30 days at 10 + 20 + 35 = 65.00, 20 of 30 days at 20 x 4.25 = 85.00: 21.67 + 56.67 = 78.33
        assert_eq!(town.totals()[0].2, "78.33");
        town.assert_sound();
        let late = TermChange { effective_on: day("2026-04-20"), rate_class: Some("HOME".to_owned()), note: "too late".to_owned(), ..change.clone() };
        assert!(refusal(change_terms(&town.context, &late)).contains("is billed through 2026-05-01"));
        let unknown = TermChange { effective_on: day("2026-05-01"), rate_class: Some("PALACE".to_owned()), ..change };
        assert!(refusal(change_terms(&town.context, &unknown)).contains("no rate class 'PALACE'"));
        // The next period is the shop's alone.
        town.reads(&["M1,2026-06-01,130"]);
        town.bill("2026-06-01");
        assert_eq!(town.totals()[1].2, "42.50");
        town.assert_sound();
    }

    fn a_tenant_leaves_with_a_final_bill_and_the_next_one_takes_the_meter_over(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        town.reads(&["M1,2026-04-01,100", "M1,2026-05-01,105"]);
        town.bill("2026-05-01");
        town.pay("A1", "50.00", "R-1");
        assert!(refusal(leaves(&town, "A1", "S1", "2026-04-20", vec![reading("M1", 103)])).contains("is billed through 2026-05-01"));
        assert!(refusal(comes(&town, "B1", "S1", "2026-05-11", vec![reading("M1", 107)])).contains("it moves out first"));
        let left = leaves(&town, "A1", "S1", "2026-05-11", vec![reading("M1", 107)]).expect("A1 leaves");
        assert_eq!((left.ended.as_slice(), left.unchanged), (["S1".to_owned()].as_slice(), false));
        assert!(leaves(&town, "A1", "S1", "2026-05-11", vec![reading("M1", 107)]).expect("the same again").unchanged);
        let came = comes(&town, "B1", "S1", "2026-05-11", vec![]).expect("B1 comes");
        assert_eq!(came.began, [("S1".to_owned(), "B1".to_owned())]);
        assert!(comes(&town, "B1", "S1", "2026-05-11", vec![]).expect("the same again").unchanged);
        // The final bill at once, of that account alone: 2 units, 14.00; 36 are left to its good.
        let report = bill_account(&town, "A1", "2026-05-11");
        assert_eq!((report.totals.due, report.totals.billed, report.status.as_str()), (1, 1, "issued"));
        assert_eq!(town.balance("A1"), "-16.00");
        assert_eq!(open_todos(&town), [("final_credit".to_owned(), Some(1600))]);
        town.reads(&["M1,2026-06-01,110"]);
        let report = town.bill("2026-06-01");
        assert_eq!((report.totals.due, report.totals.billed, report.totals.excluded), (2, 1, 1));
        assert_eq!(town.balance("B1"), "16.00");
        town.assert_sound();
    }

    fn a_credit_that_is_left_is_paid_out_once_and_a_debt_is_carried_along(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1", "A2,S2,HOME,M2"]);
        town.reads(&["M1,2026-04-01,100", "M1,2026-05-01,105"]);
        town.bill("2026-05-01");
        town.pay("A1", "50.00", "R-1");
        assert!(refusal(refund_credit(&town.context, "A1", Some("30.01".parse().unwrap()), "RF-1", "gone")).contains("has 30.00 to its good"));
        assert!(refusal(refund_credit(&town.context, "A1", None, "RF-1", " ")).contains("note"));
        assert_eq!(refund_credit(&town.context, "A1", None, "RF-1", "gone").expect("it is paid out").balance_after_cents, 0);
        assert!(refund_credit(&town.context, "A1", None, "RF-1", "gone").expect("the same again").unchanged);
        assert!(refusal(refund_credit(&town.context, "A1", None, "RF-2", "gone")).contains("0.00 to its good"));
        town.reads(&["M1,2026-06-01,110"]);
        town.bill("2026-06-01");
        assert!(refusal(transfer_balance(&town.context, "A1", "A1", "T-1", "same")).contains("account A1 itself"));
        let (taken, given) = transfer_balance(&town.context, "A1", "A2", "T-1", "moved").expect("it is carried");
        assert_eq!((taken.balance_after_cents, given.balance_after_cents), (0, 2000));
        assert!(transfer_balance(&town.context, "A1", "A2", "T-1", "moved").expect("the same again").0.unchanged);
        assert!(refusal(transfer_balance(&town.context, "A1", "A2", "T-2", "moved")).contains("nothing to carry"));
        town.assert_sound();
    }

    fn between_two_tenants_the_owner_pays(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1", "OWNER,S9,HOME,M9"]);
        set_owner(&town.context, "S1", Some("OWNER")).expect("the owner agrees");
        town.reads(&["M1,2026-03-01,100", "M1,2026-04-01,105"]);
        town.bill("2026-04-01");
        let left = leaves(&town, "A1", "S1", "2026-04-11", vec![reading("M1", 107)]).expect("A1 leaves");
        assert_eq!(left.began, [("S1".to_owned(), "OWNER".to_owned())]);
        let came = comes(&town, "B1", "S1", "2026-05-11", vec![reading("M1", 108)]).expect("B1 comes");
        assert_eq!((came.ended.len(), came.began.len()), (1, 1));
        town.reads(&["M1,2026-06-01,118"]);
        town.bill("2026-06-01");
        // A1: 20.00 and 14.00; the owner 1 unit: 12.00; the tenant 10 units: 30.00
        assert_eq!((town.balance("A1"), town.balance("OWNER"), town.balance("B1")), ("34.00".into(), "12.00".into(), "30.00".into()));
        town.assert_sound();
    }

    fn water_that_ran_while_nobody_was_served_is_a_work_item(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        town.reads(&["M1,2026-03-01,100"]);
        leaves(&town, "A1", "S1", "2026-04-01", vec![reading("M1", 107)]).expect("A1 leaves");
        comes(&town, "B1", "S1", "2026-05-11", vec![reading("M1", 120)]).expect("B1 comes");
        assert_eq!(open_todos(&town), [("vacant_use".to_owned(), None)]);
        town.bill("2026-05-11");
        assert_eq!(town.balance("A1"), "24.00");
        town.assert_sound();
    }

    fn an_import_brings_the_next_customer_too(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        town.reads(&["M1,2026-03-01,100"]);
        leaves(&town, "A1", "S1", "2026-04-01", vec![reading("M1", 107)]).expect("A1 leaves");
        let header = "customer_id,service_id,rate_class,meter_id,register_digits,start_on";
        let report = town.services(&format!("{header}\nB1,S1,SHOP,M1,4,2026-03-20\nB2,S1,SHOP,M1,4,\n")).expect("the file is read");
        assert_eq!(report.refused, 2, "{:?}", report.first_refusals);
        let report = town.services(&format!("{header}\nB1,S1,SHOP,M1,4,2026-04-01\n")).expect("the file is read");
        assert_eq!((report.accepted, report.refused), (1, 0), "{:?}", report.first_refusals);
        let report = town.services(&format!("{header}\nB1,S1,SHOP,M1,4,2026-04-01\nA1,S1,HOME,M1,4,\n")).expect("the file is read");
        assert_eq!((report.unchanged, report.refused), (2, 0), "{:?}", report.first_refusals);
        town.reads(&["M1,2026-05-01,117"]);
        town.bill("2026-05-01");
        assert_eq!((town.balance("A1"), town.balance("B1")), ("24.00".into(), "42.50".into()));
        town.assert_sound();
    }
}
