//! Section `[refunds]`: money given back, by which way, how much, and which money is safe to give back.
//!
//! A payment can be taken back by the payer's bank for some time: while it can, it is not given back by another way, or the
//! utility would pay twice. What one payment brought may go back to the same tender at once. Built in, where no policy is
//! imported: card payments count as safe after 120 days, direct debits after 60, cheques after 10, transfers that the
//! customer sent and cash at once; a second person above 250.00.

use chrono::{Days, NaiveDate};
use serde::Deserialize;

use super::{amount, cited, within};
use crate::domain::money::Money;

/// Money given back.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refunds {
    /// Which law, tariff rule or resolution this follows.
    pub citation: String,
    /// A refund above this needs a second person.
    #[serde(deserialize_with = "amount::money")]
    pub approval_above: Money,
    /// No refund is larger, whoever agrees.
    #[serde(deserialize_with = "amount::money")]
    pub largest: Money,
    /// No credit below this is paid out by bank or cheque; it stays for the next bill.
    #[serde(deserialize_with = "amount::money")]
    pub smallest_payout: Money,
    /// How long money of each tender can be taken back.
    pub return_days: ReturnWindows,
    /// In which form payouts go to the bank.
    #[serde(default)]
    pub payout_format: PayoutFormat,
    /// The first cheque's number.
    #[serde(default = "first_cheque")]
    pub first_cheque: u32,
}

fn first_cheque() -> u32 {
    1001
}

/// For how many days after it was booked money of a tender can be taken back; from 0, of cheques from 1, to 730.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReturnWindows {
    /// Cards: how long a holder may dispute.
    pub card: u32,
    /// Direct debits that we drew, such as ACH.
    pub direct_debit: u32,
    /// Cheques.
    pub cheque: u32,
    /// Transfers that the customer sent.
    pub transfer: u32,
    /// Cash.
    pub cash: u32,
}

/// The form of the file with payouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PayoutFormat {
    /// NACHA file with credits (PPD), for banks in the United States.
    #[default]
    Ach,
    /// ISO 20022 credit transfer initiation, pain.001.001.09.
    Pain001,
}

impl Default for Refunds {
    fn default() -> Self {
        Self {
            citation: "Built-in careful rule: no policy is imported".to_owned(),
            approval_above: Money::from_cents(25_000),
            largest: Money::from_cents(10_000_000),
            smallest_payout: Money::from_cents(1),
            return_days: ReturnWindows { card: 120, direct_debit: 60, cheque: 10, transfer: 0, cash: 0 },
            payout_format: PayoutFormat::Ach,
            first_cheque: first_cheque(),
        }
    }
}

impl Refunds {
    pub(super) fn check(&self) -> Result<(), String> {
        cited(&self.citation)?;
        let windows = self.return_days;
        for (key, days) in [
            ("return_days.card", windows.card),
            ("return_days.direct_debit", windows.direct_debit),
            ("return_days.cheque", windows.cheque),
            ("return_days.transfer", windows.transfer),
            ("return_days.cash", windows.cash),
        ] {
            // A cheque bounces days later: it is never safe at once.
            let least = u32::from(key == "return_days.cheque");
            within(key, days, least..=730)?;
        }
        if self.largest < self.approval_above {
            return Err(format!("largest: {} found; expected at least approval_above, {}", self.largest, self.approval_above));
        }
        if self.smallest_payout > self.largest {
            return Err(format!("smallest_payout: {} found; expected no more than largest, {}", self.smallest_payout, self.largest));
        }
        within("first_cheque", self.first_cheque, 1..=99_999_999)
    }
}

impl ReturnWindows {
    /// The first day on which a payment counts as safe. `drawn` tells a direct debit from a transfer that the customer sent.
    /// An unknown tender is never safe before the longest of the windows.
    #[must_use]
    pub fn safe_from(&self, tender: &str, drawn: bool, booked_on: NaiveDate) -> NaiveDate {
        let days = match (tender, drawn) {
            ("card", _) => self.card,
            ("transfer", true) => self.direct_debit,
            ("transfer", false) => self.transfer,
            ("cheque", _) => self.cheque,
            ("cash", _) => self.cash,
            _ => self.card.max(self.direct_debit).max(self.cheque).max(self.transfer).max(self.cash),
        };
        booked_on.checked_add_days(Days::new(days.into())).unwrap_or(NaiveDate::MAX)
    }
}
