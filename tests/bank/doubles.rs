//! Money that may be told twice without saying so waits; a file that was read by the wrong mapping is read again.

use aquabills::actions::ActionError;
use aquabills::actions::bank::decide::{Verdict, decide};
use aquabills::actions::bank::import::{BankReport, NewBankFile, import_bank_file};
use aquabills::actions::bank::{mappings, view};
use aquabills::domain::ids::BankEntryId;

use super::support::{Town, lines, on_both};
use super::{Booking, camt, counts, csv, file, waiting};

/// The town, and mappings: one that does not name the bank's reference, one of another account, and two that tell amounts apart.
fn town(town: Town) -> Town {
    let town = crate::town(town);
    let without = crate::MAPPING.replace("bank_reference = \"id\"\n", "");
    let other = crate::MAPPING.replace("OPS-1", "OPS-2");
    let comma = crate::MAPPING.replace("date_format", "decimal = \"comma\"\nthousands = true\ndate_format");
    for (name, text) in [("bare", without), ("ops2", other), ("dc", comma)] {
        mappings::save(&town.context, name, "mapping.toml", &text).expect("the mapping is saved");
    }
    town
}

fn import(town: &Town, name: &str, mapping: &str, rows: &[&str]) -> Result<BankReport, ActionError> {
    let bytes = format!("{}\n{}\n", crate::COLUMNS, rows.join("\n")).into_bytes();
    let new = NewBankFile { name: name.to_owned(), bytes, format: None, mapping: Some(mapping.to_owned()), dry_run: false };
    import_bank_file(&town.context, &new)
}

fn take(town: &Town, name: &str, mapping: &str, rows: &[&str]) -> BankReport {
    import(town, name, mapping, rows).unwrap_or_else(|error| panic!("{error}"))
}

/// All movements that wait.
fn list(town: &Town) -> Vec<aquabills::db::bank::EntryRow> {
    waiting(town).into_iter().map(|view| view.row).collect()
}

fn undo(town: &Town, id: i64) {
    decide(&town.context, BankEntryId(id), &Verdict::Undo, "read by the wrong mapping", None).expect("it is taken back");
}

const FIRST: &str = "2026-06-10,20.00,A-1001,Jane Smith,DE01,,E-1";

on_both! {
    fn a_bank_reference_over_another_day_or_amount_waits(town: Town) {
        let town = self::town(town);
        assert_eq!(take(&town, "f1.csv", "ops", &[FIRST]).applied, 1);
        for (name, row) in [("day.csv", "2026-06-11,20.00,A-1001,Jane Smith,DE01,,E-1"), ("amount.csv", "2026-06-10,21.00,A-1001,Jane Smith,DE01,,E-1")] {
            assert_eq!(counts(&take(&town, name, "ops", &[row])), "1 new, 0 known: 0 applied, 1 waiting, 0 settled, 0 aside");
        }
        assert_eq!(town.balance("A-1001"), "80.00");
        let first = "this bank reference is there already: E-1 of 2026-06-10 over 20.00, in file f1.csv (movement 1); \
                     expected the same day and amount, or another reference";
        for view in waiting(&town) {
            assert!(view.row.why.ends_with(first), "{}", view.row.why);
        }
        // Both stand beside each other for whoever decides.
        let view = view::show_entry(&town.context, waiting(&town)[0].row.id).expect("it is shown");
        assert_eq!(view.beside.iter().map(|row| row.id.0).collect::<Vec<_>>(), [1, 3]);
        // The same file again, and the same row in another, are what they were.
        assert_eq!(take(&town, "f1.csv", "ops", &[FIRST]).unchanged, 1);
        assert_eq!(counts(&take(&town, "longer.csv", "ops", &[FIRST, "2026-06-11,5.00,A-1001,Jane Smith,DE01,,E-2"])), "1 new, 1 known: 1 applied, 0 waiting, 0 settled, 0 aside");
        // Another bank account has references of its own.
        assert_eq!(take(&town, "other.csv", "ops2", &["2026-06-12,7.00,A-1001,Jane Smith,DE01,,E-1"]).applied, 1);
        town.assert_sound();
    }

    fn a_bank_reference_twice_in_one_file_waits(town: Town) {
        let town = self::town(town);
        let rows = ["2026-06-10,3.60,A-1001,,,,B-1", "2026-06-10,13.60,A-1001,,,,B-1", "2026-06-10,3.60,A-1001,,,,B-1", "2026-06-10,4.00,A-1002,,,,B-2"];
        assert_eq!(counts(&take(&town, "b.csv", "ops", &rows)), "4 new, 0 known: 2 applied, 2 waiting, 0 settled, 0 aside");
        assert_eq!((town.balance("A-1001"), town.balance("A-1002")), ("96.40".to_owned(), "96.00".to_owned()));
        let whys: Vec<String> = waiting(&town).into_iter().map(|view| view.row.why).collect();
        assert!(whys[0].contains("B-1 of 2026-06-10 over 3.60, in this file, line 2; expected the same day and amount"), "{whys:?}");
        assert!(whys[1].contains("expected each reference once"), "{whys:?}");
        assert_eq!(take(&town, "b.csv", "ops", &rows).unchanged, 4);
    }

    fn references_of_other_formats_wait_too(town: Town) {
        let town = self::town(town);
        let paid = Booking { cents: 2_000, bank_ref: "R-1", reference: "A-1001", ..Booking::default() };
        assert_eq!(file(&town, "a.xml", &camt("053", "S1", "2026-06-10", std::slice::from_ref(&paid))).applied, 1);
        let more = Booking { cents: 2_100, ..paid.clone() };
        assert_eq!(file(&town, "b.xml", &camt("053", "S2", "2026-06-11", &[more])).waiting, 1);
        assert_eq!(file(&town, "c.xml", &camt("053", "S3", "2026-06-11", std::slice::from_ref(&paid))).waiting, 1);
        // A booking in parts on another day is the same booking.
        let parts = Booking { parts: vec![(1_500, "A-1001"), (500, "A-1002")], ..paid.clone() };
        assert_eq!(file(&town, "d.xml", &camt("054", "N4", "2026-06-12", &[parts])).waiting, 2);
        // What stands for no reference is none.
        let none = Booking { bank_ref: "NOTPROVIDED", ..paid };
        assert_eq!(file(&town, "e.xml", &camt("053", "S5", "2026-06-13", std::slice::from_ref(&none))).applied, 1);
        assert_eq!(file(&town, "f.xml", &camt("053", "S6", "2026-06-14", &[none])).applied, 1, "{:?}", waiting(&town));
        // What was booked and taken back has one reference and two directions.
        let kept = Booking { cents: 3_300, bank_ref: "R-9", reference: "A-1003", ..Booking::default() };
        file(&town, "g.xml", &camt("053", "S7", "2026-06-14", std::slice::from_ref(&kept)));
        let back = Booking { cents: -3_300, returned: Some("AC04"), ..kept };
        assert_eq!(file(&town, "h.xml", &camt("053", "S8", "2026-06-15", &[back])).applied, 1, "{:?}", waiting(&town));
        assert_eq!((town.balance("A-1001"), town.balance("A-1003")), ("40.00".to_owned(), "100.00".to_owned()));
        // BAI2: the bank's reference with another day or amount.
        let bai = |name: &str, day: &str, cents: i64| {
            let text = format!(
                "01,122099999,123456789,{day},0200,1,,,2/\n02,031001234,122099999,1,{day},0200,USD,2/\n03,0975312468,USD,010,0,,/\n\
                 16,165,{cents},Z,DD1,A-1004,DEALER PAYMENTS/\n49,{cents},3/\n98,{cents},1,5/\n99,{cents},1,7/\n"
            );
            file(&town, name, &text)
        };
        assert_eq!(bai("1.bai", "260610", 1_500).applied, 1, "{:?}", waiting(&town));
        assert_eq!(bai("2.bai", "260611", 1_500).waiting, 1);
        assert_eq!(bai("3.bai", "260610", 1_600).waiting, 1);
        assert_eq!(town.balance("A-1004"), "85.00");
        town.assert_sound();
    }

    fn another_name_for_what_was_applied_is_told(town: Town) {
        let town = self::town(town);
        take(&town, "f1.csv", "ops", &[FIRST]);
        let other = FIRST.replace("A-1001", "A-1002");
        for name in ["f2.csv", "f3.csv"] {
            let report = take(&town, name, "ops", &[&other, &format!("2026-06-11,5.00,A-1003,,,,{name}")]);
            assert_eq!((report.unchanged, report.applied), (1, 1));
            assert_eq!(report.warnings, ["line 2: unchanged, but it names A-1002 now, A-1001 then (movement 1)"]);
        }
        let items = town.context.database.read(|conn| Ok::<_, diesel::result::Error>(lines(conn, "SELECT reason AS line FROM todo WHERE kind = 'bank_correction'")));
        let items = items.expect("the work list is read");
        assert_eq!(items, ["movement 1 was applied; the file f2.csv tells of it again: line 2: unchanged, but it names A-1002 now, A-1001 then (movement 1)"]);
        assert_eq!((town.balance("A-1001"), town.balance("A-1002")), ("80.00".to_owned(), "100.00".to_owned()));
    }

    fn an_overlap_without_bank_references_waits(town: Town) {
        let town = self::town(town);
        let (one, two) = ("2026-06-10,30.00,A-1001,Jane Smith,DE01,,F-1", "2026-06-10,31.00,A-1001,Jane Smith,DE01,,F-2");
        let twice = "2026-06-10,30.00,A-1001,Jane Smith,DE01,,F-3";
        assert_eq!(take(&town, "f1.csv", "ops", &[one, twice]).applied, 2);
        let three = [one, two, twice, "2026-06-10,30.00,A-1001,Jane Smith,DE01,,F-4"];
        // Two of the three look like what is there; the third, and another amount, are new.
        let report = take(&town, "f2.csv", "bare", &three);
        assert_eq!(counts(&report), "4 new, 0 known: 2 applied, 2 waiting, 0 settled, 0 aside");
        assert!(waiting(&town)[0].row.why.contains("it looks like movement 1 of file f1.csv: the same day, amount and reference"), "{}", waiting(&town)[0].row.why);
        assert!(waiting(&town)[1].row.why.contains("movement 2 of file f1.csv"), "{}", waiting(&town)[1].row.why);
        assert_eq!(take(&town, "f2.csv", "bare", &three).unchanged, 4);
        // The other way round: now the file has references, and what is there has none.
        let report = take(&town, "f3.csv", "ops", &[two]);
        assert_eq!(counts(&report), "1 new, 0 known: 0 applied, 1 waiting, 0 settled, 0 aside");
        assert_eq!(town.balance("A-1001"), "-21.00");
        // Two references are two movements.
        assert_eq!(take(&town, "f4.csv", "ops", &["2026-06-10,30.00,A-1001,Jane Smith,DE01,,F-9"]).waiting, 1, "f2.csv told of one without");
        assert_eq!(take(&town, "f5.csv", "ops", &["2026-06-10,32.00,A-1002,John,DE02,,G-1"]).applied, 1);
        assert_eq!(take(&town, "f6.csv", "ops", &["2026-06-10,32.00,A-1002,John,DE02,,G-2"]).applied, 1);
        town.assert_sound();
    }

    fn a_file_read_by_the_wrong_mapping_is_read_again(town: Town) {
        let town = self::town(town);
        let rows = ["2026-06-10,1.250,A-1001,Jane Smith,DE01,,G-1", "2026-06-10,-2.500,,The Bank,,fee,G-2"];
        assert_eq!(take(&town, "g1.csv", "dc", &rows).applied, 1);
        assert_eq!(town.balance("A-1001"), "-1150.00");
        let refused = import(&town, "g1.csv", "ops", &rows).expect_err("it stands otherwise").to_string();
        let told = "g1.csv: line 2: imported before as file 1 with mapping dc, where this movement was 1250.00 and is 1.25 now: \
                    take it back with `aquabills bank undo 1`, then import again";
        assert!(refused.starts_with(told), "{refused}");
        undo(&town, 1);
        assert_eq!(town.balance("A-1001"), "100.00");
        let report = take(&town, "g1.csv", "ops", &rows);
        assert_eq!(counts(&report), "2 new, 0 known: 1 applied, 0 waiting, 0 settled, 1 aside");
        assert_eq!((town.balance("A-1001"), waiting(&town).len()), ("98.75".to_owned(), 0));
        assert_eq!(take(&town, "g1.csv", "ops", &rows).unchanged, 2);
        // What made way is not taken back from there, and the wrong mapping is refused in its turn.
        let refused = decide(&town.context, BankEntryId(1), &Verdict::Undo, "no", None).expect_err("it made way").to_string();
        assert!(refused.contains("made way for others: read anew with mapping ops"), "{refused}");
        let refused = import(&town, "g1.csv", "dc", &rows).expect_err("it stands otherwise").to_string();
        assert!(refused.contains("this movement was 1.25 and is 1250.00 now"), "{refused}");
        // Who goes back and forth finds the first movement waiting again, and nothing applied by itself.
        undo(&town, 3);
        assert_eq!(counts(&take(&town, "g1.csv", "dc", &rows)), "2 new, 0 known: 0 applied, 2 waiting, 0 settled, 0 aside");
        assert_eq!(waiting(&town).iter().map(|view| view.row.amount_cents).collect::<Vec<_>>(), [125_000, -250_000]);
        assert_eq!(town.balance("A-1001"), "100.00");
        town.assert_sound();
    }

    fn a_file_under_another_bank_account_is_refused(town: Town) {
        let town = self::town(town);
        take(&town, "h.csv", "ops", &[FIRST]);
        let refused = import(&town, "h.csv", "ops2", &[FIRST]).expect_err("it stands under OPS-1").to_string();
        assert!(refused.contains("imported before as file 1 with mapping ops, where this movement stands under bank account OPS-1, and is under OPS-2 now"), "{refused}");
        undo(&town, 1);
        assert_eq!(take(&town, "h.csv", "ops2", &[FIRST]).applied, 1);
        assert_eq!(town.balance("A-1001"), "80.00");
        // Without the bank's reference it is the same money: nothing to read again.
        assert_eq!(take(&town, "i.csv", "bare", &["2026-06-12,9.00,A-1002,,,,I-1"]).applied, 1);
        assert_eq!(take(&town, "i.csv", "ops", &["2026-06-12,9.00,A-1002,,,,I-1"]).unchanged, 1);
        // What another file told of first stays known, whatever the mapping.
        let both = ["2026-06-12,9.00,A-1002,,,,I-1", "2026-06-12,8.00,A-1002,,,,I-2"];
        assert_eq!(take(&town, "j.csv", "bare", &both).unchanged, 1);
        assert_eq!(take(&town, "j.csv", "ops", &both).unchanged, 2);
        town.assert_sound();
    }

    fn a_trace_number_is_used_again_on_another_day(town: Town) {
        let town = self::town(town);
        let sample = String::from_utf8(crate::returns::sample("ach-web-credit.ach")).expect("a file of plain letters");
        assert_eq!(file(&town, "1.ach", &sample).accepted, 1);
        let entry = &list(&town)[0];
        let effective = entry.value_on.expect("a day").format("%y%m%d").to_string();
        let later = sample.replace(&effective, "260611");
        assert_ne!(later, sample);
        assert_eq!(file(&town, "2.ach", &later).accepted, 1);
        let rows = list(&town);
        assert_eq!(rows[0].bank_ref, rows[1].bank_ref);
        assert!(rows[0].booked_on != rows[1].booked_on && !rows[1].why.contains("there already"), "{rows:?}");
    }

    fn the_old_story_of_one_reference_goes_on(town: Town) {
        let town = self::town(town);
        csv(&town, &[FIRST]);
        assert_eq!(csv(&town, &[FIRST, "2026-06-10,20.00,A-1001,Jane Smith,DE01,,E-2"]).applied, 1);
        assert_eq!(town.balance("A-1001"), "60.00");
    }
}
