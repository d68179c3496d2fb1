//! What the policy lets nobody do alone: relief and write-offs are asked of a second person above the policy's bound. Once they
//! agreed, whoever asked sends the same again, and it is done.

use serde::Serialize;

use crate::actions::approvals::{Outcome, Permit, Wanted, ask_within};
use crate::actions::payments::Posted;
use crate::actions::{ActionError, Context};
use crate::db::DbConnection;

/// What came of something that a second person may have to agree to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Taken {
    /// It is done.
    Done(Posted),
    /// It waits for a second person: why.
    Waits(String),
}

impl Taken {
    /// What was posted; none while it waits.
    #[must_use]
    pub fn posted(self) -> Option<Posted> {
        match self {
            Self::Done(posted) => Some(posted),
            Self::Waits(_) => None,
        }
    }
}

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
