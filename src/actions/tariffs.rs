//! Tariffs: imported as versions that are never edited, and compiled into the book that pricing uses.

use std::collections::BTreeSet;
use std::path::Path;

use chrono::NaiveDate;
use serde::Serialize;

use super::{ActionError, Context};
use crate::db::rates::{self, TariffVersionRow};
use crate::db::{DbConnection, operations, overcharges};
use crate::domain::billing::TariffBook;
use crate::domain::rates::{Severity, Tariff, lint};

/// A tariff file may not be larger than this, in bytes.
const LARGEST_FILE: u64 = 4 * 1024 * 1024;
/// So many versions are named in a refusal.
const MOST_NAMED: usize = 6;

/// What importing a tariff did.
#[derive(Debug, Serialize)]
pub struct TariffReport {
    /// 1 when the version is new.
    pub accepted: u64,
    /// 1 when it was there already.
    pub unchanged: u64,
    /// Always 0: a tariff that cannot be used is an error, not a refused row.
    pub refused: u64,
    /// The schedule that it is a version of.
    pub schedule: String,
    /// First day it applies to.
    pub effective_on: chrono::NaiveDate,
    /// The hash of its text.
    pub sha256: String,
    /// Its rate classes.
    pub rate_classes: Vec<String>,
}

/// Reads and parses a tariff file.
///
/// # Errors
/// [`ActionError::File`] when it cannot be read, [`ActionError::Form`] with every fault and its place.
pub fn read_tariff(path: &Path) -> Result<(String, Tariff), ActionError> {
    let size = std::fs::metadata(path).map_err(|source| ActionError::file(path, source))?.len();
    if size > LARGEST_FILE {
        return Err(ActionError::Form(format!("{}: it has {size} bytes; a tariff file has at most {LARGEST_FILE}", path.display())));
    }
    let text = std::fs::read_to_string(path).map_err(|source| ActionError::file(path, source))?;
    let tariff = Tariff::parse(&text).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(|error| format!("{}: {error}", path.display())).collect();
        ActionError::Form(lines.join("\n"))
    })?;
    Ok((text, tariff))
}

/// Imports a tariff as a version of its schedule. The same text again changes nothing; another text for the same
/// date is taken as a correction only when `supersede` says so.
///
/// # Errors
/// As [`read_tariff`], or [`ActionError::Refused`] when the date has another version, or none that is to be corrected.
pub fn import_tariff(context: &Context, path: &Path, dry_run: bool, supersede: bool) -> Result<TariffReport, ActionError> {
    let (text, tariff) = read_tariff(path)?;
    let source_name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let named = |error: ActionError| match error {
        ActionError::Form(message) => ActionError::Form(format!("{}: {message}", path.display())),
        ActionError::Refused(message) => ActionError::Refused(format!("{}: {message}", path.display())),
        other => other,
    };
    store(context, &source_name, &text, &tariff, dry_run, supersede).map_err(named)
}

/// Stores a tariff that comes with the program and not from a file.
///
/// # Errors
/// As [`import_tariff`].
pub fn store_tariff(context: &Context, source_name: &str, text: &str) -> Result<TariffReport, ActionError> {
    let tariff = Tariff::parse(text).map_err(|errors| ActionError::Form(errors.to_string()))?;
    store(context, source_name, text, &tariff, false, false)
}

fn store(context: &Context, source_name: &str, text: &str, tariff: &Tariff, dry_run: bool, supersede: bool) -> Result<TariffReport, ActionError> {
    let schedule = tariff.settings().schedule.clone();
    let effective_on = tariff
        .metadata()
        .effective_on
        .ok_or_else(|| ActionError::Form("metadata: effective_date is missing: a version needs the day from which it holds".to_owned()))?;
    if let Some(mistake) = lint(tariff).into_iter().find(|warning| warning.severity == Severity::Error) {
        return Err(ActionError::Form(mistake.to_string()));
    }
    for class in tariff.classes() {
        tariff.compile(class).map_err(|error| ActionError::Form(error.to_string()))?;
    }
    let mut row = TariffVersionRow {
        schedule,
        effective_on,
        revision: 0,
        sha256: tariff.sha256().to_owned(),
        source_name: source_name.to_owned(),
        source: text.to_owned(),
        imported_at: context.now(),
    };
    let accepted = context.database.write(|conn| insert_if_new(context, conn, &mut row, dry_run, supersede))?;
    Ok(TariffReport {
        accepted: u64::from(accepted),
        unchanged: u64::from(!accepted),
        refused: 0,
        schedule: row.schedule,
        effective_on,
        sha256: row.sha256,
        rate_classes: tariff.classes().map(str::to_owned).collect(),
    })
}

fn insert_if_new(
    context: &Context,
    conn: &mut DbConnection,
    row: &mut TariffVersionRow,
    dry_run: bool,
    supersede: bool,
) -> Result<bool, ActionError> {
    let versions = rates::versions_of(conn, &row.schedule)?;
    let in_force = versions.iter().filter(|version| version.effective_on == row.effective_on).max_by_key(|version| version.revision);
    if in_force.is_some_and(|version| version.sha256 == row.sha256) {
        return Ok(false);
    }
    let revision = in_force.map(|version| version.revision);
    if revision.is_some() && !supersede {
        return Err(ActionError::Refused(format!(
            "schedule '{}' has another version from {}: a new rate has a date of its own; to correct that version, import with --supersede",
            row.schedule, row.effective_on
        )));
    }
    if revision.is_none() && supersede {
        let there: BTreeSet<String> = versions.iter().map(|version| version.effective_on.to_string()).collect();
        let schedule = &row.schedule;
        return Err(ActionError::Refused(nothing_to_correct(&format!("schedule '{schedule}' has"), row.effective_on, &there)));
    }
    if dry_run {
        return Ok(true);
    }
    row.revision = revision.unwrap_or(0) + 1;
    rates::insert_version(conn, row)?;
    let why = format!("tariff {} from {} imported after bills by it", row.schedule, row.effective_on);
    overcharges::queue_schedule(conn, &row.schedule, row.effective_on, &why, row.imported_at)?;
    let detail = format!("{} {}", row.effective_on, row.sha256);
    operations::audit(conn, row.imported_at, &context.actor, "tariff.import", &row.schedule, &detail)?;
    Ok(true)
}

/// Why nothing is corrected on a day, with the days that have a version.
pub(super) fn nothing_to_correct(who_has: &str, on: NaiveDate, there: &BTreeSet<String>) -> String {
    let days = match there.len() {
        0 => "none at all".to_owned(),
        // The latest are those that somebody corrects.
        count => {
            let latest: Vec<&str> = there.iter().rev().take(MOST_NAMED).map(String::as_str).collect();
            format!("versions from {}{}", latest.join(", "), if count > MOST_NAMED { ", and earlier ones" } else { "" })
        }
    };
    format!("{who_has} no version from {on} to be corrected, but {days}: give the day of the one that is wrong, or import without --supersede")
}

/// Loads and compiles every tariff version.
///
/// # Errors
/// Those of the database, or [`ActionError::Form`] when a stored text no longer compiles.
pub fn load_book(context: &Context) -> Result<TariffBook, ActionError> {
    context.database.read(read_book)
}

/// The same within a transaction.
pub(super) fn read_book(conn: &mut DbConnection) -> Result<TariffBook, ActionError> {
    let mut book = TariffBook::default();
    for row in rates::versions(conn)? {
        let broken = |error: &dyn std::fmt::Display| ActionError::Form(format!("stored tariff {} of {}: {error}", row.source_name, row.effective_on));
        let tariff = Tariff::parse(&row.source).map_err(|errors| broken(&errors))?;
        book.add(&row.schedule, row.effective_on, tariff).map_err(|error| broken(&error))?;
    }
    Ok(book)
}
