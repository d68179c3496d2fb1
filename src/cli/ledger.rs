//! `aquabills ledger`: checked, or exported to another accounting program.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

use super::print;
use super::{Failure, Global};
use crate::actions::check_ledger::check_ledger;
use crate::actions::export_ledger::export_ledger;
use crate::actions::ledger_hash::ledger_hash;
use crate::domain::money::Money;
use crate::domain::quantity::counted;
use crate::formats::journal::JournalFormat;

/// Checks or exports the ledger.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Checks the promises P1 to P3 from the rows alone
    Check {
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
    /// One hash of what the ledger comes to, corrections set against what they correct: equal ledgers have equal hashes
    Hash {
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Writes the ledger as a journal
    Export {
        /// The form
        #[arg(long, value_enum)]
        format: Format,
        /// The file [default: standard output]
        #[arg(long)]
        output: Option<PathBuf>,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// For `hledger check -s`
    Hledger,
    /// For `bean-check`
    Beancount,
    /// One row for each posting
    Csv,
}

impl From<Format> for JournalFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Hledger => Self::Hledger,
            Format::Beancount => Self::Beancount,
            Format::Csv => Self::Csv,
        }
    }
}

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    let context = global.existing()?;
    match &args.command {
        Command::Check { json } => {
            let bar = print::counter("checking");
            let outcome = check_ledger(&context, &|accounts| bar.set_position(accounts));
            bar.finish_and_clear();
            let report = outcome?;
            if *json {
                print::json(&report)?;
            } else {
                for fault in &report.first_faults {
                    print::line(fault)?;
                }
                print::line(&format!(
                    "{}, {}, {}, balance {}: {}",
                    print::count(report.accounts, "account"),
                    print::count(report.transactions, "transaction"),
                    print::count(report.bills, "bill"),
                    Money::from_cents(report.balance_cents),
                    print::count(report.faults, "fault")
                ))?;
            }
            Ok(report.faults == 0)
        }
        Command::Hash { json } => {
            let hash = ledger_hash(&context)?;
            if *json {
                print::json(&hash)?;
            } else {
                print::line(&format!("{}  ({})", hash.sha256, counted(i64::try_from(hash.rows).unwrap_or(i64::MAX), "net row")))?;
            }
            Ok(true)
        }
        Command::Export { format, output } => {
            let mut out = open(output.as_ref())?;
            let count = export_ledger(&context, &mut out, (*format).into())?;
            out.flush()?;
            print::message(&print::count(count, "transaction"));
            Ok(true)
        }
    }
}

/// A file, or standard output.
pub(super) fn open(output: Option<&PathBuf>) -> Result<Box<dyn Write>, Failure> {
    match output {
        None => Ok(Box::new(print::Output::new())),
        Some(path) => {
            let file = File::create(path).map_err(|error| Failure::No(format!("{}: {error}", path.display())))?;
            Ok(Box::new(BufWriter::new(file)))
        }
    }
}
