//! Why a verb did not act.

use diesel::result::{DatabaseErrorKind, Error as DieselError};
use thiserror::Error;

use crate::db::LostRace;

/// Why a verb did not act. Nothing was changed.
#[derive(Debug, Error)]
pub enum ActionError {
    /// The request makes no sense as the data stands: the text says what was expected.
    #[error("{0}")]
    Refused(String),
    /// Something named does not exist.
    #[error("there is no {what} '{name}'")]
    NotFound {
        /// The kind of thing.
        what: &'static str,
        /// What it was called.
        name: String,
    },
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A file's form is not what it should be; nothing of it was used.
    #[error("{0}")]
    Form(String),
    /// Another program holds the lease.
    #[error("another runner ({holder}) is at work on {what} and shows signs of life; try again when it is done")]
    Busy {
        /// What is being worked on.
        what: String,
        /// Who.
        holder: String,
    },
    /// The lease went to another runner while we worked; what was committed stands, the rest is theirs.
    #[error("the lease on {0} went to another runner; it goes on from here")]
    LeaseLost(String),
    /// The program was told to stop; what was committed stands, and the next start goes on from there.
    #[error("it was told to stop; what is done stands, and the next start goes on from here")]
    Stopped,
    /// A rule was broken that the database holds.
    #[error("the database refused it: {0}")]
    Violated(String),
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(DieselError),
}

impl From<DieselError> for ActionError {
    fn from(error: DieselError) -> Self {
        if error.lost_race() {
            return Self::Database(error);
        }
        match &error {
            DieselError::DatabaseError(
                DatabaseErrorKind::UniqueViolation
                | DatabaseErrorKind::ForeignKeyViolation
                | DatabaseErrorKind::CheckViolation
                | DatabaseErrorKind::NotNullViolation,
                info,
            ) => Self::Violated(info.message().to_owned()),
            _ => Self::Database(error),
        }
    }
}

impl LostRace for ActionError {
    fn lost_race(&self) -> bool {
        matches!(self, Self::Database(error) if error.lost_race())
    }
}

impl ActionError {
    /// Something named does not exist.
    pub fn not_found(what: &'static str, name: impl Into<String>) -> Self {
        Self::NotFound { what, name: name.into() }
    }

    /// A file cannot be read or written.
    pub fn file(path: &std::path::Path, source: std::io::Error) -> Self {
        Self::File { path: path.display().to_string(), source }
    }
}
