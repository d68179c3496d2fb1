//! What the sandbox keeps: sessions, payments, refunds, disputes, movements of the balance, payouts, events.
//!
//! Amounts are whole cents.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How somebody pays, by the choice on the checkout page or by request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum With {
    /// A card: the money is certain at once.
    Card,
    /// A bank account: submitted first, certain or failed later.
    Bank,
    /// A card that is declined. Saved, it is declined at each draw.
    Declined,
}

impl With {
    pub(super) fn is_bank(self) -> bool {
        self == Self::Bank
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Line {
    pub name: String,
    pub unit_cents: i64,
    pub quantity: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum SessionStatus {
    Open,
    Complete,
    Expired,
}

/// A checkout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Session {
    pub id: String,
    pub created: i64,
    pub expires_at: i64,
    pub status: SessionStatus,
    /// Whether a way to pay is saved instead of something paid.
    pub setup: bool,
    pub lines: Vec<Line>,
    pub currency: String,
    pub client_reference_id: Option<String>,
    pub metadata: BTreeMap<String, String>,
    /// What the payment (or the set-up) bears.
    pub intent_metadata: BTreeMap<String, String>,
    pub description: Option<String>,
    pub customer: Option<String>,
    pub email: Option<String>,
    pub success_url: String,
    pub cancel_url: Option<String>,
    pub payment: Option<String>,
    pub setup_intent: Option<String>,
}

impl Session {
    /// The sum of the lines; those that do not add up were refused.
    pub fn total_cents(&self) -> i64 {
        self.lines.iter().map(|line| line.unit_cents.saturating_mul(line.quantity)).fold(0, i64::saturating_add)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum PaymentStatus {
    /// It waits for a way to pay; after a failure, for another one.
    Waiting,
    Processing,
    Succeeded,
    Canceled,
}

/// A payment: the intent and its latest charge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Payment {
    pub id: String,
    pub created: i64,
    pub status: PaymentStatus,
    pub amount_cents: i64,
    pub currency: String,
    pub metadata: BTreeMap<String, String>,
    pub description: Option<String>,
    pub customer: Option<String>,
    pub method: Option<String>,
    pub with: With,
    /// Its latest charge.
    pub charge: Option<String>,
    pub charge_created: i64,
    /// Code and words of the last failure.
    pub failure: Option<(String, String)>,
    pub refunded_cents: i64,
    /// The checkout that it came from.
    pub session: Option<String>,
}

/// A way to pay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Method {
    pub id: String,
    pub created: i64,
    pub customer: Option<String>,
    pub with: With,
}

/// A way to pay being saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SetupIntent {
    pub id: String,
    pub created: i64,
    pub customer: String,
    pub method: String,
    pub metadata: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RefundStatus {
    Pending,
    Succeeded,
    Failed,
}

/// Money given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Refund {
    pub id: String,
    pub created: i64,
    pub payment: String,
    pub amount_cents: i64,
    pub status: RefundStatus,
    pub metadata: BTreeMap<String, String>,
    pub movement: String,
    pub failure_movement: Option<String>,
}

/// A payment that the payer's bank asks back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Dispute {
    pub id: String,
    pub created: i64,
    pub payment: String,
    pub amount_cents: i64,
    pub reason: String,
    /// Stripe's word: `needs_response`, `won`, `lost`, `warning_needs_response`, `warning_closed`.
    pub status: String,
    /// The movements that it made: taken, given back.
    pub movements: Vec<String>,
}

/// A movement of the balance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Movement {
    pub id: String,
    pub created: i64,
    /// Stripe's word: `charge`, `payment`, `refund`, `payment_refund`, `refund_failure`, `adjustment`, `payout`.
    pub kind: String,
    pub amount_cents: i64,
    pub fee_cents: i64,
    pub currency: String,
    /// A charge, a refund, a dispute or a payout.
    pub source: String,
    pub payment: Option<String>,
    pub description: String,
    pub payout: Option<String>,
}

/// Money sent to the bank account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Payout {
    pub id: String,
    pub created: i64,
    pub amount_cents: i64,
    pub currency: String,
    /// The beginning of the day (UTC) on which it is at the bank.
    pub arrival_date: i64,
    pub movement: String,
    /// What the bank statement shows.
    pub descriptor: String,
}

/// An event, as it is delivered and listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Event {
    pub id: String,
    pub kind: String,
    pub created: i64,
    /// What it is about: events of one thing are delivered one after the other.
    pub group: String,
    /// When it was made by our own clock, for the end of retries; `created` may be some seconds ahead.
    pub made_at: i64,
    pub body: String,
    /// Whether it was lost on purpose: listed, never delivered.
    pub lost: bool,
}

/// An answer that is given again to whoever calls with the same key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Remembered {
    pub key: String,
    pub at: i64,
    /// What was asked: the same key for something else is refused.
    pub fingerprint: String,
    pub status: u16,
    pub body: String,
}
