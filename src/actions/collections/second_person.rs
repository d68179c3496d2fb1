//! What the policy lets nobody do alone: relief and write-offs are asked of a second person above the policy's bound. Once they
//! agreed, whoever asked sends the same again, and it is done.

use crate::actions::approvals::{Outcome, Permit, Wanted, ask_within};
use crate::actions::{ActionError, Context};
use crate::db::DbConnection;

/// Whether it may be done now; else why it waits.
///
/// # Errors
/// [`ActionError::Refused`] when the policy lets nobody do it, or whoever asks is not known by a sign-in.
pub(super) fn may_do(conn: &mut DbConnection, context: &Context, wish: Permit) -> Result<Option<String>, ActionError> {
    match ask_within(conn, context, &Wanted::Permit(wish))? {
        Outcome::Permitted | Outcome::Done(_) => Ok(None),
        Outcome::Waits(waiting) => Ok(Some(format!("request {}: {}", waiting.id, waiting.why))),
    }
}
