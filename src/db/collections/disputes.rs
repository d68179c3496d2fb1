//! Disputes: what customers ask about bills, and what they are answered.

use chrono::{NaiveDate, NaiveDateTime};
use diesel::prelude::*;

use super::super::DbConnection;
use super::super::schema::{account, bill, bill_hold, dispute};
use crate::domain::ids::{AccountId, DisputeId, RunId};

/// A question as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, serde::Serialize)]
#[diesel(table_name = dispute)]
pub struct DisputeRow {
    /// Identity.
    pub id: DisputeId,
    /// The form that asked it.
    pub form_key: String,
    /// About which run's bill.
    pub run_id: RunId,
    /// Whose.
    pub account_id: AccountId,
    /// Which part of the bill; empty for all of it.
    pub about: String,
    /// The reason's code.
    pub reason: String,
    /// In the customer's words.
    pub words: String,
    /// Who asked.
    pub asked_by: String,
    /// When, UTC.
    pub asked_at: NaiveDateTime,
    /// The day.
    pub asked_on: NaiveDate,
    /// Until when it must be answered.
    pub due_on: NaiveDate,
    /// The question that it asks again.
    pub again_of: Option<DisputeId>,
    /// `upheld`, `partly` or `declined`; none while it is open.
    pub answer: Option<String>,
    /// The answer's words.
    pub answer_words: Option<String>,
    /// What puts the bill right.
    pub remedy: Option<String>,
    /// Who answered.
    pub answered_by: Option<String>,
    /// When, UTC.
    pub answered_at: Option<NaiveDateTime>,
    /// The day.
    pub answered_on: Option<NaiveDate>,
    /// Until when what is left can be paid without a fee.
    pub pay_by: Option<NaiveDate>,
}

/// A question to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Insertable)]
#[diesel(table_name = dispute, treat_none_as_default_value = false)]
pub struct NewDispute {
    /// The form that asks it.
    pub form_key: String,
    /// About which run's bill.
    pub run_id: RunId,
    /// Whose.
    pub account_id: AccountId,
    /// Which part of the bill; empty for all of it.
    pub about: String,
    /// The reason's code.
    pub reason: String,
    /// In the customer's words.
    pub words: String,
    /// Who asks.
    pub asked_by: String,
    /// When, UTC.
    pub asked_at: NaiveDateTime,
    /// The day.
    pub asked_on: NaiveDate,
    /// Until when it must be answered.
    pub due_on: NaiveDate,
    /// The policy that says so.
    pub policy_sha256: String,
    /// The question that it asks again.
    pub again_of: Option<DisputeId>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, AsChangeset)]
#[diesel(table_name = dispute)]
pub struct GivenAnswer {
    /// `upheld`, `partly` or `declined`.
    pub answer: Option<String>,
    /// In words.
    pub answer_words: Option<String>,
    /// What puts the bill right.
    pub remedy: Option<String>,
    /// Who answers.
    pub answered_by: Option<String>,
    /// When, UTC.
    pub answered_at: Option<NaiveDateTime>,
    /// The day.
    pub answered_on: Option<NaiveDate>,
    /// Until when what is left can be paid without a fee.
    pub pay_by: Option<NaiveDate>,
}

/// Stores a question.
///
/// # Errors
/// Those of the database; a unique violation means that the bill has an open one, or that it was asked again already.
pub fn insert(conn: &mut DbConnection, new: &NewDispute) -> QueryResult<DisputeId> {
    diesel::insert_into(dispute::table).values(new).returning(dispute::id).get_result(conn)
}

/// A question.
///
/// # Errors
/// Those of the database.
pub fn by_id(conn: &mut DbConnection, id: DisputeId) -> QueryResult<Option<DisputeRow>> {
    dispute::table.filter(dispute::id.eq(id)).select(DisputeRow::as_select()).first(conn).optional()
}

/// The question that a form asked.
///
/// # Errors
/// Those of the database.
pub fn by_form(conn: &mut DbConnection, form_key: &str) -> QueryResult<Option<DisputeRow>> {
    dispute::table.filter(dispute::form_key.eq(form_key)).select(DisputeRow::as_select()).first(conn).optional()
}

/// The questions about a bill, oldest first.
///
/// # Errors
/// Those of the database.
pub fn of_bill(conn: &mut DbConnection, run: RunId, account_id: AccountId) -> QueryResult<Vec<DisputeRow>> {
    dispute::table
        .filter(dispute::run_id.eq(run).and(dispute::account_id.eq(account_id)))
        .order(dispute::id)
        .select(DisputeRow::as_select())
        .load(conn)
}

/// The open questions of a range of accounts about bills that were taken back, oldest first.
///
/// # Errors
/// Those of the database.
pub fn open_of_cancelled(conn: &mut DbConnection, first: AccountId, last: AccountId) -> QueryResult<Vec<DisputeRow>> {
    let gone = bill::table
        .filter(bill::run_id.eq(dispute::run_id).and(bill::account_id.eq(dispute::account_id)).and(bill::status.eq("cancelled")))
        .select(bill::run_id);
    dispute::table
        .filter(dispute::account_id.between(first, last).and(dispute::answer.is_null()).and(diesel::dsl::exists(gone)))
        .order(dispute::id)
        .select(DisputeRow::as_select())
        .load(conn)
}

/// The runs of an account's bills that are held for a question about a bill that was taken back.
///
/// # Errors
/// Those of the database.
pub fn carried(conn: &mut DbConnection, account_id: AccountId) -> QueryResult<Vec<RunId>> {
    let own = dispute::table
        .filter(dispute::run_id.eq(bill_hold::run_id).and(dispute::account_id.eq(bill_hold::account_id)).and(dispute::answer.is_null()))
        .select(dispute::id);
    bill_hold::table
        .filter(bill_hold::account_id.eq(account_id).and(bill_hold::kind.eq("disputed")).and(bill_hold::released_at.is_null()))
        .filter(diesel::dsl::not(diesel::dsl::exists(own)))
        .select(bill_hold::run_id)
        .load(conn)
}

/// How many questions wait for an answer beyond their day.
///
/// # Errors
/// Those of the database.
pub fn count_late(conn: &mut DbConnection, today: NaiveDate) -> QueryResult<i64> {
    dispute::table.filter(dispute::answer.is_null().and(dispute::due_on.lt(today))).count().get_result(conn)
}

/// The questions of an account, newest first.
///
/// # Errors
/// Those of the database.
pub fn of_account(conn: &mut DbConnection, account_id: AccountId, limit: i64) -> QueryResult<Vec<DisputeRow>> {
    dispute::table.filter(dispute::account_id.eq(account_id)).order(dispute::id.desc()).limit(limit).select(DisputeRow::as_select()).load(conn)
}

/// A page of questions with their account's number: open ones by their day, or all of them, newest first, before an id.
///
/// # Errors
/// Those of the database.
pub fn page(conn: &mut DbConnection, open: bool, before: DisputeId, limit: i64) -> QueryResult<Vec<(DisputeRow, String)>> {
    let query = dispute::table
        .inner_join(account::table.on(account::id.eq(dispute::account_id)))
        .filter(dispute::id.lt(before))
        .select((DisputeRow::as_select(), account::number))
        .limit(limit);
    if open {
        query.filter(dispute::answer.is_null()).order((dispute::due_on, dispute::id)).load(conn)
    } else {
        query.order(dispute::id.desc()).load(conn)
    }
}

/// Answers a question; 0 rows mean that it was answered before.
///
/// # Errors
/// Those of the database.
pub fn answer(conn: &mut DbConnection, id: DisputeId, given: &GivenAnswer) -> QueryResult<usize> {
    diesel::update(dispute::table.filter(dispute::id.eq(id).and(dispute::answer.is_null()))).set(given).execute(conn)
}
