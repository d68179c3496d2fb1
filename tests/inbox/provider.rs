//! A provider whose events the tests write themselves: one line of JSON each, every field under the test's hand.

use std::sync::Arc;

use aquabills::actions::Context;
use aquabills::actions::inbox::receive;
use aquabills::domain::money::Money;
use aquabills::domain::payments::{DisputeFact, Fact, PaymentFact, PaymentState, RefundFact, What};
use aquabills::providers::{
    BalanceMovement, CheckoutOrder, CheckoutSession, Draw, ListedEvent, Page, PaymentProvider, Payout, ProviderBook, ProviderError, RefundOrder,
    SignatureError,
};
use serde_json::{Value, json};

/// The provider's name.
pub const NAME: &str = "paper";
/// Our identity with it.
pub const MERCHANT: &str = "waterworks";
/// Noon of the first day of the stories, in seconds since 1970: 2026-06-10 12:00 UTC.
pub const NOON: i64 = 1_781_092_800;
/// Seconds of a day.
pub const DAY: i64 = 86_400;

/// The provider.
pub struct Paper;

/// Gives a context this provider.
pub fn with_paper(context: &mut Context) {
    context.providers = ProviderBook::new(vec![Arc::new(Paper)]);
}

fn unused<T>() -> Result<T, ProviderError> {
    Err(ProviderError::Unreachable { provider: NAME.to_owned(), reason: "nobody calls it in these stories".to_owned() })
}

impl PaymentProvider for Paper {
    fn name(&self) -> &str {
        NAME
    }
    fn merchant(&self) -> &str {
        MERCHANT
    }
    fn verify(&self, _body: &[u8], header: Option<&str>, _now: i64) -> Result<(), SignatureError> {
        if header == Some("signed") { Ok(()) } else { Err(SignatureError::Mismatch) }
    }
    fn read(&self, body: &[u8]) -> Result<Fact, String> {
        let value: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let text = |name: &str| value[name].as_str().map(str::to_owned);
        let number = |name: &str| value[name].as_i64().unwrap_or(0);
        let truth = |name: &str| value[name].as_bool().unwrap_or(false);
        let what = match value["what"].as_str() {
            Some("payment") => What::Payment(PaymentFact {
                state: text("state").ok_or("state")?.parse::<PaymentState>()?,
                amount: Money::from_cents(number("amount")),
                currency: text("currency").unwrap_or_else(|| "USD".to_owned()),
                made_at: number("made_at"),
                from_bank: truth("from_bank"),
                reason: text("reason"),
            }),
            Some("dispute") => What::Dispute(DisputeFact {
                dispute_ref: text("dispute").ok_or("dispute")?,
                amount: Money::from_cents(number("amount")),
                made_at: number("made_at"),
                withdrawn: truth("withdrawn"),
                won: truth("won"),
                reason: "fraudulent".to_owned(),
            }),
            Some("refund") => What::Refund(RefundFact {
                refund_ref: text("refund").ok_or("refund")?,
                token: text("our_token"),
                amount: Money::from_cents(number("amount")),
                made_at: number("made_at"),
                stands: truth("stands"),
                settled: truth("settled"),
            }),
            Some("nothing") => What::Nothing,
            _ => return Err("what: expected payment, dispute, refund or nothing".to_owned()),
        };
        Ok(Fact {
            event_id: text("id").ok_or("id")?,
            event_type: text("what").unwrap_or_default(),
            occurred_at: number("at"),
            payment_ref: text("payment"),
            token: text("token"),
            what,
        })
    }
    fn start_checkout(&self, _: &CheckoutOrder) -> Result<CheckoutSession, ProviderError> {
        unused()
    }
    fn checkout(&self, _: &str) -> Result<CheckoutSession, ProviderError> {
        unused()
    }
    fn draw(&self, _: &Draw) -> Result<String, ProviderError> {
        unused()
    }
    fn refund(&self, _: &RefundOrder) -> Result<String, ProviderError> {
        unused()
    }
    fn events(&self, _: i64, _: Option<&str>) -> Result<Page<ListedEvent>, ProviderError> {
        unused()
    }
    fn movements(&self, _: i64, _: i64, _: Option<&str>) -> Result<Page<BalanceMovement>, ProviderError> {
        unused()
    }
    fn payout_movements(&self, _: &str, _: Option<&str>) -> Result<Page<BalanceMovement>, ProviderError> {
        unused()
    }
    fn payouts(&self, _: i64, _: i64, _: Option<&str>) -> Result<Page<Payout>, ProviderError> {
        unused()
    }
}

/// A snapshot of a payment, `at` seconds after noon of the first day.
pub fn payment(payment: &str, id: &str, at: i64, state: &str, cents: i64) -> Value {
    json!({"id": format!("{payment}-{id}"), "at": NOON + at, "payment": payment, "token": format!("token-{payment}"), "what": "payment",
        "state": state, "amount": cents, "made_at": NOON})
}

/// A snapshot of a dispute.
pub fn dispute(payment: &str, id: &str, at: i64, cents: i64, withdrawn: bool, won: bool) -> Value {
    json!({"id": format!("{payment}-{id}"), "at": NOON + at, "payment": payment, "what": "dispute", "dispute": format!("dispute-{payment}"),
        "amount": cents, "made_at": NOON + 2 * DAY, "withdrawn": withdrawn, "won": won})
}

/// A snapshot of a refund that was made at the provider.
pub fn refund(payment: &str, name: &str, id: &str, at: i64, cents: i64, stands: bool) -> Value {
    json!({"id": format!("{payment}-{id}"), "at": NOON + at, "payment": payment, "what": "refund", "refund": format!("{name}-{payment}"),
        "amount": cents, "made_at": NOON + DAY, "stands": stands, "settled": true})
}

/// Delivers an event, signed.
pub fn deliver(context: &Context, event: &Value) {
    receive(context, NAME, event.to_string().as_bytes(), Some("signed")).expect("the event is taken");
}
