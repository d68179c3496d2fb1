//! Overcharges: what was billed wrongly is found to the cent, with the right cause named; what is right is left alone.
//!
//! That nothing is found where nothing is wrong is also asked by every other story: `Town::assert_sound` looks for it.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on must fail loudly")]

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod estimates;
mod faults;
mod laws;
mod money;
mod nothing;
mod pages;
mod queue;
mod relief;

use aquabills::actions::adjust::Adjustment;
use aquabills::actions::bill_run::{RunOptions, RunReport, run_bills};
use aquabills::actions::change_terms::{TermChange, correct_terms};
use aquabills::actions::enter_read::{NewRead, ReadOutcome, correct_read};
use aquabills::actions::held::reject_billed_read;
use aquabills::actions::import::{reads, services};
use aquabills::actions::overcharges::cases::{self, CaseView, FindingView};
use aquabills::actions::overcharges::queue::sweep_queue;
use aquabills::actions::overcharges::scan::{ScanReport, scan_all};
use aquabills::actions::stop::Stop;
use aquabills::actions::tariffs::import_tariff;
use aquabills::domain::ids::FindingId;
use aquabills::domain::metering::ReadKind;
use aquabills::domain::money::Money;
use diesel::RunQueryDsl;
use support::{QUIET, Town, day};

/// The fee for a payment of account A1 that the bank returned, under the reference that the program itself uses.
fn returned_fee(town: &Town, payment_seq: i64) -> Adjustment {
    Adjustment {
        account: "A1".to_owned(),
        reason_code: "returned-payment-fee".to_owned(),
        amount: "25.00".parse().expect("an amount"),
        effective_on: town.context.today(),
        reference: format!("return-1-{payment_seq}"),
        note: "the bank said so".to_owned(),
    }
}

/// Derives every bill again.
fn scan(town: &Town) -> ScanReport {
    scan_all(&town.context, &|_, _| {}).expect("the bills are derived again")
}

/// What is open after looking at what corrections touched.
fn swept(town: &Town) -> ScanReport {
    sweep_queue(&town.context, &Stop::default()).expect("the queue is swept").expect("a correction queued somebody")
}

fn open_cases(town: &Town) -> Vec<CaseView> {
    cases::list(&town.context, false, 0, 1_000).expect("the cases are read")
}

fn findings(town: &Town, case: &CaseView) -> Vec<FindingView> {
    cases::show(&town.context, case.row.id, FindingId(0), 1_000).expect("the case is read").1
}

/// Account, days and difference of each finding of a case.
fn told(town: &Town, case: &CaseView) -> Vec<(String, String, String, String)> {
    let row = |view: &FindingView| {
        let row = &view.row;
        (row.account.clone(), row.from_on.to_string(), row.to_on.to_string(), Money::from_cents(row.difference_cents).to_string())
    };
    findings(town, case).iter().map(row).collect()
}

/// The one case that there is: cause and subject.
fn only_case(town: &Town) -> CaseView {
    let cases = open_cases(town);
    assert_eq!(cases.len(), 1, "{cases:#?}");
    cases.into_iter().next().expect("a case")
}

fn named(case: &CaseView) -> (&str, &str) {
    (&case.row.cause, &case.row.subject)
}

fn finding(account: &str, from: &str, to: &str, difference: &str) -> (String, String, String, String) {
    (account.to_owned(), from.to_owned(), to.to_owned(), difference.to_owned())
}

fn set_aside(town: &Town, meter: &str, on: &str) {
    reject_billed_read(&town.context, meter, "1", day(on), "it was wrong").expect("the read is set aside");
}

fn corrected(town: &Town, meter: &str, on: &str, units: i64) {
    let read = NewRead { meter: meter.to_owned(), register: "1".to_owned(), read_on: day(on), reading_milli: units * 1000, kind: ReadKind::Actual };
    assert_eq!(correct_read(&town.context, &read, "read again").expect("the read is taken in"), ReadOutcome::Accepted);
}

fn terms(service: &str, from: &str, class: Option<&str>, attributes: &[(&str, &str)]) -> TermChange {
    TermChange {
        service: service.to_owned(),
        effective_on: day(from),
        rate_class: class.map(str::to_owned),
        attributes: attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        note: "it was wrong".to_owned(),
    }
}

fn put_right(town: &Town, change: &TermChange) {
    assert!(!correct_terms(&town.context, change).expect("the terms are put right").unchanged);
}

/// Imports another text of a version.
fn supersede(town: &Town, text: &str) {
    let report = import_tariff(&town.context, &town.file("again.owrs", text), false, true).expect("the tariff is accepted");
    assert_eq!(report.accepted, 1);
}

fn bill_account(town: &Town, account: &str, through: &str) -> RunReport {
    let options = RunOptions { cycle: format!("account:{account}"), ..RunOptions::approving_all(day(through), &|_, _, _| {}) };
    run_bills(&town.context, &options).expect("the run goes through")
}

/// Statements past all of our code.
fn sql(town: &Town, statements: &[&str]) {
    let outcome = town.context.database.write(|conn| {
        for statement in statements {
            diesel::sql_query(*statement).execute(conn)?;
        }
        Ok::<_, diesel::result::Error>(())
    });
    outcome.expect("the statements are right");
}
