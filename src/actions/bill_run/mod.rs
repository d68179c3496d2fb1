//! Bill runs: from reads to issued bills, in chunks that are committed whole.
//!
//! A run goes `pricing → review (or gates_failed) → issuing → issued`, and from there, if it was wrong,
//! `rolling_back → rolled_back`; before it is issued it can be discarded. Each step works chunk by chunk, and each
//! chunk is one transaction that also moves the chunk's state, so a run can be killed anywhere and goes on where
//! it stopped. Nothing is posted before the gates have judged the whole run.

mod foresee;
mod issue;
mod price;
mod price_data;
mod undo;
mod workers;

use chrono::{Days, NaiveDate, NaiveDateTime};
use serde::Serialize;

use super::lease::Lease;
use super::stop::Stop;
use super::tariffs::load_book;
use super::{ActionError, Context, inbox, notices, rebill};
use crate::db::billing::{self, ChunkRow, NewRun, RunRow};
use crate::db::inbox as stored;
use crate::db::operations::{self, NewToDo};
use crate::domain::billing::{ENGINE_VERSION, TariffBook};
use crate::domain::gates::{GateResult, RunTotals, judge, judge_anew};
use crate::domain::ids::{AccountId, RunId};
use crate::domain::money::Money;
use crate::domain::notices::{Addressee, Facts, NewNotice, RunHeld};

pub(super) use foresee::foresee_within;
pub(super) use price::Anew;
pub use undo::{discard_run, roll_back_run};

/// The lease that a runner holds.
const LEASE: &str = "bill_run";

/// What a run is told.
#[derive(Clone)]
pub struct RunOptions<'a> {
    /// The cycle, or `all`.
    pub cycle: String,
    /// Reads up to and including this day are billed.
    pub through: NaiveDate,
    /// Prices and judges, writes nothing.
    pub dry_run: bool,
    /// Issues the run when its gates pass.
    pub approve: bool,
    /// Issues it although a gate failed, with the reason that a person gives.
    pub override_gates: Option<String>,
    /// Told how far a step is: its name, chunks done, chunks in all.
    pub progress: &'a (dyn Fn(&str, usize, usize) + Sync),
    /// A fault to be planted; only tests plant any.
    #[doc(hidden)]
    pub fault: Option<Fault>,
}

impl<'a> RunOptions<'a> {
    /// Every cycle through a day, issued when its gates pass.
    #[must_use]
    pub fn approving_all(through: NaiveDate, progress: &'a (dyn Fn(&str, usize, usize) + Sync)) -> Self {
        Self { cycle: "all".to_owned(), through, dry_run: false, approve: true, override_gates: None, progress, fault: None }
    }
}

/// Faults that tests and the drill plant to show that they would be caught. No setting and no command reaches them.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The settlement is read before the transaction that posts the bill.
    SettlementBeforeTransaction,
    /// Pricing does not see that payments wait which were received and not applied: their accounts are billed all the same.
    HiddenPayments,
}

/// What a run did, or would do.
#[derive(Debug, Clone, Serialize)]
pub struct RunReport {
    /// The run; none for a dry run.
    pub run_id: Option<RunId>,
    /// Where it stands.
    pub status: String,
    /// What it counted: P6 holds when billed + held + excluded = due.
    #[serde(flatten)]
    pub totals: RunTotals,
    /// What the gates said.
    pub gates: Vec<GateResult>,
    /// Of a dry run: why the first of those that it held are held.
    #[serde(skip)]
    pub held_because: Vec<String>,
}

/// So many reasons of a dry run are told.
const TOLD: usize = 20;

impl RunReport {
    /// Whether every gate let the run pass.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.gates.iter().all(|gate| gate.passed)
    }
}

/// Runs a cycle through a day, or goes on with the unfinished run of that cycle and day.
///
/// # Errors
/// [`ActionError::Busy`] when another runner is at work, [`ActionError::Refused`] when another run of the cycle is unfinished,
/// or when the gates failed and the run was to be approved.
pub fn run_bills(context: &Context, options: &RunOptions<'_>) -> Result<RunReport, ActionError> {
    run_bills_until(context, options, &Stop::default())
}

/// The same, but stops after the chunk at work when it is asked to; the next start goes on from there.
///
/// # Errors
/// Those of [`run_bills`], and [`ActionError::Stopped`].
pub fn run_bills_until(context: &Context, options: &RunOptions<'_>, stop: &Stop) -> Result<RunReport, ActionError> {
    if options.through > context.today() {
        return Err(ActionError::Refused(format!("--through {} is in the future: expected a day up to {}", options.through, context.today())));
    }
    let book = load_book(context)?;
    if options.dry_run {
        return dry_run(context, options, &book);
    }
    let lease = Lease::take(context, LEASE)?.until(stop);
    // Payments first: what was received is applied before anything is priced or issued.
    inbox::settle(context, true, &Stop::default())?;
    settle_interrupted(context, &lease, options)?;
    let run = find_or_start(context, options)?;
    work(context, &lease, run, &book, options)
}

/// Goes on with this run and with no other: whoever approves a run has seen that one. The cycle and the day are the run's
/// own, whatever the options say. A run that is issued already is reported as it is.
///
/// # Errors
/// As [`run_bills_until`], and [`ActionError::Refused`] when the run was discarded or taken back meanwhile.
pub fn continue_run(context: &Context, id: RunId, options: &RunOptions<'_>, stop: &Stop) -> Result<RunReport, ActionError> {
    let book = load_book(context)?;
    let lease = Lease::take(context, LEASE)?.until(stop);
    let run = reload(context, id)?;
    let options = RunOptions { cycle: run.cycle.clone(), through: run.through_on, dry_run: false, ..options.clone() };
    match run.status.as_str() {
        "issued" => return report(context, &run),
        "discarded" | "rolling_back" | "rolled_back" => {
            return Err(ActionError::Refused(format!("run {id} is {}: there is nothing to go on with", run.status)));
        }
        _ => {}
    }
    inbox::settle(context, true, &Stop::default())?;
    settle_interrupted(context, &lease, &options)?;
    work(context, &lease, run, &book, &options)
}

/// Takes a run as far as the options say.
fn work(context: &Context, lease: &Lease, mut run: RunRow, book: &TariffBook, options: &RunOptions<'_>) -> Result<RunReport, ActionError> {
    if run.status == "pricing" {
        price_all(context, lease, &run, book, options)?;
        run = reload(context, run.id)?;
    }
    if options.approve && (run.status == "review" || run.status == "gates_failed") {
        inbox::settle(context, false, &Stop::default())?;
        approve(context, &run, options)?;
        run = reload(context, run.id)?;
    }
    if run.status == "issuing" {
        issue_all(context, lease, &run, options)?;
        run = reload(context, run.id)?;
    }
    report(context, &run)
}

/// Starts a run, or finds the unfinished one of this cycle and day, and leaves the work to [`run_bills`]: for a page that
/// goes on to show the run while somebody works on it.
///
/// # Errors
/// As [`run_bills`]; other runs that stand in the way are named, not settled.
pub fn start_run(context: &Context, cycle: &str, through: NaiveDate) -> Result<RunId, ActionError> {
    if through > context.today() {
        return Err(ActionError::Refused(format!("through: {through} is in the future: expected a day up to {}", context.today())));
    }
    let _lease = Lease::take(context, LEASE)?;
    let options = RunOptions { cycle: cycle.to_owned(), approve: false, ..RunOptions::approving_all(through, &|_, _, _| {}) };
    find_or_start(context, &options).map(|run| run.id)
}

fn reload(context: &Context, id: RunId) -> Result<RunRow, ActionError> {
    context.database.read(|conn| billing::run(conn, id))?.ok_or_else(|| ActionError::not_found("run", id.to_string()))
}

/// What a run did so far.
///
/// # Errors
/// Those of the database.
pub fn report(context: &Context, run: &RunRow) -> Result<RunReport, ActionError> {
    let totals = context.database.read(|conn| billing::run_totals(conn, run.id))?;
    let gates = if run.gates.is_empty() { Vec::new() } else { parse_gates(&run.gates)? };
    Ok(RunReport { run_id: Some(run.id), status: run.status.clone(), totals, gates, held_because: Vec::new() })
}

fn parse_gates(text: &str) -> Result<Vec<GateResult>, ActionError> {
    serde_json::from_str(text).map_err(|error| ActionError::Form(format!("the stored gates cannot be read: {error}")))
}

/// What a kill left behind of other runs that stand in this one's way: one that was approved is issued to its end, one
/// that was not priced to its end is discarded. A run that waits for a person keeps waiting. So a nightly command goes
/// on by itself after a power cut.
fn settle_interrupted(context: &Context, lease: &Lease, options: &RunOptions<'_>) -> Result<(), ActionError> {
    for run in context.database.read(billing::unfinished_runs)? {
        let other = run.cycle != options.cycle || run.through_on != options.through;
        let in_the_way = run.cycle == options.cycle || run.cycle == "all" || options.cycle == "all";
        if !other || !in_the_way {
            continue;
        }
        match run.status.as_str() {
            "issuing" => {
                log::warn!("run {} through {} was interrupted: it is issued to its end first", run.id, run.through_on);
                issue_all(context, lease, &run, options)?;
            }
            "pricing" => {
                log::warn!("run {} through {} was interrupted before it was priced: it is discarded", run.id, run.through_on);
                undo::discard_held(context, run.id)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// The unfinished run of this cycle and day, or a new one with its chunks.
fn find_or_start(context: &Context, options: &RunOptions<'_>) -> Result<RunRow, ActionError> {
    let now = context.now();
    let today = context.today();
    context.database.write(|conn| {
        for run in billing::unfinished_runs(conn)? {
            let same = run.cycle == options.cycle && run.through_on == options.through;
            if same && run.status != "rolling_back" {
                return Ok(run);
            }
            if run.cycle == options.cycle || run.cycle == "all" || options.cycle == "all" {
                return Err(ActionError::Refused(format!(
                    "run {} of cycle {} through {} is unfinished ({}): finish it, or discard it with `aquabills runs discard {}`",
                    run.id, run.cycle, run.through_on, run.status, run.id
                )));
            }
        }
        let row = NewRun {
            cycle: options.cycle.clone(),
            through_on: options.through,
            status: "pricing".to_owned(),
            engine_version: ENGINE_VERSION.to_owned(),
            started_at: now,
            bill_on: today,
            due_on: due_date(context, today),
            gates: String::new(),
        };
        let id = billing::insert_run(conn, &row)?;
        let chunks = cut_chunks(conn, context, options, id)?;
        if chunks.is_empty() && options.cycle != "all" {
            return Err(ActionError::not_found("cycle", &options.cycle));
        }
        billing::insert_chunks(conn, &chunks)?;
        operations::audit(conn, now, &context.actor, "run.start", &id.to_string(), &format!("{} through {}", options.cycle, options.through))?;
        billing::run(conn, id)?.ok_or_else(|| ActionError::not_found("run", id.to_string()))
    })
}

fn cut_chunks(conn: &mut crate::db::DbConnection, context: &Context, options: &RunOptions<'_>, run: RunId) -> Result<Vec<ChunkRow>, ActionError> {
    let size = context.config.runs.chunk_accounts;
    let limit = i64::try_from(size).unwrap_or(1000);
    let mut chunks = Vec::new();
    let mut after = AccountId(0);
    loop {
        let accounts = billing::accounts_in_cycle(conn, &options.cycle, after, limit)?;
        let (Some(first), Some(last)) = (accounts.first(), accounts.last()) else { return Ok(chunks) };
        let number = i32::try_from(chunks.len() + 1).unwrap_or(i32::MAX);
        chunks.push(ChunkRow::open(run, number, *first, *last));
        after = *last;
    }
}

/// Holds the run in a status until the transaction ends: a chunk is never committed into a run that was discarded, issued
/// or rolled back by another runner meanwhile.
fn still(conn: &mut crate::db::DbConnection, run: RunId, status: &str) -> Result<(), ActionError> {
    if billing::lock_run(conn, run, false)?.as_deref() == Some(status) { Ok(()) } else { Err(ActionError::LeaseLost(LEASE.to_owned())) }
}

fn chunks_in(context: &Context, run: RunId, state: &str) -> Result<Vec<ChunkRow>, ActionError> {
    let chunks = context.database.read(|conn| billing::chunks(conn, run))?;
    Ok(chunks.into_iter().filter(|chunk| chunk.state == state).collect())
}

fn price_all(context: &Context, lease: &Lease, run: &RunRow, book: &TariffBook, options: &RunOptions<'_>) -> Result<(), ActionError> {
    let chunks = chunks_in(context, run.id, "open")?;
    workers::each(
        "pricing",
        context,
        Some(lease),
        &chunks,
        |done, all| (options.progress)("pricing", done, all),
        |chunk| price::price_chunk(context, run, chunk, book, options.fault),
    )?;
    let now = context.now();
    context.database.write(|conn| {
        let mut totals = billing::run_totals(conn, run.id)?;
        // Whom a chunk holds is one thing; that nobody is billed for whom something waits is looked at once more, apart from it.
        totals.unapplied += stored::waiting_in_run(conn, run.id, run.started_at)?;
        let due = billing::agreements_due(conn, &run.cycle, run.through_on, AccountId(0), AccountId(i64::MAX))?;
        let gates = match billing::rebill_of(&run.cycle) {
            Some(id) => judge_anew(&context.config.gates, &totals, due, &rebill::billed_before(conn, id, run.id)?),
            None => judge(&context.config.gates, &totals, due, billing::comparable_run(conn, &run.cycle, run.through_on)?),
        };
        let passed = gates.iter().all(|gate| gate.passed);
        let status = if passed { "review" } else { "gates_failed" };
        billing::set_gates(conn, run.id, &serde_json::to_string(&gates).map_err(|error| ActionError::Form(error.to_string()))?)?;
        if !billing::set_status(conn, run.id, "pricing", status)? {
            return Err(ActionError::LeaseLost(LEASE.to_owned()));
        }
        operations::audit(conn, now, &context.actor, "run.priced", &run.id.to_string(), status)?;
        if !passed {
            notices::queue(conn, context, held(context, run, &totals, &gates))?;
        }
        Ok(())
    })
}

/// The notice to staff of a run whose gates failed.
fn held(context: &Context, run: &RunRow, totals: &RunTotals, gates: &[GateResult]) -> NewNotice {
    let failed = gates.iter().filter(|gate| !gate.passed);
    NewNotice {
        key: format!("run_held:{}", run.id),
        to: Addressee::Staff,
        happened_on: context.today(),
        facts: Facts::RunHeld(RunHeld {
            run_id: run.id,
            cycle: run.cycle.clone(),
            through_on: run.through_on,
            bills: totals.bills,
            total_cents: totals.total_cents,
            reasons: failed.map(|gate| format!("{}: {}", gate.gate, gate.detail)).collect(),
        }),
    }
}

fn due_date(context: &Context, bill_on: NaiveDate) -> NaiveDate {
    bill_on.checked_add_days(Days::new(u64::from(context.config.due_days))).unwrap_or(bill_on)
}

fn approve(context: &Context, run: &RunRow, options: &RunOptions<'_>) -> Result<(), ActionError> {
    if run.status == "gates_failed" && options.override_gates.is_none() {
        let failed: Vec<String> =
            parse_gates(&run.gates)?.iter().filter(|gate| !gate.passed).map(|gate| format!("{}: {}", gate.gate, gate.detail)).collect();
        return Err(ActionError::Refused(format!(
            "run {} is held by its gates and nothing was issued:\n  {}\nlook into it, then discard it with `aquabills runs discard {}`, or issue it \
             all the same with --override-gates \"REASON\"",
            run.id,
            failed.join("\n  "),
            run.id
        )));
    }
    if options.override_gates.is_none() {
        nothing_waits(context, run)?;
    }
    let now = context.now();
    context.database.write(|conn| {
        if !billing::set_status(conn, run.id, &run.status, "issuing")? {
            return Err(ActionError::LeaseLost(LEASE.to_owned()));
        }
        let today = context.today();
        billing::set_approved(conn, run.id, &context.actor, today, due_date(context, today))?;
        let detail = options.override_gates.as_deref().unwrap_or("gates passed");
        operations::audit(conn, now, &context.actor, "run.approve", &run.id.to_string(), detail)?;
        Ok(())
    })
}

/// An account for which something waits is held when it is priced. What came since then, and cannot be applied, holds the run: its
/// bills would not deduct it.
fn nothing_waits(context: &Context, run: &RunRow) -> Result<(), ActionError> {
    let waiting = context.database.read(|conn| stored::unapplied_in_run(conn, run.id))?;
    if waiting.is_empty() {
        return Ok(());
    }
    let told: Vec<String> = waiting.iter().map(|(number, what)| format!("account {number}: {what}")).collect();
    Err(ActionError::Refused(format!(
        "run {} bills accounts for which something came since it was priced that is not applied yet, and nothing was issued:\n  {}\napply it, or \
         discard the run with `aquabills runs discard {}` and start it again, or issue it all the same with --override-gates \"REASON\"",
        run.id,
        told.join("\n  "),
        run.id
    )))
}

fn issue_all(context: &Context, lease: &Lease, run: &RunRow, options: &RunOptions<'_>) -> Result<(), ActionError> {
    inbox::settle(context, false, &Stop::default())?;
    let chunks = chunks_in(context, run.id, "priced")?;
    workers::each(
        "issuing",
        context,
        Some(lease),
        &chunks,
        |done, all| (options.progress)("issuing", done, all),
        |chunk| issue::issue_chunk(context, run, chunk, options.fault),
    )?;
    let (bills, priced) = context.database.snapshot(|conn| {
        let bills = billing::bill_count(conn, run.id)?;
        Ok::<_, ActionError>((bills, billing::run_totals(conn, run.id)?.bills))
    })?;
    if bills != priced {
        return Err(ActionError::Violated(format!("run {}: {priced} bills were priced and {bills} issued", run.id)));
    }
    tell_of_final_credits(context, run)?;
    let now = context.now();
    context.database.write(|conn| {
        finish_within(conn, context, run.id, ("issuing", "issued", "run.issued"), now)?;
        rebill::finish_with(conn, context, run)
    })
}

/// Somebody who has gone and has money to their good is a clerk's to settle: paid out, or carried to another account.
fn tell_of_final_credits(context: &Context, run: &RunRow) -> Result<(), ActionError> {
    let now = context.now();
    context.database.write(|conn| {
        let todos: Vec<NewToDo> = billing::final_credits(conn, run.id)?
            .into_iter()
            .map(|credit| final_credit(&credit.account, credit.account_id, credit.credit_cents, now))
            .collect();
        operations::raise(conn, &todos)?;
        Ok(())
    })
}

/// The work item about the money of somebody who has gone.
pub(super) fn final_credit(number: &str, account: AccountId, credit_cents: i64, now: NaiveDateTime) -> NewToDo {
    let credit = Money::from_cents(credit_cents);
    NewToDo {
        kind: "final_credit".to_owned(),
        account_id: Some(account),
        amount_cents: Some(credit_cents),
        ..NewToDo::about(
            format!("account {number} has moved out and its final bill leaves {credit} to its good: pay it out, or carry it to another account"),
            now,
        )
    }
}

fn finish(context: &Context, run: RunId, from: &str, to: &str, action: &str) -> Result<(), ActionError> {
    let now = context.now();
    context.database.write(|conn| finish_within(conn, context, run, (from, to, action), now))
}

fn finish_within(
    conn: &mut crate::db::DbConnection,
    context: &Context,
    run: RunId,
    (from, to, action): (&str, &str, &str),
    now: NaiveDateTime,
) -> Result<(), ActionError> {
    if !billing::set_status(conn, run, from, to)? {
        return Err(ActionError::LeaseLost(LEASE.to_owned()));
    }
    billing::set_finished(conn, run, now)?;
    operations::audit(conn, now, &context.actor, action, &run.to_string(), "")?;
    Ok(())
}

/// Prices and judges without writing: what a run would do now.
fn dry_run(context: &Context, options: &RunOptions<'_>, book: &TariffBook) -> Result<RunReport, ActionError> {
    let chunks = context.database.read(|conn| cut_chunks(conn, context, options, RunId(0)))?;
    if chunks.is_empty() && options.cycle != "all" {
        return Err(ActionError::not_found("cycle", &options.cycle));
    }
    let sum = std::sync::Mutex::new((RunTotals::default(), Vec::new()));
    let terms = price::RunTerms { run_id: RunId(0), cycle: options.cycle.clone(), through: options.through, blind: false, anew: None };
    workers::each(
        "pricing for a dry run",
        context,
        None,
        &chunks,
        |done, all| (options.progress)("pricing", done, all),
        |chunk| {
            let priced = price::compute_chunk(context, &terms, chunk, book)?;
            let mut sum = sum.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            sum.0 = sum.0.plus(priced.totals);
            let room = TOLD.saturating_sub(sum.1.len());
            sum.1.extend(priced.held_because().take(room).map(str::to_owned));
            Ok(())
        },
    )?;
    let (totals, held_because) = sum.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let gates = context.database.read(|conn| {
        let due = billing::agreements_due(conn, &options.cycle, options.through, AccountId(0), AccountId(i64::MAX))?;
        let last = billing::comparable_run(conn, &options.cycle, options.through)?;
        Ok::<_, ActionError>(judge(&context.config.gates, &totals, due, last))
    })?;
    Ok(RunReport { run_id: None, status: "dry run".to_owned(), totals, gates, held_because })
}

/// Works through chunks in parallel, under a lease when there is one: for work on many accounts that is no run.
///
/// # Errors
/// The first error of `work`.
pub(super) fn each_chunk(
    step: &str,
    context: &Context,
    lease: Option<&Lease>,
    chunks: &[ChunkRow],
    progress: &(dyn Fn(usize, usize) + Sync),
    work: impl Fn(&ChunkRow) -> Result<(), ActionError> + Sync,
) -> Result<(), ActionError> {
    workers::each(step, context, lease, chunks, progress, work)
}
