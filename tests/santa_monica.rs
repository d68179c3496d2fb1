//! Real reads at real rates: the residential services of Santa Monica, 2014 to 2016.
//!
//! The data is not part of the project: it is read from `../shared/data` when that folder is beside the checkout, and
//! the test says so when it is not. A tenth of the customers is billed; with `AQUABILLS_WHOLE=1` all of them are.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test says what it saw, and fails loudly when it cannot go on"
)]

mod support;

use std::collections::{BTreeMap, HashSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

use aquabills::actions::held::{Decision, decide_all};
use aquabills::actions::import::{ImportReport, reads, services};
use aquabills::actions::tariffs::import_tariff;
use flate2::read::GzDecoder;
use support::{QUIET, Town, on_both, shared_data};

/// Service and closing read of a bill, to its usage and total.
type Bills = BTreeMap<(String, String), (String, String)>;

fn table(path: &Path) -> (csv::StringRecord, Vec<csv::StringRecord>) {
    let mut text = String::new();
    let file = std::fs::File::open(path).expect("the file is there");
    GzDecoder::new(file).read_to_string(&mut text).expect("it is gzipped text");
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().expect("a header").clone();
    (header, reader.records().map(|row| row.expect("a row")).collect())
}

fn write(town: &Town, name: &str, header: &csv::StringRecord, rows: &[csv::StringRecord]) -> PathBuf {
    let path = town.dir.path().join(name);
    let mut writer = csv::Writer::from_path(&path).expect("the file is written");
    writer.write_record(header).expect("the header is written");
    for row in rows {
        writer.write_record(row).expect("a row is written");
    }
    writer.flush().expect("the file is written");
    path
}

fn column(row: &csv::StringRecord, index: usize) -> String {
    row.get(index).expect("the column").to_owned()
}

struct Case {
    tariff: PathBuf,
    services: PathBuf,
    reads: PathBuf,
    expected: Bills,
}

/// The customers whose number ends in 0, or all, with the bills that they must get.
fn case(town: &Town, folder: &Path) -> Case {
    let whole = std::env::var_os("AQUABILLS_WHOLE").is_some();
    let (services_header, mut service_rows) = table(&folder.join("services.csv.gz"));
    service_rows.retain(|row| whole || column(row, 0).ends_with('0'));
    let codes: HashSet<String> = service_rows.iter().map(|row| column(row, 1)).collect();
    let meters: HashSet<String> = service_rows.iter().map(|row| column(row, 3)).collect();
    let (reads_header, mut read_rows) = table(&folder.join("reads.csv.gz"));
    read_rows.retain(|row| meters.contains(&column(row, 0)));
    let (_, expected) = table(&folder.join("expected_bills.csv.gz"));
    let expected = expected
        .iter()
        .filter(|row| codes.contains(&column(row, 0)))
        .map(|row| ((column(row, 0), column(row, 1)), (column(row, 2), column(row, 3))))
        .collect();
    Case {
        tariff: folder.join("rates.owrs"),
        services: write(town, "services.csv", &services_header, &service_rows),
        reads: write(town, "reads.csv", &reads_header, &read_rows),
        expected,
    }
}

fn counts(report: &ImportReport) -> (u64, u64) {
    (report.unchanged, report.refused)
}

on_both! {
    fn every_bill_is_right_to_the_cent(town: Town) {
        let Some(folder) = shared_data().map(|folder| folder.join("santa-monica")) else {
            println!("NOT TESTED: the folder ../shared/data is not beside this checkout");
            return;
        };
        let case = case(&town, &folder);
        let context = &town.context;
        let started = Instant::now();
        import_tariff(context, &case.tariff, false, false).expect("the tariff is accepted");
        assert_eq!(counts(&services::import_services(context, &case.services, QUIET).expect("the services are read")), (0, 0));
        let imported = reads::import_reads(context, &case.reads, QUIET).expect("the reads are read");
        assert_eq!(counts(&imported), (0, 0));
        let again = reads::import_reads(context, &case.reads, QUIET).expect("the reads are read again");
        assert_eq!((again.accepted, again.unchanged, again.refused), (0, imported.accepted, 0));
        let first = town.bill("2016-09-30");
        let released = decide_all(context, None, Decision::Release, "looked at").expect("they are released");
        let second = town.bill("2016-09-30");
        assert_eq!((second.totals.billed, second.totals.held), (first.totals.held, 0));
        let billed: Bills = town.bills().iter().map(|row| ((column(row, 2), column(row, 4)), (column(row, 5), column(row, 6)))).collect();
        let differences = case.expected.iter().filter(|(key, bill)| billed.get(*key) != Some(bill)).count();
        assert_eq!((differences, billed.len()), (0, case.expected.len()));
        assert_eq!(town.bill("2016-09-30").totals.billed, 0);
        town.assert_sound();
        println!("{} bills right to the cent, {released} held and released, in {} ms", billed.len(), started.elapsed().as_millis());
    }
}
