//! Random scenarios from seeds, through the real inbox and the real ledger. A seed that fails is printed and replays exactly:
//! `AQUABILLS_SEED=N cargo test --test inbox scenarios`.

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use super::provider::{DAY, deliver, dispute, payment, refund};
use super::support::Town;
use super::{attempt, net, settle_all, town};

/// So many scenarios share a town, each with accounts of its own.
const IN_ONE_TOWN: u64 = 250;

fn history(name: &str, luck: &mut StdRng) -> Vec<Value> {
    let mut events = Vec::new();
    let count = luck.random_range(2..8);
    for number in 0..count {
        // Some within one second: then the order is told by nothing but the events themselves.
        let at = i64::from(luck.random_range(0..5_u8)) * 60;
        let id = number.to_string();
        let cents = i64::from(luck.random_range(1..=9_u8)) * 1000;
        events.push(match luck.random_range(0..10) {
            0 => payment(name, &id, at, "submitted", cents),
            1 => payment(name, &id, at, "failed", cents),
            2..6 => payment(name, &id, at, "succeeded", cents),
            6 => dispute(name, &id, 2 * DAY + at, cents, luck.random(), luck.random()),
            7 => refund(name, "one", &id, DAY + at, cents / 2, luck.random()),
            8 => refund(name, "two", &id, DAY + at, cents / 4, true),
            _ => payment(name, &id, 3 * DAY + at, "succeeded", cents),
        });
    }
    events
}

/// One history lived twice by two pairs of accounts: once in the provider's order, and once in a random order with repetitions
/// and pauses. Both come to the same.
fn scenario(town: &Town, seed: u64, place: u64) {
    let mut luck = StdRng::seed_from_u64(seed);
    let name = |which: &str| format!("{which}{seed}");
    let accounts: [String; 4] = std::array::from_fn(|n| format!("A{}", place * 4 + u64::try_from(n).unwrap() + 1));
    let parts = [(i64::from(luck.random_range(1..6_u8))) * 1000, (i64::from(luck.random_range(1..6_u8))) * 1000];
    attempt(&town.context, &name("x"), &[(&accounts[0], parts[0]), (&accounts[1], parts[1])]);
    attempt(&town.context, &name("y"), &[(&accounts[2], parts[0]), (&accounts[3], parts[1])]);
    let mut fork = luck.clone();
    let straight = history(&name("x"), &mut luck);
    let mut crooked = history(&name("y"), &mut fork);
    for event in &straight {
        deliver(&town.context, event);
    }
    settle_all(&town.context);
    for _ in 0..luck.random_range(0..crooked.len() * 2) {
        let again = crooked[luck.random_range(0..crooked.len())].clone();
        crooked.push(again);
    }
    crooked.shuffle(&mut luck);
    for event in &crooked {
        deliver(&town.context, event);
        if luck.random_bool(0.5) {
            settle_all(&town.context);
        }
    }
    settle_all(&town.context);
    for (a, b) in [(0, 2), (1, 3)] {
        let (left, right) = (net(&town.context, &accounts[a], &name("x")), net(&town.context, &accounts[b], &name("y")));
        assert_eq!(left, right, "AQUABILLS_SEED={seed}: {crooked:#?}");
    }
}

fn scenarios(start: fn() -> Town, from: u64, count: u64) {
    let mut done = 0;
    while done < count {
        let here = IN_ONE_TOWN.min(count - done);
        let town = town(start(), usize::try_from(here * 4).unwrap());
        for place in 0..here {
            scenario(&town, from + done + place, place);
        }
        town.assert_sound();
        done += here;
    }
}

/// Ten thousand in all when everything is asked for (`AQUABILLS_WHOLE=1`), else a thousand; half of them on each database.
fn how_many() -> u64 {
    if std::env::var_os("AQUABILLS_WHOLE").is_some() { 5_000 } else { 500 }
}

fn run(start: fn() -> Town, from: u64) {
    match std::env::var("AQUABILLS_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => scenarios(start, seed, 1),
        None => scenarios(start, from, how_many()),
    }
}

#[test]
fn sqlite() {
    run(Town::sqlite, 0);
}

#[test]
fn postgres() {
    run(Town::postgres, 1_000_000);
}
