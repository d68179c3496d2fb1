//! A folder that banks' files come into: each is imported once and moved to `done`, or to `refused` with the reason beside it.
//!
//! A file is left alone until two looks find it unchanged: before, it may still be written. Whatever happens between an import
//! and the moving, the next look finds the file again, and importing it again adds nothing.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;

use super::import::{NewBankFile, import_bank_file, read_file};
use crate::actions::{ActionError, Context};

/// So many files are imported in one look.
const MOST_AT_ONCE: usize = 100;
/// So many names in the folder are looked at.
const MOST_NAMES: usize = 10_000;
/// A file's name is tried with so many numbers until it is free.
const MOST_NUMBERS: u32 = 1_000;

/// What a look found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Looked {
    /// Files that were imported, also those that added nothing.
    pub imported: Vec<String>,
    /// Files that were refused, with the reason.
    pub refused: Vec<(String, String)>,
    /// Files that may still be written.
    pub unsettled: usize,
}

/// What is known of the folder from one look to the next.
#[derive(Debug, Default)]
pub struct Watch {
    seen: HashMap<PathBuf, State>,
}

/// A file's size and the time of its last change.
type State = (u64, SystemTime);

impl Watch {
    /// Looks into a folder and imports what is settled, by name.
    ///
    /// # Errors
    /// [`ActionError::File`] when the folder cannot be read or a file cannot be moved; those of the database: then the file
    /// stays where it is and is tried again.
    pub fn look(&mut self, context: &Context, folder: &Path) -> Result<Looked, ActionError> {
        let mut looked = Looked::default();
        let mut seen = HashMap::new();
        let mut settled = Vec::new();
        for (path, state) in files(folder)? {
            if self.seen.get(&path) == Some(&state) && settled.len() < MOST_AT_ONCE {
                settled.push(path.clone());
            } else {
                looked.unsettled += 1;
            }
            seen.insert(path, state);
        }
        self.seen = seen;
        for path in settled {
            take(context, folder, &path, &mut looked)?;
            self.seen.remove(&path);
        }
        Ok(looked)
    }
}

/// The files of a folder, by name, with size and time of the last change. What begins with a point or ends as half-made files
/// do is left alone, as is whatever is no plain file.
fn files(folder: &Path) -> Result<Vec<(PathBuf, State)>, ActionError> {
    let wrong = |source| ActionError::file(folder, source);
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(wrong)?.take(MOST_NAMES) {
        let entry = entry.map_err(wrong)?;
        let name = entry.file_name().to_string_lossy().to_lowercase();
        let half_made = [".part", ".tmp", ".filepart", ".crdownload", "~"].iter().any(|end| name.ends_with(end));
        // Of a link the kind is told, not that of what it leads to.
        if name.starts_with('.') || half_made || !entry.file_type().map_err(wrong)?.is_file() {
            continue;
        }
        let Ok(data) = entry.metadata() else { continue };
        files.push((entry.path(), (data.len(), data.modified().map_err(wrong)?)));
    }
    files.sort();
    Ok(files)
}

fn take(context: &Context, folder: &Path, path: &Path, looked: &mut Looked) -> Result<(), ActionError> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mapping = &context.config.bank.folder_mapping;
    let lower = name.to_lowercase();
    let is_csv = Path::new(lower.trim_end_matches(".gz")).extension().is_some_and(|extension| extension == "csv");
    let mapping = (is_csv && !mapping.is_empty()).then(|| mapping.clone());
    let outcome = match read_file(path) {
        Ok(bytes) => import_bank_file(context, &NewBankFile { name: name.clone(), bytes, format: None, mapping, dry_run: false }).map(|_| ()),
        // Another server took it.
        Err(ActionError::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(ActionError::File { source, .. }) => Err(ActionError::Form(format!("{name}: it cannot be read: {source}"))),
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => {
            move_to(&folder.join("done"), path, &name, None)?;
            looked.imported.push(name);
            Ok(())
        }
        Err(error @ (ActionError::Form(_) | ActionError::Refused(_) | ActionError::NotFound { .. })) => {
            let reason = error.to_string();
            move_to(&folder.join("refused"), path, &name, Some(&reason))?;
            looked.refused.push((name, reason));
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Moves a file, under a name that is free; the reason is there before the file is.
fn move_to(folder: &Path, path: &Path, name: &str, reason: Option<&str>) -> Result<(), ActionError> {
    let wrong = |source| ActionError::file(folder, source);
    fs::create_dir_all(folder).map_err(wrong)?;
    let named = |number: u32| if number == 1 { folder.join(name) } else { folder.join(format!("{number}-{name}")) };
    let free = (1..=MOST_NUMBERS).map(named).find(|place| !place.exists());
    let place = free.ok_or_else(|| wrong(std::io::Error::other(format!("no name like '{name}' is free"))))?;
    if let Some(reason) = reason {
        let mut beside = place.clone().into_os_string();
        beside.push(".reason");
        fs::write(PathBuf::from(beside), format!("{reason}\n")).map_err(wrong)?;
    }
    match fs::rename(path, &place) {
        // Another server moved it.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        outcome => outcome.map_err(wrong),
    }
}
