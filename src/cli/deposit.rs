//! `aquabills deposit`: money that secures what an account will owe: taken, applied, refunded, with interest.

use chrono::NaiveDate;
use clap::Subcommand;

use super::print;
use super::{Failure, Global};
use crate::actions::approvals::Outcome;
use crate::actions::collections::deposits::{Taking, apply_deposit, credit_all_interest, refund_deposit, take_deposit, withdraw_deposit};
use crate::domain::ledger::Tender;
use crate::domain::money::Money;

/// Takes, applies and refunds deposits, credits their interest.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Takes a deposit, which is held apart
    Take {
        /// Account number
        account: String,
        /// How much
        amount: Money,
        /// cash, cheque, card or transfer
        #[arg(long)]
        tender: Tender,
        /// The idempotency key: the same again changes nothing
        #[arg(long)]
        reference: String,
        /// Why, in words
        #[arg(long)]
        note: String,
    },
    /// Makes it a credit of its account, with its interest
    Apply {
        /// Account number
        account: String,
        /// The deposit's reference
        reference: String,
        /// Why, in words
        #[arg(long)]
        note: String,
    },
    /// Applies it and pays out what it leaves to the customer's good
    Refund {
        /// Account number
        account: String,
        /// The deposit's reference
        reference: String,
        /// Why, in words
        #[arg(long)]
        note: String,
    },
    /// Takes the charge of a deposit back whose payment went back
    Withdraw {
        /// Account number
        account: String,
        /// The deposit's reference
        reference: String,
        /// Why, in words
        #[arg(long)]
        note: String,
    },
    /// Credits the interest of every deposit that is held
    Interest {
        /// Up to this day, which earns none yet [default: today]
        #[arg(long, value_name = "DATE")]
        through: Option<NaiveDate>,
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    let context = global.existing()?;
    match &args.command {
        Command::Take { account, amount, tender, reference, note } => {
            let taking = Taking { account: account.clone(), amount: *amount, tender: *tender, reference: reference.clone(), note: note.clone() };
            let view = take_deposit(&context, &taking)?;
            print::line(&format!("deposit {reference} of {} is held for account {account}", Money::from_cents(view.row.amount_cents)))?;
        }
        Command::Apply { account, reference, note } => {
            let posted = apply_deposit(&context, account, reference, note)?;
            print::line(&format!("deposit {reference} is applied; balance {}", Money::from_cents(posted.balance_after_cents)))?;
        }
        Command::Refund { account, reference, note } => {
            let told = match refund_deposit(&context, account, reference, note)? {
                Outcome::Done(posted) => format!("is refunded; balance {}", Money::from_cents(posted.balance_after_cents)),
                Outcome::Permitted => "is applied".to_owned(),
                Outcome::Waits(waiting) => format!("is applied; paying it out waits for a second person as request {}: {}", waiting.id, waiting.why),
            };
            print::line(&format!("deposit {reference} {told}"))?;
        }
        Command::Withdraw { account, reference, note } => {
            let posted = withdraw_deposit(&context, account, reference, note)?;
            print::line(&format!("deposit {reference} is withdrawn; balance {}", Money::from_cents(posted.balance_after_cents)))?;
        }
        Command::Interest { through, json } => {
            let counts = credit_all_interest(&context, through.unwrap_or_else(|| context.today()))?;
            if *json {
                return print::json(&counts).map(|()| true);
            }
            print::line(&format!("{} credited on {}", Money::from_cents(counts.interest_cents), print::count(counts.credited, "deposit")))?;
        }
    }
    Ok(true)
}
