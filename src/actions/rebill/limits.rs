//! What speaks against billing an account anew: another bill remakes whole bills, so it would also charge what is further back than
//! is charged, or give what somebody let be.

use chrono::NaiveDate;

use crate::db::billing::SegmentRow;
use crate::db::rebills::{InTheWay, StandingSegment};
use crate::domain::ids::AgreementId;
use crate::domain::money::Money;
use crate::domain::policy::{PolicyBook, back_billing};

/// Days of a service, with what is charged for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Days {
    agreement: AgreementId,
    from_on: NaiveDate,
    to_on: NaiveDate,
    cents: i64,
}

/// Why a bill is not taken back that a credit or charge has put right beside it: whatever is billed for its days later would put it
/// right once more.
pub(in crate::actions) fn put_right_already(row: &InTheWay) -> String {
    let credit = Money::from_cents(row.mended_cents);
    format!(
        "finding {} was put right by {credit} beside the bills, and another bill would do it once more: take that back first (`aquabills undo`, \
         reference finding:{})",
        row.id, row.id
    )
}

/// Why an account is not billed anew; none when nothing speaks against it.
pub(super) fn against(
    policies: &PolicyBook,
    today: NaiveDate,
    (gone, anew): (&[StandingSegment], &[&SegmentRow]),
    let_be: &[&InTheWay],
) -> Option<String> {
    let gone: Vec<Days> = gone
        .iter()
        .map(|row| Days { agreement: row.agreement_id, from_on: row.period_start_on, to_on: row.period_end_on, cents: row.total_cents })
        .collect();
    let anew: Vec<Days> = anew
        .iter()
        .map(|row| Days { agreement: row.agreement_id, from_on: row.period_start_on, to_on: row.period_end_on, cents: row.total_cents })
        .collect();
    let overlaps = |row: &InTheWay, days: &Days| row.overlaps(days.agreement, days.from_on, days.to_on);
    let of = |days: &[Days], row: &InTheWay| -> i64 { days.iter().filter(|days| overlaps(row, days)).map(|days| days.cents).sum() };
    for row in let_be.iter().filter(|row| gone.iter().any(|days| overlaps(row, days))) {
        if (of(&gone, row), of(&anew, row)) == (row.billed_cents, row.should_cents) {
            return Some(format!("what finding {} says of {} to {} was let be, and another bill would change it", row.id, row.from_on, row.to_on));
        }
    }
    changes(&gone, &anew).into_iter().find_map(|change| {
        let parts = back_billing(policies, today, change.from_on, change.to_on);
        let whole = parts.of(change.cents) == Some((change.from_on, change.to_on));
        let way = if change.cents > 0 { "charged" } else { "given back" };
        let (by, from, to) = (Money::from_cents(change.cents.saturating_abs()), change.from_on, change.to_on);
        (!whole).then(|| format!("{by} more would be {way} for {from} to {to}, which is further back than {} lets be {way}", parts.citation))
    })
}

/// What changes, period by period where both sides have the same; else service by service.
fn changes(gone: &[Days], anew: &[Days]) -> Vec<Days> {
    let same = |a: &Days, b: &Days| (a.agreement, a.from_on, a.to_on) == (b.agreement, b.from_on, b.to_on);
    let mut changes: Vec<Days> =
        gone.iter().filter_map(|old| anew.iter().find(|new| same(old, new)).map(|new| Days { cents: new.cents - old.cents, ..*old })).collect();
    let alone = |days: &&Days, others: &[Days]| !others.iter().any(|other| same(days, other));
    let minus = gone.iter().filter(|days| alone(days, anew)).map(|days| Days { cents: -days.cents, ..*days });
    let plus = anew.iter().filter(|days| alone(days, gone)).copied();
    let mut rest: Vec<Days> = minus.chain(plus).collect();
    rest.sort_by_key(|days| (days.agreement, days.from_on));
    for service in rest.chunk_by(|a, b| a.agreement == b.agreement) {
        let (Some(first), Some(to_on)) = (service.first(), service.iter().map(|days| days.to_on).max()) else { continue };
        changes.push(Days { to_on, cents: service.iter().map(|days| days.cents).sum(), ..*first });
    }
    changes.retain(|days| days.cents != 0);
    changes
}
