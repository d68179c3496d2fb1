//! What a ledger entry is: an amount that moves one account's balance, with general-ledger postings that sum to zero.
//!
//! A positive amount is owed by the customer (a charge), a negative one to the customer's good (a payment, a credit).

use chrono::NaiveDate;
use serde::Serialize;
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

use super::ids::AccountId;
use super::money::Money;

/// The general-ledger account that customers' balances add up to.
pub const RECEIVABLE: &str = "receivable";
/// The general-ledger account that bills are earned in.
pub const REVENUE: &str = "revenue:service";

/// The general-ledger account of taxes that are collected for others.
pub const TAXES: &str = "payable:taxes";

/// No single entry by hand or by file is larger, in cents: a trillion. Sums of entries stay far from what fits.
pub const LARGEST_AMOUNT_CENTS: i64 = 100_000_000_000_000;

/// Checks that an amount is one that a person or a file may enter.
///
/// # Errors
/// What is wrong, for the field `amount`.
pub fn check_amount(amount: Money) -> Result<(), String> {
    let largest = Money::from_cents(LARGEST_AMOUNT_CENTS);
    if amount > largest || amount < -largest { Err(format!("amount: {amount} is too large: expected at most {largest}")) } else { Ok(()) }
}

/// What kind of business moved the balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// A bill's charges.
    Bill,
    /// A bill taken back.
    BillReversal,
    /// Money received.
    Payment,
    /// Money that was received and went back.
    PaymentReversal,
    /// A credit or debit with a reason code.
    Adjustment,
}

impl EntryKind {
    /// The name that the table uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bill => "bill",
            Self::BillReversal => "bill_reversal",
            Self::Payment => "payment",
            Self::PaymentReversal => "payment_reversal",
            Self::Adjustment => "adjustment",
        }
    }
}

/// How a customer paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tender {
    /// Notes and coins.
    Cash,
    /// A cheque.
    Cheque,
    /// A payment card.
    Card,
    /// A bank transfer.
    Transfer,
}

impl Tender {
    /// Every form of money, in the order that help texts name them.
    pub const ALL: [Self; 4] = [Self::Cash, Self::Cheque, Self::Card, Self::Transfer];

    /// The name that tables and files use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cash => "cash",
            Self::Cheque => "cheque",
            Self::Card => "card",
            Self::Transfer => "transfer",
        }
    }

    /// The general-ledger account where such money waits to be banked or settled.
    #[must_use]
    pub fn clearing_account(self) -> &'static str {
        match self {
            Self::Cash => "clearing:cash",
            Self::Cheque => "clearing:cheque",
            Self::Card => "clearing:card",
            Self::Transfer => "clearing:transfer",
        }
    }
}

impl fmt::Display for Tender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Tender {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|tender| tender.as_str() == text)
            .ok_or_else(|| format!("'{text}' is not a tender: expected cash, cheque, card or transfer"))
    }
}

/// The general-ledger side of an entry: which account it moves, and by how much (debits positive).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    /// General-ledger account.
    pub gl_code: String,
    /// Debit (positive) or credit (negative).
    pub amount: Money,
}

/// An entry that is not yet in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whose balance it moves.
    pub account_id: AccountId,
    /// What kind of business it is.
    pub kind: EntryKind,
    /// What it stands for: `run:12`, `payment:cash:R-17`, …
    pub source: String,
    /// By how much it moves the balance.
    pub amount: Money,
    /// The value date.
    pub effective_on: NaiveDate,
    /// The general-ledger side, summing to zero.
    pub postings: Vec<Posting>,
}

impl Entry {
    /// An entry between the receivable and one other general-ledger account.
    #[must_use]
    pub fn against(account_id: AccountId, kind: EntryKind, source: String, amount: Money, effective_on: NaiveDate, gl_code: &str) -> Self {
        let postings = vec![Posting { gl_code: RECEIVABLE.to_owned(), amount }, Posting { gl_code: gl_code.to_owned(), amount: -amount }];
        Self { account_id, kind, source, amount, effective_on, postings }
    }

    /// A bill's charges, or the same taken back: what is earned and, apart from it, what is collected for others.
    #[must_use]
    pub fn charge(account_id: AccountId, kind: EntryKind, source: String, amount: Money, tax: Money, effective_on: NaiveDate) -> Self {
        let mut entry = Self::against(account_id, kind, source, amount, effective_on, REVENUE);
        if tax != Money::default() {
            if let Some(revenue) = entry.postings.last_mut() {
                revenue.amount += tax;
            }
            entry.postings.push(Posting { gl_code: TAXES.to_owned(), amount: -tax });
        }
        entry
    }

    /// What makes a wrong charge right without another bill: the difference, and the part of it that is tax. What is collected
    /// for others is put right where it was collected, the rest goes to `gl_code`.
    #[must_use]
    pub fn correction(account_id: AccountId, source: String, difference: Charged, effective_on: NaiveDate, gl_code: &str) -> Self {
        let Charged { total, tax } = difference;
        let mut entry = Self::against(account_id, EntryKind::Adjustment, source, total, effective_on, gl_code);
        if tax != Money::default() {
            if let Some(other) = entry.postings.last_mut() {
                other.amount += tax;
            }
            entry.postings.push(Posting { gl_code: TAXES.to_owned(), amount: -tax });
        }
        entry
    }

    /// Checks P3 before the database does, so that the error names the entry.
    ///
    /// # Errors
    /// [`LedgerError::Unbalanced`] when the postings do not sum to zero or do not move the receivable by the amount.
    pub fn balanced(self) -> Result<Self, LedgerError> {
        let sum: i128 = self.postings.iter().map(|posting| i128::from(posting.amount.cents())).sum();
        let receivable: i128 =
            self.postings.iter().filter(|posting| posting.gl_code == RECEIVABLE).map(|posting| i128::from(posting.amount.cents())).sum();
        if sum == 0 && receivable == i128::from(self.amount.cents()) { Ok(self) } else { Err(LedgerError::Unbalanced(self.source)) }
    }
}

/// A charge, with the part of it that is tax.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Charged {
    /// The whole charge.
    pub total: Money,
    /// The part of it that is tax.
    pub tax: Money,
}

impl Charged {
    /// What makes this charge the one that it should have been (P8): the difference of two charges, each priced whole, never a
    /// number of units at some rate.
    ///
    /// # Errors
    /// [`LedgerError::Overflow`] when no amount can hold it.
    pub fn difference_to(self, should: Self) -> Result<Self, LedgerError> {
        let minus = |should: Money, billed: Money| should.checked_add(-billed).ok_or(LedgerError::Overflow);
        Ok(Self { total: minus(should.total, self.total)?, tax: minus(should.tax, self.tax)? })
    }
}

/// Where an account's ledger stands: its last row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// The last row's sequence number, 0 before the first.
    pub seq: i64,
    /// The balance after it.
    pub balance: Money,
}

impl Position {
    /// The position after one more entry of `amount`.
    ///
    /// # Errors
    /// [`LedgerError::Overflow`] when the balance cannot hold it.
    pub fn after(self, amount: Money) -> Result<Self, LedgerError> {
        let balance = self.balance.checked_add(amount).ok_or(LedgerError::Overflow)?;
        Ok(Self { seq: self.seq + 1, balance })
    }
}

/// Why an entry is not posted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LedgerError {
    /// P3 would be broken.
    #[error("the postings of {0} do not sum to zero or do not move the receivable by its amount")]
    Unbalanced(String),
    /// The balance does not fit.
    #[error("the balance would be larger than can be kept")]
    Overflow,
}

/// What happened on an account between two bills, as a bill tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SinceLastBill {
    /// Balance after the last bill.
    pub previous_balance: Money,
    /// Payments less returned payments (a sum of payments is negative).
    pub payments: Money,
    /// Everything else: adjustments, bills taken back.
    pub adjustments: Money,
}

impl SinceLastBill {
    /// Takes one more transaction into account.
    pub fn add(&mut self, kind: &str, amount: Money) {
        if kind == EntryKind::Payment.as_str() || kind == EntryKind::PaymentReversal.as_str() {
            self.payments += amount;
        } else {
            self.adjustments += amount;
        }
    }
}
