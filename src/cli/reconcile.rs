//! `aquabills reconcile`: ledger, providers and bank beside each other, day by day.

use std::path::{Path, PathBuf};

use chrono::NaiveDate;

use super::print;
use super::{Failure, Global};
use crate::actions::reconcile::export::export_differences;
use crate::actions::reconcile::view::{DifferenceView, differences};
use crate::actions::reconcile::{Backfill, Fetch, LookOptions, Report, reconcile};
use crate::actions::stop::Stop;
use crate::actions::{ActionError, Context};
use crate::db::reconciliation::DifferenceFilter;
use crate::domain::money::Money;
use crate::domain::reconciliation::{DaySum, SideRow};

/// Compares ledger, providers and bank; the exit status is 1 when anything differs.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// First day [default: seven days before the last]
    #[arg(long, value_name = "YYYY-MM-DD")]
    from: Option<NaiveDate>,
    /// Last day [default: today]
    #[arg(long, value_name = "YYYY-MM-DD")]
    to: Option<NaiveDate>,
    /// Fetches events that never arrived, applies what waits, and compares again; posts nothing of its own
    #[arg(long)]
    repair: bool,
    /// Compares what is stored, and asks no provider
    #[arg(long, conflicts_with = "repair")]
    offline: bool,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
    /// Writes the differences into a CSV file; `-` is standard output
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    csv: Option<PathBuf>,
}

/// So many differences are printed; a file takes all of them.
const SHOWN: usize = 1_000;

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    let context = global.existing()?;
    let options = LookOptions {
        from: args.from,
        to: args.to,
        fetch: if args.offline { Fetch::Nothing } else { Fetch::All },
        backfill: if args.repair { Backfill::All } else { Backfill::Nothing },
        stop: Stop::default(),
    };
    let report = reconcile(&context, &options)?;
    for down in &report.unreachable {
        print::message(&format!("warning: {}; it was compared as far as it is known", down.reason));
    }
    // Without a range, what is open from before counts, too.
    let standing = args.from.is_none() && args.to.is_none();
    let filter = DifferenceFilter { from: Some(report.from).filter(|_| !standing), to: Some(report.to), ..DifferenceFilter::default() };
    if let Some(path) = &args.csv {
        write_csv(&context, &filter, path)?;
        return Ok(report.agrees());
    }
    let (rows, more) = differences(&context, &filter, SHOWN)?;
    if args.json {
        let mut object = serde_json::to_value(&report).map_err(|error| Failure::No(error.to_string()))?;
        object["agrees"] = report.agrees().into();
        object["list"] = serde_json::to_value(&rows).map_err(|error| Failure::No(error.to_string()))?;
        object["list_is_whole"] = more.is_none().into();
        print::json(&object)?;
    } else {
        show(&report, &rows)?;
        if more.is_some() {
            print::message(&format!("the first {SHOWN} differences are shown; --csv writes all of them"));
        }
    }
    Ok(report.agrees())
}

fn write_csv(context: &Context, filter: &DifferenceFilter<'_>, path: &Path) -> Result<(), Failure> {
    if path == Path::new("-") {
        export_differences(context, filter, &mut print::Output::new())?;
        return Ok(());
    }
    let mut file = std::fs::File::create(path).map_err(|source| ActionError::file(path, source))?;
    let rows = export_differences(context, filter, &mut file)?;
    print::message(&format!("{} written to {}", print::count(rows, "difference"), path.display()));
    Ok(())
}

fn show(report: &Report, rows: &[DifferenceView]) -> Result<(), Failure> {
    print::line(&format!(
        "{:<10} {:>13} {:>13} {:>13} {:>13} {:>13} {:>13} {:>12} {:>5}",
        "day", "ledger", "provider", "paid out", "at the bank", "transfers", "bank", "delta", "differ"
    ))?;
    for line in &report.days {
        print::line(&sums(&line.day.to_string(), &line.sums))?;
    }
    if report.earlier.differences > 0 {
        print::line(&sums("earlier", &report.earlier))?;
    }
    print::line(&sums("total", &report.total))?;
    if report.in_transit > 0 {
        let what = print::count(report.in_transit, "thing");
        let over = if report.total.in_transit.is_zero() { String::new() } else { format!(" over {}", report.total.in_transit) };
        print::line(&format!("{what}{over} under way, not judged yet"))?;
    }
    let repaired = &report.repaired;
    if repaired.listed > 0 || repaired.changed() {
        print::line(&format!(
            "{} listed by the providers, {} of them had never arrived; {} applied, {} cannot be applied",
            print::count(repaired.listed, "event"),
            repaired.fetched,
            repaired.applied,
            repaired.failed
        ))?;
    }
    for row in rows {
        show_difference(row)?;
    }
    match (report.differences, report.unreachable.is_empty()) {
        (0, true) => print::line("ledger, providers and bank agree"),
        (0, false) => print::line("nothing differs as far as it is known, but not every provider could be asked"),
        (count, _) => print::line(&format!("\n{} in these days and before", print::count(count, "difference"))),
    }
}

fn sums(name: &str, sums: &DaySum) -> String {
    format!(
        "{name:<10} {:>13} {:>13} {:>13} {:>13} {:>13} {:>13} {:>12} {:>5}",
        sums.online.left, sums.online.right, sums.payouts.left, sums.payouts.right, sums.bank.left, sums.bank.right, sums.delta, sums.differences
    )
}

fn show_difference(row: &DifferenceView) -> Result<(), Failure> {
    const WIDTH: usize = 58;
    let account = row.about().map(|account| format!(", account {account}")).unwrap_or_default();
    print::line(&format!("\n{} {}: {}{account}, {} apart", row.day, row.kind.title(), row.reference, row.detail.gap))?;
    let (ours, theirs) = (row.ours(), row.theirs());
    let of = |rows: &[&SideRow], at: usize, nothing: &str| match rows.get(at) {
        Some(row) => in_words(row),
        None if at == 0 => nothing.to_owned(),
        None => String::new(),
    };
    for at in 0..ours.len().max(theirs.len()).max(1) {
        print::line(&format!("  {:<WIDTH$} | {}", of(&ours, at, "nothing in the ledger"), of(&theirs, at, "nothing at the provider or the bank")))?;
    }
    print::line(&format!("  cause:  {}", row.detail.cause))?;
    print::line(&format!("  action: {}", row.action().words()))
}

fn in_words(row: &SideRow) -> String {
    let amount = row.amount.map(|amount: Money| format!(" {amount}")).unwrap_or_default();
    let account = row.account.as_ref().map(|account| format!(" on {account}")).unwrap_or_default();
    format!("{} {}{amount}{account} ({})", row.on, row.what, row.reference)
}
