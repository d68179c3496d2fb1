//! What cancelling bills means, account by account: which bills go together, and what stands in the way.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::NaiveDate;

use super::limits::put_right_already;
use super::{BillKey, LIMITED};
use crate::actions::{ActionError, Context};
use crate::db::billing::{BillRow, bill_number};
use crate::db::rebills::{self, InTheWay, RebillBillRow, StandingSegment};
use crate::db::{DbConnection, customers};
use crate::domain::ids::{AccountId, RebillId, RunId};
use crate::domain::rebilling::{BilledPeriod, cancelled_together};

/// A bill that is cancelled, with what it says.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct PlannedBill {
    /// Its number.
    pub number: String,
    /// Its run.
    #[serde(skip)]
    pub run_id: RunId,
    /// Whether it was named; else it stands on one that was.
    pub asked: bool,
    /// Its charges, in cents.
    pub total_cents: i64,
    /// What it asked for, in cents.
    pub amount_due_cents: i64,
    /// The first day that it bills.
    pub from_on: NaiveDate,
    /// The day after the last.
    pub to_on: NaiveDate,
    /// Its segments.
    #[serde(skip)]
    pub segments: i64,
}

/// What is done to one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AccountPlan {
    pub(super) account_id: AccountId,
    pub(super) number: String,
    /// The bills that are cancelled, by position.
    pub(super) bills: Vec<PlannedBill>,
    /// Why nothing is done to it.
    pub(super) refused: Option<String>,
}

impl AccountPlan {
    pub(super) fn total_cents(&self) -> i64 {
        self.bills.iter().map(|bill| bill.total_cents).sum()
    }

    pub(super) fn runs(&self) -> BTreeSet<RunId> {
        self.bills.iter().map(|bill| bill.run_id).collect()
    }
}

/// Bills of one account, by account.
pub(super) fn by_account(bills: &[BillKey]) -> BTreeMap<AccountId, BTreeSet<RunId>> {
    let mut accounts: BTreeMap<AccountId, BTreeSet<RunId>> = BTreeMap::new();
    for (run, account) in bills {
        accounts.entry(*account).or_default().insert(*run);
    }
    accounts
}

/// Plans what is done to some accounts. A bill that another request is at work on, or has cancelled, stands in the way; not one
/// of `mine`.
pub(super) fn plan(
    conn: &mut DbConnection,
    asked: &BTreeMap<AccountId, BTreeSet<RunId>>,
    mine: Option<RebillId>,
) -> Result<Vec<AccountPlan>, ActionError> {
    let ids: Vec<AccountId> = asked.keys().copied().collect();
    let known = Known::load(conn, &ids, mine)?;
    let mut plans = Vec::with_capacity(asked.len());
    for (account, runs) in asked {
        let number = customers::account_number(conn, *account).map_err(|_| ActionError::not_found("account", account.to_string()))?;
        plans.push(known.plan(*account, number, runs));
    }
    Ok(plans)
}

/// Plans what is done to any number of accounts, some at a time.
pub(super) fn plan_all(context: &Context, asked: &BTreeMap<AccountId, BTreeSet<RunId>>) -> Result<Vec<AccountPlan>, ActionError> {
    let accounts: Vec<_> = asked.iter().collect();
    let mut plans = Vec::with_capacity(accounts.len());
    for page in accounts.chunks(super::PAGE) {
        let page: BTreeMap<AccountId, BTreeSet<RunId>> = page.iter().map(|(account, runs)| (**account, (*runs).clone())).collect();
        plans.extend(context.database.snapshot(|conn| plan(conn, &page, None))?);
    }
    Ok(plans)
}

/// What is known of some accounts' bills.
struct Known {
    bills: HashMap<BillKey, BillRow>,
    segments: HashMap<AccountId, Vec<StandingSegment>>,
    claims: HashMap<BillKey, RebillBillRow>,
    /// What was put right by a credit or a charge beside the bills.
    put_right: HashMap<AccountId, Vec<InTheWay>>,
}

impl Known {
    fn load(conn: &mut DbConnection, accounts: &[AccountId], mine: Option<RebillId>) -> Result<Self, ActionError> {
        let mut segments: HashMap<AccountId, Vec<StandingSegment>> = HashMap::new();
        for segment in rebills::standing_segments(conn, accounts)? {
            segments.entry(segment.account_id).or_default().push(segment);
        }
        let claims = rebills::claims(conn, accounts)?.into_iter().filter(|claim| Some(claim.rebill_id) != mine);
        let bills = rebills::bills_of_accounts(conn, accounts)?;
        let mut put_right: HashMap<AccountId, Vec<InTheWay>> = HashMap::new();
        for row in rebills::put_right_for(conn, accounts)? {
            put_right.entry(row.account_id).or_default().push(row);
        }
        Ok(Self {
            put_right,
            bills: bills.into_iter().map(|bill| ((bill.run_id, bill.account_id), bill)).collect(),
            segments,
            claims: claims.map(|claim| ((claim.run_id, claim.account_id), claim)).collect(),
        })
    }

    fn plan(&self, account_id: AccountId, number: String, asked: &BTreeSet<RunId>) -> AccountPlan {
        let segments = self.segments.get(&account_id).map_or(&[][..], Vec::as_slice);
        let periods: Vec<BilledPeriod> = segments
            .iter()
            .map(|segment| BilledPeriod { run_id: segment.run_id, agreement_id: segment.agreement_id, start_on: segment.period_start_on })
            .collect();
        let mut bills: Vec<(i64, PlannedBill)> = Vec::new();
        let mut refused = None;
        for run in cancelled_together(asked, &periods) {
            match self.bill((run, account_id), segments, asked.contains(&run)) {
                Ok(bill) => bills.push(bill),
                Err(why) => refused = refused.or(Some(why)),
            }
        }
        let gone: BTreeSet<RunId> = bills.iter().map(|(_, bill)| bill.run_id).collect();
        let beside = self.put_right.get(&account_id).map_or(&[][..], Vec::as_slice);
        let overlaps = |row: &InTheWay, segment: &StandingSegment| row.overlaps(segment.agreement_id, segment.period_start_on, segment.period_end_on);
        let beside = beside.iter().find(|row| segments.iter().any(|segment| gone.contains(&segment.run_id) && overlaps(row, segment)));
        refused = refused.or(beside.map(|row| format!("{LIMITED}: {}", put_right_already(row))));
        bills.sort_by_key(|(seq, _)| *seq);
        AccountPlan { account_id, number, bills: bills.into_iter().map(|(_, bill)| bill).collect(), refused }
    }

    /// A bill that goes, with its position; or why it cannot go.
    fn bill(&self, key: BillKey, segments: &[StandingSegment], asked: bool) -> Result<(i64, PlannedBill), String> {
        let number = bill_number(key.0, key.1);
        let of_bill: Vec<&StandingSegment> = segments.iter().filter(|segment| segment.run_id == key.0).collect();
        if let Some(segment) = of_bill.iter().find(|segment| segment.run_status != "issued") {
            let run = segment.run_id;
            return Err(format!("run {run} is {} and stands on it: finish that run, or discard it, first", segment.run_status.replace('_', " ")));
        }
        if let Some(claim) = self.claims.get(&key) {
            return Err(format!("bill {number} was cancelled by request {}, or is just being", claim.rebill_id));
        }
        let bill = self.bills.get(&key).ok_or_else(|| format!("there is no bill {number}"))?;
        if bill.status != "issued" {
            return Err(format!("bill {number} was taken back before"));
        }
        let from = of_bill.iter().map(|segment| segment.period_start_on).min();
        let to = of_bill.iter().map(|segment| segment.period_end_on).max();
        let (Some(from_on), Some(to_on)) = (from, to) else { return Err(format!("bill {number} bills no period that stands")) };
        let (total_cents, amount_due_cents) = (bill.total_cents, bill.amount_due_cents);
        let segments = i64::try_from(of_bill.len()).unwrap_or(i64::MAX);
        Ok((bill.account_seq, PlannedBill { number, run_id: key.0, asked, total_cents, amount_due_cents, from_on, to_on, segments }))
    }
}
