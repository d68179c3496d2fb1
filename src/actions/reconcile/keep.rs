//! Storing what a look found: differences, the sums of the standing look, and in each payment's trace that it was rechecked.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::compare::Compared;
use super::{DayLine, Span};
use crate::actions::lease::Lease;
use crate::actions::{ActionError, Context};
use crate::db::reconciliation::views::RECONCILED;
use crate::db::reconciliation::{DeltaRow, NewDifference, keep_delta, keep_difference, mark_gone};
use crate::db::trace::{self, NewStep};
use crate::domain::money::Money;
use crate::domain::reconciliation::{Action, Difference, Pair, SideRow};

/// So many rows are written in one transaction.
const CHUNK: usize = 500;
/// What looks found is kept for so many days.
const KEPT_DAYS: i64 = 30;

/// What the table of differences keeps as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    /// Which sides.
    pub pair: Pair,
    /// How far the sides are apart.
    #[serde(rename = "gap_cents")]
    pub gap: Money,
    /// The likely cause, in words.
    pub cause: String,
    /// What mends it.
    pub action: Action,
    /// The rows of both sides.
    pub rows: Vec<SideRow>,
}

pub(super) fn keep(context: &Context, lease: &Lease, span: Span, found: &Compared) -> Result<(), ActionError> {
    for chunk in found.look.differences.chunks(CHUNK) {
        lease.check()?;
        let rows = chunk.iter().map(row_of).collect::<Result<Vec<_>, _>>()?;
        context.database.write(|conn| rows.iter().try_for_each(|row| keep_difference(conn, row, context.now()).map_err(ActionError::from)))?;
    }
    let gone: Vec<&str> = found.look.gone().iter().map(String::as_str).collect();
    for chunk in gone.chunks(CHUNK) {
        lease.check()?;
        context.database.write(|conn| mark_gone(conn, chunk, context.now()).map_err(ActionError::from))?;
    }
    for chunk in found.agreed.chunks(CHUNK) {
        lease.check()?;
        context.database.write(|conn| {
            let now = context.now();
            let step = |agreed: &super::compare::Agreed| NewStep {
                trace_id: agreed.trace_id.clone(),
                step: RECONCILED.to_owned(),
                at: now,
                took_us: 0,
                detail: format!("ledger and provider agree: {}", agreed.net),
                provider_event_id: None,
                account_id: None,
                account_seq: None,
            };
            let steps: Vec<NewStep> = chunk.iter().map(step).collect();
            trace::insert(conn, &steps).map_err(ActionError::from)
        })?;
    }
    if span.stands { keep_sums(context, span, found) } else { Ok(()) }
}

fn row_of(difference: &Difference) -> Result<NewDifference, ActionError> {
    let detail = Detail {
        pair: difference.pair,
        gap: difference.gap,
        cause: difference.cause.clone(),
        action: difference.action,
        rows: difference.rows.clone(),
    };
    let cents = |amount: Option<Money>| amount.map(Money::cents);
    Ok(NewDifference {
        key: difference.key.clone(),
        kind: difference.kind.as_str(),
        day_on: difference.day,
        account_id: difference.account,
        reference: difference.reference.clone(),
        ledger_cents: cents(difference.ledger),
        provider_cents: cents(difference.provider),
        bank_cents: cents(difference.bank),
        detail: in_json(&detail)?,
    })
}

fn in_json(value: &impl Serialize) -> Result<String, ActionError> {
    serde_json::to_string(value).map_err(|error| ActionError::Refused(error.to_string()))
}

fn keep_sums(context: &Context, span: Span, found: &Compared) -> Result<(), ActionError> {
    let total = found.look.total();
    let days: Vec<DayLine> = found.look.days.iter().map(|(day, sums)| DayLine { day: *day, sums: *sums }).collect();
    let now = context.now();
    let row = DeltaRow {
        looked_at: now,
        from_on: span.from,
        to_on: span.to,
        ledger_cents: total.ledger().cents(),
        provider_cents: total.provider().cents(),
        bank_cents: total.at_bank().cents(),
        delta_cents: total.delta.cents(),
        differences: i32::try_from(total.differences).unwrap_or(i32::MAX),
        days: in_json(&days)?,
    };
    context.database.write(|conn| keep_delta(conn, &row, now - TimeDelta::days(KEPT_DAYS)).map_err(ActionError::from))
}
