//! Telling customers what will be drawn: when a bill is issued, when its draw gets another day, and when it is not drawn.

use chrono::NaiveDateTime;

use super::{bill_of, label, mandate_of, state_of};
use crate::actions::collections::standing::not_yet_due;
use crate::actions::sign_in::new_token;
use crate::actions::{ActionError, Context, notices};
use crate::db::DbConnection;
use crate::db::autopay::{self as rows, BillDue, DrawRow, MandateRow, NewDraw};
use crate::db::billing::{BillRow, RunRow, bill_number};
use crate::domain::autopay::{Announcement, DrawState, SkipReason, announce};
use crate::domain::ids::{AccountId, RunId};
use crate::domain::money::Money;
use crate::domain::notices::{Addressee, AutopayAnnounced, AutopaySkipped, Facts, NewNotice};

/// Announces the draws of bills that are being issued, within that transaction: either both are there, or neither is.
pub(in crate::actions) fn announce_within(conn: &mut DbConnection, context: &Context, run: &RunRow, bills: &[BillRow]) -> Result<(), ActionError> {
    let news = draw_within(conn, context, run, bills)?;
    notices::queue_many(conn, context, &news)
}

/// The same without telling anybody: the notices that would have been are the caller's to tell.
pub(in crate::actions) fn draw_within(
    conn: &mut DbConnection,
    context: &Context,
    run: &RunRow,
    bills: &[BillRow],
) -> Result<Vec<NewNotice>, ActionError> {
    let (Some(first), Some(last)) = (bills.iter().map(|bill| bill.account_id).min(), bills.iter().map(|bill| bill.account_id).max()) else {
        return Ok(Vec::new());
    };
    let mandates = rows::live_mandates(conn, first, last)?;
    let mut news = Vec::new();
    for mandate in &mandates {
        if let Some(bill) = bills.iter().find(|bill| bill.account_id == mandate.account_id) {
            news.extend(announce_one(conn, context, run, bill, mandate)?);
        }
    }
    Ok(news)
}

fn announce_one(
    conn: &mut DbConnection,
    context: &Context,
    run: &RunRow,
    bill: &BillRow,
    mandate: &MandateRow,
) -> Result<Option<NewNotice>, ActionError> {
    let (now, today) = (context.now(), context.today());
    let (rules, limit) = (context.config.autopay.rules(), mandate.limit_cents.map(Money::from_cents));
    // Of a pay plan only the instalments that are due by then are drawn with the bill.
    let due = Money::from_cents(bill.amount_due_cents) - not_yet_due(conn, bill.account_id, run.due_on)?;
    let (amount, on, skipped) = match announce(&rules, state_of(mandate)?, limit, due, today, run.due_on) {
        Announcement::Nothing => return Ok(None),
        Announcement::Draw { amount, on } => (amount, on, None),
        Announcement::Skip { amount, why } => (amount, run.due_on, Some(why)),
    };
    let state = if skipped.is_some() { DrawState::Skipped } else { DrawState::Announced };
    let new = NewDraw {
        token: new_token(),
        mandate_id: mandate.id,
        account_id: bill.account_id,
        run_id: run.id,
        try_no: 1,
        amount_cents: amount.cents(),
        draw_on: on,
        state: state.as_str().to_owned(),
        reason: skipped.map(|why| why.as_str().to_owned()),
        attempts: 0,
        created_at: now,
        updated_at: now,
    };
    if !rows::insert_draw(conn, &new)? {
        return Ok(None);
    }
    let number = bill_number(run.id, bill.account_id);
    let facts = match skipped {
        Some(why) => skipped_facts(number, amount, run.due_on, why),
        None => Facts::AutopayAnnounced(AutopayAnnounced {
            bill_number: number,
            amount_cents: amount.cents(),
            draw_on: on,
            due_on: run.due_on,
            method: label(mandate),
            is_new_day: false,
        }),
    };
    let what = if skipped.is_some() { "skipped" } else { "announced" };
    Ok(Some(told((run.id, bill.account_id), 1, what, today, facts)))
}

/// The notice of a draw: one for each draw and event.
pub(super) fn told(
    (run, account): (RunId, AccountId),
    try_no: i32,
    what: impl std::fmt::Display,
    happened_on: chrono::NaiveDate,
    facts: Facts,
) -> NewNotice {
    NewNotice { key: format!("autopay:{run}:{account}:{try_no}:{what}"), to: Addressee::Account(account), happened_on, facts }
}

fn skipped_facts(bill_number: String, amount: Money, due_on: chrono::NaiveDate, why: SkipReason) -> Facts {
    let to_pay = why != SkipReason::TakenBack;
    Facts::AutopaySkipped(AutopaySkipped { bill_number, amount_cents: amount.cents(), due_on, reason: why.sentence().to_owned(), to_pay })
}

/// Ends a draw without drawing, and tells the customer where that changes something for them.
pub(super) fn skip_within(
    conn: &mut DbConnection,
    context: &Context,
    draw: &DrawRow,
    why: SkipReason,
    now: NaiveDateTime,
) -> Result<(), ActionError> {
    rows::move_draw(conn, draw.id, DrawState::Skipped, Some(why.as_str()), now)?;
    if !why.is_told() {
        return Ok(());
    }
    let bill = bill_of(conn, draw)?;
    let facts = skipped_facts(bill_number(draw.run_id, draw.account_id), Money::from_cents(draw.amount_cents), bill.due_on, why);
    notices::queue(conn, context, told((draw.run_id, draw.account_id), draw.try_no, "skipped", context.today(), facts))
}

/// Ends the draw of a bill that is taken back, within that transaction: whether there was one. Whoever takes the bill back tells the
/// customer of both. What the provider has already goes its way: its money is a credit of the account.
pub(in crate::actions) fn withdraw_quietly_within(
    conn: &mut DbConnection,
    run: RunId,
    account: AccountId,
    now: NaiveDateTime,
) -> Result<bool, ActionError> {
    let draws = rows::announced_of_run(conn, run, account, account)?;
    for draw in &draws {
        rows::move_draw(conn, draw.id, DrawState::Skipped, Some(SkipReason::TakenBack.as_str()), now)?;
    }
    Ok(!draws.is_empty())
}

/// Gives a draw that could not be made on its day another one, with the notice that the rules ask for.
pub(in crate::actions) fn announce_anew_within(
    conn: &mut DbConnection,
    context: &Context,
    draw: &DrawRow,
    now: NaiveDateTime,
) -> Result<(), ActionError> {
    let (mandate, bill): (MandateRow, BillDue) = (mandate_of(conn, draw)?, bill_of(conn, draw)?);
    let on = context.config.autopay.rules().draw_on(context.today(), bill.due_on);
    rows::put_on_day(conn, draw.id, on, now)?;
    if on == draw.draw_on {
        return Ok(());
    }
    let facts = Facts::AutopayAnnounced(AutopayAnnounced {
        bill_number: bill_number(draw.run_id, draw.account_id),
        amount_cents: draw.amount_cents,
        draw_on: on,
        due_on: bill.due_on,
        method: label(&mandate),
        is_new_day: true,
    });
    notices::queue(conn, context, told((draw.run_id, draw.account_id), draw.try_no, format!("on:{on}"), context.today(), facts))
}
