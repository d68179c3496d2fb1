//! The records of a NACHA file: lines of 94 characters, and the fields at their positions.

use super::super::BankFileError;
use super::super::text::{digits, shown};

const LENGTH: usize = 94;
/// A file may not have more records, whatever they are.
const MOST_RECORDS: usize = 1_000_000;

/// A record and the number of its line.
pub struct Line<'a> {
    number: usize,
    text: &'a str,
}

impl Line<'_> {
    pub fn place(&self) -> String {
        format!("line {}", self.number)
    }

    pub fn kind(&self) -> char {
        self.text.chars().next().unwrap_or(' ')
    }

    /// The field at these positions, counted from 1 as the standard does, without outer blanks.
    pub fn text(&self, (from, to): (usize, usize)) -> String {
        let taken = if self.text.is_ascii() {
            self.text.get(from - 1..to.min(self.text.len())).unwrap_or_default().to_owned()
        } else {
            self.text.chars().skip(from - 1).take(to + 1 - from).collect()
        };
        taken.trim().to_owned()
    }

    pub fn number(&self, at: (usize, usize), name: &str) -> Result<u64, BankFileError> {
        let text = self.text(at);
        digits(&text).ok_or_else(|| self.wrong(name, &format!("{} found; expected digits", shown(&text))))
    }

    /// Lines of nines fill up the last block of ten.
    pub fn is_padding(&self) -> bool {
        self.text.len() == LENGTH && self.text.bytes().all(|byte| byte == b'9')
    }

    pub fn wrong(&self, field: &str, fault: &str) -> BankFileError {
        BankFileError::new(self.place(), field, fault)
    }

    pub fn order(&self, expected: &str) -> BankFileError {
        self.wrong("record type", &format!("{} does not belong here; expected {expected}", shown(&self.kind().to_string())))
    }
}

/// The file's records. Files without line ends are cut at every 94th character.
pub fn lines(text: &str) -> Result<Vec<Line<'_>>, BankFileError> {
    let mut found = Vec::new();
    let unbroken = text.trim_matches(['\n', '\r']);
    if !unbroken.contains(['\n', '\r']) && unbroken.chars().nth(LENGTH).is_some() {
        let mut rest = unbroken;
        while !rest.trim().is_empty() {
            let end = rest.char_indices().nth(LENGTH).map_or(rest.len(), |(at, _)| at);
            let (line, after) = rest.split_at(end);
            found.push(checked(found.len() + 1, line)?);
            rest = after;
        }
        return Ok(found);
    }
    let end = if unbroken.contains('\n') { '\n' } else { '\r' };
    for (at, line) in text.split(end).enumerate() {
        if !line.trim().is_empty() {
            if found.len() >= MOST_RECORDS {
                return Err(BankFileError::new(format!("line {}", at + 1), "record", format!("more than {MOST_RECORDS} records in one file")));
            }
            found.push(checked(at + 1, line.trim_end_matches('\r'))?);
        }
    }
    Ok(found)
}

/// A record of the right length. Only the headers and controls of the file end in blanks, which some programs cut off.
fn checked(number: usize, line: &str) -> Result<Line<'_>, BankFileError> {
    let long = line.chars().nth(LENGTH).is_some();
    let text = if long { line.trim_end() } else { line };
    let length = text.chars().take(LENGTH * 10).count();
    let may_be_short = text.starts_with(['1', '9']);
    if length == LENGTH || (length < LENGTH && may_be_short) {
        return Ok(Line { number, text });
    }
    let fault = format!("it has {length}{} characters; expected {LENGTH}", if length == LENGTH * 10 { " or more" } else { "" });
    Err(BankFileError::new(format!("line {number}"), "record", fault))
}
