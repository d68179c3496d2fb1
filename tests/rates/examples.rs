//! The example tariffs of the `aquabills:` settings, with cases worked out by hand (as comments in the files).

use std::path::{Path, PathBuf};

use super::rates_support::decimal;
use aquabills::domain::rates::{Attributes, PricingInput, Severity, Tariff, UsageHow, WinterUse, billed_usage, lint, reference, settle};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rates")
}

fn read(name: &str) -> Tariff {
    let text = std::fs::read_to_string(folder().join(format!("{name}.owrs"))).unwrap();
    Tariff::parse(&text).unwrap_or_else(|errors| panic!("{name}: {errors}"))
}

#[derive(serde::Deserialize)]
struct Case {
    file: String,
    rate_class: String,
    usage: String,
    attributes: String,
    total: String,
}

fn run(name: &str) {
    let tariff = read(name);
    let warnings = lint(&tariff).into_iter().filter(|warning| warning.severity != Severity::Note);
    assert_eq!(warnings.map(|warning| warning.to_string()).collect::<Vec<_>>(), [""; 0], "{name}");
    let mut cases = 0;
    for case in csv::Reader::from_path(folder().join(format!("{name}.csv"))).unwrap().deserialize::<Case>() {
        let case = case.unwrap();
        assert_eq!(case.file, format!("{name}.owrs"));
        let text = if case.attributes.is_empty() { "{}" } else { &case.attributes };
        let attributes: Attributes = serde_json::from_str(text).unwrap();
        let input = PricingInput::new(decimal(&case.usage), &attributes);
        let class = tariff.compile(&case.rate_class).unwrap();
        class.check_attributes(&attributes).unwrap();
        let charge = settle(class.price(&input).unwrap(), class.settings().rounding).unwrap();
        let told = format!("{name}: {} at {} with {text}", case.rate_class, case.usage);
        assert_eq!(charge.total.to_string(), case.total, "{told}: {:#?}", charge.lines);
        assert_eq!(reference::bill_money(&tariff, &case.rate_class, &input).unwrap().to_string(), case.total, "{told}");
        assert_eq!(charge.lines.iter().map(|line| line.amount_cents.cents()).sum::<i64>(), charge.total.cents(), "{told}");
        cases += 1;
    }
    assert!(cases > 0, "{name}");
}

#[test]
fn sewer_on_winter_average() {
    run("sewer-winter-average");
    let tariff = read("sewer-winter-average");
    let settings = tariff.settings_of("RESIDENTIAL");
    let winter = Some(WinterUse { usage: decimal("21"), days: 90 });
    let billed = |metered: &str, days, winter| {
        let billed = billed_usage(settings, decimal(metered), days, winter).unwrap();
        (billed.usage.to_string(), billed.how)
    };
    assert_eq!(billed("12", 30, winter), ("7".to_owned(), UsageHow::WinterAverage));
    // 21 / 90 × 31 = 7.2333…
    assert_eq!(billed("12", 31, winter), ("7.233".to_owned(), UsageHow::WinterAverage));
    assert_eq!(billed("5", 30, winter), ("5".to_owned(), UsageHow::LowerThanWinter));
    assert_eq!(billed("12", 30, None), ("8".to_owned(), UsageHow::Default));
    assert_eq!(billed("3", 30, None), ("3".to_owned(), UsageHow::LowerThanWinter));
    let wet = Some(WinterUse { usage: decimal("90"), days: 90 });
    assert_eq!(billed("40", 30, wet), ("20".to_owned(), UsageHow::Cap));
    assert_eq!(billed("40", 15, wet), ("10".to_owned(), UsageHow::Cap));
    assert!(billed_usage(settings, decimal("1"), 0, winter).is_err());
    assert!(billed_usage(settings, decimal("1"), 30, Some(WinterUse { usage: decimal("1"), days: 0 })).is_err());
    assert!(billed_usage(settings, decimal("-1"), 30, winter).is_err());
}

#[test]
fn sewer_as_a_share_of_water() {
    run("sewer-share");
    let tariff = read("sewer-share");
    let billed = |class: &str, metered: &str, days| {
        let billed = billed_usage(tariff.settings_of(class), decimal(metered), days, None).unwrap();
        (billed.usage.to_string(), billed.how)
    };
    assert_eq!(billed("RESIDENTIAL", "10", 30), ("9".to_owned(), UsageHow::Share));
    assert_eq!(billed("RESIDENTIAL", "40", 30), ("25".to_owned(), UsageHow::Cap));
    assert_eq!(billed("COMMERCIAL", "40", 30), ("38".to_owned(), UsageHow::Share));
    // 0.005 × 95% = 0.00475, and 0.0025 × … : thousandths, halves to the even one.
    assert_eq!(billed("COMMERCIAL", "0.005", 30), ("0.005".to_owned(), UsageHow::Share));
    assert_eq!(billed("RESIDENTIAL", "0.005", 30), ("0.004".to_owned(), UsageHow::Share));
}

#[test]
fn stormwater_by_equivalent_residential_units() {
    run("stormwater-eru");
    let tariff = read("stormwater-eru");
    assert!(!tariff.settings_of("ANY").metered);
    let class = tariff.compile("ANY").unwrap();
    assert_eq!(class.attributes().collect::<Vec<_>>(), ["eru", "impervious_area", "rain_garden"]);
    let refused = |pairs: &[(&str, &str)]| class.check_attributes(&pairs.iter().copied().collect()).unwrap_err().to_string();
    assert_eq!(refused(&[]), "class ANY: attribute `impervious_area` is missing: expected a number of zero or more, to derive `eru` from");
    assert_eq!(
        refused(&[("impervious_area", "big")]),
        "class ANY: attribute `impervious_area` is `big`: expected a number of zero or more, to derive `eru` from"
    );
    assert!(refused(&[("impervious_area", "-1")]).contains("`-1`"));
}

#[test]
fn fire_standby() {
    run("fire-standby");
}

#[test]
fn refuse() {
    run("refuse");
    let class = read("refuse").compile("RESIDENTIAL").unwrap();
    let refused = class.check_attributes(&[("cart_size", "32"), ("age", "old")].into_iter().collect()).unwrap_err();
    assert_eq!(refused.to_string(), "class RESIDENTIAL, part discount:senior_discount: attribute `age` is `old`: expected a number");
}

#[test]
fn water_with_taxes_minimum_and_discounts() {
    run("water-with-taxes-minimum-discounts");
    let tariff = read("water-with-taxes-minimum-discounts");
    let attributes: Attributes = [("low_income", "yes")].into_iter().collect();
    let class = tariff.compile("RESIDENTIAL").unwrap();
    let charge = settle(class.price(&PricingInput::new(decimal("10"), &attributes)).unwrap(), class.settings().rounding).unwrap();
    let shown: Vec<String> = charge.lines.iter().map(|line| format!("{} | {} | {}", line.part, line.label, line.amount_cents)).collect();
    // 42.10 − 2.98 = 39.12; 5.5% of (39.12 + 0.816) = 2.19648; together 43.38248.
    assert_eq!(
        shown,
        [
            "service_charge | Service charge | 14.90",
            "commodity_charge | Commodity charge | 13.20",
            "commodity_charge | Commodity charge | 14.00",
            "discount:low_income_discount | Low-income discount | -2.98",
            "fee:state_fee | State fee | 1.25",
            "fee:franchise_fee | Franchise fee | 0.81",
            "tax:utility_users_tax | Utility users' tax | 2.20",
        ]
    );
    assert_eq!((charge.total.to_string(), charge.tax.to_string()), ("43.38".to_owned(), "2.20".to_owned()));
    let input = PricingInput::new(decimal("10"), &attributes);
    assert_eq!(reference::tax(&tariff, "RESIDENTIAL", &input), Ok(decimal("2.19648")));
}

#[test]
fn apartments_by_dwelling() {
    run("apartments-by-dwelling");
    let class = read("apartments-by-dwelling").compile("MULTI").unwrap();
    for (count, shown) in [("", "missing"), ("0", "`0`"), ("2.5", "`2.5`"), ("many", "`many`")] {
        let refused = class.check_attributes(&[("dwellings", count)].into_iter().collect()).unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!("class MULTI: attribute `dwellings` is {shown}: expected a whole number of dwelling units, 1 or more")
        );
    }
}
