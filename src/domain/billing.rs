//! One agreement's charges for one period: which tariff versions apply on which days, and what they give.
//!
//! Everything that a segment's amount depends on is in [`SegmentInputs`], and [`charge`] is a function of those
//! inputs and the tariff versions they name by hash. A bill keeps its inputs, so it can be made again (P7).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::metering::{MeteringHold, Period, Span, usage_milli};
use super::money::Money;
use super::quantity::from_milli;
use super::rates::{
    Attributes, Charge, CompileError, CompiledClass, ExactLine, PricingError, PricingInput, RateChange, Rounding, Settings, Share, ShortPeriods,
    Tariff, reference, settle,
};

/// Changes whenever the same inputs could give another amount; a bill says which engine made it.
pub const ENGINE_VERSION: &str = "2";

/// The attribute that budget formulas use for the length of the period, provided when neither the account nor
/// the tariff states it.
const DAYS_IN_PERIOD: &str = "days_in_period";

/// One tariff version with its classes compiled.
#[derive(Debug)]
pub struct Version {
    /// First day it applies to.
    pub effective_on: NaiveDate,
    /// The hash of its text.
    pub sha256: String,
    /// The parsed text.
    pub tariff: Tariff,
    /// Every class, ready to price.
    classes: HashMap<String, CompiledClass>,
}

/// All tariff versions of the utility, compiled once.
#[derive(Debug, Default)]
pub struct TariffBook {
    /// For each schedule the versions in force, by effective date; a later revision of a date hides the earlier.
    schedules: HashMap<String, BTreeMap<NaiveDate, Arc<Version>>>,
    /// Every version ever, for bills to be made again.
    by_sha256: HashMap<String, Arc<Version>>,
}

impl TariffBook {
    /// Adds a version; of two with the same date the one added later is in force.
    ///
    /// # Errors
    /// The error of a class that does not compile.
    pub fn add(&mut self, schedule: &str, effective_on: NaiveDate, tariff: Tariff) -> Result<(), CompileError> {
        let mut classes = HashMap::new();
        for class in tariff.classes() {
            classes.insert(class.to_owned(), tariff.compile(class)?);
        }
        let sha256 = tariff.sha256().to_owned();
        let version = Arc::new(Version { effective_on, sha256: sha256.clone(), tariff, classes });
        self.schedules.entry(schedule.to_owned()).or_default().insert(effective_on, Arc::clone(&version));
        self.by_sha256.insert(sha256, version);
        Ok(())
    }

    /// The schedules there are.
    pub fn schedules(&self) -> impl Iterator<Item = &str> {
        self.schedules.keys().map(String::as_str)
    }

    /// Whether any version of the schedule has the class.
    #[must_use]
    pub fn has_class(&self, schedule: &str, rate_class: &str) -> bool {
        self.schedules.get(schedule).is_some_and(|versions| versions.values().any(|version| version.classes.contains_key(rate_class)))
    }

    /// The versions in force during a period with the days that each covers, oldest first. The closing day is the
    /// first of the next period.
    fn versions_during(&self, schedule: &str, start_on: NaiveDate, end_on: NaiveDate) -> Result<Vec<(Arc<Version>, u32)>, BillingHold> {
        let none = |on| BillingHold::NoTariff { schedule: schedule.to_owned(), on };
        let versions = self.schedules.get(schedule).ok_or_else(|| none(start_on))?;
        let (_, first) = versions.range(..=start_on).next_back().ok_or_else(|| none(start_on))?;
        let mut slices = vec![(start_on, Arc::clone(first))];
        let day_after = start_on.succ_opt().unwrap_or(start_on);
        if day_after < end_on {
            slices.extend(versions.range(day_after..end_on).map(|(date, version)| (*date, Arc::clone(version))));
        }
        let ends: Vec<NaiveDate> = slices.iter().skip(1).map(|(date, _)| *date).chain([end_on]).collect();
        Ok(slices.into_iter().zip(ends).map(|((from, version), to)| (version, days_between(from, to))).collect())
    }
}

fn days_between(from: NaiveDate, to: NaiveDate) -> u32 {
    u32::try_from((to - from).num_days()).unwrap_or(0)
}

/// What of an agreement matters for its price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgreementTerms {
    /// The tariff schedule.
    pub schedule: String,
    /// The rate class within it.
    pub rate_class: String,
    /// Attributes of the account and its service, such as the meter size.
    pub attributes: Attributes,
    /// First day of the agreement, when known.
    pub start_on: Option<NaiveDate>,
    /// Last day of the agreement, once it ended.
    pub end_on: Option<NaiveDate>,
}

/// A tariff version and the days of the period that it prices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateSlice {
    /// The version, by the hash of its text.
    pub sha256: String,
    /// For how many days of the period it counts.
    pub days: u32,
}

/// Everything that a segment's amount depends on: kept with the bill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentInputs {
    /// The engine that priced it.
    pub engine: String,
    /// The rate class.
    pub rate_class: String,
    /// The attributes as they were.
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub attributes: Attributes,
    /// The opening read's date.
    pub start_on: NaiveDate,
    /// The closing read's date.
    pub end_on: NaiveDate,
    /// What each register counted.
    pub spans: Vec<Span>,
    /// The tariff versions and their days.
    pub slices: Vec<RateSlice>,
    /// Days of a standard period when a short first or last period is prorated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standard_days: Option<u32>,
}

/// Why an agreement is held instead of billed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BillingHold {
    /// The reads need a person.
    #[error(transparent)]
    Metering(#[from] MeteringHold),
    /// No tariff version for the service date.
    #[error("no version of tariff '{schedule}' is in force on {on}")]
    NoTariff {
        /// The schedule.
        schedule: String,
        /// The service date.
        on: NaiveDate,
    },
    /// The tariff changes its unit within the period and a register does not say what it counts in.
    #[error("the tariff changes its unit within the period, and a register has no unit of its own")]
    UnitChange,
    /// A bill names a version that is not there.
    #[error("tariff version {0} is not in the database")]
    UnknownVersion(String),
    /// The version has no such class.
    #[error("the tariff version in force from {effective_on} has no rate class '{rate_class}'")]
    UnknownClass {
        /// The class.
        rate_class: String,
        /// The version's date.
        effective_on: NaiveDate,
    },
    /// The rules cannot price this account.
    #[error("it cannot be priced: {0}")]
    Pricing(#[from] PricingError),
}

/// Settles what a period's price depends on: the tariff versions of its days and its proration.
///
/// Rates are chosen by the days of service, never by today's date.
///
/// # Errors
/// [`BillingHold`] when no version is in force or it lacks the class.
pub fn plan(terms: &AgreementTerms, period: Period, book: &TariffBook) -> Result<SegmentInputs, BillingHold> {
    let mut versions = book.versions_during(&terms.schedule, period.start_on, period.end_on)?;
    let settings = versions.last().map(|(version, _)| version.tariff.settings_of(&terms.rate_class).clone());
    let settings = settings.ok_or_else(|| unknown_class(&versions, &terms.rate_class))?;
    let days = days_between(period.start_on, period.end_on);
    versions = match settings.proration.rate_change {
        RateChange::ByDays => versions,
        RateChange::PeriodStart => versions.into_iter().take(1).map(|(version, _)| (version, days)).collect(),
        RateChange::PeriodEnd => versions.into_iter().next_back().map(|(version, _)| (version, days)).into_iter().collect(),
    };
    let unit = |slice: &(Arc<Version>, u32)| slice.0.tariff.metadata().bill_unit.clone();
    let units_change = versions.iter().zip(versions.iter().skip(1)).any(|(before, after)| unit(before) != unit(after));
    if units_change && period.spans.iter().any(|span| span.register.unit.is_none()) {
        return Err(BillingHold::UnitChange);
    }
    for (version, _) in &versions {
        if !version.classes.contains_key(&terms.rate_class) {
            return Err(BillingHold::UnknownClass { rate_class: terms.rate_class.clone(), effective_on: version.effective_on });
        }
    }
    Ok(SegmentInputs {
        engine: ENGINE_VERSION.to_owned(),
        rate_class: terms.rate_class.clone(),
        attributes: terms.attributes.clone(),
        start_on: period.start_on,
        end_on: period.end_on,
        standard_days: prorated_to(terms, &period, days, &settings),
        spans: period.spans,
        slices: versions.into_iter().map(|(version, days)| RateSlice { sha256: version.sha256.clone(), days }).collect(),
    })
}

fn unknown_class(versions: &[(Arc<Version>, u32)], rate_class: &str) -> BillingHold {
    let effective_on = versions.last().map_or(NaiveDate::MIN, |(version, _)| version.effective_on);
    BillingHold::UnknownClass { rate_class: rate_class.to_owned(), effective_on }
}

/// The standard period when this one is the agreement's first or last, is shorter, and the tariff prorates it.
fn prorated_to(terms: &AgreementTerms, period: &Period, days: u32, settings: &Settings) -> Option<u32> {
    let first = terms.start_on.is_some_and(|start| period.start_on <= start);
    let last = terms.end_on.is_some_and(|end| period.end_on >= end);
    let standard_days = settings.proration.standard_days;
    let prorates = settings.proration.short_periods == ShortPeriods::ByDays && (first || last) && days < standard_days;
    prorates.then_some(standard_days)
}

/// A priced segment.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentCharge {
    /// Usage in the unit of the tariff in force at the period's end, in thousandths.
    pub usage_milli: i64,
    /// Total and lines.
    pub charge: Charge,
}

/// Prices a segment from its inputs alone. With several tariff versions each prices the whole period and counts by
/// its share of the days, which scales usage, tiers and fixed charges alike.
///
/// # Errors
/// [`BillingHold`] when a version or class is missing or the rules cannot price it.
pub fn charge(inputs: &SegmentInputs, book: &TariffBook) -> Result<SegmentCharge, BillingHold> {
    let days = days_between(inputs.start_on, inputs.end_on);
    let mut lines: Vec<ExactLine> = Vec::new();
    let mut usage = 0;
    let mut rounding = Rounding::default();
    for slice in &inputs.slices {
        let (version, class) = find_class(book, slice, &inputs.rate_class)?;
        usage = usage_milli(&inputs.spans, &version.tariff.metadata().bill_unit)?;
        rounding = class.settings().rounding;
        let attributes = with_days(&inputs.attributes, class, days);
        let priced = class.price(&pricing_input(inputs, usage, &attributes, days))?;
        if inputs.slices.len() == 1 {
            lines = priced;
        } else {
            for line in priced {
                lines.push(line.weighted(slice.days, days)?);
            }
        }
    }
    let charge = settle(lines, rounding)?;
    Ok(SegmentCharge { usage_milli: usage, charge })
}

/// The same amount from the second, naive evaluator: what a run's gate compares a sample with.
///
/// # Errors
/// As [`charge`].
pub fn recompute(inputs: &SegmentInputs, book: &TariffBook) -> Result<Money, BillingHold> {
    let days = days_between(inputs.start_on, inputs.end_on);
    let mut exact = Decimal::ZERO;
    let mut rounding = Rounding::default();
    for slice in &inputs.slices {
        let (version, class) = find_class(book, slice, &inputs.rate_class)?;
        let usage = usage_milli(&inputs.spans, &version.tariff.metadata().bill_unit)?;
        rounding = class.settings().rounding;
        let attributes = with_days(&inputs.attributes, class, days);
        let amount = reference::bill(&version.tariff, &inputs.rate_class, &pricing_input(inputs, usage, &attributes, days))?;
        exact += whole_bill(amount).weighted(slice.days, days)?.amount;
    }
    Ok(settle(vec![whole_bill(exact)], rounding)?.total)
}

/// A bill as one line: the second evaluator gives an amount and no working.
fn whole_bill(amount: Decimal) -> ExactLine {
    ExactLine { part: "bill".to_owned(), label: "bill".to_owned(), tier: None, quantity: None, price: None, amount }
}

fn find_class<'a>(book: &'a TariffBook, slice: &RateSlice, rate_class: &str) -> Result<(&'a Arc<Version>, &'a CompiledClass), BillingHold> {
    let version = book.by_sha256.get(&slice.sha256).ok_or_else(|| BillingHold::UnknownVersion(slice.sha256.clone()))?;
    let class = version
        .classes
        .get(rate_class)
        .ok_or_else(|| BillingHold::UnknownClass { rate_class: rate_class.to_owned(), effective_on: version.effective_on })?;
    Ok((version, class))
}

fn with_days<'a>(attributes: &'a Attributes, class: &CompiledClass, days: u32) -> std::borrow::Cow<'a, Attributes> {
    if attributes.get(DAYS_IN_PERIOD).is_some() || !class.attributes().any(|name| name == DAYS_IN_PERIOD) {
        return std::borrow::Cow::Borrowed(attributes);
    }
    let mut attributes = attributes.clone();
    attributes.set(DAYS_IN_PERIOD, &days.to_string());
    std::borrow::Cow::Owned(attributes)
}

fn pricing_input<'a>(inputs: &SegmentInputs, usage: i64, attributes: &'a Attributes, days: u32) -> PricingInput<'a> {
    let share = inputs.standard_days.map_or(Share::WHOLE, |of_days| Share { days, of_days });
    PricingInput { usage: from_milli(usage), attributes, share }
}
