//! The inbox: what providers sent, kept byte by byte, and how far each event got.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Nullable, Text, Timestamp};

use super::DbConnection;
use super::connection::each_backend;
use super::schema::provider_event;
use crate::domain::ids::{AccountId, ProviderEventId, ProviderPaymentId, RunId};

/// An event as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = provider_event)]
pub struct EventRow {
    /// Identity, in the order of arrival.
    pub id: ProviderEventId,
    /// Who sent it.
    pub provider: String,
    /// Our identity there.
    pub merchant: String,
    /// The provider's name of it.
    pub event_id: String,
    /// The provider's word for its type.
    pub event_type: String,
    /// When it happened, in seconds since 1970 by the provider's clock.
    pub occurred_at: i64,
    /// The payment that it tells of.
    pub payment_ref: Option<String>,
    /// Our own name of the attempt.
    pub token: Option<String>,
    /// The bytes as they came.
    pub body: Vec<u8>,
    /// `callback` or `backfill`.
    pub origin: String,
    /// `received`, `applied`, `ignored` or `failed`.
    pub status: String,
    /// How often it came.
    pub deliveries: i32,
    /// When it came first.
    pub received_at: NaiveDateTime,
    /// When it came last.
    pub last_delivery_at: NaiveDateTime,
    /// How often it was tried to apply it.
    pub attempts: i32,
    /// When it was applied.
    pub applied_at: Option<NaiveDateTime>,
    /// Why it could not be applied.
    pub error: Option<String>,
    /// Under which one can follow it.
    pub trace_id: String,
    /// The payment that it was applied to.
    pub provider_payment_id: Option<ProviderPaymentId>,
}

/// An event to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Who sent it.
    pub provider: String,
    /// Our identity there.
    pub merchant: String,
    /// The provider's name of it.
    pub event_id: String,
    /// The hash of its bytes.
    pub body_sha256: String,
    /// The provider's word for its type.
    pub event_type: String,
    /// When it happened, in seconds since 1970 by the provider's clock.
    pub occurred_at: i64,
    /// The payment that it tells of.
    pub payment_ref: Option<String>,
    /// Our own name of the attempt.
    pub token: Option<String>,
    /// The bytes as they came.
    pub body: Vec<u8>,
    /// `callback` or `backfill`.
    pub origin: &'static str,
    /// When it came.
    pub received_at: NaiveDateTime,
    /// Under which one can follow it.
    pub trace_id: String,
    /// The HTTP request that brought it: for the trace.
    pub request_id: Option<String>,
}

/// What storing an event did.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Stored {
    /// The event.
    #[diesel(sql_type = BigInt)]
    pub id: ProviderEventId,
    /// How often it came: 1 means that it is new.
    #[diesel(sql_type = diesel::sql_types::Integer)]
    pub deliveries: i32,
    /// Under which one can follow it: the first delivery's.
    #[diesel(sql_type = Text)]
    pub trace_id: String,
}

/// Stores an event, or counts one more delivery of an event that is there.
///
/// # Errors
/// Those of the database.
pub fn store(conn: &mut DbConnection, event: &NewEvent) -> QueryResult<Stored> {
    let query = diesel::sql_query(
        "INSERT INTO provider_event (provider, merchant, event_id, body_sha256, event_type, occurred_at, payment_ref, token, body, origin, \
            status, deliveries, received_at, last_delivery_at, attempts, next_attempt_at, trace_id) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'received', 1, $11, $11, 0, $11, $12) \
         ON CONFLICT (provider, merchant, event_id, body_sha256) \
         DO UPDATE SET deliveries = provider_event.deliveries + 1, last_delivery_at = excluded.last_delivery_at \
         RETURNING id, deliveries, trace_id",
    );
    let query = query
        .bind::<Text, _>(&event.provider)
        .bind::<Text, _>(&event.merchant)
        .bind::<Text, _>(&event.event_id)
        .bind::<Text, _>(&event.body_sha256)
        .bind::<Text, _>(&event.event_type)
        .bind::<BigInt, _>(event.occurred_at)
        .bind::<Nullable<Text>, _>(&event.payment_ref)
        .bind::<Nullable<Text>, _>(&event.token)
        .bind::<Binary, _>(&event.body)
        .bind::<Text, _>(event.origin)
        .bind::<Timestamp, _>(event.received_at)
        .bind::<Text, _>(&event.trace_id);
    each_backend!(conn, conn => query.get_result(conn))
}

/// Whether an event of this name is there, with whatever bytes.
///
/// # Errors
/// Those of the database.
pub fn is_known(conn: &mut DbConnection, provider: &str, merchant: &str, event_id: &str) -> QueryResult<bool> {
    let found: Option<ProviderEventId> = provider_event::table
        .filter(provider_event::provider.eq(provider).and(provider_event::merchant.eq(merchant)).and(provider_event::event_id.eq(event_id)))
        .select(provider_event::id)
        .first(conn)
        .optional()?;
    Ok(found.is_some())
}

/// Our own name of the attempt that a payment belongs to, from the oldest of its events that repeats it.
///
/// # Errors
/// Those of the database.
pub fn token_of(conn: &mut DbConnection, provider: &str, merchant: &str, payment_ref: &str) -> QueryResult<Option<String>> {
    let found: Option<Option<String>> = provider_event::table
        .filter(provider_event::provider.eq(provider).and(provider_event::merchant.eq(merchant)).and(provider_event::payment_ref.eq(payment_ref)))
        .filter(provider_event::token.is_not_null())
        .order((provider_event::occurred_at, provider_event::event_id, provider_event::id))
        .select(provider_event::token)
        .first(conn)
        .optional()?;
    Ok(found.flatten())
}

/// One event.
///
/// # Errors
/// Those of the database.
pub fn event(conn: &mut DbConnection, id: ProviderEventId) -> QueryResult<Option<EventRow>> {
    provider_event::table.filter(provider_event::id.eq(id)).select(EventRow::as_select()).first(conn).optional()
}

/// The events of a provider's name, in the order of arrival: several when the same name came with other bytes.
///
/// # Errors
/// Those of the database.
pub fn named(conn: &mut DbConnection, event_id: &str) -> QueryResult<Vec<EventRow>> {
    provider_event::table.filter(provider_event::event_id.eq(event_id)).order(provider_event::id).limit(100).select(EventRow::as_select()).load(conn)
}

/// Events before a number, newest first; with `waiting`, only those that are not applied.
///
/// # Errors
/// Those of the database.
pub fn page(conn: &mut DbConnection, waiting: bool, before: ProviderEventId, limit: i64) -> QueryResult<Vec<EventRow>> {
    let mut query = provider_event::table
        .filter(provider_event::id.lt(before))
        .order(provider_event::id.desc())
        .limit(limit)
        .select(EventRow::as_select())
        .into_boxed();
    if waiting {
        query = query.filter(provider_event::status.eq_any(["received", "failed"]));
    }
    query.load(conn)
}

/// The events that wait to be applied and are due, oldest first.
///
/// # Errors
/// Those of the database.
pub fn due(conn: &mut DbConnection, now: NaiveDateTime, limit: i64) -> QueryResult<Vec<ProviderEventId>> {
    provider_event::table
        .filter(provider_event::status.eq_any(["received", "failed"]).and(provider_event::next_attempt_at.le(now)))
        .order((provider_event::next_attempt_at, provider_event::id))
        .limit(limit)
        .select(provider_event::id)
        .load(conn)
}

/// Of the events that are due those that were never tried (`received`), or those that failed (`failed`), oldest first.
///
/// # Errors
/// Those of the database.
pub fn due_of(conn: &mut DbConnection, status: &str, now: NaiveDateTime, limit: i64) -> QueryResult<Vec<ProviderEventId>> {
    // The first condition is the index's own: without it PostgreSQL does not know that the index fits.
    provider_event::table
        .filter(provider_event::status.eq_any(["received", "failed"]).and(provider_event::next_attempt_at.le(now)))
        .filter(provider_event::status.eq(status))
        .order((provider_event::next_attempt_at, provider_event::id))
        .limit(limit)
        .select(provider_event::id)
        .load(conn)
}

/// Which payment each of these events tells of, in the order of arrival.
///
/// # Errors
/// Those of the database.
pub fn payment_refs(conn: &mut DbConnection, ids: &[ProviderEventId]) -> QueryResult<Vec<(ProviderEventId, Option<String>)>> {
    provider_event::table
        .filter(provider_event::id.eq_any(ids))
        .order(provider_event::id)
        .select((provider_event::id, provider_event::payment_ref))
        .load(conn)
}

/// When the events of attempts were applied, for the tokens from `first` to before `end` of a provider.
///
/// # Errors
/// Those of the database.
pub fn applied_by_token(conn: &mut DbConnection, provider: &str, first: &str, end: &str) -> QueryResult<Vec<(String, NaiveDateTime)>> {
    let rows: Vec<(Option<String>, Option<NaiveDateTime>)> = provider_event::table
        .filter(provider_event::provider.eq(provider).and(provider_event::token.ge(first)).and(provider_event::token.lt(end)))
        .filter(provider_event::status.eq("applied"))
        .select((provider_event::token, provider_event::applied_at))
        .load(conn)?;
    Ok(rows.into_iter().filter_map(|(token, at)| token.zip(at)).collect())
}

/// How many events failed and wait for another attempt.
///
/// # Errors
/// Those of the database.
pub fn count_failed(conn: &mut DbConnection) -> QueryResult<i64> {
    provider_event::table
        .filter(provider_event::status.eq_any(["received", "failed"]).and(provider_event::status.eq("failed")))
        .count()
        .get_result(conn)
}

/// Makes every event that waits due now: before a bill run, and when the cause is mended.
///
/// # Errors
/// Those of the database.
pub fn hurry(conn: &mut DbConnection, now: NaiveDateTime) -> QueryResult<usize> {
    diesel::update(provider_event::table.filter(provider_event::status.eq_any(["received", "failed"]).and(provider_event::next_attempt_at.gt(now))))
        .set(provider_event::next_attempt_at.eq(now))
        .execute(conn)
}

/// Every event that tells of a payment, or of the attempt that it began with, in the order of arrival.
///
/// # Errors
/// Those of the database.
pub fn of_payment(
    conn: &mut DbConnection,
    provider: &str,
    merchant: &str,
    payment_ref: Option<&str>,
    token: Option<&str>,
    limit: i64,
) -> QueryResult<Vec<EventRow>> {
    let ours = provider_event::provider.eq(provider).and(provider_event::merchant.eq(merchant));
    let mut rows: Vec<EventRow> = Vec::new();
    if let Some(payment_ref) = payment_ref {
        rows = provider_event::table
            .filter(ours.and(provider_event::payment_ref.eq(payment_ref)))
            .order(provider_event::id)
            .limit(limit)
            .select(EventRow::as_select())
            .load(conn)?;
    }
    if let Some(token) = token {
        let more: Vec<EventRow> = provider_event::table
            .filter(ours.and(provider_event::token.eq(token)).and(provider_event::payment_ref.is_null()))
            .order(provider_event::id)
            .limit(limit)
            .select(EventRow::as_select())
            .load(conn)?;
        rows.extend(more);
    }
    Ok(rows)
}

/// Whether a payment has more than so many events.
///
/// # Errors
/// Those of the database.
pub fn has_more_than(conn: &mut DbConnection, provider: &str, merchant: &str, payment_ref: &str, count: i64) -> QueryResult<bool> {
    let next: Option<ProviderEventId> = provider_event::table
        .filter(provider_event::provider.eq(provider).and(provider_event::merchant.eq(merchant)).and(provider_event::payment_ref.eq(payment_ref)))
        .order(provider_event::id)
        .offset(count)
        .limit(1)
        .select(provider_event::id)
        .first(conn)
        .optional()?;
    Ok(next.is_some())
}

/// Marks events as dealt with; those that were before keep their time.
///
/// # Errors
/// Those of the database.
pub fn mark_applied(
    conn: &mut DbConnection,
    ids: &[ProviderEventId],
    status: &str,
    payment: Option<ProviderPaymentId>,
    now: NaiveDateTime,
) -> QueryResult<usize> {
    diesel::update(provider_event::table.filter(provider_event::id.eq_any(ids).and(provider_event::status.eq_any(["received", "failed"]))))
        .set((
            provider_event::status.eq(status),
            provider_event::applied_at.eq(Some(now)),
            provider_event::provider_payment_id.eq(payment),
            provider_event::error.eq(None::<String>),
        ))
        .execute(conn)
}

/// Notes why an event could not be applied, and when it is tried again.
///
/// # Errors
/// Those of the database.
pub fn mark_failed(conn: &mut DbConnection, id: ProviderEventId, error: &str, again_at: NaiveDateTime) -> QueryResult<usize> {
    diesel::update(provider_event::table.filter(provider_event::id.eq(id).and(provider_event::status.eq_any(["received", "failed"]))))
        .set((
            provider_event::status.eq("failed"),
            provider_event::attempts.eq(provider_event::attempts + 1),
            provider_event::next_attempt_at.eq(again_at),
            provider_event::error.eq(Some(error)),
        ))
        .execute(conn)
}

#[derive(QueryableByName)]
struct Unapplied {
    #[diesel(sql_type = BigInt)]
    account_id: AccountId,
    #[diesel(sql_type = Text)]
    what: String,
}

/// The accounts for which something waits that is not applied, with what waits: events in these states, and bank movements.
fn unapplied(states: &str) -> String {
    format!(
        "SELECT p.account_id, 'the event ' || e.event_id || ' of ' || e.provider AS what, e.received_at AS since FROM provider_event e \
            JOIN provider_payment y ON y.provider = e.provider AND y.merchant = e.merchant AND y.provider_ref = e.payment_ref \
            JOIN provider_payment_part p ON p.provider_payment_id = y.id WHERE e.status IN ({states}) \
         UNION ALL SELECT p.account_id, 'the event ' || e.event_id || ' of ' || e.provider, e.received_at FROM provider_event e \
            JOIN checkout c ON c.token = e.token JOIN checkout_part p ON p.checkout_id = c.id WHERE e.status IN ({states}) \
         UNION ALL SELECT d.account_id, 'the event ' || e.event_id || ' of ' || e.provider, e.received_at FROM provider_event e \
            JOIN autopay_draw d ON d.token = e.token WHERE e.status IN ({states}) \
         UNION ALL SELECT b.suggested_account_id, 'a bank movement of ' || CAST(b.booked_on AS TEXT) || ' (' || b.reference || ')', f.received_at FROM bank_entry b \
            JOIN bank_file f ON f.id = b.file_id WHERE b.status = 'waiting' AND b.suggested_account_id IS NOT NULL"
    )
}

/// The accounts of a range for which an event or a bank's movement waits that is not applied, with what waits.
///
/// # Errors
/// Those of the database.
pub fn unapplied_accounts(conn: &mut DbConnection, first: AccountId, last: AccountId) -> QueryResult<Vec<(AccountId, String)>> {
    let all = unapplied("'received', 'failed'");
    let query = diesel::sql_query(format!("SELECT u.account_id, u.what FROM ({all}) u WHERE u.account_id BETWEEN $1 AND $2"));
    let rows: Vec<Unapplied> = query.bind::<BigInt, _>(first).bind::<BigInt, _>(last).load(conn)?;
    Ok(rows.into_iter().map(|row| (row.account_id, row.what)).collect())
}

#[derive(QueryableByName)]
struct UnappliedInRun {
    #[diesel(sql_type = Text)]
    number: String,
    #[diesel(sql_type = Text)]
    what: String,
}

/// How many events and bank movements that were received before a moment wait to be applied for accounts that a run bills.
///
/// # Errors
/// Those of the database.
pub fn waiting_in_run(conn: &mut DbConnection, run: RunId, before: NaiveDateTime) -> QueryResult<i64> {
    let all = unapplied("'received', 'failed'");
    let query = diesel::sql_query(format!(
        "SELECT CAST(count(*) AS BIGINT) AS total FROM (SELECT DISTINCT u.account_id, u.what FROM ({all}) u WHERE u.since < $1 \
         AND EXISTS (SELECT 1 FROM bill_segment s WHERE s.run_id = $2 AND s.account_id = u.account_id AND s.live = 1)) w"
    ));
    query.bind::<Timestamp, _>(before).bind::<BigInt, _>(run).get_result::<WaitingCount>(conn).map(|row| row.total)
}

#[derive(QueryableByName)]
struct WaitingCount {
    #[diesel(sql_type = BigInt)]
    total: i64,
}

/// The first accounts by number that a run bills although something waits for them that could not be applied, with what. What
/// only just came is not counted: it has its turn.
///
/// # Errors
/// Those of the database.
pub fn unapplied_in_run(conn: &mut DbConnection, run: RunId) -> QueryResult<Vec<(String, String)>> {
    let failed = unapplied("'failed'");
    let query = diesel::sql_query(format!(
        "SELECT a.number, u.what FROM ({failed}) u JOIN account a ON a.id = u.account_id \
         WHERE EXISTS (SELECT 1 FROM bill_segment s WHERE s.run_id = $1 AND s.account_id = u.account_id AND s.live = 1) \
         ORDER BY a.number, u.what LIMIT 20"
    ));
    let rows: Vec<UnappliedInRun> = query.bind::<BigInt, _>(run).load(conn)?;
    Ok(rows.into_iter().map(|row| (row.number, row.what)).collect())
}
