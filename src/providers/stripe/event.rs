//! What an event of Stripe says: from its body to a [`Fact`].
//!
//! A fact is about one thing: the payment, the refund, the dispute or the checkout that the event holds as it was at that
//! moment. Charges tell nothing that their payment does not tell, so events about them mean nothing to us.

use serde_json::Value;

use super::node::Node;
use crate::domain::money::Money;
use crate::domain::payments::{DisputeFact, Fact, PaymentFact, PaymentState, RefundFact, What};
use crate::providers::Glimpse;

/// Ways to pay that take the money from a bank account.
const FROM_BANK: &[&str] = &["us_bank_account", "sepa_debit", "bacs_debit", "acss_debit", "au_becs_debit", "nz_bank_account", "customer_balance"];

pub(super) fn read(body: &[u8]) -> Result<Fact, String> {
    let json: Value = serde_json::from_slice(body).map_err(|error| format!("expected JSON: {error}"))?;
    let event = Node::root("event", &json);
    if event.get("object").text_or_empty() != "event" {
        return Err("event.object: expected 'event'".to_owned());
    }
    let event_id = event.get("id").id()?;
    let event_type = event.get("type").text()?;
    if event_type.is_empty() || event_type.len() > 100 || !event_type.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("event.type: expected 1 to 100 letters".to_owned());
    }
    let occurred_at = event.get("created").whole()?;
    let said = what(event_type, &event.get("data").get("object"))?;
    Ok(Fact { event_id, event_type: event_type.to_owned(), occurred_at, payment_ref: said.payment_ref, token: said.token, what: said.what })
}

/// Which event it is and whom it is about, also when it says something that is new to us.
pub(super) fn glimpse(body: &[u8]) -> Glimpse {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let event = Node::root("event", &json);
    let object = event.get("data").get("object");
    let is_payment = object.get("object").text_or_empty() == "payment_intent";
    Glimpse {
        event_id: event.get("id").id().ok(),
        event_type: event.get("type").id().ok(),
        occurred_at: event.get("created").whole().ok(),
        payment_ref: object.get(if is_payment { "id" } else { "payment_intent" }).id().ok(),
        token: token(&object),
    }
}

struct Said {
    payment_ref: Option<String>,
    token: Option<String>,
    what: What,
}

impl Said {
    fn nothing() -> Self {
        Self { payment_ref: None, token: None, what: What::Nothing }
    }
}

fn what(event_type: &str, object: &Node<'_>) -> Result<Said, String> {
    match event_type.split_once('.') {
        Some(("payment_intent", _)) => payment(object),
        Some(("checkout", rest)) if rest.starts_with("session.") => checkout(object),
        Some(("refund", _) | ("charge", "refund.updated")) => refund(object),
        Some(("charge", rest)) if rest.starts_with("dispute.") => dispute(event_type, object),
        _ => Ok(Said::nothing()),
    }
}

/// Fails unless the event holds what its type promises.
fn holds(object: &Node<'_>, kind: &str) -> Result<(), String> {
    if object.get("object").text_or_empty() == kind { Ok(()) } else { Err(format!("{}: expected '{kind}'", object.get("object").path())) }
}

/// Our own name, where we gave one.
fn token(object: &Node<'_>) -> Option<String> {
    let found = [object.get("client_reference_id"), object.get("metadata").get("token")];
    let ours = |text: &&str| (1..=200).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    found.iter().map(Node::text_or_empty).find(ours).map(str::to_owned)
}

fn payment(object: &Node<'_>) -> Result<Said, String> {
    holds(object, "payment_intent")?;
    let amount = object.get("amount").money()?;
    let error = object.get("last_payment_error");
    let state = match object.get("status").text()? {
        "succeeded" => PaymentState::Succeeded,
        "processing" | "requires_capture" => PaymentState::Submitted,
        "canceled" => PaymentState::Failed,
        // After a failure the payer may try again with another card: Stripe says so with the same status as at the beginning.
        "requires_payment_method" if !error.is_null() => PaymentState::Failed,
        "requires_payment_method" | "requires_confirmation" | "requires_action" => PaymentState::Created,
        other => return Err(format!("{}: '{}' is not a status that we know", object.get("status").path(), other.escape_default())),
    };
    let reasons = match state {
        PaymentState::Failed => [error.get("message"), error.get("code"), object.get("cancellation_reason")].to_vec(),
        _ => Vec::new(),
    };
    let received = object.get("amount_received");
    let fact = PaymentFact {
        state,
        amount: if state == PaymentState::Succeeded && !received.is_null() { received.money()? } else { amount },
        currency: object.get("currency").currency()?,
        made_at: object.get("created").whole()?,
        from_bank: from_bank(object, &error),
        reason: reasons.iter().map(Node::text_or_empty).find(|text| !text.is_empty()).map(shown),
    };
    Ok(Said { payment_ref: Some(object.get("id").id()?), token: token(object), what: What::Payment(fact) })
}

/// Somebody else's words, as they can be stored and shown.
fn shown(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(500).collect()
}

/// Whether the money comes from a bank account. A payment names the ways that are allowed, not the one that was taken, but
/// names of charges tell: `py_` are those that no card made.
fn from_bank(object: &Node<'_>, error: &Node<'_>) -> bool {
    let allowed = object.get("payment_method_types").items().unwrap_or_default();
    let only_banks = !allowed.is_empty() && allowed.iter().all(|kind| FROM_BANK.contains(&kind.text_or_empty()));
    let taken = [object.get("payment_method").get("type"), error.get("payment_method").get("type")];
    let known = taken.iter().map(Node::text_or_empty).find(|kind| !kind.is_empty());
    let no_card = object.get("latest_charge").id().is_ok_and(|charge| charge.starts_with("py_"));
    known.map_or(only_banks || no_card, |kind| FROM_BANK.contains(&kind))
}

fn checkout(object: &Node<'_>) -> Result<Said, String> {
    holds(object, "checkout.session")?;
    let status = object.get("status").text()?;
    let what = What::Checkout {
        session_ref: object.get("id").id()?,
        complete: status == "complete",
        expired: status == "expired",
        saves_method: object.get("mode").text()? == "setup",
    };
    Ok(Said { payment_ref: object.get("payment_intent").id_opt()?, token: token(object), what })
}

fn refund(object: &Node<'_>) -> Result<Said, String> {
    holds(object, "refund")?;
    let Some(payment_ref) = object.get("payment_intent").id_opt()? else { return Ok(Said::nothing()) };
    let (stands, settled) = match object.get("status").text()? {
        "pending" | "requires_action" => (true, false),
        "succeeded" => (true, true),
        "failed" | "canceled" => (false, true),
        other => return Err(format!("{}: '{}' is not a status that we know", object.get("status").path(), other.escape_default())),
    };
    object.get("currency").currency()?;
    let fact = RefundFact {
        refund_ref: object.get("id").id()?,
        token: token(object),
        amount: object.get("amount").money()?,
        made_at: object.get("created").whole()?,
        stands,
        settled,
    };
    Ok(Said { payment_ref: Some(payment_ref), token: None, what: What::Refund(fact) })
}

fn dispute(event_type: &str, object: &Node<'_>) -> Result<Said, String> {
    holds(object, "dispute")?;
    let Some(payment_ref) = object.get("payment_intent").id_opt()? else { return Ok(Said::nothing()) };
    object.get("currency").currency()?;
    let (withdrawn, amount) = taken_back(event_type, object)?;
    let fact = DisputeFact {
        dispute_ref: object.get("id").id()?,
        amount,
        withdrawn,
        made_at: object.get("created").whole()?,
        won: object.get("status").text()? == "won",
        reason: shown(object.get("reason").text_or_empty()),
    };
    Ok(Said { payment_ref: Some(payment_ref), token: None, what: What::Dispute(fact) })
}

/// Whether money was taken from us, and how much. The dispute's own movements tell it exactly: none yet for an inquiry
/// (`warning_…`) or a dispute that was prevented; a part may have come back although the dispute was lost.
fn taken_back(event_type: &str, object: &Node<'_>) -> Result<(bool, Money), String> {
    let status = object.get("status").text()?;
    let amount = object.get("amount").money()?;
    let movements = object.get("balance_transactions");
    let listed = if movements.is_null() { Vec::new() } else { movements.items()? };
    let moved = listed.iter().map(|movement| movement.get("amount").money()).collect::<Result<Vec<_>, _>>()?;
    let net = Money::checked_sum(moved.iter().copied()).ok_or_else(|| format!("{}: too large an amount", movements.path()))?;
    let any_taken = moved.iter().any(|amount| *amount < Money::ZERO);
    if status == "won" {
        return Ok((any_taken || movements.is_null(), amount));
    }
    if any_taken {
        // Movements may be in the currency of our account and the dispute in that of the payer: then they tell only whether.
        let same_currency = listed.iter().all(|movement| movement.get("currency").text_or_empty() == object.get("currency").text_or_empty());
        let lost = Money::from_cents(net.cents().saturating_neg());
        return Ok((lost > Money::ZERO, if same_currency && lost > Money::ZERO { lost } else { amount }));
    }
    let nothing_taken = status.starts_with("warning") || status == "prevented";
    let told = event_type == "charge.dispute.funds_withdrawn" || status == "lost" || (movements.is_null() && !nothing_taken);
    Ok((told, amount))
}
