//! Adjustments: credits and debits that a clerk gives, with a reason code and a note.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::approvals::{self, Checked, Outcome, Wanted};
use super::collections::RULED_REASONS;
use super::payments::{Posted, check_not_future, check_reference};
use super::{ActionError, Context, account_named, notices};
use crate::db::ledger::NewAdjustment;
use crate::db::{DbConnection, ledger, operations};
use crate::domain::ids::AccountId;
use crate::domain::ledger::{Entry, EntryKind, Position, Posting, check_amount};
use crate::domain::money::Money;
use crate::domain::notices::{Addressee, AdjustmentGiven, Facts, NewNotice};
use crate::domain::policy::Policy;

/// An adjustment to be given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adjustment {
    /// Account number.
    pub account: String,
    /// Reason code.
    pub reason_code: String,
    /// Movement of the balance: negative is a credit to the customer.
    pub amount: Money,
    /// Value date.
    pub effective_on: NaiveDate,
    /// The idempotency key: the same reference again changes nothing.
    pub reference: String,
    /// Why, in words.
    pub note: String,
}

/// The reason code of putting right what was billed.
const BILLING_ERROR: &str = "billing-error";

/// Reason codes of what becomes of a whole balance, which has rules of its own ([`super::balances`]).
pub const BALANCE_REASONS: [&str; 2] = ["refund", "transfer"];

/// Whether a reason is one that a person may give.
#[must_use]
pub fn is_given_by_hand(code: &str) -> bool {
    !BALANCE_REASONS.contains(&code) && !RULED_REASONS.contains(&code)
}

/// Gives an adjustment that needs no second person.
///
/// # Errors
/// [`ActionError::NotFound`] for an unknown account or reason, [`ActionError::Refused`] when the amount is zero, goes the
/// wrong way for its reason, needs a second person, or the reference stands for another adjustment.
pub fn adjust(context: &Context, adjustment: &Adjustment) -> Result<Posted, ActionError> {
    approvals::give(context, &Wanted::Adjust(adjustment.clone()))
}

/// Gives an adjustment, or asks a second person for it where the policy wants one.
///
/// # Errors
/// As [`adjust`].
pub fn ask(context: &Context, adjustment: &Adjustment) -> Result<Outcome, ActionError> {
    approvals::ask(context, &Wanted::Adjust(adjustment.clone()))
}

/// Checks an adjustment as things stand, within a transaction, and takes its account's lock.
pub(super) fn check_within(conn: &mut DbConnection, context: &Context, policy: &Policy, adjustment: &Adjustment) -> Result<Checked, ActionError> {
    check_amount(adjustment.amount).map_err(ActionError::Refused)?;
    check_reference(&adjustment.reference)?;
    if adjustment.note.trim().is_empty() {
        return Err(ActionError::Refused("note: it is empty: expected why, in words".to_owned()));
    }
    check_not_future(context, adjustment.effective_on)?;
    if BALANCE_REASONS.contains(&adjustment.reason_code.as_str()) {
        return Err(ActionError::Refused(format!(
            "reason: '{}' is not given by hand: a credit is paid out with `aquabills balance refund`, a balance carried on with `balance transfer`",
            adjustment.reason_code
        )));
    }
    if RULED_REASONS.contains(&adjustment.reason_code.as_str()) {
        return Err(ActionError::Refused(format!(
            "reason: '{}' is not given by hand: `aquabills late-fee`, `leak-relief`, `write-off` and `deposit` give it by their rules",
            adjustment.reason_code
        )));
    }
    fits_back_billing(context, policy, adjustment)?;
    let account = account_named(conn, &adjustment.account)?;
    let reason = find_reason(conn, &adjustment.reason_code)?;
    fits_reason(adjustment.amount, &reason)?;
    ledger::lock_accounts(conn, &[account.id])?;
    if let Some((other, code, cents, seq)) = ledger::adjustment_by_reference(conn, &adjustment.reference)? {
        if other == account.id && code == adjustment.reason_code && cents == adjustment.amount.cents() {
            return Ok(Checked::Done(Posted::already(seq, ledger::position(conn, account.id)?)));
        }
        return Err(ActionError::Refused(format!("reference: '{}' stands for another adjustment already", adjustment.reference)));
    }
    Ok(Checked::Ready { account: account.id, movement: adjustment.amount, reason: reason.name })
}

/// A charge for what was billed too little goes no further back by hand than by the sweep.
fn fits_back_billing(context: &Context, policy: &Policy, adjustment: &Adjustment) -> Result<(), ActionError> {
    if adjustment.reason_code != BILLING_ERROR || !adjustment.amount.is_positive() {
        return Ok(());
    }
    let rule = &policy.back_billing;
    match rule.charges_from(context.today()) {
        Some(first) if adjustment.effective_on >= first => Ok(()),
        Some(first) => Err(ActionError::Refused(format!(
            "effective_on: {} is before {first}: what was billed too little is charged for {} months back ({})",
            adjustment.effective_on, rule.charge_months, rule.citation
        ))),
        None => Err(ActionError::Refused(format!("amount: what was billed too little is not charged ({})", rule.citation))),
    }
}

/// Posts an adjustment within a transaction that checked it and holds its account's lock: for what was approved, and for what
/// the program gives by rule.
pub(super) fn post_within(conn: &mut DbConnection, context: &Context, adjustment: &Adjustment) -> Result<Posted, ActionError> {
    post_against(conn, context, adjustment, None)
}

/// The same, with the general-ledger side given: what takes something back takes back just the rows that it posted.
pub(super) fn post_against(
    conn: &mut DbConnection,
    context: &Context,
    adjustment: &Adjustment,
    postings: Option<Vec<Posting>>,
) -> Result<Posted, ActionError> {
    let account = account_named(conn, &adjustment.account)?;
    let reason = find_reason(conn, &adjustment.reason_code)?;
    let now = context.now();
    let source = format!("adjustment:{}:{}", reason.code, adjustment.reference);
    let mut entry = Entry::against(account.id, EntryKind::Adjustment, source, adjustment.amount, adjustment.effective_on, &reason.gl_code);
    entry.postings = postings.unwrap_or(entry.postings);
    let entry = entry.balanced()?;
    let after = ledger::position(conn, account.id)?.after(adjustment.amount)?;
    ledger::append(conn, &[(entry, after)], now)?;
    let row = NewAdjustment {
        account_id: account.id,
        reason_code: reason.code.clone(),
        amount_cents: adjustment.amount.cents(),
        effective_on: adjustment.effective_on,
        reference: adjustment.reference.clone(),
        note: adjustment.note.clone(),
        entered_by: context.actor.clone(),
        account_seq: after.seq,
    };
    ledger::insert_adjustment(conn, &row)?;
    let detail = format!("{} {} {}", adjustment.amount, reason.code, adjustment.reference);
    operations::audit(conn, now, &context.actor, "adjustment.give", &account.number, &detail)?;
    notices::queue(conn, context, adjustment.given(account.id, &reason.name, after))?;
    Ok(Posted { account_seq: after.seq, balance_after_cents: after.balance.cents(), unchanged: false })
}

impl Adjustment {
    /// The notice of it, with the balance that it left. The clerk's own note stays inside.
    fn given(&self, account: AccountId, reason: &str, after: Position) -> NewNotice {
        NewNotice {
            key: format!("adjustment:{account}:{}", after.seq),
            to: Addressee::Account(account),
            happened_on: self.effective_on,
            facts: Facts::AdjustmentGiven(AdjustmentGiven {
                amount_cents: self.amount.cents(),
                effective_on: self.effective_on,
                reason: reason.to_owned(),
                reference: self.reference.clone(),
                balance_cents: after.balance.cents(),
            }),
        }
    }
}

fn find_reason(conn: &mut DbConnection, code: &str) -> Result<ledger::ReasonRow, ActionError> {
    if let Some(reason) = ledger::reason(conn, code)? {
        return Ok(reason);
    }
    let codes: Vec<String> = ledger::reasons(conn)?.into_iter().map(|reason| reason.code).filter(|code| is_given_by_hand(code)).collect();
    Err(ActionError::Refused(format!("reason: there is no reason code '{code}': expected one of {}", codes.join(", "))))
}

fn fits_reason(amount: Money, reason: &ledger::ReasonRow) -> Result<(), ActionError> {
    let zero = Money::default();
    let wrong = match reason.direction.as_str() {
        "credit" => amount >= zero,
        "debit" => amount <= zero,
        _ => amount == zero,
    };
    if !wrong {
        return Ok(());
    }
    let expected = match reason.direction.as_str() {
        "credit" => "a negative amount, a credit to the customer",
        "debit" => "a positive amount, a charge to the customer",
        _ => "an amount other than 0",
    };
    Err(ActionError::Refused(format!("amount: {amount} does not fit the reason '{}': expected {expected}", reason.code)))
}
