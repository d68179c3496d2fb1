//! Persons, accounts, premises, service points and agreements.

use chrono::{NaiveDate, NaiveDateTime};
use diesel::prelude::*;

use super::DbConnection;
use super::bulk::{insert_all, reserve_ids};
use super::schema::{account, agreement_term, person, premise, service_agreement, service_point};
use crate::domain::ids::{AccountId, AgreementId, PersonId, PremiseId, ServicePointId};

/// A person as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = person, treat_none_as_default_value = false)]
pub struct PersonRow {
    /// Identity.
    pub id: PersonId,
    /// The name on bills.
    pub name: String,
    /// Where notices go.
    pub email: Option<String>,
}

/// An account as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = account, treat_none_as_default_value = false)]
pub struct AccountRow {
    /// Identity.
    pub id: AccountId,
    /// The number that customers know.
    pub number: String,
    /// Whose account.
    pub person_id: PersonId,
}

/// A premise as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = premise, treat_none_as_default_value = false)]
pub struct PremiseRow {
    /// Identity.
    pub id: PremiseId,
    /// The address in one line.
    pub address: String,
}

/// A service point as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = service_point, treat_none_as_default_value = false)]
pub struct ServicePointRow {
    /// Identity.
    pub id: ServicePointId,
    /// The service's id in files.
    pub code: String,
    /// Where.
    pub premise_id: PremiseId,
}

/// A service agreement as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = service_agreement, treat_none_as_default_value = false)]
pub struct AgreementRow {
    /// Identity.
    pub id: AgreementId,
    /// Who pays.
    pub account_id: AccountId,
    /// Where it is delivered.
    pub service_point_id: ServicePointId,
    /// The tariff schedule.
    pub schedule: String,
    /// The rate class.
    pub rate_class: String,
    /// The bill cycle.
    pub cycle: String,
    /// Attributes for pricing, a JSON object of texts.
    pub attributes: String,
    /// First day, when known.
    pub start_on: Option<NaiveDate>,
    /// Last day, once it ended.
    pub end_on: Option<NaiveDate>,
    /// The service point whose meter measures it, when it has none of its own.
    pub measured_at: Option<ServicePointId>,
}

/// Other terms of an agreement from a day on, as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = agreement_term, treat_none_as_default_value = false)]
pub struct TermRow {
    /// The agreement.
    pub agreement_id: AgreementId,
    /// The first day that they hold.
    pub effective_on: NaiveDate,
    /// The rate class.
    pub rate_class: String,
    /// Attributes for pricing, a JSON object of texts.
    pub attributes: String,
    /// When they were entered, UTC.
    pub entered_at: NaiveDateTime,
    /// By whom.
    pub entered_by: String,
    /// Why.
    pub note: String,
}

/// Everything that a batch of new services brings with it.
#[derive(Debug, Default)]
pub struct NewServices {
    /// New persons.
    pub persons: Vec<PersonRow>,
    /// New accounts.
    pub accounts: Vec<AccountRow>,
    /// New premises.
    pub premises: Vec<PremiseRow>,
    /// New service points.
    pub service_points: Vec<ServicePointRow>,
    /// New agreements.
    pub agreements: Vec<AgreementRow>,
}

/// Inserts the rows; they carry ids from [`reserve`].
///
/// # Errors
/// Those of the database.
pub fn insert_services(conn: &mut DbConnection, new: &NewServices) -> QueryResult<()> {
    insert_all!(&mut *conn, person::table, &new.persons)?;
    insert_all!(&mut *conn, account::table, &new.accounts)?;
    insert_all!(&mut *conn, premise::table, &new.premises)?;
    insert_all!(&mut *conn, service_point::table, &new.service_points)?;
    insert_all!(conn, service_agreement::table, &new.agreements).map(|_| ())
}

/// Reserves `count` ids of one of this file's tables.
///
/// # Errors
/// Those of the database.
pub fn reserve(conn: &mut DbConnection, table: &'static str, count: usize) -> QueryResult<std::vec::IntoIter<i64>> {
    reserve_ids(conn, table, count).map(Vec::into_iter)
}

/// The accounts with these numbers.
///
/// # Errors
/// Those of the database.
pub fn accounts_by_number(conn: &mut DbConnection, numbers: &[&str]) -> QueryResult<Vec<AccountRow>> {
    account::table.filter(account::number.eq_any(numbers)).select(AccountRow::as_select()).load(conn)
}

/// Keeps who is served and on which terms as it is until the transaction ends: shared by those who bill by it, exclusively
/// by whoever changes it. So nobody is billed for days that another has meanwhile moved in on.
///
/// SQLite has one writer at a time and needs none.
///
/// # Errors
/// Those of the database.
pub fn lock_terms(conn: &mut DbConnection, exclusively: bool) -> QueryResult<()> {
    if let DbConnection::Postgres(conn) = conn {
        let lock = if exclusively { "pg_advisory_xact_lock" } else { "pg_advisory_xact_lock_shared" };
        diesel::sql_query(format!("SELECT {lock}({TERMS_LOCK})")).execute(conn)?;
    }
    Ok(())
}

/// The number of the lock of [`lock_terms`] in PostgreSQL: any that nothing else uses.
const TERMS_LOCK: i64 = 2_026_112_101;

/// The account with this number.
///
/// # Errors
/// Those of the database.
pub fn account_by_number(conn: &mut DbConnection, number: &str) -> QueryResult<Option<AccountRow>> {
    account::table.filter(account::number.eq(number)).select(AccountRow::as_select()).first(conn).optional()
}

/// A page of accounts by id, after an id.
///
/// # Errors
/// Those of the database.
pub fn accounts_after(conn: &mut DbConnection, after: AccountId, limit: i64) -> QueryResult<Vec<AccountRow>> {
    account::table.filter(account::id.gt(after)).order(account::id).limit(limit).select(AccountRow::as_select()).load(conn)
}

/// The persons behind accounts.
///
/// # Errors
/// Those of the database.
pub fn persons(conn: &mut DbConnection, ids: &[PersonId]) -> QueryResult<Vec<PersonRow>> {
    person::table.filter(person::id.eq_any(ids)).select(PersonRow::as_select()).load(conn)
}

/// Changes a person's name and address for notices.
///
/// # Errors
/// Those of the database.
pub fn update_person(conn: &mut DbConnection, row: &PersonRow) -> QueryResult<()> {
    diesel::update(person::table.find(row.id)).set((person::name.eq(&row.name), person::email.eq(row.email.as_deref()))).execute(conn).map(|_| ())
}

/// Changes a premise's address.
///
/// # Errors
/// Those of the database.
pub fn update_premise(conn: &mut DbConnection, row: &PremiseRow) -> QueryResult<()> {
    diesel::update(premise::table.find(row.id)).set(premise::address.eq(&row.address)).execute(conn).map(|_| ())
}

/// The service points with these codes, with their premises.
///
/// # Errors
/// Those of the database.
pub fn service_points_by_code(conn: &mut DbConnection, codes: &[&str]) -> QueryResult<Vec<(ServicePointRow, PremiseRow)>> {
    service_point::table
        .inner_join(premise::table.on(premise::id.eq(service_point::premise_id)))
        .filter(service_point::code.eq_any(codes))
        .select((ServicePointRow::as_select(), PremiseRow::as_select()))
        .load(conn)
}

/// The agreements at these service points, oldest first: the last of a point is its latest.
///
/// # Errors
/// Those of the database.
pub fn latest_agreements_at(conn: &mut DbConnection, points: &[ServicePointId]) -> QueryResult<Vec<AgreementRow>> {
    service_agreement::table
        .filter(service_agreement::service_point_id.eq_any(points))
        .order(service_agreement::id)
        .select(AgreementRow::as_select())
        .load(conn)
}

/// Ends an agreement that has not ended; false when it had.
///
/// # Errors
/// Those of the database.
pub fn end_agreement(conn: &mut DbConnection, id: AgreementId, on: NaiveDate) -> QueryResult<bool> {
    diesel::update(service_agreement::table.filter(service_agreement::id.eq(id).and(service_agreement::end_on.is_null())))
        .set(service_agreement::end_on.eq(Some(on)))
        .execute(conn)
        .map(|count| count == 1)
}

/// The agreements of an account, oldest first.
///
/// # Errors
/// Those of the database.
pub fn agreements_of(conn: &mut DbConnection, account: AccountId) -> QueryResult<Vec<AgreementRow>> {
    service_agreement::table
        .filter(service_agreement::account_id.eq(account))
        .order(service_agreement::id)
        .select(AgreementRow::as_select())
        .load(conn)
}

/// The service points of a premise, by code.
///
/// # Errors
/// Those of the database.
pub fn points_at(conn: &mut DbConnection, premise: PremiseId) -> QueryResult<Vec<ServicePointRow>> {
    service_point::table.filter(service_point::premise_id.eq(premise)).order(service_point::code).select(ServicePointRow::as_select()).load(conn)
}

/// The account that takes a service over between two tenants, when it is agreed.
///
/// # Errors
/// Those of the database.
pub fn owner_of(conn: &mut DbConnection, point: ServicePointId) -> QueryResult<Option<AccountId>> {
    service_point::table.find(point).select(service_point::owner_account_id).first(conn)
}

/// Agrees, or no longer, who takes a service over between two tenants.
///
/// # Errors
/// Those of the database.
pub fn set_owner(conn: &mut DbConnection, point: ServicePointId, owner: Option<AccountId>) -> QueryResult<()> {
    diesel::update(service_point::table.find(point)).set(service_point::owner_account_id.eq(owner)).execute(conn).map(|_| ())
}

/// Where mail on paper goes when it is not the premise.
///
/// # Errors
/// Those of the database.
pub fn set_mailing_address(conn: &mut DbConnection, person: PersonId, address: &str) -> QueryResult<()> {
    diesel::update(person::table.find(person)).set(person::mailing_address.eq(Some(address))).execute(conn).map(|_| ())
}

/// The later terms of a range of accounts' agreements, by agreement and date.
///
/// # Errors
/// Those of the database.
pub fn terms_in_range(conn: &mut DbConnection, first: AccountId, last: AccountId) -> QueryResult<Vec<TermRow>> {
    agreement_term::table
        .inner_join(service_agreement::table.on(service_agreement::id.eq(agreement_term::agreement_id)))
        .filter(service_agreement::account_id.between(first, last))
        .order((agreement_term::agreement_id, agreement_term::effective_on))
        .select(TermRow::as_select())
        .load(conn)
}

/// The later terms of one agreement, by date.
///
/// # Errors
/// Those of the database.
pub fn terms_of(conn: &mut DbConnection, agreement: AgreementId) -> QueryResult<Vec<TermRow>> {
    agreement_term::table
        .filter(agreement_term::agreement_id.eq(agreement))
        .order(agreement_term::effective_on)
        .select(TermRow::as_select())
        .load(conn)
}

/// Stores terms from a day on, in place of others from that day.
///
/// # Errors
/// Those of the database.
pub fn set_term(conn: &mut DbConnection, row: &TermRow) -> QueryResult<()> {
    diesel::delete(agreement_term::table.find((row.agreement_id, row.effective_on))).execute(conn)?;
    diesel::insert_into(agreement_term::table).values(row).execute(conn).map(|_| ())
}
