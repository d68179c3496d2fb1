//! Taking a run back: discarded before it was issued, rolled back after.

use chrono::NaiveDate;

use super::{LEASE, chunks_in, finish, reload, workers};
use crate::actions::autopay::announce::withdraw_quietly_within;
use crate::actions::collections::leak_relief;
use crate::actions::lease::Lease;
use crate::actions::rebill::put_right_already;
use crate::actions::{ActionError, Context, notices};
use crate::db::billing::{self, ChunkRow, RunRow};
use crate::db::{DbConnection, customers, ledger, operations, rebills};
use crate::domain::autopay::SkipReason;
use crate::domain::ids::{AccountId, RunId};
use crate::domain::ledger::{Entry, EntryKind};
use crate::domain::money::Money;
use crate::domain::notices::{Addressee, Facts, NewNotice, OverchargeCorrected};

/// Discards a run that was not issued: its periods can be billed by another.
///
/// # Errors
/// [`ActionError::Refused`] when bills of it were issued already.
pub fn discard_run(context: &Context, id: RunId) -> Result<(), ActionError> {
    let _lease = Lease::take(context, LEASE)?;
    discard_held(context, id)
}

/// Discards a run while the lease is held.
pub(super) fn discard_held(context: &Context, id: RunId) -> Result<(), ActionError> {
    let now = context.now();
    context.database.write(|conn| {
        billing::lock_run(conn, id, true)?;
        let run = billing::run(conn, id)?.ok_or_else(|| ActionError::not_found("run", id.to_string()))?;
        if !["pricing", "review", "gates_failed"].contains(&run.status.as_str()) {
            return Err(ActionError::Refused(format!("run {id} is {}: only a run of which nothing was issued is discarded", run.status)));
        }
        billing::withdraw_segments(conn, id, AccountId(0), AccountId(i64::MAX))?;
        if !billing::set_status(conn, id, &run.status, "discarded")? {
            return Err(ActionError::LeaseLost(LEASE.to_owned()));
        }
        billing::set_finished(conn, id, now)?;
        operations::audit(conn, now, &context.actor, "run.discard", &id.to_string(), "")?;
        Ok(())
    })
}

/// Rolls an issued run back: every bill is reversed in the ledger and its periods can be billed again. Goes on where
/// an earlier attempt was interrupted.
///
/// # Errors
/// [`ActionError::Refused`] when the run was not issued, or later bills stand on it.
pub fn roll_back_run(context: &Context, id: RunId, reason: &str, progress: impl Fn(usize, usize) + Sync) -> Result<(), ActionError> {
    let lease = Lease::take(context, LEASE)?;
    let now = context.now();
    context.database.write(|conn| {
        billing::lock_run(conn, id, true)?;
        let run = billing::run(conn, id)?.ok_or_else(|| ActionError::not_found("run", id.to_string()))?;
        if run.status == "rolling_back" {
            return Ok(());
        }
        if run.status != "issued" {
            return Err(ActionError::Refused(format!("run {id} is {}: only an issued run is rolled back", run.status)));
        }
        let later = billing::billed_after(conn, id)?;
        if later > 0 {
            return Err(ActionError::Refused(format!("run {id} has {later} later bills standing on it: roll the later runs back first")));
        }
        not_put_right_already(conn, id, (AccountId(0), AccountId(i64::MAX)))?;
        let clashes = billing::unfinished_runs(conn)?.into_iter().find(|other| other.cycle == run.cycle);
        if let Some(other) = clashes {
            return Err(ActionError::Refused(format!(
                "run {} of the same cycle is unfinished ({}): finish or discard it first",
                other.id, other.status
            )));
        }
        if !billing::set_status(conn, id, "issued", "rolling_back")? {
            return Err(ActionError::LeaseLost(LEASE.to_owned()));
        }
        operations::audit(conn, now, &context.actor, "run.roll_back", &id.to_string(), reason)?;
        Ok(())
    })?;
    let run = reload(context, id)?;
    let chunks = chunks_in(context, id, "issued")?;
    workers::each("rolling back", context, Some(&lease), &chunks, progress, |chunk| roll_back_chunk(context, &run, chunk))?;
    finish(context, id, "rolling_back", "rolled_back", "run.rolled_back")
}

/// What the customer is told of a bill that does not count any more; with it, that autopay does not draw it.
fn taken_back(run: &RunRow, entry: &Entry, balance: Money, undrawn: bool, today: NaiveDate) -> NewNotice {
    NewNotice {
        key: format!("rollback:{}:{}", run.id, entry.account_id),
        to: Addressee::Account(entry.account_id),
        happened_on: today,
        facts: Facts::OverchargeCorrected(OverchargeCorrected {
            cancelled: vec![billing::bill_number(run.id, entry.account_id)],
            before_cents: (-entry.amount).cents(),
            balance_cents: balance.cents(),
            not_drawn: undrawn.then(|| SkipReason::TakenBack.sentence().to_owned()),
            ..OverchargeCorrected::default()
        }),
    }
}

/// Fails when a credit has put a bill of the run right beside it: whoever bills its days again would do it once more.
fn not_put_right_already(conn: &mut DbConnection, run: RunId, (first, last): (AccountId, AccountId)) -> Result<(), ActionError> {
    let Some(row) = rebills::put_right_beside(conn, run, first, last)? else { return Ok(()) };
    let account = customers::account_number(conn, row.account_id)?;
    Err(ActionError::Refused(format!("account {account}: {}", put_right_already(&row))))
}

fn roll_back_chunk(context: &Context, run: &RunRow, chunk: &ChunkRow) -> Result<(), ActionError> {
    let (first, last) = (chunk.first_account_id, chunk.last_account_id);
    let today = context.today();
    context.database.write(|conn| {
        super::still(conn, run.id, "rolling_back")?;
        if !billing::finish_chunk(conn, run.id, chunk.chunk_no, "issued", "rolled_back")? {
            return Ok(());
        }
        ledger::lock_account_range(conn, first, last)?;
        not_put_right_already(conn, run.id, (first, last))?;
        let now = context.now();
        let mut entries = Vec::new();
        for bill in billing::bills_of_run(conn, run.id, first, last)? {
            if bill.status != "issued" {
                continue;
            }
            let amount = -Money::from_cents(bill.total_cents);
            let source = format!("rollback:{}", run.id);
            let tax = -Money::from_cents(bill.tax_cents);
            let entry = Entry::charge(bill.account_id, EntryKind::BillReversal, source, amount, tax, today).balanced()?;
            let after = ledger::position(conn, bill.account_id)?.after(amount)?;
            entries.push((entry, after));
        }
        ledger::append(conn, &entries, now)?;
        let mut news = Vec::with_capacity(entries.len());
        for (entry, after) in &entries {
            billing::cancel_bill(conn, run.id, entry.account_id, after.seq)?;
            let undrawn = withdraw_quietly_within(conn, run.id, entry.account_id, now)?;
            news.push(taken_back(run, entry, after.balance, undrawn, today));
        }
        notices::queue_many(conn, context, &news)?;
        let keys: Vec<_> = entries.iter().map(|(entry, _)| (run.id, entry.account_id)).collect();
        leak_relief::cancelled_within(context, conn, &keys)?;
        billing::withdraw_segments(conn, run.id, first, last)?;
        Ok(())
    })
}
