//! Drawing: on the day, as much of the bill as is still due.
//!
//! The decision is made and committed under the account's lock before the provider is asked; the call is made outside of any
//! transaction, under the draw's own name; its answer is committed after. Whatever happens in between, the next attempt asks
//! for the same draw again, and only when it would still be right.

use chrono::{NaiveDateTime, TimeDelta};
use rand::Rng;

use super::announce::{announce_anew_within, skip_within};
use super::follow::fail_within;
use super::{CLAIM_MINUTES, Counts, ROUND, bill_of, mandate_of, state_of};
use crate::actions::inbox::{replay_payment, settle};
use crate::actions::stop::Stop;
use crate::actions::{ActionError, Context};
use crate::db::autopay::{self as rows, BillDue, DrawRow, MandateRow};
use crate::db::billing::bill_number;
use crate::db::provider_payments::{self as payments, NewProviderPayment, ProviderPaymentRow, Standing};
use crate::db::trace::{self, NewStep};
use crate::db::{DbConnection, bill_holds, inbox, ledger};
use crate::domain::autopay::{DrawState, OnTheDay, SkipReason};
use crate::domain::ids::{DrawId, ProviderPaymentId};
use crate::domain::money::Money;
use crate::domain::payments::PaymentState;
use crate::domain::retry::{Retry, most_of_a_round, retry};
use crate::providers::{Draw, ProviderError};
use crate::telemetry::metrics::{self, Area};
use crate::telemetry::scope::new_trace_id;

/// A held bill is looked at again after so long, unless it is let go before.
const HELD_MINUTES: i64 = 60;
/// While an event waits to be applied, or somebody may be paying, a draw waits so long.
const SHORTLY_MINUTES: i64 = 5;
/// Somebody who began to pay so long ago is not waited for any more.
const PAYING_MINUTES: i64 = 60;

/// What is to be done about a draw.
enum Step {
    /// Nothing, or nothing now.
    Nothing,
    /// It waits.
    Waits,
    /// It is not made.
    Skipped,
    /// The provider is to be asked.
    Ask { provider: String, merchant: String, order: Draw },
}

/// Makes the draws whose day has come, and goes on with those that were begun.
///
/// # Errors
/// Those of the database.
pub fn draw_due(context: &Context, stop: &Stop, counts: &mut Counts) -> Result<(), ActionError> {
    let due = context.database.read(|conn| {
        let (today, now) = (context.today(), context.now());
        let mut due = rows::due_draws(conn, DrawState::Announced, today, now, ROUND)?;
        // Those that failed together do not come back together.
        let most = most_of_a_round(rows::count_drawing(conn)?).min(ROUND);
        due.extend(rows::due_draws(conn, DrawState::Drawing, today, now, most)?);
        Ok::<_, ActionError>(due)
    })?;
    if due.is_empty() {
        return Ok(());
    }
    // A payment whose event has arrived must not be drawn a second time.
    settle(context, true, stop)?;
    for id in due {
        if stop.is_requested() {
            return Ok(());
        }
        draw_one(context, id, counts)?;
    }
    Ok(())
}

fn draw_one(context: &Context, id: DrawId, counts: &mut Counts) -> Result<(), ActionError> {
    match context.database.write(|conn| begin(context, conn, id))? {
        Step::Nothing => {}
        Step::Waits => counts.waiting += 1,
        Step::Skipped => counts.skipped += 1,
        Step::Ask { provider, merchant, order } => {
            let answer = match context.providers.by_name(&provider).filter(|known| known.merchant() == merchant) {
                Some(provider) => provider.draw(&order),
                None => Err(ProviderError::Unreachable { provider, reason: "it is not set up".to_owned() }),
            };
            let (state, known_before) = context.database.write(|conn| record(context, conn, id, &answer))?;
            if let Some(payment) = known_before {
                replay_payment(context, payment)?;
            }
            match state {
                DrawState::Failed => counts.failed += 1,
                DrawState::Drawing => {
                    metrics::retried(Area::Autopay);
                    counts.waiting += 1;
                }
                _ => counts.drawn += 1,
            }
        }
    }
    Ok(())
}

/// Decides what is to be done about a draw, under the locks of its payment and its account.
fn begin(context: &Context, conn: &mut DbConnection, id: DrawId) -> Result<Step, ActionError> {
    let Some(draw) = locked(conn, id)? else { return Ok(Step::Nothing) };
    let now = context.now();
    if draw.draw_on > context.today() || draw.next_attempt_at.is_some_and(|at| at > now) {
        return Ok(Step::Nothing);
    }
    let begun = match draw.state.parse().map_err(ActionError::Form)? {
        DrawState::Announced => None,
        DrawState::Drawing => draw.provider_payment_id,
        _ => return Ok(Step::Nothing),
    };
    let (mandate, bill) = (mandate_of(conn, &draw)?, bill_of(conn, &draw)?);
    if let Some((why, until)) = waits_for(context, conn, &draw, now)? {
        rows::put_off(conn, draw.id, &why, until)?;
        return Ok(Step::Waits);
    }
    let day = on_the_day(conn, &draw, &mandate, &bill)?;
    match begun {
        Some(payment) => again(context, conn, &draw, &mandate, (payment, &day), now),
        None if context.config.autopay.rules().is_too_late(draw.draw_on, context.today()) && day.decide().is_ok() => {
            announce_anew_within(conn, context, &draw, now)?;
            Ok(Step::Waits)
        }
        None => match day.decide() {
            Err(why) => {
                skip_within(conn, context, &draw, why, now)?;
                Ok(Step::Skipped)
            }
            Ok(amount) => first(context, conn, &draw, &mandate, amount, now),
        },
    }
}

/// A draw with the locks of its payment and its account, in the order in which events take them.
fn locked(conn: &mut DbConnection, id: DrawId) -> Result<Option<DrawRow>, ActionError> {
    let Some(seen) = rows::draw(conn, id)? else { return Ok(None) };
    if let Some(payment) = seen.provider_payment_id {
        payments::lock(conn, payment)?;
    }
    ledger::lock_accounts(conn, &[seen.account_id])?;
    Ok(rows::draw(conn, id)?)
}

/// What a draw must wait for, and until when.
fn waits_for(context: &Context, conn: &mut DbConnection, draw: &DrawRow, now: NaiveDateTime) -> Result<Option<(String, NaiveDateTime)>, ActionError> {
    let shortly = now + TimeDelta::minutes(SHORTLY_MINUTES);
    let kinds = bill_holds::open_kinds(conn, draw.run_id, draw.account_id)?;
    if !kinds.is_empty() {
        return Ok(Some((format!("the bill is {}", kinds.join(" and ")), now + TimeDelta::minutes(HELD_MINUTES))));
    }
    if let Some((_, what)) = inbox::unapplied_accounts(conn, draw.account_id, draw.account_id)?.into_iter().next() {
        log::info!("draw {}: {what} is not applied yet", draw.id);
        return Ok(Some(("a payment for this account is being recorded".to_owned(), shortly)));
    }
    let paying = rows::open_attempt(conn, draw.account_id, now - TimeDelta::minutes(PAYING_MINUTES))?;
    let zone = context.config.time_zone;
    Ok(paying.map(|since| {
        let since = since.and_utc().with_timezone(&zone).format("%H:%M");
        (format!("somebody began to pay for this account at {since}"), shortly)
    }))
}

fn on_the_day(conn: &mut DbConnection, draw: &DrawRow, mandate: &MandateRow, bill: &BillDue) -> Result<OnTheDay, ActionError> {
    let (paid, adjusted) = rows::moved_since(conn, draw.account_id, bill.account_seq)?;
    // Charges that came later are not this bill's; credits count for it.
    let unpaid = bill.amount_due_cents.saturating_add(paid).saturating_add(adjusted.min(0));
    Ok(OnTheDay {
        announced: Money::from_cents(draw.amount_cents),
        mandate: state_of(mandate)?,
        limit: mandate.limit_cents.map(Money::from_cents),
        taken_back: bill.status != "issued",
        unpaid: Money::from_cents(unpaid),
        balance: ledger::position(conn, draw.account_id)?.balance,
        pending: Money::from_cents(rows::pending_cents(conn, draw.account_id, draw.provider_payment_id)?),
    })
}

/// Writes down that the provider is asked, before it is.
fn first(
    context: &Context,
    conn: &mut DbConnection,
    draw: &DrawRow,
    mandate: &MandateRow,
    amount: Money,
    now: NaiveDateTime,
) -> Result<Step, ActionError> {
    let trace_id = new_trace_id();
    let new = NewProviderPayment {
        provider: mandate.provider.clone(),
        merchant: mandate.merchant.clone(),
        provider_ref: None,
        checkout_id: None,
        state: PaymentState::Created.as_str().to_owned(),
        amount_cents: amount.cents(),
        currency: context.config.currency.clone(),
        tender: "card".to_owned(),
        made_on: context.today(),
        trace_id: trace_id.clone(),
        created_at: now,
        updated_at: now,
    };
    let payment = payments::insert(conn, &new)?;
    payments::set_parts(conn, payment, &[(draw.account_id, amount.cents())])?;
    rows::begin_draw(conn, draw.id, (amount.cents(), payment), now + TimeDelta::minutes(CLAIM_MINUTES), now)?;
    let detail = format!("{amount} of bill {}", bill_number(draw.run_id, draw.account_id));
    step(conn, &trace_id, "drawing", &detail, now)?;
    Ok(ask(context, draw, mandate, amount))
}

/// Goes on with a draw that was begun: by the same name and amount, if that is still right.
fn again(
    context: &Context,
    conn: &mut DbConnection,
    draw: &DrawRow,
    mandate: &MandateRow,
    (payment, day): (ProviderPaymentId, &OnTheDay),
    now: NaiveDateTime,
) -> Result<Step, ActionError> {
    let drawn = Money::from_cents(draw.drawn_cents.unwrap_or(draw.amount_cents));
    if let Err(why) = day.still_good_for(drawn) {
        // Should the provider have made it after all, its event says so, and the money counts.
        give_up_payment(conn, payment, why.sentence(), now)?;
        skip_within(conn, context, draw, why_not(day, why), now)?;
        return Ok(Step::Skipped);
    }
    rows::claim_draw(conn, draw.id, now + TimeDelta::minutes(CLAIM_MINUTES))?;
    Ok(ask(context, draw, mandate, drawn))
}

/// Paid in part, unless nothing is due at all.
fn why_not(day: &OnTheDay, why: SkipReason) -> SkipReason {
    if why == SkipReason::PaidInPart && day.still_due().is_zero() { SkipReason::Paid } else { why }
}

fn ask(context: &Context, draw: &DrawRow, mandate: &MandateRow, amount: Money) -> Step {
    let order = Draw {
        token: draw.token.clone(),
        customer_ref: mandate.customer_ref.clone().unwrap_or_default(),
        method_ref: mandate.method_ref.clone().unwrap_or_default(),
        amount,
        currency: context.config.currency.clone(),
        description: format!("{}, bill {}", context.config.utility_name, bill_number(draw.run_id, draw.account_id)),
    };
    Step::Ask { provider: mandate.provider.clone(), merchant: mandate.merchant.clone(), order }
}

/// Writes down what the provider answered. An event may have been quicker: then the draw is where the event put it.
fn record(
    context: &Context,
    conn: &mut DbConnection,
    id: DrawId,
    answer: &Result<String, ProviderError>,
) -> Result<(DrawState, Option<ProviderPaymentId>), ActionError> {
    let gone = || ActionError::not_found("draw", id.to_string());
    let draw = locked(conn, id)?.ok_or_else(gone)?;
    let payment = draw.provider_payment_id.ok_or_else(gone)?;
    let payment = payments::by_id(conn, payment)?.ok_or_else(gone)?;
    let now = context.now();
    let known_before = match answer {
        Ok(reference) => name_payment(conn, &draw, &payment, reference, now)?,
        Err(_) => None,
    };
    if !draw.is(DrawState::Drawing) {
        return Ok((draw.state.parse().map_err(ActionError::Form)?, known_before));
    }
    let state = match answer {
        Ok(reference) => {
            if let Some(named) = payments::by_id(conn, payment.id)?.filter(|row| row.state == "created" && row.provider_ref.is_some()) {
                stand(conn, &named, PaymentState::Submitted, None, now)?;
            }
            rows::move_draw(conn, draw.id, DrawState::Submitted, None, now)?;
            step(conn, &payment.trace_id, "drawn", &format!("the provider calls it {reference}"), now)?;
            DrawState::Submitted
        }
        Err(ProviderError::Refused { code, reason, .. }) => {
            give_up_payment(conn, payment.id, reason, now)?;
            fail_within(context, conn, &draw, reason, now)?;
            step(conn, &payment.trace_id, "declined", code, now)?;
            DrawState::Failed
        }
        // Nobody knows whether it was made. The same again is safe.
        Err(error) => {
            let attempts = u32::try_from(draw.attempts).unwrap_or(u32::MAX);
            match retry(payment.created_at, now, attempts, rand::rng().random()) {
                Retry::At(next) => {
                    rows::put_off(conn, draw.id, &error.to_string(), next)?;
                    DrawState::Drawing
                }
                Retry::GiveUp => {
                    give_up_payment(conn, payment.id, &error.to_string(), now)?;
                    fail_within(context, conn, &draw, "the payment provider could not be reached", now)?;
                    DrawState::Failed
                }
            }
        }
    };
    Ok((state, known_before))
}

/// Gives the payment the provider's name of it. An event that came before and did not repeat our own name has made a payment
/// of its own: then that one is for the account, and is to be told again.
fn name_payment(
    conn: &mut DbConnection,
    draw: &DrawRow,
    payment: &ProviderPaymentRow,
    reference: &str,
    now: NaiveDateTime,
) -> Result<Option<ProviderPaymentId>, ActionError> {
    if payment.provider_ref.is_some() {
        return Ok(None);
    }
    let Some(other) = payments::by_reference(conn, &payment.provider, &payment.merchant, reference)? else {
        payments::set_reference(conn, payment.id, reference)?;
        return Ok(None);
    };
    log::warn!("draw {}: {reference} was told before without our name of it", draw.id);
    payments::take_over(conn, other.id, payment, now)?;
    Ok(Some(other.id))
}

/// A payment that was begun here and of which nobody has told anything is taken for not made.
fn give_up_payment(conn: &mut DbConnection, id: ProviderPaymentId, reason: &str, now: NaiveDateTime) -> Result<(), ActionError> {
    match payments::by_id(conn, id)?.filter(|payment| payment.state == PaymentState::Created.as_str()) {
        Some(payment) => stand(conn, &payment, PaymentState::Failed, Some(reason.to_owned()), now),
        None => Ok(()),
    }
}

fn stand(
    conn: &mut DbConnection,
    payment: &ProviderPaymentRow,
    state: PaymentState,
    reason: Option<String>,
    now: NaiveDateTime,
) -> Result<(), ActionError> {
    let standing = Standing {
        state: state.as_str().to_owned(),
        amount_cents: payment.amount_cents,
        currency: payment.currency.clone(),
        tender: payment.tender.clone(),
        made_on: payment.made_on,
        reason,
        last_event_id: None,
        last_event_at: None,
        updated_at: now,
    };
    payments::set_standing(conn, payment.id, &standing)?;
    Ok(())
}

fn step(conn: &mut DbConnection, trace_id: &str, what: &str, detail: &str, now: NaiveDateTime) -> Result<(), ActionError> {
    let step = NewStep {
        trace_id: trace_id.to_owned(),
        step: what.to_owned(),
        at: now,
        took_us: 0,
        detail: detail.to_owned(),
        provider_event_id: None,
        account_id: None,
        account_seq: None,
    };
    trace::insert(conn, &[step])?;
    Ok(())
}
