//! The records of a BAI2 file and their fields: which text belongs to which record, and one field after the other.

use chrono::NaiveDate;

use super::super::BankFileError;
use super::super::text::{digits, shown};
use super::{day, disagrees};

const CODES: [&str; 8] = ["01", "02", "03", "16", "49", "88", "98", "99"];
/// A file of more physical records is refused: four lines for each of the most entries.
const MOST_RECORDS: usize = 1_000_000;

/// A logical record: the physical one that begins it and the 88s that continue it.
pub struct Record<'a> {
    pub code: &'a str,
    parts: Vec<Part<'a>>,
}

/// What stands after the code and its comma in one physical record, or in a line that a text goes on in.
struct Part<'a> {
    line: usize,
    text: &'a str,
    /// Whether the trailers count it: a line without a record code is not.
    counted: bool,
}

impl Record<'_> {
    pub fn place(&self) -> String {
        self.parts.first().map_or_else(|| "line 1".to_owned(), |part| format!("line {}", part.line))
    }

    /// How many physical records it is made of, as the trailers count them.
    pub fn physical(&self) -> u64 {
        self.parts.iter().map(|part| u64::from(part.counted)).sum()
    }
}

/// The file's logical records in order.
pub fn split(text: &str) -> Result<Vec<Record<'_>>, BankFileError> {
    let mut records: Vec<Record<'_>> = Vec::new();
    let mut physical = 0_usize;
    for (line, text) in lines(text) {
        let mut rest = text.trim();
        while !rest.is_empty() {
            physical += 1;
            if physical > MOST_RECORDS {
                return Err(BankFileError::new(format!("line {line}"), "record", format!("more than {MOST_RECORDS} records in one file")));
            }
            let Some((code, after)) = code_of(rest) else {
                go_on(&mut records, line, rest)?;
                break;
            };
            let (own, next) = if is_text(code) { split_text(after) } else { split_fields(after, line)? };
            add(&mut records, code, Part { line, text: own, counted: true })?;
            rest = next;
        }
    }
    Ok(records)
}

/// The lines with their numbers; a file without any line end is cut into blocks of the length in its header.
fn lines(text: &str) -> Box<dyn Iterator<Item = (usize, &str)> + '_> {
    let unbroken = text.trim_matches(|letter: char| letter == '\n' || letter == '\r');
    let end = if unbroken.contains('\n') { '\n' } else { '\r' };
    if unbroken.contains(end) || !unbroken.starts_with("01,") {
        return Box::new(text.split(end).enumerate().map(|(at, line)| (at + 1, line)));
    }
    let header = unbroken.split('/').next().unwrap_or_default();
    let length = header.split(',').nth(6).map(str::trim).and_then(digits::<usize>).filter(|length| *length >= 10);
    match length {
        // Where a block does not begin with a record it is no block: then records stand one after the other.
        Some(length) if blocks(unbroken, length).all(|block| code_of(block).is_some()) => {
            Box::new(blocks(unbroken, length).enumerate().map(|(at, block)| (at + 1, block)))
        }
        _ => Box::new(std::iter::once((1, unbroken))),
    }
}

/// Pieces of so many letters.
fn blocks(text: &str, length: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = rest.char_indices().nth(length).map_or(rest.len(), |(at, _)| at);
        let (block, after) = rest.split_at(end);
        rest = after;
        (!block.is_empty()).then_some(block)
    })
}

/// The record code at the beginning, and what stands after its comma.
fn code_of(text: &str) -> Option<(&str, &str)> {
    let (code, after) = text.split_at_checked(2)?;
    (CODES.contains(&code)).then(|| after.strip_prefix(',')).flatten().map(|after| (code, after))
}

/// Whether the record's last field is free text, in which `/` is a letter like others.
fn is_text(code: &str) -> bool {
    code == "16" || code == "88"
}

/// A record that ends with its first `/`, and what follows in the same line.
fn split_fields(after: &str, line: usize) -> Result<(&str, &str), BankFileError> {
    let Some((own, next)) = after.split_once('/') else {
        return Ok((after, ""));
    };
    let next = next.trim_start();
    if next.is_empty() || code_of(next).is_some() {
        return Ok((own, next));
    }
    Err(BankFileError::new(
        format!("line {line}"),
        "record",
        format!("{} stands after the record's closing /; expected the next record", shown(next)),
    ))
}

/// A record whose text may hold `/`: it ends with the line, or with a `/` and blanks before what can only be a record.
fn split_text(after: &str) -> (&str, &str) {
    for (at, _) in after.match_indices('/') {
        let next = &after[at + 1..];
        let record = next.trim_start();
        if record.len() < next.len() && begins_record(record) {
            return (&after[..=at], record);
        }
    }
    (after, "")
}

fn begins_record(text: &str) -> bool {
    let Some((code, after)) = code_of(text) else {
        return false;
    };
    let first = after.split([',', '/']).next().unwrap_or_default().trim();
    match code {
        "16" => first.len() == 3 && first.bytes().all(|byte| byte.is_ascii_digit()),
        "49" | "98" | "99" => digits::<u128>(first.trim_start_matches(['+', '-'])).is_some(),
        _ => true,
    }
}

fn add<'a>(records: &mut Vec<Record<'a>>, code: &'a str, part: Part<'a>) -> Result<(), BankFileError> {
    if code != "88" {
        records.push(Record { code, parts: vec![part] });
        return Ok(());
    }
    let Some(last) = records.last_mut() else {
        return Err(BankFileError::new(format!("line {}", part.line), "record code", "88 continues nothing; expected the file header 01"));
    };
    last.parts.push(part);
    Ok(())
}

/// A line without record code goes on with the text of the movement before it.
fn go_on<'a>(records: &mut [Record<'a>], line: usize, text: &'a str) -> Result<(), BankFileError> {
    if let Some(Record { code: "16", parts }) = records.last_mut() {
        parts.push(Part { line, text, counted: false });
        return Ok(());
    }
    let fault = format!("{} begins no record; expected 01, 02, 03, 16, 49, 88, 98 or 99 and a comma", shown(text));
    Err(BankFileError::new(format!("line {line}"), "record code", fault))
}

/// One field: where it stands and what is in it, without outer blanks.
pub struct Field {
    pub place: String,
    pub text: String,
}

impl Field {
    pub fn wrong(&self, name: &str, expected: &str) -> BankFileError {
        BankFileError::new(&self.place, name, format!("{} found; expected {expected}", shown(&self.text)))
    }

    /// Whole cents with an optional sign.
    pub fn amount(&self, name: &str) -> Result<i64, BankFileError> {
        let (negative, size) = match self.text.strip_prefix(['+', '-']) {
            Some(size) => (self.text.starts_with('-'), size),
            None => (false, self.text.as_str()),
        };
        let cents = digits::<i64>(size).ok_or_else(|| self.wrong(name, "digits, the last two of them cents"))?;
        Ok(if negative { -cents } else { cents })
    }
}

/// The fields of a logical record, one after the other over its physical ones.
pub struct Fields<'a> {
    record: &'a Record<'a>,
    part: usize,
    /// What is left of the present part; none when its last field was taken.
    rest: Option<&'a str>,
}

impl<'a> Fields<'a> {
    pub fn of(record: &'a Record<'a>) -> Self {
        let mut fields = Self { record, part: 0, rest: None };
        fields.rest = fields.open(0);
        fields
    }

    /// A part's text without the `/` that closes it.
    fn open(&self, part: usize) -> Option<&'a str> {
        let text = self.record.parts.get(part)?.text.trim_end();
        Some(text.strip_suffix('/').unwrap_or(text))
    }

    fn advance(&mut self) {
        if self.rest.is_none() && self.part + 1 < self.record.parts.len() {
            self.part += 1;
            self.rest = self.open(self.part);
        }
    }

    fn place(&self) -> String {
        self.record.parts.get(self.part).map_or_else(|| self.record.place(), |part| format!("line {}", part.line))
    }

    /// Whether another field is there.
    pub fn more(&mut self) -> bool {
        self.advance();
        self.rest.is_some()
    }

    /// The next field; an empty one where the record has ended.
    pub fn next(&mut self, _name: &str) -> Field {
        self.advance();
        let place = self.place();
        let Some(rest) = self.rest else {
            return Field { place, text: String::new() };
        };
        let (text, after) = rest.split_once(',').map_or((rest, None), |(text, after)| (text, Some(after)));
        self.rest = after;
        Field { place, text: text.trim().to_owned() }
    }

    pub fn required(&mut self, name: &str) -> Result<Field, BankFileError> {
        let field = self.next(name);
        if field.text.is_empty() { Err(BankFileError::new(field.place, name, "it is missing")) } else { Ok(field) }
    }

    /// The availability of an amount; the value date where it tells one.
    pub fn funds(&mut self) -> Result<Option<NaiveDate>, BankFileError> {
        let funds = self.next("funds type");
        match funds.text.as_str() {
            "" | "0" | "1" | "2" | "Z" | "z" => Ok(None),
            "S" | "s" => {
                for name in ["immediate availability", "one-day availability", "more than one-day availability"] {
                    self.optional_amount(name)?;
                }
                Ok(None)
            }
            "V" | "v" => {
                let date = self.next("value date");
                self.next("value time");
                if date.text.is_empty() { Ok(None) } else { day(&date.place, "value date", &date.text).map(Some) }
            }
            "D" | "d" => {
                let number = self.next("number of distributions");
                let count = digits::<u32>(&number.text).filter(|count| *count <= 99);
                for _ in 0..count.ok_or_else(|| number.wrong("number of distributions", "a number up to 99"))? {
                    let days = self.next("days of a distribution");
                    digits::<u32>(&days.text).ok_or_else(|| days.wrong("days of a distribution", "a number of days"))?;
                    self.optional_amount("amount of a distribution")?;
                }
                Ok(None)
            }
            _ => Err(funds.wrong("funds type", "0, 1, 2, S, V, D, Z or nothing")),
        }
    }

    fn optional_amount(&mut self, name: &str) -> Result<(), BankFileError> {
        let field = self.next(name);
        if field.text.is_empty() { Ok(()) } else { field.amount(name).map(|_| ()) }
    }

    /// All that is left, commas included: the free text at a record's end.
    pub fn text(&mut self) -> String {
        self.advance();
        let mut pieces: Vec<&str> = self.rest.take().into_iter().collect();
        while self.more() {
            pieces.extend(self.rest.take());
        }
        pieces.join(" ")
    }

    /// A control total, which must be what was added up.
    pub fn control(&mut self, name: &str, computed: i128, of: &str) -> Result<(), BankFileError> {
        let field = self.required(name)?;
        let found = i128::from(field.amount(name)?);
        if found == computed { Ok(()) } else { Err(disagrees(&field.place, name, found, computed, of)) }
    }

    /// A count, which must be what was counted.
    pub fn count(&mut self, name: &str, counted: u64, of: &str) -> Result<(), BankFileError> {
        let field = self.required(name)?;
        let found = digits::<u64>(&field.text).ok_or_else(|| field.wrong(name, "a whole number"))?;
        if found == counted {
            return Ok(());
        }
        Err(BankFileError::new(field.place, name, format!("the file says {found}, but there are {counted} {of}")))
    }

    /// Nothing but empty fields may be left.
    pub fn end(&mut self) -> Result<(), BankFileError> {
        while self.more() {
            let field = self.next("end of record");
            if !field.text.is_empty() {
                return Err(field.wrong("end of record", "no further field"));
            }
        }
        Ok(())
    }
}
