//! The rules of NACHA files, one by one.

use aquabills::formats::bank::{BankEntryKind, FormatChoice, read};

use crate::{amounts, day, fixture, read_fixture, refuses, returned};

#[test]
fn returns_of_every_kind() {
    let file = read_fixture("ach-returns.ach");
    assert_eq!(amounts(&file), [vec![-8_450, -12_000, 2_575], vec![-6_400], vec![0], vec![-50_000]]);
    let first = &file.statements[0];
    assert_eq!((first.bank_account.as_str(), first.currency.as_deref()), ("1841234567", Some("USD")));
    let anna = &first.entries[0];
    assert_eq!(anna.kind, returned("R01", "not enough money in the account", Some("123456780000001")));
    // Day 075 of 2024 is March 15, when it was settled; the effective date is that of the first entry.
    assert_eq!((anna.booked_on, anna.value_on), (day("2024-03-15"), None));
    assert_eq!((anna.party_name.as_deref(), anna.party_account.as_deref()), (Some("ANNA BERGER"), Some("5550001111")));
    assert_eq!((anna.references.as_slice(), anna.bank_ref.as_deref()), (["10001".to_owned()].as_slice(), Some("091400600000011")));
    assert_eq!(first.entries[1].text, "date of death 2024-03-01; WATERBILL");
    // A refund that the utility had sent comes back.
    assert_eq!(first.entries[2].kind, returned("R04", "the account number is not valid", Some("123456780000003")));
    // The customer's bank insists on its return after ours had refused it.
    let contested = &file.statements[1].entries[0];
    assert_eq!(contested.kind, returned("R73", "the first return was in time", Some("123456780000004")));
    assert_eq!(
        contested.text,
        "returned as R10: the customer says that the sender is unknown or not authorized; dishonored as 123456780000009; WATERBILL"
    );
    let change = &file.statements[2].entries[0];
    let expected = BankEntryKind::Notice {
        notice_code: "C01".to_owned(),
        meaning: "the account number is wrong".to_owned(),
        original_ref: Some("123456780000005".to_owned()),
    };
    assert_eq!((change.kind.clone(), change.text.as_str()), (expected, "corrected: 5550005556; WATERBILL"));
    // The utility's bank had returned a vendor's debit for it; the vendor's bank refuses that: the money goes out again.
    let dishonored = &file.statements[3].entries[0];
    assert!(matches!(&dishonored.kind, BankEntryKind::DishonoredReturn { reason_code, .. } if reason_code == "R68"));
    let totals = file.totals().currencies[0].totals;
    assert_eq!((totals.entries, totals.returns, totals.dishonored, totals.notices), (6, 4, 1, 1));
    assert_eq!((totals.credit_sum.cents(), totals.debit_sum.cents()), (2_575, 76_850));
}

#[test]
fn payments_with_addenda() {
    let file = read_fixture("ach-payments.ach");
    assert_eq!(amounts(&file), [vec![123_456, 0], vec![4_210, -700], vec![1_999]]);
    let school = &file.statements[0].entries[0];
    assert_eq!((file.statements[0].bank_account.as_str(), school.party_name.as_deref()), ("2000000001", Some("HILLTOP SCHOOLS")));
    assert_eq!(school.text, "ISA*00*INVOICE WB-2024-000123; ISA*00*INVOICE WB-2024-000124; WATER; for RIVERSIDE WATER");
    assert_eq!((school.code.as_str(), school.value_on), ("CTX/22", Some(day("2024-03-18"))));
    assert!(matches!(&file.statements[0].entries[1].kind, BankEntryKind::Notice { notice_code, .. } if notice_code == "23"));
    assert_eq!(file.statements[1].entries[1].kind, BankEntryKind::Debit);
    assert_eq!(file.statements[2].bank_account, "2000000002");
}

#[test]
fn a_file_without_line_ends_or_with_cut_blanks_is_the_same() {
    let text = String::from_utf8(fixture("ach-returns.ach")).unwrap();
    let expected = read_fixture("ach-returns.ach");
    assert_eq!(read(text.replace('\n', "").as_bytes(), FormatChoice::Detect).expect("one long line").statements.len(), expected.statements.len());
    assert_eq!(read(text.replace('\n', "\r\n").as_bytes(), FormatChoice::Detect).expect("other line ends"), expected);
    let cut: String = text.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    assert_eq!(read(cut.as_bytes(), FormatChoice::Detect).expect("editors cut blanks"), expected);
    let unpadded: String = text.lines().filter(|line| !line.starts_with("99")).map(|line| format!("{line}\n")).collect();
    assert_eq!(read(unpadded.as_bytes(), FormatChoice::Detect).expect("lines of nines say nothing"), expected);
    let longer = format!("{text}{}\n", "9".repeat(94));
    let error = read(longer.as_bytes(), FormatChoice::Detect).expect_err("a line too many");
    assert_eq!(error.to_string(), "end of file: block count: the file has 31 lines, more than its 3 blocks of ten");
}

#[test]
fn counts_hashes_and_totals_that_disagree() {
    refuses(
        "ach-returns.ach",
        &[
            ("000000845010001", "000000845110001", "line 9: total debit amount: the file says 204.50, but the entries of batch 0000001 give 204.51"),
            ("000000257510003", "000000257410003", "line 9: total credit amount: the file says 25.75, but the entries of batch 0000001 give 25.74"),
            (
                "62609140060655500011",
                "62609140061655500011",
                "line 9: entry hash: the file says 0027420180, but the receiving banks of batch 0000001 give 0027420181",
            ),
            ("8200000006", "8200000007", "line 9: entry and addenda count: the file says 7, but batch 0000001 has 6"),
            ("9000004", "9000005", "line 22: batch count: the file says 5, but there are 4"),
            ("9000004000003", "9000004000002", "line 22: block count: the file says 2, but its 22 records fill 3 blocks of ten"),
            ("00000012005804", "00000013005804", "line 22: entry and addenda count: the file says 13, but the file has 12"),
            ("0058045978", "0058045979", "line 22: entry hash: the file says 0058045979, but the receiving banks of the file give 0058045978"),
            (
                "000000076850000000002575",
                "000000076851000000002575",
                "line 22: total debit amount: the file says 768.51, but the entries of the file give 768.50",
            ),
            (
                "000000076850000000002575",
                "000000076850000000002576",
                "line 22: total credit amount: the file says 25.76, but the entries of the file give 25.75",
            ),
        ],
    );
}

#[test]
fn records_that_are_wrong_or_stand_wrong() {
    refuses(
        "ach-returns.ach",
        &[
            (
                "094101",
                "095101",
                "line 1: format: not recognised; expected BAI2 (a first line that begins with 01,), ISO 20022 camt.053 or camt.054 (an XML document), NACHA (a first line that begins with 101, in records of 94 characters), or CSV with the name of its column mapping",
            ),
            ("094101", "094201", "line 1: blocking factor: '20' found; expected 10"),
            ("2403150730A", "2413150730A", "line 1: file creation date: '241315' is no date; expected YYMMDD"),
            ("5200RIVER", "5280RIVER", "line 2: standard entry class: ADV is a batch of accounting advices, which are no entries; expected entries"),
            ("5200RIVER", "5210RIVER", "line 2: service class code: '210' found; expected 200, 220 or 225"),
            ("5200RIVER", "5225RIVER", "line 9: service class code: '200' found; the batch header says '225'"),
            (
                "62609140060655500011",
                "62009140060655500011",
                "line 3: transaction code: '20' found; expected one like 22 (credit), 27 (debit), 21 or 26 (return)",
            ),
            ("000000845010001", "0000O0845010001", "line 3: amount: '0000O08450' found; expected digits"),
            ("799R01", "799X01", "line 4: return reason code: 'X01' found; expected R and two digits"),
            ("799R01", "757R01", "line 4: addenda type: '57' found; expected 02, 05, 10 to 18, 98 or 99"),
            ("ANNA BERGER  ", "ANNA BERGER", "line 3: record: it has 92 characters; expected 94"),
            ("ANNA BERGER  ", "ANNA BERGER    ", "line 3: record: it has 96 characters; expected 94"),
            ("9000004000003", "8000004000003", "line 22: record type: '8' does not belong here; expected a batch header 5 or the file control 9"),
        ],
    );
    let text = String::from_utf8(fixture("ach-returns.ach")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let without =
        |number: usize| -> String { lines.iter().enumerate().filter(|(at, _)| at + 1 != number).map(|(_, line)| format!("{line}\n")).collect() };
    let refused = |text: &str| read(text.as_bytes(), FormatChoice::Ach).expect_err("it is not complete").to_string();
    assert_eq!(refused(&without(1)), "line 1: record type: '5' does not belong here; expected the file header 1");
    assert_eq!(refused(&without(2)), "line 2: record type: '6' does not belong here; expected a batch header 5 or the file control 9");
    assert_eq!(refused(&without(9)), "line 9: record type: '5' does not belong here; expected an entry 6, an addenda 7 or the batch control 8");
    assert_eq!(refused(&lines[..21].join("\n")), "end of file: record type: the file control 9 is missing: the file is not complete");
    assert_eq!(
        refused(&lines[..8].join("\n")),
        "end of file: record type: the batch control 8 and the file control 9 are missing: the file is not complete"
    );
    // A return without its addenda 99.
    assert_eq!(refused(&without(4)), "line 3: addenda indicator: 1 found, but no addenda record follows");
    assert_eq!(refused(&without(3)), "line 3: record type: '7' does not belong here; expected an entry 6 before its addenda");
    let silent = without(4).replacen("1091400600000011", "0091400600000011", 1);
    assert_eq!(refused(&silent), "line 3: transaction code: 26 is a return, but no addenda record 98 or 99 says of what");
}

#[test]
fn entries_that_contradict_themselves() {
    let text = String::from_utf8(fixture("ach-payments.ach")).unwrap();
    let prenote = text.replacen("000000000020001          0000", "000000000120001          0000", 1);
    let error = read(prenote.as_bytes(), FormatChoice::Ach).expect_err("a test entry has no amount");
    assert_eq!(error.to_string(), "line 6: amount: 23 is a test entry, but it has an amount; expected zeros");
    let one_way = text.replacen("5200J SMITH", "5220J SMITH", 1).replacen("82000000040037037034", "82200000040037037034", 1);
    let error = read(one_way.as_bytes(), FormatChoice::Ach).expect_err("220 is for credits only");
    assert_eq!(error.to_string(), "line 13: service class code: 220 is for credits only, but the batch has 7.00 of the other");
}

#[test]
fn keys_have_the_trace_number_day_and_amount() {
    let file = read_fixture("ach-returns.ach");
    assert_eq!(file.entry_keys()[0][0], "booked|2024-03-15|-8450|ref|091400600000011#1");
    assert_eq!(file.entry_keys(), read_fixture("ach-returns.ach").entry_keys());
}
