//! Helpers of the rates tests: tariffs in a line or two, bills as text.

use aquabills::domain::rates::{Attributes, Charge, ExactLine, PricingError, PricingInput, Share, Tariff, settle};
use rust_decimal::Decimal;

/// A tariff with one class `HOME` of the given parts (indented by nothing).
pub fn home(parts: &str) -> String {
    home_with("", parts)
}

/// As [`home`], with an `aquabills:` block of the given lines.
pub fn home_with(settings: &str, parts: &str) -> String {
    let mut text = String::from("metadata:\n  effective_date: 2020-01-01\n  utility_name: Test Water\n  bill_frequency: Monthly\n");
    if !settings.is_empty() {
        text.push_str("aquabills:\n");
        text.push_str(&indented(settings, 2));
    }
    text.push_str("rate_structure:\n  HOME:\n");
    text.push_str(&indented(parts, 4));
    text
}

fn indented(lines: &str, by: usize) -> String {
    lines.lines().map(|line| format!("{}{line}\n", " ".repeat(by))).collect()
}

pub fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

pub fn attributes(pairs: &[(&str, &str)]) -> Attributes {
    pairs.iter().copied().collect()
}

pub fn tariff(text: &str) -> Tariff {
    Tariff::parse(text).unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

pub fn lines(text: &str, usage: &str, given: &[(&str, &str)]) -> Result<Vec<ExactLine>, PricingError> {
    share_lines(text, usage, given, Share::WHOLE)
}

pub fn share_lines(text: &str, usage: &str, given: &[(&str, &str)], share: Share) -> Result<Vec<ExactLine>, PricingError> {
    let attributes = attributes(given);
    let compiled = tariff(text).compile("HOME").unwrap();
    compiled.price(&PricingInput { usage: decimal(usage), attributes: &attributes, share })
}

/// Prices and settles with the class's own rounding.
pub fn charge(text: &str, usage: &str, given: &[(&str, &str)]) -> Charge {
    let rounding = tariff(text).settings_of("HOME").rounding;
    settle(lines(text, usage, given).unwrap(), rounding).unwrap()
}

pub fn total(text: &str, usage: &str, given: &[(&str, &str)]) -> String {
    charge(text, usage, given).total.to_string()
}

/// Why a bill cannot be priced.
pub fn unpriced(text: &str, usage: &str, given: &[(&str, &str)]) -> String {
    lines(text, usage, given).unwrap_err().to_string()
}

/// Why a tariff is refused.
pub fn refused(text: &str) -> String {
    match Tariff::parse(text) {
        Ok(_) => panic!("not refused:\n{text}"),
        Err(errors) => errors.to_string(),
    }
}

/// A line as `part [tier n from-to] [quantity x price] = amount`.
pub fn shown(line: &ExactLine) -> String {
    let mut text = line.part.clone();
    if let Some(tier) = line.tier {
        let to = tier.to.map_or_else(|| "…".to_owned(), |to| to.normalize().to_string());
        text.push_str(&format!(" {}: {}-{to}", tier.number, tier.from.normalize()));
    }
    if let (Some(quantity), Some(price)) = (line.quantity, line.price) {
        text.push_str(&format!(" {} x {}", quantity.normalize(), price.normalize()));
    }
    format!("{text} = {}", line.amount.normalize())
}

pub fn all_shown(text: &str, usage: &str, given: &[(&str, &str)]) -> Vec<String> {
    lines(text, usage, given).unwrap().iter().map(shown).collect()
}
