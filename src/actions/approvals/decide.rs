//! Approving, rejecting, withdrawing: the decision and what it sets going in one transaction.

use serde::Serialize;

use super::who::{Who, who_is};
use super::{Checked, Wanted, is_untouched};
use crate::actions::payments::Posted;
use crate::actions::policy::policies_within;
use crate::actions::sign_in::Proven;
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

/// How it is known who decides.
#[derive(Debug, Clone, Copy)]
pub enum Channel<'a> {
    /// By a session that was begun with both factors.
    Page,
    /// By a password and a code that were given for this decision.
    Proven(&'a Proven),
    /// By a name only: enough to take back what was asked for under it.
    Name,
}

impl Channel<'_> {
    fn as_str(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Proven(_) => "command_line",
            Self::Name => "name",
        }
    }

    /// Whether it is certain enough for a verdict that it is this person.
    fn proves(self, who: &Who, verdict: Verdict) -> bool {
        match self {
            Self::Page => true,
            Self::Proven(proven) => who.login.as_ref().is_some_and(|login| login.id == proven.login()),
            Self::Name => verdict == Verdict::Withdraw,
        }
    }
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

/// [`decide_by`] of whoever is signed in on a page.
///
/// # Errors
/// As [`decide_by`].
pub fn decide(context: &Context, id: ApprovalId, verdict: Verdict, seen: &Seen, note: &str) -> Result<Decided, ActionError> {
    decide_by(context, Channel::Page, id, verdict, (seen, note))
}

/// Decides about a request. What is approved is done in the same transaction, once.
///
/// # Errors
/// [`ActionError::NotFound`] when there is no such request; [`ActionError::Refused`] when whoever decides asked for it, may not
/// decide, saw something else, or it is decided or expired; those of the thing itself when it cannot be done any more.
pub fn decide_by(
    context: &Context,
    channel: Channel<'_>,
    id: ApprovalId,
    verdict: Verdict,
    (seen, note): (&Seen, &str),
) -> Result<Decided, ActionError> {
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
        if !channel.proves(&who, verdict) {
            return Err(ActionError::Refused(format!("'{}' must prove who they are: by the password and a code", who.by)));
        }
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
            channel: channel.as_str().to_owned(),
            decided_at: now,
            note: note.to_owned(),
        };
        rows::insert_decision(conn, &decision)?;
        let posted = if verdict == Verdict::Approve { execute(conn, context, &policy, &row, seen)? } else { None };
        write_down(conn, &row, &decision, verdict)?;
        Ok(Decided { decision: decision.decision, posted, unchanged: false })
    })
}

/// Closes the work item of a request and writes the decision into the audit trail.
fn write_down(conn: &mut DbConnection, row: &ApprovalRow, decision: &DecisionRow, verdict: Verdict) -> Result<(), ActionError> {
    let (by, note, now) = (&decision.decided_by, &decision.note, decision.decided_at);
    rows::resolve(conn, row.id, by, &format!("{}: {note}", verdict.as_str()), now)?;
    let about = row.account_id.map(|account| customers::account_number(conn, account)).transpose()?;
    let detail = format!("request {} of {}: {} {} (by {}) {note}", row.id, row.asked_by, row.subject, row.reference, decision.channel);
    let action = match verdict {
        Verdict::Approve => "approval.approve",
        Verdict::Reject => "approval.reject",
        Verdict::Withdraw => "approval.withdraw",
    };
    Ok(operations::audit(conn, now, by, action, about.as_deref().unwrap_or("approvals"), &detail)?)
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
    if let Some(change) = changed_sign_in(conn, row, who)? {
        return refused(change);
    }
    let asker_may = asked.role().is_some_and(|role| role.may(Permission::WorkAccounts));
    if verdict == Verdict::Approve && !asker_may {
        return refused(format!("{} asked for it and may not work accounts any more: somebody who may must ask again", row.asked_by));
    }
    Ok(())
}

/// Why a sign-in is not its owner's for sure: it was made, let in again, or had its password or factor taken away since the
/// request, or ever by whoever asked.
fn changed_sign_in(conn: &mut DbConnection, row: &ApprovalRow, who: &Who) -> Result<Option<String>, ActionError> {
    for (action, actor, at) in rows::changes_of_sign_in(conn, &who.by)? {
        if at > row.asked_at {
            return Ok(Some(format!(
                "the sign-in '{}' was changed after this was asked for ({action} on {}): somebody else decides",
                who.by,
                at.date()
            )));
        }
        let changer = who_is(conn, &actor)?;
        if changer.person == row.asked_person || changer.name == row.asked_name {
            return Ok(Some(format!("the sign-in '{}' was made or changed by whoever asks ({action} by {actor}): somebody else decides", who.by)));
        }
    }
    Ok(None)
}

fn execute(conn: &mut DbConnection, context: &Context, policy: &Policy, row: &ApprovalRow, seen: &Seen) -> Result<Option<Posted>, ActionError> {
    let wanted: Wanted = serde_json::from_str(&row.act).map_err(|error| ActionError::Form(format!("stored request {}: {error}", row.id)))?;
    let asking = Context { actor: row.asked_by.clone(), ..context.clone() };
    let movement = match wanted.check(conn, &asking, policy)? {
        Some(Checked::Ready { account, movement, .. }) if Some(account) == row.account_id && movement.cents() == row.amount_cents => movement,
        None => return Ok(None),
        Some(_) => return Err(ActionError::Refused(format!("request {} does not fit what stands in the ledger: reject it and ask again", row.id))),
    };
    wanted.fits_largest(policy, movement)?;
    if let (Some(account), Some(position)) = (row.account_id, seen.position) {
        let now = ledger::position(conn, account)?;
        if now.seq != position {
            return Err(ActionError::Refused(format!("the balance is {} now and was another one when it was shown: look again", now.balance)));
        }
    }
    wanted.execute(conn, &asking, movement)
}
