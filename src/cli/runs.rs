//! `aquabills runs`: looks at bill runs and takes them back.

use clap::Subcommand;

use super::print;
use super::{Failure, Global};
use crate::actions::bill_run::{discard_run, report, roll_back_run};
use crate::actions::{ActionError, Context};
use crate::db::billing;
use crate::domain::ids::{AgreementId, RunId};

/// Looks at bill runs and takes them back.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists the latest runs
    List {
        /// How many
        #[arg(long, default_value_t = 20)]
        limit: i64,
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Shows one run with its gates and whom it held, and why
    Show {
        /// The run
        id: i64,
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Discards a run of which nothing was issued
    Discard {
        /// The run
        id: i64,
    },
    /// Takes every bill of an issued run back
    Rollback {
        /// The run
        id: i64,
        /// Why
        #[arg(long)]
        reason: String,
    },
}

/// Exceptions that are shown with a run.
const SHOWN: i64 = 50;

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    let context = global.existing()?;
    match &args.command {
        Command::List { limit, json } => list(&context, (*limit).clamp(1, 1000), *json),
        Command::Show { id, json } => show(&context, RunId(*id), *json),
        Command::Discard { id } => {
            discard_run(&context, RunId(*id))?;
            print::line(&format!("run {id} is discarded; its periods can be billed again"))?;
            Ok(true)
        }
        Command::Rollback { id, reason } => {
            let bar = print::progress("rolling back");
            let outcome = roll_back_run(&context, RunId(*id), reason, |done, all| print::show_parts(&bar, done, all));
            bar.finish_and_clear();
            outcome?;
            print::line(&format!("run {id} is rolled back: every bill of it is reversed, and its periods can be billed again"))?;
            Ok(true)
        }
    }
}

fn list(context: &Context, limit: i64, json: bool) -> Result<bool, Failure> {
    let runs = context.database.read(|conn| billing::latest_runs(conn, limit)).map_err(ActionError::from)?;
    let mut reports = Vec::new();
    for run in &runs {
        reports.push(report(context, run)?);
    }
    if json {
        print::json(&serde_json::json!({ "runs": reports }))?;
        return Ok(true);
    }
    for (run, report) in runs.iter().zip(&reports) {
        print::line(&format!(
            "run {:>5}  cycle {:<12} through {}  {:<12} {:>9} bills  {:>7} held",
            run.id, run.cycle, run.through_on, run.status, report.totals.bills, report.totals.held
        ))?;
    }
    Ok(true)
}

fn show(context: &Context, id: RunId, json: bool) -> Result<bool, Failure> {
    let run = context.database.read(|conn| billing::run(conn, id)).map_err(ActionError::from)?;
    let run = run.ok_or_else(|| ActionError::not_found("run", id.to_string()))?;
    let report = report(context, &run)?;
    let held = context.database.read(|conn| billing::exceptions(conn, id, "held", AgreementId(0), SHOWN)).map_err(ActionError::from)?;
    if json {
        print::json(&serde_json::json!({ "run": report, "held": held }))?;
        return Ok(true);
    }
    super::bill::show(&report)?;
    for row in held {
        print::line(&format!("  held: account {}, service {}: {}", row.account, row.service_id, row.reason))?;
    }
    Ok(true)
}
