//! Files for the bank: payouts as ACH credits or as an ISO 20022 credit transfer, cheques as a list for positive pay.
//!
//! A file is a function of what goes into it: the same batch gives the same bytes. Each has its control totals: lines, amount,
//! and what the format adds.

pub mod ach;
pub mod cheques;
pub mod pain001;

use chrono::{NaiveDate, NaiveDateTime};

/// One payment of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// Our name of it, which the bank's statement repeats.
    pub reference: String,
    /// The account's number.
    pub account: String,
    /// How much, in cents.
    pub amount_cents: i64,
    /// Who is paid.
    pub name: String,
    /// Routing number or BIC.
    pub bank_code: String,
    /// The account, or IBAN.
    pub bank_account: String,
    /// Whether it is a savings account.
    pub savings: bool,
}

/// Who pays, and through which bank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Originator {
    /// The utility's name.
    pub name: String,
    /// Its number with the bank: for ACH ten letters or digits, such as 1 and the tax number.
    pub id: String,
    /// The bank's routing number or BIC.
    pub bank_code: String,
    /// The bank's name.
    pub bank_name: String,
    /// The utility's account, or IBAN.
    pub bank_account: String,
    /// The currency.
    pub currency: String,
}

/// What a file is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Its number, from 1.
    pub number: i64,
    /// When it was made, the utility's time.
    pub made_at: NaiveDateTime,
    /// The day on which the bank pays.
    pub pay_on: NaiveDate,
}

/// Letters that every bank takes: accents are dropped, what else is no ASCII becomes a question mark.
fn plain(text: &str) -> String {
    use unicode_normalization::UnicodeNormalization;
    let letters = text.nfd().filter(|letter| !unicode_normalization::char::is_combining_mark(*letter));
    letters.map(|letter| if letter.is_ascii() && !letter.is_ascii_control() { letter } else { '?' }).collect()
}

/// A text in so many columns, cut or filled up on the right.
fn left(text: &str, width: usize) -> String {
    let cut: String = plain(text).chars().take(width).collect();
    format!("{cut:<width$}")
}
