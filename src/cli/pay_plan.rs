//! `aquabills pay-plan`: instalments, agreed, cancelled, shown.

use chrono::NaiveDate;
use clap::Subcommand;

use super::print;
use super::{Failure, Global};
use crate::actions::account_view::Whose;
use crate::actions::collections::plans::{Agreeing, PlanView, agree_plan, cancel_plan};
use crate::actions::collections::view::collections_view;
use crate::domain::money::Money;

/// Agrees, cancels and shows pay plans.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Divides everything that an account owes into instalments
    Agree {
        /// Account number
        account: String,
        /// How many instalments
        #[arg(long)]
        instalments: u32,
        /// When the first is due
        #[arg(long, value_name = "DATE")]
        first: NaiveDate,
        /// Months from one to the next
        #[arg(long, default_value_t = 1)]
        months: u32,
        /// The idempotency key: the same again changes nothing
        #[arg(long)]
        reference: String,
        /// Why, in words
        #[arg(long)]
        note: String,
    },
    /// Cancels the plan that holds
    Cancel {
        /// Account number
        account: String,
        /// Why, in words
        #[arg(long)]
        note: String,
    },
    /// Shows an account's plans
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
        Command::Agree { account, instalments, first, months, reference, note } => {
            let agreeing = Agreeing {
                account: account.clone(),
                instalments: *instalments,
                first_due_on: *first,
                months_between: *months,
                reference: reference.clone(),
                note: note.clone(),
            };
            show(&agree_plan(&context, &agreeing)?)?;
        }
        Command::Cancel { account, note } => {
            cancel_plan(&context, account, None, note)?;
            print::line(&format!("the pay plan of account {account} is cancelled"))?;
        }
        Command::Show { account, json } => {
            let view = collections_view(&context, account, Whose::Anybody)?;
            if *json {
                return print::json(&serde_json::json!({ "account": account, "plans": view.plans })).map(|()| true);
            }
            for plan in &view.plans {
                show(plan)?;
            }
        }
    }
    Ok(true)
}

fn show(plan: &PlanView) -> Result<(), Failure> {
    let (total, open) = (Money::from_cents(plan.row.total_cents), Money::from_cents(plan.open_cents));
    print::line(&format!("plan {}, agreed {}: {}, {open} of {total} open", plan.row.reference, plan.row.agreed_on, plan.row.state))?;
    for part in &plan.instalments {
        print::line(&format!(
            "  {} {}: {}, {} open",
            part.number,
            part.due_on,
            Money::from_cents(part.amount_cents),
            Money::from_cents(part.open_cents)
        ))?;
    }
    Ok(())
}
