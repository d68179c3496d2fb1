//! Overcharges: what was billed beside what should have been, and why the two differ.
//!
//! What belongs here: laying the two sides beside each other  and naming the cause , as pure functions
//! over values. What does not: reading the two sides, keeping findings, mending them.

pub mod causes;
pub mod compare;

use std::fmt;
use std::str::FromStr;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::billing::{SegmentInputs, TariffBook, charge};
use super::ledger::Charged;
use super::money::Money;
use super::rates::ChargeLine;

/// Why a charge is not what it should be. The order is that in which causes are looked for, the most specific first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The bill's lines are not what its own inputs give: a wrong tier, a wrong price.
    Price,
    /// A usage was billed twice: the same reading under two dates, or the same count in two places.
    DuplicatedRead,
    /// Two services were billed by each other's meters.
    SwappedMeters,
    /// The service was billed by another meter than it has.
    Meter,
    /// A register's multiplier was wrong.
    Multiplier,
    /// A register's digits or unit were wrong.
    Register,
    /// A read was set aside or put right.
    Read,
    /// An estimate was replaced.
    Estimate,
    /// A rate change was dated wrongly.
    TariffDate,
    /// The text of a tariff version was put right.
    TariffText,
    /// The rate class was wrong.
    RateClass,
    /// An attribute of the service was wrong: the meter's size, the number of dwellings.
    Attributes,
    /// The use of the winter that it is charged by came out otherwise.
    Winter,
    /// The days of service came out otherwise.
    Dates,
    /// A payment that had been received was not deducted.
    LatePayment,
    /// A fee rests on something that was taken back since.
    FeeReversed,
    /// More than one of these.
    Several,
    /// None of these.
    Other,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 18] = [
        Self::Price,
        Self::DuplicatedRead,
        Self::SwappedMeters,
        Self::Meter,
        Self::Multiplier,
        Self::Register,
        Self::Read,
        Self::Estimate,
        Self::TariffDate,
        Self::TariffText,
        Self::RateClass,
        Self::Attributes,
        Self::Winter,
        Self::Dates,
        Self::LatePayment,
        Self::FeeReversed,
        Self::Several,
        Self::Other,
    ];

    /// The name that tables and JSON use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Price => "price",
            Self::DuplicatedRead => "duplicated_read",
            Self::SwappedMeters => "swapped_meters",
            Self::Meter => "meter",
            Self::Multiplier => "multiplier",
            Self::Register => "register",
            Self::Read => "read",
            Self::Estimate => "estimate",
            Self::TariffDate => "tariff_date",
            Self::TariffText => "tariff_text",
            Self::RateClass => "rate_class",
            Self::Attributes => "attributes",
            Self::Winter => "winter",
            Self::Dates => "dates",
            Self::LatePayment => "late_payment",
            Self::FeeReversed => "fee_reversed",
            Self::Several => "several",
            Self::Other => "other",
        }
    }

    /// What people read.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Price => "Priced wrongly",
            Self::DuplicatedRead => "Read counted twice",
            Self::SwappedMeters => "Swapped meters",
            Self::Meter => "Wrong meter",
            Self::Multiplier => "Wrong multiplier",
            Self::Register => "Wrong digits or unit of a register",
            Self::Read => "Wrong read",
            Self::Estimate => "Estimate replaced",
            Self::TariffDate => "Rate change with the wrong date",
            Self::TariffText => "Tariff corrected",
            Self::RateClass => "Wrong rate class",
            Self::Attributes => "Wrong attribute of the service",
            Self::Winter => "Winter use came out otherwise",
            Self::Dates => "Wrong days of service",
            Self::LatePayment => "Payment not deducted",
            Self::FeeReversed => "Fee without a reason any more",
            Self::Several => "Several causes",
            Self::Other => "Other cause",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Cause {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == text).ok_or_else(|| format!("'{text}' is not a cause of an overcharge"))
    }
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// The charges of a service over some days: the balance is wrong by the difference.
    Charge,
    /// What was asked for: the balance is right, the bill asked for more than was owed.
    Payment,
    /// A fee: the balance is wrong by it.
    Fee,
}

impl FindingKind {
    /// The name that tables and JSON use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Charge => "charge",
            Self::Payment => "payment",
            Self::Fee => "fee",
        }
    }
}

impl FromStr for FindingKind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let kinds = [Self::Charge, Self::Payment, Self::Fee];
        kinds.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| format!("'{text}' is not a kind of finding"))
    }
}

/// One period of a service as it was billed, or as it should have been.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// The bill's number; none for what should have been.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bill: Option<String>,
    /// Usage in thousandths.
    pub usage_milli: i64,
    /// Its charge.
    pub total: Money,
    /// Whether it closes with an estimate.
    pub estimated: bool,
    /// What the charge was made from.
    pub inputs: SegmentInputs,
    /// Its lines.
    pub lines: Vec<ChargeLine>,
}

impl Side {
    /// Its first day.
    #[must_use]
    pub fn start_on(&self) -> NaiveDate {
        self.inputs.start_on
    }

    /// The day after its last.
    #[must_use]
    pub fn end_on(&self) -> NaiveDate {
        self.inputs.end_on
    }
}

/// What makes charges right: what should have been, priced once more from what it is made from, less what was posted. With its tax:
/// what was posted is the bills with whatever put them right before.
///
/// # Errors
/// Why nobody can say, in words: it cannot be priced now, or comes to something else than when it was found.
pub fn still_to_mend(posted: Charged, should: Money, sides: &[SegmentInputs], book: &TariffBook) -> Result<Charged, String> {
    let mut again = Charged::default();
    for inputs in sides {
        let charged = charge(inputs, book).map_err(|hold| format!("what should have been charged cannot be priced now: {hold}"))?.charge;
        let too_large = || "what should have been charged is too large".to_owned();
        again.total = again.total.checked_add(charged.total).ok_or_else(too_large)?;
        again.tax = again.tax.checked_add(charged.tax).ok_or_else(too_large)?;
    }
    if again.total != should {
        return Err(format!(
            "what should have been charged comes to {} now, and came to {should} when it was found: look for overcharges again",
            again.total
        ));
    }
    posted.difference_to(again).map_err(|error| error.to_string())
}

/// One reason why the two sides differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Which.
    pub cause: Cause,
    /// What it is about, the same for all that it touched: `tariff water 2026-04-01`, `meter M-17`, `run 12`.
    pub subject: String,
    /// In words.
    pub detail: String,
}

/// Both sides of a finding about charges, kept with it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// What was billed.
    pub billed: Vec<Side>,
    /// What should have been.
    pub should: Vec<Side>,
    /// Every reason.
    pub reasons: Vec<Reason>,
}
