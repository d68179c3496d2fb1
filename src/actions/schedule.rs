//! Scheduled runs: what is due, who takes it, the run, and what became of it.
//!
//! The state is in the table `scheduled_run`, a row for each moment, so that any number of servers and commands on one
//! database share it. Rows are read in the order in which they were made, not by the clock: a clock that is set back or
//! ahead neither runs a moment twice nor silences a schedule.

use chrono::{Days, NaiveDate, NaiveDateTime, TimeDelta};
use rand::Rng;
use serde::Serialize;

use super::bill_run::{RunOptions, RunReport, continue_run, report, run_bills_until};
use super::estimate::{EstimateReport, estimate_missing};
use super::lease::Lease;
use super::stop::Stop;
use super::{ActionError, Context};
use crate::config::ScheduleSettings;
use crate::db::schedule::{self, ScheduledRow};
use crate::db::{DbConnection, operations};
use crate::domain::ids::RunId;
use crate::domain::money::Money;
use crate::domain::schedule::Timetable;

/// The pause after a failed attempt is random up to this, doubled with each attempt.
const FIRST_PAUSE_MS: i64 = 5_000;
/// And up to this at most.
const LONGEST_PAUSE_MS: i64 = 30 * 60 * 1000;
/// Missed moments are counted up to this.
const MOST_MISSED: usize = 10_000;
/// What one tick does for one schedule at most: what was interrupted, what is due.
const STEPS: usize = 4;
/// A moment is late when it passed so long ago and nobody began it.
const LATE_MINUTES: i64 = 5;
/// Outcomes and moments to come in an overview.
const SHOWN: usize = 3;
/// What has ended is kept for so long.
const KEPT_DAYS: i64 = 400;

/// How due schedules are run.
pub struct DueOptions<'a> {
    /// Whether what failed is tried again at once: somebody asks for it.
    pub retry_now: bool,
    /// Ends the work early.
    pub stop: Stop,
    /// Told how far a step is: its name, chunks done, chunks in all.
    pub progress: &'a (dyn Fn(&str, usize, usize) + Sync),
}

/// What became of a schedule's moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The schedule.
    pub schedule: String,
    /// When it was due, UTC; none when not even that could be found out.
    pub due_at: Option<NaiveDateTime>,
    /// The same on the utility's clock.
    pub due_local: String,
    /// The cycle.
    pub cycle: String,
    /// Reads up to this day are billed.
    pub through: Option<NaiveDate>,
    /// `watching`, `running` (interrupted), `done`, `held` or `failed`.
    pub status: String,
    /// The bill run.
    pub run_id: Option<RunId>,
    /// Earlier moments that it makes up for.
    pub missed: i32,
    /// What became of it, in words.
    pub message: String,
}

impl Outcome {
    /// Whether a person has to look at it.
    #[must_use]
    pub fn needs_a_person(&self) -> bool {
        self.status == "held" || self.status == "failed"
    }

    fn of(row: ScheduledRow, timetable: &Timetable) -> Self {
        Self {
            schedule: row.schedule,
            due_at: Some(row.due_at),
            due_local: timetable.local_text(row.due_at),
            cycle: row.cycle,
            through: Some(row.through_on),
            status: row.status,
            run_id: row.run_id,
            missed: row.missed,
            message: row.message,
        }
    }

    fn unknown(settings: &ScheduleSettings, error: &ActionError) -> Self {
        Self {
            schedule: settings.name.clone(),
            due_at: None,
            due_local: String::new(),
            cycle: settings.cycle.clone(),
            through: None,
            status: "failed".to_owned(),
            run_id: None,
            missed: 0,
            message: error.to_string(),
        }
    }
}

/// A schedule with its last outcomes and its moments to come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScheduleView {
    /// Its name.
    pub name: String,
    /// The cycle, or `all`.
    pub cycle: String,
    /// When, as a cron expression.
    pub cron: String,
    /// Reads up to so many days before are billed.
    pub days_back: u32,
    /// Whether missing reads are estimated first.
    pub estimate: bool,
    /// Whether it is issued when its gates pass.
    pub approve: bool,
    /// The next moments on the utility's clock.
    pub next: Vec<String>,
    /// The last outcomes, newest first.
    pub last: Vec<Outcome>,
}

/// Runs what is due now, one schedule after the other; one that fails does not stop the others. This is one tick.
#[must_use]
pub fn run_due(context: &Context, options: &DueOptions<'_>) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for settings in &context.config.schedule {
        if options.stop.is_requested() {
            break;
        }
        match attend(context, settings, options, &mut outcomes) {
            Ok(()) | Err(ActionError::Stopped) => {}
            Err(error) => {
                log::warn!("schedule {}: {error}", settings.name);
                outcomes.push(Outcome::unknown(settings, &error));
            }
        }
    }
    outcomes
}

/// Every schedule of the settings, for people.
///
/// # Errors
/// Those of the database.
pub fn overview(context: &Context) -> Result<Vec<ScheduleView>, ActionError> {
    let view = |settings: &ScheduleSettings| {
        let timetable = timetable(context, settings)?;
        let limit = i64::try_from(SHOWN).unwrap_or(1);
        let rows = context.database.read(|conn| schedule::latest(conn, &settings.name, limit))?;
        let next = timetable.upcoming(context.now(), SHOWN);
        Ok(ScheduleView {
            name: settings.name.clone(),
            cycle: settings.cycle.clone(),
            cron: settings.cron.clone(),
            days_back: settings.days_back,
            estimate: settings.estimate,
            approve: settings.approve,
            next: next.into_iter().map(|moment| timetable.local_text(moment)).collect(),
            last: rows.into_iter().map(|row| Outcome::of(row, &timetable)).collect(),
        })
    };
    context.config.schedule.iter().map(view).collect()
}

/// How many schedules' moments passed some minutes ago and were not begun by anybody.
///
/// # Errors
/// Those of the database.
pub fn late(context: &Context) -> Result<i64, ActionError> {
    let options = DueOptions { retry_now: false, stop: Stop::default(), progress: &|_, _, _| {} };
    let mut late = 0;
    for settings in &context.config.schedule {
        let work = look(context, settings, &timetable(context, settings)?, &options)?;
        let is_late = |row: &ScheduledRow| context.now() - row.due_at > TimeDelta::minutes(LATE_MINUTES);
        late += i64::from(matches!(&work, Work::Claim(row) if is_late(row)));
    }
    Ok(late)
}

/// Forgets what ended long ago; the audit trail keeps it. Returns how many moments.
///
/// # Errors
/// Those of the database.
pub fn forget_old(context: &Context) -> Result<usize, ActionError> {
    let before = context.now() - TimeDelta::days(KEPT_DAYS);
    context.database.write(|conn| {
        let mut forgotten = 0;
        for settings in &context.config.schedule {
            forgotten += schedule::forget(conn, &settings.name, before)?;
        }
        Ok(forgotten)
    })
}

fn timetable(context: &Context, settings: &ScheduleSettings) -> Result<Timetable, ActionError> {
    Timetable::parse(&settings.cron, context.config.time_zone)
        .map_err(|fault| ActionError::Refused(format!("schedule '{}': cron: {fault}", settings.name)))
}

/// What is to be done for a schedule.
enum Work {
    Nothing,
    /// Begins to watch at this moment, for a reason.
    Watch(ScheduledRow),
    /// A moment that nobody has taken yet.
    Claim(ScheduledRow),
    /// A moment that was begun before: interrupted, or failed.
    Again(ScheduledRow),
}

/// Does what is to be done for one schedule. It is looked at without a lease first: mostly there is nothing.
fn attend(context: &Context, settings: &ScheduleSettings, options: &DueOptions<'_>, outcomes: &mut Vec<Outcome>) -> Result<(), ActionError> {
    let timetable = timetable(context, settings)?;
    let context = Context { actor: format!("schedule:{}", settings.name), ..context.clone() };
    if matches!(look(&context, settings, &timetable, options)?, Work::Nothing) {
        return Ok(());
    }
    let lease = match Lease::take(&context, &format!("schedule:{}", settings.name)) {
        Err(ActionError::Busy { holder, .. }) => {
            log::debug!("schedule {}: {holder} is at work on it", settings.name);
            return Ok(());
        }
        lease => lease?.until(&options.stop),
    };
    for _ in 0..STEPS {
        lease.check()?;
        let row = match look(&context, settings, &timetable, options)? {
            Work::Nothing => return Ok(()),
            Work::Watch(row) => {
                if context.database.write(|conn| schedule::insert(conn, &row).map_err(ActionError::from))? {
                    log::info!("schedule {}: {}", settings.name, row.message);
                    outcomes.push(Outcome::of(row, &timetable));
                }
                return Ok(());
            }
            Work::Claim(row) => begin(&context, &row, "schedule.start", schedule::insert)?.then_some(row),
            Work::Again(row) => {
                let action = if row.status == "running" { "schedule.resume" } else { "schedule.retry" };
                let again = begin(&context, &row, action, schedule::begin_again)?;
                again.then(|| ScheduledRow { status: "running".to_owned(), attempts: row.attempts + 1, ..row })
            }
        };
        // Somebody was quicker: what they do is theirs.
        let Some(row) = row else { return Ok(()) };
        let row = carry_out(&context, settings, row, options)?;
        let ended_well = row.status == "done";
        outcomes.push(Outcome::of(row, &timetable));
        if !ended_well {
            return Ok(());
        }
    }
    Ok(())
}

/// What is to be done for a schedule now, as the rows stand.
fn look(context: &Context, settings: &ScheduleSettings, timetable: &Timetable, options: &DueOptions<'_>) -> Result<Work, ActionError> {
    let now = context.now();
    let (interrupted, last) = context
        .database
        .snapshot(|conn| Ok::<_, ActionError>((schedule::unfinished(conn, &settings.name)?, schedule::last(conn, &settings.name)?)))?;
    if let Some(row) = interrupted {
        return Ok(Work::Again(row));
    }
    let watch = |seq: i64, why: String| Ok(Work::Watch(new_row(context, settings, timetable, now, seq, "watching", why)));
    let Some(last) = last else {
        return watch(1, "watched from here on".to_owned());
    };
    if last.timetable != timetable.name() {
        return watch(last.seq + 1, format!("changed from '{}': watched from here on", last.timetable));
    }
    if last.due_at > now {
        return watch(last.seq + 1, format!("the clock was set back, the last moment was {} UTC: watched from here on", last.due_at));
    }
    if let Some(due) = timetable.latest(now).filter(|due| *due > last.due_at) {
        let recorded = context.database.read(|conn| schedule::recorded(conn, &settings.name, last.due_at, due))?;
        if !recorded.contains(&due) {
            let passed = timetable.count_between(last.due_at, due, MOST_MISSED);
            let mut row = new_row(context, settings, timetable, due, last.seq + 1, "running", String::new());
            row.missed = i32::try_from(passed.saturating_sub(recorded.len())).unwrap_or(i32::MAX);
            return Ok(Work::Claim(row));
        }
    }
    if last.status == "failed" && (options.retry_now || may_retry(&last, now)) {
        return Ok(Work::Again(last));
    }
    Ok(Work::Nothing)
}

/// Whether the pause is over; one that could not be so long was made by another clock.
fn may_retry(row: &ScheduledRow, now: NaiveDateTime) -> bool {
    row.retry_at.is_none_or(|at| at <= now || at > now + TimeDelta::milliseconds(LONGEST_PAUSE_MS))
}

fn new_row(
    context: &Context,
    settings: &ScheduleSettings,
    timetable: &Timetable,
    due_at: NaiveDateTime,
    seq: i64,
    status: &str,
    message: String,
) -> ScheduledRow {
    let day = timetable.local(due_at).date_naive();
    let watching = status == "watching";
    ScheduledRow {
        schedule: settings.name.clone(),
        due_at,
        seq,
        timetable: timetable.name(),
        cycle: settings.cycle.clone(),
        through_on: day.checked_sub_days(Days::new(u64::from(settings.days_back))).unwrap_or(day),
        status: status.to_owned(),
        run_id: None,
        missed: 0,
        attempts: i32::from(!watching),
        retry_at: None,
        message,
        started_at: context.now(),
        finished_at: watching.then_some(context.now()),
    }
}

/// Takes a moment and says so in the audit trail; false when somebody else has it.
fn begin(
    context: &Context,
    row: &ScheduledRow,
    action: &str,
    take: fn(&mut DbConnection, &ScheduledRow) -> diesel::QueryResult<bool>,
) -> Result<bool, ActionError> {
    let now = context.now();
    let taken = context.database.write(|conn| {
        let taken = take(conn, row)?;
        if taken {
            let detail = format!("due {} UTC: {} through {}", row.due_at, row.cycle, row.through_on);
            operations::audit(conn, now, &context.actor, action, &row.schedule, &detail)?;
        }
        Ok::<_, ActionError>(taken)
    })?;
    if taken {
        log::info!("{}: {action}: due {} UTC, {} through {}", context.actor, row.due_at, row.cycle, row.through_on);
    }
    Ok(taken)
}

/// Runs a moment that is ours, and records what became of it.
fn carry_out(context: &Context, settings: &ScheduleSettings, mut row: ScheduledRow, options: &DueOptions<'_>) -> Result<ScheduledRow, ActionError> {
    match bill(context, settings, &row, options) {
        Ok((report, estimated)) => {
            row.status = if report.status == "gates_failed" { "held" } else { "done" }.to_owned();
            row.run_id = report.run_id;
            row.message = in_words(&report, estimated.as_ref());
        }
        Err(ActionError::Stopped) => {
            // The row stays as it is: whoever comes next finds it begun and not ended, and goes on.
            row.message = ActionError::Stopped.to_string();
            let now = context.now();
            context.database.write(|conn| {
                operations::audit(conn, now, &context.actor, "schedule.interrupted", &row.schedule, &row.message).map_err(ActionError::from)
            })?;
            return Ok(row);
        }
        Err(error) => {
            log::warn!("schedule {}: attempt {} failed: {error}", row.schedule, row.attempts);
            row.status = "failed".to_owned();
            row.message = error.to_string();
            row.retry_at = Some(context.now() + pause(row.attempts));
        }
    }
    row.finished_at = Some(context.now());
    end(context, &row)?;
    Ok(row)
}

fn end(context: &Context, row: &ScheduledRow) -> Result<(), ActionError> {
    let now = context.now();
    context.database.write(|conn| {
        if !schedule::end(conn, row)? {
            return Err(ActionError::LeaseLost(context.actor.clone()));
        }
        let detail = format!("due {} UTC: {}", row.due_at, row.message);
        operations::audit(conn, now, &context.actor, &format!("schedule.{}", row.status), &row.schedule, &detail)?;
        Ok(())
    })?;
    log::info!("{}: {}: {}", context.actor, row.status, row.message);
    Ok(())
}

/// Full jitter: a random pause up to a bound that doubles with each attempt.
fn pause(attempts: i32) -> TimeDelta {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(0).min(16);
    let bound = FIRST_PAUSE_MS.saturating_mul(1 << doublings).min(LONGEST_PAUSE_MS);
    TimeDelta::milliseconds(rand::rng().random_range(0..=bound))
}

/// The run itself: priced first, so that a failed gate is seen for what it is, then issued. Also tells what was estimated.
fn bill(
    context: &Context,
    settings: &ScheduleSettings,
    row: &ScheduledRow,
    options: &DueOptions<'_>,
) -> Result<(RunReport, Option<EstimateReport>), ActionError> {
    if row.attempts > 1 {
        // An earlier attempt may have issued the run and been cut off before it could say so.
        let issued = context.database.read(|conn| schedule::issued_since(conn, &row.cycle, row.through_on, row.started_at))?;
        if let Some(run) = issued {
            return Ok((report(context, &run)?, None));
        }
    }
    if row.through_on > context.today() {
        return Err(ActionError::Refused(format!("{} is in the future: was the clock set back?", row.through_on)));
    }
    let estimated = if settings.estimate { Some(estimate_missing(context, &row.cycle, row.through_on, false)?) } else { None };
    let mut run = RunOptions {
        cycle: row.cycle.clone(),
        through: row.through_on,
        dry_run: false,
        approve: false,
        override_gates: None,
        progress: options.progress,
        fault: None,
    };
    let mut report = run_bills_until(context, &run, &options.stop)?;
    if let (true, "review", Some(id)) = (settings.approve, report.status.as_str(), report.run_id) {
        run.approve = true;
        // This run, and not another that was begun because somebody discarded this one just now.
        report = continue_run(context, id, &run, &options.stop)?;
    }
    Ok((report, estimated))
}

fn in_words(report: &RunReport, estimated: Option<&EstimateReport>) -> String {
    let run = report.run_id.map_or_else(String::new, |id| format!("run {id}"));
    let totals = &report.totals;
    let total = Money::from_cents(totals.total_cents);
    let counts = format!("{} billed, {} held, {} excluded, {total} in all", totals.billed, totals.held, totals.excluded);
    let ended = match report.status.as_str() {
        "issued" => format!("{run} is issued: {counts}"),
        "gates_failed" => {
            let failed: Vec<String> = report.gates.iter().filter(|gate| !gate.passed).map(|gate| format!("{}: {}", gate.gate, gate.detail)).collect();
            format!("{run} is held by its gates: {}", failed.join("; "))
        }
        _ => format!("{run} waits for review: {counts}"),
    };
    match estimated {
        Some(reads) => format!("{ended}; {} missing reads estimated, {} left to a clerk", reads.estimated, reads.held.len()),
        None => ended,
    }
}
