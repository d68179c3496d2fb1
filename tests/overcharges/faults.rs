//! Faults that were planted, billed, and put right: each is found with its cause, what it is about, and the exact cents.
//!
//! The town's rates: HOME 10.00 a month, the first 10 units 2.00 each, the others 3.50; SHOP 4.25 a unit.

use aquabills::actions::correct_meter::{RegisterChange, Swap, correct_register, swap_meters};
use aquabills::db::Backend;

use super::*;
use crate::support::{TARIFF, on_both};

fn multiplier(town: &Town, meter: &str, multiplier_milli: i64) {
    let change = RegisterChange {
        meter: meter.to_owned(),
        register: "1".to_owned(),
        multiplier_milli: Some(multiplier_milli),
        note: "the plate says so".to_owned(),
        ..RegisterChange::default()
    };
    assert!(!correct_register(&town.context, &change).expect("the register is put right").unchanged);
}

on_both! {
    fn a_wrong_multiplier(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1", "A2,S2,HOME,M2"]);
        town.reads(&["M1,2026-01-01,100", "M1,2026-02-01,120", "M1,2026-03-01,130", "M2,2026-01-01,0", "M2,2026-02-01,20", "M2,2026-03-01,30"]);
        town.bill("2026-03-01");
        // Billed: 20 units 10 + 20 + 35 = 65.00, then 10 units 30.00.
        multiplier(&town, "M1", 500);
        swept(&town);
        // It was half: 10 units 30.00, 5 units 20.00.
        let case = only_case(&town);
        assert_eq!(named(&case), ("multiplier", "meter M1"));
        let expected = [finding("A1", "2026-01-01", "2026-02-01", "-35.00"), finding("A1", "2026-02-01", "2026-03-01", "-10.00")];
        assert_eq!(told(&town, &case), expected);
        assert_eq!((case.over().to_string(), case.under().to_string()), ("45.00".to_owned(), "0.00".to_owned()));
        assert!(findings(&town, &case)[0].row.detail.contains("a multiplier of 1, it is 0.5"), "{:?}", findings(&town, &case)[0].row.detail);
        // Bills can be made again from what they keep, as before.
        assert_eq!(town.verify().differences, 0);
        // Put right again, nothing is left of it.
        multiplier(&town, "M1", 1000);
        swept(&town);
        assert_eq!(open_cases(&town), []);
        assert!(scan(&town).is_clean());
    }

    fn a_wrong_class(town: Town) {
        let town = town.with_services(&["A1,S1,SHOP,M1", "A2,S2,SHOP,M2"]);
        town.reads(&["M1,2026-01-01,100", "M1,2026-02-01,120", "M2,2026-01-01,100", "M2,2026-02-01,120"]);
        town.bill("2026-02-01");
        put_right(&town, &terms("S1", "2026-01-01", Some("HOME"), &[]));
        swept(&town);
        // 20 units at 4.25 are 85.00; a home pays 65.00.
        let case = only_case(&town);
        assert_eq!(named(&case), ("rate_class", "service S1"));
        assert_eq!(told(&town, &case), [finding("A1", "2026-01-01", "2026-02-01", "-20.00")]);
        assert!(findings(&town, &case)[0].row.detail.contains("billed as SHOP from 2026-01-01 on, it is HOME"));
        assert_eq!(town.verify().differences, 0);
    }

    fn a_wrong_class_of_somebody_who_has_gone(town: Town) {
        let town = town.with_services(&["A1,S1,SHOP,M1"]);
        town.reads(&["M1,2026-01-01,100", "M1,2026-02-01,120"]);
        crate::support::moves::leaves(&town, "A1", "S1", "2026-02-01", vec![]).expect("they leave");
        town.bill("2026-02-01");
        put_right(&town, &terms("S1", "2026-01-01", Some("HOME"), &[]));
        swept(&town);
        let case = only_case(&town);
        assert_eq!((named(&case), told(&town, &case)), (("rate_class", "service S1"), vec![finding("A1", "2026-01-01", "2026-02-01", "-20.00")]));
    }

    fn a_read_that_was_wrong(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        town.reads(&["M1,2026-01-01,100", "M1,2026-02-01,120", "M1,2026-03-01,130"]);
        town.bill("2026-03-01");
        // 20 and 10 units: 65.00 and 30.00. It showed 110: 10 and 20 units, the same sum on other bills.
        set_aside(&town, "M1", "2026-02-01");
        corrected(&town, "M1", "2026-02-01", 110);
        swept(&town);
        let case = only_case(&town);
        assert_eq!(named(&case), ("read", "read M1 2026-02-01"));
        let expected = [finding("A1", "2026-01-01", "2026-02-01", "-35.00"), finding("A1", "2026-02-01", "2026-03-01", "35.00")];
        assert_eq!(told(&town, &case), expected);
        assert_eq!((case.over().to_string(), case.under().to_string()), ("35.00".to_owned(), "35.00".to_owned()));
        assert_eq!(town.verify().differences, 0, "the read that was billed is still there, set aside");
    }

    fn a_read_that_came_twice(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1", "A2,S2,HOME,M2"]);
        town.reads(&["M1,2026-01-01,100", "M1,2026-02-01,120", "M1,2026-02-03,120", "M1,2026-03-01,135"]);
        town.reads(&["M2,2026-01-01,100", "M2,2026-02-01,120", "M2,2026-03-01,135"]);
        town.bill("2026-03-01");
        // The reading of 1 February once more on the 3rd: a bill of its own for nothing, 10.00. 65.00, 10.00 and 47.50.
        set_aside(&town, "M1", "2026-02-03");
        swept(&town);
        let case = only_case(&town);
        assert_eq!(named(&case), ("duplicated_read", "read M1 2026-02-03"));
        assert_eq!(told(&town, &case), [finding("A1", "2026-02-01", "2026-03-01", "-10.00")]);
        assert!(findings(&town, &case)[0].row.detail.contains("its reading of 2026-02-01 a second time"));
    }

    fn one_count_that_was_billed_twice(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        town.reads(&["M1,2026-01-01,100", "M1,2026-02-01,120"]);
        town.try_bill("2026-02-01", false, None).expect("it is priced");
        // A fault of the program: the span stands twice in what the bill was made from, and twice in its amount: 40 units, 135.00.
        let twice = match town.context.database.backend() {
            Backend::Sqlite => "UPDATE bill_segment SET usage_milli = 40000, total_cents = 13500, lines = '[]', \
                inputs = json_set(inputs, '$.spans', json('[' || json_extract(inputs, '$.spans[0]') || ',' || json_extract(inputs, '$.spans[0]') || ']'))",
            Backend::Postgres => "UPDATE bill_segment SET usage_milli = 40000, total_cents = 13500, lines = '[]', \
                inputs = CAST(jsonb_set(CAST(inputs AS JSONB), '{spans}', (CAST(inputs AS JSONB) -> 'spans') || (CAST(inputs AS JSONB) -> 'spans')) AS TEXT)",
        };
        plant(&town, twice);
        town.try_bill("2026-02-01", true, None).expect("it is issued");
        scan(&town);
        let case = only_case(&town);
        assert_eq!(named(&case), ("duplicated_read", "meter M1"));
        assert_eq!(told(&town, &case), [finding("A1", "2026-01-01", "2026-02-01", "-70.00")]);
    }

    fn a_wrong_tier(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1", "A2,S2,HOME,M2", "A3,S3,HOME,M3"]);
        town.reads(&["M1,2026-01-01,100", "M1,2026-02-01,120", "M2,2026-01-01,0", "M2,2026-02-01,20", "M3,2026-01-01,0", "M3,2026-02-01,8"]);
        town.try_bill("2026-02-01", false, None).expect("it is priced");
        // A fault of the program: everything of two bills is charged at the price of the second tier, 10 + 20 x 3.50 = 80.00.
        plant(&town, "UPDATE bill_segment SET total_cents = 8000 WHERE usage_milli = 20000");
        let run = town.try_bill("2026-02-01", true, None).expect("it is issued").run_id.expect("a run");
        assert_eq!(town.balance("A1"), "80.00");
        scan(&town);
        let case = only_case(&town);
        assert_eq!(named(&case), ("price", format!("run {run}").as_str()));
        let expected = [finding("A1", "2026-01-01", "2026-02-01", "-15.00"), finding("A2", "2026-01-01", "2026-02-01", "-15.00")];
        assert_eq!(told(&town, &case), expected);
        let detail = &findings(&town, &case)[0].row.detail;
        assert!(detail.contains("says 80.00 and its own reads, rates and terms give 65.00"), "{detail}");
    }

    fn a_tariff_with_a_wrong_tier(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1", "A2,S2,SHOP,M2", "A3,S3,HOME,M3"]);
        town.reads(&["M1,2026-01-01,100", "M1,2026-02-01,120", "M2,2026-01-01,0", "M2,2026-02-01,20", "M3,2026-01-01,0", "M3,2026-02-01,8"]);
        town.bill("2026-02-01");
        // The second tier begins at 15: 10 + 30 + 17.50 = 57.50 and not 65.00. Neither the shop nor eight units are touched.
        supersede(&town, &TARIFF.replace("tier_starts: [0, 10]", "tier_starts: [0, 15]"));
        swept(&town);
        let case = only_case(&town);
        assert_eq!(named(&case), ("tariff_text", "tariff water 2020-01-01"));
        assert_eq!(told(&town, &case), [finding("A1", "2026-01-01", "2026-02-01", "-7.50")]);
        assert_eq!(town.verify().differences, 0);
    }

    fn swapped_meters(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1", "A2,S2,HOME,M2", "A3,S3,HOME,M3"]);
        town.reads(&["M1,2026-01-01,100", "M1,2026-02-01,120", "M2,2026-01-01,50", "M2,2026-02-01,55", "M3,2026-01-01,0", "M3,2026-02-01,3"]);
        town.bill("2026-02-01");
        let swap = Swap { meter: "M1".to_owned(), other: "M2".to_owned(), from: None, note: "seen at the door".to_owned() };
        swap_meters(&town.context, &swap).expect("the meters change places");
        swept(&town);
        // 20 units 65.00, 5 units 20.00: each pays the other's.
        let case = only_case(&town);
        assert_eq!(named(&case), ("swapped_meters", "meters M1 and M2"));
        let expected = [finding("A1", "2026-01-01", "2026-02-01", "-45.00"), finding("A2", "2026-01-01", "2026-02-01", "45.00")];
        assert_eq!(told(&town, &case), expected);
        assert_eq!(town.verify().differences, 0);
    }

    fn meters_that_were_swapped_from_a_day_on(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1", "A2,S2,HOME,M2"]);
        let rows = ["M1,2026-01-01,100", "M1,2026-02-01,110", "M1,2026-03-01,130", "M2,2026-01-01,50", "M2,2026-02-01,60", "M2,2026-03-01,65"];
        town.reads(&rows);
        town.bill("2026-03-01");
        let swap = |from: &str| Swap { meter: "M1".to_owned(), other: "M2".to_owned(), from: Some(day(from)), note: "seen at the door".to_owned() };
        let refused = swap_meters(&town.context, &swap("2026-02-10")).expect_err("there is no read of that day").to_string();
        assert!(refused.contains("expected a day on which both meters were read"), "{refused}");
        swap_meters(&town.context, &swap("2026-02-01")).expect("the meters change places");
        swept(&town);
        let case = only_case(&town);
        assert_eq!(named(&case), ("swapped_meters", "meters M1 and M2"));
        let expected = [finding("A1", "2026-02-01", "2026-03-01", "-45.00"), finding("A2", "2026-02-01", "2026-03-01", "45.00")];
        assert_eq!(told(&town, &case), expected);
        // The next bills are by the right meters, and nothing new is wrong with them.
        town.reads(&["M1,2026-04-01,135", "M2,2026-04-01,85"]);
        town.bill("2026-04-01");
        assert_eq!(scan(&town).found, 0);
        let totals = town.totals();
        assert!(totals.contains(&("S1".to_owned(), "2026-04-01".to_owned(), "65.00".to_owned())), "{totals:?}");
    }

    fn a_rate_change_with_the_wrong_date(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1", "A2,S2,SHOP,M2"]);
        let dearer = |from: &str| TARIFF.replace("2020-01-01", from).replace("service_charge: 10.00", "service_charge: 16.00");
        // It should begin on 16 April, and was imported with the 1st.
        town.tariff(&dearer("2026-04-01")).expect("the tariff is accepted");
        town.reads(&["M1,2026-04-01,100", "M1,2026-05-01,105", "M1,2026-06-01,110", "M2,2026-04-01,0", "M2,2026-05-01,5"]);
        town.bill("2026-06-01");
        assert_eq!(town.totals()[0].2, "26.00");
        supersede(&town, &TARIFF.replace("2020-01-01", "2026-04-01"));
        town.tariff(&dearer("2026-04-16")).expect("the tariff is accepted");
        swept(&town);
        // 15 of April's 30 days at 20.00 and 15 at 26.00 are 23.00. May stays.
        let case = only_case(&town);
        assert_eq!(named(&case), ("tariff_date", "tariff water 2026-04-16"));
        assert_eq!(told(&town, &case), [finding("A1", "2026-04-01", "2026-05-01", "-3.00")]);
        let detail = &findings(&town, &case)[0].row.detail;
        assert!(detail.contains("were billed from 2026-04-01, they begin on 2026-04-16"), "{detail}");
        assert_eq!(town.verify().differences, 0);
    }

    fn a_rate_change_that_was_imported_too_late(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        town.reads(&["M1,2026-04-01,100", "M1,2026-05-01,105"]);
        town.bill("2026-05-01");
        town.tariff(&TARIFF.replace("2020-01-01", "2026-04-16").replace("service_charge: 10.00", "service_charge: 4.00")).expect("it is accepted");
        swept(&town);
        let case = only_case(&town);
        assert_eq!(named(&case), ("tariff_date", "tariff water 2026-04-16"));
        assert_eq!(told(&town, &case), [finding("A1", "2026-04-01", "2026-05-01", "-3.00")]);
    }

    fn a_wrong_attribute(town: Town) {
        let sized = TARIFF.replace(
            "service_charge: 10.00",
            "service_charge:\n      depends_on: meter_size\n      values:\n        3/4\": 10.00\n        1\": 25.00",
        );
        town.tariff(&sized).expect("the tariff is accepted");
        let row = |number: u32| format!("A{number},S{number},HOME,M{number},4,\"{{\"\"meter_size\"\":\"\"1\\\"\"\"\"}}\"");
        let csv = format!("customer_id,service_id,rate_class,meter_id,register_digits,attributes\n{}\n{}\n", row(1), row(2));
        assert_eq!(town.services(&csv).expect("the services are read").refused, 0);
        town.reads(&["M1,2026-01-01,100", "M1,2026-02-01,105", "M2,2026-01-01,100", "M2,2026-02-01,105"]);
        town.bill("2026-02-01");
        put_right(&town, &terms("S1", "2026-01-01", None, &[("meter_size", "3/4\"")]));
        swept(&town);
        let case = only_case(&town);
        assert_eq!(named(&case), ("attributes", "service S1"));
        assert_eq!(told(&town, &case), [finding("A1", "2026-01-01", "2026-02-01", "-15.00")]);
        let detail = &findings(&town, &case)[0].row.detail;
        assert!(detail.contains("meter_size was billed as 1\", it is 3/4\""), "{detail}");
    }

    fn several_causes_at_once(town: Town) {
        let town = town.with_services(&["A1,S1,SHOP,M1"]);
        town.reads(&["M1,2026-01-01,100", "M1,2026-02-01,120"]);
        town.bill("2026-02-01");
        put_right(&town, &terms("S1", "2026-01-01", Some("HOME"), &[]));
        multiplier(&town, "M1", 500);
        swept(&town);
        // 85.00 billed; a home with 10 units pays 30.00.
        let case = only_case(&town);
        assert_eq!(named(&case), ("several", "meter M1 and service S1"));
        assert_eq!(told(&town, &case), [finding("A1", "2026-01-01", "2026-02-01", "-55.00")]);
        let detail = &findings(&town, &case)[0].row.detail;
        assert!(detail.contains("multiplier of 1, it is 0.5") && detail.contains("billed as SHOP"), "{detail}");
    }

    fn faults_of_many_kinds_in_one_town(town: Town) {
        let rows = ["A1,S1,HOME,M1", "A2,S2,HOME,M2", "A3,S3,HOME,M3", "A4,S4,HOME,M4", "A5,S5,SHOP,M5", "A6,S6,SHOP,M6", "A7,S7,HOME,M7", "A8,S8,SHOP,M8"];
        let town = town.with_services(&rows);
        // The shops' price should rise on 16 April, and was imported with the 1st.
        let dearer = |from: &str| TARIFF.replace("2020-01-01", from).replace("4.25", "5.25");
        town.tariff(&dearer("2026-04-01")).expect("the tariff is accepted");
        let mut rows = vec!["M2,2026-02-03,120".to_owned()];
        for (meter, from, to) in [(1, 100, 120), (2, 100, 120), (3, 100, 120), (4, 50, 55), (5, 100, 120), (7, 100, 120), (8, 100, 120)] {
            rows.extend([format!("M{meter},2026-01-01,{from}"), format!("M{meter},2026-02-01,{to}")]);
        }
        rows.extend(["M2,2026-03-01,135", "M6,2026-04-01,0", "M6,2026-05-01,10", "M7,2026-03-01,125"].map(str::to_owned));
        rows.sort();
        town.reads(&rows.iter().map(String::as_str).collect::<Vec<_>>());
        town.bill("2026-05-01");
        assert!(scan(&town).is_clean(), "nothing is wrong yet by what is known");
        multiplier(&town, "M1", 500);
        set_aside(&town, "M2", "2026-02-03");
        let swap = Swap { meter: "M3".to_owned(), other: "M4".to_owned(), from: None, note: "seen at the door".to_owned() };
        swap_meters(&town.context, &swap).expect("the meters change places");
        put_right(&town, &terms("S5", "2026-01-01", Some("HOME"), &[]));
        supersede(&town, &TARIFF.replace("2020-01-01", "2026-04-01"));
        town.tariff(&dearer("2026-04-16")).expect("the tariff is accepted");
        swept(&town);
        let mut found: Vec<_> = open_cases(&town).iter().map(|case| (named(case).0.to_owned(), named(case).1.to_owned(), told(&town, case))).collect();
        found.sort();
        let of = |cause: &str, subject: &str, findings: &[_]| (cause.to_owned(), subject.to_owned(), findings.to_vec());
        let january = |account: &str, difference: &str| finding(account, "2026-01-01", "2026-02-01", difference);
        let expected = [
            of("duplicated_read", "read M2 2026-02-03", &[finding("A2", "2026-02-01", "2026-03-01", "-10.00")]),
            of("multiplier", "meter M1", &[january("A1", "-35.00")]),
            of("rate_class", "service S5", &[january("A5", "-20.00")]),
            of("swapped_meters", "meters M3 and M4", &[january("A3", "-45.00"), january("A4", "45.00")]),
            // Half of ten units at 4.25 instead of 5.25.
            of("tariff_date", "tariff water 2026-04-16", &[finding("A6", "2026-04-01", "2026-05-01", "-5.00")]),
        ];
        assert_eq!(found, expected);
        assert_eq!(scan(&town).found, 0, "the night finds nobody else");
    }

    fn of_two_changes_the_one_that_matters_is_named(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        town.reads(&["M1,2026-01-01,100", "M1,2026-02-01,120"]);
        town.bill("2026-02-01");
        // The floor is no matter of the price.
        put_right(&town, &terms("S1", "2026-01-01", None, &[("floor", "2")]));
        assert_eq!(swept(&town).found, 0);
        multiplier(&town, "M1", 500);
        swept(&town);
        let case = only_case(&town);
        assert_eq!(named(&case), ("multiplier", "meter M1"));
    }

    fn an_estimate_that_was_replaced(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        let csv = "meter_id,read_on,reading,kind\nM1,2026-01-01,100,actual\nM1,2026-02-01,130,estimated\n";
        reads::import_reads(&town.context, &town.file("kinds.csv", csv), QUIET).expect("the reads are read");
        town.bill("2026-02-01");
        // 30 units by estimate are 100.00; it was read all the same, and showed 110: 10 units, 30.00.
        corrected(&town, "M1", "2026-02-01", 110);
        swept(&town);
        let case = only_case(&town);
        assert_eq!(named(&case), ("estimate", "estimate M1 2026-02-01"));
        assert_eq!(told(&town, &case), [finding("A1", "2026-01-01", "2026-02-01", "-70.00")]);
    }

    fn a_wrong_rate_under_an_estimate_and_what_settled_it(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        let csv = "meter_id,read_on,reading,kind\nM1,2026-01-01,100,actual\nM1,2026-02-01,130,estimated\nM1,2026-03-01,120,actual\n";
        reads::import_reads(&town.context, &town.file("kinds.csv", csv), QUIET).expect("the reads are read");
        town.bill("2026-03-01");
        // Of 20 units in 59 days January has 10.508, February 9.492 (in thousandths): 31.78 and 28.98; in all 60.76.
        assert_eq!(town.balance("A1"), "60.76");
        supersede(&town, &TARIFF.replace("service_charge: 10.00", "service_charge: 7.00"));
        swept(&town);
        // Two months at 3.00 less, told once: what the estimate was billed too much, its settlement put right.
        let case = only_case(&town);
        assert_eq!(named(&case), ("tariff_text", "tariff water 2020-01-01"));
        assert_eq!(told(&town, &case), [finding("A1", "2026-01-01", "2026-03-01", "-6.00")]);
    }

    fn a_read_without_which_nobody_can_judge(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        town.reads(&["M1,2026-01-01,100", "M1,2026-02-01,120"]);
        town.bill("2026-02-01");
        set_aside(&town, "M1", "2026-02-01");
        let report = swept(&town);
        assert_eq!((report.open.findings, report.unjudged), (0, 1));
        assert!(report.first_unjudged[0].reason.contains("do not end with a read that stands"), "{:?}", report.first_unjudged);
        corrected(&town, "M1", "2026-02-01", 110);
        swept(&town);
        let case = only_case(&town);
        assert_eq!((named(&case), told(&town, &case)), (("read", "read M1 2026-02-01"), vec![finding("A1", "2026-01-01", "2026-02-01", "-35.00")]));
    }
}

/// A fault of the program in what it stores: past the triggers that keep bills as they are.
pub(crate) fn plant(town: &Town, statement: &str) {
    match town.context.database.backend() {
        Backend::Sqlite => {
            let kept = town.context.database.read(|conn| {
                Ok::<_, diesel::result::Error>(crate::support::lines(conn, "SELECT sql AS line FROM sqlite_master WHERE name = 'bill_segment_fixed'"))
            });
            let kept = kept.expect("the trigger is read");
            sql(town, &["DROP TRIGGER bill_segment_fixed", statement, &kept[0]]);
        }
        Backend::Postgres => sql(
            town,
            &["ALTER TABLE bill_segment DISABLE TRIGGER bill_segment_fixed", statement, "ALTER TABLE bill_segment ENABLE TRIGGER bill_segment_fixed"],
        ),
    }
}
