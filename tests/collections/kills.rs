//! The daily look killed (SIGKILL) at random moments and started again, by the real program: the same ledger and the same mails as
//! undisturbed, on both databases. Two runners at once do nothing twice.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use aquabills::actions::ActionError;
use aquabills::actions::collections::daily::{Options, run_daily};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::support::{Town, lines, on_both, stderr};
use crate::{billed, on};

/// More than two pages of accounts.
const ACCOUNTS: usize = 250;
const DAY: &str = "2026-07-20";
/// How often a look is killed at most before it may finish undisturbed.
const KILLS: usize = 15;

/// Everything that a look leaves, without ids and times.
fn left(town: &Town) -> Vec<String> {
    let mut rows = town.ledger_rows();
    rows.extend(
        town.context
            .database
            .read(|conn| {
                let mut rows = lines(conn, "SELECT CASE WHEN kind = 'payment_reminder' THEN '' ELSE dedupe_key END || ' ' || kind || ' ' || recipient AS line FROM notice ORDER BY 1");
                rows.extend(lines(
                    conn,
                    "SELECT CAST(account_id AS TEXT) || ' ' || CAST(day_on AS TEXT) AS line FROM collection_day ORDER BY account_id, day_on",
                ));
                rows.extend(lines(
                    conn,
                    "SELECT CAST(c.account_id AS TEXT) || ' ' || CAST(s.step_no AS TEXT) || ' ' || s.name AS line FROM dunning_step s \
                        JOIN dunning_case c ON c.id = s.case_id ORDER BY c.account_id, s.step_no",
                ));
                Ok::<_, diesel::result::Error>(rows)
            })
            .expect("the rows are read"),
    );
    rows
}

/// A town of which every second customer has paid.
fn prepared(town: Town) -> Town {
    let town = billed(town, ACCOUNTS);
    let rows: Vec<String> = (1..=ACCOUNTS).step_by(2).map(|n| format!("A{n},47.50,2026-06-15,R{n}")).collect();
    town.payments(&rows.iter().map(String::as_str).collect::<Vec<_>>());
    town
}

fn words() -> [&'static str; 5] {
    ["collections", "run", "--on", DAY, "--json"]
}

fn finish(town: &Town) -> Duration {
    let since = Instant::now();
    let output = town.program(&words());
    assert!(output.status.success(), "{}", stderr(&output));
    since.elapsed()
}

on_both! {
    fn a_killed_look_ends_as_an_undisturbed_one(town: Town) {
        let undisturbed = match town.context.database.backend() {
            aquabills::db::Backend::Sqlite => Town::sqlite(),
            aquabills::db::Backend::Postgres => Town::postgres(),
        };
        let undisturbed = prepared(undisturbed);
        let took = finish(&undisturbed);
        let town = prepared(town);
        let mut random = StdRng::seed_from_u64(5);
        let mut killed = 0;
        for _ in 0..KILLS {
            let mut child = town.command(&words()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts");
            thread::sleep(took.mul_f64(random.random_range(0.05..1.1)));
            child.kill().expect("it is our child");
            let output = child.wait_with_output().expect("it ended");
            if output.status.signal() == Some(9) {
                killed += 1;
            } else {
                assert!(output.status.success(), "{}", stderr(&output));
            }
        }
        finish(&town);
        finish(&town);
        assert!(killed > 0, "no look was killed");
        assert_eq!(left(&town), left(&undisturbed));
        town.assert_sound();
    }

    fn two_at_once_do_nothing_twice(town: Town) {
        let town = billed(town, 120);
        on(&town, DAY);
        let look = || run_daily(&town.context, &Options::default());
        let outcomes: Vec<_> = thread::scope(|scope| {
            let runners: Vec<_> = (0..3).map(|_| scope.spawn(look)).collect();
            runners.into_iter().map(|runner| runner.join().expect("it ended")).collect()
        });
        let mut fees = 0;
        for outcome in outcomes {
            match outcome {
                Ok(report) => fees += report.fees,
                Err(ActionError::Busy { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(fees, 120);
        town.assert_sound();
    }
}
