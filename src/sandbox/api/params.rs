//! Names and values of a call: `line_items[0][price_data][currency]=usd`.

use std::collections::BTreeMap;

use crate::sandbox::acts::Refusal;

/// Pairs of one call that one thing may bear as its own.
const MOST_METADATA: usize = 50;

/// The parameters of a call, by name.
#[derive(Debug)]
pub(super) struct Params {
    by_name: BTreeMap<String, String>,
}

impl Params {
    pub fn new(pairs: &[(String, String)]) -> Self {
        Self { by_name: pairs.iter().cloned().collect() }
    }

    /// Fails on a name that is none of these; `*` stands for any part.
    pub fn only(&self, known: &[&str]) -> Result<(), Refusal> {
        let expand = ["expand[*]"];
        let fits = |name: &str| known.iter().chain(&expand).any(|pattern| matches(name, pattern));
        let unknown = self.by_name.keys().find(|name| !fits(name));
        unknown.map_or(Ok(()), |name| Err(Refusal::invalid("parameter_unknown", format!("Received unknown parameter: {}", name.escape_default()))))
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.by_name.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    pub fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.get(name).ok_or_else(|| Refusal::invalid("parameter_missing", format!("Missing required param: {name}.")))
    }

    pub fn whole(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let parse = |text: &str| {
            text.parse().map_err(|_| Refusal::invalid("parameter_invalid_integer", format!("Invalid integer: {}", text.escape_default())))
        };
        self.get(name).map(parse).transpose()
    }

    pub fn required_whole(&self, name: &str) -> Result<i64, Refusal> {
        self.required(name)?;
        self.whole(name).map(Option::unwrap_or_default)
    }

    /// A currency that the sandbox has: with two decimals.
    pub fn currency(&self, name: &str) -> Result<String, Refusal> {
        let code = self.required(name)?;
        let fits = ["usd", "eur", "gbp", "cad", "aud", "nzd", "chf"].contains(&code);
        if fits {
            Ok(code.to_owned())
        } else {
            Err(Refusal::invalid("parameter_invalid_enum", format!("Invalid currency: {}", code.escape_default())))
        }
    }

    /// `prefix[name]=value` for any name.
    pub fn metadata(&self, prefix: &str) -> Result<BTreeMap<String, String>, Refusal> {
        let own = |(name, value): (&String, &String)| {
            let key = name.strip_prefix(prefix)?.strip_prefix('[')?.strip_suffix(']')?;
            Some((key.to_owned(), value.clone()))
        };
        let found: BTreeMap<String, String> = self.by_name.iter().filter_map(own).collect();
        let fits = found.len() <= MOST_METADATA && found.iter().all(|(key, value)| key.len() <= 40 && value.len() <= 500);
        if fits { Ok(found) } else { Err(Refusal::invalid("metadata_too_large", "Metadata has at most 50 keys of 40 letters, with values of 500.")) }
    }

    /// Whether a part of the answer is asked for in full.
    pub fn expands(&self, what: &str) -> bool {
        self.by_name.iter().any(|(name, value)| name.starts_with("expand[") && value == what)
    }
}

fn matches(name: &str, pattern: &str) -> bool {
    let parts = |text: &str| text.split('[').map(|part| part.trim_end_matches(']').to_owned()).collect::<Vec<_>>();
    let (name, pattern) = (parts(name), parts(pattern));
    name.len() == pattern.len() && name.iter().zip(&pattern).all(|(given, known)| known == "*" || given == known)
}
