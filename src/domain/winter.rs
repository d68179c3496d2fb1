//! The winter-quarter average: what a household uses when nobody waters a garden, by which its sewer is charged.

use std::collections::HashSet;

use chrono::{Datelike, NaiveDate};
use serde::{Deserialize, Serialize};

use super::metering::{Read, ReadKind, RegisterReads, Span, periods_despite_held};

/// What a household used in a winter: kept with each bill that is priced by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WinterQuarter {
    /// The year in which that winter ended.
    pub year: i32,
    /// Days that its periods cover.
    pub days: u32,
    /// What each register counted.
    pub spans: Vec<Span>,
}

/// What was used in the last winter that had ended by `before`: the periods between real reads that end in one of its
/// months. `None` when there is none, when it covers less than half of those months (a week of a newcomer says nothing of a
/// year), or when its reads do not make a usage.
///
/// `months` are in the order of the season: December, January, February end in February of the next year.
#[must_use]
pub fn winter_quarter(registers: &[RegisterReads], months: &[u32], before: NaiveDate) -> Option<WinterQuarter> {
    let last_month = *months.last()?;
    let mut year = before.year();
    if before.month() <= last_month {
        year -= 1;
    }
    // A day on which any register was estimated, or is doubted, ends no period of the winter for the others either.
    let doubtful = |read: &&Read| read.held || read.kind == ReadKind::Estimated;
    let days: HashSet<NaiveDate> = registers.iter().flat_map(|register| register.reads.iter().filter(doubtful)).map(|read| read.read_on).collect();
    let stands = |read: &Read| !(doubtful(&read) || read.kind.ends_period() && days.contains(&read.read_on));
    let real: Vec<RegisterReads> = registers
        .iter()
        .map(|register| RegisterReads { reads: register.reads.iter().copied().filter(stands).collect(), ..register.clone() })
        .collect();
    let periods = periods_despite_held(&real, None, before).ok()?;
    let mut winter = WinterQuarter { year, days: 0, spans: Vec::new() };
    for period in periods {
        if season_year(period.end_on, months) == Some(year) {
            winter.days += u32::try_from((period.end_on - period.start_on).num_days()).ok()?;
            winter.spans.extend(period.spans);
        }
    }
    let half = u32::try_from(months.len()).unwrap_or(0) * 15;
    (winter.days > 0 && winter.days >= half).then_some(winter)
}

/// The year in which the winter ends that a day belongs to.
fn season_year(day: NaiveDate, months: &[u32]) -> Option<i32> {
    let last_month = *months.last()?;
    if !months.contains(&day.month()) {
        return None;
    }
    Some(if day.month() > last_month { day.year() + 1 } else { day.year() })
}

#[cfg(test)]
mod tests {
    use super::super::ids::{ReadId, RegisterId};
    use super::super::metering::{Register, usage_milli};
    use super::super::rates::Unit;
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a date")
    }

    fn meter(reads: &[(&str, i64, ReadKind)]) -> RegisterReads {
        let reads = reads.iter().zip(1..).map(|((on, units, kind), id)| Read {
            id: ReadId(id),
            read_on: day(on),
            reading_milli: units * 1000,
            kind: *kind,
            held: false,
        });
        let register = Register { id: RegisterId(1), digits: 4, multiplier_milli: 1000, unit: None };
        RegisterReads { register, installed_on: None, removed_on: None, reads: reads.collect() }
    }

    #[test]
    fn the_winter_is_the_periods_that_end_in_its_months() {
        let reads = [
            ("2025-11-15", 100, ReadKind::Actual),
            ("2025-12-15", 108, ReadKind::Actual),
            ("2026-01-15", 114, ReadKind::Estimated),
            ("2026-02-15", 125, ReadKind::Actual),
            ("2026-03-15", 145, ReadKind::Actual),
        ];
        let winter = winter_quarter(&[meter(&reads)], &[12, 1, 2], day("2026-03-15")).expect("a winter");
        // 15 November to 15 December and, the estimate left out, 15 December to 15 February: 92 days, 25 units.
        assert_eq!((winter.year, winter.days), (2026, 92));
        assert_eq!(usage_milli(&winter.spans, &Unit::Ccf), Ok(25_000));
    }

    #[test]
    fn a_winter_counts_once_it_is_over() {
        let reads = [("2025-12-01", 1, ReadKind::Actual), ("2026-01-01", 9, ReadKind::Actual), ("2026-02-01", 19, ReadKind::Actual)];
        assert_eq!(winter_quarter(&[meter(&reads)], &[12, 1, 2], day("2026-02-28")), None);
        assert!(winter_quarter(&[meter(&reads)], &[12, 1, 2], day("2026-03-01")).is_some());
    }
}
