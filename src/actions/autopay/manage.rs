//! Changing a mandate: the customer pauses it, takes it up again, sets another limit or ends it; a clerk pauses or ends it with
//! a note; and it ends by itself when the account is closed and paid.

use chrono::NaiveDateTime;

use super::announce::skip_within;
use super::enrol::check_limit;
use super::{Counts, ROUND, label, state_of};
use crate::actions::account_view::{Whose, find};
use crate::actions::{ActionError, Context, notices};
use crate::clock::local_date;
use crate::db::autopay::{self as rows, MandateRow};
use crate::db::{DbConnection, customers, ledger, operations};
use crate::domain::autopay::{MandateState, SkipReason};
use crate::domain::ids::MandateId;
use crate::domain::money::Money;
use crate::domain::notices::{Addressee, AutopayPaused, Facts, NewNotice};

/// Why a mandate ends by itself.
const CLOSED: &str = "The account is closed and everything is paid.";

/// What is to become of a mandate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing is drawn until it is taken up again.
    Pause,
    /// It is taken up again.
    Resume,
    /// It is over.
    End,
    /// Above this nothing is drawn; none is any amount.
    Limit(Option<Money>),
}

impl Change {
    fn name(self) -> &'static str {
        match self {
            Self::Pause => "autopay.pause",
            Self::Resume => "autopay.resume",
            Self::End => "autopay.end",
            Self::Limit(_) => "autopay.limit",
        }
    }

    fn target(self) -> Option<MandateState> {
        match self {
            Self::Pause => Some(MandateState::Paused),
            Self::Resume => Some(MandateState::Active),
            Self::End => Some(MandateState::Ended),
            Self::Limit(_) => None,
        }
    }
}

/// Changes a customer's own mandate. The same change again changes nothing.
///
/// # Errors
/// [`ActionError::NotFound`] for an account that is not theirs, [`ActionError::Refused`] when there is no mandate that it could
/// change.
pub fn change_own(context: &Context, number: &str, whose: Whose, change: Change) -> Result<(), ActionError> {
    act(context, number, whose, change, None)
}

/// Changes a mandate for its customer, who is told.
///
/// # Errors
/// [`ActionError::NotFound`] for an unknown account, [`ActionError::Refused`] without a note, for a change that only the customer
/// makes, or when there is no mandate that it could change.
pub fn change_for(context: &Context, number: &str, change: Change, note: &str) -> Result<(), ActionError> {
    if note.trim().is_empty() {
        return Err(ActionError::Refused("note: it is empty: expected why, in words".to_owned()));
    }
    if !matches!(change, Change::Pause | Change::End) {
        return Err(ActionError::Refused("only the customer takes autopay up again or changes its limit".to_owned()));
    }
    act(context, number, Whose::Anybody, change, Some(note.trim()))
}

fn act(context: &Context, number: &str, whose: Whose, change: Change, note: Option<&str>) -> Result<(), ActionError> {
    if let Change::Limit(limit) = change {
        check_limit(limit)?;
    }
    context.database.write(|conn| {
        let head = find(conn, number, whose)?;
        ledger::lock_accounts(conn, &[head.id])?;
        let now = context.now();
        let none = || ActionError::Refused(format!("account {number} has no autopay that could be changed"));
        let latest = rows::mandates_of(conn, head.id, 1)?.into_iter().next();
        let mandate = match rows::live_mandate(conn, head.id)? {
            Some(live) => live,
            // Sent twice, the second finds it done.
            None if change == Change::End && latest.as_ref().is_some_and(|latest| latest.state == MandateState::Ended.as_str()) => return Ok(()),
            None => latest.filter(|latest| change == Change::End && latest.state == MandateState::Pending.as_str()).ok_or_else(none)?,
        };
        let changed = match change {
            Change::Limit(limit) => rows::set_limit(conn, mandate.id, limit.map(Money::cents))?,
            _ => move_within(context, conn, &mandate, change, note, now)?,
        };
        if changed > 0 {
            let detail = match change {
                Change::Limit(limit) => limit.map_or_else(|| "no limit".to_owned(), |limit| limit.to_string()),
                _ => note.unwrap_or_default().to_owned(),
            };
            operations::audit(conn, now, &context.actor, change.name(), number, &detail)?;
        }
        Ok(())
    })
}

fn move_within(
    context: &Context,
    conn: &mut DbConnection,
    mandate: &MandateRow,
    change: Change,
    note: Option<&str>,
    now: NaiveDateTime,
) -> Result<usize, ActionError> {
    let (from, Some(to)) = (state_of(mandate)?, change.target()) else { return Ok(0) };
    if from == to {
        return Ok(0);
    }
    if !from.may_become(to) {
        return Err(ActionError::Refused(format!("this autopay is {from}: it cannot become {to}")));
    }
    let words = match (note, to) {
        (Some(_), MandateState::Paused) => Some("We paused it."),
        (Some(_), _) => Some("We ended it."),
        (None, MandateState::Active) => None,
        (None, _) => Some("You asked for it."),
    };
    let moved = rows::move_mandate(conn, mandate.id, (from, to), words, now)?;
    if to == MandateState::Ended {
        end_draws(context, conn, mandate, now)?;
    }
    if let (Some(words), true) = (words.filter(|_| to != MandateState::Active), note.is_some()) {
        notices::queue(conn, context, paused_notice(context, mandate, (to == MandateState::Ended, words), now))?;
    }
    Ok(moved)
}

/// What is announced is not drawn any more.
fn end_draws(context: &Context, conn: &mut DbConnection, mandate: &MandateRow, now: NaiveDateTime) -> Result<(), ActionError> {
    for draw in rows::announced_of_mandate(conn, mandate.id)? {
        skip_within(conn, context, &draw, SkipReason::Ended, now)?;
    }
    Ok(())
}

/// The notice that bills are not drawn any more. One for each time.
pub(super) fn paused_notice(context: &Context, mandate: &MandateRow, (ended, reason): (bool, &str), now: NaiveDateTime) -> NewNotice {
    let what = if ended { "ended".to_owned() } else { format!("paused:{}", now.and_utc().timestamp_micros()) };
    NewNotice {
        key: format!("autopay:{}:{what}", mandate.id),
        to: Addressee::Account(mandate.account_id),
        happened_on: local_date(now, context.config.time_zone),
        facts: Facts::AutopayPaused(AutopayPaused { ended, method: label(mandate), reason: reason.to_owned() }),
    }
}

/// Ends the mandates of accounts that are served no longer and owe nothing.
///
/// # Errors
/// Those of the database.
pub(super) fn end_of_the_gone(context: &Context, counts: &mut Counts) -> Result<(), ActionError> {
    for id in context.database.read(|conn| rows::mandates_of_the_gone(conn, ROUND))? {
        if context.database.write(|conn| end_of_one(context, conn, id))? {
            counts.ended += 1;
        }
    }
    Ok(())
}

fn end_of_one(context: &Context, conn: &mut DbConnection, id: MandateId) -> Result<bool, ActionError> {
    let Some(seen) = rows::mandate_by_id(conn, id)? else { return Ok(false) };
    ledger::lock_accounts(conn, &[seen.account_id])?;
    let Some(mandate) = rows::mandate_by_id(conn, id)? else { return Ok(false) };
    let (now, from) = (context.now(), state_of(&mandate)?);
    // Looked at again under the lock: somebody may have moved in, or been billed.
    let owes = ledger::position(conn, mandate.account_id)?.balance > Money::ZERO;
    if !matches!(from, MandateState::Active | MandateState::Paused) || owes || !crate::db::billing::is_gone(conn, mandate.account_id)? {
        return Ok(false);
    }
    rows::move_mandate(conn, id, (from, MandateState::Ended), Some(CLOSED), now)?;
    end_draws(context, conn, &mandate, now)?;
    let number = customers::account_number(conn, mandate.account_id)?;
    operations::audit(conn, now, &context.actor, "autopay.end", &number, CLOSED)?;
    notices::queue(conn, context, paused_notice(context, &mandate, (true, CLOSED), now))?;
    Ok(true)
}
