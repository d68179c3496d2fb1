//! The command line: one file per command. A command parses its words, calls an action, and prints.
//!
//! Results go to standard output, messages to standard error; `--json` prints one JSON object. Exit status: 0 done,
//! 1 the answer is no, 2 wrong use.

mod account;
mod adjust;
mod approvals;
mod autopay;
mod balance;
mod bank;
mod bench;
mod bill;
mod bill_hold;
mod bills;
mod collections;
mod demo;
mod deposit;
mod dispute;
mod drill;
mod estimate;
mod export;
mod held;
mod import;
mod inbox;
mod late_fee;
mod leak_relief;
mod ledger;
mod meter;
mod notices;
mod overcharges;
mod pay_plan;
mod payment;
mod policy;
mod print;
mod proof;
mod quote;
mod rates;
mod read;
mod reconcile;
mod refund;
mod runs;
mod sandbox_provider;
mod schedule;
mod serve;
mod service;
mod show;
mod staff;
mod undo;
mod verify;
mod write_off;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};

use crate::actions::{ActionError, Context};
use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::db::Database;
use crate::providers;

pub use print::Failure;

/// The billing system of a water utility.
#[derive(Debug, Parser)]
#[command(name = "aquabills", version, about, disable_help_subcommand = true, arg_required_else_help = true)]
pub struct Cli {
    /// Database: `sqlite://FILE`, a file name, or `postgres://…`
    /// [default: the environment's `DATABASE_URL`, else aquabills.db]
    #[arg(long, global = true)]
    database: Option<String>,
    /// Settings file [default: aquabills.toml when it is there]
    #[arg(long, global = true, env = "AQUABILLS_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Who acts, for the audit trail: a name that is taken on trust. Whoever approves proves it [default: the signed-in user]
    #[arg(long, global = true, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    by: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes a demonstration town, bills it, and serves it
    Demo(demo::Args),
    /// Serves the web application
    Serve(serve::Args),
    /// Brings the database's schema up to date
    Migrate,
    /// Prices one usage by a tariff file
    Quote(quote::Args),
    /// Checks tariff files, or tests them against known bills
    Rates(rates::Args),
    /// Imports a tariff, the policy, services, reads, meter exchanges or payments
    Import(import::Args),
    /// Enters one read by hand
    Read(read::Args),
    /// Estimates the reads that a cycle misses on a day
    Estimate(estimate::Args),
    /// Bills a cycle through a day, or goes on with an unfinished run
    Bill(bill::Args),
    /// Cancels bills, and bills them anew
    Bills(bills::Args),
    /// Lists bill runs, shows one, discards or rolls back one
    Runs(runs::Args),
    /// Holds a drill: an incident on purpose, in a town that is made for it
    Drill(drill::Args),
    /// Lists what runs by itself
    Schedule(schedule::Args),
    /// Lists what waits for a decision, releases or rejects it
    Held(held::Args),
    /// Takes a payment, or returns one
    Payment(payment::Args),
    /// Gives a credit or a charge with a reason
    Adjust(adjust::Args),
    /// Takes a credit or a charge back
    Undo(undo::Args),
    /// Lists what waits for a second person, and decides about it
    Approvals(approvals::Args),
    /// Pays a credit balance out, or carries a balance to another account
    Balance(balance::Args),
    /// Shows the policy about credits, refunds and late payers
    Policy(policy::Args),
    /// Shows, pauses and ends autopay, and draws what is due
    Autopay(autopay::Args),
    /// Gives a payment's money back, lists refunds, sends what waits
    #[command(alias = "refunds")]
    Refund(refund::Args),
    /// Holds a bill back from collection, or lets it go
    BillHold(bill_hold::Args),
    /// Looks at every account that owes something: fees, reminders, plans, deposits
    Collections(collections::Args),
    /// Waives a late fee
    LateFee(late_fee::Args),
    /// Questions a bill, answers and lists questions
    Dispute(dispute::Args),
    /// Agrees, cancels and shows pay plans
    PayPlan(pay_plan::Args),
    /// Shows and gives relief after a leak
    LeakRelief(leak_relief::Args),
    /// Takes, applies and refunds deposits, credits their interest
    Deposit(deposit::Args),
    /// Writes a debt off, or takes that back
    WriteOff(write_off::Args),
    /// What banks sent: files, movements that wait, mappings of CSV columns
    Bank(bank::Args),
    /// Moves people in and out, changes the terms of a service
    Service(service::Args),
    /// Corrects what is recorded of a meter: multiplier, digits, unit, where it is
    Meter(meter::Args),
    /// Shows an account with its balance and transactions
    Account(account::Args),
    /// Shows one bill in full
    Show(show::Args),
    /// Makes every bill again and compares
    Verify(verify::Args),
    /// Checks or exports the ledger
    Ledger(ledger::Args),
    /// Exports bills as CSV
    Export(export::Args),
    /// Lists, adds and changes the utility's people who may sign in
    Staff(staff::Args),
    /// Sends notices, lists what was sent, records addresses that refuse
    Notices(notices::Args),
    /// Compares ledger, providers and bank
    Reconcile(reconcile::Args),
    /// Derives every bill again, lists what was charged wrongly, dismisses a case
    Overcharges(overcharges::Args),
    /// Lists what providers sent, applies what waits, tells payments again
    Inbox(inbox::Args),
    /// Measures
    Bench(bench::Args),
    /// Serves a payment provider that takes no real money, for demonstrations and tests
    SandboxProvider(sandbox_provider::Args),
}

/// What the options before the command say.
pub(crate) struct Global {
    database: String,
    /// Whether the database was named on the command line itself.
    database_named: bool,
    config: Config,
    actor: String,
}

impl Global {
    /// Opens the database, migrating it when needed.
    fn context(&self) -> Result<Context, Failure> {
        self.context_at(&self.database)
    }

    /// Opens a database that must be there: a command that only looks does not make one of a mistyped name.
    fn existing(&self) -> Result<Context, Failure> {
        if !crate::db::exists(&self.database) {
            return Err(Failure::No(format!("there is no database '{}': `aquabills migrate` or an import makes one", self.database)));
        }
        self.context()
    }

    fn context_at(&self, database: &str) -> Result<Context, Failure> {
        // A bill run's workers, and beside them leases, jobs and pages.
        let connections = u32::try_from(self.config.runs.worker_count()).unwrap_or(4) + 8;
        let database = Database::open(database, connections)?;
        Ok(Context {
            database,
            config: Arc::new(self.config.clone()),
            providers: providers::open(&self.config.providers),
            clock: Clock::System,
            actor: self.actor.clone(),
        })
    }
}

impl Cli {
    /// What is logged unless `RUST_LOG` says otherwise: a server tells what it does, a command only what is wrong.
    #[must_use]
    pub fn log_filter(&self) -> &'static str {
        if matches!(self.command, Command::Serve(_)) { "info" } else { "warn" }
    }

    /// The settings that the command line names.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn config(&self) -> Result<Config, ConfigError> {
        Config::load(self.config.as_deref())
    }
}

/// Runs the command; the exit status tells how it went.
#[must_use]
pub fn run(cli: Cli, config: Result<Config, ConfigError>) -> ExitCode {
    let actor = cli.by.or_else(|| std::env::var("USER").ok()).unwrap_or_else(|| "operator".to_owned());
    let outcome = config
        .map_err(|error| Failure::Use(error.to_string()))
        .and_then(|config| dispatch(&Global { database_named: cli.database.is_some(), database: address(cli.database), config, actor }, cli.command));
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(failure) => {
            print::error(&failure);
            failure.exit_code()
        }
    }
}

/// The database: as named, else from the environment, else a file in the working directory.
fn address(named: Option<String>) -> String {
    let from_environment = || std::env::var("DATABASE_URL").ok().filter(|url| !url.is_empty());
    named.or_else(from_environment).unwrap_or_else(|| "aquabills.db".to_owned())
}

/// `true` is "yes, done"; `false` is "the answer is no".
fn dispatch(global: &Global, command: Command) -> Result<bool, Failure> {
    match command {
        Command::Demo(args) => demo::run(global, &args),
        Command::Serve(args) => serve::run(global, &args),
        Command::Migrate => global.context().map(|_| {
            print::message("the schema is up to date");
            true
        }),
        Command::Quote(args) => quote::run(&args),
        Command::Rates(args) => rates::run(&args),
        Command::Import(args) => import::run(global, &args),
        Command::Read(args) => read::run(global, &args),
        Command::Estimate(args) => estimate::run(global, &args),
        Command::Bill(args) => bill::run(global, &args),
        Command::Bills(args) => bills::run(global, &args),
        Command::Drill(args) => drill::run(global, &args),
        Command::Runs(args) => runs::run(global, &args),
        Command::Schedule(args) => schedule::run(global, &args),
        Command::Held(args) => held::run(global, &args),
        Command::Payment(args) => payment::run(global, &args),
        Command::Adjust(args) => adjust::run(global, &args),
        Command::Undo(args) => undo::run(global, &args),
        Command::Approvals(args) => approvals::run(global, &args),
        Command::Balance(args) => balance::run(global, &args),
        Command::Policy(args) => policy::run(global, &args),
        Command::Autopay(args) => autopay::run(global, &args),
        Command::Refund(args) => refund::run(global, &args),
        Command::BillHold(args) => bill_hold::run(global, &args),
        Command::Collections(args) => collections::run(global, &args),
        Command::LateFee(args) => late_fee::run(global, &args),
        Command::Dispute(args) => dispute::run(global, &args),
        Command::PayPlan(args) => pay_plan::run(global, &args),
        Command::LeakRelief(args) => leak_relief::run(global, &args),
        Command::Deposit(args) => deposit::run(global, &args),
        Command::WriteOff(args) => write_off::run(global, &args),
        Command::Bank(args) => bank::run(global, &args),
        Command::Service(args) => service::run(global, args),
        Command::Meter(args) => meter::run(global, &args),
        Command::Account(args) => account::run(global, &args),
        Command::Show(args) => show::run(global, &args),
        Command::Verify(args) => verify::run(global, &args),
        Command::Ledger(args) => ledger::run(global, &args),
        Command::Export(args) => export::run(global, &args),
        Command::Staff(args) => staff::run(global, &args),
        Command::Notices(args) => notices::run(global, &args),
        Command::Reconcile(args) => reconcile::run(global, &args),
        Command::Overcharges(args) => overcharges::run(global, &args),
        Command::Inbox(args) => inbox::run(global, &args),
        Command::Bench(args) => bench::run(global, &args),
        Command::SandboxProvider(args) => sandbox_provider::run(&args),
    }
}

impl From<ActionError> for Failure {
    fn from(error: ActionError) -> Self {
        Self::No(error.to_string())
    }
}
