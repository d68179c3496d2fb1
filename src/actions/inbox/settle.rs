//! Applying what waits in the inbox: all the time by a job, and at once before a bill run.

use chrono::TimeDelta;
use rand::Rng;
use serde::Serialize;

use super::apply::apply_event;
use crate::actions::stop::Stop;
use crate::actions::{ActionError, Context};
use crate::db::inbox;
use crate::domain::ids::ProviderEventId;
use crate::domain::retry::pause_ms;
use crate::telemetry::metrics::{self, Area};

/// So many events are looked up at a time.
const BATCH: i64 = 200;

/// What settling did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Settled {
    /// Events that were applied, or that concern nothing.
    pub applied: u64,
    /// Events that could not be applied and wait for the next attempt.
    pub failed: u64,
}

/// Applies every event that is due, oldest first. With `hurry`, also those that failed and would wait for longer.
///
/// # Errors
/// Those of the database. An event that fails is noted and does not stop the others.
pub fn settle(context: &Context, hurry: bool, stop: &Stop) -> Result<Settled, ActionError> {
    let mut settled = Settled::default();
    if hurry {
        context.database.write(|conn| inbox::hurry(conn, context.now()).map_err(ActionError::from))?;
    }
    // An event that fails is due again later than now, so that each is tried once.
    let now = context.now();
    loop {
        let due = context.database.read(|conn| inbox::due(conn, now, BATCH))?;
        if due.is_empty() || stop.is_requested() {
            return Ok(settled);
        }
        for event in due {
            match apply_event(context, event) {
                Ok(()) => settled.applied += 1,
                Err(error) => {
                    settled.failed += 1;
                    note_failure(context, event, &error)?;
                }
            }
        }
    }
}

fn note_failure(context: &Context, event: ProviderEventId, error: &ActionError) -> Result<(), ActionError> {
    // What a provider wrote may name people: the reason stands with the event, for those who may read it.
    let reason = if matches!(error, ActionError::Database(_)) { error.to_string() } else { "the event says why".to_owned() };
    log::error!(event = event.0; "an event cannot be applied and is tried again: {reason}");
    metrics::retried(Area::Inbox);
    context.database.write(|conn| {
        let now = context.now();
        let attempts = inbox::event(conn, event)?.map_or(0, |row| row.attempts);
        let attempts = u32::try_from(attempts).unwrap_or(u32::MAX).saturating_add(1);
        // Money must not be given up: the pause ends at its bound, and the trying never ends.
        let pause = pause_ms(attempts, rand::rng().random()).max(1);
        let again = now + TimeDelta::milliseconds(i64::try_from(pause).unwrap_or(1));
        inbox::mark_failed(conn, event, &error.to_string(), again)?;
        Ok(())
    })
}
