//! Log lines, and traces for a collector.

use std::str::FromStr;

use serde::Deserialize;

/// The environment variable that says the form of log lines whatever the file says.
pub(super) const LOG_FORMAT_ENV: &str = "AQUABILLS_LOG_FORMAT";

/// How log lines look. What is logged is said by `RUST_LOG`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// `text` or `json`.
    pub format: LogFormat,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(format!("'{other}': expected text or json")),
        }
    }
}

/// Traces for a collector of OpenTelemetry. Off unless an endpoint is named.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetrySettings {
    /// The collector, such as `http://localhost:4318`: spans are sent to its `/v1/traces`. Empty is nowhere.
    pub otlp_endpoint: String,
    /// The name of this service over there.
    pub service_name: String,
    /// So many spans may wait for being sent; what comes beyond is dropped and counted.
    pub queue: u32,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self { otlp_endpoint: String::new(), service_name: "aquabills".to_owned(), queue: 4_096 }
    }
}

impl TelemetrySettings {
    /// Each setting with whether it fits and what was expected.
    pub(super) fn bounds(&self) -> [(&'static str, bool, &'static str); 2] {
        let endpoint = &self.otlp_endpoint;
        let is_address = endpoint.is_empty() || endpoint.starts_with("http://") || endpoint.starts_with("https://");
        [
            ("telemetry.otlp_endpoint", is_address, "an address like http://localhost:4318"),
            ("telemetry.queue", (1..=1_000_000).contains(&self.queue), "1 to 1000000"),
        ]
    }
}
