//! `aquabills account`: one account's ledger.

use super::print;
use super::{Failure, Global};
use crate::actions::{ActionError, account_named};
use crate::db::ledger;
use crate::domain::money::Money;

/// Shows an account with its balance and transactions.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Account number
    number: String,
    /// Begins after this transaction
    #[arg(long, default_value_t = 0)]
    after: i64,
    /// How many transactions
    #[arg(long, default_value_t = 100)]
    limit: i64,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    let context = global.existing()?;
    let (position, rows) = context.database.snapshot(|conn| {
        let account = account_named(conn, &args.number)?;
        let position = ledger::position(conn, account.id)?;
        let rows = ledger::transactions_of(conn, account.id, args.after, args.limit.clamp(1, 100_000))?;
        Ok::<_, ActionError>((position, rows))
    })?;
    if args.json {
        let value = serde_json::json!({ "account": args.number, "balance_cents": position.balance.cents(), "transactions": rows });
        print::json(&value)?;
        return Ok(true);
    }
    for row in &rows {
        let (amount, balance) = (Money::from_cents(row.amount_cents).to_string(), Money::from_cents(row.balance_after_cents).to_string());
        let posted = row.posted_at.and_utc().with_timezone(&context.config.time_zone).format("%Y-%m-%d %H:%M");
        print::line(&format!("{:>5}  {posted}  {:<17} {amount:>12} {balance:>12}  {}", row.account_seq, row.kind, short(&row.source)))?;
    }
    print::line(&format!("balance {}", position.balance))?;
    Ok(true)
}

/// Where a transaction came from, for people: of money that went back, the provider's name of it without our own key. The whole
/// is in the JSON.
fn short(source: &str) -> &str {
    let is_key = |text: &str| text.len() >= 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut parts = source.rsplitn(3, ':');
    match (source.starts_with("refund:"), parts.next(), parts.next(), parts.next()) {
        (true, Some(key), Some(part), Some(rest)) if is_key(key) && part.parse::<i32>().is_ok() => rest,
        _ => source,
    }
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn a_key_of_ours_is_not_for_people() {
        assert_eq!(short("refund:stripe:re_1:1:0123456789abcdef0123456789abcdef"), "refund:stripe:re_1");
        for whole in ["run:12", "stripe:pi_1", "adjustment:refund:R-1", "refund:stripe:re_1", "return:4"] {
            assert_eq!(short(whole), whole);
        }
    }
}
