//! Importing meter reads.

use std::collections::HashSet;
use std::path::Path;

use chrono::NaiveDate;

use super::take::{Manner, NewRead, ReadOutcome, take};
use super::{ImportOptions, ImportReport, parse_date};
use crate::actions::{ActionError, Context};
use crate::domain::metering::ReadKind;
use crate::domain::quantity::parse_milli;
use crate::formats::table::{Columns, Row, Table, check_form};

/// The columns of a file of reads.
pub const COLUMNS: Columns = Columns { required: &["meter_id", "read_on", "reading"], optional: &["kind", "register"] };

/// Rows that are read, checked and written together.
const BATCH: usize = 20_000;

/// Imports a file of reads.
///
/// # Errors
/// [`ActionError::Form`] when the file as a whole cannot be used, or those of the database.
pub fn import_reads(context: &Context, path: &Path, options: ImportOptions<'_>) -> Result<ImportReport, ActionError> {
    check_form(path, COLUMNS)?;
    let mut table = Table::open(path, COLUMNS)?;
    let mut report = ImportReport::begin(path, options.dry_run)?;
    let mut seen = HashSet::new();
    let mut done = 0_u64;
    loop {
        let (mut rows, mut reads) = (Vec::new(), Vec::new());
        while reads.len() < BATCH {
            let Some(row) = table.next_row()? else { break };
            done += 1;
            match parse(&table, &row, context.today()) {
                Ok(read) if !seen.insert((read.meter.clone(), read.register.clone(), read.read_on)) => {
                    let (serial, on) = (&read.meter, read.read_on);
                    report.refuse(row, format!("it is a duplicate: an earlier row of this file has a read of meter '{serial}' on {on}"));
                }
                Ok(read) => {
                    rows.push(row);
                    reads.push(read);
                }
                Err(reason) => report.refuse(row, reason),
            }
        }
        if reads.is_empty() {
            break;
        }
        import_batch(context, rows, &reads, options.dry_run, &mut report)?;
        (options.progress)(done);
    }
    report.finish(context, path, &table.header().clone())
}

fn parse(table: &Table, row: &Row, today: NaiveDate) -> Result<NewRead, String> {
    let read_on = parse_date("read_on", table.field(row, "read_on"))?;
    if read_on > today {
        return Err(format!("read_on: {read_on} is in the future: expected a day up to today, {today}"));
    }
    let kind = match table.field(row, "kind") {
        "" => ReadKind::Actual,
        text => text.parse::<ReadKind>().map_err(|error| format!("kind: {error}"))?,
    };
    if !kind.ends_period() {
        return Err(format!("kind: a read of kind '{kind}' comes with a meter exchange: use `aquabills import exchanges`"));
    }
    let code = table.field(row, "register");
    Ok(NewRead {
        meter: super::parse_code("meter_id", table.field(row, "meter_id"))?,
        register: if code.is_empty() { "1".to_owned() } else { code.to_owned() },
        read_on,
        reading_milli: parse_milli(table.field(row, "reading")).map_err(|error| format!("reading: {error}"))?,
        kind,
    })
}

/// Judges and stores a batch in one transaction, so that another import cannot come in between.
fn import_batch(context: &Context, rows: Vec<Row>, reads: &[NewRead], dry_run: bool, report: &mut ImportReport) -> Result<(), ActionError> {
    let outcomes = if dry_run {
        context.database.read(|conn| take(context, conn, reads, Manner::File, true))?
    } else {
        context.database.write(|conn| take(context, conn, reads, Manner::File, false))?
    };
    for (row, outcome) in rows.into_iter().zip(outcomes) {
        match outcome {
            ReadOutcome::Accepted => report.accepted += 1,
            ReadOutcome::Held(_) => {
                report.accepted += 1;
                report.held += 1;
            }
            ReadOutcome::Unchanged => report.unchanged += 1,
            ReadOutcome::Refused(reason) => report.refuse(row, reason),
        }
    }
    Ok(())
}
