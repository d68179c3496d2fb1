//! What a register would show on a day on which nobody read it.
//!
//! Only real reads count: an estimate never feeds the next one. With a history of a year the same weeks last year are
//! taken, scaled by how the household's use has changed since; else its own recent average.

use chrono::{Days, Months, NaiveDate};
use rust_decimal::{Decimal, RoundingStrategy};

use super::limits::Reading;
use super::metering::Register;

/// What was used from one real read to the next, in thousandths of the register's unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UseSpan {
    /// The earlier read.
    pub from_on: NaiveDate,
    /// The later read.
    pub to_on: NaiveDate,
    /// What was used.
    pub usage_milli: Decimal,
}

/// An estimated use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EstimatedUse {
    /// How much, in thousandths of the register's unit.
    pub usage_milli: Decimal,
    /// How it was found, in words.
    pub basis: String,
}

/// A change of use is looked for over this many days before the last real read.
const RECENT_DAYS: u64 = 91;
/// The own average looks at this many periods.
const RECENT_PERIODS: usize = 6;

/// The use between the real reads of one register, in date order.
#[must_use]
pub fn use_spans(register: &Register, readings: &[Reading]) -> Vec<UseSpan> {
    let span = |(from, to): (&Reading, &Reading)| UseSpan {
        from_on: from.on,
        to_on: to.on,
        usage_milli: Decimal::from(register.counted_milli(from.milli, to.milli).0) * Decimal::new(register.multiplier_milli, 3),
    };
    readings.iter().zip(readings.iter().skip(1)).map(span).filter(|span| span.from_on < span.to_on).collect()
}

/// What is used from the last real read to a day, by the spans before it (in date order); none without any history.
#[must_use]
pub fn estimated_use(history: &[UseSpan], from: NaiveDate, to: NaiveDate) -> Option<EstimatedUse> {
    let days = Decimal::from((to - from).num_days());
    if let Some((daily, basis)) = as_last_year(history, from, to) {
        return Some(EstimatedUse { usage_milli: daily.checked_mul(days)?, basis });
    }
    let recent = history.get(history.len().saturating_sub(RECENT_PERIODS)..)?;
    let over: i64 = recent.iter().map(|span| (span.to_on - span.from_on).num_days()).sum();
    let used: Decimal = recent.iter().map(|span| span.usage_milli).sum();
    let daily = used.checked_div(Decimal::from(over))?;
    let periods = recent.len();
    let plural = if periods == 1 { "period" } else { "periods" };
    Some(EstimatedUse {
        usage_milli: daily.checked_mul(days)?,
        basis: format!("its average over the last {periods} {plural}, {} a day", shown(daily)),
    })
}

/// The daily use of the same weeks last year, scaled by how recent use compares with the same span last year.
fn as_last_year(history: &[UseSpan], from: NaiveDate, to: NaiveDate) -> Option<(Decimal, String)> {
    let year_before = |day: NaiveDate| day.checked_sub_months(Months::new(12));
    let (weeks_from, weeks_to) = (year_before(from)?, year_before(to)?);
    let last_year = daily_use(history, weeks_from, weeks_to)?;
    let since = from.checked_sub_days(Days::new(RECENT_DAYS))?;
    let (recent, base) = (daily_use(history, since, from), daily_use(history, year_before(since)?, weeks_from));
    let basis = format!("the same weeks last year, {weeks_from} to {weeks_to}, {} a day", shown(last_year));
    match (recent, base) {
        // Empty a year ago and lived in now, or the other way round: last year says nothing.
        (Some(recent), Some(base)) if base.is_zero() && !recent.is_zero() => None,
        (Some(recent), Some(base)) if !base.is_zero() => {
            let change = recent.checked_div(base)?.clamp(Decimal::new(5, 1), Decimal::TWO);
            let percent = (change * Decimal::ONE_HUNDRED).round();
            Some((last_year.checked_mul(change)?, format!("{basis}, at {percent} % as its use has changed since")))
        }
        _ => Some((last_year, basis)),
    }
}

/// The daily use over some days, by the share of each span in them; none when less than half of the days are covered.
fn daily_use(history: &[UseSpan], from: NaiveDate, to: NaiveDate) -> Option<Decimal> {
    let (mut covered, mut used) = (0, Decimal::ZERO);
    for span in history {
        let overlap = (span.to_on.min(to) - span.from_on.max(from)).num_days();
        if overlap > 0 {
            covered += overlap;
            let share = span.usage_milli.checked_mul(Decimal::from(overlap))?.checked_div(Decimal::from((span.to_on - span.from_on).num_days()))?;
            used = used.checked_add(share)?;
        }
    }
    if covered == 0 || covered * 2 < (to - from).num_days() {
        return None;
    }
    used.checked_div(Decimal::from(covered))
}

/// A daily use for people: in units, with two decimals.
fn shown(daily_milli: Decimal) -> Decimal {
    (daily_milli / Decimal::ONE_THOUSAND).round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero).normalize()
}

/// What was used on the way between two real reads, by the days: for a day that lies between them.
#[must_use]
pub fn use_between(register: &Register, before: Reading, after: Reading, on: NaiveDate) -> Option<EstimatedUse> {
    let (counted, _) = register.counted_milli(before.milli, after.milli);
    let usage = Decimal::from(counted).checked_mul(Decimal::new(register.multiplier_milli, 3))?;
    let share = usage.checked_mul(Decimal::from((on - before.on).num_days()))?.checked_div(Decimal::from((after.on - before.on).num_days()))?;
    Some(EstimatedUse { usage_milli: share, basis: format!("its reads of {} and {}, by the days between them", before.on, after.on) })
}

/// What the register would show, in whole counts: the last real reading and what was used since, never less than
/// `least_counted_milli` and never more than `most_counted_milli` beyond it. None when it would be more than half a round
/// of the register: nobody could tell it from a reversed read.
#[must_use]
pub fn estimated_reading(
    register: &Register,
    last_real_milli: i64,
    usage_milli: Decimal,
    least_counted_milli: i64,
    most_counted_milli: Option<i64>,
) -> Option<i64> {
    let counts = usage_milli.checked_div(Decimal::new(register.multiplier_milli, 3))?;
    let exact = Decimal::from(last_real_milli).checked_add(counts)?;
    let whole = (exact / Decimal::ONE_THOUSAND).round_dp_with_strategy(0, RoundingStrategy::MidpointAwayFromZero) * Decimal::ONE_THOUSAND;
    let counted = i64::try_from(whole).ok()?.checked_sub(last_real_milli)?;
    let counted = counted.max(least_counted_milli).max(0);
    let counted = most_counted_milli.map_or(counted, |most| counted.min(most));
    let half = register.capacity_milli() / 2;
    (counted <= half).then(|| (last_real_milli + counted) % register.capacity_milli())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::RegisterId;

    fn register(multiplier_milli: i64) -> Register {
        Register { id: RegisterId(1), digits: 4, multiplier_milli, unit: None }
    }

    fn on(day: &str) -> NaiveDate {
        day.parse().unwrap()
    }

    fn history(rows: &[(&str, i64)]) -> Vec<UseSpan> {
        let readings: Vec<Reading> = rows.iter().map(|(day, units)| Reading { on: on(day), milli: units * 1000 }).collect();
        use_spans(&register(1000), &readings)
    }

    #[test]
    fn without_a_year_the_own_average_is_taken() {
        // 30 in 31 days and 29 in 28: one a day over 59 days.
        let spans = history(&[("2026-01-01", 100), ("2026-02-01", 130), ("2026-03-01", 159)]);
        let estimate = estimated_use(&spans, on("2026-03-01"), on("2026-04-01")).unwrap();
        assert_eq!(estimate.usage_milli, Decimal::from(31_000));
        assert!(estimate.basis.contains("the last 2 periods, 1 a day"), "{}", estimate.basis);
        assert_eq!(estimated_use(&[], on("2026-03-01"), on("2026-04-01")), None);
    }

    #[test]
    fn the_same_weeks_last_year_are_scaled_by_the_change_since() {
        // Before last July 91 days at 2 a day (182), July 31 days at 4 a day (124); before this July 91 days at 1 a day.
        let spans = history(&[("2025-04-01", 0), ("2025-07-01", 182), ("2025-08-01", 306), ("2026-04-01", 400), ("2026-07-01", 491)]);
        let estimate = estimated_use(&spans, on("2026-07-01"), on("2026-08-01")).unwrap();
        assert_eq!(estimate.usage_milli, Decimal::from(62_000), "31 days of 4, halved");
        assert!(estimate.basis.contains("4 a day, at 50 %"), "{}", estimate.basis);
        // Ten times the use of last spring: no more than twice last July is taken.
        let spans = history(&[("2025-04-01", 0), ("2025-07-01", 91), ("2025-08-01", 122), ("2026-04-01", 130), ("2026-07-01", 1040)]);
        assert_eq!(estimated_use(&spans, on("2026-07-01"), on("2026-08-01")).unwrap().usage_milli, Decimal::from(62_000));
    }

    #[test]
    fn a_house_that_stood_empty_last_year_says_nothing_about_now() {
        let spans = history(&[("2025-04-01", 7), ("2025-08-01", 7), ("2026-04-01", 7), ("2026-07-01", 189)]);
        let estimate = estimated_use(&spans, on("2026-07-01"), on("2026-08-01")).unwrap();
        assert!(estimate.basis.contains("average"), "{}", estimate.basis);
    }

    #[test]
    fn a_reading_is_whole_never_falls_and_rolls_over() {
        let reading = |multiplier, last, usage, least| estimated_reading(&register(multiplier), last, Decimal::from(usage), least, None);
        assert_eq!(reading(1000, 100_000, 31_499, 0), Some(131_000));
        assert_eq!(reading(1000, 100_000, 31_500, 0), Some(132_000));
        assert_eq!(reading(10_000, 100_000, 250_000, 0), Some(125_000), "ten units make one count");
        assert_eq!(reading(1000, 100_400, 0, 0), Some(100_400), "rounding does not turn it back");
        assert_eq!(reading(1000, 100_000, 5_000, 12_000), Some(112_000), "not below an earlier estimate");
        assert_eq!(reading(1000, 9_990_000, 15_000, 0), Some(5_000), "through a rollover");
        assert_eq!(reading(1000, 0, 5_001_000, 0), None, "more than half a round");
        assert_eq!(estimated_reading(&register(1000), 0, Decimal::from(50_000), 0, Some(40_000)), Some(40_000));
    }

    #[test]
    fn between_two_reads_it_goes_by_the_days() {
        let reading = |day, units: i64| Reading { on: on(day), milli: units * 1000 };
        let estimate = use_between(&register(1000), reading("2026-01-01", 9_980), reading("2026-03-02", 40), on("2026-01-31")).unwrap();
        assert_eq!(estimate.usage_milli, Decimal::from(30_000), "60 in 60 days, through a rollover");
    }
}
