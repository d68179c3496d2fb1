//! What the drill reads of a whole town at once: meters to be read, and what two towns must have alike.

use chrono::NaiveDate;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::DbConnection;
use crate::domain::ids::{AccountId, RunId};

/// A meter that is installed, with what it showed last.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct LastReading {
    /// The meter's number.
    #[diesel(sql_type = Text)]
    pub serial: String,
    /// The last reading, in thousandths.
    #[diesel(sql_type = BigInt)]
    pub reading_milli: i64,
    /// The one before it.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub before_milli: Option<i64>,
}

/// The meters that are installed and were read before a day, by number.
///
/// # Errors
/// Those of the database.
pub fn last_readings(conn: &mut DbConnection, before: NaiveDate) -> QueryResult<Vec<LastReading>> {
    // The second condition is the index's own: SQLite does not see that the first one says it, too.
    diesel::sql_query(
        "SELECT m.serial, r.reading_milli, (SELECT b.reading_milli FROM meter_read b WHERE b.register_id = r.register_id AND b.status = 'accepted' AND b.status <> 'rejected' \
            AND b.read_on < r.read_on ORDER BY b.read_on DESC LIMIT 1) AS before_milli \
         FROM installation i JOIN meter m ON m.id = i.meter_id JOIN register g ON g.meter_id = m.id \
         JOIN meter_read r ON r.register_id = g.id AND r.status = 'accepted' AND r.status <> 'rejected' \
            AND r.read_on = (SELECT max(x.read_on) FROM meter_read x WHERE x.register_id = g.id AND x.status = 'accepted' AND x.status <> 'rejected' AND x.read_on < $1) \
         WHERE i.removed_on IS NULL ORDER BY m.serial",
    )
    .bind::<diesel::sql_types::Date, _>(before)
    .load(conn)
}

/// An account with where it stands.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Standing {
    /// The account.
    #[diesel(sql_type = BigInt)]
    pub account_id: AccountId,
    /// Its number.
    #[diesel(sql_type = Text)]
    pub number: String,
    /// Its balance, in cents.
    #[diesel(sql_type = BigInt)]
    pub balance_cents: i64,
    /// How many of its bills were taken back.
    #[diesel(sql_type = BigInt)]
    pub reversals: i64,
    /// How many adjustments it has.
    #[diesel(sql_type = BigInt)]
    pub adjustments: i64,
    /// Where notices go.
    #[diesel(sql_type = Nullable<Text>)]
    pub email: Option<String>,
}

/// Where every account stands, by number.
///
/// # Errors
/// Those of the database.
pub fn standings(conn: &mut DbConnection) -> QueryResult<Vec<Standing>> {
    diesel::sql_query(
        "SELECT a.id AS account_id, a.number, coalesce(t.balance_cents, 0) AS balance_cents, coalesce(t.reversals, 0) AS reversals, \
            coalesce(t.adjustments, 0) AS adjustments, p.email \
         FROM account a JOIN person p ON p.id = a.person_id \
         LEFT JOIN (SELECT account_id, CAST(sum(amount_cents) AS BIGINT) AS balance_cents, \
                CAST(sum(CASE WHEN kind = 'bill_reversal' THEN 1 ELSE 0 END) AS BIGINT) AS reversals, \
                CAST(sum(CASE WHEN kind = 'adjustment' THEN 1 ELSE 0 END) AS BIGINT) AS adjustments \
            FROM financial_transaction GROUP BY account_id) t ON t.account_id = a.id \
         ORDER BY a.number",
    )
    .load(conn)
}

/// What an account's postings to a general-ledger account come to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, QueryableByName)]
pub struct GlSum {
    /// The account's number.
    #[diesel(sql_type = Text)]
    pub number: String,
    /// The general-ledger account.
    #[diesel(sql_type = Text)]
    pub gl_code: String,
    /// In cents; never 0.
    #[diesel(sql_type = BigInt)]
    pub cents: i64,
}

/// What every account's postings come to, by number and general-ledger account.
///
/// # Errors
/// Those of the database.
pub fn gl_sums(conn: &mut DbConnection) -> QueryResult<Vec<GlSum>> {
    let mut sums: Vec<GlSum> = diesel::sql_query(
        "SELECT a.number, p.gl_code, CAST(sum(p.amount_cents) AS BIGINT) AS cents FROM posting p \
         JOIN financial_transaction f ON f.id = p.transaction_id JOIN account a ON a.id = f.account_id \
         GROUP BY a.number, p.gl_code HAVING sum(p.amount_cents) <> 0",
    )
    .load(conn)?;
    // Two databases order text in ways of their own.
    sums.sort_unstable();
    Ok(sums)
}

/// What a bill of a run asked for.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Asked {
    /// The account's number.
    #[diesel(sql_type = Text)]
    pub number: String,
    /// Its charges, in cents.
    #[diesel(sql_type = BigInt)]
    pub total_cents: i64,
    /// What it asked for, in cents.
    #[diesel(sql_type = BigInt)]
    pub amount_due_cents: i64,
}

/// What a run's bills asked for.
///
/// # Errors
/// Those of the database.
pub fn asked(conn: &mut DbConnection, run: RunId) -> QueryResult<Vec<Asked>> {
    diesel::sql_query(
        "SELECT a.number, b.total_cents, b.amount_due_cents FROM bill b JOIN account a ON a.id = b.account_id WHERE b.run_id = $1 ORDER BY b.account_id",
    )
    .bind::<BigInt, _>(run)
    .load(conn)
}

/// An e-mail about a correction.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct CorrectionMail {
    /// The account's number.
    #[diesel(sql_type = Text)]
    pub number: String,
    /// Where it stands.
    #[diesel(sql_type = Text)]
    pub status: String,
    /// What it says, as JSON.
    #[diesel(sql_type = Text)]
    pub facts: String,
}

/// Every e-mail about a correction.
///
/// # Errors
/// Those of the database.
pub fn correction_mails(conn: &mut DbConnection) -> QueryResult<Vec<CorrectionMail>> {
    diesel::sql_query(
        "SELECT a.number, n.status, n.facts FROM notice n JOIN account a ON a.id = n.account_id WHERE n.kind = 'overcharge_corrected' ORDER BY n.id",
    )
    .load(conn)
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = Text)]
    number: String,
}

/// The accounts, by number, of a case's findings that are no mere information.
///
/// # Errors
/// Those of the database.
pub fn accounts_of_case(conn: &mut DbConnection, case: crate::domain::ids::CaseId) -> QueryResult<Vec<String>> {
    let rows: Vec<Number> = diesel::sql_query(
        "SELECT DISTINCT a.number FROM overcharge_finding f JOIN account a ON a.id = f.account_id \
         WHERE f.case_id = $1 AND f.information = 0 AND f.status IN ('open', 'settled')",
    )
    .bind::<BigInt, _>(case)
    .load(conn)?;
    Ok(rows.into_iter().map(|row| row.number).collect())
}
