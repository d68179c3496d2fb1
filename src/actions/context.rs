//! What every verb needs: the database, the settings, the clock, and who acts.

use std::sync::Arc;

use chrono::{NaiveDate, NaiveDateTime};

use crate::clock::Clock;
use crate::config::Config;
use crate::db::Database;
use crate::providers::ProviderBook;

/// What every verb needs. Cloning it is cheap.
#[derive(Clone)]
pub struct Context {
    /// The database.
    pub database: Database,
    /// The utility's settings.
    pub config: Arc<Config>,
    /// The payment providers.
    pub providers: ProviderBook,
    /// The clock.
    pub clock: Clock,
    /// Who acts, for the audit trail.
    pub actor: String,
}

impl Context {
    /// Now, UTC.
    #[must_use]
    pub fn now(&self) -> NaiveDateTime {
        self.clock.now()
    }

    /// Today, the utility's.
    #[must_use]
    pub fn today(&self) -> NaiveDate {
        self.clock.today(self.config.time_zone)
    }
}
