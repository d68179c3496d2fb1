//! Bill runs, their chunks and exceptions, bill segments and bills.

use std::collections::BTreeSet;

use chrono::{NaiveDate, NaiveDateTime};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Date, Integer, Nullable, Text};

use super::DbConnection;
use super::bulk::{in_list, insert_all};
use super::schema::{account, bill, bill_run, bill_run_chunk, bill_run_exception, bill_segment, rebill_account, service_agreement};
use crate::domain::gates::{Comparable, RunTotals};
use crate::domain::ids::{AccountId, AgreementId, RebillId, RunId};

/// A run as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = bill_run)]
pub struct RunRow {
    /// Identity.
    pub id: RunId,
    /// The cycle, or `all`.
    pub cycle: String,
    /// Reads up to and including this day are billed.
    pub through_on: NaiveDate,
    /// Where it stands.
    pub status: String,
    /// The engine that prices it.
    pub engine_version: String,
    /// When it began, UTC.
    pub started_at: NaiveDateTime,
    /// The bills' date.
    pub bill_on: NaiveDate,
    /// The bills' due date.
    pub due_on: NaiveDate,
    /// What the gates said, as JSON; empty before they were asked.
    pub gates: String,
    /// Who approved it.
    pub approved_by: Option<String>,
    /// When it ended, UTC.
    pub finished_at: Option<NaiveDateTime>,
}

/// A chunk of a run: a range of accounts that one worker claims.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = bill_run_chunk, treat_none_as_default_value = false)]
pub struct ChunkRow {
    /// The run.
    pub run_id: RunId,
    /// Its number in the run, from 1.
    pub chunk_no: i32,
    /// First account.
    pub first_account_id: AccountId,
    /// Last account.
    pub last_account_id: AccountId,
    /// `open`, `priced`, `issued` or `rolled_back`.
    pub state: String,
    /// Agreements due.
    pub due: i64,
    /// Agreements billed.
    pub billed: i64,
    /// Agreements held.
    pub held: i64,
    /// Agreements excluded.
    pub excluded: i64,
    /// Bills.
    pub bills: i64,
    /// Segments.
    pub segments: i64,
    /// Sum of the segments, in cents.
    pub total_cents: i64,
    /// Agreements compared with an earlier charge.
    pub compared: i64,
    /// Agreements whose charge rises beyond the limit.
    pub risen: i64,
    /// Segments recomputed by the second evaluator.
    pub recomputed: i64,
    /// Segments that came out otherwise there.
    pub recomputed_wrong: i64,
    /// Payments that the ledger does not show.
    pub unapplied: i64,
}

impl ChunkRow {
    /// A chunk that nobody has worked on.
    #[must_use]
    pub fn open(run_id: RunId, chunk_no: i32, first_account_id: AccountId, last_account_id: AccountId) -> Self {
        Self {
            run_id,
            chunk_no,
            first_account_id,
            last_account_id,
            state: "open".to_owned(),
            due: 0,
            billed: 0,
            held: 0,
            excluded: 0,
            bills: 0,
            segments: 0,
            total_cents: 0,
            compared: 0,
            risen: 0,
            recomputed: 0,
            recomputed_wrong: 0,
            unapplied: 0,
        }
    }
}

/// An agreement that a run did not bill, and why.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = bill_run_exception, treat_none_as_default_value = false)]
pub struct ExceptionRow {
    /// The run.
    pub run_id: RunId,
    /// The agreement.
    pub agreement_id: AgreementId,
    /// `held` or `excluded`.
    pub outcome: String,
    /// Why.
    pub reason: String,
}

/// A segment as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = bill_segment, treat_none_as_default_value = false)]
pub struct SegmentRow {
    /// The run.
    pub run_id: RunId,
    /// The account.
    pub account_id: AccountId,
    /// Its number on the bill, from 1.
    pub segment_no: i32,
    /// The agreement.
    pub agreement_id: AgreementId,
    /// The opening read's date.
    pub period_start_on: NaiveDate,
    /// The closing read's date.
    pub period_end_on: NaiveDate,
    /// Usage in the tariff's unit, in thousandths.
    pub usage_milli: i64,
    /// Charges, in cents.
    pub total_cents: i64,
    /// The lines, as JSON.
    pub lines: String,
    /// The inputs, as JSON.
    pub inputs: String,
    /// 1 while it stands, 0 once it was withdrawn.
    pub live: i32,
    /// The part of the charges that is tax, in cents.
    pub tax_cents: i64,
    /// 1 when it closed with an estimate.
    pub estimated: i32,
}

/// A bill as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = bill, treat_none_as_default_value = false)]
pub struct BillRow {
    /// The run.
    pub run_id: RunId,
    /// The account.
    pub account_id: AccountId,
    /// The transaction that posted it; it was cut off one position before.
    pub account_seq: i64,
    /// `issued` or `cancelled`.
    pub status: String,
    /// The transaction that took it back.
    pub cancelled_seq: Option<i64>,
    /// Charges of this bill, in cents.
    pub total_cents: i64,
    /// Balance after the bill before.
    pub previous_balance_cents: i64,
    /// Payments since (negative).
    pub payments_cents: i64,
    /// Everything else since.
    pub adjustments_cents: i64,
    /// Ledger balance when it was posted.
    pub opening_balance_cents: i64,
    /// Opening balance and charges.
    pub amount_due_cents: i64,
    /// Ledger position of the last payment that it deducts.
    pub last_payment_seq: Option<i64>,
    /// The part of the charges that is tax, in cents.
    pub tax_cents: i64,
}

/// The number printed on a bill: run and account.
#[must_use]
pub fn bill_number(run: RunId, account: AccountId) -> String {
    format!("{:05}-{:07}", run.0, account.0)
}

/// A run to be stored.
#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = bill_run, treat_none_as_default_value = false)]
pub struct NewRun {
    /// The cycle, or `all`.
    pub cycle: String,
    /// Reads up to and including this day are billed.
    pub through_on: NaiveDate,
    /// `pricing`.
    pub status: String,
    /// The engine that prices it.
    pub engine_version: String,
    /// When it begins, UTC.
    pub started_at: NaiveDateTime,
    /// The bills' date.
    pub bill_on: NaiveDate,
    /// The bills' due date.
    pub due_on: NaiveDate,
    /// Empty.
    pub gates: String,
}

/// Stores a run and returns its id.
///
/// # Errors
/// Those of the database; a unique violation means that the cycle has an unfinished run.
pub fn insert_run(conn: &mut DbConnection, row: &NewRun) -> QueryResult<RunId> {
    diesel::insert_into(bill_run::table).values(row).returning(bill_run::id).get_result(conn)
}

/// Stores a run's chunks.
///
/// # Errors
/// Those of the database.
pub fn insert_chunks(conn: &mut DbConnection, rows: &[ChunkRow]) -> QueryResult<()> {
    insert_all!(conn, bill_run_chunk::table, rows).map(|_| ())
}

/// A run by id.
///
/// # Errors
/// Those of the database.
pub fn run(conn: &mut DbConnection, id: RunId) -> QueryResult<Option<RunRow>> {
    bill_run::table.find(id).select(RunRow::as_select()).first(conn).optional()
}

/// A run's status, held until the transaction ends: shared with other chunks of the run, or exclusively by whoever moves
/// the run on. So a runner that was overtaken cannot commit into a run that has gone on without it.
///
/// # Errors
/// Those of the database.
pub fn lock_run(conn: &mut DbConnection, id: RunId, exclusively: bool) -> QueryResult<Option<String>> {
    let query = bill_run::table.find(id).select(bill_run::status);
    match conn {
        // SQLite has one writer at a time: what it reads cannot change before it commits.
        DbConnection::Sqlite(conn) => query.first(conn).optional(),
        DbConnection::Postgres(conn) if exclusively => query.for_update().first(conn).optional(),
        DbConnection::Postgres(conn) => query.for_share().first(conn).optional(),
    }
}

/// The latest runs, newest first.
///
/// # Errors
/// Those of the database.
pub fn latest_runs(conn: &mut DbConnection, limit: i64) -> QueryResult<Vec<RunRow>> {
    bill_run::table.order(bill_run::id.desc()).limit(limit).select(RunRow::as_select()).load(conn)
}

/// The unfinished runs.
///
/// # Errors
/// Those of the database.
pub fn unfinished_runs(conn: &mut DbConnection) -> QueryResult<Vec<RunRow>> {
    bill_run::table
        .filter(bill_run::status.eq_any(["pricing", "review", "gates_failed", "issuing", "rolling_back"]))
        .order(bill_run::id)
        .select(RunRow::as_select())
        .load(conn)
}

/// Moves a run from one status to another; false when it was not in the first.
///
/// # Errors
/// Those of the database.
pub fn set_status(conn: &mut DbConnection, id: RunId, from: &str, to: &str) -> QueryResult<bool> {
    diesel::update(bill_run::table.filter(bill_run::id.eq(id).and(bill_run::status.eq(from))))
        .set(bill_run::status.eq(to))
        .execute(conn)
        .map(|count| count == 1)
}

/// Stores what the gates said.
///
/// # Errors
/// Those of the database.
pub fn set_gates(conn: &mut DbConnection, id: RunId, gates: &str) -> QueryResult<()> {
    diesel::update(bill_run::table.find(id)).set(bill_run::gates.eq(gates)).execute(conn).map(|_| ())
}

/// Stores who approved a run, and the dates of its bills: they are dated when they are issued, not when they were priced.
///
/// # Errors
/// Those of the database.
pub fn set_approved(conn: &mut DbConnection, id: RunId, by: &str, bill_on: NaiveDate, due_on: NaiveDate) -> QueryResult<()> {
    diesel::update(bill_run::table.find(id))
        .set((bill_run::approved_by.eq(Some(by)), bill_run::bill_on.eq(bill_on), bill_run::due_on.eq(due_on)))
        .execute(conn)
        .map(|_| ())
}

/// Stores when a run ended.
///
/// # Errors
/// Those of the database.
pub fn set_finished(conn: &mut DbConnection, id: RunId, at: NaiveDateTime) -> QueryResult<()> {
    diesel::update(bill_run::table.find(id)).set(bill_run::finished_at.eq(Some(at))).execute(conn).map(|_| ())
}

/// A run for one account alone has a cycle of its own: this and the account's number.
pub const ACCOUNT_CYCLE: &str = "account:";

/// A run of the accounts of a request to bill anew has a cycle of its own: this and the request's number.
pub const REBILL_CYCLE: &str = "rebill:";

/// The cycle of a request's run.
#[must_use]
pub fn rebill_cycle(id: RebillId) -> String {
    format!("{REBILL_CYCLE}{id}")
}

/// The request whose accounts a cycle bills anew.
#[must_use]
pub fn rebill_of(cycle: &str) -> Option<RebillId> {
    cycle.strip_prefix(REBILL_CYCLE)?.parse().ok().map(RebillId)
}

/// Whether a name is one that only the program gives: no service is in such a cycle.
#[must_use]
pub fn is_own_cycle(cycle: &str) -> bool {
    cycle == "all" || cycle.starts_with(ACCOUNT_CYCLE) || cycle.starts_with(REBILL_CYCLE)
}

/// What a query over a chunk's accounts filters by: a run for one account takes all its cycles, one for a list those of the
/// list, whose number is the second.
pub(super) fn cycle_within_chunk(cycle: &str) -> (&str, i64) {
    let listed = rebill_of(cycle).map_or(0, |id| id.0);
    if cycle.starts_with(ACCOUNT_CYCLE) { ("all", listed) } else { (cycle, listed) }
}

/// The accounts of a request that its run bills.
pub(super) const LISTED: &str = "SELECT l.account_id FROM rebill_account l WHERE l.account_id BETWEEN $2 AND $3 AND l.rebill_id = $5 \
    AND l.state IN ('cancelled', 'billed')";

/// The accounts that have an agreement in the cycle, in id order, after an id: the raw material of chunks.
///
/// # Errors
/// Those of the database.
pub fn accounts_in_cycle(conn: &mut DbConnection, cycle: &str, after: AccountId, limit: i64) -> QueryResult<Vec<AccountId>> {
    let mut query = service_agreement::table
        .filter(service_agreement::account_id.gt(after))
        .select(service_agreement::account_id)
        .distinct()
        .order(service_agreement::account_id)
        .limit(limit)
        .into_boxed();
    if let Some(number) = cycle.strip_prefix(ACCOUNT_CYCLE) {
        query = query.filter(service_agreement::account_id.eq_any(account::table.filter(account::number.eq(number.to_owned())).select(account::id)));
    } else if let Some(id) = rebill_of(cycle) {
        let listed = rebill_account::rebill_id.eq(id).and(rebill_account::state.eq_any(["cancelled", "billed"]));
        query = query.filter(service_agreement::account_id.eq_any(rebill_account::table.filter(listed).select(rebill_account::account_id)));
    } else if cycle != "all" {
        query = query.filter(service_agreement::cycle.eq(cycle.to_owned()));
    }
    query.load(conn)
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    total: i64,
}

/// How many agreements a run through a day must account for: those of its cycle that had begun by then.
///
/// # Errors
/// Those of the database.
pub fn agreements_due(conn: &mut DbConnection, cycle: &str, through: NaiveDate, first: AccountId, last: AccountId) -> QueryResult<i64> {
    diesel::sql_query(format!(
        "SELECT CAST(count(*) AS BIGINT) AS total FROM service_agreement a \
         WHERE (a.start_on IS NULL OR a.start_on <= $1) AND a.account_id BETWEEN $2 AND $3 AND ($4 = 'all' OR a.cycle = $4 \
            OR ($4 LIKE 'account:%' AND a.account_id = (SELECT c.id FROM account c WHERE c.number = substr($4, 9))) \
            OR a.account_id IN ({LISTED}))"
    ))
    .bind::<Date, _>(through)
    .bind::<BigInt, _>(first)
    .bind::<BigInt, _>(last)
    .bind::<Text, _>(cycle)
    .bind::<BigInt, _>(rebill_of(cycle).map_or(0, |id| id.0))
    .get_result::<Count>(conn)
    .map(|row| row.total)
}

/// A due agreement with what a run must know of it.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct DueAgreement {
    /// The agreement.
    #[diesel(sql_type = BigInt)]
    pub id: AgreementId,
    /// The account.
    #[diesel(sql_type = BigInt)]
    pub account_id: AccountId,
    /// The tariff schedule.
    #[diesel(sql_type = Text)]
    pub schedule: String,
    /// The rate class.
    #[diesel(sql_type = Text)]
    pub rate_class: String,
    /// The attributes, as JSON.
    #[diesel(sql_type = Text)]
    pub attributes: String,
    /// First day, when known.
    #[diesel(sql_type = Nullable<Date>)]
    pub start_on: Option<NaiveDate>,
    /// Last day, once it ended.
    #[diesel(sql_type = Nullable<Date>)]
    pub end_on: Option<NaiveDate>,
    /// Start of the last billed period.
    #[diesel(sql_type = Nullable<Date>)]
    pub last_start_on: Option<NaiveDate>,
    /// End of the last billed period.
    #[diesel(sql_type = Nullable<Date>)]
    pub last_end_on: Option<NaiveDate>,
    /// Charge of the last billed period, in cents.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub last_total_cents: Option<i64>,
    /// The run that priced the last period, when it is not issued: it may yet be discarded.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub last_run_unissued: Option<i64>,
}

/// The due agreements of a cycle in a range of accounts, by account.
///
/// # Errors
/// Those of the database.
pub fn due_agreements(conn: &mut DbConnection, cycle: &str, through: NaiveDate, first: AccountId, last: AccountId) -> QueryResult<Vec<DueAgreement>> {
    let (cycle, listed) = cycle_within_chunk(cycle);
    diesel::sql_query(format!(
        "SELECT a.id, a.account_id, a.schedule, a.rate_class, a.attributes, a.start_on, a.end_on, \
            s.period_start_on AS last_start_on, s.period_end_on AS last_end_on, s.total_cents AS last_total_cents, \
            (SELECT r.id FROM bill_run r WHERE r.id = s.run_id AND r.status <> 'issued') AS last_run_unissued \
         FROM service_agreement a \
         LEFT JOIN bill_segment s ON s.agreement_id = a.id AND s.live = 1 AND s.period_start_on = \
            (SELECT max(l.period_start_on) FROM bill_segment l WHERE l.agreement_id = a.id AND l.live = 1) \
         WHERE (a.start_on IS NULL OR a.start_on <= $1) AND a.account_id BETWEEN $2 AND $3 \
            AND ($4 = 'all' OR a.cycle = $4 OR a.account_id IN ({LISTED})) \
         ORDER BY a.account_id, a.id"
    ))
    .bind::<Date, _>(through)
    .bind::<BigInt, _>(first)
    .bind::<BigInt, _>(last)
    .bind::<Text, _>(cycle)
    .bind::<BigInt, _>(listed)
    .load(conn)
}

/// Moves a chunk from one state to the next; false when another worker was first.
///
/// # Errors
/// Those of the database.
pub fn finish_chunk(conn: &mut DbConnection, run: RunId, chunk_no: i32, from: &str, to: &str) -> QueryResult<bool> {
    diesel::update(bill_run_chunk::table.find((run, chunk_no)).filter(bill_run_chunk::state.eq(from)))
        .set(bill_run_chunk::state.eq(to))
        .execute(conn)
        .map(|count| count == 1)
}

/// Stores what pricing counted in a chunk.
///
/// # Errors
/// Those of the database.
pub fn set_chunk_totals(conn: &mut DbConnection, run: RunId, chunk_no: i32, totals: &RunTotals) -> QueryResult<()> {
    diesel::update(bill_run_chunk::table.find((run, chunk_no)))
        .set((
            bill_run_chunk::due.eq(totals.due),
            bill_run_chunk::billed.eq(totals.billed),
            bill_run_chunk::held.eq(totals.held),
            bill_run_chunk::excluded.eq(totals.excluded),
            bill_run_chunk::bills.eq(totals.bills),
            bill_run_chunk::segments.eq(totals.segments),
            bill_run_chunk::total_cents.eq(totals.total_cents),
            bill_run_chunk::compared.eq(totals.compared),
            bill_run_chunk::risen.eq(totals.risen),
            bill_run_chunk::recomputed.eq(totals.recomputed),
            bill_run_chunk::recomputed_wrong.eq(totals.recomputed_wrong),
            bill_run_chunk::unapplied.eq(totals.unapplied),
        ))
        .execute(conn)
        .map(|_| ())
}

/// All chunks of a run.
///
/// # Errors
/// Those of the database.
pub fn chunks(conn: &mut DbConnection, run: RunId) -> QueryResult<Vec<ChunkRow>> {
    bill_run_chunk::table.filter(bill_run_chunk::run_id.eq(run)).order(bill_run_chunk::chunk_no).select(ChunkRow::as_select()).load(conn)
}

/// The sum over a run's chunks.
///
/// # Errors
/// Those of the database.
pub fn run_totals(conn: &mut DbConnection, run: RunId) -> QueryResult<RunTotals> {
    Ok(chunks(conn, run)?.iter().map(chunk_totals).fold(RunTotals::default(), RunTotals::plus))
}

fn chunk_totals(chunk: &ChunkRow) -> RunTotals {
    RunTotals {
        due: chunk.due,
        billed: chunk.billed,
        held: chunk.held,
        excluded: chunk.excluded,
        bills: chunk.bills,
        segments: chunk.segments,
        total_cents: chunk.total_cents,
        compared: chunk.compared,
        risen: chunk.risen,
        recomputed: chunk.recomputed,
        recomputed_wrong: chunk.recomputed_wrong,
        unapplied: chunk.unapplied,
    }
}

/// The last issued run of the cycle that went through an earlier day; none when this day was billed already, because then
/// the new run only bills what was left over.
///
/// # Errors
/// Those of the database.
pub fn comparable_run(conn: &mut DbConnection, cycle: &str, through: NaiveDate) -> QueryResult<Option<Comparable>> {
    // Runs that billed nothing say nothing: they are passed over, a bounded number of them.
    let earlier: Vec<(RunId, NaiveDate)> = bill_run::table
        .filter(bill_run::cycle.eq(cycle).and(bill_run::status.eq("issued")).and(bill_run::through_on.le(through)))
        .order((bill_run::through_on.desc(), bill_run::id))
        .select((bill_run::id, bill_run::through_on))
        .limit(100)
        .load(conn)?;
    for (id, through_on) in earlier {
        let totals = run_totals(conn, id)?;
        if totals.segments > 0 {
            let comparable = Comparable { segments: totals.segments, total_cents: totals.total_cents };
            return Ok((through_on < through).then_some(comparable));
        }
    }
    Ok(None)
}

/// The latest run of a cycle that was not discarded.
///
/// # Errors
/// Those of the database.
pub fn latest_run_of(conn: &mut DbConnection, cycle: &str) -> QueryResult<Option<RunRow>> {
    bill_run::table
        .filter(bill_run::cycle.eq(cycle).and(bill_run::status.ne("discarded")))
        .order(bill_run::id.desc())
        .select(RunRow::as_select())
        .first(conn)
        .optional()
}

/// Stores what pricing a chunk gave.
///
/// # Errors
/// Those of the database.
pub fn insert_priced(conn: &mut DbConnection, segments: &[SegmentRow], exceptions: &[ExceptionRow]) -> QueryResult<()> {
    insert_all!(&mut *conn, bill_segment::table, segments)?;
    insert_all!(conn, bill_run_exception::table, exceptions).map(|_| ())
}

/// An exception with what names its agreement to people.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName, serde::Serialize)]
pub struct NamedException {
    /// The agreement.
    #[diesel(sql_type = BigInt)]
    pub agreement_id: AgreementId,
    /// The account's number.
    #[diesel(sql_type = Text)]
    pub account: String,
    /// The service's id in files.
    #[diesel(sql_type = Text)]
    pub service_id: String,
    /// Why.
    #[diesel(sql_type = Text)]
    pub reason: String,
}

/// A page of a run's exceptions with one outcome.
///
/// # Errors
/// Those of the database.
pub fn exceptions(conn: &mut DbConnection, run: RunId, outcome: &str, after: AgreementId, limit: i64) -> QueryResult<Vec<NamedException>> {
    diesel::sql_query(
        "SELECT e.agreement_id, c.number AS account, p.code AS service_id, e.reason FROM bill_run_exception e \
         JOIN service_agreement a ON a.id = e.agreement_id \
         JOIN account c ON c.id = a.account_id \
         JOIN service_point p ON p.id = a.service_point_id \
         WHERE e.run_id = $1 AND e.outcome = $2 AND e.agreement_id > $3 ORDER BY e.agreement_id LIMIT $4",
    )
    .bind::<BigInt, _>(run)
    .bind::<Text, _>(outcome)
    .bind::<BigInt, _>(after)
    .bind::<BigInt, _>(limit)
    .load(conn)
}

/// One row of an account's story since its last bill, with the sum that the run will bill it.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct IssueRow {
    /// The account.
    #[diesel(sql_type = BigInt)]
    pub account_id: AccountId,
    /// What the run's segments add up to, in cents.
    #[diesel(sql_type = BigInt)]
    pub charge_cents: i64,
    /// The part of it that is tax, in cents.
    #[diesel(sql_type = BigInt)]
    pub tax_cents: i64,
    /// Position of the last bill.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub bill_seq: Option<i64>,
    /// Last payment that the last bill deducted.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub bill_last_payment_seq: Option<i64>,
    /// Position of a transaction at or after the last bill.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub account_seq: Option<i64>,
    /// Its kind.
    #[diesel(sql_type = Nullable<Text>)]
    pub kind: Option<String>,
    /// Its source.
    #[diesel(sql_type = Nullable<Text>)]
    pub source: Option<String>,
    /// Its amount.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub amount_cents: Option<i64>,
    /// The balance after it.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub balance_after_cents: Option<i64>,
}

/// What issuing a chunk needs: for each account with segments in the run, the charge and everything that happened
/// from its last bill on, by account and position.
///
/// # Errors
/// Those of the database.
pub fn issue_basis(conn: &mut DbConnection, run: RunId, first: AccountId, last: AccountId) -> QueryResult<Vec<IssueRow>> {
    diesel::sql_query(
        "SELECT s.account_id, s.charge_cents, s.tax_cents, b.account_seq AS bill_seq, b.last_payment_seq AS bill_last_payment_seq, \
            f.account_seq, f.kind, f.source, f.amount_cents, f.balance_after_cents \
         FROM (SELECT account_id, CAST(sum(total_cents) AS BIGINT) AS charge_cents, \
               CAST(sum(tax_cents) AS BIGINT) AS tax_cents FROM bill_segment \
               WHERE run_id = $1 AND account_id BETWEEN $2 AND $3 AND live = 1 GROUP BY account_id) s \
         LEFT JOIN bill b ON b.account_id = s.account_id \
            AND b.account_seq = (SELECT max(l.account_seq) FROM bill l WHERE l.account_id = s.account_id) \
         LEFT JOIN financial_transaction f ON f.account_id = s.account_id AND f.account_seq >= coalesce(b.account_seq, 1) \
         ORDER BY s.account_id, f.account_seq",
    )
    .bind::<BigInt, _>(run)
    .bind::<BigInt, _>(first)
    .bind::<BigInt, _>(last)
    .load(conn)
}

/// Stores bills.
///
/// # Errors
/// Those of the database.
pub fn insert_bills(conn: &mut DbConnection, rows: &[BillRow]) -> QueryResult<()> {
    insert_all!(conn, bill::table, rows).map(|_| ())
}

/// The bills of a run in a range of accounts.
///
/// # Errors
/// Those of the database.
pub fn bills_of_run(conn: &mut DbConnection, run: RunId, first: AccountId, last: AccountId) -> QueryResult<Vec<BillRow>> {
    bill::table
        .filter(bill::run_id.eq(run).and(bill::account_id.between(first, last)))
        .order(bill::account_id)
        .select(BillRow::as_select())
        .load(conn)
}

/// All bills of a range of accounts, by account and position.
///
/// # Errors
/// Those of the database.
pub fn bills_in_range(conn: &mut DbConnection, first: AccountId, last: AccountId) -> QueryResult<Vec<BillRow>> {
    bill::table.filter(bill::account_id.between(first, last)).order((bill::account_id, bill::account_seq)).select(BillRow::as_select()).load(conn)
}

/// The bills of one account from these runs that stand, by position.
///
/// # Errors
/// Those of the database.
pub fn standing_bills_of(conn: &mut DbConnection, runs: &BTreeSet<RunId>, account: AccountId) -> QueryResult<Vec<BillRow>> {
    bill::table
        .filter(bill::account_id.eq(account).and(bill::run_id.eq_any(runs)).and(bill::status.eq("issued")))
        .order(bill::account_seq)
        .select(BillRow::as_select())
        .load(conn)
}

/// Marks a bill as cancelled by a transaction.
///
/// # Errors
/// Those of the database.
pub fn cancel_bill(conn: &mut DbConnection, run: RunId, account: AccountId, cancelled_seq: i64) -> QueryResult<usize> {
    diesel::update(bill::table.find((run, account)).filter(bill::status.eq("issued")))
        .set((bill::status.eq("cancelled"), bill::cancelled_seq.eq(Some(cancelled_seq))))
        .execute(conn)
}

/// Withdraws the segments of a run in a range of accounts: their periods can be billed again.
///
/// # Errors
/// Those of the database.
pub fn withdraw_segments(conn: &mut DbConnection, run: RunId, first: AccountId, last: AccountId) -> QueryResult<usize> {
    diesel::update(
        bill_segment::table.filter(bill_segment::run_id.eq(run).and(bill_segment::account_id.between(first, last)).and(bill_segment::live.eq(1))),
    )
    .set(bill_segment::live.eq(0))
    .execute(conn)
}

/// Withdraws the segments of a run's bills of these accounts.
///
/// # Errors
/// Those of the database.
pub fn withdraw_segments_of(conn: &mut DbConnection, run: RunId, accounts: &[AccountId]) -> QueryResult<usize> {
    diesel::update(
        bill_segment::table.filter(bill_segment::run_id.eq(run).and(bill_segment::account_id.eq_any(accounts)).and(bill_segment::live.eq(1))),
    )
    .set(bill_segment::live.eq(0))
    .execute(conn)
}

/// How many live segments outside a run were billed later than one of the run's, for the same agreement.
///
/// # Errors
/// Those of the database.
pub fn billed_after(conn: &mut DbConnection, run: RunId) -> QueryResult<i64> {
    diesel::sql_query(
        "SELECT CAST(count(*) AS BIGINT) AS total FROM bill_segment s \
         JOIN bill_segment l ON l.agreement_id = s.agreement_id AND l.live = 1 AND l.period_start_on > s.period_start_on AND l.run_id <> s.run_id \
         WHERE s.run_id = $1 AND s.live = 1",
    )
    .bind::<BigInt, _>(run)
    .get_result::<Count>(conn)
    .map(|row| row.total)
}

/// A segment with what an export and a verification show of it.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct BilledSegment {
    /// The run.
    #[diesel(sql_type = BigInt)]
    pub run_id: RunId,
    /// The account.
    #[diesel(sql_type = BigInt)]
    pub account_id: AccountId,
    /// The account's number.
    #[diesel(sql_type = Text)]
    pub account_number: String,
    /// Its number on the bill.
    #[diesel(sql_type = Integer)]
    pub segment_no: i32,
    /// The service's id in files.
    #[diesel(sql_type = Text)]
    pub service_code: String,
    /// The opening read's date.
    #[diesel(sql_type = Date)]
    pub period_start_on: NaiveDate,
    /// The closing read's date.
    #[diesel(sql_type = Date)]
    pub period_end_on: NaiveDate,
    /// Usage in thousandths.
    #[diesel(sql_type = BigInt)]
    pub usage_milli: i64,
    /// Charges, in cents.
    #[diesel(sql_type = BigInt)]
    pub total_cents: i64,
    /// The lines, as JSON.
    #[diesel(sql_type = Text)]
    pub lines: String,
    /// The inputs, as JSON.
    #[diesel(sql_type = Text)]
    pub inputs: String,
    /// Balance after the bill before, in cents.
    #[diesel(sql_type = BigInt)]
    pub previous_balance_cents: i64,
    /// Payments since, in cents (negative).
    #[diesel(sql_type = BigInt)]
    pub payments_cents: i64,
    /// Amount due, in cents.
    #[diesel(sql_type = BigInt)]
    pub amount_due_cents: i64,
    /// The bill's charges, in cents.
    #[diesel(sql_type = BigInt)]
    pub bill_total_cents: i64,
    /// `issued` or `cancelled`.
    #[diesel(sql_type = Text)]
    pub status: String,
}

/// The billed segments of one run in a range of accounts.
///
/// # Errors
/// Those of the database.
pub fn billed_segments(conn: &mut DbConnection, run: RunId, first: AccountId, last: AccountId) -> QueryResult<Vec<BilledSegment>> {
    diesel::sql_query(
        "SELECT s.run_id, s.account_id, c.number AS account_number, s.segment_no, p.code AS service_code, s.period_start_on, s.period_end_on, \
            s.usage_milli, s.total_cents, s.lines, s.inputs, b.previous_balance_cents, b.payments_cents, b.amount_due_cents, \
            b.total_cents AS bill_total_cents, b.status \
         FROM bill_segment s \
         JOIN bill b ON b.run_id = s.run_id AND b.account_id = s.account_id \
         JOIN account c ON c.id = s.account_id \
         JOIN service_agreement a ON a.id = s.agreement_id \
         JOIN service_point p ON p.id = a.service_point_id \
         WHERE s.run_id = $1 AND s.account_id BETWEEN $2 AND $3 \
         ORDER BY s.account_id, s.segment_no",
    )
    .bind::<BigInt, _>(run)
    .bind::<BigInt, _>(first)
    .bind::<BigInt, _>(last)
    .load(conn)
}

/// The runs that issued bills, oldest first.
///
/// # Errors
/// Those of the database.
pub fn runs_with_bills(conn: &mut DbConnection) -> QueryResult<Vec<RunId>> {
    bill_run::table
        .filter(bill_run::status.eq_any(["issuing", "issued", "rolling_back", "rolled_back"]))
        .order(bill_run::id)
        .select(bill_run::id)
        .load(conn)
}

/// What must be true of segments, bills and runs together, and how often it is not: in words, with the number of rows.
///
/// # Errors
/// Those of the database.
pub fn inconsistencies(conn: &mut DbConnection) -> QueryResult<Vec<(&'static str, i64)>> {
    let questions = [
        (
            "segments that stand in a run that was discarded or rolled back",
            "SELECT CAST(count(*) AS BIGINT) AS total FROM bill_segment s JOIN bill_run r ON r.id = s.run_id \
             WHERE s.live = 1 AND r.status IN ('discarded', 'rolled_back')",
        ),
        (
            "segments of an issued run without a bill",
            "SELECT CAST(count(*) AS BIGINT) AS total FROM bill_segment s JOIN bill_run r ON r.id = s.run_id AND r.status = 'issued' \
             LEFT JOIN bill b ON b.run_id = s.run_id AND b.account_id = s.account_id WHERE s.live = 1 AND b.run_id IS NULL",
        ),
        (
            "withdrawn segments of bills that stand, or standing ones of bills that were taken back",
            "SELECT CAST(count(*) AS BIGINT) AS total FROM bill_segment s JOIN bill b ON b.run_id = s.run_id AND b.account_id = s.account_id \
             WHERE s.live <> CASE b.status WHEN 'issued' THEN 1 ELSE 0 END",
        ),
        (
            "issued runs with another number of bills than were priced",
            "SELECT CAST(count(*) AS BIGINT) AS total FROM bill_run r WHERE r.status = 'issued' \
             AND (SELECT count(*) FROM bill b WHERE b.run_id = r.id) \
                <> (SELECT coalesce(sum(c.bills), 0) FROM bill_run_chunk c WHERE c.run_id = r.id)",
        ),
    ];
    let mut found = Vec::new();
    for (what, sql) in questions {
        let total = diesel::sql_query(sql).get_result::<Count>(conn)?.total;
        if total > 0 {
            found.push((what, total));
        }
    }
    Ok(found)
}

/// How many bills a run has.
///
/// # Errors
/// Those of the database.
pub fn bill_count(conn: &mut DbConnection, run: RunId) -> QueryResult<i64> {
    bill::table.filter(bill::run_id.eq(run)).count().get_result(conn)
}

#[derive(QueryableByName)]
struct BilledThrough {
    #[diesel(sql_type = BigInt)]
    agreement_id: AgreementId,
    #[diesel(sql_type = Date)]
    billed_through: NaiveDate,
}

/// The end of the last billed period of each of these agreements that was ever billed.
///
/// # Errors
/// Those of the database.
pub fn billed_through(conn: &mut DbConnection, agreements: &[AgreementId]) -> QueryResult<Vec<(AgreementId, NaiveDate)>> {
    let list = in_list(agreements.iter().map(|id| id.0));
    let sql = format!(
        "SELECT agreement_id, max(period_end_on) AS billed_through FROM bill_segment WHERE live = 1 AND agreement_id IN ({list}) GROUP BY agreement_id"
    );
    let rows: Vec<BilledThrough> = diesel::sql_query(sql).load(conn)?;
    Ok(rows.into_iter().map(|row| (row.agreement_id, row.billed_through)).collect())
}

/// An estimated segment that no real read has settled yet.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct OutstandingEstimate {
    /// The agreement.
    #[diesel(sql_type = BigInt)]
    pub agreement_id: AgreementId,
    /// Usage that it was billed with, in thousandths.
    #[diesel(sql_type = BigInt)]
    pub usage_milli: i64,
    /// Its charge, in cents.
    #[diesel(sql_type = BigInt)]
    pub total_cents: i64,
    /// The part of it that is tax, in cents.
    #[diesel(sql_type = BigInt)]
    pub tax_cents: i64,
    /// Its inputs, as JSON.
    #[diesel(sql_type = Text)]
    pub inputs: String,
}

/// The estimated segments of a range of accounts that stand after each agreement's last settled one, by agreement and date.
///
/// # Errors
/// Those of the database.
pub fn outstanding_estimates(conn: &mut DbConnection, first: AccountId, last: AccountId) -> QueryResult<Vec<OutstandingEstimate>> {
    // A cross join, because SQLite, when it knows no better, goes through every estimate of the town for each chunk.
    diesel::sql_query(
        "SELECT e.agreement_id, e.usage_milli, e.total_cents, e.tax_cents, e.inputs FROM service_agreement a CROSS JOIN bill_segment e \
         WHERE a.account_id BETWEEN $1 AND $2 AND e.agreement_id = a.id AND e.live = 1 AND e.estimated = 1 AND NOT EXISTS (SELECT 1 FROM bill_segment l WHERE l.agreement_id = a.id \
            AND l.live = 1 AND l.estimated = 0 AND l.period_start_on > e.period_start_on) \
         ORDER BY e.agreement_id, e.period_start_on",
    )
    .bind::<BigInt, _>(first)
    .bind::<BigInt, _>(last)
    .load(conn)
}

/// Whether an agreement's live period that ends on a day closed with an estimate.
///
/// # Errors
/// Those of the database.
pub fn closes_estimated(conn: &mut DbConnection, agreement: AgreementId, on: NaiveDate) -> QueryResult<bool> {
    let closing = bill_segment::table
        .filter(bill_segment::agreement_id.eq(agreement).and(bill_segment::live.eq(1)).and(bill_segment::estimated.eq(1)))
        .filter(bill_segment::period_end_on.eq(on));
    diesel::select(diesel::dsl::exists(closing)).get_result(conn)
}

/// Whether everything that an account was served has ended and is billed to its end.
///
/// # Errors
/// Those of the database.
pub fn is_gone(conn: &mut DbConnection, account: AccountId) -> QueryResult<bool> {
    let sql = format!("SELECT CAST(count(*) AS BIGINT) AS total FROM account b WHERE b.id = $1 AND {GONE}").replace("b.account_id", "b.id");
    diesel::sql_query(sql).bind::<BigInt, _>(account).get_result::<Count>(conn).map(|row| row.total > 0)
}

/// No agreement of the account of `b` goes on, or is unbilled at its end.
pub(super) const GONE: &str = "NOT EXISTS (SELECT 1 FROM service_agreement a WHERE a.account_id = b.account_id AND (a.end_on IS NULL OR a.end_on > \
    coalesce((SELECT max(s.period_end_on) FROM bill_segment s WHERE s.agreement_id = a.id AND s.live = 1), a.start_on, '0001-01-01')))";

/// A customer who has gone and to whom a run leaves a credit.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct FinalCredit {
    /// The account.
    #[diesel(sql_type = BigInt)]
    pub account_id: AccountId,
    /// Its number.
    #[diesel(sql_type = Text)]
    pub account: String,
    /// What it has to its good, in cents, above zero.
    #[diesel(sql_type = BigInt)]
    pub credit_cents: i64,
}

/// The accounts of a run whose every agreement has ended and is billed, and whose bill leaves them a credit.
///
/// # Errors
/// Those of the database.
pub fn final_credits(conn: &mut DbConnection, run: RunId) -> QueryResult<Vec<FinalCredit>> {
    diesel::sql_query(format!(
        "SELECT b.account_id, c.number AS account, -b.amount_due_cents AS credit_cents FROM bill b JOIN account c ON c.id = b.account_id \
         WHERE b.run_id = $1 AND b.status = 'issued' AND b.amount_due_cents < 0 AND {GONE} ORDER BY b.account_id"
    ))
    .bind::<BigInt, _>(run)
    .load(conn)
}
