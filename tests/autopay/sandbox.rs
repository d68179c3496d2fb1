//! The whole way with the sandbox provider over real HTTP: a card is saved on its page, a bill drawn, callbacks come in, money
//! goes back.

use std::time::{Duration, Instant};

use aquabills::actions::account_view::Whose;
use aquabills::actions::autopay::enrol::{Progress, progress};
use aquabills::actions::refunds::{RefundWish, refund_payment, refunds_of, send_due};
use aquabills::actions::stop::Stop;
use aquabills::config::{ProviderSettings, Secret};
use aquabills::providers::ProviderBook;
use aquabills::providers::stripe::Stripe;
use aquabills::sandbox::{Faults, Options, Running, Sandbox};
use ureq::Agent;

use crate::support::http::Served;
use crate::support::{Town, on_both};
use crate::{apply, begin_enrolment, draws, on, peopled, run, told, view};

fn agent() -> Agent {
    Agent::config_builder().http_status_as_error(false).max_redirects(0).proxy(None).build().into()
}

/// A town that is served, with a sandbox that calls it back.
fn with_sandbox(town: Town) -> (Town, Running) {
    let (mut town, _) = peopled(town, 1);
    let sandbox = Sandbox::start(Options {
        listen: "127.0.0.1:0".to_owned(),
        seed: Some(7),
        clock: town.context.clock.clone(),
        faults: Faults { bank_settles_ms: None, ..Faults::default() },
        ..Options::default()
    });
    let sandbox = sandbox.expect("the sandbox starts");
    let settings = ProviderSettings {
        merchant: "acct_sandbox".to_owned(),
        base_url: sandbox.address().to_owned(),
        secret_key: Some(Secret::new("sk_test_sandbox")),
        webhook_secrets: vec![Secret::new("whsec_sandbox")],
        ..ProviderSettings::default()
    };
    let client = Stripe::open(&settings);
    let name = settings.name.clone();
    town.context.providers = ProviderBook::new(vec![std::sync::Arc::new(client)]);
    let served = Served::new(&mut town);
    let hook = format!("http://{}/callbacks/{name}", served.host);
    let url = format!("{}/sandbox/endpoints", sandbox.address());
    let mut answer = agent().put(&url).header("authorization", "Bearer sk_test_sandbox").send(format!("[\"{hook}\"]")).expect("the sandbox answers");
    assert!(answer.status().is_success(), "{:?}", answer.body_mut().read_to_string());
    (town, sandbox)
}

/// Waits until the town says so, applying what comes in.
fn until(town: &Town, what: &str, so: impl Fn(&Town) -> bool) {
    let since = Instant::now();
    while !so(town) {
        assert!(since.elapsed() < Duration::from_secs(60), "{what}: it does not come");
        std::thread::sleep(Duration::from_millis(50));
        apply(town);
    }
}

/// Whether every callback has been taken.
fn all_delivered(sandbox: &Running) -> bool {
    let mut answer = agent().get(format!("{}/sandbox/deliveries", sandbox.address())).call().expect("the sandbox answers");
    let text = answer.body_mut().read_to_string().expect("its answer");
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    value["counts"]["pending"] == 0
}

on_both! {
    fn a_card_is_saved_a_bill_drawn_and_money_given_back(town: Town) {
        let (town, sandbox) = with_sandbox(town);
        let token = begin_enrolment(&town, "A1", Some("100.00"), "form");
        let Progress::Open(Some(url)) = progress(&town.context, &token, Whose::Anybody).unwrap() else { panic!("no page at the provider") };
        let chosen = agent().post(&url).send_form([("with", "card")]).expect("the page answers");
        assert!(chosen.headers().get("location").is_some(), "it leads back to us");
        assert_eq!(progress(&town.context, &token, Whose::Anybody).unwrap(), Progress::Done);
        let method = view(&town, "A1").mandate.and_then(|mandate| mandate.method).unwrap_or_default();
        assert!(method.contains("4242"), "{method}");
        // An account for which an event is still on its way is not billed.
        until(&town, "the last callback", |_| all_delivered(&sandbox));
        town.bill("2026-06-01");
        on(&town, "2026-07-06");
        run(&town);
        until(&town, "the money", |town| town.balance("A1") == "0.00");
        assert_eq!(draws(&town, "A1"), ["succeeded 47.50"]);
        // More than that was paid by hand: the card's money goes back to the card.
        town.pay("A1", "20.00", "R-1");
        let payment = view(&town, "A1").draws[0].provider_ref.clone().expect("a reference");
        let wish = RefundWish {
            account: "A1".to_owned(),
            payment,
            amount: "20.00".parse().unwrap(),
            reference: "B-1".to_owned(),
            note: "paid twice".to_owned(),
        };
        refund_payment(&town.context, &wish).unwrap();
        refund_payment(&town.context, &wish).unwrap();
        assert_eq!(send_due(&town.context, &Stop::default()).unwrap().sent, 1);
        until(&town, "the refund", |town| refunds_of(&town.context, "A1").unwrap()[0].state == "succeeded");
        assert_eq!((town.balance("A1"), refunds_of(&town.context, "A1").unwrap().len()), ("0.00".to_owned(), 1));
        assert_eq!(told(&town, "A1"), ["autopay_active", "autopay_announced"]);
        town.assert_sound();
        drop(sandbox);
    }
}
