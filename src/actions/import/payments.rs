//! Importing payments: each is posted to its account's ledger, once for each reference.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use chrono::NaiveDate;

use super::{ImportOptions, ImportReport, parse_date};
use crate::actions::payments::{FILE_PROVIDER, MERCHANT, NewPayment, post_new};
use crate::actions::{ActionError, Context};
use crate::db::payments::{self as payment_rows, PaymentRow};
use crate::db::{DbConnection, customers, ledger};
use crate::domain::ids::AccountId;
use crate::domain::ledger::{Tender, check_amount};
use crate::domain::money::Money;
use crate::formats::table::{Columns, Row, Table, check_form};

/// The columns of a file of payments.
pub const COLUMNS: Columns = Columns { required: &["account", "amount", "effective_on", "reference"], optional: &["tender"] };

const BATCH: usize = 2_000;

struct Parsed {
    row: Row,
    account: String,
    reference: String,
    amount: Money,
    effective_on: NaiveDate,
    tender: Tender,
}

/// Imports a file of payments.
///
/// # Errors
/// [`ActionError::Form`] when the file as a whole cannot be used, or those of the database.
pub fn import_payments(context: &Context, path: &Path, options: ImportOptions<'_>) -> Result<ImportReport, ActionError> {
    check_form(path, COLUMNS)?;
    let mut table = Table::open(path, COLUMNS)?;
    let mut report = ImportReport::begin(path, options.dry_run)?;
    let mut seen: HashSet<String> = HashSet::new();
    let mut done = 0_u64;
    loop {
        let mut batch = Vec::new();
        while batch.len() < BATCH {
            let Some(row) = table.next_row()? else { break };
            done += 1;
            match parse(&table, row, context.today()) {
                Ok(parsed) if !seen.insert(parsed.reference.clone()) => {
                    let reason = format!("reference: '{}' is a duplicate: an earlier row of this file has it", parsed.reference);
                    report.refuse(parsed.row, reason);
                }
                Ok(parsed) => batch.push(parsed),
                Err((row, reason)) => report.refuse(*row, reason),
            }
        }
        if batch.is_empty() {
            break;
        }
        import_batch(context, batch, options.dry_run, &mut report)?;
        (options.progress)(done);
    }
    report.finish(context, path, &table.header().clone())
}

fn parse(table: &Table, row: Row, today: NaiveDate) -> Result<Parsed, (Box<Row>, String)> {
    match parse_fields(table, &row, today) {
        Ok((account, reference, amount, effective_on, tender)) => Ok(Parsed { row, account, reference, amount, effective_on, tender }),
        Err(reason) => Err((Box::new(row), reason)),
    }
}

type Fields = (String, String, Money, NaiveDate, Tender);

fn parse_fields(table: &Table, row: &Row, today: NaiveDate) -> Result<Fields, String> {
    let amount: Money = table.field(row, "amount").parse().map_err(|error| format!("amount: {error}"))?;
    if amount <= Money::default() {
        return Err(format!("amount: {amount} is not a payment: expected more than 0"));
    }
    check_amount(amount)?;
    let effective_on = parse_date("effective_on", table.field(row, "effective_on"))?;
    if effective_on > today {
        return Err(format!("effective_on: {effective_on} is in the future: expected a day up to today, {today}"));
    }
    let tender = match table.field(row, "tender") {
        "" => Tender::Transfer,
        text => text.parse().map_err(|error| format!("tender: {error}"))?,
    };
    let account = super::parse_code("account", table.field(row, "account"))?;
    let reference = super::parse_code("reference", table.field(row, "reference"))?;
    Ok((account, reference, amount, effective_on, tender))
}

/// What becomes of a row.
enum Verdict {
    New(NewPayment),
    Unchanged,
    Refused(String),
}

/// Judges and posts a batch in one transaction, so that another import of the same file cannot come in between.
fn import_batch(context: &Context, batch: Vec<Parsed>, dry_run: bool, report: &mut ImportReport) -> Result<(), ActionError> {
    let verdicts = if dry_run {
        context.database.read(|conn| judge(conn, &batch))?
    } else {
        context.database.write(|conn| {
            let verdicts = judge(conn, &batch)?;
            let new = verdicts.iter().filter_map(|verdict| if let Verdict::New(payment) = verdict { Some(payment) } else { None });
            post_new(context, conn, &new.collect::<Vec<_>>(), context.now())?;
            Ok::<_, ActionError>(verdicts)
        })?
    };
    for (parsed, verdict) in batch.into_iter().zip(verdicts) {
        match verdict {
            Verdict::New(_) => report.accepted += 1,
            Verdict::Unchanged => report.unchanged += 1,
            Verdict::Refused(reason) => report.refuse(parsed.row, reason),
        }
    }
    Ok(())
}

fn judge(conn: &mut DbConnection, batch: &[Parsed]) -> Result<Vec<Verdict>, ActionError> {
    let numbers: Vec<&str> = batch.iter().map(|parsed| parsed.account.as_str()).collect();
    let references: Vec<&str> = batch.iter().map(|parsed| parsed.reference.as_str()).collect();
    let accounts = customers::accounts_by_number(conn, &numbers)?;
    let mut ids: Vec<AccountId> = accounts.iter().map(|row| row.id).collect();
    ids.sort_unstable();
    ledger::lock_accounts(conn, &ids)?;
    let existing = payment_rows::by_references(conn, FILE_PROVIDER, MERCHANT, &references)?;
    let accounts: HashMap<&str, AccountId> = accounts.iter().map(|row| (row.number.as_str(), row.id)).collect();
    let existing: HashMap<&str, &PaymentRow> = existing.iter().filter_map(|row| Some((row.provider_ref.as_deref()?, row))).collect();
    let verdicts = batch.iter().map(|parsed| match accounts.get(parsed.account.as_str()) {
        None => Verdict::Refused(format!("account: there is no account '{}'", parsed.account)),
        Some(account_id) => judge_row(parsed, *account_id, existing.get(parsed.reference.as_str()).copied()),
    });
    Ok(verdicts.collect())
}

fn judge_row(parsed: &Parsed, account_id: AccountId, existing: Option<&PaymentRow>) -> Verdict {
    let payment = NewPayment {
        account_id,
        amount: parsed.amount,
        effective_on: parsed.effective_on,
        tender: parsed.tender,
        provider: FILE_PROVIDER.to_owned(),
        reference: parsed.reference.clone(),
    };
    match existing {
        None => Verdict::New(payment),
        Some(row) if payment.is(row) => Verdict::Unchanged,
        Some(row) => Verdict::Refused(payment.clash_with(row)),
    }
}
