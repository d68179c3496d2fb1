//! Leak relief: previewed and given to the cent by the tariff, capped, once in its time, undone by a charge.

use aquabills::actions::Context;
use aquabills::actions::approvals::{Seen, Verdict, decide, list_waiting, show};
use aquabills::actions::collections::leak_relief::{Given, Giving, give_relief, preview_relief, undo_relief};
use aquabills::actions::policy::store_policy;
use aquabills::actions::undo::{Undo, undo};
use aquabills::domain::ids::ApprovalId;
use aquabills::domain::roles::Role;

use crate::support::http::add_staff;
use crate::support::{Town, on_both};
use crate::{POLICY, on, peopled, told, view};

/// `A1` uses 15, 12 and 10 in spring, and 100 in July: bills 1 to 3 and the leak's, number 4.
pub(crate) fn leaked(town: Town) -> Town {
    let town = peopled(town, 1);
    on(&town, "2026-08-05");
    town.reads(&["M1,2026-07-01,127", "M1,2026-08-01,227"]);
    for through in ["2026-06-01", "2026-07-01", "2026-08-01"] {
        town.bill(through);
    }
    town
}

pub(crate) fn leak() -> String {
    "00003-0000001".to_owned()
}

pub(crate) fn giving(reference: &str) -> Giving {
    Giving {
        account: "A1".to_owned(),
        bills: vec![leak()],
        evidence: "invoice 77 of the plumber".to_owned(),
        reference: reference.to_owned(),
        seen: None,
    }
}

on_both! {
    fn a_share_of_the_excess_is_taken_off_by_the_tariff(town: Town) {
        let town = leaked(town);
        let preview = preview_relief(&town.context, "A1", &[leak()]).unwrap();
        let part = &preview.parts[0];
        // 15 and 12 in 61 days are 13.721 in 31; half of the excess of 86.279 is 43.139.
        assert_eq!((part.usage_milli, part.usual_milli, part.reduced_milli), (100_000, 13_721, 56_861));
        // 10 + 20 + 90 × 3.50 = 345.00; with 56.861 it is 10 + 20 + 46.861 × 3.50 = 194.0135.
        assert_eq!((part.was_cents, part.is_cents, part.credit_cents), (34_500, 19_401, 15_099));
        assert_eq!((preview.total_cents, preview.capped), (15_099, false));
        let before = town.balance("A1");
        assert_eq!(before, "429.50", "a preview changes nothing");
        let other = Giving { seen: Some("0".repeat(64)), ..giving("L-1") };
        assert!(give_relief(&town.context, &other).unwrap_err().to_string().contains("not what was previewed"));
        let given = give_relief(&town.context, &Giving { seen: Some(preview.sha256.clone()), ..giving("L-1") }).unwrap();
        assert!(matches!(given, Given::Done(posted) if posted.balance_after_cents == 27_851 && !posted.unchanged));
        assert!(matches!(give_relief(&town.context, &giving("L-1")).unwrap(), Given::Done(posted) if posted.unchanged));
        assert!(give_relief(&town.context, &giving("L-2")).unwrap_err().to_string().contains("possible from 2027-08-05"));
        assert_eq!(told(&town, "A1"), ["adjustment_given"]);
        assert_eq!(undo_relief(&town.context, "A1", "L-1", "there was no leak").unwrap().posted().unwrap().balance_after_cents, 42_950);
        assert!(undo_relief(&town.context, "A1", "L-1", "there was no leak").unwrap().posted().unwrap().unchanged);
        assert_eq!(view(&town, "A1").reliefs[0].parts.len(), 1, "what was given stays written down");
        assert!(give_relief(&town.context, &giving("L-3")).is_ok(), "what was taken back does not count");
        town.assert_sound();
    }

    fn above_the_bound_a_second_person_agrees_first(town: Town) {
        let town = leaked(town);
        let strict = POLICY.replace("approval_above = \"400.00\"", "approval_above = \"100.00\"").replace("2025-01-01", "2026-08-01");
        store_policy(&town.context, "strict.toml", &strict).unwrap();
        let by = |email: &str| Context { actor: email.to_owned(), ..town.context.clone() };
        add_staff(&town.context, "clara@utility.example", Role::Clerk);
        add_staff(&town.context, "sam@utility.example", Role::Supervisor);
        assert!(give_relief(&town.context, &giving("L-1")).is_err(), "whoever asks must be known");
        let clara = by("clara@utility.example");
        assert!(matches!(give_relief(&clara, &giving("L-1")).unwrap(), Given::Waits(_)));
        assert!(matches!(give_relief(&clara, &giving("L-1")).unwrap(), Given::Waits(_)), "asked twice is asked once");
        assert_eq!(town.balance("A1"), "429.50");
        let waiting = list_waiting(&town.context, ApprovalId(0), 10).unwrap();
        let request = show(&by("sam@utility.example"), waiting[0].id).unwrap();
        let seen = Seen { sha256: request.sha256.clone(), position: request.position };
        assert!(decide(&clara, request.id, Verdict::Approve, &seen, "").is_err(), "not the same person");
        decide(&by("sam@utility.example"), request.id, Verdict::Approve, &seen, "seen the invoice").unwrap();
        assert_eq!(town.balance("A1"), "429.50", "agreed, and not given yet");
        assert!(matches!(give_relief(&clara, &giving("L-1")).unwrap(), Given::Done(posted) if posted.balance_after_cents == 27_851));
        assert!(matches!(give_relief(&clara, &giving("L-1")).unwrap(), Given::Done(posted) if posted.unchanged));
        town.assert_sound();
    }

    fn a_credit_that_a_clerk_takes_back_by_hand_is_taken_back(town: Town) {
        let town = leaked(town);
        give_relief(&town.context, &giving("L-1")).unwrap();
        let wish = Undo { account: "A1".to_owned(), of: "L-1".to_owned(), reference: "U-1".to_owned(), note: "no leak".to_owned() };
        undo(&town.context, &wish).unwrap();
        assert_eq!(town.balance("A1"), "429.50");
        assert!(undo_relief(&town.context, "A1", "L-1", "no leak").unwrap().posted().unwrap().unchanged);
        assert!(give_relief(&town.context, &giving("L-2")).is_ok());
        town.assert_sound();
    }

    fn the_policy_bounds_it(town: Town) {
        let town = leaked(town);
        let capped = POLICY.replace("largest = \"1000.00\"", "largest = \"50.00\"").replace("2025-01-01", "2026-08-01");
        store_policy(&town.context, "capped.toml", &capped).unwrap();
        let preview = preview_relief(&town.context, "A1", &[leak()]).unwrap();
        assert_eq!((preview.total_cents, preview.capped), (5_000, true));
        let refused = |bills: &[String]| preview_relief(&town.context, "A1", bills).unwrap_err().to_string();
        assert!(refused(&[]).starts_with("bills:"));
        assert!(refused(&[leak(), leak()]).contains("named twice"));
        assert!(refused(&["00009-0000001".to_owned()]).contains("there is no bill"));
        // Spring was as usual: nothing to relieve.
        let usual = preview_relief(&town.context, "A1", &["00002-0000001".to_owned()]).unwrap();
        assert_eq!((usual.total_cents, usual.parts[0].note.as_deref()), (0, Some("its use is not far enough above the usual")));
        assert!(give_relief(&town.context, &Giving { bills: vec!["00002-0000001".to_owned()], ..giving("L-1") }).is_err());
        assert!(give_relief(&town.context, &Giving { evidence: String::new(), ..giving("L-1") }).unwrap_err().to_string().starts_with("evidence:"));
    }
}
