//! When a schedule is due: from cron text, in the utility's time zone, to moments.
//!
//! One rule for every expression, also on the days when clocks are changed: each time of the wall clock happens once.
//! - In spring a time that the clock jumps over is due at the first moment after the jump: 02:30 at 03:00. Several
//!   that it jumps over are due there together, once.
//! - In autumn a time that the clock shows twice is due the first time only.

use chrono::{DateTime, NaiveDate, NaiveDateTime, SubsecRound, TimeDelta, TimeZone};
use chrono::{LocalResult, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

/// Fields of a cron expression: minute, hour, day, month, weekday.
const FIELDS: usize = 5;
/// The longest stretch that a clock was ever set forward by is a day; in minutes, with room.
const LONGEST_GAP_MINUTES: i64 = 2 * 24 * 60;
/// Times of the wall clock that are looked at for one moment, at most.
const LONGEST_SEARCH: usize = 4 * 24 * 60;

/// A cron expression in a time zone.
#[derive(Debug, Clone)]
pub struct Timetable {
    cron: Cron,
    text: String,
    zone: Tz,
}

impl Timetable {
    /// Parses five fields: minute, hour, day of the month, month, weekday. `L` is the last day of a month, `15W` the
    /// weekday nearest to the 15th, `MON#1` the first Monday; a day and a weekday together mean either.
    ///
    /// # Errors
    /// What is wrong, and what was expected.
    pub fn parse(text: &str, zone: Tz) -> Result<Self, String> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        if fields.len() != FIELDS {
            return Err(format!(
                "'{text}' has {} fields: expected 5 (minute hour day month weekday), as in '30 2 1 * *' for the 1st of each month at 02:30",
                fields.len()
            ));
        }
        let text = fields.join(" ");
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(&text).map_err(|error| format!("'{text}' is no cron expression: {error}"))?;
        let table = Self { cron, text, zone };
        match NaiveDate::from_ymd_opt(2000, 1, 1).map(NaiveDateTime::from) {
            Some(start) if table.cron.find_next_occurrence(&start, true).is_ok() => Ok(table),
            _ => Err(format!("'{}' never happens: expected a day that exists", table.text)),
        }
    }

    /// The latest moment up to `now`; both are UTC.
    #[must_use]
    pub fn latest(&self, now: NaiveDateTime) -> Option<NaiveDateTime> {
        let local = self.local(now);
        let mut wall = local.naive_local().trunc_subsecs(0);
        // While the clock shows an hour again, times of that hour that it has not reached again were due already.
        if let LocalResult::Ambiguous(first, second) = self.zone.from_local_datetime(&wall)
            && local >= second
        {
            wall += second - first;
        }
        let mut inclusive = true;
        for _ in 0..LONGEST_SEARCH {
            wall = self.cron.find_previous_occurrence(&wall, inclusive).ok()?;
            inclusive = false;
            let moment = self.moment(wall)?;
            if moment <= now {
                return Some(moment);
            }
        }
        None
    }

    /// The first moment later than `after`; both are UTC.
    #[must_use]
    pub fn next(&self, after: NaiveDateTime) -> Option<NaiveDateTime> {
        let mut wall = self.local(after).naive_local().trunc_subsecs(0);
        for _ in 0..LONGEST_SEARCH {
            wall = self.cron.find_next_occurrence(&wall, false).ok()?;
            let moment = self.moment(wall)?;
            if moment > after {
                return Some(moment);
            }
        }
        None
    }

    /// The first `count` moments later than `after`.
    #[must_use]
    pub fn upcoming(&self, after: NaiveDateTime, count: usize) -> Vec<NaiveDateTime> {
        std::iter::successors(self.next(after), |moment| self.next(*moment)).take(count).collect()
    }

    /// How many moments lie between two, without either; not more than `limit` are counted.
    #[must_use]
    pub fn count_between(&self, after: NaiveDateTime, before: NaiveDateTime, limit: usize) -> usize {
        std::iter::successors(self.next(after), |moment| self.next(*moment)).take(limit).take_while(|moment| *moment < before).count()
    }

    /// The wall clock at a moment.
    #[must_use]
    pub fn local(&self, moment: NaiveDateTime) -> DateTime<Tz> {
        moment.and_utc().with_timezone(&self.zone)
    }

    /// A moment as people of the utility read it, with the zone's letters.
    #[must_use]
    pub fn local_text(&self, moment: NaiveDateTime) -> String {
        self.local(moment).format("%Y-%m-%d %H:%M %Z").to_string()
    }

    /// The expression with its zone: another name is another timetable.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} {}", self.text, self.zone.name())
    }

    /// When the wall clock shows this time first, or would if it did not jump over it; UTC.
    fn moment(&self, wall: NaiveDateTime) -> Option<NaiveDateTime> {
        let first = |wall: NaiveDateTime| match self.zone.from_local_datetime(&wall) {
            LocalResult::Single(moment) | LocalResult::Ambiguous(moment, _) => Some(moment.with_timezone(&Utc).naive_utc()),
            LocalResult::None => None,
        };
        (0..LONGEST_GAP_MINUTES).find_map(|minutes| first(wall.checked_add_signed(TimeDelta::minutes(minutes))?))
    }
}
