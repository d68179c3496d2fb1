//! The ledger in other programs' hands: hledger and beancount accept our journals, check our arithmetic for real, and
//! come to the same balances.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on must fail loudly")]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use aquabills::domain::money::Money;
use chrono::{TimeZone, Utc};
use support::{Town, on_both, stderr, stdout};

/// Account numbers as utilities have them, and as nobody should: each is a legal number of an account.
const NUMBERS: [&str; 16] = [
    "A1",
    "12345",
    "000",
    "North side 7",
    "two  spaces",
    "2024/06/15",
    "O\"Brien \"x\"",
    "O'Brien",
    "Ä-ß-日本-🚰",
    "a_b",
    "; not a comment",
    "(R-1) * = USD 5 @ {x}",
    "back\\slash",
    "100%, 5|6 #tag",
    "a1",
    "-5.00",
];

/// A program that the tests cannot do without.
fn checker(program: &str, args: &[&str], file: &Path) -> Output {
    let mut command = Command::new(program);
    command.args(args).arg(file).env("LC_ALL", "C.UTF-8");
    command.output().unwrap_or_else(|error| panic!("{program} does not start ({error}): `tests/run --install` installs what the tests need"))
}

fn hledger(file: &Path) -> Output {
    checker("hledger", &["check", "-s", "-f"], file)
}

fn bean_check(file: &Path) -> Output {
    checker("bean-check", &[], file)
}

fn assert_accepted(program: &str, output: &Output) {
    assert!(output.status.success() && output.stderr.is_empty(), "{program} refuses our journal:\n{}{}", stdout(output), stderr(output));
}

fn assert_refused(program: &str, output: &Output, why: &str) {
    assert!(!output.status.success(), "{program} accepts {why}: it does not check our balances");
}

fn export(town: &Town, format: &str) -> PathBuf {
    let file = town.dir.path().join(format!("ledger.{format}"));
    let name = file.display().to_string();
    let output = town.program(&["ledger", "export", "--format", format, "--output", &name]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(output.stdout.is_empty(), "the journal goes to the file only");
    file
}

fn at(town: &Town, month: u32, day: u32) {
    town.context.clock.set(Utc.with_ymd_and_hms(2024, month, day, 12, 0, 0).single().expect("a moment"));
}

/// A town with these account numbers, each with a service and two bills' worth of reads.
fn town_of(town: Town, numbers: &[&str]) -> Town {
    town.tariff(support::TARIFF).expect("the tariff is accepted");
    let quote = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let rows: Vec<String> = numbers.iter().zip(1..).map(|(number, n)| format!("{},S{n},HOME,M{n},4", quote(number))).collect();
    let csv = format!("customer_id,service_id,rate_class,meter_id,register_digits\n{}\n", rows.join("\n"));
    let report = town.services(&csv).expect("the services are read");
    assert_eq!((report.accepted, report.refused), (u64::try_from(numbers.len()).unwrap(), 0), "{:?}", report.first_refusals);
    for n in 1..=numbers.len() {
        town.reads(&[&format!("M{n},2024-01-01,100"), &format!("M{n},2024-02-01,{}", 110 + n), &format!("M{n},2024-03-01,{}", 125 + n)]);
    }
    town
}

fn adjust(town: &Town, account: &str, amount: &str, reason: &str, reference: &str) {
    let output =
        town.program(&["adjust", account, "--amount", amount, "--reason", reason, "--reference", reference, "--note", "n", "--on", "2024-06-15"]);
    assert!(output.status.success(), "{}", stderr(&output));
}

/// Everything that can happen to a ledger, over several days.
fn eventful(town: Town) -> Town {
    let town = town_of(town, &NUMBERS);
    at(&town, 6, 1);
    town.bill("2024-02-01");
    at(&town, 6, 2);
    for (number, n) in NUMBERS.iter().zip(1..) {
        town.pay(number, &format!("{n}.0{}", n % 10), &format!("R {n} \"\\;|日本 = USD 1"));
    }
    at(&town, 6, 3);
    let returned = town.program(&["payment", "return", "R 2 \"\\;|日本 = USD 1", "--reason", "bounced", "--on", "2024-06-15"]);
    assert!(returned.status.success(), "{}", stderr(&returned));
    let run = town.bill("2024-03-01").run_id.expect("a run");
    aquabills::actions::bill_run::roll_back_run(&town.context, run, "a wrong tariff", |_, _| {}).expect("it is rolled back");
    // The clock goes back a day, as clocks do; the ledger's order stays.
    at(&town, 6, 2);
    town.pay("A1", "500.00", "more than is owed");
    adjust(&town, "A1", "-12.34", "goodwill", "G \"1\"");
    adjust(&town, "Ä-ß-日本-🚰", "7.00", "late-fee", "L; 1");
    adjust(&town, "12345", "-0.01", "billing-error", "B\\1");
    town.assert_sound();
    town
}

fn swap_once(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "'{from}' is not in the journal");
    text.replacen(from, to, 1)
}

/// The first line that a test picks, and what it turns that line into.
fn tampered(file: &Path, pick: impl Fn(&str) -> bool, change: impl Fn(&str) -> String) -> PathBuf {
    let text = std::fs::read_to_string(file).expect("the journal is read");
    let line = text.lines().find(|line| pick(line)).expect("such a line");
    let wrong = file.with_extension("tampered");
    std::fs::write(&wrong, swap_once(&text, line, &change(line))).expect("the journal is written");
    wrong
}

/// Raises the last amount of a line by some cents; a tolerance (`~ 0.00`) is none.
fn raised(line: &str, cents: i64) -> String {
    if let Some((amount, tolerance)) = line.split_once(" ~ ") {
        return format!("{} ~ {tolerance}", raised(amount, cents));
    }
    let starts = |at: usize| line[..at].ends_with(' ') && line[at..].starts_with(|c: char| c == '-' || c.is_ascii_digit());
    let at = (0..line.len()).rev().filter(|at| line.is_char_boundary(*at)).find(|at| starts(*at)).expect("an amount");
    let number: String = line[at..].chars().take_while(|c| !c.is_whitespace()).collect();
    let money: Money = number.parse().expect("an amount");
    format!("{}{}{}", &line[..at], Money::from_cents(money.cents() + cents), &line[at + number.len()..])
}

on_both! {
    fn hledger_accepts_the_ledger(town: Town) {
        let town = eventful(town);
        assert_accepted("hledger", &hledger(&export(&town, "hledger")));
    }

    fn beancount_accepts_the_ledger(town: Town) {
        let town = eventful(town);
        assert_accepted("bean-check", &bean_check(&export(&town, "beancount")));
    }

    fn an_empty_ledger_is_a_journal_too(town: Town) {
        assert_accepted("hledger", &hledger(&export(&town, "hledger")));
        assert_accepted("bean-check", &bean_check(&export(&town, "beancount")));
        let town = town_of(town, &NUMBERS);
        assert_accepted("hledger", &hledger(&export(&town, "hledger")));
        assert_accepted("bean-check", &bean_check(&export(&town, "beancount")));
    }

    fn hledgers_balances_are_ours(town: Town) {
        let town = eventful(town);
        let theirs = hledger_balances(&export(&town, "hledger"));
        assert_eq!(theirs.get("assets:receivable:A1").map(String::as_str), Some(town.balance("A1").as_str()));
        let mut ours: Vec<String> = NUMBERS.iter().map(|number| town.balance(number)).collect();
        let mut theirs: Vec<String> = theirs.into_values().collect();
        ours.sort();
        theirs.sort();
        assert_eq!(ours, theirs);
    }

    fn csv_sums_to_zero_in_every_transaction(town: Town) {
        let town = eventful(town);
        let mut reader = csv::Reader::from_path(export(&town, "csv")).expect("the file is there");
        let header: Vec<String> = reader.headers().expect("a header").iter().map(str::to_owned).collect();
        let expected = ["id", "account", "account_seq", "posted_on", "effective_on", "kind", "source", "gl_account", "amount", "balance_after"];
        assert_eq!(header, expected);
        let mut sums: BTreeMap<String, (i64, usize)> = BTreeMap::new();
        let mut balances: BTreeMap<String, (i64, String)> = BTreeMap::new();
        let mut receivable = 0;
        for row in reader.records() {
            let row = row.expect("a row");
            let cents = row[8].parse::<Money>().expect("an amount").cents();
            let sum = sums.entry(row[0].to_owned()).or_default();
            *sum = (sum.0 + cents, sum.1 + 1);
            receivable += if &row[7] == "receivable" { cents } else { 0 };
            let last = balances.entry(row[1].to_owned()).or_default();
            *last = (*last).clone().max((row[2].parse().expect("a position"), row[9].to_owned()));
        }
        assert!(sums.values().all(|(sum, postings)| *sum == 0 && *postings >= 2), "{sums:?}");
        assert_eq!(sums.len(), town.ledger_rows().len());
        for number in NUMBERS {
            assert_eq!(balances.get(number).map(|(_, balance)| balance.clone()), Some(town.balance(number)), "{number}");
        }
        assert_eq!(receivable, town.check().balance_cents);
        // `export ledger` is the same table.
        let other = town.program(&["export", "ledger"]);
        assert_eq!(stdout(&other), std::fs::read_to_string(export(&town, "csv")).expect("the file is read"));
    }
}

/// Every customer's balance as hledger computes it, zero ones included.
fn hledger_balances(file: &Path) -> BTreeMap<String, String> {
    let args = ["balance", "--flat", "-E", "-N", "-O", "csv", "^assets:receivable:", "-f"];
    let output = checker("hledger", &args, file);
    assert!(output.status.success(), "{}", stderr(&output));
    let mut reader = csv::Reader::from_reader(output.stdout.as_slice());
    let rows = reader.records().map(|row| row.expect("a row"));
    rows.map(|row| (row[0].to_owned(), if &row[1] == "0" { "0.00".to_owned() } else { row[1].replace("USD ", "") })).collect()
}

/// What an honest checker must notice. Tampering is about the file, not the database: SQLite is enough.
#[test]
fn hledger_notices_a_cent() {
    let town = eventful(Town::sqlite());
    let file = export(&town, "hledger");
    let assertion = tampered(&file, |line| line.contains(" = USD "), |line| raised(line, 1));
    assert_refused("hledger", &hledger(&assertion), "a balance that is a cent too high");
    let amount = tampered(&file, |line| line.contains("income:revenue:service  USD"), |line| raised(line, 1));
    assert_refused("hledger", &hledger(&amount), "an amount that is a cent too high");
    let account = tampered(&file, |line| line.starts_with("account assets:receivable:A1"), |_| String::new());
    assert_refused("hledger", &hledger(&account), "an account that was never declared");
}

#[test]
fn beancount_notices_a_wrong_amount_and_a_missing_entry() {
    let town = eventful(Town::sqlite());
    let file = export(&town, "beancount");
    let assertion = tampered(&file, |line| line.contains(" balance Assets:Receivable:NA1 "), |line| raised(line, 100));
    assert_refused("bean-check", &bean_check(&assertion), "a balance that is 1.00 too high");
    let amount = tampered(&file, |line| line.starts_with("  Income:Revenue:Service"), |line| raised(line, 1));
    assert_refused("bean-check", &bean_check(&amount), "an amount that is a cent too high");
    let text = std::fs::read_to_string(&file).expect("the journal is read");
    let entry = text.split("\n\n").find(|entry| entry.contains("more than is owed")).expect("the entry");
    let wrong = file.with_extension("missing");
    std::fs::write(&wrong, swap_once(&text, entry, "")).expect("the journal is written");
    assert_refused("bean-check", &bean_check(&wrong), "a journal without one of the payments");
}

/// Beancount tolerates a difference of one cent in a balance unless it is told not to (`42.50 ~ 0.00 USD`).
#[test]
fn beancount_notices_a_cent() {
    let town = eventful(Town::sqlite());
    let file = export(&town, "beancount");
    for cents in [1, -1] {
        let assertion = tampered(&file, |line| line.contains(" balance Assets:Receivable:NA1 "), |line| raised(line, cents));
        assert_refused("bean-check", &bean_check(&assertion), "a balance that is a cent off");
    }
}

/// One number per customer is no use when two customers share it in the other program.
const TWINS: [(&str, &str); 4] = [("A B", "A-x-20-x-B"), ("a_b", "a-x-5f-x-b"), ("x", "x:"), ("y", ":y")];

on_both! {
    fn no_two_customers_share_a_name(town: Town) {
        let numbers: Vec<&str> = TWINS.iter().flat_map(|(one, other)| [*one, *other]).collect();
        let town = town_of(town, &numbers);
        town.bill("2024-02-01");
        let (journal, beancount) = (export(&town, "hledger"), export(&town, "beancount"));
        assert_eq!(hledger_balances(&journal).len(), numbers.len(), "hledger tells the customers apart");
        assert_accepted("hledger", &hledger(&journal));
        assert_accepted("bean-check", &bean_check(&beancount));
    }

    fn no_customer_is_a_part_of_another(town: Town) {
        let town = town_of(town, &["7", "7:1", "7:1:2"]);
        town.bill("2024-02-01");
        let journal = export(&town, "hledger");
        assert_accepted("hledger", &hledger(&journal));
        // Asked as a person would, for the account and what is below it: the answer is that customer's balance.
        let output = checker("hledger", &["balance", "-N", "-O", "csv", "--depth", "3", "^assets:receivable:7(:|$)", "-f"], &journal);
        assert!(stdout(&output).contains(&format!("USD {}\"", town.balance("7"))), "ours is {}, hledger's:\n{}", town.balance("7"), stdout(&output));
    }
}
