//! The utility's people: who may sign in, and as what.

use chrono::{Duration, NaiveDateTime};

use super::factor::forget;
use super::links::make_link;
use super::password::{check_new, hash_password};
use super::plain_email;
use crate::actions::{ActionError, Context};
use crate::db::sign_in::{self, LoginRow, NewLogin};
use crate::db::{DbConnection, operations};
use crate::domain::roles::Role;

/// How long an administrator's link is good: its reader may be at home until tomorrow.
const INVITATION_HOURS: i64 = 24;

/// Somebody to be let in.
#[derive(Clone)]
pub struct NewStaff {
    /// The address to sign in with.
    pub email: String,
    /// The name.
    pub name: String,
    /// As what; not customer.
    pub role: Role,
    /// A first password; without one a link is made.
    pub password: Option<String>,
    /// Whether the link is mailed.
    pub mail_link: bool,
}

/// One of the utility's people.
#[derive(Debug, Clone, serde::Serialize)]
pub struct StaffMember {
    /// The sign-in.
    pub id: i64,
    /// The address.
    pub email: String,
    /// The name.
    pub name: String,
    /// As what.
    pub role: String,
    /// Whether a password was set.
    pub has_password: bool,
    /// Whether a second factor was set up.
    pub has_factor: bool,
    /// Since when the sign-in is not accepted, UTC.
    pub disabled_at: Option<NaiveDateTime>,
}

/// Lets somebody in; returns the path of the link to set the password, when none was given.
///
/// # Errors
/// [`ActionError::Refused`] when a field makes no sense or the address signs in already.
pub fn add_staff(context: &Context, new: &NewStaff) -> Result<Option<String>, ActionError> {
    let email = plain_email(&new.email);
    check(new, &email)?;
    let hash = match &new.password {
        Some(password) => {
            check_new(context, password, &email, &new.name)?;
            Some(hash_password(password)?)
        }
        None => None,
    };
    let now = context.now();
    let row =
        NewLogin { email: email.clone(), name: new.name.trim().to_owned(), role: new.role.as_str().to_owned(), person_id: None, created_at: now };
    context.database.write(|conn| {
        let Some(id) = sign_in::insert_login(conn, &row)? else {
            return Err(ActionError::Refused(format!("email: '{email}' signs in already")));
        };
        operations::audit(conn, now, &context.actor, "staff.add", &email, new.role.as_str())?;
        if let Some(hash) = &hash {
            sign_in::set_password(conn, id, hash, now)?;
            return Ok(None);
        }
        let login = find(conn, &email)?;
        make_link(conn, context, &login, Duration::hours(INVITATION_HOURS), new.mail_link).map(Some)
    })
}

fn check(new: &NewStaff, email: &str) -> Result<(), ActionError> {
    let refused = |text: &str| Err(ActionError::Refused(text.to_owned()));
    let parts: Vec<&str> = email.split('@').collect();
    let fits = matches!(parts.as_slice(), [local, host] if !local.is_empty() && !host.is_empty());
    if !fits || email.len() > 254 || email.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return refused("email: expected an e-mail address");
    }
    if new.name.trim().is_empty() || new.name.chars().count() > 100 || new.name.chars().any(char::is_control) {
        return refused("name: expected 1 to 100 characters");
    }
    if !new.role.is_staff() {
        return refused("role: expected clerk, supervisor, auditor or administrator");
    }
    Ok(())
}

/// The utility's people, by address.
///
/// # Errors
/// Those of the database.
pub fn list_staff(context: &Context) -> Result<Vec<StaffMember>, ActionError> {
    let rows = context.database.read(sign_in::staff)?;
    let member = |row: LoginRow| StaffMember {
        id: row.id.0,
        email: row.email,
        name: row.name,
        role: row.role,
        has_password: row.password_hash.is_some(),
        has_factor: row.totp_confirmed_at.is_some(),
        disabled_at: row.disabled_at,
    };
    Ok(rows.into_iter().map(member).collect())
}

/// Shuts somebody out, whose sessions and links end at once, or lets them in again. The last administrator stays.
///
/// # Errors
/// [`ActionError::NotFound`] for an unknown address, [`ActionError::Refused`] for oneself and the last administrator.
pub fn set_staff_disabled(context: &Context, email: &str, disabled: bool) -> Result<(), ActionError> {
    let email = plain_email(email);
    let now = context.now();
    if disabled && email == context.actor {
        return Err(ActionError::Refused("nobody shuts themselves out: ask another administrator".to_owned()));
    }
    context.database.write(|conn| {
        sign_in::lock_administrators(conn)?;
        let login = find(conn, &email)?;
        sign_in::lock_login(conn, login.id)?;
        if !sign_in::set_disabled(conn, login.id, disabled.then_some(now))? {
            return Ok(());
        }
        if disabled {
            sign_in::revoke_sessions(conn, login.id, None, now)?;
            sign_in::void_links(conn, login.id, now)?;
            if login.role == Role::Administrator.as_str() && sign_in::administrators(conn)? == 0 {
                return Err(ActionError::Refused("the last administrator cannot be shut out: add another first".to_owned()));
            }
        }
        let action = if disabled { "staff.disable" } else { "staff.enable" };
        Ok(operations::audit(conn, now, &context.actor, action, &email, "")?)
    })
}

/// Takes a second factor away: the telephone was lost. The sessions end; the next sign-in sets up another.
///
/// # Errors
/// [`ActionError::NotFound`] for an unknown address.
pub fn reset_factor(context: &Context, email: &str) -> Result<(), ActionError> {
    let email = plain_email(email);
    context.database.write(|conn| {
        let login = find(conn, &email)?;
        sign_in::lock_login(conn, login.id)?;
        sign_in::revoke_sessions(conn, login.id, None, context.now())?;
        forget(conn, context, &login, &context.actor)
    })
}

/// Makes a link to set the password and returns its path; mails it when asked to.
///
/// # Errors
/// [`ActionError::NotFound`] for an unknown address, [`ActionError::Refused`] when the sign-in is disabled.
pub fn send_link(context: &Context, email: &str, mail: bool) -> Result<String, ActionError> {
    let email = plain_email(email);
    context.database.write(|conn| {
        let login = find(conn, &email)?;
        if login.disabled_at.is_some() {
            return Err(ActionError::Refused(format!("'{email}' may not sign in: enable the sign-in first")));
        }
        operations::audit(conn, context.now(), &context.actor, "staff.link", &email, "")?;
        make_link(conn, context, &login, Duration::hours(INVITATION_HOURS), mail)
    })
}

fn find(conn: &mut DbConnection, email: &str) -> Result<LoginRow, ActionError> {
    sign_in::login_by_email(conn, email)?.ok_or_else(|| ActionError::not_found("sign-in", email))
}
