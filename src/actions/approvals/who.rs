//! Who acts: the person behind a sign-in, and what that person gave before.

use std::collections::BTreeMap;

use chrono::NaiveDateTime;

use crate::actions::{ActionError, sign_in};
use crate::db::DbConnection;
use crate::db::approvals as rows;
use crate::db::sign_in::{LoginRow, login_by_email};
use crate::domain::approvals::{name_key, person_key};
use crate::domain::ids::AccountId;
use crate::domain::money::Money;
use crate::domain::roles::Role;

/// Credits with these reasons are given by the program, not by a person.
const BY_PROGRAM: [&str; 3] = ["late-fee-taken-back", "deposit-applied", "deposit-interest"];

/// Somebody who acts.
#[derive(Debug, Clone)]
pub(super) struct Who {
    /// As they call themselves.
    pub by: String,
    /// Who that is, whatever the sign-in.
    pub person: String,
    /// The name, however it is written.
    pub name: String,
    /// The sign-in, when there is one.
    pub login: Option<LoginRow>,
}

/// Who an actor is.
pub(super) fn who_is(conn: &mut DbConnection, actor: &str) -> Result<Who, ActionError> {
    let login = login_by_email(conn, &sign_in::plain_email(actor))?;
    let person = person_key(actor);
    let called = login.as_ref().map_or(actor, |login| login.name.as_str());
    let name = Some(name_key(called)).filter(|name| !name.is_empty()).unwrap_or_else(|| person.clone());
    let by = login.as_ref().map_or_else(|| actor.to_owned(), |login| login.email.clone());
    Ok(Who {
        by,
        person: if person.is_empty() { "nobody".to_owned() } else { person },
        name: if name.is_empty() { "nobody".to_owned() } else { name },
        login,
    })
}

impl Who {
    /// Whether this is somebody of the utility who may sign in.
    pub(super) fn is_staff(&self) -> bool {
        self.role().is_some_and(Role::is_staff)
    }

    /// The role of a sign-in that is not disabled.
    pub(super) fn role(&self) -> Option<Role> {
        self.login.as_ref().filter(|login| login.disabled_at.is_none()).and_then(|login| login.role.parse().ok())
    }

    /// Whether two are one person: the same address, or the same name. Nobody knows who stands behind names that are no sign-ins:
    /// they count as one.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.person == other.person || self.name == other.name || (self.login.is_none() && other.login.is_none())
    }
}

/// What somebody gave an account since a moment without another's approval: credits, or refunds. Whoever is the same person as
/// somebody who is the same person counts, too.
pub(super) fn given_by(conn: &mut DbConnection, account: AccountId, since: NaiveDateTime, who: &Who, refunds: bool) -> Result<Money, ActionError> {
    let mut givers: BTreeMap<String, (Who, Vec<Money>)> = BTreeMap::new();
    for given in rows::given_since(conn, account, since)? {
        let amount = Money::from_cents(given.amount_cents);
        let size = match (refunds, given.reason_code.as_str()) {
            (true, "refund") => amount,
            (true, _) => Money::ZERO,
            (false, code) if BY_PROGRAM.contains(&code) => Money::ZERO,
            (false, _) => -amount,
        };
        if !size.is_positive() {
            continue;
        }
        if let Some((_, sizes)) = givers.get_mut(&given.entered_by) {
            sizes.push(size);
        } else {
            let giver = who_is(conn, &given.entered_by)?;
            givers.insert(given.entered_by, (giver, vec![size]));
        }
    }
    let mut same = vec![who.clone()];
    let mut others: Vec<(Who, Vec<Money>)> = givers.into_values().collect();
    let mut theirs = Vec::new();
    while let Some(at) = others.iter().position(|(giver, _)| same.iter().any(|known| known.is(giver))) {
        let (giver, sizes) = others.swap_remove(at);
        same.push(giver);
        theirs.extend(sizes);
    }
    Money::checked_sum(theirs).ok_or_else(|| ActionError::Refused("amount: it is too large".to_owned()))
}
