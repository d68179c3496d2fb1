//! The metrics, for Prometheus. Who may read them says the setting `[metrics]`: this machine itself, or whoever shows the
//! token.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use actix_web::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use actix_web::{HttpRequest, HttpResponse, web};
use sha2::{Digest, Sha256};

use crate::actions::{Context, alarms};
use crate::telemetry::metrics::{Figures, render};
use crate::telemetry::scope::carry;
use crate::web::error::PageError;

/// Headers that only somebody in between adds.
const OF_PROXIES: [&str; 5] = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"];

/// The figures that were shown last: however often the page is read, the database is asked every few seconds.
#[derive(Default)]
pub(in crate::web) struct Cache(Mutex<Option<(Instant, Figures)>>);

impl Cache {
    /// The figures of a moment ago, or new ones; none when the database does not answer.
    fn figures(&self, context: &Context) -> Option<Figures> {
        let mut kept = match self.0.try_lock() {
            Ok(kept) => kept,
            // Somebody is asking just now: what they get is good for all who wait.
            Err(TryLockError::WouldBlock) => self.0.lock().unwrap_or_else(PoisonError::into_inner),
            Err(TryLockError::Poisoned(kept)) => kept.into_inner(),
        };
        let fresh = Duration::from_secs(u64::from(context.config.metrics.cache_seconds));
        if let Some((at, figures)) = kept.as_ref()
            && at.elapsed() < fresh
        {
            return Some(figures.clone());
        }
        match alarms::figures(context) {
            Ok(figures) => {
                *kept = Some((Instant::now(), figures.clone()));
                Some(figures)
            }
            Err(error) => {
                log::error!("the figures for the metrics cannot be read: {error}");
                None
            }
        }
    }
}

/// Whether somebody may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Granted,
    /// They must show the token.
    NeedsToken,
    Refused,
}

/// With a token set, whoever shows it; without, only who asks from this machine, and not through a proxy on it.
fn access(token: Option<&str>, shown: Option<&str>, peer: Option<IpAddr>, proxied: bool) -> Access {
    match (token, shown) {
        // Hashes, so that the time of the comparison tells nothing.
        (Some(token), Some(shown)) if Sha256::digest(token) == Sha256::digest(shown) => Access::Granted,
        (Some(_), _) => Access::NeedsToken,
        (None, _) if !proxied && peer.is_some_and(|peer| peer.to_canonical().is_loopback()) => Access::Granted,
        (None, _) => Access::Refused,
    }
}

/// `GET /metrics`.
pub(super) async fn show(request: HttpRequest, context: web::Data<Context>, cache: web::Data<Cache>) -> Result<HttpResponse, PageError> {
    let settings = &context.config.metrics;
    if !settings.enabled {
        return Err(PageError::NotFound);
    }
    let shown = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| value.strip_prefix("Bearer "));
    let peer = request.peer_addr().map(|peer| peer.ip());
    let is_proxy = peer.is_some() && peer.map(|peer| peer.to_canonical()) == context.config.sign_in.trusted_proxy.map(|proxy| proxy.to_canonical());
    let proxied = is_proxy || OF_PROXIES.iter().any(|name| request.headers().contains_key(*name));
    match access(settings.token().as_deref(), shown, peer, proxied) {
        Access::Granted => {}
        Access::NeedsToken => {
            return Ok(HttpResponse::Unauthorized().insert_header((WWW_AUTHENTICATE, "Bearer")).body("a bearer token is needed\n"));
        }
        Access::Refused => {
            let why = format!("metrics are for this machine only; set {} to read them from elsewhere\n", settings.token_env);
            return Ok(HttpResponse::Forbidden().body(why));
        }
    }
    let figures = web::block(carry(move || cache.figures(&context))).await.map_err(PageError::internal)?;
    let text = render(figures.as_ref()).map_err(PageError::internal)?;
    let kind = (CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
    Ok(HttpResponse::Ok().insert_header(kind).insert_header((CACHE_CONTROL, "no-store")).body(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_token_only_this_machine_reads_and_with_one_only_who_shows_it() {
        let [here, here6, mapped, there] = ["127.0.0.1", "::1", "::ffff:127.0.0.1", "192.0.2.7"].map(|ip| Some(ip.parse().unwrap()));
        for peer in [here, here6, mapped] {
            assert_eq!(access(None, None, peer, false), Access::Granted);
            assert_eq!(access(None, None, peer, true), Access::Refused, "through a proxy everybody comes from this machine");
        }
        assert_eq!(access(None, Some("guess"), there, false), Access::Refused);
        assert_eq!(access(None, None, None, false), Access::Refused);
        for peer in [here, there] {
            assert_eq!(access(Some("secret"), Some("secret"), peer, true), Access::Granted);
            assert_eq!(access(Some("secret"), Some("guess"), peer, false), Access::NeedsToken);
            assert_eq!(access(Some("secret"), None, peer, false), Access::NeedsToken);
        }
    }
}
