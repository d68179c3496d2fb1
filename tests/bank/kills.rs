//! The program killed in the middle of an import: all of the file is there, or nothing.

use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::COLUMNS;
use super::support::{Town, lines};

const ROWS: i64 = 1_500;
const KILLS: usize = 6;

fn prepare(town: Town) -> Town {
    let town = crate::town(town);
    let row = |row: i64| format!("2026-06-10,{}.{:02},A-100{},Payer {row},DE{row},,{row}", row % 7 + 1, row % 100, row % 5 + 1);
    town.file("day.csv", &format!("{COLUMNS}\n{}\n", (1..=ROWS).map(row).collect::<Vec<_>>().join("\n")));
    town
}

fn counted(town: &Town) -> Vec<String> {
    let sql = "SELECT 'files ' || CAST((SELECT count(*) FROM bank_file) AS TEXT) || ', movements ' || CAST((SELECT count(*) FROM bank_entry) AS TEXT) \
               || ', payments ' || CAST((SELECT count(*) FROM payment) AS TEXT) || ', waiting ' || CAST((SELECT count(*) FROM unapplied_credit) AS TEXT) \
               || ', items ' || CAST((SELECT count(*) FROM todo) AS TEXT) AS line";
    town.context.database.read(|conn| Ok::<_, diesel::result::Error>(lines(conn, sql))).expect("the rows are counted")
}

fn killed(new: fn() -> Town, seed: u64) {
    let args = ["import", "bank", "day.csv", "--mapping", "ops"];
    let calm = prepare(new());
    let since = Instant::now();
    assert!(calm.program(&args).status.success());
    let usual = since.elapsed();
    let town = prepare(new());
    let nothing = counted(&town);
    let mut rng = StdRng::seed_from_u64(seed);
    for _ in 0..KILLS {
        let mut child = town.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
        thread::sleep(rng.random_range(Duration::ZERO..=usual));
        // One that has ended is not reaped yet: killing it does nothing.
        child.kill().expect("it is our child");
        child.wait().expect("it ended");
        // The database may need a moment to notice that its client is gone.
        let since = Instant::now();
        let all = counted(&calm);
        while ![&nothing, &all].contains(&&counted(&town)) {
            assert!(since.elapsed() < Duration::from_secs(20), "{:?}", counted(&town));
            thread::sleep(Duration::from_millis(50));
        }
    }
    assert!(town.program(&args).status.success());
    assert_eq!(counted(&town), counted(&calm));
    assert_eq!(town.ledger_rows(), calm.ledger_rows());
    town.assert_sound();
}

#[test]
fn sqlite() {
    killed(Town::sqlite, 20_261_121);
}

#[test]
fn postgres() {
    killed(Town::postgres, 20_261_122);
}
