//! What movements of a bank are compared with: accounts, bills, payments, refunds and payouts of providers.

use chrono::NaiveDate;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::DbConnection;
use super::bank::EntryRow;
use super::bulk::in_list;
use super::payments::PaymentRow;
use super::provider_payments::RefundRow;
use super::schema::{account, bank_entry, payment, person, provider_payout, refund};
use crate::domain::ids::{AccountId, BankEntryId, PaymentId, RunId};

/// So many rows of candidates are looked at, at most, for one movement.
const MOST_CANDIDATES: i64 = 200;

/// A page of accounts by id: identity, number and the customer's name.
///
/// # Errors
/// Those of the database.
pub fn named_accounts(conn: &mut DbConnection, after: AccountId, limit: i64) -> QueryResult<Vec<(AccountId, String, String)>> {
    account::table
        .inner_join(person::table.on(person::id.eq(account::person_id)))
        .filter(account::id.gt(after))
        .order(account::id)
        .limit(limit)
        .select((account::id, account::number, person::name))
        .load(conn)
}

/// Which accounts these bank accounts paid before, by movements that were applied and not taken back.
///
/// # Errors
/// Those of the database.
pub fn paid_before(conn: &mut DbConnection, payers: &[&str]) -> QueryResult<Vec<(String, AccountId)>> {
    bank_entry::table
        .inner_join(payment::table.on(payment::bank_entry_id.eq(bank_entry::id.nullable())))
        .filter(bank_entry::status.eq("applied").and(bank_entry::party_account.eq_any(payers)).and(bank_entry::party_account.ne("")))
        .filter(bank_entry::kind.eq("credit").and(payment::superseded_seq.is_null()))
        .filter(payment::returned_seq.is_null().or(payment::restored_seq.is_not_null()))
        .select((bank_entry::party_account, payment::account_id))
        .distinct()
        .limit(10_000)
        .load(conn)
}

#[derive(QueryableByName)]
struct Due {
    #[diesel(sql_type = BigInt)]
    id: AccountId,
    #[diesel(sql_type = BigInt)]
    balance_cents: i64,
}

/// The balances of accounts, in cents.
///
/// # Errors
/// Those of the database.
pub fn balances(conn: &mut DbConnection, accounts: &[AccountId]) -> QueryResult<Vec<(AccountId, i64)>> {
    let rows: Vec<Due> = diesel::sql_query(format!(
        "SELECT a.id, coalesce((SELECT f.balance_after_cents FROM financial_transaction f WHERE f.account_id = a.id \
            ORDER BY f.account_seq DESC LIMIT 1), 0) AS balance_cents FROM account a WHERE a.id IN ({})",
        in_list(accounts.iter().map(|id| id.0))
    ))
    .load(conn)?;
    Ok(rows.into_iter().map(|row| (row.id, row.balance_cents)).collect())
}

/// A bill as a movement is compared with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub struct AskedBill {
    /// The account.
    #[diesel(sql_type = BigInt)]
    pub account_id: AccountId,
    /// The run that made it.
    #[diesel(sql_type = BigInt)]
    pub run_id: RunId,
    /// What it asked for, in cents.
    #[diesel(sql_type = BigInt)]
    pub amount_due_cents: i64,
    /// Its own charges, in cents.
    #[diesel(sql_type = BigInt)]
    pub total_cents: i64,
}

/// The latest bills of accounts that stand, newest first: at most `each` of an account.
///
/// # Errors
/// Those of the database.
pub fn latest_bills(conn: &mut DbConnection, accounts: &[AccountId], each: i64) -> QueryResult<Vec<AskedBill>> {
    diesel::sql_query(format!(
        "SELECT account_id, run_id, amount_due_cents, total_cents FROM ( \
            SELECT account_id, run_id, amount_due_cents, total_cents, row_number() OVER (PARTITION BY account_id ORDER BY account_seq DESC) AS place \
            FROM bill WHERE status = 'issued' AND account_id IN ({})) b WHERE b.place <= $1 ORDER BY account_id, place",
        in_list(accounts.iter().map(|id| id.0))
    ))
    .bind::<BigInt, _>(each)
    .load(conn)
}

/// The payments with this reference, from wherever they came, without those that a correction replaced.
///
/// # Errors
/// Those of the database.
pub fn payments_by_reference(conn: &mut DbConnection, reference: &str) -> QueryResult<Vec<PaymentRow>> {
    payment::table
        .filter(payment::provider_ref.eq(reference).and(payment::superseded_seq.is_null()))
        .order(payment::id)
        .limit(MOST_CANDIDATES)
        .select(PaymentRow::as_select())
        .load(conn)
}

/// A payment.
///
/// # Errors
/// Those of the database.
pub fn payment_by_id(conn: &mut DbConnection, id: PaymentId) -> QueryResult<Option<PaymentRow>> {
    payment::table.filter(payment::id.eq(id)).select(PaymentRow::as_select()).first(conn).optional()
}

/// The payments that a movement brought, without those that a correction replaced.
///
/// # Errors
/// Those of the database.
pub fn payments_of_entry(conn: &mut DbConnection, entry: BankEntryId) -> QueryResult<Vec<PaymentRow>> {
    payment::table
        .filter(payment::bank_entry_id.eq(Some(entry)).and(payment::superseded_seq.is_null()))
        .order(payment::part)
        .select(PaymentRow::as_select())
        .load(conn)
}

/// The applied movements of an amount that carry a text as the bank's or as one of the payer's references, newest first. The
/// text may stand within a longer one: the caller looks closer.
///
/// # Errors
/// Those of the database.
pub fn applied_with_reference(conn: &mut DbConnection, amount_cents: i64, kind: &str, reference: &str) -> QueryResult<Vec<EntryRow>> {
    let escaped = reference.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    bank_entry::table
        .filter(bank_entry::amount_cents.eq(amount_cents).and(bank_entry::kind.eq(kind)).and(bank_entry::status.eq("applied")))
        .filter(bank_entry::bank_ref.eq(reference).or(bank_entry::reference.like(format!("%{escaped}%")).escape('\\')))
        .order(bank_entry::id.desc())
        .limit(MOST_CANDIDATES)
        .select(EntryRow::as_select())
        .load(conn)
}

/// The applied returns of what has this reference, or that have the bank's own reference of the return, newest first.
///
/// # Errors
/// Those of the database.
pub fn returns_by_reference(conn: &mut DbConnection, original_ref: Option<&str>, return_ref: Option<&str>) -> QueryResult<Vec<EntryRow>> {
    let mut found: Vec<EntryRow> = Vec::new();
    let applied = bank_entry::kind.eq("return").and(bank_entry::status.eq("applied"));
    if let Some(original) = original_ref {
        let same = bank_entry::table.filter(applied.and(bank_entry::original_ref.eq(original)));
        found.extend(same.order(bank_entry::id.desc()).limit(MOST_CANDIDATES).select(EntryRow::as_select()).load::<EntryRow>(conn)?);
    }
    if let Some(returned) = return_ref {
        let same = bank_entry::table.filter(applied.and(bank_entry::original_ref.is_not_null()).and(bank_entry::bank_ref.eq(returned)));
        found.extend(same.order(bank_entry::id.desc()).limit(MOST_CANDIDATES).select(EntryRow::as_select()).load::<EntryRow>(conn)?);
    }
    Ok(found)
}

/// The payments that belong together: the parts of one payment of several accounts.
///
/// # Errors
/// Those of the database.
pub fn parts_of(conn: &mut DbConnection, one: &PaymentRow) -> QueryResult<Vec<PaymentRow>> {
    payment::table
        .filter(payment::provider.eq(&one.provider).and(payment::merchant.eq(&one.merchant)).and(payment::provider_ref.eq(&one.provider_ref)))
        .filter(payment::superseded_seq.is_null().and(payment::provider_ref.is_not_null()))
        .order(payment::part)
        .select(PaymentRow::as_select())
        .load(conn)
}

/// An account's payments of an amount that stand, newest first.
///
/// # Errors
/// Those of the database.
pub fn standing_payments(conn: &mut DbConnection, account: AccountId, amount_cents: i64) -> QueryResult<Vec<PaymentRow>> {
    payment::table
        .filter(payment::account_id.eq(account).and(payment::amount_cents.eq(amount_cents)).and(payment::superseded_seq.is_null()))
        .filter(payment::returned_seq.is_null().or(payment::restored_seq.is_not_null()))
        .order(payment::account_seq.desc())
        .limit(MOST_CANDIDATES)
        .select(PaymentRow::as_select())
        .load(conn)
}

/// An account's payments of an amount that were returned and not given back, newest first.
///
/// # Errors
/// Those of the database.
pub fn returned_payments(conn: &mut DbConnection, account: AccountId, amount_cents: i64) -> QueryResult<Vec<PaymentRow>> {
    payment::table
        .filter(payment::account_id.eq(account).and(payment::amount_cents.eq(amount_cents)).and(payment::superseded_seq.is_null()))
        .filter(payment::returned_seq.is_not_null().and(payment::restored_seq.is_null()).and(payment::provider_payment_id.is_null()))
        .order(payment::account_seq.desc())
        .limit(MOST_CANDIDATES)
        .select(PaymentRow::as_select())
        .load(conn)
}

/// The refunds by bank of an amount that are on their way.
///
/// # Errors
/// Those of the database.
pub fn open_payouts(conn: &mut DbConnection, amount_cents: i64) -> QueryResult<Vec<RefundRow>> {
    payouts(conn, amount_cents, &["created", "submitted"])
}

/// The refunds by bank of an amount that were carried out.
///
/// # Errors
/// Those of the database.
pub fn paid_payouts(conn: &mut DbConnection, amount_cents: i64) -> QueryResult<Vec<RefundRow>> {
    payouts(conn, amount_cents, &["created", "submitted", "succeeded"])
}

fn payouts(conn: &mut DbConnection, amount_cents: i64, states: &[&str]) -> QueryResult<Vec<RefundRow>> {
    refund::table
        .filter(refund::way.eq("payout").and(refund::state.eq_any(states)).and(refund::amount_cents.eq(amount_cents)))
        .filter(refund::superseded_seq.is_null())
        .order(refund::id)
        .limit(MOST_CANDIDATES)
        .select(RefundRow::as_select())
        .load(conn)
}

/// What a provider sent (or took) on a day, and that no movement of the bank was found for yet.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = provider_payout)]
pub struct OpenPayout {
    /// Identity.
    pub id: i64,
    /// Which provider.
    pub provider: String,
    /// The provider's name of it.
    pub payout_ref: String,
    /// How much, in cents; negative when the provider took.
    pub amount_cents: i64,
    /// When it arrives.
    pub arrives_on: NaiveDate,
    /// What the bank's statement says of it.
    pub statement_text: String,
}

/// The payouts that no movement was found for yet and that arrive on these days, oldest first.
///
/// # Errors
/// Those of the database.
pub fn unsettled_payouts(conn: &mut DbConnection, from: NaiveDate, to: NaiveDate, limit: i64) -> QueryResult<Vec<OpenPayout>> {
    provider_payout::table
        .filter(provider_payout::bank_entry_id.is_null().and(provider_payout::amount_cents.ne(0)).and(provider_payout::arrives_on.between(from, to)))
        .order((provider_payout::arrives_on, provider_payout::id))
        .limit(limit)
        .select(OpenPayout::as_select())
        .load(conn)
}

/// Says which movement brought a payout; 0 rows means that one is known already.
///
/// # Errors
/// Those of the database.
pub fn settle_payout(conn: &mut DbConnection, id: i64, entry: BankEntryId) -> QueryResult<usize> {
    diesel::update(provider_payout::table.filter(provider_payout::id.eq(id).and(provider_payout::bank_entry_id.is_null())))
        .set(provider_payout::bank_entry_id.eq(Some(entry)))
        .execute(conn)
}

/// Says that a movement brought no payout after all.
///
/// # Errors
/// Those of the database.
pub fn unsettle_payout(conn: &mut DbConnection, entry: BankEntryId) -> QueryResult<usize> {
    diesel::update(provider_payout::table.filter(provider_payout::bank_entry_id.eq(Some(entry))))
        .set(provider_payout::bank_entry_id.eq(None::<BankEntryId>))
        .execute(conn)
}

/// The movements of an amount that wait, or that a rule set aside, booked on these days.
///
/// # Errors
/// Those of the database.
pub fn free_entries(conn: &mut DbConnection, amount_cents: i64, from: NaiveDate, to: NaiveDate) -> QueryResult<Vec<EntryRow>> {
    bank_entry::table
        .filter(bank_entry::amount_cents.eq(amount_cents).and(bank_entry::booked_on.between(from, to)))
        .filter(bank_entry::status.eq("waiting").or(bank_entry::status.eq("set_aside").and(bank_entry::decided_by.is_null())))
        .filter(bank_entry::kind.eq_any(["credit", "debit"]))
        .order(bank_entry::id)
        .limit(MOST_CANDIDATES)
        .select(EntryRow::as_select())
        .load(conn)
}
