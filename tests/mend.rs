//! Cases of overcharges put right: recent bills are made anew, older charges get the exact difference with its tax, whoever was only
//! asked for too much is told; each finding once, one e-mail for each customer, and nothing is found afterwards. On both databases.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on must fail loudly")]

mod support;

use std::sync::atomic::Ordering;

use aquabills::actions::Context;
use aquabills::actions::approvals::{Outcome, Seen, Verdict, decide, show};
use aquabills::actions::bill_run::roll_back_run;
use aquabills::actions::correct_meter::{RegisterChange, correct_register};
use aquabills::actions::import::reads::import_reads;
use aquabills::actions::inbox::settle;
use aquabills::actions::overcharges::mend::{MendReport, Mending, foresee, mend};
use aquabills::actions::overcharges::queue::sweep_queue;
use aquabills::actions::overcharges::scan::scan_all;
use aquabills::actions::policy::store_policy;
use aquabills::actions::rebill::{RebillKind, Wanted, bills_named, rebill, resume};
use aquabills::actions::sign_in::{NewStaff, add_staff};
use aquabills::actions::stop::Stop;
use aquabills::actions::tariffs::import_tariff;
use aquabills::actions::undo::{Undo, undo};
use aquabills::domain::ids::{ApprovalId, CaseId, RebillId, RunId};
use aquabills::domain::money::Money;
use aquabills::domain::roles::Role;
use chrono::TimeDelta;
use diesel::result::Error as DieselError;
use support::http::Served;
use support::pages::{field, follow, open, says, send};
use support::plain_provider::{Event, Plain, begin, deliver};
use support::{QUIET, TARIFF, Town, dump, lines, on_both};

const TAXED: &str = "\
metadata:
  effective_date: 2020-01-01
  utility_name: Story town
  bill_frequency: monthly
  bill_unit: ccf
aquabills:
  tier_rule: boundary
  fees_and_taxes:
    - {name: City tax, kind: tax, percent: 7.5}
rate_structure:
  HOME:
    service_charge: 10.00
    tier_starts: [0, 10]
    tier_prices: [2.00, 3.50]
    commodity_charge: Tiered
    bill: service_charge+commodity_charge
";

fn query(town: &Town, sql: &str) -> Vec<String> {
    town.context.database.read(|conn| Ok::<_, DieselError>(lines(conn, sql))).expect("the query is right")
}

/// Two homes with e-mail addresses, billed for so many months up to June by this tariff.
fn billed_town(town: Town, tariff: &str, months: u32) -> Town {
    town.tariff(tariff).expect("the tariff is accepted");
    let rows = "A1,S1,HOME,M1,4,one@town.example\nA2,S2,HOME,M2,4,two@town.example";
    town.services(&format!("customer_id,service_id,rate_class,meter_id,register_digits,email\n{rows}\n")).expect("the services are read");
    let day = |month: u32| support::day("2026-06-01").checked_sub_months(chrono::Months::new(months - month)).expect("a day");
    town.reads(&[&format!("M1,{},0", day(0)), &format!("M2,{},0", day(0))]);
    for month in 1..=months {
        let on = day(month);
        town.reads(&[&format!("M1,{on},{}", month * 14), &format!("M2,{on},{}", month * 6)]);
        town.bill(&on.to_string());
    }
    town
}

fn put_right(town: &Town, tariff: &str) {
    let right = tariff.replace("tier_prices: [2.00, 3.50]", "tier_prices: [1.50, 3.50]");
    import_tariff(&town.context, &town.file("right.owrs", &right), false, true).expect("the tariff is accepted");
}

fn wanted(case: i64) -> Mending<'static> {
    Mending { case: CaseId(case), override_gates: None, progress: &|_, _, _| {} }
}

fn mended(town: &Town, case: i64) -> MendReport {
    mend(&town.context, &wanted(case), &Stop::default()).expect("it is put right")
}

fn told(town: &Town) -> Vec<serde_json::Value> {
    let facts = query(town, "SELECT facts AS line FROM notice WHERE kind = 'overcharge_corrected' ORDER BY account_id, id");
    facts.iter().map(|facts| serde_json::from_str(facts).expect("facts are JSON")).collect()
}

fn figures(told: &serde_json::Value) -> (Option<i64>, Option<i64>, Option<i64>, Option<bool>) {
    (told["before_cents"].as_i64(), told["after_cents"].as_i64(), told["balance_cents"].as_i64(), told["asked"].as_bool())
}

/// Account 1's sixth bill, cancelled or billed anew.
fn rebilling(town: &Town, kind: RebillKind, token: &str) -> Wanted<'static> {
    let bills = bills_named(&town.context, &["00006-0000001".to_owned()]).expect("the bill is there");
    Wanted::new(bills, kind, "the rate", token)
}

/// The town as somebody acts in it.
fn by(town: &Town, who: &str) -> Context {
    Context { actor: who.to_owned(), ..town.context.clone() }
}

/// Two supervisors, and a policy that lets nobody give an account more than 10.00 alone.
fn two_supervisors(town: &Town) {
    let policy = "title = \"T\"\neffective_on = 2026-01-01\n[credits]\ncitation = \"Board 7\"\napproval_above = \"10.00\"\n\
        approval_total_above = \"10.00\"\napproval_days = 30\napprovers = [\"supervisor\"]\nrequest_days = 14\nlargest = \"40.00\"\n";
    store_policy(&town.context, "policy.toml", policy).expect("the policy is accepted");
    for (email, name) in [(SAM, "Sam Chief"), (SUE, "Sue Head")] {
        let new = NewStaff { email: email.to_owned(), name: name.to_owned(), role: Role::Supervisor, password: None, mail_link: false };
        add_staff(&town.context, &new).expect("staff is added");
    }
}

const SAM: &str = "sam@utility.example";
const SUE: &str = "sue@utility.example";

fn approve(town: &Town, who: &str, id: i64) -> Result<(), String> {
    let context = by(town, who);
    let request = show(&context, ApprovalId(id)).expect("the request is there");
    let seen = Seen { sha256: request.sha256, position: None };
    decide(&context, ApprovalId(id), Verdict::Approve, &seen, "").map(|_| ()).map_err(|error| error.to_string())
}

fn mend_as(town: &Town, who: &str, case: i64) -> Result<MendReport, String> {
    mend(&by(town, who), &wanted(case), &Stop::default()).map_err(|error| error.to_string())
}

const TAXES: &str = "SELECT account_id || ' ' || sum(p.amount_cents) AS line FROM posting p JOIN financial_transaction f ON f.id = p.transaction_id \
    WHERE p.gl_code = 'payable:taxes' GROUP BY account_id ORDER BY account_id";

/// Puts the tariff right by another price of the first tier.
fn reprice(town: &Town, price: &str) {
    let right = TAXED.replace("tier_prices: [2.00, 3.50]", &format!("tier_prices: [{price}, 3.50]"));
    import_tariff(&town.context, &town.file("right.owrs", &right), false, true).expect("the tariff is accepted");
}

/// Whether nothing is found any more, and everything is sound.
fn assert_right(town: &Town) {
    let again = scan_all(&town.context, &|_, _| {}).expect("it is looked at again");
    assert!(again.is_clean(), "{again:?}");
    town.assert_sound();
}

on_both! {
    fn recent_bills_are_made_anew(town: Town) {
        let town = billed_town(town, TAXED, 3);
        // 14 units: 10 + 20 + 14 = 44 and tax; 6 units: 10 + 12 = 22 and tax.
        assert_eq!((town.balance("A1"), town.balance("A2")), ("141.90".to_owned(), "70.95".to_owned()));
        town.pay("A1", "47.30", "R1");
        put_right(&town, TAXED);
        assert_eq!(scan_all(&town.context, &|_, _| {}).unwrap().open.accounts, 2);
        let before = dump(&town);
        let foreseen = foresee(&town.context, CaseId(1)).expect("it can be foreseen");
        assert_eq!((foreseen.rebilled, foreseen.credited, foreseen.left, foreseen.dry_run), (2, 0, 0, true));
        assert_eq!(dump(&town), before);
        let report = mended(&town, 1);
        assert!(report.is_complete() && report.rebilled == 2, "{report:?}");
        // 5.00 less a month for the one, 3.00 for the other, and their tax.
        assert_eq!((town.balance("A1"), town.balance("A2")), ("78.49".to_owned(), "61.29".to_owned()));
        let told = told(&town);
        assert_eq!(told.len(), 2);
        assert_eq!(figures(&told[0]), (Some(14_190), Some(12_579), Some(7_849), Some(false)));
        assert_eq!(told[0]["cause"], "A rate was recorded wrongly.");
        assert_eq!(told[0]["cancelled"].as_array().map(Vec::len), Some(3));
        let staff = query(&town, "SELECT kind || ' ' || status AS line FROM notice WHERE kind = 'run_incident'");
        assert_eq!(staff, Vec::<String>::new(), "nobody is named in mail.staff");
        assert_eq!(query(&town, "SELECT status || ' ' || settled_by AS line FROM overcharge_finding WHERE status <> 'settled'"), Vec::<String>::new());
        let ledger = town.ledger_rows();
        assert_eq!(mended(&town, 1), MendReport { dry_run: false, ..report });
        assert_eq!(town.ledger_rows(), ledger, "what is put right is put right once");
        assert_right(&town);
    }

    fn older_bills_get_the_exact_difference_with_its_tax(town: Town) {
        let town = billed_town(town, TAXED, 6);
        put_right(&town, TAXED);
        scan_all(&town.context, &|_, _| {}).unwrap();
        let report = mended(&town, 1);
        // 32.26 is not 6 × 5.00 × 1.075: each bill is priced whole.
        assert_eq!((report.rebilled, report.credited, report.is_complete()), (0, 2, true));
        let right: i64 = query(&town, "SELECT CAST(sum(should_cents - billed_cents) AS TEXT) AS line FROM overcharge_finding").remove(0).parse().unwrap();
        assert_eq!(report.credited_cents, right);
        assert_eq!(query(&town, "SELECT CAST(count(*) AS TEXT) AS line FROM bill WHERE status <> 'issued'"), ["0"]);
        let taxes = "SELECT CAST(sum(p.amount_cents) AS TEXT) AS line FROM posting p WHERE p.gl_code = 'payable:taxes'";
        let twin_taxes: i64 = 6 * (293 + 143);
        assert_eq!(query(&town, taxes), [(-twin_taxes).to_string()], "39.00 and 19.00 a month are taxed with 2.93 and 1.43");
        let told = told(&town);
        assert_eq!(told.len(), 2);
        assert_eq!((figures(&told[0]).0, figures(&told[0]).1), (Some(6 * 4_730), Some(6 * 4_193)));
        assert!(told[0]["bill_number"].is_null());
        mended(&town, 1);
        assert_right(&town);
    }

    fn the_policy_says_how_far_back(town: Town) {
        let town = billed_town(town, TAXED, 6);
        let policy = "title = \"T\"\neffective_on = 2026-01-01\n[back_billing]\ncitation = \"Code 12\"\ncredit_months = 2\ncharge_months = 0\n";
        store_policy(&town.context, "policy.toml", policy).expect("the policy is accepted");
        put_right(&town, TAXED);
        scan_all(&town.context, &|_, _| {}).unwrap();
        // It counts from the day on which it was found, however long it waits then.
        town.context.clock.set(town.context.clock.now().and_utc() + TimeDelta::days(40));
        let report = mended(&town, 1);
        assert_eq!((report.credited, report.is_complete()), (2, true), "{report:?}");
        // Since 15 April: 15 days of April's 30 or so, and all of May.
        let settled = query(&town, "SELECT from_on || ' ' || mended_cents AS line FROM overcharge_finding WHERE status = 'settled' AND account_id = 1 ORDER BY from_on");
        assert_eq!(settled.len(), 2, "{settled:?}");
        let dismissed = query(&town, "SELECT settled_by AS line FROM overcharge_finding WHERE status = 'dismissed' AND account_id = 1");
        assert_eq!(dismissed.len(), 5, "four months, and the days of April before the fifteenth");
        assert!(dismissed.iter().all(|by| by.starts_with("policy: ")), "{dismissed:?}");
        assert_right(&town);
    }

    fn a_supervisor_does_it_on_the_cases_page(town: Town) {
        let mut town = billed_town(town, TAXED, 2);
        put_right(&town, TAXED);
        scan_all(&town.context, &|_, _| {}).unwrap();
        let served = Served::new(&mut town);
        assert_eq!(served.staff(Role::Clerk).get("/staff/overcharges/1/mend").status, 403);
        let mut boss = served.staff(Role::Supervisor);
        let page = open(&mut boss, "/staff/overcharges/1/mend");
        says(&page, "2 accounts");
        let seen = field(&page, "seen");
        assert_eq!(send(&mut boss, &page, "/staff/overcharges/1/mend", &[("seen", &seen)]).status, 422);
        assert_eq!(send(&mut boss, &page, "/staff/overcharges/1/mend", &[("seen", "9"), ("sure", "yes")]).status, 422);
        for _ in 0..2 {
            let done = send(&mut boss, &page, "/staff/overcharges/1/mend", &[("seen", &seen), ("sure", "yes")]);
            says(&follow(&mut boss, &done), "Nothing is left to be done");
        }
        assert_eq!(told(&town).len(), 2);
        assert_right(&town);
    }

    fn whoever_was_asked_for_too_much_gets_a_right_bill(town: Town) {
        let mut town = billed_town(town, TAXED, 2);
        let plain = Plain::at(&mut town);
        town.configure(|config| config.mail.staff = vec!["boss@town.example".to_owned()]);
        begin(&town, "token 1", &[("A1", 4_730)]);
        deliver(&town, &Event::payment("evt_1", town.context.now().and_utc().timestamp(), "pi_1", "succeeded", 4_730).with("token", "token 1"));
        plain.mute.store(true, Ordering::SeqCst);
        // A clerk issues it although something waits.
        town.context.clock.set(town.context.clock.now().and_utc() + TimeDelta::days(20));
        town.reads(&["M1,2026-07-01,42", "M2,2026-07-01,18"]);
        let blind = Some(aquabills::actions::bill_run::Fault::HiddenPayments);
        town.try_bill("2026-07-01", false, blind).expect("it is priced");
        let error = town.try_bill("2026-07-01", true, blind).unwrap_err().to_string();
        assert!(error.contains("no unapplied payment: 1 payment still to be applied"), "{error}");
        aquabills::actions::bill_run::run_bills(
            &town.context,
            &aquabills::actions::bill_run::RunOptions {
                override_gates: Some("it is late".to_owned()),
                fault: blind,
                ..aquabills::actions::bill_run::RunOptions::approving_all(support::day("2026-07-01"), &|_, _, _| {})
            },
        )
        .expect("it is issued all the same");
        assert_eq!(town.balance("A1"), "141.90");
        // The customer pays what the bill asks for, and then the first payment is seen.
        town.context.clock.set(town.context.clock.now().and_utc() + TimeDelta::hours(2));
        town.pay("A1", "141.90", "R1");
        plain.mute.store(false, Ordering::SeqCst);
        settle(&town.context, true, &Stop::default()).expect("the inbox is settled");
        assert_eq!(town.balance("A1"), "-47.30");
        let report = scan_all(&town.context, &|_, _| {}).unwrap();
        assert_eq!((report.open.accounts, report.open.asked_cents), (1, 4_730));
        // That it also came too late for earlier bills, which could not know of it, is only worth knowing.
        let case = query(&town, "SELECT CAST(id AS TEXT) AS line FROM overcharge_case WHERE subject = 'run 3'").remove(0).parse().unwrap();
        let report = mended(&town, case);
        assert_eq!((report.rebilled, report.is_complete()), (1, true), "{report:?}");
        assert_eq!(town.balance("A1"), "-47.30", "the balance was right, and stays so");
        let told = told(&town);
        assert_eq!(told.len(), 1);
        assert_eq!(figures(&told[0]), (Some(14_190), Some(9_460), Some(-4_730), Some(true)));
        assert_eq!(told[0]["cause"], "A payment of yours had reached us and was not taken off.");
        assert_eq!(query(&town, "SELECT CAST(count(*) AS TEXT) AS line FROM notice WHERE kind = 'run_incident'"), ["2"], "found, and put right");
        assert_right(&town);
    }

    fn a_correction_that_nobody_has_looked_at_yet_is_looked_at_first(town: Town) {
        let town = billed_town(town, TAXED, 6);
        put_right(&town, TAXED);
        scan_all(&town.context, &|_, _| {}).unwrap();
        // It was right all along: that is imported, and not swept yet.
        reprice(&town, "2.00");
        let ledger = town.ledger_rows();
        let error = mend(&town.context, &wanted(1), &Stop::default()).unwrap_err().to_string();
        assert!(error.contains("case 1 is gone"), "{error}");
        assert_eq!((town.ledger_rows(), told(&town).len()), (ledger, 0), "nobody gets a credit on top of a right bill");
        assert_right(&town);
    }

    fn what_changes_while_it_is_put_right_is_left(town: Town) {
        let town = billed_town(town, TAXED, 6);
        // A third home is new: its one bill is made anew, and while that is issued somebody takes the correction back.
        town.services("customer_id,service_id,rate_class,meter_id,register_digits,email\nA3,S3,HOME,M3,4,three@town.example\n").expect("it is read");
        town.reads(&["M3,2026-05-01,0", "M3,2026-06-01,14"]);
        town.bill("2026-06-01");
        put_right(&town, TAXED);
        scan_all(&town.context, &|_, _| {}).unwrap();
        let done = std::sync::atomic::AtomicBool::new(false);
        let meddle = |step: &str, _: usize, _: usize| {
            if step == "issuing" && !done.swap(true, Ordering::SeqCst) {
                reprice(&town, "2.00");
            }
        };
        let report = mend(&town.context, &Mending { case: CaseId(1), override_gates: None, progress: &meddle }, &Stop::default()).expect("it goes on");
        assert!(done.load(Ordering::SeqCst));
        assert_eq!((report.rebilled, report.credited, report.left), (1, 0, 2), "{report:?}");
        assert!(report.first_left.iter().all(|left| left.reason.contains("changed")), "{report:?}");
        assert_eq!(query(&town, "SELECT reference AS line FROM adjustment"), Vec::<String>::new());
    }

    fn a_credit_that_is_taken_back_is_found_again(town: Town) {
        let town = billed_town(town, TAXED, 6);
        let before = query(&town, TAXES);
        put_right(&town, TAXED);
        scan_all(&town.context, &|_, _| {}).unwrap();
        mended(&town, 1);
        let right = query(&town, TAXES);
        for reference in query(&town, "SELECT reference AS line FROM adjustment WHERE account_id = 1 ORDER BY id") {
            let wish = Undo { account: "A1".to_owned(), reference: format!("undo {reference}"), of: reference, note: "by mistake".to_owned() };
            assert!(matches!(undo(&town.context, &wish).expect("it is taken back"), Outcome::Done(_)));
        }
        assert_eq!(query(&town, TAXES), [before[0].clone(), right[1].clone()], "tax is taken back as tax");
        assert_eq!(query(&town, "SELECT DISTINCT status AS line FROM overcharge_finding WHERE account_id = 1"), ["gone"]);
        sweep_queue(&town.context, &Stop::default()).expect("the queue is swept");
        let cases = query(&town, "SELECT CAST(id AS TEXT) AS line FROM overcharge_case WHERE status = 'open'");
        assert_eq!(cases.len(), 1, "{cases:?}");
        mended(&town, cases[0].parse().unwrap());
        assert_eq!(query(&town, TAXES), right);
        assert_right(&town);
    }

    fn a_second_correction_of_the_same_days_splits_its_tax(town: Town) {
        let town = billed_town(town, TAXED, 6);
        for (case, price) in [(1, "1.50"), (2, "1.13"), (3, "1.77")] {
            reprice(&town, price);
            scan_all(&town.context, &|_, _| {}).unwrap();
            let report = mended(&town, case);
            assert!(report.credited == 2 && report.is_complete(), "{report:?}");
        }
        let twin = billed_town(Town::sqlite(), &TAXED.replace("[2.00, 3.50]", "[1.77, 3.50]"), 6);
        assert_eq!(query(&town, TAXES), query(&twin, TAXES));
        assert_eq!((town.balance("A1"), town.balance("A2")), (twin.balance("A1"), twin.balance("A2")));
        assert_right(&town);
    }

    fn above_the_bound_a_second_person_agrees_to_just_these_amounts(town: Town) {
        let town = billed_town(town, TAXED, 2);
        two_supervisors(&town);
        reprice(&town, "1.00");
        scan_all(&town.context, &|_, _| {}).unwrap();
        let ledger = town.ledger_rows();
        assert!(foresee(&town.context, CaseId(1)).unwrap().second_person.unwrap().contains("more than 10.00 (Board 7)"));
        assert!(mend_as(&town, "nobody", 1).unwrap_err().contains("name one with --by"));
        for _ in 0..2 {
            let error = mend_as(&town, SAM, 1).unwrap_err();
            assert!(error.contains("waits for a second person as request 1"), "{error}");
        }
        assert_eq!(foresee(&town.context, CaseId(1)).unwrap().waits_for, Some(ApprovalId(1)));
        let asked = show(&by(&town, SUE), ApprovalId(1)).expect("the request is there");
        let shares: Vec<(&str, Money)> = asked.shares.iter().map(|share| (share.account.as_str(), share.amount)).collect();
        let gets = |account: &str| shares.iter().find(|(number, _)| *number == account).expect("it is told").1;
        assert_eq!((asked.case, shares.len(), gets("A1") + gets("A2")), (Some(CaseId(1)), 2, asked.amount));
        assert!(shares.is_sorted_by_key(|(_, amount)| *amount), "who gets most comes first: {shares:?}");
        assert!(approve(&town, SAM, 1).unwrap_err().contains("a second person must"));
        approve(&town, SUE, 1).expect("another one agrees");
        assert_eq!(town.ledger_rows(), ledger, "agreeing moves nothing yet");
        // Another correction makes it another amount: nobody has agreed to that one.
        reprice(&town, "0.90");
        sweep_queue(&town.context, &Stop::default()).unwrap();
        let case = query(&town, "SELECT CAST(max(id) AS TEXT) AS line FROM overcharge_case WHERE status = 'open'").remove(0).parse().unwrap();
        assert!(mend_as(&town, SAM, case).unwrap_err().contains("waits for a second person as request 2"));
        assert_eq!(town.ledger_rows(), ledger);
        approve(&town, SUE, 2).expect("another one agrees");
        let report = mend_as(&town, SUE, case).expect("whoever comes goes on");
        assert!(report.is_complete() && report.rebilled == 2, "{report:?}");
        assert_right(&town);
    }

    fn what_was_charged_too_little_needs_a_second_person_as_a_charge_by_hand_does(town: Town) {
        let town = billed_town(town, TAXED, 2);
        // The policy says nothing of charges: what it says of credits holds.
        two_supervisors(&town);
        reprice(&town, "3.00");
        scan_all(&town.context, &|_, _| {}).unwrap();
        let ledger = town.ledger_rows();
        let why = foresee(&town.context, CaseId(1)).unwrap().second_person.unwrap();
        assert_eq!(why, "an account is charged 21.50, more than 10.00 (Board 7)");
        assert!(mend_as(&town, SAM, 1).unwrap_err().contains("waits for a second person as request 1"));
        assert_eq!(town.ledger_rows(), ledger);
        approve(&town, SUE, 1).expect("another one agrees");
        let report = mend_as(&town, SAM, 1).expect("it goes on");
        assert!(report.is_complete() && report.rebilled == 2, "{report:?}");
        assert_right(&town);
    }

    fn nobody_gives_more_than_the_largest_credit(town: Town) {
        let town = billed_town(town, TAXED, 6);
        two_supervisors(&town);
        reprice(&town, "1.00");
        scan_all(&town.context, &|_, _| {}).unwrap();
        // 64.50 for the one, 38.70 for the other, whose sum is no account's.
        assert!(mend_as(&town, SAM, 1).unwrap_err().contains("request 1"));
        approve(&town, SUE, 1).expect("another one agrees");
        let report = mend_as(&town, SAM, 1).expect("it goes on");
        assert_eq!((report.credited, report.left), (1, 1), "{report:?}");
        assert!(report.first_left[0].reason.contains("the most that the policy lets anybody give"), "{report:?}");
    }

    fn the_page_tells_whose_word_it_waits_for(town: Town) {
        let mut town = billed_town(town, TAXED, 2);
        two_supervisors(&town);
        reprice(&town, "1.00");
        scan_all(&town.context, &|_, _| {}).unwrap();
        let served = Served::new(&mut town);
        let mut boss = served.staff(Role::Supervisor);
        let page = open(&mut boss, "/staff/overcharges/1/mend");
        says(&page, "A second person must agree");
        let seen = field(&page, "seen");
        let sent = send(&mut boss, &page, "/staff/overcharges/1/mend", &[("seen", &seen), ("sure", "yes")]);
        says(&follow(&mut boss, &sent), "/staff/approvals/1");
        let request = open(&mut boss, "/staff/approvals/1");
        for told in ["Who gets what", "href=\"/staff/overcharges/1\"", "href=\"/staff/accounts/A1\"", "href=\"/staff/accounts/A2\""] {
            says(&request, told);
        }
        approve(&town, SUE, 1).expect("another one agrees");
        let page = open(&mut boss, "/staff/overcharges/1/mend");
        let seen = field(&page, "seen");
        let sent = send(&mut boss, &page, "/staff/overcharges/1/mend", &[("seen", &seen), ("sure", "yes")]);
        says(&follow(&mut boss, &sent), "Nothing is left to be done");
        assert_right(&town);
    }

    fn what_an_estimate_has_wrong_is_left_to_the_read_that_settles_it(town: Town) {
        let town = billed_town(town, TARIFF, 6);
        let estimated = |on: &str, kind: &str, one: u32, two: u32| {
            let csv = format!("meter_id,read_on,reading,kind\nM1,{on},{one},{kind}\nM2,{on},{two},{kind}\n");
            assert_eq!(import_reads(&town.context, &town.file("kinds.csv", &csv), QUIET).expect("the reads are read").refused, 0);
        };
        estimated("2026-06-08", "estimated", 90, 38);
        town.bill("2026-06-08");
        let change = RegisterChange {
            meter: "M1".to_owned(),
            register: "1".to_owned(),
            multiplier_milli: Some(800),
            digits: None,
            unit: None,
            note: "it counts less".to_owned(),
        };
        correct_register(&town.context, &change).expect("it is put right");
        scan_all(&town.context, &|_, _| {}).unwrap();
        let report = mended(&town, 1);
        assert!(report.is_complete() && report.credited == 1, "{report:?}");
        let estimates = "SELECT status || ' ' || settled_by AS line FROM overcharge_finding WHERE to_on = '2026-06-08'";
        assert_eq!(query(&town, estimates), ["dismissed an estimate is part of it: the next real read puts it right"]);
        estimated("2026-06-14", "actual", 96, 40);
        town.bill("2026-06-14");
        // What the meter counted, at four fifths, once.
        let scan = scan_all(&town.context, &|_, _| {}).unwrap();
        assert!(scan.is_clean(), "{scan:?}");
        town.assert_sound();
    }

    fn what_a_credit_put_right_no_other_bill_puts_right_again(town: Town) {
        let town = billed_town(town, TARIFF, 6);
        // Somebody has begun to bill the last month anew, and was interrupted before anything was taken back.
        put_right(&town, TARIFF);
        let asked = rebilling(&town, RebillKind::Rebill, "one");
        let stop = Stop::default();
        stop.request();
        assert!(rebill(&town.context, &asked, &stop).is_err());
        scan_all(&town.context, &|_, _| {}).unwrap();
        let report = mended(&town, 1);
        assert_eq!((report.rebilled, report.credited, report.is_complete()), (0, 2, true));
        let ledger = town.ledger_rows();
        let resumed = resume(&town.context, RebillId(1), None, &Stop::default()).expect("it ends");
        assert_eq!((resumed.count("refused"), resumed.count("billed")), (1, 0), "{resumed:?}");
        let refused = |what: Result<(), String>| {
            let why = what.unwrap_err();
            assert!(why.contains("was put right by") && why.contains("beside the bills"), "{why}");
        };
        refused(rebill(&town.context, &rebilling(&town, RebillKind::Cancel, "two"), &Stop::default()).map(|_| ()).map_err(|error| error.to_string()));
        refused(roll_back_run(&town.context, RunId(6), "the wrong rate", |_, _| {}).map_err(|error| error.to_string()));
        assert_eq!(town.ledger_rows(), ledger);
        assert_right(&town);
    }

    fn what_two_agreed_to_one_alone_does_not_take_back(town: Town) {
        let town = billed_town(town, TARIFF, 6);
        two_supervisors(&town);
        put_right(&town, TARIFF);
        scan_all(&town.context, &|_, _| {}).unwrap();
        let waits = mend_as(&town, SAM, 1).unwrap_err();
        assert!(waits.contains("second person"), "{waits}");
        approve(&town, SUE, 1).expect("it is agreed to");
        assert!(mend_as(&town, SAM, 1).expect("it is put right").is_complete());
        let first = query(&town, "SELECT reference AS line FROM adjustment WHERE reference LIKE 'finding:%' ORDER BY id").remove(0);
        let account = query(&town, &format!("SELECT a.number AS line FROM adjustment d JOIN account a ON a.id = d.account_id WHERE d.reference = '{first}'"));
        let taking = Undo { account: account[0].clone(), of: first, reference: "U-1".to_owned(), note: "no".to_owned() };
        assert!(matches!(undo(&by(&town, SAM), &taking).expect("it is asked for"), Outcome::Waits(_)));
    }

    fn what_is_foreseen_is_what_is_done(town: Town) {
        town.tariff(TARIFF).expect("the tariff is accepted");
        let homes: Vec<String> = (1..=7).map(|number| format!("A{number},S{number},HOME,M{number},4")).collect();
        town.services(&format!("customer_id,service_id,rate_class,meter_id,register_digits\n{}\n", homes.join("\n"))).expect("the services are read");
        let policy = "title = \"T\"\neffective_on = 2026-01-01\n[back_billing]\ncitation = \"Code 12\"\ncredit_months = 4\ncharge_months = 2\n";
        store_policy(&town.context, "policy.toml", policy).expect("the policy is accepted");
        let first = support::day("2025-10-01");
        for month in 0..=8_u32 {
            let on = first.checked_add_months(chrono::Months::new(month)).expect("a day");
            let mut rows = Vec::new();
            let mut read = |meter: u32, units: u32, kind: &str| rows.push(format!("M{meter},{on},{units},{kind}"));
            // Recent; beyond what is put right; part of it; too little; recent and gone since.
            if month >= 6 {
                read(1, month * 8, "actual");
            }
            if month <= 2 {
                read(2, month * 8, "actual");
            }
            read(3, month * 8, "actual");
            read(4, month * 40, "actual");
            if (5..=7).contains(&month) {
                read(5, month * 8, "actual");
            }
            // Older ones and an estimate; beyond what is put right and an estimate.
            read(6, month * 8, if month == 8 { "estimated" } else { "actual" });
            if month <= 1 || month == 8 {
                read(7, month * 8, if month == 8 { "estimated" } else { "actual" });
            }
            let csv = format!("meter_id,read_on,reading,kind\n{}\n", rows.join("\n"));
            assert_eq!(import_reads(&town.context, &town.file("kinds.csv", &csv), QUIET).expect("the reads are read").refused, 0);
            if month == 2 {
                support::moves::leaves(&town, "A2", "S2", &on.to_string(), vec![]).expect("they leave");
            }
            if month == 7 {
                support::moves::leaves(&town, "A5", "S5", &on.to_string(), vec![]).expect("they leave");
            }
            town.bill(&on.to_string());
        }
        let right = TARIFF.replace("tier_prices: [2.00, 3.50]", "tier_prices: [1.50, 4.00]");
        import_tariff(&town.context, &town.file("right.owrs", &right), false, true).expect("the tariff is accepted");
        scan_all(&town.context, &|_, _| {}).unwrap();
        let figures = |report: &MendReport| {
            let accounts = (report.rebilled, report.credited, report.told, report.by_policy, report.left);
            (accounts, report.credited_cents, report.largest_credit_cents, report.first_left.clone())
        };
        let foreseen = foresee(&town.context, CaseId(1)).expect("it can be foreseen");
        assert_eq!(figures(&foreseen).0, (2, 3, 0, 2, 0), "{foreseen:?}");
        let balances = || (1..=7).map(|number| town.balance(&format!("A{number}")).parse::<aquabills::domain::money::Money>().unwrap().cents()).collect::<Vec<_>>();
        let before = balances();
        let done = mended(&town, 1);
        assert!(done.is_complete(), "{done:?}");
        assert_eq!(figures(&done), figures(&foreseen));
        let moved: Vec<i64> = balances().iter().zip(&before).map(|(after, before)| after - before).collect();
        assert_eq!(moved.iter().enumerate().filter(|(at, _)| [2, 3, 5].contains(at)).map(|(_, cents)| cents).sum::<i64>(), done.credited_cents);
        assert_eq!(moved.iter().map(|cents| -cents).max(), Some(done.largest_credit_cents), "{moved:?}");
        assert_eq!((moved[1], moved[6]), (0, 0), "nothing, as the policy says");
        assert_eq!(figures(&mended(&town, 1)), figures(&foreseen), "and said once more");
        assert_right(&town);
    }
}
