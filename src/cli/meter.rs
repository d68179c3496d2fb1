//! `aquabills meter`: what was recorded of a meter and is wrong.

use chrono::NaiveDate;
use clap::Subcommand;

use super::print;
use super::{Failure, Global};
use crate::actions::correct_meter::{RegisterChange, Swap, correct_register, swap_meters};
use crate::domain::quantity::{from_milli, parse_milli};

/// Corrects what is recorded of a meter. Bills stay as they were sent, and what they charged wrongly is found.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Corrects a register's multiplier, digits or unit, since the meter was put in
    #[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["multiplier", "digits", "unit"]))]
    Correct {
        /// The meter's number
        meter: String,
        /// Which of its registers
        #[arg(long, default_value = "1")]
        register: String,
        /// What a unit of the meter counts for
        #[arg(long, value_parser = parse_figure)]
        multiplier: Option<i64>,
        /// Its digits before the point
        #[arg(long)]
        digits: Option<i32>,
        /// Its unit; an empty one is the tariff's
        #[arg(long)]
        unit: Option<String>,
        /// Why, in words
        #[arg(long)]
        note: String,
    },
    /// Records two meters at each other's services
    Swap {
        /// The one
        meter: String,
        /// The other
        other: String,
        /// Since which day [default: since they were put in]
        #[arg(long, value_name = "YYYY-MM-DD")]
        from: Option<NaiveDate>,
        /// Why, in words
        #[arg(long)]
        note: String,
    },
}

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    let context = global.existing()?;
    match &args.command {
        Command::Correct { meter, register, multiplier, digits, unit, note } => {
            let change = RegisterChange {
                meter: meter.clone(),
                register: register.clone(),
                multiplier_milli: *multiplier,
                digits: *digits,
                unit: unit.clone(),
                note: note.clone(),
            };
            let is = correct_register(&context, &change)?;
            let already = if is.unchanged { "has already" } else { "has now" };
            let unit = is.unit.as_deref().unwrap_or("the tariff's unit");
            print::line(&format!("meter {meter} {already} multiplier {}, {} digits, {unit}", from_milli(is.multiplier_milli), is.digits))?;
        }
        Command::Swap { meter, other, from, note } => {
            swap_meters(&context, &Swap { meter: meter.clone(), other: other.clone(), from: *from, note: note.clone() })?;
            print::line(&format!("meters {meter} and {other} are at each other's services"))?;
        }
    }
    Ok(true)
}

fn parse_figure(text: &str) -> Result<i64, String> {
    parse_milli(text).map_err(|error| error.to_string())
}
