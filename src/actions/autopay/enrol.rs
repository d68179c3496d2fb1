//! Enrolling: the customer saves a way to pay at the provider's own page, and the mandate becomes active once that is known.
//!
//! The attempt is stored first, then the provider is asked for its page. That the customer is through is learnt from the
//! provider itself, by the page that the customer comes back to and by the job, whichever is first; it counts once.

use chrono::TimeDelta;
use rand::Rng;

use super::{CLAIM_MINUTES, Counts, ROUND, label, state_of};
use crate::actions::account_view::{Whose, find};
use crate::actions::sign_in::{Subject, count, new_token};
use crate::actions::stop::Stop;
use crate::actions::{ActionError, Context, notices};
use crate::db::autopay::{self as rows, MandateRow, Method, NewMandate};
use crate::db::provider_payments::{self as payments, CheckoutRow, NewCheckout};
use crate::db::{DbConnection, account_views, customers, ledger, operations, sign_in};
use crate::domain::autopay::MandateState;
use crate::domain::ids::{AccountId, LoginId, MandateId};
use crate::domain::ledger::check_amount;
use crate::domain::money::Money;
use crate::domain::notices::{Addressee, AutopayActive, Facts, NewNotice};
use crate::domain::retry::{Retry, retry};
use crate::providers::{CheckoutOrder, CheckoutSession, CheckoutStatus, PaymentProvider, ProviderError, SavedMethod};

/// The first look at how far a customer got: nobody is quicker.
const FIRST_LOOK_SECONDS: i64 = 5;

/// What a customer wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// The account's number.
    pub account: String,
    /// Whose accounts the customer may work on.
    pub whose: Whose,
    /// Who is signed in.
    pub login: Option<LoginId>,
    /// Above it nothing is drawn.
    pub limit: Option<Money>,
    /// The form's own key: sent twice, it is one mandate.
    pub form_key: String,
}

/// Where an attempt stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The provider could not be reached: it can be tried again.
    NotOpened,
    /// The customer goes on at this address.
    Open(Option<String>),
    /// It is done.
    Done,
    /// It came to nothing.
    Over,
}

/// Begins a mandate: returns the attempt's token, by which [`progress`] goes on.
///
/// # Errors
/// [`ActionError::NotFound`] for an account that is not theirs, [`ActionError::Refused`] when nothing can be drawn, or for a
/// limit that is none.
pub fn begin(context: &Context, wish: &Enrolment) -> Result<String, ActionError> {
    let provider = context.providers.first().ok_or_else(|| ActionError::Refused("autopay is not set up here".to_owned()))?;
    check_limit(wish.limit)?;
    if wish.form_key.is_empty() || wish.form_key.len() > 100 {
        return Err(ActionError::Refused("the form has no key of ours: please open its page again".to_owned()));
    }
    if let Some(login) = wish.login
        && count(context, &[Subject::PaymentsOf(login)])?.is_some()
    {
        return Err(ActionError::Refused("this was begun too often: please try again later".to_owned()));
    }
    let token = context.database.write(|conn| keep(context, conn, provider.as_ref(), wish))?;
    progress(context, &token, wish.whose)?;
    Ok(token)
}

/// A limit is an amount above nothing.
pub(super) fn check_limit(limit: Option<Money>) -> Result<(), ActionError> {
    let Some(limit) = limit else { return Ok(()) };
    if limit <= Money::ZERO {
        return Err(ActionError::Refused(format!("limit: {limit} is no limit: expected more than 0, or nothing for any amount")));
    }
    check_amount(limit).map_err(|fault| ActionError::Refused(fault.replacen("amount", "limit", 1)))
}

fn keep(context: &Context, conn: &mut DbConnection, provider: &dyn PaymentProvider, wish: &Enrolment) -> Result<String, ActionError> {
    let head = find(conn, &wish.account, wish.whose)?;
    ledger::lock_accounts(conn, &[head.id])?;
    // Whoever has seen somebody's form cannot reach that attempt with it.
    let form_key = format!("autopay:{}:{}", head.id, wish.form_key);
    if let Some(known) = payments::checkout_by_form(conn, &form_key)? {
        return Ok(known.token);
    }
    let now = context.now();
    let new = NewCheckout {
        token: new_token(),
        form_key,
        provider: provider.name().to_owned(),
        merchant: provider.merchant().to_owned(),
        purpose: "mandate".to_owned(),
        amount_cents: 0,
        login_id: wish.login,
        status: "created".to_owned(),
        created_at: now,
        updated_at: now,
    };
    let checkout = payments::insert_checkout(conn, &new, &[(head.id, 0)])?;
    let mandate = NewMandate {
        account_id: head.id,
        login_id: wish.login,
        provider: new.provider,
        merchant: new.merchant,
        checkout_id: checkout,
        state: MandateState::Pending.as_str().to_owned(),
        limit_cents: wish.limit.map(Money::cents),
        created_at: now,
        attempts: 0,
        next_attempt_at: Some(now + TimeDelta::seconds(FIRST_LOOK_SECONDS)),
    };
    rows::insert_mandate(conn, &mandate)?;
    let limit = wish.limit.map_or_else(|| "no limit".to_owned(), |limit| format!("limit {limit}"));
    operations::audit(conn, now, &context.actor, "autopay.begin", &head.number, &limit)?;
    Ok(new.token)
}

/// Where an attempt stands, after asking the provider; what is learnt is written down.
///
/// # Errors
/// [`ActionError::NotFound`] for an attempt that is not theirs.
pub fn progress(context: &Context, token: &str, whose: Whose) -> Result<Progress, ActionError> {
    let missing = || ActionError::not_found("autopay", "of this address");
    let load = |conn: &mut DbConnection| {
        let checkout = payments::checkout_by_token(conn, token)?.filter(|checkout| checkout.purpose == "mandate").ok_or_else(missing)?;
        let mandate = rows::mandate_of_checkout(conn, checkout.id)?.ok_or_else(missing)?;
        let head = account_views::head_by_id(conn, mandate.account_id)?.filter(|head| whose.allows(head.person_id));
        head.ok_or_else(missing)?;
        Ok::<_, ActionError>((checkout, mandate))
    };
    let (_, mandate) = context.database.snapshot(load)?;
    if state_of(&mandate)? == MandateState::Pending {
        ask(context, mandate.id)?;
    }
    let (checkout, mandate) = context.database.snapshot(load)?;
    Ok(match state_of(&mandate)? {
        MandateState::Pending if checkout.status == "created" => Progress::NotOpened,
        MandateState::Pending => Progress::Open(checkout.session_url),
        MandateState::Active | MandateState::Paused => Progress::Done,
        MandateState::Ended | MandateState::Failed => Progress::Over,
    })
}

/// Asks the provider about customers who have not come back; gives those up who never will.
///
/// # Errors
/// Those of the database.
pub(super) fn ask_about_pending(context: &Context, stop: &Stop, counts: &mut Counts) -> Result<(), ActionError> {
    for id in context.database.read(|conn| rows::pending_mandates(conn, context.now(), ROUND))? {
        if stop.is_requested() {
            return Ok(());
        }
        let until = context.now() + TimeDelta::minutes(CLAIM_MINUTES);
        if context.database.write(|conn| rows::claim_mandate(conn, id, until).map_err(ActionError::from))? {
            match ask(context, id)? {
                MandateState::Active => counts.activated += 1,
                MandateState::Failed | MandateState::Ended => counts.ended += 1,
                MandateState::Pending | MandateState::Paused => {}
            }
        }
    }
    Ok(())
}

/// What the provider is asked about a pending mandate, and what of it is written down.
enum Learnt {
    Opened(CheckoutSession),
    Through(SavedMethod),
    Over(String),
    NotYet,
}

/// Asks the provider about one pending mandate; returns where it stands then.
fn ask(context: &Context, id: MandateId) -> Result<MandateState, ActionError> {
    let gone = || ActionError::not_found("mandate", id.to_string());
    let (mandate, checkout) = context.database.read(|conn| {
        let mandate = rows::mandate_by_id(conn, id)?.ok_or_else(gone)?;
        let checkout = payments::checkout_by_id(conn, mandate.checkout_id)?.ok_or_else(gone)?;
        Ok::<_, ActionError>((mandate, checkout))
    })?;
    let provider = context.providers.by_name(&mandate.provider).filter(|provider| provider.merchant() == mandate.merchant);
    let learnt = match provider {
        Some(provider) => learn(context, provider.as_ref(), &mandate, &checkout)?,
        None => Learnt::NotYet,
    };
    context.database.write(|conn| write_down(context, conn, id, &learnt))
}

fn learn(context: &Context, provider: &dyn PaymentProvider, mandate: &MandateRow, checkout: &CheckoutRow) -> Result<Learnt, ActionError> {
    let answer = match &checkout.session_ref {
        Some(session) => provider.checkout(session),
        None => provider.start_checkout(&context.database.read(|conn| order_of(context, conn, mandate, checkout))?),
    };
    Ok(match answer {
        Ok(CheckoutSession { method: Some(method), status: CheckoutStatus::Complete, .. }) => Learnt::Through(method),
        Ok(session) if session.status == CheckoutStatus::Expired => Learnt::Over("it was not finished in time".to_owned()),
        Ok(session) if checkout.session_ref.is_none() => Learnt::Opened(session),
        Ok(_) => Learnt::NotYet,
        Err(ProviderError::Refused { reason, .. }) => Learnt::Over(reason),
        Err(error) => {
            log::warn!("how far a customer got with autopay cannot be asked now: {}", error.kind());
            Learnt::NotYet
        }
    })
}

fn order_of(context: &Context, conn: &mut DbConnection, mandate: &MandateRow, checkout: &CheckoutRow) -> Result<CheckoutOrder, ActionError> {
    let number = customers::account_number(conn, mandate.account_id)?;
    let email = match checkout.login_id {
        Some(login) => sign_in::login(conn, login)?.map(|login| login.email),
        None => None,
    };
    let here = format!("{}/account/{}/autopay", context.config.public_url.trim_end_matches('/'), escaped(&number));
    Ok(CheckoutOrder {
        token: checkout.token.clone(),
        lines: Vec::new(),
        currency: context.config.currency.clone(),
        email,
        success_url: format!("{here}?attempt={}", checkout.token),
        cancel_url: here,
        save_method: true,
    })
}

/// An account's number as a part of an address.
fn escaped(part: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    part.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Whether a customer can be sent there.
fn is_web_address(url: &str) -> bool {
    (url.starts_with("https://") || url.starts_with("http://")) && url.len() <= 4_000 && url.chars().all(|letter| letter.is_ascii_graphic())
}

fn write_down(context: &Context, conn: &mut DbConnection, id: MandateId, learnt: &Learnt) -> Result<MandateState, ActionError> {
    let gone = || ActionError::not_found("mandate", id.to_string());
    let seen = rows::mandate_by_id(conn, id)?.ok_or_else(gone)?;
    ledger::lock_accounts(conn, &[seen.account_id])?;
    let mandate = rows::mandate_by_id(conn, id)?.ok_or_else(gone)?;
    let state = state_of(&mandate)?;
    if state != MandateState::Pending {
        return Ok(state);
    }
    let now = context.now();
    if let Learnt::Through(method) = learnt {
        activate(context, conn, &mandate, method)?;
        return Ok(MandateState::Active);
    }
    if let Learnt::Opened(session) = learnt {
        let url = session.url.as_deref().filter(|url| is_web_address(url));
        payments::open_checkout(conn, mandate.checkout_id, &session.session_ref, url, now)?;
    }
    let attempts = u32::try_from(mandate.attempts).unwrap_or(u32::MAX);
    let over = match (learnt, retry(mandate.created_at, now, attempts, rand::rng().random())) {
        (Learnt::Over(why), _) => Some(why.as_str()),
        (_, Retry::GiveUp) => Some("it was never finished"),
        (_, Retry::At(next)) => {
            rows::ask_again_about(conn, id, next)?;
            None
        }
    };
    let Some(why) = over else { return Ok(MandateState::Pending) };
    rows::move_mandate(conn, id, (MandateState::Pending, MandateState::Failed), Some(why), now)?;
    payments::move_checkout(conn, mandate.checkout_id, "expired", now)?;
    let number = customers::account_number(conn, mandate.account_id)?;
    operations::audit(conn, now, &context.actor, "autopay.fail", &number, why)?;
    Ok(MandateState::Failed)
}

/// Makes a mandate active; the one before it ends, and what it has announced is drawn from the new one.
fn activate(context: &Context, conn: &mut DbConnection, mandate: &MandateRow, method: &SavedMethod) -> Result<(), ActionError> {
    let now = context.now();
    let before = rows::live_mandate(conn, mandate.account_id)?;
    if let Some(before) = &before {
        rows::move_mandate(conn, before.id, (state_of(before)?, MandateState::Ended), Some("It was replaced by a new one."), now)?;
        rows::carry_draws(conn, before.id, mandate.id)?;
    }
    let saved = Method { customer_ref: &method.customer_ref, method_ref: &method.method_ref, label: &method.label };
    rows::activate(conn, mandate.id, saved, now)?;
    payments::move_checkout(conn, mandate.checkout_id, "complete", now)?;
    let number = customers::account_number(conn, mandate.account_id)?;
    let what = before.map_or_else(|| method.label.clone(), |before| format!("{} instead of {}", method.label, label(&before)));
    operations::audit(conn, now, &context.actor, "autopay.active", &number, &what)?;
    let due_now_cents = due_and_not_drawn(conn, mandate)?;
    let facts = Facts::AutopayActive(AutopayActive {
        method: method.label.clone(),
        limit_cents: mandate.limit_cents,
        notice_days: context.config.autopay.notice_days,
        due_now_cents,
    });
    let notice =
        NewNotice { key: format!("autopay:{}:active", mandate.id), to: Addressee::Account(mandate.account_id), happened_on: context.today(), facts };
    notices::queue(conn, context, notice)
}

/// What the account owes, unless it is announced to be drawn already.
fn due_and_not_drawn(conn: &mut DbConnection, mandate: &MandateRow) -> Result<i64, ActionError> {
    let announced = rows::announced_of_mandate(conn, mandate.id)?;
    let account: AccountId = mandate.account_id;
    Ok(if announced.is_empty() { ledger::position(conn, account)?.balance.cents().max(0) } else { 0 })
}
