//! The way of one payment, from the provider's message to the ledger and the look after it, as a clerk reads it.

use std::collections::BTreeMap;

use chrono::NaiveDateTime;

use super::{ActionError, Context};
use crate::db::inbox::{self, EventRow};
use crate::db::provider_payments::{self as rows, ProviderPaymentRow};
use crate::db::trace::StepRow;
use crate::db::{customers, payments, trace};
use crate::domain::ids::{AccountId, ProviderEventId, ProviderPaymentId};

/// No page shows more steps.
const MOST_STEPS: i64 = 500;
/// Nor more events.
const MOST_EVENTS: i64 = 200;

/// A place in an account's ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The account's number.
    pub account: String,
    /// The position.
    pub seq: i64,
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What was done, as tables call it.
    pub step: String,
    /// When, UTC.
    pub at: NaiveDateTime,
    /// How long it took, in microseconds.
    pub took_us: i64,
    /// How long after the first step it was, in milliseconds.
    pub after_ms: i64,
    /// In words.
    pub detail: String,
    /// The event that it was about.
    pub event: Option<ProviderEventId>,
    /// Where in a ledger.
    pub place: Option<Place>,
}

/// The way of one payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceView {
    /// The payment.
    pub payment: ProviderPaymentRow,
    /// For which accounts, and how much, in cents.
    pub parts: Vec<(String, i64)>,
    /// Where it stands in ledgers, with the cents; the last word says whether it still does.
    pub postings: Vec<(Place, i64, &'static str)>,
    /// What the provider said of it, in the order of arrival.
    pub events: Vec<EventRow>,
    /// Every step, oldest first.
    pub steps: Vec<Step>,
    /// Whether there is more than is shown.
    pub cut: bool,
}

/// The way of one payment.
///
/// # Errors
/// [`ActionError::NotFound`].
pub fn trace(context: &Context, id: ProviderPaymentId) -> Result<TraceView, ActionError> {
    context.database.snapshot(|conn| {
        let payment = rows::by_id(conn, id)?.ok_or_else(|| ActionError::not_found("payment", id.to_string()))?;
        let reference = payment.provider_ref.as_deref();
        let token = match payment.checkout_id {
            Some(checkout) => rows::checkout_token(conn, checkout)?,
            None => None,
        };
        let mut events = inbox::of_payment(conn, &payment.provider, &payment.merchant, reference, token.as_deref(), MOST_EVENTS)?;
        events.sort_by_key(|event| event.id);
        let mut traces: Vec<&str> = events.iter().map(|event| event.trace_id.as_str()).chain([payment.trace_id.as_str()]).collect();
        traces.sort_unstable();
        traces.dedup();
        let found = trace::steps(conn, &traces, MOST_STEPS)?;
        let cut = found.len() >= usize::try_from(MOST_STEPS).unwrap_or(usize::MAX);
        // A caller may use one trace for several payments: only what is this payment's is shown.
        let ours = |event: Option<ProviderEventId>| event.is_none_or(|id| events.iter().any(|row| row.id == id));
        // What came again is told once, with how often.
        let again = |step: &StepRow| step.step == trace::RECEIVED && step.detail.contains(trace::AGAIN);
        let found: Vec<_> = found.into_iter().filter(|step| ours(step.provider_event_id) && !again(step)).collect();
        let mut numbers = Numbers::default();
        let first = found.first().map(|step| step.at);
        let mut steps = Vec::with_capacity(found.len());
        for row in found {
            let place = match (row.account_id, row.account_seq) {
                (Some(account), Some(seq)) => Some(Place { account: numbers.of(conn, account)?, seq }),
                _ => None,
            };
            let deliveries = events.iter().find(|event| Some(event.id) == row.provider_event_id).map_or(1, |event| event.deliveries);
            let times = if row.step == trace::RECEIVED && deliveries > 1 { format!("; it came {deliveries} times") } else { String::new() };
            let after_ms = first.map_or(0, |first| (row.at - first).num_milliseconds());
            steps.push(Step {
                step: row.step,
                at: row.at,
                took_us: row.took_us,
                after_ms,
                detail: row.detail + &times,
                event: row.provider_event_id,
                place,
            });
        }
        let mut parts = Vec::new();
        for (account, cents) in rows::parts(conn, id)? {
            parts.push((numbers.of(conn, account)?, cents));
        }
        let mut postings = Vec::new();
        for row in payments::of_provider_payment(conn, id)? {
            let stands = if row.returned_seq.is_none() || row.restored_seq.is_some() { "posted" } else { "returned" };
            postings.push((Place { account: numbers.of(conn, row.account_id)?, seq: row.account_seq }, row.amount_cents, stands));
        }
        Ok(TraceView { payment, parts, postings, events, steps, cut })
    })
}

/// An event of a payment, with its bytes.
///
/// # Errors
/// [`ActionError::NotFound`] also for an event of another payment.
pub fn event(context: &Context, payment: ProviderPaymentId, id: ProviderEventId) -> Result<EventRow, ActionError> {
    let view = trace(context, payment)?;
    view.events.into_iter().find(|event| event.id == id).ok_or_else(|| ActionError::not_found("event", id.to_string()))
}

/// Account numbers that were looked up.
#[derive(Default)]
struct Numbers(BTreeMap<AccountId, String>);

impl Numbers {
    fn of(&mut self, conn: &mut crate::db::DbConnection, id: AccountId) -> Result<String, ActionError> {
        if let Some(number) = self.0.get(&id) {
            return Ok(number.clone());
        }
        let number = customers::account_number(conn, id)?;
        self.0.insert(id, number.clone());
        Ok(number)
    }
}
