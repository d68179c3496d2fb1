//! The sandbox provider over real HTTP: its callbacks are lost, and everything is found in its lists.

use std::sync::Arc;

use aquabills::config::{ProviderSettings, Secret};
use aquabills::providers::ProviderBook;
use aquabills::providers::stripe::Stripe;
use aquabills::sandbox::{Faults, Options, Running, Sandbox};
use serde_json::{Value, json};

use crate::support::{Town, on_both};
use crate::{at, attempt, look, open, repair, told};

const MERCHANT: &str = "acct_1";

struct House {
    town: Town,
    sandbox: Running,
}

impl House {
    fn new(town: Town) -> Self {
        let mut town = town.with_services(&["A1,S1,HOME,M1", "A2,S2,HOME,M2", "A3,S3,HOME,M3"]);
        let faults = Faults { bank_settles_ms: None, ..Faults::default() };
        // Nobody listens: every callback is lost.
        let options = Options { listen: "127.0.0.1:0".to_owned(), clock: town.context.clock.clone(), seed: Some(7), faults, ..Options::default() };
        let sandbox = Sandbox::start(options).expect("the sandbox starts");
        let settings = ProviderSettings {
            merchant: MERCHANT.to_owned(),
            base_url: sandbox.address().to_owned(),
            secret_key: Some(Secret::new("sk_test_sandbox")),
            webhook_secrets: vec![Secret::new("whsec_sandbox")],
            ..ProviderSettings::default()
        };
        town.context.providers = ProviderBook::new(vec![Arc::new(Stripe::open(&settings))]);
        Self { town, sandbox }
    }

    fn control(&self, path: &str, body: &Value) -> Value {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut answer = agent.post(format!("{}{path}", self.sandbox.address())).send(body.to_string()).expect("the sandbox answers");
        let text = answer.body_mut().read_to_string().expect("a text");
        assert_eq!(answer.status().as_u16(), 200, "{path}: {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    fn pays(&self, account: &str, cents: i64, with: &str) -> String {
        let token = format!("T-{account}");
        attempt(&self.town.context, ("stripe", MERCHANT), &token, account, cents);
        let made = self.control("/sandbox/payments", &json!({ "amount": cents, "with": with, "token": token }));
        made["payment"].as_str().expect("a payment").to_owned()
    }
}

on_both! {
    fn every_callback_is_lost_and_the_ledger_is_right_all_the_same(t: Town) {
        let house = House::new(t);
        let t = &house.town;
        let [one, two, _] = [house.pays("A1", 5000, "card"), house.pays("A2", 7000, "card"), house.pays("A3", 900, "bank")];
        at(t, "2026-06-15T14:00:00Z");
        let report = look(t);
        assert_eq!((report.differences, report.delta_cents, report.provider_cents), (2, 12_000, 12_000), "{report:#?}");
        assert!(repair(t).agrees());
        assert_eq!((t.balance("A1"), t.balance("A2"), t.balance("A3")), ("-50.00".to_owned(), "-70.00".to_owned(), "0.00".to_owned()));

        // A correction, a chargeback that is won later, a refund at the provider: all lost.
        house.control(&format!("/sandbox/payments/{one}/correct"), &json!({ "amount": 4500 }));
        house.control(&format!("/sandbox/payments/{two}/dispute"), &json!({}));
        at(t, "2026-06-15T16:00:00Z");
        let report = look(t);
        assert_eq!((report.differences, report.delta_cents), (2, 500 + 7000));
        assert_eq!(told(t).len(), 2);
        assert!(open(t).iter().any(|row| row.ours().len() == 1 && row.theirs().len() == 2), "both rows stand beside each other");
        assert!(repair(t).agrees());
        assert_eq!((t.balance("A1"), t.balance("A2")), ("-45.00".to_owned(), "0.00".to_owned()));
        house.control(&format!("/sandbox/payments/{two}/win"), &json!({}));
        house.control(&format!("/sandbox/payments/{one}/refund"), &json!({ "amount": 1000 }));
        at(t, "2026-06-15T18:00:00Z");
        assert_eq!(look(t).delta_cents, 7000 + 1000);
        assert!(repair(t).agrees());
        assert_eq!((t.balance("A1"), t.balance("A2")), ("-35.00".to_owned(), "-70.00".to_owned()));

        // What goes to the bank is what its movements come to, less fees.
        house.control("/sandbox/payout", &json!({}));
        assert!(look(t).agrees());
        t.assert_sound();
    }
}
