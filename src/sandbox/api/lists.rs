//! Calls about many things: newest first, a page at a time.

use serde_json::{Value, json};

use super::params::Params;
use crate::sandbox::acts::Refusal;
use crate::sandbox::model::{Event, Movement, Payment, Payout, Refund};
use crate::sandbox::render;
use crate::sandbox::state::{Named, Shelf, State};

type Answered = Result<Value, Refusal>;

/// A range of seconds: `created[gte]`, `created[gt]`, `created[lt]`, `created[lte]`.
struct Range {
    from: i64,
    to: i64,
}

impl Range {
    fn read(params: &Params, field: &str) -> Result<Self, Refusal> {
        let bound = |word: &str| params.whole(&format!("{field}[{word}]"));
        let after = bound("gt")?.map(|at| at.saturating_add(1));
        let before = bound("lte")?.map(|at| at.saturating_add(1));
        Ok(Self { from: bound("gte")?.or(after).unwrap_or(i64::MIN), to: bound("lt")?.or(before).unwrap_or(i64::MAX) })
    }

    fn holds(&self, at: i64) -> bool {
        (self.from..self.to).contains(&at)
    }
}

const PAGING: [&str; 6] = ["limit", "starting_after", "created[gte]", "created[gt]", "created[lt]", "created[lte]"];

fn known<'a>(own: &[&'a str]) -> Vec<&'a str> {
    PAGING.iter().chain(own).copied().collect()
}

fn page<T: Named>(shelf: &Shelf<T>, url: &str, params: &Params, fits: impl Fn(&T) -> bool, render: impl Fn(&T) -> Value) -> Answered {
    let limit = params.whole("limit")?.unwrap_or(10);
    let limit = usize::try_from(limit).ok().filter(|limit| (1..=100).contains(limit));
    let limit = limit.ok_or_else(|| Refusal::invalid("parameter_invalid_integer", "limit is 1 to 100"))?;
    let mut things: Box<dyn Iterator<Item = &T>> = Box::new(shelf.newest());
    if let Some(after) = params.get("starting_after") {
        if shelf.get(after).is_none() {
            return Err(Refusal { status: 400, ..Refusal::missing("object to start after", after) });
        }
        let after = after.to_owned();
        things = Box::new(things.skip_while(move |thing| thing.id() != after).skip(1));
    }
    let mut found: Vec<&T> = things.filter(|thing| fits(thing)).take(limit + 1).collect();
    let more = found.len() > limit;
    found.truncate(limit);
    let data: Vec<Value> = found.into_iter().map(render).collect();
    Ok(json!({ "object": "list", "url": url, "has_more": more, "data": data }))
}

pub(super) fn payments(state: &State, params: &Params) -> Answered {
    params.only(&known(&["customer"]))?;
    let created = Range::read(params, "created")?;
    let customer = params.get("customer");
    let fits = |payment: &Payment| created.holds(payment.created) && customer.is_none_or(|id| payment.customer.as_deref() == Some(id));
    page(&state.payments, "/v1/payment_intents", params, fits, render::payment)
}

pub(super) fn refunds(state: &State, params: &Params) -> Answered {
    params.only(&known(&["payment_intent"]))?;
    let created = Range::read(params, "created")?;
    let payment = params.get("payment_intent");
    let fits = |refund: &Refund| created.holds(refund.created) && payment.is_none_or(|id| refund.payment == id);
    page(&state.refunds, "/v1/refunds", params, fits, |refund| render::refund(state, refund))
}

pub(super) fn events(state: &State, params: &Params) -> Answered {
    params.only(&known(&["type", "types[*]"]))?;
    let created = Range::read(params, "created")?;
    let kind = params.get("type");
    let fits = |event: &Event| created.holds(event.created) && kind.is_none_or(|kind| event.kind == kind);
    page(&state.events, "/v1/events", params, fits, as_json)
}

pub(super) fn event(state: &State, id: &str) -> Answered {
    state.events.get(id).map(as_json).ok_or_else(|| Refusal::missing("event", id))
}

/// What was delivered, from the text that was delivered.
fn as_json(event: &Event) -> Value {
    serde_json::from_str(&event.body).unwrap_or_default()
}

pub(super) fn movements(state: &State, params: &Params) -> Answered {
    params.only(&known(&["payout", "type", "source", "currency"]))?;
    let created = Range::read(params, "created")?;
    let same = |wanted: Option<&str>, value: Option<&str>| wanted.is_none_or(|wanted| value == Some(wanted));
    let (payout, kind, source) = (params.get("payout"), params.get("type"), params.get("source"));
    let currency = params.get("currency");
    let whole = params.expands("data.source");
    let fits = |movement: &Movement| {
        created.holds(movement.created)
            && same(payout, movement.payout.as_deref())
            && same(kind, Some(&movement.kind))
            && same(source, Some(&movement.source))
            && same(currency, Some(&movement.currency))
    };
    page(&state.movements, "/v1/balance_transactions", params, fits, |movement| {
        let source = if whole { render::source(state, movement) } else { json!(movement.source) };
        render::movement(movement, source)
    })
}

pub(super) fn payouts(state: &State, params: &Params) -> Answered {
    params.only(&known(&["status", "arrival_date[gte]", "arrival_date[gt]", "arrival_date[lt]", "arrival_date[lte]"]))?;
    let (created, arrival) = (Range::read(params, "created")?, Range::read(params, "arrival_date")?);
    let paid = params.get("status").is_none_or(|status| status == "paid");
    let fits = |payout: &Payout| paid && created.holds(payout.created) && arrival.holds(payout.arrival_date);
    page(&state.payouts, "/v1/payouts", params, fits, render::payout)
}
