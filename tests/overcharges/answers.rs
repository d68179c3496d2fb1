//! What becomes of findings: they go when they no longer hold, stay dismissed, count as mended, and are found once however often and by
//! however many is looked.

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
