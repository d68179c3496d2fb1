//! The same money told by several files is the same money.

use std::thread;

use super::support::on_both;
use super::{Booking, assign, camt, counts, csv, file, waiting};

/// Two collections that one booking sums up.
fn booking() -> Booking {
    Booking { cents: 14_000, bank_ref: "BATCH-7", reference: "", name: "Collector", text: "batch", ..Booking::default() }
}

fn in_parts() -> Booking {
    Booking { parts: vec![(10_000, "A-1001"), (4_000, "A-1002")], ..booking() }
}

on_both! {
    fn parts_first_then_the_whole(town: Town) {
        let town = crate::town(town);
        let report = file(&town, "parts.054.xml", &camt("054", "N1", "2026-06-10", &[in_parts()]));
        assert_eq!(report.applied, 2, "{:?}", waiting(&town));
        let report = file(&town, "whole.053.xml", &camt("053", "S1", "2026-06-10", &[booking()]));
        assert_eq!(counts(&report), "0 new, 1 known: 0 applied, 0 waiting, 0 settled, 0 aside");
        assert_eq!((town.balance("A-1001"), town.balance("A-1002")), ("0.00".to_owned(), "60.00".to_owned()));
    }

    fn the_whole_first_then_its_parts(town: Town) {
        let town = crate::town(town);
        assert_eq!(file(&town, "whole.053.xml", &camt("053", "S1", "2026-06-10", &[booking()])).waiting, 1);
        let report = file(&town, "parts.054.xml", &camt("054", "N1", "2026-06-10", &[in_parts()]));
        assert_eq!(counts(&report), "2 new, 0 known: 2 applied, 0 waiting, 0 settled, 0 aside");
        // The whole made way for its parts, and does not come back.
        assert!(waiting(&town).is_empty());
        let later = file(&town, "whole-again.053.xml", &camt("053", "S2", "2026-06-10", &[booking()]));
        assert_eq!(counts(&later), "0 new, 1 known: 0 applied, 0 waiting, 0 settled, 0 aside");
        assert_eq!((town.balance("A-1001"), town.balance("A-1002")), ("0.00".to_owned(), "60.00".to_owned()));
        town.assert_sound();
    }

    fn a_whole_that_was_decided_stays(town: Town) {
        let town = crate::town(town);
        file(&town, "whole.053.xml", &camt("053", "S1", "2026-06-10", &[booking()]));
        assign(&town, waiting(&town)[0].row.id, "A-1004").expect("it is given");
        let report = file(&town, "parts.054.xml", &camt("054", "N1", "2026-06-10", &[in_parts()]));
        assert_eq!(counts(&report), "0 new, 2 known: 0 applied, 0 waiting, 0 settled, 0 aside");
        assert_eq!(town.balance("A-1001"), "100.00");
    }

    fn another_sum_under_the_same_reference_is_a_case_for_a_clerk(town: Town) {
        let town = crate::town(town);
        file(&town, "a.054.xml", &camt("054", "N1", "2026-06-10", &[in_parts()]));
        let other = Booking { cents: 5_000, reference: "A-1003", ..booking() };
        let report = file(&town, "b.053.xml", &camt("053", "S1", "2026-06-10", &[other]));
        assert_eq!((report.applied, report.waiting), (0, 1));
        assert!(waiting(&town)[0].row.why.contains("another amount was told before"), "{}", waiting(&town)[0].row.why);
    }

    fn two_imports_at_once_are_one(town: Town) {
        let town = crate::town(town);
        let rows: Vec<String> = (1..=40).map(|row| format!("2026-06-10,1.{row:02},A-100{},Payer,DE{row},,{row}", row % 4 + 1)).collect();
        let all: Vec<&str> = rows.iter().map(String::as_str).collect();
        let (first, second) = (&all[..30], &all[10..]);
        let reports: Vec<_> = thread::scope(|scope| {
            let imports: Vec<_> = [&all[..], &all[..], first, second].into_iter().map(|rows| scope.spawn(|| csv(&town, rows))).collect();
            imports.into_iter().map(|import| import.join().expect("an import")).collect()
        });
        assert_eq!(reports.iter().map(|report| report.accepted).sum::<u64>(), 40);
        assert_eq!(reports.iter().map(|report| report.applied).sum::<u64>(), 40, "{:?}", waiting(&town));
        let paid: i64 = (1..=40).map(|row| 100 + row).sum();
        let owed: i64 = (1001..=1004).map(|n| town.balance(&format!("A-{n}")).replace('.', "").parse::<i64>().expect("cents")).sum();
        assert_eq!(owed, 40_000 - paid);
        town.assert_sound();
    }

    fn a_whole_and_its_parts_at_once_are_one(town: Town) {
        let town = crate::town(town);
        let (whole, parts) = (camt("053", "S1", "2026-06-10", &[booking()]), camt("054", "N1", "2026-06-10", &[in_parts()]));
        thread::scope(|scope| {
            scope.spawn(|| file(&town, "whole.053.xml", &whole));
            scope.spawn(|| file(&town, "parts.054.xml", &parts));
        });
        assert_eq!((town.balance("A-1001"), town.balance("A-1002")), ("0.00".to_owned(), "60.00".to_owned()));
        assert!(waiting(&town).is_empty());
    }
}
