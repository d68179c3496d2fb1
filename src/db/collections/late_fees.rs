//! Late fees: charged for a bill, taken back or waived once.

use chrono::NaiveDate;
use diesel::prelude::*;

use super::super::DbConnection;
use super::super::schema::late_fee;
use crate::domain::ids::{AccountId, LateFeeId, RunId};

/// A fee as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, serde::Serialize)]
#[diesel(table_name = late_fee)]
pub struct LateFeeRow {
    /// Identity.
    pub id: LateFeeId,
    /// Of which run's bill.
    pub run_id: RunId,
    /// Whose.
    pub account_id: AccountId,
    /// Which fee of the bill, from 1.
    pub number: i32,
    /// The last day on which a payment was in time.
    pub deadline_on: NaiveDate,
    /// What of the bill was unpaid then, in cents.
    pub unpaid_cents: i64,
    /// The fee, in cents.
    pub amount_cents: i64,
    /// The policy that it follows.
    pub policy_sha256: String,
    /// The transaction that charged it.
    pub account_seq: i64,
    /// The transaction that undid it.
    pub undone_seq: Option<i64>,
    /// `taken_back` or `waived`.
    pub undone: Option<String>,
    /// Why.
    pub because: Option<String>,
}

impl LateFeeRow {
    /// Whether it was waived.
    #[must_use]
    pub fn is_waived(&self) -> bool {
        self.undone.as_deref() == Some("waived")
    }
}

/// A fee to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Insertable)]
#[diesel(table_name = late_fee, treat_none_as_default_value = false)]
pub struct NewLateFee {
    /// Of which run's bill.
    pub run_id: RunId,
    /// Whose.
    pub account_id: AccountId,
    /// Which fee of the bill, from 1.
    pub number: i32,
    /// The last day on which a payment was in time.
    pub deadline_on: NaiveDate,
    /// What of the bill was unpaid then, in cents.
    pub unpaid_cents: i64,
    /// The fee, in cents.
    pub amount_cents: i64,
    /// The policy that it follows.
    pub policy_sha256: String,
    /// The transaction that charged it.
    pub account_seq: i64,
}

/// Stores a fee.
///
/// # Errors
/// Those of the database; a unique violation means that the bill has it already.
pub fn insert(conn: &mut DbConnection, new: &NewLateFee) -> QueryResult<()> {
    diesel::insert_into(late_fee::table).values(new).execute(conn).map(|_| ())
}

/// The fees of an account, in the order in which they were charged.
///
/// # Errors
/// Those of the database.
pub fn of_account(conn: &mut DbConnection, account: AccountId) -> QueryResult<Vec<LateFeeRow>> {
    late_fee::table.filter(late_fee::account_id.eq(account)).order(late_fee::account_seq).select(LateFeeRow::as_select()).load(conn)
}

/// Writes down what undid a fee; 0 rows mean that something did before.
///
/// # Errors
/// Those of the database.
pub fn undo(conn: &mut DbConnection, id: LateFeeId, seq: i64, how: &str, because: &str) -> QueryResult<usize> {
    diesel::update(late_fee::table.filter(late_fee::id.eq(id).and(late_fee::undone_seq.is_null())))
        .set((late_fee::undone_seq.eq(Some(seq)), late_fee::undone.eq(Some(how)), late_fee::because.eq(Some(because))))
        .execute(conn)
}
