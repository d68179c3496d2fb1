//! What pages show of requests to bill anew.

use serde::Serialize;

use super::RebillReport;
use crate::actions::staff_account::{Slice, one_more};
use crate::actions::{ActionError, Context};
use crate::db::billing::bill_number;
use crate::db::operations::AuditFilter;
use crate::db::rebills::{self, RebillAccountRow};
use crate::db::{customers, operations};
use crate::domain::ids::{AccountId, RebillId, RunId};

/// The bill that came for one that was cancelled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReplacedBy {
    /// The request.
    pub rebill_id: RebillId,
    /// Whether all of it is done.
    pub done: bool,
    /// The number of the bill in its place.
    pub bill_number: Option<String>,
}

/// What came for a bill, when it was cancelled by a request of its own.
///
/// # Errors
/// Those of the database.
pub fn replaced_by(context: &Context, run: RunId, account: AccountId) -> Result<Option<ReplacedBy>, ActionError> {
    let found = context.database.read(|conn| rebills::replaced(conn, run, account))?;
    Ok(found.map(|found| ReplacedBy {
        rebill_id: found.rebill_id,
        done: found.status == "done",
        bill_number: found.run_id.map(|run| bill_number(run, account)),
    }))
}

/// An account of a request, with its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebillLine {
    /// The account's number.
    pub account: String,
    /// What became of it.
    pub row: RebillAccountRow,
    /// The bills that were named or went with them.
    pub bills: Vec<String>,
}

/// A request with a page of its accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebillPage {
    /// What it did so far.
    pub report: RebillReport,
    /// Some of its accounts.
    pub accounts: Slice<RebillLine>,
    /// Whether a runner shows signs of life.
    pub somebody_at_work: bool,
    /// Why the last attempt ended early.
    pub failure: Option<String>,
}

/// What an attempt that ended early is called in the audit trail.
const FAILED: &str = "rebill.failed";

/// Writes into a request's trail why an attempt to work on it ended early.
///
/// # Errors
/// Those of the database.
pub fn note_failure(context: &Context, id: RebillId, error: &ActionError) -> Result<(), ActionError> {
    let message = error.to_string();
    context.database.write(|conn| Ok(operations::audit(conn, context.now(), &context.actor, FAILED, &format!("rebill {id}"), &message)?))
}

/// A request's page.
///
/// # Errors
/// [`ActionError::NotFound`].
pub fn rebill_page(context: &Context, id: RebillId, after: i64, limit: usize) -> Result<RebillPage, ActionError> {
    let report = super::report(context, id)?;
    let (accounts, lease, failure) = context.database.snapshot(|conn| {
        let rows = rebills::accounts(conn, id, None, AccountId(after), one_more(limit))?;
        let slice = Slice::cut(rows, limit, |row| row.account_id.0);
        let ids: Vec<AccountId> = slice.rows.iter().map(|row| row.account_id).collect();
        let bills = rebills::bills(conn, id, &ids)?;
        let mut lines = Vec::with_capacity(slice.rows.len());
        for row in slice.rows {
            let mine = bills.iter().filter(|bill| bill.account_id == row.account_id);
            let bills = mine.map(|bill| bill_number(bill.run_id, bill.account_id)).collect();
            lines.push(RebillLine { account: customers::account_number(conn, row.account_id)?, row, bills });
        }
        let lease = operations::lease(conn, "bill_run")?;
        let filter = AuditFilter { action: Some(FAILED.to_owned()), subject: Some(format!("rebill {id}")), ..AuditFilter::default() };
        let failure = operations::audit_page(conn, &filter, 1)?.into_iter().next().map(|event| event.detail);
        Ok::<_, ActionError>((Slice { rows: lines, next: slice.next }, lease, failure))
    })?;
    let somebody_at_work = lease.is_some_and(|lease| lease.expires_at > context.now());
    Ok(RebillPage { report, accounts, somebody_at_work, failure })
}
