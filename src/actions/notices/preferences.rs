//! What a person wants to be told by e-mail, and whether bills come on paper.

use serde::Serialize;

use crate::actions::{ActionError, Context};
use crate::db::{DbConnection, notices as rows, operations};
use crate::domain::ids::PersonId;
use crate::domain::notices::NoticeKind;

/// One kind of notice and whether it is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Preference {
    /// The kind: one that can be switched off.
    pub kind: NoticeKind,
    /// Whether it is sent.
    pub wanted: bool,
}

/// What a person wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Preferences {
    /// Every kind that can be switched off, in the order of a form.
    pub kinds: Vec<Preference>,
    /// Whether no bills come on paper.
    pub paperless: bool,
}

/// What a person wants to be told; what they never decided is wanted.
///
/// # Errors
/// [`ActionError::NotFound`] for an unknown person.
pub fn preferences(context: &Context, person: PersonId) -> Result<Preferences, ActionError> {
    context.database.snapshot(|conn| load(conn, person))
}

/// Changes what a person wants to be told. Only what differs is written, with one line in the audit trail.
///
/// # Errors
/// [`ActionError::NotFound`] for an unknown person, [`ActionError::Refused`] for a kind that cannot be switched off.
pub fn set_preferences(context: &Context, person: PersonId, wanted: &Preferences) -> Result<(), ActionError> {
    if let Some(fixed) = wanted.kinds.iter().find(|preference| !preference.wanted && !preference.kind.can_be_switched_off()) {
        return Err(ActionError::Refused(format!("{}: this notice cannot be switched off: it protects the account", fixed.kind)));
    }
    let now = context.now();
    context.database.write(|conn| {
        let before = load(conn, person)?;
        let mut changes = Vec::new();
        for preference in &wanted.kinds {
            if before.kinds.iter().any(|old| old.kind == preference.kind && old.wanted != preference.wanted) {
                rows::set_preference(conn, person, preference.kind.as_str(), preference.wanted)?;
                changes.push(format!("{} {}", preference.kind, if preference.wanted { "on" } else { "off" }));
            }
        }
        if before.paperless != wanted.paperless {
            rows::set_paperless(conn, person, wanted.paperless)?;
            changes.push(format!("paperless {}", if wanted.paperless { "on" } else { "off" }));
        }
        if !changes.is_empty() {
            operations::audit(conn, now, &context.actor, "notices.preferences", &format!("person:{person}"), &changes.join(", "))?;
        }
        Ok(())
    })
}

fn load(conn: &mut DbConnection, person: PersonId) -> Result<Preferences, ActionError> {
    let paperless = rows::paperless(conn, person)?.ok_or_else(|| ActionError::not_found("person", person.to_string()))?;
    let stored = rows::preferences(conn, person)?;
    let wanted = |kind: NoticeKind| stored.iter().find(|(name, _)| name == kind.as_str()).is_none_or(|(_, wanted)| *wanted);
    Ok(Preferences { kinds: NoticeKind::SWITCHABLE.map(|kind| Preference { kind, wanted: wanted(kind) }).to_vec(), paperless })
}
