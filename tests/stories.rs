//! Stories of billing, told on both databases.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on must fail loudly")]

mod support;

use aquabills::actions::ActionError;
use aquabills::actions::adjust::{Adjustment, adjust};
use aquabills::actions::bill_run::{RunOptions, discard_run, roll_back_run, run_bills};
use aquabills::actions::held::{Decision, decide_all, decide_some, list_held, reject_read};
use aquabills::actions::payments::{COUNTER_PROVIDER, return_payment};
use aquabills::actions::show_bill::show_bill;
use aquabills::domain::ids::{RunId, ToDoId};
use diesel::RunQueryDsl;
use support::{TARIFF, Town, day, on_both};

/// Period end and total of each segment of a service.
fn of_service(town: &Town, service: &str) -> Vec<(String, String)> {
    town.totals().into_iter().filter(|(code, _, _)| code == service).map(|(_, end, total)| (end, total)).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(end, total)| ((*end).to_owned(), (*total).to_owned())).collect()
}

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

    fn several_unbilled_periods_are_caught_up_one_by_one(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        town.reads(&["M1,2026-01-01,9990", "M1,2026-02-01,5", "M1,2026-03-01,5", "M1,2026-04-01,40"]);
        let run = town.bill("2026-04-30");
        assert_eq!((run.totals.bills, run.totals.segments), (1, 3));
        // 15 units (through a rollover), none, 35: each priced with its own tiers
        assert_eq!(of_service(&town, "S1"), pairs(&[("2026-02-01", "47.50"), ("2026-03-01", "10.00"), ("2026-04-01", "117.50")]));
        assert_eq!(town.balance("A1"), "175.00");
        let again = town.bill("2026-04-30");
        assert_eq!((again.totals.billed, again.totals.excluded, again.totals.total_cents), (0, 1, 0));
        town.assert_sound();
    }

    fn several_agreements_of_an_account_are_one_bill(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1", "A1,S2,SHOP,M2", "A2,S3,SHOP,M3"]);
        town.reads(&["M1,2026-01-01,0", "M2,2026-01-01,0", "M3,2026-01-01,0", "M1,2026-02-01,10", "M2,2026-02-03,100", "M3,2026-02-01,1"]);
        let run = town.bill("2026-02-28");
        assert_eq!((run.totals.billed, run.totals.bills, run.totals.segments), (3, 2, 3));
        assert_eq!(town.balance("A1"), "455.00");
        assert_eq!(town.balance("A2"), "4.25");
        town.assert_sound();
    }

    fn a_meter_exchange_within_a_period_loses_nothing(town: Town) {
        let town = town.with_services(&["A1,S1,SHOP,M1"]);
        town.reads(&["M1,2026-01-01,9990"]);
        let report = town.exchanges(&["S1,2026-01-20,M1,0,M1B,500,5"]);
        assert_eq!((report.accepted, report.refused, report.held), (1, 0, 0));
        assert_eq!(town.exchanges(&["S1,2026-01-20,M1,0,M1B,500,5"]).unchanged, 1);
        town.reads(&["M1B,2026-02-01,507.5"]);
        town.bill("2026-02-01");
        // 10 on the old meter, 7.5 on the new one
        assert_eq!(of_service(&town, "S1"), pairs(&[("2026-02-01", "74.38")]));
        town.reads(&["M1B,2026-03-01,510"]);
        town.bill("2026-03-01");
        assert_eq!(of_service(&town, "S1").pop(), Some(("2026-03-01".to_owned(), "10.63".to_owned())));
        town.assert_sound();
    }

    fn rates_are_chosen_by_the_days_of_service(town: Town) {
        let town = town.with_services(&["A1,S1,SHOP,M1"]);
        // From 16 January the price doubles; the period has 15 days before it and 16 from then on.
        let dearer = TARIFF.replace("2020-01-01", "2026-01-16").replace("4.25*", "8.50*");
        town.tariff(&dearer).expect("a second version");
        town.reads(&["M1,2026-01-01,0", "M1,2026-02-01,31", "M1,2026-03-01,41"]);
        town.bill("2026-03-01");
        // 15 x 4.25 + 16 x 8.50, then 10 x 8.50
        assert_eq!(of_service(&town, "S1"), pairs(&[("2026-02-01", "199.75"), ("2026-03-01", "85.00")]));
        // A version that comes later does not touch what is billed.
        town.tariff(&TARIFF.replace("2020-01-01", "2026-05-01").replace("4.25*", "99*")).expect("a third version");
        town.assert_sound();
    }

    fn a_rate_change_can_be_taken_at_either_end(town: Town) {
        let at = |rule: &str, date: &str, price: &str| {
            let settings = format!("tier_rule: boundary\n  proration: {{rate_change: {rule}}}");
            TARIFF.replace("tier_rule: boundary", &settings).replace("2020-01-01", date).replace("4.25*", price)
        };
        let town = town.with_services(&["A1,S1,SHOP,M1"]);
        town.tariff(&at("period_end", "2026-01-16", "8.00*")).expect("a version");
        town.reads(&["M1,2026-01-01,0", "M1,2026-02-01,10", "M1,2026-03-01,20", "M1,2026-04-01,30"]);
        town.bill("2026-03-01");
        town.tariff(&at("period_start", "2026-03-10", "9.00*")).expect("a version");
        town.bill("2026-04-01");
        assert_eq!(of_service(&town, "S1"), pairs(&[("2026-02-01", "80.00"), ("2026-03-01", "80.00"), ("2026-04-01", "80.00")]));
        town.assert_sound();
    }

    fn a_short_first_period_is_prorated_when_the_tariff_says_so(town: Town) {
        let tariff = TARIFF.replace("tier_rule: boundary", "tier_rule: boundary\n  proration: {short_periods: by_days, standard_days: 30}");
        town.tariff(&tariff).expect("the tariff is accepted");
        let header = "customer_id,service_id,rate_class,meter_id,register_digits,start_on";
        town.services(&format!("{header}\nA1,S1,HOME,M1,4,2026-01-11\n")).expect("the service is accepted");
        town.reads(&["M1,2026-01-11,100", "M1,2026-01-26,110", "M1,2026-02-10,120"]);
        town.bill("2026-02-10");
        // 15 of 30 days: half the fixed charge and half of each tier, 5 at 2.00 and 5 at 3.50; the second period is
        // neither first nor last and is not prorated.
        assert_eq!(of_service(&town, "S1"), pairs(&[("2026-01-26", "32.50"), ("2026-02-10", "30.00")]));
        town.assert_sound();
    }

    fn a_short_last_period_is_prorated_and_ends_the_service(town: Town) {
        let tariff = TARIFF.replace("tier_rule: boundary", "tier_rule: boundary\n  proration: {short_periods: by_days, standard_days: 30}");
        town.tariff(&tariff).expect("the tariff is accepted");
        let header = "customer_id,service_id,rate_class,meter_id,register_digits,start_on,end_on";
        town.services(&format!("{header}\nA1,S1,HOME,M1,4,2026-01-01,\n")).expect("the service is accepted");
        town.reads(&["M1,2026-01-01,0", "M1,2026-01-31,10", "M1,2026-02-10,12"]);
        town.bill("2026-01-31");
        let ended = town.services(&format!("{header}\nA1,S1,HOME,M1,4,2026-01-01,2026-02-10\n")).expect("the end is accepted");
        assert_eq!((ended.accepted, ended.refused), (1, 0));
        town.bill("2026-02-28");
        // 10 of 30 days: a third of 10.00 and 2 units at 2.00
        assert_eq!(of_service(&town, "S1"), pairs(&[("2026-01-31", "30.00"), ("2026-02-10", "7.33")]));
        let after = town.bill("2026-05-31");
        assert_eq!((after.totals.due, after.totals.excluded), (1, 1));
        town.assert_sound();
    }

    fn a_missing_tariff_holds_the_service_with_its_reason(town: Town) {
        let town = town.with_services(&["A1,S1,SHOP,M1", "A2,S2,SHOP,M2"]);
        town.reads(&["M1,2019-12-01,0", "M1,2020-02-01,10", "M2,2020-01-01,0", "M2,2020-02-01,10"]);
        let run = town.bill("2020-02-01");
        assert_eq!((run.totals.billed, run.totals.held), (1, 1));
        assert_eq!(town.balance("A1"), "0.00");
        town.assert_sound();
    }

    fn an_implausible_read_waits_for_a_clerk(town: Town) {
        let town = town.with_services(&["A1,S1,SHOP,M1"]);
        town.reads(&["M1,2026-01-01,0", "M1,2026-02-01,10", "M1,2026-03-01,20", "M1,2026-04-01,30", "M1,2026-05-01,40"]);
        town.bill("2026-05-01");
        let report = town.reads(&["M1,2026-06-01,440"]);
        assert_eq!((report.accepted, report.held), (1, 1));
        let run = town.bill("2026-06-01");
        assert_eq!((run.totals.billed, run.totals.held), (0, 1));
        let held = list_held(&town.context, ToDoId(0), 10).expect("the list");
        assert_eq!(held.len(), 1);
        assert!(held[0].reason.contains("400 in 31 days"), "{}", held[0].reason);
        assert_eq!(decide_some(&town.context, &[held[0].id], Decision::Reject, "misread").expect("it is rejected"), 1);
        // Rejected, another read of the same day can take its place.
        assert_eq!(town.reads(&["M1,2026-06-01,52"]).accepted, 1);
        assert_eq!(town.bill("2026-06-01").totals.total_cents, 5100);
        town.assert_sound();
    }

    fn an_implausible_bill_waits_and_is_billed_once_released(town: Town) {
        let town = town.with_services(&["A1,S1,SHOP,M1", "A1,S2,HOME,M2", "A2,S3,SHOP,M3"]);
        town.reads(&["M1,2026-01-01,0", "M2,2026-01-01,0", "M3,2026-01-01,0", "M1,2026-02-01,2000", "M2,2026-02-01,1", "M3,2026-02-01,1"]);
        let run = town.bill("2026-02-01");
        // The other service of the account waits too: they are one bill.
        assert_eq!((run.totals.billed, run.totals.held, run.totals.bills), (1, 2, 1));
        assert_eq!(town.bill("2026-02-01").totals.held, 2);
        assert_eq!(list_held(&town.context, ToDoId(0), 10).expect("the list").len(), 1);
        assert_eq!(decide_all(&town.context, None, Decision::Release, "a factory").expect("released"), 1);
        let run = town.bill("2026-02-01");
        assert_eq!((run.totals.billed, run.totals.held, run.totals.excluded), (2, 0, 1));
        assert_eq!(town.balance("A1"), "8512.00");
        town.assert_sound();
    }

    fn a_reversed_read_is_not_taken_for_a_rollover(town: Town) {
        let town = town.with_services(&["A1,S1,SHOP,M1"]);
        let report = town.reads(&["M1,2026-01-01,500", "M1,2026-02-01,490"]);
        assert_eq!((report.accepted, report.held), (2, 1));
        assert_eq!(town.bill("2026-02-01").totals.held, 1);
        assert_eq!(town.balance("A1"), "0.00");
    }

    fn a_run_waits_for_approval_and_can_be_discarded(town: Town) {
        let town = town.with_services(&["A1,S1,SHOP,M1"]);
        town.reads(&["M1,2026-01-01,0", "M1,2026-02-01,10"]);
        let run = town.try_bill("2026-02-01", false, None).expect("it is priced");
        assert_eq!(run.status, "review");
        assert_eq!(town.balance("A1"), "0.00");
        let other = town.try_bill("2026-01-15", true, None).expect_err("another day waits for this run");
        assert!(other.to_string().contains("unfinished"), "{other}");
        discard_run(&town.context, RunId(1)).expect("it is discarded");
        assert_eq!(town.bill("2026-02-01").totals.billed, 1);
        assert_eq!(town.balance("A1"), "42.50");
        town.assert_sound();
    }

    fn a_dry_run_tells_what_would_be_and_writes_nothing(town: Town) {
        let town = town.with_services(&["A1,S1,SHOP,M1"]);
        town.reads(&["M1,2026-01-01,0", "M1,2026-02-01,10"]);
        let options = RunOptions {
            cycle: "main".to_owned(),
            through: day("2026-02-01"),
            dry_run: true,
            approve: false,
            override_gates: None,
            progress: &|_, _, _| {},
            fault: None,
        };
        let dry = run_bills(&town.context, &options).expect("a dry run");
        assert_eq!((dry.run_id, dry.totals.total_cents), (None, 4250));
        assert!(town.ledger_rows().is_empty() && town.bills().is_empty());
        assert_eq!(town.bill("2026-02-01").totals, dry.totals);
    }

    fn an_issued_run_is_rolled_back_and_billed_again(town: Town) {
        let town = town.with_services(&["A1,S1,SHOP,M1", "A2,S2,SHOP,M2"]);
        town.reads(&["M1,2026-01-01,0", "M1,2026-02-01,10", "M2,2026-01-01,0", "M2,2026-02-01,20"]);
        town.bill("2026-02-01");
        town.pay("A2", "85.00", "R-1");
        roll_back_run(&town.context, RunId(1), "wrong rates", |_, _| {}).expect("it is rolled back");
        assert_eq!((town.balance("A1"), town.balance("A2")), ("0.00".to_owned(), "-85.00".to_owned()));
        assert!(town.bills().is_empty());
        assert_eq!(town.bill("2026-02-01").totals.billed, 2);
        assert_eq!((town.balance("A1"), town.balance("A2")), ("42.50".to_owned(), "0.00".to_owned()));
        let twice = roll_back_run(&town.context, RunId(1), "again", |_, _| {}).expect_err("once only");
        assert!(matches!(twice, ActionError::Refused(_)), "{twice}");
        town.assert_sound();
    }

    fn a_returned_payment_is_charged_again_and_no_bill_names_it(town: Town) {
        let town = town.with_services(&["A1,S1,SHOP,M1"]);
        town.reads(&["M1,2026-01-01,0", "M1,2026-02-01,10"]);
        town.pay("A1", "10.00", "R-1");
        town.pay("A1", "20.00", "R-2");
        town.bill("2026-02-01");
        let today = town.context.today();
        let returned = return_payment(&town.context, COUNTER_PROVIDER, "R-2", today, "bounced").expect("it is returned");
        assert_eq!(returned.balance_after_cents, 3250);
        assert!(return_payment(&town.context, COUNTER_PROVIDER, "R-2", today, "bounced").expect("once only").unchanged);
        town.reads(&["M1,2026-03-01,20"]);
        town.bill("2026-03-01");
        let columns: Vec<String> = town.bills().pop().expect("a bill").iter().skip(6).map(str::to_owned).collect();
        assert_eq!(columns, ["42.50", "12.50", "20.00", "75.00", "issued"]);
        town.assert_sound();
    }

    fn adjustments_have_reasons_and_happen_once(town: Town) {
        let town = town.with_services(&["A1,S1,SHOP,M1"]);
        let mut credit = Adjustment {
            account: "A1".to_owned(),
            reason_code: "goodwill".to_owned(),
            amount: "-5.00".parse().expect("an amount"),
            effective_on: town.context.today(),
            reference: "G-1".to_owned(),
            note: "a burst main".to_owned(),
        };
        assert_eq!(adjust(&town.context, &credit).expect("it is given").balance_after_cents, -500);
        assert!(adjust(&town.context, &credit).expect("once only").unchanged);
        credit.reference = "G-2".to_owned();
        credit.amount = "5.00".parse().expect("an amount");
        assert!(adjust(&town.context, &credit).is_err(), "goodwill is a credit");
        credit.reason_code = "whim".to_owned();
        let unknown = adjust(&town.context, &credit).expect_err("no such reason");
        assert!(unknown.to_string().contains("goodwill"), "the reasons are named: {unknown}");
        assert_eq!(town.balance("A1"), "-5.00");
        town.assert_sound();
    }

    fn a_meter_with_two_registers_adds_both(town: Town) {
        town.tariff(TARIFF).expect("the tariff is accepted");
        let header = "customer_id,service_id,rate_class,meter_id,register_digits,register,multiplier";
        town.services(&format!("{header}\nA1,S1,SHOP,M1,6,low,1\nA1,S1,SHOP,M1,4,high,10\n")).expect("the service is accepted");
        let csv = "meter_id,read_on,reading,register\nM1,2026-01-01,0,low\nM1,2026-01-01,0,high\nM1,2026-02-01,3,low\nM1,2026-02-01,2,high\n";
        let path = town.file("two.csv", csv);
        let report = aquabills::actions::import::reads::import_reads(&town.context, &path, support::QUIET).expect("the reads are read");
        assert_eq!((report.accepted, report.refused), (4, 0));
        town.bill("2026-02-01");
        // 3 + 2 x 10 = 23 units
        assert_eq!(of_service(&town, "S1"), pairs(&[("2026-02-01", "97.75")]));
        town.assert_sound();
    }

    fn a_bill_shows_what_it_deducts_and_where_it_was_cut_off(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]);
        town.reads(&["M1,2026-01-01,100", "M1,2026-02-01,115"]);
        town.payments(&["A1,12.00,2026-01-20,P-1", "A1,3.00,2026-01-25,P-2"]);
        town.bill("2026-02-01");
        let bill = show_bill(&town.context, "00001-0000001").expect("the bill is there");
        let paid = bill.last_payment.expect("a payment");
        assert_eq!((paid.amount_cents, paid.effective_on, paid.reference.as_str()), (300, day("2026-01-25"), "P-2"));
        assert_eq!((bill.previous_balance_cents, bill.payments_cents, bill.charges_cents, bill.amount_due_cents), (0, -1500, 4750, 3250));
        assert_eq!(bill.cut_off_seq, 2);
        let lines: Vec<_> = bill.segments[0].lines.iter().map(|line| (line.tier.map(|tier| tier.number), line.amount_cents.cents())).collect();
        assert_eq!(lines, [(None, 1000), (Some(1), 2000), (Some(2), 1750)]);
        for number in ["00001-0000002", "00009-0000001", "1", "x-y", ""] {
            assert!(matches!(show_bill(&town.context, number), Err(ActionError::NotFound { .. })), "{number}");
        }
    }

    fn a_nightly_command_goes_on_after_a_power_cut(town: Town) {
        let town = town.with_services(&["A1,S1,SHOP,M1"]);
        town.reads(&["M1,2026-01-01,0", "M1,2026-02-01,10", "M1,2026-03-01,20"]);
        let stopped_at = |status: &str| {
            let sql = format!("UPDATE bill_run SET status = '{status}' WHERE status = 'review'");
            town.context.database.write(|conn| Ok::<_, ActionError>(diesel::sql_query(&sql).execute(conn)?)).expect("the run is stopped");
        };
        // Cut off while it was priced: nothing was promised, the run is thrown away.
        town.try_bill("2026-02-01", false, None).expect("it is priced");
        stopped_at("pricing");
        town.try_bill("2026-02-02", false, None).expect("another is priced");
        // Cut off while it was issued: it was approved, so it is issued to its end.
        stopped_at("issuing");
        let run = town.bill("2026-03-01");
        assert_eq!((run.totals.segments, town.balance("A1").as_str()), (1, "85.00"));
        // One that waits for a person goes on waiting.
        town.reads(&["M1,2026-04-01,30"]);
        town.try_bill("2026-04-01", false, None).expect("it is priced");
        assert!(town.try_bill("2026-04-02", true, None).is_err());
        town.assert_sound();
    }

    fn a_night_with_nothing_to_bill_holds_nothing_up(town: Town) {
        let services: Vec<String> = (0..60).map(|n| format!("A{n},S{n},SHOP,M{n}")).collect();
        let town = town.with_services(&services.iter().map(String::as_str).collect::<Vec<_>>());
        let read = |on: &str, reading: u32| {
            let rows: Vec<String> = (0..60).map(|n| format!("M{n},{on},{reading}")).collect();
            town.reads(&rows.iter().map(String::as_str).collect::<Vec<_>>());
        };
        read("2026-01-01", 0);
        read("2026-02-01", 10);
        assert_eq!(town.bill("2026-02-01").totals.billed, 60);
        for night in ["2026-02-02", "2026-02-03"] {
            assert_eq!(town.bill(night).totals.billed, 0);
        }
        // The empty nights are not what the next month is compared with: a jump is still seen.
        read("2026-03-01", 45);
        assert!(town.try_bill("2026-03-01", true, None).is_err());
    }

    fn a_runner_that_was_overtaken_commits_nothing_more(town: Town) {
        let mut town = town.with_services(&["A1,S1,SHOP,M1", "A2,S2,SHOP,M2", "A3,S3,SHOP,M3"]);
        town.configure(|config| {
            config.runs.chunk_accounts = 1;
            config.runs.workers = 1;
        });
        let reads = ["M1,2026-01-01,0", "M2,2026-01-01,0", "M3,2026-01-01,0", "M1,2026-02-01,10", "M2,2026-02-01,10", "M3,2026-02-01,10"];
        town.reads(&reads);
        let database = town.context.database.clone();
        // Another runner discards the run while this one has priced one chunk of three.
        let overtake = |step: &str, done: usize, _: usize| {
            if step == "pricing" && done == 1 {
                let sql = ["UPDATE bill_segment SET live = 0", "UPDATE bill_run SET status = 'discarded'"];
                let discarded = database.write(|conn| {
                    for statement in sql {
                        diesel::sql_query(statement).execute(conn)?;
                    }
                    Ok::<_, ActionError>(())
                });
                discarded.expect("the run is discarded");
            }
        };
        let options = RunOptions {
            cycle: "all".to_owned(),
            through: day("2026-02-01"),
            dry_run: false,
            approve: true,
            override_gates: None,
            progress: &overtake,
            fault: None,
        };
        let overtaken = run_bills(&town.context, &options).expect_err("it notices");
        assert!(matches!(overtaken, ActionError::LeaseLost(_)), "{overtaken}");
        let run = town.bill("2026-02-01");
        assert_eq!((run.totals.billed, run.totals.excluded), (3, 0));
        town.assert_sound();
    }

    fn the_ledger_check_sees_a_withdrawn_segment_of_a_standing_bill(town: Town) {
        let town = town.with_services(&["A1,S1,SHOP,M1"]);
        town.reads(&["M1,2026-01-01,0", "M1,2026-02-01,10"]);
        town.bill("2026-02-01");
        let withdraw = town.context.database.write(|conn| Ok::<_, ActionError>(diesel::sql_query("UPDATE bill_segment SET live = 0").execute(conn)?));
        assert_eq!(withdraw.expect("it is withdrawn"), 1);
        assert_eq!(town.check().faults, 1);
    }

    fn a_meter_used_again_brings_none_of_its_past(town: Town) {
        let town = town.with_services(&["A1,S1,SHOP,M1"]);
        town.reads(&["M1,2026-01-01,100", "M1,2026-02-01,150"]);
        town.bill("2026-02-01");
        town.exchanges(&["S1,2026-02-15,M1,160,M1B,0,4"]);
        let header = "customer_id,service_id,rate_class,meter_id,register_digits,installed_on";
        for (row, field) in [("A2,S2,SHOP,M1,4,", "installed_on"), ("A2,S2,SHOP,M1,4,2026-02-01", "installed_on"), ("A2,S2,SHOP,M1,6,2026-03-01", "register_digits")] {
            let report = town.services(&format!("{header}\n{row}\n")).expect("the file is read");
            assert_eq!(report.refused, 1, "{row}");
            assert!(report.first_refusals[0].contains(field), "{:?}", report.first_refusals);
        }
        assert_eq!(town.services(&format!("{header}\nA2,S2,SHOP,M1,4,2026-03-01\n")).expect("the file is read").accepted, 1);
        town.reads(&["M1,2026-03-01,160", "M1,2026-04-01,170"]);
        town.bill("2026-04-01");
        assert_eq!(of_service(&town, "S2"), pairs(&[("2026-04-01", "42.50")]));
        town.assert_sound();
    }

    fn half_a_cent_stays_half_a_cent_when_it_is_prorated(town: Town) {
        // 10.01 + 3 x 2.00 for a sixth of the period: (10.01 + 18 x 2.00 in tiers of 10) / 6 has exact ties
        let tariff = TARIFF
            .replace("tier_rule: boundary", "tier_rule: boundary\n  proration: {short_periods: by_days, standard_days: 30}")
            .replace("10.00", "10.01")
            .replace("[2.00, 3.50]", "[2.00, 3.40]");
        town.tariff(&tariff).expect("the tariff is accepted");
        let header = "customer_id,service_id,rate_class,meter_id,register_digits,start_on";
        let services: Vec<String> = (2..5).map(|n| format!("A{n},S{n},HOME,M{n},4,2026-01-01")).collect();
        town.services(&format!("{header}\n{}\n", services.join("\n"))).expect("the services are accepted");
        let reads: Vec<String> = (2..5).flat_map(|n| [format!("M{n},2026-01-01,0"), format!("M{n},2026-01-06,{n}")]).collect();
        town.reads(&reads.iter().map(String::as_str).collect::<Vec<_>>());
        let run = town.bill("2026-01-06");
        assert_eq!(run.totals.recomputed_wrong, 0);
        // 6.135, 9.535 and 12.935
        let totals: Vec<String> = town.totals().into_iter().map(|(_, _, total)| total).collect();
        assert_eq!(totals, ["6.14", "9.54", "12.94"]);
        town.assert_sound();
    }

    fn a_read_that_makes_the_next_one_absurd_waits(town: Town) {
        let town = town.with_services(&["A1,S1,SHOP,M1"]);
        town.reads(&["M1,2026-01-01,9000", "M1,2026-03-01,9050"]);
        // 92 instead of 9020: a rollover before it, and most of a round after it
        let report = town.reads(&["M1,2026-02-01,92"]);
        assert_eq!((report.accepted, report.held), (1, 1));
    }

    fn the_edges_of_an_agreement_want_a_read(town: Town) {
        let town = town.with_services(&["A9,S9,SHOP,M9"]);
        let header = "customer_id,service_id,rate_class,meter_id,register_digits,start_on,end_on";
        town.services(&format!("{header}\nA1,S1,SHOP,M1,4,2026-01-10,\nA2,S2,SHOP,M2,4,2026-01-01,2026-02-10\n")).expect("accepted");
        town.reads(&["M1,2026-01-01,100", "M1,2026-02-01,140", "M2,2026-01-01,0", "M2,2026-02-01,10", "M2,2026-02-12,20"]);
        let run = town.bill("2026-02-28");
        assert_eq!((run.totals.billed, run.totals.held), (0, 2));
        town.reads(&["M1,2026-01-10,105", "M2,2026-02-10,18"]);
        let run = town.bill("2026-02-28");
        assert_eq!((run.totals.billed, run.totals.held), (2, 0));
        assert_eq!((town.balance("A1"), town.balance("A2")), ("148.75".to_owned(), "76.50".to_owned()));
        town.assert_sound();
    }

    fn a_wrong_read_that_is_not_billed_can_be_replaced(town: Town) {
        let town = town.with_services(&["A1,S1,SHOP,M1"]);
        town.reads(&["M1,2026-01-01,0", "M1,2026-02-01,90"]);
        town.bill("2026-02-01");
        let reject = || reject_read(&town.context, "M1", "1", day("2026-02-01"), "misread");
        assert!(reject().expect_err("it is billed").to_string().contains("take that bill back first"));
        roll_back_run(&town.context, RunId(1), "misread", |_, _| {}).expect("it is rolled back");
        reject().expect("now it can be set aside");
        assert_eq!(town.reads(&["M1,2026-02-01,90"]).unchanged, 1, "what was set aside does not come back by itself");
        assert_eq!(town.reads(&["M1,2026-02-01,9"]).accepted, 1);
        town.bill("2026-02-01");
        assert_eq!(town.balance("A1"), "38.25");
        town.assert_sound();
    }

    fn a_run_whose_bills_jump_is_held_by_its_gates(town: Town) {
        let services: Vec<String> = (0..60).map(|n| format!("A{n},S{n},SHOP,M{n}")).collect();
        let town = town.with_services(&services.iter().map(String::as_str).collect::<Vec<_>>());
        let reads = |on: &str, reading: u32| -> Vec<String> { (0..60).map(|n| format!("M{n},{on},{reading}")).collect() };
        for (on, reading) in [("2026-01-01", 0), ("2026-02-01", 10), ("2026-03-01", 45)] {
            town.reads(&reads(on, reading).iter().map(String::as_str).collect::<Vec<_>>());
        }
        town.bill("2026-02-01");
        let held = town.try_bill("2026-03-01", true, None).expect_err("the gates hold it");
        let text = held.to_string();
        assert!(text.contains("change of total") && text.contains("share of rising bills"), "{text}");
        assert_eq!(town.balance("A7"), "42.50");
        let options = RunOptions {
            cycle: "all".to_owned(),
            through: day("2026-03-01"),
            dry_run: false,
            approve: true,
            override_gates: Some("a heat wave, looked at".to_owned()),
            progress: &|_, _, _| {},
            fault: None,
        };
        assert_eq!(run_bills(&town.context, &options).expect("a person decided").status, "issued");
        assert_eq!(town.balance("A7"), "191.25");
        town.assert_sound();
    }
}
