//! `aquabills bills`: cancels bills, and bills them anew.

use std::io::Read;
use std::path::PathBuf;

use clap::Subcommand;

use super::print;
use super::{Failure, Global};
use crate::actions::rebill::{
    AccountPreview, BillKey, Preview, RebillKind, RebillReport, Wanted, bills_named, bills_of_run, preview, rebill, report, resume,
};
use crate::actions::sign_in::new_token;
use crate::actions::stop::Stop;
use crate::actions::{ActionError, Context};
use crate::db::rebills;
use crate::domain::ids::{RebillId, RunId};
use crate::domain::money::Money;

/// Cancels bills, and bills them anew.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Cancels bills: each is taken back in the ledger with the later bills of its account that stand on it, and their periods
    /// can be billed again
    Cancel(Which),
    /// Cancels bills and bills their accounts anew, by a run of those accounts alone
    Rebill(Which),
    /// Lists the latest requests
    List {
        /// How many
        #[arg(long, default_value_t = 20)]
        limit: i64,
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Goes on with a request that was interrupted, or that a gate held
    Resume {
        /// The request
        id: i64,
        /// Goes on although a gate failed, for this reason
        #[arg(long, value_name = "REASON")]
        override_gates: Option<String>,
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Which {
    /// The bills' numbers
    #[arg(value_name = "NUMBER", conflicts_with_all = ["run", "file"])]
    numbers: Vec<String>,
    /// Every bill of this run that stands
    #[arg(long, conflicts_with = "file")]
    run: Option<i64>,
    /// The bills whose numbers are in this file, one to a line (`-`: standard input)
    #[arg(long)]
    file: Option<PathBuf>,
    /// Why, in words
    #[arg(long)]
    reason: String,
    /// Shows what it would come to, and changes nothing
    #[arg(long)]
    dry_run: bool,
    /// Does it although a gate failed, for this reason
    #[arg(long, value_name = "REASON")]
    override_gates: Option<String>,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

/// So many accounts are shown.
const SHOWN: usize = 20;
/// A file of numbers is no longer.
const LONGEST_FILE_BYTES: u64 = 64 << 20;

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    let context = global.existing()?;
    match &args.command {
        Command::Cancel(which) => work(&context, which, RebillKind::Cancel),
        Command::Rebill(which) => work(&context, which, RebillKind::Rebill),
        Command::List { limit, json } => list(&context, (*limit).clamp(1, 1000), *json),
        Command::Resume { id, override_gates, json } => {
            let done = resume(&context, RebillId(*id), override_gates.clone(), &Stop::default())?;
            tell(&done, *json)
        }
    }
}

fn bills(context: &Context, which: &Which) -> Result<Vec<BillKey>, Failure> {
    if let Some(run) = which.run {
        return Ok(bills_of_run(context, RunId(run))?);
    }
    let numbers = match &which.file {
        Some(path) => numbers_of(path)?,
        None => which.numbers.clone(),
    };
    if numbers.is_empty() {
        return Err(Failure::Use("name at least one bill, or a run with --run, or a file with --file".to_owned()));
    }
    Ok(bills_named(context, &numbers)?)
}

fn numbers_of(path: &std::path::Path) -> Result<Vec<String>, Failure> {
    let failed = |error: std::io::Error| Failure::No(format!("{}: {error}", path.display()));
    let mut text = String::new();
    let source: Box<dyn Read> =
        if path.as_os_str() == "-" { Box::new(std::io::stdin()) } else { Box::new(std::fs::File::open(path).map_err(failed)?) };
    source.take(LONGEST_FILE_BYTES).read_to_string(&mut text).map_err(failed)?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

fn work(context: &Context, which: &Which, kind: RebillKind) -> Result<bool, Failure> {
    let bills = bills(context, which)?;
    if which.dry_run {
        let foreseen = preview(context, &bills, kind)?;
        if which.json {
            print::json(&foreseen)?;
        } else {
            show(&foreseen, kind)?;
        }
        return Ok(foreseen.accounts.iter().all(|account| account.refused.is_none()));
    }
    let bar = print::progress("cancelling");
    let wanted = Wanted {
        override_gates: which.override_gates.clone(),
        progress: &|step, done, all| print::show_step(&bar, step, done, all),
        ..Wanted::new(bills, kind, &which.reason, new_token())
    };
    let outcome = rebill(context, &wanted, &Stop::default());
    bar.finish_and_clear();
    tell(&outcome?, which.json)
}

fn money(cents: i64) -> String {
    Money::from_cents(cents).to_string()
}

fn show(foreseen: &Preview, kind: RebillKind) -> Result<(), Failure> {
    let (possible, accounts) = (foreseen.possible().count(), foreseen.accounts.len());
    print::line(&format!(
        "{} of {} would be cancelled, with charges of {}",
        print::count(u64::try_from(foreseen.bills()).unwrap_or(0), "bill"),
        print::count(u64::try_from(possible).unwrap_or(0), "account"),
        money(foreseen.before_cents())
    ))?;
    if kind == RebillKind::Rebill {
        let (before, after) = (foreseen.before_cents(), foreseen.after_cents());
        print::line(&format!("billed anew through {}: {}, a difference of {}", foreseen.through_on, money(after), money(after - before)))?;
    }
    for account in foreseen.accounts.iter().take(SHOWN) {
        print::line(&in_words(account))?;
    }
    if accounts > SHOWN {
        print::line(&format!("  and {} accounts more", accounts - SHOWN))?;
    }
    for gate in &foreseen.gates {
        let mark = if gate.passed { "passed" } else { "FAILED" };
        print::line(&format!("  gate {mark}: {}: {}", gate.gate, gate.detail))?;
    }
    Ok(())
}

fn in_words(account: &AccountPreview) -> String {
    if let Some(why) = &account.refused {
        return format!("  account {}: left as it is: {why}", account.account);
    }
    let named = account.bills.iter().map(|bill| if bill.asked { bill.number.clone() } else { format!("{} (stands on it)", bill.number) });
    let after = account.after_cents.map(|cents| format!(", anew {}", money(cents))).unwrap_or_default();
    format!("  account {}: {}: {}{after}", account.account, named.collect::<Vec<_>>().join(", "), money(account.before_cents))
}

fn tell(done: &RebillReport, json: bool) -> Result<bool, Failure> {
    if json {
        print::json(done)?;
        return Ok(done.is_complete());
    }
    let id = done.rebill.id;
    let gone: i64 = done.accounts.iter().filter(|sum| ["cancelled", "billed"].contains(&sum.state.as_str())).map(|sum| sum.before_cents).sum();
    let accounts = done.count("cancelled") + done.count("billed");
    print::line(&format!(
        "request {id}: the bills of {}, over {}, are cancelled",
        print::count(u64::try_from(accounts).unwrap_or(0), "account"),
        money(gone)
    ))?;
    if let Some(run) = done.run_id {
        print::line(&format!("run {run} billed {} of them anew: {}", done.count("billed"), money(done.billed_cents)))?;
    }
    if done.rebill.kind == "rebill" && done.count("cancelled") > 0 {
        print::line(&format!("{} accounts could not be billed anew and wait for a clerk", done.count("cancelled")))?;
    }
    if done.count("refused") > 0 {
        print::line(&format!("{} accounts were left as they are: the page of request {id} says why", done.count("refused")))?;
    }
    Ok(done.is_complete())
}

fn list(context: &Context, limit: i64, json: bool) -> Result<bool, Failure> {
    let rows = context.database.read(|conn| rebills::page(conn, RebillId(i64::MAX), limit)).map_err(ActionError::from)?;
    let mut reports = Vec::with_capacity(rows.len());
    for row in &rows {
        reports.push(report(context, row.id)?);
    }
    if json {
        print::json(&serde_json::json!({ "requests": reports }))?;
        return Ok(true);
    }
    for done in &reports {
        let row = &done.rebill;
        let accounts: i64 = done.accounts.iter().map(|sum| sum.accounts).sum();
        print::line(&format!(
            "request {:>5}  {:<7} {:<11} {accounts:>7} accounts  {} by {}: {}",
            row.id, row.kind, row.status, row.asked_at, row.asked_by, row.reason
        ))?;
    }
    Ok(true)
}
