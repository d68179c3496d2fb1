//! What a tariff file says about itself: utility, date, frequency, unit.
//!
//! Belongs here: reading the `metadata` block and the units of usage. Does not
//! belong here: settings of our own (`settings`).

use std::fmt;

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::Serialize;

use super::error::{Place, TariffError};
use super::yaml::Node;

/// The `metadata` block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Metadata {
    /// Name of the utility; empty when the file has none.
    pub utility_name: String,
    /// Date from which the rates hold; `None` when the file leaves it blank.
    pub effective_on: Option<NaiveDate>,
    /// How often bills are sent.
    pub bill_frequency: Frequency,
    /// The unit of usage and of tier starts.
    pub bill_unit: Unit,
}

/// How often bills are sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Frequency {
    /// Every week.
    Weekly,
    /// Every month; also when the file does not say.
    #[default]
    Monthly,
    /// Every two months.
    Bimonthly,
    /// Every three months.
    Quarterly,
    /// Every four months.
    FourMonthly,
    /// Every six months.
    Semiannual,
    /// Every year.
    Annual,
    /// Something else, as written.
    Other(String),
}

impl Frequency {
    /// Reads `Monthly`, `Bi-Monthly`, `annually` and the like.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match letters(text).as_str() {
            "" | "monthly" | "month" | "everymonth" => Self::Monthly,
            "weekly" => Self::Weekly,
            "bimonthly" | "everytwomonths" | "every2months" | "twomonthly" => Self::Bimonthly,
            "quarterly" | "trimonthly" | "every3months" | "everythreemonths" => Self::Quarterly,
            "every4months" | "everyfourmonths" | "triannually" => Self::FourMonthly,
            "semiannually" | "semiannual" | "biannually" | "biannual" | "twiceayear" | "every6months" | "everysixmonths" => Self::Semiannual,
            "annually" | "annual" | "yearly" => Self::Annual,
            _ => Self::Other(text.trim().to_owned()),
        }
    }

    /// Days of a standard period; the default of the setting `standard_days`.
    #[must_use]
    pub fn standard_days(&self) -> u32 {
        match self {
            Self::Weekly => 7,
            Self::Monthly | Self::Other(_) => 30,
            Self::Bimonthly => 60,
            Self::Quarterly => 90,
            Self::FourMonthly => 120,
            Self::Semiannual => 182,
            Self::Annual => 365,
        }
    }

    /// Whole months of a period, for services that are billed by the calendar; shorter ones count as a month.
    #[must_use]
    pub fn months(&self) -> u32 {
        match self {
            Self::Weekly | Self::Monthly | Self::Other(_) => 1,
            Self::Bimonthly => 2,
            Self::Quarterly => 3,
            Self::FourMonthly => 4,
            Self::Semiannual => 6,
            Self::Annual => 12,
        }
    }
}

/// A unit of usage.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Hundred cubic feet; also when the file does not say (design, section 5).
    #[default]
    Ccf,
    /// Thousand US gallons.
    Kgal,
    /// US gallon.
    Gallon,
    /// Cubic foot.
    CubicFoot,
    /// Cubic metre, the same as a kilolitre.
    CubicMetre,
    /// Litre.
    Litre,
    /// Acre-foot.
    AcreFoot,
    /// Something else, as written: it can be priced but not converted.
    Other(String),
}

impl Unit {
    /// Reads `ccf`, `kgal`, `m³`, `kilolitre` and the like.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match letters(text).as_str() {
            "" | "ccf" | "hcf" | "hundredcubicfeet" | "100cubicfeet" | "100cf" => Self::Ccf,
            "kgal" | "kgals" | "tgal" | "tgals" | "kilogallon" | "kilogallons" | "thousandgallons" | "1000gallons" | "1000gal" => Self::Kgal,
            "gal" | "gals" | "gallon" | "gallons" => Self::Gallon,
            "cf" | "ft3" | "ft³" | "cubicfeet" | "cubicfoot" => Self::CubicFoot,
            "m3" | "m³" | "cm" | "cbm" | "cubicmetre" | "cubicmetres" | "cubicmeter" | "cubicmeters" | "kl" | "kilolitre" | "kilolitres"
            | "kiloliter" | "kiloliters" => Self::CubicMetre,
            "l" | "litre" | "litres" | "liter" | "liters" => Self::Litre,
            "af" | "acft" | "acrefoot" | "acrefeet" => Self::AcreFoot,
            _ => Self::Other(text.trim().to_owned()),
        }
    }

    /// Whether this is a unit that can be converted.
    #[must_use]
    pub fn is_known(&self) -> bool {
        !matches!(self, Self::Other(_))
    }

    /// Litres in one unit, exact by the international foot and the US gallon;
    /// `None` for a unit not known.
    #[must_use]
    pub fn litres(&self) -> Option<Decimal> {
        // mantissa and decimals: 1 ft = 0.3048 m, 1 US gal = 231 in³
        let (mantissa, scale) = match self {
            Self::Ccf => (28_316_846_592, 7),
            Self::CubicFoot => (28_316_846_592, 9),
            Self::Kgal => (3_785_411_784, 6),
            Self::Gallon => (3_785_411_784, 9),
            Self::CubicMetre => (1000, 0),
            Self::Litre => (1, 0),
            Self::AcreFoot => (123_348_183_754_752, 8),
            Self::Other(_) => return None,
        };
        Decimal::try_new(mantissa, scale).ok()
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Ccf => "ccf",
            Self::Kgal => "kgal",
            Self::Gallon => "gal",
            Self::CubicFoot => "cf",
            Self::CubicMetre => "m³",
            Self::Litre => "l",
            Self::AcreFoot => "af",
            Self::Other(text) => text,
        })
    }
}

/// Letters and digits only, lower case: spellings differ in the rest.
fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Reads the `metadata` block of a document.
pub(crate) fn read(document: &Node, errors: &mut Vec<TariffError>) -> Metadata {
    let block = document.get("metadata").map(|entry| &entry.node);
    let text = |key: &str| {
        let entry = block.and_then(|block| block.get(key))?;
        Some((entry.line, entry.node.text()?.to_owned()))
    };
    let word = |key: &str| text(key).map(|(_, text)| text).unwrap_or_default();
    let effective_on = text("effective_date").and_then(|(line, text)| {
        let date = parse_date(&text);
        if date.is_none() {
            let message = format!("effective_date `{text}`: expected a date like 2017-07-01 or 07/01/2017");
            errors.push(TariffError::new(Place::line(line), message));
        }
        date
    });
    Metadata {
        utility_name: word("utility_name"),
        effective_on,
        bill_frequency: Frequency::parse(&word("bill_frequency")),
        bill_unit: Unit::parse(&word("bill_unit")),
    }
}

/// Reads `2013-01-01`, `07/27/2014`, `10/1/2017`; month before day, as the
/// published files write it.
fn parse_date(text: &str) -> Option<NaiveDate> {
    let day = text.split(['T', ' ']).next().unwrap_or(text);
    let fields: Vec<&str> = day.split(['-', '/']).collect();
    let [first, second, third] = fields.as_slice() else {
        return None;
    };
    let number = |field: &str| {
        let short = field.len() <= 4 && field.bytes().all(|b| b.is_ascii_digit());
        short.then(|| field.parse::<u32>().ok()).flatten()
    };
    let (year, month, day) = if first.len() == 4 {
        (first, second, third)
    } else if third.len() == 4 {
        (third, first, second)
    } else {
        return None;
    };
    NaiveDate::from_ymd_opt(i32::try_from(number(year)?).ok()?, number(month)?, number(day)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_as_published() {
        for (text, date) in [
            ("2013-01-01", "2013-01-01"),
            ("07/27/2014", "2014-07-27"),
            ("10/1/2017", "2017-10-01"),
            ("7-1-2016", "2016-07-01"),
            ("2017-04-15T00:00:00", "2017-04-15"),
        ] {
            assert_eq!(parse_date(text), date.parse().ok(), "{text}");
        }
        // With dots the day comes first in most of the world: not guessed.
        for text in ["01.07.2025", "13/01/2017", "2017-02-30", "soon", "1/1/17", "2017", "+017-01-01"] {
            assert_eq!(parse_date(text), None, "{text}");
        }
    }

    #[test]
    fn frequencies_and_units_in_many_spellings() {
        assert_eq!(Frequency::parse("Bi-Monthly"), Frequency::Bimonthly);
        assert_eq!(Frequency::parse("bimonthly").standard_days(), 60);
        assert_eq!(Frequency::parse("Annually").standard_days(), 365);
        assert_eq!(Frequency::parse("").standard_days(), 30);
        assert_eq!(Unit::parse(""), Unit::Ccf);
        assert_eq!(Unit::parse("kilolitre"), Unit::CubicMetre);
        assert_eq!(Unit::parse("m³"), Unit::CubicMetre);
        assert_eq!(Unit::parse("1,000 gallons"), Unit::Kgal);
        assert_eq!(Unit::parse("bucket"), Unit::Other("bucket".into()));
    }

    #[test]
    fn conversions_are_exact() {
        let litres = |unit: Unit| unit.litres().unwrap().to_string();
        assert_eq!(litres(Unit::Ccf), "2831.6846592");
        assert_eq!(litres(Unit::Kgal), "3785.411784");
        assert_eq!(litres(Unit::AcreFoot), "1233481.83754752");
        assert_eq!(Unit::Other("bucket".into()).litres(), None);
    }
}
