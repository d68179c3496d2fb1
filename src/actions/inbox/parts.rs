//! Saying for whom a payment is whose money fits no account, and telling its story again.

use super::apply::{facts_known, lock_accounts, parts_of, told};
use super::post::{Moment, bring_ledger_to};
use crate::actions::{ActionError, Context};
use crate::db::DbConnection;
use crate::db::provider_payments as rows;
use crate::domain::ids::{AccountId, ProviderPaymentId};

/// Divides a payment over accounts, in cents, and brings the ledger to that.
///
/// # Errors
/// [`ActionError::Refused`] when nothing is known that the payment was made of, or its provider is not set up.
pub(in crate::actions) fn give_parts(
    context: &Context,
    conn: &mut DbConnection,
    id: ProviderPaymentId,
    parts: &[(AccountId, i64)],
) -> Result<(), ActionError> {
    rows::lock(conn, id)?;
    let payment = rows::by_id(conn, id)?.ok_or_else(|| ActionError::not_found("payment", id.to_string()))?;
    let provider = context.providers.by_name(&payment.provider).filter(|provider| provider.merchant() == payment.merchant);
    let provider = provider.ok_or_else(|| ActionError::Refused(format!("no provider is called '{}' ({})", payment.provider, payment.merchant)))?;
    let facts = facts_known(provider.as_ref(), conn, &payment)?;
    let story = told(context, &facts);
    if story.received.is_none() {
        return Err(ActionError::Refused("the provider says no longer that this money came: look again".to_owned()));
    }
    rows::set_parts(conn, id, parts)?;
    let parts = parts_of(conn, &payment)?;
    lock_accounts(conn, &payment, &parts)?;
    bring_ledger_to(context, conn, &payment, &story, &parts, Moment { now: context.now(), event: None })?;
    Ok(())
}
