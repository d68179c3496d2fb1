//! Who may read the metrics.

use serde::Deserialize;

/// Who may read `/metrics`. Figures of the business are not for everybody: without a token only this machine itself may read
/// them, and never through a proxy; with a token whoever shows it, and nobody else.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsSettings {
    /// Whether there is such a page at all.
    pub enabled: bool,
    /// The environment variable that holds the bearer token: a secret is never in a settings file.
    pub token_env: String,
    /// For how long figures out of the database are shown again before they are asked for anew, in seconds.
    pub cache_seconds: u32,
}

impl Default for MetricsSettings {
    fn default() -> Self {
        Self { enabled: true, token_env: "AQUABILLS_METRICS_TOKEN".to_owned(), cache_seconds: 5 }
    }
}

impl MetricsSettings {
    /// The token, when one is set.
    #[must_use]
    pub fn token(&self) -> Option<String> {
        std::env::var(&self.token_env).ok().filter(|token| !token.is_empty())
    }
}
