//! When something that failed over there is tried again: one rule for mail, for payment providers, for the inbox.
//!
//! Full jitter: each pause is random between nothing and a bound that doubles, so that a thousand clients that failed together
//! do not come back together.

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
