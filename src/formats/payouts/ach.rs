//! A NACHA file with credits to customers: one batch of class PPD, service class 220 (credits only).
//!
//! 94 characters in every record, ten records in every block; entry hash, counts and totals in the batch's and the file's control.

use super::{Batch, Originator, Payment, left};

/// Ten digits of an entry hash count.
const HASH_MODULUS: u64 = 10_000_000_000;
/// No entry can pay more: ten digits of cents.
pub const MOST_CENTS: i64 = 9_999_999_999;

/// What the controls say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Entries.
    pub entries: usize,
    /// What is paid in all, in cents.
    pub total_cents: i64,
    /// The sum of the receiving banks' numbers, of which ten digits count.
    pub entry_hash: u64,
}

/// The totals of a batch.
#[must_use]
pub fn totals(payments: &[Payment]) -> Totals {
    let hash = payments.iter().fold(0_u64, |sum, payment| (sum + identification(&payment.bank_code)) % HASH_MODULUS);
    Totals { entries: payments.len(), total_cents: payments.iter().map(|payment| payment.amount_cents).sum(), entry_hash: hash }
}

/// The first eight digits of a routing number.
fn identification(routing: &str) -> u64 {
    routing.get(..8).and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// Writes the file.
#[must_use]
pub fn write(originator: &Originator, batch: &Batch, payments: &[Payment]) -> String {
    let totals = totals(payments);
    let own = originator.bank_code.get(..8).unwrap_or_default();
    let mut records = vec![file_header(originator, batch), batch_header(originator, batch, own)];
    records.extend(payments.iter().zip(1_u32..).map(|(payment, line)| entry(payment, own, line)));
    let Totals { entries, total_cents, entry_hash } = totals;
    let company = left(&originator.id, 10);
    records.push(format!(
        "8220{entries:06}{entry_hash:010}{:012}{total_cents:012}{company}{:19}{:6}{own}{:07}",
        0,
        "",
        "",
        batch.number % 10_000_000
    ));
    let blocks = (records.len() + 1).div_ceil(10);
    records.push(format!("9{:06}{blocks:06}{entries:08}{entry_hash:010}{:012}{total_cents:012}{:39}", 1, 0, ""));
    while !records.len().is_multiple_of(10) {
        records.push("9".repeat(94));
    }
    records.iter().map(|record| format!("{record}\r\n")).collect()
}

fn file_header(originator: &Originator, batch: &Batch) -> String {
    let made = batch.made_at.format("%y%m%d%H%M");
    let (bank, bank_name) = (&originator.bank_code, left(&originator.bank_name, 23));
    let (id, name) = (left(&originator.id, 10), left(&originator.name, 23));
    format!("101 {bank}{id}{made}A094101{bank_name}{name}{:8}", "")
}

fn batch_header(originator: &Originator, batch: &Batch, own: &str) -> String {
    let (name, id) = (left(&originator.name, 16), left(&originator.id, 10));
    let (made, pay) = (batch.made_at.format("%y%m%d"), batch.pay_on.format("%y%m%d"));
    format!("5220{name}{:20}{id}PPD{}{made}{pay}{:3}1{own}{:07}", "", left("REFUND", 10), "", batch.number % 10_000_000)
}

fn entry(payment: &Payment, own: &str, line: u32) -> String {
    let code = if payment.savings { "32" } else { "22" };
    let (account, reference, name) = (left(&payment.bank_account, 17), left(&payment.reference, 15), left(&payment.name, 22));
    format!("6{code}{}{account}{:010}{reference}{name}  0{own}{line:07}", payment.bank_code, payment.amount_cents)
}
