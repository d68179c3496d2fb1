//! `aquabills approvals`: what waits for a second person, shown and decided. The command line has no sign-in: `--by` names the
//! person, and whoever approves or rejects proves to be that one by password and code.

use chrono::NaiveDateTime;
use clap::Subcommand;

use super::{Failure, Global};
use super::{print, proof};
use crate::actions::approvals::{ApprovalView, Channel, Outcome, Seen, Verdict, decide_by, expire_due, list_decided, list_waiting, show};
use crate::actions::{ActionError, Context};
use crate::domain::ids::ApprovalId;
use crate::domain::money::Money;

/// Lists what waits for a second person, and decides about it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists requests that wait, the oldest first
    List {
        /// Lists what was decided instead, the newest first
        #[arg(long)]
        decided: bool,
        /// How many
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=1000))]
        limit: i64,
        /// Prints one JSON array
        #[arg(long)]
        json: bool,
    },
    /// Shows one request, with the word that a decision must repeat
    Show {
        /// Its number
        id: i64,
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Approves a request: it is done at once. Asks for the password and a code of whoever --by names; from standard input they
    /// are two lines
    Approve(Decide),
    /// Rejects a request; asks for the password and a code as well
    Reject(Decide),
    /// Withdraws a request of one's own
    Withdraw(Decide),
    /// Closes requests whose time is over, as the server does every hour
    Expire,
}

#[derive(Debug, clap::Args)]
struct Decide {
    /// The request's number
    id: i64,
    /// The word of the request as `approvals show` printed it: what is decided is what was seen
    #[arg(long, value_name = "WORD")]
    seen: String,
    /// Why, in words
    #[arg(long, default_value = "")]
    note: String,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    let context = global.existing()?;
    match &args.command {
        Command::List { decided, limit, json } => {
            let views = if *decided { list_decided(&context, ApprovalId(i64::MAX), *limit)? } else { list_waiting(&context, ApprovalId(0), *limit)? };
            if *json {
                return print::json(&views).map(|()| true);
            }
            for view in views {
                let account = view.account.as_deref().unwrap_or("several accounts");
                print::line(&format!(
                    "{} {} {account}: {}; asked for by {} on {}",
                    view.id,
                    view.amount,
                    view.subject,
                    view.asked_by,
                    local(&context, view.asked_at)
                ))?;
            }
        }
        Command::Show { id, json } => {
            let view = show(&context, ApprovalId(*id))?;
            if *json {
                return print::json(&view).map(|()| true);
            }
            print_view(&context, &view)?;
        }
        Command::Approve(args) => return verdict(&context, args, Verdict::Approve),
        Command::Reject(args) => return verdict(&context, args, Verdict::Reject),
        Command::Withdraw(args) => return verdict(&context, args, Verdict::Withdraw),
        Command::Expire => {
            let count = u64::try_from(expire_due(&context)?).unwrap_or(u64::MAX);
            print::line(&format!("{} expired", print::count(count, "request")))?;
        }
    }
    Ok(true)
}

fn word(view: &ApprovalView) -> String {
    let hash: String = view.sha256.chars().take(16).collect();
    view.position.map_or(hash.clone(), |position| format!("{hash}-{position}"))
}

/// A moment in the utility's time.
fn local(context: &Context, at: NaiveDateTime) -> impl std::fmt::Display {
    at.and_utc().with_timezone(&context.config.time_zone).format("%Y-%m-%d %H:%M")
}

fn print_view(context: &Context, view: &ApprovalView) -> Result<(), Failure> {
    let show = |amount: Option<Money>| amount.map(|amount| amount.to_string()).unwrap_or_default();
    print::line(&format!("request {}: {}", view.id, view.subject))?;
    if let Some(account) = &view.account {
        print::line(&format!("account {account}, {}", view.customer.as_deref().unwrap_or_default()))?;
        print::line(&format!("balance now {}, afterwards {}", show(view.balance), show(view.balance_after)))?;
    }
    print::line(&format!("amount {}; reason {}; note {}; reference {}", view.amount, view.reason, view.note, view.reference))?;
    let (asked_at, expires_at) = (local(context, view.asked_at), local(context, view.expires_at));
    print::line(&format!("asked for by {} on {asked_at}; expires on {expires_at}", view.asked_by))?;
    print::line(&format!("why two people: {}", view.why))?;
    if let Some(case) = view.case {
        print::line(&format!("all of it: aquabills overcharges show {case}"))?;
    }
    for share in &view.shares {
        print::line(&format!("  account {}: {}", share.account, share.amount))?;
    }
    let decided = view.decided_by.as_ref().map_or_else(String::new, |by| format!(" by {by}"));
    print::line(&format!("it is {}{decided}", format!("{:?}", view.status).to_lowercase()))?;
    print::line(&format!("word: {}", word(view)))
}

fn verdict(context: &Context, args: &Decide, verdict: Verdict) -> Result<bool, Failure> {
    let view = show(context, ApprovalId(args.id))?;
    if verdict != Verdict::Withdraw && word(&view) != args.seen {
        return Err(
            ActionError::Refused("seen: the request or the balance is not what was shown: look again with `approvals show`".to_owned()).into()
        );
    }
    let seen = Seen { sha256: view.sha256, position: view.position };
    let decided = if verdict == Verdict::Withdraw {
        decide_by(context, Channel::Name, ApprovalId(args.id), verdict, (&seen, &args.note))?
    } else {
        let proven = proof::of_actor(context)?;
        let acting = Context { actor: proven.email().to_owned(), ..context.clone() };
        decide_by(&acting, Channel::Proven(&proven), ApprovalId(args.id), verdict, (&seen, &args.note))?
    };
    if args.json {
        return print::json(&decided).map(|()| true);
    }
    let again = if decided.unchanged { " already: nothing changed" } else { "" };
    let posted = decided.posted.map_or_else(String::new, |posted| format!("; balance now {}", Money::from_cents(posted.balance_after_cents)));
    print::line(&format!("request {} is {}{again}{posted}", args.id, decided.decision))?;
    Ok(true)
}

/// What came of wanting something, in words.
pub(super) fn describe(what: &str, outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done(posted) => super::payment::describe(what, posted),
        Outcome::Permitted => format!("the {what} is permitted"),
        Outcome::Waits(waiting) => {
            let again = if waiting.unchanged { "waits already" } else { "waits" };
            format!("the {what} {again} for a second person as request {}: {}; nothing is posted yet", waiting.id, waiting.why)
        }
    }
}
