//! Limits beyond which a read or a bill waits for a person instead of going out.

use serde::Deserialize;
use std::collections::BTreeMap;

use super::metering::Register;
use super::money::Money;
use super::quantity::from_milli;

/// The limits of one rate class, or of all classes that set none of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// A read is held when its daily usage is more than this many times the service's own recent average.
    pub high_factor: u32,
    /// ... but only when it counted at least this many units: small households swing widely and harmlessly.
    pub high_floor_units: u32,
    /// How many earlier periods the average wants before it is trusted.
    pub history_periods: u32,
    /// A segment above this amount, in cents, is held.
    pub segment_total_cents: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { high_factor: 5, high_floor_units: 50, history_periods: 3, segment_total_cents: 500_000 }
    }
}

/// What a rate class sets otherwise; what it leaves out is as for all classes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClassLimits {
    /// As [`Limits::high_factor`].
    pub high_factor: Option<u32>,
    /// As [`Limits::high_floor_units`].
    pub high_floor_units: Option<u32>,
    /// As [`Limits::history_periods`].
    pub history_periods: Option<u32>,
    /// As [`Limits::segment_total_cents`].
    pub segment_total_cents: Option<i64>,
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

impl LimitBook {
    /// The limits of a rate class.
    #[must_use]
    pub fn of(&self, rate_class: &str) -> Limits {
        let own = self.classes.get(rate_class).copied().unwrap_or_default();
        Limits {
            high_factor: own.high_factor.unwrap_or(self.default.high_factor),
            high_floor_units: own.high_floor_units.unwrap_or(self.default.high_floor_units),
            history_periods: own.history_periods.unwrap_or(self.default.history_periods),
            segment_total_cents: own.segment_total_cents.unwrap_or(self.default.segment_total_cents),
        }
    }
}

/// What a service used lately: the yardstick of the high limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RecentUse {
    /// How many periods it sums.
    pub periods: u32,
    /// Their days.
    pub days: i64,
    /// What was counted in them, in thousandths.
    pub counted_milli: i64,
}

/// Why a read is held.
#[must_use]
pub fn implausible_read(limits: &Limits, register: &Register, counted_milli: i64, days: i64, rolled_over: bool, recent: RecentUse) -> Option<String> {
    let counted = from_milli(counted_milli);
    if counted_milli > register.capacity_milli() / 2 {
        return Some(format!(
            "it is lower than the read before it: as a rollover it would count {counted}, more than half of what the \
             {}-digit register can show, so it may be a reversed read",
            register.digits
        ));
    }
    let enough = recent.periods >= limits.history_periods && recent.days > 0;
    if !enough || counted_milli < i64::from(limits.high_floor_units) * 1000 {
        return None;
    }
    // usage/days > factor * average usage per day, without a division
    let now = i128::from(counted_milli) * i128::from(recent.days);
    let bound = i128::from(limits.high_factor) * i128::from(recent.counted_milli) * i128::from(days.max(1));
    (now > bound).then(|| {
        let how = if rolled_over { " (after a rollover)" } else { "" };
        format!(
            "it counts {counted} in {days} days{how}, more than {} times this service's own average over its last {} periods",
            limits.high_factor, recent.periods
        )
    })
}

/// Why a segment is held.
#[must_use]
pub fn implausible_segment(limits: &Limits, total: Money) -> Option<String> {
    let limit = Money::from_cents(limits.segment_total_cents);
    (total > limit).then(|| format!("its charge of {total} is above the limit of {limit} for one period"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_takes_what_it_leaves_out_from_all_classes() {
        let mut book = LimitBook { default: Limits { high_factor: 9, ..Limits::default() }, ..LimitBook::default() };
        book.classes.insert("SHOP".to_owned(), ClassLimits { segment_total_cents: Some(1), ..ClassLimits::default() });
        assert_eq!(book.of("SHOP"), Limits { high_factor: 9, segment_total_cents: 1, ..Limits::default() });
        assert_eq!(book.of("HOME"), book.default);
    }
}
