//! `aquabills show`: one bill in full.

use std::path::{Path, PathBuf};

use super::print;
use super::{Failure, Global};
use crate::actions::bill_words::BillWords;
use crate::actions::show_bill::{BillView, SegmentView, show_bill};
use crate::actions::{ActionError, Context};
use crate::domain::money::Money;
use crate::domain::quantity::from_milli;
use crate::domain::rates::ChargeLine;
use crate::pdf;

/// Shows one bill in full.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The bill's number, such as 00001-0000001
    number: String,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
    /// Writes the bill as a PDF into this file instead
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    pdf: Option<PathBuf>,
}

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    let context = global.existing()?;
    let bill = show_bill(&context, &args.number)?;
    match &args.pdf {
        Some(path) => write_pdf(&context, &bill, path)?,
        None if args.json => print::json(&bill)?,
        None => show(&bill)?,
    }
    Ok(true)
}

fn write_pdf(context: &Context, bill: &BillView, path: &Path) -> Result<(), Failure> {
    let words = BillWords::new(bill, context);
    let file = pdf::bill(&words, &context.config).map_err(|error| ActionError::Form(error.to_string()))?;
    std::fs::write(path, &file).map_err(|error| ActionError::file(path, error))?;
    print::message(&format!("{}: bill {}", path.display(), bill.bill_number));
    let lacking = pdf::lacking(&words);
    if !lacking.is_empty() {
        let page = format!("{}/bills/{}", context.config.public_url.trim_end_matches('/'), bill.bill_number);
        print::message(&format!("warning: the typeface of the file lacks {lacking}: another sign stands for each; the page shows them: {page}"));
    }
    Ok(())
}

fn amount(what: &str, cents: i64) -> Result<(), Failure> {
    print::line(&format!("  {what:<58}{:>12}", Money::from_cents(cents).to_string()))
}

fn show(bill: &BillView) -> Result<(), Failure> {
    let cancelled = if bill.status == "cancelled" { "  (taken back)" } else { "" };
    print::line(&format!("Bill {}{cancelled}", bill.bill_number))?;
    print::line(&format!("{}, account {}; dated {}, due {}", bill.name, bill.account, bill.bill_on, bill.due_on))?;
    if let Some(cancelled) = &bill.cancelled {
        let amount = Money::from_cents(cancelled.amount_cents);
        print::line(&format!("  taken back on {}: {amount}, ledger position {}", cancelled.effective_on, cancelled.account_seq))?;
    }
    amount("Previous balance", bill.previous_balance_cents)?;
    amount("Payments received", bill.payments_cents)?;
    amount("Adjustments", bill.adjustments_cents)?;
    for segment in &bill.segments {
        show_segment(segment)?;
    }
    amount("Charges of this bill", bill.charges_cents)?;
    amount("Amount due", bill.amount_due_cents)?;
    let deducted = match &bill.last_payment {
        Some(payment) => {
            let amount = Money::from_cents(payment.amount_cents);
            let what = if bill.payments_cents < 0 { "deducted" } else { "no payment since the bill before; in the previous balance" };
            format!("{what}: payment of {amount} on {}, reference {}", payment.effective_on, payment.reference)
        }
        None => "deducted: no payment was received yet".to_owned(),
    };
    print::line(&format!("  {deducted}; everything posted up to ledger position {} is included", bill.cut_off_seq))
}

fn show_segment(segment: &SegmentView) -> Result<(), Failure> {
    let inputs = &segment.inputs;
    let days = print::count(u64::try_from(segment.days).unwrap_or(0), "day");
    let usage = format!("usage {} {}", segment.usage, segment.unit);
    print::line(&format!("  Service {}, {} to {} ({days}), {usage}", segment.service_id, inputs.start_on, inputs.end_on))?;
    for span in &inputs.spans {
        let (from, to) = (from_milli(span.from_milli), from_milli(span.to_milli));
        let multiplier = match span.register.multiplier_milli {
            1000 => String::new(),
            milli => format!(", × {}", from_milli(milli)),
        };
        let unit = span.register.unit.as_deref().map(|unit| format!(" {unit}")).unwrap_or_default();
        print::line(&format!("    read {from} on {}, {to} on {} ({}){multiplier}{unit}", span.from_on, span.to_on, span.kind))?;
    }
    if segment.rates.len() > 1 {
        let parts: Vec<String> =
            segment.rates.iter().map(|part| format!("{} at rates from {}", print::count(part.days.into(), "day"), part.effective_on)).collect();
        print::line(&format!("    {}", parts.join(", ")))?;
    }
    for line in &segment.lines {
        show_line(line)?;
    }
    Ok(())
}

fn show_line(line: &ChargeLine) -> Result<(), Failure> {
    let tier = line.tier.map(|tier| format!(" tier {}", tier.number)).unwrap_or_default();
    let working = match (line.quantity, line.price) {
        (Some(quantity), Some(price)) => format!("{} × {}", quantity.normalize().round_dp(3), print::price(price)),
        _ => String::new(),
    };
    print::line(&format!("    {:<32}{working:>24}{:>12}", format!("{}{tier}", line.label), line.amount_cents.to_string()))
}
