//! The outbox of notices, what persons want to be told, and addresses that refused for good.

use chrono::NaiveDateTime;
use diesel::dsl::{min, sql};
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::DbConnection;
use super::connection::each_backend;
use super::schema::{account, bounced_address, notice, notice_preference, person, premise, service_agreement, service_point};
use crate::domain::ids::{AccountId, AgreementId, LoginId, NoticeId, PersonId};

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

/// Whether there is a notice with a key that was sent or is about to be: whoever has it may have to hear how it went on.
///
/// # Errors
/// Those of the database.
pub fn is_told(conn: &mut DbConnection, key: &str) -> QueryResult<bool> {
    let told = notice::table.filter(notice::dedupe_key.eq(key).and(notice::status.ne("suppressed")));
    diesel::select(diesel::dsl::exists(told)).get_result(conn)
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

/// Notices that are not settled. Written as a literal: the index on them is a partial one.
fn unsettled() -> SqlLiteral<Bool> {
    sql::<Bool>("notice.status IN ('queued', 'sending')")
}

/// Sets aside everything that waited since before a moment, except links, which end by themselves. Returns how many.
///
/// # Errors
/// Those of the database.
pub fn suppress_older(conn: &mut DbConnection, cutoff: NaiveDateTime, reason: &str) -> QueryResult<usize> {
    let old = notice::next_attempt_at.lt(cutoff).and(notice::status.eq("queued")).and(notice::kind.ne("password_link"));
    diesel::update(notice::table.filter(unsettled()).filter(old))
        .set((notice::status.eq("suppressed"), notice::last_error.eq(Some(reason))))
        .execute(conn)
}

/// Sets a notice aside that waits and was not sent; nothing where it was.
///
/// # Errors
/// Those of the database.
pub fn suppress(conn: &mut DbConnection, key: &str, reason: &str) -> QueryResult<usize> {
    diesel::update(notice::table.filter(notice::dedupe_key.eq(key).and(notice::status.eq("queued"))))
        .set((notice::status.eq("suppressed"), notice::last_error.eq(Some(reason))))
        .execute(conn)
}

/// Everybody who has claimed a notice.
///
/// # Errors
/// Those of the database.
pub fn claimers(conn: &mut DbConnection) -> QueryResult<Vec<String>> {
    let rows: Vec<Option<String>> =
        notice::table.filter(unsettled()).filter(notice::claimed_by.is_not_null()).select(notice::claimed_by).distinct().load(conn)?;
    Ok(rows.into_iter().flatten().collect())
}

/// Ends every claim of somebody; those being handed over stay so.
///
/// # Errors
/// Those of the database.
pub fn release_claims(conn: &mut DbConnection, holder: &str) -> QueryResult<usize> {
    diesel::update(notice::table.filter(unsettled()).filter(notice::claimed_by.eq(Some(holder))))
        .set((notice::claimed_by.eq(None::<String>), notice::claimed_until.eq(None::<NaiveDateTime>)))
        .execute(conn)
}

/// Claims notices that are due and nobody's, those that wait longest first, until a moment.
///
/// # Errors
/// Those of the database.
pub fn claim(conn: &mut DbConnection, holder: &str, now: NaiveDateTime, until: NaiveDateTime, limit: i64) -> QueryResult<Vec<ClaimedRow>> {
    let free = || notice::next_attempt_at.le(now).and(notice::claimed_until.is_null().or(notice::claimed_until.le(Some(now))));
    let mut ids: Vec<NoticeId> =
        notice::table.filter(unsettled()).filter(free()).order((notice::next_attempt_at, notice::id)).limit(limit).select(notice::id).load(conn)?;
    ids.sort_unstable();
    // Another program may have claimed some of them since: the condition is asked again, row by row.
    diesel::update(notice::table.filter(notice::id.eq_any(&ids)).filter(unsettled()).filter(free()))
        .set((notice::claimed_by.eq(Some(holder)), notice::claimed_until.eq(Some(until))))
        .execute(conn)?;
    notice::table
        .left_join(account::table.on(notice::account_id.eq(account::id.nullable())))
        .filter(notice::id.eq_any(&ids).and(notice::claimed_by.eq(Some(holder))))
        .filter(unsettled())
        .order((notice::next_attempt_at, notice::id))
        .select((NoticeRow::as_select(), account::number.nullable()))
        .load(conn)
}

/// A claimed notice, with its account's number.
pub type ClaimedRow = (NoticeRow, Option<String>);

/// A notice that was being handed over when its holder ended waits again, with a note.
///
/// # Errors
/// Those of the database.
pub fn begin_again(conn: &mut DbConnection, id: NoticeId, note: &str) -> QueryResult<()> {
    diesel::update(notice::table.find(id))
        .set((notice::status.eq("queued"), notice::attempts.eq(notice::attempts + 1), notice::last_error.eq(Some(note))))
        .execute(conn)
        .map(|_| ())
}

/// Marks a notice as being handed over, while it is still the holder's; false when it is not. The holder may ask again:
/// for a second connection, after the first broke before the message began.
///
/// # Errors
/// Those of the database.
pub fn hand_over(conn: &mut DbConnection, id: NoticeId, holder: &str, now: NaiveDateTime, until: NaiveDateTime) -> QueryResult<bool> {
    let ours = notice::claimed_by.eq(Some(holder)).and(notice::claimed_until.gt(Some(now)));
    diesel::update(notice::table.find(id).filter(unsettled()).filter(ours))
        .set((notice::status.eq("sending"), notice::claimed_until.eq(Some(until))))
        .execute(conn)
        .map(|count| count == 1)
}

/// What becomes of a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// Where it stands now.
    pub status: &'static str,
    /// How often it was tried.
    pub attempts: i32,
    /// When it is tried next.
    pub next_attempt_at: NaiveDateTime,
    /// When the server took it.
    pub sent_at: Option<NaiveDateTime>,
    /// Why it was not sent.
    pub last_error: Option<String>,
    /// The facts without their secret.
    pub facts: Option<String>,
}

/// Settles a notice, or lets it wait again; its claim ends. Only the holder's own (without a holder: whoever's, because
/// what was sent is sent). False when it is settled already or somebody else's.
///
/// # Errors
/// Those of the database.
pub fn settle(conn: &mut DbConnection, id: NoticeId, holder: Option<&str>, to: &Settlement) -> QueryResult<bool> {
    let changes = (
        notice::status.eq(to.status),
        notice::attempts.eq(to.attempts),
        notice::next_attempt_at.eq(to.next_attempt_at),
        notice::sent_at.eq(to.sent_at),
        notice::last_error.eq(to.last_error.as_deref()),
        notice::claimed_by.eq(None::<String>),
        notice::claimed_until.eq(None::<NaiveDateTime>),
    );
    let row = notice::table.find(id).filter(unsettled());
    let count = match holder {
        Some(holder) => diesel::update(row.filter(notice::claimed_by.eq(Some(holder)))).set(changes).execute(&mut *conn)?,
        None => diesel::update(row).set(changes).execute(&mut *conn)?,
    };
    if let (1, Some(facts)) = (count, &to.facts) {
        diesel::update(notice::table.find(id)).set(notice::facts.eq(facts)).execute(conn)?;
    }
    Ok(count == 1)
}

/// How many notices wait, and when the first of them may be sent.
///
/// # Errors
/// Those of the database.
pub fn waiting(conn: &mut DbConnection) -> QueryResult<(i64, Option<NaiveDateTime>)> {
    let count = notice::table.filter(unsettled()).count().get_result(conn)?;
    let first = notice::table.filter(unsettled()).select(min(notice::next_attempt_at)).first(conn)?;
    Ok((count, first))
}

/// Remembers that an address (in small letters) refuses for good; what was known of it stays.
///
/// # Errors
/// Those of the database.
pub fn remember_bounce(conn: &mut DbConnection, address: &str, since: NaiveDateTime, reason: &str) -> QueryResult<bool> {
    let row = (bounced_address::address.eq(address), bounced_address::since.eq(since), bounced_address::reason.eq(reason));
    each_backend!(conn, conn => diesel::insert_into(bounced_address::table).values(row).on_conflict_do_nothing().execute(conn))
        .map(|count| count == 1)
}

/// Forgets that an address (in small letters) refused; false when it did not.
///
/// # Errors
/// Those of the database.
pub fn forget_bounce(conn: &mut DbConnection, address: &str) -> QueryResult<bool> {
    diesel::delete(bounced_address::table.find(address)).execute(conn).map(|count| count == 1)
}

/// Since when an address (in small letters) refuses, and why.
///
/// # Errors
/// Those of the database.
pub fn bounce_of(conn: &mut DbConnection, address: &str) -> QueryResult<Option<(NaiveDateTime, String)>> {
    bounced_address::table.find(address).select((bounced_address::since, bounced_address::reason)).first(conn).optional()
}

/// Where an agreement's service is delivered, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct Place {
    /// The agreement.
    pub agreement_id: AgreementId,
    /// The account.
    pub account_id: AccountId,
    /// The service's id in files.
    pub service: String,
    /// The address in one line.
    pub address: String,
}

/// Where the services of these agreements are delivered.
///
/// # Errors
/// Those of the database.
pub fn places(conn: &mut DbConnection, agreements: &[AgreementId]) -> QueryResult<Vec<Place>> {
    service_agreement::table
        .inner_join(service_point::table.on(service_point::id.eq(service_agreement::service_point_id)))
        .inner_join(premise::table.on(premise::id.eq(service_point::premise_id)))
        .filter(service_agreement::id.eq_any(agreements))
        .select((service_agreement::id, service_agreement::account_id, service_point::code, premise::address))
        .load(conn)
}
