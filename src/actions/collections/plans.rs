//! Pay plans: what an account owes is divided into instalments. While they come in time there is no fee and no reminder for it.

use chrono::{Days, NaiveDate};
use serde::Serialize;

use super::dunning;
use super::posting::check_words;
use super::standing::{Standing, is_paying};
use crate::actions::payments::check_reference;
use crate::actions::policy::policies_within;
use crate::actions::{ActionError, Context, account_named, notices};
use crate::db::autopay::mandates_of;
use crate::db::collections::pay_plans::{self as rows, NewPlan, PlanRow};
use crate::db::customers::AccountRow;
use crate::db::{DbConnection, ledger, operations};
use crate::domain::aging::Instalment;
use crate::domain::ids::AccountId;
use crate::domain::money::Money;
use crate::domain::notices::{Addressee, Facts, NewNotice, PayPlan};
use crate::domain::pay_plans::{divide, missed};
use crate::domain::policy::PayPlans;

/// The first instalment is due within so many days.
const FIRST_WITHIN_DAYS: u64 = 62;
/// Instalments are so many months apart at most.
const MOST_MONTHS: u32 = 3;
/// So many mandates of an account are looked at.
const MOST_MANDATES: i64 = 10;

/// A plan to be agreed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreeing {
    /// The account's number.
    pub account: String,
    /// How many instalments.
    pub instalments: u32,
    /// When the first is due.
    pub first_due_on: NaiveDate,
    /// Months from one to the next.
    pub months_between: u32,
    /// The idempotency key.
    pub reference: String,
    /// Why, in words.
    pub note: String,
}

/// What looking at an account's plan did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct PlanCounts {
    /// Plans that were paid.
    pub kept: u64,
    /// Plans that are over because an instalment is missing.
    pub broken: u64,
}

/// An instalment with what of it is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct InstalmentView {
    /// Which, from 1.
    pub number: usize,
    /// When it is due.
    pub due_on: NaiveDate,
    /// How much, in cents.
    pub amount_cents: i64,
    /// What of it is open, in cents.
    pub open_cents: i64,
}

/// A plan as pages show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanView {
    /// The plan.
    #[serde(flatten)]
    pub row: PlanRow,
    /// Its instalments; of a plan that ended, as they were agreed, with nothing open.
    pub instalments: Vec<InstalmentView>,
    /// What of it is open, in cents.
    pub open_cents: i64,
}

/// Divides everything that an account owes into instalments. The same reference again changes nothing.
///
/// # Errors
/// [`ActionError::NotFound`] for an unknown account; [`ActionError::Refused`] when the policy knows no plans, nothing is owed, a bill
/// is in question, the account has a plan, or the policy's bounds are not kept.
pub fn agree_plan(context: &Context, agreeing: &Agreeing) -> Result<PlanView, ActionError> {
    let note = check_words("note", &agreeing.note)?;
    check_reference(&agreeing.reference)?;
    context.database.write(|conn| {
        let account = account_named(conn, &agreeing.account)?;
        ledger::lock_accounts(conn, &[account.id])?;
        if let Some(known) = rows::by_reference(conn, &agreeing.reference)? {
            if known.account_id == account.id {
                return plan_view(context, conn, known);
            }
            return Err(ActionError::Refused(format!("reference: '{}' stands for another plan already", agreeing.reference)));
        }
        agree_within(context, conn, &account, agreeing, note)
    })
}

fn agree_within(context: &Context, conn: &mut DbConnection, account: &AccountRow, agreeing: &Agreeing, note: &str) -> Result<PlanView, ActionError> {
    let (now, today) = (context.now(), context.today());
    let policies = policies_within(conn)?;
    let policy = policies.on(today);
    let Some(terms) = &policy.pay_plans else {
        return Err(ActionError::Refused("the policy in force has no section [pay_plans]: no plan can be agreed".to_owned()));
    };
    let standing = Standing::load(context, conn, account.id)?;
    let position = ledger::position(conn, account.id)?;
    if standing.plan.is_some() {
        return Err(ActionError::Refused(format!("account {} has a plan that holds: cancel that one first", account.number)));
    }
    if let Some(held) = standing.bills.iter().find(|bill| bill.held && bill.open_cents > 0) {
        return Err(ActionError::Refused(format!("bill {} is held back or in question: settle that first", held.bill_number)));
    }
    let instalments = check_terms(terms, agreeing, position.balance, today)?;
    let new = NewPlan {
        account_id: account.id,
        reference: agreeing.reference.clone(),
        from_seq: position.seq,
        total_cents: position.balance.cents(),
        note: note.to_owned(),
        policy_sha256: policy.sha256.clone(),
        grace_days: i32::try_from(terms.grace_days).unwrap_or(i32::MAX),
        agreed_by: context.actor.clone(),
        agreed_at: now,
        agreed_on: today,
        state: "active".to_owned(),
    };
    let stored: Vec<(NaiveDate, i64)> = instalments.iter().map(|part| (part.due_on, part.amount.cents())).collect();
    rows::insert(conn, &new, &stored)?;
    dunning::end_within(context, conn, account.id, "a pay plan was agreed")?;
    let detail = format!("{} {} in {} instalments from {}: {note}", agreeing.reference, position.balance, instalments.len(), agreeing.first_due_on);
    operations::audit(conn, now, &context.actor, "pay_plan.agree", &account.number, &detail)?;
    let row = rows::by_reference(conn, &agreeing.reference)?.ok_or_else(|| ActionError::not_found("plan", &agreeing.reference))?;
    tell(context, conn, &row, "active", "")?;
    plan_view(context, conn, row)
}

fn check_terms(terms: &PayPlans, agreeing: &Agreeing, balance: Money, today: NaiveDate) -> Result<Vec<Instalment>, ActionError> {
    let refused = |text: String| Err(ActionError::Refused(text));
    if !balance.is_positive() {
        return refused(format!("account {} owes nothing: there is nothing to divide", agreeing.account));
    }
    if !(2..=terms.most_instalments).contains(&agreeing.instalments) {
        return refused(format!("instalments: {} found; the policy allows 2 to {}", agreeing.instalments, terms.most_instalments));
    }
    if !(1..=MOST_MONTHS).contains(&agreeing.months_between) {
        return refused(format!("months: {} found; expected 1 to {MOST_MONTHS}", agreeing.months_between));
    }
    let latest = today.checked_add_days(Days::new(FIRST_WITHIN_DAYS)).unwrap_or(today);
    if agreeing.first_due_on < today || agreeing.first_due_on > latest {
        return refused(format!("first: {} found; expected a day from {today} to {latest}", agreeing.first_due_on));
    }
    let Some(instalments) = divide(balance, agreeing.instalments, agreeing.first_due_on, agreeing.months_between) else {
        return refused(format!("instalments: {balance} cannot be divided into {}", agreeing.instalments));
    };
    match instalments.iter().map(|part| part.amount).min() {
        Some(smallest) if smallest < terms.smallest_instalment => {
            refused(format!("instalments: {smallest} each; the policy allows none below {}", terms.smallest_instalment))
        }
        _ => Ok(instalments),
    }
}

/// Cancels the plan of an account that holds: what is left of it is due as it was. Where a reference is given it must be that plan's:
/// a form that was loaded long ago cancels no other. Cancelled already, nothing changes.
///
/// # Errors
/// [`ActionError::NotFound`] for an unknown account, [`ActionError::Refused`] without a note, or when it has no such plan.
pub fn cancel_plan(context: &Context, account: &str, reference: Option<&str>, note: &str) -> Result<(), ActionError> {
    let note = check_words("note", note)?;
    context.database.write(|conn| {
        let account = account_named(conn, account)?;
        ledger::lock_accounts(conn, &[account.id])?;
        let named = reference.map(|reference| rows::by_reference(conn, reference)).transpose()?.flatten();
        if let (Some(reference), None) = (reference, named.as_ref().filter(|plan| plan.account_id == account.id)) {
            return Err(ActionError::not_found("pay plan", reference));
        }
        if named.as_ref().is_some_and(|plan| plan.state == "cancelled") {
            return Ok(());
        }
        let plan = rows::active(conn, account.id)?.filter(|plan| named.as_ref().is_none_or(|named| named.id == plan.id));
        let plan = plan.ok_or_else(|| ActionError::Refused(format!("account {} has no plan that holds", account.number)))?;
        end(context, conn, &account, &plan, "cancelled", note, context.today())
    })
}

/// Ends an account's plan when it is paid, or when an instalment is missing beyond its days, within a transaction that holds its
/// lock.
pub(super) fn look_within(context: &Context, conn: &mut DbConnection, account: &AccountRow, today: NaiveDate) -> Result<PlanCounts, ActionError> {
    let mut counts = PlanCounts::default();
    let standing = Standing::load(context, conn, account.id)?;
    let Some(plan) = &standing.plan else { return Ok(counts) };
    let open: Money = standing.aging.items.iter().filter(|item| item.instalment > 0).map(|item| item.open).sum();
    if open.is_zero() {
        end(context, conn, account, &plan.row, "kept", "everything is paid", today)?;
        counts.kept = 1;
        return Ok(counts);
    }
    let grace = u32::try_from(plan.row.grace_days).unwrap_or(0);
    let Some(late) = missed(&standing.aging.items, grace, today) else { return Ok(counts) };
    // While a bill of it is in question, and in the days to pay after the answer, nothing of it is missing.
    if standing.bills.iter().any(|bill| bill.is_in_plan() && (bill.held || bill.extended_to.is_some_and(|until| until >= today))) {
        return Ok(counts);
    }
    if !is_paying(conn, account.id)? {
        let because = format!("{} of the instalment of {} is missing", late.open, late.due_on);
        end(context, conn, account, &plan.row, "broken", &because, today)?;
        counts.broken = 1;
    }
    Ok(counts)
}

fn end(
    context: &Context,
    conn: &mut DbConnection,
    account: &AccountRow,
    plan: &PlanRow,
    state: &str,
    because: &str,
    today: NaiveDate,
) -> Result<(), ActionError> {
    tell(context, conn, plan, state, because)?;
    rows::end(conn, plan.id, state, today, &context.actor, because)?;
    let detail = format!("{} {state}: {because}", plan.reference);
    operations::audit(conn, context.now(), &context.actor, "pay_plan.end", &account.number, &detail)?;
    Ok(())
}

/// Tells the customer, while the plan still holds for what is open of it.
fn tell(context: &Context, conn: &mut DbConnection, plan: &PlanRow, state: &str, because: &str) -> Result<(), ActionError> {
    let shown = plan_view(context, conn, plan.clone())?;
    let autopay = mandates_of(conn, plan.account_id, MOST_MANDATES)?.iter().any(|mandate| mandate.state == "active");
    let facts = Facts::PayPlan(PayPlan {
        state: state.to_owned(),
        total_cents: plan.total_cents,
        open_cents: shown.open_cents,
        instalments: shown.instalments.iter().map(|part| (part.due_on, part.amount_cents)).collect(),
        grace_days: plan.grace_days,
        because: because.to_owned(),
        autopay,
    });
    let happened_on = context.today();
    let notice = NewNotice { key: format!("pay-plan:{}:{state}", plan.id), to: Addressee::Account(plan.account_id), happened_on, facts };
    notices::queue(conn, context, notice)
}

/// A plan with what of it is open.
pub(super) fn plan_view(context: &Context, conn: &mut DbConnection, row: PlanRow) -> Result<PlanView, ActionError> {
    let agreed = rows::instalments(conn, row.id)?;
    let items = if row.state == "active" { Standing::load(context, conn, row.account_id)?.aging.items } else { Vec::new() };
    let open = |number: usize| items.iter().find(|item| item.instalment == number).map_or(0, |item| item.open.cents());
    let instalments = agreed.iter().zip(1..).map(|(part, number)| InstalmentView {
        number,
        due_on: part.due_on,
        amount_cents: part.amount_cents,
        open_cents: open(number),
    });
    let instalments: Vec<InstalmentView> = instalments.collect();
    Ok(PlanView { open_cents: instalments.iter().map(|part| part.open_cents).sum(), instalments, row })
}

/// The plans of an account, newest first.
///
/// # Errors
/// Those of the database.
pub(super) fn plans_within(context: &Context, conn: &mut DbConnection, account: AccountId, limit: i64) -> Result<Vec<PlanView>, ActionError> {
    rows::of_account(conn, account, limit)?.into_iter().map(|row| plan_view(context, conn, row)).collect()
}
