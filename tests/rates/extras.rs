//! Laws of discounts, minimum, fees, taxes and dwellings, on random tariffs.

use super::rates_support::*;
use aquabills::domain::rates::{Attributes, Charge, PricingError, PricingInput, Share, Tariff, reference, settle};
use proptest::prelude::*;
use rust_decimal::Decimal;

/// Formulas in which `service_charge`, `commodity_charge` and `water` are shares of the bill.
const BILLS: [&str; 5] = ["bill: water", "bill: water-credit", "bill: (water+flat)*1.07+2.5", "bill: 2*water+flat", "bill: water/3-credit+4"];

fn cents(below: i64) -> impl Strategy<Value = Decimal> {
    (0..below).prop_map(|cents| Decimal::new(cents, 2).normalize())
}

fn percent() -> impl Strategy<Value = Decimal> {
    (1_i64..=100_000).prop_map(|thousandths| Decimal::new(thousandths, 3).normalize())
}

fn condition() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just(String::new()),
        1 => Just("\n  when: {attribute: low_income, is: \"yes\"}".to_owned()),
        1 => Just("\n  unless: {attribute: low_income, is: \"YES\"}".to_owned()),
        1 => (1_u32..6, 1_u32..6).prop_map(|(least, more)| format!("\n  when: {{attribute: dwellings, at_least: {least}, below: {}}}", least + more)),
        1 => (1_u32..9).prop_map(|least| format!("\n  when: {{attribute: eru, at_least: {least}}}\n  unless: {{attribute: low_income, is: \"yes\"}}")),
    ]
}

fn discount() -> impl Strategy<Value = String> {
    let of = prop_oneof![
        2 => Just(""), 1 => Just("\n  of: charges"), 2 => Just("\n  of: [service_charge]"), 1 => Just("\n  of: [commodity_charge]"),
        1 => Just("\n  of: [commodity_charge, service_charge]"), 1 => Just("\n  of: water"),
    ];
    let amount = prop_oneof![
        2 => percent().prop_map(|percent| format!("percent: {percent}")),
        1 => cents(2_000).prop_map(|amount| format!("amount: {amount}")),
        1 => cents(2_000).prop_map(|amount| format!("amount: {amount}\n  per: bill")),
    ];
    (amount, of, condition()).prop_map(|(amount, of, condition)| format!("{amount}{of}{condition}"))
}

/// A fee or tax; `earlier` are the names of those before it.
fn fee() -> impl Strategy<Value = String> {
    let of = prop_oneof![
        2 => Just(""), 2 => Just("\n  of: [charges, EARLIER]"), 1 => Just("\n  of: [EARLIER]"), 1 => Just("\n  of: [service_charge]"),
        1 => Just("\n  of: [water, EARLIER]"),
    ];
    let amount = prop_oneof![
        3 => (percent(), of).prop_map(|(percent, of)| format!("percent: {percent}{of}")),
        1 => cents(900).prop_map(|amount| format!("amount: {amount}")),
        1 => cents(900).prop_map(|amount| format!("amount: {amount}\n  per: bill")),
    ];
    let kind = prop_oneof![Just("tax"), Just("fee")];
    (kind, amount, condition()).prop_map(|(kind, amount, condition)| format!("kind: {kind}\n  {amount}{condition}"))
}

fn listed(key: &str, rules: &[String]) -> String {
    if rules.is_empty() {
        return String::new();
    }
    let mut text = format!("{key}:\n");
    for (at, rule) in rules.iter().enumerate() {
        let earlier = if at == 0 { "charges".to_owned() } else { format!("Number {}", at - 1) };
        let rule = rule.replace("[charges, EARLIER]", if at == 0 { "[charges]" } else { "[charges, EARLIER]" });
        text.push_str(&format!(
            "- name: Number {at}\n  {}\n",
            rule.replace("[water, EARLIER]", if at == 0 { "[water]" } else { "[water, EARLIER]" }).replace("EARLIER", &earlier)
        ));
    }
    text
}

const PARTS: &str = "service_charge: 14.9\nunit_price: 1.35\nstorm: unit_price*eru\ncommodity_charge: Tiered\ntier_starts: [0, 6.5, 15]\n\
                     tier_prices: [2.2, 3.5125, 5.05]\nwater: service_charge+commodity_charge+storm\nflat: 0.75*usage_ccf\ncredit: 9.5\n";

fn a_tariff() -> impl Strategy<Value = String> {
    let minimum = prop_oneof![Just(None), cents(9_000).prop_map(Some)];
    let round = prop_oneof![Just("up"), Just("nearest"), Just("none")];
    let lists = (prop::collection::vec(discount(), 0..4), prop::collection::vec(fee(), 0..4));
    (lists, minimum, round, prop::bool::ANY, prop::sample::select(&BILLS[..])).prop_map(|((discounts, fees), minimum, round, dwellings, bill)| {
        let mut settings =
            format!("tier_rule: boundary\nequivalent_units: {{attribute: eru, of: impervious_area, per: 700, round: {round}, minimum: 1}}\n");
        if let Some(minimum) = minimum {
            settings.push_str(&format!("minimum: {minimum}\n"));
        }
        if dwellings {
            settings.push_str("dwelling_units: dwellings\n");
        }
        settings.push_str(&listed("discounts", &discounts));
        settings.push_str(&listed("fees_and_taxes", &fees));
        home_with(&settings, &format!("{PARTS}{bill}"))
    })
}

fn an_account() -> impl Strategy<Value = Attributes> {
    let units = prop_oneof![3 => Just(""), 1 => Just("2.5")];
    let service = prop_oneof![5 => Just(""), 1 => Just("0"), 1 => Just("31.07")];
    let water = prop_oneof![8 => Just(""), 1 => Just("77.5")];
    (0_u32..9_000, 1_u32..8, prop::sample::select(&["", "yes", "Yes", "no"][..]), units, service, water).prop_map(
        |(area, dwellings, low_income, eru, service, water)| {
            let (area, dwellings) = (area.to_string(), dwellings.to_string());
            attributes(&[
                ("impervious_area", &area),
                ("dwellings", &dwellings),
                ("low_income", low_income),
                ("eru", eru),
                ("service_charge", service),
                ("water", water),
            ])
        },
    )
}

fn usage() -> impl Strategy<Value = Decimal> {
    (0_i64..90_000).prop_map(|milli| Decimal::new(milli, 3).normalize())
}

fn share() -> impl Strategy<Value = Share> {
    prop_oneof![Just(Share::WHOLE), (1_u32..61, 1_u32..61).prop_map(|(days, of_days)| Share::new(days, of_days))]
}

fn priced(text: &str, input: &PricingInput<'_>) -> Charge {
    let class = tariff(text).compile("HOME").unwrap();
    settle(class.price(input).unwrap_or_else(|error| panic!("{error}\n{text}")), class.settings().rounding).unwrap()
}

fn close(one: Decimal, other: Decimal) -> bool {
    (one - other).abs() <= decimal("0.000000000001")
}

fn of_parts(charge: &Charge, prefix: &str) -> Decimal {
    charge.lines.iter().filter(|line| line.part.starts_with(prefix)).map(|line| line.amount).sum()
}

/// `settings` around the plain parts.
fn around(settings: &str) -> String {
    home_with(&format!("tier_rule: boundary\n{settings}"), &format!("{PARTS}bill: service_charge+commodity_charge"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn both_evaluators_agree_and_lines_add_up(text in a_tariff(), account in an_account(), usage in usage(), share in share()) {
        let input = PricingInput { usage, attributes: &account, share };
        let charge = priced(&text, &input);
        let cents: i64 = charge.lines.iter().map(|line| line.amount_cents.cents()).sum();
        prop_assert_eq!(cents, charge.total.cents());
        let amounts: Decimal = charge.lines.iter().map(|line| line.amount).sum();
        prop_assert!(close(amounts, charge.exact));
        let tax: i64 = charge.lines.iter().filter(|line| line.part.starts_with("tax:")).map(|line| line.amount_cents.cents()).sum();
        prop_assert_eq!(tax, charge.tax.cents());
        let parsed: Tariff = tariff(&text);
        match reference::bill(&parsed, "HOME", &input) {
            Ok(exact) => {
                prop_assert!(close(charge.exact, exact), "{} and {}\n{}\n{:?}\n{:#?}", charge.exact, exact, text, account, charge.lines);
                prop_assert_eq!(charge.total, reference::bill_money(&parsed, "HOME", &input).unwrap());
                prop_assert!(close(of_parts(&charge, "tax:"), reference::tax(&parsed, "HOME", &input).unwrap()));
            }
            // Rules on rules can need longer fractions than 128 bits hold: then the second evaluator says so, and the gate holds.
            Err(PricingError::TotalTooLarge) => return Err(TestCaseError::reject("no exact fraction")),
            Err(error) => return Err(TestCaseError::fail(format!("{error}\n{text}"))),
        }
    }

    #[test]
    fn discounts_never_take_more_than_there_is(text in a_tariff(), account in an_account(), usage in usage()) {
        let text = text.replace("-credit", "");
        let charge = priced(&text, &PricingInput::new(usage, &account));
        let added = of_parts(&charge, "tax:") + of_parts(&charge, "fee:") + of_parts(&charge, "minimum");
        let before = charge.exact - added - of_parts(&charge, "discount:");
        prop_assert!(of_parts(&charge, "discount:") <= Decimal::ZERO);
        prop_assert!(before + of_parts(&charge, "discount:") >= -decimal("0.000000000001"), "{}", text);
        prop_assert!(of_parts(&charge, "tax:") >= Decimal::ZERO && of_parts(&charge, "fee:") >= Decimal::ZERO);
    }

    #[test]
    fn a_tax_is_its_percentage_of_exact_amounts(percent in percent(), usage in usage(), share in share()) {
        let account = Attributes::new();
        let input = PricingInput { usage, attributes: &account, share };
        let plain = priced(&around(""), &input);
        let taxed = priced(&around(&format!("fees_and_taxes:\n- {{name: T, kind: tax, percent: {percent}}}")), &input);
        prop_assert!(close(taxed.exact, plain.exact * (Decimal::ONE + percent / Decimal::ONE_HUNDRED)));
        prop_assert!(close(of_parts(&taxed, "tax:t"), plain.exact * percent / Decimal::ONE_HUNDRED));
    }

    #[test]
    fn a_minimum_lifts_and_never_lowers(minimum in cents(9_000), usage in usage(), share in share()) {
        let account = Attributes::new();
        let input = PricingInput { usage, attributes: &account, share };
        let plain = priced(&around(""), &input).exact;
        let least = minimum * Decimal::from(share.days) / Decimal::from(share.of_days);
        let lifted = priced(&around(&format!("minimum: {minimum}")), &input).exact;
        prop_assert!(close(lifted, plain.max(least)));
    }

    #[test]
    fn dwellings_are_as_many_bills(count in 1_u32..40, usage in usage()) {
        let settings = "minimum: 20\nfees_and_taxes:\n- {name: F, kind: fee, amount: 0.8}\n- {name: T, kind: tax, percent: 5, of: [charges, F]}";
        let one = priced(&around(settings), &PricingInput::new(usage, &Attributes::new()));
        let all = attributes(&[("dwellings", &count.to_string())]);
        let count = Decimal::from(count);
        let many = priced(&around(&format!("dwelling_units: dwellings\n{settings}")), &PricingInput::new(usage * count, &all));
        prop_assert!(close(many.exact, one.exact * count));
        let quantity: Decimal = many.lines.iter().filter(|line| line.tier.is_some()).filter_map(|line| line.quantity).sum();
        prop_assert!(close(quantity, usage * count));
    }

    #[test]
    fn a_class_without_any_of_it_is_priced_as_before(text in a_tariff(), account in an_account(), usage in usage(), share in share()) {
        let at = text.find("rate_structure").unwrap();
        let plain = home_with("tier_rule: boundary", "bill: 1").split("rate_structure").next().unwrap().to_owned() + &text[at..];
        let mut account = account;
        account.set("eru", "3");
        let input = PricingInput { usage, attributes: &account, share };
        // Other classes' settings, and settings that say what holds anyway.
        let explicit = plain.replace(
            "  tier_rule: boundary\n",
            "  tier_rule: boundary\n  metered: true\n  minimum: none\n  discounts: []\n  fees_and_taxes: none\n  usage: {basis: metered}\n",
        );
        prop_assert_eq!(priced(&plain, &input), priced(&explicit, &input));
    }
}

#[test]
fn the_order_of_fees_and_taxes_matters_as_written() {
    let total = |rules: &str| priced(&around(&format!("fees_and_taxes:\n{rules}")), &PricingInput::new(Decimal::ZERO, &Attributes::new())).exact;
    // 14.90 + 10% of 14.90 + 5% of (14.90 + 1.49)
    assert_eq!(total("- {name: A, kind: fee, percent: 10}\n- {name: B, kind: tax, percent: 5, of: [charges, A]}"), decimal("17.2095"));
    // 14.90 + 5% of 14.90 + 10% of (14.90 + 0.745)
    assert_eq!(total("- {name: B, kind: tax, percent: 5}\n- {name: A, kind: fee, percent: 10, of: [charges, B]}"), decimal("17.2095"));
    // Taxes on the charges alone do not see each other; a tax on the fee alone does not see the charges.
    assert_eq!(total("- {name: A, kind: fee, percent: 10}\n- {name: B, kind: tax, percent: 5}"), decimal("17.135"));
    assert_eq!(total("- {name: A, kind: fee, percent: 10}\n- {name: B, kind: tax, percent: 5, of: A}"), decimal("16.4645"));
}

#[test]
fn discounts_come_one_after_the_other_and_before_taxes() {
    let rules = "discounts:\n- {name: A, percent: 10}\n- {name: B, amount: 3, of: service_charge}\n- {name: C, percent: 50, of: service_charge}\n\
                 fees_and_taxes:\n- {name: T, kind: tax, percent: 10, of: service_charge}";
    let charge = priced(&around(rules), &PricingInput::new(decimal("5"), &Attributes::new()));
    // 14.90 + 11.00; A 2.59 of 25.90; service has 13.41 left, B 3.00, 10.41 left, C 5.205; T 10% of 5.205
    let shown: Vec<String> = charge.lines.iter().map(|line| format!("{} {}", line.part, line.amount)).collect();
    assert_eq!(shown, ["service_charge 14.9", "commodity_charge 11", "discount:a -2.59", "discount:b -3", "discount:c -5.205", "tax:t 0.5205"]);
    let small = priced(&around("discounts:\n- {name: A, amount: 100, of: service_charge}"), &PricingInput::new(decimal("5"), &Attributes::new()));
    assert_eq!(small.exact, decimal("11"));
}

#[test]
fn a_bill_that_is_a_credit_is_neither_discounted_nor_taxed() {
    let text = home_with(
        "discounts:\n- {name: A, percent: 10}\nfees_and_taxes:\n- {name: T, kind: tax, percent: 10}\n- {name: F, kind: fee, amount: 1}",
        "credit: 5\nbill: usage_ccf-credit",
    );
    assert_eq!(total(&text, "2", &[]), "-2.00");
    assert_eq!(total(&text, "5", &[]), "1.00");
    let floor = text.replace("discounts:", "minimum: 0\n  discounts:");
    assert_eq!(total(&floor, "2", &[]), "1.00");
    assert_eq!(all_shown(&floor, "2", &[]), ["bill 2 x 1 = 2", "credit = -5", "minimum = 3", "fee:f = 1"]);
}

#[test]
fn a_service_that_cannot_be_priced_is_told_before_it_is_billed() {
    let class =
        tariff(&home("service_charge:\n  depends_on: meter_size\n  values: {small: 1}\nbill: service_charge+days_in_period*0.1+1/(usage_ccf-1)"))
            .compile("HOME")
            .unwrap();
    let told = |pairs: &[(&str, &str)]| class.check_attributes(&attributes(pairs)).unwrap_err().to_string();
    assert!(told(&[]).contains("`meter_size`"), "{}", told(&[]));
    assert!(told(&[("meter_size", "big")]).contains("no value for `big`"));
    assert!(told(&[("meter_size", "small")]).contains("division by zero"), "at one unit");
}
