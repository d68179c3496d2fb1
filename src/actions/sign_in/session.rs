//! The session behind a token: whether it is still one, and how far it got.

use chrono::{Duration, NaiveDateTime};

use super::enter::plain_email;
use super::token::token_hash;
use crate::actions::{ActionError, Context};
use crate::config::SignInSettings;
use crate::db::DbConnection;
use crate::db::sign_in::{self, LoginRow, SessionRow};
use crate::domain::roles::Role;

/// A session's last use is written at most so often: not for each page.
const TOUCH_SECONDS: i64 = 30;

/// How far a session got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The password was given, a code of the second factor is awaited.
    NeedsFactor,
    /// The password was given, a second factor must be set up first.
    NeedsSetUp,
    /// Signed in.
    Full,
}

/// A session and whose it is.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// The session's key: the hash of its token.
    pub session: String,
    /// How far it got.
    pub stage: Stage,
    /// Whose.
    pub login: LoginRow,
    /// What they signed in as.
    pub role: Role,
}

/// The session with this token, unless it has ended; remembers that it was used.
///
/// # Errors
/// Those of the database.
pub fn current_session(context: &Context, token: &str) -> Result<Option<SignedIn>, ActionError> {
    let key = token_hash(token);
    let found = context.database.read(|conn| match sign_in::session(conn, &key)? {
        Some((session, login)) => Ok::<_, ActionError>(is_on_file(conn, &login)?.then_some((session, login))),
        None => Ok(None),
    })?;
    let Some((session, login)) = found else { return Ok(None) };
    let now = context.now();
    let Ok(role) = login.role.parse::<Role>() else { return Ok(None) };
    if login.disabled_at.is_some() || has_ended(&session, role, &context.config.sign_in, now) {
        return Ok(None);
    }
    if now - session.last_seen_at >= Duration::seconds(TOUCH_SECONDS) {
        let touched = context.database.write(|conn| Ok::<_, ActionError>(sign_in::touch_session(conn, &key, now)?));
        if let Err(error) = touched {
            // The page can be shown all the same; the session only ends a little earlier.
            log::warn!("the use of a session could not be remembered: {error}");
        }
    }
    let stage = stage_of(&session, &login, role);
    Ok(Some(SignedIn { session: key, stage, login, role }))
}

/// Whether a customer's address is still the one on file. Whoever had it by mistake, or has it no more, sees nothing from
/// the moment in which it is corrected.
pub(super) fn is_on_file(conn: &mut DbConnection, login: &LoginRow) -> Result<bool, ActionError> {
    let Some(person) = login.person_id else { return Ok(true) };
    let email = sign_in::email_of_person(conn, person)?;
    Ok(email.is_some_and(|email| plain_email(&email) == login.email))
}

/// Whether a session has ended: by hand, by age, or by not being used.
pub(super) fn has_ended(session: &SessionRow, role: Role, settings: &SignInSettings, now: NaiveDateTime) -> bool {
    let idle = if role.is_staff() { settings.staff_idle_minutes } else { settings.customer_idle_minutes };
    let idle_end = session.last_seen_at + Duration::minutes(i64::from(idle));
    session.revoked_at.is_some() || session.expires_at <= now || idle_end <= now
}

fn stage_of(session: &SessionRow, login: &LoginRow, role: Role) -> Stage {
    match (session.stage.as_str(), login.totp_confirmed_at) {
        ("full", Some(_)) => Stage::Full,
        // A second factor that was taken away must be set up again before anything else.
        ("full", None) if !role.is_staff() => Stage::Full,
        (_, Some(_)) => Stage::NeedsFactor,
        (_, None) => Stage::NeedsSetUp,
    }
}
