//! Refunds that we make: what can be given back of a payment, who is to be asked, and how far each got.

use chrono::{NaiveDate, NaiveDateTime};
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::DbConnection;
use super::provider_payments::RefundRow;
use super::schema::{payment, refund, refund_batch_item, refund_payee, refund_turn};
use crate::domain::ids::{AccountId, PaymentId, ProviderPaymentId, RefundId};

/// So many refunds of one payment are shown.
const MOST_SHOWN: i64 = 100;

/// A refund.
///
/// # Errors
/// Those of the database.
pub fn by_id(conn: &mut DbConnection, id: RefundId) -> QueryResult<Option<RefundRow>> {
    refund::table.filter(refund::id.eq(id)).select(RefundRow::as_select()).first(conn).optional()
}

/// How often a refund changed between charged and given back since it was asked for: even is charged.
///
/// # Errors
/// Those of the database.
pub fn turns(conn: &mut DbConnection, id: RefundId) -> QueryResult<i64> {
    refund_turn::table.filter(refund_turn::refund_id.eq(id)).count().get_result(conn)
}

/// Notes a turn and where it is in the ledger; `alone` when one person said so without the bank.
///
/// # Errors
/// Those of the database; a check violation means that it is not the next one, or not the refund's money.
pub fn insert_turn(conn: &mut DbConnection, row: &RefundRow, turn: i64, account_seq: i64, alone: bool) -> QueryResult<()> {
    let values = (
        refund_turn::refund_id.eq(row.id),
        refund_turn::turn.eq(turn),
        refund_turn::account_id.eq(row.account_id),
        refund_turn::account_seq.eq(account_seq),
        refund_turn::alone.eq(i64::from(alone)),
    );
    diesel::insert_into(refund_turn::table).values(values).execute(conn).map(|_| ())
}

/// How a payout goes: whether somebody is named who is paid by file or cheque, and whether it is in a batch.
///
/// # Errors
/// Those of the database.
pub fn is_batched(conn: &mut DbConnection, id: RefundId) -> QueryResult<(bool, bool)> {
    let named = diesel::select(diesel::dsl::exists(refund_payee::table.filter(refund_payee::refund_id.eq(id)))).get_result(conn)?;
    let items = refund_batch_item::table.filter(refund_batch_item::refund_id.eq(id));
    Ok((named, diesel::select(diesel::dsl::exists(items)).get_result(conn)?))
}

/// The refund that was posted at a position of an account's ledger.
///
/// # Errors
/// Those of the database.
pub fn at(conn: &mut DbConnection, account: AccountId, account_seq: i64) -> QueryResult<Option<RefundRow>> {
    refund::table
        .filter(refund::account_id.eq(account).and(refund::account_seq.eq(account_seq)))
        .select(RefundRow::as_select())
        .first(conn)
        .optional()
}

/// The refunds of an account, newest first, those of the past too.
///
/// # Errors
/// Those of the database.
pub fn of_account(conn: &mut DbConnection, account: AccountId, limit: i64) -> QueryResult<Vec<RefundRow>> {
    refund::table.filter(refund::account_id.eq(account)).order(refund::id.desc()).limit(limit).select(RefundRow::as_select()).load(conn)
}

/// The refunds about which the provider is to be asked for the first time, or again: oldest first.
///
/// # Errors
/// Those of the database.
pub fn due(conn: &mut DbConnection, now: NaiveDateTime, again: bool, limit: i64) -> QueryResult<Vec<RefundId>> {
    let (fewest, most) = if again { (1, i32::MAX) } else { (0, 0) };
    refund::table
        .filter(refund::state.eq("created").and(refund::way.eq("provider")).and(refund::next_attempt_at.le(now)))
        .filter(refund::attempts.between(fewest, most))
        .order((refund::next_attempt_at, refund::id))
        .limit(limit)
        .select(refund::id)
        .load(conn)
}

/// How many refunds the provider was asked about before and is to be asked again, now or later.
///
/// # Errors
/// Those of the database.
pub fn count_again(conn: &mut DbConnection) -> QueryResult<i64> {
    refund::table.filter(refund::state.eq("created").and(refund::way.eq("provider")).and(refund::attempts.gt(0))).count().get_result(conn)
}

/// Takes the turn to ask the provider: nobody else does until `until`. Whether it was given.
///
/// # Errors
/// Those of the database.
pub fn claim(conn: &mut DbConnection, id: RefundId, now: NaiveDateTime, until: NaiveDateTime) -> QueryResult<bool> {
    let changed = diesel::update(refund::table.filter(refund::id.eq(id).and(refund::state.eq("created")).and(refund::next_attempt_at.le(now))))
        .set((refund::attempts.eq(refund::attempts + 1), refund::next_attempt_at.eq(Some(until)), refund::updated_at.eq(now)))
        .execute(conn)?;
    Ok(changed > 0)
}

/// Notes what the provider said, and when it is asked again.
///
/// # Errors
/// Those of the database.
pub fn ask_again(conn: &mut DbConnection, id: RefundId, error: &str, at: Option<NaiveDateTime>) -> QueryResult<usize> {
    diesel::update(refund::table.filter(refund::id.eq(id))).set((refund::error.eq(Some(error)), refund::next_attempt_at.eq(at))).execute(conn)
}

/// Whether another refund has this name at the provider.
///
/// # Errors
/// Those of the database.
pub fn another_is_called(conn: &mut DbConnection, row: &RefundRow, reference: &str) -> QueryResult<bool> {
    let others = refund::table.filter(
        refund::provider
            .eq(&row.provider)
            .and(refund::merchant.eq(&row.merchant))
            .and(refund::provider_ref.eq(reference))
            .and(refund::id.ne(row.id))
            .and(refund::superseded_seq.is_null()),
    );
    diesel::select(diesel::dsl::exists(others)).get_result(conn)
}

/// What of a payment went back, or is about to, oldest first: its day, how much, and why.
///
/// # Errors
/// Those of the database.
pub fn given_back(conn: &mut DbConnection, payment: ProviderPaymentId) -> QueryResult<Vec<(NaiveDate, i64, String)>> {
    refund::table
        .filter(refund::provider_payment_id.eq(payment))
        .filter(refund::superseded_seq.is_null().or(refund::state.eq_any(["submitted", "succeeded"])))
        .order((refund::made_on, refund::id))
        .limit(MOST_SHOWN)
        .select((refund::made_on, refund::amount_cents, refund::reason))
        .load(conn)
}

/// A payment of an account that came through a provider and is in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct Refundable {
    /// Identity.
    pub id: PaymentId,
    /// The provider's payment.
    pub provider_payment_id: Option<ProviderPaymentId>,
    /// Which part of it, from 1.
    pub part: i32,
    /// What of it is this account's, in cents.
    pub amount_cents: i64,
    /// The provider's name of it.
    pub provider_ref: Option<String>,
    /// The transaction that took it back.
    pub returned_seq: Option<i64>,
    /// The transaction that took its return back.
    pub restored_seq: Option<i64>,
}

/// The payment of an account with a reference that came through a provider, unless a correction replaced it.
///
/// # Errors
/// Those of the database.
pub fn refundable(conn: &mut DbConnection, account: AccountId, reference: &str) -> QueryResult<Option<Refundable>> {
    payment::table
        .filter(payment::account_id.eq(account).and(payment::provider_ref.eq(reference)))
        .filter(payment::provider_payment_id.is_not_null().and(payment::superseded_seq.is_null()))
        .order(payment::account_seq.desc())
        .select((
            payment::id,
            payment::provider_payment_id,
            payment::part,
            payment::amount_cents,
            payment::provider_ref,
            payment::returned_seq,
            payment::restored_seq,
        ))
        .first(conn)
        .optional()
}

#[derive(QueryableByName)]
struct Sum {
    #[diesel(sql_type = BigInt)]
    total: i64,
}

/// What of a part of a payment went back, or is about to, in cents. One that was given up and went through after all counts.
///
/// # Errors
/// Those of the database.
pub fn given_back_cents(conn: &mut DbConnection, payment: ProviderPaymentId, part: i32) -> QueryResult<i64> {
    let row: Sum = diesel::sql_query(
        "SELECT CAST(coalesce(sum(amount_cents), 0) AS BIGINT) AS total FROM refund WHERE provider_payment_id = $1 AND part = $2 \
         AND (superseded_seq IS NULL OR state IN ('submitted', 'succeeded'))",
    )
    .bind::<BigInt, _>(payment)
    .bind::<diesel::sql_types::Integer, _>(part)
    .get_result(conn)?;
    Ok(row.total)
}

/// What was given back to an account's customer after a position of its ledger, and did not come back: our names of it, and cents.
///
/// # Errors
/// Those of the database.
pub fn given_out_since(conn: &mut DbConnection, account: AccountId, seq: i64) -> QueryResult<Vec<(String, i64)>> {
    refund::table
        .filter(refund::account_id.eq(account).and(refund::account_seq.gt(seq)).and(refund::way.ne("elsewhere")))
        .filter(refund::superseded_seq.is_null().or(refund::state.eq_any(["submitted", "succeeded"])))
        .order(refund::id)
        .select((refund::token, refund::amount_cents))
        .load(conn)
}
