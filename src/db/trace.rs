//! The way of one payment: each step with its moment, how long it took, and what it was about.

use chrono::NaiveDateTime;
use diesel::prelude::*;

use super::DbConnection;
use super::bulk::insert_all;
use super::schema::trace_step;
use crate::domain::ids::{AccountId, ProviderEventId};

/// The step of a delivery that was stored.
pub const RECEIVED: &str = "received";
/// What the step of a delivery says of an event that was there before; the number follows.
pub const AGAIN: &str = ", delivery ";
/// The step of an event that was applied.
pub const APPLIED: &str = "applied";
/// The step of a later look that found the ledger as the events ask for.
pub const RECHECKED: &str = "rechecked";
/// The step of a later look that did not.
pub const DISAGREES: &str = "disagrees";

/// A step to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Insertable)]
#[diesel(table_name = trace_step, treat_none_as_default_value = false)]
pub struct NewStep {
    /// The trace that it belongs to.
    pub trace_id: String,
    /// What was done: `received`, `applied`, `posted`, `rechecked`, …
    pub step: String,
    /// When, UTC.
    pub at: NaiveDateTime,
    /// How long it took, in microseconds.
    pub took_us: i64,
    /// In words, without personal data.
    pub detail: String,
    /// The event that it was about.
    pub provider_event_id: Option<ProviderEventId>,
    /// The account whose ledger it moved.
    pub account_id: Option<AccountId>,
    /// The position in that ledger.
    pub account_seq: Option<i64>,
}

/// A step as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, serde::Serialize)]
#[diesel(table_name = trace_step)]
pub struct StepRow {
    /// Identity, in the order of storing.
    pub id: i64,
    /// The trace that it belongs to.
    pub trace_id: String,
    /// What was done.
    pub step: String,
    /// When, UTC.
    pub at: NaiveDateTime,
    /// How long it took, in microseconds.
    pub took_us: i64,
    /// In words.
    pub detail: String,
    /// The event that it was about.
    pub provider_event_id: Option<ProviderEventId>,
    /// The account whose ledger it moved.
    pub account_id: Option<AccountId>,
    /// The position in that ledger.
    pub account_seq: Option<i64>,
}

/// Stores steps.
///
/// # Errors
/// Those of the database.
pub fn insert(conn: &mut DbConnection, steps: &[NewStep]) -> QueryResult<()> {
    insert_all!(conn, trace_step::table, steps).map(|_| ())
}

/// The steps of traces, oldest first.
///
/// # Errors
/// Those of the database.
pub fn steps(conn: &mut DbConnection, trace_ids: &[&str], limit: i64) -> QueryResult<Vec<StepRow>> {
    trace_step::table.filter(trace_step::trace_id.eq_any(trace_ids)).order(trace_step::id).limit(limit).select(StepRow::as_select()).load(conn)
}

/// Steps that applied an event, in the order of storing, after one and not later than a moment.
///
/// # Errors
/// Those of the database.
pub fn applied_after(conn: &mut DbConnection, after: i64, through: NaiveDateTime, limit: i64) -> QueryResult<Vec<StepRow>> {
    trace_step::table
        .filter(trace_step::id.gt(after).and(trace_step::step.eq(APPLIED)).and(trace_step::at.le(through)))
        .order(trace_step::id)
        .limit(limit)
        .select(StepRow::as_select())
        .load(conn)
}

/// Whether what a step applied was looked at again since.
///
/// # Errors
/// Those of the database.
pub fn is_rechecked(conn: &mut DbConnection, applied: &StepRow) -> QueryResult<bool> {
    let found: Option<i64> = trace_step::table
        .filter(trace_step::trace_id.eq(&applied.trace_id).and(trace_step::id.gt(applied.id)).and(trace_step::step.eq_any([RECHECKED, DISAGREES])))
        .filter(trace_step::provider_event_id.eq(applied.provider_event_id))
        .select(trace_step::id)
        .first(conn)
        .optional()?;
    Ok(found.is_some())
}

/// The newest step of all.
///
/// # Errors
/// Those of the database.
pub fn newest(conn: &mut DbConnection) -> QueryResult<i64> {
    trace_step::table.order(trace_step::id.desc()).select(trace_step::id).first(conn).optional().map(|id| id.unwrap_or(0))
}
