//! Mandates to draw what is due, and their draws.

use chrono::{NaiveDate, NaiveDateTime};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Date, Nullable, Text};

use super::DbConnection;
use super::connection::each_backend;
use super::schema::{account, autopay_draw, bill, bill_run, checkout, checkout_part, mandate};
use crate::domain::autopay::{DrawState, MandateState};
use crate::domain::ids::{AccountId, CheckoutId, DrawId, LoginId, MandateId, ProviderPaymentId, RunId};

/// A mandate as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = mandate)]
pub struct MandateRow {
    /// Identity.
    pub id: MandateId,
    /// Whose.
    pub account_id: AccountId,
    /// Who gave it.
    pub login_id: Option<LoginId>,
    /// Where the way to pay is saved.
    pub provider: String,
    /// Our identity there.
    pub merchant: String,
    /// The attempt that it began with.
    pub checkout_id: CheckoutId,
    /// The provider's name of the customer.
    pub customer_ref: Option<String>,
    /// The provider's name of the way to pay.
    pub method_ref: Option<String>,
    /// What the customer recognises it by.
    pub method_label: Option<String>,
    /// `pending`, `active`, `paused`, `ended` or `failed`.
    pub state: String,
    /// Above it nothing is drawn, in cents.
    pub limit_cents: Option<i64>,
    /// When it was begun.
    pub created_at: NaiveDateTime,
    /// Since when bills are drawn.
    pub active_at: Option<NaiveDateTime>,
    /// When it ended.
    pub ended_at: Option<NaiveDateTime>,
    /// Why it ended, or is paused.
    pub ended_because: Option<String>,
    /// How often the provider was asked how far the customer got.
    pub attempts: i32,
}

/// A mandate to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Insertable)]
#[diesel(table_name = mandate, treat_none_as_default_value = false)]
pub struct NewMandate {
    /// Whose.
    pub account_id: AccountId,
    /// Who gives it.
    pub login_id: Option<LoginId>,
    /// Where the way to pay is saved.
    pub provider: String,
    /// Our identity there.
    pub merchant: String,
    /// The attempt that it begins with.
    pub checkout_id: CheckoutId,
    /// `pending`.
    pub state: String,
    /// Above it nothing is drawn, in cents.
    pub limit_cents: Option<i64>,
    /// Now.
    pub created_at: NaiveDateTime,
    /// 0.
    pub attempts: i32,
    /// When the provider is asked.
    pub next_attempt_at: Option<NaiveDateTime>,
}

/// Stores a mandate.
///
/// # Errors
/// Those of the database.
pub fn insert_mandate(conn: &mut DbConnection, new: &NewMandate) -> QueryResult<MandateId> {
    diesel::insert_into(mandate::table).values(new).returning(mandate::id).get_result(conn)
}

/// A mandate.
///
/// # Errors
/// Those of the database.
pub fn mandate_by_id(conn: &mut DbConnection, id: MandateId) -> QueryResult<Option<MandateRow>> {
    mandate::table.filter(mandate::id.eq(id)).select(MandateRow::as_select()).first(conn).optional()
}

/// The mandate that an attempt began.
///
/// # Errors
/// Those of the database.
pub fn mandate_of_checkout(conn: &mut DbConnection, checkout: CheckoutId) -> QueryResult<Option<MandateRow>> {
    mandate::table.filter(mandate::checkout_id.eq(checkout)).select(MandateRow::as_select()).first(conn).optional()
}

/// The mandates of an account, newest first.
///
/// # Errors
/// Those of the database.
pub fn mandates_of(conn: &mut DbConnection, account: AccountId, limit: i64) -> QueryResult<Vec<MandateRow>> {
    mandate::table.filter(mandate::account_id.eq(account)).order(mandate::id.desc()).limit(limit).select(MandateRow::as_select()).load(conn)
}

/// The mandate of an account that is active or paused.
///
/// # Errors
/// Those of the database.
pub fn live_mandate(conn: &mut DbConnection, account: AccountId) -> QueryResult<Option<MandateRow>> {
    mandate::table
        .filter(mandate::account_id.eq(account).and(mandate::state.eq_any(["active", "paused"])))
        .select(MandateRow::as_select())
        .first(conn)
        .optional()
}

/// The mandates of a range of accounts that are active or paused.
///
/// # Errors
/// Those of the database.
pub fn live_mandates(conn: &mut DbConnection, first: AccountId, last: AccountId) -> QueryResult<Vec<MandateRow>> {
    mandate::table
        .filter(mandate::account_id.between(first, last).and(mandate::state.eq_any(["active", "paused"])))
        .select(MandateRow::as_select())
        .load(conn)
}

/// The mandates whose customers have not come back yet and about which the provider is to be asked.
///
/// # Errors
/// Those of the database.
pub fn pending_mandates(conn: &mut DbConnection, now: NaiveDateTime, limit: i64) -> QueryResult<Vec<MandateId>> {
    mandate::table
        .filter(mandate::state.eq("pending").and(mandate::next_attempt_at.le(now)))
        .order((mandate::next_attempt_at, mandate::id))
        .limit(limit)
        .select(mandate::id)
        .load(conn)
}

/// Takes the turn to ask the provider about a pending mandate: nobody else does until `until`. Whether it was given.
///
/// # Errors
/// Those of the database.
pub fn claim_mandate(conn: &mut DbConnection, id: MandateId, until: NaiveDateTime) -> QueryResult<bool> {
    let changed = diesel::update(mandate::table.filter(mandate::id.eq(id).and(mandate::state.eq("pending"))))
        .set((mandate::attempts.eq(mandate::attempts + 1), mandate::next_attempt_at.eq(Some(until))))
        .execute(conn)?;
    Ok(changed > 0)
}

/// When the provider is asked again about a pending mandate.
///
/// # Errors
/// Those of the database.
pub fn ask_again_about(conn: &mut DbConnection, id: MandateId, at: NaiveDateTime) -> QueryResult<usize> {
    diesel::update(mandate::table.filter(mandate::id.eq(id).and(mandate::state.eq("pending"))))
        .set(mandate::next_attempt_at.eq(Some(at)))
        .execute(conn)
}

/// A saved way to pay, as the provider names it.
#[derive(Debug, Clone, Copy)]
pub struct Method<'a> {
    /// The customer.
    pub customer_ref: &'a str,
    /// The way to pay.
    pub method_ref: &'a str,
    /// What the customer recognises it by.
    pub label: &'a str,
}

/// Makes a pending mandate active with the way to pay that was saved.
///
/// # Errors
/// Those of the database.
pub fn activate(conn: &mut DbConnection, id: MandateId, method: Method<'_>, now: NaiveDateTime) -> QueryResult<usize> {
    diesel::update(mandate::table.filter(mandate::id.eq(id).and(mandate::state.eq("pending"))))
        .set((
            mandate::state.eq("active"),
            mandate::customer_ref.eq(Some(method.customer_ref)),
            mandate::method_ref.eq(Some(method.method_ref)),
            mandate::method_label.eq(Some(method.label)),
            mandate::active_at.eq(Some(now)),
            mandate::next_attempt_at.eq(None::<NaiveDateTime>),
        ))
        .execute(conn)
}

/// Moves a mandate from one state to another; 0 rows mean that it is in the first no longer.
///
/// # Errors
/// Those of the database.
pub fn move_mandate(
    conn: &mut DbConnection,
    id: MandateId,
    (from, to): (MandateState, MandateState),
    because: Option<&str>,
    now: NaiveDateTime,
) -> QueryResult<usize> {
    let over = matches!(to, MandateState::Ended | MandateState::Failed).then_some(now);
    diesel::update(mandate::table.filter(mandate::id.eq(id).and(mandate::state.eq(from.as_str()))))
        .set((
            mandate::state.eq(to.as_str()),
            mandate::ended_at.eq(over),
            mandate::ended_because.eq(because),
            mandate::next_attempt_at.eq(None::<NaiveDateTime>),
        ))
        .execute(conn)
}

/// Changes the limit of a mandate.
///
/// # Errors
/// Those of the database.
pub fn set_limit(conn: &mut DbConnection, id: MandateId, limit_cents: Option<i64>) -> QueryResult<usize> {
    diesel::update(mandate::table.filter(mandate::id.eq(id))).set(mandate::limit_cents.eq(limit_cents)).execute(conn)
}

/// Mandates of accounts that were served, are served no longer, and owe nothing more.
///
/// # Errors
/// Those of the database.
pub fn mandates_of_the_gone(conn: &mut DbConnection, limit: i64) -> QueryResult<Vec<MandateId>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        id: MandateId,
    }
    let rows: Vec<Row> = diesel::sql_query(format!(
        "SELECT b.id FROM mandate b WHERE b.state IN ('active', 'paused') AND {} \
         AND EXISTS (SELECT 1 FROM service_agreement a WHERE a.account_id = b.account_id) \
         AND NOT EXISTS (SELECT 1 FROM autopay_draw d WHERE d.account_id = b.account_id AND d.state IN ('announced', 'drawing', 'submitted')) \
         AND coalesce((SELECT f.balance_after_cents FROM financial_transaction f WHERE f.account_id = b.account_id \
            ORDER BY f.account_seq DESC LIMIT 1), 0) <= 0 \
         ORDER BY b.id LIMIT $1",
        super::billing::GONE
    ))
    .bind::<BigInt, _>(limit)
    .load(conn)?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// A draw as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = autopay_draw)]
pub struct DrawRow {
    /// Identity.
    pub id: DrawId,
    /// Our own name of it, and its idempotency key.
    pub token: String,
    /// By which mandate.
    pub mandate_id: MandateId,
    /// Whose.
    pub account_id: AccountId,
    /// Of which run's bill.
    pub run_id: RunId,
    /// 1 or 2.
    pub try_no: i32,
    /// What was announced, in cents.
    pub amount_cents: i64,
    /// What was drawn, in cents, once the provider was asked.
    pub drawn_cents: Option<i64>,
    /// The day.
    pub draw_on: NaiveDate,
    /// `announced`, `skipped`, `drawing`, `submitted`, `succeeded`, `failed` or `returned`.
    pub state: String,
    /// Why it was skipped, waits, or failed.
    pub reason: Option<String>,
    /// The payment that it became.
    pub provider_payment_id: Option<ProviderPaymentId>,
    /// How often the provider was asked.
    pub attempts: i32,
    /// When it is looked at again.
    pub next_attempt_at: Option<NaiveDateTime>,
    /// When it was announced.
    pub created_at: NaiveDateTime,
    /// When it moved last.
    pub updated_at: NaiveDateTime,
}

impl DrawRow {
    /// Whether it is in this state.
    #[must_use]
    pub fn is(&self, state: DrawState) -> bool {
        self.state == state.as_str()
    }
}

/// A draw to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Insertable)]
#[diesel(table_name = autopay_draw, treat_none_as_default_value = false)]
pub struct NewDraw {
    /// Our own name of it.
    pub token: String,
    /// By which mandate.
    pub mandate_id: MandateId,
    /// Whose.
    pub account_id: AccountId,
    /// Of which run's bill.
    pub run_id: RunId,
    /// 1 or 2.
    pub try_no: i32,
    /// What is announced, in cents.
    pub amount_cents: i64,
    /// The day.
    pub draw_on: NaiveDate,
    /// `announced` or `skipped`.
    pub state: String,
    /// Why it is skipped.
    pub reason: Option<String>,
    /// 0.
    pub attempts: i32,
    /// Now.
    pub created_at: NaiveDateTime,
    /// Now.
    pub updated_at: NaiveDateTime,
}

/// Stores a draw; one that is there already for the same bill and try stays as it is. Whether it is new.
///
/// # Errors
/// Those of the database.
pub fn insert_draw(conn: &mut DbConnection, new: &NewDraw) -> QueryResult<bool> {
    let inserted = each_backend!(conn, conn => diesel::insert_into(autopay_draw::table)
        .values(new)
        .on_conflict((autopay_draw::run_id, autopay_draw::account_id, autopay_draw::try_no))
        .do_nothing()
        .execute(conn))?;
    Ok(inserted > 0)
}

/// A draw.
///
/// # Errors
/// Those of the database.
pub fn draw(conn: &mut DbConnection, id: DrawId) -> QueryResult<Option<DrawRow>> {
    autopay_draw::table.filter(autopay_draw::id.eq(id)).select(DrawRow::as_select()).first(conn).optional()
}

/// The draw of a bill and try.
///
/// # Errors
/// Those of the database.
pub fn draw_of_bill(conn: &mut DbConnection, run: RunId, account: AccountId, try_no: i32) -> QueryResult<Option<DrawRow>> {
    autopay_draw::table
        .filter(autopay_draw::run_id.eq(run).and(autopay_draw::account_id.eq(account)).and(autopay_draw::try_no.eq(try_no)))
        .select(DrawRow::as_select())
        .first(conn)
        .optional()
}

/// The draws of a run's bills in a range of accounts that were announced and not begun.
///
/// # Errors
/// Those of the database.
pub fn announced_of_run(conn: &mut DbConnection, run: RunId, first: AccountId, last: AccountId) -> QueryResult<Vec<DrawRow>> {
    autopay_draw::table
        .filter(autopay_draw::run_id.eq(run).and(autopay_draw::account_id.between(first, last)).and(autopay_draw::state.eq("announced")))
        .order(autopay_draw::account_id)
        .select(DrawRow::as_select())
        .load(conn)
}

/// The draws of a mandate that were announced and not begun.
///
/// # Errors
/// Those of the database.
pub fn announced_of_mandate(conn: &mut DbConnection, mandate: MandateId) -> QueryResult<Vec<DrawRow>> {
    autopay_draw::table
        .filter(autopay_draw::mandate_id.eq(mandate).and(autopay_draw::state.eq("announced")))
        .order(autopay_draw::id)
        .select(DrawRow::as_select())
        .load(conn)
}

/// Puts the announced draws of one mandate under another one.
///
/// # Errors
/// Those of the database.
pub fn carry_draws(conn: &mut DbConnection, from: MandateId, to: MandateId) -> QueryResult<usize> {
    diesel::update(autopay_draw::table.filter(autopay_draw::mandate_id.eq(from).and(autopay_draw::state.eq("announced"))))
        .set(autopay_draw::mandate_id.eq(to))
        .execute(conn)
}

/// The last draws of a mandate that came to an end at the provider, newest first.
///
/// # Errors
/// Those of the database.
pub fn outcomes_of(conn: &mut DbConnection, mandate: MandateId, limit: i64) -> QueryResult<Vec<String>> {
    autopay_draw::table
        .filter(autopay_draw::mandate_id.eq(mandate).and(autopay_draw::state.eq_any(["succeeded", "failed", "returned"])))
        .order((autopay_draw::draw_on.desc(), autopay_draw::id.desc()))
        .limit(limit)
        .select(autopay_draw::state)
        .load(conn)
}

/// The draws whose day has come (`announced`), or that were begun and not finished (`drawing`), oldest first.
///
/// # Errors
/// Those of the database.
pub fn due_draws(conn: &mut DbConnection, state: DrawState, today: NaiveDate, now: NaiveDateTime, limit: i64) -> QueryResult<Vec<DrawId>> {
    autopay_draw::table
        .filter(autopay_draw::state.eq(state.as_str()).and(autopay_draw::draw_on.le(today)))
        .filter(autopay_draw::next_attempt_at.is_null().or(autopay_draw::next_attempt_at.le(now)))
        .order((autopay_draw::draw_on, autopay_draw::id))
        .limit(limit)
        .select(autopay_draw::id)
        .load(conn)
}

/// How many draws were begun and are not finished.
///
/// # Errors
/// Those of the database.
pub fn count_drawing(conn: &mut DbConnection) -> QueryResult<i64> {
    autopay_draw::table.filter(autopay_draw::state.eq(DrawState::Drawing.as_str())).count().get_result(conn)
}

/// Notes that a draw waits, why, and until when it is looked at again.
///
/// # Errors
/// Those of the database.
pub fn put_off(conn: &mut DbConnection, id: DrawId, why: &str, until: NaiveDateTime) -> QueryResult<usize> {
    diesel::update(autopay_draw::table.filter(autopay_draw::id.eq(id).and(autopay_draw::state.eq_any(["announced", "drawing"]))))
        .set((autopay_draw::reason.eq(Some(why)), autopay_draw::next_attempt_at.eq(Some(until))))
        .execute(conn)
}

/// Gives an announced draw another day.
///
/// # Errors
/// Those of the database.
pub fn put_on_day(conn: &mut DbConnection, id: DrawId, on: NaiveDate, now: NaiveDateTime) -> QueryResult<usize> {
    diesel::update(autopay_draw::table.filter(autopay_draw::id.eq(id).and(autopay_draw::state.eq("announced"))))
        .set((
            autopay_draw::draw_on.eq(on),
            autopay_draw::reason.eq(None::<String>),
            autopay_draw::next_attempt_at.eq(None::<NaiveDateTime>),
            autopay_draw::updated_at.eq(now),
        ))
        .execute(conn)
}

/// Notes that the provider is about to be asked for a draw, for so much, as that payment.
///
/// # Errors
/// Those of the database.
pub fn begin_draw(
    conn: &mut DbConnection,
    id: DrawId,
    (drawn_cents, payment): (i64, ProviderPaymentId),
    claimed_until: NaiveDateTime,
    now: NaiveDateTime,
) -> QueryResult<usize> {
    diesel::update(autopay_draw::table.filter(autopay_draw::id.eq(id).and(autopay_draw::state.eq("announced"))))
        .set((
            autopay_draw::state.eq("drawing"),
            autopay_draw::drawn_cents.eq(Some(drawn_cents)),
            autopay_draw::provider_payment_id.eq(Some(payment)),
            autopay_draw::reason.eq(None::<String>),
            autopay_draw::attempts.eq(1),
            autopay_draw::next_attempt_at.eq(Some(claimed_until)),
            autopay_draw::updated_at.eq(now),
        ))
        .execute(conn)
}

/// Takes the turn to ask the provider again for a draw that was begun: nobody else does until then.
///
/// # Errors
/// Those of the database.
pub fn claim_draw(conn: &mut DbConnection, id: DrawId, until: NaiveDateTime) -> QueryResult<usize> {
    diesel::update(autopay_draw::table.filter(autopay_draw::id.eq(id).and(autopay_draw::state.eq("drawing"))))
        .set((autopay_draw::attempts.eq(autopay_draw::attempts + 1), autopay_draw::next_attempt_at.eq(Some(until))))
        .execute(conn)
}

/// Moves a draw to another state, with the reason.
///
/// # Errors
/// Those of the database.
pub fn move_draw(conn: &mut DbConnection, id: DrawId, to: DrawState, reason: Option<&str>, now: NaiveDateTime) -> QueryResult<usize> {
    diesel::update(autopay_draw::table.filter(autopay_draw::id.eq(id)))
        .set((
            autopay_draw::state.eq(to.as_str()),
            autopay_draw::reason.eq(reason),
            autopay_draw::next_attempt_at.eq(None::<NaiveDateTime>),
            autopay_draw::updated_at.eq(now),
        ))
        .execute(conn)
}

/// The draw that a provider's payment is.
///
/// # Errors
/// Those of the database.
pub fn draw_of_payment(conn: &mut DbConnection, payment: ProviderPaymentId) -> QueryResult<Option<DrawRow>> {
    autopay_draw::table.filter(autopay_draw::provider_payment_id.eq(payment)).select(DrawRow::as_select()).first(conn).optional()
}

/// A bill as a draw needs it.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct BillDue {
    /// `issued` or `cancelled`.
    pub status: String,
    /// Its position in the ledger.
    pub account_seq: i64,
    /// What was to be paid when it was issued, in cents.
    pub amount_due_cents: i64,
    /// Its date.
    pub bill_on: NaiveDate,
    /// When it is due.
    pub due_on: NaiveDate,
    /// The account's number.
    pub account: String,
}

/// A bill as a draw needs it.
///
/// # Errors
/// Those of the database.
pub fn bill_due(conn: &mut DbConnection, run: RunId, account_id: AccountId) -> QueryResult<Option<BillDue>> {
    bill::table
        .inner_join(bill_run::table.on(bill_run::id.eq(bill::run_id)))
        .inner_join(account::table.on(account::id.eq(bill::account_id)))
        .filter(bill::run_id.eq(run).and(bill::account_id.eq(account_id)))
        .select((bill::status, bill::account_seq, bill::amount_due_cents, bill_run::bill_on, bill_run::due_on, account::number))
        .first(conn)
        .optional()
}

#[derive(QueryableByName)]
struct Since {
    #[diesel(sql_type = BigInt)]
    paid_cents: i64,
    #[diesel(sql_type = BigInt)]
    adjusted_cents: i64,
}

/// What payments (and their returns), and what adjustments moved an account after a position, in cents.
///
/// # Errors
/// Those of the database.
pub fn moved_since(conn: &mut DbConnection, account: AccountId, seq: i64) -> QueryResult<(i64, i64)> {
    let row: Since = diesel::sql_query(
        "SELECT CAST(coalesce(sum(CASE WHEN kind IN ('payment', 'payment_reversal') THEN amount_cents END), 0) AS BIGINT) AS paid_cents, \
            CAST(coalesce(sum(CASE WHEN kind = 'adjustment' THEN amount_cents END), 0) AS BIGINT) AS adjusted_cents \
         FROM financial_transaction WHERE account_id = $1 AND account_seq > $2",
    )
    .bind::<BigInt, _>(account)
    .bind::<BigInt, _>(seq)
    .get_result(conn)?;
    Ok((row.paid_cents, row.adjusted_cents))
}

#[derive(QueryableByName)]
struct Sum {
    #[diesel(sql_type = BigInt)]
    total: i64,
}

/// What is on its way to an account, in cents: payments that the provider has, those whose customer is through, and draws that
/// were begun; without one that is named.
///
/// # Errors
/// Those of the database.
pub fn pending_cents(conn: &mut DbConnection, account: AccountId, but: Option<ProviderPaymentId>) -> QueryResult<i64> {
    let row: Sum = diesel::sql_query(
        "SELECT CAST(coalesce(sum(x.amount_cents), 0) AS BIGINT) AS total FROM provider_payment_part x \
         JOIN provider_payment p ON p.id = x.provider_payment_id \
         LEFT JOIN checkout c ON c.id = p.checkout_id \
         LEFT JOIN autopay_draw d ON d.provider_payment_id = p.id \
         WHERE x.account_id = $1 AND p.id <> $2 \
            AND (p.state = 'submitted' OR (p.state = 'created' AND (c.status = 'complete' OR d.state = 'drawing')))",
    )
    .bind::<BigInt, _>(account)
    .bind::<BigInt, _>(but.unwrap_or(ProviderPaymentId(0)))
    .get_result(conn)?;
    Ok(row.total)
}

/// The last attempt to pay for an account that is open at a provider and was begun after a moment: somebody may be paying now.
///
/// # Errors
/// Those of the database.
pub fn open_attempt(conn: &mut DbConnection, account: AccountId, begun_after: NaiveDateTime) -> QueryResult<Option<NaiveDateTime>> {
    checkout::table
        .inner_join(checkout_part::table.on(checkout_part::checkout_id.eq(checkout::id)))
        .filter(checkout_part::account_id.eq(account).and(checkout::purpose.eq("pay")).and(checkout::status.eq("open")))
        .filter(checkout::created_at.gt(begun_after))
        .order(checkout::id.desc())
        .select(checkout::created_at)
        .first(conn)
        .optional()
}

/// A draw as pages show it.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct ShownDraw {
    /// Of which run's bill.
    #[diesel(sql_type = BigInt)]
    pub run_id: RunId,
    /// Whose.
    #[diesel(sql_type = BigInt)]
    pub account_id: AccountId,
    /// What was announced, in cents.
    #[diesel(sql_type = BigInt)]
    pub amount_cents: i64,
    /// What was drawn, in cents.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub drawn_cents: Option<i64>,
    /// The day.
    #[diesel(sql_type = Date)]
    pub draw_on: NaiveDate,
    /// When the bill is due.
    #[diesel(sql_type = Date)]
    pub due_on: NaiveDate,
    /// Where it stands.
    #[diesel(sql_type = Text)]
    pub state: String,
    /// Why it was skipped, waits, or failed.
    #[diesel(sql_type = Nullable<Text>)]
    pub reason: Option<String>,
    /// From what it is drawn.
    #[diesel(sql_type = Nullable<Text>)]
    pub method_label: Option<String>,
    /// The limit, in cents.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub limit_cents: Option<i64>,
    /// Where the mandate stands.
    #[diesel(sql_type = Text)]
    pub mandate_state: String,
    /// The provider's name of the payment.
    #[diesel(sql_type = Nullable<Text>)]
    pub provider_ref: Option<String>,
}

/// What a list of draws is made from.
const SHOWN: &str = "SELECT d.run_id, d.account_id, d.amount_cents, d.drawn_cents, d.draw_on, r.due_on, d.state, d.reason, m.method_label, \
    m.limit_cents, m.state AS mandate_state, p.provider_ref FROM autopay_draw d JOIN mandate m ON m.id = d.mandate_id \
    JOIN bill_run r ON r.id = d.run_id LEFT JOIN provider_payment p ON p.id = d.provider_payment_id";

/// The draws of an account, newest first.
///
/// # Errors
/// Those of the database.
pub fn draws_of(conn: &mut DbConnection, account: AccountId, limit: i64) -> QueryResult<Vec<ShownDraw>> {
    diesel::sql_query(format!("{SHOWN} WHERE d.account_id = $1 ORDER BY d.id DESC LIMIT $2"))
        .bind::<BigInt, _>(account)
        .bind::<BigInt, _>(limit)
        .load(conn)
}

/// The last draw of a bill.
///
/// # Errors
/// Those of the database.
pub fn shown_draw_of_bill(conn: &mut DbConnection, run: RunId, account: AccountId) -> QueryResult<Option<ShownDraw>> {
    diesel::sql_query(format!("{SHOWN} WHERE d.run_id = $1 AND d.account_id = $2 ORDER BY d.try_no DESC LIMIT 1"))
        .bind::<BigInt, _>(run)
        .bind::<BigInt, _>(account)
        .get_result(conn)
        .optional()
}

/// The next draw of an account that is announced.
///
/// # Errors
/// Those of the database.
pub fn next_draw_of(conn: &mut DbConnection, account: AccountId) -> QueryResult<Option<ShownDraw>> {
    diesel::sql_query(format!("{SHOWN} WHERE d.account_id = $1 AND d.state = 'announced' ORDER BY d.draw_on, d.id LIMIT 1"))
        .bind::<BigInt, _>(account)
        .get_result(conn)
        .optional()
}
