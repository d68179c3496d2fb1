//! Late fees: charged once for a bill and number, taken back when they turn out wrong, waived by a clerk.

use std::collections::BTreeSet;

use chrono::{Days, NaiveDate};
use serde::Serialize;

use super::posting::{Adjusting, check_words, post};
use super::second_person::{Taken, may_do};
use super::standing::{BillStanding, InPlan, Standing, is_paying};
use crate::actions::approvals::Permit;
use crate::actions::payments::Posted;
use crate::actions::{ActionError, Context, account_named, notices};
use crate::db::billing::bill_number;
use crate::db::collections::late_fees::{self as rows, LateFeeRow, NewLateFee};
use crate::db::collections::{REVIEWED_FOR_DAYS, undone_seq};
use crate::db::customers::AccountRow;
use crate::db::{DbConnection, ledger};
use crate::domain::late_fees::{BillTerms, DueFee, due_fees, fee};
use crate::domain::money::Money;
use crate::domain::notices::{Addressee, Facts, LateFee, NewNotice};
use crate::domain::policy::{Policy, PolicyBook};

/// A fee whose deadline was longer ago is not charged any more: so long may the program not have run.
const CHARGED_FOR_DAYS: u64 = 60;

/// What looking at an account's fees did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct FeeCounts {
    /// Fees that were charged.
    pub charged: u64,
    /// What they add up to, in cents.
    pub charged_cents: i64,
    /// Fees that were taken back.
    pub taken_back: u64,
}

fn before(day: NaiveDate, days: u64) -> NaiveDate {
    day.checked_sub_days(Days::new(days)).unwrap_or(day)
}

/// Takes fees back that turned out wrong, and charges those that are due, within a transaction that holds the account's lock.
pub(super) fn look_within(
    context: &Context,
    conn: &mut DbConnection,
    account: &AccountRow,
    policies: &PolicyBook,
    today: NaiveDate,
) -> Result<FeeCounts, ActionError> {
    let mut counts = FeeCounts::default();
    review_within(context, conn, account, policies, today, &mut counts)?;
    if !is_paying(conn, account.id)? {
        charge_within(context, conn, account, policies, today, &mut counts)?;
    }
    Ok(counts)
}

/// Takes back what a cancelled bill or a payment of an earlier day shows to be wrong; where less would have been right, that is
/// charged in its place.
fn review_within(
    context: &Context,
    conn: &mut DbConnection,
    account: &AccountRow,
    policies: &PolicyBook,
    today: NaiveDate,
    counts: &mut FeeCounts,
) -> Result<(), ActionError> {
    let standing_fees: Vec<LateFeeRow> = rows::of_account(conn, account.id)?.into_iter().filter(|fee| fee.undone_seq.is_none()).collect();
    let oldest = before(today, REVIEWED_FOR_DAYS);
    if standing_fees.iter().all(|fee| fee.deadline_on < oldest) {
        return Ok(());
    }
    let standing = Standing::load(context, conn, account.id)?;
    for charged in standing_fees.iter().filter(|fee| fee.deadline_on >= oldest) {
        if note_undone_by_hand(conn, charged)? {
            continue;
        }
        let Some(bill) = standing.bills.iter().find(|bill| bill.run_id == charged.run_id) else { continue };
        let unpaid = if bill.cancelled { Money::ZERO } else { standing.unpaid_on(bill.account_seq, charged.deadline_on) };
        // By the rules that it was charged by, whatever was imported since.
        let rules = policies.by_sha256(&charged.policy_sha256).unwrap_or_else(|| policies.on(bill.bill_on));
        let right = rules.late_fees.as_ref().map_or(Money::ZERO, |policy| fee(policy, unpaid));
        if right.cents() >= charged.amount_cents {
            continue;
        }
        let because = if bill.cancelled { "the bill was taken back" } else { "it was paid in time" };
        take_back(context, conn, account, charged, because, today)?;
        counts.taken_back += 1;
        if right.is_positive() {
            let number = u32::try_from(charged.number).unwrap_or(1);
            let due = DueFee { number, deadline: charged.deadline_on };
            charge(context, conn, account, bill, (due, unpaid, right), rules, today)?;
            counts.charged += 1;
            counts.charged_cents += right.cents();
        }
    }
    Ok(())
}

/// Whether a clerk took a fee back like any other charge: that is a waiver, and it is written down as one.
fn note_undone_by_hand(conn: &mut DbConnection, charged: &LateFeeRow) -> Result<bool, ActionError> {
    let Some(seq) = undone_seq(conn, charged.account_id, charged.account_seq)? else { return Ok(false) };
    rows::undo(conn, charged.id, seq, "waived", "taken back by hand")?;
    Ok(true)
}

fn charge_within(
    context: &Context,
    conn: &mut DbConnection,
    account: &AccountRow,
    policies: &PolicyBook,
    today: NaiveDate,
    counts: &mut FeeCounts,
) -> Result<(), ActionError> {
    let standing = Standing::load(context, conn, account.id)?;
    let fees = rows::of_account(conn, account.id)?;
    let since = before(today, CHARGED_FOR_DAYS);
    for bill in standing.bills.iter().filter(|bill| !bill.cancelled && !bill.held && !bill.drawing && bill.plan == InPlan::No) {
        // The terms that held when the bill was made.
        let rules = policies.on(bill.bill_on);
        let Some(policy) = &rules.late_fees else { continue };
        let stands = |fee: &&LateFeeRow| fee.run_id == bill.run_id && (fee.undone_seq.is_none() || fee.is_waived());
        let charged: BTreeSet<u32> = fees.iter().filter(stands).filter_map(|fee| u32::try_from(fee.number).ok()).collect();
        let terms = BillTerms { due_on: bill.due_on, extended_to: bill.extended_to, charged };
        for due in due_fees(policy, &terms, today).into_iter().filter(|due| due.deadline >= since) {
            let unpaid = standing.unpaid_on(bill.account_seq, due.deadline);
            let amount = fee(policy, unpaid);
            if amount.is_positive() {
                charge(context, conn, account, bill, (due, unpaid, amount), rules, today)?;
                counts.charged += 1;
                counts.charged_cents += amount.cents();
            }
        }
    }
    Ok(())
}

/// The reference of a fee: of the bill, its number, and how often it was charged before.
fn reference_of(conn: &mut DbConnection, account: &AccountRow, bill: &BillStanding, number: u32) -> Result<String, ActionError> {
    let fees = rows::of_account(conn, account.id)?;
    let earlier = fees.iter().filter(|fee| fee.run_id == bill.run_id && u32::try_from(fee.number) == Ok(number)).count();
    let again = if earlier == 0 { String::new() } else { format!("-{}", earlier + 1) };
    Ok(format!("late-fee-{}-{number}{again}", bill.bill_number))
}

fn charge(
    context: &Context,
    conn: &mut DbConnection,
    account: &AccountRow,
    bill: &BillStanding,
    (due, unpaid, amount): (DueFee, Money, Money),
    policy: &Policy,
    today: NaiveDate,
) -> Result<(), ActionError> {
    let reference = reference_of(conn, account, bill, due.number)?;
    let note = format!("bill {} was due on {}; {unpaid} of it was unpaid at the end of {}", bill.bill_number, bill.due_on, due.deadline);
    let adjusting = Adjusting { code: "late-fee", amount, on: today, reference: &reference, note: &note, undoes: None, told: false };
    let now = context.now();
    let after = post(context, conn, account, adjusting, now)?;
    let new = NewLateFee {
        run_id: bill.run_id,
        account_id: account.id,
        number: i32::try_from(due.number).unwrap_or(i32::MAX),
        deadline_on: due.deadline,
        unpaid_cents: unpaid.cents(),
        amount_cents: amount.cents(),
        policy_sha256: policy.sha256.clone(),
        account_seq: after.seq,
    };
    rows::insert(conn, &new)?;
    let facts = Facts::LateFee(LateFee {
        bill_number: bill.bill_number.clone(),
        amount_cents: amount.cents(),
        unpaid_cents: unpaid.cents(),
        due_on: bill.due_on,
        deadline_on: due.deadline,
        charged_on: today,
        citation: policy.late_fees.as_ref().map(|section| section.citation.clone()).unwrap_or_default(),
        balance_cents: after.balance.cents(),
    });
    let notice =
        NewNotice { key: format!("late-fee:{}:{}", account.id, after.seq), to: Addressee::Account(account.id), happened_on: context.today(), facts };
    notices::queue(conn, context, notice)
}

fn take_back(
    context: &Context,
    conn: &mut DbConnection,
    account: &AccountRow,
    charged: &LateFeeRow,
    because: &str,
    today: NaiveDate,
) -> Result<(), ActionError> {
    let reference = format!("late-fee-{}-{}-back", account.id, charged.account_seq);
    let note = format!("fee of bill {}: {because}", bill_number(charged.run_id, charged.account_id));
    let adjusting = Adjusting {
        code: "late-fee-taken-back",
        amount: Money::from_cents(-charged.amount_cents),
        on: today,
        reference: &reference,
        note: &note,
        undoes: Some(charged.account_seq),
        told: true,
    };
    let after = post(context, conn, account, adjusting, context.now())?;
    rows::undo(conn, charged.id, after.seq, "taken_back", because)?;
    Ok(())
}

/// Waives a fee, named by its position in the account's ledger, or asks a second person where the policy wants one. A fee is waived
/// once; the same reference again changes nothing.
///
/// # Errors
/// [`ActionError::NotFound`] for an unknown account or fee, [`ActionError::Refused`] without a note, when it was undone before, or
/// the reference stands for something else.
pub fn waive_fee(context: &Context, number: &str, fee_seq: i64, reference: &str, note: &str) -> Result<Taken, ActionError> {
    let note = check_words("note", note)?;
    crate::actions::payments::check_reference(reference)?;
    context.database.write(|conn| {
        let account = account_named(conn, number)?;
        ledger::lock_accounts(conn, &[account.id])?;
        let now = context.now();
        let charged = rows::of_account(conn, account.id)?.into_iter().find(|fee| fee.account_seq == fee_seq);
        let charged = charged.ok_or_else(|| ActionError::not_found("late fee", format!("{number} at {fee_seq}")))?;
        if let Some((other, code, _, seq)) = ledger::adjustment_by_reference(conn, reference)? {
            if other == account.id && code == "late-fee-waived" && charged.undone_seq == Some(seq) {
                return Ok(Taken::Done(Posted::already(seq, ledger::position(conn, account.id)?)));
            }
            return Err(ActionError::Refused(format!("reference: '{reference}' stands for another adjustment already")));
        }
        if let Some(how) = &charged.undone {
            let how = if how == "waived" { "waived" } else { "taken back" };
            return Err(ActionError::Refused(format!("the fee was {how} already")));
        }
        if undone_seq(conn, account.id, charged.account_seq)?.is_some() {
            return Err(ActionError::Refused("the fee was taken back by hand already".to_owned()));
        }
        let amount = Money::from_cents(-charged.amount_cents);
        let wish = Permit {
            kind: "late_fee_waived".to_owned(),
            account: Some(account.number.clone()),
            amount,
            reference: reference.to_owned(),
            subject: format!("late fee {fee_seq} waived"),
            note: note.to_owned(),
            shares: Vec::new(),
            case: None,
        };
        if let Some(why) = may_do(conn, context, wish)? {
            return Ok(Taken::Waits(why));
        }
        let adjusting =
            Adjusting { code: "late-fee-waived", amount, on: context.today(), reference, note, undoes: Some(charged.account_seq), told: true };
        let after = post(context, conn, &account, adjusting, now)?;
        rows::undo(conn, charged.id, after.seq, "waived", note)?;
        Ok(Taken::Done(Posted { account_seq: after.seq, balance_after_cents: after.balance.cents(), unchanged: false }))
    })
}

/// The positions of an account's fees that belong to these bills.
pub(super) fn fees_of(fees: &[LateFeeRow], bills: &[&BillStanding]) -> Vec<i64> {
    fees.iter().filter(|fee| bills.iter().any(|bill| bill.run_id == fee.run_id)).map(|fee| fee.account_seq).collect()
}
