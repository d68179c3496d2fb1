//! The sandbox's own interface, in JSON: faults, actions on payments, what was delivered. Nobody is asked for a key: it is for
//! tests and demonstrations.
//!
//! | call | does |
//! | --- | --- |
//! | `GET`, `PUT /sandbox/faults` | [`Faults`]; what a `PUT` leaves out is as without faults |
//! | `POST /sandbox/faults/reset` | no faults; what was held is let go |
//! | `POST /sandbox/release` | lets go of what is held; `{"order": ["evt_…"]}` names those that go first |
//! | `GET`, `PUT /sandbox/endpoints` | where callbacks go: a list of addresses |
//! | `GET /sandbox/deliveries?event=&limit=` | counts, latencies in microseconds, attempts (newest first); `DELETE` forgets them |
//! | `POST /sandbox/events/{evt}/deliver` | delivers an event (again), also one that was lost |
//! | `POST /sandbox/sessions/{cs}/{card,bank,declined,save,expire}` | what the customer could do on the checkout page |
//! | `GET /sandbox/payments?limit=` | payments, newest first |
//! | `POST /sandbox/payments` | `{"amount", "currency", "token", "with"}`: a payment that no checkout of ours began |
//! | `POST /sandbox/payments/{pi}/{action}` | `correct`, `settle`, `fail`, `cancel`, `refund`, `settle-refund`, `fail-refund`, `dispute`, `win`, `lose`, `payout`; [`How`] |
//! | `POST /sandbox/methods` | `{"customer", "with"}`: a saved way to pay |
//! | `POST /sandbox/payout` | pays the balance out: `{"date"}` is when it arrives |
//! | `GET /sandbox/bank-statement?format=bai2,camt053&date=` | the statement of the utility's bank for a day |
//!
//! A refusal has a status from 400 on and `{"error": {"code", "message"}}`.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, Data, Path, Query, ServiceConfig};
use chrono::NaiveDate;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::acts::{self, NewPayment, Refusal, back, payout};
use super::api::Answer;
use super::bank::{self, Format};
use super::deliver::Attempt;
use super::faults::Faults;
use super::model::{Payment, RefundStatus, With};
use super::server::away;
use super::state::State;
use super::{Core, is_endpoint, render};

pub(super) fn configure(app: &mut ServiceConfig) {
    app.route("/sandbox/faults", web::get().to(show_faults))
        .route("/sandbox/faults", web::put().to(set_faults))
        .route("/sandbox/faults/reset", web::post().to(reset_faults))
        .route("/sandbox/endpoints", web::get().to(show_endpoints))
        .route("/sandbox/endpoints", web::put().to(set_endpoints))
        .route("/sandbox/release", web::post().to(release))
        .route("/sandbox/deliveries", web::get().to(deliveries))
        .route("/sandbox/deliveries", web::delete().to(forget_deliveries))
        .route("/sandbox/events/{id}/deliver", web::post().to(deliver_again))
        .route("/sandbox/sessions/{id}/{action}", web::post().to(act_on_session))
        .route("/sandbox/payments", web::get().to(list_payments))
        .route("/sandbox/payments", web::post().to(make_payment))
        .route("/sandbox/payments/{id}/{action}", web::post().to(act_on_payment))
        .route("/sandbox/methods", web::post().to(make_method))
        .route("/sandbox/payout", web::post().to(pay_out))
        .route("/sandbox/bank-statement", web::get().to(bank_statement));
}

type Done = Result<Value, Refusal>;
type Http = Result<HttpResponse, actix_web::Error>;

/// Runs a verb and answers with what it gives.
async fn acted(core: &Data<Core>, verb: impl FnOnce(&mut State) -> Done + Send + 'static) -> Http {
    let outcome = away(core, |core| core.act(verb)).await?;
    Ok(respond(outcome.map_err(actix_web::error::ErrorInternalServerError)?))
}

fn respond(done: Done) -> HttpResponse {
    match done {
        Ok(value) => HttpResponse::Ok().json(value),
        Err(refusal) => {
            let answer = Answer::refusal(&refusal);
            let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_REQUEST);
            HttpResponse::build(status).content_type("application/json").body(answer.body)
        }
    }
}

/// The body as what is expected; an empty one, or `null`, is the default.
fn read<T: DeserializeOwned + Default>(body: &Bytes) -> Result<T, Refusal> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(T::default());
    }
    let read = serde_json::from_slice::<Option<T>>(body);
    read.map(Option::unwrap_or_default).map_err(|error| Refusal::invalid("body_invalid", format!("The body is not what is expected: {error}")))
}

fn faults_json(faults: &Faults) -> Value {
    serde_json::to_value(faults).unwrap_or_default()
}

async fn show_faults(core: Data<Core>) -> HttpResponse {
    HttpResponse::Ok().json(core.look(|state| faults_json(&state.faults)))
}

/// What the body does not name is as at the beginning of a sandbox without faults.
async fn set_faults(core: Data<Core>, body: Bytes) -> HttpResponse {
    respond(read::<Faults>(&body).and_then(|faults| put_faults(&core, faults)))
}

pub(super) fn put_faults(core: &Core, faults: Faults) -> Done {
    if let Some(fault) = faults.fault() {
        return Err(Refusal::invalid("faults_invalid", fault));
    }
    core.post.set_faults(faults.clone());
    let shown = faults_json(&faults);
    core.lock().faults = faults;
    Ok(shown)
}

/// No faults any more; what was held is let go.
async fn reset_faults(core: Data<Core>) -> HttpResponse {
    let done = put_faults(&core, Faults::default());
    core.post.release(&[]);
    respond(done)
}

async fn show_endpoints(core: Data<Core>) -> HttpResponse {
    HttpResponse::Ok().json(core.post.endpoints())
}

async fn set_endpoints(core: Data<Core>, body: Bytes) -> HttpResponse {
    let urls = read::<Vec<String>>(&body).and_then(|urls| {
        let fits = urls.len() <= 16 && urls.iter().all(|url| is_endpoint(url));
        if fits { Ok(urls) } else { Err(Refusal::invalid("endpoints_invalid", "expected at most 16 addresses like http://HOST/PATH")) }
    });
    respond(urls.map(|urls| {
        core.post.set_endpoints(&urls);
        json!(urls)
    }))
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Release {
    /// Events that go first, in this order.
    order: Vec<String>,
}

async fn release(core: Data<Core>, body: Bytes) -> HttpResponse {
    respond(read::<Release>(&body).map(|wanted| json!({ "released": core.post.release(&wanted.order) })))
}

#[derive(Debug, Deserialize)]
struct Wanted {
    event: Option<String>,
    limit: Option<usize>,
}

async fn deliveries(core: Data<Core>, wanted: Query<Wanted>) -> HttpResponse {
    let limit = wanted.limit.unwrap_or(100).min(20_000);
    let (attempts, latencies) = core.post.log(wanted.event.as_deref(), limit);
    let rank = |percent: usize| latencies.get((latencies.len() * percent).div_ceil(100).saturating_sub(1)).copied();
    HttpResponse::Ok().json(json!({
        "counts": core.post.counts(),
        "latency_us": { "p50": rank(50), "p99": rank(99), "max": latencies.last() },
        "deliveries": attempts,
    }))
}

async fn forget_deliveries(core: Data<Core>) -> HttpResponse {
    core.post.forget_log();
    HttpResponse::NoContent().finish()
}

async fn deliver_again(core: Data<Core>, id: Path<String>) -> Http {
    let id = id.into_inner();
    acted(&core, move |state| if state.send_again(&id) { Ok(json!({ "event": id })) } else { Err(Refusal::missing("event", &id)) }).await
}

fn brief(payment: &Payment) -> Value {
    json!({
        "payment": payment.id, "status": payment.status, "amount": payment.amount_cents, "currency": payment.currency, "with": payment.with,
        "refunded": payment.refunded_cents, "token": payment.metadata.get("token"), "session": payment.session, "charge": payment.charge,
    })
}

async fn list_payments(core: Data<Core>, wanted: Query<Wanted>) -> HttpResponse {
    let limit = wanted.limit.unwrap_or(100).min(1000);
    HttpResponse::Ok().json(core.look(|state| state.payments.newest().take(limit).map(brief).collect::<Vec<_>>()))
}

/// A payment that no checkout of ours began.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct MakePayment {
    amount: i64,
    currency: String,
    token: Option<String>,
    with: With,
}

impl Default for MakePayment {
    fn default() -> Self {
        Self { amount: 0, currency: "usd".to_owned(), token: None, with: With::Card }
    }
}

async fn make_payment(core: Data<Core>, body: Bytes) -> Http {
    let wanted = match read::<MakePayment>(&body) {
        Ok(wanted) => wanted,
        Err(refusal) => return Ok(respond(Err(refusal))),
    };
    acted(&core, move |state| {
        if wanted.currency.len() != 3 || !wanted.currency.bytes().all(|byte| byte.is_ascii_lowercase()) {
            return Err(Refusal::invalid("parameter_invalid_enum", "currency: expected three small letters"));
        }
        let metadata: BTreeMap<String, String> = wanted.token.into_iter().map(|token| ("token".to_owned(), token)).collect();
        let new = NewPayment { amount_cents: wanted.amount, currency: wanted.currency, metadata, description: None, customer: None, session: None };
        let payment = acts::begin_payment(state, new, wanted.with)?;
        Ok(brief(&acts::attempt(state, &payment.id, wanted.with, None)?))
    })
    .await
}

async fn act_on_session(core: Data<Core>, path: Path<(String, String)>) -> Http {
    let (id, action) = path.into_inner();
    acted(&core, move |state| {
        let session = match action.as_str() {
            "card" | "save" => acts::pay_session(state, &id, With::Card)?,
            "bank" => acts::pay_session(state, &id, With::Bank)?,
            "declined" => acts::pay_session(state, &id, With::Declined)?,
            "expire" => acts::expire_session(state, &id)?,
            _ => return Err(Refusal::missing("action", &action)),
        };
        Ok(render::session(state, &session, ""))
    })
    .await
}

/// How an action on a payment is done, where there is something to say.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct How {
    /// In cents; without it, all of it.
    pub amount: Option<i64>,
    /// Of a dispute.
    pub reason: Option<String>,
    /// Whether a dispute is an inquiry, which takes no money.
    pub inquiry: bool,
    /// The day on which a payout arrives.
    pub date: Option<NaiveDate>,
}

async fn act_on_payment(core: Data<Core>, path: Path<(String, String)>, body: Bytes) -> Http {
    let (id, action) = path.into_inner();
    match read::<How>(&body) {
        Ok(how) => acted(&core, move |state| act(state, &id, &action, &how)).await,
        Err(refusal) => Ok(respond(Err(refusal))),
    }
}

pub(super) fn act(state: &mut State, id: &str, action: &str, how: &How) -> Done {
    match action {
        "correct" => {
            let amount = how.amount.ok_or_else(|| Refusal::invalid("parameter_missing", "amount: expected the right amount in cents"))?;
            acts::correct(state, id, amount).map(|payment| brief(&payment))
        }
        "settle" => acts::settle(state, id).map(|payment| brief(&payment)),
        "fail" => acts::fail(state, id).map(|payment| brief(&payment)),
        "cancel" => acts::cancel(state, id).map(|payment| brief(&payment)),
        "refund" => back::refund(state, id, how.amount, BTreeMap::new()).map(|refund| render::refund(state, &refund)),
        "settle-refund" => {
            let refund = back::refund_of(state, id, |refund| refund.status == RefundStatus::Pending)?;
            back::settle_refund(state, &refund).map(|refund| render::refund(state, &refund))
        }
        "fail-refund" => {
            let refund = back::refund_of(state, id, |refund| refund.status != RefundStatus::Failed)?;
            back::fail_refund(state, &refund).map(|refund| render::refund(state, &refund))
        }
        "dispute" => {
            let reason = how.reason.as_deref().unwrap_or("fraudulent");
            back::dispute(state, id, how.amount, reason, how.inquiry).map(|dispute| render::dispute(state, &dispute))
        }
        "win" => back::close_dispute(state, id, true).map(|dispute| render::dispute(state, &dispute)),
        "lose" => back::close_dispute(state, id, false).map(|dispute| render::dispute(state, &dispute)),
        "payout" => payout::pay_out(state, Some(id), how.date).map(|payout| render::payout(&payout)),
        _ => Err(Refusal::missing("action", action)),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct MakeMethod {
    customer: Option<String>,
    with: With,
}

impl Default for MakeMethod {
    fn default() -> Self {
        Self { customer: None, with: With::Card }
    }
}

async fn make_method(core: Data<Core>, body: Bytes) -> Http {
    match read::<MakeMethod>(&body) {
        Ok(wanted) => acted(&core, move |state| acts::new_method(state, wanted.customer, wanted.with).map(|method| render::method(&method))).await,
        Err(refusal) => Ok(respond(Err(refusal))),
    }
}

async fn pay_out(core: Data<Core>, body: Bytes) -> Http {
    match read::<How>(&body) {
        Ok(how) => acted(&core, move |state| payout::pay_out(state, None, how.date).map(|payout| render::payout(&payout))).await,
        Err(refusal) => Ok(respond(Err(refusal))),
    }
}

#[derive(Debug, Deserialize)]
struct StatementWanted {
    format: String,
    date: NaiveDate,
}

async fn bank_statement(core: Data<Core>, wanted: Query<StatementWanted>) -> HttpResponse {
    match Format::parse(&wanted.format) {
        Ok(format) => {
            let kind = if format == Format::Bai2 { "text/plain; charset=utf-8" } else { "application/xml" };
            HttpResponse::Ok().content_type(kind).body(core.look(|state| bank::statement(state, format, wanted.date)))
        }
        Err(refusal) => respond(Err(refusal)),
    }
}

/// What the page for people shows of an attempt.
pub(super) fn outcome_of(attempt: &Attempt) -> String {
    attempt.status.map_or_else(|| attempt.error.clone().unwrap_or_default(), |status| status.to_string())
}
