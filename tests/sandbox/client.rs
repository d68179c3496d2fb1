//! What the client asks and the sandbox answers, call by call.

use aquabills::domain::payments::{PaymentState, What};
use aquabills::providers::{CheckoutStatus, Draw, MovementKind, PaymentProvider, ProviderError, RefundOrder};
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::{House, cents, choose, order, quiet, types};

fn draw(token: &str, (customer_ref, method_ref): (String, String), amount: i64) -> Draw {
    Draw {
        token: token.to_owned(),
        customer_ref,
        method_ref,
        amount: cents(amount),
        currency: "USD".to_owned(),
        description: "Water bill 12".to_owned(),
    }
}

fn state(what: &What) -> PaymentState {
    let What::Payment(fact) = what else { panic!("a payment: {what:?}") };
    fact.state
}

#[test]
fn a_checkout_is_begun_paid_and_told() {
    let house = House::one_at_a_time(quiet());
    let begun = house.client.start_checkout(&order("A-1", &[("Bill 12 & late fee", 12_345), ("Bill 13", 55)])).expect("it begins");
    assert_eq!((begun.status, begun.payment_ref.as_deref()), (CheckoutStatus::Open, None));
    let url = begun.url.expect("somewhere to pay");
    let place = choose(&url, "card").expect("it is paid");
    assert_eq!(place, format!("http://pay.example/back?session={}", begun.session_ref));
    let paid = house.client.checkout(&begun.session_ref).expect("it is looked at");
    assert_eq!((paid.status, paid.url), (CheckoutStatus::Complete, None));
    let payment = paid.payment_ref.expect("a payment");
    let facts = house.facts(4);
    assert_eq!(types(&facts), ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded", "checkout.session.completed"]);
    let What::Payment(fact) = &facts[2].what else { panic!("a payment") };
    assert_eq!((fact.state, fact.amount, fact.currency.as_str(), fact.from_bank), (PaymentState::Succeeded, cents(12_400), "USD", false));
    assert_eq!(fact.made_at, house.now());
    assert!(facts.iter().filter(|fact| fact.what != What::Nothing).all(|fact| fact.payment_ref.as_deref() == Some(&payment)));
    assert!(facts.iter().filter(|fact| fact.what != What::Nothing).all(|fact| fact.token.as_deref() == Some("A-1")));
    let times: Vec<i64> = facts.iter().map(|fact| fact.occurred_at).collect();
    assert!(times.is_sorted_by(|one, next| one < next), "{times:?}");
}

#[test]
fn the_same_order_again_is_the_same_checkout() {
    let house = House::new();
    let one = house.client.start_checkout(&order("A-1", &[("Bill 12", 1000)])).expect("it begins");
    let again = house.client.start_checkout(&order("A-1", &[("Bill 12", 1000)])).expect("it is the same");
    assert_eq!(one, again);
    let other = house.client.start_checkout(&order("A-1", &[("Bill 12", 1001)])).expect_err("another order under the same name");
    assert!(matches!(&other, ProviderError::Refused { code, .. } if code == "idempotency_key_in_use"), "{other}");
    assert!(!other.may_pass());
}

#[test]
fn what_cannot_be_paid_is_refused() {
    let house = House::new();
    let refused = |lines: &[(&str, i64)], currency: &str| {
        let order = aquabills::providers::CheckoutOrder { currency: currency.to_owned(), ..order("A-1", lines) };
        house.client.start_checkout(&order).expect_err("it is refused").to_string()
    };
    assert!(refused(&[], "USD").contains("expected 1 to 100"));
    assert!(refused(&[("Credit", -100), ("Bill", 500)], "USD").contains("expected more than nothing"));
    assert!(refused(&[("Bill", 49)], "USD").contains("at least 50"));
    assert!(refused(&[("Bill", 100_000_000)], "USD").contains("quantity"), "one line too large");
    assert!(refused(&[("Bill", 60_000_000), ("Bill", 60_000_000)], "USD").contains("no more than"));
    assert!(refused(&[("Bill", 500)], "JPY").contains("currency"));
}

#[test]
fn a_declined_card_can_be_followed_by_another() {
    let house = House::one_at_a_time(quiet());
    let begun = house.client.start_checkout(&order("A-1", &[("Bill 12", 1000)])).expect("it begins");
    let url = begun.url.expect("somewhere to pay");
    let page = choose(&url, "declined").expect_err("the customer stays");
    assert!(page.contains("Your card was declined"), "{page}");
    assert_eq!(house.client.checkout(&begun.session_ref).expect("it is looked at").status, CheckoutStatus::Open);
    choose(&url, "card").expect("it is paid");
    let facts = house.telling(6);
    let states: Vec<PaymentState> = facts.iter().filter(|fact| matches!(fact.what, What::Payment(_))).map(|fact| state(&fact.what)).collect();
    assert_eq!(states, [PaymentState::Created, PaymentState::Failed, PaymentState::Succeeded]);
    let page = choose(&url, "card").expect_err("paid is paid");
    assert!(page.contains("Nothing is paid twice"), "{page}");
    assert_eq!(house.receiver.got().len(), 6);
}

#[test]
fn a_way_to_pay_is_saved_and_drawn_from() {
    let house = House::one_at_a_time(quiet());
    let saving = aquabills::providers::CheckoutOrder { save_method: true, ..order("M-1", &[]) };
    let begun = house.client.start_checkout(&saving).expect("it begins");
    choose(&begun.url.expect("somewhere to save"), "bank").expect("it is saved");
    let method = house.client.checkout(&begun.session_ref).expect("it is looked at").method.expect("it was saved");
    assert_eq!(method.label, "Sandbox Bank ending 6789");
    let facts = house.facts(3);
    let What::Checkout { complete, saves_method, .. } = &facts[2].what else { panic!("a checkout") };
    assert_eq!((facts[2].token.as_deref(), *complete, *saves_method), (Some("M-1"), true, true));
    let wanted = draw("D-1", (method.customer_ref, method.method_ref), 4200);
    let payment = house.client.draw(&wanted).expect("it is drawn");
    assert_eq!(house.client.draw(&wanted).expect("it is the same"), payment);
    let facts = house.telling(6);
    assert_eq!(state(&facts.last().expect("a fact").what), PaymentState::Submitted);
    house.act(&payment, "settle", &Value::Null);
    let facts = house.telling(8);
    let What::Payment(fact) = &facts.last().expect("a fact").what else { panic!("a payment") };
    assert_eq!((fact.state, fact.amount, fact.from_bank), (PaymentState::Succeeded, cents(4200), true));
    assert_eq!(facts.last().and_then(|fact| fact.token.as_deref()), Some("D-1"));
}

#[test]
fn a_draw_is_one_draw_even_after_its_key_was_forgotten() {
    let house = House::new();
    let wanted = draw("D-1", house.way_to_pay("card"), 4200);
    let payment = house.client.draw(&wanted).expect("it is drawn");
    house.later(TimeDelta::hours(49));
    assert_eq!(house.client.draw(&wanted).expect("it is the same"), payment);
    let payments = house.control("GET", "/sandbox/payments", &Value::Null);
    assert_eq!(payments.as_array().expect("a list").len(), 1);
}

#[test]
fn a_declined_draw_stays_declined() {
    let house = House::new();
    let wanted = draw("D-1", house.way_to_pay("declined"), 4200);
    for hours in [0, 1, 30] {
        house.later(TimeDelta::hours(hours));
        let error = house.client.draw(&wanted).expect_err("it is declined");
        assert!(matches!(&error, ProviderError::Refused { code, reason, .. } if code == "generic_decline" && reason.contains("declined")), "{error}");
        assert!(!error.may_pass());
    }
    let payments = house.control("GET", "/sandbox/payments", &Value::Null);
    assert_eq!(payments.as_array().expect("a list").len(), 1);
}

#[test]
fn draws_that_make_no_sense_are_refused() {
    let house = House::new();
    let (customer, method) = house.way_to_pay("card");
    let (other_customer, _) = house.way_to_pay("card");
    let refused = |draw: Draw| match house.client.draw(&draw) {
        Err(ProviderError::Refused { code, .. }) => code,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(draw("D-1", (customer.clone(), method.clone()), 0)), "amount");
    assert_eq!(refused(draw("D-1", (customer.clone(), method.clone()), 10)), "amount_too_small");
    assert_eq!(refused(draw("D-1", (customer.clone(), "pm_none".to_owned()), 500)), "resource_missing");
    assert_eq!(refused(draw("D-1", (customer, "../events".to_owned()), 500)), "reference");
    assert_eq!(refused(draw("D-1", (other_customer, method), 500)), "payment_method_customer");
}

#[test]
fn money_is_given_back_once() {
    let house = House::one_at_a_time(quiet());
    let payment = house.payment(10_000, "card");
    let wanted = RefundOrder { token: "R-1".to_owned(), payment_ref: payment.clone(), amount: cents(2500) };
    let refund = house.client.refund(&wanted).expect("it is given back");
    assert_eq!(house.client.refund(&wanted).expect("it is the same"), refund);
    let too_much = RefundOrder { token: "R-2".to_owned(), amount: cents(7501), ..wanted.clone() };
    let error = house.client.refund(&too_much).expect_err("it is too much");
    assert!(matches!(&error, ProviderError::Refused { code, .. } if code == "amount_too_large"), "{error}");
    let facts = house.facts(5);
    assert_eq!(types(&facts)[3..], ["refund.created", "charge.refunded"]);
    let What::Refund(fact) = &facts[3].what else { panic!("a refund") };
    assert_eq!((fact.refund_ref.as_str(), fact.token.as_deref(), fact.amount), (refund.as_str(), Some("R-1"), cents(2500)));
    assert_eq!((fact.stands, fact.settled, facts[3].payment_ref.as_deref()), (true, true, Some(payment.as_str())));
    assert_eq!(facts[4].what, What::Nothing);
    house.later(TimeDelta::hours(30));
    assert_eq!(house.client.refund(&wanted).expect("it is the same after a day"), refund);
    assert_eq!(house.receiver.got().len(), 5);
}

#[test]
fn events_are_listed_page_by_page_as_they_were_delivered() {
    let house = House::one_at_a_time(quiet());
    let since = house.now();
    for _ in 0..50 {
        house.payment(1000, "card");
    }
    let delivered = house.receiver.wait_for(150);
    let first = house.client.events(since, None).expect("a page");
    assert_eq!(first.items.len(), 100);
    let second = house.client.events(since, first.next.as_deref()).expect("the next page");
    assert_eq!((second.items.len(), second.next), (50, None));
    let mut listed: Vec<Value> = first.items.iter().chain(&second.items).map(|event| serde_json::from_slice(&event.body).expect("JSON")).collect();
    listed.reverse();
    assert_eq!(listed, delivered.iter().map(crate::Got::json).collect::<Vec<_>>());
    assert!(first.items.iter().all(|event| house.client.read(&event.body).is_ok_and(|fact| fact.event_id == event.event_id)));
    assert_eq!(house.client.events(since + 3600, None).expect("a page").items, []);
}

#[test]
fn what_moved_adds_up_to_what_was_paid_out() {
    let house = House::new();
    let card = house.payment(12_345, "card");
    let bank = house.payment(100_000, "bank");
    house.act(&bank, "settle", &Value::Null);
    house.act(&card, "refund", &json!({ "amount": 345 }));
    house.act(&bank, "dispute", &json!({ "amount": 5000 }));
    house.act(&bank, "win", &Value::Null);
    house.act(&card, "correct", &json!({ "amount": 12_000 }));
    let paid_out = house.control("POST", "/sandbox/payout", &json!({ "date": "2026-02-03" }));
    let from = 1_770_076_800;
    let payouts = house.client.payouts(from, from + 86_400, None).expect("payouts").items;
    let [payout] = payouts.as_slice() else { panic!("one payout: {payouts:?}") };
    assert_eq!((payout.arrives_at, payout.paid, payout.failed, payout.currency.as_str()), (from, true, false, "USD"));
    assert_eq!(json!(payout.payout_ref), paid_out["id"]);
    assert!(payout.statement_text.starts_with("ST-"));
    let brought = house.client.payout_movements(&payout.payout_ref, None).expect("movements").items;
    assert_eq!(brought.iter().map(|movement| movement.amount.cents() - movement.fee.cents()).sum::<i64>(), payout.amount.cents());
    let told: Vec<(MovementKind, i64, i64, bool)> = brought
        .iter()
        .rev()
        .map(|moved| (moved.kind, moved.amount.cents(), moved.fee.cents(), moved.payment_ref.as_deref() == Some(&card)))
        .collect();
    let expected = [
        // 2.9 % of 123.45 is 3.580…, and 30.
        (MovementKind::Payment, 12_345, 388, true),
        // 0.8 %, at most 5.00.
        (MovementKind::Payment, 100_000, 500, false),
        (MovementKind::Refund, -345, 0, true),
        (MovementKind::Dispute, -5000, 1500, false),
        (MovementKind::Dispute, 5000, 0, false),
        (MovementKind::Payment, -345, 0, true),
    ];
    assert_eq!(told, expected);
    let all = house.client.movements(house.now() - 10, house.now() + 10, None).expect("movements").items;
    assert_eq!(all.len(), 7);
    assert_eq!(
        (all[0].kind, all[0].amount, all[0].payout_ref.as_deref()),
        (MovementKind::Payout, cents(-payout.amount.cents()), Some(payout.payout_ref.as_str()))
    );
    assert!(house.client.movements(house.now() + 10, house.now() + 20, None).expect("movements").items.is_empty());
    assert!(house.client.payouts(from + 86_400, from + 2 * 86_400, None).expect("payouts").items.is_empty());
}
