//! Pay plans and their instalments.

use chrono::{NaiveDate, NaiveDateTime};
use diesel::prelude::*;

use super::super::DbConnection;
use super::super::bulk::insert_all;
use super::super::schema::{pay_plan, pay_plan_instalment};
use crate::domain::ids::{AccountId, PayPlanId};

/// A plan as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, serde::Serialize)]
#[diesel(table_name = pay_plan)]
pub struct PlanRow {
    /// Identity.
    pub id: PayPlanId,
    /// Whose.
    pub account_id: AccountId,
    /// Its reference.
    pub reference: String,
    /// The ledger's position when it was agreed.
    pub from_seq: i64,
    /// What is paid by it, in cents.
    pub total_cents: i64,
    /// Why, in words.
    pub note: String,
    /// Days after an instalment's day on which it is still in time.
    pub grace_days: i32,
    /// Who agreed to it.
    pub agreed_by: String,
    /// When, UTC.
    pub agreed_at: NaiveDateTime,
    /// The day.
    pub agreed_on: NaiveDate,
    /// `active`, `kept`, `broken` or `cancelled`.
    pub state: String,
    /// When it ended.
    pub ended_on: Option<NaiveDate>,
    /// Why.
    pub ended_because: Option<String>,
}

/// A plan to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Insertable)]
#[diesel(table_name = pay_plan, treat_none_as_default_value = false)]
pub struct NewPlan {
    /// Whose.
    pub account_id: AccountId,
    /// Its reference.
    pub reference: String,
    /// The ledger's position.
    pub from_seq: i64,
    /// What is paid by it, in cents.
    pub total_cents: i64,
    /// Why, in words.
    pub note: String,
    /// The policy that it follows.
    pub policy_sha256: String,
    /// Days after an instalment's day on which it is still in time.
    pub grace_days: i32,
    /// Who agrees to it.
    pub agreed_by: String,
    /// When, UTC.
    pub agreed_at: NaiveDateTime,
    /// The day.
    pub agreed_on: NaiveDate,
    /// `active`.
    pub state: String,
}

/// An instalment as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, serde::Serialize)]
#[diesel(table_name = pay_plan_instalment, treat_none_as_default_value = false)]
pub struct InstalmentRow {
    /// Of which plan.
    pub plan_id: PayPlanId,
    /// Which, from 1.
    pub number: i32,
    /// When it is due.
    pub due_on: NaiveDate,
    /// How much, in cents.
    pub amount_cents: i64,
}

/// Stores a plan.
///
/// # Errors
/// Those of the database; a unique violation means that the account has one.
pub fn insert(conn: &mut DbConnection, new: &NewPlan, instalments: &[(NaiveDate, i64)]) -> QueryResult<PayPlanId> {
    let plan_id: PayPlanId = diesel::insert_into(pay_plan::table).values(new).returning(pay_plan::id).get_result(conn)?;
    let rows: Vec<InstalmentRow> = instalments
        .iter()
        .zip(1..)
        .map(|((due_on, amount_cents), number)| InstalmentRow { plan_id, number, due_on: *due_on, amount_cents: *amount_cents })
        .collect();
    insert_all!(conn, pay_plan_instalment::table, &rows)?;
    Ok(plan_id)
}

/// The plan of an account that holds.
///
/// # Errors
/// Those of the database.
pub fn active(conn: &mut DbConnection, account: AccountId) -> QueryResult<Option<PlanRow>> {
    pay_plan::table.filter(pay_plan::account_id.eq(account).and(pay_plan::state.eq("active"))).select(PlanRow::as_select()).first(conn).optional()
}

/// The plan with a reference.
///
/// # Errors
/// Those of the database.
pub fn by_reference(conn: &mut DbConnection, reference: &str) -> QueryResult<Option<PlanRow>> {
    pay_plan::table.filter(pay_plan::reference.eq(reference)).select(PlanRow::as_select()).first(conn).optional()
}

/// The plans of an account, newest first.
///
/// # Errors
/// Those of the database.
pub fn of_account(conn: &mut DbConnection, account: AccountId, limit: i64) -> QueryResult<Vec<PlanRow>> {
    pay_plan::table.filter(pay_plan::account_id.eq(account)).order(pay_plan::id.desc()).limit(limit).select(PlanRow::as_select()).load(conn)
}

/// The instalments of a plan in their order.
///
/// # Errors
/// Those of the database.
pub fn instalments(conn: &mut DbConnection, plan: PayPlanId) -> QueryResult<Vec<InstalmentRow>> {
    pay_plan_instalment::table
        .filter(pay_plan_instalment::plan_id.eq(plan))
        .order(pay_plan_instalment::number)
        .select(InstalmentRow::as_select())
        .load(conn)
}

/// Ends a plan; 0 rows mean that it had ended.
///
/// # Errors
/// Those of the database.
pub fn end(conn: &mut DbConnection, id: PayPlanId, state: &str, on: NaiveDate, by: &str, because: &str) -> QueryResult<usize> {
    diesel::update(pay_plan::table.filter(pay_plan::id.eq(id).and(pay_plan::state.eq("active"))))
        .set((pay_plan::state.eq(state), pay_plan::ended_on.eq(Some(on)), pay_plan::ended_by.eq(Some(by)), pay_plan::ended_because.eq(Some(because))))
        .execute(conn)
}
