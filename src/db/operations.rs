//! Work items, leases and the audit trail.

use std::collections::HashMap;

use chrono::{NaiveDate, NaiveDateTime};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Date, Integer, Nullable, Text, Timestamp};

use super::DbConnection;
use super::bulk::insert_all;
use super::connection::each_backend;
use super::schema::{account, audit_event, lease, service_agreement, todo};
use crate::domain::ids::{AccountId, AgreementId, ReadId, ToDoId, UnappliedCreditId};

/// A work item as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = todo)]
pub struct ToDoRow {
    /// Identity.
    pub id: ToDoId,
    /// `read_limit`, `bill_limit`, `read_missing`, `stuck_register`, `low_use`, …
    pub kind: String,
    /// `open`, `released` or `rejected`.
    pub status: String,
    /// The agreement.
    pub agreement_id: Option<AgreementId>,
    /// The read.
    pub meter_read_id: Option<ReadId>,
    /// Start of the period.
    pub period_start_on: Option<NaiveDate>,
    /// End of the period.
    pub period_end_on: Option<NaiveDate>,
    /// The amount at stake, in cents.
    pub amount_cents: Option<i64>,
    /// Why it was raised.
    pub reason: String,
    /// When, UTC.
    pub raised_at: NaiveDateTime,
}

/// A work item to be raised.
#[derive(Debug, Clone, PartialEq, Eq, Insertable)]
#[diesel(table_name = todo, treat_none_as_default_value = false)]
pub struct NewToDo {
    /// `read_limit` or `bill_limit`.
    pub kind: String,
    /// `open`.
    pub status: String,
    /// The agreement.
    pub agreement_id: Option<AgreementId>,
    /// The read.
    pub meter_read_id: Option<ReadId>,
    /// Start of the period.
    pub period_start_on: Option<NaiveDate>,
    /// End of the period.
    pub period_end_on: Option<NaiveDate>,
    /// The amount at stake, in cents.
    pub amount_cents: Option<i64>,
    /// Why it is raised.
    pub reason: String,
    /// When, UTC.
    pub raised_at: NaiveDateTime,
    /// The account, when it is about one as a whole.
    pub account_id: Option<AccountId>,
}

impl NewToDo {
    /// An open work item with nothing but its reason.
    #[must_use]
    pub fn about(reason: String, raised_at: NaiveDateTime) -> Self {
        Self {
            kind: String::new(),
            status: "open".to_owned(),
            agreement_id: None,
            meter_read_id: None,
            period_start_on: None,
            period_end_on: None,
            amount_cents: None,
            reason,
            raised_at,
            account_id: None,
        }
    }
}

/// Raises work items; a bill that is already waiting is not raised twice.
///
/// # Errors
/// Those of the database.
pub fn raise(conn: &mut DbConnection, rows: &[NewToDo]) -> QueryResult<()> {
    for row in rows {
        each_backend!(&mut *conn, conn => diesel::insert_into(todo::table).values(row).on_conflict_do_nothing().execute(conn))?;
    }
    Ok(())
}

/// Raises many work items that are known to be new.
///
/// # Errors
/// Those of the database.
pub fn raise_new(conn: &mut DbConnection, rows: &[NewToDo]) -> QueryResult<()> {
    insert_all!(conn, todo::table, rows).map(|_| ())
}

/// The reasons of the open work items of a kind, the latest first: at most ten thousand.
///
/// # Errors
/// Those of the database.
pub fn open_reasons(conn: &mut DbConnection, kind: &str) -> QueryResult<Vec<String>> {
    let open = todo::table.filter(todo::status.eq("open").and(todo::kind.eq(kind)));
    open.order(todo::id.desc()).limit(10_000).select(todo::reason).load(conn)
}

/// A work item with what names its service to people.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct NamedToDo {
    /// Identity.
    #[diesel(sql_type = BigInt)]
    pub id: ToDoId,
    /// `read_limit` or `bill_limit`.
    #[diesel(sql_type = Text)]
    pub kind: String,
    /// The account's number.
    #[diesel(sql_type = Nullable<Text>)]
    pub account: Option<String>,
    /// The service's id in files.
    #[diesel(sql_type = Nullable<Text>)]
    pub service_id: Option<String>,
    /// The amount at stake, in cents.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub amount_cents: Option<i64>,
    /// Why it was raised.
    #[diesel(sql_type = Text)]
    pub reason: String,
    /// When, UTC.
    #[diesel(sql_type = Timestamp)]
    pub raised_at: NaiveDateTime,
}

/// A page of open work items, oldest first, with names.
///
/// # Errors
/// Those of the database.
pub fn named_todos(conn: &mut DbConnection, after: ToDoId, limit: i64) -> QueryResult<Vec<NamedToDo>> {
    diesel::sql_query(
        "SELECT t.id, t.kind, c.number AS account, p.code AS service_id, t.amount_cents, t.reason, t.raised_at FROM todo t \
         LEFT JOIN service_agreement a ON a.id = t.agreement_id \
         LEFT JOIN account c ON c.id = a.account_id \
         LEFT JOIN service_point p ON p.id = a.service_point_id \
         WHERE t.status = 'open' AND t.id > $1 ORDER BY t.id LIMIT $2",
    )
    .bind::<BigInt, _>(after)
    .bind::<BigInt, _>(limit)
    .load(conn)
}

/// A work item with everything that a clerk decides by.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct RankedToDo {
    /// Identity.
    #[diesel(sql_type = BigInt)]
    pub id: ToDoId,
    /// What it is about.
    #[diesel(sql_type = Text)]
    pub kind: String,
    /// `open`, `released` or `rejected`.
    #[diesel(sql_type = Text)]
    pub status: String,
    /// The account's number.
    #[diesel(sql_type = Nullable<Text>)]
    pub account: Option<String>,
    /// The service's id in files.
    #[diesel(sql_type = Nullable<Text>)]
    pub service_id: Option<String>,
    /// The meter's number.
    #[diesel(sql_type = Nullable<Text>)]
    pub meter: Option<String>,
    /// The register of the read.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub register_id: Option<i64>,
    /// Its digits.
    #[diesel(sql_type = Nullable<Integer>)]
    pub digits: Option<i32>,
    /// Its multiplier.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub multiplier_milli: Option<i64>,
    /// The read's day.
    #[diesel(sql_type = Nullable<Date>)]
    pub read_on: Option<NaiveDate>,
    /// First day of the agreement, when known.
    #[diesel(sql_type = Nullable<Date>)]
    pub start_on: Option<NaiveDate>,
    /// Start of the period.
    #[diesel(sql_type = Nullable<Date>)]
    pub period_start_on: Option<NaiveDate>,
    /// End of the period.
    #[diesel(sql_type = Nullable<Date>)]
    pub period_end_on: Option<NaiveDate>,
    /// The amount at stake, in cents.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub amount_cents: Option<i64>,
    /// Why it was raised.
    #[diesel(sql_type = Text)]
    pub reason: String,
    /// When, UTC.
    #[diesel(sql_type = Timestamp)]
    pub raised_at: NaiveDateTime,
}

const RANKED: &str = "SELECT t.id, t.kind, t.status, c.number AS account, p.code AS service_id, x.serial AS meter, r.id AS register_id, \
        r.digits, r.multiplier_milli, m.read_on, a.start_on, t.period_start_on, t.period_end_on, t.amount_cents, t.reason, t.raised_at \
     FROM todo t \
     LEFT JOIN service_agreement a ON a.id = t.agreement_id \
     LEFT JOIN account c ON c.id = coalesce(t.account_id, a.account_id) \
     LEFT JOIN service_point p ON p.id = a.service_point_id \
     LEFT JOIN meter_read m ON m.id = t.meter_read_id \
     LEFT JOIN register r ON r.id = m.register_id \
     LEFT JOIN installation i ON i.service_point_id = a.service_point_id AND i.removed_on IS NULL \
     LEFT JOIN meter x ON x.id = coalesce(r.meter_id, i.meter_id)";

/// A page of open work items: the most money first, then the oldest; those without a figure last. An empty kind or account
/// stands for all of them; the page begins after the item `after`, wherever that one stands by now.
///
/// # Errors
/// Those of the database.
pub fn ranked_todos(conn: &mut DbConnection, kind: &str, account: &str, after: ToDoId, limit: i64) -> QueryResult<Vec<RankedToDo>> {
    diesel::sql_query(format!(
        "{RANKED} WHERE t.status = 'open' AND ($1 = '' OR t.kind = $1) AND ($2 = '' OR c.number = $2) \
         AND ($3 = 0 OR coalesce(t.amount_cents, -1) < (SELECT coalesce(s.amount_cents, -1) FROM todo s WHERE s.id = $3) \
            OR (coalesce(t.amount_cents, -1) = (SELECT coalesce(s.amount_cents, -1) FROM todo s WHERE s.id = $3) AND t.id > $3)) \
         ORDER BY coalesce(t.amount_cents, -1) DESC, t.id LIMIT $4"
    ))
    .bind::<Text, _>(kind)
    .bind::<Text, _>(account)
    .bind::<BigInt, _>(after)
    .bind::<BigInt, _>(limit)
    .load(conn)
}

/// One work item, open or not.
///
/// # Errors
/// Those of the database.
pub fn ranked_todo(conn: &mut DbConnection, id: ToDoId) -> QueryResult<Option<RankedToDo>> {
    diesel::sql_query(format!("{RANKED} WHERE t.id = $1")).bind::<BigInt, _>(id).get_result(conn).optional()
}

/// What waits, by kind.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName, serde::Serialize)]
pub struct ToDoCount {
    /// What it is about.
    #[diesel(sql_type = Text)]
    pub kind: String,
    /// How many items.
    #[diesel(sql_type = BigInt)]
    pub total: i64,
    /// The money at stake in all of them, in cents.
    #[diesel(sql_type = BigInt)]
    pub amount_cents: i64,
    /// Since when the oldest waits, UTC.
    #[diesel(sql_type = Timestamp)]
    pub oldest_at: NaiveDateTime,
}

/// How much waits, by kind.
///
/// # Errors
/// Those of the database.
pub fn count_todos(conn: &mut DbConnection) -> QueryResult<Vec<ToDoCount>> {
    diesel::sql_query(
        "SELECT kind, CAST(count(*) AS BIGINT) AS total, CAST(coalesce(sum(amount_cents), 0) AS BIGINT) AS amount_cents, \
            min(raised_at) AS oldest_at FROM todo WHERE status = 'open' GROUP BY kind ORDER BY kind",
    )
    .load(conn)
}

/// Those of these work items that are open, locked so that nobody else decides about them meanwhile.
///
/// # Errors
/// Those of the database.
pub fn lock_open_todos(conn: &mut DbConnection, ids: &[ToDoId]) -> QueryResult<Vec<ToDoRow>> {
    if let DbConnection::Postgres(conn) = conn {
        let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
        diesel::sql_query("SELECT id FROM todo WHERE id = ANY($1) ORDER BY id FOR UPDATE").bind::<Array<BigInt>, _>(ids).execute(conn)?;
    }
    todo::table.filter(todo::id.eq_any(ids).and(todo::status.eq("open"))).order(todo::id).select(ToDoRow::as_select()).load(conn)
}

/// The numbers of the accounts that work items are about, themselves or by their agreement.
///
/// # Errors
/// Those of the database.
pub fn accounts_of_todos(conn: &mut DbConnection, ids: &[ToDoId]) -> QueryResult<HashMap<ToDoId, String>> {
    let by_agreement: Vec<(ToDoId, String)> = todo::table
        .inner_join(service_agreement::table.on(todo::agreement_id.eq(service_agreement::id.nullable())))
        .inner_join(account::table.on(account::id.eq(service_agreement::account_id)))
        .filter(todo::id.eq_any(ids))
        .select((todo::id, account::number))
        .load(conn)?;
    let by_account: Vec<(ToDoId, String)> = todo::table
        .inner_join(account::table.on(todo::account_id.eq(account::id.nullable())))
        .filter(todo::id.eq_any(ids))
        .select((todo::id, account::number))
        .load(conn)?;
    Ok(by_agreement.into_iter().chain(by_account).collect())
}

/// A page of open work items, by number.
///
/// # Errors
/// Those of the database.
pub fn open_todos(conn: &mut DbConnection, after: ToDoId, limit: i64) -> QueryResult<Vec<ToDoRow>> {
    todo::table.filter(todo::status.eq("open").and(todo::id.gt(after))).order(todo::id).limit(limit).select(ToDoRow::as_select()).load(conn)
}

/// The open work items that ask for a missing read.
///
/// # Errors
/// Those of the database.
pub fn open_missing_reads(conn: &mut DbConnection) -> QueryResult<Vec<ToDoRow>> {
    todo::table.filter(todo::kind.eq("read_missing").and(todo::status.eq("open"))).select(ToDoRow::as_select()).load(conn)
}

/// The work items that ask, or asked, for a missing read of these agreements.
///
/// # Errors
/// Those of the database.
pub fn missing_reads_of(conn: &mut DbConnection, agreements: &[AgreementId]) -> QueryResult<Vec<ToDoRow>> {
    todo::table
        .filter(todo::kind.eq("read_missing").and(todo::agreement_id.eq_any(agreements.iter().map(|id| Some(*id)))))
        .select(ToDoRow::as_select())
        .load(conn)
}

/// The open work items about these reads.
///
/// # Errors
/// Those of the database.
pub fn open_todos_of_reads(conn: &mut DbConnection, reads: &[ReadId]) -> QueryResult<Vec<ToDoId>> {
    todo::table.filter(todo::meter_read_id.eq_any(reads.iter().map(|id| Some(*id))).and(todo::status.eq("open"))).select(todo::id).load(conn)
}

/// The open work items about a bill that a read of a day goes into.
///
/// # Errors
/// Those of the database.
pub fn open_bills_over(conn: &mut DbConnection, agreement: AgreementId, on: NaiveDate) -> QueryResult<Vec<ToDoId>> {
    todo::table
        .filter(todo::kind.eq("bill_limit").and(todo::status.eq("open")).and(todo::agreement_id.eq(Some(agreement))))
        .filter(todo::period_start_on.le(Some(on)).and(todo::period_end_on.ge(Some(on))))
        .select(todo::id)
        .load(conn)
}

/// The work items with these ids.
///
/// # Errors
/// Those of the database.
pub fn todos(conn: &mut DbConnection, ids: &[ToDoId]) -> QueryResult<Vec<ToDoRow>> {
    todo::table.filter(todo::id.eq_any(ids)).select(ToDoRow::as_select()).load(conn)
}

/// Resolves open work items; returns how many were open until now.
///
/// # Errors
/// Those of the database.
pub fn resolve(conn: &mut DbConnection, ids: &[ToDoId], status: &str, by: &str, note: &str, at: NaiveDateTime) -> QueryResult<usize> {
    diesel::update(todo::table.filter(todo::id.eq_any(ids).and(todo::status.eq("open"))))
        .set((todo::status.eq(status), todo::resolved_by.eq(Some(by)), todo::note.eq(Some(note)), todo::resolved_at.eq(Some(at))))
        .execute(conn)
}

/// Resolves the open work items of a kind about an account as a whole.
///
/// # Errors
/// Those of the database.
pub fn resolve_about_account(conn: &mut DbConnection, account: AccountId, kind: &str, by: &str, note: &str, at: NaiveDateTime) -> QueryResult<usize> {
    diesel::update(todo::table.filter(todo::account_id.eq(Some(account)).and(todo::kind.eq(kind)).and(todo::status.eq("open"))))
        .set((todo::status.eq("released"), todo::resolved_by.eq(Some(by)), todo::note.eq(Some(note)), todo::resolved_at.eq(Some(at))))
        .execute(conn)
}

/// Raises the work item of money that fits no account, or tells the one that is open of another amount.
///
/// # Errors
/// Those of the database.
pub fn raise_about_credit(conn: &mut DbConnection, credit: UnappliedCreditId, amount_cents: i64, reason: &str, at: NaiveDateTime) -> QueryResult<()> {
    let open = todo::unapplied_credit_id.eq(Some(credit)).and(todo::status.eq("open"));
    let told = diesel::update(todo::table.filter(open)).set((todo::amount_cents.eq(Some(amount_cents)), todo::reason.eq(reason))).execute(conn)?;
    if told == 0 {
        diesel::insert_into(todo::table)
            .values((
                todo::kind.eq("unapplied_credit"),
                todo::status.eq("open"),
                todo::unapplied_credit_id.eq(Some(credit)),
                todo::amount_cents.eq(Some(amount_cents)),
                todo::reason.eq(reason),
                todo::raised_at.eq(at),
            ))
            .execute(conn)?;
    }
    Ok(())
}

/// Resolves the work item of money that waits no longer.
///
/// # Errors
/// Those of the database.
pub fn resolve_about_credit(conn: &mut DbConnection, credit: UnappliedCreditId, by: &str, at: NaiveDateTime) -> QueryResult<usize> {
    diesel::update(todo::table.filter(todo::unapplied_credit_id.eq(Some(credit)).and(todo::status.eq("open"))))
        .set((todo::status.eq("released"), todo::resolved_by.eq(Some(by)), todo::resolved_at.eq(Some(at))))
        .execute(conn)
}

/// A bill that a clerk released: the agreement, the period, and the amount that was seen.
pub type Released = (AgreementId, NaiveDate, NaiveDate, i64);

#[derive(QueryableByName)]
struct ReleasedRow {
    #[diesel(sql_type = BigInt)]
    agreement_id: AgreementId,
    #[diesel(sql_type = Date)]
    period_start_on: NaiveDate,
    #[diesel(sql_type = Date)]
    period_end_on: NaiveDate,
    #[diesel(sql_type = BigInt)]
    amount_cents: i64,
}

/// The bills of a range of accounts that were released although they are above a limit.
///
/// # Errors
/// Those of the database.
pub fn released_bills(conn: &mut DbConnection, first: AccountId, last: AccountId) -> QueryResult<Vec<Released>> {
    let rows: Vec<ReleasedRow> = diesel::sql_query(
        "SELECT t.agreement_id, t.period_start_on, t.period_end_on, t.amount_cents FROM service_agreement a \
         JOIN todo t ON t.agreement_id = a.id AND t.kind = 'bill_limit' AND t.status = 'released' \
         WHERE a.account_id BETWEEN $1 AND $2",
    )
    .bind::<BigInt, _>(first)
    .bind::<BigInt, _>(last)
    .load(conn)?;
    Ok(rows.into_iter().map(|row| (row.agreement_id, row.period_start_on, row.period_end_on, row.amount_cents)).collect())
}

/// A lease as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = lease)]
pub struct LeaseRow {
    /// Who holds it.
    pub holder: String,
    /// Grows with each change of holder: what an old holder may no longer use.
    pub token: i64,
    /// Until when, UTC.
    pub expires_at: NaiveDateTime,
}

/// The lease of this name, when anybody ever held it.
///
/// # Errors
/// Those of the database.
pub fn lease(conn: &mut DbConnection, name: &str) -> QueryResult<Option<LeaseRow>> {
    lease::table.find(name).select(LeaseRow::as_select()).first(conn).optional()
}

/// Takes a lease that `seen` shows as free to take; false when somebody else was quicker.
///
/// # Errors
/// Those of the database.
pub fn take_lease(conn: &mut DbConnection, name: &str, seen: Option<&LeaseRow>, holder: &str, expires_at: NaiveDateTime) -> QueryResult<bool> {
    let taken = match seen {
        None => each_backend!(conn, conn => diesel::insert_into(lease::table)
            .values((lease::name.eq(name), lease::holder.eq(holder), lease::token.eq(1_i64), lease::expires_at.eq(expires_at)))
            .on_conflict_do_nothing()
            .execute(conn))?,
        Some(seen) => diesel::update(lease::table.filter(lease::name.eq(name).and(lease::token.eq(seen.token))))
            .set((lease::holder.eq(holder), lease::token.eq(seen.token + 1), lease::expires_at.eq(expires_at)))
            .execute(conn)?,
    };
    Ok(taken == 1)
}

/// Prolongs or ends a lease that is still ours; false when it is not.
///
/// # Errors
/// Those of the database.
pub fn keep_lease(conn: &mut DbConnection, name: &str, token: i64, expires_at: NaiveDateTime) -> QueryResult<bool> {
    diesel::update(lease::table.filter(lease::name.eq(name).and(lease::token.eq(token))))
        .set(lease::expires_at.eq(expires_at))
        .execute(conn)
        .map(|count| count == 1)
}

/// Adds to the audit trail.
///
/// # Errors
/// Those of the database.
pub fn audit(conn: &mut DbConnection, at: NaiveDateTime, actor: &str, action: &str, subject: &str, detail: &str) -> QueryResult<()> {
    diesel::insert_into(audit_event::table)
        .values((
            audit_event::at.eq(at),
            audit_event::actor.eq(actor),
            audit_event::action.eq(action),
            audit_event::subject.eq(subject),
            audit_event::detail.eq(detail),
        ))
        .execute(conn)
        .map(|_| ())
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    total: i64,
}

/// How many rows the tables that a bill run writes hold: a measure of its work.
///
/// # Errors
/// Those of the database.
pub fn rows_written_by_runs(conn: &mut DbConnection) -> QueryResult<i64> {
    let mut total = 0;
    for table in
        ["bill_run", "bill_run_chunk", "bill_run_exception", "bill_segment", "bill", "financial_transaction", "posting", "todo", "audit_event"]
    {
        total += diesel::sql_query(format!("SELECT CAST(count(*) AS BIGINT) AS total FROM {table}")).get_result::<Count>(conn)?.total;
    }
    Ok(total)
}

/// An event of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = audit_event)]
pub struct AuditRow {
    /// Its number.
    pub id: i64,
    /// When, UTC.
    pub at: NaiveDateTime,
    /// Who.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub subject: String,
    /// How, in words.
    pub detail: String,
}

/// What a page of the audit trail is asked for; what is none is not asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Who.
    pub actor: Option<String>,
    /// What was done: a whole action, or an area with its dot, like `payment.`.
    pub action: Option<String>,
    /// To what.
    pub subject: Option<String>,
    /// Not before, UTC.
    pub from: Option<NaiveDateTime>,
    /// Before, UTC.
    pub until: Option<NaiveDateTime>,
    /// Older than this event.
    pub before: Option<i64>,
}

/// A page of the audit trail, newest first.
///
/// # Errors
/// Those of the database.
pub fn audit_page(conn: &mut DbConnection, filter: &AuditFilter, limit: i64) -> QueryResult<Vec<AuditRow>> {
    let mut query = audit_event::table.order(audit_event::id.desc()).limit(limit).select(AuditRow::as_select()).into_boxed();
    if let Some(actor) = &filter.actor {
        query = query.filter(audit_event::actor.eq(actor.clone()));
    }
    if let Some(action) = &filter.action {
        query = match action.strip_suffix('.') {
            // '/' follows '.': everything that starts with the area and its dot
            Some(area) => query.filter(audit_event::action.ge(action.clone()).and(audit_event::action.lt(format!("{area}/")))),
            None => query.filter(audit_event::action.eq(action.clone())),
        };
    }
    if let Some(subject) = &filter.subject {
        query = query.filter(audit_event::subject.eq(subject.clone()));
    }
    if let Some(from) = filter.from {
        query = query.filter(audit_event::at.ge(from));
    }
    if let Some(until) = filter.until {
        query = query.filter(audit_event::at.lt(until));
    }
    if let Some(before) = filter.before {
        query = query.filter(audit_event::id.lt(before));
    }
    query.load(conn)
}

/// Events whose subject is a service.
pub const SERVICE_ACTIONS: [&str; 3] = ["service.terms", "service.owner", "meter.exchange"];

/// What the audit trail says last of a service, newest first: its terms, its owner, its meters. Who moved is in the trails
/// of the accounts.
///
/// # Errors
/// Those of the database.
pub fn audit_of_service(conn: &mut DbConnection, code: &str, limit: i64) -> QueryResult<Vec<AuditRow>> {
    audit_event::table
        .filter(audit_event::subject.eq(code).and(audit_event::action.eq_any(SERVICE_ACTIONS)))
        .order(audit_event::id.desc())
        .limit(limit)
        .select(AuditRow::as_select())
        .load(conn)
}

/// A page of what the audit trail says of an account, newest first: what was done to it, to its services or to its returned
/// payments. Runs, whose numbers may look like an account's, are left out.
///
/// # Errors
/// Those of the database.
pub fn audit_of_account(
    conn: &mut DbConnection,
    number: &str,
    references: &[String],
    services: &[String],
    before: i64,
    limit: i64,
) -> QueryResult<Vec<AuditRow>> {
    let mut subjects = vec![number.to_owned()];
    subjects.extend_from_slice(references);
    let own = audit_event::subject.eq_any(subjects).and(audit_event::action.not_like("run.%"));
    let of_services = audit_event::subject.eq_any(services.to_vec()).and(audit_event::action.eq_any(SERVICE_ACTIONS));
    audit_event::table
        .filter(own.or(of_services).and(audit_event::id.lt(before)))
        .order(audit_event::id.desc())
        .limit(limit)
        .select(AuditRow::as_select())
        .load(conn)
}

/// What waits for a clerk, in figures.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct WaitingFigures {
    /// How many items are open.
    #[diesel(sql_type = BigInt)]
    pub items: i64,
    /// The money at stake in them, in cents.
    #[diesel(sql_type = BigInt)]
    pub amount_cents: i64,
    /// When the oldest was raised.
    #[diesel(sql_type = Nullable<Timestamp>)]
    pub oldest_at: Option<NaiveDateTime>,
}

/// What waits for a clerk, in figures.
///
/// # Errors
/// Those of the database.
pub fn waiting_figures(conn: &mut DbConnection) -> QueryResult<WaitingFigures> {
    diesel::sql_query(
        "SELECT CAST(count(*) AS BIGINT) AS items, CAST(coalesce(sum(abs(amount_cents)), 0) AS BIGINT) AS amount_cents, \
            min(raised_at) AS oldest_at FROM todo WHERE status = 'open'",
    )
    .get_result(conn)
}

/// How many notices could not be delivered since a moment.
///
/// # Errors
/// Those of the database.
pub fn notices_failed_since(conn: &mut DbConnection, since: NaiveDateTime) -> QueryResult<i64> {
    diesel::sql_query("SELECT CAST(count(*) AS BIGINT) AS total FROM notice WHERE status IN ('bounced', 'given_up') AND created_at >= $1")
        .bind::<Timestamp, _>(since)
        .get_result::<Count>(conn)
        .map(|row| row.total)
}
