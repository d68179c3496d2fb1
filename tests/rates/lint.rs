//! What `rates check` warns of.

use super::rates_support::*;
use aquabills::domain::rates::lint;

fn warnings(text: &str) -> Vec<String> {
    lint(&tariff(text)).iter().map(ToString::to_string).collect()
}

#[test]
fn a_plain_tariff_has_no_warnings() {
    let text = home("service_charge: 3\nfixed_drought_surcharge: 0\nbill: service_charge+2*usage_ccf");
    assert_eq!(warnings(&text), [""; 0]);
}

#[test]
fn a_bigger_meter_costing_less() {
    let text = home(
        "service_charge:\n  depends_on: [zone, meter_size]\n  values:\n    a|3/4\": 9\n    a|1\": 8\n    b|1\": 3\n    b|1|1/2\": 4\nbill: service_charge",
    );
    assert_eq!(
        warnings(&text),
        [
            "note: line 7, class HOME, part service_charge: no value for `a|1 1/2\"`, `b|3/4\"`",
            "warning: line 11, class HOME, part service_charge: the bigger `a|1\"` costs 8, less than `a|3/4\"` at 9",
        ]
    );
}

#[test]
fn starts_and_prices() {
    let text = home("commodity_charge: Tiered\ntier_starts: [0, 8, 8, 5]\ntier_prices: [1, 3, 2, 4]\nbill: commodity_charge");
    assert_eq!(
        warnings(&text),
        [
            "warning: line 8, class HOME, part tier_starts: start 5 comes after 8: expected rising starts",
            "warning: line 8, class HOME, part tier_starts: start 8 is repeated: its block is empty",
            "warning: line 9, class HOME, part tier_prices: price 2 after 3: the price falls as usage rises",
        ]
    );
}

#[test]
fn round_starts_under_the_first_unit_rule() {
    let parts = "commodity_charge: Tiered\ntier_starts: [0, 10, 20, 100]\ntier_prices: [1, 2, 3, 4]\nbill: commodity_charge";
    assert_eq!(
        warnings(&home(parts)),
        [
            "warning: line 8, class HOME, part tier_starts: round starts (10, 20, 100): by the first-unit rule the first block ends at 9; if the blocks end at the starts themselves, say `tier_rule: boundary`"
        ]
    );
    assert_eq!(warnings(&home_with("tier_rule: boundary", parts)), [""; 0]);
    assert_eq!(warnings(&home(&parts.replace("10, 20, 100", "11, 21, 101"))), [""; 0]);
}

#[test]
fn a_fee_for_returned_payments() {
    assert_eq!(warnings(&home_with("returned_payment_fee: 25.00", "bill: 1")), [""; 0]);
    assert_eq!(
        warnings(&home_with("returned_payment_fee: 2500", "bill: 1")),
        ["warning: line 6: a returned payment costs 2500.00: expected 100.00 or less"]
    );
    assert_eq!(warnings(&home_with("returned_payment_fee: 2500\nclasses: {HOME: {returned_payment_fee: none}}", "bill: 1")), [""; 0]);
}

#[test]
fn charges_the_bill_never_uses() {
    let text = home("fixed_drought_surcharge: 3\nvariable_wastewater_charge: rate*usage_ccf\nrate: 2\nspare: 1\nbill: 1");
    assert_eq!(
        warnings(&text),
        [
            "warning: line 7, class HOME, part fixed_drought_surcharge: not zero, but `bill` never uses it: is it meant to be billed?",
            "warning: line 8, class HOME, part variable_wastewater_charge: not zero, but `bill` never uses it: is it meant to be billed?",
            "note: line 9, class HOME, part rate: not used by `bill`",
            "note: line 10, class HOME, part spare: not used by `bill`",
        ]
    );
}

#[test]
fn names_the_tariff_does_not_define() {
    let text = home("commodity_charge: 2\nbill: comodity_charge + other_fee + frogs + hhsize + usage_ccf");
    assert_eq!(
        warnings(&text),
        [
            "note: line 7, class HOME, part commodity_charge: not used by `bill`",
            "error: line 8, class HOME, part bill: `comodity_charge` is not defined: is `commodity_charge` meant?",
            "error: line 8, class HOME, part bill: `other_fee` is not defined: expected a part of this class",
            "warning: line 8, class HOME, part bill: `frogs` is not defined: taken for an attribute every account must have",
        ]
    );
    let word = home("water_type: POTABLE\nbill:\n  depends_on: water_type\n  values: {Potable: 1}");
    assert_eq!(warnings(&word), [""; 0]);
}

#[test]
fn percentages_without_a_budget() {
    let text = home("commodity_charge: Tiered\ntier_starts: [0, 101%]\ntier_prices: [1, 2]\nbill: commodity_charge");
    assert_eq!(
        warnings(&text),
        [
            "warning: line 8, class HOME, part tier_starts: starts in percent, but `commodity_charge` is Tiered: `Budget` may be meant; as it is the charge cannot be worked out"
        ]
    );
}

#[test]
fn keys_another_table_has() {
    let text = home("a:\n  depends_on: meter_size\n  values: {1\": 1, 2\": 2}\nb:\n  depends_on: meter_size\n  values: {1\": 1}\nbill: a+b");
    assert_eq!(warnings(&text), ["note: line 10, class HOME, part b: no value for `2\"` (in a)"]);
}

#[test]
fn metadata_left_open() {
    let text = "metadata: {bill_unit: bucket, bill_frequency: at whim}\nrate_structure:\n  A: {bill: 1}\n";
    assert_eq!(
        warnings(text),
        [
            "warning: file: bill_unit `bucket` is not known: readings cannot be converted to it",
            "note: file: bill_frequency `at whim` is not known: taken as 30 days",
            "note: file: no effective_date: say from when these rates hold",
        ]
    );
}

#[test]
fn suspicious_settings() {
    let text = home_with(
        "minimum: 8\nequivalent_units: {attribute: eru, of: area, per: 5}\ndiscounts:\n\
         - {name: Poor, percent: 5, when: {attribute: low_incom, is: \"yes\"}}\n- {name: Never, amount: 0}\n\
         - {name: Own, percent: 5, when: {attribute: staff, is: \"yes\"}}\n\
         - {name: Both, percent: 5, when: {attribute: senior, is: a}, unless: {attribute: senior, is: a}}\n\
         fees_and_taxes:\n- {name: Dear, kind: tax, percent: 55}\n- {name: Fee, kind: fee, percent: 55}",
        "service_charge:\n  depends_on: meter_size\n  values: {1: 9, 2: 12}\nflat_rate: -3\nbill: service_charge+flat_rate*usage_kgal",
    );
    assert_eq!(
        warnings(&text),
        [
            "warning: line 7: class HOME does not use `eru`",
            "warning: line 9: `Poor` asks for `low_incom`: is `low_income` meant?",
            "warning: line 10: `Never` never applies: its amount is zero",
            "note: line 11: `Own` asks for `staff`: taken for an attribute that some accounts have",
            "warning: line 12: `Both` never applies: `when` and `unless` say the same",
            "warning: line 14: `Dear` is a tax of 55%: expected 30% or less",
            "warning: line 18, class HOME, part service_charge: 9 at least, more than the minimum of 8, which then has no effect",
            "warning: line 21, class HOME, part flat_rate: price -3 is below zero: a discount may be meant",
            "warning: line 22, class HOME, part bill: `usage_kgal` is the usage in ccf, the file's bill_unit, not in kgal",
        ]
    );
    let prices = home("commodity_charge: Tiered\ntier_starts: [0, 7]\ntier_prices: [1, -2]\nbill: commodity_charge");
    assert!(warnings(&prices).contains(&"warning: line 9, class HOME, part tier_prices: price -2 is below zero: a discount may be meant".to_owned()));
}
