//! `aquabills bench callbacks`: how many signed callbacks a second the real server takes, to the commit and until they are posted.
//!
//! The server is this program in a process of its own, on a port of its own, with its jobs beside it. The load is open: when each
//! callback is sent is fixed before the first one is, and its time counts from then, whether the sender came to it in time or
//! not; a server that stalls is not waited for.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{NaiveDateTime, TimeDelta};
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use serde_json::json;
use sha2::Sha256;

use super::super::{Failure, Global, print};
use crate::actions::Context;
use crate::actions::bench::{attempt_token, begin_attempts, posted_at, seed_town};
use crate::db::Backend;

const PROVIDER: &str = "bench";
const MERCHANT: &str = "acct_bench";
const SECRET: &str = "whsec_only_for_measuring";
/// What the server must keep to.
const LIMIT_US: u64 = 250_000;
/// How long the server may take to start, and the inbox to become empty after the last callback.
const PATIENCE: Duration = Duration::from_secs(120);
/// The steps of a climb end here, whatever the server takes.
const STEEPEST_RATE: u32 = 20_000;

/// Measures callbacks.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Callbacks a second
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    rate: u32,
    /// For how long
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    seconds: u32,
    /// How many accounts the payments are for
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..))]
    accounts: u32,
    /// How many connections bring them
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1_024))]
    connections: u16,
    /// Goes on with a quarter more each time, until the 99th percentile is over 250 ms
    #[arg(long)]
    climb: bool,
}

#[derive(Serialize)]
struct Report {
    database: &'static str,
    held: bool,
    /// The highest rate at which all were accepted with p99 under 250 ms.
    highest_rate_held: Option<u32>,
    steps: Vec<Step>,
}

#[derive(Serialize)]
struct Step {
    rate: u32,
    seconds: u32,
    sent: usize,
    accepted: usize,
    held: bool,
    /// From the planned moment of sending until the answer, which comes after the commit.
    committed_us: Times,
    /// From the planned moment of sending until the ledger shows the payment.
    posted_us: Times,
    unposted: usize,
    /// From the last planned moment until the inbox was empty.
    drained_after_ms: u128,
}

#[derive(Default, Serialize)]
struct Times {
    p50: u64,
    p90: u64,
    p99: u64,
    max: u64,
}

impl Times {
    fn of(mut times: Vec<u64>) -> Self {
        times.sort_unstable();
        let at = |per_mille: usize| times.get((times.len() * per_mille / 1_000).min(times.len().saturating_sub(1))).copied().unwrap_or(0);
        Self { p50: at(500), p90: at(900), p99: at(990), max: at(1_000) }
    }
}

pub(super) fn run(global: &Global, address: &str, args: &Args) -> Result<bool, Failure> {
    let context = global.context_at(address)?;
    seed_town(&context, args.accounts, &|done| print::message(&format!("seeded {done} of {} accounts", args.accounts)))?;
    let server = Server::start(address)?;
    let (mut steps, mut rate, mut first) = (Vec::new(), args.rate, 0);
    loop {
        let step = measure(&context, &server, args, rate, first)?;
        print::message(&format!(
            "{rate} a second: {} of {} accepted, p50 {} ms, p99 {} ms, at most {} ms; posted p99 {} ms",
            step.accepted,
            step.sent,
            step.committed_us.p50 / 1_000,
            step.committed_us.p99 / 1_000,
            step.committed_us.max / 1_000,
            step.posted_us.p99 / 1_000
        ));
        first += step.sent;
        let on = args.climb && step.held && rate < STEEPEST_RATE;
        steps.push(step);
        if !on {
            break;
        }
        rate = (rate + rate.div_ceil(4)).min(STEEPEST_RATE);
    }
    drop(server);
    let report = Report {
        database: if context.database.backend() == Backend::Sqlite { "sqlite" } else { "postgres" },
        held: steps.first().is_some_and(|step| step.held),
        highest_rate_held: steps.iter().filter(|step| step.held).map(|step| step.rate).max(),
        steps,
    };
    print::json(&report)?;
    Ok(report.held)
}

/// This program as a server, gone when it is dropped.
struct Server {
    child: Child,
    host: String,
    settings: PathBuf,
}

impl Server {
    fn start(database: &str) -> Result<Self, Failure> {
        let settings = std::env::temp_dir().join(format!("aquabills-bench-{}.toml", std::process::id()));
        let text = format!(
            "[mail]\ntransport = \"off\"\n[[providers]]\nname = \"{PROVIDER}\"\nmerchant = \"{MERCHANT}\"\nbase_url = \"http://127.0.0.1:9\"\n\
             secret_key = \"sk_bench\"\nwebhook_secrets = [\"{SECRET}\"]\n"
        );
        std::fs::write(&settings, text)?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--database", database, "--config"])
            .arg(&settings)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env("RUST_LOG", "error")
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let host = line.trim().rsplit_once("http://").map(|(_, host)| host.to_owned()).unwrap_or_default();
        let server = Self { child, host, settings };
        if server.host.is_empty() { Err(Failure::No("the server does not start".to_owned())) } else { Ok(server) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Whether it ended before does not matter: all it had to keep is committed.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.settings);
    }
}

fn measure(context: &Context, server: &Server, args: &Args, rate: u32, first: usize) -> Result<Step, Failure> {
    let count = usize::try_from(u64::from(rate) * u64::from(args.seconds)).unwrap_or(usize::MAX);
    begin_attempts(context, PROVIDER, MERCHANT, first, count)?;
    let plan = Plan { first, count, gap: Duration::from_secs(1) / rate, began: Instant::now() + Duration::from_millis(200) };
    let began_at = context.now() + TimeDelta::milliseconds(200);
    let next = AtomicUsize::new(0);
    let senders = usize::from(args.connections);
    let answers: Vec<Vec<Option<u64>>> = thread::scope(|scope| {
        let senders: Vec<_> = (0..senders).map(|_| scope.spawn(|| send_all(server, context, &plan, &next))).collect();
        senders.into_iter().map(|sender| sender.join().unwrap_or_default()).collect()
    });
    let times: Vec<u64> = answers.iter().flatten().copied().flatten().collect();
    let accepted = times.len();
    let (posted, drained_after) = wait_for_ledger(context, &plan, began_at, accepted)?;
    let committed = Times::of(times);
    let held = accepted == count && committed.p99 < LIMIT_US;
    let unposted = accepted.saturating_sub(posted.len());
    let drained_after_ms = drained_after.as_millis();
    Ok(Step {
        rate,
        seconds: args.seconds,
        sent: count,
        accepted,
        held,
        committed_us: committed,
        posted_us: Times::of(posted),
        unposted,
        drained_after_ms,
    })
}

/// When each callback is to be sent.
struct Plan {
    first: usize,
    count: usize,
    gap: Duration,
    began: Instant,
}

impl Plan {
    fn offset(&self, index: usize) -> Duration {
        self.gap * u32::try_from(index).unwrap_or(u32::MAX)
    }
}

/// Sends one callback after the other, each at its moment or as soon after it as this sender is free; returns how long after
/// its moment each was answered, nothing for one that was not accepted.
fn send_all(server: &Server, context: &Context, plan: &Plan, next: &AtomicUsize) -> Vec<Option<u64>> {
    let mut times = Vec::new();
    let mut connection: Option<Connection> = None;
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        if index >= plan.count {
            return times;
        }
        let planned = plan.began + plan.offset(index);
        thread::sleep(planned.saturating_duration_since(Instant::now()));
        let request = request(server, plan.first + index, context.now().and_utc().timestamp());
        let answer = match connection.take() {
            Some(open) => open.send(&request),
            None => Connection::open(&server.host).and_then(|new| new.send(&request)),
        };
        let accepted = match answer {
            Ok((status, open)) => {
                connection = Some(open);
                status == 200
            }
            Err(error) => {
                log::warn!("callback {index}: {error}");
                false
            }
        };
        times.push(accepted.then(|| u64::try_from(planned.elapsed().as_micros()).unwrap_or(u64::MAX)));
    }
}

/// One connection of a sender.
struct Connection(BufReader<TcpStream>);

impl Connection {
    fn open(host: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(host)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends a request and reads the whole answer; returns its status.
    fn send(mut self, request: &[u8]) -> std::io::Result<(u16, Self)> {
        self.0.get_mut().write_all(request)?;
        let (mut status, mut length, mut line) = (0, 0, String::new());
        loop {
            line.clear();
            if self.0.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            let text = line.trim_end().to_ascii_lowercase();
            if let Some(rest) = text.strip_prefix("http/1.1 ") {
                status = rest.get(..3).and_then(|code| code.parse().ok()).unwrap_or(0);
            } else if let Some(rest) = text.strip_prefix("content-length: ") {
                length = rest.parse().unwrap_or(0);
            } else if text.is_empty() {
                break;
            }
        }
        std::io::copy(&mut self.0.by_ref().take(length), &mut std::io::sink())?;
        Ok((status, self))
    }
}

/// A signed callback: a payment of one attempt has succeeded.
fn request(server: &Server, number: usize, now: i64) -> Vec<u8> {
    let cents = 1_000 + number % 9_000;
    let body = json!({
        "id": format!("evt_bench_{number}"), "object": "event", "type": "payment_intent.succeeded", "created": now, "livemode": false,
        "data": { "object": {
            "id": format!("pi_bench_{number}"), "object": "payment_intent", "status": "succeeded", "amount": cents, "amount_received": cents,
            "currency": "usd", "created": now, "payment_method_types": ["card"], "latest_charge": format!("ch_bench_{number}"),
            "metadata": { "token": attempt_token(number) },
        } },
    });
    let body = body.to_string();
    let head = format!(
        "POST /callbacks/{PROVIDER} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nstripe-signature: t={now},v1={}\r\n\r\n",
        server.host,
        body.len(),
        mark(now, &body)
    );
    [head.as_bytes(), body.as_bytes()].concat()
}

fn mark(now: i64, body: &str) -> String {
    // A key of any length is one for HMAC: the error cannot happen, and an empty mark fits nothing.
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()) else { return String::new() };
    data_encoding::HEXLOWER.encode(&mac.chain_update(format!("{now}.{body}")).finalize().into_bytes())
}

/// Waits until everything that was accepted is posted; returns how long after its moment each was, and when the last one.
fn wait_for_ledger(context: &Context, plan: &Plan, began_at: NaiveDateTime, accepted: usize) -> Result<(Vec<u64>, Duration), Failure> {
    let last = plan.began + plan.offset(plan.count.saturating_sub(1));
    let mut rows = posted_at(context, PROVIDER, plan.first, plan.count)?;
    while rows.len() < accepted && last.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(50));
        rows = posted_at(context, PROVIDER, plan.first, plan.count)?;
    }
    let drained_after = last.elapsed();
    let since_planned = |(number, at): (usize, NaiveDateTime)| {
        let planned = TimeDelta::from_std(plan.offset(number.saturating_sub(plan.first))).unwrap_or_default();
        u64::try_from((at - began_at - planned).num_microseconds().unwrap_or(0)).unwrap_or(0)
    };
    Ok((rows.into_iter().map(since_planned).collect(), drained_after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_sorted_times() {
        let times = Times::of((1..=1_000).rev().collect());
        assert_eq!((times.p50, times.p90, times.p99, times.max), (501, 901, 991, 1_000));
        assert_eq!(Times::of(Vec::new()).max, 0);
    }

    #[test]
    fn a_callback_is_what_the_reader_of_stripe_understands() {
        let settings = crate::config::ProviderSettings {
            secret_key: Some(crate::config::Secret::new("sk")),
            webhook_secrets: vec![crate::config::Secret::new(SECRET)],
            merchant: MERCHANT.to_owned(),
            ..crate::config::ProviderSettings::default()
        };
        let book = crate::providers::open(&[settings]);
        let provider = book.first().expect("one");
        let now = 1_781_524_800;
        let body = "{}";
        assert_eq!(provider.verify(body.as_bytes(), Some(&format!("t={now},v1={}", mark(now, body))), now), Ok(()));
    }
}
