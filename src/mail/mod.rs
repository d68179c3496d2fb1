//! How a notice becomes a message and leaves: the message ([`mod@message`]) and the ways out, a server ([`mod@smtp`]) or a
//! folder ([`mod@folder`]).
//!
//! What belongs here: MIME, SMTP, files of mail. What does not: the outbox and its rules (`actions::notices`).
//!
//! # No mail lost, none twice
//!
//! Up to the end of the message nothing has happened: whatever fails there is simply tried again. When the server has
//! answered, it is settled. Between the two, after the final dot and before the answer, nobody can know whether the
//! server has the message: the connection may break, the server fall silent, this program be killed. RFC 5321 (4.5.3.2.6,
//! 6.1) leaves only the choice between losing and repeating, and we repeat, for every kind: a bill that nobody was told of
//! costs a late fee, a warning that nobody got costs an account, and a second copy costs a shrug. The copy has the same
//! Message-ID, the same date and the same bytes, so that receivers can drop it (and many do). To make that window small,
//! the outbox is told before the message begins ([`Carrier::send`]'s `hand_over`); the answer to the dot is waited for as
//! long as the standard asks (ten minutes); and an attempt of which we know that the dot was never written counts as not
//! handed over.

pub mod folder;
pub mod message;
pub mod smtp;

use crate::config::{Config, MailTransport};
use crate::domain::notices::{Letter, Outcome};

use folder::Folder;
use message::Attachment;
use smtp::Smtp;

/// A way out.
pub enum Carrier {
    /// Into a folder.
    Folder(Folder),
    /// To a server.
    Smtp(Box<Smtp>),
}

impl Carrier {
    /// The way out that the settings name; none when notices stay where they are.
    ///
    /// # Errors
    /// The setting that cannot be used, and why.
    pub fn open(config: &Config) -> Result<Option<Self>, String> {
        message::sender(config)?;
        match config.mail.transport {
            MailTransport::Off => Ok(None),
            MailTransport::Folder => Ok(Some(Self::Folder(Folder::open(&config.mail.folder)?))),
            MailTransport::Smtp => Ok(Some(Self::Smtp(Box::new(Smtp::open(&config.mail)?)))),
        }
    }

    /// Sends a letter, and the file that goes with it. `hand_over` is asked immediately before the message is handed over; when it says no, the letter is
    /// somebody else's, and nothing is.
    pub fn send(&mut self, config: &Config, letter: &Letter, attachment: Option<&Attachment>, hand_over: &mut dyn FnMut() -> bool) -> Outcome {
        let message = match message::compose_with(config, letter, attachment) {
            Ok(message) => message,
            Err(fault) => return Outcome::Refused { address: fault.address, reason: fault.reason },
        };
        match self {
            Self::Folder(folder) => folder.send(letter, &message.formatted(), hand_over),
            Self::Smtp(smtp) => smtp.send(message.envelope(), &message.formatted(), hand_over),
        }
    }

    /// Says goodbye to the server.
    pub fn close(&mut self) {
        if let Self::Smtp(smtp) = self {
            smtp.close();
        }
    }
}
