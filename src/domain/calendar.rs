//! Billing periods of services without a meter: stormwater, fire standby, refuse.
//!
//! Nothing is read, so the calendar says when a period ends: on the first day of a month, of every second month, of a
//! quarter, as often as the tariff bills. So the periods do not depend on when runs happen.

use chrono::{Datelike, Days, Months, NaiveDate};

use super::metering::Period;

/// No run bills more periods of one service than these at once: ten years of months.
const MOST_PERIODS: usize = 120;

/// The unbilled periods that have ended by `through`, oldest first. The closing day is the first of the next period.
///
/// `months_on` is the length of a whole period that begins on a day. The first one begins on `start_on` and the last one ends on `end_on`
/// whatever the calendar says; each knows the days of the whole period that it is cut from.
#[must_use]
pub fn calendar_periods(
    start_on: NaiveDate,
    end_on: Option<NaiveDate>,
    billed_through: Option<NaiveDate>,
    through: NaiveDate,
    months_on: &dyn Fn(NaiveDate) -> u32,
) -> Vec<Period> {
    let mut periods = Vec::new();
    let mut from = billed_through.unwrap_or(start_on);
    while periods.len() < MOST_PERIODS {
        let Some((whole_from, whole_to)) = around(from, months_on(from).max(1)) else { break };
        let to = end_on.map_or(whole_to, |end| end.min(whole_to));
        if to <= from || to > through {
            break;
        }
        let whole_days = u32::try_from((whole_to - whole_from).num_days()).ok();
        periods.push(Period { start_on: from, end_on: to, spans: Vec::new(), estimated: false, settles_since: None, whole_days });
        from = to;
    }
    periods
}

/// The calendar period that a day belongs to: its first day and the first of the next one. Periods of several months
/// are counted from January.
fn around(day: NaiveDate, months: u32) -> Option<(NaiveDate, NaiveDate)> {
    let into = day.month0() % months;
    let first = day.checked_sub_days(Days::new(u64::from(day.day0())))?.checked_sub_months(Months::new(into))?;
    Some((first, first.checked_add_months(Months::new(months))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a date")
    }

    fn bounds(periods: &[Period]) -> Vec<(String, String, Option<u32>)> {
        periods.iter().map(|period| (period.start_on.to_string(), period.end_on.to_string(), period.whole_days)).collect()
    }

    #[test]
    fn months_begin_on_their_first_day() {
        let periods = calendar_periods(day("2026-01-10"), Some(day("2026-03-20")), None, day("2026-12-31"), &|_| 1);
        let expected = [("2026-01-10", "2026-02-01", 31), ("2026-02-01", "2026-03-01", 28), ("2026-03-01", "2026-03-20", 31)];
        let expected: Vec<_> = expected.map(|(from, to, days)| (from.to_owned(), to.to_owned(), Some(days))).into();
        assert_eq!(bounds(&periods), expected);
    }

    #[test]
    fn a_period_is_billed_once_it_has_ended_and_only_once() {
        let start = day("2026-01-01");
        assert_eq!(calendar_periods(start, None, None, day("2026-01-31"), &|_| 1), []);
        assert_eq!(calendar_periods(start, None, None, day("2026-02-01"), &|_| 1).len(), 1);
        assert_eq!(calendar_periods(start, None, Some(day("2026-02-01")), day("2026-02-28"), &|_| 1), []);
    }

    #[test]
    fn quarters_count_from_january() {
        let periods = calendar_periods(day("2026-02-15"), None, None, day("2026-07-01"), &|_| 3);
        assert_eq!(periods.iter().map(|period| period.end_on.to_string()).collect::<Vec<_>>(), ["2026-04-01", "2026-07-01"]);
        assert_eq!(periods[0].whole_days, Some(90));
    }

    #[test]
    fn a_schedule_that_is_billed_less_often_later_cuts_one_period() {
        let months = |on: NaiveDate| if on < day("2026-02-01") { 1 } else { 3 };
        let periods = calendar_periods(day("2026-01-01"), None, None, day("2026-07-01"), &months);
        let expected = [("2026-01-01", "2026-02-01", 31), ("2026-02-01", "2026-04-01", 90), ("2026-04-01", "2026-07-01", 91)];
        assert_eq!(bounds(&periods), expected.map(|(from, to, days)| (from.to_owned(), to.to_owned(), Some(days))));
    }

    #[test]
    fn the_number_of_periods_is_bounded() {
        assert_eq!(calendar_periods(day("1900-01-01"), None, None, day("2026-01-01"), &|_| 1).len(), MOST_PERIODS);
    }
}
