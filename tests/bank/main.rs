//! Bank files, from the file to the ledger: matched, returned, decided by clerks. Told on both databases.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on must fail loudly")]

mod credits;
mod data_files;
mod desk;
mod doubles;
mod folder;
mod kills;
mod matching;
mod overlaps;
mod pages;
mod returns;
#[path = "../support/mod.rs"]
mod support;

use aquabills::actions::ActionError;
use aquabills::actions::adjust::{Adjustment, adjust};
use aquabills::actions::bank::decide::{Outcome, Share, Verdict, decide};
use aquabills::actions::bank::import::{BankReport, NewBankFile, import_bank_file};
use aquabills::actions::bank::mappings;
use aquabills::actions::bank::view::{EntryView, list_waiting};
use aquabills::domain::ids::BankEntryId;
use support::{TARIFF, Town, day};

/// The mapping of the stories' CSV files.
const MAPPING: &str = include_str!("../fixtures/bank_import/mapping.toml");
/// The columns of that mapping.
const COLUMNS: &str = "day,amount,reference,name,account,text,id";

/// Four households, each owing 100.00: `A-1001` to `A-1004`, Jane Smith, John Miller, Ana Núñez and Smith & Sons Ltd.
fn town(town: Town) -> Town {
    town_with(town, TARIFF)
}

fn town_with(town: Town, tariff: &str) -> Town {
    town.tariff(tariff).expect("the tariff is accepted");
    let names = ["Jane Smith", "John Miller", "Ana Núñez", "Smith & Sons Ltd"];
    let row = |(index, name): (usize, &&str)| format!("A-{n},S{n},HOME,M{n},4,{name},c{n}@town.example", n = 1001 + index);
    let rows: Vec<String> = names.iter().enumerate().map(row).collect();
    let csv = format!("customer_id,service_id,rate_class,meter_id,register_digits,name,email\n{}\n", rows.join("\n"));
    assert_eq!(town.services(&csv).expect("the services are read").refused, 0);
    for number in 1001..=1004 {
        let adjustment = Adjustment {
            account: format!("A-{number}"),
            reason_code: "opening-balance".to_owned(),
            amount: "100.00".parse().expect("an amount"),
            effective_on: day("2026-01-01"),
            reference: format!("open-{number}"),
            note: "brought in".to_owned(),
        };
        adjust(&town.context, &adjustment).expect("the balance is brought in");
    }
    mappings::save(&town.context, "ops", "mapping.toml", MAPPING).expect("the mapping is saved");
    town
}

/// Imports rows of the stories' CSV: `day,amount,reference,name,account,text,id`.
fn csv(town: &Town, rows: &[&str]) -> BankReport {
    try_csv(town, rows).expect("the file is imported")
}

fn try_csv(town: &Town, rows: &[&str]) -> Result<BankReport, ActionError> {
    let bytes = format!("{COLUMNS}\n{}\n", rows.join("\n")).into_bytes();
    let new = NewBankFile { name: "day.csv".to_owned(), bytes, format: None, mapping: Some("ops".to_owned()), dry_run: false };
    import_bank_file(&town.context, &new)
}

/// Imports a file whose opening tells its format.
fn file(town: &Town, name: &str, text: &str) -> BankReport {
    try_file(town, name, text.as_bytes()).expect("the file is imported")
}

fn try_file(town: &Town, name: &str, bytes: &[u8]) -> Result<BankReport, ActionError> {
    let new = NewBankFile { name: name.to_owned(), bytes: bytes.to_vec(), format: None, mapping: None, dry_run: false };
    import_bank_file(&town.context, &new)
}

/// What waits.
fn waiting(town: &Town) -> Vec<EntryView> {
    list_waiting(&town.context, BankEntryId(0), 1_000).expect("what waits is read")
}

/// The open items of the work list, by kind.
fn open_items(town: &Town) -> Vec<String> {
    let open = "SELECT kind AS line FROM todo WHERE status = 'open' ORDER BY id";
    town.context.database.read(|conn| Ok::<_, diesel::result::Error>(support::lines(conn, open))).expect("the work list is read")
}

/// A clerk gives a movement to an account.
fn assign(town: &Town, entry: BankEntryId, account: &str) -> Result<Outcome, ActionError> {
    split(town, entry, &[(account, None)])
}

/// A clerk divides a movement.
fn split(town: &Town, entry: BankEntryId, shares: &[(&str, Option<&str>)]) -> Result<Outcome, ActionError> {
    let share = |(account, amount): &(&str, Option<&str>)| Share {
        account: (*account).to_owned(),
        amount: amount.map(|amount| amount.parse().expect("an amount")),
    };
    let verdict = Verdict::Assign { shares: shares.iter().map(share).collect(), payment: None };
    decide(&town.context, entry, &verdict, "", None)
}

/// What an import did, in one line.
fn counts(report: &BankReport) -> String {
    format!(
        "{} new, {} known: {} applied, {} waiting, {} settled, {} aside",
        report.accepted, report.unchanged, report.applied, report.waiting, report.settled, report.set_aside
    )
}

/// A booking of the stories' camt files.
#[derive(Clone, Default)]
struct Booking {
    /// With the sign of the account.
    cents: i64,
    /// The bank's own reference.
    bank_ref: &'static str,
    /// The end-to-end reference.
    reference: &'static str,
    name: &'static str,
    iban: &'static str,
    text: &'static str,
    /// A return's reason code.
    returned: Option<&'static str>,
    /// Amounts and references of its transactions, when it is told in parts.
    parts: Vec<(i64, &'static str)>,
}

/// A camt.053 or camt.054 of one day.
fn camt(version: &str, id: &str, day: &str, bookings: &[Booking]) -> String {
    let (message, part) = if version == "053" { ("BkToCstmrStmt", "Stmt") } else { ("BkToCstmrDbtCdtNtfctn", "Ntfctn") };
    let total: i64 = bookings.iter().map(|booking| booking.cents).sum();
    let balance = |code: &str, cents: i64| {
        let side = if cents < 0 { "DBIT" } else { "CRDT" };
        format!("<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>{}<CdtDbtInd>{side}</CdtDbtInd><Dt><Dt>{day}</Dt></Dt></Bal>", amount(cents))
    };
    let balances = if version == "053" { format!("{}{}", balance("OPBD", 100_000_000), balance("CLBD", 100_000_000 + total)) } else { String::new() };
    let entries: String = bookings.iter().map(|booking| entry(booking, day)).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.{version}.001.02\"><{message}>\
         <GrpHdr><MsgId>{id}</MsgId><CreDtTm>{day}T18:00:00</CreDtTm></GrpHdr><{part}><Id>{id}</Id><CreDtTm>{day}T18:00:00</CreDtTm>\
         <Acct><Id><IBAN>NL26VAYB8060476890</IBAN></Id><Ccy>USD</Ccy></Acct>{balances}{entries}</{part}></{message}></Document>\n"
    )
}

fn amount(cents: i64) -> String {
    format!("<Amt Ccy=\"USD\">{}.{:02}</Amt>", cents.abs() / 100, cents.abs() % 100)
}

fn entry(booking: &Booking, day: &str) -> String {
    let side = if booking.cents < 0 { "DBIT" } else { "CRDT" };
    let details = |cents: Option<i64>, reference: &str| {
        let given = cents.map(|cents| format!("<AmtDtls><TxAmt>{}</TxAmt></AmtDtls>", amount(cents))).unwrap_or_default();
        let party = if booking.cents < 0 { "Cdtr" } else { "Dbtr" };
        let returned = booking.returned.map(|code| format!("<RtrInf><Rsn><Cd>{code}</Cd></Rsn></RtrInf>")).unwrap_or_default();
        format!(
            "<TxDtls><Refs><EndToEndId>{reference}</EndToEndId></Refs>{given}<RltdPties><{party}><Nm>{}</Nm></{party}><{party}Acct><Id><IBAN>{}</IBAN></Id>\
             </{party}Acct></RltdPties><RmtInf><Ustrd>{}</Ustrd></RmtInf>{returned}</TxDtls>",
            booking.name, booking.iban, booking.text
        )
    };
    let transactions: String = if booking.parts.is_empty() {
        details(None, booking.reference)
    } else {
        booking.parts.iter().map(|(cents, reference)| details(Some(*cents), reference)).collect()
    };
    format!(
        "<Ntry>{}<CdtDbtInd>{side}</CdtDbtInd><Sts>BOOK</Sts><BookgDt><Dt>{day}</Dt></BookgDt><ValDt><Dt>{day}</Dt></ValDt>\
         <AcctSvcrRef>{}</AcctSvcrRef><BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>RCDT</Cd><SubFmlyCd>ESCT</SubFmlyCd></Fmly></Domn></BkTxCd>\
         <NtryDtls>{transactions}</NtryDtls></Ntry>",
        amount(booking.cents),
        booking.bank_ref
    )
}
