//! Calls about one thing: making it, looking at it.

use serde_json::Value;

use super::lists;
use super::params::Params;
use crate::sandbox::acts::{self, NewPayment, Refusal, back};
use crate::sandbox::model::{Line, PaymentStatus, Session, SessionStatus};
use crate::sandbox::render;
use crate::sandbox::state::State;

/// How long a checkout is open, in seconds: as long as Stripe's.
const SESSION_LIFE: i64 = 24 * 3600;

type Answered = Result<Value, Refusal>;

pub(super) fn route(state: &mut State, address: &str, get: bool, path: &str, params: &Params) -> Answered {
    let parts: Vec<&str> = path.split('/').collect();
    match (get, parts.as_slice()) {
        (false, ["checkout", "sessions"]) => create_session(state, address, params),
        (true, ["checkout", "sessions", id]) => Ok(render::session(state, &acts::find_session(state, id)?, address)),
        (false, ["checkout", "sessions", id, "expire"]) => {
            let session = acts::expire_session(state, id)?;
            Ok(render::session(state, &session, address))
        }
        (false, ["payment_intents"]) => create_payment(state, params),
        (true, ["payment_intents"]) => lists::payments(state, params),
        (true, ["payment_intents", id]) => Ok(render::payment(&acts::find_payment(state, id)?)),
        (false, ["payment_intents", id, "cancel"]) => Ok(render::payment(&acts::cancel(state, id)?)),
        (false, ["refunds"]) => create_refund(state, params),
        (true, ["refunds"]) => lists::refunds(state, params),
        (true, ["refunds", id]) => state.refunds.get(id).map(|found| render::refund(state, found)).ok_or_else(|| Refusal::missing("refund", id)),
        (true, ["setup_intents", id]) => state.setups.get(id).map(render::setup_intent).ok_or_else(|| Refusal::missing("setupintent", id)),
        (true, ["payment_methods", id]) => state.methods.get(id).map(render::method).ok_or_else(|| Refusal::missing("PaymentMethod", id)),
        (true, ["events"]) => lists::events(state, params),
        (true, ["events", id]) => lists::event(state, id),
        (true, ["balance_transactions"]) => lists::movements(state, params),
        (true, ["payouts"]) => lists::payouts(state, params),
        (true, ["payouts", id]) => state.payouts.get(id).map(render::payout).ok_or_else(|| Refusal::missing("payout", id)),
        _ => {
            let message = format!("Unrecognized request URL ({}: /v1/{}).", if get { "GET" } else { "POST" }, path.escape_default());
            Err(Refusal { status: 404, kind: "invalid_request_error", code: "url_unknown", message, payment: None })
        }
    }
}

const SESSION_PARAMS: &[&str] = &[
    "mode",
    "client_reference_id",
    "customer",
    "customer_email",
    "customer_creation",
    "currency",
    "success_url",
    "cancel_url",
    "metadata[*]",
    "payment_method_types[*]",
    "line_items[*][quantity]",
    "line_items[*][price_data][currency]",
    "line_items[*][price_data][unit_amount]",
    "line_items[*][price_data][product_data][name]",
    "line_items[*][price_data][product_data][description]",
    "payment_intent_data[metadata][*]",
    "payment_intent_data[description]",
    "setup_intent_data[metadata][*]",
    "setup_intent_data[description]",
    "expires_at",
    "locale",
];

fn create_session(state: &mut State, address: &str, params: &Params) -> Answered {
    params.only(SESSION_PARAMS)?;
    let setup = match params.required("mode")? {
        "payment" => false,
        "setup" => true,
        other => {
            return Err(Refusal::invalid("parameter_invalid_enum", format!("Invalid mode: must be payment or setup, is {}", other.escape_default())));
        }
    };
    let success_url = web_address(params.required("success_url")?)?;
    let cancel_url = params.get("cancel_url").map(web_address).transpose()?;
    let (lines, currency) = if setup { (Vec::new(), params.currency("currency")?) } else { lines(params)? };
    let created = state.now();
    let session = Session {
        id: state.name("cs_test_a1"),
        created,
        expires_at: params.whole("expires_at")?.unwrap_or(created + SESSION_LIFE),
        status: SessionStatus::Open,
        setup,
        lines,
        currency,
        client_reference_id: short(params, "client_reference_id")?,
        metadata: params.metadata("metadata")?,
        intent_metadata: params.metadata(if setup { "setup_intent_data[metadata]" } else { "payment_intent_data[metadata]" })?,
        description: params.text("payment_intent_data[description]"),
        customer: params.text("customer"),
        email: params.text("customer_email"),
        success_url,
        cancel_url,
        payment: None,
        setup_intent: None,
    };
    if !setup {
        acts::check_amount(session.total_cents())?;
    }
    let session = acts::open_session(state, session)?;
    Ok(render::session(state, &session, address))
}

fn short(params: &Params, name: &str) -> Result<Option<String>, Refusal> {
    let value = params.text(name).filter(|value| value.len() > 200);
    value
        .map_or_else(|| Ok(params.text(name)), |_| Err(Refusal::invalid("parameter_invalid_string_long", format!("{name} has at most 200 letters."))))
}

fn web_address(url: &str) -> Result<String, Refusal> {
    let fits = (url.starts_with("https://") || url.starts_with("http://")) && url.len() <= 2048 && !url.chars().any(char::is_control);
    if fits { Ok(url.to_owned()) } else { Err(Refusal::invalid("url_invalid", format!("Not a valid URL: {}", url.escape_default()))) }
}

/// The lines and their one currency.
fn lines(params: &Params) -> Result<(Vec<Line>, String), Refusal> {
    let currency = params.currency("line_items[0][price_data][currency]")?;
    let mut lines = Vec::new();
    for index in 0..100 {
        let name = |field: &str| format!("line_items[{index}][price_data][{field}]");
        if params.get(&name("currency")).is_none() {
            break;
        }
        if params.currency(&name("currency"))? != currency {
            return Err(Refusal::invalid("currency_mismatch", "All lines must have the same currency."));
        }
        let unit_cents = params.required_whole(&name("unit_amount"))?;
        let quantity = params.required_whole(&format!("line_items[{index}][quantity]"))?;
        if !(0..=acts::MOST_CENTS).contains(&unit_cents) || !(1..=1000).contains(&quantity) {
            return Err(Refusal::invalid(
                "parameter_invalid_integer",
                format!("line_items[{index}]: a price is 0 to {} and a quantity 1 to 1000.", acts::MOST_CENTS),
            ));
        }
        lines.push(Line { name: params.required(&name("product_data][name"))?.chars().take(250).collect(), unit_cents, quantity });
    }
    Ok((lines, currency))
}

const PAYMENT_PARAMS: &[&str] =
    &["amount", "currency", "customer", "payment_method", "payment_method_types[*]", "off_session", "confirm", "description", "metadata[*]"];

/// A draw from a saved way to pay: the only payment that a server makes without a checkout.
fn create_payment(state: &mut State, params: &Params) -> Answered {
    params.only(PAYMENT_PARAMS)?;
    let amount_cents = params.required_whole("amount")?;
    let currency = params.currency("currency")?;
    if params.get("confirm") != Some("true") || params.get("off_session") != Some("true") {
        return Err(Refusal::invalid("parameter_missing", "The sandbox makes payments with confirm=true and off_session=true only."));
    }
    let customer = params.required("customer")?.to_owned();
    let method_ref = params.required("payment_method")?;
    let method = state.methods.get(method_ref).cloned().ok_or_else(|| Refusal::missing("PaymentMethod", method_ref))?;
    if method.customer.as_deref() != Some(&customer) {
        return Err(Refusal::invalid("payment_method_customer", "The payment method does not belong to the customer."));
    }
    let kind = params.get("payment_method_types[0]").unwrap_or("card");
    if kind != render::type_of(method.with) {
        return Err(Refusal::invalid("payment_method_type", "The payment method is of a type that is not in payment_method_types."));
    }
    let new = NewPayment {
        amount_cents,
        currency,
        metadata: params.metadata("metadata")?,
        description: params.text("description"),
        customer: Some(customer),
        session: None,
    };
    let payment = acts::begin_payment(state, new, method.with)?;
    let payment = acts::attempt(state, &payment.id, method.with, Some(method.id))?;
    let object = render::payment(&payment);
    if payment.status == PaymentStatus::Waiting {
        let message = "Your card was declined.".to_owned();
        return Err(Refusal { status: 402, kind: "card_error", code: "card_declined", message, payment: Some(object) });
    }
    Ok(object)
}

fn create_refund(state: &mut State, params: &Params) -> Answered {
    params.only(&["payment_intent", "amount", "reason", "metadata[*]"])?;
    let payment = params.required("payment_intent")?;
    let refund = back::refund(state, payment, params.whole("amount")?, params.metadata("metadata")?)?;
    Ok(render::refund(state, &refund))
}
