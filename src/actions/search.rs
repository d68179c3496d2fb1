//! The staff's one search box: an account by whatever a caller can name.

use std::collections::BTreeMap;

use super::{ActionError, Context};
use crate::db::billing::{self, bill_number};
use crate::db::customers::{self, AccountCard, SearchTerms};
use crate::db::DbConnection;
use crate::domain::ids::{AccountId, RunId};
use crate::domain::money::Money;

/// Exact hits that are listed.
const MOST_EXACT: i64 = 50;

/// An account in a list of results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The account's number.
    pub number: String,
    /// The customer's name.
    pub name: String,
    /// Their address for e-mail.
    pub email: Option<String>,
    /// Where the latest service is.
    pub address: Option<String>,
    /// The balance.
    pub balance: Money,
    /// What the text is, when it is a whole number or address: "meter".
    pub matched: Option<String>,
}

/// A page of results.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Results {
    /// The accounts.
    pub found: Vec<Found>,
    /// Where the next page begins, when there is one.
    pub next: Option<AccountId>,
    /// The one account that the text names, when it names exactly one.
    pub only: Option<String>,
}

/// Looks for accounts by number, service, meter, bill, payment reference, address for e-mail, name or address. What is named
/// in full comes first; of the others a page, by id, after an account.
///
/// # Errors
/// Those of the database.
pub fn search(context: &Context, text: &str, after: AccountId, limit: usize) -> Result<Results, ActionError> {
    let text = text.trim();
    let Some(terms) = SearchTerms::new(text) else { return Ok(Results::default()) };
    context.database.snapshot(|conn| {
        let exact = if after.0 == 0 { exact_hits(conn, text)? } else { BTreeMap::new() };
        let fetch = i64::try_from(limit).unwrap_or(i64::MAX - 1).saturating_add(1);
        let mut loose = customers::search_loosely(conn, &terms, after, fetch)?;
        let more = loose.len() > limit;
        loose.truncate(limit);
        let next = if more { loose.last().copied() } else { None };
        loose.retain(|id| !exact.contains_key(id));
        let exact_ids: Vec<AccountId> = exact.keys().copied().collect();
        let mut found: Vec<Found> = Vec::new();
        for card in customers::account_cards(conn, &exact_ids)? {
            let matched = exact.get(&card.id).cloned();
            found.push(result(card, matched));
        }
        let only = match found.as_slice() {
            [one] => Some(one.number.clone()),
            _ => None,
        };
        found.extend(customers::account_cards(conn, &loose)?.into_iter().map(|card| result(card, None)));
        Ok(Results { found, next, only })
    })
}

fn exact_hits(conn: &mut DbConnection, text: &str) -> Result<BTreeMap<AccountId, String>, ActionError> {
    let hits = customers::search_exactly(conn, text, MOST_EXACT)?;
    let mut exact: BTreeMap<AccountId, String> = hits.into_iter().map(|hit| (hit.account_id, hit.matched)).collect();
    if let Some((run, account)) = parse_bill_number(text)
        && !billing::bills_of_run(conn, run, account, account)?.is_empty()
    {
        exact.entry(account).or_insert_with(|| format!("bill {}", bill_number(run, account)));
    }
    Ok(exact)
}

fn parse_bill_number(text: &str) -> Option<(RunId, AccountId)> {
    let (run, account) = text.split_once('-')?;
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(run) || !digits(account) {
        return None;
    }
    Some((RunId(run.parse().ok()?), AccountId(account.parse().ok()?)))
}

fn result(card: AccountCard, matched: Option<String>) -> Found {
    Found {
        number: card.number,
        name: card.name,
        email: card.email,
        address: card.address,
        balance: Money::from_cents(card.balance_cents),
        matched,
    }
}
