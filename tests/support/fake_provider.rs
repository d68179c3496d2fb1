//! A provider in memory whose books the tests write themselves: movements, payouts and events are listed whether or not an
//! event is ever delivered, and it can be out of reach.

use std::sync::{Arc, Mutex, MutexGuard};

use aquabills::actions::Context;
use aquabills::actions::inbox::receive;
use aquabills::domain::money::Money;
use aquabills::domain::payments::{DisputeFact, Fact, PaymentFact, PaymentState, RefundFact, What};
use aquabills::providers::{
    BalanceMovement, CheckoutOrder, CheckoutSession, Draw, ListedEvent, MovementKind, Page, PaymentProvider, Payout, ProviderBook, ProviderError,
    RefundOrder, SignatureError,
};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

/// The provider's name.
pub const NAME: &str = "books";
/// Our identity with it.
pub const MERCHANT: &str = "waterworks";

/// What the provider has written down.
#[derive(Default)]
pub struct Written {
    pub events: Vec<Value>,
    pub movements: Vec<BalanceMovement>,
    pub payouts: Vec<Payout>,
    /// Out of reach, with this many calls answered before.
    pub down_after: Option<u32>,
    pub calls: u32,
}

/// The provider. Cloning it is the same provider.
#[derive(Clone, Default)]
pub struct Books {
    written: Arc<Mutex<Written>>,
    page: usize,
}

/// Gives a context a provider with pages of so many items.
pub fn with_books(context: &mut Context, page: usize) -> Books {
    let books = Books { page, ..Books::default() };
    context.providers = ProviderBook::new(vec![Arc::new(books.clone())]);
    books
}

fn seconds(at: &str) -> i64 {
    at.parse::<DateTime<Utc>>().expect("a moment").timestamp()
}

impl Books {
    pub fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().expect("the books")
    }

    /// Out of reach from now on, or after so many more calls.
    pub fn goes_down_after(&self, calls: Option<u32>) {
        let mut written = self.written();
        written.calls = 0;
        written.down_after = calls;
    }

    fn movement(&self, kind: MovementKind, payment: &str, cents: i64, at: &str) {
        let mut written = self.written();
        let movement_ref = format!("txn_{:06}", written.movements.len() + 1);
        let fee = if kind == MovementKind::Payment && cents > 0 { 30 } else { 0 };
        written.movements.push(BalanceMovement {
            movement_ref,
            kind,
            payment_ref: Some(payment.to_owned()),
            amount: Money::from_cents(cents),
            fee: Money::from_cents(fee),
            currency: "USD".to_owned(),
            occurred_at: seconds(at),
            payout_ref: None,
        });
    }

    fn event(&self, mut event: Value, payment: &str, at: &str) -> Value {
        let mut written = self.written();
        event["id"] = format!("evt_{:06}", written.events.len() + 1).into();
        event["at"] = seconds(at).into();
        event["payment"] = payment.into();
        written.events.push(event.clone());
        event
    }

    /// A payment succeeds; its event is listed, and returned to be delivered or lost.
    pub fn pays(&self, payment: &str, cents: i64, at: &str) -> Value {
        self.movement(MovementKind::Payment, payment, cents, at);
        let said = json!({"what": "payment", "state": "succeeded", "amount": cents, "made_at": seconds(at), "token": format!("token-{payment}")});
        self.event(said, payment, at)
    }

    /// A payment is booked later than it was made: a bank debit.
    pub fn pays_later(&self, payment: &str, cents: i64, made: &str, booked: &str) -> Value {
        self.movement(MovementKind::Payment, payment, cents, booked);
        let said = json!({"what": "payment", "state": "succeeded", "amount": cents, "made_at": seconds(made), "token": format!("token-{payment}"), "from_bank": true});
        self.event(said, payment, booked)
    }

    /// A payment was of another amount.
    pub fn corrects(&self, payment: &str, from: i64, to: i64, made: &str, at: &str) -> Value {
        self.movement(MovementKind::Payment, payment, to - from, at);
        let state = if to == 0 { "failed" } else { "succeeded" };
        let said = json!({"what": "payment", "state": state, "amount": to.max(from.min(to)), "made_at": seconds(made)});
        self.event(said, payment, at)
    }

    /// The payer's bank takes the money back.
    pub fn disputes(&self, payment: &str, cents: i64, at: &str) -> Value {
        self.movement(MovementKind::Dispute, payment, -cents, at);
        let said =
            json!({"what": "dispute", "dispute": format!("du_{payment}"), "amount": cents, "made_at": seconds(at), "withdrawn": true, "won": false});
        self.event(said, payment, at)
    }

    /// Somebody gives money back at the provider.
    pub fn refunds(&self, payment: &str, cents: i64, at: &str) -> Value {
        self.movement(MovementKind::Refund, payment, -cents, at);
        let said =
            json!({"what": "refund", "refund": format!("re_{payment}"), "amount": cents, "made_at": seconds(at), "stands": true, "settled": true});
        self.event(said, payment, at)
    }

    /// Money goes to the bank: these movements, by their place from 1.
    pub fn pays_out(&self, payout: &str, cents: i64, arrives: &str, movements: &[usize]) {
        let mut written = self.written();
        for at in movements {
            written.movements[at - 1].payout_ref = Some(payout.to_owned());
        }
        written.payouts.push(Payout {
            payout_ref: payout.to_owned(),
            amount: Money::from_cents(cents),
            currency: "USD".to_owned(),
            arrives_at: seconds(&format!("{arrives}T00:00:00Z")),
            paid: true,
            failed: false,
            statement_text: format!("BOOKS {payout}"),
        });
    }

    fn answer<T>(&self, list: impl Fn(&Written) -> Vec<T>, after: Option<&str>) -> Result<Page<T>, ProviderError> {
        let mut written = self.written();
        written.calls += 1;
        if written.down_after.is_some_and(|after| written.calls > after) {
            return Err(ProviderError::Unreachable { provider: NAME.to_owned(), reason: "it is down".to_owned() });
        }
        let from: usize = after.map_or(0, |after| after.parse().expect("a cursor"));
        let all = list(&written);
        let more = all.len() > from + self.page;
        let items = all.into_iter().skip(from).take(self.page).collect();
        Ok(Page { items, next: more.then(|| (from + self.page).to_string()) })
    }
}

fn unused<T>() -> Result<T, ProviderError> {
    Err(ProviderError::Unreachable { provider: NAME.to_owned(), reason: "nobody calls it in these stories".to_owned() })
}

impl PaymentProvider for Books {
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
                reason: None,
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
            _ => return Err("what: expected payment, dispute or refund".to_owned()),
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
    fn events(&self, since: i64, after: Option<&str>) -> Result<Page<ListedEvent>, ProviderError> {
        let listed = |event: &Value| ListedEvent { event_id: event["id"].as_str().expect("an id").to_owned(), body: event.to_string().into_bytes() };
        self.answer(|written| written.events.iter().filter(|event| event["at"].as_i64() >= Some(since)).map(listed).collect(), after)
    }
    fn movements(&self, from: i64, to: i64, after: Option<&str>) -> Result<Page<BalanceMovement>, ProviderError> {
        let fits = |movement: &&BalanceMovement| (from..to).contains(&movement.occurred_at);
        let listed = |movement: &BalanceMovement| BalanceMovement { payout_ref: None, ..movement.clone() };
        self.answer(|written| written.movements.iter().filter(fits).map(listed).collect(), after)
    }
    fn payout_movements(&self, payout: &str, after: Option<&str>) -> Result<Page<BalanceMovement>, ProviderError> {
        let fits = |movement: &&BalanceMovement| movement.payout_ref.as_deref() == Some(payout);
        self.answer(|written| written.movements.iter().filter(fits).cloned().collect(), after)
    }
    fn payouts(&self, from: i64, to: i64, after: Option<&str>) -> Result<Page<Payout>, ProviderError> {
        let fits = |payout: &&Payout| (from..to).contains(&payout.arrives_at);
        self.answer(|written| written.payouts.iter().filter(fits).cloned().collect(), after)
    }
}

/// Delivers an event, signed.
pub fn deliver(context: &Context, event: &Value) {
    receive(context, NAME, event.to_string().as_bytes(), Some("signed")).expect("the event is taken");
}
