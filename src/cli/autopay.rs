//! `aquabills autopay`: what is drawn by itself, shown, paused, ended, and made to happen now.

use clap::Subcommand;

use super::print;
use super::{Failure, Global};
use crate::actions::account_view::Whose;
use crate::actions::autopay::manage::{Change, change_for};
use crate::actions::autopay::run_due;
use crate::actions::autopay::view::{DrawView, MandateView, autopay_view};
use crate::actions::stop::Stop;
use crate::domain::money::Money;

/// Shows, pauses and ends autopay, and draws what is due.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows an account's mandate and its draws
    Show {
        /// Account number
        account: String,
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Draws nothing until the customer takes it up again
    Pause {
        /// Account number
        account: String,
        /// Why, in words
        #[arg(long)]
        note: String,
    },
    /// Ends it
    End {
        /// Account number
        account: String,
        /// Why, in words
        #[arg(long)]
        note: String,
    },
    /// Does what is due now, as the server does all the time
    Run {
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
}

#[derive(serde::Serialize)]
struct Shown {
    account: String,
    mandate: Option<MandateView>,
    draws: Vec<DrawView>,
}

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    let context = global.existing()?;
    match &args.command {
        Command::Show { account, json } => {
            let view = autopay_view(&context, account, Whose::Anybody)?;
            let shown = Shown { account: view.head.number, mandate: view.mandate, draws: view.draws };
            if *json { print::json(&shown)? } else { show(&shown)? }
        }
        Command::Pause { account, note } => {
            change_for(&context, account, Change::Pause, note)?;
            print::line(&format!("autopay of account {account} is paused"))?;
        }
        Command::End { account, note } => {
            change_for(&context, account, Change::End, note)?;
            print::line(&format!("autopay of account {account} has ended"))?;
        }
        Command::Run { json } => {
            let counts = run_due(&context, &Stop::default())?;
            if *json {
                print::json(&counts)?;
            } else {
                let (made, skipped, failed) = (print::count(counts.drawn, "draw"), counts.skipped, counts.failed);
                print::line(&format!("{made} made, {skipped} skipped, {failed} declined, {} waiting", counts.waiting))?;
            }
        }
    }
    Ok(true)
}

fn show(shown: &Shown) -> Result<(), Failure> {
    match &shown.mandate {
        Some(mandate) => {
            let limit = mandate.limit_cents.map_or_else(|| "no limit".to_owned(), |cents| format!("at most {} a bill", Money::from_cents(cents)));
            print::line(&format!("account {}: {}, from {}, {limit}", shown.account, mandate.state, mandate.method.as_deref().unwrap_or("-")))?;
        }
        None => print::line(&format!("account {} has no autopay", shown.account))?,
    }
    for draw in &shown.draws {
        let amount = Money::from_cents(draw.drawn_cents.unwrap_or(draw.amount_cents));
        let reason = draw.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        print::line(&format!("{} {} {amount} {}{reason}", draw.draw_on, draw.bill_number, draw.state))?;
    }
    Ok(())
}
