//! The `aquabills:` block: what the rate standard cannot say.
//!
//! Belongs here: the settings, their defaults, and refusing unknown ones. Does
//! not belong here: what the standard's own blocks say (`metadata`, `document`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use rust_decimal::Decimal;

use super::error::{Place, TariffError};
use super::extras::{EquivalentUnits, ReturnFee, Rule};
use super::extras_read;
use super::metadata::Metadata;
use super::usage_basis::UsageBasis;
use super::yaml::{Entry, Node};

/// Settings of a tariff, or of one class of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// Which schedule this is a version of; `water` when the file does not say.
    pub schedule: String,
    /// Where a block of a tiered charge ends.
    pub tier_rule: TierRule,
    /// How the total of a segment is rounded to cents.
    pub rounding: Rounding,
    /// Short periods and rate changes within a period.
    pub proration: Proration,
    /// Whether there is usage; without, a flat service has calendar periods.
    pub metered: bool,
    /// Which usage is priced.
    pub usage: UsageBasis,
    /// An attribute derived from a measure before pricing.
    pub equivalent_units: Option<EquivalentUnits>,
    /// The attribute with the number of dwellings, each billed for its part of the usage.
    pub dwelling_units: Option<String>,
    /// Lowest sum of the charges of a standard period, for each dwelling, after discounts.
    pub minimum: Option<Decimal>,
    /// What is taken off the charges, in this order.
    pub discounts: Vec<Rule>,
    /// What is added to the charges after discounts and minimum, in this order.
    pub fees_and_taxes: Vec<Rule>,
    /// What a payment that was returned costs the customer; it is no part of a bill's charges.
    pub returned_payment_fee: Option<ReturnFee>,
}

/// Where a block ends (design, section 5).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TierRule {
    /// A start is the first unit at the new price: the block before ends at
    /// start − 1. The rule of the reference calculator.
    #[default]
    FirstUnit,
    /// A start is the boundary itself.
    Boundary,
}

/// How a total is rounded to cents, once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// To the nearest cent, halves away from zero, so that a credit mirrors its charge.
    #[default]
    HalfUp,
    /// To the nearest cent, halves to the even cent.
    HalfEven,
    /// Any fraction of a cent counts as a cent (away from zero).
    Up,
    /// Any fraction of a cent is dropped (towards zero).
    Down,
}

/// What is done when a period is not standard or rates change within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Proration {
    /// Whether a period shorter than standard is billed in proportion.
    pub short_periods: ShortPeriods,
    /// Days of a standard period.
    pub standard_days: u32,
    /// Which rates hold when they change within a period.
    pub rate_change: RateChange,
}

/// Whether a short period is billed in proportion to its days.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShortPeriods {
    /// No: a bill is a bill.
    #[default]
    None,
    /// Yes: fixed charges and tier widths by days.
    ByDays,
}

/// Which rates hold when they change within a period.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RateChange {
    /// Each version for its share of the days.
    #[default]
    ByDays,
    /// The version in force at the end.
    PeriodEnd,
    /// The version in force at the start.
    PeriodStart,
}

impl Settings {
    /// What holds when the file says nothing.
    fn of(metadata: &Metadata) -> Self {
        Self {
            schedule: "water".to_owned(),
            tier_rule: TierRule::default(),
            rounding: Rounding::default(),
            proration: Proration {
                short_periods: ShortPeriods::default(),
                standard_days: metadata.bill_frequency.standard_days(),
                rate_change: RateChange::default(),
            },
            metered: true,
            usage: UsageBasis::default(),
            equivalent_units: None,
            dwelling_units: None,
            minimum: None,
            discounts: Vec::new(),
            fees_and_taxes: Vec::new(),
            returned_payment_fee: None,
        }
    }

    /// Whether the bill is more than its formula says.
    pub(crate) fn has_extras(&self) -> bool {
        self.equivalent_units.is_some()
            || self.dwelling_units.is_some()
            || self.minimum.is_some()
            || !self.discounts.is_empty()
            || !self.fees_and_taxes.is_empty()
    }

    /// Discounts, then fees and taxes: the order in which they are applied.
    pub(crate) fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.discounts.iter().chain(&self.fees_and_taxes)
    }
}

/// Settings of the file and of the classes that differ.
pub(crate) struct AllSettings {
    pub file: Settings,
    pub classes: BTreeMap<String, Settings>,
}

/// Reads the `aquabills:` block of a document.
pub(crate) fn read(document: &Node, metadata: &Metadata, classes: &[String], errors: &mut Vec<TariffError>) -> AllSettings {
    let mut file = Settings::of(metadata);
    let mut by_class = BTreeMap::new();
    let Some(block) = document.get("aquabills") else {
        return AllSettings { file, classes: by_class };
    };
    let per_class = apply(block, &mut file, true, errors);
    for entry in per_class.and_then(Node::entries).unwrap_or_default() {
        let mut settings = file.clone();
        if classes.contains(&entry.key) {
            apply(entry, &mut settings, false, errors);
            by_class.insert(entry.key.clone(), settings);
        } else {
            let known = classes.join(", ");
            let message = format!("aquabills: no rate class `{}`: expected one of {known}", entry.key);
            errors.push(TariffError::new(Place::line(entry.line), message));
        }
    }
    AllSettings { file, classes: by_class }
}

/// Applies one block of settings; gives back its `classes`, where allowed.
fn apply<'a>(block: &'a Entry, settings: &mut Settings, whole_file: bool, errors: &mut Vec<TariffError>) -> Option<&'a Node> {
    let Some(entries) = block.node.entries() else {
        errors.push(wrong(block, "a map of settings"));
        return None;
    };
    let mut classes = None;
    for entry in entries {
        let result = match entry.key.as_str() {
            "schedule" if whole_file => text(entry).map(|value| settings.schedule = value),
            "tier_rule" => choice(entry, &TIER_RULES).map(|value| settings.tier_rule = value),
            "rounding" => choice(entry, &ROUNDINGS).map(|value| settings.rounding = value),
            "proration" => proration(entry, &mut settings.proration, errors),
            "metered" => truth(entry).map(|value| settings.metered = value),
            "usage" => extras_read::usage(entry, errors).map(|value| settings.usage = value),
            "equivalent_units" => extras_read::equivalent_units(entry, errors).map(|value| settings.equivalent_units = value),
            "dwelling_units" => extras_read::dwelling_units(entry).map(|value| settings.dwelling_units = value),
            "minimum" => extras_read::minimum(entry).map(|value| settings.minimum = value),
            "discounts" => extras_read::rules(entry, true, errors).map(|value| settings.discounts = value),
            "fees_and_taxes" => extras_read::rules(entry, false, errors).map(|value| settings.fees_and_taxes = value),
            "returned_payment_fee" => extras_read::return_fee(entry).map(|value| settings.returned_payment_fee = value),
            "classes" if whole_file && entry.node.entries().is_some() => {
                classes = Some(&entry.node);
                Ok(())
            }
            "classes" if whole_file => Err(wrong(entry, "a map of rate classes")),
            _ => Err(unknown(entry, if whole_file { FILE_KEYS } else { CLASS_KEYS })),
        };
        errors.extend(result.err());
    }
    no_usage_without_meter(block, settings, errors);
    classes
}

const FILE_KEYS: &str = "schedule, tier_rule, rounding, proration, metered, usage, equivalent_units, dwelling_units, minimum, discounts, \
                         fees_and_taxes, returned_payment_fee, classes";
const CLASS_KEYS: &str = "tier_rule, rounding, proration, metered, usage, equivalent_units, dwelling_units, minimum, discounts, fees_and_taxes, \
                          returned_payment_fee";

/// A flat service has no usage to take a share or an average of.
fn no_usage_without_meter(block: &Entry, settings: &Settings, errors: &mut Vec<TariffError>) {
    if !settings.metered && settings.usage != UsageBasis::default() {
        let line = block.node.get("usage").map_or(block.line, |entry| entry.line);
        errors.push(TariffError::new(Place::line(line), "aquabills: `usage` with `metered: false`: a flat service has no usage"));
    }
}

fn proration(block: &Entry, proration: &mut Proration, errors: &mut Vec<TariffError>) -> Result<(), TariffError> {
    let entries = block.node.entries().ok_or_else(|| wrong(block, "a map of settings"))?;
    for entry in entries {
        let result = match entry.key.as_str() {
            "short_periods" => choice(entry, &SHORT_PERIODS).map(|value| proration.short_periods = value),
            "standard_days" => days(entry).map(|value| proration.standard_days = value),
            "rate_change" => choice(entry, &RATE_CHANGES).map(|value| proration.rate_change = value),
            _ => Err(unknown(entry, "short_periods, standard_days, rate_change")),
        };
        errors.extend(result.err());
    }
    Ok(())
}

const TIER_RULES: [(&str, TierRule); 2] = [("first_unit", TierRule::FirstUnit), ("boundary", TierRule::Boundary)];
const ROUNDINGS: [(&str, Rounding); 4] =
    [("half_up", Rounding::HalfUp), ("half_even", Rounding::HalfEven), ("up", Rounding::Up), ("down", Rounding::Down)];
const SHORT_PERIODS: [(&str, ShortPeriods); 2] = [("none", ShortPeriods::None), ("by_days", ShortPeriods::ByDays)];
const RATE_CHANGES: [(&str, RateChange); 3] =
    [("by_days", RateChange::ByDays), ("period_end", RateChange::PeriodEnd), ("period_start", RateChange::PeriodStart)];

pub(super) fn choice<T: Copy>(entry: &Entry, known: &[(&str, T)]) -> Result<T, TariffError> {
    let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
    let given = entry.node.text();
    known.iter().find(|(word, _)| Some(*word) == given).map(|(_, value)| *value).ok_or_else(|| wrong(entry, &words.join(", ")))
}

pub(super) fn text(entry: &Entry) -> Result<String, TariffError> {
    let given = entry.node.text().filter(|text| !text.trim().is_empty()).map(str::to_owned);
    given.ok_or_else(|| wrong(entry, "a name"))
}

pub(super) fn truth(entry: &Entry) -> Result<bool, TariffError> {
    choice(entry, &[("true", true), ("false", false)])
}

fn days(entry: &Entry) -> Result<u32, TariffError> {
    let given = entry.node.text().and_then(|text| text.parse().ok());
    given.filter(|days| (1..=1000).contains(days)).ok_or_else(|| wrong(entry, "a number of days from 1 to 1000"))
}

pub(super) fn wrong(entry: &Entry, expected: &str) -> TariffError {
    let given = entry.node.text().map_or_else(|| entry.node.kind().to_owned(), |text| format!("`{text}`"));
    let message = format!("aquabills: `{}` is {given}: expected {expected}", entry.key);
    TariffError::new(Place::line(entry.line), message)
}

pub(super) fn unknown(entry: &Entry, known: &str) -> TariffError {
    let message = format!("aquabills: unknown setting `{}`: expected one of {known}", entry.key);
    TariffError::new(Place::line(entry.line), message)
}
