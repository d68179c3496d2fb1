//! P7: every bill is made again from the inputs that it kept, and must come out the same.

use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::tariffs::load_book;
use super::{ActionError, Context};
use crate::db::billing::{self, BilledSegment, ChunkRow, bill_number};
use crate::db::metering;
use crate::domain::billing::{SegmentInputs, TariffBook, charge};
use crate::domain::ids::{ReadId, RunId};
use crate::domain::money::Money;

/// What verifying found.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Bills looked at.
    pub bills: u64,
    /// Of these, bills that were taken back since.
    pub cancelled: u64,
    /// Segments made again.
    pub segments: u64,
    /// What the segments add up to, in cents.
    pub total_cents: i64,
    /// Segments that did not come out the same.
    pub differences: u64,
    /// The first of them, in words.
    pub first_differences: Vec<String>,
}

/// How many differences are told in words.
const TOLD: usize = 20;

/// Makes every bill again, in parallel.
///
/// # Errors
/// Those of the database. A difference is not an error but a finding.
pub fn verify_bills(context: &Context, progress: &(dyn Fn(usize, usize) + Sync)) -> Result<VerifyReport, ActionError> {
    let book = load_book(context)?;
    let runs = context.database.read(billing::runs_with_bills)?;
    let mut chunks: Vec<ChunkRow> = Vec::new();
    for run in runs {
        chunks.extend(context.database.read(|conn| billing::chunks(conn, run))?);
    }
    let report = Mutex::new(VerifyReport::default());
    super::bill_run::each_chunk("verifying", context, None, &chunks, progress, |chunk| {
        let part = verify_chunk(context, chunk, &book)?;
        merge(&mut report.lock().unwrap_or_else(PoisonError::into_inner), part);
        Ok(())
    })?;
    let mut report = report.into_inner().unwrap_or_else(PoisonError::into_inner);
    report.first_differences.sort();
    report.first_differences.truncate(TOLD);
    Ok(report)
}

fn merge(sum: &mut VerifyReport, part: VerifyReport) {
    sum.bills += part.bills;
    sum.cancelled += part.cancelled;
    sum.segments += part.segments;
    sum.total_cents += part.total_cents;
    sum.differences += part.differences;
    let room = (TOLD * 4).saturating_sub(sum.first_differences.len());
    sum.first_differences.extend(part.first_differences.into_iter().take(room));
}

fn verify_chunk(context: &Context, chunk: &ChunkRow, book: &TariffBook) -> Result<VerifyReport, ActionError> {
    let (segments, reads) = context.database.snapshot(|conn| {
        let segments = billing::billed_segments(conn, chunk.run_id, chunk.first_account_id, chunk.last_account_id)?;
        let mut ids: Vec<ReadId> = Vec::new();
        for segment in &segments {
            ids.extend(inputs_of(segment)?.every_span().flat_map(|span| [span.from_read, span.to_read]));
        }
        ids.sort_unstable();
        ids.dedup();
        let mut reads = std::collections::HashMap::new();
        for page in ids.chunks(10_000) {
            reads.extend(metering::reads_by_id(conn, page)?.into_iter().map(|read| (read.id, read)));
        }
        Ok::<_, ActionError>((segments, reads))
    })?;
    let mut report = VerifyReport::default();
    for bill in segments.chunk_by(|a, b| a.account_id == b.account_id) {
        report.bills += 1;
        report.cancelled += u64::from(bill.first().is_some_and(|segment| segment.status == "cancelled"));
        let mut total = 0;
        for segment in bill {
            report.segments += 1;
            total += segment.total_cents;
            let inputs = inputs_of(segment)?;
            let read_of = |id: ReadId| reads.get(&id).map(|read| (read.read_on, read.reading_milli));
            if let Err(difference) = same_again(segment, &inputs, book).and_then(|()| same_reads(&inputs, read_of)) {
                note(&mut report, segment, &difference);
            }
        }
        report.total_cents += total;
        if let Some(first) = bill.first().filter(|first| first.bill_total_cents != total) {
            let difference =
                format!("the bill says {}, its segments add up to {}", Money::from_cents(first.bill_total_cents), Money::from_cents(total));
            note(&mut report, first, &difference);
        }
    }
    Ok(report)
}

fn note(report: &mut VerifyReport, segment: &BilledSegment, difference: &str) {
    report.differences += 1;
    if report.first_differences.len() < TOLD {
        let number = bill_number(RunId(segment.run_id.0), segment.account_id);
        report.first_differences.push(format!("bill {number}, service {}, {}: {difference}", segment.service_code, segment.period_end_on));
    }
}

fn inputs_of(segment: &BilledSegment) -> Result<SegmentInputs, ActionError> {
    serde_json::from_str(&segment.inputs).map_err(|error| {
        let number = bill_number(segment.run_id, segment.account_id);
        ActionError::Form(format!("the inputs of bill {number} cannot be read: {error}"))
    })
}

fn same_again(segment: &BilledSegment, inputs: &SegmentInputs, book: &TariffBook) -> Result<(), String> {
    let again = charge(inputs, book).map_err(|hold| hold.to_string())?;
    if again.charge.total.cents() != segment.total_cents {
        return Err(format!("it says {}, made again it is {}", Money::from_cents(segment.total_cents), again.charge.total));
    }
    if again.usage_milli != segment.usage_milli {
        return Err("its usage comes out otherwise".to_owned());
    }
    let lines = serde_json::to_string(&again.charge.lines).map_err(|error| error.to_string())?;
    if lines == segment.lines { Ok(()) } else { Err("its lines come out otherwise".to_owned()) }
}

/// The reads that a bill was made from must still be what they were.
fn same_reads(inputs: &SegmentInputs, read_of: impl Fn(ReadId) -> Option<(chrono::NaiveDate, i64)>) -> Result<(), String> {
    for span in inputs.every_span() {
        let kept = [(span.from_read, (span.from_on, span.from_milli)), (span.to_read, (span.to_on, span.to_milli))];
        for (id, expected) in kept {
            if read_of(id) != Some(expected) {
                return Err(format!("the read {id} that it was made from is gone or was changed"));
            }
        }
    }
    Ok(())
}
