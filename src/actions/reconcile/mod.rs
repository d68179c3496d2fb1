//! Reconciliation: looks at ledger, providers and bank beside each other, keeps what differs, and brings in what was lost.
//!
//! A look fetches what the providers say ([`fetch`]), compares ([`compare`]), brings in lost events when it may ([`repair`]),
//! and stores what it found ([`keep`]). It never posts anything of its own: what mends a difference is always an event of the
//! provider, or a person. One look at a time: a lease keeps two servers from asking the provider for the same pages.

pub mod backfill;
mod compare;
pub mod export;
mod fetch;
mod keep;
mod repair;
pub mod view;

use chrono::{Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::bank::settle_payouts;
use super::lease::Lease;
use super::stop::Stop;
use super::{ActionError, Context};
use crate::db::reconciliation::views;
use crate::domain::reconciliation::{DaySum, Difference, Look, MOST_DAYS, Rules};

use fetch::Answers;

pub use repair::Repaired;

/// What one at a time does.
const LEASE: &str = "reconciliation";

/// Which movements a look fetches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetch {
    /// None: what is stored is compared.
    Nothing,
    /// Those after the newest that is stored.
    New,
    /// Those of all its days.
    All,
}

/// Which events a look brings in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backfill {
    /// None.
    Nothing,
    /// Those of the last hours; when something is missing, all since the missing day.
    Recent,
    /// All of its days.
    All,
}

/// A look.
#[derive(Debug, Clone)]
pub struct LookOptions {
    /// The first day; the standing look's when none is given.
    pub from: Option<NaiveDate>,
    /// The last day; today when none is given.
    pub to: Option<NaiveDate>,
    /// Which movements are fetched.
    pub fetch: Fetch,
    /// Which events are brought in.
    pub backfill: Backfill,
    /// Ends it early.
    pub stop: Stop,
}

/// A provider that could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unreachable {
    /// Which.
    pub provider: String,
    /// Why.
    pub reason: String,
}

/// One day's sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayLine {
    /// The day.
    pub day: NaiveDate,
    /// Its sums.
    #[serde(flatten)]
    pub sums: DaySum,
}

/// What a look found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The first day.
    pub from: NaiveDate,
    /// The last day.
    pub to: NaiveDate,
    /// When, UTC.
    pub looked_at: NaiveDateTime,
    /// Each day, oldest first.
    pub days: Vec<DayLine>,
    /// Differences of days before the first that are still there.
    pub earlier: DaySum,
    /// All of them together.
    pub total: DaySum,
    /// What the ledger says, in cents.
    pub ledger_cents: i64,
    /// What the providers say, in cents.
    pub provider_cents: i64,
    /// What the bank says, in cents.
    pub bank_cents: i64,
    /// How far the sides are apart, in cents: the sum of every difference.
    pub delta_cents: i64,
    /// How many differences.
    pub differences: u64,
    /// How many things are under way and cannot be judged yet.
    pub in_transit: u64,
    /// Payments that were found to agree for the first time since they moved.
    pub newly_agreed: u64,
    /// Providers that could not be asked: about them only what is stored was compared.
    pub unreachable: Vec<Unreachable>,
    /// What was brought in.
    pub repaired: Repaired,
    /// The differences, the first thousands of them.
    #[serde(skip)]
    pub found: Vec<Difference>,
}

impl Report {
    /// Whether every side agrees, as far as could be asked.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.differences == 0 && self.unreachable.is_empty()
    }
}

/// A range of days in the utility's time zone.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: NaiveDate,
    to: NaiveDate,
    /// Whether it is the standing look, which also carries what is open from before.
    stands: bool,
}

impl Span {
    fn of(context: &Context, options: &LookOptions) -> Result<Self, ActionError> {
        let today = context.today();
        let to = options.to.unwrap_or(today);
        let back = Days::new(context.config.reconciliation.days.into());
        let from = options.from.unwrap_or_else(|| to.checked_sub_days(back).unwrap_or(to));
        if to > today {
            return Err(ActionError::Refused(format!("to: {to} is in the future: expected a day up to {today}")));
        }
        if from > to {
            return Err(ActionError::Refused(format!("from: {from} is after {to}: expected a day up to it")));
        }
        if (to - from).num_days() >= i64::from(MOST_DAYS) {
            return Err(ActionError::Refused(format!("from: {from} is more than {MOST_DAYS} days before {to}: expected a shorter time")));
        }
        Ok(Self { from, to, stands: options.from.is_none() && options.to.is_none() })
    }
}

/// The moment at which a day begins in a time zone, in seconds since 1970.
fn begins(day: NaiveDate, zone: Tz) -> i64 {
    let midnight = day.and_time(NaiveTime::MIN);
    let local = |at: NaiveDateTime| zone.from_local_datetime(&at).earliest();
    // Where the clock is set forward at midnight, the day begins an hour later.
    let at = local(midnight).or_else(|| local(midnight + TimeDelta::hours(1)));
    at.map_or_else(|| midnight.and_utc().timestamp(), |at| at.timestamp())
}

fn rules(context: &Context) -> Rules {
    let settings = &context.config.reconciliation;
    Rules {
        now: context.now(),
        today: context.today(),
        grace_minutes: settings.grace_minutes,
        event_minutes: settings.event_minutes,
        payout_days: settings.payout_days,
        refund_days: settings.refund_days,
        bank_days: settings.bank_days,
    }
}

/// Looks at ledger, providers and bank beside each other.
///
/// A provider that cannot be reached does not end the look: it is compared as far as it is known, and the report says so.
///
/// # Errors
/// [`ActionError::Refused`] for a range that makes no sense, [`ActionError::Busy`] when another look is under way,
/// [`ActionError::Stopped`], and those of the database.
pub fn reconcile(context: &Context, options: &LookOptions) -> Result<Report, ActionError> {
    let span = Span::of(context, options)?;
    let lease = Lease::take(context, LEASE)?.until(&options.stop);
    let mut answers = Answers::default();
    if options.fetch != Fetch::Nothing {
        fetch::fetch(context, &lease, span, options.fetch, &mut answers)?;
    }
    find_payouts(context)?;
    let mut found = compare::compare(context, &lease, span, &answers)?;
    if options.fetch == Fetch::All
        && let Some(from) = found.older_than(span.from)
    {
        // A difference of a payment that began before these days: its first movements may never have been asked for.
        fetch::fetch(context, &lease, Span { from, to: span.from, stands: false }, Fetch::All, &mut answers)?;
        find_payouts(context)?;
        found = compare::compare(context, &lease, span, &answers)?;
    }
    let mut repaired = Repaired::default();
    if options.backfill != Backfill::Nothing {
        repaired = repair::bring_in(context, &lease, span, options, &found.look, &mut answers)?;
        if repaired.changed() {
            found = compare::compare(context, &lease, span, &answers)?;
        }
    }
    keep::keep(context, &lease, span, &found)?;
    Ok(report(context, span, found, answers, repaired))
}

/// A payout may become known later than the movement that brought it.
fn find_payouts(context: &Context) -> Result<(), ActionError> {
    if context.database.read(views::bank_is_known)? {
        settle_payouts(context)?;
    }
    Ok(())
}

fn report(context: &Context, span: Span, compared: compare::Compared, answers: Answers, repaired: Repaired) -> Report {
    let Look { days, earlier, differences, in_transit, .. } = &compared.look;
    let total = compared.look.total();
    Report {
        from: span.from,
        to: span.to,
        looked_at: context.now(),
        days: days.iter().map(|(day, sums)| DayLine { day: *day, sums: *sums }).collect(),
        earlier: *earlier,
        total,
        ledger_cents: total.ledger().cents(),
        provider_cents: total.provider().cents(),
        bank_cents: total.at_bank().cents(),
        delta_cents: total.delta.cents(),
        differences: total.differences,
        in_transit: *in_transit,
        newly_agreed: u64::try_from(compared.agreed.len()).unwrap_or(u64::MAX),
        unreachable: answers.unreachable.into_iter().map(|(provider, reason)| Unreachable { provider, reason }).collect(),
        repaired,
        found: differences.clone(),
    }
}
