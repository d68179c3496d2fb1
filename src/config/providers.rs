//! Payment providers: who they are, where they are, and where our secrets with them are found.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;

/// Something that nobody may read in a log: it prints as `(secret)`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for whoever must use it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// Which interface a provider speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// Stripe's, which the sandbox speaks, too.
    #[default]
    Stripe,
}

/// One payment provider.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProviderSettings {
    /// Its name in tables and in the address of its callbacks: small letters, digits and hyphens.
    pub name: String,
    /// Which interface it speaks.
    pub kind: ProviderKind,
    /// Our identity with it, such as `acct_1MoRdlLgUG5tbmjc`.
    pub merchant: String,
    /// Where its interface is.
    pub base_url: String,
    /// The environment variable that holds the secret key.
    pub secret_key_env: String,
    /// The secret key itself, where no environment can hold it. It goes before the environment.
    pub secret_key: Option<Secret>,
    /// The environment variable that holds the secrets of callbacks, with commas between them.
    pub webhook_secrets_env: String,
    /// The secrets of callbacks themselves, where no environment can hold them: several while one replaces another.
    pub webhook_secrets: Vec<Secret>,
    /// How far the time of a callback's signature may be away from now, in seconds.
    pub tolerance_seconds: u32,
    /// How long a call may take, in milliseconds.
    pub timeout_ms: u32,
    /// The least that it takes at once, in cents: 50 for US dollars at Stripe.
    pub least_amount_cents: u32,
}

impl Default for ProviderSettings {
    fn default() -> Self {
        Self {
            name: "stripe".to_owned(),
            kind: ProviderKind::Stripe,
            merchant: String::new(),
            base_url: "https://api.stripe.com".to_owned(),
            secret_key_env: "AQUABILLS_STRIPE_SECRET_KEY".to_owned(),
            secret_key: None,
            webhook_secrets_env: "AQUABILLS_STRIPE_WEBHOOK_SECRETS".to_owned(),
            webhook_secrets: Vec::new(),
            tolerance_seconds: 300,
            timeout_ms: 20_000,
            least_amount_cents: 50,
        }
    }
}

impl ProviderSettings {
    /// The secret key: from the settings, else from the environment.
    ///
    /// # Errors
    /// Where it should have been.
    pub fn key(&self) -> Result<Secret, String> {
        let found = self.secret_key.clone().or_else(|| std::env::var(&self.secret_key_env).ok().map(Secret::new));
        let missing = || format!("payment provider '{}' has no secret key: set the environment variable {}", self.name, self.secret_key_env);
        let usable = |secret: &Secret| secret.reveal().bytes().all(|byte| byte.is_ascii_graphic());
        let found = found.filter(|secret| !secret.reveal().is_empty()).ok_or_else(missing)?;
        if usable(&found) { Ok(found) } else { Err(format!("payment provider '{}': the secret key has a space or a strange letter", self.name)) }
    }

    /// The active secrets of callbacks: from the settings, else from the environment.
    ///
    /// # Errors
    /// Where they should have been.
    pub fn callback_secrets(&self) -> Result<Vec<Secret>, String> {
        let listed = self.webhook_secrets.iter().map(|secret| secret.reveal().to_owned()).collect::<Vec<_>>();
        let from_environment = || std::env::var(&self.webhook_secrets_env).unwrap_or_default();
        let texts = if listed.is_empty() { from_environment().split(',').map(str::to_owned).collect() } else { listed };
        let secrets: Vec<Secret> = texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty()).map(Secret::new).collect();
        if secrets.is_empty() {
            return Err(format!(
                "payment provider '{}' has no secret of its callbacks: set the environment variable {}",
                self.name, self.webhook_secrets_env
            ));
        }
        Ok(secrets)
    }

    fn fault(&self) -> Option<String> {
        let name_fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let printable = |text: &str| text.chars().all(|c| c.is_ascii_graphic());
        let bounds = [
            ("name", !OUR_OWN_SOURCES.contains(&self.name.as_str()), "another name: payments that are no provider's come under this one"),
            ("name", (1..=32).contains(&self.name.len()) && self.name.chars().all(name_fits), "1 to 32 small letters, digits and hyphens"),
            (
                "merchant",
                (1..=64).contains(&self.merchant.len()) && printable(&self.merchant),
                "our identity with the provider, such as acct_1MoRdlLgUG5tbmjc",
            ),
            ("base_url", is_base(&self.base_url), "https://HOST without a path (http:// to this machine only)"),
            ("tolerance_seconds", (1..=3600).contains(&self.tolerance_seconds), "1 to 3600"),
            ("timeout_ms", (100..=120_000).contains(&self.timeout_ms), "100 to 120000"),
            ("least_amount_cents", (1..=100_000).contains(&self.least_amount_cents), "1 to 100000"),
            ("secret_key_env", is_variable(&self.secret_key_env), "the name of an environment variable"),
            ("webhook_secrets_env", is_variable(&self.webhook_secrets_env), "the name of an environment variable"),
            ("webhook_secrets", self.webhook_secrets.len() <= 10, "at most 10 secrets"),
        ];
        let fault = bounds.iter().find(|(_, fits, _)| !fits);
        fault.map(|(field, _, expected)| format!("providers '{}': {field}: expected {expected}", self.name))
    }
}

/// Where payments come from that no provider brings: their references are told apart from a provider's by these names.
const OUR_OWN_SOURCES: [&str; 3] = ["counter", "file", "bank"];

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether an address leads to a server and not further; in the clear to this machine only.
fn is_base(url: &str) -> bool {
    let host = |rest: &str| rest.trim_end_matches('/').to_owned();
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".:-[]".contains(&byte));
    if let Some(rest) = url.strip_prefix("https://") {
        return plain(&host(rest));
    }
    url.strip_prefix("http://").is_some_and(|rest| plain(&host(rest)) && is_this_machine(&host(rest)))
}

/// Whether a host, with or without a port, is this machine.
pub(crate) fn is_this_machine(host: &str) -> bool {
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).map_or(host, |(name, _)| name);
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

/// Checks every entry, and that no name comes twice.
pub(super) fn check(providers: &[ProviderSettings]) -> Result<(), String> {
    if let Some(fault) = providers.iter().find_map(ProviderSettings::fault) {
        return Err(fault);
    }
    let mut names = BTreeSet::new();
    let twice = providers.iter().find(|provider| !names.insert(&provider.name));
    twice.map_or(Ok(()), |provider| Err(format!("providers: the name '{}' comes twice: expected one of its own for each", provider.name)))
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn parse(entry: &str) -> Result<Config, String> {
        Config::parse(&format!("[[providers]]\n{entry}"))
    }

    #[test]
    fn a_short_entry_is_enough() {
        let config = parse("merchant = \"acct_1\"").expect("it is enough");
        let [provider] = config.providers.as_slice() else { panic!("one provider") };
        assert_eq!((provider.name.as_str(), provider.base_url.as_str()), ("stripe", "https://api.stripe.com"));
        assert_eq!(provider.tolerance_seconds, 300);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let fault = |entry: &str| parse(entry).expect_err("it is refused");
        assert!(fault("").contains("merchant"));
        assert!(fault("merchant = \"a\"\nname = \"My Stripe\"").contains("name: expected"));
        assert!(fault("merchant = \"a\"\nkind = \"paypal\"").contains("paypal"));
        assert!(fault("merchant = \"a\"\nbase_url = \"http://api.stripe.com\"").contains("base_url"));
        assert!(fault("merchant = \"a\"\nbase_url = \"https://user@host/path\"").contains("base_url"));
        assert!(fault("merchant = \"a\"\ntolerance_seconds = 0").contains("tolerance_seconds"));
        assert!(fault("merchant = \"a\"\ntimeout_ms = 1").contains("timeout_ms"));
        assert!(fault("merchant = \"a\"\n[[providers]]\nmerchant = \"b\"").contains("comes twice"));
        for url in ["http://127.0.0.1:8090", "http://localhost:1/", "http://[::1]:80", "https://pay.example"] {
            parse(&format!("merchant = \"a\"\nbase_url = \"{url}\"")).expect(url);
        }
    }

    #[test]
    fn secrets_do_not_print() {
        let config = parse("merchant = \"a\"\nsecret_key = \"sk_live_x\"\nwebhook_secrets = [\"whsec_y\"]").expect("it is accepted");
        let printed = format!("{config:?}");
        assert!(!printed.contains("sk_live_x") && !printed.contains("whsec_y"), "{printed}");
        assert_eq!(config.providers[0].key().expect("a key").reveal(), "sk_live_x");
    }

    #[test]
    fn missing_secrets_say_where_they_should_be() {
        let config = parse("merchant = \"a\"\nsecret_key_env = \"NOT_SET_1\"\nwebhook_secrets_env = \"NOT_SET_2\"").expect("it is accepted");
        assert!(config.providers[0].key().expect_err("no key").contains("NOT_SET_1"));
        assert!(config.providers[0].callback_secrets().expect_err("no secret").contains("NOT_SET_2"));
    }
}
