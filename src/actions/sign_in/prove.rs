//! Proving who one is where there is no session: on the command line, for what only one person may do.

use super::throttle::Attempt;
use super::{Client, Stage, current_session, give_factor, plain_email, sign_in, sign_out};
use crate::actions::{ActionError, Context};
use crate::domain::ids::LoginId;

/// As the audit trail calls the place, and as whoever guesses is counted.
const PLACE: &str = "the command line";

/// Somebody who gave their password and a code of their second factor just now. Only [`prove`] makes one.
#[derive(Debug, Clone)]
pub struct Proven {
    login: LoginId,
    email: String,
}

impl Proven {
    /// The sign-in.
    #[must_use]
    pub fn login(&self) -> LoginId {
        self.login
    }

    /// Its address.
    #[must_use]
    pub fn email(&self) -> &str {
        &self.email
    }
}

/// Checks a password and a code as signing in does, counted like every sign-in, and leaves no session behind.
///
/// # Errors
/// [`ActionError::Refused`] for a sign-in that has no second factor. What is wrong is no error: see [`Attempt`].
pub fn prove(context: &Context, email: &str, password: &str, code: &str) -> Result<Attempt<Proven>, ActionError> {
    let client = Client { address: PLACE.to_owned(), user_agent: format!("AquaBills on {PLACE}") };
    let context = &Context { actor: plain_email(email), ..context.clone() };
    let entered = match sign_in(context, email, password, &client)? {
        Attempt::Accepted(entered) => entered,
        Attempt::Wrong => return Ok(Attempt::Wrong),
        Attempt::Blocked { until } => return Ok(Attempt::Blocked { until }),
    };
    let Some(session) = current_session(context, &entered.token)? else { return Ok(Attempt::Wrong) };
    let (login, email) = (session.login.id, session.login.email);
    if entered.stage != Stage::NeedsFactor {
        sign_out(context, login, &session.session)?;
        return Err(ActionError::Refused(format!("'{email}' has no second factor: it is set up by signing in on the page once")));
    }
    match give_factor(context, login, &session.session, code, &client)? {
        Attempt::Accepted(token) => {
            if let Some(full) = current_session(context, &token)? {
                sign_out(context, login, &full.session)?;
            }
            Ok(Attempt::Accepted(Proven { login, email }))
        }
        Attempt::Wrong => {
            sign_out(context, login, &session.session)?;
            Ok(Attempt::Wrong)
        }
        Attempt::Blocked { until } => {
            sign_out(context, login, &session.session)?;
            Ok(Attempt::Blocked { until })
        }
    }
}
