//! Persons, accounts, premises, service points and agreements.

use chrono::{NaiveDate, NaiveDateTime};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::DbConnection;
use super::bulk::{in_list, insert_all, reserve_ids};
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

/// The number of an account.
///
/// # Errors
/// Those of the database, or that there is no such account.
pub fn account_number(conn: &mut DbConnection, id: AccountId) -> QueryResult<String> {
    account::table.filter(account::id.eq(id)).select(account::number).first(conn)
}

/// The name of the customer behind an account.
///
/// # Errors
/// Those of the database.
pub fn name_of_account(conn: &mut DbConnection, number: &str) -> QueryResult<Option<String>> {
    account::table
        .inner_join(person::table.on(person::id.eq(account::person_id)))
        .filter(account::number.eq(number))
        .select(person::name)
        .first(conn)
        .optional()
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

/// Where these accounts have services now, with an address.
///
/// # Errors
/// Those of the database.
pub fn premises_of(conn: &mut DbConnection, accounts: &[AccountId]) -> QueryResult<Vec<(AccountId, PremiseRow)>> {
    service_agreement::table
        .inner_join(service_point::table.on(service_point::id.eq(service_agreement::service_point_id)))
        .inner_join(premise::table.on(premise::id.eq(service_point::premise_id)))
        .filter(service_agreement::account_id.eq_any(accounts).and(service_agreement::end_on.is_null()).and(premise::address.ne("")))
        .order(premise::id)
        .select((service_agreement::account_id, PremiseRow::as_select()))
        .load(conn)
}

/// The addresses of the places an account has, or had, services at.
///
/// # Errors
/// Those of the database.
pub fn addresses_of(conn: &mut DbConnection, account: AccountId) -> QueryResult<Vec<String>> {
    service_agreement::table
        .inner_join(service_point::table.on(service_point::id.eq(service_agreement::service_point_id)))
        .inner_join(premise::table.on(premise::id.eq(service_point::premise_id)))
        .filter(service_agreement::account_id.eq(account).and(premise::address.ne("")))
        .select(premise::address)
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

/// The later terms of everybody who was ever served at a service, by agreement and date.
///
/// # Errors
/// Those of the database.
pub fn terms_at(conn: &mut DbConnection, point: ServicePointId) -> QueryResult<Vec<TermRow>> {
    agreement_term::table
        .inner_join(service_agreement::table.on(service_agreement::id.eq(agreement_term::agreement_id)))
        .filter(service_agreement::service_point_id.eq(point))
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

/// What a clerk's search text means to the indexes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchTerms {
    /// The text in lower case: the start of a number.
    prefix: String,
    /// The first text after all that start with it.
    prefix_end: String,
    /// Its words: each must start a word of a name or of an address.
    words: Vec<String>,
}

impl SearchTerms {
    /// Takes a text apart; none when there is nothing to search by.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let prefix = text.trim().to_lowercase();
        let words: Vec<String> = prefix.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect();
        let last = prefix.chars().last()?;
        let next = (u32::from(last) + 1..=0x0010_FFFF).find_map(char::from_u32)?;
        let mut prefix_end = prefix.clone();
        prefix_end.pop();
        prefix_end.push(next);
        (!words.is_empty()).then_some(Self { prefix, prefix_end, words })
    }

    /// The words in the database's own language of text search.
    fn words_for(&self, conn: &DbConnection) -> String {
        let (each, between) = match conn {
            DbConnection::Sqlite(_) => (("\"", "\"*"), " "),
            DbConnection::Postgres(_) => (("", ":*"), " & "),
        };
        let words: Vec<String> = self.words.iter().map(|word| format!("{}{word}{}", each.0, each.1)).collect();
        words.join(between)
    }
}

/// An account that a search found, and by what.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct SearchHit {
    /// The account.
    #[diesel(sql_type = BigInt)]
    pub account_id: AccountId,
    /// What the text is, in words.
    #[diesel(sql_type = Text)]
    pub matched: String,
}

/// The accounts of which the text is a whole number, address for e-mail or payment reference, whatever its case.
///
/// # Errors
/// Those of the database.
pub fn search_exactly(conn: &mut DbConnection, text: &str, limit: i64) -> QueryResult<Vec<SearchHit>> {
    diesel::sql_query(
        "SELECT h.account_id, min(h.matched) AS matched FROM ( \
            SELECT a.id AS account_id, 'account number' AS matched FROM account a WHERE lower(a.number) = lower($1) \
            UNION ALL SELECT g.account_id, 'service' FROM service_point p JOIN service_agreement g ON g.service_point_id = p.id \
                WHERE lower(p.code) = lower($1) \
            UNION ALL SELECT g.account_id, 'meter' FROM meter m JOIN installation i ON i.meter_id = m.id \
                JOIN service_agreement g ON g.service_point_id = i.service_point_id WHERE lower(m.serial) = lower($1) \
            UNION ALL SELECT y.account_id, 'payment reference' FROM payment y \
                WHERE y.provider_ref IS NOT NULL AND y.provider_ref IN ($1, lower($1), upper($1)) \
            UNION ALL SELECT a.id, 'e-mail address' FROM person p JOIN account a ON a.person_id = p.id \
                WHERE p.email IS NOT NULL AND lower(p.email) = lower($1)) h \
         GROUP BY h.account_id ORDER BY h.account_id LIMIT $2",
    )
    .bind::<Text, _>(text)
    .bind::<BigInt, _>(limit)
    .load(conn)
}

#[derive(QueryableByName)]
struct FoundId {
    #[diesel(sql_type = BigInt)]
    account_id: AccountId,
}

/// A page of the accounts with a number or address for e-mail that starts with the text, or with all of its words in the
/// name or in an address: by id, after an id. Each way of finding goes by an index.
///
/// # Errors
/// Those of the database.
pub fn search_loosely(conn: &mut DbConnection, terms: &SearchTerms, after: AccountId, limit: i64) -> QueryResult<Vec<AccountId>> {
    let words = terms.words_for(conn);
    let (from, below) = match conn {
        DbConnection::Sqlite(_) => (">=", "<"),
        DbConnection::Postgres(_) => ("~>=~", "~<~"),
    };
    let (named, at_address) = match conn {
        DbConnection::Sqlite(_) => (
            "p.id IN (SELECT w.rowid FROM person_words w WHERE w.person_words MATCH $5)",
            "m.id IN (SELECT w.rowid FROM premise_words w WHERE w.premise_words MATCH $5)",
        ),
        DbConnection::Postgres(_) => ("search_words(p.name) @@ to_tsquery('simple', $5)", "search_words(m.address) @@ to_tsquery('simple', $5)"),
    };
    let starts = |column: &str| format!("lower({column}) {from} $1 AND lower({column}) {below} $2");
    // The plus keeps planners from walking all accounts in order until enough are found: for a rare name that is the town.
    // SQLite numbers parameters by their first appearance: they appear in the order in which they are bound.
    let ways = [
        format!("SELECT a.id AS account_id FROM account a WHERE {} AND +a.id > $3", starts("a.number")),
        format!(
            "SELECT g.account_id FROM service_point p JOIN service_agreement g ON g.service_point_id = p.id WHERE {} AND +g.account_id > $3",
            starts("p.code")
        ),
        format!(
            "SELECT g.account_id FROM meter m JOIN installation i ON i.meter_id = m.id \
             JOIN service_agreement g ON g.service_point_id = i.service_point_id WHERE {} AND +g.account_id > $3",
            starts("m.serial")
        ),
        format!(
            "SELECT a.id AS account_id FROM person p JOIN account a ON a.person_id = p.id WHERE p.email IS NOT NULL AND {} AND +a.id > $3",
            starts("p.email")
        ),
        format!("SELECT a.id AS account_id FROM person p JOIN account a ON a.person_id = p.id WHERE {named} AND +a.id > $3"),
        format!(
            "SELECT g.account_id FROM premise m JOIN service_point s ON s.premise_id = m.id \
             JOIN service_agreement g ON g.service_point_id = s.id WHERE {at_address} AND +g.account_id > $3"
        ),
    ];
    let bounded: Vec<String> =
        ways.iter().map(|way| format!("SELECT * FROM (SELECT v.account_id FROM ({way}) v ORDER BY +v.account_id LIMIT $4) w")).collect();
    let sql = format!("{} ORDER BY account_id LIMIT $4", bounded.join(" UNION "));
    let rows: Vec<FoundId> = diesel::sql_query(sql)
        .bind::<Text, _>(&terms.prefix)
        .bind::<Text, _>(&terms.prefix_end)
        .bind::<BigInt, _>(after)
        .bind::<BigInt, _>(limit)
        .bind::<Text, _>(words)
        .load(conn)?;
    Ok(rows.into_iter().map(|row| row.account_id).collect())
}

/// What a list of accounts says of each.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct AccountCard {
    /// The account.
    #[diesel(sql_type = BigInt)]
    pub id: AccountId,
    /// Its number.
    #[diesel(sql_type = Text)]
    pub number: String,
    /// Whose it is.
    #[diesel(sql_type = BigInt)]
    pub person_id: PersonId,
    /// The name on bills.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// Where notices go.
    #[diesel(sql_type = Nullable<Text>)]
    pub email: Option<String>,
    /// Where bills on paper go, when that is not the service's address.
    #[diesel(sql_type = Nullable<Text>)]
    pub mailing_address: Option<String>,
    /// 1 when no bills on paper are wanted.
    #[diesel(sql_type = diesel::sql_types::Integer)]
    pub paperless: i32,
    /// The address of its latest service.
    #[diesel(sql_type = Nullable<Text>)]
    pub address: Option<String>,
    /// The balance, in cents.
    #[diesel(sql_type = BigInt)]
    pub balance_cents: i64,
}

/// The accounts with these ids as a list shows them, by id.
///
/// # Errors
/// Those of the database.
pub fn account_cards(conn: &mut DbConnection, ids: &[AccountId]) -> QueryResult<Vec<AccountCard>> {
    let list = in_list(ids.iter().map(|id| id.0));
    diesel::sql_query(format!(
        "SELECT a.id, a.number, a.person_id, p.name, p.email, p.mailing_address, p.paperless, \
            (SELECT m.address FROM service_agreement g JOIN service_point s ON s.id = g.service_point_id \
                JOIN premise m ON m.id = s.premise_id WHERE g.account_id = a.id ORDER BY g.id DESC LIMIT 1) AS address, \
            coalesce((SELECT f.balance_after_cents FROM financial_transaction f WHERE f.account_id = a.id \
                ORDER BY f.account_seq DESC LIMIT 1), 0) AS balance_cents \
         FROM account a JOIN person p ON p.id = a.person_id WHERE a.id IN ({list}) ORDER BY a.id"
    ))
    .load(conn)
}

/// The cycles that agreements are in.
///
/// # Errors
/// Those of the database.
pub fn cycles(conn: &mut DbConnection) -> QueryResult<Vec<String>> {
    service_agreement::table.select(service_agreement::cycle).distinct().order(service_agreement::cycle).load(conn)
}
