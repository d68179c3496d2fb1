//! Write-offs: a debt that is not collected any more.

use serde::{Deserialize, Serialize};

use super::posting::{Adjusting, check_words, post};
use super::second_person::may_do;
use super::standing::Standing;
use crate::actions::approvals::Permit;
use crate::actions::payments::{Posted, check_reference};
use crate::actions::{ActionError, Context, account_named};
use crate::db::collections::undone_seq;
use crate::db::ledger;
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
/// a plan holds, or the reference stands for something else.
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
pub fn undo_write_off(context: &Context, number: &str, reference: &str, note: &str) -> Result<Posted, ActionError> {
    let note = check_words("note", note)?;
    context.database.write(|conn| {
        let account = account_named(conn, number)?;
        ledger::lock_accounts(conn, &[account.id])?;
        let found = ledger::adjustment_by_reference(conn, reference)?.filter(|(other, code, _, _)| *other == account.id && code == CODE);
        let (_, _, cents, undone) = found.ok_or_else(|| ActionError::not_found("write-off", reference))?;
        let undo = format!("{reference}-back");
        if let Some(seq) = undone_seq(conn, account.id, undone)? {
            return Ok(Posted::already(seq, ledger::position(conn, account.id)?));
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
        Ok(Posted { account_seq: after.seq, balance_after_cents: after.balance.cents(), unchanged: false })
    })
}
