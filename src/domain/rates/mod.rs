//! Rates: from a tariff's text and a usage to a charge.
//!
//! Belongs here: reading Open Water Rate Specification files, pricing with them,
//! rounding to cents, checking them. Does not belong here: SQL, HTTP, files,
//! clock; which tariff version holds for an account; posting.
//!
//! A tariff is read once ([`Tariff::parse`]), compiled once for each class
//! ([`Tariff::compile`]), and then prices a bill in a microsecond or two
//! ([`CompiledClass::price`]); [`settle`] rounds the total once and shows lines
//! that add up to it. [`mod@reference`] computes the same total by other means.

// Rules never stop the program: what can go wrong comes back as an error.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod attributes;
mod check;
mod check_tiers;
mod compile;
mod document;
mod error;
mod extras;
mod extras_compile;
mod extras_price;
mod extras_read;
mod formula;
mod key;
mod line;
mod lint;
mod lint_settings;
mod lint_tables;
mod metadata;
mod names;
mod number;
mod plan;
mod price;
mod ratio;
pub mod reference;
mod reference_extras;
mod settings;
mod settle;
mod tariff;
mod tiers;
mod usage_basis;
mod yaml;

pub use attributes::{Attributes, DAYS_IN_PERIOD};
pub use compile::CompiledClass;
pub use error::{CompileError, Place, PricingError, TariffError, TariffErrors};
pub use extras::{BaseName, Condition, EquivalentUnits, ReturnFee, Rule, RuleAmount, RuleKind, Test, UnitRounding};
pub use line::{ExactLine, PricingInput, Share, TierDetail, weighted_lines};
pub use lint::{Severity, Warning, lint};
pub use metadata::{Frequency, Metadata, Unit};
pub use settings::{Proration, RateChange, Rounding, Settings, ShortPeriods, TierRule};
pub use settle::{Charge, ChargeLine, settle};
pub use tariff::Tariff;
pub use usage_basis::{Basis, BilledUsage, UsageBasis, UsageHow, WinterUse, billed_usage};
