//! Numbers of accounts and bills within what a payer wrote: with or without punctuation and leading zeros, in a longer text.

use std::collections::HashMap;

use super::names::plain;
use super::{Candidate, Told};

/// So many adjoining pieces are put together at most to find a number that was written apart.
const LONGEST_RUN: usize = 6;
/// So much of what a payer wrote is looked at, in pieces.
const MOST_PIECES: usize = 400;
/// Words that announce the number after them.
const LABELS: &[&str] = &["ACCOUNT", "ACCT", "ACC", "ACNO", "CUSTOMER", "CUST", "CUSTNO", "CLIENT", "REF", "REFERENCE", "KUNDENNR", "KDNR"];

/// A run of letters or of digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// In capitals, a number without leading zeros.
    pub key: String,
    /// As it was written, in capitals.
    pub written: String,
    /// Whether it adjoins the piece before it, with nothing between.
    pub joined: bool,
}

/// The runs of letters and of digits of a text.
#[must_use]
pub fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut last: Option<bool> = None;
    for letter in plain(text).chars() {
        let digit = letter.is_ascii_digit();
        if !letter.is_alphanumeric() {
            last = None;
            continue;
        }
        match (last, pieces.last_mut()) {
            (Some(kind), Some(piece)) if kind == digit => piece.written.push(letter),
            (before, _) => {
                if pieces.len() >= MOST_PIECES {
                    break;
                }
                pieces.push(Piece { key: String::new(), written: letter.to_string(), joined: before.is_some() });
            }
        }
        last = Some(digit);
    }
    for piece in &mut pieces {
        piece.key = without_zeros(&piece.written).to_owned();
    }
    pieces
}

fn without_zeros(run: &str) -> &str {
    let kept = run.trim_start_matches('0');
    if kept.is_empty() { &run[run.len().saturating_sub(1)..] } else { kept }
}

/// What a number is looked up by: its letters and digits in capitals, each run of digits without leading zeros.
#[must_use]
pub fn key_of(number: &str) -> String {
    pieces(number).into_iter().map(|piece| piece.key).collect()
}

/// Whether a text is a creditor reference (ISO 11649) whose check digits are right.
#[must_use]
pub fn is_creditor_reference(text: &str) -> bool {
    creditor_body(text).is_some()
}

/// What a creditor reference carries after its check digits.
fn creditor_body(text: &str) -> Option<String> {
    let compact: String = text.chars().filter(|letter| !letter.is_whitespace()).map(|letter| letter.to_ascii_uppercase()).collect();
    let plain = compact.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !plain || !(5..=25).contains(&compact.len()) || !compact.starts_with("RF") {
        return None;
    }
    let (head, body) = compact.split_at(4);
    let check = head.get(2..).filter(|check| check.bytes().all(|byte| byte.is_ascii_digit()))?;
    let rest = format!("{body}RF{check}").chars().try_fold(0_u32, |rest, letter| {
        let value = letter.to_digit(36)?;
        Some(if value < 10 { (rest * 10 + value) % 97 } else { (rest * 100 + value) % 97 })
    })?;
    (rest == 1).then(|| body.to_owned())
}

/// Every key in what a payer wrote that a number may have; to look accounts up by.
#[must_use]
pub fn keys_in(told: &Told) -> Vec<String> {
    let texts = Texts::new(told);
    texts.numbers.into_keys().chain(texts.creditors.into_keys()).collect()
}

/// Runs and accounts of what looks like a bill's number: five digits or more, then seven or more; or both in one.
#[must_use]
pub fn bills_named(told: &Told) -> Vec<(i64, i64)> {
    let mut named = Vec::new();
    let bodies: Vec<String> = told.references.iter().filter_map(|reference| creditor_body(reference)).collect();
    for text in told.references.iter().chain(&bodies).chain([&told.text]) {
        let pieces = pieces(text);
        let digits = |piece: &Piece| piece.written.starts_with(|letter: char| letter.is_ascii_digit());
        for (at, piece) in pieces.iter().enumerate().filter(|(_, piece)| digits(piece)) {
            if piece.written.len() >= 12 {
                named.extend(piece.written.split_at_checked(piece.written.len() - 7).and_then(as_bill));
            }
            if let Some(next) = pieces.get(at + 1).filter(|next| digits(next) && piece.written.len() >= 5 && next.written.len() >= 7) {
                named.extend(as_bill((&piece.written, &next.written)));
            }
        }
    }
    named
}

fn as_bill((run, account): (&str, &str)) -> Option<(i64, i64)> {
    Some((run.parse().ok()?, account.parse().ok()?))
}

/// How an account is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// By a creditor reference.
    CreditorReference(String),
    /// By the number of one of its bills.
    Bill(String),
    /// By its number alone, or announced by a word such as "account".
    Whole { doubt: u32 },
    /// By its number somewhere in a longer text.
    Within { doubt: u32 },
}

/// A number within a text.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// It is all of a reference, or announced.
    whole: bool,
    /// How many pieces it was put together of that a payer wrote apart.
    apart: usize,
}

/// What a payer wrote, taken to pieces once.
pub(super) struct Texts {
    /// Numbers by key, each at its best place.
    numbers: HashMap<String, Place>,
    /// Creditor references: what they carry, by key, and how they were written.
    creditors: HashMap<String, String>,
    words: Vec<String>,
}

impl Texts {
    pub(super) fn new(told: &Told) -> Self {
        let mut texts = Self { numbers: HashMap::new(), creditors: HashMap::new(), words: Vec::new() };
        for reference in &told.references {
            if let Some(body) = creditor_body(reference) {
                texts.creditors.insert(key_of(&body), reference.clone());
            }
            texts.take(&pieces(reference), true);
        }
        texts.take(&pieces(&told.text), false);
        texts
    }

    fn take(&mut self, pieces: &[Piece], reference: bool) {
        for first in 0..pieces.len() {
            let announced = first > 0 && pieces.get(first - 1).is_some_and(|before| LABELS.contains(&before.written.as_str()));
            let mut key = String::new();
            let mut apart = 0;
            for (at, piece) in pieces.iter().enumerate().skip(first).take(LONGEST_RUN) {
                key.push_str(&piece.key);
                apart += usize::from(at > first && !piece.joined);
                let all = reference && first == 0 && at + 1 == pieces.len();
                let place = Place { whole: all || announced, apart };
                let known = self.numbers.entry(key.clone()).or_insert(place);
                if (!place.whole, place.apart) < (!known.whole, known.apart) {
                    *known = place;
                }
            }
        }
        self.words.extend(pieces.iter().map(|piece| piece.written.clone()));
    }

    /// How a candidate is named, in the surest way.
    pub(super) fn find(&self, candidate: &Candidate) -> Option<Found> {
        let number = pieces(&candidate.number);
        let key: String = number.iter().map(|piece| piece.key.as_str()).collect();
        if key.is_empty() {
            return None;
        }
        if let Some(reference) = self.creditors.get(&key) {
            return Some(Found::CreditorReference(reference.clone()));
        }
        for (bill, _) in &candidate.bills {
            let key = key_of(bill);
            if let Some(reference) = self.creditors.get(&key) {
                return Some(Found::CreditorReference(reference.clone()));
            }
            // Also as one number, without what stands between its parts.
            let digits: String = bill.chars().filter(char::is_ascii_digit).collect();
            let in_one = self.numbers.get(without_zeros(&digits)).is_some_and(|place| place.apart == 0);
            if in_one || self.numbers.get(&key).is_some_and(|place| place.apart <= 1) {
                return Some(Found::Bill(bill.clone()));
            }
        }
        let place = self.numbers.get(&key)?;
        // Blanks and signs where the number itself has some are no accident; others may have brought two numbers together.
        let own = number.iter().skip(1).filter(|piece| !piece.joined).count();
        let strange = place.apart > own;
        let written: usize = number.iter().map(|piece| piece.key.chars().count()).sum();
        let doubt = doubt(written, place.whole) + if strange { 15 } else { 0 };
        Some(if place.whole { Found::Whole { doubt } } else { Found::Within { doubt } })
    }

    /// Whether all words of a name occur, at least two of them.
    pub(super) fn contain_name(&self, words: &[String]) -> bool {
        words.len() >= 2 && words.iter().any(|word| word.chars().count() >= 3) && words.iter().all(|word| self.words.contains(word))
    }
}

/// A short number is easily something else.
fn doubt(letters: usize, whole: bool) -> u32 {
    match (letters, whole) {
        (6.., true) => 8,
        (5, true) => 9,
        (4, true) => 12,
        (3, true) => 25,
        (_, true) => 45,
        (6.., false) => 14,
        (5, false) => 15,
        (4, false) => 30,
        (3, false) => 50,
        (_, false) => 75,
    }
}
