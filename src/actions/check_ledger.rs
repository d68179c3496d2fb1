//! P1 to P3 from the rows alone: what the ledger must be, checked without trusting what wrote it.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;

use super::payments::{corrected_seq, returned_payment_seq};
use super::{ActionError, Context};
use crate::db::billing::{self, BillRow, bill_number};
use crate::db::ledger::{self, PostingRow, TransactionRow};
use crate::db::payments::{self, PaymentRow};
use crate::db::provider_payments::{self, RefundRow};
use crate::db::{DbConnection, customers};
use crate::domain::ids::{AccountId, TransactionId};
use crate::domain::ledger::RECEIVABLE;

/// What checking found.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerReport {
    /// Accounts looked at.
    pub accounts: u64,
    /// Transactions looked at.
    pub transactions: u64,
    /// Bills looked at.
    pub bills: u64,
    /// The sum of all balances, in cents.
    pub balance_cents: i64,
    /// Rows that break a promise.
    pub faults: u64,
    /// The first of them, in words.
    pub first_faults: Vec<String>,
}

/// How many faults are told in words.
const TOLD: usize = 20;
/// Accounts that are checked together.
const PAGE: i64 = 1_000;

impl LedgerReport {
    fn add_balance(&mut self, cents: i64) {
        match self.balance_cents.checked_add(cents) {
            Some(sum) => self.balance_cents = sum,
            None => self.fault("P3: the balances add up to more than can be kept".to_owned()),
        }
    }

    fn fault(&mut self, text: String) {
        self.faults += 1;
        if self.first_faults.len() < TOLD {
            self.first_faults.push(text);
        }
    }
}

/// Checks the whole ledger, as of one moment.
///
/// # Errors
/// Those of the database. A broken promise is not an error but a finding.
pub fn check_ledger(context: &Context, progress: &dyn Fn(u64)) -> Result<LedgerReport, ActionError> {
    context.database.snapshot(|conn| {
        let mut report = LedgerReport::default();
        let mut after = AccountId(0);
        loop {
            let accounts = customers::accounts_after(conn, after, PAGE)?;
            let (Some(first), Some(last)) = (accounts.first().map(|a| a.id), accounts.last().map(|a| a.id)) else { break };
            check_range(conn, first, last, &mut report)?;
            report.accounts += u64::try_from(accounts.len()).unwrap_or(0);
            progress(report.accounts);
            after = last;
        }
        let control = ledger::control_total(conn, RECEIVABLE)?;
        if control != report.balance_cents {
            report
                .fault(format!("P3: the general ledger's receivable is {control} cents, the accounts' balances add up to {}", report.balance_cents));
        }
        for (what, rows) in billing::inconsistencies(conn)? {
            report.fault(format!("P6: {rows} {what}"));
        }
        let orphans = ledger::orphan_postings(conn)?;
        if orphans > 0 {
            report.fault(format!("P3: {orphans} postings belong to no transaction"));
        }
        Ok(report)
    })
}

fn check_range(conn: &mut DbConnection, first: AccountId, last: AccountId, report: &mut LedgerReport) -> Result<(), ActionError> {
    let transactions = ledger::transactions_in_range(conn, first, last)?;
    let mut postings: HashMap<TransactionId, Vec<PostingRow>> = HashMap::new();
    for posting in ledger::postings_in_range(conn, first, last)? {
        postings.entry(posting.transaction_id).or_default().push(posting);
    }
    let mut bills: HashMap<AccountId, Vec<BillRow>> = HashMap::new();
    for bill in billing::bills_in_range(conn, first, last)? {
        bills.entry(bill.account_id).or_default().push(bill);
    }
    let mut paid: HashMap<AccountId, Vec<PaymentRow>> = HashMap::new();
    for payment in payments::in_range(conn, first, last)? {
        paid.entry(payment.account_id).or_default().push(payment);
    }
    let mut taken: HashMap<AccountId, Vec<RefundRow>> = HashMap::new();
    for refund in provider_payments::taken_in_range(conn, first, last)? {
        taken.entry(refund.account_id).or_default().push(refund);
    }
    let mut adjusted: HashMap<AccountId, Vec<(i64, i64)>> = HashMap::new();
    for (account, seq, cents) in ledger::adjustments_in_range(conn, first, last)? {
        adjusted.entry(account).or_default().push((seq, cents));
    }
    for account in transactions.chunk_by(|a, b| a.account_id == b.account_id) {
        let Some(id) = account.first().map(|row| row.account_id) else { continue };
        check_chain(account, &postings, report);
        check_payments(account, paid.remove(&id).unwrap_or_default(), taken.remove(&id).unwrap_or_default(), report);
        check_adjustments(account, &adjusted.remove(&id).unwrap_or_default(), report);
        let bills = bills.remove(&id).unwrap_or_default();
        check_reversals(account, &bills, report);
        check_bills(account, bills, report);
        report.add_balance(account.last().map_or(0, |row| row.balance_after_cents));
    }
    for (id, _) in bills {
        report.fault(format!("P1: account {id} has a bill and no transactions"));
    }
    for (id, _) in adjusted {
        report.fault(format!("P3: account {id} has an adjustment and no transactions"));
    }
    for (id, _) in paid {
        report.fault(format!("P3: account {id} has a payment and no transactions"));
    }
    Ok(())
}

/// P2 and P3: no gap, the balance carried on, postings that sum to zero and move the receivable by the amount.
fn check_chain(account: &[TransactionRow], postings: &HashMap<TransactionId, Vec<PostingRow>>, report: &mut LedgerReport) {
    let mut balance = 0_i64;
    for (row, expected) in account.iter().zip(1_i64..) {
        report.transactions += 1;
        if row.account_seq != expected {
            report.fault(format!("P2: account {} has transaction {} where {expected} should be", row.account_id, row.account_seq));
        }
        if balance.checked_add(row.amount_cents) != Some(row.balance_after_cents) {
            report.fault(format!(
                "P3: account {} transaction {}: {balance} and {} do not make {} cents",
                row.account_id, row.account_seq, row.amount_cents, row.balance_after_cents
            ));
        }
        balance = row.balance_after_cents;
        let postings = postings.get(&row.id).map(Vec::as_slice).unwrap_or_default();
        let sum: i128 = postings.iter().map(|posting| i128::from(posting.amount_cents)).sum();
        let receivable: i128 = postings.iter().filter(|posting| posting.gl_code == RECEIVABLE).map(|posting| i128::from(posting.amount_cents)).sum();
        if sum != 0 || receivable != i128::from(row.amount_cents) || postings.len() < 2 {
            report.fault(format!("P3: account {} transaction {}: its postings do not balance", row.account_id, row.account_seq));
        }
    }
}

/// Each payment is in the ledger once with its amount, and each return, correction and refund of it against it.
fn check_payments(account: &[TransactionRow], payments: Vec<PaymentRow>, taken: Vec<RefundRow>, report: &mut LedgerReport) {
    let at = |seq: i64| usize::try_from(seq - 1).ok().and_then(|index| account.get(index));
    let id = account.first().map_or(AccountId(0), |row| row.account_id);
    let is = |seq: i64, source: String, cents: i64| {
        at(seq).is_some_and(|row| row.kind == "payment_reversal" && row.amount_cents == cents && row.source == source)
    };
    let mut reversals = 0;
    for payment in &payments {
        let (seq, cents) = (payment.account_seq, payment.amount_cents);
        if at(seq).is_none_or(|row| row.kind != "payment" || row.amount_cents != -cents) {
            report.fault(format!("P3: payment {} is not in the ledger with its amount", payment.id));
        }
        let returned = payment.returned_seq;
        // A correction of a payment that is returned takes the payment back first, and then the return.
        let with_return = returned.filter(|_| payment.restored_seq.is_none());
        let superseded = payment.superseded_seq;
        let mut expected: Vec<(i64, String, i64)> = Vec::new();
        expected.extend(returned.map(|at| (at, format!("return:{seq}"), cents)));
        expected.extend(payment.restored_seq.map(|at| (at, format!("correction:{}", returned.unwrap_or(0)), -cents)));
        expected.extend(superseded.map(|at| (at - i64::from(with_return.is_some()), format!("correction:{seq}"), cents)));
        expected.extend(superseded.zip(with_return).map(|(at, returned)| (at, format!("correction:{returned}"), -cents)));
        reversals += expected.len();
        if expected.into_iter().any(|(at, source, cents)| !is(at, source, cents)) {
            report.fault(format!("P3: the return of payment {} is not in the ledger with its amount", payment.id));
        }
    }
    for refund in &taken {
        let source = format!("refund:{}", refund.token);
        let back = refund.superseded_seq.map(|at| (at, format!("correction:{}", refund.account_seq), -refund.amount_cents));
        reversals += 1 + usize::from(back.is_some());
        if !is(refund.account_seq, source, refund.amount_cents) || back.is_some_and(|(at, source, cents)| !is(at, source, cents)) {
            report.fault(format!("P3: refund {} is not in the ledger with its amount", refund.id));
        }
    }
    let counted = |kind: &str| account.iter().filter(|row| row.kind == kind).count();
    if counted("payment") != payments.len() || counted("payment_reversal") != reversals {
        report.fault(format!("P3: account {id}: the ledger's payments and returns are not those of the payments' table"));
    }
}

/// Each adjustment is in the ledger once with its amount.
fn check_adjustments(account: &[TransactionRow], adjustments: &[(i64, i64)], report: &mut LedgerReport) {
    let id = account.first().map_or(AccountId(0), |row| row.account_id);
    for (seq, cents) in adjustments {
        let posted = usize::try_from(seq - 1).ok().and_then(|index| account.get(index));
        if posted.is_none_or(|row| row.kind != "adjustment" || row.amount_cents != *cents) {
            report.fault(format!("P3: account {id}: the adjustment at {seq} is not in the ledger with its amount"));
        }
    }
    if account.iter().filter(|row| row.kind == "adjustment").count() != adjustments.len() {
        report.fault(format!("P3: account {id}: the ledger's adjustments are not those of the adjustments' table"));
    }
}

/// Each bill that was taken back has its own reversal in the ledger, and no other bill has one.
fn check_reversals(account: &[TransactionRow], bills: &[BillRow], report: &mut LedgerReport) {
    let mut cancelled = 0;
    for bill in bills {
        let Some(seq) = bill.cancelled_seq else { continue };
        cancelled += 1;
        let reversal = usize::try_from(seq - 1).ok().and_then(|index| account.get(index));
        let source = format!("rollback:{}", bill.run_id);
        let fits = reversal.is_some_and(|row| row.kind == "bill_reversal" && row.amount_cents == -bill.total_cents && row.source == source);
        if !fits || seq <= bill.account_seq {
            report.fault(format!("P2: bill {} is cancelled without a reversal of its own in the ledger", number(bill)));
        }
    }
    if account.iter().filter(|row| row.kind == "bill_reversal").count() != cancelled {
        let id = account.first().map_or(AccountId(0), |row| row.account_id);
        report.fault(format!("P2: account {id}: the ledger's reversals are not those of its cancelled bills"));
    }
}

/// P1: what a bill says it opened with, deducted and counted is what the ledger held when it was posted.
fn check_bills(account: &[TransactionRow], bills: Vec<BillRow>, report: &mut LedgerReport) {
    let billed = account.iter().filter(|row| row.kind == "bill").count();
    if billed != bills.len() {
        let id = account.first().map_or(AccountId(0), |row| row.account_id);
        report.fault(format!("P1: account {id} has {billed} bills in the ledger and {} elsewhere", bills.len()));
    }
    let mut opened_at = 0_usize;
    let mut previous = 0_i64;
    for bill in bills {
        report.bills += 1;
        let cutoff = usize::try_from(bill.account_seq - 1).unwrap_or(usize::MAX);
        let (Some(before), Some(posted)) = (account.get(..cutoff), account.get(cutoff)) else {
            report.fault(format!("P1: bill {} is not in the ledger", number(&bill)));
            continue;
        };
        let since = before.get(opened_at..).unwrap_or_default();
        let paid = |row: &&TransactionRow| row.kind == "payment" || row.kind == "payment_reversal";
        let payments: i128 = since.iter().filter(paid).map(|row| i128::from(row.amount_cents)).sum();
        let others: i128 = since.iter().filter(|row| !paid(row)).map(|row| i128::from(row.amount_cents)).sum();
        let opening = before.last().map_or(0, |row| row.balance_after_cents);
        let says = (bill.previous_balance_cents, i128::from(bill.payments_cents), i128::from(bill.adjustments_cents), bill.opening_balance_cents);
        if says != (previous, payments, others, opening) {
            report.fault(format!(
                "P1: bill {} says previous balance, payments, adjustments, opening balance {says:?}; the ledger held {:?}",
                number(&bill),
                (previous, payments, others, opening)
            ));
        }
        if posted.kind != "bill" || posted.amount_cents != bill.total_cents || posted.balance_after_cents != bill.amount_due_cents {
            report.fault(format!("P1: bill {} is not what the ledger posted", number(&bill)));
        }
        if bill.last_payment_seq != last_standing_payment(before) {
            report.fault(format!("P1: bill {} does not name the last payment before it", number(&bill)));
        }
        previous = posted.balance_after_cents;
        opened_at = cutoff + 1;
    }
}

fn number(bill: &BillRow) -> String {
    bill_number(bill.run_id, bill.account_id)
}

/// The last payment in these rows that stands after them.
fn last_standing_payment(rows: &[TransactionRow]) -> Option<i64> {
    let mut standing = BTreeSet::new();
    let mut returned_by: HashMap<i64, i64> = HashMap::new();
    for row in rows.iter().filter(|row| row.kind.starts_with("payment")) {
        if row.kind == "payment" {
            standing.insert(row.account_seq);
        } else if let Some(payment) = returned_payment_seq(&row.source) {
            standing.remove(&payment);
            returned_by.insert(row.account_seq, payment);
        } else if let Some(corrected) = corrected_seq(&row.source) {
            match returned_by.get(&corrected) {
                // The return was taken back; unless the payment itself was, it stands again.
                Some(payment) if !is_corrected(rows, *payment, row.account_seq) => {
                    standing.insert(*payment);
                }
                _ => {
                    standing.remove(&corrected);
                }
            }
        }
    }
    standing.last().copied()
}

fn is_corrected(rows: &[TransactionRow], seq: i64, before: i64) -> bool {
    rows.iter().take_while(|row| row.account_seq < before).any(|row| corrected_seq(&row.source) == Some(seq))
}
