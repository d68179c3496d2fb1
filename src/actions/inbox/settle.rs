//! Applying what waits in the inbox: all the time by a job, and at once before a bill run.

use std::collections::{HashMap, HashSet};
use std::panic::resume_unwind;
use std::thread;

use chrono::TimeDelta;
use rand::Rng;
use serde::Serialize;

use super::apply::{apply_event, apply_together};
use crate::actions::stop::Stop;
use crate::actions::{ActionError, Context};
use crate::db::{Backend, inbox};
use crate::domain::ids::ProviderEventId;
use crate::domain::retry::{Pace, pause_ms};
use crate::telemetry::metrics::{self, Area};
use crate::telemetry::scope::carry;

/// So many events are looked up at a time.
const BATCH: i64 = 200;
/// So many are applied in one transaction at most: a callback that waits for its commit waits no longer than for these.
const TOGETHER: usize = 16;
/// So many are applied side by side where the database can.
const HANDS: usize = 4;

/// What settling did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Settled {
    /// Events that were applied, or that concern nothing.
    pub applied: u64,
    /// Events that could not be applied and wait for the next attempt.
    pub failed: u64,
}

impl Settled {
    fn add(&mut self, more: Self) {
        self.applied += more.applied;
        self.failed += more.failed;
    }
}

/// Applies every event that is due, oldest first. With `hurry`, also those that failed and would wait for longer, and those that
/// came by a clock that is ahead of this one.
///
/// # Errors
/// Those of the database. An event that fails is noted and does not stop the others.
pub fn settle(context: &Context, hurry: bool, stop: &Stop) -> Result<Settled, ActionError> {
    let mut settled = Settled::default();
    let mut tried = HashSet::new();
    if hurry {
        context.database.write(|conn| inbox::hurry(conn, context.now()).map_err(ActionError::from))?;
    }
    let now = context.now();
    loop {
        let mut due = context.database.read(|conn| inbox::due(conn, now, BATCH))?;
        // An event that fails is due again later than now; but a clock may be set back. Each is tried once.
        due.retain(|event| tried.insert(*event));
        if due.is_empty() || stop.is_requested() {
            return Ok(settled);
        }
        settled.add(try_all(context, &due)?);
    }
}

/// Applies every event that is due and was never tried, and of those that failed as many as the pace lets back.
///
/// # Errors
/// As [`settle`].
pub fn settle_at_pace(context: &Context, pace: &mut Pace, stop: &Stop) -> Result<Settled, ActionError> {
    let mut settled = Settled::default();
    let now = context.now();
    loop {
        let new = context.database.read(|conn| inbox::due_of(conn, "received", now, BATCH))?;
        if new.is_empty() || stop.is_requested() {
            break;
        }
        settled.add(try_all(context, &new)?);
    }
    let again = context.database.read(|conn| {
        if inbox::due_of(conn, "failed", now, 1)?.is_empty() {
            return Ok::<_, ActionError>(Vec::new());
        }
        let waiting = u64::try_from(inbox::count_failed(conn)?).unwrap_or(0);
        let allowed = pace.allows(now, waiting);
        Ok(inbox::due_of(conn, "failed", now, i64::try_from(allowed).unwrap_or(BATCH).min(BATCH))?)
    })?;
    pace.spend(u64::try_from(again.len()).unwrap_or(0));
    settled.add(try_all(context, &again)?);
    Ok(settled)
}

/// Applies events in the way that costs the database less. One that fails does not take its neighbours along.
fn try_all(context: &Context, events: &[ProviderEventId]) -> Result<Settled, ActionError> {
    match context.database.backend() {
        Backend::Sqlite => try_together(context, events),
        Backend::Postgres => try_side_by_side(context, events),
    }
}

/// SQLite waits for the disk with each transaction, and nobody else writes meanwhile: some share one.
fn try_together(context: &Context, events: &[ProviderEventId]) -> Result<Settled, ActionError> {
    let mut settled = Settled::default();
    for group in events.chunks(TOGETHER) {
        if group.len() > 1 && apply_together(context, group).is_ok() {
            settled.applied += u64::try_from(group.len()).unwrap_or(0);
        } else {
            settled.add(try_each(context, group)?);
        }
    }
    Ok(settled)
}

/// PostgreSQL lets several write at once and wait for the disk together. The events of one payment stay in one hand, in their order.
fn try_side_by_side(context: &Context, events: &[ProviderEventId]) -> Result<Settled, ActionError> {
    if events.len() < HANDS {
        return try_each(context, events);
    }
    let payments = context.database.read(|conn| inbox::payment_refs(conn, events))?;
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut hands: [Vec<ProviderEventId>; HANDS] = Default::default();
    for (id, payment) in &payments {
        let next = places.len();
        let place = payment.as_deref().map_or(0, |payment| *places.entry(payment).or_insert(next));
        if let Some(hand) = hands.get_mut(place % HANDS) {
            hand.push(*id);
        }
    }
    thread::scope(|scope| {
        let hands: Vec<_> = hands.iter().map(|events| scope.spawn(carry(|| try_each(context, events)))).collect();
        let mut settled = Settled::default();
        for hand in hands {
            settled.add(hand.join().unwrap_or_else(|panic| resume_unwind(panic))?);
        }
        Ok(settled)
    })
}

fn try_each(context: &Context, events: &[ProviderEventId]) -> Result<Settled, ActionError> {
    let mut settled = Settled::default();
    for event in events {
        match apply_event(context, *event) {
            Ok(()) => settled.applied += 1,
            Err(error) => {
                settled.failed += 1;
                note_failure(context, *event, &error)?;
            }
        }
    }
    Ok(settled)
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
