//! Write-offs: a debt that is not collected any more.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::posting::{Adjusting, check_words, post};
use super::second_person::{Taken, may_do};
use super::standing::{Standing, is_paying};
use crate::actions::approvals::Permit;
use crate::actions::payments::{Posted, check_reference};
use crate::actions::{ActionError, Context, account_named};
use crate::db::collections::{self as rows, deposits, undone_seq};
use crate::db::customers::AccountRow;
use crate::db::operations::{self, Subject};
use crate::db::{DbConnection, ledger};
use crate::domain::money::Money;

/// The reason code.
const CODE: &str = "write-off";

/// A debt to be written off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WritingOff {
    /// The account's number.
    pub account: String,
    /// How much, above zero; none for everything that is owed.
    pub amount: Option<Money>,
    /// The idempotency key.
    pub reference: String,
    /// Why, in words.
    pub note: String,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WrittenOff {
    /// It is written off.
    Done(Posted),
    /// It waits for a second person: why.
    Waits(String),
}

/// Writes a debt off: never more than is owed and due, nothing that is in question or in a plan. The customer is not told. The
/// same reference again changes nothing.
///
/// # Errors
/// [`ActionError::NotFound`] for an unknown account, [`ActionError::Refused`] when the amount is out of bounds, a bill is in question,
/// a plan holds, money is on its way, a deposit is held, or the reference stands for something else.
pub fn write_off(context: &Context, what: &WritingOff) -> Result<WrittenOff, ActionError> {
    let note = check_words("note", &what.note)?;
    check_reference(&what.reference)?;
    context.database.write(|conn| {
        let account = account_named(conn, &what.account)?;
        ledger::lock_accounts(conn, &[account.id])?;
        if let Some((other, code, cents, seq)) = ledger::adjustment_by_reference(conn, &what.reference)? {
            if other == account.id && code == CODE && what.amount.is_none_or(|amount| -amount.cents() == cents) {
                return Ok(WrittenOff::Done(Posted::already(seq, ledger::position(conn, account.id)?)));
            }
            return Err(ActionError::Refused(format!("reference: '{}' stands for another adjustment already", what.reference)));
        }
        let standing = Standing::load(context, conn, account.id)?;
        if standing.plan.is_some() || standing.bills.iter().any(|bill| bill.held && bill.open_cents > 0) {
            return Err(ActionError::Refused(format!("account {} has a bill in question, or a plan that holds: settle that first", account.number)));
        }
        if is_paying(conn, account.id)? {
            return Err(ActionError::Refused(format!("money is on its way to account {}: wait until it has arrived, or has not", account.number)));
        }
        if let Some(held) = deposits::of_account(conn, account.id)?.into_iter().find(|deposit| deposit.applied_seq.is_none()) {
            return Err(ActionError::Refused(format!(
                "deposit {} of account {} is held: apply or withdraw it first",
                held.reference, account.number
            )));
        }
        let today = context.today();
        let due = standing.aging.balance() - standing.aging.due_after(today);
        let amount = what.amount.unwrap_or(due);
        if !amount.is_positive() || amount > due {
            let due = due.max(Money::ZERO);
            return Err(ActionError::Refused(format!("amount: {amount} found; {due} is owed and due: expected more than 0 and no more than that")));
        }
        let wish = Permit {
            kind: "write_off".to_owned(),
            account: Some(what.account.clone()),
            amount: -amount,
            reference: what.reference.clone(),
            subject: format!("write-off of {amount}"),
            note: note.to_owned(),
            shares: Vec::new(),
            case: None,
        };
        if let Some(why) = may_do(conn, context, wish)? {
            return Ok(WrittenOff::Waits(why));
        }
        let adjusting = Adjusting { code: CODE, amount: -amount, on: today, reference: &what.reference, note, undoes: None, told: false };
        let after = post(context, conn, &account, adjusting, context.now())?;
        Ok(WrittenOff::Done(Posted { account_seq: after.seq, balance_after_cents: after.balance.cents(), unchanged: false }))
    })
}

/// Takes a write-off back: the debt is owed again. Taken back already, nothing changes.
///
/// # Errors
/// [`ActionError::NotFound`] for an unknown account or write-off, [`ActionError::Refused`] without a note.
pub fn undo_write_off(context: &Context, number: &str, reference: &str, note: &str) -> Result<Taken, ActionError> {
    let note = check_words("note", note)?;
    context.database.write(|conn| {
        let account = account_named(conn, number)?;
        ledger::lock_accounts(conn, &[account.id])?;
        let found = ledger::adjustment_by_reference(conn, reference)?.filter(|(other, code, _, _)| *other == account.id && code == CODE);
        let (_, _, cents, undone) = found.ok_or_else(|| ActionError::not_found("write-off", reference))?;
        let undo = format!("{reference}-back");
        if let Some(seq) = undone_seq(conn, account.id, undone)? {
            return Ok(Taken::Done(Posted::already(seq, ledger::position(conn, account.id)?)));
        }
        let wish = Permit {
            kind: "write_off_back".to_owned(),
            account: Some(account.number.clone()),
            amount: Money::from_cents(-cents),
            reference: undo.clone(),
            subject: format!("write-off {reference} taken back"),
            note: note.to_owned(),
            shares: Vec::new(),
            case: None,
        };
        if let Some(why) = may_do(conn, context, wish)? {
            return Ok(Taken::Waits(why));
        }
        let adjusting = Adjusting {
            code: "write-off-taken-back",
            amount: Money::from_cents(-cents),
            on: context.today(),
            reference: &undo,
            note,
            undoes: Some(undone),
            told: false,
        };
        let after = post(context, conn, &account, adjusting, context.now())?;
        Ok(Taken::Done(Posted { account_seq: after.seq, balance_after_cents: after.balance.cents(), unchanged: false }))
    })
}

/// Raises a work item when money came to an account of which a debt was written off, once for a write-off, within a transaction that
/// holds its lock: a clerk takes the write-off back as far as it was paid after all. Whether one was raised.
pub(super) fn look_within(context: &Context, conn: &mut DbConnection, account: &AccountRow, today: NaiveDate) -> Result<bool, ActionError> {
    let mut raised = false;
    for paid in rows::written_off_and_paid(conn, account.id, today)? {
        let (written, came) = (Money::from_cents(paid.written_cents), Money::from_cents(paid.paid_cents));
        let reason = format!(
            "{came} came after {written} was written off as {}: take the write-off back, as far as it was paid after all, or give the money back",
            paid.reference
        );
        let key = rows::written_off_key(account.id, paid.account_seq);
        let subject =
            Subject { kind: "written_off_paid", key: &key, account: account.id, amount_cents: paid.paid_cents, due_on: None, reason: &reason };
        raised |= operations::raise_about(conn, &subject, context.now())?;
    }
    Ok(raised)
}
