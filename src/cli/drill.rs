//! `aquabills drill`: an incident on purpose, in a town that is made for it, with a report for whoever answers for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use askama::Template;
use clap::Subcommand;
use rand::Rng;

use super::print;
use super::{Failure, Global};
use crate::actions::drill::{DrillOptions, DrillReport, hold_drill, seconds};
use crate::actions::{ActionError, Context};
use crate::clock::Clock;
use crate::config::{Config, MailTransport};
use crate::db::Database;
use crate::domain::money::Money;
use crate::jobs::mailer::Round;
use crate::providers::ProviderBook;

/// Drills: incidents on purpose.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A fault hides the latest payments of a quarter of the accounts: what stops it, whom it hits, how it is put right
    Overcharge {
        /// Accounts of the town
        #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(60..=100_000))]
        accounts: u32,
        /// Months of the town's history
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(2..=24))]
        months: u32,
        /// Where the report goes: Markdown, or HTML when the name ends in .html
        #[arg(long, value_name = "FILE")]
        report: Option<PathBuf>,
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// Connections of each town's pool beside the workers'.
const SPARE_CONNECTIONS: u32 = 8;

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    let Command::Overcharge { accounts, months, report, json } = &args.command;
    if let Some(path) = report {
        // Before minutes of work, and not after them.
        fs::write(path, "").map_err(|error| Failure::No(format!("{}: {error}", path.display())))?;
    }
    let folder = Folder::new()?;
    // The town is in a database of its own, unless one is named that holds nothing; its twin always is.
    let town = if global.database_named { global.database.clone() } else { folder.database("town") };
    let (town, twin) = (context(global, &town, &folder)?, context(global, &folder.database("twin"), &folder)?);
    let bar = print::progress("the drill");
    let progress = |what: &str| bar.set_message(what.to_owned());
    let mail = folder.mail();
    let deliver = |town: &Context| send(town, &mail);
    let options = DrillOptions { accounts: usize::try_from(*accounts).unwrap_or(500), months: *months, progress: &progress, deliver: &deliver };
    let usual = log::max_level();
    if std::env::var_os("RUST_LOG").is_none() {
        // Each payment that the fault hides would be an error in the log: here they are meant.
        log::set_max_level(log::LevelFilter::Off);
    }
    let outcome = hold_drill(&town, &twin, &folder.path, &options);
    log::set_max_level(usual);
    bar.finish_and_clear();
    let shown = outcome?;
    if let Some(path) = report {
        let text = if path.extension().is_some_and(|end| end.eq_ignore_ascii_case("html")) { html(&shown)? } else { markdown(&shown)? };
        fs::write(path, text).map_err(|error| Failure::No(format!("{}: {error}", path.display())))?;
    }
    if *json {
        print::json(&serde_json::json!({ "passed": shown.passed(), "drill": shown }))?;
    } else {
        print::line(&markdown(&shown)?)?;
    }
    Ok(shown.passed())
}

/// A folder of the drill's own, gone with it.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn new() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("aquabills-drill-{:016x}", rand::rng().random::<u64>()));
        fs::create_dir_all(&path)?;
        Ok(Self { path })
    }

    fn database(&self, name: &str) -> String {
        self.path.join(format!("{name}.db")).display().to_string()
    }

    fn mail(&self) -> PathBuf {
        self.path.join("mail")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            log::warn!("{} could not be removed: {error}", self.path.display());
        }
    }
}

/// The drill's settings are its own: no setting of the utility's reaches it, and nothing of it leaves this machine.
fn context(global: &Global, database: &str, folder: &Folder) -> Result<Context, Failure> {
    let mut config = Config { utility_name: "Millbrook Water".to_owned(), ..Config::default() };
    config.currency = "USD".to_owned();
    config.mail.transport = MailTransport::Folder;
    config.mail.folder = folder.mail();
    config.mail.staff = vec!["supervisor@millbrook.example".to_owned()];
    config.runs = global.config.runs.clone();
    let connections = u32::try_from(config.runs.worker_count()).unwrap_or(4) + SPARE_CONNECTIONS;
    let database = Database::open(database, connections)?;
    Ok(Context { database, config: Arc::new(config), providers: ProviderBook::default(), clock: Clock::System, actor: "drill".to_owned() })
}

/// Sends what is in the outbox into the drill's folder, and counts the e-mails about corrections that are there.
fn send(town: &Context, mail: &Path) -> Result<Option<usize>, ActionError> {
    let Some(mut round) = Round::open(town)? else { return Ok(None) };
    while round.send_due(&|| false)?.sent > 0 {}
    count_corrections(mail).map(Some).map_err(|source| ActionError::file(mail, source))
}

/// The e-mails of a folder that tell of a correction.
fn count_corrections(folder: &Path) -> std::io::Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(folder)? {
        let text = fs::read_to_string(entry?.path()).unwrap_or_default();
        let subject = text.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap_or_default();
        count += usize::from(subject.starts_with("We asked you for"));
    }
    Ok(count)
}

#[derive(Template)]
#[template(path = "drill/report.md", escape = "none")]
struct MarkdownReport<'a> {
    drill: &'a DrillReport,
    say: Say,
}

#[derive(Template)]
#[template(path = "drill/report.html")]
struct HtmlReport<'a> {
    drill: &'a DrillReport,
    say: Say,
}

/// How the report says figures.
struct Say;

#[allow(clippy::unused_self, clippy::trivially_copy_pass_by_ref, reason = "templates call methods with references")]
impl Say {
    fn money(&self, cents: &i64) -> String {
        format!("${}", Money::from_cents(*cents))
    }

    fn difference(&self, row: &crate::actions::drill::Affected) -> String {
        self.money(&(row.asked_cents - row.right_cents))
    }

    fn seconds(&self, ms: &u128) -> String {
        seconds(*ms)
    }

    /// A text in one line, for a table.
    fn line(&self, text: &str) -> String {
        text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "/")
    }
}

fn markdown(drill: &DrillReport) -> Result<String, Failure> {
    MarkdownReport { drill, say: Say }.render().map_err(|error| Failure::No(error.to_string()))
}

fn html(drill: &DrillReport) -> Result<String, Failure> {
    HtmlReport { drill, say: Say }.render().map_err(|error| Failure::No(error.to_string()))
}
