//! `aquabills service`: people move in and out, terms change, owners take over in between, meters are exchanged.

use chrono::NaiveDate;
use clap::Subcommand;

use super::print;
use super::{Failure, Global};
use crate::actions::change_terms::{TermChange, change_terms, correct_terms};
use crate::actions::exchange_meter::{Exchange, ExchangeOutcome, exchange_meter};
use crate::actions::moves::{MoveIn, MoveOut, MoveReport, Reading, move_in, move_out, set_owner};
use crate::domain::quantity::parse_milli;

/// Moves people in and out, changes terms, exchanges meters.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ends every service of an account at a premise; the next run makes the final bill
    MoveOut {
        /// Any service at the premise
        service: String,
        /// Account number of who leaves
        #[arg(long)]
        account: String,
        /// The last day
        #[arg(long, value_name = "YYYY-MM-DD")]
        on: NaiveDate,
        /// A final reading: METER=READING or METER/REGISTER=READING; once for each register
        #[arg(long = "reading", value_parser = parse_reading)]
        readings: Vec<Reading>,
        /// Where the final bill goes on paper
        #[arg(long)]
        mailing_address: Option<String>,
        /// Why, in words
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Begins every service of a premise for an account, on the terms that it had
    MoveIn {
        /// Any service at the premise
        service: String,
        /// Account number of who comes; a new number makes an account
        #[arg(long)]
        account: String,
        /// A new customer's name
        #[arg(long)]
        name: Option<String>,
        /// A new customer's e-mail address
        #[arg(long)]
        email: Option<String>,
        /// The first day
        #[arg(long, value_name = "YYYY-MM-DD")]
        on: NaiveDate,
        /// An opening reading, as for move-out; not needed when the meter was read that day
        #[arg(long = "reading", value_parser = parse_reading)]
        readings: Vec<Reading>,
        /// Why, in words
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Says who takes a service over between two tenants
    Owner {
        /// The service
        service: String,
        /// The owner's account number
        #[arg(long, required_unless_present = "none")]
        account: Option<String>,
        /// Nobody does
        #[arg(long, conflicts_with = "account")]
        none: bool,
    },
    /// Changes the rate class or attributes of a service from a day on
    Change {
        /// The service
        service: String,
        /// The first day of the new terms
        #[arg(long, value_name = "YYYY-MM-DD")]
        from: NaiveDate,
        /// Another rate class
        #[arg(long)]
        class: Option<String>,
        /// An attribute: NAME=VALUE; an empty value takes it away
        #[arg(long = "set", value_parser = parse_attribute)]
        attributes: Vec<(String, String)>,
        /// Also from a day that is billed: the bills stay, and what they charged wrongly is found
        #[arg(long)]
        billed: bool,
        /// Why, in words
        #[arg(long)]
        note: String,
    },
    /// Takes a meter out and puts another in
    Exchange {
        /// The service
        service: String,
        /// The day
        #[arg(long, value_name = "YYYY-MM-DD")]
        on: NaiveDate,
        /// The old meter's number
        #[arg(long, value_name = "METER")]
        old: String,
        /// The old meter's last reading
        #[arg(long = "final", value_name = "READING", value_parser = parse_figure)]
        last: i64,
        /// The new meter's number
        #[arg(long, value_name = "METER")]
        new: String,
        /// The new meter's first reading
        #[arg(long = "initial", value_name = "READING", default_value = "0", value_parser = parse_figure)]
        first: i64,
        /// The new meter's digits before the point
        #[arg(long)]
        digits: i32,
        /// What a unit of the new meter counts for
        #[arg(long, default_value = "1", value_parser = parse_figure)]
        multiplier: i64,
    },
}

pub(super) fn run(global: &Global, args: Args) -> Result<bool, Failure> {
    let context = global.existing()?;
    match args.command {
        Command::MoveOut { service, account, on, readings, mailing_address, note } => {
            let movement = MoveOut { account, service, on, readings, mailing_address, note };
            show(&move_out(&context, &movement)?)
        }
        Command::MoveIn { service, account, name, email, on, readings, note } => {
            let movement = MoveIn { account, name, email, service, on, readings, note };
            show(&move_in(&context, &movement)?)
        }
        Command::Owner { service, account, .. } => {
            let changed = set_owner(&context, &service, account.as_deref())?;
            let owner = account.map_or_else(|| "nobody".to_owned(), |number| format!("account {number}"));
            let goes = if changed { "goes" } else { "goes already" };
            print::line(&format!("between two tenants service {service} {goes} to {owner}"))?;
            Ok(true)
        }
        Command::Change { service, from, class, attributes, billed, note } => {
            let change = TermChange { service: service.clone(), effective_on: from, rate_class: class, attributes, note };
            let terms = if billed { correct_terms(&context, &change)? } else { change_terms(&context, &change)? };
            let attributes: Vec<String> = terms.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let already = if terms.unchanged { "is already" } else { "is now" };
            print::line(&format!("service {service} {already} {} {} from {from}", terms.rate_class, attributes.join(" ")))?;
            Ok(true)
        }
        Command::Exchange { service, on, old, last, new, first, digits, multiplier } => {
            let (final_milli, initial_milli, multiplier_milli) = (last, first, multiplier);
            exchanged(
                &exchange_meter(
                    &context,
                    &Exchange {
                        service: service.clone(),
                        on,
                        old_serial: old,
                        final_milli,
                        new_serial: new.clone(),
                        initial_milli,
                        digits,
                        multiplier_milli,
                    },
                )?,
                &service,
                &new,
            )
        }
    }
}

fn show(report: &MoveReport) -> Result<bool, Failure> {
    if report.unchanged {
        print::line("it had happened already; nothing changed")?;
    }
    for service in &report.ended {
        print::line(&format!("service {service} ended"))?;
    }
    for (service, account) in &report.began {
        print::line(&format!("service {service} began for account {account}"))?;
    }
    for reason in &report.held {
        print::message(&format!("a reading waits for a decision (aquabills held list): {reason}"));
    }
    Ok(true)
}

fn exchanged(outcome: &ExchangeOutcome, service: &str, new: &str) -> Result<bool, Failure> {
    match outcome {
        ExchangeOutcome::Accepted { held } => {
            print::line(&format!("service {service} is measured by meter {new} now"))?;
            if let Some(reason) = held {
                print::message(&format!("the old meter's last reading waits for a decision (aquabills held list): {reason}"));
            }
            Ok(true)
        }
        ExchangeOutcome::Unchanged => {
            print::line("it had happened already; nothing changed")?;
            Ok(true)
        }
        ExchangeOutcome::Refused(reason) => Err(Failure::No(reason.clone())),
    }
}

fn parse_figure(text: &str) -> Result<i64, String> {
    parse_milli(text).map_err(|error| error.to_string())
}

fn parse_reading(text: &str) -> Result<Reading, String> {
    let (meter, reading) = text.rsplit_once('=').ok_or("expected METER=READING, like M2010=1234")?;
    let (meter, register) = meter.split_once('/').unwrap_or((meter, "1"));
    let reading_milli = parse_milli(reading).map_err(|error| error.to_string())?;
    Ok(Reading { meter: meter.to_owned(), register: register.to_owned(), reading_milli })
}

fn parse_attribute(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE, like meter_size=1\"")?;
    Ok((name.to_owned(), value.to_owned()))
}
