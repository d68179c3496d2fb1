//! The commands: `reconcile`, and `inbox`.

use serde_json::Value;

use crate::fake_provider::deliver;
use crate::support::{Town, on_both, stderr, stdout};
use crate::{apply, at, look, town, wants_to_pay};

/// The program knows no provider of the tests: it compares what was fetched here.
fn prepared(t: Town) -> Town {
    let (t, books) = town(t, 2);
    // The program has its own clock.
    let now = aquabills::clock::Clock::System.now().and_utc();
    at(&t, &now.to_rfc3339());
    let ago = |hours| (now - chrono::TimeDelta::hours(hours)).to_rfc3339();
    wants_to_pay(&t, "pi_1", "A1", 5000);
    deliver(&t.context, &books.pays("pi_1", 5000, &ago(30)));
    wants_to_pay(&t, "pi_2", "A2", 1234);
    books.pays("pi_2", 1234, &ago(26));
    apply(&t);
    look(&t);
    t
}

on_both! {
    fn the_command_tells_days_rows_cause_and_action(t: Town) {
        let t = prepared(t);
        let output = t.program(&["reconcile", "--offline"]);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        let text = stdout(&output);
        for words in ["At the provider, not in the ledger: pi_2, 12.34 apart", "nothing in the ledger", "payment 12.34 (txn_000002)", "cause:  ", "action: Fetch missing events", "total "] {
            assert!(text.contains(words), "'{words}': {text}");
        }
        let output = t.program(&["reconcile", "--offline", "--json"]);
        let json: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
        assert_eq!((&json["delta_cents"], &json["differences"], &json["agrees"]), (&1234.into(), &1.into(), &false.into()));
        assert_eq!((&json["list"][0]["kind"], &json["list"][0]["provider_cents"]), (&"not_in_ledger".into(), &1234.into()));
        let file = t.dir.path().join("differences.csv");
        let output = t.program(&["reconcile", "--offline", "--csv", file.to_str().expect("a path")]);
        assert_eq!(output.status.code(), Some(1));
        let mut rows = csv::Reader::from_path(&file).expect("the file");
        assert_eq!(rows.headers().expect("a header").iter().take(5).collect::<Vec<_>>(), ["day", "kind", "account", "reference", "ledger"]);
        let row = rows.records().next().expect("a row").expect("a row");
        assert_eq!((&row[1], &row[3], &row[5], &row[7]), ("not_in_ledger", "pi_2", "12.34", "12.34"));
    }

    fn what_agrees_is_exit_status_0_and_nonsense_is_refused(t: Town) {
        let t = t.with_services(&["A1,S1,HOME,M1"]);
        let output = t.program(&["reconcile"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(stdout(&output).contains("ledger, providers and bank agree"));
        let output = t.program(&["reconcile", "--from", "2026-06-10", "--to", "2026-06-01"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("is after"), "{}", stderr(&output));
        assert_eq!(t.program(&["reconcile", "--repair", "--offline"]).status.code(), Some(2));
    }

    fn the_inbox_is_listed_shown_and_told_again(t: Town) {
        let t = prepared(t);
        let output = t.program(&["inbox", "list", "--json"]);
        let json: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
        assert_eq!((&json["events"][0]["event_id"], &json["events"][0]["status"]), (&"evt_000001".into(), &"applied".into()));
        assert!(stdout(&t.program(&["inbox", "list"])).contains("evt_000001"));
        assert_eq!(stdout(&t.program(&["inbox", "list", "--waiting"])), "");
        for name in ["1", "evt_000001"] {
            let output = t.program(&["inbox", "show", name]);
            assert!(stdout(&output).contains("\"amount\":5000") && stdout(&output).contains("delivered 1 time"), "{}", stdout(&output));
        }
        let output = t.program(&["inbox", "show", "nothing"]);
        assert_eq!((output.status.code(), stderr(&output).contains("there is no event 'nothing'")), (Some(1), true));
        assert_eq!(stdout(&t.program(&["inbox", "retry"])), "0 events applied, 0 cannot be applied\n");
        // The program has no provider of this name: it says so, and changes nothing.
        let output = t.program(&["inbox", "replay", "--json"]);
        assert_eq!(output.status.code(), Some(1));
        let json: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
        assert_eq!((&json["payments"], &json["changed"], &json["failed"]), (&0.into(), &0.into(), &1.into()));
    }
}
