//! `aquabills leak-relief`: what of a leak's cost is credited: shown, given, taken back.

use clap::Subcommand;

use super::print;
use super::{Failure, Global};
use crate::actions::collections::Taken;
use crate::actions::collections::leak_relief::{Given, Giving, Preview, give_relief, preview_relief, undo_relief};
use crate::domain::money::Money;
use crate::domain::quantity::from_milli;

/// Shows and gives relief after a leak.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows what would be credited: each bill's old and new charge
    Preview {
        /// Account number
        account: String,
        /// The bills of the leak
        #[arg(required = true)]
        bills: Vec<String>,
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Gives it
    Give {
        /// Account number
        account: String,
        /// The bills of the leak
        #[arg(required = true)]
        bills: Vec<String>,
        /// What shows that there was a leak and that it is mended
        #[arg(long)]
        evidence: String,
        /// The idempotency key: the same again changes nothing
        #[arg(long)]
        reference: String,
        /// The preview that was seen, by its sha256: another one is refused
        #[arg(long)]
        seen: Option<String>,
    },
    /// Takes a relief back
    Undo {
        /// Account number
        account: String,
        /// The relief's reference
        reference: String,
        /// Why, in words
        #[arg(long)]
        note: String,
    },
}

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    let context = global.existing()?;
    match &args.command {
        Command::Preview { account, bills, json } => {
            let preview = preview_relief(&context, account, bills)?;
            if *json { print::json(&preview)? } else { show(&preview)? }
        }
        Command::Give { account, bills, evidence, reference, seen } => {
            let giving = Giving {
                account: account.clone(),
                bills: bills.clone(),
                evidence: evidence.clone(),
                reference: reference.clone(),
                seen: seen.clone(),
            };
            match give_relief(&context, &giving)? {
                Given::Done(posted) => {
                    let what = if posted.unchanged { "was given before" } else { "is given" };
                    print::line(&format!("relief {reference} {what}; balance {}", Money::from_cents(posted.balance_after_cents)))?;
                }
                Given::Waits(why) => print::line(&format!("relief {reference} waits for a second person: {why}"))?,
            }
        }
        Command::Undo { account, reference, note } => {
            print::line(&match undo_relief(&context, account, reference, note)? {
                Taken::Done(posted) => format!("relief {reference} is taken back; balance {}", Money::from_cents(posted.balance_after_cents)),
                Taken::Waits(why) => format!("taking relief {reference} back waits for a second person: {why}"),
            })?;
        }
    }
    Ok(true)
}

fn show(preview: &Preview) -> Result<(), Failure> {
    for part in &preview.parts {
        let (usage, usual, kept) = (from_milli(part.usage_milli), from_milli(part.usual_milli), from_milli(part.reduced_milli));
        let basis = part.basis.map_or("", |basis| basis.words());
        let why = part.note.as_ref().map_or_else(|| format!("usual {usual} ({basis}), priced with {kept}"), Clone::clone);
        print::line(&format!(
            "bill {} service {} {} to {}: used {usage}, {why}: {} becomes {}, credit {}",
            part.bill_number,
            part.service_id,
            part.start_on,
            part.end_on,
            Money::from_cents(part.was_cents),
            Money::from_cents(part.is_cents),
            Money::from_cents(part.credit_cents)
        ))?;
    }
    let capped = if preview.capped { ", the most that the policy gives" } else { "" };
    print::line(&format!("credit {}{capped}; {}; preview {}", Money::from_cents(preview.total_cents), preview.citation, preview.sha256))
}
