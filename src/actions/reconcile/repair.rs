//! What a look may mend by itself: it brings in the events that the provider lists and that never arrived, and applies what
//! waits. Nothing is posted that no event asks for, and no refund is asked for again: a provider forgets after a day which
//! calls it has answered, and the same call would give the money back twice. What became of a refund is told by its events.

use chrono::{Days, NaiveDate, TimeDelta};
use serde::Serialize;

use super::fetch::{Answers, Asked, Failed};
use super::{Backfill, LookOptions, Span, begins};
use crate::actions::inbox::{keep_listed, settle};
use crate::actions::lease::Lease;
use crate::actions::{ActionError, Context};
use crate::db::{inbox, operations};
use crate::domain::reconciliation::{Kind, Look};
use crate::providers::PaymentProvider;

/// An event may be dated a little before the day that its movement has.
const DAYS_BEFORE: u64 = 2;
/// Providers list their events for so long.
const LISTED_DAYS: u64 = 30;

/// What was brought in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Repaired {
    /// Events that the providers listed.
    pub listed: u64,
    /// Those of them that had never arrived.
    pub fetched: u64,
    /// Events that were applied.
    pub applied: u64,
    /// Events that could not be applied.
    pub failed: u64,
}

impl Repaired {
    /// Whether anything may be different now.
    #[must_use]
    pub fn changed(&self) -> bool {
        self.fetched > 0 || self.applied > 0
    }
}

/// Brings in lost events and applies what waits.
pub(super) fn bring_in(
    context: &Context,
    lease: &Lease,
    span: Span,
    options: &LookOptions,
    look: &Look,
    answers: &mut Answers,
) -> Result<Repaired, ActionError> {
    let mut repaired = Repaired::default();
    let since = since(context, span, options.backfill, look);
    for provider in context.providers.iter() {
        if answers.unreachable.contains_key(provider.name()) {
            continue;
        }
        let asked = Asked { context, lease, provider: provider.as_ref() };
        let outcome = fetch_events(&asked, since, &mut repaired);
        answers.take(provider.as_ref(), outcome)?;
    }
    let settled = settle(context, true, &options.stop)?;
    repaired.applied = settled.applied;
    repaired.failed = settled.failed;
    if repaired.changed() {
        let detail = format!("{} events fetched, {} applied, {} cannot be applied", repaired.fetched, repaired.applied, repaired.failed);
        let subject = format!("{} to {}", span.from, span.to);
        context.database.write(|conn| {
            operations::audit(conn, context.now(), &context.actor, "reconciliation.repair", &subject, &detail).map_err(ActionError::from)
        })?;
    }
    Ok(repaired)
}

/// From when on events are asked for, in seconds since 1970: no longer ago than something is missing.
fn since(context: &Context, span: Span, backfill: Backfill, look: &Look) -> i64 {
    let missing = look.differences.iter().filter(|difference| difference.action.is_safe() || difference.kind == Kind::RefundWithoutReference);
    let oldest: Option<NaiveDate> = missing.map(|difference| difference.day).min();
    let day = match backfill {
        Backfill::All => Some(oldest.map_or(span.from, |oldest| oldest.min(span.from))),
        Backfill::Recent | Backfill::Nothing => oldest,
    };
    let settings = &context.config.reconciliation;
    let hours = TimeDelta::minutes(i64::from(settings.every_minutes) + i64::from(settings.grace_minutes)) + TimeDelta::hours(2);
    let recent = (context.now() - hours).and_utc().timestamp();
    let today = context.today();
    let back = |day: NaiveDate, days| day.checked_sub_days(Days::new(days)).unwrap_or(day);
    day.map_or(recent, |day| begins(back(day, DAYS_BEFORE).max(back(today, LISTED_DAYS)), context.config.time_zone).min(recent))
}

fn fetch_events(asked: &Asked<'_>, since: i64, repaired: &mut Repaired) -> Result<(), Failed> {
    let (context, provider): (&Context, &dyn PaymentProvider) = (asked.context, asked.provider);
    asked.pages(
        |after| provider.events(since, after),
        |events| {
            for event in events {
                repaired.listed += 1;
                // Most are there already: that is asked without a write.
                let known = context.database.read(|conn| inbox::is_known(conn, provider.name(), provider.merchant(), &event.event_id))?;
                if !known && keep_listed(context, provider, &event)? {
                    repaired.fetched += 1;
                }
            }
            Ok(())
        },
    )
}
