//! Money that comes back: refunds, by request or made at the provider, and disputes.

use std::collections::BTreeMap;

use super::{Done, Refusal, find_payment, move_money};
use crate::sandbox::journal::Record;
use crate::sandbox::model::{Dispute, PaymentStatus, Refund, RefundStatus};
use crate::sandbox::render;
use crate::sandbox::state::{State, Timer};

/// What Stripe keeps of a dispute, in cents.
const DISPUTE_FEE_CENTS: i64 = 1500;

/// Gives money back; without an amount, all that is left.
pub(in crate::sandbox) fn refund(state: &mut State, payment: &str, amount_cents: Option<i64>, metadata: BTreeMap<String, String>) -> Done<Refund> {
    let mut payment = find_payment(state, payment)?;
    if payment.status != PaymentStatus::Succeeded {
        return Err(Refusal::invalid("charge_not_refundable", "This PaymentIntent does not have a successful charge to refund."));
    }
    let left = payment.amount_cents - payment.refunded_cents;
    let amount_cents = amount_cents.unwrap_or(left);
    if left == 0 {
        return Err(Refusal::invalid("charge_already_refunded", "This charge has already been refunded."));
    }
    if amount_cents < 1 || amount_cents > left {
        return Err(Refusal::invalid(
            "amount_too_large",
            format!("Refund amount ({amount_cents}) is not between 1 and the unrefunded amount ({left})"),
        ));
    }
    if dispute_of(state, &payment.id).is_some_and(|dispute| !dispute.movements.is_empty() && dispute.status != "won") {
        return Err(Refusal::invalid("charge_disputed", "This charge has been charged back. You cannot issue a refund."));
    }
    let bank = payment.with.is_bank();
    let id = state.name(if bank { "pyr_1" } else { "re_3" });
    let movement = move_money(state, &payment, if bank { "payment_refund" } else { "refund" }, -amount_cents, 0, &id);
    let status = if bank { RefundStatus::Pending } else { RefundStatus::Succeeded };
    let created = state.now();
    let refund = Refund { id, created, payment: payment.id.clone(), amount_cents, status, metadata, movement, failure_movement: None };
    payment.refunded_cents += amount_cents;
    state.save(Record::Payment(payment.clone()));
    state.save(Record::Refund(refund.clone()));
    say(state, "refund.created", &refund);
    state.emit("charge.refunded", &payment.id, render::charge(&payment));
    if state.faults.refunds_fail_ms.is_some() {
        state.start_timer(Timer::FailRefund(refund.id.clone()));
    } else if bank {
        state.start_timer(Timer::Settle(refund.id.clone()));
    }
    Ok(refund)
}

fn say(state: &mut State, kind: &str, refund: &Refund) {
    let object = render::refund(state, refund);
    state.emit(kind, &refund.payment, object);
}

/// A refund on its way is through.
pub(in crate::sandbox) fn settle_refund(state: &mut State, id: &str) -> Done<Refund> {
    let found = state.refunds.get(id).filter(|refund| refund.status == RefundStatus::Pending).cloned();
    let mut refund = found.ok_or_else(|| Refusal::missing("refund on its way", id))?;
    refund.status = RefundStatus::Succeeded;
    state.save(Record::Refund(refund.clone()));
    say(state, "refund.updated", &refund);
    Ok(refund)
}

/// A refund fails, also after it was through: the payer's bank sent it back.
pub(in crate::sandbox) fn fail_refund(state: &mut State, id: &str) -> Done<Refund> {
    let found = state.refunds.get(id).filter(|refund| refund.status != RefundStatus::Failed).cloned();
    let mut refund = found.ok_or_else(|| Refusal::missing("refund that stands", id))?;
    let mut payment = find_payment(state, &refund.payment)?;
    refund.status = RefundStatus::Failed;
    refund.failure_movement = Some(move_money(state, &payment, "refund_failure", refund.amount_cents, 0, &refund.id));
    payment.refunded_cents -= refund.amount_cents;
    state.save(Record::Payment(payment));
    state.save(Record::Refund(refund.clone()));
    say(state, "refund.updated", &refund);
    say(state, "refund.failed", &refund);
    Ok(refund)
}

/// The newest refund of a payment that the test tells, for verbs that name the payment.
pub(in crate::sandbox) fn refund_of(state: &State, payment: &str, fits: impl Fn(&Refund) -> bool) -> Done<String> {
    let found = state.refunds.newest().find(|refund| refund.payment == payment && fits(refund));
    found.map(|refund| refund.id.clone()).ok_or_else(|| Refusal::missing("refund of payment_intent", payment))
}

fn dispute_of<'a>(state: &'a State, payment: &str) -> Option<&'a Dispute> {
    state.disputes.newest().find(|dispute| dispute.payment == payment)
}

fn say_dispute(state: &mut State, kind: &str, dispute: &Dispute) {
    let object = render::dispute(state, dispute);
    state.emit(kind, &dispute.payment, object);
}

/// The payer's bank takes the money back, or (an inquiry) only asks. An open inquiry becomes a dispute.
pub(in crate::sandbox) fn dispute(state: &mut State, payment: &str, amount_cents: Option<i64>, reason: &str, inquiry: bool) -> Done<Dispute> {
    let payment = find_payment(state, payment)?;
    if payment.status != PaymentStatus::Succeeded {
        return Err(Refusal::invalid("charge_not_disputable", "Only a payment that succeeded can be disputed."));
    }
    let amount_cents = amount_cents.unwrap_or(payment.amount_cents);
    if amount_cents < 1 || amount_cents > payment.amount_cents {
        return Err(Refusal::invalid("amount_too_large", "The amount is not between 1 and that of the payment."));
    }
    let open = dispute_of(state, &payment.id).filter(|dispute| dispute.status.ends_with("needs_response")).cloned();
    let (mut dispute, escalated) = match open {
        Some(open) if open.movements.is_empty() && !inquiry => (Dispute { status: "needs_response".to_owned(), ..open }, true),
        Some(_) => return Err(Refusal::invalid("charge_disputed", "This payment is disputed already.")),
        None => {
            let status = if inquiry { "warning_needs_response" } else { "needs_response" }.to_owned();
            let new = Dispute {
                id: state.name("du_1"),
                created: state.now(),
                payment: payment.id.clone(),
                amount_cents,
                reason: reason.to_owned(),
                status,
                movements: vec![],
            };
            (new, false)
        }
    };
    if !inquiry {
        let taken = move_money(state, &payment, "adjustment", -dispute.amount_cents, DISPUTE_FEE_CENTS, &dispute.id);
        dispute.movements.push(taken);
    }
    state.save(Record::Dispute(dispute.clone()));
    say_dispute(state, if escalated { "charge.dispute.updated" } else { "charge.dispute.created" }, &dispute);
    if !inquiry {
        say_dispute(state, "charge.dispute.funds_withdrawn", &dispute);
    }
    Ok(dispute)
}

/// The dispute is decided. Won, the money comes back. An inquiry ends without any.
pub(in crate::sandbox) fn close_dispute(state: &mut State, payment: &str, won: bool) -> Done<Dispute> {
    let payment = find_payment(state, payment)?;
    let open = dispute_of(state, &payment.id).filter(|dispute| dispute.status.ends_with("needs_response")).cloned();
    let mut dispute = open.ok_or_else(|| Refusal::missing("open dispute of payment_intent", &payment.id))?;
    let inquiry = dispute.movements.is_empty();
    dispute.status = match (inquiry, won) {
        (true, _) => "warning_closed",
        (false, true) => "won",
        (false, false) => "lost",
    }
    .to_owned();
    state.save(Record::Dispute(dispute.clone()));
    say_dispute(state, "charge.dispute.closed", &dispute);
    if won && !inquiry {
        let back = move_money(state, &payment, "adjustment", dispute.amount_cents, 0, &dispute.id);
        dispute.movements.push(back);
        state.save(Record::Dispute(dispute.clone()));
        say_dispute(state, "charge.dispute.funds_reinstated", &dispute);
    }
    Ok(dispute)
}
