//! Which usage is priced: what the meter counted, an average of winter, or a share.
//!
//! Belongs here: the setting and the arithmetic from metered to billed usage. Does not belong here: which reads make a
//! winter (`metering`, `billing`), or any price.

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

use super::error::PricingError;
use super::number::without_noise;
use super::settings::Settings;

/// Decimals of a billed usage, as of a metered one.
const USAGE_DECIMALS: u32 = 3;

/// Which usage is priced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UsageBasis {
    /// What it starts from.
    pub basis: Basis,
    /// Winter average: the months (1 to 12) in which a winter period may end.
    pub winter_months: Vec<u32>,
    /// Share: the percentage of the metered usage that counts.
    pub share_percent: Decimal,
    /// Never more than this in a standard period; scaled by days.
    pub cap: Option<Decimal>,
    /// Winter average: never more than what was metered.
    pub lower_of: bool,
    /// Winter average: usage of a standard period while no winter is known; scaled by days. Without it, what was
    /// metered counts.
    pub default: Option<Decimal>,
}

impl Default for UsageBasis {
    fn default() -> Self {
        Self { basis: Basis::default(), winter_months: Vec::new(), share_percent: Decimal::ONE_HUNDRED, cap: None, lower_of: false, default: None }
    }
}

/// What the billed usage starts from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// What the meter counted.
    #[default]
    Metered,
    /// What the meter counted a day in the last winter, times the days of the period.
    WinterAverage,
    /// A percentage of what the meter counted.
    Share,
}

/// What was used in the winter that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WinterUse {
    /// Usage of all its periods, in the tariff's unit.
    #[serde(with = "rust_decimal::serde::str")]
    pub usage: Decimal,
    /// Days of all its periods.
    pub days: u32,
}

/// The usage that is priced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BilledUsage {
    /// In the tariff's unit, to thousandths.
    #[serde(with = "rust_decimal::serde::str")]
    pub usage: Decimal,
    /// Where it comes from.
    pub how: UsageHow,
}

/// Where a billed usage comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageHow {
    /// What the meter counted.
    Metered,
    /// The winter's average.
    WinterAverage,
    /// What the meter counted, which was less than the winter's average or the default.
    LowerThanWinter,
    /// The tariff's default, as no winter is known.
    Default,
    /// The tariff's share of what the meter counted.
    Share,
    /// The tariff's cap, which the usage would have exceeded.
    Cap,
}

impl UsageHow {
    /// The source in a few words, for a bill.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Metered => "as metered",
            Self::WinterAverage => "winter average",
            Self::LowerThanWinter => "as metered, lower than the winter average",
            Self::Default => "standard usage, no winter known yet",
            Self::Share => "share of the metered usage",
            Self::Cap => "capped",
        }
    }
}

/// The usage that is priced for `days` in which `metered` was counted. All but what the meter counted is scaled by the
/// days of the period; the result is rounded once, to thousandths, half even.
///
/// # Errors
/// When a usage is negative, a period has no days, or a number is too large to be exact.
pub fn billed_usage(settings: &Settings, metered: Decimal, days: u32, winter: Option<WinterUse>) -> Result<BilledUsage, PricingError> {
    let rule = &settings.usage;
    let standard_days = settings.proration.standard_days;
    for usage in [Some(metered), winter.map(|winter| winter.usage)].into_iter().flatten() {
        if usage < Decimal::ZERO {
            return Err(PricingError::NegativeUsage(usage.to_string()));
        }
    }
    let (mut usage, mut how) = match (rule.basis, winter, rule.default) {
        (Basis::WinterAverage, Some(winter), _) => (by_days(winter.usage, days, winter.days)?, UsageHow::WinterAverage),
        (Basis::WinterAverage, None, Some(default)) => (by_days(default, days, standard_days)?, UsageHow::Default),
        (Basis::Share, ..) => (share(metered, rule.share_percent)?, UsageHow::Share),
        (Basis::Metered, ..) | (Basis::WinterAverage, None, None) => (metered, UsageHow::Metered),
    };
    if rule.lower_of && metered < usage {
        (usage, how) = (metered, UsageHow::LowerThanWinter);
    }
    if let Some(cap) = rule.cap {
        let cap = by_days(cap, days, standard_days)?;
        if cap < usage {
            (usage, how) = (cap, UsageHow::Cap);
        }
    }
    let usage = without_noise(usage).round_dp_with_strategy(USAGE_DECIMALS, RoundingStrategy::MidpointNearestEven).normalize();
    Ok(BilledUsage { usage, how })
}

fn share(metered: Decimal, percent: Decimal) -> Result<Decimal, PricingError> {
    let product = metered.checked_mul(percent);
    product.and_then(|product| product.checked_div(Decimal::ONE_HUNDRED)).ok_or(PricingError::TotalTooLarge)
}

/// `usage × days / of_days`, multiplied first so that whole results stay whole.
fn by_days(usage: Decimal, days: u32, of_days: u32) -> Result<Decimal, PricingError> {
    if days == 0 || of_days == 0 {
        return Err(PricingError::BadShare { days, of_days });
    }
    usage
        .checked_mul(Decimal::from(days))
        .and_then(|product| product.checked_div(Decimal::from(of_days)))
        .ok_or_else(|| PricingError::ShareTooLarge { what: "usage".to_owned(), days, of_days })
}
