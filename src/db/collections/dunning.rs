//! Dunning: procedures, their steps, and when each step's notice was sent.

use chrono::{NaiveDate, NaiveDateTime};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Date, Integer, Nullable, Text, Timestamp};

use super::super::DbConnection;
use super::super::bulk::insert_all;
use super::super::schema::{dunning_case, dunning_charge, dunning_step};
use crate::domain::ids::{AccountId, DunningCaseId};

/// A procedure as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, serde::Serialize)]
#[diesel(table_name = dunning_case)]
pub struct CaseRow {
    /// Identity.
    pub id: DunningCaseId,
    /// Whose.
    pub account_id: AccountId,
    /// Since when.
    pub opened_on: NaiveDate,
    /// When the work item at its end was raised, UTC.
    pub finished_at: Option<NaiveDateTime>,
    /// When it was over, UTC.
    pub closed_at: Option<NaiveDateTime>,
    /// Why it is over.
    pub closed_because: Option<String>,
}

/// A step to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Insertable)]
#[diesel(table_name = dunning_step, treat_none_as_default_value = false)]
pub struct NewStep {
    /// Of which procedure.
    pub case_id: DunningCaseId,
    /// Which step, from 1.
    pub step_no: i32,
    /// What it is called.
    pub name: String,
    /// Days that must lie between its sending and what comes next.
    pub notice_days: i32,
    /// What was overdue, in cents.
    pub overdue_cents: i64,
    /// Since when.
    pub since_on: NaiveDate,
    /// The day.
    pub made_on: NaiveDate,
    /// When, UTC.
    pub made_at: NaiveDateTime,
    /// The policy that it follows.
    pub policy_sha256: String,
    /// The notice's key.
    pub notice_key: String,
}

/// A step with what became of its notice.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName, serde::Serialize)]
pub struct StepRow {
    /// Of which procedure.
    #[diesel(sql_type = BigInt)]
    pub case_id: DunningCaseId,
    /// Which step, from 1.
    #[diesel(sql_type = Integer)]
    pub step_no: i32,
    /// What it is called.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// Days that must lie between its sending and what comes next.
    #[diesel(sql_type = Integer)]
    pub notice_days: i32,
    /// What was overdue, in cents.
    #[diesel(sql_type = BigInt)]
    pub overdue_cents: i64,
    /// The day on which it was made.
    #[diesel(sql_type = Date)]
    pub made_on: NaiveDate,
    /// The notice's key.
    #[diesel(sql_type = Text)]
    pub notice_key: String,
    /// Where the notice stands; none when there is no address that it could go to.
    #[diesel(sql_type = Nullable<Text>)]
    pub notice_status: Option<String>,
    /// When it was sent by e-mail, UTC.
    #[diesel(sql_type = Nullable<Timestamp>)]
    pub mailed_at: Option<NaiveDateTime>,
    /// When a clerk sent it as a letter, UTC.
    #[diesel(sql_type = Nullable<Timestamp>)]
    pub posted_at: Option<NaiveDateTime>,
    /// Whether a clerk is to send a letter.
    #[diesel(sql_type = BigInt)]
    pub letters: i64,
}

impl StepRow {
    /// When the customer was told, UTC: by e-mail that was not refused, or by letter.
    #[must_use]
    pub fn sent_at(&self) -> Option<NaiveDateTime> {
        let mailed = self.mailed_at.filter(|_| self.notice_status.as_deref() == Some("sent"));
        [mailed, self.posted_at].into_iter().flatten().min()
    }

    /// Whether no e-mail reaches the customer, so that a letter must.
    #[must_use]
    pub fn needs_letter(&self) -> bool {
        let reached = matches!(self.notice_status.as_deref(), Some("queued" | "sending" | "sent"));
        !reached && self.letters == 0
    }
}

/// The procedure of an account that goes on.
///
/// # Errors
/// Those of the database.
pub fn open_case(conn: &mut DbConnection, account: AccountId) -> QueryResult<Option<CaseRow>> {
    dunning_case::table
        .filter(dunning_case::account_id.eq(account).and(dunning_case::closed_at.is_null()))
        .select(CaseRow::as_select())
        .first(conn)
        .optional()
}

/// The procedures of an account, newest first.
///
/// # Errors
/// Those of the database.
pub fn cases_of(conn: &mut DbConnection, account: AccountId, limit: i64) -> QueryResult<Vec<CaseRow>> {
    dunning_case::table
        .filter(dunning_case::account_id.eq(account))
        .order(dunning_case::id.desc())
        .limit(limit)
        .select(CaseRow::as_select())
        .load(conn)
}

/// Opens a procedure.
///
/// # Errors
/// Those of the database.
pub fn open(conn: &mut DbConnection, account: AccountId, on: NaiveDate, at: NaiveDateTime) -> QueryResult<DunningCaseId> {
    diesel::insert_into(dunning_case::table)
        .values((dunning_case::account_id.eq(account), dunning_case::opened_on.eq(on), dunning_case::opened_at.eq(at)))
        .returning(dunning_case::id)
        .get_result(conn)
}

/// Writes down that the work item at the end was raised.
///
/// # Errors
/// Those of the database.
pub fn finish(conn: &mut DbConnection, id: DunningCaseId, at: NaiveDateTime) -> QueryResult<usize> {
    diesel::update(dunning_case::table.filter(dunning_case::id.eq(id).and(dunning_case::finished_at.is_null())))
        .set(dunning_case::finished_at.eq(Some(at)))
        .execute(conn)
}

/// Ends a procedure.
///
/// # Errors
/// Those of the database.
pub fn close(conn: &mut DbConnection, id: DunningCaseId, because: &str, at: NaiveDateTime) -> QueryResult<usize> {
    diesel::update(dunning_case::table.filter(dunning_case::id.eq(id).and(dunning_case::closed_at.is_null())))
        .set((dunning_case::closed_at.eq(Some(at)), dunning_case::closed_because.eq(Some(because))))
        .execute(conn)
}

/// Writes down which charges a procedure is about, by their positions.
///
/// # Errors
/// Those of the database.
pub fn insert_charges(conn: &mut DbConnection, case: DunningCaseId, account: AccountId, seqs: &[i64]) -> QueryResult<()> {
    #[derive(Insertable)]
    #[diesel(table_name = dunning_charge, treat_none_as_default_value = false)]
    struct Row {
        case_id: DunningCaseId,
        account_id: AccountId,
        account_seq: i64,
    }
    let rows: Vec<Row> = seqs.iter().map(|seq| Row { case_id: case, account_id: account, account_seq: *seq }).collect();
    insert_all!(conn, dunning_charge::table, &rows).map(|_| ())
}

/// The positions of the charges that a procedure is about.
///
/// # Errors
/// Those of the database.
pub fn charges_of(conn: &mut DbConnection, case: DunningCaseId) -> QueryResult<Vec<i64>> {
    dunning_charge::table.filter(dunning_charge::case_id.eq(case)).order(dunning_charge::account_seq).select(dunning_charge::account_seq).load(conn)
}

/// Stores a step.
///
/// # Errors
/// Those of the database; a unique violation means that it was taken already.
pub fn insert_step(conn: &mut DbConnection, new: &NewStep) -> QueryResult<()> {
    diesel::insert_into(dunning_step::table).values(new).execute(conn).map(|_| ())
}

/// The key of the work item about a step's letter.
#[must_use]
pub fn letter_key(case: DunningCaseId, step_no: i32) -> String {
    format!("letter:{case}:{step_no}")
}

/// The steps of a procedure in their order.
///
/// # Errors
/// Those of the database.
pub fn steps_of(conn: &mut DbConnection, case: DunningCaseId) -> QueryResult<Vec<StepRow>> {
    diesel::sql_query(
        "SELECT s.case_id, s.step_no, s.name, s.notice_days, s.overdue_cents, s.made_on, s.notice_key, n.status AS notice_status, \
            n.sent_at AS mailed_at, \
            (SELECT min(t.resolved_at) FROM todo t WHERE t.subject_key = 'letter:' || CAST(s.case_id AS TEXT) || ':' || CAST(s.step_no AS TEXT) \
                AND t.status = 'released') AS posted_at, \
            (SELECT CAST(count(*) AS BIGINT) FROM todo t \
                WHERE t.subject_key = 'letter:' || CAST(s.case_id AS TEXT) || ':' || CAST(s.step_no AS TEXT)) AS letters \
         FROM dunning_step s LEFT JOIN notice n ON n.dedupe_key = s.notice_key \
         WHERE s.case_id = $1 ORDER BY s.step_no",
    )
    .bind::<BigInt, _>(case)
    .load(conn)
}
