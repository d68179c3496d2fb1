//! Deposits and the interest that was credited on them.

use chrono::NaiveDate;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Date};

use super::super::DbConnection;
use super::super::schema::{deposit, deposit_interest};
use crate::domain::ids::{AccountId, DepositId};

/// A deposit as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, serde::Serialize)]
#[diesel(table_name = deposit)]
pub struct DepositRow {
    /// Identity.
    pub id: DepositId,
    /// Whose.
    pub account_id: AccountId,
    /// Its reference.
    pub reference: String,
    /// How much, in cents.
    pub amount_cents: i64,
    /// When it was taken.
    pub taken_on: NaiveDate,
    /// Why, in words.
    pub note: String,
    /// The charge of it.
    pub charge_seq: i64,
    /// The payment that covers the charge.
    pub payment_seq: i64,
    /// Interest is credited up to here.
    pub interest_to: NaiveDate,
    /// The credit that it became.
    pub applied_seq: Option<i64>,
    /// When.
    pub applied_on: Option<NaiveDate>,
    /// Why.
    pub applied_because: Option<String>,
}

/// A deposit to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Insertable)]
#[diesel(table_name = deposit, treat_none_as_default_value = false)]
pub struct NewDeposit {
    /// Whose.
    pub account_id: AccountId,
    /// Its reference.
    pub reference: String,
    /// How much, in cents.
    pub amount_cents: i64,
    /// When it is taken.
    pub taken_on: NaiveDate,
    /// Why, in words.
    pub note: String,
    /// Who takes it.
    pub taken_by: String,
    /// The charge of it.
    pub charge_seq: i64,
    /// The payment that covers the charge.
    pub payment_seq: i64,
    /// The day on which it is taken: interest begins there.
    pub interest_to: NaiveDate,
}

/// Interest to be written down.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, serde::Serialize)]
#[diesel(table_name = deposit_interest, treat_none_as_default_value = false)]
pub struct InterestRow {
    /// On which deposit.
    pub deposit_id: DepositId,
    /// The first day.
    pub from_on: NaiveDate,
    /// The day after the last.
    pub to_on: NaiveDate,
    /// How much, in cents.
    pub amount_cents: i64,
    /// The credit; none where the days came to nothing.
    pub account_seq: Option<i64>,
}

/// Stores a deposit.
///
/// # Errors
/// Those of the database; a unique violation means that the reference is taken.
pub fn insert(conn: &mut DbConnection, new: &NewDeposit) -> QueryResult<DepositId> {
    diesel::insert_into(deposit::table).values(new).returning(deposit::id).get_result(conn)
}

/// The deposit with a reference.
///
/// # Errors
/// Those of the database.
pub fn by_reference(conn: &mut DbConnection, reference: &str) -> QueryResult<Option<DepositRow>> {
    deposit::table.filter(deposit::reference.eq(reference)).select(DepositRow::as_select()).first(conn).optional()
}

/// The deposits of an account, oldest first.
///
/// # Errors
/// Those of the database.
pub fn of_account(conn: &mut DbConnection, account: AccountId) -> QueryResult<Vec<DepositRow>> {
    deposit::table.filter(deposit::account_id.eq(account)).order(deposit::id).select(DepositRow::as_select()).load(conn)
}

/// A page of the accounts that have a deposit which is held, by id.
///
/// # Errors
/// Those of the database.
pub fn accounts_with(conn: &mut DbConnection, after: AccountId, limit: i64) -> QueryResult<Vec<AccountId>> {
    deposit::table
        .filter(deposit::applied_seq.is_null().and(deposit::account_id.gt(after)))
        .distinct()
        .order(deposit::account_id)
        .limit(limit)
        .select(deposit::account_id)
        .load(conn)
}

/// Writes down interest, and up to where it is credited.
///
/// # Errors
/// Those of the database; a unique violation means that these days were credited.
pub fn credit_interest(conn: &mut DbConnection, row: &InterestRow) -> QueryResult<()> {
    diesel::insert_into(deposit_interest::table).values(row).execute(conn)?;
    diesel::update(deposit::table.filter(deposit::id.eq(row.deposit_id))).set(deposit::interest_to.eq(row.to_on)).execute(conn).map(|_| ())
}

/// What was credited on a deposit, oldest first.
///
/// # Errors
/// Those of the database.
pub fn interest_of(conn: &mut DbConnection, id: DepositId) -> QueryResult<Vec<InterestRow>> {
    deposit_interest::table.filter(deposit_interest::deposit_id.eq(id)).order(deposit_interest::from_on).select(InterestRow::as_select()).load(conn)
}

/// Writes down what a deposit became; 0 rows mean that it became something before.
///
/// # Errors
/// Those of the database.
pub fn apply(conn: &mut DbConnection, id: DepositId, seq: i64, on: NaiveDate, because: &str) -> QueryResult<usize> {
    diesel::update(deposit::table.filter(deposit::id.eq(id).and(deposit::applied_seq.is_null())))
        .set((deposit::applied_seq.eq(Some(seq)), deposit::applied_on.eq(Some(on)), deposit::applied_because.eq(Some(because))))
        .execute(conn)
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    total: i64,
}

/// How often an account did not pay well since a day: fees that stand, reminders, returned payments.
///
/// # Errors
/// Those of the database.
pub fn blemishes(conn: &mut DbConnection, account: AccountId, since: NaiveDate) -> QueryResult<i64> {
    diesel::sql_query(
        "SELECT CAST((SELECT count(*) FROM late_fee l JOIN financial_transaction f ON f.account_id = l.account_id AND f.account_seq = l.account_seq \
                WHERE l.account_id = $1 AND f.effective_on >= $2 AND (l.undone IS NULL OR l.undone = 'waived')) \
            + (SELECT count(*) FROM dunning_step s JOIN dunning_case c ON c.id = s.case_id WHERE c.account_id = $1 AND s.made_on >= $2) \
            + (SELECT count(*) FROM payment p WHERE p.account_id = $1 AND p.returned_on >= $2 AND p.restored_seq IS NULL) AS BIGINT) AS total",
    )
    .bind::<BigInt, _>(account)
    .bind::<Date, _>(since)
    .get_result::<Count>(conn)
    .map(|row| row.total)
}
