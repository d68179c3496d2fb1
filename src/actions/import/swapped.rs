//! Two meters whose reads were exchanged: each is doubtful, and each would be plausible with the other's reading.

use chrono::NaiveDate;

use super::read_check::{self, Bench, Candidate, Verdict};
use super::take::{Batch, Doubt, Known};
use crate::domain::metering::ReadKind;

/// More doubtful reads of one day than this are not compared with each other: the file is wrong in another way.
const COMPARED: usize = 200;

/// Names, in the reason of each, the other of two doubtful reads of one day whose exchange would make both plausible.
pub(super) fn name_exchanged(known: &Known, batch: &mut Batch) {
    if !batch.doubts.iter().any(|doubt| doubt.held) {
        return;
    }
    let mut order: Vec<usize> = (0..batch.doubts.len()).collect();
    let day = |at: &usize| batch.doubts.get(*at).map(|doubt| doubt.reading.on);
    order.sort_by_key(|at| (day(at), *at));
    let mut pairs = Vec::new();
    for of_day in order.chunk_by(|a, b| day(a) == day(b)).filter(|of_day| of_day.len() <= COMPARED) {
        let doubts: Vec<(usize, &Doubt)> = of_day.iter().filter_map(|at| batch.doubts.get(*at).map(|doubt| (*at, doubt))).collect();
        pairs.extend(exchanged_pairs(known, &doubts));
    }
    for (one, other, meter, other_meter) in pairs {
        name(batch, one, &other_meter);
        name(batch, other, &meter);
    }
}

fn name(batch: &mut Batch, at: usize, other: &str) {
    if let Some(doubt) = batch.doubts.get_mut(at) {
        doubt.reason = format!("{}; the reading of meter {other} of that day would fit: the two may have been swapped", doubt.reason);
    }
}

/// Each read is in one pair at most.
fn exchanged_pairs(known: &Known, doubts: &[(usize, &Doubt)]) -> Vec<(usize, usize, String, String)> {
    let mut paired = vec![false; doubts.len()];
    let mut pairs = Vec::new();
    for (first, (at, doubt)) in doubts.iter().enumerate() {
        let partner = doubts.iter().enumerate().skip(first + 1).find(|(second, (_, other))| {
            let free = !paired.get(first).copied().unwrap_or(true) && !paired.get(*second).copied().unwrap_or(true);
            let of_two_meters = doubt.meter != other.meter && (doubt.held || other.held);
            free && of_two_meters && fits(known, doubt, other.reading.milli) && fits(known, other, doubt.reading.milli)
        });
        if let Some((second, (other_at, other))) = partner {
            for place in [first, second] {
                if let Some(paired) = paired.get_mut(place) {
                    *paired = true;
                }
            }
            pairs.push((*at, *other_at, doubt.meter.clone(), other.meter.clone()));
        }
    }
    pairs
}

/// Whether a reading would be plausible in the place of a doubtful one: neither too high nor too low.
fn fits(known: &Known, doubt: &Doubt, milli: i64) -> bool {
    let on: NaiveDate = doubt.reading.on;
    let reads = known.reads.get(&doubt.register.id).map(Vec::as_slice).unwrap_or_default();
    let others: Vec<_> = reads.iter().filter(|read| read.read_on != on).cloned().collect();
    // Judged like a customer's own read, which waits on any doubt, yet not for coming too soon.
    let limits = crate::domain::limits::Limits { customer_read_days: 0, ..doubt.limits };
    let bench = Bench { register: &doubt.register, limits: &limits, billed: &[], household_since: doubt.household_since, corrects: false };
    let candidate = Candidate { on, milli, kind: ReadKind::Customer };
    matches!(read_check::check(bench, &others, candidate), Verdict::Accepted(taken) if taken.hold.is_none() && taken.since.is_some())
}
