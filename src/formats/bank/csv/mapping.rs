//! The mapping: which column holds what, and how the bank writes dates and amounts.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::super::BankFileError;
use super::super::text::{currency, latin1, line_of, marked_utf16, shown};
use super::MOST_COLUMNS;
use super::cells::DateFormat;

/// How to read one bank's CSV. It is saved by name and given back as it was saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CsvMapping {
    /// What divides the columns: `,`, `;`, `|` or a tab.
    #[serde(default = "comma")]
    pub delimiter: char,
    /// Whether the first row has the columns' names.
    #[serde(default = "yes")]
    pub header: bool,
    /// Lines before the header, or before the first row.
    #[serde(default)]
    pub skip_lines: u32,
    /// How letters are written.
    #[serde(default)]
    pub encoding: CsvEncoding,
    /// How dates are written, of `YYYY` or `YY`, `MM` and `DD`, or `M` and `D` for numbers without leading zeros:
    /// `YYYY-MM-DD`, `DD.MM.YYYY`, `M/D/YY`.
    pub date_format: String,
    /// What stands before the cents.
    #[serde(default)]
    pub decimal: DecimalMark,
    /// Whether the other sign divides thousands. Where nothing is said it may, but not in an amount that could also be meant
    /// with it before the decimals, like `1.250` of a bank with a decimal comma.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thousands: Option<bool>,
    /// Where amount and direction stand.
    pub amount: AmountColumns,
    /// The day of booking.
    pub date: Column,
    /// The day from which it counts.
    #[serde(default)]
    pub value_date: Option<Column>,
    /// References of the payer or of the utility, the most telling first.
    #[serde(default)]
    pub reference: Vec<Column>,
    /// The other side's name.
    #[serde(default)]
    pub name: Option<Column>,
    /// The other side's account.
    #[serde(default)]
    pub account: Option<Column>,
    /// Free text, any number of columns.
    #[serde(default)]
    pub text: Vec<Column>,
    /// The bank's own reference, which must be unique among its entries of a day.
    #[serde(default)]
    pub bank_reference: Option<Column>,
    /// The bank's word for the kind of movement.
    #[serde(default)]
    pub code: Option<Column>,
    /// The utility's account with the bank.
    pub bank_account: BankAccount,
    /// The file's currency, as an ISO 4217 code.
    #[serde(default)]
    pub currency: Option<String>,
    /// A column with each row's currency, which must be the file's.
    #[serde(default)]
    pub currency_column: Option<Column>,
    /// The row with totals at the end, which must then be there.
    #[serde(default)]
    pub footer: Option<CsvFooter>,
}

/// A column, by its number from 1 or by its name in the header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Column {
    /// Counted from 1.
    Number(usize),
    /// As the header has it; letter case and outer blanks do not matter.
    Name(String),
}

/// How letters are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CsvEncoding {
    /// UTF-8, with or without a mark at the beginning.
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    /// ISO 8859-1.
    #[serde(rename = "latin-1")]
    Latin1,
}

/// What stands before the cents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DecimalMark {
    /// `1,234.56`
    #[default]
    Point,
    /// `1.234,56`
    Comma,
}

/// Where amount and direction stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "sign", rename_all = "lowercase", deny_unknown_fields)]
pub enum AmountColumns {
    /// One column, money out with a minus sign or in parentheses.
    Signed {
        /// The column.
        amount: Column,
        /// Whether it is money in that has the minus sign.
        #[serde(default)]
        inverted: bool,
    },
    /// One column for money in, one for money out; in every row one of them is empty or zero.
    Columns {
        /// Money in.
        credit: Column,
        /// Money out, with or without a minus sign.
        debit: Column,
    },
    /// One column without sign, and one whose word says the direction.
    Indicator {
        /// The amount.
        amount: Column,
        /// The word's column.
        indicator: Column,
        /// The words for money in, like `CR`.
        credit: Vec<String>,
        /// The words for money out, like `DR`.
        debit: Vec<String>,
    },
}

/// The utility's account with the bank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BankAccount {
    /// The same for the whole file.
    Fixed(String),
    /// In a column.
    Column(Column),
}

/// The row with totals at a file's end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CsvFooter {
    /// What the row's first column begins with, like `Total`.
    pub marker: String,
    /// The column with the number of rows, counted from 1.
    #[serde(default)]
    pub count: Option<usize>,
    /// The column with the net amount, with the sign that the rows' amounts have.
    #[serde(default)]
    pub total: Option<usize>,
    /// The column with the sum of money in.
    #[serde(default)]
    pub credits: Option<usize>,
    /// The column with the sum of money out, with or without a minus sign.
    #[serde(default)]
    pub debits: Option<usize>,
}

const fn comma() -> char {
    ','
}

const fn yes() -> bool {
    true
}

impl CsvEncoding {
    /// A file whose mark says UTF-16 is read as that, whatever the mapping says: spreadsheets save "Unicode text" so.
    pub(super) fn decode(self, bytes: &[u8]) -> Result<Cow<'_, str>, BankFileError> {
        if let Some(text) = marked_utf16(bytes) {
            return Ok(Cow::Owned(text));
        }
        if self == Self::Latin1 {
            return Ok(Cow::Owned(latin1(bytes)));
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|error| {
            let line = line_of(bytes, error.valid_up_to());
            BankFileError::new(format!("line {line}"), "encoding", "it is not UTF-8; expected UTF-8, or a mapping with the encoding latin-1")
        })
    }
}

impl CsvMapping {
    /// What whoever saves it should know; none when there is nothing.
    #[must_use]
    pub fn warning(&self) -> Option<&'static str> {
        self.bank_reference.is_none().then_some(
            "without bank_reference, files that overlap are told apart only by what they say of a movement: day, amount, reference \
             and payer; expected bank_reference = \"COLUMN\" where the bank gives a reference of its own",
        )
    }

    /// Whether the mapping can be used at all: to be asked before it is saved.
    ///
    /// # Errors
    /// [`BankFileError`] with the place `mapping` and the setting that cannot be used.
    pub fn check(&self) -> Result<(), BankFileError> {
        let wrong = |field: &str, fault: String| Err(BankFileError::new("mapping", field, fault));
        if !matches!(self.delimiter, ',' | ';' | '|' | '\t') {
            return wrong("delimiter", format!("{} found; expected a comma, a semicolon, a bar or a tab", shown(&self.delimiter.to_string())));
        }
        if self.skip_lines > 100 {
            return wrong("skip_lines", format!("{} found; at most 100 lines are skipped", self.skip_lines));
        }
        if let Err(fault) = DateFormat::of(&self.date_format) {
            return wrong("date_format", fault);
        }
        if let Some(code) = &self.currency {
            currency("mapping", "currency", code)?;
        }
        if matches!(&self.bank_account, BankAccount::Fixed(account) if account.trim().is_empty()) {
            return wrong("bank_account", "it is empty".to_owned());
        }
        if self.currency_column.is_some() && self.currency.is_none() {
            return wrong("currency", "it is missing: the rows' currency column is compared with it".to_owned());
        }
        for (field, column) in self.columns() {
            match column {
                Column::Number(number) if (1..=MOST_COLUMNS).contains(number) => {}
                Column::Number(number) => return wrong(field, format!("column {number} found; expected a number from 1 to {MOST_COLUMNS}")),
                Column::Name(name) if !self.header => {
                    return wrong(field, format!("column {} found; expected a number, because the file has no header", shown(name)));
                }
                Column::Name(name) if name.trim().is_empty() => return wrong(field, "the column's name is empty".to_owned()),
                Column::Name(_) => {}
            }
        }
        self.check_words()
    }

    fn check_words(&self) -> Result<(), BankFileError> {
        let wrong = |field: &str, fault: &str| Err(BankFileError::new("mapping", field, fault));
        if let AmountColumns::Indicator { credit, debit, .. } = &self.amount {
            let fold = |word: &String| word.trim().to_lowercase();
            if credit.is_empty() || debit.is_empty() {
                return wrong("amount", "the indicator needs a word for money in and one for money out");
            }
            if credit.iter().any(|word| debit.iter().any(|other| fold(word) == fold(other))) {
                return wrong("amount", "a word of the indicator stands for both money in and money out");
            }
        }
        let Some(footer) = &self.footer else {
            return Ok(());
        };
        if footer.marker.trim().is_empty() {
            return wrong("footer", "its marker is empty");
        }
        let numbers = [footer.count, footer.total, footer.credits, footer.debits];
        if numbers.iter().flatten().any(|number| !(1..=MOST_COLUMNS).contains(number)) {
            return wrong("footer", "a column's number is not from 1 to 256");
        }
        Ok(())
    }

    fn columns(&self) -> Vec<(&'static str, &Column)> {
        let amounts: Vec<(&'static str, &Column)> = match &self.amount {
            AmountColumns::Signed { amount, .. } => vec![("amount", amount)],
            AmountColumns::Columns { credit, debit } => vec![("credit", credit), ("debit", debit)],
            AmountColumns::Indicator { amount, indicator, .. } => vec![("amount", amount), ("indicator", indicator)],
        };
        let account = match &self.bank_account {
            BankAccount::Column(column) => Some(("bank account", column)),
            BankAccount::Fixed(_) => None,
        };
        let optional = [
            ("value date", &self.value_date),
            ("name", &self.name),
            ("account", &self.account),
            ("bank reference", &self.bank_reference),
            ("code", &self.code),
            ("currency", &self.currency_column),
        ];
        let optional = optional.into_iter().filter_map(|(name, column)| column.as_ref().map(|column| (name, column)));
        let lists = self.reference.iter().map(|column| ("reference", column)).chain(self.text.iter().map(|column| ("text", column)));
        std::iter::once(("date", &self.date)).chain(amounts).chain(account).chain(optional).chain(lists).collect()
    }
}
