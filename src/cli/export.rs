//! `aquabills export`: tables for spreadsheets and other programs.

use std::io::Write;
use std::path::PathBuf;

use clap::Subcommand;

use super::print;
use super::{Failure, Global};
use crate::actions::export_bills::export_bills;
use crate::actions::export_ledger::export_ledger;
use crate::formats::journal::JournalFormat;

/// Exports tables as CSV.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// One row for each segment and period of every bill
    Bills {
        /// The file [default: standard output]
        #[arg(long)]
        output: Option<PathBuf>,
        /// Includes bills that were taken back
        #[arg(long)]
        with_cancelled: bool,
    },
    /// One row for each posting of the ledger
    Ledger {
        /// The file [default: standard output]
        #[arg(long)]
        output: Option<PathBuf>,
    },
}

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    let context = global.existing()?;
    let rows = match &args.command {
        Command::Bills { output, with_cancelled } => {
            let mut out = super::ledger::open(output.as_ref())?;
            let rows = export_bills(&context, &mut out, *with_cancelled)?;
            out.flush()?;
            rows
        }
        Command::Ledger { output } => {
            let mut out = super::ledger::open(output.as_ref())?;
            let rows = export_ledger(&context, &mut out, JournalFormat::Csv)?;
            out.flush()?;
            rows
        }
    };
    print::message(&print::count(rows, "row"));
    Ok(true)
}
