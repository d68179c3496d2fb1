//! The inbox for people: what providers sent, what became of it, and one event as it came.

use chrono::NaiveDateTime;
use serde::Serialize;

use super::{ActionError, Context};
use crate::db::inbox::{self, EventRow};
use crate::domain::ids::ProviderEventId;

/// An event in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventLine {
    /// Our number of it.
    pub id: ProviderEventId,
    /// When it came first, UTC.
    pub received_at: NaiveDateTime,
    /// `received`, `applied`, `ignored` or `failed`.
    pub status: String,
    /// The provider's word for its type.
    pub event_type: String,
    /// The provider's name of it.
    pub event_id: String,
    /// The payment that it tells of.
    pub payment_ref: Option<String>,
    /// Why it could not be applied.
    pub error: Option<String>,
}

/// An event as it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventView {
    /// What a list says of it.
    #[serde(flatten)]
    pub line: EventLine,
    /// Who sent it.
    pub provider: String,
    /// `callback` or `backfill`.
    pub origin: String,
    /// How often it came.
    pub deliveries: u64,
    /// Under which one can follow it.
    pub trace_id: String,
    /// Its body; what is no text is replaced.
    pub body: String,
}

/// The events of one name: more than one when the same name came with other bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventsOfName {
    /// Each, in the order of arrival.
    pub events: Vec<EventView>,
}

fn line_of(row: &EventRow) -> EventLine {
    EventLine {
        id: row.id,
        received_at: row.received_at,
        status: row.status.clone(),
        event_type: row.event_type.clone(),
        event_id: row.event_id.clone(),
        payment_ref: row.payment_ref.clone(),
        error: row.error.clone(),
    }
}

/// Events before a number, newest first; with `waiting`, only those that are not applied.
///
/// # Errors
/// Those of the database.
pub fn events(context: &Context, waiting: bool, before: i64, limit: i64) -> Result<Vec<EventLine>, ActionError> {
    let rows = context.database.read(|conn| inbox::page(conn, waiting, ProviderEventId(before), limit))?;
    Ok(rows.iter().map(line_of).collect())
}

/// The event of a number, or those of a provider's name.
///
/// # Errors
/// [`ActionError::NotFound`] when there is none.
pub fn event(context: &Context, name: &str) -> Result<EventsOfName, ActionError> {
    let rows = context.database.read(|conn| match name.parse::<i64>() {
        Ok(id) => inbox::event(conn, ProviderEventId(id)).map(|row| row.into_iter().collect::<Vec<_>>()),
        Err(_) => inbox::named(conn, name),
    })?;
    if rows.is_empty() {
        return Err(ActionError::not_found("event", name));
    }
    let view = |row: &EventRow| EventView {
        line: line_of(row),
        provider: row.provider.clone(),
        origin: row.origin.clone(),
        deliveries: u64::try_from(row.deliveries).unwrap_or(0),
        trace_id: row.trace_id.clone(),
        body: String::from_utf8_lossy(&row.body).into_owned(),
    };
    Ok(EventsOfName { events: rows.iter().map(view).collect() })
}
