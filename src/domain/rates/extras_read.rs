//! Reading what a tariff adds around its bill formula.
//!
//! Belongs here: from the YAML of `usage`, `equivalent_units`, `discounts` and the like to their types, refusing what
//! is unknown or out of range. Does not belong here: whether a class has the parts they name (`extras_compile`).

use rust_decimal::Decimal;

use super::error::{Place, TariffError};
use super::extras::{BaseName, CHARGES, Condition, EquivalentUnits, ReturnFee, Rule, RuleAmount, RuleKind, Test, UnitRounding};
use super::names::normal;
use super::number::parse_number;
use super::settings::{choice, text, truth, unknown, wrong};
use super::usage_basis::{Basis, UsageBasis};
use super::yaml::{Entry, Node, Value};
use crate::domain::money::Money;

const BASES: [(&str, Basis); 3] = [("metered", Basis::Metered), ("winter_average", Basis::WinterAverage), ("share", Basis::Share)];
const UNIT_ROUNDINGS: [(&str, UnitRounding); 3] = [("up", UnitRounding::Up), ("nearest", UnitRounding::Nearest), ("none", UnitRounding::None)];
const FEE_KINDS: [(&str, RuleKind); 2] = [("tax", RuleKind::Tax), ("fee", RuleKind::Fee)];
/// Whether an amount is of each dwelling unit.
const PER: [(&str, bool); 2] = [("dwelling", true), ("bill", false)];
/// Most rules in one list: a bound on the lines of a bill.
const MAX_RULES: usize = 50;

/// `none` takes back what the file says for one class.
fn is_none(entry: &Entry) -> bool {
    entry.node.text() == Some("none")
}

/// The `usage` block.
pub(super) fn usage(block: &Entry, errors: &mut Vec<TariffError>) -> Result<UsageBasis, TariffError> {
    let mut usage = UsageBasis::default();
    let entries = block.node.entries().ok_or_else(|| wrong(block, "a map of settings"))?;
    for entry in entries {
        let result = match entry.key.as_str() {
            "basis" => choice(entry, &BASES).map(|value| usage.basis = value),
            "winter_months" => months(entry).map(|value| usage.winter_months = value),
            "share_percent" => percent(entry).map(|value| usage.share_percent = value),
            "cap" => not_negative(entry).map(|value| usage.cap = Some(value)),
            "lower_of" => truth(entry).map(|value| usage.lower_of = value),
            "default" => not_negative(entry).map(|value| usage.default = Some(value)),
            _ => Err(unknown(entry, "basis, winter_months, share_percent, cap, lower_of, default")),
        };
        errors.extend(result.err());
    }
    // What another basis needs would be silently without effect.
    for (key, basis) in [
        ("winter_months", Basis::WinterAverage),
        ("lower_of", Basis::WinterAverage),
        ("default", Basis::WinterAverage),
        ("share_percent", Basis::Share),
    ] {
        if let Some(entry) = block.node.get(key).filter(|_| usage.basis != basis) {
            let word = BASES.iter().find(|(_, value)| *value == basis).map_or("", |(word, _)| word);
            errors.push(refused(entry.line, &format!("`{key}` has an effect only with `basis: {word}`")));
        }
    }
    for (key, basis) in [("winter_months", Basis::WinterAverage), ("share_percent", Basis::Share)] {
        if usage.basis == basis && block.node.get(key).is_none() {
            errors.push(refused(block.line, &format!("`usage` lacks `{key}`, which its basis needs")));
        }
    }
    Ok(usage)
}

/// The `equivalent_units` block.
pub(super) fn equivalent_units(block: &Entry, errors: &mut Vec<TariffError>) -> Result<Option<EquivalentUnits>, TariffError> {
    if is_none(block) {
        return Ok(None);
    }
    let entries = block.node.entries().ok_or_else(|| wrong(block, "a map of settings, or none"))?;
    let (mut attribute, mut of, mut per) = (None, None, None);
    let (mut round, mut minimum) = (UnitRounding::default(), Decimal::ZERO);
    let before = errors.len();
    for entry in entries {
        let result = match entry.key.as_str() {
            "attribute" => text(entry).map(|value| attribute = Some(normal(&value))),
            "of" => text(entry).map(|value| of = Some(normal(&value))),
            "per" => above_zero(entry).map(|value| per = Some(value)),
            "round" => choice(entry, &UNIT_ROUNDINGS).map(|value| round = value),
            "minimum" => not_negative(entry).map(|value| minimum = value),
            _ => Err(unknown(entry, "attribute, of, per, round, minimum")),
        };
        errors.extend(result.err());
    }
    match (attribute, of, per) {
        (Some(attribute), Some(of), Some(_)) if attribute == of => {
            Err(refused(block.line, &format!("`equivalent_units` derives `{attribute}` from itself")))
        }
        (Some(attribute), Some(of), Some(per)) => Ok(Some(EquivalentUnits { attribute, of, per, round, minimum, line: block.line })),
        _ if errors.len() > before => Ok(None),
        _ => Err(refused(block.line, "`equivalent_units` needs `attribute`, `of` and `per`")),
    }
}

/// `dwelling_units`: the name of an attribute.
pub(super) fn dwelling_units(entry: &Entry) -> Result<Option<String>, TariffError> {
    if is_none(entry) { Ok(None) } else { text(entry).map(|name| Some(normal(&name))) }
}

/// `minimum`: an amount.
pub(super) fn minimum(entry: &Entry) -> Result<Option<Decimal>, TariffError> {
    if is_none(entry) { Ok(None) } else { not_negative(entry).map(Some) }
}

/// `returned_payment_fee`: an amount of money.
pub(super) fn return_fee(entry: &Entry) -> Result<Option<ReturnFee>, TariffError> {
    if is_none(entry) {
        return Ok(None);
    }
    let amount = entry.node.text().and_then(|text| Money::parse(text).ok()).filter(|amount| amount.is_positive());
    let amount = amount.ok_or_else(|| wrong(entry, "an amount above zero in whole cents, such as 25.00, or none"))?;
    Ok(Some(ReturnFee { amount, line: entry.line }))
}

/// `discounts` or `fees_and_taxes`: a list of rules, in the order in which they are applied.
pub(super) fn rules(block: &Entry, discounts: bool, errors: &mut Vec<TariffError>) -> Result<Vec<Rule>, TariffError> {
    if is_none(block) {
        return Ok(Vec::new());
    }
    let Value::List(nodes) = &block.node.value else {
        return Err(wrong(block, "a list, each with a name and a percent or an amount, or none"));
    };
    if nodes.len() > MAX_RULES {
        return Err(refused(block.line, &format!("{} entries in `{}`: expected at most {MAX_RULES}", nodes.len(), block.key)));
    }
    let mut rules: Vec<Rule> = Vec::with_capacity(nodes.len());
    for node in nodes {
        let Some(rule) = rule(node, discounts, errors) else { continue };
        match rules.iter().find(|other| slug(&other.name) == slug(&rule.name)) {
            Some(other) => errors.push(refused(rule.line, &format!("`{}`: the same name as on line {}", rule.name, other.line))),
            None => rules.push(rule),
        }
    }
    no_later_base(&rules, errors);
    Ok(rules)
}

/// A fee on a fee must come after it.
fn no_later_base(rules: &[Rule], errors: &mut Vec<TariffError>) {
    for (at, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.kind != RuleKind::Discount) {
        for base in &rule.of {
            if rules.iter().skip(at).any(|later| normal(&later.name) == base.name) {
                errors.push(refused(base.line, &format!("`{}` is of `{}`, which is not there yet: expected one before it", rule.name, base.name)));
            }
        }
    }
}

/// The entries of a rule as they come.
#[derive(Default)]
struct Draft {
    name: Option<String>,
    kind: Option<RuleKind>,
    percent: Option<Decimal>,
    amount: Option<Decimal>,
    per_dwelling: Option<bool>,
    of: Option<Vec<BaseName>>,
    when: Option<Condition>,
    unless: Option<Condition>,
}

fn rule(node: &Node, discount: bool, errors: &mut Vec<TariffError>) -> Option<Rule> {
    let known = if discount { "name, percent, amount, per, of, when, unless" } else { "name, kind, percent, amount, per, of, when, unless" };
    let Some(entries) = node.entries() else {
        errors.push(refused(node.line, &format!("{} in a list: expected a map of {known}", node.kind())));
        return None;
    };
    let mut draft = Draft::default();
    let before = errors.len();
    for entry in entries {
        let result = match entry.key.as_str() {
            "name" => text(entry).map(|value| draft.name = Some(value)),
            "kind" if !discount => choice(entry, &FEE_KINDS).map(|value| draft.kind = Some(value)),
            "percent" => percent(entry).map(|value| draft.percent = Some(value)),
            "amount" => not_negative(entry).map(|value| draft.amount = Some(value)),
            "per" => choice(entry, &PER).map(|value| draft.per_dwelling = Some(value)),
            "of" => of(entry).map(|value| draft.of = Some(value)),
            "when" => condition(entry).map(|value| draft.when = Some(value)),
            "unless" => condition(entry).map(|value| draft.unless = Some(value)),
            _ => Err(unknown(entry, known)),
        };
        errors.extend(result.err());
    }
    if errors.len() > before {
        return None;
    }
    draft.finished(node.line, discount).map_err(|error| errors.push(error)).ok()
}

impl Draft {
    /// The rule, when everything needed is there and nothing is without effect.
    fn finished(self, line: usize, discount: bool) -> Result<Rule, TariffError> {
        let name =
            self.name.filter(|name| !slug(name).is_empty()).ok_or_else(|| refused(line, "`name` is missing: expected the text of its line"))?;
        let kind = match (discount, self.kind) {
            (true, _) => RuleKind::Discount,
            (false, Some(kind)) => kind,
            (false, None) => return Err(refused(line, &format!("`{name}` has no `kind`: expected tax or fee"))),
        };
        let amount = match (self.percent, self.amount, self.per_dwelling) {
            (Some(percent), None, None) => RuleAmount::Percent(percent),
            (None, Some(amount), None | Some(true)) => RuleAmount::Fixed(amount),
            (None, Some(amount), Some(false)) => RuleAmount::FixedPerBill(amount),
            (Some(_), None, Some(_)) => return Err(refused(line, &format!("`{name}`: `per` has an effect only with `amount`"))),
            _ => return Err(refused(line, &format!("`{name}`: expected either a percent or an amount"))),
        };
        if kind != RuleKind::Discount && self.of.is_some() && !matches!(amount, RuleAmount::Percent(_)) {
            return Err(refused(line, &format!("`{name}`: `of` has an effect only with `percent`")));
        }
        let of = self.of.unwrap_or_else(|| vec![BaseName { name: CHARGES.to_owned(), line }]);
        let part = format!("{}{}", kind.prefix(), slug(&name));
        Ok(Rule { kind, name, part, amount, of, when: self.when, unless: self.unless, line })
    }
}

/// Letters and digits of a name; all else becomes `_`.
fn slug(name: &str) -> String {
    let lower = name.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("_")
}

/// A name or a list of names.
fn of(entry: &Entry) -> Result<Vec<BaseName>, TariffError> {
    let named = |node: &Node| node.text().map(|text| BaseName { name: normal(text), line: node.line }).filter(|base| !base.name.is_empty());
    let names: Option<Vec<BaseName>> = match &entry.node.value {
        Value::List(nodes) => nodes.iter().map(named).collect(),
        _ => named(&entry.node).map(|base| vec![base]),
    };
    let names = names.filter(|names| !names.is_empty()).ok_or_else(|| wrong(entry, "a list of `charges` or names of parts, fees or taxes"))?;
    for (at, base) in names.iter().enumerate() {
        if names.iter().skip(at + 1).any(|other| other.name == base.name) {
            return Err(refused(base.line, &format!("`of` names `{}` twice", base.name)));
        }
    }
    Ok(names)
}

fn condition(block: &Entry) -> Result<Condition, TariffError> {
    const EXPECTED: &str = "a map of `attribute` and either `is` or `at_least` and `below`";
    let entries = block.node.entries().ok_or_else(|| wrong(block, EXPECTED))?;
    let (mut attribute, mut word, mut at_least, mut below) = (None, None, None, None);
    for entry in entries {
        match entry.key.as_str() {
            "attribute" => attribute = Some(normal(&text(entry)?)),
            "is" => word = Some(text(entry)?),
            "at_least" => at_least = Some(number(entry)?),
            "below" => below = Some(number(entry)?),
            _ => return Err(unknown(entry, "attribute, is, at_least, below")),
        }
    }
    let test = match (word, at_least, below) {
        (Some(word), None, None) => Test::Is(word),
        (None, Some(least), Some(below)) if least >= below => {
            return Err(refused(block.line, &format!("`{}`: no number is at least {least} and below {below}", block.key)));
        }
        (None, at_least, below) if at_least.is_some() || below.is_some() => Test::Between { at_least, below },
        _ => return Err(wrong(block, EXPECTED)),
    };
    let attribute = attribute.ok_or_else(|| wrong(block, EXPECTED))?;
    Ok(Condition { attribute, test })
}

fn months(entry: &Entry) -> Result<Vec<u32>, TariffError> {
    const EXPECTED: &str = "a list of different months from 1 to 12";
    let Value::List(nodes) = &entry.node.value else {
        return Err(wrong(entry, EXPECTED));
    };
    let mut months = Vec::with_capacity(nodes.len());
    for node in nodes {
        let month = node.text().and_then(|text| text.parse().ok()).filter(|month| (1..=12).contains(month) && !months.contains(month));
        months.push(month.ok_or_else(|| wrong(entry, EXPECTED))?);
    }
    if months.is_empty() { Err(wrong(entry, EXPECTED)) } else { Ok(months) }
}

fn number(entry: &Entry) -> Result<Decimal, TariffError> {
    entry.node.text().and_then(parse_number).ok_or_else(|| wrong(entry, "a number"))
}

fn not_negative(entry: &Entry) -> Result<Decimal, TariffError> {
    let given = entry.node.text().and_then(parse_number);
    given.filter(|number| *number >= Decimal::ZERO).ok_or_else(|| wrong(entry, "a number of zero or more"))
}

fn above_zero(entry: &Entry) -> Result<Decimal, TariffError> {
    let given = entry.node.text().and_then(parse_number);
    given.filter(|number| *number > Decimal::ZERO).ok_or_else(|| wrong(entry, "a number above zero"))
}

fn percent(entry: &Entry) -> Result<Decimal, TariffError> {
    let text = entry.node.text().map(|text| text.strip_suffix('%').unwrap_or(text));
    let given = text.and_then(parse_number).filter(|percent| *percent > Decimal::ZERO && *percent <= Decimal::ONE_HUNDRED);
    given.ok_or_else(|| wrong(entry, "a percentage above 0, up to 100"))
}

fn refused(line: usize, message: &str) -> TariffError {
    TariffError::new(Place::line(line), format!("aquabills: {message}"))
}
