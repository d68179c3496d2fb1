//! `aquabills estimate`: reads for what was not read.

use chrono::NaiveDate;

use super::print;
use super::{Failure, Global};
use crate::actions::estimate::estimate_missing;

/// Estimates what was not read.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The bill cycle, or all
    #[arg(long)]
    cycle: String,
    /// The day that wants a read
    #[arg(long)]
    on: NaiveDate,
    /// Says what would be estimated and changes nothing
    #[arg(long)]
    dry_run: bool,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    let context = global.existing()?;
    let report = estimate_missing(&context, &args.cycle, args.on, args.dry_run)?;
    if args.json {
        print::json(&report)?;
        return Ok(true);
    }
    for held in &report.held {
        print::message(&format!("account {}, service {}, {}: {}", held.account, held.service_id, held.on, held.reason));
    }
    let dry = if report.dry_run { " (dry run: nothing was written)" } else { "" };
    print::line(&format!("{} due: {} read, {} estimated, {} left to a clerk{dry}", report.due, report.read, report.estimated, report.held.len()))?;
    Ok(true)
}
