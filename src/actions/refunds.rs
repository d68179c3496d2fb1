//! Refunds: money given back through the provider that brought it. The account is charged when the refund is asked for; the
//! provider's reference comes later, or never, and then the money is the customer's again.

use chrono::NaiveDateTime;

use super::{ActionError, Context, account_named, balances};
use crate::db::DbConnection;
use crate::db::customers;
use crate::db::provider_payments::{self as rows, RefundRow};
use crate::domain::money::Money;

/// The reason code of a refund that did not arrive.
const FAILED: &str = "refund-failed";

/// Gives a refund that failed back to the account, within a transaction that holds its lock.
pub(super) fn give_back_within(context: &Context, conn: &mut DbConnection, refund: &RefundRow, now: NaiveDateTime) -> Result<(), ActionError> {
    let number = customers::account_number(conn, refund.account_id)?;
    let account = account_named(conn, &number)?;
    let reference = format!("{}/failed", refund.token);
    let amount = -Money::from_cents(refund.amount_cents);
    let posted = balances::post(context, conn, &account, FAILED, amount, &reference, "the refund did not arrive")?;
    rows::supersede_refund(conn, refund.id, posted.account_seq, now)?;
    Ok(())
}
