//! A new password in place of the old one.

use super::enter::is_as_before;
use super::events::{Event, tell};
use super::password::{check_new, hash_password, is_password};
use super::throttle::{Attempt, Subject, accepted, count};
use crate::actions::{ActionError, Context};
use crate::db::{operations, sign_in};
use crate::domain::ids::LoginId;

/// Changes the password of whoever is signed in. The other sessions end, and mailed links are worth nothing any more.
///
/// # Errors
/// [`ActionError::Refused`] when the new one breaks a rule. A wrong current one is no error: see [`Attempt`].
pub fn change_password(context: &Context, id: LoginId, session: &str, current: &str, new: &str) -> Result<Attempt<()>, ActionError> {
    let login = context.database.read(|conn| sign_in::login(conn, id))?.ok_or_else(|| ActionError::not_found("sign-in", id.to_string()))?;
    check_new(context, new, &login.email, &login.name)?;
    let subjects = [Subject::Address(&login.email)];
    if let Some(until) = count(context, &subjects)? {
        return Ok(Attempt::Blocked { until });
    }
    let now = context.now();
    if !is_password(current, login.password_hash.as_deref()) {
        context.database.write(|conn| operations::audit(conn, now, &login.email, "sign_in.failed", &login.email, "password, to change it"))?;
        return Ok(Attempt::Wrong);
    }
    let hash = hash_password(new)?;
    context.database.write(|conn| {
        // Somebody with a mailed link may have set another password since this one was compared: then theirs stands.
        if !is_as_before(conn, &login)? {
            return Ok(Attempt::Wrong);
        }
        accepted(conn, &subjects)?;
        sign_in::set_password(conn, id, &hash, now)?;
        let ended = sign_in::revoke_sessions(conn, id, Some(session), now)?;
        sign_in::void_links(conn, id, now)?;
        operations::audit(conn, now, &login.email, "sign_in.password_set", &login.email, &format!("changed, {ended} other sessions ended"))?;
        tell(conn, context, &login, Event::PasswordChanged)?;
        Ok(Attempt::Accepted(()))
    })
}
