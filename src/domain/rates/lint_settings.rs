//! Suspicious settings of the `aquabills:` block, and usage in a unit the file does not bill in.
//!
//! Belongs here: warnings of discounts, minimum, fees and taxes. Does not belong here: what is certainly wrong
//! (`extras_read` and `extras_compile` refuse it).

use std::collections::BTreeSet;

use rust_decimal::Decimal;

use super::error::Place;
use super::extras::{Condition, Rule, RuleAmount, RuleKind};
use super::lint::{ClassLint, Severity, Warning, is_near, names_in};
use super::lint_tables::numbers;
use super::metadata::Unit;
use super::names::{is_known_attribute, is_metered_usage, known_attributes, reads_like_a_charge};
use crate::domain::money::Money;

/// A tax above this percentage is more likely a slip of the decimal point.
const HIGH_TAX_PERCENT: Decimal = Decimal::from_parts(30, 0, 0, false, 0);

/// A fee for a returned payment above this is more likely a slip of the decimal point; laws allow less almost everywhere.
const HIGH_RETURN_FEE: Money = Money::from_cents(10_000);

/// Looks at the settings of one class.
pub(crate) fn run(lint: &mut ClassLint<'_>, unit: &Unit) {
    usage_in_another_unit(lint, unit);
    minimum_never_reached(lint);
    units_never_used(lint);
    high_return_fee(lint);
    let settings = lint.settings;
    for rule in settings.rules() {
        high_tax(lint, rule);
        never_applies(lint, rule);
        for condition in rule.when.iter().chain(&rule.unless) {
            attribute_not_known(lint, rule, condition);
        }
    }
}

/// A setting of the whole file is warned of once, whichever classes it is for.
fn warn(lint: &mut ClassLint<'_>, severity: Severity, line: usize, message: String) {
    lint.warnings.push(Warning { severity, place: Place::line(line), message });
}

fn usage_in_another_unit(lint: &mut ClassLint<'_>, unit: &Unit) {
    for (index, part) in lint.parts() {
        if !lint.used.contains(&index) {
            continue;
        }
        let mut names = Vec::new();
        names_in(&part.body, &mut names);
        names.sort_unstable();
        names.dedup();
        for name in names.into_iter().filter(|name| is_metered_usage(name) && lint.class.find(name).is_none()) {
            let Some(other) = name.strip_prefix("usage_").map(Unit::parse).filter(|other| other != unit) else {
                continue;
            };
            let message = format!("`{name}` is the usage in {unit}, the file's bill_unit, not in {other}");
            lint.warn(Severity::Warning, part, part.line, message);
        }
    }
}

/// A minimum that a fixed charge alone exceeds.
fn minimum_never_reached(lint: &mut ClassLint<'_>) {
    let Some(minimum) = lint.settings.minimum else { return };
    for (index, part) in lint.parts() {
        if !lint.used.contains(&index) || !reads_like_a_charge(&part.normal) || !part.normal.contains("charge") {
            continue;
        }
        let lowest = numbers(&part.body, part.line).into_iter().map(|(_, number)| number).min();
        if let Some(lowest) = lowest.filter(|lowest| *lowest > minimum) {
            let message = format!("{lowest} at least, more than the minimum of {minimum}, which then has no effect");
            lint.warn(Severity::Warning, part, part.line, message);
        }
    }
}

fn units_never_used(lint: &mut ClassLint<'_>) {
    let Some(units) = &lint.settings.equivalent_units else { return };
    let mut names = Vec::new();
    for (_, part) in lint.parts().filter(|(index, _)| lint.used.contains(index)) {
        names_in(&part.body, &mut names);
    }
    let mut in_rules = lint.settings.rules().flat_map(|rule| rule.when.iter().chain(&rule.unless));
    let used = names.contains(&units.attribute.as_str()) || in_rules.any(|condition| condition.attribute == units.attribute);
    if !used {
        let message = format!("class {} does not use `{}`", lint.class.name, units.attribute);
        warn(lint, Severity::Warning, units.line, message);
    }
}

fn high_return_fee(lint: &mut ClassLint<'_>) {
    if let Some(fee) = lint.settings.returned_payment_fee.filter(|fee| fee.amount > HIGH_RETURN_FEE) {
        warn(lint, Severity::Warning, fee.line, format!("a returned payment costs {}: expected {HIGH_RETURN_FEE} or less", fee.amount));
    }
}

fn high_tax(lint: &mut ClassLint<'_>, rule: &Rule) {
    if let (RuleKind::Tax, RuleAmount::Percent(percent)) = (rule.kind, rule.amount)
        && percent > HIGH_TAX_PERCENT
    {
        warn(lint, Severity::Warning, rule.line, format!("`{}` is a tax of {percent}%: expected {HIGH_TAX_PERCENT}% or less", rule.name));
    }
}

fn never_applies(lint: &mut ClassLint<'_>, rule: &Rule) {
    let nothing = matches!(rule.amount, RuleAmount::Fixed(amount) | RuleAmount::FixedPerBill(amount) if amount.is_zero());
    let reason = if nothing {
        "its amount is zero"
    } else if rule.when.is_some() && rule.when == rule.unless {
        "`when` and `unless` say the same"
    } else {
        return;
    };
    warn(lint, Severity::Warning, rule.line, format!("`{}` never applies: {reason}", rule.name));
}

/// An attribute that nobody may have: misspelt, or one that the utility made up.
fn attribute_not_known(lint: &mut ClassLint<'_>, rule: &Rule, condition: &Condition) {
    let name = condition.attribute.as_str();
    let mut asked: Vec<&str> = Vec::new();
    for (_, part) in lint.parts() {
        names_in(&part.body, &mut asked);
    }
    let settings = lint.settings;
    let derived = settings.equivalent_units.iter().flat_map(|units| [units.attribute.as_str(), units.of.as_str()]);
    asked.extend(derived.chain(settings.dwelling_units.as_deref()));
    let asked: BTreeSet<&str> = asked.into_iter().filter(|asked| lint.class.find(asked).is_none()).collect();
    if is_known_attribute(name) || asked.contains(name) {
        return;
    }
    let near = asked.into_iter().chain(known_attributes().iter().copied()).find(|asked| asked.len() > 3 && is_near(asked, name));
    let (severity, guess) = match near {
        Some(near) => (Severity::Warning, format!("is `{near}` meant?")),
        None => (Severity::Note, "taken for an attribute that some accounts have".to_owned()),
    };
    warn(lint, severity, rule.line, format!("`{}` asks for `{name}`: {guess}", rule.name));
}
