//! How a call to Stripe is made: a form there, JSON back, and what each outcome means.

use std::fmt::Write;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::{Response, StatusCode};

use super::node::Node;
use crate::config::{ProviderSettings, Secret, is_this_machine};
use crate::providers::ProviderError;

/// The version of the interface that answers are asked in. Events come in the version of the webhook endpoint.
const VERSION: &str = "2024-06-20";

/// The largest answer that is read, in bytes: a hundred events are far smaller.
const LARGEST_ANSWER: u64 = 16 * 1024 * 1024;

/// What a call does there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Post,
}

/// Names and values, as they are sent in an address or a body.
#[derive(Debug, Clone, Default)]
pub(super) struct Form(String);

impl Form {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// The same and one more.
    pub(super) fn and(mut self, name: &str, value: &str) -> Self {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        escape(name, &mut self.0);
        self.0.push('=');
        escape(value, &mut self.0);
        self
    }
}

fn escape(text: &str, into: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(into, "%{byte:02X}");
        }
    }
}

/// The address of one thing. A name that came from elsewhere leads nowhere else.
pub(super) fn path(of: &str, id: &str) -> Result<String, String> {
    let fits = (1..=255).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if fits { Ok(format!("{of}/{id}")) } else { Err(format!("'{}' is not the name of a thing at the provider", id.escape_default())) }
}

/// Whoever calls.
pub(super) struct Caller {
    provider: String,
    base: String,
    /// The key, or which is missing.
    key: Result<Secret, String>,
    agent: Agent,
}

impl Caller {
    pub(super) fn new(settings: &ProviderSettings, key: Result<Secret, String>) -> Self {
        let base = settings.base_url.trim_end_matches('/').to_owned();
        let mut config = Agent::config_builder()
            .timeout_global(Some(Duration::from_millis(u64::from(settings.timeout_ms))))
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("AquaBills/", env!("CARGO_PKG_VERSION")));
        if base.strip_prefix("http://").is_some_and(is_this_machine) {
            config = config.proxy(None);
        }
        Self { provider: settings.name.clone(), base, key, agent: config.build().into() }
    }

    pub(super) fn ready(&self) -> Result<(), String> {
        self.key.as_ref().map(|_| ()).map_err(Clone::clone)
    }

    /// Makes a call; with an idempotency key, the same again is done once.
    pub(super) fn call(&self, method: Method, path: &str, form: &Form, idempotency: Option<&str>) -> Result<Value, ProviderError> {
        // What a person mends passes, like an answer of trouble over there.
        let key = self.key.as_ref().map_err(|reason| self.unreachable(reason.clone()))?;
        let bearer = format!("Bearer {}", key.reveal());
        let answered = match method {
            Method::Get => {
                let url = if form.0.is_empty() { format!("{}{path}", self.base) } else { format!("{}{path}?{}", self.base, form.0) };
                self.agent.get(url).header("Authorization", bearer).header("Stripe-Version", VERSION).call()
            }
            Method::Post => {
                let request = self.agent.post(format!("{}{path}", self.base));
                let request = request.header("Authorization", bearer).header("Stripe-Version", VERSION);
                let request = request.header("Content-Type", "application/x-www-form-urlencoded");
                let request = if let Some(key) = idempotency { request.header("Idempotency-Key", key) } else { request };
                request.send(form.0.as_str())
            }
        };
        let mut response = answered.map_err(|error| self.unreachable(error.to_string()))?;
        let body = response.body_mut().with_config().limit(LARGEST_ANSWER).read_to_vec().map_err(|error| self.unreachable(error.to_string()))?;
        self.understand(&response, &body)
    }

    fn understand<B>(&self, response: &Response<B>, body: &[u8]) -> Result<Value, ProviderError> {
        let status = response.status();
        let json = serde_json::from_slice::<Value>(body);
        if status.is_success() {
            let unreadable =
                |error: serde_json::Error| ProviderError::Unreadable { provider: self.provider.clone(), reason: format!("expected JSON: {error}") };
            return json.map_err(unreadable);
        }
        let json = json.unwrap_or_default();
        let error = Node::root("error", &json).get("error");
        let words = error.get("message").text_or_empty();
        let told = if words.is_empty() { format!("status {}", status.as_u16()) } else { format!("{words} (status {})", status.as_u16()) };
        // A key that is not accepted is mended by a person; what was asked for is not refused by that.
        let passes =
            [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::CONFLICT, StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT];
        if status.is_server_error() || status.is_redirection() || passes.contains(&status) {
            return Err(self.unreachable(told));
        }
        let codes = [error.get("decline_code"), error.get("code"), error.get("type")];
        let code = codes.iter().map(Node::text_or_empty).find(|text| !text.is_empty());
        Err(ProviderError::Refused { provider: self.provider.clone(), code: code.unwrap_or("unknown").to_owned(), reason: told })
    }

    fn unreachable(&self, reason: String) -> ProviderError {
        ProviderError::Unreachable { provider: self.provider.clone(), reason }
    }
}
