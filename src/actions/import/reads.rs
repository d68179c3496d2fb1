//! Importing meter reads.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use chrono::NaiveDate;

use super::read_check::{self, Verdict};
use super::{ImportOptions, ImportReport, parse_date};
use crate::actions::{ActionError, Context};
use crate::db::metering::{ReadRow, RegisterRow, RegisterService};
use crate::db::operations::NewToDo;
use crate::db::{DbConnection, customers, metering, operations};
use crate::domain::ids::{AgreementId, ReadId, RegisterId};
use crate::domain::metering::{ReadKind, Register};
use crate::domain::quantity::parse_milli;
use crate::formats::table::{Columns, Row, Table, check_form};

/// The columns of a file of reads.
pub const COLUMNS: Columns = Columns { required: &["meter_id", "read_on", "reading"], optional: &["kind", "register"] };

/// Rows that are read, checked and written together.
const BATCH: usize = 20_000;

/// A row that has been understood.
struct Parsed {
    row: Row,
    serial: String,
    code: String,
    read_on: NaiveDate,
    reading_milli: i64,
    kind: ReadKind,
}

/// What the database knows of the registers in a batch.
struct Known {
    registers: HashMap<(String, String), RegisterRow>,
    services: HashMap<RegisterId, RegisterService>,
    reads: HashMap<RegisterId, Vec<ReadRow>>,
}

/// What a batch will write.
#[derive(Default)]
struct Outcome {
    reads: Vec<ReadRow>,
    held: Vec<(usize, AgreementId, NaiveDate, String)>,
}

/// Imports a file of reads.
///
/// # Errors
/// [`ActionError::Form`] when the file as a whole cannot be used, or those of the database.
pub fn import_reads(context: &Context, path: &Path, options: ImportOptions<'_>) -> Result<ImportReport, ActionError> {
    check_form(path, COLUMNS)?;
    let mut table = Table::open(path, COLUMNS)?;
    let mut report = ImportReport::new(options.dry_run);
    let mut seen = HashSet::new();
    let mut done = 0_u64;
    loop {
        let mut batch = Vec::new();
        while batch.len() < BATCH {
            let Some(row) = table.next_row()? else { break };
            done += 1;
            match parse(&table, &row, context.today()) {
                Ok(parsed) => batch.push(Parsed { row, ..parsed }),
                Err(reason) => report.refuse(row, reason),
            }
        }
        if batch.is_empty() {
            break;
        }
        import_batch(context, batch, options.dry_run, &mut seen, &mut report)?;
        (options.progress)(done);
    }
    report.finish(context, path, &table.header().clone())
}

fn parse(table: &Table, row: &Row, today: NaiveDate) -> Result<Parsed, String> {
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
    Ok(Parsed {
        row: row.clone(),
        serial: super::parse_code("meter_id", table.field(row, "meter_id"))?,
        code: if code.is_empty() { "1".to_owned() } else { code.to_owned() },
        read_on,
        reading_milli: parse_milli(table.field(row, "reading")).map_err(|error| format!("reading: {error}"))?,
        kind,
    })
}

fn import_batch(
    context: &Context,
    batch: Vec<Parsed>,
    dry_run: bool,
    seen: &mut HashSet<(RegisterId, NaiveDate)>,
    report: &mut ImportReport,
) -> Result<(), ActionError> {
    let serials: HashSet<&str> = batch.iter().map(|parsed| parsed.serial.as_str()).collect();
    let serials: Vec<&str> = serials.into_iter().collect();
    let mut known = context.database.read(|conn| load(conn, &serials))?;
    drop(serials);
    let mut outcome = Outcome::default();
    for (register, rows) in by_register(batch, &known, seen, report) {
        check_register(context, &register, rows, &mut known, &mut outcome, report);
    }
    report.held += u64::try_from(outcome.held.len()).unwrap_or(0);
    if dry_run || outcome.reads.is_empty() {
        return Ok(());
    }
    let now = context.now();
    context.database.write(|conn| {
        let ids: Vec<i64> = customers::reserve(conn, "meter_read", outcome.reads.len())?.collect();
        let rows: Vec<ReadRow> = outcome.reads.iter().zip(&ids).map(|(read, id)| ReadRow { id: ReadId(*id), ..read.clone() }).collect();
        metering::insert_reads(conn, &rows)?;
        let todos: Vec<NewToDo> = outcome
            .held
            .iter()
            .filter_map(|(index, agreement, on, reason)| {
                let id = ids.get(*index)?;
                Some(NewToDo {
                    kind: "read_limit".to_owned(),
                    status: "open".to_owned(),
                    agreement_id: Some(*agreement),
                    meter_read_id: Some(ReadId(*id)),
                    period_start_on: None,
                    period_end_on: Some(*on),
                    amount_cents: None,
                    reason: reason.clone(),
                    raised_at: now,
                })
            })
            .collect();
        operations::raise_new(conn, &todos)?;
        Ok::<_, ActionError>(())
    })
}

fn load(conn: &mut DbConnection, serials: &[&str]) -> Result<Known, diesel::result::Error> {
    let registers = metering::registers_by_serial(conn, serials)?;
    let ids: Vec<RegisterId> = registers.iter().map(|(register, _)| register.id).collect();
    let mut meters: Vec<_> = registers.iter().map(|(register, _)| register.meter_id).collect();
    meters.sort_unstable();
    meters.dedup();
    let services = metering::register_services(conn, &meters)?;
    let mut reads: HashMap<RegisterId, Vec<ReadRow>> = HashMap::new();
    for read in metering::reads_of(conn, &ids)? {
        reads.entry(read.register_id).or_default().push(read);
    }
    Ok(Known {
        registers: registers.into_iter().map(|(register, serial)| ((serial, register.code.clone()), register)).collect(),
        services: services.into_iter().map(|service| (service.register_id, service)).collect(),
        reads,
    })
}

/// Sorts a batch by register; rows of unknown meters and rows that stand twice in the file are refused here.
fn by_register(
    batch: Vec<Parsed>,
    known: &Known,
    seen: &mut HashSet<(RegisterId, NaiveDate)>,
    report: &mut ImportReport,
) -> Vec<(RegisterRow, Vec<Parsed>)> {
    let mut groups: BTreeMap<RegisterId, (RegisterRow, Vec<Parsed>)> = BTreeMap::new();
    for parsed in batch {
        let Some(register) = known.registers.get(&(parsed.serial.clone(), parsed.code.clone())) else {
            let reason = format!("meter_id: there is no meter '{}' with a register '{}'", parsed.serial, parsed.code);
            report.refuse(parsed.row, reason);
            continue;
        };
        if !seen.insert((register.id, parsed.read_on)) {
            let reason = format!("it is a duplicate: an earlier row of this file has a read of meter '{}' on {}", parsed.serial, parsed.read_on);
            report.refuse(parsed.row, reason);
            continue;
        }
        groups.entry(register.id).or_insert_with(|| (register.clone(), Vec::new())).1.push(parsed);
    }
    groups.into_values().collect()
}

/// Checks the new reads of one register in date order, each against the reads around it.
fn check_register(context: &Context, row: &RegisterRow, mut new: Vec<Parsed>, known: &mut Known, outcome: &mut Outcome, report: &mut ImportReport) {
    new.sort_by_key(|parsed| parsed.read_on);
    let reads = known.reads.entry(row.id).or_default();
    let Some(service) = known.services.get(&row.id) else {
        for parsed in new {
            let reason = format!("meter_id: meter '{}' is not installed at any service: it was taken out", parsed.serial);
            report.refuse(parsed.row, reason);
        }
        return;
    };
    let register = register_of(row);
    for parsed in new {
        let limits = context.config.limits.of(&service.rate_class);
        match read_check::check(&register, reads, service.billed_through, limits, parsed.read_on, parsed.reading_milli, parsed.kind) {
            Verdict::Unchanged => report.unchanged += 1,
            Verdict::Refused(reason) => report.refuse(parsed.row, reason),
            Verdict::Accepted { at, hold } => {
                report.accepted += 1;
                let status = if hold.is_some() { "held" } else { "accepted" };
                let read = ReadRow {
                    id: ReadId(0),
                    register_id: row.id,
                    read_on: parsed.read_on,
                    reading_milli: parsed.reading_milli,
                    kind: parsed.kind.as_str().to_owned(),
                    status: status.to_owned(),
                };
                if let Some(reason) = hold {
                    let reason = format!("meter {}: the read of {}: {reason}", parsed.serial, parsed.read_on);
                    outcome.held.push((outcome.reads.len(), service.agreement_id, parsed.read_on, reason));
                }
                reads.insert(at, read.clone());
                outcome.reads.push(read);
            }
        }
    }
}

pub(super) fn register_of(row: &RegisterRow) -> Register {
    Register { id: row.id, digits: u32::try_from(row.digits).unwrap_or(0), multiplier_milli: row.multiplier_milli, unit: row.unit.clone() }
}
