//! Gathering what is known today of what two sides were made from, so that the cause can be told in words.

use std::collections::{HashMap, HashSet};

use super::recompute::Rates;
use crate::actions::ActionError;
use crate::db::{DbConnection, metering, sweep};
use crate::domain::billing::SegmentInputs;
use crate::domain::ids::{ReadId, RegisterId};
use crate::domain::metering::ReadKind;
use crate::domain::overcharges::causes::{Facts, ReadFact, conclude, reasons};
use crate::domain::overcharges::{Reason, Side};

/// Why two sides differ: in one, and one by one.
pub(super) fn explain(
    conn: &mut DbConnection,
    rates: &Rates,
    service: &str,
    billed: &[Side],
    should: &[Side],
) -> Result<(Reason, Vec<Reason>), ActionError> {
    let facts = gather(conn, rates, billed, should)?;
    let reasons = reasons(service, billed, should, &facts, &rates.book);
    Ok((conclude(service, &reasons), reasons))
}

fn gather(conn: &mut DbConnection, rates: &Rates, billed: &[Side], should: &[Side]) -> Result<Facts, ActionError> {
    let spans = || billed.iter().chain(should).flat_map(|side| side.inputs.every_span());
    let unique = |ids: &mut Vec<i64>| {
        ids.sort_unstable();
        ids.dedup();
    };
    let mut registers: Vec<i64> = spans().map(|span| span.register.id.0).collect();
    let mut reads: Vec<i64> = spans().flat_map(|span| [span.from_read.0, span.to_read.0]).collect();
    unique(&mut registers);
    unique(&mut reads);
    let registers: Vec<RegisterId> = registers.into_iter().map(RegisterId).collect();
    let reads: Vec<ReadId> = reads.into_iter().map(ReadId).collect();
    let facts = metering::reads_by_id(conn, &reads)?.into_iter().map(|row| {
        let fact = ReadFact { estimated: row.kind == ReadKind::Estimated.as_str(), stands: row.status != "rejected" };
        (row.id, fact)
    });
    let reads: HashMap<ReadId, ReadFact> = facts.collect();
    let named: HashSet<&str> = billed.iter().chain(should).flat_map(|side| &side.inputs.slices).map(|slice| slice.sha256.as_str()).collect();
    // All versions of the schedules at hand: the same rates may stand under another day.
    let schedules: HashSet<&str> = named.iter().filter_map(|sha| rates.versions.get(*sha)).map(|version| version.schedule.as_str()).collect();
    let versions = rates.versions.iter().filter(|(_, version)| schedules.contains(version.schedule.as_str()));
    Ok(Facts {
        meters: sweep::meters_of(conn, &registers)?.into_iter().collect(),
        reads,
        versions: versions.map(|(sha, version)| (sha.clone(), version.clone())).collect(),
        swapped: swapped(conn, billed, should)?,
    })
}

/// Which of the registers that were billed here changed places with which of those that should have been.
fn swapped(conn: &mut DbConnection, billed: &[Side], should: &[Side]) -> Result<HashSet<(RegisterId, RegisterId)>, ActionError> {
    let of = |sides: &[Side]| sides.iter().flat_map(|side| &side.inputs.spans).map(|span| span.register.id).collect::<HashSet<_>>();
    let (ours, theirs) = (of(billed), of(should));
    let mut pairs = HashSet::new();
    let days = (billed.first().map(Side::start_on), billed.last().map(Side::end_on));
    let (Some(from_on), Some(to_on)) = days else { return Ok(pairs) };
    let wanted: Vec<RegisterId> = theirs.difference(&ours).copied().collect();
    if wanted.is_empty() {
        return Ok(pairs);
    }
    for was in ours.difference(&theirs) {
        for inputs in sweep::inputs_where_installed(conn, *was, from_on, to_on)? {
            let other: SegmentInputs = serde_json::from_str(&inputs).map_err(|error| ActionError::Form(format!("a bill's inputs: {error}")))?;
            let there = other.spans.iter().filter(|span| wanted.contains(&span.register.id));
            pairs.extend(there.map(|span| (*was, span.register.id)));
        }
    }
    Ok(pairs)
}
