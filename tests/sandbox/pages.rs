//! The checkout page and the desk, and the statements of the bank.

use aquabills::providers::{CheckoutStatus, PaymentProvider};
use aquabills::sandbox::Options;
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::{House, agent, choose, order, quiet};

fn look(url: &str) -> (u16, String) {
    let mut answer = agent().get(url).call().expect("an answer");
    (answer.status().as_u16(), answer.body_mut().read_to_string().expect("a page"))
}

#[test]
fn the_checkout_says_what_is_paid_and_that_it_is_no_real_money() {
    let house = House::new();
    let begun = house.client.start_checkout(&order("A-1", &[("Bill <b>12</b>", 12_345), ("Bill 13", 55)])).expect("it begins");
    let url = begun.url.expect("somewhere to pay");
    let (status, page) = look(&url);
    assert_eq!(status, 200);
    for words in ["Sandbox: no real money.", "Bill &#60;b&#62;12", "123.45", "0.55", "124.00", "Cancel and go back", "<html lang=\"en\">"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!page.contains("<script"));
    assert_eq!(choose(&url, "cancel"), Ok("http://pay.example/cancel".to_owned()));
    assert!(choose(&url, "gold").expect_err("it stays").contains("Please choose how to pay"));
    assert_eq!(house.client.checkout(&begun.session_ref).expect("it is looked at").status, CheckoutStatus::Open);
    assert_eq!(look(&format!("{}/c/pay/cs_none", house.sandbox.address())).0, 404);
}

#[test]
fn a_checkout_ends_after_a_day() {
    let house = House::with(Options { faults: quiet(), workers: 1, ..Options::default() });
    let begun = house.client.start_checkout(&order("A-1", &[("Bill", 1000)])).expect("it begins");
    house.later(TimeDelta::hours(25));
    let facts = house.facts(1);
    assert_eq!((facts[0].event_type.as_str(), facts[0].token.as_deref()), ("checkout.session.expired", Some("A-1")));
    let over = house.client.checkout(&begun.session_ref).expect("it is looked at");
    assert_eq!((over.status, over.url), (CheckoutStatus::Expired, None));
    assert_eq!(look(&begun.url.expect("somewhere to pay")).0, 410);
}

#[test]
fn the_desk_shows_payments_and_acts_on_them() {
    let house = House::new();
    let payment = house.payment(5000, "card");
    house.receiver.wait_for(3);
    let desk = format!("{}/sandbox", house.sandbox.address());
    let (status, page) = look(&desk);
    assert!(status == 200 && page.contains(&payment) && page.contains("50.00 USD"), "{page}");
    let act = |form: &[(&str, &str)]| {
        let answer = agent().post(format!("{desk}/desk/act")).send_form(form.iter().copied()).expect("an answer");
        answer.headers()["location"].to_str().expect("an address").to_owned()
    };
    assert_eq!(act(&[("payment", &payment), ("action", "correct"), ("amount", "49.99")]), "/sandbox");
    assert!(act(&[("payment", &payment), ("action", "correct"), ("amount", "1.005")]).starts_with("/sandbox?failure="));
    assert_eq!(act(&[("payment", &payment), ("action", "refund"), ("amount", "")]), "/sandbox");
    assert_eq!(house.control("GET", "/sandbox/payments", &Value::Null)[0]["refunded"], 4999);
    let failure = act(&[("payment", &payment), ("action", "refund")]);
    assert!(failure.starts_with("/sandbox?failure="), "{failure}");
    assert!(look(&format!("{}{failure}", house.sandbox.address())).1.contains("already been refunded"));
    let form = [
        ("duplicates", "3"),
        ("lose_permille", "0"),
        ("delay_least", "0"),
        ("delay_most", "9"),
        ("burst", "0"),
        ("signature", "wrong"),
        ("hold", "on"),
    ];
    agent().post(format!("{desk}/desk/faults")).send_form(form).expect("an answer");
    let faults = house.control("GET", "/sandbox/faults", &Value::Null);
    assert_eq!(
        (&faults["duplicates"], &faults["signature"], &faults["hold"], &faults["bank_settles_ms"]),
        (&json!(3), &json!("wrong"), &json!(true), &json!(null))
    );
}

#[test]
fn the_bank_tells_what_was_paid_out() {
    let house = House::new();
    let statement = |format: &str, date: &str| house.control("GET", &format!("/sandbox/bank-statement?format={format}&date={date}"), &Value::Null);
    for date in ["2026-03-02", "2026-03-03", "2026-03-03"] {
        house.payment(10_000, "card");
        house.control("POST", "/sandbox/payout", &json!({ "date": date }));
    }
    // Each payment is 100.00 less 2.90 and 0.30.
    let bai2 = statement("bai2", "2026-03-03");
    let bai2 = bai2.as_str().expect("a text");
    let records: Vec<Vec<&str>> = bai2.lines().map(|line| line.trim_end_matches('/').split(',').collect()).collect();
    let kinds: Vec<&str> = records.iter().map(|record| record[0]).collect();
    assert_eq!(kinds, ["01", "02", "03", "16", "16", "49", "98", "99"]);
    assert_eq!((records[2][4], records[2][8]), ("9680", "29040"), "{bai2}");
    let sum = 9680 + 29_040 + 2 * 9680;
    assert_eq!(records[5][1..], [sum.to_string(), "4".to_owned()]);
    assert_eq!(records[6][1..], [sum.to_string(), "1".to_owned(), "6".to_owned()]);
    assert_eq!(records[7][1..], [sum.to_string(), "1".to_owned(), "8".to_owned()]);
    let payouts = house.client.payouts(0, i64::MAX, None).expect("payouts").items;
    let told = payouts.iter().filter(|payout| bai2.contains(&payout.statement_text) && bai2.contains(&payout.payout_ref)).count();
    assert_eq!((payouts.len(), told), (3, 2));
    let camt = statement("camt053", "2026-03-03");
    let camt = camt.as_str().expect("a text");
    for words in
        ["camt.053.001.02", "<NbOfNtries>2</NbOfNtries><Sum>193.60</Sum>", "<Cd>OPBD</Cd></CdOrPrtry></Tp><Amt Ccy=\"USD\">96.80</Amt>", "290.40"]
    {
        assert!(camt.contains(words), "{words}: {camt}");
    }
    let empty = statement("bai2", "2026-03-04");
    assert!(empty.as_str().is_some_and(|text| text.contains("010,29040,,,015,29040")), "{empty}");
    assert_eq!(house.ask("GET", "/sandbox/bank-statement?format=mt940&date=2026-03-03", &Value::Null).0, 400);
    assert_eq!(house.ask("GET", "/sandbox/bank-statement?format=bai2&date=3.3.26", &Value::Null).0, 400);
}
