//! Delivery: how a notice gets from queued to settled, whoever dies on the way.
//!
//! ```text
//! queued ──claim──► queued, claimed ──hand_over──► sending ──settle──► sent
//!    ▲                     │                          │              bounced, given_up, suppressed
//!    └──── failed: later ──┴──────────────────────────┘
//! ```
//!
//! A claim names its holder and ends by itself: a row is claimed by a conditional update, so two programs never hold the
//! same one. Before a message is handed to the server, [`hand_over`] is committed: the row must still be the holder's and is
//! `sending` from then on. So a successor knows what it finds:
//!
//! - `queued` with a claim that ran out: nothing was handed over. It is sent as if nothing had been.
//! - `sending` with a claim that ran out: the holder ended between handing over and the answer. Nobody can know whether
//!   the server has it; it is sent again, under the same Message-ID, and the audit trail says so (`notice.unanswered`). Why
//!   this and not the other way round is told in the documentation of `mail`.
//!
//! A claim outlasts every timeout of its holder's connection; only a holder that was frozen for longer between the two
//! steps (a suspended machine) could still hand over what a successor sent: the same copy, under the same Message-ID.
//!
//! A holder that ended on this machine is succeeded at once, another one when its claim runs out.

use chrono::{NaiveDateTime, TimeDelta};
use rand::Rng;
use serde::Serialize;

use crate::actions::lease::{is_dead, this_process};
use crate::actions::{ActionError, Context};
use crate::db::notices::{self as rows, NoticeRow, Settlement};
use crate::db::{DbConnection, operations};
use crate::domain::ids::NoticeId;
use crate::domain::notices::{Facts, Letter, NoticeKind, NoticeStatus, OLDEST_NEWS_DAYS, Outcome};
use crate::domain::retry::{HORIZON_HOURS, Retry, retry};
use crate::telemetry::metrics::{self, Area};

/// What a claim allows for besides the server's own time.
const MARGIN_SECONDS: i64 = 60;
/// No more of an answer is kept.
const LONGEST_REASON: usize = 500;

/// Names whoever claims notices: this process, and one of its mailers.
#[must_use]
pub fn new_holder() -> String {
    format!("{}#{:08x}", this_process(), rand::rng().random::<u32>())
}

/// A letter that is ours to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The letter.
    pub letter: Letter,
    /// How often it was tried before.
    pub attempts: i32,
}

/// What became of letters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Taken by the server.
    pub sent: u64,
    /// Not taken this time: tried again later.
    pub postponed: u64,
    /// Handed over without an answer: tried again later, under the same Message-ID.
    pub unanswered: u64,
    /// Refused for good.
    pub bounced: u64,
    /// Given up after trying for too long.
    pub given_up: u64,
    /// Not sent, because there is no point any more.
    pub suppressed: u64,
}

/// Prepares for sending: takes over from holders that are no more, and sets aside what is news no longer (notices that
/// waited while nothing was sent at all).
///
/// # Errors
/// Those of the database.
pub fn prepare(context: &Context) -> Result<(), ActionError> {
    let cutoff = context.now() - TimeDelta::days(OLDEST_NEWS_DAYS);
    for holder in context.database.read(rows::claimers)? {
        if is_dead(holder.split('#').next().unwrap_or_default()) {
            context.database.write(|conn| rows::release_claims(conn, &holder).map_err(ActionError::from))?;
        }
    }
    let old = context.database.write(|conn| rows::suppress_older(conn, cutoff, "it is too old to be news").map_err(ActionError::from))?;
    if old > 0 {
        log::info!("{old} notices waited for more than {OLDEST_NEWS_DAYS} days: they are not sent any more");
    }
    Ok(())
}

/// Claims letters that are due. Those that need no sending any more are settled here, and counted.
///
/// # Errors
/// Those of the database.
pub fn claim(context: &Context, holder: &str, counts: &mut Counts) -> Result<Vec<Claimed>, ActionError> {
    let mail = &context.config.mail;
    let (letters, settled) = context.database.write(|conn| {
        let mut settled = Counts::default();
        let now = context.now();
        // Enough for the letters before it in the batch: each is asked for again before it is handed over.
        let until = now + TimeDelta::seconds(i64::from(mail.timeout_seconds) * 4 + MARGIN_SECONDS);
        let found = rows::claim(conn, holder, now, until, i64::from(mail.batch))?;
        let addresses: Vec<String> = found.iter().map(|(row, _)| row.recipient.trim().to_lowercase()).collect();
        let bounced = rows::bounced_among(conn, &addresses.iter().map(String::as_str).collect::<Vec<_>>())?;
        let mut letters = Vec::new();
        for (row, account) in found {
            let claimed = look_over(context, conn, &row, account, &bounced, now)?;
            match claimed {
                Ok(claimed) => letters.push(claimed),
                Err((status, reason)) => {
                    close(context, conn, holder, &row, status, &reason)?;
                    count(&mut settled, status);
                }
            }
        }
        Ok::<_, ActionError>((letters, settled))
    })?;
    counts.bounced += settled.bounced;
    counts.given_up += settled.given_up;
    counts.suppressed += settled.suppressed;
    Ok(letters)
}

/// Why a notice is settled without being sent.
type NotSent = (NoticeStatus, String);

fn look_over(
    context: &Context,
    conn: &mut DbConnection,
    row: &NoticeRow,
    account: Option<String>,
    bounced: &[String],
    now: NaiveDateTime,
) -> Result<Result<Claimed, NotSent>, ActionError> {
    let mut attempts = row.attempts;
    if row.status == NoticeStatus::Sending.as_str() {
        let note = "it was handed over and nobody waited for the answer; it is sent again under the same Message-ID";
        rows::begin_again(conn, row.id, note)?;
        operations::audit(
            conn,
            now,
            &context.actor,
            "notice.unanswered",
            account.as_deref().unwrap_or(&row.recipient),
            &format!("notice {}: {note}", row.id),
        )?;
        attempts += 1;
    }
    let facts: Facts = match serde_json::from_str(&row.facts) {
        Ok(facts) => facts,
        Err(error) => return Ok(Err((NoticeStatus::GivenUp, format!("its facts cannot be read: {error}")))),
    };
    if matches!(&facts, Facts::PasswordLink(link) if link.expires_at <= now) {
        return Ok(Err((NoticeStatus::Suppressed, "the link ended before it could be sent".to_owned())));
    }
    if facts.kind() != NoticeKind::PasswordLink && bounced.contains(&row.recipient.trim().to_lowercase()) {
        return Ok(Err((NoticeStatus::Bounced, "the address refused mail for good before".to_owned())));
    }
    let letter = Letter {
        id: row.id,
        message_id: row.message_id.clone(),
        created_at: row.created_at,
        recipient: row.recipient.clone(),
        recipient_name: row.recipient_name.clone(),
        account,
        facts,
    };
    Ok(Ok(Claimed { letter, attempts }))
}

/// Settles a notice that is not sent.
fn close(context: &Context, conn: &mut DbConnection, holder: &str, row: &NoticeRow, status: NoticeStatus, reason: &str) -> Result<(), ActionError> {
    let now = context.now();
    let facts = serde_json::from_str::<Facts>(&row.facts).ok().as_ref().and_then(Facts::without_secret);
    let to = Settlement {
        status: status.as_str(),
        attempts: row.attempts,
        next_attempt_at: row.next_attempt_at,
        sent_at: None,
        last_error: Some(reason.to_owned()),
        facts: facts.as_ref().map(text).transpose()?,
    };
    rows::settle(conn, row.id, Some(holder), &to)?;
    if status == NoticeStatus::GivenUp {
        operations::audit(conn, now, &context.actor, "notice.given_up", &row.recipient, &format!("notice {}: {reason}", row.id))?;
    }
    Ok(())
}

/// Commits that a letter is being handed over now; false when it is not ours any more. The claim lasts as long as the
/// server may take.
///
/// # Errors
/// Those of the database.
pub fn hand_over(context: &Context, holder: &str, id: NoticeId) -> Result<bool, ActionError> {
    let mail = &context.config.mail;
    let patience = TimeDelta::seconds(i64::from(mail.timeout_seconds) + i64::from(mail.accept_timeout_seconds) + MARGIN_SECONDS);
    context.database.write(|conn| {
        let now = context.now();
        Ok(rows::hand_over(conn, id, holder, now, now + patience)?)
    })
}

/// Gives back what was claimed and not touched.
///
/// # Errors
/// Those of the database.
pub fn release(context: &Context, holder: &str) -> Result<(), ActionError> {
    context.database.write(|conn| rows::release_claims(conn, holder).map(|_| ()).map_err(ActionError::from))
}

/// Settles a letter by what became of it, and counts.
///
/// # Errors
/// Those of the database.
pub fn settle(context: &Context, holder: &str, claimed: &Claimed, outcome: &Outcome, counts: &mut Counts) -> Result<(), ActionError> {
    let letter = &claimed.letter;
    let luck = rand::rng().random::<u64>();
    let verdict = context.database.write(|conn| {
        let now = context.now();
        let Some((status, to)) = verdict(claimed, outcome, now, luck)? else { return Ok(None) };
        // What was sent is sent, whoever holds it by now.
        let holder = (status != NoticeStatus::Sent).then_some(holder);
        if !rows::settle(conn, letter.id, holder, &to)? {
            return Ok(None);
        }
        let address = letter.recipient.trim().to_lowercase();
        let reason = to.last_error.as_deref().unwrap_or_default();
        let subject = letter.account.as_deref().unwrap_or(&address);
        match outcome {
            Outcome::Accepted if letter.facts.kind() == NoticeKind::PasswordLink => {
                rows::forget_bounce(conn, &address)?;
            }
            Outcome::Refused { address: to_blame, .. } => {
                if *to_blame {
                    rows::remember_bounce(conn, &address, now, reason)?;
                }
                operations::audit(conn, now, &context.actor, "notice.bounced", subject, &format!("notice {} to {address}: {reason}", letter.id))?;
            }
            Outcome::Unknown { .. } => {
                operations::audit(conn, now, &context.actor, "notice.unanswered", subject, &format!("notice {}: {reason}", letter.id))?;
            }
            _ => {}
        }
        if status == NoticeStatus::GivenUp {
            operations::audit(conn, now, &context.actor, "notice.given_up", subject, &format!("notice {} to {address}: {reason}", letter.id))?;
        }
        Ok::<_, ActionError>(Some(status))
    })?;
    if verdict == Some(NoticeStatus::Queued) {
        metrics::retried(Area::Notices);
    }
    match (verdict, outcome) {
        (Some(NoticeStatus::Queued), Outcome::Unknown { .. }) => counts.unanswered += 1,
        (Some(status), _) => count(counts, status),
        (None, _) => {}
    }
    Ok(())
}

/// What an outcome means for a letter; nothing when it is somebody else's.
fn verdict(claimed: &Claimed, outcome: &Outcome, now: NaiveDateTime, luck: u64) -> Result<Option<(NoticeStatus, Settlement)>, ActionError> {
    let letter = &claimed.letter;
    let attempts = claimed.attempts + 1;
    let tried = u32::try_from(attempts).unwrap_or(1);
    let (status, next, reason) = match outcome {
        Outcome::Superseded => return Ok(None),
        Outcome::Accepted => (NoticeStatus::Sent, now, None),
        Outcome::Refused { reason, .. } => (NoticeStatus::Bounced, now, Some(reason.clone())),
        Outcome::Failed { reason, .. } | Outcome::Unknown { reason } => match retry(letter.created_at, now, tried, luck) {
            Retry::At(next) => (NoticeStatus::Queued, next, Some(reason.clone())),
            Retry::GiveUp => (NoticeStatus::GivenUp, now, Some(format!("tried for {HORIZON_HOURS} hours: {reason}"))),
        },
    };
    let reason = match outcome {
        Outcome::Unknown { .. } => reason.map(|reason| format!("handed over, no answer, so perhaps it arrived: {reason}")),
        _ => reason,
    };
    let bare = if status == NoticeStatus::Queued { None } else { letter.facts.without_secret() };
    let to = Settlement {
        status: status.as_str(),
        attempts,
        next_attempt_at: next,
        sent_at: (status == NoticeStatus::Sent).then_some(now),
        last_error: reason.map(|reason| reason.chars().take(LONGEST_REASON).collect()),
        facts: bare.as_ref().map(text).transpose()?,
    };
    Ok(Some((status, to)))
}

fn text(facts: &Facts) -> Result<String, ActionError> {
    serde_json::to_string(facts).map_err(|error| ActionError::Form(error.to_string()))
}

fn count(counts: &mut Counts, status: NoticeStatus) {
    let counter = match status {
        NoticeStatus::Sent => &mut counts.sent,
        NoticeStatus::Queued | NoticeStatus::Sending => &mut counts.postponed,
        NoticeStatus::Bounced => &mut counts.bounced,
        NoticeStatus::GivenUp => &mut counts.given_up,
        NoticeStatus::Suppressed => &mut counts.suppressed,
    };
    *counter += 1;
}

/// How many notices wait, and when the first of them may be sent, UTC.
///
/// # Errors
/// Those of the database.
pub fn waiting(context: &Context) -> Result<(i64, Option<NaiveDateTime>), ActionError> {
    Ok(context.database.snapshot(rows::waiting)?)
}
