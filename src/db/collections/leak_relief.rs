//! Leak relief that was given, with its working, and the periods that a leak is held against.

use chrono::NaiveDate;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Date, Integer, Text};

use super::super::DbConnection;
use super::super::bulk::insert_all;
use super::super::schema::{leak_relief, leak_relief_part};
use crate::domain::ids::{AccountId, AgreementId, LeakReliefId, RunId};

/// A relief as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, serde::Serialize)]
#[diesel(table_name = leak_relief)]
pub struct ReliefRow {
    /// Identity.
    pub id: LeakReliefId,
    /// Whose.
    pub account_id: AccountId,
    /// The reference of its credit.
    pub reference: String,
    /// When it was given.
    pub given_on: NaiveDate,
    /// The credit, in cents, above zero.
    pub amount_cents: i64,
    /// What shows that there was a leak.
    pub evidence: String,
    /// Who gave it.
    pub given_by: String,
    /// The credit.
    pub account_seq: i64,
    /// What took it back.
    pub undone_seq: Option<i64>,
}

/// A relief to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Insertable)]
#[diesel(table_name = leak_relief, treat_none_as_default_value = false)]
pub struct NewRelief {
    /// Whose.
    pub account_id: AccountId,
    /// The reference of its credit.
    pub reference: String,
    /// When it is given.
    pub given_on: NaiveDate,
    /// The credit, in cents, above zero.
    pub amount_cents: i64,
    /// What shows that there was a leak.
    pub evidence: String,
    /// The policy that it follows.
    pub policy_sha256: String,
    /// Who gives it.
    pub given_by: String,
    /// The credit.
    pub account_seq: i64,
}

/// One segment's part.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, serde::Serialize)]
#[diesel(table_name = leak_relief_part, treat_none_as_default_value = false)]
pub struct PartRow {
    /// Of which relief.
    pub relief_id: LeakReliefId,
    /// Of which run's bill.
    pub run_id: RunId,
    /// Whose.
    pub account_id: AccountId,
    /// Which segment.
    pub segment_no: i32,
    /// What was metered, in thousandths.
    pub usage_milli: i64,
    /// What is usual.
    pub usual_milli: i64,
    /// What that was taken from: `season` or `own`.
    pub basis: String,
    /// What it is priced with.
    pub reduced_milli: i64,
    /// What was charged, in cents.
    pub was_cents: i64,
    /// What it would have been, in cents.
    pub is_cents: i64,
    /// The credit, in cents.
    pub credit_cents: i64,
}

/// Stores a relief; its parts get its id.
///
/// # Errors
/// Those of the database.
pub fn insert(conn: &mut DbConnection, new: &NewRelief, parts: &[PartRow]) -> QueryResult<LeakReliefId> {
    let id: LeakReliefId = diesel::insert_into(leak_relief::table).values(new).returning(leak_relief::id).get_result(conn)?;
    let parts: Vec<PartRow> = parts.iter().map(|part| PartRow { relief_id: id, ..part.clone() }).collect();
    insert_all!(conn, leak_relief_part::table, &parts)?;
    Ok(id)
}

/// The reliefs of an account, newest first.
///
/// # Errors
/// Those of the database.
pub fn of_account(conn: &mut DbConnection, account: AccountId, limit: i64) -> QueryResult<Vec<ReliefRow>> {
    leak_relief::table
        .filter(leak_relief::account_id.eq(account))
        .order(leak_relief::id.desc())
        .limit(limit)
        .select(ReliefRow::as_select())
        .load(conn)
}

/// The reliefs of an account that stand and have a part of a run's bill, oldest first.
///
/// # Errors
/// Those of the database.
pub fn standing_of_bill(conn: &mut DbConnection, run: RunId, account: AccountId) -> QueryResult<Vec<ReliefRow>> {
    let part = leak_relief_part::table
        .filter(leak_relief_part::relief_id.eq(leak_relief::id).and(leak_relief_part::run_id.eq(run)).and(leak_relief_part::account_id.eq(account)))
        .select(leak_relief_part::segment_no);
    leak_relief::table
        .filter(leak_relief::account_id.eq(account).and(leak_relief::undone_seq.is_null()).and(diesel::dsl::exists(part)))
        .order(leak_relief::id)
        .select(ReliefRow::as_select())
        .load(conn)
}

/// The parts of a relief.
///
/// # Errors
/// Those of the database.
pub fn parts_of(conn: &mut DbConnection, id: LeakReliefId) -> QueryResult<Vec<PartRow>> {
    leak_relief_part::table
        .filter(leak_relief_part::relief_id.eq(id))
        .order((leak_relief_part::run_id, leak_relief_part::segment_no))
        .select(PartRow::as_select())
        .load(conn)
}

/// Writes down what took a relief back; 0 rows mean that something did before.
///
/// # Errors
/// Those of the database.
pub fn undo(conn: &mut DbConnection, id: LeakReliefId, seq: i64) -> QueryResult<usize> {
    diesel::update(leak_relief::table.filter(leak_relief::id.eq(id).and(leak_relief::undone_seq.is_null())))
        .set(leak_relief::undone_seq.eq(Some(seq)))
        .execute(conn)
}

/// A segment of a bill with what relief is reckoned from.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct LeakSegment {
    /// Of which run's bill.
    #[diesel(sql_type = BigInt)]
    pub run_id: RunId,
    /// Its number on the bill.
    #[diesel(sql_type = Integer)]
    pub segment_no: i32,
    /// Whose service.
    #[diesel(sql_type = BigInt)]
    pub agreement_id: AgreementId,
    /// The service's id in files.
    #[diesel(sql_type = Text)]
    pub service_code: String,
    /// The first day.
    #[diesel(sql_type = Date)]
    pub period_start_on: NaiveDate,
    /// The day after the last.
    #[diesel(sql_type = Date)]
    pub period_end_on: NaiveDate,
    /// What was charged, in cents.
    #[diesel(sql_type = BigInt)]
    pub total_cents: i64,
    /// The inputs, as JSON.
    #[diesel(sql_type = Text)]
    pub inputs: String,
    /// Whether it closes with an estimate.
    #[diesel(sql_type = Integer)]
    pub estimated: i32,
    /// How many reliefs that stand have its service and days, on this bill or on one that came before it.
    #[diesel(sql_type = BigInt)]
    pub relieved: i64,
}

/// The segments of an account that stand, by service and period: the bills of a leak and what they are held against.
///
/// # Errors
/// Those of the database.
pub fn segments_of(conn: &mut DbConnection, account: AccountId, since: NaiveDate) -> QueryResult<Vec<LeakSegment>> {
    diesel::sql_query(
        "SELECT s.run_id, s.segment_no, s.agreement_id, p.code AS service_code, s.period_start_on, s.period_end_on, s.total_cents, s.inputs, \
            s.estimated, CAST((SELECT count(*) FROM leak_relief_part x JOIN leak_relief l ON l.id = x.relief_id \
                JOIN bill_segment z ON z.run_id = x.run_id AND z.account_id = x.account_id AND z.segment_no = x.segment_no \
                WHERE x.account_id = s.account_id AND z.agreement_id = s.agreement_id AND z.period_start_on < s.period_end_on \
                AND z.period_end_on > s.period_start_on AND l.undone_seq IS NULL \
                AND NOT EXISTS (SELECT 1 FROM adjustment o JOIN adjustment_reversal v ON v.reverses_id = o.id \
                    WHERE o.account_id = l.account_id AND o.account_seq = l.account_seq)) AS BIGINT) AS relieved \
         FROM bill_segment s JOIN bill b ON b.run_id = s.run_id AND b.account_id = s.account_id AND b.status = 'issued' \
         JOIN service_agreement a ON a.id = s.agreement_id JOIN service_point p ON p.id = a.service_point_id \
         WHERE s.account_id = $1 AND s.live = 1 AND s.period_end_on >= $2 ORDER BY s.agreement_id, s.period_start_on",
    )
    .bind::<BigInt, _>(account)
    .bind::<Date, _>(since)
    .load(conn)
}
