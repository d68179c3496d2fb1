//! `aquabills demo`: a demonstration town, billed and served.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::print;
use super::{Failure, Global};
use crate::actions::check_ledger::check_ledger;
use crate::actions::demo::{bill_town, write_town};
use crate::actions::verify_bills::verify_bills;
use crate::actions::{ActionError, Context};
use crate::config::Config;
use crate::db::billing;
use crate::domain::gates::GateLimits;
use crate::domain::money::Money;
use crate::web::Application;

/// Makes a demonstration town, bills it, and serves it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The town's folder: its files and its database
    #[arg(long, default_value = "aquabills-demo")]
    folder: PathBuf,
    /// Makes the town anew, throwing the old one away
    #[arg(long)]
    fresh: bool,
    /// Bills the town and does not serve it
    #[arg(long)]
    no_serve: bool,
    /// Address and port to serve at
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: String,
}

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    let file = args.folder.join("town.db");
    if args.fresh {
        remove_database(&file)?;
    }
    write_town(&args.folder)?;
    // The town is small: its gates compare from ten services on.
    let gates = GateLimits { fewest_compared: 10, ..global.config.gates.clone() };
    let config = Config { utility_name: "Millbrook Water".to_owned(), gates, ..global.config.clone() };
    let town = Global { database: file.display().to_string(), database_named: true, config, actor: global.actor.clone() };
    let context = town.context()?;
    let billed = context.database.read(|conn| billing::latest_runs(conn, 1)).map_err(ActionError::from)?;
    if billed.is_empty() {
        make_town(&context, &args.folder)?;
    } else {
        print::line(&format!("the town in {} is kept as it was (--fresh makes it anew)", args.folder.display()))?;
    }
    let sound = prove(&context)?;
    print::line(&format!("look around with: aquabills --database {} show 00006-0000001", file.display()))?;
    if args.no_serve || !sound {
        return Ok(sound);
    }
    let application = Application::build(context, &args.listen).map_err(|error| Failure::No(format!("{}: {error}", args.listen)))?;
    print::line(&format!("serving Millbrook Water at {} (stop with Ctrl-C)", application.address()))?;
    application.run().map_err(|error| Failure::No(error.to_string()))?;
    Ok(true)
}

/// Only the files of SQLite in the town's own folder, by name.
fn remove_database(file: &Path) -> Result<(), Failure> {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::remove_file(PathBuf::from(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Failure::No(format!("{}: {error}", file.display()))),
            _ => {}
        }
    }
    Ok(())
}

fn make_town(context: &Context, folder: &Path) -> Result<(), Failure> {
    let started = Instant::now();
    let runs = bill_town(context, folder)?;
    for report in &runs {
        let run = report.run_id.map_or(0, |id| id.0);
        let totals = &report.totals;
        let total = Money::from_cents(totals.total_cents);
        print::line(&format!("run {run}: {} bills, {total} in all, {} held, every gate passed: {}", totals.bills, totals.held, report.passed()))?;
    }
    print::line(&format!("{} runs in {} ms; the town's files are in {}", runs.len(), started.elapsed().as_millis(), folder.display()))
}

/// Shows that the town's bills can be made again and its ledger is sound.
fn prove(context: &Context) -> Result<bool, Failure> {
    let bills = verify_bills(context, &|_, _| {})?;
    print::line(&format!("verify: {} bills made again from their inputs, {} differences", bills.bills, bills.differences))?;
    let ledger = check_ledger(context, &|_| {})?;
    let balance = Money::from_cents(ledger.balance_cents);
    print::line(&format!("ledger check: {} transactions, balance {balance}, {} faults", ledger.transactions, ledger.faults))?;
    Ok(bills.differences == 0 && ledger.faults == 0)
}
