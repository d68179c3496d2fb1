//! `aquabills payment`: money received at the counter, and money that went back.

use chrono::NaiveDate;
use clap::Subcommand;

use super::print;
use super::{Failure, Global};
use crate::actions::payments::{COUNTER_PROVIDER, NewPayment, Posted, post_payment, return_payment};
use crate::domain::ids::AccountId;
use crate::domain::ledger::Tender;
use crate::domain::money::Money;

/// Takes a payment, or returns one.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Posts a payment
    Take {
        /// Account number
        account: String,
        /// Amount, above 0
        #[arg(long, value_parser = Money::parse_paid)]
        amount: Money,
        /// Receipt number: the same payment again changes nothing
        #[arg(long)]
        reference: String,
        /// cash, cheque, card or transfer
        #[arg(long, default_value = "cash")]
        tender: Tender,
        /// Value date [default: today]
        #[arg(long, value_name = "YYYY-MM-DD")]
        on: Option<NaiveDate>,
    },
    /// Reverses a payment whose money went back
    Return {
        /// The payment's reference
        reference: String,
        /// Where the reference comes from
        #[arg(long, default_value = COUNTER_PROVIDER, value_parser = ["counter", "file"])]
        source: String,
        /// Why: bounced, recalled, …
        #[arg(long)]
        reason: String,
        /// Value date [default: today]
        #[arg(long, value_name = "YYYY-MM-DD")]
        on: Option<NaiveDate>,
    },
}

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    let context = global.existing()?;
    let (what, posted) = match &args.command {
        Command::Take { account, amount, reference, tender, on } => {
            let payment = NewPayment {
                account_id: AccountId(0),
                amount: *amount,
                effective_on: on.unwrap_or_else(|| context.today()),
                tender: *tender,
                provider: COUNTER_PROVIDER.to_owned(),
                reference: reference.clone(),
            };
            ("payment", post_payment(&context, account, &payment)?)
        }
        Command::Return { reference, source, reason, on } => {
            let on = on.unwrap_or_else(|| context.today());
            ("return", return_payment(&context, source, reference, on, reason)?)
        }
    };
    print::line(&describe(what, &posted))?;
    Ok(true)
}

/// What was posted, in words.
pub(super) fn describe(what: &str, posted: &Posted) -> String {
    if posted.unchanged {
        let balance = Money::from_cents(posted.balance_after_cents);
        return format!("the {what} is there already as transaction {}; nothing changed; balance {balance}", posted.account_seq);
    }
    format!("{what} posted as transaction {}; balance now {}", posted.account_seq, Money::from_cents(posted.balance_after_cents))
}
