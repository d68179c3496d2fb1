//! Tariff versions: the text as it was imported, with its hash.

use chrono::{NaiveDate, NaiveDateTime};
use diesel::prelude::*;

use super::DbConnection;
use super::schema::tariff_version;

/// A tariff version as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = tariff_version, treat_none_as_default_value = false)]
pub struct TariffVersionRow {
    /// The tariff schedule that it is a version of.
    pub schedule: String,
    /// First day it applies to.
    pub effective_on: NaiveDate,
    /// Counts the corrections of this date's version, from 1; the highest is in force.
    pub revision: i32,
    /// Hash of the text.
    pub sha256: String,
    /// The file it came from.
    pub source_name: String,
    /// The text.
    pub source: String,
    /// When it was imported, UTC.
    pub imported_at: NaiveDateTime,
}

/// All versions, by schedule, date and revision.
///
/// # Errors
/// Those of the database.
pub fn versions(conn: &mut DbConnection) -> QueryResult<Vec<TariffVersionRow>> {
    tariff_version::table
        .order((tariff_version::schedule, tariff_version::effective_on, tariff_version::revision))
        .select(TariffVersionRow::as_select())
        .load(conn)
}

/// How many versions there are: they are never edited or deleted, so that another number is another book.
///
/// # Errors
/// Those of the database.
pub fn count(conn: &mut DbConnection) -> QueryResult<i64> {
    tariff_version::table.count().get_result(conn)
}

/// The versions of one schedule.
///
/// # Errors
/// Those of the database.
pub fn versions_of(conn: &mut DbConnection, schedule: &str) -> QueryResult<Vec<TariffVersionRow>> {
    tariff_version::table
        .filter(tariff_version::schedule.eq(schedule))
        .order((tariff_version::effective_on, tariff_version::revision))
        .select(TariffVersionRow::as_select())
        .load(conn)
}

/// The versions with these hashes.
///
/// # Errors
/// Those of the database.
pub fn by_sha256(conn: &mut DbConnection, hashes: &[&str]) -> QueryResult<Vec<TariffVersionRow>> {
    tariff_version::table.filter(tariff_version::sha256.eq_any(hashes)).select(TariffVersionRow::as_select()).load(conn)
}

/// Stores a version.
///
/// # Errors
/// Those of the database.
pub fn insert_version(conn: &mut DbConnection, row: &TariffVersionRow) -> QueryResult<()> {
    diesel::insert_into(tariff_version::table).values(row).execute(conn).map(|_| ())
}
