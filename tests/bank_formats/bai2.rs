//! The rules of BAI2, one by one.

use aquabills::formats::bank::{BankEntryKind, FormatChoice, read};

use crate::{amounts, cents, changed, control, day, entry, read_fixture, refuses, returned};

#[test]
fn a_day_with_every_funds_type_a_return_and_a_message() {
    let file = read_fixture("bai2-day.txt");
    assert_eq!(amounts(&file), [vec![45_000, 30_000, 20_000, 0, -8_450, -12_299, 0], vec![]]);
    let statement = &file.statements[0];
    assert_eq!((statement.opening, statement.closing), (Some(cents(1_000_000)), Some(cents(1_074_251))));
    assert_eq!(statement.statement_ref.as_deref(), Some("240315 17"));
    let lockbox = entry(statement, "line 4");
    assert_eq!((lockbox.bank_ref.as_deref(), lockbox.references.as_slice()), (Some("DD1620"), ["20001".to_owned()].as_slice()));
    // A text may hold slashes and goes on in the 88.
    assert_eq!(lockbox.text, "WATER BILL 20001/24 HILLTOP SCHOOLS");
    let transfer = entry(statement, "line 6");
    assert_eq!((transfer.booked_on, transfer.value_on), (day("2024-03-14"), Some(day("2024-03-15"))));
    assert_eq!(entry(statement, "line 7").text, "LOCK BOX NO.68751");
    // The clearing house's reason in the text is told; where there is none, the type code is.
    assert_eq!(entry(statement, "line 9").kind, returned("R01", "not enough money in the account", Some("10001")));
    let check = entry(statement, "line 10");
    assert_eq!(check.kind, returned("555", "deposited item returned", None));
    assert_eq!((check.bank_ref.as_deref(), check.text.as_str()), (Some("DEP-4"), "RETURNED CHECK 4711"));
    let message = entry(statement, "line 12");
    assert!(matches!(message.kind, BankEntryKind::Notice { ref notice_code, .. } if notice_code == "890"));
    assert_eq!(message.text, "DETAIL REPORTS WILL BE LATE ON FRIDAY");
    assert_eq!(control(&file, "file control total"), 2_304_749);
}

#[test]
fn what_banks_write_beside_the_standard_is_read_too() {
    let file = read_fixture("bai2-odd.txt");
    assert_eq!(amounts(&file), [vec![2_500, 2_500, -700], vec![], vec![-100, 300]]);
    let interim = &file.statements[0];
    // As-of date modifier 3: the current day, not closed. Nothing of it is booked.
    assert!(interim.entries.iter().all(|entry| entry.kind == BankEntryKind::Pending));
    assert_eq!(interim.entries[0].text, "TRANSFER A");
    assert_eq!(interim.entries[2].text, "ACH SETL 1111 2222 3333 4444");
    let corrected = &file.statements[2];
    assert!(corrected.corrects);
    assert_eq!(corrected.currency.as_deref(), Some("CAD"));
    // A bank's own codes: 960 to 999 are debits, 920 to 959 credits. A reference of zeros is none.
    assert_eq!(corrected.entries[0].text, "CUSTOM DEBIT 08/18/24/16,142,5 IS TEXT");
    assert_eq!(corrected.entries[1].kind, BankEntryKind::Credit);
    assert_eq!(corrected.entries[1].bank_ref, None);
    let totals = file.totals();
    assert_eq!(totals.statements[0].totals.pending, 3);
    assert_eq!(totals.statements[0].totals.credit_sum, cents(0), "pending money is in no sum");
}

#[test]
fn a_file_in_blocks_without_line_ends() {
    let file = read_fixture("bai2-blocked.txt");
    assert_eq!(amounts(&file), [vec![2_500]]);
    assert_eq!(file.statements[0].entries[0].text, "BILLPAY/ WEB J SMITH WATER 20001");
}

#[test]
fn line_ends_of_any_system() {
    let text = String::from_utf8(crate::fixture("bai2-day.txt")).unwrap();
    let expected = read_fixture("bai2-day.txt");
    for end in ["\r\n", "\r"] {
        let other = read(text.replace('\n', end).as_bytes(), FormatChoice::Bai2).expect("the same file");
        assert_eq!(other, expected);
    }
    let marked = read(format!("\u{feff}{text}").as_bytes(), FormatChoice::Detect).expect("the same file");
    assert_eq!(marked, expected);
}

#[test]
fn control_totals_and_counts_that_disagree() {
    refuses(
        "bai2-day.txt",
        &[
            (
                "16,165,45000",
                "16,165,45001",
                "line 13: account control total: the file says 23057.49, but the amounts of the account's 03 and 16 records add up to 23057.50",
            ),
            (
                "010,1000000",
                "010,1000001",
                "line 13: account control total: the file says 23057.49, but the amounts of the account's 03 and 16 records add up to 23057.50",
            ),
            ("49,2305749,11", "49,2305749,10", "line 13: number of records: the file says 10, but there are 11 records from 03 to 49"),
            (
                "98,2304749",
                "98,-2304749",
                "line 16: group control total: the file says -23047.49, but the group's account control totals add up to 23047.49",
            ),
            ("98,2304749,2", "98,2304749,1", "line 16: number of accounts: the file says 1, but there are 2 accounts in the group"),
            ("98,2304749,2,15", "98,2304749,2,16", "line 16: number of records: the file says 16, but there are 15 records from 02 to 98"),
            (
                "99,2304749",
                "99,2304740",
                "line 17: file control total: the file says 23047.40, but the file's group control totals add up to 23047.49",
            ),
            ("99,2304749,1", "99,2304749,2", "line 17: number of groups: the file says 2, but there are 1 groups in the file"),
            ("99,2304749,1,17", "99,2304749,1,18", "line 17: number of records: the file says 18, but there are 17 records from 01 to 99"),
            ("88,HILLTOP SCHOOLS\n", "", "line 12: number of records: the file says 11, but there are 10 records from 03 to 49"),
        ],
    );
}

#[test]
fn fields_that_cannot_be_read() {
    refuses(
        "bai2-day.txt",
        &[
            ("17,,,2/", "17,,,3/", "line 1: version number: '3' found; expected 2, for BAI2"),
            ("240315,0600", "241315,0600", "line 1: file creation date: '241315' is no date; expected year, month and day as YYMMDD"),
            (
                "RIVERSIDE,091000019,1",
                "RIVERSIDE,091000019,2",
                "line 2: group status: '2' found; expected 1 (update) or 3 (correction): this group deletes what was sent before",
            ),
            (
                "RIVERSIDE,091000019,1",
                "RIVERSIDE,091000019,4",
                "line 2: group status: '4' found; expected 1 (update) or 3 (correction): this group is only a test",
            ),
            (",2400,USD,2/", ",2400,USD,7/", "line 2: as-of date modifier: '7' found; expected 1, 2, 3, 4 or nothing"),
            (",USD,2/", ",JPY,2/", "line 2: currency code: JPY is not counted in hundredths; expected a currency with two decimals"),
            (",USD,2/", ",dollars,2/", "line 2: currency code: 'dollars' is no currency; expected three capital letters, like USD"),
            ("03,2000000001", "03,", "line 3: customer account number: it is missing"),
            ("16,165,45000", "16,165,450.00", "line 4: amount: '450.00' found; expected digits, the last two of them cents"),
            ("16,165,45000", "16,165,-45000", "line 4: amount: '-45000' found; expected no minus sign: the type code says the direction"),
            ("16,165,45000", "16,165,", "line 4: amount: nothing found; expected an amount in cents"),
            (
                "16,165,45000",
                "16,165,99999999999999999999",
                "line 4: amount: '99999999999999999999' found; expected digits, the last two of them cents",
            ),
            (
                "16,165",
                "16,100",
                "line 4: type code: '100' found; expected one of a single credit (101 to 399, 920 to 959) or debit (401 to 699, 960 to 999), or 890",
            ),
            (
                "16,165",
                "16,721",
                "line 4: type code: '721' found; expected one of a single credit (101 to 399, 920 to 959) or debit (401 to 699, 960 to 999), or 890",
            ),
            ("16,165", "16,16", "line 4: type code: '16' found; expected three digits"),
            (",S,15000", ",Q,15000", "line 4: funds type: 'Q' found; expected 0, 1, 2, S, V, D, Z or nothing"),
            (",V,240315", ",V,240230", "line 6: value date: '240230' is no date; expected year, month and day as YYMMDD"),
            (",D,2,", ",D,200,", "line 7: number of distributions: '200' found; expected a number up to 99"),
            ("16,890,", "16,890,5", "line 12: amount: '5' found; expected nothing: type code 890 moves no money"),
            (",4,0,400", ",x,0,400", "line 3: item count: 'x' found; expected a whole number or nothing"),
        ],
    );
}

#[test]
fn records_that_do_not_belong_where_they_stand() {
    refuses(
        "bai2-day.txt",
        &[
            (
                "01,091000019",
                "02,091000019",
                "line 1: format: not recognised; expected BAI2 (a first line that begins with 01,), ISO 20022 camt.053 or camt.054 (an XML document), NACHA (a first line that begins with 101, in records of 94 characters), or CSV with the name of its column mapping",
            ),
            ("49,2305749,11/\n", "", "line 13: record code: 03 does not belong here; expected a transaction 16 or the account trailer 49"),
            ("98,2304749,2,15/\n", "", "line 16: record code: 99 does not belong here; expected an account 03 or the group trailer 98"),
            ("99,2304749,1,17/\n", "", "end of file: record: the file trailer 99 is missing: the file is not complete"),
            (
                "99,2304749,1,17/\n",
                "99,2304749,1,17/\n16,165,5,,,,",
                "line 18: record code: 16 does not belong here; expected nothing after the file trailer 99",
            ),
            (
                "49,-1000,2/",
                "77,-1000,2/",
                "line 15: record code: '77,-1000,2/' begins no record; expected 01, 02, 03, 16, 49, 88, 98 or 99 and a comma",
            ),
            ("49,-1000,2/", "49,-1000,2/ and more", "line 15: record: 'and more' stands after the record's closing /; expected the next record"),
            ("49,-1000,2/", "49,-1000,2,7/", "line 15: end of record: '7' found; expected no further field"),
        ],
    );
    let cut = crate::fixture("bai2-day.txt");
    let end = cut.windows(4).position(|window| window == b"\n16,").expect("a movement");
    let message = read(&cut[..end], FormatChoice::Bai2).expect_err("it breaks off").to_string();
    assert_eq!(
        message,
        "end of file: record: the account trailer 49, the group trailer 98 and the file trailer 99 are missing: the file is not complete"
    );
}

#[test]
fn the_same_file_has_the_same_keys_and_equal_entries_are_told_apart() {
    let file = read_fixture("bai2-day.txt");
    assert_eq!(file.entry_keys(), read_fixture("bai2-day.txt").entry_keys());
    assert_eq!(file.entry_keys()[0][0], "booked|2024-03-14|45000|ref|DD1620#1");
    assert_eq!(file.statements[0].entry_keys(), file.entry_keys()[0]);
    // The file's number does not matter.
    let again = changed("bai2-day.txt", "0600,17,", "0700,18,").expect("the file is right");
    assert_eq!(again.entry_keys(), file.entry_keys());
    let twice = "01,A,B,240315,0600,1,,,2/\n02,A,B,1,240314,2400,USD,2/\n03,1,,,,,/\n16,301,500,,,,CASH\n49,500,3/\n03,1,,,,,/\n16,301,500,,,,CASH\n49,500,3/\n98,1000,2,8/\n99,1000,1,10/\n";
    let keys = read(twice.as_bytes(), FormatChoice::Bai2).expect("the file is right").entry_keys();
    assert_eq!(keys, [["booked|2024-03-14|500|301|||CASH#1"], ["booked|2024-03-14|500|301|||CASH#2"]]);
}

#[test]
fn a_file_that_was_saved_in_utf_16_is_the_same_file() {
    let mapping = crate::mapping("csv-signed.csv");
    let files = [("bai2-day.txt", FormatChoice::Detect), ("ach-returns.ach", FormatChoice::Detect), ("csv-signed.csv", FormatChoice::Csv(&mapping))];
    for (name, choice) in files {
        let bytes = crate::fixture(name);
        let expected = read(&bytes, choice).expect(name);
        let text = String::from_utf8(bytes).expect("plain letters");
        let little: Vec<u8> = [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
        let big: Vec<u8> = [0xfe, 0xff].into_iter().chain(text.encode_utf16().flat_map(u16::to_be_bytes)).collect();
        for wide in [little, big] {
            assert_eq!(read(&wide, choice).expect(name), expected, "{name}");
        }
    }
}
