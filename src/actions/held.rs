//! What waits for a person: listed, released or rejected.

use chrono::NaiveDate;
use serde::Serialize;

use super::{ActionError, Context};
use crate::db::operations::{self, ToDoRow};
use crate::db::{DbConnection, metering};
use crate::domain::ids::{ReadId, ToDoId};

/// Items that are resolved in one transaction.
const BATCH: i64 = 1_000;

/// One thing that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HeldItem {
    /// Its number, for `release` and `reject`.
    pub id: ToDoId,
    /// `read_limit` or `bill_limit`.
    pub kind: String,
    /// The account's number.
    pub account: Option<String>,
    /// The service's id in files.
    pub service_id: Option<String>,
    /// The amount at stake, in cents, for a bill.
    pub amount_cents: Option<i64>,
    /// Why it waits.
    pub reason: String,
    /// Since when, UTC.
    pub raised_at: chrono::NaiveDateTime,
}

/// How a clerk decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is right: bill it.
    Release,
    /// It is wrong: a read is set aside, so that another can take its place.
    Reject,
}

/// A page of what waits, oldest first, after an item.
///
/// # Errors
/// Those of the database.
pub fn list_held(context: &Context, after: ToDoId, limit: i64) -> Result<Vec<HeldItem>, ActionError> {
    let rows = context.database.read(|conn| operations::named_todos(conn, after, limit))?;
    let item = |row: operations::NamedToDo| HeldItem {
        id: row.id,
        kind: row.kind,
        account: row.account,
        service_id: row.service_id,
        amount_cents: row.amount_cents,
        reason: row.reason,
        raised_at: row.raised_at,
    };
    Ok(rows.into_iter().map(item).collect())
}

/// Decides about everything of a kind (or of all kinds) that waits. Returns how many items were resolved.
///
/// # Errors
/// Those of the database.
pub fn decide_all(context: &Context, kind: Option<&str>, decision: Decision, note: &str) -> Result<usize, ActionError> {
    // Only reads are rejected: a held bill goes away with what makes it wrong.
    let kind = if decision == Decision::Reject { Some("read_limit") } else { kind };
    let mut resolved = 0;
    let mut after = ToDoId(0);
    loop {
        let page = context.database.read(|conn| operations::open_todos(conn, after, BATCH))?;
        let Some(last) = page.last().map(|row| row.id) else { return Ok(resolved) };
        let chosen: Vec<ToDoRow> = page.into_iter().filter(|row| kind.is_none_or(|kind| row.kind == kind)).collect();
        resolved += decide(context, &chosen, decision, note)?;
        after = last;
    }
}

/// Decides about the items with these numbers. Returns how many were resolved; those that were resolved before
/// count as nothing.
///
/// # Errors
/// [`ActionError::NotFound`] for a number that does not exist: then nothing is resolved.
pub fn decide_some(context: &Context, ids: &[ToDoId], decision: Decision, note: &str) -> Result<usize, ActionError> {
    let rows = context.database.read(|conn| operations::todos(conn, ids))?;
    if let Some(missing) = ids.iter().find(|id| !rows.iter().any(|row| row.id == **id)) {
        return Err(ActionError::not_found("held item", missing.to_string()));
    }
    decide(context, &rows, decision, note)
}

fn decide(context: &Context, rows: &[ToDoRow], decision: Decision, note: &str) -> Result<usize, ActionError> {
    if rows.is_empty() {
        return Ok(0);
    }
    if decision == Decision::Reject && rows.iter().any(|row| row.meter_read_id.is_none()) {
        return Err(ActionError::Refused(
            "a held bill is not rejected: correct what makes it wrong, and it is priced anew in the next run".to_owned(),
        ));
    }
    let ids: Vec<ToDoId> = rows.iter().map(|row| row.id).collect();
    let reads: Vec<ReadId> = rows.iter().filter_map(|row| row.meter_read_id).collect();
    context.database.write(|conn| settle(context, conn, &ids, &reads, decision, note))
}

fn settle(
    context: &Context,
    conn: &mut DbConnection,
    ids: &[ToDoId],
    reads: &[ReadId],
    decision: Decision,
    note: &str,
) -> Result<usize, ActionError> {
    let now = context.now();
    let (status, read_status, action) = match decision {
        Decision::Release => ("released", "accepted", "held.release"),
        Decision::Reject => ("rejected", "rejected", "held.reject"),
    };
    let resolved = operations::resolve(conn, ids, status, &context.actor, note, now)?;
    metering::settle_reads(conn, reads, read_status)?;
    operations::audit(conn, now, &context.actor, action, &format!("{resolved} items"), note)?;
    Ok(resolved)
}

/// Sets a read aside that was accepted and is wrong, so that another can take its place. A read that a bill was made
/// from is not touched: that bill is taken back first.
///
/// # Errors
/// [`ActionError::NotFound`] when there is no such read, [`ActionError::Refused`] when it is billed.
pub fn reject_read(context: &Context, serial: &str, register: &str, on: NaiveDate, note: &str) -> Result<(), ActionError> {
    if note.trim().is_empty() {
        return Err(ActionError::Refused("note: it is empty: expected why, in words".to_owned()));
    }
    let named = format!("{serial} of {on}");
    context.database.write(|conn| {
        let registers = metering::registers_by_serial(conn, &[serial])?;
        let row = registers.into_iter().map(|(row, _)| row).find(|row| row.code == register);
        let row = row.ok_or_else(|| ActionError::not_found("meter", serial))?;
        let read = metering::reads_of(conn, &[row.id])?.into_iter().find(|read| read.read_on == on);
        let read = read.ok_or_else(|| ActionError::not_found("read", &named))?;
        let services = metering::register_services(conn, &[row.meter_id])?;
        if let Some(billed) = services.iter().filter_map(|service| service.billed_through).find(|billed| *billed >= on) {
            return Err(ActionError::Refused(format!("the read of {named} is billed (through {billed}): take that bill back first")));
        }
        if !["actual", "estimated", "customer", "final"].contains(&read.kind.as_str()) {
            return Err(ActionError::Refused(format!("the read of {named} belongs to a meter exchange: it is decided about only while it is held")));
        }
        metering::set_read_aside(conn, read.id)?;
        let todos = operations::open_todos_of_read(conn, read.id)?;
        operations::resolve(conn, &todos, "rejected", &context.actor, note, context.now())?;
        operations::audit(conn, context.now(), &context.actor, "read.reject", &named, note)?;
        Ok(())
    })
}
