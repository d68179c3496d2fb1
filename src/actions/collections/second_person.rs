//! What the policy lets nobody do alone: the seam to approvals.

use crate::actions::policy::policies_within;
use crate::actions::{ActionError, Context};
use crate::db::DbConnection;
use crate::domain::money::Money;

/// What is to be done.
#[derive(Debug, Clone)]
pub(super) struct Permission<'a> {
    /// What kind of work.
    pub(super) kind: &'static str,
    /// The account's number.
    pub(super) account: &'a str,
    /// How the balance moves: negative is a credit.
    pub(super) amount: Money,
    /// The idempotency key.
    pub(super) reference: &'a str,
    /// What it is, in a few words.
    pub(super) subject: String,
    /// Why, in words.
    pub(super) note: &'a str,
}

/// Whether it may be done now; else why it waits.
///
/// # Errors
/// [`ActionError::Refused`] when it needs a second person whom nobody can ask yet.
pub(super) fn may_do(conn: &mut DbConnection, context: &Context, wish: &Permission<'_>) -> Result<Option<String>, ActionError> {
    let policies = policies_within(conn)?;
    let credits = &policies.on(context.today()).credits;
    if -wish.amount > credits.approval_above {
        return Err(ActionError::Refused(format!(
            "{} {} of account {}, {}: it is above {}, so a second person must agree ({}); {}",
            wish.kind, wish.reference, wish.account, wish.subject, credits.approval_above, credits.citation, wish.note
        )));
    }
    Ok(None)
}
