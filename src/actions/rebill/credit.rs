//! An exact credit in place of another bill, for bills that are too old to be made anew: what should have been charged, less what
//! was, with its tax.

use chrono::NaiveDate;

use crate::actions::{ActionError, Context};
use crate::db::ledger::{self, NewAdjustment};
use crate::db::{DbConnection, operations};
use crate::domain::ids::AccountId;
use crate::domain::ledger::{Charged, Entry, Position};

/// The reason code of what puts a wrong charge right.
const REASON: &str = "billing-error";

/// What puts a wrong charge right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExactCorrection {
    /// Whose charge was wrong.
    pub account_id: AccountId,
    /// What should have been charged, less what was: negative is a credit.
    pub difference: Charged,
    /// Value date.
    pub effective_on: NaiveDate,
    /// The idempotency key: `finding:12`.
    pub reference: String,
    /// Why, in words.
    pub note: String,
}

/// Posts a correction, within the transaction of what it settles; the account's lock is held. The same reference again changes
/// nothing. Returns where the account's ledger stands after it.
///
/// # Errors
/// [`ActionError::Refused`] when the reference stands for something else, or there is nothing to put right.
pub fn correct_within(conn: &mut DbConnection, context: &Context, wanted: &ExactCorrection) -> Result<Position, ActionError> {
    let cents = wanted.difference.total.cents();
    if cents == 0 {
        return Err(ActionError::Refused(format!("{}: nothing is to be put right: expected a difference", wanted.reference)));
    }
    let position = ledger::position(conn, wanted.account_id)?;
    if let Some((account, code, known, _)) = ledger::adjustment_by_reference(conn, &wanted.reference)? {
        if account == wanted.account_id && code == REASON && known == cents {
            return Ok(position);
        }
        return Err(ActionError::Refused(format!("reference: '{}' stands for another adjustment already", wanted.reference)));
    }
    let reason = ledger::reason(conn, REASON)?.ok_or_else(|| ActionError::not_found("reason", REASON))?;
    let source = format!("adjustment:{REASON}:{}", wanted.reference);
    let entry = Entry::correction(wanted.account_id, source, wanted.difference, wanted.effective_on, &reason.gl_code).balanced()?;
    let after = position.after(wanted.difference.total)?;
    let now = context.now();
    ledger::append(conn, &[(entry, after)], now)?;
    let row = NewAdjustment {
        account_id: wanted.account_id,
        reason_code: REASON.to_owned(),
        amount_cents: cents,
        effective_on: wanted.effective_on,
        reference: wanted.reference.clone(),
        note: wanted.note.clone(),
        entered_by: context.actor.clone(),
        account_seq: after.seq,
    };
    ledger::insert_adjustment(conn, &row)?;
    let number = crate::db::customers::account_number(conn, wanted.account_id)?;
    let detail = format!("{} {REASON} {}", wanted.difference.total, wanted.reference);
    operations::audit(conn, now, &context.actor, "adjustment.give", &number, &detail)?;
    Ok(after)
}
