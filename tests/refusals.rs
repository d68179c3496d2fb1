//! Bad input, through the real program: each gets its clear message and exit status, and leaves no trace (P9).
//!
//! A file whose form is wrong is refused whole. A row that is wrong is refused alone, with its place and reason in
//! `FILE.refused.csv`. Either way every row of every table is compared with what was there before.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on must fail loudly")]

mod support;

use std::io::Write;
use std::path::PathBuf;

use diesel::prelude::*;
use flate2::Compression;
use flate2::write::GzEncoder;
use support::{Town, dump, lines, on_both, stderr, stdout};

const SERVICES: &str = "customer_id,service_id,rate_class,meter_id,register_digits";
const READS: &str = "meter_id,read_on,reading";
const PAYMENTS: &str = "account,amount,effective_on,reference";
const EXCHANGES: &str = "service_id,exchanged_on,old_meter_id,final_reading,new_meter_id,initial_reading,register_digits";

/// Fails with the rows that differ, and not with the whole database.
fn assert_same(before: &[String], after: &[String], what: &str) {
    let gone: Vec<&String> = before.iter().filter(|row| !after.contains(row)).collect();
    let came: Vec<&String> = after.iter().filter(|row| !before.contains(row)).collect();
    assert!(before == after, "{what} left a trace\n  before: {gone:#?}\n  after: {came:#?}");
}

/// What the program said.
struct Answer {
    status: Option<i32>,
    out: String,
    err: String,
}

impl Answer {
    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("not one JSON object ({error}): {}\n{}", self.out, self.err))
    }

    fn counts(&self) -> (u64, u64, u64) {
        let json = self.json();
        let count = |key: &str| json[key].as_u64().unwrap_or_else(|| panic!("no count '{key}': {json}"));
        (count("accepted"), count("unchanged"), count("refused"))
    }
}

fn ask(town: &Town, args: &[&str]) -> Answer {
    let output = town.program(args);
    Answer { status: output.status.code(), out: stdout(&output), err: stderr(&output) }
}

fn write(town: &Town, name: &str, content: &[u8]) -> PathBuf {
    let path = town.dir.path().join(name);
    std::fs::write(&path, content).expect("the file is written");
    path
}

fn refused_file(town: &Town, name: &str) -> PathBuf {
    town.dir.path().join(format!("{name}.refused.csv"))
}

fn assert_says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "'{word}' is not said:\n{text}");
    }
}

/// Imports a file; fails unless it is refused whole, with these words, without a trace.
fn file_refused(town: &Town, kind: &str, name: &str, words: &[&str]) {
    for extra in [&["--json"][..], &["--json", "--dry-run"]] {
        let before = dump(town);
        let answer = ask(town, &[&["import", kind, name], extra].concat());
        assert_eq!(answer.status, Some(1), "{kind} {name}: {}{}", answer.out, answer.err);
        assert_eq!(answer.out, "", "a file that is refused whole has no counts");
        assert_says(&answer.err, &[name]);
        assert_says(&answer.err, words);
        assert!(!refused_file(town, name).exists(), "{name}: there are no refused rows to list");
        assert_same(&before, &dump(town), &format!("{kind} {name}"));
    }
}

/// Imports a file of one row; fails unless that row is refused with these words in message and file, without a trace.
fn row_refused(town: &Town, kind: &str, header: &str, row: &str, words: &[&str]) {
    let name = format!("{kind}.csv");
    write(town, &name, format!("{header}\n{row}\n").as_bytes());
    let path = refused_file(town, &name);
    for extra in [&["--json"][..], &["--json", "--dry-run"]] {
        let _ = std::fs::remove_file(&path);
        let before = dump(town);
        let answer = ask(town, &[&["import", kind, &name], extra].concat());
        assert_eq!(answer.status, Some(1), "{row}: {}{}", answer.out, answer.err);
        assert_eq!(answer.counts(), (0, 0, 1), "{row}");
        assert_says(&answer.err, &[&format!("{name}: row 2: "), &format!("{name}.refused.csv")]);
        assert_says(&answer.err, words);
        assert_refused_rows(town, &name, &[(row, 2, words)]);
        assert_same(&before, &dump(town), row);
    }
}

/// The file of refused rows: the file's own header and fields, then the row's line and the reason.
fn assert_refused_rows(town: &Town, name: &str, expected: &[(&str, u64, &[&str])]) {
    let mut reader = csv::Reader::from_path(refused_file(town, name)).expect("there is a file of refused rows");
    let header = reader.headers().expect("a header").clone();
    assert_eq!(header.iter().rev().take(2).collect::<Vec<_>>(), ["refused_reason", "refused_row"]);
    let rows: Vec<csv::StringRecord> = reader.records().map(|row| row.expect("a row")).collect();
    assert_eq!(rows.len(), expected.len(), "{rows:?}");
    for (row, (fields, line, words)) in rows.iter().zip(expected) {
        let mut original = csv::ReaderBuilder::new().has_headers(false).trim(csv::Trim::All).from_reader(fields.as_bytes());
        let original = original.records().next().expect("a row").expect("a row");
        let kept: Vec<&str> = row.iter().take(row.len() - 2).collect();
        assert_eq!(kept, original.iter().collect::<Vec<_>>(), "the row is kept as it was");
        assert_eq!(&row[row.len() - 2], line.to_string());
        assert_says(&row[row.len() - 1], words);
    }
}

/// Two services, A1 with three accepted reads, January billed, one payment.
fn started(town: Town) -> Town {
    let town = town.with_services(&["A1,S1,HOME,M1", "A2,S2,SHOP,M2"]);
    town.reads(&["M1,2024-01-01,100", "M1,2024-02-01,115", "M1,2024-03-01,120"]);
    let csv = format!("{PAYMENTS}\nA1,5.00,2024-05-01,R-1\n");
    write(&town, "first.csv", csv.as_bytes());
    assert_eq!(ask(&town, &["import", "payments", "first.csv"]).status, Some(0));
    town.bill("2024-02-01");
    town
}

const KINDS: [(&str, &str); 4] = [("services", SERVICES), ("reads", READS), ("payments", PAYMENTS), ("exchanges", EXCHANGES)];

fn gzipped(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).expect("it is compressed");
    encoder.finish().expect("it is compressed")
}

/// A good file of reads, long enough that its half is a broken one.
fn many_reads() -> String {
    let rows: Vec<String> = (1..=28).map(|day| format!("M1,2024-04-{day:02},{}", 200 + day * 7 % 5)).collect();
    format!("{READS}\n{}\n", rows.join("\n"))
}

on_both! {
    fn what_cannot_be_opened(town: Town) {
        let town = started(town);
        std::fs::create_dir(town.dir.path().join("folder.csv")).expect("a folder");
        for (kind, _) in KINDS.into_iter().chain([("tariff", "")]) {
            file_refused(&town, kind, "missing.csv", &["No such file"]);
            file_refused(&town, kind, "folder.csv", &["irectory"]);
        }
    }

    fn what_is_not_a_table_in_utf8(town: Town) {
        let town = started(town);
        for (kind, header) in KINDS {
            write(&town, "empty.csv", b"");
            file_refused(&town, kind, "empty.csv", &["header", "is missing", "expected the columns", header]);
            let latin: Vec<u8> = [header.as_bytes(), b"\nM\xfcller,", ",".repeat(header.matches(',').count() - 1).as_bytes(), b"\n"].concat();
            write(&town, "latin.csv", &latin);
            file_refused(&town, kind, "latin.csv", &["row 2", "UTF-8"]);
            write(&town, "latin-header.csv", b"k\xfcnde,meter_id\n");
            file_refused(&town, kind, "latin-header.csv", &["UTF-8"]);
            write(&town, "binary.csv", &[0, 159, 146, 150, 0, 1, 2, 3]);
            file_refused(&town, kind, "binary.csv", &["UTF-8"]);
        }
        // A spreadsheet's UTF-16.
        let wide: Vec<u8> = READS.encode_utf16().flat_map(u16::to_le_bytes).collect();
        write(&town, "wide.csv", &[&[0xff, 0xfe], wide.as_slice()].concat());
        file_refused(&town, "reads", "wide.csv", &["UTF-8"]);
    }

    fn what_is_not_gzip_or_breaks_off(town: Town) {
        let town = started(town);
        let good = gzipped(many_reads().as_bytes());
        for (name, bytes) in [
            ("plain.csv.gz", many_reads().into_bytes()),
            ("empty.csv.gz", Vec::new()),
            ("half.csv.gz", good[..good.len() / 2].to_vec()),
            ("no-trailer.csv.gz", good[..good.len() - 8].to_vec()),
            ("cut-trailer.csv.gz", good[..good.len() - 1].to_vec()),
            ("flipped.csv.gz", good.iter().enumerate().map(|(at, byte)| if at == good.len() - 6 { byte ^ 1 } else { *byte }).collect()),
            ("damaged.csv.gz", good.iter().enumerate().map(|(at, byte)| if at == good.len() / 2 { byte ^ 0x55 } else { *byte }).collect()),
        ] {
            write(&town, name, &bytes);
            file_refused(&town, "reads", name, &[]);
        }
        write(&town, "good.csv.gz", &good);
        assert_eq!(ask(&town, &["import", "reads", "good.csv.gz", "--json"]).counts(), (28, 0, 0));
    }

    fn a_wrong_header(town: Town) {
        let town = started(town);
        for (kind, header) in KINDS {
            let first = header.split(',').next().expect("a column");
            let refuse = |name: &str, text: &str, words: &[&str]| {
                write(&town, name, format!("{text}\n").as_bytes());
                file_refused(&town, kind, name, words);
                file_refused(&town, kind, name, &["header", "expected the columns", header]);
            };
            refuse("without.csv", &header.replacen(&format!("{first},"), "", 1), &[&format!("the column '{first}' is missing")]);
            refuse("more.csv", &format!("{header},colour"), &["the column 'colour' is not known"]);
            refuse("twice.csv", &format!("{header},{first}"), &[&format!("the column '{first}' is there twice")]);
            refuse("semicolon.csv", &header.replace(',', ";"), &[&format!("the column '{first}' is missing")]);
            refuse("capitals.csv", &header.to_uppercase(), &[&format!("the column '{first}' is missing")]);
            refuse("other.csv", "this,is,no,such,table", &["is missing"]);
        }
    }

    fn a_row_of_another_length_refuses_the_whole_file(town: Town) {
        let town = started(town);
        for (wrong, words) in [("M1,2024-04-03", ["row 4", "it has 2 fields, expected 3"]), ("M1,2024-04-03,130,9", ["row 4", "it has 4 fields, expected 3"])] {
            write(&town, "reads.csv", format!("{READS}\nM1,2024-04-01,121\nM1,2024-04-02,122\n{wrong}\nM1,2024-04-04,131\n").as_bytes());
            file_refused(&town, "reads", "reads.csv", &words);
        }
        write(&town, "payments.csv", format!("{PAYMENTS}\nA1,1.00,2024-05-01,P-1\nA1,1,000.00,2024-05-01,P-2\n").as_bytes());
        file_refused(&town, "payments", "payments.csv", &["row 3", "it has 5 fields, expected 4"]);
        // A quote that is never closed swallows what follows.
        write(&town, "quote.csv", format!("{READS}\nM1,2024-04-01,121\n\"M1,2024-04-02,122\nM1,2024-04-03,123\n").as_bytes());
        file_refused(&town, "reads", "quote.csv", &["row 3", "expected 3"]);
        // The fault is in the last of many rows, after several batches.
        let rows: Vec<String> = (0..2_500).map(|n| format!("A1,1.00,2024-05-01,L-{n}")).collect();
        let long = format!("{PAYMENTS}\n{}\nA1,1.00\n", rows.join("\n"));
        write(&town, "long.csv", long.as_bytes());
        file_refused(&town, "payments", "long.csv", &["row 2502", "it has 2 fields, expected 4"]);
    }

    fn what_spreadsheets_write_is_accepted(town: Town) {
        let town = started(town);
        for (name, text) in [
            ("bom.csv", format!("\u{feff}{READS}\nM1,2024-04-01,121\n")),
            ("quoted-bom.csv", "\u{feff}\"meter_id\",\"read_on\",\"reading\"\nM1,2024-04-02,122\n".to_owned()),
            ("crlf.csv", format!("{READS}\r\nM1,2024-04-03,123\r\n")),
            ("no-newline.csv", format!("{READS}\nM1,2024-04-04,124")),
            ("spaces.csv", " meter_id , read_on , reading \n M1 , 2024-04-05 , 125 \n".to_owned()),
            ("blank-lines.csv", format!("{READS}\n\nM1,2024-04-06,126\n\n\n")),
            ("other-order.csv", "reading,meter_id,read_on\n127,M1,2024-04-07\n".to_owned()),
        ] {
            write(&town, name, text.as_bytes());
            let answer = ask(&town, &["import", "reads", name, "--json"]);
            assert_eq!((answer.status, answer.counts()), (Some(0), (1, 0, 0)), "{name}: {}", answer.err);
        }
        for (kind, header) in KINDS {
            write(&town, "header-only.csv", format!("{header}\n").as_bytes());
            let before = dump(&town);
            let answer = ask(&town, &["import", kind, "header-only.csv", "--json"]);
            assert_eq!((answer.status, answer.counts()), (Some(0), (0, 0, 0)), "{kind}: {}", answer.err);
            assert_same(&before, &dump(&town), "it");
        }
    }

    fn wrong_use_is_status_2(town: Town) {
        let town = started(town);
        let before = dump(&town);
        for args in [
            &["import"][..],
            &["import", "reads"],
            &["import", "weather", "x.csv"],
            &["import", "reads", "first.csv", "--force"],
            &["bill", "--cycle", "all", "--through", "2024-02-30"],
            &["payment", "take", "A1", "--amount", "1.005", "--reference", "X"],
            &["payment", "take", "A1", "--amount", "1", "--reference", "X", "--tender", "gold"],
        ] {
            let answer = ask(&town, args);
            assert_eq!((answer.status, answer.out.as_str()), (Some(2), ""), "{args:?}: {}", answer.err);
            assert!(!answer.err.is_empty());
        }
        assert_same(&before, &dump(&town), "it");
    }
}

on_both! {
    fn reads_that_are_refused(town: Town) {
        let town = started(town);
        for (row, words) in [
            ("M1,2024-04-01,12O", &["reading", "'12O' is not a number", "expected digits"][..]),
            ("M1,2024-04-01,", &["reading", "is not a number"]),
            ("M1,2024-04-01,-5", &["reading", "'-5' is not a number"]),
            ("M1,2024-04-01,1e3", &["reading", "is not a number"]),
            ("M1,2024-04-01,120.0001", &["reading", "more than three decimals"]),
            ("M1,2024-04-01,99999999999999999999", &["reading", "too large"]),
            ("M1,2024-04-01,12000", &["reading", "12000 has more digits than the register, which shows 4"]),
            ("M1,01.04.2024,121", &["read_on", "'01.04.2024' is not a date", "expected YYYY-MM-DD"]),
            ("M1,2024-02-30,121", &["read_on", "'2024-02-30' is not a date", "expected YYYY-MM-DD"]),
            ("M1,2024-4-1,121", &["read_on", "is not a date", "expected YYYY-MM-DD"]),
            ("M1,,121", &["read_on", "'' is not a date"]),
            ("M1,2999-01-01,121", &["read_on", "2999-01-01 is in the future", "expected a day up to"]),
            ("M9,2024-04-01,121", &["meter_id", "there is no meter 'M9'"]),
            (",2024-04-01,121", &["meter_id", "'' is not an identifier", "expected 1 to 64 characters"]),
            ("M1,2024-03-01,121", &["reading", "there is a read of 2024-03-01 on that day already, 120 (actual)", "a second one is not taken"]),
            ("M1,2024-01-15,110", &["read_on", "billed through 2024-02-01", "2024-01-15 would change a bill"]),
            ("M1,2023-01-01,1", &["read_on", "billed through 2024-02-01"]),
        ] {
            row_refused(&town, "reads", READS, row, words);
        }
        let kinds = format!("{READS},kind");
        row_refused(&town, "reads", &kinds, "M1,2024-04-01,121,guess", &["kind", "'guess'", "expected"]);
        row_refused(&town, "reads", &kinds, "M1,2024-04-01,121,removal", &["kind", "exchange"]);
        row_refused(&town, "reads", &format!("{READS},register"), "M1,2024-04-01,121,7", &["no meter 'M1' with a register '7'"]);
    }

    fn payments_that_are_refused(town: Town) {
        let town = started(town);
        for (row, words) in [
            ("A1,5.0O,2024-05-01,P-1", &["amount", "`5.0O` is not an amount", "expected digits"][..]),
            ("A1,1.005,2024-05-01,P-1", &["amount", "fraction of a cent", "at most two decimals"]),
            ("A1,0,2024-05-01,P-1", &["amount", "0.00 is not a payment", "expected more than 0"]),
            ("A1,-5.00,2024-05-01,P-1", &["amount", "-5.00 is not a payment", "expected more than 0"]),
            ("A1,,2024-05-01,P-1", &["amount", "is not an amount"]),
            ("A1,$5.00,2024-05-01,P-1", &["amount", "is not an amount"]),
            ("A1,\"1,000.00\",2024-05-01,P-1", &["amount", "is not an amount"]),
            ("A1,99999999999999999999,2024-05-01,P-1", &["amount", "too large"]),
            ("A1,5.00,2999-01-01,P-1", &["effective_on", "2999-01-01 is in the future", "expected a day up to"]),
            ("A1,5.00,5/1/2024,P-1", &["effective_on", "'5/1/2024' is not a date", "expected YYYY-MM-DD"]),
            ("A9,5.00,2024-05-01,P-1", &["account", "there is no account 'A9'"]),
            (",5.00,2024-05-01,P-1", &["account", "expected 1 to 64 characters"]),
            ("A1,5.00,2024-05-01,", &["reference", "expected 1 to 64 characters"]),
            ("A1,6.00,2024-05-01,R-1", &["reference", "'R-1' stands for another payment already, 5.00 of 2024-05-01"]),
            ("A2,5.00,2024-05-01,R-1", &["reference", "'R-1' stands for another payment already"]),
            ("A1,5.00,2024-05-02,R-1", &["reference", "'R-1' stands for another payment already"]),
        ] {
            row_refused(&town, "payments", PAYMENTS, row, words);
        }
        row_refused(&town, "payments", &format!("{PAYMENTS},tender"), "A1,5.00,2024-05-01,P-1,gold", &["tender", "'gold'", "expected cash, cheque, card or transfer"]);
    }

    fn services_that_are_refused(town: Town) {
        let town = started(town);
        for (row, words) in [
            ("A3,S3,VILLA,M3,4", &["rate_class", "no imported tariff has a class 'VILLA'"][..]),
            ("A3,S3,,M3,4", &["rate_class", "expected 1 to 64 characters"]),
            ("A3,S3,HOME,M3,four", &["register_digits", "'four' is not a number of digits", "expected 1 to 12"]),
            ("A3,S3,HOME,M3,0", &["register_digits", "expected 1 to 12"]),
            ("A3,S3,HOME,M3,13", &["register_digits", "expected 1 to 12"]),
            (",S3,HOME,M3,4", &["customer_id", "expected 1 to 64 characters"]),
            ("A3,,HOME,M3,4", &["service_id", "expected 1 to 64 characters"]),
            ("A3,S3,HOME,,4", &["meter_id", "expected 1 to 64 characters"]),
            ("A3,S3,HOME,M1,4", &["meter_id", "meter 'M1' is installed at another service"]),
            ("A1,S1,HOME,M2,4", &["meter_id", "service 'S1' has another meter", "exchange"]),
            ("A1,S1,HOME,M3,4", &["meter_id", "service 'S1' has another meter", "exchange"]),
            ("A1,S1,SHOP,M1,4", &["rate_class", "service 'S1' has 'HOME'", "not an import"]),
            ("A2,S1,HOME,M1,4", &["customer_id", "service 'S1' belongs to another customer"]),
            ("A3,S1,HOME,M1,4", &["customer_id", "service 'S1' belongs to another customer"]),
            ("A1,S1,HOME,M1,5", &["register_digits", "meter 'M1' has other digits"]),
        ] {
            row_refused(&town, "services", SERVICES, row, words);
        }
        for (column, value, words) in [
            ("email", "nobody", &["email", "'nobody' is not an e-mail address"][..]),
            ("attributes", "{size", &["attributes"]),
            ("attributes", "[1]", &["attributes"]),
            ("schedule", "gas", &["rate_class", "tariff schedule 'gas' has no class 'HOME'"]),
            ("start_on", "soon", &["start_on", "'soon' is not a date", "expected YYYY-MM-DD"]),
            ("multiplier", "0", &["multiplier", "'0' is not a number above 0"]),
            ("unit", "bucket", &["unit", "'bucket' is not a unit"]),
        ] {
            row_refused(&town, "services", &format!("{SERVICES},{column}"), &format!("A3,S3,HOME,M3,4,{value}"), words);
        }
        row_refused(&town, "services", &format!("{SERVICES},cycle"), "A1,S1,HOME,M1,4,north", &["cycle", "service 'S1' has 'main'"]);
    }

    fn exchanges_that_are_refused(town: Town) {
        let town = started(town);
        for (row, words) in [
            ("S9,2024-04-01,M1,125,M3,0,4", &["service_id", "there is no service 'S9'"][..]),
            ("S1,2024-04-01,M9,125,M3,0,4", &["old_meter_id", "there is no meter 'M9'"]),
            ("S1,2024-04-01,M2,125,M3,0,4", &["old_meter_id", "meter 'M2' is not installed at service 'S1'"]),
            ("S1,2024-04-01,M1,125,M2,0,4", &["new_meter_id", "meter 'M2' is known already"]),
            ("S1,2024-04-01,M1,125,M1,0,4", &["new_meter_id", "meter 'M1' is known already"]),
            ("S1,2024-04-01,M1,125,,0,4", &["new_meter_id", "expected 1 to 64 characters"]),
            ("S1,2024-04-01,M1,12O,M3,0,4", &["final_reading", "'12O' is not a number"]),
            ("S1,2024-04-01,M1,12500,M3,0,4", &["final_reading", "12500 has more digits"]),
            ("S1,2024-04-01,M1,125,M3,x,4", &["initial_reading", "'x' is not a number"]),
            ("S1,2024-04-01,M1,125,M3,10000,4", &["initial_reading", "more digits"]),
            ("S1,2024-04-01,M1,125,M3,0,99", &["register_digits", "expected 1 to 12"]),
            ("S1,2999-01-01,M1,125,M3,0,4", &["exchanged_on", "in the future"]),
            ("S1,April,M1,125,M3,0,4", &["exchanged_on", "'April' is not a date", "expected YYYY-MM-DD"]),
            ("S1,2024-03-01,M1,125,M3,0,4", &["exchanged_on", "was read on 2024-03-01, not before the exchange"]),
            ("S1,2024-02-15,M1,118,M3,0,4", &["exchanged_on", "was read on 2024-03-01"]),
        ] {
            row_refused(&town, "exchanges", EXCHANGES, row, words);
        }
        town.exchanges(&["S1,2024-04-01,M1,125,M3,0,4"]);
        row_refused(&town, "exchanges", EXCHANGES, "S1,2024-05-01,M1,130,M4,0,4", &["old_meter_id", "meter 'M1' was taken out on 2024-04-01"]);
        row_refused(&town, "exchanges", EXCHANGES, "S1,2024-05-01,M3,130,M1,0,4", &["new_meter_id", "meter 'M1' is known already"]);
    }

    fn an_exchange_before_the_billed_day_names_its_own_column(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        town.reads(&["M1,2024-01-01,100", "M1,2024-02-01,115"]);
        town.bill("2024-02-01");
        let reject = "UPDATE meter_read SET status = 'rejected' WHERE read_on = '2024-02-01'";
        town.context.database.write(|conn| diesel::sql_query(reject).execute(conn)).expect("the read is set aside");
        row_refused(&town, "exchanges", EXCHANGES, "S1,2024-01-15,M1,108,M3,0,4", &["exchanged_on: ", "billed through 2024-02-01"]);
    }

    fn an_exchange_has_a_multiplier_above_0(town: Town) {
        let town = started(town);
        let header = format!("{EXCHANGES},multiplier");
        row_refused(&town, "exchanges", &header, "S1,2024-04-01,M1,125,M3,0,4,0", &["multiplier", "'0' is not a number above 0"]);
        row_refused(&town, "exchanges", &header, "S1,2024-04-01,M1,125,M3,0,4,x", &["multiplier", "'x'"]);
    }

    fn an_exchange_with_other_readings_is_not_unchanged(town: Town) {
        let town = started(town);
        town.exchanges(&["S1,2024-04-01,M1,125,M3,0,4"]);
        let again = town.exchanges(&["S1,2024-04-01,M1,125,M3,0,4"]);
        assert_eq!((again.accepted, again.unchanged, again.refused), (0, 1, 0));
        row_refused(&town, "exchanges", EXCHANGES, "S1,2024-04-01,M1,152,M3,0,4", &["final_reading", "125"]);
        row_refused(&town, "exchanges", EXCHANGES, "S1,2024-04-01,M1,125,M3,9,4", &["initial_reading", "0"]);
    }

    fn an_exchange_before_the_meter_came_is_a_refused_row(town: Town) {
        let town = started(town);
        let header = format!("{SERVICES},installed_on");
        let report = town.services(&format!("{header}\nA4,S4,HOME,M4,4,2024-05-01\n")).expect("the services are read");
        assert_eq!(report.accepted, 1);
        row_refused(&town, "exchanges", EXCHANGES, "S4,2024-04-01,M4,5,M5,0,4", &["exchanged_on", "2024-05-01"]);
    }

    fn a_read_of_a_meter_that_is_not_there_is_refused(town: Town) {
        let town = started(town);
        town.exchanges(&["S1,2024-04-01,M1,125,M3,0,4"]);
        row_refused(&town, "reads", READS, "M1,2024-05-01,130", &["read_on", "M1", "2024-04-01"]);
    }

    fn a_rejected_last_read_of_an_exchange_can_be_put_right(town: Town) {
        let town = started(town);
        assert_eq!(town.exchanges(&["S1,2024-04-01,M1,12,M3,0,4"]).held, 1);
        assert_eq!(ask(&town, &["held", "reject", "--all", "--note", "misread"]).status, Some(0));
        let right = town.exchanges(&["S1,2024-04-01,M1,125,M3,0,4"]);
        assert_eq!((right.accepted, right.unchanged), (1, 0), "{:?}", right.first_refusals);
        town.reads(&["M3,2024-05-01,7"]);
        town.bill("2024-05-01");
        assert_eq!(town.totals().len(), 3, "{:?}", town.totals());
        town.assert_sound();
    }

    fn a_payment_beyond_reason_is_refused(town: Town) {
        let town = started(town);
        for row in ["A1,90000000000000000.00,2024-05-01,P-1", "A2,90000000000000000.00,2024-05-01,P-2"] {
            row_refused(&town, "payments", PAYMENTS, row, &["amount", "too large"]);
        }
        town.assert_sound();
    }

    fn a_file_of_refused_rows_can_be_put_right_and_imported(town: Town) {
        let town = started(town);
        write(&town, "payments.csv", format!("{PAYMENTS}\nA9,1.00,2024-05-01,P-1\nA1,2.00,2024-05-01,P-2\n").as_bytes());
        assert_eq!(ask(&town, &["import", "payments", "payments.csv", "--json"]).counts(), (1, 0, 1));
        let refused = std::fs::read_to_string(refused_file(&town, "payments.csv")).expect("the file of refused rows");
        write(&town, "fixed.csv", refused.replace("\nA9,", "\nA2,").as_bytes());
        let answer = ask(&town, &["import", "payments", "fixed.csv", "--json"]);
        assert_eq!(answer.counts(), (1, 0, 0), "{}", answer.err);
    }

    fn a_read_that_is_held_can_be_released(town: Town) {
        // A read that runs backwards is held. It waits for a person, so a person must find it, wherever its meter is.
        let town = started(town);
        town.exchanges(&["S1,2024-04-01,M1,125,M3,0,4"]);
        town.reads(&["M1,2024-05-01,3"]);
        let held = "SELECT CAST(count(*) AS TEXT) AS line FROM meter_read m \
            WHERE m.status = 'held' AND NOT EXISTS (SELECT 1 FROM todo t WHERE t.meter_read_id = m.id)";
        let lost = town.context.database.read(|conn| Ok::<_, diesel::result::Error>(lines(conn, held)));
        assert_eq!(lost.expect("the database is read"), ["0"], "held reads that nobody is asked about");
    }
}

on_both! {
    fn a_duplicate_row_is_refused_and_the_first_one_taken(town: Town) {
        let town = started(town);
        for (kind, header, row, other, words) in [
            ("reads", READS, "M1,2024-04-01,121", "M1,2024-04-01,122", ["duplicate", "earlier row of this file"]),
            ("payments", PAYMENTS, "A1,1.00,2024-05-01,P-1", "A2,2.00,2024-05-01,P-1", ["duplicate", "earlier row of this file"]),
            ("services", SERVICES, "A5,S5,HOME,M5,4", "A6,S5,HOME,M5,4", ["duplicate", "earlier row of this file"]),
        ] {
            let name = format!("{kind}.csv");
            write(&town, &name, format!("{header}\n{row}\n{row}\n{other}\n").as_bytes());
            let answer = ask(&town, &["import", kind, &name, "--json"]);
            assert_eq!((answer.status, answer.counts()), (Some(1), (1, 0, 2)), "{kind}: {}", answer.err);
            assert_says(&answer.err, &[&format!("{name}: row 3: "), &format!("{name}: row 4: "), words[0], words[1]]);
            assert_refused_rows(&town, &name, &[(row, 3, &words), (other, 4, &words)]);
        }
        town.assert_sound();
    }

    fn good_rows_are_taken_beside_refused_ones(town: Town) {
        let town = started(town);
        let rows = ["A1,1.00,2024-05-01,P-1", "A9,1.00,2024-05-01,P-2", "A2,x,2024-05-01,P-3", "A2,4.00,2024-05-01,P-4"];
        write(&town, "payments.csv", format!("{PAYMENTS}\n{}\n", rows.join("\n")).as_bytes());
        let before = dump(&town);
        let dry = ask(&town, &["import", "payments", "payments.csv", "--json", "--dry-run"]);
        assert_eq!((dry.status, dry.counts()), (Some(1), (2, 0, 2)), "{}", dry.err);
        assert_same(&before, &dump(&town), "a dry run");
        let answer = ask(&town, &["import", "payments", "payments.csv", "--json"]);
        assert_eq!((answer.status, answer.counts()), (Some(1), (2, 0, 2)), "{}", answer.err);
        assert_refused_rows(&town, "payments.csv", &[(rows[1], 3, &["account", "'A9'"]), (rows[2], 4, &["amount", "`x`"])]);
        assert_eq!(town.balance("A2"), "-4.00");
        // Without refusals the old file of refused rows goes.
        let fixed = format!("{PAYMENTS}\n{}\n{}\n", rows[0], rows[3]);
        write(&town, "payments.csv", fixed.as_bytes());
        let again = ask(&town, &["import", "payments", "payments.csv", "--json"]);
        assert_eq!((again.status, again.counts()), (Some(0), (0, 2, 0)), "{}", again.err);
        assert!(!refused_file(&town, "payments.csv").exists());
        town.assert_sound();
    }

    fn the_same_file_twice_changes_nothing(town: Town) {
        let town = started(town);
        let files = [
            ("services", format!("{SERVICES},name\nA7,S7,HOME,M7,4,Ann\nA7,S8,HOME,M8,4,Ann\n")),
            ("reads", format!("{READS}\nM1,2024-04-01,121\nM1,2024-01-01,100\n")),
            ("exchanges", format!("{EXCHANGES}\nS1,2024-05-01,M1,125,M3,0,4\n")),
            ("payments", format!("{PAYMENTS}\nA1,1.00,2024-05-01,P-1\nA1,5.00,2024-05-01,R-1\n")),
        ];
        for (kind, text) in files {
            let name = format!("{kind}.csv");
            write(&town, &name, text.as_bytes());
            let dry = ask(&town, &["import", kind, &name, "--json", "--dry-run"]);
            let first = ask(&town, &["import", kind, &name, "--json"]);
            assert_eq!((first.status, first.counts()), (Some(0), dry.counts()), "{kind}: {}", first.err);
            let before = dump(&town);
            let second = ask(&town, &["import", kind, &name, "--json"]);
            let rows = u64::try_from(text.lines().count() - 1).unwrap();
            assert_eq!((second.status, second.counts()), (Some(0), (0, rows, 0)), "{kind}: {}", second.err);
            assert_same(&before, &dump(&town), kind);
        }
    }

    fn a_customers_second_service_may_bring_the_name(town: Town) {
        let town = started(town);
        let header = format!("{SERVICES},name,email");
        for (n, first, second) in [(1, ",", "Ann,ann@example.org"), (2, "Ann,ann@example.org", "Ann B.,ann@example.org"), (3, "Ann,", "Ann,ann@example.org")] {
            let text = format!("{header}\nB{n},T{n},HOME,N{n},4,{first}\nB{n},U{n},HOME,O{n},4,{second}\n");
            write(&town, "services.csv", text.as_bytes());
            assert_eq!(ask(&town, &["import", "services", "services.csv", "--json"]).counts(), (2, 0, 0));
            let before = dump(&town);
            let again = ask(&town, &["import", "services", "services.csv", "--json"]);
            assert_eq!(again.counts(), (0, 2, 0), "the same file again: {first} / {second}");
            assert_same(&before, &dump(&town), "it");
        }
    }

    fn refused_rows_that_cannot_be_written_post_nothing(town: Town) {
        let town = started(town);
        std::fs::create_dir(refused_file(&town, "payments.csv")).expect("a folder where the file would be");
        write(&town, "payments.csv", format!("{PAYMENTS}\nA1,1.00,2024-05-01,P-1\nA9,1.00,2024-05-01,P-2\n").as_bytes());
        let before = dump(&town);
        let answer = ask(&town, &["import", "payments", "payments.csv", "--json"]);
        assert_eq!(answer.status, Some(1));
        assert_says(&answer.err, &["payments.csv.refused.csv"]);
        assert_same(&before, &dump(&town), "the error says no, the ledger says yes");
    }
}

/// A tariff of one class HOME with these parts.
fn tariff(parts: &str) -> String {
    let parts: Vec<String> = parts.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "metadata:\n  effective_date: 2024-01-01\n  utility_name: Story town\n  bill_frequency: monthly\n  bill_unit: ccf\n\
         aquabills:\n  schedule: refuse\nrate_structure:\n  HOME:\n{}",
        parts.concat()
    )
}

on_both! {
    fn tariffs_that_are_refused(town: Town) {
        let town = started(town);
        let good = tariff("service_charge: 3\nbill: service_charge");
        for (text, words) in [
            (good.replace("  effective_date: 2024-01-01\n", ""), &["metadata", "effective_date is missing"][..]),
            (good.replace("2024-01-01", "2024-13-01"), &["line 2", "effective_date", "2024-13-01", "expected a date"]),
            (tariff("service_charge: 1\nservice_charge: 2\nbill: service_charge"), &["line 11", "HOME", "duplicate key `service_charge`", "line 10"]),
            (format!("{good}  HOME:\n    bill: 3\n"), &["line 12", "duplicate key `HOME`"]),
            (
                tariff("tier_starts: [0, 10]\ntier_prices: [1, 2, 3]\ncommodity_charge: Tiered\nbill: commodity_charge"),
                &["line 10", "HOME", "tier_starts", "2 tier starts but 3 prices", "expected as many"],
            ),
            (tariff("commodity_charge: Tiered\nbill: commodity_charge"), &["HOME", "commodity_charge", "without tiers", "expected a part `tier_prices`"]),
            (tariff("service_charge: 1\nbill: service_charge+comodity_charge"), &["line 11", "HOME", "bill", "`comodity_charge` is not defined"]),
            (
                tariff("service_charge:\n  depends_on: meter_size\n  values:\n    5/8\": 10\n    3/4\":\nbill: service_charge"),
                &["line 14", "HOME", "service_charge", "key `3/4\"`", "nothing given"],
            ),
            (
                tariff("service_charge:\n  depends_on: [meter_size, zone]\n  values:\n    5/8\"|A: 10\n    3/4\": 9\nbill: service_charge"),
                &["line 14", "service_charge", "key `3/4\"`", "expected meter_size|zone"],
            ),
            (tariff("bill: 3+"), &["line 10", "HOME", "bill", "`3+`", "expected a number or a name"]),
            (tariff("service_charge: 3"), &["line 9", "HOME", "no part `bill`"]),
            (tariff("a: b\nb: a\nbill: a"), &["HOME", "circle"]),
            (String::new(), &["no `rate_structure`"]),
            ("\u{0}\u{1}".to_owned(), &["line 1"]),
            ("{{{{".to_owned(), &["line 1"]),
        ] {
            write(&town, "tariff.owrs", text.as_bytes());
            file_refused(&town, "tariff", "tariff.owrs", words);
        }
        write(&town, "tariff.owrs", b"rate_structure: \xff");
        file_refused(&town, "tariff", "tariff.owrs", &["UTF-8"]);
        write(&town, "large.owrs", &vec![b'#'; 5 * 1024 * 1024]);
        file_refused(&town, "tariff", "large.owrs", &["5242880", "at most"]);
    }

    fn a_tariff_as_editors_write_it_is_accepted(town: Town) {
        let good = tariff("service_charge: 3\nbill: service_charge");
        for (n, text) in [format!("\u{feff}{good}"), good.replace('\n', "\r\n"), good.trim_end().to_owned()].into_iter().enumerate() {
            let text = text.replace("2024-01-01", &format!("2024-01-0{}", n + 1));
            write(&town, "tariff.owrs", text.as_bytes());
            let answer = ask(&town, &["import", "tariff", "tariff.owrs", "--json"]);
            assert_eq!((answer.status, answer.counts()), (Some(0), (1, 0, 0)), "{}", answer.err);
        }
    }

    fn another_text_for_the_same_date_is_refused_unless_it_supersedes(town: Town) {
        let (first, second) = (tariff("bill: 3"), tariff("bill: 4"));
        let import = |text: &str, extra: &[&str]| {
            write(&town, "tariff.owrs", text.as_bytes());
            ask(&town, &[&["import", "tariff", "tariff.owrs", "--json"], extra].concat())
        };
        let before = dump(&town);
        assert_eq!(import(&first, &["--dry-run"]).counts(), (1, 0, 0));
        assert_same(&before, &dump(&town), "a dry run");
        assert_eq!(import(&first, &[]).counts(), (1, 0, 0));
        let before = dump(&town);
        assert_eq!(import(&first, &[]).counts(), (0, 1, 0));
        assert_eq!(import(&first, &["--supersede"]).counts(), (0, 1, 0));
        assert_same(&before, &dump(&town), "it");
        write(&town, "tariff.owrs", second.as_bytes());
        file_refused(&town, "tariff", "tariff.owrs", &["'refuse'", "2024-01-01", "--supersede"]);
        assert_eq!(import(&second, &["--dry-run", "--supersede"]).counts(), (1, 0, 0));
        assert_same(&before, &dump(&town), "a dry run");
        assert_eq!(import(&second, &["--supersede"]).counts(), (1, 0, 0));
        assert_eq!(import(&second, &[]).counts(), (0, 1, 0));
    }

    fn a_correction_of_a_date_without_a_version_is_refused_with_the_dates_that_have_one(town: Town) {
        let supersede = |text: &str| {
            write(&town, "tariff.owrs", text.as_bytes());
            ask(&town, &["import", "tariff", "tariff.owrs", "--supersede", "--json"])
        };
        let nothing = supersede(&tariff("bill: 3"));
        assert_eq!(nothing.status, Some(1));
        assert!(nothing.err.contains("schedule 'refuse' has no version from 2024-01-01 to be corrected, but none at all"), "{}", nothing.err);
        for day in ["2024-01-01", "2024-07-01"] {
            write(&town, "tariff.owrs", tariff("bill: 3").replace("2024-01-01", day).as_bytes());
            assert_eq!(ask(&town, &["import", "tariff", "tariff.owrs", "--json"]).counts(), (1, 0, 0));
        }
        let before = dump(&town);
        // The first of February is a slip for the first of January.
        let slip = supersede(&tariff("bill: 4").replace("2024-01-01", "2024-02-01"));
        assert_eq!(slip.status, Some(1));
        let words = "no version from 2024-02-01 to be corrected, but versions from 2024-07-01, 2024-01-01: give the day of the one that is wrong";
        assert!(slip.err.contains(words), "{}", slip.err);
        assert_same(&before, &dump(&town), "a refused correction");
    }

    fn a_wrong_correction_of_a_tariff_can_be_taken_back(town: Town) {
        let (right, wrong) = (tariff("bill: 3"), tariff("bill: 4"));
        let import = |text: &str, extra: &[&str]| {
            write(&town, "tariff.owrs", text.as_bytes());
            ask(&town, &[&["import", "tariff", "tariff.owrs", "--json"], extra].concat())
        };
        import(&right, &[]);
        import(&wrong, &["--supersede"]);
        let back = import(&right, &["--supersede"]);
        assert_ne!(back.counts(), (0, 1, 0), "the text that was replaced is not \"there already\": the wrong one is in force");
        town.services(&format!("{SERVICES}\nA1,S1,HOME,M1,4\n")).expect("the services are read");
        town.reads(&["M1,2024-02-01,100", "M1,2024-03-01,115"]);
        town.bill("2024-03-01");
        assert_eq!(town.balance("A1"), "3.00");
    }

    fn an_account_in_the_hole_of_a_tariff_is_held_with_the_place(town: Town) {
        let holed = "service_charge:\n  depends_on: meter_size\n  values:\n    5/8\": 10\n    1\": 20\nbill: service_charge";
        write(&town, "tariff.owrs", tariff(holed).as_bytes());
        assert_eq!(ask(&town, &["import", "tariff", "tariff.owrs", "--json"]).counts(), (1, 0, 0));
        let row = |n: u32, size: &str| format!("A{n},S{n},HOME,M{n},4,\"{{\"\"meter_size\"\":\"\"{size}\"\"}}\"");
        let bare = "A3,S3,HOME,M3,4,";
        let report = town.services(&format!("{SERVICES},attributes\n{}\n{}\n{bare}\n", row(1, "1\\\"\""), row(2, "3/4\\\"\"")));
        assert_eq!(report.expect("the services are read").accepted, 3);
        town.reads(&["M1,2024-02-01,100", "M1,2024-03-01,115", "M2,2024-02-01,100", "M2,2024-03-01,115", "M3,2024-02-01,1", "M3,2024-03-01,2"]);
        let before = town.ledger_rows();
        let answer = ask(&town, &["bill", "--cycle", "all", "--through", "2024-03-01", "--json"]);
        let json = answer.json();
        assert_eq!((json["billed"].as_i64(), json["held"].as_i64()), (Some(1), Some(2)), "{json}");
        assert_eq!(before, town.ledger_rows());
        let shown = ask(&town, &["runs", "show", &json["run_id"].to_string()]);
        assert_says(&shown.out, &["class HOME, part service_charge", "no value for `3/4\"`", "expected one of 5/8\", 1\"", "meter_size"]);
    }
}
