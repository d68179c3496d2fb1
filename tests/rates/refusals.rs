//! Every kind of tariff that is refused, with the place and what was expected.

use super::rates_support::*;
use aquabills::domain::rates::Tariff;

/// The lines before the parts of `home`: a part's first line is line 7.
fn refused_home(parts: &str) -> String {
    refused(&home(parts))
}

#[test]
fn unreadable_yaml() {
    assert!(refused("rate_structure: [").contains("not readable YAML"));
    assert!(refused("rate_structure:\n  A:\n   bill: \"1\n").contains("not readable YAML"));
    assert_eq!(refused(""), "file: no `rate_structure`: expected a map of rate classes");
    assert_eq!(refused("just text"), "file: no `rate_structure`: expected a map of rate classes");
    assert_eq!(refused("rate_structure:\n"), "line 1: `rate_structure` has no rate class: expected a map of rate classes");
    assert_eq!(
        refused("rate_structure:\n  A: {bill: 1}\n---\nrate_structure:\n  A: {bill: 2}\n"),
        "line 4: a second document with a `rate_structure`: expected one"
    );
    assert_eq!(refused("rate_structure:\n  A: 5\n  B: {bill: 1}\n"), "line 2, class A: a text: expected a map of named parts");
}

#[test]
fn duplicate_keys() {
    assert_eq!(refused_home("a: 1\nbill: a\na: 2"), "line 9, class HOME: duplicate key `a`: first on line 7");
    assert_eq!(refused("rate_structure:\n  A: {bill: 1}\n  A: {bill: 1}\n"), "line 3: duplicate key `A`: first on line 2");
    assert_eq!(
        refused_home("Service Charge: 1\nbill: 1\nservice_charge: 2"),
        "line 9, class HOME, part service_charge: the same name as `Service Charge` on line 7"
    );
    assert_eq!(
        refused_home("bill:\n  depends_on: meter_size\n  values:\n    1|1/2\": 1\n    1 1/2\": 2"),
        "line 7, class HOME, part bill: key `1 1/2\"` on line 11 means the same as `1|1/2\"` on line 10"
    );
}

#[test]
fn missing_bill() {
    assert_eq!(refused_home("service_charge: 1"), "line 6, class HOME: no part `bill`: expected the formula of the bill");
}

#[test]
fn names_that_go_round_in_a_circle() {
    assert_eq!(refused_home("a: b+1\nb: 2*c\nc: a\nbill: a"), "line 7, class HOME, part a: names that go round in a circle: a → b → c → a");
    assert!(
        refused_home(
            "commodity_charge: Budget\nbudget: budget_b\nbudget_b: budget\ntier_starts: [0, 100%]\ntier_prices: [1, 2]\nbill: commodity_charge"
        )
        .contains("names that go round in a circle: budget → budget_b → budget")
    );
    assert!(refused_home("budget: Budget\ntier_starts: [0, 100%]\ntier_prices: [1, 2]\nbill: budget").contains("circle: budget → budget"));
}

#[test]
fn depth_is_bounded() {
    let mut chain: String = (0..100).map(|n| format!("p{n}: p{}\n", n + 1)).collect();
    chain.push_str("p100: 1\nbill: p0");
    assert!(refused_home(&chain).contains("parts naming parts more than 64 deep"));
    let sum = vec!["x"; 100].join("+");
    let mut deep: String = (0..9).map(|n| format!("p{n}: p{}+{sum}\n", n + 1)).collect();
    deep.push_str("p9: 1\nx: 1\nbill: p0");
    assert!(refused_home(&deep).contains("formulas more than 256 deep in all"));
    let nested = format!("bill: {}1{}", "(".repeat(500), ")".repeat(500));
    assert!(refused_home(&nested).contains("more than 128 deep"));
}

#[test]
fn doubling_names_cost_no_time() {
    let mut doubling: String = (0..50).map(|n| format!("p{n}: p{}+p{}\n", n + 1, n + 1)).collect();
    doubling.push_str("p50: usage_ccf*0\nbill: p0*p0");
    let text = home(&doubling);
    assert_eq!(total(&text, "1", &[]), "0.00");
}

#[test]
fn block_charges_without_tiers() {
    assert_eq!(
        refused_home("commodity_charge: Tiered\ntier_prices: [1]\nbill: commodity_charge"),
        "line 7, class HOME, part commodity_charge: a block charge without tiers: expected a part `tier_starts`"
    );
    assert_eq!(
        refused_home("sewer_charge: Tiered\ntier_starts: [0]\ntier_prices: [1]\nbill: sewer_charge"),
        "line 7, class HOME, part sewer_charge: a block charge without tiers: expected a part `sewer_tier_prices`\n\
         line 7, class HOME, part sewer_charge: a block charge without tiers: expected a part `sewer_tier_starts`"
    );
}

#[test]
fn tiers_of_unequal_length() {
    assert_eq!(
        refused_home("commodity_charge: Tiered\ntier_starts: [0, 10]\ntier_prices: [1, 2, 3]\nbill: commodity_charge"),
        "line 8, class HOME, part tier_starts: 2 tier starts but 3 prices in tier_prices on line 9: expected as many of one as of the other"
    );
    assert_eq!(
        refused_home(
            "commodity_charge: Tiered\ntier_starts:\n  depends_on: season\n  values:\n    Summer: [0, 10]\n    Winter: [0]\n\
             tier_prices:\n  depends_on: season\n  values:\n    Winter: [1]\n    Summer: [1, 2, 3]\nbill: commodity_charge"
        ),
        "line 11, class HOME, part tier_starts: 2 tier starts for `Summer` but 3 prices for `Summer` in tier_prices on line 17: expected as many of one as of the other"
    );
    assert!(
        refused_home(
            "commodity_charge: Tiered\ntier_starts:\n  depends_on: season\n  values:\n    Summer: [0, 10]\n    Winter: [0]\n\
         tier_prices: [1, 2]\nbill: commodity_charge"
        )
        .contains("1 tier starts for `Winter` but 2 prices")
    );
}

#[test]
fn prices_that_are_no_numbers() {
    for (price, message) in [
        ("abc", "line 11, class HOME, part tier_prices: price `abc`: expected a number"),
        ("5%", "line 11, class HOME, part tier_prices: price `5%`: expected a number"),
        ("1.2.3", "line 11, class HOME, part tier_prices: `1.2.3`: `1.2.3` is not a number"),
        ("$5", "line 11, class HOME, part tier_prices: `$5`: `$` at character 1: expected numbers, names, + - * / and parentheses"),
        ("", "line 11, class HOME, part tier_prices: nothing in a list: expected a number"),
        ("[1]", "line 11, class HOME, part tier_prices: a list in a list: expected a number"),
    ] {
        let text = home(&format!("commodity_charge: Tiered\ntier_starts: [0, 10]\ntier_prices:\n  - 1\n  - {price}\nbill: commodity_charge"));
        assert_eq!(refused(&text), message);
    }
    assert_eq!(
        refused_home("flat_rate: 2.5 dollars\nbill: flat_rate*usage_ccf"),
        "line 7, class HOME, part flat_rate: `2.5 dollars`: expected an operator or the end at character 5"
    );
}

#[test]
fn holes_in_a_map() {
    let map = |values: &str| home(&format!("bill:\n  depends_on: [meter_size, zone]\n  values:\n{values}"));
    assert_eq!(
        refused(&map("    1\"|a: 1\n    2\"|a:")),
        "line 11, class HOME, part bill: key `2\"|a`: nothing given: expected a number, a formula, a list or a map"
    );
    assert_eq!(
        refused(&map("    1\"|a: 1\n    2\": 2")),
        "line 7, class HOME, part bill: key `2\"` on line 11: expected meter_size|zone joined by |"
    );
    assert!(refused(&map("    1\"|a|x: 1")).contains("key `1\"|a|x` on line 10: expected meter_size|zone"));
    assert!(refused_home("bill:\n  depends_on: zone\n  values:").contains("`values` is nothing: expected a map of keys"));
    assert!(refused_home("bill:\n  depends_on: zone\n  values: [1, 2]").contains("`values` is a list: expected a map of keys"));
    assert!(refused_home("bill:\n  depends_on: zone").contains("`depends_on` without `values`: expected both"));
    assert!(refused_home("bill:\n  values: {a: 1}").contains("`values` without `depends_on`: expected both"));
    assert!(refused_home("bill:\n  depends_on: []\n  values: {a: 1}").contains("`depends_on`: expected a name or a list of names"));
    assert!(refused_home("bill:\n  fixed: 1\n  other: 2").contains("a group of names: expected `depends_on` and `values`"));
    assert!(refused_home("bill:").contains("part bill: nothing given"));
    assert!(refused_home("bill: rates\nrates: []").contains("part rates: an empty list: expected at least one value"));
}

#[test]
fn ranges_that_do_not_fit() {
    let range = |starts: &str, values: &str| refused_home(&format!("bill:\n  depends_on: area\n  area_starts: {starts}\n  values: {values}"));
    assert!(range("[1, 2]", "[1]").contains("2 area_starts but 1 values: expected as many"));
    assert!(range("[2, 1]", "[1, 2]").contains("`area_starts`: expected rising numbers"));
    assert!(range("[1, x]", "[1, 2]").contains("`area_starts`: expected a list of numbers"));
}

#[test]
fn unknown_and_wrong_settings() {
    let settings = |block: &str| refused(&home_with(block, "bill: 1"));
    assert_eq!(
        settings("tier_rules: boundary"),
        "line 6: aquabills: unknown setting `tier_rules`: expected one of schedule, tier_rule, rounding, proration, metered, usage, equivalent_units, dwelling_units, minimum, discounts, fees_and_taxes, classes"
    );
    assert_eq!(settings("tier_rule: border"), "line 6: aquabills: `tier_rule` is `border`: expected first_unit, boundary");
    assert_eq!(
        settings("proration:\n  short: by_days"),
        "line 7: aquabills: unknown setting `short`: expected one of short_periods, standard_days, rate_change"
    );
    assert_eq!(settings("proration:\n  standard_days: 0"), "line 7: aquabills: `standard_days` is `0`: expected a number of days from 1 to 1000");
    assert_eq!(settings("rounding:\n  - up"), "line 6: aquabills: `rounding` is a list: expected half_up, half_even, up, down");
    assert_eq!(settings("classes:\n  SHOP: {rounding: up}"), "line 7: aquabills: no rate class `SHOP`: expected one of HOME");
    assert!(settings("classes:\n  HOME: {classes: {}}").contains("unknown setting `classes`"));
    assert!(refused("aquabills: on\nrate_structure:\n  A: {bill: 1}\n").contains("`aquabills` is `on`: expected a map of settings"));
}

#[test]
fn unreadable_date() {
    let text = home("bill: 1").replace("2020-01-01", "sometime");
    assert_eq!(refused(&text), "line 2: effective_date `sometime`: expected a date like 2017-07-01 or 07/01/2017");
}

#[test]
fn what_the_bill_cannot_reach_is_not_refused() {
    let text = home("note: \"Adopted in 2019, see Ord. 5!\"\nempty:\nold_rates:\n  a: 1\nbill: 1");
    assert_eq!(total(&text, "0", &[]), "1.00");
    let beside = format!("{}capacity_charge:\n  depends_on: x\n", home("bill: 1"));
    assert_eq!(total(&beside, "0", &[]), "1.00");
}

#[test]
fn every_error_is_told_at_once() {
    let text = "rate_structure:\n  A:\n    bill: 1+\n  B:\n    bill: x\n    x: y\n    y: x\n  C:\n    bill: 3\n";
    assert_eq!(refused(text).lines().count(), 2);
    let (usable, errors) = Tariff::parse_usable_classes(text).unwrap();
    assert_eq!(usable.classes().collect::<Vec<_>>(), ["C"]);
    assert_eq!(errors.0.len(), 2);
    assert_eq!(errors.0[0].place.class.as_deref(), Some("A"));
    assert_eq!(errors.0[0].place.part.as_deref(), Some("bill"));
    assert_eq!(errors.0[0].place.line, Some(3));
}
