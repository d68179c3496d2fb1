//! The outbox of notices, what persons want to be told, and addresses that refused for good.

use chrono::NaiveDateTime;
use diesel::prelude::*;

use super::DbConnection;
use super::connection::each_backend;
use super::schema::{account, bounced_address, notice, notice_preference, person};
use crate::domain::ids::{AccountId, LoginId, NoticeId, PersonId};

/// Rows of one statement on PostgreSQL, which takes at most 65,535 values.
const BATCH: usize = 1_000;

/// Where the notices of an account go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The account.
    pub account_id: AccountId,
    /// The person behind it.
    pub person_id: PersonId,
    /// The name on bills.
    pub name: String,
    /// The address.
    pub email: String,
}

/// Where the notices of accounts go; accounts of persons without an address are not among them.
///
/// # Errors
/// Those of the database.
pub fn recipients(conn: &mut DbConnection, accounts: &[AccountId]) -> QueryResult<Vec<Recipient>> {
    let rows: Vec<(AccountId, PersonId, String, Option<String>)> = account::table
        .inner_join(person::table.on(person::id.eq(account::person_id)))
        .filter(account::id.eq_any(accounts).and(person::email.is_not_null()))
        .select((account::id, person::id, person::name, person::email))
        .load(conn)?;
    let recipient = |(account_id, person_id, name, email): (_, _, _, Option<String>)| {
        email.filter(|email| !email.trim().is_empty()).map(|email| Recipient { account_id, person_id, name, email })
    };
    Ok(rows.into_iter().filter_map(recipient).collect())
}

/// The kinds of notice that these persons switched off.
///
/// # Errors
/// Those of the database.
pub fn unwanted(conn: &mut DbConnection, persons: &[PersonId]) -> QueryResult<Vec<(PersonId, String)>> {
    notice_preference::table
        .filter(notice_preference::person_id.eq_any(persons).and(notice_preference::wanted.eq(0)))
        .select((notice_preference::person_id, notice_preference::kind))
        .load(conn)
}

/// Those of these addresses (in small letters) that refused for good.
///
/// # Errors
/// Those of the database.
pub fn bounced_among(conn: &mut DbConnection, addresses: &[&str]) -> QueryResult<Vec<String>> {
    bounced_address::table.filter(bounced_address::address.eq_any(addresses)).select(bounced_address::address).load(conn)
}

/// A notice to be inserted.
#[derive(Debug, Clone, PartialEq, Eq, Insertable)]
#[diesel(table_name = notice, treat_none_as_default_value = false)]
pub struct NewNoticeRow {
    /// One notice for one event.
    pub dedupe_key: String,
    /// The kind.
    pub kind: String,
    /// The account that it is about.
    pub account_id: Option<AccountId>,
    /// Who is told.
    pub person_id: Option<PersonId>,
    /// The sign-in that it is about.
    pub login_id: Option<LoginId>,
    /// The address.
    pub recipient: String,
    /// The name to greet.
    pub recipient_name: String,
    /// What the text is made of, as JSON.
    pub facts: String,
    /// `queued` or `suppressed`.
    pub status: String,
    /// When it was queued, UTC.
    pub created_at: NaiveDateTime,
    /// When it may be sent, UTC.
    pub next_attempt_at: NaiveDateTime,
    /// What the receiver recognises a repetition by.
    pub message_id: String,
    /// Why it is not sent.
    pub last_error: Option<String>,
}

/// Inserts notices; those whose key is there already change nothing. Returns how many are new.
///
/// # Errors
/// Those of the database.
pub fn insert(conn: &mut DbConnection, rows: &[NewNoticeRow]) -> QueryResult<usize> {
    let mut inserted = 0;
    match conn {
        DbConnection::Sqlite(conn) => {
            for row in rows {
                inserted += diesel::insert_into(notice::table).values(row).on_conflict(notice::dedupe_key).do_nothing().execute(conn)?;
            }
        }
        DbConnection::Postgres(conn) => {
            for rows in rows.chunks(BATCH) {
                inserted += diesel::insert_into(notice::table).values(rows).on_conflict(notice::dedupe_key).do_nothing().execute(conn)?;
            }
        }
    }
    Ok(inserted)
}

/// What a person switched on or off, by kind.
///
/// # Errors
/// Those of the database.
pub fn preferences(conn: &mut DbConnection, person: PersonId) -> QueryResult<Vec<(String, bool)>> {
    let rows: Vec<(String, i32)> = notice_preference::table
        .filter(notice_preference::person_id.eq(person))
        .select((notice_preference::kind, notice_preference::wanted))
        .load(conn)?;
    Ok(rows.into_iter().map(|(kind, wanted)| (kind, wanted == 1)).collect())
}

/// Switches a kind on or off for a person.
///
/// # Errors
/// Those of the database.
pub fn set_preference(conn: &mut DbConnection, person: PersonId, kind: &str, wanted: bool) -> QueryResult<()> {
    let row = (notice_preference::person_id.eq(person), notice_preference::kind.eq(kind), notice_preference::wanted.eq(i32::from(wanted)));
    each_backend!(conn, conn => diesel::insert_into(notice_preference::table)
        .values(row)
        .on_conflict((notice_preference::person_id, notice_preference::kind))
        .do_update()
        .set(notice_preference::wanted.eq(i32::from(wanted)))
        .execute(conn))
    .map(|_| ())
}

/// Whether a person gets no bills on paper; `None` when there is no such person.
///
/// # Errors
/// Those of the database.
pub fn paperless(conn: &mut DbConnection, person: PersonId) -> QueryResult<Option<bool>> {
    let found: Option<i32> = person::table.find(person).select(person::paperless).first(conn).optional()?;
    Ok(found.map(|paperless| paperless == 1))
}

/// Says whether a person gets no bills on paper.
///
/// # Errors
/// Those of the database.
pub fn set_paperless(conn: &mut DbConnection, person: PersonId, paperless: bool) -> QueryResult<()> {
    diesel::update(person::table.find(person)).set(person::paperless.eq(i32::from(paperless))).execute(conn).map(|_| ())
}

/// A notice as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = notice)]
pub struct NoticeRow {
    /// Identity.
    pub id: NoticeId,
    /// The event.
    pub dedupe_key: String,
    /// The kind.
    pub kind: String,
    /// The account that it is about.
    pub account_id: Option<AccountId>,
    /// The address.
    pub recipient: String,
    /// The name to greet.
    pub recipient_name: String,
    /// What the text is made of, as JSON.
    pub facts: String,
    /// Where it stands.
    pub status: String,
    /// How often it was tried.
    pub attempts: i32,
    /// When it was queued, UTC.
    pub created_at: NaiveDateTime,
    /// When it may be sent, UTC.
    pub next_attempt_at: NaiveDateTime,
    /// What the receiver recognises a repetition by.
    pub message_id: String,
    /// When the server took it, UTC.
    pub sent_at: Option<NaiveDateTime>,
    /// Why it was not sent, or not at once.
    pub last_error: Option<String>,
}

/// Which notices a page shows; nothing set is all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Of this account.
    pub account: Option<AccountId>,
    /// To this address.
    pub recipient: Option<String>,
    /// In this status.
    pub status: Option<&'static str>,
    /// Of this kind.
    pub kind: Option<&'static str>,
}

/// A page of notices with their accounts' numbers, newest first, before an id.
///
/// # Errors
/// Those of the database.
pub fn page(conn: &mut DbConnection, wanted: &Wanted, before: NoticeId, limit: i64) -> QueryResult<Vec<(NoticeRow, Option<String>)>> {
    let mut query = notice::table
        .left_join(account::table.on(notice::account_id.eq(account::id.nullable())))
        .filter(notice::id.lt(before))
        .order(notice::id.desc())
        .limit(limit)
        .select((NoticeRow::as_select(), account::number.nullable()))
        .into_boxed();
    if let Some(account) = wanted.account {
        query = query.filter(notice::account_id.eq(Some(account)));
    }
    if let Some(recipient) = &wanted.recipient {
        query = query.filter(notice::recipient.eq(recipient));
    }
    if let Some(status) = wanted.status {
        query = query.filter(notice::status.eq(status));
    }
    if let Some(kind) = wanted.kind {
        query = query.filter(notice::kind.eq(kind));
    }
    query.load(conn)
}
