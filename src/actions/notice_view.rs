//! One notice as a page shows it: its letter, without the link that must stay secret.

use super::notices::{NoticeView, list::view_of};
use super::{ActionError, Context};
use crate::db::notices::{self as rows, NoticeRow, Wanted};
use crate::domain::ids::NoticeId;
use crate::domain::notices::{Facts, Letter};

/// What stands where a secret link stood.
const WITHHELD: &str = "/(a link that only its receiver may see)";

fn find(context: &Context, id: NoticeId) -> Result<(NoticeRow, Option<String>), ActionError> {
    let before = NoticeId(id.0.saturating_add(1));
    let found = context.database.read(|conn| rows::page(conn, &Wanted::default(), before, 1))?;
    found.into_iter().find(|(row, _)| row.id == id).ok_or_else(|| ActionError::not_found("notice", id.to_string()))
}

/// One notice.
///
/// # Errors
/// [`ActionError::NotFound`] when there is none.
pub fn show_notice(context: &Context, id: NoticeId) -> Result<NoticeView, ActionError> {
    view_of(find(context, id)?)
}

/// What a notice's text is made of, without what is secret.
///
/// # Errors
/// [`ActionError::NotFound`] when there is none, or that its facts cannot be read.
pub fn letter(context: &Context, id: NoticeId) -> Result<Letter, ActionError> {
    let (row, account) = find(context, id)?;
    let facts: Facts = serde_json::from_str(&row.facts).map_err(|error| ActionError::Form(format!("a stored notice cannot be read: {error}")))?;
    let facts = match facts {
        Facts::PasswordLink(link) => Facts::PasswordLink(crate::domain::notices::PasswordLink { path: WITHHELD.to_owned(), ..link }),
        other => other,
    };
    Ok(Letter {
        id: row.id,
        message_id: row.message_id,
        created_at: row.created_at,
        recipient: row.recipient,
        recipient_name: row.recipient_name,
        account,
        facts,
    })
}
