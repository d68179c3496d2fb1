//! `aquabills collections`: the daily look at what is not paid, made to happen now, and how an account stands.

use chrono::NaiveDate;
use clap::Subcommand;

use super::print;
use super::{Failure, Global};
use crate::actions::account_view::Whose;
use crate::actions::collections::daily::{Options, Report, run_daily};
use crate::actions::collections::view::{CollectionsView, collections_view};
use crate::actions::stop::Stop;
use crate::domain::money::Money;

/// Looks at every account that owes something: fees, reminders, plans, deposits.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Does what is due, as the server does once a day
    Run {
        /// The day, not in the future [default: today]
        #[arg(long, value_name = "DATE")]
        on: Option<NaiveDate>,
        /// Keeps nothing: counts what would be done
        #[arg(long)]
        dry_run: bool,
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Shows what of an account is open since when, and what is done about it
    Show {
        /// Account number
        account: String,
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    let context = global.existing()?;
    match &args.command {
        Command::Run { on, dry_run, json } => {
            let report = run_daily(&context, &Options { on: *on, dry_run: *dry_run, stop: Stop::default() })?;
            if *json { print::json(&report)? } else { tell(&report)? }
        }
        Command::Show { account, json } => {
            let view = collections_view(&context, account, Whose::Anybody)?;
            if *json { print::json(&view)? } else { show(&view)? }
        }
    }
    Ok(true)
}

fn tell(report: &Report) -> Result<(), Failure> {
    if report.dry_run {
        print::message("nothing was kept");
    }
    print::line(&format!("{}: {} looked at", report.day, print::count(report.accounts, "account")))?;
    let fees = Money::from_cents(report.fees_cents);
    print::line(&format!("{} of {fees} charged, {} taken back", print::count(report.fees, "late fee"), report.fees_taken_back))?;
    let (letters, items) = (print::count(report.letters, "letter"), print::count(report.work_items, "work item"));
    print::line(&format!("{}, {letters}, {items}, {} over", print::count(report.reminders, "reminder"), report.reminders_ended))?;
    let deposits = print::count(report.deposits_applied, "deposit");
    let (plans, interest) = (print::count(report.plans_kept, "pay plan"), Money::from_cents(report.interest_cents));
    print::line(&format!("{plans} kept, {} broken; {deposits} applied, {interest} of interest credited", report.plans_broken))?;
    if report.failed > 0 {
        print::line(&format!("{} could not be looked at: see the work list", print::count(report.failed, "account")))?;
    }
    Ok(())
}

fn show(view: &CollectionsView) -> Result<(), Failure> {
    let money = Money::from_cents;
    print::line(&format!("account {}: balance {}, overdue {}", view.account, money(view.balance_cents), money(view.overdue_cents)))?;
    for bill in &view.bills {
        let held = if bill.held { ", held back or in question" } else { "" };
        let plan = if bill.is_in_plan() { ", in the pay plan" } else { "" };
        print::line(&format!(
            "bill {}, due {}: {} of {} open{held}{plan}",
            bill.bill_number,
            bill.due_on,
            money(bill.open_cents),
            money(bill.charges_cents)
        ))?;
    }
    for charge in &view.charges {
        print::line(&format!("charge {}, due {}: {} open", charge.account_seq, charge.due_on, money(charge.open_cents)))?;
    }
    for fee in &view.fees {
        let state = fee.row.undone.as_deref().unwrap_or("stands");
        print::line(&format!("late fee {} of bill {}: {}, {state}", fee.row.account_seq, fee.bill_number, money(fee.row.amount_cents)))?;
    }
    for step in view.dunning.iter().filter(|case| case.row.closed_at.is_none()).flat_map(|case| &case.steps) {
        let sent = step.sent_at().map_or_else(|| "not sent yet".to_owned(), |at| format!("sent {at}"));
        print::line(&format!("{} of {}: {}, {sent}", step.name, step.made_on, money(step.overdue_cents)))?;
    }
    Ok(())
}
