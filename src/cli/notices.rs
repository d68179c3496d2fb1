//! `aquabills notices`: sends what is queued, shows what was sent, records addresses that refuse.

use std::time::Duration;

use clap::Subcommand;

use super::print;
use super::{Failure, Global};
use crate::actions::Context;
use crate::actions::notices::deliver::{self, Counts};
use crate::actions::notices::{NoticeFilter, clear_bounce, list, record_bounce};
use crate::domain::ids::NoticeId;
use crate::domain::notices::{NoticeKind, NoticeStatus};
use crate::jobs::mailer::Round;

/// Sends notices, lists what was sent, records addresses that refuse.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Sends what is due now (`serve` does so by itself)
    Send {
        /// Goes on until nothing waits any more
        #[arg(long)]
        wait: bool,
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Lists notices, newest first
    List {
        /// Of this account
        #[arg(long, value_name = "NUMBER")]
        account: Option<String>,
        /// To this address
        #[arg(long, value_name = "ADDRESS")]
        to: Option<String>,
        /// In this status: queued, sending, sent, bounced, `given_up`, suppressed
        #[arg(long)]
        status: Option<NoticeStatus>,
        /// Of this kind: `bill_ready`, `payment_received`, …
        #[arg(long)]
        kind: Option<NoticeKind>,
        /// Only those before this one
        #[arg(long, value_name = "ID")]
        before: Option<i64>,
        /// How many
        #[arg(long, default_value_t = 50)]
        limit: i64,
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Records that mail to an address came back: nothing more is sent there
    Bounce {
        /// The address
        address: String,
        /// Why
        #[arg(long, default_value = "a message came back")]
        reason: String,
        /// Takes the address off the list instead
        #[arg(long)]
        clear: bool,
    },
}

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    let context = global.existing()?;
    match &args.command {
        Command::Send { wait, json } => send(&context, *wait, *json),
        Command::List { account, to, status, kind, before, limit, json } => {
            let filter = NoticeFilter { account: account.clone(), recipient: to.clone(), status: *status, kind: *kind };
            show(&context, &filter, before.map(NoticeId), (*limit).clamp(1, 10_000), *json)
        }
        Command::Bounce { address, clear: true, .. } => {
            clear_bounce(&context, address)?;
            print::line(&format!("{address} is off the list: notices are sent there again"))?;
            Ok(true)
        }
        Command::Bounce { address, reason, .. } => {
            let new = record_bounce(&context, address, reason)?;
            let known = if new { "" } else { " (that was known)" };
            print::line(&format!("nothing more is sent to {address}{known}"))?;
            Ok(true)
        }
    }
}

/// `true` when nothing failed for good.
fn send(context: &Context, wait: bool, json: bool) -> Result<bool, Failure> {
    let Some(mut round) = Round::open(context)? else {
        return Err(Failure::No("mail.transport is off: notices stay queued; set it to folder or smtp".to_owned()));
    };
    let mut total = Counts::default();
    let waiting = loop {
        let counts = round.send_due(&|| false)?;
        total = sum(total, counts);
        let (waiting, next) = deliver::waiting(context)?;
        if !wait || waiting == 0 {
            break waiting;
        }
        let poll = Duration::from_secs(u64::from(context.config.mail.poll_seconds));
        let until_next = next.and_then(|next| (next - context.now()).to_std().ok()).unwrap_or(Duration::from_millis(100));
        std::thread::sleep(until_next.clamp(Duration::from_millis(20), poll));
    };
    if json {
        print::json(&serde_json::json!({ "counts": total, "waiting": waiting }))?;
    } else {
        print::line(&format!(
            "{} sent, {} postponed, {} unanswered, {} bounced, {} given up, {} suppressed; {waiting} waiting",
            total.sent, total.postponed, total.unanswered, total.bounced, total.given_up, total.suppressed
        ))?;
    }
    Ok(total.bounced == 0 && total.given_up == 0)
}

fn sum(a: Counts, b: Counts) -> Counts {
    Counts {
        sent: a.sent + b.sent,
        postponed: a.postponed + b.postponed,
        unanswered: a.unanswered + b.unanswered,
        bounced: a.bounced + b.bounced,
        given_up: a.given_up + b.given_up,
        suppressed: a.suppressed + b.suppressed,
    }
}

fn show(context: &Context, filter: &NoticeFilter, before: Option<NoticeId>, limit: i64, json: bool) -> Result<bool, Failure> {
    let notices = list(context, filter, before, limit)?;
    if json {
        print::json(&serde_json::json!({ "notices": notices }))?;
        return Ok(true);
    }
    for notice in notices {
        let why = notice.last_error.map(|why| format!("  {why}")).unwrap_or_default();
        print::line(&format!(
            "{:>8}  {}  {:<10}  {:<21}  {:<12}  {}{why}",
            notice.id,
            notice.created_at.and_utc().with_timezone(&context.config.time_zone).format("%Y-%m-%d %H:%M"),
            notice.status.as_str(),
            notice.kind.as_str(),
            notice.account.unwrap_or_default(),
            notice.recipient
        ))?;
    }
    Ok(true)
}
