//! Sessions, passwords and guesses.

use std::net::IpAddr;

use serde::Deserialize;

/// Sessions, passwords and guesses.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SignInSettings {
    /// A session ends when it was not used for so long, in minutes: staff.
    pub staff_idle_minutes: u32,
    /// The same for customers.
    pub customer_idle_minutes: u32,
    /// A session ends after so long however it is used, in minutes.
    pub absolute_minutes: u32,
    /// How long a link to set a password is good, in minutes.
    pub link_minutes: u32,
    /// The fewest characters of a password. NIST SP 800-63B-4 asks for 15 where there is no second factor; 8 is its least.
    pub shortest_password: usize,
    /// Whether cookies are sent over protected connections only. Off only when the program is reached at 127.0.0.1.
    pub secure_cookies: bool,
    /// The address of the proxy in front, when there is one: only what it says in `X-Forwarded-For` is believed.
    pub trusted_proxy: Option<IpAddr>,
}

impl Default for SignInSettings {
    fn default() -> Self {
        Self {
            staff_idle_minutes: 30,
            customer_idle_minutes: 60,
            absolute_minutes: 720,
            link_minutes: 30,
            shortest_password: 12,
            secure_cookies: true,
            trusted_proxy: None,
        }
    }
}

impl SignInSettings {
    /// Each setting with whether it fits and what was expected.
    pub(super) fn bounds(&self) -> [(&'static str, bool, &'static str); 5] {
        let day = 1..=24 * 60;
        [
            ("sign_in.staff_idle_minutes", day.contains(&self.staff_idle_minutes), "1 to 1440"),
            ("sign_in.customer_idle_minutes", day.contains(&self.customer_idle_minutes), "1 to 1440"),
            ("sign_in.absolute_minutes", (1..=30 * 24 * 60).contains(&self.absolute_minutes), "1 to 43200"),
            ("sign_in.link_minutes", day.contains(&self.link_minutes), "1 to 1440"),
            ("sign_in.shortest_password", (8..=64).contains(&self.shortest_password), "8 to 64"),
        ]
    }
}
