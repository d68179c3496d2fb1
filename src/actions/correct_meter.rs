//! What was recorded of a meter and is wrong: its multiplier, digits or unit, or at which service it is.
//!
//! Bills keep what they were made from, so none is changed by this. The accounts that the meter measures are looked at again, and what
//! they were charged too much or too little is found.

use chrono::NaiveDate;
use serde::Serialize;

use super::{ActionError, Context};
use crate::db::metering::{InstallationRow, RegisterRow};
use crate::db::{DbConnection, customers, metering, operations, overcharges};
use crate::domain::ids::{InstallationId, MeterId, RegisterId};
use crate::domain::metering::ReadKind;
use crate::domain::quantity::from_milli;
use crate::domain::rates::Unit;

/// What a register really is; what is not named stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegisterChange {
    /// The meter's number.
    pub meter: String,
    /// Which of its registers.
    pub register: String,
    /// What one count stands for, in thousandths.
    pub multiplier_milli: Option<i64>,
    /// Its digits before the point.
    pub digits: Option<i32>,
    /// Its unit; an empty one is the tariff's.
    pub unit: Option<String>,
    /// Why, in words.
    pub note: String,
}

/// What a register is after a correction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Corrected {
    /// What one count stands for, in thousandths.
    pub multiplier_milli: i64,
    /// Its digits before the point.
    pub digits: i32,
    /// Its unit; none is the tariff's.
    pub unit: Option<String>,
    /// Whether it was so already.
    pub unchanged: bool,
}

/// Corrects what is recorded of a register, since it was put in.
///
/// # Errors
/// [`ActionError::NotFound`] for an unknown meter, [`ActionError::Refused`] when the note is empty, or the register cannot be so.
pub fn correct_register(context: &Context, change: &RegisterChange) -> Result<Corrected, ActionError> {
    wants_note(&change.note)?;
    context.database.write(|conn| {
        let found = metering::registers_by_serial(conn, &[&change.meter])?.into_iter().map(|(row, _)| row);
        let before = found.into_iter().find(|row| row.code == change.register).ok_or_else(|| ActionError::not_found("meter", &change.meter))?;
        metering::lock_registers(conn, &[before.id])?;
        let after = RegisterRow {
            multiplier_milli: change.multiplier_milli.unwrap_or(before.multiplier_milli),
            digits: change.digits.unwrap_or(before.digits),
            unit: change.unit.as_ref().map_or_else(|| before.unit.clone(), |unit| Some(unit.clone()).filter(|unit| !unit.is_empty())),
            ..before.clone()
        };
        let unchanged = after == before;
        if !unchanged {
            possible(conn, &after)?;
            metering::correct_register(conn, &after)?;
            let detail = format!("register {}: {} instead of {}: {}", after.code, told(&after), told(&before), change.note.trim());
            let now = context.now();
            operations::audit(conn, now, &context.actor, "meter.correct", &change.meter, &detail)?;
            overcharges::queue_meters(conn, &[after.meter_id], &format!("meter {} put right", change.meter), now)?;
        }
        Ok(Corrected { multiplier_milli: after.multiplier_milli, digits: after.digits, unit: after.unit, unchanged })
    })
}

fn told(row: &RegisterRow) -> String {
    let unit = row.unit.as_deref().unwrap_or("the tariff's unit");
    format!("multiplier {}, {} digits, {unit}", from_milli(row.multiplier_milli), row.digits)
}

fn possible(conn: &mut DbConnection, row: &RegisterRow) -> Result<(), ActionError> {
    let refused = |text: String| Err(ActionError::Refused(text));
    if row.multiplier_milli <= 0 {
        return refused(format!("multiplier: {} is not above zero", from_milli(row.multiplier_milli)));
    }
    if !(1..=12).contains(&row.digits) {
        return refused(format!("digits: {} is not possible: expected 1 to 12", row.digits));
    }
    if let Some(unit) = row.unit.as_deref().filter(|unit| !Unit::parse(unit).is_known()) {
        return refused(format!("unit: '{unit}' is not a unit that can be converted"));
    }
    let capacity = super::import::take::register_of(row).capacity_milli();
    let reads = metering::reads_of(conn, &[row.id])?;
    match reads.iter().find(|read| read.reading_milli >= capacity) {
        Some(read) => refused(format!("digits: the reading of {}, {}, has more than {}", read.read_on, from_milli(read.reading_milli), row.digits)),
        None => Ok(()),
    }
}

/// Two meters that were recorded at each other's services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swap {
    /// The one.
    pub meter: String,
    /// The other.
    pub other: String,
    /// Since when; none is since they were put in.
    pub from: Option<NaiveDate>,
    /// Why, in words.
    pub note: String,
}

/// Records two meters at each other's services. From a day on only when both were really read that day: there the one count ends and
/// the other begins.
///
/// # Errors
/// [`ActionError::NotFound`] for an unknown meter, [`ActionError::Refused`] when one is nowhere, both are at one service, or a read of the
/// day is missing.
pub fn swap_meters(context: &Context, swap: &Swap) -> Result<(), ActionError> {
    wants_note(&swap.note)?;
    context.database.write(|conn| {
        customers::lock_terms(conn, true)?;
        let one = place(conn, &swap.meter)?;
        let other = place(conn, &swap.other)?;
        if one.service_point_id == other.service_point_id {
            return Err(ActionError::Refused(format!("other: meters '{}' and '{}' are at one service", swap.meter, swap.other)));
        }
        if swap.from.is_none() && one.installed_on != other.installed_on {
            return Err(ActionError::Refused(
                "from: the two meters were not put in on one day: expected the day since which each is at the other's service".to_owned(),
            ));
        }
        let now = context.now();
        let why = format!("meters {} and {} recorded at each other's services", swap.meter, swap.other);
        // Whoever was billed by either, before and after.
        overcharges::queue_meters(conn, &[one.meter_id, other.meter_id], &why, now)?;
        let since = swap.from;
        let whole = |row: &InstallationRow| since.is_none() || row.installed_on.is_some_and(|installed| Some(installed) >= since);
        for (row, serial) in [(&one, &swap.meter), (&other, &swap.other)] {
            if !whole(row) {
                was_read(conn, row.meter_id, serial, since.unwrap_or_default())?;
            }
            // One meter at a service at a time, also in between.
            metering::remove_meter(conn, row.id, since.filter(|_| !whole(row)).unwrap_or(FAR))?;
        }
        for (row, to) in [(&one, other.service_point_id), (&other, one.service_point_id)] {
            if whole(row) {
                metering::relocate(conn, row.id, to)?;
            } else {
                let id = InstallationId(customers::reserve(conn, "installation", 1)?.next().unwrap_or_default());
                let next = InstallationRow { id, meter_id: row.meter_id, service_point_id: to, installed_on: since, removed_on: None };
                metering::insert_installation(conn, &next)?;
            }
        }
        let since = since.map_or_else(|| "since they were put in".to_owned(), |day| format!("from {day} on"));
        let detail = format!("swapped with {} {since}: {}", swap.other, swap.note.trim());
        operations::audit(conn, now, &context.actor, "meter.swap", &swap.meter, &detail)?;
        Ok(())
    })
}

/// A day that no installation has lasted to.
const FAR: NaiveDate = match NaiveDate::from_ymd_opt(9999, 12, 31) {
    Some(day) => day,
    None => NaiveDate::MAX,
};

fn wants_note(note: &str) -> Result<(), ActionError> {
    if note.trim().is_empty() {
        return Err(ActionError::Refused("note: it is empty: expected why, in words".to_owned()));
    }
    Ok(())
}

/// Where a meter is now.
fn place(conn: &mut DbConnection, serial: &str) -> Result<InstallationRow, ActionError> {
    let meter = metering::meters_by_serial(conn, &[serial])?.into_iter().next().ok_or_else(|| ActionError::not_found("meter", serial))?;
    let now = metering::installations_of(conn, &[meter.id])?.into_iter().find(|row| row.removed_on.is_none());
    now.ok_or_else(|| ActionError::Refused(format!("meter: '{serial}' is at no service now")))
}

/// Every register of a meter wants a real read of the day.
fn was_read(conn: &mut DbConnection, meter: MeterId, serial: &str, on: NaiveDate) -> Result<(), ActionError> {
    let registers: Vec<RegisterId> = metering::registers_of(conn, meter)?.into_iter().map(|row| row.id).collect();
    let reads = metering::reads_of(conn, &registers)?;
    let read = |register: &RegisterId| {
        let real = |kind: &str| kind != ReadKind::Estimated.as_str();
        reads.iter().any(|read| read.register_id == *register && read.read_on == on && real(&read.kind))
    };
    if registers.iter().all(read) {
        return Ok(());
    }
    Err(ActionError::Refused(format!("from: meter '{serial}' has no read of {on}: expected a day on which both meters were read")))
}
