//! What the staff's pages of one account show: who, what is owed, and each list behind it, a page at a time.

use chrono::{NaiveDate, NaiveDateTime};
use std::collections::BTreeMap;

use super::checkout::{PendingPayment, pending};
use super::corrections::{Corrected, Corrections};
use super::enter_read::{NewRead, ReadOutcome, confirm_read, enter_read};
use super::held::{Decision, decide_some, holds_a_bill, show_todo};
use super::payments::returned_payment_seq;
use super::{ActionError, Context, account_named};
use crate::db::billing::bill_number;
use crate::db::customers::TermRow;
use crate::db::desk::{self, LedgerRow, ServiceCard};
use crate::db::ledger::{self as ledger_rows, ReasonRow};
use crate::db::payments::{self as payment_rows, PaymentRow};
use crate::db::{DbConnection, customers, operations, service_views};
use crate::domain::ids::{AccountId, PersonId, ProviderPaymentId, ReadId, RunId, ToDoId};
use crate::domain::money::Money;
use crate::domain::quantity::from_milli;

/// Services, registers and work items of one account that are shown: more are for the customer's representative.
const MOST: i64 = 200;

/// The head of every page of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Identity.
    pub id: AccountId,
    /// The number that customers know.
    pub number: String,
    /// Whose account.
    pub person_id: PersonId,
    /// The name on bills.
    pub name: String,
    /// Where notices go.
    pub email: Option<String>,
    /// Where bills on paper go.
    pub mailing_address: Option<String>,
    /// Whether no bills on paper are wanted.
    pub paperless: bool,
    /// The address of the latest service.
    pub address: Option<String>,
    /// The balance.
    pub balance: Money,
    /// Payments that are on their way: not in the balance yet.
    pub pending: Vec<PendingPayment>,
    /// What waits for a clerk.
    pub todos: Vec<WaitingItem>,
}

/// Something of this account that waits for a clerk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingItem {
    /// Its number.
    pub id: ToDoId,
    /// What it is about.
    pub kind: String,
    /// Why it waits.
    pub reason: String,
    /// The amount at stake.
    pub amount: Option<Money>,
    /// Since when, UTC.
    pub raised_at: NaiveDateTime,
}

/// A part of a list, and where the next begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Where the next page begins, when there is one.
    pub next: Option<i64>,
}

impl<T> Slice<T> {
    /// Of `limit + 1` rows that were asked for, the first `limit`, and the mark of the last of these when there are more.
    pub fn cut(mut rows: Vec<T>, limit: usize, mark: impl Fn(&T) -> i64) -> Self {
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = if more { rows.last().map(mark) } else { None };
        Self { rows, next }
    }
}

/// One more than a page holds, to see whether there is a next.
#[must_use]
pub fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(1_000).saturating_add(1)
}

/// The head of an account's pages.
///
/// # Errors
/// [`ActionError::NotFound`] when there is no such account.
pub fn head(context: &Context, number: &str) -> Result<Head, ActionError> {
    context.database.snapshot(|conn| {
        let account = account_named(conn, number)?;
        let card = customers::account_cards(conn, &[account.id])?.into_iter().next();
        let card = card.ok_or_else(|| ActionError::not_found("account", number))?;
        let todos = desk::todos_of_account(conn, account.id, MOST)?;
        Ok(Head {
            id: card.id,
            number: card.number,
            person_id: card.person_id,
            name: card.name,
            email: card.email,
            mailing_address: card.mailing_address,
            paperless: card.paperless == 1,
            address: card.address,
            balance: Money::from_cents(card.balance_cents),
            pending: pending(conn, card.id)?,
            todos: todos.into_iter().map(waiting).collect(),
        })
    })
}

fn waiting(row: desk::ToDoCard) -> WaitingItem {
    WaitingItem { id: row.id, kind: row.kind, reason: row.reason, amount: row.amount_cents.map(Money::from_cents), raised_at: row.raised_at }
}

/// What a line of the ledger comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A bill or its cancellation, by the bill's number.
    Bill(String),
    /// A payment or its return, by the payment's position.
    Payment {
        /// Position of the payment.
        seq: i64,
        /// Its reference.
        reference: String,
    },
    /// A correction, by the position of the payment or refund that it is about.
    Correction {
        /// What it takes out of the ledger.
        of: Corrected,
        /// Position of the payment or refund.
        seq: i64,
        /// Its reference.
        reference: String,
    },
    /// A part of a payment that went back.
    Refund {
        /// Its reference.
        reference: String,
        /// Why.
        reason: String,
    },
    /// An adjustment.
    Adjustment {
        /// The reason's code.
        reason: String,
        /// The clerk's words.
        note: String,
        /// Who gave it.
        by: String,
    },
    /// Anything else, as the ledger names it.
    Other(String),
}

/// A line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerLine {
    /// Position, from 1.
    pub seq: i64,
    /// Kind of business, as the ledger names it.
    pub kind: String,
    /// What it comes from.
    pub source: Source,
    /// A payment's form of money.
    pub tender: Option<String>,
    /// When a payment was returned.
    pub returned_on: Option<NaiveDate>,
    /// Whether a correction took a payment out of the ledger later.
    pub corrected: bool,
    /// The provider's payment behind a payment: its way can be followed.
    pub traced: Option<ProviderPaymentId>,
    /// Movement of the balance.
    pub amount: Money,
    /// Balance after it.
    pub balance_after: Money,
    /// Value date.
    pub effective_on: NaiveDate,
    /// Ledger time, UTC.
    pub posted_at: NaiveDateTime,
}

impl LedgerLine {
    /// The kind in words.
    #[must_use]
    pub fn words(&self) -> &'static str {
        match (&self.source, self.kind.as_str()) {
            (Source::Correction { of: Corrected::Payment, .. }, _) => "Correction of a payment",
            (Source::Correction { of: Corrected::Return, .. }, _) => "Return taken back",
            (Source::Correction { of: Corrected::Refund, .. }, _) => "Refund taken back",
            (Source::Refund { .. }, _) => "Refund",
            (_, kind) => self.kind_words(kind),
        }
    }

    fn kind_words(&self, kind: &str) -> &'static str {
        match kind {
            "bill" => "Bill",
            "bill_reversal" => "Bill taken back",
            "payment" => "Payment",
            "payment_reversal" => "Payment returned",
            _ if self.amount.is_negative() => "Credit",
            _ => "Charge",
        }
    }
}

/// A page of the ledger, newest first, before a position.
///
/// # Errors
/// Those of the database.
pub fn ledger(context: &Context, account: AccountId, before_seq: i64, limit: usize) -> Result<Slice<LedgerLine>, ActionError> {
    context.database.snapshot(|conn| {
        let rows = desk::ledger_page(conn, account, before_seq, one_more(limit))?;
        let slice = Slice::cut(rows, limit, |row| row.account_seq);
        let references: Vec<&str> = slice.rows.iter().filter_map(|row| adjustment_parts(&row.source)).map(|(_, reference)| reference).collect();
        let notes = desk::adjustment_notes(conn, &references)?;
        let notes: BTreeMap<String, (String, String)> = notes.into_iter().map(|(reference, note, by)| (reference, (note, by))).collect();
        let corrections = Corrections::load(conn, account, slice.rows.iter().map(|row| (row.account_seq, row.source.as_str())))?;
        let mut rows = Vec::with_capacity(slice.rows.len());
        for row in slice.rows {
            let source = match corrected_source(&corrections, &row) {
                Some(source) => source,
                None => source_of(conn, account, &row, &notes)?,
            };
            rows.push(LedgerLine {
                seq: row.account_seq,
                kind: row.kind,
                source,
                tender: row.tender,
                returned_on: row.returned_on,
                corrected: row.superseded_seq.is_some(),
                traced: row.provider_payment_id,
                amount: Money::from_cents(row.amount_cents),
                balance_after: Money::from_cents(row.balance_after_cents),
                effective_on: row.effective_on,
                posted_at: row.posted_at,
            });
        }
        Ok(Slice { rows, next: slice.next })
    })
}

/// Reason code and reference of an adjustment's source.
fn adjustment_parts(source: &str) -> Option<(&str, &str)> {
    source.strip_prefix("adjustment:")?.split_once(':')
}

fn corrected_source(corrections: &Corrections, row: &LedgerRow) -> Option<Source> {
    if let Some(found) = corrections.correction(&row.source) {
        return Some(Source::Correction { of: found.what, seq: found.seq, reference: found.reference.unwrap_or_default() });
    }
    let refund = corrections.refund(row.account_seq).filter(|_| row.source.starts_with("refund:"))?;
    Some(Source::Refund { reference: refund.provider_ref.clone().unwrap_or_default(), reason: refund.reason.clone() })
}

fn source_of(
    conn: &mut DbConnection,
    account: AccountId,
    row: &LedgerRow,
    notes: &BTreeMap<String, (String, String)>,
) -> Result<Source, ActionError> {
    let source = row.source.as_str();
    let run = source.strip_prefix("run:").or_else(|| source.strip_prefix("rollback:")).and_then(|id| id.parse().ok());
    if let Some(run) = run {
        return Ok(Source::Bill(bill_number(RunId(run), account)));
    }
    if row.kind == "payment" {
        return Ok(Source::Payment { seq: row.account_seq, reference: row.reference.clone().unwrap_or_default() });
    }
    if let Some(seq) = returned_payment_seq(source) {
        let payment = payment_rows::at(conn, account, seq)?;
        return Ok(Source::Payment { seq, reference: payment.and_then(|payment| payment.provider_ref).unwrap_or_default() });
    }
    if let Some((reason, reference)) = adjustment_parts(source) {
        let (note, by) = notes.get(reference).cloned().unwrap_or_default();
        return Ok(Source::Adjustment { reason: reason.to_owned(), note, by });
    }
    Ok(Source::Other(source.to_owned()))
}

/// A bill in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BillLine {
    /// Its number.
    pub number: String,
    /// Its position in the ledger.
    pub seq: i64,
    /// Whether it was taken back.
    pub cancelled: bool,
    /// Its date.
    pub bill_on: NaiveDate,
    /// When it is due.
    pub due_on: NaiveDate,
    /// What it opened with.
    pub opening: Money,
    /// Its charges.
    pub charges: Money,
    /// What was to be paid.
    pub amount_due: Money,
}

/// A page of an account's bills, newest first, before a ledger position.
///
/// # Errors
/// Those of the database.
pub fn bills(context: &Context, account: AccountId, before_seq: i64, limit: usize) -> Result<Slice<BillLine>, ActionError> {
    let rows = context.database.read(|conn| desk::bills_page(conn, account, before_seq, one_more(limit)))?;
    let line = |row: desk::BillCard| BillLine {
        number: bill_number(row.run_id, row.account_id),
        seq: row.account_seq,
        cancelled: row.status == "cancelled",
        bill_on: row.bill_on,
        due_on: row.due_on,
        opening: Money::from_cents(row.opening_balance_cents),
        charges: Money::from_cents(row.total_cents),
        amount_due: Money::from_cents(row.amount_due_cents),
    };
    Ok(Slice::cut(rows.into_iter().map(line).collect(), limit, |row| row.seq))
}

/// A service of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceLine {
    /// The service's id in files.
    pub service_id: String,
    /// Where.
    pub address: String,
    /// The tariff schedule.
    pub schedule: String,
    /// The rate class as of today.
    pub rate_class: String,
    /// The bill cycle.
    pub cycle: String,
    /// What prices it besides its usage, as of today: names and values.
    pub attributes: Vec<(String, String)>,
    /// Terms that begin later: since when and which class.
    pub later_terms: Vec<(NaiveDate, String)>,
    /// First day, when known.
    pub start_on: Option<NaiveDate>,
    /// Last day, once it ended.
    pub end_on: Option<NaiveDate>,
    /// The meter in place.
    pub meter: Option<String>,
    /// The end of the last billed period.
    pub billed_through: Option<NaiveDate>,
    /// The last accepted read: its day and reading.
    pub last_read: Option<(NaiveDate, String)>,
}

/// An account's services, those in force first.
///
/// # Errors
/// Those of the database, or that stored attributes cannot be read.
pub fn services(context: &Context, account: AccountId) -> Result<Vec<ServiceLine>, ActionError> {
    let today = context.today();
    let (rows, terms) = context.database.snapshot(|conn| {
        let rows = desk::services(conn, account, MOST)?;
        Ok::<_, ActionError>((rows, customers::terms_in_range(conn, account, account)?))
    })?;
    rows.into_iter().map(|row| service_line(row, &terms, today)).collect()
}

fn service_line(row: ServiceCard, terms: &[TermRow], today: NaiveDate) -> Result<ServiceLine, ActionError> {
    let own: Vec<&TermRow> = terms.iter().filter(|term| term.agreement_id == row.agreement_id).collect();
    let now = own.iter().rev().find(|term| term.effective_on <= today);
    let attributes = now.map_or(row.attributes.as_str(), |term| term.attributes.as_str());
    let attributes: BTreeMap<String, serde_json::Value> =
        serde_json::from_str(attributes).map_err(|error| ActionError::Form(format!("stored attributes cannot be read: {error}")))?;
    let text = |value: serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Ok(ServiceLine {
        service_id: row.service_id,
        address: row.address,
        schedule: row.schedule,
        rate_class: now.map_or(row.rate_class, |term| term.rate_class.clone()),
        cycle: row.cycle,
        attributes: attributes.into_iter().map(|(name, value)| (name, text(value))).collect(),
        later_terms: own.iter().filter(|term| term.effective_on > today).map(|term| (term.effective_on, term.rate_class.clone())).collect(),
        start_on: row.start_on,
        end_on: row.end_on,
        meter: row.meter,
        billed_through: row.billed_through,
        last_read: row.last_read_on.zip(row.last_reading_milli.map(|milli| from_milli(milli).to_string())),
    })
}

/// A read in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadLine {
    /// Identity.
    pub id: ReadId,
    /// The service's id in files.
    pub service_id: String,
    /// The meter.
    pub meter: String,
    /// Which of its registers.
    pub register: String,
    /// When.
    pub read_on: NaiveDate,
    /// What it showed.
    pub reading: String,
    /// How it came to be.
    pub kind: String,
    /// `accepted`, `held` or `rejected`.
    pub status: String,
    /// How an estimate was made.
    pub basis: Option<String>,
}

/// A page of the account's reads, newest first, from an offset on.
///
/// # Errors
/// Those of the database.
pub fn reads(context: &Context, account: AccountId, offset: i64, limit: usize) -> Result<Slice<ReadLine>, ActionError> {
    let mut rows = context.database.read(|conn| desk::reads_page(conn, account, offset, one_more(limit)))?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = more.then(|| offset.saturating_add(one_more(limit) - 1));
    let line = |row: desk::ReadCard| ReadLine {
        id: row.id,
        service_id: row.service_id,
        meter: row.meter,
        register: row.register,
        read_on: row.read_on,
        reading: from_milli(row.reading_milli).to_string(),
        kind: row.kind,
        status: row.status,
        basis: row.basis,
    };
    Ok(Slice { rows: rows.into_iter().map(line).collect(), next })
}

/// A register that a read can be entered for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterLine {
    /// The service's id in files.
    pub service_id: String,
    /// The meter.
    pub meter: String,
    /// Which of its registers.
    pub register: String,
    /// Digits before the point.
    pub digits: i32,
    /// The last accepted read: its day and reading.
    pub last_read: Option<(NaiveDate, String)>,
}

/// The registers that a read can be entered for: of the meters in place where the account is the latest.
///
/// # Errors
/// Those of the database.
pub fn registers(context: &Context, account: AccountId) -> Result<Vec<RegisterLine>, ActionError> {
    let rows = context.database.read(|conn| desk::registers_of_account(conn, account, MOST))?;
    let line = |row: desk::RegisterCard| RegisterLine {
        service_id: row.service_id,
        meter: row.meter,
        register: row.register,
        digits: row.digits,
        last_read: row.last_read_on.zip(row.last_reading_milli.map(|milli| from_milli(milli).to_string())),
    };
    Ok(rows.into_iter().map(line).collect())
}

/// The payment at a position of the account's ledger.
///
/// # Errors
/// [`ActionError::NotFound`] when there is none.
pub fn payment(context: &Context, account: AccountId, seq: i64) -> Result<PaymentRow, ActionError> {
    let found = context.database.read(|conn| payment_rows::at(conn, account, seq))?;
    found.ok_or_else(|| ActionError::not_found("payment", seq.to_string()))
}

/// The reasons that an adjustment can have.
///
/// # Errors
/// Those of the database.
pub fn adjustment_reasons(context: &Context) -> Result<Vec<ReasonRow>, ActionError> {
    let by_hand = |reason: &ReasonRow| super::adjust::is_given_by_hand(&reason.code);
    Ok(context.database.read(ledger_rows::reasons)?.into_iter().filter(by_hand).collect())
}

/// What the audit trail says of the account, newest first, before an event.
///
/// # Errors
/// Those of the database.
pub fn trail(context: &Context, head: &Head, before: i64, limit: usize) -> Result<Slice<operations::AuditRow>, ActionError> {
    let rows = context.database.snapshot(|conn| {
        let references = desk::returned_references(conn, head.id)?;
        let services = service_views::codes_of_account(conn, head.id)?;
        Ok::<_, ActionError>(operations::audit_of_account(conn, &head.number, &references, &services, before, one_more(limit))?)
    })?;
    Ok(Slice::cut(rows, limit, |row| row.id))
}

/// Takes in a read that a clerk enters for an account, and names the account in its trail.
///
/// # Errors
/// [`ActionError::Refused`] when the meter is none of the account's, or those of [`confirm_read`].
pub fn enter_read_for(context: &Context, head: &Head, read: &NewRead, vouched: Option<&str>) -> Result<ReadOutcome, ActionError> {
    let known = registers(context, head.id)?;
    if !known.iter().any(|row| row.meter == read.meter && row.register == read.register) {
        return Err(ActionError::Refused(format!("register: meter '{}' is not in place at a service of this account", read.meter)));
    }
    let outcome = match vouched {
        Some(note) => confirm_read(context, read, note)?,
        None => enter_read(context, read)?,
    };
    let how = match &outcome {
        ReadOutcome::Accepted => "accepted",
        ReadOutcome::Held(_) => "held",
        ReadOutcome::Unchanged | ReadOutcome::Refused(_) => return Ok(outcome),
    };
    let detail = format!("meter {}, {} on {}: {how}", read.meter, from_milli(read.reading_milli), read.read_on);
    context.database.write(|conn| {
        operations::audit(conn, context.now(), &context.actor, "account.read", &head.number, &detail)?;
        Ok::<_, ActionError>(())
    })?;
    Ok(outcome)
}

/// Releases what a bill waits for, or closes what is dealt with: the two are not mixed up, and what is closed has a note
/// that says how it was dealt with.
///
/// # Errors
/// [`ActionError::Refused`] when an item is of the other sort or the note is missing, or those of [`decide_some`].
pub fn settle_for_accounts(context: &Context, ids: &[ToDoId], close: bool, note: &str) -> Result<usize, ActionError> {
    for id in ids {
        let item = show_todo(context, *id)?;
        if holds_a_bill(&item.kind) == close {
            let right = if close { "a read or bill that is held: release it, or reject the read" } else { "nothing that a bill waits for: close it" };
            return Err(ActionError::Refused(format!("item {id} is {right}")));
        }
    }
    if close && note.trim().is_empty() {
        return Err(ActionError::Refused("note: it is empty: expected how it was dealt with, in words".to_owned()));
    }
    decide_some(context, ids, Decision::Release, note)
}
