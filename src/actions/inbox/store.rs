//! Taking an event in: signature, bytes, commit. What it means comes later.

use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Mutex, PoisonError};
use std::thread;

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::actions::{ActionError, Context};
use crate::db::inbox::{self, NewEvent, Stored};
use crate::db::trace::{self, NewStep};
use crate::db::{DbConnection, look_up_by_index};
use crate::providers::{Glimpse, ListedEvent, PaymentProvider, SignatureError};
use crate::telemetry::metrics::{self, CallbackOutcome};
use crate::telemetry::scope;
use crate::telemetry::spans::Timer;

/// So many deliveries are committed together at most. While one commit is under way, the next deliveries gather.
const LARGEST_GROUP: usize = 256;
/// So many deliveries may wait for their commit; beyond it the provider is told to come again.
const LONGEST_QUEUE: usize = 4_096;

/// What became of a delivery: it is in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Whether it was there before.
    pub known: bool,
    /// Under which one can follow it.
    pub trace_id: String,
}

/// Why a delivery was not taken. The provider is told, and comes again where that can help.
#[derive(Debug, Error)]
pub enum ReceiveError {
    /// No provider of that name is set up.
    #[error("no provider is called '{0}'")]
    Unknown(String),
    /// It was not signed by the provider, or not now.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// More arrive than can be stored.
    #[error("more deliveries wait than can be stored")]
    Full,
    /// It could not be stored.
    #[error(transparent)]
    Failed(#[from] ActionError),
}

type Reply = SyncSender<Result<Stored, String>>;

/// Commits deliveries in groups: one wait for the disk for all that arrived meanwhile.
pub struct Inbox {
    queue: Mutex<Sender<(NewEvent, Reply)>>,
    waiting: std::sync::Arc<std::sync::atomic::AtomicUsize>,
}

impl Inbox {
    /// Starts the thread that commits.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(context: &Context) -> std::io::Result<Self> {
        let (queue, deliveries) = mpsc::channel();
        let waiting = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let (context, counter) = (context.clone(), waiting.clone());
        thread::Builder::new().name("inbox".to_owned()).spawn(move || commit_groups(&context, &deliveries, &counter))?;
        Ok(Self { queue: Mutex::new(queue), waiting })
    }

    /// Takes a delivery, and returns when it is committed.
    ///
    /// # Errors
    /// [`ReceiveError`]; nothing was stored, or the provider's next attempt finds it stored.
    pub fn receive(&self, context: &Context, provider: &str, body: &[u8], signature: Option<&str>) -> Result<Received, ReceiveError> {
        told(context, provider, || {
            let event = checked(context, provider, body, signature)?;
            let about = About::of(&event);
            self.commit(event).map(|stored| (stored, about))
        })
    }

    fn commit(&self, event: NewEvent) -> Result<Stored, ReceiveError> {
        if self.waiting.fetch_add(1, std::sync::atomic::Ordering::SeqCst) >= LONGEST_QUEUE {
            self.waiting.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
            return Err(ReceiveError::Full);
        }
        let (reply, answer) = mpsc::sync_channel(1);
        let sent = self.queue.lock().unwrap_or_else(PoisonError::into_inner).send((event, reply));
        let stored = sent.map_err(|_| "the inbox is closed".to_owned()).and_then(|()| answer.recv().map_err(|error| error.to_string())?);
        self.waiting.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
        stored.map_err(|fault| ReceiveError::Failed(ActionError::Refused(fault)))
    }

    /// How many deliveries wait for their commit.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(std::sync::atomic::Ordering::SeqCst)
    }
}

fn commit_groups(context: &Context, deliveries: &Receiver<(NewEvent, Reply)>, _waiting: &std::sync::atomic::AtomicUsize) {
    while let Ok(first) = deliveries.recv() {
        let mut group = vec![first];
        while group.len() < LARGEST_GROUP
            && let Ok(more) = deliveries.try_recv()
        {
            group.push(more);
        }
        let events: Vec<&NewEvent> = group.iter().map(|(event, _)| event).collect();
        let outcomes = match store_all(context, &events) {
            Ok(stored) => stored.into_iter().map(Ok).collect(),
            // One that cannot be stored must not keep the others out.
            Err(_) => events.iter().map(|event| store_one(context, event).map_err(|error| error.to_string())).collect::<Vec<_>>(),
        };
        for ((_, reply), outcome) in group.iter().zip(outcomes) {
            // Whoever asked may have gone; the provider will come again and find it stored.
            let _ = reply.send(outcome);
        }
    }
}

fn store_all(context: &Context, events: &[&NewEvent]) -> Result<Vec<Stored>, ActionError> {
    context.database.write(|conn| {
        look_up_by_index(conn)?;
        events.iter().map(|event| store(context, conn, event)).collect()
    })
}

fn store_one(context: &Context, event: &NewEvent) -> Result<Stored, ActionError> {
    context.database.write(|conn| store(context, conn, event))
}

fn store(context: &Context, conn: &mut DbConnection, event: &NewEvent) -> Result<Stored, ActionError> {
    let stored = inbox::store(conn, event)?;
    let now = context.now();
    let again = if stored.deliveries > 1 { format!("{}{}", trace::AGAIN, stored.deliveries) } else { String::new() };
    let request = event.request_id.as_ref().map_or_else(String::new, |request| format!(", request {request}"));
    // Of an event that comes without end the first deliveries tell enough; the row counts the rest.
    if stored.deliveries <= 10 {
        let took_us = (now - event.received_at).num_microseconds().unwrap_or(0);
        let step = NewStep {
            trace_id: stored.trace_id.clone(),
            step: if event.origin == "backfill" { "fetched".to_owned() } else { trace::RECEIVED.to_owned() },
            at: now,
            took_us,
            detail: format!("{} {} from {}{again}{request}", event.event_type, event.event_id, event.provider),
            provider_event_id: Some(stored.id),
            account_id: None,
            account_seq: None,
        };
        trace::insert(conn, &[step])?;
    }
    Ok(stored)
}

/// Takes one delivery without a group, and returns when it is committed.
///
/// # Errors
/// [`ReceiveError`].
pub fn receive(context: &Context, provider: &str, body: &[u8], signature: Option<&str>) -> Result<Received, ReceiveError> {
    told(context, provider, || {
        let event = checked(context, provider, body, signature)?;
        let about = About::of(&event);
        Ok((store_one(context, &event)?, about))
    })
}

/// What the log and the trace say of a delivery: ids.
struct About {
    event_id: String,
    payment_ref: String,
}

impl About {
    fn of(event: &NewEvent) -> Self {
        Self { event_id: event.event_id.clone(), payment_ref: event.payment_ref.clone().unwrap_or_default() }
    }
}

/// Takes a delivery in, and tells of it: counted, timed, logged, as a span.
fn told(context: &Context, provider: &str, work: impl FnOnce() -> Result<(Stored, About), ReceiveError>) -> Result<Received, ReceiveError> {
    let own = scope::current().trace;
    let mut timer = Timer::start("callback", own.as_deref().unwrap_or_default(), context.now());
    let outcome = work();
    let took = timer.so_far();
    let result = match outcome {
        Ok((stored, about)) => {
            let known = stored.deliveries > 1;
            metrics::callback(if known { CallbackOutcome::Duplicate } else { CallbackOutcome::Stored }, took);
            log::info!(
                event = stored.id.0, provider_event = about.event_id.as_str(), reference = about.payment_ref.as_str(),
                trace = stored.trace_id.as_str(), deliveries = stored.deliveries;
                "a callback was stored"
            );
            timer.belongs_to(&stored.trace_id);
            timer.about("event", &about.event_id);
            timer.about("deliveries", stored.deliveries);
            Ok(Received { known, trace_id: stored.trace_id })
        }
        Err(error) => {
            let outcome = outcome_of(&error);
            metrics::callback(outcome, took);
            // Whoever sends many of them does not fill the log: it is counted, and the door says how many there were.
            log::debug!("a callback was not taken: {outcome:?}");
            Err(error)
        }
    };
    // What was not believed is no part of any trace.
    if result.is_ok() {
        timer.about("provider", provider);
        timer.finish(true);
    }
    result
}

fn outcome_of(error: &ReceiveError) -> CallbackOutcome {
    match error {
        ReceiveError::Unknown(_) => CallbackOutcome::UnknownProvider,
        ReceiveError::Signature(_) => CallbackOutcome::BadSignature,
        ReceiveError::Full => CallbackOutcome::Full,
        ReceiveError::Failed(_) => CallbackOutcome::Failed,
    }
}

/// Takes an event that was fetched from the provider's own list; one that is there already is left alone. Returns whether it
/// was new.
///
/// # Errors
/// Those of the database.
pub fn keep_listed(context: &Context, provider: &dyn PaymentProvider, listed: &ListedEvent) -> Result<bool, ActionError> {
    let event = new_event(context, provider, &listed.body, "backfill");
    context.database.write(|conn| {
        if inbox::is_known(conn, &event.provider, &event.merchant, &listed.event_id)? {
            return Ok(false);
        }
        store(context, conn, &event).map(|stored| stored.deliveries == 1)
    })
}

fn checked(context: &Context, provider: &str, body: &[u8], signature: Option<&str>) -> Result<NewEvent, ReceiveError> {
    let provider = context.providers.by_name(provider).ok_or_else(|| ReceiveError::Unknown(provider.to_owned()))?;
    provider.verify(body, signature, context.now().and_utc().timestamp())?;
    Ok(new_event(context, provider.as_ref(), body, "callback"))
}

/// An event that cannot be read is stored like any other: it was signed, so it says something; what fails is applying it, and
/// that is tried again by the next version of the program. What it is about is kept as far as it can be seen, so that nobody is
/// billed meanwhile who may have paid.
pub(super) fn new_event(context: &Context, provider: &dyn PaymentProvider, body: &[u8], origin: &'static str) -> NewEvent {
    let now = context.now();
    let body_sha256 = data_encoding::HEXLOWER.encode(&Sha256::digest(body));
    let about = super::read(provider, body).map_or_else(|_| provider.glimpse(body), Glimpse::of);
    NewEvent {
        provider: provider.name().to_owned(),
        merchant: provider.merchant().to_owned(),
        event_id: about.event_id.unwrap_or_else(|| body_sha256.clone()),
        event_type: about.event_type.unwrap_or_else(|| "unreadable".to_owned()),
        occurred_at: about.occurred_at.unwrap_or_else(|| now.and_utc().timestamp()),
        payment_ref: about.payment_ref,
        token: about.token,
        body: body.to_vec(),
        body_sha256,
        origin,
        received_at: now,
        // The caller's trace goes on here; whoever calls is the provider, because the signature is right.
        trace_id: scope::current().trace.map_or_else(scope::new_trace_id, |trace| trace.to_string()),
        request_id: scope::current().request.map(|request| request.to_string()),
    }
}
