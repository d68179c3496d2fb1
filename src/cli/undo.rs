//! `aquabills undo`: a credit or a charge taken back.

use super::print;
use super::{Failure, Global};
use crate::actions::undo::{Undo, undo};

/// Takes a credit or a charge back.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Account number
    account: String,
    /// The reference of the credit or charge
    of: String,
    /// Reference of taking it back: the same again changes nothing
    #[arg(long)]
    reference: String,
    /// Why, in words
    #[arg(long)]
    note: String,
}

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    let context = global.existing()?;
    let wish = Undo { account: args.account.clone(), of: args.of.clone(), reference: args.reference.clone(), note: args.note.clone() };
    let outcome = undo(&context, &wish)?;
    print::line(&super::approvals::describe("undo", &outcome))?;
    Ok(true)
}
