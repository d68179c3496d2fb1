//! Payments as providers know them: attempts, their parts, refunds, and money that fits no account.

use chrono::{NaiveDate, NaiveDateTime};
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::DbConnection;
use super::connection::each_backend;
use super::schema::{autopay_draw, checkout, checkout_part, provider_payment, provider_payment_part, refund, unapplied_credit};
use crate::domain::ids::{AccountId, CheckoutId, LoginId, ProviderPaymentId, RefundId, UnappliedCreditId};

/// A customer's attempt, as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = checkout)]
pub struct CheckoutRow {
    /// Identity.
    pub id: CheckoutId,
    /// Our own name of it.
    pub token: String,
    /// Where.
    pub provider: String,
    /// Our identity there.
    pub merchant: String,
    /// `pay` or `mandate`.
    pub purpose: String,
    /// What is paid, in cents.
    pub amount_cents: i64,
    /// Who is signed in; nobody for a guest.
    pub login_id: Option<LoginId>,
    /// The provider's name of it, once known.
    pub session_ref: Option<String>,
    /// Where the customer pays, once known.
    pub session_url: Option<String>,
    /// `created`, `open`, `complete`, `expired` or `failed`.
    pub status: String,
    /// When it was begun.
    pub created_at: NaiveDateTime,
}

/// An attempt to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Insertable)]
#[diesel(table_name = checkout, treat_none_as_default_value = false)]
pub struct NewCheckout {
    /// Our own name of it.
    pub token: String,
    /// The form that began it.
    pub form_key: String,
    /// Where.
    pub provider: String,
    /// Our identity there.
    pub merchant: String,
    /// `pay` or `mandate`.
    pub purpose: String,
    /// What is paid, in cents.
    pub amount_cents: i64,
    /// Who is signed in; nobody for a guest.
    pub login_id: Option<LoginId>,
    /// `created`.
    pub status: String,
    /// Now.
    pub created_at: NaiveDateTime,
    /// Now.
    pub updated_at: NaiveDateTime,
}

/// Stores an attempt with what is for which account, in their order.
///
/// # Errors
/// Those of the database.
pub fn insert_checkout(conn: &mut DbConnection, new: &NewCheckout, parts: &[(AccountId, i64)]) -> QueryResult<CheckoutId> {
    let id: CheckoutId = diesel::insert_into(checkout::table).values(new).returning(checkout::id).get_result(conn)?;
    for ((account, cents), part) in parts.iter().zip(1_i32..) {
        diesel::insert_into(checkout_part::table)
            .values((
                checkout_part::checkout_id.eq(id),
                checkout_part::part.eq(part),
                checkout_part::account_id.eq(account),
                checkout_part::amount_cents.eq(cents),
            ))
            .execute(conn)?;
    }
    Ok(id)
}

/// An attempt by our own name of it.
///
/// # Errors
/// Those of the database.
pub fn checkout_by_token(conn: &mut DbConnection, token: &str) -> QueryResult<Option<CheckoutRow>> {
    checkout::table.filter(checkout::token.eq(token)).select(CheckoutRow::as_select()).first(conn).optional()
}

/// An attempt.
///
/// # Errors
/// Those of the database.
pub fn checkout_by_id(conn: &mut DbConnection, id: CheckoutId) -> QueryResult<Option<CheckoutRow>> {
    checkout::table.filter(checkout::id.eq(id)).select(CheckoutRow::as_select()).first(conn).optional()
}

/// Our own name of an attempt.
///
/// # Errors
/// Those of the database.
pub fn checkout_token(conn: &mut DbConnection, id: CheckoutId) -> QueryResult<Option<String>> {
    checkout::table.filter(checkout::id.eq(id)).select(checkout::token).first(conn).optional()
}

/// An attempt by the form that began it.
///
/// # Errors
/// Those of the database.
pub fn checkout_by_form(conn: &mut DbConnection, form_key: &str) -> QueryResult<Option<CheckoutRow>> {
    checkout::table.filter(checkout::form_key.eq(form_key)).select(CheckoutRow::as_select()).first(conn).optional()
}

/// What of an attempt is for which account, in their order.
///
/// # Errors
/// Those of the database.
pub fn checkout_parts(conn: &mut DbConnection, id: CheckoutId) -> QueryResult<Vec<(AccountId, i64)>> {
    checkout_part::table
        .filter(checkout_part::checkout_id.eq(id))
        .order(checkout_part::part)
        .select((checkout_part::account_id, checkout_part::amount_cents))
        .load(conn)
}

/// Notes where the customer pays.
///
/// # Errors
/// Those of the database.
pub fn open_checkout(conn: &mut DbConnection, id: CheckoutId, session_ref: &str, url: Option<&str>, now: NaiveDateTime) -> QueryResult<usize> {
    diesel::update(checkout::table.filter(checkout::id.eq(id).and(checkout::status.eq("created"))))
        .set((checkout::session_ref.eq(Some(session_ref)), checkout::session_url.eq(url), checkout::status.eq("open"), checkout::updated_at.eq(now)))
        .execute(conn)
}

/// Moves an attempt that is not over; `complete` is never taken back.
///
/// # Errors
/// Those of the database.
pub fn move_checkout(conn: &mut DbConnection, id: CheckoutId, status: &str, now: NaiveDateTime) -> QueryResult<usize> {
    diesel::update(checkout::table.filter(checkout::id.eq(id).and(checkout::status.ne("complete")).and(checkout::status.ne(status))))
        .set((checkout::status.eq(status), checkout::updated_at.eq(now)))
        .execute(conn)
}

/// Takes the turn to ask the provider where an open attempt stands; whether it was given. So many pages that look at one
/// attempt at once ask once.
///
/// # Errors
/// Those of the database.
pub fn take_turn(conn: &mut DbConnection, id: CheckoutId, not_since: NaiveDateTime, now: NaiveDateTime) -> QueryResult<bool> {
    let waiting = checkout::table.filter(checkout::id.eq(id).and(checkout::status.eq("open")).and(checkout::updated_at.le(not_since)));
    Ok(diesel::update(waiting).set(checkout::updated_at.eq(now)).execute(conn)? == 1)
}

/// A provider's payment as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = provider_payment)]
pub struct ProviderPaymentRow {
    /// Identity.
    pub id: ProviderPaymentId,
    /// Where.
    pub provider: String,
    /// Our identity there.
    pub merchant: String,
    /// The provider's name of it, once known.
    pub provider_ref: Option<String>,
    /// The attempt that it began with.
    pub checkout_id: Option<CheckoutId>,
    /// `created`, `submitted`, `succeeded`, `failed` or `returned`.
    pub state: String,
    /// What is paid, in cents.
    pub amount_cents: i64,
    /// ISO 4217 code.
    pub currency: String,
    /// `card` or `transfer`.
    pub tender: String,
    /// The day of the payment.
    pub made_on: NaiveDate,
    /// Why it failed or went back.
    pub reason: Option<String>,
    /// Under which one can follow it.
    pub trace_id: String,
    /// When it was begun.
    pub created_at: NaiveDateTime,
    /// When it moved last.
    pub updated_at: NaiveDateTime,
}

/// A provider's payment to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Insertable)]
#[diesel(table_name = provider_payment, treat_none_as_default_value = false)]
pub struct NewProviderPayment {
    /// Where.
    pub provider: String,
    /// Our identity there.
    pub merchant: String,
    /// The provider's name of it, when known.
    pub provider_ref: Option<String>,
    /// The attempt that it began with.
    pub checkout_id: Option<CheckoutId>,
    /// `created`.
    pub state: String,
    /// What is paid, in cents; 0 while unknown.
    pub amount_cents: i64,
    /// ISO 4217 code.
    pub currency: String,
    /// `card` or `transfer`.
    pub tender: String,
    /// The day of the payment.
    pub made_on: NaiveDate,
    /// Under which one can follow it.
    pub trace_id: String,
    /// Now.
    pub created_at: NaiveDateTime,
    /// Now.
    pub updated_at: NaiveDateTime,
}

/// Stores a provider's payment.
///
/// # Errors
/// Those of the database; a unique violation means that another writer was first ([`super::LostRace`]).
pub fn insert(conn: &mut DbConnection, new: &NewProviderPayment) -> QueryResult<ProviderPaymentId> {
    diesel::insert_into(provider_payment::table).values(new).returning(provider_payment::id).get_result(conn)
}

/// A provider's payment.
///
/// # Errors
/// Those of the database.
pub fn by_id(conn: &mut DbConnection, id: ProviderPaymentId) -> QueryResult<Option<ProviderPaymentRow>> {
    provider_payment::table.filter(provider_payment::id.eq(id)).select(ProviderPaymentRow::as_select()).first(conn).optional()
}

/// A provider's payment by the provider's name of it.
///
/// # Errors
/// Those of the database.
pub fn by_reference(conn: &mut DbConnection, provider: &str, merchant: &str, reference: &str) -> QueryResult<Option<ProviderPaymentRow>> {
    provider_payment::table
        .filter(
            provider_payment::provider.eq(provider).and(provider_payment::merchant.eq(merchant)).and(provider_payment::provider_ref.eq(reference)),
        )
        .select(ProviderPaymentRow::as_select())
        .first(conn)
        .optional()
}

/// The payment that an attempt began.
///
/// # Errors
/// Those of the database.
pub fn of_checkout(conn: &mut DbConnection, checkout: CheckoutId) -> QueryResult<Option<ProviderPaymentRow>> {
    provider_payment::table.filter(provider_payment::checkout_id.eq(checkout)).select(ProviderPaymentRow::as_select()).first(conn).optional()
}

/// The payment that was begun under our own name of an attempt: a checkout, or a draw.
///
/// # Errors
/// Those of the database.
pub fn begun_as(conn: &mut DbConnection, provider: &str, merchant: &str, token: &str) -> QueryResult<Option<ProviderPaymentRow>> {
    let ours = provider_payment::provider.eq(provider).and(provider_payment::merchant.eq(merchant));
    let by_checkout = provider_payment::table
        .inner_join(checkout::table.on(provider_payment::checkout_id.eq(checkout::id.nullable())))
        .filter(ours.and(checkout::token.eq(token)))
        .select(ProviderPaymentRow::as_select())
        .first(conn)
        .optional()?;
    if by_checkout.is_some() {
        return Ok(by_checkout);
    }
    provider_payment::table
        .inner_join(autopay_draw::table.on(autopay_draw::provider_payment_id.eq(provider_payment::id.nullable())))
        .filter(ours.and(autopay_draw::token.eq(token)))
        .select(ProviderPaymentRow::as_select())
        .first(conn)
        .optional()
}

/// What was begun as one payment is another one, which an event that named no attempt of ours made known first: it takes over
/// the accounts and whatever leads to it.
///
/// # Errors
/// Those of the database.
pub fn take_over(conn: &mut DbConnection, payment: ProviderPaymentId, begun: &ProviderPaymentRow, now: NaiveDateTime) -> QueryResult<()> {
    let meant = parts(conn, begun.id)?;
    set_parts(conn, payment, &meant)?;
    diesel::update(provider_payment::table.filter(provider_payment::id.eq(begun.id)))
        .set((
            provider_payment::checkout_id.eq(None::<CheckoutId>),
            provider_payment::state.eq("failed"),
            provider_payment::reason.eq(Some("it went on under a reference that became known first")),
            provider_payment::updated_at.eq(now),
        ))
        .execute(conn)?;
    set_parts(conn, begun.id, &[])?;
    diesel::update(provider_payment::table.filter(provider_payment::id.eq(payment)))
        .set((provider_payment::checkout_id.eq(begun.checkout_id), provider_payment::trace_id.eq(&begun.trace_id)))
        .execute(conn)?;
    diesel::update(autopay_draw::table.filter(autopay_draw::provider_payment_id.eq(begun.id)))
        .set(autopay_draw::provider_payment_id.eq(Some(payment)))
        .execute(conn)?;
    Ok(())
}

/// Takes the lock of a provider's payment, so that its events are applied one after the other. Whoever stores a refund of it
/// beside that, holding an account's lock, need not wait. SQLite has one writer at a time and needs none.
///
/// # Errors
/// Those of the database.
pub fn lock(conn: &mut DbConnection, id: ProviderPaymentId) -> QueryResult<()> {
    if let DbConnection::Postgres(conn) = conn {
        diesel::sql_query("SELECT id FROM provider_payment WHERE id = $1 FOR NO KEY UPDATE").bind::<BigInt, _>(id).execute(conn)?;
    }
    Ok(())
}

/// Gives a payment its reference; one that has another one keeps it.
///
/// # Errors
/// Those of the database; a unique violation means that another writer was first ([`super::LostRace`]).
pub fn set_reference(conn: &mut DbConnection, id: ProviderPaymentId, reference: &str) -> QueryResult<usize> {
    diesel::update(provider_payment::table.filter(provider_payment::id.eq(id).and(provider_payment::provider_ref.is_null())))
        .set(provider_payment::provider_ref.eq(Some(reference)))
        .execute(conn)
}

/// Where a payment stands now, as its story tells.
#[derive(Debug, Clone, PartialEq, Eq, AsChangeset)]
#[diesel(table_name = provider_payment, treat_none_as_null = true)]
pub struct Standing {
    /// Its state.
    pub state: String,
    /// What is paid, in cents.
    pub amount_cents: i64,
    /// ISO 4217 code.
    pub currency: String,
    /// `card` or `transfer`.
    pub tender: String,
    /// The day of the payment.
    pub made_on: NaiveDate,
    /// Why it failed or went back.
    pub reason: Option<String>,
    /// The newest event that it follows from.
    pub last_event_id: Option<String>,
    /// That event's time, in seconds since 1970.
    pub last_event_at: Option<i64>,
    /// Now.
    pub updated_at: NaiveDateTime,
}

/// Notes where a payment stands.
///
/// # Errors
/// Those of the database.
pub fn set_standing(conn: &mut DbConnection, id: ProviderPaymentId, standing: &Standing) -> QueryResult<usize> {
    diesel::update(provider_payment::table.filter(provider_payment::id.eq(id))).set(standing).execute(conn)
}

/// To which accounts a payment's money goes, in their order.
///
/// # Errors
/// Those of the database.
pub fn parts(conn: &mut DbConnection, id: ProviderPaymentId) -> QueryResult<Vec<(AccountId, i64)>> {
    provider_payment_part::table
        .filter(provider_payment_part::provider_payment_id.eq(id))
        .order(provider_payment_part::part)
        .select((provider_payment_part::account_id, provider_payment_part::amount_cents))
        .load(conn)
}

/// Says to which accounts a payment's money goes, instead of what was said before.
///
/// # Errors
/// Those of the database.
pub fn set_parts(conn: &mut DbConnection, id: ProviderPaymentId, parts: &[(AccountId, i64)]) -> QueryResult<()> {
    diesel::delete(provider_payment_part::table.filter(provider_payment_part::provider_payment_id.eq(id))).execute(conn)?;
    for ((account, cents), part) in parts.iter().zip(1_i32..) {
        diesel::insert_into(provider_payment_part::table)
            .values((
                provider_payment_part::provider_payment_id.eq(id),
                provider_payment_part::part.eq(part),
                provider_payment_part::account_id.eq(account),
                provider_payment_part::amount_cents.eq(cents),
            ))
            .execute(conn)?;
    }
    Ok(())
}

/// The payments of an account at providers that are under way: the customer is through, the money is not yet in the ledger.
/// Newest first.
///
/// # Errors
/// Those of the database.
pub fn pending_of_account(conn: &mut DbConnection, account: AccountId, limit: i64) -> QueryResult<Vec<(ProviderPaymentRow, i64)>> {
    provider_payment::table
        .inner_join(provider_payment_part::table.on(provider_payment_part::provider_payment_id.eq(provider_payment::id)))
        .left_join(checkout::table.on(checkout::id.nullable().eq(provider_payment::checkout_id)))
        .filter(provider_payment_part::account_id.eq(account))
        .filter(provider_payment::state.eq("submitted").or(provider_payment::state.eq("created").and(checkout::status.eq("complete"))))
        .order(provider_payment::id.desc())
        .limit(limit)
        .select((ProviderPaymentRow::as_select(), provider_payment_part::amount_cents))
        .load(conn)
}

/// A refund as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = refund)]
pub struct RefundRow {
    /// Identity.
    pub id: RefundId,
    /// Our own name of it.
    pub token: String,
    /// Whose.
    pub account_id: AccountId,
    /// How much, in cents.
    pub amount_cents: i64,
    /// `provider`, `payout` or `elsewhere`.
    pub way: String,
    /// The payment that it is of.
    pub provider_payment_id: Option<ProviderPaymentId>,
    /// Which part of that payment, from 1.
    pub part: i32,
    /// Where.
    pub provider: String,
    /// Our identity there.
    pub merchant: String,
    /// The provider's name of it, once known.
    pub provider_ref: Option<String>,
    /// `created`, `submitted`, `succeeded`, `failed` or `returned`.
    pub state: String,
    /// The day of the refund.
    pub made_on: NaiveDate,
    /// Why.
    pub reason: String,
    /// The transaction that posted it.
    pub account_seq: i64,
    /// The transaction that took it out of the ledger again.
    pub superseded_seq: Option<i64>,
    /// How often the provider was asked.
    pub attempts: i32,
    /// When the provider is asked again.
    pub next_attempt_at: Option<NaiveDateTime>,
    /// What the provider said last.
    pub error: Option<String>,
    /// When it was made.
    pub created_at: NaiveDateTime,
}

/// A refund to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Insertable)]
#[diesel(table_name = refund, treat_none_as_default_value = false)]
pub struct NewRefund {
    /// Our own name of it.
    pub token: String,
    /// Whose.
    pub account_id: AccountId,
    /// How much, in cents.
    pub amount_cents: i64,
    /// `provider`, `payout` or `elsewhere`.
    pub way: String,
    /// The payment that it is of.
    pub provider_payment_id: Option<ProviderPaymentId>,
    /// Which part of that payment, from 1.
    pub part: i32,
    /// Where.
    pub provider: String,
    /// Our identity there.
    pub merchant: String,
    /// The provider's name of it, when known.
    pub provider_ref: Option<String>,
    /// `created`, `submitted` or `succeeded`.
    pub state: String,
    /// The day of the refund.
    pub made_on: NaiveDate,
    /// Why.
    pub reason: String,
    /// The transaction that posted it.
    pub account_seq: i64,
    /// 0.
    pub attempts: i32,
    /// When the provider is to be asked; none when it is not.
    pub next_attempt_at: Option<NaiveDateTime>,
    /// Now.
    pub created_at: NaiveDateTime,
    /// Now.
    pub updated_at: NaiveDateTime,
}

/// Stores a refund.
///
/// # Errors
/// Those of the database.
pub fn insert_refund(conn: &mut DbConnection, new: &NewRefund) -> QueryResult<RefundId> {
    diesel::insert_into(refund::table).values(new).returning(refund::id).get_result(conn)
}

/// A refund by our own name of it.
///
/// # Errors
/// Those of the database.
pub fn refund_by_token(conn: &mut DbConnection, token: &str) -> QueryResult<Option<RefundRow>> {
    refund::table.filter(refund::token.eq(token)).select(RefundRow::as_select()).first(conn).optional()
}

/// The refunds of an account that were posted at one of these positions.
///
/// # Errors
/// Those of the database.
pub fn refunds_at(conn: &mut DbConnection, account: AccountId, positions: &[i64]) -> QueryResult<Vec<RefundRow>> {
    refund::table.filter(refund::account_id.eq(account).and(refund::account_seq.eq_any(positions))).select(RefundRow::as_select()).load(conn)
}

/// What went back of a payment without our asking, without what a correction took out again.
///
/// # Errors
/// Those of the database.
pub fn taken_of(conn: &mut DbConnection, id: ProviderPaymentId) -> QueryResult<Vec<RefundRow>> {
    refund::table
        .filter(refund::provider_payment_id.eq(id).and(refund::way.eq("elsewhere")).and(refund::superseded_seq.is_null()))
        .order(refund::id)
        .select(RefundRow::as_select())
        .load(conn)
}

/// The refunds of a range of accounts that moved the ledger as money that went back (not as adjustments), by account.
///
/// # Errors
/// Those of the database.
pub fn taken_in_range(conn: &mut DbConnection, first: AccountId, last: AccountId) -> QueryResult<Vec<RefundRow>> {
    refund::table
        .filter(refund::account_id.between(first, last).and(refund::way.eq("elsewhere")))
        .order((refund::account_id, refund::account_seq))
        .select(RefundRow::as_select())
        .load(conn)
}

/// Moves a refund to another state; with the provider's name of it when that is new.
///
/// # Errors
/// Those of the database.
pub fn set_refund(conn: &mut DbConnection, id: RefundId, state: &str, provider_ref: Option<&str>, now: NaiveDateTime) -> QueryResult<usize> {
    if let Some(reference) = provider_ref {
        diesel::update(refund::table.filter(refund::id.eq(id).and(refund::provider_ref.is_null())))
            .set(refund::provider_ref.eq(Some(reference)))
            .execute(conn)?;
    }
    diesel::update(refund::table.filter(refund::id.eq(id)))
        .set((refund::state.eq(state), refund::updated_at.eq(now), refund::next_attempt_at.eq(None::<NaiveDateTime>)))
        .execute(conn)
}

/// Notes the transaction that took a refund out of the ledger again.
///
/// # Errors
/// Those of the database.
pub fn supersede_refund(conn: &mut DbConnection, id: RefundId, seq: i64, now: NaiveDateTime) -> QueryResult<usize> {
    diesel::update(refund::table.filter(refund::id.eq(id).and(refund::superseded_seq.is_null())))
        .set((refund::superseded_seq.eq(Some(seq)), refund::state.eq("failed"), refund::updated_at.eq(now)))
        .execute(conn)
}

/// Money that fits no account, as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, serde::Serialize)]
#[diesel(table_name = unapplied_credit)]
pub struct UnappliedRow {
    /// Identity.
    pub id: UnappliedCreditId,
    /// The provider's payment that brought it.
    pub provider_payment_id: Option<ProviderPaymentId>,
    /// How much, in cents.
    pub amount_cents: i64,
    /// The day of the money.
    pub received_on: NaiveDate,
    /// The reference that it came with.
    pub reference: String,
    /// Who paid, as far as is known.
    pub payer: String,
    /// `waiting`, `applied` or `dismissed`.
    pub status: String,
}

/// Notes that a provider's payment fits no account, or that its amount is another one now.
///
/// # Errors
/// Those of the database.
pub fn wait_for_account(
    conn: &mut DbConnection,
    id: ProviderPaymentId,
    amount_cents: i64,
    received_on: NaiveDate,
    reference: &str,
    now: NaiveDateTime,
) -> QueryResult<UnappliedCreditId> {
    let values = (
        unapplied_credit::provider_payment_id.eq(Some(id)),
        unapplied_credit::amount_cents.eq(amount_cents),
        unapplied_credit::received_on.eq(received_on),
        unapplied_credit::reference.eq(reference),
        unapplied_credit::payer.eq(""),
        unapplied_credit::status.eq("waiting"),
        unapplied_credit::created_at.eq(now),
    );
    let changed =
        (unapplied_credit::amount_cents.eq(amount_cents), unapplied_credit::received_on.eq(received_on), unapplied_credit::status.eq("waiting"));
    each_backend!(conn, conn => diesel::insert_into(unapplied_credit::table)
        .values(values)
        .on_conflict(unapplied_credit::provider_payment_id)
        .do_update()
        .set(changed)
        .returning(unapplied_credit::id)
        .get_result(conn))
}

/// Ends the waiting of a provider's payment: it has an account now (`applied`), or the money never came (`dismissed`).
///
/// # Errors
/// Those of the database.
pub fn end_waiting(
    conn: &mut DbConnection,
    id: ProviderPaymentId,
    status: &str,
    by: &str,
    now: NaiveDateTime,
) -> QueryResult<Option<UnappliedCreditId>> {
    let waiting = unapplied_credit::provider_payment_id.eq(id).and(unapplied_credit::status.eq("waiting"));
    let found: Option<UnappliedCreditId> = unapplied_credit::table.filter(waiting).select(unapplied_credit::id).first(conn).optional()?;
    if let Some(found) = found {
        diesel::update(unapplied_credit::table.filter(unapplied_credit::id.eq(found)))
            .set((unapplied_credit::status.eq(status), unapplied_credit::settled_at.eq(Some(now)), unapplied_credit::settled_by.eq(Some(by))))
            .execute(conn)?;
    }
    Ok(found)
}

/// A page of providers' money that fits no account and waits, oldest first, after an id.
///
/// # Errors
/// Those of the database.
pub fn waiting_credits(conn: &mut DbConnection, after: UnappliedCreditId, limit: i64) -> QueryResult<Vec<UnappliedRow>> {
    unapplied_credit::table
        .filter(unapplied_credit::status.eq("waiting").and(unapplied_credit::provider_payment_id.is_not_null()))
        .filter(unapplied_credit::id.gt(after))
        .order(unapplied_credit::id)
        .limit(limit)
        .select(UnappliedRow::as_select())
        .load(conn)
}

/// Takes the lock of money that fits no account, so that it is decided once, and reads it. SQLite has one writer at a time.
///
/// # Errors
/// Those of the database.
pub fn lock_credit(conn: &mut DbConnection, id: UnappliedCreditId) -> QueryResult<Option<UnappliedRow>> {
    if let DbConnection::Postgres(conn) = conn {
        diesel::sql_query("SELECT id FROM unapplied_credit WHERE id = $1 FOR UPDATE").bind::<BigInt, _>(id).execute(conn)?;
    }
    unapplied_credit::table.filter(unapplied_credit::id.eq(id)).select(UnappliedRow::as_select()).first(conn).optional()
}

/// Notes that nobody gets money that fits no account, and why.
///
/// # Errors
/// Those of the database.
pub fn dismiss_credit(conn: &mut DbConnection, id: UnappliedCreditId, by: &str, note: &str, now: NaiveDateTime) -> QueryResult<usize> {
    diesel::update(unapplied_credit::table.filter(unapplied_credit::id.eq(id)))
        .set((
            unapplied_credit::status.eq("dismissed"),
            unapplied_credit::settled_at.eq(Some(now)),
            unapplied_credit::settled_by.eq(Some(by)),
            unapplied_credit::note.eq(Some(note)),
        ))
        .execute(conn)
}
