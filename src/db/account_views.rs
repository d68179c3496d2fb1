//! What pages show of an account: reads that join several tables, a page at a time.
//!
//! Belongs here: looking. Does not belong here: anything that a verb decides by, or that changes a row.

use chrono::{NaiveDate, NaiveDateTime};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Date, Integer, Nullable, Text, Timestamp};

use super::DbConnection;
use super::schema::{account, meter_read};
use crate::domain::ids::{AccountId, AgreementId, PersonId, ReadId, RunId};

/// An account with whose it is.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct AccountHead {
    /// Identity.
    #[diesel(sql_type = BigInt)]
    pub id: AccountId,
    /// The number that customers know.
    #[diesel(sql_type = Text)]
    pub number: String,
    /// Whose account.
    #[diesel(sql_type = BigInt)]
    pub person_id: PersonId,
    /// Their name.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// Where notices go.
    #[diesel(sql_type = Nullable<Text>)]
    pub email: Option<String>,
    /// Where paper goes, when not to the premise.
    #[diesel(sql_type = Nullable<Text>)]
    pub mailing_address: Option<String>,
    /// The address of the latest service.
    #[diesel(sql_type = Nullable<Text>)]
    pub address: Option<String>,
    /// The ledger's last position; 0 before anything was posted.
    #[diesel(sql_type = BigInt)]
    pub ledger_seq: i64,
    /// The balance there, in cents.
    #[diesel(sql_type = BigInt)]
    pub balance_cents: i64,
}

const HEAD: &str = "SELECT c.id, c.number, c.person_id, p.name, p.email, p.mailing_address, \
    (SELECT m.address FROM service_agreement a JOIN service_point s ON s.id = a.service_point_id JOIN premise m ON m.id = s.premise_id \
        WHERE a.account_id = c.id ORDER BY CASE WHEN a.end_on IS NULL THEN 0 ELSE 1 END, a.id DESC LIMIT 1) AS address, \
    coalesce(f.account_seq, 0) AS ledger_seq, coalesce(f.balance_after_cents, 0) AS balance_cents \
    FROM account c JOIN person p ON p.id = c.person_id \
    LEFT JOIN financial_transaction f ON f.account_id = c.id \
        AND f.account_seq = (SELECT max(l.account_seq) FROM financial_transaction l WHERE l.account_id = c.id)";

/// The account with this number.
///
/// # Errors
/// Those of the database.
pub fn head(conn: &mut DbConnection, number: &str) -> QueryResult<Option<AccountHead>> {
    diesel::sql_query(format!("{HEAD} WHERE c.number = $1")).bind::<Text, _>(number).get_result(conn).optional()
}

/// The account with one of these numbers, when there is only one.
///
/// # Errors
/// Those of the database.
pub fn only_head(conn: &mut DbConnection, numbers: &[String]) -> QueryResult<Option<AccountHead>> {
    let found: Vec<AccountId> = account::table.filter(account::number.eq_any(numbers)).order(account::id).limit(2).select(account::id).load(conn)?;
    match found.as_slice() {
        [only] => head_by_id(conn, *only),
        _ => Ok(None),
    }
}

/// The account with this id.
///
/// # Errors
/// Those of the database.
pub fn head_by_id(conn: &mut DbConnection, id: AccountId) -> QueryResult<Option<AccountHead>> {
    diesel::sql_query(format!("{HEAD} WHERE c.id = $1")).bind::<BigInt, _>(id).get_result(conn).optional()
}

/// A page of a person's accounts, by id after an id.
///
/// # Errors
/// Those of the database.
pub fn heads_of_person(conn: &mut DbConnection, person: PersonId, after: AccountId, limit: i64) -> QueryResult<Vec<AccountHead>> {
    diesel::sql_query(format!("{HEAD} WHERE c.person_id = $1 AND c.id > $2 ORDER BY c.id LIMIT $3"))
        .bind::<BigInt, _>(person)
        .bind::<BigInt, _>(after)
        .bind::<BigInt, _>(limit)
        .load(conn)
}

/// A service of an account, with its meter and its last accepted read.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct ServiceRow {
    /// The agreement.
    #[diesel(sql_type = BigInt)]
    pub agreement_id: AgreementId,
    /// The service's id in files.
    #[diesel(sql_type = Text)]
    pub code: String,
    /// Where.
    #[diesel(sql_type = Text)]
    pub address: String,
    /// The tariff schedule.
    #[diesel(sql_type = Text)]
    pub schedule: String,
    /// The rate class of today.
    #[diesel(sql_type = Text)]
    pub rate_class: String,
    /// First day, when known.
    #[diesel(sql_type = Nullable<Date>)]
    pub start_on: Option<NaiveDate>,
    /// Last day, once it ended.
    #[diesel(sql_type = Nullable<Date>)]
    pub end_on: Option<NaiveDate>,
    /// The meter's number.
    #[diesel(sql_type = Nullable<Text>)]
    pub meter: Option<String>,
    /// Which of its registers.
    #[diesel(sql_type = Nullable<Text>)]
    pub register: Option<String>,
    /// Digits before the point.
    #[diesel(sql_type = Nullable<Integer>)]
    pub digits: Option<i32>,
    /// Unit of the register; none is the tariff's.
    #[diesel(sql_type = Nullable<Text>)]
    pub unit: Option<String>,
    /// When it was last read.
    #[diesel(sql_type = Nullable<Date>)]
    pub read_on: Option<NaiveDate>,
    /// What it showed, in thousandths.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub reading_milli: Option<i64>,
    /// How the read came to be.
    #[diesel(sql_type = Nullable<Text>)]
    pub read_kind: Option<String>,
}

/// The services of an account, those that go on first; a bounded number of them.
///
/// # Errors
/// Those of the database.
pub fn services(conn: &mut DbConnection, account: AccountId, today: NaiveDate, limit: i64) -> QueryResult<Vec<ServiceRow>> {
    // The second condition is the index's own: SQLite does not see that the first one says it, too.
    diesel::sql_query(
        "SELECT a.id AS agreement_id, s.code, m.address, a.schedule, \
            coalesce((SELECT t.rate_class FROM agreement_term t WHERE t.agreement_id = a.id AND t.effective_on <= $1 \
                ORDER BY t.effective_on DESC LIMIT 1), a.rate_class) AS rate_class, \
            a.start_on, a.end_on, e.serial AS meter, r.code AS register, r.digits, r.unit, d.read_on, d.reading_milli, d.kind AS read_kind \
         FROM service_agreement a \
         JOIN service_point s ON s.id = a.service_point_id \
         JOIN premise m ON m.id = s.premise_id \
         LEFT JOIN installation i ON i.service_point_id = coalesce(a.measured_at, a.service_point_id) AND i.removed_on IS NULL AND a.end_on IS NULL \
         LEFT JOIN meter e ON e.id = i.meter_id \
         LEFT JOIN register r ON r.id = (SELECT min(f.id) FROM register f WHERE f.meter_id = e.id) \
         LEFT JOIN meter_read d ON d.id = (SELECT l.id FROM meter_read l WHERE l.register_id = r.id AND l.status = 'accepted' AND l.status <> 'rejected' \
            ORDER BY l.read_on DESC LIMIT 1) \
         WHERE a.account_id = $2 ORDER BY CASE WHEN a.end_on IS NULL THEN 0 ELSE 1 END, a.id LIMIT $3",
    )
    .bind::<Date, _>(today)
    .bind::<BigInt, _>(account)
    .bind::<BigInt, _>(limit)
    .load(conn)
}

/// One row of an account's ledger with what tells its story.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct ActivityRow {
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
    /// The bill that it posted or took back.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub bill_run: Option<i64>,
    /// That bill's date.
    #[diesel(sql_type = Nullable<Date>)]
    pub bill_on: Option<NaiveDate>,
    /// Whether that bill was taken back.
    #[diesel(sql_type = Nullable<Text>)]
    pub bill_status: Option<String>,
    /// The payment's form of money, for one posted or returned.
    #[diesel(sql_type = Nullable<Text>)]
    pub tender: Option<String>,
    /// The payment's reference.
    #[diesel(sql_type = Nullable<Text>)]
    pub reference: Option<String>,
    /// The payment's value date.
    #[diesel(sql_type = Nullable<Date>)]
    pub paid_on: Option<NaiveDate>,
    /// When the payment was returned, unless that was taken back.
    #[diesel(sql_type = Nullable<Date>)]
    pub returned_on: Option<NaiveDate>,
    /// Why the payment was returned.
    #[diesel(sql_type = Nullable<Text>)]
    pub return_reason: Option<String>,
    /// The position of the correction that took the payment out of the ledger.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub superseded_seq: Option<i64>,
}

/// A page of an account's ledger between two positions, both outside, newest first.
///
/// # Errors
/// Those of the database.
pub fn activity(conn: &mut DbConnection, account: AccountId, after_seq: i64, before_seq: i64, limit: i64) -> QueryResult<Vec<ActivityRow>> {
    diesel::sql_query(
        "SELECT f.account_seq, f.kind, f.source, f.amount_cents, f.balance_after_cents, f.effective_on, f.posted_at, \
            b.run_id AS bill_run, n.bill_on, b.status AS bill_status, \
            p.tender, p.provider_ref AS reference, p.effective_on AS paid_on, \
            CASE WHEN p.restored_seq IS NULL THEN p.returned_on END AS returned_on, p.return_reason, p.superseded_seq \
         FROM financial_transaction f \
         LEFT JOIN bill b ON b.account_id = f.account_id AND (b.account_seq = f.account_seq OR b.cancelled_seq = f.account_seq) \
         LEFT JOIN bill_run n ON n.id = b.run_id \
         LEFT JOIN payment p ON p.account_id = f.account_id AND (p.account_seq = f.account_seq OR p.returned_seq = f.account_seq) \
         WHERE f.account_id = $1 AND f.account_seq > $2 AND f.account_seq < $3 ORDER BY f.account_seq DESC LIMIT $4",
    )
    .bind::<BigInt, _>(account)
    .bind::<BigInt, _>(after_seq)
    .bind::<BigInt, _>(before_seq)
    .bind::<BigInt, _>(limit)
    .load(conn)
}

/// A bill with its dates.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct DatedBill {
    /// The run.
    #[diesel(sql_type = BigInt)]
    pub run_id: RunId,
    /// The account.
    #[diesel(sql_type = BigInt)]
    pub account_id: AccountId,
    /// The transaction that posted it.
    #[diesel(sql_type = BigInt)]
    pub account_seq: i64,
    /// `issued` or `cancelled`.
    #[diesel(sql_type = Text)]
    pub status: String,
    /// Charges of this bill, in cents.
    #[diesel(sql_type = BigInt)]
    pub total_cents: i64,
    /// Opening balance and charges.
    #[diesel(sql_type = BigInt)]
    pub amount_due_cents: i64,
    /// Its date.
    #[diesel(sql_type = Date)]
    pub bill_on: NaiveDate,
    /// When it is due.
    #[diesel(sql_type = Date)]
    pub due_on: NaiveDate,
}

/// A page of an account's bills before a ledger position, newest first.
///
/// # Errors
/// Those of the database.
pub fn bills(conn: &mut DbConnection, account: AccountId, before_seq: i64, limit: i64) -> QueryResult<Vec<DatedBill>> {
    diesel::sql_query(
        "SELECT b.run_id, b.account_id, b.account_seq, b.status, b.total_cents, b.amount_due_cents, n.bill_on, n.due_on \
         FROM bill b JOIN bill_run n ON n.id = b.run_id \
         WHERE b.account_id = $1 AND b.account_seq < $2 ORDER BY b.account_seq DESC LIMIT $3",
    )
    .bind::<BigInt, _>(account)
    .bind::<BigInt, _>(before_seq)
    .bind::<BigInt, _>(limit)
    .load(conn)
}

/// One billed period of an agreement.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct UsageRow {
    /// The run that billed it.
    #[diesel(sql_type = BigInt)]
    pub run_id: RunId,
    /// The account.
    #[diesel(sql_type = BigInt)]
    pub account_id: AccountId,
    /// The opening read's date.
    #[diesel(sql_type = Date)]
    pub period_start_on: NaiveDate,
    /// The closing read's date.
    #[diesel(sql_type = Date)]
    pub period_end_on: NaiveDate,
    /// Usage in the tariff's unit, in thousandths.
    #[diesel(sql_type = BigInt)]
    pub usage_milli: i64,
    /// Charges, in cents.
    #[diesel(sql_type = BigInt)]
    pub total_cents: i64,
    /// The inputs, as JSON.
    #[diesel(sql_type = Text)]
    pub inputs: String,
}

/// The billed periods of an agreement, newest first: of bills that were issued and stand.
///
/// # Errors
/// Those of the database.
pub fn usage(conn: &mut DbConnection, agreement: AgreementId, limit: i64) -> QueryResult<Vec<UsageRow>> {
    diesel::sql_query(
        "SELECT s.run_id, s.account_id, s.period_start_on, s.period_end_on, s.usage_milli, s.total_cents, s.inputs \
         FROM bill_segment s JOIN bill b ON b.run_id = s.run_id AND b.account_id = s.account_id AND b.status = 'issued' \
         WHERE s.agreement_id = $1 AND s.live = 1 ORDER BY s.period_start_on DESC LIMIT $2",
    )
    .bind::<BigInt, _>(agreement)
    .bind::<BigInt, _>(limit)
    .load(conn)
}

/// Where a segment of a bill was delivered.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct PlacedSegment {
    /// Its place on the bill.
    #[diesel(sql_type = Integer)]
    pub segment_no: i32,
    /// Where.
    #[diesel(sql_type = Text)]
    pub address: String,
    /// The agreement's tariff schedule.
    #[diesel(sql_type = Text)]
    pub schedule: String,
    /// The agreement's last day, once it ended.
    #[diesel(sql_type = Nullable<Date>)]
    pub end_on: Option<NaiveDate>,
}

/// Where each segment of a bill was delivered, and under which agreement.
///
/// # Errors
/// Those of the database.
pub fn placed_segments(conn: &mut DbConnection, run: RunId, account: AccountId) -> QueryResult<Vec<PlacedSegment>> {
    diesel::sql_query(
        "SELECT s.segment_no, m.address, a.schedule, a.end_on FROM bill_segment s JOIN service_agreement a ON a.id = s.agreement_id \
         JOIN service_point p ON p.id = a.service_point_id JOIN premise m ON m.id = p.premise_id \
         WHERE s.run_id = $1 AND s.account_id = $2 ORDER BY s.segment_no",
    )
    .bind::<BigInt, _>(run)
    .bind::<BigInt, _>(account)
    .load(conn)
}

/// How estimated reads were made, in words, of those that say.
///
/// # Errors
/// Those of the database.
pub fn read_bases(conn: &mut DbConnection, reads: &[ReadId]) -> QueryResult<Vec<(ReadId, Option<String>)>> {
    meter_read::table.filter(meter_read::id.eq_any(reads).and(meter_read::basis.is_not_null())).select((meter_read::id, meter_read::basis)).load(conn)
}
