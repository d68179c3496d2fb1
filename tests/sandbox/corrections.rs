//! What providers say later: another amount, a failure after success, money that goes back.

use aquabills::domain::payments::{DisputeFact, PaymentState, RefundFact, What};
use aquabills::sandbox::{Faults, Options};
use serde_json::{Value, json};

use crate::{House, cents, quiet, types};

fn dispute(what: &What) -> &DisputeFact {
    let What::Dispute(fact) = what else { panic!("a dispute: {what:?}") };
    fact
}

fn refund(what: &What) -> &RefundFact {
    let What::Refund(fact) = what else { panic!("a refund: {what:?}") };
    fact
}

/// State, amount and where from of the last fact about a payment.
fn payment(what: &What) -> (PaymentState, i64) {
    let What::Payment(fact) = what else { panic!("a payment: {what:?}") };
    (fact.state, fact.amount.cents())
}

#[test]
fn a_correction_is_a_later_snapshot_with_another_amount() {
    let house = House::one_at_a_time(quiet());
    let name = house.payment(1000, "card");
    house.act(&name, "correct", &json!({ "amount": 900 }));
    let facts = house.facts(4);
    assert_eq!(facts[3].event_type, "payment_intent.succeeded");
    assert_eq!((payment(&facts[2].what), payment(&facts[3].what)), ((PaymentState::Succeeded, 1000), (PaymentState::Succeeded, 900)));
    assert!(facts[3].occurred_at > facts[2].occurred_at && facts[3].event_id != facts[2].event_id);
    house.act(&name, "fail", &Value::Null);
    let facts = house.facts(6);
    assert_eq!(payment(&facts[5].what), (PaymentState::Failed, 900));
    house.act(&name, "settle", &Value::Null);
    assert_eq!(payment(&house.facts(8)[7].what), (PaymentState::Succeeded, 900));
}

#[test]
fn a_bank_debit_is_submitted_and_then_succeeds_or_fails() {
    let house = House::one_at_a_time(quiet());
    let one = house.payment(1000, "bank");
    assert_eq!(payment(&house.facts(3)[2].what).0, PaymentState::Submitted);
    house.act(&one, "settle", &Value::Null);
    assert_eq!(payment(&house.facts(5)[4].what).0, PaymentState::Succeeded);
    let two = house.payment(1000, "bank");
    house.act(&two, "fail", &Value::Null);
    let last = house.facts(10)[9].clone();
    let What::Payment(fact) = &last.what else { panic!("a payment") };
    assert_eq!((fact.state, fact.from_bank), (PaymentState::Failed, true));
    assert!(fact.reason.as_deref().is_some_and(|reason| reason.contains("insufficient funds")));
    assert_eq!(house.ask("POST", &format!("/sandbox/payments/{two}/fail"), &Value::Null).0, 400);
}

#[test]
fn bank_debits_go_on_by_themselves_when_told() {
    let house = House::with(Options { faults: Faults { bank_settles_ms: Some(30), ..quiet() }, workers: 1, ..Options::default() });
    house.payment(1000, "bank");
    assert_eq!(payment(&house.facts(5)[4].what).0, PaymentState::Succeeded);
    house.faults(&Faults { bank_settles_ms: Some(30), bank_fails: true, ..quiet() });
    house.payment(1000, "bank");
    assert_eq!(payment(&house.facts(10)[9].what).0, PaymentState::Failed);
}

#[test]
fn a_bank_checkout_tells_its_end_too() {
    let house = House::one_at_a_time(quiet());
    for (token, action, expected) in
        [("A-1", "settle", "checkout.session.async_payment_succeeded"), ("A-2", "fail", "checkout.session.async_payment_failed")]
    {
        let before = house.receiver.got().len();
        let begun = aquabills::providers::PaymentProvider::start_checkout(&house.client, &crate::order(token, &[("Bill", 1000)])).expect("it begins");
        crate::choose(&begun.url.expect("somewhere to pay"), "bank").expect("it is submitted");
        let facts = house.facts(before + 4);
        assert_eq!(types(&facts[before..]), ["payment_intent.created", "charge.pending", "payment_intent.processing", "checkout.session.completed"]);
        house.act(facts[before].payment_ref.as_deref().expect("a payment"), action, &Value::Null);
        let facts = house.facts(before + 7);
        assert_eq!(facts[before + 6].event_type, expected);
        assert_eq!(facts[before + 6].token.as_deref(), Some(token));
    }
}

#[test]
fn a_chargeback_takes_the_money_and_may_give_it_back() {
    let house = House::one_at_a_time(quiet());
    let name = house.payment(5000, "card");
    house.act(&name, "dispute", &json!({ "reason": "product_not_received" }));
    house.act(&name, "win", &Value::Null);
    let facts = house.facts(7);
    let kinds = ["charge.dispute.created", "charge.dispute.funds_withdrawn", "charge.dispute.closed", "charge.dispute.funds_reinstated"];
    assert_eq!(types(&facts)[3..], kinds);
    let told: Vec<(bool, bool)> = facts[3..].iter().map(|fact| (dispute(&fact.what).withdrawn, dispute(&fact.what).won)).collect();
    assert_eq!(told, [(true, false), (true, false), (true, true), (true, true)]);
    assert!(facts[3..].iter().all(|fact| fact.payment_ref.as_deref() == Some(&name) && dispute(&fact.what).amount == cents(5000)));
    assert_eq!(dispute(&facts[3].what).reason, "product_not_received");
    let lost = house.payment(5000, "card");
    house.act(&lost, "dispute", &json!({ "amount": 2000 }));
    house.act(&lost, "lose", &Value::Null);
    let last = house.facts(13)[12].clone();
    let last = dispute(&last.what);
    assert_eq!((last.withdrawn, last.won, last.amount), (true, false, cents(2000)));
}

#[test]
fn an_inquiry_takes_nothing_until_it_becomes_a_dispute() {
    let house = House::one_at_a_time(quiet());
    let name = house.payment(5000, "card");
    house.act(&name, "dispute", &json!({ "inquiry": true }));
    house.act(&name, "dispute", &Value::Null);
    let facts = house.facts(6);
    assert_eq!(types(&facts)[3..], ["charge.dispute.created", "charge.dispute.updated", "charge.dispute.funds_withdrawn"]);
    let told: Vec<bool> = facts[3..].iter().map(|fact| dispute(&fact.what).withdrawn).collect();
    assert_eq!(told, [false, true, true]);
    let only_asked = house.payment(5000, "card");
    house.act(&only_asked, "dispute", &json!({ "inquiry": true }));
    house.act(&only_asked, "lose", &Value::Null);
    let last = house.facts(11)[10].clone();
    assert_eq!((dispute(&last.what).withdrawn, dispute(&last.what).won), (false, false));
}

#[test]
fn a_refund_that_the_provider_made_can_fail_later() {
    let house = House::one_at_a_time(quiet());
    let name = house.payment(5000, "card");
    house.act(&name, "refund", &json!({ "amount": 1500 }));
    house.act(&name, "fail-refund", &Value::Null);
    let facts = house.facts(7);
    assert_eq!(types(&facts)[3..], ["refund.created", "charge.refunded", "refund.updated", "refund.failed"]);
    let (made, failed) = (refund(&facts[3].what), refund(&facts[6].what));
    assert_eq!((made.token.as_deref(), made.stands, made.settled, made.amount), (None, true, true, cents(1500)));
    assert_eq!((failed.refund_ref.as_str(), failed.stands, failed.settled), (made.refund_ref.as_str(), false, true));
    // What failed can be given back again: all of it.
    assert_eq!(house.act(&name, "refund", &Value::Null)["amount"], 5000);
    let bank = house.payment(3000, "bank");
    house.act(&bank, "settle", &Value::Null);
    house.act(&bank, "refund", &Value::Null);
    house.act(&bank, "settle-refund", &Value::Null);
    let facts = house.facts(17);
    let told: Vec<bool> = [14, 16].iter().map(|index| refund(&facts[*index].what).settled).collect();
    assert_eq!(told, [false, true]);
}

#[test]
fn refunds_fail_by_themselves_when_told() {
    let house = House::one_at_a_time(Faults { refunds_fail_ms: Some(20), ..quiet() });
    let name = house.payment(5000, "card");
    house.act(&name, "refund", &Value::Null);
    let facts = house.facts(7);
    assert!(!refund(&facts[6].what).stands);
}
