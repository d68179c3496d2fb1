//! How notices leave: a server, a folder, or not at all.

use std::path::PathBuf;

use serde::Deserialize;

/// How notices leave.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MailSettings {
    /// Where notices go: `off` (they stay queued), `folder`, or `smtp`.
    pub transport: MailTransport,
    /// The folder for `transport = "folder"`: one file for each notice.
    pub folder: PathBuf,
    /// The server's name, for `transport = "smtp"`.
    pub host: String,
    /// The server's port.
    pub port: u16,
    /// How the connection is protected.
    pub security: MailSecurity,
    /// The name to authenticate with; empty is none.
    pub user: String,
    /// The environment variable that holds the password: a password is never in a settings file.
    pub password_env: String,
    /// Who the notices are from, as `name <address>` or an address.
    pub from: String,
    /// Where answers go, as `name <address>` or an address; empty is to the sender.
    pub reply_to: String,
    /// Whether the bill goes with the notice of it, as a PDF.
    pub attach_bill: bool,
    /// Where the utility's staff is told of held runs.
    pub staff: Vec<String>,
    /// A file of root certificates (PEM) that are trusted besides the public ones: for a server of one's own.
    pub ca_file: PathBuf,
    /// How long the server may take for an answer, in seconds.
    pub timeout_seconds: u32,
    /// How long it may take to accept a whole message, in seconds. Whoever hangs up earlier may send twice: RFC 5321 asks
    /// for ten minutes.
    pub accept_timeout_seconds: u32,
    /// How often the program looks for notices to send, in seconds.
    pub poll_seconds: u32,
    /// How many notices are taken at once.
    pub batch: u32,
}

/// Where notices go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailTransport {
    /// They stay queued.
    #[default]
    Off,
    /// A file for each, in a folder.
    Folder,
    /// An SMTP server.
    Smtp,
}

/// How the connection to the server is protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailSecurity {
    /// It begins in the clear and must be protected before anything is said (RFC 3207).
    #[default]
    Starttls,
    /// It is protected from the first byte (RFC 8314).
    Tls,
    /// It is not protected: only for a server on this machine.
    None,
}

impl Default for MailSettings {
    fn default() -> Self {
        Self {
            transport: MailTransport::Off,
            folder: PathBuf::from("mail"),
            host: "localhost".to_owned(),
            port: 587,
            security: MailSecurity::Starttls,
            user: String::new(),
            password_env: "AQUABILLS_SMTP_PASSWORD".to_owned(),
            from: "AquaBills <billing@example.org>".to_owned(),
            reply_to: String::new(),
            attach_bill: false,
            staff: Vec::new(),
            ca_file: PathBuf::new(),
            timeout_seconds: 30,
            accept_timeout_seconds: 600,
            poll_seconds: 2,
            batch: 50,
        }
    }
}

impl MailSettings {
    /// What is not possible in these settings: the name and what was expected.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let local = matches!(self.host.as_str(), "localhost" | "127.0.0.1" | "::1");
        let bounds = [
            ("mail.timeout_seconds", (1..=600).contains(&self.timeout_seconds), "1 to 600"),
            ("mail.accept_timeout_seconds", (1..=3600).contains(&self.accept_timeout_seconds), "1 to 3600"),
            ("mail.poll_seconds", (1..=3600).contains(&self.poll_seconds), "1 to 3600"),
            ("mail.batch", (1..=1000).contains(&self.batch), "1 to 1000"),
            ("mail.from", self.from.contains('@'), "an address, or a name with an <address>"),
            (
                "mail.security",
                self.security != MailSecurity::None || self.user.is_empty() || local,
                "starttls or tls: a password is sent in the clear to this machine only",
            ),
        ];
        bounds.iter().find(|(_, fits, _)| !fits).map(|(name, _, expected)| format!("{name}: expected {expected}"))
    }
}
