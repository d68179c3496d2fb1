//! `aquabills inbox`: what providers sent, what became of it, and telling it again.

use chrono::NaiveDate;
use clap::Subcommand;

use super::print;
use super::{Failure, Global};
use crate::actions::Context;
use crate::actions::inbox::settle;
use crate::actions::inbox_view::{EventLine, event, events};
use crate::actions::reconcile::backfill::replay;
use crate::actions::stop::Stop;

/// Lists what providers sent, shows one event, applies what waits, tells payments again.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists events, newest first
    List {
        /// Only those that wait to be applied
        #[arg(long)]
        waiting: bool,
        /// Only those before this number
        #[arg(long, value_name = "NUMBER")]
        before: Option<i64>,
        /// How many
        #[arg(long, default_value_t = 50)]
        limit: i64,
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Shows one event with its body as it came
    Show {
        /// The event's number, or the provider's name of it
        event: String,
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Tells every payment of some days again from its stored events; a ledger that was right stays as it is
    Replay {
        /// First day [default: seven days before the last]
        #[arg(long, value_name = "YYYY-MM-DD")]
        from: Option<NaiveDate>,
        /// Last day [default: today]
        #[arg(long, value_name = "YYYY-MM-DD")]
        to: Option<NaiveDate>,
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Applies everything that waits now, also what failed and would be tried later
    Retry {
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    let context = global.existing()?;
    match &args.command {
        Command::List { waiting, before, limit, json } => list(&context, *waiting, before.unwrap_or(i64::MAX), (*limit).clamp(1, 10_000), *json),
        Command::Show { event, json } => show(&context, event, *json),
        Command::Replay { from, to, json } => {
            let to = to.unwrap_or_else(|| context.today());
            let from = from.unwrap_or_else(|| to - chrono::Days::new(7));
            tell_again(&context, from, to, *json)
        }
        Command::Retry { json } => retry(&context, *json),
    }
}

fn list(context: &Context, waiting: bool, before: i64, limit: i64, json: bool) -> Result<bool, Failure> {
    let rows = events(context, waiting, before, limit)?;
    if json {
        print::json(&serde_json::json!({ "events": rows }))?;
        return Ok(true);
    }
    for row in &rows {
        print::line(&line(context, row))?;
    }
    Ok(true)
}

fn line(context: &Context, row: &EventLine) -> String {
    let why = row.error.as_ref().map(|why| format!("  {why}")).unwrap_or_default();
    format!(
        "{:>8}  {}  {:<8}  {:<36}  {:<28}  {}{why}",
        row.id,
        row.received_at.and_utc().with_timezone(&context.config.time_zone).format("%Y-%m-%d %H:%M:%S"),
        row.status,
        row.event_type,
        row.event_id,
        row.payment_ref.as_deref().unwrap_or("-")
    )
}

fn show(context: &Context, name: &str, json: bool) -> Result<bool, Failure> {
    let found = event(context, name)?;
    if json {
        print::json(&found)?;
        return Ok(true);
    }
    for found in &found.events {
        print::line(&line(context, &found.line))?;
        print::line(&format!("{:>8}  {} from {}, delivered {}", "", found.origin, found.provider, print::count(found.deliveries, "time")))?;
        print::line(&found.body)?;
    }
    Ok(true)
}

fn tell_again(context: &Context, from: NaiveDate, to: NaiveDate, json: bool) -> Result<bool, Failure> {
    let done = replay(context, from, to, &Stop::default())?;
    if json {
        print::json(&done)?;
    } else {
        print::line(&format!(
            "{} applied; {} told again, {} of them moved the ledger, {} cannot be told",
            print::count(done.applied, "waiting event"),
            print::count(done.payments, "payment"),
            done.changed,
            done.failed
        ))?;
        for failure in &done.failures {
            print::message(failure);
        }
    }
    Ok(done.failed == 0)
}

fn retry(context: &Context, json: bool) -> Result<bool, Failure> {
    let settled = settle(context, true, &Stop::default())?;
    if json {
        print::json(&settled)?;
    } else {
        print::line(&format!("{} applied, {} cannot be applied", print::count(settled.applied, "event"), settled.failed))?;
    }
    Ok(settled.failed == 0)
}
