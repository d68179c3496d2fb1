//! Ways to get round the second person, each tried for real: none gets a cent.

use std::sync::{Arc, Barrier};
use std::thread;

use aquabills::actions::approvals::{Decided, Verdict, decide};
use aquabills::actions::sign_in::set_staff_disabled;
use chrono::{TimeDelta, TimeZone, Utc};
use diesel::RunQueryDsl;

use crate::stories::seen;
use crate::support::http::{Answer, encoded};
use crate::support::pages::{field, open, says, send};
use crate::support::{Town, on_both};
use crate::*;

/// A town that serves, with a request of Ana's for 150.00 that waits as number 1.
fn asked(town: Town) -> (Town, Served) {
    let mut town = crate::town(town);
    assert_eq!(waits(credit(&town, ANA, "A1", "-150.00", "R-1")), ApprovalId(1));
    let served = Served::new(&mut town);
    (town, served)
}

/// The fields that approve what a page shows.
fn approval(page: &Answer) -> Vec<(&'static str, String)> {
    vec![("decision", "approve".to_owned()), ("seen", field(page, "seen")), ("position", field(page, "position"))]
}

fn sent(browser: &mut Browser, page: &Answer, path: &str, fields: &[(&'static str, String)]) -> Answer {
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    send(browser, page, path, &fields)
}

/// Sends an approval with somebody's own hidden token and what another was shown.
fn forced(browser: &mut Browser, id: u32, fields: &[(&'static str, String)]) -> Answer {
    let page = open(browser, "/profile/sign-in");
    sent(browser, &page, &format!("/staff/approvals/{id}"), fields)
}

#[track_caller]
fn nothing_happened(town: &Town) {
    assert_eq!(town.balance("A1"), "0.00");
    assert_eq!(count(town, "financial_transaction"), 0);
}

pub(crate) fn statement(town: &Town, sql: &str) {
    let run = |conn: &mut aquabills::db::DbConnection| diesel::sql_query(sql).execute(conn).map(|_| ());
    town.context.database.write(|conn| run(conn).map_err(ActionError::from)).unwrap_or_else(|error| panic!("{sql}: {error}"));
}

on_both! {
    fn whoever_asked_does_not_approve_under_any_name(town: Town) {
        let mut town = crate::town(town);
        // Supervisors, who may ask and may approve: but not what they asked for.
        add(&town, "ana.chief@utility.example", "Chief, Sam", Role::Supervisor);
        add(&town, "sam+second@utility.example", "Samuel Other", Role::Supervisor);
        add(&town, "root@utility.example", "Root Admin", Role::Administrator);
        let id = waits(credit(&town, SAM, "A1", "-150.00", "R-1"));
        let served = Served::new(&mut town);
        let mut sue = sign_in_as(&served, SUE);
        let page = open(&mut sue, "/staff/approvals/1");
        let fields = approval(&page);
        for (who, status, words) in [
            (SAM, 422, "whoever asks for it does not decide about it"),
            ("ana.chief@utility.example", 422, "whoever asks for it does not decide about it"),
            ("sam+second@utility.example", 422, "whoever asks for it does not decide about it"),
            (BEN, 422, "may not decide: expected somebody who may sign in as supervisor"),
            ("root@utility.example", 422, "may not decide: expected somebody who may sign in as supervisor"),
        ] {
            let mut browser = sign_in_as(&served, who);
            let page = open(&mut browser, "/staff/approvals/1");
            assert!(!page.body.contains("value=\"approve\""), "{who} is offered no button");
            let answer = forced(&mut browser, 1, &fields);
            assert_eq!(answer.status, status, "{who}: {}", answer.body);
            says(&answer, words);
            let mut rejection = fields.clone();
            rejection[0].1 = "reject".to_owned();
            rejection.push(("note", "no".to_owned()));
            assert_eq!(forced(&mut browser, 1, &rejection).status, 422, "{who} does not reject it either");
        }
        nothing_happened(&town);
        let view = shown(&town, SAM, id);
        assert_eq!((view.may_withdraw, view.may_not.is_some()), (true, true));
        assert_eq!(sent(&mut sue, &page, "/staff/approvals/1", &fields).status, 303);
        assert_eq!(town.balance("A1"), "-150.00");
    }

    fn a_form_that_is_sent_again_does_nothing_again(town: Town) {
        let (town, served) = asked(town);
        let mut sam = sign_in_as(&served, SAM);
        let page = open(&mut sam, "/staff/approvals/1");
        let fields = approval(&page);
        assert_eq!(sent(&mut sam, &page, "/staff/approvals/1", &fields).location(), "/staff/approvals/1?done=approved");
        for _ in 0..3 {
            assert_eq!(sent(&mut sam, &page, "/staff/approvals/1", &fields).location(), "/staff/approvals/1?done=before");
        }
        let mut sue = sign_in_as(&served, SUE);
        let late = forced(&mut sue, 1, &fields);
        assert_eq!(late.status, 422);
        says(&late, "was approved by sam@utility.example already");
        assert_eq!((town.balance("A1"), count(&town, "financial_transaction")), ("-150.00".to_owned(), 1));
        town.assert_sound();
    }

    fn a_form_of_another_request_or_of_another_balance_is_refused(town: Town) {
        let (town, served) = asked(town);
        waits(credit(&town, ANA, "A2", "-9000.00", "R-2"));
        let mut sam = sign_in_as(&served, SAM);
        let small = open(&mut sam, "/staff/approvals/1");
        let fields = approval(&small);
        let answer = sent(&mut sam, &small, "/staff/approvals/2", &fields);
        assert_eq!(answer.status, 422);
        says(&answer, "the request is not the one that was shown");
        for (at, value) in [(1, ""), (1, "0"), (2, ""), (2, "x"), (2, "7")] {
            let mut fields = fields.clone();
            fields[at].1 = value.to_owned();
            let answer = sent(&mut sam, &small, "/staff/approvals/1", &fields);
            assert_eq!(answer.status, 422, "{at} {value}");
        }
        for missing in 0..3 {
            let mut fields = fields.clone();
            fields.remove(missing);
            assert_eq!(sent(&mut sam, &small, "/staff/approvals/1", &fields).status, 422, "without {missing}");
        }
        nothing_happened(&town);
        // What a form says of the amount is nobody's business: the request has it.
        let mut more = fields.clone();
        more.extend([("amount", "9000.00".to_owned()), ("account", "A2".to_owned()), ("reference", "R-2".to_owned())]);
        assert_eq!(sent(&mut sam, &small, "/staff/approvals/1", &more).status, 303);
        assert_eq!((town.balance("A1"), town.balance("A2")), ("-150.00".to_owned(), "0.00".to_owned()));
    }

    fn a_balance_that_moved_since_it_was_shown_is_looked_at_again(town: Town) {
        let (town, served) = asked(town);
        let mut sam = sign_in_as(&served, SAM);
        let page = open(&mut sam, "/staff/approvals/1");
        town.pay("A1", "40.00", "P-1");
        let answer = sent(&mut sam, &page, "/staff/approvals/1", &approval(&page));
        assert_eq!(answer.status, 422);
        says(&answer, "the balance is -40.00 now and was another one when it was shown: look again");
        assert_eq!(town.balance("A1"), "-40.00");
        let page = open(&mut sam, "/staff/approvals/1");
        assert_eq!(sent(&mut sam, &page, "/staff/approvals/1", &approval(&page)).status, 303);
        assert_eq!(town.balance("A1"), "-190.00");
    }

    fn an_amount_that_is_changed_in_the_database_is_not_approved(town: Town) {
        let town = crate::town(town);
        let id = waits(credit(&town, ANA, "A1", "-150.00", "R-1"));
        // Somebody who owns the database takes the guard away and changes the request, its act and all.
        let guards = match town.context.database.backend() {
            aquabills::db::Backend::Sqlite => "DROP TRIGGER approval_no_update",
            aquabills::db::Backend::Postgres => "DROP TRIGGER approval_no_change ON approval",
        };
        statement(&town, guards);
        for change in ["amount_cents = -900000, act = replace(act, '-15000', '-900000')", "asked_by = 'ben@utility.example'", "note = 'x'"] {
            statement(&town, &format!("UPDATE approval SET {change}"));
            let why = refused(decides(&town, SUE, id, Verdict::Approve));
            assert!(why.contains("was changed beside the program"), "{change}: {why}");
        }
        nothing_happened(&town);
    }

    fn two_approvers_at_once_are_one_approval(town: Town) {
        let town = Arc::new(crate::town(town));
        for round in 0..6 {
            let reference = format!("R-{round}");
            let before = town.balance("A1");
            let id = waits(credit(&town, ANA, "A1", "-150.00", &reference));
            let seen = seen(&town, id);
            let barrier = Arc::new(Barrier::new(4));
            let deciders = [(SAM, Verdict::Approve), (SUE, Verdict::Approve), (SUE, Verdict::Reject), (ANA, Verdict::Withdraw)];
            let threads: Vec<_> = deciders
                .into_iter()
                .map(|(who, verdict)| {
                    let (context, seen, barrier) = (by(&town, who), seen.clone(), Arc::clone(&barrier));
                    thread::spawn(move || {
                        barrier.wait();
                        decide(&context, id, verdict, &seen, "quick")
                    })
                })
                .collect();
            let outcomes: Vec<Result<Decided, ActionError>> = threads.into_iter().map(|thread| thread.join().expect("no panic")).collect();
            let decided: Vec<&Decided> = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok()).collect();
            assert_eq!(decided.len(), 1, "{outcomes:?}");
            let executed = i64::from(decided[0].decision == "approved");
            assert_eq!(count(&town, &format!("adjustment WHERE reference = '{reference}'")), executed);
            assert_eq!(town.balance("A1") == before, executed == 0);
        }
        town.assert_sound();
    }

    fn what_is_decided_or_over_is_not_approved(town: Town) {
        let (town, served) = asked(town);
        waits(credit(&town, ANA, "A1", "-151.00", "R-2"));
        waits(credit(&town, ANA, "A1", "-152.00", "R-3"));
        let mut sam = sign_in_as(&served, SAM);
        let pages = [1, 2, 3].map(|id| open(&mut sam, &format!("/staff/approvals/{id}")));
        decides(&town, SUE, ApprovalId(1), Verdict::Reject).unwrap();
        decides(&town, ANA, ApprovalId(2), Verdict::Withdraw).unwrap();
        for (id, words) in [(1, "was rejected by sue@utility.example already"), (2, "was withdrawn by ana@utility.example already")] {
            let page = &pages[id - 1];
            let answer = sent(&mut sam, page, &format!("/staff/approvals/{id}"), &approval(page));
            assert_eq!(answer.status, 422);
            says(&answer, words);
        }
        town.context.clock.set(Utc.from_utc_datetime(&town.context.now()) + TimeDelta::days(15));
        let late = decide(&by(&town, SAM), ApprovalId(3), Verdict::Approve, &seen(&town, ApprovalId(3)), "");
        assert!(refused(late).contains("has expired"));
        aquabills::actions::approvals::expire_due(&town.context).unwrap();
        let later = decide(&by(&town, SAM), ApprovalId(3), Verdict::Approve, &seen(&town, ApprovalId(3)), "");
        assert!(refused(later).contains("was expired by aquabills already"));
        nothing_happened(&town);
    }

    fn a_role_that_changed_meanwhile_counts(town: Town) {
        let (town, served) = asked(town);
        let mut sam = sign_in_as(&served, SAM);
        let page = open(&mut sam, "/staff/approvals/1");
        let fields = approval(&page);
        statement(&town, "UPDATE login SET role = 'clerk' WHERE email = 'sam@utility.example'");
        let demoted = sent(&mut sam, &page, "/staff/approvals/1", &fields);
        assert_eq!(demoted.status, 422, "{}", demoted.body);
        says(&demoted, "may not decide");
        statement(&town, "UPDATE login SET role = 'auditor' WHERE email = 'sam@utility.example'");
        assert_eq!(sent(&mut sam, &page, "/staff/approvals/1", &fields).status, 403);
        statement(&town, "UPDATE login SET role = 'supervisor' WHERE email = 'sam@utility.example'");
        set_staff_disabled(&town.context, SAM, true).unwrap();
        let gone = sam.post("/staff/approvals/1", &encoded(&[("csrf", &field(&page, "csrf"))]));
        assert_ne!(gone.status, 200);
        assert!(refused(decides(&town, SAM, ApprovalId(1), Verdict::Approve)).contains("may not decide"));
        // Whoever asked has left: what they asked for is not done in their name.
        set_staff_disabled(&town.context, ANA, true).unwrap();
        assert!(refused(decides(&town, SUE, ApprovalId(1), Verdict::Approve)).contains("may not work accounts any more"));
        nothing_happened(&town);
        assert_eq!(decides(&town, SUE, ApprovalId(1), Verdict::Reject).unwrap().decision, "rejected");
    }

    fn forms_of_other_sites_and_sessions_are_refused(town: Town) {
        let (town, served) = asked(town);
        let (mut sam, mut ana) = (sign_in_as(&served, SAM), sign_in_as(&served, ANA));
        let page = open(&mut sam, "/staff/approvals/1");
        let fields = approval(&page);
        let body = |csrf: Option<&str>| {
            let pairs: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).chain(csrf.map(|csrf| ("csrf", csrf))).collect();
            encoded(&pairs)
        };
        let anas = field(&open(&mut ana, "/profile/sign-in"), "csrf");
        for csrf in [None, Some(""), Some("x"), Some(anas.as_str())] {
            assert_eq!(sam.post("/staff/approvals/1", &body(csrf)).status, 403, "{csrf:?}");
        }
        let own = field(&page, "csrf");
        for origin in ["http://evil.example", "null", ""] {
            let mut lured = sam.clone();
            lured.origin = Some(origin.to_owned());
            assert_eq!(lured.post("/staff/approvals/1", &body(Some(&own))).status, 403, "{origin}");
        }
        assert_eq!(served.browser().post("/staff/approvals/1", &body(Some(&own))).status, 303, "a guest is sent to the sign-in");
        nothing_happened(&town);
        assert_eq!(sam.post("/staff/approvals/1", &body(Some(&own))).location(), "/staff/approvals/1?done=approved");
    }

    fn a_credit_split_into_small_ones_waits_as_well(town: Town) {
        let town = crate::town(town);
        add(&town, "ana+2@utility.example", "Somebody Else", Role::Clerk);
        add(&town, "clerk.ana@utility.example", "CLERK, Ana", Role::Clerk);
        done(credit(&town, ANA, "A1", "-100.00", "S-1"));
        done(credit(&town, "ana+2@utility.example", "A1", "-100.00", "S-2"));
        let id = waits(credit(&town, "clerk.ana@utility.example", "A1", "-50.01", "S-3"));
        let why = shown(&town, SAM, id).why;
        assert!(why.contains("gave the account credits of 250.01 within 30 days, more than 250.00"), "{why}");
        done(credit(&town, "clerk.ana@utility.example", "A1", "-50.00", "S-4"));
        waits(credit(&town, ANA, "A1", "-0.01", "S-5"));
        // A value date long ago, or in between a charge, does not help.
        let mut old = adjustment(&town, "A1", "goodwill", "-90.00", "S-6");
        old.effective_on = "2026-01-01".parse().unwrap();
        waits(ask(&by(&town, ANA), &old));
        let charge = waits(ask(&by(&town, ANA), &adjustment(&town, "A1", "reconnection-fee", "240.00", "S-7")));
        decides(&town, SAM, charge, Verdict::Approve).unwrap();
        waits(ask(&by(&town, ANA), &adjustment(&town, "A1", "billing-error", "-90.00", "S-8")));
        // Another account, another clerk: theirs are their own.
        done(credit(&town, ANA, "A2", "-100.00", "S-9"));
        done(credit(&town, BEN, "A1", "-100.00", "S-10"));
        // Names that are no sign-in are one: nobody knows who they are.
        for (name, reference) in [("kim", "S-11"), ("lee", "S-12")] {
            done(credit(&town, name, "A3", "-100.00", reference));
        }
        assert!(refused(credit(&town, "pat", "A3", "-100.00", "S-13")).contains("needs a second person"));
        // What was approved was looked at, and after the days it is a new count.
        decides(&town, SAM, id, Verdict::Approve).unwrap();
        waits(credit(&town, ANA, "A1", "-0.01", "S-14"));
        town.context.clock.set(Utc.from_utc_datetime(&town.context.now()) + TimeDelta::days(31));
        done(credit(&town, ANA, "A1", "-100.00", "S-15"));
        town.assert_sound();
    }

    fn many_small_credits_at_once_do_not_pass_together(town: Town) {
        let town = Arc::new(crate::town(town));
        let barrier = Arc::new(Barrier::new(8));
        let threads: Vec<_> = (0..8)
            .map(|index| {
                let (town, barrier) = (Arc::clone(&town), Arc::clone(&barrier));
                thread::spawn(move || {
                    barrier.wait();
                    credit(&town, ANA, "A1", "-100.00", &format!("P-{index}")).expect("asked for")
                })
            })
            .collect();
        let outcomes: Vec<Outcome> = threads.into_iter().map(|thread| thread.join().expect("no panic")).collect();
        assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Done(_))).count(), 2, "{outcomes:?}");
        assert_eq!(town.balance("A1"), "-200.00");
        town.assert_sound();
    }

    fn an_undo_happens_once_whoever_races_for_it(town: Town) {
        let town = Arc::new(crate::town(town));
        for round in 0..4 {
            let (fee, charge) = (format!("F-{round}"), format!("F-{round}"));
            let charged = waits(ask(&by(&town, ANA), &adjustment(&town, "A1", "reconnection-fee", "300.00", &charge)));
            decides(&town, SAM, charged, Verdict::Approve).unwrap();
            // Two requests to take it back, approved by two people at once.
            let one = waits(takes_back(&town, ANA, "A1", &fee, &format!("U-{round}-a")));
            let two = waits(takes_back(&town, BEN, "A1", &fee, &format!("U-{round}-b")));
            let (seen_one, seen_two) = (seen(&town, one), seen(&town, two));
            let barrier = Arc::new(Barrier::new(2));
            let threads: Vec<_> = [(SAM, one, seen_one), (SUE, two, seen_two)]
                .into_iter()
                .map(|(who, id, seen)| {
                    let (context, barrier) = (by(&town, who), Arc::clone(&barrier));
                    thread::spawn(move || {
                        barrier.wait();
                        decide(&context, id, Verdict::Approve, &seen, "")
                    })
                })
                .collect();
            let outcomes: Vec<_> = threads.into_iter().map(|thread| thread.join().expect("no panic")).collect();
            assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
            assert_eq!(town.balance("A1"), "0.00");
            // The other one cannot be approved any more.
            let left = if outcomes[0].is_ok() { two } else { one };
            assert!(refused(decides(&town, SUE, left, Verdict::Approve)).contains("was taken back already"));
            decides(&town, SUE, left, Verdict::Reject).unwrap();
        }
        // Small ones, taken back by several at once without anybody's approval.
        done(credit(&town, ANA, "A2", "-60.00", "C-1"));
        let barrier = Arc::new(Barrier::new(6));
        let threads: Vec<_> = (0..6)
            .map(|index| {
                let (town, barrier) = (Arc::clone(&town), Arc::clone(&barrier));
                thread::spawn(move || {
                    barrier.wait();
                    takes_back(&town, if index % 2 == 0 { ANA } else { BEN }, "A2", "C-1", &format!("UC-{index}")).is_ok()
                })
            })
            .collect();
        assert_eq!(threads.into_iter().filter(|_| true).map(|thread| thread.join().expect("no panic")).filter(|done| *done).count(), 1);
        assert_eq!((town.balance("A2"), count(&town, "adjustment_reversal")), ("0.00".to_owned(), 5));
        town.assert_sound();
    }

    fn a_credit_and_its_undo_race_with_a_payout(town: Town) {
        let town = Arc::new(crate::town(town));
        for round in 0..5 {
            let account = ["A1", "A2", "A3"][round % 3];
            let reference = format!("C-{round}");
            done(credit(&town, if round % 2 == 0 { ANA } else { BEN }, account, "-60.00", &reference));
            let barrier = Arc::new(Barrier::new(2));
            let (one, two) = (Arc::clone(&barrier), barrier);
            let (first, second) = (Arc::clone(&town), Arc::clone(&town));
            let (of, out) = (reference.clone(), format!("OUT-{round}"));
            let undoing = thread::spawn(move || {
                one.wait();
                takes_back(&first, ANA, account, &of, &format!("U-{of}")).is_ok()
            });
            let paying = thread::spawn(move || {
                two.wait();
                aquabills::actions::balances::refund_credit(&by(&second, BEN), account, Some("60.00".parse().unwrap()), &out, "wanted back").is_ok()
            });
            let (undone, paid) = (undoing.join().expect("no panic"), paying.join().expect("no panic"));
            assert!(undone != paid, "one of them: undone {undone}, paid {paid}");
            assert_eq!(town.balance(account), "0.00");
        }
        town.assert_sound();
    }

    fn a_reference_that_waits_is_nobody_elses(town: Town) {
        let town = crate::town(town);
        let id = waits(credit(&town, ANA, "A1", "-150.00", "R-1"));
        assert!(refused(credit(&town, ANA, "A1", "-15.00", "R-1")).contains("stands for another request"));
        assert!(refused(credit(&town, ANA, "A2", "-150.00", "R-1")).contains("stands for another request"));
        assert!(refused(credit(&town, BEN, "A1", "-150.00", "R-1")).contains("stands for another request"));
        assert!(refused(takes_back(&town, ANA, "A1", "R-1", "U-1")).contains("there is no credit or charge"));
        let post = aquabills::actions::adjust::adjust(&by(&town, ANA), &adjustment(&town, "A1", "goodwill", "-150.00", "R-1"));
        assert!(refused(post).contains("waits for a second person as request 1"));
        nothing_happened(&town);
        decides(&town, SAM, id, Verdict::Approve).unwrap();
        assert!(matches!(credit(&town, ANA, "A1", "-150.00", "R-1"), Ok(Outcome::Done(posted)) if posted.unchanged), "the first form sent once more");
        assert_eq!(town.balance("A1"), "-150.00");
    }

    fn nobody_passes_their_own_request_on_the_command_line_under_anothers_name(town: Town) {
        let town = crate::town(town);
        let (anas, sams) = (factor(&town, ANA), factor(&town, SAM));
        let asks = |reference: &str| {
            let args = ["adjust", "A1", "--amount", "-500.00", "--reason", "goodwill", "--reference", reference, "--note", "sorry", "--by", ANA];
            typed(&town, &args, "").1
        };
        assert!(asks("G-1").contains("waits for a second person as request 1"));
        assert!(asks("G-2").contains("waits for a second person as request 2"));
        let word = |id: &str| {
            let shown = typed(&town, &["approvals", "show", id], "").1;
            shown.lines().find_map(|line| line.strip_prefix("word: ")).expect("the word").to_owned()
        };
        let decides = |verb: &str, id: &str, by: &str, input: &str| {
            typed(&town, &["approvals", verb, id, "--seen", &word(id), "--by", by, "--note", "why not"], input)
        };
        let anas_proof = proof(&town, &anas);
        let anas_code = anas_proof.lines().nth(1).expect("a code").to_owned();
        for input in [String::new(), "\n\n".to_owned(), format!("{PASSWORD}\n"), format!("{PASSWORD}\n000000\n"), format!("{PASSWORD}\n{anas_code}\n"), format!("guess\n{anas_code}\n")] {
            for verb in ["approve", "reject"] {
                let outcome = decides(verb, "1", SAM, &input);
                assert!(outcome.0 == Some(1) && (outcome.2.contains("is not the password and a new code") || outcome.2.contains("too many wrong")), "{verb} {input:?}: {outcome:?}");
            }
        }
        assert!(decides("approve", "1", "nobody@utility.example", &proof(&town, &anas)).2.contains("is not the password"));
        nothing_happened(&town);
        assert_eq!(count(&town, "approval_decision"), 0);
        // Who guesses too often waits like everybody who signs in.
        assert!(count(&town, "audit_event WHERE action = 'sign_in.failed'") >= 5);
        statement(&town, "DELETE FROM login_throttle");
        let sams_proof = proof(&town, &sams);
        assert_eq!(decides("reject", "2", SAM, &sams_proof).0, Some(0));
        let again = decides("approve", "1", SAM, &sams_proof);
        assert!(again.2.contains("is not the password and a new code"), "a code is good once: {again:?}");
        nothing_happened(&town);
        assert_eq!(count(&town, "approval_decision WHERE channel = 'command_line' AND decision = 'rejected'"), 1);
        assert_eq!(count(&town, "login_session WHERE revoked_at IS NULL AND user_agent LIKE '%command line%'"), 0, "no session is left open");
    }

    fn a_decider_whom_the_asker_made_or_who_came_after_does_not_decide(town: Town) {
        let town = crate::town(town);
        let by_ana = by(&town, ANA);
        let new = |email: &str, name: &str| sign_in::NewStaff { email: email.to_owned(), name: name.to_owned(), role: Role::Supervisor, password: Some(PASSWORD.to_owned()), mail_link: false };
        sign_in::add_staff(&by_ana, &new("tom@utility.example", "Tom New")).unwrap();
        let id = waits(credit(&town, ANA, "A1", "-150.00", "R-1"));
        assert!(refused(decides(&town, "tom@utility.example", id, Verdict::Approve)).contains("was made or changed by whoever asks"));
        town.context.clock.set(Utc.from_utc_datetime(&town.context.now()) + TimeDelta::minutes(1));
        add(&town, "zoe@utility.example", "Zoe Late", Role::Supervisor);
        sign_in::send_link(&town.context, SUE, false).unwrap();
        factor(&town, SAM);
        sign_in::reset_factor(&town.context, SAM).unwrap();
        for who in ["zoe@utility.example", SUE, SAM] {
            assert!(refused(decides(&town, who, id, Verdict::Approve)).contains("was changed after this was asked for"), "{who}");
        }
        assert!(shown(&town, SUE, id).may_not.is_some());
        nothing_happened(&town);
        // What is asked for afterwards is theirs to decide.
        let next = waits(credit(&town, ANA, "A1", "-150.00", "R-2"));
        assert!(decides(&town, SUE, next, Verdict::Approve).is_ok());
    }
}
