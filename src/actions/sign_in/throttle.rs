//! How often something may be guessed at: counted in the database before it is checked.
//!
//! Every attempt counts as a failure until it is known to be none. So a thousand guesses at once on several servers are
//! a thousand counted guesses, and all but the first few find the subject blocked and are not checked at all.

use chrono::{Duration, NaiveDateTime};

use super::token_hash;
use crate::actions::{ActionError, Context};
use crate::db::{DbConnection, operations, sign_in};
use crate::domain::ids::LoginId;

/// The block after the first failure that is not free; it doubles with each.
const FIRST_BLOCK_SECONDS: i64 = 10;
/// No block is longer.
const LONGEST_BLOCK_SECONDS: i64 = 15 * 60;
/// Failures are forgotten a day after the first.
pub(super) const FORGOTTEN_HOURS: i64 = 24;

/// What came of something that can be guessed.
#[derive(Debug)]
pub enum Attempt<T> {
    /// It was right.
    Accepted(T),
    /// It was not.
    Wrong,
    /// There were too many wrong ones: this one was not looked at.
    Blocked {
        /// Until when none is looked at, UTC.
        until: NaiveDateTime,
    },
}

/// What is guessed at, or who guesses.
#[derive(Debug, Clone, Copy)]
pub(in crate::actions) enum Subject<'a> {
    /// The password of an address.
    Address(&'a str),
    /// A client, at any password. Many people may share an address behind a router: they have more free failures.
    Client(&'a str),
    /// The second factor of a sign-in.
    Factor(LoginId),
    /// Mails with links to an address.
    LinksTo(&'a str),
    /// Mails with links for a client.
    LinksFor(&'a str),
    /// The postcode of an account, whose bill somebody pays without signing in.
    Postcode(&'a str),
    /// A client, at any account's postcode.
    PostcodesFor(&'a str),
    /// Payments that a client begins without signing in.
    PaymentsFor(&'a str),
    /// Payments that somebody begins who is signed in.
    PaymentsOf(LoginId),
}

impl Subject<'_> {
    /// The key of its row. Addresses are hashed: what is typed there may be a password.
    fn key(self) -> String {
        match self {
            Self::Address(email) => format!("address:{}", token_hash(email)),
            Self::Client(client) => format!("client:{client}"),
            Self::Factor(login) => format!("factor:{login}"),
            Self::LinksTo(email) => format!("links-to:{}", token_hash(email)),
            Self::LinksFor(client) => format!("links-for:{client}"),
            Self::Postcode(account) => format!("postcode:{}", token_hash(account)),
            Self::PostcodesFor(client) => format!("postcodes-for:{client}"),
            Self::PaymentsFor(client) => format!("payments-for:{client}"),
            Self::PaymentsOf(login) => format!("payments-of:{login}"),
        }
    }

    /// Failures before the first block.
    fn free(self) -> i32 {
        match self {
            Self::Address(_) | Self::Factor(_) | Self::LinksTo(_) | Self::Postcode(_) => 5,
            Self::Client(_) | Self::LinksFor(_) | Self::PostcodesFor(_) => 20,
            // A family shares an address, and so does a whole town behind a telephone company's router.
            Self::PaymentsFor(_) | Self::PaymentsOf(_) => 50,
        }
    }

    /// How long nothing is looked at after so many failures.
    fn block(self, failures: i32) -> Option<Duration> {
        let beyond = u32::try_from(failures - self.free()).ok()?;
        let seconds = FIRST_BLOCK_SECONDS << beyond.min(16);
        Some(Duration::seconds(seconds.min(LONGEST_BLOCK_SECONDS)))
    }
}

/// Counts an attempt at all of these; the end of the block when one of them is blocked, and then none is counted.
pub(in crate::actions) fn count(context: &Context, subjects: &[Subject<'_>]) -> Result<Option<NaiveDateTime>, ActionError> {
    let now = context.now();
    context.database.write(|conn| {
        let mut counted = Vec::new();
        for subject in subjects {
            let forgotten = now - Duration::hours(FORGOTTEN_HOURS);
            let Some(failures) = sign_in::count_attempt(conn, &subject.key(), now, forgotten)? else {
                for (subject, _) in counted {
                    sign_in::uncount_attempt(conn, &Subject::key(subject))?;
                }
                return write_down_block(conn, now, *subject).map(Some);
            };
            counted.push((*subject, failures));
        }
        for (subject, failures) in counted {
            if let Some(block) = subject.block(failures) {
                sign_in::block(conn, &subject.key(), Some(now + block))?;
            }
        }
        Ok(None)
    })
}

/// Writes a block into the audit trail, once for each; returns its end.
fn write_down_block(conn: &mut DbConnection, now: NaiveDateTime, subject: Subject<'_>) -> Result<NaiveDateTime, ActionError> {
    const ACTION: &str = "sign_in.blocked";
    const ACTOR: &str = "nobody";
    let (until, since) = sign_in::block_of(conn, &subject.key())?.unwrap_or((now, now));
    let login = match subject {
        Subject::Address(email) | Subject::LinksTo(email) => sign_in::login_by_email(conn, email)?,
        Subject::Factor(id) | Subject::PaymentsOf(id) => sign_in::login(conn, id)?,
        Subject::Client(_) | Subject::LinksFor(_) | Subject::Postcode(_) | Subject::PostcodesFor(_) | Subject::PaymentsFor(_) => None,
    };
    let name = match subject {
        Subject::Client(client) | Subject::LinksFor(client) | Subject::PostcodesFor(client) | Subject::PaymentsFor(client) => {
            format!("client {client}")
        }
        Subject::Postcode(_) => "the postcode of an account".to_owned(),
        _ => login.map_or_else(|| "an address that is not known".to_owned(), |login| login.email),
    };
    if !sign_in::audited_since(conn, ACTOR, ACTION, &name, since)? {
        operations::audit(conn, now, ACTOR, ACTION, &name, &format!("too many attempts, until {}", until.format("%Y-%m-%d %H:%M:%S UTC")))?;
    }
    Ok(until)
}

/// The attempt was right: what was guessed at is forgotten, the client only gets this attempt back, so that a right
/// password of one's own does not free the way for guesses at others'.
pub(in crate::actions) fn accepted(conn: &mut DbConnection, subjects: &[Subject<'_>]) -> Result<(), ActionError> {
    for subject in subjects {
        let key = subject.key();
        if matches!(subject, Subject::Client(_) | Subject::PostcodesFor(_)) {
            sign_in::uncount_attempt(conn, &key)?;
            // Its own count may have begun a block; an earlier one had ended, or the attempt had not been looked at.
            sign_in::block(conn, &key, None)?;
        } else {
            sign_in::forget_failures(conn, &key)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_double_up_to_a_quarter_of_an_hour() {
        let blocks: Vec<i64> = (1..=14).map(|failures| Subject::Address("a").block(failures).map_or(0, |block| block.num_seconds())).collect();
        assert_eq!(blocks, [0, 0, 0, 0, 10, 20, 40, 80, 160, 320, 640, 900, 900, 900]);
        assert_eq!(Subject::Client("c").block(19), None);
        assert_eq!(Subject::Factor(LoginId(1)).block(i32::MAX), Some(Duration::seconds(900)));
        assert!(!Subject::Address("ada@example.org").key().contains("ada"));
    }
}
