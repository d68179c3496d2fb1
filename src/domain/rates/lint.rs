//! What is suspicious in a tariff that is otherwise sound.
//!
//! Belongs here: warnings of `aquabills rates check`. Does not belong here:
//! what is certainly wrong (`check` refuses it), the tables' own arithmetic
//! (`lint_tables`), and the `aquabills:` block (`lint_settings`).

use std::collections::HashSet;
use std::fmt;

use serde::Serialize;

use super::check::{any_item, reachable};
use super::error::Place;
use super::formula::Expr;
use super::lint_settings;
use super::lint_tables;
use super::metadata::{Frequency, Unit};
use super::names::{is_known_attribute, is_usage, reads_like_a_charge};
use super::settings::{Settings, TierRule};
use super::tariff::{Body, ChargeKind, Class, Item, ItemKind, Part, Tariff};

/// How much a warning matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Almost certainly a mistake that stops bills, such as a misspelt charge.
    /// An import should refuse the tariff.
    Error,
    /// Probably not what was meant; a person should look.
    Warning,
    /// Worth knowing.
    Note,
}

/// One suspicion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// How much it matters.
    pub severity: Severity,
    /// Where it is.
    pub place: Place,
    /// What is suspicious and what may be meant.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        write!(out, "{severity}: {}: {}", self.place, self.message)
    }
}

/// Everything suspicious in a tariff, in file order.
#[must_use]
pub fn lint(tariff: &Tariff) -> Vec<Warning> {
    let mut warnings = of_metadata(tariff);
    for class in &tariff.classes {
        let mut lint =
            ClassLint { class, settings: tariff.settings_of(&class.name), used: reachable(class).into_iter().collect(), warnings: Vec::new() };
        lint.run();
        lint_settings::run(&mut lint, &tariff.metadata.bill_unit);
        warnings.append(&mut lint.warnings);
    }
    warnings.sort_by(|a, b| (a.place.line, a.severity, &a.message).cmp(&(b.place.line, b.severity, &b.message)));
    warnings.dedup();
    warnings
}

fn of_metadata(tariff: &Tariff) -> Vec<Warning> {
    let metadata = tariff.metadata();
    let mut warnings = Vec::new();
    let mut warn = |severity, message: String| {
        let place = Place::default();
        warnings.push(Warning { severity, place, message });
    };
    if metadata.effective_on.is_none() {
        warn(Severity::Note, "no effective_date: say from when these rates hold".into());
    }
    if let Unit::Other(unit) = &metadata.bill_unit {
        warn(Severity::Warning, format!("bill_unit `{unit}` is not known: readings cannot be converted to it"));
    }
    if let Frequency::Other(frequency) = &metadata.bill_frequency {
        warn(Severity::Note, format!("bill_frequency `{frequency}` is not known: taken as 30 days"));
    }
    warnings
}

/// One class under suspicion.
pub(crate) struct ClassLint<'a> {
    pub class: &'a Class,
    pub settings: &'a Settings,
    /// The parts `bill` can reach.
    pub used: HashSet<usize>,
    pub warnings: Vec<Warning>,
}

impl<'a> ClassLint<'a> {
    fn run(&mut self) {
        self.parts_never_used();
        self.names_not_known();
        for (index, part) in self.parts() {
            if let Body::Charge(kind) = part.body {
                self.block_charge(part, kind);
            }
            if self.used.contains(&index) {
                lint_tables::sizes(self, part);
                if ["price", "rate"].iter().any(|word| part.normal.ends_with(word)) {
                    lint_tables::negative_prices(self, part);
                }
            }
        }
        lint_tables::holes(self);
    }

    pub(crate) fn parts(&self) -> impl Iterator<Item = (usize, &'a Part)> + use<'a> {
        self.class.parts.iter().enumerate()
    }

    pub(crate) fn warn(&mut self, severity: Severity, part: &Part, line: usize, message: String) {
        let place = Place::part(line, &self.class.name, &part.name);
        self.warnings.push(Warning { severity, place, message });
    }

    /// Charges the bill leaves out, and other parts nothing names.
    fn parts_never_used(&mut self) {
        for (index, part) in self.parts() {
            if self.used.contains(&index) || is_nothing(&part.body) {
                continue;
            }
            let forgotten = ["drought", "wastewater", "sewer"].iter().any(|word| part.normal.contains(word));
            let (severity, message) = if forgotten && part.normal.contains("charge") {
                (Severity::Warning, "not zero, but `bill` never uses it: is it meant to be billed?")
            } else if let Body::Unreadable(_) = part.body {
                (Severity::Note, "not readable, and not used by `bill`")
            } else {
                (Severity::Note, "not used by `bill`")
            };
            self.warn(severity, part, part.line, message.to_owned());
        }
    }

    /// Names the tariff does not define: attributes, or misspelt parts.
    fn names_not_known(&mut self) {
        let mut used: Vec<usize> = self.used.iter().copied().collect();
        used.sort_unstable();
        for index in used {
            let Some(part) = self.class.part(index) else {
                continue;
            };
            if self.is_word(index, part) {
                continue;
            }
            let mut names = Vec::new();
            names_in(&part.body, &mut names);
            names.sort_unstable();
            names.dedup();
            for name in names {
                self.name_not_known(index, part, name);
            }
        }
    }

    fn name_not_known(&mut self, index: usize, part: &Part, name: &str) {
        let derived = self.settings.equivalent_units.as_ref().is_some_and(|units| units.attribute == name);
        if self.class.find_from(index, name).is_some() || is_usage(name) || is_known_attribute(name) || derived {
            return;
        }
        let near = self.class.parts.iter().find(|other| other.normal != name && other.normal.len() > 3 && is_near(&other.normal, name));
        let (severity, message) = match near {
            Some(near) if self.class.find(name).is_none() => (Severity::Error, format!("`{name}` is not defined: is `{}` meant?", near.name)),
            _ if reads_like_a_charge(name) => (Severity::Error, format!("`{name}` is not defined: expected a part of this class")),
            _ => (Severity::Warning, format!("`{name}` is not defined: taken for an attribute every account must have")),
        };
        self.warn(severity, part, part.line, message);
    }

    /// Whether a part is one word that only a `depends_on` asks for, such as
    /// `water_type: POTABLE`.
    fn is_word(&self, index: usize, part: &Part) -> bool {
        let Body::Formula { expr: Expr::Name(_), .. } = part.body else {
            return false;
        };
        let asked = |body: &Body| match body {
            Body::Map(map) => map.dimensions.iter().any(|name| self.class.find(name) == Some(index)),
            _ => false,
        };
        self.class.parts.iter().any(|other| asked(&other.body))
    }

    fn block_charge(&mut self, part: &'a Part, kind: ChargeKind) {
        let tiers = self.class.tier_parts(&part.normal);
        let find = |index: Option<usize>| index.and_then(|index| self.class.part(index));
        let (Some(starts), Some(prices)) = (find(tiers.starts), find(tiers.prices)) else {
            return;
        };
        let is_percent = |item: &Item| matches!(item.kind, ItemKind::Percent(_));
        if kind == ChargeKind::Tiered && any_item(&starts.body, &is_percent) {
            let message =
                format!("starts in percent, but `{}` is Tiered: `Budget` may be meant; as it is the charge cannot be worked out", part.name);
            self.warn(Severity::Warning, starts, starts.line, message);
        }
        lint_tables::rising_starts(self, starts, starts.line, &starts.body);
        lint_tables::falling_prices(self, prices, prices.line, &prices.body);
        lint_tables::negative_prices(self, prices);
        if kind == ChargeKind::Tiered && self.settings.tier_rule == TierRule::FirstUnit {
            lint_tables::round_starts(self, starts);
        }
    }
}

/// Whether a part is zero or left blank: written down for completeness.
fn is_nothing(body: &Body) -> bool {
    match body {
        Body::Formula { expr: Expr::Number(number), .. } => number.is_zero(),
        Body::Unreadable(reason) => reason.starts_with("nothing given"),
        _ => false,
    }
}

/// Names a body uses: in formulas, and what its maps depend on.
pub(crate) fn names_in<'a>(body: &'a Body, names: &mut Vec<&'a str>) {
    match body {
        Body::Formula { expr, .. } => expr.names(&mut |name| names.push(name)),
        Body::List(items) => {
            for item in items {
                if let ItemKind::Formula(expr) = &item.kind {
                    expr.names(&mut |name| names.push(name));
                }
            }
        }
        Body::Map(map) => {
            names.extend(map.dimensions.iter().map(String::as_str));
            for entry in &map.entries {
                names_in(&entry.body, names);
            }
        }
        Body::Range(range) => {
            names.push(&range.dimension);
            for (_, value) in &range.values {
                names_in(value, names);
            }
        }
        Body::Charge(_) | Body::Unreadable(_) => {}
    }
}

/// Whether two names differ by at most two letters.
pub(crate) fn is_near(one: &str, other: &str) -> bool {
    const FAR: usize = 3;
    let other: Vec<char> = other.chars().collect();
    if one.chars().count().abs_diff(other.len()) >= FAR {
        return false;
    }
    // Edit distance, one row of the table at a time.
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, letter) in one.chars().enumerate() {
        let mut next = vec![i + 1];
        for ((candidate, above), diagonal) in other.iter().zip(row.iter().skip(1)).zip(&row) {
            let left = next.last().copied().unwrap_or(FAR);
            let change = diagonal + usize::from(*candidate != letter);
            next.push(change.min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().is_some_and(|distance| *distance < FAR)
}
