//! Under which request, trace and event a piece of work is done: log lines and spans say it without being told each time.
//!
//! A scope belongs to a thread while work runs in it. A request's future takes its scope along ([`Scoped`]), and work that
//! is handed to another thread takes it over ([`carry`]).

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rand::Rng;

/// A request's own name is this long at least and at most.
const REQUEST_ID_LENGTHS: std::ops::RangeInclusive<usize> = 8..=64;

/// What work is about, by ids only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// The HTTP request.
    pub request: Option<Arc<str>>,
    /// The trace: 32 hexadecimal digits.
    pub trace: Option<Arc<str>>,
    /// The caller's span within it: 16 hexadecimal digits.
    pub parent: Option<Arc<str>>,
    /// The provider's event, by our own id of it.
    pub event: Option<i64>,
}

thread_local! {
    static CURRENT: RefCell<Scope> = RefCell::new(Scope::default());
}

/// The scope of the work at hand.
#[must_use]
pub fn current() -> Scope {
    CURRENT.with(|scope| scope.borrow().clone())
}

/// Puts the scope before back when work ends, however it ends.
struct Before(Option<Scope>);

impl Drop for Before {
    fn drop(&mut self) {
        if let Some(before) = self.0.take() {
            CURRENT.with(|scope| scope.replace(before));
        }
    }
}

/// Does work in a scope.
pub fn within<T>(scope: Scope, work: impl FnOnce() -> T) -> T {
    let _before = Before(Some(CURRENT.with(|current| current.replace(scope))));
    work()
}

/// The same work in this scope, wherever it is done: for what is handed to another thread.
pub fn carry<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let scope = current();
    move || within(scope, work)
}

/// A future that always goes on in its scope.
pub struct Scoped<F> {
    scope: Scope,
    inner: Pin<Box<F>>,
}

impl<F: Future> Scoped<F> {
    /// A future in a scope.
    pub fn new(scope: Scope, inner: F) -> Self {
        Self { scope, inner: Box::pin(inner) }
    }
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<F::Output> {
        let scope = self.scope.clone();
        within(scope, || self.inner.as_mut().poll(task))
    }
}

/// The name of a request: what its sender calls it when that is well-formed, else a new one.
#[must_use]
pub fn request_id(asked: Option<&str>) -> Arc<str> {
    let plain = |id: &&str| REQUEST_ID_LENGTHS.contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    match asked.filter(plain) {
        Some(id) => id.into(),
        None => random_hex::<8>().into(),
    }
}

/// A new trace's name: 32 hexadecimal digits.
#[must_use]
pub fn new_trace_id() -> String {
    random_hex::<16>()
}

/// A new span's name: 16 hexadecimal digits.
#[must_use]
pub fn new_span_id() -> String {
    random_hex::<8>()
}

fn random_hex<const BYTES: usize>() -> String {
    let mut bytes = [0_u8; BYTES];
    rand::rng().fill(&mut bytes[..]);
    data_encoding::HEXLOWER.encode(&bytes)
}

/// Trace and span of a `traceparent` header (W3C Trace Context); none when it has another form.
#[must_use]
pub fn parse_traceparent(header: &str) -> Option<(Arc<str>, Arc<str>)> {
    let hex = |text: &str, length: usize| text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    let mut parts = header.trim().split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let rest = parts.next();
    let fits = hex(version, 2) && version != "ff" && hex(trace, 32) && hex(span, 16) && hex(flags, 2);
    let named = trace.bytes().any(|byte| byte != b'0') && span.bytes().any(|byte| byte != b'0');
    (fits && named && (version != "00" || rest.is_none())).then(|| (trace.into(), span.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_keeps_a_plain_name_and_gets_one_otherwise() {
        assert_eq!(&*request_id(Some("a1b2c3d4-x_y.z")), "a1b2c3d4-x_y.z");
        for bad in ["", "short", "ada@example.org", "line\nbreak9", "\"quoted\"123", &"x".repeat(65)] {
            let made = request_id(Some(bad));
            assert!(made.len() == 16 && &*made != bad, "{bad}");
        }
    }

    #[test]
    fn a_traceparent_is_taken_by_its_form() {
        let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        assert_eq!(parse_traceparent(&format!("00-{trace}-{span}-01")), Some((trace.into(), span.into())));
        assert_eq!(parse_traceparent(&format!("01-{trace}-{span}-01-more")), Some((trace.into(), span.into())));
        let zeros = "0".repeat(32);
        for bad in [
            String::new(),
            format!("00-{trace}-{span}"),
            format!("ff-{trace}-{span}-01"),
            format!("00-{}-{span}-01", trace.to_uppercase()),
            format!("00-{zeros}-{span}-01"),
            format!("00-{trace}-{}-01", &zeros[..16]),
            format!("00-{trace}-{span}-01-more"),
            format!("00-{trace}x-{span}-01"),
        ] {
            assert_eq!(parse_traceparent(&bad), None, "{bad}");
        }
    }

    #[test]
    fn work_is_in_its_scope_and_nothing_else_is() {
        let scope = Scope { request: Some("12345678".into()), ..Scope::default() };
        let carried = within(scope.clone(), || carry(current));
        assert_eq!(current(), Scope::default());
        assert_eq!(std::thread::spawn(carried).join().unwrap(), scope);
    }
}
