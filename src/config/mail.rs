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
    /// Where the utility's staff is told of held runs.
    pub staff: Vec<String>,
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
            staff: Vec::new(),
        }
    }
}
