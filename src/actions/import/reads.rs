//! Importing meter reads.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use chrono::NaiveDate;

use super::read_check::{self, Verdict};
use super::{ImportOptions, ImportReport, parse_date};
use crate::actions::{ActionError, Context, notices};
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
    rejected: HashSet<(RegisterId, NaiveDate, i64)>,
}

/// What a batch will write, and what becomes of each of its rows.
#[derive(Default)]
struct Outcome {
    reads: Vec<ReadRow>,
    held: Vec<(usize, AgreementId, NaiveDate, String)>,
    /// By row: accepted, unchanged, or refused with the reason.
    verdicts: BTreeMap<usize, RowVerdict>,
}

enum RowVerdict {
    Accepted,
    Unchanged,
    Refused(String),
}

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
        let mut batch = Vec::new();
        while batch.len() < BATCH {
            let Some(row) = table.next_row()? else { break };
            done += 1;
            match parse(&table, &row, context.today()) {
                Ok(parsed) if !seen.insert((parsed.serial.clone(), parsed.code.clone(), parsed.read_on)) => {
                    let (serial, on) = (&parsed.serial, parsed.read_on);
                    report.refuse(row, format!("it is a duplicate: an earlier row of this file has a read of meter '{serial}' on {on}"));
                }
                Ok(parsed) => batch.push(parsed),
                Err(reason) => report.refuse(row, reason),
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

/// Judges and stores a batch in one transaction, so that another import cannot come in between.
fn import_batch(context: &Context, batch: Vec<Parsed>, dry_run: bool, report: &mut ImportReport) -> Result<(), ActionError> {
    let outcome = if dry_run {
        context.database.read(|conn| judge(context, conn, &batch))?
    } else {
        context.database.write(|conn| {
            let outcome = judge(context, conn, &batch)?;
            store(context, conn, &outcome)?;
            Ok::<_, ActionError>(outcome)
        })?
    };
    report.held += u64::try_from(outcome.held.len()).unwrap_or(0);
    for (parsed, (_, verdict)) in batch.into_iter().zip(outcome.verdicts) {
        match verdict {
            RowVerdict::Accepted => report.accepted += 1,
            RowVerdict::Unchanged => report.unchanged += 1,
            RowVerdict::Refused(reason) => report.refuse(parsed.row, reason),
        }
    }
    Ok(())
}

fn judge(context: &Context, conn: &mut DbConnection, batch: &[Parsed]) -> Result<Outcome, ActionError> {
    let serials: HashSet<&str> = batch.iter().map(|parsed| parsed.serial.as_str()).collect();
    let mut known = load(conn, &serials.into_iter().collect::<Vec<_>>())?;
    let mut outcome = Outcome::default();
    for (register, rows) in by_register(batch, &known, &mut outcome) {
        check_register(context, &register, rows, &mut known, &mut outcome);
    }
    Ok(outcome)
}

fn store(context: &Context, conn: &mut DbConnection, outcome: &Outcome) -> Result<(), ActionError> {
    if outcome.reads.is_empty() {
        return Ok(());
    }
    let now = context.now();
    let ids: Vec<i64> = customers::reserve(conn, "meter_read", outcome.reads.len())?.collect();
    let rows: Vec<ReadRow> = outcome.reads.iter().zip(&ids).map(|(read, id)| ReadRow { id: ReadId(*id), ..read.clone() }).collect();
    metering::insert_reads(conn, &rows)?;
    let todo = |(index, agreement, on, reason): &(usize, AgreementId, NaiveDate, String)| {
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
    };
    let todos: Vec<NewToDo> = outcome.held.iter().filter_map(todo).collect();
    operations::raise_new(conn, &todos)?;
    notices::queue_high_usage(conn, context, &todos)
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
        rejected: metering::rejected_reads_of(conn, &ids)?.into_iter().collect(),
        registers: registers.into_iter().map(|(register, serial)| ((serial, register.code.clone()), register)).collect(),
        services: services.into_iter().map(|service| (service.register_id, service)).collect(),
        reads,
    })
}

/// A register with the new reads of it, each with its place in the batch.
type RegisterGroup<'a> = (RegisterRow, Vec<(usize, &'a Parsed)>);

/// Sorts a batch by register; rows of unknown meters are refused here.
fn by_register<'a>(batch: &'a [Parsed], known: &Known, outcome: &mut Outcome) -> Vec<RegisterGroup<'a>> {
    let mut groups: BTreeMap<RegisterId, RegisterGroup<'a>> = BTreeMap::new();
    for (index, parsed) in batch.iter().enumerate() {
        let Some(register) = known.registers.get(&(parsed.serial.clone(), parsed.code.clone())) else {
            let reason = format!("meter_id: there is no meter '{}' with a register '{}'", parsed.serial, parsed.code);
            outcome.verdicts.insert(index, RowVerdict::Refused(reason));
            continue;
        };
        groups.entry(register.id).or_insert_with(|| (register.clone(), Vec::new())).1.push((index, parsed));
    }
    groups.into_values().collect()
}

/// Checks the new reads of one register in date order, each against the reads around it.
fn check_register(context: &Context, row: &RegisterRow, mut new: Vec<(usize, &Parsed)>, known: &mut Known, outcome: &mut Outcome) {
    new.sort_by_key(|(_, parsed)| parsed.read_on);
    let reads = known.reads.entry(row.id).or_default();
    let service = known.services.get(&row.id);
    let register = register_of(row);
    for (index, parsed) in new {
        let Some(service) = service.filter(|service| service.covers(parsed.read_on)) else {
            outcome.verdicts.insert(index, RowVerdict::Refused(not_there(parsed, service)));
            continue;
        };
        if known.rejected.contains(&(row.id, parsed.read_on, parsed.reading_milli)) {
            outcome.verdicts.insert(index, RowVerdict::Unchanged);
            continue;
        }
        let limits = context.config.limits.of(&service.rate_class);
        let verdict = match read_check::check(&register, reads, service.billed_through, &limits, parsed.read_on, parsed.reading_milli, parsed.kind) {
            Verdict::Unchanged => RowVerdict::Unchanged,
            Verdict::Refused(reason) => RowVerdict::Refused(reason),
            Verdict::Accepted { at, hold } => {
                let read = read_row(row.id, parsed, hold.is_some());
                if let Some(reason) = hold {
                    let reason = format!("meter {}: the read of {}: {reason}", parsed.serial, parsed.read_on);
                    outcome.held.push((outcome.reads.len(), service.agreement_id, parsed.read_on, reason));
                }
                reads.insert(at, read.clone());
                outcome.reads.push(read);
                RowVerdict::Accepted
            }
        };
        outcome.verdicts.insert(index, verdict);
    }
}

fn not_there(parsed: &Parsed, service: Option<&RegisterService>) -> String {
    let serial = &parsed.serial;
    match service.map(|service| (service.installed_on, service.removed_on)) {
        Some((_, Some(removed))) if parsed.read_on > removed => format!("read_on: meter '{serial}' was taken out on {removed}"),
        Some((Some(installed), _)) => format!("read_on: meter '{serial}' was put in on {installed}, after this read"),
        _ => format!("meter_id: meter '{serial}' is not installed at any service"),
    }
}

fn read_row(register_id: RegisterId, parsed: &Parsed, held: bool) -> ReadRow {
    ReadRow {
        id: ReadId(0),
        register_id,
        read_on: parsed.read_on,
        reading_milli: parsed.reading_milli,
        kind: parsed.kind.as_str().to_owned(),
        status: if held { "held" } else { "accepted" }.to_owned(),
    }
}

pub(super) fn register_of(row: &RegisterRow) -> Register {
    Register { id: row.id, digits: u32::try_from(row.digits).unwrap_or(0), multiplier_milli: row.multiplier_milli, unit: row.unit.clone() }
}
