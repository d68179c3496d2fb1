//! When the program bills by itself.

use chrono_tz::Tz;
use serde::Deserialize;

use crate::domain::schedule::Timetable;

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

/// The longest name of a schedule.
const LONGEST_NAME: usize = 40;
/// The most schedules.
const MOST_SCHEDULES: usize = 200;
/// The most days that a schedule may look back.
const MOST_DAYS_BACK: u32 = 31;

/// Checks every schedule.
///
/// # Errors
/// The first fault: the schedule, the setting, what was expected.
pub(super) fn check(schedules: &[ScheduleSettings], zone: Tz) -> Result<(), String> {
    if schedules.len() > MOST_SCHEDULES {
        return Err(format!("schedule: there are {}: expected {MOST_SCHEDULES} at most", schedules.len()));
    }
    for (at, schedule) in schedules.iter().enumerate() {
        let name = &schedule.name;
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(fits) {
            return Err(format!("schedule {}: name: '{name}': expected up to {LONGEST_NAME} letters, digits, '-', '_' and '.'", at + 1));
        }
        let of = |setting: &str, what: &str| Err(format!("schedule '{name}': {setting}: {what}"));
        if schedules.iter().take(at).any(|other| other.name == *name) {
            return of("name", "another schedule has it: expected names that differ");
        }
        if schedule.cycle.trim().is_empty() {
            return of("cycle", "it is empty: expected a cycle, or all");
        }
        if schedule.days_back > MOST_DAYS_BACK {
            return of("days_back", &format!("{}: expected 0 to {MOST_DAYS_BACK}", schedule.days_back));
        }
        if let Err(fault) = Timetable::parse(&schedule.cron, zone) {
            return of("cron", &fault);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn fault(changes: &[(&str, &str)]) -> String {
        let mut fields = vec![("name", "\"north\""), ("cycle", "\"north\""), ("cron", "\"30 2 1 * *\"")];
        for (key, value) in changes {
            fields.retain(|(field, _)| field != key);
            fields.push((key, value));
        }
        let table: String = fields.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        Config::parse(&format!("[[schedule]]\nname = \"west\"\ncycle = \"west\"\ncron = \"0 3 * * *\"\n[[schedule]]\n{table}"))
            .err()
            .unwrap_or_default()
    }

    #[test]
    fn what_is_wrong_with_a_schedule_is_named() {
        assert_eq!(fault(&[]), "");
        assert_eq!(fault(&[("days_back", "31"), ("estimate", "true"), ("approve", "true")]), "");
        for (change, expected) in [
            (("name", "\"\""), "schedule 2: name"),
            (("name", "\"no rth\""), "schedule 2: name"),
            (("name", "\"west\""), "schedule 'west': name: another"),
            (("cycle", "\" \""), "schedule 'north': cycle: it is empty"),
            (("days_back", "32"), "schedule 'north': days_back: 32: expected 0 to 31"),
            (("cron", "\"30 2 1 *\""), "schedule 'north': cron: '30 2 1 *' has 4 fields: expected 5"),
            (("cron", "\"0 30 2 1 * *\""), "has 6 fields"),
            (("cron", "\"@daily\""), "has 1 fields"),
            (("cron", "\"61 2 1 * *\""), "schedule 'north': cron: '61 2 1 * *' is no cron expression"),
            (("cron", "\"30 2 30 2 *\""), "schedule 'north': cron: '30 2 30 2 *' never happens"),
            (("cron", "\"\""), "schedule 'north': cron"),
            (("colour", "\"blue\""), "colour"),
        ] {
            assert!(fault(&[change]).contains(expected), "{change:?}: {}", fault(&[change]));
        }
    }
}
