//! The bill as a PDF: every figure of its page is on it and no other, whoever reads it finds a structure, whatever people are
//! called; and nobody gets a bill that is not theirs. Read back with tools that are not ours: pdftotext, pdfinfo, qpdf.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on must fail loudly")]

mod figures;
mod letters;
mod read_back;
#[path = "../support/mod.rs"]
mod support;

use std::io::{Read, Write};
use std::net::TcpStream;

use aquabills::actions::bill_words::BillWords;
use aquabills::actions::show_bill::show_bill;
use support::http::Browser;
use support::{Town, day};

/// A file as a browser gets it: status, headers and bytes.
struct Fetched {
    status: u16,
    head: String,
    bytes: Vec<u8>,
}

fn fetch(browser: &Browser, path: &str) -> Fetched {
    let cookies: Vec<String> = browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nCookie: {}\r\n\r\n", browser.host, cookies.join("; "));
    let mut stream = TcpStream::connect(&browser.host).expect("the application listens");
    stream.write_all(request.as_bytes()).expect("the request is sent");
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("the answer is read");
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8_lossy(&all[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    assert!(!head.to_lowercase().contains("transfer-encoding"), "a file comes with its length: {head}");
    Fetched { status, head, bytes: all[end + 4..].to_vec() }
}

/// A bill in words.
fn words_of(town: &Town, number: &str) -> BillWords {
    BillWords::new(&show_bill(&town.context, number).expect("the bill is there"), &town.context)
}

/// A bill as a file.
fn pdf_of(town: &Town, words: &BillWords) -> Vec<u8> {
    aquabills::pdf::bill(words, &town.context.config).expect("a PDF for everybody")
}

/// A town of a few bills: A1 pays, A2 has paid too much.
fn billed(town: Town) -> Town {
    let town = town.with_services(&["A1,S1,HOME,M1", "A2,S2,HOME,M2"]);
    town.reads(&["M1,2026-05-01,100", "M2,2026-05-01,100"]);
    town.reads(&["M1,2026-06-01,112", "M2,2026-06-01,104"]);
    town.pay("A1", "12.34", "BK-1");
    town.pay("A2", "500.00", "BK-2");
    assert_eq!(town.bill("2026-06-01").totals.billed, 2);
    assert!(day("2026-06-01") < town.context.today());
    town
}
