//! `aquabills bill`: one run, or what is due by the schedules.

use chrono::NaiveDate;

use super::print;
use super::{Failure, Global};
use crate::actions::Context;
use crate::actions::bill_run::{RunOptions, RunReport, run_bills};
use crate::actions::schedule::{DueOptions, Outcome, run_due};
use crate::actions::stop::Stop;
use crate::domain::money::Money;

/// Bills a cycle through a day, or what is due by the schedules.
#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools, reason = "a flag of the command line is a bool")]
pub(super) struct Args {
    /// The cycle, or `all`
    #[arg(long, required_unless_present = "due")]
    cycle: Option<String>,
    /// Bills reads up to and including this day
    #[arg(long, value_name = "YYYY-MM-DD", required_unless_present = "due")]
    through: Option<NaiveDate>,
    /// Runs what is due by the schedules of the settings: for cron or systemd, where no server does it
    #[arg(long, conflicts_with_all = ["cycle", "through", "dry_run", "approve", "override_gates"])]
    due: bool,
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
    let (Some(cycle), Some(through)) = (&args.cycle, args.through) else { return run_schedules(&context, args.json) };
    let bar = print::progress("pricing");
    let options = RunOptions {
        cycle: cycle.clone(),
        through,
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

/// One look at the schedules: the answer is no when a person has to look at what became of one.
fn run_schedules(context: &Context, json: bool) -> Result<bool, Failure> {
    let bar = print::progress("pricing");
    let options = DueOptions { retry_now: true, stop: Stop::default(), progress: &|step, done, all| print::show_step(&bar, step, done, all) };
    let outcomes = run_due(context, &options);
    bar.finish_and_clear();
    if json {
        print::json(&serde_json::json!({ "outcomes": outcomes }))?;
    } else {
        for outcome in &outcomes {
            print::line(&format!("{}: {}", outcome.schedule, super::schedule::in_words(outcome)))?;
        }
        if outcomes.is_empty() {
            print::message("nothing is due");
        }
    }
    Ok(!outcomes.iter().any(Outcome::needs_a_person))
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
