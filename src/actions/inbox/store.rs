//! Taking an event in: signature, bytes, commit. What it means comes later.

use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Mutex, PoisonError};
use std::thread;

use rand::Rng;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::actions::{ActionError, Context};
use crate::db::inbox::{self, NewEvent, Stored};
use crate::db::trace::{self, NewStep};
use crate::db::{DbConnection, look_up_by_index};
use crate::domain::payments::Fact;
use crate::providers::{ListedEvent, PaymentProvider, SignatureError};

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
        let event = checked(context, provider, body, signature)?;
        if self.waiting.fetch_add(1, std::sync::atomic::Ordering::SeqCst) >= LONGEST_QUEUE {
            self.waiting.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
            return Err(ReceiveError::Full);
        }
        let (reply, answer) = mpsc::sync_channel(1);
        let sent = self.queue.lock().unwrap_or_else(PoisonError::into_inner).send((event, reply));
        let stored = sent.map_err(|_| "the inbox is closed".to_owned()).and_then(|()| answer.recv().map_err(|error| error.to_string())?);
        self.waiting.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
        match stored {
            Ok(stored) => Ok(Received { known: stored.deliveries > 1, trace_id: stored.trace_id }),
            Err(fault) => Err(ReceiveError::Failed(ActionError::Refused(fault))),
        }
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
    let again = if stored.deliveries > 1 { format!(", delivery {}", stored.deliveries) } else { String::new() };
    // Of an event that comes without end the first deliveries tell enough; the row counts the rest.
    if stored.deliveries <= 10 {
        let took_us = (now - event.received_at).num_microseconds().unwrap_or(0);
        let step = NewStep {
            trace_id: stored.trace_id.clone(),
            step: if event.origin == "backfill" { "fetched".to_owned() } else { "received".to_owned() },
            at: now,
            took_us,
            detail: format!("{} {} from {}{again}", event.event_type, event.event_id, event.provider),
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
    let event = checked(context, provider, body, signature)?;
    let stored = store_one(context, &event)?;
    Ok(Received { known: stored.deliveries > 1, trace_id: stored.trace_id })
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
/// that is tried again by the next version of the program.
fn new_event(context: &Context, provider: &dyn PaymentProvider, body: &[u8], origin: &'static str) -> NewEvent {
    let now = context.now();
    let body_sha256 = data_encoding::HEXLOWER.encode(&Sha256::digest(body));
    let fact = super::read(provider, body).ok();
    let of = |field: fn(&Fact) -> String| fact.as_ref().map(field);
    NewEvent {
        provider: provider.name().to_owned(),
        merchant: provider.merchant().to_owned(),
        event_id: of(|fact| fact.event_id.clone()).unwrap_or_else(|| body_sha256.clone()),
        event_type: of(|fact| fact.event_type.clone()).unwrap_or_else(|| "unreadable".to_owned()),
        occurred_at: fact.as_ref().map_or_else(|| now.and_utc().timestamp(), |fact| fact.occurred_at),
        payment_ref: fact.as_ref().and_then(|fact| fact.payment_ref.clone()),
        token: fact.as_ref().and_then(|fact| fact.token.clone()),
        body: body.to_vec(),
        body_sha256,
        origin,
        received_at: now,
        trace_id: new_trace_id(),
    }
}

/// A trace's name, as the W3C's trace context has it: 32 hexadecimal digits.
pub(in crate::actions) fn new_trace_id() -> String {
    let bytes: [u8; 16] = rand::rng().random();
    data_encoding::HEXLOWER.encode(&bytes)
}
