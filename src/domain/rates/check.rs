//! Whether the parts of a class fit together.
//!
//! Belongs here: everything that is certainly wrong whoever the account is, in
//! what `bill` can reach. Does not belong here: what is merely suspicious
//! (`lint`), or wrong for one account (a pricing error).

use super::check_tiers::charges;
use super::error::{Place, TariffError};
use super::formula::Expr;
use super::tariff::{Body, Class, Item, ItemKind, Part};

/// Longest chain of parts naming parts, and deepest evaluation that may result:
/// measured to need half a thread's stack, unoptimized.
const MAX_CHAIN: usize = 64;
const MAX_TOTAL_DEPTH: usize = 256;

/// Checks one class.
pub(crate) fn class(class: &Class) -> Vec<TariffError> {
    let Some(bill) = class.index.get("bill").copied() else {
        let place = Place::class(class.line, &class.name);
        return vec![TariffError::new(place, "no part `bill`: expected the formula of the bill")];
    };
    let mut walk = Walk { class, heights: vec![None; class.parts.len()], path: Vec::new(), errors: Vec::new() };
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
    let mut walk = Walk { class, heights: vec![None; class.parts.len()], path: Vec::new(), errors: Vec::new() };
    walk.part(bill);
    reached(&walk.heights)
}

fn reached(heights: &[Option<usize>]) -> Vec<usize> {
    let reached = heights.iter().enumerate().filter(|(_, height)| height.is_some());
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
    starts.is_some_and(|starts| any_item(&starts.body, &|item| matches!(item.kind, ItemKind::Percent(_))))
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
            self.refuse(index, &format!("names that go round in a circle: {}", self.circle(start)));
            return 0;
        }
        if self.path.len() >= MAX_CHAIN {
            self.refuse(index, &format!("parts naming parts more than {MAX_CHAIN} deep"));
            return 0;
        }
        self.path.push(index);
        let below = uses(self.class, index).into_iter().map(|used| self.part(used)).max().unwrap_or(0);
        self.path.pop();
        let height = below + depth(&part.body);
        if height > MAX_TOTAL_DEPTH && below <= MAX_TOTAL_DEPTH {
            self.refuse(index, &format!("formulas more than {MAX_TOTAL_DEPTH} deep in all"));
        }
        if let Some(slot) = self.heights.get_mut(index) {
            *slot = Some(height);
        }
        height
    }

    fn circle(&self, start: usize) -> String {
        let circle = self.path.iter().skip(start).chain(self.path.get(start));
        let names: Vec<&str> = circle.filter_map(|index| self.class.part(*index)).map(|part| part.name.as_str()).collect();
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
    let refused = |line: usize, message: &str| TariffError::new(Place::part(line, &class.name, &part.name), message);
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
