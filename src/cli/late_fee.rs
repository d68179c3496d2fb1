//! `aquabills late-fee`: a fee for paying late, waived.

use clap::Subcommand;

use super::print;
use super::{Failure, Global};
use crate::actions::collections::Taken;
use crate::actions::collections::late_fees::waive_fee;
use crate::domain::money::Money;

/// Waives a late fee.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Waives a fee: a credit of the same amount
    Waive {
        /// Account number
        account: String,
        /// The fee, by its position in the account's ledger: `collections show` lists it
        fee: i64,
        /// The idempotency key: the same again changes nothing
        #[arg(long)]
        reference: String,
        /// Why, in words
        #[arg(long)]
        note: String,
    },
}

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    let context = global.existing()?;
    let Command::Waive { account, fee, reference, note } = &args.command;
    let posted = match waive_fee(&context, account, *fee, reference, note)? {
        Taken::Done(posted) => posted,
        Taken::Waits(why) => return print::line(&format!("waiving it waits for a second person: {why}")).map(|()| true),
    };
    let what = if posted.unchanged { "was waived before" } else { "is waived" };
    print::line(&format!("late fee {fee} of account {account} {what}; balance {}", Money::from_cents(posted.balance_after_cents)))?;
    Ok(true)
}
