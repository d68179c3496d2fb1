//! What cancelling bills and billing them anew would come to: really done, within a transaction that is taken back.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::NaiveDate;
use data_encoding::HEXLOWER;
use diesel::result::Error as DieselError;
use rand::Rng;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::plan::{AccountPlan, PlannedBill, by_account, plan_all};
use super::{BillKey, LIMITED, NOTHING, RebillKind, failures, limits};
use crate::actions::approvals::Amounts;
use crate::actions::bill_run::{Anew, foresee_within};
use crate::actions::policy::load_policies;
use crate::actions::tariffs::load_book;
use crate::actions::{ActionError, Context};
use crate::db::billing::{self, SegmentRow, rebill_cycle};
use crate::db::rebills::{self, InTheWay, NewRebill, RebillAccountRow, StandingSegment};
use crate::db::{DbConnection, LostRace};
use crate::domain::billing::TariffBook;
use crate::domain::gates::{BilledBefore, GateResult, RunTotals, judge_anew};
use crate::domain::ids::{AccountId, AgreementId, RebillId, RunId};
use crate::domain::policy::PolicyBook;

/// What becomes of one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccountPreview {
    /// The account.
    #[serde(skip)]
    pub account_id: AccountId,
    /// Its number.
    pub account: String,
    /// The bills that are cancelled, the oldest first.
    pub bills: Vec<PlannedBill>,
    /// What they charge, in cents.
    pub before_cents: i64,
    /// What billing them anew charges, in cents; none when they are only cancelled.
    pub after_cents: Option<i64>,
    /// Why nothing is done to this account.
    pub refused: Option<String>,
}

/// What cancelling bills, and billing them anew, would come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Preview {
    /// Reads up to and including this day are billed anew.
    pub through_on: NaiveDate,
    /// Account by account.
    pub accounts: Vec<AccountPreview>,
    /// What the gates say of it; none when nothing is billed anew.
    pub gates: Vec<GateResult>,
}

impl Preview {
    /// The accounts to which something is done.
    pub fn possible(&self) -> impl Iterator<Item = &AccountPreview> {
        self.accounts.iter().filter(|account| account.refused.is_none())
    }

    /// How many bills are cancelled.
    #[must_use]
    pub fn bills(&self) -> usize {
        self.possible().map(|account| account.bills.len()).sum()
    }

    /// What the cancelled bills charge, in cents.
    #[must_use]
    pub fn before_cents(&self) -> i64 {
        self.possible().map(|account| account.before_cents).sum()
    }

    /// What billing them anew charges, in cents.
    #[must_use]
    pub fn after_cents(&self) -> i64 {
        self.possible().filter_map(|account| account.after_cents).sum()
    }

    /// Leaves the accounts as they are that would get something else than was decided.
    pub(super) fn only_agreed(&mut self, agreed: &BTreeMap<AccountId, i64>) {
        for account in self.accounts.iter_mut().filter(|account| account.refused.is_none()) {
            let Some(after) = account.after_cents else { continue };
            if agreed.get(&account.account_id) != Some(&(after - account.before_cents)) {
                account.refused = Some("what it comes to has changed since it was agreed to".to_owned());
            }
        }
    }

    /// How each account's balance moves when its bills are cancelled, and made anew where that is wanted.
    pub(super) fn amounts(&self, kind: RebillKind) -> Amounts {
        let after = |account: &AccountPreview| if kind == RebillKind::Cancel { Some(0) } else { account.after_cents };
        let moves = |account: &AccountPreview| Some((account.account_id, after(account)? - account.before_cents));
        Amounts(self.possible().filter_map(moves).collect())
    }

    /// Under what a second person's approval of it is kept: these bills, and these amounts.
    #[must_use]
    pub fn approval_reference(&self) -> String {
        let mut hash = Sha256::new();
        for account in self.possible() {
            for bill in &account.bills {
                hash.update(bill.number.as_bytes());
                hash.update(b" ");
            }
            hash.update(account.before_cents.to_be_bytes());
            hash.update(account.after_cents.unwrap_or_default().to_be_bytes());
        }
        format!("rebill:{}", HEXLOWER.encode(hash.finalize().get(..16).unwrap_or_default()))
    }

    /// Fails when there is nothing to be done, or a gate holds it.
    pub(super) fn must_be_possible(&self, overridden: bool) -> Result<(), ActionError> {
        if self.possible().next().is_none() {
            let told =
                self.accounts.iter().take(20).filter_map(|account| account.refused.as_ref().map(|why| format!("account {}: {why}", account.account)));
            return Err(ActionError::Refused(format!("{NOTHING}:\n  {}", told.collect::<Vec<_>>().join("\n  "))));
        }
        if overridden || self.gates.iter().all(|gate| gate.passed) {
            return Ok(());
        }
        Err(ActionError::Refused(format!(
            "nothing was changed: a run that bills this anew would be held by its gates:\n  {}\nlook into it, or do it all the same with --override-gates \
             \"REASON\"",
            failures(&self.gates)
        )))
    }
}

/// Foresees what cancelling these bills, and billing them anew, would come to. Nothing is changed.
///
/// # Errors
/// [`ActionError::NotFound`] for an account that is not there; those of the database.
pub fn preview(context: &Context, bills: &[BillKey], kind: RebillKind) -> Result<Preview, ActionError> {
    let plans = plan_all(context, &by_account(bills))?;
    let possible = || plans.iter().filter(|plan| plan.refused.is_none());
    let last_day = possible().flat_map(|plan| &plan.bills).map(|bill| bill.to_on).max();
    let through_on = last_day.unwrap_or_else(|| context.today()).min(context.today());
    let mut accounts: Vec<AccountPreview> = plans.iter().map(account_of).collect();
    let mut gates = Vec::new();
    if kind == RebillKind::Rebill {
        let book = load_book(context)?;
        let policies = load_policies(context)?;
        let mut sum = Sum::default();
        let wanted: Vec<&AccountPlan> = possible().collect();
        for page in wanted.chunks(super::PAGE) {
            taken_back(context, |conn| foresee_page(conn, context, (&book, &policies), page, through_on)).map(|page| sum.add(page))?;
        }
        let limits = &context.config.gates;
        sum.settle(&mut accounts);
        gates = judge_anew(limits, &sum.totals, sum.totals.due, &billed_before(&accounts));
    }
    Ok(Preview { through_on, accounts, gates })
}

fn account_of(plan: &AccountPlan) -> AccountPreview {
    AccountPreview {
        account_id: plan.account_id,
        account: plan.number.clone(),
        bills: plan.bills.clone(),
        before_cents: plan.total_cents(),
        after_cents: None,
        refused: plan.refused.clone(),
    }
}

/// What pages of accounts come to.
#[derive(Default)]
struct Sum {
    totals: RunTotals,
    charges: BTreeMap<AccountId, i64>,
    /// Why an account cannot be billed anew.
    held: BTreeMap<AccountId, String>,
    /// Why there is nothing to bill, for accounts with nothing else.
    excluded: BTreeMap<AccountId, String>,
    /// What the policy, or somebody before, has to say against billing an account anew.
    limited: BTreeMap<AccountId, String>,
}

impl Sum {
    fn add(&mut self, page: Self) {
        self.totals = self.totals.plus(page.totals);
        self.charges.extend(page.charges);
        self.held.extend(page.held);
        self.excluded.extend(page.excluded);
        self.limited.extend(page.limited);
    }

    /// An account that would be held, or of which nothing could be billed, is left as it is.
    fn settle(&self, accounts: &mut [AccountPreview]) {
        for account in accounts.iter_mut().filter(|account| account.refused.is_none()) {
            let id = account.account_id;
            account.after_cents = self.charges.get(&id).copied();
            if let Some(why) = self.held.get(&id) {
                account.refused = Some(format!("it could not be billed anew: {why}"));
            } else if let Some(why) = self.limited.get(&id) {
                account.refused = Some(format!("{LIMITED}: {why}"));
            } else if account.after_cents.is_none() {
                let why = self.excluded.get(&id).map_or("no service of it is due", String::as_str);
                account.refused = Some(format!("nothing of it could be billed anew ({why}): cancel it without billing it anew, if that is meant"));
            }
        }
    }
}

/// What the accounts that can be billed anew were charged before.
fn billed_before(accounts: &[AccountPreview]) -> BilledBefore {
    let possible = || accounts.iter().filter(|account| account.refused.is_none());
    BilledBefore {
        segments: possible().flat_map(|account| &account.bills).map(|bill| bill.segments).sum(),
        total_cents: possible().map(|account| account.before_cents).sum(),
        expected_cents: None,
    }
}

fn foresee_page(
    conn: &mut DbConnection,
    context: &Context,
    (book, policies): (&TariffBook, &PolicyBook),
    page: &[&AccountPlan],
    through_on: NaiveDate,
) -> Result<Sum, ActionError> {
    let ids: BTreeSet<AccountId> = page.iter().map(|plan| plan.account_id).collect();
    let (Some(first), Some(last)) = (ids.first().copied(), ids.last().copied()) else { return Ok(Sum::default()) };
    let accounts: Vec<AccountId> = ids.iter().copied().collect();
    let gone: Vec<(&AccountPlan, Vec<StandingSegment>)> = segments_of(page, rebills::standing_segments(conn, &accounts)?);
    let mut until: HashMap<AgreementId, NaiveDate> =
        rebills::cancelled_until(conn, first, last)?.into_iter().map(|row| (row.agreement_id, row.until_on)).collect();
    for segment in gone.iter().flat_map(|(_, segments)| segments) {
        let day = until.entry(segment.agreement_id).or_insert(segment.period_end_on);
        *day = segment.period_end_on.max(*day);
    }
    let let_be = rebills::let_be(conn, &accounts)?;
    let id = as_if(conn, context, &ids, through_on)?;
    let mut by_run: BTreeMap<RunId, Vec<AccountId>> = BTreeMap::new();
    for plan in page {
        for run in plan.runs() {
            by_run.entry(run).or_default().push(plan.account_id);
        }
    }
    for (run, accounts) in &by_run {
        billing::withdraw_segments_of(conn, *run, accounts)?;
    }
    let foreseen = foresee_within(conn, context, book, (&rebill_cycle(id), through_on), Some(Anew { until, expected: None }), (first, last))?;
    let mut sum = Sum { totals: foreseen.totals, ..Sum::default() };
    for (plan, segments) in &gone {
        let anew: Vec<&SegmentRow> = foreseen.segments.iter().filter(|segment| segment.account_id == plan.account_id).collect();
        let own: Vec<&InTheWay> = let_be.iter().filter(|row| row.account_id == plan.account_id).collect();
        if let Some(why) = limits::against(policies, context.today(), (segments, &anew), &own) {
            sum.limited.insert(plan.account_id, why);
        }
    }
    for segment in foreseen.segments {
        *sum.charges.entry(segment.account_id).or_default() += segment.total_cents;
    }
    for left in foreseen.left_out {
        let list = if left.held { &mut sum.held } else { &mut sum.excluded };
        list.entry(left.account_id).or_insert(left.reason);
    }
    Ok(sum)
}

/// The segments that stand now on the bills that go.
fn segments_of<'a>(page: &[&'a AccountPlan], segments: Vec<StandingSegment>) -> Vec<(&'a AccountPlan, Vec<StandingSegment>)> {
    let mut by_account: BTreeMap<AccountId, Vec<StandingSegment>> = BTreeMap::new();
    for segment in segments {
        by_account.entry(segment.account_id).or_default().push(segment);
    }
    let mut of = |plan: &&'a AccountPlan| {
        let (plan, runs): (&'a AccountPlan, _) = (plan, plan.runs());
        let own = by_account.remove(&plan.account_id).unwrap_or_default();
        (plan, own.into_iter().filter(|segment| runs.contains(&segment.run_id)).collect())
    };
    page.iter().map(&mut of).collect()
}

/// A request that is never committed: its list of accounts is what the run would bill.
fn as_if(conn: &mut DbConnection, context: &Context, ids: &BTreeSet<AccountId>, through_on: NaiveDate) -> Result<RebillId, ActionError> {
    let row = NewRebill {
        token: crate::actions::sign_in::new_token(),
        kind: "rebill".to_owned(),
        reason: "foreseen".to_owned(),
        through_on,
        case_id: None,
        status: "billing".to_owned(),
        asked_by: context.actor.clone(),
        asked_at: context.now(),
    };
    let account = |rebill_id, account_id: &AccountId| RebillAccountRow {
        rebill_id,
        account_id: *account_id,
        state: "cancelled".to_owned(),
        before_cents: 0,
        expected_cents: 0,
        segments: 0,
        note: String::new(),
    };
    // A number that no request has or will have: looking takes none away.
    let id = RebillId(-rand::rng().random_range(1..=i64::MAX));
    let accounts: Vec<RebillAccountRow> = ids.iter().map(|account_id| account(id, account_id)).collect();
    rebills::insert_foreseen(conn, id, &row, &accounts)?;
    Ok(id)
}

/// Why a transaction is not committed.
enum Halt<T> {
    Failed(ActionError),
    Seen(T),
}

impl<T> From<ActionError> for Halt<T> {
    fn from(error: ActionError) -> Self {
        Self::Failed(error)
    }
}

impl<T> From<DieselError> for Halt<T> {
    fn from(error: DieselError) -> Self {
        Self::Failed(error.into())
    }
}

impl<T> LostRace for Halt<T> {
    fn lost_race(&self) -> bool {
        matches!(self, Self::Failed(error) if error.lost_race())
    }
}

/// Does something, looks at what it comes to, and takes it back.
fn taken_back<T>(context: &Context, work: impl Fn(&mut DbConnection) -> Result<T, ActionError>) -> Result<T, ActionError> {
    let outcome: Result<(), Halt<T>> = context.database.write(|conn| Err(Halt::Seen(work(conn)?)));
    match outcome {
        Err(Halt::Seen(seen)) => Ok(seen),
        Err(Halt::Failed(error)) => Err(error),
        Ok(()) => Err(ActionError::Violated("what was only to be foreseen was kept".to_owned())),
    }
}
