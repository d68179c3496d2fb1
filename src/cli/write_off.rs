//! `aquabills write-off`: a debt that is not collected any more.

use super::print;
use super::{Failure, Global};
use crate::actions::collections::Taken;
use crate::actions::collections::write_off::{WritingOff, WrittenOff, undo_write_off, write_off};
use crate::domain::money::Money;

/// Writes a debt off, or takes that back.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Account number
    account: String,
    /// How much [default: everything that is due]
    #[arg(long)]
    amount: Option<Money>,
    /// The idempotency key: the same again changes nothing
    #[arg(long)]
    reference: String,
    /// Why, in words
    #[arg(long)]
    note: String,
    /// Takes the write-off with this reference back
    #[arg(long, conflicts_with = "amount")]
    undo: bool,
}

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    let context = global.existing()?;
    let (account, reference) = (&args.account, &args.reference);
    if args.undo {
        print::line(&match undo_write_off(&context, account, reference, &args.note)? {
            Taken::Done(posted) => format!("write-off {reference} is taken back; balance {}", Money::from_cents(posted.balance_after_cents)),
            Taken::Waits(why) => format!("taking write-off {reference} back waits for a second person: {why}"),
        })?;
        return Ok(true);
    }
    let what = WritingOff { account: account.clone(), amount: args.amount, reference: reference.clone(), note: args.note.clone() };
    match write_off(&context, &what)? {
        WrittenOff::Done(posted) => {
            let what = if posted.unchanged { "was done before" } else { "is done" };
            print::line(&format!("write-off {reference} of account {account} {what}; balance {}", Money::from_cents(posted.balance_after_cents)))?;
        }
        WrittenOff::Waits(why) => print::line(&format!("write-off {reference} waits for a second person: {why}"))?,
    }
    Ok(true)
}
