//! For corrections of any kind, in any number: what is found is, to the cent, the difference to a town that knew it right from the start.

use aquabills::actions::correct_meter::{RegisterChange, correct_register};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::support::TARIFF;

const MONTHS: [&str; 5] = ["2026-01-01", "2026-02-01", "2026-03-01", "2026-04-01", "2026-05-01"];
const SERVICES: usize = 3;

/// What is known of the town.
#[derive(Debug, Clone)]
struct Known {
    /// Units of each service in each month.
    used: Vec<[i64; 4]>,
    multipliers: Vec<i64>,
    shop: Vec<bool>,
    /// Where the second tier begins, and what a unit costs there, in cents.
    tier: (i64, i64),
}

/// Something that was wrong when it was billed.
#[derive(Debug, Clone)]
enum Mistake {
    Read { service: usize, month: usize, units: i64 },
    Multiplier { service: usize, milli: i64 },
    Class { service: usize },
    Tier { start: i64, cents: i64 },
}

fn known() -> impl Strategy<Value = Known> {
    let used = prop::collection::vec(prop::array::uniform4(0_i64..40), SERVICES);
    let multipliers = prop::collection::vec(prop::sample::select(vec![1000_i64, 2000, 500]), SERVICES);
    let shop = prop::collection::vec(any::<bool>(), SERVICES);
    (used, multipliers, shop, (5_i64..20, 250_i64..500)).prop_map(|(used, multipliers, shop, tier)| Known { used, multipliers, shop, tier })
}

fn mistake() -> impl Strategy<Value = Mistake> {
    let service = 0..SERVICES;
    prop_oneof![
        (service.clone(), 1..5_usize, -4_i64..5).prop_map(|(service, month, units)| Mistake::Read { service, month, units }),
        (service.clone(), prop::sample::select(vec![1000_i64, 2000, 10_000])).prop_map(|(service, milli)| Mistake::Multiplier { service, milli }),
        service.prop_map(|service| Mistake::Class { service }),
        (5_i64..20, 250_i64..500).prop_map(|(start, cents)| Mistake::Tier { start, cents }),
    ]
}

impl Known {
    /// What each register shows at each month's end.
    fn readings(&self, service: usize) -> Vec<i64> {
        let mut shown = vec![100];
        for units in self.used[service] {
            shown.push(shown[shown.len() - 1] + units);
        }
        shown
    }

    fn tariff(&self) -> String {
        let (start, cents) = self.tier;
        TARIFF.replace("[0, 10]", &format!("[0, {start}]")).replace("3.50", &format!("{}.{:02}", cents / 100, cents % 100))
    }
}

/// The town as it was thought to be.
fn mistaken(right: &Known, mistakes: &[Mistake]) -> (Known, Vec<Vec<i64>>) {
    let mut thought = right.clone();
    let mut shown: Vec<Vec<i64>> = (0..SERVICES).map(|service| right.readings(service)).collect();
    for mistake in mistakes {
        match mistake {
            // Readings stay in order, and the last stays right: a read that is too low is no rollover.
            Mistake::Read { service, month, units } => {
                let readings = &mut shown[*service];
                let after = readings.get(month + 1).copied().unwrap_or(i64::MAX);
                readings[*month] = (readings[*month] + units).clamp(readings[month - 1], after);
            }
            Mistake::Multiplier { service, milli } => thought.multipliers[*service] = *milli,
            Mistake::Class { service } => thought.shop[*service] = !thought.shop[*service],
            Mistake::Tier { start, cents } => thought.tier = (*start, *cents),
        }
    }
    (thought, shown)
}

fn billed(town: Town, known: &Known, shown: &[Vec<i64>]) -> Town {
    town.tariff(&known.tariff()).expect("the tariff is accepted");
    let mut csv = "customer_id,service_id,rate_class,meter_id,register_digits,multiplier\n".to_owned();
    let mut rows = Vec::new();
    for (service, readings) in shown.iter().enumerate() {
        let class = if known.shop[service] { "SHOP" } else { "HOME" };
        let multiplier = known.multipliers[service];
        csv += &format!("A{service},S{service},{class},M{service},4,{}.{:03}\n", multiplier / 1000, multiplier % 1000);
        rows.extend(MONTHS.iter().zip(readings).map(|(on, units)| format!("M{service},{on},{units}")));
    }
    assert_eq!(town.services(&csv).expect("the services are read").refused, 0);
    town.reads(&rows.iter().map(String::as_str).collect::<Vec<_>>());
    aquabills::actions::held::decide_all(&town.context, None, aquabills::actions::held::Decision::Release, "right").expect("all are released");
    town.bill("2026-05-01");
    town
}

fn put_all_right(town: &Town, right: &Known, thought: &Known, shown: &[Vec<i64>]) {
    for (service, readings) in shown.iter().enumerate() {
        let meter = format!("M{service}");
        for (month, (was, is)) in readings.iter().zip(right.readings(service)).enumerate() {
            if *was != is {
                set_aside(town, &meter, MONTHS[month]);
                corrected(town, &meter, MONTHS[month], is);
            }
        }
        if right.multipliers[service] != thought.multipliers[service] {
            let multiplier_milli = Some(right.multipliers[service]);
            let change = RegisterChange { meter, register: "1".to_owned(), multiplier_milli, note: "so".to_owned(), ..RegisterChange::default() };
            correct_register(&town.context, &change).expect("the register is put right");
        }
        if right.shop[service] != thought.shop[service] {
            let class = if right.shop[service] { "SHOP" } else { "HOME" };
            put_right(town, &terms(&format!("S{service}"), MONTHS[0], Some(class), &[]));
        }
    }
    if right.tier != thought.tier {
        supersede(town, &right.tariff());
    }
}

/// Service, end and cents of every bill.
fn cents(town: &Town) -> Vec<(String, String, i64)> {
    town.totals().into_iter().map(|(service, end, total)| (service, end, total.parse::<Money>().expect("an amount").cents())).collect()
}

fn law(make: fn() -> Town, right: &Known, mistakes: &[Mistake]) {
    let (thought, shown) = mistaken(right, mistakes);
    let town = billed(make(), &thought, &shown);
    assert!(scan(&town).is_clean(), "before anything is put right");
    let before = cents(&town);
    put_all_right(&town, right, &thought, &shown);
    let report = scan(&town);
    let truth: Vec<Vec<i64>> = (0..SERVICES).map(|service| right.readings(service)).collect();
    let after = cents(&billed(make(), right, &truth));
    let mut expected: Vec<(String, String, i64)> = Vec::new();
    for ((service, end, was), (_, _, is)) in before.iter().zip(&after) {
        if was != is {
            expected.push((service.clone(), end.clone(), is - was));
        }
    }
    let mut found = Vec::new();
    for case in open_cases(&town) {
        assert_ne!(case.row.cause, "other", "{case:#?}");
        found.extend(
            findings(&town, &case)
                .into_iter()
                .map(|view| (view.row.service_id.clone().expect("a service"), view.row.to_on.to_string(), view.row.difference_cents)),
        );
    }
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    assert_eq!(report.unjudged, 0, "{:?}", report.first_unjudged);
    assert_eq!(town.verify().differences, 0);
}

fn run(make: fn() -> Town, cases: u32) {
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, max_shrink_iters: 20, ..Config::default() });
    let strategy = (known(), prop::collection::vec(mistake(), 1..5));
    let outcome = runner.run(&strategy, |(right, mistakes)| {
        law(make, &right, &mistakes);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn what_is_found_is_the_difference_to_the_truth_sqlite() {
    run(Town::sqlite, 40);
}

#[test]
fn what_is_found_is_the_difference_to_the_truth_postgres() {
    run(Town::postgres, 8);
}
