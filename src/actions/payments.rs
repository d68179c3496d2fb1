//! Payments: money received is posted, money that went back is reversed. One ledger entry each, in one transaction
//! with the payment's own row.

use std::collections::BTreeMap;

use chrono::{Datelike, NaiveDate, NaiveDateTime};

use super::{ActionError, Context, account_named, notices};
use crate::db::payments::{self as rows, PaymentRow};
use crate::db::{DbConnection, customers, ledger, notices as told, operations, overcharges};
use crate::domain::ids::{AccountId, BankEntryId, ProviderPaymentId};
use crate::domain::ledger::{Entry, EntryKind, LedgerError, Position, Tender, check_amount};
use crate::domain::money::Money;
use crate::domain::notices::{Addressee, Facts, NewNotice, PaymentCorrected, PaymentReceived, PaymentReturned};
use crate::domain::quantity::counted;

/// The provider of payments that come in files made by hand.
pub const FILE_PROVIDER: &str = "file";
/// The provider of payments that a clerk takes.
pub const COUNTER_PROVIDER: &str = "counter";
/// The provider of payments that a bank's statements tell of; the merchant is the utility's account with the bank.
pub const BANK_PROVIDER: &str = "bank";
/// So many notices are queued at once.
const NOTICES_AT_ONCE: usize = 1_000;
/// No date of the books is earlier: one that is was mistyped.
pub(super) const EARLIEST_YEAR: i32 = 1900;
/// The utility's own identity where a provider knows only one.
pub const MERCHANT: &str = "utility";

/// A payment to be posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPayment {
    /// Whose account.
    pub account_id: AccountId,
    /// How much, above zero.
    pub amount: Money,
    /// Value date.
    pub effective_on: NaiveDate,
    /// Form of money.
    pub tender: Tender,
    /// Where the reference is unique.
    pub provider: String,
    /// The reference.
    pub reference: String,
}

/// Where a payment came from, when it was not by hand or by a file of payments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin<'a> {
    /// Our identity where it came from.
    pub(super) merchant: &'a str,
    /// The provider's payment that it is a part of.
    pub(super) provider_payment_id: Option<ProviderPaymentId>,
    /// The bank's movement that brought it.
    pub(super) bank_entry_id: Option<BankEntryId>,
    /// Which part of a payment of several accounts, from 1.
    pub(super) part: i32,
}

impl Default for Origin<'_> {
    fn default() -> Self {
        Self { merchant: MERCHANT, provider_payment_id: None, bank_entry_id: None, part: 1 }
    }
}

/// What posting a payment did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Posted {
    /// Its position in the account's ledger.
    pub account_seq: i64,
    /// The balance after it, in cents.
    pub balance_after_cents: i64,
    /// Whether it was there already.
    pub unchanged: bool,
}

impl Posted {
    /// It was there: nothing changed, and the balance is what it is now.
    pub(super) fn already(account_seq: i64, now: Position) -> Self {
        Self { account_seq, balance_after_cents: now.balance.cents(), unchanged: true }
    }
}

impl From<LedgerError> for ActionError {
    fn from(error: LedgerError) -> Self {
        Self::Refused(error.to_string())
    }
}

/// Posts one payment by account number. The reference is its idempotency key: the same payment again changes nothing.
///
/// # Errors
/// [`ActionError::NotFound`] for an unknown account, [`ActionError::Refused`] for an amount that is not above zero, a
/// value date in the future, or a reference that stands for another payment or for one that went back.
pub fn post_payment(context: &Context, account: &str, payment: &NewPayment) -> Result<Posted, ActionError> {
    if payment.amount <= Money::default() {
        return Err(ActionError::Refused(format!("amount: {} is not a payment: expected more than 0", payment.amount)));
    }
    check_amount(payment.amount).map_err(ActionError::Refused)?;
    check_reference(&payment.reference)?;
    check_not_future(context, payment.effective_on)?;
    context.database.write(|conn| {
        let account = account_named(conn, account)?;
        let payment = NewPayment { account_id: account.id, ..payment.clone() };
        ledger::lock_accounts(conn, &[account.id])?;
        // Ledger time is taken under the lock, so that it never contradicts the ledger's order.
        let now = context.now();
        let before = ledger::position(conn, account.id)?;
        if let Some(row) = rows::by_references(conn, &payment.provider, MERCHANT, &[&payment.reference])?.first() {
            // Whoever takes money under it now believes that it counts.
            if let Some(on) = row.returned_on.filter(|_| row.restored_seq.is_none()) {
                return Err(ActionError::Refused(format!(
                    "reference: '{}' is of a payment that went back on {on}: a new payment needs a reference of its own",
                    payment.reference
                )));
            }
            return if payment.is(row) { Ok(Posted::already(row.account_seq, before)) } else { Err(ActionError::Refused(payment.clash_with(row))) };
        }
        let after = post_within(context, conn, &payment, Origin::default(), now)?;
        let detail = format!("{} {} {}", payment.amount, payment.tender, payment.reference);
        operations::audit(conn, now, &context.actor, "payment.post", &account.number, &detail)?;
        Ok(Posted { account_seq: after.seq, balance_after_cents: after.balance.cents(), unchanged: false })
    })
}

/// Posts a payment within a transaction that holds its account's lock and knows that its reference is free.
pub(super) fn post_within(
    context: &Context,
    conn: &mut DbConnection,
    payment: &NewPayment,
    origin: Origin<'_>,
    now: NaiveDateTime,
) -> Result<Position, ActionError> {
    let after = post_quietly_within(conn, payment, origin, now)?;
    notices::queue(conn, context, payment.received(after))?;
    Ok(after)
}

/// The same without a notice: for what is told otherwise.
pub(super) fn post_quietly_within(
    conn: &mut DbConnection,
    payment: &NewPayment,
    origin: Origin<'_>,
    now: NaiveDateTime,
) -> Result<Position, ActionError> {
    let (entry, after) = entry_of(payment, ledger::position(conn, payment.account_id)?)?;
    ledger::append(conn, &[(entry, after)], now)?;
    rows::insert(conn, &[row_of(payment, origin, after)])?;
    // A bill of its value date or later that stands did not deduct it.
    overcharges::queue_payments(conn, &[(payment.account_id, payment.effective_on)], now)?;
    Ok(after)
}

/// A value date lies in the past or is today. It is a date that both databases can keep and order.
pub(super) fn check_not_future(context: &Context, on: NaiveDate) -> Result<(), ActionError> {
    let today = context.today();
    if on.year() < EARLIEST_YEAR {
        return Err(ActionError::Refused(format!("effective_on: {on} is too long ago: expected a day from {EARLIEST_YEAR} on")));
    }
    if on > today { Err(ActionError::Refused(format!("effective_on: {on} is in the future: expected a day up to {today}"))) } else { Ok(()) }
}

/// A reference typed by hand is as clean as one from a file.
pub(super) fn check_reference(reference: &str) -> Result<(), ActionError> {
    super::import::parse_code("reference", reference).map(|_| ()).map_err(ActionError::Refused)
}

impl NewPayment {
    /// Whether a stored payment is this one.
    pub(super) fn is(&self, row: &PaymentRow) -> bool {
        row.account_id == self.account_id
            && row.amount_cents == self.amount.cents()
            && row.effective_on == self.effective_on
            && row.tender == self.tender.as_str()
    }

    /// The notice of it, with the balance that it left.
    fn received(&self, after: Position) -> NewNotice {
        NewNotice {
            key: format!("payment:{}:{}", self.account_id, after.seq),
            to: Addressee::Account(self.account_id),
            happened_on: self.effective_on,
            facts: Facts::PaymentReceived(PaymentReceived {
                amount_cents: self.amount.cents(),
                effective_on: self.effective_on,
                reference: self.reference.clone(),
                balance_cents: after.balance.cents(),
            }),
        }
    }

    /// Why this payment cannot have a reference that a stored one has.
    pub(super) fn clash_with(&self, row: &PaymentRow) -> String {
        let amount = Money::from_cents(row.amount_cents);
        format!(
            "reference: '{}' stands for another payment already, {amount} of {} ({}); a payment is never edited: return it and post a new one",
            self.reference, row.effective_on, row.tender
        )
    }
}

/// Posts many payments that are known to be new, as one transaction.
///
/// # Errors
/// Those of the database.
pub fn post_many(context: &Context, payments: &[NewPayment]) -> Result<(), ActionError> {
    let payments: Vec<&NewPayment> = payments.iter().collect();
    context.database.write(|conn| {
        let mut accounts: Vec<AccountId> = payments.iter().map(|payment| payment.account_id).collect();
        accounts.sort_unstable();
        accounts.dedup();
        ledger::lock_accounts(conn, &accounts)?;
        post_new(context, conn, &payments, context.now())
    })
}

/// Posts payments within a transaction that holds their accounts' locks.
pub(super) fn post_new(context: &Context, conn: &mut DbConnection, payments: &[&NewPayment], now: NaiveDateTime) -> Result<(), ActionError> {
    if payments.is_empty() {
        return Ok(());
    }
    let payments: Vec<(&NewPayment, Origin<'_>)> = payments.iter().map(|payment| (*payment, Origin::default())).collect();
    post_all_within(context, conn, &payments, now)?;
    operations::audit(conn, now, &context.actor, "payment.import", "file", &counted(i64::try_from(payments.len()).unwrap_or(i64::MAX), "payment"))?;
    Ok(())
}

/// Posts many payments within a transaction that holds their accounts' locks and knows that their references are free.
pub(super) fn post_all_within(
    context: &Context,
    conn: &mut DbConnection,
    payments: &[(&NewPayment, Origin<'_>)],
    now: NaiveDateTime,
) -> Result<(), ActionError> {
    let mut by_account: BTreeMap<AccountId, Vec<(&NewPayment, Origin<'_>)>> = BTreeMap::new();
    for (payment, origin) in payments {
        by_account.entry(payment.account_id).or_default().push((payment, *origin));
    }
    let mut entries = Vec::with_capacity(payments.len());
    let mut new_rows = Vec::with_capacity(payments.len());
    let mut news = Vec::with_capacity(payments.len());
    for (account, payments) in by_account {
        let mut position = ledger::position(conn, account)?;
        for (payment, origin) in payments {
            let (entry, after) = entry_of(payment, position)?;
            position = after;
            entries.push((entry, after));
            new_rows.push(row_of(payment, origin, after));
            news.push(payment.received(after));
        }
    }
    ledger::append(conn, &entries, now)?;
    rows::insert(conn, &new_rows)?;
    let dated: Vec<(AccountId, NaiveDate)> = payments.iter().map(|(payment, _)| (payment.account_id, payment.effective_on)).collect();
    overcharges::queue_payments(conn, &dated, now)?;
    // So many addresses are looked up at once.
    for news in news.chunks(NOTICES_AT_ONCE) {
        notices::queue_many(conn, context, news)?;
    }
    Ok(())
}

fn entry_of(payment: &NewPayment, before: Position) -> Result<(Entry, Position), LedgerError> {
    let source = format!("{}:{}", payment.provider, payment.reference);
    let clearing = payment.tender.clearing_account();
    let entry = Entry::against(payment.account_id, EntryKind::Payment, source, -payment.amount, payment.effective_on, clearing).balanced()?;
    let after = before.after(entry.amount)?;
    Ok((entry, after))
}

fn row_of(payment: &NewPayment, origin: Origin<'_>, after: Position) -> rows::NewPayment {
    rows::NewPayment {
        account_id: payment.account_id,
        amount_cents: payment.amount.cents(),
        effective_on: payment.effective_on,
        tender: payment.tender.as_str().to_owned(),
        provider: payment.provider.clone(),
        merchant: origin.merchant.to_owned(),
        provider_ref: Some(payment.reference.clone()),
        account_seq: after.seq,
        provider_payment_id: origin.provider_payment_id,
        bank_entry_id: origin.bank_entry_id,
        part: origin.part,
    }
}

/// Reverses a payment that was returned (a bounced cheque, a recalled transfer). Returning it again changes nothing.
///
/// # Errors
/// [`ActionError::NotFound`] for an unknown reference; [`ActionError::Refused`] for a payment provider's payment, of which the
/// provider itself tells whether it went back.
pub fn return_payment(context: &Context, provider: &str, reference: &str, on: NaiveDate, reason: &str) -> Result<Posted, ActionError> {
    check_not_future(context, on)?;
    if context.providers.by_name(provider).is_some() {
        return Err(ActionError::Refused(theirs_to_tell(provider)));
    }
    context.database.write(|conn| {
        let find = |conn: &mut DbConnection| -> Result<PaymentRow, ActionError> {
            let found = rows::by_references(conn, provider, MERCHANT, &[reference])?.into_iter().next();
            found.ok_or_else(|| ActionError::not_found("payment", format!("{provider}:{reference}")))
        };
        let account = find(conn)?.account_id;
        ledger::lock_accounts(conn, &[account])?;
        let now = context.now();
        let payment = find(conn)?;
        let before = ledger::position(conn, account)?;
        if payment.provider_payment_id.is_some() {
            return Err(ActionError::Refused(theirs_to_tell(provider)));
        }
        if let Some(seq) = payment.returned_seq {
            return Ok(Posted::already(seq, before));
        }
        if on < payment.effective_on {
            return Err(ActionError::Refused(format!("the return is dated {on}, before the payment itself, {}", payment.effective_on)));
        }
        let after = return_within(context, conn, &payment, on, reason, now)?;
        let number = customers::account_number(conn, account)?;
        let amount = Money::from_cents(payment.amount_cents);
        operations::audit(conn, now, &context.actor, "payment.return", &number, &format!("{amount} {provider}:{reference}: {reason}"))?;
        Ok(Posted { account_seq: after.seq, balance_after_cents: after.balance.cents(), unchanged: false })
    })
}

/// What is entered here would be taken back by the next event.
fn theirs_to_tell(provider: &str) -> String {
    format!("the payment came through {provider}, which tells us itself when money goes back: refund it there, or wait for its word")
}

/// Reverses a payment within a transaction that holds its account's lock and knows that it stands.
pub(super) fn return_within(
    context: &Context,
    conn: &mut DbConnection,
    payment: &PaymentRow,
    on: NaiveDate,
    reason: &str,
    now: NaiveDateTime,
) -> Result<Position, ActionError> {
    let amount = Money::from_cents(payment.amount_cents);
    let after = reverse(conn, payment, return_source(payment.account_seq), amount, on, now)?;
    rows::mark_returned(conn, payment.id, after.seq, on, reason)?;
    let reference = payment.provider_ref.clone().unwrap_or_default();
    notices::queue(conn, context, returned_notice(payment, after, on, &reference, reason))?;
    Ok(after)
}

/// Takes a return back, on the return's own date: the payment stands after all. Whoever was asked to pay again is told.
pub(super) fn restore_within(context: &Context, conn: &mut DbConnection, payment: &PaymentRow, now: NaiveDateTime) -> Result<Position, ActionError> {
    let (Some(returned), Some(on)) = (payment.returned_seq, payment.returned_on) else {
        return Err(ActionError::Refused(format!("payment {} was not returned", payment.id)));
    };
    let after = reverse(conn, payment, correction_source(returned), -Money::from_cents(payment.amount_cents), on, now)?;
    rows::mark_restored(conn, payment.id, after.seq)?;
    // The fee of the return has lost its reason, whether a bill followed or not.
    overcharges::queue(conn, &[payment.account_id], "payment stands again", now)?;
    tell_stands_again(context, conn, payment, after)?;
    Ok(after)
}

/// Tells that a payment which went back counts again, once for each return that was told. Of a return so old that nobody heard of
/// it nobody hears this either.
pub(super) fn tell_stands_again(context: &Context, conn: &mut DbConnection, payment: &PaymentRow, after: Position) -> Result<(), ActionError> {
    let account = payment.account_id;
    let Some(returned) = payment.returned_seq else { return Ok(()) };
    if !told::is_told(conn, &return_key(account, returned))? {
        return Ok(());
    }
    let notice = NewNotice {
        key: format!("restored:{account}:{returned}"),
        to: Addressee::Account(account),
        // The news is of today, however long the bank took to decide.
        happened_on: context.today(),
        facts: Facts::PaymentCorrected(PaymentCorrected {
            was_cents: 0,
            is_cents: payment.amount_cents,
            stands_again: true,
            effective_on: payment.effective_on,
            reference: payment.provider_ref.clone().unwrap_or_default(),
            balance_cents: after.balance.cents(),
        }),
    };
    notices::queue(conn, context, notice)
}

fn return_key(account: AccountId, seq: i64) -> String {
    format!("return:{account}:{seq}")
}

/// Takes everything of a payment out of the ledger, on its own dates: it was never so. Its reference is free again.
pub(super) fn supersede_within(conn: &mut DbConnection, payment: &PaymentRow, now: NaiveDateTime) -> Result<Position, ActionError> {
    let amount = Money::from_cents(payment.amount_cents);
    let mut after = reverse(conn, payment, correction_source(payment.account_seq), amount, payment.effective_on, now)?;
    if let (Some(returned), Some(on), None) = (payment.returned_seq, payment.returned_on, payment.restored_seq) {
        after = reverse(conn, payment, correction_source(returned), -amount, on, now)?;
    }
    rows::mark_superseded(conn, payment.id, after.seq)?;
    Ok(after)
}

fn reverse(
    conn: &mut DbConnection,
    payment: &PaymentRow,
    source: String,
    amount: Money,
    on: NaiveDate,
    now: NaiveDateTime,
) -> Result<Position, ActionError> {
    let tender: Tender = payment.tender.parse().map_err(ActionError::Refused)?;
    let account = payment.account_id;
    let entry = Entry::against(account, EntryKind::PaymentReversal, source, amount, on, tender.clearing_account()).balanced()?;
    let after = ledger::position(conn, account)?.after(amount)?;
    ledger::append(conn, &[(entry, after)], now)?;
    overcharges::queue_payments(conn, &[(account, payment.effective_on)], now)?;
    Ok(after)
}

fn returned_notice(payment: &PaymentRow, after: Position, on: NaiveDate, reference: &str, reason: &str) -> NewNotice {
    NewNotice {
        key: return_key(payment.account_id, after.seq),
        to: Addressee::Account(payment.account_id),
        happened_on: on,
        facts: Facts::PaymentReturned(PaymentReturned {
            amount_cents: payment.amount_cents,
            is_part: false,
            paid_on: payment.effective_on,
            returned_on: on,
            reference: reference.to_owned(),
            reason: reason.to_owned(),
            balance_cents: after.balance.cents(),
        }),
    }
}

/// The source of a reversal names the position of the payment that it takes back.
fn return_source(payment_seq: i64) -> String {
    format!("return:{payment_seq}")
}

/// The source of a correction names the position of what it takes out of the ledger: a payment, or a return.
fn correction_source(seq: i64) -> String {
    format!("correction:{seq}")
}

/// The position of what a correction's source names.
#[must_use]
pub fn corrected_seq(source: &str) -> Option<i64> {
    source.strip_prefix("correction:")?.parse().ok()
}

/// The position of the payment that a reversal's source names.
#[must_use]
pub fn returned_payment_seq(source: &str) -> Option<i64> {
    source.strip_prefix("return:")?.parse().ok()
}
