//! What stands around every page: headers that tell browsers what not to do, and the page of an error.

use std::time::{Duration, Instant};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest, HttpResponse};
use askama::Template;

use super::error::{PageError, title_of};
use super::frame::Frame;
use super::viewer::{context_of, known_viewer};
use crate::telemetry::scope::{self, Scope, Scoped};

/// What every response carries. Pages load our own style sheet and pictures and nothing else, send forms to us only,
/// and are shown in no other site's frame.
const HEADERS: [(&str, &str); 7] = [
    ("content-security-policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    // Not "no-referrer": browsers would then send forms with the origin "null".
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=(), browsing-topics=()"),
];

/// For two years; only said where cookies are for protected connections too.
const TRANSPORT: (&str, &str) = ("strict-transport-security", "max-age=63072000");

/// Under which a request is named by whoever sends it and in what comes back.
const REQUEST_ID: &str = "x-request-id";

#[derive(Template)]
#[template(path = "operations/error.html")]
struct ErrorPage {
    frame: Frame,
    title: &'static str,
    message: String,
    /// What the log calls the request; empty where that is not said.
    number: String,
}

/// Around every request, those of machines too: it gets a name, which every line of the log about it has and the answer
/// gives back.
pub(super) async fn scoped(request: ServiceRequest, next: Next<impl MessageBody + 'static>) -> Result<ServiceResponse<BoxBody>, Error> {
    let since = Instant::now();
    let scope = scope_of(&request);
    let mut response = Scoped::new(scope.clone(), next.call(request)).await?.map_into_boxed_body();
    scope::within(scope.clone(), || note(&response, since.elapsed()));
    if let Some(id) = scope.request.as_deref().and_then(|id| HeaderValue::from_str(id).ok()) {
        response.headers_mut().insert(HeaderName::from_static(REQUEST_ID), id);
    }
    Ok(response)
}

/// Around every page: errors get their page, every response its headers.
pub(super) async fn guard(request: ServiceRequest, next: Next<impl MessageBody + 'static>) -> Result<ServiceResponse<BoxBody>, Error> {
    let mut response = if names_nothing(&request) {
        with_page(request.into_response(HttpResponse::from_error(PageError::NotFound)))
    } else {
        // The request is not kept beside: the router must be its only holder. Handlers' errors come back as responses.
        with_page(next.call(request).await?.map_into_boxed_body())
    };
    let secure = context_of(response.request()).is_ok_and(|context| context.config.sign_in.secure_cookies);
    add_headers(response.headers_mut(), secure);
    Ok(response)
}

/// What a request calls itself and the trace that it belongs to; a name of our own when it has none.
fn scope_of(request: &ServiceRequest) -> Scope {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let (trace, parent) = header("traceparent").and_then(scope::parse_traceparent).unzip();
    Scope { request: Some(scope::request_id(header(REQUEST_ID))), trace, parent, event: None }
}

/// A line for the log. It names the route and not the address: what stands in an address may say whose it is.
fn note(response: &ServiceResponse<BoxBody>, took: Duration) {
    let (method, route) = (response.request().method().as_str(), route_of(response));
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    log::debug!(method, route = route.as_str(), status = response.status().as_u16(), took_ms; "answered");
}

/// The address as the application names it, with the names of its parts in place of them.
fn route_of(response: &ServiceResponse<BoxBody>) -> String {
    response.request().match_pattern().unwrap_or_else(|| "none".to_owned())
}

/// Whether an address has a character that no name has: PostgreSQL takes no text with a zero in it.
fn names_nothing(request: &ServiceRequest) -> bool {
    request.uri().path_and_query().is_some_and(|address| address.as_str().contains("%00"))
}

fn add_headers(headers: &mut HeaderMap, secure: bool) {
    for (name, value) in HEADERS.into_iter().chain(secure.then_some(TRANSPORT)) {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// Puts the page of an error in, whoever raised it: a handler, an extractor, the framework.
fn with_page(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let Some(error) = response.response().error() else { return response };
    if status.is_server_error() {
        let (method, route) = (response.request().method().as_str(), route_of(&response));
        log::error!(method, route = route.as_str(); "{error}");
    }
    let (title, message) = match error.as_error::<PageError>() {
        Some(error) => (error.title(), error.message()),
        None => (title_of(status), words_of(status.as_u16()).to_owned()),
    };
    // What is not there looks the same for everybody, to the letter.
    let number = scope::current().request.filter(|_| status != StatusCode::NOT_FOUND);
    let page = error_page(response.request(), title, message, number.as_deref().unwrap_or_default().to_owned());
    let (request, response) = response.into_parts();
    let mut response = response.set_body(BoxBody::new(page));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    ServiceResponse::new(request, response)
}

/// What is said when the framework refuses: an address that does not parse is one that does not exist.
fn words_of(status: u16) -> &'static str {
    match status {
        404 => "There is no page at this address, or it is not yours to see.",
        400..=499 => "The request could not be understood. Nothing was changed.",
        _ => "The page could not be made. Nothing was changed; please try again in a moment.",
    }
}

fn error_page(request: &HttpRequest, title: &'static str, message: String, number: String) -> String {
    let frame = match context_of(request) {
        Ok(context) => Frame::new(&context, known_viewer(request).as_ref(), ""),
        Err(_) => Frame::signed_out("AquaBills"),
    };
    let page = ErrorPage { frame, title, message, number };
    page.render().unwrap_or_else(|error| {
        log::error!("a template failed: {error}");
        page.title.to_owned()
    })
}
