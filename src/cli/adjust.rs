//! `aquabills adjust`: a credit or a charge with a reason.

use chrono::NaiveDate;

use super::print;
use super::{Failure, Global};
use crate::actions::adjust::{Adjustment, ask};
use crate::domain::money::Money;

/// Gives a credit or a charge with a reason.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Account number
    account: String,
    /// Amount: negative is a credit to the customer
    #[arg(long, allow_hyphen_values = true)]
    amount: Money,
    /// Reason code, such as goodwill
    #[arg(long)]
    reason: String,
    /// Reference: the same adjustment again changes nothing
    #[arg(long)]
    reference: String,
    /// Why, in words
    #[arg(long)]
    note: String,
    /// Value date [default: today]
    #[arg(long, value_name = "YYYY-MM-DD")]
    on: Option<NaiveDate>,
}

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    let context = global.existing()?;
    let adjustment = Adjustment {
        account: args.account.clone(),
        reason_code: args.reason.clone(),
        amount: args.amount,
        effective_on: args.on.unwrap_or_else(|| context.today()),
        reference: args.reference.clone(),
        note: args.note.clone(),
    };
    let outcome = ask(&context, &adjustment)?;
    print::line(&super::approvals::describe("adjustment", &outcome))?;
    Ok(true)
}
