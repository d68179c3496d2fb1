//! The commands, as a person types them.

use crate::support::{Town, on_both, stderr, stdout};
use crate::{BILL, billed};

fn says(town: &Town, words: &[&str]) -> String {
    let output = town.program(words);
    assert!(output.status.success(), "{words:?}: {}", stderr(&output));
    stdout(&output)
}

fn refuses(town: &Town, words: &[&str]) -> String {
    let output = town.program(words);
    assert_eq!(output.status.code(), Some(1), "{words:?}: {}", stdout(&output));
    stderr(&output)
}

on_both! {
    fn a_day_at_the_desk(town: Town) {
        let town = billed(town, 1);
        let dry = says(&town, &["collections", "run", "--on", "2026-07-12", "--dry-run"]);
        assert!(dry.contains("1 late fee of 5.71 charged"), "{dry}");
        let json: serde_json::Value = serde_json::from_str(&says(&town, &["collections", "run", "--on", "2026-07-12", "--json"])).unwrap();
        assert_eq!((json["fees"].as_i64(), json["fees_cents"].as_i64(), json["dry_run"].as_bool()), (Some(1), Some(571), Some(false)));
        let shown = says(&town, &["collections", "show", "A1"]);
        assert!(shown.contains("balance 53.21, overdue 53.21") && shown.contains("late fee 2 of bill 00001-0000001: 5.71, stands"), "{shown}");
        let waived = says(&town, &["late-fee", "waive", "A1", "2", "--reference", "W-1", "--note", "goodwill"]);
        assert!(waived.contains("is waived; balance 47.50"), "{waived}");
        assert!(refuses(&town, &["late-fee", "waive", "A1", "2", "--reference", "W-2", "--note", "again"]).contains("waived already"));
        assert!(refuses(&town, &["dispute", "open", BILL, "--reason", "bad", "--words", "x", "--reference", "F-1"]).contains("reason:"));
        let taken = says(&town, &["deposit", "take", "A1", "100.00", "--tender", "cash", "--reference", "D-1", "--note", "new here"]);
        assert!(taken.contains("deposit D-1 of 100.00 is held"), "{taken}");
        let applied = says(&town, &["deposit", "apply", "A1", "D-1", "--note", "asked for"]);
        assert!(applied.contains("balance -52.50"), "{applied}");
        assert!(refuses(&town, &["write-off", "A1", "--reference", "O-1", "--note", "hopeless"]).contains("0.00 is owed and due"));
        assert!(refuses(&town, &["leak-relief", "preview", "A1", BILL, "00009-0000001"]).contains("there is no bill"));
        assert!(refuses(&town, &["pay-plan", "cancel", "A1", "--note", "why not"]).contains("has no plan"));
        assert!(says(&town, &["dispute", "list", "--all", "--json"]).contains("disputes"));
        assert!(says(&town, &["deposit", "interest"]).contains("0.00 credited on 0 deposits"));
    }
}
