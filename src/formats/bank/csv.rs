//! CSV with a column mapping: what a bank exports where it offers nothing better.
//!
//! The mapping is the utility's, saved by name; the file must agree with it in every row. A file has one currency and, unless
//! a column names it, one bank account. Where the bank writes totals at the end, the mapping can name them and they are checked.

mod cells;
mod layout;
mod mapping;

use super::text::shown;
use super::{BankEntry, BankFile, BankFileError, BankFormat, LONGEST_TEXT_BYTES, MOST_ENTRIES, MOST_STATEMENTS, Statement, WHOLE};
use cells::Row;
use layout::Layout;
pub use mapping::{AmountColumns, BankAccount, Column, CsvEncoding, CsvFooter, CsvMapping, DecimalMark};

/// A row may not have more columns.
const MOST_COLUMNS: usize = 256;
/// What is put behind the file: if it is not read back as it is, a quotation mark was never closed.
const SENTINEL: &str = "\u{1}end of file\u{1}";

/// Reads a CSV file with this mapping.
///
/// # Errors
/// [`BankFileError`] when the mapping itself cannot be used, when the file does not have its columns, or a row, an amount, a
/// date or a total of the footer is not as the mapping says.
pub fn read(bytes: &[u8], mapping: &CsvMapping) -> Result<BankFile, BankFileError> {
    mapping.check()?;
    let text = mapping.encoding.decode(bytes)?;
    let whole = with_sentinel(&text, mapping);
    let mut rows = Rows::of(&whole, mapping);
    let first =
        rows.next()?.ok_or_else(|| BankFileError::new(WHOLE.0, WHOLE.1, "it has no rows: expected a header, as the mapping says, or rows"))?;
    let layout = Layout::of(mapping, &first)?;
    let mut statements: Vec<Statement> = Vec::new();
    let mut footer: Option<Row> = None;
    let mut next = if mapping.header { rows.next()? } else { Some(first) };
    while let Some(row) = next {
        if footer.is_some() {
            return Err(row.wrong("row", "it stands after the footer; expected nothing"));
        }
        if layout.is_footer(&row) {
            footer = Some(row);
        } else {
            let (account, entry) = layout.read(&row)?;
            add(&mut statements, mapping, account, entry)?;
        }
        next = rows.next()?;
    }
    let controls = layout.check_footer(footer.as_ref(), &statements)?;
    Ok(BankFile { format: BankFormat::Csv, statements, controls })
}

fn add(statements: &mut Vec<Statement>, mapping: &CsvMapping, bank_account: String, entry: BankEntry) -> Result<(), BankFileError> {
    // Rows of one account mostly stand together; the last statement is the likely one.
    if let Some(statement) = statements.iter_mut().rev().take(50).find(|statement| statement.bank_account == bank_account) {
        statement.entries.push(entry);
        return Ok(());
    }
    if statements.len() >= MOST_STATEMENTS {
        return Err(BankFileError::new(entry.place, "bank account", format!("it changes more than {MOST_STATEMENTS} times")));
    }
    let (currency, entries) = (mapping.currency.clone(), vec![entry]);
    statements.push(Statement { bank_account, statement_ref: None, currency, opening: None, closing: None, corrects: false, entries });
    Ok(())
}

/// The text behind the lines to be skipped, and the sentinel.
fn with_sentinel(text: &str, mapping: &CsvMapping) -> String {
    let skipped = usize::try_from(mapping.skip_lines).unwrap_or(usize::MAX);
    let start = if skipped == 0 { 0 } else { text.match_indices('\n').nth(skipped - 1).map_or(text.len(), |(at, _)| at + 1) };
    format!("{}\n{SENTINEL}\n", text.get(start..).unwrap_or_default())
}

/// The file's rows, the header and the footer among them, without empty ones.
struct Rows<'a> {
    reader: ::csv::Reader<&'a [u8]>,
    lines: Lines<'a>,
    skipped: u64,
    read: usize,
}

impl<'a> Rows<'a> {
    fn of(whole: &'a str, mapping: &CsvMapping) -> Self {
        let delimiter = u8::try_from(mapping.delimiter).unwrap_or(b',');
        let reader = ::csv::ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).from_reader(whole.as_bytes());
        Self { reader, lines: Lines::of(whole), skipped: u64::from(mapping.skip_lines), read: 0 }
    }

    fn next(&mut self) -> Result<Option<Row>, BankFileError> {
        let mut record = ::csv::StringRecord::new();
        while self.reader.read_record(&mut record).map_err(|error| BankFileError::new("file", "CSV", shown(&error.to_string()).trim_matches('\'')))? {
            if record.len() == 1 && record.get(0) == Some(SENTINEL) {
                return Ok(None);
            }
            if record.iter().any(|field| field.contains(SENTINEL)) {
                break;
            }
            if record.iter().all(|field| field.trim().is_empty()) {
                continue;
            }
            let line = self.lines.at(record.position().map_or(0, ::csv::Position::byte)) + self.skipped;
            let row = Row::new(line, record);
            row.check()?;
            self.read += 1;
            // The header and the footer are rows too.
            if self.read > MOST_ENTRIES + 2 {
                return Err(row.wrong("row", format!("more than {MOST_ENTRIES} rows")));
            }
            return Ok(Some(row));
        }
        Err(BankFileError::new("end of file", "quotation mark", "one that was opened is never closed"))
    }
}

/// The numbers of lines, asked from front to back. The reader's own count is one behind where lines end in two signs.
struct Lines<'a> {
    rest: &'a [u8],
    end: u8,
    at: usize,
    line: u64,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        // The sentinel stands in a line of its own, ended by line feeds.
        let own = text.strip_suffix(&format!("\n{SENTINEL}\n")).unwrap_or(text);
        Self { rest: text.as_bytes(), end: if own.contains('\n') { b'\n' } else { b'\r' }, at: 0, line: 1 }
    }

    /// The line of the first text at or behind this byte.
    fn at(&mut self, byte: u64) -> u64 {
        let byte = usize::try_from(byte).unwrap_or(usize::MAX);
        while let Some((first, rest)) = self.rest.split_first() {
            if self.at >= byte && !matches!(first, b'\r' | b'\n') {
                break;
            }
            self.line += u64::from(*first == self.end);
            self.at += 1;
            self.rest = rest;
        }
        self.line
    }
}

impl Row {
    fn check(&self) -> Result<(), BankFileError> {
        if self.width() > MOST_COLUMNS {
            return Err(self.wrong("row", format!("it has {} columns; at most {MOST_COLUMNS} are read", self.width())));
        }
        if self.longest() > LONGEST_TEXT_BYTES {
            return Err(self.wrong("row", format!("a field has more than {LONGEST_TEXT_BYTES} bytes; is a quotation mark not closed?")));
        }
        Ok(())
    }
}
