//! What happens where an account whose bills were cancelled is billed again, by whichever run: it is told once what was wrong
//! and what is right, and its draw is told with that.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::NaiveDateTime;

use super::plan::AccountPlan;
use crate::actions::autopay::announce::{draw_within, withdraw_quietly_within};
use crate::actions::collections::disputes;
use crate::actions::overcharges::mend::{self, Told, told_within};
use crate::actions::{ActionError, Context, notices};
use crate::db::billing::{self, BillRow, RunRow, bill_number};
use crate::db::operations::{self, NewToDo};
use crate::db::rebills::{self, CancelledBill, RebillRow};
use crate::db::{DbConnection, ledger};
use crate::domain::autopay::SkipReason;
use crate::domain::ids::{AccountId, CaseId, RebillId, RunId};
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
    let waiting: BTreeSet<AccountId> = rows.iter().map(|waiting| waiting.account_id).collect();
    let (anew, others): (Vec<BillRow>, Vec<BillRow>) = bills.into_iter().partition(|bill| waiting.contains(&bill.account_id));
    // An account may have waited since an earlier request that could not bill it.
    let requests: BTreeSet<(RebillId, Option<CaseId>)> = rows.iter().map(|waiting| (waiting.rebill_id, waiting.case_id)).collect();
    let mut draws = draws_of(draw_within(conn, context, run, &anew)?);
    let mut news: BTreeMap<String, (AccountId, OverchargeCorrected)> = BTreeMap::new();
    for (id, case) in requests {
        let of_request: BTreeSet<AccountId> = rows.iter().filter(|waiting| waiting.rebill_id == id).map(|waiting| waiting.account_id).collect();
        let mine: Vec<&BillRow> = anew.iter().filter(|bill| of_request.contains(&bill.account_id)).collect();
        let accounts: Vec<AccountId> = mine.iter().map(|bill| bill.account_id).collect();
        rebills::mark_billed(conn, id, &accounts)?;
        let mut told = case.map(|case| told_within(conn, case, id, &accounts)).transpose()?.unwrap_or_default();
        let mut request = Request::load(conn, id, run.id, (first, last))?;
        for bill in mine {
            let facts = request.corrected(run, bill, draws.remove(&bill.account_id), told.remove(&bill.account_id));
            let key = case.map_or_else(|| format!("rebill:{id}:{}", bill.account_id), |case| mend::key(case, bill.account_id));
            match news.entry(key) {
                Entry::Vacant(free) => drop(free.insert((bill.account_id, facts))),
                Entry::Occupied(mut known) => known.get_mut().1.add(facts),
            }
        }
    }
    let notice = |(key, (account, facts))| NewNotice {
        key,
        to: Addressee::Account(account),
        happened_on: run.bill_on,
        facts: Facts::OverchargeCorrected(facts),
    };
    notices::queue_many(conn, context, &news.into_iter().map(notice).collect::<Vec<_>>())?;
    Ok(others)
}

/// What a request cancelled in a range of accounts, and what a run charges for the same days.
struct Request {
    cancelled: HashMap<AccountId, Vec<CancelledBill>>,
    charged: HashMap<AccountId, i64>,
}

impl Request {
    fn load(conn: &mut DbConnection, id: RebillId, run: RunId, (first, last): (AccountId, AccountId)) -> Result<Self, ActionError> {
        let mut cancelled: HashMap<AccountId, Vec<CancelledBill>> = HashMap::new();
        for bill in rebills::cancelled_bills(conn, id, first, last)? {
            cancelled.entry(bill.account_id).or_default().push(bill);
        }
        let charged = rebills::billed_for(conn, id, run, first, last)?;
        Ok(Self { cancelled, charged: charged.into_iter().map(|row| (row.account_id, row.total_cents)).collect() })
    }

    /// What the customer is told of a bill that comes for others. Charges are those of the bills: other days on the new one are
    /// none of it. Where it was only asked for too much, the charges are the same.
    fn corrected(&mut self, run: &RunRow, bill: &BillRow, draw: Option<Facts>, found: Option<Told>) -> OverchargeCorrected {
        let before = self.cancelled.remove(&bill.account_id).unwrap_or_default();
        let (mut will_draw, mut not_drawn) = (None, None);
        match draw {
            Some(Facts::AutopayAnnounced(draw)) => {
                will_draw = Some(CorrectedDraw { amount_cents: draw.amount_cents, draw_on: draw.draw_on, method: draw.method });
            }
            Some(Facts::AutopaySkipped(skipped)) => not_drawn = Some(skipped.reason),
            _ => {}
        }
        let mut facts = OverchargeCorrected {
            cancelled: before.iter().map(|bill| bill_number(bill.run_id, bill.account_id)).collect(),
            bill_number: Some(bill_number(run.id, bill.account_id)),
            due_on: Some(run.due_on),
            asked: false,
            before_cents: before.iter().map(|bill| bill.total_cents).sum(),
            after_cents: self.charged.get(&bill.account_id).copied().unwrap_or_default(),
            cause: String::new(),
            balance_cents: bill.amount_due_cents,
            draw: will_draw,
            not_drawn,
        };
        if let Some(found) = found {
            facts.cause = found.cause;
            if found.asked {
                (facts.asked, facts.before_cents, facts.after_cents) = (true, found.before_cents, found.after_cents);
            }
        }
        facts
    }
}

/// What autopay would have told of each account's new bill.
fn draws_of(told: Vec<NewNotice>) -> HashMap<AccountId, Facts> {
    let of = |notice: NewNotice| match notice.to {
        Addressee::Account(account) => Some((account, notice.facts)),
        _ => None,
    };
    told.into_iter().filter_map(of).collect()
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
