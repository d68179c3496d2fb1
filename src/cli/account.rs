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
        print::line(&format!("{:>5}  {posted}  {:<17} {amount:>12} {balance:>12}  {}", row.account_seq, row.kind, row.source))?;
    }
    print::line(&format!("balance {}", position.balance))?;
    Ok(true)
}
