//! Limits and yardsticks, by figures worked out by hand.

use super::*;
use crate::domain::ids::RegisterId;

fn register() -> Register {
    Register { id: RegisterId(1), digits: 4, multiplier_milli: 1000, unit: None }
}

fn on(day: &str) -> NaiveDate {
    day.parse().unwrap()
}

fn readings(rows: &[(&str, i64)]) -> Vec<Reading> {
    rows.iter().map(|(day, units)| Reading { on: on(day), milli: units * 1000 }).collect()
}

fn used(units: i64, days: i64) -> Use {
    Use { periods: 1, days, counted_milli: units * 1000 }
}

fn average(units: i64, days: i64) -> Use {
    Use { periods: 6, ..used(units, days) }
}

#[test]
fn a_class_takes_what_it_leaves_out_from_all_classes() {
    let mut book = LimitBook { default: Limits { high_factor: 9, ..Limits::default() }, ..LimitBook::default() };
    book.classes.insert("SHOP".to_owned(), ClassLimits { segment_total_cents: Some(1), ..ClassLimits::default() });
    assert_eq!(book.of("SHOP"), Limits { high_factor: 9, segment_total_cents: 1, ..Limits::default() });
    assert_eq!(book.of("HOME"), book.default);
}

#[test]
fn the_own_average_is_that_of_the_last_six_periods() {
    let rows = readings(&[
        ("2026-01-01", 0),
        ("2026-02-01", 900),
        ("2026-03-01", 910),
        ("2026-04-01", 920),
        ("2026-05-01", 930),
        ("2026-06-01", 940),
        ("2026-07-01", 950),
        ("2026-08-01", 960),
    ]);
    // From 1 February to 1 August: 181 days, 60 units; the first period's 900 is long ago.
    assert_eq!(recent_use(&register(), &rows), Use { periods: 6, days: 181, counted_milli: 60_000 });
    assert_eq!(recent_use(&register(), &rows[..1]), Use::default());
}

#[test]
fn the_season_is_the_same_weeks_a_year_before() {
    let rows = readings(&[("2025-05-03", 100), ("2025-07-02", 180), ("2025-09-01", 300), ("2025-11-01", 310)]);
    let season = |from, to| season_use(&register(), &rows, on(from), on(to));
    assert_eq!(season("2026-07-01", "2026-09-01"), Some(Use { periods: 1, days: 61, counted_milli: 120_000 }));
    assert_eq!(season("2026-05-01", "2026-09-01"), Some(Use { periods: 2, days: 121, counted_milli: 200_000 }));
    // 45 days away at most, and two readings.
    assert_eq!(season("2026-03-01", "2026-05-01"), None);
    assert_eq!(season("2026-07-01", "2026-07-10"), None);
}

#[test]
fn a_summer_like_the_last_one_is_not_doubtful() {
    let limits = Limits::default();
    let (winter, summer) = (average(60, 180), average(300, 60));
    // 6 a day beside 1/3 a day on average: 18 times; beside 5 a day last summer it is nothing new.
    assert!(above_own_average(&limits, &used(360, 60), &winter));
    assert_eq!(too_high(&limits, &used(360, 60), false, &winter, Some(&summer)), None);
    let reason = too_high(&limits, &used(1800, 60), false, &winter, Some(&summer)).unwrap();
    assert!(reason.contains("1800 in 60 days") && reason.contains("same season last year"), "{reason}");
}

#[test]
fn ten_a_hundred_and_a_thousand_times_are_named() {
    let limits = Limits::default();
    let reason = |units| too_high(&limits, &used(units, 30), false, &average(60, 180), None).unwrap();
    // The average is 10 in 30 days.
    for (units, times) in [(100, "10"), (85, "10"), (115, "10"), (1000, "100"), (10_000, "1000")] {
        assert!(reason(units).contains(&format!("the multiplier may be wrong (about {times} times)")), "{units}: {}", reason(units));
    }
    for units in [84, 116, 500, 1160] {
        assert!(!reason(units).contains("multiplier"), "{units}");
    }
}

#[test]
fn low_is_told_only_where_it_matters() {
    let limits = Limits::default();
    // 600 in 180 days is 100 in 30: 4 is less than a twentieth, 5 is not.
    assert!(too_low(&limits, &used(4, 30), &average(600, 180), None).is_some());
    assert_eq!(too_low(&limits, &used(5, 30), &average(600, 180), None), None);
    assert_eq!(too_low(&limits, &used(0, 30), &average(600, 180), None), None, "standing still is another matter");
    assert_eq!(too_low(&limits, &used(1, 30), &average(240, 180), None), None, "40 a month is below the floor");
    // The smaller yardstick counts: last year's winter was as low.
    assert_eq!(too_low(&limits, &used(4, 30), &average(600, 180), Some(&used(50, 30))), None);
    let wrong = too_low(&limits, &used(1, 30), &average(600, 180), None).unwrap();
    assert!(wrong.contains("about one part in 100"), "{wrong}");
}

#[test]
fn a_register_that_stands_still_is_told_at_the_crossing() {
    let limits = Limits::default();
    let rows = readings(&[("2026-01-01", 5), ("2026-02-01", 9), ("2026-03-01", 9), ("2026-04-01", 9), ("2026-05-01", 9), ("2026-06-01", 9)]);
    assert_eq!(stuck_at(&limits, &rows[..4]), None);
    assert_eq!(stuck_at(&limits, &rows[..5]), Some((4, on("2026-02-01"))));
    assert_eq!(stuck_at(&limits, &rows), Some((4, on("2026-02-01"))), "the same crossing, not another one");
    assert_eq!(stuck_at(&limits, &rows[1..]), None, "it never counted");
    assert_eq!(stuck_at(&Limits { zero_periods: 0, ..limits }, &rows), None);
}

#[test]
fn a_read_that_runs_backwards_is_reversed_or_a_rollover() {
    assert!(reversed(&register(), 9_990_000).is_some());
    assert_eq!(reversed(&register(), 15_000), None);
}
