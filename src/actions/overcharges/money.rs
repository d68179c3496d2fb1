//! Payments that a bill should have deducted, and fees whose reason was taken back.

use super::Seen;
use crate::actions::ActionError;
use crate::config::Config;
use crate::db::DbConnection;
use crate::db::billing::bill_number;
use crate::db::overcharges::FindingRow;
use crate::db::sweep::{self, BaselessFee, LatePayment};
use crate::domain::ids::AccountId;
use crate::domain::money::Money;
use crate::domain::overcharges::{Cause, FindingKind, Reason};

/// What a range of accounts was asked for too much.
pub(super) fn look(
    conn: &mut DbConnection,
    config: &Config,
    (first, last): (AccountId, AccountId),
    standing: &[(FindingRow, String)],
) -> Result<Vec<Seen>, ActionError> {
    let mut seen: Vec<Seen> = Vec::new();
    for row in sweep::late_payments(conn, first, last)? {
        seen.extend(late(config, &row));
    }
    for row in sweep::baseless_fees(conn, first, last)? {
        seen.extend(fee(&row, standing));
    }
    Ok(seen)
}

/// A payment whose money was there before the bill is a finding; one that only has an earlier value date is worth knowing.
fn late(config: &Config, row: &LatePayment) -> Option<Seen> {
    let before = row.received_at.filter(|received| *received < row.billed_at);
    let posted_on = row.posted_at.and_utc().with_timezone(&config.time_zone).date_naive();
    if before.is_none() && (row.effective_on > row.bill_on || row.effective_on >= posted_on) {
        return None;
    }
    // Worth knowing only until the next bill has deducted it.
    if before.is_none() && row.deducted == 1 {
        return None;
    }
    let bill = bill_number(row.run_id, row.account_id);
    let amount = Money::from_cents(row.amount_cents);
    let reference = row.provider_ref.as_deref().map(|reference| format!(" ({reference})")).unwrap_or_default();
    let detail = match before {
        Some(at) => {
            let at = at.and_utc().with_timezone(&config.time_zone).format("%Y-%m-%d %H:%M");
            format!("{amount}{reference} had been received at {at} and was posted after bill {bill}, which did not deduct it")
        }
        None => format!("{amount}{reference} of {} was entered after bill {bill}, which could not deduct it", row.effective_on),
    };
    let subject = if before.is_some() { format!("run {}", row.run_id) } else { format!("run {}, entered later", row.run_id) };
    Some(Seen {
        key: format!("payment:{}:{}", row.payment_id, row.run_id),
        kind: FindingKind::Payment,
        account: row.account_id,
        agreement: None,
        run: Some(row.run_id),
        from_on: row.bill_on,
        to_on: row.bill_on,
        billed_cents: row.amount_due_cents,
        mended_cents: 0,
        should_cents: row.amount_due_cents - row.amount_cents,
        information: before.is_none(),
        reason: Reason { cause: Cause::LatePayment, subject, detail },
        evidence: "{}".to_owned(),
    })
}

fn fee(row: &BaselessFee, standing: &[(FindingRow, String)]) -> Option<Seen> {
    let key = format!("fee:{}:{}", row.account_id, row.account_seq);
    let mended_cents: i64 = standing.iter().filter(|(finding, _)| finding.finding_key == key).map(|(finding, _)| finding.mended_cents).sum();
    let fee = Money::from_cents(row.amount_cents);
    let payment = row.provider_ref.as_deref().map_or_else(|| "its payment".to_owned(), |reference| format!("payment {reference}"));
    let detail = format!("the fee of {fee} on {} was for a return, and {payment} stands", row.effective_on);
    let seen = Seen {
        key,
        kind: FindingKind::Fee,
        account: row.account_id,
        agreement: None,
        run: None,
        from_on: row.effective_on,
        to_on: row.effective_on,
        billed_cents: row.amount_cents,
        mended_cents,
        should_cents: 0,
        information: false,
        reason: Reason { cause: Cause::FeeReversed, subject: "returned payments that stand".to_owned(), detail },
        evidence: "{}".to_owned(),
    };
    (seen.should_cents - seen.billed_cents - seen.mended_cents != 0).then_some(seen)
}
