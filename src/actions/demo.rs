//! A small town that does not exist, billed for half a year through the same verbs as a real one.

use std::path::{Path, PathBuf};

use chrono::{NaiveDate, NaiveTime};

use super::bill_run::{RunOptions, RunReport, run_bills};
use super::import::{ImportOptions, payments, reads, services};
use super::tariffs::import_tariff;
use super::{ActionError, Context};
use crate::clock::Clock;

/// The town's files, as a utility would write them.
const FILES: [(&str, &str); 5] = [
    ("rates-2025.owrs", include_str!("../../tests/fixtures/town/rates-2025.owrs")),
    ("rates-2026.owrs", include_str!("../../tests/fixtures/town/rates-2026.owrs")),
    ("services.csv", include_str!("../../tests/fixtures/town/services.csv")),
    ("reads.csv", include_str!("../../tests/fixtures/town/reads.csv")),
    ("payments.csv", include_str!("../../tests/fixtures/town/payments.csv")),
];

/// The days through which the town is billed: three days after each reading.
const BILLED_THROUGH: [&str; 6] = ["2026-01-18", "2026-02-18", "2026-03-18", "2026-04-18", "2026-05-18", "2026-06-18"];

/// Writes the town's files into a folder.
///
/// # Errors
/// [`ActionError::File`] when they cannot be written.
pub fn write_town(folder: &Path) -> Result<(), ActionError> {
    std::fs::create_dir_all(folder).map_err(|source| ActionError::file(folder, source))?;
    for (name, content) in FILES {
        let path = folder.join(name);
        std::fs::write(&path, content).map_err(|source| ActionError::file(&path, source))?;
    }
    Ok(())
}

/// Imports the town's files month by month and bills each month, as if it were then. Returns the runs.
///
/// # Errors
/// Those of the verbs.
pub fn bill_town(context: &Context, folder: &Path) -> Result<Vec<RunReport>, ActionError> {
    let quiet = ImportOptions { dry_run: false, progress: &|_| {} };
    let mut context = context.clone();
    let mut reports = Vec::new();
    for day in BILLED_THROUGH {
        let through: NaiveDate = day.parse().map_err(|error| ActionError::Form(format!("{day}: {error}")))?;
        context.clock = Clock::simulated(through.and_time(NaiveTime::MIN).and_utc() + chrono::TimeDelta::hours(12));
        if reports.is_empty() {
            import_tariff(&context, &folder.join("rates-2025.owrs"), false, false)?;
            import_tariff(&context, &folder.join("rates-2026.owrs"), false, false)?;
            services::import_services(&context, &folder.join("services.csv"), quiet)?;
        }
        let known = rows_until(folder, "reads", 1, through)?;
        reads::import_reads(&context, &known, quiet)?;
        remove(&known)?;
        let known = rows_until(folder, "payments", 2, through)?;
        payments::import_payments(&context, &known, quiet)?;
        remove(&known)?;
        let options = RunOptions::approving_all(through, &|_, _, _| {});
        reports.push(run_bills(&context, &options)?);
    }
    Ok(reports)
}

/// The rows of a town's file that were known on a day: its header, and the rows dated up to then.
fn rows_until(folder: &Path, name: &str, date_column: usize, until: NaiveDate) -> Result<PathBuf, ActionError> {
    let path = folder.join(format!("{name}.csv"));
    let text = std::fs::read_to_string(&path).map_err(|source| ActionError::file(&path, source))?;
    let known = |line: &&str| line.split(',').nth(date_column).and_then(|date| date.parse::<NaiveDate>().ok()).is_none_or(|date| date <= until);
    let lines: Vec<&str> = text.lines().filter(known).collect();
    let path = folder.join(format!("{name}-until-{until}.csv"));
    std::fs::write(&path, lines.join("\n") + "\n").map_err(|source| ActionError::file(&path, source))?;
    Ok(path)
}

fn remove(path: &Path) -> Result<(), ActionError> {
    std::fs::remove_file(path).map_err(|source| ActionError::file(path, source))
}
