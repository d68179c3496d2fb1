//! Collections: the accounts that are looked at each day, what aging is computed from, and a file for each sort of rows.

pub mod deposits;
pub mod disputes;
pub mod dunning;
pub mod late_fees;
pub mod leak_relief;
pub mod pay_plans;

use chrono::{Days, NaiveDate, NaiveDateTime};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Date, Integer, Nullable, Text, Timestamp};

use super::DbConnection;
use super::bulk::insert_all;
use super::connection::each_backend;
use super::schema::collection_day;
use crate::domain::ids::{AccountId, RunId};

/// Whoever paid so many days ago, and late, is still looked at: so long may the program not have run.
const LOOK_BACK_DAYS: u64 = 60;
/// A fee whose deadline was longer ago is not looked at any more by itself.
pub const REVIEWED_FOR_DAYS: u64 = 400;

#[derive(QueryableByName)]
struct Account {
    #[diesel(sql_type = BigInt)]
    id: AccountId,
}

/// A page of the accounts, by id, that are to be looked at on a day and were not: those that owe something, that paid late
/// lately, or of which something goes on.
///
/// # Errors
/// Those of the database.
pub fn to_look_at(conn: &mut DbConnection, after: AccountId, day: NaiveDate, limit: i64) -> QueryResult<Vec<AccountId>> {
    let since = day.checked_sub_days(Days::new(LOOK_BACK_DAYS)).unwrap_or(day);
    let fees_since = day.checked_sub_days(Days::new(REVIEWED_FOR_DAYS)).unwrap_or(day);
    let rows: Vec<Account> = diesel::sql_query(
        "SELECT a.id FROM account a WHERE a.id > $1 \
         AND NOT EXISTS (SELECT 1 FROM collection_day d WHERE d.account_id = a.id AND d.day_on = $2) \
         AND (coalesce((SELECT f.balance_after_cents FROM financial_transaction f WHERE f.account_id = a.id \
                ORDER BY f.account_seq DESC LIMIT 1), 0) > 0 \
            OR EXISTS (SELECT 1 FROM dunning_case c WHERE c.account_id = a.id AND c.closed_at IS NULL) \
            OR EXISTS (SELECT 1 FROM pay_plan p WHERE p.account_id = a.id AND p.state = 'active') \
            OR EXISTS (SELECT 1 FROM late_fee l WHERE l.account_id = a.id AND l.undone_seq IS NULL AND l.deadline_on >= $3) \
            OR EXISTS (SELECT 1 FROM adjustment w JOIN financial_transaction f ON f.account_id = w.account_id AND f.account_seq > w.account_seq \
                WHERE w.account_id = a.id AND w.reason_code = 'write-off' AND f.kind = 'payment' AND f.effective_on >= $4) \
            OR EXISTS (SELECT 1 FROM deposit d WHERE d.account_id = a.id AND d.applied_seq IS NULL) \
            OR EXISTS (SELECT 1 FROM bill b JOIN bill_run r ON r.id = b.run_id WHERE b.account_id = a.id AND b.status = 'issued' \
                AND r.due_on BETWEEN $4 AND $2 AND EXISTS (SELECT 1 FROM financial_transaction f WHERE f.account_id = a.id \
                    AND f.account_seq > b.account_seq AND f.kind = 'payment' AND f.effective_on > r.due_on))) \
         ORDER BY a.id LIMIT $5",
    )
    .bind::<BigInt, _>(after)
    .bind::<Date, _>(day)
    .bind::<Date, _>(fees_since)
    .bind::<Date, _>(since)
    .bind::<BigInt, _>(limit)
    .load(conn)?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// Those of these accounts that were looked at on a day.
///
/// # Errors
/// Those of the database.
pub fn looked_at(conn: &mut DbConnection, accounts: &[AccountId], day: NaiveDate) -> QueryResult<Vec<AccountId>> {
    collection_day::table
        .filter(collection_day::account_id.eq_any(accounts).and(collection_day::day_on.eq(day)))
        .select(collection_day::account_id)
        .load(conn)
}

/// Writes down that accounts were looked at on a day.
///
/// # Errors
/// Those of the database; a unique violation means that they were already.
pub fn note_looked_at(conn: &mut DbConnection, accounts: &[AccountId], day: NaiveDate, at: NaiveDateTime) -> QueryResult<()> {
    #[derive(Insertable)]
    #[diesel(table_name = collection_day, treat_none_as_default_value = false)]
    struct Row {
        account_id: AccountId,
        day_on: NaiveDate,
        looked_at: NaiveDateTime,
    }
    let rows: Vec<Row> = accounts.iter().map(|account| Row { account_id: *account, day_on: day, looked_at: at }).collect();
    insert_all!(conn, collection_day::table, &rows).map(|_| ())
}

/// The last day on which any account was looked at, up to one: days beyond it are of a clock that was ahead.
///
/// # Errors
/// Those of the database.
pub fn last_day(conn: &mut DbConnection, up_to: NaiveDate) -> QueryResult<Option<NaiveDate>> {
    collection_day::table
        .filter(collection_day::day_on.le(up_to))
        .order(collection_day::day_on.desc())
        .select(collection_day::day_on)
        .first(conn)
        .optional()
}

/// Forgets the days before one. How many rows.
///
/// # Errors
/// Those of the database.
pub fn forget_days(conn: &mut DbConnection, before: NaiveDate) -> QueryResult<usize> {
    each_backend!(conn, conn => diesel::delete(collection_day::table.filter(collection_day::day_on.lt(before))).execute(conn))
}

/// A ledger row with what aging wants to know of it.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct AgedRow {
    /// Its position.
    #[diesel(sql_type = BigInt)]
    pub account_seq: i64,
    /// What kind of business it is.
    #[diesel(sql_type = Text)]
    pub kind: String,
    /// What it stands for.
    #[diesel(sql_type = Text)]
    pub source: String,
    /// The movement of the balance, in cents.
    #[diesel(sql_type = BigInt)]
    pub amount_cents: i64,
    /// Value date.
    #[diesel(sql_type = Date)]
    pub effective_on: NaiveDate,
    /// The run of a bill that was posted here.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub run_id: Option<RunId>,
    /// That bill's date.
    #[diesel(sql_type = Nullable<Date>)]
    pub bill_on: Option<NaiveDate>,
    /// When it is due.
    #[diesel(sql_type = Nullable<Date>)]
    pub due_on: Option<NaiveDate>,
    /// The position of the bill, the adjustment or the deposit's charge that this row takes back.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub undoes_seq: Option<i64>,
}

/// An account's ledger with what aging wants to know, in its order.
///
/// # Errors
/// Those of the database.
pub fn aged_rows(conn: &mut DbConnection, account: AccountId) -> QueryResult<Vec<AgedRow>> {
    diesel::sql_query(
        "SELECT f.account_seq, f.kind, f.source, f.amount_cents, f.effective_on, b.run_id, r.bill_on, r.due_on, \
            coalesce(x.account_seq, o.account_seq, d.charge_seq) AS undoes_seq \
         FROM financial_transaction f \
         LEFT JOIN bill b ON b.account_id = f.account_id AND b.account_seq = f.account_seq \
         LEFT JOIN bill_run r ON r.id = b.run_id \
         LEFT JOIN bill x ON x.account_id = f.account_id AND x.cancelled_seq = f.account_seq \
         LEFT JOIN adjustment n ON n.account_id = f.account_id AND n.account_seq = f.account_seq \
         LEFT JOIN adjustment_reversal v ON v.adjustment_id = n.id \
         LEFT JOIN adjustment o ON o.id = v.reverses_id \
         LEFT JOIN deposit d ON d.account_id = f.account_id AND d.payment_seq = f.account_seq \
         WHERE f.account_id = $1 ORDER BY f.account_seq",
    )
    .bind::<BigInt, _>(account)
    .load(conn)
}

/// A bill that is, or was, held back.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct HeldBill {
    /// The run.
    #[diesel(sql_type = BigInt)]
    pub run_id: RunId,
    /// When it was let go; none while it is held.
    #[diesel(sql_type = Nullable<Timestamp>)]
    pub released_at: Option<NaiveDateTime>,
    /// Until when what was questioned, or waits for its draw, can be paid.
    #[diesel(sql_type = Nullable<Date>)]
    pub pay_by: Option<NaiveDate>,
    /// 1 while the utility is to draw it, or draws it.
    #[diesel(sql_type = Integer)]
    pub drawing: i32,
}

impl HeldBill {
    /// Whether it was let go without a day of its own by which it is to be paid.
    #[must_use]
    pub fn was_let_go_by_hand(&self) -> bool {
        self.released_at.is_some() && self.pay_by.is_none()
    }
}

/// The bills of an account that are or were held back, those of which a question was answered, and those that the utility itself
/// draws, or tried to, on a day of its own.
///
/// # Errors
/// Those of the database.
pub fn held_bills(conn: &mut DbConnection, account: AccountId) -> QueryResult<Vec<HeldBill>> {
    diesel::sql_query(
        "SELECT h.run_id, h.released_at, CAST(NULL AS DATE) AS pay_by, 0 AS drawing FROM bill_hold h WHERE h.account_id = $1 \
         UNION ALL \
         SELECT d.run_id, d.answered_at AS released_at, d.pay_by, 0 AS drawing FROM dispute d WHERE d.account_id = $1 \
         UNION ALL \
         SELECT w.run_id, w.created_at AS released_at, w.draw_on AS pay_by, \
            CASE WHEN w.state IN ('announced', 'drawing', 'submitted') THEN 1 ELSE 0 END AS drawing FROM autopay_draw w WHERE w.account_id = $1 AND w.state <> 'skipped'",
    )
    .bind::<BigInt, _>(account)
    .load(conn)
}

/// Writes down that an adjustment, by its position, takes back an earlier one of the same account.
///
/// # Errors
/// Those of the database; a unique violation means that something took it back before.
pub fn insert_undo(conn: &mut DbConnection, account: AccountId, undo_seq: i64, undone_seq: i64) -> QueryResult<usize> {
    diesel::sql_query(
        "INSERT INTO adjustment_reversal (adjustment_id, reverses_id) \
         SELECT n.id, o.id FROM adjustment n JOIN adjustment o ON o.account_id = n.account_id \
         WHERE n.account_id = $1 AND n.account_seq = $2 AND o.account_seq = $3",
    )
    .bind::<BigInt, _>(account)
    .bind::<BigInt, _>(undo_seq)
    .bind::<BigInt, _>(undone_seq)
    .execute(conn)
}

#[derive(QueryableByName)]
struct Seq {
    #[diesel(sql_type = BigInt)]
    account_seq: i64,
}

/// The position of what took the adjustment at a position of an account's ledger back; none while it stands.
///
/// # Errors
/// Those of the database.
pub fn undone_seq(conn: &mut DbConnection, account: AccountId, seq: i64) -> QueryResult<Option<i64>> {
    let found: Option<Seq> = diesel::sql_query(
        "SELECT n.account_seq FROM adjustment o JOIN adjustment_reversal v ON v.reverses_id = o.id JOIN adjustment n ON n.id = v.adjustment_id \
         WHERE o.account_id = $1 AND o.account_seq = $2",
    )
    .bind::<BigInt, _>(account)
    .bind::<BigInt, _>(seq)
    .get_result(conn)
    .optional()?;
    Ok(found.map(|row| row.account_seq))
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    total: i64,
}

/// A write-off that stands, and what was paid after it.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct WrittenOffAndPaid {
    /// Its reference.
    #[diesel(sql_type = Text)]
    pub reference: String,
    /// Its position.
    #[diesel(sql_type = BigInt)]
    pub account_seq: i64,
    /// What was written off, in cents, above zero.
    #[diesel(sql_type = BigInt)]
    pub written_cents: i64,
    /// What came after it, in cents, above zero.
    #[diesel(sql_type = BigInt)]
    pub paid_cents: i64,
}

/// The key of the work item about money that came after a write-off.
#[must_use]
pub fn written_off_key(account: AccountId, seq: i64) -> String {
    format!("written-off:{account}:{seq}")
}

/// The write-offs of an account that stand, after which money came lately, and about which nobody was told.
///
/// # Errors
/// Those of the database.
pub fn written_off_and_paid(conn: &mut DbConnection, account: AccountId, day: NaiveDate) -> QueryResult<Vec<WrittenOffAndPaid>> {
    let since = day.checked_sub_days(Days::new(LOOK_BACK_DAYS)).unwrap_or(day);
    diesel::sql_query(
        "SELECT * FROM (SELECT w.reference, w.account_seq, -w.amount_cents AS written_cents, \
            CAST(coalesce((SELECT -sum(f.amount_cents) FROM financial_transaction f WHERE f.account_id = w.account_id \
                AND f.account_seq > w.account_seq AND f.kind IN ('payment', 'payment_reversal') AND f.effective_on >= $1), 0) AS BIGINT) AS paid_cents \
         FROM adjustment w WHERE w.account_id = $2 AND w.reason_code = 'write-off' \
            AND NOT EXISTS (SELECT 1 FROM adjustment_reversal v WHERE v.reverses_id = w.id) \
            AND NOT EXISTS (SELECT 1 FROM todo t \
                WHERE t.subject_key = 'written-off:' || CAST(w.account_id AS TEXT) || ':' || CAST(w.account_seq AS TEXT))) p \
         WHERE p.paid_cents > 0 ORDER BY p.account_seq",
    )
    .bind::<Date, _>(since)
    .bind::<BigInt, _>(account)
    .load(conn)
}

/// Whether a bank's movement waits for a clerk that is taken for a payment to this account.
///
/// # Errors
/// Those of the database.
pub fn bank_money_waits(conn: &mut DbConnection, account: AccountId) -> QueryResult<bool> {
    diesel::sql_query(
        "SELECT CAST(count(*) AS BIGINT) AS total FROM bank_entry WHERE status = 'waiting' AND suggested_account_id = $1 AND amount_cents > 0",
    )
    .bind::<BigInt, _>(account)
    .get_result::<Count>(conn)
    .map(|row| row.total > 0)
}
