//! A CSV file and its mapping may be anything: the mapping stands before the first line with `---`, in JSON.
#![no_main]

use aquabills::formats::bank::{CsvMapping, FormatChoice, read};
use libfuzzer_sys::fuzz_target;

const MAPPINGS: [&str; 3] = [
    include_str!("../../fixtures/bank/csv-signed.json"),
    include_str!("../../fixtures/bank/csv-columns.json"),
    include_str!("../../fixtures/bank/csv-indicator.json"),
];

fuzz_target!(|bytes: &[u8]| {
    let separator = b"\n---\n";
    if let Some(at) = bytes.windows(separator.len()).position(|window| window == separator) {
        let (mapping, file) = bytes.split_at(at);
        if let Ok(mapping) = serde_json::from_slice::<CsvMapping>(mapping) {
            check(&file[separator.len()..], &mapping);
        }
    }
    for mapping in MAPPINGS {
        check(bytes, &serde_json::from_str(mapping).expect("a mapping"));
    }
});

fn check(bytes: &[u8], mapping: &CsvMapping) {
    if let Ok(file) = read(bytes, FormatChoice::Csv(mapping)) {
        let (totals, keys) = (file.totals(), file.entry_keys());
        assert_eq!(totals.statements.len(), keys.len());
    }
}
