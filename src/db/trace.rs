//! The way of one payment: each step with its moment, how long it took, and what it was about.

use chrono::NaiveDateTime;
use diesel::prelude::*;

use super::DbConnection;
use super::bulk::insert_all;
use super::schema::trace_step;
use crate::domain::ids::{AccountId, ProviderEventId};

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
