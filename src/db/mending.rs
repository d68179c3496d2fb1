//! What of a case of overcharges is open, and by what the rest was settled.

use chrono::NaiveDate;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Date, Nullable, Text};

use super::DbConnection;
use super::bulk::in_list;
use super::overcharges::FindingRow;
use super::schema::overcharge_finding;
use crate::domain::ids::{AccountId, AgreementId, CaseId};
use crate::domain::ledger::TAXES;

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

#[derive(QueryableByName)]
struct Agreement {
    #[diesel(sql_type = BigInt)]
    id: AgreementId,
}

/// Which agreements of some accounts have ended: no read comes any more that would settle an estimate.
///
/// # Errors
/// Those of the database.
pub fn ended_agreements(conn: &mut DbConnection, accounts: &[AccountId]) -> QueryResult<Vec<AgreementId>> {
    let list = in_list(accounts.iter().map(|id| id.0));
    let rows: Vec<Agreement> =
        diesel::sql_query(format!("SELECT id FROM service_agreement WHERE account_id IN ({list}) AND end_on IS NOT NULL")).load(conn)?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// By what accounts of a case were put right.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct SettledWay {
    /// `rebill`, `adjustment`, `told`, or `policy` when all of it was dismissed: the first of these that holds.
    #[diesel(sql_type = Text)]
    pub way: String,
    /// How many accounts.
    #[diesel(sql_type = BigInt)]
    pub accounts: i64,
    /// What was posted beside the bills, in cents.
    #[diesel(sql_type = BigInt)]
    pub mended_cents: i64,
}

/// By what the findings of a case were settled. Each account counts once, as when it is foreseen: what the policy leaves of one that
/// was put right, or what is only worth knowing of it, is no way of its own.
///
/// # Errors
/// Those of the database.
pub fn settled_ways(conn: &mut DbConnection, case: CaseId) -> QueryResult<Vec<SettledWay>> {
    diesel::sql_query(
        "SELECT CASE w.rank WHEN 1 THEN 'rebill' WHEN 2 THEN 'adjustment' WHEN 3 THEN 'told' ELSE 'policy' END AS way, \
            CAST(count(*) AS BIGINT) AS accounts, CAST(sum(w.mended_cents) AS BIGINT) AS mended_cents \
         FROM (SELECT account_id, sum(mended_cents) AS mended_cents, min(CASE WHEN status = 'dismissed' THEN 4 \
                WHEN settled_by LIKE 'rebill:%' THEN 1 WHEN settled_by LIKE 'adjustment:%' THEN 2 ELSE 3 END) AS rank \
            FROM overcharge_finding WHERE case_id = $1 AND status IN ('settled', 'dismissed') GROUP BY account_id) w GROUP BY w.rank ORDER BY w.rank",
    )
    .bind::<BigInt, _>(case)
    .load(conn)
}

/// What putting a case right moved an account's balance by so far.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct DoneAmount {
    /// The account.
    #[diesel(sql_type = BigInt)]
    pub account_id: AccountId,
    /// In cents: a credit is negative.
    #[diesel(sql_type = BigInt)]
    pub cents: i64,
}

/// What putting a case right moved balances by so far: beside the bills, and by bills that were made anew or are being.
///
/// # Errors
/// Those of the database.
pub fn done_amounts(conn: &mut DbConnection, case: CaseId) -> QueryResult<Vec<DoneAmount>> {
    diesel::sql_query(
        "SELECT d.account_id, CAST(sum(d.cents) AS BIGINT) AS cents FROM (\
            SELECT f.account_id, f.mended_cents AS cents FROM overcharge_finding f WHERE f.case_id = $1 AND f.status = 'settled' \
            UNION ALL SELECT l.account_id, l.expected_cents - l.before_cents FROM rebill r JOIN rebill_account l ON l.rebill_id = r.id \
                WHERE r.case_id = $1 AND l.state IN ('cancelled', 'billed')) d GROUP BY d.account_id",
    )
    .bind::<BigInt, _>(case)
    .load(conn)
}

/// Tax that settling a finding put right beside the bills, as it was posted.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct MendedTax {
    /// The account.
    #[diesel(sql_type = BigInt)]
    pub account_id: AccountId,
    /// The service.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub agreement_id: Option<AgreementId>,
    /// First day.
    #[diesel(sql_type = Date)]
    pub from_on: NaiveDate,
    /// The day after the last.
    #[diesel(sql_type = Date)]
    pub to_on: NaiveDate,
    /// In cents: below zero was given back.
    #[diesel(sql_type = BigInt)]
    pub tax_cents: i64,
}

impl MendedTax {
    /// Whether it belongs to what a finding is about: what was mended as one stays one.
    #[must_use]
    pub fn is_within(&self, row: &FindingRow) -> bool {
        self.agreement_id == row.agreement_id && self.from_on >= row.from_on && self.to_on <= row.to_on
    }
}

/// Tax that settled findings of some accounts put right beside the bills; what was taken back since is none of it.
///
/// # Errors
/// Those of the database.
pub fn mended_taxes(conn: &mut DbConnection, accounts: &[AccountId]) -> QueryResult<Vec<MendedTax>> {
    let list = in_list(accounts.iter().map(|id| id.0));
    diesel::sql_query(format!(
        "SELECT f.account_id, f.agreement_id, f.from_on, f.to_on, CAST(-sum(p.amount_cents) AS BIGINT) AS tax_cents \
         FROM overcharge_finding f JOIN adjustment j ON j.account_id = f.account_id AND j.reference = 'finding:' || CAST(f.id AS TEXT) \
         JOIN financial_transaction t ON t.account_id = j.account_id AND t.account_seq = j.account_seq \
         JOIN posting p ON p.transaction_id = t.id AND p.gl_code = '{TAXES}' \
         WHERE f.account_id IN ({list}) AND f.status = 'settled' AND f.mended_cents <> 0 \
         GROUP BY f.id, f.account_id, f.agreement_id, f.from_on, f.to_on"
    ))
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
