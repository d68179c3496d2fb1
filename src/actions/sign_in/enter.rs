//! Signing in with an address and a password.

use chrono::{Duration, NaiveDateTime};

use super::events::{Event, tell};
use super::password::is_password;
use super::throttle::{Attempt, Subject, accepted, count};
use super::{Stage, is_on_file, new_token, token_hash};
use crate::actions::{ActionError, Context};
use crate::db::sign_in::{self, LoginRow, SessionRow};
use crate::db::{DbConnection, operations};

/// How long a session may wait for its second factor, in minutes.
const WAITING_MINUTES: i64 = 10;
/// No browser's own name is kept longer.
const LONGEST_USER_AGENT: usize = 200;

/// Who asks: where from, and with which browser.
#[derive(Debug, Clone, Default)]
pub struct Client {
    /// The network address.
    pub address: String,
    /// The browser, in its own words.
    pub user_agent: String,
}

/// A session that was begun.
#[derive(Debug, Clone)]
pub struct Entered {
    /// Its token, for the browser alone.
    pub token: String,
    /// How far it got.
    pub stage: Stage,
}

/// The form in which addresses are compared.
#[must_use]
pub fn plain_email(email: &str) -> String {
    email.trim().to_lowercase()
}

/// Signs in: the first of two steps for whoever has a second factor, the only one for others.
///
/// # Errors
/// Those of the database. A wrong password is none: see [`Attempt`].
pub fn sign_in(context: &Context, email: &str, password: &str, client: &Client) -> Result<Attempt<Entered>, ActionError> {
    let email = plain_email(email);
    let subjects = [Subject::Address(&email), Subject::Client(&client.address)];
    if let Some(until) = count(context, &subjects)? {
        return Ok(Attempt::Blocked { until });
    }
    let (login, known) = context.database.read(|conn| {
        let login = sign_in::login_by_email(conn, &email)?;
        let known = match login.clone().filter(|login| login.disabled_at.is_none()) {
            Some(login) => is_on_file(conn, &login)?.then_some(login),
            None => None,
        };
        Ok::<_, ActionError>((login, known))
    })?;
    let hash = known.as_ref().and_then(|login| login.password_hash.as_deref());
    let right = is_password(password, hash);
    let now = context.now();
    context.database.write(|conn| {
        match known.as_ref().filter(|_| right) {
            Some(login) if is_as_before(conn, login)? => {
                accepted(conn, &subjects)?;
                Ok(Attempt::Accepted(enter(conn, context, login, client)?))
            }
            _ => {
                // What was typed as an address of nobody may be a password: it is not written down.
                let subject = login.as_ref().map_or("an address that is not known", |login| login.email.as_str());
                operations::audit(conn, now, "nobody", "sign_in.failed", subject, &format!("password, from {}", client.address))?;
                Ok(Attempt::Wrong)
            }
        }
    })
}

/// Whether the sign-in did not change while its password was compared.
pub(super) fn is_as_before(conn: &mut DbConnection, seen: &LoginRow) -> Result<bool, ActionError> {
    sign_in::lock_login(conn, seen.id)?;
    let current = sign_in::login(conn, seen.id)?;
    let same = current.is_some_and(|current| current.disabled_at.is_none() && current.password_hash == seen.password_hash);
    Ok(same && is_on_file(conn, seen)?)
}

fn enter(conn: &mut DbConnection, context: &Context, login: &LoginRow, client: &Client) -> Result<Entered, ActionError> {
    let stage = match (login.totp_confirmed_at, login.role.as_str()) {
        (Some(_), _) => Stage::NeedsFactor,
        (None, "customer") => Stage::Full,
        (None, _) => Stage::NeedsSetUp,
    };
    let token = open(conn, context, login, stage == Stage::Full, client)?;
    Ok(Entered { token, stage })
}

/// Begins a session and returns its token.
pub(super) fn open(conn: &mut DbConnection, context: &Context, login: &LoginRow, full: bool, client: &Client) -> Result<String, ActionError> {
    let now = context.now();
    let token = new_token();
    let user_agent: String = client.user_agent.chars().filter(|c| !c.is_control()).take(LONGEST_USER_AGENT).collect();
    let minutes = if full { i64::from(context.config.sign_in.absolute_minutes) } else { WAITING_MINUTES };
    let row = SessionRow {
        token_hash: token_hash(&token),
        login_id: login.id,
        stage: if full { "full" } else { "password" }.to_owned(),
        user_agent: user_agent.clone(),
        created_at: now,
        last_seen_at: now,
        expires_at: now + Duration::minutes(minutes),
        revoked_at: None,
    };
    if full {
        let (known, any) = sign_in::knows_browser(conn, login.id, &user_agent)?;
        if any && !known {
            tell(conn, context, login, Event::NewDevice(user_agent))?;
        }
        operations::audit(conn, now, &login.email, "sign_in.ok", &login.email, &format!("from {}", client.address))?;
    } else {
        operations::audit(conn, now, &login.email, "sign_in.password", &login.email, &format!("from {}", client.address))?;
    }
    sign_in::open_session(conn, &row)?;
    Ok(token)
}

/// When a block ends, for people: whole minutes from now, at least one.
#[must_use]
pub fn minutes_until(now: NaiveDateTime, until: NaiveDateTime) -> i64 {
    ((until - now).num_seconds() + 59).div_euclid(60).max(1)
}
