//! Settling findings: with the bill that comes for the wrong one, with a difference that is posted, or by telling.

use std::collections::{BTreeMap, HashMap};

use chrono::NaiveDateTime;

use super::plan::{ESTIMATE, Part, Way};
use super::tell::{self, Told};
use super::{AccountWay, Left};
use crate::actions::overcharges::scan::still_held;
use crate::actions::rebill::{ExactCorrection, correct_within};
use crate::actions::{ActionError, Context, notices};
use crate::db::overcharges::{self, FindingRow, NewFinding};
use crate::db::{DbConnection, ledger, look_up_by_index, mending};
use crate::domain::ids::{AccountId, CaseId, FindingId, RebillId};

/// Why an account is left that is no longer what it was when this was planned.
const CHANGED: &str = "something about it changed while this case was put right: look for overcharges again";

/// Why an account is left whose case is no longer one that is put right.
const DISMISSED: &str = "the case was dismissed or closed meanwhile";

/// Puts some accounts of a case right, in one transaction. What was planned is looked at once more under the locks: an account of
/// which something changed since is left as it is. Returns those.
pub(super) fn settle_page(context: &Context, case: CaseId, page: &[AccountWay]) -> Result<Vec<Left>, ActionError> {
    let ids: Vec<AccountId> = page.iter().map(|account| account.account_id).collect();
    let findings: Vec<FindingId> = page.iter().flat_map(|account| &account.findings).map(|row| row.id).collect();
    context.database.write(|conn| {
        look_up_by_index(conn)?;
        ledger::lock_accounts(conn, &ids)?;
        // Nor is a case put right further that somebody dismissed meanwhile.
        if overcharges::lock_case(conn, case)?.is_none_or(|row| row.status != "mending") {
            let acting = page.iter().filter(|account| account.way.acts());
            return Ok(acting.map(|account| Left { account: account.number.clone(), reason: DISMISSED.to_owned() }).collect());
        }
        let now = context.now();
        // Whoever was first has settled them.
        let open: Vec<FindingRow> = overcharges::findings(conn, &findings)?.into_iter().filter(|row| row.status == "open").collect();
        let acted: Vec<AccountId> = page.iter().filter(|account| account.way.acts()).map(|account| account.account_id).collect();
        let held = still_held(conn, context, &acted, &open)?;
        let (mut news, mut left) = (Vec::new(), Vec::new());
        for account in page.iter().filter(|account| account.way.acts()) {
            let own = || account.findings.iter().filter(|row| open.iter().any(|open| open.id == row.id));
            if own().count() != account.findings.len() {
                continue;
            }
            if own().all(|row| held.contains(&row.id)) {
                news.extend(settle_account(conn, context, case, account, now)?);
            } else {
                left.push(Left { account: account.number.clone(), reason: CHANGED.to_owned() });
            }
        }
        notices::queue_many(conn, context, &news)?;
        Ok(left)
    })
}

fn settle_account(
    conn: &mut DbConnection,
    context: &Context,
    case: CaseId,
    account: &AccountWay,
    now: NaiveDateTime,
) -> Result<Option<crate::domain::notices::NewNotice>, ActionError> {
    let mut given: BTreeMap<FindingId, i64> = BTreeMap::new();
    match &account.way {
        Way::Rebill(_) | Way::Leave(_) => return Ok(None),
        Way::ByPolicy(why) => {
            for row in &account.findings {
                overcharges::dismiss(conn, row.id, &format!("policy: {why}"), now)?;
            }
            return Ok(None);
        }
        Way::Tell => {}
        Way::Correct(parts) => {
            for part in parts {
                post(conn, context, account.account_id, part)?;
                given.insert(part.finding, part.difference.total.cents());
            }
        }
    }
    for row in &account.findings {
        match given.get(&row.id) {
            Some(cents) => {
                overcharges::settle(conn, row.id, &format!("adjustment:{}", reference(row.id)), *cents, now)?;
                let_be(conn, row, *cents, now)?;
            }
            None if row.kind == "payment" => drop(overcharges::settle(conn, row.id, "told", 0, now)?),
            None if account.estimates.contains(&row.id) => drop(overcharges::dismiss(conn, row.id, ESTIMATE, now)?),
            None => drop(overcharges::dismiss(conn, row.id, TOO_FAR_BACK, now)?),
        }
    }
    let balance = ledger::position(conn, account.account_id)?.balance;
    let told = Told::of(&account.findings, &given);
    Ok(Some(tell::notice(context, case, account.account_id, told.facts(balance.cents()))))
}

/// By what findings are dismissed that the policy does not put right.
const TOO_FAR_BACK: &str = "policy: it is further back than is put right";

/// What the policy leaves of a finding is a finding of its own that is let be, so that it is not found again.
fn let_be(conn: &mut DbConnection, row: &FindingRow, given_cents: i64, now: NaiveDateTime) -> Result<(), ActionError> {
    let left = row.difference_cents - given_cents;
    if left == 0 {
        return Ok(());
    }
    let rest = NewFinding {
        case_id: row.case_id,
        finding_key: row.finding_key.clone(),
        kind: row.kind.clone(),
        cause: row.cause.clone(),
        account_id: row.account_id,
        agreement_id: row.agreement_id,
        run_id: row.run_id,
        from_on: row.from_on,
        to_on: row.to_on,
        billed_cents: row.billed_cents,
        mended_before_cents: row.mended_before_cents + given_cents,
        should_cents: row.should_cents,
        difference_cents: left,
        information: row.information,
        detail: row.detail.clone(),
        evidence: row.evidence.clone(),
        found_at: now,
        status: "open".to_owned(),
    };
    overcharges::insert_findings(conn, &[rest])?;
    for row in mending::open_of_accounts(conn, row.case_id, &[row.account_id])?.iter().filter(|other| other.finding_key == row.finding_key) {
        overcharges::dismiss(conn, row.id, TOO_FAR_BACK, now)?;
    }
    Ok(())
}

/// The idempotency key of what settles a finding.
fn reference(finding: FindingId) -> String {
    format!("finding:{finding}")
}

/// What a finding was settled by is taken back, within that transaction: the difference is there again, and the sweep finds it.
pub(in crate::actions) fn taken_back_within(conn: &mut DbConnection, context: &Context, account: AccountId, undone: &str) -> Result<(), ActionError> {
    let Some(id) = undone.strip_prefix("finding:").and_then(|id| id.parse().ok()).map(FindingId) else { return Ok(()) };
    let settled_by = Some(format!("adjustment:{undone}"));
    let found = overcharges::findings(conn, &[id])?;
    if found.iter().any(|row| row.account_id == account && row.settled_by == settled_by) {
        overcharges::unsettle(conn, id, &format!("taken back: {undone}"), context.now())?;
    }
    Ok(())
}

fn post(conn: &mut DbConnection, context: &Context, account_id: AccountId, part: &Part) -> Result<(), ActionError> {
    let wanted = ExactCorrection {
        account_id,
        difference: part.difference,
        effective_on: context.today(),
        reference: reference(part.finding),
        note: part.note.clone(),
    };
    correct_within(conn, context, &wanted).map(|_| ())
}

/// By what findings are settled whose bills a request cancels.
fn by(request: RebillId) -> String {
    format!("rebill:{request}")
}

/// Settles what is open in a case for accounts whose wrong bills a request cancels, within that transaction: from then on nothing
/// wrong stands.
pub(in crate::actions) fn settle_cancelled_within(
    conn: &mut DbConnection,
    context: &Context,
    case: CaseId,
    request: RebillId,
    accounts: &[AccountId],
) -> Result<(), ActionError> {
    let now = context.now();
    for row in mending::open_of_accounts(conn, case, accounts)?.iter().filter(|row| row.information == 0) {
        overcharges::settle(conn, row.id, &by(request), 0, now)?;
    }
    Ok(())
}

/// What accounts are to be told when they are billed anew after a request cancelled their bills.
pub(in crate::actions) fn told_within(
    conn: &mut DbConnection,
    case: CaseId,
    request: RebillId,
    accounts: &[AccountId],
) -> Result<HashMap<AccountId, Told>, ActionError> {
    let rows = mending::settled_of_accounts(conn, case, accounts, &by(request))?;
    let groups = rows.chunk_by(|a, b| a.account_id == b.account_id);
    Ok(groups.filter_map(|group| Some((group.first()?.account_id, Told::of(group, &BTreeMap::new())))).collect())
}
