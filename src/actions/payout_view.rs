//! What people look at of payouts and cheques: what waits for the next file, the files that were made, and what became of each line.

use chrono::NaiveDate;
use serde::Serialize;

use super::approvals::waiting_for;
use super::void_batch::approval_reference;
use super::{ActionError, Context};
use crate::db::operations;
use crate::db::payouts::{self as rows, BatchRow, BatchSum, Line, WaitingPayout, WaitingSum};
use crate::domain::ids::{ApprovalId, RefundBatchId, RefundId};

/// So many void cheques are counted.
const MOST: i64 = 20_000;

/// How many payouts, and what they come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Sum {
    /// How many.
    pub payouts: i64,
    /// How much, in cents.
    pub cents: i64,
}

/// A batch and what became of what it pays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BatchView {
    /// The batch.
    #[serde(flatten)]
    pub batch: BatchRow,
    /// What the bank paid.
    pub paid: Sum,
    /// What came back.
    pub back: Sum,
    /// Of what the bank has not told yet.
    pub out: Sum,
}

impl BatchView {
    fn of(batch: BatchRow, sums: &[BatchSum]) -> Self {
        let mut view = Self { paid: Sum::default(), back: Sum::default(), out: Sum::default(), batch };
        for sum in sums.iter().filter(|sum| sum.batch_id == view.batch.id) {
            let place = match sum.state.as_str() {
                "succeeded" => &mut view.paid,
                "created" | "submitted" => &mut view.out,
                _ => &mut view.back,
            };
            *place = Sum { payouts: place.payouts + sum.payouts, cents: place.cents + sum.cents };
        }
        view
    }
}

/// What waits for the next files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Waits {
    /// What it comes to, by the way that it goes.
    pub sums: Vec<WaitingSum>,
    /// A page of it, the oldest first.
    pub payouts: Vec<WaitingPayout>,
    /// Cheques that the next file of cheques tells the bank not to pay.
    pub void_cheques: usize,
}

/// What waits for the next files: a page of payouts after one.
///
/// # Errors
/// Those of the database.
pub fn waits(context: &Context, after: RefundId, limit: i64) -> Result<Waits, ActionError> {
    context.database.snapshot(|conn| {
        let (sums, payouts) = (rows::waiting_sums(conn)?, rows::waiting(conn, after, limit)?);
        Ok(Waits { sums, payouts, void_cheques: rows::cancelled_cheques(conn, MOST)?.len() })
    })
}

/// A page of the files that were made, before one, the newest first.
///
/// # Errors
/// Those of the database.
pub fn batches(context: &Context, before: RefundBatchId, limit: i64) -> Result<Vec<BatchView>, ActionError> {
    context.database.snapshot(|conn| {
        let batches = rows::batches_before(conn, before, limit)?;
        let ids: Vec<RefundBatchId> = batches.iter().map(|batch| batch.id).collect();
        let sums = rows::batch_sums(conn, &ids)?;
        Ok(batches.into_iter().map(|batch| BatchView::of(batch, &sums)).collect())
    })
}

/// A file with a page of its lines after one, and the request that waits for a second person before all of it comes back.
///
/// # Errors
/// [`ActionError::NotFound`] when there is none.
pub fn show_batch(context: &Context, id: RefundBatchId, after: i32, limit: i64) -> Result<(BatchView, Vec<Line>, Option<ApprovalId>), ActionError> {
    let (view, lines) = context.database.snapshot(|conn| {
        let batch = rows::batch(conn, id)?.ok_or_else(|| ActionError::not_found("file of payouts", id.to_string()))?;
        let sums = rows::batch_sums(conn, &[id])?;
        Ok::<_, ActionError>((BatchView::of(batch, &sums), rows::lines(conn, id, after, limit)?))
    })?;
    Ok((view, lines, waiting_for(context, &approval_reference(id))?))
}

/// What a file is called, and its bytes; that somebody took it is written down, for it names customers' bank accounts.
///
/// # Errors
/// [`ActionError::NotFound`] when there is none.
pub fn take_file(context: &Context, id: RefundBatchId) -> Result<(BatchRow, Vec<u8>), ActionError> {
    context.database.write(|conn| {
        let missing = || ActionError::not_found("file of payouts", id.to_string());
        let batch = rows::batch(conn, id)?.ok_or_else(missing)?;
        let body = rows::batch_body(conn, id)?.ok_or_else(missing)?;
        operations::audit(conn, context.now(), &context.actor, "refund.file", &batch.medium, &format!("batch {id} of {}", batch.made_on))?;
        Ok((batch, body))
    })
}

/// A file's name and kind, as it is sent to whoever asks for it again.
#[must_use]
pub fn file_name(batch: &BatchRow) -> (String, &'static str) {
    let name = |what: &str, day: NaiveDate, kind: &str| format!("{what}-{day}.{kind}");
    match batch.format.as_str() {
        "positive-pay" => (name("cheques", batch.made_on, "csv"), "text/csv; charset=utf-8"),
        "ach" => (name("payouts", batch.made_on, "ach"), "text/plain; charset=us-ascii"),
        _ => (name("payouts", batch.made_on, "xml"), "application/xml"),
    }
}
