//! Payouts: to whom money goes when it does not go back to where it came from, and whether what is said of them can be true.

use serde::{Deserialize, Serialize};

use super::ids::RefundId;
use super::money::Money;
use super::policy::PayoutFormat;

/// No entry of an ACH file can pay more: ten digits of cents.
const MOST_BY_ACH: Money = Money::from_cents(9_999_999_999);

/// What a file for the bank calls a refund: short enough for every format, so that the bank's answer names it whole.
#[must_use]
pub fn file_reference(id: RefundId) -> String {
    format!("RF{:08}", id.0)
}

/// Who is paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "lowercase")]
pub enum Payee {
    /// By a file that the bank carries out.
    Payout {
        /// The name.
        name: String,
        /// Routing number (nine digits), or BIC.
        bank_code: String,
        /// The account's number, or IBAN.
        bank_account: String,
        /// Whether it is a savings account.
        savings: bool,
    },
    /// By cheque.
    Cheque {
        /// The name.
        name: String,
        /// Where it is sent.
        address: String,
    },
}

impl Payee {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Payout { name, .. } | Self::Cheque { name, .. } => name,
        }
    }

    /// As tables call the way: `payout` or `cheque`.
    #[must_use]
    pub fn medium(&self) -> &'static str {
        match self {
            Self::Payout { .. } => "payout",
            Self::Cheque { .. } => "cheque",
        }
    }

    /// In words, for whoever approves: the whole of what will be in the file.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Payout { name, bank_code, bank_account, savings } => {
                format!("to {name}, bank {bank_code}, {} {bank_account}", if *savings { "savings account" } else { "account" })
            }
            Self::Cheque { name, address } => format!("by cheque to {name}, {address}"),
        }
    }

    /// Whether the form of the bank's file can name this payee, and pay so much.
    ///
    /// # Errors
    /// What was expected.
    pub fn fits_file(&self, form: PayoutFormat, amount: Money) -> Result<(), String> {
        let Self::Payout { bank_code, bank_account, .. } = self else { return Ok(()) };
        let (fits, expected) = match form {
            PayoutFormat::Ach => (is_routing(bank_code) && !is_iban(bank_account) && amount <= MOST_BY_ACH, "a routing number and an account"),
            PayoutFormat::Pain001 => (is_bic(bank_code) && is_iban(bank_account), "a BIC and an IBAN"),
        };
        if fits { Ok(()) } else { Err(format!("bank_code: the utility's payouts need {expected}")) }
    }

    /// Whether all of it can be true.
    ///
    /// # Errors
    /// The field, what was found and what was expected.
    pub fn check(&self) -> Result<(), String> {
        fits("payee", self.name(), 70)?;
        match self {
            Self::Cheque { address, .. } => fits("address", address, 200),
            Self::Payout { bank_code, bank_account, .. } if bank_account.chars().next().is_some_and(char::is_alphabetic) => {
                if !is_bic(bank_code) {
                    return Err(format!("bank_code: '{bank_code}' found; expected a BIC of 8 or 11 letters and digits"));
                }
                if is_iban(bank_account) { Ok(()) } else { Err(format!("bank_account: '{bank_account}' is no IBAN: its check digits do not fit")) }
            }
            Self::Payout { bank_code, bank_account, .. } => {
                if !is_routing(bank_code) {
                    return Err(format!("bank_code: '{bank_code}' found; expected a routing number of nine digits whose check digit fits"));
                }
                let fits = (1..=17).contains(&bank_account.len()) && bank_account.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
                if fits { Ok(()) } else { Err(format!("bank_account: '{bank_account}' found; expected up to 17 digits, or an IBAN")) }
            }
        }
    }
}

/// A text that fits on one line of a file.
fn fits(field: &str, text: &str, most: usize) -> Result<(), String> {
    let length = text.trim().chars().count();
    if length == 0 || length > most || text.chars().any(is_unseen) {
        return Err(format!("{field}: '{}' found; expected 1 to {most} letters on one line, all of them visible", text.escape_default()));
    }
    Ok(())
}

/// Whether a letter is not seen, or changes how others are: what a person approves is what the bank reads.
fn is_unseen(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}')
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}')
        || matches!(letter, '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// Nine digits whose weighted sum (3, 7, 1) is a multiple of ten.
#[must_use]
pub fn is_routing(text: &str) -> bool {
    let digits: Vec<u32> = text.chars().filter_map(|letter| letter.to_digit(10)).collect();
    let sum: u32 = digits.iter().zip([3, 7, 1].into_iter().cycle()).map(|(digit, weight)| digit * weight).sum();
    text.len() == 9 && digits.len() == 9 && sum.is_multiple_of(10) && sum > 0
}

/// Eight or eleven letters and digits, the first six of them letters.
#[must_use]
pub fn is_bic(text: &str) -> bool {
    let form = |(at, byte): (usize, u8)| if at < 6 { byte.is_ascii_uppercase() } else { byte.is_ascii_uppercase() || byte.is_ascii_digit() };
    matches!(text.len(), 8 | 11) && text.bytes().enumerate().all(form)
}

/// An IBAN in one piece, by its check digits.
#[must_use]
pub fn is_iban(text: &str) -> bool {
    if !(15..=34).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()) {
        return false;
    }
    let (head, tail) = text.split_at(4);
    let digit = |letter: char| letter.to_digit(36).unwrap_or(0);
    let rest = tail.chars().chain(head.chars()).fold(0_u32, |rest, letter| {
        let digit = digit(letter);
        (rest * if digit > 9 { 100 } else { 10 } + digit) % 97
    });
    rest == 1 && head.bytes().take(2).all(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_banks_are_checked() {
        for routing in ["021000021", "011401533", "091000019"] {
            assert!(is_routing(routing), "{routing}");
        }
        for routing in ["021000022", "12345678", "0210000210", "000000000", "02100002a"] {
            assert!(!is_routing(routing), "{routing}");
        }
        for iban in ["DE89370400440532013000", "GB29NWBK60161331926819", "FR1420041010050500013M02606", "CH9300762011623852957"] {
            assert!(is_iban(iban), "{iban}");
        }
        for iban in ["DE89370400440532013001", "DE8937040044053201300", "de89370400440532013000", "8937DE0400440532013000"] {
            assert!(!is_iban(iban), "{iban}");
        }
        assert!(is_bic("DEUTDEFF") && is_bic("DEUTDEFF500") && !is_bic("DEUTDEF") && !is_bic("DEUT1EFF"));
    }

    #[test]
    fn what_cannot_be_true_is_named() {
        let to = |bank_code: &str, bank_account: &str| Payee::Payout {
            name: "Ana Clerk".to_owned(),
            bank_code: bank_code.to_owned(),
            bank_account: bank_account.to_owned(),
            savings: false,
        };
        assert_eq!(to("021000021", "123-456").check(), Ok(()));
        assert_eq!(to("DEUTDEFF", "DE89370400440532013000").check(), Ok(()));
        assert!(to("021000022", "1").check().unwrap_err().starts_with("bank_code:"));
        assert!(to("021000021", "12345678901234567890").check().unwrap_err().starts_with("bank_account:"));
        assert!(to("021000021", "DE89370400440532013000").check().unwrap_err().starts_with("bank_code:"));
        let cheque = |name: &str, address: &str| Payee::Cheque { name: name.to_owned(), address: address.to_owned() }.check();
        assert_eq!(cheque("Ana", "1 Mill Lane"), Ok(()));
        assert!(cheque(" ", "1 Mill Lane").unwrap_err().starts_with("payee:"));
        assert!(cheque("Ana", "1 Mill\nLane").unwrap_err().starts_with("address:"));
        for unseen in ['\u{202e}', '\u{200b}', '\u{2066}', '\u{feff}', '\u{7}', '\u{ad}', '\u{e0041}'] {
            assert!(cheque(&format!("Ana{unseen} Clerk"), "1 Mill Lane").unwrap_err().starts_with("payee:"), "{unseen:?}");
        }
        assert_eq!(cheque("Zoë O’Brien", "Straße 1"), Ok(()));
    }
}
