//! The sweep for overcharges: whether and when the server does it by itself.

use chrono::NaiveTime;
use serde::{Deserialize, Deserializer};

/// The sweep for overcharges.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OverchargeSettings {
    /// Whether the server derives bills again by itself: after each correction what it touched, and at night everything.
    pub enabled: bool,
    /// When everything is looked at, in the utility's time: `HH:MM`.
    #[serde(deserialize_with = "time_of_day")]
    pub nightly_at: NaiveTime,
    /// Seconds until what a correction touched is looked at.
    pub queue_seconds: u32,
}

impl Default for OverchargeSettings {
    fn default() -> Self {
        Self { enabled: true, nightly_at: NaiveTime::from_hms_opt(2, 30, 0).unwrap_or_default(), queue_seconds: 5 }
    }
}

impl OverchargeSettings {
    /// The settings with whether each fits, and what was expected.
    pub(super) fn bounds(&self) -> [(&'static str, bool, &'static str); 1] {
        [("overcharges.queue_seconds", (1..=60).contains(&self.queue_seconds), "1 to 60")]
    }
}

fn time_of_day<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NaiveTime, D::Error> {
    let text = String::deserialize(deserializer)?;
    NaiveTime::parse_from_str(&text, "%H:%M")
        .map_err(|_| serde::de::Error::custom(format!("overcharges.nightly_at: '{text}' is not a time of day: expected HH:MM, like 02:30")))
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn a_time_that_is_none_is_named() {
        assert!(Config::parse("[overcharges]\nenabled = false\nnightly_at = \"23:05\"").is_ok());
        for wrong in ["nightly_at = \"25:00\"", "nightly_at = \"soon\""] {
            assert!(Config::parse(&format!("[overcharges]\n{wrong}")).is_err_and(|error| error.contains("overcharges.nightly_at")), "{wrong}");
        }
        assert!(Config::parse("[overcharges]\nqueue_seconds = 0").is_err_and(|error| error.contains("overcharges.queue_seconds")));
    }
}
