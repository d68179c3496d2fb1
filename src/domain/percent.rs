//! Shares in percent, exactly: a share is a whole number of millionths, and an amount of it is rounded once, half up.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::money::Money;

/// A percent in millionths.
const PER_PERCENT: i64 = 10_000;
/// The whole in millionths.
const WHOLE: i128 = 1_000_000;

/// A percentage in millionths; none when it has more than four decimals, or is not between 0 and 100.
#[must_use]
pub fn millionths(percent: Decimal) -> Option<i64> {
    let exact = percent.checked_mul(Decimal::from(PER_PERCENT))?.normalize();
    let fits = exact.scale() == 0 && (Decimal::ZERO..=Decimal::from(100 * PER_PERCENT)).contains(&exact);
    exact.to_i64().filter(|_| fits)
}

/// Checks a percentage of a policy.
///
/// # Errors
/// The key, what it says and what was expected.
pub fn check(key: &str, percent: Decimal) -> Result<(), String> {
    millionths(percent).map(|_| ()).ok_or_else(|| format!("{key}: {percent} found; expected 0 to 100 with at most four decimals"))
}

/// So many millionths of an amount, half up; 0 of what is below zero.
#[must_use]
pub fn share(amount: Money, millionths: i64) -> Money {
    half_up(i128::from(amount.cents().max(0)) * i128::from(millionths), WHOLE)
}

/// What an amount earns by rates of single days, in millionths a year of 365 days each: added up exactly, rounded once, half up.
#[must_use]
pub fn interest(amount: Money, daily_rates: impl IntoIterator<Item = i64>) -> Money {
    let rates: i128 = daily_rates.into_iter().map(i128::from).sum();
    half_up(i128::from(amount.cents().max(0)) * rates, WHOLE * 365)
}

/// What of the interest since the first day is to be credited, when so much of it was: however often it is credited, it comes to
/// the same. Nothing where more was credited than is due.
#[must_use]
pub fn interest_due(amount: Money, daily_rates: impl IntoIterator<Item = i64>, credited: Money) -> Money {
    (interest(amount, daily_rates) - credited).max(Money::ZERO)
}

/// A quotient of two numbers that are not negative, half up, as cents.
fn half_up(numerator: i128, denominator: i128) -> Money {
    let quotient = (2 * numerator + denominator) / (2 * denominator);
    Money::from_cents(i64::try_from(quotient).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_half_up_once() {
        let percent = |text: &str| millionths(text.parse().unwrap());
        assert_eq!((percent("1.5"), percent("100"), percent("0.0001")), (Some(15_000), Some(1_000_000), Some(1)));
        assert_eq!((percent("100.0001"), percent("0.00001"), percent("-1")), (None, None, None));
        assert_eq!(share(Money::from_cents(3_333), 15_000), Money::from_cents(50), "49.995 cents");
        assert_eq!(share(Money::from_cents(3_299), 15_000), Money::from_cents(49), "49.485 cents");
        assert_eq!(share(Money::from_cents(-100), 15_000), Money::ZERO);
    }

    #[test]
    fn interest_is_by_days() {
        let year = std::iter::repeat_n(12_500, 365);
        assert_eq!(interest(Money::from_cents(20_000), year), Money::from_cents(250));
        // 200.00 at 1.25 % for 73 days is 0.50 exactly; a day more is 0.5068…
        assert_eq!(interest(Money::from_cents(20_000), std::iter::repeat_n(12_500, 73)), Money::from_cents(50));
        assert_eq!(interest(Money::from_cents(20_000), std::iter::repeat_n(12_500, 74)), Money::from_cents(51));
    }
}
