//! Cancelling bills and billing them anew: one bill, many, those of a case, those of a whole run.
//!
//! A wrong bill goes together with the later bills of its account that stand on its periods. Each is taken back in the ledger,
//! its periods become unbilled, and a run over just these accounts bills them anew: so what was paid on a wrong bill is simply
//! in the balance. An account is cancelled whole or not at all; an account that could not be billed anew is left as it is.
//!
//! A request is stored before anything is done, with what it was foreseen to come to, so that one that was interrupted is gone
//! on with, and a form or a command that comes twice does it once.

mod anew;
mod cancel;
mod credit;
mod limits;
mod plan;
mod preview;
mod view;

use std::collections::BTreeMap;

use serde::Serialize;

use super::approvals::{self, Permit, Waiting};
use super::bill_run::{Fault, RunOptions, continue_run, run_bills_until};
use super::policy::policies_within;
use super::stop::Stop;
use super::{ActionError, Context};
use crate::db::billing::{self, bill_number, rebill_cycle};
use crate::db::rebills::{self, NewRebill, RebillAccountRow, RebillBillRow, RebillRow, StateSum};
use crate::db::{DbConnection, operations};
use crate::domain::gates::{BilledBefore, GateResult};
use crate::domain::ids::{AccountId, ApprovalId, CaseId, RebillId, RunId};

pub(in crate::actions) use anew::{billed_within, finish_with};
pub use credit::{ExactCorrection, correct_within};
pub(in crate::actions) use limits::put_right_already;
pub use plan::PlannedBill;
pub use preview::{AccountPreview, Preview, preview};
pub use view::{RebillLine, RebillPage, ReplacedBy, note_failure, rebill_page, replaced_by};

/// How the refusal begins when no bill that is named can be cancelled.
pub const NOTHING: &str = "none of these bills can be cancelled";

/// How the reason begins when the policy, or somebody before, speaks against billing an account anew.
pub const LIMITED: &str = "it is not billed anew";

/// A bill: its run and its account.
pub type BillKey = (RunId, AccountId);

/// So many accounts are planned, foreseen and cancelled at a time.
const PAGE: usize = 500;
/// No request names more bills.
const MOST_BILLS: usize = 2_000_000;
/// No longer reason is kept.
const LONGEST_REASON: usize = 1_000;

/// What becomes of the bills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RebillKind {
    /// They are cancelled, and their periods are left to a later run.
    Cancel,
    /// They are cancelled and billed anew.
    Rebill,
}

impl RebillKind {
    /// The name that tables use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Rebill => "rebill",
        }
    }
}

/// What is asked for.
#[derive(Clone)]
pub struct Wanted<'a> {
    /// The bills; later ones that stand on them go with them.
    pub bills: Vec<BillKey>,
    /// What becomes of them.
    pub kind: RebillKind,
    /// Why, in words.
    pub reason: String,
    /// The idempotency key: the same key again is the same request.
    pub token: String,
    /// The case of overcharges that it mends.
    pub case_id: Option<CaseId>,
    /// How each account's balance may move by it, in cents, when that was decided before: who would get something else is left as it
    /// is. None asks a second person where the policy wants one.
    pub agreed: Option<BTreeMap<AccountId, i64>>,
    /// Why they are billed anew although a gate holds that.
    pub override_gates: Option<String>,
    /// Told how far a step is: its name, parts done, parts in all.
    pub progress: &'a (dyn Fn(&str, usize, usize) + Sync),
    /// A fault to be planted; only the drill and tests plant any.
    #[doc(hidden)]
    pub fault: Option<Fault>,
}

impl Wanted<'_> {
    /// Asks for these bills, for no case, with nothing agreed before, under the gates and without telling how far it is.
    #[must_use]
    pub fn new(bills: Vec<BillKey>, kind: RebillKind, reason: impl Into<String>, token: impl Into<String>) -> Self {
        Self {
            bills,
            kind,
            reason: reason.into(),
            token: token.into(),
            case_id: None,
            agreed: None,
            override_gates: None,
            progress: &|_, _, _| {},
            fault: None,
        }
    }
}

/// What a request did so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RebillReport {
    /// The request.
    pub rebill: RebillRow,
    /// Its accounts by what became of them.
    pub accounts: Vec<StateSum>,
    /// The run that bills them anew.
    pub run_id: Option<RunId>,
    /// What that run bills, in cents.
    pub billed_cents: i64,
}

impl RebillReport {
    /// How many of its accounts are in a state.
    #[must_use]
    pub fn count(&self, state: &str) -> i64 {
        self.accounts.iter().filter(|sum| sum.state == state).map(|sum| sum.accounts).sum()
    }

    /// Whether everything that was asked for was done.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let left = if self.rebill.kind == "cancel" { 0 } else { self.count("cancelled") };
        self.rebill.status == "done" && left + self.count("refused") + self.count("open") == 0
    }
}

/// The bills that these numbers name.
///
/// # Errors
/// [`ActionError::NotFound`] for a number that no bill has.
pub fn bills_named(context: &Context, numbers: &[String]) -> Result<Vec<BillKey>, ActionError> {
    let mut keys = Vec::with_capacity(numbers.len());
    for number in numbers {
        let missing = || ActionError::not_found("bill", number.clone());
        let (run, account) = number.split_once('-').ok_or_else(missing)?;
        let key = (RunId(run.parse().map_err(|_| missing())?), AccountId(account.parse().map_err(|_| missing())?));
        if bill_number(key.0, key.1) != *number {
            return Err(missing());
        }
        let there = context.database.read(|conn| billing::bills_of_run(conn, key.0, key.1, key.1))?;
        if there.is_empty() {
            return Err(missing());
        }
        keys.push(key);
    }
    Ok(keys)
}

/// The bills of a run that stand.
///
/// # Errors
/// [`ActionError::NotFound`] when there is no such run.
pub fn bills_of_run(context: &Context, run: RunId) -> Result<Vec<BillKey>, ActionError> {
    context.database.snapshot(|conn| {
        billing::run(conn, run)?.ok_or_else(|| ActionError::not_found("run", run.to_string()))?;
        let bills = billing::bills_of_run(conn, run, AccountId(0), AccountId(i64::MAX))?;
        Ok(bills.into_iter().filter(|bill| bill.status == "issued").map(|bill| (bill.run_id, bill.account_id)).collect())
    })
}

/// Cancels bills, and bills them anew when that is asked for. What an earlier attempt left unfinished of these bills is gone on
/// with; what was done before stays done.
///
/// # Errors
/// [`ActionError::Refused`] when nothing can be done, or a gate holds it; [`ActionError::Busy`] when a bill run is at work.
pub fn rebill(context: &Context, wanted: &Wanted<'_>, stop: &Stop) -> Result<RebillReport, ActionError> {
    check(wanted)?;
    let known = context.database.read(|conn| rebills::by_token(conn, &wanted.token))?;
    let id = match known {
        Some(known) => known.id,
        None => match claimed(context, &wanted.bills)? {
            Some(id) => id,
            None => begin_or_join(context, wanted)?,
        },
    };
    go_on(context, id, wanted, stop)
}

/// Whoever asked for the same at the same moment and was first has begun it.
fn begin_or_join(context: &Context, wanted: &Wanted<'_>) -> Result<RebillId, ActionError> {
    match begin(context, wanted) {
        Err(error @ ActionError::Refused(_)) => claimed(context, &wanted.bills)?.ok_or(error),
        outcome => outcome,
    }
}

/// Stores what is asked for, and leaves the work to [`resume`]: for a page that goes on to show how far it is.
///
/// # Errors
/// As [`rebill`].
pub fn begin(context: &Context, wanted: &Wanted<'_>) -> Result<RebillId, ActionError> {
    check(wanted)?;
    if let Some(known) = context.database.read(|conn| rebills::by_token(conn, &wanted.token))? {
        return Ok(known.id);
    }
    super::inbox::settle(context, true, &Stop::default())?;
    let mut foreseen = preview(context, &wanted.bills, wanted.kind)?;
    if let Some(agreed) = &wanted.agreed {
        foreseen.only_agreed(agreed);
    }
    foreseen.must_be_possible(wanted.override_gates.is_some())?;
    let row = NewRebill {
        token: wanted.token.clone(),
        kind: wanted.kind.as_str().to_owned(),
        reason: wanted.reason.trim().to_owned(),
        through_on: foreseen.through_on,
        case_id: wanted.case_id,
        status: "cancelling".to_owned(),
        asked_by: context.actor.clone(),
        asked_at: context.now(),
    };
    let begun = context.database.write(|conn| {
        if let Some(known) = rebills::by_token(conn, &wanted.token)? {
            return Ok(Ok(known.id));
        }
        nobody_was_first(conn, &foreseen)?;
        if let Some(waiting) = second_person(conn, context, wanted, &foreseen)? {
            return Ok(Err(waiting));
        }
        let id = rebills::insert(conn, &row, |id| rows_of(id, &foreseen))?;
        let detail = format!("{} bills of {} accounts: {}", foreseen.bills(), foreseen.possible().count(), row.reason);
        operations::audit(conn, context.now(), &context.actor, "bill.rebill", &format!("rebill {id}"), &detail)?;
        Ok::<_, ActionError>(Ok(id))
    })?;
    begun.map_err(|waiting| approvals::waits(&waiting))
}

/// The request for a second person that this waits for, where the policy wants one. What is only cancelled gives back the whole
/// bill, whatever is billed for its days later. Of a case of overcharges it was asked for the whole case.
fn second_person(conn: &mut DbConnection, context: &Context, wanted: &Wanted<'_>, foreseen: &Preview) -> Result<Option<Waiting>, ActionError> {
    if wanted.agreed.is_some() {
        return Ok(None);
    }
    let amounts = foreseen.amounts(wanted.kind);
    let policy = policies_within(conn)?.on(context.today()).clone();
    let largest = amounts.largest_credit();
    if wanted.kind == RebillKind::Rebill && largest > policy.credits.largest {
        let (most, citation) = (policy.credits.largest, &policy.credits.citation);
        return Err(ActionError::Refused(format!(
            "an account would get {largest}, and {most} is the most that the policy lets anybody give ({citation})"
        )));
    }
    let Some(why) = approvals::why_two_of(&policy, &amounts) else { return Ok(None) };
    let (bills, accounts) = (foreseen.bills(), foreseen.possible().count());
    let what = if wanted.kind == RebillKind::Cancel { "cancelled" } else { "billed anew" };
    let permit = Permit {
        kind: "rebill".to_owned(),
        account: None,
        amount: amounts.total()?,
        reference: foreseen.approval_reference(),
        subject: format!("{bills} bills of {accounts} accounts {what}, {} at most for one", amounts.largest_credit()),
        note: wanted.reason.trim().to_owned(),
        shares: amounts.shares(conn)?,
        case: None,
    };
    approvals::permit_within(conn, context, &permit, &why)
}

/// The request that waits for a second person for what a preview shows.
///
/// # Errors
/// Those of the database.
pub fn waits_for(context: &Context, foreseen: &Preview) -> Result<Option<ApprovalId>, ActionError> {
    approvals::waiting_for(context, &foreseen.approval_reference())
}

/// Fails when a bill of it went into another request since it was foreseen.
fn nobody_was_first(conn: &mut DbConnection, foreseen: &Preview) -> Result<(), ActionError> {
    let possible: Vec<&AccountPreview> = foreseen.possible().collect();
    for page in possible.chunks(PAGE) {
        let ids: Vec<AccountId> = page.iter().map(|account| account.account_id).collect();
        let claims = rebills::claims(conn, &ids)?;
        let of_page = |claim: &&RebillBillRow| {
            page.iter().any(|account| account.account_id == claim.account_id && account.bills.iter().any(|bill| bill.run_id == claim.run_id))
        };
        if let Some(claim) = claims.iter().find(of_page) {
            let number = bill_number(claim.run_id, claim.account_id);
            return Err(ActionError::Refused(format!("bill {number} was cancelled by request {}, or is just being: look again", claim.rebill_id)));
        }
    }
    Ok(())
}

/// The rows of a request: accounts that are not possible are kept with the reason.
fn rows_of(id: RebillId, foreseen: &Preview) -> (Vec<RebillAccountRow>, Vec<RebillBillRow>) {
    let (mut accounts, mut bills) = (Vec::new(), Vec::new());
    for account in &foreseen.accounts {
        let state = if account.refused.is_some() { "refused" } else { "open" };
        accounts.push(RebillAccountRow {
            rebill_id: id,
            account_id: account.account_id,
            state: state.to_owned(),
            before_cents: account.before_cents,
            expected_cents: account.after_cents.unwrap_or(0),
            segments: account.bills.iter().map(|bill| bill.segments).sum(),
            note: account.refused.clone().unwrap_or_default(),
        });
        bills.extend(account.bills.iter().map(|bill| RebillBillRow {
            rebill_id: id,
            run_id: bill.run_id,
            account_id: account.account_id,
            asked: i32::from(bill.asked),
            state: state.to_owned(),
        }));
    }
    (accounts, bills)
}

fn check(wanted: &Wanted<'_>) -> Result<(), ActionError> {
    let reason = wanted.reason.trim();
    if reason.is_empty() || reason.chars().count() > LONGEST_REASON {
        return Err(ActionError::Refused(format!("reason: expected why, in words, in at most {LONGEST_REASON} characters")));
    }
    if wanted.bills.is_empty() {
        return Err(ActionError::Refused("bills: none is named that stands: expected at least one".to_owned()));
    }
    if wanted.bills.len() > MOST_BILLS {
        return Err(ActionError::Refused(format!("bills: {} are named: expected at most {MOST_BILLS}", wanted.bills.len())));
    }
    Ok(())
}

/// The request that these bills are in already, all of them: unfinished it is gone on with, finished it was this one before.
fn claimed(context: &Context, bills: &[BillKey]) -> Result<Option<RebillId>, ActionError> {
    let mut owner: BTreeMap<RebillId, usize> = BTreeMap::new();
    for page in bills.chunks(PAGE) {
        let accounts: Vec<AccountId> = page.iter().map(|(_, account)| *account).collect();
        let claims = context.database.read(|conn| rebills::claims(conn, &accounts))?;
        for claim in claims.iter().filter(|claim| page.contains(&(claim.run_id, claim.account_id))) {
            *owner.entry(claim.rebill_id).or_default() += 1;
        }
        if owner.is_empty() {
            return Ok(None);
        }
    }
    Ok(owner.into_iter().find(|(_, count)| *count == bills.len()).map(|(id, _)| id))
}

/// The request with an idempotency key, when there is one.
///
/// # Errors
/// Those of the database.
pub fn known(context: &Context, token: &str) -> Result<Option<RebillId>, ActionError> {
    Ok(context.database.read(|conn| rebills::by_token(conn, token))?.map(|row| row.id))
}

/// Goes on with a request where it stopped.
///
/// # Errors
/// As [`rebill`], and [`ActionError::NotFound`].
pub fn resume(context: &Context, id: RebillId, override_gates: Option<String>, stop: &Stop) -> Result<RebillReport, ActionError> {
    let wanted = Wanted { override_gates, ..Wanted::new(Vec::new(), RebillKind::Rebill, "", "") };
    go_on(context, id, &wanted, stop)
}

fn go_on(context: &Context, id: RebillId, wanted: &Wanted<'_>, stop: &Stop) -> Result<RebillReport, ActionError> {
    let row = load(context, id)?;
    if row.status == "cancelling" {
        cancel::cancel_all(context, &row, wanted.progress, stop)?;
    }
    let row = load(context, id)?;
    if row.status == "billing" {
        bill_anew(context, &row, wanted, stop)?;
    }
    report(context, id)
}

fn load(context: &Context, id: RebillId) -> Result<RebillRow, ActionError> {
    context.database.read(|conn| rebills::by_id(conn, id))?.ok_or_else(|| ActionError::not_found("request", id.to_string()))
}

/// What a request did so far.
///
/// # Errors
/// [`ActionError::NotFound`].
pub fn report(context: &Context, id: RebillId) -> Result<RebillReport, ActionError> {
    context.database.snapshot(|conn| {
        let rebill = rebills::by_id(conn, id)?.ok_or_else(|| ActionError::not_found("request", id.to_string()))?;
        let accounts = rebills::sums(conn, id)?;
        let run = billing::latest_run_of(conn, &rebill_cycle(id))?;
        let billed_cents = match &run {
            Some(run) => billing::run_totals(conn, run.id)?.total_cents,
            None => 0,
        };
        Ok(RebillReport { rebill, accounts, run_id: run.map(|run| run.id), billed_cents })
    })
}

/// Bills the accounts anew by a run of their own, or goes on with that run.
fn bill_anew(context: &Context, row: &RebillRow, wanted: &Wanted<'_>, stop: &Stop) -> Result<(), ActionError> {
    let cycle = rebill_cycle(row.id);
    let options = RunOptions {
        cycle: cycle.clone(),
        through: row.through_on,
        dry_run: false,
        approve: true,
        override_gates: wanted.override_gates.clone(),
        progress: wanted.progress,
        fault: wanted.fault,
    };
    let run = context.database.read(|conn| billing::latest_run_of(conn, &cycle))?;
    if run.is_none() && context.database.read(|conn| rebills::accounts(conn, row.id, Some("cancelled"), AccountId(0), 1))?.is_empty() {
        // Another run has billed all of them meanwhile.
        context.database.write(|conn| Ok::<_, ActionError>(rebills::finish(conn, row.id, None, context.now())?))?;
        return Ok(());
    }
    match run.as_ref().map(|run| (run.id, run.status.as_str())) {
        Some((_, "issued" | "rolling_back" | "rolled_back")) => {}
        Some((id, _)) => drop(continue_run(context, id, &options, stop)?),
        None => drop(run_bills_until(context, &options, stop)?),
    }
    Ok(())
}

/// What the gates of a request's run compare with: the accounts that it bills. One that it holds, or that another run has billed
/// since, holds nobody else.
pub(in crate::actions) fn billed_before(conn: &mut DbConnection, id: RebillId, run: RunId) -> Result<BilledBefore, ActionError> {
    let sum = rebills::sums_billed_by(conn, id, run)?;
    Ok(BilledBefore { segments: sum.segments, total_cents: sum.before_cents, expected_cents: Some(sum.expected_cents) })
}

/// What failed of the gates, one to a line.
pub(super) fn failures(gates: &[GateResult]) -> String {
    let failed = gates.iter().filter(|gate| !gate.passed).map(|gate| format!("{}: {}", gate.gate, gate.detail));
    failed.collect::<Vec<_>>().join("\n  ")
}
