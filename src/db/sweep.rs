//! What the sweep for overcharges reads: every service with all of its reads, every bill that stands, and the money around it.

use chrono::{NaiveDate, NaiveDateTime};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Date, Integer, Nullable, Text, Timestamp};

use super::DbConnection;
use super::metering::BillableRead;
use super::schema::{meter, register};
use crate::domain::ids::{AccountId, AgreementId, PaymentId, RegisterId, RunId};

/// A service that was ever billed.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct SweptAgreement {
    /// The agreement.
    #[diesel(sql_type = BigInt)]
    pub id: AgreementId,
    /// The account.
    #[diesel(sql_type = BigInt)]
    pub account_id: AccountId,
    /// The account's number.
    #[diesel(sql_type = Text)]
    pub account: String,
    /// The service's id in files.
    #[diesel(sql_type = Text)]
    pub service: String,
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
}

/// The services of a range of accounts, by account.
///
/// # Errors
/// Those of the database.
pub fn agreements(conn: &mut DbConnection, first: AccountId, last: AccountId) -> QueryResult<Vec<SweptAgreement>> {
    diesel::sql_query(
        "SELECT a.id, a.account_id, c.number AS account, p.code AS service, a.schedule, a.rate_class, a.attributes, a.start_on, a.end_on \
         FROM service_agreement a JOIN account c ON c.id = a.account_id JOIN service_point p ON p.id = a.service_point_id \
         WHERE a.account_id BETWEEN $1 AND $2 ORDER BY a.account_id, a.id",
    )
    .bind::<BigInt, _>(first)
    .bind::<BigInt, _>(last)
    .load(conn)
}

/// A segment of a bill that stands.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct SweptSegment {
    /// The agreement.
    #[diesel(sql_type = BigInt)]
    pub agreement_id: AgreementId,
    /// The run.
    #[diesel(sql_type = BigInt)]
    pub run_id: RunId,
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
    /// 1 when it closed with an estimate.
    #[diesel(sql_type = Integer)]
    pub estimated: i32,
    /// The lines, as JSON.
    #[diesel(sql_type = Text)]
    pub lines: String,
    /// The inputs, as JSON.
    #[diesel(sql_type = Text)]
    pub inputs: String,
}

/// The segments of issued bills of a range of accounts, by agreement and date.
///
/// # Errors
/// Those of the database.
pub fn segments(conn: &mut DbConnection, first: AccountId, last: AccountId) -> QueryResult<Vec<SweptSegment>> {
    diesel::sql_query(
        "SELECT s.agreement_id, s.run_id, s.period_start_on, s.period_end_on, s.usage_milli, s.total_cents, s.estimated, s.lines, s.inputs \
         FROM bill b JOIN bill_segment s ON s.run_id = b.run_id AND s.account_id = b.account_id AND s.live = 1 \
         WHERE b.account_id BETWEEN $1 AND $2 AND b.status = 'issued' ORDER BY s.agreement_id, s.period_start_on",
    )
    .bind::<BigInt, _>(first)
    .bind::<BigInt, _>(last)
    .load(conn)
}

/// A relief for a leak on a segment of a bill that stands.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct SweptRelief {
    /// The agreement.
    #[diesel(sql_type = BigInt)]
    pub agreement_id: AgreementId,
    /// The segment's first day.
    #[diesel(sql_type = Date)]
    pub period_start_on: NaiveDate,
    /// The day after its last.
    #[diesel(sql_type = Date)]
    pub period_end_on: NaiveDate,
    /// What was given, in cents, above zero.
    #[diesel(sql_type = BigInt)]
    pub credit_cents: i64,
}

/// The reliefs of a range of accounts that were not taken back.
///
/// # Errors
/// Those of the database.
pub fn reliefs(conn: &mut DbConnection, first: AccountId, last: AccountId) -> QueryResult<Vec<SweptRelief>> {
    diesel::sql_query(
        "SELECT s.agreement_id, s.period_start_on, s.period_end_on, x.credit_cents FROM leak_relief l \
         JOIN leak_relief_part x ON x.relief_id = l.id \
         JOIN bill_segment s ON s.run_id = x.run_id AND s.account_id = x.account_id AND s.segment_no = x.segment_no AND s.live = 1 \
         WHERE l.account_id BETWEEN $1 AND $2 AND l.undone_seq IS NULL AND x.credit_cents > 0 \
            AND NOT EXISTS (SELECT 1 FROM adjustment o JOIN adjustment_reversal v ON v.reverses_id = o.id \
                WHERE o.account_id = l.account_id AND o.account_seq = l.account_seq)",
    )
    .bind::<BigInt, _>(first)
    .bind::<BigInt, _>(last)
    .load(conn)
}

/// All reads of a range of accounts' services that were not set aside, within the agreements' dates: as a bill run reads
/// them, but from the first on.
///
/// # Errors
/// Those of the database.
pub fn reads(conn: &mut DbConnection, first: AccountId, last: AccountId) -> QueryResult<Vec<BillableRead>> {
    diesel::sql_query(
        "SELECT a.id AS agreement_id, i.id AS installation_id, r.id AS register_id, r.digits, r.multiplier_milli, r.unit, \
            i.installed_on, i.removed_on, m.id AS read_id, m.read_on, m.reading_milli, m.kind, m.status \
         FROM service_agreement a \
         JOIN installation i ON i.service_point_id = coalesce(a.measured_at, a.service_point_id) \
         JOIN register r ON r.meter_id = i.meter_id \
         LEFT JOIN meter_read m ON m.register_id = r.id AND m.status <> 'rejected' \
            AND (a.start_on IS NULL OR m.read_on >= a.start_on) AND (a.end_on IS NULL OR m.read_on <= a.end_on) \
            AND (i.installed_on IS NULL OR m.read_on >= i.installed_on) AND (i.removed_on IS NULL OR m.read_on <= i.removed_on) \
         WHERE a.account_id BETWEEN $1 AND $2 ORDER BY a.account_id, a.id, i.id, r.id, m.read_on",
    )
    .bind::<BigInt, _>(first)
    .bind::<BigInt, _>(last)
    .load(conn)
}

/// The meters' numbers of these registers.
///
/// # Errors
/// Those of the database.
pub fn meters_of(conn: &mut DbConnection, registers: &[RegisterId]) -> QueryResult<Vec<(RegisterId, String)>> {
    register::table
        .inner_join(meter::table.on(meter::id.eq(register::meter_id)))
        .filter(register::id.eq_any(registers))
        .select((register::id, meter::serial))
        .load(conn)
}

#[derive(QueryableByName)]
struct Inputs {
    #[diesel(sql_type = Text)]
    inputs: String,
}

/// What standing bills of the services where a register's meter is or was installed were made from, as JSON, over some days.
///
/// # Errors
/// Those of the database.
pub fn inputs_where_installed(conn: &mut DbConnection, register: RegisterId, from_on: NaiveDate, to_on: NaiveDate) -> QueryResult<Vec<String>> {
    let rows: Vec<Inputs> = diesel::sql_query(
        "SELECT s.inputs FROM register r JOIN installation i ON i.meter_id = r.meter_id \
         JOIN service_agreement a ON a.service_point_id = i.service_point_id \
         JOIN bill_segment s ON s.agreement_id = a.id AND s.live = 1 AND s.period_start_on < $1 AND s.period_end_on > $2 WHERE r.id = $3",
    )
    .bind::<Date, _>(to_on)
    .bind::<Date, _>(from_on)
    .bind::<BigInt, _>(register)
    .load(conn)?;
    Ok(rows.into_iter().map(|row| row.inputs).collect())
}

/// A payment that was posted after a bill which it should have lowered.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct LatePayment {
    /// The account.
    #[diesel(sql_type = BigInt)]
    pub account_id: AccountId,
    /// The payment.
    #[diesel(sql_type = BigInt)]
    pub payment_id: PaymentId,
    /// Its amount, in cents.
    #[diesel(sql_type = BigInt)]
    pub amount_cents: i64,
    /// Its value date.
    #[diesel(sql_type = Date)]
    pub effective_on: NaiveDate,
    /// The provider's reference.
    #[diesel(sql_type = Nullable<Text>)]
    pub provider_ref: Option<String>,
    /// The bill's run.
    #[diesel(sql_type = BigInt)]
    pub run_id: RunId,
    /// The bill's date.
    #[diesel(sql_type = Date)]
    pub bill_on: NaiveDate,
    /// What the bill asked for, in cents.
    #[diesel(sql_type = BigInt)]
    pub amount_due_cents: i64,
    /// When the bill was posted, UTC.
    #[diesel(sql_type = Timestamp)]
    pub billed_at: NaiveDateTime,
    /// When the payment was posted, UTC.
    #[diesel(sql_type = Timestamp)]
    pub posted_at: NaiveDateTime,
    /// When the provider's event (the first time) or the bank's file that it was posted from came, UTC; none for one entered by hand.
    #[diesel(sql_type = Nullable<Timestamp>)]
    pub received_at: Option<NaiveDateTime>,
    /// 1 when a later bill that stands deducted it.
    #[diesel(sql_type = Integer)]
    pub deducted: i32,
}

/// The payments of a range of accounts that stand and were posted after a standing bill, although their value date is not after
/// the bill's. What a bill deducted and was only corrected since is none of them.
///
/// # Errors
/// Those of the database.
pub fn late_payments(conn: &mut DbConnection, first: AccountId, last: AccountId) -> QueryResult<Vec<LatePayment>> {
    diesel::sql_query(
        "SELECT l.* FROM (SELECT p.account_id, p.id AS payment_id, p.amount_cents, p.effective_on, p.provider_ref, b.run_id, r.bill_on, \
            b.amount_due_cents, g.posted_at AS billed_at, f.posted_at, \
            coalesce((SELECT min(d.received_at) FROM trace_step t JOIN provider_event e ON e.id = t.provider_event_id \
                JOIN trace_step u ON u.trace_id = e.trace_id JOIN provider_event d ON d.id = u.provider_event_id \
                WHERE t.account_id = p.account_id AND t.account_seq = p.account_seq), \
                (SELECT k.received_at FROM bank_entry n JOIN bank_file k ON k.id = n.file_id WHERE n.id = p.bank_entry_id)) AS received_at, \
            CASE WHEN EXISTS (SELECT 1 FROM bill m WHERE m.account_id = p.account_id AND m.account_seq > p.account_seq \
                AND m.status = 'issued') THEN 1 ELSE 0 END AS deducted \
         FROM (SELECT o.*, (SELECT s.bill_on FROM bill n JOIN bill_run s ON s.id = n.run_id WHERE n.account_id = o.account_id \
               AND n.account_seq < o.account_seq ORDER BY n.account_seq DESC LIMIT 1) AS last_bill_on FROM payment o \
            WHERE o.account_id BETWEEN $1 AND $2 AND o.superseded_seq IS NULL AND (o.returned_seq IS NULL OR o.restored_seq IS NOT NULL)) p \
         JOIN bill b ON b.account_id = p.account_id AND b.account_seq < p.account_seq AND b.status = 'issued' \
         JOIN bill_run r ON r.id = b.run_id AND r.bill_on >= p.effective_on \
         JOIN financial_transaction g ON g.account_id = b.account_id AND g.account_seq = b.account_seq \
         JOIN financial_transaction f ON f.account_id = p.account_id AND f.account_seq = p.account_seq \
         WHERE p.effective_on <= p.last_bill_on \
            AND NOT EXISTS (SELECT 1 FROM payment q WHERE q.account_id = p.account_id AND q.account_seq < b.account_seq \
                AND q.superseded_seq > b.account_seq \
                AND (q.bank_entry_id = p.bank_entry_id OR q.provider_payment_id = p.provider_payment_id))) l \
         ORDER BY l.account_id, l.payment_id, l.run_id",
    )
    .bind::<BigInt, _>(first)
    .bind::<BigInt, _>(last)
    .load(conn)
}

/// A fee for a returned payment that was not returned after all, and that was not given back.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct BaselessFee {
    /// The account.
    #[diesel(sql_type = BigInt)]
    pub account_id: AccountId,
    /// The fee's position in the ledger.
    #[diesel(sql_type = BigInt)]
    pub account_seq: i64,
    /// The fee, in cents.
    #[diesel(sql_type = BigInt)]
    pub amount_cents: i64,
    /// Its value date.
    #[diesel(sql_type = Date)]
    pub effective_on: NaiveDate,
    /// Its reference.
    #[diesel(sql_type = Text)]
    pub reference: String,
    /// The payment's reference.
    #[diesel(sql_type = Nullable<Text>)]
    pub provider_ref: Option<String>,
}

/// The fees of a range of accounts for returned payments that stand today; not those that were given back or taken back by hand.
///
/// # Errors
/// Those of the database.
pub fn baseless_fees(conn: &mut DbConnection, first: AccountId, last: AccountId) -> QueryResult<Vec<BaselessFee>> {
    diesel::sql_query(
        "SELECT j.account_id, j.account_seq, j.amount_cents, j.effective_on, j.reference, p.provider_ref FROM adjustment j \
         JOIN payment p ON p.account_id = j.account_id \
            AND j.reference = 'return-' || CAST(p.account_id AS TEXT) || '-' || CAST(p.account_seq AS TEXT) \
         WHERE j.account_id BETWEEN $1 AND $2 AND j.reason_code = 'returned-payment-fee' AND j.amount_cents > 0 \
            AND (p.returned_seq IS NULL OR p.restored_seq IS NOT NULL) AND p.superseded_seq IS NULL \
            AND NOT EXISTS (SELECT 1 FROM adjustment g WHERE g.reference = j.reference || '/back') \
            AND NOT EXISTS (SELECT 1 FROM adjustment_reversal v WHERE v.reverses_id = j.id) ORDER BY j.account_id, j.account_seq",
    )
    .bind::<BigInt, _>(first)
    .bind::<BigInt, _>(last)
    .load(conn)
}
