//! Stripe: Checkout, `PaymentIntents`, refunds, events, balance transactions and payouts, as Stripe's public reference
//! describes them. The sandbox answers to the same calls.
//!
//! What belongs here: what we ask Stripe for and what its answers mean. How a call is made is in [`call`], what an event
//! says in [`event`], who signed it in [`signature`].

mod call;
mod event;
mod node;
mod signature;

use serde_json::Value;

use self::call::{Caller, Form, Method};
use self::node::Node;
use super::{
    BalanceMovement, CheckoutOrder, CheckoutSession, CheckoutStatus, Draw, Glimpse, ListedEvent, MovementKind, Page, PaymentProvider, Payout,
    ProviderError, RefundOrder, SavedMethod, SignatureError,
};
use crate::config::{ProviderSettings, Secret};
use crate::domain::money::Money;
use crate::domain::payments::Fact;

/// How many things of a list are asked for at once: as many as Stripe gives.
const PAGE: &str = "100";

/// An account with Stripe, or with whoever speaks its interface.
pub struct Stripe {
    name: String,
    merchant: String,
    /// Those that are active, or which are missing.
    secrets: Result<Vec<Secret>, String>,
    tolerance: u64,
    least: Money,
    caller: Caller,
}

impl Stripe {
    /// Opens it by its settings; nothing is called yet.
    #[must_use]
    pub fn open(settings: &ProviderSettings) -> Self {
        Self {
            name: settings.name.clone(),
            merchant: settings.merchant.clone(),
            secrets: settings.callback_secrets(),
            tolerance: u64::from(settings.tolerance_seconds),
            least: Money::from_cents(i64::from(settings.least_amount_cents)),
            caller: Caller::new(settings, settings.key()),
        }
    }

    /// What is wrong with an answer.
    fn unreadable(&self, reason: String) -> ProviderError {
        ProviderError::Unreadable { provider: self.name.clone(), reason }
    }

    /// What we do not even send.
    fn refused(&self, code: &str, reason: String) -> ProviderError {
        ProviderError::Refused { provider: self.name.clone(), code: code.to_owned(), reason }
    }

    fn get(&self, path: &str, query: Form) -> Result<Value, ProviderError> {
        self.caller.call(Method::Get, path, &query, None)
    }

    /// Asks for one page of a list and reads each of its things.
    fn list<T>(&self, path: &str, query: Form, after: Option<&str>, read: impl Fn(&Node<'_>) -> Result<T, String>) -> Result<Page<T>, ProviderError> {
        let mut query = query.and("limit", PAGE);
        if let Some(after) = after {
            query = query.and("starting_after", after);
        }
        let answer = self.get(path, query)?;
        read_page(&answer, read).map_err(|reason| self.unreadable(reason))
    }

    /// The first thing of a list (all pages, at most a thousand things) that bears our token. Stripe forgets an idempotency
    /// key after a day; we try again for three.
    fn find_by_token(&self, path: &str, query: &Form, token: &str) -> Result<Option<Value>, ProviderError> {
        let mut after = None;
        for _ in 0..10 {
            let page = self.list(path, query.clone(), after.as_deref(), |node| Ok(node.value().clone()))?;
            let ours = |value: &Value| value.pointer("/metadata/token").and_then(Value::as_str) == Some(token);
            if let Some(found) = page.items.into_iter().find(ours) {
                return Ok(Some(found));
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        Ok(None)
    }

    /// What a payment that exists says to whoever draws: its name, or that it was declined.
    fn drawn(&self, payment: &Value) -> Result<String, ProviderError> {
        let node = Node::root("payment_intent", payment);
        let error = node.get("last_payment_error");
        if node.get("status").text_or_empty() == "requires_payment_method" && !error.is_null() {
            let code = [error.get("decline_code"), error.get("code")].iter().map(Node::text_or_empty).find(|text| !text.is_empty());
            return Err(self.refused(code.unwrap_or("declined"), error.get("message").text_or_empty().to_owned()));
        }
        node.get("id").id().map_err(|reason| self.unreadable(reason))
    }

    /// Which type of way to pay a draw is from: said with the draw, so that Stripe does not ask where the payer could be sent to.
    fn method_type(&self, method_ref: &str) -> Result<String, ProviderError> {
        let path = call::path("/v1/payment_methods", method_ref).map_err(|reason| self.refused("reference", reason))?;
        let method = self.get(&path, Form::new())?;
        let kind = Node::root("payment_method", &method).get("type").text().map(str::to_owned);
        kind.map_err(|reason| self.unreadable(reason))
    }

    /// A session's saved way to pay: the session names a set-up, the set-up the way to pay.
    fn saved_method(&self, session: &Node<'_>) -> Result<Option<SavedMethod>, ProviderError> {
        let Some(setup_ref) = session.get("setup_intent").id_opt().map_err(|reason| self.unreadable(reason))? else { return Ok(None) };
        let setup = self.get(&format!("/v1/setup_intents/{setup_ref}"), Form::new())?;
        let setup = Node::root("setup_intent", &setup);
        if setup.get("status").text_or_empty() != "succeeded" {
            return Ok(None);
        }
        let read = || -> Result<(String, String), String> {
            let customer = setup.get("customer").id_opt()?.map_or_else(|| session.get("customer").id(), Ok)?;
            Ok((customer, setup.get("payment_method").id()?))
        };
        let (customer_ref, method_ref) = read().map_err(|reason| self.unreadable(reason))?;
        let method = self.get(&format!("/v1/payment_methods/{method_ref}"), Form::new())?;
        Ok(Some(SavedMethod { customer_ref, method_ref, label: label(&Node::root("payment_method", &method)) }))
    }

    fn session(&self, answer: &Value) -> Result<CheckoutSession, ProviderError> {
        let node = Node::root("checkout.session", answer);
        let mut session = read_session(&node).map_err(|reason| self.unreadable(reason))?;
        if session.status == CheckoutStatus::Complete && node.get("mode").text_or_empty() == "setup" {
            session.method = self.saved_method(&node)?;
        }
        Ok(session)
    }
}

impl PaymentProvider for Stripe {
    fn name(&self) -> &str {
        &self.name
    }

    fn merchant(&self) -> &str {
        &self.merchant
    }

    fn least_amount(&self) -> Money {
        self.least
    }

    fn ready(&self) -> Result<(), String> {
        self.caller.ready()?;
        self.secrets.as_ref().map(|_| ()).map_err(Clone::clone)
    }

    fn verify(&self, body: &[u8], header: Option<&str>, now: i64) -> Result<(), SignatureError> {
        let secrets = self.secrets.as_deref().unwrap_or_default();
        signature::verify(secrets, self.tolerance, body, header, now)
    }

    fn read(&self, body: &[u8]) -> Result<Fact, String> {
        event::read(body)
    }

    fn glimpse(&self, body: &[u8]) -> Glimpse {
        event::glimpse(body)
    }

    fn start_checkout(&self, order: &CheckoutOrder) -> Result<CheckoutSession, ProviderError> {
        let form = checkout_form(order).map_err(|reason| self.refused("order", reason))?;
        let key = format!("checkout-{}", order.token);
        let answer = self.caller.call(Method::Post, "/v1/checkout/sessions", &form, Some(&key))?;
        self.session(&answer)
    }

    fn checkout(&self, session_ref: &str) -> Result<CheckoutSession, ProviderError> {
        let path = call::path("/v1/checkout/sessions", session_ref).map_err(|reason| self.refused("reference", reason))?;
        self.session(&self.get(&path, Form::new())?)
    }

    fn draw(&self, draw: &Draw) -> Result<String, ProviderError> {
        if draw.amount <= Money::ZERO {
            return Err(self.refused("amount", format!("{} cannot be drawn: expected more than nothing", draw.amount)));
        }
        let mine = Form::new().and("customer", &draw.customer_ref);
        if let Some(earlier) = self.find_by_token("/v1/payment_intents", &mine, &draw.token)? {
            return self.drawn(&earlier);
        }
        let form = Form::new()
            .and("amount", &draw.amount.cents().to_string())
            .and("currency", &draw.currency.to_ascii_lowercase())
            .and("customer", &draw.customer_ref)
            .and("payment_method", &draw.method_ref)
            .and("payment_method_types[0]", &self.method_type(&draw.method_ref)?)
            .and("off_session", "true")
            .and("confirm", "true")
            .and("description", &draw.description)
            .and("metadata[token]", &draw.token);
        let answer = self.caller.call(Method::Post, "/v1/payment_intents", &form, Some(&format!("draw-{}", draw.token)))?;
        self.drawn(&answer)
    }

    fn refund(&self, order: &RefundOrder) -> Result<String, ProviderError> {
        if order.amount <= Money::ZERO {
            return Err(self.refused("amount", format!("{} cannot be given back: expected more than nothing", order.amount)));
        }
        let of_payment = Form::new().and("payment_intent", &order.payment_ref);
        let refund = if let Some(earlier) = self.find_by_token("/v1/refunds", &of_payment, &order.token)? {
            earlier
        } else {
            let form = of_payment.and("amount", &order.amount.cents().to_string()).and("metadata[token]", &order.token);
            self.caller.call(Method::Post, "/v1/refunds", &form, Some(&format!("refund-{}", order.token)))?
        };
        Node::root("refund", &refund).get("id").id().map_err(|reason| self.unreadable(reason))
    }

    fn events(&self, since: i64, after: Option<&str>) -> Result<Page<ListedEvent>, ProviderError> {
        let query = Form::new().and("created[gte]", &since.to_string());
        self.list("/v1/events", query, after, |event| {
            let body = serde_json::to_vec(event.value()).map_err(|error| error.to_string())?;
            Ok(ListedEvent { event_id: event.get("id").id()?, body })
        })
    }

    fn movements(&self, from: i64, to: i64, after: Option<&str>) -> Result<Page<BalanceMovement>, ProviderError> {
        let query = Form::new().and("created[gte]", &from.to_string()).and("created[lt]", &to.to_string()).and("expand[0]", "data.source");
        self.list("/v1/balance_transactions", query, after, |node| read_movement(node, None))
    }

    fn payout_movements(&self, payout_ref: &str, after: Option<&str>) -> Result<Page<BalanceMovement>, ProviderError> {
        let query = Form::new().and("payout", payout_ref).and("expand[0]", "data.source");
        let mut page = self.list("/v1/balance_transactions", query, after, |node| read_movement(node, Some(payout_ref)))?;
        // Stripe lists the payout's own movement, too: that is what the others add up to.
        page.items.retain(|movement| movement.kind != MovementKind::Payout);
        Ok(page)
    }

    fn payouts(&self, from: i64, to: i64, after: Option<&str>) -> Result<Page<Payout>, ProviderError> {
        let query = Form::new().and("arrival_date[gte]", &from.to_string()).and("arrival_date[lt]", &to.to_string());
        self.list("/v1/payouts", query, after, read_payout)
    }
}

fn read_page<T>(answer: &Value, read: impl Fn(&Node<'_>) -> Result<T, String>) -> Result<Page<T>, String> {
    let list = Node::root("list", answer);
    let things = list.get("data").items()?;
    let items = things.iter().map(&read).collect::<Result<Vec<T>, String>>()?;
    let more = list.get("has_more").flag()?;
    let next = if more { things.last().map(|last| last.get("id").id()).transpose()? } else { None };
    Ok(Page { items, next })
}

/// The words of Stripe for what is to be paid.
fn checkout_form(order: &CheckoutOrder) -> Result<Form, String> {
    let currency = order.currency.to_ascii_lowercase();
    let mut form = Form::new()
        .and("mode", if order.save_method { "setup" } else { "payment" })
        .and("client_reference_id", &order.token)
        .and("metadata[token]", &order.token)
        .and("success_url", &order.success_url)
        .and("cancel_url", &order.cancel_url);
    if let Some(email) = &order.email {
        form = form.and("customer_email", email);
    }
    if order.save_method {
        if !order.lines.is_empty() {
            return Err("a way to pay is saved or something is paid: expected no lines".to_owned());
        }
        return Ok(form.and("currency", &currency).and("customer_creation", "always").and("setup_intent_data[metadata][token]", &order.token));
    }
    if order.lines.is_empty() || order.lines.len() > 100 {
        return Err(format!("there are {} lines to pay: expected 1 to 100", order.lines.len()));
    }
    for (index, (words, amount)) in order.lines.iter().enumerate() {
        if *amount <= Money::ZERO {
            return Err(format!("'{words}' is {amount}: expected more than nothing"));
        }
        let line = format!("line_items[{index}]");
        form = form
            .and(&format!("{line}[price_data][currency]"), &currency)
            .and(&format!("{line}[price_data][product_data][name]"), words)
            .and(&format!("{line}[price_data][unit_amount]"), &amount.cents().to_string())
            .and(&format!("{line}[quantity]"), "1");
    }
    Ok(form.and("payment_intent_data[metadata][token]", &order.token))
}

fn read_session(node: &Node<'_>) -> Result<CheckoutSession, String> {
    let status = match node.get("status").text()? {
        "open" => CheckoutStatus::Open,
        "complete" => CheckoutStatus::Complete,
        "expired" => CheckoutStatus::Expired,
        other => return Err(format!("{}: '{other}': expected open, complete or expired", node.get("status").path())),
    };
    let url = node.get("url").text_opt()?.map(str::to_owned);
    Ok(CheckoutSession { session_ref: node.get("id").id()?, url, status, payment_ref: node.get("payment_intent").id_opt()?, method: None })
}

/// What a customer recognises a way to pay by.
fn label(method: &Node<'_>) -> String {
    let kind = method.get("type").text_or_empty();
    let details = method.get(kind);
    let named = match kind {
        "card" => capitalised(details.get("display_brand").text_or_empty(), details.get("brand").text_or_empty()),
        "us_bank_account" if !details.get("bank_name").text_or_empty().is_empty() => details.get("bank_name").text_or_empty().to_owned(),
        "us_bank_account" | "sepa_debit" | "bacs_debit" | "acss_debit" | "au_becs_debit" => "Bank account".to_owned(),
        other => capitalised("", other),
    };
    let last4 = details.get("last4").text_or_empty();
    if last4.is_empty() { named } else { format!("{named} ending {last4}") }
}

fn capitalised(first: &str, second: &str) -> String {
    let word = if first.is_empty() || first == "other" { second } else { first }.replace('_', " ");
    let mut letters = word.chars();
    letters.next().map_or_else(|| "Card".to_owned(), |letter| letter.to_uppercase().chain(letters).collect())
}

fn read_movement(node: &Node<'_>, payout: Option<&str>) -> Result<BalanceMovement, String> {
    let source = node.get("source");
    let source_kind = source.get("object").text_or_empty();
    let kind = match node.get("type").text()? {
        "charge" | "payment" => MovementKind::Payment,
        "refund" | "payment_refund" | "refund_failure" => MovementKind::Refund,
        "payment_failure_refund" | "payment_reversal" => MovementKind::Dispute,
        "payout" | "payout_failure" | "payout_cancel" => MovementKind::Payout,
        "adjustment" if source_kind == "dispute" => MovementKind::Dispute,
        "adjustment" if source_kind == "charge" => MovementKind::Payment,
        "adjustment" if source_kind == "refund" => MovementKind::Refund,
        _ => MovementKind::Other,
    };
    let own = if kind == MovementKind::Payout { source.id_opt()? } else { None };
    Ok(BalanceMovement {
        movement_ref: node.get("id").id()?,
        kind,
        payment_ref: source.get("payment_intent").id_opt()?,
        amount: node.get("amount").money()?,
        fee: node.get("fee").money()?,
        currency: node.get("currency").currency()?,
        occurred_at: node.get("created").whole()?,
        payout_ref: payout.map(str::to_owned).or(own),
    })
}

fn read_payout(node: &Node<'_>) -> Result<Payout, String> {
    let status = node.get("status").text()?;
    let words = [node.get("statement_descriptor"), node.get("description")];
    Ok(Payout {
        payout_ref: node.get("id").id()?,
        amount: node.get("amount").money()?,
        currency: node.get("currency").currency()?,
        arrives_at: node.get("arrival_date").whole()?,
        paid: status == "paid",
        failed: matches!(status, "failed" | "canceled"),
        statement_text: words.iter().map(Node::text_or_empty).find(|text| !text.is_empty()).unwrap_or_default().to_owned(),
    })
}
