//! `aquabills policy`: what the utility's policy says on a day, and which versions there are.

use chrono::NaiveDate;
use clap::Subcommand;
use serde::Serialize;

use super::print;
use super::{Failure, Global};
use crate::actions::policy::{load_policies, policy_versions};

/// Shows the policy.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows the policy in force on a day, with its text
    Show {
        /// The day [default: today]
        #[arg(long, value_name = "YYYY-MM-DD")]
        on: Option<NaiveDate>,
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Lists every version
    List {
        /// Prints one JSON array
        #[arg(long)]
        json: bool,
    },
}

#[derive(Serialize)]
struct Shown {
    title: String,
    /// None for the built-in rules.
    effective_on: Option<NaiveDate>,
    sha256: String,
    citations: Vec<(&'static str, String)>,
    text: String,
}

#[derive(Serialize)]
struct Listed {
    effective_on: NaiveDate,
    revision: i32,
    sha256: String,
    source_name: String,
    imported_at: chrono::NaiveDateTime,
    imported_by: String,
}

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    let context = global.existing()?;
    match &args.command {
        Command::Show { on, json } => {
            let book = load_policies(&context)?;
            let policy = book.on(on.unwrap_or_else(|| context.today()));
            let text = policy_versions(&context)?.into_iter().find(|row| row.sha256 == policy.sha256).map(|row| row.source).unwrap_or_default();
            let citations: Vec<_> = policy.citations().into_iter().map(|(section, citation)| (section, citation.to_owned())).collect();
            let effective_on = (!policy.sha256.is_empty()).then_some(policy.effective_on);
            let shown = Shown { title: policy.title.clone(), effective_on, sha256: policy.sha256.clone(), citations, text };
            if *json {
                return print::json(&shown).map(|()| true);
            }
            let from =
                shown.effective_on.map_or_else(|| "no policy is imported".to_owned(), |day| format!("in force from {day}; sha256 {}", shown.sha256));
            print::line(&format!("{}: {from}", shown.title))?;
            for (section, citation) in &shown.citations {
                print::line(&format!("{section}: {citation}"))?;
            }
            if !shown.text.is_empty() {
                print::line("")?;
                print::line(shown.text.trim_end())?;
            }
        }
        Command::List { json } => {
            let rows: Vec<Listed> = policy_versions(&context)?
                .into_iter()
                .map(|row| Listed {
                    effective_on: row.effective_on,
                    revision: row.revision,
                    sha256: row.sha256,
                    source_name: row.source_name,
                    imported_at: row.imported_at,
                    imported_by: row.imported_by,
                })
                .collect();
            if *json {
                return print::json(&rows).map(|()| true);
            }
            for row in rows {
                print::line(&format!("{} revision {} {} {} by {}", row.effective_on, row.revision, row.sha256, row.source_name, row.imported_by))?;
            }
        }
    }
    Ok(true)
}
