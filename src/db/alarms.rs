//! Alarms, and the figures that they and the metrics are made of. Every query here reads a few rows by an index, so that
//! looking often costs nothing.

use chrono::{NaiveDateTime, TimeDelta};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamp};

use super::DbConnection;
use super::connection::each_backend;
use super::schema::{alarm, bill_run, lease, ledger_delta};
use crate::domain::ids::AlarmId;

/// Under this name servers note that they looked, among the leases.
const WATCHER: &str = "watcher";

/// An alarm as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, serde::Serialize)]
#[diesel(table_name = alarm)]
pub struct AlarmRow {
    /// Identity.
    pub id: AlarmId,
    /// What is wrong.
    pub kind: String,
    /// Since when, UTC.
    pub since: NaiveDateTime,
    /// When it was last seen to hold.
    pub seen_at: NaiveDateTime,
    /// How high its figure stood then.
    pub value: i64,
    /// How high it stood at worst.
    pub worst: i64,
    /// When it was over.
    pub over_at: Option<NaiveDateTime>,
    /// In words.
    pub detail: String,
}

/// The alarms that are on, the oldest first.
///
/// # Errors
/// Those of the database.
pub fn open(conn: &mut DbConnection) -> QueryResult<Vec<AlarmRow>> {
    alarm::table.filter(alarm::over_at.is_null()).order(alarm::id).select(AlarmRow::as_select()).load(conn)
}

/// The alarms that are over, newest first, before one.
///
/// # Errors
/// Those of the database.
pub fn past(conn: &mut DbConnection, before: AlarmId, limit: i64) -> QueryResult<Vec<AlarmRow>> {
    alarm::table
        .filter(alarm::over_at.is_not_null().and(alarm::id.lt(before)))
        .order(alarm::id.desc())
        .limit(limit)
        .select(AlarmRow::as_select())
        .load(conn)
}

/// Opens an alarm; none when one of its kind is open already, whoever opened it.
///
/// # Errors
/// Those of the database.
pub fn begin(conn: &mut DbConnection, kind: &str, value: i64, detail: &str, now: NaiveDateTime) -> QueryResult<Option<AlarmId>> {
    let row = (
        alarm::kind.eq(kind),
        alarm::since.eq(now),
        alarm::seen_at.eq(now),
        alarm::value.eq(value),
        alarm::worst.eq(value),
        alarm::over_at.eq(None::<NaiveDateTime>),
        alarm::detail.eq(detail),
    );
    each_backend!(conn, conn => diesel::insert_into(alarm::table).values(row).on_conflict_do_nothing().returning(alarm::id).get_result(conn).optional())
}

/// Notes that an alarm still holds, and how high it stands.
///
/// # Errors
/// Those of the database.
pub fn go_on(conn: &mut DbConnection, row: &AlarmRow, value: i64, detail: &str, now: NaiveDateTime) -> QueryResult<usize> {
    diesel::update(alarm::table.filter(alarm::id.eq(row.id).and(alarm::over_at.is_null())))
        .set((alarm::seen_at.eq(now), alarm::value.eq(value), alarm::worst.eq(value.max(row.worst)), alarm::detail.eq(detail)))
        .execute(conn)
}

/// Ends an alarm, unless somebody saw it hold meanwhile; false when nothing was ended.
///
/// # Errors
/// Those of the database.
pub fn end(conn: &mut DbConnection, row: &AlarmRow, now: NaiveDateTime) -> QueryResult<bool> {
    diesel::update(alarm::table.filter(alarm::id.eq(row.id).and(alarm::over_at.is_null()).and(alarm::seen_at.eq(row.seen_at))))
        .set(alarm::over_at.eq(Some(now)))
        .execute(conn)
        .map(|ended| ended == 1)
}

/// A comparison of ledger, provider and bank.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, serde::Serialize)]
#[diesel(table_name = ledger_delta)]
pub struct DeltaRow {
    /// When it was made, UTC.
    pub looked_at: NaiveDateTime,
    /// From which day on,
    pub from_on: chrono::NaiveDate,
    /// up to which.
    pub to_on: chrono::NaiveDate,
    /// The ledger's sum.
    pub ledger_cents: i64,
    /// The provider's.
    pub provider_cents: i64,
    /// The bank's.
    pub bank_cents: i64,
    /// By how much they differ.
    pub delta_cents: i64,
    /// Single differences.
    pub differences: i32,
}

/// The last comparisons, newest first.
///
/// # Errors
/// Those of the database.
pub fn deltas(conn: &mut DbConnection, limit: i64) -> QueryResult<Vec<DeltaRow>> {
    ledger_delta::table.order(ledger_delta::id.desc()).limit(limit).select(DeltaRow::as_select()).load(conn)
}

/// Since when the delta has been above a limit; none when the last comparison is not.
///
/// # Errors
/// Those of the database.
pub fn delta_over_since(conn: &mut DbConnection, limit_cents: i64) -> QueryResult<Option<NaiveDateTime>> {
    let within = ledger_delta::delta_cents.between(-limit_cents, limit_cents);
    let last_good: Option<i64> = ledger_delta::table.filter(within).order(ledger_delta::id.desc()).select(ledger_delta::id).first(conn).optional()?;
    let after = ledger_delta::table.filter(ledger_delta::id.gt(last_good.unwrap_or(0)));
    after.order(ledger_delta::id).select(ledger_delta::looked_at).first(conn).optional()
}

/// Bill runs by status.
///
/// # Errors
/// Those of the database.
pub fn bill_runs(conn: &mut DbConnection) -> QueryResult<Vec<(String, i64)>> {
    bill_run::table.group_by(bill_run::status).order(bill_run::status).select((bill_run::status, diesel::dsl::count_star())).load(conn)
}

/// Events that wait, of one status.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Waiting {
    /// `received` or `failed`.
    #[diesel(sql_type = Text)]
    pub status: String,
    /// How many.
    #[diesel(sql_type = BigInt)]
    pub events: i64,
    /// Attempts that they have behind them.
    #[diesel(sql_type = BigInt)]
    pub attempts: i64,
    /// When the oldest came.
    #[diesel(sql_type = Nullable<Timestamp>)]
    pub oldest_at: Option<NaiveDateTime>,
}

/// The events that wait to be applied, by status.
///
/// # Errors
/// Those of the database.
pub fn waiting(conn: &mut DbConnection) -> QueryResult<Vec<Waiting>> {
    diesel::sql_query(
        "SELECT status, COUNT(*) AS events, CAST(SUM(attempts) AS BIGINT) AS attempts, MIN(received_at) AS oldest_at \
         FROM provider_event WHERE status IN ('received', 'failed') GROUP BY status ORDER BY status",
    )
    .load(conn)
}

/// A count with a sum beside it.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Tally {
    /// What is counted.
    #[diesel(sql_type = Text)]
    pub what: String,
    /// How many.
    #[diesel(sql_type = BigInt)]
    pub count: i64,
    /// Cents, or attempts.
    #[diesel(sql_type = BigInt)]
    pub sum: i64,
}

/// What else waits or failed: `differences`, `unapplied` (sum: cents), `queued`, `notices`, `refunds`, `autopay` (those that
/// wait for another attempt; sum: attempts), `refused` (notices of the last day), `hopeless` (notices that failed again and
/// again), `callbacks` and `duplicates` of the last minute.
///
/// # Errors
/// Those of the database.
pub fn tallies(conn: &mut DbConnection, now: NaiveDateTime) -> QueryResult<Vec<Tally>> {
    diesel::sql_query(
        "SELECT 'differences' AS what, COUNT(*) AS count, CAST(0 AS BIGINT) AS sum FROM difference WHERE gone_at IS NULL \
         UNION ALL SELECT 'unapplied', COUNT(*), CAST(COALESCE(SUM(amount_cents), 0) AS BIGINT) FROM unapplied_credit WHERE status = 'waiting' \
         UNION ALL SELECT 'queued', COUNT(*), CAST(0 AS BIGINT) FROM notice WHERE status IN ('queued', 'sending') \
         UNION ALL SELECT 'notices', COUNT(*), CAST(COALESCE(SUM(attempts), 0) AS BIGINT) FROM notice \
            WHERE status IN ('queued', 'sending') AND attempts > 0 \
         UNION ALL SELECT 'hopeless', COUNT(*), CAST(0 AS BIGINT) FROM notice WHERE status IN ('queued', 'sending') AND attempts >= 3 \
         UNION ALL SELECT 'refunds', COUNT(*), CAST(COALESCE(SUM(attempts), 0) AS BIGINT) FROM refund \
            WHERE state = 'created' AND way = 'provider' AND attempts > 0 \
         UNION ALL SELECT 'autopay', COUNT(*), CAST(COALESCE(SUM(attempts), 0) AS BIGINT) FROM autopay_draw \
            WHERE state IN ('announced', 'drawing') AND attempts > 0 \
         UNION ALL SELECT 'refused', COUNT(*), CAST(0 AS BIGINT) FROM notice WHERE status IN ('bounced', 'given_up') AND created_at >= $1 \
         UNION ALL SELECT 'callbacks', CAST(COALESCE(SUM(CASE WHEN received_at >= $2 THEN deliveries ELSE 1 END), 0) AS BIGINT), CAST(0 AS BIGINT) \
            FROM provider_event WHERE last_delivery_at >= $2 AND origin = 'callback' \
         UNION ALL SELECT 'duplicates', CAST(COALESCE(SUM(CASE WHEN received_at >= $2 THEN deliveries - 1 ELSE 1 END), 0) AS BIGINT), \
            CAST(0 AS BIGINT) FROM provider_event WHERE last_delivery_at >= $2 AND deliveries > 1",
    )
    .bind::<Timestamp, _>(now - TimeDelta::days(1))
    .bind::<Timestamp, _>(now - TimeDelta::minutes(1))
    .load(conn)
}

/// When any server looked last.
///
/// # Errors
/// Those of the database.
pub fn last_look(conn: &mut DbConnection) -> QueryResult<Option<NaiveDateTime>> {
    lease::table.find(WATCHER).select(lease::expires_at).first(conn).optional()
}

/// Notes that a server looked.
///
/// # Errors
/// Those of the database.
pub fn note_look(conn: &mut DbConnection, holder: &str, now: NaiveDateTime) -> QueryResult<()> {
    let seen = super::operations::lease(conn, WATCHER)?;
    // Another server that was quicker looked just now, too.
    super::operations::take_lease(conn, WATCHER, seen.as_ref(), holder, now).map(|_| ())
}
