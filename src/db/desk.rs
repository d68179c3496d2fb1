//! What the staff's pages of one account and of one run show: read-only questions over several table families.

use chrono::{NaiveDate, NaiveDateTime};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Date, Integer, Nullable, Text, Timestamp};

use super::DbConnection;
use super::schema::{adjustment, bill_run, payment};
use crate::domain::ids::{AccountId, AgreementId, ProviderPaymentId, ReadId, RunId, ToDoId};

/// A line of an account's ledger with what stands behind it.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct LedgerRow {
    /// Position in the account's ledger.
    #[diesel(sql_type = BigInt)]
    pub account_seq: i64,
    /// Kind of business.
    #[diesel(sql_type = Text)]
    pub kind: String,
    /// What it stands for.
    #[diesel(sql_type = Text)]
    pub source: String,
    /// Movement of the balance.
    #[diesel(sql_type = BigInt)]
    pub amount_cents: i64,
    /// Balance after it.
    #[diesel(sql_type = BigInt)]
    pub balance_after_cents: i64,
    /// Value date.
    #[diesel(sql_type = Date)]
    pub effective_on: NaiveDate,
    /// Ledger time, UTC.
    #[diesel(sql_type = Timestamp)]
    pub posted_at: NaiveDateTime,
    /// A payment's form of money.
    #[diesel(sql_type = Nullable<Text>)]
    pub tender: Option<String>,
    /// A payment's reference.
    #[diesel(sql_type = Nullable<Text>)]
    pub reference: Option<String>,
    /// When a payment was returned, unless that was taken back.
    #[diesel(sql_type = Nullable<Date>)]
    pub returned_on: Option<NaiveDate>,
    /// The position of the correction that took a payment out of the ledger.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub superseded_seq: Option<i64>,
    /// The provider's payment that a payment is a part of.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub provider_payment_id: Option<ProviderPaymentId>,
}

/// A page of an account's ledger, newest first, before a position.
///
/// # Errors
/// Those of the database.
pub fn ledger_page(conn: &mut DbConnection, account: AccountId, before_seq: i64, limit: i64) -> QueryResult<Vec<LedgerRow>> {
    diesel::sql_query(
        "SELECT f.account_seq, f.kind, f.source, f.amount_cents, f.balance_after_cents, f.effective_on, f.posted_at, \
            y.tender, y.provider_ref AS reference, CASE WHEN y.restored_seq IS NULL THEN y.returned_on END AS returned_on, y.superseded_seq, \
            y.provider_payment_id \
         FROM financial_transaction f LEFT JOIN payment y ON y.account_id = f.account_id AND y.account_seq = f.account_seq \
         WHERE f.account_id = $1 AND f.account_seq < $2 ORDER BY f.account_seq DESC LIMIT $3",
    )
    .bind::<BigInt, _>(account)
    .bind::<BigInt, _>(before_seq)
    .bind::<BigInt, _>(limit)
    .load(conn)
}

/// The notes of adjustments by their references.
///
/// # Errors
/// Those of the database.
pub fn adjustment_notes(conn: &mut DbConnection, references: &[&str]) -> QueryResult<Vec<(String, String, String)>> {
    adjustment::table
        .filter(adjustment::reference.eq_any(references))
        .select((adjustment::reference, adjustment::note, adjustment::entered_by))
        .load(conn)
}

/// The references of an account's returned payments, as the audit trail names them.
///
/// # Errors
/// Those of the database.
pub fn returned_references(conn: &mut DbConnection, account: AccountId) -> QueryResult<Vec<String>> {
    let rows: Vec<(String, Option<String>)> = payment::table
        .filter(payment::account_id.eq(account).and(payment::returned_seq.is_not_null()))
        .select((payment::provider, payment::provider_ref))
        .limit(500)
        .load(conn)?;
    Ok(rows.into_iter().map(|(provider, reference)| format!("{provider}:{}", reference.unwrap_or_default())).collect())
}

/// A bill in an account's list of bills.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct BillCard {
    /// The run.
    #[diesel(sql_type = BigInt)]
    pub run_id: RunId,
    /// The account.
    #[diesel(sql_type = BigInt)]
    pub account_id: AccountId,
    /// Its position in the ledger.
    #[diesel(sql_type = BigInt)]
    pub account_seq: i64,
    /// `issued` or `cancelled`.
    #[diesel(sql_type = Text)]
    pub status: String,
    /// Its date.
    #[diesel(sql_type = Date)]
    pub bill_on: NaiveDate,
    /// When it is due.
    #[diesel(sql_type = Date)]
    pub due_on: NaiveDate,
    /// What it opened with.
    #[diesel(sql_type = BigInt)]
    pub opening_balance_cents: i64,
    /// Its charges.
    #[diesel(sql_type = BigInt)]
    pub total_cents: i64,
    /// What was to be paid.
    #[diesel(sql_type = BigInt)]
    pub amount_due_cents: i64,
}

/// A page of an account's bills, newest first, before a ledger position.
///
/// # Errors
/// Those of the database.
pub fn bills_page(conn: &mut DbConnection, account: AccountId, before_seq: i64, limit: i64) -> QueryResult<Vec<BillCard>> {
    diesel::sql_query(
        "SELECT b.run_id, b.account_id, b.account_seq, b.status, r.bill_on, r.due_on, b.opening_balance_cents, b.total_cents, \
            b.amount_due_cents \
         FROM bill b JOIN bill_run r ON r.id = b.run_id \
         WHERE b.account_id = $1 AND b.account_seq < $2 ORDER BY b.account_seq DESC LIMIT $3",
    )
    .bind::<BigInt, _>(account)
    .bind::<BigInt, _>(before_seq)
    .bind::<BigInt, _>(limit)
    .load(conn)
}

/// A service of an account.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct ServiceCard {
    /// The agreement.
    #[diesel(sql_type = BigInt)]
    pub agreement_id: AgreementId,
    /// The service's id in files.
    #[diesel(sql_type = Text)]
    pub service_id: String,
    /// Where.
    #[diesel(sql_type = Text)]
    pub address: String,
    /// The tariff schedule.
    #[diesel(sql_type = Text)]
    pub schedule: String,
    /// The rate class.
    #[diesel(sql_type = Text)]
    pub rate_class: String,
    /// The bill cycle.
    #[diesel(sql_type = Text)]
    pub cycle: String,
    /// Attributes for pricing, a JSON object of texts.
    #[diesel(sql_type = Text)]
    pub attributes: String,
    /// First day, when known.
    #[diesel(sql_type = Nullable<Date>)]
    pub start_on: Option<NaiveDate>,
    /// Last day, once it ended.
    #[diesel(sql_type = Nullable<Date>)]
    pub end_on: Option<NaiveDate>,
    /// The meter in place, or the last one.
    #[diesel(sql_type = Nullable<Text>)]
    pub meter: Option<String>,
    /// The end of its last billed period.
    #[diesel(sql_type = Nullable<Date>)]
    pub billed_through: Option<NaiveDate>,
    /// The day of its last accepted read.
    #[diesel(sql_type = Nullable<Date>)]
    pub last_read_on: Option<NaiveDate>,
    /// What that read showed, in thousandths.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub last_reading_milli: Option<i64>,
}

/// An account's services, those in force first.
///
/// # Errors
/// Those of the database.
pub fn services(conn: &mut DbConnection, account: AccountId, limit: i64) -> QueryResult<Vec<ServiceCard>> {
    // The second condition is the index's own: SQLite does not see that the first one says it, too.
    diesel::sql_query(
        "SELECT g.id AS agreement_id, p.code AS service_id, m.address, g.schedule, g.rate_class, g.cycle, g.attributes, g.start_on, g.end_on, \
            e.serial AS meter, l.read_on AS last_read_on, l.reading_milli AS last_reading_milli, \
            (SELECT s.period_end_on FROM bill_segment s WHERE s.agreement_id = g.id AND s.live = 1 \
                ORDER BY s.period_start_on DESC LIMIT 1) AS billed_through \
         FROM service_agreement g \
         JOIN service_point p ON p.id = g.service_point_id \
         JOIN premise m ON m.id = p.premise_id \
         LEFT JOIN installation i ON i.id = (SELECT max(n.id) FROM installation n WHERE n.service_point_id = coalesce(g.measured_at, p.id)) \
         LEFT JOIN meter e ON e.id = i.meter_id \
         LEFT JOIN meter_read l ON l.id = (SELECT d.id FROM register r JOIN meter_read d ON d.register_id = r.id AND d.status = 'accepted' AND d.status <> 'rejected' \
            AND (g.end_on IS NULL OR d.read_on <= g.end_on) WHERE r.meter_id = e.id ORDER BY d.read_on DESC, d.id LIMIT 1) \
         WHERE g.account_id = $1 \
         ORDER BY CASE WHEN g.end_on IS NULL THEN 0 ELSE 1 END, g.id LIMIT $2",
    )
    .bind::<BigInt, _>(account)
    .bind::<BigInt, _>(limit)
    .load(conn)
}

/// A read of one of an account's services.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct ReadCard {
    /// The read.
    #[diesel(sql_type = BigInt)]
    pub id: ReadId,
    /// The service's id in files.
    #[diesel(sql_type = Text)]
    pub service_id: String,
    /// The meter.
    #[diesel(sql_type = Text)]
    pub meter: String,
    /// Which of its registers.
    #[diesel(sql_type = Text)]
    pub register: String,
    /// When.
    #[diesel(sql_type = Date)]
    pub read_on: NaiveDate,
    /// What it showed, in thousandths.
    #[diesel(sql_type = BigInt)]
    pub reading_milli: i64,
    /// How it came to be.
    #[diesel(sql_type = Text)]
    pub kind: String,
    /// `accepted`, `held` or `rejected`.
    #[diesel(sql_type = Text)]
    pub status: String,
    /// How an estimate was made.
    #[diesel(sql_type = Nullable<Text>)]
    pub basis: Option<String>,
}

/// A page of the reads of an account's services within its agreements' dates, newest first.
///
/// # Errors
/// Those of the database.
pub fn reads_page(conn: &mut DbConnection, account: AccountId, offset: i64, limit: i64) -> QueryResult<Vec<ReadCard>> {
    diesel::sql_query(
        "SELECT d.id, p.code AS service_id, e.serial AS meter, r.code AS register, d.read_on, d.reading_milli, d.kind, d.status, d.basis \
         FROM service_agreement g \
         JOIN service_point p ON p.id = g.service_point_id \
         JOIN installation i ON i.service_point_id = p.id \
         JOIN meter e ON e.id = i.meter_id \
         JOIN register r ON r.meter_id = e.id \
         JOIN meter_read d ON d.register_id = r.id \
            AND (g.start_on IS NULL OR d.read_on >= g.start_on) AND (g.end_on IS NULL OR d.read_on <= g.end_on) \
            AND (i.installed_on IS NULL OR d.read_on >= i.installed_on) AND (i.removed_on IS NULL OR d.read_on <= i.removed_on) \
         WHERE g.account_id = $1 ORDER BY d.read_on DESC, d.id DESC LIMIT $2 OFFSET $3",
    )
    .bind::<BigInt, _>(account)
    .bind::<BigInt, _>(limit)
    .bind::<BigInt, _>(offset)
    .load(conn)
}

/// An open work item of an account.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct ToDoCard {
    /// Its number.
    #[diesel(sql_type = BigInt)]
    pub id: ToDoId,
    /// What it is about.
    #[diesel(sql_type = Text)]
    pub kind: String,
    /// Why it waits.
    #[diesel(sql_type = Text)]
    pub reason: String,
    /// The amount at stake, in cents.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub amount_cents: Option<i64>,
    /// Since when, UTC.
    #[diesel(sql_type = Timestamp)]
    pub raised_at: NaiveDateTime,
}

/// The open work items of an account, dearest first.
///
/// # Errors
/// Those of the database.
pub fn todos_of_account(conn: &mut DbConnection, account: AccountId, limit: i64) -> QueryResult<Vec<ToDoCard>> {
    diesel::sql_query(
        "SELECT t.id, t.kind, t.reason, t.amount_cents, t.raised_at FROM todo t \
         WHERE t.status = 'open' AND (t.account_id = $1 OR t.agreement_id IN (SELECT g.id FROM service_agreement g WHERE g.account_id = $1)) \
         ORDER BY coalesce(abs(t.amount_cents), 0) DESC, t.id LIMIT $2",
    )
    .bind::<BigInt, _>(account)
    .bind::<BigInt, _>(limit)
    .load(conn)
}

/// What a run bills one account.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct RunBillCard {
    /// The account.
    #[diesel(sql_type = BigInt)]
    pub account_id: AccountId,
    /// Its number.
    #[diesel(sql_type = Text)]
    pub number: String,
    /// The customer's name.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// How many agreements and periods.
    #[diesel(sql_type = BigInt)]
    pub segments: i64,
    /// The charges, in cents.
    #[diesel(sql_type = BigInt)]
    pub total_cents: i64,
    /// What is to be paid, once it is issued.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub amount_due_cents: Option<i64>,
    /// `issued` or `cancelled`, once it is issued.
    #[diesel(sql_type = Nullable<Text>)]
    pub status: Option<String>,
}

/// A page of what a run bills, by account, after an account: priced or issued.
///
/// # Errors
/// Those of the database.
pub fn run_bills_page(conn: &mut DbConnection, run: RunId, after: AccountId, limit: i64) -> QueryResult<Vec<RunBillCard>> {
    diesel::sql_query(
        "SELECT s.account_id, c.number, p.name, s.segments, s.total_cents, b.amount_due_cents, b.status \
         FROM (SELECT account_id, CAST(count(*) AS BIGINT) AS segments, CAST(sum(total_cents) AS BIGINT) AS total_cents FROM bill_segment \
               WHERE run_id = $1 AND account_id > $2 GROUP BY account_id ORDER BY account_id LIMIT $3) s \
         JOIN account c ON c.id = s.account_id \
         JOIN person p ON p.id = c.person_id \
         LEFT JOIN bill b ON b.run_id = $1 AND b.account_id = s.account_id \
         ORDER BY s.account_id",
    )
    .bind::<BigInt, _>(run)
    .bind::<BigInt, _>(after)
    .bind::<BigInt, _>(limit)
    .load(conn)
}

/// How many chunks of a run are in a state.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct ChunkCount {
    /// `open`, `priced`, `issued` or `rolled_back`.
    #[diesel(sql_type = Text)]
    pub state: String,
    /// How many.
    #[diesel(sql_type = BigInt)]
    pub chunks: i64,
}

/// How far a run's chunks are.
///
/// # Errors
/// Those of the database.
pub fn chunk_counts(conn: &mut DbConnection, run: RunId) -> QueryResult<Vec<ChunkCount>> {
    diesel::sql_query("SELECT state, CAST(count(*) AS BIGINT) AS chunks FROM bill_run_chunk WHERE run_id = $1 GROUP BY state ORDER BY state")
        .bind::<BigInt, _>(run)
        .load(conn)
}

/// How many bills of a run stand, and what they charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub struct StandingBills {
    /// How many.
    #[diesel(sql_type = BigInt)]
    pub bills: i64,
    /// The sum of their charges, in cents.
    #[diesel(sql_type = BigInt)]
    pub total_cents: i64,
}

/// How many bills of a run stand, and what they charge.
///
/// # Errors
/// Those of the database.
pub fn standing_bills(conn: &mut DbConnection, run: RunId) -> QueryResult<StandingBills> {
    diesel::sql_query(
        "SELECT CAST(count(*) AS BIGINT) AS bills, CAST(coalesce(sum(total_cents), 0) AS BIGINT) AS total_cents \
         FROM bill WHERE run_id = $1 AND status = 'issued'",
    )
    .bind::<BigInt, _>(run)
    .get_result(conn)
}

/// A page of runs, newest first, before a run.
///
/// # Errors
/// Those of the database.
pub fn runs_before(conn: &mut DbConnection, before: RunId, limit: i64) -> QueryResult<Vec<super::billing::RunRow>> {
    bill_run::table.filter(bill_run::id.lt(before)).order(bill_run::id.desc()).limit(limit).select(super::billing::RunRow::as_select()).load(conn)
}

/// The meters in place at an account's services, with their registers: what a read can be entered for.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct RegisterCard {
    /// The service's id in files.
    #[diesel(sql_type = Text)]
    pub service_id: String,
    /// The meter.
    #[diesel(sql_type = Text)]
    pub meter: String,
    /// Which of its registers.
    #[diesel(sql_type = Text)]
    pub register: String,
    /// Digits before the point.
    #[diesel(sql_type = Integer)]
    pub digits: i32,
    /// The day of its last accepted read.
    #[diesel(sql_type = Nullable<Date>)]
    pub last_read_on: Option<NaiveDate>,
    /// What that read showed, in thousandths.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub last_reading_milli: Option<i64>,
}

/// The registers that a read can be entered for.
///
/// # Errors
/// Those of the database.
pub fn registers_of_account(conn: &mut DbConnection, account: AccountId, limit: i64) -> QueryResult<Vec<RegisterCard>> {
    // The second condition is the index's own: SQLite does not see that the first one says it, too.
    diesel::sql_query(
        "SELECT p.code AS service_id, e.serial AS meter, r.code AS register, r.digits, l.read_on AS last_read_on, \
            l.reading_milli AS last_reading_milli \
         FROM service_agreement g \
         JOIN service_point p ON p.id = g.service_point_id \
         JOIN installation i ON i.service_point_id = p.id AND i.removed_on IS NULL \
         JOIN meter e ON e.id = i.meter_id \
         JOIN register r ON r.meter_id = e.id \
         LEFT JOIN meter_read l ON l.id = (SELECT d.id FROM meter_read d WHERE d.register_id = r.id AND d.status = 'accepted' AND d.status <> 'rejected' \
            ORDER BY d.read_on DESC, d.id LIMIT 1) \
         WHERE g.account_id = $1 AND g.id = (SELECT max(n.id) FROM service_agreement n WHERE n.service_point_id = p.id) \
         ORDER BY p.code, e.serial, r.code LIMIT $2",
    )
    .bind::<BigInt, _>(account)
    .bind::<BigInt, _>(limit)
    .load(conn)
}
