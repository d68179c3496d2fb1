//! `aquabills refund`: money given back through the provider that brought it, files for the bank, and what became of payouts.

use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use clap::Subcommand;

use super::approvals::describe;
use super::print;
use super::{Failure, Global};
use crate::actions::Context;
use crate::actions::approvals::Outcome;
use crate::actions::payout_batch::{Medium, list_batches, write_batch};
use crate::actions::refundable::refundable;
use crate::actions::refunds::{PayoutNews, RefundWish, ask_refund, refunds_of, send_due, settle_payout};
use crate::actions::stop::Stop;
use crate::actions::void_batch::{Voided, void_batch};
use crate::domain::ids::RefundBatchId;
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
    /// Writes the day's file of payouts or of cheques for the bank; made again, it is the same
    Batch {
        /// Which: payouts by the bank, or cheques
        #[arg(long, value_parser = ["payout", "cheque"])]
        way: String,
        /// The file
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// The day whose batch is wanted again [default: today]
        #[arg(long, value_name = "YYYY-MM-DD")]
        on: Option<NaiveDate>,
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Notes that the bank refused a whole file: every payout of it that was not paid is the customer's again
    VoidBatch {
        /// The file's number, as `batches` lists it
        batch: i64,
        /// Why, in words
        #[arg(long)]
        note: String,
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Lists the files that were made for the bank, newest first
    Batches {
        /// Prints one JSON array
        #[arg(long)]
        json: bool,
    },
    /// Shows what of an account's credit can be given back now, and from when the rest
    Safe {
        /// Account number
        account: String,
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
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
            print::line(&describe("refund", &ask_refund(&context, &wish)?))?;
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
        Command::Batch { way, out, on, json } => return batch(&context, way, out, *on, *json),
        Command::VoidBatch { batch, note, json } => return void(&context, RefundBatchId(*batch), note, *json),
        Command::Batches { json } => {
            let batches = list_batches(&context)?;
            if *json {
                return print::json(&batches).map(|()| true);
            }
            for batch in batches {
                let total = Money::from_cents(batch.total_cents);
                print::line(&format!("{} {} {} {} lines {total} {}", batch.id, batch.made_on, batch.format, batch.items, batch.sha256))?;
            }
        }
        Command::Safe { account, json } => {
            let safe = refundable(&context, account)?;
            if *json {
                return print::json(&safe).map(|()| true);
            }
            if safe.pending.is_empty() {
                print::line(&format!("{} of the credit of {} can be given back now", safe.now(), safe.credit))?;
            } else {
                print::line(&safe.why_not(safe.credit))?;
            }
        }
        Command::PaidOut { account, reference, bank } => {
            settle_payout(&context, account, reference, &PayoutNews::Sent(bank.clone()))?;
            print::line(&format!("payout {reference} is sent"))?;
        }
        Command::CameBack { account, reference, note } => {
            came_back(&context, account, reference, note)?;
        }
    }
    Ok(true)
}

fn came_back(context: &Context, account: &str, reference: &str, note: &str) -> Result<(), Failure> {
    let words = match settle_payout(context, account, reference, &PayoutNews::Failed(note.to_owned()))? {
        Outcome::Waits(waiting) => describe("return of the payout", &Outcome::Waits(waiting)),
        Outcome::Done(_) | Outcome::Permitted => format!("payout {reference} came back: the money is in account {account} again"),
    };
    print::line(&words)
}

fn void(context: &Context, id: RefundBatchId, note: &str, json: bool) -> Result<bool, Failure> {
    let voided = void_batch(context, id, note)?;
    if json {
        return print::json(&voided).map(|()| true);
    }
    let report = match voided {
        Voided::Waits(waiting) => {
            print::line(&describe("return of the file", &Outcome::Waits(waiting)))?;
            print::message("once it is approved, give this command again");
            return Ok(true);
        }
        Voided::Done(report) => report,
    };
    let count = |number: usize, what: &str| print::count(u64::try_from(number).unwrap_or(u64::MAX), what);
    let before = if report.before > 0 { format!("; {} had come back before", report.before) } else { String::new() };
    print::line(&format!(
        "file {id}: {} came back, {} in all{before}",
        count(report.came_back, "payout"),
        Money::from_cents(report.came_back_cents)
    ))?;
    if !report.untold.is_empty() {
        print::message(&format!("{} of earlier files that it named as void: tell the bank; see the work list", count(report.untold.len(), "cheque")));
    }
    Ok(true)
}

fn batch(context: &Context, way: &str, out: &Path, on: Option<NaiveDate>, json: bool) -> Result<bool, Failure> {
    let medium = if way == "cheque" { Medium::Cheque } else { Medium::Payout };
    let report = write_batch(context, medium, on.unwrap_or_else(|| context.today()), out)?;
    if json {
        return print::json(&report).map(|()| true);
    }
    let Some(number) = report.batch else {
        print::line("nothing waits to be paid this way: no file was written")?;
        tell_left_out(report.left_out);
        return Ok(true);
    };
    let again = if report.unchanged { "the same as before, " } else { "" };
    let lines = print::count(u64::try_from(report.items).unwrap_or(0), "line");
    print::line(&format!("batch {number}: {again}{lines}, {} in all, sha256 {}", Money::from_cents(report.total_cents), report.sha256))?;
    tell_left_out(report.left_out);
    Ok(true)
}

fn tell_left_out(count: usize) {
    if count > 0 {
        let payouts = print::count(u64::try_from(count).unwrap_or(u64::MAX), "payout");
        print::message(&format!("{payouts} left out: the file cannot name who is paid; see the work list"));
    }
}
