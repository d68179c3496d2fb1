//! `aquabills rates`: checks tariff files, or tests them against known bills.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use rust_decimal::Decimal;
use serde::Serialize;

use super::Failure;
use super::print;
use crate::actions::tariffs::read_tariff;
use crate::domain::money::Money;
use crate::domain::rates::{Attributes, CompiledClass, PricingInput, Severity, Tariff, lint, settle};
use crate::formats::table::{Columns, Row, Table};

/// Checks tariff files, or tests them against known bills.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Reads tariff files and names what is wrong or suspicious
    Check {
        /// The tariff files
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Prices the cases of a table and compares with the totals that it gives
    Test {
        /// CSV with the columns `file,rate_class,usage,attributes,total`
        cases: PathBuf,
        /// Where the tariff files are [default: beside the table]
        #[arg(long)]
        dir: Option<PathBuf>,
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(args: &Args) -> Result<bool, Failure> {
    match &args.command {
        Command::Check { files, json } => check(files, *json),
        Command::Test { cases, dir, json } => test(cases, dir.as_deref(), *json),
    }
}

#[derive(Default, Serialize)]
struct CheckReport {
    files: usize,
    errors: Vec<String>,
    warnings: Vec<String>,
}

fn check(files: &[PathBuf], json: bool) -> Result<bool, Failure> {
    let mut report = CheckReport { files: files.len(), ..CheckReport::default() };
    for file in files {
        match read_tariff(file) {
            Ok((_, tariff)) => {
                for warning in lint(&tariff) {
                    let list = if warning.severity == Severity::Error { &mut report.errors } else { &mut report.warnings };
                    list.push(format!("{}: {warning}", file.display()));
                }
                for class in tariff.classes() {
                    report.errors.extend(tariff.compile(class).err().map(|error| format!("{}: {error}", file.display())));
                }
            }
            Err(error) => report.errors.extend(error.to_string().lines().map(str::to_owned)),
        }
    }
    if json {
        print::json(&report)?;
    } else {
        for warning in &report.warnings {
            print::line(warning)?;
        }
        for error in &report.errors {
            print::line(error)?;
        }
        print::line(&format!("{} files, {} errors, {} warnings", report.files, report.errors.len(), report.warnings.len()))?;
    }
    Ok(report.errors.is_empty())
}

const CASE_COLUMNS: Columns = Columns { required: &["file", "rate_class", "usage", "attributes", "total"], optional: &["exact"] };

#[derive(Default, Serialize)]
struct TestReport {
    passed: u64,
    failed: u64,
    differences: Vec<String>,
}

fn test(cases: &Path, dir: Option<&Path>, json: bool) -> Result<bool, Failure> {
    let dir = dir.or_else(|| cases.parent()).unwrap_or(Path::new("."));
    let mut table = Table::open(cases, CASE_COLUMNS).map_err(|error| Failure::No(error.to_string()))?;
    let mut shelf = Shelf { dir: dir.to_owned(), tariffs: HashMap::new(), classes: HashMap::new() };
    let mut report = TestReport::default();
    while let Some(row) = table.next_row().map_err(|error| Failure::No(error.to_string()))? {
        match compare(&table, &row, &mut shelf) {
            Ok(()) => report.passed += 1,
            Err(difference) => {
                report.failed += 1;
                report.differences.push(format!("{}: row {}: {difference}", cases.display(), row.line));
            }
        }
    }
    if json {
        print::json(&report)?;
    } else {
        for difference in &report.differences {
            print::line(difference)?;
        }
        print::line(&format!("{} passed, {} failed", report.passed, report.failed))?;
    }
    Ok(report.failed == 0 && report.passed > 0)
}

/// Tariffs and classes, each read and compiled once.
struct Shelf {
    dir: PathBuf,
    tariffs: HashMap<String, Result<Tariff, String>>,
    classes: HashMap<(String, String), Result<CompiledClass, String>>,
}

impl Shelf {
    fn class(&mut self, file: &str, class: &str) -> Result<&CompiledClass, String> {
        let key = (file.to_owned(), class.to_owned());
        if !self.classes.contains_key(&key) {
            let path = self.dir.join(file);
            let tariff = self
                .tariffs
                .entry(file.to_owned())
                .or_insert_with(|| read_tariff(&path).map(|(_, tariff)| tariff).map_err(|error| error.to_string()));
            let compiled = match tariff {
                Ok(tariff) => tariff.compile(class).map_err(|error| error.to_string()),
                Err(error) => Err(error.clone()),
            };
            self.classes.insert(key.clone(), compiled);
        }
        match self.classes.get(&key) {
            Some(Ok(class)) => Ok(class),
            Some(Err(error)) => Err(error.clone()),
            None => Err("it was not compiled".to_owned()),
        }
    }
}

fn compare(table: &Table, row: &Row, shelf: &mut Shelf) -> Result<(), String> {
    let field = |name| table.field(row, name);
    let usage: Decimal = field("usage").parse().map_err(|_| format!("usage: '{}' is not a number", field("usage")))?;
    let expected: Money = field("total").parse().map_err(|error| format!("total: {error}"))?;
    let attributes: Attributes = match field("attributes") {
        "" => Attributes::new(),
        text => serde_json::from_str(text).map_err(|error| format!("attributes: {error}"))?,
    };
    let (file, name) = (field("file"), field("rate_class"));
    let class = shelf.class(file, name)?;
    let lines = class.price(&PricingInput::new(usage, &attributes)).map_err(|error| error.to_string())?;
    let total = settle(lines, class.settings().rounding).map_err(|error| error.to_string())?.total;
    if total == expected { Ok(()) } else { Err(format!("{file} {name} at {usage}: expected {expected}, priced {total}")) }
}
