//! Payouts and cheques as files for the bank: one file for each way and day, made once, and the same bytes whenever it is asked
//! for again.

use std::io::Write;
use std::path::Path;

use chrono::NaiveDate;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::policy::policies_within;
use super::refunds::submitted_within;
use super::{ActionError, Context};
use crate::config::PayoutSettings;
use crate::db::operations::Subject;
use crate::db::payouts::{self as rows, BatchItemRow, BatchRow, NewBatch, Payable};
use crate::db::{DbConnection, ledger, operations};
use crate::domain::ids::{AccountId, RefundBatchId};
use crate::domain::money::Money;
use crate::domain::payouts::{Payee, file_reference, is_bic, is_iban, is_routing};
use crate::domain::policy::{PayoutFormat, Policy};
use crate::formats::payouts::cheques::{self, Cheque};
use crate::formats::payouts::{Batch, Originator, Payment, ach, pain001};

/// So many lines fit in one batch; the rest waits for the next day's.
const MOST: i64 = 20_000;
/// So many batches are listed.
const MOST_LISTED: i64 = 200;

/// By which way money goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Medium {
    /// A file that the bank carries out.
    Payout,
    /// Cheques.
    Cheque,
}

impl Medium {
    /// As tables call it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Payout => "payout",
            Self::Cheque => "cheque",
        }
    }
}

/// What a batch has, to be compared with what the bank counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BatchReport {
    /// Its number; none when nothing waited.
    pub batch: Option<RefundBatchId>,
    /// `payout` or `cheque`.
    pub way: Medium,
    /// The form of the file.
    pub format: String,
    /// The day that it is of.
    pub made_on: NaiveDate,
    /// How many lines.
    pub items: i32,
    /// How many payouts wait and are not in it, because the form of the file cannot name who is paid: each has a work item.
    pub left_out: usize,
    /// What is paid in all, in cents.
    pub total_cents: i64,
    /// The hash of the file.
    pub sha256: String,
    /// Whether it had been made before: these are the same bytes.
    pub unchanged: bool,
}

/// Makes the day's batch of a way, or takes the one that was made, and gives its report and its bytes. Nothing is made when
/// nothing waits.
///
/// # Errors
/// [`ActionError::Refused`] when the settings do not say through which bank.
pub fn make_batch(context: &Context, medium: Medium, on: NaiveDate) -> Result<(BatchReport, Vec<u8>), ActionError> {
    if on > context.today() {
        return Err(ActionError::Refused(format!("on: {on} is in the future: expected {} or earlier", context.today())));
    }
    context.database.write(|conn| {
        if let Some((row, body)) = rows::batch_of(conn, medium.as_str(), on)? {
            return Ok((report(&row, medium, true), body));
        }
        if on != context.today() {
            return Err(ActionError::Refused(format!("on: no batch was made on {on}: a new one is made for today only")));
        }
        let policy = policies_within(conn)?.on(on).clone();
        make(conn, context, &policy, medium, on)
    })
}

/// The same written to a file.
///
/// # Errors
/// As [`make_batch`], and [`ActionError::File`] when the file cannot be written; the batch is made then, and the same again
/// writes it.
pub fn write_batch(context: &Context, medium: Medium, on: NaiveDate, out: &Path) -> Result<BatchReport, ActionError> {
    let (report, body) = make_batch(context, medium, on)?;
    if report.batch.is_some() {
        write_privately(out, &body).map_err(|source| ActionError::file(out, source))?;
    }
    Ok(report)
}

/// Writes a file whole or not at all, for nobody else's eyes: it names customers' bank accounts.
fn write_privately(out: &Path, body: &[u8]) -> std::io::Result<()> {
    let mut part = out.as_os_str().to_owned();
    // Two that write the same file do not write into each other's.
    part.push(format!(".{}.part", std::process::id()));
    let part = Path::new(&part);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    // What an earlier one left behind may be readable by others.
    if part.exists() {
        std::fs::remove_file(part)?;
    }
    let mut file = options.open(part)?;
    file.write_all(body)?;
    file.sync_all()?;
    std::fs::rename(part, out)
}

/// The batches that were made, the newest first.
///
/// # Errors
/// Those of the database.
pub fn list_batches(context: &Context) -> Result<Vec<BatchRow>, ActionError> {
    Ok(context.database.read(|conn| rows::batches(conn, MOST_LISTED))?)
}

fn report(row: &BatchRow, way: Medium, unchanged: bool) -> BatchReport {
    BatchReport {
        batch: Some(row.id),
        way,
        format: row.format.clone(),
        made_on: row.made_on,
        items: row.items,
        left_out: 0,
        total_cents: row.total_cents,
        sha256: row.sha256.clone(),
        unchanged,
    }
}

fn make(conn: &mut DbConnection, context: &Context, policy: &Policy, medium: Medium, on: NaiveDate) -> Result<(BatchReport, Vec<u8>), ActionError> {
    let all = locked(conn, medium)?;
    // Whoever made it meanwhile held these locks.
    if let Some((row, body)) = rows::batch_of(conn, medium.as_str(), on)? {
        return Ok((report(&row, medium, true), body));
    }
    let void = if medium == Medium::Cheque { rows::cancelled_cheques(conn, MOST)? } else { Vec::new() };
    let form = policy.refunds.payout_format;
    let (waiting, misfits): (Vec<Payable>, Vec<Payable>) = all.into_iter().partition(|row| fits(row, form));
    leave_out(conn, context, &misfits)?;
    if waiting.is_empty() && void.is_empty() {
        return Ok((BatchReport { left_out: misfits.len(), ..nothing(medium, form, on) }, Vec::new()));
    }
    let first = rows::last_cheque(conn)?.map_or(i64::from(policy.refunds.first_cheque), |last| last + 1);
    let lines = lines_of(medium, &waiting, &void, first);
    let now = context.now();
    let body = match medium {
        Medium::Cheque => cheque_file(&context.config.bank.payouts, on, &lines, &waiting, &void)?,
        Medium::Payout => payout_file(context, form, on, &waiting)?,
    }
    .into_bytes();
    let new = NewBatch {
        medium: medium.as_str().to_owned(),
        format: format_name(medium, form).to_owned(),
        made_on: on,
        made_at: now,
        made_by: context.actor.clone(),
        items: i32::try_from(lines.len()).map_err(|_| ActionError::Refused("the batch has too many lines".to_owned()))?,
        total_cents: lines.iter().filter(|line| line.what == "pay").map(|line| line.amount_cents).sum(),
        sha256: data_encoding::HEXLOWER.encode(&Sha256::digest(&body)),
        body: body.clone(),
    };
    let id = rows::insert_batch(conn, &new)?;
    let lines: Vec<BatchItemRow> = lines.into_iter().map(|line| BatchItemRow { batch_id: id, ..line }).collect();
    rows::insert_items(conn, &lines)?;
    for payable in &waiting {
        submitted_within(context, conn, payable.id, now)?;
    }
    let detail = format!("batch {id} of {on}: {} lines, {} paid, {}", new.items, Money::from_cents(new.total_cents), new.sha256);
    operations::audit(conn, now, &context.actor, "refund.batch", medium.as_str(), &detail)?;
    let row = rows::batch_of(conn, medium.as_str(), on)?.ok_or_else(|| ActionError::not_found("batch", id.to_string()))?.0;
    Ok((BatchReport { left_out: misfits.len(), ..report(&row, medium, false) }, body))
}

/// What waits for a batch, as it is under its accounts' locks: one may have been called back meanwhile.
fn locked(conn: &mut DbConnection, medium: Medium) -> Result<Vec<Payable>, ActionError> {
    let mut accounts: Vec<AccountId> = rows::payable(conn, medium.as_str(), MOST)?.iter().map(|payable| payable.account_id).collect();
    accounts.sort_unstable();
    accounts.dedup();
    ledger::lock_accounts(conn, &accounts)?;
    let waiting = rows::payable(conn, medium.as_str(), MOST)?;
    Ok(waiting.into_iter().filter(|row| accounts.binary_search(&row.account_id).is_ok()).collect())
}

fn format_name(medium: Medium, form: PayoutFormat) -> &'static str {
    match (medium, form) {
        (Medium::Cheque, _) => "positive-pay",
        (Medium::Payout, PayoutFormat::Ach) => "ach",
        (Medium::Payout, PayoutFormat::Pain001) => "pain.001.001.09",
    }
}

fn nothing(way: Medium, form: PayoutFormat, on: NaiveDate) -> BatchReport {
    let format = format_name(way, form).to_owned();
    BatchReport { batch: None, way, format, made_on: on, items: 0, left_out: 0, total_cents: 0, sha256: String::new(), unchanged: true }
}

/// The batch's lines: what is paid, then what is not to be paid any more.
fn lines_of(medium: Medium, waiting: &[Payable], void: &[Payable], first: i64) -> Vec<BatchItemRow> {
    let pay = waiting.iter().zip(first..).map(|(row, number)| (row, "pay", (medium == Medium::Cheque).then_some(number)));
    let stop = void.iter().map(|row| (row, "void", row.cheque_number));
    pay.chain(stop)
        .zip(1..)
        .map(|((row, what, cheque_number), line_no)| BatchItemRow {
            batch_id: RefundBatchId(0),
            line_no,
            refund_id: row.id,
            what: what.to_owned(),
            amount_cents: row.amount_cents,
            cheque_number,
        })
        .collect()
}

fn cheque_file(
    settings: &PayoutSettings,
    on: NaiveDate,
    lines: &[BatchItemRow],
    waiting: &[Payable],
    void: &[Payable],
) -> Result<String, ActionError> {
    if settings.bank_account.is_empty() {
        return Err(missing("bank_account"));
    }
    let cheques: Vec<Cheque> = lines
        .iter()
        .zip(waiting.iter().chain(void))
        .map(|(line, row)| Cheque {
            number: line.cheque_number.unwrap_or_default(),
            void: line.what == "void",
            reference: row.token.clone(),
            account: row.account.clone(),
            amount_cents: row.amount_cents,
            name: row.name.clone(),
            address: row.address.clone().unwrap_or_default(),
        })
        .collect();
    cheques::write(on, &settings.bank_account, &cheques).map_err(|error| ActionError::Form(error.to_string()))
}

fn missing(name: &str) -> ActionError {
    ActionError::Refused(format!("the settings do not say through which bank money is paid out: [bank.payouts] {name} is missing"))
}

fn payout_file(context: &Context, format: PayoutFormat, on: NaiveDate, waiting: &[Payable]) -> Result<String, ActionError> {
    let settings = &context.config.bank.payouts;
    for (name, value) in [
        ("originator_id", &settings.originator_id),
        ("bank_code", &settings.bank_code),
        ("bank_name", &settings.bank_name),
        ("bank_account", &settings.bank_account),
    ] {
        if value.is_empty() {
            return Err(missing(name));
        }
    }
    let originator = Originator {
        name: if settings.name.is_empty() { context.config.utility_name.clone() } else { settings.name.clone() },
        id: settings.originator_id.clone(),
        bank_code: settings.bank_code.clone(),
        bank_name: settings.bank_name.clone(),
        bank_account: settings.bank_account.clone(),
        currency: context.config.currency.clone(),
    };
    // Days since 1970: one batch a day has a number of its own.
    let number = on.signed_duration_since(NaiveDate::default()).num_days();
    let batch = Batch { number, made_at: context.now().and_utc().with_timezone(&context.config.time_zone).naive_local(), pay_on: on };
    let payments: Vec<Payment> = waiting.iter().map(payment_of).collect();
    let fits = match format {
        PayoutFormat::Ach => is_routing(&originator.bank_code),
        PayoutFormat::Pain001 => is_bic(&originator.bank_code) && is_iban(&originator.bank_account),
    };
    if !fits {
        return Err(ActionError::Refused(
            "[bank.payouts]: for ACH bank_code is a routing number; for pain.001 it is a BIC and bank_account an IBAN".to_owned(),
        ));
    }
    Ok(match format {
        PayoutFormat::Ach => ach::write(&originator, &batch, &payments),
        PayoutFormat::Pain001 => pain001::write(&originator, &batch, &payments),
    })
}

/// Whether the form of the file can name who is paid: the policy may have changed since it was asked for.
fn fits(row: &Payable, form: PayoutFormat) -> bool {
    let Some(bank_account) = row.bank_account.clone() else { return true };
    let (name, bank_code) = (row.name.clone(), row.bank_code.clone().unwrap_or_default());
    let payee = Payee::Payout { name, bank_code, bank_account, savings: false };
    payee.fits_file(form, Money::from_cents(row.amount_cents)).is_ok()
}

/// One that does not fit does not stop the others: somebody is told of it.
fn leave_out(conn: &mut DbConnection, context: &Context, misfits: &[Payable]) -> Result<(), ActionError> {
    for row in misfits {
        let reason = format!(
            "payout {} of {}: the bank's file cannot name who is paid; note it with `aquabills refund came-back` and pay it another way",
            row.token,
            Money::from_cents(row.amount_cents)
        );
        let key = format!("refund:{}:misfit", row.id);
        let subject =
            Subject { kind: "refund_failed", key: &key, account: row.account_id, amount_cents: row.amount_cents, due_on: None, reason: &reason };
        operations::raise_about(conn, &subject, context.now())?;
    }
    Ok(())
}

fn payment_of(row: &Payable) -> Payment {
    Payment {
        reference: file_reference(row.id),
        account: row.account.clone(),
        amount_cents: row.amount_cents,
        name: row.name.clone(),
        bank_code: row.bank_code.clone().unwrap_or_default(),
        bank_account: row.bank_account.clone().unwrap_or_default(),
        savings: row.account_kind.as_deref() == Some("savings"),
    }
}
