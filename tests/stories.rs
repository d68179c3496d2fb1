//! Stories of billing, told on both databases.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on must fail loudly")]

mod support;

use support::{Town, on_both};

on_both! {
    fn the_latest_payment_is_deducted(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        town.reads(&["M1,2026-01-01,100", "M1,2026-02-01,115"]);
        let run = town.bill("2026-02-01");
        assert_eq!((run.totals.due, run.totals.billed, run.totals.total_cents), (1, 1, 4750));
        assert_eq!(town.balance("A1"), "47.50");
        town.reads(&["M1,2026-03-01,120"]);
        town.pay("A1", "40.00", "R-1");
        town.bill("2026-03-01");
        let last = town.bills().pop().expect("a bill");
        let columns: Vec<&str> = last.iter().skip(1).collect();
        assert_eq!(columns, ["A1", "S1", "2026-02-01", "2026-03-01", "5", "20.00", "47.50", "-40.00", "27.50", "issued"]);
        town.assert_sound();
    }
}
