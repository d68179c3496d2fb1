//! What registers count and which periods they make.

use super::*;
use proptest::prelude::*;

fn day(text: &str) -> NaiveDate {
    text.parse().expect("a date")
}

fn register(id: i64, digits: u32) -> Register {
    Register { id: RegisterId(id), digits, multiplier_milli: 1000, unit: None }
}

fn read(id: i64, on: &str, units: i64, kind: ReadKind) -> Read {
    Read { id: ReadId(id), read_on: day(on), reading_milli: units * 1000, kind, held: false }
}

fn reads(id: i64, reads: Vec<Read>) -> RegisterReads {
    RegisterReads { register: register(id, 4), installed_on: None, removed_on: None, reads }
}

fn usage(period: &Period) -> i64 {
    usage_milli(&period.spans, &Unit::Ccf).expect("it fits")
}

#[test]
fn a_register_rolls_over() {
    assert_eq!(register(1, 4).counted_milli(9_990_000, 12_000), (22_000, true));
    assert_eq!(register(1, 4).counted_milli(12_000, 12_000), (0, false));
}

#[test]
fn each_pair_of_reads_is_a_period() {
    let meter = reads(
        1,
        vec![read(1, "2026-01-01", 10, ReadKind::Actual), read(2, "2026-02-01", 15, ReadKind::Actual), read(3, "2026-03-01", 30, ReadKind::Customer)],
    );
    let periods = unbilled_periods(std::slice::from_ref(&meter), None, day("2026-12-31")).expect("no hold");
    assert_eq!(periods.iter().map(usage).collect::<Vec<_>>(), [5_000, 15_000]);
    let later = unbilled_periods(std::slice::from_ref(&meter), Some(day("2026-02-01")), day("2026-12-31")).expect("no hold");
    assert_eq!(later.iter().map(|period| period.start_on).collect::<Vec<_>>(), [day("2026-02-01")]);
    assert_eq!(unbilled_periods(&[meter], Some(day("2026-02-01")), day("2026-02-28")), Ok(Vec::new()));
}

#[test]
fn an_exchange_within_a_period_adds_both_meters() {
    let mut old = reads(1, vec![read(1, "2026-01-01", 9_990, ReadKind::Actual), read(2, "2026-01-20", 5, ReadKind::Removal)]);
    old.removed_on = Some(day("2026-01-20"));
    let mut new = reads(2, vec![read(3, "2026-01-20", 100, ReadKind::Installation), read(4, "2026-02-01", 107, ReadKind::Actual)]);
    new.installed_on = Some(day("2026-01-20"));
    let periods = unbilled_periods(&[old, new], None, day("2026-02-01")).expect("no hold");
    assert_eq!(periods.len(), 1);
    assert_eq!(usage(&periods[0]), 15_000 + 7_000);
    assert_eq!((periods[0].start_on, periods[0].end_on), (day("2026-01-01"), day("2026-02-01")));
}

#[test]
fn a_second_register_that_was_not_read_holds_the_service() {
    let low = reads(1, vec![read(1, "2026-01-01", 1, ReadKind::Actual), read(2, "2026-02-01", 2, ReadKind::Actual)]);
    let high = reads(2, vec![read(3, "2026-01-01", 1, ReadKind::Actual)]);
    let hold = unbilled_periods(&[low, high], None, day("2026-02-01")).expect_err("a hold");
    assert_eq!(hold, MeteringHold::RegisterNotRead { register: RegisterId(2), on: day("2026-02-01") });
}

#[test]
fn a_held_read_holds_every_period_after_it_too() {
    let mut doubtful = read(2, "2026-02-01", 900, ReadKind::Actual);
    doubtful.held = true;
    let meter = reads(1, vec![read(1, "2026-01-01", 10, ReadKind::Actual), doubtful, read(3, "2026-03-01", 20, ReadKind::Actual)]);
    assert_eq!(unbilled_periods(std::slice::from_ref(&meter), None, day("2026-03-01")), Err(MeteringHold::ReadHeld(day("2026-02-01"))));
    assert_eq!(periods_despite_held(&[meter], None, day("2026-03-01")).expect("periods").len(), 2);
}

#[test]
fn units_are_converted_by_their_definitions() {
    let mut span_of = unbilled_periods(
        &[reads(1, vec![read(1, "2026-01-01", 0, ReadKind::Actual), read(2, "2026-02-01", 1_000, ReadKind::Actual)])],
        None,
        day("2026-02-01"),
    )
    .expect("no hold")
    .remove(0)
    .spans;
    span_of[0].register.unit = Some("gal".to_owned());
    // 1000 gal x 231 in3 / 172800 in3 a ccf = 1.336805... ccf
    assert_eq!(usage_milli(&span_of, &Unit::Ccf), Ok(1_337));
    span_of[0].register.unit = Some("barrels".to_owned());
    assert!(matches!(usage_milli(&span_of, &Unit::Ccf), Err(MeteringHold::Units { .. })));
}

proptest! {
    /// Periods tile time without gap or overlap, and what they count is what the register counted in all.
    #[test]
    fn periods_lose_and_invent_nothing(steps in prop::collection::vec((1_i64..90, 0_i64..4_000), 1..30)) {
        let mut on = day("2020-01-01");
        let mut counter = 0;
        let mut list = vec![read(0, "2020-01-01", 0, ReadKind::Actual)];
        for (index, (days, units)) in (1_i64..).zip(&steps) {
            on += chrono::TimeDelta::days(*days);
            counter += units;
            list.push(Read { id: ReadId(index), read_on: on, reading_milli: counter % 10_000 * 1000, kind: ReadKind::Actual, held: false });
        }
        let periods = unbilled_periods(&[reads(1, list)], None, on).expect("no hold");
        prop_assert_eq!(periods.len(), steps.len());
        prop_assert_eq!(periods.iter().map(usage).sum::<i64>(), counter * 1000);
        for pair in periods.windows(2) {
            prop_assert_eq!(pair[0].end_on, pair[1].start_on);
        }
    }
}

#[test]
fn a_real_read_settles_the_estimates_before_it() {
    let meter = reads(
        1,
        vec![
            read(1, "2026-01-01", 100, ReadKind::Actual),
            read(2, "2026-02-01", 130, ReadKind::Estimated),
            read(3, "2026-03-01", 150, ReadKind::Estimated),
            read(4, "2026-04-01", 145, ReadKind::Actual),
        ],
    );
    let periods = unbilled_periods(std::slice::from_ref(&meter), None, day("2026-04-01")).expect("no hold");
    assert_eq!(periods.iter().map(usage).collect::<Vec<_>>(), [30_000, 20_000, 45_000]);
    assert_eq!(periods.iter().map(|period| period.estimated).collect::<Vec<_>>(), [true, true, false]);
    assert_eq!(periods[2].settles_since, Some(day("2026-01-01")));
    // The same when the estimates were billed already: the last period counts from the last real read.
    let later = unbilled_periods(&[meter], Some(day("2026-03-01")), day("2026-04-01")).expect("no hold");
    assert_eq!(later, periods[2..]);
}

#[test]
fn an_exchange_among_estimates_counts_both_meters_from_the_last_real_read() {
    let mut old = reads(
        1,
        vec![
            read(1, "2026-01-01", 100, ReadKind::Actual),
            read(2, "2026-02-01", 130, ReadKind::Estimated),
            read(3, "2026-02-10", 125, ReadKind::Removal),
        ],
    );
    old.removed_on = Some(day("2026-02-10"));
    let mut new = reads(2, vec![read(4, "2026-02-10", 0, ReadKind::Installation), read(5, "2026-03-01", 9, ReadKind::Actual)]);
    new.installed_on = Some(day("2026-02-10"));
    let periods = unbilled_periods(&[old, new], Some(day("2026-02-01")), day("2026-03-01")).expect("no hold");
    assert_eq!(periods.iter().map(usage).collect::<Vec<_>>(), [34_000]);
    assert_eq!(periods[0].settles_since, Some(day("2026-01-01")));
}

#[test]
fn less_than_an_estimate_is_never_taken_for_a_rollover() {
    let low = reads(
        1,
        vec![read(1, "2026-01-01", 1, ReadKind::Actual), read(2, "2026-02-01", 9, ReadKind::Estimated), read(3, "2026-03-01", 5, ReadKind::Actual)],
    );
    let high = reads(
        2,
        vec![
            read(4, "2026-01-01", 1, ReadKind::Actual),
            read(5, "2026-02-01", 2, ReadKind::Estimated),
            read(6, "2026-03-01", 3, ReadKind::Estimated),
        ],
    );
    // One register was read and is below its estimate, the other was estimated again: until both are read the first counts nothing.
    let periods = unbilled_periods(&[low, high], Some(day("2026-02-01")), day("2026-03-01")).expect("no hold");
    assert_eq!((periods.iter().map(usage).collect::<Vec<_>>(), periods[0].estimated), (vec![1_000], true));
}
