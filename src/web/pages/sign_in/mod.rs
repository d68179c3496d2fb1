//! Signing in and out, passwords, second factors, and the people of the utility.

mod enter;
mod factor;
mod link;
mod profile;
mod staff;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, RETRY_AFTER, USER_AGENT};
use chrono::NaiveDateTime;

use crate::actions::sign_in::{Attempt, Client, minutes_until};
use crate::actions::{ActionError, Context};
use crate::web::error::PageError;
use crate::web::form::our_cookie;
use crate::web::frame::go_to;
use crate::web::routes::Routes;
use crate::web::viewer::session_cookie;

/// The routes of this area.
pub(in crate::web) fn routes(routes: &mut Routes) {
    routes.get("/sign-in", enter::show);
    routes.post("/sign-in", enter::sign_in);
    routes.get("/sign-in/second-factor", factor::ask);
    routes.post("/sign-in/second-factor", factor::give);
    routes.get("/sign-in/set-up-factor", factor::propose);
    routes.post("/sign-in/set-up-factor", factor::confirm);
    routes.get("/sign-in/link", link::ask);
    routes.post("/sign-in/link", link::request);
    routes.post("/sign-out", enter::sign_out);
    routes.get("/password/{token}", link::show);
    routes.post("/password/{token}", link::set);
    routes.get("/profile/sign-in", profile::show);
    routes.post("/profile/sign-in/password", profile::change_password);
    routes.post("/profile/sign-in/end", profile::end_session);
    routes.post("/profile/sign-in/end-all", profile::end_all);
    routes.post("/profile/sign-in/drop-factor", profile::drop_factor);
    routes.get("/staff/logins", staff::list);
    routes.post("/staff/logins", staff::add);
    routes.post("/staff/logins/disable", staff::disable);
    routes.post("/staff/logins/enable", staff::enable);
    routes.post("/staff/logins/reset-factor", staff::reset_factor);
    routes.post("/staff/logins/link", staff::send_link);
}

/// What a form is told that was not accepted: the status of the page, what it says, when to try again.
pub(in crate::web::pages) struct Problem {
    pub(in crate::web::pages) status: StatusCode,
    pub(in crate::web::pages) text: String,
    retry_after: Option<i64>,
}

impl Problem {
    pub(in crate::web::pages) fn wrong(text: &str) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, text: text.to_owned(), retry_after: None }
    }

    /// Too many guesses. It was not looked at whether this one was right, and that is said.
    pub(in crate::web::pages) fn blocked(now: NaiveDateTime, until: NaiveDateTime) -> Self {
        let minutes = minutes_until(now, until);
        let unit = if minutes == 1 { "minute" } else { "minutes" };
        let text = format!(
            "There were too many attempts, so this one was not checked: it may well be right. Please wait {minutes} {unit} and send it again."
        );
        Self { status: StatusCode::TOO_MANY_REQUESTS, text, retry_after: Some((until - now).num_seconds().max(1)) }
    }

    /// The page of the form again, with what is wrong.
    pub(in crate::web::pages) fn answer(&self, mut page: HttpResponse) -> HttpResponse {
        if let Some(seconds) = self.retry_after.and_then(|seconds| HeaderValue::from_str(&seconds.to_string()).ok()) {
            page.headers_mut().insert(RETRY_AFTER, seconds);
        }
        page
    }
}

/// What came of an attempt: what it opened, or what to tell.
fn judged<T>(context: &Context, outcome: Result<Attempt<T>, PageError>, wrong: &str) -> Result<Result<T, Problem>, PageError> {
    match outcome {
        Ok(Attempt::Accepted(value)) => Ok(Ok(value)),
        Ok(Attempt::Wrong) => Ok(Err(Problem::wrong(wrong))),
        Ok(Attempt::Blocked { until }) => Ok(Err(Problem::blocked(context.now(), until))),
        Err(PageError::Action(ActionError::Refused(text))) => Ok(Err(Problem::wrong(&sentence(&text)))),
        Err(error) => Err(error),
    }
}

/// A refusal as a sentence.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters.next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
    let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

/// Who asks. A proxy's word is taken only when the settings name it.
pub(in crate::web::pages) fn client_of(request: &HttpRequest, context: &Context) -> Client {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // A server that listens to both versions of IP sees a proxy of version 4 in the form of version 6.
    let peer = request.peer_addr().map(|peer| peer.ip().to_canonical());
    let trusted = peer.is_some() && peer == context.config.sign_in.trusted_proxy.map(|proxy| proxy.to_canonical());
    // The last entry of the last such header is the one that our own proxy wrote (some add a header of their own);
    // those before it are whatever the client said.
    let last = request.headers().get_all("x-forwarded-for").last().and_then(|value| value.to_str().ok());
    let forwarded = last.and_then(|list| list.rsplit(',').next()).and_then(|entry| entry.trim().parse().ok());
    let address = if trusted { forwarded.or(peer) } else { peer };
    Client { address: address.map_or_else(|| "unknown".to_owned(), network_of), user_agent: header(USER_AGENT.as_str()).to_owned() }
}

/// One household has one address of version 4, or 2^64 of version 6: those count as one.
fn network_of(address: std::net::IpAddr) -> String {
    match address.to_canonical() {
        std::net::IpAddr::V4(address) => address.to_string(),
        std::net::IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

/// Goes on to a page with the cookie of a session.
fn go_on_with(context: &Context, token: String, place: &str) -> Result<HttpResponse, PageError> {
    let mut response = go_to(place);
    response.add_cookie(&our_cookie(context, session_cookie(context), token)).map_err(PageError::internal)?;
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_count_as_one_household() {
        assert_eq!(network_of("203.0.113.7".parse().unwrap()), "203.0.113.7");
        assert_eq!(network_of("::ffff:203.0.113.7".parse().unwrap()), "203.0.113.7");
        assert_eq!(network_of("2001:db8:1:2:3:4:5:6".parse().unwrap()), "2001:db8:1:2::/64");
    }

    #[test]
    fn refusals_are_sentences() {
        assert_eq!(sentence("email: expected one"), "Email: expected one.");
        assert_eq!(sentence("Done!"), "Done!");
    }
}
