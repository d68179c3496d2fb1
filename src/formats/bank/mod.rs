//! What banks send: statements and returns, from any of their formats into one shape.
//!
//! What belongs here: reading bytes, and checking a file against its own control totals. What does not: accounts, matching,
//! the database. A file is understood whole or refused whole.

use std::fmt;

use chrono::NaiveDate;
use serde::Serialize;

use crate::domain::money::Money;

/// A format that banks use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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

/// A file from a bank, understood and checked against its own control totals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BankFile {
    /// Which format it had.
    pub format: BankFormat,
    /// Its statements, in the order of the file.
    pub statements: Vec<Statement>,
}

/// One bank account's part of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Statement {
    /// The utility's account with the bank.
    pub bank_account: String,
    /// The bank's own name of this statement.
    pub statement_ref: Option<String>,
    /// ISO 4217 code; none where the format leaves it to the agreement with the bank.
    pub currency: Option<String>,
    /// Balance before the first entry, where the file tells.
    pub opening: Option<Money>,
    /// Balance after the last entry, where the file tells.
    pub closing: Option<Money>,
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
    /// Money that had come in (or was to come in) and is taken back.
    Return {
        /// The reason's code: R01, AC04, MD06…
        reason_code: String,
        /// What the code means, in words, when the standard says.
        reason: String,
        /// The reference of what is returned: a trace number, an end-to-end id.
        original_ref: Option<String>,
    },
    /// A return that was refused by the other bank: the money stays with us after all.
    DishonoredReturn {
        /// The reason's code: R68…
        reason_code: String,
        /// What the code means, in words.
        reason: String,
        /// The reference of the return that is refused.
        original_ref: Option<String>,
    },
    /// Seen by the bank, not booked yet: told, never posted.
    Pending,
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

impl fmt::Display for BankFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.place, self.field, self.fault)
    }
}

impl std::error::Error for BankFileError {}
