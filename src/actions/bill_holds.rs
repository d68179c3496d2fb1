//! Holding a bill back from collection, and letting it go: nothing is drawn for a bill that is held, or that the customer
//! questions.

use std::str::FromStr;

use chrono::NaiveDate;
use serde::Serialize;

use super::autopay::announce::announce_anew_within;
use super::collections::dunning;
use super::{ActionError, Context};
use crate::db::autopay::{self, BillDue};
use crate::db::bill_holds::{self as rows, HoldRow};
use crate::db::billing::bill_number;
use crate::db::collections::disputes;
use crate::db::{DbConnection, ledger, operations};
use crate::domain::autopay::DrawState;
use crate::domain::ids::{AccountId, RunId};

/// So many holds of one bill are shown.
const MOST: i64 = 50;

/// Why a bill is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HoldKind {
    /// A clerk holds it.
    Held,
    /// The customer questions it.
    Disputed,
}

impl HoldKind {
    /// The name that tables use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Disputed => "disputed",
        }
    }
}

impl FromStr for HoldKind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "held" => Ok(Self::Held),
            "disputed" => Ok(Self::Disputed),
            other => Err(format!("'{other}' is not a way to hold a bill: expected held or disputed")),
        }
    }
}

/// A bill with its holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BillHolds {
    /// The bill's number.
    pub bill_number: String,
    /// The account's number.
    pub account: String,
    /// Its date.
    pub bill_on: NaiveDate,
    /// When it is due.
    pub due_on: NaiveDate,
    /// What was to be paid, in cents.
    pub amount_due_cents: i64,
    /// Whether it was taken back.
    pub cancelled: bool,
    /// Its holds, newest first.
    pub holds: Vec<HoldRow>,
}

/// The parts of a bill's number.
fn parse_number(number: &str) -> Option<(RunId, AccountId)> {
    let (run, account) = number.split_once('-')?;
    let parsed = (RunId(run.parse().ok()?), AccountId(account.parse().ok()?));
    (bill_number(parsed.0, parsed.1) == number).then_some(parsed)
}

/// The bill with a number, and its key.
pub(super) fn find(conn: &mut DbConnection, number: &str) -> Result<((RunId, AccountId), BillDue), ActionError> {
    let missing = || ActionError::not_found("bill", number);
    let key = parse_number(number).ok_or_else(missing)?;
    let bill = autopay::bill_due(conn, key.0, key.1)?.ok_or_else(missing)?;
    Ok((key, bill))
}

/// Holds a bill back. Held so already, nothing changes.
///
/// # Errors
/// [`ActionError::NotFound`] for an unknown bill, [`ActionError::Refused`] without a note, or for a bill that was taken back.
pub fn hold_bill(context: &Context, number: &str, kind: HoldKind, note: &str) -> Result<(), ActionError> {
    let note = check_note(note)?;
    context.database.write(|conn| {
        let (key, _) = find(conn, number)?;
        ledger::lock_accounts(conn, &[key.1])?;
        let (_, bill) = find(conn, number)?;
        if bill.status != "issued" {
            return Err(ActionError::Refused(format!("bill {number} was taken back: there is nothing to hold")));
        }
        hold_within(conn, context, (key, &bill), kind, note)
    })
}

/// Holds a bill back within a transaction that holds its account's lock.
pub(super) fn hold_within(
    conn: &mut DbConnection,
    context: &Context,
    (key, bill): ((RunId, AccountId), &BillDue),
    kind: HoldKind,
    note: &str,
) -> Result<(), ActionError> {
    let now = context.now();
    if rows::hold(conn, key, kind.as_str(), note, &context.actor, now)? {
        let number = bill_number(key.0, key.1);
        operations::audit(conn, now, &context.actor, "bill.hold", &bill.account, &format!("{number} {}: {note}", kind.as_str()))?;
        dunning::held_within(context, conn, key, bill.account_seq)?;
    }
    Ok(())
}

/// Lets a bill go. When its day to be drawn came in between, it is announced for another one.
///
/// # Errors
/// [`ActionError::NotFound`] for an unknown bill, [`ActionError::Refused`] without a note, or when it is not held so.
pub fn release_bill(context: &Context, number: &str, kind: HoldKind, note: &str) -> Result<(), ActionError> {
    let note = check_note(note)?;
    context.database.write(|conn| {
        let (key, bill) = find(conn, number)?;
        ledger::lock_accounts(conn, &[key.1])?;
        let asked = disputes::of_bill(conn, key.0, key.1)?.into_iter().find(|asked| asked.answer.is_none());
        // Of this bill, or of one that was taken back and that this one came for.
        let asked = match asked {
            Some(asked) => Some(asked),
            None => disputes::open_of_cancelled(conn, key.1, key.1)?.into_iter().next(),
        };
        if let Some(asked) = asked.filter(|_| kind == HoldKind::Disputed) {
            return Err(ActionError::Refused(format!("the customer waits for an answer to question {}: the answer lets the bill go", asked.id)));
        }
        if !release_within(conn, context, (key, &bill), kind, note)? {
            let other = rows::open_kinds(conn, key.0, key.1)?;
            let but = other.first().map(|other| format!(", it is {other}: expected that kind")).unwrap_or_default();
            return Err(ActionError::Refused(format!("kind: bill {number} is not {}{but}", kind.as_str())));
        }
        Ok(())
    })
}

/// Lets a bill go within a transaction that holds its account's lock. Whether it was held so.
pub(super) fn release_within(
    conn: &mut DbConnection,
    context: &Context,
    (key, bill): ((RunId, AccountId), &BillDue),
    kind: HoldKind,
    note: &str,
) -> Result<bool, ActionError> {
    let now = context.now();
    if rows::release(conn, key, kind.as_str(), &context.actor, now)? == 0 {
        return Ok(false);
    }
    let number = bill_number(key.0, key.1);
    operations::audit(conn, now, &context.actor, "bill.release", &bill.account, &format!("{number} {}: {note}", kind.as_str()))?;
    if rows::open_kinds(conn, key.0, key.1)?.is_empty() {
        for try_no in [1, 2] {
            let draw = autopay::draw_of_bill(conn, key.0, key.1, try_no)?;
            if let Some(draw) = draw.filter(|draw| draw.is(DrawState::Announced) && draw.draw_on <= context.today()) {
                announce_anew_within(conn, context, &draw, now)?;
            }
        }
    }
    Ok(true)
}

fn check_note(note: &str) -> Result<&str, ActionError> {
    let note = note.trim();
    if note.is_empty() { Err(ActionError::Refused("note: it is empty: expected why, in words".to_owned())) } else { Ok(note) }
}

/// A bill with its holds.
///
/// # Errors
/// [`ActionError::NotFound`] for an unknown bill.
pub fn bill_holds(context: &Context, number: &str) -> Result<BillHolds, ActionError> {
    context.database.snapshot(|conn| {
        let ((run, account), bill) = find(conn, number)?;
        Ok(BillHolds {
            bill_number: number.to_owned(),
            account: bill.account,
            bill_on: bill.bill_on,
            due_on: bill.due_on,
            amount_due_cents: bill.amount_due_cents,
            cancelled: bill.status != "issued",
            holds: rows::of_bill(conn, run, account, MOST)?,
        })
    })
}

/// How a bill is held now: the kinds.
pub(super) fn open_kinds(conn: &mut DbConnection, run: RunId, account: AccountId) -> Result<Vec<String>, ActionError> {
    Ok(rows::open_kinds(conn, run, account)?)
}
