//! Whether the block charges of a class are sound.
//!
//! Belongs here: tiers that are missing, prices that are no numbers, starts and
//! prices of unequal number. Does not belong here: the walk through the parts
//! (`check`).

use super::error::{Place, TariffError};
use super::formula::Expr;
use super::key;
use super::names::{is_known_attribute, is_usage};
use super::tariff::{Body, Class, ItemKind, Part};

/// Checks every block charge in a part: its tiers are there, its prices are
/// numbers, and there are as many starts as prices.
pub(crate) fn charges(class: &Class, part: &Part, body: &Body, errors: &mut Vec<TariffError>) {
    match body {
        Body::Charge(_) => charge(class, part, errors),
        Body::Map(map) => {
            for entry in &map.entries {
                charges(class, part, &entry.body, errors);
            }
        }
        Body::Range(range) => {
            for (_, value) in &range.values {
                charges(class, part, value, errors);
            }
        }
        Body::Formula { .. } | Body::List(_) | Body::Unreadable(_) => {}
    }
}

fn charge(class: &Class, part: &Part, errors: &mut Vec<TariffError>) {
    let tiers = class.tier_parts(&part.normal);
    let prefix = match tiers.budget.as_str() {
        "sewer_budget" => "sewer_",
        _ => "",
    };
    let find = |index: Option<usize>| index.and_then(|index| class.part(index));
    let (starts, prices) = (find(tiers.starts), find(tiers.prices));
    for (found, what) in [(starts, "tier_starts"), (prices, "tier_prices")] {
        if found.is_none() {
            let place = Place::part(part.line, &class.name, &part.name);
            let message = format!("a block charge without tiers: expected a part `{prefix}{what}`");
            errors.push(TariffError::new(place, message));
        }
    }
    if let (Some(starts), Some(prices)) = (starts, prices) {
        prices_are_numbers(class, prices, errors);
        lengths(class, starts, prices, errors);
    }
}

/// A price is a number, or a formula of what the tariff itself defines.
fn prices_are_numbers(class: &Class, prices: &Part, errors: &mut Vec<TariffError>) {
    let mut given = Vec::new();
    wrong_prices(class, prices.line, &prices.body, &mut given);
    for (line, price) in given {
        let place = Place::part(line, &class.name, &prices.name);
        let message = format!("price `{price}`: expected a number");
        errors.push(TariffError::new(place, message));
    }
}

/// Prices that are no numbers, with their lines.
fn wrong_prices(class: &Class, line: usize, body: &Body, wrong: &mut Vec<(usize, String)>) {
    match body {
        Body::Formula { expr, .. } => {
            wrong.extend(unknown_name(class, expr).map(|name| (line, name)));
        }
        Body::List(items) => wrong.extend(items.iter().filter_map(|item| match &item.kind {
            ItemKind::Percent(percent) => Some((item.line, format!("{percent}%"))),
            ItemKind::Formula(expr) => Some((item.line, unknown_name(class, expr)?)),
            ItemKind::Unreadable(_) => None,
        })),
        Body::Map(map) => {
            for entry in &map.entries {
                wrong_prices(class, entry.line, &entry.body, wrong);
            }
        }
        Body::Range(range) => {
            for (line, value) in &range.values {
                wrong_prices(class, *line, value, wrong);
            }
        }
        Body::Charge(_) => wrong.push((line, "Tiered or Budget".to_owned())),
        Body::Unreadable(_) => {}
    }
}

/// A name in a price that the tariff does not define and accounts do not have.
fn unknown_name(class: &Class, expr: &Expr) -> Option<String> {
    let mut unknown = None;
    expr.names(&mut |name| {
        let known = class.find(name).is_some() || is_usage(name) || is_known_attribute(name);
        if !known {
            unknown = Some(name.to_owned());
        }
    });
    unknown
}

/// A list in a part: its key (none when the part has only one), line, length.
struct Length {
    key: Option<Vec<String>>,
    line: usize,
    count: usize,
}

/// As many starts as prices, wherever it is certain which meets which.
fn lengths(class: &Class, starts: &Part, prices: &Part, errors: &mut Vec<TariffError>) {
    let same_key = match (&starts.body, &prices.body) {
        (Body::Map(a), Body::Map(b)) => a.dimensions == b.dimensions,
        _ => false,
    };
    let (of_starts, of_prices) = (lengths_of(starts), lengths_of(prices));
    let even = |lengths: &[Length]| match lengths {
        [first, rest @ ..] => rest.iter().all(|other| other.count == first.count),
        [] => false,
    };
    // With different dimensions any list may meet any other; a difference is
    // certain only when one side always has the same length.
    let any_meets_any = !same_key && (even(&of_starts) || even(&of_prices));
    for start in &of_starts {
        let meets = |price: &&Length| any_meets_any || (same_key && price.key == start.key);
        for price in of_prices.iter().filter(meets) {
            if start.count != price.count {
                errors.push(unequal(class, starts, start, prices, price));
            }
        }
    }
}

fn unequal(class: &Class, starts: &Part, start: &Length, prices: &Part, price: &Length) -> TariffError {
    let place = Place::part(start.line, &class.name, &starts.name);
    let key = |length: &Length| match &length.key {
        Some(key) => format!(" for `{}`", key.join("|")),
        None => String::new(),
    };
    TariffError::new(
        place,
        format!(
            "{} tier starts{} but {} prices{} in {} on line {}: expected as many of one as of the other",
            start.count,
            key(start),
            price.count,
            key(price),
            prices.name,
            price.line
        ),
    )
}

fn lengths_of(part: &Part) -> Vec<Length> {
    let mut found = Vec::new();
    match &part.body {
        Body::Map(map) => {
            for entry in &map.entries {
                let key: Vec<String> = entry.values.iter().map(|v| key::exact(v)).collect();
                lengths_in(&entry.body, entry.line, Some(&key), &mut found);
            }
        }
        body => lengths_in(body, part.line, None, &mut found),
    }
    found
}

fn lengths_in(body: &Body, line: usize, key: Option<&Vec<String>>, found: &mut Vec<Length>) {
    let mut push = |line: usize, count: usize| {
        found.push(Length { key: key.cloned(), line, count });
    };
    match body {
        Body::List(items) => push(line, items.len()),
        Body::Formula { .. } => push(line, 1),
        Body::Map(map) => {
            for entry in &map.entries {
                lengths_in(&entry.body, entry.line, key, found);
            }
        }
        Body::Range(range) => {
            for (line, value) in &range.values {
                lengths_in(value, *line, key, found);
            }
        }
        Body::Charge(_) | Body::Unreadable(_) => {}
    }
}
