//! Payments racing bill runs, on both databases: whoever comes first, no bill misses a payment posted before it, every
//! sum holds, and a run that settles too early is caught. The same promises hold over random orders of everything that
//! people do (compared with a model of a few lines), and the checker is shown to see rows that somebody changed.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on must fail loudly")]
#![allow(clippy::print_stdout, reason = "how much was raced and killed is worth reading when a test is looked at")]

mod support;

use std::collections::{BTreeMap, HashMap};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use aquabills::actions::adjust::{Adjustment, adjust};
use aquabills::actions::bill_run::{Fault, RunOptions, RunReport, roll_back_run, run_bills};
use aquabills::actions::import::ImportReport;
use aquabills::actions::import::payments::import_payments;
use aquabills::actions::import::reads::import_reads;
use aquabills::actions::payments::{COUNTER_PROVIDER, FILE_PROVIDER, MERCHANT, NewPayment, post_payment, return_payment, returned_payment_seq};
use aquabills::actions::{ActionError, Context};
use aquabills::clock::Clock;
use aquabills::config::Config;
use aquabills::db::billing::{self, BillRow};
use aquabills::db::ledger::TransactionRow;
use aquabills::db::payments::PaymentRow;
use aquabills::db::{Database, DbConnection, customers, ledger, payments};
use aquabills::domain::ids::{AccountId, RunId};
use aquabills::domain::ledger::{Entry, EntryKind, Tender};
use aquabills::domain::money::Money;
use diesel::RunQueryDsl;
use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use support::{QUIET, Town, on_both, stderr};

const ACCOUNTS: usize = 210;
const WRITERS: u64 = 8;
/// The runs of a race; the first read is of month 0.
const MONTHS: usize = 4;

fn account_number(index: usize) -> String {
    format!("A{index:04}")
}

/// The day that the meters are read in a month.
fn read_day(month: usize) -> String {
    format!("{}-{:02}-01", 2024 + month / 12, month % 12 + 1)
}

/// Small chunks, several workers, and nothing that holds a run: what is tested here is order, not plausibility.
fn hurried(config: &mut Config) {
    config.runs.chunk_accounts = 7;
    config.runs.workers = 4;
    config.gates.total_change_percent = 1_000_000;
    config.gates.average_change_percent = 1_000_000;
    config.gates.risen_share_percent = 100;
    config.limits.default.high_floor_units = 1_000_000;
    config.limits.default.segment_total_cents = 1_000_000_000;
}

/// A town of households and shops whose meters stand at 0 in month 0.
fn busy_town(town: Town, accounts: usize) -> Town {
    let class = |index: usize| if index.is_multiple_of(5) { "SHOP" } else { "HOME" };
    let rows: Vec<String> = (0..accounts).map(|index| format!("{},S{index:04},{},M{index:04}", account_number(index), class(index))).collect();
    let mut town = town.with_services(&rows.iter().map(String::as_str).collect::<Vec<_>>());
    town.configure(hurried);
    read_all(&town, accounts, 0);
    town
}

/// Reads every meter; each account uses another amount each month.
fn read_all(town: &Town, accounts: usize, month: usize) {
    let used = |index: usize| (1..=month).map(|month| (index * 7 + month * 13) % 45).sum::<usize>();
    let rows: Vec<String> = (0..accounts).map(|index| format!("M{index:04},{},{}", read_day(month), used(index))).collect();
    let report = town.reads(&rows.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!((report.refused, report.held), (0, 0), "{:?}", report.first_refusals);
}

fn options<'a>(through: &str, fault: Option<Fault>, progress: &'a (dyn Fn(&str, usize, usize) + Sync)) -> RunOptions<'a> {
    RunOptions { cycle: "all".to_owned(), through: support::day(through), dry_run: false, approve: true, override_gates: None, progress, fault }
}

fn account_id(town: &Town, index: usize) -> AccountId {
    let row = town.context.database.read(|conn| customers::account_by_number(conn, &account_number(index)));
    row.expect("the accounts are read").expect("the account is there").id
}

// --- The ledger derived anew, without the program's own checker ----------------------------------------------------

/// What the tables hold of the ledger.
struct Books {
    rows: Vec<TransactionRow>,
    bills: HashMap<(AccountId, i64), BillRow>,
    payments: Vec<PaymentRow>,
}

fn books(town: &Town) -> Books {
    let (first, last) = (AccountId(0), AccountId(i64::MAX));
    let read = town.context.database.snapshot(|conn| {
        let rows = ledger::transactions_in_range(conn, first, last)?;
        let bills = billing::bills_in_range(conn, first, last)?;
        Ok::<_, ActionError>((rows, bills, payments::in_range(conn, first, last)?))
    });
    let (rows, bills, payments) = read.expect("the books are read");
    Books { rows, bills: bills.into_iter().map(|bill| ((bill.account_id, bill.account_seq), bill)).collect(), payments }
}

/// Walks each account's ledger from its first row and fails unless each bill says what the walk has seen so far:
/// this is P1 told a second time, so that a mistake in `check_ledger` does not hide one in the run.
fn assert_bills_follow(town: &Town) -> Books {
    let books = books(town);
    let mut bills_seen = 0;
    for account in books.rows.chunk_by(|a, b| a.account_id == b.account_id) {
        let (mut balance, mut previous, mut paid, mut other) = (0, 0, 0, 0);
        let mut standing: Vec<i64> = Vec::new();
        for (row, seq) in account.iter().zip(1_i64..) {
            let place = format!("account {} position {}", row.account_id, row.account_seq);
            assert_eq!(row.account_seq, seq, "{place}: a gap");
            if row.kind == "bill" {
                let bill = books.bills.get(&(row.account_id, seq)).unwrap_or_else(|| panic!("{place}: the ledger bills what no bill says"));
                let said = (bill.opening_balance_cents, bill.previous_balance_cents, bill.payments_cents, bill.adjustments_cents);
                assert_eq!(said, (balance, previous, paid, other), "{place}: opening, previous, payments, adjustments");
                assert_eq!(bill.last_payment_seq, standing.last().copied(), "{place}: the last payment deducted");
                assert_eq!((bill.total_cents, bill.amount_due_cents), (row.amount_cents, balance + row.amount_cents), "{place}: charge, due");
                (previous, paid, other) = (row.balance_after_cents, 0, 0);
                bills_seen += 1;
            } else if row.kind == "payment" {
                paid += row.amount_cents;
                standing.push(seq);
            } else if row.kind == "payment_reversal" {
                paid += row.amount_cents;
                let returned = returned_payment_seq(&row.source).expect("a return names its payment");
                standing.retain(|payment| *payment != returned);
            } else {
                other += row.amount_cents;
            }
            balance += row.amount_cents;
            assert_eq!(row.balance_after_cents, balance, "{place}: the balance");
        }
    }
    assert_eq!(bills_seen, books.bills.len(), "every bill is in the ledger");
    let of_kind = |kind: &str| books.rows.iter().filter(|row| row.kind == kind).count();
    assert_eq!(of_kind("payment"), books.payments.len(), "every payment is in the ledger once");
    assert_eq!(of_kind("payment_reversal"), books.payments.iter().filter(|row| row.returned_seq.is_some()).count(), "and every return");
    books
}

// --- Writers --------------------------------------------------------------------------------------------------------

/// What a writer was told is in the ledger.
#[derive(Debug, Clone, Copy)]
struct Acknowledged {
    account: usize,
    seq: i64,
    cents: i64,
}

/// Eight clerks who do not wait for the run.
struct Writers {
    stop: AtomicBool,
    acknowledged: Mutex<Vec<Acknowledged>>,
}

/// Ends the writers also when the thread that lets them run panics: their scope would wait for ever otherwise.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Writers {
    /// Runs `work` while eight threads post payments, return some of theirs, and give adjustments.
    fn during<T>(town: &Town, accounts: usize, seed: u64, work: impl FnOnce(&Self) -> T) -> (T, Vec<Acknowledged>) {
        let writers = Self { stop: AtomicBool::new(false), acknowledged: Mutex::new(Vec::new()) };
        let outcome = thread::scope(|scope| {
            let _stop = StopAtEnd(&writers.stop);
            for number in 0..WRITERS {
                let (writers, context) = (&writers, town.context.clone());
                scope.spawn(move || writers.write(&context, accounts, seed, number));
            }
            work(&writers)
        });
        (outcome, writers.acknowledged.into_inner().expect("no writer failed"))
    }

    fn write(&self, context: &Context, accounts: usize, seed: u64, number: u64) {
        let mut rng = StdRng::seed_from_u64(seed * 1_000 + number);
        let mut mine: Vec<(usize, String, i64)> = Vec::new();
        for count in 0.. {
            if self.stop.load(Ordering::Acquire) {
                return;
            }
            let reference = format!("W{seed}-{number}-{count}");
            let account = rng.random_range(0..accounts);
            let cents = rng.random_range(1..20_000);
            let told = match rng.random_range(0..10) {
                0..=1 if !mine.is_empty() => {
                    let (account, reference, cents) = mine.swap_remove(rng.random_range(0..mine.len()));
                    let posted = return_payment(context, COUNTER_PROVIDER, &reference, context.today(), "bounced").expect("the return is posted");
                    Acknowledged { account, seq: posted.account_seq, cents }
                }
                2 => Acknowledged { account, seq: give_credit(context, account, cents, &reference), cents: -cents },
                _ => {
                    let posted = pay(context, account, cents, &reference).expect("the payment is posted");
                    mine.push((account, reference, cents));
                    Acknowledged { account, seq: posted, cents: -cents }
                }
            };
            self.acknowledged.lock().expect("no writer failed").push(told);
            // Clerks are no benchmark: a breath lets the run have its turns and the race has more shapes.
            thread::sleep(Duration::from_micros(rng.random_range(0..1_500)));
        }
    }

    /// The last position of each account that somebody was told of.
    fn told_so_far(&self) -> BTreeMap<usize, i64> {
        let mut last = BTreeMap::new();
        for told in self.acknowledged.lock().expect("no writer failed").iter() {
            let seq = last.entry(told.account).or_insert(0);
            *seq = told.seq.max(*seq);
        }
        last
    }
}

fn new_payment(context: &Context, cents: i64, reference: &str) -> NewPayment {
    NewPayment {
        account_id: AccountId(0),
        amount: Money::from_cents(cents),
        effective_on: context.today(),
        tender: Tender::Card,
        provider: COUNTER_PROVIDER.to_owned(),
        reference: reference.to_owned(),
    }
}

fn pay(context: &Context, account: usize, cents: i64, reference: &str) -> Result<i64, ActionError> {
    post_payment(context, &account_number(account), &new_payment(context, cents, reference)).map(|posted| posted.account_seq)
}

fn give_credit(context: &Context, account: usize, cents: i64, reference: &str) -> i64 {
    let adjustment = Adjustment {
        account: account_number(account),
        reason_code: "goodwill".to_owned(),
        amount: Money::from_cents(-cents),
        effective_on: context.today(),
        reference: reference.to_owned(),
        note: "for the trouble".to_owned(),
    };
    adjust(context, &adjustment).expect("the credit is given").account_seq
}

// --- Payments racing a run ------------------------------------------------------------------------------------------

/// What came of a race: how many bills had to deduct something that was posted while their run was under way.
#[derive(Debug, Default)]
struct Race {
    posted: usize,
    bills: usize,
    overtaken: usize,
}

/// Bills one month while the writers write. Whatever comes of it, the ledger must be sound; a run that went through
/// must have seen everything that anybody had been told of before it began.
fn race_a_month(town: &Town, month: usize, fault: Option<Fault>) -> (Result<RunReport, ActionError>, Race) {
    read_all(town, ACCOUNTS, month);
    let seed = u64::try_from(month).expect("a small number");
    let ((outcome, before), acknowledged) = Writers::during(town, ACCOUNTS, seed, |writers| {
        thread::sleep(Duration::from_millis(30));
        let before = writers.told_so_far();
        (run_bills(&town.context, &options(&read_day(month), fault, &|_, _, _| {})), before)
    });
    town.assert_sound();
    let books = assert_bills_follow(town);
    let run = outcome.as_ref().ok().and_then(|report| report.run_id);
    let mut race = Race { posted: acknowledged.len(), ..Race::default() };
    let ids: Vec<AccountId> = (0..ACCOUNTS).map(|index| account_id(town, index)).collect();
    for bill in books.bills.values().filter(|bill| Some(bill.run_id) == run) {
        let account = ids.iter().position(|id| *id == bill.account_id).expect("an account of this town");
        let known = before.get(&account).copied().unwrap_or(0);
        assert!(bill.account_seq > known, "account {account}: the bill stands before position {known}, which was posted before the run began");
        race.bills += 1;
        race.overtaken += usize::from(acknowledged.iter().any(|told| told.account == account && told.seq > known && told.seq < bill.account_seq));
    }
    // Nothing that somebody was told of may be missing, or stand elsewhere.
    let rows: HashMap<(AccountId, i64), i64> = books.rows.iter().map(|row| ((row.account_id, row.account_seq), row.amount_cents)).collect();
    for told in &acknowledged {
        assert_eq!(rows.get(&(ids[told.account], told.seq)), Some(&told.cents), "{told:?} was acknowledged and is not in the ledger");
    }
    (outcome, race)
}

on_both! {
    fn no_bill_misses_a_payment_that_races_it(town: Town) {
        let since = Instant::now();
        let town = busy_town(town, ACCOUNTS);
        let (mut overtaken, mut posted) = (0, 0);
        for month in 1..=MONTHS {
            let (outcome, race) = race_a_month(&town, month, None);
            let run = outcome.expect("the run goes through");
            assert_eq!((run.status.as_str(), run.totals.billed, race.bills), ("issued", 210, ACCOUNTS));
            println!("month {month}: {race:?} after {:?}", since.elapsed());
            overtaken += race.overtaken;
            posted += race.posted;
        }
        assert!(overtaken > 0, "of {posted} payments none was posted between the start of a run and a bill of it: nothing was tested");
    }

    fn a_run_that_settles_too_early_is_caught_in_the_race(town: Town) {
        let town = busy_town(town, ACCOUNTS);
        for month in 1..=12 {
            let (outcome, race) = race_a_month(&town, month, Some(Fault::SettlementBeforeTransaction));
            println!("month {month} with the fault: {race:?}, {:?}", outcome.as_ref().map(|run| run.status.clone()).map_err(ToString::to_string));
            let Err(error) = outcome else { continue };
            assert_refused_by_ledger(&error);
            assert_healthy_run_completes(&town, month, ACCOUNTS);
            return;
        }
        panic!("in 12 months no payment came between settlement and posting: the fault was never put to the test");
    }

    fn a_payment_between_settlement_and_posting_is_deducted(town: Town) {
        let town = squeezed_town(town);
        let (outcome, squeezed) = squeeze(&town, 1, None, Duration::from_millis(200));
        assert_eq!(outcome.expect("the run goes through").status, "issued");
        let books = assert_bills_follow(&town);
        for id in squeezed {
            let bill = books.bills.values().find(|bill| bill.account_id == id).expect("a bill");
            assert_eq!((bill.payments_cents, bill.last_payment_seq, bill.account_seq), (-777, Some(1), 2), "account {id}");
        }
        town.assert_sound();
    }

    fn a_payment_between_settlement_and_posting_stops_the_fault(town: Town) {
        let town = squeezed_town(town);
        // The run must settle the chunk while the payments wait for their commit; on a machine that is busy elsewhere
        // it may take longer, so they wait longer each time.
        for (month, wait_ms) in [(1, 300), (2, 1_000), (3, 3_000)] {
            let (outcome, squeezed) = squeeze(&town, month, Some(Fault::SettlementBeforeTransaction), Duration::from_millis(wait_ms));
            town.assert_sound();
            let books = assert_bills_follow(&town);
            let Err(error) = outcome else { continue };
            assert_refused_by_ledger(&error);
            let unbilled = |id: &AccountId| !books.rows.iter().any(|row| row.account_id == *id && row.kind == "bill" && row.account_seq > 1);
            assert!(month > 1 || squeezed.iter().all(unbilled), "the chunk that was refused left nothing");
            assert_healthy_run_completes(&town, month, SQUEEZED_ACCOUNTS);
            return;
        }
        panic!("three times the payments came too late to stand between settlement and posting");
    }
}

/// The fault is stopped by the schema: the position that it settled at is taken.
fn assert_refused_by_ledger(error: &ActionError) {
    let text = error.to_string();
    let refused = matches!(error, ActionError::Database(_) | ActionError::Violated(_));
    assert!(refused && (text.contains("account_seq") || text.contains("balance does not follow")), "refused for another reason: {text}");
}

/// What the faulty run left is finished by a healthy one: the same run, every account billed once.
fn assert_healthy_run_completes(town: &Town, month: usize, accounts: usize) {
    let started = town.context.database.read(billing::unfinished_runs).expect("the runs are read");
    let run = town.bill(&read_day(month));
    assert_eq!((run.status.as_str(), started.first().map(|run| run.id)), ("issued", run.run_id), "the same run goes on");
    town.assert_sound();
    let books = assert_bills_follow(town);
    let billed = books.bills.values().filter(|bill| Some(bill.run_id) == run.run_id).count();
    assert_eq!(billed, accounts, "every account has one bill of the run");
}

const SQUEEZED_ACCOUNTS: usize = 21;

fn squeezed_town(town: Town) -> Town {
    let mut town = busy_town(town, SQUEEZED_ACCOUNTS);
    // One worker: chunk 2 is settled after chunk 1 was told as done, never before.
    town.configure(|config| config.runs.workers = 1);
    town
}

/// Bills a month, and has payments of the second chunk's accounts wait in an open transaction while that chunk is being
/// settled: whoever settles before taking the locks does not see them. Returns the accounts that paid.
fn squeeze(town: &Town, month: usize, fault: Option<Fault>, wait: Duration) -> (Result<RunReport, ActionError>, Vec<AccountId>) {
    read_all(town, SQUEEZED_ACCOUNTS, month);
    let patience = Duration::from_secs(60);
    let ids: Vec<AccountId> = (7..14).map(|index| account_id(town, index)).collect();
    let (begin, begun) = mpsc::channel::<()>();
    let (hold, held) = mpsc::channel::<()>();
    let (held, once) = (Mutex::new(held), AtomicBool::new(false));
    let progress = move |step: &str, done: usize, _: usize| {
        if step == "issuing" && done == 1 && !once.swap(true, Ordering::AcqRel) {
            begin.send(()).expect("the payer waits");
            held.lock().expect("one reader").recv_timeout(patience).expect("the payer holds its transaction open");
        }
    };
    let (context, paying) = (&town.context, &ids);
    let outcome = thread::scope(|scope| {
        scope.spawn(move || {
            // The run that ends before its second chunk closes the channel; then there is nothing to do.
            if begun.recv_timeout(patience).is_ok() {
                post_and_linger(context, paying, month, || {
                    hold.send(()).expect("the run waits");
                    thread::sleep(wait);
                });
            }
        });
        let outcome = run_bills(context, &options(&read_day(month), fault, &progress));
        drop(progress);
        outcome
    });
    (outcome, ids)
}

fn post_and_linger(context: &Context, accounts: &[AccountId], month: usize, linger: impl Fn()) {
    let (today, now) = (context.today(), context.now());
    let amount = Money::from_cents(777);
    let posted = context.database.write(|conn| {
        ledger::lock_accounts(conn, accounts)?;
        let (mut entries, mut rows) = (Vec::new(), Vec::new());
        for id in accounts {
            let reference = format!("Q{month}-{id}");
            let source = format!("{COUNTER_PROVIDER}:{reference}");
            let entry = Entry::against(*id, EntryKind::Payment, source, -amount, today, Tender::Cash.clearing_account());
            let after = ledger::position(conn, *id)?.after(-amount)?;
            rows.push(payments::NewPayment {
                account_id: *id,
                amount_cents: amount.cents(),
                effective_on: today,
                tender: "cash".to_owned(),
                provider: COUNTER_PROVIDER.to_owned(),
                merchant: MERCHANT.to_owned(),
                provider_ref: Some(reference),
                account_seq: after.seq,
                provider_payment_id: None,
                bank_entry_id: None,
                part: 1,
            });
            entries.push((entry, after));
        }
        ledger::append(conn, &entries, now)?;
        payments::insert(conn, &rows)?;
        linger();
        Ok::<_, ActionError>(())
    });
    posted.expect("the payments are posted");
}

// --- Others who race ------------------------------------------------------------------------------------------------

on_both! {
    fn payments_may_race_a_rollback_too(town: Town) {
        const FEW: usize = 70;
        let town = busy_town(town, FEW);
        read_all(&town, FEW, 1);
        town.bill(&read_day(1));
        read_all(&town, FEW, 2);
        let (again, _) = Writers::during(&town, FEW, 90, |_| {
            let wrong = town.bill(&read_day(2)).run_id.expect("a run");
            roll_back_run(&town.context, wrong, "a wrong rate", |_, _| {}).expect("it is rolled back");
            town.bill(&read_day(2))
        });
        assert_eq!(again.totals.billed, 70);
        let books = assert_bills_follow(&town);
        let cancelled = books.bills.values().filter(|bill| bill.status == "cancelled").count();
        assert_eq!((books.bills.len(), cancelled), (3 * FEW, FEW));
        assert_eq!(books.rows.iter().filter(|row| row.kind == "bill_reversal").count(), FEW);
        town.assert_sound();
    }

    fn two_threads_run_a_cycle_once(town: Town) {
        const FEW: usize = 140;
        let mut town = busy_town(town, FEW);
        read_all(&town, FEW, 1);
        // The machine's own clock, because a lease is a matter of time; a short one, because the second waits for a sign of life.
        town.context.clock = Clock::System;
        town.configure(|config| config.runs.lease_ms = 300);
        let outcomes: Vec<Result<RunReport, ActionError>> = thread::scope(|scope| {
            let runners: Vec<_> = (0..2).map(|_| {
                // Each with connections of its own, as in two programs.
                let context = Context { database: Database::open(&town.url, 8).expect("the database opens"), ..town.context.clone() };
                scope.spawn(move || run_bills(&context, &options(&read_day(1), None, &|_, _, _| {})))
            }).collect();
            runners.into_iter().map(|runner| runner.join().expect("no panic")).collect()
        });
        let told: Vec<String> = outcomes.iter().map(|outcome| match outcome {
            Ok(run) => format!("run {:?} {} billed {}", run.run_id, run.status, run.totals.billed),
            Err(error) => error.to_string(),
        }).collect();
        println!("two threads: {told:?}");
        assert!(outcomes.iter().any(Result::is_ok), "one of them goes through: {told:?}");
        // On a machine too busy for a sign of life in time, the second takes over: no harm either.
        let at_peace = |outcome: &Result<_, _>| matches!(outcome, Ok(_) | Err(ActionError::Busy { .. } | ActionError::LeaseLost(_)));
        assert!(outcomes.iter().all(at_peace), "the other is told who works, or finds nothing: {told:?}");
        assert_billed_once(&town, FEW);
    }

    fn two_programs_run_a_cycle_once(town: Town) {
        const FEW: usize = 140;
        let town = busy_town(town, FEW);
        town.file("aquabills.toml", HURRIED_TOML);
        read_all(&town, FEW, 1);
        let start = || {
            let mut command = town.command(&["bill", "--cycle", "all", "--through", &read_day(1), "--approve"]);
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts")
        };
        let programs = [start(), start(), start()];
        let outputs = programs.map(|program| program.wait_with_output().expect("the program ends"));
        assert!(outputs.iter().any(|output| output.status.success()), "one of them goes through: {outputs:?}");
        for output in outputs.iter().filter(|output| !output.status.success()) {
            let told = stderr(output);
            let at_peace = told.contains("shows signs of life") || told.contains("went to another runner");
            assert!(at_peace, "one that cannot work says that another does: {told}");
        }
        assert_billed_once(&town, FEW);
    }

    fn one_payment_from_eight_hands_is_posted_once(town: Town) {
        let town = busy_town(town, 3);
        let new = AtomicU64::new(0);
        for round in 0..10 {
            thread::scope(|scope| {
                for _ in 0..WRITERS {
                    scope.spawn(|| {
                        let payment = new_payment(&town.context, 500, &format!("SAME-{round}"));
                        let posted = post_payment(&town.context, "A0001", &payment).expect("it is posted, or there already");
                        new.fetch_add(u64::from(!posted.unchanged), Ordering::Relaxed);
                    });
                }
            });
        }
        assert_eq!((new.into_inner(), town.balance("A0001").as_str()), (10, "-50.00"));
        let (first, again) = (AtomicU64::new(0), AtomicU64::new(0));
        thread::scope(|scope| {
            for _ in 0..WRITERS {
                scope.spawn(|| {
                    let posted = return_payment(&town.context, COUNTER_PROVIDER, "SAME-0", town.context.today(), "bounced").expect("it is returned");
                    if posted.unchanged { &again } else { &first }.fetch_add(1, Ordering::Relaxed);
                });
            }
        });
        assert_eq!((first.into_inner(), again.into_inner(), town.balance("A0001").as_str()), (1, 7, "-45.00"));
        assert_bills_follow(&town);
        town.assert_sound();
    }

    fn one_file_of_payments_from_four_hands_is_imported_once(town: Town) {
        let town = busy_town(town, 50);
        let rows: Vec<String> = (0..400).map(|row| format!("{},1.25,2026-06-01,F-{row}", account_number(row % 50))).collect();
        let path = town.file("payments.csv", &format!("account,amount,effective_on,reference\n{}\n", rows.join("\n")));
        let outcomes = four_hands(|| import_payments(&town.context, &path, QUIET));
        assert_eq!(assert_bills_follow(&town).payments.len(), 400, "each payment is there once");
        town.assert_sound();
        assert_accepted_once(&outcomes, 400);
    }

    fn one_file_of_reads_from_four_hands_is_imported_once(town: Town) {
        let town = busy_town(town, 200);
        let rows: Vec<String> = (0..200).map(|row| format!("M{row:04},{},{row}", read_day(1))).collect();
        let path = town.file("reads.csv", &format!("meter_id,read_on,reading\n{}\n", rows.join("\n")));
        let outcomes = four_hands(|| import_reads(&town.context, &path, QUIET));
        let run = town.bill(&read_day(1));
        assert_eq!((run.totals.billed, run.totals.segments), (200, 200), "each read is there once");
        town.assert_sound();
        assert_accepted_once(&outcomes, 200);
    }
}

fn four_hands(import: impl Fn() -> Result<ImportReport, ActionError> + Sync) -> Vec<Result<ImportReport, ActionError>> {
    thread::scope(|scope| {
        let hands: Vec<_> = (0..4).map(|_| scope.spawn(&import)).collect();
        hands.into_iter().map(|hand| hand.join().expect("no panic")).collect()
    })
}

/// P4: whoever comes second finds everything there already; it is not an error to be late.
fn assert_accepted_once(outcomes: &[Result<ImportReport, ActionError>], rows: u64) {
    let told = |outcome: &Result<ImportReport, ActionError>| match outcome {
        Ok(report) => format!("{} accepted, {} unchanged, {} refused", report.accepted, report.unchanged, report.refused),
        Err(error) => error.to_string(),
    };
    let told: Vec<String> = outcomes.iter().map(told).collect();
    let complete = |report: &ImportReport| report.refused == 0 && report.accepted + report.unchanged == rows;
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().is_ok_and(complete)), "{told:#?}");
    assert_eq!(outcomes.iter().flatten().map(|report| report.accepted).sum::<u64>(), rows, "each row is accepted by one of them: {told:#?}");
}

/// [`hurried`], for the program.
const HURRIED_TOML: &str = "\
[runs]
chunk_accounts = 7
lease_ms = 300
[gates]
total_change_percent = 1000000
average_change_percent = 1000000
risen_share_percent = 100
[limits.default]
high_floor_units = 1000000
segment_total_cents = 1000000000
";

fn assert_billed_once(town: &Town, accounts: usize) {
    let books = assert_bills_follow(town);
    let runs: Vec<RunId> = books.bills.values().map(|bill| bill.run_id).collect();
    assert_eq!(books.bills.len(), accounts, "one bill for each account");
    assert!(runs.windows(2).all(|two| two[0] == two[1]), "all bills are of one run");
    let unfinished = town.context.database.read(billing::unfinished_runs).expect("the runs are read");
    assert_eq!(unfinished, Vec::new(), "nothing is left half done");
    town.assert_sound();
}

// --- The checker sees what somebody changed -------------------------------------------------------------------------

/// A row changed behind the program's back: what it is called, how it is done, how it is undone.
struct Planted(&'static str, &'static str, &'static str);

const TAKEN_BACK: &str = "a bill that stands and says it was taken back";

/// Account A0001 has: bill, payment, its return, payment, credit, bill, and that bill's reversal, in this order.
const PLANTED: [Planted; 15] = [
    Planted(
        "a bill deducts too little",
        "UPDATE bill SET payments_cents = payments_cents + 100, adjustments_cents = adjustments_cents - 100 WHERE account_seq = 6",
        "UPDATE bill SET payments_cents = payments_cents - 100, adjustments_cents = adjustments_cents + 100 WHERE account_seq = 6",
    ),
    Planted(
        "a bill opens with another balance",
        "UPDATE bill SET previous_balance_cents = previous_balance_cents + 100, adjustments_cents = adjustments_cents - 100 WHERE account_seq = 6",
        "UPDATE bill SET previous_balance_cents = previous_balance_cents - 100, adjustments_cents = adjustments_cents + 100 WHERE account_seq = 6",
    ),
    Planted(
        "a bill names no last payment",
        "UPDATE bill SET last_payment_seq = NULL WHERE account_seq = 6",
        "UPDATE bill SET last_payment_seq = 4 WHERE account_seq = 6",
    ),
    Planted(
        "a bill names a payment that was returned",
        "UPDATE bill SET last_payment_seq = 2 WHERE account_seq = 6",
        "UPDATE bill SET last_payment_seq = 4 WHERE account_seq = 6",
    ),
    Planted(
        "a bill charges more than was posted",
        "UPDATE bill SET total_cents = total_cents + 100, amount_due_cents = amount_due_cents + 100 WHERE account_seq = 6",
        "UPDATE bill SET total_cents = total_cents - 100, amount_due_cents = amount_due_cents - 100 WHERE account_seq = 6",
    ),
    Planted(
        "a transaction's amount",
        "UPDATE financial_transaction SET amount_cents = amount_cents + 1 WHERE account_seq = 4",
        "UPDATE financial_transaction SET amount_cents = amount_cents - 1 WHERE account_seq = 4",
    ),
    Planted(
        "the last balance",
        "UPDATE financial_transaction SET balance_after_cents = balance_after_cents + 1 WHERE account_seq = 7",
        "UPDATE financial_transaction SET balance_after_cents = balance_after_cents - 1 WHERE account_seq = 7",
    ),
    Planted(
        "a posting's amount",
        "UPDATE posting SET amount_cents = amount_cents + 1 WHERE gl_code = 'clearing:card' AND amount_cents = 4000",
        "UPDATE posting SET amount_cents = amount_cents - 1 WHERE gl_code = 'clearing:card' AND amount_cents = 4001",
    ),
    Planted(
        "a posting's account",
        "UPDATE posting SET gl_code = 'opening' WHERE gl_code = 'receivable' AND amount_cents = -4000",
        "UPDATE posting SET gl_code = 'receivable' WHERE gl_code = 'opening' AND amount_cents = -4000",
    ),
    Planted(
        "a gap",
        "UPDATE financial_transaction SET account_seq = 8 WHERE account_seq = 7",
        "UPDATE financial_transaction SET account_seq = 7 WHERE account_seq = 8",
    ),
    Planted(
        "a payment's amount",
        "UPDATE payment SET amount_cents = 4001 WHERE account_seq = 4",
        "UPDATE payment SET amount_cents = 4000 WHERE account_seq = 4",
    ),
    Planted(
        "a return that the payment does not know of",
        "UPDATE payment SET returned_seq = NULL, returned_on = NULL WHERE returned_seq = 3",
        "UPDATE payment SET returned_seq = 3, returned_on = '2026-06-15' WHERE account_seq = 2",
    ),
    Planted(
        "a bill that was taken back and says it stands",
        "UPDATE bill SET status = 'issued', cancelled_seq = NULL WHERE account_seq = 6",
        "UPDATE bill SET status = 'cancelled', cancelled_seq = 7 WHERE account_seq = 6",
    ),
    Planted(
        TAKEN_BACK,
        "UPDATE bill SET status = 'cancelled', cancelled_seq = 7 WHERE account_seq = 1 AND account_id = 2",
        "UPDATE bill SET status = 'issued', cancelled_seq = NULL WHERE account_seq = 1 AND account_id = 2",
    ),
    Planted(
        "an adjustment's amount",
        "UPDATE adjustment SET amount_cents = amount_cents - 1 WHERE account_seq = 5",
        "UPDATE adjustment SET amount_cents = amount_cents + 1 WHERE account_seq = 5",
    ),
];

/// Takes away the triggers that refuse changes (and, on PostgreSQL, hold the foreign keys), as somebody at the files could.
fn disarm(town: &Town) {
    let done = town.context.database.write(|conn| {
        let sql = match conn {
            DbConnection::Sqlite(_) => "SELECT 'DROP TRIGGER ' || name AS sql FROM sqlite_schema WHERE type = 'trigger'",
            DbConnection::Postgres(_) => {
                "SELECT 'ALTER TABLE ' || tablename || ' DISABLE TRIGGER ALL' AS sql FROM pg_tables WHERE schemaname = 'public'"
            }
        };
        for statement in diesel::sql_query(sql).load::<Statement>(conn)? {
            diesel::sql_query(statement.sql).execute(conn)?;
        }
        Ok::<_, ActionError>(())
    });
    done.expect("the triggers are taken away");
}

#[derive(diesel::QueryableByName)]
struct Statement {
    #[diesel(sql_type = diesel::sql_types::Text)]
    sql: String,
}

fn change_rows(town: &Town, sql: &str) -> Result<usize, ActionError> {
    town.context.database.write(|conn| Ok(diesel::sql_query(sql).execute(conn)?))
}

/// Changes rows without the foreign keys either: SQLite holds them by a setting of the connection.
fn change_rows_by_force(town: &Town, sql: &str) -> Result<usize, ActionError> {
    town.context.database.read(|conn| {
        let sqlite = matches!(conn, DbConnection::Sqlite(_));
        if sqlite {
            diesel::sql_query("PRAGMA foreign_keys = OFF").execute(conn)?;
        }
        let changed = diesel::sql_query(sql).execute(conn);
        if sqlite {
            diesel::sql_query("PRAGMA foreign_keys = ON").execute(conn)?;
        }
        Ok(changed?)
    })
}

on_both! {
    fn the_checker_sees_every_row_that_was_changed(town: Town) {
        let town = busy_town(town, 2);
        read_all(&town, 2, 1);
        town.bill(&read_day(1));
        pay(&town.context, 1, 3_000, "P-1").expect("it is posted");
        return_payment(&town.context, COUNTER_PROVIDER, "P-1", town.context.today(), "bounced").expect("it is returned");
        pay(&town.context, 1, 4_000, "P-2").expect("it is posted");
        give_credit(&town.context, 1, 150, "C-1");
        read_all(&town, 2, 2);
        let run = town.bill(&read_day(2)).run_id.expect("a run");
        roll_back_run(&town.context, run, "a wrong rate", |_, _| {}).expect("it is rolled back");
        town.assert_sound();
        let mut let_through = Vec::new();
        // Taking a bill back is a change that the schema allows: only the checker can tell whether it really was.
        for Planted(name, change, undo) in PLANTED.iter().filter(|planted| planted.0 != TAKEN_BACK) {
            if change_rows(&town, change).is_ok() {
                assert_eq!(change_rows(&town, undo).expect("the change is undone"), 1, "{name}");
                let_through.push(*name);
            }
        }
        disarm(&town);
        let mut missed = Vec::new();
        for Planted(name, change, undo) in &PLANTED {
            assert_eq!(change_rows_by_force(&town, change).expect("the change is made"), 1, "{name}");
            let report = town.check();
            println!("{name}: {:?}", report.first_faults);
            if report.faults == 0 {
                missed.push(*name);
            }
            assert_eq!(change_rows_by_force(&town, undo).expect("the change is undone"), 1, "{name}");
            assert_eq!(town.check().faults, 0, "{name}: undone, and still a fault");
        }
        let none = Vec::<&str>::new();
        assert_eq!((let_through, missed), (none.clone(), none), "what the schema lets happen, and what `ledger check` does not see");
    }
}

// --- Any order of what people do, against a model -------------------------------------------------------------------

/// One thing that somebody does.
#[derive(Debug, Clone)]
enum Step {
    /// The month's reads come in (each account's usage, when its meter was read) and the cycle is billed.
    ReadAndBill([Option<i64>; 3]),
    /// The cycle is billed although no read came in.
    BillAgain,
    /// Somebody pays at the counter.
    Pay(usize, i64),
    /// A file of payments comes in.
    PayByFile(Vec<(usize, i64)>),
    /// A payment is returned; which one, counted round.
    Return(usize),
    /// A credit is given, or a fee charged.
    Adjust(usize, i64),
    /// The last run is taken back.
    RollBack,
    /// The last files of reads and payments come in once more.
    ImportAgain,
    /// A counter payment is posted once more; which one, counted round.
    PayAgain(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    let usage = || prop_oneof![4 => (0_i64..45).prop_map(Some), 1 => Just(None)];
    prop_oneof![
        5 => [usage(), usage(), usage()].prop_map(Step::ReadAndBill),
        1 => Just(Step::BillAgain),
        4 => (0_usize..3, 1_i64..9_000).prop_map(|(account, cents)| Step::Pay(account, cents)),
        2 => prop::collection::vec((0_usize..3, 1_i64..9_000), 1..4).prop_map(Step::PayByFile),
        3 => any::<usize>().prop_map(Step::Return),
        2 => (0_usize..3, prop_oneof![-3_000_i64..0, 1_i64..3_000]).prop_map(|(account, cents)| Step::Adjust(account, cents)),
        2 => Just(Step::RollBack),
        1 => Just(Step::ImportAgain),
        1 => any::<usize>().prop_map(Step::PayAgain),
    ]
}

/// What a bill must say; compared with the stored row field by field.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ModelBill {
    seq: i64,
    total: i64,
    previous: i64,
    paid: i64,
    other: i64,
    due: i64,
    last_payment: Option<i64>,
    cancelled: Option<i64>,
}

#[derive(Debug, Default)]
struct ModelAccount {
    balance: i64,
    seq: i64,
    previous: i64,
    paid: i64,
    other: i64,
    reading: i64,
    /// Usage between each read and the one before it, oldest first.
    usages: Vec<i64>,
    /// How many of them are billed.
    billed: usize,
    bills: Vec<ModelBill>,
}

#[derive(Debug)]
struct ModelPayment {
    reference: String,
    provider: &'static str,
    account: usize,
    cents: i64,
    seq: i64,
    returned: bool,
}

/// A run that stands: of each billed account its number and how much of it was billed before.
struct ModelRun {
    id: RunId,
    billed: Vec<(usize, usize)>,
}

/// The town as the model sees it, beside the real one.
struct Twins {
    town: Town,
    ids: Vec<AccountId>,
    accounts: [ModelAccount; 3],
    payments: Vec<ModelPayment>,
    runs: Vec<ModelRun>,
    month: usize,
    references: usize,
    last_reads: Vec<String>,
    last_payments: Vec<String>,
}

fn count(rows: &[String]) -> u64 {
    u64::try_from(rows.len()).expect("a small number")
}

/// The charge for one period, worked out without the program: A0000 is a shop, the others are households (the test
/// tariff: 4.25 a unit; 10.00 and 2.00 a unit, 3.50 from the eleventh).
fn charge(account: usize, usage: i64) -> i64 {
    if account == 0 { 425 * usage } else { 1_000 + 200 * usage.min(10) + 350 * (usage - 10).max(0) }
}

impl ModelAccount {
    fn post(&mut self, cents: i64) -> i64 {
        self.balance += cents;
        self.seq += 1;
        self.seq
    }
}

impl Twins {
    fn new(town: Town) -> Self {
        let town = busy_town(town, 3);
        let ids = (0..3).map(|index| account_id(&town, index)).collect();
        Self {
            town,
            ids,
            accounts: Default::default(),
            payments: Vec::new(),
            runs: Vec::new(),
            month: 0,
            references: 0,
            last_reads: Vec::new(),
            last_payments: Vec::new(),
        }
    }

    fn play(&mut self, step: &Step) {
        match step {
            Step::ReadAndBill(usages) => {
                self.read(usages);
                self.bill();
            }
            Step::BillAgain => self.bill(),
            Step::Pay(account, cents) => self.pay(*account, *cents),
            Step::PayByFile(rows) => self.pay_by_file(rows),
            Step::Return(which) => self.return_one(*which),
            Step::Adjust(account, cents) => self.adjust(*account, *cents),
            Step::RollBack => self.roll_back(),
            Step::ImportAgain => self.import_again(),
            Step::PayAgain(which) => self.pay_again(*which),
        }
    }

    fn read(&mut self, usages: &[Option<i64>; 3]) {
        self.month += 1;
        let mut rows = Vec::new();
        for (index, (account, usage)) in self.accounts.iter_mut().zip(usages).enumerate() {
            let Some(usage) = usage else { continue };
            account.reading += usage;
            account.usages.push(*usage);
            rows.push(format!("M{index:04},{},{}", read_day(self.month), account.reading));
        }
        let report = self.town.reads(&rows.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!((report.accepted, report.held, report.refused), (count(&rows), 0, 0), "{:?}", report.first_refusals);
        self.last_reads = rows;
    }

    fn bill(&mut self) {
        let run = self.town.bill(&read_day(self.month.max(1)));
        let payments = &self.payments;
        let mut billed = Vec::new();
        for (index, account) in self.accounts.iter_mut().enumerate() {
            if account.billed == account.usages.len() {
                continue;
            }
            let total: i64 = account.usages.iter().skip(account.billed).map(|usage| charge(index, *usage)).sum();
            let last_payment = payments.iter().filter(|payment| payment.account == index && !payment.returned).map(|payment| payment.seq).max();
            let seq = account.post(total);
            account.bills.push(ModelBill {
                seq,
                total,
                previous: account.previous,
                paid: account.paid,
                other: account.other,
                due: account.balance,
                last_payment,
                cancelled: None,
            });
            (account.previous, account.paid, account.other) = (account.balance, 0, 0);
            billed.push((index, account.billed));
            account.billed = account.usages.len();
        }
        let bills = i64::try_from(billed.len()).expect("three at most");
        assert_eq!((run.status.as_str(), run.totals.billed, run.totals.excluded), ("issued", bills, 3 - bills));
        self.runs.push(ModelRun { id: run.run_id.expect("a run"), billed });
    }

    fn next_reference(&mut self) -> String {
        self.references += 1;
        format!("R-{}", self.references)
    }

    fn posted(&mut self, provider: &'static str, reference: String, account: usize, cents: i64) -> i64 {
        let seq = self.accounts[account].post(-cents);
        self.accounts[account].paid -= cents;
        self.payments.push(ModelPayment { reference, provider, account, cents, seq, returned: false });
        seq
    }

    fn pay(&mut self, account: usize, cents: i64) {
        let reference = self.next_reference();
        let seq = pay(&self.town.context, account, cents, &reference).expect("the payment is posted");
        assert_eq!(seq, self.posted(COUNTER_PROVIDER, reference, account, cents));
    }

    fn pay_by_file(&mut self, payments: &[(usize, i64)]) {
        // A file's rows are posted by account, in the order of the file.
        let mut sorted: Vec<(usize, i64)> = payments.to_vec();
        sorted.sort_by_key(|(account, _)| *account);
        let mut rows = Vec::new();
        for (account, cents) in sorted {
            let reference = self.next_reference();
            rows.push(format!("{},{},2026-06-01,{reference}", account_number(account), Money::from_cents(cents)));
            self.posted(FILE_PROVIDER, reference, account, cents);
        }
        let report = self.town.payments(&rows.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!((report.accepted, report.refused), (count(&rows), 0), "{:?}", report.first_refusals);
        self.last_payments = rows;
    }

    fn return_one(&mut self, which: usize) {
        if self.payments.is_empty() {
            return;
        }
        let which = which % self.payments.len();
        let payment = &mut self.payments[which];
        let context = &self.town.context;
        let outcome = return_payment(context, payment.provider, &payment.reference, context.today(), "bounced").expect("it is returned");
        assert_eq!(outcome.unchanged, payment.returned, "{payment:?}");
        if !payment.returned {
            payment.returned = true;
            let account = &mut self.accounts[payment.account];
            account.paid += payment.cents;
            assert_eq!(account.post(payment.cents), outcome.account_seq);
        }
    }

    fn adjust(&mut self, account: usize, cents: i64) {
        let adjustment = Adjustment {
            account: account_number(account),
            reason_code: if cents < 0 { "goodwill" } else { "late-fee" }.to_owned(),
            amount: Money::from_cents(cents),
            effective_on: self.town.context.today(),
            reference: self.next_reference(),
            note: "as the test wants it".to_owned(),
        };
        let seq = adjust(&self.town.context, &adjustment).expect("it is given").account_seq;
        assert!(adjust(&self.town.context, &adjustment).expect("it is there").unchanged);
        self.accounts[account].other += cents;
        assert_eq!(seq, self.accounts[account].post(cents));
    }

    fn roll_back(&mut self) {
        let Some(run) = self.runs.pop() else { return };
        roll_back_run(&self.town.context, run.id, "a wrong rate", |_, _| {}).expect("it is rolled back");
        for (index, billed) in run.billed {
            let account = &mut self.accounts[index];
            let total = account.bills.iter().rfind(|bill| bill.cancelled.is_none()).expect("a bill that stands").total;
            let seq = account.post(-total);
            account.other -= total;
            account.billed = billed;
            account.bills.iter_mut().rfind(|bill| bill.cancelled.is_none()).expect("a bill that stands").cancelled = Some(seq);
        }
    }

    fn import_again(&self) {
        let reads = self.town.reads(&self.last_reads.iter().map(String::as_str).collect::<Vec<_>>());
        let payments = self.town.payments(&self.last_payments.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!((reads.unchanged, payments.unchanged), (count(&self.last_reads), count(&self.last_payments)));
    }

    fn pay_again(&self, which: usize) {
        let counter: Vec<&ModelPayment> = self.payments.iter().filter(|payment| payment.provider == COUNTER_PROVIDER).collect();
        if counter.is_empty() {
            return;
        }
        let ModelPayment { reference, account, cents, seq, returned, .. } = counter[which % counter.len()];
        let payment = new_payment(&self.town.context, *cents, reference);
        let told = post_payment(&self.town.context, &account_number(*account), &payment);
        if *returned {
            assert!(matches!(told, Err(ActionError::Refused(_))), "what went back is not taken for money that is there: {told:?}");
        } else {
            let told = told.expect("it is there");
            assert_eq!((told.unchanged, told.account_seq), (true, *seq));
        }
        let another = new_payment(&self.town.context, cents + 1, reference);
        let refused = post_payment(&self.town.context, &account_number(*account), &another);
        assert!(matches!(refused, Err(ActionError::Refused(_))), "a reference stands for one payment: {refused:?}");
    }

    /// Both worlds have the same balances and the same bills.
    fn compare(&self) {
        let bills = self.town.context.database.read(|conn| billing::bills_in_range(conn, AccountId(0), AccountId(i64::MAX)));
        let bills = bills.expect("the bills are read");
        for (index, (id, model)) in self.ids.iter().zip(&self.accounts).enumerate() {
            let position = self.town.context.database.read(|conn| ledger::position(conn, *id)).expect("the ledger is read");
            assert_eq!((position.balance.cents(), position.seq), (model.balance, model.seq), "balance and position of account {index}");
            let stored: Vec<ModelBill> = bills.iter().filter(|bill| bill.account_id == *id).map(as_model).collect();
            assert_eq!(stored, model.bills, "the bills of account {index}");
        }
    }
}

fn as_model(bill: &BillRow) -> ModelBill {
    assert_eq!(bill.opening_balance_cents + bill.total_cents, bill.amount_due_cents);
    ModelBill {
        seq: bill.account_seq,
        total: bill.total_cents,
        previous: bill.previous_balance_cents,
        paid: bill.payments_cents,
        other: bill.adjustments_cents,
        due: bill.amount_due_cents,
        last_payment: bill.last_payment_seq,
        cancelled: bill.cancelled_seq,
    }
}

/// How many orders are played; `AQUABILLS_CASES` asks for more, for a longer run.
fn cases(usual: u32) -> u32 {
    std::env::var("AQUABILLS_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Plays random orders. The seed is printed when one fails; `AQUABILLS_SEED` plays that one again.
fn play_any_order(new_town: fn() -> Town, cases: u32) {
    let seed: u64 = std::env::var("AQUABILLS_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    // Every case has a database of its own, so shrinking is not free: enough to be readable is enough.
    let config = Cases { cases, failure_persistence: None, max_shrink_iters: 100, ..Cases::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let outcome = runner.run(&prop::collection::vec(any_step(), 1..25), |steps| {
        let mut twins = Twins::new(new_town());
        for step in &steps {
            twins.play(step);
            twins.compare();
        }
        twins.town.assert_sound();
        assert_bills_follow(&twins.town);
        Ok::<_, TestCaseError>(())
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(reason, steps)) => panic!("AQUABILLS_SEED={seed}: {reason}\nthe shortest order that fails: {steps:#?}"),
        Err(TestError::Abort(reason)) => panic!("AQUABILLS_SEED={seed}: {reason}"),
    }
}

mod any_order_of_what_people_do_agrees_with_the_model {
    use super::*;

    #[test]
    fn sqlite() {
        play_any_order(Town::sqlite, cases(48));
    }

    #[test]
    fn postgres() {
        play_any_order(Town::postgres, cases(16));
    }
}
