//! What a payment's events mean: from everything that a provider ever said of a payment to what the ledger must show.
//!
//! The whole rule is one pure function, [`story`]: it orders the facts by the provider's own time and tells the state and
//! the movements that follow. Because it looks at the set of facts and not at their arrival, any order and repetition of the
//! same events ends in the same ledger (P5). What is posted already is compared with what the story asks for ([`changes`]):
//! the difference is corrected by reversals and new postings, never by an edit (P2).

use serde::Serialize;

use super::money::Money;

/// One thing that a provider said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// The provider's name of the event.
    pub event_id: String,
    /// The provider's word for its type, such as `payment_intent.succeeded`.
    pub event_type: String,
    /// When it happened, in seconds since 1970 by the provider's clock.
    pub occurred_at: i64,
    /// The payment that it tells of; none for events about something else.
    pub payment_ref: Option<String>,
    /// Our own name of the attempt that it belongs to, where the provider repeats it.
    pub token: Option<String>,
    /// What it says.
    pub what: What,
}

/// What an event says. Each is a snapshot: the newest of a kind holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A checkout.
    Checkout {
        /// The provider's name of it.
        session_ref: String,
        /// Whether the customer is through.
        complete: bool,
        /// Whether it can no longer be paid.
        expired: bool,
        /// Whether a way to pay was to be saved, instead of a payment.
        saves_method: bool,
    },
    /// A payment.
    Payment(PaymentFact),
    /// Money given back to the payer.
    Refund(RefundFact),
    /// A payment that the payer's bank takes back, or tried to.
    Dispute(DisputeFact),
    /// Nothing that concerns us.
    Nothing,
}

/// Where a payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum PaymentState {
    /// Begun; the customer has not finished.
    Created,
    /// The customer has finished; the money is on its way.
    Submitted,
    /// It will not come.
    Failed,
    /// The money is certain.
    Succeeded,
    /// The money had come and went back.
    Returned,
}

impl PaymentState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Created, Self::Submitted, Self::Failed, Self::Succeeded, Self::Returned];

    /// The name that tables use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Submitted => "submitted",
            Self::Failed => "failed",
            Self::Succeeded => "succeeded",
            Self::Returned => "returned",
        }
    }
}

impl std::str::FromStr for PaymentState {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| format!("'{text}' is not a payment's state"))
    }
}

/// What a snapshot of a payment says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentFact {
    /// Where it stands: never [`PaymentState::Returned`], which follows from disputes and refunds.
    pub state: PaymentState,
    /// What is paid (or was to be).
    pub amount: Money,
    /// ISO 4217 code, in capitals.
    pub currency: String,
    /// The day that counts as the day of the payment: the same in every snapshot of it, in the utility's time zone.
    pub made_at: i64,
    /// Whether it came from a bank account (a transfer) and not from a card.
    pub from_bank: bool,
    /// Why it failed.
    pub reason: Option<String>,
}

/// What a snapshot of a refund says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundFact {
    /// The provider's name of the refund.
    pub refund_ref: String,
    /// Our own name of it, when we asked for it.
    pub token: Option<String>,
    /// How much.
    pub amount: Money,
    /// When it was made, in seconds since 1970.
    pub made_at: i64,
    /// Whether the money goes (or went) back: false once it failed.
    pub stands: bool,
    /// Whether the provider is done with it.
    pub settled: bool,
}

/// What a snapshot of a dispute says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisputeFact {
    /// The provider's name of the dispute.
    pub dispute_ref: String,
    /// How much is taken back.
    pub amount: Money,
    /// Whether the money was taken from us: an inquiry of the payer's bank takes nothing, and may become a dispute that does.
    pub withdrawn: bool,
    /// When it was opened, in seconds since 1970.
    pub made_at: i64,
    /// Whether it was decided for us: the money comes back.
    pub won: bool,
    /// Why, in the provider's word.
    pub reason: String,
}
