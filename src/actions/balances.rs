//! What becomes of the balance of somebody who has gone: paid out, or carried to another account.

use serde::{Deserialize, Serialize};

use super::approvals::{self, Checked, Outcome, Wanted};
use super::payments::{Posted, check_reference};
use super::refundable::refundable_within;
use super::refunds::pay_out_within;
use super::{ActionError, Context, account_named};
use crate::db::customers::AccountRow;
use crate::db::ledger::{NewAdjustment, ReasonRow};
use crate::db::{DbConnection, ledger, operations};
use crate::domain::ledger::{Entry, EntryKind};
use crate::domain::money::Money;
use crate::domain::payouts::Payee;
use crate::domain::policy::Policy;

/// The reason code of a credit balance that is paid out.
const REFUND: &str = "refund";
/// The reason code of a balance that goes to another account.
const TRANSFER: &str = "transfer";

/// A credit balance to be paid to the customer by bank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayOut {
    /// Account number.
    pub account: String,
    /// How much; none is the whole credit, as far as it is safe to give back.
    pub amount: Option<Money>,
    /// The idempotency key: the same reference again changes nothing.
    pub reference: String,
    /// Why, in words.
    pub note: String,
    /// Who is paid, by file or cheque; without it a person makes the transfer.
    pub payee: Option<Payee>,
}

/// A whole balance to be carried to another account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// The number of the account that it is taken from.
    pub from: String,
    /// The number of the account that it goes to.
    pub to: String,
    /// The idempotency key.
    pub reference: String,
    /// Why, in words.
    pub note: String,
    /// The balance that was shown; none carries whatever it is.
    pub shown: Option<Money>,
}

impl Transfer {
    /// A balance to be carried, as it was shown.
    #[must_use]
    pub fn new(from: &str, to: &str, reference: &str, note: &str, shown: Option<Money>) -> Self {
        Self { from: from.to_owned(), to: to.to_owned(), reference: reference.to_owned(), note: note.to_owned(), shown }
    }

    /// The reference of the entry that takes it out: the request for it has the same, so that the schema holds both together.
    pub(super) fn out_reference(&self) -> String {
        format!("{}/out", self.reference)
    }

    fn in_reference(&self) -> String {
        format!("{}/in", self.reference)
    }
}

/// Takes a credit balance out of an account, to be paid to the customer by a person's transfer, when it needs no second person.
/// Without an amount it is the whole credit. The reference is its idempotency key.
///
/// # Errors
/// [`ActionError::NotFound`] for an unknown account, [`ActionError::Refused`] when the credit is smaller, can still be taken back
/// by the payer's bank, needs a second person, or the reference stands for something else.
pub fn refund_credit(context: &Context, number: &str, amount: Option<Money>, reference: &str, note: &str) -> Result<Posted, ActionError> {
    let wish = PayOut { account: number.to_owned(), amount, reference: reference.to_owned(), note: note.to_owned(), payee: None };
    approvals::give(context, &Wanted::PayOut(wish))
}

/// Pays a credit balance out, or asks a second person for it where the policy wants one.
///
/// # Errors
/// As [`refund_credit`].
pub fn ask_pay_out(context: &Context, wish: &PayOut) -> Result<Outcome, ActionError> {
    approvals::ask(context, &Wanted::PayOut(wish.clone()))
}

/// Checks a payout as things stand, within a transaction, and takes its account's lock.
pub(super) fn check_within(conn: &mut DbConnection, context: &Context, policy: &Policy, wish: &PayOut) -> Result<Checked, ActionError> {
    check_words(&wish.reference, &wish.note)?;
    if let Some(payee) = &wish.payee {
        payee.check().map_err(ActionError::Refused)?;
    }
    let account = account_named(conn, &wish.account)?;
    ledger::lock_accounts(conn, &[account.id])?;
    if let Some(posted) = already(conn, &account, REFUND, wish.amount, &wish.reference)? {
        return Ok(Checked::Done(posted));
    }
    let credit = -ledger::position(conn, account.id)?.balance;
    let amount = wish.amount.unwrap_or(credit);
    if amount <= Money::default() || amount > credit {
        let credit = credit.max(Money::default());
        return Err(ActionError::Refused(format!(
            "amount: account {} has {credit} to its good: expected more than 0 and no more than that",
            wish.account
        )));
    }
    if let Some(payee) = &wish.payee {
        payee.fits_file(policy.refunds.payout_format, amount).map_err(ActionError::Refused)?;
    }
    let safe = refundable_within(conn, context, policy, account.id, None)?;
    if amount > safe.now() {
        return Err(ActionError::Refused(format!("amount: {}", safe.why_not(amount))));
    }
    if amount < policy.refunds.smallest_payout {
        return Err(ActionError::Refused(format!(
            "amount: {amount} is less than {}: it stays in the account for the next bill ({})",
            policy.refunds.smallest_payout, policy.refunds.citation
        )));
    }
    Ok(Checked::Ready { account: account.id, movement: amount, reason: "Credit balance paid out".to_owned() })
}

/// Takes a checked payout out of its account, within a transaction that holds the lock.
pub(super) fn pay_out_checked(conn: &mut DbConnection, context: &Context, wish: &PayOut, amount: Money) -> Result<Posted, ActionError> {
    let account = account_named(conn, &wish.account)?;
    let posted = post(context, conn, &account, REFUND, amount, &wish.reference, &wish.note)?;
    pay_out_within(context, conn, account.id, posted, (amount, &wish.reference, &wish.note), wish.payee.as_ref())?;
    if posted.balance_after_cents == 0 {
        operations::resolve_about_account(conn, account.id, "final_credit", &context.actor, &wish.note, context.now())?;
    }
    Ok(posted)
}

/// Carries the whole balance of an account, owed or to its good, to another one, when it needs no second person. The reference
/// is its idempotency key.
///
/// # Errors
/// [`ActionError::NotFound`] for an unknown account, [`ActionError::Refused`] when there is nothing to carry, the accounts are
/// the same, or the reference stands for something else.
pub fn transfer_balance(context: &Context, from: &str, to: &str, reference: &str, note: &str) -> Result<(Posted, Posted), ActionError> {
    carry(context, Transfer::new(from, to, reference, note, None))
}

/// Carries a balance, or asks a second person for it where the policy wants one.
///
/// # Errors
/// Those of [`transfer_balance`], and [`ActionError::Refused`] when the balance is not what was shown.
pub fn ask_transfer(context: &Context, wish: &Transfer) -> Result<Outcome, ActionError> {
    approvals::ask(context, &Wanted::Transfer(wish.clone()))
}

fn carry(context: &Context, wish: Transfer) -> Result<(Posted, Posted), ActionError> {
    let taken = approvals::give(context, &Wanted::Transfer(wish.clone()))?;
    let given = carried_to(context, &wish)?;
    Ok((taken, Posted { unchanged: taken.unchanged, ..given }))
}

/// What a transfer that is done came to on the account that it went to.
///
/// # Errors
/// [`ActionError::NotFound`] when it is not done.
pub fn carried_to(context: &Context, wish: &Transfer) -> Result<Posted, ActionError> {
    let into = wish.in_reference();
    let given = context.database.read(|conn| {
        let target = account_named(conn, &wish.to)?;
        already(conn, &target, TRANSFER, None, &into)
    })?;
    given.ok_or_else(|| ActionError::not_found("transfer", &into))
}

/// Checks a transfer as things stand, within a transaction, and takes both accounts' locks. Money that a payer's bank can still
/// take back stays where it is known.
pub(super) fn check_transfer(conn: &mut DbConnection, context: &Context, policy: &Policy, wish: &Transfer) -> Result<Checked, ActionError> {
    let (from, to) = (&wish.from, &wish.to);
    check_words(&wish.reference, &wish.note)?;
    if from == to {
        return Err(ActionError::Refused(format!("to: it is account {from} itself: expected another one")));
    }
    let (source, target) = (account_named(conn, from)?, account_named(conn, to)?);
    ledger::lock_accounts(conn, &[source.id.min(target.id), source.id.max(target.id)])?;
    let (out, into) = (wish.out_reference(), wish.in_reference());
    if let (Some(taken), Some(_)) = (already(conn, &source, TRANSFER, None, &out)?, already(conn, &target, TRANSFER, None, &into)?) {
        return Ok(Checked::Done(taken));
    }
    let balance = ledger::position(conn, source.id)?.balance;
    if let Some(shown) = wish.shown.filter(|shown| *shown != balance) {
        return Err(ActionError::Refused(format!("the balance of account {from} was {shown} when it was shown and is {balance} now: look again")));
    }
    if balance == Money::default() {
        return Err(ActionError::Refused(format!("from: account {from} has a balance of 0: there is nothing to carry")));
    }
    if balance.is_negative() {
        let safe = refundable_within(conn, context, policy, source.id, None)?;
        if -balance > safe.now() {
            return Err(ActionError::Refused(format!("from: {}", safe.why_not(-balance))));
        }
    }
    Ok(Checked::Ready { account: source.id, movement: -balance, reason: "Balance carried to another account".to_owned() })
}

/// Carries a checked balance, within a transaction that holds both locks.
pub(super) fn transfer_checked(conn: &mut DbConnection, context: &Context, wish: &Transfer, movement: Money) -> Result<Posted, ActionError> {
    let (source, target) = (account_named(conn, &wish.from)?, account_named(conn, &wish.to)?);
    let taken = post(context, conn, &source, TRANSFER, movement, &wish.out_reference(), &wish.note)?;
    post(context, conn, &target, TRANSFER, -movement, &wish.in_reference(), &wish.note)?;
    operations::resolve_about_account(conn, source.id, "final_credit", &context.actor, &wish.note, context.now())?;
    Ok(taken)
}

pub(super) fn check_words(reference: &str, note: &str) -> Result<(), ActionError> {
    // What is added to a transfer's reference must fit, too.
    check_reference(&format!("{reference}/out"))?;
    if note.trim().is_empty() { Err(ActionError::Refused("note: it is empty: expected why, in words".to_owned())) } else { Ok(()) }
}

pub(super) fn already(
    conn: &mut DbConnection,
    account: &AccountRow,
    code: &str,
    amount: Option<Money>,
    reference: &str,
) -> Result<Option<Posted>, ActionError> {
    let Some((other, other_code, cents, seq)) = ledger::adjustment_by_reference(conn, reference)? else { return Ok(None) };
    if other == account.id && other_code == code && amount.is_none_or(|amount| amount.cents() == cents) {
        return Ok(Some(Posted::already(seq, ledger::position(conn, account.id)?)));
    }
    Err(ActionError::Refused(format!("reference: '{reference}' stands for another adjustment already")))
}

/// Posts a balance's adjustment within a transaction that holds the account's lock.
pub(super) fn post(
    context: &Context,
    conn: &mut DbConnection,
    account: &AccountRow,
    code: &'static str,
    amount: Money,
    reference: &str,
    note: &str,
) -> Result<Posted, ActionError> {
    let reason: ReasonRow = ledger::reason(conn, code)?.ok_or_else(|| ActionError::not_found("reason", code))?;
    let (now, today) = (context.now(), context.today());
    let source = format!("adjustment:{code}:{reference}");
    let entry = Entry::against(account.id, EntryKind::Adjustment, source, amount, today, &reason.gl_code).balanced()?;
    let after = ledger::position(conn, account.id)?.after(amount)?;
    ledger::append(conn, &[(entry, after)], now)?;
    let row = NewAdjustment {
        account_id: account.id,
        reason_code: code.to_owned(),
        amount_cents: amount.cents(),
        effective_on: today,
        reference: reference.to_owned(),
        note: note.to_owned(),
        entered_by: context.actor.clone(),
        account_seq: after.seq,
    };
    ledger::insert_adjustment(conn, &row)?;
    operations::audit(conn, now, &context.actor, "adjustment.give", &account.number, &format!("{amount} {code} {reference}: {note}"))?;
    Ok(Posted { account_seq: after.seq, balance_after_cents: after.balance.cents(), unchanged: false })
}
