//! `aquabills read`: one read, entered by hand.

use chrono::NaiveDate;
use clap::Subcommand;

use super::print;
use super::{Failure, Global};
use crate::actions::enter_read::{NewRead, ReadOutcome, confirm_read, correct_read, enter_read};
use crate::domain::metering::ReadKind;
use crate::domain::quantity::parse_milli;

/// One read, entered by hand.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Enters a read: judged like those of a file
    Enter(EnterArgs),
}

#[derive(Debug, clap::Args)]
struct EnterArgs {
    /// The meter's number
    meter: String,
    /// The day on which it was read
    #[arg(long)]
    on: NaiveDate,
    /// What the register showed
    #[arg(long)]
    reading: String,
    /// How it came to be: actual, customer, estimated or final
    #[arg(long, default_value = "actual")]
    kind: String,
    /// Which of the meter's registers
    #[arg(long, default_value = "1")]
    register: String,
    /// Takes the read as right although it is doubtful or was rejected before; says why
    #[arg(long, value_name = "WHY")]
    confirm: Option<String>,
    /// With --confirm: also of a day that is billed; the bill stays, and what it charged wrongly is found
    #[arg(long, requires = "confirm")]
    billed: bool,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    let Command::Enter(args) = &args.command;
    let read = NewRead {
        meter: args.meter.clone(),
        register: args.register.clone(),
        read_on: args.on,
        reading_milli: parse_milli(&args.reading).map_err(|error| Failure::No(format!("reading: {error}")))?,
        kind: args.kind.parse::<ReadKind>().map_err(|error| Failure::No(format!("kind: {error}")))?,
    };
    let context = global.existing()?;
    let outcome = match &args.confirm {
        Some(why) if args.billed => correct_read(&context, &read, why)?,
        Some(why) => confirm_read(&context, &read, why)?,
        None => enter_read(&context, &read)?,
    };
    let (word, reason) = match outcome {
        ReadOutcome::Accepted => ("accepted", None),
        ReadOutcome::Held(reason) => ("held", Some(reason)),
        ReadOutcome::Unchanged => ("unchanged", None),
        ReadOutcome::Refused(reason) => return Err(Failure::No(reason)),
    };
    if args.json {
        print::json(&serde_json::json!({ "outcome": word, "reason": reason }))?;
        return Ok(true);
    }
    if let Some(reason) = reason {
        print::message(&reason);
    }
    print::line(&format!("the read of meter {} of {}: {word}", args.meter, args.on))?;
    Ok(true)
}
