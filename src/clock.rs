//! The clock is a parameter: nothing below `main` asks the operating system for the time.
//!
//! Times are UTC in the database. Dates are the utility's own: [`Clock::today`] turns one into the other.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, NaiveDate, NaiveDateTime, SubsecRound, Utc};
use chrono_tz::Tz;

/// Where the time comes from: the machine, or a test.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The machine's own clock.
    System,
    /// A clock that stands still until it is moved.
    Simulated(Arc<Mutex<DateTime<Utc>>>),
}

impl Clock {
    /// A clock that stands at `at` until [`Clock::set`] moves it.
    #[must_use]
    pub fn simulated(at: DateTime<Utc>) -> Self {
        Self::Simulated(Arc::new(Mutex::new(at)))
    }

    /// Moves a simulated clock; the system's clock is not ours to move, so there it does nothing.
    pub fn set(&self, at: DateTime<Utc>) {
        if let Self::Simulated(now) = self {
            *now.lock().unwrap_or_else(PoisonError::into_inner) = at;
        }
    }

    /// Now, in UTC, to the microsecond (the precision that both databases keep).
    #[must_use]
    pub fn now(&self) -> NaiveDateTime {
        let now = match self {
            // The one place that may ask the machine for the time.
            #[allow(clippy::disallowed_methods, reason = "the clock is what everybody else takes")]
            Self::System => Utc::now(),
            Self::Simulated(now) => *now.lock().unwrap_or_else(PoisonError::into_inner),
        };
        now.naive_utc().trunc_subsecs(6)
    }

    /// Today in the utility's time zone.
    #[must_use]
    pub fn today(&self, time_zone: Tz) -> NaiveDate {
        local_date(self.now(), time_zone)
    }
}

/// The utility's date at a moment in UTC.
#[must_use]
pub fn local_date(at: NaiveDateTime, time_zone: Tz) -> NaiveDate {
    at.and_utc().with_timezone(&time_zone).date_naive()
}
