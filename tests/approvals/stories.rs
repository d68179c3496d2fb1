//! How it goes when all is well: asked for, seen, decided, done; and what the rules say of smaller things.

use aquabills::actions::approvals::{Status, Verdict, expire_due, list_decided, list_waiting};
use aquabills::actions::held::{Decision, ToDoFilter, decide_some, list_todos};
use aquabills::domain::ids::ApprovalId;
use chrono::{TimeDelta, TimeZone, Utc};

use crate::support::http::Served;
use crate::support::pages::{field, follow, open, says, send};
use crate::support::{Town, on_both, stdout};
use crate::*;

fn later(town: &Town, days: i64) {
    town.context.clock.set(Utc.from_utc_datetime(&town.context.now()) + TimeDelta::days(days));
}

on_both! {
    fn a_large_credit_waits_for_a_second_person_who_sees_what_it_does(town: Town) {
        let mut town = crate::town(town);
        town.pay("A1", "30.00", "P-1");
        let served = Served::new(&mut town);
        let mut ana = sign_in_as(&served, ANA);
        let path = "/staff/accounts/A1/adjustment";
        let form = open(&mut ana, path);
        let reference = field(&form, "reference");
        let fields = [
            ("reason", "goodwill"), ("way", "credit"), ("amount", "150.00"), ("effective_on", "2026-06-15"),
            ("note", "the main broke before the house"), ("reference", reference.as_str()),
        ];
        let asked = send(&mut ana, &form, path, &fields);
        assert_eq!(asked.location(), "/staff/approvals/1?done=asked");
        says(&follow(&mut ana, &asked), "A second person must approve it: nothing is posted yet.");
        assert_eq!(town.balance("A1"), "-30.00");
        assert_eq!(send(&mut ana, &form, path, &fields).location(), asked.location(), "the form sent twice is one request");
        assert_eq!(count(&town, "approval"), 1);

        let mut sam = sign_in_as(&served, SAM);
        let todos = open(&mut sam, "/staff/todos");
        says(&todos, "Waits for a second person");
        says(&todos, "href=\"/staff/approvals\"");
        says(&open(&mut sam, "/staff/approvals"), "href=\"/staff/approvals/1\"");
        says(&open(&mut sam, "/staff/accounts/A1"), "Waiting for a decision");
        let page = open(&mut sam, "/staff/approvals/1");
        for words in ["Credit of 150.00", "A1", "$30.00", "$180.00", "the main broke before the house", "<span class=\"nowrap\">ana</span>", "Goodwill credit", "150.00 is more than 100.00"] {
            says(&page, words);
        }
        let (seen, position) = (field(&page, "seen"), field(&page, "position"));
        let approved = send(&mut sam, &page, "/staff/approvals/1", &[("decision", "approve"), ("seen", &seen), ("position", &position), ("note", "I saw the street")]);
        assert_eq!(approved.location(), "/staff/approvals/1?done=approved", "{}", approved.body);
        says(&follow(&mut sam, &approved), "It is approved and done.");
        assert_eq!(town.balance("A1"), "-180.00");
        assert_eq!(count(&town, "todo WHERE kind = 'approval' AND status = 'open'"), 0);
        says(&open(&mut sam, "/staff/accounts/A1"), "ana");
        town.assert_sound();
    }

    fn what_the_policy_lets_one_person_do_is_done_at_once(town: Town) {
        let town = crate::town(town);
        assert_eq!(done(credit(&town, ANA, "A1", "-100.00", "C-1")), -10_000, "the threshold itself");
        let id = waits(credit(&town, ANA, "A1", "-100.01", "C-2"));
        assert_eq!(shown(&town, SAM, id).why, "100.01 is more than 100.00 (Built-in careful rule: no policy is imported)");
        let charge = |amount: &str, reference: &str| ask(&by(&town, ANA), &adjustment(&town, "A1", "reconnection-fee", amount, reference));
        assert_eq!(done(charge("100.00", "F-1")), 0, "a charge is no credit");
        let id = waits(charge("100.01", "F-2"));
        assert_eq!(shown(&town, SAM, id).why, "a charge of 100.01 is more than 100.00 (Built-in careful rule: no policy is imported)");
        assert!(refused(charge("100000.01", "F-3")).contains("the most that the policy lets anybody charge"));
        assert!(refused(credit(&town, ANA, "A1", "-100000.01", "C-3")).contains("the most that the policy lets anybody give"));
        assert!(refused(credit(&town, "nobody", "A2", "-100.01", "C-4")).contains("'nobody' is none"));
        assert_eq!(done(credit(&town, "nobody", "A2", "-1.00", "C-5")), -100);
    }

    fn requests_are_rejected_withdrawn_and_expire(town: Town) {
        let town = crate::town(town);
        let [one, two, three] = ["R-1", "R-2", "R-3"].map(|reference| waits(credit(&town, ANA, "A1", "-150.00", reference)));
        let empty = aquabills::actions::approvals::decide(&by(&town, SAM), one, Verdict::Reject, &seen(&town, one), " ");
        assert!(refused(empty).contains("note"));
        assert_eq!(decides(&town, SAM, one, Verdict::Reject).unwrap().decision, "rejected");
        assert!(refused(decides(&town, BEN, two, Verdict::Withdraw)).contains("only whoever asked"));
        assert_eq!(decides(&town, ANA, two, Verdict::Withdraw).unwrap().decision, "withdrawn");
        assert!(refused(credit(&town, ANA, "A1", "-150.00", "R-1")).contains("was rejected"));
        assert_eq!(expire_due(&town.context).unwrap(), 0);
        later(&town, 15);
        assert_eq!(shown(&town, SAM, three).status, Status::Expired, "even before it is closed");
        assert_eq!((expire_due(&town.context).unwrap(), expire_due(&town.context).unwrap()), (1, 0));
        let statuses: Vec<Status> = list_decided(&town.context, ApprovalId(i64::MAX), 10).unwrap().iter().map(|view| view.status).collect();
        assert_eq!(statuses, [Status::Expired, Status::Withdrawn, Status::Rejected]);
        assert_eq!((list_waiting(&town.context, ApprovalId(0), 10).unwrap().len(), town.balance("A1")), (0, "0.00".to_owned()));
        assert_eq!(count(&town, "todo WHERE kind = 'approval' AND status = 'open'"), 0);
    }

    fn the_work_item_of_a_request_is_closed_by_the_decision_only(town: Town) {
        let town = crate::town(town);
        let id = waits(credit(&town, ANA, "A1", "-150.00", "R-1"));
        let items = list_todos(&town.context, &ToDoFilter { kind: Some("approval".to_owned()), account: Some("A1".to_owned()) }, None, 10).unwrap();
        assert_eq!((items.len(), items[0].amount_cents), (1, Some(15_000)));
        assert!(refused(decide_some(&by(&town, SAM), &[items[0].id], Decision::Release, "never mind")).contains("on the page Approvals"));
        waits(credit(&town, ANA, "A1", "-160.00", "R-2"));
        assert_eq!(count(&town, "todo WHERE kind = 'approval' AND status = 'open'"), 2, "an account may have several");
        decides(&town, SAM, id, Verdict::Approve).unwrap();
        assert_eq!(count(&town, "todo WHERE kind = 'approval' AND status = 'open'"), 1);
    }

    fn a_credit_is_taken_back_once_by_an_entry_of_its_own(town: Town) {
        let mut town = crate::town(town);
        assert_eq!(done(credit(&town, ANA, "A1", "-60.00", "C-1")), -6_000);
        let served = Served::new(&mut town);
        let mut ana = sign_in_as(&served, ANA);
        says(&open(&mut ana, "/staff/accounts/A1"), "href=\"/staff/accounts/A1/adjustments/1/undo\"");
        let path = "/staff/accounts/A1/adjustments/1/undo";
        let form = open(&mut ana, path);
        says(&form, "The credit C-1 of $60.00 is taken back by an entry of its own. The balance is ");
        let reference = field(&form, "reference");
        let fields = [("note", "given to the wrong house"), ("reference", reference.as_str())];
        let taken = send(&mut ana, &form, path, &fields);
        assert_eq!(taken.location(), "/staff/accounts/A1?done=posted.2", "{}", taken.body);
        assert_eq!(send(&mut ana, &form, path, &fields).location(), "/staff/accounts/A1?done=known.2", "the form sent twice");
        assert_eq!(town.balance("A1"), "0.00");
        says(&open(&mut ana, path), "was taken back already");
        assert!(refused(takes_back(&town, ANA, "A1", "C-1", "U-9")).contains("was taken back already"));
        assert!(refused(takes_back(&town, ANA, "A1", &reference, "U-8")).contains("took something back itself"));
        assert!(refused(takes_back(&town, ANA, "A2", "C-1", "U-7")).contains("there is no credit or charge 'C-1'"));
        town.assert_sound();
    }

    fn what_was_paid_out_cannot_be_taken_back(town: Town) {
        let town = crate::town(town);
        done(credit(&town, ANA, "A1", "-60.00", "C-1"));
        aquabills::actions::balances::refund_credit(&by(&town, BEN), "A1", Some("20.00".parse().unwrap()), "OUT-1", "moved away").expect("a part is paid out");
        let why = refused(takes_back(&town, ANA, "A1", "C-1", "U-1"));
        assert!(why.contains("20.00 was paid out of the account since (OUT-1)"), "{why}");
        assert!(refused(takes_back(&town, ANA, "A1", "OUT-1", "U-2")).contains("is a refund or a transfer"));
        town.pay("A1", "20.00", "P-1");
        assert_eq!(done(takes_back(&town, ANA, "A1", "C-1", "U-1")), 0, "other money came in since");
        town.assert_sound();
    }

    fn undoing_a_charge_is_a_credit_like_any(town: Town) {
        let town = crate::town(town);
        let charged = waits(ask(&by(&town, ANA), &adjustment(&town, "A1", "reconnection-fee", "150.00", "F-1")));
        decides(&town, SAM, charged, Verdict::Approve).unwrap();
        let id = waits(takes_back(&town, ANA, "A1", "F-1", "U-1"));
        assert_eq!(shown(&town, SAM, id).subject, "undo of F-1");
        assert_eq!(decides(&town, SAM, id, Verdict::Approve).unwrap().posted.unwrap().balance_after_cents, 0);
        assert_eq!(count(&town, "adjustment_reversal"), 1);
        town.assert_sound();
    }

    fn the_command_line_asks_and_decides_by_name(town: Town) {
        let town = crate::town(town);
        let run = |args: &[&str]| {
            let output = town.program(args);
            (output.status.code(), stdout(&output), crate::support::stderr(&output))
        };
        let give = |by: &str, amount: &str, reference: &str| {
            run(&["adjust", "A1", "--amount", amount, "--reason", "goodwill", "--reference", reference, "--note", "sorry", "--by", by])
        };
        assert!(give(ANA, "-5.00", "G-1").1.contains("balance now -5.00"));
        assert!(give("somebody", "-500.00", "G-2").2.contains("'somebody' is none"));
        let asked = give(ANA, "-500.00", "G-2");
        assert!(asked.0 == Some(0) && asked.1.contains("waits for a second person as request 1"), "{asked:?}");
        assert!(give(ANA, "-500.00", "G-2").1.contains("waits already"));
        assert!(run(&["approvals", "list"]).1.contains("1 -500.00 A1: credit of 500.00"));
        let view = run(&["approvals", "show", "1"]).1;
        let word = view.lines().find_map(|line| line.strip_prefix("word: ")).expect("the word").to_owned();
        assert!(view.contains("balance now -5.00, afterwards -505.00"), "{view}");
        let (anas, sams) = (factor(&town, ANA), factor(&town, SAM));
        let approve = |by: &str, word: &str, input: &str| typed(&town, &["approvals", "approve", "1", "--seen", word, "--by", by], input);
        assert!(approve(SAM, "0000", "").2.contains("look again"));
        let own = approve(ANA, &word, &proof(&town, &anas));
        assert!(own.2.contains("may not decide"), "{own:?}");
        let approved = approve(SAM, &word, &proof(&town, &sams));
        assert!(approved.1.contains("request 1 is approved; balance now -505.00"), "{approved:?}");
        assert!(run(&["undo", "A1", "G-1", "--reference", "U-1", "--note", "wrong", "--by", ANA]).1.contains("balance now -500.00"));
        assert!(run(&["approvals", "list", "--decided", "--json"]).1.contains("\"status\": \"approved\""));
        assert_eq!(count(&town, "approval_decision WHERE channel = 'command_line'"), 1);
        assert!(run(&["approvals", "expire"]).1.contains("0 requests expired"));
        let carry = || run(&["balance", "transfer", "A2", "A3", "--reference", "T-1", "--note", "one household"]);
        town.pay("A2", "20.00", "P-2");
        let carried = carry();
        assert!(carried.1.contains("A2: transfer posted") && carried.1.contains("A3: transfer posted"), "{carried:?}");
        assert!(carry().1.contains("there already"), "the same again changes nothing");
        town.assert_sound();
    }
}

/// What somebody sees who looks at a request now.
pub(crate) fn seen(town: &Town, id: ApprovalId) -> Seen {
    let view = shown(town, SAM, id);
    Seen { sha256: view.sha256, position: view.position }
}
