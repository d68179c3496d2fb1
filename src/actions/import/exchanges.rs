//! Importing meter exchanges: the old meter's last reading and the new meter's first, on one day.

use std::path::Path;

use chrono::NaiveDate;

use super::at_stake::cost;
use super::read_check::{self, Bench, Candidate, Taken, Verdict};
use super::take::{register_of, set_aside};
use super::{ImportOptions, ImportReport, parse_code, parse_date};
use crate::actions::tariffs::read_book;
use crate::actions::{ActionError, Context};
use crate::db::metering::{InstallationRow, MeterRow, NewMeters, ReadRow, RegisterRow};
use crate::db::operations::NewToDo;
use crate::db::{DbConnection, customers, metering, operations};
use crate::domain::ids::{AgreementId, InstallationId, MeterId, ReadId, RegisterId, ServicePointId};
use crate::domain::limits::Reading;
use crate::domain::metering::ReadKind;
use crate::domain::quantity::{from_milli, parse_milli};
use crate::formats::table::{Columns, Row, Table, check_form};

/// The columns of a file of exchanges.
pub const COLUMNS: Columns = Columns {
    required: &["service_id", "exchanged_on", "old_meter_id", "final_reading", "new_meter_id", "initial_reading", "register_digits"],
    optional: &["multiplier"],
};

/// One meter is taken out and another put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The service.
    pub service: String,
    /// The day.
    pub on: NaiveDate,
    /// The number of the meter that is taken out.
    pub old_serial: String,
    /// What it showed at last, in thousandths.
    pub final_milli: i64,
    /// The number of the meter that is put in.
    pub new_serial: String,
    /// What it showed at first, in thousandths.
    pub initial_milli: i64,
    /// Its digits before the point.
    pub digits: i32,
    /// What a unit of it counts for, in thousandths.
    pub multiplier_milli: i64,
}

/// What became of an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExchangeOutcome {
    /// The meters are exchanged.
    Accepted {
        /// Why the old meter's last reading waits for a clerk, when it does.
        held: Option<String>,
    },
    /// They were already.
    Unchanged,
    /// It is refused, with the reason.
    Refused(String),
}

use ExchangeOutcome as Outcome;

/// Imports a file of meter exchanges, each in a transaction of its own.
///
/// # Errors
/// [`ActionError::Form`] when the file as a whole cannot be used, or those of the database.
pub fn import_exchanges(context: &Context, path: &Path, options: ImportOptions<'_>) -> Result<ImportReport, ActionError> {
    check_form(path, COLUMNS)?;
    let mut table = Table::open(path, COLUMNS)?;
    let mut report = ImportReport::begin(path, options.dry_run)?;
    let mut done = 0_u64;
    while let Some(row) = table.next_row()? {
        done += 1;
        let outcome = match parse(&table, &row) {
            Ok(exchange) => take_exchange(context, &exchange, options.dry_run)?,
            Err(reason) => Outcome::Refused(reason),
        };
        match outcome {
            Outcome::Accepted { held } => {
                report.accepted += 1;
                report.held += u64::from(held.is_some());
            }
            Outcome::Unchanged => report.unchanged += 1,
            Outcome::Refused(reason) => report.refuse(row, reason),
        }
        (options.progress)(done);
    }
    report.finish(context, path, &table.header().clone())
}

fn parse(table: &Table, row: &Row) -> Result<Exchange, String> {
    let field = |name| table.field(row, name);
    let on = parse_date("exchanged_on", field("exchanged_on"))?;
    let milli = |name: &str| parse_milli(table.field(row, name)).map_err(|error| format!("{name}: {error}"));
    let digits = field("register_digits");
    let digits: i32 = digits
        .parse()
        .ok()
        .filter(|digits| (1..=12).contains(digits))
        .ok_or_else(|| format!("register_digits: '{digits}' is not a number of digits: expected 1 to 12"))?;
    Ok(Exchange {
        service: parse_code("service_id", field("service_id"))?,
        on,
        old_serial: parse_code("old_meter_id", field("old_meter_id"))?,
        final_milli: milli("final_reading")?,
        new_serial: parse_code("new_meter_id", field("new_meter_id"))?,
        initial_milli: milli("initial_reading")?,
        digits,
        multiplier_milli: match field("multiplier") {
            "" => 1000,
            text => parse_milli(text).ok().filter(|milli| *milli > 0).ok_or_else(|| format!("multiplier: '{text}' is not a number above 0"))?,
        },
    })
}

/// What no meter can be, whatever the database knows.
fn impossible(exchange: &Exchange, today: NaiveDate) -> Result<(), String> {
    if exchange.on > today {
        return Err(format!("exchanged_on: {} is in the future: expected a day up to today, {today}", exchange.on));
    }
    for (field, code) in [("service_id", &exchange.service), ("old_meter_id", &exchange.old_serial), ("new_meter_id", &exchange.new_serial)] {
        parse_code(field, code)?;
    }
    for (field, milli) in [("final_reading", exchange.final_milli), ("initial_reading", exchange.initial_milli)] {
        if milli < 0 {
            return Err(format!("{field}: it is below zero: expected what the register shows"));
        }
    }
    if !(1..=12).contains(&exchange.digits) {
        return Err(format!("register_digits: '{}' is not a number of digits: expected 1 to 12", exchange.digits));
    }
    if exchange.multiplier_milli <= 0 {
        return Err(format!("multiplier: '{}' is not a number above 0", from_milli(exchange.multiplier_milli)));
    }
    Ok(())
}

/// The one judgement of an exchange and the one way of storing it, for files and for one that somebody enters.
///
/// # Errors
/// Those of the database; what is refused is an outcome.
pub(in crate::actions) fn take_exchange(context: &Context, exchange: &Exchange, dry_run: bool) -> Result<Outcome, ActionError> {
    if let Err(reason) = impossible(exchange, context.today()) {
        return Ok(Outcome::Refused(reason));
    }
    if dry_run {
        return context.database.read(|conn| Ok(judge(context, conn, exchange, false)?.0));
    }
    context.database.write(|conn| {
        let (outcome, place) = judge(context, conn, exchange, true)?;
        if let Some(place) = place {
            write(context, conn, exchange, &place)?;
        }
        Ok(outcome)
    })
}

/// Where an accepted exchange happens.
struct Place {
    point: ServicePointId,
    /// The installation that ends; none when only a rejected last reading is put right.
    old: Option<InstallationRow>,
    old_register: RegisterRow,
    taken: Taken,
}

fn judge(context: &Context, conn: &mut DbConnection, exchange: &Exchange, lock: bool) -> Result<(Outcome, Option<Place>), ActionError> {
    let refused = |reason: String| Ok((Outcome::Refused(reason), None));
    let Some((point, _)) = customers::service_points_by_code(conn, &[&exchange.service])?.into_iter().next() else {
        return refused(format!("service_id: there is no service '{}'", exchange.service));
    };
    let registers = metering::registers_by_serial(conn, &[&exchange.old_serial])?;
    let [(old_register, _)] = registers.as_slice() else {
        return refused(format!("old_meter_id: there is no meter '{}' with one register", exchange.old_serial));
    };
    if lock {
        metering::lock_registers(conn, &[old_register.id])?;
    }
    let history = metering::installations_of(conn, &[old_register.meter_id])?;
    let Some(old) = history.into_iter().find(|row| row.service_point_id == point.id) else {
        return refused(format!("old_meter_id: meter '{}' is not installed at service '{}'", exchange.old_serial, exchange.service));
    };
    let successor = metering::open_installations_at(conn, &[point.id])?.into_iter().next();
    let new_meter = metering::meters_by_serial(conn, &[&exchange.new_serial])?.into_iter().next();
    if let Some(removed) = old.removed_on {
        let successor = successor.filter(|row| new_meter.is_some_and(|meter| row.meter_id == meter.id) && removed == exchange.on);
        return match successor {
            Some(successor) => again(context, conn, exchange, old_register, &successor),
            None => refused(format!("old_meter_id: meter '{}' was taken out on {removed}", exchange.old_serial)),
        };
    }
    if let Some(installed) = old.installed_on.filter(|installed| *installed > exchange.on) {
        return refused(format!("exchanged_on: meter '{}' was put in on {installed}, after the exchange", exchange.old_serial));
    }
    if new_meter.is_some() {
        return refused(format!("new_meter_id: meter '{}' is known already: a new meter has a number of its own", exchange.new_serial));
    }
    if exchange.initial_milli >= 10_i64.saturating_pow(u32::try_from(exchange.digits).unwrap_or(0)).saturating_mul(1000) {
        return refused("initial_reading: it has more digits than register_digits says".to_owned());
    }
    let taken = match check_removal(context, conn, exchange, old_register)? {
        Ok(taken) => taken,
        Err(reason) => return refused(reason),
    };
    let held = taken.hold.clone();
    Ok((Outcome::Accepted { held }, Some(Place { point: point.id, old: Some(old), old_register: old_register.clone(), taken })))
}

/// An exchange that was imported before: unchanged when its figures are the same; a last reading that a clerk
/// rejected is put right; anything else is refused with both figures.
fn again(
    context: &Context,
    conn: &mut DbConnection,
    exchange: &Exchange,
    old_register: &RegisterRow,
    successor: &InstallationRow,
) -> Result<(Outcome, Option<Place>), ActionError> {
    let refused = |field: &str, stored: String, now: i64| {
        let now = from_milli(now);
        let reason = format!("{field}: this exchange is there already with {stored}, not {now}: correct the read itself, an exchange happens once");
        Ok((Outcome::Refused(reason), None))
    };
    let new_register = metering::registers_by_serial(conn, &[&exchange.new_serial])?.into_iter().map(|(register, _)| register).next();
    let Some(new_register) = new_register else { return refused("new_meter_id", "no register".to_owned(), exchange.initial_milli) };
    if new_register.digits != exchange.digits || new_register.multiplier_milli != exchange.multiplier_milli {
        let stored = format!("{} digits and multiplier {}", new_register.digits, from_milli(new_register.multiplier_milli));
        return refused("register_digits", stored, i64::from(exchange.digits) * 1000);
    }
    let reads = metering::reads_of(conn, &[old_register.id, new_register.id])?;
    let at = |register: RegisterId| reads.iter().find(|read| read.register_id == register && read.read_on == exchange.on);
    if let Some(first) = at(new_register.id).filter(|first| first.reading_milli != exchange.initial_milli) {
        return refused("initial_reading", from_milli(first.reading_milli).to_string(), exchange.initial_milli);
    }
    match at(old_register.id) {
        Some(last) if last.reading_milli == exchange.final_milli => Ok((Outcome::Unchanged, None)),
        Some(last) => refused("final_reading", from_milli(last.reading_milli).to_string(), exchange.final_milli),
        None => match check_removal(context, conn, exchange, old_register)? {
            Ok(taken) => {
                let held = taken.hold.clone();
                let place = Place { point: successor.service_point_id, old: None, old_register: old_register.clone(), taken };
                Ok((Outcome::Accepted { held }, Some(place)))
            }
            Err(reason) => Ok((Outcome::Refused(reason), None)),
        },
    }
}

/// The old meter's last reading is judged like any read; nothing but estimates may have come since.
fn check_removal(
    context: &Context,
    conn: &mut DbConnection,
    exchange: &Exchange,
    register: &RegisterRow,
) -> Result<Result<Taken, String>, ActionError> {
    let reads = metering::reads_of(conn, &[register.id])?;
    let real = |read: &&ReadRow| read.kind != ReadKind::Estimated.as_str();
    if let Some(later) = reads.iter().filter(real).find(|read| read.read_on >= exchange.on) {
        return Ok(Err(format!("exchanged_on: meter '{}' was read on {}, not before the exchange", exchange.old_serial, later.read_on)));
    }
    let services = metering::register_services(conn, &[register.meter_id])?;
    let service = metering::service_on(services.iter().filter(|service| service.register_id == register.id), exchange.on);
    let limits = context.config.limits.of(service.map_or("", |service| service.rate_class.as_str()));
    let billed: Vec<_> = metering::billed_spans(conn, &[register.meter_id])?.into_iter().filter(|span| span.register_id == register.id).collect();
    let household_since = service.and_then(|service| service.start_on);
    let bench = Bench { register: &register_of(register), limits: &limits, billed: &billed, household_since, corrects: false };
    let candidate = Candidate { on: exchange.on, milli: exchange.final_milli, kind: ReadKind::Removal };
    Ok(match read_check::check(bench, &reads, candidate) {
        Verdict::Accepted(taken) => Ok(taken),
        Verdict::Refused(reason) => Err(in_our_words(&reason)),
        Verdict::Unchanged => Ok(Taken { hold: None, since: None, overtakes: Vec::new() }),
    })
}

/// A read's reason names the columns of a file of reads: here they have other names.
fn in_our_words(reason: &str) -> String {
    match reason.split_once(": ") {
        Some(("read_on", rest)) => format!("exchanged_on: {rest}"),
        Some(("reading", rest)) => format!("final_reading: {rest}"),
        _ => reason.to_owned(),
    }
}

fn write(context: &Context, conn: &mut DbConnection, exchange: &Exchange, place: &Place) -> Result<(), ActionError> {
    let Some(old) = &place.old else { return put_right(context, conn, exchange, place) };
    let mut id = |table| customers::reserve(&mut *conn, table, 1).map(|mut ids| ids.next().unwrap_or_default());
    let (meter, register, installation) = (MeterId(id("meter")?), RegisterId(id("register")?), InstallationId(id("installation")?));
    let reads = customers::reserve(conn, "meter_read", 2)?.map(ReadId).collect::<Vec<_>>();
    let [removal, first] = reads.as_slice() else { return Err(ActionError::Refused("no ids could be reserved".to_owned())) };
    metering::remove_meter(conn, old.id, exchange.on)?;
    let new = NewMeters {
        meters: vec![MeterRow { id: meter, serial: exchange.new_serial.clone() }],
        registers: vec![RegisterRow {
            id: register,
            meter_id: meter,
            code: place.old_register.code.clone(),
            digits: exchange.digits,
            multiplier_milli: exchange.multiplier_milli,
            unit: place.old_register.unit.clone(),
        }],
        installations: vec![InstallationRow {
            id: installation,
            meter_id: meter,
            service_point_id: place.point,
            installed_on: Some(exchange.on),
            removed_on: None,
        }],
    };
    metering::insert_meters(conn, &new)?;
    set_aside(context, conn, &place.taken.overtakes)?;
    let rows = [
        read_row(*removal, place.old_register.id, exchange, ReadKind::Removal, place.taken.hold.is_some()),
        read_row(*first, register, exchange, ReadKind::Installation, false),
    ];
    metering::insert_reads(conn, &rows)?;
    let now = context.now();
    raise_hold(context, conn, exchange, place, *removal)?;
    let detail = format!("{} -> {}", exchange.old_serial, exchange.new_serial);
    operations::audit(conn, now, &context.actor, "meter.exchange", &exchange.service, &detail)?;
    Ok(())
}

/// What hangs on the old meter's last reading, in cents.
fn at_stake(conn: &mut DbConnection, exchange: &Exchange, place: &Place, agreement: Option<AgreementId>) -> Result<Option<i64>, ActionError> {
    let (Some(since), Some(agreement)) = (place.taken.since, agreement) else { return Ok(None) };
    let Some(terms) = metering::priced_terms(conn, &[agreement])?.into_iter().next() else { return Ok(None) };
    let last = Reading { on: exchange.on, milli: exchange.final_milli };
    Ok(cost(&read_book(conn)?, &terms, &register_of(&place.old_register), since, last))
}

/// A doubtful last reading waits for a clerk.
fn raise_hold(context: &Context, conn: &mut DbConnection, exchange: &Exchange, place: &Place, removal: ReadId) -> Result<(), ActionError> {
    let Some(reason) = &place.taken.hold else { return Ok(()) };
    let services = metering::register_services(conn, &[place.old_register.meter_id])?;
    let agreement = metering::service_on(services.iter(), exchange.on).map(|service| service.agreement_id);
    let amount_cents = at_stake(conn, exchange, place, agreement)?;
    let todo = NewToDo {
        kind: "read_limit".to_owned(),
        status: "open".to_owned(),
        agreement_id: agreement,
        meter_read_id: Some(removal),
        period_start_on: None,
        period_end_on: Some(exchange.on),
        amount_cents,
        reason: format!("meter {}: the last read of {}: {reason}", exchange.old_serial, exchange.on),
        raised_at: context.now(),
        account_id: None,
    };
    operations::raise_new(conn, &[todo])?;
    Ok(())
}

fn read_row(id: ReadId, register_id: RegisterId, exchange: &Exchange, kind: ReadKind, held: bool) -> ReadRow {
    let reading_milli = if kind == ReadKind::Removal { exchange.final_milli } else { exchange.initial_milli };
    let status = if held { "held" } else { "accepted" };
    ReadRow { id, register_id, read_on: exchange.on, reading_milli, kind: kind.as_str().to_owned(), status: status.to_owned(), basis: None }
}

/// The last reading that a clerk rejected gets its successor.
fn put_right(context: &Context, conn: &mut DbConnection, exchange: &Exchange, place: &Place) -> Result<(), ActionError> {
    let id = ReadId(customers::reserve(conn, "meter_read", 1)?.next().unwrap_or_default());
    set_aside(context, conn, &place.taken.overtakes)?;
    metering::insert_reads(conn, &[read_row(id, place.old_register.id, exchange, ReadKind::Removal, place.taken.hold.is_some())])?;
    raise_hold(context, conn, exchange, place, id)?;
    let detail = format!("last reading of {} put right", exchange.old_serial);
    operations::audit(conn, context.now(), &context.actor, "meter.exchange", &exchange.service, &detail)?;
    Ok(())
}
