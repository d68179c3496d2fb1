//! CSV with a column mapping: what a bank exports where it offers nothing better.
//!
//! The mapping is the utility's, saved by name; the file must agree with it in every row. A file has one currency and, unless
//! a column names it, one bank account. Where the bank writes totals at the end, the mapping can name them and they are checked.

mod cells;
mod layout;
mod mapping;

use super::text::shown;
use super::{BankEntry, BankFile, BankFileError, BankFormat, LONGEST_TEXT_BYTES, MOST_ENTRIES, MOST_STATEMENTS, Statement};
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
    let rows = rows(&text, mapping)?;
    let first = rows.first().ok_or_else(|| BankFileError::new("file", "content", "it has no rows"))?;
    let layout = Layout::of(mapping, first)?;
    let mut statements: Vec<Statement> = Vec::new();
    let mut footer: Option<&Row> = None;
    for row in rows.iter().skip(usize::from(mapping.header)) {
        if footer.is_some() {
            return Err(row.wrong("row", "it stands after the footer; expected nothing"));
        }
        if layout.is_footer(row) {
            footer = Some(row);
            continue;
        }
        let (account, entry) = layout.read(row)?;
        add(&mut statements, mapping, account, entry)?;
    }
    layout.check_footer(footer, &statements)?;
    Ok(BankFile { format: BankFormat::Csv, statements })
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

/// The file's rows, the header and the footer among them, without empty ones.
fn rows(text: &str, mapping: &CsvMapping) -> Result<Vec<Row>, BankFileError> {
    let skipped = usize::try_from(mapping.skip_lines).unwrap_or(usize::MAX);
    let start = if skipped == 0 { 0 } else { text.match_indices('\n').nth(skipped - 1).map_or(text.len(), |(at, _)| at + 1) };
    let whole = format!("{}\n{SENTINEL}\n", text.get(start..).unwrap_or_default());
    let delimiter = u8::try_from(mapping.delimiter).unwrap_or(b',');
    let mut reader = ::csv::ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).from_reader(whole.as_bytes());
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| BankFileError::new("file", "CSV", shown(&error.to_string()).trim_matches('\'')))?;
        if record.len() == 1 && record.get(0) == Some(SENTINEL) {
            return Ok(rows);
        }
        if record.iter().all(|field| field.trim().is_empty()) {
            continue;
        }
        let line = record.position().map_or(1, ::csv::Position::line) + u64::from(mapping.skip_lines);
        let row = Row::new(line, record);
        row.check()?;
        // The header and the footer are rows too.
        if rows.len() >= MOST_ENTRIES + 2 {
            return Err(row.wrong("row", format!("more than {MOST_ENTRIES} rows")));
        }
        rows.push(row);
    }
    Err(BankFileError::new("end of file", "quotation mark", "one that was opened is never closed"))
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
