//! What becomes of one new read: pure judgement over the reads around it.

use chrono::NaiveDate;

use crate::db::metering::ReadRow;
use crate::domain::limits::{Limits, RecentUse, implausible_read};
use crate::domain::metering::{ReadKind, Register};
use crate::domain::quantity::from_milli;

/// What becomes of a read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is there already.
    Unchanged,
    /// It is refused.
    Refused(String),
    /// It is taken in, at this place among the register's reads; `hold` is why it waits for a clerk.
    Accepted {
        /// The place.
        at: usize,
        /// Why it waits.
        hold: Option<String>,
    },
}

/// Checks a read against the register's reads (in date order).
pub(super) fn check(
    register: &Register,
    reads: &[ReadRow],
    billed_through: Option<NaiveDate>,
    limits: &Limits,
    read_on: NaiveDate,
    reading_milli: i64,
    kind: ReadKind,
) -> Verdict {
    if reading_milli >= register.capacity_milli() {
        let reading = from_milli(reading_milli);
        return Verdict::Refused(format!("reading: {reading} has more digits than the register, which shows {}", register.digits));
    }
    let at = reads.partition_point(|read| read.read_on < read_on);
    if let Some(same) = reads.get(at).filter(|read| read.read_on == read_on) {
        return same_day(same, reading_milli, kind);
    }
    if let Some(billed) = billed_through.filter(|billed| read_on <= *billed) {
        return Verdict::Refused(format!(
            "read_on: the service is billed through {billed}; a read of {read_on} would change a bill that was issued: take that bill back first"
        ));
    }
    let (before, after) = (at.checked_sub(1).and_then(|index| reads.get(index)), reads.get(at));
    let hold = before.and_then(|before| against_before(register, reads.get(..at).unwrap_or_default(), before, limits, read_on, reading_milli));
    let earlier = reads.get(..at).unwrap_or_default();
    let hold = hold.or_else(|| after.and_then(|after| against_after(register, earlier, after, limits, read_on, reading_milli)));
    Verdict::Accepted { at, hold }
}

fn same_day(same: &ReadRow, reading_milli: i64, kind: ReadKind) -> Verdict {
    if same.reading_milli == reading_milli && same.kind == kind.as_str() {
        return Verdict::Unchanged;
    }
    Verdict::Refused(format!(
        "reading: there is a read of {} on that day already, {} ({}): a second one is not taken; set the first aside with `aquabills held reject-read` to replace it",
        same.read_on,
        from_milli(same.reading_milli),
        same.kind
    ))
}

fn against_before(
    register: &Register,
    earlier: &[ReadRow],
    before: &ReadRow,
    limits: &Limits,
    read_on: NaiveDate,
    reading_milli: i64,
) -> Option<String> {
    let (counted, rolled_over) = register.counted_milli(before.reading_milli, reading_milli);
    let days = (read_on - before.read_on).num_days();
    implausible_read(limits, register, counted, days, rolled_over, recent_use(register, earlier))
}

/// A read that makes its successor implausible is doubtful itself: it shows only in what its successor counts.
fn against_after(
    register: &Register,
    earlier: &[ReadRow],
    after: &ReadRow,
    limits: &Limits,
    read_on: NaiveDate,
    reading_milli: i64,
) -> Option<String> {
    let (counted, rolled_over) = register.counted_milli(reading_milli, after.reading_milli);
    let days = (after.read_on - read_on).num_days();
    let reason = implausible_read(limits, register, counted, days, rolled_over, recent_use(register, earlier))?;
    Some(format!("with it the read after it, {} on {}, is implausible: {reason}", from_milli(after.reading_milli), after.read_on))
}

/// What the service used over its last periods, up to six of them.
fn recent_use(register: &Register, reads: &[ReadRow]) -> RecentUse {
    let accepted: Vec<&ReadRow> = reads.iter().rev().filter(|read| read.status == "accepted").take(7).collect();
    let mut recent = RecentUse::default();
    for (later, earlier) in accepted.iter().zip(accepted.iter().skip(1)) {
        recent.periods += 1;
        recent.days += (later.read_on - earlier.read_on).num_days();
        recent.counted_milli += register.counted_milli(earlier.reading_milli, later.reading_milli).0;
    }
    recent
}
