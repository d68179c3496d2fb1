//! How an account stands: what of which bill is open and since when, what is held back, what is in a plan.
//!
//! All of it is computed from the ledger's rows ([`crate::domain::aging`]); nothing is stored a second time.

use chrono::{Days, NaiveDate, NaiveDateTime};
use serde::Serialize;

use crate::actions::payments::{corrected_seq, returned_payment_seq};
use crate::actions::policy::policies_within;
use crate::actions::{ActionError, Context};
use crate::clock::local_date;
use crate::db::billing::bill_number;
use crate::db::collections::pay_plans::{self, PlanRow};
use crate::db::collections::{self as rows, AgedRow, HeldBill};
use crate::db::{DbConnection, autopay, inbox};
use crate::domain::aging::{Aging, Instalment, Open, Plan, Row};
use crate::domain::disputes::pay_by;
use crate::domain::dunning::Overdue;
use crate::domain::ids::{AccountId, RunId};
use crate::domain::money::Money;
use crate::domain::policy::PolicyBook;

/// So many plans of an account are looked at.
const MOST_PLANS: i64 = 100;

/// A bill of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BillStanding {
    /// Its number.
    pub bill_number: String,
    /// The run.
    #[serde(skip)]
    pub run_id: RunId,
    /// Its position in the ledger.
    pub account_seq: i64,
    /// Its date.
    pub bill_on: NaiveDate,
    /// When it is due.
    pub due_on: NaiveDate,
    /// Its own charges, in cents.
    pub charges_cents: i64,
    /// What of them is open, in cents.
    pub open_cents: i64,
    /// Whether it was taken back.
    pub cancelled: bool,
    /// Whether it is held back, or questioned.
    pub held: bool,
    /// Whether the utility is to draw it: what it did not draw yet is not late.
    pub drawing: bool,
    /// Until when it can be paid without a fee although it was due before.
    pub extended_to: Option<NaiveDate>,
    /// Whether it is, or was, in a pay plan.
    pub plan: InPlan,
}

/// Whether a bill is, or was, in a pay plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InPlan {
    /// In none, or in one that did not hold.
    No,
    /// In one that holds.
    Holds,
    /// It was paid by one that was kept.
    Kept,
}

/// A pay plan that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivePlan {
    /// Its row.
    pub row: PlanRow,
    /// Its instalments, for aging.
    pub plan: Plan,
}

/// A pay plan with the days on which it held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanSpan {
    /// The first day.
    pub agreed_on: NaiveDate,
    /// The day on which it ended; none while it holds.
    pub ended_on: Option<NaiveDate>,
    /// Its instalments, for aging.
    pub plan: Plan,
}

/// How an account stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The ledger's rows in their order.
    pub rows: Vec<Row>,
    /// What is open.
    pub aging: Aging,
    /// The plan that holds.
    pub plan: Option<ActivePlan>,
    /// Every plan of the account, the newest first, with the days on which it held.
    pub plans: Vec<PlanSpan>,
    /// The bills in the order of the ledger, those that were taken back too.
    pub bills: Vec<BillStanding>,
}

impl Standing {
    /// Reads how an account stands, within a transaction that sees it whole.
    ///
    /// # Errors
    /// Those of the database.
    pub fn load(context: &Context, conn: &mut DbConnection, account: AccountId) -> Result<Self, ActionError> {
        let aged = rows::aged_rows(conn, account)?;
        let held = rows::held_bills(conn, account)?;
        let plans = pay_plans::of_account(conn, account, MOST_PLANS)?;
        let mut spans = Vec::with_capacity(plans.len());
        let mut plan = None;
        for row in &plans {
            let known = active(conn, row.clone())?;
            spans.push(PlanSpan { agreed_on: row.agreed_on, ended_on: row.ended_on, plan: known.plan.clone() });
            if row.state == "active" {
                plan = Some(known);
            }
        }
        let ledger: Vec<Row> = aged.iter().map(row_of).collect();
        let aging = Aging::of(&ledger, plan.as_ref().map(|plan| &plan.plan));
        let cancelled: Vec<i64> = aged.iter().filter(|row| row.kind == "bill_reversal").filter_map(|row| row.undoes_seq).collect();
        let policies = if held.iter().any(HeldBill::was_let_go_by_hand) { policies_within(conn)? } else { PolicyBook::default() };
        let time_after = |at: NaiveDateTime| {
            let day = local_date(at, context.config.time_zone);
            pay_by(&policies.on(day).disputes.clone().unwrap_or_default(), day)
        };
        let bills = aged.iter().filter_map(|row| {
            let mut bill = bill_of(row, account)?;
            bill.open_cents = aging.open_of(row.account_seq).cents();
            bill.cancelled = cancelled.contains(&row.account_seq);
            bill.take_holds(&held, &time_after);
            bill.take_plans(&plans);
            Some(bill)
        });
        Ok(Self { bills: bills.collect(), rows: ledger, aging, plan, plans: spans })
    }

    /// What of a bill was unpaid at the end of a day, by the value dates of everything that stands, and by the plan that held on
    /// that day: a payment does not cover what is not due yet by it before a bill that is.
    #[must_use]
    pub fn unpaid_on(&self, seq: i64, day: NaiveDate) -> Money {
        let held = |span: &&PlanSpan| span.agreed_on <= day && span.ended_on.is_none_or(|ended| ended > day);
        Aging::as_of(&self.rows, self.plans.iter().find(held).map(|span| &span.plan), day).open_of(seq)
    }

    /// The charges that are overdue on a day and may be asked for, with the day since when: none that is held back, in question,
    /// still in its extended time, or in a plan that holds.
    fn overdue_items(&self, today: NaiveDate, fees_of_held: &[i64]) -> impl Iterator<Item = (NaiveDate, &Open)> {
        let open = self.aging.items.iter().filter(|item| item.instalment == 0 && item.open.is_positive());
        open.filter_map(move |item| Some((self.asked_from(item, fees_of_held).filter(|due_on| *due_on < today)?, item)))
    }

    /// The positions of the charges that are overdue on a day and may be asked for.
    #[must_use]
    pub fn overdue_seqs(&self, today: NaiveDate, fees_of_held: &[i64]) -> Vec<i64> {
        self.overdue_items(today, fees_of_held).map(|(_, item)| item.seq).collect()
    }

    /// What is overdue on a day and may be asked for: of the charges at some positions, or of all.
    #[must_use]
    pub fn overdue(&self, today: NaiveDate, fees_of_held: &[i64], among: Option<&[i64]>) -> Option<Overdue> {
        let mut found: Option<Overdue> = None;
        for (due_on, item) in self.overdue_items(today, fees_of_held).filter(|(_, item)| among.is_none_or(|seqs| seqs.contains(&item.seq))) {
            let so_far = found.get_or_insert(Overdue { amount: Money::ZERO, since: due_on });
            so_far.amount += item.open;
            so_far.since = so_far.since.min(due_on);
        }
        found
    }

    /// From when a charge may be asked for; none while it may not.
    fn asked_from(&self, item: &Open, fees_of_held: &[i64]) -> Option<NaiveDate> {
        if fees_of_held.contains(&item.seq) {
            return None;
        }
        match self.bills.iter().find(|bill| bill.account_seq == item.seq) {
            Some(bill) if bill.held || bill.drawing => None,
            Some(bill) => Some(bill.extended_to.map_or(item.due_on, |extended| extended.max(item.due_on))),
            None => Some(item.due_on),
        }
    }
}

impl BillStanding {
    /// Whether a plan holds that it is in.
    #[must_use]
    pub fn is_in_plan(&self) -> bool {
        self.plan == InPlan::Holds
    }

    /// `time_after` says until when a bill that was let go at a moment can be paid.
    fn take_holds(&mut self, held: &[HeldBill], time_after: &dyn Fn(NaiveDateTime) -> NaiveDate) {
        let run_id = self.run_id;
        for hold in held.iter().filter(|hold| hold.run_id == run_id) {
            self.drawing |= hold.drawing == 1;
            match hold.released_at {
                None => self.held = true,
                Some(at) => self.extend(hold.pay_by.unwrap_or_else(|| time_after(at))),
            }
        }
    }

    fn take_plans(&mut self, plans: &[PlanRow]) {
        let seq = self.account_seq;
        for plan in plans.iter().filter(|plan| plan.from_seq >= seq) {
            match plan.state.as_str() {
                "active" => self.plan = InPlan::Holds,
                // What was open when it was agreed was paid as agreed.
                "kept" => self.plan = InPlan::Kept,
                _ => self.extend(plan.ended_on.unwrap_or(self.due_on)),
            }
        }
    }

    fn extend(&mut self, to: NaiveDate) {
        self.extended_to = Some(self.extended_to.map_or(to, |known| known.max(to)));
    }
}

fn bill_of(row: &AgedRow, account: AccountId) -> Option<BillStanding> {
    let run_id = row.run_id?;
    Some(BillStanding {
        bill_number: bill_number(run_id, account),
        run_id,
        account_seq: row.account_seq,
        bill_on: row.bill_on?,
        due_on: row.due_on?,
        charges_cents: row.amount_cents,
        open_cents: 0,
        cancelled: false,
        held: false,
        drawing: false,
        extended_to: None,
        plan: InPlan::No,
    })
}

fn row_of(row: &AgedRow) -> Row {
    Row {
        seq: row.account_seq,
        amount: Money::from_cents(row.amount_cents),
        effective_on: row.effective_on,
        due_on: row.due_on.unwrap_or(row.effective_on),
        undoes: row.undoes_seq.or_else(|| returned_payment_seq(&row.source)).or_else(|| corrected_seq(&row.source)),
    }
}

fn active(conn: &mut DbConnection, row: PlanRow) -> Result<ActivePlan, ActionError> {
    let instalments = pay_plans::instalments(conn, row.id)?;
    let instalments = instalments.iter().map(|part| Instalment { due_on: part.due_on, amount: Money::from_cents(part.amount_cents) }).collect();
    let plan = Plan { from_seq: row.from_seq, instalments };
    Ok(ActivePlan { row, plan })
}

/// Whether money is on its way to an account: at a provider, in the inbox and not applied yet, or in a bank's file and waiting for a
/// clerk who is told that it is this account's.
///
/// # Errors
/// Those of the database.
pub fn is_paying(conn: &mut DbConnection, account: AccountId) -> Result<bool, ActionError> {
    Ok(autopay::pending_cents(conn, account, None)? > 0
        || !inbox::unapplied_accounts(conn, account, account)?.is_empty()
        || rows::bank_money_waits(conn, account)?)
}

/// What of an account's balance is in a plan's instalments that are due after a day, or stands for a planned charge that is held back
/// or in question: it need not be paid, and is not drawn, by then.
///
/// # Errors
/// Those of the database.
pub fn not_yet_due(conn: &mut DbConnection, account: AccountId, day: NaiveDate) -> Result<Money, ActionError> {
    let Some(row) = pay_plans::active(conn, account)? else { return Ok(Money::ZERO) };
    let active = active(conn, row)?;
    let aged = rows::aged_rows(conn, account)?;
    let ledger: Vec<Row> = aged.iter().map(row_of).collect();
    let aging = Aging::of(&ledger, Some(&active.plan));
    let held: Vec<HeldBill> = rows::held_bills(conn, account)?.into_iter().filter(|hold| hold.released_at.is_none()).collect();
    let is_held = |item: &&Open| {
        let run = aged.iter().find(|row| row.account_seq == item.seq).and_then(|row| row.run_id);
        run.is_some_and(|run| held.iter().any(|hold| hold.run_id == run))
    };
    let in_question: Money = aging.planned.iter().filter(is_held).map(|item| item.open).sum();
    let open: Money = aging.planned.iter().map(|item| item.open).sum();
    Ok((aging.instalments_after(day) + in_question).min(open))
}

/// A day so many days later.
pub(super) fn later(day: NaiveDate, days: u64) -> NaiveDate {
    day.checked_add_days(Days::new(days)).unwrap_or(day)
}
