//! Keys of `depends_on` maps: the attribute values joined by `|`.
//!
//! Belongs here: splitting a key by the number of dimensions and the forms in
//! which a value is compared. Does not belong here: looking a key up.
//!
//! Rule (design, section 5): `1|1/2"`, `1_1/2"` and `1 1/2"` all mean 1½ inch,
//! so a `|` inside a size must not be taken for a separator.

use rust_decimal::Decimal;

use super::number::parse_number;

/// Separates dimensions in a lookup key; cannot occur in a value.
pub(crate) const SEPARATOR: char = '\u{1f}';

/// Splits a map key into `dimensions` values, or `None` when it has another
/// number of them.
pub(crate) fn split(key: &str, dimensions: usize) -> Option<Vec<String>> {
    let mut values: Vec<String> = key.split('|').map(|v| v.trim().to_owned()).collect();
    while values.len() > dimensions {
        let at = values.windows(2).position(|pair| match pair {
            [whole, fraction] => is_digits(whole) && starts_with_fraction(fraction),
            _ => false,
        })?;
        let fraction = values.remove(at + 1);
        let whole = values.get_mut(at)?;
        whole.push(' ');
        whole.push_str(&fraction);
    }
    (values.len() == dimensions).then_some(values)
}

/// The value as written, but for blanks and the three spellings of a size.
pub(crate) fn exact(value: &str) -> String {
    let blank = |c: char| c.is_whitespace() || c == '|';
    let mut text = String::with_capacity(value.len());
    for word in value.split(blank).filter(|word| !word.is_empty()) {
        if !text.is_empty() && !word.chars().all(|c| c == '"') {
            text.push(' ');
        }
        text.push_str(word);
    }
    match text.split_once('_') {
        Some((whole, rest)) if is_digits(whole) && starts_with_fraction(rest) => {
            format!("{whole} {rest}")
        }
        _ => text,
    }
}

/// A looser form tried when the exact one is not found: letter case does not
/// count, and sizes and numbers are compared by value (`1.5`, `1-1/2 in`).
pub(crate) fn folded(value: &str) -> String {
    let text = exact(value).to_lowercase();
    match size(&text) {
        Some(number) => format!("#{}", number.normalize()),
        None => text,
    }
}

/// Reads a number or a size in inches.
fn size(text: &str) -> Option<Decimal> {
    let mut bare = text.trim();
    for unit in ["inches", "inch", "in.", "in", "\"", "''", "\u{201d}"] {
        if let Some(rest) = bare.strip_suffix(unit) {
            bare = rest.trim_end();
            break;
        }
    }
    if let Some(number) = parse_number(bare) {
        return Some(number);
    }
    let (whole, fraction) = match bare.rsplit_once([' ', '-']) {
        Some((whole, fraction)) => (parse_digits(whole.trim_end_matches([' ', '-']))?, fraction),
        None => (Decimal::ZERO, bare),
    };
    let (above, below) = fraction.split_once('/')?;
    let (above, below) = (parse_digits(above)?, parse_digits(below)?);
    let part = above.checked_div(below)?;
    // Only fractions that are exact decimals: thirds stay text.
    (part.checked_mul(below)? == above).then_some(())?;
    whole.checked_add(part)
}

fn parse_digits(text: &str) -> Option<Decimal> {
    is_digits(text).then(|| parse_number(text)).flatten()
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.len() <= 6 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn starts_with_fraction(text: &str) -> bool {
    let Some((above, rest)) = text.split_once('/') else {
        return false;
    };
    is_digits(above) && rest.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_inside_a_size_is_no_separator() {
        assert_eq!(split("1|1/2\"", 1).unwrap(), ["1 1/2\""]);
        assert_eq!(split("1|1/2\"|3", 2).unwrap(), ["1 1/2\"", "3"]);
        assert_eq!(split("3|1|1/2\"", 2).unwrap(), ["3", "1 1/2\""]);
        assert_eq!(split("1|1/2\"|2|inside", 3).unwrap(), ["1 1/2\"", "2", "inside"]);
        assert_eq!(split("1\"|3", 2).unwrap(), ["1\"", "3"]);
        assert_eq!(split("1 1/2\"|Turbine   ", 2).unwrap(), ["1 1/2\"", "Turbine"]);
    }

    #[test]
    fn the_number_of_dimensions_must_fit() {
        assert_eq!(split("1\"|3", 1), None);
        assert_eq!(split("1\"", 2), None);
        assert_eq!(split("1|1/2\"|x|y", 2), None);
    }

    #[test]
    fn three_spellings_of_one_size() {
        for value in ["1|1/2\"", "1_1/2\"", "1 1/2\"", " 1  1/2 \""] {
            assert_eq!(exact(value), "1 1/2\"", "{value}");
        }
        assert_eq!(exact("inside_city"), "inside_city");
    }

    #[test]
    fn folded_compares_case_and_value() {
        for value in ["1.5", "1-1/2\"", "1 1/2 in", "1.50\"", "1|1/2\""] {
            assert_eq!(folded(value), "#1.5", "{value}");
        }
        assert_eq!(folded("01"), folded("1"));
        assert_eq!(folded("SUMMER"), folded("Summer"));
        assert_eq!(folded("1/3\""), "1/3\"");
        assert_eq!(folded("5/0\""), "5/0\"");
    }
}
