//! Gathering what is known today of what two sides were made from, so that causes can be told in words.

use std::collections::{HashMap, HashSet};

use super::recompute::{Difference, Rates};
use crate::actions::ActionError;
use crate::db::{DbConnection, metering, sweep};
use crate::domain::billing::SegmentInputs;
use crate::domain::ids::{ReadId, RegisterId};
use crate::domain::metering::{ReadKind, Span};
use crate::domain::overcharges::Side;
use crate::domain::overcharges::causes::{Facts, ReadFact};

/// Ids that are asked for in one statement.
const PAGE: usize = 10_000;

/// What is known of everything that these differences were made from.
pub(super) fn gather(conn: &mut DbConnection, rates: &Rates, differences: &[Difference]) -> Result<Facts, ActionError> {
    if differences.is_empty() {
        return Ok(Facts::default());
    }
    let sides = || differences.iter().flat_map(|difference| difference.billed.iter().chain(&difference.should));
    let spans = || sides().flat_map(|side| side.inputs.every_span());
    let registers: Vec<RegisterId> = spans().map(|span: &Span| span.register.id).collect::<HashSet<_>>().into_iter().collect();
    let ids: Vec<ReadId> = spans().flat_map(|span| [span.from_read, span.to_read]).collect::<HashSet<_>>().into_iter().collect();
    let (mut meters, mut reads) = (HashMap::new(), HashMap::new());
    for page in registers.chunks(PAGE) {
        meters.extend(sweep::meters_of(conn, page)?);
    }
    for page in ids.chunks(PAGE) {
        reads.extend(metering::reads_by_id(conn, page)?.into_iter().map(|row| {
            let fact = ReadFact { estimated: row.kind == ReadKind::Estimated.as_str(), stands: row.status != "rejected" };
            (row.id, fact)
        }));
    }
    let mut swapped = HashSet::new();
    for difference in differences {
        swapped.extend(changed_places(conn, difference)?);
    }
    Ok(Facts { meters, reads, versions: rates.versions.clone(), swapped })
}

/// Which of the registers that were billed here changed places with which of those that should have been.
fn changed_places(conn: &mut DbConnection, difference: &Difference) -> Result<Vec<(RegisterId, RegisterId)>, ActionError> {
    let of = |sides: &[Side]| sides.iter().flat_map(|side| &side.inputs.spans).map(|span| span.register.id).collect::<HashSet<_>>();
    let (ours, theirs) = (of(&difference.billed), of(&difference.should));
    let mut pairs = Vec::new();
    let days = (difference.billed.first().map(Side::start_on), difference.billed.last().map(Side::end_on));
    let (Some(from_on), Some(to_on)) = days else { return Ok(pairs) };
    let wanted: Vec<RegisterId> = theirs.difference(&ours).copied().collect();
    if wanted.is_empty() {
        return Ok(pairs);
    }
    for was in ours.difference(&theirs) {
        for inputs in sweep::inputs_where_installed(conn, *was, from_on, to_on)? {
            // Of a bill that cannot be read nothing is known; its own account is told of that.
            let Ok(other) = serde_json::from_str::<SegmentInputs>(&inputs) else { continue };
            let there = other.spans.iter().filter(|span| wanted.contains(&span.register.id));
            pairs.extend(there.map(|span| (*was, span.register.id)));
        }
    }
    Ok(pairs)
}
