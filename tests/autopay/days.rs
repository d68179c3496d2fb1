//! A bill's life with autopay, day by day: told, drawn, posted; and all the ways in which it is not drawn.

use aquabills::actions::account_view::Whose;
use aquabills::actions::autopay::manage::{Change, change_for, change_own};
use aquabills::actions::bill_holds::{HoldKind, hold_bill, release_bill};
use aquabills::actions::bill_run::roll_back_run;
use aquabills::actions::show_bill::show_bill;
use aquabills::domain::autopay::DrawState;
use aquabills::domain::ids::RunId;

use crate::support::fake_autopay::Mood;
use crate::support::{day, on_both};
use crate::{apply, draws, enrol, on, only, peopled, run, told, view, wait};

const BILL: &str = "00001-0000001";

on_both! {
    fn a_bill_is_told_drawn_on_its_day_and_posted(town: Town) {
        let (town, fake) = peopled(town, 2);
        enrol(&town, &fake, "A1", Some("100.00"));
        town.bill("2026-06-01");
        assert_eq!(draws(&town, "A1"), ["announced 47.50"]);
        assert_eq!(draws(&town, "A2"), Vec::<String>::new(), "nobody is drawn from who did not ask for it");
        assert_eq!(told(&town, "A1"), ["autopay_active", "autopay_announced"]);
        let draw = show_bill(&town.context, BILL).unwrap().draw.expect("the bill says so");
        assert!(draw.will_be_drawn());
        assert_eq!((draw.draw_on, draw.method.as_deref()), (day("2026-07-06"), Some("Visa ending 4242")));
        // Day by day, every round of the job: nothing before its day.
        for date in 16..=35 {
            on(&town, &(day("2026-05-31") + chrono::TimeDelta::days(date)).to_string());
            run(&town);
            run(&town);
            assert_eq!(fake.draws().len(), 0, "day {date}");
        }
        on(&town, "2026-07-06");
        run(&town);
        run(&town);
        let made = only(&fake);
        assert_eq!((made.cents, draws(&town, "A1")), (4750, vec!["submitted 47.50".to_owned()]));
        assert_eq!(town.balance("A1"), "47.50", "the ledger waits for the event");
        fake.says(&town.context, &made, "succeeded");
        fake.says(&town.context, &made, "succeeded");
        assert_eq!((town.balance("A1"), draws(&town, "A1")), ("0.00".to_owned(), vec!["succeeded 47.50".to_owned()]));
        for date in 1..=30 {
            on(&town, &(day("2026-07-06") + chrono::TimeDelta::days(date)).to_string());
            run(&town);
        }
        assert_eq!(fake.calls(), 2, "one call to enrol, one to draw");
        assert_eq!(told(&town, "A1"), ["autopay_active", "autopay_announced"]);
        town.assert_sound();
    }

    fn what_is_paid_before_is_taken_off(town: Town) {
        let (town, fake) = peopled(town, 3);
        for account in ["A1", "A2", "A3"] {
            enrol(&town, &fake, account, None);
        }
        town.bill("2026-06-01");
        town.pay("A1", "20.00", "R-1");
        town.pay("A2", "47.50", "R-2");
        town.pay("A3", "60.00", "R-3");
        on(&town, "2026-07-06");
        run(&town);
        assert_eq!(only(&fake).cents, 2750);
        assert_eq!(draws(&town, "A1"), ["submitted 27.50"]);
        assert_eq!((draws(&town, "A2"), draws(&town, "A3")), (vec!["skipped 47.50".to_owned()], vec!["skipped 47.50".to_owned()]));
        assert_eq!(told(&town, "A2"), ["autopay_active", "autopay_announced"], "who has paid is not told to pay");
        fake.says(&town.context, &only(&fake), "succeeded");
        assert_eq!(town.balance("A1"), "0.00");
        town.assert_sound();
    }

    fn two_open_bills_are_drawn_each_once(town: Town) {
        let (mut town, fake) = peopled(town, 1);
        town.configure(|config| config.due_days = 60);
        enrol(&town, &fake, "A1", None);
        town.bill("2026-06-01");
        on(&town, "2026-07-02");
        town.reads(&["M1,2026-07-01,125"]);
        town.bill("2026-07-01");
        assert_eq!(draws(&town, "A1"), ["announced 47.50", "announced 77.50"], "the second bill carries the first one on");
        // Both days have come before the first one's money is there.
        on(&town, "2026-08-31");
        town.configure(|config| config.autopay.latest_days = 60);
        run(&town);
        assert_eq!(fake.draws().iter().map(|made| made.cents).collect::<Vec<_>>(), [4750, 3000]);
        for made in fake.draws() {
            fake.says(&town.context, &made, "succeeded");
        }
        assert_eq!(town.balance("A1"), "0.00");
        town.assert_sound();
    }

    fn a_bill_above_the_limit_is_not_drawn(town: Town) {
        let (town, fake) = peopled(town, 2);
        enrol(&town, &fake, "A1", Some("47.49"));
        enrol(&town, &fake, "A2", Some("47.50"));
        town.bill("2026-06-01");
        assert_eq!((draws(&town, "A1"), draws(&town, "A2")), (vec!["skipped 47.50".to_owned()], vec!["announced 47.50".to_owned()]));
        assert_eq!(told(&town, "A1"), ["autopay_active", "autopay_skipped"]);
        // The limit is lowered in between: it holds on the day.
        change_own(&town.context, "A2", Whose::Anybody, Change::Limit(Some("40.00".parse().unwrap()))).unwrap();
        assert!(!view(&town, "A2").draws[0].will_be_drawn());
        on(&town, "2026-07-06");
        run(&town);
        assert_eq!((fake.draws().len(), draws(&town, "A2")), (0, vec!["skipped 47.50".to_owned()]));
        assert_eq!(told(&town, "A2"), ["autopay_active", "autopay_announced", "autopay_skipped"]);
    }

    fn a_credit_is_not_announced(town: Town) {
        let (town, fake) = peopled(town, 1);
        enrol(&town, &fake, "A1", None);
        town.pay("A1", "50.00", "R-1");
        town.bill("2026-06-01");
        assert_eq!((draws(&town, "A1"), told(&town, "A1")), (vec![], vec!["autopay_active".to_owned()]));
    }

    fn a_held_or_questioned_bill_waits_and_is_announced_anew(town: Town) {
        let (town, fake) = peopled(town, 1);
        enrol(&town, &fake, "A1", None);
        town.bill("2026-06-01");
        hold_bill(&town.context, BILL, HoldKind::Disputed, "the customer doubts the read").unwrap();
        hold_bill(&town.context, BILL, HoldKind::Disputed, "the customer doubts the read").unwrap();
        hold_bill(&town.context, BILL, HoldKind::Held, "a clerk looks").unwrap();
        for date in ["2026-07-06", "2026-07-07", "2026-07-20"] {
            on(&town, date);
            run(&town);
        }
        assert_eq!((fake.draws().len(), draws(&town, "A1")), (0, vec!["announced 47.50".to_owned()]));
        assert_eq!(view(&town, "A1").draws[0].reason.as_deref(), Some("the bill is disputed and held"));
        release_bill(&town.context, BILL, HoldKind::Held, "looked at").unwrap();
        run(&town);
        assert_eq!(fake.draws().len(), 0, "it is still questioned");
        release_bill(&town.context, BILL, HoldKind::Disputed, "settled").unwrap();
        assert!(release_bill(&town.context, BILL, HoldKind::Disputed, "settled").is_err());
        run(&town);
        assert_eq!((fake.draws().len(), view(&town, "A1").draws[0].draw_on), (0, day("2026-07-25")), "the notice's days go by first");
        assert_eq!(told(&town, "A1"), ["autopay_active", "autopay_announced", "autopay_announced"]);
        on(&town, "2026-07-25");
        run(&town);
        assert_eq!(only(&fake).cents, 4750);
    }

    fn a_bill_that_is_taken_back_is_not_drawn(town: Town) {
        let (town, fake) = peopled(town, 1);
        enrol(&town, &fake, "A1", None);
        town.bill("2026-06-01");
        roll_back_run(&town.context, RunId(1), "a wrong rate", |_, _| {}).unwrap();
        assert_eq!(draws(&town, "A1"), ["skipped 47.50"]);
        assert!(hold_bill(&town.context, BILL, HoldKind::Held, "too late").is_err());
        town.bill("2026-06-01");
        assert_eq!(draws(&town, "A1"), ["skipped 47.50", "announced 47.50"], "the rerun's bill is announced like any other");
        on(&town, "2026-07-06");
        run(&town);
        fake.says(&town.context, &only(&fake), "succeeded");
        assert_eq!((town.balance("A1"), told(&town, "A1")), (
            "0.00".to_owned(),
            ["autopay_active", "autopay_announced", "autopay_announced"].map(str::to_owned).to_vec(),
        ), "that nothing is drawn is told with the bill that does not count any more");
        town.assert_sound();
    }

    fn a_mandate_that_ends_or_pauses_in_between_does_not_draw(town: Town) {
        let (town, fake) = peopled(town, 3);
        for account in ["A1", "A2", "A3"] {
            enrol(&town, &fake, account, None);
        }
        town.bill("2026-06-01");
        change_own(&town.context, "A1", Whose::Anybody, Change::End).unwrap();
        change_own(&town.context, "A1", Whose::Anybody, Change::End).unwrap();
        change_for(&town.context, "A2", Change::Pause, "asked on the phone").unwrap();
        change_own(&town.context, "A3", Whose::Anybody, Change::Pause).unwrap();
        change_own(&town.context, "A3", Whose::Anybody, Change::Resume).unwrap();
        assert_eq!(told(&town, "A1"), ["autopay_active", "autopay_announced", "autopay_skipped"]);
        on(&town, "2026-07-06");
        run(&town);
        assert_eq!((draws(&town, "A1"), draws(&town, "A2")), (vec!["skipped 47.50".to_owned()], vec!["skipped 47.50".to_owned()]));
        assert_eq!(told(&town, "A2"), ["autopay_active", "autopay_announced", "autopay_paused", "autopay_skipped"]);
        assert_eq!((draws(&town, "A3"), only(&fake).cents), (vec!["submitted 47.50".to_owned()], 4750));
        assert!(change_for(&town.context, "A2", Change::Resume, "x").is_err(), "only the customer takes it up again");
    }

    fn declined_draws_are_told_and_two_in_a_row_pause(town: Town) {
        let (town, fake) = peopled(town, 1);
        enrol(&town, &fake, "A1", None);
        town.bill("2026-06-01");
        on(&town, "2026-07-06");
        fake.moods(&[Mood::Declines]);
        run(&town);
        run(&town);
        assert_eq!(draws(&town, "A1"), ["failed 47.50"]);
        assert_eq!(told(&town, "A1"), ["autopay_active", "autopay_announced", "autopay_failed"]);
        town.reads(&["M1,2026-07-01,125"]);
        town.bill("2026-07-01");
        on(&town, "2026-07-27");
        // This one is taken by the provider, and the bank says no days later.
        run(&town);
        let made = only(&fake);
        assert_eq!(made.cents, 7750);
        fake.says(&town.context, &made, "failed");
        fake.says(&town.context, &made, "failed");
        let expected = ["autopay_active", "autopay_announced", "autopay_failed", "autopay_announced", "autopay_paused", "autopay_failed"];
        assert_eq!(told(&town, "A1"), expected);
        assert_eq!(view(&town, "A1").mandate.unwrap().state.as_str(), "paused");
        assert_eq!(town.balance("A1"), "77.50");
        town.assert_sound();
    }

    fn a_second_try_when_the_settings_say_so(town: Town) {
        let (mut town, fake) = peopled(town, 1);
        town.configure(|config| config.autopay.tries = 2);
        enrol(&town, &fake, "A1", None);
        town.bill("2026-06-01");
        on(&town, "2026-07-06");
        fake.moods(&[Mood::Declines]);
        run(&town);
        assert_eq!(draws(&town, "A1"), ["failed 47.50", "announced 47.50"]);
        on(&town, "2026-07-08");
        run(&town);
        assert_eq!(fake.draws().len(), 0);
        on(&town, "2026-07-09");
        fake.moods(&[Mood::Declines]);
        run(&town);
        assert_eq!(draws(&town, "A1"), ["failed 47.50", "failed 47.50"], "there is no third");
        assert_eq!(view(&town, "A1").mandate.unwrap().state.as_str(), "paused");
        for date in ["2026-07-12", "2026-07-20"] {
            on(&town, date);
            run(&town);
        }
        assert_eq!(fake.draws().len(), 0);
    }

    fn a_draw_that_goes_back_is_owed_again(town: Town) {
        let (town, fake) = peopled(town, 1);
        enrol(&town, &fake, "A1", None);
        town.bill("2026-06-01");
        on(&town, "2026-07-06");
        run(&town);
        let made = only(&fake);
        fake.says(&town.context, &made, "succeeded");
        fake.says(&town.context, &made, "failed");
        assert_eq!((town.balance("A1"), draws(&town, "A1")), ("47.50".to_owned(), vec!["failed 47.50".to_owned()]));
        town.assert_sound();
    }

    fn a_draw_that_is_far_too_late_is_announced_anew(town: Town) {
        let (town, fake) = peopled(town, 1);
        enrol(&town, &fake, "A1", None);
        town.bill("2026-06-01");
        on(&town, "2026-07-20");
        run(&town);
        assert_eq!((fake.draws().len(), view(&town, "A1").draws[0].draw_on), (0, day("2026-07-25")));
        on(&town, "2026-07-25");
        run(&town);
        assert_eq!(only(&fake).cents, 4750);
    }

    fn an_event_that_waits_holds_the_draw_back(town: Town) {
        let (town, fake) = peopled(town, 1);
        enrol(&town, &fake, "A1", None);
        town.bill("2026-06-01");
        on(&town, "2026-07-06");
        fake.moods(&[Mood::Mute]);
        run(&town);
        assert_eq!(draws(&town, "A1"), ["drawing 47.50"], "nobody knows yet");
        // The event is quicker than the next attempt, and the account's next bill waits for it.
        let made = only(&fake);
        fake.tells(&town.context, &made, "succeeded");
        apply(&town);
        assert_eq!((town.balance("A1"), draws(&town, "A1")), ("0.00".to_owned(), vec!["succeeded 47.50".to_owned()]));
        wait(&town, 3_600);
        run(&town);
        assert_eq!(fake.draws().len(), 1);
        assert_eq!(view(&town, "A1").draws[0].state, DrawState::Succeeded);
        town.assert_sound();
    }
}
