//! The drill: the first incident, on purpose, in a town that does not exist. A fault hides the latest payments of a quarter of the
//! accounts from settlement. It shows what stops that before anything is issued; and, forced past it, that everybody who was asked
//! for too much is found, gets a right bill and one e-mail, and that nobody else is touched. Beside the town lives its twin, to
//! which nothing happened: in the end both have the same balances, account by account, cent by cent.

mod check;
mod provider;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Instant;

use chrono::{Datelike, Months, NaiveDate};
use serde::Serialize;

use super::bill_run::{Fault, report as run_report};
use super::demo::TownOptions;
use super::overcharges::cases;
use super::overcharges::mend::{MendReport, Mending, mend};
use super::overcharges::scan::{ScanReport, scan_all};
use super::stop::Stop;
use super::{ActionError, Context};
use crate::db::billing;
use crate::db::customers;
use crate::db::drill::{self as rows, Asked};
use crate::domain::gates::GateResult;
use crate::domain::ids::{AccountId, CaseId, RunId};
use crate::domain::money::Money;
use crate::domain::overcharges::Cause;

pub use check::Check;
use world::{Coming, World};

/// From the finding to the last e-mail it may take so long.
pub const LIMIT_MS: u128 = 60_000;
/// The gate that must hold the run.
const GATE: &str = "no unapplied payment";
/// So many affected customers are shown.
const SHOWN: usize = 25;

/// What is asked of the drill.
pub struct DrillOptions<'a> {
    /// Accounts of the town.
    pub accounts: usize,
    /// Months of its history.
    pub months: u32,
    /// Told what is being done.
    pub progress: &'a dyn Fn(&str),
    /// Sends what is in the outbox, and counts the e-mails about corrections that left; none where nothing is sent.
    pub deliver: &'a dyn Fn(&Context) -> Result<Option<usize>, ActionError>,
}

/// A step of the drill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// When it happens in the town's own time.
    pub at: String,
    /// What happens.
    pub what: String,
    /// How long it took, in milliseconds.
    pub took_ms: u128,
}

/// A customer who was asked for too much.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Affected {
    /// The account's number.
    pub account: String,
    /// What the wrong bill asked for, in cents.
    pub asked_cents: i64,
    /// What is right, in cents.
    pub right_cents: i64,
    /// Whether the customer paid the wrong amount.
    pub paid_wrong: bool,
}

/// What the drill showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DrillReport {
    /// The utility.
    pub utility: String,
    /// Which database.
    pub database: &'static str,
    /// Accounts of the town.
    pub accounts: usize,
    /// Bills of the run.
    pub bills: i64,
    /// Payments that the fault hid, and their sum in cents.
    pub hidden_payments: usize,
    /// Their sum, in cents.
    pub hidden_cents: i64,
    /// Customers who were asked for too much.
    pub affected: usize,
    /// By how much in all, in cents.
    pub too_much_cents: i64,
    /// How many of them had paid the wrong amount by then.
    pub paid_wrong: usize,
    /// Draws of a wrong amount that were announced and taken back before their day.
    pub draws_withdrawn: usize,
    /// The run.
    pub run_id: RunId,
    /// What its gates said.
    pub gates: Vec<GateResult>,
    /// What the program answered to whoever wanted to issue it.
    pub refusal: String,
    /// What mending the case came to.
    pub mended: MendReport,
    /// What happened, and how long each step took.
    pub steps: Vec<Step>,
    /// From the finding to the last e-mail in the outbox, in milliseconds.
    pub finding_to_mail_ms: u128,
    /// E-mails about corrections that left; none where nothing was sent.
    pub delivered: Option<usize>,
    /// What had to be shown, and whether it was.
    pub checks: Vec<Check>,
    /// The first of the affected.
    pub first_affected: Vec<Affected>,
}

impl DrillReport {
    /// Whether everything that had to be shown was shown.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.checks.iter().all(|check| check.passed)
    }
}

/// How long something took, as every part of the report says it.
#[must_use]
pub fn seconds(ms: u128) -> String {
    format!("{}.{:03} s", ms / 1_000, ms % 1_000)
}

/// The days of the drill.
struct Days {
    /// The town has lived so far.
    history: NaiveDate,
    /// The latest payments come.
    payments: NaiveDate,
    /// Meters are read.
    reads: NaiveDate,
    /// The run.
    bills: NaiveDate,
    /// Customers act by their bills, and the fault is found.
    found: NaiveDate,
}

impl Days {
    /// All of them lie in the past.
    fn before(today: NaiveDate) -> Self {
        let this_month = today.with_day(1).unwrap_or(today);
        let day = |back: u32, day: u32| this_month.checked_sub_months(Months::new(back)).and_then(|month| month.with_day(day)).unwrap_or(today);
        Self { history: day(2, 28), payments: day(1, 5), reads: day(1, 15), bills: day(1, 18), found: day(1, 20) }
    }
}

/// Holds the drill in two empty databases: the town's, and its twin's.
///
/// # Errors
/// [`ActionError::Refused`] when a database holds something; those of the verbs. A promise that is not kept is no error but stands
/// in the report.
pub fn hold_drill(town: &Context, twin: &Context, folder: &Path, options: &DrillOptions<'_>) -> Result<DrillReport, ActionError> {
    for context in [town, twin] {
        let present = context.database.read(|conn| customers::accounts_after(conn, AccountId(0), 1))?;
        let runs = context.database.read(|conn| billing::latest_runs(conn, 1))?;
        if !present.is_empty() || !runs.is_empty() {
            return Err(ActionError::Refused("the database holds something already: a drill is held in an empty one, and nowhere else".to_owned()));
        }
    }
    let days = Days::before(town.today());
    let worlds = [("town", town), ("twin", twin)].map(|(name, context)| World::new(context, &folder.join(name), days.history));
    let [town, twin] = worlds;
    let mut drill = Drill { town, twin, days, options, steps: Vec::new() };
    drill.hold()
}

/// The drill while it is held.
struct Drill<'a> {
    town: World,
    twin: World,
    days: Days,
    options: &'a DrillOptions<'a>,
    steps: Vec<Step>,
}

/// What happened before anybody noticed.
struct Incident {
    run: RunId,
    gates: Vec<GateResult>,
    refusal: String,
    bills: i64,
    payments: Vec<Coming>,
    wrongly_paid: BTreeSet<String>,
    /// What the wrong bills asked for, by account.
    asked: BTreeMap<String, Asked>,
    /// What the twin's asked for.
    right: BTreeMap<String, Asked>,
    draws: usize,
}

/// What was found and put right.
struct Mended {
    found: BTreeSet<String>,
    scan: ScanReport,
    again: ScanReport,
    report: MendReport,
    took_ms: u128,
}

impl Drill<'_> {
    fn hold(&mut self) -> Result<DrillReport, ActionError> {
        let town = TownOptions { accounts: self.options.accounts, months: self.options.months };
        self.step("the town and its twin live their history", |drill| {
            drill.town.settle_in(town)?;
            drill.twin.settle_in(town)
        })?;
        let before = self.step("the town is looked at before anything is wrong", |drill| scan_all(&drill.town.context, &|_, _| {}))?;
        let incident = self.incident()?;
        let mended = self.mend(&incident)?;
        let affected = affected(&incident);
        let delivered = self.step("the e-mails leave", |drill| (drill.options.deliver)(&drill.town.context))?;
        let mut checks = check::all(self, &before, &incident, &mended, &affected)?;
        checks.extend(delivered.map(|count| check::delivered(self, &affected, count)).transpose()?);
        let report = self.report(incident, mended, affected, checks);
        Ok(DrillReport { delivered, ..report })
    }

    /// Does a step, and writes down what it took.
    fn step<T>(&mut self, what: &str, work: impl FnOnce(&Self) -> Result<T, ActionError>) -> Result<T, ActionError> {
        (self.options.progress)(what);
        let since = Instant::now();
        let done = work(self)?;
        let at = self.town.context.now().and_utc().with_timezone(&self.town.context.config.time_zone).format("%-d %B, %H:%M").to_string();
        self.steps.push(Step { at, what: what.to_owned(), took_ms: since.elapsed().as_millis() });
        Ok(done)
    }

    fn both_at(&self, on: NaiveDate, hour: u32) {
        self.town.at(on, hour);
        self.twin.at(on, hour);
    }

    /// The fault hides payments, the gates hold the run, and somebody forces it.
    fn incident(&mut self) -> Result<Incident, ActionError> {
        let payments = latest_payments(&self.town)?;
        let autopaid: Vec<AccountId> =
            self.town.standings()?.iter().enumerate().filter(|(at, _)| at % 9 == 2).map(|(_, row)| row.account_id).collect();
        self.town.give_mandates(&autopaid)?;
        self.both_at(self.days.payments, 10);
        self.town.hide(true);
        self.step("customers pay; the fault hides the payments of a quarter of them", |drill| {
            drill.town.receive(&payments)?;
            drill.twin.receive(&payments)
        })?;
        self.both_at(self.days.reads, 17);
        self.step("meters are read", |drill| {
            drill.town.read_meters(drill.days.reads)?;
            drill.twin.read_meters(drill.days.reads)
        })?;
        self.both_at(self.days.bills, 4);
        let twin_run = self.step("the twin's run passes its gates and is issued", |drill| drill.twin.bill(drill.days.reads, None, None))?;
        let fault = Some(Fault::HiddenPayments);
        let refusal = self.step("the town's run is priced, and its gates hold it", |drill| {
            Ok(match drill.town.bill(drill.days.reads, fault, None) {
                Ok(_) => String::new(),
                Err(ActionError::Refused(refusal)) => refusal,
                Err(error) => return Err(error),
            })
        })?;
        let (run, gates) = self.held_run()?;
        self.both_at(self.days.bills, 9);
        let issued =
            self.step("somebody issues it all the same, with a reason", |drill| drill.town.bill(drill.days.reads, fault, Some("the drill goes on")))?;
        let asked = by_account(self.town.context.database.read(|conn| rows::asked(conn, run))?);
        let right = match twin_run.run_id {
            Some(run) => by_account(self.twin.context.database.read(|conn| rows::asked(conn, run))?),
            None => BTreeMap::new(),
        };
        let mut incident =
            Incident { run, gates, refusal, bills: issued.totals.bills, payments, wrongly_paid: BTreeSet::new(), asked, right, draws: 0 };
        self.customers_act(&mut incident)?;
        Ok(incident)
    }

    fn held_run(&self) -> Result<(RunId, Vec<GateResult>), ActionError> {
        let context = &self.town.context;
        let run = context.database.read(|conn| billing::latest_runs(conn, 1))?.into_iter().next();
        let run = run.ok_or_else(|| ActionError::not_found("run", "of the drill"))?;
        Ok((run.id, run_report(context, &run)?.gates))
    }

    /// Some pay what their wrong bill asks for; autopay announced the same.
    fn customers_act(&mut self, incident: &mut Incident) -> Result<(), ActionError> {
        let wrong = affected(incident);
        let paying: Vec<Coming> = wrong
            .iter()
            .enumerate()
            .filter(|(at, row)| at % 5 == 0 && row.asked_cents > 0)
            .map(|(_, row)| Coming {
                account: row.account.clone(),
                amount: Money::from_cents(row.asked_cents),
                by_bank: false,
                hidden: false,
                round: "wrong",
            })
            .collect();
        incident.wrongly_paid = paying.iter().map(|payment| payment.account.clone()).collect();
        self.both_at(self.days.found, 9);
        self.step("some customers pay what their wrong bill asks for", |drill| {
            drill.town.receive(&paying)?;
            drill.twin.receive(&paying)
        })?;
        let run = incident.run;
        incident.draws = self.step("autopay looks for draws whose day has come", |drill| {
            drill.town.draw()?;
            let announced =
                drill.town.context.database.read(|conn| crate::db::autopay::announced_of_run(conn, run, AccountId(0), AccountId(i64::MAX)))?;
            let numbers: BTreeMap<AccountId, String> = drill.town.standings()?.into_iter().map(|row| (row.account_id, row.number)).collect();
            let wrong: BTreeSet<&str> = wrong.iter().map(|row| row.account.as_str()).collect();
            Ok(announced.iter().filter(|draw| numbers.get(&draw.account_id).is_some_and(|number| wrong.contains(number.as_str()))).count())
        })?;
        Ok(())
    }

    /// The fault is mended; who was asked for too much is found, gets a right bill, and is told.
    fn mend(&mut self, incident: &Incident) -> Result<Mended, ActionError> {
        self.both_at(self.days.found, 11);
        self.town.hide(false);
        self.step("the fault is mended: what waited is applied", |drill| drill.town.apply_what_waits())?;
        let since = Instant::now();
        let scan = self.step("the sweep derives every bill again", |drill| scan_all(&drill.town.context, &|_, _| {}))?;
        let case = self.case_of(incident.run)?;
        let found = self.town.context.database.read(|conn| rows::accounts_of_case(conn, case))?.into_iter().collect();
        let report = self.step("the case is put right: bills made anew, one e-mail for each customer", |drill| {
            mend(&drill.town.context, &Mending { case, override_gates: None, progress: &|_, _, _| {} }, &Stop::default())
        })?;
        let took_ms = since.elapsed().as_millis();
        let again = self.step("the town is looked at once more", |drill| scan_all(&drill.town.context, &|_, _| {}))?;
        Ok(Mended { found, scan, again, report, took_ms })
    }

    /// The case of payments that a run did not deduct.
    fn case_of(&self, run: RunId) -> Result<CaseId, ActionError> {
        let subject = format!("run {run}");
        let open = cases::list(&self.town.context, false, 0, 1_000)?;
        let case = open.into_iter().find(|case| case.row.cause == Cause::LatePayment.as_str() && case.row.subject == subject);
        case.map(|case| case.row.id)
            .ok_or_else(|| ActionError::Violated(format!("the sweep found no case of payments that run {run} did not deduct")))
    }

    fn report(&mut self, incident: Incident, mended: Mended, affected: Vec<Affected>, checks: Vec<Check>) -> DrillReport {
        let hidden: Vec<&Coming> = incident.payments.iter().filter(|payment| payment.hidden).collect();
        DrillReport {
            utility: self.town.context.config.utility_name.clone(),
            database: match self.town.context.database.backend() {
                crate::db::Backend::Sqlite => "SQLite",
                crate::db::Backend::Postgres => "PostgreSQL",
            },
            accounts: self.options.accounts,
            bills: incident.bills,
            hidden_payments: hidden.len(),
            hidden_cents: hidden.iter().map(|payment| payment.amount.cents()).sum(),
            affected: affected.len(),
            too_much_cents: affected.iter().map(|row| row.asked_cents - row.right_cents).sum(),
            paid_wrong: affected.iter().filter(|row| row.paid_wrong).count(),
            draws_withdrawn: incident.draws,
            run_id: incident.run,
            gates: incident.gates,
            refusal: incident.refusal,
            mended: mended.report,
            steps: std::mem::take(&mut self.steps),
            finding_to_mail_ms: mended.took_ms,
            delivered: None,
            checks,
            first_affected: affected.into_iter().take(SHOWN).collect(),
        }
    }
}

fn by_account(rows: Vec<Asked>) -> BTreeMap<String, Asked> {
    rows.into_iter().map(|row| (row.number.clone(), row)).collect()
}

/// Who was billed although a payment was hidden: by what the bills say, beside the twin's.
fn affected(incident: &Incident) -> Vec<Affected> {
    let differs = |(number, wrong): (&String, &Asked)| {
        let right = incident.right.get(number)?;
        (wrong.amount_due_cents != right.amount_due_cents).then(|| Affected {
            account: number.clone(),
            asked_cents: wrong.amount_due_cents,
            right_cents: right.amount_due_cents,
            paid_wrong: incident.wrongly_paid.contains(number),
        })
    };
    incident.asked.iter().filter_map(differs).collect()
}

/// The month's payments: most pay what they owe, some a half, some nothing; by the provider or by the bank. The fault hides those
/// of a quarter of all accounts.
fn latest_payments(town: &World) -> Result<Vec<Coming>, ActionError> {
    let mut payments = Vec::new();
    for (at, row) in town.standings()?.into_iter().enumerate() {
        let hidden = at % 4 == 1;
        // Whoever's payment is hidden pays: the quarter is a quarter.
        if row.balance_cents <= 0 || (!hidden && at % 10 == 7) {
            continue;
        }
        let cents = if at % 13 == 5 { (row.balance_cents + 1) / 2 } else { row.balance_cents };
        payments.push(Coming { account: row.number, amount: Money::from_cents(cents), by_bank: at % 3 == 0, hidden, round: "month" });
    }
    Ok(payments)
}
