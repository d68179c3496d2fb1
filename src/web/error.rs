//! What goes wrong on the way to a page, and the page that says so.
//!
//! A handler returns `Result<HttpResponse, PageError>`; the page itself is made in one place ([`super::guard`]), with the
//! header of whoever looks.

use std::fmt::Display;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, LOCATION};
use actix_web::{HttpResponse, ResponseError};
use thiserror::Error;

use crate::actions::ActionError;

/// Why a page is not shown, or a form not accepted.
#[derive(Debug, Error)]
pub enum PageError {
    /// Nobody is signed in: they are sent to the sign-in, and from there to the page that they wanted.
    #[error("nobody is signed in")]
    NotSignedIn {
        /// The page that was asked for.
        next: Option<String>,
    },
    /// The second factor was not given yet.
    #[error("the second factor was not given yet")]
    NeedsFactor {
        /// The page that was asked for.
        next: Option<String>,
    },
    /// There is no second factor yet, and staff needs one.
    #[error("a second factor must be set up first")]
    NeedsSetUp {
        /// The page that was asked for.
        next: Option<String>,
    },
    /// The viewer's role does not allow it. Not for objects of others: those are [`PageError::NotFound`].
    #[error("Your role does not allow this.")]
    NotAllowed,
    /// There is no such thing, or it belongs to somebody else: nobody learns which.
    #[error("There is no page at this address, or it is not yours to see.")]
    NotFound,
    /// It was there once and is not any more.
    #[error("{0}")]
    Gone(&'static str),
    /// The form was not sent by one of our own pages, or its page is too old.
    #[error("This form was not accepted because {0}. Please open the page again and send it from there.")]
    Forged(&'static str),
    /// The form is larger than any of ours.
    #[error("This form is too large.")]
    TooLarge,
    /// What was asked for makes no sense: the text says which field and what was expected.
    #[error("{0}")]
    Refused(String),
    /// A verb did not act.
    #[error("{0}")]
    Action(#[from] ActionError),
    /// A bug, or the machine.
    #[error("{0}")]
    Internal(String),
}

impl PageError {
    /// A bug, or the machine: logged, and told as "something went wrong".
    pub fn internal(error: impl Display) -> Self {
        Self::Internal(error.to_string())
    }

    /// The title of the page.
    #[must_use]
    pub fn title(&self) -> &'static str {
        title_of(self.status_code())
    }

    /// What the page says. What failed inside is for the log only.
    #[must_use]
    pub fn message(&self) -> String {
        if self.status_code().is_server_error() {
            return "The page could not be made. Nothing was changed; please try again in a moment.".to_owned();
        }
        self.to_string()
    }

    /// Where the viewer is sent instead, when it is no page that says no.
    fn instead(&self) -> Option<String> {
        let (path, next) = match self {
            Self::NotSignedIn { next } => ("/sign-in", next),
            Self::NeedsFactor { next } => ("/sign-in/second-factor", next),
            Self::NeedsSetUp { next } => ("/sign-in/set-up-factor", next),
            _ => return None,
        };
        Some(with_next(path, next.as_deref()))
    }
}

/// The title of an error's page.
pub(super) fn title_of(status: StatusCode) -> &'static str {
    match status.as_u16() {
        403 => "Not allowed",
        404 => "Page not found",
        409 => "Not now",
        410 => "Not there any more",
        413 => "Too large",
        400..=499 => "This was not accepted",
        _ => "Something went wrong",
    }
}

/// A path with the page to go on to.
pub(super) fn with_next(path: &str, next: Option<&str>) -> String {
    next.map_or_else(|| path.to_owned(), |next| format!("{path}?next={}", escaped(next)))
}

/// A text as part of a query: what is not plain is escaped.
pub(super) fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'/');
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// A page of this application to go on to; anything else is the front page. An address of another host is none.
pub(super) fn local_path(next: Option<&str>) -> &str {
    let safe = |path: &&str| {
        path.starts_with('/') && !path.starts_with("//") && !path.contains(['\\', '\r', '\n', '\t']) && !path.chars().any(char::is_control)
    };
    next.filter(safe).unwrap_or("/")
}

impl ResponseError for PageError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::NotSignedIn { .. } | Self::NeedsFactor { .. } | Self::NeedsSetUp { .. } => StatusCode::SEE_OTHER,
            Self::NotAllowed | Self::Forged(_) => StatusCode::FORBIDDEN,
            Self::Gone(_) => StatusCode::GONE,
            Self::NotFound | Self::Action(ActionError::NotFound { .. }) => StatusCode::NOT_FOUND,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Refused(_) | Self::Action(ActionError::Refused(_) | ActionError::Form(_) | ActionError::Violated(_)) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Self::Action(ActionError::Busy { .. } | ActionError::LeaseLost(_) | ActionError::Stopped) => StatusCode::CONFLICT,
            Self::Action(ActionError::File { .. } | ActionError::Database(_)) | Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Without its page: [`super::guard`] puts that in.
    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if let Some(place) = self.instead() {
            response.insert_header((LOCATION, place));
        }
        response.insert_header((CACHE_CONTROL, "no-store")).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_to_another_site() {
        assert_eq!(local_path(Some("/bills/7?x=1")), "/bills/7?x=1");
        for bad in ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "", "/a\r\nSet-Cookie: x", "/\t/evil.example"] {
            assert_eq!(local_path(Some(bad)), "/", "{bad}");
        }
        assert_eq!(with_next("/sign-in", Some("/a?b=c&d=e f")), "/sign-in?next=/a%3Fb%3Dc%26d%3De%20f");
    }
}
