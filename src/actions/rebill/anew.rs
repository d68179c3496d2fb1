//! What happens where an account whose bills were cancelled is billed again, by whichever run: it is told once what was wrong
//! and what is right, and its draw is told with that.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::NaiveDateTime;

use super::plan::AccountPlan;
use crate::actions::autopay::announce::{draw_within, withdraw_quietly_within};
use crate::actions::collections::disputes;
use crate::actions::overcharges::mend::{self, Told, told_within};
use crate::actions::{ActionError, Context, notices};
use crate::db::billing::{self, BillRow, RunRow, bill_number};
use crate::db::operations::{self, NewToDo};
use crate::db::rebills::{self, CancelledBill, RebillRow, WaitingAccount};
use crate::db::{DbConnection, ledger};
use crate::domain::autopay::SkipReason;
use crate::domain::ids::{AccountId, CaseId, RunId};
use crate::domain::notices::{Addressee, CorrectedDraw, Facts, NewNotice, OverchargeCorrected};

/// Takes out of the bills that are being issued those of accounts that are billed anew, and does what belongs to them, within
/// that transaction. Returns the others.
pub(in crate::actions) fn billed_within(
    conn: &mut DbConnection,
    context: &Context,
    run: &RunRow,
    bills: Vec<BillRow>,
) -> Result<Vec<BillRow>, ActionError> {
    let (Some(first), Some(last)) = (bills.iter().map(|bill| bill.account_id).min(), bills.iter().map(|bill| bill.account_id).max()) else {
        return Ok(bills);
    };
    let keys: Vec<(RunId, AccountId)> = bills.iter().map(|bill| (bill.run_id, bill.account_id)).collect();
    disputes::carry_within(context, conn, &keys)?;
    let rows = rebills::waiting(conn, first, last)?;
    if rows.is_empty() {
        return Ok(bills);
    }
    let waiting: HashMap<AccountId, &WaitingAccount> = rows.iter().map(|waiting| (waiting.account_id, waiting)).collect();
    let (anew, others): (Vec<BillRow>, Vec<BillRow>) = bills.into_iter().partition(|bill| waiting.contains_key(&bill.account_id));
    let mut cancelled: HashMap<AccountId, Vec<CancelledBill>> = HashMap::new();
    let mut told: HashMap<AccountId, (CaseId, Told)> = HashMap::new();
    // An account may have waited since an earlier request that could not bill it.
    let requests: BTreeSet<_> = rows.iter().map(|waiting| waiting.rebill_id).collect();
    for id in &requests {
        for bill in rebills::cancelled_bills(conn, *id, first, last)? {
            cancelled.entry(bill.account_id).or_default().push(bill);
        }
        let of_request: BTreeSet<AccountId> = rows.iter().filter(|waiting| waiting.rebill_id == *id).map(|waiting| waiting.account_id).collect();
        let accounts: Vec<AccountId> = anew.iter().map(|bill| bill.account_id).filter(|account| of_request.contains(account)).collect();
        rebills::mark_billed(conn, *id, &accounts)?;
        let case = rows.iter().find(|waiting| waiting.rebill_id == *id).and_then(|waiting| waiting.case_id);
        if let Some(case) = case {
            for (account, found) in told_within(conn, case, *id, &accounts)? {
                told.insert(account, (case, found));
            }
        }
    }
    let mut draws = draws_of(draw_within(conn, context, run, &anew)?);
    let mut news = Vec::with_capacity(anew.len());
    for bill in &anew {
        let Some(waiting) = waiting.get(&bill.account_id) else { continue };
        let before = cancelled.remove(&bill.account_id).unwrap_or_default();
        let mut facts = corrected(run, bill, &before, draws.remove(&bill.account_id));
        let mut key = format!("rebill:{}:{}", waiting.rebill_id, bill.account_id);
        if let Some((case, found)) = told.remove(&bill.account_id) {
            (facts.asked, facts.before_cents, facts.after_cents, facts.cause) = (found.asked, found.before_cents, found.after_cents, found.cause);
            key = mend::key(case, bill.account_id);
        }
        let to = Addressee::Account(bill.account_id);
        news.push(NewNotice { key, to, happened_on: run.bill_on, facts: Facts::OverchargeCorrected(facts) });
    }
    notices::queue_many(conn, context, &news)?;
    Ok(others)
}

/// What autopay would have told of each account's new bill.
fn draws_of(told: Vec<NewNotice>) -> HashMap<AccountId, Facts> {
    let of = |notice: NewNotice| match notice.to {
        Addressee::Account(account) => Some((account, notice.facts)),
        _ => None,
    };
    told.into_iter().filter_map(of).collect()
}

/// What the customer is told of a bill that comes for others.
fn corrected(run: &RunRow, bill: &BillRow, before: &[CancelledBill], draw: Option<Facts>) -> OverchargeCorrected {
    let (mut will_draw, mut not_drawn) = (None, None);
    match draw {
        Some(Facts::AutopayAnnounced(draw)) => {
            will_draw = Some(CorrectedDraw { amount_cents: draw.amount_cents, draw_on: draw.draw_on, method: draw.method });
        }
        Some(Facts::AutopaySkipped(skipped)) => not_drawn = Some(skipped.reason),
        _ => {}
    }
    OverchargeCorrected {
        cancelled: before.iter().map(|bill| bill_number(bill.run_id, bill.account_id)).collect(),
        bill_number: Some(bill_number(run.id, bill.account_id)),
        due_on: Some(run.due_on),
        asked: false,
        before_cents: before.iter().map(|bill| bill.total_cents).sum(),
        after_cents: bill.total_cents,
        cause: String::new(),
        balance_cents: bill.amount_due_cents,
        draw: will_draw,
        not_drawn,
    }
}

/// Ends the draws of cancelled bills that were not begun; returns the accounts that had one.
pub(super) fn withdraw_draws(
    conn: &mut DbConnection,
    cancelled: &[(RunId, AccountId, i64)],
    now: NaiveDateTime,
) -> Result<BTreeSet<AccountId>, ActionError> {
    let mut undrawn = BTreeSet::new();
    for (run, account, _) in cancelled {
        if withdraw_quietly_within(conn, *run, *account, now)? {
            undrawn.insert(*account);
        }
    }
    Ok(undrawn)
}

/// Tells customers of bills that are cancelled and not billed anew.
pub(super) fn tell_of_cancelling(
    conn: &mut DbConnection,
    context: &Context,
    row: &RebillRow,
    gone: &[AccountPlan],
    undrawn: &BTreeSet<AccountId>,
) -> Result<(), ActionError> {
    let mut news = Vec::with_capacity(gone.len());
    for account in gone {
        let balance = ledger::position(conn, account.account_id)?.balance;
        let facts = OverchargeCorrected {
            cancelled: account.bills.iter().map(|bill| bill.number.clone()).collect(),
            before_cents: account.total_cents(),
            balance_cents: balance.cents(),
            not_drawn: undrawn.contains(&account.account_id).then(|| SkipReason::TakenBack.sentence().to_owned()),
            ..OverchargeCorrected::default()
        };
        news.push(NewNotice {
            key: format!("rebill:{}:{}", row.id, account.account_id),
            to: Addressee::Account(account.account_id),
            happened_on: context.today(),
            facts: Facts::OverchargeCorrected(facts),
        });
    }
    notices::queue_many(conn, context, &news)
}

/// Ends the request whose accounts a run billed, within the transaction that ends the run. An account that it could not bill
/// anew is a clerk's to settle: the reason stands with the run.
pub(in crate::actions) fn finish_with(conn: &mut DbConnection, context: &Context, run: &RunRow) -> Result<(), ActionError> {
    let Some(id) = billing::rebill_of(&run.cycle) else { return Ok(()) };
    let now = context.now();
    let left = rebills::accounts(conn, id, Some("cancelled"), AccountId(0), i64::MAX)?;
    let mut numbers: BTreeMap<AccountId, String> = BTreeMap::new();
    for account in &left {
        numbers.insert(account.account_id, crate::db::customers::account_number(conn, account.account_id)?);
    }
    let todos: Vec<NewToDo> = left
        .iter()
        .map(|account| NewToDo {
            kind: "rebill_waits".to_owned(),
            account_id: Some(account.account_id),
            amount_cents: Some(account.before_cents),
            ..NewToDo::about(
                format!(
                    "the bills of account {} were cancelled and run {} could not bill them anew: see there why, and bill the account when that is \
                     settled",
                    numbers.get(&account.account_id).map_or("", String::as_str),
                    run.id
                ),
                now,
            )
        })
        .collect();
    operations::raise(conn, &todos)?;
    rebills::finish(conn, id, Some(run.id), now)?;
    Ok(())
}
