//! Applying one event: everything that is known of its payment is told as one story, and the ledger is brought to it.

use chrono::{NaiveDate, NaiveDateTime};

use super::MOST_EVENTS;
use super::post::{Moment, Written, bring_ledger_to};
use crate::actions::{ActionError, Context};
use crate::clock::local_date;
use crate::db::inbox::{self, EventRow};
use crate::db::provider_payments::{self as rows, CheckoutRow, NewProviderPayment, ProviderPaymentRow, Standing};
use crate::db::trace::{self, NewStep};
use crate::db::{DbConnection, ledger};
use crate::domain::ids::{AccountId, ProviderEventId, ProviderPaymentId};
use crate::domain::money::Money;
use crate::domain::payments::{Fact, Story, What, story};
use crate::providers::PaymentProvider;
use crate::telemetry::otlp;
use crate::telemetry::scope::{self, Scope};
use crate::telemetry::spans::{Span, Timer};

/// Applies an event, unless that was done before. Everything happens in one transaction.
///
/// # Errors
/// [`ActionError::Refused`] when the event cannot be read, or is about another currency; those of the database.
pub fn apply_event(context: &Context, id: ProviderEventId) -> Result<(), ActionError> {
    let scope = Scope { event: Some(id.0), ..scope::current() };
    scope::within(scope, || {
        // What is told of an attempt is true only once it is committed.
        let applied = context.database.write(|conn| {
            let Some(event) = inbox::event(conn, id)?.filter(EventRow::waits) else { return Ok(None) };
            let timer = Timer::start("apply", &event.trace_id, context.now()).part_of(None);
            let provider = context.providers.by_name(&event.provider).filter(|provider| provider.merchant() == event.merchant);
            let provider =
                provider.ok_or_else(|| ActionError::Refused(format!("no provider is called '{}' ({})", event.provider, event.merchant)))?;
            let fact = provider.read(&event.body).map_err(ActionError::Refused)?;
            apply(context, conn, provider.as_ref(), &event, &fact, timer).map(Some)
        })?;
        if let Some(applied) = applied {
            applied.tell();
        }
        Ok(())
    })
}

/// What applying an event did, to be told once it is committed.
struct Applied {
    event: EventRow,
    /// Payment and state; none for an event that moves no money.
    payment: Option<(ProviderPaymentId, &'static str)>,
    written: Vec<Written>,
    timer: Timer,
}

impl Applied {
    /// Hands spans and a line for the log on.
    fn tell(mut self) {
        let timer = &mut self.timer;
        timer.about("event", &self.event.event_id);
        timer.about("type", &self.event.event_type);
        let mut parts = Vec::new();
        // Rows are written one after the other: when each began is told from what those before it took.
        for written in &self.written {
            let mut part = Timer::start("ledger write", &self.event.trace_id, self.event.received_at).part_of(Some(timer.id()));
            part.about("step", &written.step);
            part.about("account", written.account);
            part.about("position", written.seq);
            parts.push(Span { took: written.took, ..part.end(true) });
        }
        if let Some((payment, state)) = self.payment {
            timer.about("payment", payment);
            timer.about("state", state);
        }
        let event = &self.event;
        let reference = event.payment_ref.as_deref().unwrap_or_default();
        let (payment, state) = self.payment.map_or((0, "none"), |(payment, state)| (payment.0, state));
        log::info!(
            payment, reference, provider_event = event.event_id.as_str(), trace = event.trace_id.as_str(), rows = self.written.len();
            "an event was applied ({state})"
        );
        let span = self.timer.end(true);
        let mut began = span.began_at;
        for part in &mut parts {
            part.began_at = began;
            began += chrono::TimeDelta::from_std(part.took).unwrap_or_default();
        }
        parts.into_iter().chain([span]).for_each(otlp::send);
    }
}

impl EventRow {
    /// Whether it is still to be applied.
    fn waits(&self) -> bool {
        self.status == "received" || self.status == "failed"
    }
}

fn apply(
    context: &Context,
    conn: &mut DbConnection,
    provider: &dyn PaymentProvider,
    event: &EventRow,
    fact: &Fact,
    timer: Timer,
) -> Result<Applied, ActionError> {
    let now = context.now();
    if let Some(token) = &fact.token
        && let Some(checkout) = rows::checkout_by_token(conn, token)?.filter(|checkout| checkout.is_at(event))
    {
        move_checkout(conn, &checkout, &fact.what, now)?;
    }
    if matches!(fact.what, What::Nothing) || (fact.payment_ref.is_none() && !matches!(fact.what, What::Payment(_))) {
        let applied = if matches!(fact.what, What::Nothing) { "ignored" } else { "applied" };
        inbox::mark_applied(conn, &[event.id], applied, None, now)?;
        trace_applied(conn, event, "it moves no money", &timer, now)?;
        return Ok(Applied { event: event.clone(), payment: None, written: Vec::new(), timer });
    }
    let payment = find_or_begin(context, conn, event, fact)?;
    rows::lock(conn, payment.id)?;
    let payment = rows::by_id(conn, payment.id)?.ok_or_else(|| ActionError::not_found("payment", payment.id.to_string()))?;
    let known = known_events(conn, &payment, &event.event_id)?;
    let story = told(context, &facts_of(provider, &known, event)?);
    if story.received.is_some() && story.currency != context.config.currency {
        let (theirs, ours) = (&story.currency, &context.config.currency);
        return Err(ActionError::Refused(format!("the payment is in '{theirs}', the ledger in '{ours}': it cannot be posted")));
    }
    let parts = parts_of(conn, &payment)?;
    lock_accounts(conn, &payment, &parts)?;
    let now = context.now();
    let written = bring_ledger_to(context, conn, &payment, &story, &parts, Moment { now, event: event.id })?;
    rows::set_standing(conn, payment.id, &standing(&payment, &story, context.today(), now))?;
    let applied: Vec<ProviderEventId> = known.iter().map(|event| event.id).chain([event.id]).collect();
    inbox::mark_applied(conn, &applied, "applied", Some(payment.id), now)?;
    let state = story.state.as_str();
    trace_applied(conn, event, &format!("the payment is {state}"), &timer, now)?;
    Ok(Applied { event: event.clone(), payment: Some((payment.id, state)), written, timer })
}

/// What facts tell, in the utility's days.
pub(super) fn told(context: &Context, facts: &[Fact]) -> Story {
    let zone = context.config.time_zone;
    story(facts, &|seconds| local_date(moment(seconds), zone))
}

impl CheckoutRow {
    /// Whether the event comes from where the attempt was made.
    fn is_at(&self, event: &EventRow) -> bool {
        self.provider == event.provider && self.merchant == event.merchant
    }
}

fn moment(seconds: i64) -> NaiveDateTime {
    chrono::DateTime::from_timestamp(seconds, 0).unwrap_or_default().naive_utc()
}

/// A checkout that is through stays so, whatever arrives late.
fn move_checkout(conn: &mut DbConnection, checkout: &CheckoutRow, what: &What, now: NaiveDateTime) -> Result<(), ActionError> {
    let status = match what {
        What::Checkout { complete: true, .. } => "complete",
        What::Checkout { expired: true, .. } => "expired",
        _ => return Ok(()),
    };
    rows::move_checkout(conn, checkout.id, status, now)?;
    Ok(())
}

/// The payment that a fact is about: by the provider's name of it, else by the attempt that it belongs to, else a new one that
/// nobody here began.
fn find_or_begin(context: &Context, conn: &mut DbConnection, event: &EventRow, fact: &Fact) -> Result<ProviderPaymentRow, ActionError> {
    let gone = || ActionError::not_found("payment", event.event_id.clone());
    let begun = begun(conn, event, fact)?;
    let Some(reference) = &fact.payment_ref else { return begun.ok_or_else(gone) };
    if let Some(payment) = rows::by_reference(conn, &event.provider, &event.merchant, reference)? {
        match begun {
            // The first event of it told nothing of the attempt.
            Some(begun) if begun.id != payment.id && begun.provider_ref.is_none() => rows::take_over(conn, payment.id, &begun, context.now())?,
            Some(begun) if begun.id != payment.id && rows::parts(conn, payment.id)?.is_empty() => copy_parts(conn, &begun, payment.id)?,
            _ => {}
        }
        return Ok(payment);
    }
    if let Some(payment) = begun.as_ref().filter(|payment| payment.provider_ref.is_none()) {
        rows::set_reference(conn, payment.id, reference)?;
        return rows::by_id(conn, payment.id)?.ok_or_else(gone);
    }
    // Either nobody here began it, or the attempt was paid under another reference before: this money came, too.
    let now = context.now();
    let id = rows::insert(
        conn,
        &NewProviderPayment {
            provider: event.provider.clone(),
            merchant: event.merchant.clone(),
            provider_ref: Some(reference.clone()),
            checkout_id: None,
            state: "created".to_owned(),
            amount_cents: 0,
            currency: context.config.currency.clone(),
            tender: "card".to_owned(),
            made_on: local_date(moment(fact.occurred_at), context.config.time_zone),
            trace_id: event.trace_id.clone(),
            created_at: now,
            updated_at: now,
        },
    )?;
    if let Some(begun) = &begun {
        copy_parts(conn, begun, id)?;
    }
    rows::by_id(conn, id)?.ok_or_else(gone)
}

/// What was begun here under the name that the event repeats, or that another event of the same payment does.
fn begun(conn: &mut DbConnection, event: &EventRow, fact: &Fact) -> Result<Option<ProviderPaymentRow>, ActionError> {
    let token = match (&fact.token, &fact.payment_ref) {
        (Some(token), _) => Some(token.clone()),
        (None, Some(reference)) => inbox::token_of(conn, &event.provider, &event.merchant, reference)?,
        (None, None) => None,
    };
    let Some(token) = token else { return Ok(None) };
    Ok(rows::begun_as(conn, &event.provider, &event.merchant, &token)?)
}

fn copy_parts(conn: &mut DbConnection, from: &ProviderPaymentRow, to: ProviderPaymentId) -> Result<(), ActionError> {
    let parts = rows::parts(conn, from.id)?;
    rows::set_parts(conn, to, &parts)?;
    Ok(())
}

pub(super) fn known_events(conn: &mut DbConnection, payment: &ProviderPaymentRow, name: &str) -> Result<Vec<EventRow>, ActionError> {
    let reference = payment.provider_ref.as_deref();
    let known = inbox::of_payment(conn, &payment.provider, &payment.merchant, reference, None, MOST_EVENTS + 1)?;
    if known.len() > usize::try_from(MOST_EVENTS).unwrap_or(usize::MAX) {
        return Err(ActionError::Refused(format!("event {name}: its payment has more than {MOST_EVENTS} events: a person must look at it")));
    }
    Ok(known)
}

/// What the known events say. One that cannot be read fails by itself when its turn comes; it keeps no other from being applied.
fn facts_of(provider: &dyn PaymentProvider, known: &[EventRow], event: &EventRow) -> Result<Vec<Fact>, ActionError> {
    let mut facts: Vec<Fact> = known.iter().filter(|row| row.id != event.id).filter_map(|row| provider.read(&row.body).ok()).collect();
    facts.push(provider.read(&event.body).map_err(ActionError::Refused)?);
    Ok(facts)
}

pub(super) fn parts_of(conn: &mut DbConnection, payment: &ProviderPaymentRow) -> Result<Vec<(AccountId, Money)>, ActionError> {
    let parts = rows::parts(conn, payment.id)?;
    Ok(parts.into_iter().map(|(account, cents)| (account, Money::from_cents(cents))).collect())
}

/// Every account whose ledger may move: those that the money is for, and those that it was posted to before.
pub(super) fn lock_accounts(conn: &mut DbConnection, payment: &ProviderPaymentRow, parts: &[(AccountId, Money)]) -> Result<(), ActionError> {
    let mut accounts: Vec<AccountId> = parts.iter().map(|(account, _)| *account).collect();
    accounts.extend(crate::db::payments::of_provider_payment(conn, payment.id)?.iter().map(|row| row.account_id));
    accounts.extend(rows::taken_of(conn, payment.id)?.iter().map(|row| row.account_id));
    accounts.sort_unstable();
    accounts.dedup();
    ledger::lock_accounts(conn, &accounts)?;
    Ok(())
}

fn standing(payment: &ProviderPaymentRow, story: &Story, today: NaiveDate, now: NaiveDateTime) -> Standing {
    let known = story.made_on.is_some();
    Standing {
        state: story.state.as_str().to_owned(),
        amount_cents: if known { story.amount.cents() } else { payment.amount_cents },
        currency: if known { story.currency.clone() } else { payment.currency.clone() },
        tender: if story.from_bank { "transfer" } else { "card" }.to_owned(),
        made_on: story.made_on.unwrap_or(today.min(payment.made_on)),
        reason: story.reason.clone(),
        last_event_id: story.newest.as_ref().map(|(_, id)| id.clone()),
        last_event_at: story.newest.as_ref().map(|(at, _)| *at),
        updated_at: now,
    }
}

/// Notes that an event was applied, and what the work on it took.
fn trace_applied(conn: &mut DbConnection, event: &EventRow, outcome: &str, timer: &Timer, now: NaiveDateTime) -> Result<(), ActionError> {
    let step = NewStep {
        trace_id: event.trace_id.clone(),
        step: trace::APPLIED.to_owned(),
        at: now,
        took_us: i64::try_from(timer.so_far().as_micros()).unwrap_or(i64::MAX),
        detail: format!("{} {}: {outcome}", event.event_type, event.event_id),
        provider_event_id: Some(event.id),
        account_id: None,
        account_seq: None,
    };
    trace::insert(conn, &[step])?;
    Ok(())
}
