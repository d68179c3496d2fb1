//! Policy versions: the text as it was imported, with its hash.

use chrono::{NaiveDate, NaiveDateTime};
use diesel::prelude::*;

use super::DbConnection;
use super::schema::policy_version;

/// A policy version as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = policy_version, treat_none_as_default_value = false)]
pub struct PolicyVersionRow {
    /// First day it holds.
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
    /// Who imported it.
    pub imported_by: String,
}

/// All versions, by date and revision.
///
/// # Errors
/// Those of the database.
pub fn versions(conn: &mut DbConnection) -> QueryResult<Vec<PolicyVersionRow>> {
    policy_version::table.order((policy_version::effective_on, policy_version::revision)).select(PolicyVersionRow::as_select()).load(conn)
}

/// Stores a version.
///
/// # Errors
/// Those of the database.
pub fn insert_version(conn: &mut DbConnection, row: &PolicyVersionRow) -> QueryResult<()> {
    diesel::insert_into(policy_version::table).values(row).execute(conn).map(|_| ())
}
