//! A NACHA file may be anything; what is read of it must be sound.
#![no_main]

use aquabills::formats::bank::{FormatChoice, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(file) = read(bytes, FormatChoice::Ach) {
        let (totals, keys) = (file.totals(), file.entry_keys());
        assert_eq!(totals.statements.len(), keys.len());
    }
});
