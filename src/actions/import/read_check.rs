//! What becomes of one new read: pure judgement over the reads around it.

use chrono::{Days, NaiveDate};

use crate::db::metering::{BilledSpan, ReadRow};
use crate::domain::ids::ReadId;
use crate::domain::limits::{
    Limits, RECENT_PERIODS, Reading, Use, above_floor, above_own_average, recent_use, reversed, season_use, too_high, too_low,
};
use crate::domain::metering::{ReadKind, Register};
use crate::domain::quantity::from_milli;

/// What a read is judged by.
#[derive(Clone, Copy)]
pub(super) struct Bench<'a> {
    /// The register.
    pub(super) register: &'a Register,
    /// The limits of its service's class.
    pub(super) limits: &'a Limits,
    /// How far whoever it measures, or once measured, is billed.
    pub(super) billed: &'a [BilledSpan],
    /// Since when the household is there: what others used before it is no yardstick for it.
    pub(super) household_since: Option<NaiveDate>,
    /// Whether it may be of a day that is billed: a correction, which finds what is wrong with the bill.
    pub(super) corrects: bool,
}

impl Bench<'_> {
    /// Real readings that nobody doubts: what yardsticks are made of.
    fn is_yardstick(&self, read: &ReadRow) -> bool {
        read.status == "accepted" && !is_estimated(read) && self.household_since.is_none_or(|since| read.read_on >= since)
    }

    /// All of them, in date order.
    pub(super) fn real_readings(&self, reads: &[ReadRow]) -> Vec<Reading> {
        reads.iter().filter(|read| self.is_yardstick(read)).map(reading_of).collect()
    }

    /// The last of them: enough for the own average.
    fn recent_readings(&self, reads: &[ReadRow]) -> Vec<Reading> {
        let recent = reads.iter().rev().filter(|read| self.is_yardstick(read)).take(RECENT_PERIODS + 1);
        let mut readings: Vec<Reading> = recent.map(reading_of).collect();
        readings.reverse();
        readings
    }
}

/// The read to be judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub(super) on: NaiveDate,
    pub(super) milli: i64,
    pub(super) kind: ReadKind,
}

/// What becomes of a read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is there already.
    Unchanged,
    /// It is refused.
    Refused(String),
    /// It is taken in.
    Accepted(Taken),
}

/// A read that is taken in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// Why it waits for a clerk.
    pub(super) hold: Option<String>,
    /// The read that it counts from.
    pub(super) since: Option<Reading>,
    /// Reads that it takes the place of: estimates that are not billed, a customer's read of the same day.
    pub(super) overtakes: Vec<ReadId>,
}

/// Checks a read against the register's reads (in date order, none rejected).
///
/// A real read is held against the last real one over the whole span: what was estimated in between is no yardstick.
pub(super) fn check(bench: Bench<'_>, reads: &[ReadRow], new: Candidate) -> Verdict {
    if new.milli >= bench.register.capacity_milli() {
        let reading = from_milli(new.milli);
        return Verdict::Refused(format!("reading: {reading} has more digits than the register, which shows {}", bench.register.digits));
    }
    let at = reads.partition_point(|read| read.read_on < new.on);
    let same = reads.get(at).filter(|read| read.read_on == new.on);
    if let Some(verdict) = same.and_then(|same| same_day(same, bench, new)) {
        return verdict;
    }
    if let Some(billed) = BilledSpan::over(bench.billed, new.on).filter(|_| !bench.corrects) {
        return Verdict::Refused(format!(
            "read_on: the service is billed through {billed}; a read of {} would change a bill that was issued: take that bill back first",
            new.on
        ));
    }
    let earlier = reads.get(..at).unwrap_or_default();
    let later = reads.get(at + usize::from(same.is_some())..).unwrap_or_default();
    // An estimate is no yardstick for a real read; for another estimate it is what must not be undercut.
    let counts = |read: &&ReadRow| new.kind == ReadKind::Estimated || !is_estimated(read);
    let before = earlier.iter().rev().find(counts).map(reading_of);
    if let Some(reason) = too_soon(bench.limits, earlier, new) {
        return Verdict::Refused(reason);
    }
    let hold = before.and_then(|before| against_before(bench, earlier, before, new));
    let hold = hold.or_else(|| later.iter().find(counts).and_then(|after| against_after(bench, earlier, after, new)));
    let mut overtakes = overtaken(bench, reads, new);
    // An estimate that is billed is overtaken by a correction of its own day alone.
    if let Some(same) = same.filter(|same| !overtakes.contains(&same.id)) {
        overtakes.push(same.id);
    }
    Verdict::Accepted(Taken { hold, since: before, overtakes })
}

fn is_estimated(read: &ReadRow) -> bool {
    read.kind == ReadKind::Estimated.as_str()
}

fn reading_of(read: &ReadRow) -> Reading {
    Reading { on: read.read_on, milli: read.reading_milli }
}

/// Which of two reads of one day stands: the utility's before the customer's, either before an estimate, and those of an
/// exchange before all.
fn rank(kind: ReadKind) -> u8 {
    match kind {
        ReadKind::Estimated => 0,
        ReadKind::Customer => 1,
        ReadKind::Actual | ReadKind::Final => 2,
        ReadKind::Removal | ReadKind::Installation => 3,
    }
}

/// What becomes of a read when there is one of that day; none when it takes the other's place.
fn same_day(same: &ReadRow, bench: Bench<'_>, new: Candidate) -> Option<Verdict> {
    let kind: Option<ReadKind> = same.kind.parse().ok();
    // A final read on the day of an ordinary one says nothing new.
    let as_good = same.kind == new.kind.as_str() || kind.is_some_and(|kind| rank(kind) == rank(new.kind));
    if same.reading_milli == new.milli && as_good {
        return Some(Verdict::Unchanged);
    }
    let outranked = kind.is_some_and(|kind| rank(kind) < rank(new.kind));
    let billed = !bench.corrects && BilledSpan::over(bench.billed, same.read_on).is_some();
    if outranked && !billed {
        return None;
    }
    let (on, reading) = (same.read_on, from_milli(same.reading_milli));
    let reason = if outranked && is_estimated(same) {
        format!(
            "read_on: {on} is billed by an estimate of {reading}: enter this read with the day on which it was really taken, the next day or \
             later; the next bill then sets the estimate right"
        )
    } else if new.kind == ReadKind::Customer && kind.is_some_and(|kind| rank(kind) > rank(new.kind)) {
        format!("read_on: the utility read this meter itself on {on} ({reading}): its own read stands")
    } else {
        format!(
            "reading: there is a read of {on} on that day already, {reading} ({}): a second one is not taken; set the first aside with \
             `aquabills held reject-read` to replace it",
            same.kind
        )
    };
    Some(Verdict::Refused(reason))
}

/// A customer's next read of their own wants some days in between, unless the utility read the meter since.
fn too_soon(limits: &Limits, earlier: &[ReadRow], new: Candidate) -> Option<String> {
    if new.kind != ReadKind::Customer {
        return None;
    }
    let last = earlier.iter().rev().find(|read| !is_estimated(read)).filter(|read| read.kind == ReadKind::Customer.as_str())?;
    let next = last.read_on.checked_add_days(Days::new(u64::from(limits.customer_read_days))).unwrap_or(NaiveDate::MAX);
    (new.on < next).then(|| format!("read_on: the customer's last read is of {}: expected the next one on {next} or later", last.read_on))
}

/// Estimates that are not billed and that a real read makes pointless: those near its day, and all after it. After a correction
/// those are made anew.
fn overtaken(bench: Bench<'_>, reads: &[ReadRow], new: Candidate) -> Vec<ReadId> {
    if new.kind == ReadKind::Estimated {
        return Vec::new();
    }
    let from = new.on.checked_sub_days(Days::new(u64::from(bench.limits.estimate_window_days))).unwrap_or(NaiveDate::MIN);
    let near = new.on.checked_add_days(Days::new(u64::from(bench.limits.estimate_window_days))).unwrap_or(NaiveDate::MAX);
    let pointless =
        |read: &&ReadRow| is_estimated(read) && (!bench.corrects || read.read_on <= near) && BilledSpan::over(bench.billed, read.read_on).is_none();
    reads.iter().rev().take_while(|read| read.read_on >= from).filter(pointless).map(|read| read.id).collect()
}

fn against_before(bench: Bench<'_>, earlier: &[ReadRow], before: Reading, new: Candidate) -> Option<String> {
    let (counted_milli, rolled_over) = bench.register.counted_milli(before.milli, new.milli);
    if let Some(reason) = reversed(bench.register, counted_milli) {
        return Some(reason);
    }
    let used = Use { periods: 1, days: (new.on - before.on).num_days(), counted_milli };
    let by_customer = new.kind == ReadKind::Customer;
    let looked_at = by_customer || above_floor(bench.limits, &used);
    if !looked_at {
        return None;
    }
    let own = recent_use(bench.register, &bench.recent_readings(earlier));
    if above_own_average(bench.limits, &used, &own) {
        let season = season_use(bench.register, &bench.real_readings(earlier), before.on, new.on);
        return too_high(bench.limits, &used, rolled_over, &own, season.as_ref());
    }
    // A customer's own read waits on any doubt.
    let low = by_customer.then(|| judge_low(bench, earlier, before, &used, &own)).flatten();
    let stood_still = by_customer && counted_milli == 0 && own.counted_milli > 0;
    low.or_else(|| stood_still.then(|| "the customer's own read shows no use at all".to_owned()))
}

fn judge_low(bench: Bench<'_>, earlier: &[ReadRow], before: Reading, used: &Use, own: &Use) -> Option<String> {
    too_low(bench.limits, used, own, None)?;
    let to = before.on.checked_add_days(Days::new(u64::try_from(used.days).unwrap_or(0)))?;
    let season = season_use(bench.register, &bench.real_readings(earlier), before.on, to);
    too_low(bench.limits, used, own, season.as_ref())
}

/// Why a clerk should look at a register's last real read although it is billed.
pub(super) fn doubtful_low(bench: Bench<'_>, reads: &[ReadRow]) -> Option<String> {
    let readings = bench.real_readings(reads);
    let [earlier @ .., last] = readings.as_slice() else { return None };
    let before = earlier.last()?;
    let used = Use::over(bench.register, &[*before, *last]);
    let own = recent_use(bench.register, earlier);
    too_low(bench.limits, &used, &own, None)?;
    too_low(bench.limits, &used, &own, season_use(bench.register, earlier, before.on, last.on).as_ref())
}

/// A read that makes its successor implausible is doubtful itself: it shows only in what its successor counts.
fn against_after(bench: Bench<'_>, earlier: &[ReadRow], after: &ReadRow, new: Candidate) -> Option<String> {
    let (counted_milli, rolled_over) = bench.register.counted_milli(new.milli, after.reading_milli);
    let used = Use { periods: 1, days: (after.read_on - new.on).num_days(), counted_milli };
    let reason = reversed(bench.register, counted_milli).or_else(|| {
        let own = recent_use(bench.register, &bench.recent_readings(earlier));
        if !above_floor(bench.limits, &used) || !above_own_average(bench.limits, &used, &own) {
            return None;
        }
        let season = season_use(bench.register, &bench.real_readings(earlier), new.on, after.read_on);
        too_high(bench.limits, &used, rolled_over, &own, season.as_ref())
    })?;
    Some(format!("with it the read after it, {} on {}, is implausible: {reason}", from_milli(after.reading_milli), after.read_on))
}
