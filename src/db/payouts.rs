//! Payouts and cheques: to whom they go, and the files that were made of them.

use chrono::{NaiveDate, NaiveDateTime};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Date, Integer, Nullable, Text, Timestamp};

use super::DbConnection;
use super::bulk::{in_list, insert_all};
use super::schema::{refund, refund_batch, refund_batch_item, refund_payee};
use crate::domain::ids::{AccountId, PaymentId, RefundBatchId, RefundId};
use crate::domain::payouts::Payee;

#[derive(Insertable)]
#[diesel(table_name = refund_payee, treat_none_as_default_value = false)]
struct NewPayee {
    refund_id: RefundId,
    medium: String,
    name: String,
    address: Option<String>,
    bank_code: Option<String>,
    bank_account: Option<String>,
    account_kind: Option<String>,
}

/// Says to whom a payout goes.
///
/// # Errors
/// Those of the database.
pub fn insert_payee(conn: &mut DbConnection, refund: RefundId, payee: &Payee) -> QueryResult<()> {
    let (medium, name) = (payee.medium().to_owned(), payee.name().to_owned());
    let row = match payee.clone() {
        Payee::Payout { bank_code, bank_account, savings, .. } => NewPayee {
            refund_id: refund,
            medium,
            name,
            address: None,
            bank_code: Some(bank_code),
            bank_account: Some(bank_account),
            account_kind: Some(if savings { "savings" } else { "checking" }.to_owned()),
        },
        Payee::Cheque { address, .. } => {
            NewPayee { refund_id: refund, medium, name, address: Some(address), bank_code: None, bank_account: None, account_kind: None }
        }
    };
    diesel::insert_into(refund_payee::table).values(&row).execute(conn).map(|_| ())
}

/// A payment that stands in an account's ledger, and what of it was given back already.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Standing {
    /// Identity.
    #[diesel(sql_type = BigInt)]
    pub id: PaymentId,
    /// What was paid, in cents.
    #[diesel(sql_type = BigInt)]
    pub amount_cents: i64,
    /// What of it went back to where it came from, in cents.
    #[diesel(sql_type = BigInt)]
    pub given_back_cents: i64,
    /// Form of money.
    #[diesel(sql_type = Text)]
    pub tender: String,
    /// 1 when we drew it through a provider.
    #[diesel(sql_type = BigInt)]
    pub drawn: i64,
    /// The format of the bank's file that brought it.
    #[diesel(sql_type = Nullable<Text>)]
    pub bank_format: Option<String>,
    /// The format's own code of it.
    #[diesel(sql_type = Nullable<Text>)]
    pub bank_code: Option<String>,
    /// Its reference.
    #[diesel(sql_type = Nullable<Text>)]
    pub reference: Option<String>,
    /// Value date.
    #[diesel(sql_type = Date)]
    pub effective_on: NaiveDate,
    /// Ledger time, UTC.
    #[diesel(sql_type = Timestamp)]
    pub posted_at: NaiveDateTime,
}

/// The payments of an account that stand and were posted since a moment.
///
/// # Errors
/// Those of the database.
pub fn standing_since(conn: &mut DbConnection, account: AccountId, since: NaiveDateTime) -> QueryResult<Vec<Standing>> {
    diesel::sql_query(
        "SELECT y.id, y.amount_cents, y.tender, y.provider_ref AS reference, y.effective_on, f.posted_at, \
            b.format AS bank_format, e.code AS bank_code, \
            CAST(CASE WHEN y.provider_payment_id IS NULL THEN 0 ELSE 1 END AS BIGINT) AS drawn, \
            CAST(coalesce((SELECT sum(r.amount_cents) FROM refund r WHERE r.provider_payment_id = y.provider_payment_id AND r.part = y.part \
                AND (r.superseded_seq IS NULL OR r.state IN ('submitted', 'succeeded'))), 0) AS BIGINT) AS given_back_cents \
         FROM payment y JOIN financial_transaction f ON f.account_id = y.account_id AND f.account_seq = y.account_seq \
            LEFT JOIN bank_entry e ON e.id = y.bank_entry_id LEFT JOIN bank_file b ON b.id = e.file_id \
         WHERE y.account_id = $1 AND f.posted_at >= $2 AND y.superseded_seq IS NULL AND (y.returned_seq IS NULL OR y.restored_seq IS NOT NULL) \
         ORDER BY y.account_seq",
    )
    .bind::<BigInt, _>(account)
    .bind::<Timestamp, _>(since)
    .load(conn)
}

/// A batch as stored, without its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, serde::Serialize)]
#[diesel(table_name = refund_batch)]
pub struct BatchRow {
    /// Identity.
    pub id: RefundBatchId,
    /// `payout` or `cheque`.
    pub medium: String,
    /// The form of the file.
    pub format: String,
    /// The day that it is of.
    pub made_on: NaiveDate,
    /// When it was made, UTC.
    pub made_at: NaiveDateTime,
    /// Who made it.
    pub made_by: String,
    /// How many lines.
    pub items: i32,
    /// What is paid in all, in cents.
    pub total_cents: i64,
    /// The hash of the file.
    pub sha256: String,
}

/// A batch to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Insertable)]
#[diesel(table_name = refund_batch, treat_none_as_default_value = false)]
pub struct NewBatch {
    /// `payout` or `cheque`.
    pub medium: String,
    /// The form of the file.
    pub format: String,
    /// The day that it is of.
    pub made_on: NaiveDate,
    /// When it was made, UTC.
    pub made_at: NaiveDateTime,
    /// Who made it.
    pub made_by: String,
    /// How many lines.
    pub items: i32,
    /// What is paid in all, in cents.
    pub total_cents: i64,
    /// The hash of the file.
    pub sha256: String,
    /// The file.
    pub body: Vec<u8>,
}

/// A line of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = refund_batch_item, treat_none_as_default_value = false)]
pub struct BatchItemRow {
    /// The batch.
    pub batch_id: RefundBatchId,
    /// Position within it, from 1.
    pub line_no: i32,
    /// The refund.
    pub refund_id: RefundId,
    /// `pay`, or `void` for a cheque that is not to be paid.
    pub what: String,
    /// How much, in cents.
    pub amount_cents: i64,
    /// A cheque's number.
    pub cheque_number: Option<i64>,
}

/// The batch of a way and a day.
///
/// # Errors
/// Those of the database.
pub fn batch_of(conn: &mut DbConnection, medium: &str, on: NaiveDate) -> QueryResult<Option<(BatchRow, Vec<u8>)>> {
    let found: Option<BatchRow> = refund_batch::table
        .filter(refund_batch::medium.eq(medium).and(refund_batch::made_on.eq(on)))
        .select(BatchRow::as_select())
        .first(conn)
        .optional()?;
    let Some(row) = found else { return Ok(None) };
    let body: Vec<u8> = refund_batch::table.find(row.id).select(refund_batch::body).first(conn)?;
    Ok(Some((row, body)))
}

/// A page of batches, the newest first.
///
/// # Errors
/// Those of the database.
pub fn batches(conn: &mut DbConnection, limit: i64) -> QueryResult<Vec<BatchRow>> {
    refund_batch::table.order(refund_batch::id.desc()).limit(limit).select(BatchRow::as_select()).load(conn)
}

/// A page of batches before one, the newest first.
///
/// # Errors
/// Those of the database.
pub fn batches_before(conn: &mut DbConnection, before: RefundBatchId, limit: i64) -> QueryResult<Vec<BatchRow>> {
    refund_batch::table.filter(refund_batch::id.lt(before)).order(refund_batch::id.desc()).limit(limit).select(BatchRow::as_select()).load(conn)
}

/// What the payouts of a batch that are in one state come to.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct BatchSum {
    /// The batch.
    #[diesel(sql_type = BigInt)]
    pub batch_id: RefundBatchId,
    /// `submitted`, `succeeded`, `failed`.
    #[diesel(sql_type = Text)]
    pub state: String,
    /// How many.
    #[diesel(sql_type = BigInt)]
    pub payouts: i64,
    /// How much, in cents.
    #[diesel(sql_type = BigInt)]
    pub cents: i64,
}

/// What became of what batches pay.
///
/// # Errors
/// Those of the database.
pub fn batch_sums(conn: &mut DbConnection, batches: &[RefundBatchId]) -> QueryResult<Vec<BatchSum>> {
    diesel::sql_query(format!(
        "SELECT i.batch_id, r.state, count(*) AS payouts, CAST(sum(i.amount_cents) AS BIGINT) AS cents \
         FROM refund_batch_item i JOIN refund r ON r.id = i.refund_id WHERE i.what = 'pay' AND i.batch_id IN ({}) \
         GROUP BY i.batch_id, r.state ORDER BY i.batch_id, r.state",
        in_list(batches.iter().map(|id| id.0))
    ))
    .load(conn)
}

/// A batch's file.
///
/// # Errors
/// Those of the database.
pub fn batch_body(conn: &mut DbConnection, id: RefundBatchId) -> QueryResult<Option<Vec<u8>>> {
    refund_batch::table.find(id).select(refund_batch::body).first(conn).optional()
}

/// The batch that pays a refund.
///
/// # Errors
/// Those of the database.
pub fn batch_paying(conn: &mut DbConnection, refund: RefundId) -> QueryResult<Option<RefundBatchId>> {
    refund_batch_item::table
        .filter(refund_batch_item::refund_id.eq(refund).and(refund_batch_item::what.eq("pay")))
        .select(refund_batch_item::batch_id)
        .first(conn)
        .optional()
}

/// A batch.
///
/// # Errors
/// Those of the database.
pub fn batch(conn: &mut DbConnection, id: RefundBatchId) -> QueryResult<Option<BatchRow>> {
    refund_batch::table.find(id).select(BatchRow::as_select()).first(conn).optional()
}

/// A line of a batch, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName, serde::Serialize)]
pub struct Line {
    /// Position within the batch, from 1.
    #[diesel(sql_type = Integer)]
    pub line_no: i32,
    /// `pay`, or `void` for a cheque that is not to be paid.
    #[diesel(sql_type = Text)]
    pub what: String,
    /// The refund.
    #[diesel(sql_type = BigInt)]
    pub refund_id: RefundId,
    /// Our name of it.
    #[diesel(sql_type = Text)]
    pub token: String,
    /// The account's id.
    #[diesel(sql_type = BigInt)]
    pub account_id: AccountId,
    /// The account's number.
    #[diesel(sql_type = Text)]
    pub account: String,
    /// Who is paid.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// How much, in cents.
    #[diesel(sql_type = BigInt)]
    pub amount_cents: i64,
    /// A cheque's number.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub cheque_number: Option<i64>,
    /// `submitted`, `succeeded`, `failed`.
    #[diesel(sql_type = Text)]
    pub state: String,
    /// The bank's name of it.
    #[diesel(sql_type = Nullable<Text>)]
    pub bank_ref: Option<String>,
    /// Why it did not arrive.
    #[diesel(sql_type = Nullable<Text>)]
    pub error: Option<String>,
}

/// A page of a batch's lines, after one.
///
/// # Errors
/// Those of the database.
pub fn lines(conn: &mut DbConnection, batch: RefundBatchId, after: i32, limit: i64) -> QueryResult<Vec<Line>> {
    diesel::sql_query(
        "SELECT i.line_no, i.what, i.refund_id, r.token, r.account_id, c.number AS account, p.name, i.amount_cents, i.cheque_number, r.state, \
            r.provider_ref AS bank_ref, r.error \
         FROM refund_batch_item i JOIN refund r ON r.id = i.refund_id JOIN refund_payee p ON p.refund_id = r.id JOIN account c ON c.id = r.account_id \
         WHERE i.batch_id = $1 AND i.line_no > $2 ORDER BY i.line_no LIMIT $3",
    )
    .bind::<BigInt, _>(batch)
    .bind::<Integer, _>(after)
    .bind::<BigInt, _>(limit)
    .load(conn)
}

/// The files of payouts of a total that were made on these days and have payouts of which the bank did not tell: number and day.
///
/// # Errors
/// Those of the database.
pub fn open_batches(conn: &mut DbConnection, total_cents: i64, (from, to): (NaiveDate, NaiveDate)) -> QueryResult<Vec<(RefundBatchId, NaiveDate)>> {
    let open = refund_batch_item::table
        .inner_join(refund::table.on(refund::id.eq(refund_batch_item::refund_id)))
        .filter(refund_batch_item::batch_id.eq(refund_batch::id).and(refund::state.eq("submitted")));
    refund_batch::table
        .filter(refund_batch::medium.eq("payout").and(refund_batch::total_cents.eq(total_cents)))
        .filter(refund_batch::made_on.between(from, to))
        .filter(diesel::dsl::exists(open))
        .order(refund_batch::id)
        .limit(2)
        .select((refund_batch::id, refund_batch::made_on))
        .load(conn)
}

/// The payouts of a batch of which the bank did not tell, and whose they are.
///
/// # Errors
/// Those of the database.
pub fn open_items(conn: &mut DbConnection, batch: RefundBatchId) -> QueryResult<Vec<(RefundId, AccountId)>> {
    refund_batch_item::table
        .inner_join(refund::table.on(refund::id.eq(refund_batch_item::refund_id)))
        .filter(refund_batch_item::batch_id.eq(batch).and(refund::state.eq("submitted")))
        .order(refund_batch_item::line_no)
        .select((refund::id, refund::account_id))
        .load(conn)
}

/// Stores a batch; a unique violation means that the day has one.
///
/// # Errors
/// Those of the database.
pub fn insert_batch(conn: &mut DbConnection, row: &NewBatch) -> QueryResult<RefundBatchId> {
    diesel::insert_into(refund_batch::table).values(row).returning(refund_batch::id).get_result(conn)
}

/// Stores a batch's lines.
///
/// # Errors
/// Those of the database.
pub fn insert_items(conn: &mut DbConnection, rows: &[BatchItemRow]) -> QueryResult<()> {
    insert_all!(conn, refund_batch_item::table, rows).map(|_| ())
}

/// The highest number of a cheque that was issued.
///
/// # Errors
/// Those of the database.
pub fn last_cheque(conn: &mut DbConnection) -> QueryResult<Option<i64>> {
    refund_batch_item::table.select(diesel::dsl::max(refund_batch_item::cheque_number)).first(conn)
}

/// The number under which a refund was paid by cheque.
///
/// # Errors
/// Those of the database.
pub fn cheque_of(conn: &mut DbConnection, refund: RefundId) -> QueryResult<Option<i64>> {
    let found: Option<Option<i64>> = refund_batch_item::table
        .filter(refund_batch_item::refund_id.eq(refund).and(refund_batch_item::what.eq("pay")))
        .select(refund_batch_item::cheque_number)
        .first(conn)
        .optional()?;
    Ok(found.flatten())
}

/// A payout that is to go into a batch.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Payable {
    /// Identity.
    #[diesel(sql_type = BigInt)]
    pub id: RefundId,
    /// Our name of it.
    #[diesel(sql_type = Text)]
    pub token: String,
    /// The account's id, which is locked before it is paid.
    #[diesel(sql_type = BigInt)]
    pub account_id: AccountId,
    /// The account's number.
    #[diesel(sql_type = Text)]
    pub account: String,
    /// How much, in cents.
    #[diesel(sql_type = BigInt)]
    pub amount_cents: i64,
    /// Who is paid.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// Where a cheque is sent.
    #[diesel(sql_type = Nullable<Text>)]
    pub address: Option<String>,
    /// Routing number or BIC.
    #[diesel(sql_type = Nullable<Text>)]
    pub bank_code: Option<String>,
    /// The account, or IBAN.
    #[diesel(sql_type = Nullable<Text>)]
    pub bank_account: Option<String>,
    /// `checking` or `savings`.
    #[diesel(sql_type = Nullable<Text>)]
    pub account_kind: Option<String>,
    /// A cheque's number, once it was issued.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub cheque_number: Option<i64>,
}

const PAYABLE: &str = "SELECT r.id, r.token, r.account_id, c.number AS account, r.amount_cents, p.name, p.address, p.bank_code, p.bank_account, \
        p.account_kind, (SELECT i.cheque_number FROM refund_batch_item i WHERE i.refund_id = r.id AND i.what = 'pay') AS cheque_number \
     FROM refund r JOIN refund_payee p ON p.refund_id = r.id JOIN account c ON c.id = r.account_id";

const CANCELLED: &str = "p.medium = 'cheque' AND r.state = 'failed' \
     AND EXISTS (SELECT 1 FROM refund_batch_item i WHERE i.refund_id = r.id AND i.what = 'pay') \
     AND NOT EXISTS (SELECT 1 FROM refund_batch_item i WHERE i.refund_id = r.id AND i.what = 'void')";

/// The payouts that wait for a batch, the oldest first.
///
/// # Errors
/// Those of the database.
pub fn payable(conn: &mut DbConnection, medium: &str, limit: i64) -> QueryResult<Vec<Payable>> {
    diesel::sql_query(format!(
        "{PAYABLE} WHERE p.medium = $1 AND r.state = 'created' AND r.superseded_seq IS NULL \
         AND NOT EXISTS (SELECT 1 FROM refund_batch_item i WHERE i.refund_id = r.id) ORDER BY r.id LIMIT $2"
    ))
    .bind::<Text, _>(medium)
    .bind::<BigInt, _>(limit)
    .load(conn)
}

/// A payout that waits.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName, serde::Serialize)]
pub struct WaitingPayout {
    /// Identity.
    #[diesel(sql_type = BigInt)]
    pub id: RefundId,
    /// Our name of it.
    #[diesel(sql_type = Text)]
    pub token: String,
    /// The account's number.
    #[diesel(sql_type = Text)]
    pub account: String,
    /// `payout` or `cheque`; none when a person makes the transfer.
    #[diesel(sql_type = Nullable<Text>)]
    pub medium: Option<String>,
    /// Who is paid; none when a person makes the transfer.
    #[diesel(sql_type = Nullable<Text>)]
    pub name: Option<String>,
    /// How much, in cents.
    #[diesel(sql_type = BigInt)]
    pub amount_cents: i64,
    /// The day.
    #[diesel(sql_type = Date)]
    pub made_on: NaiveDate,
}

/// What the payouts that wait and go one way come to.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName, serde::Serialize)]
pub struct WaitingSum {
    /// `payout` or `cheque`; none when a person makes the transfer.
    #[diesel(sql_type = Nullable<Text>)]
    pub medium: Option<String>,
    /// How many.
    #[diesel(sql_type = BigInt)]
    pub payouts: i64,
    /// How much, in cents.
    #[diesel(sql_type = BigInt)]
    pub cents: i64,
}

const WAITING: &str = "refund r JOIN account c ON c.id = r.account_id LEFT JOIN refund_payee p ON p.refund_id = r.id \
     WHERE r.way = 'payout' AND r.state = 'created' AND r.superseded_seq IS NULL \
        AND NOT EXISTS (SELECT 1 FROM refund_batch_item i WHERE i.refund_id = r.id)";

/// A page of the payouts that wait, after one, the oldest first: for a batch, or for a person's transfer.
///
/// # Errors
/// Those of the database.
pub fn waiting(conn: &mut DbConnection, after: RefundId, limit: i64) -> QueryResult<Vec<WaitingPayout>> {
    let sql = format!(
        "SELECT r.id, r.token, c.number AS account, p.medium, p.name, r.amount_cents, r.made_on FROM {WAITING} AND r.id > $1 ORDER BY r.id LIMIT $2"
    );
    diesel::sql_query(sql).bind::<BigInt, _>(after).bind::<BigInt, _>(limit).load(conn)
}

/// What all of them come to, by the way that they go.
///
/// # Errors
/// Those of the database.
pub fn waiting_sums(conn: &mut DbConnection) -> QueryResult<Vec<WaitingSum>> {
    let sql = format!(
        "SELECT p.medium, count(*) AS payouts, CAST(sum(r.amount_cents) AS BIGINT) AS cents FROM {WAITING} GROUP BY p.medium ORDER BY coalesce(p.medium, '') DESC"
    );
    diesel::sql_query(sql).load(conn)
}

/// Cheques of an account that were issued and noted as lost since, and that the bank was not told of: our names of them, and cents.
///
/// # Errors
/// Those of the database.
pub fn unvoided_cheques(conn: &mut DbConnection, account: AccountId) -> QueryResult<Vec<(String, i64)>> {
    let rows: Vec<Payable> =
        diesel::sql_query(format!("{PAYABLE} WHERE r.account_id = $1 AND {CANCELLED} ORDER BY r.id")).bind::<BigInt, _>(account).load(conn)?;
    Ok(rows.into_iter().map(|row| (row.token, row.amount_cents)).collect())
}

/// Cheques that were issued and cancelled since, and that the bank was not told of.
///
/// # Errors
/// Those of the database.
pub fn cancelled_cheques(conn: &mut DbConnection, limit: i64) -> QueryResult<Vec<Payable>> {
    diesel::sql_query(format!("{PAYABLE} WHERE {CANCELLED} ORDER BY r.id LIMIT $1")).bind::<BigInt, _>(limit).load(conn)
}
