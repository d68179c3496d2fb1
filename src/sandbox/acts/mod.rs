//! What can happen to a checkout and a payment at a provider. Each verb changes the memory and says its events, in the order
//! in which Stripe says them.
//!
//! Money that comes back, whoever asks for it, is in [`back`]; money that goes to the bank in [`payout`].

pub(super) mod back;
pub(super) mod payout;

use std::collections::BTreeMap;

use serde_json::Value;

use super::journal::Record;
use super::model::{Method, Movement, Payment, PaymentStatus, Session, SessionStatus, SetupIntent, With};
use super::render;
use super::state::{MOST_THINGS, State, Timer};

/// The smallest payment, in cents: Stripe's for dollars.
pub(super) const LEAST_CENTS: i64 = 50;
/// The largest payment, in cents: Stripe's.
pub(super) const MOST_CENTS: i64 = 99_999_999;

/// Why something is not done, in Stripe's words.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub status: u16,
    pub kind: &'static str,
    pub code: &'static str,
    pub message: String,
    /// The payment that was declined.
    pub payment: Option<Value>,
}

impl Refusal {
    /// The caller asked for what is not possible.
    pub fn invalid(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: 400, kind: "invalid_request_error", code, message: message.into(), payment: None }
    }

    /// There is no such thing.
    pub fn missing(what: &str, id: &str) -> Self {
        Self { status: 404, ..Self::invalid("resource_missing", format!("No such {what}: '{}'", id.escape_default())) }
    }

    fn full() -> Self {
        let message = format!("The sandbox is full: it keeps at most {MOST_THINGS} of a kind. Start it anew.");
        Self { status: 503, kind: "api_error", code: "sandbox_full", message, payment: None }
    }
}

type Done<T = ()> = Result<T, Refusal>;

/// A payment to be begun.
pub(super) struct NewPayment {
    pub amount_cents: i64,
    pub currency: String,
    pub metadata: BTreeMap<String, String>,
    pub description: Option<String>,
    pub customer: Option<String>,
    pub session: Option<String>,
}

pub(super) fn check_amount(cents: i64) -> Done {
    match cents {
        ..LEAST_CENTS => Err(Refusal::invalid("amount_too_small", format!("Amount must be at least {LEAST_CENTS} cents"))),
        LEAST_CENTS..=MOST_CENTS => Ok(()),
        _ => Err(Refusal::invalid("amount_too_large", format!("Amount must be no more than {MOST_CENTS} cents"))),
    }
}

pub(super) fn find_payment(state: &State, id: &str) -> Done<Payment> {
    state.payments.get(id).cloned().ok_or_else(|| Refusal::missing("payment_intent", id))
}

pub(super) fn find_session(state: &State, id: &str) -> Done<Session> {
    state.sessions.get(id).cloned().ok_or_else(|| Refusal::missing("checkout.session", id))
}

pub(super) fn open_session(state: &mut State, session: Session) -> Done<Session> {
    if state.sessions.len() >= MOST_THINGS {
        return Err(Refusal::full());
    }
    state.save(Record::Session(session.clone()));
    Ok(session)
}

pub(super) fn begin_payment(state: &mut State, new: NewPayment, with: With) -> Done<Payment> {
    check_amount(new.amount_cents)?;
    if state.payments.len() >= MOST_THINGS {
        return Err(Refusal::full());
    }
    let created = state.now();
    let payment = Payment {
        id: state.name("pi_3"),
        created,
        status: PaymentStatus::Waiting,
        amount_cents: new.amount_cents,
        currency: new.currency,
        metadata: new.metadata,
        description: new.description,
        customer: new.customer,
        method: None,
        with,
        charge: None,
        charge_created: created,
        failure: None,
        refunded_cents: 0,
        session: new.session,
    };
    state.save(Record::Payment(payment.clone()));
    say(state, "payment_intent.created", &payment);
    Ok(payment)
}

/// Says an event about a payment as it is now.
fn say(state: &mut State, kind: &str, payment: &Payment) {
    let object = if kind.starts_with("charge.") { render::charge(payment) } else { render::payment(payment) };
    state.emit(kind, &payment.id, object);
}

/// Tries to take the money: a new charge.
pub(super) fn attempt(state: &mut State, id: &str, with: With, method: Option<String>) -> Done<Payment> {
    let mut payment = find_payment(state, id)?;
    if payment.status != PaymentStatus::Waiting {
        return Err(Refusal::invalid("payment_intent_unexpected_state", "This PaymentIntent cannot be confirmed: it is on its way or through."));
    }
    payment.with = with;
    payment.method = Some(method.unwrap_or_else(|| state.name("pm_1")));
    payment.charge = Some(state.name(if with.is_bank() { "py_3" } else { "ch_3" }));
    payment.charge_created = state.now();
    payment.failure = None;
    match with {
        With::Declined => {
            payment.failure = Some(("card_declined".to_owned(), "Your card was declined.".to_owned()));
            state.save(Record::Payment(payment.clone()));
            say(state, "charge.failed", &payment);
            say(state, "payment_intent.payment_failed", &payment);
        }
        With::Bank => {
            payment.status = PaymentStatus::Processing;
            state.save(Record::Payment(payment.clone()));
            say(state, "charge.pending", &payment);
            say(state, "payment_intent.processing", &payment);
            state.start_timer(Timer::Settle(payment.id.clone()));
        }
        With::Card => payment = succeed(state, payment),
    }
    Ok(payment)
}

/// The money is there.
fn succeed(state: &mut State, mut payment: Payment) -> Payment {
    payment.status = PaymentStatus::Succeeded;
    payment.failure = None;
    let (kind, fee) = if payment.with.is_bank() {
        ("payment", ((payment.amount_cents * 8 + 500) / 1000).min(500))
    } else {
        ("charge", (payment.amount_cents * 29 + 500) / 1000 + 30)
    };
    let source = payment.charge.clone().unwrap_or_default();
    move_money(state, &payment, kind, payment.amount_cents, fee, &source);
    state.save(Record::Payment(payment.clone()));
    say(state, "charge.succeeded", &payment);
    say(state, "payment_intent.succeeded", &payment);
    payment
}

/// Moves the balance; gives the movement's name.
pub(super) fn move_money(state: &mut State, payment: &Payment, kind: &str, amount_cents: i64, fee_cents: i64, source: &str) -> String {
    let id = state.name("txn_1");
    let description = payment.description.clone().unwrap_or_else(|| format!("{kind} of {}", payment.id));
    state.save(Record::Movement(Movement {
        id: id.clone(),
        created: state.now(),
        kind: kind.to_owned(),
        amount_cents,
        fee_cents,
        currency: payment.currency.clone(),
        source: source.to_owned(),
        payment: Some(payment.id.clone()),
        description,
        payout: None,
    }));
    id
}

/// The customer chose how to pay. A declined card leaves the checkout open.
pub(super) fn pay_session(state: &mut State, id: &str, with: With) -> Done<Session> {
    let mut session = find_session(state, id)?;
    if session.status != SessionStatus::Open {
        return Err(Refusal::invalid("checkout_session_not_open", "This checkout is over."));
    }
    if session.setup {
        return save_method(state, session, with);
    }
    let payment = if let Some(begun) = session.payment.as_deref() {
        find_payment(state, begun)?
    } else {
        let new = NewPayment {
            amount_cents: session.total_cents(),
            currency: session.currency.clone(),
            metadata: session.intent_metadata.clone(),
            description: session.description.clone(),
            customer: session.customer.clone(),
            session: Some(session.id.clone()),
        };
        begin_payment(state, new, with)?
    };
    session.payment = Some(payment.id.clone());
    let payment = attempt(state, &payment.id, with, None)?;
    if payment.status == PaymentStatus::Waiting {
        state.save(Record::Session(session));
        let object = render::payment(&payment);
        let message = "Your card was declined.".to_owned();
        return Err(Refusal { status: 402, kind: "card_error", code: "card_declined", message, payment: Some(object) });
    }
    session.status = SessionStatus::Complete;
    state.save(Record::Session(session.clone()));
    say_session(state, "checkout.session.completed", &session);
    Ok(session)
}

fn say_session(state: &mut State, kind: &str, session: &Session) {
    let group = session.payment.clone().unwrap_or_else(|| session.id.clone());
    let object = render::session(state, session, "");
    state.emit(kind, &group, object);
}

/// A way to pay of a customer, for later draws.
pub(super) fn new_method(state: &mut State, customer: Option<String>, with: With) -> Done<Method> {
    if state.methods.len() >= MOST_THINGS {
        return Err(Refusal::full());
    }
    let customer = customer.unwrap_or_else(|| state.name("cus_"));
    let method = Method { id: state.name("pm_1"), created: state.now(), customer: Some(customer), with };
    state.save(Record::Method(method.clone()));
    Ok(method)
}

fn save_method(state: &mut State, mut session: Session, with: With) -> Done<Session> {
    let method = new_method(state, session.customer.clone(), with)?;
    let customer = method.customer.clone().unwrap_or_default();
    let setup = SetupIntent {
        id: state.name("seti_1"),
        created: state.now(),
        customer: customer.clone(),
        method: method.id.clone(),
        metadata: session.intent_metadata.clone(),
    };
    state.save(Record::SetupIntent(setup.clone()));
    session.setup_intent = Some(setup.id.clone());
    session.customer = Some(customer);
    session.status = SessionStatus::Complete;
    state.save(Record::Session(session.clone()));
    state.emit("payment_method.attached", &session.id, render::method(&method));
    state.emit("setup_intent.succeeded", &session.id, render::setup_intent(&setup));
    say_session(state, "checkout.session.completed", &session);
    Ok(session)
}

/// The checkout can no longer be paid.
pub(super) fn expire_session(state: &mut State, id: &str) -> Done<Session> {
    let mut session = find_session(state, id)?;
    if session.status != SessionStatus::Open {
        return Err(Refusal::invalid("checkout_session_not_open", "Only Checkout Sessions with a status in [\"open\"] can be expired."));
    }
    session.status = SessionStatus::Expired;
    state.save(Record::Session(session.clone()));
    say_session(state, "checkout.session.expired", &session);
    Ok(session)
}

/// Money that was on its way is there; or, late, money that had failed.
pub(super) fn settle(state: &mut State, id: &str) -> Done<Payment> {
    let payment = find_payment(state, id)?;
    let late = payment.status == PaymentStatus::Waiting && payment.charge.is_some();
    if payment.status != PaymentStatus::Processing && !late {
        return Err(Refusal::invalid("payment_intent_unexpected_state", "Nothing is on its way."));
    }
    let payment = succeed(state, payment);
    if let Some(session) = payment.session.as_deref().and_then(|id| state.sessions.get(id)).cloned()
        && session.status == SessionStatus::Complete
    {
        say_session(state, "checkout.session.async_payment_succeeded", &session);
    }
    Ok(payment)
}

/// Money that was on its way does not come; or, a correction, money that had been there was never there.
pub(super) fn fail(state: &mut State, id: &str) -> Done<Payment> {
    let mut payment = find_payment(state, id)?;
    let was = payment.status;
    if !matches!(was, PaymentStatus::Processing | PaymentStatus::Succeeded) {
        return Err(Refusal::invalid("payment_intent_unexpected_state", "Only what is on its way or there can fail."));
    }
    if was == PaymentStatus::Succeeded {
        let source = payment.charge.clone().unwrap_or_default();
        move_money(state, &payment, "adjustment", -payment.amount_cents, 0, &source);
    }
    payment.status = PaymentStatus::Waiting;
    let (code, words) = if payment.with.is_bank() {
        ("insufficient_funds", "The customer's account has insufficient funds to cover this payment.")
    } else {
        ("card_declined", "Your card was declined.")
    };
    payment.failure = Some((code.to_owned(), words.to_owned()));
    state.save(Record::Payment(payment.clone()));
    say(state, "charge.failed", &payment);
    say(state, "payment_intent.payment_failed", &payment);
    let session = payment.session.as_deref().and_then(|id| state.sessions.get(id)).cloned();
    if let Some(session) = session.filter(|session| session.status == SessionStatus::Complete) {
        say_session(state, "checkout.session.async_payment_failed", &session);
    }
    Ok(payment)
}

/// A correction: the payment was of another amount.
pub(super) fn correct(state: &mut State, id: &str, amount_cents: i64) -> Done<Payment> {
    check_amount(amount_cents)?;
    let mut payment = find_payment(state, id)?;
    if payment.status != PaymentStatus::Succeeded {
        return Err(Refusal::invalid("payment_intent_unexpected_state", "Only a payment that succeeded can be corrected."));
    }
    if amount_cents < payment.refunded_cents {
        return Err(Refusal::invalid("amount_too_small", "More than that was refunded."));
    }
    let difference = amount_cents - payment.amount_cents;
    if difference != 0 {
        let source = payment.charge.clone().unwrap_or_default();
        move_money(state, &payment, "adjustment", difference, 0, &source);
    }
    payment.amount_cents = amount_cents;
    state.save(Record::Payment(payment.clone()));
    say(state, "payment_intent.succeeded", &payment);
    Ok(payment)
}

/// The payment is given up before any money moved.
pub(super) fn cancel(state: &mut State, id: &str) -> Done<Payment> {
    let mut payment = find_payment(state, id)?;
    if payment.status != PaymentStatus::Waiting {
        return Err(Refusal::invalid("payment_intent_unexpected_state", "You cannot cancel this PaymentIntent: it is on its way or through."));
    }
    payment.status = PaymentStatus::Canceled;
    state.save(Record::Payment(payment.clone()));
    say(state, "payment_intent.canceled", &payment);
    Ok(payment)
}
