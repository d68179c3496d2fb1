//! Faults that the year found, each with the shortest story that shows it.

use aquabills::actions::change_terms::{TermChange, change_terms};
use aquabills::actions::estimate::estimate_missing;
use aquabills::actions::moves::{MoveIn, MoveOut, Reading, move_in, move_out};

use crate::support::{Town, day};

const SEWER: &str = include_str!("../fixtures/year/sewer-2025.owrs");
const STORM: &str = include_str!("../fixtures/year/storm-2025.owrs");

/// A house with a bill of 30 units (or so) in January 2026, on the 1 of each month.
fn house(first: i64, second: i64) -> Town {
    let town = Town::sqlite().with_services(&["A1,S1,HOME,M1"]);
    town.reads(&[&format!("M1,2026-01-01,{first}"), &format!("M1,2026-02-01,{second}")]);
    town.bill("2026-02-01");
    town
}

fn estimated(town: &Town, on: &str) {
    assert_eq!(estimate_missing(&town.context, "all", day(on), false).expect("it is estimated").estimated, 1);
    let report = town.bill(on);
    assert_eq!((report.totals.billed, report.totals.held), (1, 0), "the estimate of {on} is not billed");
}

fn read(town: &Town, row: &str, on: &str) {
    assert_eq!(town.reads(&[row]).accepted, 1);
    let report = town.bill(on);
    assert_eq!((report.totals.billed, report.totals.held), (1, 0), "the read of {on} is not billed");
}

#[test]
fn f1_a_register_rolls_over_between_two_estimates() {
    let town = house(9_930, 9_960);
    estimated(&town, "2026-03-01");
    // 9,987 and then 17: an estimate knows that it goes through zero.
    estimated(&town, "2026-04-01");
    read(&town, "M1,2026-05-01,50", "2026-05-01");
    town.assert_sound();
}

#[test]
fn f2_a_meter_is_exchanged_between_two_estimates() {
    let town = house(100, 110);
    estimated(&town, "2026-03-01");
    assert_eq!(town.exchanges(&["S1,2026-03-10,M1,125,N1,0,4"]).accepted, 1);
    estimated(&town, "2026-04-01");
    read(&town, "N1,2026-05-01,17", "2026-05-01");
    // 15 + 17 = 32 units in 89 days: 10.067 in 28, 11.146 in 31, 10.787 in 30.
    town.assert_sound();
}

#[test]
fn f3_the_last_reading_of_the_old_meter_is_below_the_estimate() {
    let town = house(100, 110);
    estimated(&town, "2026-03-01");
    assert_eq!(town.exchanges(&["S1,2026-03-10,M1,112,N1,0,4"]).accepted, 1);
    estimated(&town, "2026-04-01");
    read(&town, "N1,2026-05-01,17", "2026-05-01");
    town.assert_sound();
}

#[test]
fn f4_an_exchange_on_a_billing_day_and_then_an_estimate() {
    let town = house(100, 110);
    assert_eq!(town.exchanges(&["S1,2026-03-01,M1,120,N1,0,4"]).accepted, 1);
    estimated(&town, "2026-04-01");
    read(&town, "N1,2026-05-01,17", "2026-05-01");
    town.assert_sound();
}

fn sewer_town(sewer: &[String], class: &str, from_winter_to: &[&str]) -> Town {
    let town = Town::sqlite().with_services(&["A1,S1,HOME,M1"]);
    for tariff in sewer {
        town.tariff(tariff).expect("the tariff is accepted");
    }
    let header = "customer_id,service_id,rate_class,meter_id,register_digits,schedule,measured_by";
    assert_eq!(town.services(&format!("{header}\nA1,Z1,{class},,,sewer,S1\n")).expect("the services are read").accepted, 1);
    town.reads(&["M1,2025-12-01,100", "M1,2026-01-01,103", "M1,2026-02-01,106", "M1,2026-03-01,109", "M1,2026-04-01,129"]);
    town.reads(from_winter_to);
    town
}

fn change(town: &Town, on: &str, class: &str) {
    let change =
        TermChange { service: "Z1".into(), effective_on: day(on), rate_class: Some(class.into()), attributes: vec![], note: "a change".into() };
    change_terms(&town.context, &change).expect("the terms change");
}

fn last_of(town: &Town, service: &str) -> String {
    town.totals().into_iter().rfind(|(code, ..)| code == service).expect("a segment").2
}

#[test]
fn f5_a_shop_becomes_a_house_and_its_winter_is_known() {
    let town = sewer_town(&[SEWER.to_owned()], "SHOP", &[]);
    town.bill("2026-04-01");
    change(&town, "2026-04-01", "HOME");
    town.reads(&["M1,2026-05-01,149"]);
    town.bill("2026-05-01");
    // 6 in the 62 days to 1 February are 2.903 in 30: 18.40 + 9.14445 = 27.54; with the default of 8 it would be 43.60.
    assert_eq!(last_of(&town, "Z1"), "27.54");
}

#[test]
fn f6_a_shop_becomes_a_house_within_a_period() {
    let town = sewer_town(&[SEWER.to_owned()], "HOME", &["M1,2026-05-01,149"]);
    town.bill("2026-04-01");
    change(&town, "2026-04-01", "SHOP");
    town.bill("2026-05-01");
    change(&town, "2026-05-11", "HOME");
    town.reads(&["M1,2026-06-01,169"]);
    town.bill("2026-06-01");
    // 10 of 31 days as a shop: 31.00 + 19 x 4.20 = 110.80; 21 as a house with a winter of 3 in 31 days: 18.40 + 9.45 = 27.85.
    assert_eq!(last_of(&town, "Z1"), "54.61");
}

#[test]
fn f7_sewer_goes_over_to_winter_averages_within_a_period() {
    let by_winter = "basis: winter_average\n    winter_months: [12, 1, 2]\n    lower_of: true\n    cap: 20\n    default: 8";
    let sewer = [SEWER.replace(by_winter, "basis: metered"), SEWER.replace("2025-01-01", "2026-04-11")];
    let town = sewer_town(&sewer, "HOME", &["M1,2026-05-01,149"]);
    town.bill("2026-05-01");
    // 10 of 30 days 18.40 + 20 x 3.15 = 81.40, 20 days 27.54445: 45.4963
    assert_eq!(last_of(&town, "Z1"), "45.50");
}

fn reading(meter: &str, units: i64) -> Reading {
    Reading { meter: meter.to_owned(), register: "1".to_owned(), reading_milli: units * 1000 }
}

fn moves(town: &Town, on: &str, readings: Vec<Reading>) {
    let (account, service, note) = ("A1".to_owned(), "S1".to_owned(), "moves".to_owned());
    move_out(&town.context, &MoveOut { account, service: service.clone(), on: day(on), readings, mailing_address: None, note: note.clone() })
        .expect("A1 leaves");
    let (account, name) = ("B1".to_owned(), Some("Bea".to_owned()));
    move_in(&town.context, &MoveIn { account, name, email: None, service, on: day(on), readings: vec![], note }).expect("B1 comes");
}

#[test]
fn f8_stormwater_of_a_premise_goes_with_its_tenant() {
    let town = Town::sqlite().with_services(&["A1,S1,HOME,M1"]);
    town.tariff(STORM).expect("the tariff is accepted");
    town.services("customer_id,service_id,rate_class,meter_id,register_digits,address\nA1,S1,HOME,M1,4,1 Main Street\n").expect("the address");
    // The same account and address: it is at the same premise, without saying by which meter it is measured.
    let header = "customer_id,service_id,rate_class,meter_id,register_digits,schedule,start_on,attributes,address";
    let attributes = "\"{\"\"impervious_area\"\": 100}\"";
    town.services(&format!("{header}\nA1,R1,ANY,,,stormwater,2026-01-01,{attributes},1 Main Street\n")).expect("the services are read");
    town.reads(&["M1,2026-01-01,100", "M1,2026-02-01,110"]);
    town.bill("2026-02-01");
    moves(&town, "2026-02-10", vec![reading("M1", 112)]);
    town.bill("2026-03-01");
    let who: Vec<(String, String)> = town.bills().iter().map(|row| (row[1].to_owned(), row[3].to_owned())).collect();
    assert!(who.contains(&("B1".to_owned(), "2026-02-10".to_owned())), "nobody but A1 pays for the stormwater: {who:?}");
}

#[test]
fn f9_a_tenant_leaves_on_the_day_of_an_exchange() {
    let town = house(100, 110);
    assert_eq!(town.exchanges(&["S1,2026-02-10,M1,115,N1,0,4"]).accepted, 1);
    moves(&town, "2026-02-10", vec![reading("N1", 0)]);
    town.reads(&["N1,2026-03-01,7"]);
    town.bill("2026-03-01");
    let bills: Vec<_> = town.bills();
    // The 5 units of A1's last days are billed to A1.
    assert!(bills.iter().any(|row| &row[1] == "A1" && &row[4] == "2026-02-10" && &row[5] == "5"), "{bills:#?}");
}

#[test]
fn f10_a_bill_that_catches_up_more_than_eighteen_months_knows_its_winters() {
    let town = Town::sqlite().with_services(&["A1,S1,HOME,M1"]);
    town.tariff(&SEWER.replace("2025-01-01", "2020-01-01")).expect("the tariff is accepted");
    let header = "customer_id,service_id,rate_class,meter_id,register_digits,schedule,measured_by";
    town.services(&format!("{header}\nA1,Z1,HOME,,,sewer,S1\n")).expect("the services are read");
    town.reads(&["M1,2023-12-01,100", "M1,2024-01-01,103", "M1,2024-02-01,106", "M1,2024-03-01,109", "M1,2024-04-01,129", "M1,2024-05-01,149"]);
    town.reads(&["M1,2026-03-01,200"]);
    town.bill("2026-03-01");
    let april = town.totals().into_iter().find(|(code, end, _)| code == "Z1" && end == "2024-05-01").expect("a segment");
    // 6 in the 62 days to 1 February 2024 are 2.903 in 30: 27.54; with the default of 8 it would be 43.60.
    assert_eq!(april.2, "27.54");
}

#[test]
fn f11_terms_said_again_after_their_bill_are_there_already() {
    let town = sewer_town(&[SEWER.to_owned()], "SHOP", &[]);
    change(&town, "2026-02-10", "HOME");
    town.bill("2026-04-01");
    change(&town, "2026-02-10", "HOME");
}
