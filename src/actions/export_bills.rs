//! Bills as a CSV file: one row for each segment and period.

use std::io::Write;

use super::{ActionError, Context};
use crate::db::billing::{self, BilledSegment, bill_number};
use crate::domain::money::Money;
use crate::domain::quantity::from_milli;

/// The columns of the file.
pub const HEADER: [&str; 11] =
    ["bill_number", "account", "service_id", "period_start", "read_on", "usage", "total", "previous_balance", "payments", "amount_due", "status"];

/// Writes every bill, by run and account. `with_cancelled` includes bills that were taken back. Returns the number of
/// rows.
///
/// # Errors
/// Those of the database and of writing.
pub fn export_bills(context: &Context, out: &mut dyn Write, with_cancelled: bool) -> Result<u64, ActionError> {
    let failed = |error: csv::Error| ActionError::File { path: "the export".to_owned(), source: std::io::Error::other(error) };
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(HEADER).map_err(failed)?;
    let mut rows = 0;
    for run in context.database.read(billing::runs_with_bills)? {
        for chunk in context.database.read(|conn| billing::chunks(conn, run))? {
            let segments = context.database.read(|conn| billing::billed_segments(conn, run, chunk.first_account_id, chunk.last_account_id))?;
            for segment in segments.iter().filter(|segment| with_cancelled || segment.status == "issued") {
                writer.write_record(record(segment)).map_err(failed)?;
                rows += 1;
            }
        }
    }
    writer.flush().map_err(|source| ActionError::File { path: "the export".to_owned(), source })?;
    Ok(rows)
}

fn record(segment: &BilledSegment) -> [String; 11] {
    let money = |cents| Money::from_cents(cents).to_string();
    [
        bill_number(segment.run_id, segment.account_id),
        segment.account_number.clone(),
        segment.service_code.clone(),
        segment.period_start_on.to_string(),
        segment.period_end_on.to_string(),
        from_milli(segment.usage_milli).to_string(),
        money(segment.total_cents),
        money(segment.previous_balance_cents),
        money(segment.payments_cents),
        money(segment.amount_due_cents),
        segment.status.clone(),
    ]
}
