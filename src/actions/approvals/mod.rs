//! The second person: what the policy lets nobody do alone is asked for, looked at by another, and done once when approved.
//!
//! A request is stored whole and never edited; its hash stands in the form of whoever decides, so that what is approved is what
//! was seen. Whoever asked never decides: not under another sign-in with the same address, nor under one with the same name. The
//! decision and what it sets going are one transaction, so that it happens once whatever is repeated or breaks. The rules are in
//! the code, and those that can be in the schema are there, too.

mod decide;
mod expire;
mod permit;
mod view;
mod who;

use std::borrow::Cow;

use chrono::{NaiveDateTime, TimeDelta};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::adjust::{self, Adjustment};
use super::balances::{self, PayOut, Transfer};
use super::payments::Posted;
use super::policy::policies_within;
use super::refunds::{self, CameBack, RefundWish};
use super::undo::{self, Undo};
use super::{ActionError, Context, account_named};
use crate::db::approvals::{self as rows, ApprovalRow, DecisionRow, NewApproval};
use crate::db::{DbConnection, customers, ledger, operations};
use crate::domain::ids::{AccountId, ApprovalId, CaseId};
use crate::domain::money::Money;
use crate::domain::policy::Policy;
use who::{Who, given_by, who_is};

pub use decide::{Channel, Decided, Seen, Verdict, decide, decide_by};
pub use expire::expire_due;
pub(super) use permit::{Amounts, permit_within, waiting_for, waits, why_two, why_two_back, why_two_of};
pub use permit::{SHARES, WAITS};
pub use view::{ApprovalView, Status, list_decided, list_waiting, show};

/// What somebody wants, and a second person may have to approve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Wanted {
    /// A credit or a charge.
    Adjust(Adjustment),
    /// A credit or a charge taken back.
    Undo(Undo),
    /// A credit balance paid out by bank or cheque.
    PayOut(PayOut),
    /// A balance carried to another account: a debt that is carried away is a credit, a credit that is carried there is one, too.
    Transfer(Transfer),
    /// A payment's money given back through its provider.
    GiveBack(RefundWish),
    /// A payout that somebody says came back, without a movement at the bank.
    CameBack(CameBack),
    /// Work of some other kind: approving lets it be done, and whoever does it asks for it again.
    Permit(Permit),
}

/// Work that needs a second person and is done by its own action once it is approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permit {
    /// What kind of work: a name that no other work has.
    pub kind: String,
    /// The account, when it is one account's.
    pub account: Option<String>,
    /// How balances move in all: negative is credits.
    pub amount: Money,
    /// The idempotency key.
    pub reference: String,
    /// What it is, in a few words.
    pub subject: String,
    /// Why, in words.
    pub note: String,
    /// What the accounts get or are charged, when it is several; of many, those with the largest amounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<Share>,
    /// The case of overcharges that it puts right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<CaseId>,
}

/// What one account gets or is charged by work on several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Its number.
    pub account: String,
    /// How its balance moves: negative is a credit.
    pub amount: Money,
}

/// What came of wanting something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is done.
    Done(Posted),
    /// It may be done.
    Permitted,
    /// It waits for a second person.
    Waits(Waiting),
}

/// A request that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// Its number.
    pub id: ApprovalId,
    /// Why a second person is needed.
    pub why: String,
    /// When it expires, UTC.
    pub expires_at: NaiveDateTime,
    /// Whether it was there already.
    pub unchanged: bool,
}

/// What a check of something wanted found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Checked {
    /// It is in the ledger already.
    Done(Posted),
    /// It can be done as things stand.
    Ready {
        /// Whose balance; the account's lock is held.
        account: AccountId,
        /// How it moves.
        movement: Money,
        /// Why, as people call it.
        reason: String,
    },
}

/// Does something, or asks a second person for it where the policy wants one. The same again changes nothing.
///
/// # Errors
/// [`ActionError::Refused`] when it cannot be done as things stand, the reference stands for something else, or whoever asks is
/// not known as a sign-in; those of the thing itself.
pub fn ask(context: &Context, wanted: &Wanted) -> Result<Outcome, ActionError> {
    context.database.write(|conn| ask_within(conn, context, wanted))
}

/// Does something that needs no second person.
///
/// # Errors
/// As [`ask`], and [`ActionError::Refused`] when it needs one.
pub(super) fn give(context: &Context, wanted: &Wanted) -> Result<Posted, ActionError> {
    context.database.write(|conn| match go(conn, context, wanted, false)? {
        Outcome::Done(posted) => Ok(posted),
        Outcome::Waits(waiting) => Err(ActionError::Refused(format!("it waits for a second person as request {}: {}", waiting.id, waiting.why))),
        Outcome::Permitted => Err(ActionError::Refused("it is permitted, and done by its own action".to_owned())),
    })
}

/// [`ask`] within a transaction.
pub(super) fn ask_within(conn: &mut DbConnection, context: &Context, wanted: &Wanted) -> Result<Outcome, ActionError> {
    go(conn, context, wanted, true)
}

fn go(conn: &mut DbConnection, context: &Context, wanted: &Wanted, may_ask: bool) -> Result<Outcome, ActionError> {
    let policy = policies_within(conn)?.on(context.today()).clone();
    let who = who_is(conn, &context.actor)?;
    if let Some(outcome) = known_request(conn, context, &policy, wanted, &who)? {
        return Ok(outcome);
    }
    let (account, movement, reason) = match wanted.check(conn, context, &policy)? {
        Some(Checked::Done(posted)) => return Ok(Outcome::Done(posted)),
        Some(Checked::Ready { account, movement, reason }) => (Some(account), movement, reason),
        None => wanted.permit(conn)?,
    };
    let wanted = wanted.fixed(movement);
    let Some(why) = second_person(conn, context, &policy, &wanted, (account, movement), &who)? else {
        return wanted.execute(conn, context, movement).map(|posted| posted.map_or(Outcome::Permitted, Outcome::Done));
    };
    if !may_ask {
        return Err(ActionError::Refused(format!("it needs a second person: {why}")));
    }
    must_be_staff(&who, &why)?;
    store(conn, context, &policy, &wanted, (account, movement, reason), (why, who)).map(Outcome::Waits)
}

/// Whoever asks a second person must be known by a sign-in.
fn must_be_staff(who: &Who, why: &str) -> Result<(), ActionError> {
    if who.is_staff() {
        return Ok(());
    }
    Err(ActionError::Refused(format!(
        "it needs a second person: {why}. Whoever asks must be known by a sign-in of the utility, and '{}' is none: name one with --by",
        who.by
    )))
}

/// What became of the request that has the reference already.
fn known_request(conn: &mut DbConnection, context: &Context, policy: &Policy, wanted: &Wanted, who: &Who) -> Result<Option<Outcome>, ActionError> {
    let reference = wanted.reference();
    let Some(row) = rows::by_reference(conn, &reference)? else { return Ok(None) };
    let stored: Wanted = serde_json::from_str(&row.act).map_err(|error| ActionError::Form(format!("stored request {}: {error}", row.id)))?;
    if !wanted.is(&stored) || row.asked_person != who.person {
        return Err(ActionError::Refused(format!("reference: '{reference}' stands for another request already")));
    }
    match rows::decision(conn, row.id)? {
        None => Ok(Some(Outcome::Waits(Waiting { id: row.id, why: row.why, expires_at: row.expires_at, unchanged: true }))),
        Some(decision) if decision.decision == "approved" => match (row.account_id, ledger::adjustment_by_reference(conn, &reference)?) {
            (Some(account), Some((_, _, _, seq))) => Ok(Some(Outcome::Done(Posted::already(seq, ledger::position(conn, account)?)))),
            _ => still_permitted(context, policy, &row, &decision, who).map(Some),
        },
        Some(decision) => {
            Err(ActionError::Refused(format!("reference: request {} was {}: ask again under another reference", row.id, decision.decision)))
        }
    }
}

/// Whether what was approved may still be done: for as long as a request waits, and by somebody who still works here.
fn still_permitted(context: &Context, policy: &Policy, row: &ApprovalRow, decision: &DecisionRow, who: &Who) -> Result<Outcome, ActionError> {
    let days = policy.credits.request_days;
    if context.now() > decision.decided_at + TimeDelta::days(days.into()) {
        return Err(ActionError::Refused(format!(
            "reference: request {} was approved on {} and not used within {days} days: ask again under another reference",
            row.id,
            decision.decided_at.date()
        )));
    }
    if !who.is_staff() {
        return Err(ActionError::Refused(format!("'{}' asked for it and may not sign in any more: somebody who may must ask again", who.by)));
    }
    Ok(Outcome::Permitted)
}

fn store(
    conn: &mut DbConnection,
    context: &Context,
    policy: &Policy,
    wanted: &Wanted,
    (account, movement, reason): (Option<AccountId>, Money, String),
    (why, who): (String, Who),
) -> Result<Waiting, ActionError> {
    let now = context.now();
    let act = serde_json::to_string(wanted).map_err(|error| ActionError::Form(error.to_string()))?;
    let mut row = NewApproval {
        kind: wanted.kind().to_owned(),
        account_id: account,
        amount_cents: movement.cents(),
        reference: wanted.reference().into_owned(),
        subject: wanted.subject(),
        reason,
        note: wanted.note().to_owned(),
        act,
        sha256: String::new(),
        why: why.clone(),
        policy_sha256: policy.sha256.clone(),
        asked_by: who.by,
        asked_person: who.person,
        asked_name: who.name,
        asked_at: now,
        expires_at: now + TimeDelta::days(policy.credits.request_days.into()),
    };
    row.sha256 = hash_of(&row);
    let id = rows::insert(conn, &row)?;
    let of = account.map(|account| customers::account_number(conn, account)).transpose()?;
    let place = of.as_deref().map_or_else(String::new, |number| format!(" on account {number}"));
    let told = format!("{}{place}, asked for by {}: {why}", row.subject, row.asked_by);
    rows::raise(conn, (id, account), movement.cents().abs(), &told, now)?;
    let detail = format!("request {id}: {} {} {}", movement, row.kind, row.reference);
    operations::audit(conn, now, &context.actor, "approval.ask", of.as_deref().unwrap_or("approvals"), &detail)?;
    Ok(Waiting { id, why, expires_at: row.expires_at, unchanged: false })
}

/// What a decision must name: whatever is changed about a request, it is another hash.
fn hash_of(row: &NewApproval) -> String {
    let parts = [
        row.kind.clone(),
        row.account_id.map(|id| id.to_string()).unwrap_or_default(),
        row.amount_cents.to_string(),
        row.reference.clone(),
        row.subject.clone(),
        row.reason.clone(),
        row.note.clone(),
        row.act.clone(),
        row.why.clone(),
        row.policy_sha256.clone(),
        row.asked_by.clone(),
        row.asked_person.clone(),
        row.asked_name.clone(),
        row.asked_at.to_string(),
        row.expires_at.to_string(),
    ];
    let mut hash = Sha256::new();
    for part in parts {
        // With its length, so that no text can pass for two.
        hash.update(part.len().to_be_bytes());
        hash.update(part.as_bytes());
    }
    data_encoding::HEXLOWER.encode(&hash.finalize())
}

/// Whether a stored request is what was asked for: whoever changed the database beside the program changed the hash, too.
fn is_untouched(row: &ApprovalRow) -> bool {
    let row = row.clone();
    let content = NewApproval {
        kind: row.kind,
        account_id: row.account_id,
        amount_cents: row.amount_cents,
        reference: row.reference,
        subject: row.subject,
        reason: row.reason,
        note: row.note,
        act: row.act,
        sha256: row.sha256,
        why: row.why,
        policy_sha256: row.policy_sha256,
        asked_by: row.asked_by,
        asked_person: row.asked_person,
        asked_name: row.asked_name,
        asked_at: row.asked_at,
        expires_at: row.expires_at,
    };
    hash_of(&content) == content.sha256
}

/// Why a second person is needed; nothing when one is enough.
fn second_person(
    conn: &mut DbConnection,
    context: &Context,
    policy: &Policy,
    wanted: &Wanted,
    (account, movement): (Option<AccountId>, Money),
    who: &Who,
) -> Result<Option<String>, ActionError> {
    let is_refund = wanted.is_refund();
    let (what, above, total_above, citation) = if is_refund {
        let rule = &policy.refunds;
        ("refunds", rule.approval_above, rule.approval_above, &rule.citation)
    } else {
        let rule = &policy.credits;
        ("credits", rule.approval_above, rule.approval_total_above, &rule.citation)
    };
    let size = wanted.size(movement);
    wanted.fits_largest(policy, movement)?;
    if let Wanted::Undo(undo) = wanted
        && (rows::by_reference(conn, &undo.of)?.is_some() || rows::case_was_approved(conn, &undo.of)?)
    {
        return Ok(Some(format!("two people decided about '{}': one alone does not take it back ({citation})", undo.of)));
    }
    if let Wanted::Permit(permit) = wanted
        && let size = Money::from_cents(permit.amount.cents().saturating_abs())
        && size > above
    {
        return Ok(Some(format!("{size} is more than {above} ({citation})")));
    }
    if size <= Money::ZERO {
        let limit = policy.credits.charge_above();
        return Ok((movement > limit).then(|| format!("a charge of {movement} is more than {limit} ({citation})")));
    }
    if size > above {
        return Ok(Some(format!("{size} is more than {above} ({citation})")));
    }
    let Some(account) = wanted.credited(conn, account, movement)? else { return Ok(None) };
    let days = policy.credits.approval_days;
    let since = context.now() - TimeDelta::days(days.into());
    let before = given_by(conn, account, since, who, is_refund)?;
    let total = before.checked_add(size).ok_or_else(|| ActionError::Refused("amount: it is too large".to_owned()))?;
    Ok((total > total_above).then(|| {
        format!("with this one {who} gave the account {what} of {total} within {days} days, more than {total_above} ({citation})", who = who.by)
    }))
}

impl Wanted {
    fn is_refund(&self) -> bool {
        matches!(self, Self::PayOut(_) | Self::GiveBack(_))
    }

    /// What is given away: nothing, or less, of a charge.
    fn size(&self, movement: Money) -> Money {
        match self {
            Self::PayOut(_) | Self::GiveBack(_) => movement,
            Self::Transfer(_) if movement.is_positive() => movement,
            _ => -movement,
        }
    }

    /// Refuses what is larger than the policy lets anybody give, or charge.
    fn fits_largest(&self, policy: &Policy, movement: Money) -> Result<(), ActionError> {
        let (largest, citation) =
            if self.is_refund() { (policy.refunds.largest, &policy.refunds.citation) } else { (policy.credits.largest, &policy.credits.citation) };
        let size = if movement.is_negative() { -movement } else { movement };
        if size > largest && (movement.is_negative() || !matches!(self, Self::Permit(_))) {
            let verb = if self.size(movement).is_positive() { "give" } else { "charge" };
            return Err(ActionError::Refused(format!(
                "amount: {size} is more than {largest}, the most that the policy lets anybody {verb} ({citation})"
            )));
        }
        Ok(())
    }

    /// The account that is better off by it: of a credit that is carried the one that it goes to.
    fn credited(&self, conn: &mut DbConnection, account: Option<AccountId>, movement: Money) -> Result<Option<AccountId>, ActionError> {
        match self {
            Self::Transfer(wish) if movement.is_positive() => Ok(Some(account_named(conn, &wish.to)?.id)),
            _ => Ok(account),
        }
    }

    /// What kind of thing it is, as tables call it.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::Adjust(_) => "adjustment",
            Self::Undo(_) => "undo",
            Self::PayOut(_) => "pay_out",
            Self::Transfer(_) => "transfer",
            Self::GiveBack(_) => "give_back",
            Self::CameBack(_) => "came_back",
            Self::Permit(permit) => &permit.kind,
        }
    }

    fn reference(&self) -> Cow<'_, str> {
        match self {
            Self::Adjust(wish) => Cow::Borrowed(&wish.reference),
            Self::Undo(wish) => Cow::Borrowed(&wish.reference),
            Self::PayOut(wish) => Cow::Borrowed(&wish.reference),
            Self::Transfer(wish) => Cow::Owned(wish.out_reference()),
            Self::GiveBack(wish) => Cow::Borrowed(&wish.reference),
            Self::CameBack(wish) => Cow::Owned(wish.reference()),
            Self::Permit(wish) => Cow::Borrowed(&wish.reference),
        }
    }

    fn note(&self) -> &str {
        match self {
            Self::Adjust(wish) => &wish.note,
            Self::Undo(wish) => &wish.note,
            Self::PayOut(wish) => &wish.note,
            Self::Transfer(wish) => &wish.note,
            Self::GiveBack(wish) => &wish.note,
            Self::CameBack(wish) => &wish.note,
            Self::Permit(wish) => &wish.note,
        }
    }

    /// What it is, for whoever approves.
    fn subject(&self) -> String {
        match self {
            Self::Adjust(wish) if wish.amount.is_negative() => format!("credit of {}, value date {}", -wish.amount, wish.effective_on),
            Self::Adjust(wish) => format!("charge of {}, value date {}", wish.amount, wish.effective_on),
            Self::Undo(wish) => format!("undo of {}", wish.of),
            Self::PayOut(wish) => {
                let payee = wish.payee.as_ref().map_or_else(|| "by a person's transfer".to_owned(), crate::domain::payouts::Payee::words);
                format!("payout of {} {payee}", wish.amount.unwrap_or_default())
            }
            Self::Transfer(wish) => {
                let balance = wish.shown.map_or_else(|| "the balance".to_owned(), |shown| format!("the balance of {shown}"));
                format!("{balance} of account {} carried to account {}", wish.from, wish.to)
            }
            Self::CameBack(wish) => format!("payout {} is said to have come back", wish.payout),
            Self::GiveBack(wish) => format!("refund of {} of payment {} to where it came from", wish.amount, wish.payment),
            Self::Permit(wish) => wish.subject.clone(),
        }
    }

    /// The same with what was left open decided.
    fn fixed(&self, movement: Money) -> Self {
        match self {
            Self::PayOut(wish) => Self::PayOut(PayOut { amount: Some(movement), ..wish.clone() }),
            Self::Transfer(wish) => Self::Transfer(Transfer { shown: Some(-movement), ..wish.clone() }),
            other => other.clone(),
        }
    }

    /// Whether it is what was stored; what was left open fits anything.
    fn is(&self, stored: &Self) -> bool {
        match (self, stored) {
            (Self::PayOut(wish), Self::PayOut(known)) if wish.amount.is_none() => PayOut { amount: known.amount, ..wish.clone() } == *known,
            (Self::Transfer(wish), Self::Transfer(known)) if wish.shown.is_none() => Transfer { shown: known.shown, ..wish.clone() } == *known,
            _ => self == stored,
        }
    }

    /// Checks it as things stand, and takes its account's lock. Nothing for what is only permitted.
    fn check(&self, conn: &mut DbConnection, context: &Context, policy: &Policy) -> Result<Option<Checked>, ActionError> {
        match self {
            Self::Adjust(wish) => adjust::check_within(conn, context, policy, wish).map(Some),
            Self::Undo(wish) => undo::check_within(conn, wish).map(Some),
            Self::PayOut(wish) => balances::check_within(conn, context, policy, wish).map(Some),
            Self::Transfer(wish) => balances::check_transfer(conn, context, policy, wish).map(Some),
            Self::CameBack(wish) => refunds::check_came_back(conn, wish).map(Some),
            Self::GiveBack(wish) => refunds::check_within(conn, context, policy, wish).map(Some),
            Self::Permit(_) => Ok(None),
        }
    }

    fn permit(&self, conn: &mut DbConnection) -> Result<(Option<AccountId>, Money, String), ActionError> {
        let Self::Permit(permit) = self else { return Err(ActionError::Refused("it is no permit".to_owned())) };
        balances::check_words(&permit.reference, &permit.note)?;
        let account = permit.account.as_deref().map(|number| account_named(conn, number)).transpose()?;
        Ok((account.map(|account| account.id), permit.amount, permit.kind.clone()))
    }

    /// Does it, within a transaction that checked it.
    fn execute(&self, conn: &mut DbConnection, context: &Context, movement: Money) -> Result<Option<Posted>, ActionError> {
        match self {
            Self::Adjust(wish) => adjust::post_within(conn, context, wish).map(Some),
            Self::Undo(wish) => undo::undo_checked(conn, context, wish, movement).map(Some),
            Self::PayOut(wish) => balances::pay_out_checked(conn, context, wish, movement).map(Some),
            Self::Transfer(wish) => balances::transfer_checked(conn, context, wish, movement).map(Some),
            Self::CameBack(wish) => refunds::came_back_checked(conn, context, wish).map(Some),
            Self::GiveBack(wish) => refunds::give_back_checked(conn, context, wish).map(Some),
            Self::Permit(_) => Ok(None),
        }
    }
}
