//! A calendar over several months, every cent reckoned by hand.

use aquabills::actions::bill_run::roll_back_run;
use aquabills::actions::collections::daily::{Options, run_daily};
use aquabills::actions::collections::late_fees::waive_fee;
use aquabills::actions::held::{Decision, ToDoFilter, decide_some, list_todos};
use aquabills::domain::ids::RunId;

use crate::support::{Town, day, on_both};
use crate::{billed, look, look_daily, mailed, on, pay_on, told, view};

/// The kinds of open work items.
fn waiting(town: &Town) -> Vec<String> {
    let items = list_todos(&town.context, &ToDoFilter::default(), None, 100).unwrap();
    items.into_iter().map(|item| item.kind).collect()
}

on_both! {
    fn a_summer_of_fees_reminders_and_a_payment_that_came_in_time_after_all(town: Town) {
        let town = billed(town, 1);
        // 47.50 is due on 6 July; with five days of grace 11 July is in time.
        assert_eq!(look_daily(&town, "2026-07-06", "2026-07-11").fees, 0);
        let fee = look(&town, "2026-07-12");
        // 5.00 and 1.5 % of 47.50, which is 0.7125.
        assert_eq!((fee.fees, fee.fees_cents), (1, 571));
        assert_eq!(town.balance("A1"), "53.21");
        assert_eq!(look(&town, "2026-07-12").accounts, 0, "once a day");
        assert_eq!(look_daily(&town, "2026-07-13", "2026-07-15").fees, 0, "once for a bill");
        // The first reminder comes ten days after the due date, about the bill and its fee.
        let reminder = look(&town, "2026-07-16");
        assert_eq!((reminder.reminders, view(&town, "A1").dunning[0].steps[0].overdue_cents), (1, 5321));
        // It is sent two days later; fourteen days count from then.
        assert_eq!(look(&town, "2026-07-17").reminders, 0);
        mailed(&town, "2026-07-18");
        assert_eq!(look_daily(&town, "2026-07-18", "2026-07-19").reminders, 0);
        on(&town, "2026-07-20");
        town.reads(&["M1,2026-07-01,125"]);
        town.bill("2026-07-01");
        assert_eq!(town.balance("A1"), "83.21", "30.00 more, due on 10 August");
        assert_eq!(look_daily(&town, "2026-07-20", "2026-07-31").reminders, 0);
        assert_eq!(look(&town, "2026-08-01").reminders, 1);
        assert_eq!(view(&town, "A1").dunning[0].steps[1].overdue_cents, 5321, "the new bill is not due yet");
        // 60.00 cover the bill, the fee, and 6.79 of the next bill.
        on(&town, "2026-08-05");
        pay_on(&town, "A1", "60.00", "2026-08-05", "R-1");
        let open: Vec<(String, i64)> = view(&town, "A1").bills.into_iter().map(|bill| (bill.bill_number, bill.open_cents)).collect();
        assert_eq!(open, [("00002-0000001".to_owned(), 2321)]);
        let after = look(&town, "2026-08-06");
        assert_eq!((after.reminders_ended, view(&town, "A1").dunning[0].row.closed_because.as_deref()), (1, Some("it is paid")));
        // 23.21 are unpaid on 15 August: 5.00 and 0.34815.
        assert_eq!(look_daily(&town, "2026-08-07", "2026-08-15").fees, 0);
        assert_eq!(look(&town, "2026-08-16").fees_cents, 535);
        assert_eq!(town.balance("A1"), "28.56");
        // A payment of 9 August turns up: it was in time, so the fee was wrong.
        on(&town, "2026-08-20");
        pay_on(&town, "A1", "23.21", "2026-08-09", "R-2");
        let back = look(&town, "2026-08-21");
        assert_eq!((back.fees_taken_back, back.fees), (1, 0));
        assert_eq!(town.balance("A1"), "0.00");
        assert_eq!(look_daily(&town, "2026-08-22", "2026-10-31").fees, 0, "what was taken back is not charged again");
        assert_eq!(told(&town, "A1"), ["late_fee", "payment_reminder", "payment_reminder", "late_fee", "adjustment_given"]);
        town.assert_sound();
    }

    fn days_off_neither_double_nor_forget(town: Town) {
        let town = billed(town, 3);
        // The first pays in time, the second late, the third not at all; the program does not run for a month.
        pay_on(&town, "A1", "47.50", "2026-06-15", "R-1");
        on(&town, "2026-07-20");
        pay_on(&town, "A2", "47.50", "2026-07-20", "R-2");
        let report = look(&town, "2026-08-12");
        assert_eq!((report.fees, report.fees_cents, report.reminders), (2, 2 * 571, 1));
        assert_eq!((town.balance("A1"), town.balance("A2"), town.balance("A3")), ("0.00".to_owned(), "5.71".to_owned(), "53.21".to_owned()));
        let again = look_daily(&town, "2026-08-13", "2026-08-20");
        assert_eq!((again.fees, again.reminders), (0, 0));
        assert!(run_daily(&town.context, &Options { on: Some(day("2026-08-19")), ..Options::default() }).is_err(), "not backwards");
        assert!(run_daily(&town.context, &Options { on: Some(day("2026-08-21")), ..Options::default() }).is_err(), "not ahead");
        town.assert_sound();
    }

    fn a_dry_run_keeps_nothing(town: Town) {
        let town = billed(town, 2);
        on(&town, "2026-07-16");
        let before = crate::support::dump(&town).into_iter().filter(|row| !row.starts_with("lease")).collect::<Vec<_>>();
        let report = run_daily(&town.context, &Options { dry_run: true, ..Options::default() }).unwrap();
        assert_eq!((report.fees, report.fees_cents, report.reminders, report.dry_run), (2, 1142, 2, true));
        let after = crate::support::dump(&town).into_iter().filter(|row| !row.starts_with("lease")).collect::<Vec<_>>();
        assert_eq!(before, after);
        let kept = look(&town, "2026-07-16");
        assert_eq!((kept.fees_cents, kept.reminders), (report.fees_cents, report.reminders), "what was counted is what is done");
    }

    fn a_bill_that_is_taken_back_takes_its_fee_with_it(town: Town) {
        let town = billed(town, 1);
        look(&town, "2026-07-12");
        on(&town, "2026-07-13");
        roll_back_run(&town.context, RunId(1), "a wrong rate", |_, _| {}).unwrap();
        assert_eq!(town.balance("A1"), "5.71");
        assert_eq!(look(&town, "2026-07-13").fees_taken_back, 1);
        assert_eq!(town.balance("A1"), "0.00");
        town.assert_sound();
    }

    fn a_part_that_was_paid_in_time_makes_the_fee_smaller(town: Town) {
        let town = billed(town, 1);
        look(&town, "2026-07-12");
        on(&town, "2026-07-14");
        pay_on(&town, "A1", "27.50", "2026-07-10", "R-1");
        let report = look(&town, "2026-07-14");
        // 20.00 were unpaid: 5.00 and 0.30 in place of 5.71.
        assert_eq!((report.fees_taken_back, report.fees, report.fees_cents), (1, 1, 530));
        assert_eq!(town.balance("A1"), "25.30");
        assert_eq!(look_daily(&town, "2026-07-15", "2026-07-15").fees, 0);
        town.assert_sound();
    }

    fn a_fee_is_waived_once_and_not_charged_again(town: Town) {
        let town = billed(town, 1);
        look(&town, "2026-07-12");
        let seq = view(&town, "A1").fees[0].row.account_seq;
        assert!(waive_fee(&town.context, "A1", seq, "W-1", " ").is_err(), "why must be said");
        assert!(waive_fee(&town.context, "A1", seq + 7, "W-1", "goodwill").is_err());
        let posted = waive_fee(&town.context, "A1", seq, "W-1", "goodwill").unwrap().posted().unwrap();
        assert_eq!((posted.balance_after_cents, posted.unchanged), (4750, false));
        assert!(waive_fee(&town.context, "A1", seq, "W-1", "goodwill").unwrap().posted().unwrap().unchanged);
        assert!(waive_fee(&town.context, "A1", seq, "W-2", "again").is_err());
        assert_eq!(look_daily(&town, "2026-07-13", "2026-07-15").fees, 0);
        assert_eq!(view(&town, "A1").bills[0].open_cents, 4750, "the fee is gone, the bill is as open as before");
        town.assert_sound();
    }

    fn where_no_mail_arrives_a_letter_counts_and_the_end_is_a_work_item(town: Town) {
        let town = billed(town, 1);
        crate::sql(&town, "UPDATE person SET email = NULL");
        let first = look(&town, "2026-07-16");
        assert_eq!((first.reminders, first.letters), (1, 1));
        assert_eq!(waiting(&town), ["dunning_letter"]);
        assert_eq!(look_daily(&town, "2026-07-17", "2026-08-20").reminders, 0, "nothing was sent, so nothing follows");
        on(&town, "2026-08-20");
        let letter = list_todos(&town.context, &ToDoFilter::default(), None, 10).unwrap()[0].id;
        decide_some(&town.context, &[letter], Decision::Release, "posted today").unwrap();
        assert_eq!(look_daily(&town, "2026-08-21", "2026-09-02").reminders, 0);
        let second = look(&town, "2026-09-03");
        assert_eq!((second.reminders, second.letters), (1, 1));
        let letter = list_todos(&town.context, &ToDoFilter::default(), None, 10).unwrap()[0].id;
        decide_some(&town.context, &[letter], Decision::Release, "posted today").unwrap();
        assert_eq!(look_daily(&town, "2026-09-04", "2026-09-12").work_items, 0);
        assert_eq!(look(&town, "2026-09-13").work_items, 1);
        assert_eq!((look_daily(&town, "2026-09-14", "2026-09-30").work_items, waiting(&town)), (0, vec!["disconnection".to_owned()]));
        // It is paid: there is nothing to decide any more.
        town.pay("A1", "53.21", "R-1");
        assert_eq!(look(&town, "2026-10-01").reminders_ended, 1);
        assert_eq!(waiting(&town), Vec::<String>::new());
    }

    fn an_address_that_refuses_calls_for_a_letter(town: Town) {
        let town = billed(town, 1);
        look(&town, "2026-07-16");
        crate::sql(&town, "UPDATE notice SET status = 'bounced' WHERE kind = 'payment_reminder'");
        assert_eq!((look(&town, "2026-07-17").letters, look(&town, "2026-07-18").letters), (1, 0));
    }
}
