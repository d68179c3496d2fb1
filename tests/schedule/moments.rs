//! When a cron expression is due, also on the days when clocks are changed.

use aquabills::domain::schedule::Timetable;
use chrono::NaiveDateTime;
use chrono_tz::Tz;
use proptest::prelude::*;

/// A moment in UTC.
fn utc(text: &str) -> NaiveDateTime {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").expect("a moment")
}

fn table(cron: &str, zone: &str) -> Timetable {
    Timetable::parse(cron, zone.parse().expect("a zone")).expect("a timetable")
}

/// The moments within a stretch of UTC, as the wall clock shows them.
fn shown(cron: &str, zone: &str, after: &str, through: &str) -> Vec<String> {
    let table = table(cron, zone);
    let moments: Vec<NaiveDateTime> = table.upcoming(utc(after), 2000).into_iter().take_while(|moment| *moment <= utc(through)).collect();
    for moment in &moments {
        assert_eq!(table.latest(*moment), Some(*moment), "what comes next is the latest when its time has come");
    }
    moments.into_iter().map(|moment| table.local(moment).format("%m-%d %H:%M %z").to_string()).collect()
}

#[test]
fn in_spring_a_time_that_does_not_exist_is_due_once_when_the_clock_has_jumped() {
    for (zone, after, through, expected) in [
        ("America/Los_Angeles", "2026-03-07 12:00", "2026-03-09 12:00", ["03-08 03:00 -0700", "03-09 02:30 -0700"]),
        ("Europe/Berlin", "2026-03-28 12:00", "2026-03-30 12:00", ["03-29 03:00 +0200", "03-30 02:30 +0200"]),
    ] {
        assert_eq!(shown("30 2 * * *", zone, after, through), expected);
    }
    // On Lord Howe half an hour is jumped over: 02:00 to 02:30.
    let of = |cron| shown(cron, "Australia/Lord_Howe", "2026-10-02 18:00", "2026-10-04 18:00");
    assert_eq!(of("15 2 * * *"), ["10-04 02:30 +1100", "10-05 02:15 +1100"]);
    assert_eq!(of("30 2 * * *"), ["10-04 02:30 +1100", "10-05 02:30 +1100"]);
    // Several times that are jumped over, and the one at which the clock arrives, are one moment.
    let of = |cron| shown(cron, "Europe/Berlin", "2026-03-29 00:00", "2026-03-29 01:30");
    assert_eq!(of("0,20,40 2,3 * * *"), ["03-29 03:00 +0200", "03-29 03:20 +0200"]);
}

#[test]
fn in_autumn_a_time_that_is_shown_twice_is_due_the_first_time() {
    for (cron, zone, after, through, expected) in [
        ("30 1 * * *", "America/Los_Angeles", "2026-10-31 12:00", "2026-11-02 12:00", ["11-01 01:30 -0700", "11-02 01:30 -0800"]),
        ("30 2 * * *", "Europe/Berlin", "2026-10-24 12:00", "2026-10-26 12:00", ["10-25 02:30 +0200", "10-26 02:30 +0100"]),
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-03 18:00", "2026-04-05 18:00", ["04-05 01:45 +1100", "04-06 01:45 +1030"]),
    ] {
        assert_eq!(shown(cron, zone, after, through), expected);
    }
    // Also when the expression names several hours, or every minute.
    let of = |cron| shown(cron, "Europe/Berlin", "2026-10-24 23:40", "2026-10-25 02:40");
    assert_eq!(of("30 1-3 * * *"), ["10-25 02:30 +0200", "10-25 03:30 +0100"]);
    assert_eq!(of("*/30 * * * *"), ["10-25 02:00 +0200", "10-25 02:30 +0200", "10-25 03:00 +0100", "10-25 03:30 +0100"]);
    // 01:41 to 02:59, and 03:00 to 03:40
    assert_eq!(of("* * * * *").len(), 79 + 41);
}

#[test]
fn while_an_hour_is_shown_again_what_was_due_in_it_stays_due() {
    let table = table("50 2 * * *", "Europe/Berlin");
    let due = utc("2026-10-25 00:50");
    // 02:10 for the second time, 02:50 for the second time, 03:10
    for now in ["2026-10-25 01:10", "2026-10-25 01:50", "2026-10-25 02:10"] {
        assert_eq!(table.latest(utc(now)), Some(due), "{now}");
        assert_eq!(table.next(utc(now)), Some(utc("2026-10-26 01:50")), "{now}");
    }
}

#[test]
fn a_zone_without_summer_time_has_no_special_days() {
    let shown = shown("30 2 * * *", "America/Phoenix", "2026-03-07 12:00", "2026-03-10 12:00");
    assert_eq!(shown, ["03-08 02:30 -0700", "03-09 02:30 -0700", "03-10 02:30 -0700"]);
}

#[test]
fn ends_of_months_leap_days_and_weekdays() {
    for (cron, after, expected) in [
        ("0 2 L * *", "2026-01-15 00:00", ["2026-01-31", "2026-02-28", "2026-03-31"]),
        ("0 2 29 2 *", "2026-01-15 00:00", ["2028-02-29", "2032-02-29", "2036-02-29"]),
        ("0 2 31 * *", "2026-01-15 00:00", ["2026-01-31", "2026-03-31", "2026-05-31"]),
        ("0 2 * * MON#1", "2026-01-15 00:00", ["2026-02-02", "2026-03-02", "2026-04-06"]),
        ("0 2 1 */3 *", "2026-01-15 00:00", ["2026-04-01", "2026-07-01", "2026-10-01"]),
        ("0 2 13 * FRI", "2026-01-15 00:00", ["2026-01-16", "2026-01-23", "2026-01-30"]),
    ] {
        let moments = table(cron, "UTC").upcoming(utc(after), 3);
        assert_eq!(moments.iter().map(|moment| moment.date().to_string()).collect::<Vec<_>>(), expected, "{cron}");
    }
}

#[test]
fn moments_between_are_counted_up_to_a_limit() {
    let table = table("0 2 * * *", "UTC");
    let count = |after, before, limit| table.count_between(utc(after), utc(before), limit);
    assert_eq!(count("2026-06-15 02:00", "2026-06-18 02:00", 100), 2);
    assert_eq!(count("2026-06-15 02:00", "2026-06-16 02:00", 100), 0);
    assert_eq!(count("2026-06-15 02:00", "2027-06-15 02:00", 100), 100);
}

proptest! {
    /// Forwards and backwards tell of the same moments, in any zone, whatever the clocks do.
    #[test]
    fn forwards_and_backwards_agree(
        minute in 0_i64..3 * 366 * 24 * 60,
        zone in prop::sample::select(vec!["America/Los_Angeles", "Europe/Berlin", "Australia/Lord_Howe", "Africa/Cairo", "America/Havana", "UTC"]),
        cron in prop::sample::select(vec!["30 2 * * *", "*/15 * * * *", "0 0 * * *", "15,45 1-3 * * *", "59 23 L * *", "30 0 1 * MON"]),
        seconds in 0_i64..60,
    ) {
        let table = Timetable::parse(cron, zone.parse::<Tz>().expect("a zone")).expect("a timetable");
        let now = utc("2025-01-01 00:00") + chrono::TimeDelta::minutes(minute) + chrono::TimeDelta::seconds(seconds);
        let next = table.next(now).expect("it goes on");
        let latest = table.latest(now).expect("it went on");
        prop_assert!(latest <= now && now < next);
        prop_assert_eq!(table.next(latest), Some(next));
        prop_assert_eq!(table.latest(next), Some(next));
        prop_assert_eq!(table.latest(next - chrono::TimeDelta::seconds(1)), Some(latest));
    }
}
