//! Bills that are held back from collection.

use chrono::NaiveDateTime;
use diesel::prelude::*;

use super::DbConnection;
use super::connection::each_backend;
use super::schema::bill_hold;
use crate::domain::ids::{AccountId, RunId};

/// A hold as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, serde::Serialize)]
#[diesel(table_name = bill_hold)]
pub struct HoldRow {
    /// `held` or `disputed`.
    pub kind: String,
    /// Why, in words.
    pub note: String,
    /// By whom.
    pub held_by: String,
    /// When.
    pub held_at: NaiveDateTime,
    /// Who let it go.
    pub released_by: Option<String>,
    /// When.
    pub released_at: Option<NaiveDateTime>,
}

/// Holds a bill, unless it is held so already. Whether it is new.
///
/// # Errors
/// Those of the database.
pub fn hold(conn: &mut DbConnection, (run, account): (RunId, AccountId), kind: &str, note: &str, by: &str, now: NaiveDateTime) -> QueryResult<bool> {
    let values = (
        bill_hold::run_id.eq(run),
        bill_hold::account_id.eq(account),
        bill_hold::kind.eq(kind),
        bill_hold::note.eq(note),
        bill_hold::held_by.eq(by),
        bill_hold::held_at.eq(now),
    );
    let inserted = each_backend!(conn, conn => diesel::insert_into(bill_hold::table).values(values).on_conflict_do_nothing().execute(conn))?;
    Ok(inserted > 0)
}

/// Lets a bill go that is held so; 0 rows mean that it is not.
///
/// # Errors
/// Those of the database.
pub fn release(conn: &mut DbConnection, (run, account): (RunId, AccountId), kind: &str, by: &str, now: NaiveDateTime) -> QueryResult<usize> {
    diesel::update(
        bill_hold::table.filter(
            bill_hold::run_id.eq(run).and(bill_hold::account_id.eq(account)).and(bill_hold::kind.eq(kind)).and(bill_hold::released_at.is_null()),
        ),
    )
    .set((bill_hold::released_by.eq(Some(by)), bill_hold::released_at.eq(Some(now))))
    .execute(conn)
}

/// How a bill is held now: the kinds.
///
/// # Errors
/// Those of the database.
pub fn open_kinds(conn: &mut DbConnection, run: RunId, account: AccountId) -> QueryResult<Vec<String>> {
    bill_hold::table
        .filter(bill_hold::run_id.eq(run).and(bill_hold::account_id.eq(account)).and(bill_hold::released_at.is_null()))
        .order(bill_hold::kind)
        .select(bill_hold::kind)
        .load(conn)
}

/// The holds of a bill, newest first, those of the past too.
///
/// # Errors
/// Those of the database.
pub fn of_bill(conn: &mut DbConnection, run: RunId, account: AccountId, limit: i64) -> QueryResult<Vec<HoldRow>> {
    bill_hold::table
        .filter(bill_hold::run_id.eq(run).and(bill_hold::account_id.eq(account)))
        .order(bill_hold::id.desc())
        .limit(limit)
        .select(HoldRow::as_select())
        .load(conn)
}
