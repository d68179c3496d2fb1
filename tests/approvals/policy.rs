//! The dated policy: imported whole or not at all, never edited, and in force from its day.

use aquabills::actions::policy::{import_policy, load_policies, policy_versions};

use crate::support::{day, dump, on_both, stderr, stdout};
use crate::*;

/// A policy that is stricter than the built-in rules, from a day on.
pub(crate) fn strict(from: &str) -> String {
    format!(
        "title = \"Strict\"\neffective_on = {from}\n[credits]\ncitation = \"Board resolution 2026-14\"\napproval_above = \"10.00\"\n\
         approval_total_above = \"20.00\"\napproval_days = 10\napprovers = [\"supervisor\", \"administrator\"]\nrequest_days = 3\nlargest = \"500.00\"\n\
         charge_approval_above = \"50.00\"\n\
         [refunds]\ncitation = \"Code 7\"\napproval_above = \"20.00\"\nlargest = \"400.00\"\nsmallest_payout = \"2.00\"\n\
         [refunds.return_days]\ncard = 120\ndirect_debit = 60\ncheque = 10\ntransfer = 5\ncash = 0\n"
    )
}

on_both! {
    fn a_policy_is_in_force_from_its_day(town: Town) {
        let town = crate::town(town);
        let report = import_policy(&town.context, &town.file("p.toml", &strict("2026-06-16")), false, false).unwrap();
        assert_eq!((report.accepted, report.revision), (1, 1));
        done(credit(&town, ANA, "A1", "-90.00", "C-1"));
        town.context.clock.set(chrono::TimeZone::from_utc_datetime(&chrono::Utc, &(town.context.now() + chrono::TimeDelta::days(1))));
        let id = waits(credit(&town, ANA, "A2", "-10.01", "C-2"));
        assert!(shown(&town, SAM, id).why.contains("10.01 is more than 10.00 (Board resolution 2026-14)"));
        assert!(refused(credit(&town, ANA, "A2", "-500.01", "C-3")).contains("more than 500.00"));
        waits(ask(&by(&town, ANA), &adjustment(&town, "A2", "reconnection-fee", "50.01", "F-1")));
        add(&town, "root@utility.example", "Root Admin", Role::Administrator);
        decides(&town, "root@utility.example", id, aquabills::actions::approvals::Verdict::Approve).expect("administrators approve, says the policy");
    }

    fn a_policy_is_never_edited_and_a_faulty_one_changes_nothing(town: Town) {
        let town = crate::town(town);
        let (first, other) = (strict("2026-06-16"), strict("2026-06-16").replace("\"10.00\"", "\"11.00\""));
        let import = |text: &str, supersede: bool| import_policy(&town.context, &town.file("p.toml", text), false, supersede);
        import(&first, false).unwrap();
        let before = dump(&town);
        assert_eq!(import(&first, false).unwrap().unchanged, 1);
        assert!(refused(import(&other, false)).contains("p.toml: there is another policy from 2026-06-16"));
        for (from, to, words) in [
            ("approval_days = 10", "approval_days = 0", "section [credits]: approval_days: 0 found; expected 1 to 366"),
            ("largest = \"500.00\"", "largest = \"9.99\"", "section [credits]: largest: 9.99 found; expected at least approval_above, 10.00"),
            ("largest = \"400.00\"", "largest = \"19.99\"", "section [refunds]: largest: 19.99 found; expected at least approval_above, 20.00"),
            ("\"2.00\"", "\"400.01\"", "section [refunds]: smallest_payout: 400.01 found; expected no more than largest, 400.00"),
            ("cheque = 10", "cheque = 0", "section [refunds]: return_days.cheque: 0 found; expected 1 to 730"),
            ("approval_days = 10", "days = 10", "section [credits]: unknown field `days`, expected one of"),
            ("citation = \"Code 7\"\n", "", "section [refunds]: missing field `citation`"),
            ("cheque = 10", "cheque = \"ten\"", "section [refunds.return_days]"),
            ("\"10.00\"", "10.00", "an amount in quotes"),
            ("2026-06-16", "2026-13-16", "line 2"),
            ("title", "titel", "unknown field `titel`"),
        ] {
            let why = refused(import(&first.replace(from, to), true));
            assert!(why.contains("p.toml: ") && why.contains(words), "{to}: {why}");
        }
        let elsewhere = refused(import(&strict("2026-06-17"), true));
        assert!(elsewhere.contains("the policy has no version from 2026-06-17 to be corrected, but versions from 2026-06-16: give the day"), "{elsewhere}");
        assert_eq!(dump(&town), before);
        assert_eq!(import(&other, true).unwrap().revision, 2);
        assert_eq!(load_policies(&town.context).unwrap().on(day("2026-06-16")).credits.approval_above.to_string(), "11.00");
        assert_eq!(policy_versions(&town.context).unwrap().len(), 2);
    }

    fn the_command_line_imports_and_shows_it(town: Town) {
        let town = crate::town(town);
        assert!(stdout(&town.program(&["policy", "show"])).contains("Built-in careful rules: no policy is imported"));
        town.file("p.toml", &strict("2026-06-16"));
        let imported = town.program(&["import", "policy", "p.toml"]);
        assert!(stdout(&imported).contains("policy 'Strict' from 2026-06-16: accepted; revision 1"), "{}", stderr(&imported));
        assert!(stdout(&town.program(&["policy", "list"])).contains("2026-06-16 revision 1"));
        let shown = stdout(&town.program(&["policy", "show", "--on", "2026-06-16"]));
        assert!(shown.contains("credits: Board resolution 2026-14") && shown.contains("approval_above = \"10.00\""), "{shown}");
        town.file("q.toml", &strict("2026-06-17").replace("approvers", "aprovers"));
        let refused = town.program(&["import", "policy", "q.toml"]);
        assert_eq!(refused.status.code(), Some(1));
        assert!(stderr(&refused).contains("q.toml: line 8, section [credits]: unknown field `aprovers`"), "{}", stderr(&refused));
    }
}
