//! `aquabills dispute`: questions about bills, asked for a customer, answered, listed.

use clap::Subcommand;

use super::print;
use super::{Failure, Global};
use crate::actions::account_view::Whose;
use crate::actions::collections::disputes::{Answering, Asking, DisputeView, answer_dispute, list_disputes, open_dispute};
use crate::domain::disputes::Answer;
use crate::domain::ids::DisputeId;

/// So many questions are listed.
const MOST: i64 = 200;

/// Questions a bill, answers and lists questions.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Questions a bill for its customer: no fee, no reminder and no draw until it is answered
    Open {
        /// The bill's number
        bill: String,
        /// usage, read, rate, payment, not-mine or other
        #[arg(long)]
        reason: String,
        /// Which part of the bill: a service's id [default: all of it]
        #[arg(long, default_value = "")]
        about: String,
        /// What the customer says
        #[arg(long)]
        words: String,
        /// The idempotency key: the same again changes nothing
        #[arg(long)]
        reference: String,
    },
    /// Answers a question
    Answer {
        /// The question's number
        question: i64,
        /// upheld, partly or declined
        #[arg(long)]
        answer: Answer,
        /// The answer in words: the customer reads them
        #[arg(long)]
        words: String,
        /// What puts the bill right: a credit's reference, or the number of the bill taken back or that took its place
        #[arg(long)]
        remedy: Option<String>,
    },
    /// Lists open questions, the most urgent first
    List {
        /// Lists those that were answered, too, newest first
        #[arg(long)]
        all: bool,
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    let context = global.existing()?;
    match &args.command {
        Command::Open { bill, reason, about, words, reference } => {
            let asking =
                Asking { bill: bill.clone(), about: about.clone(), reason: reason.clone(), words: words.clone(), form_key: reference.clone() };
            let view = open_dispute(&context, &asking, Whose::Anybody)?;
            print::line(&format!("question {} about bill {bill}: answer by {}", view.row.id, view.row.due_on))?;
        }
        Command::Answer { question, answer, words, remedy } => {
            let answering = Answering { answer: *answer, words: words.clone(), remedy: remedy.clone() };
            let view = answer_dispute(&context, DisputeId(*question), &answering)?;
            print::line(&format!("question {question} about bill {}: {answer}", view.bill_number))?;
        }
        Command::List { all, json } => {
            let found = list_disputes(&context, !all, None, MOST)?;
            if *json {
                return print::json(&serde_json::json!({ "disputes": found })).map(|()| true);
            }
            for view in found {
                line(&view)?;
            }
        }
    }
    Ok(true)
}

fn line(view: &DisputeView) -> Result<(), Failure> {
    let state = match (&view.row.answer, view.overdue) {
        (Some(answer), _) => answer.clone(),
        (None, true) => format!("OVERDUE since {}", view.row.due_on),
        (None, false) => format!("answer by {}", view.row.due_on),
    };
    print::line(&format!("{} account {} bill {}: {}; {state}", view.row.id, view.account, view.bill_number, view.reason_words))
}
