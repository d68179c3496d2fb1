//! Attacks on the life of an account: every story here is one in which money was lost, billed twice or stuck.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on must fail loudly")]

mod support;

use aquabills::actions::ActionError;
use aquabills::actions::balances::{refund_credit, transfer_balance};
use aquabills::actions::bill_run::{RunOptions, RunReport, discard_run, run_bills};
use aquabills::actions::change_terms::{TermChange, change_terms};
use aquabills::actions::estimate::estimate_missing;
use aquabills::actions::import::{ImportReport, reads};
use aquabills::actions::moves::{MoveReport, Reading};
use aquabills::db::{Backend, Database, operations};
use aquabills::domain::ids::ToDoId;
use support::moves::{comes, leaves, reading, refusal};
use support::{QUIET, TARIFF, Town, day, on_both};

/// Imports reads given as `meter,register,date,reading,kind` lines.
fn import(town: &Town, rows: &[&str]) -> ImportReport {
    let csv = format!("meter_id,register,read_on,reading,kind\n{}\n", rows.join("\n"));
    reads::import_reads(&town.context, &town.file("kinds.csv", &csv), QUIET).expect("the reads are read")
}

fn kinds(town: &Town, rows: &[&str]) {
    let rows: Vec<String> = rows.iter().map(|row| row.replacen(',', ",1,", 1)).collect();
    let report = import(town, &rows.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!((report.refused, report.held), (0, 0), "{:?}", report.first_refusals);
}

fn run(town: &Town, cycle: &str, through: &str, approve: bool) -> RunReport {
    let options = RunOptions { cycle: cycle.to_owned(), approve, ..RunOptions::approving_all(day(through), &|_, _, _| {}) };
    run_bills(&town.context, &options).expect("the run goes through")
}

fn sums(town: &Town) -> Vec<String> {
    town.totals().into_iter().map(|row| row.2).collect()
}

fn set_terms(town: &Town, service: &str, on: &str, class: &str) -> Result<(), ActionError> {
    let change = TermChange {
        service: service.to_owned(),
        effective_on: day(on),
        rate_class: Some(class.to_owned()),
        attributes: Vec::new(),
        note: "another class".to_owned(),
    };
    change_terms(&town.context, &change).map(|_| ())
}

on_both! {
    // A run of one account beside a cycle's run in review: when the review ends with "discard", what it had priced must
    // not be lost between two bills.
    fn a_final_bill_does_not_stand_on_a_run_that_may_be_discarded(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        kinds(&town, &["M1,2026-03-01,100,actual", "M1,2026-04-01,105,actual"]);
        let review = run(&town, "main", "2026-04-01", false);
        assert_eq!(review.status, "review");
        leaves(&town, "A1", "S1", "2026-04-11", vec![reading("M1", 107)]).expect("A1 leaves");
        let last = run(&town, "account:A1", "2026-04-11", true);
        assert_eq!((last.totals.billed, last.totals.held), (0, 1), "the bill before it is not issued yet");
        discard_run(&town.context, review.run_id.expect("a run")).expect("it is discarded");
        town.bill("2026-04-11");
        // 5 units: 20.00, 2 units: 14.00.
        assert_eq!(town.balance("A1"), "34.00");
        town.assert_sound();
    }

    fn an_exchange_between_two_estimates_does_not_stop_the_bills_for_ever(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        kinds(&town, &["M1,2026-01-01,100,actual", "M1,2026-02-01,110,estimated"]);
        town.bill("2026-02-01");
        let report = town.exchanges(&["S1,2026-02-15,M1,115,M2,0,4"]);
        assert_eq!((report.accepted, report.refused, report.held), (1, 0, 0), "{:?}", report.first_refusals);
        kinds(&town, &["M2,2026-03-01,5,estimated"]);
        town.bill("2026-03-01");
        kinds(&town, &["M2,2026-04-01,30,actual"]);
        let report = town.bill("2026-04-01");
        assert_eq!((report.totals.billed, report.totals.held), (1, 0));
        // 15 + 30 = 45 units in 90 days: 15.5, 14, 15.5 → 49.25 + 44.00 + 49.25
        assert_eq!(town.balance("A1"), "142.50");
        town.assert_sound();
    }

    fn an_estimate_may_go_through_a_rollover_after_another(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        kinds(&town, &["M1,2026-01-01,9980,actual", "M1,2026-02-01,9995,estimated", "M1,2026-03-01,10,estimated"]);
        let report = town.bill("2026-03-01");
        assert_eq!((report.totals.billed, report.totals.held), (1, 0));
        // 15 units each: 10 + 20 + 17.50
        assert_eq!(sums(&town), ["47.50", "47.50"]);
        kinds(&town, &["M1,2026-04-01,25,actual"]);
        town.bill("2026-04-01");
        assert_eq!(town.balance("A1"), "142.50");
        town.assert_sound();
    }

    // The estimate was too high, and the exchange says so: until the next real read only the new meter is counted.
    fn an_exchange_below_the_estimate_does_not_stop_the_bills(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        kinds(&town, &["M1,2026-01-01,100,actual", "M1,2026-02-01,140,estimated"]);
        town.bill("2026-02-01");
        town.exchanges(&["S1,2026-02-15,M1,115,M2,0,4"]);
        kinds(&town, &["M2,2026-03-01,5,estimated"]);
        let report = town.bill("2026-03-01");
        assert_eq!((report.totals.billed, report.totals.held), (1, 0));
        assert_eq!(sums(&town)[1], "20.00");
        kinds(&town, &["M2,2026-04-01,30,actual"]);
        let report = town.bill("2026-04-01");
        assert_eq!((report.totals.billed, report.totals.held), (1, 0));
        // 45 units in 90 days: 15.5 in 31, 14 in 28, 15.5 in 31: 49.25 + 44.00 + 49.25
        assert_eq!(town.balance("A1"), "142.50");
        town.assert_sound();
    }

    fn the_last_period_is_billed_when_the_meter_is_exchanged_on_the_day_of_the_move(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        kinds(&town, &["M1,2026-03-01,100,actual", "M1,2026-04-01,105,actual"]);
        town.bill("2026-04-01");
        town.exchanges(&["S1,2026-04-11,M1,107,M2,0,4"]);
        leaves(&town, "A1", "S1", "2026-04-11", vec![]).expect("A1 leaves");
        comes(&town, "B1", "S1", "2026-04-11", vec![]).expect("B1 comes");
        kinds(&town, &["M2,2026-05-01,10,actual"]);
        let report = town.bill("2026-05-01");
        assert_eq!((report.totals.billed, report.totals.held, report.totals.excluded), (2, 0, 0));
        assert_eq!((town.balance("A1"), town.balance("B1")), ("34.00".into(), "30.00".into()));
        town.assert_sound();
    }

    fn a_final_reading_like_the_estimate_is_real_all_the_same(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        kinds(&town, &["M1,2026-01-01,100,actual", "M1,2026-02-01,130,estimated"]);
        town.bill("2026-02-01");
        kinds(&town, &["M1,2026-03-01,135,estimated"]);
        leaves(&town, "A1", "S1", "2026-03-01", vec![reading("M1", 135)]).expect("A1 leaves");
        town.bill("2026-03-01");
        // 35 units in 59 days: 18.389 in 31 days, 16.611 in 28: 10 + 20 + 8.389 x 3.50 = 59.36, 10 + 20 + 6.611 x 3.50 = 53.14;
        // as an estimate it would be 100.00 + 20.00 for ever.
        assert_eq!(town.balance("A1"), "112.50");
        town.assert_sound();
    }

    fn nobody_leaves_on_a_day_that_is_billed_by_an_estimate(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        kinds(&town, &["M1,2026-01-01,100,actual", "M1,2026-02-01,130,estimated"]);
        town.bill("2026-02-01");
        let said = refusal(leaves(&town, "A1", "S1", "2026-02-01", vec![]));
        assert!(said.contains("by an estimate"), "{said}");
        leaves(&town, "A1", "S1", "2026-02-02", vec![reading("M1", 110)]).expect("the next day it is possible");
        town.bill("2026-02-02");
        town.assert_sound();
    }

    fn a_move_takes_no_reading_of_another_premises_meter(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1", "A2,S2,HOME,M2"]);
        kinds(&town, &["M1,2026-03-01,100,actual", "M2,2026-03-01,100,actual"]);
        let before = support::dump(&town);
        let said = refusal(leaves(&town, "A1", "S1", "2026-03-11", vec![reading("M2", 107)]));
        assert!(said.contains("M2") && said.contains("premise"), "{said}");
        assert_eq!(before, support::dump(&town), "a refusal changes nothing");
        comes(&town, "B1", "S1", "2026-03-11", vec![reading("M2", 107)]).expect_err("S1 is served");
    }

    fn the_final_read_is_not_estimated_on_the_last_day_either(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        kinds(&town, &["M1,2026-02-01,100,actual", "M1,2026-03-01,105,actual"]);
        leaves(&town, "A1", "S1", "2026-04-01", vec![]).expect("A1 leaves");
        let report = estimate_missing(&town.context, "all", day("2026-04-01"), false).expect("it is looked at");
        assert_eq!((report.estimated, report.held.len()), (0, 1));
    }

    // The estimate of April belongs to the bill of who has left: a late read must not take its place because the meter
    // serves somebody else by now.
    fn a_billed_estimate_stays_when_the_next_customer_has_the_meter(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        kinds(&town, &["M1,2026-03-01,100,actual", "M1,2026-04-01,130,estimated"]);
        town.bill("2026-04-01");
        leaves(&town, "A1", "S1", "2026-04-11", vec![reading("M1", 125)]).expect("A1 leaves");
        comes(&town, "B1", "S1", "2026-04-11", vec![]).expect("B1 comes");
        let report = import(&town, &["M1,1,2026-04-01,118,actual", "M1,1,2026-04-03,119,actual"]);
        assert_eq!((report.refused, report.accepted), (1, 1), "{:?}", report.first_refusals);
        town.bill("2026-04-11");
        // 19 units in 33 days (the real read of 3 April), of them 31 days estimated; then 6 units in 8 days.
        let billed = sums(&town);
        assert_eq!(billed.len(), 3, "{billed:?}");
        assert_eq!(town.check().faults, 0);
        town.assert_sound();
    }

    fn what_another_class_makes_of_the_winter_counts_from_its_day_on(town: Town) {
        town.tariff(WINTER).expect("the tariff");
        let csv = "customer_id,service_id,rate_class,meter_id,register_digits\nA1,S1,METERED,M1,4\nA2,S2,WINTER,M2,4\n";
        assert_eq!(town.services(csv).expect("services").refused, 0);
        for meter in ["M1", "M2"] {
            let rows = [("2025-11-15", 0), ("2025-12-15", 10), ("2026-01-15", 20), ("2026-02-15", 30), ("2026-03-15", 40)];
            let rows: Vec<String> = rows.iter().map(|(on, units)| format!("{meter},{on},{units},actual")).collect();
            kinds(&town, &rows.iter().map(String::as_str).collect::<Vec<_>>());
        }
        town.bill("2026-03-15");
        set_terms(&town, "S1", "2026-03-15", "WINTER").expect("the class changes");
        kinds(&town, &["M1,2026-04-15,60,actual", "M2,2026-04-15,60,actual"]);
        town.bill("2026-04-15");
        let totals = town.totals();
        let of = |service: &str| totals.iter().rfind(|row| row.0 == service).expect("a segment").2.clone();
        assert_eq!(of("S1"), of("S2"), "{totals:?}");
        town.assert_sound();
    }

    fn a_winter_does_not_depend_on_the_day_of_the_run(town: Town) {
        town.tariff(WINTER).expect("the tariff");
        let csv = "customer_id,service_id,rate_class,meter_id,register_digits\nA1,S1,WINTER,M1,4\n";
        assert_eq!(town.services(csv).expect("services").refused, 0);
        // 30 in the first month of the winter before last, then 10 a month: 50 in 92 days.
        let rows = [("2024-11-15", 0), ("2024-12-15", 30), ("2025-01-15", 40), ("2025-02-15", 50), ("2025-03-15", 60)];
        let rows: Vec<String> = rows.iter().map(|(on, units)| format!("M1,{on},{units},actual")).collect();
        kinds(&town, &rows.iter().map(String::as_str).collect::<Vec<_>>());
        town.bill("2025-03-15");
        kinds(&town, &["M1,2025-04-15,75,actual"]);
        // The bill of that April is made more than a year late.
        town.bill("2026-06-15");
        // 50 x 31 / 92 = 16.848 at 1.00
        assert_eq!(sums(&town).last().expect("a bill"), "16.85");
        town.assert_sound();
    }

    fn a_winter_with_a_partly_estimated_read_is_a_winter(town: Town) {
        town.tariff(WINTER).expect("the tariff");
        let csv = "customer_id,service_id,rate_class,meter_id,register_digits,register\nA1,S1,WINTER,M1,4,1\nA1,S1,WINTER,M1,4,2\n";
        assert_eq!(town.services(csv).expect("services").refused, 0);
        let mut rows = Vec::new();
        for (on, units, kind) in [("2025-11-15", 0, "actual"), ("2025-12-15", 10, "actual"), ("2026-01-15", 20, "estimated"), ("2026-02-15", 30, "actual"), ("2026-03-15", 40, "actual")] {
            rows.push(format!("M1,1,{on},{units},{kind}"));
            rows.push(format!("M1,2,{on},{units},actual"));
        }
        assert_eq!(import(&town, &rows.iter().map(String::as_str).collect::<Vec<_>>()).refused, 0);
        town.bill("2026-03-15");
        import(&town, &["M1,1,2026-04-15,60,actual", "M1,2,2026-04-15,60,actual"]);
        town.bill("2026-04-15");
        // 60 units in 92 days: 20.217 in 31 days
        assert_eq!(sums(&town).last().expect("a bill"), "20.22");
        town.assert_sound();
    }

    fn whom_no_further_bill_comes_to_gets_the_credit_back_too(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        kinds(&town, &["M1,2026-04-01,100,actual", "M1,2026-05-01,105,actual"]);
        town.bill("2026-05-01");
        town.pay("A1", "50.00", "R-1");
        leaves(&town, "A1", "S1", "2026-05-01", vec![]).expect("A1 leaves on the day of the last bill");
        town.bill("2026-05-01");
        let todos = town.context.database.read(|conn| operations::open_todos(conn, ToDoId(0), 100)).expect("the items are read");
        let todos: Vec<_> = todos.into_iter().map(|row| (row.kind, row.amount_cents)).collect();
        assert_eq!(todos, [("final_credit".to_owned(), Some(3000))]);
    }

    fn a_metered_service_does_not_become_a_flat_one_by_a_change_of_terms(town: Town) {
        let flat = TARIFF.replace("rate_structure:", "  classes:\n    FLAT:\n      metered: false\nrate_structure:\n  FLAT:\n    bill: 30.00");
        town.tariff(&flat).expect("the tariff");
        let csv = "customer_id,service_id,rate_class,meter_id,register_digits,start_on\nA1,S1,HOME,M1,4,2026-03-01\n";
        assert_eq!(town.services(csv).expect("services").refused, 0);
        kinds(&town, &["M1,2026-03-01,100,actual", "M1,2026-04-01,190,actual"]);
        let said = refusal(set_terms(&town, "S1", "2026-04-01", "FLAT"));
        assert!(said.contains("meter"), "{said}");
    }

    // A run prices the town while clerks move people: nobody is billed for days that are somebody else's.
    fn nobody_is_billed_for_days_that_another_moved_in_on(town: Town) {
        let mut town = town;
        town.configure(|config| config.runs.chunk_accounts = 4);
        let services: Vec<String> = (0..40).map(|n| format!("A{n},S{n},HOME,M{n}")).collect();
        let town = town.with_services(&services.iter().map(String::as_str).collect::<Vec<_>>());
        let reads: Vec<String> = (0..40).flat_map(|n| [format!("M{n},2026-04-01,100,actual"), format!("M{n},2026-05-01,105,actual")]).collect();
        kinds(&town, &reads.iter().map(String::as_str).collect::<Vec<_>>());
        std::thread::scope(|scope| {
            let clerk = scope.spawn(|| {
                for n in (0..40).rev() {
                    let (account, service, meter) = (format!("A{n}"), format!("S{n}"), format!("M{n}"));
                    match leaves(&town, &account, &service, "2026-04-20", vec![reading(&meter, 103)]) {
                        Ok(_) => {
                            comes(&town, &format!("B{n}"), &service, "2026-04-20", vec![]).expect("the next one comes");
                        }
                        Err(ActionError::Refused(reason)) => assert!(reason.contains("is billed through"), "{reason}"),
                        Err(error) => panic!("{error}"),
                    }
                }
            });
            run(&town, "main", "2026-05-01", false);
            clerk.join().expect("the clerk");
        });
        let overlaps = town.context.database.read(|conn| {
            Ok::<_, diesel::result::Error>(support::lines(
                conn,
                "SELECT p.code AS line FROM bill_segment s JOIN service_agreement a ON a.id = s.agreement_id \
                 JOIN service_agreement b ON b.service_point_id = a.service_point_id AND b.id <> a.id \
                 JOIN service_point p ON p.id = a.service_point_id \
                 WHERE s.live = 1 AND b.start_on < s.period_end_on AND (b.end_on IS NULL OR b.end_on > s.period_start_on)",
            ))
        });
        assert_eq!(overlaps.expect("a list"), Vec::<String>::new());
    }

    fn two_clerks_move_the_same_people(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        kinds(&town, &["M1,2026-04-01,100,actual"]);
        let both = |one: &(dyn Fn() -> Result<MoveReport, ActionError> + Sync), other: &(dyn Fn() -> Result<MoveReport, ActionError> + Sync)| {
            std::thread::scope(|scope| {
                let (one, other) = (scope.spawn(one), scope.spawn(other));
                let outcomes = [one.join().expect("a clerk"), other.join().expect("a clerk")];
                assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
                assert!(outcomes.iter().any(|outcome| matches!(outcome, Err(ActionError::Refused(_)))), "{outcomes:?}");
            });
        };
        both(&|| leaves(&town, "A1", "S1", "2026-04-11", vec![reading("M1", 104)]), &|| {
            leaves(&town, "A1", "S1", "2026-04-12", vec![reading("M1", 105)])
        });
        both(&|| comes(&town, "B1", "S1", "2026-04-12", vec![]), &|| comes(&town, "B2", "S1", "2026-04-12", vec![]));
        town.bill("2026-04-12");
        town.assert_sound();
    }

    fn a_credit_is_paid_out_once_whoever_asks(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1", "A2,S2,HOME,M2", "A3,S3,HOME,M3"]);
        town.pay("A1", "50.00", "R-1");
        town.pay("A3", "7.00", "R-2");
        std::thread::scope(|scope| {
            let mut clerks = Vec::new();
            for n in 0..4 {
                let town = &town;
                clerks.push(scope.spawn(move || refund_credit(&town.context, "A1", None, &format!("RF-{n}"), "gone").is_ok()));
                clerks.push(scope.spawn(move || transfer_balance(&town.context, "A1", "A2", &format!("T-{n}"), "gone").is_ok()));
            }
            let done = clerks.into_iter().map(|clerk| clerk.join().expect("a clerk")).filter(|done| *done).count();
            assert_eq!(done, 1);
        });
        assert_eq!(town.balance("A1"), "0.00");
        // One reference for two transfers at once: one of them is refused, not an error of the database.
        town.pay("A1", "5.00", "R-3");
        std::thread::scope(|scope| {
            let one = scope.spawn(|| transfer_balance(&town.context, "A1", "A2", "X", "one"));
            let other = scope.spawn(|| transfer_balance(&town.context, "A3", "A2", "X", "other"));
            let outcomes = [one.join().expect("a clerk"), other.join().expect("a clerk")];
            assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
            assert!(outcomes.iter().any(|outcome| matches!(outcome, Err(ActionError::Refused(_)))), "{outcomes:?}");
        });
        town.assert_sound();
    }

    fn what_the_first_version_billed_stands_and_its_estimates_are_settled(town: Town) {
        let mut town = town.with_services(&["A1,S1,HOME,M1", "A2,S2,SHOP,M2"]);
        kinds(&town, &["M1,2026-01-01,100,actual", "M1,2026-02-01,130,estimated", "M2,2026-01-01,1,actual", "M2,2026-02-01,3,actual"]);
        town.bill("2026-02-01");
        town.pay("A1", "20.00", "R-1");
        as_the_first_version_left_it(&town);
        town.context.database = Database::open(&town.url, 16).expect("the new version opens it");
        town.assert_sound();
        kinds(&town, &["M1,2026-03-01,125,actual", "M2,2026-03-01,5,actual"]);
        let report = town.bill("2026-03-01");
        assert_eq!((report.totals.billed, report.totals.held), (2, 0));
        // 25 units in 59 days: 13.135 in 31 days, 11.865 in 28: 40.97 + 36.53 - 20.00
        assert_eq!((town.balance("A1"), town.balance("A2")), ("57.50".into(), "17.00".into()));
        town.assert_sound();
    }

    // The second of two readings is impossible: the first one is not taken either.
    fn a_refused_move_takes_no_reading(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        kinds(&town, &["M1,2026-04-01,100,actual"]);
        let before = support::dump(&town);
        let readings = vec![reading("M1", 104), Reading { register: "9".to_owned(), ..reading("M1", 5) }];
        leaves(&town, "A1", "S1", "2026-04-11", readings).expect_err("there is no register 9");
        leaves(&town, "A1", "S1", "2026-04-11", vec![reading("M1", 104), reading("M1", 105)]).expect_err("two readings of one register");
        leaves(&town, "A1", "S1", "2026-04-11", vec![reading("M1", 104_000)]).expect_err("too many digits");
        assert_eq!(before, support::dump(&town));
    }

    fn terms_change_on_the_first_and_on_the_closing_day_and_twice_between(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        kinds(&town, &["M1,2026-04-01,100,actual", "M1,2026-05-01,120,actual", "M1,2026-06-01,140,actual"]);
        set_terms(&town, "S1", "2026-04-01", "SHOP").expect("on the first day");
        set_terms(&town, "S1", "2026-04-11", "HOME").expect("in between");
        set_terms(&town, "S1", "2026-04-21", "SHOP").expect("and back");
        set_terms(&town, "S1", "2026-05-01", "HOME").expect("on the closing day");
        town.bill("2026-06-01");
        // 20 units: as a shop 85.00, as a home 65.00: 20 and 10 of 30 days; then a home.
        assert_eq!(sums(&town), ["78.33", "65.00"]);
        town.assert_sound();
    }

    fn estimates_across_a_change_of_terms_and_of_rates_and_a_move(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        kinds(&town, &["M1,2026-01-01,100,actual", "M1,2026-02-01,120,estimated"]);
        town.bill("2026-02-01");
        set_terms(&town, "S1", "2026-02-01", "SHOP").expect("a shop from February on");
        kinds(&town, &["M1,2026-03-01,140,estimated"]);
        town.bill("2026-03-01");
        let dearer = TARIFF.replace("2020-01-01", "2026-03-16").replace("4.25", "8.50");
        town.tariff(&dearer).expect("the tariff");
        leaves(&town, "A1", "S1", "2026-04-01", vec![reading("M1", 145)]).expect("A1 leaves");
        comes(&town, "B1", "S1", "2026-04-01", vec![]).expect("B1 comes");
        kinds(&town, &["M1,2026-05-01,155,actual"]);
        town.bill("2026-05-01");
        // January 15.5 units as a home: 49.25 (was 65.00); February 14 as a shop 59.50 (was 85.00); March 15.5: 15 days at
        // 4.25 and 16 at 8.50: 65.875 and 131.75 by the days: 31.875 + 68.00 = 99.875 → 99.88
        assert_eq!(town.balance("A1"), "208.63");
        assert_eq!(town.balance("B1"), "85.00");
        town.assert_sound();
    }
}

/// Puts a town back to what the first version of the program made of it: whatever later migrations made goes, the last one
/// first.
fn as_the_first_version_left_it(town: &Town) {
    let collections =
        "DELETE FROM adjustment_reason WHERE code IN ('late-fee-taken-back', 'late-fee-waived', 'leak-taken-back', 'write-off-taken-back',
             'deposit', 'deposit-interest', 'deposit-applied', 'deposit-withdrawn');
         DELETE FROM gl_account WHERE code IN ('credit:waived-fees', 'payable:deposits', 'expense:deposit-interest');
         CREATE UNIQUE INDEX todo_account_once ON todo (kind, account_id) WHERE account_id IS NOT NULL AND status = 'open' AND approval_id IS NULL;
         DELETE FROM __diesel_schema_migrations WHERE version = '20261121000007';";
    put_back(
        town,
        include_str!("../migrations/sqlite/2026-11-21-000007_collections/up.sql"),
        include_str!("../migrations/postgres/2026-11-21-000007_collections/up.sql"),
        collections,
    );
    let credits = "CREATE UNIQUE INDEX todo_account_once ON todo (kind, account_id) WHERE account_id IS NOT NULL AND status = 'open';
         CREATE UNIQUE INDEX refund_provider_ref_once ON refund (provider, merchant, provider_ref, part)
             WHERE provider_ref IS NOT NULL AND superseded_seq IS NULL;
         DELETE FROM __diesel_schema_migrations WHERE version = '20261121000006';";
    put_back(
        town,
        include_str!("../migrations/sqlite/2026-11-21-000006_credits/up.sql"),
        include_str!("../migrations/postgres/2026-11-21-000006_credits/up.sql"),
        credits,
    );
    put_back(
        town,
        include_str!("../migrations/sqlite/2026-11-21-000005_rebill/up.sql"),
        include_str!("../migrations/postgres/2026-11-21-000005_rebill/up.sql"),
        "DELETE FROM __diesel_schema_migrations WHERE version = '20261121000005';",
    );
    put_back(
        town,
        include_str!("../migrations/sqlite/2026-11-21-000004_overcharges/up.sql"),
        include_str!("../migrations/postgres/2026-11-21-000004_overcharges/up.sql"),
        "DELETE FROM __diesel_schema_migrations WHERE version = '20261121000004';",
    );
    let payments = "DELETE FROM adjustment_reason WHERE code = 'refund-failed';
         DELETE FROM gl_account WHERE code = 'clearing:refunds';
         CREATE UNIQUE INDEX payment_provider_ref_once ON payment (provider, merchant, provider_ref) WHERE provider_ref IS NOT NULL;
         DELETE FROM __diesel_schema_migrations WHERE version = '20261121000003';";
    put_back(
        town,
        include_str!("../migrations/sqlite/2026-11-21-000003_payments/up.sql"),
        include_str!("../migrations/postgres/2026-11-21-000003_payments/up.sql"),
        payments,
    );
    let at_work = "DELETE FROM adjustment_reason WHERE code IN ('refund', 'transfer');
         DELETE FROM gl_account WHERE code IN ('payable:taxes', 'payable:refunds', 'clearing:transfers');
         DELETE FROM __diesel_schema_migrations WHERE version = '20261121000002';";
    put_back(
        town,
        include_str!("../migrations/sqlite/2026-11-21-000002_at_work/up.sql"),
        include_str!("../migrations/postgres/2026-11-21-000002_at_work/up.sql"),
        at_work,
    );
}

/// Takes back what a migration made, in the opposite order, and then what only its author knows.
fn put_back(town: &Town, sqlite: &str, postgres: &str, codes: &str) {
    let (migration, before) = match town.context.database.backend() {
        Backend::Sqlite => (sqlite, ""),
        Backend::Postgres => (postgres, "SET LOCAL session_replication_role = replica;"),
    };
    // Indexes and triggers before columns, columns before tables: each names what comes after it.
    let (mut first, mut columns, mut tables) = (String::new(), String::new(), String::new());
    let made: Vec<&str> = migration.lines().filter(|line| line.starts_with("CREATE ") || line.starts_with("ALTER ")).collect();
    for line in made.iter().rev() {
        let words: Vec<&str> = line.split_whitespace().map(|word| word.split('(').next().unwrap_or(word)).collect();
        match words.as_slice() {
            ["CREATE", "INDEX", name, ..] | ["CREATE", "UNIQUE", "INDEX", name, ..] => first += &format!("DROP INDEX {name};"),
            ["CREATE", "TRIGGER", name, rest @ ..] => {
                let on = rest.iter().position(|word| *word == "ON").and_then(|at| rest.get(at + 1)).expect("a trigger's table");
                let table = if before.is_empty() { String::new() } else { format!(" ON {on}") };
                first += &format!("DROP TRIGGER {name}{table};");
            }
            ["CREATE", "FUNCTION", name, ..] => tables += &format!("DROP FUNCTION {name};"),
            ["CREATE", "TABLE", name, ..] | ["CREATE", "VIRTUAL", "TABLE", name, ..] => {
                // Tables that name each other were tied together after both were made.
                let others = if before.is_empty() { "" } else { " CASCADE" };
                tables += &format!("DROP TABLE {name}{others};");
            }
            // It goes with its column or its table.
            ["ALTER", "TABLE", _, "ADD", "FOREIGN", ..] => {}
            ["ALTER", "TABLE", table, "ADD", "COLUMN", column, ..] => columns += &format!("ALTER TABLE {table} DROP COLUMN {column};"),
            _ => panic!("the migration does something that is not put back: {line}"),
        }
    }
    let sql = format!("{before} {first} {columns} {tables} {codes}");
    let done = town.context.database.write(|conn| diesel::connection::SimpleConnection::batch_execute(conn, &sql));
    done.expect("it is put back");
}

/// Sewer at 1.00 a unit, by the winter or as metered.
const WINTER: &str = "\
metadata:
  effective_date: 2020-01-01
  utility_name: Story town
  bill_frequency: monthly
  bill_unit: ccf
aquabills:
  tier_rule: boundary
  classes:
    WINTER:
      usage:
        basis: winter_average
        winter_months: [12, 1, 2]
rate_structure:
  METERED:
    commodity_charge: 1.00*usage_ccf
    bill: commodity_charge
  WINTER:
    commodity_charge: 1.00*usage_ccf
    bill: commodity_charge
";
