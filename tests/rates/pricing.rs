//! What a tariff charges, told by example.

use super::rates_support::*;
use aquabills::domain::rates::{Rounding, Share, Tariff, Unit, reference, settle, weighted_lines};

const SLABS: &str = "commodity_charge: Tiered
tier_starts: [0, 10, 20, 40]
tier_prices: [2, 3, 5, 20]
bill: commodity_charge";

#[test]
fn boundary_rule_ends_a_block_at_the_start_itself() {
    let text = home_with("tier_rule: boundary", SLABS);
    for (usage, bill) in [("0", "0.00"), ("10", "20.00"), ("25", "75.00"), ("30", "100.00"), ("60", "550.00")] {
        assert_eq!(total(&text, usage, &[]), bill, "usage {usage}");
    }
}

#[test]
fn first_unit_rule_ends_a_block_one_below_the_start() {
    let text = home(SLABS);
    // 9 at 2, 10 at 3, 20 at 5, 21 at 20.
    assert_eq!(
        all_shown(&text, "60", &[]),
        [
            "commodity_charge 1: 0-9 9 x 2 = 18",
            "commodity_charge 2: 9-19 10 x 3 = 30",
            "commodity_charge 3: 19-39 20 x 5 = 100",
            "commodity_charge 4: 39-… 21 x 20 = 420",
        ]
    );
}

#[test]
fn usage_between_whole_units_is_priced_in_full() {
    // 9 at 2 and 1.5 at 3: nothing falls between the slabs.
    assert_eq!(total(&home(SLABS), "10.5", &[]), "22.50");
    let boundary = home_with("tier_rule: boundary", SLABS);
    assert_eq!(total(&boundary, "10.5", &[]), "21.50");
}

#[test]
fn one_tier_and_scalar_tiers() {
    let text = home("commodity_charge: tiered\ntier_starts: 0\ntier_prices: 2.5\nbill: commodity_charge");
    assert_eq!(total(&text, "4", &[]), "10.00");
}

#[test]
fn unsorted_starts_leave_a_block_empty() {
    let text =
        home_with("tier_rule: boundary", "commodity_charge: Tiered\ntier_starts: [0, 10, 5, 20]\ntier_prices: [1, 2, 3, 4]\nbill: commodity_charge");
    assert_eq!(
        all_shown(&text, "25", &[]),
        ["commodity_charge 1: 0-10 10 x 1 = 10", "commodity_charge 3: 10-20 10 x 3 = 30", "commodity_charge 4: 20-… 5 x 4 = 20",]
    );
}

const BUDGET: &str = "gpcd: 55
indoor: hhsize*gpcd*days_in_period*(1/748)
outdoor: .7*et_amount*irr_area*0.62*(1/748)
budget: indoor+outdoor
tier_starts: [0, indoor, 100%, 125%, 20.5]
tier_prices: [1, 2, 3, 4, 5]
commodity_charge: BUDGET
bill: commodity_charge";

const HOUSEHOLD: [(&str, &str); 4] = [("hhsize", "3"), ("days_in_period", "30.4"), ("et_amount", "4"), ("irr_area", "2000")];

#[test]
fn budget_starts_are_names_percentages_and_numbers() {
    // indoor 6.71 is 7, outdoor 4.64 is 5, the budget 12, 125 % of it 15;
    // a plain number stays as it is.
    assert_eq!(
        all_shown(&home(BUDGET), "21", &HOUSEHOLD),
        [
            "commodity_charge 1: 0-7 7 x 1 = 7",
            "commodity_charge 2: 7-12 5 x 2 = 10",
            "commodity_charge 3: 12-15 3 x 3 = 9",
            "commodity_charge 4: 15-20.5 5.5 x 4 = 22",
            "commodity_charge 5: 20.5-… 0.5 x 5 = 2.5",
        ]
    );
}

#[test]
fn budget_percentages_round_half_to_even() {
    let text = |budget: &str| {
        home(&format!("budget: {budget}\ntier_starts: [0, 50%]\ntier_prices: [0, 1]\ncommodity_charge: Budget\nbill: commodity_charge"))
    };
    // 50 % of 5 is 2.5, rounded to 2; 50 % of 7 is 3.5, rounded to 4.
    assert_eq!(total(&text("5"), "10", &[]), "8.00");
    assert_eq!(total(&text("7"), "10", &[]), "6.00");
    // Each operand is rounded before it is used: 2 + 4, not 6.2 rounded.
    assert_eq!(total(&text("2.4+3.8"), "10", &[]), "7.00");
    // What + and * join is an operand; a quotient is one.
    assert_eq!(total(&text("20*(3/2)"), "40", &[]), "20.00");
    // The account's own budget is taken as it is: 50 % of 6.8 is 3.4.
    assert_eq!(total(&text("5"), "10", &[("budget", "6.8")]), "7.00");
}

#[test]
fn sewer_has_its_own_tiers_and_budget() {
    let text = home(
        "commodity_charge: Tiered\ntier_starts: [0, 11]\ntier_prices: [1, 2]\n\
         sewer_charge: Budget\nsewer_budget: 10\nsewer_tier_starts: [0, 101%]\nsewer_tier_prices: [2, 0]\n\
         bill: commodity_charge + sewer_charge",
    );
    assert_eq!(
        all_shown(&text, "15", &[]),
        [
            "commodity_charge 1: 0-10 10 x 1 = 10",
            "commodity_charge 2: 10-… 5 x 2 = 10",
            "sewer_charge 1: 0-10 10 x 2 = 20",
            "sewer_charge 2: 10-… 5 x 0 = 0",
        ]
    );
}

#[test]
fn commodity_parts_answer_to_their_short_names() {
    let text = home(
        "commodity_charge: Budget\ngpcd_commodity: 60\nindoor_commodity: hhsize*gpcd\n\
         budget_commodity: indoor\ntier_starts_commodity: [0, indoor, 200%]\ntier_prices_commodity: [1, 2, 3]\n\
         bill: commodity_charge",
    );
    assert_eq!(total(&text, "200", &[("hhsize", "1")]), "420.00");
    // By either name the account's value comes first.
    assert_eq!(total(&text, "200", &[("hhsize", "1"), ("indoor", "100")]), "300.00");
    assert_eq!(total(&text, "200", &[("hhsize", "1"), ("indoor_commodity", "100")]), "300.00");
}

#[test]
fn attributes_override_parts() {
    let text = home("service_charge: 10\nbill: service_charge + 2*usage_ccf");
    assert_eq!(total(&text, "3", &[]), "16.00");
    assert_eq!(total(&text, "3", &[("service_charge", "1.5")]), "7.50");
    assert_eq!(
        unpriced(&text, "3", &[("service_charge", "free")]),
        "class HOME, part service_charge: attribute `service_charge` is `free`: expected a number"
    );
}

#[test]
fn usage_by_any_name() {
    for name in ["usage", "usage_ccf", "usage_kgal", "usage_m3", "Usage_CCF", "usage_total"] {
        let text = home(&format!("bill: 2*{name}"));
        assert_eq!(total(&text, "3.25", &[]), "6.50", "{name}");
    }
    // The meter's reading is no attribute; another kind of usage is.
    assert_eq!(total(&home("bill: usage_ccf"), "3", &[("usage_ccf", "9")]), "3.00");
    assert_eq!(total(&home("bill: usage_winter"), "3", &[("usage_winter", "9")]), "9.00");
    // A part may carry such a name.
    assert_eq!(total(&home("usage_charge: 7\nbill: usage_charge"), "3", &[]), "7.00");
}

const SIZES: &str = "service_charge:
  depends_on: [meter_size, zone]
  values:
    5/8\"|inside: 1
    1\"|inside: 2
    1|1/2\"|inside: 3
    1_1/2\"|outside: 4
    2\"  |outside  : 1,084.87
bill: service_charge";

#[test]
fn keys_in_every_spelling() {
    let text = home(SIZES);
    let price = |size: &str, zone: &str| total(&text, "0", &[("meter_size", size), ("zone", zone)]);
    assert_eq!(price("5/8\"", "inside"), "1.00");
    for size in ["1|1/2\"", "1_1/2\"", "1 1/2\"", "1.5", "1-1/2\""] {
        assert_eq!(price(size, "inside"), "3.00", "{size}");
        assert_eq!(price(size, "Outside"), "4.00", "{size}");
    }
    assert_eq!(price("2\"", "outside"), "1084.87");
    assert_eq!(
        unpriced(&text, "0", &[("meter_size", "9\""), ("zone", "inside")]),
        "class HOME, part service_charge: no value for `9\"|inside`: expected one of 5/8\"|inside, 1\"|inside, 1 1/2\"|inside, 1_1/2\"|outside, 2\"|outside"
    );
    assert_eq!(
        unpriced(&text, "0", &[("meter_size", "2\"")]),
        "class HOME, part service_charge: `zone` is neither a part of the tariff nor an attribute of the account"
    );
}

#[test]
fn tiers_may_depend_on_what_they_like() {
    let text = home(
        "commodity_charge: Tiered\n\
         tier_starts:\n  depends_on: season\n  values:\n    Summer:\n      - 0\n      - 11\n    Winter: 0\n\
         tier_prices:\n  depends_on:\n    - season\n    - zone\n  values:\n    Summer|1: [1, 2]\n    Winter|1: [3]\n\
         bill: commodity_charge",
    );
    let price = |season: &str| total(&text, "20", &[("season", season), ("zone", "1")]);
    assert_eq!(price("Summer"), "30.00");
    assert_eq!(price("winter"), "60.00");
}

#[test]
fn values_by_range_of_an_attribute() {
    let text = home(
        "factor:\n  depends_on: irrigated_area\n  area_starts: [1, 30000]\n  values: [0.75, 0.6]\n\
         bill: factor*usage_ccf",
    );
    for (area, bill) in [("0", "7.50"), ("1", "7.50"), ("29999", "7.50"), ("30000", "6.00"), ("99999", "6.00")] {
        assert_eq!(total(&text, "10", &[("irrigated_area", area)]), bill, "{area}");
    }
}

#[test]
fn values_may_be_formulas_charges_and_maps() {
    let text = home(
        "service_charge: 5\n\
         commodity_charge:\n  depends_on: customer_type\n  values:\n    block: Tiered\n    flat: 3*usage_ccf\n    none: 0\n\
         tier_starts: [0, 11]\ntier_prices: [1, 2]\n\
         bill:\n  depends_on: wrap_customer\n  values:\n    - Yes: \"(service_charge+commodity_charge)*.8\"\n    - No: service_charge+commodity_charge",
    );
    let shown = |wrap: &str, kind: &str| all_shown(&text, "15", &[("wrap_customer", wrap), ("customer_type", kind)]);
    assert_eq!(shown("Yes", "block"), ["service_charge = 4", "commodity_charge 1: 0-10 10 x 0.8 = 8", "commodity_charge 2: 10-… 5 x 1.6 = 8"]);
    assert_eq!(shown("No", "flat"), ["service_charge = 5", "commodity_charge 15 x 3 = 45"]);
    assert_eq!(shown("no", "none"), ["service_charge = 5"]);
}

#[test]
fn nested_maps_and_words_as_defaults() {
    let text = home(
        "water_type: POTABLE\n\
         service_charge:\n  depends_on: [water_type, meter_size]\n  values:\n    Potable:\n      1\": 10\n      2\": 20\n    Recycled:\n      1\": 5\n      2\": 6\n\
         bill: service_charge",
    );
    assert_eq!(total(&text, "0", &[("meter_size", "2\"")]), "20.00");
    assert_eq!(total(&text, "0", &[("meter_size", "2\""), ("water_type", "recycled")]), "6.00");
}

#[test]
fn a_part_that_names_itself_means_the_account() {
    let text = home("hhsize: hhsize\nrolling_commodity: rolling\nbill: hhsize + rolling");
    assert_eq!(total(&text, "0", &[("hhsize", "3"), ("rolling", "4")]), "7.00");
    assert!(unpriced(&text, "0", &[("hhsize", "3")]).contains("`rolling` is neither"));
}

#[test]
fn bills_are_cut_into_lines() {
    let text = home(
        "service_charge: 10\nflat_rate: 2.5\ncommodity_charge: flat_rate*usage_ccf*2\n\
         fixed_drought_surcharge: 0\nfactor: 1.5\ncredit: 4\n\
         units_charge: ((units-1)*61.50*0.5)+61.5\n\
         total_water: service_charge+commodity_charge\n\
         bill: (total_water+fixed_drought_surcharge)*factor - credit + units_charge + 0.5*usage_ccf",
    );
    assert_eq!(
        all_shown(&text, "3", &[("units", "2")]),
        ["service_charge = 15", "commodity_charge 3 x 7.5 = 22.5", "credit = -4", "units_charge = 92.25", "bill 3 x 0.5 = 1.5",]
    );
    let labels: Vec<String> = lines(&text, "3", &[("units", "2")]).unwrap().into_iter().map(|line| line.label).collect();
    assert_eq!(labels[0], "Service charge");
}

#[test]
fn division_of_a_sum_and_a_rate_of_sums() {
    let text = home("a: 3\nb: 4\nbill: (a+b)/2 + (a+b)*usage_ccf");
    assert_eq!(all_shown(&text, "2", &[]), ["a = 1.5", "b = 2", "a 2 x 7 = 14"]);
}

#[test]
fn a_bill_has_at_least_one_line() {
    let text = home("service_charge: 0\ncommodity_charge: Tiered\ntier_starts: [0]\ntier_prices: [2]\nbill: service_charge+commodity_charge");
    assert_eq!(all_shown(&text, "0", &[]), ["bill = 0"]);
    // A block priced at nothing still shows what was used.
    let free = text.replace("tier_prices: [2]", "tier_prices: [0]");
    assert_eq!(all_shown(&free, "3", &[]), ["commodity_charge 1: 0-… 3 x 0 = 0"]);
}

#[test]
fn division_is_not_off_by_a_hair() {
    // 1/3 has no exact decimal; three thirds of 1.005 are still a half cent.
    let text = home("bill: 1.005*(1/3)*3");
    assert_eq!(total(&text, "0", &[]), "1.01");
    let budget = home("budget: 748*2.5*(1/748)\ntier_starts: [0, 100%]\ntier_prices: [0, 1]\ncommodity_charge: Budget\nbill: commodity_charge");
    assert_eq!(total(&budget, "9", &[("budget", "2.5")]), "7.00");
}

#[test]
fn rounding_is_a_setting() {
    for (rule, bill) in [("half_up", "0.13"), ("half_even", "0.12"), ("up", "0.13"), ("down", "0.12")] {
        let text = home_with(&format!("rounding: {rule}"), "bill: 0.125");
        assert_eq!(total(&text, "0", &[]), bill, "{rule}");
        let credit = home_with(&format!("rounding: {rule}"), "bill: -0.125");
        assert_eq!(total(&credit, "0", &[]), format!("-{bill}"), "{rule}");
    }
}

#[test]
fn settings_by_class() {
    let text = "aquabills:\n  schedule: recycled water\n  rounding: up\n  proration: {short_periods: by_days, rate_change: period_end}\n  classes:\n    B: {tier_rule: boundary, proration: {standard_days: 61}}\n\
                metadata: {bill_frequency: Bi-Monthly, bill_unit: kgal}\nrate_structure:\n  A: {bill: 1}\n  B: {bill: 2}\n";
    let tariff = Tariff::parse(text).unwrap();
    let json = |class: &str| {
        let mut settings = serde_json::to_value(tariff.settings_of(class)).unwrap();
        settings.as_object_mut().unwrap().retain(|name, _| ["schedule", "tier_rule", "rounding", "proration"].contains(&name.as_str()));
        settings
    };
    assert_eq!(
        json("A"),
        serde_json::json!({"schedule": "recycled water", "tier_rule": "first_unit", "rounding": "up",
            "proration": {"short_periods": "by_days", "standard_days": 60, "rate_change": "period_end"}})
    );
    assert_eq!(
        json("B"),
        serde_json::json!({"schedule": "recycled water", "tier_rule": "boundary", "rounding": "up",
            "proration": {"short_periods": "by_days", "standard_days": 61, "rate_change": "period_end"}})
    );
    assert_eq!(tariff.metadata().bill_unit, Unit::Kgal);
    assert_eq!(tariff.classes().collect::<Vec<_>>(), ["A", "B"]);
    assert_eq!(tariff.sha256().len(), 64);
}

#[test]
fn a_share_scales_fixed_charges_and_tier_widths() {
    let text = home_with("tier_rule: boundary", &format!("service_charge: 30\n{}", SLABS.replace("bill: ", "bill: service_charge+")));
    let half = share_lines(&text, "15", &[], Share::new(15, 30)).unwrap();
    let shown: Vec<String> = half.iter().map(shown).collect();
    assert_eq!(
        shown,
        ["service_charge = 15", "commodity_charge 1: 0-5 5 x 2 = 10", "commodity_charge 2: 5-10 5 x 3 = 15", "commodity_charge 3: 10-20 5 x 5 = 25",]
    );
    assert!(share_lines(&text, "15", &[], Share::new(0, 30)).is_err());
    assert!(share_lines(&text, "15", &[], Share::new(3, 0)).is_err());
}

#[test]
fn a_rate_change_blends_versions_by_days() {
    let old = home("service_charge: 30\nbill: service_charge+2*usage_ccf");
    let new = home("service_charge: 60\nbill: service_charge+3*usage_ccf");
    let mut blend = weighted_lines(lines(&old, "10", &[]).unwrap(), 10, 30).unwrap();
    blend.extend(weighted_lines(lines(&new, "10", &[]).unwrap(), 20, 30).unwrap());
    let charge = settle(blend, Rounding::HalfUp).unwrap();
    // (30 + 20) / 3 + (60 + 30) × 2/3
    assert_eq!(charge.total.to_string(), "76.67");
    let sum: i64 = charge.lines.iter().map(|line| line.amount_cents.cents()).sum();
    assert_eq!(sum, 7667);
}

#[test]
fn what_cannot_be_priced_is_an_error() {
    assert_eq!(unpriced(&home("bill: 1/(usage_ccf-3)"), "3", &[]), "class HOME, part bill: division by zero");
    assert_eq!(unpriced(&home("bill: usage_ccf"), "-1", &[]), "usage -1 is negative: expected zero or more");
    let big = "9".repeat(25);
    assert_eq!(unpriced(&home(&format!("bill: {big}*{big}")), "0", &[]), "class HOME, part bill: a number is too large to be exact");
    assert_eq!(
        unpriced(&home("bill: charge_x + hhsize"), "0", &[("hhsize", "3")]),
        "class HOME, part bill: `charge_x` is neither a part of the tariff nor an attribute of the account"
    );
    assert_eq!(
        unpriced(&home("bill: hhsize"), "0", &[("hhsize", "three")]),
        "class HOME, part bill: attribute `hhsize` is `three`: expected a number"
    );
    let percent = home("commodity_charge: Tiered\ntier_starts: [0, 100%]\ntier_prices: [1, 2]\nbill: commodity_charge");
    assert!(unpriced(&percent, "5", &[]).contains("`100%`: a percentage is a share of a budget"));
    let list = home("rates: [1, 2]\nbill: rates");
    assert!(unpriced(&list, "0", &[]).contains("part rates: a list where one number is needed"));
    let huge = lines(&home("bill: 92233720368547758.08"), "0", &[]).unwrap();
    assert_eq!(settle(huge, Rounding::HalfUp).unwrap_err().to_string(), "the total is too large an amount");
}

#[test]
fn lengths_that_meet_only_for_some_accounts() {
    let text = home(
        "commodity_charge: Tiered\n\
         tier_starts:\n  depends_on: season\n  values:\n    Summer: [0, 11]\n    Winter: [0]\n\
         tier_prices:\n  depends_on: zone\n  values:\n    1: [1, 2]\n    2: [3]\n\
         bill: commodity_charge",
    );
    assert_eq!(total(&text, "12", &[("season", "Summer"), ("zone", "1")]), "14.00");
    assert_eq!(
        unpriced(&text, "12", &[("season", "Winter"), ("zone", "1")]),
        "class HOME, part commodity_charge: 1 tier starts but 2 tier prices: expected as many of one as of the other"
    );
}

#[test]
fn a_class_is_found_in_any_spelling_and_its_absence_said() {
    let tariff = tariff(&home("bill: 1"));
    assert!(tariff.compile("home").is_ok());
    assert_eq!(tariff.compile("SHOP").unwrap_err().to_string(), "no rate class `SHOP` in this tariff: expected one of HOME");
}

#[test]
fn the_reference_evaluator_gives_the_same_money() {
    let tariff = tariff(&home(BUDGET));
    let attributes = attributes(&HOUSEHOLD);
    let input = aquabills::domain::rates::PricingInput::new(decimal("21"), &attributes);
    assert_eq!(reference::bill(&tariff, "HOME", &input).unwrap(), decimal("50.5"));
    assert_eq!(reference::bill_money(&tariff, "HOME", &input).unwrap().cents(), 5050);
}

#[test]
fn compiled_classes_are_shared_between_threads() {
    fn is_shared<T: Send + Sync + Clone + 'static>(_: &T) {}
    is_shared(&tariff(&home("bill: 1")).compile("HOME").unwrap());
}

#[test]
fn a_class_tells_what_it_asks_of_an_account() {
    let compiled = tariff(&home(BUDGET)).compile("HOME").unwrap();
    let mut asked: Vec<&str> = compiled.attributes().collect();
    asked.sort_unstable();
    assert_eq!(asked, ["days_in_period", "et_amount", "hhsize", "irr_area"]);
}

#[test]
fn kinds_of_charges_in_any_letter_case_unless_a_part_is_meant() {
    let text = home("commodity_charge: budget\nbudget: 10\ntier_starts: [0, 100%]\ntier_prices: [1, 2]\nbill: commodity_charge");
    assert_eq!(total(&text, "12", &[]), "14.00");
    let named = home("base: budget\nbudget: 10\nbill: base");
    assert_eq!(total(&named, "12", &[]), "10.00");
    // Published so: the account must bring the budget itself.
    let odd = text.replace("budget: 10", "budget: Tiered");
    assert_eq!(total(&odd, "12", &[("budget", "10")]), "14.00");
    assert!(unpriced(&odd, "12", &[]).contains("`100%`: a percentage is a share of a budget"));
}

#[test]
fn nothing_taken_off_is_plain_nothing() {
    let text = home("discount: 0*usage_ccf\nbill: 3-discount");
    let lines = lines(&text, "2", &[]).unwrap();
    let json = serde_json::to_string(&lines[1]).unwrap();
    assert!(!json.contains("-0"), "{json}");
}

/// Bounds on depth are there so that no tariff can exhaust the stack; half of
/// what a thread has by default must be enough, unoptimized too.
#[test]
fn the_deepest_tariff_allowed_needs_little_stack() {
    let small = std::thread::Builder::new().stack_size(1024 * 1024);
    small.spawn(price_the_deepest).unwrap().join().unwrap();
}

fn price_the_deepest() {
    let sum = vec!["x"; 90].join("+");
    let nested = format!("0*{}1{}", "(1+".repeat(60), ")".repeat(60));
    let text = home(&format!("p0: p1+{sum}\np1: p2+{sum}\np2: {nested}\nx: 1\nbill: p0"));
    assert_eq!(total(&text, "0", &[]), "180.00");
    let tariff = tariff(&text);
    let attributes = attributes(&[]);
    let input = aquabills::domain::rates::PricingInput::new(decimal("0"), &attributes);
    let recomputed = reference::bill(&tariff, "HOME", &input);
    assert_eq!(recomputed, Ok(decimal("180")));
    assert_eq!(aquabills::domain::rates::lint(&tariff), []);
}

#[test]
fn an_attribute_may_override_a_list() {
    let text = home(SLABS);
    assert_eq!(total(&text, "30", &[("tier_prices", "1|1|1|1")]), "30.00");
    assert_eq!(total(&text, "30", &[("tier_starts", "0 11 21 31")]), "100.00");
    assert!(unpriced(&text, "30", &[("tier_starts", "0 a b c")]).contains("expected a number"));
    assert!(unpriced(&text, "30", &[("tier_starts", "0 5")]).contains("2 tier starts but 4 tier prices"));
}

#[test]
fn the_hash_is_sha_256_of_the_text() {
    let tariff = tariff("rate_structure:\n  A:\n    bill: 1\n");
    let expected = "d729e9fc8a4c959522db033f779d9747937f68ad88434ed5e06e9936d971fa63";
    assert_eq!(tariff.sha256(), expected);
}
