//! A provider that draws and gives back as it is told to: it keeps its word (the same name is the same draw, the same
//! refund), can be out of reach before or after it did something, can decline, and can take the whole caller down.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aquabills::actions::Context;
use aquabills::actions::inbox::{receive, settle};
use aquabills::actions::stop::Stop;
use aquabills::domain::money::Money;
use aquabills::domain::payments::{Fact, PaymentFact, PaymentState, RefundFact, What};
use aquabills::providers::{
    BalanceMovement, CheckoutOrder, CheckoutSession, CheckoutStatus, Draw, ListedEvent, Page, PaymentProvider, Payout, ProviderBook, ProviderError,
    RefundOrder, SavedMethod, SignatureError,
};
use serde_json::{Value, json};

/// Its name.
pub const NAME: &str = "fake";
/// Our identity with it.
pub const MERCHANT: &str = "waterworks";

/// How it takes a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It does what it is asked, and says so.
    Fine,
    /// It cannot be reached.
    Away,
    /// It does what it is asked, and the answer is lost.
    Mute,
    /// It says no.
    Declines,
    /// The caller dies before the call arrives.
    CallerDiesBefore,
    /// The caller dies after it did what it was asked.
    CallerDiesAfter,
}

/// A draw that it made, or a payment that came otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    pub reference: String,
    pub token: String,
    pub cents: i64,
}

#[derive(Default)]
struct State {
    moods: Vec<Mood>,
    calls: usize,
    sessions: BTreeMap<String, (CheckoutStatus, Option<SavedMethod>)>,
    draws: Vec<Made>,
    refunds: Vec<Made>,
    events: i64,
}

/// The provider. Clones are the same.
#[derive(Clone, Default)]
pub struct Fake(Arc<Mutex<State>>);

impl Fake {
    /// Gives a context this provider.
    pub fn join(context: &mut Context) -> Self {
        let fake = Self::default();
        context.providers = ProviderBook::new(vec![Arc::new(fake.clone())]);
        fake
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it takes the next calls; after them it is fine.
    pub fn moods(&self, moods: &[Mood]) {
        self.lock().moods = moods.iter().rev().copied().collect();
    }

    /// How often it was called for a draw or a refund.
    pub fn calls(&self) -> usize {
        self.lock().calls
    }

    /// The draws that it made.
    pub fn draws(&self) -> Vec<Made> {
        self.lock().draws.clone()
    }

    /// The refunds that it made.
    pub fn refunds(&self) -> Vec<Made> {
        self.lock().refunds.clone()
    }

    /// The customer goes through every open page.
    pub fn customers_save(&self, label: &str) {
        let method = SavedMethod { customer_ref: "cus_1".to_owned(), method_ref: format!("pm_{label}"), label: label.to_owned() };
        for session in self.lock().sessions.values_mut().filter(|(status, _)| *status == CheckoutStatus::Open) {
            *session = (CheckoutStatus::Complete, Some(method.clone()));
        }
    }

    /// Every open page is over.
    pub fn sessions_expire(&self) {
        for session in self.lock().sessions.values_mut().filter(|(status, _)| *status == CheckoutStatus::Open) {
            session.0 = CheckoutStatus::Expired;
        }
    }

    fn mood(state: &mut State) -> Mood {
        state.calls += 1;
        state.moods.pop().unwrap_or(Mood::Fine)
    }

    fn asked(&self, refund: bool, token: &str, amount: Money) -> Result<String, ProviderError> {
        let mut state = self.lock();
        let mood = Self::mood(&mut state);
        let away = || ProviderError::Unreachable { provider: NAME.to_owned(), reason: "the line is dead".to_owned() };
        match mood {
            Mood::Away => return Err(away()),
            Mood::CallerDiesBefore => {
                drop(state);
                panic!("the caller dies before the call arrives")
            }
            Mood::Declines => {
                return Err(ProviderError::Refused {
                    provider: NAME.to_owned(),
                    code: "card_declined".to_owned(),
                    reason: "Your card has insufficient funds.".to_owned(),
                });
            }
            Mood::Fine | Mood::Mute | Mood::CallerDiesAfter => {}
        }
        let list = if refund { &mut state.refunds } else { &mut state.draws };
        let known = list.iter().find(|made| made.token == token).cloned();
        let made = known.unwrap_or_else(|| {
            let made = Made {
                reference: format!("{}_{}", if refund { "re" } else { "pi" }, list.len() + 1),
                token: token.to_owned(),
                cents: amount.cents(),
            };
            list.push(made.clone());
            made
        });
        assert_eq!(made.cents, amount.cents(), "the same name with another amount");
        match mood {
            Mood::Mute => Err(away()),
            Mood::CallerDiesAfter => {
                drop(state);
                panic!("the caller dies before the answer arrives")
            }
            _ => Ok(made.reference),
        }
    }

    fn event(&self, context: &Context, mut body: Value) {
        let number = {
            let mut state = self.lock();
            state.events += 1;
            state.events
        };
        body["id"] = json!(format!("evt_{number}"));
        body["at"] = json!(context.now().and_utc().timestamp() + number);
        body["made_at"] = json!(context.now().and_utc().timestamp());
        receive(context, NAME, body.to_string().as_bytes(), Some("signed")).expect("the event is taken");
    }

    /// Sends an event of a payment, without applying it.
    pub fn tells(&self, context: &Context, made: &Made, state: &str) {
        self.event(context, json!({"what": "payment", "payment": made.reference, "token": made.token, "state": state, "amount": made.cents}));
    }

    /// Sends an event of a payment and applies it.
    pub fn says(&self, context: &Context, made: &Made, state: &str) {
        self.tells(context, made, state);
        settle(context, true, &Stop::default()).expect("the inbox is settled");
    }

    /// Sends an event of a refund of a payment and applies it.
    pub fn says_of_refund(&self, context: &Context, payment: &str, refund: &Made, how: &str) {
        let (stands, settled) = (how != "failed", how != "pending");
        self.event(
            context,
            json!({"what": "refund", "payment": payment, "refund": refund.reference, "our_token": refund.token, "amount": refund.cents,
                "stands": stands, "settled": settled}),
        );
        settle(context, true, &Stop::default()).expect("the inbox is settled");
    }
}

fn unused<T>() -> Result<T, ProviderError> {
    Err(ProviderError::Unreachable { provider: NAME.to_owned(), reason: "nobody asks it here".to_owned() })
}

impl PaymentProvider for Fake {
    fn name(&self) -> &str {
        NAME
    }
    fn merchant(&self) -> &str {
        MERCHANT
    }
    fn verify(&self, _: &[u8], header: Option<&str>, _: i64) -> Result<(), SignatureError> {
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
                currency: "USD".to_owned(),
                made_at: number("made_at"),
                from_bank: false,
                reason: text("reason"),
            }),
            Some("refund") => What::Refund(RefundFact {
                refund_ref: text("refund").ok_or("refund")?,
                token: text("our_token"),
                amount: Money::from_cents(number("amount")),
                made_at: number("made_at"),
                stands: truth("stands"),
                settled: truth("settled"),
            }),
            _ => What::Nothing,
        };
        let event_type = text("what").unwrap_or_default();
        Ok(Fact {
            event_id: text("id").ok_or("id")?,
            event_type,
            occurred_at: number("at"),
            payment_ref: text("payment"),
            token: text("token").filter(|token| !token.is_empty()),
            what,
        })
    }
    fn start_checkout(&self, order: &CheckoutOrder) -> Result<CheckoutSession, ProviderError> {
        assert!(order.save_method && order.lines.is_empty(), "only ways to pay are saved here");
        let mut state = self.lock();
        if Self::mood(&mut state) == Mood::Away {
            return unused();
        }
        let session_ref = format!("cs_{}", order.token);
        state.sessions.entry(session_ref.clone()).or_insert((CheckoutStatus::Open, None));
        drop(state);
        self.checkout(&session_ref)
    }
    fn checkout(&self, session_ref: &str) -> Result<CheckoutSession, ProviderError> {
        let (status, method) = self.lock().sessions.get(session_ref).cloned().expect("a session that was begun");
        let url = (status == CheckoutStatus::Open).then(|| format!("https://pay.example/{session_ref}"));
        Ok(CheckoutSession { session_ref: session_ref.to_owned(), url, status, payment_ref: None, method })
    }
    fn draw(&self, draw: &Draw) -> Result<String, ProviderError> {
        self.asked(false, &draw.token, draw.amount)
    }
    fn refund(&self, order: &RefundOrder) -> Result<String, ProviderError> {
        self.asked(true, &order.token, order.amount)
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
