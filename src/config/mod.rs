//! What a utility may set: a TOML file, and a few environment variables for deployment.
//!
//! Every setting has a default that works; the file is `aquabills.toml` in the working directory unless
//! `AQUABILLS_CONFIG` or `--config` names another. An unknown setting is refused with its name.

mod alarms;
mod autopay;
mod bank;
mod mail;
mod metrics;
mod overcharges;
mod providers;
mod reconciliation;
mod schedule;
mod sign_in;
mod telemetry;

use std::path::Path;

use chrono_tz::Tz;
use serde::Deserialize;
use thiserror::Error;

use crate::domain::gates::GateLimits;
use crate::domain::limits::LimitBook;

pub use alarms::AlarmSettings;
pub use autopay::AutopaySettings;
pub use bank::{BankSettings, PayoutSettings};
pub use mail::{MailSecurity, MailSettings, MailTransport};
pub use metrics::MetricsSettings;
pub use overcharges::OverchargeSettings;
pub(crate) use providers::is_this_machine;
pub use providers::{ProviderKind, ProviderSettings, Secret};
pub use reconciliation::ReconciliationSettings;
pub use schedule::ScheduleSettings;
pub use sign_in::SignInSettings;
pub use telemetry::{LogFormat, LogSettings, TelemetrySettings};

/// The settings of one utility.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The name on pages and bills.
    pub utility_name: String,
    /// The utility's time zone: what "today" and the date of a posting mean.
    pub time_zone: Tz,
    /// ISO 4217 code of the currency, with two decimals.
    pub currency: String,
    /// How customers pay, in the utility's own words: shown beside what is due, line by line.
    pub how_to_pay: String,
    /// Days from a bill's date to its due date.
    pub due_days: u32,
    /// What bills are printed on.
    pub paper: Paper,
    /// Where the web application listens.
    pub listen: String,
    /// The address under which people reach the pages, for links in notices.
    pub public_url: String,
    /// Limits that hold reads and bills.
    pub limits: LimitBook,
    /// Limits of a bill run's gates.
    pub gates: GateLimits,
    /// Bill runs.
    pub runs: RunSettings,
    /// Runs that the program starts by itself.
    pub schedule: Vec<ScheduleSettings>,
    /// Sessions, passwords and guesses.
    pub sign_in: SignInSettings,
    /// How notices leave.
    pub mail: MailSettings,
    /// How bills are drawn from saved ways to pay.
    pub autopay: AutopaySettings,
    /// When somebody is told that something is wrong.
    pub alarms: AlarmSettings,
    /// Who may read the metrics.
    pub metrics: MetricsSettings,
    /// How log lines look.
    pub log: LogSettings,
    /// Traces for a collector.
    pub telemetry: TelemetrySettings,
    /// Payment providers; the first is the one that pages pay with.
    pub providers: Vec<ProviderSettings>,
    /// Ledger, providers and bank beside each other.
    pub reconciliation: ReconciliationSettings,
    /// What banks send.
    pub bank: BankSettings,
    /// The sweep for overcharges.
    pub overcharges: OverchargeSettings,
}

/// What is said of paying when the utility says nothing.
const HOW_TO_PAY: &str = "Pay by bank transfer with your account number as the reference, \
    or by cheque, card or in cash at our office. A payment shows here as soon as it has arrived.";

/// What bills are printed on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Paper {
    /// 8½ by 11 inches.
    #[default]
    Letter,
    /// 210 by 297 millimetres.
    A4,
}

/// How bill runs work.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunSettings {
    /// Accounts in one chunk: the unit that is claimed, committed and resumed.
    pub chunk_accounts: usize,
    /// Workers of one process; 0 means one for each processor.
    pub workers: usize,
    /// How long a runner's lease lasts without a sign of life, in milliseconds.
    pub lease_ms: u64,
}

impl Default for RunSettings {
    fn default() -> Self {
        Self { chunk_accounts: 1000, workers: 0, lease_ms: 15_000 }
    }
}

impl RunSettings {
    /// How many workers to start.
    #[must_use]
    pub fn worker_count(&self) -> usize {
        if self.workers > 0 { self.workers } else { std::thread::available_parallelism().map_or(1, std::num::NonZero::get) }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            utility_name: "AquaBills".to_owned(),
            time_zone: Tz::UTC,
            currency: "USD".to_owned(),
            how_to_pay: HOW_TO_PAY.to_owned(),
            due_days: 21,
            paper: Paper::Letter,
            listen: "127.0.0.1:8080".to_owned(),
            public_url: "http://127.0.0.1:8080".to_owned(),
            limits: LimitBook::default(),
            gates: GateLimits::default(),
            runs: RunSettings::default(),
            schedule: Vec::new(),
            sign_in: SignInSettings::default(),
            mail: MailSettings::default(),
            autopay: AutopaySettings::default(),
            alarms: AlarmSettings::default(),
            metrics: MetricsSettings::default(),
            log: LogSettings::default(),
            telemetry: TelemetrySettings::default(),
            providers: Vec::new(),
            reconciliation: ReconciliationSettings::default(),
            bank: BankSettings::default(),
            overcharges: OverchargeSettings::default(),
        }
    }
}

/// Why the settings cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML, or has a setting that is not known or out of range.
    #[error("{path}: {message}")]
    Invalid {
        /// The file.
        path: String,
        /// What is wrong, and where.
        message: String,
    },
}

impl Config {
    /// Reads the settings from a file; without a path, from `aquabills.toml` when it is there.
    ///
    /// # Errors
    /// [`ConfigError`] when a named file is missing, or its content is not valid.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let default = Path::new("aquabills.toml");
        let mut config = match path.or_else(|| default.exists().then_some(default)) {
            None => Self::default(),
            Some(path) => {
                let name = path.display().to_string();
                let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: name.clone(), source })?;
                Self::parse(&text).map_err(|message| ConfigError::Invalid { path: name, message })?
            }
        };
        if let Ok(format) = std::env::var(telemetry::LOG_FORMAT_ENV) {
            config.log.format = format.parse().map_err(|message| ConfigError::Invalid { path: telemetry::LOG_FORMAT_ENV.to_owned(), message })?;
        }
        Ok(config)
    }

    /// Parses settings.
    ///
    /// # Errors
    /// What is wrong, with its place.
    pub fn parse(text: &str) -> Result<Self, String> {
        let config: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        let bounds = [
            ("runs.chunk_accounts", (1..=10_000).contains(&config.runs.chunk_accounts), "1 to 10000"),
            ("runs.workers", config.runs.workers <= 256, "0 to 256"),
            ("runs.lease_ms", (100..=3_600_000).contains(&config.runs.lease_ms), "100 to 3600000"),
            ("gates.recompute_one_in", config.gates.recompute_one_in >= 1, "1 or more"),
            ("due_days", config.due_days <= 365, "0 to 365"),
            ("currency", config.currency.len() == 3 && config.currency.bytes().all(|b| b.is_ascii_uppercase()), "three capital letters"),
        ];
        let sign_in = config.sign_in.bounds();
        let (alarms, telemetry) = (config.alarms.bounds(), config.telemetry.bounds());
        let fault = bounds
            .iter()
            .chain(&sign_in)
            .chain(&config.autopay.bounds())
            .chain(&alarms)
            .chain(&telemetry)
            .chain(&config.overcharges.bounds())
            .find(|(_, fits, _)| !fits)
            .map(|(name, _, expected)| format!("{name}: expected {expected}"));
        let fault = fault.or_else(|| config.mail.fault()).or_else(|| schedule::check(&config.schedule, config.time_zone).err());
        let fault = fault.or_else(|| providers::check(&config.providers).err());
        let fault = fault.or_else(|| config.reconciliation.fault());
        let fault = fault.or_else(|| config.bank.fault());
        fault.map_or(Ok(config), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_defaults() {
        assert_eq!(Config::parse(""), Ok(Config::default()));
    }

    #[test]
    fn what_is_not_known_or_not_possible_is_named() {
        assert!(Config::parse("colour = \"blue\"").is_err_and(|error| error.contains("colour")));
        assert!(Config::parse("[runs]\nchunk_accounts = 0").is_err_and(|error| error.contains("runs.chunk_accounts")));
        assert!(Config::parse("time_zone = \"Mars/Olympus\"").is_err());
        assert!(Config::parse("time_zone = \"America/Los_Angeles\"").is_ok());
    }
}
