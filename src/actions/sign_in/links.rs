//! Mailed links: to set a first password, or another one when it was forgotten. For the person it is one way.

use chrono::{Duration, NaiveDateTime};

use super::events::{Event, link_path, tell};
use super::password::{check_new, hash_password};
use super::throttle::{Subject, count};
use super::{Client, is_on_file, new_token, plain_email, token_hash};
use crate::actions::{ActionError, Context};
use crate::db::sign_in::{self, LoginRow, NewLogin};
use crate::db::{DbConnection, operations};

/// What is said of a link that was used, is too old, or never was.
const NO_LINK: &str = "this link is not good any more: links are good once and for a short time. Ask for another";

/// Whose password a link sets.
#[derive(Debug, Clone)]
pub struct LinkOwner {
    /// The name to greet.
    pub name: String,
    /// The address.
    pub email: String,
    /// Whether it is the first password.
    pub first: bool,
}

/// Mails a link to an address, if it is one of somebody who may sign in, or of a customer on file, who may from now on.
/// The answer is the same for every address. The end of the block when this client asked for too many.
///
/// # Errors
/// Those of the database.
pub fn request_link(context: &Context, email: &str, client: &Client) -> Result<Option<NaiveDateTime>, ActionError> {
    let email = plain_email(email);
    if let Some(until) = count(context, &[Subject::LinksFor(&client.address)])? {
        return Ok(Some(until));
    }
    // Nobody's inbox is flooded; that it is enough for this one is not told.
    let enough = count(context, &[Subject::LinksTo(&email)])?.is_some();
    let now = context.now();
    context.database.write(|conn| {
        let login = if enough { None } else { find_or_make(conn, context, &email)? };
        let subject = login.as_ref().map_or("an address that gets none", |login| login.email.as_str());
        operations::audit(conn, now, "nobody", "sign_in.link", subject, &format!("asked for from {}", client.address))?;
        if let Some(login) = &login {
            let minutes = i64::from(context.config.sign_in.link_minutes);
            make_link(conn, context, login, Duration::minutes(minutes), true)?;
        }
        Ok::<_, ActionError>(())
    })?;
    Ok(None)
}

/// Whose link it is, as long as it is good. Looking does not use it up: mail programs look at links, too.
///
/// # Errors
/// Those of the database.
pub fn link_owner(context: &Context, token: &str) -> Result<Option<LinkOwner>, ActionError> {
    let login = context.database.read(|conn| good_link(conn, &token_hash(token), context.now()))?;
    Ok(login.map(|login| LinkOwner { first: login.password_hash.is_none(), name: login.name, email: login.email }))
}

/// Whose a link is, as long as it is good and they may sign in.
fn good_link(conn: &mut DbConnection, key: &str, now: NaiveDateTime) -> Result<Option<LoginRow>, ActionError> {
    match sign_in::open_link(conn, key, now)?.filter(|login| login.disabled_at.is_none()) {
        Some(login) => Ok(is_on_file(conn, &login)?.then_some(login)),
        None => Ok(None),
    }
}

/// Sets a password by a link and uses the link up. Every session ends; whoever is blocked for guessing stays blocked.
///
/// # Errors
/// [`ActionError::Refused`] when the link is not good, or the password breaks a rule: then the link stays good.
pub fn set_password_by_link(context: &Context, token: &str, password: &str) -> Result<(), ActionError> {
    let owner = link_owner(context, token)?.ok_or_else(|| ActionError::Refused(NO_LINK.to_owned()))?;
    check_new(context, password, &owner.email, &owner.name)?;
    let hash = hash_password(password)?;
    let key = token_hash(token);
    let now = context.now();
    context.database.write(|conn| {
        let login = good_link(conn, &key, now)?.ok_or_else(|| ActionError::Refused(NO_LINK.to_owned()))?;
        sign_in::lock_login(conn, login.id)?;
        if !sign_in::use_link(conn, &key, now)? {
            return Err(ActionError::Refused(NO_LINK.to_owned()));
        }
        sign_in::set_password(conn, login.id, &hash, now)?;
        sign_in::void_links(conn, login.id, now)?;
        let ended = sign_in::revoke_sessions(conn, login.id, None, now)?;
        let detail = format!("by link, {ended} sessions ended");
        operations::audit(conn, now, &login.email, "sign_in.password_set", &login.email, &detail)?;
        tell(conn, context, &login, Event::PasswordChanged)
    })
}

/// Makes a link and returns the path that it leads to; mails it, or leaves that to the caller.
pub(super) fn make_link(conn: &mut DbConnection, context: &Context, login: &LoginRow, good_for: Duration, mail: bool) -> Result<String, ActionError> {
    let now = context.now();
    let token = new_token();
    let purpose = if login.password_hash.is_some() { "reset_password" } else { "set_password" };
    let expires_at = now + good_for;
    sign_in::insert_link(conn, &token_hash(&token), login.id, purpose, now, expires_at)?;
    let path = link_path(&token);
    if mail {
        tell(conn, context, login, Event::Link { token, expires_at })?;
    }
    Ok(path)
}

/// The sign-in with this address; a customer with this address on file gets one.
fn find_or_make(conn: &mut DbConnection, context: &Context, email: &str) -> Result<Option<LoginRow>, ActionError> {
    let known = sign_in::login_by_email(conn, email)?;
    if let Some(login) = &known
        && (login.disabled_at.is_some() || is_on_file(conn, login)?)
    {
        return Ok(known.filter(|login| login.disabled_at.is_none()));
    }
    let Some((person, name)) = sign_in::persons_with_email(conn, email)?.into_iter().next() else { return Ok(None) };
    if let Some(login) = known {
        // The address was another customer's before: nothing that they chose stays.
        let now = context.now();
        sign_in::revoke_sessions(conn, login.id, None, now)?;
        sign_in::void_links(conn, login.id, now)?;
        sign_in::pass_on(conn, login.id, person, &name)?;
        operations::audit(conn, now, "nobody", "sign_in.pass_on", email, "the address on file is another customer's now")?;
        return Ok(sign_in::login_by_email(conn, email)?);
    }
    let row = NewLogin { email: email.to_owned(), name, role: "customer".to_owned(), person_id: Some(person), created_at: context.now() };
    if sign_in::insert_login(conn, &row)?.is_some() {
        operations::audit(conn, context.now(), "nobody", "sign_in.add", email, "customer")?;
    }
    Ok(sign_in::login_by_email(conn, email)?)
}
