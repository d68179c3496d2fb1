//! Notices to an SMTP server, over one connection for as long as it holds.

use std::cell::Cell;
use std::time::Duration;

use lettre::Address;
use lettre::address::Envelope;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{Certificate, SmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};

use crate::config::{MailSecurity, MailSettings};
use crate::domain::notices::Outcome;

/// An SMTP server.
pub struct Smtp {
    host: String,
    port: u16,
    security: MailSecurity,
    tls: Option<TlsParameters>,
    credentials: Option<Credentials>,
    hello: ClientId,
    timeout: Duration,
    accept_timeout: Duration,
    connection: Option<SmtpConnection>,
}

/// What stands between us and the server's yes.
struct Refusal {
    outcome: Outcome,
    /// Whether the connection can be used for the next message.
    connection_holds: bool,
}

impl Smtp {
    /// Prepares for a server; connects when there is something to send.
    ///
    /// # Errors
    /// The setting that cannot be used, and why.
    pub(super) fn open(settings: &MailSettings) -> Result<Self, String> {
        let tls = if settings.security == MailSecurity::None { None } else { Some(tls(settings)?) };
        let credentials = if settings.user.is_empty() {
            None
        } else {
            let password = std::env::var(&settings.password_env).map_err(|_| {
                format!("mail.password_env: the environment has no variable '{}' with the password of '{}'", settings.password_env, settings.user)
            })?;
            Some(Credentials::new(settings.user.clone(), password))
        };
        Ok(Self {
            host: settings.host.clone(),
            port: settings.port,
            security: settings.security,
            tls,
            credentials,
            hello: ClientId::default(),
            timeout: Duration::from_secs(u64::from(settings.timeout_seconds)),
            accept_timeout: Duration::from_secs(u64::from(settings.accept_timeout_seconds)),
            connection: None,
        })
    }

    pub(super) fn send(&mut self, envelope: &Envelope, message: &[u8], hand_over: &mut dyn FnMut() -> bool) -> Outcome {
        let reused = self.connection.is_some();
        let mut connection = match self.connection.take().map_or_else(|| self.connect(), Ok) {
            Ok(connection) => connection,
            Err(error) => return Outcome::Failed { server: true, reason: error.to_string() },
        };
        match self.transact(&mut connection, envelope, message, hand_over) {
            Ok(()) => {
                self.connection = Some(connection);
                Outcome::Accepted
            }
            // A server may close an idle connection; that says nothing about the letter, so it gets a fresh one at once.
            Err(Refusal { outcome: Outcome::Failed { server: true, .. }, .. }) if reused => self.send(envelope, message, hand_over),
            Err(refusal) => {
                if refusal.connection_holds && connection.command(Rset).is_ok() {
                    self.connection = Some(connection);
                }
                refusal.outcome
            }
        }
    }

    pub(super) fn close(&mut self) {
        if let Some(mut connection) = self.connection.take()
            && let Err(error) = connection.quit()
        {
            log::debug!("the mail server did not answer our goodbye: {error}");
        }
    }

    fn connect(&self) -> Result<SmtpConnection, Error> {
        let at_once = if self.security == MailSecurity::Tls { self.tls.as_ref() } else { None };
        let mut connection = SmtpConnection::connect((self.host.as_str(), self.port), Some(self.timeout), &self.hello, at_once, None)?;
        if let (MailSecurity::Starttls, Some(tls)) = (self.security, &self.tls) {
            connection.starttls(tls, &self.hello)?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials)?;
        }
        Ok(connection)
    }

    /// One message over an open connection. A connection that is not kept is dropped, never told QUIT: in the middle of a
    /// message that would be part of it.
    fn transact(
        &self,
        connection: &mut SmtpConnection,
        envelope: &Envelope,
        message: &[u8],
        hand_over: &mut dyn FnMut() -> bool,
    ) -> Result<(), Refusal> {
        let options = mail_options(connection, envelope, message)?;
        connection.command(Mail::new(envelope.from().cloned(), options)).map_err(|error| not_taken(&error))?;
        for address in envelope.to() {
            connection.command(Rcpt::new(Address::clone(address), Vec::new())).map_err(|error| address_refused(&error))?;
        }
        if !hand_over() {
            return Err(Refusal { outcome: Outcome::Superseded, connection_holds: true });
        }
        connection.command(Data).map_err(|error| not_taken(&error))?;
        self.hand_over_message(connection, message)
    }

    fn hand_over_message(&self, connection: &mut SmtpConnection, message: &[u8]) -> Result<(), Refusal> {
        // The message is written when the iterator is asked for more; the dot follows.
        let written = Cell::new(false);
        let parts = std::iter::once(Some(message)).chain(std::iter::once_with(|| {
            written.set(true);
            None
        }));
        let patience = connection.set_timeout(Some(self.accept_timeout));
        let answer = connection.message_iter(parts.flatten());
        let patience = patience.and_then(|()| connection.set_timeout(Some(self.timeout)));
        match answer {
            // The message is theirs, whatever becomes of the connection.
            Ok(_) if patience.is_err() => {
                log::debug!("the mail server's connection does not take a timeout; it goes on without");
                Ok(())
            }
            Ok(_) => Ok(()),
            // Refused after the whole message was seen: what is wrong is the message, or the server's mood, not the address.
            Err(error) if error.is_permanent() => {
                Err(Refusal { outcome: Outcome::Refused { address: false, reason: error.to_string() }, connection_holds: true })
            }
            Err(error) if error.is_transient() => Err(not_taken(&error)),
            Err(error) if written.get() => Err(Refusal { outcome: Outcome::Unknown { reason: error.to_string() }, connection_holds: false }),
            Err(error) => Err(not_taken(&error)),
        }
    }
}

fn mail_options(connection: &SmtpConnection, envelope: &Envelope, message: &[u8]) -> Result<Vec<MailParameter>, Refusal> {
    let mut options = Vec::new();
    let international = envelope.to().iter().chain(envelope.from()).any(|address| !AsRef::<str>::as_ref(address).is_ascii());
    if international {
        if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            let reason = "the address is not ASCII, and the mail server does not support such addresses (SMTPUTF8)".to_owned();
            return Err(Refusal { outcome: Outcome::Refused { address: true, reason }, connection_holds: true });
        }
        options.push(MailParameter::SmtpUtfEight);
    }
    if !message.is_ascii() && connection.server_info().supports_feature(Extension::EightBitMime) {
        options.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    Ok(options)
}

/// Not taken, this time: by an answer (the connection holds) or because the connection broke.
fn not_taken(error: &Error) -> Refusal {
    let answered = error.status().is_some();
    Refusal { outcome: Outcome::Failed { server: !answered, reason: error.to_string() }, connection_holds: answered }
}

/// An answer to RCPT. Refused for good is the address, unless the server's words speak of us: that it wants to know who
/// we are (530, 535), that we must not send through it or are blocked (X.7.x of RFC 3463), that commands came in the wrong
/// order (503).
fn address_refused(error: &Error) -> Refusal {
    let reason = error.to_string();
    let about_us = error.status().is_some_and(|code| matches!(code.to_string().as_str(), "503" | "530" | "535")) || has_policy_code(&reason);
    if error.is_permanent() && !about_us {
        return Refusal { outcome: Outcome::Refused { address: true, reason }, connection_holds: true };
    }
    not_taken(error)
}

fn has_policy_code(answer: &str) -> bool {
    answer.split_whitespace().any(|word| {
        let mut parts = word.split('.');
        parts.next() == Some("5") && parts.next() == Some("7") && parts.next().is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

fn tls(settings: &MailSettings) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(settings.host.clone());
    if !settings.ca_file.as_os_str().is_empty() {
        let path = settings.ca_file.display();
        let pem = std::fs::read(&settings.ca_file).map_err(|error| format!("mail.ca_file: {path} cannot be read: {error}"))?;
        let roots = Certificate::from_pem(&pem).map_err(|error| format!("mail.ca_file: {path} is not a file of certificates (PEM): {error}"))?;
        builder = builder.add_root_certificate(roots);
    }
    builder.build().map_err(|error| format!("mail.host: '{}': {error}", settings.host))
}
