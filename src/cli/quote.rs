//! `aquabills quote`: prices one usage by a tariff file, without a database.

use std::path::PathBuf;

use rust_decimal::Decimal;
use serde::Serialize;

use super::Failure;
use super::print;
use crate::actions::tariffs::read_tariff;
use crate::domain::rates::{Attributes, Charge, ChargeLine, PricingInput, settle};

/// Prices one usage by a tariff file.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The tariff file
    file: PathBuf,
    /// The rate class
    #[arg(long)]
    class: String,
    /// Usage in the file's unit
    #[arg(long)]
    usage: String,
    /// An attribute of the account, such as `meter_size=5/8"`
    #[arg(long = "set", value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

/// Amounts are texts, so that no reader takes them for floating-point numbers.
#[derive(Serialize)]
struct Quote<'a> {
    class: &'a str,
    usage: String,
    unit: String,
    total: String,
    total_cents: i64,
    exact: String,
    lines: Vec<QuoteLine<'a>>,
}

#[derive(Serialize)]
struct QuoteLine<'a> {
    part: &'a str,
    label: &'a str,
    tier: Option<u32>,
    from: Option<String>,
    to: Option<String>,
    quantity: Option<String>,
    price: Option<String>,
    amount: String,
}

pub(super) fn run(args: &Args) -> Result<bool, Failure> {
    let usage: Decimal = args.usage.trim().parse().map_err(|_| Failure::Use(format!("--usage '{}' is not a number", args.usage)))?;
    let attributes = parse_attributes(&args.set)?;
    let (_, tariff) = read_tariff(&args.file)?;
    let no = |error: &dyn std::fmt::Display| Failure::No(format!("{}: {error}", args.file.display()));
    let class = tariff.compile(&args.class).map_err(|error| no(&error))?;
    let lines = class.price(&PricingInput::new(usage, &attributes)).map_err(|error| no(&error))?;
    let charge = settle(lines, class.settings().rounding).map_err(|error| no(&error))?;
    let unit = tariff.metadata().bill_unit.to_string();
    if args.json {
        print::json(&quote(args, &charge, unit, usage))?;
    } else {
        show(args, &charge, &unit, usage)?;
    }
    Ok(true)
}

fn parse_attributes(set: &[String]) -> Result<Attributes, Failure> {
    let mut attributes = Attributes::new();
    for pair in set {
        let (name, value) = pair.split_once('=').ok_or_else(|| Failure::Use(format!("--set '{pair}': expected NAME=VALUE")))?;
        attributes.set(name, value);
    }
    Ok(attributes)
}

fn quote<'a>(args: &'a Args, charge: &'a Charge, unit: String, usage: Decimal) -> Quote<'a> {
    Quote {
        class: &args.class,
        usage: usage.normalize().to_string(),
        unit,
        total: charge.total.to_string(),
        total_cents: charge.total.cents(),
        exact: charge.exact.normalize().to_string(),
        lines: charge.lines.iter().map(quote_line).collect(),
    }
}

fn quote_line(line: &ChargeLine) -> QuoteLine<'_> {
    let text = |value: Decimal| value.normalize().to_string();
    QuoteLine {
        part: &line.part,
        label: &line.label,
        tier: line.tier.map(|tier| tier.number),
        from: line.tier.map(|tier| text(tier.from)),
        to: line.tier.and_then(|tier| tier.to).map(text),
        quantity: line.quantity.map(text),
        price: line.price.map(text),
        amount: line.amount_cents.to_string(),
    }
}

fn show(args: &Args, charge: &Charge, unit: &str, usage: Decimal) -> Result<(), Failure> {
    print::line(&format!("{} at {} {unit}", args.class, usage.normalize()))?;
    for line in &charge.lines {
        let tier = line.tier.map(|tier| format!(" tier {}", tier.number)).unwrap_or_default();
        let working = match (line.quantity, line.price) {
            (Some(quantity), Some(price)) => format!("{} × {}", quantity.normalize(), print::price(price)),
            _ => String::new(),
        };
        print::line(&format!("  {:<34}{working:>22}{:>14}", format!("{}{tier}", line.label), line.amount_cents.to_string()))?;
    }
    print::line(&format!("  {:<56}{:>14}", "Total", charge.total.to_string()))
}
