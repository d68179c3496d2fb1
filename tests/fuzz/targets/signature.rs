//! A signature may be anything: the header is the first line, what is signed the rest. Nobody who lacks the secret is believed.
#![no_main]

use aquabills::config::{ProviderSettings, Secret};
use aquabills::providers::{ProviderBook, open};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

/// When the seed was signed, and by what: the seed itself is what must be believed.
const NOW: i64 = 1_700_000_000;
const SECRET: &str = "whsec_fuzz";
const SEED: &[u8] = include_bytes!("../seeds/signature");

static BOOK: LazyLock<ProviderBook> = LazyLock::new(|| {
    let settings = ProviderSettings {
        merchant: "acct_fuzz".to_owned(),
        secret_key: Some(Secret::new("sk_fuzz")),
        webhook_secrets: vec![Secret::new("whsec_old"), Secret::new(SECRET)],
        ..ProviderSettings::default()
    };
    let book = open(&[settings]);
    assert!(believed(&book, SEED), "the seed is signed with the secret");
    book
});

fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    let at = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    (&bytes[..at], bytes.get(at + 1..).unwrap_or_default())
}

fn believed(book: &ProviderBook, bytes: &[u8]) -> bool {
    let (header, body) = split(bytes);
    let provider = book.by_name("stripe").expect("it is in the book");
    // A header that is no text never comes so far.
    std::str::from_utf8(header).is_ok_and(|header| provider.verify(body, Some(header), NOW).is_ok())
}

fuzz_target!(|bytes: &[u8]| {
    if believed(&BOOK, bytes) {
        let (header, body) = split(bytes);
        let (seed_header, seed_body) = split(SEED);
        assert_eq!(body, seed_body, "another body was believed");
        let mark = |header: &[u8]| String::from_utf8_lossy(header).to_ascii_lowercase();
        let seed_mark = mark(seed_header).split_once("v1=").map(|(_, mark)| mark.to_owned()).expect("a mark");
        assert!(mark(header).contains(&seed_mark) && mark(header).contains("t=1700000000"), "another signature was believed");
    }
});
