//! Money that moves between us, providers and customers' banks and is no payment of an account: a provider's payout, a refund
//! that the bank carried out.

use std::collections::HashMap;

use chrono::{NaiveDate, NaiveDateTime, TimeDelta};
use serde::Serialize;

use super::plan::told_of;
use crate::actions::{ActionError, Context};
use crate::db::bank::{self, Decided, EntryRow};
use crate::db::bank_match::{self, OpenPayout};
use crate::db::payouts as rows;
use crate::db::provider_payments::RefundRow;
use crate::db::{DbConnection, customers, operations};
use crate::domain::ids::{RefundBatchId, RefundId};
use crate::domain::matching::{NameFit, key_of, keys_in, name_words, names_fit};
use crate::domain::payouts::file_reference;

/// A payout arrives within so many days of what the provider says.
const DAYS_AROUND: i64 = 5;
/// A bank books a file of payouts within so many days.
const BATCH_DAYS: i64 = 10;
/// Why a clerk must look.
const UNSURE: &str = "a refund of this amount is on its way, but it is not sure that this is it";
/// A name that is shorter may be a part of any word.
const SHORTEST_NAME: usize = 6;
/// Payouts are looked for among those of so many days.
const DAYS_BACK: i64 = 3_650;
/// No more payouts are looked at.
const MOST_PAYOUTS: i64 = 10_000;

/// What settling payouts did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct SettledPayouts {
    /// Payouts whose movement at the bank was found.
    pub settled: u64,
    /// Payouts that several movements fit.
    pub ambiguous: u64,
}

/// Payouts that no movement was found for yet.
pub(super) struct Payouts {
    by_amount: HashMap<i64, Vec<OpenPayout>>,
}

/// Which refund a movement carries out.
pub(super) enum Paid {
    /// Surely this one, and why.
    Refund(RefundId, String),
    /// Surely all of a file of payouts, which the bank books as one, and why.
    Batch(RefundBatchId, String),
    /// Perhaps one: a clerk must look.
    Perhaps(String),
    /// None.
    Nothing,
}

impl Payouts {
    /// Those that may have moved between these days.
    pub(super) fn load(conn: &mut DbConnection, from: NaiveDate, to: NaiveDate) -> Result<Self, ActionError> {
        let around = TimeDelta::days(DAYS_AROUND);
        let mut by_amount: HashMap<i64, Vec<OpenPayout>> = HashMap::new();
        for payout in bank_match::unsettled_payouts(conn, from - around, to + around, MOST_PAYOUTS)? {
            by_amount.entry(payout.amount_cents).or_default().push(payout);
        }
        Ok(Self { by_amount })
    }

    /// The payout that a movement brought, when exactly one fits: it is then no longer to be had.
    pub(super) fn take(&mut self, row: &EntryRow) -> Option<OpenPayout> {
        let open = self.by_amount.get_mut(&row.amount_cents)?;
        let fitting: Vec<usize> = open.iter().enumerate().filter(|(_, payout)| brings(row, payout)).map(|(at, _)| at).collect();
        match fitting.as_slice() {
            [one] => Some(open.remove(*one)),
            _ => None,
        }
    }

    /// The refund that a movement carries out.
    #[allow(clippy::unused_self, reason = "both kinds of money that is no payment are asked of one value")]
    pub(super) fn refund_paid_by(&self, conn: &mut DbConnection, row: &EntryRow) -> Result<Paid, ActionError> {
        let amount = -row.amount_cents;
        let open = bank_match::open_payouts(conn, amount)?;
        let mut named: Vec<(&RefundRow, String)> = Vec::new();
        for refund in &open {
            if let Some(why) = names_refund(conn, row, refund)? {
                named.push((refund, why));
            }
        }
        Ok(match (named.as_slice(), open.is_empty()) {
            ([(refund, why)], _) => Paid::Refund(refund.id, why.clone()),
            ([], is_none) => match batch_paid_by(conn, row)? {
                Paid::Nothing if !is_none => Paid::Perhaps(UNSURE.to_owned()),
                paid => paid,
            },
            _ => Paid::Perhaps(UNSURE.to_owned()),
        })
    }
}

/// The file of payouts whose total a debit is: booked on the file's day, or soon after.
fn batch_paid_by(conn: &mut DbConnection, row: &EntryRow) -> Result<Paid, ActionError> {
    if row.kind != "debit" {
        return Ok(Paid::Nothing);
    }
    let days = (row.booked_on - TimeDelta::days(BATCH_DAYS), row.booked_on);
    Ok(match rows::open_batches(conn, -row.amount_cents, days)?.as_slice() {
        [] => Paid::Nothing,
        [(batch, made_on)] => Paid::Batch(*batch, format!("it is the total of the file of payouts {batch} of {made_on}")),
        _ => Paid::Perhaps("several files of payouts have this total".to_owned()),
    })
}

/// Whether a movement is a payout: the amount, a day near by, and the payout's name or the statement's words in its text.
fn brings(row: &EntryRow, payout: &OpenPayout) -> bool {
    let near = (row.booked_on - payout.arrives_on).num_days().abs() <= DAYS_AROUND;
    row.amount_cents == payout.amount_cents && near && is_named(row, &[&payout.payout_ref, &payout.statement_text])
}

/// Whether a movement's references or text contain one of these names, whatever the signs between.
fn is_named(row: &EntryRow, names: &[&str]) -> bool {
    let told = format!("{}\n{}\n{}\n{}", row.reference, row.text, row.party_name, row.bank_ref.as_deref().unwrap_or_default());
    let told = key_of(&told);
    names.iter().map(|name| key_of(name)).any(|name| name.chars().count() >= SHORTEST_NAME && told.contains(&name))
}

/// The provider whose payout a movement may be: who is told of it later tells which.
pub(super) fn may_be_payout_of(context: &Context, row: &EntryRow) -> Option<String> {
    let names = context.providers.iter().map(|provider| provider.name().to_owned());
    names.into_iter().find(|name| row.kind == "credit" && is_named(row, &[name]))
}

/// Whether a movement names an account by a number that is no accident.
fn names_account(row: &EntryRow, number: &str) -> bool {
    let number = key_of(number);
    number.chars().count() >= 4 && keys_in(&told_of(row)).contains(&number)
}

fn names_refund(conn: &mut DbConnection, row: &EntryRow, refund: &RefundRow) -> Result<Option<String>, ActionError> {
    if is_named(row, &[&refund.token, &file_reference(refund.id), refund.provider_ref.as_deref().unwrap_or_default()]) {
        return Ok(Some(format!("it names our refund {}", refund.token)));
    }
    let number = customers::account_number(conn, refund.account_id)?;
    if names_account(row, &number) {
        return Ok(Some(format!("it names account {number}, which is owed a refund of this amount")));
    }
    let cards = customers::account_cards(conn, &[refund.account_id])?;
    let same = |name: &str| names_fit(&name_words(&row.party_name), &name_words(name)) == NameFit::Same;
    let named = cards.iter().find(|card| same(&card.name));
    Ok(named.map(|card| format!("it went to {}, who is owed a refund of this amount", card.name)))
}

/// Notes that a movement carries a file of payouts out, within a transaction that holds the locks of their accounts.
pub(super) fn carry_out_batch(
    context: &Context,
    conn: &mut DbConnection,
    row: &EntryRow,
    batch: RefundBatchId,
    now: NaiveDateTime,
) -> Result<(), ActionError> {
    for (refund, _) in rows::open_items(conn, batch)? {
        carry_out(context, conn, row, refund, now)?;
    }
    Ok(())
}

/// Notes that a movement carries a refund out.
pub(super) fn carry_out(context: &Context, conn: &mut DbConnection, row: &EntryRow, refund: RefundId, now: NaiveDateTime) -> Result<(), ActionError> {
    crate::actions::refunds::paid_out_within(context, conn, refund, &super::payment_reference(row), now)
}

/// Finds the movements that brought what providers sent, among those that wait: for payouts that became known later than the
/// bank's file.
///
/// # Errors
/// Those of the database.
pub fn settle_payouts(context: &Context) -> Result<SettledPayouts, ActionError> {
    let (from, to) = (context.today() - TimeDelta::days(DAYS_BACK), context.today() + TimeDelta::days(DAYS_AROUND));
    let open = context.database.read(|conn| bank_match::unsettled_payouts(conn, from, to, MOST_PAYOUTS).map_err(ActionError::from));
    let mut settled = SettledPayouts::default();
    for payout in open? {
        match context.database.write(|conn| settle_one(context, conn, &payout))? {
            Some(true) => settled.settled += 1,
            Some(false) => settled.ambiguous += 1,
            None => {}
        }
    }
    Ok(settled)
}

fn settle_one(context: &Context, conn: &mut DbConnection, payout: &OpenPayout) -> Result<Option<bool>, ActionError> {
    let around = TimeDelta::days(DAYS_AROUND);
    let entries = bank_match::free_entries(conn, payout.amount_cents, payout.arrives_on - around, payout.arrives_on + around)?;
    let mut fitting = entries.iter().filter(|entry| brings(entry, payout));
    let (Some(entry), None) = (fitting.next(), fitting.next()) else {
        return Ok(entries.iter().any(|entry| brings(entry, payout)).then_some(false));
    };
    let Some(entry) = bank::lock_entry(conn, entry.id)?.filter(|now| now.status == entry.status && now.decided_by.is_none()) else {
        return Ok(None);
    };
    if bank_match::settle_payout(conn, payout.id, entry.id)? == 0 {
        return Ok(None);
    }
    let now = context.now();
    let words = format!("the payout {} of {}", payout.payout_ref, payout.provider);
    bank::decide(
        conn,
        entry.id,
        &Decided {
            status: "settled".to_owned(),
            suggested_account_id: None,
            decided_by: None,
            decided_at: Some(now),
            note: Some(words.clone()),
            returned_payment_id: None,
            refund_id: None,
        },
    )?;
    bank::end_waiting(conn, entry.id, "dismissed", &context.actor, Some(&words), now)?;
    operations::audit(conn, now, &context.actor, "bank.settle", &format!("movement {}", entry.id), &words)?;
    Ok(Some(true))
}
