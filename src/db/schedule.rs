//! Scheduled runs: which moments were due, who took them, what became of them.

use chrono::{NaiveDate, NaiveDateTime};
use diesel::prelude::*;

use super::DbConnection;
use super::billing::RunRow;
use super::connection::each_backend;
use super::schema::{bill_run, scheduled_run};
use crate::domain::ids::RunId;

/// A moment of a schedule as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = scheduled_run, treat_none_as_default_value = false)]
pub struct ScheduledRow {
    /// The schedule's name.
    pub schedule: String,
    /// When it was due, or from when on the schedule is watched; UTC.
    pub due_at: NaiveDateTime,
    /// The order in which rows were made.
    pub seq: i64,
    /// The cron text and time zone that made it due.
    pub timetable: String,
    /// The cycle, or `all`.
    pub cycle: String,
    /// Reads up to this day are billed.
    pub through_on: NaiveDate,
    /// `watching`, `running`, `done`, `held` or `failed`.
    pub status: String,
    /// The bill run.
    pub run_id: Option<RunId>,
    /// Moments that passed while nobody was there to run them.
    pub missed: i32,
    /// How often it was begun.
    pub attempts: i32,
    /// When a failed one is tried again, UTC.
    pub retry_at: Option<NaiveDateTime>,
    /// What became of it, in words.
    pub message: String,
    /// When it was first begun, UTC.
    pub started_at: NaiveDateTime,
    /// When it ended, UTC.
    pub finished_at: Option<NaiveDateTime>,
}

/// The row of a schedule that was made last.
///
/// # Errors
/// Those of the database.
pub fn last(conn: &mut DbConnection, schedule: &str) -> QueryResult<Option<ScheduledRow>> {
    Ok(latest(conn, schedule, 1)?.pop())
}

/// The rows of a schedule that were made last, newest first.
///
/// # Errors
/// Those of the database.
pub fn latest(conn: &mut DbConnection, schedule: &str, limit: i64) -> QueryResult<Vec<ScheduledRow>> {
    scheduled_run::table
        .filter(scheduled_run::schedule.eq(schedule))
        .order(scheduled_run::seq.desc())
        .limit(limit)
        .select(ScheduledRow::as_select())
        .load(conn)
}

/// The oldest moment that somebody began and did not end.
///
/// # Errors
/// Those of the database.
pub fn unfinished(conn: &mut DbConnection, schedule: &str) -> QueryResult<Option<ScheduledRow>> {
    scheduled_run::table
        .filter(scheduled_run::schedule.eq(schedule).and(scheduled_run::status.eq("running")))
        .order(scheduled_run::seq)
        .select(ScheduledRow::as_select())
        .first(conn)
        .optional()
}

/// The moments after one and up to another that are recorded already.
///
/// # Errors
/// Those of the database.
pub fn recorded(conn: &mut DbConnection, schedule: &str, after: NaiveDateTime, through: NaiveDateTime) -> QueryResult<Vec<NaiveDateTime>> {
    scheduled_run::table
        .filter(scheduled_run::schedule.eq(schedule).and(scheduled_run::status.ne("watching")))
        .filter(scheduled_run::due_at.gt(after).and(scheduled_run::due_at.le(through)))
        .select(scheduled_run::due_at)
        .load(conn)
}

/// Records a moment; false when somebody else was quicker.
///
/// # Errors
/// Those of the database.
pub fn insert(conn: &mut DbConnection, row: &ScheduledRow) -> QueryResult<bool> {
    let count = each_backend!(conn, conn => diesel::insert_into(scheduled_run::table).values(row).on_conflict_do_nothing().execute(conn))?;
    Ok(count == 1)
}

/// Begins a moment again that was interrupted or failed; false when somebody else did.
///
/// # Errors
/// Those of the database.
pub fn begin_again(conn: &mut DbConnection, row: &ScheduledRow) -> QueryResult<bool> {
    let as_seen = scheduled_run::status.eq(&row.status).and(scheduled_run::attempts.eq(row.attempts));
    diesel::update(scheduled_run::table.find((&row.schedule, row.due_at)).filter(as_seen))
        .set((
            scheduled_run::status.eq("running"),
            scheduled_run::attempts.eq(row.attempts + 1),
            scheduled_run::retry_at.eq(None::<NaiveDateTime>),
            scheduled_run::finished_at.eq(None::<NaiveDateTime>),
        ))
        .execute(conn)
        .map(|count| count == 1)
}

/// Records how the attempt that `row` tells of ended; false when it is somebody else's by now.
///
/// # Errors
/// Those of the database.
pub fn end(conn: &mut DbConnection, row: &ScheduledRow) -> QueryResult<bool> {
    let ours = scheduled_run::status.eq("running").and(scheduled_run::attempts.eq(row.attempts));
    diesel::update(scheduled_run::table.find((&row.schedule, row.due_at)).filter(ours))
        .set((
            scheduled_run::status.eq(&row.status),
            scheduled_run::run_id.eq(row.run_id),
            scheduled_run::retry_at.eq(row.retry_at),
            scheduled_run::message.eq(&row.message),
            scheduled_run::finished_at.eq(row.finished_at),
        ))
        .execute(conn)
        .map(|count| count == 1)
}

/// The newest run of a cycle through a day that was begun since a moment and is issued.
///
/// # Errors
/// Those of the database.
pub fn issued_since(conn: &mut DbConnection, cycle: &str, through_on: NaiveDate, since: NaiveDateTime) -> QueryResult<Option<RunRow>> {
    bill_run::table
        .filter(bill_run::cycle.eq(cycle).and(bill_run::through_on.eq(through_on)))
        .filter(bill_run::status.eq("issued").and(bill_run::started_at.ge(since)))
        .order(bill_run::id.desc())
        .select(RunRow::as_select())
        .first(conn)
        .optional()
}

/// Forgets what was due before a moment and has ended, but for each schedule's last row; returns how many.
///
/// # Errors
/// Those of the database.
pub fn forget(conn: &mut DbConnection, schedule: &str, before: NaiveDateTime) -> QueryResult<usize> {
    let Some(last) = last(conn, schedule)? else { return Ok(0) };
    diesel::delete(
        scheduled_run::table
            .filter(scheduled_run::schedule.eq(schedule).and(scheduled_run::seq.lt(last.seq)))
            .filter(scheduled_run::due_at.lt(before).and(scheduled_run::status.ne("running"))),
    )
    .execute(conn)
}
