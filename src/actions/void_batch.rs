//! A file of payouts or cheques that the bank refused as a whole: every payout of it that is still out comes back as if each had been
//! noted by itself, in one transaction and with one second person for all of them.

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::approvals::{Amounts, Permit, Share, Waiting, permit_within, why_two_back};
use super::policy::policies_within;
use super::refunds::{CameBack, came_back_within, check_news};
use super::{ActionError, Context};
use crate::db::operations::Subject;
use crate::db::payouts::{self as rows, BatchRow, Line};
use crate::db::provider_payments::RefundRow;
use crate::db::{DbConnection, ledger, operations, refunds};
use crate::domain::ids::{AccountId, RefundBatchId};
use crate::domain::money::Money;

/// No batch has more lines: twice what one pays, for its void cheques.
const MOST: i64 = 40_000;
/// So many are named in a refusal.
const MOST_NAMED: usize = 5;

/// What became of a batch that the bank refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VoidReport {
    /// Its number.
    pub batch: RefundBatchId,
    /// Payouts that came back now.
    pub came_back: usize,
    /// What they come to, in cents.
    pub came_back_cents: i64,
    /// Payouts that had come back before.
    pub before: usize,
    /// Cheques of earlier files that this one told the bank not to pay: the bank does not know, and each has a work item now.
    pub untold: Vec<i64>,
}

/// What came of saying that a batch came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Voided {
    /// It is done.
    Done(VoidReport),
    /// It waits for a second person, and is to be said again then.
    Waits(Waiting),
}

/// A payout that is to come back.
struct Back {
    row: RefundRow,
    wish: CameBack,
}

/// Notes that the bank refused a whole batch, or asks a second person for it where the policy wants one: for the sum, or for what one
/// person gave one of its accounts. All or nothing; the same again changes nothing.
///
/// # Errors
/// [`ActionError::NotFound`] when there is no such batch; [`ActionError::Refused`] for words that are missing, when the bank paid a
/// part of it, when it pays nothing, or when whoever asks is not known by a sign-in.
pub fn void_batch(context: &Context, id: RefundBatchId, note: &str) -> Result<Voided, ActionError> {
    check_news(note)?;
    let note = note.trim();
    context.database.write(|conn| {
        let batch = rows::batch(conn, id)?.ok_or_else(|| ActionError::not_found("batch", id.to_string()))?;
        let lines = locked(conn, id)?;
        let (pay, stop): (Vec<&Line>, Vec<&Line>) = lines.iter().partition(|line| line.what == "pay");
        refuse_paid(id, &pay, &stop)?;
        let back = still_out(conn, &pay, note)?;
        let total = Money::checked_sum(back.iter().map(|one| Money::from_cents(one.row.amount_cents)));
        let total = total.ok_or_else(|| ActionError::Refused("amount: it is too large".to_owned()))?;
        let policy = policies_within(conn)?.on(context.today()).clone();
        let each: Vec<(AccountId, CameBack, Money)> =
            back.iter().map(|one| (one.row.account_id, one.wish.clone(), Money::from_cents(one.row.amount_cents))).collect();
        let why = why_two_back(conn, context, &policy, &each)?;
        if let Some(why) = &why {
            let permit = Permit { shares: shares(conn, &back)?, ..permit(&batch, &back, total, note) };
            if let Some(waiting) = permit_within(conn, context, &permit, why)? {
                return Ok(Voided::Waits(waiting));
            }
        }
        for one in &back {
            came_back_within(conn, context, &one.row, &one.wish, why.is_none())?;
        }
        let untold = if back.is_empty() { Vec::new() } else { tell_untold(conn, context, id, &stop)? };
        if !back.is_empty() {
            let detail = format!("batch {id} of {}: {} payouts, {total}: {note}", batch.made_on, back.len());
            operations::audit(conn, context.now(), &context.actor, "refund.void_batch", &batch.medium, &detail)?;
        }
        let (came_back, before) = (back.len(), pay.len() - back.len());
        Ok(Voided::Done(VoidReport { batch: id, came_back, came_back_cents: total.cents(), before, untold }))
    })
}

/// The batch's lines as they are under their accounts' locks.
fn locked(conn: &mut DbConnection, id: RefundBatchId) -> Result<Vec<Line>, ActionError> {
    let mut accounts: Vec<AccountId> = rows::lines(conn, id, 0, MOST)?.iter().map(|line| line.account_id).collect();
    accounts.sort_unstable();
    accounts.dedup();
    ledger::lock_accounts(conn, &accounts)?;
    Ok(rows::lines(conn, id, 0, MOST)?)
}

/// What the bank paid of a file, it did not refuse.
fn refuse_paid(id: RefundBatchId, pay: &[&Line], stop: &[&Line]) -> Result<(), ActionError> {
    if pay.is_empty() {
        let numbers: Vec<String> = stop.iter().take(MOST_NAMED).filter_map(|line| line.cheque_number).map(|number| number.to_string()).collect();
        return Err(ActionError::Refused(format!(
            "batch {id} pays nothing: tell the bank by yourself not to pay the {} cheques that it names ({} first)",
            stop.len(),
            numbers.join(", ")
        )));
    }
    let paid: Vec<&&Line> = pay.iter().filter(|line| line.state == "succeeded").collect();
    if paid.is_empty() {
        return Ok(());
    }
    let name = |line: &&&Line| format!("{} of account {} ({})", line.token, line.account, line.bank_ref.as_deref().unwrap_or("no reference"));
    let named: Vec<String> = paid.iter().take(MOST_NAMED).map(name).collect();
    Err(ActionError::Refused(format!(
        "batch {id} was not refused whole: the bank paid {} of its {} payouts: {}{}. Note those that came back with `aquabills refund came-back`",
        paid.len(),
        pay.len(),
        named.join(", "),
        if paid.len() > MOST_NAMED { ", and others" } else { "" }
    )))
}

/// The payouts that are neither paid nor back.
fn still_out(conn: &mut DbConnection, pay: &[&Line], note: &str) -> Result<Vec<Back>, ActionError> {
    let mut back = Vec::new();
    for line in pay.iter().filter(|line| matches!(line.state.as_str(), "created" | "submitted")) {
        let row = refunds::by_id(conn, line.refund_id)?.ok_or_else(|| ActionError::not_found("payout", &line.token))?;
        let turn = refunds::turns(conn, row.id)? + 1;
        back.push(Back { row, wish: CameBack { account: line.account.clone(), payout: line.token.clone(), turn, note: note.to_owned() } });
    }
    Ok(back)
}

/// How the requests about a batch begin.
pub(super) fn approval_reference(id: RefundBatchId) -> String {
    format!("batch:{id}:void:")
}

/// What a second person is asked: just these payouts, at this turn of each.
fn permit(batch: &BatchRow, back: &[Back], total: Money, note: &str) -> Permit {
    let mut hash = Sha256::new();
    for one in back {
        for part in [one.row.id.0, one.wish.turn, one.row.amount_cents] {
            hash.update(part.to_be_bytes());
        }
    }
    let hash = data_encoding::HEXLOWER.encode(hash.finalize().get(..16).unwrap_or_default());
    Permit {
        kind: "void_batch".to_owned(),
        account: None,
        amount: -total,
        reference: format!("{}{hash}", approval_reference(batch.id)),
        subject: format!("file {} of {} is said to have come back from the bank: {} payouts, {total} in all", batch.id, batch.made_on, back.len()),
        note: note.to_owned(),
        shares: Vec::new(),
        case: None,
    }
}

/// What accounts get back.
fn shares(conn: &mut DbConnection, back: &[Back]) -> Result<Vec<Share>, ActionError> {
    let mut amounts = Amounts::default();
    for one in back {
        *amounts.0.entry(one.row.account_id).or_default() -= one.row.amount_cents;
    }
    amounts.shares(conn)
}

/// The bank did not read either which cheques it is not to pay: they are in no later file, so somebody tells it.
fn tell_untold(conn: &mut DbConnection, context: &Context, id: RefundBatchId, stop: &[&Line]) -> Result<Vec<i64>, ActionError> {
    let mut untold = Vec::new();
    for line in stop {
        let Some(number) = line.cheque_number else { continue };
        let reason = format!(
            "cheque {number} of {} is void, and file {id}, which told the bank so, was refused: tell the bank not to pay it",
            Money::from_cents(line.amount_cents)
        );
        let key = format!("refund:{}:untold", line.refund_id);
        let (account, amount_cents) = (line.account_id, line.amount_cents);
        let subject = Subject { kind: "refund_failed", key: &key, account, amount_cents, due_on: None, reason: &reason };
        operations::raise_about(conn, &subject, context.now())?;
        untold.push(number);
    }
    Ok(untold)
}
