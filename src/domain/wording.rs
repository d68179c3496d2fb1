//! How money, dates, quantities and codes become words: on pages, on paper and in the program's own sentences, so that all of
//! them say the same. What belongs here: plain text. Markup is the pages' own (`web::text`).

use chrono::NaiveDate;
use rust_decimal::Decimal;

use crate::domain::metering::ReadKind;
use crate::domain::money::Money;
use crate::domain::quantity::from_milli;

/// A space that never breaks.
const SPACE: char = '\u{a0}';
/// The sign of amounts below zero, as wide as a plus.
const MINUS: char = '\u{2212}';

/// How amounts of the utility's currency are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Currency {
    sign: String,
}

impl Currency {
    /// The currency of a code of ISO 4217: its sign where everybody knows it, else the code.
    #[must_use]
    pub fn new(code: &str) -> Self {
        let sign = match code {
            "USD" | "AUD" | "CAD" | "NZD" => "$".to_owned(),
            "EUR" => "€".to_owned(),
            "GBP" => "£".to_owned(),
            code => format!("{code}{SPACE}"),
        };
        Self { sign }
    }

    /// Its sign, as it stands before amounts.
    #[must_use]
    pub fn sign(&self) -> &str {
        self.sign.trim_end_matches(SPACE)
    }

    /// An amount: `$1,234.56`, `−$12.34`.
    #[must_use]
    pub fn money(&self, cents: i64) -> String {
        let size = cents.unsigned_abs();
        let minus = if cents < 0 { MINUS.to_string() } else { String::new() };
        format!("{minus}{}{}.{:02}", self.sign, grouped(&(size / 100).to_string()), size % 100)
    }

    /// A balance: `$12.34` is owed, `−$12.34 credit` is the customer's.
    #[must_use]
    pub fn balance(&self, cents: i64) -> String {
        let credit = if cents < 0 { format!("{SPACE}credit") } else { String::new() };
        format!("{}{credit}", self.money(cents))
    }

    /// The price of one unit, with at least two decimals: `$2.20`, `$0.0375`.
    #[must_use]
    pub fn price(&self, price: Decimal) -> String {
        let mut size = price.abs().normalize();
        if size.scale() < 2 {
            size.rescale(2);
        }
        let minus = if price.is_sign_negative() && !price.is_zero() { MINUS.to_string() } else { String::new() };
        format!("{minus}{}{}", self.sign, grouped(&size.to_string()))
    }
}

/// Puts commas between thousands, before the point.
fn grouped(digits: &str) -> String {
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(whole, fraction)| (whole, Some(fraction)));
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(fraction) = fraction {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

/// A date for people: `18 May 2026`.
#[must_use]
pub fn date(day: NaiveDate) -> String {
    day.format("%-d %b %Y").to_string()
}

/// The same for the middle of a sentence: it never breaks.
#[must_use]
pub fn whole_date(day: NaiveDate) -> String {
    date(day).replace(' ', &SPACE.to_string())
}

/// A sentence whose dates are for machines, with dates for people: `2026-05-18` becomes `18 May 2026`.
#[must_use]
pub fn with_dates(sentence: &str) -> String {
    let told = |word: &str| {
        let bare = word.trim_end_matches([',', '.', ';', ':', ')']);
        let day = bare.parse::<NaiveDate>().ok().filter(|day| day.to_string() == bare);
        day.map_or_else(|| word.to_owned(), |day| format!("{}{}", whole_date(day), &word[bare.len()..]))
    };
    sentence.split(' ').map(told).collect::<Vec<_>>().join(" ")
}

/// A quantity in thousandths: `1,234.5`.
#[must_use]
pub fn quantity(milli: i64) -> String {
    decimal(from_milli(milli), 3)
}

/// A number with at most so many decimals and none that say nothing: `12.167`, `1,000`.
#[must_use]
pub fn decimal(number: Decimal, decimals: u32) -> String {
    let number = number.round_dp(decimals).normalize();
    let minus = if number.is_sign_negative() && !number.is_zero() { MINUS.to_string() } else { String::new() };
    format!("{minus}{}", grouped(&number.abs().to_string()))
}

/// A count with its noun: `1 day`, `31 days`, `2 bodies`.
#[must_use]
pub fn plural(count: i64, noun: &str) -> String {
    let count_text = grouped(&count.unsigned_abs().to_string());
    match (count, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{count_text} {stem}ies"),
        _ => format!("{count_text} {noun}s"),
    }
}

/// A code such as `MULTI_FAMILY` or `service_charge` as words: `Multi family`, `Service charge`.
#[must_use]
pub fn words(code: &str) -> String {
    let spaced = code.replace(['_', '-'], " ");
    // A code in capitals is shouting; one with small letters was written as it should be read.
    let calm = if code.chars().any(char::is_lowercase) { spaced } else { spaced.to_lowercase() };
    let mut letters = calm.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// How a read came to be, for customers.
#[must_use]
pub fn read_kind(kind: ReadKind) -> &'static str {
    match kind {
        ReadKind::Actual => "read by us",
        ReadKind::Estimated => "estimated",
        ReadKind::Customer => "read by you",
        ReadKind::Final => "final read",
        ReadKind::Removal => "meter taken out",
        ReadKind::Installation => "meter put in",
    }
}

/// What a tariff's schedule is about, for the headings of its service: `Water`, `Sewer`, `Stormwater`.
#[must_use]
pub fn service(schedule: &str) -> &'static str {
    const KNOWN: [(&str, &str); 12] = [
        ("solid", "Refuse"),
        ("storm", "Stormwater"),
        ("drain", "Stormwater"),
        ("sewer", "Sewer"),
        ("waste", "Sewer"),
        ("fire", "Fire line"),
        ("refuse", "Refuse"),
        ("garbage", "Refuse"),
        ("recycled", "Recycled water"),
        ("reclaimed", "Recycled water"),
        ("irrigation", "Irrigation"),
        ("water", "Water"),
    ];
    let schedule = schedule.to_lowercase();
    KNOWN.iter().find(|(part, _)| schedule.contains(part)).map_or("Service", |(_, name)| name)
}

/// A sentence whose amounts are for machines, with amounts for people: `1234.50` becomes `$1,234.50`.
#[must_use]
pub fn with_money(sentence: &str, currency: &Currency) -> String {
    let told = |word: &str| {
        let bare = word.trim_end_matches([',', '.', ';', ':', ')']);
        let cents = bare.split_once('.').filter(|(_, cents)| cents.len() == 2).and_then(|_| Money::parse(bare).ok());
        cents.map_or_else(|| word.to_owned(), |amount| format!("{}{}", currency.money(amount.cents()), &word[bare.len()..]))
    };
    sentence.split(' ').map(told).collect::<Vec<_>>().join(" ")
}

/// A unit of usage in full, for the first mention: `hundred cubic feet`.
#[must_use]
pub fn unit_in_full(unit: &str) -> Option<&'static str> {
    match unit {
        "ccf" => Some("hundred cubic feet"),
        "kgal" => Some("thousand gallons"),
        "gal" => Some("gallons"),
        "cf" => Some("cubic feet"),
        "m³" => Some("cubic metres"),
        "l" => Some("litres"),
        "af" => Some("acre-feet"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_has_its_sign_and_thousands() {
        let dollars = Currency::new("USD");
        assert_eq!(dollars.money(123_456_789), "$1,234,567.89");
        assert_eq!(dollars.money(-1234), "\u{2212}$12.34");
        assert_eq!(dollars.money(5), "$0.05");
        assert_eq!(dollars.money(100_000), "$1,000.00");
        assert_eq!(dollars.money(99_999), "$999.99");
        assert_eq!(dollars.money(i64::MIN), "\u{2212}$92,233,720,368,547,758.08");
        assert_eq!(Currency::new("CHF").money(1234), "CHF\u{a0}12.34");
        assert_eq!(Currency::new("EUR").money(-1), "\u{2212}€0.01");
    }

    #[test]
    fn a_credit_is_said_in_words() {
        let dollars = Currency::new("USD");
        assert_eq!(dollars.balance(-1234), "\u{2212}$12.34\u{a0}credit");
        assert_eq!(dollars.balance(0), "$0.00");
        assert_eq!(dollars.balance(1234), "$12.34");
    }

    #[test]
    fn prices_keep_their_fractions() {
        let price = |text: &str| Currency::new("USD").price(text.parse().unwrap());
        assert_eq!(price("2.2"), "$2.20");
        assert_eq!(price("0.0375"), "$0.0375");
        assert_eq!(price("1234.5"), "$1,234.50");
        assert_eq!(price("-0.5"), "\u{2212}$0.50");
    }

    #[test]
    fn dates_within_a_sentence_are_for_people() {
        let told = with_dates("the same weeks last year, 2025-05-15 to 2025-06-15, 0.45 a day");
        assert_eq!(told, "the same weeks last year, 15\u{a0}May\u{a0}2025 to 15\u{a0}Jun\u{a0}2025, 0.45 a day");
        assert_eq!(with_dates("on 1-2-3"), "on 1-2-3");
    }

    #[test]
    fn amounts_within_a_sentence_have_their_sign() {
        let told = with_money("55421.48 now, 1.5 or 0.455 then: -12.30, limit 50%.", &Currency::new("USD"));
        assert_eq!(told, "$55,421.48 now, 1.5 or 0.455 then: \u{2212}$12.30, limit 50%.");
    }

    #[test]
    fn schedules_tell_what_they_are_about() {
        assert_eq!(["water", "Town-Sewer", "stormwater", "wastewater", "x"].map(service), ["Water", "Sewer", "Stormwater", "Sewer", "Service"]);
    }

    #[test]
    fn quantities_have_no_idle_zeros() {
        assert_eq!(quantity(12_500), "12.5");
        assert_eq!(quantity(1_000_000), "1,000");
        assert_eq!(quantity(0), "0");
        assert_eq!(decimal("12.16666".parse().unwrap(), 3), "12.167");
        assert_eq!(decimal("-0.0001".parse().unwrap(), 2), "0");
    }

    #[test]
    fn nouns_and_codes_become_words() {
        assert_eq!(plural(1, "day"), "1 day");
        assert_eq!(plural(1_200, "bill"), "1,200 bills");
        assert_eq!(plural(0, "entry"), "0 entries");
        assert_eq!(plural(2, "day"), "2 days");
        assert_eq!(words("MULTI_FAMILY"), "Multi family");
        assert_eq!(words("service_charge"), "Service charge");
        assert_eq!(words(""), "");
    }
}
