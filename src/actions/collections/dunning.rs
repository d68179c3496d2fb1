//! Dunning: the reminders of what an account has overdue. Each step waits for the days of the one before it, from the day on
//! which that was sent.

use chrono::{NaiveDate, NaiveDateTime};
use serde::Serialize;

use super::late_fees::fees_of;
use super::standing::{BillStanding, Standing, is_paying};
use crate::actions::{ActionError, Context, notices};
use crate::clock::local_date;
use crate::db::collections::dunning::{self as rows, CaseRow, NewStep, StepRow, letter_key};
use crate::db::collections::late_fees;
use crate::db::customers::AccountRow;
use crate::db::notices as notice_rows;
use crate::db::operations::{self, Subject};
use crate::db::{DbConnection, ledger};
use crate::domain::dunning::{Move, Overdue, Reached, next};
use crate::domain::ids::{AccountId, DunningCaseId, RunId};
use crate::domain::money::Money;
use crate::domain::notices::{Addressee, Facts, NewNotice, PaymentReminder};
use crate::domain::policy::{Dunning, PolicyBook};

/// What looking at an account's reminders did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct DunningCounts {
    /// Notices that were made.
    pub reminders: u64,
    /// Letters that a clerk is to send.
    pub letters: u64,
    /// Work items about a disconnection.
    pub work_items: u64,
    /// Procedures that are over.
    pub ended: u64,
}

/// Takes the next step of an account's reminders when it is time, or ends them, within a transaction that holds its lock.
pub(super) fn look_within(
    context: &Context,
    conn: &mut DbConnection,
    account: &AccountRow,
    policies: &PolicyBook,
    today: NaiveDate,
) -> Result<DunningCounts, ActionError> {
    let mut counts = DunningCounts::default();
    let case = rows::open_case(conn, account.id)?;
    let Some(policy) = &policies.on(today).dunning else {
        if let Some(case) = case {
            end(context, conn, &case, "the policy asks for no reminders any more", &mut counts)?;
        }
        return Ok(counts);
    };
    let standing = Standing::load(context, conn, account.id)?;
    // A procedure is about what its first step was about: what came due since has its own, from the first step.
    let about = case.as_ref().map(|case| rows::charges_of(conn, case.id)).transpose()?;
    let fees = fees_of_held(conn, account.id, &standing)?;
    let overdue = standing.overdue(today, &fees, about.as_deref());
    let steps = match &case {
        Some(case) => rows::steps_of(conn, case.id)?,
        None => Vec::new(),
    };
    ask_for_letter(conn, account, steps.last(), context.now(), &mut counts)?;
    match (next(policy, overdue, reached(context, case.as_ref(), &steps), today), overdue) {
        (Move::End, _) => {
            if let Some(case) = case {
                end(context, conn, &case, why_over(&standing), &mut counts)?;
            }
        }
        // Money that is on its way stops everything until it has arrived, or has not.
        (Move::Notice(_) | Move::WorkItem, _) if is_paying(conn, account.id)? => {}
        (Move::Notice(step), Some(overdue)) => {
            let id = if let Some(case) = case {
                case.id
            } else {
                let id = rows::open(conn, account.id, today, context.now())?;
                rows::insert_charges(conn, id, account.id, &standing.overdue_seqs(today, &fees))?;
                id
            };
            let policy = (policy, policies.on(today).sha256.as_str());
            remind(context, conn, account, (id, step), policy, overdue, today)?;
            counts.reminders += 1;
            let made = rows::steps_of(conn, id)?;
            ask_for_letter(conn, account, made.last(), context.now(), &mut counts)?;
        }
        (Move::WorkItem, Some(overdue)) => {
            if let Some(case) = case {
                raise_work_item(context, conn, account, &case, overdue)?;
                counts.work_items += 1;
            }
        }
        (Move::Wait | Move::Notice(_) | Move::WorkItem, _) => {}
    }
    Ok(counts)
}

/// The positions of the fees of bills that are held back: they are not asked for either.
fn fees_of_held(conn: &mut DbConnection, account: AccountId, standing: &Standing) -> Result<Vec<i64>, ActionError> {
    let held: Vec<&BillStanding> = standing.bills.iter().filter(|bill| bill.held).collect();
    let fees = if held.is_empty() { Vec::new() } else { late_fees::of_account(conn, account)? };
    Ok(fees_of(&fees, &held))
}

fn reached(context: &Context, case: Option<&CaseRow>, steps: &[StepRow]) -> Reached {
    let sent_at = steps.last().and_then(StepRow::sent_at);
    Reached {
        step: steps.len(),
        sent_on: sent_at.map(|at| local_date(at, context.config.time_zone)),
        notice_days: steps.last().map_or(0, |step| u32::try_from(step.notice_days).unwrap_or(0)),
        finished: case.is_some_and(|case| case.finished_at.is_some()),
    }
}

/// Why nothing is overdue any more.
fn why_over(standing: &Standing) -> &'static str {
    let held = standing.bills.iter().any(|bill| bill.held && bill.open_cents > 0);
    if held || standing.plan.is_some() { "what is owed is held back, in question, or in a pay plan" } else { "it is paid" }
}

fn disconnection_key(case: DunningCaseId) -> String {
    format!("disconnection:{case}")
}

/// Ends a procedure: what clerks were asked to do for it is not to be done any more, and no reminder of it is sent that was not.
fn end(context: &Context, conn: &mut DbConnection, case: &CaseRow, because: &str, counts: &mut DunningCounts) -> Result<(), ActionError> {
    let now = context.now();
    rows::close(conn, case.id, because, now)?;
    counts.ended += 1;
    for step in rows::steps_of(conn, case.id)? {
        operations::withdraw_about(conn, &letter_key(case.id, step.step_no), &context.actor, because, now)?;
        notice_rows::suppress(conn, &step.notice_key, because)?;
    }
    operations::withdraw_about(conn, &disconnection_key(case.id), &context.actor, because, now)?;
    Ok(())
}

/// Ends the reminders of an account because of something that was agreed.
pub(super) fn end_within(context: &Context, conn: &mut DbConnection, account: AccountId, because: &str) -> Result<(), ActionError> {
    match rows::open_case(conn, account)? {
        Some(case) => end(context, conn, &case, because, &mut DunningCounts::default()),
        None => Ok(()),
    }
}

/// Ends the reminders of an account that are about a bill which is held back from now on, or about a fee of it, within the
/// transaction that holds it: what is left of them is asked for anew, from the first step.
pub(in crate::actions) fn held_within(
    context: &Context,
    conn: &mut DbConnection,
    (run, account): (RunId, AccountId),
    seq: i64,
) -> Result<(), ActionError> {
    let Some(case) = rows::open_case(conn, account)? else { return Ok(()) };
    let fees = late_fees::of_account(conn, account)?;
    let of_bill = |at: i64| at == seq || fees.iter().any(|fee| fee.run_id == run && fee.account_seq == at);
    if rows::charges_of(conn, case.id)?.into_iter().any(of_bill) {
        end(context, conn, &case, "a bill that it is about is held back, or in question", &mut DunningCounts::default())?;
    }
    Ok(())
}

fn remind(
    context: &Context,
    conn: &mut DbConnection,
    account: &AccountRow,
    (case, step): (DunningCaseId, usize),
    (policy, sha256): (&Dunning, &str),
    overdue: Overdue,
    today: NaiveDate,
) -> Result<(), ActionError> {
    let Some(terms) = step.checked_sub(1).and_then(|at| policy.steps.get(at)) else { return Ok(()) };
    let (now, step_no) = (context.now(), i32::try_from(step).unwrap_or(i32::MAX));
    let key = format!("dunning:{case}:{step}");
    let new = NewStep {
        case_id: case,
        step_no,
        name: terms.name.clone(),
        notice_days: i32::try_from(terms.notice_days).unwrap_or(i32::MAX),
        overdue_cents: overdue.amount.cents(),
        since_on: overdue.since,
        made_on: today,
        made_at: now,
        policy_sha256: sha256.to_owned(),
        notice_key: key.clone(),
    };
    rows::insert_step(conn, &new)?;
    let facts = Facts::PaymentReminder(PaymentReminder {
        name: new.name.clone(),
        step: step_no,
        is_last: step == policy.steps.len(),
        disconnection: policy.disconnection,
        overdue_cents: new.overdue_cents,
        since_on: new.since_on,
        notice_days: new.notice_days,
        citation: policy.citation.clone(),
    });
    notices::queue(conn, context, NewNotice { key, to: Addressee::Account(account.id), happened_on: context.today(), facts })?;
    let detail = format!("{}: {} overdue since {}", new.name, overdue.amount, overdue.since);
    operations::audit(conn, now, &context.actor, "dunning.step", &account.number, &detail)?;
    Ok(())
}

/// Where no e-mail reaches the customer a clerk sends a letter: closing its work item says that it was sent.
fn ask_for_letter(
    conn: &mut DbConnection,
    account: &AccountRow,
    step: Option<&StepRow>,
    now: NaiveDateTime,
    counts: &mut DunningCounts,
) -> Result<(), ActionError> {
    let Some(step) = step.filter(|step| step.needs_letter()) else { return Ok(()) };
    let amount = Money::from_cents(step.overdue_cents);
    let reason = format!(
        "no e-mail reaches this customer: send the notice '{}' about {amount} by letter, and close this when it is in the post; its {} days count from then",
        step.name, step.notice_days
    );
    let key = letter_key(step.case_id, step.step_no);
    let subject = Subject { kind: "dunning_letter", key: &key, account: account.id, amount_cents: step.overdue_cents, due_on: None, reason: &reason };
    counts.letters += u64::from(operations::raise_about(conn, &subject, now)?);
    Ok(())
}

fn raise_work_item(context: &Context, conn: &mut DbConnection, account: &AccountRow, case: &CaseRow, overdue: Overdue) -> Result<(), ActionError> {
    let now = context.now();
    let balance = ledger::position(conn, account.id)?.balance;
    let reason = format!(
        "every notice was sent and its days are over: {} is overdue since {}, of a balance of {balance}; decide whether the service is disconnected",
        overdue.amount, overdue.since
    );
    let key = disconnection_key(case.id);
    let subject =
        Subject { kind: "disconnection", key: &key, account: account.id, amount_cents: overdue.amount.cents(), due_on: None, reason: &reason };
    operations::raise_about(conn, &subject, now)?;
    rows::finish(conn, case.id, now)?;
    operations::audit(conn, now, &context.actor, "dunning.finish", &account.number, &reason)?;
    Ok(())
}
