//! Overcharge cases, their findings, and the queue of accounts to be looked at again.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{NaiveDate, NaiveDateTime};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Date, Integer, Nullable, Text, Timestamp};

use super::DbConnection;
use super::bulk::{in_list, insert_all};
use super::schema::{overcharge_case, overcharge_finding, sweep_night, sweep_queue};
use crate::domain::ids::{AccountId, AgreementId, CaseId, FindingId, MeterId, RunId};

/// A case as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, serde::Serialize)]
#[diesel(table_name = overcharge_case)]
pub struct CaseRow {
    /// Identity.
    pub id: CaseId,
    /// Why ([`crate::domain::overcharges::Cause`]).
    pub cause: String,
    /// What its findings share.
    pub subject: String,
    /// `open`, `mending`, `settled`, `dismissed` or `gone`.
    pub status: String,
    /// When it was found, UTC.
    pub opened_at: NaiveDateTime,
    /// When it was closed, UTC.
    pub closed_at: Option<NaiveDateTime>,
    /// By whom.
    pub closed_by: Option<String>,
    /// Why, in words.
    pub note: Option<String>,
}

/// A finding as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = overcharge_finding)]
pub struct FindingRow {
    /// Identity.
    pub id: FindingId,
    /// Its case.
    pub case_id: CaseId,
    /// What it is about, whatever it comes to.
    pub finding_key: String,
    /// `charge`, `payment` or `fee` ([`crate::domain::overcharges::FindingKind`]).
    pub kind: String,
    /// Why.
    pub cause: String,
    /// Whose bill.
    pub account_id: AccountId,
    /// The service, for charges.
    pub agreement_id: Option<AgreementId>,
    /// The run of the first bill that it is about.
    pub run_id: Option<RunId>,
    /// First day.
    pub from_on: NaiveDate,
    /// The day after the last.
    pub to_on: NaiveDate,
    /// What bills charged, in cents.
    pub billed_cents: i64,
    /// What earlier mending moved the balance by for it, in cents: a credit is negative.
    pub mended_before_cents: i64,
    /// What it should come to, in cents.
    pub should_cents: i64,
    /// What should be, less what was billed and mended: negative is charged too much.
    pub difference_cents: i64,
    /// 1 when it is only worth knowing.
    pub information: i32,
    /// Why, in words.
    pub detail: String,
    /// Both sides' working, as JSON ([`crate::domain::overcharges::Evidence`]).
    pub evidence: String,
    /// When it was found, UTC.
    pub found_at: NaiveDateTime,
    /// `open`, `settled`, `gone` or `dismissed`.
    pub status: String,
    /// How it was settled: `adjustment:REFERENCE`, `rebill:RUN`, `told`, or who dismissed it.
    pub settled_by: Option<String>,
    /// When, UTC.
    pub settled_at: Option<NaiveDateTime>,
    /// What settling moved the balance by beside the bills, in cents.
    pub mended_cents: i64,
}

/// A finding to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Insertable)]
#[diesel(table_name = overcharge_finding, treat_none_as_default_value = false)]
pub struct NewFinding {
    /// Its case.
    pub case_id: CaseId,
    /// What it is about.
    pub finding_key: String,
    /// `charge`, `payment` or `fee`.
    pub kind: String,
    /// Why.
    pub cause: String,
    /// Whose bill.
    pub account_id: AccountId,
    /// The service, for charges.
    pub agreement_id: Option<AgreementId>,
    /// The run of the first bill that it is about.
    pub run_id: Option<RunId>,
    /// First day.
    pub from_on: NaiveDate,
    /// The day after the last.
    pub to_on: NaiveDate,
    /// What bills charged.
    pub billed_cents: i64,
    /// What earlier mending moved.
    pub mended_before_cents: i64,
    /// What it should come to.
    pub should_cents: i64,
    /// What should be, less what was billed and mended.
    pub difference_cents: i64,
    /// 1 when it is only worth knowing.
    pub information: i32,
    /// Why, in words.
    pub detail: String,
    /// Both sides' working, as JSON.
    pub evidence: String,
    /// When it was found, UTC.
    pub found_at: NaiveDateTime,
    /// `open`.
    pub status: String,
}

/// The open case of a cause and subject; a new one when there is none. Two who begin it at once collide, and the later
/// one looks again ([`super::LostRace`]).
///
/// # Errors
/// Those of the database.
pub fn open_case(conn: &mut DbConnection, cause: &str, subject: &str, now: NaiveDateTime) -> QueryResult<CaseId> {
    let open = overcharge_case::table
        .filter(overcharge_case::cause.eq(cause).and(overcharge_case::subject.eq(subject)).and(overcharge_case::status.eq("open")))
        .select(overcharge_case::id);
    // Held until the transaction ends: it is not closed while a finding joins it.
    let open: Option<CaseId> = match conn {
        DbConnection::Sqlite(conn) => open.first(conn).optional()?,
        DbConnection::Postgres(conn) => open.for_update().first(conn).optional()?,
    };
    if let Some(id) = open {
        return Ok(id);
    }
    diesel::insert_into(overcharge_case::table)
        .values((
            overcharge_case::cause.eq(cause),
            overcharge_case::subject.eq(subject),
            overcharge_case::status.eq("open"),
            overcharge_case::opened_at.eq(now),
        ))
        .returning(overcharge_case::id)
        .get_result(conn)
}

/// A case.
///
/// # Errors
/// Those of the database.
pub fn case(conn: &mut DbConnection, id: CaseId) -> QueryResult<Option<CaseRow>> {
    overcharge_case::table.find(id).select(CaseRow::as_select()).first(conn).optional()
}

/// A case, held until the transaction ends.
///
/// # Errors
/// Those of the database.
pub fn lock_case(conn: &mut DbConnection, id: CaseId) -> QueryResult<Option<CaseRow>> {
    if let DbConnection::Postgres(conn) = &mut *conn {
        overcharge_case::table.find(id).select(overcharge_case::id).for_update().first::<CaseId>(conn).optional()?;
    }
    case(conn, id)
}

/// Closes an open case in which nothing is open any more: settled when anything was mended, else gone. One that is being mended
/// is closed by whoever mends it.
///
/// # Errors
/// Those of the database.
pub fn close_if_done(conn: &mut DbConnection, id: CaseId, by: &str, now: NaiveDateTime) -> QueryResult<bool> {
    let Some(case) = lock_case(conn, id)?.filter(|case| case.status == "open") else { return Ok(false) };
    let with =
        |status: &'static str| overcharge_finding::table.filter(overcharge_finding::case_id.eq(case.id).and(overcharge_finding::status.eq(status)));
    if diesel::select(diesel::dsl::exists(with("open"))).get_result(conn)? {
        return Ok(false);
    }
    let settled: bool = diesel::select(diesel::dsl::exists(with("settled"))).get_result(conn)?;
    close_case(conn, id, if settled { "settled" } else { "gone" }, by, "nothing of it is open any more", now)
}

/// Moves a case from one status to another that is not final; false when it was not in the first.
///
/// # Errors
/// Those of the database.
pub fn move_case(conn: &mut DbConnection, id: CaseId, from: &str, to: &str) -> QueryResult<bool> {
    diesel::update(overcharge_case::table.find(id).filter(overcharge_case::status.eq(from)))
        .set(overcharge_case::status.eq(to))
        .execute(conn)
        .map(|count| count == 1)
}

/// Closes a case that is open or being mended; false when it was closed before.
///
/// # Errors
/// Those of the database.
pub fn close_case(conn: &mut DbConnection, id: CaseId, status: &str, by: &str, note: &str, now: NaiveDateTime) -> QueryResult<bool> {
    diesel::update(overcharge_case::table.find(id).filter(overcharge_case::status.eq_any(["open", "mending"])))
        .set((
            overcharge_case::status.eq(status),
            overcharge_case::closed_at.eq(Some(now)),
            overcharge_case::closed_by.eq(Some(by)),
            overcharge_case::note.eq(Some(note)),
        ))
        .execute(conn)
        .map(|count| count == 1)
}

/// Stores findings.
///
/// # Errors
/// Those of the database; a unique violation means that another scan found the same at the same time.
pub fn insert_findings(conn: &mut DbConnection, rows: &[NewFinding]) -> QueryResult<()> {
    insert_all!(conn, overcharge_finding::table, rows).map(|_| ())
}

/// The findings of a range of accounts that are open, settled or dismissed, by account and number, each with the subject of
/// its case: those that are gone say nothing any more.
///
/// # Errors
/// Those of the database.
pub fn standing_in_range(conn: &mut DbConnection, first: AccountId, last: AccountId) -> QueryResult<Vec<(FindingRow, String)>> {
    overcharge_finding::table
        .inner_join(overcharge_case::table.on(overcharge_case::id.eq(overcharge_finding::case_id)))
        .filter(overcharge_finding::account_id.between(first, last).and(overcharge_finding::status.ne("gone")))
        .order((overcharge_finding::account_id, overcharge_finding::id))
        .select((FindingRow::as_select(), overcharge_case::subject))
        .load(conn)
}

/// A page of a case's findings, by number, after one.
///
/// # Errors
/// Those of the database.
pub fn findings_of(conn: &mut DbConnection, case: CaseId, after: FindingId, limit: i64) -> QueryResult<Vec<FindingRow>> {
    overcharge_finding::table
        .filter(overcharge_finding::case_id.eq(case).and(overcharge_finding::id.gt(after)))
        .order(overcharge_finding::id)
        .limit(limit)
        .select(FindingRow::as_select())
        .load(conn)
}

/// The findings with these numbers.
///
/// # Errors
/// Those of the database.
pub fn findings(conn: &mut DbConnection, ids: &[FindingId]) -> QueryResult<Vec<FindingRow>> {
    overcharge_finding::table.filter(overcharge_finding::id.eq_any(ids)).order(overcharge_finding::id).select(FindingRow::as_select()).load(conn)
}

/// Settles an open finding, in the transaction that mends it: `mended_cents` is what this moved the balance by beside the
/// bills (a credit is negative), 0 when the bills were made anew or nothing was to be moved. False when it was not open.
///
/// # Errors
/// Those of the database.
pub fn settle(conn: &mut DbConnection, id: FindingId, settled_by: &str, mended_cents: i64, now: NaiveDateTime) -> QueryResult<bool> {
    diesel::update(overcharge_finding::table.find(id).filter(overcharge_finding::status.eq("open")))
        .set((
            overcharge_finding::status.eq("settled"),
            overcharge_finding::settled_by.eq(Some(settled_by)),
            overcharge_finding::settled_at.eq(Some(now)),
            overcharge_finding::mended_cents.eq(mended_cents),
        ))
        .execute(conn)
        .map(|count| count == 1)
}

/// Takes a settlement back whose adjustment was reversed: the next scan finds the difference again. False when it was not
/// settled.
///
/// # Errors
/// Those of the database.
pub fn unsettle(conn: &mut DbConnection, id: FindingId, by: &str, now: NaiveDateTime) -> QueryResult<bool> {
    end(conn, id, "settled", "gone", by, now)
}

/// Ends an open finding that does not hold any more. False when it was not open.
///
/// # Errors
/// Those of the database.
pub fn gone(conn: &mut DbConnection, id: FindingId, by: &str, now: NaiveDateTime) -> QueryResult<bool> {
    end(conn, id, "open", "gone", by, now)
}

/// Dismisses an open finding: the same difference is not found again. False when it was not open.
///
/// # Errors
/// Those of the database.
pub fn dismiss(conn: &mut DbConnection, id: FindingId, by: &str, now: NaiveDateTime) -> QueryResult<bool> {
    end(conn, id, "open", "dismissed", by, now)
}

/// Dismisses everything that is open in a case; returns how many.
///
/// # Errors
/// Those of the database.
pub fn dismiss_all(conn: &mut DbConnection, case: CaseId, by: &str, now: NaiveDateTime) -> QueryResult<usize> {
    diesel::update(overcharge_finding::table.filter(overcharge_finding::case_id.eq(case).and(overcharge_finding::status.eq("open"))))
        .set((overcharge_finding::status.eq("dismissed"), overcharge_finding::settled_by.eq(Some(by)), overcharge_finding::settled_at.eq(Some(now))))
        .execute(conn)
}

fn end(conn: &mut DbConnection, id: FindingId, from: &str, to: &str, by: &str, now: NaiveDateTime) -> QueryResult<bool> {
    diesel::update(overcharge_finding::table.find(id).filter(overcharge_finding::status.eq(from)))
        .set((overcharge_finding::status.eq(to), overcharge_finding::settled_by.eq(Some(by)), overcharge_finding::settled_at.eq(Some(now))))
        .execute(conn)
        .map(|count| count == 1)
}

/// An account that waits to be looked at again.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct Queued {
    /// Which row.
    pub id: i64,
    /// The account.
    pub account_id: AccountId,
    /// Which correction touched it.
    pub why: String,
    /// When, UTC.
    pub since: NaiveDateTime,
}

/// Queues accounts, in the transaction of the correction that touches them.
///
/// # Errors
/// Those of the database.
pub fn queue(conn: &mut DbConnection, accounts: &[AccountId], why: &str, since: NaiveDateTime) -> QueryResult<()> {
    for account in accounts {
        diesel::insert_into(sweep_queue::table)
            .values((sweep_queue::account_id.eq(account), sweep_queue::why.eq(why), sweep_queue::since.eq(since)))
            .execute(conn)?;
    }
    Ok(())
}

/// Queues the accounts that these meters measure or once measured and that are billed.
///
/// # Errors
/// Those of the database.
pub fn queue_meters(conn: &mut DbConnection, meters: &[MeterId], why: &str, since: NaiveDateTime) -> QueryResult<()> {
    let list = in_list(meters.iter().map(|id| id.0));
    diesel::sql_query(format!(
        "INSERT INTO sweep_queue (account_id, why, since) SELECT DISTINCT a.account_id, $1, $2 FROM installation i \
         JOIN service_agreement a ON coalesce(a.measured_at, a.service_point_id) = i.service_point_id \
         WHERE i.meter_id IN ({list}) AND EXISTS (SELECT 1 FROM bill_segment s WHERE s.agreement_id = a.id AND s.live = 1)"
    ))
    .bind::<Text, _>(why)
    .bind::<Timestamp, _>(since)
    .execute(conn)
    .map(|_| ())
}

/// Queues the accounts that are billed beyond a day by a schedule.
///
/// # Errors
/// Those of the database.
pub fn queue_schedule(conn: &mut DbConnection, schedule: &str, from_on: NaiveDate, why: &str, since: NaiveDateTime) -> QueryResult<()> {
    diesel::sql_query(
        "INSERT INTO sweep_queue (account_id, why, since) SELECT DISTINCT a.account_id, $1, $2 FROM service_agreement a \
         WHERE a.schedule = $3 AND EXISTS (SELECT 1 FROM bill_segment s WHERE s.agreement_id = a.id AND s.live = 1 AND s.period_end_on > $4)",
    )
    .bind::<Text, _>(why)
    .bind::<Timestamp, _>(since)
    .bind::<Text, _>(schedule)
    .bind::<Date, _>(from_on)
    .execute(conn)
    .map(|_| ())
}

/// Queues the accounts of payments with these value dates that have a bill of the day or a later one: it did not deduct what is
/// posted now, or deducted what is taken back now.
///
/// # Errors
/// Those of the database.
pub fn queue_payments(conn: &mut DbConnection, payments: &[(AccountId, NaiveDate)], since: NaiveDateTime) -> QueryResult<()> {
    let mut by_day: BTreeMap<NaiveDate, BTreeSet<i64>> = BTreeMap::new();
    for (account, on) in payments {
        by_day.entry(*on).or_default().insert(account.0);
    }
    for (on, accounts) in by_day {
        let list = in_list(accounts);
        diesel::sql_query(format!(
            "INSERT INTO sweep_queue (account_id, why, since) SELECT c.id, $1, $2 FROM account c WHERE c.id IN ({list}) \
                AND EXISTS (SELECT 1 FROM bill b JOIN bill_run r ON r.id = b.run_id \
                    WHERE b.account_id = c.id AND b.status = 'issued' AND r.bill_on >= $3)"
        ))
        .bind::<Text, _>(format!("payment of {on} after the bill"))
        .bind::<Timestamp, _>(since)
        .bind::<Date, _>(on)
        .execute(conn)?;
    }
    Ok(())
}

/// From when on a night is due; none when nobody asked yet.
///
/// # Errors
/// Those of the database.
pub fn night_since(conn: &mut DbConnection) -> QueryResult<Option<NaiveDateTime>> {
    sweep_night::table.find(1).select(sweep_night::since).first(conn).optional()
}

/// Sets it for the first time; what is set stays.
///
/// # Errors
/// Those of the database; a unique violation means that somebody else was first ([`super::LostRace`]).
pub fn begin_nights(conn: &mut DbConnection, now: NaiveDateTime) -> QueryResult<()> {
    if night_since(conn)?.is_none() {
        diesel::insert_into(sweep_night::table).values((sweep_night::id.eq(1), sweep_night::since.eq(now))).execute(conn)?;
    }
    Ok(())
}

/// Writes down when a look at everything began that was finished.
///
/// # Errors
/// Those of the database.
pub fn night_over(conn: &mut DbConnection, began_at: NaiveDateTime) -> QueryResult<()> {
    diesel::update(sweep_night::table.find(1)).set(sweep_night::since.eq(began_at)).execute(conn).map(|_| ())
}

/// The oldest of the queue.
///
/// # Errors
/// Those of the database.
pub fn queued(conn: &mut DbConnection, limit: i64) -> QueryResult<Vec<Queued>> {
    sweep_queue::table.order(sweep_queue::id).limit(limit).load(conn)
}

/// Takes rows out of the queue that were looked at. A correction that came meanwhile has a row of its own.
///
/// # Errors
/// Those of the database.
pub fn unqueue(conn: &mut DbConnection, ids: &[i64]) -> QueryResult<()> {
    for page in ids.chunks(10_000) {
        diesel::delete(sweep_queue::table.filter(sweep_queue::id.eq_any(page))).execute(conn)?;
    }
    Ok(())
}

/// What is open in the whole utility. What is only worth knowing does not count.
#[derive(Debug, Clone, Default, PartialEq, Eq, QueryableByName, serde::Serialize)]
pub struct OpenSums {
    /// Open cases.
    #[diesel(sql_type = BigInt)]
    pub cases: i64,
    /// Open findings.
    #[diesel(sql_type = BigInt)]
    pub findings: i64,
    /// Accounts that they are about.
    #[diesel(sql_type = BigInt)]
    pub accounts: i64,
    /// What was charged too much, in cents.
    #[diesel(sql_type = BigInt)]
    pub over_cents: i64,
    /// What was charged too little, in cents.
    #[diesel(sql_type = BigInt)]
    pub under_cents: i64,
    /// What bills asked for too much because of payments that they did not deduct, in cents: the balances are right.
    #[diesel(sql_type = BigInt)]
    pub asked_cents: i64,
}

const SUMS: &str = "CAST(coalesce(sum(CASE WHEN f.kind <> 'payment' AND f.difference_cents < 0 THEN -f.difference_cents ELSE 0 END), 0) AS BIGINT) AS over_cents, \
    CAST(coalesce(sum(CASE WHEN f.kind <> 'payment' AND f.difference_cents > 0 THEN f.difference_cents ELSE 0 END), 0) AS BIGINT) AS under_cents, \
    CAST(coalesce(sum(CASE WHEN f.kind = 'payment' THEN -f.difference_cents ELSE 0 END), 0) AS BIGINT) AS asked_cents";

/// What is open in the whole utility.
///
/// # Errors
/// Those of the database.
pub fn open_sums(conn: &mut DbConnection) -> QueryResult<OpenSums> {
    diesel::sql_query(format!(
        "SELECT CAST(count(DISTINCT f.case_id) AS BIGINT) AS cases, CAST(count(*) AS BIGINT) AS findings, \
            CAST(count(DISTINCT f.account_id) AS BIGINT) AS accounts, {SUMS} \
         FROM overcharge_finding f WHERE f.status = 'open' AND f.information = 0"
    ))
    .get_result(conn)
}

/// A case with what its findings add up to.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName, serde::Serialize)]
pub struct CaseSums {
    /// Identity.
    #[diesel(sql_type = BigInt)]
    pub id: CaseId,
    /// Why.
    #[diesel(sql_type = Text)]
    pub cause: String,
    /// What its findings share.
    #[diesel(sql_type = Text)]
    pub subject: String,
    /// `open`, `mending`, `settled`, `dismissed` or `gone`.
    #[diesel(sql_type = Text)]
    pub status: String,
    /// When it was found, UTC.
    #[diesel(sql_type = Timestamp)]
    pub opened_at: NaiveDateTime,
    /// When it was closed, UTC.
    #[diesel(sql_type = Nullable<Timestamp>)]
    pub closed_at: Option<NaiveDateTime>,
    /// By whom.
    #[diesel(sql_type = Nullable<Text>)]
    pub closed_by: Option<String>,
    /// Why, in words.
    #[diesel(sql_type = Nullable<Text>)]
    pub note: Option<String>,
    /// Its findings that are not gone.
    #[diesel(sql_type = BigInt)]
    pub findings: i64,
    /// Those that are open.
    #[diesel(sql_type = BigInt)]
    pub open_findings: i64,
    /// Those that are only worth knowing.
    #[diesel(sql_type = BigInt)]
    pub information: i64,
    /// Accounts that they are about.
    #[diesel(sql_type = BigInt)]
    pub accounts: i64,
    /// What was charged too much, in cents.
    #[diesel(sql_type = BigInt)]
    pub over_cents: i64,
    /// What was charged too little, in cents.
    #[diesel(sql_type = BigInt)]
    pub under_cents: i64,
    /// What bills asked for too much because of payments that they did not deduct, in cents.
    #[diesel(sql_type = BigInt)]
    pub asked_cents: i64,
}

fn case_query(filter: &str, order: &str) -> String {
    format!(
        "SELECT c.id, c.cause, c.subject, c.status, c.opened_at, c.closed_at, c.closed_by, c.note, \
            CAST(count(f.id) AS BIGINT) AS findings, CAST(coalesce(sum(CASE WHEN f.status = 'open' THEN 1 ELSE 0 END), 0) AS BIGINT) AS open_findings, \
            CAST(coalesce(sum(f.information), 0) AS BIGINT) AS information, CAST(count(DISTINCT f.account_id) AS BIGINT) AS accounts, {SUMS} \
         FROM overcharge_case c LEFT JOIN overcharge_finding f ON f.case_id = c.id AND f.status <> 'gone' WHERE {filter} \
         GROUP BY c.id, c.cause, c.subject, c.status, c.opened_at, c.closed_at, c.closed_by, c.note {order}"
    )
}

/// A page of cases: the unfinished ones, or all; what has to be done first, then the most money, then the oldest.
///
/// # Errors
/// Those of the database.
pub fn cases(conn: &mut DbConnection, all: bool, offset: i64, limit: i64) -> QueryResult<Vec<CaseSums>> {
    let filter = if all { "1 = 1" } else { "c.status IN ('open', 'mending')" };
    let order = "ORDER BY CASE WHEN c.status IN ('open', 'mending') THEN 0 ELSE 1 END, \
        CASE WHEN count(f.id) > coalesce(sum(f.information), 0) THEN 0 ELSE 1 END, \
        coalesce(sum(abs(f.difference_cents)), 0) DESC, c.id LIMIT $1 OFFSET $2";
    diesel::sql_query(case_query(filter, order)).bind::<BigInt, _>(limit).bind::<BigInt, _>(offset).load(conn)
}

/// One case with its sums.
///
/// # Errors
/// Those of the database.
pub fn case_sums(conn: &mut DbConnection, id: CaseId) -> QueryResult<Option<CaseSums>> {
    diesel::sql_query(case_query("c.id = $1", "")).bind::<BigInt, _>(id).get_result(conn).optional()
}

/// A finding with what names it to people.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName, serde::Serialize)]
pub struct NamedFinding {
    /// Identity.
    #[diesel(sql_type = BigInt)]
    pub id: FindingId,
    /// `charge`, `payment` or `fee`.
    #[diesel(sql_type = Text)]
    pub kind: String,
    /// Why.
    #[diesel(sql_type = Text)]
    pub cause: String,
    /// The account's number.
    #[diesel(sql_type = Text)]
    pub account: String,
    /// The service's id in files, for charges.
    #[diesel(sql_type = Nullable<Text>)]
    pub service_id: Option<String>,
    /// First day.
    #[diesel(sql_type = Date)]
    pub from_on: NaiveDate,
    /// The day after the last.
    #[diesel(sql_type = Date)]
    pub to_on: NaiveDate,
    /// What bills charged, or asked for, in cents.
    #[diesel(sql_type = BigInt)]
    pub billed_cents: i64,
    /// What earlier mending moved, in cents.
    #[diesel(sql_type = BigInt)]
    pub mended_before_cents: i64,
    /// What it should come to, in cents.
    #[diesel(sql_type = BigInt)]
    pub should_cents: i64,
    /// Negative is too much.
    #[diesel(sql_type = BigInt)]
    pub difference_cents: i64,
    /// 1 when it is only worth knowing.
    #[diesel(sql_type = Integer)]
    pub information: i32,
    /// Why, in words.
    #[diesel(sql_type = Text)]
    pub detail: String,
    /// Both sides' working, as JSON.
    #[diesel(sql_type = Text)]
    #[serde(skip)]
    pub evidence: String,
    /// When it was found, UTC.
    #[diesel(sql_type = Timestamp)]
    pub found_at: NaiveDateTime,
    /// `open`, `settled` or `dismissed`.
    #[diesel(sql_type = Text)]
    pub status: String,
    /// How it was settled, or who dismissed it.
    #[diesel(sql_type = Nullable<Text>)]
    pub settled_by: Option<String>,
}

/// A page of a case's findings that are not gone, by number, after one.
///
/// # Errors
/// Those of the database.
pub fn named_findings(conn: &mut DbConnection, case: CaseId, after: FindingId, limit: i64) -> QueryResult<Vec<NamedFinding>> {
    diesel::sql_query(
        "SELECT f.id, f.kind, f.cause, c.number AS account, p.code AS service_id, f.from_on, f.to_on, f.billed_cents, f.mended_before_cents, \
            f.should_cents, f.difference_cents, f.information, f.detail, f.evidence, f.found_at, f.status, f.settled_by \
         FROM overcharge_finding f JOIN account c ON c.id = f.account_id \
         LEFT JOIN service_agreement a ON a.id = f.agreement_id LEFT JOIN service_point p ON p.id = a.service_point_id \
         WHERE f.case_id = $1 AND f.id > $2 AND f.status <> 'gone' ORDER BY f.id LIMIT $3",
    )
    .bind::<BigInt, _>(case)
    .bind::<BigInt, _>(after)
    .bind::<BigInt, _>(limit)
    .load(conn)
}
