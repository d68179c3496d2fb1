//! A year of a town as one story on both databases: every bill of it is worked out a second time, by the published rules
//! and without the program (`rules.rs`, `meters.rs`, `model.rs`), and must be the same to the cent.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on must fail loudly")]

#[path = "../support/mod.rs"]
mod support;

mod compare;
mod events;
mod faults;
mod hand;
mod meters;
mod model;
mod rules;
mod teller;
mod town;

use events::Event;
use model::Town as Model;
use rules::{Rates, day, published};
use support::{Town, dump, on_both};
use teller::Teller;
use town::Year;

/// The town's tariff files.
fn tariffs() -> Vec<String> {
    [
        include_str!("../fixtures/year/water-2025.owrs"),
        include_str!("../fixtures/year/water-2028.owrs"),
        include_str!("../fixtures/year/sewer-2025.owrs"),
        include_str!("../fixtures/year/sewer-2028.owrs"),
        include_str!("../fixtures/year/storm-2025.owrs"),
        include_str!("../fixtures/year/storm-2028.owrs"),
        include_str!("../fixtures/year/fire-2025.owrs"),
        include_str!("../fixtures/year/fire-2028.owrs"),
    ]
    .map(str::to_owned)
    .to_vec()
}

/// What came of a story.
struct Told {
    teller: Teller,
    model: Model,
    /// With every amount spelt out.
    events: Vec<Event>,
    differences: Vec<String>,
}

/// Tells so many months of the story to both, and finds every difference.
fn told(town: Town, months: u32, tariffs: &[String], rates: Vec<Rates>) -> Told {
    let mut model = Model::new(rates);
    let mut teller = Teller::new(town, tariffs);
    let mut events = Vec::new();
    for event in Year::told(months).events {
        let spelt_out = model.happens(&event);
        teller.tell(&spelt_out);
        events.push(spelt_out);
    }
    let differences = compare::differences(&teller, &model);
    Told { teller, model, events, differences }
}

fn assert_same(differences: &[String]) {
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences[..differences.len().min(40)].join("\n"));
}

/// Everything but what says that a command was given at all.
fn state(town: &Town) -> Vec<String> {
    let commands = ["audit_event: ", "bill_run: ", "bill_run_chunk: ", "bill_run_exception: ", "lease: "];
    dump(town).into_iter().filter(|row| !commands.iter().any(|table| row.starts_with(table))).collect()
}

on_both! {
    fn every_bill_of_the_year_is_right(town: Town) {
        let told = told(town, 12, &tariffs(), published());
        assert_same(&told.differences);
        assert_same(&hand::differences(&told.teller, &told.model));
        told.teller.town.assert_sound();
    }

    fn everything_said_twice_is_as_if_said_once(town: Town) {
        let mut told = told(town, 9, &tariffs(), published());
        assert_same(&told.differences);
        let before = state(&told.teller.town);
        // Four months with estimates, moves, an exchange, terms, held reads, returns, transfers, runs; all over again.
        let again = told.events.iter().filter(|event| event.on >= day("2028-05-01") && event.on <= day("2028-08-31"));
        for event in again {
            told.teller.tell_again(event);
        }
        let after = state(&told.teller.town);
        let new: Vec<&String> = after.iter().filter(|row| !before.contains(row)).collect();
        assert!(before == after, "{} rows, now {}; new are {new:#?}", before.len(), after.len());
        told.teller.town.assert_sound();
    }
}

#[test]
fn a_wrong_price_in_the_model_is_found() {
    let mut rates = published();
    let home = rates.iter_mut().find(|rates| rates.schedule == "water" && rates.class == "HOME").expect("rates");
    home.blocks[1].1 += 1;
    let told = told(Town::sqlite(), 1, &tariffs(), rates);
    assert!(told.differences.len() > 10, "{:#?}", told.differences);
}

#[test]
fn a_wrong_block_in_the_programs_tariff_is_found() {
    let mut wrong = tariffs();
    let right = wrong[0].clone();
    wrong[0] = right.replacen("tier_starts: [0, 6, 15]", "tier_starts: [0, 7, 15]", 1);
    assert_ne!(wrong[0], right);
    let told = told(Town::sqlite(), 1, &wrong, published());
    // A house with 10 units: 7 at 2.10 and 3 at 3.35, a unit too many at the lower price.
    assert!(told.differences.iter().any(|difference| difference.starts_with("A01 of 2028-01-17: segments")), "{:#?}", told.differences);
    assert_eq!(told.model.bills[0].account, "A01");
}
