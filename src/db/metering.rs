//! Meters, registers, installations and reads.

use chrono::NaiveDate;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Date, Integer, Nullable, Text};

use super::DbConnection;
use super::billing::{LISTED, cycle_within_chunk};
use super::bulk::{in_list, insert_all};
use super::schema::{installation, meter, meter_read, register, service_agreement};
use crate::domain::ids::{AccountId, AgreementId, InstallationId, MeterId, ReadId, RegisterId, ServicePointId};

/// A meter as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = meter, treat_none_as_default_value = false)]
pub struct MeterRow {
    /// Identity.
    pub id: MeterId,
    /// The number on its case.
    pub serial: String,
}

/// A register as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = register, treat_none_as_default_value = false)]
pub struct RegisterRow {
    /// Identity.
    pub id: RegisterId,
    /// Its meter.
    pub meter_id: MeterId,
    /// Which of the meter's registers.
    pub code: String,
    /// Digits before the point.
    pub digits: i32,
    /// What one count stands for, in thousandths.
    pub multiplier_milli: i64,
    /// Unit; none is the tariff's.
    pub unit: Option<String>,
}

/// An installation as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = installation, treat_none_as_default_value = false)]
pub struct InstallationRow {
    /// Identity.
    pub id: InstallationId,
    /// The meter.
    pub meter_id: MeterId,
    /// Where.
    pub service_point_id: ServicePointId,
    /// Since when, when known.
    pub installed_on: Option<NaiveDate>,
    /// Until when.
    pub removed_on: Option<NaiveDate>,
}

/// A read as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, QueryableByName, Selectable, Insertable)]
#[diesel(table_name = meter_read, treat_none_as_default_value = false)]
pub struct ReadRow {
    /// Identity.
    pub id: ReadId,
    /// The register.
    pub register_id: RegisterId,
    /// When.
    pub read_on: NaiveDate,
    /// What it showed, in thousandths.
    pub reading_milli: i64,
    /// How it came to be.
    pub kind: String,
    /// `accepted`, `held` or `rejected`.
    pub status: String,
    /// How an estimate was made, in words.
    pub basis: Option<String>,
}

/// Everything that new services bring to the metering tables.
#[derive(Debug, Default)]
pub struct NewMeters {
    /// New meters.
    pub meters: Vec<MeterRow>,
    /// New registers.
    pub registers: Vec<RegisterRow>,
    /// New installations.
    pub installations: Vec<InstallationRow>,
}

/// Inserts the rows.
///
/// # Errors
/// Those of the database.
pub fn insert_meters(conn: &mut DbConnection, new: &NewMeters) -> QueryResult<()> {
    insert_all!(&mut *conn, meter::table, &new.meters)?;
    insert_all!(&mut *conn, register::table, &new.registers)?;
    insert_all!(conn, installation::table, &new.installations).map(|_| ())
}

/// Inserts reads.
///
/// # Errors
/// Those of the database.
pub fn insert_reads(conn: &mut DbConnection, reads: &[ReadRow]) -> QueryResult<()> {
    insert_all!(conn, meter_read::table, reads).map(|_| ())
}

/// The meters with these numbers.
///
/// # Errors
/// Those of the database.
pub fn meters_by_serial(conn: &mut DbConnection, serials: &[&str]) -> QueryResult<Vec<MeterRow>> {
    meter::table.filter(meter::serial.eq_any(serials)).select(MeterRow::as_select()).load(conn)
}

/// The registers of these meters, with the meters' numbers.
///
/// # Errors
/// Those of the database.
pub fn registers_by_serial(conn: &mut DbConnection, serials: &[&str]) -> QueryResult<Vec<(RegisterRow, String)>> {
    register::table
        .inner_join(meter::table.on(meter::id.eq(register::meter_id)))
        .filter(meter::serial.eq_any(serials))
        .select((RegisterRow::as_select(), meter::serial))
        .load(conn)
}

/// The registers of one meter, by code.
///
/// # Errors
/// Those of the database.
pub fn registers_of(conn: &mut DbConnection, meter: MeterId) -> QueryResult<Vec<RegisterRow>> {
    register::table.filter(register::meter_id.eq(meter)).order(register::code).select(RegisterRow::as_select()).load(conn)
}

/// Where these meters are or were installed.
///
/// # Errors
/// Those of the database.
pub fn installations_of(conn: &mut DbConnection, meters: &[MeterId]) -> QueryResult<Vec<InstallationRow>> {
    installation::table.filter(installation::meter_id.eq_any(meters)).select(InstallationRow::as_select()).load(conn)
}

/// The installations that are open at these service points.
///
/// # Errors
/// Those of the database.
pub fn open_installations_at(conn: &mut DbConnection, points: &[ServicePointId]) -> QueryResult<Vec<InstallationRow>> {
    installation::table
        .filter(installation::service_point_id.eq_any(points).and(installation::removed_on.is_null()))
        .select(InstallationRow::as_select())
        .load(conn)
}

/// Ends an installation.
///
/// # Errors
/// Those of the database.
pub fn remove_meter(conn: &mut DbConnection, id: InstallationId, on: NaiveDate) -> QueryResult<()> {
    diesel::update(installation::table.find(id)).set(installation::removed_on.eq(on)).execute(conn).map(|_| ())
}

/// Corrects what is recorded of a register. What bills were made from, they keep themselves.
///
/// # Errors
/// Those of the database.
pub fn correct_register(conn: &mut DbConnection, row: &RegisterRow) -> QueryResult<()> {
    diesel::update(register::table.find(row.id))
        .set((register::digits.eq(row.digits), register::multiplier_milli.eq(row.multiplier_milli), register::unit.eq(&row.unit)))
        .execute(conn)
        .map(|_| ())
}

/// Records that a meter is at another service point for as long as it was recorded at this one, and still is.
///
/// # Errors
/// Those of the database.
pub fn relocate(conn: &mut DbConnection, id: InstallationId, to: ServicePointId) -> QueryResult<()> {
    diesel::update(installation::table.find(id))
        .set((installation::service_point_id.eq(to), installation::removed_on.eq(None::<NaiveDate>)))
        .execute(conn)
        .map(|_| ())
}

/// Inserts an installation.
///
/// # Errors
/// Those of the database.
pub fn insert_installation(conn: &mut DbConnection, row: &InstallationRow) -> QueryResult<()> {
    diesel::insert_into(installation::table).values(row).execute(conn).map(|_| ())
}

/// The reads of these registers that are not rejected, by register and date.
///
/// # Errors
/// Those of the database.
pub fn reads_of(conn: &mut DbConnection, registers: &[RegisterId]) -> QueryResult<Vec<ReadRow>> {
    match conn {
        // In pages: SQLite takes some 32,000 values in one statement.
        DbConnection::Sqlite(conn) => {
            let mut reads = Vec::new();
            for page in registers.chunks(20_000) {
                let rows: Vec<ReadRow> = meter_read::table
                    .filter(meter_read::register_id.eq_any(page).and(meter_read::status.ne("rejected")))
                    .order((meter_read::register_id, meter_read::read_on))
                    .select(ReadRow::as_select())
                    .load(conn)?;
                reads.extend(rows);
            }
            Ok(reads)
        }
        // A join, because PostgreSQL walks a long list anew for each row that it compares.
        DbConnection::Postgres(conn) => diesel::sql_query(
            "SELECT m.* FROM unnest($1) r (id) JOIN meter_read m ON m.register_id = r.id AND m.status <> 'rejected' \
             ORDER BY m.register_id, m.read_on",
        )
        .bind::<Array<BigInt>, _>(registers.iter().map(|id| id.0).collect::<Vec<_>>())
        .load(conn),
    }
}

/// The reads with these ids.
///
/// # Errors
/// Those of the database.
pub fn reads_by_id(conn: &mut DbConnection, ids: &[ReadId]) -> QueryResult<Vec<ReadRow>> {
    match conn {
        DbConnection::Sqlite(conn) => meter_read::table.filter(meter_read::id.eq_any(ids)).select(ReadRow::as_select()).load(conn),
        DbConnection::Postgres(conn) => diesel::sql_query("SELECT m.* FROM unnest($1) r (id) JOIN meter_read m ON m.id = r.id")
            .bind::<Array<BigInt>, _>(ids.iter().map(|id| id.0).collect::<Vec<_>>())
            .load(conn),
    }
}

/// Settles held reads; returns how many were held until now.
///
/// # Errors
/// Those of the database.
pub fn settle_reads(conn: &mut DbConnection, ids: &[ReadId], status: &str) -> QueryResult<usize> {
    diesel::update(meter_read::table.filter(meter_read::id.eq_any(ids).and(meter_read::status.eq("held"))))
        .set(meter_read::status.eq(status))
        .execute(conn)
}

/// The terms and the last billed day of a register's service, for validation.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct RegisterService {
    /// The register.
    #[diesel(sql_type = BigInt)]
    pub register_id: RegisterId,
    /// An agreement where its meter is installed.
    #[diesel(sql_type = BigInt)]
    pub agreement_id: AgreementId,
    /// Its rate class.
    #[diesel(sql_type = Text)]
    pub rate_class: String,
    /// First day of the agreement, when known.
    #[diesel(sql_type = Nullable<Date>)]
    pub start_on: Option<NaiveDate>,
    /// Since when the meter is in place.
    #[diesel(sql_type = Nullable<Date>)]
    pub installed_on: Option<NaiveDate>,
    /// Until when it was.
    #[diesel(sql_type = Nullable<Date>)]
    pub removed_on: Option<NaiveDate>,
}

/// How far an agreement that a register measures, now or once, is billed.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct BilledSpan {
    /// The register.
    #[diesel(sql_type = BigInt)]
    pub register_id: RegisterId,
    /// First day of the agreement, when known.
    #[diesel(sql_type = Nullable<Date>)]
    pub start_on: Option<NaiveDate>,
    /// Its last day, once it ended.
    #[diesel(sql_type = Nullable<Date>)]
    pub end_on: Option<NaiveDate>,
    /// The end of its last billed period.
    #[diesel(sql_type = Date)]
    pub billed_through: NaiveDate,
}

impl BilledSpan {
    /// Through which day a read of a day is billed, when it is: to whoever had the service then, by whichever of the
    /// agreements that the register measures.
    #[must_use]
    pub fn over(spans: &[Self], day: NaiveDate) -> Option<NaiveDate> {
        let covers = |span: &&Self| span.start_on.is_none_or(|start| start <= day) && span.end_on.is_none_or(|end| day <= end);
        spans.iter().filter(covers).map(|span| span.billed_through).filter(|billed| *billed >= day).max()
    }
}

impl RegisterService {
    /// Whether the meter was in place on a day.
    #[must_use]
    pub fn covers(&self, on: NaiveDate) -> bool {
        self.installed_on.is_none_or(|installed| installed <= on) && self.removed_on.is_none_or(|removed| on <= removed)
    }
}

/// The service that each register of these meters measures: one row for each agreement there ever was at it, oldest
/// first. Whoever has it now, it is billed as far as anybody was billed for it.
///
/// # Errors
/// Those of the database.
pub fn register_services(conn: &mut DbConnection, meters: &[MeterId]) -> QueryResult<Vec<RegisterService>> {
    let list = in_list(meters.iter().map(|id| id.0));
    diesel::sql_query(format!(
        "SELECT r.id AS register_id, a.id AS agreement_id, a.rate_class, a.start_on, i.installed_on, i.removed_on FROM register r \
         JOIN installation i ON i.id = (SELECT max(n.id) FROM installation n WHERE n.meter_id = r.meter_id) \
         JOIN service_agreement a ON a.service_point_id = i.service_point_id \
         WHERE r.meter_id IN ({list}) ORDER BY a.id"
    ))
    .load(conn)
}

/// Of a register's services (oldest first) the one that a read of a day belongs to: where one agreement follows another,
/// the read between them is the former's last.
#[must_use]
pub fn service_on<'a>(services: impl DoubleEndedIterator<Item = &'a RegisterService> + Clone, on: NaiveDate) -> Option<&'a RegisterService> {
    let begun = services.clone().rev().find(|service| service.start_on.is_none_or(|start| start < on));
    begun.or_else(|| services.into_iter().next())
}

/// For the registers of these meters: how far everybody is billed whom they measure or once measured, by a service of
/// their own or by one without a meter.
///
/// # Errors
/// Those of the database.
pub fn billed_spans(conn: &mut DbConnection, meters: &[MeterId]) -> QueryResult<Vec<BilledSpan>> {
    let list = in_list(meters.iter().map(|id| id.0));
    let by = |column: &str| {
        format!(
            "SELECT r.id AS register_id, a.start_on, a.end_on, s.period_end_on AS billed_through FROM register r \
             JOIN installation i ON i.id = (SELECT max(n.id) FROM installation n WHERE n.meter_id = r.meter_id) \
             JOIN service_agreement a ON a.{column} = i.service_point_id \
             JOIN bill_segment s ON s.agreement_id = a.id AND s.live = 1 AND s.period_start_on = \
                (SELECT max(l.period_start_on) FROM bill_segment l WHERE l.agreement_id = a.id AND l.live = 1) \
             WHERE r.meter_id IN ({list})"
        )
    };
    diesel::sql_query(format!("{} UNION ALL {}", by("service_point_id"), by("measured_at"))).load(conn)
}

/// A read with its register and installation, as a bill run wants it.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct BillableRead {
    /// The agreement that it is billed to.
    #[diesel(sql_type = BigInt)]
    pub agreement_id: AgreementId,
    /// The installation.
    #[diesel(sql_type = BigInt)]
    pub installation_id: InstallationId,
    /// The register.
    #[diesel(sql_type = BigInt)]
    pub register_id: RegisterId,
    /// Digits of the register.
    #[diesel(sql_type = Integer)]
    pub digits: i32,
    /// Multiplier of the register.
    #[diesel(sql_type = BigInt)]
    pub multiplier_milli: i64,
    /// Unit of the register.
    #[diesel(sql_type = Nullable<Text>)]
    pub unit: Option<String>,
    /// Since when the meter is in place.
    #[diesel(sql_type = Nullable<Date>)]
    pub installed_on: Option<NaiveDate>,
    /// Until when it was.
    #[diesel(sql_type = Nullable<Date>)]
    pub removed_on: Option<NaiveDate>,
    /// The read, absent for a register without one.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub read_id: Option<i64>,
    /// Its date.
    #[diesel(sql_type = Nullable<Date>)]
    pub read_on: Option<NaiveDate>,
    /// Its reading.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub reading_milli: Option<i64>,
    /// Its kind.
    #[diesel(sql_type = Nullable<Text>)]
    pub kind: Option<String>,
    /// Its status.
    #[diesel(sql_type = Nullable<Text>)]
    pub status: Option<String>,
}

/// The unbilled reads of a cycle's agreements in a range of accounts: those from the last day that was billed by a real
/// read on, up to and including `through`, within the agreement's dates. A service without a meter of its own has the
/// reads of the service that measures it. Ordered by agreement, installation, register and date.
///
/// # Errors
/// Those of the database.
pub fn billable_reads(conn: &mut DbConnection, cycle: &str, first: AccountId, last: AccountId, through: NaiveDate) -> QueryResult<Vec<BillableRead>> {
    let (cycle, listed) = cycle_within_chunk(cycle);
    diesel::sql_query(format!(
        "SELECT a.id AS agreement_id, i.id AS installation_id, r.id AS register_id, r.digits, r.multiplier_milli, r.unit, \
            i.installed_on, i.removed_on, m.id AS read_id, m.read_on, m.reading_milli, m.kind, m.status \
         FROM service_agreement a \
         JOIN installation i ON i.service_point_id = coalesce(a.measured_at, a.service_point_id) \
         JOIN register r ON r.meter_id = i.meter_id \
         LEFT JOIN meter_read m ON m.register_id = r.id AND m.status <> 'rejected' AND m.read_on <= $1 \
            AND m.read_on >= coalesce((SELECT s.period_end_on FROM bill_segment s WHERE s.agreement_id = a.id AND s.live = 1 \
                AND s.estimated = 0 ORDER BY s.period_start_on DESC LIMIT 1), \
                (SELECT s.period_start_on FROM bill_segment s WHERE s.agreement_id = a.id AND s.live = 1 \
                ORDER BY s.period_start_on LIMIT 1), a.start_on, '0001-01-01') \
            AND (a.end_on IS NULL OR m.read_on <= a.end_on) \
            AND (i.installed_on IS NULL OR m.read_on >= i.installed_on) \
            AND (i.removed_on IS NULL OR m.read_on <= i.removed_on) \
         WHERE a.account_id BETWEEN $2 AND $3 AND ($4 = 'all' OR a.cycle = $4 OR a.account_id IN ({LISTED})) \
         ORDER BY a.account_id, a.id, i.id, r.id, m.read_on"
    ))
    .bind::<Date, _>(through)
    .bind::<BigInt, _>(first)
    .bind::<BigInt, _>(last)
    .bind::<Text, _>(cycle)
    .bind::<BigInt, _>(listed)
    .load(conn)
}

/// All reads of these agreements on or after a day, within the agreements' dates: what a winter is computed from.
///
/// # Errors
/// Those of the database.
pub fn reads_since(conn: &mut DbConnection, agreements: &[AgreementId], since: NaiveDate) -> QueryResult<Vec<BillableRead>> {
    let list = in_list(agreements.iter().map(|id| id.0));
    diesel::sql_query(format!(
        "SELECT a.id AS agreement_id, i.id AS installation_id, r.id AS register_id, r.digits, r.multiplier_milli, r.unit, \
            i.installed_on, i.removed_on, m.id AS read_id, m.read_on, m.reading_milli, m.kind, m.status \
         FROM service_agreement a \
         JOIN installation i ON i.service_point_id = coalesce(a.measured_at, a.service_point_id) \
         JOIN register r ON r.meter_id = i.meter_id \
         JOIN meter_read m ON m.register_id = r.id AND m.status <> 'rejected' AND m.read_on >= $1 \
            AND (a.start_on IS NULL OR m.read_on >= a.start_on) \
            AND (a.end_on IS NULL OR m.read_on <= a.end_on) \
            AND (i.installed_on IS NULL OR m.read_on >= i.installed_on) \
            AND (i.removed_on IS NULL OR m.read_on <= i.removed_on) \
         WHERE a.id IN ({list}) \
         ORDER BY a.id, i.id, r.id, m.read_on"
    ))
    .bind::<Date, _>(since)
    .load(conn)
}

/// A rejected read: its register, day, reading and kind.
pub type RejectedRead = (RegisterId, NaiveDate, i64, String);

/// The rejected reads of these registers: what a clerk set aside stays aside when its file comes again.
///
/// # Errors
/// Those of the database.
pub fn rejected_reads_of(conn: &mut DbConnection, registers: &[RegisterId]) -> QueryResult<Vec<RejectedRead>> {
    let mut reads = Vec::new();
    for page in registers.chunks(20_000) {
        let rows: Vec<RejectedRead> = meter_read::table
            .filter(meter_read::status.eq("rejected").and(meter_read::register_id.eq_any(page)))
            .select((meter_read::register_id, meter_read::read_on, meter_read::reading_milli, meter_read::kind))
            .load(conn)?;
        reads.extend(rows);
    }
    Ok(reads)
}

/// Sets an accepted or held read aside; false when it was aside already.
///
/// # Errors
/// Those of the database.
pub fn set_read_aside(conn: &mut DbConnection, id: ReadId) -> QueryResult<bool> {
    diesel::update(meter_read::table.filter(meter_read::id.eq(id).and(meter_read::status.ne("rejected"))))
        .set(meter_read::status.eq("rejected"))
        .execute(conn)
        .map(|count| count == 1)
}

/// Sets reads aside; returns how many were not aside already.
///
/// # Errors
/// Those of the database.
pub fn set_reads_aside(conn: &mut DbConnection, ids: &[ReadId]) -> QueryResult<usize> {
    diesel::update(meter_read::table.filter(meter_read::id.eq_any(ids).and(meter_read::status.ne("rejected"))))
        .set(meter_read::status.eq("rejected"))
        .execute(conn)
}

/// Takes the locks of registers, in id order, so that whoever else brings reads of them waits and then sees ours.
///
/// SQLite has one writer at a time and needs none.
///
/// # Errors
/// Those of the database.
pub fn lock_registers(conn: &mut DbConnection, registers: &[RegisterId]) -> QueryResult<()> {
    if let DbConnection::Postgres(conn) = conn {
        let ids: Vec<i64> = registers.iter().map(|id| id.0).collect();
        diesel::sql_query("SELECT id FROM register WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE").bind::<Array<BigInt>, _>(ids).execute(conn)?;
    }
    Ok(())
}

/// What of an agreement makes a usage into money.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct PricedTerms {
    /// The agreement.
    pub id: AgreementId,
    /// The tariff schedule.
    pub schedule: String,
    /// The rate class.
    pub rate_class: String,
    /// The attributes, as JSON.
    pub attributes: String,
}

/// What makes the usage of these agreements into money.
///
/// # Errors
/// Those of the database.
pub fn priced_terms(conn: &mut DbConnection, agreements: &[AgreementId]) -> QueryResult<Vec<PricedTerms>> {
    service_agreement::table
        .filter(service_agreement::id.eq_any(agreements))
        .select((service_agreement::id, service_agreement::schedule, service_agreement::rate_class, service_agreement::attributes))
        .load(conn)
}

/// A register that measures an agreement or once did, for estimating what was not read.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct MeasuringRegister {
    /// The agreement.
    #[diesel(sql_type = BigInt)]
    pub agreement_id: AgreementId,
    /// The account's number.
    #[diesel(sql_type = Text)]
    pub account: String,
    /// The service's id in files.
    #[diesel(sql_type = Text)]
    pub service_id: String,
    /// The rate class.
    #[diesel(sql_type = Text)]
    pub rate_class: String,
    /// First day of the agreement, when known.
    #[diesel(sql_type = Nullable<Date>)]
    pub start_on: Option<NaiveDate>,
    /// Last day of the agreement, once it ended.
    #[diesel(sql_type = Nullable<Date>)]
    pub end_on: Option<NaiveDate>,
    /// The end of its last billed period.
    #[diesel(sql_type = Nullable<Date>)]
    pub billed_through: Option<NaiveDate>,
    /// The charge of that period, in cents.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub last_total_cents: Option<i64>,
    /// The register.
    #[diesel(sql_type = BigInt)]
    pub register_id: RegisterId,
    /// Which of the meter's registers.
    #[diesel(sql_type = Text)]
    pub code: String,
    /// Its digits.
    #[diesel(sql_type = Integer)]
    pub digits: i32,
    /// Its multiplier.
    #[diesel(sql_type = BigInt)]
    pub multiplier_milli: i64,
    /// Its unit.
    #[diesel(sql_type = Nullable<Text>)]
    pub unit: Option<String>,
    /// Since when the meter is in place.
    #[diesel(sql_type = Nullable<Date>)]
    pub installed_on: Option<NaiveDate>,
    /// Until when it was.
    #[diesel(sql_type = Nullable<Date>)]
    pub removed_on: Option<NaiveDate>,
}

/// Agreements with the registers at their services and how far they are billed.
const MEASURING: &str = "SELECT a.id AS agreement_id, c.number AS account, p.code AS service_id, a.rate_class, a.start_on, a.end_on, \
        s.period_end_on AS billed_through, s.total_cents AS last_total_cents, \
        r.id AS register_id, r.code, r.digits, r.multiplier_milli, r.unit, i.installed_on, i.removed_on \
     FROM service_agreement a \
     JOIN account c ON c.id = a.account_id \
     JOIN service_point p ON p.id = a.service_point_id \
     JOIN installation i ON i.service_point_id = a.service_point_id \
     JOIN register r ON r.meter_id = i.meter_id \
     LEFT JOIN bill_segment s ON s.agreement_id = a.id AND s.live = 1 AND s.period_start_on = \
        (SELECT max(l.period_start_on) FROM bill_segment l WHERE l.agreement_id = a.id AND l.live = 1)";

/// The registers at the services of these agreements, by agreement.
///
/// # Errors
/// Those of the database.
pub fn registers_measuring(conn: &mut DbConnection, agreements: &[AgreementId]) -> QueryResult<Vec<MeasuringRegister>> {
    let list = in_list(agreements.iter().map(|id| id.0));
    diesel::sql_query(format!("{MEASURING} WHERE a.id IN ({list}) ORDER BY a.id, i.id, r.id")).load(conn)
}

/// The registers at the services of a cycle's agreements in a range of accounts that had begun before a day, by
/// agreement. Agreements without any meter have none.
///
/// # Errors
/// Those of the database.
pub fn measuring_registers(
    conn: &mut DbConnection,
    cycle: &str,
    first: AccountId,
    last: AccountId,
    on: NaiveDate,
) -> QueryResult<Vec<MeasuringRegister>> {
    diesel::sql_query(format!(
        "{MEASURING} WHERE (a.start_on IS NULL OR a.start_on < $1) AND a.account_id BETWEEN $2 AND $3 AND ($4 = 'all' OR a.cycle = $4) \
         ORDER BY a.account_id, a.id, i.id, r.id"
    ))
    .bind::<Date, _>(on)
    .bind::<BigInt, _>(first)
    .bind::<BigInt, _>(last)
    .bind::<Text, _>(cycle)
    .load(conn)
}
