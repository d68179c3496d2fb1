//! A payment provider without a network: what it says is JSON in our own words, signed with a hash. It is for tests of what
//! becomes of events; how a real provider's words are read is tested beside that provider.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aquabills::db::provider_payments::{self, NewCheckout, NewProviderPayment};
use aquabills::db::{customers, inbox};
use aquabills::domain::ids::{AccountId, CheckoutId};
use aquabills::domain::money::Money;
use aquabills::domain::payments::{DisputeFact, Fact, PaymentFact, PaymentState, RefundFact, What};
use aquabills::providers::{
    BalanceMovement, CheckoutOrder, CheckoutSession, Draw, ListedEvent, Page, PaymentProvider, Payout, ProviderBook, ProviderError, RefundOrder,
    SignatureError,
};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Town;

/// Its name in tables.
pub const NAME: &str = "plain";
/// Our identity there.
pub const MERCHANT: &str = "acct_town";
const SECRET: &str = "whsec_plain:";

/// The provider. While it is `mute`, nobody understands its events.
#[derive(Default)]
pub struct Plain {
    pub mute: AtomicBool,
}

impl Plain {
    /// Gives a town this provider.
    pub fn at(town: &mut Town) -> Arc<Self> {
        let plain = Arc::new(Self::default());
        town.context.providers = ProviderBook::new(vec![plain.clone()]);
        plain
    }
}

/// The header that a delivery of these bytes needs.
pub fn signature(body: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::new().chain_update(SECRET).chain_update(body).finalize())
}

fn no(what: &str) -> ProviderError {
    ProviderError::Refused { provider: NAME.to_owned(), code: "not_here".to_owned(), reason: format!("no {what} here") }
}

impl PaymentProvider for Plain {
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
        if self.mute.load(Ordering::SeqCst) {
            return Err("nobody understands it today".to_owned());
        }
        let said: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        Ok(Fact {
            event_id: text(&said, "id").unwrap_or_default(),
            event_type: text(&said, "kind").unwrap_or_default(),
            occurred_at: said["at"].as_i64().ok_or("at: expected seconds")?,
            payment_ref: text(&said, "payment"),
            token: text(&said, "token"),
            what: what(&said)?,
        })
    }

    fn start_checkout(&self, _order: &CheckoutOrder) -> Result<CheckoutSession, ProviderError> {
        Err(no("checkout"))
    }

    fn checkout(&self, _session_ref: &str) -> Result<CheckoutSession, ProviderError> {
        Err(no("checkout"))
    }

    fn draw(&self, _draw: &Draw) -> Result<String, ProviderError> {
        Err(no("draw"))
    }

    fn refund(&self, _order: &RefundOrder) -> Result<String, ProviderError> {
        Err(no("refund"))
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

fn text(said: &Value, field: &str) -> Option<String> {
    said[field].as_str().map(str::to_owned)
}

fn what(said: &Value) -> Result<What, String> {
    let cents = |field: &str| said[field].as_i64().map(Money::from_cents).ok_or_else(|| format!("{field}: expected cents"));
    let flag = |field: &str| said[field].as_bool().unwrap_or(false);
    let made_at = said["made_at"].as_i64().unwrap_or_default();
    let name = text(said, "name").unwrap_or_default();
    Ok(match said["kind"].as_str() {
        Some("payment") => What::Payment(PaymentFact {
            state: said["state"].as_str().unwrap_or_default().parse::<PaymentState>()?,
            amount: cents("cents")?,
            currency: text(said, "currency").unwrap_or_else(|| "USD".to_owned()),
            made_at,
            from_bank: flag("from_bank"),
            reason: text(said, "reason"),
        }),
        Some("refund") => What::Refund(RefundFact {
            refund_ref: name,
            token: text(said, "refund_token"),
            amount: cents("cents")?,
            made_at,
            stands: flag("stands"),
            settled: flag("settled"),
        }),
        Some("dispute") => What::Dispute(DisputeFact {
            dispute_ref: name,
            amount: cents("cents")?,
            made_at,
            withdrawn: flag("withdrawn"),
            won: flag("won"),
            reason: "fraudulent".to_owned(),
        }),
        _ => What::Nothing,
    })
}

/// An event: its body, to be changed field by field and delivered.
#[derive(Debug, Clone)]
pub struct Event(pub Value);

impl Event {
    /// The payment `payment` stands at `state` with `cents`, said by the event `id` of the second `at`.
    pub fn payment(id: &str, at: i64, payment: &str, state: &str, cents: i64) -> Self {
        let made_at = 1_781_500_000;
        Self(json!({ "id": id, "at": at, "payment": payment, "kind": "payment", "state": state, "cents": cents, "made_at": made_at }))
    }

    /// A part of the payment was given back at the provider.
    pub fn refund(id: &str, at: i64, payment: &str, name: &str, cents: i64, stands: bool) -> Self {
        let made_at = 1_781_510_000;
        Self(json!({
            "id": id, "at": at, "payment": payment, "kind": "refund", "name": name, "cents": cents, "made_at": made_at,
            "stands": stands, "settled": true,
        }))
    }

    /// The payer's bank takes the payment back, or gave up doing so.
    pub fn dispute(id: &str, at: i64, payment: &str, name: &str, cents: i64, won: bool) -> Self {
        let made_at = 1_781_520_000;
        Self(json!({
            "id": id, "at": at, "payment": payment, "kind": "dispute", "name": name, "cents": cents, "made_at": made_at,
            "withdrawn": true, "won": won,
        }))
    }

    /// The same with another field.
    #[must_use]
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.0[field] = value.into();
        self
    }

    pub fn body(&self) -> Vec<u8> {
        self.0.to_string().into_bytes()
    }
}

/// Takes an event in as the web does, without a group.
pub fn deliver(town: &Town, event: &Event) {
    let body = event.body();
    aquabills::actions::inbox::receive(&town.context, NAME, &body, Some(&signature(&body))).expect("the event is taken");
}

/// Begins an attempt to pay, as the checkout does.
pub fn begin(town: &Town, token: &str, parts: &[(&str, i64)]) -> CheckoutId {
    let now = town.context.now();
    let made = town.context.database.write(|conn| {
        let mut shares: Vec<(AccountId, i64)> = Vec::new();
        for (account, cents) in parts {
            shares.push((customers::account_by_number(conn, account)?.expect("the account is there").id, *cents));
        }
        let checkout = NewCheckout {
            token: token.to_owned(),
            form_key: format!("form of {token}"),
            provider: NAME.to_owned(),
            merchant: MERCHANT.to_owned(),
            purpose: "pay".to_owned(),
            amount_cents: parts.iter().map(|(_, cents)| cents).sum(),
            login_id: None,
            status: "created".to_owned(),
            created_at: now,
            updated_at: now,
        };
        let id = provider_payments::insert_checkout(conn, &checkout, &shares)?;
        let payment = NewProviderPayment {
            provider: NAME.to_owned(),
            merchant: MERCHANT.to_owned(),
            provider_ref: None,
            checkout_id: Some(id),
            state: "created".to_owned(),
            amount_cents: checkout.amount_cents,
            currency: "USD".to_owned(),
            tender: "card".to_owned(),
            made_on: town.context.today(),
            trace_id: format!("trace of {token}"),
            created_at: now,
            updated_at: now,
        };
        let payment = provider_payments::insert(conn, &payment)?;
        provider_payments::set_parts(conn, payment, &shares)?;
        Ok::<_, diesel::result::Error>(id)
    });
    made.expect("the attempt is begun")
}

/// How many events wait to be applied, failed ones too.
pub fn waiting(town: &Town) -> usize {
    let far = town.context.now() + chrono::TimeDelta::days(400);
    town.context.database.read(|conn| inbox::due(conn, far, 100_000)).expect("the inbox is read").len()
}
