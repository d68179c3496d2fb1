//! The backfill: everything that is stored of payments is told again, and the ledger is brought to it. When the ledger was right,
//! nothing moves.

use chrono::NaiveDate;
use serde::Serialize;

use crate::actions::inbox::{replay_payment, settle};
use crate::actions::stop::Stop;
use crate::actions::{ActionError, Context};
use crate::db::operations;
use crate::db::reconciliation::views::payments_between;
use crate::domain::ids::ProviderPaymentId;

/// So many payments are looked up at a time.
const PAGE: i64 = 500;

/// What a replay did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Replayed {
    /// Events that waited and were applied first.
    pub applied: u64,
    /// Payments that were told again.
    pub payments: u64,
    /// Those of them whose ledger moved: it was wrong.
    pub changed: u64,
    /// Those that cannot be told.
    pub failed: u64,
    /// Why, of the first of those.
    pub failures: Vec<String>,
}

/// So many reasons are told.
const TOLD: usize = 20;

/// Applies what waits, and tells every payment again that was made, or heard of, in a range of days.
///
/// # Errors
/// [`ActionError::Refused`] when the days are in the wrong order, [`ActionError::Stopped`], and those of the database. A payment
/// that cannot be told is counted and does not stop the others.
pub fn replay(context: &Context, from: NaiveDate, to: NaiveDate, stop: &Stop) -> Result<Replayed, ActionError> {
    if from > to {
        return Err(ActionError::Refused(format!("from: {from} is after {to}: expected a day up to it")));
    }
    let mut done = Replayed { applied: settle(context, true, stop)?.applied, ..Replayed::default() };
    let mut after = ProviderPaymentId(0);
    loop {
        let page = context.database.read(|conn| payments_between(conn, from, to, after, PAGE))?;
        let Some(last) = page.last().copied() else { break };
        for payment in page {
            if stop.is_requested() {
                return Err(ActionError::Stopped);
            }
            match replay_payment(context, payment) {
                Ok(changed) => {
                    done.payments += 1;
                    done.changed += u64::from(changed);
                }
                Err(error) => {
                    done.failed += 1;
                    if done.failures.len() < TOLD {
                        done.failures.push(format!("payment {payment}: {error}"));
                    }
                }
            }
        }
        after = last;
    }
    let detail = format!("{} payments told again, {} moved, {} cannot be told", done.payments, done.changed, done.failed);
    let subject = format!("{from} to {to}");
    context
        .database
        .write(|conn| operations::audit(conn, context.now(), &context.actor, "inbox.replay", &subject, &detail).map_err(ActionError::from))?;
    Ok(done)
}
