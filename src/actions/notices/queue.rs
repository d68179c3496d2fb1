//! Queueing notices, within the transaction of what they tell of.
//!
//! What is not told: anything to a person without an e-mail address (nothing is written, and that costs one look-up
//! for a whole chunk of accounts); anything that happened more than [`OLDEST_NEWS_DAYS`](crate::domain::notices::OLDEST_NEWS_DAYS)
//! days ago by its value date (an import of history floods nobody). A kind that the person switched off, and an address
//! that bounced, are written as `suppressed`, so that the page of notices can say why nothing came.

use std::collections::{HashMap, HashSet};

use chrono::NaiveDateTime;
use rand::Rng;

use crate::actions::{ActionError, Context};
use crate::db::DbConnection;
use crate::db::notices::{self as rows, NewNoticeRow, Recipient};
use crate::domain::ids::{AccountId, LoginId, PersonId};
use crate::domain::notices::{Addressee, NewNotice, NoticeKind, NoticeStatus, is_news};

/// Queues one notice. A second one with the same key changes nothing.
///
/// # Errors
/// Those of the database.
pub fn queue(conn: &mut DbConnection, context: &Context, notice: NewNotice) -> Result<(), ActionError> {
    queue_many(conn, context, &[notice])
}

/// Queues many notices with a handful of statements.
///
/// # Errors
/// Those of the database.
pub fn queue_many(conn: &mut DbConnection, context: &Context, notices: &[NewNotice]) -> Result<(), ActionError> {
    let today = context.today();
    let news: Vec<&NewNotice> = notices.iter().filter(|notice| is_news(notice.happened_on, today)).collect();
    let book = AddressBook::look_up(conn, &news)?;
    let mut envelopes = Vec::new();
    for notice in news {
        envelopes.extend(book.envelopes(context, notice));
    }
    if envelopes.is_empty() {
        return Ok(());
    }
    let addresses: HashSet<String> = envelopes.iter().map(|envelope| envelope.email.to_lowercase()).collect();
    let bounced: HashSet<String> = rows::bounced_among(conn, &addresses.iter().map(String::as_str).collect::<Vec<_>>())?.into_iter().collect();
    let maker = RowMaker { now: context.now(), domain: sender_domain(&context.config.mail.from), bounced };
    let new = envelopes.iter().map(|envelope| maker.row(envelope)).collect::<Result<Vec<_>, _>>()?;
    rows::insert(conn, &new)?;
    Ok(())
}

/// A notice with where it goes.
struct Envelope<'a> {
    notice: &'a NewNotice,
    key: String,
    account_id: Option<AccountId>,
    person_id: Option<PersonId>,
    login_id: Option<LoginId>,
    email: String,
    name: String,
    wanted: bool,
}

/// The persons behind the accounts of a batch, and what they do not want.
struct AddressBook {
    recipients: HashMap<AccountId, Recipient>,
    unwanted: HashSet<(PersonId, String)>,
}

impl AddressBook {
    fn look_up(conn: &mut DbConnection, news: &[&NewNotice]) -> Result<Self, ActionError> {
        let mut book = Self { recipients: HashMap::new(), unwanted: HashSet::new() };
        let account = |notice: &&NewNotice| match notice.to {
            Addressee::Account(account) => Some(account),
            _ => None,
        };
        let mut accounts: Vec<AccountId> = news.iter().filter_map(account).collect();
        accounts.sort_unstable();
        accounts.dedup();
        if accounts.is_empty() {
            return Ok(book);
        }
        let found = rows::recipients(conn, &accounts)?;
        if found.is_empty() {
            return Ok(book);
        }
        let persons: Vec<PersonId> = found.iter().map(|recipient| recipient.person_id).collect();
        book.unwanted = rows::unwanted(conn, &persons)?.into_iter().collect();
        book.recipients = found.into_iter().map(|recipient| (recipient.account_id, recipient)).collect();
        Ok(book)
    }

    fn envelopes<'a>(&self, context: &Context, notice: &'a NewNotice) -> Vec<Envelope<'a>> {
        let blank = |email: &str, name: &str| Envelope {
            notice,
            key: notice.key.clone(),
            account_id: None,
            person_id: None,
            login_id: None,
            email: email.to_owned(),
            name: name.to_owned(),
            wanted: true,
        };
        match &notice.to {
            Addressee::Account(account) => {
                let Some(to) = self.recipients.get(account) else { return Vec::new() };
                let wanted = self.wants(to.person_id, notice.facts.kind());
                vec![Envelope { account_id: Some(*account), person_id: Some(to.person_id), wanted, ..blank(&to.email, &to.name) }]
            }
            Addressee::Login { id, person_id, email, name } => vec![Envelope { login_id: Some(*id), person_id: *person_id, ..blank(email, name) }],
            Addressee::Staff => {
                let staff = context.config.mail.staff.iter();
                staff.map(|email| Envelope { key: format!("{}:{email}", notice.key), ..blank(email, "") }).collect()
            }
        }
    }

    fn wants(&self, person: PersonId, kind: NoticeKind) -> bool {
        !kind.can_be_switched_off() || !self.unwanted.contains(&(person, kind.as_str().to_owned()))
    }
}

struct RowMaker {
    now: NaiveDateTime,
    domain: String,
    bounced: HashSet<String>,
}

impl RowMaker {
    fn row(&self, envelope: &Envelope<'_>) -> Result<NewNoticeRow, ActionError> {
        let kind = envelope.notice.facts.kind();
        let why_not = if !envelope.wanted {
            Some("it is switched off by the person")
        } else if kind != NoticeKind::PasswordLink && self.bounced.contains(&envelope.email.to_lowercase()) {
            // Whoever asks for a link just now is there: that one is tried all the same.
            Some("the address refused mail for good; nothing more is sent there until it is cleared")
        } else {
            None
        };
        let status = if why_not.is_some() { NoticeStatus::Suppressed } else { NoticeStatus::Queued };
        Ok(NewNoticeRow {
            dedupe_key: envelope.key.clone(),
            kind: kind.as_str().to_owned(),
            account_id: envelope.account_id,
            person_id: envelope.person_id,
            login_id: envelope.login_id,
            recipient: envelope.email.clone(),
            recipient_name: envelope.name.clone(),
            facts: facts_text(envelope.notice, status)?,
            status: status.as_str().to_owned(),
            created_at: self.now,
            next_attempt_at: self.now,
            // Random, not made from the key: two databases of one utility (a trial, a restored copy) may well have the
            // same key for different events, and a receiver would take the second for a repetition of the first.
            message_id: format!("{:032x}@{}", rand::rng().random::<u128>(), self.domain),
            last_error: why_not.map(str::to_owned),
        })
    }
}

/// A secret of a notice that is never sent is not kept.
fn facts_text(notice: &NewNotice, status: NoticeStatus) -> Result<String, ActionError> {
    let bare = if status == NoticeStatus::Suppressed { notice.facts.without_secret() } else { None };
    serde_json::to_string(bare.as_ref().unwrap_or(&notice.facts)).map_err(|error| ActionError::Form(error.to_string()))
}

/// The part of the sender's address after the `@`.
fn sender_domain(from: &str) -> String {
    let domain: String =
        from.rsplit('@').next().unwrap_or_default().chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-')).collect();
    if domain.is_empty() || !from.contains('@') { "aquabills.invalid".to_owned() } else { domain }
}
