//! What was asked for and what was decided: rows that are inserted and never changed.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text, Timestamp};

use super::DbConnection;
use super::schema::{adjustment, adjustment_reversal, approval, approval_decision, audit_event, todo};
use crate::domain::ids::{AccountId, AdjustmentId, ApprovalId, LoginId};

/// A request as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = approval)]
pub struct ApprovalRow {
    /// Identity.
    pub id: ApprovalId,
    /// What kind of thing is asked for.
    pub kind: String,
    /// Whose balance; none for what concerns many accounts.
    pub account_id: Option<AccountId>,
    /// How the balance moves, in cents: negative is a credit.
    pub amount_cents: i64,
    /// The idempotency key.
    pub reference: String,
    /// What it is, in a few words.
    pub subject: String,
    /// Why, by reason code or in words.
    pub reason: String,
    /// The asking person's words.
    pub note: String,
    /// What will be done, as JSON.
    pub act: String,
    /// The hash that a decision names.
    pub sha256: String,
    /// Why a second person is needed.
    pub why: String,
    /// By which policy; empty for the built-in rules.
    pub policy_sha256: String,
    /// Who asked.
    pub asked_by: String,
    /// Who that is, whatever the sign-in.
    pub asked_person: String,
    /// The name, however it is written.
    pub asked_name: String,
    /// When, UTC.
    pub asked_at: NaiveDateTime,
    /// When it expires, UTC.
    pub expires_at: NaiveDateTime,
}

/// A request to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Insertable)]
#[diesel(table_name = approval, treat_none_as_default_value = false)]
pub struct NewApproval {
    /// What kind of thing is asked for.
    pub kind: String,
    /// Whose balance.
    pub account_id: Option<AccountId>,
    /// How the balance moves, in cents.
    pub amount_cents: i64,
    /// The idempotency key.
    pub reference: String,
    /// What it is, in a few words.
    pub subject: String,
    /// Why, by reason code or in words.
    pub reason: String,
    /// The asking person's words.
    pub note: String,
    /// What will be done, as JSON.
    pub act: String,
    /// The hash that a decision names.
    pub sha256: String,
    /// Why a second person is needed.
    pub why: String,
    /// By which policy.
    pub policy_sha256: String,
    /// Who asked.
    pub asked_by: String,
    /// Who that is.
    pub asked_person: String,
    /// The name.
    pub asked_name: String,
    /// When, UTC.
    pub asked_at: NaiveDateTime,
    /// When it expires, UTC.
    pub expires_at: NaiveDateTime,
}

/// A decision.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = approval_decision, treat_none_as_default_value = false)]
pub struct DecisionRow {
    /// About which request.
    pub approval_id: ApprovalId,
    /// `approved`, `rejected`, `withdrawn` or `expired`.
    pub decision: String,
    /// The hash that was seen.
    pub sha256: String,
    /// Who decided.
    pub decided_by: String,
    /// Who that is, whatever the sign-in.
    pub decided_person: String,
    /// The name.
    pub decided_name: String,
    /// The sign-in; none for whoever withdraws on the command line, and for what expires.
    pub login_id: Option<LoginId>,
    /// How it is known who decided: `page`, `command_line`, `name` or `program`.
    pub channel: String,
    /// When, UTC.
    pub decided_at: NaiveDateTime,
    /// Why.
    pub note: String,
}

/// Stores a request.
///
/// # Errors
/// Those of the database; a unique violation means that the reference is taken.
pub fn insert(conn: &mut DbConnection, row: &NewApproval) -> QueryResult<ApprovalId> {
    diesel::insert_into(approval::table).values(row).returning(approval::id).get_result(conn)
}

/// Stores a decision. The schema refuses one by whoever asked, by somebody who may not, or about another content.
///
/// # Errors
/// Those of the database; a unique violation means that it is decided.
pub fn insert_decision(conn: &mut DbConnection, row: &DecisionRow) -> QueryResult<()> {
    diesel::insert_into(approval_decision::table).values(row).execute(conn).map(|_| ())
}

/// A request, locked so that nobody else decides about it meanwhile.
///
/// # Errors
/// Those of the database.
pub fn locked(conn: &mut DbConnection, id: ApprovalId) -> QueryResult<Option<ApprovalRow>> {
    if let DbConnection::Postgres(conn) = conn {
        diesel::sql_query("SELECT id FROM approval WHERE id = $1 FOR UPDATE").bind::<BigInt, _>(id).execute(conn)?;
    }
    by_id(conn, id)
}

/// A request.
///
/// # Errors
/// Those of the database.
pub fn by_id(conn: &mut DbConnection, id: ApprovalId) -> QueryResult<Option<ApprovalRow>> {
    approval::table.find(id).select(ApprovalRow::as_select()).first(conn).optional()
}

/// A request by its reference.
///
/// # Errors
/// Those of the database.
pub fn by_reference(conn: &mut DbConnection, reference: &str) -> QueryResult<Option<ApprovalRow>> {
    approval::table.filter(approval::reference.eq(reference)).select(ApprovalRow::as_select()).first(conn).optional()
}

/// The newest request that waits and whose reference begins like this.
///
/// # Errors
/// Those of the database.
pub fn undecided_of(conn: &mut DbConnection, beginning: &str, now: NaiveDateTime) -> QueryResult<Option<ApprovalId>> {
    let found: Vec<Found> = diesel::sql_query(format!(
        "{UNDECIDED} AND substr(a.reference, 1, {}) = $1 AND a.expires_at >= $2 ORDER BY a.id DESC LIMIT 1",
        beginning.chars().count()
    ))
    .bind::<Text, _>(beginning)
    .bind::<Timestamp, _>(now)
    .load(conn)?;
    Ok(found.into_iter().next().map(|row| row.id))
}

/// Whether an adjustment is a difference of a case of overcharges (`finding:N`) that a second person agreed to.
///
/// # Errors
/// Those of the database.
pub fn case_was_approved(conn: &mut DbConnection, adjustment: &str) -> QueryResult<bool> {
    let Some(finding) = adjustment.strip_prefix("finding:").and_then(|id| id.parse::<i64>().ok()) else { return Ok(false) };
    let found: Vec<Found> = diesel::sql_query(
        "SELECT a.id FROM approval a \
         JOIN approval_decision d ON d.approval_id = a.id AND d.decision = 'approved' \
         JOIN overcharge_finding f ON f.id = $1 AND a.reference LIKE 'case:' || CAST(f.case_id AS TEXT) || ':%' LIMIT 1",
    )
    .bind::<BigInt, _>(finding)
    .load(conn)?;
    Ok(!found.is_empty())
}

/// What was decided about a request.
///
/// # Errors
/// Those of the database.
pub fn decision(conn: &mut DbConnection, id: ApprovalId) -> QueryResult<Option<DecisionRow>> {
    approval_decision::table.find(id).select(DecisionRow::as_select()).first(conn).optional()
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = BigInt)]
    id: ApprovalId,
}

const UNDECIDED: &str = "SELECT a.id FROM approval a WHERE NOT EXISTS (SELECT 1 FROM approval_decision d WHERE d.approval_id = a.id)";

/// A page of requests that wait, the oldest first, after one.
///
/// # Errors
/// Those of the database.
pub fn waiting(conn: &mut DbConnection, after: ApprovalId, limit: i64) -> QueryResult<Vec<ApprovalRow>> {
    let found: Vec<Found> = diesel::sql_query(format!("{UNDECIDED} AND a.id > $1 ORDER BY a.id LIMIT $2"))
        .bind::<BigInt, _>(after)
        .bind::<BigInt, _>(limit)
        .load(conn)?;
    let ids: Vec<ApprovalId> = found.iter().map(|row| row.id).collect();
    approval::table.filter(approval::id.eq_any(ids)).order(approval::id).select(ApprovalRow::as_select()).load(conn)
}

/// A page of requests that were decided, the newest first, before one.
///
/// # Errors
/// Those of the database.
pub fn decided(conn: &mut DbConnection, before: ApprovalId, limit: i64) -> QueryResult<Vec<(ApprovalRow, DecisionRow)>> {
    let mut decisions: Vec<DecisionRow> = approval_decision::table
        .filter(approval_decision::approval_id.lt(before))
        .order(approval_decision::approval_id.desc())
        .limit(limit)
        .select(DecisionRow::as_select())
        .load(conn)?;
    let ids: Vec<ApprovalId> = decisions.iter().map(|row| row.approval_id).collect();
    let rows: Vec<ApprovalRow> =
        approval::table.filter(approval::id.eq_any(ids)).order(approval::id.desc()).select(ApprovalRow::as_select()).load(conn)?;
    Ok(rows.into_iter().zip(decisions.drain(..)).collect())
}

/// Requests that wait though their time is over.
///
/// # Errors
/// Those of the database.
pub fn expired(conn: &mut DbConnection, now: NaiveDateTime, limit: i64) -> QueryResult<Vec<ApprovalId>> {
    let found: Vec<Found> = diesel::sql_query(format!("{UNDECIDED} AND a.expires_at < $1 ORDER BY a.id LIMIT $2"))
        .bind::<Timestamp, _>(now)
        .bind::<BigInt, _>(limit)
        .load(conn)?;
    Ok(found.into_iter().map(|row| row.id).collect())
}

/// Raises the work item of a request.
///
/// # Errors
/// Those of the database.
pub fn raise(
    conn: &mut DbConnection,
    (id, account): (ApprovalId, Option<AccountId>),
    amount_cents: i64,
    reason: &str,
    at: NaiveDateTime,
) -> QueryResult<()> {
    diesel::insert_into(todo::table)
        .values((
            todo::kind.eq("approval"),
            todo::status.eq("open"),
            todo::approval_id.eq(Some(id)),
            todo::account_id.eq(account),
            todo::amount_cents.eq(Some(amount_cents)),
            todo::reason.eq(reason),
            todo::raised_at.eq(at),
        ))
        .execute(conn)
        .map(|_| ())
}

/// Resolves the work item of a request that waits no longer.
///
/// # Errors
/// Those of the database.
pub fn resolve(conn: &mut DbConnection, id: ApprovalId, by: &str, note: &str, at: NaiveDateTime) -> QueryResult<usize> {
    diesel::update(todo::table.filter(todo::approval_id.eq(Some(id)).and(todo::status.eq("open"))))
        .set((todo::status.eq("released"), todo::resolved_by.eq(Some(by)), todo::note.eq(Some(note)), todo::resolved_at.eq(Some(at))))
        .execute(conn)
}

/// What was done to a sign-in that lets another person in by it: what, by whom and when, the latest first.
///
/// # Errors
/// Those of the database.
pub fn changes_of_sign_in(conn: &mut DbConnection, email: &str) -> QueryResult<Vec<(String, String, NaiveDateTime)>> {
    audit_event::table
        .filter(audit_event::subject.eq(email))
        .filter(audit_event::action.eq_any(["staff.add", "staff.enable", "staff.link", "sign_in.factor_removed"]))
        .order(audit_event::id.desc())
        .limit(200)
        .select((audit_event::action, audit_event::actor, audit_event::at))
        .load(conn)
}

/// What somebody gave an account without another's approval: how much, and who.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Given {
    /// Movement of the balance, in cents.
    #[diesel(sql_type = BigInt)]
    pub amount_cents: i64,
    /// Why.
    #[diesel(sql_type = Text)]
    pub reason_code: String,
    /// Who.
    #[diesel(sql_type = Text)]
    pub entered_by: String,
}

/// What was given to an account by hand since a moment and without approval, by ledger time: a value date is the giver's choice.
/// What was undone since does not count, nor does a refund that came back by the bank or the provider.
///
/// # Errors
/// Those of the database.
pub fn given_since(conn: &mut DbConnection, account: AccountId, since: NaiveDateTime) -> QueryResult<Vec<Given>> {
    diesel::sql_query(
        "SELECT a.amount_cents, a.reason_code, a.entered_by FROM adjustment a \
         JOIN financial_transaction f ON f.account_id = a.account_id AND f.account_seq = a.account_seq \
         WHERE a.account_id = $1 AND f.posted_at >= $2 \
            AND NOT EXISTS (SELECT 1 FROM approval p WHERE p.reference = a.reference) \
            AND (a.reason_code <> 'transfer' OR NOT EXISTS (SELECT 1 FROM approval p \
                WHERE p.kind = 'transfer' AND p.reference = substr(a.reference, 1, length(a.reference) - 3) || '/out')) \
            AND (a.reason_code <> 'refund-failed' OR EXISTS (SELECT 1 FROM refund_turn t \
                WHERE t.account_id = a.account_id AND t.account_seq = a.account_seq AND t.alone = 1)) \
            AND NOT EXISTS (SELECT 1 FROM adjustment_reversal r WHERE r.reverses_id = a.id)",
    )
    .bind::<BigInt, _>(account)
    .bind::<Timestamp, _>(since)
    .load(conn)
}

/// An adjustment that may be undone.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct Undoable {
    /// Identity.
    pub id: AdjustmentId,
    /// Whose balance.
    pub account_id: AccountId,
    /// Why it was given.
    pub reason_code: String,
    /// Movement of the balance, in cents.
    pub amount_cents: i64,
    /// Its reference.
    pub reference: String,
    /// Its position in the ledger.
    pub account_seq: i64,
}

/// The adjustment with a reference.
///
/// # Errors
/// Those of the database.
pub fn adjustment(conn: &mut DbConnection, reference: &str) -> QueryResult<Option<Undoable>> {
    adjustment::table
        .filter(adjustment::reference.eq(reference))
        .select((
            adjustment::id,
            adjustment::account_id,
            adjustment::reason_code,
            adjustment::amount_cents,
            adjustment::reference,
            adjustment::account_seq,
        ))
        .first(conn)
        .optional()
}

/// The adjustment at a position of an account's ledger.
///
/// # Errors
/// Those of the database.
pub fn adjustment_at(conn: &mut DbConnection, account: AccountId, seq: i64) -> QueryResult<Option<String>> {
    adjustment::table
        .filter(adjustment::account_id.eq(account).and(adjustment::account_seq.eq(seq)))
        .select(adjustment::reference)
        .first(conn)
        .optional()
}

/// The reference of what undid an adjustment.
///
/// # Errors
/// Those of the database.
pub fn undone_by(conn: &mut DbConnection, id: AdjustmentId) -> QueryResult<Option<String>> {
    adjustment_reversal::table
        .inner_join(adjustment::table.on(adjustment::id.eq(adjustment_reversal::adjustment_id)))
        .filter(adjustment_reversal::reverses_id.eq(id))
        .select(adjustment::reference)
        .first(conn)
        .optional()
}

/// Whether an adjustment is itself an undo.
///
/// # Errors
/// Those of the database.
pub fn is_undo(conn: &mut DbConnection, id: AdjustmentId) -> QueryResult<bool> {
    diesel::select(diesel::dsl::exists(adjustment_reversal::table.find(id))).get_result(conn)
}

/// Links an undo to what it undoes: once.
///
/// # Errors
/// Those of the database; a unique violation means that it is undone.
pub fn insert_reversal(conn: &mut DbConnection, undo: AdjustmentId, of: AdjustmentId) -> QueryResult<()> {
    diesel::insert_into(adjustment_reversal::table)
        .values((adjustment_reversal::adjustment_id.eq(undo), adjustment_reversal::reverses_id.eq(of)))
        .execute(conn)
        .map(|_| ())
}
