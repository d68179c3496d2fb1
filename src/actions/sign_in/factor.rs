//! The second factor: codes that an app on a telephone makes from a shared secret and the time (TOTP, RFC 6238).

use chrono::NaiveDateTime;
use data_encoding::BASE32_NOPAD;
use qrcode::QrCode;
use qrcode::render::svg;
use rand::RngCore;
use totp_rs::{Algorithm, Builder, Totp};

use super::enter::{Client, is_as_before, open};
use super::events::{Event, tell};
use super::password::is_password;
use super::throttle::{Attempt, Subject, accepted, count};
use crate::actions::{ActionError, Context};
use crate::db::sign_in::{self, LoginRow};
use crate::db::{DbConnection, operations};
use crate::domain::ids::LoginId;

/// Bytes of the shared secret: as many as the hash has (RFC 4226, section 4).
const SECRET_BYTES: usize = 20;
/// What every app knows: six digits, SHA-1, half a minute.
const DIGITS: u8 = 6;
const STEP_SECONDS: u64 = 30;
/// Clocks may differ by so many steps.
const SKEW_STEPS: u16 = 1;
/// The side of the picture in pixels.
const PICTURE_SIZE: u32 = 220;

/// A second factor to be set up.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// The secret in base 32, in groups of four, to type in.
    pub secret: String,
    /// The picture to scan, as SVG.
    pub picture: String,
}

/// Proposes a second factor; the same again until it is confirmed.
///
/// # Errors
/// [`ActionError::Refused`] when there is one already.
pub fn propose_factor(context: &Context, id: LoginId) -> Result<Proposal, ActionError> {
    let (login, secret) = context.database.write(|conn| {
        sign_in::lock_login(conn, id)?;
        let login = load(conn, id)?;
        if login.totp_confirmed_at.is_some() {
            return Err(ActionError::Refused("there is a second factor already".to_owned()));
        }
        let secret = login.totp_secret.clone().unwrap_or_else(new_secret);
        sign_in::propose_factor(conn, id, &secret)?;
        Ok((login, secret))
    })?;
    let picture = picture(&address_of(&context.config.utility_name, &login.email, &secret))?;
    Ok(Proposal { secret: in_fours(&secret), picture })
}

/// Confirms a proposed second factor with a code. The session goes on as a new one that is fully signed in.
///
/// # Errors
/// [`ActionError::Refused`] when nothing was proposed or another request was first.
pub fn confirm_factor(context: &Context, id: LoginId, session: &str, code: &str, client: &Client) -> Result<Attempt<String>, ActionError> {
    with_code(context, id, code, |conn, login, step, now| {
        let secret = login.totp_secret.clone().unwrap_or_default();
        if !sign_in::confirm_factor(conn, id, &secret, step, now)? {
            return Ok(None);
        }
        operations::audit(conn, now, &login.email, "sign_in.factor_set", &login.email, "")?;
        tell(conn, context, login, Event::FactorChanged("was set up"))?;
        // Sessions elsewhere gave no code.
        sign_in::revoke_sessions(conn, id, Some(session), now)?;
        go_on(conn, context, login, session, client)
    })
}

/// Takes a code as the second step of signing in. A code is good once.
///
/// # Errors
/// Those of the database.
pub fn give_factor(context: &Context, id: LoginId, session: &str, code: &str, client: &Client) -> Result<Attempt<String>, ActionError> {
    with_code(context, id, code, |conn, login, step, _| {
        if login.totp_confirmed_at.is_none() || !sign_in::take_step(conn, id, step)? {
            return Ok(None);
        }
        go_on(conn, context, login, session, client)
    })
}

/// A customer does without the second factor again; the password is asked for.
///
/// # Errors
/// [`ActionError::Refused`] for the utility's people, who need one.
pub fn drop_factor(context: &Context, id: LoginId, session: &str, password: &str) -> Result<Attempt<()>, ActionError> {
    let login = context.database.read(|conn| load(conn, id))?;
    if login.role != "customer" {
        return Err(ActionError::Refused("the utility's people need a second factor; an administrator can reset it".to_owned()));
    }
    let subjects = [Subject::Address(&login.email)];
    if let Some(until) = count(context, &subjects)? {
        return Ok(Attempt::Blocked { until });
    }
    if !is_password(password, login.password_hash.as_deref()) {
        return Ok(Attempt::Wrong);
    }
    let now = context.now();
    context.database.write(|conn| {
        if !is_as_before(conn, &login)? {
            return Ok(Attempt::Wrong);
        }
        accepted(conn, &subjects)?;
        forget(conn, context, &login, &login.email)?;
        sign_in::revoke_sessions(conn, id, Some(session), now)?;
        Ok(Attempt::Accepted(()))
    })
}

/// Whether a second factor is asked for.
///
/// # Errors
/// Those of the database.
pub fn has_factor(context: &Context, id: LoginId) -> Result<bool, ActionError> {
    Ok(context.database.read(|conn| load(conn, id))?.totp_confirmed_at.is_some())
}

/// Takes a second factor away, tells whose it was, and writes it down.
pub(super) fn forget(conn: &mut DbConnection, context: &Context, login: &LoginRow, actor: &str) -> Result<(), ActionError> {
    sign_in::clear_factor(conn, login.id)?;
    operations::audit(conn, context.now(), actor, "sign_in.factor_removed", &login.email, "")?;
    tell(conn, context, login, Event::FactorChanged("was removed"))
}

/// Counts the guess, checks the code, and does what it opens; what gives nothing was not right after all.
fn with_code(
    context: &Context,
    id: LoginId,
    code: &str,
    mut opens: impl FnMut(&mut DbConnection, &LoginRow, i64, NaiveDateTime) -> Result<Option<String>, ActionError>,
) -> Result<Attempt<String>, ActionError> {
    let subjects = [Subject::Factor(id)];
    if let Some(until) = count(context, &subjects)? {
        return Ok(Attempt::Blocked { until });
    }
    let now = context.now();
    let step = |login: &LoginRow| step_of(login.totp_secret.as_deref()?, code, now);
    context.database.write(|conn| {
        sign_in::lock_login(conn, id)?;
        let login = load(conn, id)?;
        let step = step(&login);
        if let Some(step) = step
            && let Some(token) = opens(conn, &login, step, now)?
        {
            accepted(conn, &subjects)?;
            return Ok(Attempt::Accepted(token));
        }
        operations::audit(conn, now, "nobody", "sign_in.failed", &login.email, "second factor")?;
        Ok(Attempt::Wrong)
    })
}

/// Ends the session and begins a full one in its place; nothing when it ended meanwhile.
fn go_on(conn: &mut DbConnection, context: &Context, login: &LoginRow, session: &str, client: &Client) -> Result<Option<String>, ActionError> {
    if login.disabled_at.is_some() || !sign_in::revoke_session(conn, login.id, session, context.now())? {
        return Err(ActionError::Refused("this sign-in has ended: please sign in again".to_owned()));
    }
    open(conn, context, login, true, client).map(Some)
}

fn load(conn: &mut DbConnection, id: LoginId) -> Result<LoginRow, ActionError> {
    sign_in::login(conn, id)?.ok_or_else(|| ActionError::not_found("sign-in", id.to_string()))
}

fn new_secret() -> String {
    let mut bytes = [0_u8; SECRET_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    BASE32_NOPAD.encode(&bytes)
}

/// The time step that the code is of, now or a step away.
fn step_of(secret: &str, code: &str, now: NaiveDateTime) -> Option<i64> {
    let digits: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    let seconds = u64::try_from(now.and_utc().timestamp()).ok()?;
    if digits.len() != usize::from(DIGITS) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    totp(secret)?.check(&digits, seconds).and_then(|step| i64::try_from(step).ok())
}

fn totp(secret: &str) -> Option<Totp> {
    let bytes: [u8; SECRET_BYTES] = BASE32_NOPAD.decode(secret.as_bytes()).ok()?.try_into().ok()?;
    let builder = Builder::new().with_algorithm(Algorithm::SHA1).with_digits(DIGITS).with_step_duration(STEP_SECONDS).with_skew(SKEW_STEPS);
    builder.with_secret(bytes).build().ok()
}

/// What the picture says to the app.
fn address_of(utility: &str, email: &str, secret: &str) -> String {
    let escaped = |text: &str| text.bytes().map(escape).collect::<String>();
    let issuer = escaped(utility);
    format!("otpauth://totp/{issuer}:{}?secret={secret}&issuer={issuer}", escaped(email))
}

fn escape(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_') { char::from(byte).to_string() } else { format!("%{byte:02X}") }
}

/// The picture without the declaration that a file of its own would begin with.
fn picture(text: &str) -> Result<String, ActionError> {
    let code = QrCode::new(text).map_err(|error| ActionError::Form(format!("the picture cannot be made: {error}")))?;
    let svg = code.render::<svg::Color<'_>>().min_dimensions(PICTURE_SIZE, PICTURE_SIZE).build();
    let drawing = svg.find("<svg").map_or(svg.as_str(), |at| svg.get(at..).unwrap_or_default());
    Ok(drawing.replacen("<svg", "<svg role=\"img\" aria-label=\"The same key as a picture to scan\"", 1))
}

fn in_fours(secret: &str) -> String {
    let letters: Vec<char> = secret.chars().collect();
    letters.chunks(4).map(String::from_iter).collect::<Vec<_>>().join(" ")
}

/// The code that an app with this secret shows at a moment; none for what is no secret.
#[must_use]
pub fn code_at(secret: &str, at: NaiveDateTime) -> Option<String> {
    let plain: String = secret.chars().filter(|c| !c.is_whitespace()).collect();
    let seconds = u64::try_from(at.and_utc().timestamp()).ok()?;
    Some(totp(&plain)?.generate(seconds).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    /// The secret and the last six digits of the codes of RFC 6238, appendix B (SHA-1).
    #[test]
    fn codes_are_those_of_the_standard() {
        let secret = BASE32_NOPAD.encode(b"12345678901234567890");
        for (seconds, code) in [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000, "353130")] {
            let now = DateTime::from_timestamp(seconds, 0).unwrap().naive_utc();
            assert_eq!(step_of(&secret, code, now), Some(seconds / 30), "{code}");
            let spaced = format!(" {} {} ", &code[..3], &code[3..]);
            assert_eq!(step_of(&secret, &spaced, now), Some(seconds / 30));
            for (drift, good) in [(-30, true), (30, true), (-60, false), (60, false)] {
                let then = now + chrono::Duration::seconds(drift);
                assert_eq!(step_of(&secret, code, then).is_some(), good, "{code} {drift}");
            }
        }
        let now = DateTime::from_timestamp(59, 0).unwrap().naive_utc();
        for bad in ["", "28708", "2870822", "28708x", "２８７０８２"] {
            assert_eq!(step_of(&secret, bad, now), None, "{bad}");
        }
    }

    #[test]
    fn a_proposal_can_be_scanned_and_typed() {
        let secret = new_secret();
        assert_eq!((secret.len(), in_fours(&secret).len()), (32, 39));
        let address = address_of("Millbrook Water & Sewer", "ada@example.org", &secret);
        assert!(address.starts_with("otpauth://totp/Millbrook%20Water%20%26%20Sewer:ada%40example.org?secret="), "{address}");
        let picture = picture(&address).unwrap();
        assert!(picture.starts_with("<svg role=") && !picture.contains("style=") && !picture.contains("<?xml"));
    }
}
