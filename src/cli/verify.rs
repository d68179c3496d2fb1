//! `aquabills verify`: every bill made again.

use super::print;
use super::{Failure, Global};
use crate::actions::verify_bills::verify_bills;
use crate::domain::money::Money;

/// Makes every bill again and compares.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    let context = global.existing()?;
    let bar = print::progress("verifying");
    let outcome = verify_bills(&context, &|done, all| print::show_parts(&bar, done, all));
    bar.finish_and_clear();
    let report = outcome?;
    if args.json {
        print::json(&report)?;
    } else {
        for difference in &report.first_differences {
            print::line(difference)?;
        }
        print::line(&format!(
            "{} ({} of them taken back since), {}, {} in all: {}",
            print::count(report.bills, "bill"),
            report.cancelled,
            print::count(report.segments, "segment"),
            Money::from_cents(report.total_cents),
            print::count(report.differences, "difference")
        ))?;
    }
    Ok(report.differences == 0)
}
