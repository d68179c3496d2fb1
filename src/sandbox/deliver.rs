//! Callbacks: each event to each endpoint, signed, again and again until it is accepted, and wrong on demand.
//!
//! Without faults, events of one thing come one after the other, in their order. Pauses between attempts have full jitter:
//! a second at first, doubling, a quarter of an hour at most, for 72 hours.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use sha2::{Digest, Sha256};
use ureq::Agent;

use super::faults::{Faults, SignatureFault};
use super::model::Event;
use super::sign::sign;
use crate::clock::Clock;

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(900);
/// How long an event is tried, in seconds.
const HORIZON: i64 = 72 * 3600;
/// How long an endpoint may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Deliveries that may wait; more are dropped (and stay listed as events).
const MOST_WAITING: usize = 500_000;
/// Attempts that are remembered for whoever asks.
const MOST_LOGGED: usize = 20_000;

/// One event on its way to one endpoint.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    event: Arc<Event>,
    endpoint: Arc<str>,
    copy: u32,
    attempt: u32,
    /// Deliveries in one lane go one after the other; without one, whenever there is a worker.
    lane: Option<String>,
}

/// One attempt, as it went.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Attempt {
    pub number: u64,
    pub event: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub endpoint: String,
    /// Which of the duplicates.
    pub copy: u32,
    #[serde(rename = "attempt")]
    pub tried: u32,
    pub signature: SignatureFault,
    /// What the endpoint answered; none when it did not.
    pub status: Option<u16>,
    pub error: Option<String>,
    pub latency_us: u64,
}

impl Attempt {
    pub fn accepted(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// How many deliveries are where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    /// They wait for their time, or are on their way now.
    pub pending: usize,
    /// They wait for a release.
    pub held: usize,
    /// They were accepted.
    pub delivered: u64,
    /// Attempts that were not.
    pub failed_attempts: u64,
    /// They are given up after 72 hours.
    pub given_up: u64,
    /// They did not fit.
    pub dropped: u64,
}

/// When a delivery may go, and its place among those of the same moment.
type Turn = (Instant, u64);

#[derive(Debug)]
struct Inner {
    faults: Faults,
    endpoints: Vec<Arc<str>>,
    waiting: BTreeMap<Turn, Delivery>,
    /// Deliveries whose time has come and whose lane is taken.
    parked: HashMap<String, VecDeque<(Turn, Delivery)>>,
    parked_count: usize,
    held: Vec<Delivery>,
    busy: HashSet<String>,
    flying: usize,
    /// Deliveries of an event that are not through.
    left: HashMap<String, usize>,
    log: VecDeque<Attempt>,
    counts: Counts,
    seed: u64,
    drawn: u64,
    taken: u64,
    stopped: bool,
}

/// Whoever brings events to endpoints.
#[derive(Debug)]
pub(super) struct Post {
    inner: Mutex<Inner>,
    wake: Condvar,
    secret: String,
    clock: Clock,
    first_pause: Duration,
    agent: Agent,
}

impl Post {
    pub fn new(endpoints: &[String], secret: &str, clock: Clock, seed: u64, first_pause: Duration, faults: Faults) -> Self {
        let config = Agent::config_builder().timeout_global(Some(PATIENCE)).http_status_as_error(false).max_redirects(0).proxy(None);
        let inner = Inner {
            faults,
            endpoints: endpoints.iter().map(|url| Arc::from(url.as_str())).collect(),
            waiting: BTreeMap::new(),
            parked: HashMap::new(),
            parked_count: 0,
            held: Vec::new(),
            busy: HashSet::new(),
            flying: 0,
            left: HashMap::new(),
            log: VecDeque::new(),
            counts: Counts::default(),
            seed,
            drawn: 0,
            taken: 0,
            stopped: false,
        };
        let agent = config.max_idle_connections_per_host(64).user_agent("Stripe/1.0 (AquaBills sandbox)").build().into();
        Self { inner: Mutex::new(inner), wake: Condvar::new(), secret: secret.to_owned(), clock, first_pause, agent }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_faults(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    pub fn endpoints(&self) -> Vec<String> {
        self.lock().endpoints.iter().map(ToString::to_string).collect()
    }

    /// New events go there from now on.
    pub fn set_endpoints(&self, urls: &[String]) {
        self.lock().endpoints = urls.iter().map(|url| Arc::from(url.as_str())).collect();
    }

    /// Takes events to be delivered. Gives the names of those that nobody waits for.
    pub fn take(&self, events: Vec<Event>) -> Vec<String> {
        let mut inner = self.lock();
        let mut nobody = Vec::new();
        for event in events {
            if inner.endpoints.is_empty() {
                nobody.push(event.id);
            } else {
                inner.take(Arc::new(event));
            }
        }
        self.wake.notify_all();
        nobody
    }

    /// Lets go of what is held: the named first, in this order, then the others in theirs or (when they are shuffled) in any.
    pub fn release(&self, order: &[String]) -> usize {
        let released = self.lock().release(order, false);
        self.wake.notify_all();
        released
    }

    /// The next delivery whose time has come; waits for it. None when all is over.
    pub fn next(&self) -> Option<Delivery> {
        let mut inner = self.lock();
        loop {
            if inner.stopped {
                return None;
            }
            let now = Instant::now();
            if let Some(delivery) = inner.due(now) {
                return Some(delivery);
            }
            let soonest = inner.waiting.keys().next().map(|(due, _)| *due);
            let pause = soonest.map_or(Duration::from_secs(1), |due| due.saturating_duration_since(now));
            inner = self.wake.wait_timeout(inner, pause.max(Duration::from_millis(1))).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Brings it there. The name of the event, when it is through with this.
    pub fn bring(&self, delivery: Delivery) -> Option<String> {
        let fault = {
            let inner = self.lock();
            if inner.faults.concern(&delivery.event.kind) { inner.faults.signature } else { SignatureFault::Good }
        };
        let (header, body) = sign(&self.secret, &delivery.event.body, self.clock.now().and_utc().timestamp(), fault);
        let request = self.agent.post(&*delivery.endpoint).header("Content-Type", "application/json; charset=utf-8");
        let request = if let Some(header) = header { request.header("Stripe-Signature", header) } else { request };
        let begun = Instant::now();
        let answered = request.send(body.as_str());
        let latency_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        let (status, error) = match answered {
            // The body is read so that the connection can be used again.
            Ok(mut response) => {
                (Some(response.status().as_u16()), response.body_mut().with_config().limit(65_536).read_to_vec().err().map(|e| e.to_string()))
            }
            Err(error) => (None, Some(error.to_string())),
        };
        let attempt = Attempt {
            number: 0,
            event: delivery.event.id.clone(),
            kind: delivery.event.kind.clone(),
            endpoint: delivery.endpoint.to_string(),
            copy: delivery.copy,
            tried: delivery.attempt,
            signature: fault,
            status,
            error,
            latency_us,
        };
        let too_late = self.clock.now().and_utc().timestamp() > delivery.event.made_at + HORIZON;
        let through = self.lock().done(delivery, attempt, too_late, self.first_pause);
        self.wake.notify_all();
        through
    }

    pub fn stop(&self) {
        self.lock().stopped = true;
        self.wake.notify_all();
    }

    pub fn counts(&self) -> Counts {
        let inner = self.lock();
        Counts { pending: inner.waiting.len() + inner.parked_count + inner.flying, held: inner.held.len(), ..inner.counts }
    }

    /// Attempts, the newest first, and the latencies of all that were accepted, sorted.
    pub fn log(&self, event: Option<&str>, limit: usize) -> (Vec<Attempt>, Vec<u64>) {
        let inner = self.lock();
        let mut latencies: Vec<u64> = inner.log.iter().filter(|attempt| attempt.accepted()).map(|attempt| attempt.latency_us).collect();
        latencies.sort_unstable();
        let wanted = inner.log.iter().rev().filter(|attempt| event.is_none_or(|id| attempt.event == id));
        (wanted.take(limit).cloned().collect(), latencies)
    }

    /// Forgets attempts and counts, not deliveries.
    pub fn forget_log(&self) {
        let mut inner = self.lock();
        inner.log.clear();
        inner.counts = Counts::default();
    }
}

impl Inner {
    /// A number that nobody foresees and that the seed decides.
    fn luck(&mut self) -> u64 {
        self.drawn += 1;
        let digest = Sha256::digest(format!("{}:post:{}", self.seed, self.drawn));
        digest.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
    }

    fn take(&mut self, event: Arc<Event>) {
        let copies = if self.faults.concern(&event.kind) { self.faults.duplicates } else { 1 };
        for endpoint in self.endpoints.clone() {
            for copy in 1..=copies {
                if self.waiting.len() + self.parked_count + self.held.len() >= MOST_WAITING {
                    self.counts.dropped += 1;
                    continue;
                }
                *self.left.entry(event.id.clone()).or_default() += 1;
                let lane = Some(format!("{endpoint} {}", event.group));
                let delivery = Delivery { event: Arc::clone(&event), endpoint: Arc::clone(&endpoint), copy, attempt: 1, lane };
                if self.faults.hold { self.held.push(delivery) } else { self.wait(delivery) }
            }
        }
        if self.faults.burst > 0 && self.held.len() >= self.faults.burst {
            self.release(&[], true);
        }
    }

    /// With a delay, deliveries overtake each other.
    fn wait(&mut self, delivery: Delivery) {
        let [least, most] = self.faults.delay_ms;
        let delay = if most == 0 { 0 } else { least + self.luck() % (most - least + 1) };
        self.wait_for(delivery, Duration::from_millis(delay));
    }

    fn wait_for(&mut self, delivery: Delivery, pause: Duration) {
        self.taken += 1;
        self.waiting.insert((Instant::now() + pause, self.taken), delivery);
    }

    fn release(&mut self, order: &[String], burst: bool) -> usize {
        let mut held = std::mem::take(&mut self.held);
        if self.faults.shuffle {
            for last in (1..held.len()).rev() {
                let bound = u64::try_from(last + 1).unwrap_or(1);
                let other = usize::try_from(self.luck() % bound).unwrap_or(0);
                held.swap(last, other);
            }
        }
        let places: HashMap<&str, usize> = order.iter().enumerate().map(|(place, id)| (id.as_str(), place)).collect();
        held.sort_by_key(|delivery| places.get(delivery.event.id.as_str()).copied().unwrap_or(order.len()));
        let count = held.len();
        let at = Instant::now();
        for mut delivery in held {
            delivery.lane = if burst { None } else { Some(format!("{} released", delivery.endpoint)) };
            self.taken += 1;
            self.waiting.insert((at, self.taken), delivery);
        }
        count
    }

    fn due(&mut self, now: Instant) -> Option<Delivery> {
        while let Some(first) = self.waiting.first_entry().filter(|first| first.key().0 <= now) {
            let (turn, delivery) = first.remove_entry();
            match &delivery.lane {
                Some(lane) if self.busy.contains(lane) => {
                    self.parked_count += 1;
                    self.parked.entry(lane.clone()).or_default().push_back((turn, delivery));
                }
                lane => {
                    self.busy.extend(lane.clone());
                    self.flying += 1;
                    return Some(delivery);
                }
            }
        }
        None
    }

    /// A lane is free: whoever waits for it longest has its turn again.
    fn free(&mut self, lane: &str) {
        self.busy.remove(lane);
        let Some(queue) = self.parked.get_mut(lane) else { return };
        if let Some((turn, delivery)) = queue.pop_front() {
            self.parked_count -= 1;
            self.waiting.insert(turn, delivery);
        }
        if queue.is_empty() {
            self.parked.remove(lane);
        }
    }

    fn done(&mut self, mut delivery: Delivery, mut attempt: Attempt, too_late: bool, first_pause: Duration) -> Option<String> {
        self.flying -= 1;
        if let Some(lane) = &delivery.lane {
            self.free(lane);
        }
        let accepted = attempt.accepted();
        self.taken += 1;
        attempt.number = self.taken;
        self.log.push_back(attempt);
        while self.log.len() > MOST_LOGGED {
            self.log.pop_front();
        }
        if accepted {
            self.counts.delivered += 1;
        } else {
            self.counts.failed_attempts += 1;
        }
        if !accepted && !too_late {
            let bound = first_pause.saturating_mul(1 << (delivery.attempt - 1).min(20)).min(LONGEST_PAUSE);
            let bound = u64::try_from(bound.as_millis()).unwrap_or(0);
            let pause = Duration::from_millis(self.luck() % (bound + 1));
            delivery.attempt += 1;
            self.wait_for(delivery, pause);
            return None;
        }
        if !accepted {
            self.counts.given_up += 1;
        }
        let left = self.left.get_mut(&delivery.event.id)?;
        *left -= 1;
        if *left > 0 {
            return None;
        }
        self.left.remove(&delivery.event.id);
        Some(delivery.event.id.clone())
    }
}
