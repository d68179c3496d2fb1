//! Notices as files in a folder: for demonstrations and trials.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::domain::notices::{Letter, Outcome};

/// A folder of messages, one file each.
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Opens the folder, making it when it is not there.
    ///
    /// # Errors
    /// The setting and why it cannot be used.
    pub fn open(path: &Path) -> Result<Self, String> {
        fs::create_dir_all(path).map_err(|error| format!("mail.folder: {} cannot be made: {error}", path.display()))?;
        Ok(Self { path: path.to_owned() })
    }

    /// Writes a message. The file is named by the notice and appears whole, so that a repetition overwrites itself: here
    /// nothing is ever lost or twice.
    pub(super) fn send(&self, letter: &Letter, message: &[u8], hand_over: &mut dyn FnMut() -> bool) -> Outcome {
        if !hand_over() {
            return Outcome::Superseded;
        }
        let name = format!("{:08}-{}.eml", letter.id.0, letter.facts.kind());
        match self.write(&name, message) {
            Ok(()) => Outcome::Accepted,
            Err(error) => Outcome::Failed { server: true, reason: format!("{}: {error}", self.path.join(name).display()) },
        }
    }

    fn write(&self, name: &str, message: &[u8]) -> std::io::Result<()> {
        // It may have been cleared away since it was opened.
        fs::create_dir_all(&self.path)?;
        let unfinished = self.path.join(format!(".{name}.{}", std::process::id()));
        let mut file = File::create(&unfinished)?;
        file.write_all(message)?;
        file.sync_all()?;
        fs::rename(&unfinished, self.path.join(name))
    }
}
