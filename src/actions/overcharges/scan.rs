//! The scan: every account's bills derived again, in chunks, in parallel; what is new is kept, what no longer holds goes.
//!
//! A chunk is looked at in a snapshot, and only when something has to be written again under the locks of its accounts. So two
//! scans at once, and one that is killed anywhere and begun anew, leave the same findings as one.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::recompute::{CurrentRates, Rates, look};
use super::{Seen, Unjudged, mend, money};
use crate::actions::lease::Lease;
use crate::actions::stop::Stop;
use crate::actions::{ActionError, Context, bill_run};
use crate::db::billing::{self, ChunkRow};
use crate::db::overcharges::{self, FindingRow, NewFinding, OpenSums};
use crate::db::{DbConnection, customers, ledger, look_up_by_index};
use crate::domain::ids::{AccountId, CaseId, FindingId, RunId};

/// The lease of whoever scans everything by itself.
pub const LEASE: &str = "overcharges";

/// What a scan did, and what is open after it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ScanReport {
    /// Services whose bills were derived again.
    pub services: u64,
    /// Findings that are new.
    pub found: u64,
    /// Findings that no longer hold.
    pub gone: u64,
    /// What is open now, in the whole utility.
    #[serde(flatten)]
    pub open: OpenSums,
    /// Services that nobody can judge.
    pub unjudged: u64,
    /// The first of them.
    pub first_unjudged: Vec<Unjudged>,
}

/// So many services that cannot be judged are told.
const TOLD: usize = 100;

impl ScanReport {
    /// Whether nothing is open that somebody has to do something about.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.open.findings == 0
    }

    fn add(&mut self, other: Self) {
        self.services += other.services;
        self.found += other.found;
        self.gone += other.gone;
        self.unjudged += other.unjudged;
        let room = TOLD.saturating_sub(self.first_unjudged.len());
        self.first_unjudged.extend(other.first_unjudged.into_iter().take(room));
    }
}

/// Looks at every account.
///
/// # Errors
/// Those of the database. A difference is not an error but a finding.
pub fn scan_all(context: &Context, progress: &(dyn Fn(usize, usize) + Sync)) -> Result<ScanReport, ActionError> {
    let chunks = context.database.read(|conn| every_chunk(conn, context))?;
    scan_chunks(context, None, &chunks, progress)
}

/// The same for a server that does it by itself: no other server does it at the same time, and it ends soon when it is asked to.
///
/// # Errors
/// Those of the database, [`ActionError::Busy`] when another server is at it, [`ActionError::Stopped`].
pub fn scan_all_until(context: &Context, stop: &Stop, progress: &(dyn Fn(usize, usize) + Sync)) -> Result<ScanReport, ActionError> {
    let lease = Lease::take(context, LEASE)?.until(stop);
    let chunks = context.database.read(|conn| every_chunk(conn, context))?;
    scan_chunks(context, Some(&lease), &chunks, progress)
}

/// Looks at one account.
///
/// # Errors
/// [`ActionError::NotFound`] for an unknown account, or those of the database.
pub fn scan_account(context: &Context, number: &str) -> Result<ScanReport, ActionError> {
    let account = context.database.read(|conn| crate::actions::account_named(conn, number))?;
    scan_chunks(context, None, &[ChunkRow::open(RunId(0), 1, account.id, account.id)], &|_, _| {})
}

/// Looks at ranges of accounts.
pub(super) fn scan_chunks(
    context: &Context,
    lease: Option<&Lease>,
    chunks: &[ChunkRow],
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<ScanReport, ActionError> {
    let rates = context.database.snapshot(CurrentRates::load)?;
    let report = Mutex::new(ScanReport::default());
    bill_run::each_chunk("looking for overcharges", context, lease, chunks, progress, |chunk| {
        let part = scan_chunk(context, &rates, (chunk.first_account_id, chunk.last_account_id))?;
        report.lock().unwrap_or_else(PoisonError::into_inner).add(part);
        Ok(())
    })?;
    let mut report = report.into_inner().unwrap_or_else(PoisonError::into_inner);
    report.first_unjudged.sort_by(|a, b| (&a.account, &a.service_id).cmp(&(&b.account, &b.service_id)));
    report.open = context.database.read(overcharges::open_sums)?;
    Ok(report)
}

fn every_chunk(conn: &mut DbConnection, context: &Context) -> Result<Vec<ChunkRow>, ActionError> {
    let limit = i64::try_from(context.config.runs.chunk_accounts).unwrap_or(1000);
    let mut chunks = Vec::new();
    let mut after = AccountId(0);
    loop {
        let accounts = customers::accounts_after(conn, after, limit)?;
        let (Some(first), Some(last)) = (accounts.first(), accounts.last()) else { return Ok(chunks) };
        let number = i32::try_from(chunks.len() + 1).unwrap_or(i32::MAX);
        chunks.push(ChunkRow::open(RunId(0), number, first.id, last.id));
        after = last.id;
    }
}

/// What is to be written.
#[derive(Debug, Default)]
struct Plan {
    new: Vec<Seen>,
    gone: Vec<(FindingId, CaseId, AccountId)>,
    /// Open findings that still hold as they are.
    kept: HashSet<FindingId>,
}

impl Plan {
    fn is_empty(&self) -> bool {
        self.new.is_empty() && self.gone.is_empty()
    }

    /// Whose ledger's locks it wants, in id order.
    fn accounts(&self) -> Vec<AccountId> {
        let mut accounts: Vec<AccountId> = self.new.iter().map(|seen| seen.account).chain(self.gone.iter().map(|gone| gone.2)).collect();
        accounts.sort_unstable();
        accounts.dedup();
        accounts
    }
}

fn scan_chunk(context: &Context, rates: &CurrentRates, range: (AccountId, AccountId)) -> Result<ScanReport, ActionError> {
    let (mut report, plan) = context.database.snapshot(|conn| {
        look_up_by_index(conn)?;
        let rates = rates.now(conn)?;
        observe(conn, context, &rates, range, &[])
    })?;
    if plan.is_empty() {
        return Ok(report);
    }
    let accounts = plan.accounts();
    let narrowed = match (accounts.first(), accounts.last()) {
        (Some(first), Some(last)) => (*first, *last),
        _ => range,
    };
    let (found, gone) = context.database.write(|conn| {
        look_up_by_index(conn)?;
        // Whoever mends holds these locks, too: what is being mended is not found once more.
        ledger::lock_account_range(conn, narrowed.0, narrowed.1)?;
        // Asked under the locks: what somebody found here by a tariff that came meanwhile is not taken for gone by an old one.
        let rates = rates.now(conn)?;
        let (_, plan) = observe(conn, context, &rates, narrowed, &plan.new)?;
        apply(conn, context, plan)
    })?;
    (report.found, report.gone) = (found, gone);
    Ok(report)
}

/// Looks at a range of accounts and holds what is seen against what is stored.
fn observe(
    conn: &mut DbConnection,
    context: &Context,
    rates: &Rates,
    range: (AccountId, AccountId),
    known: &[Seen],
) -> Result<(ScanReport, Plan), ActionError> {
    let standing = overcharges::standing_in_range(conn, range.0, range.1)?;
    let mut looked = look(conn, rates, range, &standing, known)?;
    looked.seen.extend(money::look(conn, &context.config, range, &standing)?);
    let plan = plan(looked.seen, &standing, &looked.unjudged);
    let report = ScanReport {
        services: looked.services,
        unjudged: u64::try_from(looked.unjudged.len()).unwrap_or(u64::MAX),
        first_unjudged: looked.unjudged.into_iter().take(TOLD).collect(),
        ..ScanReport::default()
    };
    Ok((report, plan))
}

/// Which of some open findings are still just what a look at their accounts shows now. Whoever puts them right asks within the
/// transaction that does it, under the accounts' locks: a bill that was made anew or taken back meanwhile, and a correction that
/// nobody has looked at yet, show here.
pub(super) fn still_held(
    conn: &mut DbConnection,
    context: &Context,
    accounts: &[AccountId],
    findings: &[FindingRow],
) -> Result<HashSet<FindingId>, ActionError> {
    let rates = Rates::load(conn)?;
    let mut held = HashSet::new();
    for range in super::queue::ranges(accounts) {
        let standing = overcharges::standing_in_range(conn, range.0, range.1)?;
        let known: Vec<Seen> = standing.iter().filter(|(row, _)| row.status == "open").filter_map(|(row, subject)| Seen::of(row, subject)).collect();
        let (_, plan) = observe(conn, context, &rates, range, &known)?;
        let own = findings.iter().filter(|row| row.account_id >= range.0 && row.account_id <= range.1);
        held.extend(own.map(|row| row.id).filter(|id| plan.kept.contains(id)));
    }
    Ok(held)
}

fn plan(seen: Vec<Seen>, standing: &[(FindingRow, String)], unjudged: &[Unjudged]) -> Plan {
    let mut plan = Plan::default();
    let mut by_key: HashMap<&str, Vec<&(FindingRow, String)>> = HashMap::new();
    for stored in standing {
        by_key.entry(&stored.0.finding_key).or_default().push(stored);
    }
    for one in seen {
        let own = by_key.get(one.key.as_str()).map(Vec::as_slice).unwrap_or_default();
        if let Some((row, _)) = own.iter().find(|(row, subject)| row.status == "open" && is_same(row, &one) && *subject == one.reason.subject) {
            plan.kept.insert(row.id);
            continue;
        }
        let answered = |(row, _): &(FindingRow, String)| match row.status.as_str() {
            // What somebody looked at and let be stays so while it is the same.
            "dismissed" => is_same(row, &one),
            // That a payment came too late for a bill stays true; it is told once.
            "settled" => row.kind == "payment",
            _ => false,
        };
        if !own.iter().any(|stored| answered(stored)) {
            plan.new.push(one);
        }
    }
    // Of a service that nobody can judge now, nothing is said to be over.
    let judged = |row: &FindingRow| !unjudged.iter().any(|service| row.agreement_id == Some(service.agreement));
    let over = standing.iter().map(|(row, _)| row).filter(|row| row.status == "open" && !plan.kept.contains(&row.id) && judged(row));
    let gone = over.map(|row| (row.id, row.case_id, row.account_id)).collect();
    plan.gone = gone;
    plan
}

fn is_same(row: &FindingRow, seen: &Seen) -> bool {
    let stored = (row.billed_cents, row.mended_before_cents, row.should_cents, row.information == 1, row.cause.as_str());
    stored == (seen.billed_cents, seen.mended_cents, seen.should_cents, seen.information, seen.reason.cause.as_str())
}

fn apply(conn: &mut DbConnection, context: &Context, plan: Plan) -> Result<(u64, u64), ActionError> {
    let now = context.now();
    let mut left: Vec<CaseId> = Vec::new();
    let mut gone = 0;
    for (id, case, _) in plan.gone {
        gone += u64::from(overcharges::gone(conn, id, "it no longer holds", now)?);
        left.push(case);
    }
    let mut new = plan.new;
    // Cases are taken in one order by everybody, so that nobody waits in a circle.
    new.sort_by(|a, b| (a.reason.cause, &a.reason.subject, &a.key).cmp(&(b.reason.cause, &b.reason.subject, &b.key)));
    let mut rows = Vec::with_capacity(new.len());
    let mut current: Option<(String, CaseId)> = None;
    for seen in new {
        let name = format!("{} {}", seen.reason.cause, seen.reason.subject);
        let case = match &current {
            Some((known, id)) if *known == name => *id,
            _ => overcharges::open_case(conn, seen.reason.cause.as_str(), &seen.reason.subject, now)?,
        };
        current = Some((name, case));
        rows.push(NewFinding {
            case_id: case,
            finding_key: seen.key,
            kind: seen.kind.as_str().to_owned(),
            cause: seen.reason.cause.as_str().to_owned(),
            account_id: seen.account,
            agreement_id: seen.agreement,
            run_id: seen.run,
            from_on: seen.from_on,
            to_on: seen.to_on,
            billed_cents: seen.billed_cents,
            mended_before_cents: seen.mended_cents,
            should_cents: seen.should_cents,
            difference_cents: seen.should_cents - seen.billed_cents - seen.mended_cents,
            information: i32::from(seen.information),
            detail: seen.reason.detail,
            evidence: seen.evidence,
            found_at: now,
            status: "open".to_owned(),
        });
    }
    overcharges::insert_findings(conn, &rows)?;
    left.sort_unstable();
    left.dedup();
    for case in left {
        mend::end_left_within(conn, context, case)?;
    }
    Ok((u64::try_from(rows.len()).unwrap_or(u64::MAX), gone))
}

/// For callers that hold chunks of their own.
pub(super) fn chunk_of(first: AccountId, last: AccountId) -> ChunkRow {
    billing::ChunkRow::open(RunId(0), 1, first, last)
}
