//! Stories of reads that need judgement, told on both databases; every figure is worked out by hand.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on must fail loudly")]

mod support;

use aquabills::actions::ActionError;
use aquabills::actions::enter_read::{NewRead, ReadOutcome, confirm_read, enter_read};
use aquabills::actions::estimate::{EstimateReport, estimate_missing};
use aquabills::actions::held::{Decision, ToDoFilter, ToDoView, count_todos, decide_some, list_todos, show_todo};
use aquabills::actions::import::ImportReport;
use aquabills::domain::ids::ToDoId;
use aquabills::domain::limits::ClassLimits;
use aquabills::domain::metering::ReadKind;
use chrono::{TimeZone, Utc};
use support::{QUIET, Town, day, dump, lines, on_both, stdout};

/// Everything that waits, most money first.
fn todos(town: &Town) -> Vec<ToDoView> {
    list_todos(&town.context, &ToDoFilter::default(), None, 100).expect("the list")
}

fn kinds(town: &Town) -> Vec<String> {
    todos(town).into_iter().map(|todo| todo.kind).collect()
}

fn read(meter: &str, on: &str, units: i64, kind: ReadKind) -> NewRead {
    NewRead { meter: meter.to_owned(), register: "1".to_owned(), read_on: day(on), reading_milli: units * 1000, kind }
}

fn enter(town: &Town, meter: &str, on: &str, units: i64, kind: ReadKind) -> ReadOutcome {
    enter_read(&town.context, &read(meter, on, units, kind)).expect("the read is looked at")
}

fn estimate(town: &Town, on: &str) -> EstimateReport {
    estimate_missing(&town.context, "all", day(on), false).expect("the reads are estimated")
}

fn counts(report: &EstimateReport) -> (u64, u64, u64, usize) {
    (report.due, report.read, report.estimated, report.held.len())
}

/// `meter register day reading kind status` of every read of a meter.
fn reads_of(town: &Town, meter: &str) -> Vec<String> {
    let sql = format!(
        "SELECT r.code || ' ' || CAST(m.read_on AS TEXT) || ' ' || CAST(m.reading_milli / 1000 AS TEXT) || ' ' || m.kind || ' ' || m.status AS line \
         FROM meter_read m JOIN register r ON r.id = m.register_id JOIN meter x ON x.id = r.meter_id WHERE x.serial = '{meter}' \
         ORDER BY m.read_on, r.code, m.id"
    );
    town.context.database.read(|conn| Ok::<_, diesel::result::Error>(lines(conn, &sql))).expect("the reads")
}

fn last_read(town: &Town, meter: &str) -> String {
    reads_of(town, meter).pop().expect("a read")
}

fn basis_of(town: &Town, meter: &str) -> String {
    let sql = format!(
        "SELECT m.basis AS line FROM meter_read m JOIN register r ON r.id = m.register_id JOIN meter x ON x.id = r.meter_id \
         WHERE x.serial = '{meter}' AND m.basis IS NOT NULL ORDER BY m.read_on DESC LIMIT 1"
    );
    town.context.database.read(|conn| Ok::<_, diesel::result::Error>(lines(conn, &sql))).expect("the reads").pop().expect("a basis")
}

fn import(town: &Town, csv: &str) -> ImportReport {
    aquabills::actions::import::reads::import_reads(&town.context, &town.file("reads.csv", csv), QUIET).expect("the reads are read")
}

/// Ten a month.
const STEADY: [&str; 5] = ["M1,2026-01-01,0", "M1,2026-02-01,10", "M1,2026-03-01,20", "M1,2026-04-01,30", "M1,2026-05-01,40"];

/// One a day for two months.
const DAILY: [&str; 3] = ["M1,2026-01-01,100", "M1,2026-02-01,131", "M1,2026-03-01,159"];

on_both! {
    fn a_summer_like_the_last_one_is_not_held(town: Town) {
        let town = town.with_services(&["A1,S1,SHOP,M1", "A2,S2,SHOP,M2"]);
        // Two months of spring at 300, the rest of the year at 10 in two months.
        let year = ["2025-02-01,0", "2025-04-01,10", "2025-06-01,310", "2025-08-01,320", "2025-10-01,330", "2025-12-01,340", "2026-02-01,350", "2026-04-01,360"];
        let rows: Vec<String> = ["M1", "M2"].iter().flat_map(|meter| year.map(|row| format!("{meter},{row}"))).collect();
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        assert_eq!((town.reads(&rows).held, todos(&town).len()), (0, 0));
        // 300 in 61 days is 4.92 a day: more than 5 times the average of 350 in 365 days, and just what it was last spring.
        // 1700 is more than 5 times that, too.
        let report = town.reads(&["M1,2026-06-01,660", "M2,2026-06-01,2060"]);
        assert_eq!((report.accepted, report.held), (2, 1));
        let held = todos(&town);
        assert_eq!((held.len(), held[0].meter.as_deref()), (1, Some("M2")));
        assert!(held[0].reason.contains("1700 in 61 days") && held[0].reason.contains("same season last year"), "{}", held[0].reason);
        let shown = held[0].read.as_ref().expect("a read");
        assert_eq!((shown.before_on, shown.before_milli, shown.reading_milli), (Some(day("2026-04-01")), Some(360_000), 2_060_000));
        // 350 in 365 days is 58.493 in 61; last spring it was 300 in 61.
        assert_eq!((shown.usage_milli, shown.own_average_milli, shown.last_year_milli), (Some(1_700_000), Some(58_493), Some(300_000)));
    }

    fn ten_times_the_usual_use_names_the_multiplier_and_the_money(town: Town) {
        let town = town.with_services(&["A1,S1,SHOP,M1"]);
        town.reads(&STEADY);
        // 100 in 31 days beside 40 in 120: 9.7 times.
        assert_eq!(town.reads(&["M1,2026-06-01,140"]).held, 1);
        let held = todos(&town);
        assert!(held[0].reason.contains("the multiplier may be wrong (about 10 times)"), "{}", held[0].reason);
        assert_eq!(held[0].amount_cents, Some(42_500), "100 at 4.25");
        assert_eq!(held[0].decisions, [Decision::Release, Decision::Reject]);
    }

    fn swapped_meters_name_each_other(town: Town) {
        let town = town.with_services(&["A1,S1,SHOP,M1", "A2,S2,SHOP,M2", "A3,S3,SHOP,M3"]);
        for (month, one, two) in [(1, 1000, 5000), (2, 1100, 5010), (3, 1200, 5020), (4, 1300, 5030), (5, 1400, 5040)] {
            town.reads(&[&format!("M1,2026-0{month}-01,{one}"), &format!("M2,2026-0{month}-01,{two}"), &format!("M3,2026-0{month}-01,{one}")]);
        }
        // M1 should show 1500 and M2 5050.
        let report = town.reads(&["M1,2026-06-01,5050", "M2,2026-06-01,1500", "M3,2026-06-01,9000"]);
        assert_eq!(report.held, 3);
        let reason = |meter: &str| todos(&town).into_iter().find(|todo| todo.meter.as_deref() == Some(meter)).expect("an item").reason;
        assert!(reason("M1").contains("the reading of meter M2 of that day would fit"), "{}", reason("M1"));
        assert!(reason("M2").contains("the reading of meter M1 of that day would fit"), "{}", reason("M2"));
        assert!(!reason("M3").contains("would fit"), "{}", reason("M3"));
    }

    fn a_register_that_stands_still_is_told_once_and_billed(town: Town) {
        let town = town.with_services(&["A1,S1,SHOP,M1"]);
        town.reads(&["M1,2026-01-01,0", "M1,2026-02-01,10", "M1,2026-03-01,10", "M1,2026-04-01,10"]);
        assert_eq!(kinds(&town), Vec::<String>::new());
        assert_eq!(town.reads(&["M1,2026-05-01,10"]).held, 0);
        assert_eq!(kinds(&town), ["stuck_register"]);
        assert!(todos(&town)[0].reason.contains("2026-05-01") && todos(&town)[0].reason.contains("since 2026-02-01"), "{}", todos(&town)[0].reason);
        town.reads(&["M1,2026-06-01,10"]);
        assert_eq!(kinds(&town), ["stuck_register"], "not another one each month");
        let run = town.bill("2026-06-01");
        assert_eq!((run.totals.billed, run.totals.held), (1, 0));
        let id = todos(&town)[0].id;
        let refused = decide_some(&town.context, &[id], Decision::Reject, "no").expect_err("there is nothing to reject");
        assert!(refused.to_string().contains("release it when it is dealt with"), "{refused}");
        assert_eq!(decide_some(&town.context, &[id], Decision::Release, "the house is empty").expect("it is dealt with"), 1);
        assert_eq!(kinds(&town), Vec::<String>::new());
    }

    fn a_read_far_below_the_usual_is_told_and_billed(town: Town) {
        let town = town.with_services(&["A1,S1,SHOP,M1"]);
        let report = town.reads(&["M1,2026-01-01,0", "M1,2026-02-01,100", "M1,2026-03-01,200", "M1,2026-04-01,300", "M1,2026-05-01,304"]);
        assert_eq!((report.held, kinds(&town)), (0, vec!["low_use".to_owned()]));
        assert!(todos(&town)[0].reason.contains("counts 4 in 30 days"), "{}", todos(&town)[0].reason);
        assert_eq!(town.bill("2026-05-01").totals.billed, 1);
    }

    fn what_waits_is_ranked_by_money_and_shows_its_age(town: Town) {
        let town = town.with_services(&["A1,S1,SHOP,M1", "A2,S2,SHOP,M2", "A3,S3,SHOP,M3"]);
        for meter in ["M1", "M2", "M3"] {
            let rows: Vec<String> = STEADY.iter().map(|row| row.replace("M1", meter)).collect();
            town.reads(&rows.iter().map(String::as_str).collect::<Vec<_>>());
        }
        town.reads(&["M1,2026-06-01,340"]);
        town.context.clock.set(Utc.with_ymd_and_hms(2026, 6, 18, 13, 0, 0).single().expect("a moment"));
        town.reads(&["M2,2026-06-01,540", "M3,2026-06-01,340"]);
        let listed = |after| list_todos(&town.context, &ToDoFilter::default(), after, 1).expect("the list").pop();
        let mut found: Vec<ToDoView> = Vec::new();
        while let Some(todo) = listed(found.last().map(|todo| todo.id)) {
            found.push(todo);
        }
        // 500 and twice 300 at 4.25.
        let seen: Vec<_> = found.iter().map(|todo| (todo.account.as_deref().unwrap_or(""), todo.amount_cents, todo.age_days)).collect();
        assert_eq!(seen, [("A2", Some(212_500), 0), ("A1", Some(127_500), 3), ("A3", Some(127_500), 0)]);
        let one = ToDoFilter { kind: Some("read_limit".to_owned()), account: Some("A3".to_owned()) };
        assert_eq!(list_todos(&town.context, &one, None, 10).expect("the list").len(), 1);
        let none = ToDoFilter { kind: Some("bill_limit".to_owned()), account: None };
        assert_eq!(list_todos(&town.context, &none, None, 10).expect("the list").len(), 0);
        let counted = count_todos(&town.context).expect("the count");
        assert_eq!((counted.len(), counted[0].total, counted[0].amount_cents), (1, 3, 467_500));
    }

    fn a_rejected_read_takes_its_bill_with_it(town: Town) {
        let town = town.with_services(&["A1,S1,SHOP,M1"]);
        town.reads(&STEADY);
        town.reads(&["M1,2026-06-01,2040"]);
        town.bill("2026-06-01");
        let held = todos(&town);
        // 2000 at 4.25, above the limit of 5000.00: the read and the bill both wait.
        let seen: Vec<_> = held.iter().map(|todo| (todo.kind.as_str(), todo.amount_cents)).collect();
        assert_eq!(seen, [("read_limit", Some(850_000)), ("bill_limit", Some(850_000))]);
        let refused = decide_some(&town.context, &[held[0].id], Decision::Reject, " ").expect_err("a note is wanted");
        assert!(matches!(&refused, ActionError::Refused(text) if text.contains("note")), "{refused}");
        assert_eq!(todos(&town).len(), 2);
        decide_some(&town.context, &[held[0].id], Decision::Reject, "misread").expect("it is rejected");
        assert_eq!(todos(&town).len(), 0, "the bill that was made from it goes too");
        let bill = show_todo(&town.context, held[1].id).expect("it is there");
        assert_eq!((bill.status.as_str(), bill.decisions.len()), ("rejected", 0));
        town.reads(&["M1,2026-06-01,50"]);
        assert_eq!(town.bill("2026-06-01").totals.total_cents, 21_250, "five periods of ten");
        town.assert_sound();
    }

    fn a_rejected_read_can_be_confirmed_by_staff(town: Town) {
        let town = town.with_services(&["A1,S1,SHOP,M1"]);
        town.reads(&STEADY);
        town.reads(&["M1,2026-06-01,440"]);
        let id = todos(&town)[0].id;
        decide_some(&town.context, &[id], Decision::Reject, "misread").expect("it is rejected");
        assert_eq!(town.reads(&["M1,2026-06-01,440"]).unchanged, 1, "a file does not bring it back");
        let outcome = enter(&town, "M1", "2026-06-01", 440, ReadKind::Actual);
        assert!(matches!(&outcome, ReadOutcome::Refused(reason) if reason.contains("rejected before")), "{outcome:?}");
        let again = read("M1", "2026-06-01", 440, ReadKind::Actual);
        assert!(confirm_read(&town.context, &again, "").is_err());
        assert_eq!(confirm_read(&town.context, &again, "a burst pipe, seen").expect("it is taken"), ReadOutcome::Accepted);
        assert_eq!(confirm_read(&town.context, &again, "a burst pipe, seen").expect("it is there"), ReadOutcome::Unchanged);
        let run = town.bill("2026-06-01");
        // 40 and 400 at 4.25
        assert_eq!((run.totals.billed, run.totals.total_cents), (1, 187_000));
        town.assert_sound();
    }

    fn a_read_that_is_entered_is_judged_like_one_of_a_file(town: Town) {
        let town = town.with_services(&["A1,S1,SHOP,M1"]);
        town.reads(&STEADY);
        assert_eq!(enter(&town, "M1", "2026-06-01", 50, ReadKind::Actual), ReadOutcome::Accepted);
        assert_eq!(enter(&town, "M1", "2026-06-01", 50, ReadKind::Actual), ReadOutcome::Unchanged);
        let outcome = enter(&town, "M1", "2026-06-10", 49, ReadKind::Actual);
        assert!(matches!(&outcome, ReadOutcome::Held(reason) if reason.contains("reversed")), "{outcome:?}");
        for (meter, on, units, kind, word) in [
            ("M9", "2026-06-11", 1, ReadKind::Actual, "there is no meter 'M9'"),
            ("M1", "2026-06-16", 60, ReadKind::Actual, "in the future"),
            ("M1", "2026-06-11", 10_000, ReadKind::Actual, "more digits"),
            ("M1", "2026-06-11", 60, ReadKind::Removal, "exchange"),
            ("M1", "2026-06-01", 51, ReadKind::Actual, "already"),
        ] {
            let before = dump(&town);
            let outcome = enter(&town, meter, on, units, kind);
            assert!(matches!(&outcome, ReadOutcome::Refused(reason) if reason.contains(word)), "{word}: {outcome:?}");
            assert_eq!(dump(&town), before, "{word}: a refusal changes nothing");
        }
        let audited = town.context.database.read(|conn| {
            Ok::<_, diesel::result::Error>(lines(conn, "SELECT subject || ': ' || detail AS line FROM audit_event WHERE action = 'read.enter' ORDER BY id"))
        });
        let audited = audited.expect("the audit trail");
        assert_eq!((audited.len(), audited[0].as_str()), (2, "M1 of 2026-06-01: register 1, 50 (actual): accepted"));
    }
}

on_both! {
    fn a_missing_read_is_estimated_by_the_own_average_and_labelled(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        town.reads(&DAILY);
        town.bill("2026-03-01");
        let dry = estimate_missing(&town.context, "all", day("2026-04-01"), true).expect("the dry run");
        assert_eq!((counts(&dry), dry.dry_run), ((1, 0, 1, 0), true));
        assert_eq!(reads_of(&town, "M1").len(), 3, "a dry run changes nothing");
        assert_eq!(counts(&estimate(&town, "2026-04-01")), (1, 0, 1, 0));
        assert_eq!(last_read(&town, "M1"), "1 2026-04-01 190 estimated accepted");
        assert_eq!(basis_of(&town, "M1"), "from the read of 2026-03-01 on by its average over the last 2 periods, 1 a day");
        let before = dump(&town);
        assert_eq!(counts(&estimate(&town, "2026-04-01")), (1, 1, 0, 0));
        assert_eq!(dump(&town), before, "the same again changes nothing");
        // 10.00, 10 at 2.00 and 21 at 3.50
        assert_eq!(town.bill("2026-04-01").totals.total_cents, 10_350);
        assert_eq!(counts(&estimate(&town, "2026-04-01")), (0, 0, 0, 0), "it is billed");
        town.assert_sound();
    }

    fn the_same_weeks_last_year_come_first(town: Town) {
        let town = town.with_services(&["A1,S1,SHOP,M1"]);
        // 2 a day for 91 days, then 4 a day for 31; a year later 1 a day for 91 days: half of the 4 for 31 days is 62.
        town.reads(&["M1,2025-02-01,0", "M1,2025-05-03,182", "M1,2025-06-03,306", "M1,2026-02-01,400", "M1,2026-05-03,491"]);
        assert_eq!(counts(&estimate(&town, "2026-06-03")), (1, 0, 1, 0));
        assert_eq!(last_read(&town, "M1"), "1 2026-06-03 553 estimated accepted");
        let basis = basis_of(&town, "M1");
        assert!(basis.contains("the same weeks last year, 2025-05-03 to 2025-06-03, 4 a day, at 50 %"), "{basis}");
    }

    fn only_so_many_estimates_in_a_row(mut_town: Town) {
        let mut town = mut_town;
        town.configure(|config| {
            config.limits.classes.insert("HOME".to_owned(), ClassLimits { max_estimates: Some(2), ..ClassLimits::default() });
        });
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        town.reads(&DAILY);
        // Each from the last real read: 159 and 31, 61 days; an estimate never feeds the next.
        assert_eq!(counts(&estimate(&town, "2026-04-01")), (1, 0, 1, 0));
        assert_eq!(counts(&estimate(&town, "2026-05-01")), (1, 0, 1, 0));
        assert_eq!(last_read(&town, "M1"), "1 2026-05-01 220 estimated accepted");
        town.bill("2026-05-01");
        let report = estimate(&town, "2026-06-01");
        assert_eq!(counts(&report), (1, 0, 0, 1));
        assert!(report.held[0].reason.contains("its last 2 reads were estimates already, since the read of 2026-03-01"), "{:?}", report.held);
        let asked = todos(&town);
        assert_eq!((asked.len(), asked[0].kind.as_str(), asked[0].meter.as_deref()), (1, "read_missing", Some("M1")));
        // What waits is about as much as its last bill: 30 days, 10.00 and 10 at 2.00 and 20 at 3.50.
        assert_eq!(asked[0].amount_cents, Some(10_000));
        let before = dump(&town);
        estimate(&town, "2026-06-01");
        assert_eq!(dump(&town), before, "a clerk is asked once");
        // Real use was lower than was estimated: that is no reversed read, and the question is answered.
        let report = town.reads(&["M1,2026-06-01,215"]);
        assert_eq!((report.accepted, report.held, kinds(&town).len()), (1, 0, 0));
    }

    fn a_question_that_was_dealt_with_is_not_asked_again(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        town.reads(&["M1,2026-03-01,159"]);
        let report = estimate(&town, "2026-04-01");
        assert_eq!(counts(&report), (1, 0, 0, 1));
        assert!(report.held[0].reason.contains("no period between two real reads"), "{:?}", report.held);
        let id = todos(&town)[0].id;
        decide_some(&town.context, &[id], Decision::Release, "nobody at home").expect("it is dealt with");
        estimate(&town, "2026-04-01");
        assert_eq!(todos(&town).len(), 0);
        estimate(&town, "2026-05-01");
        assert_eq!(todos(&town).len(), 1, "another day is another question");
    }

    fn a_real_read_is_held_against_the_last_real_one(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        town.reads(&DAILY);
        estimate(&town, "2026-04-01");
        town.bill("2026-04-01");
        // 16 since 159 in 61 days, although 190 was estimated in between.
        let report = town.reads(&["M1,2026-05-01,175"]);
        assert_eq!((report.accepted, report.held), (1, 0));
        // Below the last real one it is reversed.
        let outcome = enter(&town, "M1", "2026-06-01", 170, ReadKind::Actual);
        assert!(matches!(&outcome, ReadOutcome::Held(reason) if reason.contains("lower than the read before it")), "{outcome:?}");
    }

    fn a_real_read_takes_the_place_of_an_unbilled_estimate(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1", "A2,S2,HOME,M2"]);
        town.reads(&DAILY);
        town.reads(&["M2,2026-01-01,0", "M2,2026-02-01,31", "M2,2026-03-01,59"]);
        estimate(&town, "2026-04-01");
        let report = town.reads(&["M1,2026-04-01,175", "M2,2026-03-30,80"]);
        assert_eq!((report.accepted, report.held), (2, 0));
        assert_eq!(reads_of(&town, "M1")[3..], ["1 2026-04-01 190 estimated rejected", "1 2026-04-01 175 actual accepted"]);
        // A real read two days before leaves nothing to estimate.
        assert_eq!(reads_of(&town, "M2")[3..], ["1 2026-03-30 80 actual accepted", "1 2026-04-01 90 estimated rejected"]);
        assert_eq!(town.reads(&["M1,2026-04-01,175", "M2,2026-03-30,80"]).unchanged, 2);
        assert_eq!(counts(&estimate(&town, "2026-04-01")), (2, 2, 0, 0));
        // Two periods at one a day, then 16: 10 at 2.00 and 6 at 3.50.
        town.bill("2026-04-01");
        assert_eq!(town.totals().iter().filter(|row| row.0 == "S1").map(|row| row.2.clone()).collect::<Vec<_>>(), ["103.50", "93.00", "51.00"]);
        town.assert_sound();
    }

    fn a_billed_estimate_stands_and_says_what_to_do(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        town.reads(&DAILY);
        estimate(&town, "2026-04-01");
        town.bill("2026-04-01");
        let before = dump(&town);
        let outcome = enter(&town, "M1", "2026-04-01", 175, ReadKind::Actual);
        assert!(matches!(&outcome, ReadOutcome::Refused(reason) if reason.contains("billed by an estimate") && reason.contains("the next day")), "{outcome:?}");
        assert_eq!(dump(&town), before);
        assert_eq!(enter(&town, "M1", "2026-04-02", 176, ReadKind::Actual), ReadOutcome::Accepted);
    }

    fn a_read_within_a_week_makes_an_estimate_needless(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1", "A2,S2,HOME,M2"]);
        town.reads(&DAILY);
        town.reads(&["M2,2026-01-01,0", "M2,2026-02-01,31", "M1,2026-03-25,180", "M2,2026-03-24,80"]);
        // Seven days before the first of April, and eight.
        assert_eq!(counts(&estimate(&town, "2026-04-01")), (2, 1, 1, 0));
        assert_eq!(reads_of(&town, "M1").len(), 4);
        // 80 in 82 days: 88 on the eighth day after.
        assert_eq!(last_read(&town, "M2"), "1 2026-04-01 88 estimated accepted");
    }

    fn an_estimate_rolls_over_and_lies_between_the_reads_around_it(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1", "A2,S2,HOME,M2"]);
        town.reads(&["M1,2026-01-01,9930", "M1,2026-02-01,9961", "M1,2026-03-01,9989"]);
        town.reads(&["M2,2026-01-01,0", "M2,2026-02-01,31", "M2,2026-05-01,120"]);
        assert_eq!(counts(&estimate(&town, "2026-04-01")), (2, 0, 2, 0));
        assert_eq!(last_read(&town, "M1"), "1 2026-04-01 20 estimated accepted");
        // 89 in 89 days from February to May, 59 of them by April.
        assert!(reads_of(&town, "M2").contains(&"1 2026-04-01 90 estimated accepted".to_owned()), "{:?}", reads_of(&town, "M2"));
    }

    fn an_exchanged_meter_is_estimated_by_what_the_old_one_counted(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        town.reads(&["M1,2026-01-01,0", "M1,2026-03-01,59"]);
        assert_eq!(town.exchanges(&["S1,2026-04-15,M1,104,M1B,500,5"]).accepted, 1);
        // One a day since January; sixteen days since the new meter showed 500.
        assert_eq!(counts(&estimate(&town, "2026-05-01")), (1, 0, 1, 0));
        assert_eq!(last_read(&town, "M1B"), "1 2026-05-01 516 estimated accepted");
        town.bill("2026-05-01");
        // 59 days, then 45 and 16: 10.00, 10 at 2.00, the rest at 3.50.
        assert_eq!(town.totals().iter().map(|row| row.2.clone()).collect::<Vec<_>>(), ["201.50", "208.50"]);
        town.assert_sound();
    }

    fn an_exchange_sets_aside_what_was_estimated_after_it(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        town.reads(&DAILY);
        estimate(&town, "2026-04-01");
        assert_eq!(town.exchanges(&["S1,2026-03-20,M1,170,M1B,0,4"]).accepted, 1);
        assert_eq!(reads_of(&town, "M1")[3..], ["1 2026-03-20 170 removal accepted", "1 2026-04-01 190 estimated rejected"]);
        // 70 in 78 days: 12 days are 10.77.
        assert_eq!(counts(&estimate(&town, "2026-04-01")), (1, 0, 1, 0));
        assert_eq!(last_read(&town, "M1B"), "1 2026-04-01 11 estimated accepted");
    }

    fn the_edges_of_an_agreement_are_not_estimated(town: Town) {
        let town = town.with_services(&["A9,S9,HOME,M9"]);
        let header = "customer_id,service_id,rate_class,meter_id,register_digits,start_on,end_on";
        town.services(&format!("{header}\nA1,S1,HOME,M1,4,2026-02-10,\nA2,S2,HOME,M2,4,2026-01-01,2026-03-15\nA3,S3,HOME,M3,4,2026-05-01,\n"))
            .expect("accepted");
        town.reads(&["M1,2026-02-12,10", "M1,2026-03-01,30", "M2,2026-01-01,0", "M2,2026-02-01,31", "M9,2026-01-01,0", "M9,2026-04-01,90"]);
        let report = estimate(&town, "2026-04-01");
        assert_eq!(counts(&report), (3, 1, 0, 2));
        let told: Vec<_> = report.held.iter().map(|held| (held.service_id.as_str(), held.on)).collect();
        assert_eq!(told, [("S1", day("2026-02-10")), ("S2", day("2026-03-15"))]);
        assert_eq!(kinds(&town), ["read_missing", "read_missing"]);
        town.reads(&["M1,2026-02-10,8", "M2,2026-03-15,73"]);
        assert_eq!(kinds(&town), Vec::<String>::new(), "the reads came");
        // 22 in 19 days before: 31 days are 35.9.
        assert_eq!(counts(&estimate(&town, "2026-04-01")), (3, 2, 1, 0));
        assert_eq!(last_read(&town, "M1"), "1 2026-04-01 66 estimated accepted");
    }

    fn a_meters_registers_are_estimated_together(town: Town) {
        let town = town.with_services(&["A9,S9,HOME,M9"]);
        let header = "customer_id,service_id,rate_class,meter_id,register_digits,register";
        town.services(&format!("{header}\nA1,S1,HOME,M1,4,1\nA1,S1,HOME,M1,4,2\n")).expect("accepted");
        let rows = "M1,1,2026-01-01,0\nM1,2,2026-01-01,100\nM1,1,2026-03-01,59\nM1,2,2026-03-01,218\n";
        import(&town, &format!("meter_id,register,read_on,reading\n{rows}"));
        assert_eq!(counts(&estimate(&town, "2026-04-01")), (2, 0, 1, 1));
        assert_eq!(reads_of(&town, "M1")[4..], ["1 2026-04-01 90 estimated accepted", "2 2026-04-01 280 estimated accepted"]);
        // One of them is read: the other is estimated for that day.
        import(&town, "meter_id,register,read_on,reading\nM1,1,2026-04-28,120\n");
        assert_eq!(counts(&estimate(&town, "2026-05-01")), (2, 0, 1, 1));
        assert_eq!(last_read(&town, "M1"), "2 2026-04-28 334 estimated accepted");
        assert_eq!(town.bill("2026-05-01").totals.segments, 3);
        town.assert_sound();
    }

    fn two_estimates_at_once_are_one(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1", "A2,S2,HOME,M2"]);
        town.reads(&DAILY);
        let reports: Vec<EstimateReport> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..4).map(|_| scope.spawn(|| estimate(&town, "2026-04-01"))).collect();
            workers.into_iter().map(|worker| worker.join().expect("a report")).collect()
        });
        assert_eq!(reports.iter().map(|report| report.estimated).sum::<u64>(), 1);
        assert_eq!((reads_of(&town, "M1").len(), todos(&town).len()), (4, 1));
    }
}

on_both! {
    fn customers_read_their_own_meters(town: Town) {
        let town = town.with_services(&["A1,S1,SHOP,M1"]);
        town.reads(&STEADY);
        assert_eq!(enter(&town, "M1", "2026-05-10", 43, ReadKind::Customer), ReadOutcome::Accepted);
        let soon = enter(&town, "M1", "2026-05-29", 49, ReadKind::Customer);
        assert!(matches!(&soon, ReadOutcome::Refused(reason) if reason.contains("2026-05-30")), "{soon:?}");
        assert_eq!(enter(&town, "M1", "2026-05-30", 50, ReadKind::Customer), ReadOutcome::Accepted);
        // The utility read the meter since: the customer may again.
        assert_eq!(enter(&town, "M1", "2026-06-02", 51, ReadKind::Actual), ReadOutcome::Accepted);
        assert_eq!(enter(&town, "M1", "2026-06-09", 53, ReadKind::Customer), ReadOutcome::Accepted);
        // The utility's own read of a day stands, whichever comes first.
        let late = enter(&town, "M1", "2026-06-02", 52, ReadKind::Customer);
        assert!(matches!(&late, ReadOutcome::Refused(reason) if reason.contains("its own read stands")), "{late:?}");
        assert_eq!(enter(&town, "M1", "2026-06-09", 54, ReadKind::Actual), ReadOutcome::Accepted);
        assert_eq!(reads_of(&town, "M1")[8..], ["1 2026-06-09 53 customer rejected", "1 2026-06-09 54 actual accepted"]);
    }

    fn a_customers_read_waits_on_any_doubt(town: Town) {
        let town = town.with_services(&["A1,S1,SHOP,M1", "A2,S2,SHOP,M2", "A3,S3,SHOP,M3"]);
        for meter in ["M1", "M2", "M3"] {
            let rows: Vec<String> = STEADY.iter().map(|row| row.replace("M1", meter)).collect();
            town.reads(&rows.iter().map(String::as_str).collect::<Vec<_>>());
        }
        // 60 in 31 days is six times as much as 40 in 120, but below what matters for the utility's own reads.
        let held = |meter, units| matches!(enter(&town, meter, "2026-06-01", units, ReadKind::Customer), ReadOutcome::Held(_));
        assert!(held("M1", 100));
        assert!(held("M2", 40), "no use at all");
        assert!(!held("M3", 52));
        assert_eq!(town.reads(&["M1,2026-06-03,52", "M2,2026-06-03,85"]).held, 1, "the first is reversed beside the doubtful one, 45 is below the floor");
    }

    fn two_reads_of_one_day_at_once_leave_the_utilitys(town: Town) {
        let town = town.with_services(&["A1,S1,SHOP,M1"]);
        town.reads(&STEADY);
        std::thread::scope(|scope| {
            scope.spawn(|| enter(&town, "M1", "2026-06-01", 51, ReadKind::Customer));
            scope.spawn(|| enter(&town, "M1", "2026-06-01", 50, ReadKind::Actual));
        });
        let standing: Vec<String> = reads_of(&town, "M1").into_iter().filter(|read| !read.ends_with("rejected")).collect();
        assert_eq!(standing[5..], ["1 2026-06-01 50 actual accepted"]);
    }

    fn a_household_is_held_against_its_own_use_only(town: Town) {
        let town = town.with_services(&["A9,S9,SHOP,M9"]);
        let header = "customer_id,service_id,rate_class,meter_id,register_digits,start_on,end_on";
        town.services(&format!("{header}\nA1,S1,SHOP,M1,4,2026-01-01,2026-05-01\n")).expect("accepted");
        town.reads(&STEADY);
        town.bill("2026-05-01");
        let before_billed = enter(&town, "M1", "2026-04-15", 35, ReadKind::Actual);
        assert!(matches!(&before_billed, ReadOutcome::Refused(reason) if reason.contains("billed through 2026-05-01")), "{before_billed:?}");
    }

    fn the_commands_speak_plainly(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        // The program runs by the true clock: reads of long ago.
        town.reads(&["M1,2024-01-01,100", "M1,2024-02-01,131", "M1,2024-03-01,160"]);
        let entered = town.program(&["read", "enter", "M1", "--on", "2024-04-01", "--reading", "9000", "--json"]);
        assert!(entered.status.success() && stdout(&entered).contains("\"held\""), "{}", stdout(&entered));
        assert!(!town.program(&["read", "enter", "M7", "--on", "2024-04-01", "--reading", "1"]).status.success());
        let listed = stdout(&town.program(&["held", "list", "--kind", "read_limit"]));
        assert!(listed.contains("M1") && listed.contains("days"), "{listed}");
        let id = todos(&town)[0].id.to_string();
        assert!(!town.program(&["held", "reject", &id]).status.success(), "a note is wanted");
        assert!(town.program(&["held", "reject", &id, "--note", "misread"]).status.success());
        let estimated = town.program(&["estimate", "--cycle", "all", "--on", "2024-04-01", "--json"]);
        let json: serde_json::Value = serde_json::from_str(&stdout(&estimated)).expect("JSON");
        assert_eq!((json["due"].as_i64(), json["estimated"].as_i64()), (Some(1), Some(1)), "{json}");
        assert_eq!(last_read(&town, "M1"), "1 2024-04-01 191 estimated accepted");
        let confirmed = town.program(&["read", "enter", "M1", "--on", "2024-04-01", "--reading", "9000", "--confirm", "seen"]);
        assert!(confirmed.status.success() && stdout(&confirmed).contains("accepted"), "{}", stdout(&confirmed));
        assert!(show_todo(&town.context, ToDoId(999)).is_err());
    }
}
