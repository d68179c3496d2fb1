//! Suspicious tables: sizes, starts, prices and holes.
//!
//! Belongs here: comparing the numbers of a table with each other. Does not
//! belong here: names and what is used (`lint`).

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};

use rust_decimal::Decimal;

use super::formula::Expr;
use super::key;
use super::lint::{ClassLint, Severity};
use super::number::parse_number;
use super::tariff::{Body, Item, ItemKind, Map, MapEntry, Part};

/// Most missing keys named in one warning.
const MOST_NAMED: usize = 5;

/// A bigger meter that costs less than a smaller one.
pub(crate) fn sizes(lint: &mut ClassLint<'_>, part: &Part) {
    let Body::Map(map) = &part.body else { return };
    let Some(at) = map.dimensions.iter().position(|name| name.contains("size")) else {
        return;
    };
    let mut groups: BTreeMap<Vec<String>, Vec<(Decimal, Decimal, &MapEntry)>> = BTreeMap::new();
    for entry in &map.entries {
        let size = entry.values.get(at).and_then(|value| parse_number(key::folded(value).strip_prefix('#')?));
        if let (Some(size), Some(cost)) = (size, number(&entry.body)) {
            let mut others = entry.values.clone();
            others.remove(at);
            groups.entry(others).or_default().push((size, cost, entry));
        }
    }
    for mut group in groups.into_values() {
        group.sort_by_key(|(size, ..)| *size);
        for pair in group.windows(2) {
            let [(_, small, smaller), (_, big, bigger)] = pair else {
                continue;
            };
            if big < small {
                let message = format!("the bigger `{}` costs {big}, less than `{}` at {small}", bigger.key, smaller.key);
                lint.warn(Severity::Warning, part, bigger.line, message);
            }
        }
    }
}

/// Starts that do not rise, wherever lists of them are.
pub(crate) fn rising_starts(lint: &mut ClassLint<'_>, part: &Part, line: usize, body: &Body) {
    for (_, items) in lists(body, line) {
        let numbers = items.iter().filter_map(|item| match &item.kind {
            ItemKind::Formula(Expr::Number(number)) => Some((item, false, *number)),
            ItemKind::Percent(percent) => Some((item, true, *percent)),
            _ => None,
        });
        // Numbers are compared with numbers and percentages with percentages.
        let (percents, plain): (Vec<_>, Vec<_>) = numbers.partition(|(_, percent, _)| *percent);
        for pair in percents.windows(2).chain(plain.windows(2)) {
            let [(_, _, before), (item, _, start)] = pair else {
                continue;
            };
            let message = match start.cmp(before) {
                Ordering::Equal => format!("start {start} is repeated: its block is empty"),
                Ordering::Less => format!("start {start} comes after {before}: expected rising starts"),
                Ordering::Greater => continue,
            };
            lint.warn(Severity::Warning, part, item.line, message);
        }
    }
}

/// Prices that fall as usage rises.
pub(crate) fn falling_prices(lint: &mut ClassLint<'_>, part: &Part, line: usize, body: &Body) {
    for (_, items) in lists(body, line) {
        let prices: Vec<_> = items.iter().filter_map(|item| Some((item.line, item_number(item)?))).collect();
        for pair in prices.windows(2) {
            let [(_, before), (line, price)] = pair else {
                continue;
            };
            if price < before {
                let message = format!("price {price} after {before}: the price falls as usage rises");
                lint.warn(Severity::Warning, part, *line, message);
            }
        }
    }
}

/// Prices below zero: a discount has a place of its own.
pub(crate) fn negative_prices(lint: &mut ClassLint<'_>, part: &Part) {
    for (line, price) in numbers(&part.body, part.line) {
        if price < Decimal::ZERO {
            lint.warn(Severity::Warning, part, line, format!("price {price} is below zero: a discount may be meant"));
        }
    }
}

/// Every plain number in a body, with its line.
pub(crate) fn numbers(body: &Body, line: usize) -> Vec<(usize, Decimal)> {
    match body {
        Body::Formula { expr, .. } => signed(expr).map(|number| (line, number)).into_iter().collect(),
        Body::List(items) => items
            .iter()
            .filter_map(|item| match &item.kind {
                ItemKind::Formula(expr) => Some((item.line, signed(expr)?)),
                _ => None,
            })
            .collect(),
        Body::Map(map) => map.entries.iter().flat_map(|entry| numbers(&entry.body, entry.line)).collect(),
        Body::Range(range) => range.values.iter().flat_map(|(line, value)| numbers(value, *line)).collect(),
        Body::Charge(_) | Body::Unreadable(_) => Vec::new(),
    }
}

fn signed(expr: &Expr) -> Option<Decimal> {
    match expr {
        Expr::Number(number) => Some(*number),
        Expr::Negative(inner) => signed(inner).map(|number| -number),
        _ => None,
    }
}

/// Starts like 10, 20, 100 under the first-unit rule, where the block before
/// ends at 9, 19, 99: published tables often mean "above 10".
pub(crate) fn round_starts(lint: &mut ClassLint<'_>, part: &Part) {
    let suspicious = lists(&part.body, part.line).into_iter().find_map(|(line, items)| Some((line, round(items)?)));
    let Some((line, starts)) = suspicious else {
        return;
    };
    let named: Vec<String> = starts.iter().take(MOST_NAMED).map(ToString::to_string).collect();
    let first = starts.first().copied().unwrap_or_default();
    let ends = first.checked_sub(Decimal::ONE).unwrap_or_default();
    let message = format!(
        "round starts ({}): by the first-unit rule the first block ends at {ends}; if the blocks end at the starts themselves, say `tier_rule: boundary`",
        named.join(", ")
    );
    lint.warn(Severity::Warning, part, line, message);
}

/// The starts of a list when all are round: multiples of five, one of ten.
fn round(items: &[Item]) -> Option<Vec<Decimal>> {
    let above_zero = |start: &Decimal| *start > Decimal::ZERO;
    let starts: Vec<Decimal> = items.iter().filter_map(item_number).filter(above_zero).collect();
    let multiple = |start: &Decimal, of: i64| start.checked_rem(Decimal::from(of)) == Some(Decimal::ZERO);
    let all = starts.iter().all(|start| multiple(start, 5));
    let any = starts.iter().any(|start| multiple(start, 10));
    (all && any).then_some(starts)
}

/// Keys one table has and another of the same dimensions has not, and
/// combinations of several dimensions that are missing.
pub(crate) fn holes(lint: &mut ClassLint<'_>) {
    let tables: Vec<(&Part, &Map)> = lint
        .parts()
        .filter(|(index, _)| lint.used.contains(index))
        .filter_map(|(_, part)| match &part.body {
            Body::Map(map) => Some((part, map)),
            _ => None,
        })
        .collect();
    for (part, map) in &tables {
        let own: HashSet<Vec<String>> = map.entries.iter().map(folded).collect();
        let mut missing: Vec<String> = Vec::new();
        for (other, their) in &tables {
            if their.dimensions == map.dimensions && other.normal != part.normal {
                let lacking = their.entries.iter().filter(|entry| !own.contains(&folded(entry)));
                missing.extend(lacking.map(|entry| format!("`{}` (in {})", entry.key, other.name)));
            }
        }
        missing.extend(missing_combinations(map, &own));
        missing.dedup();
        if missing.is_empty() {
            continue;
        }
        let more = missing.len().saturating_sub(MOST_NAMED);
        missing.truncate(MOST_NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let message = format!("no value for {}{more}", missing.join(", "));
        lint.warn(Severity::Note, part, part.line, message);
    }
}

/// Combinations of the words each dimension has, when only some are missing.
fn missing_combinations(map: &Map, own: &HashSet<Vec<String>>) -> Vec<String> {
    const MOST: usize = 2_000;
    if map.dimensions.len() < 2 {
        return Vec::new();
    }
    let mut combinations: Vec<(Vec<String>, Vec<String>)> = vec![(Vec::new(), Vec::new())];
    for at in 0..map.dimensions.len() {
        let words: BTreeMap<String, String> =
            map.entries.iter().filter_map(|entry| entry.values.get(at)).map(|value| (key::folded(value), value.clone())).collect();
        if combinations.len().saturating_mul(words.len()) > MOST {
            return Vec::new();
        }
        combinations = combinations
            .iter()
            .flat_map(|(keys, shown)| {
                words.iter().map(|(key, value)| {
                    let longer = |list: &[String], word: &String| [list, std::slice::from_ref(word)].concat();
                    (longer(keys, key), longer(shown, value))
                })
            })
            .collect();
    }
    let missing = combinations.into_iter().filter(|(keys, _)| !own.contains(keys));
    missing.map(|(_, shown)| format!("`{}`", shown.join("|"))).collect()
}

fn folded(entry: &MapEntry) -> Vec<String> {
    entry.values.iter().map(|value| key::folded(value)).collect()
}

/// Every list in a body, with its line.
fn lists(body: &Body, line: usize) -> Vec<(usize, &[Item])> {
    match body {
        Body::List(items) => vec![(line, items)],
        Body::Map(map) => {
            let nested = map.entries.iter().map(|entry| lists(&entry.body, entry.line));
            nested.flatten().collect()
        }
        Body::Range(range) => {
            let nested = range.values.iter().map(|(line, value)| lists(value, *line));
            nested.flatten().collect()
        }
        Body::Formula { .. } | Body::Charge(_) | Body::Unreadable(_) => Vec::new(),
    }
}

fn item_number(item: &Item) -> Option<Decimal> {
    match &item.kind {
        ItemKind::Formula(Expr::Number(number)) => Some(*number),
        _ => None,
    }
}

/// A body that is one plain number.
fn number(body: &Body) -> Option<Decimal> {
    match body {
        Body::Formula { expr: Expr::Number(number), .. } => Some(*number),
        Body::List(items) => match items.as_slice() {
            [item] => item_number(item),
            _ => None,
        },
        _ => None,
    }
}
