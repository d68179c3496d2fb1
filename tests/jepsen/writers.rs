//! The writers: 64 of them, each with its own work, and beside them those who settle and bill.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use aquabills::actions::balances::{refund_credit, transfer_balance};
use aquabills::actions::bill_run::{RunOptions, run_bills};
use aquabills::actions::inbox::settle;
use aquabills::actions::payments::{COUNTER_PROVIDER, NewPayment, post_payment, return_payment};
use aquabills::actions::stop::Stop;
use aquabills::domain::ids::AccountId;
use aquabills::domain::ledger::Tender;
use aquabills::domain::money::Money;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::bank::{Bank, CLOSED, MONTHS, OPEN, count, number, read_day};
use crate::events;
use crate::support;

pub const WRITERS: u64 = 64;

/// Writes until it is told to stop.
pub fn write(bank: &Bank, seed: u64, writer: u64) {
    let mut rng = StdRng::seed_from_u64(seed * 1_000 + writer);
    let mut mine: Vec<(usize, String, i64)> = Vec::new();
    for turn in 0.. {
        if !bank.goes_on() {
            return;
        }
        let reference = format!("W{writer}-{turn}");
        match writer % 8 {
            0 => carry(bank, &mut rng, &reference),
            1..=3 => events::tell_a_story(bank, &mut rng, &reference),
            4 => give_or_take(bank, &mut rng, &reference),
            _ => pay_or_return(bank, &mut rng, &reference, &mut mine),
        }
        // Writers are no benchmark: a breath gives the race more shapes, and the readers their turns.
        thread::sleep(Duration::from_micros(rng.random_range(0..20_000)));
    }
}

/// Carries a whole balance from one of the closed accounts to another.
fn carry(bank: &Bank, rng: &mut StdRng, reference: &str) {
    let (from, to) = (rng.random_range(0..CLOSED), rng.random_range(0..CLOSED));
    match transfer_balance(&bank.town.context, &number(OPEN + from), &number(OPEN + to), reference, "goes round") {
        Ok((taken, given)) => {
            count(&bank.counts.transfers);
            let cents = amount_at(bank, OPEN + to, given.account_seq);
            bank.tell(OPEN + from, taken.account_seq, -cents);
            bank.tell(OPEN + to, given.account_seq, cents);
        }
        // Nothing to carry, or to itself.
        Err(_) => bank.tell_refused(&format!("{reference}/out")),
    }
}

/// What was carried is told by the row itself; the other side must fit it.
fn amount_at(bank: &Bank, account: usize, seq: i64) -> i64 {
    let rows = bank.town.context.database.read(|conn| aquabills::db::ledger::transactions_of(conn, bank.ids[account], seq - 1, 1));
    rows.expect("the ledger is read")[0].amount_cents
}

/// A credit, a charge, or a payout of a credit balance, which is refused when there is none.
fn give_or_take(bank: &Bank, rng: &mut StdRng, reference: &str) {
    let (account, cents) = (rng.random_range(0..OPEN), rng.random_range(1..9_000));
    match rng.random_range(0..4) {
        0 => bank.adjust(account, "goodwill", -cents, reference),
        1 => bank.adjust(account, "opening-balance", cents, reference),
        _ => match refund_credit(&bank.town.context, &number(account), Some(Money::from_cents(cents)), reference, "wishes it back") {
            Ok(posted) => bank.tell(account, posted.account_seq, cents),
            Err(_) => bank.tell_refused(reference),
        },
    }
}

fn pay_or_return(bank: &Bank, rng: &mut StdRng, reference: &str, mine: &mut Vec<(usize, String, i64)>) {
    let context = &bank.town.context;
    let (account, cents) = (rng.random_range(0..OPEN), rng.random_range(1..20_000));
    let payment = |reference: &str, cents: i64| NewPayment {
        account_id: AccountId(0),
        amount: Money::from_cents(cents),
        effective_on: context.today(),
        tender: Tender::Cash,
        provider: COUNTER_PROVIDER.to_owned(),
        reference: reference.to_owned(),
    };
    match rng.random_range(0..10) {
        0..=2 if !mine.is_empty() => {
            let (account, reference, cents) = mine.swap_remove(rng.random_range(0..mine.len()));
            let posted = return_payment(context, COUNTER_PROVIDER, &reference, context.today(), "bounced").expect("the return is posted");
            bank.tell(account, posted.account_seq, cents);
        }
        3 => {
            let nothing = post_payment(context, &number(account), &payment(reference, 0));
            assert!(nothing.is_err(), "a payment of nothing is refused");
            bank.tell_refused(reference);
        }
        _ => {
            let posted = post_payment(context, &number(account), &payment(reference, cents)).expect("the payment is posted");
            let again = post_payment(context, &number(account), &payment(reference, cents)).expect("it is there already");
            assert!((posted.unchanged, again.unchanged, again.account_seq) == (false, true, posted.account_seq), "once is once");
            bank.tell(account, posted.account_seq, -cents);
            mine.push((account, reference.to_owned(), cents));
        }
    }
}

/// As the inbox's job does; two of them, as two servers would have.
pub fn settle_all_the_time(bank: &Bank) {
    while bank.goes_on() {
        let settled = settle(&bank.town.context, false, &Stop::default()).expect("the inbox is settled");
        assert_eq!(settled.failed, 0, "an event could not be applied");
        bank.counts.applied.fetch_add(settled.applied, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(10));
    }
}

/// A bill run for one month after the other, spread over the time that there is.
pub fn run_bills_all_the_time(bank: &Bank, duration: Duration) {
    let began = Instant::now();
    let pause = duration / u32::try_from(MONTHS + 1).expect("a small number");
    for month in 1..=MONTHS {
        while began.elapsed() < pause * u32::try_from(month - 1).expect("a small number") && bank.goes_on() {
            thread::sleep(Duration::from_millis(10));
        }
        if !bank.goes_on() {
            return;
        }
        bank.read_meters(month);
        let options = RunOptions {
            cycle: "main".to_owned(),
            through: support::day(&read_day(month)),
            dry_run: false,
            approve: true,
            override_gates: Some("a test".to_owned()),
            progress: &|_, _, _| {},
            fault: None,
        };
        let run = run_bills(&bank.town.context, &options).expect("the run goes through");
        assert_eq!(run.status, "issued", "{run:?}");
        count(&bank.counts.runs);
        bank.counts.bills.fetch_add(u64::try_from(run.totals.bills).unwrap_or(0), Ordering::Relaxed);
    }
}
