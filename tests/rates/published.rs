//! The published rate files and the bills they must give, where the shared data
//! is on this machine; said clearly where it is not.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use aquabills::domain::rates::{Attributes, PricingInput, Tariff, reference, settle};
use rust_decimal::Decimal;

/// The shared data folder, when this machine has it.
fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/owrs");
    folder.join("expected_bills.csv").is_file().then_some(folder)
}

#[test]
fn published_files_give_the_bills_they_must() {
    let Some(folder) = folder() else {
        println!("NOT TESTED: the folder ../shared/data/owrs is not beside this checkout");
        return;
    };
    let mut cases = csv::Reader::from_path(folder.join("expected_bills.csv")).unwrap();
    let mut tariffs: HashMap<String, Tariff> = HashMap::new();
    let (mut passed, mut failed) = (0, Vec::new());
    for case in cases.deserialize::<HashMap<String, String>>() {
        let case = case.unwrap();
        let tariff = tariffs.entry(case["file"].clone()).or_insert_with(|| {
            let text = std::fs::read_to_string(folder.join(&case["file"])).unwrap();
            Tariff::parse(&text).unwrap_or_else(|errors| panic!("{}: {errors}", case["file"]))
        });
        let attributes: Attributes = serde_json::from_str(&case["attributes"]).unwrap();
        let usage: Decimal = case["usage"].parse().unwrap();
        let compiled = tariff.compile(&case["rate_class"]).unwrap();
        let input = PricingInput::new(usage, &attributes);
        let exact: Decimal = case["exact"].parse().unwrap();
        let recomputed = reference::bill(tariff, &case["rate_class"], &input);
        assert_eq!(recomputed, Ok(exact), "reference evaluator: {case:?}");
        let charge = compiled.price(&input).and_then(|lines| settle(lines, compiled.settings().rounding));
        match charge {
            Ok(charge) if charge.total.to_string() == case["total"] && charge.exact == exact => {
                passed += 1;
            }
            other => failed.push(format!("{case:?}\n  {other:?}")),
        }
    }
    println!("{passed} published bills agree, {} differ", failed.len());
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(passed >= 1236);
}

#[test]
fn every_published_file_is_a_valid_tariff() {
    let Some(folder) = folder() else {
        println!("NOT TESTED: the folder ../shared/data/owrs is not beside this checkout");
        return;
    };
    let mut refused = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "owrs") {
            let text = std::fs::read_to_string(&path).unwrap();
            if let Err(errors) = Tariff::parse(&text) {
                refused.push(format!("{}:\n{errors}", path.display()));
            }
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}
