//! What the staff's pages of one service show: who had it through time, on what terms, and by which meters.

use chrono::NaiveDate;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Date, Integer, Nullable, Text};

use super::DbConnection;
use crate::domain::ids::{AccountId, AgreementId, PremiseId, ServicePointId};

#[derive(QueryableByName)]
struct Code {
    #[diesel(sql_type = Text)]
    code: String,
}

/// The services that an account ever had.
///
/// # Errors
/// Those of the database.
pub fn codes_of_account(conn: &mut DbConnection, account: AccountId) -> QueryResult<Vec<String>> {
    let rows: Vec<Code> = diesel::sql_query(
        "SELECT DISTINCT p.code FROM service_agreement g JOIN service_point p ON p.id = g.service_point_id WHERE g.account_id = $1 LIMIT 500",
    )
    .bind::<BigInt, _>(account)
    .load(conn)?;
    Ok(rows.into_iter().map(|row| row.code).collect())
}

/// An agreement at a premise, with whose it is.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct TenancyCard {
    /// The agreement.
    #[diesel(sql_type = BigInt)]
    pub agreement_id: AgreementId,
    /// The service's id in files.
    #[diesel(sql_type = Text)]
    pub service_id: String,
    /// The account's number.
    #[diesel(sql_type = Text)]
    pub account: String,
    /// The customer's name.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// The tariff schedule.
    #[diesel(sql_type = Text)]
    pub schedule: String,
    /// The rate class at the start.
    #[diesel(sql_type = Text)]
    pub rate_class: String,
    /// The bill cycle.
    #[diesel(sql_type = Text)]
    pub cycle: String,
    /// Attributes at the start, a JSON object of texts.
    #[diesel(sql_type = Text)]
    pub attributes: String,
    /// First day, when known.
    #[diesel(sql_type = Nullable<Date>)]
    pub start_on: Option<NaiveDate>,
    /// Last day, once it ended.
    #[diesel(sql_type = Nullable<Date>)]
    pub end_on: Option<NaiveDate>,
    /// The end of its last billed period.
    #[diesel(sql_type = Nullable<Date>)]
    pub billed_through: Option<NaiveDate>,
}

/// The agreements at every service of a premise, newest first.
///
/// # Errors
/// Those of the database.
pub fn tenancies_at(conn: &mut DbConnection, premise: PremiseId, limit: i64) -> QueryResult<Vec<TenancyCard>> {
    diesel::sql_query(
        "SELECT g.id AS agreement_id, p.code AS service_id, c.number AS account, n.name, g.schedule, g.rate_class, g.cycle, g.attributes, \
            g.start_on, g.end_on, \
            (SELECT s.period_end_on FROM bill_segment s WHERE s.agreement_id = g.id AND s.live = 1 \
                ORDER BY s.period_start_on DESC LIMIT 1) AS billed_through \
         FROM service_point p \
         JOIN service_agreement g ON g.service_point_id = p.id \
         JOIN account c ON c.id = g.account_id \
         JOIN person n ON n.id = c.person_id \
         WHERE p.premise_id = $1 ORDER BY g.id DESC LIMIT $2",
    )
    .bind::<BigInt, _>(premise)
    .bind::<BigInt, _>(limit)
    .load(conn)
}

/// The services in force of an account that are at other premises.
///
/// # Errors
/// Those of the database.
pub fn services_elsewhere(conn: &mut DbConnection, account: &str, premise: PremiseId) -> QueryResult<Vec<String>> {
    let rows: Vec<Code> = diesel::sql_query(
        "SELECT p.code FROM account c JOIN service_agreement g ON g.account_id = c.id AND g.end_on IS NULL \
         JOIN service_point p ON p.id = g.service_point_id AND p.premise_id <> $1 WHERE c.number = $2 ORDER BY p.code LIMIT 20",
    )
    .bind::<BigInt, _>(premise)
    .bind::<Text, _>(account)
    .load(conn)?;
    Ok(rows.into_iter().map(|row| row.code).collect())
}

/// A register of a meter that is or was at a service.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct InstalledRegister {
    /// The service's id in files.
    #[diesel(sql_type = Text)]
    pub service_id: String,
    /// The meter's number.
    #[diesel(sql_type = Text)]
    pub meter: String,
    /// Which of its registers.
    #[diesel(sql_type = Text)]
    pub register: String,
    /// Its digits.
    #[diesel(sql_type = Integer)]
    pub digits: i32,
    /// What a unit of it counts for, in thousandths.
    #[diesel(sql_type = BigInt)]
    pub multiplier_milli: i64,
    /// Its unit.
    #[diesel(sql_type = Nullable<Text>)]
    pub unit: Option<String>,
    /// Since when it is in place.
    #[diesel(sql_type = Nullable<Date>)]
    pub installed_on: Option<NaiveDate>,
    /// Until when it was.
    #[diesel(sql_type = Nullable<Date>)]
    pub removed_on: Option<NaiveDate>,
    /// The day of its last accepted read.
    #[diesel(sql_type = Nullable<Date>)]
    pub last_read_on: Option<NaiveDate>,
    /// What that read showed, in thousandths.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub last_reading_milli: Option<i64>,
}

/// The registers at every service of a premise, those in place first.
///
/// # Errors
/// Those of the database.
pub fn registers_at(conn: &mut DbConnection, premise: PremiseId, limit: i64) -> QueryResult<Vec<InstalledRegister>> {
    // The second condition is the index's own: SQLite does not see that the first one says it, too.
    diesel::sql_query(
        "SELECT p.code AS service_id, e.serial AS meter, r.code AS register, r.digits, r.multiplier_milli, r.unit, i.installed_on, i.removed_on, \
            l.read_on AS last_read_on, l.reading_milli AS last_reading_milli \
         FROM service_point p \
         JOIN installation i ON i.service_point_id = p.id \
         JOIN meter e ON e.id = i.meter_id \
         JOIN register r ON r.meter_id = e.id \
         LEFT JOIN meter_read l ON l.id = (SELECT d.id FROM meter_read d WHERE d.register_id = r.id AND d.status = 'accepted' AND d.status <> 'rejected' \
            AND (i.removed_on IS NULL OR d.read_on <= i.removed_on) ORDER BY d.read_on DESC, d.id LIMIT 1) \
         WHERE p.premise_id = $1 ORDER BY CASE WHEN i.removed_on IS NULL THEN 0 ELSE 1 END, p.code, i.id DESC, r.code LIMIT $2",
    )
    .bind::<BigInt, _>(premise)
    .bind::<BigInt, _>(limit)
    .load(conn)
}

/// A read at a service, whoever had it.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct ServiceRead {
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
}

/// The last reads at a service, newest first.
///
/// # Errors
/// Those of the database.
pub fn reads_at(conn: &mut DbConnection, point: ServicePointId, limit: i64) -> QueryResult<Vec<ServiceRead>> {
    diesel::sql_query(
        "SELECT e.serial AS meter, r.code AS register, d.read_on, d.reading_milli, d.kind, d.status \
         FROM installation i \
         JOIN meter e ON e.id = i.meter_id \
         JOIN register r ON r.meter_id = e.id \
         JOIN meter_read d ON d.register_id = r.id \
            AND (i.installed_on IS NULL OR d.read_on >= i.installed_on) AND (i.removed_on IS NULL OR d.read_on <= i.removed_on) \
         WHERE i.service_point_id = $1 ORDER BY d.read_on DESC, d.id DESC LIMIT $2",
    )
    .bind::<BigInt, _>(point)
    .bind::<BigInt, _>(limit)
    .load(conn)
}

/// An account's number and its customer's name.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct NamedAccount {
    /// Its number.
    #[diesel(sql_type = Text)]
    pub number: String,
    /// The customer's name.
    #[diesel(sql_type = Text)]
    pub name: String,
}

/// The account that takes a service over between two tenants, by name.
///
/// # Errors
/// Those of the database.
pub fn named_owner(conn: &mut DbConnection, point: ServicePointId) -> QueryResult<Option<NamedAccount>> {
    diesel::sql_query(
        "SELECT c.number, n.name FROM service_point p JOIN account c ON c.id = p.owner_account_id JOIN person n ON n.id = c.person_id \
         WHERE p.id = $1",
    )
    .bind::<BigInt, _>(point)
    .get_result(conn)
    .optional()
}

/// The last day of an account's agreements that have ended.
///
/// # Errors
/// Those of the database.
pub fn last_end(conn: &mut DbConnection, account: AccountId) -> QueryResult<Option<NaiveDate>> {
    use super::schema::service_agreement;
    service_agreement::table.filter(service_agreement::account_id.eq(account)).select(diesel::dsl::max(service_agreement::end_on)).first(conn)
}
