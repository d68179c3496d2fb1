//! Beginning an attempt: it is stored first, then the provider is asked for its page, outside any transaction. Whatever happens
//! in between, the same form finds the same attempt, and the provider the same session.

use sha2::{Digest, Sha256};

use super::payable::{MOST_ACCOUNTS, check_amount, total, under_least};
use crate::actions::account_view::{Whose, find};
use crate::actions::sign_in::{Attempt, Subject, count, new_token};
use crate::actions::{ActionError, Context};
use crate::db::provider_payments::{self as rows, CheckoutRow, NewCheckout, NewProviderPayment, Standing};
use crate::db::trace::{self, NewStep};
use crate::db::{DbConnection, account_views, sign_in};
use crate::domain::ids::{AccountId, CheckoutId, LoginId, PersonId};
use crate::domain::money::Money;
use crate::domain::payments::PaymentState;
use crate::providers::{CheckoutOrder, CheckoutSession, CheckoutStatus, PaymentProvider, ProviderError};
use crate::telemetry::scope::new_trace_id;
use crate::telemetry::spans::Timer;

/// The length of the key of a form: a token of ours.
const KEY_LENGTH: usize = 43;

/// Who pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payer {
    /// Somebody who is signed in, for their own accounts.
    Person {
        /// The sign-in.
        login: LoginId,
        /// Whose accounts.
        person: PersonId,
    },
    /// Somebody who showed that they know the account.
    Guest,
}

/// What somebody wants to pay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The form's own key: sent twice, it is one attempt.
    pub form_key: String,
    /// Numbers of accounts, and how much for each.
    pub parts: Vec<(String, Money)>,
    /// Who pays.
    pub payer: Payer,
}

impl Wish {
    /// What the attempt is known by: a form whose amounts were changed in the meantime is another attempt.
    fn key(&self) -> String {
        let who = match self.payer {
            Payer::Person { login, .. } => format!("login {login}"),
            Payer::Guest => "guest".to_owned(),
        };
        let parts: Vec<String> = self.parts.iter().map(|(number, amount)| format!("{}:{number}={amount}", number.len())).collect();
        data_encoding::HEXLOWER.encode(&Sha256::digest(format!("{}|{who}|{}", self.form_key, parts.join("|"))))
    }

    fn whose(&self) -> Whose {
        match self.payer {
            Payer::Person { person, .. } => Whose::Person(person),
            Payer::Guest => Whose::Anybody,
        }
    }
}

/// Begins to pay: returns the attempt's token. When the provider could not be reached the attempt waits, and [`retry`] goes on.
///
/// # Errors
/// [`ActionError::Refused`] for what cannot be paid so, [`ActionError::NotFound`] for an account that is not theirs.
pub fn begin(context: &Context, wish: &Wish) -> Result<Attempt<String>, ActionError> {
    let provider = context.providers.first().ok_or_else(|| ActionError::Refused("online payment is not set up".to_owned()))?;
    if let Payer::Person { login, .. } = wish.payer
        && let Some(until) = count(context, &[Subject::PaymentsOf(login)])?
    {
        return Ok(Attempt::Blocked { until });
    }
    let token = context.database.write(|conn| keep(context, conn, provider.as_ref(), wish))?;
    open(context, &token)?;
    Ok(Attempt::Accepted(token))
}

/// Stores the attempt, unless the form was sent before.
fn keep(context: &Context, conn: &mut DbConnection, provider: &dyn PaymentProvider, wish: &Wish) -> Result<String, ActionError> {
    let parts = check(conn, wish)?;
    let form_key = wish.key();
    if let Some(known) = rows::checkout_by_form(conn, &form_key)? {
        return Ok(known.token);
    }
    let now = context.now();
    let amount = total(&parts)?;
    check_least(wish, amount, provider.least_amount())?;
    let amount_cents = amount.cents();
    let token = new_token();
    let new = NewCheckout {
        token: token.clone(),
        form_key,
        provider: provider.name().to_owned(),
        merchant: provider.merchant().to_owned(),
        purpose: "pay".to_owned(),
        amount_cents,
        login_id: match wish.payer {
            Payer::Person { login, .. } => Some(login),
            Payer::Guest => None,
        },
        status: "created".to_owned(),
        created_at: now,
        updated_at: now,
    };
    let parts: Vec<(AccountId, i64)> = parts.into_iter().map(|(account, amount)| (account, amount.cents())).collect();
    let checkout = rows::insert_checkout(conn, &new, &parts)?;
    let trace_id = new_trace_id();
    let payment = NewProviderPayment {
        provider: new.provider,
        merchant: new.merchant,
        provider_ref: None,
        checkout_id: Some(checkout),
        state: PaymentState::Created.as_str().to_owned(),
        amount_cents,
        currency: context.config.currency.clone(),
        tender: "card".to_owned(),
        made_on: context.today(),
        trace_id: trace_id.clone(),
        created_at: now,
        updated_at: now,
    };
    let payment = rows::insert(conn, &payment)?;
    rows::set_parts(conn, payment, &parts)?;
    let accounts = if parts.len() == 1 { "1 account".to_owned() } else { format!("{} accounts", parts.len()) };
    step(context, conn, &trace_id, "begun", &format!("{} for {accounts}", Money::from_cents(amount_cents)))?;
    Ok(token)
}

/// The accounts and amounts, checked.
fn check(conn: &mut DbConnection, wish: &Wish) -> Result<Vec<(AccountId, Money)>, ActionError> {
    if wish.form_key.len() != KEY_LENGTH || !wish.form_key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
        return Err(ActionError::Refused("the form has no key of ours: please open its page again".to_owned()));
    }
    if wish.parts.is_empty() || wish.parts.len() > MOST_ACCOUNTS {
        return Err(ActionError::Refused(format!("accounts: choose at least one and at most {MOST_ACCOUNTS}")));
    }
    let mut parts: Vec<(AccountId, Money)> = Vec::with_capacity(wish.parts.len());
    for (number, amount) in &wish.parts {
        let head = find(conn, number, wish.whose())?;
        check_amount(&head, *amount)?;
        if parts.iter().any(|(known, _)| *known == head.id) {
            return Err(ActionError::Refused(format!("{number}: it is there twice")));
        }
        parts.push((head.id, *amount));
    }
    Ok(parts)
}

/// What the provider would refuse is not begun.
fn check_least(wish: &Wish, amount: Money, least: Money) -> Result<(), ActionError> {
    let about = match wish.parts.as_slice() {
        [(number, _)] => number.as_str(),
        _ => "together",
    };
    if amount < least { Err(under_least(about, least)) } else { Ok(()) }
}

/// Asks the provider again for the page of an attempt that has none yet. Does nothing for any other.
///
/// # Errors
/// [`ActionError::NotFound`] when there is no such attempt.
pub fn retry(context: &Context, token: &str) -> Result<(), ActionError> {
    open(context, token)
}

/// Opens an attempt at its provider, once: the attempt's token is the idempotency key.
fn open(context: &Context, token: &str) -> Result<(), ActionError> {
    let missing = || ActionError::not_found("payment", "of this address");
    let checkout = context.database.read(|conn| rows::checkout_by_token(conn, token))?.filter(|checkout| checkout.purpose == "pay");
    let checkout = checkout.ok_or_else(missing)?;
    if checkout.status != "created" {
        return Ok(());
    }
    let provider = context.providers.by_name(&checkout.provider).filter(|provider| provider.merchant() == checkout.merchant);
    let Some(provider) = provider else {
        log::warn!("a payment was begun at '{}', which is not set up any more", checkout.provider);
        return Ok(());
    };
    let order = context.database.read(|conn| order_of(context, conn, &checkout))?;
    let payment = context.database.read(|conn| rows::of_checkout(conn, checkout.id))?;
    let trace_id = payment.map_or_else(new_trace_id, |payment| payment.trace_id);
    let mut timer = Timer::start("checkout", &trace_id, context.now()).part_of(None);
    let answer = provider.start_checkout(&order);
    timer.about("provider", &checkout.provider);
    timer.finish(answer.is_ok());
    match answer {
        Ok(session) => opened(context, &checkout, &session),
        Err(ProviderError::Refused { code, reason, .. }) => refused(context, &checkout, &code, &reason),
        Err(error) => {
            log::warn!(trace = trace_id.as_str(); "a checkout cannot be opened now: {}", error.kind());
            Ok(())
        }
    }
}

fn order_of(context: &Context, conn: &mut DbConnection, checkout: &CheckoutRow) -> Result<CheckoutOrder, ActionError> {
    let mut lines = Vec::new();
    for (account, cents) in rows::checkout_parts(conn, checkout.id)? {
        let head = account_views::head_by_id(conn, account)?.ok_or_else(|| ActionError::not_found("account", account.to_string()))?;
        lines.push((format!("{}, account {}", context.config.utility_name, head.number), Money::from_cents(cents)));
    }
    let email = match checkout.login_id {
        Some(login) => sign_in::login(conn, login)?.map(|login| login.email),
        None => None,
    };
    let here = format!("{}/pay/{}", context.config.public_url.trim_end_matches('/'), checkout.token);
    Ok(CheckoutOrder {
        token: checkout.token.clone(),
        lines,
        currency: context.config.currency.clone(),
        email,
        success_url: format!("{here}?back=done"),
        cancel_url: format!("{here}?back=unpaid"),
        save_method: false,
    })
}

/// Whether a customer can be sent there.
fn is_web_address(url: &str) -> bool {
    (url.starts_with("https://") || url.starts_with("http://")) && url.len() <= 4_000 && url.chars().all(|letter| letter.is_ascii_graphic())
}

fn opened(context: &Context, checkout: &CheckoutRow, session: &CheckoutSession) -> Result<(), ActionError> {
    let url = session.url.as_deref().filter(|url| is_web_address(url));
    context.database.write(|conn| {
        let now = context.now();
        if rows::open_checkout(conn, checkout.id, &session.session_ref, url, now)? == 0 {
            return Ok(());
        }
        // The same order again may find a session that is over.
        match session.status {
            CheckoutStatus::Open => {}
            CheckoutStatus::Complete => drop(rows::move_checkout(conn, checkout.id, "complete", now)?),
            CheckoutStatus::Expired => drop(rows::move_checkout(conn, checkout.id, "expired", now)?),
        }
        follow(context, conn, checkout.id, "opened", "the provider has a page for it")
    })
}

/// The provider says no, and would say so again.
fn refused(context: &Context, checkout: &CheckoutRow, code: &str, reason: &str) -> Result<(), ActionError> {
    // Its words may repeat what the customer entered.
    log::warn!("{} refused a checkout ({code})", checkout.provider);
    context.database.write(|conn| {
        let now = context.now();
        if rows::move_checkout(conn, checkout.id, "failed", now)? == 0 {
            return Ok(());
        }
        if let Some(payment) = rows::of_checkout(conn, checkout.id)?.filter(|payment| payment.state == PaymentState::Created.as_str()) {
            let standing = Standing {
                state: PaymentState::Failed.as_str().to_owned(),
                amount_cents: payment.amount_cents,
                currency: payment.currency,
                tender: payment.tender,
                made_on: payment.made_on,
                reason: Some(reason.to_owned()),
                last_event_id: None,
                last_event_at: None,
                updated_at: now,
            };
            rows::set_standing(conn, payment.id, &standing)?;
        }
        follow(context, conn, checkout.id, "refused", &format!("the provider refused it: {code}"))
    })
}

fn follow(context: &Context, conn: &mut DbConnection, checkout: CheckoutId, what: &str, detail: &str) -> Result<(), ActionError> {
    match rows::of_checkout(conn, checkout)? {
        Some(payment) => step(context, conn, &payment.trace_id, what, detail),
        None => Ok(()),
    }
}

fn step(context: &Context, conn: &mut DbConnection, trace_id: &str, what: &str, detail: &str) -> Result<(), ActionError> {
    let step = NewStep {
        trace_id: trace_id.to_owned(),
        step: what.to_owned(),
        at: context.now(),
        took_us: 0,
        detail: detail.to_owned(),
        provider_event_id: None,
        account_id: None,
        account_seq: None,
    };
    trace::insert(conn, &[step])?;
    Ok(())
}
