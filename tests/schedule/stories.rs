//! Scheduled runs as stories on a simulated clock.

use std::sync::Barrier;
use std::thread;

use aquabills::actions::bill_run::discard_run;
use aquabills::actions::schedule::{DueOptions, Outcome, forget_old, overview, run_due};
use aquabills::actions::stop::Stop;
use aquabills::config::ScheduleSettings;
use aquabills::db::schedule::{self, ScheduledRow};
use aquabills::db::{Database, billing};
use aquabills::domain::schedule::Timetable;
use chrono::NaiveDateTime;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::support::{Town, day, lines, on_both};

/// A schedule that issues.
pub fn nightly(name: &str, cron: &str) -> ScheduleSettings {
    ScheduleSettings { name: name.to_owned(), cycle: "all".to_owned(), cron: cron.to_owned(), days_back: 0, estimate: false, approve: true }
}

/// A town of two services whose reads come in monthly, billed every night at two.
fn town_with(town: Town, schedules: &[ScheduleSettings]) -> Town {
    let mut town = town.with_services(&["A1,S1,HOME,M1", "A2,S2,SHOP,M2"]);
    town.configure(|config| {
        config.schedule = schedules.to_vec();
        config.gates.total_change_percent = 1_000_000;
        config.gates.average_change_percent = 1_000_000;
        config.gates.risen_share_percent = 100;
    });
    let report = town.reads(&["M1,2026-05-15,100", "M1,2026-06-15,110", "M2,2026-05-15,0", "M2,2026-06-15,10"]);
    assert_eq!((report.accepted, report.refused), (4, 0));
    town
}

fn set_clock(town: &Town, at: &str) {
    town.context.clock.set(moment(at).and_utc());
}

fn moment(at: &str) -> NaiveDateTime {
    NaiveDateTime::parse_from_str(at, "%Y-%m-%d %H:%M").expect("a moment")
}

fn options(retry_now: bool) -> DueOptions<'static> {
    DueOptions { retry_now, stop: Stop::default(), progress: &|_, _, _| {} }
}

/// One tick at a moment: schedule, due, status of each outcome.
fn tick(town: &Town, at: &str) -> Vec<String> {
    set_clock(town, at);
    run_due(&town.context, &options(false)).iter().map(short).collect()
}

fn short(outcome: &Outcome) -> String {
    let due = outcome.due_at.map_or_else(|| "?".to_owned(), |at| at.format("%m-%d %H:%M").to_string());
    format!("{} {due} {}", outcome.schedule, outcome.status)
}

fn rows(town: &Town, name: &str) -> Vec<ScheduledRow> {
    let mut rows = town.context.database.read(|conn| schedule::latest(conn, name, 1000)).expect("the rows are read");
    rows.reverse();
    rows
}

fn runs(town: &Town) -> usize {
    town.context.database.read(|conn| billing::latest_runs(conn, 1000)).expect("the runs are read").len()
}

/// Actions of the audit trail that a schedule took.
fn trail(town: &Town, name: &str) -> Vec<String> {
    let sql = format!("SELECT action AS line FROM audit_event WHERE actor = 'schedule:{name}' AND action LIKE 'schedule.%' ORDER BY id");
    town.context.database.read(|conn| Ok::<_, diesel::result::Error>(lines(conn, &sql))).expect("the trail is read")
}

on_both! {
    fn what_is_due_is_run_once_and_nothing_from_before_it_was_watched(town: Town) {
        let town = town_with(town, &[nightly("night", "0 2 * * *")]);
        assert_eq!(tick(&town, "2026-06-15 12:00"), ["night 06-15 12:00 watching"]);
        assert_eq!(tick(&town, "2026-06-15 12:01"), Vec::<String>::new());
        assert_eq!(tick(&town, "2026-06-16 01:59"), Vec::<String>::new());
        assert_eq!(tick(&town, "2026-06-16 02:00"), ["night 06-16 02:00 done"]);
        assert_eq!(tick(&town, "2026-06-16 02:00"), Vec::<String>::new());
        assert_eq!(tick(&town, "2026-06-16 12:00"), Vec::<String>::new());
        let row = rows(&town, "night").pop().expect("a row");
        assert_eq!((row.through_on, row.missed, row.attempts), (day("2026-06-16"), 0, 1));
        assert_eq!(town.totals().len(), 2);
        assert_eq!(trail(&town, "night"), ["schedule.start", "schedule.done"]);
        town.assert_sound();
    }

    fn off_for_three_days_is_one_catch_up_and_the_same_bills(town: Town) {
        let schedules = [nightly("night", "0 2 * * *")];
        let on = town_with(Town::sqlite(), &schedules);
        let off = town_with(town, &schedules);
        for town in [&on, &off] {
            tick(town, "2026-06-15 12:00");
        }
        for at in ["2026-06-16 02:00", "2026-06-17 02:00", "2026-06-18 02:00", "2026-06-19 02:00"] {
            assert_eq!(tick(&on, at).len(), 1);
        }
        assert_eq!(tick(&off, "2026-06-19 09:30"), ["night 06-19 02:00 done"]);
        assert_eq!(tick(&off, "2026-06-19 09:31"), Vec::<String>::new());
        assert_eq!((runs(&on), runs(&off)), (4, 1));
        assert_eq!(rows(&off, "night").pop().map(|row| row.missed), Some(3));
        assert_eq!(off.totals(), on.totals());
        for account in ["A1", "A2"] {
            assert_eq!(off.balance(account), on.balance(account));
        }
        off.assert_sound();
    }

    fn two_servers_on_one_database_run_it_once(town: Town) {
        let town = town_with(town, &[nightly("night", "0 2 * * *"), nightly("hour", "0 * * * *")]);
        let other = Database::open(&town.url, 16).expect("the database opens");
        let mut second = town.context.clone();
        second.database = other;
        for (at, done) in [("2026-06-15 12:00", 0), ("2026-06-16 02:00", 2), ("2026-06-16 03:00", 3), ("2026-06-19 09:30", 5)] {
            set_clock(&town, at);
            let start = Barrier::new(2);
            let both: Vec<Outcome> = thread::scope(|scope| {
                let servers = [&town.context, &second].map(|context| {
                    let start = &start;
                    scope.spawn(move || {
                        start.wait();
                        run_due(context, &options(true))
                    })
                });
                servers.into_iter().flat_map(|server| server.join().expect("it ends")).collect()
            });
            // Whoever came second to the bill run may have been refused it and is to try again; nothing is run twice.
            assert!(both.iter().all(|outcome| outcome.due_at.is_some()), "{both:?}");
            let after = run_due(&town.context, &options(true));
            assert!(after.iter().all(|outcome| outcome.status == "done"), "{after:?}");
            assert_eq!(runs(&town), done, "{at}: {both:?}");
        }
        for name in ["night", "hour"] {
            let rows = rows(&town, name);
            assert_eq!(rows.iter().filter(|row| row.status == "watching").count(), 1);
            assert!(rows.iter().all(|row| row.status == "watching" || row.status == "done"), "{rows:?}");
        }
        town.assert_sound();
    }

    fn the_clock_set_back_repeats_nothing_and_silences_nothing(town: Town) {
        let town = town_with(town, &[nightly("night", "0 2 * * *")]);
        tick(&town, "2026-06-15 12:00");
        assert_eq!(tick(&town, "2026-06-16 02:00"), ["night 06-16 02:00 done"]);
        assert_eq!(tick(&town, "2026-06-17 02:00"), ["night 06-17 02:00 done"]);
        // A day back: the moment that comes again is known.
        assert_eq!(tick(&town, "2026-06-16 12:00"), ["night 06-16 12:00 watching"]);
        assert_eq!(tick(&town, "2026-06-16 12:01"), Vec::<String>::new());
        assert_eq!(tick(&town, "2026-06-17 02:00"), Vec::<String>::new());
        assert_eq!(tick(&town, "2026-06-18 02:00"), ["night 06-18 02:00 done"]);
        assert_eq!(rows(&town, "night").pop().map(|row| row.missed), Some(0));
        assert_eq!(runs(&town), 3);
    }

    fn the_clock_set_ahead_is_one_catch_up(town: Town) {
        let town = town_with(town, &[nightly("night", "0 2 * * *")]);
        tick(&town, "2026-06-15 12:00");
        assert_eq!(tick(&town, "2026-06-17 12:00"), ["night 06-17 02:00 done"]);
        assert_eq!(tick(&town, "2027-06-17 12:00"), ["night 06-17 02:00 done"]);
        assert_eq!(rows(&town, "night").pop().map(|row| row.missed), Some(364));
        // The year was a mistake: it goes on from where it is put right.
        assert_eq!(tick(&town, "2026-06-17 12:05"), ["night 06-17 12:05 watching"]);
        assert_eq!(tick(&town, "2026-06-18 02:00"), ["night 06-18 02:00 done"]);
        assert_eq!(tick(&town, "2026-06-18 02:01"), Vec::<String>::new());
        assert_eq!(runs(&town), 3);
        town.assert_sound();
    }

    fn on_the_days_when_clocks_are_changed_it_runs_once(town: Town) {
        let mut town = town_with(town, &[nightly("night", "30 2 * * *")]);
        for (zone, spring, autumn) in [
            ("America/Los_Angeles", ("2027-03-14", "03-14 10:00"), ("2027-11-07", "11-07 10:30")),
            ("Europe/Berlin", ("2028-03-26", "03-26 01:00"), ("2028-10-29", "10-29 00:30")),
        ] {
            town.configure(|config| config.time_zone = zone.parse().expect("a zone"));
            for (date, due) in [spring, autumn] {
                tick(&town, &format!("{} 12:00", day(date).pred_opt().expect("a day")));
                let mut ran = Vec::new();
                for minutes in (0..18 * 60).step_by(10) {
                    ran.extend(tick(&town, &(day(date).and_hms_opt(0, 0, 0).expect("a time") + chrono::TimeDelta::minutes(minutes)).format("%Y-%m-%d %H:%M").to_string()));
                }
                assert_eq!(ran, [format!("night {due} done")], "{zone} {date}");
                assert_eq!(rows(&town, "night").pop().map(|row| row.through_on), Some(day(date)));
            }
        }
    }

    fn a_changed_schedule_does_not_run_the_past(town: Town) {
        let mut town = town_with(town, &[nightly("night", "0 2 * * *")]);
        tick(&town, "2026-06-15 12:00");
        tick(&town, "2026-06-16 02:00");
        town.configure(|config| config.schedule[0].cron = "0 9 * * *".to_owned());
        assert_eq!(tick(&town, "2026-06-16 12:00"), ["night 06-16 12:00 watching"]);
        town.configure(|config| config.time_zone = chrono_tz::America::Los_Angeles);
        assert_eq!(tick(&town, "2026-06-16 16:30"), ["night 06-16 16:30 watching"]);
        assert_eq!(tick(&town, "2026-06-17 16:00"), ["night 06-17 16:00 done"]);
        assert_eq!(runs(&town), 2);
    }

    fn two_that_are_due_at_once_both_run_and_one_that_fails_does_not_stop_the_other(town: Town) {
        let nowhere = ScheduleSettings { cycle: "nowhere".to_owned(), ..nightly("broken", "0 2 * * *") };
        let town = town_with(town, &[nowhere, nightly("night", "0 2 * * *"), nightly("also", "0 2 * * *")]);
        assert_eq!(tick(&town, "2026-06-15 12:00").len(), 3);
        assert_eq!(tick(&town, "2026-06-16 02:00"), ["broken 06-16 02:00 failed", "night 06-16 02:00 done", "also 06-16 02:00 done"]);
        let failed = rows(&town, "broken").pop().expect("a row");
        assert_eq!(failed.message, "there is no cycle 'nowhere'");
        // It is tried again after a while, later and later, and given up when the next moment comes.
        assert_eq!(tick(&town, "2026-06-16 03:00"), ["broken 06-16 02:00 failed"]);
        assert_eq!(tick(&town, "2026-06-16 04:00"), ["broken 06-16 02:00 failed"]);
        let failed = rows(&town, "broken").pop().expect("a row");
        assert_eq!(failed.attempts, 3);
        assert!(failed.retry_at.is_some_and(|at| at >= moment("2026-06-16 04:00") && at <= moment("2026-06-16 04:30")), "{failed:?}");
        assert_eq!(tick(&town, "2026-06-17 02:00")[0], "broken 06-17 02:00 failed");
        assert_eq!(rows(&town, "broken").len(), 3);
        assert_eq!(trail(&town, "broken")[..4], ["schedule.start", "schedule.failed", "schedule.retry", "schedule.failed"]);
    }

    fn what_its_gates_hold_is_held_once_and_a_person_decides(town: Town) {
        let mut town = town_with(town, &[nightly("night", "0 2 * * *")]);
        town.configure(|config| (config.gates.total_change_percent, config.gates.fewest_compared) = (1, 1));
        tick(&town, "2026-06-15 12:00");
        assert_eq!(tick(&town, "2026-06-16 02:00"), ["night 06-16 02:00 done"]);
        set_clock(&town, "2026-07-16 01:00");
        assert_eq!(town.reads(&["M1,2026-07-16,150", "M2,2026-07-16,60"]).accepted, 2);
        assert_eq!(tick(&town, "2026-07-16 02:00"), ["night 07-16 02:00 held"]);
        assert_eq!(tick(&town, "2026-07-16 12:00"), Vec::<String>::new());
        assert!(run_due(&town.context, &options(true)).is_empty(), "also when somebody asks");
        let held = rows(&town, "night").pop().expect("a row");
        assert!(held.run_id.is_some() && held.message.contains("is held by its gates: "), "{held:?}");
        // The next night finds it in its way, says so, and goes on as soon as somebody has decided.
        assert_eq!(tick(&town, "2026-07-17 02:00"), ["night 07-17 02:00 failed"]);
        assert!(rows(&town, "night").pop().expect("a row").message.contains("is unfinished (gates_failed)"));
        discard_run(&town.context, held.run_id.expect("a run")).expect("it is discarded");
        town.configure(|config| config.gates.total_change_percent = 1_000_000);
        assert_eq!(tick(&town, "2026-07-17 03:00"), ["night 07-17 02:00 done"]);
        town.assert_sound();
    }

    fn without_approval_it_waits_for_review_and_days_back_count_on_the_local_date(town: Town) {
        let review = ScheduleSettings { approve: false, days_back: 2, ..nightly("night", "0 22 * * *") };
        let mut town = town_with(town, &[review]);
        town.configure(|config| config.time_zone = chrono_tz::America::Los_Angeles);
        tick(&town, "2026-06-15 12:00");
        // 22:00 on the 18th in Los Angeles is the 19th in UTC.
        assert_eq!(tick(&town, "2026-06-19 05:00"), ["night 06-19 05:00 done"]);
        let row = rows(&town, "night").pop().expect("a row");
        assert_eq!((row.through_on, row.missed), (day("2026-06-16"), 3));
        assert!(row.message.contains("waits for review: 2 billed"), "{}", row.message);
        assert_eq!(town.bills().len(), 0);
    }

    fn one_that_was_told_to_stop_is_gone_on_with(town: Town) {
        let mut town = town_with(town, &[nightly("night", "0 2 * * *")]);
        town.configure(|config| (config.runs.chunk_accounts, config.runs.workers) = (1, 1));
        tick(&town, "2026-06-15 12:00");
        set_clock(&town, "2026-06-16 02:00");
        let stop = Stop::default();
        let ask = |step: &str, done: usize, _: usize| {
            if step == "issuing" && done == 1 {
                stop.request();
            }
        };
        let outcomes = run_due(&town.context, &DueOptions { retry_now: false, stop: stop.clone(), progress: &ask });
        assert_eq!(outcomes.iter().map(short).collect::<Vec<_>>(), ["night 06-16 02:00 running"]);
        assert_eq!(town.totals().len(), 1, "one chunk is issued, the other is not");
        assert!(run_due(&town.context, &DueOptions { retry_now: false, stop: stop.clone(), progress: &|_, _, _| {} }).is_empty());
        // Days later: what was begun is ended first, then what is due by now is run.
        assert_eq!(tick(&town, "2026-06-19 09:30"), ["night 06-16 02:00 done", "night 06-19 02:00 done"]);
        assert_eq!(trail(&town, "night")[..4], ["schedule.start", "schedule.interrupted", "schedule.resume", "schedule.done"]);
        assert_eq!(town.totals().len(), 2);
        town.assert_sound();
    }

    fn a_run_that_was_issued_before_its_end_was_recorded_is_not_run_again(town: Town) {
        let town = town_with(town, &[nightly("night", "0 2 * * *")]);
        tick(&town, "2026-06-15 12:00");
        tick(&town, "2026-06-16 02:00");
        let mut row = rows(&town, "night").pop().expect("a row");
        let expected = row.clone();
        // As a kill between the two would have left it.
        town.context.database.write(|conn| {
            diesel::RunQueryDsl::execute(diesel::sql_query("UPDATE scheduled_run SET status = 'running', run_id = NULL, message = '' WHERE status = 'done'"), conn)
                .map_err(aquabills::actions::ActionError::from)
        }).expect("it is written");
        assert_eq!(tick(&town, "2026-06-16 02:01"), ["night 06-16 02:00 done"]);
        row = rows(&town, "night").pop().expect("a row");
        assert_eq!((row.run_id, row.message, row.attempts, runs(&town)), (expected.run_id, expected.message, 2, 1));
    }

    fn what_ended_long_ago_is_forgotten_but_not_the_last(town: Town) {
        let town = town_with(town, &[nightly("night", "0 2 * * *")]);
        tick(&town, "2026-06-15 12:00");
        tick(&town, "2026-06-16 02:00");
        tick(&town, "2026-06-17 02:00");
        set_clock(&town, "2027-12-01 00:00");
        assert_eq!(forget_old(&town.context).expect("it is cleared"), 2);
        assert_eq!(rows(&town, "night").len(), 1);
        assert_eq!(tick(&town, "2027-12-01 00:00"), ["night 11-30 02:00 done"]);
    }

    fn people_see_what_comes_and_what_became_of_the_last(town: Town) {
        let mut town = town_with(town, &[nightly("night", "30 2 * * *")]);
        town.configure(|config| config.time_zone = chrono_tz::America::Los_Angeles);
        tick(&town, "2026-06-15 12:00");
        tick(&town, "2026-06-17 12:00");
        let views = overview(&town.context).expect("the overview is made");
        assert_eq!(views[0].next, ["2026-06-18 02:30 PDT", "2026-06-19 02:30 PDT", "2026-06-20 02:30 PDT"]);
        let last: Vec<(&str, &str, i32)> = views[0].last.iter().map(|one| (one.due_local.as_str(), one.status.as_str(), one.missed)).collect();
        assert_eq!(last, [("2026-06-17 02:30 PDT", "done", 1), ("2026-06-15 05:00 PDT", "watching", 0)]);
    }

    fn whatever_the_clock_does_no_moment_is_run_twice_and_none_that_is_due_is_left(town: Town) {
        let mut town = town_with(town, &[nightly("night", "15 2 * * *")]);
        town.configure(|config| config.time_zone = chrono_tz::Europe::Berlin);
        let timetable = Timetable::parse("15 2 * * *", chrono_tz::Europe::Berlin).expect("a timetable");
        let mut other = town.context.clone();
        other.database = Database::open(&town.url, 4).expect("the database opens");
        let mut rng = StdRng::seed_from_u64(20_260_329);
        let mut now = moment("2026-03-20 12:00");
        for step in 0..150 {
            let minutes = [1, 30, 60, 300, 1440, 1440, 4 * 1440, -30, -600, -3 * 1440, 400 * 1440, -400 * 1440];
            now += chrono::TimeDelta::minutes(minutes[rng.random_range(0..if step % 10 == 0 { 12 } else { 10 })]);
            town.context.clock.set(now.and_utc());
            let server = if rng.random_bool(0.5) { &town.context } else { &other };
            let outcomes = run_due(server, &options(false));
            assert!(outcomes.iter().all(|outcome| !outcome.needs_a_person()), "step {step} at {now}: {outcomes:?}");
            assert!(run_due(&town.context, &options(true)).is_empty(), "step {step} at {now}: what was done is done");
            let rows = rows(&town, "night");
            let latest = timetable.latest(now).expect("a moment");
            let known = rows.iter().any(|row| row.status == "done" && row.due_at == latest);
            assert!(known || rows.last().is_some_and(|row| row.due_at >= latest), "step {step} at {now}: {latest} is left");
            assert_eq!(runs(&town), rows.iter().filter(|row| row.status == "done").count());
            assert!((1..).zip(&rows).all(|(seq, row)| row.seq == seq));
        }
        town.assert_sound();
    }

    fn an_interrupted_moment_is_ended_although_the_schedule_was_changed(town: Town) {
        let mut town = town_with(town, &[nightly("night", "0 2 * * *")]);
        tick(&town, "2026-06-15 12:00");
        set_clock(&town, "2026-06-16 02:00");
        let stop = Stop::default();
        let ask = |_: &str, _: usize, _: usize| stop.request();
        let outcomes = run_due(&town.context, &DueOptions { retry_now: false, stop: stop.clone(), progress: &ask });
        assert_eq!(outcomes[0].status, "running");
        town.configure(|config| config.schedule[0].cron = "0 9 * * *".to_owned());
        assert_eq!(tick(&town, "2026-06-16 12:00"), ["night 06-16 02:00 done", "night 06-16 12:00 watching"]);
        assert_eq!(tick(&town, "2026-06-17 09:00"), ["night 06-17 09:00 done"]);
        town.assert_sound();
    }
}
