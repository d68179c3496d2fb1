//! The rules of camt.053 and camt.054, one by one.

use aquabills::formats::bank::{BankEntryKind, BankFormat, FormatChoice, detect, read};

use crate::{amounts, cents, changed, control, day, entry, fixture, only, read_fixture, refuses, returned};

#[test]
fn a_day_with_a_batch_a_return_a_reversal_and_a_pending_entry() {
    let file = read_fixture("camt053-v8.xml");
    assert_eq!(file.format, BankFormat::Camt053);
    assert_eq!(amounts(&file), [vec![18_050, 11_950, 12_000, -7_955, 1_500, -300, 5_000]]);
    let statement = only(&file);
    assert_eq!((statement.bank_account.as_str(), statement.currency.as_deref()), ("DE02120300000000202051", Some("EUR")));
    assert_eq!((statement.opening, statement.closing), (Some(cents(-10_000)), Some(cents(25_245))));
    let first = entry(statement, "Stmt 1, Ntry 1, TxDtls 1");
    assert_eq!((first.bank_ref.as_deref(), first.booking_ref.as_deref()), (Some("BANK-1001/1"), Some("BANK-1001")));
    assert_eq!(first.references, ["E2E-20001", "RF18539007547034"]);
    assert_eq!((first.party_name.as_deref(), first.party_account.as_deref()), (Some("Jörg & Söhne"), Some("DE89370400440532013000")));
    assert_eq!((first.booked_on, first.value_on, first.code.as_str()), (day("2024-03-15"), Some(day("2024-03-16")), "PMNT/RCDT/ESCT"));
    let second = entry(statement, "Stmt 1, Ntry 1, TxDtls 2");
    assert_eq!(second.references, ["WB-2024-000123"], "NOTPROVIDED is no reference");
    assert_eq!(second.text, "Water bill; WB-2024-000123");
    // The payer's amount in dollars is not what was booked. Half past eleven at night in New York is still the 15th there.
    let foreign = entry(statement, "Stmt 1, Ntry 2");
    assert_eq!((foreign.amount, foreign.booked_on, foreign.party_name.as_deref()), (cents(12_000), day("2024-03-15"), Some("Bank of Elsewhere")));
    let back = entry(statement, "Stmt 1, Ntry 3");
    assert_eq!(back.kind, returned("AC04", "the account is closed", Some("AB-10001-2024-03")));
    assert_eq!((back.party_name.as_deref(), back.party_account.as_deref()), (Some("Anna Berger"), Some("DE75512108001245126199")));
    // What we paid out comes back: the other side is the one that should have had it.
    let refund = entry(statement, "Stmt 1, Ntry 4");
    assert_eq!((refund.kind, refund.party_name.as_deref()), (returned("RVSL", "reversed", Some("REFUND-7")), Some("Ben Carver")));
    assert_eq!(entry(statement, "Stmt 1, Ntry 5").text, "Account fee & tax €");
    assert_eq!(entry(statement, "Stmt 1, Ntry 6").kind, BankEntryKind::Pending);
    assert_eq!(control(&file, "closing balance (Bal CLBD)"), 25_245);
    let totals = file.totals().currencies[0].totals;
    assert_eq!((totals.credit_sum, totals.debit_sum, totals.returns, totals.pending), (cents(43_500), cents(8_255), 2, 1));
    assert_eq!(totals.net(), cents(25_245 + 10_000));
}

/// Found by the fuzzer: the namespace of another message in the declaration.
#[test]
fn what_stands_before_the_root_says_nothing_of_the_message() {
    let text = String::from_utf8(fixture("camt053-v8.xml")).expect("UTF-8");
    let (_, document) = text.split_once("?>").expect("a declaration");
    for before in
        ["<?xml version=\"1.0\" n=\"urn:iso:std:iso:20022:tech:xsd:camt.054.001.08\"?>", "<!-- urn:iso:std:iso:20022:tech:xsd:camt.054.001.08 -->"]
    {
        let file = format!("{before}{document}");
        assert_eq!(detect(file.as_bytes()), Ok(BankFormat::Camt053), "{before}");
    }
    assert!(detect(b"<!-- urn:iso:std:iso:20022:tech:xsd:camt.053.001.02").is_err(), "a comment that does not end");
}

#[test]
fn the_notification_and_the_statement_of_the_same_money_have_the_same_keys() {
    let (statement, notification) = (read_fixture("camt053-v8.xml"), read_fixture("camt054-v8.xml"));
    assert_eq!(notification.format, BankFormat::Camt054);
    assert_eq!(notification.entry_keys()[0], statement.entry_keys()[0][..3]);
    assert_eq!(only(&notification).bank_account, only(&statement).bank_account);
    // Where one of them lists the parts and the other does not, the booking's reference is what they share.
    let whole = read_fixture("camt054-v8.xml");
    let parts: Vec<_> = only(&whole).entries.iter().map(|entry| entry.booking_ref.as_deref().unwrap_or_default()).collect();
    assert_eq!(parts, ["BANK-1001", "BANK-1001", "BANK-1002"]);
}

#[test]
fn version_2_with_charges_kept_back_of_a_batch() {
    let file = read_fixture("camt053-v2.xml");
    // 70.00 and 50.00 less 1.80 of charges: 118.20 booked. The payers paid the whole.
    assert_eq!(amounts(&file), [vec![7_000, 5_000, -180, -2_000]]);
    let statement = only(&file);
    let first = entry(statement, "Stmt 1, Ntry 1, TxDtls 1");
    assert_eq!((first.bank_ref.as_deref(), first.references.as_slice()), (Some("ZV-1-A"), ["210000000003139471430009017".to_owned()].as_slice()));
    assert_eq!(entry(statement, "Stmt 1, Ntry 1, TxDtls 2").party_name.as_deref(), Some("Müller"), "the file is in Latin-1");
    let charges = entry(statement, "Stmt 1, Ntry 1, Chrgs");
    assert_eq!((charges.kind, charges.code.as_str()), (BankEntryKind::Debit, "CHRG"));
    assert_eq!(entry(statement, "Stmt 1, Ntry 2").kind, returned("RVSL", "reversed", Some("I-9")));
    assert_eq!(statement.opening, Some(cents(1_000)), "the balance of the day before is the opening one");
}

#[test]
fn charges_that_are_told_of_each_transaction_are_kept_back_of_the_batch_too() {
    let of_the_whole = "<Chrgs><Amt Ccy=\"CHF\">1.80</Amt></Chrgs>\n        <NtryDtls>\n          <TxDtls>";
    let of_the_first = "<NtryDtls><TxDtls><Chrgs><Amt Ccy=\"CHF\">1.80</Amt></Chrgs>";
    let file = changed("camt053-v2.xml", of_the_whole, of_the_first).expect("the charges explain what is missing");
    assert_eq!(amounts(&file), amounts(&read_fixture("camt053-v2.xml")));
    let wrong = changed("camt053-v2.xml", of_the_whole, &of_the_first.replace("1.80", "1.70")).expect_err("ten cents are missing");
    assert_eq!(wrong.to_string(), "Stmt 1, Ntry 1: Amt: 118.20 was booked, but the amounts of its 2 transactions add up to 120.00");
}

#[test]
fn sums_and_balances_that_disagree() {
    let of_v8 = [
        ("<NbOfNtries>6<", "<NbOfNtries>5<", "Stmt 1: TxsSummry, TtlNtries, NbOfNtries: the file says 5, but its entries give 6"),
        ("<Sum>567.55<", "<Sum>567.56<", "Stmt 1: TxsSummry, TtlNtries, Sum: the file says 567.56, but its entries give 567.55"),
        (
            "<Amt>402.45</Amt><CdtDbtInd>CRDT",
            "<Amt>402.45</Amt><CdtDbtInd>DBIT",
            "Stmt 1: TxsSummry, TtlNtries, TtlNetNtry: the file says -402.45, but its entries give 402.45",
        ),
        ("<NbOfNtries>4<", "<NbOfNtries>3<", "Stmt 1: TxsSummry, TtlCdtNtries, NbOfNtries: the file says 3, but its entries give 4"),
        ("<Sum>82.55<", "<Sum>82<", "Stmt 1: TxsSummry, TtlDbtNtries, Sum: the file says 82.00, but its entries give 82.55"),
        ("<Sum>420.00<", "<Sum>421.00<", "Stmt 1: TxsSummry, TtlNtriesPerBkTxCd 1, Sum: the file says 421.00, but its entries give 420.00"),
        (
            "\"EUR\">252.45<",
            "\"EUR\">252.46<",
            "Stmt 1: closing balance (Bal CLBD): the file says 252.46, but the opening balance -100.00 and the booked entries 352.45 give 252.45",
        ),
        ("\"EUR\">180.50<", "\"EUR\">180.51<", "Stmt 1, Ntry 1: Amt: 300.00 was booked, but the amounts of its 2 transactions add up to 300.01"),
        (
            "<Amt Ccy=\"EUR\">119.50</Amt>",
            "",
            "Stmt 1, Ntry 1: TxDtls, Amt: some of the 2 transactions have an amount in EUR and some have none; expected all or none",
        ),
        ("<NbOfTxs>2<", "<NbOfTxs>3<", "Stmt 1, Ntry 1, NtryDtls 1, Btch: NbOfTxs: the file says 3, but 2 transactions are listed"),
        (
            "<TtlAmt Ccy=\"EUR\">300.00<",
            "<TtlAmt Ccy=\"EUR\">300.10<",
            "Stmt 1, Ntry 1, NtryDtls 1, Btch: TtlAmt: the file says 300.10, but the listed transactions add up to 300.00",
        ),
        (
            "<Chrgs><TtlChrgsAndTaxAmt Ccy=\"EUR\">3.00</TtlChrgsAndTaxAmt></Chrgs>",
            "",
            "Stmt 1, Ntry 3, TxDtls 1: Amt: the transaction says 76.55, but 79.55 was booked",
        ),
    ];
    refuses("camt053-v8.xml", &of_v8);
    refuses(
        "camt053-v2.xml",
        &[
            (
                "<TtlNetNtryAmt>98.20<",
                "<TtlNetNtryAmt>99.20<",
                "Stmt 1: TxsSummry, TtlNtries, TtlNetNtry: the file says 99.20, but its entries give 98.20",
            ),
            (
                "<Chrgs><Amt Ccy=\"CHF\">1.80<",
                "<Chrgs><Amt Ccy=\"CHF\">1.70<",
                "Stmt 1, Ntry 1: Amt: 118.20 was booked, but the amounts of its 2 transactions add up to 120.00",
            ),
        ],
    );
}

#[test]
fn a_statement_on_several_pages_or_in_several_currencies_has_no_balance_to_compare() {
    let page = changed("camt053-v8.xml", "<LastPgInd>true<", "<LastPgInd>false<").expect("a page of several");
    assert_eq!(amounts(&page), amounts(&read_fixture("camt053-v8.xml")));
    let wrong_on_a_page = fixture("camt053-v8.xml");
    let text = String::from_utf8(wrong_on_a_page).unwrap().replace("<LastPgInd>true<", "<LastPgInd>false<").replace("\"EUR\">252.45<", "\"EUR\">9<");
    let file = read(text.as_bytes(), FormatChoice::Camt).expect("the entries of other pages are missing");
    assert_eq!(only(&file).closing, Some(cents(900)));
}

#[test]
fn amounts_that_are_no_whole_cents_of_the_account() {
    refuses(
        "camt053-v8.xml",
        &[
            (
                "<Amt Ccy=\"EUR\">300</Amt>",
                "<Amt Ccy=\"EUR\">300.005</Amt>",
                "Stmt 1, Ntry 1: Amt: '300.005' has a fraction of a cent; expected at most two decimals",
            ),
            (
                "<Amt Ccy=\"EUR\">300</Amt>",
                "<Amt Ccy=\"EUR\">3e2</Amt>",
                "Stmt 1, Ntry 1: Amt: '3e2' is no amount; expected digits with at most two decimals, like 12.34",
            ),
            (
                "<Amt Ccy=\"EUR\">300</Amt>",
                "<Amt Ccy=\"EUR\">-300</Amt>",
                "Stmt 1, Ntry 1: Amt: '-300' found; expected no minus sign: CdtDbtInd says the direction",
            ),
            (
                "<Amt Ccy=\"EUR\">300</Amt>",
                "<Amt Ccy=\"JPY\">300</Amt>",
                "Stmt 1, Ntry 1: Amt, Ccy: JPY is not counted in hundredths; expected a currency with two decimals",
            ),
            (
                "<Amt Ccy=\"EUR\">300</Amt>",
                "<Amt Ccy=\"BHD\">300.000</Amt>",
                "Stmt 1, Ntry 1: Amt, Ccy: BHD is not counted in hundredths; expected a currency with two decimals",
            ),
            (
                "<Amt Ccy=\"EUR\">300</Amt>",
                "<Amt Ccy=\"USD\">300</Amt>",
                "Stmt 1, Ntry 1: Amt, Ccy: the entry is in USD, the account in EUR; expected the amount that was booked on the account",
            ),
            ("<Amt Ccy=\"EUR\">300</Amt>", "<Amt>300</Amt>", "Stmt 1, Ntry 1: Amt, Ccy: it is missing: the file is not complete"),
            (
                "<Amt Ccy=\"EUR\">300</Amt>",
                "<Amt Ccy=\"EUR\">99999999999999999999</Amt>",
                "Stmt 1, Ntry 1: Amt: 92233720368547758.07 is more than a single movement may be; expected at most 100000000000.00",
            ),
        ],
    );
    let zeros = changed("camt053-v8.xml", "<Amt Ccy=\"EUR\">300</Amt>", "<Amt Ccy=\"EUR\">0300.00000</Amt>").expect("zeros say nothing");
    assert_eq!(amounts(&zeros), amounts(&read_fixture("camt053-v8.xml")));
}

#[test]
fn elements_that_are_missing_or_wrong() {
    refuses(
        "camt053-v8.xml",
        &[
            (
                "camt.053.001.08",
                "camt.052.001.08",
                "Document: namespace: 'camt.052.001.08' is a report within the day, not booked yet; expected the statement camt.053 or the notification camt.054",
            ),
            (
                "camt.053.001.08",
                "pain.001.001.09",
                "Document: namespace: 'pain.001.001.09' found; expected the namespace urn:iso:std:iso:20022:tech:xsd:camt.053.001.NN or camt.054.001.NN",
            ),
            (
                "camt.053.001.08",
                "camt.054.001.08",
                "Document: BkToCstmrDbtCdtNtfctn: another element stands here; expected BkToCstmrDbtCdtNtfctn once",
            ),
            ("<MsgId>M-2024-075</MsgId>", "", "GrpHdr: MsgId: it is missing: the file is not complete"),
            (
                "2024-03-15T20:00:00+01:00</CreDtTm></GrpHdr>",
                "yesterday</CreDtTm></GrpHdr>",
                "GrpHdr: CreDtTm: 'yesterday' is no date; expected year, month and day as 2014-12-31",
            ),
            ("<Id>S-2024-075</Id>", "", "Stmt 1: Id: it is missing: the file is not complete"),
            ("<IBAN>DE02 1203 0000 0000 2020 51</IBAN>", "", "Stmt 1: Acct: it is empty: the file is not complete"),
            (
                "<CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK",
                "<CdtDbtInd>CREDIT</CdtDbtInd><Sts><Cd>BOOK",
                "Stmt 1, Ntry 1: CdtDbtInd: 'CREDIT' found; expected CRDT or DBIT",
            ),
            ("<Sts><Cd>BOOK</Cd></Sts>", "", "Stmt 1, Ntry 1: Sts: it is missing: the file is not complete"),
            ("<Sts><Cd>BOOK</Cd></Sts>", "<Sts><Cd>DONE</Cd></Sts>", "Stmt 1, Ntry 1: Sts: 'DONE' found; expected BOOK, PDNG, INFO or FUTR"),
            ("<RvslInd>true", "<RvslInd>yes", "Stmt 1, Ntry 4: RvslInd: 'yes' found; expected true or false"),
            (
                "<Dt>2024-03-15</Dt></BookgDt>",
                "<Dt>2024-02-30</Dt></BookgDt>",
                "Stmt 1, Ntry 1: BookgDt: '2024-02-30' is no date; expected year, month and day as 2014-12-31",
            ),
            (
                "<CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK",
                "<CdtDbtInd>CRDT</CdtDbtInd><CdtDbtInd>DBIT</CdtDbtInd><Sts><Cd>BOOK",
                "Stmt 1, Ntry 1: CdtDbtInd: it stands there twice; expected it once",
            ),
        ],
    );
}

#[test]
fn xml_that_is_broken_or_an_attack() {
    refuses(
        "camt053-v8.xml",
        &[
            ("<Document", "<!DOCTYPE x [<!ENTITY a \"b\">]><Document", "line 3: document type: a DOCTYPE declaration is not allowed; expected none"),
            ("Jörg &amp;", "Jörg &lol;", "line 28: XML: the entity 'lol' is not known; expected lt, gt, amp, apos, quot or a number"),
            ("Jörg &amp;", "Jörg &#0;", "line 28: XML: the entity '#0' is not known; expected lt, gt, amp, apos, quot or a number"),
            ("</Stmt>", "</Statement>", "line 75: XML: it is not well-formed: ill-formed document: expected `</Stmt>`, but `</Statement>` was found"),
            ("</Document>", "", "line 78: end of file: the document is not complete: elements are not closed"),
            ("</Document>", "</Document><Document/>", "line 77: end of file: something follows the end of Document; expected nothing"),
            ("<GrpHdr>", "money<GrpHdr>", "line 5: text: text between the elements; expected elements"),
        ],
    );
    let deep = format!("<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.053.001.02\"><BkToCstmrStmt><GrpHdr>{}", "<A>".repeat(100_000));
    let error = read(deep.as_bytes(), FormatChoice::Camt).expect_err("nobody nests like that");
    assert_eq!(error.to_string(), "GrpHdr: element: elements are nested deeper than 64");
    let attributes: String = (0..100_000).map(|number| format!(" a{number}=\"\"")).collect();
    let wide = format!("<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.053.001.02\"{attributes}/>");
    let error = read(wide.as_bytes(), FormatChoice::Camt).expect_err("nobody needs so many");
    assert_eq!(error.to_string(), "line 1: XML: more than 32 attributes in one element");
}

#[test]
fn encodings() {
    let text = String::from_utf8(fixture("camt053-v8.xml")).unwrap();
    let expected = read_fixture("camt053-v8.xml");
    let wide: Vec<u8> = [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    assert_eq!(read(&wide, FormatChoice::Detect).expect("UTF-16"), expected);
    let wide: Vec<u8> = [0xfe, 0xff].into_iter().chain(text.encode_utf16().flat_map(u16::to_be_bytes)).collect();
    assert_eq!(read(&wide, FormatChoice::Detect).expect("UTF-16, the other way round"), expected);
    assert_eq!(read(format!("\u{feff}{text}").as_bytes(), FormatChoice::Detect).expect("with a mark"), expected);
    let latin = fixture("camt053-v2.xml");
    let undeclared = String::from_utf8_lossy(&latin).into_owned().replace("ISO-8859-1", "UTF-8");
    let mut broken = undeclared.into_bytes();
    broken.extend([0xff]);
    let error = read(&broken, FormatChoice::Camt).expect_err("it is not what it declares");
    assert!(error.to_string().contains("it is not UTF-8"), "{error}");
}

#[test]
fn an_entry_without_any_day_is_of_the_day_of_its_notification() {
    let text = String::from_utf8(fixture("camt054-v8.xml")).unwrap().replace("<n:BookgDt><n:Dt>2024-03-15</n:Dt></n:BookgDt>", "");
    let file = read(text.as_bytes(), FormatChoice::Camt).expect("a notification may leave it out");
    assert!(only(&file).entries.iter().all(|entry| entry.booked_on == day("2024-03-15")));
}
