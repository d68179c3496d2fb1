//! What the ledger's rows of corrections and of refunds stand for: which payment, return or refund each is about.

use chrono::NaiveDate;
use serde::Serialize;

use super::ActionError;
use super::payments::corrected_seq;
use crate::db::DbConnection;
use crate::db::payments::{self, PaymentRow};
use crate::db::provider_payments::{self, RefundRow};
use crate::domain::ids::AccountId;

/// What a correction takes out of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Corrected {
    /// A payment that was not so, as its provider said later.
    Payment,
    /// The return of a payment that stands after all.
    Return,
    /// Money that was thought to have gone back, and did not.
    Refund,
}

/// A correction with what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    /// What it takes out.
    pub what: Corrected,
    /// The position of the payment; of the refund, for one of a refund.
    pub seq: i64,
    /// The day of the payment, or of the refund.
    pub on: NaiveDate,
    /// Its reference.
    pub reference: Option<String>,
}

/// What rows of an account's ledger are about, loaded together.
pub(super) struct Corrections {
    payments: Vec<PaymentRow>,
    refunds: Vec<RefundRow>,
}

impl Corrections {
    /// Loads what these rows are about: positions with their sources.
    pub(super) fn load<'a>(conn: &mut DbConnection, account: AccountId, rows: impl Iterator<Item = (i64, &'a str)>) -> Result<Self, ActionError> {
        let (mut corrected, mut refunds) = (Vec::new(), Vec::new());
        for (seq, source) in rows {
            if let Some(of) = corrected_seq(source) {
                corrected.push(of);
            } else if source.starts_with("refund:") {
                refunds.push(seq);
            }
        }
        refunds.extend(&corrected);
        let payments = if corrected.is_empty() { Vec::new() } else { payments::of_positions(conn, account, &corrected)? };
        let refunds = if refunds.is_empty() { Vec::new() } else { provider_payments::refunds_at(conn, account, &refunds)? };
        Ok(Self { payments, refunds })
    }

    /// What a correction is about, by its source.
    pub(super) fn correction(&self, source: &str) -> Option<Correction> {
        let seq = corrected_seq(source)?;
        let of = |row: &PaymentRow, what| Correction { what, seq: row.account_seq, on: row.effective_on, reference: row.provider_ref.clone() };
        let payment = self.payments.iter().find(|row| row.account_seq == seq).map(|row| of(row, Corrected::Payment));
        let returned = || self.payments.iter().find(|row| row.returned_seq == Some(seq)).map(|row| of(row, Corrected::Return));
        let refund = || {
            let row = self.refund(seq)?;
            Some(Correction { what: Corrected::Refund, seq, on: row.made_on, reference: row.provider_ref.clone() })
        };
        payment.or_else(returned).or_else(refund)
    }

    /// The refund that was posted at a position.
    pub(super) fn refund(&self, seq: i64) -> Option<&RefundRow> {
        self.refunds.iter().find(|row| row.account_seq == seq)
    }
}
