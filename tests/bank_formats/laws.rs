//! Laws that hold for any file: nothing panics, what is written is read back, and no single wrong digit is accepted.

use std::collections::HashSet;

use aquabills::formats::bank::csv::{AmountColumns, BankAccount, Column, CsvEncoding, CsvFooter, DecimalMark};
use aquabills::formats::bank::{BankEntry, BankEntryKind, BankFile, BankFileError, CsvMapping, FormatChoice, Statement, detect, read};
use chrono::{Days, NaiveDate};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::FileFailurePersistence;

use crate::writers::{Marked, ach, bai2, camt053, csv};
use crate::{cents, fixture, fixtures, mapping, returned};

fn config(cases: u32) -> ProptestConfig {
    let kept = FileFailurePersistence::Direct("tests/proptest-regressions/bank_formats.txt");
    ProptestConfig { cases, failure_persistence: Some(Box::new(kept)), ..ProptestConfig::default() }
}

// --- Anything at all --------------------------------------------------------------------------------------------

/// Every reader on these bytes; what comes out must be sound, whether it is a file or a refusal.
fn survives(bytes: &[u8]) {
    let mappings = ["csv-signed.csv", "csv-columns.csv", "csv-indicator.csv"].map(mapping);
    let _ = detect(bytes);
    for choice in [FormatChoice::Detect, FormatChoice::Bai2, FormatChoice::Camt, FormatChoice::Ach] {
        sound(&read(bytes, choice));
    }
    for mapping in &mappings {
        sound(&read(bytes, FormatChoice::Csv(mapping)));
    }
}

fn sound(result: &Result<BankFile, BankFileError>) {
    let file = match result {
        Ok(file) => file,
        Err(error) => {
            assert!(!error.place.is_empty() && !error.field.is_empty() && !error.fault.is_empty(), "{error:?}");
            let message = error.to_string();
            assert!(message.len() < 1_000 && !message.chars().any(char::is_control), "{message:?}");
            return;
        }
    };
    let mut seen = HashSet::new();
    for (statement, keys) in file.statements.iter().zip(file.entry_keys()) {
        assert_eq!(statement.entries.len(), keys.len());
        assert!(!statement.bank_account.is_empty());
        assert!(keys.into_iter().all(|key| key.len() < 500 && seen.insert((statement.bank_account.clone(), key))), "two entries have one key");
        for entry in &statement.entries {
            assert!(!matches!(entry.kind, BankEntryKind::Notice { .. }) || entry.amount.is_zero());
            assert!(!matches!(entry.kind, BankEntryKind::Credit) || !entry.amount.is_negative());
            assert!(!matches!(entry.kind, BankEntryKind::Debit) || !entry.amount.is_positive());
            assert!(!entry.text.chars().any(char::is_control));
        }
    }
    let totals = file.totals();
    let counted: u64 = totals.currencies.iter().map(|row| row.totals.entries).sum();
    assert_eq!(counted, file.statements.iter().map(|statement| u64::try_from(statement.entries.len()).unwrap()).sum::<u64>());
}

fn fixture_names() -> Vec<String> {
    let names = std::fs::read_dir(fixtures()).expect("the folder is there").map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    assert!(names.len() > 10, "{names:?}");
    names
}

/// What happens to a piece of a file: its place, its length, and what comes there.
#[derive(Debug, Clone)]
enum Harm {
    Byte(Index, u8),
    Cut(Index, usize),
    Twice(Index, usize),
    Insert(Index, &'static str),
    End(Index),
}

fn harm() -> impl Strategy<Value = Harm> {
    let at = any::<Index>;
    let pieces = [
        "/",
        ",",
        "\n",
        "88,",
        "16,",
        "49,",
        "99999999999",
        "-",
        "<",
        ">",
        "&#x41;",
        "<Ntry>",
        "</Ntry>",
        "\"",
        "\0",
        "ü",
        "\u{feff}",
        "9".repeat(94).leak(),
    ];
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Harm::Byte(at, byte)),
        (at(), 1_usize..200).prop_map(|(at, length)| Harm::Cut(at, length)),
        (at(), 1_usize..200).prop_map(|(at, length)| Harm::Twice(at, length)),
        (at(), prop::sample::select(pieces.to_vec())).prop_map(|(at, piece)| Harm::Insert(at, piece)),
        at().prop_map(Harm::End),
    ]
}

fn harmed(mut bytes: Vec<u8>, harms: &[Harm]) -> Vec<u8> {
    for harm in harms {
        if bytes.is_empty() {
            break;
        }
        let length = bytes.len();
        let to = |from: usize, count: usize| (from + count).min(length);
        match harm {
            Harm::Byte(at, byte) => bytes[at.index(length)] = *byte,
            Harm::Cut(at, count) => drop(bytes.drain(at.index(length)..to(at.index(length), *count))),
            Harm::Twice(at, count) => {
                let piece = bytes[at.index(length)..to(at.index(length), *count)].to_vec();
                bytes.splice(at.index(length)..at.index(length), piece);
            }
            Harm::Insert(at, piece) => drop(bytes.splice(at.index(length)..at.index(length), piece.bytes())),
            Harm::End(at) => bytes.truncate(at.index(length)),
        }
    }
    bytes
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn any_bytes_are_survived(bytes in vec(any::<u8>(), 0..2_000)) {
        survives(&bytes);
    }

    #[test]
    fn any_text_after_a_right_opening_is_survived(opening in prop::sample::select(vec!["01,", "101 123456780 0910000192403150730A094101", "<?xml version=\"1.0\"?><Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.053.001.02\">"]), text in "[0-9,/\\n<>A-Za-z =\"&;.-]{0,800}") {
        survives(format!("{opening}{text}").as_bytes());
    }

    #[test]
    fn damaged_files_are_survived(name in prop::sample::select(fixture_names()), harms in vec(harm(), 1..8)) {
        survives(&harmed(fixture(&name), &harms));
    }
}

// --- Written and read back --------------------------------------------------------------------------------------

fn a_day() -> impl Strategy<Value = NaiveDate> {
    // The century of two-digit years turns in 1980.
    (0_u64..25_000).prop_map(|days| NaiveDate::from_ymd_opt(1995, 1, 1).unwrap() + Days::new(days))
}

fn near_day() -> impl Strategy<Value = NaiveDate> {
    (0_u64..200).prop_map(|days| NaiveDate::from_ymd_opt(2023, 12, 10).unwrap() + Days::new(days))
}

/// Up to a limit of letters, without blanks at its ends or in a row.
fn words(letters: &'static str, longest: usize) -> impl Strategy<Value = String> {
    vec(letters, 1..6).prop_map(move |words| {
        let text: String = words.join(" ").chars().take(longest).collect();
        text.trim_end().to_owned()
    })
}

fn amount(largest: i64) -> impl Strategy<Value = i64> {
    prop_oneof![1..=largest, (1..=largest).prop_map(|cents| -cents)]
}

fn plain(cents_in: i64, booked_on: NaiveDate) -> BankEntry {
    BankEntry {
        place: String::new(),
        amount: cents(cents_in),
        booked_on,
        value_on: None,
        kind: if cents_in < 0 { BankEntryKind::Debit } else { BankEntryKind::Credit },
        code: String::new(),
        bank_ref: None,
        booking_ref: None,
        references: Vec::new(),
        party_name: None,
        party_account: None,
        text: String::new(),
    }
}

fn statement(bank_account: String, entries: Vec<BankEntry>) -> Statement {
    Statement { bank_account, statement_ref: None, currency: None, opening: None, closing: None, corrects: false, entries }
}

/// What a reader gives, without the places.
fn back(result: Result<BankFile, BankFileError>) -> Vec<Statement> {
    let mut statements = result.unwrap_or_else(|error| panic!("refused: {error}")).statements;
    statements.iter_mut().flat_map(|statement| &mut statement.entries).for_each(|entry| entry.place.clear());
    statements
}

type Bai2File = (Vec<Statement>, Vec<NaiveDate>);

fn bai2_file() -> impl Strategy<Value = Bai2File> {
    let entry = (
        amount(1_000_000_000_000),
        option::of(a_day()),
        option::of("B[0-9]{1,9}"),
        option::of("R[A-Z0-9]{1,9}"),
        words("[A-Za-z0-9:.,/-]{0,7}[A-Za-z0-9]", 200),
    );
    let account = (
        ("[0-9]{1,12}", option::of(prop::sample::select(vec!["USD", "CAD"])), any::<bool>()),
        (option::of(-1_000_000_000_i64..1_000_000_000), option::of(-1_000_000_000_i64..1_000_000_000)),
        a_day(),
        vec(entry, 0..6),
    );
    let account = account.prop_map(|((number, currency, corrects), (opening, closing), day, entries)| {
        let entries = entries.into_iter().map(|(size, value_on, bank_ref, reference, text)| BankEntry {
            value_on,
            code: if size < 0 { "455" } else { "165" }.to_owned(),
            bank_ref,
            references: reference.into_iter().collect(),
            text,
            ..plain(size, day)
        });
        let statement = Statement {
            statement_ref: Some("240315 1".to_owned()),
            currency: currency.map(str::to_owned),
            opening: opening.map(cents),
            closing: closing.map(cents),
            corrects,
            ..statement(number, entries.collect())
        };
        (statement, day)
    });
    vec(account, 1..4).prop_map(|accounts| accounts.into_iter().unzip())
}

/// What one transaction of a camt entry says.
type CamtPart = (i64, String, String, String, String, bool);
/// A statement: account, opening balance, and its bookings with their days and whether they are pending.
type CamtStatement = (String, i64, Vec<(NaiveDate, Option<NaiveDate>, bool, Vec<CamtPart>)>);

fn camt_file() -> impl Strategy<Value = Vec<Statement>> {
    let part = (
        amount(1_000_000_000),
        "E[A-Za-z0-9/]{1,20}",
        words("[A-Za-zäöü&<>'-]{1,9}", 70),
        "[A-Z0-9]{1,20}",
        words("[A-Za-z0-9&<>\"./-]{1,9}", 140),
        any::<bool>(),
    );
    let booking = (a_day(), option::of(a_day()), prop::bool::weighted(0.2), vec(part, 1..4));
    let one = ("[A-Z]{2}[0-9]{8,20}", -1_000_000_000_i64..1_000_000_000, vec(booking, 0..5));
    vec(one, 1..4).prop_map(|statements| statements.into_iter().enumerate().map(camt_statement).collect())
}

fn camt_statement((at, (account, opening, bookings)): (usize, CamtStatement)) -> Statement {
    let mut entries = Vec::new();
    for (number, (booked_on, value_on, pending, parts)) in bookings.into_iter().enumerate() {
        let booking = format!("N{number}");
        let count = parts.len();
        for (part, (size, reference, name, account, text, is_return)) in parts.into_iter().enumerate() {
            let original = reference.clone();
            let kind = match (pending, is_return) {
                (true, _) => BankEntryKind::Pending,
                (_, true) => returned("MD06", "the debtor asked for the money back", Some(&original)),
                _ => plain(size, booked_on).kind,
            };
            entries.push(BankEntry {
                value_on,
                kind,
                code: "544".to_owned(),
                bank_ref: Some(if count == 1 { booking.clone() } else { format!("{booking}/{}", part + 1) }),
                booking_ref: Some(booking.clone()),
                references: vec![reference],
                party_name: Some(name),
                party_account: Some(account),
                text,
                ..plain(size, booked_on)
            });
        }
    }
    let moved: i64 = entries.iter().filter(|entry| entry.kind != BankEntryKind::Pending).map(|entry| entry.amount.cents()).sum();
    Statement {
        statement_ref: Some(format!("S{at}")),
        currency: Some("EUR".to_owned()),
        opening: Some(cents(opening)),
        closing: Some(cents(opening + moved)),
        ..statement(account, entries)
    }
}

fn ach_file() -> impl Strategy<Value = Vec<Statement>> {
    let entry = (
        amount(9_999_999_999),
        "[1-9][0-9]{14}",
        "[1-9][0-9]{14}",
        option::of("A[A-Z0-9]{0,14}"),
        words("[A-Z]{1,7}", 22),
        "[1-9][0-9]{0,16}",
        words("[A-Z0-9.-]{1,8}", 40),
    );
    let batch = (any::<bool>(), "[1-9][0-9]{0,9}", near_day(), near_day(), words("[A-Z]{1,7}", 16), vec(entry, 1..6));
    let batch = batch.prop_map(|(is_return, account, settled, effective, company, entries)| {
        let entries = entries.into_iter().map(|(size, trace, original, id, name, number, info)| {
            let base = BankEntry { bank_ref: Some(trace), references: id.into_iter().collect(), ..plain(size, settled) };
            if is_return {
                let kind = returned("R01", "not enough money in the account", Some(&original));
                let code = if size < 0 { "PPD/26" } else { "PPD/21" }.to_owned();
                return BankEntry { kind, code, party_name: Some(name), party_account: Some(number), text: format!("{info}; WATER"), ..base };
            }
            let code = if size < 0 { "PPD/27" } else { "PPD/22" }.to_owned();
            BankEntry {
                value_on: Some(effective),
                code,
                party_name: Some(company.clone()),
                text: format!("{info}; WATER; for RIVERSIDE WATER"),
                ..base
            }
        });
        statement(account, entries.collect())
    });
    vec(batch, 1..4).prop_map(|batches| {
        let named = batches.into_iter().enumerate().map(|(at, statement)| Statement {
            statement_ref: Some(format!("240315A batch {:07}", at + 1)),
            currency: Some("USD".to_owned()),
            ..statement
        });
        named.collect()
    })
}

fn csv_mapping() -> CsvMapping {
    let column = |name: &str| Column::Name(name.to_owned());
    CsvMapping {
        delimiter: ',',
        header: true,
        skip_lines: 0,
        encoding: CsvEncoding::Utf8,
        date_format: "YYYY-MM-DD".to_owned(),
        decimal: DecimalMark::Point,
        thousands: None,
        amount: AmountColumns::Signed { amount: column("amount"), inverted: false },
        date: column("date"),
        value_date: Some(column("value")),
        reference: vec![column("reference")],
        name: Some(column("payer")),
        account: Some(column("payer account")),
        text: vec![column("text")],
        bank_reference: Some(column("bank")),
        code: None,
        bank_account: BankAccount::Column(column("account")),
        currency: Some("USD".to_owned()),
        currency_column: None,
        footer: Some(CsvFooter { marker: "End of list".to_owned(), count: Some(2), total: Some(3), credits: None, debits: None }),
    }
}

fn csv_file() -> impl Strategy<Value = Vec<Statement>> {
    let any_text = || option::of(words("[A-Za-z0-9äß€,;\"'/<-]{1,9}", 200));
    let entry = (
        amount(1_000_000_000_000),
        a_day(),
        option::of(a_day()),
        (any_text(), any_text(), any_text()),
        option::of("R[0-9]{1,9}"),
        option::of("B[0-9]{1,9}"),
    );
    vec(vec(entry, 1..6), 1..4).prop_map(|accounts| {
        let statements = accounts.into_iter().enumerate().map(|(at, entries)| {
            let entries = entries.into_iter().map(|(size, booked_on, value_on, (name, number, text), reference, bank_ref)| BankEntry {
                value_on,
                bank_ref,
                references: reference.into_iter().collect(),
                party_name: name,
                party_account: number,
                text: text.unwrap_or_default(),
                ..plain(size, booked_on)
            });
            Statement { currency: Some("USD".to_owned()), ..statement(format!("{}", at + 1), entries.collect()) }
        });
        statements.collect()
    })
}

/// Another digit at one of the protected places.
fn with_wrong_digit(file: &Marked, at: Index, by: u8) -> Vec<u8> {
    let mut bytes = file.bytes.clone();
    let place = file.protected[at.index(file.protected.len())];
    bytes[place] = (bytes[place] - b'0' + by) % 10 + b'0';
    bytes
}

fn refused(result: Result<BankFile, BankFileError>, file: &Marked, bytes: &[u8]) {
    if result.is_ok() {
        let place = file.bytes.iter().zip(bytes).position(|(one, other)| one != other).expect("a digit is another");
        let around = place.saturating_sub(60)..(place + 60).min(bytes.len());
        panic!("a wrong digit was accepted at byte {place}: {}", String::from_utf8_lossy(&bytes[around]));
    }
    sound(&result);
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn bai2_is_read_back((statements, days) in bai2_file()) {
        prop_assert_eq!(back(read(&bai2(&statements, &days).bytes, FormatChoice::Detect)), statements);
    }

    #[test]
    fn camt_is_read_back(statements in camt_file()) {
        prop_assert_eq!(back(read(&camt053(&statements).bytes, FormatChoice::Detect)), statements);
    }

    #[test]
    fn ach_is_read_back(statements in ach_file()) {
        prop_assert_eq!(back(read(&ach(&statements).bytes, FormatChoice::Detect)), statements);
    }

    #[test]
    fn csv_is_read_back(statements in csv_file()) {
        prop_assert_eq!(back(read(&csv(&statements).bytes, FormatChoice::Csv(&csv_mapping()))), statements);
    }

    #[test]
    fn no_wrong_digit_of_bai2_is_accepted((statements, days) in bai2_file(), at in any::<Index>(), by in 1_u8..10) {
        let file = bai2(&statements, &days);
        let bytes = with_wrong_digit(&file, at, by);
        refused(read(&bytes, FormatChoice::Bai2), &file, &bytes);
    }

    #[test]
    fn no_wrong_digit_of_camt_is_accepted(statements in camt_file(), at in any::<Index>(), by in 1_u8..10) {
        let file = camt053(&statements);
        let bytes = with_wrong_digit(&file, at, by);
        refused(read(&bytes, FormatChoice::Camt), &file, &bytes);
    }

    #[test]
    fn no_wrong_digit_of_ach_is_accepted(statements in ach_file(), at in any::<Index>(), by in 1_u8..10) {
        let file = ach(&statements);
        let bytes = with_wrong_digit(&file, at, by);
        refused(read(&bytes, FormatChoice::Ach), &file, &bytes);
    }

    #[test]
    fn no_wrong_digit_of_csv_is_accepted(statements in csv_file(), at in any::<Index>(), by in 1_u8..10) {
        let file = csv(&statements);
        let bytes = with_wrong_digit(&file, at, by);
        refused(read(&bytes, FormatChoice::Csv(&csv_mapping())), &file, &bytes);
    }
}

// --- Large and hostile ------------------------------------------------------------------------------------------

/// Shapes that cost a careless reader the square of their size, or many times their size in memory.
#[test]
fn hostile_shapes_come_to_an_end() {
    let many = |piece: &str| piece.repeat(300_000 / piece.len());
    let bai2 = |body: &str| format!("01,A,B,240315,0600,1,,,2/\n02,A,B,1,240314,2400,USD,2/\n03,1,,,,,/\n{body}");
    let camt = |body: &str| {
        format!(
            "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.053.001.02\"><BkToCstmrStmt><GrpHdr><MsgId>M</MsgId>\
             <CreDtTm>2024-03-15</CreDtTm></GrpHdr><Stmt><Id>S</Id><Acct><Id><IBAN>X</IBAN></Id><Ccy>EUR</Ccy></Acct>{body}</Stmt></BkToCstmrStmt></Document>"
        )
    };
    let ntry = |details: &str, more: &str| {
        format!(
            "<Ntry><Amt Ccy=\"EUR\">1</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts><AcctSvcrRef>R</AcctSvcrRef><NtryDtls>{details}</NtryDtls>{more}</Ntry>"
        )
    };
    let header = "101 123456780 0910000192403150730A094101\n";
    let shapes = [
        many("\n"),
        many("\r\n"),
        many("9\n"),
        many("\""),
        many("a,\""),
        many(","),
        many("1,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,\n"),
        bai2(&many("x\n")),
        bai2(&many("88,\n")),
        bai2(&format!("16,142,1,Z,,,{}", many("/"))),
        bai2(&many("16,142,1,Z,,,/ ")),
        bai2(&format!("16,142,1,Z,,,\n{}", many("x\n"))),
        bai2(&format!("16,142,1,Z,,,{}", many("/ 49"))),
        bai2(&format!("16,142,1,D,99,{}", many("1,1,"))),
        bai2(&many("03,1/\n")),
        format!("{header}{}", many("5200 \n")),
        format!("{header}{}", many("9")),
        format!("{header}{}", many(&format!("{}\n", "9".repeat(94)))),
        camt(&many("<Bal/>")),
        camt(&many("<x>")),
        camt(&many("<x/>")),
        camt(&many("<!-- -->")),
        camt(&many("&#65;")),
        camt(&format!("<Id>{}</Id>", many("&#65; "))),
        camt(&format!("<TxsSummry>{}</TxsSummry>", many("<TtlNtriesPerBkTxCd/>"))),
        camt(&ntry(&many("<TxDtls/>"), "")),
        camt(&ntry(&many("<TxDtls><Amt Ccy=\"EUR\">0</Amt></TxDtls>"), &format!("<AddtlNtryInf>{}</AddtlNtryInf>", "a".repeat(1_900)))),
        camt(&ntry(&format!("<TxDtls><RmtInf>{}</RmtInf></TxDtls>", many("<Ustrd>a</Ustrd><Ustrd>b</Ustrd>")), "")),
        camt(&ntry(&format!("<TxDtls><RmtInf>{}</RmtInf></TxDtls>", (0..20_000).map(|n| format!("<Ustrd>{n}</Ustrd>")).collect::<String>()), "")),
        camt(&ntry("<TxDtls/>", "")).replace("<Stmt>", &many("<Stmt>")),
        camt(&many(&ntry("", ""))),
    ];
    for shape in shapes {
        survives(shape.as_bytes());
    }
}
