//! Disputes: a customer questions a bill, a clerk answers. While the question is open the bill is held back: no fee, no reminder,
//! no draw.

use serde::Serialize;

use super::posting::check_words;
use crate::actions::account_view::Whose;
use crate::actions::bill_holds::{self, HoldKind};
use crate::actions::policy::policies_within;
use crate::actions::{ActionError, Context, notices};
use crate::db::account_views;
use crate::db::autopay::BillDue;
use crate::db::billing::{self, bill_number};
use crate::db::collections::disputes::{self as rows, DisputeRow, GivenAnswer, NewDispute};
use crate::db::operations::{self, Subject};
use crate::db::{DbConnection, ledger};
use crate::domain::disputes::{Answer, Asked, REASONS, answer_by, may_ask, pay_by};
use crate::domain::ids::{AccountId, DisputeId, RunId};
use crate::domain::notices::{Addressee, DisputeAnswered, DisputeOpened, Facts, NewNotice};
use crate::domain::policy::{Disputes, PolicyBook};
use crate::domain::rates::ChargeLine;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asking {
    /// The bill's number.
    pub bill: String,
    /// Which part of it, as [`parts_of_bill`] names it; empty for all of it.
    pub about: String,
    /// The reason's code.
    pub reason: String,
    /// In the customer's words.
    pub words: String,
    /// The idempotency key: the same form again asks nothing new.
    pub form_key: String,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answering {
    /// In short.
    pub answer: Answer,
    /// In words.
    pub words: String,
    /// What puts the bill right: the reference of a credit, or the number of the bill that was taken back or took its place.
    pub remedy: Option<String>,
}

/// A question with what pages show of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DisputeView {
    /// The bill's number.
    pub bill_number: String,
    /// The account's number.
    pub account: String,
    /// The question and its answer.
    #[serde(flatten)]
    pub row: DisputeRow,
    /// The reason in words.
    pub reason_words: String,
    /// Whether its day is over without an answer.
    pub overdue: bool,
}

/// A bill with the questions about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BillDisputes {
    /// The bill's number.
    pub bill_number: String,
    /// The account's number.
    pub account: String,
    /// Its date.
    pub bill_on: chrono::NaiveDate,
    /// When it is due.
    pub due_on: chrono::NaiveDate,
    /// What was to be paid, in cents.
    pub amount_due_cents: i64,
    /// The questions, newest first.
    pub disputes: Vec<DisputeView>,
    /// What can be questioned besides all of it.
    pub parts: Vec<String>,
    /// Why it cannot be questioned now; none when it can.
    pub refusal: Option<String>,
}

fn policy_of(policies: &PolicyBook, on: chrono::NaiveDate) -> Disputes {
    policies.on(on).disputes.clone().unwrap_or_default()
}

/// The key of the work item about a question.
fn todo_key(id: DisputeId) -> String {
    format!("dispute:{id}")
}

fn reason_words(code: &str) -> String {
    REASONS.iter().find(|(known, _)| *known == code).map_or(code, |(_, words)| words).to_owned()
}

/// The bill with this number of an account that somebody may look at.
fn find(conn: &mut DbConnection, number: &str, whose: Whose) -> Result<((RunId, AccountId), BillDue), ActionError> {
    let (key, bill) = bill_holds::find(conn, number)?;
    let head = account_views::head_by_id(conn, key.1)?.filter(|head| whose.allows(head.person_id));
    head.map(|_| (key, bill)).ok_or_else(|| ActionError::not_found("bill", number))
}

/// What of a bill can be questioned besides all of it: its services and their lines.
///
/// # Errors
/// [`ActionError::Form`] when a stored line cannot be read.
fn parts_of_bill(conn: &mut DbConnection, (run, account): (RunId, AccountId)) -> Result<Vec<String>, ActionError> {
    let mut parts = Vec::new();
    for segment in billing::billed_segments(conn, run, account, account)? {
        let lines: Vec<ChargeLine> = serde_json::from_str(&segment.lines).map_err(|error| ActionError::Form(error.to_string()))?;
        parts.push(segment.service_code.clone());
        parts.extend(lines.iter().map(|line| format!("{}: {}", segment.service_code, line.label)));
    }
    parts.dedup();
    Ok(parts)
}

fn asked_before(disputes: &[DisputeRow]) -> Asked {
    Asked {
        open: disputes.iter().any(|asked| asked.answer.is_none()),
        times: disputes.len(),
        answered_on: disputes.last().and_then(|asked| asked.answered_on),
    }
}

/// Questions a bill. The same form again changes nothing.
///
/// # Errors
/// [`ActionError::NotFound`] for a bill that they may not look at, [`ActionError::Refused`] when it is questioned already, may not
/// be questioned any more, was taken back, or a field is not filled in.
pub fn open_dispute(context: &Context, asking: &Asking, whose: Whose) -> Result<DisputeView, ActionError> {
    let words = check_words("words", &asking.words)?;
    if !REASONS.iter().any(|(code, _)| *code == asking.reason) {
        let codes = REASONS.map(|(code, _)| code).join(", ");
        return Err(ActionError::Refused(format!("reason: '{}' is no reason: expected one of {codes}", asking.reason)));
    }
    crate::actions::payments::check_reference(&asking.form_key)?;
    context.database.write(|conn| {
        let (key, _) = find(conn, &asking.bill, whose)?;
        ledger::lock_accounts(conn, &[key.1])?;
        let (key, bill) = find(conn, &asking.bill, whose)?;
        if let Some(known) = rows::by_form(conn, &asking.form_key)? {
            if (known.run_id, known.account_id) == key {
                return Ok(view(context, &bill.account, known));
            }
            return Err(ActionError::Refused("this form was used for another question: load its page again".to_owned()));
        }
        if !asking.about.is_empty() && !parts_of_bill(conn, key)?.contains(&asking.about) {
            return Err(ActionError::Refused(format!("about: '{}' is no part of bill {}", asking.about, asking.bill)));
        }
        open_within(context, conn, (key, &bill), asking, words)
    })
}

fn open_within(
    context: &Context,
    conn: &mut DbConnection,
    (key, bill): ((RunId, AccountId), &BillDue),
    asking: &Asking,
    words: &str,
) -> Result<DisputeView, ActionError> {
    let (now, today) = (context.now(), context.today());
    let policies = policies_within(conn)?;
    let policy = policy_of(&policies, today);
    let before = rows::of_bill(conn, key.0, key.1)?;
    if bill.status != "issued" {
        return Err(ActionError::Refused(format!("bill {} was taken back: there is nothing to question", asking.bill)));
    }
    may_ask(&policy, bill.bill_on, asked_before(&before), today).map_err(ActionError::Refused)?;
    let new = NewDispute {
        form_key: asking.form_key.clone(),
        run_id: key.0,
        account_id: key.1,
        about: asking.about.clone(),
        reason: asking.reason.clone(),
        words: words.to_owned(),
        asked_by: context.actor.clone(),
        asked_at: now,
        asked_on: today,
        due_on: answer_by(&policy, today),
        policy_sha256: policies.on(today).sha256.clone(),
        again_of: before.last().map(|asked| asked.id),
    };
    let id = rows::insert(conn, &new)?;
    bill_holds::hold_within(conn, context, (key, bill), HoldKind::Disputed, &format!("question {id}: {}", reason_words(&new.reason)))?;
    let about = if new.about.is_empty() { String::new() } else { format!(", about {}", new.about) };
    let reason = format!("bill {} is questioned{about}: {}; answer by {}", asking.bill, reason_words(&new.reason), new.due_on);
    let (todo, due) = (todo_key(id), Some(new.due_on));
    let amount = bill.amount_due_cents;
    operations::raise_about(conn, &Subject { kind: "dispute", key: &todo, account: key.1, amount_cents: amount, due_on: due, reason: &reason }, now)?;
    operations::audit(conn, now, &context.actor, "dispute.open", &bill.account, &format!("{} question {id}: {words}", asking.bill))?;
    let facts = Facts::DisputeOpened(DisputeOpened {
        bill_number: asking.bill.clone(),
        about: new.about.clone(),
        asked_on: today,
        answer_by: new.due_on,
        again: new.again_of.is_some(),
    });
    let notice = NewNotice { key: format!("dispute:{id}:opened"), to: Addressee::Account(key.1), happened_on: today, facts };
    notices::queue(conn, context, notice)?;
    let row = rows::by_id(conn, id)?.ok_or_else(|| ActionError::not_found("question", id.to_string()))?;
    Ok(view(context, &bill.account, row))
}

/// Answers a question and lets the bill go. The same answer again changes nothing.
///
/// # Errors
/// [`ActionError::NotFound`] for an unknown question, [`ActionError::Refused`] when it was answered otherwise, has no words, or says
/// that the customer is right and does not name what puts the bill right.
pub fn answer_dispute(context: &Context, id: DisputeId, answering: &Answering) -> Result<DisputeView, ActionError> {
    let words = check_words("words", &answering.words)?;
    let missing = || ActionError::not_found("question", id.to_string());
    context.database.write(|conn| {
        let asked = rows::by_id(conn, id)?.ok_or_else(missing)?;
        ledger::lock_accounts(conn, &[asked.account_id])?;
        let asked = rows::by_id(conn, id)?.ok_or_else(missing)?;
        let (key, bill) = bill_holds::find(conn, &bill_number(asked.run_id, asked.account_id))?;
        if asked.answer.is_some() {
            let same = asked.answer.as_deref() == Some(answering.answer.as_str()) && asked.answer_words.as_deref() == Some(words);
            return if same { Ok(view(context, &bill.account, asked)) } else { Err(ActionError::Refused("it was answered already".to_owned())) };
        }
        let remedy = check_remedy(conn, (key, &bill), answering)?;
        let (now, today) = (context.now(), context.today());
        let policies = policies_within(conn)?;
        let policy = policy_of(&policies, today);
        let given = GivenAnswer {
            answer: Some(answering.answer.as_str().to_owned()),
            answer_words: Some(words.to_owned()),
            remedy: remedy.clone(),
            answered_by: Some(context.actor.clone()),
            answered_at: Some(now),
            answered_on: Some(today),
            pay_by: Some(pay_by(&policy, today)),
        };
        rows::answer(conn, id, &given)?;
        bill_holds::release_within(conn, context, (key, &bill), HoldKind::Disputed, &format!("question {id} is answered"))?;
        release_carried(context, conn, key.1, id)?;
        operations::resolve_about(conn, &todo_key(id), &context.actor, words, now)?;
        let number = bill_number(key.0, key.1);
        operations::audit(
            conn,
            now,
            &context.actor,
            "dispute.answer",
            &bill.account,
            &format!("{number} question {id}, {}: {words}", answering.answer),
        )?;
        let again_by = asked.again_of.is_none().then(|| super::standing::later(today, policy.reopen_days.into()));
        let facts = Facts::DisputeAnswered(DisputeAnswered {
            bill_number: number,
            outcome: answering.answer.words().to_owned(),
            words: words.to_owned(),
            remedy,
            answered_on: today,
            pay_by: pay_by(&policy, today),
            again_by,
            balance_cents: ledger::position(conn, key.1)?.balance.cents(),
        });
        let notice = NewNotice { key: format!("dispute:{id}:answered"), to: Addressee::Account(key.1), happened_on: today, facts };
        notices::queue(conn, context, notice)?;
        let row = rows::by_id(conn, id)?.ok_or_else(missing)?;
        Ok(view(context, &bill.account, row))
    })
}

/// Holds bills that are being issued while a question about one that was taken back is open: what came in its place is not asked for
/// before the answer.
///
/// # Errors
/// Those of the database.
pub(in crate::actions) fn carry_within(context: &Context, conn: &mut DbConnection, bills: &[(RunId, AccountId)]) -> Result<(), ActionError> {
    let accounts = || bills.iter().map(|(_, account)| *account);
    let (Some(first), Some(last)) = (accounts().min(), accounts().max()) else { return Ok(()) };
    for asked in rows::open_of_cancelled(conn, first, last)? {
        let Some(key) = bills.iter().find(|(_, account)| *account == asked.account_id) else { continue };
        let (key, bill) = bill_holds::find(conn, &bill_number(key.0, key.1))?;
        let note = format!("question {} about bill {}, which was taken back", asked.id, bill_number(asked.run_id, asked.account_id));
        bill_holds::hold_within(conn, context, (key, &bill), HoldKind::Disputed, &note)?;
    }
    Ok(())
}

/// Lets the bills go that were held for a question about one that was taken back, once none is open.
fn release_carried(context: &Context, conn: &mut DbConnection, account: AccountId, id: DisputeId) -> Result<(), ActionError> {
    if !rows::open_of_cancelled(conn, account, account)?.is_empty() {
        return Ok(());
    }
    for run in rows::carried(conn, account)? {
        let (key, bill) = bill_holds::find(conn, &bill_number(run, account))?;
        bill_holds::release_within(conn, context, (key, &bill), HoldKind::Disputed, &format!("question {id} is answered"))?;
    }
    Ok(())
}

/// What puts the bill right must be there: a credit of this account, the bill itself taken back, or a bill that took its place.
fn check_remedy(conn: &mut DbConnection, (key, bill): ((RunId, AccountId), &BillDue), answering: &Answering) -> Result<Option<String>, ActionError> {
    let named = answering.remedy.as_deref().map(str::trim).filter(|remedy| !remedy.is_empty());
    let Some(named) = named else {
        return if answering.answer.changes_the_bill() {
            Err(ActionError::Refused(
                "remedy: it is empty: give the credit or take the bill back first, and name the credit's reference or the bill's number here"
                    .to_owned(),
            ))
        } else {
            Ok(None)
        };
    };
    if !answering.answer.changes_the_bill() {
        return Err(ActionError::Refused("remedy: a bill that stands needs none: leave it empty".to_owned()));
    }
    let own_credit = ledger::adjustment_by_reference(conn, named)?.is_some_and(|(account, _, cents, _)| account == key.1 && cents < 0);
    let own_bill = match bill_holds::find(conn, named) {
        Ok((other, _)) if other == key => bill.status == "cancelled",
        Ok((other, found)) => other.1 == key.1 && bill.status == "cancelled" && found.status == "issued" && found.account_seq > bill.account_seq,
        Err(ActionError::NotFound { .. }) => false,
        Err(error) => return Err(error),
    };
    if own_credit || own_bill {
        return Ok(Some(named.to_owned()));
    }
    Err(ActionError::Refused(format!(
        "remedy: '{named}' is neither the reference of a credit of account {}, nor this bill taken back, nor the bill that took its place",
        bill.account
    )))
}

pub(super) fn view(context: &Context, account: &str, row: DisputeRow) -> DisputeView {
    DisputeView {
        bill_number: bill_number(row.run_id, row.account_id),
        account: account.to_owned(),
        reason_words: reason_words(&row.reason),
        overdue: row.answer.is_none() && row.due_on < context.today(),
        row,
    }
}

/// A question.
///
/// # Errors
/// [`ActionError::NotFound`] when there is none.
pub fn show_dispute(context: &Context, id: DisputeId) -> Result<DisputeView, ActionError> {
    context.database.snapshot(|conn| {
        let row = rows::by_id(conn, id)?.ok_or_else(|| ActionError::not_found("question", id.to_string()))?;
        let (_, bill) = bill_holds::find(conn, &bill_number(row.run_id, row.account_id))?;
        Ok(view(context, &bill.account, row))
    })
}

/// A page of questions: the open ones by their day, or all of them, newest first, before an id.
///
/// # Errors
/// Those of the database.
pub fn list_disputes(context: &Context, open: bool, before: Option<DisputeId>, limit: i64) -> Result<Vec<DisputeView>, ActionError> {
    let found = context.database.read(|conn| rows::page(conn, open, before.unwrap_or(DisputeId(i64::MAX)), limit).map_err(ActionError::from))?;
    Ok(found.into_iter().map(|(row, account)| view(context, &account, row)).collect())
}

/// A bill with the questions about it, for somebody who may look at it.
///
/// # Errors
/// [`ActionError::NotFound`] for a bill that they may not look at.
pub fn bill_disputes(context: &Context, number: &str, whose: Whose) -> Result<BillDisputes, ActionError> {
    context.database.snapshot(|conn| {
        let (key, bill) = find(conn, number, whose)?;
        let policies = policies_within(conn)?;
        let today = context.today();
        let before = rows::of_bill(conn, key.0, key.1)?;
        let allowed = may_ask(&policy_of(&policies, today), bill.bill_on, asked_before(&before), today);
        let gone = (bill.status != "issued").then(|| "this bill was taken back: there is nothing to question".to_owned());
        Ok(BillDisputes {
            bill_number: number.to_owned(),
            parts: parts_of_bill(conn, key)?,
            refusal: gone.or(allowed.err()),
            disputes: before.into_iter().rev().map(|row| view(context, &bill.account, row)).collect(),
            bill_on: bill.bill_on,
            due_on: bill.due_on,
            amount_due_cents: bill.amount_due_cents,
            account: bill.account,
        })
    })
}
