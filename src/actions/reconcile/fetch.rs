//! Fetching what providers say: movements on our balance, payouts, events. Calls are made outside of any transaction; each page
//! is stored by itself, so that a look that is ended early keeps what it has.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime};
use rand::Rng;

use super::{Fetch, Span, begins};
use crate::actions::lease::Lease;
use crate::actions::{ActionError, Context};
use crate::clock::local_date;
use crate::db::reconciliation::views::{self, Source};
use crate::db::reconciliation::{NewMovement, NewPayout, keep_movement, keep_payout};
use crate::domain::retry::pause_ms;
use crate::providers::{BalanceMovement, MovementKind, Page, PaymentProvider, Payout, ProviderError};

/// No list of a provider has more pages; one that has does not end.
const MOST_PAGES: u32 = 5_000;
/// A page is asked for so often before the provider counts as out of reach; the next look asks again.
const ATTEMPTS: u32 = 3;
/// So many payouts are asked for their movements in one look; the rest in the next.
const MOST_PAYOUTS: i64 = 100;
/// A payment may be booked so many days after it was made (a bank debit), and a payout may arrive so many days after.
const DAYS_AFTER: u64 = 10;
/// A movement may be dated a little before the day that the ledger has.
const DAYS_BEFORE: u64 = 2;
/// The newest movements are asked for again from so many seconds before the newest that is stored: lists are not always in order.
const OVERLAP_SECONDS: i64 = 2 * 3600;

/// Who was asked, from which day on and when; and who could not be asked, and why.
#[derive(Debug, Clone, Default)]
pub(super) struct Answers {
    pub(super) seen: BTreeMap<Source, (NaiveDate, NaiveDateTime)>,
    pub(super) unreachable: BTreeMap<String, String>,
}

impl Answers {
    /// Notes that a provider could not be asked; our own failures end the look.
    pub(super) fn take<T>(&mut self, provider: &dyn PaymentProvider, outcome: Result<T, Failed>) -> Result<Option<T>, ActionError> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(Failed::Ours(error)) => Err(error),
            Err(Failed::Provider(error)) => {
                // Whoever looks tells it: the command prints the report, the job logs it.
                log::debug!("reconciliation: {error}");
                self.unreachable.insert(provider.name().to_owned(), error.to_string());
                Ok(None)
            }
        }
    }
}

/// Fetches movements and payouts of every provider.
pub(super) fn fetch(context: &Context, lease: &Lease, span: Span, which: Fetch, answers: &mut Answers) -> Result<(), ActionError> {
    // What is stored of a provider that is not set up any more is compared with nothing new, and nobody must take that for an answer.
    for source in context.database.read(|conn| views::sources_since(conn, span.from))? {
        if !context.providers.iter().any(|provider| source_of(provider.as_ref()) == source) {
            let reason = format!("payment provider '{}' ({}) is not in the settings and was not asked", source.provider, source.merchant);
            answers.unreachable.insert(source.provider, reason);
        }
    }
    for provider in context.providers.iter() {
        if answers.unreachable.contains_key(provider.name()) {
            continue;
        }
        // What the ledger does from here on is not in the answer.
        let asked_at = context.now();
        let asked = Asked { context, lease, provider: provider.as_ref() };
        let outcome = fetch_one(&asked, span, which, asked_at);
        if answers.take(provider.as_ref(), outcome)?.is_some() {
            let source = source_of(provider.as_ref());
            let first = answers.seen.get(&source).map_or(span.from, |(first, _)| span.from.min(*first));
            answers.seen.insert(source, (first, asked_at));
        }
    }
    Ok(())
}

fn source_of(provider: &dyn PaymentProvider) -> Source {
    Source { provider: provider.name().to_owned(), merchant: provider.merchant().to_owned() }
}

/// Why fetching ended: the provider's fault, or ours.
pub(super) enum Failed {
    Provider(ProviderError),
    Ours(ActionError),
}

impl From<ActionError> for Failed {
    fn from(error: ActionError) -> Self {
        Self::Ours(error)
    }
}

/// Whom is asked, and under what.
pub(super) struct Asked<'a> {
    pub(super) context: &'a Context,
    pub(super) lease: &'a Lease,
    pub(super) provider: &'a dyn PaymentProvider,
}

impl Asked<'_> {
    /// Goes through a list page by page. A page that fails and may pass is asked for again by the rule of all retries.
    pub(super) fn pages<T>(
        &self,
        ask: impl Fn(Option<&str>) -> Result<Page<T>, ProviderError>,
        mut keep: impl FnMut(Vec<T>) -> Result<(), ActionError>,
    ) -> Result<(), Failed> {
        let mut after: Option<String> = None;
        for _ in 0..MOST_PAGES {
            self.lease.check()?;
            let page = Self::patiently(|| ask(after.as_deref())).map_err(Failed::Provider)?;
            keep(page.items)?;
            match page.next {
                None => return Ok(()),
                Some(next) if Some(&next) == after.as_ref() => return Err(self.endless("its list repeats a page")),
                Some(next) => after = Some(next),
            }
        }
        Err(self.endless("its list does not end"))
    }

    fn endless(&self, reason: &str) -> Failed {
        Failed::Provider(ProviderError::Unreadable { provider: self.provider.name().to_owned(), reason: reason.to_owned() })
    }

    fn patiently<T>(call: impl Fn() -> Result<T, ProviderError>) -> Result<T, ProviderError> {
        let mut attempt = 1;
        loop {
            match call() {
                Err(error) if error.may_pass() && attempt < ATTEMPTS => {
                    std::thread::sleep(Duration::from_millis(pause_ms(attempt, rand::rng().random())));
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }
}

fn fetch_one(asked: &Asked<'_>, span: Span, which: Fetch, now: NaiveDateTime) -> Result<(), Failed> {
    let (context, provider) = (asked.context, asked.provider);
    let zone = context.config.time_zone;
    let first = begins(span.from.checked_sub_days(Days::new(DAYS_BEFORE)).unwrap_or(span.from), zone);
    let last = begins(span.to.checked_add_days(Days::new(DAYS_AFTER)).unwrap_or(span.to), zone);
    let newest = context.database.read(|conn| views::newest_movement(conn, &source_of(provider))).map_err(ActionError::from)?;
    let from = match (which, newest) {
        (Fetch::New, Some(newest)) => (newest - OVERLAP_SECONDS).max(first),
        _ => first,
    };
    asked.pages(|after| provider.movements(from, last, after), |items| keep_movements(context, provider, &items, now))?;
    asked.pages(|after| provider.payouts(first, last, after), |items| keep_payouts(context, provider, &items, now))?;
    let source = source_of(provider);
    let until = span.to.checked_add_days(Days::new(DAYS_AFTER)).unwrap_or(span.to);
    let unknown =
        context.database.read(|conn| views::payouts_without_movements(conn, &source, span.from, until, MOST_PAYOUTS)).map_err(ActionError::from)?;
    for payout in unknown {
        asked.pages(|after| provider.payout_movements(&payout, after), |items| keep_movements(context, provider, &items, now))?;
    }
    Ok(())
}

fn keep_movements(context: &Context, provider: &dyn PaymentProvider, items: &[BalanceMovement], now: NaiveDateTime) -> Result<(), ActionError> {
    let zone = context.config.time_zone;
    let ours = |item: &&BalanceMovement| is_ours(context, &item.movement_ref, &item.currency);
    let rows: Vec<NewMovement> = items.iter().filter(ours).map(|item| movement_row(provider, item, zone)).collect();
    if rows.is_empty() {
        return Ok(());
    }
    context.database.write(|conn| rows.iter().try_for_each(|row| keep_movement(conn, row, now).map_err(ActionError::from)))
}

/// Money of another currency cannot be set against the ledger's; its events say so when they cannot be applied.
fn is_ours(context: &Context, reference: &str, currency: &str) -> bool {
    let ours = currency == context.config.currency;
    if !ours {
        log::warn!("reconciliation: {reference} is in '{currency}', the ledger in '{}': it is not compared", context.config.currency);
    }
    ours
}

fn movement_row(provider: &dyn PaymentProvider, item: &BalanceMovement, zone: chrono_tz::Tz) -> NewMovement {
    let kind = match item.kind {
        MovementKind::Payment => "payment",
        MovementKind::Refund => "refund",
        MovementKind::Dispute => "dispute",
        MovementKind::Payout => "payout",
        MovementKind::Other => "other",
    };
    NewMovement {
        provider: provider.name().to_owned(),
        merchant: provider.merchant().to_owned(),
        movement_ref: item.movement_ref.clone(),
        kind,
        payment_ref: item.payment_ref.clone(),
        amount_cents: item.amount.cents(),
        fee_cents: item.fee.cents(),
        occurred_at: item.occurred_at,
        occurred_on: local_date(DateTime::from_timestamp(item.occurred_at, 0).unwrap_or_default().naive_utc(), zone),
        payout_ref: item.payout_ref.clone(),
    }
}

fn keep_payouts(context: &Context, provider: &dyn PaymentProvider, items: &[Payout], now: NaiveDateTime) -> Result<(), ActionError> {
    let ours = |item: &&Payout| is_ours(context, &item.payout_ref, &item.currency);
    let rows: Vec<NewPayout> = items.iter().filter(ours).map(|item| payout_row(provider, item, context.config.time_zone)).collect();
    if rows.is_empty() {
        return Ok(());
    }
    context.database.write(|conn| rows.iter().try_for_each(|row| keep_payout(conn, row, now).map_err(ActionError::from)))
}

fn payout_row(provider: &dyn PaymentProvider, item: &Payout, zone: chrono_tz::Tz) -> NewPayout {
    NewPayout {
        provider: provider.name().to_owned(),
        merchant: provider.merchant().to_owned(),
        payout_ref: item.payout_ref.clone(),
        amount_cents: item.amount.cents(),
        arrives_on: arrival_day(item.arrives_at, zone),
        paid: item.paid,
        failed: item.failed,
        statement_text: item.statement_text.clone(),
    }
}

/// Providers name the day of arrival by its midnight in UTC: taken as a moment it would be the day before in America.
fn arrival_day(at: i64, zone: chrono_tz::Tz) -> NaiveDate {
    const DAY_SECONDS: i64 = 86_400;
    let moment = DateTime::from_timestamp(at, 0).unwrap_or_default().naive_utc();
    if at % DAY_SECONDS == 0 { moment.date() } else { local_date(moment, zone) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_of_arrival_is_the_same_day_everywhere() {
        let day: NaiveDate = "2026-11-20".parse().expect("a date");
        let midnight = day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp();
        for zone in [chrono_tz::America::Los_Angeles, chrono_tz::UTC, chrono_tz::Pacific::Auckland] {
            assert_eq!(arrival_day(midnight, zone), day);
        }
        assert_eq!(arrival_day(midnight + 3600, chrono_tz::America::Los_Angeles).to_string(), "2026-11-19");
    }

    #[test]
    fn a_day_begins_at_the_midnight_of_its_zone() {
        let day: NaiveDate = "2026-11-20".parse().expect("a date");
        let utc = day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp();
        assert_eq!(begins(day, chrono_tz::UTC), utc);
        assert_eq!(begins(day, chrono_tz::America::Los_Angeles), utc + 8 * 3600);
        // Santiago sets its clocks forward at midnight: this day begins at one.
        let short: NaiveDate = "2026-09-06".parse().expect("a date");
        assert_eq!(begins(short, chrono_tz::America::Santiago), short.and_time(chrono::NaiveTime::MIN).and_utc().timestamp() + 4 * 3600);
    }
}
