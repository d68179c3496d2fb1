//! Payment providers: how we call them and understand what they send. Each provider is one file that implements
//! [`PaymentProvider`].
//!
//! What belongs here: a provider's HTTP interface, its signatures, the translation of its words into
//! [`Fact`]s. What does not: what a fact means to an account (`domain::payments`), when something is called again (`actions`).

pub mod stripe;

use std::sync::Arc;

use thiserror::Error;

use crate::config::{ProviderKind, ProviderSettings};
use crate::domain::money::Money;
use crate::domain::payments::Fact;

/// Something to be paid at the provider's checkout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckoutOrder {
    /// Our own name of the attempt; it comes back in every event about it.
    pub token: String,
    /// What is paid, and what the customer reads beside it. Empty when only a way to pay is to be saved.
    pub lines: Vec<(String, Money)>,
    /// ISO 4217 code.
    pub currency: String,
    /// Where the provider's form may take the payer's e-mail address from.
    pub email: Option<String>,
    /// Where the customer comes back to afterwards.
    pub success_url: String,
    /// Where the customer comes back to without having paid.
    pub cancel_url: String,
    /// Whether the way to pay is saved for later draws (a mandate) and nothing is paid now.
    pub save_method: bool,
}

/// Where a checkout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckoutStatus {
    /// The customer can still pay.
    Open,
    /// The customer is through; whether the money is there is told by events.
    Complete,
    /// It can no longer be paid.
    Expired,
}

/// A checkout at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckoutSession {
    /// The provider's name of it.
    pub session_ref: String,
    /// Where the customer goes to pay; none once it is over.
    pub url: Option<String>,
    /// Where it stands.
    pub status: CheckoutStatus,
    /// The provider's name of the payment, once there is one.
    pub payment_ref: Option<String>,
    /// The saved way to pay, when one was to be saved and the customer is through.
    pub method: Option<SavedMethod>,
}

/// A way to pay that a customer saved with the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedMethod {
    /// The provider's name of the customer.
    pub customer_ref: String,
    /// The provider's name of the way to pay.
    pub method_ref: String,
    /// What the customer recognises it by: `Visa ending 4242`.
    pub label: String,
}

/// A draw from a saved way to pay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draw {
    /// Our own name of the draw, and its idempotency key: the same again is the same draw.
    pub token: String,
    /// From what.
    pub customer_ref: String,
    /// From what.
    pub method_ref: String,
    /// How much.
    pub amount: Money,
    /// ISO 4217 code.
    pub currency: String,
    /// What the customer reads beside it.
    pub description: String,
}

/// Money to be given back to where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundOrder {
    /// Our own name of the refund, and its idempotency key.
    pub token: String,
    /// The provider's name of the payment.
    pub payment_ref: String,
    /// How much of it.
    pub amount: Money,
}

/// A page of a list at the provider, oldest or newest first as the provider likes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next page begins; none after the last.
    pub next: Option<String>,
}

/// An event as the provider lists it, to be put into the inbox like one that was delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedEvent {
    /// The provider's name of it.
    pub event_id: String,
    /// Its body, as it would have been delivered.
    pub body: Vec<u8>,
}

/// One movement on our balance with the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BalanceMovement {
    /// The provider's name of the movement.
    pub movement_ref: String,
    /// What it is.
    pub kind: MovementKind,
    /// The payment that it belongs to; none for a payout or a fee of its own.
    pub payment_ref: Option<String>,
    /// What moved, before fees: money to us is positive.
    pub amount: Money,
    /// What the provider kept of it: what reaches the bank is the amount less this.
    pub fee: Money,
    /// ISO 4217 code, in capitals.
    pub currency: String,
    /// When, in seconds since 1970 by the provider's clock.
    pub occurred_at: i64,
    /// The payout that it is, or that it was asked for with ([`PaymentProvider::payout_movements`]); providers do not tell
    /// the payout of a movement otherwise.
    pub payout_ref: Option<String>,
}

/// What a movement on our balance with the provider is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MovementKind {
    /// A payment, or a correction of one.
    Payment,
    /// Money given back to a payer, or a refund that failed and came back to us.
    Refund,
    /// Money taken back by a payer's bank, or given back to us when the dispute was won.
    Dispute,
    /// Money sent to our bank account.
    Payout,
    /// Anything else: fees of their own, corrections.
    Other,
}

/// What the provider sends to our bank account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payout {
    /// The provider's name of it.
    pub payout_ref: String,
    /// How much: negative is money that the provider takes from the bank account.
    pub amount: Money,
    /// ISO 4217 code, in capitals.
    pub currency: String,
    /// The day on which it arrives, in seconds since 1970.
    pub arrives_at: i64,
    /// Whether it has arrived, as the provider knows.
    pub paid: bool,
    /// Whether it will never arrive: the bank refused it, or it was cancelled.
    pub failed: bool,
    /// What the bank statement shows of it.
    pub statement_text: String,
}

/// Why a call to a provider did not do what it should.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProviderError {
    /// Nobody knows whether it was done: no answer, or one of trouble over there, or our key is not accepted (which a
    /// person mends). The same call again is safe.
    #[error("{provider} could not be reached: {reason}")]
    Unreachable {
        /// Which provider.
        provider: String,
        /// What happened.
        reason: String,
    },
    /// The provider says no; the same call again gets the same answer.
    #[error("{provider} refused it: {reason}")]
    Refused {
        /// Which provider.
        provider: String,
        /// Its own code of the reason, such as `card_declined`.
        code: String,
        /// Its own words.
        reason: String,
    },
    /// An answer that we do not understand.
    #[error("{provider} answered what we do not understand: {reason}")]
    Unreadable {
        /// Which provider.
        provider: String,
        /// What was expected.
        reason: String,
    },
}

impl ProviderError {
    /// What it is, without the provider's words: for the log.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "the provider cannot be reached",
            Self::Refused { .. } => "the provider refused it",
            Self::Unreadable { .. } => "the provider's answer is not understood",
        }
    }

    /// Whether the same call may be made again later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

/// What can be seen of an event, also of one that says what we do not understand: which it is, and whom it is about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Glimpse {
    /// The provider's name of the event.
    pub event_id: Option<String>,
    /// The provider's word for its type.
    pub event_type: Option<String>,
    /// When it happened, in seconds since 1970 by the provider's clock.
    pub occurred_at: Option<i64>,
    /// The payment that it tells of.
    pub payment_ref: Option<String>,
    /// Our own name of the attempt.
    pub token: Option<String>,
}

impl Glimpse {
    /// Of an event that is understood.
    #[must_use]
    pub fn of(fact: Fact) -> Self {
        let Fact { event_id, event_type, occurred_at, payment_ref, token, .. } = fact;
        Self { event_id: Some(event_id), event_type: Some(event_type), occurred_at: Some(occurred_at), payment_ref, token }
    }
}

/// Why a delivered event is not believed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// The header is missing or has another form.
    #[error("the signature header is missing or has another form")]
    Form,
    /// It is signed for another time: an old delivery played again, or a clock that is wrong.
    #[error("the signature is {seconds} seconds away from now: expected at most {tolerance}")]
    Time {
        /// How far.
        seconds: u64,
        /// How far it may be.
        tolerance: u64,
    },
    /// None of our secrets made it.
    #[error("no active secret gives this signature")]
    Mismatch,
}

/// A payment provider. What it returns was checked; what it cannot do is a [`ProviderError`].
pub trait PaymentProvider: Send + Sync {
    /// Its name in tables and addresses, such as `stripe`.
    fn name(&self) -> &str;

    /// Our identity with it.
    fn merchant(&self) -> &str;

    /// The least that it takes at once.
    fn least_amount(&self) -> Money {
        Money::from_cents(1)
    }

    /// Whether it can be called and believed: its secrets are there.
    ///
    /// # Errors
    /// Which secret is missing, and where it should be.
    fn ready(&self) -> Result<(), String> {
        Ok(())
    }

    /// Whether a delivered body was signed with one of our active secrets, within the tolerance around `now` (seconds since
    /// 1970). The bytes are checked as they came.
    ///
    /// # Errors
    /// [`SignatureError`].
    fn verify(&self, body: &[u8], header: Option<&str>, now: i64) -> Result<(), SignatureError>;

    /// What an event's body says. An event of a type that means nothing to us is a fact, too
    /// ([`crate::domain::payments::What::Nothing`]).
    ///
    /// # Errors
    /// What was expected and not found.
    fn read(&self, body: &[u8]) -> Result<Fact, String>;

    /// What can be seen of an event that [`PaymentProvider::read`] does not understand. Nothing where nothing can.
    fn glimpse(&self, _body: &[u8]) -> Glimpse {
        Glimpse::default()
    }

    /// Begins a checkout. The order's token is the idempotency key.
    ///
    /// # Errors
    /// [`ProviderError`].
    fn start_checkout(&self, order: &CheckoutOrder) -> Result<CheckoutSession, ProviderError>;

    /// Where a checkout stands now.
    ///
    /// # Errors
    /// [`ProviderError`].
    fn checkout(&self, session_ref: &str) -> Result<CheckoutSession, ProviderError>;

    /// Draws from a saved way to pay; returns the provider's name of the payment. How it went is told by events.
    ///
    /// # Errors
    /// [`ProviderError`]; a refusal is final for this draw.
    fn draw(&self, draw: &Draw) -> Result<String, ProviderError>;

    /// Gives money back to where it came from; returns the provider's name of the refund.
    ///
    /// # Errors
    /// [`ProviderError`].
    fn refund(&self, order: &RefundOrder) -> Result<String, ProviderError>;

    /// Events since a time (seconds since 1970), to find those that never arrived.
    ///
    /// # Errors
    /// [`ProviderError`].
    fn events(&self, since: i64, after: Option<&str>) -> Result<Page<ListedEvent>, ProviderError>;

    /// Movements on our balance with the provider, in a range of time (seconds since 1970, the end excluded).
    ///
    /// # Errors
    /// [`ProviderError`].
    fn movements(&self, from: i64, to: i64, after: Option<&str>) -> Result<Page<BalanceMovement>, ProviderError>;

    /// The movements that one payout brought to the bank. Together, less fees, they are the payout.
    ///
    /// # Errors
    /// [`ProviderError`].
    fn payout_movements(&self, payout_ref: &str, after: Option<&str>) -> Result<Page<BalanceMovement>, ProviderError>;

    /// What was sent to our bank account, by arrival in a range of time (seconds since 1970, the end excluded).
    ///
    /// # Errors
    /// [`ProviderError`].
    fn payouts(&self, from: i64, to: i64, after: Option<&str>) -> Result<Page<Payout>, ProviderError>;
}

/// The providers that the utility uses, by name. Cloning it is cheap.
#[derive(Clone, Default)]
pub struct ProviderBook(Arc<Vec<Arc<dyn PaymentProvider>>>);

impl ProviderBook {
    /// A book of these; the first is the one that new payments go to.
    #[must_use]
    pub fn new(providers: Vec<Arc<dyn PaymentProvider>>) -> Self {
        Self(Arc::new(providers))
    }

    /// The provider of a name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<Arc<dyn PaymentProvider>> {
        self.0.iter().find(|provider| provider.name() == name).cloned()
    }

    /// The provider that new payments go to; none when customers cannot pay online.
    #[must_use]
    pub fn first(&self) -> Option<Arc<dyn PaymentProvider>> {
        self.0.first().cloned()
    }

    /// All of them, in the order of the settings.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn PaymentProvider>> {
        self.0.iter()
    }

    /// Whether all of them can be called and believed.
    ///
    /// # Errors
    /// Which secret is missing, and where it should be.
    pub fn ready(&self) -> Result<(), String> {
        self.0.iter().try_for_each(|provider| provider.ready())
    }

    /// Whether customers cannot pay online.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Opens every provider of the settings. Nothing is called yet; secrets are read from the environment now. One without its
/// secrets is there all the same, as what it sent can be read without them ([`ProviderBook::ready`]).
#[must_use]
pub fn open(settings: &[ProviderSettings]) -> ProviderBook {
    let one = |settings: &ProviderSettings| -> Arc<dyn PaymentProvider> {
        match settings.kind {
            ProviderKind::Stripe => Arc::new(stripe::Stripe::open(settings)),
        }
    };
    ProviderBook::new(settings.iter().map(one).collect())
}
