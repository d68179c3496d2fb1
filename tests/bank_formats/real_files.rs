//! The bank files of others in `../shared/data/bank`, with totals worked out by hand from the files.
//!
//! The data is not part of the project; the tests say so when the folder is not beside the checkout.

use aquabills::formats::bank::{BankEntryKind, BankFile, BankFileError, FormatChoice, detect, read};

use crate::{amounts, cents, control, day, only, returned};

/// The file's bytes; nothing, and a word about it, where the folder is not there.
fn real(name: &str) -> Option<Vec<u8>> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/bank");
    if !folder.is_dir() {
        println!("NOT TESTED: {name}: there is no ../shared/data/bank beside this checkout");
        return None;
    }
    Some(std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}")))
}

fn parse(bytes: &[u8]) -> Result<BankFile, BankFileError> {
    detect(bytes)?;
    read(bytes, FormatChoice::Detect)
}

/// Net, credits and debits of the whole file, which has one currency.
fn sums(file: &BankFile) -> (u64, i64, i64) {
    let totals = file.totals();
    assert_eq!(totals.currencies.len(), 1);
    let row = totals.currencies[0].totals;
    (row.entries, row.credit_sum.cents(), row.debit_sum.cents())
}

#[test]
fn bai2_sample_1_has_two_days_of_one_canadian_account() {
    let Some(bytes) = real("bai2-sample1.txt") else { return };
    let file = parse(&bytes).expect("the file is right");
    // First account: 100 and 400 both say 2,085.00, from 3 credits (2,035 + 25 + 25) and 8 debits
    // (25 + 900 + 5 + 200 + 900 + 20 + 25 + 10). 49: 0 + 0 + 2,085 + 2,085 + 2,085 + 2,085 = 8,340.00.
    // Second: 1,115.00 from 2 credits (115 + 1,000) and 4 debits (1,000 + 90 + 20 + 5). 49: 4 × 1,115 = 4,460.00.
    assert_eq!(
        amounts(&file),
        [
            vec![-2_500, -90_000, -500, 203_500, 2_500, 2_500, -20_000, -90_000, -2_000, -2_500, -1_000],
            vec![11_500, 100_000, -100_000, -9_000, -2_000, -500],
        ]
    );
    assert_eq!(sums(&file), (17, 320_000, 320_000));
    let totals: Vec<_> =
        file.totals().statements.iter().map(|row| (row.totals.credits, row.totals.credit_sum, row.totals.debits, row.totals.debit_sum)).collect();
    assert_eq!(totals, [(3, cents(208_500), 8, cents(208_500)), (2, cents(111_500), 4, cents(111_500))]);
    // 8,340 + 4,460 = 12,800.00 in one group and 27 records.
    assert_eq!((control(&file, "file control total"), control(&file, "number of groups"), control(&file, "number of records")), (1_280_000, 1, 27));
    let first = &file.statements[0];
    assert_eq!((first.bank_account.as_str(), first.currency.as_deref()), ("10200123456", Some("CAD")));
    // The group is of March 17, the first account's items count from March 16.
    assert_eq!((first.entries[0].booked_on, first.entries[0].value_on), (day("2006-03-17"), Some(day("2006-03-16"))));
    assert_eq!((first.entries[0].code.as_str(), first.entries[0].text.as_str()), ("409", "RETURNED CHEQUE"));
}

#[test]
fn bai2_sample_2_has_five_accounts_in_four_groups() {
    let Some(bytes) = real("bai2-sample2.txt") else { return };
    let file = parse(&bytes).expect("the file is right");
    // The movements: 4,500.00 and 5,000.00 of lockboxes, 200,000.00 and 100,000.00 of a collection and a wire.
    assert_eq!(amounts(&file), [vec![450_000], vec![500_000], vec![20_000_000, 10_000_000], vec![], vec![]]);
    assert_eq!(sums(&file), (4, 30_950_000, 0));
    // 98: 131,500.00 + 1,800,000.00 + 1,405,000.00 + 118,000.00 = 3,454,500.00.
    assert_eq!((control(&file, "file control total"), control(&file, "number of groups"), control(&file, "number of records")), (345_450_000, 4, 31));
    let openings: Vec<_> = file.statements.iter().map(|statement| statement.opening.expect("an opening balance").cents()).collect();
    assert_eq!(openings, [4_350_000, -500_000, 10_000_000, 500_000, 800_000]);
    let corrections: Vec<_> = file.statements.iter().map(|statement| statement.corrects).collect();
    assert_eq!(corrections, [false, false, false, false, true], "the last group has status 3");
    let letter = &file.statements[2].entries[0];
    assert_eq!((letter.bank_ref.as_deref(), letter.references.as_slice()), (Some("SP4738"), ["YRC065321".to_owned()].as_slice()));
    assert_eq!(letter.text, "PROCEEDS OF LETTER OF CREDIT FROM THE ARAMCO OIL CO");
}

#[test]
fn ach_returns_of_a_debit_and_of_a_credit() {
    let Some(bytes) = real("ach-return-web.ach") else { return };
    let file = parse(&bytes).expect("the file is right");
    // 26 is a returned debit of 123.54, money out; 21 a returned credit of 45.65, money in.
    assert_eq!(amounts(&file), [vec![-12_354], vec![4_565]]);
    assert_eq!(sums(&file), (2, 4_565, 12_354));
    assert_eq!(file.statements[0].entries[0].kind, returned("R01", "not enough money in the account", Some("091400600000001")));
    assert_eq!(file.statements[1].entries[0].kind, returned("R03", "no such account, or not that person's", Some("091400600000003")));
    assert_eq!(file.statements[1].entries[0].party_name.as_deref(), Some("Bob Marley"));
    // The effective date of 2000-01-01 cannot be meant: the file was made on 2018-10-17.
    assert_eq!(file.statements[0].entries[0].booked_on, day("2018-10-17"));
    // The receiving bank 09140060 twice: 18,280,120.
    assert_eq!((control(&file, "entry hash"), control(&file, "entry and addenda count")), (18_280_120, 4));
    assert_eq!((control(&file, "total debit amount"), control(&file, "total credit amount")), (12_354, 4_565));
}

#[test]
fn ach_dishonored_returns() {
    let Some(bytes) = real("ach-dishonored-return.ach") else { return };
    let file = parse(&bytes).expect("the file is right");
    // Two debits (27) of 250.00 and 230.00: 480.00 as in the controls.
    assert_eq!(amounts(&file), [vec![-25_000, -23_000]]);
    assert_eq!(control(&file, "total debit amount"), 48_000);
    let totals = file.totals().currencies[0].totals;
    assert_eq!((totals.dishonored, totals.dishonored_sum, totals.returns), (2, cents(-48_000), 0));
    let expected = BankEntryKind::DishonoredReturn {
        reason_code: "R68".to_owned(),
        reason: "the return came too late".to_owned(),
        original_ref: Some("059999990000301".to_owned()),
        return_ref: Some("123918710000001".to_owned()),
    };
    assert!(only(&file).entries.iter().all(|entry| entry.kind == expected));
    assert_eq!(only(&file).entries[0].text, "returned as R01: not enough money in the account; Untimely Return; ACH POS");
}

#[test]
fn ach_credit_with_addenda() {
    let Some(bytes) = real("ach-web-credit.ach") else { return };
    let file = parse(&bytes).expect("the file is right");
    assert_eq!(amounts(&file), [vec![10_000]]);
    let (statement, entry) = (only(&file), &only(&file).entries[0]);
    assert_eq!((statement.bank_account.as_str(), entry.party_name.as_deref()), ("12345678", Some("Name on Account")));
    assert_eq!((entry.booked_on, entry.bank_ref.as_deref()), (day("2019-08-16"), Some("121042880000001")));
    assert_eq!(entry.references, ["#789654"]);
    assert_eq!(entry.text, r"PAY-GATE payment\; Subscribe; for John Doe");
    assert_eq!((control(&file, "total debit amount"), control(&file, "total credit amount")), (0, 10_000));
}

#[test]
fn camt_053_of_version_2_and_8() {
    for name in ["camt053-v2-minimal.xml", "camt053-v8.xml"] {
        let Some(bytes) = real(name) else { return };
        let file = parse(&bytes).expect("the file is right");
        assert_eq!(sums(&file), (1, 885, 0), "{name}");
        let (statement, entry) = (only(&file), &only(&file).entries[0]);
        assert_eq!((statement.bank_account.as_str(), statement.currency.as_deref()), ("NL26VAYB8060476890", Some("EUR")));
        // The closing balance is in Swedish kronor, the entry and the opening balance in euros: there is none to compare.
        assert_eq!((statement.opening, statement.closing), (Some(cents(1_815)), None), "{name}");
        assert_eq!((entry.booked_on, entry.value_on), (day("2014-12-31"), Some(day("2015-01-02"))));
        assert_eq!((entry.party_name.as_deref(), entry.party_account.as_deref()), (Some("NAME NAME"), Some("NL56AGDH9619008421")));
        assert_eq!(entry.references.last().map(String::as_str), Some("4654654654654654"), "{name}");
        assert_eq!(entry.kind, BankEntryKind::Credit);
    }
    let Some(bytes) = real("camt053-v8.xml") else { return };
    let file = parse(&bytes).expect("the file is right");
    let entry = &only(&file).entries[0];
    assert_eq!((entry.code.as_str(), entry.bank_ref.as_deref()), ("PMNT/RCDT/BOOK", Some("AAAASESS-FP-CN_98765/01")));
    assert_eq!(entry.references, ["MUELL/FINP/RA12345", "4654654654654654"]);
}

#[test]
fn camt_053_without_statement_is_refused() {
    let Some(bytes) = real("camt053-v2-wrong.xml") else { return };
    let error = parse(&bytes).expect_err("it has no Stmt");
    assert_eq!(error.to_string(), "message: Stmt: it is missing; expected at least one Stmt: the file is not complete");
}

#[test]
fn camt_054_of_a_batch_without_amounts() {
    let Some(bytes) = real("camt054-v2.xml") else { return };
    let file = parse(&bytes).expect("the file is right");
    // 200000 kronor, not 2,000.00; its three transactions have no amounts of their own.
    assert_eq!(amounts(&file), [vec![-20_000_000]]);
    assert_eq!(sums(&file), (1, 0, 20_000_000));
    let entry = &only(&file).entries[0];
    assert_eq!(entry.references, ["MUELL/FINP/RA12345", "ISR ref number V1", "ISR ref number V2", "Ref number V3 block 1", "Ref number V3 block 2"]);
    assert!(entry.text.ends_with("3 transactions without amounts of their own"), "{}", entry.text);
}

#[test]
fn every_other_damage_of_a_real_file_is_refused() {
    // In each file one digit of an amount, a count or a hash is another one.
    let damages = [
        ("bai2-sample1.txt", "16,108,000000000203500", "16,108,000000000203501", "line 16: account control total"),
        ("bai2-sample1.txt", "98,+00000000001280000,2,25/", "98,+00000000001280000,3,25/", "line 26: number of accounts"),
        ("bai2-sample2.txt", "99,345450000,4,31/", "99,345450000,4,30/", "line 31: number of records"),
        ("ach-return-web.ach", "0000012354MjMx", "0000012355MjMx", "line 5: total debit amount"),
        ("ach-web-credit.ach", "62223138010", "62223138011", "line 5: entry hash"),
        ("camt053-v8.xml", "<CdtDbtInd>CRDT</CdtDbtInd>\n                <Sts>", "<Sts>", "Stmt 1, Ntry 1: CdtDbtInd"),
    ];
    for (name, from, to, expected) in damages {
        let Some(bytes) = real(name) else { return };
        let text = String::from_utf8(bytes).expect("text");
        assert!(text.contains(from), "{name} has no '{from}'");
        let error = parse(text.replacen(from, to, 1).as_bytes()).expect_err("it is damaged").to_string();
        assert!(error.starts_with(expected), "{name}: {error}");
    }
}
