//! Jepsen's bank test: 64 writers move money in every way there is, bills are run beside them, and readers look all the time. Every
//! read of the total must be right: each balance is the sum of its account's transactions, the general ledger's receivable is the
//! sum of the balances, all postings sum to zero, and the accounts that only pay each other hold what they began with. At the
//! end every write that was acknowledged is in the ledger once, and nothing that was refused.
//!
//! It takes some seconds on each database; `AQUABILLS_WHOLE=1` takes five minutes. `AQUABILLS_SEED` asks for another order.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on must fail loudly")]
#![allow(clippy::print_stdout, reason = "how much was written and read is worth reading when a test is looked at")]

#[path = "../support/mod.rs"]
mod support;

mod bank;
mod events;
mod observe;
mod planted;
mod writers;

use std::thread;
use std::time::{Duration, Instant};

use bank::Bank;
use support::on_both;

/// How long the writers write.
fn duration() -> Duration {
    Duration::from_secs(if std::env::var_os("AQUABILLS_WHOLE").is_some() { 300 } else { 12 })
}

fn seed() -> u64 {
    std::env::var("AQUABILLS_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_121)
}

on_both! {
    fn every_read_of_the_total_is_right_while_64_writers_write(town: Town) {
        let (seed, duration) = (seed(), duration());
        println!("seed {seed}, {duration:?}");
        let bank = Bank::open(town);
        let began = Instant::now();
        thread::scope(|scope| {
            let _stop = bank.stop_at_end();
            for number in 0..writers::WRITERS {
                let bank = &bank;
                scope.spawn(move || writers::write(bank, seed, number));
            }
            for _ in 0..2 {
                scope.spawn(|| writers::settle_all_the_time(&bank));
            }
            scope.spawn(|| writers::run_bills_all_the_time(&bank, duration));
            let readers: Vec<_> = (0..3).map(|_| scope.spawn(|| observe::read_all_the_time(&bank))).collect();
            while began.elapsed() < duration && readers.iter().all(|reader| !reader.is_finished()) {
                thread::sleep(Duration::from_millis(50));
            }
        });
        bank.assert_all_is_well(seed, began.elapsed());
    }
}
