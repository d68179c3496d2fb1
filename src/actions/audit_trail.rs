//! The audit trail: who looked at what, and who changed it.

use chrono::{Days, NaiveDate, NaiveDateTime, NaiveTime, TimeZone};

use super::staff_account::{Slice, one_more};
use super::{ActionError, Context};
use crate::db::operations::{self, AuditFilter, AuditRow};

/// What is asked of the trail; what is empty is not asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Question {
    /// Who.
    pub actor: Option<String>,
    /// What was done: a whole action, or an area with its dot, like `payment.`.
    pub action: Option<String>,
    /// To what.
    pub subject: Option<String>,
    /// The first day, the utility's.
    pub from: Option<NaiveDate>,
    /// The last day, the utility's.
    pub to: Option<NaiveDate>,
    /// Older than this event.
    pub before: Option<i64>,
}

/// A page of the trail, newest first.
///
/// # Errors
/// Those of the database.
pub fn audit_trail(context: &Context, question: &Question, limit: usize) -> Result<Slice<AuditRow>, ActionError> {
    let filter = AuditFilter {
        actor: question.actor.clone(),
        action: question.action.clone(),
        subject: question.subject.clone(),
        from: question.from.map(|day| day_begins(context, day)),
        until: question.to.and_then(|day| day.checked_add_days(Days::new(1))).map(|day| day_begins(context, day)),
        before: question.before,
    };
    let rows = context.database.read(|conn| operations::audit_page(conn, &filter, one_more(limit)))?;
    Ok(Slice::cut(rows, limit, |row| row.id))
}

/// The moment, UTC, at which a day of the utility begins. A day whose midnight the clocks skip begins an hour later.
fn day_begins(context: &Context, day: NaiveDate) -> NaiveDateTime {
    let zone = context.config.time_zone;
    let midnight = day.and_time(NaiveTime::MIN);
    let later = midnight + chrono::TimeDelta::hours(1);
    let begins = zone.from_local_datetime(&midnight).earliest().or_else(|| zone.from_local_datetime(&later).earliest());
    begins.map_or(midnight, |moment| moment.naive_utc())
}
