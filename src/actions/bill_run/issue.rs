//! Issuing a chunk: the one moment at which bills touch the ledger (P1).
//!
//! Everything that a bill says of its account (opening balance, payments since the last bill, the last payment
//! deducted) is read inside the transaction that posts it, after the accounts are locked.

use super::Fault;
use crate::actions::{ActionError, Context, autopay, notices, rebill};
use crate::db::billing::{self, BillRow, ChunkRow, IssueRow, RunRow, bill_number};
use crate::db::{DbConnection, ledger, look_up_by_index, payments};
use crate::domain::ids::AccountId;
use crate::domain::ledger::{Entry, EntryKind, Position, SinceLastBill};
use crate::domain::money::Money;
use crate::domain::notices::{Addressee, BillReady, Facts, NewNotice};

/// Issues a chunk, in one transaction with the chunk's state.
pub(super) fn issue_chunk(context: &Context, run: &RunRow, chunk: &ChunkRow, fault: Option<Fault>) -> Result<(), ActionError> {
    let (first, last) = (chunk.first_account_id, chunk.last_account_id);
    let stale = match fault {
        Some(Fault::SettlementBeforeTransaction) => Some(context.database.read(|conn| billing::issue_basis(conn, run.id, first, last))?),
        _ => None,
    };
    context.database.write(|conn| {
        look_up_by_index(conn)?;
        super::still(conn, run.id, "issuing")?;
        if !billing::finish_chunk(conn, run.id, chunk.chunk_no, "priced", "issued")? {
            return Ok(());
        }
        ledger::lock_account_range(conn, first, last)?;
        // Ledger time is taken under the locks, so that it never contradicts the ledger's order.
        let now = context.now();
        let basis = match &stale {
            Some(stale) => stale.clone(),
            None => billing::issue_basis(conn, run.id, first, last)?,
        };
        let mut entries = Vec::new();
        let mut bills = Vec::new();
        for account in basis.chunk_by(|a, b| a.account_id == b.account_id) {
            let (entry, after, bill) = bill_account(conn, run, account)?;
            entries.push((entry, after));
            bills.push(bill);
        }
        ledger::append(conn, &entries, now)?;
        billing::insert_bills(conn, &bills)?;
        // Whoever is billed anew is told of that, and not of a bill as any other.
        let bills = rebill::billed_within(conn, context, run, bills)?;
        notices::queue_many(conn, context, &bills.iter().map(|bill| ready(run, bill)).collect::<Vec<_>>())?;
        autopay::announce::announce_within(conn, context, run, &bills)?;
        Ok(())
    })
}

/// The notice of a bill, from the bill's own row.
fn ready(run: &RunRow, bill: &BillRow) -> NewNotice {
    NewNotice {
        key: format!("bill:{}:{}", run.id, bill.account_id),
        to: Addressee::Account(bill.account_id),
        happened_on: run.bill_on,
        facts: Facts::BillReady(BillReady {
            bill_number: bill_number(run.id, bill.account_id),
            bill_on: run.bill_on,
            due_on: run.due_on,
            charges_cents: bill.total_cents,
            opening_balance_cents: bill.opening_balance_cents,
            amount_due_cents: bill.amount_due_cents,
        }),
    }
}

/// What an account's rows since its last bill add up to.
struct Settlement {
    account_id: AccountId,
    position: Position,
    since: SinceLastBill,
    last_payment_seq: Option<i64>,
}

fn bill_account(conn: &mut DbConnection, run: &RunRow, rows: &[IssueRow]) -> Result<(Entry, Position, BillRow), ActionError> {
    let first = rows.first().ok_or_else(|| ActionError::Refused("an account without rows".to_owned()))?;
    let settled = settle(conn, first, rows)?;
    let charge = Money::from_cents(first.charge_cents);
    let entry = bill_entry(settled.account_id, run, charge, Money::from_cents(first.tax_cents))?;
    let after = settled.position.after(charge)?;
    let bill = BillRow {
        run_id: run.id,
        account_id: settled.account_id,
        account_seq: after.seq,
        status: "issued".to_owned(),
        cancelled_seq: None,
        total_cents: charge.cents(),
        previous_balance_cents: settled.since.previous_balance.cents(),
        payments_cents: settled.since.payments.cents(),
        adjustments_cents: settled.since.adjustments.cents(),
        opening_balance_cents: settled.position.balance.cents(),
        amount_due_cents: after.balance.cents(),
        last_payment_seq: settled.last_payment_seq,
        tax_cents: first.tax_cents,
    };
    Ok((entry, after, bill))
}

/// What a bill earns, and the taxes on it that are collected for others.
fn bill_entry(account_id: AccountId, run: &RunRow, charge: Money, tax: Money) -> Result<Entry, ActionError> {
    let source = format!("run:{}", run.id);
    Ok(Entry::charge(account_id, EntryKind::Bill, source, charge, tax, run.bill_on).balanced()?)
}

fn settle(conn: &mut DbConnection, first: &IssueRow, rows: &[IssueRow]) -> Result<Settlement, ActionError> {
    let mut position = Position::default();
    let mut since = SinceLastBill::default();
    let mut standing: Vec<i64> = first.bill_last_payment_seq.into_iter().collect();
    let mut look_back = false;
    for row in rows {
        let (Some(seq), Some(kind), Some(cents), Some(balance)) = (row.account_seq, row.kind.as_deref(), row.amount_cents, row.balance_after_cents)
        else {
            continue;
        };
        position = Position { seq, balance: Money::from_cents(balance) };
        if Some(seq) == first.bill_seq {
            since.previous_balance = position.balance;
            continue;
        }
        since.add(kind, Money::from_cents(cents));
        if kind == EntryKind::Payment.as_str() {
            standing.push(seq);
        } else if kind == EntryKind::PaymentReversal.as_str() {
            look_back = true;
        }
    }
    let mut last_payment_seq = standing.last().copied();
    // What went back, or was corrected, may be any payment, and may leave an earlier one standing again.
    if look_back {
        last_payment_seq = payments::last_standing(conn, first.account_id, position.seq)?;
    }
    Ok(Settlement { account_id: first.account_id, position, since, last_payment_seq })
}
