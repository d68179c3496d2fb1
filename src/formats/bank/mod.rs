//! What banks send: statements and returns, from any of their formats into one shape.
//!
//! What belongs here: reading bytes, and checking a file against its own control totals. What does not: accounts, matching,
//! the database. A file is understood whole or refused whole.
//!
//! Every amount has the sign of the utility's own account: money in is positive, money out negative, whatever the kind.

pub mod ach;
pub mod bai2;
pub mod camt;
pub mod csv;
mod keys;
mod reasons;
mod text;
mod totals;

use std::fmt;

use chrono::NaiveDate;
use serde::Serialize;

use crate::domain::money::Money;

pub use csv::CsvMapping;
pub use totals::{CurrencyTotals, FileTotals, StatementTotals, Totals};

/// A file may not be larger, in bytes.
pub const LARGEST_FILE_BYTES: usize = 32 * 1024 * 1024;
/// A file may not hold more entries.
pub const MOST_ENTRIES: usize = 200_000;
/// A file may not hold more statements.
pub const MOST_STATEMENTS: usize = 10_000;
/// No single movement is larger, in cents: a hundred thousand million. Together with [`MOST_ENTRIES`] no sum can overflow.
pub const LARGEST_AMOUNT_CENTS: i64 = 10_000_000_000_000;
/// A text or reference may not be longer, in bytes.
pub const LONGEST_TEXT_BYTES: usize = 10_000;

/// A format that banks use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BankFormat {
    /// BAI2, cash management balance reporting.
    Bai2,
    /// ISO 20022 camt.053, the statement of a day.
    Camt053,
    /// ISO 20022 camt.054, a notification of single credits and debits.
    Camt054,
    /// NACHA, the American clearing house's returns and entries.
    Ach,
    /// Columns named by a mapping.
    Csv,
}

impl BankFormat {
    /// The name that a person reads.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bai2 => "BAI2",
            Self::Camt053 => "ISO 20022 camt.053",
            Self::Camt054 => "ISO 20022 camt.054",
            Self::Ach => "NACHA (ACH)",
            Self::Csv => "CSV",
        }
    }
}

/// Which reader is to read a file.
#[derive(Debug, Clone, Copy)]
pub enum FormatChoice<'a> {
    /// The one whose opening the file has; CSV is never guessed.
    Detect,
    /// BAI2.
    Bai2,
    /// camt.053 or camt.054, as the file's namespace says.
    Camt,
    /// NACHA.
    Ach,
    /// CSV with these columns.
    Csv(&'a CsvMapping),
}

/// Reads a file whole, and checks it against its own control totals.
///
/// # Errors
/// [`BankFileError`] with place, field and fault when the file is too large, is not of the format, is incomplete, or
/// contradicts its own totals. Nothing of it is used then.
pub fn read(bytes: &[u8], choice: FormatChoice<'_>) -> Result<BankFile, BankFileError> {
    if bytes.len() > LARGEST_FILE_BYTES {
        let fault = format!("it has {} bytes; at most {LARGEST_FILE_BYTES} are read", bytes.len());
        return Err(BankFileError::new("file", "size", fault));
    }
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(empty());
    }
    match choice {
        FormatChoice::Detect => match detect(bytes)? {
            BankFormat::Bai2 => bai2::read(bytes),
            BankFormat::Camt053 | BankFormat::Camt054 => camt::read(bytes),
            BankFormat::Ach => ach::read(bytes),
            BankFormat::Csv => Err(unknown_format()),
        },
        FormatChoice::Bai2 => bai2::read(bytes),
        FormatChoice::Camt => camt::read(bytes),
        FormatChoice::Ach => ach::read(bytes),
        FormatChoice::Csv(mapping) => csv::read(bytes, mapping),
    }
}

/// The format that a file's opening shows; never CSV, which says nothing of its columns.
///
/// # Errors
/// [`BankFileError`] when the opening is of none of the formats.
pub fn detect(bytes: &[u8]) -> Result<BankFormat, BankFileError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(empty());
    }
    // An opening is enough: declarations and comments before an XML document's root are short.
    let opening = text::opening(bytes.get(..8192).unwrap_or(bytes));
    let start = opening.trim_start();
    if start.starts_with('<') {
        return camt::format_of_opening(start);
    }
    if start.starts_with("01,") {
        return Ok(BankFormat::Bai2);
    }
    if start.starts_with("101") && start.chars().skip(34).take(3).eq("094".chars()) {
        return Ok(BankFormat::Ach);
    }
    Err(unknown_format())
}

/// Place and field of a fault of the file as a whole: people are not told them, the file's name says enough.
const WHOLE: (&str, &str) = ("file", "content");

fn empty() -> BankFileError {
    BankFileError::new(WHOLE.0, WHOLE.1, "it is empty: expected a file of the bank's, in BAI2, ISO 20022 camt.053 or camt.054, NACHA or CSV")
}

fn unknown_format() -> BankFileError {
    let fault = "not recognised; expected BAI2 (a first line that begins with 01,), ISO 20022 camt.053 or camt.054 (an XML document), \
                 NACHA (a first line that begins with 101, in records of 94 characters), or CSV with the name of its column mapping";
    BankFileError::new("line 1", "format", fault)
}

/// A file from a bank, understood and checked against its own control totals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BankFile {
    /// Which format it had.
    pub format: BankFormat,
    /// Its statements, in the order of the file.
    pub statements: Vec<Statement>,
    /// The totals that the file gives of itself, each of which was compared with what was read.
    pub controls: Vec<ControlTotal>,
}

/// A total that a file gives of itself and that what was read agrees with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ControlTotal {
    /// Where in the file.
    pub place: String,
    /// The field's name in its format.
    pub name: String,
    /// What it says.
    #[serde(flatten)]
    pub value: ControlValue,
}

/// What a control total says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ControlValue {
    /// A number of records or entries, or a hash.
    Count(u64),
    /// Money.
    Amount(Money),
}

impl ControlTotal {
    fn count(place: &str, name: &str, count: u64) -> Self {
        Self { place: place.to_owned(), name: name.to_owned(), value: ControlValue::Count(count) }
    }

    /// An amount that was compared; sums beyond what money can hold are not told.
    fn amount(place: &str, name: &str, cents: i128) -> Option<Self> {
        let amount = Money::from_cents(i64::try_from(cents).ok()?);
        Some(Self { place: place.to_owned(), name: name.to_owned(), value: ControlValue::Amount(amount) })
    }
}

/// One bank account's part of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Statement {
    /// The utility's account with the bank. In a file of ACH returns, which names no account, the company identification
    /// under which the utility collects.
    pub bank_account: String,
    /// The bank's own name of this statement.
    pub statement_ref: Option<String>,
    /// ISO 4217 code; none where the format leaves it to the agreement with the bank. Always one with two decimals.
    pub currency: Option<String>,
    /// Balance before the first entry, where the file tells.
    pub opening: Option<Money>,
    /// Balance after the last entry, where the file tells.
    pub closing: Option<Money>,
    /// The bank says that this replaces what it sent before for the same day: an entry that was known and is missing here,
    /// or is here with another amount, is a case for a person.
    pub corrects: bool,
    /// What moved.
    pub entries: Vec<BankEntry>,
}

/// One movement on a bank account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BankEntry {
    /// Where in the file: `line 12`, `Stmt 1, Ntry 3, TxDtls 2`.
    pub place: String,
    /// What moved: money in is positive, money out negative.
    pub amount: Money,
    /// The day on which the bank booked it.
    pub booked_on: NaiveDate,
    /// The day from which it counts, where the file tells.
    pub value_on: Option<NaiveDate>,
    /// What it is.
    pub kind: BankEntryKind,
    /// The format's own code of the kind: a BAI2 type code, a bank transaction code, a class of entry.
    pub code: String,
    /// The bank's own reference, unique among its entries where there is one.
    pub bank_ref: Option<String>,
    /// The bank's reference of the whole booking of which this entry may be one part. A camt.053 and a camt.054 that tell of
    /// the same booking have it in common, also when only one of them lists the parts: for one bank account, entries with one
    /// `booking_ref` and one `booked_on` that are already known and add up to the same amount are the same money.
    pub booking_ref: Option<String>,
    /// References that the payer or we gave, the most telling first: end-to-end, remittance, customer reference.
    pub references: Vec<String>,
    /// Who paid, or was paid.
    pub party_name: Option<String>,
    /// The account of who paid, or was paid.
    pub party_account: Option<String>,
    /// Everything else that the file says of it, for a person to read.
    pub text: String,
}

/// What a movement is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum BankEntryKind {
    /// Money that came in.
    Credit,
    /// Money that went out for another cause than a return.
    Debit,
    /// Money that goes back. With a negative amount a payment or collection that had come in (or was to come in) is taken
    /// back; with a positive one money that we had paid out, a refund, comes back to us. Zero: a test entry was returned.
    Return {
        /// The reason's code: R01, AC04, MD06…
        reason_code: String,
        /// What the code means, in words, when the standard says.
        reason: String,
        /// The reference of what is returned: a trace number, an end-to-end id.
        original_ref: Option<String>,
    },
    /// A return that the other bank refused (ACH, R61 to R70). The amount's sign is that of the entry for whom the file is
    /// made out to, like every ACH entry: see [`ach`] for whose return that is.
    DishonoredReturn {
        /// The reason's code: R68…
        reason_code: String,
        /// What the code means, in words.
        reason: String,
        /// The reference of the entry that was first returned: where it is one that we collected and whose return we know,
        /// this is the bank's notice that our side refused that return.
        original_ref: Option<String>,
        /// The reference of the return that is refused.
        return_ref: Option<String>,
    },
    /// Seen by the bank, not booked yet: told, never posted.
    Pending,
    /// Something that the bank tells and that moves no money: a notification of change, a test entry, a message.
    /// The amount is zero.
    Notice {
        /// The notice's code: C01, 890…
        notice_code: String,
        /// What the code means, in words.
        meaning: String,
        /// The reference of what it is about.
        original_ref: Option<String>,
    },
}

/// Why a file is refused; nothing of it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BankFileError {
    /// Where: `line 12`, `Stmt 1, Ntry 3`.
    pub place: String,
    /// Which field.
    pub field: String,
    /// What is wrong and what was expected.
    pub fault: String,
}

impl BankFileError {
    fn new(place: impl Into<String>, field: impl Into<String>, fault: impl Into<String>) -> Self {
        Self { place: place.into(), field: field.into(), fault: fault.into() }
    }
}

impl fmt::Display for BankFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if (self.place.as_str(), self.field.as_str()) == WHOLE {
            return f.write_str(&self.fault);
        }
        write!(f, "{}: {}: {}", self.place, self.field, self.fault)
    }
}

impl std::error::Error for BankFileError {}
