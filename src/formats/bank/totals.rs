//! What a bank file adds up to: per statement, and per currency over the whole file.

use serde::Serialize;

use super::{BankEntryKind, BankFile, BankFormat, ControlTotal, Statement};
use crate::domain::money::Money;

/// What a file adds up to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileTotals {
    /// The file's format.
    pub format: BankFormat,
    /// Each statement's, in the order of the file.
    pub statements: Vec<StatementTotals>,
    /// The whole file's, one row for each currency: money of two currencies is never added up.
    pub currencies: Vec<CurrencyTotals>,
    /// The totals that the file gives of itself, in its own words; what was read agrees with them.
    pub controls: Vec<ControlTotal>,
}

/// What one statement adds up to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatementTotals {
    /// The utility's account with the bank.
    pub bank_account: String,
    /// The bank's own name of the statement.
    pub statement_ref: Option<String>,
    /// Its currency, where the file tells.
    pub currency: Option<String>,
    /// Balance before the first entry, where the file tells.
    pub opening: Option<Money>,
    /// Balance after the last entry, where the file tells.
    pub closing: Option<Money>,
    /// The sums.
    #[serde(flatten)]
    pub totals: Totals,
}

/// What a file's statements in one currency add up to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CurrencyTotals {
    /// The currency; none for statements that do not tell.
    pub currency: Option<String>,
    /// The sums.
    #[serde(flatten)]
    pub totals: Totals,
}

/// Counts and sums of entries. Credits and debits are the booked money, returns included; pending entries and notices are
/// counted, but their money is in no sum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// All entries.
    pub entries: u64,
    /// Entries that brought money in.
    pub credits: u64,
    /// What they brought in.
    pub credit_sum: Money,
    /// Entries that took money out.
    pub debits: u64,
    /// What they took out, as a positive amount.
    pub debit_sum: Money,
    /// Returns, of either direction; they are also among the credits and debits.
    pub returns: u64,
    /// The returns' net amount.
    pub return_sum: Money,
    /// Returns that the other bank refused; they are also among the credits and debits.
    pub dishonored: u64,
    /// The dishonored returns' net amount.
    pub dishonored_sum: Money,
    /// Entries that are not booked yet.
    pub pending: u64,
    /// What the bank tells without moving money.
    pub notices: u64,
}

impl Totals {
    /// What the account changed by.
    #[must_use]
    pub fn net(&self) -> Money {
        self.credit_sum - self.debit_sum
    }

    fn of(statement: &Statement) -> Self {
        let mut totals = Self::default();
        for entry in &statement.entries {
            totals.entries += 1;
            match entry.kind {
                BankEntryKind::Pending => {
                    totals.pending += 1;
                    continue;
                }
                BankEntryKind::Notice { .. } => {
                    totals.notices += 1;
                    continue;
                }
                BankEntryKind::Return { .. } => {
                    totals.returns += 1;
                    totals.return_sum += entry.amount;
                }
                BankEntryKind::DishonoredReturn { .. } => {
                    totals.dishonored += 1;
                    totals.dishonored_sum += entry.amount;
                }
                BankEntryKind::Credit | BankEntryKind::Debit => {}
            }
            if entry.amount.is_negative() {
                totals.debits += 1;
                totals.debit_sum -= entry.amount;
            } else if entry.amount.is_positive() {
                totals.credits += 1;
                totals.credit_sum += entry.amount;
            }
        }
        totals
    }

    fn add(&mut self, other: &Self) {
        self.entries += other.entries;
        self.credits += other.credits;
        self.credit_sum += other.credit_sum;
        self.debits += other.debits;
        self.debit_sum += other.debit_sum;
        self.returns += other.returns;
        self.return_sum += other.return_sum;
        self.dishonored += other.dishonored;
        self.dishonored_sum += other.dishonored_sum;
        self.pending += other.pending;
        self.notices += other.notices;
    }
}

impl Statement {
    /// What the statement adds up to.
    #[must_use]
    pub fn totals(&self) -> StatementTotals {
        StatementTotals {
            bank_account: self.bank_account.clone(),
            statement_ref: self.statement_ref.clone(),
            currency: self.currency.clone(),
            opening: self.opening,
            closing: self.closing,
            totals: Totals::of(self),
        }
    }
}

impl BankFile {
    /// What the file adds up to. The readers' bounds on amounts and entries keep every sum within range.
    #[must_use]
    pub fn totals(&self) -> FileTotals {
        let statements: Vec<StatementTotals> = self.statements.iter().map(Statement::totals).collect();
        let mut currencies: Vec<CurrencyTotals> = Vec::new();
        for statement in &statements {
            if let Some(row) = currencies.iter_mut().find(|row| row.currency == statement.currency) {
                row.totals.add(&statement.totals);
            } else {
                currencies.push(CurrencyTotals { currency: statement.currency.clone(), totals: statement.totals });
            }
        }
        FileTotals { format: self.format, statements, currencies, controls: self.controls.clone() }
    }
}
