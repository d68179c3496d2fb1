//! What pages and commands show of an account's collections.

use chrono::NaiveDate;
use serde::Serialize;

use super::deposits::{self, DepositView};
use super::disputes::{self, DisputeView};
use super::late_fees::fees_of;
use super::plans::{PlanView, plans_within};
use super::standing::{BillStanding, Standing, is_paying};
use crate::actions::account_view::{Whose, find};
use crate::actions::{ActionError, Context};
use crate::db::account_views::AccountHead;
use crate::db::billing::bill_number;
use crate::db::collections::deposits as deposit_rows;
use crate::db::collections::disputes as dispute_rows;
use crate::db::collections::dunning::{self as dunning_rows, CaseRow, StepRow};
use crate::db::collections::late_fees::{self as fee_rows, LateFeeRow};
use crate::db::collections::leak_relief::{self as relief_rows, PartRow, ReliefRow};

/// So many rows of each sort are shown.
const MOST: i64 = 24;

/// A fee with its bill's number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FeeView {
    /// Of which bill.
    pub bill_number: String,
    /// The fee.
    #[serde(flatten)]
    pub row: LateFeeRow,
}

/// A row of reminders with its steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DunningView {
    /// The reminders.
    #[serde(flatten)]
    pub row: CaseRow,
    /// The steps.
    pub steps: Vec<StepRow>,
}

/// A relief with its parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReliefView {
    /// The relief.
    #[serde(flatten)]
    pub row: ReliefRow,
    /// Its parts.
    pub parts: Vec<PartRow>,
}

/// A charge that is no bill, with what of it is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct OpenCharge {
    /// Its position in the ledger.
    pub account_seq: i64,
    /// Since when it is due.
    pub due_on: NaiveDate,
    /// What of it is open, in cents.
    pub open_cents: i64,
}

/// An account's collections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CollectionsView {
    /// The account's number.
    pub account: String,
    /// The account.
    #[serde(skip)]
    pub head: AccountHead,
    /// What it owes, in cents; below zero is its credit.
    pub balance_cents: i64,
    /// Credit that covers nothing yet, in cents.
    pub unapplied_cents: i64,
    /// What is overdue and may be asked for, in cents.
    pub overdue_cents: i64,
    /// Since when.
    pub overdue_since: Option<NaiveDate>,
    /// Whether money is on its way.
    pub is_paying: bool,
    /// The bills of which something is open, or that are held, oldest first.
    pub bills: Vec<BillStanding>,
    /// Other charges of which something is open.
    pub charges: Vec<OpenCharge>,
    /// Fees, newest first.
    pub fees: Vec<FeeView>,
    /// Reminders, newest first.
    pub dunning: Vec<DunningView>,
    /// Plans, newest first.
    pub plans: Vec<PlanView>,
    /// Questions, newest first.
    pub disputes: Vec<DisputeView>,
    /// Deposits, newest first.
    pub deposits: Vec<DepositView>,
    /// Reliefs, newest first.
    pub reliefs: Vec<ReliefView>,
}

impl CollectionsView {
    /// The plan that holds.
    #[must_use]
    pub fn plan(&self) -> Option<&PlanView> {
        self.plans.iter().find(|plan| plan.row.state == "active")
    }
}

/// An account's collections, for somebody who may look at it.
///
/// # Errors
/// [`ActionError::NotFound`] for an account that may not be looked at.
pub fn collections_view(context: &Context, number: &str, whose: Whose) -> Result<CollectionsView, ActionError> {
    context.database.snapshot(|conn| {
        let head = find(conn, number, whose)?;
        let standing = Standing::load(context, conn, head.id)?;
        let charged = fee_rows::of_account(conn, head.id)?;
        let held: Vec<&BillStanding> = standing.bills.iter().filter(|bill| bill.held).collect();
        let overdue = standing.overdue(context.today(), &fees_of(&charged, &held), None);
        let fees = charged.into_iter().rev().take(usize::try_from(MOST).unwrap_or(0));
        let fees = fees.map(|row| FeeView { bill_number: bill_number(row.run_id, row.account_id), row }).collect();
        let mut dunning = Vec::new();
        for row in dunning_rows::cases_of(conn, head.id, MOST)? {
            dunning.push(DunningView { steps: dunning_rows::steps_of(conn, row.id)?, row });
        }
        let mut deposited = Vec::new();
        for row in deposit_rows::of_account(conn, head.id)?.into_iter().rev() {
            deposited.push(deposits::view(context, conn, row)?);
        }
        let mut reliefs = Vec::new();
        for row in relief_rows::of_account(conn, head.id, MOST)? {
            reliefs.push(ReliefView { parts: relief_rows::parts_of(conn, row.id)?, row });
        }
        let questions = dispute_rows::of_account(conn, head.id, MOST)?;
        let is_bill = |seq: i64| standing.bills.iter().any(|bill| bill.account_seq == seq);
        let others = standing.aging.items.iter().filter(|item| item.instalment == 0 && item.open.is_positive() && !is_bill(item.seq));
        Ok(CollectionsView {
            account: head.number.clone(),
            balance_cents: head.balance_cents,
            unapplied_cents: standing.aging.unapplied.cents(),
            overdue_cents: overdue.map_or(0, |overdue| overdue.amount.cents()),
            overdue_since: overdue.map(|overdue| overdue.since),
            is_paying: is_paying(conn, head.id)?,
            charges: others.map(|item| OpenCharge { account_seq: item.seq, due_on: item.due_on, open_cents: item.open.cents() }).collect(),
            bills: standing.bills.iter().filter(|bill| !bill.cancelled && (bill.open_cents > 0 || bill.held)).cloned().collect(),
            fees,
            dunning,
            plans: plans_within(context, conn, head.id, MOST)?,
            disputes: questions.into_iter().map(|row| disputes::view(context, &head.number, row)).collect(),
            deposits: deposited,
            reliefs,
            head,
        })
    })
}
