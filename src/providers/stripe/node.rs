//! A place in a provider's JSON that knows where it is: what is missing or of another kind is told with its path.

use serde_json::Value;

use crate::domain::money::Money;

/// The longest name of a thing that we take from a provider.
const LONGEST_ID: usize = 255;

/// Currencies of Stripe whose amounts do not have two decimals.
const OTHER_DECIMALS: &[&str] = &[
    "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf", "bhd", "iqd", "jod", "kwd", "lyd",
    "omr", "tnd",
];

/// A value and its path. What is missing is null.
#[derive(Debug, Clone)]
pub(super) struct Node<'a> {
    path: String,
    value: &'a Value,
}

impl<'a> Node<'a> {
    pub(super) fn root(name: &str, value: &'a Value) -> Self {
        Self { path: name.to_owned(), value }
    }

    pub(super) fn get(&self, key: &str) -> Self {
        Self { path: format!("{}.{key}", self.path), value: self.value.get(key).unwrap_or(&Value::Null) }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn value(&self) -> &'a Value {
        self.value
    }

    pub(super) fn is_null(&self) -> bool {
        self.value.is_null()
    }

    fn expected<T>(&self, what: &str) -> Result<T, String> {
        let found = match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "yes or no",
            Value::Number(_) => "another number",
            Value::String(_) => "another text",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        Err(format!("{}: expected {what}, found {found}", self.path))
    }

    pub(super) fn text(&self) -> Result<&'a str, String> {
        self.value.as_str().map_or_else(|| self.expected("a text"), Ok)
    }

    pub(super) fn text_opt(&self) -> Result<Option<&'a str>, String> {
        if self.is_null() { Ok(None) } else { self.text().map(Some) }
    }

    /// For texts that are only shown.
    pub(super) fn text_or_empty(&self) -> &'a str {
        self.value.as_str().unwrap_or_default()
    }

    /// Numbers are whole or refused: money never passes a float.
    pub(super) fn whole(&self) -> Result<i64, String> {
        self.value.as_i64().map_or_else(|| self.expected("a whole number"), Ok)
    }

    pub(super) fn money(&self) -> Result<Money, String> {
        self.whole().map(Money::from_cents)
    }

    pub(super) fn flag(&self) -> Result<bool, String> {
        self.value.as_bool().map_or_else(|| self.expected("yes or no"), Ok)
    }

    /// The name of a thing: itself, or that of the thing when Stripe put the whole in its place.
    pub(super) fn id(&self) -> Result<String, String> {
        let text = self.value.as_str().or_else(|| self.value.get("id").and_then(Value::as_str)).unwrap_or_default();
        let fits = !text.is_empty() && text.len() <= LONGEST_ID && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
        if fits { Ok(text.to_owned()) } else { self.expected("the name of a thing") }
    }

    pub(super) fn id_opt(&self) -> Result<Option<String>, String> {
        if self.is_null() { Ok(None) } else { self.id().map(Some) }
    }

    pub(super) fn items(&self) -> Result<Vec<Node<'a>>, String> {
        let Some(items) = self.value.as_array() else { return self.expected("a list") };
        let place = |(index, value)| Node { path: format!("{}[{index}]", self.path), value };
        Ok(items.iter().enumerate().map(place).collect())
    }

    /// The code of a currency with two decimals, in capitals.
    pub(super) fn currency(&self) -> Result<String, String> {
        let code = self.text()?;
        let is_code = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_alphabetic());
        if !is_code || OTHER_DECIMALS.contains(&code.to_ascii_lowercase().as_str()) {
            return Err(format!("{}: '{}': expected a currency with two decimals", self.path, code.escape_default()));
        }
        Ok(code.to_ascii_uppercase())
    }
}
