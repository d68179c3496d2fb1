//! CSV by a mapping, one rule after the other.

use aquabills::formats::bank::csv::{AmountColumns, Column, CsvFooter, DecimalMark};
use aquabills::formats::bank::{BankEntryKind, CsvMapping, FormatChoice, read};

use crate::{amounts, changed, control, day, fixture, mapping, only, read_fixture, refuses};

#[test]
fn one_amount_column_with_signs() {
    let file = read_fixture("csv-signed.csv");
    assert_eq!(amounts(&file), [vec![123_456, -8_450, -1_200]]);
    let statement = only(&file);
    assert_eq!((statement.bank_account.as_str(), statement.currency.as_deref()), ("2000000001", Some("USD")));
    let first = &statement.entries[0];
    assert_eq!((first.place.as_str(), first.booked_on, first.value_on), ("line 3", day("2024-03-15"), Some(day("2024-03-16"))));
    assert_eq!(
        (first.text.as_str(), first.party_name.as_deref(), first.bank_ref.as_deref()),
        ("Water bill, March", Some("HILLTOP SCHOOLS"), Some("B-1"))
    );
    assert_eq!((&statement.entries[1].text, &statement.entries[1].kind), (&"Return \"R01\" of payment".to_owned(), &BankEntryKind::Debit));
    assert_eq!(statement.entries[2].references, Vec::<String>::new());
}

#[test]
fn two_amount_columns_in_latin_1_with_a_footer() {
    let file = read_fixture("csv-columns.csv");
    assert_eq!(amounts(&file), [vec![123_450, -1_200], vec![50]]);
    assert_eq!(file.statements[0].entries[0].text, "Müller, Rechnung 20001");
    assert_eq!((control(&file, "footer, count"), control(&file, "footer, credits"), control(&file, "footer, total")), (3, 123_500, 122_300));
}

#[test]
fn an_indicator_without_header() {
    let file = read_fixture("csv-indicator.csv");
    assert_eq!(amounts(&file), [vec![10_000, -700]]);
    assert_eq!(only(&file).entries[0].party_name.as_deref(), Some("J SMITH"));
    assert_eq!(only(&file).entries[1].place, "line 2");
}

#[test]
fn a_mapping_is_saved_and_comes_back_as_it_was() {
    for name in ["csv-signed.csv", "csv-columns.csv", "csv-indicator.csv"] {
        let saved = serde_json::to_string(&mapping(name)).expect("a mapping is text");
        assert_eq!(serde_json::from_str::<CsvMapping>(&saved).expect("and back"), mapping(name), "{name}");
    }
    let unknown =
        r#"{"date_format": "YYYY-MM-DD", "amount": {"sign": "signed", "amount": 1}, "date": 2, "bank_account": {"fixed": "1"}, "colour": "red"}"#;
    assert!(serde_json::from_str::<CsvMapping>(unknown).is_err(), "a setting that is not known is not dropped");
}

#[test]
fn rows_that_do_not_fit_the_mapping() {
    refuses(
        "csv-signed.csv",
        &[
            ("03/15/2024,03/16", "15.03.2024,03/16", "line 3: date (column 'booking date'): '15.03.2024' is no date; expected it as MM/DD/YYYY"),
            (
                "03/15/2024,03/16/2024",
                "03/15/2024,02/30/2024",
                "line 3: value date (column 'value date'): '02/30/2024' is no date; expected it as MM/DD/YYYY",
            ),
            ("\"1,234.56\"", "\"1,23.56\"", "line 3: amount (column 'amount'): '1,23.56' is no amount; expected one like 1,234.56"),
            ("\"1,234.56\"", "1.234", "line 3: amount (column 'amount'): '1.234' has a fraction of a cent; expected at most two decimals"),
            ("\"1,234.56\"", "", "line 3: amount (column 'amount'): it is empty"),
            (
                "\"1,234.56\"",
                "99999999999999999999",
                "line 3: amount (column 'amount'): '99999999999999999999' is more than a single movement may be",
            ),
            ("HILLTOP SCHOOLS,", "HILLTOP, SCHOOLS,", "line 3: row: it has 8 columns; expected 7 as in the first row"),
            (
                "Amount,",
                "Betrag,",
                "line 2: amount: no column is named 'amount'; the header is 'booking date, value date, betrag, description, payer, refere…'",
            ),
            ("Payer,", "Amount,", "line 2: amount: two columns are named 'amount'; expected one, or a number in the mapping"),
            ("03/15/2024,,(12.00),Fee", "03/15/2024,,(12.00),\"Fee", "end of file: quotation mark: one that was opened is never closed"),
        ],
    );
    refuses(
        "csv-columns.csv",
        &[
            ("1.234,50;;CHF", "1.234,50;1,00;CHF", "line 2: amount: both the credit and the debit column have an amount; expected one of them"),
            ("1.234,50;;CHF", ";;CHF", "line 2: amount: neither the credit nor the debit column has an amount; expected one of them"),
            ("1.234,50;;CHF", "-1.234,50;;CHF", "line 2: credit (column 'haben'): it has a minus sign; expected money in without one"),
            ("1.234,50;;CHF", "1.234,50;;EUR", "line 2: currency (column 'währung'): 'EUR' found; expected CHF"),
            ("80-2-3", "", "line 4: bank account (column 'konto'): it is empty"),
            ("Total;3", "Total;4", "line 5: footer, count: '4' found; the file has 3 rows"),
            ("1.235,00", "1.235,01", "line 5: footer, credits: '1.235,01' found; the rows add up to 1235.00"),
            ("-12,00;;1.223", "-13,00;;1.223", "line 5: footer, debits: '-13,00' found; the rows add up to 12.00"),
            ("1.223,00", "1.222,00", "line 5: footer, total: '1.222,00' found; the rows add up to 1223.00"),
            ("Total", "Summe", "line 5: date (column 'buchung'): '3' is no date; expected it as DD.MM.YYYY"),
            ("Total;3;1.235,00;-12,00;;1.223,00\r\n", "", "end of file: footer: no row begins with 'Total': the file is not complete"),
            ("1.223,00\r\n", "1.223,00\r\n80-2-3;16.03.2024;0,50;;CHF;\r\n", "line 6: row: it stands after the footer; expected nothing"),
        ],
    );
    refuses(
        "csv-indicator.csv",
        &[
            ("|CR|", "|XX|", "line 1: indicator (column 2): 'XX' found; expected one of cr or dr, db"),
            ("|100.00|", "|-100.00|", "line 1: amount (column 3): it has a minus sign; expected none, because a column says the direction"),
        ],
    );
    let latin = fixture("csv-columns.csv");
    let other = CsvMapping { encoding: aquabills::formats::bank::csv::CsvEncoding::Utf8, ..mapping("csv-columns.csv") };
    let error = read(&latin, FormatChoice::Csv(&other)).expect_err("it is not UTF-8");
    assert_eq!(error.to_string(), "line 1: encoding: it is not UTF-8; expected UTF-8, or a mapping with the encoding latin-1");
}

#[test]
fn mappings_that_cannot_be_used() {
    let good = mapping("csv-signed.csv");
    let footer = |marker: &str, count| Some(CsvFooter { marker: marker.to_owned(), count, total: None, credits: None, debits: None });
    let indicator = |credit: &[&str], debit: &[&str]| AmountColumns::Indicator {
        amount: Column::Number(1),
        indicator: Column::Number(2),
        credit: credit.iter().map(|&word| word.to_owned()).collect(),
        debit: debit.iter().map(|&word| word.to_owned()).collect(),
    };
    let cases = [
        (CsvMapping { delimiter: 'x', ..good.clone() }, "mapping: delimiter: 'x' found; expected a comma, a semicolon, a bar or a tab"),
        (
            CsvMapping { date_format: "%Y-%m-%d".to_owned(), ..good.clone() },
            "mapping: date_format: '%Y-%m-%d' found; expected one like YYYY-MM-DD, DD.MM.YYYY or M/D/YY",
        ),
        (
            CsvMapping { date_format: "YYYY-MM".to_owned(), ..good.clone() },
            "mapping: date_format: 'YYYY-MM' found; expected one like YYYY-MM-DD, DD.MM.YYYY or M/D/YY",
        ),
        (
            CsvMapping { currency: Some("JPY".to_owned()), ..good.clone() },
            "mapping: currency: JPY is not counted in hundredths; expected a currency with two decimals",
        ),
        (
            CsvMapping { header: false, ..good.clone() },
            "mapping: date: column 'Booking date' found; expected a number, because the file has no header",
        ),
        (CsvMapping { date: Column::Number(0), ..good.clone() }, "mapping: date: column 0 found; expected a number from 1 to 256"),
        (CsvMapping { skip_lines: 1000, ..good.clone() }, "mapping: skip_lines: 1000 found; at most 100 lines are skipped"),
        (CsvMapping { footer: footer(" ", None), ..good.clone() }, "mapping: footer: its marker is empty"),
        (CsvMapping { footer: footer("Total", Some(0)), ..good.clone() }, "mapping: footer: a column's number is not from 1 to 256"),
        (
            CsvMapping { amount: indicator(&["CR"], &[]), ..good.clone() },
            "mapping: amount: the indicator needs a word for money in and one for money out",
        ),
        (
            CsvMapping { amount: indicator(&["X"], &["x"]), ..good.clone() },
            "mapping: amount: a word of the indicator stands for both money in and money out",
        ),
        (
            CsvMapping { currency: None, currency_column: Some(Column::Number(1)), ..good.clone() },
            "mapping: currency: it is missing: the rows' currency column is compared with it",
        ),
    ];
    for (mapping, message) in cases {
        assert_eq!(mapping.check().expect_err("it cannot be used").to_string(), message);
    }
    let far = CsvMapping { name: Some(Column::Number(9)), ..good };
    let error = read(&fixture("csv-signed.csv"), FormatChoice::Csv(&far)).expect_err("there are 7 columns");
    assert_eq!(error.to_string(), "line 2: name: it is column 9 of the mapping, but the row has 7 columns");
}

#[test]
fn amounts_and_dates_as_banks_write_them() {
    let amounts_of = |written: &[&str]| -> Vec<i64> {
        let rows: String = written.iter().map(|amount| format!("240315|CR|{amount}|r|n\n")).collect();
        amounts(&read(rows.as_bytes(), FormatChoice::Csv(&mapping("csv-indicator.csv"))).unwrap_or_else(|error| panic!("{error}"))).concat()
    };
    assert_eq!(
        amounts_of(&["1", "1.5", "0.05", ".5", "$12.00", "1,234,567.89", "1 234.00", "1'234.00", "+7", "7+", "1.5000"]),
        [100, 150, 5, 50, 1_200, 123_456_789, 123_400, 123_400, 700, 700, 150]
    );
    // Thousands, as the mapping says: where it says nothing, not in what may be meant otherwise.
    let read_as = |decimal: DecimalMark, thousands: Option<bool>, written: &str| {
        let mapping = CsvMapping { decimal, thousands, ..mapping("csv-indicator.csv") };
        let file = read(format!("240315|CR|{written}|r|n\n").as_bytes(), FormatChoice::Csv(&mapping));
        file.map(|file| amounts(&file).concat()[0]).map_err(|error| error.to_string())
    };
    let (point, comma) = (DecimalMark::Point, DecimalMark::Comma);
    for (decimal, thousands, written, cents) in [
        (point, None, "1.250", Some(125)),
        (point, None, "1,250", None),
        (point, Some(true), "1,250", Some(125_000)),
        (point, Some(true), "1,25", None),
        (point, Some(false), "1,250.00", None),
        (point, Some(false), "1 250", None),
        (comma, None, "1,250", Some(125)),
        (comma, None, "1.250", None),
        (comma, None, "-1.250", None),
        (comma, None, "1.250,00", Some(125_000)),
        (comma, None, "1.250.000", Some(125_000_000)),
        (comma, Some(true), "1.250", Some(125_000)),
        (comma, Some(true), "1.2500", None),
        (comma, Some(true), "12.50", None),
        (comma, Some(false), "1.250,00", None),
        (comma, Some(false), "1250,00", Some(125_000)),
    ] {
        assert_eq!(read_as(decimal, thousands, written).ok(), cents, "{decimal:?} {thousands:?} {written}");
    }
    let message = read_as(comma, None, "1.250").expect_err("it may be either");
    assert_eq!(
        message,
        "line 1: amount (column 3): '1.250' may be 1250.00 or 1.25; expected it as 1250,00, or a mapping that says thousands = true where '.' \
         divides thousands, or the other decimal"
    );
    for wrong in ["1.", ".", "1,2345.00", "1,,000.00", "1.2.3", "12a", "--1", "1,234 567", "٣"] {
        assert!(changed("csv-indicator.csv", "|100.00|", &format!("|{wrong}|")).is_err(), "{wrong}");
    }
    let dated = |format: &str, written: &str| {
        let mapping = CsvMapping { date_format: format.to_owned(), ..mapping("csv-indicator.csv") };
        read(format!("{written}|CR|1|r|n\n").as_bytes(), FormatChoice::Csv(&mapping)).map(|file| only(&file).entries[0].booked_on)
    };
    for (format, written) in
        [("YYYY-MM-DD", "2024-03-05"), ("M/D/YY", "3/5/24"), ("D.M.YYYY", "05.03.2024"), ("YYYYMMDD", "20240305"), ("DD.MM.YY", "05.03.24")]
    {
        assert_eq!(dated(format, written), Ok(day("2024-03-05")), "{format}");
    }
    for (format, written) in [("YYYY-MM-DD", "2024-3-5"), ("MM/DD/YYYY", "13/01/2024"), ("YYYY-MM-DD", "2024-03-05x"), ("M/D/YY", "3/5/2024")] {
        assert!(dated(format, written).is_err(), "{format} {written}");
    }
}

#[test]
fn a_format_is_told_by_its_opening_but_csv_never() {
    for (bytes, message) in [
        ("", "it is empty: expected a file of the bank's, in BAI2, ISO 20022 camt.053 or camt.054, NACHA or CSV"),
        (" \r\n", "it is empty: expected a file of the bank's, in BAI2, ISO 20022 camt.053 or camt.054, NACHA or CSV"),
        ("<a/>", "Document: namespace: nothing found; expected the namespace urn:iso:std:iso:20022:tech:xsd:camt.053.001.NN or camt.054.001.NN"),
    ] {
        assert_eq!(read(bytes.as_bytes(), FormatChoice::Detect).expect_err("no format").to_string(), message);
    }
    let error = read(&fixture("csv-signed.csv"), FormatChoice::Detect).expect_err("CSV is not guessed");
    assert!(error.to_string().ends_with("or CSV with the name of its column mapping"), "{error}");
    let large = vec![b' '; 33 * 1024 * 1024];
    let error = read(&large, FormatChoice::Bai2).expect_err("too large");
    assert_eq!(error.to_string(), "file: size: it has 34603008 bytes; at most 33554432 are read");
}
