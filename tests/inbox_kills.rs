//! The server killed (SIGKILL) at random moments while a provider brings signed events, each until it is accepted: in the end
//! every event is applied exactly once, and nothing that was acknowledged is lost. By the real program over real HTTP, on both
//! databases, 40 kills of a live process on each.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on must fail loudly")]
#![allow(clippy::print_stdout, reason = "how much was delivered and killed is worth reading when a test is looked at")]

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use aquabills::actions::bench::{attempt_token, begin_attempts};
use aquabills::clock::Clock;
use diesel::result::Error as DieselError;
use hmac::{Hmac, KeyInit, Mac};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use sha2::Sha256;
use support::{Town, lines};

const KILLS: u64 = 40;
const ACCOUNTS: usize = 12;
const SENDERS: usize = 6;
/// More payments than can be told of before the last kill.
const PAYMENTS: usize = 12_000;
const PATIENCE: Duration = Duration::from_secs(120);
const SECRET: &str = "whsec_of_the_test";

const SETTINGS: &str = "\
[mail]
transport = \"off\"
[[providers]]
name = \"stripe\"
merchant = \"acct_town\"
base_url = \"http://127.0.0.1:9\"
secret_key = \"sk_of_the_test\"
webhook_secrets = [\"whsec_of_the_test\"]
";

/// What the provider knows of its deliveries.
#[derive(Default)]
struct Provider {
    /// Where the server is now; it moves with each start.
    address: RwLock<Option<String>>,
    next: std::sync::atomic::AtomicUsize,
    /// The kills are over: no more payments are begun.
    stop: AtomicBool,
    attempts: AtomicU64,
    /// The events that were accepted, by name, with how often.
    accepted: Mutex<BTreeMap<String, u64>>,
    /// What each payment comes to, in cents.
    expected: Mutex<BTreeMap<usize, usize>>,
}

fn event(number: usize, name: &str, cents: usize, at: i64) -> (String, String) {
    let id = format!("evt_{number}_{name}");
    let body = json!({
        "id": id, "object": "event", "type": "payment_intent.succeeded", "created": at, "livemode": false,
        "data": { "object": {
            "id": format!("pi_{number}"), "object": "payment_intent", "status": "succeeded", "amount": cents, "amount_received": cents,
            "currency": "usd", "created": 1_781_500_000, "payment_method_types": ["card"], "latest_charge": format!("ch_{number}"),
            "metadata": { "token": attempt_token(number) },
        } },
    });
    (id, body.to_string())
}

fn signature(body: &str) -> String {
    let now = Clock::System.now().and_utc().timestamp();
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any key will do").chain_update(format!("{now}.{body}"));
    format!("t={now},v1={}", data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes()))
}

impl Provider {
    /// Tells of one payment after the other until the kills are over.
    fn tell(&self, seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(10))).build().into();
        while !self.stop.load(Ordering::Acquire) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            assert!(number < PAYMENTS, "more payments were told of than were begun");
            let cents = rng.random_range(100..9_000);
            let mut events = vec![event(number, "paid", cents, 1_781_500_100)];
            let mut comes_to = cents;
            if rng.random_range(0..4) == 0 {
                comes_to = cents + rng.random_range(1..900);
                events.push(event(number, "corrected", comes_to, 1_781_500_200));
            }
            if rng.random_range(0..3) == 0 {
                events.reverse();
                events.push(events[0].clone());
            }
            self.expected.lock().expect("no sender failed").insert(number, comes_to);
            for (id, body) in events {
                self.deliver(&agent, &id, &body, &mut rng);
            }
            thread::sleep(Duration::from_millis(rng.random_range(0..20)));
        }
    }

    /// Brings an event until it is accepted, as providers do.
    fn deliver(&self, agent: &ureq::Agent, id: &str, body: &str, rng: &mut StdRng) {
        let since = Instant::now();
        loop {
            assert!(since.elapsed() < PATIENCE, "{id} is not accepted");
            let address = self.address.read().expect("no killer failed").clone();
            self.attempts.fetch_add(1, Ordering::Relaxed);
            let answer = address.and_then(|address| {
                let request = agent.post(format!("{address}/callbacks/stripe")).header("stripe-signature", signature(body));
                request.content_type("application/json").send(body).ok()
            });
            if answer.is_some() {
                *self.accepted.lock().expect("no sender failed").entry(id.to_owned()).or_default() += 1;
                return;
            }
            thread::sleep(Duration::from_millis(rng.random_range(0..30)));
        }
    }
}

/// Starts the program and waits until it says where it is.
fn start(town: &Town) -> (Child, String) {
    let mut command = town.command(&["serve", "--listen", "127.0.0.1:0"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("it says where it is");
    let address = line.split_whitespace().last().expect("an address").to_owned();
    assert!(address.starts_with("http://"), "it does not serve: {line}");
    (child, address)
}

fn query(town: &Town, sql: &str) -> Vec<String> {
    town.context.database.read(|conn| Ok::<_, DieselError>(lines(conn, sql))).expect("the query is right")
}

fn kill_and_count(town: Town, seed: u64) {
    let rows: Vec<String> = (0..ACCOUNTS).map(|number| format!("A{number},S{number},HOME,M{number}")).collect();
    let town = town.with_services(&rows.iter().map(String::as_str).collect::<Vec<_>>());
    town.file("aquabills.toml", SETTINGS);
    begin_attempts(&town.context, "stripe", "acct_town", 0, PAYMENTS).expect("the attempts are begun");
    let provider = Provider::default();
    let mut rng = StdRng::seed_from_u64(seed);
    let mut kills = 0;
    thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let provider = &provider;
                scope.spawn(move || provider.tell(seed * 100 + u64::try_from(sender).expect("a small number")))
            })
            .collect();
        while kills < KILLS {
            let (mut child, address) = start(&town);
            *provider.address.write().expect("no sender failed") = Some(address);
            thread::sleep(Duration::from_millis(rng.random_range(20..500)));
            child.kill().expect("it is our child");
            assert_eq!(child.wait().expect("it ended").signal(), Some(9), "it was alive until it was killed");
            kills += 1;
        }
        let (mut child, address) = start(&town);
        provider.stop.store(true, Ordering::Release);
        *provider.address.write().expect("no sender failed") = Some(address);
        for sender in senders {
            sender.join().expect("every event is accepted in the end");
        }
        let since = Instant::now();
        while !query(&town, "SELECT event_id AS line FROM provider_event WHERE status <> 'applied'").is_empty() {
            assert!(since.elapsed() < PATIENCE, "the inbox does not become empty");
            thread::sleep(Duration::from_millis(100));
        }
        child.kill().expect("it is our child");
        child.wait().expect("it ended");
    });
    assert_applied_once(&town, &provider, seed);
    println!(
        "seed {seed}: {kills} kills, {} attempts to deliver, {} events of {} payments accepted and applied",
        provider.attempts.into_inner(),
        provider.accepted.into_inner().expect("no sender failed").len(),
        provider.expected.into_inner().expect("no sender failed").len()
    );
}

fn assert_applied_once(town: &Town, provider: &Provider, seed: u64) {
    let accepted = provider.accepted.lock().expect("no sender failed");
    let expected = provider.expected.lock().expect("no sender failed");
    let attempts = provider.attempts.load(Ordering::Relaxed);
    let told: u64 = accepted.values().sum();
    assert!(attempts > told && expected.len() > 100, "seed {seed}: {attempts} attempts, {told} accepted: no kill came between");
    let stored = query(town, "SELECT event_id || ' ' || status AS line FROM provider_event ORDER BY event_id");
    let wanted: Vec<String> = accepted.keys().map(|id| format!("{id} applied")).collect();
    assert!(stored == wanted, "seed {seed}: stored {} events, accepted {}", stored.len(), wanted.len());
    let deliveries: i64 =
        query(town, "SELECT CAST(deliveries AS TEXT) AS line FROM provider_event").iter().map(|count| count.parse::<i64>().unwrap()).sum();
    assert!(u64::try_from(deliveries).expect("a count") >= told, "seed {seed}: {told} deliveries were acknowledged, {deliveries} are counted");
    let mut standing: Vec<String> = expected.iter().map(|(number, cents)| format!("pi_{number} {cents}")).collect();
    standing.sort();
    let mut posted = query(town, "SELECT provider_ref || ' ' || amount_cents AS line FROM payment WHERE superseded_seq IS NULL");
    posted.sort();
    assert!(posted == standing, "seed {seed}: the payments that stand are not those that came");
    for account in 0..ACCOUNTS {
        let cents: usize = expected.iter().filter(|(number, _)| **number % ACCOUNTS == account).map(|(_, cents)| cents).sum();
        assert_eq!(town.balance(&format!("A{account}")), format!("-{}.{:02}", cents / 100, cents % 100), "seed {seed}: account A{account}");
    }
    town.assert_sound();
}

mod killed_while_events_arrive_nothing_is_lost_and_nothing_twice {
    use super::*;

    #[test]
    fn sqlite() {
        kill_and_count(Town::sqlite(), 20_261_121);
    }

    #[test]
    fn postgres() {
        kill_and_count(Town::postgres(), 20_261_122);
    }
}
