//! Taking reads in: the one judgement and the one way of storing, for files and for reads that somebody enters.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::NaiveDate;

use super::at_stake;
use super::read_check::{self, Bench, Candidate, Verdict};
use super::swapped;
use crate::actions::{ActionError, Context, notices};
use crate::db::metering::{BilledSpan, ReadRow, RegisterRow, RegisterService, RejectedRead};
use crate::db::operations::NewToDo;
use crate::db::{DbConnection, customers, metering, operations};
use crate::domain::ids::{AgreementId, ReadId, RegisterId, ToDoId};
use crate::domain::limits::{Limits, Reading, stuck_at};
use crate::domain::metering::{ReadKind, Register};

/// A read as it comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRead {
    /// The meter's number.
    pub meter: String,
    /// Which of its registers.
    pub register: String,
    /// When it was taken.
    pub read_on: NaiveDate,
    /// What the register showed, in thousandths.
    pub reading_milli: i64,
    /// How it came to be.
    pub kind: ReadKind,
}

/// What became of a read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadOutcome {
    /// It is taken in.
    Accepted,
    /// It is taken in and waits for a clerk, with the reason.
    Held(String),
    /// It was there already.
    Unchanged,
    /// It is refused, with the reason.
    Refused(String),
}

/// How reads are taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::actions) enum Manner {
    /// As a file brings them: what a clerk rejected stays rejected when its file comes again.
    File,
    /// As somebody enters them: what was rejected is refused, with a word on how to insist.
    Entered,
    /// As a member of staff confirms them: neither held nor kept out because it was rejected before.
    Confirmed,
    /// The same for a day that is billed: the bill stays, and what is wrong with it is found and put right.
    Corrected,
}

impl Manner {
    /// Whether a member of staff vouches for the read.
    fn is_confirmed(self) -> bool {
        matches!(self, Self::Confirmed | Self::Corrected)
    }
}

/// What the database knows of the registers in a batch.
pub(super) struct Known {
    registers: HashMap<(String, String), RegisterRow>,
    services: HashMap<RegisterId, Vec<RegisterService>>,
    billed: HashMap<RegisterId, Vec<BilledSpan>>,
    pub(super) reads: HashMap<RegisterId, Vec<ReadRow>>,
    rejected: HashSet<RejectedRead>,
}

/// A read that a clerk is asked about.
pub(super) struct Doubt {
    /// Its place among the new reads.
    pub(super) index: usize,
    /// The place of its row in the batch.
    pub(super) row: usize,
    /// Whether it waits; else a clerk is only told.
    pub(super) held: bool,
    /// The work item's kind.
    pub(super) kind: &'static str,
    pub(super) agreement: AgreementId,
    pub(super) meter: String,
    pub(super) register: Register,
    pub(super) limits: Limits,
    pub(super) household_since: Option<NaiveDate>,
    /// What it counts from, and what it is.
    pub(super) since: Option<Reading>,
    pub(super) reading: Reading,
    /// Why.
    pub(super) reason: String,
}

impl Doubt {
    /// The sentence that a clerk reads.
    pub(super) fn sentence(&self) -> String {
        format!("meter {}: the read of {}: {}", self.meter, self.reading.on, self.reason)
    }
}

/// What a batch will write, and what becomes of each of its rows.
#[derive(Default)]
pub(super) struct Batch {
    /// The new reads; until they are stored each carries its place as a negative id.
    pub(super) reads: Vec<ReadRow>,
    pub(super) doubts: Vec<Doubt>,
    /// Reads that new ones take the place of.
    aside: Vec<ReadId>,
    /// Registers' agreements with the day of a real read: what no longer waits for one.
    read_on: HashMap<AgreementId, NaiveDate>,
    verdicts: BTreeMap<usize, ReadOutcome>,
}

/// The place of a new read as an id, until it gets a real one.
fn provisional(index: usize) -> ReadId {
    ReadId(-1 - i64::try_from(index).unwrap_or(i64::MAX - 1))
}

/// The place that a provisional id stands for.
fn place_of(id: ReadId) -> Option<usize> {
    usize::try_from(-1 - id.0).ok()
}

/// Judges reads and, unless it is a dry run, stores them, within the caller's transaction. What comes back is in the order
/// of what came.
pub(in crate::actions) fn take(
    context: &Context,
    conn: &mut DbConnection,
    new: &[NewRead],
    manner: Manner,
    dry_run: bool,
) -> Result<Vec<ReadOutcome>, ActionError> {
    let serials: HashSet<&str> = new.iter().map(|read| read.meter.as_str()).collect();
    let mut known = load(conn, &serials.into_iter().collect::<Vec<_>>(), !dry_run)?;
    let mut batch = Batch::default();
    for (register, rows) in by_register(new, &known, &mut batch) {
        take_register(context, &register, rows, &mut known, &mut batch, manner);
    }
    swapped::name_exchanged(&known, &mut batch);
    for doubt in batch.doubts.iter().filter(|doubt| doubt.held) {
        batch.verdicts.insert(doubt.row, ReadOutcome::Held(doubt.sentence()));
    }
    if !dry_run {
        store(context, conn, &batch)?;
    }
    Ok(batch.verdicts.into_values().collect())
}

fn load(conn: &mut DbConnection, serials: &[&str], lock: bool) -> Result<Known, diesel::result::Error> {
    let registers = metering::registers_by_serial(conn, serials)?;
    let ids: Vec<RegisterId> = registers.iter().map(|(register, _)| register.id).collect();
    if lock {
        metering::lock_registers(conn, &ids)?;
    }
    let mut meters: Vec<_> = registers.iter().map(|(register, _)| register.meter_id).collect();
    meters.sort_unstable();
    meters.dedup();
    let mut services: HashMap<RegisterId, Vec<RegisterService>> = HashMap::new();
    for service in metering::register_services(conn, &meters)? {
        services.entry(service.register_id).or_default().push(service);
    }
    let mut billed: HashMap<RegisterId, Vec<BilledSpan>> = HashMap::new();
    for span in metering::billed_spans(conn, &meters)? {
        billed.entry(span.register_id).or_default().push(span);
    }
    let mut reads: HashMap<RegisterId, Vec<ReadRow>> = HashMap::new();
    for read in metering::reads_of(conn, &ids)? {
        reads.entry(read.register_id).or_default().push(read);
    }
    Ok(Known {
        rejected: metering::rejected_reads_of(conn, &ids)?.into_iter().collect(),
        registers: registers.into_iter().map(|(register, serial)| ((serial, register.code.clone()), register)).collect(),
        services,
        billed,
        reads,
    })
}

/// A register with the new reads of it, each with its place in the batch.
type RegisterGroup<'a> = (RegisterRow, Vec<(usize, &'a NewRead)>);

/// Sorts a batch by register; rows of unknown meters are refused here.
fn by_register<'a>(new: &'a [NewRead], known: &Known, batch: &mut Batch) -> Vec<RegisterGroup<'a>> {
    let mut groups: BTreeMap<RegisterId, RegisterGroup<'a>> = BTreeMap::new();
    for (row, read) in new.iter().enumerate() {
        let Some(register) = known.registers.get(&(read.meter.clone(), read.register.clone())) else {
            let reason = format!("meter_id: there is no meter '{}' with a register '{}'", read.meter, read.register);
            batch.verdicts.insert(row, ReadOutcome::Refused(reason));
            continue;
        };
        groups.entry(register.id).or_insert_with(|| (register.clone(), Vec::new())).1.push((row, read));
    }
    groups.into_values().collect()
}

/// Checks the new reads of one register in date order, each against the reads around it.
fn take_register(context: &Context, row: &RegisterRow, mut new: Vec<(usize, &NewRead)>, known: &mut Known, batch: &mut Batch, manner: Manner) {
    new.sort_by_key(|(_, read)| read.read_on);
    let register = register_of(row);
    let services = known.services.get(&row.id).map(Vec::as_slice).unwrap_or_default();
    let billed = known.billed.get(&row.id).map(Vec::as_slice).unwrap_or_default();
    let reads = known.reads.entry(row.id).or_default();
    let (first_new, mut last) = (batch.reads.len(), None);
    for (at, read) in new {
        let service = metering::service_on(services.iter(), read.read_on);
        let Some(service) = service.filter(|service| service.covers(read.read_on)) else {
            batch.verdicts.insert(at, ReadOutcome::Refused(not_there(read, service)));
            continue;
        };
        let rejected = || known.rejected.contains(&(row.id, read.read_on, read.reading_milli, read.kind.as_str().to_owned()));
        if !manner.is_confirmed() && !known.rejected.is_empty() && rejected() {
            batch.verdicts.insert(at, rejected_before(manner));
            continue;
        }
        let limits = context.config.limits.of(&service.rate_class);
        let source = Source { row: at, read, service, register: &register, limits, billed, corrects: manner == Manner::Corrected };
        let candidate = Candidate { on: read.read_on, milli: read.reading_milli, kind: read.kind };
        let outcome = match read_check::check(source.bench(), reads, candidate) {
            Verdict::Unchanged => ReadOutcome::Unchanged,
            Verdict::Refused(reason) => ReadOutcome::Refused(reason),
            Verdict::Accepted(mut taken) => {
                taken.hold = taken.hold.filter(|_| !manner.is_confirmed());
                batch.add(&source, taken, reads);
                last = Some(source);
                ReadOutcome::Accepted
            }
        };
        batch.verdicts.insert(at, outcome);
    }
    if let Some(last) = last.filter(|_| batch.reads.len() > first_new && !manner.is_confirmed()) {
        batch.advise(&last, reads);
    }
}

/// Where a read that is taken in comes from.
struct Source<'a> {
    row: usize,
    read: &'a NewRead,
    service: &'a RegisterService,
    register: &'a Register,
    limits: Limits,
    billed: &'a [BilledSpan],
    corrects: bool,
}

impl Source<'_> {
    fn bench(&self) -> Bench<'_> {
        Bench { register: self.register, limits: &self.limits, billed: self.billed, household_since: self.service.start_on, corrects: self.corrects }
    }

    /// A question for a clerk about a read of this register.
    fn doubt(&self, index: usize, kind: &'static str, since: Option<Reading>, reading: Reading, reason: String) -> Doubt {
        Doubt {
            index,
            row: self.row,
            held: kind == "read_limit",
            kind,
            agreement: self.service.agreement_id,
            meter: self.read.meter.clone(),
            register: self.register.clone(),
            limits: self.limits,
            household_since: self.service.start_on,
            since,
            reading,
            reason,
        }
    }
}

impl Batch {
    /// Adds a read that is taken in.
    fn add(&mut self, source: &Source<'_>, taken: read_check::Taken, reads: &mut Vec<ReadRow>) {
        let (new, index) = (source.read, self.reads.len());
        let row = ReadRow {
            id: provisional(index),
            register_id: source.register.id,
            read_on: new.read_on,
            reading_milli: new.reading_milli,
            kind: new.kind.as_str().to_owned(),
            status: if taken.hold.is_some() { "held" } else { "accepted" }.to_owned(),
            basis: (new.kind == ReadKind::Estimated).then(|| "estimated elsewhere and brought in".to_owned()),
        };
        if !taken.overtakes.is_empty() {
            reads.retain(|read| !taken.overtakes.contains(&read.id));
            self.aside.extend(taken.overtakes);
        }
        reads.insert(reads.partition_point(|read| read.read_on < new.read_on), row.clone());
        self.reads.push(row);
        if new.kind != ReadKind::Estimated {
            let latest = self.read_on.entry(source.service.agreement_id).or_insert(new.read_on);
            *latest = new.read_on.max(*latest);
        }
        if let Some(reason) = taken.hold {
            let reading = Reading { on: new.read_on, milli: new.reading_milli };
            self.doubts.push(source.doubt(index, "read_limit", taken.since, reading, reason));
        }
    }

    /// What a clerk is told although nothing waits: a register that stands still, a last read that is far too low. Only
    /// the end of the history counts, so that a file of old reads does not raise what is long over.
    fn advise(&mut self, source: &Source<'_>, reads: &[ReadRow]) {
        let bench = source.bench();
        let Some(last) = reads.last().filter(|last| last.status == "accepted" && last.kind != ReadKind::Estimated.as_str()) else { return };
        let before = reads.len().checked_sub(2).and_then(|before| reads.get(before));
        let reading = |read: &ReadRow| Reading { on: read.read_on, milli: read.reading_milli };
        let (read, kind, reason, since) = if before.is_some_and(|before| before.reading_milli == last.reading_milli) {
            let real = bench.real_readings(reads);
            let Some((crossing, since)) = stuck_at(bench.limits, &real) else { return };
            let Some(read) = real.get(crossing).and_then(|at| reads.iter().find(|read| read.read_on == at.on)) else { return };
            let reason = format!("it has stood still since {since}, although it used to count: it may be stuck");
            (read, "stuck_register", reason, None)
        } else {
            let Some(reason) = read_check::doubtful_low(bench, reads) else { return };
            (last, "low_use", reason, before.map(reading))
        };
        // Only a read that is new: what it shows was told when it came.
        if let Some(index) = place_of(read.id) {
            self.doubts.push(source.doubt(index, kind, since, reading(read), reason));
        }
    }
}

fn rejected_before(manner: Manner) -> ReadOutcome {
    if manner == Manner::File {
        return ReadOutcome::Unchanged;
    }
    let reason = "reading: this reading of that day was rejected before: if it is right all the same, a member of staff confirms it with a reason";
    ReadOutcome::Refused(reason.to_owned())
}

fn not_there(read: &NewRead, service: Option<&RegisterService>) -> String {
    let serial = &read.meter;
    match service.map(|service| (service.installed_on, service.removed_on)) {
        Some((_, Some(removed))) if read.read_on > removed => format!("read_on: meter '{serial}' was taken out on {removed}"),
        Some((Some(installed), _)) => format!("read_on: meter '{serial}' was put in on {installed}, after this read"),
        _ => format!("meter_id: meter '{serial}' is not installed at any service"),
    }
}

pub(in crate::actions) fn register_of(row: &RegisterRow) -> Register {
    Register { id: row.id, digits: u32::try_from(row.digits).unwrap_or(0), multiplier_milli: row.multiplier_milli, unit: row.unit.clone() }
}

fn store(context: &Context, conn: &mut DbConnection, batch: &Batch) -> Result<(), ActionError> {
    if batch.reads.is_empty() {
        return Ok(());
    }
    let now = context.now();
    let ids: Vec<i64> = customers::reserve(conn, "meter_read", batch.reads.len())?.collect();
    let real = |id: ReadId| place_of(id).map_or(Some(id), |index| ids.get(index).map(|id| ReadId(*id)));
    let aside: Vec<ReadId> = batch.aside.iter().filter_map(|id| real(*id)).collect();
    // Those that are stored are set aside first: one day has one read that stands.
    let overtaken = |id: ReadId| batch.aside.contains(&id);
    let rows = batch.reads.iter().zip(&ids).map(|(read, id)| {
        let status = if !batch.aside.is_empty() && overtaken(read.id) { "rejected".to_owned() } else { read.status.clone() };
        ReadRow { id: ReadId(*id), status, ..read.clone() }
    });
    let rows: Vec<ReadRow> = rows.collect();
    set_aside(context, conn, &aside)?;
    metering::insert_reads(conn, &rows)?;
    let amounts = at_stake::price(conn, &batch.doubts)?;
    let todo = |(doubt, amount_cents): (&Doubt, Option<i64>)| {
        let id = ids.get(doubt.index)?;
        Some(NewToDo {
            kind: doubt.kind.to_owned(),
            status: "open".to_owned(),
            agreement_id: Some(doubt.agreement),
            meter_read_id: Some(ReadId(*id)),
            period_start_on: None,
            period_end_on: Some(doubt.reading.on),
            amount_cents,
            reason: doubt.sentence(),
            raised_at: now,
            account_id: None,
        })
    };
    let stands = |doubt: &&Doubt| !overtaken(provisional(doubt.index));
    let todos: Vec<NewToDo> = batch.doubts.iter().zip(amounts).filter(|(doubt, _)| stands(doubt)).filter_map(todo).collect();
    operations::raise_new(conn, &todos)?;
    notices::queue_high_usage(conn, context, &todos)?;
    no_longer_missing(context, conn, batch)
}

/// Sets reads aside that a better one took the place of, with what a clerk was asked about them.
pub(in crate::actions) fn set_aside(context: &Context, conn: &mut DbConnection, reads: &[ReadId]) -> Result<(), ActionError> {
    if reads.is_empty() {
        return Ok(());
    }
    metering::set_reads_aside(conn, reads)?;
    let todos = operations::open_todos_of_reads(conn, reads)?;
    operations::resolve(conn, &todos, "rejected", &context.actor, "another read took its place", context.now())?;
    Ok(())
}

/// Nobody need go after a read that came.
fn no_longer_missing(context: &Context, conn: &mut DbConnection, batch: &Batch) -> Result<(), ActionError> {
    if batch.read_on.is_empty() {
        return Ok(());
    }
    let window = i64::from(context.config.limits.default.estimate_window_days);
    let came = |agreement: Option<AgreementId>, on: Option<NaiveDate>| {
        let read_on = agreement.and_then(|agreement| batch.read_on.get(&agreement));
        on.zip(read_on).is_some_and(|(on, read_on)| (on - *read_on).num_days() <= window)
    };
    let missing = operations::open_missing_reads(conn)?;
    let done: Vec<ToDoId> = missing.iter().filter(|todo| came(todo.agreement_id, todo.period_end_on)).map(|todo| todo.id).collect();
    if !done.is_empty() {
        operations::resolve(conn, &done, "released", &context.actor, "a read came", context.now())?;
    }
    Ok(())
}
