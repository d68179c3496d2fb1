//! The ledger's rows: financial transactions with their postings, appended and never changed.

use chrono::{NaiveDate, NaiveDateTime};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt};

use super::DbConnection;
use super::bulk::{insert_all, reserve_ids};
use super::schema::{adjustment, adjustment_reason, financial_transaction, gl_account, posting};
use crate::domain::ids::{AccountId, TransactionId};
use crate::domain::ledger::{Entry, Position};
use crate::domain::money::Money;

/// A financial transaction as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, serde::Serialize)]
#[diesel(table_name = financial_transaction, treat_none_as_default_value = false)]
pub struct TransactionRow {
    /// Identity.
    pub id: TransactionId,
    /// Whose balance.
    pub account_id: AccountId,
    /// Position in the account's ledger, from 1 without gaps.
    pub account_seq: i64,
    /// Kind of business.
    pub kind: String,
    /// What it stands for.
    pub source: String,
    /// Movement of the balance.
    pub amount_cents: i64,
    /// Balance after it.
    pub balance_after_cents: i64,
    /// Value date.
    pub effective_on: NaiveDate,
    /// Ledger time, UTC.
    pub posted_at: NaiveDateTime,
}

/// One posting as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, serde::Serialize)]
#[diesel(table_name = posting, treat_none_as_default_value = false)]
pub struct PostingRow {
    /// The transaction.
    pub transaction_id: TransactionId,
    /// Position within it, from 1.
    pub posting_no: i32,
    /// General-ledger account.
    pub gl_code: String,
    /// Debit (positive) or credit (negative).
    pub amount_cents: i64,
}

/// A reason code as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, serde::Serialize)]
#[diesel(table_name = adjustment_reason)]
pub struct ReasonRow {
    /// The code that clerks type.
    pub code: String,
    /// What it means.
    pub name: String,
    /// The general-ledger account on the other side.
    pub gl_code: String,
    /// `credit`, `debit` or `either`.
    pub direction: String,
}

/// An adjustment as stored.
#[derive(Debug, Clone, PartialEq, Eq, Insertable)]
#[diesel(table_name = adjustment, treat_none_as_default_value = false)]
pub struct NewAdjustment {
    /// Whose balance.
    pub account_id: AccountId,
    /// Why.
    pub reason_code: String,
    /// Movement of the balance.
    pub amount_cents: i64,
    /// Value date.
    pub effective_on: NaiveDate,
    /// The idempotency key: one adjustment for one reference.
    pub reference: String,
    /// The clerk's words.
    pub note: String,
    /// Who entered it.
    pub entered_by: String,
    /// The transaction that moved the balance.
    pub account_seq: i64,
}

/// Takes the accounts' locks, in id order, so that whoever else posts to them waits.
///
/// SQLite has one writer at a time and needs none.
///
/// # Errors
/// Those of the database.
pub fn lock_accounts(conn: &mut DbConnection, accounts: &[AccountId]) -> QueryResult<()> {
    if let DbConnection::Postgres(conn) = conn {
        let ids: Vec<i64> = accounts.iter().map(|id| id.0).collect();
        diesel::sql_query("SELECT id FROM account WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE").bind::<Array<BigInt>, _>(ids).execute(conn)?;
    }
    Ok(())
}

/// Takes the locks of every account of a run's chunk that has something to bill.
///
/// # Errors
/// Those of the database.
pub fn lock_account_range(conn: &mut DbConnection, first: AccountId, last: AccountId) -> QueryResult<()> {
    if let DbConnection::Postgres(conn) = conn {
        diesel::sql_query("SELECT id FROM account WHERE id BETWEEN $1 AND $2 ORDER BY id FOR NO KEY UPDATE")
            .bind::<BigInt, _>(first)
            .bind::<BigInt, _>(last)
            .execute(conn)?;
    }
    Ok(())
}

/// Where the account's ledger stands.
///
/// # Errors
/// Those of the database.
pub fn position(conn: &mut DbConnection, account: AccountId) -> QueryResult<Position> {
    let last = financial_transaction::table
        .filter(financial_transaction::account_id.eq(account))
        .order(financial_transaction::account_seq.desc())
        .select((financial_transaction::account_seq, financial_transaction::balance_after_cents))
        .first::<(i64, i64)>(conn)
        .optional()?;
    Ok(last.map_or_else(Position::default, |(seq, cents)| Position { seq, balance: Money::from_cents(cents) }))
}

/// Appends entries with the positions that they take. The schema refuses them unless each follows its account's
/// last row and its postings balance.
///
/// # Errors
/// Those of the database; a unique violation means that another writer was first ([`super::LostRace`]).
pub fn append(conn: &mut DbConnection, entries: &[(Entry, Position)], posted_at: NaiveDateTime) -> QueryResult<()> {
    let ids = reserve_ids(conn, "financial_transaction", entries.len())?;
    let mut postings = Vec::with_capacity(entries.len() * 2);
    let mut transactions = Vec::with_capacity(entries.len());
    for ((entry, after), id) in entries.iter().zip(ids) {
        let id = TransactionId(id);
        postings.extend(entry.postings.iter().zip(1..).map(|(posting, posting_no)| PostingRow {
            transaction_id: id,
            posting_no,
            gl_code: posting.gl_code.clone(),
            amount_cents: posting.amount.cents(),
        }));
        transactions.push(TransactionRow {
            id,
            account_id: entry.account_id,
            account_seq: after.seq,
            kind: entry.kind.as_str().to_owned(),
            source: entry.source.clone(),
            amount_cents: entry.amount.cents(),
            balance_after_cents: after.balance.cents(),
            effective_on: entry.effective_on,
            posted_at,
        });
    }
    // Postings first: the trigger on the transaction looks for them.
    insert_all!(&mut *conn, posting::table, &postings)?;
    insert_all!(conn, financial_transaction::table, &transactions).map(|_| ())
}

/// A page of one account's transactions, oldest first, after a position.
///
/// # Errors
/// Those of the database.
pub fn transactions_of(conn: &mut DbConnection, account: AccountId, after_seq: i64, limit: i64) -> QueryResult<Vec<TransactionRow>> {
    financial_transaction::table
        .filter(financial_transaction::account_id.eq(account).and(financial_transaction::account_seq.gt(after_seq)))
        .order(financial_transaction::account_seq)
        .limit(limit)
        .select(TransactionRow::as_select())
        .load(conn)
}

/// All transactions of a range of accounts, by account and position.
///
/// # Errors
/// Those of the database.
pub fn transactions_in_range(conn: &mut DbConnection, first: AccountId, last: AccountId) -> QueryResult<Vec<TransactionRow>> {
    financial_transaction::table
        .filter(financial_transaction::account_id.between(first, last))
        .order((financial_transaction::account_id, financial_transaction::account_seq))
        .select(TransactionRow::as_select())
        .load(conn)
}

/// The postings of a range of accounts' transactions.
///
/// # Errors
/// Those of the database.
pub fn postings_in_range(conn: &mut DbConnection, first: AccountId, last: AccountId) -> QueryResult<Vec<PostingRow>> {
    posting::table
        .inner_join(financial_transaction::table.on(financial_transaction::id.eq(posting::transaction_id)))
        .filter(financial_transaction::account_id.between(first, last))
        .order((posting::transaction_id, posting::posting_no))
        .select(PostingRow::as_select())
        .load(conn)
}

/// The postings of the transaction at a position of an account's ledger.
///
/// # Errors
/// Those of the database.
pub fn postings_at(conn: &mut DbConnection, account: AccountId, seq: i64) -> QueryResult<Vec<PostingRow>> {
    posting::table
        .inner_join(financial_transaction::table.on(financial_transaction::id.eq(posting::transaction_id)))
        .filter(financial_transaction::account_id.eq(account).and(financial_transaction::account_seq.eq(seq)))
        .order(posting::posting_no)
        .select(PostingRow::as_select())
        .load(conn)
}

/// A page of the whole journal in ledger order: by id, after an id.
///
/// # Errors
/// Those of the database.
pub fn journal_page(conn: &mut DbConnection, after: TransactionId, limit: i64) -> QueryResult<Vec<TransactionRow>> {
    financial_transaction::table
        .filter(financial_transaction::id.gt(after))
        .order(financial_transaction::id)
        .limit(limit)
        .select(TransactionRow::as_select())
        .load(conn)
}

/// The postings of transactions with ids in `first..=last`.
///
/// # Errors
/// Those of the database.
pub fn postings_between(conn: &mut DbConnection, first: TransactionId, last: TransactionId) -> QueryResult<Vec<PostingRow>> {
    posting::table
        .filter(posting::transaction_id.between(first, last))
        .order((posting::transaction_id, posting::posting_no))
        .select(PostingRow::as_select())
        .load(conn)
}

/// The chart of general-ledger accounts: code, name, kind.
///
/// # Errors
/// Those of the database.
pub fn gl_accounts(conn: &mut DbConnection) -> QueryResult<Vec<(String, String, String)>> {
    gl_account::table.order(gl_account::code).select((gl_account::code, gl_account::name, gl_account::kind)).load(conn)
}

#[derive(QueryableByName)]
struct Total {
    #[diesel(sql_type = BigInt)]
    total: i64,
}

/// The sum of all postings to a general-ledger account: its control total.
///
/// # Errors
/// Those of the database.
pub fn control_total(conn: &mut DbConnection, gl_code: &str) -> QueryResult<i64> {
    diesel::sql_query("SELECT CAST(coalesce(sum(amount_cents), 0) AS BIGINT) AS total FROM posting WHERE gl_code = $1")
        .bind::<diesel::sql_types::Text, _>(gl_code)
        .get_result::<Total>(conn)
        .map(|row| row.total)
}

/// How many postings belong to no transaction: always 0 unless somebody worked on the files.
///
/// # Errors
/// Those of the database.
pub fn orphan_postings(conn: &mut DbConnection) -> QueryResult<i64> {
    diesel::sql_query(
        "SELECT CAST(count(*) AS BIGINT) AS total FROM posting p \
         WHERE NOT EXISTS (SELECT 1 FROM financial_transaction f WHERE f.id = p.transaction_id)",
    )
    .get_result::<Total>(conn)
    .map(|row| row.total)
}

/// A reason code, when it exists.
///
/// # Errors
/// Those of the database.
pub fn reason(conn: &mut DbConnection, code: &str) -> QueryResult<Option<ReasonRow>> {
    adjustment_reason::table.find(code).select(ReasonRow::as_select()).first(conn).optional()
}

/// All reason codes.
///
/// # Errors
/// Those of the database.
pub fn reasons(conn: &mut DbConnection) -> QueryResult<Vec<ReasonRow>> {
    adjustment_reason::table.order(adjustment_reason::code).select(ReasonRow::as_select()).load(conn)
}

/// What an adjustment reference already stands for: account, reason, amount, position.
///
/// # Errors
/// Those of the database.
pub fn adjustment_by_reference(conn: &mut DbConnection, reference: &str) -> QueryResult<Option<(AccountId, String, i64, i64)>> {
    adjustment::table
        .filter(adjustment::reference.eq(reference))
        .select((adjustment::account_id, adjustment::reason_code, adjustment::amount_cents, adjustment::account_seq))
        .first(conn)
        .optional()
}

/// The adjustments of a range of accounts: account, position, amount.
///
/// # Errors
/// Those of the database.
pub fn adjustments_in_range(conn: &mut DbConnection, first: AccountId, last: AccountId) -> QueryResult<Vec<(AccountId, i64, i64)>> {
    adjustment::table
        .filter(adjustment::account_id.between(first, last))
        .order((adjustment::account_id, adjustment::account_seq))
        .select((adjustment::account_id, adjustment::account_seq, adjustment::amount_cents))
        .load(conn)
}

/// Stores an adjustment beside the transaction that moved the balance.
///
/// # Errors
/// Those of the database; a unique violation means that the reference is taken.
pub fn insert_adjustment(conn: &mut DbConnection, row: &NewAdjustment) -> QueryResult<()> {
    diesel::insert_into(adjustment::table).values(row).execute(conn).map(|_| ())
}
