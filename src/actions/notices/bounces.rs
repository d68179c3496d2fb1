//! Addresses that refuse mail for good. Nothing more is sent to one until it is cleared; another address is another one,
//! so a person who changes theirs is told again at once.

use chrono::NaiveDateTime;
use serde::Serialize;

use crate::actions::{ActionError, Context};
use crate::db::{notices as rows, operations};

/// An address that refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bounce {
    /// Since when, UTC.
    pub since: NaiveDateTime,
    /// The server's words, or who recorded it.
    pub reason: String,
}

/// Whether an address refuses, since when and why.
///
/// # Errors
/// Those of the database.
pub fn bounce_of(context: &Context, address: &str) -> Result<Option<Bounce>, ActionError> {
    let found = context.database.read(|conn| rows::bounce_of(conn, &address.trim().to_lowercase()))?;
    Ok(found.map(|(since, reason)| Bounce { since, reason }))
}

/// Records that mail to an address came back: what a server says only later, in a message of its own. Returns false when
/// that was known.
///
/// # Errors
/// [`ActionError::Refused`] for what is no address.
pub fn record_bounce(context: &Context, address: &str, reason: &str) -> Result<bool, ActionError> {
    let address = address.trim().to_lowercase();
    if !address.contains('@') || address.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(ActionError::Refused(format!("address: '{address}' is not an e-mail address")));
    }
    let now = context.now();
    context.database.write(|conn| {
        let new = rows::remember_bounce(conn, &address, now, reason)?;
        if new {
            operations::audit(conn, now, &context.actor, "notice.bounce", &address, reason)?;
        }
        Ok(new)
    })
}

/// Takes an address off the list: mail is sent there again.
///
/// # Errors
/// [`ActionError::NotFound`] when it is not on it.
pub fn clear_bounce(context: &Context, address: &str) -> Result<(), ActionError> {
    let address = address.trim().to_lowercase();
    let now = context.now();
    context.database.write(|conn| {
        if !rows::forget_bounce(conn, &address)? {
            return Err(ActionError::not_found("bounced address", &address));
        }
        operations::audit(conn, now, &context.actor, "notice.bounce_cleared", &address, "")?;
        Ok(())
    })
}
