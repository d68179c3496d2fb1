//! `aquabills held`: what waits for a person.

use chrono::NaiveDate;
use clap::Subcommand;

use super::print;
use super::{Failure, Global};
use crate::actions::held::{Decision, ToDoFilter, decide_all, decide_some, list_todos, reject_billed_read, reject_read};
use crate::domain::ids::ToDoId;
use crate::domain::money::Money;

/// What waits for a person.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

/// What an item may be about.
const KINDS: [&str; 11] = [
    "read_limit",
    "bill_limit",
    "read_missing",
    "stuck_register",
    "low_use",
    "vacant_use",
    "final_credit",
    "rebill_waits",
    "unapplied_credit",
    "bank_return",
    "bank_correction",
];

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists what waits: the most money first, then the oldest
    List {
        /// Begins after this item
        #[arg(long)]
        after: Option<i64>,
        /// Only items of this kind
        #[arg(long, value_parser = KINDS)]
        kind: Option<String>,
        /// Only items about this account
        #[arg(long)]
        account: Option<String>,
        /// How many
        #[arg(long, default_value_t = 100)]
        limit: i64,
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Says that held reads or bills are right, or that the rest is dealt with: the next run bills them
    Release(DecideArgs),
    /// Says that held reads are wrong: they are set aside
    Reject(DecideArgs),
    /// Sets an accepted read aside that is wrong, so that another can take its place
    RejectRead {
        /// The meter's number
        meter: String,
        /// The day of the read
        on: NaiveDate,
        /// Which of the meter's registers
        #[arg(long, default_value = "1")]
        register: String,
        /// Also when it is billed: the bill stays, and what it charged wrongly is found
        #[arg(long)]
        billed: bool,
        /// Why
        #[arg(long)]
        note: String,
    },
}

#[derive(Debug, clap::Args)]
struct DecideArgs {
    /// The items' numbers
    #[arg(required_unless_present = "all")]
    ids: Vec<i64>,
    /// Everything that waits
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    /// With --all: only items of this kind
    #[arg(long, value_parser = KINDS)]
    kind: Option<String>,
    /// Why
    #[arg(long, default_value = "")]
    note: String,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    let context = global.existing()?;
    let (decision, args) = match &args.command {
        Command::List { after, kind, account, limit, json } => {
            let filter = ToDoFilter { kind: kind.clone(), account: account.clone() };
            let items = list_todos(&context, &filter, after.map(ToDoId), (*limit).clamp(1, 100_000))?;
            if *json {
                print::json(&serde_json::json!({ "held": items }))?;
                return Ok(true);
            }
            for item in &items {
                let amount = item.amount_cents.map(|cents| Money::from_cents(cents).to_string()).unwrap_or_default();
                let service = item.service_id.as_deref().unwrap_or("");
                let age = print::count(u64::try_from(item.age_days).unwrap_or(0), "day");
                print::line(&format!("{:>7}  {:<14} {service:<20} {amount:>14} {age:>9}  {}", item.id, item.kind, item.reason))?;
            }
            print::message(&print::count(u64::try_from(items.len()).unwrap_or(0), "item"));
            return Ok(true);
        }
        Command::RejectRead { meter, on, register, billed, note } => {
            let reject = if *billed { reject_billed_read } else { reject_read };
            reject(&context, meter, register, *on, note)?;
            print::line(&format!("the read of meter {meter} of {on} is set aside"))?;
            return Ok(true);
        }
        Command::Release(args) => (Decision::Release, args),
        Command::Reject(args) => (Decision::Reject, args),
    };
    let resolved = if args.all {
        decide_all(&context, args.kind.as_deref(), decision, &args.note)?
    } else {
        let ids: Vec<ToDoId> = args.ids.iter().copied().map(ToDoId).collect();
        decide_some(&context, &ids, decision, &args.note)?
    };
    let done = if decision == Decision::Release { "released" } else { "rejected" };
    if args.json {
        print::json(&serde_json::json!({ done: resolved }))?;
    } else {
        print::line(&format!("{resolved} {done}"))?;
    }
    Ok(true)
}
