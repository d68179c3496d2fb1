//! Telling one payment again from everything that is stored of it.

use super::apply::{known_events, lock_accounts, parts_of, readable_facts, standing, told};
use super::post::{Moment, bring_ledger_to};
use crate::actions::autopay::follow::follow_within;
use crate::actions::{ActionError, Context};
use crate::db::provider_payments as rows;
use crate::db::{DbConnection, ledger, payments};
use crate::domain::ids::{AccountId, ProviderPaymentId};
use crate::domain::money::Money;

/// Tells a payment again from its applied events and brings the ledger to it. Returns whether the ledger moved: it does not when
/// it was right. Events that wait are not told; [`super::settle`] applies them.
///
/// # Errors
/// [`ActionError::NotFound`] for an unknown payment, [`ActionError::Refused`] when no provider can read its events or the
/// currency is another one, and those of the database.
pub fn replay_payment(context: &Context, id: ProviderPaymentId) -> Result<bool, ActionError> {
    context.database.write(|conn| {
        rows::lock(conn, id)?;
        let payment = rows::by_id(conn, id)?.ok_or_else(|| ActionError::not_found("payment", id.to_string()))?;
        let provider = context.providers.by_name(&payment.provider).filter(|provider| provider.merchant() == payment.merchant);
        let provider =
            provider.ok_or_else(|| ActionError::Refused(format!("no provider is called '{}' ({})", payment.provider, payment.merchant)))?;
        let mut known = known_events(conn, &payment, payment.provider_ref.as_deref().unwrap_or_default())?;
        known.retain(|event| event.status == "applied");
        if known.is_empty() {
            // Nothing was ever heard of it: it is as we began it.
            return Ok(false);
        }
        let facts = readable_facts(conn, provider.as_ref(), &payment, &known)?;
        let story = told(context, &facts);
        if story.received.is_some() && story.currency != context.config.currency {
            let (theirs, ours) = (&story.currency, &context.config.currency);
            return Err(ActionError::Refused(format!("the payment is in '{theirs}', the ledger in '{ours}': it cannot be told again")));
        }
        let parts = parts_of(conn, &payment)?;
        lock_accounts(conn, &payment, &parts)?;
        let now = context.now();
        let accounts = moved_accounts(conn, id, &parts)?;
        let before = positions(conn, &accounts)?;
        bring_ledger_to(context, conn, &payment, &story, &parts, Moment { now, event: None })?;
        let changed = positions(conn, &accounts)? != before;
        let wanted = standing(&payment, &story, context.today(), payment.updated_at);
        if changed || wanted.state != payment.state || wanted.amount_cents != payment.amount_cents {
            rows::set_standing(conn, id, &rows::Standing { updated_at: now, ..wanted })?;
        }
        follow_within(context, conn, id, (story.state, story.reason.as_deref()), now)?;
        Ok(changed)
    })
}

fn moved_accounts(conn: &mut DbConnection, id: ProviderPaymentId, parts: &[(AccountId, Money)]) -> Result<Vec<AccountId>, ActionError> {
    let mut accounts: Vec<AccountId> = parts.iter().map(|(account, _)| *account).collect();
    accounts.extend(payments::of_provider_payment(conn, id)?.iter().map(|row| row.account_id));
    accounts.extend(rows::taken_of(conn, id)?.iter().map(|row| row.account_id));
    accounts.sort_unstable();
    accounts.dedup();
    Ok(accounts)
}

fn positions(conn: &mut DbConnection, accounts: &[AccountId]) -> Result<Vec<i64>, ActionError> {
    accounts.iter().map(|account| Ok(ledger::position(conn, *account)?.seq)).collect()
}
