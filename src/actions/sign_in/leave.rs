//! Signing out: here, everywhere, or one session of the list.

use chrono::NaiveDateTime;

use super::session::has_ended;
use crate::actions::{ActionError, Context};
use crate::db::{operations, sign_in};
use crate::domain::ids::LoginId;
use crate::domain::roles::Role;

/// A session in the list of one's own.
#[derive(Debug, Clone)]
pub struct SessionView {
    /// Its key.
    pub key: String,
    /// The browser, in its own words.
    pub user_agent: String,
    /// Begun, UTC.
    pub created_at: NaiveDateTime,
    /// Last used, UTC.
    pub last_seen_at: NaiveDateTime,
    /// Whether it is the one that asks.
    pub is_this: bool,
}

/// Ends the session.
///
/// # Errors
/// Those of the database.
pub fn sign_out(context: &Context, owner: LoginId, session: &str) -> Result<(), ActionError> {
    let now = context.now();
    context.database.write(|conn| {
        if sign_in::revoke_session(conn, owner, session, now)? {
            operations::audit(conn, now, &context.actor, "sign_in.out", &context.actor, "")?;
        }
        Ok(())
    })
}

/// Ends every session of a sign-in; returns how many.
///
/// # Errors
/// Those of the database.
pub fn sign_out_everywhere(context: &Context, owner: LoginId) -> Result<usize, ActionError> {
    let now = context.now();
    context.database.write(|conn| {
        let ended = sign_in::revoke_sessions(conn, owner, None, now)?;
        operations::audit(conn, now, &context.actor, "sign_in.out", &context.actor, &format!("everywhere: {ended} sessions"))?;
        Ok(ended)
    })
}

/// Ends one session of one's own.
///
/// # Errors
/// [`ActionError::NotFound`] when it has ended or is somebody else's.
pub fn revoke_session(context: &Context, owner: LoginId, key: &str) -> Result<(), ActionError> {
    let now = context.now();
    context.database.write(|conn| {
        if !sign_in::revoke_session(conn, owner, key, now)? {
            return Err(ActionError::not_found("session", "of this list"));
        }
        Ok(operations::audit(conn, now, &context.actor, "sign_in.out", &context.actor, "another session")?)
    })
}

/// One's sessions that have not ended, the last used first.
///
/// # Errors
/// Those of the database.
pub fn list_sessions(context: &Context, owner: LoginId, role: Role, this: &str) -> Result<Vec<SessionView>, ActionError> {
    let now = context.now();
    let rows = context.database.read(|conn| sign_in::sessions_of(conn, owner, now))?;
    let alive = rows.into_iter().filter(|row| !has_ended(row, role, &context.config.sign_in, now));
    let view = |row: sign_in::SessionRow| SessionView {
        is_this: row.token_hash == this,
        key: row.token_hash,
        user_agent: row.user_agent,
        created_at: row.created_at,
        last_seen_at: row.last_seen_at,
    };
    Ok(alive.map(view).collect())
}
