//! Undoing a credit or a charge: by a reversing adjustment that is linked to it, once.

use serde::{Deserialize, Serialize};

use super::adjust::{self, Adjustment, BALANCE_REASONS};
use super::approvals::{self, Checked, Outcome, Wanted};
use super::balances::check_words;
use super::collections::RULED_REASONS;
use super::overcharges::mend;
use super::payments::Posted;
use super::{ActionError, Context, account_named};
use crate::db::approvals::{self as rows, Undoable};
use crate::db::refunds::given_out_since;
use crate::db::{DbConnection, ledger, overcharges};
use crate::domain::ids::AccountId;
use crate::domain::ledger::Posting;
use crate::domain::money::Money;

/// An adjustment to be taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// Account number.
    pub account: String,
    /// The reference of the adjustment that is taken back.
    pub of: String,
    /// The idempotency key of taking it back.
    pub reference: String,
    /// Why, in words.
    pub note: String,
}

/// Takes an adjustment back, or asks a second person for it where the policy wants one.
///
/// # Errors
/// [`ActionError::NotFound`] for an unknown account or adjustment, [`ActionError::Refused`] when it was taken back already, is
/// itself an undo, or was paid out since.
pub fn undo(context: &Context, wish: &Undo) -> Result<Outcome, ActionError> {
    approvals::ask(context, &Wanted::Undo(wish.clone()))
}

/// What can be undone at a position of an account's ledger: the reference and the amount.
///
/// # Errors
/// [`ActionError::NotFound`] when there is no adjustment, [`ActionError::Refused`] when it cannot be undone.
pub fn undoable(context: &Context, account: &str, seq: i64) -> Result<(String, Money), ActionError> {
    context.database.snapshot(|conn| {
        let owner = account_named(conn, account)?;
        let reference = rows::adjustment_at(conn, owner.id, seq)?.ok_or_else(|| ActionError::not_found("credit or charge", seq.to_string()))?;
        let found = find(conn, owner.id, &reference)?;
        stands(conn, &found)?;
        Ok((reference, Money::from_cents(found.amount_cents)))
    })
}

/// The reference of the adjustment at a position of an account's ledger.
///
/// # Errors
/// [`ActionError::NotFound`] when there is none.
pub fn adjustment_reference(context: &Context, account: AccountId, seq: i64) -> Result<String, ActionError> {
    let found = context.database.read(|conn| rows::adjustment_at(conn, account, seq))?;
    found.ok_or_else(|| ActionError::not_found("credit or charge", seq.to_string()))
}

fn find(conn: &mut DbConnection, account: AccountId, reference: &str) -> Result<Undoable, ActionError> {
    let found = rows::adjustment(conn, reference)?.filter(|found| found.account_id == account);
    found.ok_or_else(|| ActionError::not_found("credit or charge", reference))
}

/// Whether it can be taken back as things stand.
fn stands(conn: &mut DbConnection, found: &Undoable) -> Result<(), ActionError> {
    let refused = |message: String| Err(ActionError::Refused(message));
    if let Some(by) = rows::undone_by(conn, found.id)? {
        return refused(format!("of: '{}' was taken back already, by '{by}'", found.reference));
    }
    if rows::is_undo(conn, found.id)? {
        return refused(format!("of: '{}' took something back itself: give it anew instead", found.reference));
    }
    if BALANCE_REASONS.contains(&found.reason_code.as_str()) || found.reason_code == "refund-failed" {
        return refused(format!(
            "of: '{}' is a refund or a transfer: a payout that failed is noted with `aquabills refund came-back`",
            found.reference
        ));
    }
    if RULED_REASONS.contains(&found.reason_code.as_str()) {
        return refused(format!("of: '{}' is of a deposit, or undid something by rule: it is not taken back by hand", found.reference));
    }
    let credit = -Money::from_cents(found.amount_cents);
    if credit.is_positive() {
        let out = given_out_since(conn, found.account_id, found.account_seq)?;
        let left = -ledger::position(conn, found.account_id)?.balance;
        if !out.is_empty() && left < credit {
            let total: i64 = out.iter().map(|(_, cents)| cents).sum();
            let names: Vec<&str> = out.iter().map(|(token, _)| token.as_str()).take(5).collect();
            return refused(format!(
                "of: {} was paid out of the account since ({}): what the customer has got cannot be taken back",
                Money::from_cents(total),
                names.join(", ")
            ));
        }
    }
    Ok(())
}

/// Checks an undo as things stand, within a transaction, and takes its account's lock.
pub(super) fn check_within(conn: &mut DbConnection, wish: &Undo) -> Result<Checked, ActionError> {
    check_words(&wish.reference, &wish.note)?;
    let account = account_named(conn, &wish.account)?;
    ledger::lock_accounts(conn, &[account.id])?;
    let found = find(conn, account.id, &wish.of)?;
    if let Some((other, _, cents, seq)) = ledger::adjustment_by_reference(conn, &wish.reference)? {
        let same = other == account.id && cents == -found.amount_cents && rows::undone_by(conn, found.id)?.as_deref() == Some(&wish.reference);
        if same {
            return Ok(Checked::Done(Posted::already(seq, ledger::position(conn, account.id)?)));
        }
        return Err(ActionError::Refused(format!("reference: '{}' stands for another adjustment already", wish.reference)));
    }
    stands(conn, &found)?;
    let reason = ledger::reason(conn, &found.reason_code)?.map_or(found.reason_code, |reason| reason.name);
    Ok(Checked::Ready { account: account.id, movement: -Money::from_cents(found.amount_cents), reason: format!("{reason}, taken back") })
}

/// Posts a checked undo, within a transaction that holds the account's lock.
pub(super) fn undo_checked(conn: &mut DbConnection, context: &Context, wish: &Undo, movement: Money) -> Result<Posted, ActionError> {
    let account = account_named(conn, &wish.account)?;
    let found = find(conn, account.id, &wish.of)?;
    // A true reversal: the tax that a credit put right, for one, is taken back as tax.
    let posted = ledger::postings_at(conn, account.id, found.account_seq)?;
    let back = posted.into_iter().map(|row| Posting { gl_code: row.gl_code, amount: -Money::from_cents(row.amount_cents) });
    let adjustment = Adjustment {
        account: wish.account.clone(),
        reason_code: found.reason_code,
        amount: movement,
        effective_on: context.today(),
        reference: wish.reference.clone(),
        note: wish.note.clone(),
    };
    let posted = adjust::post_against(conn, context, &adjustment, Some(back.collect()))?;
    let made = rows::adjustment(conn, &wish.reference)?.ok_or_else(|| ActionError::not_found("credit or charge", &wish.reference))?;
    rows::insert_reversal(conn, made.id, found.id)?;
    // A fee, a relief or a correction counts no longer: what is right now is to be asked anew.
    overcharges::queue(conn, &[account.id], &format!("'{}' was taken back", wish.of), context.now())?;
    mend::taken_back_within(conn, context, account.id, &wish.of)?;
    Ok(posted)
}
