//! Payments at a provider, told in events that come in any order and more than once, and what they come to in the end.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use crate::bank::{Bank, OPEN, count, number};
use crate::support::plain_provider::{Event, NAME, begin, signature};

/// One payment's life: begun, paid, perhaps corrected, partly given back, disputed, won. Its events are delivered shuffled, some
/// of them twice; what they come to is noted first, because whatever is acknowledged counts.
pub fn tell_a_story(bank: &Bank, rng: &mut StdRng, name: &str) {
    let account = rng.random_range(0..OPEN);
    let (payment, token) = (format!("pi_{name}"), format!("token {name}"));
    let cents = rng.random_range(100..20_000);
    begin(&bank.town, &token, &[(&number(account), cents)]);
    let named = |event: Event| event.with("token", token.as_str());
    let mut events = vec![
        named(Event::payment(&format!("{name} begun"), 100, &payment, "created", cents)),
        Event::payment(&format!("{name} submitted"), 101, &payment, "submitted", cents),
    ];
    let mut comes_to = 0;
    if rng.random_range(0..10) == 0 {
        events.push(named(Event::payment(&format!("{name} failed"), 102, &payment, "failed", cents)));
    } else {
        events.push(named(Event::payment(&format!("{name} paid"), 102, &payment, "succeeded", cents)));
        comes_to = -cents;
    }
    if comes_to != 0 && rng.random_range(0..4) == 0 {
        let corrected = cents + rng.random_range(-90..=5_000);
        events.push(Event::payment(&format!("{name} corrected"), 103, &payment, "succeeded", corrected));
        comes_to = -corrected;
    }
    comes_to += go_back(&mut events, rng, name, &payment, -comes_to);
    let again: Vec<Event> = events.iter().filter(|_| rng.random_range(0..3) == 0).cloned().collect();
    events.extend(again);
    events.shuffle(rng);
    *bank.events.lock().expect("no writer failed").entry(account).or_default() += comes_to;
    for event in &events {
        let body = event.body();
        bank.inbox.receive(&bank.town.context, NAME, &body, Some(&signature(&body))).expect("the event is taken");
        count(&bank.counts.deliveries);
    }
}

/// What goes back of `came` cents, and stays so.
fn go_back(events: &mut Vec<Event>, rng: &mut StdRng, name: &str, payment: &str, came: i64) -> i64 {
    if came == 0 {
        return 0;
    }
    match rng.random_range(0..8) {
        0 => {
            let back = rng.random_range(1..=came);
            events.push(Event::refund(&format!("{name} given back"), 104, payment, &format!("re_{name}"), back, true));
            back
        }
        1 => {
            let back = rng.random_range(1..=came);
            events.push(Event::refund(&format!("{name} given back"), 104, payment, &format!("re_{name}"), back, true));
            events.push(Event::refund(&format!("{name} not given back"), 105, payment, &format!("re_{name}"), back, false));
            0
        }
        2 => {
            events.push(Event::dispute(&format!("{name} disputed"), 104, payment, &format!("dp_{name}"), came, false));
            came
        }
        3 => {
            events.push(Event::dispute(&format!("{name} disputed"), 104, payment, &format!("dp_{name}"), came, false));
            events.push(Event::dispute(&format!("{name} won"), 105, payment, &format!("dp_{name}"), came, true));
            0
        }
        _ => 0,
    }
}
