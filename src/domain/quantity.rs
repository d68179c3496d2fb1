//! Quantities in thousandths: readings and usage as exact integers, parsed strictly at the edge.

use rust_decimal::Decimal;
use thiserror::Error;

/// Why a text is not a quantity.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum QuantityError {
    /// Not a plain decimal number.
    #[error("'{0}' is not a number: expected digits with an optional decimal point, like 1234 or 1234.5")]
    NotANumber(String),
    /// More than three digits after the point: storing it would lose some of it.
    #[error("'{0}' has more than three decimals: quantities are kept in thousandths")]
    TooFine(String),
    /// Larger than can be kept.
    #[error("'{0}' is too large")]
    TooLarge(String),
}

/// A count with its noun: `1 day`, `31 days`, `2 entries`.
#[must_use]
pub fn counted(count: impl Into<i128>, noun: &str) -> String {
    let count = count.into();
    match (count, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{count} {stem}ies"),
        _ => format!("{count} {noun}s"),
    }
}

/// The largest quantity that is accepted, in thousandths: a trillion units, well inside what arithmetic can hold.
pub const MAX_MILLI: i64 = 1_000_000_000_000_000;

/// Parses a non-negative decimal with at most three decimals into thousandths.
///
/// # Errors
/// [`QuantityError`] for anything else: signs, exponents, separators and finer fractions are refused, not guessed.
pub fn parse_milli(text: &str) -> Result<i64, QuantityError> {
    let trimmed = text.trim();
    let (whole, fraction) = trimmed.split_once('.').unwrap_or((trimmed, ""));
    let digits_only = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let starts_right = !whole.is_empty() || !fraction.is_empty();
    if !starts_right || !digits_only(whole) || !digits_only(fraction) || (trimmed.ends_with('.')) {
        return Err(QuantityError::NotANumber(text.to_owned()));
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > 3 {
        return Err(QuantityError::TooFine(text.to_owned()));
    }
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| QuantityError::TooLarge(text.to_owned()))? };
    let scale = 10_i64.pow(3 - u32::try_from(fraction.len()).unwrap_or(3));
    let fraction: i64 = if fraction.is_empty() { 0 } else { fraction.parse().unwrap_or(0) };
    whole
        .checked_mul(1000)
        .and_then(|milli| milli.checked_add(fraction * scale))
        .filter(|milli| *milli <= MAX_MILLI)
        .ok_or_else(|| QuantityError::TooLarge(text.to_owned()))
}

/// Thousandths as an exact decimal without trailing zeros.
#[must_use]
pub fn from_milli(milli: i64) -> Decimal {
    Decimal::new(milli, 3).normalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_meters_show() {
        assert_eq!(parse_milli("5599"), Ok(5_599_000));
        assert_eq!(parse_milli("0012.5"), Ok(12_500));
        assert_eq!(parse_milli(".125"), Ok(125));
        assert_eq!(parse_milli("7.1000"), Ok(7_100));
        assert_eq!(from_milli(12_500).to_string(), "12.5");
    }

    #[test]
    fn refuses_what_it_would_have_to_guess() {
        for text in ["", ".", "-1", "+1", "1e3", "1,000", "12a", "1.", "1.2.3", "NaN"] {
            assert!(matches!(parse_milli(text), Err(QuantityError::NotANumber(_))), "{text}");
        }
        assert!(matches!(parse_milli("1.0001"), Err(QuantityError::TooFine(_))));
        assert!(matches!(parse_milli("99999999999999999999"), Err(QuantityError::TooLarge(_))));
    }
}
