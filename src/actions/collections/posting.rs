//! An adjustment of collections, posted within a transaction that holds the account's lock.

use chrono::{NaiveDate, NaiveDateTime};

use crate::actions::{ActionError, Context, notices};
use crate::db::customers::AccountRow;
use crate::db::ledger::NewAdjustment;
use crate::db::{DbConnection, collections as rows, ledger, operations, overcharges};
use crate::domain::ledger::{Entry, EntryKind, Position};
use crate::domain::money::Money;
use crate::domain::notices::{Addressee, AdjustmentGiven, Facts, NewNotice};

/// Reasons that are never given by hand, nor taken back by hand: each belongs to a row that says what it is about.
pub(in crate::actions) const RULED_REASONS: [&str; 8] = [
    "late-fee-taken-back",
    "late-fee-waived",
    "leak-taken-back",
    "write-off-taken-back",
    "deposit",
    "deposit-interest",
    "deposit-applied",
    "deposit-withdrawn",
];

/// What is posted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Adjusting<'a> {
    /// The reason's code.
    pub(super) code: &'static str,
    /// The movement of the balance.
    pub(super) amount: Money,
    /// Value date.
    pub(super) on: NaiveDate,
    /// The idempotency key.
    pub(super) reference: &'a str,
    /// Why, in words.
    pub(super) note: &'a str,
    /// The position of the adjustment that it takes back.
    pub(super) undoes: Option<i64>,
    /// Whether the customer is told of it as of any adjustment.
    pub(super) told: bool,
}

/// Posts an adjustment and writes it down.
pub(super) fn post(
    context: &Context,
    conn: &mut DbConnection,
    account: &AccountRow,
    what: Adjusting<'_>,
    now: NaiveDateTime,
) -> Result<Position, ActionError> {
    let reason = ledger::reason(conn, what.code)?.ok_or_else(|| ActionError::not_found("reason", what.code))?;
    let source = format!("adjustment:{}:{}", what.code, what.reference);
    let entry = Entry::against(account.id, EntryKind::Adjustment, source, what.amount, what.on, &reason.gl_code).balanced()?;
    let after = ledger::position(conn, account.id)?.after(what.amount)?;
    ledger::append(conn, &[(entry, after)], now)?;
    let row = NewAdjustment {
        account_id: account.id,
        reason_code: what.code.to_owned(),
        amount_cents: what.amount.cents(),
        effective_on: what.on,
        reference: what.reference.to_owned(),
        note: what.note.to_owned(),
        entered_by: context.actor.clone(),
        account_seq: after.seq,
    };
    ledger::insert_adjustment(conn, &row)?;
    if let Some(undone) = what.undoes {
        rows::insert_undo(conn, account.id, after.seq, undone)?;
        overcharges::queue(conn, &[account.id], &format!("{} '{}'", what.code, what.reference), now)?;
    }
    let detail = format!("{} {} {}: {}", what.amount, what.code, what.reference, what.note);
    operations::audit(conn, now, &context.actor, "adjustment.give", &account.number, &detail)?;
    if what.told {
        notices::queue(conn, context, told(context, account, &reason.name, what, after))?;
    }
    Ok(after)
}

fn told(context: &Context, account: &AccountRow, reason: &str, what: Adjusting<'_>, after: Position) -> NewNotice {
    NewNotice {
        key: format!("adjustment:{}:{}", account.id, after.seq),
        to: Addressee::Account(account.id),
        happened_on: context.today(),
        facts: Facts::AdjustmentGiven(AdjustmentGiven {
            amount_cents: what.amount.cents(),
            effective_on: what.on,
            reason: reason.to_owned(),
            reference: what.reference.to_owned(),
            balance_cents: after.balance.cents(),
        }),
    }
}

/// Why, in words: never empty.
pub(super) fn check_words<'a>(field: &str, words: &'a str) -> Result<&'a str, ActionError> {
    let words = words.trim();
    if words.is_empty() {
        return Err(ActionError::Refused(format!("{field}: it is empty: expected why, in words")));
    }
    if words.chars().count() > 2_000 {
        return Err(ActionError::Refused(format!("{field}: it is too long: expected at most 2000 letters")));
    }
    Ok(words)
}
