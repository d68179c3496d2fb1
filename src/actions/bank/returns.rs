//! What went back: which payment a return takes back, the fee for it, and returns that were refused.
//!
//! A payment that a provider collected is never reversed here. The provider's own event tells of its return, and it decides: the
//! bank's movement is then only settled, so that the same return is not posted twice. Should the event never come, the
//! reconciliation shows provider and ledger apart, and its backfill fetches it.

use chrono::{NaiveDate, NaiveDateTime};

use crate::actions::payments::{NewPayment, Origin, post_within, restore_within, return_within, supersede_within};
use crate::actions::tariffs::read_book;
use crate::actions::{ActionError, Context, notices};
use crate::db::bank::EntryRow;
use crate::db::collections::{insert_undo, undone_seq};
use crate::db::ledger::{self, NewAdjustment};
use crate::db::payments::PaymentRow;
use crate::db::{DbConnection, bank_match, customers, operations};
use crate::domain::billing::TariffBook;
use crate::domain::ids::AccountId;
use crate::domain::ledger::{Entry, EntryKind};
use crate::domain::money::Money;
use crate::domain::notices::{Addressee, AdjustmentGiven, Facts, NewNotice};

/// The reason code of the fee.
const FEE: &str = "returned-payment-fee";

/// What a return was found to take back.
#[derive(Debug)]
pub(super) enum Found {
    /// A payment, with all its parts.
    Payment(Vec<PaymentRow>),
    /// A provider's payment: the provider tells of it.
    Providers(Box<PaymentRow>),
    /// Nothing, and why a clerk must look.
    Nothing(String),
}

impl PaymentRow {
    /// Whether the money of it is in the account.
    pub(super) fn stands(&self) -> bool {
        self.superseded_seq.is_none() && (self.returned_seq.is_none() || self.restored_seq.is_some())
    }
}

/// Finds what a return takes back: the payment that carries the reference which the return names, of the same amount.
pub(super) fn find_returned(conn: &mut DbConnection, row: &EntryRow) -> Result<Found, ActionError> {
    let amount = row.amount_cents.abs();
    let references: Vec<&str> =
        row.original_ref.as_deref().into_iter().chain(row.reference.lines()).filter(|reference| !reference.is_empty()).collect();
    let mut why = if references.is_empty() { "it does not say what it returns" } else { "no payment has its reference and amount" }.to_owned();
    for reference in references {
        let groups = groups(conn, reference, amount)?;
        let (standing, gone): (Vec<_>, Vec<_>) = groups.into_iter().partition(|group| group.iter().all(PaymentRow::stands));
        if let Some(on) = gone.iter().flatten().find_map(|payment| payment.returned_on) {
            why = format!("what has its reference was returned already, on {on}");
        }
        let mut standing = standing.into_iter();
        match (standing.next(), standing.next()) {
            (Some(group), None) => {
                let providers = group.iter().find(|payment| payment.provider_payment_id.is_some()).cloned();
                return Ok(providers.map_or(Found::Payment(group), |payment| Found::Providers(Box::new(payment))));
            }
            (Some(_), Some(_)) => return Ok(Found::Nothing(format!("several payments have its reference '{reference}' and amount"))),
            (None, _) => {}
        }
    }
    Ok(Found::Nothing(why))
}

/// Payments that carry a reference and add up to an amount, parts of one together.
fn groups(conn: &mut DbConnection, reference: &str, amount_cents: i64) -> Result<Vec<Vec<PaymentRow>>, ActionError> {
    let mut groups: Vec<Vec<PaymentRow>> = Vec::new();
    for payment in bank_match::payments_by_reference(conn, reference)? {
        if !groups.iter().flatten().any(|known| known.id == payment.id) {
            groups.push(bank_match::parts_of(conn, &payment)?);
        }
    }
    for entry in bank_match::applied_with_reference(conn, amount_cents, "credit", reference)? {
        let exactly = entry.bank_ref.as_deref() == Some(reference) || entry.reference.lines().any(|line| line == reference);
        let payments = if exactly { bank_match::payments_of_entry(conn, entry.id)? } else { Vec::new() };
        if !payments.is_empty() && !groups.iter().flatten().any(|known| payments.iter().any(|payment| payment.id == known.id)) {
            groups.push(payments);
        }
    }
    groups.retain(|group| group.iter().map(|payment| i128::from(payment.amount_cents)).sum::<i128>() == i128::from(amount_cents));
    Ok(groups)
}

/// Finds the payment whose return was refused.
pub(super) fn find_refused(conn: &mut DbConnection, row: &EntryRow) -> Result<Option<Vec<PaymentRow>>, ActionError> {
    let returns = bank_match::returns_by_reference(conn, row.original_ref.as_deref(), row.return_ref.as_deref())?;
    for entry in returns.iter().filter(|entry| entry.amount_cents.abs() == row.amount_cents.abs()) {
        let Some(payment) = entry.returned_payment_id else { continue };
        let Some(payment) = bank_match::payment_by_id(conn, payment)? else { continue };
        let parts = bank_match::parts_of(conn, &payment)?;
        let parts = if parts.is_empty() { vec![payment] } else { parts };
        if parts.iter().all(|part| part.returned_seq.is_some() && part.restored_seq.is_none() && part.provider_payment_id.is_none()) {
            return Ok(Some(parts));
        }
    }
    Ok(None)
}

/// Takes a payment back, once, with the fee. The caller holds the locks of its accounts. A payment that was returned and given
/// back before is told anew: its row can be returned only once. Gives back the first of the payments that were returned.
pub(super) fn take_back(
    context: &Context,
    conn: &mut DbConnection,
    payments: &[PaymentRow],
    row: &EntryRow,
    fees: &mut Fees,
    now: NaiveDateTime,
) -> Result<PaymentRow, ActionError> {
    let mut charged: Vec<AccountId> = Vec::new();
    let mut first = None;
    for payment in payments {
        let payment = if payment.restored_seq.is_some() { told_anew(context, conn, payment, now)? } else { payment.clone() };
        let account = payment.account_id;
        let on = row.booked_on.min(context.today()).max(payment.effective_on);
        return_within(context, conn, &payment, on, &reason(row), now)?;
        let fee = if charged.contains(&account) { None } else { fees.of(context, conn, account, on)? };
        if let Some(amount) = fee {
            charged.push(account);
            let (reference, of) = (fee_reference(&payment), payment.provider_ref.as_deref().unwrap_or_default());
            let note = format!("payment {of} was returned");
            post_charge(context, conn, &Charge { account, amount, reference: &reference, note: &note, on }, now)?;
        }
        first.get_or_insert(payment);
    }
    first.ok_or_else(|| ActionError::not_found("payment", row.entry_key.clone()))
}

fn told_anew(context: &Context, conn: &mut DbConnection, payment: &PaymentRow, now: NaiveDateTime) -> Result<PaymentRow, ActionError> {
    supersede_within(conn, payment, now)?;
    let again = NewPayment {
        account_id: payment.account_id,
        amount: Money::from_cents(payment.amount_cents),
        effective_on: payment.effective_on,
        tender: payment.tender.parse().map_err(ActionError::Refused)?,
        provider: payment.provider.clone(),
        reference: payment.provider_ref.clone().unwrap_or_default(),
    };
    let origin = Origin {
        merchant: &payment.merchant,
        provider_payment_id: payment.provider_payment_id,
        bank_entry_id: payment.bank_entry_id,
        part: payment.part,
    };
    let after = post_within(context, conn, &again, origin, now)?;
    crate::db::payments::at(conn, payment.account_id, after.seq)?.ok_or_else(|| ActionError::not_found("payment", again.reference))
}

/// Gives payments back that were returned, with the fee that was taken for it. The caller holds the locks of their accounts.
pub(super) fn give_back(context: &Context, conn: &mut DbConnection, payments: &[PaymentRow], now: NaiveDateTime) -> Result<(), ActionError> {
    for payment in payments {
        restore_within(context, conn, payment, now)?;
        let reference = fee_reference(payment);
        let fee = ledger::adjustment_by_reference(conn, &reference)?;
        // What a clerk took back by hand is not given a second time.
        if let Some((account, _, cents, seq)) = fee
            && undone_seq(conn, account, seq)?.is_none()
        {
            let charge = Charge {
                account,
                amount: -Money::from_cents(cents),
                reference: &format!("{reference}/back"),
                note: "the return was refused or taken back",
                on: context.today(),
            };
            let given = post_charge(context, conn, &charge, now)?;
            insert_undo(conn, account, given, seq)?;
        }
    }
    Ok(())
}

/// Why, for people: the code and its words.
pub(super) fn reason(row: &EntryRow) -> String {
    let words = [row.return_code.as_deref(), row.return_reason.as_deref()];
    let words: Vec<&str> = words.into_iter().flatten().filter(|word| !word.is_empty()).collect();
    if words.is_empty() { "returned by the bank".to_owned() } else { words.join(" ") }
}

/// What tariffs say of returned payments: read once, and only when something is returned.
#[derive(Default)]
pub(super) struct Fees {
    book: Option<TariffBook>,
}

impl Fees {
    /// The fee of the account's tariffs on a day: the highest of its services', once for each return.
    fn of(&mut self, context: &Context, conn: &mut DbConnection, account: AccountId, on: NaiveDate) -> Result<Option<Money>, ActionError> {
        if context.config.bank.waive_returned_payment_fee {
            return Ok(None);
        }
        if self.book.is_none() {
            self.book = Some(read_book(conn)?);
        }
        let Some(book) = &self.book else { return Ok(None) };
        let agreements = customers::agreements_of(conn, account)?;
        // Somebody who has gone pays by the tariffs that they had.
        let served = agreements.iter().any(|agreement| agreement.end_on.is_none_or(|end| end >= on));
        let mut highest: Option<Money> = None;
        for agreement in agreements.iter().filter(|agreement| !served || agreement.end_on.is_none_or(|end| end >= on)) {
            let terms = customers::terms_of(conn, agreement.id)?;
            let held = terms.iter().filter(|term| term.effective_on <= on).max_by_key(|term| term.effective_on);
            let class = held.map_or(agreement.rate_class.as_str(), |term| term.rate_class.as_str());
            let settings = book.settings_on(&agreement.schedule, class, on);
            highest = highest.max(settings.and_then(|settings| settings.returned_payment_fee).map(|fee| fee.amount));
        }
        Ok(highest)
    }
}

fn fee_reference(payment: &PaymentRow) -> String {
    format!("return-{}-{}", payment.account_id, payment.account_seq)
}

/// A fee, or its taking back.
struct Charge<'a> {
    account: AccountId,
    amount: Money,
    reference: &'a str,
    note: &'a str,
    on: NaiveDate,
}

/// Posts it; returns its position.
fn post_charge(context: &Context, conn: &mut DbConnection, charge: &Charge<'_>, now: NaiveDateTime) -> Result<i64, ActionError> {
    let Charge { account, amount, reference, note, on } = *charge;
    let reason = ledger::reason(conn, FEE)?.ok_or_else(|| ActionError::not_found("reason", FEE))?;
    let source = format!("adjustment:{FEE}:{reference}");
    let entry = Entry::against(account, EntryKind::Adjustment, source, amount, on, &reason.gl_code).balanced()?;
    let after = ledger::position(conn, account)?.after(amount)?;
    ledger::append(conn, &[(entry, after)], now)?;
    ledger::insert_adjustment(
        conn,
        &NewAdjustment {
            account_id: account,
            reason_code: FEE.to_owned(),
            amount_cents: amount.cents(),
            effective_on: on,
            reference: reference.to_owned(),
            note: note.to_owned(),
            entered_by: context.actor.clone(),
            account_seq: after.seq,
        },
    )?;
    let number = customers::account_number(conn, account)?;
    operations::audit(conn, now, &context.actor, "adjustment.give", &number, &format!("{amount} {FEE} {reference}: {note}"))?;
    let given = AdjustmentGiven {
        amount_cents: amount.cents(),
        effective_on: on,
        reason: reason.name,
        reference: reference.to_owned(),
        balance_cents: after.balance.cents(),
    };
    let key = format!("adjustment:{account}:{}", after.seq);
    notices::queue(conn, context, NewNotice { key, to: Addressee::Account(account), happened_on: on, facts: Facts::AdjustmentGiven(given) })?;
    Ok(after.seq)
}
