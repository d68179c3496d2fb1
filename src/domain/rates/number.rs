//! Exact decimal numbers: reading them, and the roundings rates need.
//!
//! Belongs here: text to `Decimal`, rounding to whole units, the guard digits.
//! Does not belong here: rounding to cents (`settle`).

use rust_decimal::{Decimal, RoundingStrategy};

/// Decimals kept when an exact value is about to be rounded. `Decimal` carries
/// 28 digits, so `20 / 3 * 3` is a hair below 20; without dropping the last
/// digits first, such a hair would tip a half the wrong way.
const GUARD_DECIMALS: u32 = 18;

/// The value without the noise that division leaves in its last digits.
pub(crate) fn without_noise(value: Decimal) -> Decimal {
    value.round_dp_with_strategy(GUARD_DECIMALS, RoundingStrategy::MidpointNearestEven)
}

/// Rounds to whole units, half even, as the reference calculator rounds
/// percentages, names and the operands of a budget.
pub(crate) fn whole(value: Decimal) -> Decimal {
    without_noise(value).round_dp_with_strategy(0, RoundingStrategy::MidpointNearestEven)
}

/// Reads a number as published files write them: `10`, `-3.5`, `.7`, `12.`,
/// `1,084.87`, `1e3`. `None` when it is anything else or not exact in 28 digits.
pub(crate) fn parse_number(text: &str) -> Option<Decimal> {
    let text = text.trim();
    let (sign, body) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let plain = without_thousands(body)?;
    let (mantissa, exponent) = match plain.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i8>().ok()?),
        None => (plain.as_str(), 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole = if whole.is_empty() { "0" } else { whole };
    let value = Decimal::from_str_exact(&format!("{sign}{whole}.{fraction}0")).ok()?;
    shift(value, exponent)
}

/// Multiplies by a power of ten, exactly or not at all.
fn shift(value: Decimal, exponent: i8) -> Option<Decimal> {
    if exponent == 0 {
        return Some(value.normalize());
    }
    let ten = Decimal::TEN;
    let mut shifted = value;
    for _ in 0..exponent.unsigned_abs() {
        shifted = if exponent > 0 {
            shifted.checked_mul(ten)?
        } else {
            let next = shifted.checked_div(ten)?;
            (next.checked_mul(ten)? == shifted).then_some(next)?
        };
    }
    Some(shifted.normalize())
}

/// Removes commas that group by three, and refuses any other comma.
fn without_thousands(text: &str) -> Option<String> {
    if !text.contains(',') {
        return Some(text.to_owned());
    }
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    let mut groups = whole.split(',');
    let first = groups.next()?;
    if first.is_empty() || first.len() > 3 || !groups.all(|group| group.len() == 3) {
        return None;
    }
    let joined = whole.replace(',', "");
    match fraction {
        Some(fraction) if fraction.contains(',') => None,
        Some(fraction) => Some(format!("{joined}.{fraction}")),
        None => Some(joined),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        parse_number(text).map(|number| number.to_string())
    }

    #[test]
    fn reads_numbers_as_published() {
        for (text, value) in [
            ("10", "10"),
            (".7", "0.7"),
            ("12.", "12"),
            ("-3.50", "-3.5"),
            ("1,084.87", "1084.87"),
            ("1,234,567", "1234567"),
            ("1e3", "1000"),
            ("25e-2", "0.25"),
            (" 4 ", "4"),
        ] {
            assert_eq!(read(text).as_deref(), Some(value), "{text}");
        }
    }

    #[test]
    fn refuses_anything_else() {
        for text in ["", ".", "-", "1,08.87", "1,084,87", ",1", "1.2.3", "ten", "1e", "1e99", "0x10", "1 000", "$5", "5%", "--1", "1.0,000"] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(read(&"9".repeat(40)), None);
        assert_eq!(read(&format!("0.{}", "1".repeat(40))), None);
    }

    #[test]
    fn whole_units_go_to_even_and_ignore_noise() {
        let whole_of = |text: &str| whole(text.parse().unwrap()).to_string();
        assert_eq!(whole_of("2.5"), "2");
        assert_eq!(whole_of("3.5"), "4");
        assert_eq!(whole_of("2.4999999999999999999999999999"), "2");
        assert_eq!(whole_of("3.4999999999999999999999999999"), "4");
        assert_eq!(whole_of("-0.5"), "0");
    }
}
