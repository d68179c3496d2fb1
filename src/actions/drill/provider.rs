//! The drill's payment provider: what it says is JSON of our own, signed with a hash. No network, and a switch that makes it
//! understand nothing of some payments: that is how the drill hides them from settlement.

use std::sync::atomic::{AtomicBool, Ordering};

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::domain::money::Money;
use crate::domain::payments::{Fact, PaymentFact, PaymentState, What};
use crate::providers::{
    BalanceMovement, CheckoutOrder, CheckoutSession, Draw, Glimpse, ListedEvent, Page, PaymentProvider, Payout, ProviderError, RefundOrder,
    SignatureError,
};

/// Its name in tables.
pub(super) const NAME: &str = "drill";
/// Our identity there.
pub(super) const MERCHANT: &str = "acct_drill";
/// Signs what it says. It is no secret: the drill's town lives no longer than the drill.
const SIGNED_WITH: &str = "drill:";
/// What the names of payments begin with that the fault hides.
pub(super) const HIDDEN: &str = "hidden-";

/// The provider.
#[derive(Debug, Default)]
pub(super) struct DrillProvider {
    /// The fault: it understands nothing of the payments that are to be hidden.
    pub(super) blind: AtomicBool,
}

/// An event: somebody paid.
pub(super) fn paid(token: &str, amount: Money, at: i64, currency: &str) -> (Vec<u8>, String) {
    let body = json!({ "id": format!("evt-{token}"), "at": at, "payment": format!("pay-{token}"), "token": token, "cents": amount.cents(),
        "currency": currency });
    let body = body.to_string().into_bytes();
    let signature = signature(&body);
    (body, signature)
}

fn signature(body: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::new().chain_update(SIGNED_WITH).chain_update(body).finalize())
}

fn fact(body: &[u8]) -> Result<Fact, String> {
    let said: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let text = |field: &str| said.get(field).and_then(Value::as_str).map(str::to_owned);
    let whole = |field: &str| said.get(field).and_then(Value::as_i64).ok_or_else(|| format!("{field}: expected a whole number"));
    let at = whole("at")?;
    Ok(Fact {
        event_id: text("id").unwrap_or_default(),
        event_type: "paid".to_owned(),
        occurred_at: at,
        payment_ref: text("payment"),
        token: text("token"),
        what: What::Payment(PaymentFact {
            state: PaymentState::Succeeded,
            amount: Money::from_cents(whole("cents")?),
            currency: text("currency").unwrap_or_default(),
            made_at: at,
            from_bank: false,
            reason: None,
        }),
    })
}

fn no(what: &str) -> ProviderError {
    ProviderError::Refused { provider: NAME.to_owned(), code: "drill".to_owned(), reason: format!("the drill has no {what}") }
}

impl PaymentProvider for DrillProvider {
    fn name(&self) -> &str {
        NAME
    }

    fn merchant(&self) -> &str {
        MERCHANT
    }

    fn verify(&self, body: &[u8], header: Option<&str>, _now: i64) -> Result<(), SignatureError> {
        if header == Some(signature(body).as_str()) { Ok(()) } else { Err(SignatureError::Mismatch) }
    }

    fn read(&self, body: &[u8]) -> Result<Fact, String> {
        let fact = fact(body)?;
        let hidden = fact.token.as_deref().is_some_and(|token| token.starts_with(HIDDEN));
        if hidden && self.blind.load(Ordering::SeqCst) {
            return Err("the drill's fault is on: nothing is made of it".to_owned());
        }
        Ok(fact)
    }

    fn glimpse(&self, body: &[u8]) -> Glimpse {
        fact(body).map(Glimpse::of).unwrap_or_default()
    }

    fn start_checkout(&self, _order: &CheckoutOrder) -> Result<CheckoutSession, ProviderError> {
        Err(no("checkout"))
    }

    fn checkout(&self, _session_ref: &str) -> Result<CheckoutSession, ProviderError> {
        Err(no("checkout"))
    }

    fn draw(&self, _draw: &Draw) -> Result<String, ProviderError> {
        Err(no("draws"))
    }

    fn refund(&self, _order: &RefundOrder) -> Result<String, ProviderError> {
        Err(no("refunds"))
    }

    fn events(&self, _since: i64, _after: Option<&str>) -> Result<Page<ListedEvent>, ProviderError> {
        Err(no("list"))
    }

    fn movements(&self, _from: i64, _to: i64, _after: Option<&str>) -> Result<Page<BalanceMovement>, ProviderError> {
        Err(no("list"))
    }

    fn payout_movements(&self, _payout_ref: &str, _after: Option<&str>) -> Result<Page<BalanceMovement>, ProviderError> {
        Err(no("list"))
    }

    fn payouts(&self, _from: i64, _to: i64, _after: Option<&str>) -> Result<Page<Payout>, ProviderError> {
        Err(no("list"))
    }
}
