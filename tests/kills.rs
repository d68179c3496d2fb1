//! The program killed (SIGKILL) at random moments and started again: the same ledger, the same bills, as when nothing
//! happened to it. Imports, bill runs and rollbacks are killed, by the real program, on both databases; 200 kills of a
//! live process in all.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on must fail loudly")]
#![allow(clippy::print_stdout, reason = "how much was raced and killed is worth reading when a test is looked at")]

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use aquabills::actions::export_bills::export_bills;
use aquabills::clock::Clock;
use aquabills::db::{billing, metering, payments};
use aquabills::domain::ids::{AccountId, RunId};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use support::{Town, stderr};

const ACCOUNTS: usize = 60;
/// More rows than the program posts in one transaction, so that a kill can fall between two of them.
const PAYMENTS: usize = 2_200;
/// How often one command is killed at most before it may finish undisturbed: a town must come to its end.
const KILLS_OF_ONE_COMMAND: u64 = 7;

const SETTINGS: &str = "\
[runs]
chunk_accounts = 5
workers = 3
[gates]
total_change_percent = 1000000
average_change_percent = 1000000
risen_share_percent = 100
[limits.default]
high_floor_units = 1000000
segment_total_cents = 1000000000
";

/// What happens in a town, one command after the other.
#[derive(Debug, Clone, Copy)]
enum Step {
    Reads(usize),
    Payments(usize),
    Bill(usize),
    /// Takes the last run back that billed anything.
    Rollback,
}

const STORY: [Step; 10] = [
    Step::Reads(0),
    Step::Reads(1),
    Step::Bill(1),
    Step::Payments(1),
    Step::Reads(2),
    Step::Bill(2),
    Step::Rollback,
    Step::Payments(2),
    Step::Reads(3),
    Step::Bill(3),
];

/// A town whose files lie ready and whose services are known.
fn prepare(town: Town) -> Town {
    let rows: Vec<String> =
        (0..ACCOUNTS).map(|index| format!("A{index},S{index},{},M{index}", if index % 4 == 0 { "SHOP" } else { "HOME" })).collect();
    let town = town.with_services(&rows.iter().map(String::as_str).collect::<Vec<_>>());
    town.file("aquabills.toml", SETTINGS);
    for month in 0..4 {
        let used = |index: usize| (1..=month).map(|month| (index * 11 + month * 17) % 43).sum::<usize>();
        let rows: Vec<String> = (0..ACCOUNTS).map(|index| format!("M{index},{},{}", read_day(month), used(index))).collect();
        town.file(&format!("reads{month}.csv"), &format!("meter_id,read_on,reading\n{}\n", rows.join("\n")));
    }
    // The first file is as long as a bank's, the second is that of a day.
    for (month, count) in [(1, PAYMENTS), (2, 150)] {
        let row = |row: usize| format!("A{},{}.{:02},2026-05-{:02},P{month}-{row}", row * 7 % ACCOUNTS, row % 9 + 1, row % 100, row % 28 + 1);
        let rows: Vec<String> = (0..count).map(row).collect();
        town.file(&format!("payments{month}.csv"), &format!("account,amount,effective_on,reference\n{}\n", rows.join("\n")));
    }
    town
}

fn read_day(month: usize) -> String {
    format!("2026-{:02}-01", month + 1)
}

/// The words of a step's command.
fn words(town: &Town, step: Step) -> Vec<String> {
    let words: &[&str] = match step {
        Step::Reads(month) => &["import", "reads", &format!("reads{month}.csv")],
        Step::Payments(month) => &["import", "payments", &format!("payments{month}.csv")],
        Step::Bill(month) => &["bill", "--cycle", "all", "--through", &read_day(month), "--approve"],
        Step::Rollback => &["runs", "rollback", &last_run_with_bills(town).to_string(), "--reason", "a wrong rate"],
    };
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn last_run_with_bills(town: &Town) -> RunId {
    let bills = town.context.database.read(|conn| billing::bills_in_range(conn, AccountId(0), AccountId(i64::MAX))).expect("the bills are read");
    bills.iter().map(|bill| bill.run_id).max().expect("a bill")
}

/// Starts a command and kills it after a while: whether it was killed before it was done.
fn start_and_kill(town: &Town, words: &[String], delay: Duration) -> bool {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let Some(output) = town.start_and_kill(&words, delay) else { return true };
    assert!(output.status.success(), "{words:?} ended by itself with {}: {}", output.status, stderr(&output));
    false
}

fn finish(town: &Town, words: &[String]) -> Duration {
    let since = Instant::now();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let output = town.program(&words);
    assert!(output.status.success(), "{words:?} ended with {}: {}", output.status, stderr(&output));
    since.elapsed()
}

/// Whether there is nothing left to start again: a run that is rolled back cannot be rolled back once more.
fn is_rolled_back(town: &Town, words: &[String]) -> bool {
    let id = RunId(words.get(2).and_then(|id| id.parse().ok()).expect("the run's number"));
    let run = town.context.database.read(|conn| billing::run(conn, id)).expect("the run is read").expect("the run is there");
    run.status == "rolled_back"
}

/// Brings one step to its end, whatever happens on the way; returns how often the program was killed.
fn disturb(town: &Town, step: Step, usual: Duration, rng: &mut StdRng) -> u64 {
    let words = words(town, step);
    for kills in 0..KILLS_OF_ONE_COMMAND {
        if matches!(step, Step::Rollback) && is_rolled_back(town, &words) {
            return kills;
        }
        let delay = rng.random_range(Duration::ZERO..=usual);
        if !start_and_kill(town, &words, delay) {
            return kills;
        }
    }
    if !(matches!(step, Step::Rollback) && is_rolled_back(town, &words)) {
        finish(town, &words);
    }
    KILLS_OF_ONE_COMMAND
}

/// Everything that must not depend on kills, in words.
#[derive(Debug, PartialEq, Eq)]
struct Picture {
    ledger: Vec<String>,
    bills: Vec<String>,
    payments: Vec<String>,
    reads: usize,
    unfinished: usize,
}

/// A run that was killed just before it could say that it is done is begun anew, finds nothing to bill, and takes a number;
/// so runs are counted by their bills, not by their numbers. A bill's date is the day of the test, whichever it was.
fn picture(town: &Town, days: &[String; 2]) -> Picture {
    let (first, last) = (AccountId(0), AccountId(i64::MAX));
    let bills = town.context.database.read(|conn| billing::bills_in_range(conn, first, last)).expect("the bills are read");
    let mut places: BTreeMap<RunId, usize> = bills.iter().map(|bill| (bill.run_id, 0)).collect();
    for (place, number) in places.values_mut().zip(1..) {
        *place = number;
    }
    let of_run = |text: &str| text.parse().ok().and_then(|id| places.get(&RunId(id))).map_or_else(|| format!("no run {text}"), usize::to_string);
    let ledger = town.ledger_rows().into_iter().map(|row| {
        let mut words: Vec<String> = row.split(' ').map(str::to_owned).collect();
        if let Some((what, run)) = words[3].split_once(':').filter(|(what, _)| ["run", "rollback"].contains(what)) {
            words[3] = format!("{what}:{}", of_run(run));
            words[6] = if days.contains(&words[6]) { "the day of the test".to_owned() } else { words[6].clone() };
        }
        words.join(" ")
    });
    let mut exported = Vec::new();
    export_bills(&town.context, &mut exported, true).expect("the bills are exported");
    let mut bill_rows = Vec::new();
    for row in csv::Reader::from_reader(exported.as_slice()).records() {
        let row = row.expect("a row");
        let (run, account) = row[0].split_once('-').expect("a bill's number");
        let rest: Vec<&str> = row.iter().skip(1).collect();
        bill_rows.push(format!("{}-{account} {}", of_run(run.trim_start_matches('0')), rest.join(" ")));
    }
    let payments = town.context.database.read(|conn| payments::in_range(conn, first, last)).expect("the payments are read");
    let payments = payments.iter().map(|row| format!("{} {} {:?} {}", row.account_id, row.account_seq, row.provider_ref, row.amount_cents));
    let unfinished = town.context.database.read(billing::unfinished_runs).expect("the runs are read").len();
    Picture { ledger: ledger.collect(), bills: bill_rows, payments: payments.collect(), reads: count_reads(town), unfinished }
}

fn count_reads(town: &Town) -> usize {
    let serials: Vec<String> = (0..ACCOUNTS).map(|index| format!("M{index}")).collect();
    let serials: Vec<&str> = serials.iter().map(String::as_str).collect();
    let reads = town.context.database.read(|conn| {
        let registers = metering::registers_by_serial(conn, &serials)?;
        let ids: Vec<_> = registers.iter().map(|(register, _)| register.id).collect();
        metering::reads_of(conn, &ids)
    });
    reads.expect("the reads are read").len()
}

/// Tells two pictures apart without printing thousands of rows.
fn assert_same(undisturbed: &Picture, disturbed: &Picture, town: u64) {
    let lists = [
        ("ledger", &undisturbed.ledger, &disturbed.ledger),
        ("bills", &undisturbed.bills, &disturbed.bills),
        ("payments", &undisturbed.payments, &disturbed.payments),
    ];
    for (name, expected, found) in lists {
        if let Some(at) = (0..expected.len().max(found.len())).find(|at| expected.get(*at) != found.get(*at)) {
            panic!("town {town}: {name} differ at row {at}: undisturbed {:?}, killed and resumed {:?}", expected.get(at), found.get(at));
        }
    }
    assert_eq!(undisturbed, disturbed, "town {town}");
}

/// A number from the environment, for a longer run, or another one.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Plays the story once undisturbed, which also tells how long each step takes, and then in one town after the other
/// until `wanted` kills hit a live process, every step's among them. `AQUABILLS_KILLS` asks for another number of kills,
/// `AQUABILLS_SEED` for other moments.
fn kill_and_compare(new_town: fn() -> Town, wanted: u64, seed: u64) {
    let (wanted, seed) = (setting("AQUABILLS_KILLS", wanted), setting("AQUABILLS_SEED", seed));
    let since = Instant::now();
    let today = || Clock::System.now().date().to_string();
    let first_day = today();
    let calm = prepare(new_town());
    let usual: Vec<Duration> = STORY.iter().map(|step| finish(&calm, &words(&calm, *step))).collect();
    println!("undisturbed: {:?} in {:?}", STORY.iter().zip(&usual).collect::<Vec<_>>(), usual.iter().sum::<Duration>());
    let mut rng = StdRng::seed_from_u64(seed);
    let mut kills: BTreeMap<String, u64> = BTreeMap::new();
    for number in 1..=wanted {
        let town = prepare(new_town());
        for (step, usual) in STORY.iter().zip(&usual) {
            let killed = disturb(&town, *step, *usual, &mut rng);
            *kills.entry(format!("{step:?}")).or_default() += killed;
        }
        let days = [first_day.clone(), today()];
        town.assert_sound();
        assert_same(&picture(&calm, &days), &picture(&town, &days), number);
        let all: u64 = kills.values().sum();
        println!("town {number}: {all} kills of a live process so far, {:?}", since.elapsed());
        if all >= wanted && kills.values().all(|count| *count > 0) {
            println!("killed: {kills:?}");
            return;
        }
    }
    panic!("the story was told {wanted} times, and less than {wanted} kills hit a live process, or none hit one of the steps: {kills:?}");
}

/// 200 kills in all: 120 here, 80 there.
mod killed_at_random_moments_it_goes_on_as_if_nothing_had_happened {
    use super::*;

    #[test]
    fn sqlite() {
        kill_and_compare(Town::sqlite, 120, 20_260_615);
    }

    #[test]
    fn postgres() {
        kill_and_compare(Town::postgres, 80, 20_260_616);
    }
}
