//! What can be wrong with a tariff or a pricing, always with the place.
//!
//! Belongs here: the error types of this area and how they read. Does not
//! belong here: the rules that raise them.

use std::fmt;

use serde::Serialize;
use thiserror::Error;

/// Where in a tariff file something is.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// Line in the file, from 1; `None` when the whole file is meant.
    pub line: Option<usize>,
    /// Rate class, when inside one.
    pub class: Option<String>,
    /// Named part of the class, when inside one.
    pub part: Option<String>,
}

impl Place {
    /// A line outside the rate classes.
    #[must_use]
    pub fn line(line: usize) -> Self {
        Self { line: Some(line), ..Self::default() }
    }

    /// A part of a class, at a line.
    #[must_use]
    pub fn part(line: usize, class: &str, part: &str) -> Self {
        Self { line: Some(line), class: Some(class.to_owned()), part: Some(part.to_owned()) }
    }

    /// A class as a whole, at the line of its name.
    #[must_use]
    pub fn class(line: usize, class: &str) -> Self {
        Self { line: Some(line), class: Some(class.to_owned()), part: None }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(out, "line {line}")?,
            None => write!(out, "file")?,
        }
        if let Some(class) = &self.class {
            write!(out, ", class {class}")?;
        }
        if let Some(part) = &self.part {
            write!(out, ", part {part}")?;
        }
        Ok(())
    }
}

/// One reason a tariff is refused.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Error, Serialize)]
#[error("{place}: {message}")]
pub struct TariffError {
    /// Where it is.
    pub place: Place,
    /// What is wrong and what was expected.
    pub message: String,
}

impl TariffError {
    /// An error at a place.
    #[must_use]
    pub fn new(place: Place, message: impl Into<String>) -> Self {
        Self { place, message: message.into() }
    }
}

/// Every reason a tariff is refused, in file order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TariffErrors(pub Vec<TariffError>);

impl TariffErrors {
    /// The errors, in file order.
    pub fn iter(&self) -> std::slice::Iter<'_, TariffError> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a TariffErrors {
    type Item = &'a TariffError;
    type IntoIter = std::slice::Iter<'a, TariffError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl From<TariffError> for TariffErrors {
    fn from(error: TariffError) -> Self {
        Self(vec![error])
    }
}

impl fmt::Display for TariffErrors {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(out)?;
            }
            write!(out, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for TariffErrors {}

/// Why a class cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize)]
pub enum CompileError {
    /// The tariff has no such class.
    #[error("no rate class `{class}` in this tariff: expected one of {}", known.join(", "))]
    UnknownClass {
        /// The class asked for.
        class: String,
        /// The classes there are.
        known: Vec<String>,
    },
    /// The class is there but its rules cannot be used.
    #[error(transparent)]
    Unusable(#[from] TariffError),
}

/// Why a usage cannot be priced. Each says the class and part.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize)]
pub enum PricingError {
    /// Usage below zero.
    #[error("usage {0} is negative: expected zero or more")]
    NegativeUsage(String),
    /// A share of a period that is not a share.
    #[error("share {days} of {of_days} days: expected at least one day of at least one day")]
    BadShare {
        /// Days billed.
        days: u32,
        /// Days of a standard period.
        of_days: u32,
    },
    /// A name that is neither a part nor an attribute of this account.
    #[error("class {class}, part {part}: `{name}` is neither a part of the tariff nor an attribute of the account")]
    UndefinedName {
        /// Rate class.
        class: String,
        /// The part that uses the name.
        part: String,
        /// The name.
        name: String,
    },
    /// An attribute used as a number that is not one.
    #[error("class {class}, part {part}: attribute `{name}` is `{value}`: expected a number")]
    NotANumber {
        /// Rate class.
        class: String,
        /// The part that uses the attribute.
        part: String,
        /// The attribute.
        name: String,
        /// Its value.
        value: String,
    },
    /// An attribute that the class's settings need, missing or not what it must be.
    #[error("class {class}: attribute `{name}` is {}: expected {expected}", value.as_ref().map_or("missing".to_owned(), |value| format!("`{value}`")))]
    BadAttribute {
        /// Rate class.
        class: String,
        /// The attribute.
        name: String,
        /// Its value, if it is there.
        value: Option<String>,
        /// What it must be.
        expected: String,
    },
    /// A hole in a map: no value for this account's key.
    #[error("class {class}, part {part}: no value for `{key}`: expected one of {}", known.join(", "))]
    MissingKey {
        /// Rate class.
        class: String,
        /// The part with the map.
        part: String,
        /// The account's key.
        key: String,
        /// The keys there are.
        known: Vec<String>,
    },
    /// Tiers of unequal length meet only for this account's keys.
    #[error("class {class}, part {part}: {starts} tier starts but {prices} tier prices: expected as many of one as of the other")]
    UnequalTiers {
        /// Rate class.
        class: String,
        /// The charge.
        part: String,
        /// How many starts.
        starts: usize,
        /// How many prices.
        prices: usize,
    },
    /// Division by zero.
    #[error("class {class}, part {part}: division by zero")]
    DivisionByZero {
        /// Rate class.
        class: String,
        /// The part that divides.
        part: String,
    },
    /// A number too large to be exact.
    #[error("class {class}, part {part}: a number is too large to be exact")]
    Overflow {
        /// Rate class.
        class: String,
        /// The part that computes it.
        part: String,
    },
    /// A part that is there but cannot be a value.
    #[error("class {class}, part {part}: {reason}")]
    Unusable {
        /// Rate class.
        class: String,
        /// The part.
        part: String,
        /// What is wrong and what was expected.
        reason: String,
    },
    /// A share of a line or of the usage that cannot be exact.
    #[error("{what} is too large to be exact for {days} of {of_days} days")]
    ShareTooLarge {
        /// The usage, or the part of the line.
        what: String,
        /// Days billed.
        days: u32,
        /// Days of a standard period.
        of_days: u32,
    },
    /// The total is more than 64-bit cents hold.
    #[error("the total is too large an amount")]
    TotalTooLarge,
}
