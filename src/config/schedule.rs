//! When the program bills by itself.

use serde::Deserialize;

/// A run that the program starts by itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleSettings {
    /// Its name: what became of each moment is kept under it.
    pub name: String,
    /// The cycle, or `all`.
    pub cycle: String,
    /// When, as a cron expression (minute hour day month weekday) in the utility's time zone.
    pub cron: String,
    /// Reads up to so many days before the day that it is due are billed.
    #[serde(default)]
    pub days_back: u32,
    /// Whether missing reads are estimated first.
    #[serde(default)]
    pub estimate: bool,
    /// Whether the run is issued when its gates pass; else it waits for review.
    #[serde(default)]
    pub approve: bool,
}
