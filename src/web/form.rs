//! Forms: a handler that takes a [`CheckedForm`] or a [`PublicForm`] is reached by our own pages only.
//!
//! Two guards against forms that other sites send: the browser must say that the request comes from our own pages, and
//! the form must carry the hidden field `csrf` that only our pages know.

use std::time::Duration;

use actix_web::cookie::{Cookie, SameSite};
use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap, HeaderName};
use actix_web::rt::time::timeout;
use actix_web::{FromRequest, HttpRequest, web};
use serde::de::DeserializeOwned;

use super::error::PageError;
use super::viewer::{Extracting, FormOwner, Viewer, context_of};
use crate::actions::Context;
use crate::actions::sign_in::{csrf_token, new_token, same_csrf};

/// No form is larger.
const LARGEST_FORM_BYTES: usize = 64 * 1024;
/// No form takes longer to arrive: whoever sends a byte now and then does not hold a connection for ever.
const LONGEST_SENDING: Duration = Duration::from_secs(30);

/// A form of a session, checked, and who sent it.
#[derive(Debug)]
pub struct CheckedForm<T, W = Viewer> {
    /// Who sent it.
    pub viewer: W,
    /// Its fields.
    pub form: T,
}

/// A form that needs no session, such as the sign-in's: checked against a cookie that was set with its page.
#[derive(Debug)]
pub struct PublicForm<T>(pub T);

impl<T: DeserializeOwned + 'static, W: FormOwner + 'static> FromRequest for CheckedForm<T, W> {
    type Error = PageError;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            let context = context_of(&request)?;
            let viewer = W::extract(&request).await?;
            check_origin(request.headers(), &context)?;
            let body = read_body(&request, payload).await?;
            let form = parse(&body, viewer.csrf())?;
            Ok(Self { viewer, form })
        })
    }
}

impl<T: DeserializeOwned + 'static> FromRequest for PublicForm<T> {
    type Error = PageError;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            let context = context_of(&request)?;
            check_origin(request.headers(), &context)?;
            let cookie = request.cookie(public_cookie(&context)).ok_or(PageError::Forged("the cookie of its page is missing"))?;
            let body = read_body(&request, payload).await?;
            Ok(Self(parse(&body, &csrf_token(cookie.value()))?))
        })
    }
}

/// The hidden token of a page with a form that needs no session, and the cookie to set with it when there is none yet.
pub(super) fn public_token(request: &HttpRequest, context: &Context) -> (String, Option<Cookie<'static>>) {
    let name = public_cookie(context);
    if let Some(known) = request.cookie(name) {
        return (csrf_token(known.value()), None);
    }
    let token = new_token();
    (csrf_token(&token), Some(our_cookie(context, name, token)))
}

/// A cookie that scripts do not see and other sites do not send with their forms.
pub(super) fn our_cookie(context: &Context, name: &'static str, value: String) -> Cookie<'static> {
    let secure = context.config.sign_in.secure_cookies;
    Cookie::build(name, value).path("/").http_only(true).same_site(SameSite::Lax).secure(secure).finish()
}

fn public_cookie(context: &Context) -> &'static str {
    if context.config.sign_in.secure_cookies { "__Host-aquabills-form" } else { "aquabills-form" }
}

/// The browser must say that one of our own pages sent the form; one that says nothing is not believed.
pub(super) fn check_origin(headers: &HeaderMap, context: &Context) -> Result<(), PageError> {
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let site = text(&HeaderName::from_static("sec-fetch-site"));
    if site.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return Err(PageError::Forged("it was sent by another site"));
    }
    let origin = text(&header::ORIGIN);
    let from = origin.or_else(|| text(&header::REFERER));
    match from {
        Some(from) if is_ours(from, text(&header::HOST), &context.config.public_url) => Ok(()),
        Some(_) => Err(PageError::Forged("it was sent by another site")),
        None if site.is_some() => Ok(()),
        None => Err(PageError::Forged("the browser does not say where it comes from")),
    }
}

/// Whether an address is below the host that was asked, or below the address that the settings name.
fn is_ours(address: &str, host: Option<&str>, public_url: &str) -> bool {
    let Some((scheme, authority)) = origin_of(address) else { return false };
    let asked = host.is_some_and(|host| host.eq_ignore_ascii_case(authority));
    asked || origin_of(public_url).is_some_and(|(of, at)| of.eq_ignore_ascii_case(scheme) && at.eq_ignore_ascii_case(authority))
}

/// Scheme and authority of an address; nothing for `null` and what is none.
fn origin_of(address: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = address.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    (matches!(scheme, "http" | "https") && !authority.is_empty()).then_some((scheme, authority))
}

async fn read_body(request: &HttpRequest, mut payload: Payload) -> Result<String, PageError> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !kind.trim().to_ascii_lowercase().starts_with("application/x-www-form-urlencoded") {
        return Err(PageError::Refused("the form: expected application/x-www-form-urlencoded".to_owned()));
    }
    let payload = web::Payload::from_request(request, &mut payload).await.map_err(PageError::internal)?;
    let whole = payload.to_bytes_limited(LARGEST_FORM_BYTES);
    let whole = timeout(LONGEST_SENDING, whole).await.map_err(|_| PageError::Refused("the form: it did not arrive in time".to_owned()))?;
    let body = whole.map_err(|_| PageError::TooLarge)?;
    let body = body.map_err(|_| PageError::Refused("the form: it did not arrive whole".to_owned()))?;
    String::from_utf8(body.to_vec()).map_err(|_| PageError::Refused("the form: expected UTF-8".to_owned()))
}

/// Checks the hidden token and reads the other fields.
fn parse<T: DeserializeOwned>(body: &str, expected: &str) -> Result<T, PageError> {
    if body.contains("%00") || body.contains('\0') {
        return Err(PageError::Refused("the form: expected text without the character 0".to_owned()));
    }
    let (tokens, fields): (Vec<&str>, Vec<&str>) = body.split('&').partition(|field| field.starts_with("csrf="));
    let given = match tokens.as_slice() {
        [one] => one.trim_start_matches("csrf="),
        _ => return Err(PageError::Forged("its hidden token is missing")),
    };
    if !same_csrf(given, expected) {
        return Err(PageError::Forged("its hidden token is of another session"));
    }
    let form = web::Query::<T>::from_query(&fields.join("&"));
    form.map(web::Query::into_inner).map_err(|error| PageError::Refused(format!("the form: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[(&str, &str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(name.parse().unwrap(), value.parse().unwrap());
        }
        is_accepted(&map)
    }

    fn is_accepted(map: &HeaderMap) -> bool {
        let text = |name: &str| map.get(name).map(|value| value.to_str().unwrap());
        text("origin").is_some_and(|origin| is_ours(origin, text("host"), "https://bills.example.org"))
    }

    #[test]
    fn our_own_addresses_are_known() {
        assert!(check(&[("host", "127.0.0.1:8080"), ("origin", "http://127.0.0.1:8080")]));
        assert!(check(&[("host", "127.0.0.1:8080"), ("origin", "https://bills.example.org")]));
        assert!(check(&[("host", "127.0.0.1:8080"), ("origin", "https://bills.example.org/sign-in?next=/")]));
        assert!(!check(&[("host", "127.0.0.1:8080"), ("origin", "http://bills.example.org")]));
        assert!(!check(&[("host", "127.0.0.1:8080"), ("origin", "https://bills.example.org.evil.example")]));
        assert!(!check(&[("host", "127.0.0.1:8080"), ("origin", "http://127.0.0.1:8081")]));
        assert!(!check(&[("host", "127.0.0.1:8080"), ("origin", "null")]));
        assert!(!check(&[("host", "127.0.0.1:8080"), ("origin", "https://bills.example.org@evil.example")]));
    }
}
