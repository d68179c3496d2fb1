//! Money that goes to the bank: what is on the balance, less fees.

use chrono::NaiveDate;

use super::{Done, Refusal};
use crate::sandbox::journal::Record;
use crate::sandbox::model::{Movement, Payout};
use crate::sandbox::render;
use crate::sandbox::state::State;

/// Pays out what was not paid out yet (of one payment, or all), arriving on a day.
pub(in crate::sandbox) fn pay_out(state: &mut State, payment: Option<&str>, arrives_on: Option<NaiveDate>) -> Done<Payout> {
    let open = |movement: &&Movement| movement.payout.is_none() && payment.is_none_or(|id| movement.payment.as_deref() == Some(id));
    let mut movements: Vec<Movement> = state.movements.newest().filter(open).cloned().collect();
    let currency = movements.first().map(|movement| movement.currency.clone()).unwrap_or_default();
    movements.retain(|movement| movement.currency == currency);
    let amount_cents = movements.iter().map(|movement| movement.amount_cents - movement.fee_cents).fold(0, i64::saturating_add);
    if amount_cents <= 0 {
        return Err(Refusal::invalid("balance_insufficient", format!("There is nothing to pay out: the balance is {amount_cents}.")));
    }
    let now = state.now();
    let today = now.div_euclid(86_400) * 86_400;
    let arrival_date = arrives_on.and_then(|day| day.and_hms_opt(0, 0, 0)).map_or(today, |midnight| midnight.and_utc().timestamp());
    let id = state.name("po_1");
    let movement = state.name("txn_1");
    let descriptor = format!("ST-{}", id.chars().skip(4).take(12).collect::<String>().to_ascii_uppercase());
    let payout =
        Payout { id: id.clone(), created: now, amount_cents, currency: currency.clone(), arrival_date, movement: movement.clone(), descriptor };
    let mut own = vec![Movement {
        id: movement,
        created: now,
        kind: "payout".to_owned(),
        amount_cents: -amount_cents,
        fee_cents: 0,
        currency,
        source: id.clone(),
        payment: None,
        description: "STRIPE PAYOUT".to_owned(),
        payout: None,
    }];
    own.extend(movements.into_iter().rev());
    for movement in own {
        state.save(Record::Movement(Movement { payout: Some(id.clone()), ..movement }));
    }
    state.save(Record::Payout(payout.clone()));
    state.emit("payout.created", &payout.id, render::payout(&payout));
    state.emit("payout.paid", &payout.id, render::payout(&payout));
    Ok(payout)
}
