//! The town of the bank test, what was acknowledged in it, and what must be true at the end.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use aquabills::actions::adjust::{Adjustment, adjust};
use aquabills::actions::inbox::{Inbox, settle};
use aquabills::actions::overcharges::cases;
use aquabills::actions::overcharges::scan::scan_all;
use aquabills::actions::stop::Stop;
use aquabills::clock::Clock;
use aquabills::db::ledger::TransactionRow;
use aquabills::db::{billing, customers, ledger};
use aquabills::domain::ids::AccountId;
use aquabills::domain::money::Money;
use aquabills::domain::overcharges::Cause;

use crate::support::plain_provider::{Plain, waiting};
use crate::support::{self, Town};

/// Accounts with a service, that are paid for and billed.
pub const OPEN: usize = 24;
/// Accounts that only pay each other.
pub const CLOSED: usize = 8;
/// What the closed accounts owe together, in cents.
pub const CLOSED_TOTAL: i64 = 1_000_000;
/// Runs of a test at most: there is a month's read for each.
pub const MONTHS: usize = 28;

/// A write that was acknowledged.
#[derive(Debug, Clone)]
pub struct Acknowledged {
    pub account: usize,
    pub seq: i64,
    pub cents: i64,
}

/// What became of the bank.
#[derive(Default)]
pub struct Counts {
    pub writes: AtomicU64,
    pub transfers: AtomicU64,
    pub refused: AtomicU64,
    pub deliveries: AtomicU64,
    pub applied: AtomicU64,
    pub reads: AtomicU64,
    pub runs: AtomicU64,
    pub bills: AtomicU64,
}

pub struct Bank {
    pub town: Town,
    pub inbox: Inbox,
    pub ids: Vec<AccountId>,
    pub stop: AtomicBool,
    pub counts: Counts,
    /// What writers by hand were told.
    pub told: Mutex<Vec<Acknowledged>>,
    /// What the events that were delivered come to, by account, in cents.
    pub events: Mutex<BTreeMap<usize, i64>>,
    /// References of writes that were refused.
    pub refused: Mutex<Vec<String>>,
    /// What a reader saw that must not be.
    pub anomalies: Mutex<Vec<String>>,
}

/// Ends writers also when the thread that lets them run panics: their scope would wait for ever otherwise.
pub struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

pub fn number(account: usize) -> String {
    if account < OPEN { format!("A{account:02}") } else { format!("C{:02}", account - OPEN) }
}

pub fn read_day(month: usize) -> String {
    format!("{}-{:02}-01", 2024 + month / 12, month % 12 + 1)
}

pub fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Bank {
    pub fn open(town: Town) -> Self {
        let mut town = town.lenient();
        town.configure(|config| {
            config.runs.chunk_accounts = 5;
            config.runs.workers = 2;
            config.gates.total_change_percent = 1_000_000;
            config.gates.average_change_percent = 1_000_000;
            config.gates.risen_share_percent = 100;
            config.limits.default.high_floor_units = 1_000_000;
            config.limits.default.segment_total_cents = 1_000_000_000;
        });
        town.tariff(support::TARIFF).expect("the tariff is accepted");
        let cycle = |account: usize| if account < OPEN { "main" } else { "closed" };
        let rows: Vec<String> =
            (0..OPEN + CLOSED).map(|account| format!("{},S{account},HOME,M{account},5,{}", number(account), cycle(account))).collect();
        let header = "customer_id,service_id,rate_class,meter_id,register_digits,cycle";
        let report = town.services(&format!("{header}\n{}\n", rows.join("\n"))).expect("the services are read");
        assert_eq!(report.refused, 0, "{:?}", report.first_refusals);
        Plain::at(&mut town);
        // A clock that goes: whoever settles applies what was there when he began, and comes to an end.
        town.context.clock = Clock::System;
        let ids = (0..OPEN + CLOSED).map(|account| {
            let row = town.context.database.read(|conn| customers::account_by_number(conn, &number(account)));
            row.expect("the accounts are read").expect("the account is there").id
        });
        let ids = ids.collect();
        let bank = Self {
            inbox: Inbox::start(&town.context).expect("the inbox opens"),
            ids,
            stop: AtomicBool::new(false),
            counts: Counts::default(),
            told: Mutex::default(),
            events: Mutex::default(),
            refused: Mutex::default(),
            anomalies: Mutex::default(),
            town,
        };
        // The closed accounts begin with debts that go round.
        let cents = CLOSED_TOTAL / i64::try_from(CLOSED).expect("a small number");
        for account in OPEN..OPEN + CLOSED {
            bank.adjust(account, "opening-balance", cents, &format!("opening {account}"));
        }
        bank.read_meters(0);
        bank
    }

    pub fn stop_at_end(&self) -> StopAtEnd<'_> {
        StopAtEnd(&self.stop)
    }

    pub fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Acquire)
    }

    pub fn read_meters(&self, month: usize) {
        let rows: Vec<String> = (0..OPEN).map(|account| format!("M{account},{},{}", read_day(month), month * (account % 9 + 1))).collect();
        let report = self.town.reads(&rows.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!((report.refused, report.held), (0, 0), "{:?}", report.first_refusals);
    }

    pub fn adjust(&self, account: usize, reason: &str, cents: i64, reference: &str) {
        let adjustment = Adjustment {
            account: number(account),
            reason_code: reason.to_owned(),
            amount: Money::from_cents(cents),
            effective_on: self.town.context.today(),
            reference: reference.to_owned(),
            note: "a test".to_owned(),
        };
        let seq = adjust(&self.town.context, &adjustment).expect("the adjustment is posted").account_seq;
        self.tell(account, seq, cents);
    }

    /// Notes that a write was acknowledged.
    pub fn tell(&self, account: usize, seq: i64, cents: i64) {
        count(&self.counts.writes);
        self.told.lock().expect("no writer failed").push(Acknowledged { account, seq, cents });
    }

    /// Notes that a write was refused, as it had to be.
    pub fn tell_refused(&self, reference: &str) {
        count(&self.counts.refused);
        self.refused.lock().expect("no writer failed").push(reference.to_owned());
    }

    /// The last position of each account that somebody was told of.
    pub fn told_so_far(&self) -> BTreeMap<usize, i64> {
        let mut last = BTreeMap::new();
        for told in self.told.lock().expect("no writer failed").iter() {
            let seq = last.entry(told.account).or_insert(0);
            *seq = told.seq.max(*seq);
        }
        last
    }

    /// The end: nothing that a reader saw was wrong, every promise holds, and the model agrees.
    pub fn assert_all_is_well(&self, seed: u64, took: Duration) {
        let settled = settle(&self.town.context, true, &Stop::default()).expect("the inbox is settled");
        let counts = &self.counts;
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        println!(
            "{took:?}: {} writes by hand, {} transfers, {} refused, {} deliveries, {} events applied beside (and {} after), {} bills of {} runs, {} reads",
            of(&counts.writes),
            of(&counts.transfers),
            of(&counts.refused),
            of(&counts.deliveries),
            of(&counts.applied),
            settled.applied,
            of(&counts.bills),
            of(&counts.runs),
            of(&counts.reads)
        );
        println!("begun anew: {}", self.rollbacks());
        let anomalies = self.anomalies.lock().expect("no reader failed");
        assert!(anomalies.is_empty(), "seed {seed}: {anomalies:#?}");
        assert_eq!((settled.failed, waiting(&self.town)), (0, 0), "seed {seed}: every event is applied");
        for (what, counter) in [("writes", &counts.writes), ("transfers", &counts.transfers), ("deliveries", &counts.deliveries)] {
            assert!(of(counter) > 20, "seed {seed}: too few {what} to test anything");
        }
        assert!(of(&counts.bills) > 0 && of(&counts.reads) > 5 && of(&counts.refused) > 10, "seed {seed}: a part of the test did nothing");
        self.assert_model(seed);
        self.town.assert_books_sound();
        // A payment that is received while a run posts its bills may be applied after them: that is found, and nothing else.
        scan_all(&self.town.context, &|_, _| {}).expect("the bills are derived again");
        let cases = cases::list(&self.town.context, false, 0, 100).expect("the cases are read");
        assert!(cases.iter().all(|case| case.row.cause == Cause::LatePayment.as_str()), "{cases:#?}");
    }

    fn assert_model(&self, seed: u64) {
        let every = (AccountId(0), AccountId(i64::MAX));
        let rows = self.town.context.database.read(|conn| ledger::transactions_in_range(conn, every.0, every.1)).expect("the ledger is read");
        let at: HashMap<(AccountId, i64), &TransactionRow> = rows.iter().map(|row| ((row.account_id, row.account_seq), row)).collect();
        let told = self.told.lock().expect("no writer failed");
        let places: HashSet<(usize, i64)> = told.iter().map(|told| (told.account, told.seq)).collect();
        assert_eq!(places.len(), told.len(), "seed {seed}: two writes were told of the same place");
        let mut expected = self.events.lock().expect("no writer failed").clone();
        for write in told.iter() {
            let row = at.get(&(self.ids[write.account], write.seq));
            assert_eq!(row.map(|row| row.amount_cents), Some(write.cents), "seed {seed}: {write:?} was acknowledged and is not in the ledger");
            *expected.entry(write.account).or_default() += write.cents;
        }
        let bills: i64 = rows.iter().filter(|row| row.kind == "bill").map(|_| 1).sum();
        for (account, id) in self.ids.iter().enumerate() {
            let mine = rows.iter().filter(|row| row.account_id == *id);
            let balance = mine.clone().map(|row| row.amount_cents).sum::<i64>();
            let billed = mine.filter(|row| row.kind == "bill").map(|row| row.amount_cents).sum::<i64>();
            let expected = expected.get(&account).copied().unwrap_or(0) + billed;
            assert_eq!(balance, expected, "seed {seed}: account {}: the acknowledged writes make another balance", number(account));
        }
        let refused = self.refused.lock().expect("no writer failed");
        let sources: HashSet<&str> = rows.iter().filter_map(|row| row.source.rsplit_once(':').map(|(_, reference)| reference)).collect();
        assert!(refused.iter().all(|reference| !sources.contains(reference.as_str())), "seed {seed}: something that was refused is in the ledger");
        self.assert_bills_follow(seed, &at, bills);
    }

    /// P1 told a second time: each bill opens with the balance of the row before it.
    fn assert_bills_follow(&self, seed: u64, at: &HashMap<(AccountId, i64), &TransactionRow>, posted: i64) {
        let bills = self.town.context.database.read(|conn| billing::bills_in_range(conn, AccountId(0), AccountId(i64::MAX)));
        let bills = bills.expect("the bills are read");
        assert_eq!(i64::try_from(bills.len()), Ok(posted), "seed {seed}");
        for bill in bills {
            let before = at.get(&(bill.account_id, bill.account_seq - 1)).map_or(0, |row| row.balance_after_cents);
            assert_eq!(bill.opening_balance_cents, before, "seed {seed}: the bill of account {} at {}", bill.account_id, bill.account_seq);
        }
    }

    /// How many transactions the server rolled back: those that lost a race and were begun anew, and what was refused.
    fn rollbacks(&self) -> String {
        match self.town.context.database.backend() {
            aquabills::db::Backend::Sqlite => "none: SQLite has one writer at a time, who waits for his turn".to_owned(),
            aquabills::db::Backend::Postgres => {
                let sql = "SELECT xact_rollback || ' rollbacks, ' || deadlocks || ' deadlocks, ' || xact_commit || ' commits' AS line \
                           FROM pg_stat_database WHERE datname = current_database()";
                self.town.context.database.read(|conn| Ok::<_, diesel::result::Error>(support::lines(conn, sql))).expect("statistics").join("")
            }
        }
    }
}
