//! Money of a provider that fits no account: a clerk gives it to one, or says why nobody gets it.

use serde::Serialize;

use super::decide::Share;
use crate::actions::inbox::give_parts;
use crate::actions::{ActionError, Context, account_named};
use crate::db::provider_payments::{self as rows, UnappliedRow};
use crate::db::{DbConnection, operations};
use crate::domain::ids::{AccountId, UnappliedCreditId};
use crate::domain::money::Money;

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CreditOutcome {
    /// Which money.
    pub credit: UnappliedCreditId,
    /// `applied` or `dismissed`.
    pub status: String,
}

/// A page of providers' money that waits, oldest first, after an id.
///
/// # Errors
/// Those of the database.
pub fn waiting(context: &Context, after: UnappliedCreditId, limit: i64) -> Result<Vec<UnappliedRow>, ActionError> {
    Ok(context.database.read(|conn| rows::waiting_credits(conn, after, limit))?)
}

/// Gives a provider's money to accounts: the payment's parts are set, and its story is told again.
///
/// # Errors
/// [`ActionError::NotFound`] for unknown money or accounts, [`ActionError::Refused`] when it does not wait any more, or the parts
/// do not add up.
pub fn assign(context: &Context, id: UnappliedCreditId, shares: &[Share]) -> Result<CreditOutcome, ActionError> {
    context.database.write(|conn| {
        let credit = waiting_credit(conn, id)?;
        let Some(payment) = credit.provider_payment_id else {
            return Err(ActionError::Refused("this money came by bank: decide about its movement".to_owned()));
        };
        let parts = divided(conn, &credit, shares)?;
        give_parts(context, conn, payment, &parts)?;
        let words = shares.iter().map(|share| share.account.as_str()).collect::<Vec<_>>().join(", ");
        let detail = format!("{} under {}", Money::from_cents(credit.amount_cents), credit.reference);
        operations::audit(conn, context.now(), &context.actor, "credit.assign", &words, &detail)?;
        Ok(CreditOutcome { credit: id, status: "applied".to_owned() })
    })
}

/// Says that nobody gets a provider's money, and why.
///
/// # Errors
/// [`ActionError::Refused`] without a reason, or when it does not wait any more.
pub fn dismiss(context: &Context, id: UnappliedCreditId, note: &str) -> Result<CreditOutcome, ActionError> {
    let note = note.trim();
    if note.is_empty() {
        return Err(ActionError::Refused("note: it is empty: expected why, in words".to_owned()));
    }
    context.database.write(|conn| {
        let credit = waiting_credit(conn, id)?;
        if credit.provider_payment_id.is_none() {
            return Err(ActionError::Refused("this money came by bank: decide about its movement".to_owned()));
        }
        let now = context.now();
        rows::dismiss_credit(conn, id, &context.actor, note, now)?;
        operations::resolve_about_credit(conn, id, &context.actor, now)?;
        let detail = format!("{} under {}: {note}", Money::from_cents(credit.amount_cents), credit.reference);
        operations::audit(conn, now, &context.actor, "credit.dismiss", &format!("credit {id}"), &detail)?;
        Ok(CreditOutcome { credit: id, status: "dismissed".to_owned() })
    })
}

fn waiting_credit(conn: &mut DbConnection, id: UnappliedCreditId) -> Result<UnappliedRow, ActionError> {
    let credit = rows::lock_credit(conn, id)?.ok_or_else(|| ActionError::not_found("unapplied credit", id.to_string()))?;
    if credit.status == "waiting" {
        return Ok(credit);
    }
    Err(ActionError::Refused(format!("this money was decided meanwhile: it is {}. Nothing was changed; look again", credit.status)))
}

fn divided(conn: &mut DbConnection, credit: &UnappliedRow, shares: &[Share]) -> Result<Vec<(AccountId, i64)>, ActionError> {
    let whole = Money::from_cents(credit.amount_cents);
    let given = Money::checked_sum(shares.iter().filter_map(|share| share.amount)).and_then(|given| whole.checked_sub(given));
    let rest = given.ok_or_else(|| ActionError::Refused("amount: it is too large".to_owned()))?;
    let open = shares.iter().filter(|share| share.amount.is_none()).count();
    if shares.is_empty() || open > 1 || (open == 0 && !rest.is_zero()) {
        return Err(ActionError::Refused(format!("amount: expected parts that add up to {whole}, all but one with an amount")));
    }
    let mut parts: Vec<(AccountId, i64)> = Vec::with_capacity(shares.len());
    for share in shares {
        let account = account_named(conn, &share.account)?;
        let amount = share.amount.unwrap_or(rest);
        if !amount.is_positive() || parts.iter().any(|(known, _)| *known == account.id) {
            return Err(ActionError::Refused(format!("account: {}: expected each account once, with more than 0", account.number)));
        }
        parts.push((account.id, amount.cents()));
    }
    Ok(parts)
}
