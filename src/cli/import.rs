//! `aquabills import`: tariffs, the policy, services, reads, exchanges, payments.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::print;
use super::{Failure, Global};
use crate::actions::import::{ImportOptions, ImportReport, exchanges, payments, reads, services};
use crate::actions::policy::import_policy;
use crate::actions::tariffs::import_tariff;
use crate::actions::{ActionError, Context};

/// Imports a file.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A tariff in the Open Water Rate Specification
    Tariff {
        #[command(flatten)]
        file: FileArgs,
        /// Takes another text for the same date as its correction
        #[arg(long)]
        supersede: bool,
    },
    /// The policy about credits, refunds and late payers, as TOML
    Policy {
        #[command(flatten)]
        file: FileArgs,
        /// Takes another text for the same date as its correction
        #[arg(long)]
        supersede: bool,
    },
    /// Customers' services: `customer_id,service_id,rate_class,meter_id,register_digits`
    Services(FileArgs),
    /// Meter reads: `meter_id,read_on,reading`
    Reads(FileArgs),
    /// Meter exchanges: `service_id,exchanged_on,old_meter_id,final_reading,new_meter_id,initial_reading,register_digits`
    Exchanges(FileArgs),
    /// Payments: `account,amount,effective_on,reference`
    Payments(FileArgs),
    /// A bank's file: BAI2, camt.053, camt.054, ACH returns, or CSV with a saved mapping
    Bank(super::bank::ImportArgs),
}

#[derive(Debug, clap::Args)]
struct FileArgs {
    /// The file; CSV with headers, .gz accepted
    file: PathBuf,
    /// Checks everything and changes nothing in the database
    #[arg(long)]
    dry_run: bool,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    match &args.command {
        Command::Tariff { file, supersede } => tariff(global, file, *supersede),
        Command::Policy { file, supersede } => policy(global, file, *supersede),
        Command::Services(file) => table(global, file, services::import_services),
        Command::Reads(file) => table(global, file, reads::import_reads),
        Command::Exchanges(file) => table(global, file, exchanges::import_exchanges),
        Command::Payments(file) => table(global, file, payments::import_payments),
        Command::Bank(args) => super::bank::import(global, args),
    }
}

fn tariff(global: &Global, args: &FileArgs, supersede: bool) -> Result<bool, Failure> {
    let context = global.context()?;
    let report = import_tariff(&context, &args.file, args.dry_run, supersede)?;
    if args.json {
        print::json(&report)?;
    } else {
        let what = if report.unchanged > 0 { "is there already" } else { "accepted" };
        print::line(&format!(
            "tariff '{}' from {}: {what}; classes {}; sha256 {}",
            report.schedule,
            report.effective_on,
            report.rate_classes.join(", "),
            report.sha256
        ))?;
    }
    Ok(true)
}

fn policy(global: &Global, args: &FileArgs, supersede: bool) -> Result<bool, Failure> {
    let context = global.context()?;
    let report = import_policy(&context, &args.file, args.dry_run, supersede)?;
    if args.json {
        print::json(&report)?;
    } else {
        let what = if report.unchanged > 0 { "is there already" } else { "accepted" };
        print::line(&format!(
            "policy '{}' from {}: {what}; revision {}; sha256 {}",
            report.title, report.effective_on, report.revision, report.sha256
        ))?;
    }
    Ok(true)
}

type Import = fn(&Context, &Path, ImportOptions<'_>) -> Result<ImportReport, ActionError>;

fn table(global: &Global, args: &FileArgs, import: Import) -> Result<bool, Failure> {
    let context = global.context()?;
    let bar = print::counter("importing");
    let options = ImportOptions { dry_run: args.dry_run, progress: &|rows| bar.set_position(rows) };
    let outcome = import(&context, &args.file, options);
    bar.finish_and_clear();
    let report = outcome?;
    for refusal in &report.first_refusals {
        print::message(refusal);
    }
    if let Some(file) = &report.refused_file {
        print::message(&format!("refused: {}, with the reasons in {file}", print::count(report.refused, "row")));
    }
    if args.json {
        print::json(&report)?;
    } else {
        let dry = if report.dry_run { " (dry run: nothing was written)" } else { "" };
        print::line(&format!("{} accepted, {} unchanged, {} refused{dry}", report.accepted, report.unchanged, report.refused))?;
        if report.held > 0 {
            print::line(&format!("{} of the accepted reads wait for a decision: see `aquabills held list`", report.held))?;
        }
    }
    Ok(report.refused == 0)
}
