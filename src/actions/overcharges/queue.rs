//! What a correction touches is looked at again soon: queued in the transaction of the correction, swept by the server.

use super::scan::{ScanReport, chunk_of, scan_chunks};
use crate::actions::stop::Stop;
use crate::actions::{ActionError, Context};
use crate::db::overcharges;
use crate::domain::ids::AccountId;

/// Rows of the queue that are looked at in one go.
const BATCH: i64 = 20_000;
/// Accounts that lie this close together are looked at as one range, with those between them.
const NEAR: i64 = 20;
/// A range takes no more accounts than this.
const WIDEST: i64 = 1_000;

/// Looks at the accounts that corrections touched, until the queue is empty. None when nothing waited.
///
/// # Errors
/// Those of the database, and [`ActionError::Stopped`] between two batches.
pub fn sweep_queue(context: &Context, stop: &Stop) -> Result<Option<ScanReport>, ActionError> {
    let mut last = None;
    loop {
        let queued = context.database.read(|conn| overcharges::queued(conn, BATCH))?;
        if queued.is_empty() {
            return Ok(last);
        }
        let mut accounts: Vec<AccountId> = queued.iter().map(|row| row.account_id).collect();
        accounts.sort_unstable();
        accounts.dedup();
        let chunks: Vec<_> = ranges(&accounts).into_iter().map(|(first, last)| chunk_of(first, last)).collect();
        last = Some(scan_chunks(context, None, &chunks, &|_, _| {})?);
        // Only now: what is killed in between is looked at again.
        let ids: Vec<i64> = queued.iter().map(|row| row.id).collect();
        context.database.write(|conn| overcharges::unqueue(conn, &ids).map_err(ActionError::from))?;
        if stop.is_requested() {
            return Err(ActionError::Stopped);
        }
    }
}

/// Accounts (in id order) as few ranges.
pub(super) fn ranges(accounts: &[AccountId]) -> Vec<(AccountId, AccountId)> {
    let mut ranges: Vec<(AccountId, AccountId)> = Vec::new();
    for account in accounts {
        match ranges.last_mut() {
            Some((first, last)) if account.0 - last.0 <= NEAR && account.0 - first.0 < WIDEST => *last = *account,
            _ => ranges.push((*account, *account)),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_looked_at_together() {
        let accounts = [1, 2, 3, 22, 100, 101].map(AccountId);
        let expected = [(1, 22), (100, 101)].map(|(first, last)| (AccountId(first), AccountId(last)));
        assert_eq!(ranges(&accounts), expected);
        let many: Vec<AccountId> = (1..=2_500).map(AccountId).collect();
        assert_eq!(ranges(&many).len(), 3);
    }
}
