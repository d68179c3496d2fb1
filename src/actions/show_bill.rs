//! One bill in full, as a customer may ask about it.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::Serialize;

use super::account_view::{Activity, Whose, stories};
use super::autopay::view::{DrawView, draw_of_bill};
use super::bill_holds::open_kinds;
use super::usage_history::Units;
use super::{ActionError, Context};
use crate::db::account_views::{self as rows, PlacedSegment};
use crate::db::billing::{self, BillRow, BilledSegment, RunRow, bill_number};
use crate::db::payments::{self, PaymentRow};
use crate::db::{DbConnection, rates};
use crate::domain::billing::SegmentInputs;
use crate::domain::ids::{AccountId, ReadId, RunId};
use crate::domain::quantity::from_milli;
use crate::domain::rates::{ChargeLine, Unit};

/// Payments and adjustments between two bills that are told one by one.
const MOST_ENTRIES: i64 = 200;

/// A bill with everything that is printed on it. Amounts are in cents.
#[derive(Debug, Serialize)]
pub struct BillView {
    /// Its number.
    pub bill_number: String,
    /// The account's number.
    pub account: String,
    /// The customer's name.
    pub name: String,
    /// Where paper goes.
    pub mailing_address: Option<String>,
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
    /// What happened between the bill before and this one, oldest first.
    pub since: Vec<Activity>,
    /// The reversal, when the bill was taken back.
    pub cancelled: Option<Cancelled>,
    /// The account's balance now.
    pub balance_now_cents: i64,
    /// Whether anything was posted since: then what is due is told by the balance, and no more by the bill.
    pub moved_since: bool,
    /// The ledger position that it was cut off at: everything posted up to there is in it.
    pub cut_off_seq: i64,
    /// The last payment that it deducts.
    pub last_payment: Option<LastPayment>,
    /// One part for each agreement and period.
    pub segments: Vec<SegmentView>,
    /// Its draw, when autopay told of one.
    pub draw: Option<DrawView>,
    /// How it is held back from collection: `held`, `disputed`.
    pub held: Vec<String>,
    /// The number of the bill that came for it, when it was cancelled and billed anew.
    pub replaced_by: Option<String>,
}

/// How a bill was taken back.
#[derive(Debug, Serialize)]
pub struct Cancelled {
    /// The reversal's value date.
    pub effective_on: NaiveDate,
    /// The reversal's amount.
    pub amount_cents: i64,
    /// The reversal's ledger position.
    pub account_seq: i64,
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
    /// The tariff schedule.
    pub schedule: String,
    /// Where it is delivered.
    pub address: String,
    /// Whether the agreement ended with it: there is no bill after it.
    pub is_last: bool,
    /// Usage in the tariff's unit.
    pub usage: String,
    /// That unit.
    pub unit: String,
    /// Days from the opening to the closing read.
    pub days: i64,
    /// The rates that priced it, oldest first, with the days of each.
    pub rates: Vec<RatePart>,
    /// How its estimated reads were made, in words.
    pub bases: BTreeMap<ReadId, String>,
    /// Charges.
    pub total_cents: i64,
    /// The working: quantity, price and amount of each line.
    pub lines: Vec<ChargeLine>,
    /// The reads, tariff versions and attributes that it was made from.
    pub inputs: SegmentInputs,
}

/// The days of a period that one tariff version prices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RatePart {
    /// The tariff's schedule.
    pub schedule: String,
    /// The version's first day.
    pub effective_on: NaiveDate,
    /// Days of the period.
    pub days: u32,
}

/// Looks a bill up by its number.
///
/// # Errors
/// [`ActionError::NotFound`] when there is none.
pub fn show_bill(context: &Context, number: &str) -> Result<BillView, ActionError> {
    show_bill_to(context, number, Whose::Anybody)
}

/// Looks a bill up by its number for somebody who may see these accounts.
///
/// # Errors
/// [`ActionError::NotFound`] when there is none that they may look at.
pub fn show_bill_to(context: &Context, number: &str, whose: Whose) -> Result<BillView, ActionError> {
    let missing = || ActionError::not_found("bill", number);
    let (run_id, account_id) = parse_number(number).ok_or_else(missing)?;
    context.database.snapshot(|conn| {
        let run = billing::run(conn, run_id)?.ok_or_else(missing)?;
        let bill = billing::bills_of_run(conn, run_id, account_id, account_id)?.into_iter().next().ok_or_else(missing)?;
        let head = rows::head_by_id(conn, account_id)?.filter(|head| whose.allows(head.person_id)).ok_or_else(missing)?;
        view(conn, &run, &bill, head)
    })
}

fn parse_number(number: &str) -> Option<(RunId, AccountId)> {
    let (run, account) = number.split_once('-')?;
    Some((RunId(run.parse().ok()?), AccountId(account.parse().ok()?)))
}

fn view(conn: &mut DbConnection, run: &RunRow, bill: &BillRow, head: rows::AccountHead) -> Result<BillView, ActionError> {
    let last_payment = match bill.last_payment_seq {
        Some(seq) => payments::at(conn, bill.account_id, seq)?.map(last_payment),
        None => None,
    };
    Ok(BillView {
        bill_number: bill_number(run.id, bill.account_id),
        account: head.number,
        name: head.name,
        mailing_address: head.mailing_address.or(head.address),
        bill_on: run.bill_on,
        due_on: run.due_on,
        status: bill.status.clone(),
        previous_balance_cents: bill.previous_balance_cents,
        payments_cents: bill.payments_cents,
        adjustments_cents: bill.adjustments_cents,
        charges_cents: bill.total_cents,
        amount_due_cents: bill.amount_due_cents,
        since: since_bill_before(conn, bill)?,
        cancelled: cancelled(conn, bill)?,
        balance_now_cents: head.balance_cents,
        moved_since: head.ledger_seq > bill.account_seq,
        cut_off_seq: bill.account_seq - 1,
        last_payment,
        segments: segments(conn, run, bill)?,
        draw: draw_of_bill(conn, run.id, bill.account_id)?,
        held: open_kinds(conn, run.id, bill.account_id)?,
        replaced_by: replaced_by(conn, bill)?,
    })
}

fn since_bill_before(conn: &mut DbConnection, bill: &BillRow) -> Result<Vec<Activity>, ActionError> {
    let before = rows::bills(conn, bill.account_id, bill.account_seq, 1)?.first().map_or(0, |before| before.account_seq);
    let found = rows::activity(conn, bill.account_id, before, bill.account_seq, MOST_ENTRIES)?;
    let mut since = stories(conn, bill.account_id, found)?;
    since.reverse();
    Ok(since)
}

/// The number of the bill that came for one that was cancelled.
fn replaced_by(conn: &mut DbConnection, bill: &BillRow) -> Result<Option<String>, ActionError> {
    if bill.cancelled_seq.is_none() {
        return Ok(None);
    }
    let found = crate::db::rebills::replaced(conn, bill.run_id, bill.account_id)?;
    Ok(found.and_then(|found| found.run_id).map(|run| bill_number(run, bill.account_id)))
}

fn cancelled(conn: &mut DbConnection, bill: &BillRow) -> Result<Option<Cancelled>, ActionError> {
    let Some(seq) = bill.cancelled_seq else { return Ok(None) };
    let row = rows::activity(conn, bill.account_id, seq - 1, seq + 1, 1)?.into_iter().next();
    Ok(row.map(|row| Cancelled { effective_on: row.effective_on, amount_cents: row.amount_cents, account_seq: seq }))
}

fn segments(conn: &mut DbConnection, run: &RunRow, bill: &BillRow) -> Result<Vec<SegmentView>, ActionError> {
    let places = rows::placed_segments(conn, run.id, bill.account_id)?;
    let mut units = Units::default();
    let mut views = Vec::new();
    for segment in billing::billed_segments(conn, run.id, bill.account_id, bill.account_id)? {
        let place = places.iter().find(|place| place.segment_no == segment.segment_no);
        views.push(segment_view(conn, &mut units, segment, place)?);
    }
    Ok(views)
}

fn last_payment(row: PaymentRow) -> LastPayment {
    LastPayment { amount_cents: row.amount_cents, effective_on: row.effective_on, reference: row.provider_ref.unwrap_or_default() }
}

fn segment_view(
    conn: &mut DbConnection,
    units: &mut Units,
    segment: BilledSegment,
    place: Option<&PlacedSegment>,
) -> Result<SegmentView, ActionError> {
    let broken = |error: serde_json::Error| ActionError::Form(format!("a stored segment cannot be read: {error}"));
    let inputs: SegmentInputs = serde_json::from_str(&segment.inputs).map_err(broken)?;
    let unit = match inputs.slices.last() {
        Some(slice) => units.of(conn, &slice.sha256)?,
        None => Unit::default(),
    };
    Ok(SegmentView {
        service_id: segment.service_code,
        schedule: place.map(|place| place.schedule.clone()).unwrap_or_default(),
        address: place.map(|place| place.address.clone()).unwrap_or_default(),
        is_last: place.and_then(|place| place.end_on).is_some_and(|end| end <= inputs.end_on),
        usage: from_milli(segment.usage_milli).to_string(),
        unit: unit.to_string(),
        days: (inputs.end_on - inputs.start_on).num_days(),
        rates: rate_parts(conn, &inputs)?,
        bases: bases(conn, &inputs)?,
        total_cents: segment.total_cents,
        lines: serde_json::from_str(&segment.lines).map_err(broken)?,
        inputs,
    })
}

fn rate_parts(conn: &mut DbConnection, inputs: &SegmentInputs) -> Result<Vec<RatePart>, ActionError> {
    let hashes: Vec<&str> = inputs.slices.iter().map(|slice| slice.sha256.as_str()).collect();
    let versions = rates::by_sha256(conn, &hashes)?;
    let part = |slice: &crate::domain::billing::RateSlice| {
        let version = versions.iter().find(|version| version.sha256 == slice.sha256)?;
        Some(RatePart { schedule: version.schedule.clone(), effective_on: version.effective_on, days: slice.days })
    };
    Ok(inputs.slices.iter().filter_map(part).collect())
}

fn bases(conn: &mut DbConnection, inputs: &SegmentInputs) -> Result<BTreeMap<ReadId, String>, ActionError> {
    let reads: Vec<ReadId> = inputs.spans.iter().flat_map(|span| [span.from_read, span.to_read]).collect();
    Ok(rows::read_bases(conn, &reads)?.into_iter().filter_map(|(read, basis)| Some((read, basis?))).collect())
}
