//! Taking the bills of a request back, some accounts at a time: each account whole, or not at all.

use std::collections::{BTreeMap, BTreeSet};

use super::anew;
use super::plan::{AccountPlan, plan};
use crate::actions::collections::leak_relief;
use crate::actions::lease::Lease;
use crate::actions::overcharges::mend::settle_cancelled_within;
use crate::actions::stop::Stop;
use crate::actions::{ActionError, Context};
use crate::db::rebills::{self, RebillRow};
use crate::db::{DbConnection, billing, customers, ledger, operations};
use crate::domain::ids::{AccountId, RunId};
use crate::domain::ledger::{Entry, EntryKind};
use crate::domain::money::Money;

/// The lease of bill runs: nobody prices while bills are taken back.
const LEASE: &str = "bill_run";

/// Takes back what of a request is not yet.
pub(super) fn cancel_all(context: &Context, row: &RebillRow, progress: &(dyn Fn(&str, usize, usize) + Sync), stop: &Stop) -> Result<(), ActionError> {
    let lease = Lease::take(context, LEASE)?.until(stop);
    let open = context.database.read(|conn| rebills::accounts(conn, row.id, Some("open"), AccountId(0), i64::MAX))?;
    let ids: Vec<AccountId> = open.iter().map(|account| account.account_id).collect();
    for (done, page) in ids.chunks(super::PAGE).enumerate() {
        lease.check()?;
        cancel_page(context, row, page)?;
        progress("cancelling", (done + 1) * super::PAGE.min(ids.len()), ids.len());
    }
    context.database.write(|conn| {
        let any = rebills::sums(conn, row.id)?.iter().any(|sum| sum.state == "cancelled" || sum.state == "billed");
        let now = context.now();
        if row.kind == "cancel" || !any {
            rebills::finish(conn, row.id, None, now)?;
        } else {
            rebills::set_status(conn, row.id, "cancelling", "billing")?;
        }
        Ok(())
    })
}

/// Takes back the bills of some accounts, in one transaction.
fn cancel_page(context: &Context, row: &RebillRow, page: &[AccountId]) -> Result<(), ActionError> {
    context.database.write(|conn| {
        // Nobody stores what was priced from the bills that go; then the accounts, in their order.
        customers::lock_terms(conn, true)?;
        ledger::lock_accounts(conn, page)?;
        let (Some(first), Some(last)) = (page.first(), page.last()) else { return Ok(()) };
        let count = i64::try_from(page.len()).unwrap_or(i64::MAX);
        let open = rebills::accounts(conn, row.id, Some("open"), AccountId(first.0 - 1), count)?;
        let open: Vec<AccountId> = open.into_iter().map(|account| account.account_id).filter(|id| id <= last).collect();
        let mut gone = Vec::new();
        for account in planned(conn, row, &open)? {
            match account.refused.clone() {
                Some(why) => rebills::refuse(conn, row.id, account.account_id, &why)?,
                None => gone.push(account),
            }
        }
        take_back(conn, context, row, &gone)
    })
}

/// What is to be done now to some accounts of a request. What is no longer what was foreseen is not done.
fn planned(conn: &mut DbConnection, row: &RebillRow, accounts: &[AccountId]) -> Result<Vec<AccountPlan>, ActionError> {
    let bills = rebills::bills(conn, row.id, accounts)?;
    let mut asked: BTreeMap<AccountId, BTreeSet<RunId>> = BTreeMap::new();
    let mut foreseen: BTreeMap<AccountId, BTreeSet<RunId>> = BTreeMap::new();
    for bill in bills {
        foreseen.entry(bill.account_id).or_default().insert(bill.run_id);
        if bill.asked == 1 {
            asked.entry(bill.account_id).or_default().insert(bill.run_id);
        }
    }
    let mut plans = plan(conn, &asked, Some(row.id))?;
    for plan in plans.iter_mut().filter(|plan| plan.refused.is_none()) {
        if foreseen.get(&plan.account_id) != Some(&plan.runs()) {
            plan.refused = Some("a later bill was issued since this was asked for: look at it again".to_owned());
        }
    }
    Ok(plans)
}

fn take_back(conn: &mut DbConnection, context: &Context, row: &RebillRow, gone: &[AccountPlan]) -> Result<(), ActionError> {
    // Ledger time is taken under the locks, so that it never contradicts the ledger's order.
    let (now, today) = (context.now(), context.today());
    let mut entries = Vec::new();
    let mut cancelled = Vec::new();
    for account in gone {
        let mut position = ledger::position(conn, account.account_id)?;
        for bill in billing::standing_bills_of(conn, &account.runs(), account.account_id)? {
            let (amount, tax) = (-Money::from_cents(bill.total_cents), -Money::from_cents(bill.tax_cents));
            let source = format!("rollback:{}", bill.run_id);
            position = position.after(amount)?;
            entries.push((Entry::charge(bill.account_id, EntryKind::BillReversal, source, amount, tax, today).balanced()?, position));
            cancelled.push((bill.run_id, bill.account_id, position.seq));
        }
    }
    ledger::append(conn, &entries, now)?;
    let mut by_run: BTreeMap<RunId, Vec<AccountId>> = BTreeMap::new();
    for (run, account, seq) in &cancelled {
        if billing::cancel_bill(conn, *run, *account, *seq)? != 1 {
            return Err(ActionError::Violated(format!("bill {} was taken back by somebody else just now", billing::bill_number(*run, *account))));
        }
        by_run.entry(*run).or_default().push(*account);
    }
    for (run, accounts) in &by_run {
        billing::withdraw_segments_of(conn, *run, accounts)?;
    }
    let keys: Vec<_> = cancelled.iter().map(|(run, account, _)| (*run, *account)).collect();
    leak_relief::cancelled_within(context, conn, &keys)?;
    let undrawn = anew::withdraw_draws(conn, &cancelled, now)?;
    let ids: Vec<AccountId> = gone.iter().map(|account| account.account_id).collect();
    rebills::mark_cancelled(conn, row.id, &ids)?;
    if let Some(case) = row.case_id {
        settle_cancelled_within(conn, context, case, row.id, &ids)?;
    }
    for account in gone {
        let numbers: Vec<&str> = account.bills.iter().map(|bill| bill.number.as_str()).collect();
        operations::audit(conn, now, &context.actor, "bill.cancel", &account.number, &format!("{}: {}", numbers.join(", "), row.reason))?;
    }
    if row.kind == "cancel" { anew::tell_of_cancelling(conn, context, row, gone, &undrawn) } else { Ok(()) }
}
