//! Exact fractions, for the reference evaluator only.
//!
//! Belongs here: checked arithmetic on `i128` fractions and their own roundings.
//! Does not belong here: anything the compiled engine uses; the two must not
//! share arithmetic, or a fault in it would agree with itself.

use rust_decimal::Decimal;

use super::settings::Rounding;

/// A fraction in lowest terms, its denominator above zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ratio {
    above: i128,
    below: i128,
}

impl Ratio {
    pub const ZERO: Self = Self { above: 0, below: 1 };

    /// `above / below`, or `None` for a zero denominator or overflow.
    pub fn new(above: i128, below: i128) -> Option<Self> {
        let common = common_divisor(above, below)?;
        let sign = if below < 0 { -1 } else { 1 };
        Some(Self { above: above.checked_div(common)?.checked_mul(sign)?, below: below.checked_div(common)?.checked_mul(sign)? })
    }

    pub fn whole(number: i128) -> Self {
        Self { above: number, below: 1 }
    }

    pub fn of(decimal: Decimal) -> Option<Self> {
        Self::new(decimal.mantissa(), 10_i128.checked_pow(decimal.scale())?)
    }

    pub fn is_zero(self) -> bool {
        self.above == 0
    }

    pub fn plus(self, other: Self) -> Option<Self> {
        let common = common_divisor(self.below, other.below)?;
        let (left, right) = (other.below / common, self.below / common);
        let above = self.above.checked_mul(left)?;
        let above = above.checked_add(other.above.checked_mul(right)?)?;
        Self::new(above, self.below.checked_mul(left)?)
    }

    pub fn minus(self, other: Self) -> Option<Self> {
        self.plus(other.negative()?)
    }

    pub fn negative(self) -> Option<Self> {
        Some(Self { above: self.above.checked_neg()?, below: self.below })
    }

    pub fn times(self, other: Self) -> Option<Self> {
        // Crosswise reduction first keeps the products small.
        let left = Self::new(self.above, other.below)?;
        let right = Self::new(other.above, self.below)?;
        Self::new(left.above.checked_mul(right.above)?, left.below.checked_mul(right.below)?)
    }

    pub fn over(self, other: Self) -> Option<Self> {
        self.times(Self::new(other.below, other.above)?)
    }

    pub fn is_above(self, other: Self) -> Option<bool> {
        Some(self.minus(other)?.above > 0)
    }

    /// The larger of two.
    pub fn or_larger(self, other: Self) -> Option<Self> {
        Some(if other.is_above(self)? { other } else { self })
    }

    /// To a whole number by a rounding rule.
    pub fn rounded(self, rounding: Rounding) -> Option<i128> {
        let floor = self.above.div_euclid(self.below);
        let rest = self.above.rem_euclid(self.below);
        if rest == 0 {
            return Some(floor);
        }
        let twice = rest.checked_mul(2)?;
        let negative = self.above < 0;
        let up = match rounding {
            Rounding::Up => !negative,
            Rounding::Down => negative,
            Rounding::HalfUp if twice == self.below => !negative,
            Rounding::HalfEven if twice == self.below => floor.rem_euclid(2) == 1,
            Rounding::HalfUp | Rounding::HalfEven => twice > self.below,
        };
        floor.checked_add(i128::from(up))
    }

    /// As a decimal with 18 places, by long division.
    pub fn decimal(self) -> Option<Decimal> {
        const PLACES: u32 = 18;
        let size = self.above.checked_abs()?;
        let mut digits = size / self.below;
        let mut rest = size % self.below;
        for _ in 0..PLACES {
            rest = rest.checked_mul(10)?;
            digits = digits.checked_mul(10)?.checked_add(rest / self.below)?;
            rest %= self.below;
        }
        if rest.checked_mul(2)? >= self.below {
            digits = digits.checked_add(1)?;
        }
        let digits = if self.above < 0 { digits.checked_neg()? } else { digits };
        let decimal = Decimal::try_from_i128_with_scale(digits, PLACES).ok()?;
        Some(decimal.normalize())
    }
}

/// Greatest common divisor, above zero; `None` when both are zero or overflow.
fn common_divisor(a: i128, b: i128) -> Option<i128> {
    let (mut a, mut b) = (a.checked_abs()?, b.checked_abs()?);
    if b == 0 {
        return None;
    }
    while b != 0 {
        (a, b) = (b, a % b);
    }
    Some(a)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(above: i128, below: i128) -> Ratio {
        Ratio::new(above, below).unwrap()
    }

    #[test]
    fn arithmetic_is_exact() {
        assert_eq!(ratio(1, 3).plus(ratio(1, 6)), Some(ratio(1, 2)));
        assert_eq!(ratio(1, 3).minus(ratio(1, 2)), Some(ratio(-1, 6)));
        assert_eq!(ratio(2, 3).times(ratio(3, 4)), Some(ratio(1, 2)));
        assert_eq!(ratio(1, 3).over(ratio(-2, 3)), Some(ratio(-1, 2)));
        assert_eq!(ratio(1, 3).over(Ratio::ZERO), None);
        assert_eq!(Ratio::new(1, 0), None);
        assert_eq!(Ratio::of("12.50".parse().unwrap()), Some(ratio(25, 2)));
        assert_eq!(ratio(1, 3).decimal().unwrap().to_string(), "0.333333333333333333");
        assert_eq!(ratio(-5, 2).decimal().unwrap().to_string(), "-2.5");
    }

    #[test]
    fn roundings_on_both_sides_of_zero() {
        let all =
            |value: Ratio| [Rounding::HalfUp, Rounding::HalfEven, Rounding::Up, Rounding::Down].map(|rounding| value.rounded(rounding).unwrap());
        assert_eq!(all(ratio(5, 2)), [3, 2, 3, 2]);
        assert_eq!(all(ratio(-5, 2)), [-3, -2, -3, -2]);
        assert_eq!(all(ratio(7, 2)), [4, 4, 4, 3]);
        assert_eq!(all(ratio(7, 3)), [2, 2, 3, 2]);
        assert_eq!(all(ratio(-7, 3)), [-2, -2, -3, -2]);
        assert_eq!(all(ratio(4, 1)), [4, 4, 4, 4]);
    }

    #[test]
    fn overflow_is_none() {
        let large = Ratio::whole(i128::MAX);
        assert_eq!(large.plus(Ratio::whole(1)), None);
        assert_eq!(large.times(large), None);
    }
}
