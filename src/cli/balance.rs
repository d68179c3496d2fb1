//! `aquabills balance`: a credit paid out, or a balance carried to another account.

use clap::Subcommand;

use super::payment::describe;
use super::print;
use super::{Failure, Global};
use crate::actions::approvals::Outcome;
use crate::actions::balances::{PayOut, Transfer, ask_pay_out, ask_transfer, carried_to};
use crate::actions::payments::Posted;
use crate::domain::money::Money;
use crate::domain::payouts::Payee;

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
        #[command(flatten)]
        to: PayeeArgs,
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

/// Who is paid; without a way a person makes the transfer.
#[derive(Debug, clap::Args)]
struct PayeeArgs {
    /// How: a line in the bank's file, or a cheque [default: a person makes the transfer]
    #[arg(long, value_parser = ["payout", "cheque"])]
    way: Option<String>,
    /// The payee's name
    #[arg(long, requires = "way")]
    payee: Option<String>,
    /// Routing number or BIC, for the bank's file
    #[arg(long, requires = "way")]
    bank_code: Option<String>,
    /// Account number or IBAN, for the bank's file
    #[arg(long, requires = "way")]
    bank_account: Option<String>,
    /// It is a savings account
    #[arg(long, requires = "way")]
    savings: bool,
    /// Where a cheque is sent
    #[arg(long, requires = "way")]
    address: Option<String>,
}

impl PayeeArgs {
    fn payee(&self) -> Result<Option<Payee>, Failure> {
        let need = |value: &Option<String>, name: &str| {
            let missing = || Failure::Use(format!("--{name} is missing: it is needed for this way"));
            value.clone().filter(|value| !value.trim().is_empty()).ok_or_else(missing)
        };
        match self.way.as_deref() {
            None => Ok(None),
            Some("cheque") => Ok(Some(Payee::Cheque { name: need(&self.payee, "payee")?, address: need(&self.address, "address")? })),
            Some(_) => Ok(Some(Payee::Payout {
                name: need(&self.payee, "payee")?,
                bank_code: need(&self.bank_code, "bank-code")?,
                bank_account: need(&self.bank_account, "bank-account")?,
                savings: self.savings,
            })),
        }
    }
}

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    let context = global.existing()?;
    match &args.command {
        Command::Refund { account, amount, reference, note, to: args_to } => {
            let payee = args_to.payee()?;
            let wish = PayOut { account: account.clone(), amount: *amount, reference: reference.clone(), note: note.clone(), payee };
            print::line(&super::approvals::describe("refund", &ask_pay_out(&context, &wish)?))?;
        }
        Command::Transfer { from, to, reference, note } => {
            let wish = Transfer::new(from, to, reference, note, None);
            let taken = match ask_transfer(&context, &wish)? {
                Outcome::Done(posted) => posted,
                waits => {
                    print::line(&super::approvals::describe("transfer", &waits))?;
                    return Ok(true);
                }
            };
            let given = Posted { unchanged: taken.unchanged, ..carried_to(&context, &wish)? };
            print::line(&format!("{from}: {}", describe("transfer", &taken)))?;
            print::line(&format!("{to}: {}", describe("transfer", &given)))?;
        }
    }
    Ok(true)
}
