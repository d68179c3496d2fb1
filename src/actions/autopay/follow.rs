//! Keeping a draw in step with its payment: what events say of the payment is what became of the draw.

use chrono::NaiveDateTime;

use super::announce::told;
use super::manage::paused_notice;
use super::{bill_of, label, mandate_of};
use crate::actions::sign_in::new_token;
use crate::actions::{ActionError, Context, notices};
use crate::db::autopay::{self as rows, DrawRow, MandateRow, NewDraw};
use crate::db::billing::bill_number;
use crate::db::{DbConnection, customers, operations};
use crate::domain::autopay::{DrawState, MandateState, pauses_after};
use crate::domain::ids::ProviderPaymentId;
use crate::domain::notices::{AutopayFailed, Facts};
use crate::domain::payments::PaymentState;

/// Why a mandate pauses by itself.
const TWO_FAILED: &str = "Two draws in a row did not succeed.";

/// Brings the draw that a payment is to the payment's state, within the transaction that applies an event of it.
pub(in crate::actions) fn follow_within(
    context: &Context,
    conn: &mut DbConnection,
    payment: ProviderPaymentId,
    (state, reason): (PaymentState, Option<&str>),
    now: NaiveDateTime,
) -> Result<(), ActionError> {
    let Some(draw) = rows::draw_of_payment(conn, payment)? else { return Ok(()) };
    match state {
        PaymentState::Created => Ok(()),
        PaymentState::Submitted => move_to(conn, &draw, DrawState::Submitted, None, now),
        PaymentState::Succeeded => move_to(conn, &draw, DrawState::Succeeded, None, now),
        // One that was given up in between, and was never made.
        PaymentState::Failed if draw.is(DrawState::Skipped) => Ok(()),
        PaymentState::Failed => fail_within(context, conn, &draw, reason.unwrap_or("it was declined"), now),
        PaymentState::Returned if draw.is(DrawState::Returned) => Ok(()),
        PaymentState::Returned => {
            move_to(conn, &draw, DrawState::Returned, reason, now)?;
            let mandate = mandate_of(conn, &draw)?;
            pause_after_two(context, conn, &mandate, now).map(|_| ())
        }
    }
}

fn move_to(conn: &mut DbConnection, draw: &DrawRow, to: DrawState, reason: Option<&str>, now: NaiveDateTime) -> Result<(), ActionError> {
    if !draw.is(to) {
        rows::move_draw(conn, draw.id, to, reason, now)?;
    }
    Ok(())
}

/// Notes that a draw was declined: tells the customer, tries once more when the settings say so, and pauses the mandate after
/// two in a row. Done once, however often it is told.
pub(super) fn fail_within(context: &Context, conn: &mut DbConnection, draw: &DrawRow, reason: &str, now: NaiveDateTime) -> Result<(), ActionError> {
    if draw.is(DrawState::Failed) {
        return Ok(());
    }
    rows::move_draw(conn, draw.id, DrawState::Failed, Some(reason), now)?;
    let (mandate, bill) = (mandate_of(conn, draw)?, bill_of(conn, draw)?);
    let paused = pause_after_two(context, conn, &mandate, now)?;
    let goes_on = !paused && mandate.state == MandateState::Active.as_str() && bill.status == "issued";
    let again_on = context.config.autopay.rules().second_try_on(context.today(), draw.try_no).filter(|_| goes_on);
    if let Some(on) = again_on {
        let second = NewDraw {
            token: new_token(),
            mandate_id: mandate.id,
            account_id: draw.account_id,
            run_id: draw.run_id,
            try_no: 2,
            amount_cents: draw.amount_cents,
            draw_on: on,
            state: DrawState::Announced.as_str().to_owned(),
            reason: None,
            attempts: 0,
            created_at: now,
            updated_at: now,
        };
        rows::insert_draw(conn, &second)?;
    }
    let facts = Facts::AutopayFailed(AutopayFailed {
        bill_number: bill_number(draw.run_id, draw.account_id),
        amount_cents: draw.drawn_cents.unwrap_or(draw.amount_cents),
        due_on: bill.due_on,
        method: label(&mandate),
        reason: reason.to_owned(),
        again_on,
    });
    notices::queue(conn, context, told((draw.run_id, draw.account_id), draw.try_no, "failed", context.today(), facts))
}

/// Pauses a mandate whose last two draws failed; whether it did.
fn pause_after_two(context: &Context, conn: &mut DbConnection, mandate: &MandateRow, now: NaiveDateTime) -> Result<bool, ActionError> {
    let outcomes = rows::outcomes_of(conn, mandate.id, 2)?;
    let outcomes: Vec<DrawState> = outcomes.iter().filter_map(|state| state.parse().ok()).collect();
    if !pauses_after(&outcomes) || rows::move_mandate(conn, mandate.id, (MandateState::Active, MandateState::Paused), Some(TWO_FAILED), now)? == 0 {
        return Ok(false);
    }
    let number = customers::account_number(conn, mandate.account_id)?;
    operations::audit(conn, now, &context.actor, "autopay.pause", &number, TWO_FAILED)?;
    notices::queue(conn, context, paused_notice(context, mandate, (false, TWO_FAILED), now))?;
    Ok(true)
}
