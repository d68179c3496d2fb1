//! The sandbox's memory: what there is, the names that are given, and what changed since it was last written down.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::faults::Faults;
use super::journal::{Journal, Record};
use super::model::{Dispute, Event, Method, Movement, Payment, PaymentStatus, Payout, Refund, Remembered, Session, SessionStatus, SetupIntent};
use crate::clock::Clock;

/// The version that events say they are of.
pub(super) const API_VERSION: &str = "2024-06-20";
/// Sessions and payments that are kept; more are refused.
pub(super) const MOST_THINGS: usize = 50_000;
/// Events that are kept; the oldest go.
const MOST_EVENTS: usize = 100_000;
/// Idempotency keys that are kept; the oldest go.
const MOST_KEYS: usize = 50_000;
/// How long an idempotency key is kept, in seconds: as long as Stripe promises.
const KEY_LIFE: i64 = 24 * 3600;

/// Something with a name.
pub(super) trait Named {
    fn id(&self) -> &str;
}

macro_rules! named {
    ($($kind:ty),*) => { $(impl Named for $kind { fn id(&self) -> &str { &self.id } })* };
}
named!(Session, Payment, Method, SetupIntent, Refund, Dispute, Movement, Payout, Event);

/// Things by name, in the order in which they came.
#[derive(Debug)]
pub(super) struct Shelf<T> {
    things: HashMap<String, T>,
    order: VecDeque<String>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { things: HashMap::new(), order: VecDeque::new() }
    }
}

impl<T: Named> Shelf<T> {
    pub fn get(&self, id: &str) -> Option<&T> {
        self.things.get(id)
    }

    pub fn put(&mut self, thing: T) {
        let id = thing.id().to_owned();
        if self.things.insert(id.clone(), thing).is_none() {
            self.order.push_back(id);
        }
    }

    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// From the newest to the oldest.
    pub fn newest(&self) -> impl Iterator<Item = &T> {
        self.order.iter().rev().filter_map(|id| self.things.get(id))
    }

    fn drop_oldest(&mut self) -> Option<T> {
        self.order.pop_front().and_then(|id| self.things.remove(&id))
    }
}

/// Something that happens by itself later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Timer {
    /// A bank debit is through.
    Settle(String),
    /// A refund fails.
    FailRefund(String),
}

#[derive(Debug)]
pub(super) struct State {
    clock: Clock,
    seed: u64,
    count: u64,
    journal: Option<Journal>,
    unsaved: Vec<Record>,
    outgoing: Vec<Event>,
    broken: Option<String>,
    pub faults: Faults,
    pub sessions: Shelf<Session>,
    pub payments: Shelf<Payment>,
    pub methods: Shelf<Method>,
    pub setups: Shelf<SetupIntent>,
    pub refunds: Shelf<Refund>,
    pub disputes: Shelf<Dispute>,
    pub movements: Shelf<Movement>,
    pub payouts: Shelf<Payout>,
    pub events: Shelf<Event>,
    undelivered: BTreeSet<String>,
    keys: HashMap<String, Remembered>,
    key_order: VecDeque<String>,
    last_created: HashMap<String, i64>,
    open_until: BTreeSet<(i64, String)>,
    timers: Vec<(Instant, Timer)>,
}

impl State {
    /// Empty, or as the file left it.
    ///
    /// # Errors
    /// When the file cannot be read or is not a sandbox's.
    pub fn open(clock: Clock, seed: Option<u64>, faults: Faults, file: Option<&Path>) -> std::io::Result<Self> {
        let (journal, records) = match file.map(Journal::open).transpose()? {
            Some((journal, records)) => (Some(journal), records),
            None => (None, Vec::new()),
        };
        let mut state = Self {
            clock,
            seed: seed.unwrap_or_else(rand::random),
            count: 0,
            journal,
            unsaved: Vec::new(),
            outgoing: Vec::new(),
            broken: None,
            faults,
            sessions: Shelf::default(),
            payments: Shelf::default(),
            methods: Shelf::default(),
            setups: Shelf::default(),
            refunds: Shelf::default(),
            disputes: Shelf::default(),
            movements: Shelf::default(),
            payouts: Shelf::default(),
            events: Shelf::default(),
            undelivered: BTreeSet::new(),
            keys: HashMap::new(),
            key_order: VecDeque::new(),
            last_created: HashMap::new(),
            open_until: BTreeSet::new(),
            timers: Vec::new(),
        };
        if records.is_empty() {
            state.unsaved.push(Record::Seed(state.seed));
        }
        for record in records {
            state.take(record);
        }
        state.resume();
        Ok(state)
    }

    /// Puts a thing where it belongs: from the journal, or just made.
    fn take(&mut self, record: Record) {
        match record {
            Record::Seed(seed) => self.seed = seed,
            Record::Count(count) => self.count = count,
            Record::Session(session) => {
                if session.status == SessionStatus::Open {
                    self.open_until.insert((session.expires_at, session.id.clone()));
                } else {
                    self.open_until.remove(&(session.expires_at, session.id.clone()));
                }
                self.sessions.put(session);
            }
            Record::Payment(payment) => self.payments.put(payment),
            Record::Method(method) => self.methods.put(method),
            Record::SetupIntent(setup) => self.setups.put(setup),
            Record::Refund(refund) => self.refunds.put(refund),
            Record::Dispute(dispute) => self.disputes.put(dispute),
            Record::Movement(movement) => self.movements.put(movement),
            Record::Payout(payout) => self.payouts.put(payout),
            Record::Event(event) => self.take_event(event),
            Record::Remembered(remembered) => self.take_key(remembered),
            Record::Delivered(id) => {
                self.undelivered.remove(&id);
            }
        }
    }

    fn take_event(&mut self, event: Event) {
        self.last_created.insert(event.group.clone(), event.created);
        if !event.lost {
            self.undelivered.insert(event.id.clone());
        }
        self.events.put(event);
        while self.events.len() > MOST_EVENTS {
            if let Some(oldest) = self.events.drop_oldest() {
                self.undelivered.remove(&oldest.id);
            }
        }
    }

    fn take_key(&mut self, remembered: Remembered) {
        let key = remembered.key.clone();
        if self.keys.insert(key.clone(), remembered).is_none() {
            self.key_order.push_back(key);
        }
        while self.key_order.len() > MOST_KEYS {
            if let Some(oldest) = self.key_order.pop_front() {
                self.keys.remove(&oldest);
            }
        }
    }

    /// What was on its way when the program ended goes on.
    fn resume(&mut self) {
        let waiting = self.payments.newest().filter(|payment| payment.status == PaymentStatus::Processing);
        let timers: Vec<Timer> = waiting.map(|payment| Timer::Settle(payment.id.clone())).collect();
        for timer in timers {
            self.start_timer(timer);
        }
        self.outgoing = self.undelivered.iter().filter_map(|id| self.events.get(id)).cloned().collect();
        self.outgoing.sort_by(|one, other| (one.made_at, &one.group, one.created).cmp(&(other.made_at, &other.group, other.created)));
    }

    /// Now, in seconds since 1970.
    pub fn now(&self) -> i64 {
        self.clock.now().and_utc().timestamp()
    }

    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// A new name: the same seed gives the same names in the same order.
    pub fn name(&mut self, prefix: &str) -> String {
        const LETTERS: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
        let letter = |byte: &u8| char::from(LETTERS.get(usize::from(byte % 62)).copied().unwrap_or(b'0'));
        let hash = self.hash();
        format!("{prefix}{}", hash.iter().take(24).map(letter).collect::<String>())
    }

    /// A number that nobody foresees and that the seed decides.
    pub fn luck(&mut self) -> u64 {
        self.hash().iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
    }

    fn hash(&mut self) -> [u8; 32] {
        self.count += 1;
        Sha256::digest(format!("{}:{}", self.seed, self.count)).into()
    }

    /// Keeps a thing as it is now.
    pub fn save(&mut self, record: Record) {
        self.take(record.clone());
        self.unsaved.push(record);
    }

    /// Says that something happened. Events of one thing bear times that grow, unless seconds may be the same.
    pub fn emit(&mut self, kind: &str, group: &str, object: Value) {
        let now = self.now();
        let step = i64::from(!self.faults.same_second);
        let created = self.last_created.get(group).map_or(now, |last| now.max(last + step));
        let id = self.name("evt_1");
        let event = json!({
            "id": id, "object": "event", "api_version": API_VERSION, "created": created, "data": { "object": object }, "livemode": false,
            "pending_webhooks": 1, "request": { "id": null, "idempotency_key": null }, "type": kind,
        });
        let lost = self.loses(kind);
        let event = Event { id, kind: kind.to_owned(), created, group: group.to_owned(), made_at: now, body: event.to_string(), lost };
        if !lost {
            self.outgoing.push(event.clone());
        }
        self.save(Record::Event(event));
    }

    fn loses(&mut self, kind: &str) -> bool {
        if !self.faults.concern(kind) {
            return false;
        }
        if self.faults.lose_next > 0 {
            self.faults.lose_next -= 1;
            return true;
        }
        self.faults.lose_permille > 0 && self.luck() % 1000 < u64::from(self.faults.lose_permille)
    }

    /// Delivers an event that is listed (again): as its own page at a provider can.
    pub fn send_again(&mut self, id: &str) -> bool {
        let found = self.events.get(id).cloned();
        found.is_some_and(|event| {
            self.outgoing.push(event);
            true
        })
    }

    pub fn start_timer(&mut self, timer: Timer) {
        let wait = match timer {
            Timer::Settle(_) => self.faults.bank_settles_ms,
            Timer::FailRefund(_) => self.faults.refunds_fail_ms,
        };
        if let Some(ms) = wait {
            self.timers.push((Instant::now() + Duration::from_millis(ms), timer));
        }
    }

    /// Timers that are through.
    pub fn due_timers(&mut self) -> Vec<Timer> {
        let now = Instant::now();
        let (due, waiting) = std::mem::take(&mut self.timers).into_iter().partition(|(at, _)| *at <= now);
        self.timers = waiting;
        let due: Vec<(Instant, Timer)> = due;
        due.into_iter().map(|(_, timer)| timer).collect()
    }

    /// Sessions whose time is over.
    pub fn overdue_sessions(&self) -> Vec<String> {
        let now = self.now();
        self.open_until.iter().take_while(|(until, _)| *until <= now).map(|(_, id)| id.clone()).collect()
    }

    /// The answer that was given to this key, while it is remembered.
    pub fn remembered(&self, key: &str) -> Option<&Remembered> {
        self.keys.get(key).filter(|remembered| remembered.at + KEY_LIFE > self.now())
    }

    /// An event is through.
    pub fn delivered(&mut self, id: &str) {
        if self.undelivered.contains(id) {
            self.save(Record::Delivered(id.to_owned()));
        }
    }

    /// Writes down what changed and gives the events to deliver. After a failure nothing is answered any more: memory and
    /// file differ.
    ///
    /// # Errors
    /// Why it cannot be written.
    pub fn commit(&mut self) -> Result<Vec<Event>, String> {
        if let Some(broken) = &self.broken {
            return Err(broken.clone());
        }
        if let Some(journal) = &mut self.journal
            && !self.unsaved.is_empty()
        {
            let durable = self.unsaved.iter().any(|record| !matches!(record, Record::Delivered(_)));
            self.unsaved.push(Record::Count(self.count));
            if let Err(error) = journal.add(&self.unsaved, durable) {
                let broken = format!("the state cannot be written: {error}");
                self.broken = Some(broken.clone());
                return Err(broken);
            }
        }
        self.unsaved.clear();
        Ok(std::mem::take(&mut self.outgoing))
    }
}
