//! The net ledger: what the ledger comes to when every correction is set against what it corrects, and one hash of it.
//!
//! Two ledgers that were reached by other ways (events in another order, a crash and a restart, a second machine) hold other
//! rows where something was corrected in between, but the same net ledger: by account, business, general-ledger account and
//! value date. P5 is stated, and tested, on this.

use std::collections::{BTreeMap, HashMap};

use chrono::NaiveDate;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::payments::{corrected_seq, returned_payment_seq};
use super::{ActionError, Context};
use crate::db::ledger::TransactionRow;
use crate::db::{customers, ledger};
use crate::domain::ids::AccountId;

/// So many accounts are read at a time.
const PAGE: i64 = 500;

/// What one piece of business comes to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct NetRow {
    /// The account's number.
    pub account: String,
    /// What it stands for: a payment's reference, `return of …`, a bill run.
    pub business: String,
    /// General-ledger account.
    pub gl_code: String,
    /// Value date.
    pub effective_on: NaiveDate,
    /// What it comes to, in cents; never 0.
    pub amount_cents: i64,
}

/// The net ledger's hash, and how much went into it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerHash {
    /// SHA-256 of the net rows in their order.
    pub sha256: String,
    /// Net rows.
    pub rows: u64,
}

/// Hashes the whole net ledger as of one moment.
///
/// # Errors
/// Those of the database.
pub fn ledger_hash(context: &Context) -> Result<LedgerHash, ActionError> {
    let mut hash = Sha256::new();
    let mut rows = 0;
    context
        .database
        .snapshot(|conn| {
            let mut after = AccountId(0);
            loop {
                let accounts = customers::accounts_after(conn, after, PAGE)?;
                let (Some(first), Some(last)) = (accounts.first().map(|a| a.id), accounts.last().map(|a| a.id)) else { return Ok(()) };
                let numbers: HashMap<AccountId, String> = accounts.into_iter().map(|account| (account.id, account.number)).collect();
                for row in net_of_range(conn, first, last, &numbers)? {
                    rows += 1;
                    hash.update(format!("{}|{}|{}|{}|{}\n", row.account, row.business, row.gl_code, row.effective_on, row.amount_cents));
                }
                after = last;
            }
        })
        .map(|()| LedgerHash { sha256: data_encoding::HEXLOWER.encode(&hash.finalize()), rows })
}

/// The net ledger of one account.
///
/// # Errors
/// [`ActionError::NotFound`] for an unknown account; those of the database.
pub fn net_ledger(context: &Context, number: &str) -> Result<Vec<NetRow>, ActionError> {
    context.database.snapshot(|conn| {
        let account = super::account_named(conn, number)?;
        net_of_range(conn, account.id, account.id, &HashMap::from([(account.id, account.number)]))
    })
}

fn net_of_range(
    conn: &mut crate::db::DbConnection,
    first: AccountId,
    last: AccountId,
    numbers: &HashMap<AccountId, String>,
) -> Result<Vec<NetRow>, ActionError> {
    let mut net: BTreeMap<(String, String, String, NaiveDate), i64> = BTreeMap::new();
    let transactions = ledger::transactions_in_range(conn, first, last)?;
    let mut places = HashMap::new();
    for account in transactions.chunk_by(|a, b| a.account_id == b.account_id) {
        for row in account {
            let number = numbers.get(&row.account_id).cloned().unwrap_or_default();
            places.insert(row.id, (number, business(account, row), row.effective_on));
        }
    }
    for posting in ledger::postings_in_range(conn, first, last)? {
        if let Some((number, business, on)) = places.get(&posting.transaction_id) {
            *net.entry((number.clone(), business.clone(), posting.gl_code, *on)).or_default() += posting.amount_cents;
        }
    }
    let row = |((account, business, gl_code, effective_on), amount_cents)| NetRow { account, business, gl_code, effective_on, amount_cents };
    Ok(net.into_iter().filter(|(_, cents)| *cents != 0).map(row).collect())
}

/// What a row stands for, with positions in the ledger replaced by what lies there: a correction stands for what it corrects.
fn business(account: &[TransactionRow], row: &TransactionRow) -> String {
    let at = |seq: i64| usize::try_from(seq - 1).ok().and_then(|index| account.get(index)).filter(|found| found.account_seq < row.account_seq);
    if let Some(payment) = returned_payment_seq(&row.source).and_then(at) {
        return format!("return of {}", payment.source);
    }
    if let Some(corrected) = corrected_seq(&row.source).and_then(at) {
        return business(account, corrected);
    }
    // The last part of a refund's own name is random.
    match row.source.strip_prefix("refund:").and_then(|name| name.rsplit_once(':')) {
        Some((name, _)) => format!("refund {name}"),
        None => row.source.clone(),
    }
}
