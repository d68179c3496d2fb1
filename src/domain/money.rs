//! Money: whole minor units of the utility's currency.
//!
//! Belongs here: the amount type, its arithmetic, its text form. Does not
//! belong here: rounding of prices (`rates::settle` has the one rounding point)
//! and anything that knows which currency it is.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// An amount in minor units (cents). Serialized as the integer number of cents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Money(i64);

/// Why a text is not an amount of money.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MoneyParseError {
    /// Not digits with an optional sign and decimal point.
    #[error("`{0}` is not an amount: expected digits with at most two decimals, like -12.34")]
    NotAnAmount(String),
    /// The same, where nothing but an amount above zero makes sense.
    #[error("`{0}` is not an amount: expected digits with at most two decimals, like 12.34")]
    NotAnAmountPaid(String),
    /// A comma where the point of the cents belongs, and what was meant.
    #[error("`{0}` is not an amount: use a point for cents: {1}")]
    CommaForCents(String, String),
    /// A fraction of a cent: refused rather than rounded (habit 2).
    #[error("`{0}` has a fraction of a cent: at most two decimals are allowed")]
    FractionOfACent(String),
    /// More than an `i64` of cents can hold.
    #[error("`{0}` is too large an amount")]
    TooLarge(String),
}

impl Money {
    /// No money.
    pub const ZERO: Self = Self(0);

    /// The amount of `cents` minor units.
    #[must_use]
    pub const fn from_cents(cents: i64) -> Self {
        Self(cents)
    }

    /// The amount in minor units.
    #[must_use]
    pub const fn cents(self) -> i64 {
        self.0
    }

    /// Sum, or `None` when it does not fit.
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(cents) => Some(Self(cents)),
            None => None,
        }
    }

    /// Difference, or `None` when it does not fit.
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(cents) => Some(Self(cents)),
            None => None,
        }
    }

    /// Negation, or `None` when it does not fit.
    #[must_use]
    pub const fn checked_neg(self) -> Option<Self> {
        match self.0.checked_neg() {
            Some(cents) => Some(Self(cents)),
            None => None,
        }
    }

    /// Sum of many amounts, or `None` when it does not fit.
    #[must_use]
    pub fn checked_sum(amounts: impl IntoIterator<Item = Self>) -> Option<Self> {
        amounts.into_iter().try_fold(Self::ZERO, Self::checked_add)
    }

    /// Whether the amount is exactly zero.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Whether the amount is below zero.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// Whether the amount is above zero.
    #[must_use]
    pub const fn is_positive(self) -> bool {
        self.0 > 0
    }

    /// Reads `-12.34`; a third decimal is an error, never rounded.
    ///
    /// # Errors
    /// When the text is not a plain decimal amount with at most two decimals.
    pub fn parse(text: &str) -> Result<Self, MoneyParseError> {
        let trimmed = text.trim();
        let unsigned = trimmed.strip_prefix(['-', '+']).unwrap_or(trimmed);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) || unsigned.ends_with('.') {
            return Err(MoneyParseError::NotAnAmount(text.to_owned()));
        }
        if fraction.len() > 2 {
            return Err(MoneyParseError::FractionOfACent(text.to_owned()));
        }
        let sign = if trimmed.starts_with('-') { "-" } else { "" };
        format!("{sign}{whole}{fraction:0<2}").parse().map(Self).map_err(|_| MoneyParseError::TooLarge(text.to_owned()))
    }

    /// The same for a field in which only amounts above zero make sense: what is no amount is told with a fitting example.
    /// Whether it is above zero is for whoever takes it.
    ///
    /// # Errors
    /// As [`Money::parse`].
    pub fn parse_paid(text: &str) -> Result<Self, MoneyParseError> {
        Self::parse(text).map_err(|error| match error {
            MoneyParseError::NotAnAmount(text) => match with_point(&text) {
                Some(meant) => MoneyParseError::CommaForCents(text, meant),
                None => MoneyParseError::NotAnAmountPaid(text),
            },
            other => other,
        })
    }
}

/// What somebody meant who typed a comma before one or two digits of cents: `12,50` is 12.50. `1,500` is not told: nobody knows
/// what it means.
fn with_point(text: &str) -> Option<String> {
    let (whole, cents) = text.trim().rsplit_once(',')?;
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let meant = || Money::parse(&format!("{whole}.{cents}")).ok().map(|amount| amount.to_string());
    if digits(whole) && digits(cents) && cents.len() <= 2 { meant() } else { None }
}

impl fmt::Display for Money {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.0.unsigned_abs();
        let sign = if self.is_negative() { "-" } else { "" };
        out.pad(&format!("{sign}{}.{:02}", size / 100, size % 100))
    }
}

impl FromStr for Money {
    type Err = MoneyParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// The operators stop the program on overflow: an amount beyond 92 quadrillion
/// is a bug, and a wrapped or clamped one would be money made from nothing.
#[allow(clippy::panic, reason = "a wrong balance is worse than a stopped program")]
#[cold]
fn overflow(verb: &str) -> ! {
    panic!("money overflow: the amounts cannot be {verb} in 64-bit cents")
}

impl Add for Money {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.checked_add(other).unwrap_or_else(|| overflow("added"))
    }
}

impl Sub for Money {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.checked_sub(other).unwrap_or_else(|| overflow("subtracted"))
    }
}

impl Neg for Money {
    type Output = Self;

    fn neg(self) -> Self {
        self.checked_neg().unwrap_or_else(|| overflow("negated"))
    }
}

impl AddAssign for Money {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Money {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl<'a> Sum<&'a Self> for Money {
    fn sum<I: Iterator<Item = &'a Self>>(amounts: I) -> Self {
        amounts.copied().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_sign_and_two_decimals() {
        let shown = |cents| Money::from_cents(cents).to_string();
        assert_eq!(shown(-1234), "-12.34");
        assert_eq!(shown(-5), "-0.05");
        assert_eq!(shown(0), "0.00");
        assert_eq!(shown(i64::MIN), "-92233720368547758.08");
        assert_eq!(format!("{:>8}", Money::from_cents(5)), "    0.05");
    }

    #[test]
    fn reads_what_it_shows() {
        for cents in [0, 1, -1, 99, -100, 123_456, i64::MAX, i64::MIN] {
            let money = Money::from_cents(cents);
            assert_eq!(money.to_string().parse(), Ok(money));
        }
        assert_eq!(Money::parse("12"), Ok(Money::from_cents(1200)));
        assert_eq!(Money::parse("12.3"), Ok(Money::from_cents(1230)));
        assert_eq!(Money::parse(".5"), Ok(Money::from_cents(50)));
        assert_eq!(Money::parse("+0.50"), Ok(Money::from_cents(50)));
    }

    #[test]
    fn refuses_what_is_not_whole_cents() {
        assert!(matches!(Money::parse("1.005"), Err(MoneyParseError::FractionOfACent(_))));
        assert!(matches!(Money::parse("1.000"), Err(MoneyParseError::FractionOfACent(_))));
        for text in ["", "-", ".", "1.", "1,000.00", "1e3", "--1", "+-1", "£1", "1 0"] {
            assert!(matches!(Money::parse(text), Err(MoneyParseError::NotAnAmount(_))), "{text}");
        }
        assert!(matches!(Money::parse("92233720368547758.08"), Err(MoneyParseError::TooLarge(_))));
    }

    #[test]
    fn a_field_of_what_is_paid_says_what_is_wrong() {
        let said = |text: &str| Money::parse_paid(text).map_err(|error| error.to_string()).unwrap_err();
        assert_eq!(said("12,50"), "`12,50` is not an amount: use a point for cents: 12.50");
        assert_eq!(said("12,5"), "`12,5` is not an amount: use a point for cents: 12.50");
        assert_eq!(said("1,500"), "`1,500` is not an amount: expected digits with at most two decimals, like 12.34");
        assert_eq!(said("abc"), "`abc` is not an amount: expected digits with at most two decimals, like 12.34");
        assert_eq!(said("1.005"), "`1.005` has a fraction of a cent: at most two decimals are allowed");
        assert_eq!(Money::parse_paid("12.5"), Ok(Money::from_cents(1250)));
    }

    #[test]
    fn overflow_is_none_when_checked() {
        let most = Money::from_cents(i64::MAX);
        assert_eq!(most.checked_add(Money::from_cents(1)), None);
        assert_eq!(Money::from_cents(i64::MIN).checked_neg(), None);
        assert_eq!(Money::checked_sum([most, most]), None);
    }

    #[test]
    #[should_panic(expected = "money overflow")]
    fn overflow_stops_when_not_checked() {
        let _ = Money::from_cents(i64::MAX) + Money::from_cents(1);
    }

    #[test]
    fn is_whole_cents_in_json() {
        assert_eq!(serde_json::to_string(&Money::from_cents(-7)).unwrap(), "-7");
        assert_eq!(serde_json::from_str::<Money>("250").unwrap(), Money::from_cents(250));
        assert!(serde_json::from_str::<Money>("2.5").is_err());
    }
}
