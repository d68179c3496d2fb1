//! When something that failed over there is tried again: one rule for mail, for payment providers, for the inbox.
//!
//! Full jitter: each pause is random between nothing and a bound that doubles, so that a thousand clients that failed together
//! do not come back together. One that is alone needs nothing more. A crowd does: the first pause ends after a second, so a
//! thousand that failed together would all be back within it, whatever the jitter. [`Pace`] lets a crowd through evenly.

use chrono::{NaiveDateTime, TimeDelta};

/// The bound of the pause after the first failed attempt; it doubles with each.
pub const FIRST_PAUSE_MS: u64 = 1_000;
/// No pause is longer.
pub const LONGEST_PAUSE_MS: u64 = 15 * 60 * 1_000;
/// After so long it is given up.
pub const HORIZON_HOURS: i64 = 72;
/// But not before so many attempts: what waited because nothing was sent at all (the program was off) is not given up
/// when the other side says "come back in five minutes" for the first time.
pub const FEWEST_ATTEMPTS: u32 = 12;

/// What becomes of something that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It is tried again then.
    At(NaiveDateTime),
    /// It is given up.
    GiveUp,
}

/// The longest pause after so many failed attempts: it begins with a second, doubles, and ends at a quarter of an hour.
#[must_use]
pub fn pause_bound_ms(attempts: u32) -> u64 {
    let doublings = attempts.saturating_sub(1).min(32);
    (FIRST_PAUSE_MS << doublings).min(LONGEST_PAUSE_MS)
}

/// The pause after so many failed attempts: `luck` (any number) taken into 0 to the bound.
#[must_use]
pub fn pause_ms(attempts: u32, luck: u64) -> u64 {
    luck % (pause_bound_ms(attempts) + 1)
}

/// When what was begun at `created_at` and failed for the `attempts`th time at `now` is tried again.
#[must_use]
pub fn retry(created_at: NaiveDateTime, now: NaiveDateTime, attempts: u32, luck: u64) -> Retry {
    let next = now + TimeDelta::milliseconds(i64::try_from(pause_ms(attempts, luck)).unwrap_or(0));
    let too_late = next > created_at + TimeDelta::hours(HORIZON_HOURS);
    if too_late && attempts >= FEWEST_ATTEMPTS { Retry::GiveUp } else { Retry::At(next) }
}

/// All that wait for another attempt are let through within so many seconds, when they are all due.
pub const CROWD_SPREAD_SECONDS: u64 = 200;
/// So many in a second are no crowd.
pub const SMALLEST_CROWD_PER_SECOND: u64 = 5;

/// How many of `waiting` that failed before may come back in one round, where rounds are a second apart or more: what [`Pace`]
/// allows in a second, for whoever looks too seldom to need its finer measure.
#[must_use]
pub fn most_of_a_round(waiting: i64) -> i64 {
    let spread = i64::try_from(CROWD_SPREAD_SECONDS).unwrap_or(i64::MAX);
    let few = i64::try_from(SMALLEST_CROWD_PER_SECOND).unwrap_or(i64::MAX);
    (waiting / spread).max(few)
}

/// How fast those that failed may come back: evenly, the more of them wait the faster. What is tried for the first time is not
/// counted.
///
/// A client with the longest pauses comes back every 450 seconds on average, and no second sees more than one in 200 (and a fifth of
/// that, for what was left over): less than three times as many as the mean, however long it lasts and however many they are.
#[derive(Debug, Clone, Default)]
pub struct Pace {
    looked_at: Option<NaiveDateTime>,
    /// Thousandths of an attempt that may be made.
    credit: u64,
}

impl Pace {
    /// How many attempts may be made now, when `waiting` wait for another attempt.
    pub fn allows(&mut self, now: NaiveDateTime, waiting: u64) -> u64 {
        let per_second = (waiting.saturating_mul(1_000) / CROWD_SPREAD_SECONDS).max(SMALLEST_CROWD_PER_SECOND * 1_000);
        let elapsed_ms = self.looked_at.map_or(0, |last| (now - last).num_milliseconds()).clamp(0, 1_000);
        self.looked_at = Some(now);
        let gained = per_second.saturating_mul(u64::try_from(elapsed_ms).unwrap_or(0)) / 1_000;
        self.credit = self.credit.saturating_add(gained).min((per_second / 5).max(1_000));
        self.credit / 1_000
    }

    /// Notes that so many were made.
    pub fn spend(&mut self, attempts: u64) {
        self.credit = self.credit.saturating_sub(attempts.saturating_mul(1_000));
    }
}
