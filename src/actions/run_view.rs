//! What the staff's pages of bill runs show: how far a run is, what it counted, what its gates said, whom it left out.

use chrono::{NaiveDateTime, TimeDelta};

use super::bill_run::{RunReport, report};
use super::staff_account::{Slice, one_more};
use super::{ActionError, Context};
use crate::db::billing::{self, NamedException, RunRow};
use crate::db::desk::{self, RunBillCard, StandingBills};
use crate::db::operations::{self, AuditFilter, AuditRow, WaitingFigures};
use crate::db::{DbConnection, customers};
use crate::domain::ids::{AccountId, AgreementId, RunId};

/// How far a step of a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Chunks done.
    pub done: i64,
    /// Chunks in all.
    pub all: i64,
    /// What is done to a chunk, in words: "priced".
    pub step: &'static str,
}

/// A run with everything that a decision about it needs.
#[derive(Debug, Clone)]
pub struct RunPage {
    /// The run.
    pub run: RunRow,
    /// What it counted and what its gates said.
    pub report: RunReport,
    /// How far it is, while it is at work or was interrupted.
    pub progress: Option<Progress>,
    /// Whether a runner shows signs of life.
    pub somebody_at_work: bool,
    /// Its own events, newest first: started, approved, taken back.
    pub events: Vec<AuditRow>,
    /// Bills of it that stand.
    pub standing: StandingBills,
}

/// Events of a run that are shown.
const EVENTS: i64 = 20;

/// A run's page.
///
/// # Errors
/// [`ActionError::NotFound`] when there is no such run.
pub fn run_page(context: &Context, id: RunId) -> Result<RunPage, ActionError> {
    let (run, progress, lease, events, standing) = context.database.snapshot(|conn| {
        let run = billing::run(conn, id)?.ok_or_else(|| ActionError::not_found("run", id.to_string()))?;
        let progress = progress(conn, &run)?;
        let lease = operations::lease(conn, "bill_run")?;
        let events = run_events(conn, id)?;
        let standing = desk::standing_bills(conn, id)?;
        Ok::<_, ActionError>((run, progress, lease, events, standing))
    })?;
    let somebody_at_work = lease.is_some_and(|lease| lease.expires_at > context.now());
    let report = report(context, &run)?;
    Ok(RunPage { run, report, progress, somebody_at_work, events, standing })
}

fn progress(conn: &mut DbConnection, run: &RunRow) -> Result<Option<Progress>, ActionError> {
    let (from, step) = match run.status.as_str() {
        "pricing" => ("open", "priced"),
        "issuing" => ("priced", "issued"),
        "rolling_back" => ("issued", "taken back"),
        _ => return Ok(None),
    };
    let counts = desk::chunk_counts(conn, run.id)?;
    let all: i64 = counts.iter().map(|count| count.chunks).sum();
    let left: i64 = counts.iter().filter(|count| count.state == from).map(|count| count.chunks).sum();
    Ok(Some(Progress { done: all - left, all, step }))
}

/// The events of a run: accounts may have the same number, so the action tells them apart.
fn run_events(conn: &mut DbConnection, id: RunId) -> Result<Vec<AuditRow>, ActionError> {
    let filter = AuditFilter { action: Some("run.".to_owned()), subject: Some(id.to_string()), ..AuditFilter::default() };
    Ok(operations::audit_page(conn, &filter, EVENTS)?)
}

/// A run in the list.
#[derive(Debug, Clone)]
pub struct RunLine {
    /// The run.
    pub run: RunRow,
    /// What it counted.
    pub report: RunReport,
}

/// A page of runs, newest first, before a run.
///
/// # Errors
/// Those of the database.
pub fn runs(context: &Context, before: i64, limit: usize) -> Result<Slice<RunLine>, ActionError> {
    let rows = context.database.read(|conn| desk::runs_before(conn, RunId(before), one_more(limit)))?;
    let slice = Slice::cut(rows, limit, |run| run.id.0);
    let mut lines = Vec::with_capacity(slice.rows.len());
    for run in slice.rows {
        let report = report(context, &run)?;
        lines.push(RunLine { run, report });
    }
    Ok(Slice { rows: lines, next: slice.next })
}

/// A page of whom a run held or excluded, by agreement, after an agreement.
///
/// # Errors
/// Those of the database.
pub fn exceptions(context: &Context, run: RunId, outcome: &str, after: i64, limit: usize) -> Result<Slice<NamedException>, ActionError> {
    let rows = context.database.read(|conn| billing::exceptions(conn, run, outcome, AgreementId(after), one_more(limit)))?;
    Ok(Slice::cut(rows, limit, |row| row.agreement_id.0))
}

/// A page of what a run bills, by account, after an account.
///
/// # Errors
/// Those of the database.
pub fn run_bills_of(context: &Context, run: RunId, after: i64, limit: usize) -> Result<Slice<RunBillCard>, ActionError> {
    let rows = context.database.read(|conn| desk::run_bills_page(conn, run, AccountId(after), one_more(limit)))?;
    Ok(Slice::cut(rows, limit, |row| row.account_id.0))
}

/// The cycles that a run can be started for.
///
/// # Errors
/// Those of the database.
pub fn cycles(context: &Context) -> Result<Vec<String>, ActionError> {
    Ok(context.database.read(customers::cycles)?)
}

/// The figures of the staff's first page.
#[derive(Debug, Clone)]
pub struct Overview {
    /// What waits for a clerk.
    pub waiting: WaitingFigures,
    /// Runs that wait for somebody or are at work.
    pub unfinished: Vec<RunLine>,
    /// The last runs.
    pub last: Vec<RunLine>,
    /// Notices of the last seven days that could not be delivered.
    pub notices_failed: i64,
}

/// Runs on the first page.
const LAST_RUNS: i64 = 5;

/// The figures of the staff's first page.
///
/// # Errors
/// Those of the database.
pub fn overview(context: &Context) -> Result<Overview, ActionError> {
    let week_ago: NaiveDateTime = context.now() - TimeDelta::days(7);
    let (waiting, notices_failed, unfinished, last) = context.database.snapshot(|conn| {
        let waiting = operations::waiting_figures(conn)?;
        let notices_failed = operations::notices_failed_since(conn, week_ago)?;
        Ok::<_, ActionError>((waiting, notices_failed, billing::unfinished_runs(conn)?, billing::latest_runs(conn, LAST_RUNS)?))
    })?;
    let line = |run: RunRow| report(context, &run).map(|report| RunLine { run, report });
    Ok(Overview {
        waiting,
        unfinished: unfinished.into_iter().map(line).collect::<Result<_, _>>()?,
        last: last.into_iter().map(line).collect::<Result<_, _>>()?,
        notices_failed,
    })
}

/// Writes into a run's trail why an attempt to work on it ended early.
///
/// # Errors
/// Those of the database.
pub fn note_failure(context: &Context, id: RunId, error: &ActionError) -> Result<(), ActionError> {
    let message = error.to_string();
    context.database.write(|conn| Ok(operations::audit(conn, context.now(), &context.actor, "run.failed", &id.to_string(), &message)?))
}
