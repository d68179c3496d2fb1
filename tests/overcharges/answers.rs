//! What becomes of findings: they go when they no longer hold, stay dismissed, count as mended, and are found once however often and by
//! however many is looked.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use aquabills::actions::held::reject_read;
use aquabills::actions::overcharges::cases::dismiss;
use aquabills::actions::overcharges::scan::scan_account;
use aquabills::db::{Database, overcharges};

use super::*;
use crate::support::moves::refusal;
use crate::support::{TARIFF, dump, on_both};

/// A town whose accounts were billed 7.50 too much each.
fn overcharged(town: Town, accounts: u32) -> Town {
    let rows: Vec<String> = (1..=accounts).map(|number| format!("A{number},S{number},HOME,M{number}")).collect();
    let town = town.with_services(&rows.iter().map(String::as_str).collect::<Vec<_>>());
    let reads: Vec<String> = (1..=accounts).flat_map(|number| [format!("M{number},2026-01-01,100"), format!("M{number},2026-02-01,120")]).collect();
    town.reads(&reads.iter().map(String::as_str).collect::<Vec<_>>());
    town.bill("2026-02-01");
    supersede(&town, &TARIFF.replace("tier_starts: [0, 10]", "tier_starts: [0, 15]"));
    town
}

/// As whoever mends a finding does it, in one transaction with the adjustment.
fn settle(town: &Town, case: &CaseView, finding: i64, mended_cents: i64) {
    let now = town.context.now();
    let settled = town.context.database.write(|conn| {
        let settled = overcharges::settle(conn, FindingId(finding), "adjustment:X-1", mended_cents, now)?;
        Ok::<_, diesel::result::Error>(settled && overcharges::close_if_done(conn, case.row.id, "tester", now)?)
    });
    assert!(settled.expect("it is settled"));
}

/// As when putting it right was begun.
fn mending(town: &Town, case: &CaseView) {
    let moved = town.context.database.write(|conn| overcharges::move_case(conn, case.row.id, "open", "mending"));
    assert!(moved.expect("the case is moved"));
}

fn status(town: &Town, case: &CaseView) -> String {
    cases::show(&town.context, case.row.id, FindingId(0), 10).expect("the case is read").0.row.status
}

/// What staff was told of incidents.
fn incidents(town: &Town) -> Vec<String> {
    let keys = "SELECT dedupe_key AS line FROM notice WHERE kind = 'run_incident' ORDER BY id";
    town.context.database.read(|conn| Ok::<_, diesel::result::Error>(crate::support::lines(conn, keys))).expect("the notices are read")
}

on_both! {
    fn looking_again_finds_the_same(town: Town) {
        let town = overcharged(town, 3);
        assert_eq!(scan(&town).found, 3);
        let before = dump(&town);
        let again = scan(&town);
        assert_eq!((again.found, again.gone, again.open.findings, again.open.over_cents), (0, 0, 3, 2250));
        assert!(!again.is_clean());
        assert_eq!(dump(&town), before, "nothing is written when nothing is new");
    }

    fn many_who_look_at_once_find_each_once(town: Town) {
        let mut town = overcharged(town, 40);
        // Small chunks, so that all write into one case at the same time; each with connections of its own, like servers.
        town.configure(|config| config.runs.chunk_accounts = 3);
        let found: u64 = thread::scope(|scope| {
            let scanners: Vec<_> = (0..4)
                .map(|_| {
                    let mut context = town.context.clone();
                    context.database = Database::connect(&town.url, 8).expect("another server connects");
                    scope.spawn(move || scan_all(&context, &|_, _| {}).expect("the bills are derived again").found)
                })
                .collect();
            scanners.into_iter().map(|scanner| scanner.join().expect("it ends")).sum()
        });
        assert_eq!(found, 40);
        let case = only_case(&town);
        assert_eq!((case.row.findings, case.row.accounts, case.row.over_cents), (40, 40, 40 * 750));
    }

    fn what_was_mended_is_not_found_again_until_that_is_undone(town: Town) {
        let town = overcharged(town, 1);
        scan(&town);
        let case = only_case(&town);
        let id = findings(&town, &case)[0].row.id.0;
        settle(&town, &case, id, -750);
        let report = scan(&town);
        assert_eq!((report.found, report.open.findings), (0, 0));
        assert!(report.is_clean());
        // Another correction: only what was not mended yet is found. Beyond 15 units 3.00 instead of 3.50: 55.00.
        supersede(&town, &TARIFF.replace("tier_starts: [0, 10]", "tier_starts: [0, 15]").replace("3.50", "3.00"));
        scan(&town);
        let second = only_case(&town);
        assert_eq!(told(&town, &second), [finding("A1", "2026-01-01", "2026-02-01", "-2.50")]);
        assert_eq!(findings(&town, &second)[0].row.mended_before_cents, -750);
        // The credit is reversed: the whole difference is there again.
        let now = town.context.now();
        let undone = town.context.database.write(|conn| overcharges::unsettle(conn, FindingId(id), "reversed", now));
        assert!(undone.expect("it is undone"));
        scan(&town);
        let again: i64 = open_cases(&town).iter().map(|case| case.row.over_cents).sum();
        assert_eq!(again, 1000);
    }

    fn what_was_dismissed_stays_so_until_it_is_another(town: Town) {
        let town = overcharged(town, 2);
        scan(&town);
        let case = only_case(&town);
        assert!(refusal(dismiss(&town.context, case.row.id, " ")).contains("note: it is empty"));
        assert_eq!(dismiss(&town.context, case.row.id, "agreed with the council").expect("it is dismissed"), 2);
        assert!(refusal(dismiss(&town.context, case.row.id, "again")).contains("is dismissed"));
        assert!(scan(&town).is_clean());
        supersede(&town, &TARIFF.replace("tier_starts: [0, 10]", "tier_starts: [0, 12]"));
        assert_eq!(scan(&town).found, 2);
        // 10 + 24 + 28 = 62.00
        assert_eq!(only_case(&town).row.over_cents, 600);
    }

    fn what_no_longer_holds_goes_with_its_case(town: Town) {
        let town = overcharged(town, 2);
        scan(&town);
        supersede(&town, TARIFF);
        let report = swept(&town);
        assert_eq!((report.gone, report.open.findings), (2, 0));
        let closed = cases::list(&town.context, true, 0, 10).expect("the cases are read");
        assert_eq!(closed.iter().map(|case| (case.row.status.as_str(), case.row.findings)).collect::<Vec<_>>(), [("gone", 0)]);
    }

    fn a_run_that_was_rolled_back_is_nobodys_overcharge(town: Town) {
        let town = overcharged(town, 2);
        scan(&town);
        let run = town.context.database.read(|conn| aquabills::db::billing::latest_runs(conn, 1)).expect("the run")[0].id;
        aquabills::actions::bill_run::roll_back_run(&town.context, run, "wrong tariff", |_, _| {}).expect("it is rolled back");
        assert_eq!(scan(&town).open.findings, 0);
        town.bill("2026-02-01");
        assert_eq!(town.balance("A1"), "57.50");
        town.assert_sound();
    }

    fn one_account_alone_is_looked_at(town: Town) {
        let town = overcharged(town, 3);
        assert_eq!(scan_account(&town.context, "A2").expect("it is looked at").found, 1);
        assert_eq!(told(&town, &only_case(&town)), [finding("A2", "2026-01-01", "2026-02-01", "-7.50")]);
        assert!(refusal(scan_account(&town.context, "A9")).contains("there is no account 'A9'"));
    }

    fn what_is_left_of_a_case_in_mending_goes_by_itself(town: Town) {
        let mut town = overcharged(town, 2);
        town.configure(|config| config.mail.staff = vec!["staff@town.example".to_owned()]);
        scan(&town);
        let case = only_case(&town);
        // One account was put right, the other could not be; then what was wrong with it turns out to be right.
        mending(&town, &case);
        let id = findings(&town, &case)[0].row.id;
        let now = town.context.now();
        assert!(town.context.database.write(|conn| overcharges::settle(conn, id, "adjustment:X-1", -750, now)).expect("it is settled"));
        supersede(&town, TARIFF);
        swept(&town);
        assert_eq!(status(&town, &case), "settled");
        assert_eq!(incidents(&town), ["run_incident:1:mended:staff@town.example"], "staff is told the end");
        // What was given is too much now.
        assert_eq!(only_case(&town).under().to_string(), "7.50");
    }

    fn a_case_in_mending_of_which_nothing_holds_is_gone(town: Town) {
        let mut town = overcharged(town, 2);
        town.configure(|config| config.mail.staff = vec!["staff@town.example".to_owned()]);
        scan(&town);
        let case = only_case(&town);
        mending(&town, &case);
        supersede(&town, TARIFF);
        swept(&town);
        assert_eq!((status(&town, &case), incidents(&town)), ("gone".to_owned(), vec![]));
        assert!(scan(&town).is_clean());
    }

    fn what_cannot_be_put_right_is_dismissed_once_no_bill_is_on_its_way(town: Town) {
        let town = overcharged(town, 2);
        scan(&town);
        let case = only_case(&town);
        mending(&town, &case);
        let begun = "INSERT INTO rebill (token, kind, reason, through_on, case_id, status, asked_by, asked_at) \
            VALUES ('t', 'rebill', 'r', '2026-02-01', 1, 'cancelling', 'tester', '2026-06-15 00:00:00')";
        sql(&town, &[begun]);
        assert!(refusal(dismiss(&town.context, case.row.id, "let be")).contains("its bills are being made anew"));
        supersede(&town, TARIFF);
        swept(&town);
        assert_eq!(status(&town, &case), "mending", "what is on its way is left to who does it");
        supersede(&town, &TARIFF.replace("tier_starts: [0, 10]", "tier_starts: [0, 12]"));
        swept(&town);
        let second = open_cases(&town).into_iter().find(|other| other.row.id != case.row.id).expect("another case");
        mending(&town, &second);
        assert_eq!(dismiss(&town.context, second.row.id, "agreed with the council").expect("it is dismissed"), 2);
        assert_eq!(status(&town, &second), "dismissed");
        sql(&town, &["UPDATE rebill SET status = 'done', finished_at = '2026-06-15 00:00:00'"]);
        assert_eq!(dismiss(&town.context, case.row.id, "nothing is left of it").expect("it is dismissed"), 0);
        assert!(scan(&town).is_clean());
    }

    fn a_tariff_that_comes_in_the_midst_of_a_long_look(town: Town) {
        let mut town = overcharged(town, 12);
        supersede(&town, TARIFF);
        town.configure(|config| (config.runs.chunk_accounts, config.runs.workers) = (1, 1));
        // When the first chunk is done, another process imports a correction, and the last account is found by it.
        let begun = AtomicBool::new(false);
        let report = scan_all(&town.context, &|_, _| {
            if !begun.swap(true, Ordering::SeqCst) {
                supersede(&town, &TARIFF.replace("tier_starts: [0, 10]", "tier_starts: [0, 15]"));
                assert_eq!(scan_account(&town.context, "A12").expect("it is looked at").found, 1);
            }
        });
        let report = report.expect("the bills are derived again");
        assert_eq!(report.gone, 0, "what is found by the new tariff is not taken for gone by the old one");
        assert_eq!(report.found, 10, "those after the first are judged by the new tariff");
        assert_eq!(swept(&town).open.findings, 12, "the first is queued");
    }

    fn what_cannot_be_read_is_told_and_does_not_stop_the_others(town: Town) {
        let town = overcharged(town, 4);
        supersede(&town, &TARIFF.replace("tier_starts: [0, 10]", "tier_starts: [0, 12]"));
        crate::faults::plant(&town, "UPDATE bill_segment SET inputs = 'nonsense' WHERE account_id = (SELECT id FROM account WHERE number = 'A1')");
        sql(&town, &["UPDATE service_agreement SET attributes = 'nonsense' WHERE account_id = (SELECT id FROM account WHERE number = 'A2')"]);
        let report = swept(&town);
        let unjudged: Vec<&str> = report.first_unjudged.iter().map(|one| one.account.as_str()).collect();
        assert_eq!((report.open.findings, report.unjudged, unjudged), (2, 2, vec!["A1", "A2"]));
        assert!(report.first_unjudged[0].reason.contains("the inputs of bill"), "{:?}", report.first_unjudged);
        assert!(report.first_unjudged[1].reason.contains("attributes of agreement"), "{:?}", report.first_unjudged);
        assert!(sweep_queue(&town.context, &Stop::default()).expect("the queue is read").is_none(), "the queue is empty");
    }

    fn what_is_billed_is_corrected_only_on_purpose(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        town.reads(&["M1,2026-01-01,100", "M1,2026-02-01,120"]);
        town.bill("2026-02-01");
        assert!(refusal(reject_read(&town.context, "M1", "1", day("2026-02-01"), "wrong")).contains("take that bill back first"));
        let output = town.program(&["held", "reject-read", "M1", "2026-02-01", "--note", "wrong"]);
        assert_eq!(output.status.code(), Some(1));
        let output = town.program(&["held", "reject-read", "M1", "2026-02-01", "--note", "wrong", "--billed"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(town.verify().differences, 0);
        let read = ["read", "enter", "M1", "--on", "2026-02-01", "--reading", "110", "--confirm", "seen", "--billed"];
        assert_eq!(town.program(&read).status.code(), Some(0));
        let output = town.program(&["overcharges", "scan", "--json"]);
        assert_eq!(output.status.code(), Some(1));
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!((&report["over_cents"], &report["list"][0]["cause"]), (&3500.into(), &"read".into()), "{report:#}");
        let case = report["list"][0]["id"].to_string();
        let shown = town.program(&["overcharges", "show", &case]);
        assert!(crate::support::stdout(&shown).contains("billed 65.00, should be 30.00, difference -35.00"), "{shown:?}");
        assert_eq!(town.program(&["overcharges", "dismiss", &case, "--note", "agreed"]).status.code(), Some(0));
        assert_eq!(town.program(&["overcharges", "scan"]).status.code(), Some(0));
    }
}
