//! Requests that nobody decided about in time expire.

use super::{ActionError, Context};
use crate::db::approvals::{self as rows, DecisionRow};
use crate::db::operations;

/// So many requests expire in one round.
const ROUND: i64 = 200;

/// Closes the requests whose time is over, and their work items. Returns how many.
///
/// # Errors
/// Those of the database.
pub fn expire_due(context: &Context) -> Result<usize, ActionError> {
    let due = context.database.read(|conn| rows::expired(conn, context.now(), ROUND))?;
    let mut closed = 0;
    for id in due {
        closed += context.database.write(|conn| {
            let Some(row) = rows::locked(conn, id)? else { return Ok::<_, ActionError>(0) };
            let now = context.now();
            if rows::decision(conn, id)?.is_some() || now <= row.expires_at {
                return Ok(0);
            }
            let decision = DecisionRow {
                approval_id: id,
                decision: "expired".to_owned(),
                sha256: row.sha256.clone(),
                decided_by: "aquabills".to_owned(),
                decided_person: "aquabills".to_owned(),
                decided_name: "aquabills".to_owned(),
                login_id: None,
                channel: "program".to_owned(),
                decided_at: now,
                note: "nobody decided in time".to_owned(),
            };
            rows::insert_decision(conn, &decision)?;
            rows::resolve(conn, id, "aquabills", "expired: nobody decided in time", now)?;
            operations::audit(
                conn,
                now,
                "aquabills",
                "approval.expire",
                "approvals",
                &format!("request {id} of {}: {}", row.asked_by, row.reference),
            )?;
            Ok(1)
        })?;
    }
    Ok(closed)
}
