//! How pages mark up dates, moments and numbers. The words themselves are those of [`crate::domain::wording`].

use std::fmt;

use askama::filters::HtmlSafe;
use chrono::{DateTime, NaiveDate, NaiveDateTime};
use chrono_tz::Tz;

pub use crate::domain::wording::{
    Currency, date, decimal, plural, quantity, read_kind, service, unit_in_full, whole_date, with_dates, with_money, words,
};

/// A day: `18 May 2026`, marked up with its date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day(pub NaiveDate);

impl Day {
    /// Without markup: for titles, labels and charts.
    #[must_use]
    pub fn plain(self) -> String {
        date(self.0)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "<time datetime=\"{}\">{}</time>", self.0, date(self.0))
    }
}

impl HtmlSafe for Day {}

/// A moment in the utility's time zone: `18 May 2026, 14:05`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(DateTime<Tz>);

impl Moment {
    /// A moment of UTC as the utility's clocks show it.
    #[must_use]
    pub fn new(utc: NaiveDateTime, zone: Tz) -> Self {
        Self(utc.and_utc().with_timezone(&zone))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = self.0.format("%Y-%m-%dT%H:%M:%S%:z");
        write!(out, "<time datetime=\"{machine}\">{}, {}</time>", date(self.0.date_naive()), self.0.format("%H:%M"))
    }
}

impl HtmlSafe for Moment {}

/// A text as one segment of an address: what is not plain is escaped.
#[must_use]
pub fn segment(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Text in which no number breaks at its hyphens: marked up, and escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unbroken(pub String);

impl fmt::Display for Unbroken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, word) in self.0.split(' ').enumerate() {
            let space = if at == 0 { "" } else { " " };
            let word_html = word.replace('&', "&#38;").replace('<', "&#60;").replace('>', "&#62;").replace('"', "&#34;").replace('\'', "&#39;");
            // What is too long for a line may break all the same.
            let whole = word.len() <= 32 && (word.contains('@') || word.contains('-') && word.contains(|letter: char| letter.is_ascii_digit()));
            if let (true, Some((name, place))) = (whole, word_html.split_once('@')) {
                write!(out, "{space}<span class=\"nowrap\">{name}</span><wbr><span class=\"nowrap\">@{place}</span>")?;
            } else if whole {
                write!(out, "{space}<span class=\"nowrap\">{word_html}</span>")?;
            } else {
                write!(out, "{space}{word_html}")?;
            }
        }
        Ok(())
    }
}

impl HtmlSafe for Unbroken {}

/// A day of a template, marked up with its date.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "templates pass references")]
pub(in crate::web) fn day(on: &NaiveDate) -> Day {
    Day(*on)
}

/// The same without markup: for labels.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "templates pass references")]
pub(in crate::web) fn plain_day(on: &NaiveDate) -> String {
    date(*on)
}

/// A text of a template in which no number breaks at its hyphens.
pub(in crate::web) fn unbroken(text: &str) -> Unbroken {
    Unbroken(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_said_and_marked_up() {
        let day = Day("2026-05-08".parse().unwrap());
        assert_eq!(day.plain(), "8 May 2026");
        assert_eq!(day.to_string(), "<time datetime=\"2026-05-08\">8 May 2026</time>");
        let noon = "2026-07-01T19:05:00".parse().unwrap();
        let there = Moment::new(noon, Tz::America__Los_Angeles).to_string();
        assert_eq!(there, "<time datetime=\"2026-07-01T12:05:00-07:00\">1 Jul 2026, 12:05</time>");
    }

    #[test]
    fn numbers_stay_in_one_piece() {
        let shown = |text: &str| Unbroken(text.to_owned()).to_string();
        assert_eq!(shown("by card, reference BK-01<b>"), "by card, reference <span class=\"nowrap\">BK-01&#60;b&#62;</span>");
        assert_eq!(shown("well-known & \"quoted\""), "well-known &#38; &#34;quoted&#34;");
        assert_eq!(shown(&"1-".repeat(30)), "1-".repeat(30));
        assert_eq!(shown("a@b.org"), "<span class=\"nowrap\">a</span><wbr><span class=\"nowrap\">@b.org</span>");
    }
}
