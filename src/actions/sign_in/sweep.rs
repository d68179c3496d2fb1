//! The broom: sessions, links and counts that are of no use any more.

use chrono::Duration;

use super::throttle::FORGOTTEN_HOURS;
use crate::actions::{ActionError, Context};
use crate::db::sign_in::{self, Swept};

/// A session is kept so long after its end: the browsers of the last weeks are not new ones.
const BROWSERS_KEPT_DAYS: i64 = 30;

/// Deletes what has ended: sessions, links, and counts of guesses that are forgotten anyway.
///
/// # Errors
/// Those of the database.
pub fn sweep(context: &Context) -> Result<Swept, ActionError> {
    let now = context.now();
    let (browsers, counts) = (now - Duration::days(BROWSERS_KEPT_DAYS), now - Duration::hours(FORGOTTEN_HOURS));
    context.database.write(|conn| Ok(sign_in::sweep(conn, browsers, now, counts)?))
}
