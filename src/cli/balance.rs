//! `aquabills balance`: a credit paid out, or a balance carried to another account.

use clap::Subcommand;

use super::payment::describe;
use super::print;
use super::{Failure, Global};
use crate::actions::balances::{refund_credit, transfer_balance};
use crate::domain::money::Money;

/// Pays a credit balance out, or carries a balance to another account.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Takes a credit balance out of an account, to be paid to the customer
    Refund {
        /// Account number
        account: String,
        /// How much [default: the whole credit]
        #[arg(long, value_parser = Money::parse_paid)]
        amount: Option<Money>,
        /// Reference: the same again changes nothing
        #[arg(long)]
        reference: String,
        /// Why, in words
        #[arg(long)]
        note: String,
    },
    /// Carries the whole balance of an account to another one
    Transfer {
        /// Account number that it is taken from
        from: String,
        /// Account number that it goes to
        to: String,
        /// Reference: the same again changes nothing
        #[arg(long)]
        reference: String,
        /// Why, in words
        #[arg(long)]
        note: String,
    },
}

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    let context = global.existing()?;
    match &args.command {
        Command::Refund { account, amount, reference, note } => {
            let posted = refund_credit(&context, account, *amount, reference, note)?;
            print::line(&describe("refund", &posted))?;
        }
        Command::Transfer { from, to, reference, note } => {
            let (taken, given) = transfer_balance(&context, from, to, reference, note)?;
            print::line(&format!("{from}: {}", describe("transfer", &taken)))?;
            print::line(&format!("{to}: {}", describe("transfer", &given)))?;
        }
    }
    Ok(true)
}
