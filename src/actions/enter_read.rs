//! One read that somebody enters: judged and stored like those of a file, and audited.

use chrono::Datelike;

use super::import::take::{Manner, take};
use super::payments::EARLIEST_YEAR;
use super::{ActionError, Context, estimate};
use crate::db::{DbConnection, metering, operations, overcharges};
use crate::domain::quantity::from_milli;

pub use super::import::take::{NewRead, ReadOutcome};

/// Takes in one read by the same judgement as an import. What it refuses is an outcome with its reason, not an error.
///
/// # Errors
/// Those of the database.
pub fn enter_read(context: &Context, read: &NewRead) -> Result<ReadOutcome, ActionError> {
    enter(context, read, Manner::Entered, "")
}

/// Takes in one read that a member of staff vouches for: it is not held however it looks, and it may be one that was
/// rejected before. A read that is impossible, or of a day that is billed, is refused all the same.
///
/// # Errors
/// [`ActionError::Refused`] when the note is empty, or those of the database.
pub fn confirm_read(context: &Context, read: &NewRead, note: &str) -> Result<ReadOutcome, ActionError> {
    if note.trim().is_empty() {
        return Err(ActionError::Refused("note: it is empty: expected why the read is right, in words".to_owned()));
    }
    enter(context, read, Manner::Confirmed, note)
}

/// Takes in one read of a day that is billed, which a member of staff vouches for. The bill stays as it was sent; the account is
/// looked at again, and what the bill charged too much or too little is found.
///
/// # Errors
/// As [`confirm_read`].
pub fn correct_read(context: &Context, read: &NewRead, note: &str) -> Result<ReadOutcome, ActionError> {
    if note.trim().is_empty() {
        return Err(ActionError::Refused("note: it is empty: expected why the read is right, in words".to_owned()));
    }
    enter(context, read, Manner::Corrected, note)
}

fn enter(context: &Context, read: &NewRead, manner: Manner, note: &str) -> Result<ReadOutcome, ActionError> {
    context.database.write(|conn| enter_within(context, conn, read, manner, note))
}

fn enter_within(context: &Context, conn: &mut DbConnection, read: &NewRead, manner: Manner, note: &str) -> Result<ReadOutcome, ActionError> {
    if let Some(reason) = impossible(context, read) {
        return Ok(ReadOutcome::Refused(reason));
    }
    let outcome = take(context, conn, std::slice::from_ref(read), manner, false)?;
    let outcome = outcome.into_iter().next().unwrap_or(ReadOutcome::Unchanged);
    record(context, conn, read, &outcome, note)?;
    if manner == Manner::Corrected && outcome == ReadOutcome::Accepted {
        let registers: Vec<_> = metering::registers_by_serial(conn, &[&read.meter])?.into_iter().map(|(row, _)| row).collect();
        if let Some(row) = registers.iter().find(|row| row.code == read.register) {
            estimate::make_anew(context, conn, (&read.meter, row), read.read_on)?;
        }
        let meters: Vec<_> = registers.iter().map(|row| row.meter_id).collect();
        let why = format!("read of meter {} on {} entered after it was billed", read.meter, read.read_on);
        overcharges::queue_meters(conn, &meters, &why, context.now())?;
    }
    Ok(outcome)
}

/// Takes in several reads within the caller's transaction, all or none.
///
/// # Errors
/// [`ActionError::Refused`] when one of them is refused, or those of the database.
pub(super) fn enter_all(context: &Context, conn: &mut DbConnection, reads: &[NewRead]) -> Result<Vec<ReadOutcome>, ActionError> {
    let refused = |read: &NewRead, reason: String| Err(ActionError::Refused(format!("meter {}: {reason}", read.meter)));
    for read in reads {
        if let Some(reason) = impossible(context, read) {
            return refused(read, reason);
        }
    }
    let outcomes = take(context, conn, reads, Manner::Entered, false)?;
    for (read, outcome) in reads.iter().zip(&outcomes) {
        if let ReadOutcome::Refused(reason) = outcome {
            return refused(read, reason.clone());
        }
        record(context, conn, read, outcome, "")?;
    }
    Ok(outcomes)
}

fn impossible(context: &Context, read: &NewRead) -> Option<String> {
    let today = context.today();
    if read.read_on > today {
        return Some(format!("read_on: {} is in the future: expected a day up to today, {today}", read.read_on));
    }
    if read.read_on.year() < EARLIEST_YEAR {
        return Some(format!("read_on: {} is too long ago: expected a day from {EARLIEST_YEAR} on", read.read_on));
    }
    if !read.kind.ends_period() {
        return Some(format!("kind: a read of kind '{}' comes with a meter exchange: use `aquabills import exchanges`", read.kind));
    }
    (read.reading_milli < 0).then(|| "reading: it is below zero: expected what the register shows".to_owned())
}

fn record(context: &Context, conn: &mut DbConnection, read: &NewRead, outcome: &ReadOutcome, note: &str) -> Result<(), ActionError> {
    let how = match outcome {
        ReadOutcome::Accepted if note.is_empty() => "accepted".to_owned(),
        ReadOutcome::Accepted => format!("accepted although doubtful: {note}"),
        ReadOutcome::Held(reason) => format!("held: {reason}"),
        ReadOutcome::Unchanged | ReadOutcome::Refused(_) => return Ok(()),
    };
    let subject = format!("{} of {}", read.meter, read.read_on);
    let detail = format!("register {}, {} ({}): {how}", read.register, from_milli(read.reading_milli), read.kind);
    operations::audit(conn, context.now(), &context.actor, "read.enter", &subject, &detail)?;
    Ok(())
}
