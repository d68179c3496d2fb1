//! What the drill must show, each looked up in the databases and not in what the verbs said of themselves.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Affected, Drill, GATE, Incident, LIMIT_MS, Mended, seconds};
use crate::actions::ActionError;
use crate::actions::check_ledger::check_ledger;
use crate::actions::overcharges::scan::ScanReport;
use crate::actions::policy::load_policies;
use crate::actions::verify_bills::verify_bills;
use crate::db::drill::{self as rows, CorrectionMail, GlSum, Standing};
use crate::domain::money::Money;
use crate::domain::notices::Facts;

/// Something that had to be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What.
    pub what: String,
    /// Whether it was.
    pub passed: bool,
    /// In figures.
    pub detail: String,
}

fn check(what: &str, passed: bool, detail: String) -> Check {
    Check { what: what.to_owned(), passed, detail }
}

/// Looks at everything that had to be shown.
pub(super) fn all(
    drill: &Drill<'_>,
    before: &ScanReport,
    incident: &Incident,
    mended: &Mended,
    affected: &[Affected],
) -> Result<Vec<Check>, ActionError> {
    let mut checks = vec![held(incident)];
    checks.extend(found(before, incident, mended, affected));
    checks.extend(balances(drill, affected)?);
    checks.extend(mails(drill, affected)?);
    let (was, is) = (before.open.findings, mended.again.open.findings);
    checks.push(check("Nothing of it is found any more", is == was, format!("{is} open findings, {was} before the incident")));
    checks.push(sound(drill)?);
    let limit = load_policies(&drill.town.context)?.on(drill.town.context.today()).credits.approval_above;
    let largest = Money::from_cents(mended.report.largest_credit_cents);
    let told = format!("the largest credit of one account is {largest}, a second person is asked above {limit}");
    checks.push(check("Nobody gave alone what needs a second person", largest <= limit, told));
    let limit = LIMIT_MS / 1_000;
    let took = format!("{}, limit {limit} s", seconds(mended.took_ms));
    checks.push(check("From the finding to the last e-mail in the outbox in time", mended.took_ms <= LIMIT_MS, took));
    Ok(checks)
}

fn held(incident: &Incident) -> Check {
    let gate = incident.gates.iter().find(|gate| gate.gate == GATE);
    let failed = gate.is_some_and(|gate| !gate.passed) && !incident.refusal.is_empty();
    let detail = gate.map_or_else(|| "the gate did not look".to_owned(), |gate| format!("{}: {}", gate.gate, gate.detail));
    check("The gates held the run, and nothing was issued", failed, detail)
}

/// Exactly those are found whose bill asked for too much, and that are those whose payment was hidden.
fn found(before: &ScanReport, incident: &Incident, mended: &Mended, affected: &[Affected]) -> Vec<Check> {
    let hidden = incident.payments.iter().filter(|payment| payment.hidden && incident.asked.contains_key(&payment.account));
    let hidden: BTreeSet<&str> = hidden.map(|payment| payment.account.as_str()).collect();
    let wrong: BTreeSet<&str> = affected.iter().map(|row| row.account.as_str()).collect();
    let found: BTreeSet<&str> = mended.found.iter().map(String::as_str).collect();
    let missed = wrong.difference(&found).count();
    let strangers = found.difference(&wrong).count();
    let new_cents = mended.scan.open.asked_cents - before.open.asked_cents;
    let asked: i64 = affected.iter().map(|row| row.asked_cents - row.right_cents).sum();
    vec![
        check("The wrong bills are those whose payments were hidden", hidden == wrong && !wrong.is_empty(), format!("{} accounts", wrong.len())),
        check("Nobody is missed", missed == 0, format!("{missed} of {} wrong bills were not found", wrong.len())),
        check("Nobody else is found", strangers == 0, format!("{strangers} accounts were found without a wrong bill")),
        check(
            "The case comes to the exact sum",
            new_cents == asked,
            format!("{new_cents} cents asked for too much by the sweep, {asked} by the twin"),
        ),
    ]
}

/// Account by account beside the twin.
fn balances(drill: &Drill<'_>, affected: &[Affected]) -> Result<Vec<Check>, ActionError> {
    let (ours, theirs) = (drill.town.standings()?, drill.twin.standings()?);
    let of = |rows: &[Standing]| -> BTreeMap<String, i64> { rows.iter().map(|row| (row.number.clone(), row.balance_cents)).collect() };
    let (balances, twin) = (of(&ours), of(&theirs));
    let other = differences(&balances, &twin);
    let [gl, twin_gl] = [&drill.town, &drill.twin].map(|world| world.context.database.read(rows::gl_sums));
    let (gl, twin_gl): (Vec<GlSum>, Vec<GlSum>) = (gl?, twin_gl?);
    let wrong: BTreeSet<&str> = affected.iter().map(|row| row.account.as_str()).collect();
    let twin_of: BTreeMap<&str, &Standing> = theirs.iter().map(|row| (row.number.as_str(), row)).collect();
    let touched = ours.iter().filter(|row| {
        let twin = twin_of.get(row.number.as_str());
        let reversals = row.reversals - twin.map_or(0, |twin| twin.reversals);
        let adjustments = row.adjustments - twin.map_or(0, |twin| twin.adjustments);
        adjustments != 0 || reversals != i64::from(wrong.contains(row.number.as_str()))
    });
    let touched = touched.count();
    Ok(vec![
        check("Every balance is the undisturbed twin's, to the cent", other == 0, format!("{} accounts, {other} differ", balances.len())),
        check(
            "So is what was earned, taxed and received, account by account",
            gl == twin_gl,
            format!("{} sums, {} of the twin", gl.len(), twin_gl.len()),
        ),
        check(
            "One bill of each affected account was taken back, and nobody else's ledger was touched",
            touched == 0,
            format!("{touched} accounts have other reversals or credits"),
        ),
    ])
}

fn differences(a: &BTreeMap<String, i64>, b: &BTreeMap<String, i64>) -> usize {
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    names.into_iter().filter(|name| a.get(*name) != b.get(*name)).count()
}

/// Each affected customer with an address gets one e-mail, with the exact cents; nobody else gets any.
fn mails(drill: &Drill<'_>, affected: &[Affected]) -> Result<Vec<Check>, ActionError> {
    let mails = drill.town.context.database.read(rows::correction_mails)?;
    let mut by_account: BTreeMap<&str, Vec<&CorrectionMail>> = BTreeMap::new();
    for mail in &mails {
        by_account.entry(mail.number.as_str()).or_default().push(mail);
    }
    let wanted = reachable(drill, affected)?;
    let single = wanted.iter().filter(|row| by_account.get(row.account.as_str()).is_some_and(|mails| mails.len() == 1)).count();
    let names: BTreeSet<&str> = affected.iter().map(|row| row.account.as_str()).collect();
    let strangers = by_account.keys().filter(|number| !names.contains(*number)).count();
    let exact =
        wanted.iter().filter(|row| by_account.get(row.account.as_str()).is_some_and(|mails| mails.iter().all(|mail| is_exact(mail, row)))).count();
    Ok(vec![
        check(
            "Each of them gets exactly one e-mail",
            single == wanted.len() && !wanted.is_empty(),
            format!("{single} of {} who have an address", wanted.len()),
        ),
        check("It says the exact cents", exact == wanted.len(), format!("{exact} of {}", wanted.len())),
        check("Nobody else gets one", strangers == 0, format!("{strangers} others")),
    ])
}

/// Those affected who have an address.
fn reachable<'a>(drill: &Drill<'_>, affected: &'a [Affected]) -> Result<Vec<&'a Affected>, ActionError> {
    let addressed: BTreeSet<String> = drill.town.standings()?.into_iter().filter(|row| row.email.is_some()).map(|row| row.number).collect();
    Ok(affected.iter().filter(|row| addressed.contains(&row.account)).collect())
}

/// The e-mails that left.
pub(super) fn delivered(drill: &Drill<'_>, affected: &[Affected], count: usize) -> Result<Check, ActionError> {
    let wanted = reachable(drill, affected)?.len();
    Ok(check("As many e-mails left", count == wanted, format!("{count} of {wanted}")))
}

/// What was asked for, what is right, and not held back.
fn is_exact(mail: &CorrectionMail, row: &Affected) -> bool {
    let Ok(Facts::OverchargeCorrected(told)) = serde_json::from_str::<Facts>(&mail.facts) else { return false };
    told.asked && told.before_cents == row.asked_cents && told.after_cents == row.right_cents && mail.status != "suppressed"
}

fn sound(drill: &Drill<'_>) -> Result<Check, ActionError> {
    let ledger = check_ledger(&drill.town.context, &|_| {})?;
    let bills = verify_bills(&drill.town.context, &|_, _| {})?;
    let passed = ledger.faults == 0 && bills.differences == 0;
    let detail =
        format!("{} transactions with {} faults, {} bills with {} differences", ledger.transactions, ledger.faults, bills.bills, bills.differences);
    Ok(check("The ledger keeps its promises, and every bill can be made again", passed, detail))
}
