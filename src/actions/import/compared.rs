//! A doubtful read beside what it is held against, for a clerk to see.

use std::collections::HashMap;

use chrono::NaiveDate;
use serde::Serialize;

use super::read_check::Bench;
use crate::actions::ActionError;
use crate::db::DbConnection;
use crate::db::metering::{self, ReadRow};
use crate::db::operations::RankedToDo;
use crate::domain::ids::RegisterId;
use crate::domain::limits::{Reading, Use, recent_use, season_use};
use crate::domain::metering::Register;

/// A read that a work item is about. Usage is in the register's unit, in thousandths; the yardsticks say what they would
/// have been over the same days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ToDoRead {
    /// The day.
    pub read_on: NaiveDate,
    /// What the register showed, in thousandths.
    pub reading_milli: i64,
    /// How the read came to be.
    pub kind: String,
    /// The day of the real read before it.
    pub before_on: Option<NaiveDate>,
    /// What that showed, in thousandths.
    pub before_milli: Option<i64>,
    /// Days between the two.
    pub days: Option<i64>,
    /// What was used between them.
    pub usage_milli: Option<i64>,
    /// What the service's own average over its last periods would be.
    pub own_average_milli: Option<i64>,
    /// What the same season last year would be.
    pub last_year_milli: Option<i64>,
}

/// The reads that work items are about, in the items' order.
pub(in crate::actions) fn to_do_reads(conn: &mut DbConnection, rows: &[RankedToDo]) -> Result<Vec<Option<ToDoRead>>, ActionError> {
    let mut registers: Vec<RegisterId> = rows.iter().filter_map(|row| row.register_id).map(RegisterId).collect();
    registers.sort_unstable();
    registers.dedup();
    let mut reads: HashMap<RegisterId, Vec<ReadRow>> = HashMap::new();
    for read in metering::reads_of(conn, &registers)? {
        reads.entry(read.register_id).or_default().push(read);
    }
    Ok(rows.iter().map(|row| to_do_read(row, &reads)).collect())
}

fn to_do_read(row: &RankedToDo, reads: &HashMap<RegisterId, Vec<ReadRow>>) -> Option<ToDoRead> {
    let (id, read_on) = (RegisterId(row.register_id?), row.read_on?);
    let register = Register { id, digits: u32::try_from(row.digits?).ok()?, multiplier_milli: row.multiplier_milli?, unit: None };
    let reads = reads.get(&id)?;
    let at = reads.iter().position(|read| read.read_on == read_on)?;
    let read = reads.get(at)?;
    let earlier = reads.get(..at)?;
    let before = earlier.iter().rev().find(|read| read.kind != "estimated").map(|read| Reading { on: read.read_on, milli: read.reading_milli });
    let mut view = ToDoRead {
        read_on,
        reading_milli: read.reading_milli,
        kind: read.kind.clone(),
        before_on: before.map(|before| before.on),
        before_milli: before.map(|before| before.milli),
        days: None,
        usage_milli: None,
        own_average_milli: None,
        last_year_milli: None,
    };
    let Some(before) = before else { return Some(view) };
    let days = (read_on - before.on).num_days();
    view.days = Some(days);
    view.usage_milli = Some(used_milli(&register, register.counted_milli(before.milli, read.reading_milli).0));
    let limits = crate::domain::limits::Limits::default();
    let bench = Bench { register: &register, limits: &limits, billed: &[], household_since: row.start_on, corrects: false };
    let readings = bench.real_readings(earlier);
    let over_these_days = |yardstick: Use| {
        let counted = i128::from(yardstick.counted_milli) * i128::from(days) / i128::from(yardstick.days.max(1));
        used_milli(&register, i64::try_from(counted).unwrap_or(i64::MAX))
    };
    view.own_average_milli = Some(recent_use(&register, &readings)).filter(|own| own.days > 0).map(over_these_days);
    view.last_year_milli = season_use(&register, &readings, before.on, read_on).map(over_these_days);
    Some(view)
}

/// Counts as a usage.
fn used_milli(register: &Register, counted_milli: i64) -> i64 {
    let usage = i128::from(counted_milli) * i128::from(register.multiplier_milli) / 1000;
    i64::try_from(usage).unwrap_or(i64::MAX)
}
