//! Looking again: some moments after an event was applied, everything that is known of its payment is read once more, and
//! the ledger is compared with what it asks for. A ledger that differs is a bug, or somebody was in the database by hand.

use std::collections::BTreeSet;

use chrono::{NaiveDateTime, TimeDelta};

use super::apply::{known_events, parts_of, readable_facts, told};
use super::post::agrees;
use crate::actions::stop::Stop;
use crate::actions::{ActionError, Context};
use crate::db::DbConnection;
use crate::db::inbox;
use crate::db::provider_payments as rows;
use crate::db::trace::{self, NewStep, StepRow};
use crate::domain::ids::ProviderPaymentId;
use crate::telemetry::metrics;
use crate::telemetry::spans::Timer;

/// An applied event is looked at again after so long. Steps that are stored late, by a transaction that took its time, are
/// older than this by then, so that none is passed over.
const AFTER_SECONDS: i64 = 5;
/// So many are looked at in one transaction.
const BATCH: i64 = 100;
/// So many at one go.
const MOST: usize = 5_000;
/// A server that starts looks at the last so many steps.
const LOOK_BACK: i64 = 2_000;

/// Where looking again has got to, and what it found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rechecks {
    /// Every step up to this one was looked at; none before the first look.
    through: Option<i64>,
    /// Payments whose ledger is not what their events ask for.
    disagreeing: BTreeSet<ProviderPaymentId>,
}

impl Rechecks {
    /// How many payments disagree, as far as this process looked.
    #[must_use]
    pub fn disagreeing(&self) -> usize {
        self.disagreeing.len()
    }
}

/// What a look at one payment found.
struct Found {
    payment: ProviderPaymentId,
    agrees: bool,
    timer: Timer,
    step: NewStep,
}

/// Looks again at what was applied since the last time. Several servers may do so: each step is noted once.
///
/// # Errors
/// Those of the database.
pub fn recheck(context: &Context, rechecks: &mut Rechecks, stop: &Stop) -> Result<usize, ActionError> {
    let mut looked = 0;
    while looked < MOST && !stop.is_requested() {
        let through = context.now() - TimeDelta::seconds(AFTER_SECONDS);
        let (steps, found) = context.database.snapshot(|conn| look(context, conn, rechecks, through))?;
        let Some(last) = steps.last() else { break };
        let new = context.database.write(|conn| note(conn, &steps, &found))?;
        looked += steps.len();
        for found in found.into_iter().filter(|found| new.contains(&found.step.trace_id)) {
            tell(rechecks, found);
        }
        rechecks.through = Some(last.id);
    }
    Ok(looked)
}

fn look(context: &Context, conn: &mut DbConnection, rechecks: &Rechecks, through: NaiveDateTime) -> Result<(Vec<StepRow>, Vec<Found>), ActionError> {
    let after = match rechecks.through {
        Some(through) => through,
        None => trace::newest(conn)?.saturating_sub(LOOK_BACK),
    };
    let steps = trace::applied_after(conn, after, through, BATCH)?;
    let mut found = Vec::new();
    for step in &steps {
        if trace::is_rechecked(conn, step)? {
            continue;
        }
        found.extend(look_at(context, conn, step)?);
    }
    Ok((steps, found))
}

/// Compares one payment; nothing when the event moves no money, or when more of its events wait, whose own look comes later.
fn look_at(context: &Context, conn: &mut DbConnection, applied: &StepRow) -> Result<Option<Found>, ActionError> {
    let Some(id) = applied.provider_event_id else { return Ok(None) };
    let Some(event) = inbox::event(conn, id)? else { return Ok(None) };
    let Some(payment) = event.provider_payment_id else { return Ok(None) };
    let Some(provider) = context.providers.by_name(&event.provider) else { return Ok(None) };
    let Some(row) = rows::by_id(conn, payment)? else { return Ok(None) };
    let mut timer = Timer::start("recheck", &applied.trace_id, context.now()).part_of(None);
    let known = known_events(conn, &row, &event.event_id)?;
    if known.iter().any(|event| event.status == "received" || event.status == "failed") {
        return Ok(None);
    }
    let facts = readable_facts(conn, provider.as_ref(), &row, &known)?;
    let parts = parts_of(conn, &row)?;
    let agrees = agrees(conn, &row, &told(context, &facts), &parts)?;
    timer.about("payment", payment);
    timer.about("agrees", agrees);
    let step = NewStep {
        trace_id: applied.trace_id.clone(),
        step: if agrees { trace::RECHECKED } else { trace::DISAGREES }.to_owned(),
        at: context.now(),
        took_us: i64::try_from(timer.so_far().as_micros()).unwrap_or(i64::MAX),
        detail: if agrees { "the ledger is what the events ask for" } else { "the ledger is not what the events ask for" }.to_owned(),
        provider_event_id: Some(id),
        account_id: None,
        account_seq: None,
    };
    Ok(Some(Found { payment, agrees, timer, step }))
}

/// Stores the steps that nobody else has stored meanwhile; returns the traces of those.
fn note(conn: &mut DbConnection, applied: &[StepRow], found: &[Found]) -> Result<BTreeSet<String>, ActionError> {
    let mut new = BTreeSet::new();
    let mut steps = Vec::new();
    for found in found {
        let of = applied.iter().find(|step| step.provider_event_id == found.step.provider_event_id && step.trace_id == found.step.trace_id);
        if let Some(of) = of
            && !trace::is_rechecked(conn, of)?
        {
            new.insert(found.step.trace_id.clone());
            steps.push(found.step.clone());
        }
    }
    trace::insert(conn, &steps)?;
    Ok(new)
}

fn tell(rechecks: &mut Rechecks, found: Found) {
    let payment = found.payment;
    metrics::rechecked(found.agrees);
    if found.agrees {
        rechecks.disagreeing.remove(&payment);
        log::debug!(payment = payment.0, trace = found.step.trace_id.as_str(); "a payment was looked at again: the ledger agrees");
    } else {
        rechecks.disagreeing.insert(payment);
        log::error!(payment = payment.0, trace = found.step.trace_id.as_str(); "a payment's ledger is not what its events ask for");
    }
    found.timer.finish(found.agrees);
}
