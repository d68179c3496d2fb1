//! The way of one payment: each step from the provider's message to the ledger and the look after it; and the message itself.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::{Say, account_path, frame, words};
use crate::actions::Context;
use crate::actions::trace_view::{Place, Step, TraceView, event, trace};
use crate::db::inbox::EventRow;
use crate::domain::ids::{ProviderEventId, ProviderPaymentId};
use crate::domain::roles::Permission;
use crate::web::error::PageError;
use crate::web::frame::{Frame, act, page};
use crate::web::routes::Routes;
use crate::web::text::Moment;
use crate::web::viewer::Viewer;

/// No more of a message is shown.
const LONGEST_BODY: usize = 64 * 1024;

pub(super) fn routes(routes: &mut Routes) {
    routes.get("/staff/payments/{id}/trace", show);
    routes.get("/staff/payments/{id}/events/{event}", show_event);
}

#[derive(Template)]
#[template(path = "staff/trace/payment.html")]
struct TracePage {
    frame: Frame,
    say: Say,
    view: TraceView,
    /// Whether the messages themselves may be read.
    reads_bodies: bool,
}

impl Place {
    /// The account's own page.
    fn path(&self) -> String {
        account_path(&self.account)
    }
}

impl Step {
    /// What was done, for people.
    fn title(&self) -> String {
        match self.step.as_str() {
            "received" => "Message received and stored".to_owned(),
            "fetched" => "Message fetched from the provider".to_owned(),
            "applied" => "Message applied".to_owned(),
            "posted" => "Written into the ledger".to_owned(),
            "corrected" => "Corrected in the ledger".to_owned(),
            "rechecked" => "Looked at again: the ledger agrees".to_owned(),
            "disagrees" => "Looked at again: the ledger does not agree".to_owned(),
            other => words(other),
        }
    }

    fn took(&self) -> String {
        milliseconds(self.took_us)
    }

    fn after(&self) -> String {
        match self.after_ms {
            ..1_000 => format!("{} ms", self.after_ms.max(0)),
            1_000..120_000 => format!("{}.{} s", self.after_ms / 1_000, self.after_ms % 1_000 / 100),
            _ => super::watch::span(self.after_ms / 1_000),
        }
    }
}

/// Microseconds as milliseconds with two decimals.
fn milliseconds(us: i64) -> String {
    format!("{}.{:02} ms", us.max(0) / 1_000, us.max(0) % 1_000 / 10)
}

/// The badge of an event's status.
fn event_badge(status: &str) -> &'static str {
    match status {
        "applied" => "good",
        "failed" => "bad",
        "received" => "warn",
        _ => "water",
    }
}

/// The badge of a payment's state.
fn state_badge(state: &str) -> &'static str {
    match state {
        "succeeded" => "good",
        "failed" | "returned" => "bad",
        _ => "water",
    }
}

/// When it happened by the provider's clock.
fn occurred(say: &Say, event: &EventRow) -> Moment {
    say.at(&chrono::DateTime::from_timestamp(event.occurred_at, 0).unwrap_or_default().naive_utc())
}

/// `GET /staff/payments/{id}/trace`.
async fn show(context: web::Data<Context>, viewer: Viewer, id: web::Path<i64>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::LookAtAccounts)?;
    let acting = viewer.acting(&context);
    let view = act(move || trace(&acting, ProviderPaymentId(*id))).await?;
    let reads_bodies = viewer.may(Permission::ReadAudit);
    page(StatusCode::OK, &TracePage { frame: frame(&context, &viewer, "/staff"), say: Say::new(&context), view, reads_bodies })
}

#[derive(Template)]
#[template(path = "staff/trace/event.html")]
struct EventPage {
    frame: Frame,
    say: Say,
    payment: i64,
    event: EventRow,
    body: String,
    cut: bool,
}

/// `GET /staff/payments/{id}/events/{event}`: what the provider sent, for those who check the work of others.
async fn show_event(context: web::Data<Context>, viewer: Viewer, place: web::Path<(i64, i64)>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::LookAtAccounts)?;
    viewer.must(Permission::ReadAudit)?;
    let acting = viewer.acting(&context);
    let (payment, id) = place.into_inner();
    let event = act(move || event(&acting, ProviderPaymentId(payment), ProviderEventId(id))).await?;
    let shown = event.body.get(..LONGEST_BODY.min(event.body.len())).unwrap_or_default();
    let (body, cut) = (readable(shown), shown.len() < event.body.len());
    page(StatusCode::OK, &EventPage { frame: frame(&context, &viewer, "/staff"), say: Say::new(&context), payment, event, body, cut })
}

/// Bytes for people: JSON with its lines, anything else as it is.
fn readable(bytes: &[u8]) -> String {
    let json = serde_json::from_slice::<serde_json::Value>(bytes).ok();
    json.and_then(|json| serde_json::to_string_pretty(&json).ok()).unwrap_or_else(|| String::from_utf8_lossy(bytes).into_owned())
}
