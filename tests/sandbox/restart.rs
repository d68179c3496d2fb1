//! What survives a restart, and the program itself.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use aquabills::providers::PaymentProvider;
use aquabills::sandbox::{Options, Sandbox};
use serde_json::{Value, json};

use crate::{House, Receiver, agent, choose, client, order, quiet};

#[test]
fn a_state_file_keeps_everything() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("state.jsonl");
    let options = || Options { faults: quiet(), state: Some(file.clone()), seed: Some(3), ..Options::default() };
    let (session, payment, events) = {
        let house = House::with(options());
        let session = house.client.start_checkout(&order("A-1", &[("Bill", 1000)])).expect("it begins");
        let payment = house.payment(2000, "card");
        house.act(&payment, "refund", &json!({ "amount": 500 }));
        house.act(&payment, "payout", &Value::Null);
        (session, payment, house.client.events(0, None).expect("events"))
    };
    let house = House::with(options());
    let again = house.client.start_checkout(&order("A-1", &[("Bill", 1000)])).expect("the key is remembered");
    assert_eq!(again.session_ref, session.session_ref);
    assert_eq!(house.client.events(0, None).expect("events"), events);
    let payments = house.control("GET", "/sandbox/payments", &Value::Null);
    assert_eq!((&payments[0]["payment"], &payments[0]["refunded"]), (&json!(payment), &json!(500)));
    // New names are new: the seed goes on where it stopped.
    let other = house.payment(3000, "card");
    assert_ne!(other, payment);
    let url = house.client.checkout(&session.session_ref).expect("it is there").url.expect("it is open");
    choose(&url, "card").expect("it can still be paid");
}

#[test]
fn a_file_that_is_in_use_or_wrong_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("state.jsonl");
    let build = || Sandbox::build(Options { listen: "127.0.0.1:0".to_owned(), state: Some(file.clone()), ..Options::default() });
    let refused = || build().err().expect("it is refused").to_string();
    let first = build().expect("it starts");
    assert!(refused().contains("another sandbox"));
    drop(first);
    std::fs::write(&file, "{\"count\":1}\nnonsense\n{\"count\":2}\n").expect("a file");
    let words = refused();
    assert!(words.contains("line 2") && words.contains("state.jsonl"), "{words}");
}

#[test]
fn half_a_line_at_the_end_is_cut_off() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("state.jsonl");
    let options = || Options { faults: quiet(), state: Some(file.clone()), ..Options::default() };
    let payment = House::with(options()).payment(1000, "card");
    std::fs::OpenOptions::new().append(true).open(&file).expect("it is there").write_all(b"{\"payment\":{\"id\":\"pi_half").expect("it is written");
    let house = House::with(options());
    let other = house.payment(2000, "card");
    drop(house);
    let house = House::with(options());
    let kept: Vec<Value> =
        house.control("GET", "/sandbox/payments", &Value::Null).as_array().expect("a list").iter().map(|row| row["payment"].clone()).collect();
    assert_eq!(kept, [json!(other), json!(payment)]);
}

/// The program, as somebody starts it.
struct Program {
    child: Child,
    address: String,
}

impl Program {
    fn start(args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_aquabills"))
            .args(["sandbox-provider", "--listen", "127.0.0.1:0", "--bank-settles-ms", "3600000"])
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("a line");
        let address = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap_or_else(|| panic!("an address: {line}")).to_owned();
        Self { child, address }
    }

    fn pay(&self) -> Value {
        let mut answer = agent().post(format!("{}/sandbox/payments", self.address)).send(json!({ "amount": 1000 }).to_string()).expect("an answer");
        serde_json::from_str(&answer.body_mut().read_to_string().expect("a text")).expect("JSON")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().expect("the program is killed");
        self.child.wait().expect("the program ends");
    }
}

#[test]
fn a_killed_program_goes_on_with_what_it_had_not_delivered() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("state.jsonl").display().to_string();
    let receiver = Receiver::answering(|_| (500, String::new()));
    let hook = receiver.url("/hook");
    let first = Program::start(&["--state", &file, "--endpoint", &hook, "--seed", "5"]);
    let paid = first.pay();
    receiver.wait_for(3);
    drop(first);
    let refused = receiver.got().len();
    receiver.answer(|_| (200, String::new()));
    let second = Program::start(&["--state", &file, "--endpoint", &hook]);
    let got = receiver.wait_for(refused + 3);
    let brought: Vec<Value> = got[refused..].iter().map(|got| got.json()["type"].clone()).collect();
    assert_eq!(brought, ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"]);
    assert!(got[refused..].iter().all(|got| got.text().contains(paid["payment"].as_str().expect("a name"))));
    let events = client(&second.address).events(0, None).expect("events");
    assert_eq!(events.items.len(), 3);
    // What was delivered is not delivered again at the next start.
    let mut log = json!(null);
    while log["counts"]["pending"] != 0 {
        let mut answer = agent().get(format!("{}/sandbox/deliveries", second.address)).call().expect("an answer");
        log = serde_json::from_str(&answer.body_mut().read_to_string().expect("a text")).expect("JSON");
    }
    second.pay();
    receiver.wait_for(refused + 6);
    drop(second);
    let third = Program::start(&["--state", &file, "--endpoint", &hook, "--hold"]);
    third.pay();
    assert!(receiver.got().len() <= refused + 9);
}

#[test]
fn the_program_refuses_what_makes_no_sense() {
    for args in [&["--duplicates", "51"][..], &["--burst", "3"], &["--faults", "{\"colour\":1}"], &["--lose-permille", "1001"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_aquabills")).args(["sandbox-provider", "--listen", "127.0.0.1:0"]).args(args).output();
        let output = output.expect("the program starts");
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let output =
        Command::new(env!("CARGO_BIN_EXE_aquabills")).args(["sandbox-provider", "--endpoint", "nowhere", "--listen", "127.0.0.1:0"]).output();
    let output = output.expect("the program starts");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("'nowhere' is not an endpoint"));
}
