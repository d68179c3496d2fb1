//! One agreement's charges for one period: which tariff versions apply on which days, and what they give.
//!
//! Everything that a segment's amount depends on is in [`SegmentInputs`], and [`charge`] is a function of those
//! inputs and the tariff versions they name by hash. A bill keeps its inputs, so it can be made again (P7).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{Days, NaiveDate};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::metering::{MeteringHold, Period, ReadKind, Span, usage_milli};
use super::money::Money;
use super::quantity::from_milli;
use super::rates::{
    Attributes, Basis, Charge, ChargeLine, CompileError, CompiledClass, DAYS_IN_PERIOD, ExactLine, PricingError, PricingInput, RateChange, Rounding,
    Settings, Share, ShortPeriods, Tariff, Unit, WinterUse, billed_usage, reference, settle,
};
use super::winter::WinterQuarter;

/// Changes whenever the same inputs could give another amount; a bill says which engine made it.
pub const ENGINE_VERSION: &str = "3";

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

    /// The settings of a class in the version that is in force on a day.
    #[must_use]
    pub fn settings_on(&self, schedule: &str, rate_class: &str, on: NaiveDate) -> Option<&Settings> {
        let (_, version) = self.schedules.get(schedule)?.range(..=on).next_back()?;
        Some(version.tariff.settings_of(rate_class))
    }

    /// The settings of a class in the latest version that has it.
    #[must_use]
    pub fn latest_settings(&self, schedule: &str, rate_class: &str) -> Option<&Settings> {
        let versions = self.schedules.get(schedule)?;
        let version = versions.values().rev().find(|version| version.classes.contains_key(rate_class))?;
        Some(version.tariff.settings_of(rate_class))
    }

    /// Whether a service on these terms can be priced at all, from a day on: by the version that is in force then and by
    /// every later one.
    ///
    /// # Errors
    /// [`BillingHold`] as pricing would hold it.
    pub fn check_terms(&self, schedule: &str, rate_class: &str, attributes: &Attributes, on: NaiveDate) -> Result<(), BillingHold> {
        let versions = self.schedules.get(schedule).ok_or_else(|| BillingHold::NoTariff { schedule: schedule.to_owned(), on })?;
        let in_force = versions.range(..=on).next_back().map(|(_, version)| version);
        for version in in_force.into_iter().chain(versions.range(on..).map(|(_, version)| version)) {
            let class = version
                .classes
                .get(rate_class)
                .ok_or_else(|| BillingHold::UnknownClass { rate_class: rate_class.to_owned(), effective_on: version.effective_on })?;
            class.check_attributes(attributes)?;
        }
        Ok(())
    }

    /// Whether any version of the schedule charges the class by a winter.
    #[must_use]
    pub fn ever_by_winter(&self, schedule: &str, rate_class: &str) -> bool {
        let by_winter =
            |version: &Arc<Version>| version.classes.get(rate_class).is_some_and(|class| class.settings().usage.basis == Basis::WinterAverage);
        self.schedules.get(schedule).is_some_and(|versions| versions.values().any(by_winter))
    }

    /// The months of the winter that a segment is charged by, when the rates of any of its days charge by one.
    #[must_use]
    pub fn winter_months(&self, inputs: &SegmentInputs) -> Option<&[u32]> {
        let mut classes = inputs.slices.iter().filter_map(|slice| find_class(self, slice, &inputs.rate_class).ok());
        let (_, class) = classes.find(|(_, class)| class.settings().usage.basis == Basis::WinterAverage)?;
        Some(&class.settings().usage.winter_months)
    }

    /// How often a schedule is billed, in whole months, by the version that is in force on a day.
    #[must_use]
    pub fn months_between_bills(&self, schedule: &str, on: NaiveDate) -> Option<u32> {
        let (_, version) = self.schedules.get(schedule)?.range(..=on).next_back()?;
        Some(version.tariff.metadata().bill_frequency.months())
    }

    /// The classes that any version of the schedule has, by name.
    #[must_use]
    pub fn classes(&self, schedule: &str) -> Vec<String> {
        let versions = self.schedules.get(schedule).into_iter().flat_map(BTreeMap::values);
        let mut classes: Vec<String> = versions.flat_map(|version| version.classes.keys().cloned()).collect();
        classes.sort_unstable();
        classes.dedup();
        classes
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
    /// What they became later, oldest first.
    pub changes: Vec<TermChange>,
    /// First day of the agreement, when known.
    pub start_on: Option<NaiveDate>,
    /// Last day of the agreement, once it ended.
    pub end_on: Option<NaiveDate>,
}

/// Another class or other attributes from a day on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TermChange {
    /// The first day that they hold.
    pub effective_on: NaiveDate,
    /// The rate class.
    pub rate_class: String,
    /// The attributes.
    pub attributes: Attributes,
}

impl AgreementTerms {
    /// The class and the attributes that hold on a day.
    #[must_use]
    pub fn on(&self, day: NaiveDate) -> (&str, &Attributes) {
        let change = self.changes.iter().rev().find(|change| change.effective_on <= day);
        change.map_or((self.rate_class.as_str(), &self.attributes), |change| (change.rate_class.as_str(), &change.attributes))
    }
}

/// A tariff version and the days of the period that it prices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateSlice {
    /// The version, by the hash of its text.
    pub sha256: String,
    /// For how many days of the period it counts.
    pub days: u32,
    /// The rate class of these days, when it is not the segment's: the terms changed within the period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_class: Option<String>,
    /// The attributes of these days, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Attributes>,
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
    /// What was used in the last winter, where the tariff charges by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub winter: Option<WinterQuarter>,
    /// The estimated periods before this one that its real reads settle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settles: Option<Settlement>,
}

impl SegmentInputs {
    /// Every span that its amount depends on: its own and those of the winters that it is charged by.
    pub fn every_span(&self) -> impl Iterator<Item = &Span> {
        let earlier = self.settles.iter().flat_map(|settles| &settles.periods).filter_map(|period| period.winter.as_ref());
        self.spans.iter().chain(self.winter.iter().chain(earlier).flat_map(|winter| &winter.spans))
    }

    /// Whether it closes with an estimate.
    #[must_use]
    pub fn is_estimated(&self) -> bool {
        self.spans.iter().any(|span| span.kind == ReadKind::Estimated && span.to_on == self.end_on)
    }
}

/// Estimated periods that a real read settles: what was used since the last real read is spread over all the days, each
/// period is priced anew with its own tiers and rates, and what it was billed is taken off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settlement {
    /// The day of the last real read.
    pub since_on: NaiveDate,
    /// The estimated periods, oldest first; they and the segment's own period follow each other without a gap.
    pub periods: Vec<EstimatedPeriod>,
}

/// A period that was billed by an estimate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EstimatedPeriod {
    /// The rate class.
    pub rate_class: String,
    /// The attributes as they were.
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub attributes: Attributes,
    /// Its first day.
    pub start_on: NaiveDate,
    /// The day after its last.
    pub end_on: NaiveDate,
    /// The tariff versions and their days.
    pub slices: Vec<RateSlice>,
    /// As [`SegmentInputs::standard_days`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standard_days: Option<u32>,
    /// As [`SegmentInputs::winter`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub winter: Option<WinterQuarter>,
    /// The usage it was billed with, in thousandths.
    pub billed_usage_milli: i64,
    /// What it was billed.
    pub billed: Money,
    /// The part of it that was tax.
    #[serde(default)]
    pub billed_tax: Money,
}

/// A segment that closed with an estimate, as it was billed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EstimatedSegment {
    /// Its inputs.
    pub inputs: SegmentInputs,
    /// The usage it was billed with, in thousandths.
    pub usage_milli: i64,
    /// What it was billed.
    pub total: Money,
    /// The part of it that was tax.
    pub tax: Money,
}

impl EstimatedSegment {
    fn period(&self) -> EstimatedPeriod {
        EstimatedPeriod {
            rate_class: self.inputs.rate_class.clone(),
            attributes: self.inputs.attributes.clone(),
            start_on: self.inputs.start_on,
            end_on: self.inputs.end_on,
            slices: self.inputs.slices.clone(),
            standard_days: self.inputs.standard_days,
            winter: self.inputs.winter.clone(),
            billed_usage_milli: self.usage_milli,
            billed: self.total,
            billed_tax: self.tax,
        }
    }
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
    /// The estimated bills that a real read is to settle are not all there.
    #[error("it was read on {on} after estimates since {since}, and the bills of those estimates are not all there")]
    EstimatesMissing {
        /// The real read before the estimates.
        since: NaiveDate,
        /// The real read after them.
        on: NaiveDate,
    },
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

/// Settles what a period's price depends on: the tariff versions and terms of its days, its proration, and the estimates
/// that it settles.
///
/// Rates are chosen by the days of service, never by today's date. `estimates` are the estimated segments of this
/// agreement that no real read has settled yet, oldest first.
///
/// # Errors
/// [`BillingHold`] when no version is in force or it lacks the class, or an estimate to be settled is not there.
pub fn plan(terms: &AgreementTerms, period: Period, book: &TariffBook, estimates: &[EstimatedSegment]) -> Result<SegmentInputs, BillingHold> {
    let last_day = period.end_on.pred_opt().unwrap_or(period.end_on).max(period.start_on);
    let (rate_class, attributes) = terms.on(last_day);
    let versions = book.versions_during(&terms.schedule, period.start_on, period.end_on)?;
    let settings = versions.last().map(|(version, _)| version.tariff.settings_of(rate_class).clone());
    let settings = settings.ok_or_else(|| unknown_class(&versions, rate_class))?;
    let days = days_between(period.start_on, period.end_on);
    let versions = match settings.proration.rate_change {
        RateChange::ByDays => versions,
        RateChange::PeriodStart => versions.into_iter().take(1).map(|(version, _)| (version, days)).collect(),
        RateChange::PeriodEnd => versions.into_iter().next_back().map(|(version, _)| (version, days)).into_iter().collect(),
    };
    let unit = |slice: &(Arc<Version>, u32)| slice.0.tariff.metadata().bill_unit.clone();
    let units_change = versions.iter().zip(versions.iter().skip(1)).any(|(before, after)| unit(before) != unit(after));
    if units_change && period.spans.iter().any(|span| span.register.unit.is_none()) {
        return Err(BillingHold::UnitChange);
    }
    let slices = slices(terms, &versions, period.start_on, period.end_on);
    for slice in &slices {
        find_class(book, slice, rate_class)?;
    }
    Ok(SegmentInputs {
        engine: ENGINE_VERSION.to_owned(),
        rate_class: rate_class.to_owned(),
        attributes: attributes.clone(),
        start_on: period.start_on,
        end_on: period.end_on,
        standard_days: prorated_to(terms, &period, days, &settings),
        winter: None,
        settles: settlement(&period, estimates)?,
        spans: period.spans,
        slices,
    })
}

/// The period cut where the tariff or the terms change. What is as at the period's end is not repeated.
fn slices(terms: &AgreementTerms, versions: &[(Arc<Version>, u32)], start_on: NaiveDate, end_on: NaiveDate) -> Vec<RateSlice> {
    let last_day = end_on.pred_opt().unwrap_or(end_on).max(start_on);
    let at_end = terms.on(last_day);
    let mut slices = Vec::with_capacity(versions.len());
    let mut from = start_on;
    for (version, days) in versions {
        let to = from.checked_add_days(Days::new(u64::from(*days))).unwrap_or(end_on);
        let changes = terms.changes.iter().map(|change| change.effective_on).filter(|day| *day > from && *day < to);
        let mut cut = from;
        for next in changes.chain([to]) {
            let (rate_class, attributes) = terms.on(cut);
            slices.push(RateSlice {
                sha256: version.sha256.clone(),
                days: days_between(cut, next),
                rate_class: (rate_class != at_end.0).then(|| rate_class.to_owned()),
                attributes: (attributes != at_end.1).then(|| attributes.clone()),
            });
            cut = next;
        }
        from = to;
    }
    slices
}

/// The estimated periods between the last real read and this period, which must be there without a gap.
fn settlement(period: &Period, estimates: &[EstimatedSegment]) -> Result<Option<Settlement>, BillingHold> {
    let Some(since_on) = period.settles_since else { return Ok(None) };
    let missing = || BillingHold::EstimatesMissing { since: since_on, on: period.end_on };
    let periods: Vec<EstimatedPeriod> =
        estimates.iter().filter(|estimate| estimate.inputs.start_on >= since_on).map(EstimatedSegment::period).collect();
    let mut reached = since_on;
    for estimated in &periods {
        if estimated.start_on != reached {
            return Err(missing());
        }
        reached = estimated.end_on;
    }
    if reached == period.start_on { Ok(Some(Settlement { since_on, periods })) } else { Err(missing()) }
}

fn unknown_class(versions: &[(Arc<Version>, u32)], rate_class: &str) -> BillingHold {
    let effective_on = versions.last().map_or(NaiveDate::MIN, |(version, _)| version.effective_on);
    BillingHold::UnknownClass { rate_class: rate_class.to_owned(), effective_on }
}

/// The standard period when this one is the agreement's first or last, is shorter, and the tariff prorates it.
fn prorated_to(terms: &AgreementTerms, period: &Period, days: u32, settings: &Settings) -> Option<u32> {
    let first = terms.start_on.is_some_and(|start| period.start_on <= start);
    let last = terms.end_on.is_some_and(|end| period.end_on >= end);
    let standard_days = period.whole_days.unwrap_or(settings.proration.standard_days);
    let short = settings.proration.short_periods == ShortPeriods::ByDays && (first || last);
    // A calendar period in the middle is cut only where the tariff begins to be billed less often: never charged in full.
    let recut = period.whole_days.is_some() && !first && !last;
    ((short || recut) && days < standard_days).then_some(standard_days)
}

/// A priced segment.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentCharge {
    /// Usage in the unit of the tariff in force at the period's end, in thousandths.
    pub usage_milli: i64,
    /// Total and lines.
    pub charge: Charge,
}

/// One period as it is priced: a segment's own, or an estimated one that it settles.
struct Priceable<'a> {
    rate_class: &'a str,
    attributes: &'a Attributes,
    slices: &'a [RateSlice],
    standard_days: Option<u32>,
    winter: Option<&'a WinterQuarter>,
    days: u32,
}

impl<'a> Priceable<'a> {
    fn of(inputs: &'a SegmentInputs) -> Self {
        Self {
            rate_class: &inputs.rate_class,
            attributes: &inputs.attributes,
            slices: &inputs.slices,
            standard_days: inputs.standard_days,
            winter: inputs.winter.as_ref(),
            days: days_between(inputs.start_on, inputs.end_on),
        }
    }

    fn estimated(period: &'a EstimatedPeriod) -> Self {
        Self {
            rate_class: &period.rate_class,
            attributes: &period.attributes,
            slices: &period.slices,
            standard_days: period.standard_days,
            winter: period.winter.as_ref(),
            days: days_between(period.start_on, period.end_on),
        }
    }

    /// The usage that is priced, in thousandths: what was metered, or what the tariff makes of it and of the winter.
    fn billed_milli(&self, class: &CompiledClass, metered_milli: i64, unit: &Unit) -> Result<i64, BillingHold> {
        let settings = class.settings();
        if settings.usage.basis == Basis::Metered && settings.usage.cap.is_none() {
            return Ok(metered_milli);
        }
        let winter = match self.winter {
            Some(winter) => Some(WinterUse { usage: from_milli(usage_milli(&winter.spans, unit)?), days: winter.days }),
            None => None,
        };
        let billed = billed_usage(settings, from_milli(metered_milli), self.days, winter)?;
        let milli = billed.usage.checked_mul(Decimal::ONE_THOUSAND).and_then(|milli| milli.to_i64());
        Ok(milli.ok_or(MeteringHold::TooLarge)?)
    }

    fn input<'b>(&self, usage: i64, attributes: &'b Attributes) -> PricingInput<'b> {
        let share = self.standard_days.map_or(Share::WHOLE, |of_days| Share { days: self.days, of_days });
        PricingInput { usage: from_milli(usage), attributes, share }
    }
}

/// What was metered, and which part of it belongs to which period: all of it to the segment's own, or, when estimates
/// are settled, to each period by its days.
struct Metered<'a> {
    inputs: &'a SegmentInputs,
}

impl Metered<'_> {
    /// The segment's own usage.
    fn own(&self, unit: &Unit) -> Result<i64, BillingHold> {
        let whole = usage_milli(&self.inputs.spans, unit)?;
        Ok(self.inputs.settles.as_ref().map_or(whole, |settles| self.share(whole, settles, self.inputs.start_on, self.inputs.end_on)))
    }

    /// The usage of an estimated period.
    fn of(&self, settles: &Settlement, period: &EstimatedPeriod, unit: &Unit) -> Result<i64, BillingHold> {
        let whole = usage_milli(&self.inputs.spans, unit)?;
        Ok(self.share(whole, settles, period.start_on, period.end_on))
    }

    /// The part of the whole that falls on some days. Cut cumulatively, so that the parts add up to the whole.
    fn share(&self, whole: i64, settles: &Settlement, from: NaiveDate, to: NaiveDate) -> i64 {
        let all = i128::from(days_between(settles.since_on, self.inputs.end_on).max(1));
        let until = |day: NaiveDate| i128::from(whole) * i128::from(days_between(settles.since_on, day)) / all;
        i64::try_from(until(to) - until(from)).unwrap_or(0)
    }
}

/// Prices a segment from its inputs alone. With several slices each prices the whole period and counts by its share of
/// the days, which scales usage, tiers and fixed charges alike.
///
/// # Errors
/// [`BillingHold`] when a version or class is missing or the rules cannot price it.
pub fn charge(inputs: &SegmentInputs, book: &TariffBook) -> Result<SegmentCharge, BillingHold> {
    charge_reduced(inputs, book, (1, 1))
}

/// The same with a part of the segment's own metered usage, `(kept, of)`: what it would have been with less. The estimates
/// that it settles stay as they are.
///
/// # Errors
/// As [`charge`].
pub fn charge_reduced(inputs: &SegmentInputs, book: &TariffBook, (kept, of): (i64, i64)) -> Result<SegmentCharge, BillingHold> {
    let metered = Metered { inputs };
    let part =
        |milli: i64| if kept == of { milli } else { i64::try_from(i128::from(milli) * i128::from(kept) / i128::from(of.max(1))).unwrap_or(milli) };
    let mut own = charge_period(&Priceable::of(inputs), book, &|unit| metered.own(unit).map(part))?;
    let Some(settles) = &inputs.settles else { return Ok(own) };
    for period in &settles.periods {
        let now = charge_period(&Priceable::estimated(period), book, &|unit| metered.of(settles, period, unit))?;
        correct(&mut own.charge, period, &now)?;
    }
    Ok(own)
}

/// The segment's own metered usage in the unit of the tariff in force at its end, in thousandths: before a winter's average or
/// a cap makes another one of it.
///
/// # Errors
/// As [`charge`].
pub fn metered_milli(inputs: &SegmentInputs, book: &TariffBook) -> Result<i64, BillingHold> {
    let Some(slice) = inputs.slices.last() else { return Ok(0) };
    let (version, _) = find_class(book, slice, &inputs.rate_class)?;
    Metered { inputs }.own(&version.tariff.metadata().bill_unit)
}

/// Adds the line that takes an estimated bill back and charges what it should have been.
fn correct(charge: &mut Charge, period: &EstimatedPeriod, now: &SegmentCharge) -> Result<(), BillingHold> {
    let too_large = || BillingHold::Pricing(PricingError::TotalTooLarge);
    let difference = now.charge.total.checked_sub(period.billed).ok_or_else(too_large)?;
    charge.total = charge.total.checked_add(difference).ok_or_else(too_large)?;
    charge.tax = now.charge.tax.checked_sub(period.billed_tax).and_then(|tax| charge.tax.checked_add(tax)).ok_or_else(too_large)?;
    if difference == Money::default() && now.usage_milli == period.billed_usage_milli {
        // The estimate was right to the cent: there is nothing to say.
        return Ok(());
    }
    let amount = Decimal::new(difference.cents(), 2).normalize();
    charge.exact = charge.exact.checked_add(amount).ok_or_else(too_large)?.normalize();
    charge.lines.push(ChargeLine {
        part: CORRECTION.to_owned(),
        label: format!(
            "Estimated bill of {} to {} corrected: {} was billed for {}, it is {} for {}",
            period.start_on,
            period.end_on,
            period.billed,
            from_milli(period.billed_usage_milli),
            now.charge.total,
            from_milli(now.usage_milli)
        ),
        tier: None,
        quantity: None,
        price: None,
        amount,
        amount_cents: difference,
    });
    Ok(())
}

/// The part name of a line that corrects an estimated bill.
pub const CORRECTION: &str = "correction";

fn charge_period(
    period: &Priceable<'_>,
    book: &TariffBook,
    metered: &dyn Fn(&Unit) -> Result<i64, BillingHold>,
) -> Result<SegmentCharge, BillingHold> {
    let mut lines: Vec<ExactLine> = Vec::new();
    let mut usage = 0;
    let mut rounding = Rounding::default();
    for slice in period.slices {
        let (version, class) = find_class(book, slice, period.rate_class)?;
        let unit = &version.tariff.metadata().bill_unit;
        usage = period.billed_milli(class, metered(unit)?, unit)?;
        rounding = class.settings().rounding;
        let attributes = with_days(slice.attributes.as_ref().unwrap_or(period.attributes), class, period.days);
        let priced = class.price(&period.input(usage, &attributes))?;
        if period.slices.len() == 1 {
            lines = priced;
        } else {
            for line in priced {
                lines.push(line.weighted(slice.days, period.days)?);
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
    let metered = Metered { inputs };
    let mut total = recompute_period(&Priceable::of(inputs), book, &|unit| metered.own(unit))?;
    if let Some(settles) = &inputs.settles {
        for period in &settles.periods {
            total += recompute_period(&Priceable::estimated(period), book, &|unit| metered.of(settles, period, unit))? - period.billed;
        }
    }
    Ok(total)
}

fn recompute_period(period: &Priceable<'_>, book: &TariffBook, metered: &dyn Fn(&Unit) -> Result<i64, BillingHold>) -> Result<Money, BillingHold> {
    let mut exact = Decimal::ZERO;
    let mut rounding = Rounding::default();
    for slice in period.slices {
        let (version, class) = find_class(book, slice, period.rate_class)?;
        let unit = &version.tariff.metadata().bill_unit;
        let usage = period.billed_milli(class, metered(unit)?, unit)?;
        rounding = class.settings().rounding;
        let attributes = with_days(slice.attributes.as_ref().unwrap_or(period.attributes), class, period.days);
        let name = slice.rate_class.as_deref().unwrap_or(period.rate_class);
        let amount = reference::bill(&version.tariff, name, &period.input(usage, &attributes))?;
        exact += whole_bill(amount).weighted(slice.days, period.days)?.amount;
    }
    Ok(settle(vec![whole_bill(exact)], rounding)?.total)
}

/// A bill as one line: the second evaluator gives an amount and no working.
fn whole_bill(amount: Decimal) -> ExactLine {
    ExactLine { part: "bill".to_owned(), label: "bill".to_owned(), tier: None, quantity: None, price: None, amount }
}

fn find_class<'a>(book: &'a TariffBook, slice: &RateSlice, rate_class: &str) -> Result<(&'a Arc<Version>, &'a CompiledClass), BillingHold> {
    let version = book.by_sha256.get(&slice.sha256).ok_or_else(|| BillingHold::UnknownVersion(slice.sha256.clone()))?;
    let rate_class = slice.rate_class.as_deref().unwrap_or(rate_class);
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
