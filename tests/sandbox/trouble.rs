//! A provider that does not answer, or not as it should.

use std::time::Duration;

use aquabills::config::{ProviderSettings, Secret};
use aquabills::providers::stripe::Stripe;
use aquabills::providers::{Draw, PaymentProvider, ProviderError};
use aquabills::sandbox::{Faults, Outage};
use serde_json::{Value, json};

use crate::receiver::Receiver;
use crate::{House, cents, client, order, quiet, settings};

#[test]
fn an_outage_passes() {
    let house = House::new();
    for outage in [Outage::Error, Outage::Drop] {
        house.faults(&Faults { outage, outage_calls: 1, ..quiet() });
        let error = house.client.start_checkout(&order("A-1", &[("Bill", 1000)])).expect_err("nobody answers");
        assert!(error.may_pass(), "{error}");
        let payments = house.client.events(0, None).expect("the outage is over");
        assert!(payments.items.is_empty());
    }
}

#[test]
fn an_answer_that_is_lost_is_got_by_asking_again() {
    let house = House::new();
    let (customer_ref, method_ref) = house.way_to_pay("card");
    let (amount, currency) = (cents(1000), "USD".to_owned());
    let draw = Draw { token: "D-1".to_owned(), customer_ref, method_ref, amount, currency, description: "Bill".to_owned() };
    house.faults(&Faults { outage: Outage::LostAnswer, outage_calls: 1, ..quiet() });
    let lost = house.client.draw(&draw).expect_err("the answer is lost");
    assert!(lost.may_pass(), "{lost}");
    let payment = house.client.draw(&draw).expect("it is found");
    let payments = house.control("GET", "/sandbox/payments", &Value::Null);
    assert_eq!(payments.as_array().expect("a list").len(), 1);
    assert_eq!(payments[0]["payment"], json!(payment));

    house.faults(&Faults { outage: Outage::LostAnswer, outage_calls: 1, ..quiet() });
    let lost = house.client.start_checkout(&order("A-1", &[("Bill", 1000)])).expect_err("the answer is lost");
    assert!(lost.may_pass(), "{lost}");
    let begun = house.client.start_checkout(&order("A-1", &[("Bill", 1000)])).expect("it is there");
    assert_eq!(house.client.start_checkout(&order("A-1", &[("Bill", 1000)])).expect("it is the same"), begun);
}

#[test]
fn a_wrong_key_is_for_a_person_to_mend() {
    let house = House::new();
    let wrong = ProviderSettings { secret_key: Some(Secret::new("sk_test_other")), ..settings(house.sandbox.address()) };
    let error = Stripe::open(&wrong).events(0, None).expect_err("the key is wrong");
    assert!(error.may_pass() && error.to_string().contains("Invalid API Key") && !error.to_string().contains("sk_test_other"), "{error}");
}

#[test]
fn what_is_not_there_is_refused() {
    let house = House::new();
    for (reference, code) in [("cs_test_none", "resource_missing"), ("../../sandbox/faults", "reference"), ("", "reference")] {
        let error = house.client.checkout(reference).expect_err("there is no such checkout");
        assert!(matches!(&error, ProviderError::Refused { code: got, .. } if got == code), "{error}");
    }
    let error = house.client.events(0, Some("evt_none")).expect_err("there is no such event");
    assert!(matches!(&error, ProviderError::Refused { code, .. } if code == "resource_missing"), "{error}");
}

#[test]
fn answers_that_are_no_answers_are_told() {
    let provider = Receiver::accepting();
    let client = client(&provider.url(""));
    let told = |status: u16, body: &str| {
        let body = body.to_owned();
        provider.answer(move |_| (status, body.clone()));
        client.events(0, None).expect_err("it is no answer")
    };
    for body in
        ["", "<html>", "{}", "{\"data\":[],\"has_more\":1}", "{\"data\":[{\"id\":\"\"}],\"has_more\":false}", "{\"data\":[{}],\"has_more\":true}"]
    {
        assert!(matches!(told(200, body), ProviderError::Unreadable { .. }), "{body}");
    }
    for status in [301, 401, 403, 408, 409, 429, 500, 502, 503] {
        assert!(told(status, "<html>").may_pass(), "{status}");
    }
    for status in [400, 402, 404] {
        let error = told(status, "{\"error\":{\"type\":\"invalid_request_error\",\"message\":\"No.\"}}");
        assert!(
            matches!(&error, ProviderError::Refused { code, reason, .. } if code == "invalid_request_error" && reason.starts_with("No.")),
            "{error}"
        );
    }
}

#[test]
fn nobody_waits_for_ever() {
    let provider = Receiver::answering(|_| {
        std::thread::sleep(Duration::from_secs(5));
        (200, String::new())
    });
    let hasty = ProviderSettings { timeout_ms: 100, ..settings(&provider.url("")) };
    let error = Stripe::open(&hasty).events(0, None).expect_err("it takes too long");
    assert!(error.may_pass(), "{error}");
    // A port where nobody listens.
    let nobody = client("http://127.0.0.1:9").events(0, None).expect_err("nobody is there");
    assert!(nobody.may_pass(), "{nobody}");
}

#[test]
fn the_sandbox_refuses_what_it_does_not_know() {
    let house = House::new();
    let ask = |path: &str, form: &[(&str, &str)], key: &str| {
        let url = format!("{}/v1/{path}", house.sandbox.address());
        let request = crate::agent().post(url).header("Authorization", format!("Bearer {key}"));
        let mut answer = request.send_form(form.iter().copied()).expect("an answer");
        let body: Value = serde_json::from_str(&answer.body_mut().read_to_string().expect("a text")).expect("JSON");
        (answer.status().as_u16(), body["error"]["code"].as_str().unwrap_or_default().to_owned())
    };
    let refused = |path: &str, form: &[(&str, &str)]| ask(path, form, crate::KEY);
    assert_eq!(refused("checkout/sessions", &[("mode", "payment"), ("colour", "blue")]), (400, "parameter_unknown".to_owned()));
    assert_eq!(refused("checkout/sessions", &[]), (400, "parameter_missing".to_owned()));
    assert_eq!(refused("checkout/sessions", &[("mode", "subscription")]), (400, "parameter_invalid_enum".to_owned()));
    assert_eq!(refused("checkout/sessions", &[("mode", "payment"), ("success_url", "javascript:alert(1)")]), (400, "url_invalid".to_owned()));
    assert_eq!(refused("refunds", &[("payment_intent", "pi_none")]), (404, "resource_missing".to_owned()));
    assert_eq!(refused("payment_intents", &[("amount", "12.5"), ("currency", "usd")]), (400, "parameter_invalid_integer".to_owned()));
    assert_eq!(refused("nothing", &[]), (404, "url_unknown".to_owned()));
    assert_eq!(ask("refunds", &[], "sk_other"), (401, "api_key_invalid".to_owned()));
    for (method, path, body) in [
        ("PUT", "/sandbox/faults", json!({ "duplicates": 51 })),
        ("PUT", "/sandbox/faults", json!({ "duplicates": 0 })),
        ("PUT", "/sandbox/faults", json!({ "colour": 1 })),
        ("PUT", "/sandbox/faults", json!({ "burst": 3 })),
        ("PUT", "/sandbox/endpoints", json!(["ftp://x"])),
        ("POST", "/sandbox/payments", json!({ "amount": 1 })),
        ("POST", "/sandbox/payout", json!({})),
        ("POST", "/sandbox/payments/pi_none/settle", json!({})),
        ("POST", "/sandbox/payments/pi_none/dance", json!({})),
    ] {
        let (status, answer) = house.ask(method, path, &body);
        assert!((400..500).contains(&status) && answer["error"]["message"].is_string(), "{method} {path}: {status} {answer}");
    }
}
