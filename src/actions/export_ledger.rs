//! The ledger as a journal for another accounting program.

use std::collections::HashMap;
use std::io::Write;

use super::{ActionError, Context};
use crate::clock::local_date;
use crate::db::{DbConnection, customers, ledger};
use crate::domain::ids::{AccountId, TransactionId};
use crate::domain::money::Money;
use crate::formats::journal::{JournalEntry, JournalFormat, JournalWriter};

/// Transactions that are read together.
const PAGE: i64 = 5_000;

/// Writes the whole ledger, in ledger order, as of one moment. Returns the number of transactions.
///
/// # Errors
/// Those of the database and of writing.
pub fn export_ledger(context: &Context, out: &mut dyn Write, format: JournalFormat) -> Result<u64, ActionError> {
    let failed = |source| ActionError::File { path: "the export".to_owned(), source };
    context.database.snapshot(|conn| {
        let numbers = account_numbers(conn)?;
        let chart = ledger::gl_accounts(conn)?;
        let first_on = ledger::journal_page(conn, TransactionId(0), 1)?
            .first()
            .map_or_else(|| context.today(), |row| local_date(row.posted_at, context.config.time_zone));
        let mut names: Vec<String> = numbers.values().cloned().collect();
        names.sort_unstable();
        let currency = context.config.currency.as_str();
        let mut writer = JournalWriter::begin(out, format, currency, &chart, &mut names.into_iter(), first_on).map_err(failed)?;
        let mut after = TransactionId(0);
        let mut count = 0;
        loop {
            let page = ledger::journal_page(conn, after, PAGE)?;
            let (Some(first), Some(last)) = (page.first().map(|row| row.id), page.last().map(|row| row.id)) else { break };
            let mut postings: HashMap<TransactionId, Vec<(String, Money)>> = HashMap::new();
            for posting in ledger::postings_between(conn, first, last)? {
                postings.entry(posting.transaction_id).or_default().push((posting.gl_code, Money::from_cents(posting.amount_cents)));
            }
            for row in page {
                count += 1;
                let entry = JournalEntry {
                    id: row.id.0,
                    account: numbers.get(&row.account_id).cloned().unwrap_or_else(|| row.account_id.to_string()),
                    account_seq: row.account_seq,
                    posted_on: local_date(row.posted_at, context.config.time_zone),
                    effective_on: row.effective_on,
                    kind: row.kind,
                    source: row.source,
                    balance_after: Money::from_cents(row.balance_after_cents),
                    postings: postings.remove(&row.id).unwrap_or_default(),
                };
                writer.entry(&entry).map_err(failed)?;
            }
            after = last;
        }
        writer.finish().map_err(failed)?;
        Ok(count)
    })
}

fn account_numbers(conn: &mut DbConnection) -> Result<HashMap<AccountId, String>, ActionError> {
    let mut numbers = HashMap::new();
    let mut after = AccountId(0);
    loop {
        let page = customers::accounts_after(conn, after, PAGE)?;
        let Some(last) = page.last().map(|row| row.id) else { return Ok(numbers) };
        numbers.extend(page.into_iter().map(|row| (row.id, row.number)));
        after = last;
    }
}
