//! Applying one event: everything that is known of its payment is told as one story, and the ledger is brought to it.

use chrono::{NaiveDate, NaiveDateTime};

use super::post::{Moment, Written, bring_ledger_to};
use super::store::new_event;
use super::{MOST_EVENTS, read};
use crate::actions::autopay::follow::follow_within;
use crate::actions::{ActionError, Context};
use crate::clock::local_date;
use crate::db::inbox::{self, EventRow, NewEvent};
use crate::db::provider_payments::{self as rows, CheckoutRow, NewProviderPayment, ProviderPaymentRow, Standing};
use crate::db::trace::{self, NewStep};
use crate::db::{DbConnection, ledger, look_up_by_index};
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
    scope::within(scope_of(id), || {
        let applied = context.database.write(|conn| {
            look_up_by_index(conn)?;
            apply_within(context, conn, id)
        })?;
        tell(applied);
        Ok(())
    })
}

/// Applies events in one transaction: all of them, or none.
///
/// # Errors
/// As [`apply_event`].
pub(super) fn apply_together(context: &Context, events: &[ProviderEventId]) -> Result<(), ActionError> {
    let applied: Vec<Option<Applied>> = context.database.write(|conn| {
        look_up_by_index(conn)?;
        events.iter().map(|id| scope::within(scope_of(*id), || apply_within(context, conn, *id))).collect::<Result<_, ActionError>>()
    })?;
    for (id, applied) in events.iter().zip(applied) {
        scope::within(scope_of(*id), || tell(applied));
    }
    Ok(())
}

fn scope_of(id: ProviderEventId) -> Scope {
    Scope { event: Some(id.0), ..scope::current() }
}

/// What is told of an attempt is true only once it is committed.
fn tell(applied: Option<Applied>) {
    if let Some(applied) = applied {
        applied.tell();
    }
}

fn apply_within(context: &Context, conn: &mut DbConnection, id: ProviderEventId) -> Result<Option<Applied>, ActionError> {
    let Some(event) = inbox::event(conn, id)?.filter(EventRow::waits) else { return Ok(None) };
    let timer = Timer::start("apply", &event.trace_id, context.now()).part_of(None);
    let provider = context.providers.by_name(&event.provider).filter(|provider| provider.merchant() == event.merchant);
    let provider = provider.ok_or_else(|| ActionError::Refused(format!("no provider is called '{}' ({})", event.provider, event.merchant)))?;
    let fact = read(provider.as_ref(), &event.body).map_err(ActionError::Refused)?;
    if fact.event_id != event.event_id {
        take_in_again(context, conn, provider.as_ref(), &event)?;
        return Ok(None);
    }
    apply(context, conn, provider.as_ref(), &event, &fact, timer)
}

/// An event that nobody could read when it came is kept without its names. Now that it can be read it is taken in with them, so
/// that its payment finds it, and has its turn.
fn take_in_again(context: &Context, conn: &mut DbConnection, provider: &dyn PaymentProvider, event: &EventRow) -> Result<(), ActionError> {
    let origin = if event.origin == "backfill" { "backfill" } else { "callback" };
    let again = NewEvent { trace_id: event.trace_id.clone(), ..new_event(context, provider, &event.body, origin) };
    inbox::store(conn, &again)?;
    inbox::mark_applied(conn, &[event.id], "ignored", None, context.now())?;
    Ok(())
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
) -> Result<Option<Applied>, ActionError> {
    let now = context.now();
    let checkout = checkout_of(conn, event, fact)?;
    if let Some(checkout) = &checkout {
        move_checkout(conn, checkout, &fact.what, now)?;
    }
    if matches!(fact.what, What::Nothing) || (fact.payment_ref.is_none() && !matches!(fact.what, What::Payment(_))) {
        let applied = if matches!(fact.what, What::Nothing) { "ignored" } else { "applied" };
        inbox::mark_applied(conn, &[event.id], applied, None, now)?;
        trace_applied(conn, event, "it moves no money", &timer, now)?;
        return Ok(Some(Applied { event: event.clone(), payment: None, written: Vec::new(), timer }));
    }
    let payment = find_or_begin(context, conn, event, fact)?;
    rows::lock(conn, payment.id)?;
    // Another server may have applied it while this one waited for the lock.
    if !inbox::event(conn, event.id)?.is_some_and(|event| event.waits()) {
        return Ok(None);
    }
    let payment = rows::by_id(conn, payment.id)?.ok_or_else(|| ActionError::not_found("payment", payment.id.to_string()))?;
    let (applied, facts) = facts_of(conn, provider, &payment, event)?;
    // What is told as one story is applied with all that it says: another of its events may be the one that names the attempt.
    for fact in &facts {
        if let Some(checkout) = checkout_of(conn, event, fact)? {
            move_checkout(conn, &checkout, &fact.what, now)?;
        }
    }
    join_with_begun(conn, &payment, &facts, now)?;
    let story = told(context, &facts);
    if story.received.is_some() && story.currency != context.config.currency {
        let (theirs, ours) = (&story.currency, &context.config.currency);
        return Err(ActionError::Refused(format!("the payment is in '{theirs}', the ledger in '{ours}': it cannot be posted")));
    }
    let parts = parts_of(conn, &payment)?;
    lock_accounts(conn, &payment, &parts)?;
    let now = context.now();
    let written = bring_ledger_to(context, conn, &payment, &story, &parts, Moment { now, event: Some(event.id) })?;
    rows::set_standing(conn, payment.id, &standing(&payment, &story, context.today(), now))?;
    follow_within(context, conn, payment.id, (story.state, story.reason.as_deref()), now)?;
    inbox::mark_applied(conn, &applied, "applied", Some(payment.id), now)?;
    let state = story.state.as_str();
    trace_applied(conn, event, &format!("the payment is {state}"), &timer, now)?;
    Ok(Some(Applied { event: event.clone(), payment: Some((payment.id, state)), written, timer }))
}

/// What facts tell, in the utility's days.
pub(super) fn told(context: &Context, facts: &[Fact]) -> Story {
    let zone = context.config.time_zone;
    story(facts, &|seconds| local_date(moment(seconds), zone))
}

/// The attempt that a fact belongs to, at the provider that the event came from.
fn checkout_of(conn: &mut DbConnection, event: &EventRow, fact: &Fact) -> Result<Option<CheckoutRow>, ActionError> {
    let Some(token) = &fact.token else { return Ok(None) };
    Ok(rows::checkout_by_token(conn, token)?.filter(|checkout| checkout.is_at(event)))
}

impl CheckoutRow {
    /// Whether the event comes from where the attempt was made.
    fn is_at(&self, event: &EventRow) -> bool {
        self.provider == event.provider && self.merchant == event.merchant
    }
}

/// From the second day of the year 1 to the first day of the year 10000, in seconds since 1970.
const CALENDAR: (i64, i64) = (-62_135_510_400, 253_402_387_199);

/// A moment that a provider told. What lies outside the calendar ends at its edge, which is no day of the books either.
pub(super) fn moment(seconds: i64) -> NaiveDateTime {
    chrono::DateTime::from_timestamp(seconds.clamp(CALENDAR.0, CALENDAR.1), 0).unwrap_or_default().naive_utc()
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

/// The first event of a payment may have told nothing of the attempt (a refund came before the payment): then the attempt's own
/// row still waits for a reference that this one has, and hands over what it was meant for. Should the events name several
/// attempts, the oldest by the provider's time decides, whichever came first. The caller holds the payment's lock.
fn join_with_begun(conn: &mut DbConnection, payment: &ProviderPaymentRow, facts: &[Fact], now: NaiveDateTime) -> Result<(), ActionError> {
    let named = facts.iter().filter_map(|fact| fact.token.as_ref().map(|token| (fact.occurred_at, &fact.event_id, token)));
    let Some((_, _, token)) = named.min() else { return Ok(()) };
    let another = |conn: &mut DbConnection| rows::begun_as(conn, &payment.provider, &payment.merchant, token);
    let Some(begun) = another(conn)?.filter(|begun| begun.id != payment.id) else { return Ok(()) };
    // Another payment of the same attempt may just be taking it: what it took is seen under the lock.
    rows::lock(conn, begun.id)?;
    match another(conn)?.filter(|begun| begun.id != payment.id) {
        Some(begun) if begun.provider_ref.is_none() => Ok(rows::take_over(conn, payment.id, &begun, now)?),
        // Paid twice under one attempt: this money is for the same accounts.
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
            made_on: context.today(),
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
    // Asked first: a storm of events does not read them all for each of them.
    if let Some(reference) = reference
        && inbox::has_more_than(conn, &payment.provider, &payment.merchant, reference, MOST_EVENTS)?
    {
        return Err(ActionError::Refused(format!("event {name}: its payment has more than {MOST_EVENTS} events: a person must look at it")));
    }
    Ok(inbox::of_payment(conn, &payment.provider, &payment.merchant, reference, None, MOST_EVENTS)?)
}

/// What events say, without those that cannot be read and were never applied. One that was applied is in the ledger: a story without
/// it would take its money out.
fn understood(provider: &dyn PaymentProvider, events: &[EventRow]) -> Result<Vec<(ProviderEventId, Fact)>, ActionError> {
    let mut understood = Vec::with_capacity(events.len());
    for event in events {
        match read(provider, &event.body) {
            Ok(fact) => understood.push((event.id, fact)),
            Err(reason) if event.status == "applied" => {
                return Err(ActionError::Refused(format!("event {} was applied and cannot be read any more: {reason}", event.event_id)));
            }
            Err(_) => {}
        }
    }
    Ok(understood)
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
    let others: Vec<EventRow> = known.into_iter().filter(|row| row.id != event.id).collect();
    let (mut applied, mut facts): (Vec<_>, Vec<_>) = understood(provider, &others)?.into_iter().unzip();
    applied.push(event.id);
    facts.push(read(provider, &event.body).map_err(ActionError::Refused)?);
    forget_strange_tokens(conn, payment, &mut facts)?;
    Ok((applied, facts))
}

fn forget_strange_tokens(conn: &mut DbConnection, payment: &ProviderPaymentRow, facts: &mut [Fact]) -> Result<(), ActionError> {
    for fact in facts {
        forget_strange_token(conn, payment, fact)?;
    }
    Ok(())
}

/// What of these events can be read, as applying them would take it.
pub(super) fn readable_facts(
    conn: &mut DbConnection,
    provider: &dyn PaymentProvider,
    payment: &ProviderPaymentRow,
    known: &[EventRow],
) -> Result<Vec<Fact>, ActionError> {
    let mut facts: Vec<Fact> = understood(provider, known)?.into_iter().map(|(_, fact)| fact).collect();
    forget_strange_tokens(conn, payment, &mut facts)?;
    Ok(facts)
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

/// What is known of a payment that was applied before.
pub(super) fn facts_known(provider: &dyn PaymentProvider, conn: &mut DbConnection, payment: &ProviderPaymentRow) -> Result<Vec<Fact>, ActionError> {
    let known = known_events(conn, payment, payment.provider_ref.as_deref().unwrap_or_default())?;
    readable_facts(conn, provider, payment, &known)
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

pub(super) fn standing(payment: &ProviderPaymentRow, story: &Story, today: NaiveDate, now: NaiveDateTime) -> Standing {
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
