//! What a tariff adds around its bill formula: units, dwellings, a minimum, discounts, fees and taxes.
//!
//! Belongs here: these settings as types. Does not belong here: reading them (`extras_read`), finding the lines they
//! work on (`extras_compile`), amounts (`extras_price`).

use rust_decimal::Decimal;
use serde::Serialize;

use crate::domain::money::Money;

/// The word in `of` that means all charges after discounts and minimum.
pub(crate) const CHARGES: &str = "charges";

/// Derives an attribute from a measure: stormwater by equivalent residential units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EquivalentUnits {
    /// The attribute it gives, in normal form; an account that states it itself keeps its own.
    pub attribute: String,
    /// The attribute it is derived from, such as an area.
    pub of: String,
    /// How much of it is one unit.
    pub per: Decimal,
    /// What becomes of a part of a unit.
    pub round: UnitRounding,
    /// The fewest units.
    pub minimum: Decimal,
    /// Its line in the file.
    #[serde(skip)]
    pub line: usize,
}

/// What becomes of a part of an equivalent unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UnitRounding {
    /// It counts as a whole one.
    #[default]
    Up,
    /// A half or more counts as a whole one.
    Nearest,
    /// It counts as it is.
    None,
}

/// What a payment that was returned costs the customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ReturnFee {
    /// How much, above zero, in whole cents.
    pub amount: Money,
    /// Its line in the file.
    #[serde(skip)]
    pub line: usize,
}

/// A discount, fee or tax.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// What it is.
    pub kind: RuleKind,
    /// Its name for people: the label of its line.
    pub name: String,
    /// Its stable name for machines: the part of its line, such as `tax:city_tax`.
    pub part: String,
    /// How much it is.
    pub amount: RuleAmount,
    /// What a percentage or a discount is taken of; never empty.
    pub of: Vec<BaseName>,
    /// It holds only for accounts of which this is true.
    pub when: Option<Condition>,
    /// It does not hold for accounts of which this is true.
    pub unless: Option<Condition>,
    /// Its line in the file.
    #[serde(skip)]
    pub line: usize,
}

/// The three kinds of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleKind {
    /// Taken off the charges.
    Discount,
    /// The utility's own.
    Fee,
    /// Collected for somebody else.
    Tax,
}

impl RuleKind {
    /// The word before the colon of a rule's part.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::Discount => "discount:",
            Self::Fee => "fee:",
            Self::Tax => "tax:",
        }
    }
}

/// How much a rule is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleAmount {
    /// This percentage of its base.
    Percent(Decimal),
    /// This amount for a standard period and each dwelling unit.
    Fixed(Decimal),
    /// This amount for a standard period, however many dwelling units there are.
    FixedPerBill(Decimal),
}

/// One name in `of`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BaseName {
    /// As compared.
    pub name: String,
    /// Its line in the file.
    #[serde(skip)]
    pub line: usize,
}

/// A test of one attribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// The attribute, in normal form.
    pub attribute: String,
    /// What it must be.
    pub test: Test,
}

/// What an attribute must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// This text, compared as keys of maps are: letter case does not count, sizes and numbers go by value.
    Is(String),
    /// A number from the one, up to but without the other.
    Between {
        /// The least it must be.
        at_least: Option<Decimal>,
        /// What it must be below.
        below: Option<Decimal>,
    },
}
