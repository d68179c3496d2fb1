//! One bill in full, as a customer may ask about it.

use chrono::NaiveDate;
use serde::Serialize;

use super::{ActionError, Context};
use crate::db::billing::{self, BillRow, BilledSegment, RunRow, bill_number};
use crate::db::payments::{self, PaymentRow};
use crate::db::{DbConnection, customers};
use crate::domain::billing::SegmentInputs;
use crate::domain::ids::{AccountId, RunId};
use crate::domain::quantity::from_milli;
use crate::domain::rates::ChargeLine;

/// A bill with everything that is printed on it. Amounts are in cents.
#[derive(Debug, Serialize)]
pub struct BillView {
    /// Its number.
    pub bill_number: String,
    /// The account's number.
    pub account: String,
    /// The customer's name.
    pub name: String,
    /// Its date.
    pub bill_on: NaiveDate,
    /// When it is due.
    pub due_on: NaiveDate,
    /// `issued` or `cancelled`.
    pub status: String,
    /// Balance after the bill before.
    pub previous_balance_cents: i64,
    /// Payments since (negative).
    pub payments_cents: i64,
    /// Everything else since.
    pub adjustments_cents: i64,
    /// Charges of this bill.
    pub charges_cents: i64,
    /// What is to be paid.
    pub amount_due_cents: i64,
    /// The ledger position that it was cut off at: everything posted up to there is in it.
    pub cut_off_seq: i64,
    /// The last payment that it deducts.
    pub last_payment: Option<LastPayment>,
    /// One part for each agreement and period.
    pub segments: Vec<SegmentView>,
}

/// The last payment that a bill deducts.
#[derive(Debug, Serialize)]
pub struct LastPayment {
    /// How much.
    pub amount_cents: i64,
    /// Its value date.
    pub effective_on: NaiveDate,
    /// Its reference.
    pub reference: String,
}

/// One agreement's charges for one period.
#[derive(Debug, Serialize)]
pub struct SegmentView {
    /// The service's id in files.
    pub service_id: String,
    /// Usage in the tariff's unit.
    pub usage: String,
    /// Charges.
    pub total_cents: i64,
    /// The working: quantity, price and amount of each line.
    pub lines: Vec<ChargeLine>,
    /// The reads, tariff versions and attributes that it was made from.
    pub inputs: SegmentInputs,
}

/// Looks a bill up by its number.
///
/// # Errors
/// [`ActionError::NotFound`] when there is none.
pub fn show_bill(context: &Context, number: &str) -> Result<BillView, ActionError> {
    let missing = || ActionError::not_found("bill", number);
    let (run_id, account_id) = parse_number(number).ok_or_else(missing)?;
    context.database.snapshot(|conn| {
        let run = billing::run(conn, run_id)?.ok_or_else(missing)?;
        let bill = billing::bills_of_run(conn, run_id, account_id, account_id)?.into_iter().next().ok_or_else(missing)?;
        view(conn, &run, &bill)
    })
}

fn parse_number(number: &str) -> Option<(RunId, AccountId)> {
    let (run, account) = number.split_once('-')?;
    Some((RunId(run.parse().ok()?), AccountId(account.parse().ok()?)))
}

fn view(conn: &mut DbConnection, run: &RunRow, bill: &BillRow) -> Result<BillView, ActionError> {
    let segments = billing::billed_segments(conn, run.id, bill.account_id, bill.account_id)?;
    let account = segments.first().map(|segment| segment.account_number.clone()).unwrap_or_default();
    let person = customers::account_by_number(conn, &account)?.map(|account| customers::persons(conn, &[account.person_id])).transpose()?;
    let last_payment = match bill.last_payment_seq {
        Some(seq) => payments::at(conn, bill.account_id, seq)?.map(last_payment),
        None => None,
    };
    Ok(BillView {
        bill_number: bill_number(run.id, bill.account_id),
        account,
        name: person.and_then(|rows| rows.into_iter().next()).map(|row| row.name).unwrap_or_default(),
        bill_on: run.bill_on,
        due_on: run.due_on,
        status: bill.status.clone(),
        previous_balance_cents: bill.previous_balance_cents,
        payments_cents: bill.payments_cents,
        adjustments_cents: bill.adjustments_cents,
        charges_cents: bill.total_cents,
        amount_due_cents: bill.amount_due_cents,
        cut_off_seq: bill.account_seq - 1,
        last_payment,
        segments: segments.into_iter().map(segment_view).collect::<Result<_, _>>()?,
    })
}

fn last_payment(row: PaymentRow) -> LastPayment {
    LastPayment { amount_cents: row.amount_cents, effective_on: row.effective_on, reference: row.provider_ref.unwrap_or_default() }
}

fn segment_view(segment: BilledSegment) -> Result<SegmentView, ActionError> {
    let broken = |error: serde_json::Error| ActionError::Form(format!("a stored segment cannot be read: {error}"));
    Ok(SegmentView {
        service_id: segment.service_code,
        usage: from_milli(segment.usage_milli).to_string(),
        total_cents: segment.total_cents,
        lines: serde_json::from_str(&segment.lines).map_err(broken)?,
        inputs: serde_json::from_str(&segment.inputs).map_err(broken)?,
    })
}
