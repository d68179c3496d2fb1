//! How a policy writes amounts, shares and days: amounts and shares in quotes, so that no number becomes a float on its way.

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Unexpected, Visitor};

use crate::domain::money::Money;

struct Quoted(&'static str);

impl Visitor<'_> for Quoted {
    type Value = String;

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }
}

/// Reads an amount of money that is not negative: `approval_above = "100.00"`.
///
/// # Errors
/// When it is not in quotes, not an amount, or below zero.
pub fn money<'de, D: Deserializer<'de>>(source: D) -> Result<Money, D::Error> {
    let text = source.deserialize_str(Quoted("an amount in quotes, like \"100.00\""))?;
    let amount = Money::parse(&text).map_err(D::Error::custom)?;
    if amount.is_negative() {
        return Err(D::Error::invalid_value(Unexpected::Str(&text), &"an amount of 0 or more"));
    }
    Ok(amount)
}

/// The same where the key may be missing; used with `default`.
///
/// # Errors
/// As [`money`].
pub fn some_money<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Money>, D::Error> {
    money(source).map(Some)
}

/// Reads a share or a rate that is not negative: `percent = "1.5"`.
///
/// # Errors
/// When it is not in quotes, not a decimal number, or below zero.
pub fn decimal<'de, D: Deserializer<'de>>(source: D) -> Result<Decimal, D::Error> {
    let text = source.deserialize_str(Quoted("a number in quotes, like \"1.5\""))?;
    let number: Option<Decimal> = text.trim().parse().ok();
    number
        .filter(|number| !number.is_sign_negative())
        .ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&text), &"a number of 0 or more, like \"1.5\""))
}

/// Reads a day: `effective_on = 2026-07-01`, with or without quotes.
///
/// # Errors
/// When it is not a day of the calendar.
pub fn day<'de, D: Deserializer<'de>>(source: D) -> Result<NaiveDate, D::Error> {
    let written = match toml::Value::deserialize(source)? {
        toml::Value::Datetime(day) => day.to_string(),
        other => other.as_str().unwrap_or_default().to_owned(),
    };
    written.parse().map_err(|_| D::Error::custom(format!("'{written}' is not a day: expected one like 2026-07-01")))
}
