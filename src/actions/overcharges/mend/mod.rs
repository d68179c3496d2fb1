//! Putting a case right: recent bills are cancelled and billed anew, older charges get the exact difference, and whoever was only
//! asked for too much is told. Each finding is settled once, in the transaction that mends it, and each customer of the case gets
//! one e-mail, whatever is killed in between and however often it is begun anew.

mod give;
mod plan;
mod second_person;
mod tell;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use super::queue::sweep_queue;
use crate::actions::approvals::{Waiting, waits};
use crate::actions::policy::load_policies;
use crate::actions::rebill::{self, RebillKind, Wanted};
use crate::actions::stop::Stop;
use crate::actions::{ActionError, Context, inbox, notices};
use crate::db::overcharges::{self, CaseRow, FindingRow};
use crate::db::{DbConnection, mending, operations, rebills};
use crate::domain::ids::{AccountId, ApprovalId, CaseId, FindingId, RebillId, RunId};
use crate::domain::notices::{Addressee, Facts, NewNotice, RunIncident};
use crate::domain::overcharges::Cause;

pub(in crate::actions) use give::{settle_cancelled_within, taken_back_within, told_within};
use plan::{Way, Ways};
use second_person::Agreed;
pub(in crate::actions) use tell::{Told, key};

/// So many accounts are put right in one transaction.
const PAGE: usize = 100;
/// So many findings are read at a time.
const FINDINGS: i64 = 5_000;

/// What is asked for.
#[derive(Clone)]
pub struct Mending<'a> {
    /// The case.
    pub case: CaseId,
    /// Why bills are made anew although a gate holds that.
    pub override_gates: Option<String>,
    /// Told how far a step is: its name, parts done, parts in all.
    pub progress: &'a (dyn Fn(&str, usize, usize) + Sync),
}

/// An account that is left as it is, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Left {
    /// The account's number.
    pub account: String,
    /// Why.
    pub reason: String,
}

/// What mending a case comes to, or came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MendReport {
    /// The case.
    pub case_id: i64,
    /// Where it stands: `settled` when nothing is left.
    pub status: String,
    /// Accounts whose bills are made anew.
    pub rebilled: usize,
    /// Accounts that get the exact difference.
    pub credited: usize,
    /// What those differences come to, in cents: a credit is negative.
    pub credited_cents: i64,
    /// Accounts that are only told: they were asked for too much by a bill that others have followed.
    pub told: usize,
    /// Accounts of which nothing is asked or given back, as the policy says.
    pub by_policy: usize,
    /// Accounts that are left as they are, the first of them with the reason.
    pub left: usize,
    /// The first of them.
    pub first_left: Vec<Left>,
    /// Whether nothing was written.
    pub dry_run: bool,
    /// The largest credit of one account, in cents.
    pub largest_credit_cents: i64,
    /// Why a second person must agree to what is still to be done.
    pub second_person: Option<String>,
    /// The request that waits for one.
    pub waits_for: Option<ApprovalId>,
}

impl MendReport {
    /// Whether the whole case is put right.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.left == 0 && (self.dry_run || self.status == "settled")
    }
}

/// So many accounts that are left are named.
const NAMED: usize = 50;

/// What putting a case right would come to. Nothing is changed.
///
/// # Errors
/// [`ActionError::NotFound`] when there is no such case; those of the database.
pub fn foresee(context: &Context, case: CaseId) -> Result<MendReport, ActionError> {
    let row = load(context, case)?;
    let policies = load_policies(context)?;
    let ways = Ways::of(context, &policies, &open_findings(context, case)?, true)?;
    let mut report = MendReport { case_id: case.0, status: row.status, dry_run: true, ..MendReport::default() };
    count(&mut report, &ways);
    let agreed = Agreed::of(context, case, &policies, &ways)?;
    (report.second_person, report.waits_for) = (agreed.why, second_person::waiting(context, case)?);
    Ok(report)
}

fn count(report: &mut MendReport, ways: &Ways) {
    report.largest_credit_cents = ways.accounts.iter().map(|account| -ways.cents(account)).max().unwrap_or(0).max(0);
    for account in &ways.accounts {
        match &account.way {
            Way::Rebill(_) => report.rebilled += 1,
            Way::Correct(parts) => {
                report.credited += 1;
                report.credited_cents += parts.iter().map(|part| part.difference.total.cents()).sum::<i64>();
            }
            Way::Tell => report.told += 1,
            Way::ByPolicy(_) => report.by_policy += 1,
            Way::Leave(reason) => {
                report.left += 1;
                if report.first_left.len() < NAMED {
                    report.first_left.push(Left { account: account.number.clone(), reason: reason.clone() });
                }
            }
        }
    }
}

/// Puts a case right, or goes on where an earlier attempt was interrupted.
///
/// # Errors
/// [`ActionError::NotFound`], [`ActionError::Refused`] when it is closed, or a gate holds the bills that are made anew.
pub fn mend(context: &Context, wanted: &Mending<'_>, stop: &Stop) -> Result<MendReport, ActionError> {
    let row = load(context, wanted.case)?;
    if row.status == "settled" {
        return came_to(context, wanted.case, MendReport::default());
    }
    // Payments first: what was received is applied before anybody is told a balance.
    inbox::settle(context, true, &Stop::default())?;
    // What corrections touched is looked at before anything is planned by it.
    sweep_queue(context, stop)?;
    let policies = load_policies(context)?;
    if row.status == "mending" {
        go_on_with_rebill(context, wanted, stop)?;
    }
    let mut ways = Ways::of(context, &policies, &open_findings(context, wanted.case)?, true)?;
    let agreed = Agreed::of(context, wanted.case, &policies, &ways)?;
    begin(context, wanted.case, &agreed)?;
    let bills: Vec<rebill::BillKey> = ways.to_rebill();
    if !bills.is_empty() {
        rebill_all(context, wanted, bills, &agreed, stop)?;
        ways = Ways::of(context, &policies, &open_findings(context, wanted.case)?, false)?;
        ways.without_rebilling(context, &policies, &refused(context, wanted.case)?)?;
        agreed.hold(&policies, context.today(), &mut ways);
    }
    let mut changed = Vec::new();
    for (done, page) in ways.accounts.chunks(PAGE).enumerate() {
        if stop.is_requested() {
            return Err(ActionError::Stopped);
        }
        changed.extend(give::settle_page(context, wanted.case, page)?);
        (wanted.progress)("giving back", (done + 1) * PAGE.min(ways.accounts.len()), ways.accounts.len());
    }
    end(context, wanted.case)?;
    let mut report = MendReport::default();
    let left: Vec<_> = ways.accounts.into_iter().filter(|account| matches!(account.way, Way::Leave(_))).collect();
    count(&mut report, &Ways { accounts: left, anew: HashMap::new() });
    report.left += changed.len();
    report.first_left.extend(changed);
    report.first_left.truncate(NAMED);
    came_to(context, wanted.case, report)
}

fn load(context: &Context, case: CaseId) -> Result<CaseRow, ActionError> {
    context.database.read(|conn| overcharges::case(conn, case))?.ok_or_else(|| ActionError::not_found("case", case.to_string()))
}

/// Everything of a case that is open, by account.
fn open_findings(context: &Context, case: CaseId) -> Result<Vec<FindingRow>, ActionError> {
    let mut all = Vec::new();
    let mut after = FindingId(0);
    loop {
        let page = context.database.read(|conn| overcharges::findings_of(conn, case, after, FINDINGS))?;
        let Some(last) = page.last().map(|row| row.id) else { break };
        after = last;
        all.extend(page.into_iter().filter(|row| row.status == "open"));
    }
    all.sort_by_key(|row| (row.account_id, row.id));
    Ok(all)
}

/// Marks the case, and tells staff of it; or asks a second person, where the policy wants one for what it comes to.
fn begin(context: &Context, case: CaseId, agreed: &Agreed) -> Result<(), ActionError> {
    let waiting = context.database.write(|conn| begin_within(conn, context, case, agreed))?;
    waiting.map_or(Ok(()), |waiting| Err(waits(&waiting)))
}

fn begin_within(conn: &mut DbConnection, context: &Context, case: CaseId, agreed: &Agreed) -> Result<Option<Waiting>, ActionError> {
    let row = overcharges::lock_case(conn, case)?.ok_or_else(|| ActionError::not_found("case", case.to_string()))?;
    if !["open", "mending"].contains(&row.status.as_str()) {
        return Err(ActionError::Refused(format!("case {case} is {}: only an open one is put right", row.status)));
    }
    if let Some(waiting) = agreed.ask_within(conn, context, &row)? {
        return Ok(Some(waiting));
    }
    if row.status == "mending" {
        return Ok(None);
    }
    overcharges::move_case(conn, case, "open", "mending")?;
    operations::audit(conn, context.now(), &context.actor, "overcharges.mend", &format!("case {case}"), &format!("{} {}", row.cause, row.subject))?;
    let told = incident(conn, context, &row, false)?;
    notices::queue(conn, context, told)?;
    Ok(None)
}

/// The notice to staff of a case.
fn incident(conn: &mut DbConnection, context: &Context, row: &CaseRow, mended: bool) -> Result<NewNotice, ActionError> {
    let standing = mending::sums(conn, row.id)?;
    let title = row.cause.parse::<Cause>().map_or_else(|_| row.cause.clone(), |cause| cause.title().to_owned());
    Ok(NewNotice {
        key: format!("run_incident:{}:{}", row.id, if mended { "mended" } else { "found" }),
        to: Addressee::Staff,
        happened_on: context.today(),
        facts: Facts::RunIncident(RunIncident {
            case_id: row.id.0,
            run_id: row.subject.strip_prefix("run ").and_then(|run| run.parse().ok()).map(RunId),
            cause: format!("{title} ({}).", row.subject),
            accounts: standing.accounts,
            too_much_cents: -standing.difference_cents,
            mended,
        }),
    })
}

/// Goes on with a request of this case that was interrupted.
fn go_on_with_rebill(context: &Context, wanted: &Mending<'_>, stop: &Stop) -> Result<(), ActionError> {
    let of_case = context.database.read(|conn| rebills::of_case(conn, wanted.case))?;
    for row in of_case.iter().filter(|row| row.status != "done") {
        rebill::resume(context, row.id, wanted.override_gates.clone(), stop)?;
    }
    Ok(())
}

fn rebill_all(context: &Context, wanted: &Mending<'_>, bills: Vec<rebill::BillKey>, agreed: &Agreed, stop: &Stop) -> Result<(), ActionError> {
    let before: Vec<RebillId> = context.database.read(|conn| rebills::of_case(conn, wanted.case))?.iter().map(|row| row.id).collect();
    let reason = format!("case {} of overcharges", wanted.case);
    // Whoever comes second to the same round finds it begun.
    let token = format!("case:{}:{}", wanted.case, before.len() + 1);
    let request = Wanted {
        case_id: Some(wanted.case),
        agreed: Some(agreed.open.0.clone()),
        override_gates: wanted.override_gates.clone(),
        progress: wanted.progress,
        ..Wanted::new(bills, RebillKind::Rebill, reason, token)
    };
    match rebill::rebill(context, &request, stop) {
        Ok(_) => Ok(()),
        // None of them can be made anew: then they are put right by the difference, or left.
        Err(ActionError::Refused(why)) if why.starts_with(rebill::NOTHING) => {
            log::warn!("case {}: {why}", wanted.case);
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Why accounts of a case could not be billed anew.
fn refused(context: &Context, case: CaseId) -> Result<HashMap<AccountId, String>, ActionError> {
    context.database.snapshot(|conn| {
        let mut refused = HashMap::new();
        for row in rebills::of_case(conn, case)? {
            let accounts = rebills::accounts(conn, row.id, Some("refused"), AccountId(0), i64::MAX)?;
            refused.extend(accounts.into_iter().map(|account| (account.account_id, account.note)));
        }
        Ok(refused)
    })
}

/// Closes the case when nothing of it is open any more, and tells staff.
fn end(context: &Context, case: CaseId) -> Result<(), ActionError> {
    context.database.write(|conn| {
        let Some(row) = overcharges::lock_case(conn, case)?.filter(|row| row.status == "mending") else { return Ok(()) };
        if mending::sums(conn, case)?.open > 0 {
            return Ok(());
        }
        settled(conn, context, &row)
    })
}

fn settled(conn: &mut DbConnection, context: &Context, row: &CaseRow) -> Result<(), ActionError> {
    let (now, case) = (context.now(), row.id);
    overcharges::close_case(conn, case, "settled", &context.actor, "put right", now)?;
    operations::audit(conn, now, &context.actor, "overcharges.mended", &format!("case {case}"), &format!("{} {}", row.cause, row.subject))?;
    let told = incident(conn, context, row, true)?;
    notices::queue(conn, context, told)
}

/// Closes a case whose last findings went by themselves, within the transaction that says so: also one that was left in the midst of
/// mending because of them. Where anything was put right, staff is told as when mending ends; what is on its way is not touched.
pub(super) fn end_left_within(conn: &mut DbConnection, context: &Context, case: CaseId) -> Result<(), ActionError> {
    let now = context.now();
    if overcharges::close_if_done(conn, case, &context.actor, now)? {
        return Ok(());
    }
    let Some(row) = overcharges::lock_case(conn, case)?.filter(|row| row.status == "mending") else { return Ok(()) };
    let sums = mending::sums(conn, case)?;
    if sums.open > 0 || rebills::of_case(conn, case)?.iter().any(|row| row.status != "done") {
        return Ok(());
    }
    if sums.accounts > 0 {
        return settled(conn, context, &row);
    }
    overcharges::close_case(conn, case, "gone", &context.actor, "nothing of it is open any more", now)?;
    Ok(())
}

/// What an attempt that ended early is called in the audit trail.
const FAILED: &str = "overcharges.failed";

/// Writes into a case's trail why an attempt to put it right ended early.
///
/// # Errors
/// Those of the database.
pub fn note_failure(context: &Context, case: CaseId, error: &ActionError) -> Result<(), ActionError> {
    let message = error.to_string();
    context.database.write(|conn| Ok(operations::audit(conn, context.now(), &context.actor, FAILED, &format!("case {case}"), &message)?))
}

/// Why the last attempt to put a case right ended early.
///
/// # Errors
/// Those of the database.
pub fn last_failure(context: &Context, case: CaseId) -> Result<Option<String>, ActionError> {
    let filter = operations::AuditFilter { action: Some(FAILED.to_owned()), subject: Some(format!("case {case}")), ..Default::default() };
    let found = context.database.read(|conn| operations::audit_page(conn, &filter, 1))?;
    Ok(found.into_iter().next().map(|event| event.detail))
}

/// What a case came to, from what settled its findings.
fn came_to(context: &Context, case: CaseId, left: MendReport) -> Result<MendReport, ActionError> {
    let (row, ways, done) = context.database.snapshot(|conn| {
        let row = overcharges::case(conn, case)?.ok_or_else(|| ActionError::not_found("case", case.to_string()))?;
        Ok::<_, ActionError>((row, mending::settled_ways(conn, case)?, mending::done_amounts(conn, case)?))
    })?;
    let mut report = MendReport { case_id: case.0, status: row.status, ..left };
    report.largest_credit_cents = done.iter().map(|row| -row.cents).max().unwrap_or(0).max(0);
    for way in ways {
        let accounts = usize::try_from(way.accounts).unwrap_or(usize::MAX);
        report.credited_cents += way.mended_cents;
        match way.way.as_str() {
            "rebill" => report.rebilled = accounts,
            "adjustment" => report.credited = accounts,
            "told" => report.told = accounts,
            _ => report.by_policy += accounts,
        }
    }
    Ok(report)
}

/// An account with what is to be done to it.
#[derive(Debug, Clone)]
struct AccountWay {
    account_id: AccountId,
    number: String,
    findings: Vec<FindingRow>,
    /// The tax of the bills of each finding about charges, with what was put right of it before, in cents.
    taxed: BTreeMap<FindingId, i64>,
    /// The findings whose last day an estimate closes that a read will settle.
    estimates: BTreeSet<FindingId>,
    way: Way,
}
