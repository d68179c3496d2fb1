//! Pages for people: the hosted checkout, and the sandbox's own desk.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION};
use actix_web::web::{self, Data, Form, Path, Query, ServiceConfig};
use askama::Template;
use serde::Deserialize;

use super::acts;
use super::control::{self, How};
use super::faults::{Faults, SignatureFault};
use super::model::{PaymentStatus, Session, SessionStatus, With};
use super::server::away;
use super::{Core, acts::payout};
use crate::domain::money::Money;

const STYLE: &str = include_str!("../../templates/sandbox/sandbox.css");

/// Payments and attempts that the desk shows.
const SHOWN: usize = 50;

pub(super) fn configure(app: &mut ServiceConfig) {
    app.route("/", web::get().to(desk))
        .route("/sandbox", web::get().to(desk))
        .route("/sandbox/sandbox.css", web::get().to(style))
        .route("/sandbox/desk/act", web::post().to(desk_act))
        .route("/sandbox/desk/faults", web::post().to(desk_faults))
        .route("/c/pay/{id}", web::get().to(checkout))
        .route("/c/pay/{id}", web::post().to(pay));
}

type Http = Result<HttpResponse, actix_web::Error>;

#[derive(Template)]
#[template(path = "sandbox/checkout.html")]
struct Checkout {
    setup: bool,
    lines: Vec<(String, String)>,
    total: String,
    currency: String,
    failure: Option<String>,
    can_cancel: bool,
}

#[derive(Template)]
#[template(path = "sandbox/message.html")]
struct Message {
    title: &'static str,
    words: String,
    link: Option<(String, &'static str)>,
}

struct PaymentRow {
    id: String,
    token: String,
    amount: String,
    status: &'static str,
    takes_amount: bool,
    actions: Vec<(&'static str, &'static str)>,
}

struct AttemptRow {
    kind: String,
    event: String,
    outcome: String,
    accepted: bool,
    milliseconds: u64,
}

#[derive(Template)]
#[template(path = "sandbox/desk.html")]
struct Desk {
    faults: Faults,
    signatures: Vec<(&'static str, bool)>,
    endpoints: Vec<String>,
    payments: Vec<PaymentRow>,
    attempts: Vec<AttemptRow>,
    counts: super::deliver::Counts,
    today: String,
    failure: Option<String>,
}

fn page(status: StatusCode, template: &impl Template) -> Http {
    let html = template.render().map_err(actix_web::error::ErrorInternalServerError)?;
    Ok(HttpResponse::build(status)
        .insert_header((CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'"))
        .body(html))
}

fn go_to(place: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, place)).insert_header((CACHE_CONTROL, "no-store")).finish()
}

fn message(status: StatusCode, title: &'static str, words: impl Into<String>, link: Option<(String, &'static str)>) -> Http {
    page(status, &Message { title, words: words.into(), link })
}

pub(super) async fn not_found() -> Http {
    message(
        StatusCode::NOT_FOUND,
        "Nothing is here",
        "There is no page of the sandbox at this address.",
        Some(("/sandbox".to_owned(), "To the sandbox's desk")),
    )
}

async fn style() -> HttpResponse {
    HttpResponse::Ok().insert_header((CONTENT_TYPE, "text/css; charset=utf-8")).body(STYLE)
}

/// Where the customer goes back to after paying.
fn success(session: &Session) -> String {
    session.success_url.replace("{CHECKOUT_SESSION_ID}", &session.id)
}

fn show(session: &Session, failure: Option<String>) -> Http {
    match session.status {
        SessionStatus::Complete if session.setup => {
            message(StatusCode::OK, "Saved", "This way to pay is saved already.", Some((success(session), "Back to the utility")))
        }
        SessionStatus::Complete => {
            message(StatusCode::OK, "Paid", "This checkout was paid already. Nothing is paid twice.", Some((success(session), "Back to the utility")))
        }
        SessionStatus::Expired => {
            let back = session.cancel_url.clone().map(|url| (url, "Back to the utility"));
            message(StatusCode::GONE, "Too late", "This checkout can no longer be paid. Please begin again at the utility's page.", back)
        }
        SessionStatus::Open => {
            let lines =
                session.lines.iter().map(|line| (line.name.clone(), Money::from_cents(line.unit_cents.saturating_mul(line.quantity)).to_string()));
            let template = Checkout {
                setup: session.setup,
                lines: lines.collect(),
                total: Money::from_cents(session.total_cents()).to_string(),
                currency: session.currency.to_ascii_uppercase(),
                failure,
                can_cancel: session.cancel_url.is_some(),
            };
            page(if template.failure.is_some() { StatusCode::PAYMENT_REQUIRED } else { StatusCode::OK }, &template)
        }
    }
}

async fn checkout(core: Data<Core>, id: Path<String>) -> Http {
    match core.look(|state| state.sessions.get(&id).cloned()) {
        Some(session) => show(&session, None),
        None => not_found().await,
    }
}

#[derive(Debug, Deserialize)]
struct Choice {
    with: String,
}

async fn pay(core: Data<Core>, id: Path<String>, choice: Form<Choice>) -> Http {
    let id = id.into_inner();
    let Some(session) = core.look(|state| state.sessions.get(&id).cloned()) else { return not_found().await };
    let with = match choice.with.as_str() {
        "card" => With::Card,
        "bank" => With::Bank,
        "declined" => With::Declined,
        "cancel" => return Ok(go_to(session.cancel_url.as_deref().unwrap_or("/sandbox"))),
        _ => return show(&session, Some("Please choose how to pay.".to_owned())),
    };
    if session.status != SessionStatus::Open {
        return show(&session, None);
    }
    let paid = away(&core, move |core| core.act(|state| acts::pay_session(state, &id, with))).await?;
    match paid.map_err(actix_web::error::ErrorInternalServerError)? {
        Ok(session) => Ok(go_to(&success(&session))),
        Err(refusal) => show(&session, Some(refusal.message)),
    }
}

fn row(payment: &super::model::Payment) -> PaymentRow {
    let (status, actions): (_, Vec<_>) = match (payment.status, &payment.failure) {
        (PaymentStatus::Waiting, None) => ("begun", vec![("cancel", "Cancel")]),
        (PaymentStatus::Waiting, Some(_)) => ("failed", vec![("settle", "Succeed after all"), ("cancel", "Cancel")]),
        (PaymentStatus::Processing, _) => ("on its way", vec![("settle", "Succeed"), ("fail", "Fail")]),
        (PaymentStatus::Canceled, _) => ("cancelled", vec![]),
        (PaymentStatus::Succeeded, _) => (
            "succeeded",
            vec![
                ("refund", "Refund"),
                ("correct", "Correct"),
                ("fail-refund", "Fail the refund"),
                ("dispute", "Dispute"),
                ("win", "Win"),
                ("lose", "Lose"),
                ("fail", "Fail after all"),
            ],
        ),
    };
    PaymentRow {
        id: payment.id.clone(),
        token: payment.metadata.get("token").cloned().unwrap_or_default(),
        amount: format!("{} {}", Money::from_cents(payment.amount_cents), payment.currency.to_ascii_uppercase()),
        status,
        takes_amount: payment.status == PaymentStatus::Succeeded,
        actions,
    }
}

#[derive(Debug, Deserialize)]
struct DeskQuery {
    failure: Option<String>,
}

async fn desk(core: Data<Core>, query: Query<DeskQuery>) -> Http {
    let (attempts, _) = core.post.log(None, SHOWN);
    let attempts = attempts.iter().map(|attempt| AttemptRow {
        kind: attempt.kind.clone(),
        event: attempt.event.clone(),
        outcome: control::outcome_of(attempt),
        accepted: attempt.accepted(),
        milliseconds: attempt.latency_us / 1000,
    });
    let attempts = attempts.collect();
    let (faults, payments) = core.look(|state| (state.faults.clone(), state.payments.newest().take(SHOWN).map(row).collect()));
    let names = [
        ("good", SignatureFault::Good),
        ("wrong", SignatureFault::Wrong),
        ("body", SignatureFault::Body),
        ("old", SignatureFault::Old),
        ("missing", SignatureFault::Missing),
    ];
    let signatures = names.into_iter().map(|(name, fault)| (name, fault == faults.signature)).collect();
    let (endpoints, counts) = (core.post.endpoints(), core.post.counts());
    let today = core.look(|state| chrono::DateTime::from_timestamp(state.now(), 0)).map(|now| now.date_naive().to_string()).unwrap_or_default();
    page(StatusCode::OK, &Desk { faults, signatures, endpoints, payments, attempts, counts, today, failure: query.into_inner().failure })
}

#[derive(Debug, Deserialize)]
struct DeskAct {
    #[serde(default)]
    payment: String,
    action: String,
    #[serde(default)]
    amount: String,
}

async fn desk_act(core: Data<Core>, form: Form<DeskAct>) -> Http {
    let DeskAct { payment, action, amount } = form.into_inner();
    let amount = match Some(amount.trim()).filter(|text| !text.is_empty()).map(Money::parse).transpose() {
        Ok(amount) => amount.map(Money::cents),
        Err(error) => return Ok(failed(&error.to_string())),
    };
    let done = match action.as_str() {
        "release" => {
            core.post.release(&[]);
            Ok(Ok(()))
        }
        "all-payout" => away(&core, |core| core.act(|state| payout::pay_out(state, None, None).map(drop))).await?,
        _ => away(&core, move |core| core.act(|state| control::act(state, &payment, &action, &How { amount, ..How::default() }).map(drop))).await?,
    };
    Ok(done.map_err(actix_web::error::ErrorInternalServerError)?.map_or_else(|refusal| failed(&refusal.message), |()| go_to("/sandbox")))
}

/// Back to the desk with words about what was not done.
fn failed(words: &str) -> HttpResponse {
    let escaped: String =
        words.bytes().map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect();
    go_to(&format!("/sandbox?failure={escaped}"))
}

#[derive(Debug, Deserialize)]
struct DeskFaults {
    duplicates: u32,
    lose_permille: u32,
    delay_least: u64,
    delay_most: u64,
    burst: usize,
    signature: SignatureFault,
    hold: Option<String>,
    shuffle: Option<String>,
}

async fn desk_faults(core: Data<Core>, form: Form<DeskFaults>) -> HttpResponse {
    let form = form.into_inner();
    let now = core.look(|state| state.faults.clone());
    let faults = Faults {
        duplicates: form.duplicates,
        lose_permille: form.lose_permille,
        delay_ms: [form.delay_least, form.delay_most],
        burst: form.burst,
        signature: form.signature,
        hold: form.hold.is_some(),
        shuffle: form.shuffle.is_some(),
        ..now
    };
    match control::put_faults(&core, faults) {
        Ok(_) => go_to("/sandbox"),
        Err(refusal) => failed(&refusal.message),
    }
}
