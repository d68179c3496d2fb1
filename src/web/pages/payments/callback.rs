//! `POST /callbacks/{provider}`: where payment providers bring their events. Nothing stands around it: no session, no page, no
//! compression. What is not signed costs a look at the header, or one hash of a bounded body.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_LENGTH, HeaderValue, RETRY_AFTER};
use actix_web::rt::time::timeout;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use crate::actions::Context;
use crate::actions::inbox::{Inbox, ReceiveError};
use crate::telemetry::metrics::{self, CallbackOutcome};
use crate::telemetry::scope::carry;

/// No event of a provider is larger.
const LARGEST_BODY_BYTES: usize = 256 * 1024;
/// No delivery takes longer to arrive.
const LONGEST_SENDING: Duration = Duration::from_secs(10);
/// The header with the signature.
const SIGNATURE: &str = "stripe-signature";
/// No signature header is longer: one has a time and a few hashes.
const LONGEST_SIGNATURE: usize = 4_096;
/// When a provider is to come again, in seconds.
const COME_AGAIN_SECONDS: i64 = 5;
/// Refused deliveries are logged at most so often, with how many there were.
const TELL_EVERY_SECONDS: i64 = 60;

/// The inbox, and how often something was turned away.
pub(in crate::web) struct Door {
    inbox: Inbox,
    refused: AtomicU64,
    told_at: AtomicI64,
}

impl Door {
    /// Opens it.
    ///
    /// # Errors
    /// When the inbox's thread cannot be started.
    pub(in crate::web) fn open(context: &Context) -> std::io::Result<Self> {
        Ok(Self { inbox: Inbox::start(context)?, refused: AtomicU64::new(0), told_at: AtomicI64::new(0) })
    }

    /// Turns a delivery away. Somebody who sends many of them does not fill the log.
    fn refuse(&self, context: &Context, provider: &str, why: &str) -> HttpResponse {
        let count = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
        let (now, told) = (context.now().and_utc().timestamp(), self.told_at.load(Ordering::Relaxed));
        let mine = now - told >= TELL_EVERY_SECONDS && self.told_at.compare_exchange(told, now, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if mine {
            log::warn!("deliveries in the name of {provider} were turned away, {count} since the start; the last: {why}");
        }
        answer(StatusCode::BAD_REQUEST, "the signature is not accepted")
    }
}

/// `POST /callbacks/{provider}`: 200 when the event is committed, and not before.
pub(super) async fn receive(
    context: Data<Context>,
    door: Data<Door>,
    request: HttpRequest,
    provider: Path<String>,
    payload: Payload,
) -> HttpResponse {
    let provider = provider.into_inner();
    if context.providers.by_name(&provider).is_none() {
        metrics::callback(CallbackOutcome::UnknownProvider, Duration::ZERO);
        return answer(StatusCode::NOT_FOUND, "no such provider");
    }
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let Some(signature) = header(SIGNATURE).filter(|signature| signature.len() <= LONGEST_SIGNATURE).map(str::to_owned) else {
        metrics::callback(CallbackOutcome::BadSignature, Duration::ZERO);
        return door.refuse(&context, &provider, "it has no signature");
    };
    let announced = header(CONTENT_LENGTH.as_str()).and_then(|length| length.parse::<u64>().ok());
    if announced.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > LARGEST_BODY_BYTES)) {
        return answer(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large");
    }
    let body = match timeout(LONGEST_SENDING, payload.to_bytes_limited(LARGEST_BODY_BYTES)).await {
        Ok(Ok(Ok(body))) => body,
        Ok(Ok(Err(_))) => return answer(StatusCode::BAD_REQUEST, "the body did not arrive whole"),
        Ok(Err(_)) => return answer(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
        Err(_) => return answer(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time"),
    };
    let (inner, inbox, name) = (context.clone(), door.clone(), provider.clone());
    let received = web::block(carry(move || inbox.inbox.receive(&inner, &name, &body, Some(&signature)))).await;
    match received {
        Ok(Ok(_)) => HttpResponse::Ok().json(json!({ "received": true })),
        Ok(Err(ReceiveError::Unknown(_))) => answer(StatusCode::NOT_FOUND, "no such provider"),
        Ok(Err(ReceiveError::Signature(error))) => door.refuse(&context, &provider, &error.to_string()),
        Ok(Err(ReceiveError::Full)) => come_again("too many deliveries at once"),
        Ok(Err(ReceiveError::Failed(error))) => {
            log::error!("a delivery of {provider} cannot be stored: {error}");
            come_again("it cannot be stored now")
        }
        Err(error) => {
            log::error!("a delivery of {provider} cannot be taken: {error}");
            come_again("it cannot be stored now")
        }
    }
}

fn answer(status: StatusCode, why: &str) -> HttpResponse {
    HttpResponse::build(status).json(json!({ "error": why }))
}

/// Nothing was stored: the provider is to bring it again.
fn come_again(why: &str) -> HttpResponse {
    let mut response = answer(StatusCode::SERVICE_UNAVAILABLE, why);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(COME_AGAIN_SECONDS));
    response
}
