//! The page of notices: what was sent, what waits, what was refused and why. Never what is secret in them.

use chrono::NaiveDateTime;
use serde::Serialize;

use crate::actions::{ActionError, Context};
use crate::db::notices::{self as rows, Wanted};
use crate::domain::ids::NoticeId;
use crate::domain::notices::{NoticeKind, NoticeStatus};

/// Which notices; nothing set is all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NoticeFilter {
    /// Of this account, by number.
    pub account: Option<String>,
    /// To this address.
    pub recipient: Option<String>,
    /// In this status.
    pub status: Option<NoticeStatus>,
    /// Of this kind.
    pub kind: Option<NoticeKind>,
}

/// A notice as a page shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NoticeView {
    /// Identity.
    pub id: NoticeId,
    /// What it is about.
    pub kind: NoticeKind,
    /// The same, for people.
    pub title: &'static str,
    /// The account's number, when it is about one.
    pub account: Option<String>,
    /// The address.
    pub recipient: String,
    /// The name.
    pub recipient_name: String,
    /// Where it stands.
    pub status: NoticeStatus,
    /// How often it was tried.
    pub attempts: i32,
    /// When it was queued, UTC.
    pub created_at: NaiveDateTime,
    /// When it is tried next, UTC, while it waits.
    pub next_attempt_at: Option<NaiveDateTime>,
    /// When the server took it, UTC.
    pub sent_at: Option<NaiveDateTime>,
    /// Why it was not sent, or not at once.
    pub last_error: Option<String>,
    /// What the receiver knows it by.
    pub message_id: String,
}

/// A page of notices, newest first: those before the notice `after` (from the newest without one), at most `limit`.
///
/// # Errors
/// [`ActionError::NotFound`] for an unknown account, or those of the database.
pub fn list(context: &Context, filter: &NoticeFilter, after: Option<NoticeId>, limit: i64) -> Result<Vec<NoticeView>, ActionError> {
    context.database.snapshot(|conn| {
        let account = match &filter.account {
            Some(number) => {
                let found = crate::db::customers::account_by_number(conn, number)?;
                Some(found.ok_or_else(|| ActionError::not_found("account", number))?.id)
            }
            None => None,
        };
        let wanted = Wanted {
            account,
            recipient: filter.recipient.clone(),
            status: filter.status.map(NoticeStatus::as_str),
            kind: filter.kind.map(NoticeKind::as_str),
        };
        rows::page(conn, &wanted, after.unwrap_or(NoticeId(i64::MAX)), limit)?.into_iter().map(view_of).collect()
    })
}

/// A stored notice as a page shows it.
pub(in crate::actions) fn view_of((row, account): (rows::NoticeRow, Option<String>)) -> Result<NoticeView, ActionError> {
    let kind: NoticeKind = row.kind.parse().map_err(ActionError::Form)?;
    let status: NoticeStatus = row.status.parse().map_err(ActionError::Form)?;
    let waits = matches!(status, NoticeStatus::Queued | NoticeStatus::Sending);
    Ok(NoticeView {
        id: row.id,
        kind,
        title: kind.title(),
        account,
        recipient: row.recipient,
        recipient_name: row.recipient_name,
        status,
        attempts: row.attempts,
        created_at: row.created_at,
        next_attempt_at: waits.then_some(row.next_attempt_at),
        sent_at: row.sent_at,
        last_error: row.last_error,
        message_id: row.message_id,
    })
}
