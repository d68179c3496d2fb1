//! `aquabills bill`: one run.

use chrono::NaiveDate;

use super::print;
use super::{Failure, Global};
use crate::actions::bill_run::{RunOptions, RunReport, run_bills};
use crate::domain::money::Money;

/// Bills a cycle through a day.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The cycle, or `all`
    #[arg(long)]
    cycle: String,
    /// Bills reads up to and including this day
    #[arg(long, value_name = "YYYY-MM-DD")]
    through: NaiveDate,
    /// Prices and judges, writes nothing
    #[arg(long, conflicts_with_all = ["approve", "override_gates"])]
    dry_run: bool,
    /// Issues the bills when every gate lets the run pass
    #[arg(long)]
    approve: bool,
    /// With --approve: issues although a gate failed, for this reason
    #[arg(long, value_name = "REASON", requires = "approve")]
    override_gates: Option<String>,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    let context = global.existing()?;
    let bar = print::progress("pricing");
    let options = RunOptions {
        cycle: args.cycle.clone(),
        through: args.through,
        dry_run: args.dry_run,
        approve: args.approve,
        override_gates: args.override_gates.clone(),
        progress: &|step, done, all| print::show_step(&bar, step, done, all),
        fault: None,
    };
    let outcome = run_bills(&context, &options);
    bar.finish_and_clear();
    let report = outcome?;
    if args.json {
        print::json(&report)?;
    } else {
        show(&report)?;
    }
    Ok(report.passed() || report.status == "issued")
}

/// Prints a run for people.
pub(super) fn show(report: &RunReport) -> Result<(), Failure> {
    let totals = &report.totals;
    let run = report.run_id.map_or_else(|| "dry run".to_owned(), |id| format!("run {id}: {}", report.status));
    print::line(&run)?;
    print::line(&format!("  agreements due   {:>12}", totals.due))?;
    print::line(&format!("    billed         {:>12}", totals.billed))?;
    print::line(&format!("    held           {:>12}", totals.held))?;
    print::line(&format!("    excluded       {:>12}", totals.excluded))?;
    print::line(&format!("  bills            {:>12}", totals.bills))?;
    print::line(&format!("  segments         {:>12}", totals.segments))?;
    print::line(&format!("  total            {:>12}", Money::from_cents(totals.total_cents).to_string()))?;
    for gate in &report.gates {
        let mark = if gate.passed { "passed" } else { "FAILED" };
        print::line(&format!("  gate {mark}: {}: {}", gate.gate, gate.detail))?;
    }
    if report.status == "review" {
        print::line("  nothing is issued yet: look at it, then run the same command with --approve")?;
    }
    Ok(())
}
