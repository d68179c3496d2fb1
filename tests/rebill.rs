//! Bills that are cancelled and billed anew: one, several that stand on each other, a whole run; what is paid on them stays the
//! customer's; and whatever happens on the way, it is done once. On both databases.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on must fail loudly")]

mod support;

use std::collections::BTreeSet;
use std::thread;

use aquabills::actions::approvals::{Seen, Verdict, decide, show};
use aquabills::actions::bill_run::{RunOptions, roll_back_run, run_bills};
use aquabills::actions::policy::store_policy;
use aquabills::actions::rebill::{RebillKind, RebillReport, Wanted, bills_named, bills_of_run, preview, rebill, replaced_by, resume};
use aquabills::actions::sign_in::{NewStaff, add_staff};
use aquabills::actions::stop::Stop;
use aquabills::actions::tariffs::import_tariff;
use aquabills::actions::{ActionError, Context};
use aquabills::domain::ids::{ApprovalId, RebillId, RunId};
use aquabills::domain::roles::Role;
use diesel::result::Error as DieselError;
use support::http::Served;
use support::pages::{field, follow, open, says, send};
use support::{TARIFF, Town, dump, lines, on_both, stdout};

/// Three months of two homes and a shop, each month billed.
fn billed_town(town: Town) -> Town {
    let town = town.with_services(&["A1,S1,HOME,M1", "A2,S2,HOME,M2", "A3,S3,SHOP,M3"]);
    town.services("customer_id,service_id,rate_class,meter_id,register_digits,email\nA1,S1,HOME,M1,4,one@town.example\nA2,S2,HOME,M2,4,two@town.example\nA3,S3,SHOP,M3,4,three@town.example\n")
        .expect("the services are read");
    town.reads(&["M1,2026-03-01,0", "M2,2026-03-01,0", "M3,2026-03-01,0"]);
    for (day, counts) in [("2026-04-01", [12, 5, 30]), ("2026-05-01", [30, 9, 60]), ("2026-06-01", [44, 15, 90])] {
        let rows: Vec<String> = counts.iter().zip(1..).map(|(count, meter)| format!("M{meter},{day},{count}")).collect();
        town.reads(&rows.iter().map(String::as_str).collect::<Vec<_>>());
        town.bill(day);
    }
    town
}

/// The tariff as it should have been: the first tier costs half.
fn right_tariff() -> String {
    TARIFF.replace("tier_prices: [2.00, 3.50]", "tier_prices: [1.00, 3.50]")
}

/// Puts the tariff right that the town was billed by.
fn put_right(town: &Town) {
    import_tariff(&town.context, &town.file("right.owrs", &right_tariff()), false, true).expect("the tariff is accepted");
}

/// Fails unless the ledger keeps its promises and every bill can be made again. Bills that nobody asked for may well be wrong.
fn assert_kept(town: &Town) {
    let ledger = town.check();
    assert_eq!(ledger.faults, 0, "{:#?}", ledger.first_faults);
    let bills = town.verify();
    assert_eq!(bills.differences, 0, "{:#?}", bills.first_differences);
}

fn query(town: &Town, sql: &str) -> Vec<String> {
    town.context.database.read(|conn| Ok::<_, DieselError>(lines(conn, sql))).expect("the query is right")
}

fn number(run: i64, account: i64) -> String {
    format!("{run:05}-{account:07}")
}

fn wanted(town: &Town, numbers: &[String], kind: RebillKind, token: &str) -> Wanted<'static> {
    let bills = bills_named(&town.context, numbers).expect("the bills are there");
    Wanted::new(bills, kind, "the first tier cost too much", token)
}

fn done(town: &Town, numbers: &[String], kind: RebillKind, token: &str) -> Result<RebillReport, ActionError> {
    rebill(&town.context, &wanted(town, numbers, kind, token), &Stop::default())
}

fn corrections(town: &Town) -> Vec<serde_json::Value> {
    let facts = query(town, "SELECT facts AS line FROM notice WHERE kind = 'overcharge_corrected' ORDER BY account_id, id");
    facts.iter().map(|facts| serde_json::from_str(facts).expect("facts are JSON")).collect()
}

/// A policy that lets nobody give an account more than 15.00 alone, a clerk and a supervisor.
fn above_fifteen_two_people(town: &Town) {
    let policy = "title = \"T\"\neffective_on = 2026-01-01\n[credits]\ncitation = \"Board 7\"\napproval_above = \"15.00\"\n\
        approval_total_above = \"15.00\"\napproval_days = 30\napprovers = [\"supervisor\"]\nrequest_days = 14\nlargest = \"500.00\"\n";
    store_policy(&town.context, "policy.toml", policy).expect("the policy is accepted");
    for (email, name, role) in [("ana@utility.example", "Ana Clerk", Role::Clerk), ("sue@utility.example", "Sue Head", Role::Supervisor)] {
        let new = NewStaff { email: email.to_owned(), name: name.to_owned(), role, password: None, mail_link: false };
        add_staff(&town.context, &new).expect("staff is added");
    }
}

on_both! {
    fn a_bill_is_billed_anew_with_those_that_stand_on_it(town: Town) {
        let town = billed_town(town);
        assert_eq!(town.balance("A1"), "139.00", "12, 18 and 14 units: 37 + 58 + 44");
        town.pay("A1", "50.00", "R1");
        put_right(&town);
        let before = dump(&town);
        let foreseen = preview(&town.context, &bills_named(&town.context, &[number(2, 1)]).unwrap(), RebillKind::Rebill).expect("it can be foreseen");
        assert_eq!(dump(&town), before, "nothing is changed by looking");
        let bills: Vec<(&str, bool, i64)> = foreseen.accounts[0].bills.iter().map(|bill| (bill.number.as_str(), bill.asked, bill.total_cents)).collect();
        assert_eq!(bills, [(number(2, 1).as_str(), true, 5800), (number(3, 1).as_str(), false, 4400)]);
        assert_eq!((foreseen.before_cents(), foreseen.after_cents()), (10_200, 8_200), "twice ten units at half the price");
        let report = done(&town, &[number(2, 1)], RebillKind::Rebill, "one").expect("it is done");
        assert!(report.is_complete() && report.count("billed") == 1, "{report:?}");
        assert_eq!(report.billed_cents, 8_200);
        assert_eq!(town.balance("A1"), "69.00", "139.00 - 50.00 - 2 × 10.00");
        assert_eq!(town.balance("A2"), "60.00", "nobody else is touched");
        let story = query(&town, "SELECT kind || ' ' || source || ' ' || amount_cents AS line FROM financial_transaction WHERE account_id = 1 ORDER BY account_seq");
        assert_eq!(story[3..], ["payment counter:R1 -5000", "bill_reversal rollback:2 -5800", "bill_reversal rollback:3 -4400", "bill run:4 8200"].map(str::to_owned)[..]);
        assert_eq!(query(&town, "SELECT cycle AS line FROM bill_run WHERE id = 4"), [format!("rebill:{}", report.rebill.id)]);
        let replaced = replaced_by(&town.context, RunId(2), aquabills::domain::ids::AccountId(1)).unwrap().expect("it was replaced");
        assert_eq!(replaced.bill_number.as_deref(), Some(number(4, 1).as_str()));
        assert_kept(&town);
        let told = corrections(&town);
        assert_eq!(told.len(), 1, "one e-mail: {told:?}");
        assert_eq!((told[0]["before_cents"].as_i64(), told[0]["after_cents"].as_i64(), told[0]["balance_cents"].as_i64()), (Some(10_200), Some(8_200), Some(6_900)));
        assert_eq!(query(&town, "SELECT dedupe_key AS line FROM notice WHERE kind = 'bill_ready' AND dedupe_key LIKE 'bill:4:%'"), Vec::<String>::new());
        // The next month stands on the new bill.
        town.context.clock.set(town.context.clock.now().and_utc() + chrono::TimeDelta::days(30));
        town.reads(&["M1,2026-07-01,50", "M2,2026-07-01,20", "M3,2026-07-01,100"]);
        assert_eq!(town.bill("2026-07-01").totals.bills, 3);
        assert_kept(&town);
    }

    fn what_is_asked_twice_is_done_once(town: Town) {
        let town = billed_town(town);
        put_right(&town);
        let first = done(&town, &[number(3, 1), number(3, 2)], RebillKind::Rebill, "form").expect("it is done");
        let ledger = town.ledger_rows();
        let again = done(&town, &[number(3, 1), number(3, 2)], RebillKind::Rebill, "form").expect("the form comes again");
        assert_eq!(first, again);
        let by_name = done(&town, &[number(3, 1), number(3, 2)], RebillKind::Rebill, "another form").expect("the command is typed again");
        assert_eq!(first, by_name);
        let error = done(&town, &[number(3, 1), number(3, 3)], RebillKind::Rebill, "third").expect("the shop's bill can be billed anew");
        assert_eq!((error.count("refused"), error.count("billed")), (1, 1));
        assert_eq!(town.ledger_rows().len(), ledger.len() + 2, "only the shop's bill and its successor");
        let error = done(&town, &[number(3, 1)], RebillKind::Cancel, "fourth").expect("it is the first request again");
        assert_eq!(error.rebill.id, first.rebill.id);
        assert_kept(&town);
    }

    fn what_is_only_cancelled_can_be_billed_by_the_next_run(town: Town) {
        let town = billed_town(town);
        let report = done(&town, &[number(3, 2)], RebillKind::Cancel, "one").expect("it is done");
        assert!(report.is_complete());
        assert_eq!((report.run_id, town.balance("A2")), (None, "38.00".to_owned()));
        let told = corrections(&town);
        assert_eq!((told.len(), told[0]["bill_number"].is_null(), told[0]["before_cents"].as_i64()), (1, true, Some(2_200)));
        assert_eq!(town.bill("2026-06-01").totals.bills, 1);
        assert_eq!(town.balance("A2"), "60.00");
        assert_eq!(query(&town, "SELECT count(*) || '' AS line FROM notice WHERE kind = 'bill_ready' AND account_id = 2"), ["4"]);
        assert_kept(&town);
    }

    fn a_whole_run_is_billed_anew(town: Town) {
        let town = billed_town(town);
        let twin_balances = ["109.00", "45.00", "382.50"];
        put_right(&town);
        let bills = bills_of_run(&town.context, RunId(1)).unwrap();
        let want = Wanted { bills, ..wanted(&town, &[number(1, 1)], RebillKind::Rebill, "run") };
        let report = rebill(&town.context, &want, &Stop::default()).expect("it is done");
        assert_eq!((report.count("billed"), report.is_complete()), (3, true));
        for (account, balance) in ["A1", "A2", "A3"].iter().zip(twin_balances) {
            assert_eq!(town.balance(account), balance);
        }
        assert_eq!(query(&town, "SELECT count(*) || '' AS line FROM bill WHERE status = 'cancelled'"), ["9"], "the later runs stood on it");
        town.assert_sound();
    }

    fn an_account_that_cannot_be_billed_anew_is_left_as_it_is(town: Town) {
        let town = billed_town(town);
        // A run that was priced and waits stands on the bills of June.
        town.context.clock.set(town.context.clock.now().and_utc() + chrono::TimeDelta::days(30));
        town.reads(&["M1,2026-07-01,50"]);
        town.try_bill("2026-07-01", false, None).expect("it is priced");
        let before = dump(&town);
        let error = done(&town, &[number(3, 1)], RebillKind::Rebill, "one").unwrap_err().to_string();
        assert!(error.contains("run 4 is review and stands on it"), "{error}");
        assert_eq!(dump(&town), before);
        // Who has nothing in that run is not in its way.
        let report = done(&town, &[number(3, 1), number(3, 2)], RebillKind::Cancel, "two").expect("one of them can");
        assert_eq!((report.count("refused"), report.count("cancelled"), report.is_complete()), (1, 1, false));
        assert_eq!((town.balance("A1"), town.balance("A2")), ("139.00".to_owned(), "38.00".to_owned()));
        let error = bills_named(&town.context, &["00009-0000001".to_owned()]).unwrap_err();
        assert!(matches!(error, ActionError::NotFound { .. }), "{error}");
    }

    fn two_at_once_cancel_each_bill_once(town: Town) {
        let town = billed_town(town);
        put_right(&town);
        let lists = [vec![number(3, 1), number(3, 2)], vec![number(3, 2), number(3, 3)], vec![number(2, 1)], vec![number(3, 1), number(3, 2)]];
        thread::scope(|scope| {
            for (index, list) in lists.iter().enumerate() {
                let town = &town;
                scope.spawn(move || {
                    for _ in 0..20 {
                        match done(town, list, RebillKind::Rebill, &format!("hand {index}")) {
                            Ok(_) => return,
                            Err(ActionError::Busy { .. } | ActionError::LeaseLost(_)) => thread::sleep(std::time::Duration::from_millis(50)),
                            Err(ActionError::Refused(why)) => {
                                assert!(why.contains("was cancelled by request") || why.contains("stands on it") || why.contains("taken back") || why.contains("is not issued"), "{why}");
                                thread::sleep(std::time::Duration::from_millis(50));
                            }
                            Err(error) => panic!("{error}"),
                        }
                    }
                });
            }
        });
        assert_kept(&town);
        let standing = query(&town, "SELECT agreement_id || ' ' || period_start_on AS line FROM bill_segment WHERE live = 1");
        assert_eq!((standing.len(), standing.iter().collect::<BTreeSet<_>>().len()), (9, 9), "every period is billed once: {standing:?}");
        assert_eq!(query(&town, "SELECT account_id || '' AS line FROM rebill_account WHERE state IN ('open', 'cancelled')"), Vec::<String>::new());
    }

    fn a_clerk_does_it_on_the_bills_page(town: Town) {
        let mut town = billed_town(town);
        put_right(&town);
        let served = Served::new(&mut town);
        let mut clerk = served.staff(Role::Clerk);
        let path = format!("/staff/bills/{}/rebill", number(2, 1));
        says(&open(&mut clerk, &format!("/bills/{}", number(2, 1))), &path);
        let page = open(&mut clerk, &path);
        for words in ["$102.00", "$82.00", "−$20.00", "stands on it"] {
            says(&page, words);
        }
        let (key, seen) = (field(&page, "key"), field(&page, "seen"));
        let form = |reason| [("what", "rebill"), ("reason", reason), ("key", key.as_str()), ("seen", seen.as_str())];
        assert_eq!(send(&mut clerk, &page, &path, &form("")).status, 422, "why is wanted");
        let changed = [("what", "rebill"), ("reason", "x"), ("key", key.as_str()), ("seen", "2:1:1:2026-06-01")];
        let refused = send(&mut clerk, &page, &path, &changed);
        assert_eq!(refused.status, 422);
        says(&refused, "has changed since this page was made");
        assert_eq!(town.balance("A1"), "139.00");
        let done = send(&mut clerk, &page, &path, &form("a wrong rate"));
        let shown = follow(&mut clerk, &done);
        says(&shown, "billed anew");
        assert_eq!(town.balance("A1"), "119.00");
        let again = send(&mut clerk, &page, &path, &form("a wrong rate"));
        assert_eq!(again.location(), done.location(), "the same form is the same request");
        assert_eq!(town.balance("A1"), "119.00");
        let old = open(&mut clerk, &format!("/bills/{}", number(2, 1)));
        says(&old, "came in its place");
        says(&old, &number(4, 1));
        // A whole run is a supervisor's.
        assert_eq!(clerk.get("/staff/runs/3/rebill").status, 403);
        let mut boss = served.staff(Role::Supervisor);
        says(&open(&mut boss, "/staff/runs/3"), "/staff/runs/3/rebill");
        let page = open(&mut boss, "/staff/runs/3/rebill");
        let (key, seen) = (field(&page, "key"), field(&page, "seen"));
        let form = [("what", "cancel"), ("reason", "a wrong rate"), ("key", key.as_str()), ("seen", seen.as_str())];
        // A cancelled bill is given back whole: 127.50 is more than one person gives.
        let waits = send(&mut boss, &page, "/staff/runs/3/rebill", &form);
        says(&waits, "second person");
        assert_eq!(town.balance("A3"), "382.50");
        let policy = "title = \"T\"\neffective_on = 2026-01-01\n[credits]\ncitation = \"Board 7\"\napproval_above = \"200.00\"\n\
            approval_total_above = \"900.00\"\napproval_days = 30\napprovers = [\"supervisor\"]\nrequest_days = 14\nlargest = \"500.00\"\n";
        store_policy(&town.context, "policy.toml", policy).expect("the policy is accepted");
        let done = send(&mut boss, &page, "/staff/runs/3/rebill", &form);
        says(&follow(&mut boss, &done), "Bills cancelled");
        assert_eq!((town.balance("A2"), town.balance("A3")), ("38.00".to_owned(), "255.00".to_owned()));
        assert_kept(&town);
    }

    fn the_command_says_what_it_would_do_and_does_it(town: Town) {
        let town = billed_town(town);
        put_right(&town);
        let trial = town.program(&["bills", "rebill", &number(3, 1), "--reason", "a wrong rate", "--dry-run", "--json"]);
        let trial: serde_json::Value = serde_json::from_str(&stdout(&trial)).expect("JSON");
        assert_eq!((trial["accounts"][0]["before_cents"].as_i64(), trial["accounts"][0]["after_cents"].as_i64()), (Some(4_400), Some(3_400)));
        assert_eq!(town.balance("A1"), "139.00");
        let output = town.program(&["bills", "rebill", "--run", "3", "--reason", "a wrong rate"]);
        assert!(output.status.success(), "{}", support::stderr(&output));
        assert!(stdout(&output).contains("run 4 billed 3 of them anew"), "{}", stdout(&output));
        assert_eq!(town.balance("A1"), "129.00");
        let output = town.program(&["bills", "cancel", "--reason", "x"]);
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(town.program(&["bills", "cancel", "00001-0000077", "--reason", "x"]).status.code(), Some(1));
        assert_kept(&town);
    }

    fn only_what_was_cancelled_is_billed_anew(town: Town) {
        let town = billed_town(town);
        done(&town, &[number(3, 2)], RebillKind::Cancel, "one").expect("May of the second home is left to a later run");
        put_right(&town);
        let report = done(&town, &[number(3, 1), number(2, 2)], RebillKind::Rebill, "two").expect("it is done");
        assert!(report.is_complete(), "{report:?}");
        let days = query(&town, "SELECT account_id || ' ' || period_start_on || ' ' || period_end_on AS line FROM bill_segment WHERE run_id = 4 AND live = 1 ORDER BY 1");
        assert_eq!(days, ["1 2026-05-01 2026-06-01", "2 2026-04-01 2026-05-01"]);
        assert_kept(&town);
    }

    fn whom_another_run_has_billed_meanwhile_holds_nobody(town: Town) {
        let town = billed_town(town);
        put_right(&town);
        let stop = Stop::default();
        let halt = |step: &str, _: usize, _: usize| if step == "cancelling" { stop.request() };
        let want = Wanted { progress: &halt, ..wanted(&town, &[number(3, 1), number(3, 2)], RebillKind::Rebill, "one") };
        let error = rebill(&town.context, &want, &stop).unwrap_err();
        assert!(matches!(error, ActionError::Stopped), "{error}");
        let alone = RunOptions { cycle: "account:A1".to_owned(), ..RunOptions::approving_all(support::day("2026-06-01"), &|_, _, _| {}) };
        run_bills(&town.context, &alone).expect("the first home is billed by itself");
        let report = resume(&town.context, RebillId(1), None, &Stop::default()).expect("the second is billed anew");
        assert!(report.is_complete() && report.count("billed") == 2, "{report:?}");
        assert_eq!((town.balance("A1"), town.balance("A2")), ("129.00".to_owned(), "54.00".to_owned()));
        let told = corrections(&town);
        assert_eq!(told.len(), 2, "one each");
        assert_eq!((told[0]["before_cents"].as_i64(), told[0]["after_cents"].as_i64()), (Some(4_400), Some(3_400)));
        // All of them: nothing is left to bill.
        let stop = Stop::default();
        let halt = |step: &str, _: usize, _: usize| if step == "cancelling" { stop.request() };
        let want = Wanted { progress: &halt, ..wanted(&town, &[number(3, 3)], RebillKind::Rebill, "two") };
        rebill(&town.context, &want, &stop).unwrap_err();
        town.reads(&["M3,2026-06-14,100"]);
        town.bill("2026-06-14");
        assert!(resume(&town.context, RebillId(2), None, &Stop::default()).expect("it ends").is_complete());
        let told = corrections(&town);
        let figures = (told[2]["before_cents"].as_i64(), told[2]["after_cents"].as_i64(), told[2]["balance_cents"].as_i64());
        assert_eq!(figures, (Some(12_750), Some(12_750), Some(42_500)), "the days of June on the same bill are no correction");
        assert_kept(&town);
    }

    fn what_is_further_back_than_is_charged_is_not_billed_anew(town: Town) {
        let town = billed_town(town);
        let policy = "title = \"T\"\neffective_on = 2026-01-01\n[back_billing]\ncitation = \"Code 12\"\ncharge_months = 0\n";
        store_policy(&town.context, "policy.toml", policy).expect("the policy is accepted");
        let dearer = TARIFF.replace("tier_prices: [2.00, 3.50]", "tier_prices: [3.00, 3.50]");
        import_tariff(&town.context, &town.file("right.owrs", &dearer), false, true).expect("the tariff is accepted");
        let before = dump(&town);
        let error = done(&town, &[number(3, 1)], RebillKind::Rebill, "one").unwrap_err().to_string();
        assert!(error.contains("Code 12") && error.contains("further back"), "{error}");
        assert_eq!(dump(&town), before);
    }

    fn by_hand_a_second_person_agrees_above_the_bound(town: Town) {
        let town = billed_town(town);
        above_fifteen_two_people(&town);
        put_right(&town);
        let [ana, sue] = ["ana@utility.example", "sue@utility.example"].map(|actor| Context { actor: actor.to_owned(), ..town.context.clone() });
        let one = |context: &Context, numbers: &[String], token: &str| {
            rebill(context, &wanted(&town, numbers, RebillKind::Rebill, token), &Stop::default()).map_err(|error| error.to_string())
        };
        one(&ana, &[number(3, 2)], "small").expect("6.00 less needs nobody else");
        let ledger = town.ledger_rows();
        // 20.00 less.
        let error = one(&ana, &[number(2, 1)], "two").unwrap_err();
        assert!(error.contains("waits for a second person as request 1"), "{error}");
        assert_eq!(town.ledger_rows(), ledger);
        let request = show(&sue, ApprovalId(1)).unwrap();
        decide(&sue, ApprovalId(1), Verdict::Approve, &Seen { sha256: request.sha256, position: None }, "").expect("she agrees");
        assert!(one(&ana, &[number(2, 1)], "two").expect("it is done").is_complete());
        assert_eq!(town.balance("A1"), "119.00");
        assert_kept(&town);
    }

    fn what_is_charged_more_needs_a_second_person_as_a_charge_by_hand_does(town: Town) {
        let town = billed_town(town);
        // The policy says nothing of charges: what it says of credits holds.
        above_fifteen_two_people(&town);
        let dearer = TARIFF.replace("tier_prices: [2.00, 3.50]", "tier_prices: [3.00, 3.50]");
        import_tariff(&town.context, &town.file("right.owrs", &dearer), false, true).expect("the tariff is accepted");
        let ana = Context { actor: "ana@utility.example".to_owned(), ..town.context.clone() };
        let one = |numbers: &[String], token: &str| {
            rebill(&ana, &wanted(&town, numbers, RebillKind::Rebill, token), &Stop::default()).map_err(|error| error.to_string())
        };
        one(&[number(3, 2)], "small").expect("6.00 more needs nobody else");
        let ledger = town.ledger_rows();
        let error = one(&[number(2, 1)], "two").unwrap_err();
        assert!(error.contains("an account is charged 20.00, more than 15.00 (Board 7)"), "{error}");
        assert_eq!(town.ledger_rows(), ledger);
        assert_kept(&town);
    }

    fn who_loses_a_bill_to_a_rollback_is_told_once(town: Town) {
        let town = billed_town(town);
        roll_back_run(&town.context, RunId(3), "the wrong rate", |_, _| {}).expect("it is rolled back");
        let told = corrections(&town);
        assert_eq!(told.len(), 3, "{told:?}");
        assert_eq!((told[0]["cancelled"][0].as_str(), told[0]["before_cents"].as_i64()), (Some(number(3, 1).as_str()), Some(4_400)));
        put_right(&town);
        town.bill("2026-06-01");
        assert_eq!((town.balance("A1"), town.balance("A2")), ("129.00".to_owned(), "54.00".to_owned()));
        assert_eq!(corrections(&town).len(), 3);
        assert_kept(&town);
    }
}
