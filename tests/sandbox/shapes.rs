//! The client against objects in the shape of Stripe's own: the events and answers in `tests/fixtures/stripe`.

use aquabills::domain::payments::{DisputeFact, Fact, PaymentFact, PaymentState, RefundFact, What};
use aquabills::providers::{CheckoutStatus, Draw, MovementKind, PaymentProvider, ProviderError};
use proptest::prelude::*;

use crate::receiver::Receiver;
use crate::{cents, client};

const PAYMENT: &str = "pi_3PLkPfLkdIwHu7ix1yTfYB4q";

fn fixture(name: &str) -> String {
    let path = format!("{}/tests/fixtures/stripe/{name}.json", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn read(name: &str) -> Fact {
    client("https://api.stripe.com").read(fixture(name).as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn refused(body: &str) -> String {
    client("https://api.stripe.com").read(body.as_bytes()).expect_err("it is refused")
}

#[test]
fn payments_say_where_they_stand() {
    let expected = |state, from_bank, reason: Option<&str>| {
        let reason = reason.map(str::to_owned);
        What::Payment(PaymentFact { state, amount: cents(12_345), currency: "USD".to_owned(), made_at: 1_716_890_231, from_bank, reason })
    };
    let unauthorized = "The customer has notified their bank that this payment was unauthorized.";
    for (name, occurred_at, what) in [
        ("payment_intent.created", 1_716_890_231, expected(PaymentState::Created, false, None)),
        ("payment_intent.requires_action", 1_716_890_233, expected(PaymentState::Created, false, None)),
        ("payment_intent.succeeded.card", 1_716_890_234, expected(PaymentState::Succeeded, false, None)),
        ("payment_intent.processing.bank", 1_716_890_236, expected(PaymentState::Submitted, true, None)),
        ("payment_intent.payment_failed.bank", 1_717_149_431, expected(PaymentState::Failed, true, Some(unauthorized))),
        ("payment_intent.canceled", 1_716_976_634, expected(PaymentState::Failed, false, Some("abandoned"))),
    ] {
        let fact = read(name);
        assert_eq!((fact.occurred_at, fact.payment_ref.as_deref(), fact.token.as_deref()), (occurred_at, Some(PAYMENT), Some("A-0193-7")), "{name}");
        assert_eq!(fact.what, what, "{name}");
        assert!(fact.event_id.starts_with("evt_"));
    }
}

#[test]
fn checkouts_say_where_they_stand() {
    let told = |name: &str| {
        let fact = read(name);
        let What::Checkout { session_ref, complete, expired, saves_method } = fact.what else { panic!("{name}: a checkout") };
        assert!(session_ref.starts_with("cs_test_a11YY"));
        assert_eq!(fact.token.as_deref(), Some("A-0193-7"));
        (fact.payment_ref.is_some(), complete, expired, saves_method)
    };
    assert_eq!(told("checkout.session.completed"), (true, true, false, false));
    assert_eq!(told("checkout.session.completed.setup"), (false, true, false, true));
    assert_eq!(told("checkout.session.expired"), (false, false, true, false));
    assert_eq!(told("checkout.session.async_payment_failed"), (true, true, false, false));
}

#[test]
fn refunds_say_whether_they_stand() {
    for (name, stands, settled) in [("refund.created", true, false), ("charge.refund.updated", true, true), ("refund.failed", false, true)] {
        let fact = read(name);
        let refund_ref = "re_3PLkPfLkdIwHu7ix1ZtN5vRb".to_owned();
        let token = Some("R-12".to_owned());
        let expected = RefundFact { refund_ref, token, amount: cents(1000), made_at: 1_717_000_000, stands, settled };
        assert_eq!((fact.what, fact.payment_ref.as_deref(), fact.token), (What::Refund(expected), Some(PAYMENT), None), "{name}");
    }
    assert_eq!(read("charge.refunded").what, What::Nothing);
    assert_eq!(read("customer.created").what, What::Nothing);
}

#[test]
fn disputes_say_whether_the_money_is_gone() {
    for (name, amount, withdrawn, won) in [
        ("charge.dispute.created", 12_345, true, false),
        ("charge.dispute.created.inquiry", 12_345, false, false),
        ("charge.dispute.closed.inquiry", 12_345, false, false),
        ("charge.dispute.funds_withdrawn", 12_345, true, false),
        ("charge.dispute.closed.won", 12_345, true, true),
        ("charge.dispute.funds_reinstated", 12_345, true, true),
        // A part had been refunded before and came back to us.
        ("charge.dispute.closed.lost_in_part", 11_345, true, false),
    ] {
        let fact = read(name);
        let (dispute_ref, reason) = ("du_1PLkQaLkdIwHu7ixNlBIBnvI".to_owned(), "fraudulent".to_owned());
        let expected = DisputeFact { dispute_ref, amount: cents(amount), withdrawn, made_at: 1_717_500_000, won, reason };
        assert_eq!((fact.what, fact.payment_ref.as_deref()), (What::Dispute(expected), Some(PAYMENT)), "{name}");
    }
}

#[test]
fn what_is_not_as_it_should_be_is_told_with_its_place() {
    let event = fixture("payment_intent.succeeded.card");
    let changed = |from: &str, to: &str| {
        assert!(event.contains(from), "{from}");
        refused(&event.replacen(from, to, 1))
    };
    assert!(
        changed("\"amount_received\": 12345", "\"amount_received\": 123.45").contains("event.data.object.amount_received: expected a whole number")
    );
    assert!(changed("\"amount_received\": 12345", "\"amount_received\": 12345.0").contains("whole number"));
    assert!(changed("\"amount_received\": 12345", "\"amount_received\": 99999999999999999999").contains("whole number"));
    assert!(changed("\"amount\": 12345", "\"amount\": \"12345\"").contains("event.data.object.amount: expected a whole number, found another text"));
    assert!(changed("\"currency\": \"usd\"", "\"currency\": \"jpy\"").contains("a currency with two decimals"));
    assert!(changed("\"currency\": \"usd\"", "\"currency\": \"kwd\"").contains("a currency with two decimals"));
    assert!(changed("\"status\": \"succeeded\"", "\"status\": \"glorious\"").contains("'glorious' is not a status"));
    assert!(changed("\"object\": \"payment_intent\"", "\"object\": \"charge\"").contains("expected 'payment_intent'"));
    assert!(changed("\"object\": \"event\"", "\"object\": \"v2.core.event\"").contains("expected 'event'"));
    assert!(changed("\"created\": 1716890234", "\"created\": null").contains("event.created: expected a whole number, found nothing"));
    assert!(changed("\"id\": \"evt_", "\"id\": \"evt /").contains("event.id"));
    for body in ["", "[]", "null", "{", "\u{feff}{}", &"[".repeat(100_000)] {
        refused(body);
    }
}

#[test]
fn movements_say_what_moved() {
    let list = fixture("list.balance_transactions");
    let provider = Receiver::answering(move |_| (200, list.clone()));
    let page = client(&provider.url("")).movements(1_716_800_000, 1_717_600_000, Some("txn_before")).expect("it is understood");
    let told: Vec<(MovementKind, i64, i64, Option<&str>)> =
        page.items.iter().map(|moved| (moved.kind, moved.amount.cents(), moved.fee.cents(), moved.payment_ref.as_deref())).collect();
    let expected = [
        (MovementKind::Payout, -10_617, 0, None),
        (MovementKind::Other, -200, 0, None),
        (MovementKind::Dispute, -12_345, 1500, Some(PAYMENT)),
        (MovementKind::Refund, 1000, 0, Some(PAYMENT)),
        (MovementKind::Refund, -1000, 0, Some(PAYMENT)),
        (MovementKind::Payment, 5000, 40, Some("pi_3PLkSecondLkdIwHu7ix0Bank1")),
        (MovementKind::Payment, 12_345, 388, Some(PAYMENT)),
    ];
    assert_eq!(told, expected);
    assert_eq!(page.items[0].payout_ref.as_deref(), Some("po_1PLlR1LkdIwHu7ixXQf9Y8fG"));
    assert_eq!(page.next.as_deref(), Some("txn_3PLkPfLkdIwHu7ix1SfQ0gJp"));
    let asked = &provider.got()[0];
    assert_eq!(
        asked.line,
        "GET /v1/balance_transactions?created%5Bgte%5D=1716800000&created%5Blt%5D=1717600000&expand%5B0%5D=data.source&limit=100\
         &starting_after=txn_before HTTP/1.1"
    );
    assert_eq!(asked.header("authorization").as_deref(), Some("Bearer sk_test_sandbox"));
    assert_eq!(asked.header("stripe-version").as_deref(), Some("2024-06-20"));
}

#[test]
fn payouts_say_whether_they_came() {
    let list = fixture("list.payouts");
    let provider = Receiver::answering(move |_| (200, list.clone()));
    let page = client(&provider.url("")).payouts(0, 1, None).expect("it is understood");
    let told: Vec<(bool, bool, &str)> = page.items.iter().map(|payout| (payout.paid, payout.failed, payout.statement_text.as_str())).collect();
    assert_eq!(told, [(true, false, "STRIPE PAYOUT"), (false, true, "MILLBROOK"), (false, false, "STRIPE PAYOUT")]);
    assert_eq!((page.items[0].amount, page.items[0].arrives_at, page.next), (cents(10_617), 1_717_113_600, None));
}

#[test]
fn a_saved_way_to_pay_is_known_by_its_label() {
    for (method, label) in [("payment_method.us_bank_account", "STRIPE TEST BANK ending 6789"), ("payment_method.card", "Visa ending 4242")] {
        let provider = Receiver::answering(move |got| {
            let name = if got.line.contains("/setup_intents/") {
                "setup_intent"
            } else if got.line.contains("/payment_methods/") {
                method
            } else {
                "checkout.session.setup"
            };
            (200, fixture(name))
        });
        let session = client(&provider.url("")).checkout("cs_test_a11YY").expect("it is understood");
        let saved = session.method.expect("it is saved");
        assert_eq!((saved.label.as_str(), saved.customer_ref.as_str()), (label, "cus_QC7cZJpmxA5uTq"));
        assert_eq!((session.status, session.payment_ref), (CheckoutStatus::Complete, None));
    }
}

#[test]
fn a_checkout_is_begun_in_stripes_words() {
    let provider = Receiver::answering(|_| (200, fixture("checkout.session.open")));
    let session = client(&provider.url("")).start_checkout(&crate::order("A-0193-7", &[("Bill 12 & more", 12_345)])).expect("it begins");
    assert!(session.url.is_some_and(|url| url.starts_with("https://checkout.stripe.com/c/pay/")));
    let asked = &provider.got()[0];
    assert_eq!(asked.header("idempotency-key").as_deref(), Some("checkout-A-0193-7"));
    assert_eq!(asked.header("content-type").as_deref(), Some("application/x-www-form-urlencoded"));
    let expected = "mode=payment&client_reference_id=A-0193-7&metadata%5Btoken%5D=A-0193-7\
        &success_url=http%3A%2F%2Fpay.example%2Fback%3Fsession%3D%7BCHECKOUT_SESSION_ID%7D&cancel_url=http%3A%2F%2Fpay.example%2Fcancel\
        &customer_email=payer%40town.example&line_items%5B0%5D%5Bprice_data%5D%5Bcurrency%5D=usd\
        &line_items%5B0%5D%5Bprice_data%5D%5Bproduct_data%5D%5Bname%5D=Bill%2012%20%26%20more\
        &line_items%5B0%5D%5Bprice_data%5D%5Bunit_amount%5D=12345&line_items%5B0%5D%5Bquantity%5D=1\
        &payment_intent_data%5Bmetadata%5D%5Btoken%5D=A-0193-7";
    assert_eq!(asked.text(), expected);
}

#[test]
fn a_declined_draw_is_refused_with_the_banks_reason() {
    let provider = Receiver::answering(|got| match got.line.split(' ').next() {
        Some("POST") => (402, fixture("error.card_declined")),
        _ if got.line.contains("/payment_methods/") => (200, fixture("payment_method.card")),
        _ => (200, "{\"object\":\"list\",\"data\":[],\"has_more\":false}".to_owned()),
    });
    let draw = Draw {
        token: "D-17".to_owned(),
        customer_ref: "cus_QC7cZJpmxA5uTq".to_owned(),
        method_ref: "pm_1PLkQ0LkdIwHu7ixYbA7DqSD".to_owned(),
        amount: cents(12_345),
        currency: "USD".to_owned(),
        description: "Bill".to_owned(),
    };
    let error = client(&provider.url("")).draw(&draw).expect_err("it is declined");
    assert!(matches!(&error, ProviderError::Refused { code, .. } if code == "insufficient_funds"), "{error}");
    assert!(provider.got().last().is_some_and(|got| got.text().contains("off_session=true&confirm=true")));
}

proptest! {
    /// Whatever is cut out of an event, it is read or refused.
    #[test]
    fn broken_events_never_stop_the_program(name in prop::sample::select(vec![
        "payment_intent.succeeded.card", "checkout.session.completed", "refund.failed", "charge.dispute.closed.won",
    ]), from in any::<prop::sample::Index>(), length in 0usize..40, put in "[\\{\\}\\[\\]\",:0-9a-z-]{0,6}") {
        let mut text = fixture(name).into_bytes();
        let from = from.index(text.len());
        let to = (from + length).min(text.len());
        text.splice(from..to, put.into_bytes());
        let _ = client("https://api.stripe.com").read(&text);
    }
}
