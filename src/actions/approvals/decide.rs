//! Approving, rejecting, withdrawing: the decision and what it sets going in one transaction.

use serde::Serialize;

use super::who::{Who, who_is};
use super::{Checked, Wanted, is_untouched};
use crate::actions::payments::Posted;
use crate::actions::policy::policies_within;
use crate::actions::{ActionError, Context};
use crate::db::approvals::{self as rows, ApprovalRow, DecisionRow};
use crate::db::{DbConnection, customers, ledger, operations, sign_in};
use crate::domain::ids::ApprovalId;
use crate::domain::policy::Policy;
use crate::domain::roles::Permission;

/// A decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is done now.
    Approve,
    /// It is not done.
    Reject,
    /// Whoever asked wants it no longer.
    Withdraw,
}

impl Verdict {
    /// As tables call it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approved",
            Self::Reject => "rejected",
            Self::Withdraw => "withdrawn",
        }
    }
}

/// What the decider saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The request's hash.
    pub sha256: String,
    /// Where the account's ledger stood; none where no balance was shown.
    pub position: Option<i64>,
}

/// What a decision did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decided {
    /// `approved`, `rejected` or `withdrawn`.
    pub decision: String,
    /// Where it is in the ledger, when it was approved and moved a balance.
    pub posted: Option<Posted>,
    /// Whether it was decided so before: nothing was done twice.
    pub unchanged: bool,
}

/// Decides about a request. What is approved is done in the same transaction, once.
///
/// # Errors
/// [`ActionError::NotFound`] when there is no such request; [`ActionError::Refused`] when whoever decides asked for it, may not
/// decide, saw something else, or it is decided or expired; those of the thing itself when it cannot be done any more.
pub fn decide(context: &Context, id: ApprovalId, verdict: Verdict, seen: &Seen, note: &str) -> Result<Decided, ActionError> {
    let note = note.trim();
    if note.chars().count() > 1_000 {
        return Err(ActionError::Refused("note: expected up to 1000 letters".to_owned()));
    }
    if verdict == Verdict::Reject && note.is_empty() {
        return Err(ActionError::Refused("note: it is empty: expected why it is rejected, in words".to_owned()));
    }
    context.database.write(|conn| {
        let row = rows::locked(conn, id)?.ok_or_else(|| ActionError::not_found("request", id.to_string()))?;
        let who = who_is(conn, &context.actor)?;
        if let Some(login) = &who.login {
            sign_in::lock_login(conn, login.id)?;
        }
        let who = who_is(conn, &who.by)?;
        let policy = policies_within(conn)?.on(context.today()).clone();
        may_decide(conn, &row, verdict, &who, &policy)?;
        if row.sha256 != seen.sha256 {
            return Err(ActionError::Refused("the request is not the one that was shown: look again".to_owned()));
        }
        if !is_untouched(&row) {
            return Err(ActionError::Refused(format!(
                "request {id} was changed beside the program: reject nothing and approve nothing, tell whoever runs it"
            )));
        }
        if let Some(decision) = rows::decision(conn, id)? {
            return again(conn, &row, &decision, verdict, &who);
        }
        let now = context.now();
        if now > row.expires_at {
            return Err(ActionError::Refused(format!("request {id} has expired: it must be asked for again")));
        }
        let decision = DecisionRow {
            approval_id: id,
            decision: verdict.as_str().to_owned(),
            sha256: seen.sha256.clone(),
            decided_by: who.by.clone(),
            decided_person: who.person.clone(),
            decided_name: who.name.clone(),
            login_id: who.login.as_ref().map(|login| login.id),
            decided_at: now,
            note: note.to_owned(),
        };
        rows::insert_decision(conn, &decision)?;
        let posted = if verdict == Verdict::Approve { execute(conn, context, &policy, &row, seen)? } else { None };
        rows::resolve(conn, id, &who.by, &format!("{}: {note}", verdict.as_str()), now)?;
        let about = row.account_id.map(|account| customers::account_number(conn, account)).transpose()?;
        let detail = format!("request {id} of {}: {} {} {note}", row.asked_by, row.subject, row.reference);
        let action = match verdict {
            Verdict::Approve => "approval.approve",
            Verdict::Reject => "approval.reject",
            Verdict::Withdraw => "approval.withdraw",
        };
        operations::audit(conn, now, &context.actor, action, about.as_deref().unwrap_or("approvals"), &detail)?;
        Ok(Decided { decision: decision.decision, posted, unchanged: false })
    })
}

/// The same decision by the same person again is answered as before; another one comes too late.
fn again(conn: &mut DbConnection, row: &ApprovalRow, decision: &DecisionRow, verdict: Verdict, who: &Who) -> Result<Decided, ActionError> {
    if decision.decision != verdict.as_str() || decision.decided_person != who.person {
        return Err(ActionError::Refused(format!("request {} was {} by {} already", row.id, decision.decision, decision.decided_by)));
    }
    let posted = match (row.account_id, ledger::adjustment_by_reference(conn, &row.reference)?) {
        (Some(account), Some((_, _, _, seq))) => Some(Posted::already(seq, ledger::position(conn, account)?)),
        _ => None,
    };
    Ok(Decided { decision: decision.decision.clone(), posted, unchanged: true })
}

/// Whether somebody may decide about a request as things stand; the reason why not.
pub(super) fn may_decide(conn: &mut DbConnection, row: &ApprovalRow, verdict: Verdict, who: &Who, policy: &Policy) -> Result<(), ActionError> {
    let refused = |message: String| Err(ActionError::Refused(message));
    let asked = who_is(conn, &row.asked_by)?;
    let own = row.asked_person == who.person || row.asked_name == who.name || row.asked_by == who.by || asked.is(who);
    if verdict == Verdict::Withdraw {
        return if row.asked_person == who.person { Ok(()) } else { refused("only whoever asked for it withdraws it".to_owned()) };
    }
    let role = who.role().filter(|role| role.may(Permission::ApproveMoney) && policy.credits.approvers.contains(role));
    if role.is_none() {
        let roles: Vec<&str> = policy.credits.approvers.iter().map(|role| role.as_str()).collect();
        return refused(format!(
            "'{}' may not decide: expected somebody who may sign in as {} ({})",
            who.by,
            roles.join(" or "),
            policy.credits.citation
        ));
    }
    if own {
        return refused("whoever asks for it does not decide about it: a second person must".to_owned());
    }
    let asker_may = asked.role().is_some_and(|role| role.may(Permission::WorkAccounts));
    if verdict == Verdict::Approve && !asker_may {
        return refused(format!("{} asked for it and may not work accounts any more: somebody who may must ask again", row.asked_by));
    }
    Ok(())
}

fn execute(conn: &mut DbConnection, context: &Context, policy: &Policy, row: &ApprovalRow, seen: &Seen) -> Result<Option<Posted>, ActionError> {
    let wanted: Wanted = serde_json::from_str(&row.act).map_err(|error| ActionError::Form(format!("stored request {}: {error}", row.id)))?;
    let asking = Context { actor: row.asked_by.clone(), ..context.clone() };
    let movement = match wanted.check(conn, &asking, policy)? {
        Some(Checked::Ready { account, movement, .. }) if Some(account) == row.account_id && movement.cents() == row.amount_cents => movement,
        None => return Ok(None),
        Some(_) => return Err(ActionError::Refused(format!("request {} does not fit what stands in the ledger: reject it and ask again", row.id))),
    };
    let largest = if movement.is_negative() { policy.credits.largest } else { policy.refunds.largest };
    if matches!(wanted, Wanted::PayOut(_) | Wanted::GiveBack(_)) || movement.is_negative() {
        let size = if movement.is_negative() { -movement } else { movement };
        if size > largest {
            return Err(ActionError::Refused(format!("{size} is more than {largest}, the most that the policy lets anybody give")));
        }
    }
    if let (Some(account), Some(position)) = (row.account_id, seen.position) {
        let now = ledger::position(conn, account)?;
        if now.seq != position {
            return Err(ActionError::Refused(format!("the balance is {} now and was another one when it was shown: look again", now.balance)));
        }
    }
    wanted.execute(conn, &asking, movement)
}
