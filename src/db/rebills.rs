//! Bills that are cancelled and billed anew: what was asked, account by account and bill by bill.

use chrono::{NaiveDate, NaiveDateTime};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Date, Integer, Nullable, Text};

use super::DbConnection;
use super::bulk::{in_list, insert_all};
use super::schema::{bill, rebill, rebill_account, rebill_bill};
use crate::domain::ids::{AccountId, AgreementId, CaseId, FindingId, RebillId, RunId};

/// A request as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, serde::Serialize)]
#[diesel(table_name = rebill)]
pub struct RebillRow {
    /// Identity.
    pub id: RebillId,
    /// The idempotency key.
    #[serde(skip)]
    pub token: String,
    /// `cancel` or `rebill`.
    pub kind: String,
    /// Why, in words.
    pub reason: String,
    /// Reads up to and including this day are billed anew.
    pub through_on: NaiveDate,
    /// The case of overcharges that it mends.
    pub case_id: Option<CaseId>,
    /// `cancelling`, `billing` or `done`.
    pub status: String,
    /// The run that billed the accounts anew.
    pub run_id: Option<RunId>,
    /// Who asked.
    pub asked_by: String,
    /// When, UTC.
    pub asked_at: NaiveDateTime,
    /// When all of it was done, UTC.
    pub finished_at: Option<NaiveDateTime>,
}

/// A request to be stored.
#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = rebill, treat_none_as_default_value = false)]
pub struct NewRebill {
    /// The idempotency key.
    pub token: String,
    /// `cancel` or `rebill`.
    pub kind: String,
    /// Why, in words.
    pub reason: String,
    /// Reads up to and including this day are billed anew.
    pub through_on: NaiveDate,
    /// The case of overcharges that it mends.
    pub case_id: Option<CaseId>,
    /// `cancelling`.
    pub status: String,
    /// Who asks.
    pub asked_by: String,
    /// When, UTC.
    pub asked_at: NaiveDateTime,
}

/// An account of a request.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, serde::Serialize)]
#[diesel(table_name = rebill_account, treat_none_as_default_value = false)]
pub struct RebillAccountRow {
    /// The request.
    pub rebill_id: RebillId,
    /// The account.
    pub account_id: AccountId,
    /// `open`, `refused`, `cancelled` or `billed`.
    pub state: String,
    /// What the bills to be cancelled charge, in cents.
    pub before_cents: i64,
    /// What billing them anew is foreseen to charge, in cents.
    pub expected_cents: i64,
    /// Segments of the bills to be cancelled.
    pub segments: i64,
    /// Why it is refused, in words; else empty.
    pub note: String,
}

/// A bill of a request.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = rebill_bill, treat_none_as_default_value = false)]
pub struct RebillBillRow {
    /// The request.
    pub rebill_id: RebillId,
    /// The bill's run.
    pub run_id: RunId,
    /// The bill's account.
    pub account_id: AccountId,
    /// 1 when it was named, 0 when it stands on one that was.
    pub asked: i32,
    /// `open`, `refused` or `cancelled`.
    pub state: String,
}

/// Stores a request with its accounts and bills.
///
/// # Errors
/// Those of the database; a unique violation means that a bill of it is in another request ([`super::LostRace`]).
pub fn insert(
    conn: &mut DbConnection,
    row: &NewRebill,
    accounts: impl Fn(RebillId) -> (Vec<RebillAccountRow>, Vec<RebillBillRow>),
) -> QueryResult<RebillId> {
    let id: RebillId = diesel::insert_into(rebill::table).values(row).returning(rebill::id).get_result(conn)?;
    let (accounts, bills) = accounts(id);
    insert_all!(&mut *conn, rebill_account::table, &accounts)?;
    insert_all!(conn, rebill_bill::table, &bills)?;
    Ok(id)
}

/// Stores a request that is never committed, under a number of its own.
///
/// # Errors
/// Those of the database.
pub fn insert_foreseen(conn: &mut DbConnection, id: RebillId, row: &NewRebill, accounts: &[RebillAccountRow]) -> QueryResult<()> {
    diesel::insert_into(rebill::table).values((rebill::id.eq(id), row)).execute(conn)?;
    insert_all!(conn, rebill_account::table, accounts).map(|_| ())
}

/// A request.
///
/// # Errors
/// Those of the database.
pub fn by_id(conn: &mut DbConnection, id: RebillId) -> QueryResult<Option<RebillRow>> {
    rebill::table.find(id).select(RebillRow::as_select()).first(conn).optional()
}

/// The request with an idempotency key.
///
/// # Errors
/// Those of the database.
pub fn by_token(conn: &mut DbConnection, token: &str) -> QueryResult<Option<RebillRow>> {
    rebill::table.filter(rebill::token.eq(token)).select(RebillRow::as_select()).first(conn).optional()
}

/// The requests that are not done, oldest first.
///
/// # Errors
/// Those of the database.
pub fn unfinished(conn: &mut DbConnection) -> QueryResult<Vec<RebillRow>> {
    rebill::table.filter(rebill::status.ne("done")).order(rebill::id).select(RebillRow::as_select()).load(conn)
}

/// The requests that mend a case, oldest first.
///
/// # Errors
/// Those of the database.
pub fn of_case(conn: &mut DbConnection, case: CaseId) -> QueryResult<Vec<RebillRow>> {
    rebill::table.filter(rebill::case_id.eq(Some(case))).order(rebill::id).select(RebillRow::as_select()).load(conn)
}

/// The requests before one, newest first.
///
/// # Errors
/// Those of the database.
pub fn page(conn: &mut DbConnection, before: RebillId, limit: i64) -> QueryResult<Vec<RebillRow>> {
    rebill::table.filter(rebill::id.lt(before)).order(rebill::id.desc()).limit(limit).select(RebillRow::as_select()).load(conn)
}

/// Moves a request from one status to another; false when it was not in the first.
///
/// # Errors
/// Those of the database.
pub fn set_status(conn: &mut DbConnection, id: RebillId, from: &str, to: &str) -> QueryResult<bool> {
    diesel::update(rebill::table.filter(rebill::id.eq(id).and(rebill::status.eq(from))))
        .set(rebill::status.eq(to))
        .execute(conn)
        .map(|count| count == 1)
}

/// Ends a request; false when it had ended.
///
/// # Errors
/// Those of the database.
pub fn finish(conn: &mut DbConnection, id: RebillId, run: Option<RunId>, now: NaiveDateTime) -> QueryResult<bool> {
    diesel::update(rebill::table.filter(rebill::id.eq(id).and(rebill::status.ne("done"))))
        .set((rebill::status.eq("done"), rebill::run_id.eq(run), rebill::finished_at.eq(Some(now))))
        .execute(conn)
        .map(|count| count == 1)
}

/// A request's accounts in a state after one, by id; in any state without one named.
///
/// # Errors
/// Those of the database.
pub fn accounts(conn: &mut DbConnection, id: RebillId, state: Option<&str>, after: AccountId, limit: i64) -> QueryResult<Vec<RebillAccountRow>> {
    let mut query = rebill_account::table
        .filter(rebill_account::rebill_id.eq(id).and(rebill_account::account_id.gt(after)))
        .order(rebill_account::account_id)
        .limit(limit)
        .select(RebillAccountRow::as_select())
        .into_boxed();
    if let Some(state) = state {
        query = query.filter(rebill_account::state.eq(state.to_owned()));
    }
    query.load(conn)
}

/// A request's bills of these accounts.
///
/// # Errors
/// Those of the database.
pub fn bills(conn: &mut DbConnection, id: RebillId, accounts: &[AccountId]) -> QueryResult<Vec<RebillBillRow>> {
    rebill_bill::table
        .filter(rebill_bill::rebill_id.eq(id).and(rebill_bill::account_id.eq_any(accounts)))
        .order((rebill_bill::account_id, rebill_bill::run_id))
        .select(RebillBillRow::as_select())
        .load(conn)
}

/// What is asked of the bills of these accounts, by any request that did not refuse them.
///
/// # Errors
/// Those of the database.
pub fn claims(conn: &mut DbConnection, accounts: &[AccountId]) -> QueryResult<Vec<RebillBillRow>> {
    rebill_bill::table
        .filter(rebill_bill::account_id.eq_any(accounts).and(rebill_bill::state.ne("refused")))
        .order((rebill_bill::account_id, rebill_bill::run_id))
        .select(RebillBillRow::as_select())
        .load(conn)
}

/// The bills of these accounts that stand or were cancelled, by account and position.
///
/// # Errors
/// Those of the database.
pub fn bills_of_accounts(conn: &mut DbConnection, accounts: &[AccountId]) -> QueryResult<Vec<super::billing::BillRow>> {
    bill::table
        .filter(bill::account_id.eq_any(accounts))
        .order((bill::account_id, bill::account_seq))
        .select(super::billing::BillRow::as_select())
        .load(conn)
}

/// Moves accounts of a request on with their bills.
///
/// # Errors
/// Those of the database.
pub fn mark_cancelled(conn: &mut DbConnection, id: RebillId, accounts: &[AccountId]) -> QueryResult<()> {
    let mine = rebill_account::rebill_id.eq(id).and(rebill_account::account_id.eq_any(accounts)).and(rebill_account::state.eq("open"));
    diesel::update(rebill_account::table.filter(mine)).set(rebill_account::state.eq("cancelled")).execute(conn)?;
    let bills = rebill_bill::rebill_id.eq(id).and(rebill_bill::account_id.eq_any(accounts)).and(rebill_bill::state.eq("open"));
    diesel::update(rebill_bill::table.filter(bills)).set(rebill_bill::state.eq("cancelled")).execute(conn).map(|_| ())
}

/// Refuses an account of a request: nothing is done to it.
///
/// # Errors
/// Those of the database.
pub fn refuse(conn: &mut DbConnection, id: RebillId, account: AccountId, note: &str) -> QueryResult<()> {
    let mine = rebill_account::rebill_id.eq(id).and(rebill_account::account_id.eq(account)).and(rebill_account::state.eq("open"));
    diesel::update(rebill_account::table.filter(mine)).set((rebill_account::state.eq("refused"), rebill_account::note.eq(note))).execute(conn)?;
    let bills = rebill_bill::rebill_id.eq(id).and(rebill_bill::account_id.eq(account)).and(rebill_bill::state.eq("open"));
    diesel::update(rebill_bill::table.filter(bills)).set(rebill_bill::state.eq("refused")).execute(conn).map(|_| ())
}

/// Marks accounts whose bills were cancelled as billed anew.
///
/// # Errors
/// Those of the database.
pub fn mark_billed(conn: &mut DbConnection, id: RebillId, accounts: &[AccountId]) -> QueryResult<usize> {
    let mine = rebill_account::rebill_id.eq(id).and(rebill_account::account_id.eq_any(accounts)).and(rebill_account::state.eq("cancelled"));
    diesel::update(rebill_account::table.filter(mine)).set(rebill_account::state.eq("billed")).execute(conn)
}

/// An account whose bills were cancelled, and that waits to be billed anew.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct WaitingAccount {
    /// The account.
    #[diesel(sql_type = BigInt)]
    pub account_id: AccountId,
    /// The request.
    #[diesel(sql_type = BigInt)]
    pub rebill_id: RebillId,
    /// The case of overcharges that it mends.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub case_id: Option<CaseId>,
}

/// The accounts of a range whose bills were cancelled to be billed anew, and were not yet.
///
/// # Errors
/// Those of the database.
pub fn waiting(conn: &mut DbConnection, first: AccountId, last: AccountId) -> QueryResult<Vec<WaitingAccount>> {
    diesel::sql_query(
        "SELECT l.account_id, l.rebill_id, r.case_id FROM rebill_account l JOIN rebill r ON r.id = l.rebill_id AND r.kind = 'rebill' \
         WHERE l.account_id BETWEEN $1 AND $2 AND l.state = 'cancelled' ORDER BY l.account_id, l.rebill_id",
    )
    .bind::<BigInt, _>(first)
    .bind::<BigInt, _>(last)
    .load(conn)
}

/// An agreement whose bills were cancelled, and how far they went.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct CancelledUntil {
    /// The agreement.
    #[diesel(sql_type = BigInt)]
    pub agreement_id: AgreementId,
    /// The day after the last that its cancelled bills billed.
    #[diesel(sql_type = Date)]
    pub until_on: NaiveDate,
}

/// How far the cancelled bills went of the accounts of a range that wait to be billed anew, by agreement.
///
/// # Errors
/// Those of the database.
pub fn cancelled_until(conn: &mut DbConnection, first: AccountId, last: AccountId) -> QueryResult<Vec<CancelledUntil>> {
    diesel::sql_query(
        "SELECT s.agreement_id, max(s.period_end_on) AS until_on FROM rebill_account w \
         JOIN rebill r ON r.id = w.rebill_id AND r.kind = 'rebill' \
         JOIN rebill_bill l ON l.rebill_id = w.rebill_id AND l.account_id = w.account_id AND l.state = 'cancelled' \
         JOIN bill_segment s ON s.run_id = l.run_id AND s.account_id = l.account_id \
         WHERE w.account_id BETWEEN $1 AND $2 AND w.state = 'cancelled' GROUP BY s.agreement_id",
    )
    .bind::<BigInt, _>(first)
    .bind::<BigInt, _>(last)
    .load(conn)
}

/// What a run charges an account for the days of the bills that a request cancelled.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct BilledFor {
    /// The account.
    #[diesel(sql_type = BigInt)]
    pub account_id: AccountId,
    /// In cents.
    #[diesel(sql_type = BigInt)]
    pub total_cents: i64,
}

/// What a run charges the accounts of a range for the days of the bills that a request cancelled: other days may be on the same
/// bill.
///
/// # Errors
/// Those of the database.
pub fn billed_for(conn: &mut DbConnection, id: RebillId, run: RunId, first: AccountId, last: AccountId) -> QueryResult<Vec<BilledFor>> {
    diesel::sql_query(
        "SELECT s.account_id, CAST(sum(s.total_cents) AS BIGINT) AS total_cents FROM bill_segment s \
         WHERE s.run_id = $1 AND s.account_id BETWEEN $2 AND $3 AND EXISTS (SELECT 1 FROM rebill_bill l \
            JOIN bill_segment o ON o.run_id = l.run_id AND o.account_id = l.account_id \
            WHERE l.rebill_id = $4 AND l.state = 'cancelled' AND l.account_id = s.account_id AND o.agreement_id = s.agreement_id \
                AND o.period_start_on < s.period_end_on AND o.period_end_on > s.period_start_on) \
         GROUP BY s.account_id",
    )
    .bind::<BigInt, _>(run)
    .bind::<BigInt, _>(first)
    .bind::<BigInt, _>(last)
    .bind::<BigInt, _>(id)
    .load(conn)
}

/// What stands about charges in the way of billing their days anew: a difference that was let be, or one that a credit has put
/// right.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct InTheWay {
    /// The finding.
    #[diesel(sql_type = BigInt)]
    pub id: FindingId,
    /// The account.
    #[diesel(sql_type = BigInt)]
    pub account_id: AccountId,
    /// The agreement.
    #[diesel(sql_type = BigInt)]
    pub agreement_id: AgreementId,
    /// First day.
    #[diesel(sql_type = Date)]
    pub from_on: NaiveDate,
    /// The day after the last.
    #[diesel(sql_type = Date)]
    pub to_on: NaiveDate,
    /// What bills charged, in cents.
    #[diesel(sql_type = BigInt)]
    pub billed_cents: i64,
    /// What it should have come to, in cents.
    #[diesel(sql_type = BigInt)]
    pub should_cents: i64,
    /// What putting it right moved beside the bills, in cents: 0 for what was let be.
    #[diesel(sql_type = BigInt)]
    pub mended_cents: i64,
}

impl InTheWay {
    /// Whether it is about days of an agreement, from one to the day before another.
    #[must_use]
    pub fn overlaps(&self, agreement: AgreementId, from_on: NaiveDate, to_on: NaiveDate) -> bool {
        self.agreement_id == agreement && from_on < self.to_on && to_on > self.from_on
    }
}

/// What was put right beside the bills of these accounts, by account.
///
/// # Errors
/// Those of the database.
pub fn put_right_for(conn: &mut DbConnection, accounts: &[AccountId]) -> QueryResult<Vec<InTheWay>> {
    in_the_way(conn, accounts, "status = 'settled' AND mended_cents <> 0")
}

/// What was let be of these accounts, by account.
///
/// # Errors
/// Those of the database.
pub fn let_be(conn: &mut DbConnection, accounts: &[AccountId]) -> QueryResult<Vec<InTheWay>> {
    in_the_way(conn, accounts, "status = 'dismissed'")
}

fn in_the_way(conn: &mut DbConnection, accounts: &[AccountId], how: &'static str) -> QueryResult<Vec<InTheWay>> {
    let list = in_list(accounts.iter().map(|id| id.0));
    diesel::sql_query(format!(
        "SELECT id, account_id, agreement_id, from_on, to_on, billed_cents, should_cents, mended_cents FROM overcharge_finding \
         WHERE account_id IN ({list}) AND kind = 'charge' AND information = 0 AND agreement_id IS NOT NULL AND {how} ORDER BY account_id, id"
    ))
    .load(conn)
}

/// The first finding that was put right beside bills of a run that stand, among the accounts from one to another.
///
/// # Errors
/// Those of the database.
pub fn put_right_beside(conn: &mut DbConnection, run: RunId, first: AccountId, last: AccountId) -> QueryResult<Option<InTheWay>> {
    diesel::sql_query(
        "SELECT f.id, f.account_id, f.agreement_id, f.from_on, f.to_on, f.billed_cents, f.should_cents, f.mended_cents FROM overcharge_finding f \
         WHERE f.account_id BETWEEN $1 AND $2 AND f.kind = 'charge' AND f.status = 'settled' AND f.mended_cents <> 0 \
            AND EXISTS (SELECT 1 FROM bill_segment s WHERE s.agreement_id = f.agreement_id AND s.live = 1 AND s.run_id = $3 \
                AND s.period_start_on < f.to_on AND s.period_end_on > f.from_on) \
         ORDER BY f.account_id, f.id LIMIT 1",
    )
    .bind::<BigInt, _>(first)
    .bind::<BigInt, _>(last)
    .bind::<BigInt, _>(run)
    .get_result(conn)
    .optional()
}

/// What a request comes to, by the state of its accounts.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName, serde::Serialize)]
pub struct StateSum {
    /// The state.
    #[diesel(sql_type = Text)]
    pub state: String,
    /// Accounts in it.
    #[diesel(sql_type = BigInt)]
    pub accounts: i64,
    /// Segments of their bills to be cancelled.
    #[diesel(sql_type = BigInt)]
    pub segments: i64,
    /// What those bills charge, in cents.
    #[diesel(sql_type = BigInt)]
    pub before_cents: i64,
    /// What billing them anew is foreseen to charge, in cents.
    #[diesel(sql_type = BigInt)]
    pub expected_cents: i64,
}

/// What a request comes to, by state.
///
/// # Errors
/// Those of the database.
pub fn sums(conn: &mut DbConnection, id: RebillId) -> QueryResult<Vec<StateSum>> {
    diesel::sql_query(
        "SELECT state, CAST(count(*) AS BIGINT) AS accounts, CAST(sum(segments) AS BIGINT) AS segments, \
            CAST(sum(before_cents) AS BIGINT) AS before_cents, CAST(sum(expected_cents) AS BIGINT) AS expected_cents \
         FROM rebill_account WHERE rebill_id = $1 GROUP BY state ORDER BY state",
    )
    .bind::<BigInt, _>(id)
    .load(conn)
}

/// What the accounts of a request come to that still wait and that a run bills.
///
/// # Errors
/// Those of the database.
pub fn sums_billed_by(conn: &mut DbConnection, id: RebillId, run: RunId) -> QueryResult<StateSum> {
    diesel::sql_query(
        "SELECT 'cancelled' AS state, CAST(count(*) AS BIGINT) AS accounts, CAST(coalesce(sum(l.segments), 0) AS BIGINT) AS segments, \
            CAST(coalesce(sum(l.before_cents), 0) AS BIGINT) AS before_cents, CAST(coalesce(sum(l.expected_cents), 0) AS BIGINT) AS expected_cents \
         FROM rebill_account l WHERE l.rebill_id = $1 AND l.state = 'cancelled' \
            AND EXISTS (SELECT 1 FROM bill_segment s WHERE s.run_id = $2 AND s.account_id = l.account_id AND s.live = 1)",
    )
    .bind::<BigInt, _>(id)
    .bind::<BigInt, _>(run)
    .get_result(conn)
}

/// A segment that stands, with its bill; without one where its run is not issued.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct StandingSegment {
    /// The account.
    #[diesel(sql_type = BigInt)]
    pub account_id: AccountId,
    /// The run.
    #[diesel(sql_type = BigInt)]
    pub run_id: RunId,
    /// Where the run stands.
    #[diesel(sql_type = Text)]
    pub run_status: String,
    /// The agreement.
    #[diesel(sql_type = BigInt)]
    pub agreement_id: AgreementId,
    /// Its first day.
    #[diesel(sql_type = Date)]
    pub period_start_on: NaiveDate,
    /// The day after its last.
    #[diesel(sql_type = Date)]
    pub period_end_on: NaiveDate,
    /// Its charges, in cents.
    #[diesel(sql_type = BigInt)]
    pub total_cents: i64,
    /// The part of them that is tax, in cents.
    #[diesel(sql_type = BigInt)]
    pub tax_cents: i64,
    /// Its bill's position in the ledger.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub bill_seq: Option<i64>,
    /// Its bill's amount due, in cents.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub amount_due_cents: Option<i64>,
}

/// The segments of these accounts that stand, by account, run and number.
///
/// # Errors
/// Those of the database.
pub fn standing_segments(conn: &mut DbConnection, accounts: &[AccountId]) -> QueryResult<Vec<StandingSegment>> {
    let list = in_list(accounts.iter().map(|id| id.0));
    // By agreement, because that is how the index of what stands goes.
    diesel::sql_query(format!(
        "SELECT s.account_id, s.run_id, r.status AS run_status, s.agreement_id, s.period_start_on, s.period_end_on, s.total_cents, s.tax_cents, \
            b.account_seq AS bill_seq, b.amount_due_cents \
         FROM service_agreement a \
         JOIN bill_segment s ON s.agreement_id = a.id AND s.live = 1 \
         JOIN bill_run r ON r.id = s.run_id \
         LEFT JOIN bill b ON b.run_id = s.run_id AND b.account_id = s.account_id AND b.status = 'issued' \
         WHERE a.account_id IN ({list}) ORDER BY s.account_id, s.run_id, s.segment_no"
    ))
    .load(conn)
}

/// A bill that a request cancelled, as its customer knew it.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct CancelledBill {
    /// The account.
    #[diesel(sql_type = BigInt)]
    pub account_id: AccountId,
    /// Its run.
    #[diesel(sql_type = BigInt)]
    pub run_id: RunId,
    /// Whether it was named.
    #[diesel(sql_type = Integer)]
    pub asked: i32,
    /// Its charges, in cents.
    #[diesel(sql_type = BigInt)]
    pub total_cents: i64,
    /// What it asked for, in cents.
    #[diesel(sql_type = BigInt)]
    pub amount_due_cents: i64,
}

/// The bills that a request cancelled in a range of accounts, by account and position.
///
/// # Errors
/// Those of the database.
pub fn cancelled_bills(conn: &mut DbConnection, id: RebillId, first: AccountId, last: AccountId) -> QueryResult<Vec<CancelledBill>> {
    diesel::sql_query(
        "SELECT l.account_id, l.run_id, l.asked, b.total_cents, b.amount_due_cents FROM rebill_bill l \
         JOIN bill b ON b.run_id = l.run_id AND b.account_id = l.account_id \
         WHERE l.rebill_id = $1 AND l.account_id BETWEEN $2 AND $3 AND l.state = 'cancelled' ORDER BY l.account_id, b.account_seq",
    )
    .bind::<BigInt, _>(id)
    .bind::<BigInt, _>(first)
    .bind::<BigInt, _>(last)
    .load(conn)
}

/// Where a bill that was cancelled went: the request, and the run that billed it anew.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Replaced {
    /// The request.
    #[diesel(sql_type = BigInt)]
    pub rebill_id: RebillId,
    /// Its status.
    #[diesel(sql_type = Text)]
    pub status: String,
    /// The run of the bill in its place.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub run_id: Option<RunId>,
}

/// The request that a bill was cancelled by.
///
/// # Errors
/// Those of the database.
pub fn replaced(conn: &mut DbConnection, run: RunId, account: AccountId) -> QueryResult<Option<Replaced>> {
    diesel::sql_query(
        "SELECT r.id AS rebill_id, r.status, \
            (SELECT n.run_id FROM bill n JOIN bill_run w ON w.id = n.run_id WHERE n.account_id = l.account_id AND w.cycle = 'rebill:' || r.id \
             ORDER BY n.run_id LIMIT 1) AS run_id \
         FROM rebill_bill l JOIN rebill r ON r.id = l.rebill_id WHERE l.run_id = $1 AND l.account_id = $2 AND l.state <> 'refused'",
    )
    .bind::<BigInt, _>(run)
    .bind::<BigInt, _>(account)
    .get_result(conn)
    .optional()
}
