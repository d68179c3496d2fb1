//! `aquabills bench`: seeds a town and measures.

mod callbacks;

use std::path::PathBuf;
use std::time::Instant;

use clap::Subcommand;
use serde::Serialize;

use super::print;
use super::{Failure, Global};
use crate::actions::bench::{rows_in_tables, seed_town};
use crate::actions::bill_run::{RunOptions, run_bills};
use crate::db::Backend;

/// Measures.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Seeds accounts, then times one bill run from reads to posted bills
    BillRun {
        /// How many accounts, with one service, reads and one payment each
        #[arg(long, default_value_t = 10_000)]
        accounts: u32,
    },
    /// Serves a town, brings signed callbacks at a fixed rate, and times each to its commit and to the ledger
    Callbacks(callbacks::Args),
}

#[derive(Serialize)]
struct BillRunReport {
    accounts: u32,
    database: &'static str,
    workers: usize,
    seconds: f64,
    bills_per_second: u128,
    microseconds_per_bill: u128,
    peak_memory_mib: Option<u64>,
    rows_written: i64,
    bills: i64,
    held: i64,
    total_cents: i64,
    seed_seconds: f64,
}

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    let scratch = scratch_database(global)?;
    let address = scratch.as_ref().map_or_else(|| global.database.clone(), |path| path.display().to_string());
    let outcome = match &args.command {
        Command::BillRun { accounts } => bill_run(global, &address, *accounts),
        Command::Callbacks(args) => callbacks::run(global, &address, args),
    };
    if let Some(path) = scratch {
        remove(&path);
    }
    outcome
}

fn bill_run(global: &Global, address: &str, accounts: u32) -> Result<bool, Failure> {
    let report = measure(global, address, accounts)?;
    print::json(&report)?;
    Ok(report.bills == i64::from(accounts))
}

/// Without `--database` the measurement has a database of its own, which it removes; a database of the environment is
/// never touched.
fn scratch_database(global: &Global) -> Result<Option<PathBuf>, Failure> {
    if global.database_named {
        return Ok(None);
    }
    let path = std::env::temp_dir().join(format!("aquabills-bench-{}.db", std::process::id()));
    if path.exists() {
        return Err(Failure::No(format!("{} is in the way", path.display())));
    }
    Ok(Some(path))
}

fn remove(path: &std::path::Path) {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        // A file that was never made need not be removed.
        let _ = std::fs::remove_file(PathBuf::from(name));
    }
}

fn measure(global: &Global, address: &str, accounts: u32) -> Result<BillRunReport, Failure> {
    let context = global.context_at(address)?;
    let seeding = Instant::now();
    let through = seed_town(&context, accounts, &|done| print::message(&format!("seeded {done} of {accounts} accounts")))?;
    let seed_seconds = seeding.elapsed().as_secs_f64();
    let before = rows_in_tables(&context)?;
    reset_peak_memory();
    let bar = print::progress("bill run");
    let progress = |step: &str, done, all| print::show_step(&bar, step, done, all);
    let options = RunOptions::approving_all(through, &progress);
    let started = Instant::now();
    let outcome = run_bills(&context, &options);
    let elapsed = started.elapsed();
    bar.finish_and_clear();
    let report = outcome?;
    Ok(BillRunReport {
        accounts,
        database: if context.database.backend() == Backend::Sqlite { "sqlite" } else { "postgres" },
        workers: context.config.runs.worker_count(),
        seconds: elapsed.as_secs_f64(),
        bills_per_second: u128::try_from(report.totals.bills).unwrap_or(0) * 1_000_000 / elapsed.as_micros().max(1),
        microseconds_per_bill: elapsed.as_micros() / u128::from(accounts.max(1)),
        peak_memory_mib: peak_memory_mib(),
        rows_written: rows_in_tables(&context)? - before,
        bills: report.totals.bills,
        held: report.totals.held,
        total_cents: report.totals.total_cents,
        seed_seconds,
    })
}

/// Linux can forget the peak that seeding reached; elsewhere the peak includes it.
fn reset_peak_memory() {
    if std::fs::write("/proc/self/clear_refs", "5").is_err() {
        log::info!("the peak memory includes seeding: this system cannot reset it");
    }
}

fn peak_memory_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024)
}
