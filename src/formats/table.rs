//! CSV tables with headers, plain or gzipped: read row by row, with the place of every fault.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use thiserror::Error;

/// A row may not be longer than this, in bytes: a longer one is not a row of a table.
const LONGEST_ROW: usize = 64 * 1024;

/// Why a file cannot be read as the table that it should be.
#[derive(Debug, Error)]
pub enum TableError {
    /// The file cannot be opened.
    #[error("{path}: cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The header is not the expected one.
    #[error("{path}: the header is '{found}': {problem}; expected the columns {expected}")]
    Header {
        /// The file.
        path: String,
        /// The header that was found.
        found: String,
        /// What is wrong with it.
        problem: String,
        /// The columns that were expected.
        expected: String,
    },
    /// The file breaks off or is damaged.
    #[error("{path}: row {line}: {message}")]
    Damaged {
        /// The file.
        path: String,
        /// The line.
        line: u64,
        /// What is wrong.
        message: String,
    },
}

/// The columns that a file of refused rows has more than its origin; it can be put right and imported as it is.
const REFUSED_COLUMNS: [&str; 2] = ["refused_row", "refused_reason"];

/// The columns of a kind of table.
#[derive(Debug, Clone, Copy)]
pub struct Columns {
    /// Must be there.
    pub required: &'static [&'static str],
    /// May be there.
    pub optional: &'static [&'static str],
}

impl Columns {
    fn describe(&self) -> String {
        let required = self.required.join(",");
        if self.optional.is_empty() { required } else { format!("{required} and optionally {}", self.optional.join(",")) }
    }
}

/// One row: its line in the file and its fields by column name.
#[derive(Debug, Clone)]
pub struct Row {
    /// The line where it starts, the header being line 1.
    pub line: u64,
    /// The fields as they stand in the file.
    pub fields: csv::StringRecord,
}

/// A table that is being read.
pub struct Table {
    path: PathBuf,
    reader: csv::Reader<Box<dyn Read + Send>>,
    header: csv::StringRecord,
    columns: HashMap<String, usize>,
}

impl Table {
    /// Opens a table and checks its header.
    ///
    /// # Errors
    /// [`TableError`] when the file cannot be read, is not text in UTF-8, or its header is not as expected.
    pub fn open(path: &Path, columns: Columns) -> Result<Self, TableError> {
        let name = path.display().to_string();
        let unreadable = |source| TableError::Unreadable { path: name.clone(), source };
        if path.is_dir() {
            return Err(unreadable(io::Error::other("it is a directory")));
        }
        let file = BufReader::with_capacity(1 << 16, File::open(path).map_err(unreadable)?);
        let gzipped = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
        let source: Box<dyn Read + Send> = if gzipped { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(source);
        let header = reader.headers().map_err(|error| damaged(&name, &error))?.clone();
        let header: csv::StringRecord = header.iter().map(|field| field.trim_start_matches('\u{feff}')).collect();
        let index = check_header(&name, &header, columns)?;
        Ok(Self { path: path.to_owned(), reader, header, columns: index })
    }

    /// The header as it stands in the file.
    #[must_use]
    pub fn header(&self) -> &csv::StringRecord {
        &self.header
    }

    /// Whether an optional column is there.
    #[must_use]
    pub fn has(&self, column: &str) -> bool {
        self.columns.contains_key(column)
    }

    /// The next row, `None` at the end.
    ///
    /// # Errors
    /// [`TableError::Damaged`] when the file breaks off, has a row with too few or too many fields, or is not UTF-8.
    pub fn next_row(&mut self) -> Result<Option<Row>, TableError> {
        let mut fields = csv::StringRecord::new();
        let more = self.reader.read_record(&mut fields).map_err(|error| damaged(&self.path.display().to_string(), &error))?;
        if !more {
            return Ok(None);
        }
        let line = fields.position().map_or(0, csv::Position::line);
        if fields.as_slice().len() > LONGEST_ROW {
            let message = format!("it is longer than {LONGEST_ROW} bytes");
            return Err(TableError::Damaged { path: self.path.display().to_string(), line, message });
        }
        Ok(Some(Row { line, fields }))
    }

    /// A row's field by column name; an absent column is an empty field.
    #[must_use]
    pub fn field<'r>(&self, row: &'r Row, column: &str) -> &'r str {
        self.columns.get(column).and_then(|index| row.fields.get(*index)).unwrap_or("")
    }
}

fn damaged(path: &str, error: &csv::Error) -> TableError {
    let line = error.position().map_or(1, csv::Position::line);
    let message = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => format!("it has {len} fields, expected {expected_len}"),
        csv::ErrorKind::Utf8 { .. } => "it is not text in UTF-8".to_owned(),
        csv::ErrorKind::Io(error) => format!("the file cannot be read on: {error}"),
        _ => error.to_string(),
    };
    TableError::Damaged { path: path.to_owned(), line, message }
}

fn check_header(path: &str, header: &csv::StringRecord, columns: Columns) -> Result<HashMap<String, usize>, TableError> {
    let mut index = HashMap::new();
    let known = |name: &str| [columns.required, columns.optional, &REFUSED_COLUMNS].iter().any(|names| names.contains(&name));
    let mut problem = None;
    for (position, name) in header.iter().enumerate() {
        if !known(name) {
            problem.get_or_insert_with(|| format!("the column '{name}' is not known"));
        }
        if index.insert(name.to_owned(), position).is_some() {
            problem.get_or_insert_with(|| format!("the column '{name}' is there twice"));
        }
    }
    if let Some(missing) = columns.required.iter().find(|name| !index.contains_key(**name)) {
        problem = Some(format!("the column '{missing}' is missing"));
    }
    match problem {
        None => Ok(index),
        Some(problem) => Err(TableError::Header {
            path: path.to_owned(),
            found: header.iter().collect::<Vec<_>>().join(",").chars().take(200).collect(),
            problem,
            expected: columns.describe(),
        }),
    }
}

/// Writes refused rows beside their file, with the line and the reason in columns of their own.
///
/// # Errors
/// Those of writing the file.
pub fn write_refused(path: &Path, header: &csv::StringRecord, refused: &[(Row, String)]) -> io::Result<()> {
    let mut writer = csv::Writer::from_path(path).map_err(io::Error::other)?;
    let ours: Vec<usize> = header.iter().enumerate().filter(|(_, name)| !REFUSED_COLUMNS.contains(name)).map(|(index, _)| index).collect();
    let pick = |record: &csv::StringRecord| ours.iter().map(|index| record.get(*index).unwrap_or_default().to_owned()).collect::<Vec<_>>();
    writer.write_record(pick(header).iter().map(String::as_str).chain(REFUSED_COLUMNS)).map_err(io::Error::other)?;
    for (row, reason) in refused {
        let line = row.line.to_string();
        let fields = pick(&row.fields);
        writer.write_record(fields.iter().map(String::as_str).chain([line.as_str(), reason.as_str()])).map_err(io::Error::other)?;
    }
    writer.flush()
}

/// Reads a whole table once for its form, so that a file that breaks off in the middle is refused before any of it
/// is used. Returns the number of rows.
///
/// # Errors
/// As [`Table::open`] and [`Table::next_row`].
pub fn check_form(path: &Path, columns: Columns) -> Result<u64, TableError> {
    let mut table = Table::open(path, columns)?;
    let mut rows = 0;
    while table.next_row()?.is_some() {
        rows += 1;
    }
    Ok(rows)
}
