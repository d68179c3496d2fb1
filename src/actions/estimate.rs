//! Estimating what was not read, so that a bill can go out; where nothing says what a household uses, a clerk is asked.

use std::collections::{HashMap, HashSet};

use chrono::NaiveDate;
use serde::Serialize;

use super::held::drop_bills;
use super::import::take::set_aside;
use super::{ActionError, Context};
use crate::db::metering::{self, BilledSpan, MeasuringRegister, ReadRow, RegisterRow, RejectedRead};
use crate::db::operations::{self, NewToDo};
use crate::db::{DbConnection, billing, customers, look_up_by_index};
use crate::domain::estimate::{UseSpan, estimated_reading, estimated_use, use_between, use_spans};
use crate::domain::ids::{AccountId, AgreementId, ReadId, RegisterId};
use crate::domain::limits::{Limits, Reading};
use crate::domain::metering::{ReadKind, Register};
use crate::domain::quantity::from_milli;

/// Accounts that are looked at in one transaction.
const PAGE: i64 = 1_000;

/// What estimating a cycle did, or would do: read + estimated + held = due.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct EstimateReport {
    /// Metered agreements that want a read.
    pub due: u64,
    /// Of these, read.
    pub read: u64,
    /// Of these, estimated now.
    pub estimated: u64,
    /// Of these, left to a clerk.
    pub held: Vec<NotEstimated>,
    /// Whether nothing was written.
    pub dry_run: bool,
}

/// An agreement that could not be estimated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotEstimated {
    /// The account's number.
    pub account: String,
    /// The service's id in files.
    pub service_id: String,
    /// The day that wants a read.
    pub on: NaiveDate,
    /// Why.
    pub reason: String,
}

/// Estimates the reads that a cycle's agreements (`all` for every cycle) miss on a day. What cannot be estimated becomes a
/// work item. The same command again changes nothing.
///
/// # Errors
/// [`ActionError::NotFound`] for a cycle without accounts, [`ActionError::Refused`] for a day that has not come yet, or those of the database.
pub fn estimate_missing(context: &Context, cycle: &str, on: NaiveDate, dry_run: bool) -> Result<EstimateReport, ActionError> {
    let today = context.today();
    if on > today {
        return Err(ActionError::Refused(format!("on: {on} is in the future: expected a day up to today, {today}")));
    }
    let mut report = EstimateReport { dry_run, ..EstimateReport::default() };
    let mut after = AccountId(0);
    loop {
        let accounts = context.database.read(|conn| billing::accounts_in_cycle(conn, cycle, after, PAGE))?;
        let (Some(first), Some(last)) = (accounts.first().copied(), accounts.last().copied()) else {
            if after == AccountId(0) && cycle != "all" {
                return Err(ActionError::not_found("cycle", cycle));
            }
            break;
        };
        let page = if dry_run {
            context.database.snapshot(|conn| judge(context, conn, cycle, (first, last), on, false))?
        } else {
            context.database.write(|conn| {
                let page = judge(context, conn, cycle, (first, last), on, true)?;
                store(context, conn, cycle, &page)?;
                Ok::<_, ActionError>(page)
            })?
        };
        report.read += page.read;
        report.estimated += page.estimated;
        report.held.extend(page.missing.into_iter().map(|missing| missing.told));
        after = last;
    }
    report.due = report.read + report.estimated + u64::try_from(report.held.len()).unwrap_or(0);
    Ok(report)
}

/// What a page of accounts comes to.
#[derive(Default)]
struct Page {
    read: u64,
    estimated: u64,
    reads: Vec<ReadRow>,
    missing: Vec<Missing>,
}

/// An agreement that a clerk must see to.
struct Missing {
    told: NotEstimated,
    todo: NewToDo,
}

/// What becomes of one agreement.
enum Finding {
    /// Nothing is wanted.
    NotDue,
    Read,
    Estimated(Vec<ReadRow>),
    /// The day that wants a read, and why there is none.
    Missing(NaiveDate, String),
}

fn judge(
    context: &Context,
    conn: &mut DbConnection,
    cycle: &str,
    (first, last): (AccountId, AccountId),
    on: NaiveDate,
    lock: bool,
) -> Result<Page, ActionError> {
    look_up_by_index(conn)?;
    let registers = metering::measuring_registers(conn, cycle, first, last, on)?;
    let mut ids: Vec<RegisterId> = registers.iter().map(|row| row.register_id).collect();
    ids.sort_unstable();
    ids.dedup();
    if lock {
        metering::lock_registers(conn, &ids)?;
    }
    let mut reads: HashMap<RegisterId, Vec<ReadRow>> = HashMap::new();
    for read in metering::reads_of(conn, &ids)? {
        reads.entry(read.register_id).or_default().push(read);
    }
    let rejected: HashSet<RejectedRead> = metering::rejected_reads_of(conn, &ids)?.into_iter().collect();
    let mut page = Page::default();
    for of_agreement in registers.chunk_by(|a, b| a.agreement_id == b.agreement_id) {
        let Some(agreement) = of_agreement.first() else { continue };
        let limits = context.config.limits.of(&agreement.rate_class);
        let service = Service { rows: of_agreement, agreement, reads: &reads, rejected: &rejected, limits: &limits };
        match service.judge(on) {
            Finding::NotDue => {}
            Finding::Read => page.read += 1,
            Finding::Estimated(rows) => {
                page.estimated += 1;
                page.reads.extend(rows);
            }
            Finding::Missing(day, reason) => page.missing.push(missing(context, agreement, day, reason)),
        }
    }
    Ok(page)
}

fn missing(context: &Context, agreement: &MeasuringRegister, on: NaiveDate, reason: String) -> Missing {
    let todo = NewToDo {
        kind: "read_missing".to_owned(),
        status: "open".to_owned(),
        agreement_id: Some(agreement.agreement_id),
        meter_read_id: None,
        period_start_on: agreement.billed_through,
        period_end_on: Some(on),
        // What its last bill came to is what waits, as far as anybody can tell.
        amount_cents: agreement.last_total_cents,
        reason: format!("service {}: there is no read of {on} and no estimate: {reason}", agreement.service_id),
        raised_at: context.now(),
        account_id: None,
    };
    Missing { told: NotEstimated { account: agreement.account.clone(), service_id: agreement.service_id.clone(), on, reason }, todo }
}

fn store(context: &Context, conn: &mut DbConnection, cycle: &str, page: &Page) -> Result<(), ActionError> {
    let ids = customers::reserve(conn, "meter_read", page.reads.len())?;
    let rows: Vec<ReadRow> = page.reads.iter().zip(ids).map(|(read, id)| ReadRow { id: ReadId(id), ..read.clone() }).collect();
    metering::insert_reads(conn, &rows)?;
    let agreements: Vec<_> = page.missing.iter().filter_map(|missing| missing.todo.agreement_id).collect();
    let known = if agreements.is_empty() { Vec::new() } else { operations::missing_reads_of(conn, &agreements)? };
    // A clerk is asked once: not while the question is open, and not again for a day that was dealt with.
    let asked = |todo: &NewToDo| {
        known.iter().any(|row| row.agreement_id == todo.agreement_id && (row.status == "open" || row.period_end_on == todo.period_end_on))
    };
    let new: Vec<NewToDo> = page.missing.iter().map(|missing| &missing.todo).filter(|todo| !asked(todo)).cloned().collect();
    operations::raise(conn, &new)?;
    if !rows.is_empty() || !new.is_empty() {
        let detail = format!("{} agreements estimated with {} reads, {} left to a clerk", page.estimated, rows.len(), new.len());
        operations::audit(conn, context.now(), &context.actor, "read.estimate", &format!("cycle {cycle}"), &detail)?;
    }
    Ok(())
}

/// Makes the estimates of a register after a day anew whose read was put right, by the same rule: those that no real read has settled
/// that is billed. The old ones are set aside. Where nothing can be estimated any more, they stay, and the audit trail says why. The
/// caller has the register's lock, and queues whoever is billed by it.
///
/// # Errors
/// Those of the database.
pub(super) fn make_anew(context: &Context, conn: &mut DbConnection, (meter, row): (&str, &RegisterRow), after: NaiveDate) -> Result<(), ActionError> {
    let reads = metering::reads_of(conn, &[row.id])?;
    let billed = metering::billed_spans(conn, &[row.meter_id])?;
    let billed: Vec<BilledSpan> = billed.into_iter().filter(|span| span.register_id == row.id).collect();
    let settles = |read: &&ReadRow| read.status == "accepted" && !is_estimated(read) && BilledSpan::over(&billed, read.read_on).is_some();
    let since = reads.iter().filter(settles).map(|read| read.read_on).max().map_or(after, |settled| settled.max(after));
    let old: Vec<ReadRow> = reads.into_iter().filter(|read| read.status == "accepted" && is_estimated(read) && read.read_on > since).collect();
    if old.is_empty() {
        return Ok(());
    }
    let subject = |read: &ReadRow| format!("{meter} of {}", read.read_on);
    let audit = |conn: &mut DbConnection, read: &ReadRow, detail: &str| {
        operations::audit(conn, context.now(), &context.actor, "read.estimate", &subject(read), detail)
    };
    let anew = match estimated_anew(context, conn, row, &old)? {
        Ok(anew) => anew,
        Err(reason) => {
            for read in &old {
                audit(conn, read, &format!("{} stays, although the read of {after} was put right: {reason}", from_milli(read.reading_milli)))?;
            }
            return Ok(());
        }
    };
    let changed = || old.iter().zip(&anew).filter(|(old, (_, new))| old.reading_milli != new.reading_milli);
    let ids = customers::reserve(conn, "meter_read", changed().count())?;
    let rows: Vec<ReadRow> = changed().zip(ids).map(|((_, (_, new)), id)| ReadRow { id: ReadId(id), ..new.clone() }).collect();
    set_aside(context, conn, &changed().map(|(old, _)| old.id).collect::<Vec<_>>())?;
    metering::insert_reads(conn, &rows)?;
    for (old, (agreement, new)) in changed() {
        drop_bills(context, conn, *agreement, old.read_on)?;
        let (was, is) = (from_milli(old.reading_milli), from_milli(new.reading_milli));
        let basis = new.basis.as_deref().unwrap_or_default();
        audit(conn, old, &format!("register {}, {was} made anew as {is}, as the read of {after} was put right: {basis}", row.code))?;
    }
    Ok(())
}

/// What a register's estimates come to now, in date order, each with its agreement; or why nobody can say.
fn estimated_anew(
    context: &Context,
    conn: &mut DbConnection,
    row: &RegisterRow,
    old: &[ReadRow],
) -> Result<Result<Vec<(AgreementId, ReadRow)>, String>, ActionError> {
    let services: Vec<_> = metering::register_services(conn, &[row.meter_id])?.into_iter().filter(|service| service.register_id == row.id).collect();
    let mut agreements: Vec<AgreementId> = services.iter().map(|service| service.agreement_id).collect();
    agreements.dedup();
    let measuring = metering::registers_measuring(conn, &agreements)?;
    let mut registers: Vec<RegisterId> = measuring.iter().map(|row| row.register_id).collect();
    registers.sort_unstable();
    registers.dedup();
    let mut reads: HashMap<RegisterId, Vec<ReadRow>> = HashMap::new();
    for read in metering::reads_of(conn, &registers)?.into_iter().filter(|read| !old.iter().any(|old| old.id == read.id)) {
        reads.entry(read.register_id).or_default().push(read);
    }
    let mut anew = Vec::with_capacity(old.len());
    for read in old {
        let agreement = metering::service_on(services.iter(), read.read_on).map(|service| service.agreement_id);
        let rows: Vec<MeasuringRegister> = measuring.iter().filter(|row| Some(row.agreement_id) == agreement).cloned().collect();
        let in_place =
            |own: &&MeasuringRegister| own.installed_on.is_none_or(|day| day <= read.read_on) && own.removed_on.is_none_or(|day| read.read_on <= day);
        let Some(own) = rows.iter().filter(|own| own.register_id == row.id).find(in_place) else {
            return Ok(Err("its meter measures no service".to_owned()));
        };
        // How many there may be in a row was asked when each was made; and one that was set aside for a wrong read may be right again.
        let limits = Limits { max_estimates: u32::MAX, ..context.config.limits.of(&own.rate_class) };
        let service = Service { rows: &rows, agreement: own, reads: &reads, rejected: &HashSet::new(), limits: &limits };
        let new = match service.estimate(own, read.read_on) {
            Ok(new) => new,
            Err(reason) => return Ok(Err(reason)),
        };
        anew.push((own.agreement_id, new.clone()));
        let of_register = reads.entry(row.id).or_default();
        of_register.insert(of_register.partition_point(|other| other.read_on < new.read_on), new);
    }
    Ok(Ok(anew))
}

/// One agreement with every register that measures it or once did.
struct Service<'a> {
    rows: &'a [MeasuringRegister],
    agreement: &'a MeasuringRegister,
    reads: &'a HashMap<RegisterId, Vec<ReadRow>>,
    rejected: &'a HashSet<RejectedRead>,
    limits: &'a Limits,
}

impl Service<'_> {
    fn judge(&self, on: NaiveDate) -> Finding {
        let (start, end, billed) = (self.agreement.start_on, self.agreement.end_on, self.agreement.billed_through);
        let billed_to = |day: NaiveDate| billed.is_some_and(|billed| billed >= day);
        if let Some(end) = end.filter(|end| *end <= on) {
            return match end {
                end if billed_to(end) => Finding::NotDue,
                end if self.read_on(end) => Finding::Read,
                end => Finding::Missing(end, "it ended on that day, and the final read is not estimated".to_owned()),
            };
        }
        if billed_to(on) {
            return Finding::NotDue;
        }
        if let Some(start) = start.filter(|start| billed.is_none() && !self.read_on(*start)) {
            return Finding::Missing(start, "it began on that day, and the first read is not estimated".to_owned());
        }
        let in_place: Vec<&MeasuringRegister> =
            self.rows.iter().filter(|row| row.installed_on.is_none_or(|day| day <= on) && row.removed_on.is_none_or(|day| on < day)).collect();
        if in_place.is_empty() {
            return Finding::Missing(on, "no meter is in place on that day".to_owned());
        }
        let window = i64::from(self.limits.estimate_window_days);
        let near = |row: &MeasuringRegister| self.ending(row).map(|read| read.read_on).filter(|day| (*day - on).num_days().abs() <= window).max();
        let unread: Vec<&&MeasuringRegister> = in_place.iter().filter(|row| near(row).is_none()).collect();
        if unread.is_empty() {
            return Finding::Read;
        }
        // A meter's registers are read together: what is missing is estimated for the day on which its others were read.
        let day = in_place.iter().filter_map(|row| near(row)).max().unwrap_or(on);
        let mut rows = Vec::with_capacity(unread.len());
        for row in unread {
            match self.estimate(row, day) {
                Ok(read) => rows.push(read),
                Err(reason) => return Finding::Missing(day, reason),
            }
        }
        Finding::Estimated(rows)
    }

    /// The reads of a register while it measured this agreement, in date order.
    fn reads_of(&self, row: &MeasuringRegister) -> impl Iterator<Item = &ReadRow> + Clone + use<'_> {
        let from = row.installed_on.max(self.agreement.start_on);
        let (removed, end) = (row.removed_on, self.agreement.end_on);
        let reads = self.reads.get(&row.register_id).map(Vec::as_slice).unwrap_or_default();
        let within = move |read: &&ReadRow| {
            from.is_none_or(|from| read.read_on >= from) && [removed, end].into_iter().flatten().all(|last| read.read_on <= last)
        };
        reads.iter().filter(within)
    }

    /// Those that can end a billing period.
    fn ending(&self, row: &MeasuringRegister) -> impl Iterator<Item = &ReadRow> + Clone + use<'_> {
        self.reads_of(row).filter(|read| read.kind.parse::<ReadKind>().is_ok_and(ReadKind::ends_period))
    }

    fn read_on(&self, day: NaiveDate) -> bool {
        self.rows.iter().any(|row| self.reads_of(row).any(|read| read.read_on == day))
    }

    fn estimate(&self, row: &MeasuringRegister, on: NaiveDate) -> Result<ReadRow, String> {
        let reads: Vec<&ReadRow> = self.reads_of(row).filter(|read| read.status == "accepted").collect();
        if reads.iter().any(|read| read.read_on == on) {
            return Err("its meter was exchanged on that day".to_owned());
        }
        let real = real_readings(&reads);
        let last = real.iter().rev().find(|reading| reading.on < on).ok_or("nobody ever read it while this customer had it")?;
        let since: Vec<&&ReadRow> = reads.iter().filter(|read| read.read_on > last.on && is_estimated(read)).collect();
        let before = since.iter().filter(|read| read.read_on < on);
        let in_row = before.clone().count();
        if in_row >= usize::try_from(self.limits.max_estimates).unwrap_or(usize::MAX) {
            return Err(format!("its last {in_row} reads were estimates already, since the read of {}", last.on));
        }
        let register = register(row);
        let counted = |milli: i64| register.counted_milli(last.milli, milli).0;
        // An estimate that came out below the last real reading is none to go by.
        let sane = |counted: &i64| *counted <= register.capacity_milli() / 2;
        let least = before.map(|read| counted(read.reading_milli)).filter(sane).max().unwrap_or(0);
        let next = real.iter().find(|reading| reading.on > on);
        let later = since.iter().filter(|read| read.read_on > on).map(|read| counted(read.reading_milli));
        let most = later.chain(next.map(|next| counted(next.milli))).filter(sane).min();
        let used = match next {
            Some(next) => use_between(&register, *last, *next, on),
            None => estimated_use(&self.history(row, last.on), last.on, on),
        };
        let used = used.ok_or("there is no period between two real reads to go by")?;
        let reading_milli = estimated_reading(&register, last.milli, used.usage_milli, least, most)
            .ok_or("what it would have counted is more than half of what its register can show")?;
        let basis = format!("from the read of {} on by {}", last.on, used.basis);
        let kind = ReadKind::Estimated.as_str().to_owned();
        if self.rejected.contains(&(row.register_id, on, reading_milli, kind.clone())) {
            return Err(format!("the same estimate, {}, was set aside before", from_milli(reading_milli)));
        }
        Ok(ReadRow {
            id: ReadId(0),
            register_id: row.register_id,
            read_on: on,
            reading_milli,
            kind,
            status: "accepted".to_owned(),
            basis: Some(basis),
        })
    }

    /// What this customer used until a day, by the real reads of this register and of those whose place it took.
    fn history(&self, row: &MeasuringRegister, until: NaiveDate) -> Vec<UseSpan> {
        let mut spans = Vec::new();
        for other in self.rows.iter().filter(|other| other.code == row.code && other.unit == row.unit) {
            let reads: Vec<&ReadRow> = self.reads_of(other).filter(|read| read.status == "accepted" && read.read_on <= until).collect();
            spans.extend(use_spans(&register(other), &real_readings(&reads)));
        }
        spans.sort_by_key(|span| span.from_on);
        spans
    }
}

fn is_estimated(read: &ReadRow) -> bool {
    read.kind == ReadKind::Estimated.as_str()
}

fn real_readings(reads: &[&ReadRow]) -> Vec<Reading> {
    reads.iter().filter(|read| !is_estimated(read)).map(|read| Reading { on: read.read_on, milli: read.reading_milli }).collect()
}

fn register(row: &MeasuringRegister) -> Register {
    Register { id: row.register_id, digits: u32::try_from(row.digits).unwrap_or(0), multiplier_milli: row.multiplier_milli, unit: row.unit.clone() }
}
