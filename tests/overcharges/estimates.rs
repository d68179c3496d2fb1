//! A read that is put right while an estimate was built on it: the estimate is made anew, the customer gets back what both cost, and the
//! next real read settles to the cent. Beside each account with the mistake lives one whose meter was read rightly from the first.

use aquabills::actions::bill_run::discard_run;
use aquabills::actions::enter_read::confirm_read;
use aquabills::actions::estimate::estimate_missing;
use aquabills::actions::overcharges::mend::{MendReport, Mending, foresee, mend};
use aquabills::actions::rebill::{RebillKind, Wanted, bills_named, rebill};
use aquabills::db::billing::bill_number;
use aquabills::domain::ids::{AccountId, RunId};

use super::*;
use crate::support::{lines, on_both};

/// A read that a member of staff vouches for, however it looks.
fn confirmed(town: &Town, meter: &str, on: &str, units: i64) {
    let read = NewRead { meter: meter.to_owned(), register: "1".to_owned(), read_on: day(on), reading_milli: units * 1000, kind: ReadKind::Actual };
    assert_eq!(confirm_read(&town.context, &read, "as it was written down").expect("the read is taken in"), ReadOutcome::Accepted);
}

fn estimated(town: &Town, on: &str, count: u64) {
    assert_eq!(estimate_missing(&town.context, "all", day(on), false).expect("it is estimated").estimated, count);
}

/// Two homes that use 30 in a month, billed through March. Of the first the March read of 130 was written down as 400.
fn typed_wrongly(town: Town) -> Town {
    let town = town.with_services(&["A1,S1,HOME,M1", "A2,S2,HOME,M2"]).lenient();
    for (on, units) in [("2025-12-15", 40), ("2026-01-15", 70), ("2026-02-15", 100)] {
        town.reads(&[&format!("M1,{on},{units}"), &format!("M2,{on},{units}")]);
    }
    town.bill("2026-02-15");
    confirmed(&town, "M1", "2026-03-15", 400);
    town.reads(&["M2,2026-03-15,130"]);
    town.bill("2026-03-15");
    town
}

/// The same with an April that was estimated and billed.
fn estimated_on_it(town: Town) -> Town {
    let town = typed_wrongly(town);
    estimated(&town, "2026-04-15", 2);
    town.bill("2026-04-15");
    // 360 in 90 days, and 90 in 90 days: 124 and 31 in April's 31.
    assert_eq!(standing(&town, "M1", "2026-04-15"), ["524 estimated"]);
    assert_eq!(standing(&town, "M2", "2026-04-15"), ["161 estimated"]);
    town
}

fn query(town: &Town, sql: &str) -> Vec<String> {
    town.context.database.read(|conn| Ok::<_, diesel::result::Error>(lines(conn, sql))).expect("the query is right")
}

/// What stands as the read of a meter on a day.
fn standing(town: &Town, meter: &str, on: &str) -> Vec<String> {
    query(
        town,
        &format!(
            "SELECT CAST(m.reading_milli / 1000 AS TEXT) || ' ' || m.kind AS line FROM meter_read m JOIN register r ON r.id = m.register_id \
             JOIN meter e ON e.id = r.meter_id WHERE e.serial = '{meter}' AND m.read_on = '{on}' AND m.status = 'accepted'"
        ),
    )
}

/// What the audit trail says of the estimate of a day.
fn written_down(town: &Town, on: &str) -> Vec<String> {
    query(town, &format!("SELECT detail AS line FROM audit_event WHERE action = 'read.estimate' AND subject = 'M1 of {on}' ORDER BY id"))
}

/// The March read is what it should have been.
fn put_right_in_march(town: &Town) {
    set_aside(town, "M1", "2026-03-15");
    corrected(town, "M1", "2026-03-15", 130);
}

fn mended(town: &Town, case: &CaseView) -> MendReport {
    let wanted = Mending { case: case.row.id, override_gates: None, progress: &|_, _, _| {} };
    let foreseen = foresee(&town.context, case.row.id).expect("it can be foreseen");
    let done = mend(&town.context, &wanted, &Stop::default()).expect("it is put right");
    let way = |report: &MendReport| (report.rebilled, report.credited, report.credited_cents, report.by_policy, report.left);
    assert_eq!(way(&foreseen), way(&done));
    done
}

/// Both meters are read again, which settles what was estimated: nobody has paid for anything but water.
fn settled(town: &Town, on: &str, units: i64) {
    for meter in ["M1", "M2"] {
        confirmed(town, meter, on, units);
    }
    town.bill(on);
    assert_eq!(town.balance("A1"), town.balance("A2"));
    town.assert_sound();
}

on_both! {
    fn a_case_gives_back_what_the_read_and_the_estimate_on_it_cost(town: Town) {
        let town = estimated_on_it(town);
        put_right_in_march(&town);
        assert_eq!(standing(&town, "M1", "2026-04-15"), ["161 estimated"]);
        let basis = query(&town, "SELECT basis AS line FROM meter_read WHERE reading_milli = 161000 ORDER BY id");
        assert_eq!(basis, ["from the read of 2026-03-15 on by its average over the last 3 periods, 1 a day"; 2]);
        let trail = written_down(&town, "2026-04-15");
        // Without a read of March first: 60 in the 62 days before.
        assert!(trail[0].starts_with("register 1, 524 made anew as 157, as the read of 2026-03-15 was put right: from the read of 2026-02-15 on"), "{trail:?}");
        assert!(trail[1].starts_with("register 1, 157 made anew as 161"), "{trail:?}");
        swept(&town);
        // 300 units for 30, and 124 for 31: one cause.
        let case = only_case(&town);
        assert_eq!(named(&case), ("read", "read M1 2026-03-15"));
        let expected = [finding("A1", "2026-02-15", "2026-03-15", "-945.00"), finding("A1", "2026-03-15", "2026-04-15", "-325.50")];
        assert_eq!(told(&town, &case), expected);
        let report = mended(&town, &case);
        assert!(report.is_complete() && report.rebilled == 1, "{report:?}");
        assert_eq!((town.balance("A1"), town.balance("A2")), ("403.50".to_owned(), "403.50".to_owned()));
        town.assert_sound();
        settled(&town, "2026-05-15", 200);
    }

    fn bills_made_anew_by_hand_charge_the_new_estimate(town: Town) {
        let town = estimated_on_it(town);
        put_right_in_march(&town);
        let bills = bills_named(&town.context, &[bill_number(RunId(2), AccountId(1))]).expect("the bill is there");
        let wanted = Wanted::new(bills, RebillKind::Rebill, "a typing error", "one");
        assert!(rebill(&town.context, &wanted, &Stop::default()).expect("it is billed anew").is_complete());
        assert_eq!(town.balance("A1"), town.balance("A2"));
        town.assert_sound();
        settled(&town, "2026-05-15", 200);
    }

    fn where_only_the_difference_is_given_the_next_read_gives_the_rest(town: Town) {
        let town = estimated_on_it(town);
        for on in ["2026-05-15", "2026-06-15"] {
            estimated(&town, on, 2);
            town.bill(on);
        }
        put_right_in_march(&town);
        for (on, read) in [("2026-04-15", "161 estimated"), ("2026-05-15", "191 estimated"), ("2026-06-15", "222 estimated")] {
            assert_eq!(standing(&town, "M1", on), [read]);
        }
        swept(&town);
        let case = only_case(&town);
        assert_eq!(named(&case), ("read", "read M1 2026-03-15"));
        // Four bills are too many to be made anew. What the estimates cost, the read that settles them takes off.
        let report = mended(&town, &case);
        assert_eq!((report.rebilled, report.credited, report.credited_cents, report.by_policy), (0, 1, -94_500, 0));
        town.assert_sound();
        town.context.clock.set(day("2026-07-15").and_hms_opt(12, 0, 0).expect("noon").and_utc());
        settled(&town, "2026-07-15", 260);
    }

    fn a_read_that_came_meanwhile_settles_what_nobody_has_mended(town: Town) {
        let town = estimated_on_it(town);
        put_right_in_march(&town);
        for meter in ["M1", "M2"] {
            confirmed(&town, meter, "2026-05-15", 200);
        }
        town.bill("2026-05-15");
        scan(&town);
        // April's share is off May's bill already.
        let case = only_case(&town);
        assert_eq!(told(&town, &case), [finding("A1", "2026-02-15", "2026-03-15", "-945.00")]);
        mended(&town, &case);
        assert_eq!(town.balance("A1"), town.balance("A2"));
        town.assert_sound();
    }

    fn a_day_that_nobody_reads_again_is_settled_too(town: Town) {
        let town = estimated_on_it(town);
        set_aside(&town, "M1", "2026-03-15");
        confirmed(&town, "M1", "2026-05-15", 200);
        town.bill("2026-05-15");
        scan(&town);
        mended(&town, &only_case(&town));
        // 30 units twice, 100.00 each. 100 in the 89 days since: 66.292 in 59, 227.02, and 33.708 in 30, 112.98.
        assert_eq!(town.balance("A1"), "540.00");
        town.assert_sound();
    }

    fn what_a_real_read_has_settled_stays(town: Town) {
        let town = estimated_on_it(town);
        for (meter, units) in [("M1", 700), ("M2", 200)] {
            confirmed(&town, meter, "2026-05-15", units);
        }
        town.bill("2026-05-15");
        put_right_in_march(&town);
        assert_eq!(standing(&town, "M1", "2026-04-15"), ["524 estimated"]);
        assert_eq!(written_down(&town, "2026-04-15"), Vec::<String>::new());
    }

    fn an_estimate_stays_where_nothing_is_left_to_go_by(town: Town) {
        let town = town.with_services(&["A1,S1,HOME,M1"]).lenient();
        town.reads(&["M1,2026-02-15,100", "M1,2026-03-15,140"]);
        town.bill("2026-03-15");
        estimated(&town, "2026-04-15", 1);
        town.bill("2026-04-15");
        assert_eq!(standing(&town, "M1", "2026-04-15"), ["184 estimated"]);
        set_aside(&town, "M1", "2026-03-15");
        assert_eq!(standing(&town, "M1", "2026-04-15"), ["184 estimated"]);
        let why = "184 stays, although the read of 2026-03-15 was put right: there is no period between two real reads to go by";
        assert_eq!(written_down(&town, "2026-04-15"), [why]);
        corrected(&town, "M1", "2026-03-15", 128);
        assert_eq!(standing(&town, "M1", "2026-04-15"), ["159 estimated"]);
        swept(&town);
        mended(&town, &only_case(&town));
        // 28 units, 93.00; 31 units, 103.50.
        assert_eq!(town.balance("A1"), "196.50");
        town.assert_sound();
    }

    fn it_may_be_put_right_more_than_once(town: Town) {
        let town = estimated_on_it(town);
        put_right_in_march(&town);
        let balance = town.balance("A1");
        // It was right after all; and then it was not.
        set_aside(&town, "M1", "2026-03-15");
        corrected(&town, "M1", "2026-03-15", 400);
        assert_eq!(standing(&town, "M1", "2026-04-15"), ["524 estimated"]);
        assert!(scan(&town).is_clean(), "{:#?}", open_cases(&town));
        put_right_in_march(&town);
        assert_eq!(standing(&town, "M1", "2026-04-15"), ["161 estimated"]);
        assert_eq!(town.balance("A1"), balance);
        let before = written_down(&town, "2026-04-15").len();
        // The same once more changes nothing.
        let read = NewRead {
            meter: "M1".to_owned(),
            register: "1".to_owned(),
            read_on: day("2026-03-15"),
            reading_milli: 130_000,
            kind: ReadKind::Actual,
        };
        assert_eq!(correct_read(&town.context, &read, "again").expect("it is there already"), ReadOutcome::Unchanged);
        assert_eq!(written_down(&town, "2026-04-15").len(), before);
        swept(&town);
        mended(&town, &only_case(&town));
        assert_eq!(town.balance("A1"), town.balance("A2"));
        settled(&town, "2026-05-15", 200);
    }

    fn what_is_not_billed_yet_or_only_priced_is_billed_by_the_new_estimate(town: Town) {
        let town = typed_wrongly(town);
        estimated(&town, "2026-04-15", 2);
        let priced = town.try_bill("2026-04-15", false, None).expect("it is priced");
        put_right_in_march(&town);
        assert_eq!(standing(&town, "M1", "2026-04-15"), ["161 estimated"]);
        swept(&town);
        discard_run(&town.context, priced.run_id.expect("a run")).expect("it is discarded");
        // Nothing of April is billed now: the same correction again, and the estimate stays what it is.
        put_right_in_march(&town);
        assert_eq!(standing(&town, "M1", "2026-04-15"), ["161 estimated"]);
        town.bill("2026-04-15");
        scan(&town);
        mended(&town, &only_case(&town));
        assert_eq!(town.balance("A1"), town.balance("A2"));
        settled(&town, "2026-05-15", 200);
    }
}
