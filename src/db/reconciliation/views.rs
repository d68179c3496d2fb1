//! What a look reads: payments with both their sides, payouts, the bank's entries, events that wait. Every list is paged.
//!
//! A list of references travels as one JSON text, which both databases can unfold, however long it is.

use chrono::{NaiveDate, NaiveDateTime};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Date, Integer, Nullable, Text, Timestamp};

use super::DbConnection;
use crate::domain::ids::{AccountId, BankEntryId};

/// The step in a payment's trace that says: ledger and provider were compared since it moved, and they agree.
pub const RECONCILED: &str = "reconciled";

/// A provider with our identity there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, QueryableByName)]
pub struct Source {
    /// The provider.
    #[diesel(sql_type = Text)]
    pub provider: String,
    /// Our identity there.
    #[diesel(sql_type = Text)]
    pub merchant: String,
}

/// Every provider that the database knows payments or movements of.
///
/// # Errors
/// Those of the database.
pub fn sources(conn: &mut DbConnection) -> QueryResult<Vec<Source>> {
    diesel::sql_query("SELECT provider, merchant FROM provider_payment UNION SELECT provider, merchant FROM provider_movement ORDER BY 1, 2")
        .load(conn)
}

/// The providers of payments that were made, and of movements that were booked, on a day or later.
///
/// # Errors
/// Those of the database.
pub fn sources_since(conn: &mut DbConnection, from: NaiveDate) -> QueryResult<Vec<Source>> {
    diesel::sql_query(
        "SELECT provider, merchant FROM provider_payment WHERE made_on >= $1 \
         UNION SELECT provider, merchant FROM provider_movement WHERE occurred_on >= $1 ORDER BY 1, 2",
    )
    .bind::<Date, _>(from)
    .load(conn)
}

#[derive(QueryableByName)]
struct Reach {
    #[diesel(sql_type = Nullable<Date>)]
    from_on: Option<NaiveDate>,
    #[diesel(sql_type = Nullable<Timestamp>)]
    until_at: Option<NaiveDateTime>,
}

/// The first day of a provider's movements that are stored, and when it was last asked for any.
///
/// # Errors
/// Those of the database.
pub fn reach(conn: &mut DbConnection, source: &Source) -> QueryResult<(Option<NaiveDate>, Option<NaiveDateTime>)> {
    let row: Reach = diesel::sql_query(
        "SELECT min(occurred_on) AS from_on, max(fetched_at) AS until_at FROM provider_movement WHERE provider = $1 AND merchant = $2",
    )
    .bind::<Text, _>(&source.provider)
    .bind::<Text, _>(&source.merchant)
    .get_result(conn)?;
    Ok((row.from_on, row.until_at))
}

#[derive(QueryableByName)]
struct Newest {
    #[diesel(sql_type = Nullable<BigInt>)]
    occurred_at: Option<i64>,
}

/// The provider's time of the newest movement that is stored, in seconds since 1970.
///
/// # Errors
/// Those of the database.
pub fn newest_movement(conn: &mut DbConnection, source: &Source) -> QueryResult<Option<i64>> {
    diesel::sql_query("SELECT max(occurred_at) AS occurred_at FROM provider_movement WHERE provider = $1 AND merchant = $2")
        .bind::<Text, _>(&source.provider)
        .bind::<Text, _>(&source.merchant)
        .get_result::<Newest>(conn)
        .map(|row| row.occurred_at)
}

#[derive(QueryableByName)]
struct Reference {
    #[diesel(sql_type = Text)]
    reference: String,
}

/// The references of a provider's payments that moved on either side in a range of days, or that a difference is open about:
/// in their order, after one of them.
///
/// # Errors
/// Those of the database.
pub fn touched(conn: &mut DbConnection, source: &Source, from: NaiveDate, to: NaiveDate, after: &str, limit: i64) -> QueryResult<Vec<String>> {
    let rows: Vec<Reference> = diesel::sql_query(
        "SELECT reference FROM ( \
            SELECT m.payment_ref AS reference FROM provider_movement m \
                WHERE m.provider = $1 AND m.merchant = $2 AND m.payment_ref IS NOT NULL AND m.occurred_on BETWEEN $3 AND $4 \
            UNION SELECT p.provider_ref FROM payment p WHERE p.provider = $1 AND p.merchant = $2 AND p.provider_ref IS NOT NULL \
                AND p.superseded_seq IS NULL AND (p.effective_on BETWEEN $3 AND $4 OR p.returned_on BETWEEN $3 AND $4) \
            UNION SELECT y.provider_ref FROM refund r JOIN provider_payment y ON y.id = r.provider_payment_id \
                WHERE y.provider = $1 AND y.merchant = $2 AND y.provider_ref IS NOT NULL AND r.superseded_seq IS NULL AND r.made_on BETWEEN $3 AND $4 \
            UNION SELECT d.reference FROM difference d WHERE d.gone_at IS NULL \
                AND substr(d.difference_key, 1, length('online|' || $1 || '|' || $2 || '|')) = 'online|' || $1 || '|' || $2 || '|' \
         ) AS moved WHERE reference > $5 ORDER BY reference LIMIT $6",
    )
    .bind::<Text, _>(&source.provider)
    .bind::<Text, _>(&source.merchant)
    .bind::<Date, _>(from)
    .bind::<Date, _>(to)
    .bind::<Text, _>(after)
    .bind::<BigInt, _>(limit)
    .load(conn)?;
    Ok(rows.into_iter().map(|row| row.reference).collect())
}

/// A list as one JSON text.
fn listed(references: &[String]) -> String {
    serde_json::Value::from(references).to_string()
}

/// The list that is bound first, as rows with a `value`. A join that begins with it looks each reference up in an index.
fn wanted(conn: &DbConnection) -> &'static str {
    match conn {
        DbConnection::Sqlite(_) => "json_each($1) AS wanted",
        DbConnection::Postgres(_) => "jsonb_array_elements_text(CAST($1 AS JSONB)) AS wanted (value)",
    }
}

/// A movement of a payment.
#[derive(Debug, Clone, QueryableByName)]
pub struct MovementView {
    /// The payment.
    #[diesel(sql_type = Text)]
    pub payment_ref: String,
    /// The provider's name of it.
    #[diesel(sql_type = Text)]
    pub movement_ref: String,
    /// `payment`, `refund`, `dispute` or `other`.
    #[diesel(sql_type = Text)]
    pub kind: String,
    /// What moved, in cents.
    #[diesel(sql_type = BigInt)]
    pub amount_cents: i64,
    /// When, in seconds since 1970.
    #[diesel(sql_type = BigInt)]
    pub occurred_at: i64,
    /// The utility's day of it.
    #[diesel(sql_type = Date)]
    pub occurred_on: NaiveDate,
}

/// Every movement of these payments.
///
/// # Errors
/// Those of the database.
pub fn movements(conn: &mut DbConnection, source: &Source, references: &[String]) -> QueryResult<Vec<MovementView>> {
    let sql = format!(
        "SELECT m.payment_ref, m.movement_ref, m.kind, m.amount_cents, m.occurred_at, m.occurred_on \
         FROM {} CROSS JOIN provider_movement m \
         WHERE m.provider = $2 AND m.merchant = $3 AND m.payment_ref = wanted.value AND m.kind <> 'payout'",
        wanted(conn)
    );
    diesel::sql_query(sql).bind::<Text, _>(listed(references)).bind::<Text, _>(&source.provider).bind::<Text, _>(&source.merchant).load(conn)
}

/// A payment that stands, with the transactions that it is in the ledger with.
#[derive(Debug, Clone, QueryableByName)]
pub struct ReceiptView {
    /// The payment.
    #[diesel(sql_type = Text)]
    pub reference: String,
    /// Whose.
    #[diesel(sql_type = BigInt)]
    pub account_id: AccountId,
    /// Whose, by number.
    #[diesel(sql_type = Text)]
    pub number: String,
    /// Which part of the payment.
    #[diesel(sql_type = Integer)]
    pub part: i32,
    /// The amount on its own row, in cents.
    #[diesel(sql_type = BigInt)]
    pub amount_cents: i64,
    /// Value date.
    #[diesel(sql_type = Date)]
    pub effective_on: NaiveDate,
    /// What its transaction moved, in cents; none when there is no transaction.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub posted_cents: Option<i64>,
    /// When it was posted.
    #[diesel(sql_type = Nullable<Timestamp>)]
    pub posted_at: Option<NaiveDateTime>,
    /// When it was returned.
    #[diesel(sql_type = Nullable<Date>)]
    pub returned_on: Option<NaiveDate>,
    /// What the return's transaction moved, in cents.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub returned_cents: Option<i64>,
    /// When the return was posted.
    #[diesel(sql_type = Nullable<Timestamp>)]
    pub returned_at: Option<NaiveDateTime>,
    /// What taking the return back moved, in cents.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub restored_cents: Option<i64>,
    /// When it was posted that the return was taken back.
    #[diesel(sql_type = Nullable<Timestamp>)]
    pub restored_at: Option<NaiveDateTime>,
}

/// Every payment that stands of these references.
///
/// # Errors
/// Those of the database.
pub fn receipts(conn: &mut DbConnection, source: &Source, references: &[String]) -> QueryResult<Vec<ReceiptView>> {
    let sql = format!(
        "SELECT p.provider_ref AS reference, p.account_id, a.number, p.part, p.amount_cents, p.effective_on, f.amount_cents AS posted_cents, \
            f.posted_at, p.returned_on, g.amount_cents AS returned_cents, g.posted_at AS returned_at, h.amount_cents AS restored_cents, \
            h.posted_at AS restored_at \
         FROM {} CROSS JOIN payment p JOIN account a ON a.id = p.account_id \
            LEFT JOIN financial_transaction f ON f.account_id = p.account_id AND f.account_seq = p.account_seq \
            LEFT JOIN financial_transaction g ON g.account_id = p.account_id AND g.account_seq = p.returned_seq \
            LEFT JOIN financial_transaction h ON h.account_id = p.account_id AND h.account_seq = p.restored_seq \
         WHERE p.provider = $2 AND p.merchant = $3 AND p.superseded_seq IS NULL AND p.provider_ref = wanted.value",
        wanted(conn)
    );
    diesel::sql_query(sql).bind::<Text, _>(listed(references)).bind::<Text, _>(&source.provider).bind::<Text, _>(&source.merchant).load(conn)
}

/// Money of a payment that went back, with its transaction.
#[derive(Debug, Clone, QueryableByName)]
pub struct RefundView {
    /// The payment.
    #[diesel(sql_type = Text)]
    pub payment_ref: String,
    /// Whose.
    #[diesel(sql_type = BigInt)]
    pub account_id: AccountId,
    /// Whose, by number.
    #[diesel(sql_type = Text)]
    pub number: String,
    /// `provider` or `elsewhere`.
    #[diesel(sql_type = Text)]
    pub way: String,
    /// Where it stands.
    #[diesel(sql_type = Text)]
    pub state: String,
    /// The provider's name of it.
    #[diesel(sql_type = Nullable<Text>)]
    pub provider_ref: Option<String>,
    /// Our own name of it.
    #[diesel(sql_type = Text)]
    pub token: String,
    /// Its day.
    #[diesel(sql_type = Date)]
    pub made_on: NaiveDate,
    /// What its transaction moved, in cents.
    #[diesel(sql_type = BigInt)]
    pub posted_cents: i64,
    /// When it was posted.
    #[diesel(sql_type = Timestamp)]
    pub posted_at: NaiveDateTime,
}

/// Every refund of these payments that stands.
///
/// # Errors
/// Those of the database.
pub fn refunds(conn: &mut DbConnection, source: &Source, references: &[String]) -> QueryResult<Vec<RefundView>> {
    let sql = format!(
        "SELECT y.provider_ref AS payment_ref, r.account_id, a.number, r.way, r.state, r.provider_ref, r.token, r.made_on, \
            f.amount_cents AS posted_cents, f.posted_at \
         FROM {} CROSS JOIN provider_payment y JOIN refund r ON r.provider_payment_id = y.id JOIN account a ON a.id = r.account_id \
            JOIN financial_transaction f ON f.account_id = r.account_id AND f.account_seq = r.account_seq \
         WHERE y.provider = $2 AND y.merchant = $3 AND r.superseded_seq IS NULL AND r.way IN ('provider', 'elsewhere') \
            AND y.provider_ref = wanted.value",
        wanted(conn)
    );
    diesel::sql_query(sql).bind::<Text, _>(listed(references)).bind::<Text, _>(&source.provider).bind::<Text, _>(&source.merchant).load(conn)
}

/// Where a payment stands as its events tell.
#[derive(Debug, Clone, QueryableByName)]
pub struct StandingView {
    /// The payment.
    #[diesel(sql_type = Text)]
    pub reference: String,
    /// Its state.
    #[diesel(sql_type = Text)]
    pub state: String,
    /// Under which one can follow it.
    #[diesel(sql_type = Text)]
    pub trace_id: String,
    /// When it moved last.
    #[diesel(sql_type = Timestamp)]
    pub updated_at: NaiveDateTime,
    /// The day of the payment.
    #[diesel(sql_type = Date)]
    pub made_on: NaiveDate,
    /// What of it waits for an account, or did and was dismissed, in cents.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub credit_cents: Option<i64>,
    /// Which of the two: `waiting` or `dismissed`.
    #[diesel(sql_type = Nullable<Text>)]
    pub credit_status: Option<String>,
    /// Whether it was looked at since it moved last, and both sides agreed.
    #[diesel(sql_type = Bool)]
    pub reconciled: bool,
}

/// Where these payments stand.
///
/// # Errors
/// Those of the database.
pub fn standings(conn: &mut DbConnection, source: &Source, references: &[String]) -> QueryResult<Vec<StandingView>> {
    let sql = format!(
        "SELECT y.provider_ref AS reference, y.state, y.trace_id, y.updated_at, y.made_on, u.amount_cents AS credit_cents, u.status AS credit_status, \
            EXISTS (SELECT 1 FROM trace_step t WHERE t.trace_id = y.trace_id AND t.step = '{RECONCILED}' AND t.at >= y.updated_at) AS reconciled \
         FROM {} CROSS JOIN provider_payment y LEFT JOIN unapplied_credit u ON u.provider_payment_id = y.id AND u.status <> 'applied' \
         WHERE y.provider = $2 AND y.merchant = $3 AND y.provider_ref = wanted.value",
        wanted(conn)
    );
    diesel::sql_query(sql).bind::<Text, _>(listed(references)).bind::<Text, _>(&source.provider).bind::<Text, _>(&source.merchant).load(conn)
}

/// An event that is not applied.
#[derive(Debug, Clone, QueryableByName)]
pub struct WaitingView {
    /// Our number of it.
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    /// Who sent it.
    #[diesel(sql_type = Text)]
    pub provider: String,
    /// Our identity there.
    #[diesel(sql_type = Text)]
    pub merchant: String,
    /// The provider's name of it.
    #[diesel(sql_type = Text)]
    pub event_id: String,
    /// The provider's word for its type.
    #[diesel(sql_type = Text)]
    pub event_type: String,
    /// The payment that it tells of.
    #[diesel(sql_type = Nullable<Text>)]
    pub payment_ref: Option<String>,
    /// When it came.
    #[diesel(sql_type = Timestamp)]
    pub received_at: NaiveDateTime,
    /// Why it could not be applied.
    #[diesel(sql_type = Nullable<Text>)]
    pub error: Option<String>,
}

/// The events that are not applied, by number, after one of them.
///
/// # Errors
/// Those of the database.
pub fn waiting_events(conn: &mut DbConnection, after: i64, limit: i64) -> QueryResult<Vec<WaitingView>> {
    diesel::sql_query(
        "SELECT id, provider, merchant, event_id, event_type, payment_ref, received_at, error FROM provider_event \
         WHERE status IN ('received', 'failed') AND id > $1 ORDER BY id LIMIT $2",
    )
    .bind::<BigInt, _>(after)
    .bind::<BigInt, _>(limit)
    .load(conn)
}

/// A payout with its movements and the bank's entry.
#[derive(Debug, Clone, QueryableByName)]
pub struct PayoutRow {
    /// Identity.
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    /// The provider.
    #[diesel(sql_type = Text)]
    pub provider: String,
    /// Our identity there.
    #[diesel(sql_type = Text)]
    pub merchant: String,
    /// The provider's name of it.
    #[diesel(sql_type = Text)]
    pub payout_ref: String,
    /// How much, in cents.
    #[diesel(sql_type = BigInt)]
    pub amount_cents: i64,
    /// The day on which it arrives.
    #[diesel(sql_type = Date)]
    pub arrives_on: NaiveDate,
    /// Whether it will never arrive.
    #[diesel(sql_type = Bool)]
    pub failed: bool,
    /// What the bank statement shows of it.
    #[diesel(sql_type = Text)]
    pub statement_text: String,
    /// What its movements come to less fees, in cents; none while none is known.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub net_cents: Option<i64>,
    /// The bank's reference of the entry that brought it.
    #[diesel(sql_type = Nullable<Text>)]
    pub entry_key: Option<String>,
    /// The bank's day of that entry.
    #[diesel(sql_type = Nullable<Date>)]
    pub booked_on: Option<NaiveDate>,
    /// The amount of that entry, in cents.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub entry_cents: Option<i64>,
}

/// The payouts that arrive in a range of days, and those before it that no bank entry brought, by number, after one of them.
///
/// # Errors
/// Those of the database.
pub fn payouts(conn: &mut DbConnection, from: NaiveDate, to: NaiveDate, after: i64, limit: i64) -> QueryResult<Vec<PayoutRow>> {
    diesel::sql_query(
        "SELECT o.id, o.provider, o.merchant, o.payout_ref, o.amount_cents, o.arrives_on, o.failed = 1 AS failed, o.statement_text, \
            CAST((SELECT sum(m.amount_cents - m.fee_cents) FROM provider_movement m WHERE m.provider = o.provider AND m.merchant = o.merchant \
                AND m.payout_ref = o.payout_ref AND m.kind <> 'payout') AS BIGINT) AS net_cents, \
            e.entry_key, e.booked_on, e.amount_cents AS entry_cents \
         FROM provider_payout o LEFT JOIN bank_entry e ON e.id = o.bank_entry_id \
         WHERE (o.arrives_on BETWEEN $1 AND $2 OR (o.arrives_on < $1 AND o.bank_entry_id IS NULL)) AND o.id > $3 ORDER BY o.id LIMIT $4",
    )
    .bind::<Date, _>(from)
    .bind::<Date, _>(to)
    .bind::<BigInt, _>(after)
    .bind::<BigInt, _>(limit)
    .load(conn)
}

/// The payouts of a provider, by arrival in a range of days, none of whose movements is known.
///
/// # Errors
/// Those of the database.
pub fn payouts_without_movements(conn: &mut DbConnection, source: &Source, from: NaiveDate, to: NaiveDate, limit: i64) -> QueryResult<Vec<String>> {
    let rows: Vec<Reference> = diesel::sql_query(
        "SELECT o.payout_ref AS reference FROM provider_payout o WHERE o.provider = $1 AND o.merchant = $2 AND o.arrives_on BETWEEN $3 AND $4 \
            AND NOT EXISTS (SELECT 1 FROM provider_movement m WHERE m.provider = o.provider AND m.merchant = o.merchant \
                AND m.payout_ref = o.payout_ref AND m.kind <> 'payout') ORDER BY o.id LIMIT $5",
    )
    .bind::<Text, _>(&source.provider)
    .bind::<Text, _>(&source.merchant)
    .bind::<Date, _>(from)
    .bind::<Date, _>(to)
    .bind::<BigInt, _>(limit)
    .load(conn)?;
    Ok(rows.into_iter().map(|row| row.reference).collect())
}

/// A bank's entry with what it posted.
#[derive(Debug, Clone, QueryableByName)]
pub struct EntryRow {
    /// Identity.
    #[diesel(sql_type = BigInt)]
    pub id: BankEntryId,
    /// Which of the utility's bank accounts.
    #[diesel(sql_type = Text)]
    pub bank_account: String,
    /// The bank's reference.
    #[diesel(sql_type = Text)]
    pub entry_key: String,
    /// How much, in cents: money to us is positive.
    #[diesel(sql_type = BigInt)]
    pub amount_cents: i64,
    /// The bank's day.
    #[diesel(sql_type = Date)]
    pub booked_on: NaiveDate,
    /// `credit`, `debit`, `return` or `dishonored_return`.
    #[diesel(sql_type = Text)]
    pub kind: String,
    /// The reference that it came with.
    #[diesel(sql_type = Text)]
    pub reference: String,
    /// `waiting`, `applied` or `settled`.
    #[diesel(sql_type = Text)]
    pub status: String,
    /// Whether a payout is known that it brought.
    #[diesel(sql_type = Bool)]
    pub paid_out: bool,
    /// Whether it waits for an account as unapplied credit.
    #[diesel(sql_type = Bool)]
    pub unapplied: bool,
    /// What the ledger has of it, in cents.
    #[diesel(sql_type = BigInt)]
    pub posted_cents: i64,
    /// Whose, when it is one account's.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub account_id: Option<AccountId>,
    /// Whose, by number.
    #[diesel(sql_type = Nullable<Text>)]
    pub number: Option<String>,
}

/// The bank's entries of a range of days, and those before it that wait, by number, after one of them; without those that
/// concern no customer, that took a payment back, and that carried a refund out or brought it back: what they did is compared
/// where the payment or the refund is.
///
/// # Errors
/// Those of the database.
pub fn entries(conn: &mut DbConnection, from: NaiveDate, to: NaiveDate, after: BankEntryId, limit: i64) -> QueryResult<Vec<EntryRow>> {
    diesel::sql_query(
        "SELECT e.id, e.bank_account, e.entry_key, e.amount_cents, e.booked_on, e.kind, e.reference, \
            e.status, \
            EXISTS (SELECT 1 FROM provider_payout o WHERE o.bank_entry_id = e.id) AS paid_out, \
            EXISTS (SELECT 1 FROM unapplied_credit u WHERE u.bank_entry_id = e.id AND u.status = 'waiting') AS unapplied, \
            CAST(coalesce((SELECT sum(-f.amount_cents) FROM payment p JOIN financial_transaction f \
                ON f.account_id = p.account_id AND f.account_seq = p.account_seq \
                WHERE p.bank_entry_id = e.id AND p.superseded_seq IS NULL), 0) AS BIGINT) AS posted_cents, \
            s.account_id, a.number \
         FROM bank_entry e LEFT JOIN (SELECT p.bank_entry_id, min(p.account_id) AS account_id FROM payment p \
                WHERE p.bank_entry_id IS NOT NULL AND p.superseded_seq IS NULL GROUP BY p.bank_entry_id HAVING count(DISTINCT p.account_id) = 1) s \
                ON s.bank_entry_id = e.id LEFT JOIN account a ON a.id = s.account_id \
         WHERE e.status <> 'set_aside' AND (e.status = 'waiting' OR (e.refund_id IS NULL AND e.returned_payment_id IS NULL)) AND (e.booked_on BETWEEN $1 AND $2 OR (e.booked_on < $1 AND e.status = 'waiting')) AND e.id > $3 \
         ORDER BY e.id LIMIT $4",
    )
    .bind::<Date, _>(from)
    .bind::<Date, _>(to)
    .bind::<BigInt, _>(after)
    .bind::<BigInt, _>(limit)
    .load(conn)
}

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Bool)]
    yes: bool,
}

/// Whether any bank file was ever imported.
///
/// # Errors
/// Those of the database.
pub fn bank_is_known(conn: &mut DbConnection) -> QueryResult<bool> {
    diesel::sql_query("SELECT EXISTS (SELECT 1 FROM bank_entry) AS yes").get_result::<Answer>(conn).map(|row| row.yes)
}

/// A refund by bank that has no reference of the bank.
#[derive(Debug, Clone, QueryableByName)]
pub struct UnnamedPayout {
    /// Identity.
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    /// Our own name of it.
    #[diesel(sql_type = Text)]
    pub token: String,
    /// Whose.
    #[diesel(sql_type = BigInt)]
    pub account_id: AccountId,
    /// Whose, by number.
    #[diesel(sql_type = Text)]
    pub number: String,
    /// How much, in cents.
    #[diesel(sql_type = BigInt)]
    pub amount_cents: i64,
    /// Its day.
    #[diesel(sql_type = Date)]
    pub made_on: NaiveDate,
}

/// Refunds by bank that were made up to a day and that the bank has not named, by number, after one of them.
///
/// # Errors
/// Those of the database.
pub fn unnamed_payouts(conn: &mut DbConnection, to: NaiveDate, after: i64, limit: i64) -> QueryResult<Vec<UnnamedPayout>> {
    diesel::sql_query(
        "SELECT r.id, r.token, r.account_id, a.number, r.amount_cents, r.made_on FROM refund r JOIN account a ON a.id = r.account_id \
         WHERE r.way = 'payout' AND r.provider_ref IS NULL AND r.superseded_seq IS NULL AND r.state IN ('created', 'submitted') \
            AND r.made_on <= $1 AND r.id > $2 ORDER BY r.id LIMIT $3",
    )
    .bind::<Date, _>(to)
    .bind::<BigInt, _>(after)
    .bind::<BigInt, _>(limit)
    .load(conn)
}

/// The providers' payments of a range of days, by number, after one of them: those made then, and those that an event told of
/// then.
///
/// # Errors
/// Those of the database.
pub fn payments_between(
    conn: &mut DbConnection,
    from: NaiveDate,
    to: NaiveDate,
    after: crate::domain::ids::ProviderPaymentId,
    limit: i64,
) -> QueryResult<Vec<crate::domain::ids::ProviderPaymentId>> {
    #[derive(QueryableByName)]
    struct Id {
        #[diesel(sql_type = BigInt)]
        id: crate::domain::ids::ProviderPaymentId,
    }
    let rows: Vec<Id> = diesel::sql_query(
        "SELECT y.id FROM provider_payment y WHERE y.provider_ref IS NOT NULL AND (y.made_on BETWEEN $1 AND $2 \
            OR EXISTS (SELECT 1 FROM provider_event e WHERE e.provider = y.provider AND e.merchant = y.merchant AND e.payment_ref = y.provider_ref \
                AND e.received_at >= $3 AND e.received_at < $4)) AND y.id > $5 ORDER BY y.id LIMIT $6",
    )
    .bind::<Date, _>(from)
    .bind::<Date, _>(to)
    .bind::<Timestamp, _>(from.and_time(chrono::NaiveTime::MIN))
    .bind::<Timestamp, _>((to + chrono::Days::new(1)).and_time(chrono::NaiveTime::MIN))
    .bind::<BigInt, _>(after)
    .bind::<BigInt, _>(limit)
    .load(conn)?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}
