//! How the sandbox behaves when much is asked of it at once.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use aquabills::sandbox::Faults;

use crate::{House, agent, quiet};

#[test]
fn many_callers_at_once_lose_nothing() {
    let house = House::new();
    let address = house.sandbox.address();
    std::thread::scope(|scope| {
        for caller in 0..8 {
            scope.spawn(move || {
                let agent = agent();
                for n in 0..25 {
                    let body = json!({ "amount": 1000 + n, "token": format!("T-{caller}-{n}") }).to_string();
                    let answer = agent.post(format!("{address}/sandbox/payments")).send(body).expect("an answer");
                    assert_eq!(answer.status(), 200);
                }
            });
        }
    });
    let got = house.receiver.wait_for(600);
    let mut by_token: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for fact in got.iter().map(|got| house.read(got)) {
        if let (Some(token), true) = (fact.token, fact.event_type.starts_with("payment_intent")) {
            by_token.entry(token).or_default().push(fact.occurred_at);
        }
    }
    assert_eq!(by_token.len(), 200);
    assert!(by_token.values().all(|times| times.is_sorted_by(|one, next| one < next) && times.len() == 2), "each payment's events come in order");
    let counts = house.control("GET", "/sandbox/deliveries?limit=1", &Value::Null);
    assert_eq!(counts["counts"]["failed_attempts"], 0, "{counts}");
}

#[test]
fn thousands_that_were_held_arrive_each() {
    let house = House::new();
    for (round, burst) in [false, true].into_iter().enumerate() {
        let before = round * 3000;
        let size = if burst { 3000 } else { 0 };
        house.faults(&Faults { duplicates: 50, hold: true, shuffle: true, burst: size, ..quiet() });
        for _ in 0..20 {
            house.payment(1000, "card");
        }
        if !burst {
            assert_eq!(house.receiver.got().len(), before);
            assert_eq!(house.control("POST", "/sandbox/release", &Value::Null)["released"], 3000);
        }
        let got = house.receiver.wait_for(before + 3000);
        let mut copies: BTreeMap<String, usize> = BTreeMap::new();
        for got in &got[before..] {
            *copies.entry(got.json()["id"].to_string()).or_default() += 1;
        }
        assert!(copies.len() == 60 && copies.values().all(|count| *count == 50), "{copies:?}");
    }
}
