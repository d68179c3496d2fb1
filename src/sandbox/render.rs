//! What the sandbox's things look like to a caller: the fields of Stripe's objects, of its public reference.

use serde_json::{Value, json};

use super::model::{Dispute, Method, Movement, Payment, PaymentStatus, Payout, Refund, RefundStatus, Session, SessionStatus, SetupIntent, With};
use super::state::State;

pub(super) fn session(state: &State, session: &Session, address: &str) -> Value {
    let status = match session.status {
        SessionStatus::Open => "open",
        SessionStatus::Complete => "complete",
        SessionStatus::Expired => "expired",
    };
    let payment = session.payment.as_deref().and_then(|id| state.payments.get(id));
    let paid = if session.setup {
        "no_payment_required"
    } else if payment.is_some_and(|payment| payment.status == PaymentStatus::Succeeded) {
        "paid"
    } else {
        "unpaid"
    };
    let total = if session.setup { Value::Null } else { json!(session.total_cents()) };
    let url = if session.status == SessionStatus::Open { json!(format!("{address}/c/pay/{}", session.id)) } else { Value::Null };
    // As Stripe does it: the payment is told once the customer has begun it.
    json!({
        "id": session.id, "object": "checkout.session", "after_expiration": null, "amount_subtotal": total, "amount_total": total,
        "automatic_tax": { "enabled": false, "status": null }, "cancel_url": session.cancel_url,
        "client_reference_id": session.client_reference_id, "created": session.created, "currency": session.currency,
        "customer": session.customer, "customer_details": { "email": session.email, "name": null }, "customer_email": session.email,
        "expires_at": session.expires_at, "livemode": false, "locale": null, "metadata": session.metadata,
        "mode": if session.setup { "setup" } else { "payment" }, "payment_intent": session.payment, "payment_link": null,
        "payment_method_types": ["card", "us_bank_account"], "payment_status": paid, "setup_intent": session.setup_intent,
        "status": status, "submit_type": null, "subscription": null, "success_url": session.success_url, "url": url,
    })
}

pub(super) fn payment(payment: &Payment) -> Value {
    let (status, received) = match payment.status {
        PaymentStatus::Waiting => ("requires_payment_method", 0),
        PaymentStatus::Processing => ("processing", 0),
        PaymentStatus::Succeeded => ("succeeded", payment.amount_cents),
        PaymentStatus::Canceled => ("canceled", 0),
    };
    let error = payment.failure.as_ref().map(|(code, words)| {
        let decline = if code == "card_declined" { json!("generic_decline") } else { Value::Null };
        json!({
            "charge": payment.charge, "code": code, "decline_code": decline, "message": words, "type": "card_error",
            "payment_method": { "id": payment.method, "object": "payment_method", "type": type_of(payment.with) },
        })
    });
    let method = if payment.status == PaymentStatus::Waiting { Value::Null } else { json!(payment.method) };
    json!({
        "id": payment.id, "object": "payment_intent", "amount": payment.amount_cents, "amount_capturable": 0,
        "amount_details": { "tip": {} }, "amount_received": received, "application": null, "canceled_at": null,
        "cancellation_reason": if payment.status == PaymentStatus::Canceled { json!("requested_by_customer") } else { Value::Null },
        "capture_method": "automatic", "confirmation_method": "automatic", "created": payment.created, "currency": payment.currency,
        "customer": payment.customer, "description": payment.description, "last_payment_error": error, "latest_charge": payment.charge,
        "livemode": false, "metadata": payment.metadata, "next_action": null, "payment_method": method,
        "payment_method_types": ["card", "us_bank_account"], "processing": null, "receipt_email": null, "review": null,
        "setup_future_usage": null, "statement_descriptor": null, "status": status,
    })
}

pub(super) fn charge(payment: &Payment) -> Value {
    let status = match (payment.status, &payment.failure) {
        (PaymentStatus::Succeeded, _) => "succeeded",
        (PaymentStatus::Processing, _) => "pending",
        _ => "failed",
    };
    let failure = payment.failure.as_ref();
    json!({
        "id": payment.charge, "object": "charge", "amount": payment.amount_cents,
        "amount_captured": if status == "succeeded" { payment.amount_cents } else { 0 }, "amount_refunded": payment.refunded_cents,
        "captured": status == "succeeded", "created": payment.charge_created, "currency": payment.currency, "customer": payment.customer,
        "description": payment.description, "disputed": false, "failure_code": failure.map(|(code, _)| code),
        "failure_message": failure.map(|(_, words)| words), "livemode": false, "metadata": payment.metadata, "paid": status != "failed",
        "payment_intent": payment.id, "payment_method": payment.method, "payment_method_details": details(payment.with),
        "refunded": payment.refunded_cents >= payment.amount_cents, "status": status,
    })
}

pub(super) fn type_of(with: With) -> &'static str {
    if with.is_bank() { "us_bank_account" } else { "card" }
}

/// A way to pay's own fields, as a payment method and a charge hold them.
fn details(with: With) -> Value {
    match with {
        With::Card => {
            json!({ "type": "card", "card": { "brand": "visa", "country": "US", "exp_month": 8, "exp_year": 2034, "funding": "credit", "last4": "4242" } })
        }
        With::Declined => {
            json!({ "type": "card", "card": { "brand": "visa", "country": "US", "exp_month": 8, "exp_year": 2034, "funding": "credit", "last4": "0341" } })
        }
        With::Bank => json!({
            "type": "us_bank_account",
            "us_bank_account": { "account_holder_type": "individual", "account_type": "checking", "bank_name": "Sandbox Bank", "last4": "6789", "routing_number": "110000000" },
        }),
    }
}

pub(super) fn method(method: &Method) -> Value {
    let mut value = json!({ "id": method.id, "object": "payment_method", "created": method.created, "customer": method.customer, "livemode": false, "metadata": {} });
    if let (Some(fields), Value::Object(own)) = (value.as_object_mut(), details(method.with)) {
        fields.extend(own);
    }
    value
}

pub(super) fn setup_intent(setup: &SetupIntent) -> Value {
    json!({
        "id": setup.id, "object": "setup_intent", "created": setup.created, "customer": setup.customer, "description": null,
        "last_setup_error": null, "livemode": false, "metadata": setup.metadata, "next_action": null, "payment_method": setup.method,
        "payment_method_types": ["card", "us_bank_account"], "status": "succeeded", "usage": "off_session",
    })
}

pub(super) fn refund(state: &State, refund: &Refund) -> Value {
    let payment = state.payments.get(&refund.payment);
    let status = match refund.status {
        RefundStatus::Pending => "pending",
        RefundStatus::Succeeded => "succeeded",
        RefundStatus::Failed => "failed",
    };
    let mut value = json!({
        "id": refund.id, "object": "refund", "amount": refund.amount_cents, "balance_transaction": refund.movement,
        "charge": payment.and_then(|payment| payment.charge.clone()), "created": refund.created,
        "currency": payment.map(|payment| payment.currency.clone()), "metadata": refund.metadata, "payment_intent": refund.payment,
        "reason": null, "receipt_number": null, "source_transfer_reversal": null, "status": status, "transfer_reversal": null,
    });
    if let (Some(movement), Some(fields)) = (&refund.failure_movement, value.as_object_mut()) {
        fields.insert("failure_balance_transaction".to_owned(), json!(movement));
        fields.insert("failure_reason".to_owned(), json!("expired_or_canceled_card"));
    }
    value
}

pub(super) fn dispute(state: &State, dispute: &Dispute) -> Value {
    let payment = state.payments.get(&dispute.payment);
    let movements: Vec<Value> =
        dispute.movements.iter().filter_map(|id| state.movements.get(id)).map(|moved| movement(moved, json!(moved.source))).collect();
    json!({
        "id": dispute.id, "object": "dispute", "amount": dispute.amount_cents, "balance_transactions": movements,
        "charge": payment.and_then(|payment| payment.charge.clone()), "created": dispute.created,
        "currency": payment.map(|payment| payment.currency.clone()), "evidence": {}, "is_charge_refundable": dispute.movements.is_empty(),
        "livemode": false, "metadata": {}, "payment_intent": dispute.payment, "reason": dispute.reason, "status": dispute.status,
    })
}

pub(super) fn movement(movement: &Movement, source: Value) -> Value {
    let category = match movement.kind.as_str() {
        "payment" => "charge",
        "payment_refund" => "refund",
        "adjustment" => "dispute",
        other => other,
    };
    json!({
        "id": movement.id, "object": "balance_transaction", "amount": movement.amount_cents, "available_on": movement.created,
        "created": movement.created, "currency": movement.currency, "description": movement.description, "exchange_rate": null,
        "fee": movement.fee_cents, "fee_details": [], "net": movement.amount_cents - movement.fee_cents, "reporting_category": category,
        "source": source, "status": "available", "type": movement.kind,
    })
}

/// The whole thing that a movement came from.
pub(super) fn source(state: &State, movement: &Movement) -> Value {
    let id = movement.source.as_str();
    if let Some(found) = state.refunds.get(id) {
        return refund(state, found);
    }
    if let Some(found) = state.disputes.get(id) {
        return dispute(state, found);
    }
    if let Some(found) = state.payouts.get(id) {
        return payout(found);
    }
    let paid = movement.payment.as_deref().and_then(|id| state.payments.get(id));
    paid.map_or_else(|| json!(id), charge)
}

pub(super) fn payout(payout: &Payout) -> Value {
    json!({
        "id": payout.id, "object": "payout", "amount": payout.amount_cents, "arrival_date": payout.arrival_date, "automatic": true,
        "balance_transaction": payout.movement, "created": payout.created, "currency": payout.currency, "description": "STRIPE PAYOUT",
        "destination": "ba_1SandboxBankAccount", "failure_code": null, "failure_message": null, "livemode": false, "metadata": {},
        "method": "standard", "reconciliation_status": "completed", "source_type": "card", "statement_descriptor": payout.descriptor,
        "status": "paid", "type": "bank_account",
    })
}
