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
        "line 6: aquabills: unknown setting `tier_rules`: expected one of schedule, tier_rule, rounding, proration, metered, usage, equivalent_units, dwelling_units, minimum, discounts, fees_and_taxes, returned_payment_fee, classes"
    );
    assert_eq!(settings("tier_rule: border"), "line 6: aquabills: `tier_rule` is `border`: expected first_unit, boundary");
    assert_eq!(
        settings("proration:\n  short: by_days"),
        "line 7: aquabills: unknown setting `short`: expected one of short_periods, standard_days, rate_change"
    );
    assert_eq!(settings("proration:\n  standard_days: 0"), "line 7: aquabills: `standard_days` is `0`: expected a number of days from 1 to 1000");
    for fee in ["0", "-25", "25.005", "much"] {
        assert_eq!(
            settings(&format!("returned_payment_fee: {fee}")),
            format!("line 6: aquabills: `returned_payment_fee` is `{fee}`: expected an amount above zero in whole cents, such as 25.00, or none")
        );
    }
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

const WATER: &str = "service_charge: 9\nrate: 2\ncommodity_charge: rate*usage_ccf\nlevy: service_charge*0.1\nbill: service_charge+commodity_charge";

/// Why settings around a plain bill are refused; they begin on line 6.
fn refused_settings(settings: &str) -> String {
    refused(&home_with(settings, WATER))
}

#[test]
fn usage_that_cannot_be_worked_out() {
    let usage = |inner: &str| refused_settings(&format!("usage: {{{inner}}}"));
    assert_eq!(usage("basis: winter"), "line 6: aquabills: `basis` is `winter`: expected metered, winter_average, share");
    assert_eq!(usage("basis: winter_average"), "line 6: aquabills: `usage` lacks `winter_months`, which its basis needs");
    assert_eq!(usage("basis: share"), "line 6: aquabills: `usage` lacks `share_percent`, which its basis needs");
    assert_eq!(usage("cap: 3, lower_of: true"), "line 6: aquabills: `lower_of` has an effect only with `basis: winter_average`");
    assert_eq!(usage("share_percent: 90"), "line 6: aquabills: `share_percent` has an effect only with `basis: share`");
    assert_eq!(usage("cap: -1"), "line 6: aquabills: `cap` is `-1`: expected a number of zero or more");
    assert_eq!(
        usage("caps: 1"),
        "line 6: aquabills: unknown setting `caps`: expected one of basis, winter_months, share_percent, cap, lower_of, default"
    );
    for months in ["[0]", "[13]", "[1, 1]", "[]", "1", "[May]"] {
        let told = usage(&format!("basis: winter_average, winter_months: {months}"));
        assert!(told.contains("expected a list of different months from 1 to 12"), "{told}");
    }
    for percent in ["0", "100.1", "-5", "ten"] {
        let told = usage(&format!("basis: share, share_percent: {percent}"));
        assert!(told.contains("expected a percentage above 0, up to 100"), "{told}");
    }
    assert!(refused_settings("usage: metered").contains("`usage` is `metered`: expected a map of settings"));
}

#[test]
fn a_flat_service_with_usage() {
    let told = refused_settings("metered: false");
    assert_eq!(told, "line 11, class HOME, part commodity_charge: uses usage, which a flat service (`metered: false`) has not");
    let tiers = home_with("metered: false", "charge: Tiered\ntier_starts: [0]\ntier_prices: [1]\nbill: charge");
    assert!(refused(&tiers).contains("part charge: uses usage"));
    assert_eq!(
        refused(&home_with("metered: false\nusage: {cap: 3}", "bill: 1")),
        "line 7: aquabills: `usage` with `metered: false`: a flat service has no usage"
    );
    assert!(refused_settings("metered: no").contains("`metered` is `no`: expected true, false"));
}

#[test]
fn equivalent_units_that_cannot_be_derived() {
    let units = |inner: &str| refused_settings(&format!("equivalent_units: {{{inner}}}"));
    assert_eq!(units("attribute: eru, of: area"), "line 6: aquabills: `equivalent_units` needs `attribute`, `of` and `per`");
    assert_eq!(units("attribute: eru, of: area, per: 0"), "line 6: aquabills: `per` is `0`: expected a number above zero");
    assert_eq!(units("attribute: area, of: Area, per: 5"), "line 6: aquabills: `equivalent_units` derives `area` from itself");
    assert!(units("attribute: eru, of: area, per: 5, round: down").contains("`round` is `down`: expected up, nearest, none"));
    assert!(units("attribute: eru, of: area, per: 5, most: 3").contains("unknown setting `most`"));
    assert!(refused_settings("minimum: low").contains("`minimum` is `low`: expected a number of zero or more"));
    assert!(refused_settings("dwelling_units: [a]").contains("`dwelling_units` is a list: expected a name"));
}

#[test]
fn discounts_fees_and_taxes_that_are_not_complete() {
    let discount = |inner: &str| refused_settings(&format!("discounts:\n- {{{inner}}}"));
    let fee = |inner: &str| refused_settings(&format!("fees_and_taxes:\n- {{{inner}}}"));
    assert_eq!(discount("percent: 5"), "line 7: aquabills: `name` is missing: expected the text of its line");
    assert_eq!(discount("name: A"), "line 7: aquabills: `A`: expected either a percent or an amount");
    assert_eq!(discount("name: A, percent: 5, amount: 5"), "line 7: aquabills: `A`: expected either a percent or an amount");
    assert_eq!(discount("name: A, percent: 101"), "line 7: aquabills: `percent` is `101`: expected a percentage above 0, up to 100");
    assert_eq!(discount("name: A, percent: 1, per: bill"), "line 7: aquabills: `A`: `per` has an effect only with `amount`");
    assert!(discount("name: A, percent: 1, kind: tax").contains("unknown setting `kind`"));
    assert_eq!(fee("name: A, percent: 5"), "line 7: aquabills: `A` has no `kind`: expected tax or fee");
    assert_eq!(fee("name: A, kind: levy, percent: 5"), "line 7: aquabills: `kind` is `levy`: expected tax, fee");
    assert_eq!(fee("name: A, kind: fee, amount: 5, of: charges"), "line 7: aquabills: `A`: `of` has an effect only with `percent`");
    assert_eq!(fee("name: A, kind: fee, amount: -5"), "line 7: aquabills: `amount` is `-5`: expected a number of zero or more");
    assert_eq!(
        refused_settings("fees_and_taxes:\n- {name: A b, kind: fee, amount: 1}\n- {name: a-B, kind: tax, percent: 1}"),
        "line 8: aquabills: `a-B`: the same name as on line 7"
    );
    assert!(refused_settings("discounts: 5").contains("`discounts` is `5`: expected a list"));
    assert!(refused_settings("discounts: [5]").contains("a text in a list: expected a map of name, percent"));
    for condition in ["x", "{attribute: a}", "{is: b}", "{attribute: a, is: b, below: 3}"] {
        let told = discount(&format!("name: A, percent: 5, when: {condition}"));
        assert!(told.contains("expected a map of `attribute` and either `is` or `at_least` and `below`"), "{told}");
    }
    assert!(discount("name: A, percent: 5, when: {attribute: a, at_least: 5, below: 5}").contains("no number is at least 5 and below 5"));
    assert!(discount("name: A, percent: 5, unless: {attribute: a, was: 5}").contains("unknown setting `was`"));
}

#[test]
fn a_base_that_is_not_there() {
    let of = |of: &str| {
        refused_settings(&format!(
            "fees_and_taxes:\n- {{name: Early, kind: fee, amount: 1}}\n- name: Tax\n  kind: tax\n  percent: 5\n  of: {of}\n- {{name: Late, kind: fee, amount: 1}}"
        ))
    };
    let expected = "has no line in this bill: expected charges, service_charge, commodity_charge, or a fee or tax before it";
    for name in ["sewer", "bill", "rate", "levy"] {
        assert_eq!(of(name), format!("line 11, class HOME: aquabills: `Tax` is of `{name}`, which {expected}"));
    }
    assert_eq!(
        of("[charges, Late]").lines().next().unwrap(),
        "line 11: aquabills: `Tax` is of `late`, which is not there yet: expected one before it"
    );
    assert!(of("Tax").contains("`Tax` is of `tax`, which is not there yet"));
    assert!(of("[service_charge, Service charge]").contains("`of` names `service_charge` twice"));
    assert!(of("[charges, service_charge]").contains("which already contains every part"));
    assert!(of("[]").contains("expected a list of `charges` or names"));
    let discount = refused_settings("discounts:\n- {name: A, percent: 5, of: Early}\nfees_and_taxes:\n- {name: Early, kind: fee, amount: 1}");
    assert!(discount.contains("`A` is of `early`, which has no line"), "{discount}");
}

#[test]
fn a_base_that_is_no_share_of_the_bill() {
    let of = |base: &str, parts: &str| refused(&home_with(&format!("fees_and_taxes: [{{name: T, kind: tax, percent: 5, of: {base}}}]"), parts));
    assert!(of("a", "a: 2\nb: 3\nbill: a+b+a*b+(usage_ccf+b)*a").contains("also multiplies or divides other charges"));
    assert!(of("b", "a: 2\nb: 3\nbill: b+a*b").contains("is also used in the line of another part"));
    assert!(of("a", "a: 2\nbill: 5/a").contains("shares its line with other amounts"));
    assert!(of("w", "a: 2\nb: usage_ccf*3\nw: a+b\nbill: w+a").contains("is made of lines that the bill has elsewhere too"));
    assert!(of("[w, a]", "a: 2\nb: usage_ccf*3\nw: a+b\nbill: w").contains("is already part of what stands before it"));
    assert!(of("t", "t: 2\nbill: t").contains("is not there yet"));
    // All that the bill has of a part may stand in more than one place.
    tariff(&home_with("discounts: [{name: T, percent: 5, of: a}]", "a: 2\nb: 3\nbill: a*b+b+a-a/4"));
}

#[test]
fn settings_of_one_class_are_refused_for_it() {
    let text = home_with("classes:\n  HOME:\n    fees_and_taxes: [{name: T, kind: tax, percent: 5, of: sewer}]", WATER);
    assert!(refused(&text).starts_with("line 8, class HOME: aquabills: `T` is of `sewer`"));
    let two = text.replace("classes:\n    HOME:\n      ", "") + "  SHOP:\n    sewer: 5\n    bill: sewer\n";
    let (usable, errors) = Tariff::parse_usable_classes(&two).unwrap();
    assert_eq!(usable.classes().collect::<Vec<_>>(), ["SHOP"]);
    assert_eq!(errors.iter().count(), 1);
}
