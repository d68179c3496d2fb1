//! Importing files: every row is accepted, found to be there already, or refused with its reason.
//!
//! A file whose form is wrong is refused whole, before anything is written. Importing the same file again
//! changes nothing: every row is found unchanged (P4).

mod at_stake;
pub(in crate::actions) mod compared;
pub mod exchanges;
pub mod payments;
mod read_check;
pub mod reads;
pub mod services;
mod swapped;
pub(in crate::actions) mod take;

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{ActionError, Context};
use crate::formats::table::{Row, TableError, write_refused};

/// What an import is told.
#[derive(Clone, Copy)]
pub struct ImportOptions<'a> {
    /// Checks everything and writes nothing to the database.
    pub dry_run: bool,
    /// Told after each batch how many rows are done.
    pub progress: &'a (dyn Fn(u64) + Sync),
}

/// What an import did.
#[derive(Debug, Default, Serialize)]
pub struct ImportReport {
    /// Rows that changed something.
    pub accepted: u64,
    /// Rows that were there already.
    pub unchanged: u64,
    /// Rows that were refused.
    pub refused: u64,
    /// Accepted reads that wait for a clerk's decision.
    pub held: u64,
    /// Whether nothing was written.
    pub dry_run: bool,
    /// The file with the refused rows.
    pub refused_file: Option<String>,
    /// The first refusals, for people.
    pub first_refusals: Vec<String>,
    /// All refused rows.
    #[serde(skip)]
    refusals: Vec<(Row, String)>,
    /// Where they will go.
    #[serde(skip)]
    refused_to: Option<RefusedFile>,
}

/// The file of refused rows while it is not known whether there will be any: opened before anything is imported, so
/// that an import never acts and then cannot say what it refused.
#[derive(Debug)]
struct RefusedFile {
    part: PathBuf,
    path: PathBuf,
}

impl RefusedFile {
    fn open(imported: &Path) -> Result<Self, ActionError> {
        let named = |suffix: &str| {
            let mut name = imported.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        let file = Self { part: named(".refused.csv.part"), path: named(".refused.csv") };
        let in_the_way = file.path.is_dir().then(|| std::io::Error::other("it is a directory"));
        let outcome = in_the_way.map_or_else(|| std::fs::File::create(&file.part).map(|_| ()), Err);
        outcome.map_err(|source| ActionError::File { path: file.path.display().to_string(), source })?;
        Ok(file)
    }

    /// Nothing was refused: a file of an earlier import goes.
    fn none(&self) -> Result<(), ActionError> {
        if self.path.exists() { std::fs::remove_file(&self.path).map_err(|source| ActionError::file(&self.path, source)) } else { Ok(()) }
    }

    fn write(&self, header: &csv::StringRecord, refusals: &[(Row, String)]) -> Result<(), ActionError> {
        let written = write_refused(&self.part, header, refusals).and_then(|()| std::fs::rename(&self.part, &self.path));
        written.map_err(|source| ActionError::file(&self.path, source))
    }
}

impl Drop for RefusedFile {
    fn drop(&mut self) {
        // Renamed, or of no use: either way nothing is missed when it is gone already.
        let _ = std::fs::remove_file(&self.part);
    }
}

/// After so many new rows the database's planner is told.
const WORTH_STATISTICS: u64 = 1_000;
/// How many refusals are told on the spot; the file has them all.
const TOLD: usize = 10;

impl ImportReport {
    fn begin(path: &Path, dry_run: bool) -> Result<Self, ActionError> {
        Ok(Self { dry_run, refused_to: Some(RefusedFile::open(path)?), ..Self::default() })
    }

    fn refuse(&mut self, row: Row, reason: String) {
        self.refused += 1;
        self.refusals.push((row, reason));
    }

    /// Writes the refused rows to `FILE.refused.csv`, or removes such a file of an earlier import when nothing
    /// was refused now.
    fn finish(mut self, context: &Context, path: &Path, header: &csv::StringRecord) -> Result<Self, ActionError> {
        if self.accepted >= WORTH_STATISTICS && !self.dry_run {
            context.database.refresh_statistics()?;
        }
        let Some(file) = self.refused_to.take() else { return Ok(self) };
        self.refusals.sort_by_key(|(row, _)| row.line);
        if self.refusals.is_empty() {
            if !self.dry_run {
                file.none()?;
            }
            return Ok(self);
        }
        file.write(header, &self.refusals)?;
        self.refused_file = Some(file.path.display().to_string());
        let name = path.display();
        self.first_refusals = self.refusals.iter().take(TOLD).map(|(row, reason)| format!("{name}: row {}: {reason}", row.line)).collect();
        Ok(self)
    }
}

impl From<TableError> for ActionError {
    fn from(error: TableError) -> Self {
        Self::Form(error.to_string())
    }
}

/// Parses a date in the one form that files use.
fn parse_date(field: &str, text: &str) -> Result<chrono::NaiveDate, String> {
    let wrong = || format!("{field}: '{text}' is not a date: expected YYYY-MM-DD");
    if text.len() != 10 {
        return Err(wrong());
    }
    chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| wrong())
}

/// An identifier as files write it: not empty, at most 64 characters, none of them a control character.
pub(super) fn parse_code(field: &str, text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.chars().count() <= 64 && !text.chars().any(char::is_control);
    if fits { Ok(text.to_owned()) } else { Err(format!("{field}: '{text}' is not an identifier: expected 1 to 64 characters")) }
}
