//! `aquabills import bank` and `aquabills bank`: files, the movements that wait, mappings of CSV columns.

use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};

use super::print;
use super::{Failure, Global};
use crate::actions::bank::decide::{Outcome, Share, Verdict, decide};
use crate::actions::bank::import::{BankReport, NewBankFile, import_bank_file, read_file};
use crate::actions::bank::view::{EntryView, FileView, list_files, list_waiting, show_entry, show_file};
use crate::actions::bank::{credits, mappings, settle_payouts};
use crate::actions::{ActionError, Context};
use crate::domain::ids::{BankEntryId, BankFileId, UnappliedCreditId};
use crate::domain::money::Money;
use crate::formats::bank::BankFormat;

/// So many rows are listed unless told otherwise.
const ROWS: i64 = 50;
/// So many rows at most.
const MOST_ROWS: i64 = 10_000;

/// A bank's file to be imported.
#[derive(Debug, clap::Args)]
pub(super) struct ImportArgs {
    /// The file; .gz accepted
    file: PathBuf,
    /// Its format [default: as its opening tells; CSV is never guessed]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The saved mapping of a CSV file's columns
    #[arg(long, value_name = "NAME")]
    mapping: Option<String>,
    /// Checks and matches everything and changes nothing in the database
    #[arg(long)]
    dry_run: bool,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Bai2,
    Camt053,
    Camt054,
    Ach,
    Csv,
}

impl From<Format> for BankFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Bai2 => Self::Bai2,
            Format::Camt053 => Self::Camt053,
            Format::Camt054 => Self::Camt054,
            Format::Ach => Self::Ach,
            Format::Csv => Self::Csv,
        }
    }
}

/// What banks sent.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists the files, newest first
    List(PageArgs),
    /// Shows a file with its movements
    Show {
        /// The file's number
        file: i64,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Lists the movements that wait, oldest first, with what they are taken for and why
    Waiting(PageArgs),
    /// Shows one movement
    Movement {
        /// The movement's number
        entry: i64,
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Gives a movement to an account, or to several: `ACCOUNT`, or `ACCOUNT=AMOUNT` for each but one
    Assign {
        /// The movement's number
        entry: i64,
        /// The account, or accounts with amounts
        #[arg(required = true, value_name = "ACCOUNT[=AMOUNT]")]
        accounts: Vec<String>,
        /// For a return: the reference of the payment that it returned
        #[arg(long, value_name = "REFERENCE")]
        payment: Option<String>,
        /// Why, in words
        #[arg(long, default_value = "")]
        note: String,
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Sets a movement aside that concerns no customer's account
    SetAside {
        /// The movement's number
        entry: i64,
        /// Why, in words
        #[arg(long)]
        note: String,
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Takes back what was decided about a movement: it waits again
    Undo {
        /// The movement's number
        entry: i64,
        /// Why, in words
        #[arg(long, default_value = "decided by mistake")]
        note: String,
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Finds the movements that brought what payment providers sent
    Payouts {
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Money of payment providers that fits no account
    Credits {
        #[command(subcommand)]
        command: CreditCommand,
    },
    /// How banks lay out their CSV files, saved by name
    Mapping {
        #[command(subcommand)]
        command: MappingCommand,
    },
}

#[derive(Debug, Subcommand)]
enum CreditCommand {
    /// Lists what waits, oldest first
    List(PageArgs),
    /// Gives it to an account, or to several
    Assign {
        /// Its number
        credit: i64,
        /// The account, or accounts with amounts
        #[arg(required = true, value_name = "ACCOUNT[=AMOUNT]")]
        accounts: Vec<String>,
    },
    /// Says that nobody gets it
    Dismiss {
        /// Its number
        credit: i64,
        /// Why, in words
        #[arg(long)]
        note: String,
    },
}

#[derive(Debug, Subcommand)]
enum MappingCommand {
    /// Saves a mapping, in the place of one with the same name
    Save {
        /// Its name
        name: String,
        /// The file with the mapping, TOML
        file: PathBuf,
    },
    /// Lists the saved mappings
    List {
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Prints a saved mapping as it was saved
    Show {
        /// Its name
        name: String,
    },
    /// Removes a saved mapping
    Remove {
        /// Its name
        name: String,
    },
}

#[derive(Debug, clap::Args)]
struct PageArgs {
    /// Where to go on: the number of the last row of the page before
    #[arg(long, default_value_t = 0)]
    after: i64,
    /// How many rows at most
    #[arg(long, default_value_t = ROWS, value_parser = clap::value_parser!(i64).range(1..=MOST_ROWS))]
    limit: i64,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(serde::Serialize)]
struct Listed<T: serde::Serialize> {
    rows: Vec<T>,
}

#[derive(serde::Serialize)]
struct FileWithEntries {
    #[serde(flatten)]
    file: FileView,
    movements: Vec<EntryView>,
}

/// Imports a bank's file.
pub(super) fn import(global: &Global, args: &ImportArgs) -> Result<bool, Failure> {
    let context = global.context()?;
    let new = NewBankFile {
        name: args.file.file_name().map_or_else(|| args.file.display().to_string(), |name| name.to_string_lossy().into_owned()),
        bytes: read_file(&args.file)?,
        format: args.format.map(BankFormat::from),
        mapping: args.mapping.clone(),
        dry_run: args.dry_run,
    };
    let report = import_bank_file(&context, &new)?;
    for told in report.told.iter().chain(&report.warnings) {
        print::message(&format!("{}: {told}", report.name));
    }
    if args.json {
        print::json(&report)?;
    } else {
        print_report(&report)?;
    }
    Ok(true)
}

fn print_report(report: &BankReport) -> Result<(), Failure> {
    for statement in &report.statements {
        let name = statement.statement_ref.as_deref().map(|name| format!(" ({name})")).unwrap_or_default();
        let currency = statement.currency.as_deref().map(|currency| format!(" {currency}")).unwrap_or_default();
        print::line(&format!(
            "{}{name}: {}, in {}{currency}, out {}{currency}, {}",
            statement.bank_account,
            entries(statement.entries),
            Money::from_cents(statement.credits_cents),
            Money::from_cents(statement.debits_cents),
            print::count(statement.returns, "return"),
        ))?;
    }
    let dry = if report.dry_run { " (dry run: nothing was written)" } else { "" };
    print::line(&format!(
        "{} accepted, {} unchanged: {} applied, {} waiting, {} settled, {} set aside{dry}",
        report.accepted, report.unchanged, report.applied, report.waiting, report.settled, report.set_aside
    ))?;
    if report.waiting > 0 && !report.dry_run {
        print::line("what waits is decided with `aquabills bank waiting` or on the page Bank")?;
    }
    Ok(())
}

fn entries(count: u64) -> String {
    if count == 1 { "1 entry".to_owned() } else { format!("{count} entries") }
}

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    match &args.command {
        Command::List(page) => list(global, page),
        Command::Show { file, page } => show(global, *file, page),
        Command::Waiting(page) => waiting(global, page),
        Command::Movement { entry, json } => movement(global, *entry, *json),
        Command::Assign { entry, accounts, payment, note, json } => {
            let verdict = Verdict::Assign { shares: shares(accounts)?, payment: payment.clone() };
            settle(global, *entry, &verdict, note, *json)
        }
        Command::SetAside { entry, note, json } => settle(global, *entry, &Verdict::SetAside, note, *json),
        Command::Undo { entry, note, json } => settle(global, *entry, &Verdict::Undo, note, *json),
        Command::Payouts { json } => payouts(global, *json),
        Command::Credits { command } => credit(global, command),
        Command::Mapping { command } => mapping(global, command),
    }
}

fn list(global: &Global, page: &PageArgs) -> Result<bool, Failure> {
    let before = if page.after > 0 { page.after } else { i64::MAX };
    let files = list_files(&global.existing()?, BankFileId(before), page.limit)?;
    if page.json {
        print::json(&Listed { rows: files })?;
        return Ok(true);
    }
    for view in &files {
        let file = &view.file;
        print::line(&format!(
            "{}  {}  {}  in {}, out {}; {} applied, {} waiting, {} settled, {} set aside",
            file.id,
            file.name,
            file.format,
            Money::from_cents(file.credits_cents),
            Money::from_cents(file.debits_cents),
            view.applied,
            view.waiting,
            view.settled,
            view.set_aside
        ))?;
    }
    Ok(true)
}

fn show(global: &Global, file: i64, page: &PageArgs) -> Result<bool, Failure> {
    let (file, movements) = show_file(&global.existing()?, BankFileId(file), None, BankEntryId(page.after), page.limit)?;
    if page.json {
        print::json(&FileWithEntries { file, movements })?;
        return Ok(true);
    }
    print::line(&format!("{} ({}), received by {}", file.file.name, file.file.format, file.file.received_by))?;
    print_entries(&movements)
}

fn waiting(global: &Global, page: &PageArgs) -> Result<bool, Failure> {
    let rows = list_waiting(&global.existing()?, BankEntryId(page.after), page.limit)?;
    if page.json {
        print::json(&Listed { rows })?;
        return Ok(true);
    }
    print_entries(&rows)
}

fn movement(global: &Global, entry: i64, json: bool) -> Result<bool, Failure> {
    let view = show_entry(&global.existing()?, BankEntryId(entry))?;
    if json {
        print::json(&view)?;
        return Ok(true);
    }
    print_entries(std::slice::from_ref(&view))?;
    for row in &view.beside {
        print::line(&format!(
            "beside it: {}  {}  {}  {}  {}  file {}, {}",
            row.id,
            row.status,
            row.booked_on,
            Money::from_cents(row.amount_cents),
            row.reference.lines().collect::<Vec<_>>().join(" / "),
            row.file_id,
            row.place
        ))?;
    }
    Ok(true)
}

fn print_entries(views: &[EntryView]) -> Result<bool, Failure> {
    for view in views {
        let row = &view.row;
        let reference = row.reference.lines().collect::<Vec<_>>().join(" / ");
        let taken = match (&view.account, view.parts.as_slice()) {
            (_, [_, ..]) => {
                let parts: Vec<String> = view.parts.iter().map(|(number, cents)| format!("{number} {}", Money::from_cents(*cents))).collect();
                format!("; {}", parts.join(", "))
            }
            (Some(account), []) => format!("; {} ({}%)", account.number, row.confidence),
            _ => String::new(),
        };
        let told = [row.party_name.as_str(), &reference].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ");
        print::line(&format!(
            "{}  {}  {}  {}  {}  {told}{taken}: {}",
            row.id,
            row.status,
            row.booked_on,
            row.kind,
            Money::from_cents(row.amount_cents),
            row.why
        ))?;
    }
    Ok(true)
}

/// `ACCOUNT`, or `ACCOUNT=AMOUNT`.
fn shares(accounts: &[String]) -> Result<Vec<Share>, Failure> {
    let share = |text: &String| match text.rsplit_once('=') {
        None => Ok(Share { account: text.clone(), amount: None }),
        Some((account, amount)) => {
            let amount = Money::parse(amount).map_err(|error| Failure::Use(format!("'{text}': {error}")))?;
            Ok(Share { account: account.to_owned(), amount: Some(amount) })
        }
    };
    accounts.iter().map(share).collect()
}

fn settle(global: &Global, entry: i64, verdict: &Verdict, note: &str, json: bool) -> Result<bool, Failure> {
    let Outcome { entry, status, unchanged } = decide(&global.existing()?, BankEntryId(entry), verdict, note, None)?;
    if json {
        print::json(&Outcome { entry, status, unchanged })?;
    } else {
        let before = if unchanged { " before" } else { "" };
        print::line(&format!("movement {entry}: {status}{before}"))?;
    }
    Ok(true)
}

fn payouts(global: &Global, json: bool) -> Result<bool, Failure> {
    let settled = settle_payouts(&global.existing()?)?;
    if json {
        print::json(&settled)?;
    } else {
        print::line(&format!("{} settled, {} that several movements fit", settled.settled, settled.ambiguous))?;
    }
    Ok(true)
}

fn credit(global: &Global, command: &CreditCommand) -> Result<bool, Failure> {
    let context = global.existing()?;
    match command {
        CreditCommand::List(page) => {
            let rows = credits::waiting(&context, UnappliedCreditId(page.after), page.limit)?;
            if page.json {
                print::json(&Listed { rows })?;
                return Ok(true);
            }
            for row in rows {
                print::line(&format!("{}  {}  {}  {}", row.id, row.received_on, Money::from_cents(row.amount_cents), row.reference))?;
            }
        }
        CreditCommand::Assign { credit, accounts } => {
            let outcome = credits::assign(&context, UnappliedCreditId(*credit), &shares(accounts)?)?;
            print::line(&format!("credit {}: {}", outcome.credit, outcome.status))?;
        }
        CreditCommand::Dismiss { credit, note } => {
            let outcome = credits::dismiss(&context, UnappliedCreditId(*credit), note)?;
            print::line(&format!("credit {}: {}", outcome.credit, outcome.status))?;
        }
    }
    Ok(true)
}

fn mapping(global: &Global, command: &MappingCommand) -> Result<bool, Failure> {
    match command {
        MappingCommand::Save { name, file } => save_mapping(&global.context()?, name, file)?,
        MappingCommand::List { json } => {
            let rows = mappings::list(&global.existing()?)?;
            if *json {
                print::json(&Listed { rows })?;
                return Ok(true);
            }
            for row in rows {
                print::line(&format!("{}  saved by {}", row.name, row.saved_by))?;
            }
        }
        MappingCommand::Show { name } => {
            let row = mappings::show(&global.existing()?, name)?;
            print::line(row.settings.trim_end())?;
        }
        MappingCommand::Remove { name } => {
            mappings::remove(&global.existing()?, name)?;
            print::line(&format!("mapping '{name}' removed"))?;
        }
    }
    Ok(true)
}

fn save_mapping(context: &Context, name: &str, file: &Path) -> Result<(), Failure> {
    let bytes = read_file(file)?;
    let source = file.display().to_string();
    let text = String::from_utf8(bytes).map_err(|_| ActionError::Form(format!("{source}: it is not text in UTF-8")))?;
    if let Some(warning) = mappings::save(context, name, &source, &text)? {
        print::message(&format!("{source}: bank_reference: {warning}"));
    }
    print::line(&format!("mapping '{name}' saved"))
}
