//! A file whose format nobody says: what is detected is what is read, and what is not detected is not read.
#![no_main]

use aquabills::formats::bank::{FormatChoice, detect, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let file = read(bytes, FormatChoice::Detect);
    match detect(bytes) {
        Ok(format) => assert!(file.is_err_and(|error| !error.place.is_empty()) || read(bytes, FormatChoice::Detect).is_ok_and(|file| file.format == format)),
        Err(error) => assert_eq!(file.expect_err("it was not detected"), error),
    }
});
