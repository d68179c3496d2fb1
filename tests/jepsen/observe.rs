//! The readers: what one look at the books must show.

use std::collections::BTreeMap;

use aquabills::actions::ActionError;
use aquabills::db::{Database, DbConnection};
use aquabills::domain::ids::AccountId;
use diesel::RunQueryDsl;
use diesel::sql_types::BigInt;

use crate::bank::{Bank, CLOSED_TOTAL, OPEN, count};

/// What a look shows of an account.
#[derive(Debug, Clone, diesel::QueryableByName)]
pub struct Account {
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    /// The sum of its transactions.
    #[diesel(sql_type = BigInt)]
    pub sum: i64,
    #[diesel(sql_type = BigInt)]
    pub rows: i64,
    #[diesel(sql_type = BigInt)]
    pub last_seq: i64,
    /// The balance that its last row tells.
    #[diesel(sql_type = BigInt)]
    pub balance: i64,
}

#[derive(diesel::QueryableByName)]
struct Cents {
    #[diesel(sql_type = BigInt)]
    cents: i64,
}

/// One look at the books.
#[derive(Debug, Default)]
pub struct Look {
    pub accounts: Vec<Account>,
    pub postings: i64,
    pub receivable: i64,
}

const ACCOUNTS: &str = "SELECT f.account_id AS id, CAST(sum(f.amount_cents) AS BIGINT) AS sum, CAST(count(*) AS BIGINT) AS rows, \
    max(f.account_seq) AS last_seq, (SELECT l.balance_after_cents FROM financial_transaction l WHERE l.account_id = f.account_id \
    ORDER BY l.account_seq DESC LIMIT 1) AS balance FROM financial_transaction f";

fn cents(conn: &mut DbConnection, of: &str) -> Result<i64, ActionError> {
    let sql = format!("SELECT CAST(coalesce(sum(amount_cents), 0) AS BIGINT) AS cents FROM posting {of}");
    Ok(diesel::sql_query(sql).get_result::<Cents>(conn)?.cents)
}

impl Look {
    /// A look at one moment.
    pub fn whole(database: &Database) -> Self {
        let look = database.snapshot(|conn| {
            Ok::<_, ActionError>(Self {
                accounts: diesel::sql_query(format!("{ACCOUNTS} GROUP BY f.account_id")).load(conn)?,
                postings: cents(conn, "")?,
                receivable: cents(conn, "WHERE gl_code = 'receivable'")?,
            })
        });
        look.expect("the books are read")
    }

    /// A look that takes its time: one account after the other, each as of its own moment.
    pub fn piece_by_piece(database: &Database, accounts: &[AccountId]) -> Self {
        let mut look = Self::default();
        for id in accounts {
            let of = format!("{ACCOUNTS} WHERE f.account_id = {id} GROUP BY f.account_id");
            look.accounts.extend(database.read(|conn| Ok::<_, ActionError>(diesel::sql_query(of).load::<Account>(conn)?)).expect("it is read"));
            std::thread::yield_now();
        }
        look.postings = database.read(|conn| cents(conn, "")).expect("it is read");
        look.receivable = database.read(|conn| cents(conn, "WHERE gl_code = 'receivable'")).expect("it is read");
        look
    }

    /// What of it cannot be.
    pub fn anomalies(&self, closed: &[AccountId]) -> Vec<String> {
        let mut found = Vec::new();
        for account in &self.accounts {
            if account.sum != account.balance {
                found.push(format!("account {}: its transactions sum to {}, its balance is {}", account.id, account.sum, account.balance));
            }
            if account.rows != account.last_seq {
                found.push(format!("account {}: {} transactions, the last is number {}", account.id, account.rows, account.last_seq));
            }
        }
        let balances: i64 = self.accounts.iter().map(|account| account.balance).sum();
        if balances != self.receivable {
            found.push(format!("the balances sum to {balances}, the receivable is {}", self.receivable));
        }
        if self.postings != 0 {
            found.push(format!("the postings sum to {}", self.postings));
        }
        let held: i64 = self.accounts.iter().filter(|account| closed.contains(&AccountId(account.id))).map(|account| account.balance).sum();
        if held != CLOSED_TOTAL {
            found.push(format!("the closed accounts hold {held} together: expected {CLOSED_TOTAL}"));
        }
        found
    }
}

/// Looks until it is told to stop, or sees what cannot be.
pub fn read_all_the_time(bank: &Bank) {
    let closed = &bank.ids[OPEN..];
    while bank.goes_on() {
        // Whatever somebody was told of before the look began must be in it.
        let told = bank.told_so_far();
        let look = Look::whole(&bank.town.context.database);
        let mut found = look.anomalies(closed);
        let last: BTreeMap<i64, i64> = look.accounts.iter().map(|account| (account.id, account.last_seq)).collect();
        for (account, seq) in told {
            let seen = last.get(&bank.ids[account].0).copied().unwrap_or(0);
            if seen < seq {
                found.push(format!("account {}: position {seq} was acknowledged, the look shows {seen}", bank.ids[account]));
            }
        }
        count(&bank.counts.reads);
        if !found.is_empty() {
            bank.anomalies.lock().expect("no reader failed").extend(found);
            return;
        }
    }
}
