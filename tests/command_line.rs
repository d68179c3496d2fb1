//! The command line's contract (design, section 9): exit statuses, what goes where, and the keys of every `--json`.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on must fail loudly")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use support::{TARIFF, Town, on_both, stderr, stdout};

/// What the program said.
struct Answer {
    status: i32,
    out: String,
    err: String,
}

impl Answer {
    fn of(command: &mut Command) -> Self {
        let output = command.output().expect("the program starts");
        Self { status: output.status.code().expect("it ends by itself"), out: stdout(&output), err: stderr(&output) }
    }

    /// Fails unless the status is 0.
    fn done(self) -> Self {
        assert_eq!(self.status, 0, "{}{}", self.out, self.err);
        self
    }

    /// Fails unless the answer is "no": status 1, nothing on standard output, a message with these words.
    fn no(self, words: &[&str]) -> Self {
        assert_eq!((self.status, self.out.as_str()), (1, ""), "{}", self.err);
        self.says(words)
    }

    /// Fails unless it was used wrongly: status 2, nothing on standard output, a message.
    fn wrong_use(self, words: &[&str]) -> Self {
        assert_eq!((self.status, self.out.as_str()), (2, ""), "{}", self.err);
        self.says(words)
    }

    fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.err.contains(word), "'{word}' is not said: {}", self.err);
        }
        self
    }

    /// The one JSON object that standard output holds.
    fn json(&self) -> Value {
        let value: Value = serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("not one JSON value ({error}): {}{}", self.out, self.err));
        assert!(value.is_object(), "not an object: {value}");
        value
    }
}

fn ask(town: &Town, args: &[&str]) -> Answer {
    Answer::of(&mut town.command(args))
}

/// The program in a folder of its own, told nothing of any database.
fn bare(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aquabills"));
    command.args(args).current_dir(dir).env_remove("DATABASE_URL").env_remove("AQUABILLS_CONFIG").env("RUST_LOG", "error");
    command
}

fn assert_keys(value: &Value, keys: &[&str]) {
    for key in keys {
        assert!(value.get(key).is_some(), "the key '{key}' is missing: {value}");
    }
}

fn numbers<const N: usize>(value: &Value, keys: [&str; N]) -> [i64; N] {
    keys.map(|key| value[key].as_i64().unwrap_or_else(|| panic!("'{key}' is no number: {value}")))
}

/// Two services, A1 with reads for two periods, A2 with a read that runs backwards and is held.
fn started(town: Town) -> Town {
    let town = town.with_services(&["A1,S1,HOME,M1", "A2,S2,HOME,M2"]);
    let report = town.reads(&["M1,2024-01-01,100", "M1,2024-02-01,115", "M1,2024-03-01,120", "M2,2024-01-01,500", "M2,2024-02-01,499"]);
    assert_eq!((report.accepted, report.held), (5, 1));
    town
}

const BILL: [&str; 6] = ["bill", "--cycle", "all", "--through", "2024-02-01", "--json"];

fn bill(town: &Town, extra: &[&str]) -> Answer {
    ask(town, &[&BILL[..], extra].concat())
}

#[test]
fn words_and_statuses() {
    let dir = tempfile::tempdir().expect("a folder");
    let run = |args: &[&str]| Answer::of(&mut bare(dir.path(), args));
    for command in [
        "", "import", "bill", "runs", "held", "payment", "adjust", "account", "verify", "ledger", "export", "bench", "quote", "rates", "serve",
        "migrate",
    ] {
        let args: Vec<&str> = [command, "--help"].into_iter().filter(|word| !word.is_empty()).collect();
        assert!(run(&args).done().out.contains("Usage: aquabills"), "{command}");
    }
    assert!(run(&["--version"]).done().out.starts_with("aquabills 0"));
    run(&[]).says(&["Usage: aquabills"]).wrong_use(&[]);
    run(&["nonsense"]).wrong_use(&["nonsense"]);
    run(&["import", "nonsense"]).wrong_use(&["nonsense"]);
    run(&["bill", "--cycle", "main"]).wrong_use(&["--through"]);
    run(&["bill", "--cycle", "main", "--through", "tomorrow"]).wrong_use(&["tomorrow"]);
    run(&["bill", "--cycle", "main", "--through", "2024-01-01", "--dry-run", "--approve"]).wrong_use(&["--approve"]);
    run(&["ledger", "export", "--format", "quicken"]).wrong_use(&["quicken", "hledger"]);
    run(&["ledger", "export"]).wrong_use(&["--format"]);
    run(&["--config", "none.toml", "migrate"]).wrong_use(&["none.toml"]);
    std::fs::write(dir.path().join("aquabills.toml"), "colour = \"blue\"\n").expect("a file");
    run(&["migrate"]).wrong_use(&["aquabills.toml", "colour"]);
    assert!(!dir.path().join("aquabills.db").exists(), "wrong use made a database");
}

#[test]
fn which_database() {
    let dir = tempfile::tempdir().expect("a folder");
    let made = || {
        let names = std::fs::read_dir(dir.path()).expect("a folder").map(|entry| entry.expect("a file").file_name().into_string().expect("a name"));
        let mut names: Vec<String> = names.filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm")).collect();
        names.sort();
        names
    };
    let migrate = |args: &[&str], variable: Option<&str>| {
        let mut command = bare(dir.path(), &[args, &["migrate"]].concat());
        if let Some(variable) = variable {
            command.env("DATABASE_URL", variable);
        }
        let answer = Answer::of(&mut command).done();
        assert_eq!(answer.out, "", "migrating has no result to print");
    };
    migrate(&["--database", "option.db"], Some("variable.db"));
    assert_eq!(made(), ["option.db"]);
    migrate(&[], Some("sqlite://variable.db"));
    assert_eq!(made(), ["option.db", "variable.db"]);
    migrate(&[], None);
    assert_eq!(made(), ["aquabills.db", "option.db", "variable.db"]);
    let run = |address: &str| Answer::of(&mut bare(dir.path(), &["--database", address, "migrate"]));
    run("mysql://root@localhost/x").wrong_use(&["mysql://", "expected sqlite://FILE, a file name, or postgres://"]);
    run("").wrong_use(&["is not a database address"]);
    run("no/such/folder/x.db").no(&["cannot be opened"]);
    run("postgres://nobody@%2Fno%2Fsuch%2Fsocket/x").no(&["cannot be opened"]);
    std::fs::write(dir.path().join("text.db"), "this is a letter and not a database\n".repeat(100)).expect("a file");
    run("text.db").no(&["database"]);
}

#[test]
fn a_quote_needs_no_database() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("t.owrs"), TARIFF).expect("a file");
    let run = |args: &[&str]| Answer::of(&mut bare(dir.path(), &[&["quote", "t.owrs"], args].concat()));
    let answer = run(&["--class", "HOME", "--usage", "12.5", "--json"]).done();
    let json = answer.json();
    assert_eq!(answer.err, "");
    assert_eq!((json["total"].as_str(), json["total_cents"].as_i64()), (Some("38.75"), Some(3875)));
    let lines = json["lines"].as_array().expect("lines");
    let cents: i64 = lines.iter().map(|line| line["amount"].as_str().expect("an amount").replace('.', "").parse::<i64>().expect("cents")).sum();
    assert_eq!((lines.len(), cents), (3, 3875), "the lines add up to the total");
    assert!(run(&["--class", "HOME", "--usage", "12.5"]).done().out.contains("38.75"));
    let set = run(&["--class", "HOME", "--usage", "0", "--set", "service_charge=7.005", "--json"]).done().json();
    assert_eq!(set["total"].as_str(), Some("7.01"), "an attribute overrides the part, and half a cent is rounded up");
    run(&["--class", "HOME", "--usage", "twelve"]).wrong_use(&["twelve"]);
    run(&["--class", "HOME", "--usage", "1", "--set", "size"]).wrong_use(&["size", "NAME=VALUE"]);
    run(&["--class", "VILLA", "--usage", "1", "--json"]).no(&["t.owrs", "VILLA", "expected one of HOME, SHOP"]);
    run(&["--class", "HOME", "--usage", "-1", "--json"]).wrong_use(&["-1"]);
    run(&["--class", "HOME", "--usage=-1", "--json"]).no(&["-1 is negative", "expected zero or more"]);
    Answer::of(&mut bare(dir.path(), &["quote", "none.owrs", "--class", "HOME", "--usage", "1"])).no(&["none.owrs"]);
    assert!(!dir.path().join("aquabills.db").exists(), "a quote made a database");
}

#[test]
fn rates_are_tested_against_known_bills() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(dir.path().join("rates")).expect("a folder");
    std::fs::write(dir.path().join("rates/t.owrs"), TARIFF).expect("a file");
    let run = |rows: &str, extra: &[&str]| {
        std::fs::write(dir.path().join("cases.csv"), format!("file,rate_class,usage,attributes,total\n{rows}")).expect("a file");
        Answer::of(&mut bare(dir.path(), &[&["rates", "test", "cases.csv"], extra].concat()))
    };
    let good = "t.owrs,HOME,10,{},30.00\nt.owrs,HOME,12.5,,38.75\nt.owrs,SHOP,2,{},8.50\n";
    let json = run(good, &["--dir", "rates", "--json"]).done().json();
    assert_eq!(numbers(&json, ["passed", "failed"]), [3, 0]);
    assert!(run(good, &["--dir", "rates"]).done().out.contains("3 passed, 0 failed"));
    let bad = run(
        &format!("{good}t.owrs,HOME,10,{{}},30.01\nnone.owrs,HOME,1,{{}},1\nt.owrs,VILLA,1,{{}},1\nt.owrs,HOME,x,{{}},1\n"),
        &["--dir", "rates", "--json"],
    );
    assert_eq!(bad.status, 1);
    assert_eq!(numbers(&bad.json(), ["passed", "failed"]), [3, 4]);
    let bad = run("t.owrs,HOME,10,{},30.01\n", &["--dir", "rates"]);
    assert_eq!(bad.status, 1);
    for words in ["cases.csv: row 2", "t.owrs HOME at 10", "expected 30.01", "priced 30.00", "0 passed, 1 failed"] {
        assert!(bad.out.contains(words), "'{words}' is not said: {}", bad.out);
    }
    assert_eq!(run("", &["--dir", "rates", "--json"]).status, 1, "no case is no proof");
    let beside = Answer::of(&mut bare(dir.path(), &["rates", "test", "rates/cases.csv"]));
    beside.no(&["rates/cases.csv"]);
}

#[test]
fn rates_are_checked() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("good.owrs"), TARIFF).expect("a file");
    std::fs::write(dir.path().join("bad.owrs"), TARIFF.replace("[2.00, 3.50]", "[2.00]")).expect("a file");
    std::fs::write(dir.path().join("odd.owrs"), TARIFF.replace("[0, 10]", "[10, 0]")).expect("a file");
    let run = |args: &[&str]| Answer::of(&mut bare(dir.path(), &[&["rates", "check"], args].concat()));
    let good = run(&["good.owrs", "--json"]).done().json();
    assert_eq!((good["files"].as_i64(), good["errors"].as_array().map(Vec::len)), (Some(1), Some(0)));
    let odd = run(&["odd.owrs", "--json"]).done().json();
    assert!(odd["warnings"].as_array().is_some_and(|warnings| !warnings.is_empty()), "unsorted starts are suspicious: {odd}");
    let bad = run(&["good.owrs", "bad.owrs", "none.owrs", "--json"]);
    assert_eq!(bad.status, 1);
    let errors = bad.json()["errors"].to_string();
    assert!(errors.contains("bad.owrs") && errors.contains("2 tier starts but 1 price") && errors.contains("none.owrs"), "{errors}");
    run(&[]).wrong_use(&["FILES"]);
}

on_both! {
    fn imports_count_in_json(town: Town) {
        town.file("t.owrs", TARIFF);
        town.file("s.csv", "customer_id,service_id,rate_class,meter_id,register_digits\nA1,S1,HOME,M1,4\nA2,S2,NONE,M2,4\n");
        let tariff = ask(&town, &["import", "tariff", "t.owrs", "--json"]).done();
        assert_eq!(numbers(&tariff.json(), ["accepted", "unchanged", "refused"]), [1, 0, 0]);
        let services = ask(&town, &["import", "services", "s.csv", "--json"]);
        assert_eq!((services.status, numbers(&services.json(), ["accepted", "unchanged", "refused"])), (1, [1, 0, 1]));
        assert_eq!(services.json()["refused_file"].as_str(), Some("s.csv.refused.csv"));
        let words = ask(&town, &["import", "services", "s.csv"]);
        assert_eq!((words.status, words.out.as_str()), (1, "0 accepted, 1 unchanged, 1 refused\n"));
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(b"meter_id,read_on,reading\nM1,2024-01-01,100\nM1,2024-02-01,115\nM9,2024-02-01,1\n").expect("it is compressed");
        std::fs::write(town.dir.path().join("r.csv.gz"), encoder.finish().expect("it is compressed")).expect("a file");
        let reads = ask(&town, &["import", "reads", "r.csv.gz", "--json"]);
        assert_eq!((reads.status, numbers(&reads.json(), ["accepted", "unchanged", "refused", "held"])), (1, [2, 0, 1, 0]));
        let refused = std::fs::read_to_string(town.dir.path().join("r.csv.gz.refused.csv")).expect("a file of refused rows in plain text");
        assert!(refused.contains("M9,2024-02-01,1,4,meter_id: there is no meter 'M9'"), "{refused}");
        // Paths are as good as names, and the refused rows are written beside the file.
        std::fs::create_dir(town.dir.path().join("in")).expect("a folder");
        town.file("in/p.csv", "account,amount,effective_on,reference\nA1,5.00,2024-02-02,R-1\n");
        let path = town.dir.path().join("in/p.csv").display().to_string();
        assert_eq!(numbers(&ask(&town, &["import", "payments", &path, "--json"]).done().json(), ["accepted", "unchanged", "refused"]), [1, 0, 0]);
        assert_eq!(town.balance("A1"), "-5.00");
    }

    fn a_run_is_judged_reviewed_and_issued_once(town: Town) {
        let town = started(town);
        let keys = ["due", "billed", "held", "excluded", "total_cents"];
        let dry = bill(&town, &["--dry-run"]).done().json();
        assert_keys(&dry, &["billed", "held", "excluded", "total_cents", "gates"]);
        assert_eq!((numbers(&dry, keys), dry["run_id"].as_i64()), ([2, 1, 1, 0, 4750], None));
        assert!(ask(&town, &["runs", "list", "--json"]).done().json()["runs"].as_array().is_some_and(Vec::is_empty), "a dry run is no run");
        let review = bill(&town, &[]).done().json();
        assert_eq!((numbers(&review, keys), review["status"].as_str()), ([2, 1, 1, 0, 4750], Some("review")));
        for gate in review["gates"].as_array().expect("gates") {
            assert!(gate["gate"].is_string() && gate["passed"].is_boolean() && gate["detail"].is_string(), "{gate}");
        }
        assert_eq!(town.balance("A1"), "0.00", "nothing is posted before approval");
        let issued = bill(&town, &["--approve"]).done().json();
        assert_eq!((numbers(&issued, keys), issued["status"].as_str()), ([2, 1, 1, 0, 4750], Some("issued")));
        assert_eq!(issued["run_id"], review["run_id"], "the run that was reviewed is the run that is issued");
        assert_eq!(town.balance("A1"), "47.50");
        let ledger = town.ledger_rows();
        let again = bill(&town, &["--approve"]).done().json();
        assert_eq!(numbers(&again, keys), [2, 0, 1, 1, 0], "billing again bills nothing");
        assert_eq!(ledger, town.ledger_rows());
        let words = ask(&town, &["bill", "--cycle", "all", "--through", "2024-02-01", "--dry-run"]).done();
        assert!(words.out.contains("dry run") && words.out.contains("completeness"), "{}", words.out);
        ask(&town, &["bill", "--cycle", "nowhere", "--through", "2024-02-01"]).no(&["nowhere"]);
        ask(&town, &["bill", "--cycle", "nowhere", "--through", "2024-02-01", "--dry-run"]).no(&["nowhere"]);
        ask(&town, &["bill", "--cycle", "all", "--through", "2999-01-01", "--approve"]).no(&["2999-01-01", "future"]);
        assert_eq!(ledger, town.ledger_rows());
        town.assert_sound();
    }

    fn a_failed_gate_is_a_no_with_its_reason(town: Town) {
        let town = started(town);
        town.file("aquabills.toml", "[gates]\nfewest_compared = 1\n");
        bill(&town, &["--approve"]).done();
        town.reads(&["M1,2024-04-01,180"]);
        let through = ["bill", "--cycle", "all", "--through", "2024-04-01", "--json"];
        let failed = ask(&town, &through);
        assert_eq!((failed.status, failed.json()["status"].as_str().map(str::to_owned)), (1, Some("gates_failed".to_owned())));
        let ledger = town.ledger_rows();
        ask(&town, &[&through[..], &["--approve"]].concat()).no(&["held by its gates", "discard", "--override-gates"]);
        assert_eq!(ledger, town.ledger_rows());
        ask(&town, &[&through[..], &["--override-gates", "seen"]].concat()).wrong_use(&["--approve"]);
        let issued = ask(&town, &[&through[..], &["--approve", "--override-gates", "seen by two"]].concat()).done().json();
        assert_eq!(issued["status"].as_str(), Some("issued"));
        town.assert_sound();
    }

    fn bills_are_exported_with_these_columns(town: Town) {
        let town = started(town);
        ask(&town, &["payment", "take", "A1", "--amount", "7.5", "--reference", "R-1"]).done();
        bill(&town, &["--approve"]).done();
        let answer = ask(&town, &["export", "bills"]).done();
        let mut lines = answer.out.lines();
        assert_eq!(lines.next(), Some("bill_number,account,service_id,period_start,read_on,usage,total,previous_balance,payments,amount_due,status"));
        let row = lines.next().expect("a bill");
        assert!(row.ends_with(",A1,S1,2024-01-01,2024-02-01,15,47.50,0.00,-7.50,40.00,issued"), "{row}");
        assert_eq!(lines.next(), None);
        assert_eq!(answer.err, "1 row\n", "what is not a bill goes to standard error");
        let to_file = ask(&town, &["export", "bills", "--output", "bills.csv"]).done();
        assert_eq!(to_file.out, "");
        assert_eq!(std::fs::read_to_string(town.dir.path().join("bills.csv")).expect("the file"), answer.out);
        ask(&town, &["export", "bills", "--output", "no/such/folder.csv"]).no(&["no/such/folder.csv"]);
        let ledger = ask(&town, &["export", "ledger"]).done().out;
        assert_eq!(ledger.lines().count(), 1 + 2 * town.ledger_rows().len());
    }

    fn what_is_held_is_listed_and_decided(town: Town) {
        let town = started(town);
        let list = || ask(&town, &["held", "list", "--json"]).done().json()["held"].as_array().expect("held").clone();
        let held = list();
        assert_eq!((held.len(), held[0]["kind"].as_str()), (1, Some("read_limit")));
        assert!(held[0]["reason"].as_str().is_some_and(|reason| reason.contains("meter M2") && reason.contains("2024-02-01")), "{held:?}");
        let id = held[0]["id"].to_string();
        assert!(ask(&town, &["held", "list"]).done().out.contains("meter M2"));
        ask(&town, &["held", "release"]).wrong_use(&["IDS"]);
        ask(&town, &["held", "release", "999"]).no(&["there is no held item '999'"]);
        ask(&town, &["held", "release", &id, "999"]).no(&["999"]);
        assert_eq!(list().len(), 1, "a refusal released nothing");
        assert_eq!(numbers(&ask(&town, &["held", "reject", &id, "--note", "reversed", "--json"]).done().json(), ["rejected"]), [1]);
        assert_eq!(numbers(&ask(&town, &["held", "release", &id, "--json"]).done().json(), ["released"]), [0], "it was decided before");
        assert!(list().is_empty());
        // The right read takes the place of the one that was rejected.
        assert_eq!(town.reads(&["M2,2024-02-01,512"]).accepted, 1);
        assert_eq!(numbers(&bill(&town, &["--approve"]).done().json(), ["billed", "held"]), [2, 0]);
        town.reads(&["M2,2024-03-01,3"]);
        assert_eq!(numbers(&ask(&town, &["held", "release", "--all", "--kind", "read_limit", "--json"]).done().json(), ["released"]), [1]);
        town.assert_sound();
    }

    fn runs_are_shown_discarded_and_rolled_back(town: Town) {
        let town = started(town);
        let id = bill(&town, &[]).done().json()["run_id"].to_string();
        let shown = ask(&town, &["runs", "show", &id, "--json"]).done().json();
        assert_eq!((shown["run"]["status"].as_str(), shown["held"].as_array().map(Vec::len)), (Some("review"), Some(1)));
        assert!(ask(&town, &["runs", "show", &id]).done().out.contains("held: account "));
        ask(&town, &["runs", "rollback", &id, "--reason", "x"]).no(&["review", "only an issued run is rolled back"]);
        ask(&town, &["bill", "--cycle", "all", "--through", "2024-03-01"]).no(&[&format!("run {id}"), "unfinished", "discard"]);
        ask(&town, &["runs", "discard", &id]).done();
        ask(&town, &["runs", "discard", &id]).no(&["discarded"]);
        let issued = bill(&town, &["--approve"]).done().json()["run_id"].to_string();
        ask(&town, &["runs", "discard", &issued]).no(&["issued"]);
        ask(&town, &["runs", "rollback", &issued]).wrong_use(&["--reason"]);
        ask(&town, &["runs", "rollback", &issued, "--reason", "wrong tariff"]).done();
        assert_eq!(town.balance("A1"), "0.00");
        ask(&town, &["runs", "rollback", &issued, "--reason", "again"]).no(&["rolled_back"]);
        assert_eq!(ask(&town, &["export", "bills"]).done().out.lines().count(), 1, "bills that were taken back are not exported");
        let with_cancelled = ask(&town, &["export", "bills", "--with-cancelled"]).done().out;
        assert!(with_cancelled.lines().nth(1).is_some_and(|row| row.ends_with(",cancelled")), "{with_cancelled}");
        for args in [["runs", "show", "999"], ["runs", "discard", "999"]] {
            ask(&town, &args).no(&["there is no run '999'"]);
        }
        let runs = ask(&town, &["runs", "list", "--json"]).done().json();
        let statuses: Vec<&str> = runs["runs"].as_array().expect("runs").iter().filter_map(|run| run["status"].as_str()).collect();
        assert_eq!(statuses, ["rolled_back", "discarded"]);
        town.assert_sound();
    }

    fn payments_and_adjustments_move_an_account(town: Town) {
        let town = started(town);
        let take = |amount: &str, reference: &str| ask(&town, &["payment", "take", "A1", "--amount", amount, "--reference", reference, "--on", "2024-02-02"]);
        assert!(take("5", "R-1").done().out.contains("balance now -5.00"));
        assert!(take("5", "R-1").done().out.contains("nothing changed"));
        take("6", "R-1").no(&["reference", "'R-1'", "5.00 of 2024-02-02"]);
        take("1,50", "R-2").wrong_use(&["--amount", "use a point for cents: 1.50"]);
        take("abc", "R-2").wrong_use(&["like 12.34"]);
        take("0", "R-2").no(&["amount", "expected more than 0"]);
        ask(&town, &["payment", "take", "A9", "--amount", "5", "--reference", "R-9"]).no(&["there is no account 'A9'"]);
        ask(&town, &["payment", "take", "A1", "--amount", "5", "--reference", "R-9", "--on", "2999-01-01"]).no(&["effective_on", "future"]);
        let back = |reference: &str, on: &str| ask(&town, &["payment", "return", reference, "--reason", "bounced", "--on", on]);
        back("R-9", "2024-02-03").no(&["R-9"]);
        back("R-1", "2024-02-01").no(&["before the payment"]);
        assert!(back("R-1", "2024-02-03").done().out.contains("balance now 0.00"));
        assert!(back("R-1", "2024-02-03").done().out.contains("nothing changed"));
        take("5", "R-1").no(&["reference", "'R-1'", "went back on 2024-02-03", "a reference of its own"]);
        let adjust = |amount: &str, reason: &str, reference: &str| {
            ask(&town, &["adjust", "A1", "--amount", amount, "--reason", reason, "--reference", reference, "--note", "n", "--on", "2024-02-04"])
        };
        assert!(adjust("-2.50", "goodwill", "G-1").done().out.contains("balance now -2.50"));
        assert!(adjust("-2.50", "goodwill", "G-1").done().out.contains("nothing changed"));
        adjust("-2.51", "goodwill", "G-1").no(&["reference", "'G-1'"]);
        adjust("2.50", "goodwill", "G-2").no(&["amount", "goodwill", "expected a negative amount"]);
        adjust("-1", "late-fee", "G-2").no(&["amount", "late-fee", "expected a positive amount"]);
        adjust("0", "billing-error", "G-2").no(&["amount", "other than 0"]);
        adjust("1", "because", "G-2").no(&["reason", "'because'", "expected one of", "goodwill"]);
        assert!(adjust("1.25", "late-fee", "G-3").done().out.contains("balance now -1.25"));
        let account = ask(&town, &["account", "A1", "--json"]).done().json();
        assert_eq!((account["account"].as_str(), account["balance_cents"].as_i64()), (Some("A1"), Some(-125)));
        let cents: Vec<i64> = account["transactions"].as_array().expect("rows").iter().filter_map(|row| row["amount_cents"].as_i64()).collect();
        assert_eq!(cents, [-500, 500, -250, 125]);
        assert!(ask(&town, &["account", "A1"]).done().out.ends_with("balance -1.25\n"));
        ask(&town, &["account", "A9"]).no(&["there is no account 'A9'"]);
        town.assert_sound();
    }

    fn what_is_dated_in_the_future_is_refused(town: Town) {
        let town = started(town);
        ask(&town, &["payment", "take", "A1", "--amount", "5", "--reference", "R-1", "--on", "2024-02-02"]).done();
        let before = town.ledger_rows();
        let returned = ask(&town, &["payment", "return", "R-1", "--reason", "bounced", "--on", "2999-01-01"]);
        let adjusted = ask(&town, &["adjust", "A1", "--amount", "-5", "--reason", "goodwill", "--reference", "G", "--note", "n", "--on", "2999-01-01"]);
        assert_eq!((returned.status, adjusted.status), (1, 1), "{}{}", returned.out, adjusted.out);
        assert_eq!(before, town.ledger_rows());
    }

    fn references_of_the_counter_are_as_clean_as_those_of_files(town: Town) {
        let town = started(town);
        for reference in ["", "two\nlines", "tab\there", &"x".repeat(65)] {
            ask(&town, &["payment", "take", "A1", "--amount", "5", "--reference", reference]).says(&["reference"]);
            ask(&town, &["adjust", "A1", "--amount", "-5", "--reason", "goodwill", "--reference", reference, "--note", "n"]).says(&["reference"]);
        }
        assert_eq!(town.ledger_rows(), Vec::<String>::new());
    }

    fn what_is_sound_is_said_in_json(town: Town) {
        let town = started(town);
        bill(&town, &["--approve"]).done();
        let ledger = ask(&town, &["ledger", "check", "--json"]).done().json();
        assert_eq!(numbers(&ledger, ["accounts", "transactions", "bills", "balance_cents", "faults"]), [2, 1, 1, 4750, 0]);
        let bills = ask(&town, &["verify", "--json"]).done().json();
        assert_eq!(numbers(&bills, ["bills", "segments", "total_cents", "differences"]), [1, 1, 4750, 0]);
        assert!(ask(&town, &["ledger", "check"]).done().out.contains("0 faults"));
        assert!(ask(&town, &["verify"]).done().out.contains("0 differences"));
        assert_eq!(ask(&town, &["ledger", "export", "--format", "csv"]).done().out.lines().count(), 3);
    }

    fn a_measurement_prints_its_figures(town: Town) {
        let url = town.url.clone();
        let answer = ask(&town, &["--database", &url, "bench", "bill-run", "--accounts", "200"]).done();
        let json = answer.json();
        assert_keys(&json, &["accounts", "seconds", "bills_per_second", "peak_memory_mib", "rows_written"]);
        assert_eq!(numbers(&json, ["accounts", "bills", "held"]), [200, 200, 0]);
        assert!(json["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0));
        // A bill is at least a bill, a segment, a transaction and two postings.
        assert!(numbers(&json, ["rows_written"])[0] >= 1_000, "{json}");
        town.assert_sound();
        ask(&town, &["--database", &url, "bench", "bill-run", "--accounts", "1"]).no(&["accounts already"]);
        assert_eq!(town.bills().len(), 200);
    }

    fn a_reader_that_goes_away_is_no_error(town: Town) {
        let town = started(town);
        bill(&town, &["--approve"]).done();
        for args in [&["account", "A1"][..], &["export", "bills"], &["export", "ledger"], &["ledger", "export", "--format", "hledger"], &BILL] {
            let mut child = town.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
            drop(child.stdout.take());
            let output = child.wait_with_output().expect("it ends");
            assert!(output.status.success(), "{args:?}: {}", stderr(&output));
            assert!(!stderr(&output).contains("error"), "{args:?}: {}", stderr(&output));
        }
    }
}

/// Without any database named, a measurement has one of its own and takes it away again.
#[test]
fn a_measurement_leaves_nothing_behind() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut command = bare(dir.path(), &["bench", "bill-run", "--accounts", "20"]);
    let json = Answer::of(command.env("TMPDIR", dir.path())).done().json();
    assert_eq!(numbers(&json, ["accounts", "bills"]), [20, 20]);
    assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 0);
}

/// A web application of a test, ended with it.
struct Served {
    child: Child,
    address: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer of the web application.
struct Page {
    status: u16,
    head: String,
    body: String,
}

impl Served {
    fn start(town: &Town) -> Self {
        let mut child = town.command(&["serve", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().expect("the program starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("a line");
        let address = line.trim().rsplit_once("http://").map(|(_, address)| address.to_owned());
        let address = address.unwrap_or_else(|| panic!("no address in '{line}'"));
        Self { child, address }
    }

    fn request(&self, line: &str) -> Page {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time limit");
        write!(stream, "{line} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address).expect("the request is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the answer is text");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer}"));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Page { status, head: head.to_lowercase(), body: body.to_owned() }
    }
}

impl Page {
    fn assert_guarded(&self) {
        for header in
            ["content-security-policy: default-src 'none'", "x-content-type-options: nosniff", "referrer-policy: ", "cross-origin-opener-policy: "]
        {
            assert!(self.head.contains(header), "'{header}' is missing:\n{}", self.head);
        }
        assert!(self.head.contains("frame-ancestors 'none'"), "{}", self.head);
    }
}

on_both! {
    fn the_application_answers(town: Town) {
        let town = started(town);
        let served = Served::start(&town);
        let health = served.request("GET /health");
        assert_eq!(health.status, 200, "{}", health.head);
        assert!(health.head.contains("content-type: application/json") && health.body.contains("\"status\":\"ok\""), "{}", health.body);
        health.assert_guarded();
        let front = served.request("GET /");
        assert_eq!(front.status, 200);
        assert!(front.head.contains("content-type: text/html; charset=utf-8") && front.body.contains("AquaBills</a>"), "{}", front.body);
        assert!(front.body.contains("href=\"/sign-in\""), "{}", front.body);
        front.assert_guarded();
        let style = served.request("GET /static/style.css");
        assert!(style.status == 200 && style.head.contains("content-type: text/css"), "{}", style.head);
        style.assert_guarded();
        for unknown in ["GET /no/such/page", "GET /health/", "GET /../Cargo.toml", "GET /static/../../Cargo.toml", "GET /%2e%2e/Cargo.toml", "POST /nowhere"] {
            let page = served.request(unknown);
            assert_eq!(page.status, 404, "{unknown}");
            assert!(page.head.contains("text/html") && page.body.contains("Page not found"), "{unknown}: {}", page.body);
            page.assert_guarded();
        }
        for odd in ["POST /", "DELETE /health", "GET /<script>alert(1)</script>"] {
            let page = served.request(odd);
            assert!((400..500).contains(&page.status), "{odd}: {}", page.status);
            assert!(!page.body.contains("<script>"), "{odd}: {}", page.body);
        }
        // The port is taken: the second one says so.
        ask(&town, &["serve", "--listen", &served.address]).no(&[&served.address]);
        ask(&town, &["serve", "--listen", "nowhere"]).no(&["nowhere"]);
    }

    fn the_application_ends_when_it_is_told(town: Town) {
        let mut served = Served::start(&town);
        assert_eq!(served.request("GET /health").status, 200);
        let pid = served.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill starts").success());
        let since = Instant::now();
        let status = loop {
            if let Some(status) = served.child.try_wait().expect("its state") {
                break status;
            }
            assert!(since.elapsed() < Duration::from_secs(15), "it does not end");
            std::thread::sleep(Duration::from_millis(50));
        };
        assert_eq!(status.code(), Some(0));
    }
}
