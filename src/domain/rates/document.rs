//! From the YAML tree to a tariff.
//!
//! Belongs here: the shape of the Open Water Rate Specification: blocks,
//! classes, parts and their bodies. Does not belong here: whether the parts fit
//! together (`check`).

use std::collections::HashMap;

use rust_decimal::Decimal;

use super::error::{Place, TariffError, TariffErrors};
use super::formula::Expr;
use super::names::{normal, reads_like_a_charge};
use super::number::parse_number;
use super::tariff::{Body, ChargeKind, Class, Item, ItemKind, Map, MapEntry, Part, Range, Tariff, sha256_hex};
use super::yaml::{self, Entry, Node, Value};
use super::{key, metadata, settings};

/// Reads a text; what is wrong in single classes comes beside the tariff.
pub(crate) fn read(text: &str) -> Result<(Tariff, Vec<TariffError>), TariffErrors> {
    let documents = yaml::documents(text).map_err(TariffErrors)?;
    let document = the_tariff(&documents)?;
    let mut fatal = Vec::new();
    let mut errors = Vec::new();
    let classes = classes(document, &mut fatal, &mut errors);
    let metadata = metadata::read(document, &mut fatal);
    let names: Vec<String> = classes.iter().map(|class| class.name.clone()).collect();
    let settings = settings::read(document, &metadata, &names, &mut fatal);
    if !fatal.is_empty() {
        fatal.extend(errors);
        fatal.sort();
        return Err(TariffErrors(fatal));
    }
    let tariff = Tariff { metadata, settings: settings.file, class_settings: settings.classes, classes, sha256: sha256_hex(text) };
    Ok((tariff, errors))
}

/// The one document with rates; files may carry other documents beside it.
fn the_tariff(documents: &[Node]) -> Result<&Node, TariffError> {
    let mut found = documents.iter().filter(|node| node.get("rate_structure").is_some());
    let refused = |line: Option<usize>, message: &str| {
        let place = Place { line, ..Place::default() };
        Err(TariffError::new(place, message))
    };
    match (found.next(), found.next()) {
        (Some(document), None) => Ok(document),
        (None, _) => refused(None, "no `rate_structure`: expected a map of rate classes"),
        (Some(_), Some(second)) => refused(Some(second.line), "a second document with a `rate_structure`: expected one"),
    }
}

/// The classes; a class left blank is no class.
fn classes(document: &Node, fatal: &mut Vec<TariffError>, errors: &mut Vec<TariffError>) -> Vec<Class> {
    let Some(block) = document.get("rate_structure") else {
        return Vec::new();
    };
    let mut classes = Vec::new();
    for entry in block.node.entries().unwrap_or_default() {
        match &entry.node.value {
            Value::Map(parts) => classes.push(class(entry, parts, errors)),
            Value::Null => {}
            _ => errors.push(TariffError::new(Place::class(entry.line, &entry.key), format!("{}: expected a map of named parts", entry.node.kind()))),
        }
    }
    if classes.is_empty() {
        let message = "`rate_structure` has no rate class: expected a map of rate classes";
        fatal.push(TariffError::new(Place::line(block.line), message));
    }
    classes
}

fn class(entry: &Entry, entries: &[Entry], errors: &mut Vec<TariffError>) -> Class {
    let mut parts = Vec::with_capacity(entries.len());
    let mut index: HashMap<String, usize> = HashMap::new();
    for part in entries {
        let normal = normal(&part.key);
        if let Some(first) = index.insert(normal.clone(), parts.len()) {
            let other: &Part = match parts.get(first) {
                Some(other) => other,
                None => continue,
            };
            errors.push(TariffError::new(
                Place::part(part.line, &entry.key, &part.key),
                format!("the same name as `{}` on line {}", other.name, other.line),
            ));
        }
        let kinds = Kinds::of(&normal, entries);
        parts.push(Part { name: part.key.clone(), normal, line: part.line, body: body(&part.node, kinds) });
    }
    Class { name: entry.key.clone(), line: entry.line, parts, index }
}

fn body(node: &Node, kinds: Kinds) -> Body {
    match &node.value {
        Value::Null => Body::Unreadable("nothing given: expected a number, a formula, a list or a map".into()),
        Value::Scalar(text) => scalar(text, kinds),
        Value::List(items) => Body::List(items.iter().map(item).collect()),
        Value::Map(_) => map(node, kinds).unwrap_or_else(Body::Unreadable),
    }
}

/// Which words mean a kind of charge where they stand.
#[derive(Clone, Copy)]
struct Kinds {
    tiered_in_any_case: bool,
    budget_in_any_case: bool,
}

impl Kinds {
    /// `Tiered` and `Budget` are kinds of charges. In another letter case they
    /// are too, unless the word can be the name of a part: `commodity_charge:
    /// budget` is a kind (published so), `tier_base: budget` names the part.
    fn of(part: &str, entries: &[Entry]) -> Self {
        let charge = reads_like_a_charge(part);
        let is_part = |name: &str| entries.iter().any(|entry| normal(&entry.key) == name);
        Self { tiered_in_any_case: charge || !is_part("tiered"), budget_in_any_case: charge || !is_part("budget") }
    }

    fn read(self, text: &str) -> Option<ChargeKind> {
        match (text, normal(text).as_str()) {
            ("Tiered", _) => Some(ChargeKind::Tiered),
            ("Budget", _) => Some(ChargeKind::Budget),
            (_, "tiered") if self.tiered_in_any_case => Some(ChargeKind::Tiered),
            (_, "budget") if self.budget_in_any_case => Some(ChargeKind::Budget),
            _ => None,
        }
    }
}

fn scalar(text: &str, kinds: Kinds) -> Body {
    if let Some(kind) = kinds.read(text) {
        return Body::Charge(kind);
    }
    match Expr::parse(text) {
        Ok(expr) => Body::Formula { text: text.to_owned(), expr },
        Err(message) => Body::Unreadable(message),
    }
}

fn item(node: &Node) -> Item {
    let kind = match node.text() {
        None => ItemKind::Unreadable(format!("{} in a list: expected a number", node.kind())),
        Some(text) => match text.strip_suffix('%').map(parse_number) {
            Some(Some(percent)) => ItemKind::Percent(percent),
            _ => Expr::parse(text).map_or_else(ItemKind::Unreadable, ItemKind::Formula),
        },
    };
    Item { line: node.line, kind }
}

/// A map part: `depends_on` with `values`, by key or by range.
fn map(node: &Node, kinds: Kinds) -> Result<Body, String> {
    let (depends_on, values) = match (node.get("depends_on"), node.get("values")) {
        (Some(depends_on), Some(values)) => (depends_on, values),
        (None, None) => return Err("a group of names: expected `depends_on` and `values`".into()),
        (Some(_), None) => return Err("`depends_on` without `values`: expected both".into()),
        (None, Some(_)) => return Err("`values` without `depends_on`: expected both".into()),
    };
    let dimensions = dimensions(&depends_on.node)?;
    let starts = node.entries().and_then(|entries| entries.iter().find(|entry| entry.key.ends_with("_starts")));
    if let (Some(starts), Value::List(values)) = (starts, &values.node.value) {
        return range(dimensions, starts, values, kinds);
    }
    let mut entries = Vec::new();
    let gather = Gather { dimensions: &dimensions, kinds };
    gather.collect(&values.node, "", &mut entries)?;
    if entries.is_empty() {
        return Err("`values` is empty: expected a map of keys".into());
    }
    no_key_twice(&entries)?;
    Ok(Body::Map(Map { dimensions, entries }))
}

fn dimensions(node: &Node) -> Result<Vec<String>, String> {
    let names: Vec<String> = match &node.value {
        Value::Scalar(text) => text.split([',', '|']).map(normal).collect(),
        Value::List(items) => items.iter().map(|item| item.text().map(normal).unwrap_or_default()).collect(),
        _ => Vec::new(),
    };
    if names.is_empty() || names.iter().any(String::is_empty) {
        return Err("`depends_on`: expected a name or a list of names".into());
    }
    Ok(names)
}

/// Gathers the values of a map under their keys.
struct Gather<'a> {
    dimensions: &'a [String],
    kinds: Kinds,
}

impl Gather<'_> {
    /// Maps inside maps are keys of several dimensions, and a list of one-key
    /// maps is a map (both occur in published files).
    fn collect(&self, node: &Node, prefix: &str, entries: &mut Vec<MapEntry>) -> Result<(), String> {
        let keyed: Vec<&Entry> = match &node.value {
            Value::Map(keyed) => keyed.iter().collect(),
            Value::List(items) if items.iter().all(|item| item.entries().is_some()) => items.iter().filter_map(Node::entries).flatten().collect(),
            _ => Vec::new(),
        };
        if keyed.is_empty() {
            let kind = node.kind();
            return Err(format!("`values` is {kind}: expected a map of keys"));
        }
        for entry in keyed {
            let key = match prefix {
                "" => entry.key.clone(),
                prefix => format!("{prefix}|{}", entry.key),
            };
            if entry.node.entries().is_some() && entry.node.get("values").is_none() {
                self.collect(&entry.node, &key, entries)?;
            } else {
                entries.push(self.entry(entry, key)?);
            }
        }
        Ok(())
    }

    fn entry(&self, entry: &Entry, key: String) -> Result<MapEntry, String> {
        let values = key::split(&key, self.dimensions.len()).ok_or_else(|| {
            let expected = self.dimensions.join("|");
            format!("key `{key}` on line {}: expected {expected} joined by |", entry.line)
        })?;
        Ok(MapEntry { key, values, line: entry.line, body: body(&entry.node, self.kinds) })
    }
}

/// Two spellings of one key are a duplicate key.
fn no_key_twice(entries: &[MapEntry]) -> Result<(), String> {
    let mut seen: HashMap<String, &MapEntry> = HashMap::new();
    for entry in entries {
        let words: Vec<String> = entry.values.iter().map(|value| key::exact(value)).collect();
        if let Some(first) = seen.insert(words.join(&key::SEPARATOR.to_string()), entry) {
            return Err(format!("key `{}` on line {} means the same as `{}` on line {}", entry.key, entry.line, first.key, first.line));
        }
    }
    Ok(())
}

/// A map by numeric range: `area_starts` with as many `values`.
fn range(dimensions: Vec<String>, starts: &Entry, values: &[Node], kinds: Kinds) -> Result<Body, String> {
    let name = &starts.key;
    let mut dimensions = dimensions.into_iter();
    let (Some(dimension), None) = (dimensions.next(), dimensions.next()) else {
        return Err(format!("`{name}` with several names in `depends_on`: expected one"));
    };
    let starts = rising_numbers(starts)?;
    if starts.len() != values.len() {
        return Err(format!("{} {name} but {} values: expected as many of one as of the other", starts.len(), values.len()));
    }
    let values = values.iter().map(|node| (node.line, body(node, kinds))).collect();
    Ok(Body::Range(Range { dimension, starts, values }))
}

fn rising_numbers(entry: &Entry) -> Result<Vec<Decimal>, String> {
    let listed = match &entry.node.value {
        Value::List(items) => items.as_slice(),
        _ => std::slice::from_ref(&entry.node),
    };
    let numbers: Option<Vec<Decimal>> = listed.iter().map(|node| node.text().and_then(parse_number)).collect();
    let name = &entry.key;
    match numbers {
        None => Err(format!("`{name}`: expected a list of numbers")),
        Some(numbers) if !numbers.is_sorted_by(|a, b| a < b) => Err(format!("`{name}`: expected rising numbers")),
        Some(numbers) => Ok(numbers),
    }
}
