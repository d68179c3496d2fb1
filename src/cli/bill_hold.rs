//! `aquabills bill-hold`: a bill held back from collection, and let go.

use chrono::NaiveDateTime;
use clap::Subcommand;

use super::print;
use super::{Failure, Global};
use crate::actions::bill_holds::{HoldKind, bill_holds, hold_bill, release_bill};

/// Holds a bill back from collection, or lets it go.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Holds a bill back: nothing is drawn for it
    Place {
        /// The bill's number
        bill: String,
        /// held, or disputed when the customer questions it
        #[arg(long, default_value = "held")]
        kind: HoldKind,
        /// Why, in words
        #[arg(long)]
        note: String,
    },
    /// Lets a bill go
    Release {
        /// The bill's number
        bill: String,
        /// held or disputed
        #[arg(long, default_value = "held")]
        kind: HoldKind,
        /// Why, in words
        #[arg(long)]
        note: String,
    },
    /// Shows how a bill is and was held back
    Show {
        /// The bill's number
        bill: String,
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    let context = global.existing()?;
    match &args.command {
        Command::Place { bill, kind, note } => {
            hold_bill(&context, bill, *kind, note)?;
            print::line(&format!("bill {bill} is {}", kind.as_str()))?;
        }
        Command::Release { bill, kind, note } => {
            release_bill(&context, bill, *kind, note)?;
            print::line(&format!("bill {bill} is not {} any more", kind.as_str()))?;
        }
        Command::Show { bill, json } => {
            let shown = bill_holds(&context, bill)?;
            if *json {
                return print::json(&shown).map(|()| true);
            }
            for hold in shown.holds {
                let zone = context.config.time_zone;
                let moment = |at: NaiveDateTime| at.and_utc().with_timezone(&zone).format("%Y-%m-%d %H:%M");
                let released = hold.released_at.map_or_else(|| "until it is let go".to_owned(), |at| format!("let go {}", moment(at)));
                print::line(&format!("{} since {} by {}: {}; {released}", hold.kind, moment(hold.held_at), hold.held_by, hold.note))?;
            }
        }
    }
    Ok(true)
}
