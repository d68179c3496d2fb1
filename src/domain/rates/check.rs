//! Whether the parts of a class fit together.
//!
//! Belongs here: everything that is certainly wrong whoever the account is, in
//! what `bill` can reach. Does not belong here: what is merely suspicious
//! (`lint`), or wrong for one account (a pricing error).

use super::error::{Place, TariffError};
use super::formula::Expr;
use super::names::{is_known_attribute, is_usage};
use super::tariff::{Body, Class, Item, ItemKind, Part};

/// Longest chain of parts naming parts, and deepest evaluation that may result.
const MAX_CHAIN: usize = 64;
const MAX_TOTAL_DEPTH: usize = 512;

/// Checks one class.
pub(crate) fn class(class: &Class) -> Vec<TariffError> {
    let Some(bill) = class.index.get("bill").copied() else {
        let place = Place::class(class.line, &class.name);
        return vec![TariffError::new(
            place,
            "no part `bill`: expected the formula of the bill",
        )];
    };
    let mut walk = Walk {
        class,
        heights: vec![None; class.parts.len()],
        path: Vec::new(),
        errors: Vec::new(),
    };
    walk.part(bill);
    let reached: Vec<usize> = reached(&walk.heights);
    let mut errors = walk.errors;
    for part in reached.iter().filter_map(|index| class.part(*index)) {
        readable(class, part, part.line, &part.body, &mut errors);
        charges(class, part, &part.body, &mut errors);
    }
    errors
}

/// The parts `bill` can reach, in file order; empty when there is no bill.
pub(crate) fn reachable(class: &Class) -> Vec<usize> {
    let Some(bill) = class.index.get("bill").copied() else {
        return Vec::new();
    };
    let mut walk = Walk {
        class,
        heights: vec![None; class.parts.len()],
        path: Vec::new(),
        errors: Vec::new(),
    };
    walk.part(bill);
    reached(&walk.heights)
}

fn reached(heights: &[Option<usize>]) -> Vec<usize> {
    let reached = heights
        .iter()
        .enumerate()
        .filter(|(_, height)| height.is_some());
    reached.map(|(index, _)| index).collect()
}

/// The parts a part uses.
pub(crate) fn uses(class: &Class, index: usize) -> Vec<usize> {
    let mut found = Vec::new();
    if let Some(part) = class.part(index) {
        used_by_body(class, index, part, &part.body, &mut found);
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn used_by_body(class: &Class, index: usize, part: &Part, body: &Body, found: &mut Vec<usize>) {
    match body {
        Body::Formula { expr, .. } => used_by_expr(class, index, expr, found),
        Body::List(items) => {
            for item in items {
                if let ItemKind::Formula(expr) = &item.kind {
                    used_by_expr(class, index, expr, found);
                }
            }
        }
        Body::Charge(_) => {
            let tiers = class.tier_parts(&part.normal);
            found.extend(tiers.starts.into_iter().chain(tiers.prices));
            if needs_budget(class, part, body) {
                // Asked by its own name: `budget: Budget` is a circle.
                found.extend(class.find(&tiers.budget));
            }
        }
        Body::Map(map) => {
            let named = map.dimensions.iter();
            found.extend(named.filter_map(|name| class.find_from(index, name)));
            for entry in &map.entries {
                used_by_body(class, index, part, &entry.body, found);
            }
        }
        Body::Range(range) => {
            found.extend(class.find_from(index, &range.dimension));
            for (_, value) in &range.values {
                used_by_body(class, index, part, value, found);
            }
        }
        Body::Unreadable(_) => {}
    }
}

fn used_by_expr(class: &Class, index: usize, expr: &Expr, found: &mut Vec<usize>) {
    expr.names(&mut |name| found.extend(class.find_from(index, name)));
}

/// Whether a charge is `Budget` and has a start in percent.
fn needs_budget(class: &Class, part: &Part, body: &Body) -> bool {
    let Body::Charge(super::tariff::ChargeKind::Budget) = body else {
        return false;
    };
    let starts = class.tier_parts(&part.normal).starts;
    let starts = starts.and_then(|index| class.part(index));
    starts.is_some_and(|starts| {
        any_item(&starts.body, &|item| {
            matches!(item.kind, ItemKind::Percent(_))
        })
    })
}

/// Whether any list entry in a body satisfies a test.
pub(crate) fn any_item(body: &Body, test: &dyn Fn(&Item) -> bool) -> bool {
    match body {
        Body::List(items) => items.iter().any(test),
        Body::Map(map) => map.entries.iter().any(|entry| any_item(&entry.body, test)),
        Body::Range(range) => range.values.iter().any(|(_, value)| any_item(value, test)),
        Body::Formula { .. } | Body::Charge(_) | Body::Unreadable(_) => false,
    }
}

/// Depth-first walk from `bill`, refusing circles and unbounded depth.
struct Walk<'a> {
    class: &'a Class,
    /// Depth of evaluation below each part, once walked.
    heights: Vec<Option<usize>>,
    path: Vec<usize>,
    errors: Vec<TariffError>,
}

impl Walk<'_> {
    fn part(&mut self, index: usize) -> usize {
        if let Some(Some(height)) = self.heights.get(index) {
            return *height;
        }
        let Some(part) = self.class.part(index) else {
            return 0;
        };
        if let Some(start) = self.path.iter().position(|step| *step == index) {
            self.refuse(
                index,
                &format!("names that go round in a circle: {}", self.circle(start)),
            );
            return 0;
        }
        if self.path.len() >= MAX_CHAIN {
            self.refuse(
                index,
                &format!("parts naming parts more than {MAX_CHAIN} deep"),
            );
            return 0;
        }
        self.path.push(index);
        let below = uses(self.class, index)
            .into_iter()
            .map(|used| self.part(used))
            .max()
            .unwrap_or(0);
        self.path.pop();
        let height = below + depth(&part.body);
        if height > MAX_TOTAL_DEPTH && below <= MAX_TOTAL_DEPTH {
            self.refuse(
                index,
                &format!("formulas more than {MAX_TOTAL_DEPTH} deep in all"),
            );
        }
        if let Some(slot) = self.heights.get_mut(index) {
            *slot = Some(height);
        }
        height
    }

    fn circle(&self, start: usize) -> String {
        let circle = self.path.iter().skip(start).chain(self.path.get(start));
        let names: Vec<&str> = circle
            .filter_map(|index| self.class.part(*index))
            .map(|part| part.name.as_str())
            .collect();
        names.join(" → ")
    }

    fn refuse(&mut self, index: usize, message: &str) {
        if let Some(part) = self.class.part(index) {
            let place = Place::part(part.line, &self.class.name, &part.name);
            self.errors.push(TariffError::new(place, message));
        }
    }
}

fn depth(body: &Body) -> usize {
    let deepest = |bodies: &mut dyn Iterator<Item = &Body>| bodies.map(depth).max().unwrap_or(0);
    match body {
        Body::Formula { expr, .. } => 1 + expr.depth(),
        Body::List(items) => {
            let depths = items.iter().map(|item| match &item.kind {
                ItemKind::Formula(expr) => expr.depth(),
                _ => 1,
            });
            1 + depths.max().unwrap_or(0)
        }
        Body::Map(map) => 1 + deepest(&mut map.entries.iter().map(|entry| &entry.body)),
        Body::Range(range) => 1 + deepest(&mut range.values.iter().map(|(_, value)| value)),
        Body::Charge(_) | Body::Unreadable(_) => 1,
    }
}

/// Refuses what could not be read, wherever it hides in a part.
fn readable(class: &Class, part: &Part, line: usize, body: &Body, errors: &mut Vec<TariffError>) {
    let refused = |line: usize, message: &str| {
        TariffError::new(Place::part(line, &class.name, &part.name), message)
    };
    match body {
        Body::Unreadable(reason) => errors.push(refused(line, reason)),
        Body::List(items) if items.is_empty() => {
            errors.push(refused(line, "an empty list: expected at least one value"));
        }
        Body::List(items) => {
            for item in items {
                if let ItemKind::Unreadable(reason) = &item.kind {
                    errors.push(refused(item.line, reason));
                }
            }
        }
        Body::Map(map) => {
            for entry in &map.entries {
                if let Body::Unreadable(reason) = &entry.body {
                    let message = format!("key `{}`: {reason}", entry.key);
                    errors.push(refused(entry.line, &message));
                } else {
                    readable(class, part, entry.line, &entry.body, errors);
                }
            }
        }
        Body::Range(range) => {
            for (line, value) in &range.values {
                readable(class, part, *line, value, errors);
            }
        }
        Body::Formula { .. } | Body::Charge(_) => {}
    }
}

/// Checks every block charge in a part: its tiers are there, its prices are
/// numbers, and there are as many starts as prices.
fn charges(class: &Class, part: &Part, body: &Body, errors: &mut Vec<TariffError>) {
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
        prices_are_numbers(class, prices, prices.line, &prices.body, errors);
        lengths(class, starts, prices, errors);
    }
}

/// A price is a number, or a formula of what the tariff itself defines.
fn prices_are_numbers(
    class: &Class,
    prices: &Part,
    line: usize,
    body: &Body,
    errors: &mut Vec<TariffError>,
) {
    let refused = |line: usize, given: &str| {
        let place = Place::part(line, &class.name, &prices.name);
        TariffError::new(place, format!("price {given}: expected a number"))
    };
    let is_price = |expr: &Expr| {
        let mut unknown = None;
        expr.names(&mut |name| {
            let known = class.find(name).is_some() || is_usage(name) || is_known_attribute(name);
            if !known {
                unknown = Some(name.to_owned());
            }
        });
        unknown
    };
    match body {
        Body::Formula { expr, .. } => {
            if let Some(name) = is_price(expr) {
                errors.push(refused(line, &format!("`{name}`")));
            }
        }
        Body::List(items) => {
            for item in items {
                match &item.kind {
                    ItemKind::Percent(percent) => {
                        errors.push(refused(item.line, &format!("`{percent}%`")));
                    }
                    ItemKind::Formula(expr) => {
                        if let Some(name) = is_price(expr) {
                            errors.push(refused(item.line, &format!("`{name}`")));
                        }
                    }
                    ItemKind::Unreadable(_) => {}
                }
            }
        }
        Body::Map(map) => {
            for entry in &map.entries {
                prices_are_numbers(class, prices, entry.line, &entry.body, errors);
            }
        }
        Body::Range(range) => {
            for (line, value) in &range.values {
                prices_are_numbers(class, prices, *line, value, errors);
            }
        }
        Body::Charge(_) => errors.push(refused(line, "`Tiered` or `Budget`")),
        Body::Unreadable(_) => {}
    }
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

fn unequal(
    class: &Class,
    starts: &Part,
    start: &Length,
    prices: &Part,
    price: &Length,
) -> TariffError {
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
                let key: Vec<String> = entry.values.iter().map(|v| super::key::exact(v)).collect();
                lengths_in(&entry.body, entry.line, Some(&key), &mut found);
            }
        }
        body => lengths_in(body, part.line, None, &mut found),
    }
    found
}

fn lengths_in(body: &Body, line: usize, key: Option<&Vec<String>>, found: &mut Vec<Length>) {
    let mut push = |line: usize, count: usize| {
        found.push(Length {
            key: key.cloned(),
            line,
            count,
        });
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
