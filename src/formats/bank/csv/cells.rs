//! The cells of a row, found by the mapping's columns: amounts and days as the bank writes them.

use std::ops::RangeInclusive;

use chrono::NaiveDate;

use super::super::text::{clean, digits, shown};
use super::super::{BankFileError, LARGEST_AMOUNT_CENTS};
use super::mapping::DecimalMark;

/// A row and the line where it begins.
pub struct Row {
    line: u64,
    cells: csv::StringRecord,
}

impl Row {
    pub const fn new(line: u64, cells: csv::StringRecord) -> Self {
        Self { line, cells }
    }

    pub fn place(&self) -> String {
        format!("line {}", self.line)
    }

    pub fn width(&self) -> usize {
        self.cells.len()
    }

    /// The longest cell, in bytes.
    pub fn longest(&self) -> usize {
        self.cells.iter().map(str::len).max().unwrap_or_default()
    }

    /// The cell at this place from 0, cleaned.
    pub fn cell(&self, at: usize) -> String {
        clean(self.cells.get(at).unwrap_or_default())
    }

    pub fn folded(&self) -> Vec<String> {
        self.cells.iter().map(fold).collect()
    }

    pub fn wrong(&self, field: &str, fault: impl Into<String>) -> BankFileError {
        BankFileError::new(self.place(), field, fault)
    }
}

/// Letter case and blanks do not tell names and words apart.
pub fn fold(text: &str) -> String {
    clean(text).to_lowercase()
}

/// An amount in cents: a sign before or after it, or parentheses; thousands divided by the other mark, a blank or `'`, as far as
/// the mapping allows it.
pub fn cents(text: &str, mark: DecimalMark, may_divide: Option<bool>) -> Result<i64, String> {
    let (decimal, thousands, example) = match (mark, may_divide) {
        (DecimalMark::Point, Some(false)) => ('.', ',', "1234.56"),
        (DecimalMark::Comma, Some(false)) => (',', '.', "1234,56"),
        (DecimalMark::Point, _) => ('.', ',', "1,234.56"),
        (DecimalMark::Comma, _) => (',', '.', "1.234,56"),
    };
    let no_amount = || format!("{} is no amount; expected one like {example}", shown(text));
    let (negative, rest) = sign(text.trim());
    let rest = rest.strip_prefix(['$', '€', '£']).unwrap_or(rest).trim();
    let (whole, fraction) = rest.split_once(decimal).unwrap_or((rest, ""));
    if may_divide.is_none() && !rest.contains(decimal) && whole.matches(thousands).count() == 1 && ungrouped(whole, thousands).is_some() {
        return Err(ambiguous(text, whole, decimal, thousands));
    }
    if may_divide == Some(false) && whole.contains([thousands, ' ', '\'']) {
        return Err(no_amount());
    }
    let whole = ungrouped(whole, thousands).ok_or_else(no_amount)?;
    let plain = fraction.bytes().all(|byte| byte.is_ascii_digit());
    if rest.len() > 40 || (whole.is_empty() && fraction.is_empty()) || !plain || rest.ends_with(decimal) {
        return Err(no_amount());
    }
    let (cents, more) = fraction.split_at(fraction.len().min(2));
    if more.bytes().any(|byte| byte != b'0') {
        return Err(format!("{} has a fraction of a cent; expected at most two decimals", shown(text)));
    }
    let number = format!("{whole}{cents:0<2}").parse::<i64>().ok().filter(|number| *number <= LARGEST_AMOUNT_CENTS);
    let number = number.ok_or_else(|| format!("{} is more than a single movement may be", shown(text)))?;
    Ok(if negative { -number } else { number })
}

/// `1.250` may be a thousand and a quarter, or one and a quarter.
fn ambiguous(text: &str, whole: &str, decimal: char, thousands: char) -> String {
    let grouped = whole.replace(thousands, "");
    let parted = whole.replace(thousands, ".");
    let parted = parted.strip_suffix('0').unwrap_or(&parted);
    format!(
        "{} may be {grouped}.00 or {parted}; expected it as {grouped}{decimal}00, or a mapping that says thousands = true where {} divides thousands, \
         or the other decimal",
        shown(text),
        shown(&thousands.to_string())
    )
}

/// Whether the amount is negative, and the amount without its sign.
fn sign(text: &str) -> (bool, &str) {
    const MINUS: [char; 2] = ['-', '\u{2212}'];
    if let Some(inner) = text.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        return (true, inner.trim());
    }
    if let Some(after) = text.strip_prefix(MINUS).or_else(|| text.strip_suffix(MINUS)) {
        return (true, after.trim());
    }
    (false, text.strip_prefix('+').or_else(|| text.strip_suffix('+')).unwrap_or(text).trim())
}

/// The digits of a whole number whose thousands may be divided, all by the same sign and all in threes.
fn ungrouped(whole: &str, thousands: char) -> Option<String> {
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let Some(divider) = [thousands, ' ', '\''].into_iter().find(|divider| whole.contains(*divider)) else {
        return plain(whole).then(|| whole.to_owned());
    };
    let mut groups = whole.split(divider);
    let first = groups.next().unwrap_or_default();
    let good = (1..=3).contains(&first.len()) && plain(first) && groups.all(|group| group.len() == 3 && plain(group));
    good.then(|| whole.replace(divider, ""))
}

/// The parts of a date in their order.
pub struct DateFormat {
    parts: Vec<Part>,
}

enum Part {
    Year { digits: usize },
    Month { digits: RangeInclusive<usize> },
    Day { digits: RangeInclusive<usize> },
    Sign(char),
}

impl DateFormat {
    /// Of `YYYY` or `YY`, `MM` or `M`, `DD` or `D`, each once, and signs between them.
    pub fn of(text: &str) -> Result<Self, String> {
        let unknown = || format!("{} found; expected one like YYYY-MM-DD, DD.MM.YYYY or M/D/YY", shown(text));
        let letters: Vec<char> = text.trim().chars().take(20).collect();
        let mut parts = Vec::new();
        for run in letters.chunk_by(|one, other| one == other) {
            let letter = run.first().copied().unwrap_or_default();
            parts.push(match (letter, run.len()) {
                ('Y', digits @ (2 | 4)) => Part::Year { digits },
                ('M', digits @ (1 | 2)) => Part::Month { digits: digits..=2 },
                ('D', digits @ (1 | 2)) => Part::Day { digits: digits..=2 },
                ('.' | '/' | '-' | ' ', 1) => Part::Sign(letter),
                _ => return Err(unknown()),
            });
        }
        let once = |test: fn(&Part) -> bool| parts.iter().filter(|part| test(part)).count() == 1;
        let whole = once(|part| matches!(part, Part::Year { .. }))
            && once(|part| matches!(part, Part::Month { .. }))
            && once(|part| matches!(part, Part::Day { .. }));
        if whole { Ok(Self { parts }) } else { Err(unknown()) }
    }

    pub fn parse(&self, text: &str) -> Option<NaiveDate> {
        let (mut year, mut month, mut day) = (0_i32, 0_u32, 0_u32);
        let mut rest = text;
        for part in &self.parts {
            match part {
                Part::Sign(sign) => rest = rest.strip_prefix(*sign)?,
                Part::Year { digits: 4 } => year = number(&mut rest, &(4..=4))?,
                Part::Year { .. } => {
                    let short: i32 = number(&mut rest, &(2..=2))?;
                    year = if short >= 80 { 1900 + short } else { 2000 + short };
                }
                Part::Month { digits } => month = number(&mut rest, digits)?,
                Part::Day { digits } => day = number(&mut rest, digits)?,
            }
        }
        NaiveDate::from_ymd_opt(year, month, day).filter(|_| rest.is_empty())
    }
}

/// As many digits as there are, within these bounds.
fn number<T: std::str::FromStr>(rest: &mut &str, bounds: &RangeInclusive<usize>) -> Option<T> {
    let found = rest.bytes().take(*bounds.end()).take_while(u8::is_ascii_digit).count();
    let (taken, after) = rest.split_at_checked(found).filter(|_| bounds.contains(&found))?;
    *rest = after;
    digits(taken)
}
