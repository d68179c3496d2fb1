//! What of a case of overcharges is open, and by what the rest was settled.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::DbConnection;
use super::overcharges::FindingRow;
use super::schema::overcharge_finding;
use crate::domain::ids::{AccountId, CaseId};

/// What a case is about, without what is only worth knowing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub struct MendingSums {
    /// Findings that are open, what is only worth knowing included.
    #[diesel(sql_type = BigInt)]
    pub open: i64,
    /// Accounts of findings that are open or settled.
    #[diesel(sql_type = BigInt)]
    pub accounts: i64,
    /// What those findings differ by, in cents: below zero was too much.
    #[diesel(sql_type = BigInt)]
    pub difference_cents: i64,
}

/// What a case is about.
///
/// # Errors
/// Those of the database.
pub fn sums(conn: &mut DbConnection, case: CaseId) -> QueryResult<MendingSums> {
    diesel::sql_query(
        "SELECT CAST(coalesce(sum(CASE WHEN status = 'open' THEN 1 ELSE 0 END), 0) AS BIGINT) AS open, \
            CAST(count(DISTINCT CASE WHEN status IN ('open', 'settled') AND information = 0 THEN account_id END) AS BIGINT) AS accounts, \
            CAST(coalesce(sum(CASE WHEN status IN ('open', 'settled') AND information = 0 THEN difference_cents END), 0) AS BIGINT) AS difference_cents \
         FROM overcharge_finding WHERE case_id = $1",
    )
    .bind::<BigInt, _>(case)
    .get_result(conn)
}

/// By what findings of a case were settled.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct SettledWay {
    /// `rebill`, `adjustment`, `told`, or `policy` for what was dismissed.
    #[diesel(sql_type = Text)]
    pub way: String,
    /// How many accounts.
    #[diesel(sql_type = BigInt)]
    pub accounts: i64,
    /// What was posted beside the bills, in cents.
    #[diesel(sql_type = BigInt)]
    pub mended_cents: i64,
}

/// By what the findings of a case were settled.
///
/// # Errors
/// Those of the database.
pub fn settled_ways(conn: &mut DbConnection, case: CaseId) -> QueryResult<Vec<SettledWay>> {
    diesel::sql_query(
        "SELECT w.way, CAST(count(DISTINCT w.account_id) AS BIGINT) AS accounts, CAST(sum(w.mended_cents) AS BIGINT) AS mended_cents \
         FROM (SELECT account_id, mended_cents, CASE WHEN status = 'dismissed' THEN 'policy' WHEN settled_by LIKE 'rebill:%' THEN 'rebill' \
                WHEN settled_by LIKE 'adjustment:%' THEN 'adjustment' ELSE 'told' END AS way \
            FROM overcharge_finding WHERE case_id = $1 AND status IN ('settled', 'dismissed')) w GROUP BY w.way ORDER BY w.way",
    )
    .bind::<BigInt, _>(case)
    .load(conn)
}

/// What is open in a case for some accounts, by account.
///
/// # Errors
/// Those of the database.
pub fn open_of_accounts(conn: &mut DbConnection, case: CaseId, accounts: &[AccountId]) -> QueryResult<Vec<FindingRow>> {
    overcharge_finding::table
        .filter(overcharge_finding::case_id.eq(case).and(overcharge_finding::account_id.eq_any(accounts)).and(overcharge_finding::status.eq("open")))
        .order((overcharge_finding::account_id, overcharge_finding::id))
        .select(FindingRow::as_select())
        .load(conn)
}

/// What of a case was settled by something for some accounts, by account.
///
/// # Errors
/// Those of the database.
pub fn settled_of_accounts(conn: &mut DbConnection, case: CaseId, accounts: &[AccountId], by: &str) -> QueryResult<Vec<FindingRow>> {
    let of_case = overcharge_finding::case_id.eq(case).and(overcharge_finding::account_id.eq_any(accounts));
    overcharge_finding::table
        .filter(of_case.and(overcharge_finding::status.eq("settled")).and(overcharge_finding::settled_by.eq(Some(by))))
        .order((overcharge_finding::account_id, overcharge_finding::id))
        .select(FindingRow::as_select())
        .load(conn)
}
