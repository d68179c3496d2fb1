//! Bank files: what the real ones say, what each format's rules give, what is refused, and laws that hold for any file.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test says what it saw, and fails loudly when it cannot go on"
)]

mod ach;
mod bai2;
mod camt;
mod csv;
mod laws;
mod real_files;
mod writers;

use std::path::{Path, PathBuf};

use aquabills::domain::money::Money;
use aquabills::formats::bank::{BankEntry, BankEntryKind, BankFile, BankFileError, ControlValue, CsvMapping, FormatChoice, Statement, read};
use chrono::NaiveDate;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bank")
}

fn fixture(name: &str) -> Vec<u8> {
    let path = fixtures().join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The mapping of a fixture in CSV, which stands beside it.
fn mapping(name: &str) -> CsvMapping {
    let text = fixture(&name.replace(".csv", ".json"));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Reads a fixture by its own format.
fn read_fixture(name: &str) -> BankFile {
    read_as(name, &fixture(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn read_as(name: &str, bytes: &[u8]) -> Result<BankFile, BankFileError> {
    if Path::new(name).extension().is_some_and(|extension| extension == "csv") {
        return read(bytes, FormatChoice::Csv(&mapping(name)));
    }
    read(bytes, FormatChoice::Detect)
}

/// A fixture with one text replaced, which must occur in it.
fn changed(name: &str, from: &str, to: &str) -> Result<BankFile, BankFileError> {
    let bytes = fixture(name);
    // Byte by byte, as a file in Latin-1 is no text.
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap_or_else(|| panic!("{name} does not contain '{from}'"));
    let mut changed = bytes[..at].to_vec();
    changed.extend(to.as_bytes());
    changed.extend(&bytes[at + from.len()..]);
    read_as(name, &changed)
}

/// Each change of the fixture must be refused with exactly this message.
fn refuses(name: &str, cases: &[(&str, &str, &str)]) {
    for (from, to, message) in cases {
        match changed(name, from, to) {
            Ok(_) => panic!("{name} with '{to}' for '{from}' was accepted; expected: {message}"),
            Err(error) => assert_eq!(error.to_string(), *message, "{name} with '{to}' for '{from}'"),
        }
    }
}

fn day(text: &str) -> NaiveDate {
    text.parse().expect("a date")
}

fn cents(cents: i64) -> Money {
    Money::from_cents(cents)
}

fn returned(code: &str, reason: &str, original: Option<&str>) -> BankEntryKind {
    BankEntryKind::Return { reason_code: code.to_owned(), reason: reason.to_owned(), original_ref: original.map(str::to_owned) }
}

/// What a file's entries come to: amounts in cents, by statement.
fn amounts(file: &BankFile) -> Vec<Vec<i64>> {
    file.statements.iter().map(|statement| statement.entries.iter().map(|entry| entry.amount.cents()).collect()).collect()
}

fn only(file: &BankFile) -> &Statement {
    assert_eq!(file.statements.len(), 1);
    &file.statements[0]
}

fn control(file: &BankFile, name: &str) -> i64 {
    let control = file.controls.iter().find(|control| control.name == name).unwrap_or_else(|| panic!("no control '{name}' in {:?}", file.controls));
    match control.value {
        ControlValue::Count(count) => i64::try_from(count).expect("a small count"),
        ControlValue::Amount(amount) => amount.cents(),
    }
}

fn entry(statement: &Statement, place: &str) -> BankEntry {
    statement.entries.iter().find(|entry| entry.place == place).unwrap_or_else(|| panic!("no entry at '{place}'")).clone()
}
