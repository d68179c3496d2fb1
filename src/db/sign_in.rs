//! Sign-ins: who may come in, their sessions, the links that were mailed, and the count of guesses.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::sql_types::{Integer, Text, Timestamp};

use super::DbConnection;
use super::schema::{audit_event, login, login_link, login_session, login_throttle, person};
use crate::domain::ids::{LoginId, PersonId};

/// Somebody who may sign in, as stored.
#[derive(Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = login)]
pub struct LoginRow {
    /// Identity.
    pub id: LoginId,
    /// The address, in small letters.
    pub email: String,
    /// The name to greet.
    pub name: String,
    /// The role's name.
    pub role: String,
    /// Whose accounts are theirs: a customer's.
    pub person_id: Option<PersonId>,
    /// The password's hash as a PHC string; nothing until one was set.
    pub password_hash: Option<String>,
    /// The second factor's secret in base 32.
    pub totp_secret: Option<String>,
    /// Since when the second factor is asked for.
    pub totp_confirmed_at: Option<NaiveDateTime>,
    /// Since when the sign-in is not accepted.
    pub disabled_at: Option<NaiveDateTime>,
    /// Since when it is there.
    pub created_at: NaiveDateTime,
}

/// Secrets stay out of logs.
impl std::fmt::Debug for LoginRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginRow").field("id", &self.id).field("email", &self.email).field("role", &self.role).finish_non_exhaustive()
    }
}

/// A sign-in to be made.
#[derive(Debug, Clone, PartialEq, Eq, Insertable)]
#[diesel(table_name = login, treat_none_as_default_value = false)]
pub struct NewLogin {
    /// The address, in small letters.
    pub email: String,
    /// The name to greet.
    pub name: String,
    /// The role's name.
    pub role: String,
    /// Whose accounts are theirs.
    pub person_id: Option<PersonId>,
    /// Now.
    pub created_at: NaiveDateTime,
}

/// A session as stored: its key is the hash of a token that only the browser has.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = login_session, treat_none_as_default_value = false)]
pub struct SessionRow {
    /// The hash of the token.
    pub token_hash: String,
    /// Whose.
    pub login_id: LoginId,
    /// `password` until the second factor was given, then `full`.
    pub stage: String,
    /// The browser, in its own words.
    pub user_agent: String,
    /// Begun.
    pub created_at: NaiveDateTime,
    /// Last used.
    pub last_seen_at: NaiveDateTime,
    /// Ends at the latest.
    pub expires_at: NaiveDateTime,
    /// Ended by hand.
    pub revoked_at: Option<NaiveDateTime>,
}

/// The sign-in with this address (in small letters).
///
/// # Errors
/// Those of the database.
pub fn login_by_email(conn: &mut DbConnection, email: &str) -> QueryResult<Option<LoginRow>> {
    login::table.filter(login::email.eq(email)).select(LoginRow::as_select()).first(conn).optional()
}

/// A sign-in.
///
/// # Errors
/// Those of the database.
pub fn login(conn: &mut DbConnection, id: LoginId) -> QueryResult<Option<LoginRow>> {
    login::table.find(id).select(LoginRow::as_select()).first(conn).optional()
}

/// The sign-ins of the utility's people, by address.
///
/// # Errors
/// Those of the database.
pub fn staff(conn: &mut DbConnection) -> QueryResult<Vec<LoginRow>> {
    login::table.filter(login::role.ne("customer")).order(login::email).select(LoginRow::as_select()).load(conn)
}

/// The persons with this address (in small letters) on file, oldest first.
///
/// # Errors
/// Those of the database.
pub fn persons_with_email(conn: &mut DbConnection, email: &str) -> QueryResult<Vec<(PersonId, String)>> {
    diesel::define_sql_function! { fn lower(text: diesel::sql_types::Nullable<Text>) -> diesel::sql_types::Nullable<Text> }
    person::table
        .filter(person::email.is_not_null().and(lower(person::email).eq(Some(email))))
        .order(person::id)
        .limit(2)
        .select((person::id, person::name))
        .load(conn)
}

/// The address that a person has on file.
///
/// # Errors
/// Those of the database.
pub fn email_of_person(conn: &mut DbConnection, id: PersonId) -> QueryResult<Option<String>> {
    let found: Option<Option<String>> = person::table.find(id).select(person::email).first(conn).optional()?;
    Ok(found.flatten())
}

/// Gives a customer's sign-in to another person, without password and second factor.
///
/// # Errors
/// Those of the database.
pub fn pass_on(conn: &mut DbConnection, id: LoginId, to: PersonId, name: &str) -> QueryResult<()> {
    let changes = (
        login::person_id.eq(Some(to)),
        login::name.eq(name),
        login::password_hash.eq(None::<String>),
        login::totp_secret.eq(None::<String>),
        login::totp_confirmed_at.eq(None::<NaiveDateTime>),
    );
    diesel::update(login::table.find(id)).set(changes).execute(conn).map(|_| ())
}

/// Makes a sign-in; nothing when the address has one already.
///
/// # Errors
/// Those of the database.
pub fn insert_login(conn: &mut DbConnection, row: &NewLogin) -> QueryResult<Option<LoginId>> {
    super::connection::each_backend!(&mut *conn, conn => diesel::insert_into(login::table)
        .values(row)
        .on_conflict(login::email)
        .do_nothing()
        .returning(login::id)
        .get_result(conn)
        .optional())
}

/// Sets a password. A second factor that was proposed and not confirmed is forgotten: whoever knew the old password may
/// have seen its secret.
///
/// # Errors
/// Those of the database.
pub fn set_password(conn: &mut DbConnection, id: LoginId, hash: &str, at: NaiveDateTime) -> QueryResult<()> {
    let row = (login::password_hash.eq(Some(hash)), login::password_changed_at.eq(Some(at)));
    diesel::update(login::table.find(id)).set(row).execute(conn)?;
    let proposed = login::table.filter(login::id.eq(id).and(login::totp_confirmed_at.is_null()));
    diesel::update(proposed).set(login::totp_secret.eq(None::<String>)).execute(conn).map(|_| ())
}

/// Keeps a second factor's secret until it is confirmed; false when one is confirmed already.
///
/// # Errors
/// Those of the database.
pub fn propose_factor(conn: &mut DbConnection, id: LoginId, secret: &str) -> QueryResult<bool> {
    let open = login::table.filter(login::id.eq(id).and(login::totp_confirmed_at.is_null()));
    diesel::update(open).set(login::totp_secret.eq(Some(secret))).execute(conn).map(|count| count == 1)
}

/// Confirms the second factor with the time step of a code; false when another request was first.
///
/// # Errors
/// Those of the database.
pub fn confirm_factor(conn: &mut DbConnection, id: LoginId, secret: &str, step: i64, at: NaiveDateTime) -> QueryResult<bool> {
    let open = login::table.filter(login::id.eq(id).and(login::totp_confirmed_at.is_null()).and(login::totp_secret.eq(Some(secret))));
    diesel::update(open).set((login::totp_confirmed_at.eq(Some(at)), login::totp_last_step.eq(step))).execute(conn).map(|count| count == 1)
}

/// Uses up the code of a time step; false when it, or a later one, was used before.
///
/// # Errors
/// Those of the database.
pub fn take_step(conn: &mut DbConnection, id: LoginId, step: i64) -> QueryResult<bool> {
    let unused = login::table.filter(login::id.eq(id).and(login::totp_last_step.lt(step)));
    diesel::update(unused).set(login::totp_last_step.eq(step)).execute(conn).map(|count| count == 1)
}

/// Forgets the second factor. The last step stays: an old code does not become good again.
///
/// # Errors
/// Those of the database.
pub fn clear_factor(conn: &mut DbConnection, id: LoginId) -> QueryResult<()> {
    let nothing = (login::totp_secret.eq(None::<String>), login::totp_confirmed_at.eq(None::<NaiveDateTime>));
    diesel::update(login::table.find(id)).set(nothing).execute(conn).map(|_| ())
}

/// Disables a sign-in, or lets it in again; false when it was so already.
///
/// # Errors
/// Those of the database.
pub fn set_disabled(conn: &mut DbConnection, id: LoginId, since: Option<NaiveDateTime>) -> QueryResult<bool> {
    let change = login::disabled_at.eq(since);
    let changed = if since.is_some() {
        diesel::update(login::table.filter(login::id.eq(id).and(login::disabled_at.is_null()))).set(change).execute(conn)
    } else {
        diesel::update(login::table.filter(login::id.eq(id).and(login::disabled_at.is_not_null()))).set(change).execute(conn)
    };
    changed.map(|count| count == 1)
}

/// Locks a sign-in's row for the transaction, so that changes of one sign-in come one after the other.
///
/// # Errors
/// Those of the database.
pub fn lock_login(conn: &mut DbConnection, id: LoginId) -> QueryResult<()> {
    // An update that changes nothing locks the row on PostgreSQL; SQLite has one writer at a time anyway.
    diesel::update(login::table.find(id)).set(login::created_at.eq(login::created_at)).execute(conn).map(|_| ())
}

// --- sessions ---------------------------------------------------------------------------------------------------

/// Begins a session.
///
/// # Errors
/// Those of the database.
pub fn open_session(conn: &mut DbConnection, row: &SessionRow) -> QueryResult<()> {
    diesel::insert_into(login_session::table).values(row).execute(conn).map(|_| ())
}

/// The session with this key and whose it is.
///
/// # Errors
/// Those of the database.
pub fn session(conn: &mut DbConnection, token_hash: &str) -> QueryResult<Option<(SessionRow, LoginRow)>> {
    login_session::table
        .inner_join(login::table.on(login::id.eq(login_session::login_id)))
        .filter(login_session::token_hash.eq(token_hash))
        .select((SessionRow::as_select(), LoginRow::as_select()))
        .first(conn)
        .optional()
}

/// Remembers that a session was used.
///
/// # Errors
/// Those of the database.
pub fn touch_session(conn: &mut DbConnection, token_hash: &str, at: NaiveDateTime) -> QueryResult<()> {
    let older = login_session::table.filter(login_session::token_hash.eq(token_hash).and(login_session::last_seen_at.lt(at)));
    diesel::update(older).set(login_session::last_seen_at.eq(at)).execute(conn).map(|_| ())
}

/// Ends one session of a sign-in; false when it had ended or is not theirs.
///
/// # Errors
/// Those of the database.
pub fn revoke_session(conn: &mut DbConnection, owner: LoginId, token_hash: &str, at: NaiveDateTime) -> QueryResult<bool> {
    let open = login_session::table
        .filter(login_session::token_hash.eq(token_hash).and(login_session::login_id.eq(owner)).and(login_session::revoked_at.is_null()));
    diesel::update(open).set(login_session::revoked_at.eq(Some(at))).execute(conn).map(|count| count == 1)
}

/// Ends every session of a sign-in but, perhaps, one.
///
/// # Errors
/// Those of the database.
pub fn revoke_sessions(conn: &mut DbConnection, owner: LoginId, except: Option<&str>, at: NaiveDateTime) -> QueryResult<usize> {
    let kept = except.unwrap_or_default();
    let open = login_session::table
        .filter(login_session::login_id.eq(owner).and(login_session::revoked_at.is_null()).and(login_session::token_hash.ne(kept)));
    diesel::update(open).set(login_session::revoked_at.eq(Some(at))).execute(conn)
}

/// The sessions of a sign-in that nobody ended, newest first.
///
/// # Errors
/// Those of the database.
pub fn sessions_of(conn: &mut DbConnection, owner: LoginId, now: NaiveDateTime) -> QueryResult<Vec<SessionRow>> {
    login_session::table
        .filter(login_session::login_id.eq(owner).and(login_session::revoked_at.is_null()).and(login_session::expires_at.gt(now)))
        .order(login_session::last_seen_at.desc())
        .select(SessionRow::as_select())
        .load(conn)
}

/// Whether this browser signed in before, and whether any did.
///
/// # Errors
/// Those of the database.
pub fn knows_browser(conn: &mut DbConnection, owner: LoginId, user_agent: &str) -> QueryResult<(bool, bool)> {
    let all = login_session::table.filter(login_session::login_id.eq(owner).and(login_session::stage.eq("full")));
    let of_browser: i64 = all.filter(login_session::user_agent.eq(user_agent)).count().get_result(conn)?;
    let of_any: i64 = all.count().get_result(conn)?;
    Ok((of_browser > 0, of_any > 0))
}

// --- links ------------------------------------------------------------------------------------------------------

/// Keeps the hash of a link's token.
///
/// # Errors
/// Those of the database.
pub fn insert_link(
    conn: &mut DbConnection,
    token_hash: &str,
    owner: LoginId,
    purpose: &str,
    at: NaiveDateTime,
    expires_at: NaiveDateTime,
) -> QueryResult<()> {
    diesel::insert_into(login_link::table)
        .values((
            login_link::token_hash.eq(token_hash),
            login_link::login_id.eq(owner),
            login_link::purpose.eq(purpose),
            login_link::created_at.eq(at),
            login_link::expires_at.eq(expires_at),
        ))
        .execute(conn)
        .map(|_| ())
}

/// Whose a link is, as long as it is good.
///
/// # Errors
/// Those of the database.
pub fn open_link(conn: &mut DbConnection, token_hash: &str, now: NaiveDateTime) -> QueryResult<Option<LoginRow>> {
    login_link::table
        .inner_join(login::table.on(login::id.eq(login_link::login_id)))
        .filter(login_link::token_hash.eq(token_hash).and(login_link::used_at.is_null()).and(login_link::expires_at.gt(now)))
        .select(LoginRow::as_select())
        .first(conn)
        .optional()
}

/// Uses a link up; false when it is not good (any more).
///
/// # Errors
/// Those of the database.
pub fn use_link(conn: &mut DbConnection, token_hash: &str, now: NaiveDateTime) -> QueryResult<bool> {
    let good = login_link::table.filter(login_link::token_hash.eq(token_hash).and(login_link::used_at.is_null()).and(login_link::expires_at.gt(now)));
    diesel::update(good).set(login_link::used_at.eq(Some(now))).execute(conn).map(|count| count == 1)
}

/// Makes every link of a sign-in worthless.
///
/// # Errors
/// Those of the database.
pub fn void_links(conn: &mut DbConnection, owner: LoginId, now: NaiveDateTime) -> QueryResult<usize> {
    let open = login_link::table.filter(login_link::login_id.eq(owner).and(login_link::used_at.is_null()));
    diesel::update(open).set(login_link::used_at.eq(Some(now))).execute(conn)
}

// --- guesses ----------------------------------------------------------------------------------------------------

#[derive(QueryableByName)]
struct Failures {
    #[diesel(sql_type = Integer)]
    failures: i32,
}

/// Counts an attempt before it is checked, so that many at the same moment count as many; nothing when the subject is
/// blocked. What was counted before `forget_before` is forgotten.
///
/// # Errors
/// Those of the database.
pub fn count_attempt(conn: &mut DbConnection, subject: &str, now: NaiveDateTime, forget_before: NaiveDateTime) -> QueryResult<Option<i32>> {
    diesel::sql_query(
        "INSERT INTO login_throttle (subject, failures, first_at, last_at, blocked_until) VALUES ($1, 0, $2, $3, NULL) ON CONFLICT (subject) DO NOTHING",
    )
    .bind::<Text, _>(subject)
    .bind::<Timestamp, _>(now)
    .bind::<Timestamp, _>(now)
    .execute(conn)?;
    diesel::sql_query("UPDATE login_throttle SET failures = 0, first_at = $1, blocked_until = NULL WHERE subject = $2 AND first_at < $3")
        .bind::<Timestamp, _>(now)
        .bind::<Text, _>(subject)
        .bind::<Timestamp, _>(forget_before)
        .execute(conn)?;
    // The update waits for whoever counts at the same moment and then asks its condition again.
    let counted: Option<Failures> = diesel::sql_query(
        "UPDATE login_throttle SET failures = failures + 1, last_at = $1 \
         WHERE subject = $2 AND (blocked_until IS NULL OR blocked_until <= $3) RETURNING failures",
    )
    .bind::<Timestamp, _>(now)
    .bind::<Text, _>(subject)
    .bind::<Timestamp, _>(now)
    .get_result(conn)
    .optional()?;
    Ok(counted.map(|row| row.failures))
}

/// Until when a subject is blocked, and since when.
///
/// # Errors
/// Those of the database.
pub fn block_of(conn: &mut DbConnection, subject: &str) -> QueryResult<Option<(NaiveDateTime, NaiveDateTime)>> {
    let found: Option<(Option<NaiveDateTime>, NaiveDateTime)> =
        login_throttle::table.find(subject).select((login_throttle::blocked_until, login_throttle::last_at)).first(conn).optional()?;
    Ok(found.and_then(|(until, since)| Some((until?, since))))
}

/// Blocks a subject until a moment, or lifts the block.
///
/// # Errors
/// Those of the database.
pub fn block(conn: &mut DbConnection, subject: &str, until: Option<NaiveDateTime>) -> QueryResult<()> {
    diesel::update(login_throttle::table.find(subject)).set(login_throttle::blocked_until.eq(until)).execute(conn).map(|_| ())
}

/// Takes back the count of an attempt that was no failure.
///
/// # Errors
/// Those of the database.
pub fn uncount_attempt(conn: &mut DbConnection, subject: &str) -> QueryResult<()> {
    let counted = login_throttle::table.filter(login_throttle::subject.eq(subject).and(login_throttle::failures.gt(0)));
    diesel::update(counted).set(login_throttle::failures.eq(login_throttle::failures - 1)).execute(conn).map(|_| ())
}

/// Forgets the failures of a subject.
///
/// # Errors
/// Those of the database.
pub fn forget_failures(conn: &mut DbConnection, subject: &str) -> QueryResult<()> {
    diesel::delete(login_throttle::table.find(subject)).execute(conn).map(|_| ())
}

// --- the audit trail and the broom ------------------------------------------------------------------------------

/// Whether the actor's action on the subject is in the audit trail at a moment or later.
///
/// # Errors
/// Those of the database.
pub fn audited_since(conn: &mut DbConnection, actor: &str, action: &str, subject: &str, since: NaiveDateTime) -> QueryResult<bool> {
    let found: Option<i64> = audit_event::table
        .filter(audit_event::subject.eq(subject).and(audit_event::actor.eq(actor)).and(audit_event::action.eq(action)).and(audit_event::at.ge(since)))
        .order(audit_event::id.desc())
        .select(audit_event::id)
        .first(conn)
        .optional()?;
    Ok(found.is_some())
}

/// What [`sweep`] took away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Swept {
    /// Sessions.
    pub sessions: usize,
    /// Links.
    pub links: usize,
    /// Counts of guesses.
    pub throttles: usize,
}

/// Deletes sessions that ended, links that are no longer good, and counts that began, before these moments.
///
/// # Errors
/// Those of the database.
pub fn sweep(
    conn: &mut DbConnection,
    ended_before: NaiveDateTime,
    expired_before: NaiveDateTime,
    counted_before: NaiveDateTime,
) -> QueryResult<Swept> {
    let sessions = diesel::delete(login_session::table.filter(login_session::expires_at.lt(ended_before))).execute(conn)?;
    let links = diesel::delete(login_link::table.filter(login_link::expires_at.lt(expired_before))).execute(conn)?;
    let throttles = diesel::delete(login_throttle::table.filter(login_throttle::first_at.lt(counted_before))).execute(conn)?;
    Ok(Swept { sessions, links, throttles })
}

/// Locks every administrator's row, so that the last two do not shut each other out at the same moment.
///
/// # Errors
/// Those of the database.
pub fn lock_administrators(conn: &mut DbConnection) -> QueryResult<()> {
    diesel::update(login::table.filter(login::role.eq("administrator"))).set(login::created_at.eq(login::created_at)).execute(conn).map(|_| ())
}

/// How many administrators may sign in.
///
/// # Errors
/// Those of the database.
pub fn administrators(conn: &mut DbConnection) -> QueryResult<i64> {
    login::table.filter(login::role.eq("administrator").and(login::disabled_at.is_null())).count().get_result(conn)
}
