//! The sandbox provider and the client of its interface: each against the other over real HTTP, and the client against
//! objects in the shape of Stripe's own.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on must fail loudly")]

mod client;
mod corrections;
mod deliveries;
mod load;
mod pages;
mod receiver;
mod restart;
mod shapes;
mod signature;
mod trouble;

use aquabills::clock::Clock;
use aquabills::config::{ProviderSettings, Secret};
use aquabills::domain::money::Money;
use aquabills::domain::payments::{Fact, What};
use aquabills::providers::stripe::Stripe;
use aquabills::providers::{CheckoutOrder, PaymentProvider};
use aquabills::sandbox::{Faults, Options, Running, Sandbox};
use chrono::{DateTime, TimeDelta, Utc};
use receiver::{Got, Receiver};
use serde_json::{Value, json};
use ureq::Agent;

const KEY: &str = "sk_test_sandbox";
const SECRET: &str = "whsec_sandbox";

/// A sandbox, somebody who listens to it, and a client.
struct House {
    sandbox: Running,
    receiver: Receiver,
    client: Stripe,
    clock: Clock,
}

/// What happens by itself happens on demand only.
fn quiet() -> Faults {
    Faults { bank_settles_ms: None, ..Faults::default() }
}

fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_770_000_000, 0).expect("a time")
}

impl House {
    fn new() -> Self {
        Self::with(Options { faults: quiet(), ..Options::default() })
    }

    /// One callback at a time, so that the order of what arrives is the order in which it is sent.
    fn one_at_a_time(faults: Faults) -> Self {
        Self::with(Options { faults, workers: 1, ..Options::default() })
    }

    fn with(options: Options) -> Self {
        let receiver = Receiver::accepting();
        let clock = Clock::simulated(noon());
        let own = Options {
            listen: "127.0.0.1:0".to_owned(),
            endpoints: vec![receiver.url("/hook")],
            clock: clock.clone(),
            seed: options.seed.or(Some(7)),
            first_pause: std::time::Duration::from_millis(20),
            ..options
        };
        let sandbox = Sandbox::start(own).expect("the sandbox starts");
        let client = client(sandbox.address());
        Self { sandbox, receiver, client, clock }
    }

    fn later(&self, by: TimeDelta) {
        self.clock.set(self.clock.now().and_utc() + by);
    }

    fn now(&self) -> i64 {
        self.clock.now().and_utc().timestamp()
    }

    /// Calls the sandbox's own interface.
    fn control(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.ask(method, path, body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}{path}", self.sandbox.address());
        let agent = agent();
        let sent = match method {
            "GET" => agent.get(url).call(),
            "PUT" => agent.put(url).send(body.to_string()),
            "POST" => agent.post(url).send(body.to_string()),
            other => panic!("{other}"),
        };
        let mut answer = sent.expect("the sandbox answers");
        let text = answer.body_mut().read_to_string().expect("a text");
        (answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    fn faults(&self, faults: &Faults) {
        self.control("PUT", "/sandbox/faults", &serde_json::to_value(faults).expect("JSON"));
    }

    /// An action on a payment.
    fn act(&self, payment: &str, action: &str, how: &Value) -> Value {
        self.control("POST", &format!("/sandbox/payments/{payment}/{action}"), how)
    }

    /// A payment that succeeded, or is on its way; gives its name.
    fn payment(&self, cents: i64, with: &str) -> String {
        let made = self.control("POST", "/sandbox/payments", &json!({ "amount": cents, "with": with, "token": "T-1" }));
        text(&made["payment"])
    }

    fn way_to_pay(&self, with: &str) -> (String, String) {
        let made = self.control("POST", "/sandbox/methods", &json!({ "with": with }));
        (text(&made["customer"]), text(&made["id"]))
    }

    /// What arrived, once so much did: each rightly signed, and read.
    fn facts(&self, count: usize) -> Vec<Fact> {
        self.receiver.wait_for(count).iter().map(|got| self.read(got)).collect()
    }

    fn read(&self, got: &Got) -> Fact {
        self.client.verify(&got.body, got.header("stripe-signature").as_deref(), self.now()).expect("it is signed");
        self.client.read(&got.body).expect("it is understood")
    }

    /// Facts about payments, refunds, disputes and checkouts only.
    fn telling(&self, count: usize) -> Vec<Fact> {
        self.facts(count).into_iter().filter(|fact| fact.what != What::Nothing).collect()
    }
}

fn settings(base_url: &str) -> ProviderSettings {
    ProviderSettings {
        merchant: "acct_sandbox".to_owned(),
        base_url: base_url.to_owned(),
        secret_key: Some(Secret::new(KEY)),
        webhook_secrets: vec![Secret::new(SECRET)],
        ..ProviderSettings::default()
    }
}

fn client(base_url: &str) -> Stripe {
    Stripe::open(&settings(base_url))
}

fn agent() -> Agent {
    Agent::config_builder().http_status_as_error(false).max_redirects(0).proxy(None).build().into()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a text: {value}")).to_owned()
}

fn cents(amount: i64) -> Money {
    Money::from_cents(amount)
}

fn order(token: &str, lines: &[(&str, i64)]) -> CheckoutOrder {
    CheckoutOrder {
        token: token.to_owned(),
        lines: lines.iter().map(|(words, amount)| ((*words).to_owned(), cents(*amount))).collect(),
        currency: "USD".to_owned(),
        email: Some("payer@town.example".to_owned()),
        success_url: "http://pay.example/back?session={CHECKOUT_SESSION_ID}".to_owned(),
        cancel_url: "http://pay.example/cancel".to_owned(),
        save_method: false,
    }
}

/// Chooses on the checkout page; gives where the browser is sent, or the page when it stays.
fn choose(url: &str, with: &str) -> Result<String, String> {
    let mut answer = agent().post(url).send_form([("with", with)]).expect("the page answers");
    match answer.headers().get("location") {
        Some(place) => Ok(place.to_str().expect("an address").to_owned()),
        None => Err(answer.body_mut().read_to_string().expect("a page")),
    }
}

/// Types of events, in order.
fn types(facts: &[Fact]) -> Vec<&str> {
    facts.iter().map(|fact| fact.event_type.as_str()).collect()
}
