//! When somebody is told that something is wrong with payments.

use serde::Deserialize;

/// Limits of the alarms. One opens when a figure is above its limit, and is over when the figure has been a fifth below it
/// for `calm_minutes`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlarmSettings {
    /// Whether anybody looks.
    pub enabled: bool,
    /// How often the figures are looked at, in seconds.
    pub look_seconds: u32,
    /// The ledger and the provider may differ by so much, in cents,
    pub delta_cents: i64,
    /// or by more, for so long, in minutes.
    pub delta_minutes: u32,
    /// Deliveries of events that are there already, in a minute.
    pub duplicates_per_minute: u32,
    /// Callbacks in a minute.
    pub callbacks_per_minute: u32,
    /// Callbacks whose signature is wrong, in an hour.
    pub bad_signatures_per_hour: u32,
    /// A payment's event may wait for so long to be applied, in minutes.
    pub unapplied_minutes: u32,
    /// So many events may wait.
    pub inbox_depth: u32,
    /// So many notices may fail in a day, or fail again and again.
    pub notices_failing: u32,
    /// A job may give no sign of life for so long, in minutes.
    pub silent_minutes: u32,
    /// An alarm is over when nothing was wrong for so long, in minutes.
    pub calm_minutes: u32,
}

impl Default for AlarmSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            look_seconds: 15,
            delta_cents: 0,
            delta_minutes: 15,
            duplicates_per_minute: 60,
            callbacks_per_minute: 15_000,
            bad_signatures_per_hour: 3,
            unapplied_minutes: 15,
            inbox_depth: 1_000,
            notices_failing: 20,
            silent_minutes: 5,
            calm_minutes: 5,
        }
    }
}

impl AlarmSettings {
    /// Each setting with whether it fits and what was expected.
    pub(super) fn bounds(&self) -> [(&'static str, bool, &'static str); 6] {
        let day = 1..=24 * 60;
        [
            ("alarms.look_seconds", (1..=600).contains(&self.look_seconds), "1 to 600"),
            ("alarms.delta_cents", self.delta_cents >= 0, "0 or more"),
            ("alarms.delta_minutes", self.delta_minutes <= 24 * 60, "0 to 1440"),
            ("alarms.unapplied_minutes", day.contains(&self.unapplied_minutes), "1 to 1440"),
            ("alarms.silent_minutes", day.contains(&self.silent_minutes), "1 to 1440"),
            ("alarms.calm_minutes", (0..=24 * 60).contains(&self.calm_minutes), "0 to 1440"),
        ]
    }

    /// For how long nobody may have looked, in seconds: longer than a look's own interval.
    #[must_use]
    pub fn silent_seconds(&self) -> i64 {
        (i64::from(self.silent_minutes) * 60).max(i64::from(self.look_seconds) * 4)
    }
}
