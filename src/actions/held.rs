//! What waits for a person: listed by what hangs on it, released or rejected.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::Serialize;

use super::import::compared::to_do_reads;
use super::{ActionError, Context, estimate};
use crate::db::metering::BilledSpan;
use crate::db::operations::{self, RankedToDo, ToDoPage, ToDoRow};
use crate::db::{DbConnection, metering, overcharges};
use crate::domain::ids::{AgreementId, ReadId, ToDoId};

pub use super::import::compared::ToDoRead;
pub use crate::db::operations::ToDoCount;

/// Items that are resolved in one transaction.
const BATCH: i64 = 1_000;
/// Money waits for these: they are closed by what becomes of the money ([`super::bank`], [`super::approvals`]), never by themselves.
const WAITING_MONEY: [&str; 3] = ["unapplied_credit", "bank_return", "approval"];
/// Closing one says that something was done outside of the program: it is decided by its number or its kind, never with everything.
const DONE_OUTSIDE: [&str; 2] = ["dunning_letter", "disconnection"];
/// A customer waits for an answer: it is closed by the answer ([`super::collections::disputes`]).
const WAITING_CUSTOMER: &str = "dispute";

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// It is right: bill it. Of what nothing waits for: it is dealt with.
    Release,
    /// It is wrong: a read is set aside, so that another can take its place.
    Reject,
}

/// Which work items are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToDoFilter {
    /// Of this kind only.
    pub kind: Option<String>,
    /// About this account only.
    pub account: Option<String>,
}

/// A work item as a clerk sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ToDoView {
    /// Its number, for a decision.
    pub id: ToDoId,
    /// What it is about: `read_limit` and `bill_limit` hold a bill, `read_missing` leaves one unmade, `stuck_register` and
    /// `low_use` only want a look.
    pub kind: String,
    /// `open`, `released` or `rejected`.
    pub status: String,
    /// The account's number.
    pub account: Option<String>,
    /// The service's id in files.
    pub service_id: Option<String>,
    /// The meter's number.
    pub meter: Option<String>,
    /// The read that it is about, with what it is held against.
    pub read: Option<ToDoRead>,
    /// Start of the period that it is about.
    pub period_start_on: Option<NaiveDate>,
    /// Its end, or the day of the read.
    pub period_end_on: Option<NaiveDate>,
    /// The money at stake, in cents.
    pub amount_cents: Option<i64>,
    /// Why it was raised.
    pub reason: String,
    /// When, UTC.
    pub raised_at: chrono::NaiveDateTime,
    /// For how many whole days it has waited.
    pub age_days: i64,
    /// Until when it must be dealt with.
    pub due_on: Option<NaiveDate>,
    /// Whether that day is over.
    pub overdue: bool,
    /// What it is about, when an account may have several of its kind: `dispute:12`.
    pub subject_key: Option<String>,
    /// What can be decided about it; nothing once it is decided.
    pub decisions: Vec<Decision>,
}

/// A page of open work items: what is overdue first, then the most money, then the oldest. It begins after the item `after`.
///
/// # Errors
/// Those of the database.
pub fn list_todos(context: &Context, filter: &ToDoFilter, after: Option<ToDoId>, limit: i64) -> Result<Vec<ToDoView>, ActionError> {
    let (kind, account) = (filter.kind.as_deref().unwrap_or(""), filter.account.as_deref().unwrap_or(""));
    let page = ToDoPage { kind, account, after: after.unwrap_or(ToDoId(0)), today: context.today(), limit };
    context.database.snapshot(|conn| {
        let rows = operations::ranked_todos(conn, &page)?;
        view(context, conn, rows)
    })
}

/// One work item, open or not.
///
/// # Errors
/// [`ActionError::NotFound`] when there is none.
pub fn show_todo(context: &Context, id: ToDoId) -> Result<ToDoView, ActionError> {
    let missing = || ActionError::not_found("held item", id.to_string());
    context.database.snapshot(|conn| {
        let row = operations::ranked_todo(conn, id)?.ok_or_else(missing)?;
        view(context, conn, vec![row])?.into_iter().next().ok_or_else(missing)
    })
}

/// How much waits, by kind.
///
/// # Errors
/// Those of the database.
pub fn count_todos(context: &Context) -> Result<Vec<ToDoCount>, ActionError> {
    Ok(context.database.read(operations::count_todos)?)
}

fn view(context: &Context, conn: &mut DbConnection, rows: Vec<RankedToDo>) -> Result<Vec<ToDoView>, ActionError> {
    let reads = to_do_reads(conn, &rows)?;
    let (now, today) = (context.now(), context.today());
    let item = |(row, read): (RankedToDo, Option<ToDoRead>)| ToDoView {
        id: row.id,
        overdue: row.status == "open" && row.due_on.is_some_and(|due| due < today),
        due_on: row.due_on,
        subject_key: row.subject_key,
        decisions: if row.status == "open" { decisions(&row.kind) } else { Vec::new() },
        kind: row.kind,
        status: row.status,
        account: row.account,
        service_id: row.service_id,
        meter: row.meter,
        read,
        period_start_on: row.period_start_on,
        period_end_on: row.period_end_on,
        amount_cents: row.amount_cents,
        reason: row.reason,
        age_days: (now - row.raised_at).num_days(),
        raised_at: row.raised_at,
    };
    Ok(rows.into_iter().zip(reads).map(item).collect())
}

/// Whether a bill waits for the decision about such an item; the others only want to be dealt with.
#[must_use]
pub fn holds_a_bill(kind: &str) -> bool {
    matches!(kind, "read_limit" | "bill_limit")
}

/// Only a read is rejected: a held bill goes away with what makes it wrong, the rest is dealt with.
fn decisions(kind: &str) -> Vec<Decision> {
    if kind == "read_limit" { vec![Decision::Release, Decision::Reject] } else { vec![Decision::Release] }
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
/// [`ActionError::Refused`] for a kind that is not rejected, or those of the database.
pub fn decide_all(context: &Context, kind: Option<&str>, decision: Decision, note: &str) -> Result<usize, ActionError> {
    // Only reads are rejected: a held bill goes away with what makes it wrong.
    let kind = match (decision, kind) {
        (Decision::Reject, None | Some("read_limit")) => Some("read_limit"),
        (Decision::Reject, Some(other)) => {
            return Err(ActionError::Refused(format!("kind: items of kind {other} are not rejected, only held reads (read_limit)")));
        }
        (Decision::Release, kind) => kind,
    };
    let mut resolved = 0;
    let mut after = ToDoId(0);
    loop {
        let page = context.database.read(|conn| operations::open_todos(conn, after, BATCH))?;
        let Some(last) = page.last().map(|row| row.id) else { return Ok(resolved) };
        let chosen: Vec<ToDoRow> = page.into_iter().filter(|row| kind.map_or(!is_closed_elsewhere(&row.kind), |kind| row.kind == kind)).collect();
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

/// Whether what it is about closes it and nobody by hand, or only somebody who means just this.
fn is_closed_elsewhere(kind: &str) -> bool {
    WAITING_MONEY.contains(&kind) || kind == WAITING_CUSTOMER || DONE_OUTSIDE.contains(&kind)
}

fn decide(context: &Context, rows: &[ToDoRow], decision: Decision, note: &str) -> Result<usize, ActionError> {
    if decision == Decision::Reject {
        may_reject(rows, note)?;
    }
    if rows.is_empty() {
        return Ok(0);
    }
    let ids: Vec<ToDoId> = rows.iter().map(|row| row.id).collect();
    context.database.write(|conn| settle(context, conn, &ids, decision, note))
}

fn may_reject(rows: &[ToDoRow], note: &str) -> Result<(), ActionError> {
    if rows.iter().any(|row| row.kind == "bill_limit") {
        return Err(ActionError::Refused(
            "a held bill is not rejected: correct what makes it wrong, and it is priced anew in the next run".to_owned(),
        ));
    }
    if let Some(row) = rows.iter().find(|row| !decisions(&row.kind).contains(&Decision::Reject)) {
        return Err(ActionError::Refused(format!(
            "item {}: nothing waits for it, so there is nothing to reject: release it when it is dealt with",
            row.id
        )));
    }
    if note.trim().is_empty() {
        return Err(ActionError::Refused("note: it is empty: expected why the read is wrong, in words".to_owned()));
    }
    Ok(())
}

fn settle(context: &Context, conn: &mut DbConnection, ids: &[ToDoId], decision: Decision, note: &str) -> Result<usize, ActionError> {
    let now = context.now();
    let (status, read_status, action) = match decision {
        Decision::Release => ("released", "accepted", "held.release"),
        Decision::Reject => ("rejected", "rejected", "held.reject"),
    };
    // Only what is open still: another clerk may have decided meanwhile.
    let open = operations::lock_open_todos(conn, ids)?;
    if let Some(money) = open.iter().find(|row| WAITING_MONEY.contains(&row.kind.as_str())) {
        let place = if money.kind == "approval" {
            "a second person decides about it on the page Approvals"
        } else {
            "money waits for it: say on the page Bank whose it is, or set it aside there"
        };
        return Err(ActionError::Refused(format!("item {}: {place}", money.id)));
    }
    if let Some(asked) = open.iter().find(|row| row.kind == WAITING_CUSTOMER) {
        return Err(ActionError::Refused(format!("item {}: a customer waits for an answer: answer the question, which closes it", asked.id)));
    }
    let ids: Vec<ToDoId> = open.iter().map(|row| row.id).collect();
    let reads: Vec<ReadId> = open.iter().filter_map(|row| row.meter_read_id).collect();
    let resolved = operations::resolve(conn, &ids, status, &context.actor, note, now)?;
    metering::settle_reads(conn, &reads, read_status)?;
    if decision == Decision::Reject {
        for row in &open {
            if let (Some(agreement), Some(on)) = (row.agreement_id, row.period_end_on) {
                drop_bills(context, conn, agreement, on)?;
            }
        }
    }
    note_decision(context, conn, action, &open, note)?;
    Ok(resolved)
}

/// Writes down what was decided, with each account that it was about.
fn note_decision(context: &Context, conn: &mut DbConnection, action: &str, decided: &[ToDoRow], note: &str) -> Result<(), ActionError> {
    let ids: Vec<ToDoId> = decided.iter().map(|row| row.id).collect();
    let accounts = operations::accounts_of_todos(conn, &ids)?;
    let mut by_subject: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for row in decided {
        let subject = accounts.get(&row.id).cloned().unwrap_or_else(|| format!("item {}", row.id));
        by_subject.entry(subject).or_default().push(&row.reason);
    }
    for (subject, reasons) in by_subject {
        let about = reasons.join("; ");
        let detail = if note.trim().is_empty() { about } else { format!("{}: {about}", note.trim()) };
        operations::audit(conn, context.now(), &context.actor, action, &subject, &detail)?;
    }
    Ok(())
}

/// A bill that was too high with a rejected read is no longer: what a clerk was asked about it goes with the read.
pub(super) fn drop_bills(context: &Context, conn: &mut DbConnection, agreement: AgreementId, on: NaiveDate) -> Result<(), ActionError> {
    let bills = operations::open_bills_over(conn, agreement, on)?;
    if !bills.is_empty() {
        let note = format!("the read of {on} that it was made from was rejected");
        operations::resolve(conn, &bills, "rejected", &context.actor, &note, context.now())?;
    }
    Ok(())
}

/// Sets a read aside that was accepted and is wrong, so that another can take its place. A read that a bill was made
/// from is not touched: that bill is taken back first.
///
/// # Errors
/// [`ActionError::NotFound`] when there is no such read, [`ActionError::Refused`] when it is billed.
pub fn reject_read(context: &Context, serial: &str, register: &str, on: NaiveDate, note: &str) -> Result<(), ActionError> {
    set_read_aside(context, (serial, register, on), note, false)
}

/// The same for a read that a bill was made from. The bill stays as it was sent, and so does the read's row; the accounts that it was
/// billed to are looked at again, and what they were charged too much or too little is found.
///
/// # Errors
/// [`ActionError::NotFound`] when there is no such read.
pub fn reject_billed_read(context: &Context, serial: &str, register: &str, on: NaiveDate, note: &str) -> Result<(), ActionError> {
    set_read_aside(context, (serial, register, on), note, true)
}

fn set_read_aside(context: &Context, (serial, register, on): (&str, &str, NaiveDate), note: &str, corrects: bool) -> Result<(), ActionError> {
    if note.trim().is_empty() {
        return Err(ActionError::Refused("note: it is empty: expected why, in words".to_owned()));
    }
    let named = format!("{serial} of {on}");
    context.database.write(|conn| {
        let registers = metering::registers_by_serial(conn, &[serial])?;
        let row = registers.into_iter().map(|(row, _)| row).find(|row| row.code == register);
        let row = row.ok_or_else(|| ActionError::not_found("meter", serial))?;
        metering::lock_registers(conn, &[row.id])?;
        let read = metering::reads_of(conn, &[row.id])?.into_iter().find(|read| read.read_on == on);
        let read = read.ok_or_else(|| ActionError::not_found("read", &named))?;
        let services = metering::register_services(conn, &[row.meter_id])?;
        let billed: Vec<_> = metering::billed_spans(conn, &[row.meter_id])?.into_iter().filter(|span| span.register_id == row.id).collect();
        let billed = BilledSpan::over(&billed, on);
        if let Some(billed) = billed.filter(|_| !corrects) {
            return Err(ActionError::Refused(format!(
                "the read of {named} is billed (through {billed}): take that bill back first, or set the read aside all the same (--billed) and mend \
                 what is found"
            )));
        }
        if !["actual", "estimated", "customer", "final"].contains(&read.kind.as_str()) {
            return Err(ActionError::Refused(format!("the read of {named} belongs to a meter exchange: it is decided about only while it is held")));
        }
        metering::set_read_aside(conn, read.id)?;
        let todos = operations::open_todos_of_reads(conn, &[read.id])?;
        operations::resolve(conn, &todos, "rejected", &context.actor, note, context.now())?;
        for service in services.iter().filter(|service| service.register_id == row.id) {
            drop_bills(context, conn, service.agreement_id, on)?;
        }
        if billed.is_some() {
            estimate::make_anew(context, conn, (serial, &row), on)?;
            overcharges::queue_meters(conn, &[row.meter_id], &format!("read of meter {named} set aside after it was billed"), context.now())?;
        }
        operations::audit(conn, context.now(), &context.actor, "read.reject", &named, note)?;
        Ok(())
    })
}
