//! Applying one event: everything that is known of its payment is told as one story, and the ledger is brought to it.

use chrono::{NaiveDate, NaiveDateTime};

use super::post::bring_ledger_to;
use super::{MOST_EVENTS, read};
use crate::actions::{ActionError, Context};
use crate::clock::local_date;
use crate::db::inbox::{self, EventRow};
use crate::db::provider_payments::{self as rows, CheckoutRow, NewProviderPayment, ProviderPaymentRow, Standing};
use crate::db::trace::{self, NewStep};
use crate::db::{DbConnection, ledger, look_up_by_index};
use crate::domain::ids::{AccountId, ProviderEventId, ProviderPaymentId};
use crate::domain::money::Money;
use crate::domain::payments::{Fact, Story, What, story};
use crate::providers::PaymentProvider;

/// Applies an event, unless that was done before. Everything happens in one transaction.
///
/// # Errors
/// [`ActionError::Refused`] when the event cannot be read, or is about another currency; those of the database.
pub fn apply_event(context: &Context, id: ProviderEventId) -> Result<(), ActionError> {
    context.database.write(|conn| {
        look_up_by_index(conn)?;
        apply_within(context, conn, id)
    })
}

/// Applies events in one transaction: all of them, or none.
///
/// # Errors
/// As [`apply_event`].
pub(super) fn apply_together(context: &Context, events: &[ProviderEventId]) -> Result<(), ActionError> {
    context.database.write(|conn| {
        look_up_by_index(conn)?;
        events.iter().try_for_each(|id| apply_within(context, conn, *id))
    })
}

fn apply_within(context: &Context, conn: &mut DbConnection, id: ProviderEventId) -> Result<(), ActionError> {
    let Some(event) = inbox::event(conn, id)?.filter(EventRow::waits) else { return Ok(()) };
    let provider = context.providers.by_name(&event.provider).filter(|provider| provider.merchant() == event.merchant);
    let provider = provider.ok_or_else(|| ActionError::Refused(format!("no provider is called '{}' ({})", event.provider, event.merchant)))?;
    let fact = read(provider.as_ref(), &event.body).map_err(ActionError::Refused)?;
    apply(context, conn, provider.as_ref(), &event, &fact)
}

impl EventRow {
    /// Whether it is still to be applied.
    fn waits(&self) -> bool {
        self.status == "received" || self.status == "failed"
    }
}

fn apply(context: &Context, conn: &mut DbConnection, provider: &dyn PaymentProvider, event: &EventRow, fact: &Fact) -> Result<(), ActionError> {
    let now = context.now();
    move_checkout(conn, event, fact, now)?;
    if matches!(fact.what, What::Nothing) || (fact.payment_ref.is_none() && !matches!(fact.what, What::Payment(_))) {
        let applied = if matches!(fact.what, What::Nothing) { "ignored" } else { "applied" };
        inbox::mark_applied(conn, &[event.id], applied, None, now)?;
        return trace_applied(conn, event, "it moves no money", event.received_at, now);
    }
    let payment = find_or_begin(context, conn, event, fact)?;
    rows::lock(conn, payment.id)?;
    // Another server may have applied it while this one waited for the lock.
    if !inbox::event(conn, event.id)?.is_some_and(|event| event.waits()) {
        return Ok(());
    }
    let payment = rows::by_id(conn, payment.id)?.ok_or_else(|| ActionError::not_found("payment", payment.id.to_string()))?;
    let (applied, facts) = facts_of(conn, provider, &payment, event)?;
    // What is told as one story is applied with all that it says: another of its events may be the one that names the attempt.
    for fact in &facts {
        move_checkout(conn, event, fact, now)?;
        join_attempt(conn, &payment, event, fact, now)?;
    }
    let zone = context.config.time_zone;
    let day = |seconds: i64| local_date(moment(seconds), zone);
    let story = story(&facts, &day);
    if story.received.is_some() && story.currency != context.config.currency {
        let (theirs, ours) = (&story.currency, &context.config.currency);
        return Err(ActionError::Refused(format!("the payment is in '{theirs}', the ledger in '{ours}': it cannot be posted")));
    }
    let parts = parts_of(conn, &payment)?;
    lock_accounts(conn, &payment, &parts)?;
    let now = context.now();
    bring_ledger_to(context, conn, &payment, &story, &parts, now)?;
    rows::set_standing(conn, payment.id, &standing(&payment, &story, context.today(), now))?;
    inbox::mark_applied(conn, &applied, "applied", Some(payment.id), now)?;
    trace_applied(conn, event, &format!("the payment is {}", story.state.as_str()), event.received_at, now)
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
fn move_checkout(conn: &mut DbConnection, event: &EventRow, fact: &Fact, now: NaiveDateTime) -> Result<(), ActionError> {
    let status = match &fact.what {
        What::Checkout { complete: true, .. } => "complete",
        What::Checkout { expired: true, .. } => "expired",
        _ => return Ok(()),
    };
    let Some(token) = &fact.token else { return Ok(()) };
    if let Some(checkout) = rows::checkout_by_token(conn, token)?.filter(|checkout| checkout.is_at(event)) {
        rows::move_checkout(conn, checkout.id, status, now)?;
    }
    Ok(())
}

/// The first event of a payment may have told nothing of the attempt. Whether another does is only certain under the payment's lock:
/// what the other one says is applied with it, and never looked at again.
fn join_attempt(conn: &mut DbConnection, payment: &ProviderPaymentRow, event: &EventRow, fact: &Fact, now: NaiveDateTime) -> Result<(), ActionError> {
    let Some(token) = &fact.token else { return Ok(()) };
    let Some(begun) = rows::begun_as(conn, &event.provider, &event.merchant, token)?.filter(|begun| begun.id != payment.id) else { return Ok(()) };
    // Another payment of the same attempt may just be taking it.
    rows::lock(conn, begun.id)?;
    match rows::begun_as(conn, &event.provider, &event.merchant, token)?.filter(|begun| begun.id != payment.id) {
        Some(begun) if begun.provider_ref.is_none() => Ok(rows::take_over(conn, payment.id, &begun, now)?),
        Some(begun) if rows::parts(conn, payment.id)?.is_empty() => copy_parts(conn, &begun, payment.id),
        _ => Ok(()),
    }
}

/// The payment that a fact is about: by the provider's name of it, else by the attempt that it belongs to, else a new one that
/// nobody here began.
fn find_or_begin(context: &Context, conn: &mut DbConnection, event: &EventRow, fact: &Fact) -> Result<ProviderPaymentRow, ActionError> {
    let gone = || ActionError::not_found("payment", event.event_id.clone());
    let begun = begun(conn, event, fact)?;
    let Some(reference) = &fact.payment_ref else { return begun.ok_or_else(gone) };
    if let Some(payment) = rows::by_reference(conn, &event.provider, &event.merchant, reference)? {
        return Ok(payment);
    }
    // Whoever was first with another reference keeps the row: this is another payment of the same attempt then.
    if let Some(payment) = begun.as_ref().filter(|payment| payment.provider_ref.is_none())
        && rows::set_reference(conn, payment.id, reference)? == 1
    {
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

fn known_events(conn: &mut DbConnection, payment: &ProviderPaymentRow, name: &str) -> Result<Vec<EventRow>, ActionError> {
    let reference = payment.provider_ref.as_deref();
    let known = inbox::of_payment(conn, &payment.provider, &payment.merchant, reference, None, MOST_EVENTS + 1)?;
    if known.len() > usize::try_from(MOST_EVENTS).unwrap_or(usize::MAX) {
        return Err(ActionError::Refused(format!("event {name}: its payment has more than {MOST_EVENTS} events: a person must look at it")));
    }
    Ok(known)
}

/// What the known events of a payment say, and which those are. One that cannot be read fails by itself when its turn comes; it
/// keeps no other from being applied.
fn facts_of(
    conn: &mut DbConnection,
    provider: &dyn PaymentProvider,
    payment: &ProviderPaymentRow,
    event: &EventRow,
) -> Result<(Vec<ProviderEventId>, Vec<Fact>), ActionError> {
    let known = known_events(conn, payment, &event.event_id)?;
    let others = known.iter().filter(|row| row.id != event.id);
    let (mut applied, mut facts): (Vec<_>, Vec<_>) = others.filter_map(|row| read(provider, &row.body).ok().map(|fact| (row.id, fact))).unzip();
    applied.push(event.id);
    facts.push(read(provider, &event.body).map_err(ActionError::Refused)?);
    for fact in &mut facts {
        forget_strange_token(conn, payment, fact)?;
    }
    Ok((applied, facts))
}

/// A refund that bears a name which we never gave was not asked for by us: it is not in the ledger yet.
fn forget_strange_token(conn: &mut DbConnection, payment: &ProviderPaymentRow, fact: &mut Fact) -> Result<(), ActionError> {
    if let What::Refund(refund) = &mut fact.what
        && let Some(token) = &refund.token
        && rows::refund_by_token(conn, token)?.is_none_or(|row| row.provider_payment_id != Some(payment.id))
    {
        refund.token = None;
    }
    Ok(())
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

fn trace_applied(conn: &mut DbConnection, event: &EventRow, outcome: &str, since: NaiveDateTime, now: NaiveDateTime) -> Result<(), ActionError> {
    let step = NewStep {
        trace_id: event.trace_id.clone(),
        step: "applied".to_owned(),
        at: now,
        took_us: (now - since).num_microseconds().unwrap_or(0),
        detail: format!("{} {}: {outcome}", event.event_type, event.event_id),
        provider_event_id: Some(event.id),
        account_id: None,
        account_seq: None,
    };
    trace::insert(conn, &[step])?;
    Ok(())
}
