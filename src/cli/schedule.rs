//! `aquabills schedule`: what runs by itself, and what became of it.

use clap::Subcommand;

use super::print;
use super::{Failure, Global};
use crate::actions::schedule::{Outcome, ScheduleView, overview};

/// Shows what runs by itself.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists each schedule with its last outcomes and its next moments
    List {
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    let Command::List { json } = args.command;
    let views = overview(&global.existing()?)?;
    if json {
        print::json(&serde_json::json!({ "schedules": views }))?;
        return Ok(true);
    }
    if views.is_empty() {
        print::message("there are no schedules: a [[schedule]] table in the settings makes one");
    }
    for view in &views {
        show(view)?;
    }
    Ok(true)
}

fn show(view: &ScheduleView) -> Result<(), Failure> {
    let estimate = if view.estimate { ", estimates missing reads" } else { "" };
    let approve = if view.approve { "issues when its gates pass" } else { "waits for review" };
    print::line(&format!(
        "{}: cycle {} at '{}', {} back{estimate}, {approve}",
        view.name,
        view.cycle,
        view.cron,
        print::count(view.days_back.into(), "day")
    ))?;
    for moment in &view.next {
        print::line(&format!("  next {moment}"))?;
    }
    for outcome in &view.last {
        print::line(&format!("  last {}", in_words(outcome)))?;
    }
    Ok(())
}

/// An outcome in one line.
pub(super) fn in_words(outcome: &Outcome) -> String {
    let missed = if outcome.missed > 0 { format!(" (makes up for {} earlier)", outcome.missed) } else { String::new() };
    format!("{}  {:<8} {}{missed}", outcome.due_local, outcome.status, outcome.message)
}
