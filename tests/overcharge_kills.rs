//! The program killed (SIGKILL) at random moments while overcharges are looked for, bills are made anew, credits and refunds are
//! given and e-mails leave, and started again: the same net ledger and the same e-mails as when nothing happened to it. By the real
//! program: 110 kills of a live process on SQLite and 90 on PostgreSQL.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on must fail loudly")]
#![allow(clippy::print_stdout, reason = "how much was killed is worth reading when a test is looked at")]

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use aquabills::actions::ledger_hash::net_ledger;
use aquabills::actions::overcharges::scan::scan_all;
use aquabills::clock::Clock;
use diesel::result::Error as DieselError;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use support::{TARIFF, Town, lines, stderr, stdout};

/// Half of them have been customers for long: their bills are too old to be made anew.
const ACCOUNTS: usize = 44;
const MONTHS: usize = 5;
/// How often one command is killed at most before it may finish undisturbed.
const KILLS_OF_ONE_COMMAND: u64 = 6;

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
[mail]
transport = \"folder\"
folder = \"outgoing\"
from = \"Story Town Water <billing@town.example>\"
staff = [\"boss@town.example\"]
";

/// What is killed, one command after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Scan,
    Mend,
    /// A clerk gives an account a credit.
    Credit(usize),
    /// Pays the credit of an account out.
    Refund(usize),
    Mail,
}

const STORY: [Step; 8] = [Step::Scan, Step::Mend, Step::Credit(3), Step::Credit(4), Step::Refund(0), Step::Refund(1), Step::Refund(2), Step::Mail];

fn read_day(month: usize) -> String {
    format!("2026-{:02}-01", month + 1)
}

fn is_new(account: usize) -> bool {
    account % 2 == 1
}

/// A town that was billed by a wrong tariff, which is put right; the first three accounts have paid more than was ever right.
fn prepare(town: Town) -> Town {
    // One person is enough for all of it.
    let town = town.lenient();
    town.file("aquabills.toml", SETTINGS);
    let wrong = TARIFF.replace("tier_prices: [2.00, 3.50]", "tier_prices: [4.00, 7.00]");
    town.tariff(&wrong).expect("the tariff is accepted");
    let rows: Vec<String> = (0..ACCOUNTS).map(|index| format!("A{index},S{index},HOME,M{index},5,c{index}@town.example")).collect();
    let header = "customer_id,service_id,rate_class,meter_id,register_digits,email";
    assert_eq!(town.services(&format!("{header}\n{}\n", rows.join("\n"))).expect("the services are read").refused, 0);
    for month in 0..=MONTHS {
        let there = (0..ACCOUNTS).filter(|index| !is_new(*index) || month + 2 >= MONTHS);
        let rows: Vec<String> = there.map(|index| format!("M{index},{},{}", read_day(month), month * (5 + index % 23))).collect();
        town.reads(&rows.iter().map(String::as_str).collect::<Vec<_>>());
        if month > 0 {
            finish(&town, &["bill", "--cycle", "all", "--through", &read_day(month), "--approve"]);
        }
    }
    for account in 0..3 {
        town.pay(&format!("A{account}"), "900.00", &format!("R{account}"));
    }
    town.file("right.owrs", TARIFF);
    finish(&town, &["import", "tariff", "right.owrs", "--supersede"]);
    town
}

/// The case's number: PostgreSQL gives none twice, and a scan that was killed may have had the first one.
fn case(town: &Town) -> String {
    query(town, "SELECT coalesce(CAST(max(id) AS TEXT), '1') AS line FROM overcharge_case").remove(0)
}

fn words(town: &Town, step: Step) -> Vec<String> {
    let words: Vec<String> = match step {
        Step::Scan => ["overcharges", "scan"].map(str::to_owned).to_vec(),
        Step::Mend => ["overcharges", "mend", &case(town)].map(str::to_owned).to_vec(),
        Step::Credit(account) => {
            let (number, reference) = (format!("A{account}"), format!("G{account}"));
            let given = ["adjust", &number, "--amount=-12.34", "--reason", "goodwill", "--reference", &reference, "--note", "two dry days"];
            given.map(str::to_owned).to_vec()
        }
        Step::Refund(account) => {
            let (number, reference) = (format!("A{account}"), format!("P{account}"));
            ["balance", "refund", &number, "--reference", &reference, "--note", "asked for it"].map(str::to_owned).to_vec()
        }
        Step::Mail => ["notices", "send"].map(str::to_owned).to_vec(),
    };
    words
}

/// Whether an answer of the command is one that it ends with by itself: a scan says no when it finds something.
fn is_an_end(words: &[&str], code: Option<i32>) -> bool {
    code == Some(0) || (words.starts_with(&["overcharges", "scan"]) && code == Some(1))
}

fn finish(town: &Town, words: &[&str]) -> Duration {
    let since = Instant::now();
    let output = town.program(words);
    assert!(is_an_end(words, output.status.code()), "{words:?} ended with {}: {}{}", output.status, stderr(&output), stdout(&output));
    since.elapsed()
}

/// Starts a command and kills it after a while: whether it was killed before it was done.
fn start_and_kill(town: &Town, words: &[&str], delay: Duration) -> bool {
    let Some(output) = town.start_and_kill(words, delay) else { return true };
    assert!(is_an_end(words, output.status.code()), "{words:?} ended by itself with {}: {}", output.status, stderr(&output));
    false
}

/// Brings one step to its end, whatever happens on the way; returns how often the program was killed.
fn disturb(town: &Town, step: Step, usual: Duration, rng: &mut StdRng) -> u64 {
    let words = words(town, step);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    for kills in 0..KILLS_OF_ONE_COMMAND {
        if !start_and_kill(town, &words, rng.random_range(Duration::ZERO..=usual)) {
            return kills;
        }
    }
    finish(town, &words);
    KILLS_OF_ONE_COMMAND
}

fn query(town: &Town, sql: &str) -> Vec<String> {
    town.context.database.read(|conn| Ok::<_, DieselError>(lines(conn, sql))).expect("the query is right")
}

/// Everything that must not depend on kills.
#[derive(Debug, PartialEq, Eq)]
struct Picture {
    ledger: Vec<String>,
    bills: Vec<String>,
    findings: Vec<String>,
    notices: Vec<String>,
    /// What left: to whom, and about what.
    mails: Vec<String>,
}

/// Findings are numbered in the order in which workers came to them: here each is named by what it is about.
fn named(town: &Town) -> impl Fn(&str) -> String {
    let rows = query(town, "SELECT id || ' ' || finding_key AS line FROM overcharge_finding");
    let names: BTreeMap<String, String> =
        rows.iter().filter_map(|row| row.split_once(' ')).map(|(id, key)| (id.to_owned(), key.to_owned())).collect();
    move |text: &str| match text.split_once("finding:") {
        Some((before, rest)) => {
            let id: String = rest.chars().take_while(char::is_ascii_digit).collect();
            let name = names.get(&id).unwrap_or_else(|| panic!("no finding {id}"));
            format!("{before}finding of {name}{}", &rest[id.len()..])
        }
        None => text.to_owned(),
    }
}

fn picture(town: &Town, days: &[String; 2]) -> Picture {
    let named = named(town);
    let mut ledger = Vec::new();
    for account in 0..ACCOUNTS {
        for row in net_ledger(&town.context, &format!("A{account}")).expect("the ledger is read") {
            let on = row.effective_on.to_string();
            let on = if days.contains(&on) { "the day of the test".to_owned() } else { on };
            ledger.push(format!("{} {} {} {on} {}", row.account, named(&row.business), row.gl_code, row.amount_cents));
        }
    }
    ledger.sort();
    let mut mails = Vec::new();
    for entry in std::fs::read_dir(town.dir.path().join("outgoing")).expect("something was sent") {
        let entry = entry.expect("a file");
        // What was being written when the program was killed never became a message.
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let text = std::fs::read_to_string(entry.path()).expect("it is text");
        let head = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned();
        mails.push(format!("{} {}", head("To: "), head("Subject: ")));
    }
    mails.sort();
    // Whatever its number is.
    let case = case(town);
    let mut notices: Vec<String> = query(town, "SELECT dedupe_key || ' ' || status || ' ' || facts AS line FROM notice")
        .iter()
        .map(|row| {
            let row = row.replace(&format!("overcharge:{case}:"), "overcharge:the case:");
            row.replace(&format!("run_incident:{case}:"), "run_incident:the case:").replace(&format!("\"case_id\":{case},"), "\"case_id\":0,")
        })
        .collect();
    notices.sort();
    Picture {
        ledger,
        bills: query(
            town,
            "SELECT run_id || ' ' || account_id || ' ' || status || ' ' || total_cents || ' ' || amount_due_cents AS line FROM bill ORDER BY run_id, account_id",
        ),
        findings: query(
            town,
            "SELECT finding_key || ' ' || status || ' ' || coalesce(settled_by, '') || ' ' || mended_cents AS line FROM overcharge_finding ORDER BY finding_key, id",
        )
        .iter()
        .map(|row| named(row))
        .collect(),
        notices,
        mails,
    }
}

fn assert_same(expected: &Picture, found: &Picture, town: u64) {
    let lists = [
        ("net ledger", &expected.ledger, &found.ledger),
        ("bills", &expected.bills, &found.bills),
        ("findings", &expected.findings, &found.findings),
        ("notices", &expected.notices, &found.notices),
        ("e-mails", &expected.mails, &found.mails),
    ];
    for (name, expected, found) in lists {
        if let Some(at) = (0..expected.len().max(found.len())).find(|at| expected.get(*at) != found.get(*at)) {
            panic!("town {town}: {name} differ at row {at}: undisturbed {:?}, killed and resumed {:?}", expected.get(at), found.get(at));
        }
    }
}

/// Plays the story once undisturbed, which also tells how long each step takes, and then in one town after the other until so many
/// kills hit a live process, every kind of step among them.
fn kill_and_compare(new_town: fn() -> Town, wanted: u64, seed: u64) {
    let since = Instant::now();
    let today = || Clock::System.now().date().to_string();
    let first_day = today();
    let calm = prepare(new_town());
    let usual: Vec<Duration> = STORY
        .iter()
        .map(|step| {
            let words = words(&calm, *step);
            finish(&calm, &words.iter().map(String::as_str).collect::<Vec<_>>())
        })
        .collect();
    println!("undisturbed: {:?}", STORY.iter().zip(&usual).collect::<Vec<_>>());
    let ways = query(
        &calm,
        "SELECT DISTINCT CASE WHEN settled_by LIKE 'rebill:%' THEN 'rebill' ELSE 'adjustment' END AS line FROM overcharge_finding ORDER BY 1",
    );
    assert_eq!(ways, ["adjustment", "rebill"], "both ways are among them");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut kills: BTreeMap<Step, u64> = BTreeMap::new();
    for number in 1..=wanted {
        let town = prepare(new_town());
        for (step, usual) in STORY.iter().zip(&usual) {
            *kills.entry(*step).or_default() += disturb(&town, *step, *usual, &mut rng);
        }
        let days = [first_day.clone(), today()];
        assert_same(&picture(&calm, &days), &picture(&town, &days), number);
        assert!(scan_all(&town.context, &|_, _| {}).expect("it is looked at").is_clean(), "town {number}");
        town.assert_sound();
        let all: u64 = kills.values().sum();
        println!("town {number}: {all} kills of a live process so far, {:?}", since.elapsed());
        if all >= wanted && every_phase(&kills) {
            println!("killed: {kills:?}");
            return;
        }
    }
    panic!("the story was told {wanted} times, and less than {wanted} kills hit a live process: {kills:?}");
}

/// Whether something was killed while it was looked for, put right, given, paid out and mailed.
fn every_phase(kills: &BTreeMap<Step, u64>) -> bool {
    let of = |wanted: fn(&Step) -> bool| kills.iter().filter(|(step, _)| wanted(step)).map(|(_, count)| *count).sum::<u64>();
    of(|step| matches!(step, Step::Credit(_))) > 0
        && of(|step| matches!(step, Step::Refund(_))) > 0
        && [Step::Scan, Step::Mend, Step::Mail].iter().all(|step| kills.get(step).is_some_and(|count| *count > 0))
}

mod killed_while_overcharges_are_put_right_it_ends_the_same {
    use super::*;

    #[test]
    fn sqlite() {
        kill_and_compare(Town::sqlite, 110, 20_261_210);
    }

    #[test]
    fn postgres() {
        kill_and_compare(Town::postgres, 90, 20_261_211);
    }
}
