//! Who looked at which account: a row in the audit trail, but not one for each reload of the page.

use chrono::Duration;

use crate::actions::{ActionError, Context};
use crate::db::{operations, sign_in};

/// A second look within so many minutes is the same look.
const SAME_LOOK_MINUTES: i64 = 10;

/// Writes into the audit trail that `context.actor` looked at an account.
///
/// # Errors
/// Those of the database.
pub fn looked_at(context: &Context, account_number: &str) -> Result<(), ActionError> {
    const ACTION: &str = "account.look";
    let now = context.now();
    let since = now - Duration::minutes(SAME_LOOK_MINUTES);
    let known = context.database.read(|conn| sign_in::audited_since(conn, &context.actor, ACTION, account_number, since))?;
    if known {
        return Ok(());
    }
    context.database.write(|conn| Ok(operations::audit(conn, now, &context.actor, ACTION, account_number, "")?))
}
