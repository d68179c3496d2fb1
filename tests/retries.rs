//! A thousand clients that fail together and come back: the busiest second of their retries is at most three times the mean.
//!
//! The period that is looked at begins with the failure and ends with the last success, and every retry in it counts, the first
//! second's too; the busiest second is the fullest of all stretches of a second, wherever it begins. By full jitter alone this
//! cannot hold, which is shown: the first pause ends after a second at the latest. The pace at which a crowd is let back makes
//! it hold: in a simulation over many seeds and lengths of outage, and with a thousand real events in the inbox.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on must fail loudly")]
#![allow(clippy::print_stdout, reason = "the figures are worth reading when a test is looked at")]

mod support;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::Ordering;

use aquabills::actions::inbox::{settle, settle_at_pace};
use aquabills::actions::stop::Stop;
use aquabills::domain::retry::{FEWEST_ATTEMPTS, HORIZON_HOURS, LONGEST_PAUSE_MS, Pace, Retry, pause_bound_ms, pause_ms, retry};
use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use support::on_both;
use support::plain_provider::{Event, Plain, begin, deliver, waiting};

const CLIENTS: u32 = 1_000;
/// How often the inbox's job looks.
const TICK_MS: u64 = 100;
const MINUTE_MS: u64 = 60_000;

fn moment(ms: u64) -> NaiveDateTime {
    DateTime::<Utc>::from_timestamp_millis(1_781_524_800_000 + i64::try_from(ms).expect("a time")).expect("a moment").naive_utc()
}

/// When the retries were made, in milliseconds since the failure.
#[derive(Debug, Default)]
struct Retries(Vec<u64>);

/// Busiest second and mean of a second, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Load {
    retries: usize,
    seconds: u64,
    busiest: usize,
    mean_milli: u64,
    /// How many times the mean the busiest second has, in hundredths.
    times_percent: u64,
}

impl Retries {
    fn load(&self) -> Load {
        let last = *self.0.iter().max().expect("there are retries");
        let mut times = self.0.clone();
        times.sort_unstable();
        let mut first = 0;
        let mut busiest = 0;
        for (at, time) in times.iter().enumerate() {
            while times[first] + 1_000 <= *time {
                first += 1;
            }
            busiest = busiest.max(at - first + 1);
        }
        let count = u64::try_from(times.len()).expect("a number");
        // A period shorter than a second is a second.
        let mean_milli = count * 1_000_000 / last.max(1_000);
        let times_percent = u64::try_from(busiest).expect("a number") * 100_000 / mean_milli;
        Load { retries: times.len(), seconds: last / 1_000, busiest, mean_milli, times_percent }
    }

    fn in_second(&self, second: u64) -> usize {
        self.0.iter().filter(|time| **time / 1_000 == second).count()
    }
}

/// A thousand clients fail at 0, and whatever they try fails until `outage_ms`; `paced` as the inbox's job does it, else each as
/// soon as its pause is over.
fn simulate(seed: u64, outage_ms: u64, paced: bool) -> Retries {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut due: BinaryHeap<Reverse<(u64, u32)>> = (0..CLIENTS).map(|_| Reverse((pause_ms(1, rng.random()), 1))).collect();
    let (mut pace, mut made, mut now) = (Pace::default(), Retries::default(), 0);
    while let Some(Reverse((next, _))) = due.peek().copied() {
        now = if paced { now + TICK_MS } else { next };
        let mut allowed = if !paced {
            1
        } else if next <= now {
            pace.allows(moment(now), u64::try_from(due.len()).expect("a number"))
        } else {
            0
        };
        while allowed > 0
            && let Some(Reverse((next, attempts))) = due.peek().copied()
            && next <= now
        {
            due.pop();
            allowed -= 1;
            pace.spend(1);
            made.0.push(now);
            if now < outage_ms {
                due.push(Reverse((now + pause_ms(attempts + 1, rng.random()), attempts + 1)));
            }
        }
    }
    made
}

#[test]
fn full_jitter_alone_brings_a_crowd_back_within_its_first_second() {
    for minutes in [0, 1, 60] {
        let retries = simulate(1, minutes * MINUTE_MS, false);
        println!("full jitter alone, out for {minutes} min: {:?}, in the first second {}", retries.load(), retries.in_second(0));
        assert!(retries.in_second(0) >= 999, "the first pause is at most a second");
        assert!(minutes == 0 || retries.load().times_percent > 300, "then the pace would not be needed: {:?}", retries.load());
    }
}

#[test]
fn a_paced_crowd_has_no_second_with_more_than_three_times_the_mean() {
    // Out for nothing at all up to the horizon of three days.
    let outages = [(0, 200), (1, 100), (5, 100), (15, 60), (60, 30), (6 * 60, 4), (72 * 60, 1)];
    for (minutes, seeds) in outages {
        let mut worst: Option<(Load, u64)> = None;
        for seed in 1..=seeds {
            let load = simulate(seed, minutes * MINUTE_MS, true).load();
            assert!(load.times_percent <= 300, "seed {seed}, out for {minutes} min: {load:?}");
            if worst.is_none_or(|(known, _)| known.times_percent < load.times_percent) {
                worst = Some((load, seed));
            }
        }
        println!("paced, out for {minutes} min, {seeds} seeds, the worst: {worst:?}");
    }
}

#[test]
fn a_crowd_of_another_size_keeps_to_it_too() {
    for waiting in [1_000_u64, 2_000, 50_000] {
        let (mut pace, mut made) = (Pace::default(), 0);
        for tick in 0..=200 * 1_000 / TICK_MS {
            let allowed = pace.allows(moment(tick * TICK_MS), waiting);
            pace.spend(allowed);
            made += allowed;
        }
        assert!(made.abs_diff(waiting) <= waiting / 100, "{waiting} pass within 200 seconds, not {made}");
    }
    // Somebody who is alone does not wait, nor does the clock's jump open a flood.
    let mut pace = Pace::default();
    assert_eq!(pace.allows(moment(0), 1), 0, "it is only now that it looks");
    assert_eq!(pace.allows(moment(200), 1), 1);
    pace.spend(1);
    assert_eq!(pace.allows(moment(86_400_000), 100_000), 100, "a fifth of a second's worth");
}

#[test]
fn the_rule_begins_with_a_second_ends_at_a_quarter_of_an_hour_and_gives_up_after_three_days() {
    assert_eq!((pause_bound_ms(1), pause_bound_ms(2), pause_bound_ms(10), pause_bound_ms(11)), (1_000, 2_000, 512_000, LONGEST_PAUSE_MS));
    assert_eq!((LONGEST_PAUSE_MS, HORIZON_HOURS), (900_000, 72));
    // Full jitter: every pause from nothing to the bound is as likely as another.
    let mut rng = StdRng::seed_from_u64(7);
    let mut parts = [0_u32; 10];
    for _ in 0..10_000 {
        parts[usize::try_from(pause_ms(11, rng.random()) * 10 / (LONGEST_PAUSE_MS + 1)).expect("0 to 9")] += 1;
    }
    assert!(parts.iter().all(|count| (850..1_150).contains(count)), "{parts:?}");
    let begun = moment(0);
    let late = begun + TimeDelta::hours(HORIZON_HOURS) + TimeDelta::seconds(1);
    assert_eq!(retry(begun, late, FEWEST_ATTEMPTS, 0), Retry::GiveUp);
    assert_eq!(retry(begun, late, FEWEST_ATTEMPTS - 1, 0), Retry::At(late));
    assert_eq!(retry(begun, begun, 1, 1_000), Retry::At(begun + TimeDelta::seconds(1)));
}

on_both! {
    fn a_thousand_events_that_fail_together_come_back_at_a_pace(town: Town) {
        const OUTAGE_MS: u64 = 3 * MINUTE_MS;
        let mut town = town.with_services(&["A1,S1,HOME,M1"]);
        let plain = Plain::at(&mut town);
        begin(&town, "token", &[("A1", 1_000_000)]);
        for number in 0..CLIENTS {
            let event = Event::payment(&format!("evt_{number}"), 100, &format!("pi_{number}"), "succeeded", 100).with("token", "token");
            deliver(&town, &event);
        }
        // The job finds them all, and nobody understands them.
        plain.mute.store(true, Ordering::SeqCst);
        let set = |ms: u64| town.context.clock.set(moment(ms).and_utc());
        set(0);
        let failed = settle(&town.context, false, &Stop::default()).expect("the inbox is settled").failed;
        assert_eq!(failed, u64::from(CLIENTS));
        let (mut pace, mut made, mut now) = (Pace::default(), Retries::default(), 0);
        while waiting(&town) > 0 {
            now += TICK_MS;
            set(now);
            plain.mute.store(now < OUTAGE_MS, Ordering::SeqCst);
            let settled = settle_at_pace(&town.context, &mut pace, &Stop::default()).expect("the inbox is settled");
            made.0.extend((0..settled.applied + settled.failed).map(|_| now));
            assert!(now < 60 * MINUTE_MS, "they never come to an end");
        }
        let load = made.load();
        println!("a thousand events, out for {} s: {load:?}, in the first second {}", OUTAGE_MS / 1_000, made.in_second(0));
        assert!(load.times_percent <= 300, "{load:?}");
        assert_eq!(town.balance("A1"), "-1000.00", "and each is applied once");
        town.assert_sound();
    }
}
