//! Which account a bank's movement is for: a pure rule over what the bank says and what is known of accounts.
//!
//! Each account is judged by itself, by kinds of evidence that are independent of each other: a reference that names it, the
//! payer's bank account that paid it before, the payer's name, the amount. Every kind leaves a share of doubt, and the doubts
//! multiply; so more evidence never lowers the confidence, and an account that nothing speaks for changes nothing. Where two
//! accounts fit equally well, none is certain.
//!
//! What belongs here: the rule. What does not: where accounts and movements come from, and what is done with the answer.

mod names;
mod references;

use serde::Serialize;

use super::ids::AccountId;
use super::money::Money;
pub use names::{NameFit, name_words, names_fit};
use references::{Found, Texts};
pub use references::{Piece, bills_named, is_creditor_reference, key_of, keys_in, pieces};

/// Nothing that a bank says is quite certain.
const HIGHEST: u8 = 99;
/// Of two accounts, the one must be ahead of the other by more than this, in percent.
const MARGIN: u8 = 5;
/// Where two accounts fit equally well, the confidence is no more than this.
const TIED: u8 = 50;
/// An amount that is so many times the amount due, at most, is a payment of several bills.
const MOST_TIMES: i64 = 12;

/// What the bank says of a movement.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    /// What moved.
    pub amount: Money,
    /// References that payer or utility gave.
    pub references: Vec<String>,
    /// Who paid.
    pub party_name: Option<String>,
    /// The payer's bank account.
    pub party_account: Option<String>,
    /// Everything else.
    pub text: String,
}

/// What is known of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The account.
    pub account: AccountId,
    /// Its number.
    pub number: String,
    /// The customer's name.
    pub name: String,
    /// What is due; zero or less when nothing is.
    pub due: Money,
    /// Its latest bills: number, and what it asked for.
    pub bills: Vec<(String, Money)>,
    /// Whether money from the payer's bank account went to this account before.
    pub paid_before: bool,
}

/// What the program takes a movement for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Suggestion {
    /// The account; none when nothing speaks for any.
    pub account: Option<AccountId>,
    /// How sure it is, in percent.
    pub confidence: u8,
    /// Why, in words.
    pub why: String,
}

/// A kind of evidence: what doubt it leaves, in percent, and what it is in words.
struct Evidence {
    doubt: u32,
    why: String,
}

/// Which of the candidates a movement is for, how sure that is, and why.
#[must_use]
pub fn suggest(told: &Told, candidates: &[Candidate]) -> Suggestion {
    let texts = Texts::new(told);
    let payer = told.party_name.as_deref().map(name_words).unwrap_or_default();
    let mut judged: Vec<(u8, &Candidate, Vec<Evidence>)> = Vec::new();
    for candidate in candidates {
        let evidence = evidence(told, &texts, &payer, candidate);
        if !evidence.is_empty() && !judged.iter().any(|(_, known, _)| known.account == candidate.account) {
            judged.push((confidence(&evidence), candidate, evidence));
        }
    }
    // The surest first; of equals the one with the lower id, so that the answer does not depend on the order.
    judged.sort_by_key(|(confidence, candidate, _)| (std::cmp::Reverse(*confidence), candidate.account));
    let Some((confidence, best, evidence)) = judged.first() else {
        return Suggestion { why: "nothing in it names an account".to_owned(), ..Suggestion::default() };
    };
    let rivals: Vec<&str> =
        judged.iter().skip(1).filter(|(other, ..)| other.saturating_add(MARGIN) >= *confidence).map(|(_, rival, _)| rival.number.as_str()).collect();
    let mut why = evidence.iter().map(|evidence| evidence.why.as_str()).collect::<Vec<_>>().join("; ");
    if rivals.is_empty() {
        return Suggestion { account: Some(best.account), confidence: *confidence, why };
    }
    let named = rivals.iter().take(3).copied().collect::<Vec<_>>().join(", ");
    let more = if rivals.len() > 3 { format!(" and {} more", rivals.len() - 3) } else { String::new() };
    why = format!("{why}; but {named}{more} fits as well");
    Suggestion { account: Some(best.account), confidence: (*confidence).min(TIED), why }
}

/// Doubts multiply.
fn confidence(evidence: &[Evidence]) -> u8 {
    // In millionths, rounded so that confidence is never overstated.
    let doubt = evidence.iter().fold(1_000_000_u32, |doubt, evidence| (doubt * evidence.doubt).div_ceil(100));
    let percent = 100_u32.saturating_sub(doubt.div_ceil(10_000));
    u8::try_from(percent).unwrap_or(HIGHEST).min(HIGHEST)
}

/// Everything that speaks for an account. An amount alone names nobody.
fn evidence(told: &Told, texts: &Texts, payer: &[String], candidate: &Candidate) -> Vec<Evidence> {
    let mut all = Vec::new();
    if let Some(found) = texts.find(candidate) {
        all.push(by_reference(&found, candidate));
    }
    if candidate.paid_before {
        all.push(Evidence { doubt: 35, why: "the payer's bank account paid this account before".to_owned() });
    }
    if let Some(name) = by_name(texts, payer, candidate) {
        all.push(name);
    }
    if !all.is_empty()
        && let Some(amount) = by_amount(told.amount, candidate)
    {
        all.push(amount);
    }
    all
}

fn by_reference(found: &Found, candidate: &Candidate) -> Evidence {
    let number = &candidate.number;
    match found {
        Found::CreditorReference(reference) => Evidence { doubt: 3, why: format!("the creditor reference {reference} names account {number}") },
        Found::Bill(bill) => Evidence { doubt: 5, why: format!("it names bill {bill}") },
        Found::Whole { doubt } => Evidence { doubt: *doubt, why: format!("its reference is account number {number}") },
        Found::Within { doubt } => Evidence { doubt: *doubt, why: format!("its text contains account number {number}") },
    }
}

fn by_name(texts: &Texts, payer: &[String], candidate: &Candidate) -> Option<Evidence> {
    let words = name_words(&candidate.name);
    match names_fit(payer, &words) {
        NameFit::Same => Some(Evidence { doubt: 50, why: format!("the payer's name is the customer's, {}", candidate.name) }),
        NameFit::Alike => Some(Evidence { doubt: 65, why: format!("the payer's name is like the customer's, {}", candidate.name) }),
        NameFit::Different if payer.is_empty() && texts.contain_name(&words) => {
            Some(Evidence { doubt: 65, why: format!("its text contains the customer's name, {}", candidate.name) })
        }
        NameFit::Different => None,
    }
}

fn by_amount(amount: Money, candidate: &Candidate) -> Option<Evidence> {
    if !amount.is_positive() {
        return None;
    }
    if amount == candidate.due {
        return Some(Evidence { doubt: 55, why: "the amount is what is due".to_owned() });
    }
    if let Some((bill, _)) = candidate.bills.iter().find(|(_, asked)| *asked == amount) {
        return Some(Evidence { doubt: 55, why: format!("the amount is that of bill {bill}") });
    }
    let asked = candidate.bills.iter().map(|(_, asked)| *asked).chain([candidate.due]);
    let times = asked.filter(|asked| asked.is_positive()).find_map(|asked| {
        let (times, rest) = (amount.cents() / asked.cents(), amount.cents() % asked.cents());
        (rest == 0 && (2..=MOST_TIMES).contains(&times)).then_some(times)
    });
    times.map(|times| Evidence { doubt: 80, why: format!("the amount is {times} times what was asked for") })
}

#[cfg(test)]
#[path = "matching_tests.rs"]
mod tests;
