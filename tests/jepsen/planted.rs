//! The test is tested: a lost update that somebody planted is seen, and so is a read that was not taken at one moment.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use aquabills::db::{Backend, ledger};
use aquabills::domain::ids::AccountId;
use diesel::connection::SimpleConnection;
use diesel::result::Error as DieselError;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::bank::{Bank, OPEN};
use crate::observe::Look;
use crate::support::on_both;
use crate::{seed, writers};

/// How long it is waited for a fault to show.
const PATIENCE: Duration = Duration::from_secs(60);

/// Takes away what refuses a lost update, in this copy of the schema only.
fn without_guards(bank: &Bank) {
    let database = &bank.town.context.database;
    let dropped = database.write(|conn| {
        match database.backend() {
            Backend::Sqlite => {
                let sql = "SELECT name AS line FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'financial_transaction'";
                for trigger in crate::support::lines(conn, sql) {
                    conn.batch_execute(&format!("DROP TRIGGER {trigger}"))?;
                }
            }
            Backend::Postgres => conn.batch_execute("ALTER TABLE financial_transaction DISABLE TRIGGER USER")?,
        }
        Ok::<_, DieselError>(())
    });
    dropped.expect("the triggers are gone");
}

/// A writer as one writes it who does not know better: the balance is read, and later written with the payment, without a lock
/// between the two.
fn careless_writer(bank: &Bank, seed: u64, stop: &AtomicBool) {
    let mut rng = StdRng::seed_from_u64(seed);
    while !stop.load(Ordering::Acquire) {
        let account: AccountId = bank.ids[rng.random_range(0..3)];
        let cents: i64 = rng.random_range(1..500);
        let database = &bank.town.context.database;
        let before = database.read(|conn| ledger::position(conn, account)).expect("it is read").balance.cents();
        thread::sleep(Duration::from_millis(rng.random_range(0..3)));
        let posted = database.write(|conn| {
            let id = "(SELECT coalesce(max(id), 0) + 1000 FROM financial_transaction)";
            let seq = format!("(SELECT coalesce(max(account_seq), 0) + 1 FROM financial_transaction WHERE account_id = {account})");
            let after = before - cents;
            conn.batch_execute(&format!(
                "INSERT INTO posting (transaction_id, posting_no, gl_code, amount_cents) VALUES ({id}, 1, 'receivable', -{cents}); \
                 INSERT INTO posting (transaction_id, posting_no, gl_code, amount_cents) VALUES ({id}, 2, 'clearing:cash', {cents}); \
                 INSERT INTO financial_transaction (id, account_id, account_seq, kind, source, amount_cents, balance_after_cents, effective_on, posted_at) \
                 VALUES ({id}, {account}, {seq}, 'payment', 'careless:{}', -{cents}, {after}, '2026-06-15', '2026-06-15 12:00:00')",
                rng.random::<u64>()
            ))
        });
        // Two of them may take the same number: that much the keys still refuse.
        drop(posted);
    }
}

on_both! {
    fn a_lost_update_is_seen(town: Town) {
        let bank = Bank::open(town);
        assert_eq!(Look::whole(&bank.town.context.database).anomalies(&bank.ids[OPEN..]), Vec::<String>::new());
        without_guards(&bank);
        let stop = AtomicBool::new(false);
        let found = thread::scope(|scope| {
            for number in 0..6 {
                let (bank, stop) = (&bank, &stop);
                scope.spawn(move || careless_writer(bank, seed() + number, stop));
            }
            let since = Instant::now();
            let mut found = Vec::new();
            while found.is_empty() && since.elapsed() < PATIENCE {
                found = Look::whole(&bank.town.context.database).anomalies(&bank.ids[OPEN..]);
            }
            stop.store(true, Ordering::Release);
            found
        });
        println!("seen: {found:?}");
        assert!(found.iter().any(|text| text.contains("its transactions sum to")), "the lost update was not seen: {found:?}");
        assert!(bank.town.check().faults > 0, "`ledger check` sees it, too");
    }

    fn a_lost_update_is_refused_where_the_guards_are(town: Town) {
        let bank = Bank::open(town);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for number in 0..6 {
                let (bank, stop) = (&bank, &stop);
                scope.spawn(move || careless_writer(bank, seed() + number, stop));
            }
            let since = Instant::now();
            while since.elapsed() < Duration::from_secs(1) {
                assert_eq!(Look::whole(&bank.town.context.database).anomalies(&bank.ids[OPEN..]), Vec::<String>::new());
            }
            stop.store(true, Ordering::Release);
        });
    }

    fn a_read_that_is_not_of_one_moment_is_seen(town: Town) {
        let bank = Bank::open(town);
        let found = thread::scope(|scope| {
            let _stop = bank.stop_at_end();
            for number in 0..16 {
                let bank = &bank;
                scope.spawn(move || writers::write(bank, seed(), number * 8));
            }
            let since = Instant::now();
            let mut found = Vec::new();
            while found.is_empty() && since.elapsed() < PATIENCE {
                found = Look::piece_by_piece(&bank.town.context.database, &bank.ids).anomalies(&bank.ids[OPEN..]);
            }
            found
        });
        println!("seen: {found:?}");
        assert!(found.iter().any(|text| text.contains("the closed accounts hold")), "what a torn read shows was not seen: {found:?}");
        // And at one moment all is well.
        assert_eq!(Look::whole(&bank.town.context.database).anomalies(&bank.ids[OPEN..]), Vec::<String>::new());
    }
}
