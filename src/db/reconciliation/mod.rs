//! Reconciliation: what providers say of our balance with them, and where they, the ledger and the bank disagree.
//!
//! Here is what is stored; what a look reads is in [`views`].

pub mod views;

use chrono::{NaiveDate, NaiveDateTime};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Date, Integer, Nullable, Text, Timestamp};
use serde::Serialize;

use super::DbConnection;
use super::connection::each_backend;
use super::schema::{account, bank_entry, difference, ledger_delta, provider_payout};
use crate::domain::ids::{AccountId, BankEntryId};

/// A movement on our balance with a provider, to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMovement {
    /// Where.
    pub provider: String,
    /// Our identity there.
    pub merchant: String,
    /// The provider's name of it.
    pub movement_ref: String,
    /// `payment`, `refund`, `dispute`, `payout` or `other`.
    pub kind: &'static str,
    /// The payment that it belongs to.
    pub payment_ref: Option<String>,
    /// What moved before fees, in cents: money to us is positive.
    pub amount_cents: i64,
    /// What the provider kept, in cents.
    pub fee_cents: i64,
    /// When, in seconds since 1970 by the provider's clock.
    pub occurred_at: i64,
    /// The utility's day of it.
    pub occurred_on: NaiveDate,
    /// The payout that brought it to the bank.
    pub payout_ref: Option<String>,
}

/// Stores what a provider says of a movement now, instead of what it said before.
///
/// # Errors
/// Those of the database.
pub fn keep_movement(conn: &mut DbConnection, new: &NewMovement, now: NaiveDateTime) -> QueryResult<()> {
    let query = diesel::sql_query(
        "INSERT INTO provider_movement (provider, merchant, movement_ref, kind, payment_ref, amount_cents, fee_cents, occurred_at, occurred_on, \
            payout_ref, fetched_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
         ON CONFLICT (provider, merchant, movement_ref) DO UPDATE SET kind = excluded.kind, amount_cents = excluded.amount_cents, \
            fee_cents = excluded.fee_cents, occurred_at = excluded.occurred_at, occurred_on = excluded.occurred_on, fetched_at = excluded.fetched_at, \
            payment_ref = coalesce(excluded.payment_ref, provider_movement.payment_ref), \
            payout_ref = coalesce(excluded.payout_ref, provider_movement.payout_ref)",
    )
    .bind::<Text, _>(&new.provider)
    .bind::<Text, _>(&new.merchant)
    .bind::<Text, _>(&new.movement_ref)
    .bind::<Text, _>(new.kind)
    .bind::<Nullable<Text>, _>(&new.payment_ref)
    .bind::<BigInt, _>(new.amount_cents)
    .bind::<BigInt, _>(new.fee_cents)
    .bind::<BigInt, _>(new.occurred_at)
    .bind::<Date, _>(new.occurred_on)
    .bind::<Nullable<Text>, _>(&new.payout_ref)
    .bind::<Timestamp, _>(now);
    query.execute(conn).map(|_| ())
}

/// A payout, to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPayout {
    /// Where.
    pub provider: String,
    /// Our identity there.
    pub merchant: String,
    /// The provider's name of it.
    pub payout_ref: String,
    /// How much, in cents.
    pub amount_cents: i64,
    /// The day on which it arrives.
    pub arrives_on: NaiveDate,
    /// Whether it has arrived, as the provider knows.
    pub paid: bool,
    /// Whether it will never arrive.
    pub failed: bool,
    /// What the bank statement shows of it.
    pub statement_text: String,
}

/// Stores what a provider says of a payout now, instead of what it said before.
///
/// # Errors
/// Those of the database.
pub fn keep_payout(conn: &mut DbConnection, new: &NewPayout, now: NaiveDateTime) -> QueryResult<()> {
    let query = diesel::sql_query(
        "INSERT INTO provider_payout (provider, merchant, payout_ref, amount_cents, arrives_on, paid, failed, statement_text, fetched_at) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
         ON CONFLICT (provider, merchant, payout_ref) DO UPDATE SET amount_cents = excluded.amount_cents, arrives_on = excluded.arrives_on, \
            paid = excluded.paid, failed = excluded.failed, statement_text = excluded.statement_text, fetched_at = excluded.fetched_at",
    )
    .bind::<Text, _>(&new.provider)
    .bind::<Text, _>(&new.merchant)
    .bind::<Text, _>(&new.payout_ref)
    .bind::<BigInt, _>(new.amount_cents)
    .bind::<Date, _>(new.arrives_on)
    .bind::<Integer, _>(i32::from(new.paid))
    .bind::<Integer, _>(i32::from(new.failed))
    .bind::<Text, _>(&new.statement_text)
    .bind::<Timestamp, _>(now);
    query.execute(conn).map(|_| ())
}

/// Links a payout with the bank's entry that brought it, unless one of the two is linked already.
///
/// # Errors
/// Those of the database.
pub fn link_payout(conn: &mut DbConnection, payout: i64, entry: BankEntryId, by: &str, now: NaiveDateTime) -> QueryResult<bool> {
    let taken: i64 = provider_payout::table.filter(provider_payout::bank_entry_id.eq(entry)).count().get_result(conn)?;
    if taken > 0 {
        return Ok(false);
    }
    let open = bank_entry::id.eq(entry).and(bank_entry::status.eq_any(["waiting", "settled"]));
    let settled = diesel::update(bank_entry::table.filter(open))
        .set((bank_entry::status.eq("settled"), bank_entry::decided_by.eq(Some(by)), bank_entry::decided_at.eq(Some(now))))
        .execute(conn)?;
    if settled == 0 {
        return Ok(false);
    }
    let linked = diesel::update(provider_payout::table.filter(provider_payout::id.eq(payout).and(provider_payout::bank_entry_id.is_null())))
        .set(provider_payout::bank_entry_id.eq(Some(entry)))
        .execute(conn)?;
    Ok(linked == 1)
}

/// A difference to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDifference {
    /// The same disagreement has the same key in every look.
    pub key: String,
    /// What differs.
    pub kind: &'static str,
    /// The day that it counts on.
    pub day_on: NaiveDate,
    /// Whose money.
    pub account_id: Option<AccountId>,
    /// The provider's, or the bank's, reference.
    pub reference: String,
    /// What the ledger says, in cents.
    pub ledger_cents: Option<i64>,
    /// What the provider says, in cents.
    pub provider_cents: Option<i64>,
    /// What the bank says, in cents.
    pub bank_cents: Option<i64>,
    /// Rows, cause and action, as JSON.
    pub detail: String,
}

/// Stores a difference, or that it was seen again.
///
/// # Errors
/// Those of the database.
pub fn keep_difference(conn: &mut DbConnection, new: &NewDifference, now: NaiveDateTime) -> QueryResult<()> {
    let values = (
        difference::difference_key.eq(&new.key),
        difference::kind.eq(new.kind),
        difference::day_on.eq(new.day_on),
        difference::account_id.eq(new.account_id),
        difference::reference.eq(&new.reference),
        difference::ledger_cents.eq(new.ledger_cents),
        difference::provider_cents.eq(new.provider_cents),
        difference::bank_cents.eq(new.bank_cents),
        difference::detail.eq(&new.detail),
        difference::first_seen_at.eq(now),
        difference::last_seen_at.eq(now),
    );
    let seen_again = (
        difference::kind.eq(new.kind),
        difference::day_on.eq(new.day_on),
        difference::account_id.eq(new.account_id),
        difference::ledger_cents.eq(new.ledger_cents),
        difference::provider_cents.eq(new.provider_cents),
        difference::bank_cents.eq(new.bank_cents),
        difference::detail.eq(&new.detail),
        difference::last_seen_at.eq(now),
        difference::gone_at.eq(None::<NaiveDateTime>),
    );
    each_backend!(conn, conn => diesel::insert_into(difference::table)
        .values(values)
        .on_conflict(difference::difference_key)
        .do_update()
        .set(seen_again)
        .execute(conn))
    .map(|_| ())
}

/// Notes that differences are no longer there.
///
/// # Errors
/// Those of the database.
pub fn mark_gone(conn: &mut DbConnection, keys: &[&str], now: NaiveDateTime) -> QueryResult<usize> {
    diesel::update(difference::table.filter(difference::difference_key.eq_any(keys).and(difference::gone_at.is_null())))
        .set(difference::gone_at.eq(Some(now)))
        .execute(conn)
}

/// The keys of the differences that are there, up to a day; from a day on when one is given.
///
/// # Errors
/// Those of the database.
pub fn open_keys(conn: &mut DbConnection, from: Option<NaiveDate>, to: NaiveDate, limit: i64) -> QueryResult<Vec<String>> {
    let mut query = difference::table
        .filter(difference::gone_at.is_null().and(difference::day_on.le(to)))
        .order(difference::id)
        .limit(limit)
        .select(difference::difference_key)
        .into_boxed();
    if let Some(from) = from {
        query = query.filter(difference::day_on.ge(from));
    }
    query.load(conn)
}

/// A difference as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Serialize)]
pub struct DifferenceRow {
    /// Identity.
    pub id: i64,
    /// The same disagreement has the same key in every look.
    pub key: String,
    /// What differs.
    pub kind: String,
    /// The day that it counts on.
    pub day_on: NaiveDate,
    /// The provider's, or the bank's, reference.
    pub reference: String,
    /// What the ledger says, in cents.
    pub ledger_cents: Option<i64>,
    /// What the provider says, in cents.
    pub provider_cents: Option<i64>,
    /// What the bank says, in cents.
    pub bank_cents: Option<i64>,
    /// Rows, cause and action, as JSON.
    pub detail: String,
    /// When it was found first, UTC.
    pub first_seen_at: NaiveDateTime,
    /// When it was found last, UTC.
    pub last_seen_at: NaiveDateTime,
    /// Whose money, by number.
    pub account: Option<String>,
}

/// What is asked of the stored differences that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DifferenceFilter<'a> {
    /// From this day on.
    pub from: Option<NaiveDate>,
    /// Up to this day.
    pub to: Option<NaiveDate>,
    /// Of this kind.
    pub kind: Option<&'a str>,
    /// Only those after this one in the list's order: day and identity.
    pub after: Option<(NaiveDate, i64)>,
}

/// The differences that are there, newest day first.
///
/// # Errors
/// Those of the database.
pub fn open_differences(conn: &mut DbConnection, filter: &DifferenceFilter<'_>, limit: i64) -> QueryResult<Vec<DifferenceRow>> {
    let mut query = difference::table
        .left_join(account::table.on(account::id.nullable().eq(difference::account_id)))
        .filter(difference::gone_at.is_null())
        .order((difference::day_on.desc(), difference::id.desc()))
        .limit(limit)
        .select((
            difference::id,
            difference::difference_key,
            difference::kind,
            difference::day_on,
            difference::reference,
            difference::ledger_cents,
            difference::provider_cents,
            difference::bank_cents,
            difference::detail,
            difference::first_seen_at,
            difference::last_seen_at,
            account::number.nullable(),
        ))
        .into_boxed();
    if let Some(from) = filter.from {
        query = query.filter(difference::day_on.ge(from));
    }
    if let Some(to) = filter.to {
        query = query.filter(difference::day_on.le(to));
    }
    if let Some(kind) = filter.kind {
        query = query.filter(difference::kind.eq(kind));
    }
    if let Some((day, id)) = filter.after {
        query = query.filter(difference::day_on.lt(day).or(difference::day_on.eq(day).and(difference::id.lt(id))));
    }
    query.load(conn)
}

/// What a standing look found, as stored.
#[derive(Debug, Clone, PartialEq, Eq, Insertable, Queryable, Selectable, Serialize)]
#[diesel(table_name = ledger_delta)]
pub struct DeltaRow {
    /// When, UTC.
    pub looked_at: NaiveDateTime,
    /// The first day.
    pub from_on: NaiveDate,
    /// The last day.
    pub to_on: NaiveDate,
    /// What the ledger says, in cents.
    pub ledger_cents: i64,
    /// What the providers say, in cents.
    pub provider_cents: i64,
    /// What the bank says, in cents.
    pub bank_cents: i64,
    /// How far the sides are apart, in cents: the sum of every difference.
    pub delta_cents: i64,
    /// How many differences.
    pub differences: i32,
    /// The sums of each day, as JSON.
    pub days: String,
}

/// Stores what a standing look found, and forgets what looks found before `forget_before`.
///
/// # Errors
/// Those of the database.
pub fn keep_delta(conn: &mut DbConnection, new: &DeltaRow, forget_before: NaiveDateTime) -> QueryResult<()> {
    diesel::delete(ledger_delta::table.filter(ledger_delta::looked_at.lt(forget_before))).execute(conn)?;
    diesel::insert_into(ledger_delta::table).values(new).execute(conn).map(|_| ())
}

/// What the last standing look found.
///
/// # Errors
/// Those of the database.
pub fn last_delta(conn: &mut DbConnection) -> QueryResult<Option<DeltaRow>> {
    ledger_delta::table.order(ledger_delta::id.desc()).select(DeltaRow::as_select()).first(conn).optional()
}
