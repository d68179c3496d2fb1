//! What stands around every page: headers that tell browsers what not to do, and the page of an error.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest, HttpResponse};
use askama::Template;

use super::error::{PageError, title_of};
use super::frame::Frame;
use super::viewer::{context_of, known_viewer};

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

#[derive(Template)]
#[template(path = "operations/error.html")]
struct ErrorPage {
    frame: Frame,
    title: &'static str,
    message: String,
}

/// Around every request: errors get their page, every response its headers.
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
        log::error!("{} {}: {error}", response.request().method(), logged_path(response.request().path()));
    }
    let (title, message) = match error.as_error::<PageError>() {
        Some(error) => (error.title(), error.message()),
        None => (title_of(status), words_of(status.as_u16()).to_owned()),
    };
    let page = error_page(response.request(), title, message);
    let (request, response) = response.into_parts();
    let mut response = response.set_body(BoxBody::new(page));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    ServiceResponse::new(request, response)
}

/// The path for the log: what follows in the address of a mailed link, or of a payment, is a secret.
fn logged_path(path: &str) -> &str {
    const SECRETS: [&str; 2] = ["/password/", "/pay/"];
    SECRETS.into_iter().find(|secret| path.starts_with(secret)).unwrap_or(path)
}

/// What is said when the framework refuses: an address that does not parse is one that does not exist.
fn words_of(status: u16) -> &'static str {
    match status {
        404 => "There is no page at this address, or it is not yours to see.",
        400..=499 => "The request could not be understood. Nothing was changed.",
        _ => "The page could not be made. Nothing was changed; please try again in a moment.",
    }
}

fn error_page(request: &HttpRequest, title: &'static str, message: String) -> String {
    let frame = match context_of(request) {
        Ok(context) => Frame::new(&context, known_viewer(request).as_ref(), ""),
        Err(_) => Frame::signed_out("AquaBills"),
    };
    let page = ErrorPage { frame, title, message };
    page.render().unwrap_or_else(|error| {
        log::error!("a template failed: {error}");
        page.title.to_owned()
    })
}
