//! `aquabills refund`: money given back through the provider that brought it, and what became of payouts by bank.

use clap::Subcommand;

use super::payment::describe;
use super::print;
use super::{Failure, Global};
use crate::actions::refunds::{PayoutNews, RefundWish, refund_payment, refunds_of, send_due, settle_payout};
use crate::actions::stop::Stop;
use crate::domain::money::Money;

/// Gives a payment's money back, lists refunds, sends what waits.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Gives money of a payment back to where it came from
    Payment {
        /// Account number
        account: String,
        /// The payment's reference at the provider
        payment: String,
        /// How much
        #[arg(long, value_parser = Money::parse_paid)]
        amount: Money,
        /// Reference: the same again changes nothing
        #[arg(long)]
        reference: String,
        /// Why, in words
        #[arg(long)]
        note: String,
    },
    /// Lists an account's refunds, newest first
    List {
        /// Account number
        account: String,
        /// Prints one JSON array
        #[arg(long)]
        json: bool,
    },
    /// Asks providers for the refunds that wait, as the server does all the time
    Send {
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Notes that the bank sent a payout
    PaidOut {
        /// Account number
        account: String,
        /// The payout's reference
        reference: String,
        /// The bank's reference
        #[arg(long, value_name = "REFERENCE")]
        bank: String,
    },
    /// Notes that a payout came back: the money is the customer's again
    CameBack {
        /// Account number
        account: String,
        /// The payout's reference
        reference: String,
        /// Why, in words
        #[arg(long)]
        note: String,
    },
}

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    let context = global.existing()?;
    match &args.command {
        Command::Payment { account, payment, amount, reference, note } => {
            let wish =
                RefundWish { account: account.clone(), payment: payment.clone(), amount: *amount, reference: reference.clone(), note: note.clone() };
            print::line(&describe("refund", &refund_payment(&context, &wish)?))?;
        }
        Command::List { account, json } => {
            let refunds = refunds_of(&context, account)?;
            if *json {
                return print::json(&refunds).map(|()| true);
            }
            for refund in refunds {
                let name = refund.provider_ref.or(refund.payment).unwrap_or_else(|| refund.token.clone());
                let error = refund.error.map(|error| format!(": {error}")).unwrap_or_default();
                let amount = Money::from_cents(refund.amount_cents);
                print::line(&format!("{} {amount} {} {} {name}{error}", refund.made_on, refund.way, refund.state))?;
            }
        }
        Command::Send { json } => {
            let counts = send_due(&context, &Stop::default())?;
            if *json {
                return print::json(&counts).map(|()| true);
            }
            print::line(&format!("{} sent, {} failed, {} waiting", print::count(counts.sent, "refund"), counts.failed, counts.waiting))?;
        }
        Command::PaidOut { account, reference, bank } => {
            settle_payout(&context, account, reference, &PayoutNews::Sent(bank.clone()))?;
            print::line(&format!("payout {reference} is sent"))?;
        }
        Command::CameBack { account, reference, note } => {
            settle_payout(&context, account, reference, &PayoutNews::Failed(note.clone()))?;
            print::line(&format!("payout {reference} came back: the money is in account {account} again"))?;
        }
    }
    Ok(true)
}
