//! What people are told about their own sign-in, by mail.

use chrono::NaiveDateTime;

use crate::actions::{ActionError, Context, notices};
use crate::db::DbConnection;
use crate::db::sign_in::LoginRow;
use crate::domain::notices::{Addressee, Facts, NewNotice, PasswordChanged, PasswordLink, SecondFactorChanged, SignIn};

use super::{new_token, token_hash};

/// What happened to a sign-in.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// A link to set a password was asked for: its token, and until when it is good.
    Link {
        /// The secret in the link.
        token: String,
        /// Until when.
        expires_at: NaiveDateTime,
    },
    /// The password was set or changed.
    PasswordChanged,
    /// The second factor was set up or removed: the end of "Your second factor …".
    FactorChanged(&'static str),
    /// Somebody signed in with a browser that was not seen before.
    NewDevice(String),
}

/// Queues the mail in the transaction of the event.
pub(super) fn tell(conn: &mut DbConnection, context: &Context, login: &LoginRow, event: Event) -> Result<(), ActionError> {
    let at = context.now();
    let (what, facts) = match event {
        Event::Link { token, expires_at } => {
            let key = format!("link:{}", token_hash(&token));
            let first = login.password_hash.is_none();
            (key, Facts::PasswordLink(PasswordLink { path: link_path(&token), first, expires_at }))
        }
        Event::PasswordChanged => (once("password"), Facts::PasswordChanged(PasswordChanged { at })),
        Event::FactorChanged(change) => (once("factor"), Facts::SecondFactorChanged(SecondFactorChanged { at, change: change.to_owned() })),
        Event::NewDevice(device) => (once("sign-in"), Facts::SignIn(SignIn { at, device })),
    };
    let to = Addressee::Login { id: login.id, person_id: login.person_id, email: login.email.clone(), name: login.name.clone() };
    notices::queue(conn, context, NewNotice { key: format!("{what}:{}", login.id), to, happened_on: context.today(), facts })
}

/// Where a link leads, from the utility's address on.
pub(super) fn link_path(token: &str) -> String {
    format!("/password/{token}")
}

/// Each of these events is one of its own, however soon it follows another.
fn once(what: &str) -> String {
    format!("{what}:{}", new_token())
}
