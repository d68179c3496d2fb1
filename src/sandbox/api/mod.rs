//! The interface that Stripe has, as far as the sandbox speaks it: a request in, an answer out.
//!
//! Strict where it helps whoever calls: a parameter that it does not know is refused, as Stripe refuses it.

mod lists;
mod params;
mod things;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::acts::Refusal;
use super::journal::Record;
use super::model::Remembered;
use super::state::State;
use params::Params;

/// A call, as it came.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub get: bool,
    /// Without the leading `/v1/`.
    pub path: String,
    /// Of the address or of the body: names and values.
    pub pairs: Vec<(String, String)>,
    pub authorization: Option<String>,
    pub idempotency_key: Option<String>,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub status: u16,
    pub body: String,
    /// Whether it was given before, to a call with the same key.
    pub replayed: bool,
}

impl Answer {
    fn new(status: u16, body: &Value) -> Self {
        Self { status, body: body.to_string(), replayed: false }
    }

    pub fn refusal(refusal: &Refusal) -> Self {
        let mut error = json!({ "type": refusal.kind, "code": refusal.code, "message": refusal.message });
        if let (Some(payment), Some(fields)) = (&refusal.payment, error.as_object_mut()) {
            fields.insert("decline_code".to_owned(), json!("generic_decline"));
            fields.insert("payment_intent".to_owned(), payment.clone());
        }
        Self::new(refusal.status, &json!({ "error": error }))
    }
}

/// Answers a call. What it changed is in the state, and not yet written down.
pub(super) fn answer(state: &mut State, key: &str, address: &str, request: &Request) -> Answer {
    if !knows_key(key, request.authorization.as_deref()) {
        let message = "Invalid API Key provided".to_owned();
        return Answer::refusal(&Refusal { status: 401, kind: "invalid_request_error", code: "api_key_invalid", message, payment: None });
    }
    let fingerprint = fingerprint(request);
    let key = request.idempotency_key.as_deref().filter(|_| !request.get);
    if let Some(key) = key {
        if key.is_empty() || key.len() > 255 {
            return Answer::refusal(&Refusal::invalid("idempotency_key_invalid", "An idempotency key has 1 to 255 letters."));
        }
        if let Some(before) = state.remembered(key) {
            return replay(before, &fingerprint);
        }
    }
    let params = Params::new(&request.pairs);
    let outcome = things::route(state, address, request.get, &request.path, &params);
    // What was refused before anything was tried may be tried again with the same key, as Stripe allows it.
    let remembered = outcome.as_ref().map_or_else(|refusal| refusal.status == 402, |_| true);
    let answer = outcome.map_or_else(|refusal| Answer::refusal(&refusal), |body| Answer::new(200, &body));
    if let (Some(key), true) = (key, remembered) {
        let at = state.now();
        state.save(Record::Remembered(Remembered { key: key.to_owned(), at, fingerprint, status: answer.status, body: answer.body.clone() }));
    }
    answer
}

/// The key as a bearer's, or as the user of basic authentication.
fn knows_key(key: &str, authorization: Option<&str>) -> bool {
    let Some((scheme, given)) = authorization.and_then(|text| text.split_once(' ')) else { return false };
    match scheme {
        "Bearer" => given == key,
        "Basic" => data_encoding::BASE64.decode(given.as_bytes()).is_ok_and(|user| user == format!("{key}:").into_bytes()),
        _ => false,
    }
}

fn fingerprint(request: &Request) -> String {
    let mut pairs = request.pairs.clone();
    pairs.sort();
    let digest = Sha256::digest(format!("{} {pairs:?}", request.path));
    data_encoding::HEXLOWER.encode(&digest)
}

fn replay(before: &Remembered, fingerprint: &str) -> Answer {
    if before.fingerprint == fingerprint {
        return Answer { status: before.status, body: before.body.clone(), replayed: true };
    }
    let message = "Keys for idempotent requests can only be used with the same parameters they were first used with.".to_owned();
    Answer::refusal(&Refusal { status: 400, kind: "idempotency_error", code: "idempotency_key_in_use", message, payment: None })
}
