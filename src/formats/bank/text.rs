//! Texts, amounts and days as banks write them, the same rules for every format.

use std::borrow::Cow;

use chrono::NaiveDate;

use super::{BankFileError, LARGEST_AMOUNT_CENTS, LONGEST_TEXT_BYTES};
use crate::domain::money::Money;

/// No balance is larger, in cents; so that movements can be added to it.
const LARGEST_BALANCE_CENTS: i64 = 100_000_000_000_000_000;
/// Currencies whose smallest unit is not a hundredth; every other one has cents.
pub const WITHOUT_CENTS: &[&str] = &[
    "BHD", "BIF", "CLF", "CLP", "DJF", "GNF", "IQD", "ISK", "JOD", "JPY", "KMF", "KRW", "KWD", "LYD", "OMR", "PYG", "RWF", "TND", "UGX", "UYI",
    "UYW", "VND", "VUV", "XAF", "XOF", "XPF",
];

/// The first bytes of a file, to look at.
pub fn opening(bytes: &[u8]) -> String {
    let text = marked_utf16(bytes).unwrap_or_else(|| String::from_utf8_lossy(bytes).into_owned());
    text.trim_start_matches('\u{feff}').to_owned()
}

/// UTF-16 without its mark; what is no character becomes a replacement sign.
fn utf16(bytes: &[u8], word: fn([u8; 2]) -> u16) -> String {
    let words = bytes.chunks_exact(2).map(|pair| word([pair[0], pair[1]]));
    char::decode_utf16(words).map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// UTF-16, where its mark says so.
pub fn marked_utf16(bytes: &[u8]) -> Option<String> {
    match bytes {
        [0xfe, 0xff, rest @ ..] => Some(utf16(rest, u16::from_be_bytes)),
        [0xff, 0xfe, rest @ ..] => Some(utf16(rest, u16::from_le_bytes)),
        _ => None,
    }
}

/// A text in UTF-8, in UTF-16 with its mark, or in Latin-1 where it is neither: the formats in plain lines name no encoding.
pub fn decode(bytes: &[u8]) -> Cow<'_, str> {
    if let Some(text) = marked_utf16(bytes) {
        return Cow::Owned(text);
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    std::str::from_utf8(bytes).map_or_else(|_| Cow::Owned(latin1(bytes)), Cow::Borrowed)
}

/// Latin-1: every byte is the character of its number.
pub fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// Control characters and runs of blanks become one blank each, outer ones none.
pub fn clean(text: &str) -> String {
    let words = text.split(|letter: char| letter.is_whitespace() || letter.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

/// The cleaned text, or nothing where nothing is left.
pub fn filled(text: &str) -> Option<String> {
    Some(clean(text)).filter(|text| !text.is_empty())
}

/// A reference, or nothing where it is empty or one of the words and zeros that stand for none.
pub fn reference(text: &str) -> Option<String> {
    const NONE: &[&str] = &["NOTPROVIDED", "NOT PROVIDED", "NONREF", "NOREF", "NONE", "N/A", "NA"];
    let zeros = |text: &str| text.bytes().all(|byte| byte == b'0' || byte == b'-');
    filled(text).filter(|text| !zeros(text) && !NONE.iter().any(|none| text.eq_ignore_ascii_case(none)))
}

/// A cleaned text of bounded length.
pub fn bounded(place: &str, field: &str, text: &str) -> Result<String, BankFileError> {
    let text = clean(text);
    if text.len() > LONGEST_TEXT_BYTES {
        return Err(BankFileError::new(place, field, format!("it has {} bytes; at most {LONGEST_TEXT_BYTES} are read", text.len())));
    }
    Ok(text)
}

/// What was found, for a message: cleaned and not longer than a line.
pub fn shown(text: &str) -> String {
    let cleaned: String = text.chars().take(200).map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    let mut letters = cleaned.trim().chars();
    let start: String = letters.by_ref().take(60).collect();
    if start.is_empty() {
        "nothing".to_owned()
    } else if letters.next().is_some() || text.chars().nth(200).is_some() {
        format!("'{start}…'")
    } else {
        format!("'{start}'")
    }
}

/// The number of the line in which a byte stands.
pub fn line_of(bytes: &[u8], at: usize) -> usize {
    bytes.get(..at).unwrap_or(bytes).split(|byte| *byte == b'\n').count()
}

/// Digits alone, as a number.
pub fn digits<T: std::str::FromStr>(text: &str) -> Option<T> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// A day from year, month and day, the year with two digits: 80 to 99 are of the last century.
pub fn short_day(text: &str) -> Option<NaiveDate> {
    if text.len() != 6 {
        return None;
    }
    let part = |from: usize| text.get(from..from + 2).and_then(digits::<u32>);
    let year = i32::try_from(part(0)?).ok()?;
    let century = if year >= 80 { 1900 } else { 2000 };
    NaiveDate::from_ymd_opt(century + year, part(2)?, part(4)?)
}

/// An amount within what a single movement may be.
pub fn plausible(place: &str, field: &str, cents: i64) -> Result<Money, BankFileError> {
    if (-LARGEST_AMOUNT_CENTS..=LARGEST_AMOUNT_CENTS).contains(&cents) {
        return Ok(Money::from_cents(cents));
    }
    let fault =
        format!("{} is more than a single movement may be; expected at most {}", Money::from_cents(cents), Money::from_cents(LARGEST_AMOUNT_CENTS));
    Err(BankFileError::new(place, field, fault))
}

/// A balance within what can be reckoned with.
pub fn balance(place: &str, field: &str, cents: i128) -> Result<Money, BankFileError> {
    let sane = i64::try_from(cents).ok().filter(|cents| (-LARGEST_BALANCE_CENTS..=LARGEST_BALANCE_CENTS).contains(cents));
    sane.map(Money::from_cents).ok_or_else(|| BankFileError::new(place, field, format!("{} is too large a balance", sum(cents))))
}

/// A currency with cents.
pub fn currency(place: &str, field: &str, code: &str) -> Result<String, BankFileError> {
    let code = code.trim();
    if code.len() != 3 || !code.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(BankFileError::new(place, field, format!("{} is no currency; expected three capital letters, like USD", shown(code))));
    }
    if WITHOUT_CENTS.contains(&code) {
        return Err(BankFileError::new(place, field, format!("{code} is not counted in hundredths; expected a currency with two decimals")));
    }
    Ok(code.to_owned())
}

/// An amount in words of sums that may be larger than money can hold.
pub fn sum(cents: i128) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    let size = cents.unsigned_abs();
    format!("{sign}{}.{:02}", size / 100, size % 100)
}
