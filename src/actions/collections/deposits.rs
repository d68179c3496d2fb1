//! Deposits: money that secures what an account will owe. It is charged and paid at once, held apart in the general ledger, earns
//! interest by the policy, and becomes a credit of the account at the end, or when somebody has paid well for long.

use chrono::{Months, NaiveDate};
use serde::Serialize;

use super::posting::{Adjusting, check_words, post};
use super::standing::Standing;
use crate::actions::approvals::Outcome;
use crate::actions::balances::{PayOut, ask_pay_out};
use crate::actions::payments::{COUNTER_PROVIDER, MERCHANT, NewPayment, Origin, Posted, check_reference, post_within};
use crate::actions::policy::policies_within;
use crate::actions::{ActionError, Context, account_named};
use crate::db::collections::deposits::{self as rows, DepositRow, InterestRow, NewDeposit};
use crate::db::customers::{self, AccountRow};
use crate::db::{DbConnection, approvals, billing, ledger, payments};
use crate::domain::ids::AccountId;
use crate::domain::ledger::Tender;
use crate::domain::money::Money;
use crate::domain::percent::{interest_due, millionths};
use crate::domain::policy::PolicyBook;

/// No deposit is held longer: so many days of interest are added up at most.
const MOST_DAYS: usize = 40_000;
/// So many accounts are looked at in one transaction.
const PAGE: i64 = 100;

/// A deposit to be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taking {
    /// The account's number.
    pub account: String,
    /// How much, above zero.
    pub amount: Money,
    /// How it is paid.
    pub tender: Tender,
    /// The idempotency key.
    pub reference: String,
    /// Why, in words.
    pub note: String,
}

/// A deposit as pages show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DepositView {
    /// The deposit.
    #[serde(flatten)]
    pub row: DepositRow,
    /// The interest that was credited, in cents.
    pub interest_cents: i64,
    /// The interest since then, in cents, not credited yet.
    pub accrued_cents: i64,
    /// Whether the payment for it stands.
    pub is_paid: bool,
}

/// What looking at an account's deposits did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct DepositCounts {
    /// Deposits that were applied.
    pub applied: u64,
    /// Deposits on which interest was credited.
    pub credited: u64,
    /// The interest, in cents.
    pub interest_cents: i64,
}

/// Takes a deposit: charges it, posts its payment, and holds it apart. The same reference again changes nothing.
///
/// # Errors
/// [`ActionError::NotFound`] for an unknown account; [`ActionError::Refused`] when the policy knows no deposits, the amount is out of
/// bounds, or the reference stands for something else.
pub fn take_deposit(context: &Context, taking: &Taking) -> Result<DepositView, ActionError> {
    let note = check_words("note", &taking.note)?;
    check_reference(&taking.reference)?;
    context.database.write(|conn| {
        let account = account_named(conn, &taking.account)?;
        ledger::lock_accounts(conn, &[account.id])?;
        if let Some(known) = rows::by_reference(conn, &taking.reference)? {
            if known.account_id == account.id && known.amount_cents == taking.amount.cents() {
                return view(context, conn, known);
            }
            return Err(ActionError::Refused(format!("reference: '{}' stands for another deposit already", taking.reference)));
        }
        check_taking(context, conn, taking)?;
        let (now, today) = (context.now(), context.today());
        let charge = Adjusting { code: "deposit", amount: taking.amount, on: today, reference: &taking.reference, note, undoes: None, told: false };
        let charged = post(context, conn, &account, charge, now)?;
        let payment = NewPayment {
            account_id: account.id,
            amount: taking.amount,
            effective_on: today,
            tender: taking.tender,
            provider: COUNTER_PROVIDER.to_owned(),
            reference: taking.reference.clone(),
        };
        let paid = post_within(context, conn, &payment, Origin::default(), now)?;
        let new = NewDeposit {
            account_id: account.id,
            reference: taking.reference.clone(),
            amount_cents: taking.amount.cents(),
            taken_on: today,
            note: note.to_owned(),
            taken_by: context.actor.clone(),
            charge_seq: charged.seq,
            payment_seq: paid.seq,
            interest_to: today,
        };
        rows::insert(conn, &new)?;
        let row = rows::by_reference(conn, &taking.reference)?.ok_or_else(|| ActionError::not_found("deposit", &taking.reference))?;
        view(context, conn, row)
    })
}

fn check_taking(context: &Context, conn: &mut DbConnection, taking: &Taking) -> Result<(), ActionError> {
    let policies = policies_within(conn)?;
    let Some(policy) = &policies.on(context.today()).deposits else {
        return Err(ActionError::Refused("the policy in force has no section [deposits]: none is taken".to_owned()));
    };
    if !taking.amount.is_positive() || taking.amount > policy.largest {
        return Err(ActionError::Refused(format!("amount: {} found; expected more than 0 and at most {}", taking.amount, policy.largest)));
    }
    let known = payments::by_references(conn, COUNTER_PROVIDER, MERCHANT, &[&taking.reference])?;
    if ledger::adjustment_by_reference(conn, &taking.reference)?.is_some() || !known.is_empty() {
        return Err(ActionError::Refused(format!("reference: '{}' stands for something else already", taking.reference)));
    }
    Ok(())
}

/// The interest of a deposit since it was taken to a day, by the policy of each day, less what was credited of it.
fn accrued(deposit: &DepositRow, policies: &PolicyBook, to: NaiveDate, credited: Money) -> Money {
    let days = deposit.taken_on.iter_days().take_while(|day| *day < to).take(MOST_DAYS);
    let rate = |day: NaiveDate| policies.on(day).deposits.as_ref().and_then(|policy| millionths(policy.interest_percent)).unwrap_or(0);
    interest_due(Money::from_cents(deposit.amount_cents), days.map(rate), credited)
}

/// What was credited of a deposit's interest.
fn credited(conn: &mut DbConnection, deposit: &DepositRow) -> Result<Money, ActionError> {
    Ok(rows::interest_of(conn, deposit.id)?.iter().map(|row| Money::from_cents(row.amount_cents)).sum())
}

/// Whether a deposit is paid: by the payment that came with it, or by another after that one went back.
fn is_paid(standing: &Standing, deposit: &DepositRow) -> bool {
    standing.aging.open_of(deposit.charge_seq).is_zero()
}

/// Credits a deposit's interest up to a day, within a transaction that holds its account's lock.
fn credit_interest(
    context: &Context,
    conn: &mut DbConnection,
    account: &AccountRow,
    deposit: &DepositRow,
    policies: &PolicyBook,
    to: NaiveDate,
) -> Result<Money, ActionError> {
    if to <= deposit.interest_to {
        return Ok(Money::ZERO);
    }
    let amount = accrued(deposit, policies, to, credited(conn, deposit)?);
    let mut account_seq = None;
    if amount.is_positive() {
        let reference = format!("{}-interest-{to}", deposit.reference);
        let note = format!("on {} from {} to {to}", Money::from_cents(deposit.amount_cents), deposit.interest_to);
        let adjusting = Adjusting { code: "deposit-interest", amount: -amount, on: to, reference: &reference, note: &note, undoes: None, told: true };
        account_seq = Some(post(context, conn, account, adjusting, context.now())?.seq);
    }
    let row = InterestRow { deposit_id: deposit.id, from_on: deposit.interest_to, to_on: to, amount_cents: amount.cents(), account_seq };
    rows::credit_interest(conn, &row)?;
    Ok(amount)
}

/// Makes a deposit a credit of its account, with its interest to this day.
fn apply_within(
    context: &Context,
    conn: &mut DbConnection,
    account: &AccountRow,
    deposit: &DepositRow,
    because: &str,
    today: NaiveDate,
) -> Result<Posted, ActionError> {
    let policies = policies_within(conn)?;
    credit_interest(context, conn, account, deposit, &policies, today)?;
    let reference = format!("{}-applied", deposit.reference);
    let amount = Money::from_cents(-deposit.amount_cents);
    let adjusting = Adjusting { code: "deposit-applied", amount, on: today, reference: &reference, note: because, undoes: None, told: true };
    let after = post(context, conn, account, adjusting, context.now())?;
    rows::apply(conn, deposit.id, after.seq, today, because)?;
    Ok(Posted { account_seq: after.seq, balance_after_cents: after.balance.cents(), unchanged: false })
}

/// Applies a deposit, by its reference, to what its account owes or will owe. Applied already, nothing changes.
///
/// # Errors
/// [`ActionError::NotFound`] for an unknown account or deposit; [`ActionError::Refused`] without a note, or when its payment went back.
pub fn apply_deposit(context: &Context, number: &str, reference: &str, note: &str) -> Result<Posted, ActionError> {
    let note = check_words("note", note)?;
    context.database.write(|conn| {
        let account = account_named(conn, number)?;
        ledger::lock_accounts(conn, &[account.id])?;
        let deposit = rows::by_reference(conn, reference)?.filter(|deposit| deposit.account_id == account.id);
        let deposit = deposit.ok_or_else(|| ActionError::not_found("deposit", reference))?;
        if let Some(seq) = deposit.applied_seq {
            return Ok(Posted::already(seq, ledger::position(conn, account.id)?));
        }
        if !is_paid(&Standing::load(context, conn, account.id)?, &deposit) {
            return Err(ActionError::Refused(format!("deposit {reference}: its payment went back, so there is nothing to apply")));
        }
        apply_within(context, conn, &account, &deposit, note, context.today())
    })
}

/// Withdraws a deposit whose payment went back and that nobody paid again: its charge is taken back. Withdrawn already, nothing
/// changes.
///
/// # Errors
/// [`ActionError::NotFound`] for an unknown account or deposit; [`ActionError::Refused`] without a note, or when it is paid, in part
/// too, or was applied.
pub fn withdraw_deposit(context: &Context, number: &str, reference: &str, note: &str) -> Result<Posted, ActionError> {
    let note = check_words("note", note)?;
    context.database.write(|conn| {
        let account = account_named(conn, number)?;
        ledger::lock_accounts(conn, &[account.id])?;
        let deposit = rows::by_reference(conn, reference)?.filter(|deposit| deposit.account_id == account.id);
        let deposit = deposit.ok_or_else(|| ActionError::not_found("deposit", reference))?;
        let undo = format!("{reference}-withdrawn");
        if let Some(seq) = deposit.applied_seq {
            if ledger::adjustment_by_reference(conn, &undo)?.is_some_and(|(_, _, _, known)| known == seq) {
                return Ok(Posted::already(seq, ledger::position(conn, account.id)?));
            }
            return Err(ActionError::Refused(format!("deposit {reference} was applied: there is nothing to withdraw")));
        }
        let (amount, today) = (Money::from_cents(deposit.amount_cents), context.today());
        if Standing::load(context, conn, account.id)?.aging.open_of(deposit.charge_seq) != amount {
            return Err(ActionError::Refused(format!("deposit {reference} is paid, all of it or a part: apply or refund it instead")));
        }
        let undoes = Some(deposit.charge_seq);
        let adjusting = Adjusting { code: "deposit-withdrawn", amount: -amount, on: today, reference: &undo, note, undoes, told: true };
        let after = post(context, conn, &account, adjusting, context.now())?;
        rows::apply(conn, deposit.id, after.seq, today, &format!("withdrawn: {note}"))?;
        Ok(Posted { account_seq: after.seq, balance_after_cents: after.balance.cents(), unchanged: false })
    })
}

/// Applies a deposit and pays out what it leaves to the customer's good: never more than the deposit and its interest. Paying out
/// may need a second person; until then the deposit is the account's credit, and the same again goes on from there.
///
/// # Errors
/// As [`apply_deposit`], and [`ActionError::Refused`] when the money may not be paid out as things stand.
pub fn refund_deposit(context: &Context, number: &str, reference: &str, note: &str) -> Result<Outcome, ActionError> {
    let applied = apply_deposit(context, number, reference, note)?;
    let payout = format!("{reference}-refund");
    let amount = context.database.snapshot(|conn| {
        let known = ledger::adjustment_by_reference(conn, &payout)?;
        let asked = approvals::by_reference(conn, &payout)?;
        if let Some(cents) = known.map(|(_, _, cents, _)| cents).or(asked.map(|asked| asked.amount_cents)) {
            return Ok(Money::from_cents(cents));
        }
        let deposit = rows::by_reference(conn, reference)?.ok_or_else(|| ActionError::not_found("deposit", reference))?;
        let interest: i64 = rows::interest_of(conn, deposit.id)?.iter().map(|row| row.amount_cents).sum();
        let credit = -ledger::position(conn, deposit.account_id)?.balance.cents();
        Ok::<_, ActionError>(Money::from_cents(credit.min(deposit.amount_cents + interest)))
    })?;
    if !amount.is_positive() {
        return Ok(Outcome::Done(applied));
    }
    let wish = PayOut { account: number.to_owned(), amount: Some(amount), reference: payout, note: note.trim().to_owned(), payee: None };
    ask_pay_out(context, &wish)
}

/// Credits the interest of every deposit that is held up to a day, a page of accounts at a time. What is credited is not credited
/// again.
///
/// # Errors
/// [`ActionError::Refused`] for a day in the future, or those of the database.
pub fn credit_all_interest(context: &Context, to: NaiveDate) -> Result<DepositCounts, ActionError> {
    if to > context.today() {
        return Err(ActionError::Refused(format!("through: {to} is in the future: expected a day up to {}", context.today())));
    }
    let mut counts = DepositCounts::default();
    let mut after = AccountId(0);
    loop {
        let page = context.database.read(|conn| rows::accounts_with(conn, after, PAGE).map_err(ActionError::from))?;
        let Some(last) = page.last() else { return Ok(counts) };
        after = *last;
        let done = context.database.write(|conn| {
            let mut done = DepositCounts::default();
            ledger::lock_accounts(conn, &page)?;
            let policies = policies_within(conn)?;
            for id in &page {
                let Some(account) = account_by_id(conn, *id)? else { continue };
                let standing = Standing::load(context, conn, *id)?;
                for deposit in rows::of_account(conn, *id)?.iter().filter(|deposit| deposit.applied_seq.is_none() && is_paid(&standing, deposit)) {
                    let amount = credit_interest(context, conn, &account, deposit, &policies, to)?;
                    done.credited += u64::from(amount.is_positive());
                    done.interest_cents += amount.cents();
                }
            }
            Ok::<_, ActionError>(done)
        })?;
        counts.credited += done.credited;
        counts.interest_cents += done.interest_cents;
    }
}

/// The account with an id.
pub(super) fn account_by_id(conn: &mut DbConnection, id: AccountId) -> Result<Option<AccountRow>, ActionError> {
    let number = customers::account_number(conn, id)?;
    Ok(customers::account_by_number(conn, &number)?)
}

/// Applies the deposits of an account whose final bill was issued, or that has paid well for as long as the policy says, within a
/// transaction that holds its lock.
pub(super) fn look_within(
    context: &Context,
    conn: &mut DbConnection,
    account: &AccountRow,
    policies: &PolicyBook,
    today: NaiveDate,
) -> Result<DepositCounts, ActionError> {
    let mut counts = DepositCounts::default();
    let held: Vec<DepositRow> = rows::of_account(conn, account.id)?.into_iter().filter(|deposit| deposit.applied_seq.is_none()).collect();
    if held.is_empty() {
        return Ok(counts);
    }
    let standing = Standing::load(context, conn, account.id)?;
    let billed = standing.bills.iter().any(|bill| !bill.cancelled);
    let gone = billed && billing::is_gone(conn, account.id)?;
    let months = policies.on(today).deposits.as_ref().and_then(|policy| policy.refund_after_months);
    for deposit in held.iter().filter(|deposit| is_paid(&standing, deposit)) {
        let good = match months.and_then(|months| today.checked_sub_months(Months::new(months)).map(|since| (months, since))) {
            Some((months, since)) if deposit.taken_on <= since && rows::blemishes(conn, account.id, since)? == 0 && is_clear(&standing, today) => {
                Some(format!("{months} months without a fee, a reminder or a returned payment"))
            }
            _ => None,
        };
        let because = if gone { Some("the final bill was issued".to_owned()) } else { good };
        if let Some(because) = because {
            apply_within(context, conn, account, deposit, &because, today)?;
            counts.applied += 1;
        } else if wants_interest(deposit, policies, today) {
            let amount = credit_interest(context, conn, account, deposit, policies, today)?;
            counts.credited += u64::from(amount.is_positive());
            counts.interest_cents += amount.cents();
        }
    }
    Ok(counts)
}

/// Whether the policy has a deposit's interest credited by now.
fn wants_interest(deposit: &DepositRow, policies: &PolicyBook, today: NaiveDate) -> bool {
    let months = policies.on(today).deposits.as_ref().map(|policy| Months::new(policy.interest_every_months));
    months.and_then(|months| deposit.interest_to.checked_add_months(months)).is_some_and(|next| next <= today)
}

/// Whether nothing is overdue.
fn is_clear(standing: &Standing, today: NaiveDate) -> bool {
    standing.aging.due_after(today.pred_opt().unwrap_or(today)) >= standing.aging.balance()
}

pub(super) fn view(context: &Context, conn: &mut DbConnection, row: DepositRow) -> Result<DepositView, ActionError> {
    let policies = policies_within(conn)?;
    let credited = credited(conn, &row)?;
    let paid = is_paid(&Standing::load(context, conn, row.account_id)?, &row);
    let open = row.applied_seq.is_none() && paid;
    let accrued_cents = if open { accrued(&row, &policies, context.today(), credited).cents() } else { 0 };
    Ok(DepositView { interest_cents: credited.cents(), accrued_cents, is_paid: paid, row })
}
