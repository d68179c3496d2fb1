//! What a bank sends: files are imported whole or not at all, each movement once, and matched to what it concerns.
//!
//! [`import`] takes a file in: money that surely fits an account is posted, returns reverse what they returned, money that a
//! provider sends on settles that provider's payout, the rest waits for a clerk. [`decide`] is what a clerk does with it.
//! [`keep`] and [`doubles`] tell what is new from what was told before, [`reread`] a file that another mapping reads otherwise.
//! [`returns`] finds what a return took back, [`payouts`] which movement brought a provider's payout or carried out a refund,
//! [`matching`] brings movements and accounts before the rule ([`crate::domain::matching`]), [`mappings`] keeps how banks lay
//! out their CSV files, [`folder`] takes in what comes into a folder, [`credits`] gives a provider's money that fits no account to one, [`view`] is what people look at.

pub mod credits;
pub mod decide;
mod doubles;
pub mod folder;
pub mod import;
mod keep;
pub mod mappings;
mod matching;
mod payouts;
mod plan;
mod reread;
mod returns;
pub mod view;

use chrono::NaiveDate;
use data_encoding::BASE32_NOPAD;
use sha2::{Digest, Sha256};

use super::ActionError;
use super::payments::{BANK_PROVIDER, NewPayment, Origin};
use crate::db::bank::{EntryRow, NewWaiting};
use crate::domain::ids::AccountId;
use crate::domain::ledger::Tender;
use crate::domain::money::Money;

pub use payouts::{SettledPayouts, settle_payouts};

/// The kind of a work item about money that came in and waits.
pub const CREDIT_WAITS: &str = "unapplied_credit";
/// The kind of a work item about money that was taken back, or went out, and waits.
pub const RETURN_WAITS: &str = "bank_return";
/// The kind of a work item about a statement that replaces an earlier one.
pub const CORRECTED: &str = "bank_correction";

/// What customers read as the reference of a payment by bank: the day, and enough of a hash of what the bank knows the movement
/// by. The bank's own key is long and full of signs; this is as unique, and the same however often the file is imported.
fn payment_reference(entry: &EntryRow) -> String {
    let mut hash = Sha256::new();
    hash.update(entry.bank_account.as_bytes());
    hash.update([0]);
    hash.update(entry.entry_key.as_bytes());
    let letters = BASE32_NOPAD.encode(&hash.finalize());
    format!("B{}-{}", entry.booked_on.format("%y%m%d"), letters.get(..10).unwrap_or(&letters))
}

/// The day from which the money counts, which is never in the future.
fn effective_on(entry: &EntryRow, today: NaiveDate) -> NaiveDate {
    entry.value_on.filter(|on| *on <= today).unwrap_or(entry.booked_on).min(today)
}

/// The payment that a movement, or a part of it, is.
fn payment_of(entry: &EntryRow, account: AccountId, amount: Money, today: NaiveDate) -> NewPayment {
    NewPayment {
        account_id: account,
        amount,
        effective_on: effective_on(entry, today),
        tender: Tender::Transfer,
        provider: BANK_PROVIDER.to_owned(),
        reference: payment_reference(entry),
    }
}

fn origin_of(entry: &EntryRow, part: i32) -> Origin<'_> {
    Origin { merchant: &entry.bank_account, provider_payment_id: None, bank_entry_id: Some(entry.id), part }
}

/// The work item about a movement that waits.
fn waiting_of(entry: &EntryRow) -> NewWaiting {
    let amount = Money::from_cents(entry.amount_cents);
    let reference = entry.reference.lines().next().unwrap_or_default().to_owned();
    let (kind, what) = match entry.kind.as_str() {
        "credit" => (CREDIT_WAITS, format!("{amount} came by bank")),
        "debit" => (RETURN_WAITS, format!("{amount} went out by bank")),
        _ => (RETURN_WAITS, format!("{amount} was returned by bank")),
    };
    let under = if reference.is_empty() { String::new() } else { format!(" under '{reference}'") };
    NewWaiting {
        entry: entry.id,
        kind,
        amount_cents: entry.amount_cents,
        received_on: entry.booked_on,
        reference: reference.clone(),
        payer: entry.party_name.clone(),
        reason: format!("{what} on {}{under}: {}", entry.booked_on, entry.why),
    }
}

/// Whether the ledger keeps money of this movement's currency.
fn check_currency(entry: &EntryRow, ledger: &str) -> Result<(), ActionError> {
    match entry.currency.as_deref().filter(|currency| *currency != ledger) {
        Some(other) => Err(ActionError::Refused(format!("the movement is in {other}, the ledger in {ledger}: it cannot be posted"))),
        None => Ok(()),
    }
}
