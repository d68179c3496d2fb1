//! A relief for a leak stands on a bill that turns out to be wrong: it is not given a second time, nor asked back.

use aquabills::actions::collections::leak_relief::{Given, Giving, give_relief, undo_relief};
use aquabills::actions::policy::store_policy;

use super::*;
use crate::support::{LENIENT, on_both};

/// One home that uses 15, 12 and 100; half of the excess of the last bill was taken off.
fn relieved(town: Town) -> Town {
    let town = town.with_services(&["A1,S1,HOME,M1"]);
    let rule =
        "[leak_relief]\ncitation = \"Rule 17\"\npercent = 50\nat_least_above = 100\nlargest = \"1000.00\"\nonce_in_months = 12\nmost_bills = 2\n";
    store_policy(&town.context, "policy.toml", &format!("{LENIENT}{rule}")).expect("the policy is accepted");
    town.reads(&["M1,2026-03-01,100", "M1,2026-04-01,115", "M1,2026-05-01,127", "M1,2026-06-01,227"]);
    let run = ["2026-04-01", "2026-05-01", "2026-06-01"].map(|through| town.bill(through).run_id.expect("a run"));
    let giving = Giving {
        account: "A1".to_owned(),
        bills: vec![format!("{:05}-0000001", run[2].0)],
        evidence: "invoice 77 of the plumber".to_owned(),
        reference: "L-1".to_owned(),
        seen: None,
    };
    assert!(matches!(give_relief(&town.context, &giving).expect("the relief is given"), Given::Done(_)));
    // 10 + 20 + 90 × 3.50 = 345.00 less 150.99, after 47.50 and 37.00.
    assert_eq!(town.balance("A1"), "278.51");
    assert!(scan(&town).is_clean(), "a relief is no mistake");
    town
}

/// The read that closes the leak's bill was another one.
fn read_again(town: &Town, units: i64) {
    set_aside(town, "M1", "2026-06-01");
    corrected(town, "M1", "2026-06-01", units);
}

on_both! {
    fn what_a_relief_gave_is_not_given_a_second_time(town: Town) {
        let town = relieved(town);
        // It was 63 and not 100: 10 + 20 + 53 × 3.50 = 215.50, more than is asked for now.
        read_again(&town, 190);
        assert!(swept(&town).is_clean(), "what the relief gave beyond that is not asked back");
        // It was 50: 10 + 20 + 40 × 3.50 = 170.00; of 175.00 too much, 24.01 are left.
        read_again(&town, 177);
        swept(&town);
        let case = only_case(&town);
        assert_eq!(told(&town, &case), [finding("A1", "2026-05-01", "2026-06-01", "-24.01")]);
        let detail = &findings(&town, &case)[0].row.detail;
        assert!(detail.ends_with("; 150.99 of it was given already as relief for a leak"), "{detail}");
        // Without the relief the whole of it is too much.
        undo_relief(&town.context, "A1", "L-1", "there was no leak").expect("it is taken back");
        assert_eq!(swept(&town).open.over_cents, 17_500);
    }

    fn too_little_is_too_little_whatever_was_relieved(town: Town) {
        let town = relieved(town);
        // It was 110.
        read_again(&town, 237);
        swept(&town);
        assert_eq!(told(&town, &only_case(&town)), [finding("A1", "2026-05-01", "2026-06-01", "35.00")]);
    }
}
