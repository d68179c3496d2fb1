//! Requests as people see them: what, whose, by whom, what it does to the balance, and whether the viewer may decide.

use chrono::NaiveDateTime;
use serde::Serialize;

use super::decide::may_decide;
use super::who::{Who, who_is};
use super::{ActionError, Context, Share, Verdict, Wanted};
use crate::actions::policy::policies_within;
use crate::db::approvals::{self as rows, ApprovalRow, DecisionRow};
use crate::db::{DbConnection, customers, ledger};
use crate::domain::ids::{ApprovalId, CaseId};
use crate::domain::money::Money;
use crate::domain::policy::Policy;

/// How a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It waits.
    Waiting,
    /// It was approved and done.
    Approved,
    /// It was not.
    Rejected,
    /// Whoever asked wanted it no longer.
    Withdrawn,
    /// Nobody decided in time.
    Expired,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApprovalView {
    /// Its number.
    pub id: ApprovalId,
    /// What kind of thing.
    pub kind: String,
    /// The account's number; none for what concerns many.
    pub account: Option<String>,
    /// The customer's name.
    pub customer: Option<String>,
    /// How the balance moves: negative is a credit.
    pub amount: Money,
    /// Its reference.
    pub reference: String,
    /// What it is, in words.
    pub subject: String,
    /// The reason.
    pub reason: String,
    /// The asking person's words.
    pub note: String,
    /// Why a second person is needed.
    pub why: String,
    /// Who asked.
    pub asked_by: String,
    /// When, UTC.
    pub asked_at: NaiveDateTime,
    /// When it expires, UTC.
    pub expires_at: NaiveDateTime,
    /// How it stands.
    pub status: Status,
    /// Who decided.
    pub decided_by: Option<String>,
    /// When, UTC.
    pub decided_at: Option<NaiveDateTime>,
    /// Why.
    pub decided_note: Option<String>,
    /// The account's balance now.
    pub balance: Option<Money>,
    /// What it would be afterwards, while it waits.
    pub balance_after: Option<Money>,
    /// Where the account's ledger stands.
    pub position: Option<i64>,
    /// The hash that a decision names.
    pub sha256: String,
    /// Why the viewer may not decide; none when they may.
    pub may_not: Option<String>,
    /// Whether the viewer asked for it and may take it back.
    pub may_withdraw: bool,
    /// What accounts get or are charged, when it concerns several; of many, those with the largest amounts.
    pub shares: Vec<Share>,
    /// The case of overcharges that it puts right.
    pub case: Option<CaseId>,
}

/// A page of requests that wait, the oldest first, after one.
///
/// # Errors
/// Those of the database.
pub fn list_waiting(context: &Context, after: ApprovalId, limit: i64) -> Result<Vec<ApprovalView>, ActionError> {
    context.database.snapshot(|conn| {
        let found = rows::waiting(conn, after, limit)?;
        let viewing = Viewing::new(conn, context)?;
        found.into_iter().map(|row| viewing.view(conn, row, None)).collect()
    })
}

/// A page of requests that were decided, the newest first, before one.
///
/// # Errors
/// Those of the database.
pub fn list_decided(context: &Context, before: ApprovalId, limit: i64) -> Result<Vec<ApprovalView>, ActionError> {
    context.database.snapshot(|conn| {
        let found = rows::decided(conn, before, limit)?;
        let viewing = Viewing::new(conn, context)?;
        found.into_iter().map(|(row, decision)| viewing.view(conn, row, Some(decision))).collect()
    })
}

/// One request.
///
/// # Errors
/// [`ActionError::NotFound`] when there is none.
pub fn show(context: &Context, id: ApprovalId) -> Result<ApprovalView, ActionError> {
    context.database.snapshot(|conn| {
        let row = rows::by_id(conn, id)?.ok_or_else(|| ActionError::not_found("request", id.to_string()))?;
        let decision = rows::decision(conn, id)?;
        Viewing::new(conn, context)?.view(conn, row, decision)
    })
}

/// Who looks, when, and by which policy.
struct Viewing {
    who: Who,
    now: NaiveDateTime,
    policy: Policy,
}

impl Viewing {
    fn new(conn: &mut DbConnection, context: &Context) -> Result<Self, ActionError> {
        let policy = policies_within(conn)?.on(context.today()).clone();
        Ok(Self { who: who_is(conn, &context.actor)?, now: context.now(), policy })
    }

    fn view(&self, conn: &mut DbConnection, row: ApprovalRow, decision: Option<DecisionRow>) -> Result<ApprovalView, ActionError> {
        let status = match decision.as_ref().map(|decision| decision.decision.as_str()) {
            None if self.now > row.expires_at => Status::Expired,
            None => Status::Waiting,
            Some("approved") => Status::Approved,
            Some("rejected") => Status::Rejected,
            Some("withdrawn") => Status::Withdrawn,
            Some(_) => Status::Expired,
        };
        let position = row.account_id.map(|account| ledger::position(conn, account)).transpose()?;
        let number = row.account_id.map(|account| customers::account_number(conn, account)).transpose()?;
        let customer = match &number {
            Some(number) => customers::name_of_account(conn, number)?,
            None => None,
        };
        let amount = Money::from_cents(row.amount_cents);
        let waits = status == Status::Waiting;
        let may_not = match may_decide(conn, &row, Verdict::Approve, &self.who, &self.policy) {
            Ok(()) => None,
            Err(ActionError::Refused(reason)) => Some(reason),
            Err(error) => return Err(error),
        };
        let wanted: Option<Wanted> = serde_json::from_str(&row.act).ok();
        let (shares, case) = match wanted {
            Some(Wanted::Permit(permit)) => (permit.shares, permit.case),
            _ => (Vec::new(), None),
        };
        Ok(ApprovalView {
            shares,
            case,
            may_withdraw: waits && row.asked_person == self.who.person,
            may_not,
            id: row.id,
            kind: row.kind,
            account: number,
            customer,
            amount,
            reference: row.reference,
            subject: row.subject,
            reason: row.reason,
            note: row.note,
            why: row.why,
            asked_by: row.asked_by,
            asked_at: row.asked_at,
            expires_at: row.expires_at,
            status,
            decided_by: decision.as_ref().map(|decision| decision.decided_by.clone()),
            decided_at: decision.as_ref().map(|decision| decision.decided_at),
            decided_note: decision.map(|decision| decision.note).filter(|note| !note.is_empty()),
            balance: position.map(|position| position.balance),
            balance_after: position.filter(|_| waits).and_then(|position| position.balance.checked_add(amount)),
            position: position.map(|position| position.seq),
            sha256: row.sha256,
        })
    }
}
