//! Callbacks and what goes wrong with them: each fault is seen to happen.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aquabills::providers::{PaymentProvider, SignatureError};
use aquabills::sandbox::{Faults, Options, SignatureFault};
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::{Got, House, quiet, types};

/// Names of events as they arrived.
fn names(got: &[Got]) -> Vec<String> {
    got.iter().map(|got| got.json()["id"].as_str().expect("a name").to_owned()).collect()
}

/// Names of events as the sandbox made them, the oldest first.
fn made(house: &House) -> Vec<String> {
    let mut names: Vec<String> = house.client.events(0, None).expect("they are listed").items.into_iter().map(|event| event.event_id).collect();
    names.reverse();
    names
}

fn counts(house: &House, what: &str) -> u64 {
    house.control("GET", "/sandbox/deliveries", &Value::Null)["counts"][what].as_u64().expect("a count")
}

#[test]
fn every_event_comes_as_often_as_wanted() {
    let house = House::new();
    house.faults(&Faults { duplicates: 50, ..quiet() });
    house.payment(1000, "card");
    let got = house.receiver.wait_for(150);
    let mut by_name: BTreeMap<String, Vec<&Got>> = BTreeMap::new();
    for (name, got) in names(&got).into_iter().zip(&got) {
        by_name.entry(name).or_default().push(got);
    }
    assert_eq!(by_name.len(), 3);
    assert!(by_name.values().all(|copies| copies.len() == 50 && copies.iter().all(|copy| copy.body == copies[0].body)));
    house.faults(&Faults { duplicates: 3, types: vec!["charge.succeeded".to_owned()], ..quiet() });
    house.payment(1000, "card");
    assert_eq!(house.receiver.wait_for(155).len(), 155);
}

#[test]
fn held_events_go_in_the_order_that_is_wanted() {
    let house = House::one_at_a_time(Faults { hold: true, ..quiet() });
    house.payment(1000, "bank");
    let made = made(&house);
    assert_eq!((made.len(), counts(&house, "held"), house.receiver.got().len()), (3, 3, 0));
    let wanted = [made[2].clone(), made[0].clone(), made[1].clone()];
    assert_eq!(house.control("POST", "/sandbox/release", &json!({ "order": wanted })), json!({ "released": 3 }));
    assert_eq!(names(&house.receiver.wait_for(3)), wanted);
}

#[test]
fn the_seed_decides_the_order() {
    let order = |seed| {
        let faults = Faults { hold: true, shuffle: true, ..quiet() };
        let house = House::with(Options { faults, seed: Some(seed), workers: 4, ..Options::default() });
        for _ in 0..4 {
            house.payment(1000, "card");
        }
        let made = made(&house);
        house.control("POST", "/sandbox/release", &Value::Null);
        let got = names(&house.receiver.wait_for(12));
        (made, got)
    };
    let (made, got) = order(1);
    assert_eq!((made.clone(), got.clone()), order(1), "the same seed is the same story");
    let (mut one, mut other) = (made.clone(), got.clone());
    one.sort();
    other.sort();
    assert_eq!(one, other);
    assert_ne!(made, got, "twelve events are not in their order");
    assert_ne!(order(2).0, made, "another seed gives other names");
}

#[test]
fn a_burst_waits_for_its_size_and_goes_at_once() {
    let house = House::new();
    house.receiver.answer(|_| {
        std::thread::sleep(Duration::from_millis(300));
        (200, String::new())
    });
    house.faults(&Faults { hold: true, burst: 12, ..quiet() });
    for _ in 0..3 {
        house.payment(1000, "card");
    }
    assert_eq!((counts(&house, "held"), house.receiver.got().len()), (9, 0));
    house.payment(1000, "card");
    let got = house.receiver.wait_for(12);
    let spread = got.iter().map(|got| got.at).max().unwrap() - got.iter().map(|got| got.at).min().unwrap();
    assert!(spread < Duration::from_millis(300 * 11), "they went at once, and not one after the other: {spread:?}");
    assert_eq!(counts(&house, "held"), 0);
}

#[test]
fn delayed_events_overtake_each_other() {
    let house = House::new();
    house.faults(&Faults { delay_ms: [1, 400], ..quiet() });
    for _ in 0..5 {
        house.payment(1000, "card");
    }
    let got = names(&house.receiver.wait_for(15));
    let made = made(&house);
    assert_ne!(got, made);
    assert!(made.iter().all(|name| got.contains(name)));
}

#[test]
fn lost_events_are_listed_and_can_be_sent_again() {
    let house = House::one_at_a_time(quiet());
    house.faults(&Faults { lose_next: 1, types: vec!["payment_intent.succeeded".to_owned()], ..quiet() });
    house.payment(1000, "card");
    house.payment(2000, "card");
    let facts = house.facts(5);
    assert_eq!(types(&facts).iter().filter(|kind| **kind == "payment_intent.succeeded").count(), 1);
    let listed = made(&house);
    let lost: Vec<&String> = listed.iter().filter(|name| !facts.iter().any(|fact| fact.event_id == **name)).collect();
    let [lost] = lost.as_slice() else { panic!("one is lost: {lost:?}") };
    house.control("POST", &format!("/sandbox/events/{lost}/deliver"), &Value::Null);
    assert_eq!(names(&house.receiver.wait_for(6)).last(), Some(*lost));
    house.faults(&Faults { lose_permille: 1000, ..quiet() });
    house.payment(3000, "card");
    assert_eq!(made(&house).len(), 9);
    assert_eq!((counts(&house, "pending"), house.receiver.got().len()), (0, 6));
}

#[test]
fn wrong_signatures_are_not_believed() {
    let house = House::one_at_a_time(quiet());
    let arrived = AtomicUsize::new(0);
    let next = |signature: SignatureFault| {
        house.receiver.answer(|_| (200, String::new()));
        house.faults(&Faults { signature, types: vec!["payment_intent.succeeded".to_owned()], ..quiet() });
        house.payment(1000, "card");
        let got = house.receiver.wait_for(arrived.fetch_add(3, Ordering::Relaxed) + 3);
        let got = got.last().expect("it arrived").clone();
        let header = got.header("stripe-signature");
        assert_eq!(got.json()["type"], "payment_intent.succeeded", "every body can be read, signed or not");
        house.client.verify(&got.body, header.as_deref(), house.now())
    };
    assert_eq!(next(SignatureFault::Good), Ok(()));
    assert_eq!(next(SignatureFault::Wrong), Err(SignatureError::Mismatch));
    assert_eq!(next(SignatureFault::Body), Err(SignatureError::Mismatch));
    assert_eq!(next(SignatureFault::Missing), Err(SignatureError::Form));
    assert_eq!(next(SignatureFault::Old), Err(SignatureError::Time { seconds: 3600, tolerance: 300 }));
}

#[test]
fn what_is_not_accepted_comes_again_until_it_is() {
    let house = House::one_at_a_time(quiet());
    let refusals = AtomicUsize::new(0);
    house.receiver.answer(move |_| (if refusals.fetch_add(1, Ordering::Relaxed) < 5 { 503 } else { 200 }, String::new()));
    house.payment(1000, "card");
    let got = house.receiver.wait_for(8);
    let mut arrived: Vec<String> = names(&got);
    arrived.sort();
    arrived.dedup();
    assert_eq!(arrived.len(), 3);
    while counts(&house, "pending") > 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!((counts(&house, "delivered"), counts(&house, "failed_attempts")), (3, 5));
    let log = house.control("GET", "/sandbox/deliveries", &Value::Null);
    let attempts = log["deliveries"].as_array().expect("a list");
    assert!(attempts.iter().any(|attempt| attempt["status"] == 503 && attempt["attempt"] == 1));
    assert!(attempts.iter().any(|attempt| attempt["status"] == 200 && attempt["attempt"].as_u64() > Some(1)));
    assert!(log["latency_us"]["p99"].is_u64());
}

#[test]
fn after_three_days_nobody_tries_any_more() {
    let house = House::one_at_a_time(quiet());
    house.receiver.answer(|_| (500, String::new()));
    house.payment(1000, "card");
    house.receiver.wait_for(4);
    assert_eq!(counts(&house, "given_up"), 0);
    house.later(TimeDelta::hours(73));
    while counts(&house, "given_up") < 3 {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(counts(&house, "pending"), 0);
}

#[test]
fn every_endpoint_gets_every_event() {
    let house = House::new();
    let other = crate::Receiver::accepting();
    house.control("PUT", "/sandbox/endpoints", &json!([house.receiver.url("/a"), other.url("/b")]));
    house.payment(1000, "card");
    let (mut one, mut two) = (names(&house.receiver.wait_for(3)), names(&other.wait_for(3)));
    one.sort();
    two.sort();
    assert_eq!(one, two);
    assert!(other.got()[0].line.starts_with("POST /b "));
}

#[test]
fn events_may_share_a_second_as_real_ones_do() {
    let house = House::one_at_a_time(Faults { same_second: true, ..quiet() });
    house.payment(1000, "card");
    let times: Vec<i64> = house.facts(3).iter().map(|fact| fact.occurred_at).collect();
    assert_eq!(times, [house.now(); 3]);
}

#[test]
fn reset_ends_every_fault() {
    let house = House::new();
    house.faults(&Faults { hold: true, duplicates: 2, outage: aquabills::sandbox::Outage::Error, ..quiet() });
    house.payment(1000, "card");
    let shown = house.control("POST", "/sandbox/faults/reset", &Value::Null);
    assert_eq!(shown, serde_json::to_value(Faults::default()).expect("JSON"));
    assert_eq!(house.control("GET", "/sandbox/faults", &Value::Null), shown);
    assert_eq!(house.receiver.wait_for(6).len(), 6);
    house.client.events(0, None).expect("calls are answered");
}
