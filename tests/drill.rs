//! The drill: payments hidden from a bill run, held by the gates, forced past them, found, put right and told. With 2,000
//! accounts always; with 20,000 accounts when everything is asked for (`AQUABILLS_WHOLE=1`). On both databases.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on must fail loudly")]
#![allow(clippy::print_stdout, reason = "how long each step took is worth reading")]

mod support;

use aquabills::actions::drill::{DrillOptions, hold_drill};
use support::{Town, on_both, stderr, stdout};

/// As many accounts as are always tried.
const SMALL: usize = 2_000;
const WHOLE: usize = 20_000;

fn drilled(mut town: Town, accounts: usize) {
    let mut twin = Town::sqlite();
    for town in [&mut town, &mut twin] {
        town.configure(|config| config.mail.staff = vec!["boss@millbrook.example".to_owned()]);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let report =
        hold_drill(&town.context, &twin.context, folder.path(), &DrillOptions { accounts, months: 3, progress: &|_| {}, deliver: &|_| Ok(None) })
            .expect("it is held");
    for step in &report.steps {
        println!("{:>8} ms  {}", step.took_ms, step.what);
    }
    println!("{} affected by {} cents; {} ms from the finding to the last e-mail", report.affected, report.too_much_cents, report.finding_to_mail_ms);
    let failed: Vec<_> = report.checks.iter().filter(|check| !check.passed).collect();
    assert!(failed.is_empty(), "{failed:#?}\n{report:#?}");
    assert!(
        report.affected > accounts / 10 && report.paid_wrong > 0 && report.draws_withdrawn > 0,
        "{} {} {}",
        report.affected,
        report.paid_wrong,
        report.draws_withdrawn
    );
    assert_eq!((report.mended.rebilled, report.mended.left), (report.affected, 0));
    let again =
        hold_drill(&town.context, &twin.context, folder.path(), &DrillOptions { accounts, months: 3, progress: &|_| {}, deliver: &|_| Ok(None) });
    assert!(again.unwrap_err().to_string().contains("holds something already"));
}

on_both! {
    fn the_incident_is_stopped_found_and_put_right(town: Town) {
        drilled(town, SMALL);
    }

    fn so_it_is_in_a_town_of_twenty_thousand(town: Town) {
        if std::env::var_os("AQUABILLS_WHOLE").is_none() {
            println!("NOT TESTED with {WHOLE} accounts: that takes minutes; AQUABILLS_WHOLE=1 asks for it");
            return;
        }
        drilled(town, WHOLE);
    }

    fn a_database_that_holds_something_is_left_alone(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        let before = support::dump(&town);
        let output = town.program(&["drill", "overcharge", "--database", &town.url, "--accounts", "60"]);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains("holds something already"), "{}", stderr(&output));
        assert_eq!(support::dump(&town), before);
    }
}

#[test]
fn the_report_is_one_that_a_manager_can_read() {
    let town = Town::sqlite();
    for (name, words) in [("report.html", "<h2>What stopped it</h2>"), ("report.md", "## What stopped it")] {
        let path = town.dir.path().join(name);
        let output = town
            .command(&["drill", "overcharge", "--accounts", "80", "--json", "--report", name])
            .env_remove("DATABASE_URL")
            .output()
            .expect("it starts");
        assert!(output.status.success(), "{}\n{}", stdout(&output), stderr(&output));
        let said: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("JSON");
        assert_eq!(said["passed"], true);
        // The e-mails lie in a folder as they would leave: one for each who has an address.
        assert_eq!(said["drill"]["delivered"], said["drill"]["mended"]["rebilled"]);
        let text = std::fs::read_to_string(path).expect("the report is written");
        // How long it took is said in one way, wherever it is said.
        let ms = said["drill"]["finding_to_mail_ms"].as_u64().expect("milliseconds");
        let took = format!("{}.{:03} s", ms / 1_000, ms % 1_000);
        assert!(text.matches(&took).count() >= 2 && text.contains(&format!("{took}, limit 60 s")), "{took}: {text}");
        assert!(text.contains(words) && text.contains("Passed.") && text.contains("FAILED"), "{text}");
    }
    assert!(!town.dir.path().join("aquabills.db").exists(), "it has a database of its own");
}
