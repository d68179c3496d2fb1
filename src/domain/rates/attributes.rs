//! What a tariff may need to know of an account.
//!
//! Belongs here: attributes by name, with the forms in which a value is used.
//! Does not belong here: which attributes a tariff asks for.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::key;
use super::names::normal;
use super::number::parse_number;

/// The attribute with the length of the period, which a bill run provides when the account does not state it.
pub const DAYS_IN_PERIOD: &str = "days_in_period";

/// Attributes of an account, such as `meter_size` or `hhsize`: text by name.
/// Names are compared in normal form; an empty value is no value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    values: BTreeMap<String, AttributeValue>,
}

/// One value in the forms it is used in, prepared once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AttributeValue {
    pub text: String,
    pub number: Option<Decimal>,
    pub exact: String,
    pub folded: String,
}

impl AttributeValue {
    pub(crate) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), number: parse_number(text), exact: key::exact(text), folded: key::folded(text) }
    }

    /// A number that was worked out, with all its digits.
    pub(crate) fn of_number(number: Decimal) -> Self {
        Self { number: Some(number), ..Self::new(&number.normalize().to_string()) }
    }
}

impl Attributes {
    /// No attributes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets an attribute; an empty value removes it.
    pub fn set(&mut self, name: &str, value: &str) {
        let value = value.trim();
        if value.is_empty() {
            self.values.remove(&normal(name));
        } else {
            self.values.insert(normal(name), AttributeValue::new(value));
        }
    }

    /// The text of an attribute.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(&normal(name)).map(|value| value.text.as_str())
    }

    /// An attribute as a number, when it is one.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<Decimal> {
        self.values.get(&normal(name))?.number
    }

    /// Names (in normal form) and texts, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value.text.as_str()))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// An attribute of a name in normal form.
    pub(crate) fn value(&self, normal: &str) -> Option<&AttributeValue> {
        self.values.get(normal)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = (&str, &AttributeValue)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for Attributes {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut attributes = Self::new();
        for (name, value) in pairs {
            attributes.set(name.as_ref(), value.as_ref());
        }
        attributes
    }
}

impl Serialize for Attributes {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_map(self.iter())
    }
}

/// Reads a JSON object; a number or truth value is taken as its text, `null` as absent.
impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let object = BTreeMap::<String, serde_json::Value>::deserialize(input)?;
        let mut attributes = Self::new();
        for (name, value) in object {
            match value {
                serde_json::Value::Null => {}
                serde_json::Value::String(text) => attributes.set(&name, &text),
                serde_json::Value::Number(number) => attributes.set(&name, &number.to_string()),
                serde_json::Value::Bool(truth) => attributes.set(&name, &truth.to_string()),
                _ => {
                    let message = format!("attribute `{name}`: expected a text or a number");
                    return Err(serde::de::Error::custom(message));
                }
            }
        }
        Ok(attributes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_any_spelling_and_numbers_on_demand() {
        let attributes: Attributes = [("Meter Size", "5/8\""), ("hhsize", "3"), ("zone", " ")].into_iter().collect();
        assert_eq!(attributes.get("meter_size"), Some("5/8\""));
        assert_eq!(attributes.number("HHSIZE"), Some(Decimal::from(3)));
        assert_eq!(attributes.number("meter_size"), None);
        assert_eq!(attributes.get("zone"), None);
    }

    #[test]
    fn json_round_trip() {
        let text = r#"{"hhsize":3,"et_amount":"4.0","low_income":true,"zone":null}"#;
        let attributes: Attributes = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&attributes).unwrap(), r#"{"et_amount":"4.0","hhsize":"3","low_income":"true"}"#);
        assert!(serde_json::from_str::<Attributes>(r#"{"a":[1]}"#).is_err());
    }
}
