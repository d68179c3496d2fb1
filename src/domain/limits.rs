//! Limits beyond which a read or a bill waits for a person instead of going out, and the yardsticks that a read is
//! held against: what the service used lately, and what it used in the same season a year ago.

use std::collections::BTreeMap;

use chrono::{Days, Months, NaiveDate};
use serde::Deserialize;

use super::metering::Register;
use super::money::Money;
use super::quantity::{counted, from_milli};

/// Declares the limits once: as they are for all classes, and as what one class sets otherwise.
macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $default:expr),+ $(,)?) => {
        /// The limits of one rate class, or of all classes that set none of their own.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct Limits {$($(#[$doc])* pub $name: $type,)+}

        impl Default for Limits {
            fn default() -> Self {
                Self {$($name: $default,)+}
            }
        }

        /// What a rate class sets otherwise; what it leaves out is as for all classes.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct ClassLimits {$($(#[$doc])* pub $name: Option<$type>,)+}

        impl LimitBook {
            /// The limits of a rate class.
            #[must_use]
            pub fn of(&self, rate_class: &str) -> Limits {
                let own = self.classes.get(rate_class).copied().unwrap_or_default();
                Limits {$($name: own.$name.unwrap_or(self.default.$name),)+}
            }
        }
    };
}

limits! {
    /// A read is held when its daily usage is more than this many times the larger of the service's own recent average
    /// and its use in the same season a year before.
    high_factor: u32 = 5,
    /// ... but only when it counted at least this many units: small households swing widely and harmlessly.
    high_floor_units: u32 = 50,
    /// How many earlier periods the average wants before it is trusted.
    history_periods: u32 = 3,
    /// A segment above this amount, in cents, is held.
    segment_total_cents: i64 = 500_000,
    /// A clerk is told of a read whose daily usage is less than one part in this many of the smaller yardstick; 0 never.
    low_factor: u32 = 20,
    /// A clerk is told of a register that stood still for this many periods in a row although it used to count; 0 never.
    zero_periods: u32 = 3,
    /// How many reads in a row may be estimated.
    max_estimates: u32 = 3,
    /// A read this many days before or after the day that wants one makes an estimate needless.
    estimate_window_days: u32 = 7,
    /// How many days must lie between two reads of a customer's own.
    customer_read_days: u32 = 20,
}

/// Limits for every class, with exceptions by class.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitBook {
    /// What holds for every class that does not say otherwise.
    pub default: Limits,
    /// Exceptions by rate class.
    pub classes: BTreeMap<String, ClassLimits>,
}

/// What a register showed on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The day.
    pub on: NaiveDate,
    /// What it showed, in thousandths.
    pub milli: i64,
}

/// How many earlier periods the own average looks at.
pub const RECENT_PERIODS: usize = 6;
/// How far from a year before a reading may lie and still speak for the same season.
const SEASON_DAYS: u64 = 45;

/// What a service used over some days: a yardstick, or what is held against one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Use {
    /// How many periods it sums.
    pub periods: u32,
    /// Their days.
    pub days: i64,
    /// What was counted in them, in thousandths.
    pub counted_milli: i64,
}

impl Use {
    /// What a register counted over a row of readings in date order.
    #[must_use]
    pub fn over(register: &Register, readings: &[Reading]) -> Self {
        let mut sum = Self::default();
        for (from, to) in readings.iter().zip(readings.iter().skip(1)) {
            sum.periods += 1;
            sum.days += (to.on - from.on).num_days();
            sum.counted_milli += register.counted_milli(from.milli, to.milli).0;
        }
        sum
    }

    /// Whether its daily use is more than `factor` times another's: exact, without a division.
    #[must_use]
    pub fn exceeds(&self, factor: u32, other: &Self) -> bool {
        let now = i128::from(self.counted_milli) * i128::from(other.days.max(1));
        now > i128::from(factor) * i128::from(other.counted_milli) * i128::from(self.days.max(1))
    }

    /// Its daily use in whole percent of another's; none when the other used nothing.
    fn percent_of(&self, other: &Self) -> Option<i128> {
        let base = i128::from(other.counted_milli) * i128::from(self.days.max(1));
        (base > 0).then(|| i128::from(self.counted_milli) * i128::from(other.days.max(1)) * 100 / base)
    }
}

/// The own average: the last periods of a row of real readings in date order.
#[must_use]
pub fn recent_use(register: &Register, readings: &[Reading]) -> Use {
    let first = readings.len().saturating_sub(RECENT_PERIODS + 1);
    Use::over(register, readings.get(first..).unwrap_or_default())
}

/// The same season a year before: between the readings nearest to a year before the first and the last day, each no more
/// than 45 days away from it.
#[must_use]
pub fn season_use(register: &Register, readings: &[Reading], from: NaiveDate, to: NaiveDate) -> Option<Use> {
    let year_before = |day: NaiveDate| day.checked_sub_months(Months::new(12));
    let (first, last) = (nearest(readings, year_before(from)?)?, nearest(readings, year_before(to)?)?);
    (first < last).then(|| Use::over(register, readings.get(first..=last).unwrap_or_default()))
}

fn nearest(readings: &[Reading], day: NaiveDate) -> Option<usize> {
    let (first, last) = (day.checked_sub_days(Days::new(SEASON_DAYS))?, day.checked_add_days(Days::new(SEASON_DAYS))?);
    let near = readings.iter().enumerate().filter(|(_, reading)| (first..=last).contains(&reading.on));
    near.min_by_key(|(_, reading)| (reading.on - day).num_days().abs()).map(|(index, _)| index)
}

/// Why a read looks reversed: as a rollover it would have counted more than half of a round.
#[must_use]
pub fn reversed(register: &Register, counted_milli: i64) -> Option<String> {
    (counted_milli > register.capacity_milli() / 2).then(|| {
        format!(
            "it is lower than the read before it: as a rollover it would count {}, more than half of what the \
             {}-digit register can show, so it may be a reversed read",
            from_milli(counted_milli),
            register.digits
        )
    })
}

/// Whether a use is high beside the own average alone: only then the season is asked, which costs more to find.
#[must_use]
pub fn above_own_average(limits: &Limits, used: &Use, own: &Use) -> bool {
    own.periods >= limits.history_periods && own.days > 0 && used.exceeds(limits.high_factor, own)
}

/// Whether a use is large enough to matter.
#[must_use]
pub fn above_floor(limits: &Limits, used: &Use) -> bool {
    used.counted_milli >= i64::from(limits.high_floor_units) * 1000
}

/// Why a read that is above the own average is held: a summer like the last summer is not doubtful.
#[must_use]
pub fn too_high(limits: &Limits, used: &Use, rolled_over: bool, own: &Use, season: Option<&Use>) -> Option<String> {
    if season.is_some_and(|season| !used.exceeds(limits.high_factor, season)) {
        return None;
    }
    let how = if rolled_over { " (after a rollover)" } else { "" };
    let and_season = if season.is_some() { " and its use in the same season last year" } else { "" };
    let multiplier = match times(used, own).or_else(|| season.and_then(|season| times(used, season))) {
        Some(times) => format!("; the multiplier may be wrong (about {times} times)"),
        None => String::new(),
    };
    Some(format!(
        "it counts {} in {}{how}, more than {} times this service's own average over its last {}{and_season}{multiplier}",
        from_milli(used.counted_milli),
        counted(used.days, "day"),
        limits.high_factor,
        counted(own.periods, "period")
    ))
}

/// Ten, a hundred or a thousand times a yardstick, give or take 15 %: a register with another multiplier counts so.
fn times(used: &Use, yardstick: &Use) -> Option<i128> {
    let percent = used.percent_of(yardstick)?;
    [10, 100, 1000].into_iter().find(|factor| (factor * 85..=factor * 115).contains(&percent))
}

/// Why a clerk should look at a read although it is billed: it is far below the smaller yardstick, and that one is large
/// enough to matter.
#[must_use]
pub fn too_low(limits: &Limits, used: &Use, own: &Use, season: Option<&Use>) -> Option<String> {
    if limits.low_factor == 0 || used.counted_milli == 0 || own.periods < limits.history_periods || own.days <= 0 {
        return None;
    }
    let smaller = season.filter(|season| own.exceeds(1, season)).unwrap_or(own);
    let usual = i128::from(smaller.counted_milli) * i128::from(used.days) / i128::from(smaller.days.max(1));
    let matters = usual >= i128::from(limits.high_floor_units) * 1000;
    if !matters || !smaller.exceeds(limits.low_factor, used) {
        return None;
    }
    let multiplier = match times(smaller, used) {
        Some(times) => format!("; the multiplier may be wrong (about one part in {times})"),
        None => String::new(),
    };
    Some(format!(
        "it counts {} in {}, less than one part in {} of what this service uses{multiplier}",
        from_milli(used.counted_milli),
        counted(used.days, "day"),
        limits.low_factor
    ))
}

/// A register that stands still: which of its readings is the one with which it has done so for too long, and since when.
/// None when it never counted before.
#[must_use]
pub fn stuck_at(limits: &Limits, readings: &[Reading]) -> Option<(usize, NaiveDate)> {
    let periods = usize::try_from(limits.zero_periods).ok().filter(|periods| *periods > 0)?;
    let last = readings.last()?;
    let since = readings.iter().rposition(|reading| reading.milli != last.milli)? + 1;
    let crossing = since + periods;
    let first = readings.get(since)?;
    (crossing < readings.len()).then_some((crossing, first.on))
}

/// Why a segment is held.
#[must_use]
pub fn implausible_segment(limits: &Limits, total: Money) -> Option<String> {
    let limit = Money::from_cents(limits.segment_total_cents);
    (total > limit).then(|| format!("its charge of {total} is above the limit of {limit} for one period"))
}

#[cfg(test)]
#[path = "limits_tests.rs"]
mod tests;
