//! Payments: what came in, from whom, under which reference, and whether it went back.

use chrono::NaiveDate;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::DbConnection;
use super::bulk::insert_all;
use super::schema::payment;
use crate::domain::ids::{AccountId, BankEntryId, PaymentId, ProviderPaymentId};

/// A payment as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, serde::Serialize)]
#[diesel(table_name = payment)]
pub struct PaymentRow {
    /// Identity.
    pub id: PaymentId,
    /// Whose account.
    pub account_id: AccountId,
    /// What was paid, in cents.
    pub amount_cents: i64,
    /// Value date.
    pub effective_on: NaiveDate,
    /// Form of money.
    pub tender: String,
    /// Where the reference is unique: the counter, a bank, a provider.
    pub provider: String,
    /// The utility's own identity with that provider.
    pub merchant: String,
    /// The reference.
    pub provider_ref: Option<String>,
    /// The transaction that posted it.
    pub account_seq: i64,
    /// The transaction that took it back.
    pub returned_seq: Option<i64>,
    /// When it was returned.
    pub returned_on: Option<NaiveDate>,
    /// Why it was returned.
    pub return_reason: Option<String>,
    /// The provider's payment that it is a part of.
    pub provider_payment_id: Option<ProviderPaymentId>,
    /// The bank's movement that brought it.
    pub bank_entry_id: Option<BankEntryId>,
    /// Which part of a payment of several accounts, from 1.
    pub part: i32,
    /// The transaction that took its return back: it stands again.
    pub restored_seq: Option<i64>,
    /// The last transaction of the correction that took it out of the ledger.
    pub superseded_seq: Option<i64>,
}

/// A payment to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Insertable)]
#[diesel(table_name = payment, treat_none_as_default_value = false)]
pub struct NewPayment {
    /// Whose account.
    pub account_id: AccountId,
    /// What was paid, in cents.
    pub amount_cents: i64,
    /// Value date.
    pub effective_on: NaiveDate,
    /// Form of money.
    pub tender: String,
    /// Where the reference is unique.
    pub provider: String,
    /// The utility's own identity there.
    pub merchant: String,
    /// The reference.
    pub provider_ref: Option<String>,
    /// The transaction that posted it.
    pub account_seq: i64,
    /// The provider's payment that it is a part of.
    pub provider_payment_id: Option<ProviderPaymentId>,
    /// The bank's movement that brought it.
    pub bank_entry_id: Option<BankEntryId>,
    /// Which part of a payment of several accounts, from 1.
    pub part: i32,
}

/// Stores payments.
///
/// # Errors
/// Those of the database; a unique violation means that the reference is taken.
pub fn insert(conn: &mut DbConnection, rows: &[NewPayment]) -> QueryResult<()> {
    match (conn, rows) {
        // COPY of a single row costs more than an insert
        (conn, [row]) => diesel::insert_into(payment::table).values(row).execute(conn).map(|_| ()),
        (conn, rows) => insert_columns(conn, rows),
    }
}

fn insert_columns(conn: &mut DbConnection, rows: &[NewPayment]) -> QueryResult<()> {
    insert_all!(conn, payment::table, rows).map(|_| ())
}

/// The payments with these references of one provider, without those that a correction replaced.
///
/// # Errors
/// Those of the database.
pub fn by_references(conn: &mut DbConnection, provider: &str, merchant: &str, references: &[&str]) -> QueryResult<Vec<PaymentRow>> {
    payment::table
        .filter(payment::provider.eq(provider).and(payment::merchant.eq(merchant)).and(payment::provider_ref.eq_any(references)))
        .filter(payment::superseded_seq.is_null())
        .select(PaymentRow::as_select())
        .load(conn)
}

/// The payment that was posted at a position of an account's ledger.
///
/// # Errors
/// Those of the database.
pub fn at(conn: &mut DbConnection, account: AccountId, account_seq: i64) -> QueryResult<Option<PaymentRow>> {
    payment::table
        .filter(payment::account_id.eq(account).and(payment::account_seq.eq(account_seq)))
        .select(PaymentRow::as_select())
        .first(conn)
        .optional()
}

/// The payment that was posted last to an account and that no correction replaced.
///
/// # Errors
/// Those of the database.
pub fn latest(conn: &mut DbConnection, account: AccountId) -> QueryResult<Option<PaymentRow>> {
    payment::table
        .filter(payment::account_id.eq(account).and(payment::superseded_seq.is_null()))
        .order(payment::account_seq.desc())
        .select(PaymentRow::as_select())
        .first(conn)
        .optional()
}

/// The payments of an account that were posted, or returned, at one of these positions.
///
/// # Errors
/// Those of the database.
pub fn of_positions(conn: &mut DbConnection, account: AccountId, positions: &[i64]) -> QueryResult<Vec<PaymentRow>> {
    payment::table
        .filter(payment::account_id.eq(account))
        .filter(payment::account_seq.eq_any(positions).or(payment::returned_seq.eq_any(positions)))
        .order(payment::account_seq)
        .select(PaymentRow::as_select())
        .load(conn)
}

/// The payments of a range of accounts, by account and position.
///
/// # Errors
/// Those of the database.
pub fn in_range(conn: &mut DbConnection, first: AccountId, last: AccountId) -> QueryResult<Vec<PaymentRow>> {
    payment::table
        .filter(payment::account_id.between(first, last))
        .order((payment::account_id, payment::account_seq))
        .select(PaymentRow::as_select())
        .load(conn)
}

/// Marks a payment as returned; 0 rows means that it was returned before.
///
/// # Errors
/// Those of the database.
pub fn mark_returned(conn: &mut DbConnection, id: PaymentId, seq: i64, on: NaiveDate, reason: &str) -> QueryResult<usize> {
    diesel::update(payment::table.filter(payment::id.eq(id).and(payment::returned_seq.is_null())))
        .set((payment::returned_seq.eq(Some(seq)), payment::returned_on.eq(Some(on)), payment::return_reason.eq(Some(reason))))
        .execute(conn)
}

/// The payments that a provider's payment posted, without those that a correction replaced.
///
/// # Errors
/// Those of the database.
pub fn of_provider_payment(conn: &mut DbConnection, id: ProviderPaymentId) -> QueryResult<Vec<PaymentRow>> {
    payment::table
        .filter(payment::provider_payment_id.eq(id).and(payment::superseded_seq.is_null()))
        .order(payment::part)
        .select(PaymentRow::as_select())
        .load(conn)
}

/// Notes which transaction took a payment's return back.
///
/// # Errors
/// Those of the database.
pub fn mark_restored(conn: &mut DbConnection, id: PaymentId, seq: i64) -> QueryResult<usize> {
    diesel::update(payment::table.filter(payment::id.eq(id).and(payment::restored_seq.is_null())))
        .set(payment::restored_seq.eq(Some(seq)))
        .execute(conn)
}

/// Notes the last transaction of the correction that took a payment out of the ledger.
///
/// # Errors
/// Those of the database.
pub fn mark_superseded(conn: &mut DbConnection, id: PaymentId, seq: i64) -> QueryResult<usize> {
    diesel::update(payment::table.filter(payment::id.eq(id).and(payment::superseded_seq.is_null())))
        .set(payment::superseded_seq.eq(Some(seq)))
        .execute(conn)
}

/// The last payment at or before a position that was not returned at or before it.
///
/// # Errors
/// Those of the database.
pub fn last_standing(conn: &mut DbConnection, account: AccountId, cutoff_seq: i64) -> QueryResult<Option<i64>> {
    payment::table
        .filter(payment::account_id.eq(account).and(payment::account_seq.le(cutoff_seq)))
        .filter(
            payment::returned_seq
                .is_null()
                .or(payment::returned_seq.gt(cutoff_seq))
                .or(payment::restored_seq.is_not_null().and(payment::restored_seq.le(cutoff_seq))),
        )
        .filter(payment::superseded_seq.is_null().or(payment::superseded_seq.gt(cutoff_seq)))
        .order(payment::account_seq.desc())
        .select(payment::account_seq)
        .first(conn)
        .optional()
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    total: i64,
}

/// How many payments of a range of accounts the ledger does not show with their amount.
///
/// # Errors
/// Those of the database.
pub fn unapplied_in_range(conn: &mut DbConnection, first: AccountId, last: AccountId) -> QueryResult<i64> {
    diesel::sql_query(
        "SELECT CAST(count(*) AS BIGINT) AS total FROM payment p \
         LEFT JOIN financial_transaction f ON f.account_id = p.account_id AND f.account_seq = p.account_seq \
         WHERE p.account_id BETWEEN $1 AND $2 AND (f.id IS NULL OR f.kind <> 'payment' OR f.amount_cents <> -p.amount_cents)",
    )
    .bind::<BigInt, _>(first)
    .bind::<BigInt, _>(last)
    .get_result::<Count>(conn)
    .map(|row| row.total)
}
