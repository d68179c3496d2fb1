//! All 24 orders of four events, each delivered 1 to 50 times, with crashes in between: one ledger, on both databases.

use aquabills::actions::ledger_hash::NetRow;
use diesel::connection::SimpleConnection;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use super::provider::{DAY, deliver, dispute, payment, refund};
use super::support::Town;
use super::{attempt, net, settle_all, town};

/// On its way; come, as 50.00; corrected to 45.00; 12.00 of it given back at the provider.
fn corrected(name: &str) -> [Value; 4] {
    [
        payment(name, "1", 0, "submitted", 5000),
        payment(name, "2", 60, "succeeded", 5000),
        payment(name, "3", 120, "succeeded", 4500),
        refund(name, "refund", "4", DAY, 1200, true),
    ]
}

/// Come; taken back by the payer's bank; decided for us; and a correction of the amount in between.
fn disputed(name: &str) -> [Value; 4] {
    [
        payment(name, "1", 0, "succeeded", 5000),
        dispute(name, "2", 2 * DAY, 5000, true, false),
        payment(name, "3", 2 * DAY + 60, "succeeded", 5000),
        dispute(name, "4", 9 * DAY, 5000, true, true),
    ]
}

/// Come; said to have failed after all; come again with another amount; taken back for good.
fn returned(name: &str) -> [Value; 4] {
    [
        payment(name, "1", 0, "succeeded", 5000),
        payment(name, "2", 60, "failed", 5000),
        payment(name, "3", 120, "succeeded", 4700),
        dispute(name, "4", 2 * DAY, 4700, true, false),
    ]
}

type Script = fn(&str) -> [Value; 4];

/// Every order of four.
fn orders() -> Vec<[usize; 4]> {
    let mut orders = Vec::new();
    for a in 0..4 {
        for b in (0..4).filter(|b| *b != a) {
            for c in (0..4).filter(|c| *c != a && *c != b) {
                orders.push([a, b, c, 6 - a - b - c]);
            }
        }
    }
    orders
}

/// Makes every write to a table fail from now on, as a full disk or a lost connection would in the middle of a transaction.
fn break_table(town: &Town, table: &str) {
    let sql = match town.context.database.backend() {
        aquabills::db::Backend::Sqlite => {
            format!("CREATE TRIGGER broken BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'planted: the disk is full'); END;")
        }
        aquabills::db::Backend::Postgres => format!(
            "CREATE OR REPLACE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'planted: the disk is full'; END $$; \
             CREATE TRIGGER broken BEFORE INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION broken();"
        ),
    };
    town.context.database.write(|conn| conn.batch_execute(&sql)).expect("the fault is planted");
}

fn mend_table(town: &Town, table: &str) {
    let on = if town.context.database.backend() == aquabills::db::Backend::Sqlite { String::new() } else { format!(" ON {table}") };
    town.context.database.write(|conn| conn.batch_execute(&format!("DROP TRIGGER broken{on};"))).expect("the fault is mended");
}

/// Delivers four events in an order, each so often, in a burst that mixes the repetitions, settling now and then, sometimes
/// with a fault in the middle.
fn live_through(town: &Town, name: &str, script: Script, order: [usize; 4], times: usize, luck: &mut StdRng) {
    let events = script(name);
    let mut deliveries: Vec<usize> = order.to_vec();
    // The first of each comes in the order of the case; the repetitions anywhere after it.
    for event in order {
        for _ in 1..times {
            let first = deliveries.iter().position(|d| *d == event).expect("the first one");
            let at = luck.random_range(first + 1..=deliveries.len());
            deliveries.insert(at, event);
        }
    }
    for event in deliveries {
        deliver(&town.context, &events[event]);
        match luck.random_range(0..12) {
            0..4 => {
                settle_all(&town.context);
            }
            4 => {
                let tables = ["financial_transaction", "payment", "trace_step", "posting", "refund"];
                let table = tables[luck.random_range(0..tables.len())];
                break_table(town, table);
                settle_all(&town.context);
                mend_table(town, table);
            }
            _ => {}
        }
    }
    settle_all(&town.context);
}

/// What the script comes to when it happens once and in order.
fn expected(town: &Town, script: Script) -> Vec<NetRow> {
    attempt(&town.context, "first", &[("A1", 5000)]);
    for event in script("first") {
        deliver(&town.context, &event);
        settle_all(&town.context);
    }
    let rows = net(&town.context, "A1", "first");
    assert!(!rows.is_empty());
    rows
}

fn every_order(start: Town, script: Script, what: &str) -> Vec<NetRow> {
    let cases: Vec<([usize; 4], usize)> = orders().into_iter().flat_map(|order| (1..=50).map(move |times| (order, times))).collect();
    assert_eq!(cases.len(), 1200);
    // On both databases the same cases: every order with every count, or of each order four counts.
    let mut chosen = cases;
    if std::env::var_os("AQUABILLS_WHOLE").is_none() {
        let mut luck = StdRng::seed_from_u64(24);
        chosen.shuffle(&mut luck);
        let mut taken = std::collections::BTreeMap::<[usize; 4], usize>::new();
        chosen.retain(|(order, _)| {
            let count = taken.entry(*order).or_default();
            *count += 1;
            *count <= 4
        });
    }
    let town = town(start, chosen.len() + 1);
    let expected = expected(&town, script);
    for (number, (order, times)) in chosen.iter().enumerate() {
        let seed = 1_000 * u64::try_from(number).unwrap() + 7;
        let (account, name) = (format!("A{}", number + 2), format!("pay{number}"));
        attempt(&town.context, &name, &[(&account, 5000)]);
        live_through(&town, &name, script, *order, *times, &mut StdRng::seed_from_u64(seed));
        assert_eq!(net(&town.context, &account, &name), expected, "{what}: order {order:?}, {times} times each, seed {seed}");
    }
    town.assert_sound();
    expected
}

macro_rules! one_ledger {
    ($($name:ident: $script:expr;)+) => {$(
        mod $name {
            use super::*;
            #[test]
            fn sqlite() {
                every_order(Town::sqlite(), $script, stringify!($name));
            }
            #[test]
            fn postgres() {
                every_order(Town::postgres(), $script, stringify!($name));
            }
        }
    )+};
}

one_ledger! {
    a_corrected_payment_in_every_order: corrected;
    a_disputed_payment_in_every_order: disputed;
    a_returned_payment_in_every_order: returned;
}

#[test]
fn both_databases_come_to_the_same_ledger() {
    let scripts: [Script; 3] = [corrected, disputed, returned];
    for script in scripts {
        let towns = [Town::sqlite(), Town::postgres()].map(|start| {
            let town = town(start, 1);
            let rows = expected(&town, script);
            (rows, aquabills::actions::ledger_hash::ledger_hash(&town.context).expect("the hash"))
        });
        assert_eq!(towns[0], towns[1]);
    }
}
