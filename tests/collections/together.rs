//! Where two of these meet: a plan and a fee, two debts and one reminder, a relief or a question and another bill, and what goes
//! wrong around them.

use aquabills::actions::Context;
use aquabills::actions::account_view::Whose;
use aquabills::actions::adjust::{Adjustment, adjust};
use aquabills::actions::alarms::{Local, look as watch};
use aquabills::actions::approvals::{Seen, Verdict, decide, list_waiting, show};
use aquabills::actions::autopay::run_due;
use aquabills::actions::autopay::view::autopay_view;
use aquabills::actions::bill_holds::{HoldKind, release_bill};
use aquabills::actions::bill_run::roll_back_run;
use aquabills::actions::collections::Taken;
use aquabills::actions::collections::daily::{Options, run_daily};
use aquabills::actions::collections::deposits::{Taking, apply_deposit, take_deposit, withdraw_deposit};
use aquabills::actions::collections::disputes::{Answering, Asking, answer_dispute, open_dispute};
use aquabills::actions::collections::late_fees::waive_fee;
use aquabills::actions::collections::leak_relief::{Giving, give_relief, preview_relief};
use aquabills::actions::collections::plans::{Agreeing, agree_plan, cancel_plan};
use aquabills::actions::collections::standing::not_yet_due;
use aquabills::actions::collections::write_off::{WritingOff, write_off};
use aquabills::actions::held::{Decision, ToDoFilter, decide_all, list_todos};
use aquabills::actions::payments::return_payment;
use aquabills::actions::policy::{import_policy, store_policy};
use aquabills::actions::rebill::{RebillKind, Wanted, bills_named, rebill};
use aquabills::actions::show_bill::show_bill;
use aquabills::actions::stop::Stop;
use aquabills::domain::alarms::AlarmKind;
use aquabills::domain::disputes::Answer;
use aquabills::domain::ids::{AccountId, ApprovalId, DisputeId, RunId};
use aquabills::domain::ledger::Tender;
use aquabills::domain::money::Money;
use aquabills::domain::roles::Role;

use crate::holds::pending;
use crate::leak::{giving, leak, leaked};
use crate::plans::{agreeing, enrol};
use crate::support::fake_autopay::Fake;
use crate::support::http::add_staff;
use crate::support::{Town, day, lines, on_both};
use crate::{BILL, POLICY, billed, look, look_daily, mailed, on, pay_on, peopled, sql, view};

fn waiting(town: &Town) -> Vec<String> {
    let items = list_todos(&town.context, &ToDoFilter::default(), None, 100).unwrap();
    items.into_iter().map(|item| item.kind).collect()
}

fn query(town: &Town, statement: &str) -> Vec<String> {
    town.context.database.read(|conn| Ok::<_, diesel::result::Error>(lines(conn, statement))).unwrap()
}

fn asking(bill: &str) -> Asking {
    Asking { bill: bill.to_owned(), about: String::new(), reason: "usage".to_owned(), words: "I was away".to_owned(), form_key: "F-1".to_owned() }
}

fn taking(reference: &str, amount: &str) -> Taking {
    Taking {
        account: "A1".to_owned(),
        amount: amount.parse().unwrap(),
        tender: Tender::Cheque,
        reference: reference.to_owned(),
        note: "new customer".to_owned(),
    }
}

fn writing_off(reference: &str) -> WritingOff {
    WritingOff { account: "A1".to_owned(), amount: None, reference: reference.to_owned(), note: "moved away".to_owned() }
}

fn bill_anew(town: &Town, bill: &str) {
    let bills = bills_named(&town.context, &[bill.to_owned()]).unwrap();
    let wanted =
        Wanted { override_gates: Some("a test".to_owned()), ..Wanted::new(bills, RebillKind::Rebill, "looked at again", format!("rebill-{bill}")) };
    let report = rebill(&town.context, &wanted, &Stop::default()).expect("it is billed anew");
    assert!(report.is_complete(), "{report:?}");
}

on_both! {
    fn a_new_bill_that_is_paid_in_time_beside_a_plan_costs_no_fee(town: Town) {
        let town = billed(town, 1);
        agree_plan(&town.context, &agreeing("I-1")).unwrap();
        on(&town, "2026-06-20");
        town.pay("A1", "15.84", "R-1");
        on(&town, "2026-07-02");
        town.reads(&["M1,2026-07-01,125"]);
        town.bill("2026-07-01");
        on(&town, "2026-07-20");
        town.pay("A1", "15.83", "R-2");
        on(&town, "2026-07-23");
        town.pay("A1", "30.00", "R-3");
        assert_eq!(look_daily(&town, "2026-07-24", "2026-08-25").fees, 0, "it was paid on its day, whatever the plan leaves open");
        // The last instalment does not come: the plan is over, and what was paid in time by it stays in time.
        let report = look_daily(&town, "2026-08-26", "2026-09-10");
        assert_eq!((report.plans_broken, report.fees), (1, 0));
        town.assert_sound();
    }

    fn a_later_debt_has_reminders_of_its_own_from_the_first(town: Town) {
        let town = billed(town, 1);
        assert_eq!(look_daily(&town, "2026-07-12", "2026-07-16").reminders, 1);
        on(&town, "2026-07-20");
        town.reads(&["M1,2026-07-01,125"]);
        town.bill("2026-07-01");
        assert_eq!(look_daily(&town, "2026-07-20", "2026-08-18").reminders, 0);
        mailed(&town, "2026-08-18");
        // The second bill has been overdue since 10 August: the second step is about the first one only.
        assert_eq!(look_daily(&town, "2026-08-19", "2026-09-01").reminders, 1);
        assert_eq!(view(&town, "A1").dunning[0].steps[1].overdue_cents, 5_321);
        on(&town, "2026-09-02");
        pay_on(&town, "A1", "53.21", "2026-09-02", "R-1");
        let over = look(&town, "2026-09-03");
        assert_eq!((over.reminders_ended, over.reminders, over.work_items), (1, 0, 0));
        assert_eq!(look(&town, "2026-09-04").reminders, 1);
        let anew = view(&town, "A1").dunning[0].clone();
        assert_eq!((anew.steps.len(), anew.steps[0].name.as_str(), anew.steps[0].overdue_cents), (1, "Reminder", 3_545));
    }

    fn the_days_that_were_told_are_waited_for(town: Town) {
        let town = billed(town, 1);
        look(&town, "2026-07-16");
        mailed(&town, "2026-07-16");
        let shorter = POLICY.replace("notice_days = 14", "notice_days = 1").replace("2025-01-01", "2026-07-17");
        store_policy(&town.context, "shorter.toml", &shorter).unwrap();
        assert_eq!(look_daily(&town, "2026-07-17", "2026-07-29").reminders, 0, "fourteen days were told");
        assert_eq!(look(&town, "2026-07-30").reminders, 1);
    }

    fn what_is_done_outside_is_not_closed_with_everything(town: Town) {
        let town = billed(town, 1);
        sql(&town, "UPDATE person SET email = NULL");
        look(&town, "2026-07-16");
        decide_all(&town.context, None, Decision::Release, "all of it").unwrap();
        assert_eq!(waiting(&town), ["dunning_letter"], "nobody posted it");
        assert_eq!(decide_all(&town.context, Some("dunning_letter"), Decision::Release, "posted").unwrap(), 1);
    }

    fn a_draw_that_was_put_off_costs_no_fee(town: Town) {
        let mut town = peopled(town, 1);
        let fake = Fake::join(&mut town.context);
        enrol(&town, &fake);
        town.bill("2026-06-01");
        // The program did not run on the day of the draw: it is announced for another.
        assert_eq!(look(&town, "2026-07-19").fees, 0, "it is still to be drawn");
        on(&town, "2026-07-20");
        run_due(&town.context, &Stop::default()).unwrap();
        let draw_on = autopay_view(&town.context, "A1", Whose::Anybody).unwrap().draws.remove(0).draw_on;
        assert!(draw_on > day("2026-07-20"), "{draw_on}");
        assert_eq!(look_daily(&town, "2026-07-20", &draw_on.to_string()).fees, 0);
        run_due(&town.context, &Stop::default()).unwrap();
        for made in fake.draws() {
            fake.says(&town.context, &made, "succeeded");
        }
        assert_eq!((look_daily(&town, &draw_on.succ_opt().unwrap().to_string(), "2026-09-01").fees, town.balance("A1")), (0, "0.00".to_owned()));
    }

    fn a_relief_goes_with_its_bill_and_is_given_again_once(town: Town) {
        let town = leaked(town);
        give_relief(&town.context, &giving("L-1")).unwrap();
        assert_eq!(town.balance("A1"), "278.51");
        bill_anew(&town, &leak());
        assert_eq!(town.balance("A1"), "429.50", "what was taken off the charge went with the charge");
        assert!(view(&town, "A1").reliefs[0].row.undone_seq.is_some());
        assert!(waiting(&town).contains(&"leak_relief_gone".to_owned()));
        let again = Giving { bills: vec!["00004-0000001".to_owned()], ..giving("L-2") };
        give_relief(&town.context, &again).unwrap();
        assert_eq!(town.balance("A1"), "278.51");
        let twice = preview_relief(&town.context, "A1", &["00004-0000001".to_owned()]).unwrap_err().to_string();
        assert!(twice.contains("possible from") || twice.contains("relieved already"), "{twice}");
        town.assert_sound();
    }

    fn a_run_that_is_rolled_back_takes_its_reliefs_with_it(town: Town) {
        let town = leaked(town);
        give_relief(&town.context, &giving("L-1")).unwrap();
        roll_back_run(&town.context, RunId(3), "a wrong rate", |_, _| {}).unwrap();
        assert_eq!(town.balance("A1"), "84.50");
        town.assert_sound();
    }

    fn a_deposit_that_is_paid_again_is_paid_and_one_that_is_not_is_withdrawn(town: Town) {
        let town = billed(town, 1);
        take_deposit(&town.context, &taking("D-1", "100.00")).unwrap();
        assert!(withdraw_deposit(&town.context, "A1", "D-1", "a mistake").is_err(), "it is paid");
        on(&town, "2026-06-20");
        return_payment(&town.context, "counter", "D-1", day("2026-06-20"), "the cheque bounced").unwrap();
        pay_on(&town, "A1", "147.50", "2026-06-20", "R-1");
        assert!(view(&town, "A1").deposits[0].is_paid);
        assert_eq!(apply_deposit(&town.context, "A1", "D-1", "asked for").unwrap().balance_after_cents, -10_002);
        assert!(withdraw_deposit(&town.context, "A1", "D-1", "a mistake").is_err(), "it is applied");
        take_deposit(&town.context, &taking("D-2", "200.00")).unwrap();
        on(&town, "2026-06-25");
        return_payment(&town.context, "counter", "D-2", day("2026-06-25"), "the cheque bounced").unwrap();
        assert!(withdraw_deposit(&town.context, "A1", "D-2", "nobody pays it").is_err(), "the credit of the first covers a part of it");
        sql(&town, "UPDATE person SET email = NULL");
        town.assert_sound();
    }

    fn a_deposit_that_nobody_pays_is_withdrawn_once(town: Town) {
        let town = billed(town, 1);
        take_deposit(&town.context, &taking("D-1", "100.00")).unwrap();
        on(&town, "2026-06-20");
        return_payment(&town.context, "counter", "D-1", day("2026-06-20"), "the cheque bounced").unwrap();
        assert_eq!(town.balance("A1"), "147.50");
        assert_eq!(withdraw_deposit(&town.context, "A1", "D-1", "nobody pays it").unwrap().balance_after_cents, 4_750);
        assert!(withdraw_deposit(&town.context, "A1", "D-1", "nobody pays it").unwrap().unchanged);
        assert_eq!(view(&town, "A1").bills[0].open_cents, 4_750);
        town.assert_sound();
    }

    fn interest_is_credited_by_the_policy_and_comes_to_the_same(town: Town) {
        let town = billed(town, 1);
        let often = POLICY.replace("refund_after_months = 12", "refund_after_months = 36\ninterest_every_months = 1").replace("2025-01-01", "2026-06-01");
        store_policy(&town.context, "often.toml", &often).unwrap();
        take_deposit(&town.context, &taking("D-1", "200.00")).unwrap();
        on(&town, "2026-06-20");
        pay_on(&town, "A1", "47.50", "2026-06-20", "R-1");
        assert_eq!(look_daily(&town, "2026-06-20", "2026-07-14").interest_cents, 0);
        // 30 days are 20.55 cents, a year is 2.50.
        assert_eq!(look(&town, "2026-07-15").interest_cents, 21);
        let rest = look_daily(&town, "2026-07-16", "2027-06-15").interest_cents;
        assert_eq!(21 + rest, 250, "twelve roundings do not add up");
        town.assert_sound();
    }

    fn a_question_protects_the_plan_that_its_bill_is_in(town: Town) {
        let town = billed(town, 1);
        agree_plan(&town.context, &agreeing("I-1")).unwrap();
        on(&town, "2026-06-20");
        town.pay("A1", "15.84", "R-1");
        let due_later = |town: &Town| town.context.database.read(|conn| not_yet_due(conn, AccountId(1), day("2026-08-01"))).unwrap();
        assert_eq!(due_later(&town), Money::from_cents(1_583), "the third instalment");
        on(&town, "2026-07-18");
        let id = open_dispute(&town.context, &asking(BILL), Whose::Anybody).unwrap().row.id;
        assert_eq!(due_later(&town), Money::from_cents(3_166), "nothing of it is due nor drawn");
        let report = look_daily(&town, "2026-07-19", "2026-08-10");
        assert_eq!((report.plans_broken, report.fees), (0, 0));
        let declined = Answering { answer: Answer::Declined, words: "It is right.".to_owned(), remedy: None };
        answer_dispute(&town.context, id, &declined).unwrap();
        assert_eq!(look_daily(&town, "2026-08-11", "2026-08-24").plans_broken, 0, "fourteen days after the answer");
        assert_eq!(look(&town, "2026-08-25").plans_broken, 1);
    }

    fn a_question_stops_reminders_at_once(town: Town) {
        let town = billed(town, 1);
        look(&town, "2026-07-16");
        open_dispute(&town.context, &asking(BILL), Whose::Anybody).unwrap();
        assert!(view(&town, "A1").dunning[0].row.closed_at.is_some(), "before anything looks");
        let told = query(&town, "SELECT status AS line FROM notice WHERE kind = 'payment_reminder'");
        assert_eq!(told, ["suppressed"], "what was not sent is not sent");
    }

    fn a_letter_about_a_questioned_bill_is_withdrawn_at_once(town: Town) {
        let town = billed(town, 1);
        sql(&town, "UPDATE person SET email = NULL");
        look(&town, "2026-07-16");
        assert_eq!(waiting(&town), ["dunning_letter"]);
        open_dispute(&town.context, &asking(BILL), Whose::Anybody).unwrap();
        assert_eq!(waiting(&town), ["dispute"]);
    }

    fn a_question_that_is_late_tells_staff_once(town: Town) {
        let mut town = billed(town, 1);
        town.configure(|config| config.mail.staff = vec!["sam@utility.example".to_owned()]);
        on(&town, "2026-07-01");
        let id = open_dispute(&town.context, &asking(BILL), Whose::Anybody).unwrap().row.id;
        let opened = |town: &Town| watch(&town.context, &Local::default()).unwrap().opened.contains(&AlarmKind::Disputes);
        on(&town, "2026-07-11");
        assert!(!opened(&town), "its last day");
        on(&town, "2026-07-12");
        assert_eq!((opened(&town), opened(&town)), (true, false));
        let told = query(&town, "SELECT recipient AS line FROM notice WHERE kind = 'alarm' AND facts LIKE '%disputes%'");
        assert_eq!(told, ["sam@utility.example"]);
        let declined = Answering { answer: Answer::Declined, words: "It is right.".to_owned(), remedy: None };
        answer_dispute(&town.context, id, &declined).unwrap();
        on(&town, "2026-07-13");
        assert_eq!(watch(&town.context, &Local::default()).unwrap().closed, [AlarmKind::Disputes]);
    }

    fn a_question_goes_on_about_the_bill_that_comes_in_its_place(town: Town) {
        let town = billed(town, 1);
        on(&town, "2026-07-01");
        let id = open_dispute(&town.context, &asking(BILL), Whose::Anybody).unwrap().row.id;
        bill_anew(&town, BILL);
        let anew = "00002-0000001";
        assert_eq!(show_bill(&town.context, anew).unwrap().held, ["disputed"]);
        assert!(release_bill(&town.context, anew, HoldKind::Disputed, "by hand").is_err(), "only the answer lets it go");
        assert_eq!(look_daily(&town, "2026-07-02", "2026-08-20").fees, 0);
        on(&town, "2026-08-20");
        let right = Answering { answer: Answer::Upheld, words: "You are right.".to_owned(), remedy: Some(anew.to_owned()) };
        answer_dispute(&town.context, DisputeId(id.0), &right).unwrap();
        assert_eq!(show_bill(&town.context, anew).unwrap().held, Vec::<String>::new());
        assert_eq!(look_daily(&town, "2026-08-21", "2026-09-03").fees, 0, "fourteen days to pay");
        assert_eq!(look(&town, "2026-09-04").fees, 1);
    }

    fn a_fee_is_reviewed_by_the_rules_that_it_was_charged_by(town: Town) {
        let town = billed(town, 1);
        assert_eq!(look(&town, "2026-07-12").fees_cents, 571);
        let path = town.dir.path().join("corrected.toml");
        std::fs::write(&path, POLICY.replace("fee = \"5.00\"", "fee = \"1.00\"")).unwrap();
        assert_eq!(import_policy(&town.context, &path, false, true).unwrap().accepted, 1);
        let report = look(&town, "2026-07-13");
        assert_eq!((report.fees_taken_back, report.fees), (0, 0));
    }

    fn one_account_that_fails_does_not_stop_the_town(town: Town) {
        let town = billed(town, 3);
        // Somebody used the reference of the fee that is to come.
        let taken = Adjustment {
            account: "A2".to_owned(),
            reason_code: "billing-error".to_owned(),
            amount: "-0.01".parse().unwrap(),
            effective_on: day("2026-06-15"),
            reference: "late-fee-00001-0000002-1".to_owned(),
            note: "by hand".to_owned(),
        };
        adjust(&town.context, &taken).unwrap();
        let report = look(&town, "2026-07-12");
        assert_eq!((report.accounts, report.fees, report.failed), (2, 2, 1));
        assert_eq!(waiting(&town), ["collections_failed"]);
        look(&town, "2026-07-13");
        assert_eq!(waiting(&town), ["collections_failed"], "told once");
        town.assert_sound();
    }

    fn a_clock_that_was_ahead_does_not_stop_the_days(town: Town) {
        let town = billed(town, 1);
        look(&town, "2026-07-30");
        assert_eq!(look(&town, "2026-07-12").accounts, 1);
        on(&town, "2026-07-31");
        assert!(run_daily(&town.context, &Options { on: Some(day("2026-07-29")), ..Options::default() }).is_err(), "not backwards");
    }

    fn a_debt_is_not_written_off_while_money_is_there_for_it(town: Town) {
        let town = billed(town, 1);
        look(&town, "2026-07-12");
        let id = pending(&town, AccountId(1), 100);
        assert!(write_off(&town.context, &writing_off("O-1")).unwrap_err().to_string().contains("on its way"));
        sql(&town, &format!("UPDATE provider_payment SET state = 'failed' WHERE id = {id}"));
        take_deposit(&town.context, &taking("D-1", "100.00")).unwrap();
        assert!(write_off(&town.context, &writing_off("O-1")).unwrap_err().to_string().contains("deposit D-1"));
        apply_deposit(&town.context, "A1", "D-1", "first of all").unwrap();
        assert!(write_off(&town.context, &writing_off("O-1")).is_err(), "nothing is owed any more");
    }

    fn money_after_a_write_off_is_told_once(town: Town) {
        let town = billed(town, 1);
        look(&town, "2026-07-12");
        write_off(&town.context, &writing_off("O-1")).unwrap();
        assert_eq!(look(&town, "2026-07-13").work_items, 0);
        on(&town, "2026-08-01");
        pay_on(&town, "A1", "20.00", "2026-08-01", "R-1");
        assert_eq!((look(&town, "2026-08-02").work_items, waiting(&town)), (1, vec!["written_off_paid".to_owned()]));
        decide_all(&town.context, None, Decision::Release, "seen").unwrap();
        assert_eq!((look(&town, "2026-08-03").work_items, waiting(&town)), (0, Vec::<String>::new()));
    }

    fn a_form_cancels_the_plan_that_it_was_made_for(town: Town) {
        let town = billed(town, 1);
        agree_plan(&town.context, &agreeing("I-1")).unwrap();
        cancel_plan(&town.context, "A1", Some("I-1"), "they asked for it").unwrap();
        agree_plan(&town.context, &Agreeing { first_due_on: day("2026-06-25"), ..agreeing("I-2") }).unwrap();
        cancel_plan(&town.context, "A1", Some("I-1"), "they asked for it").unwrap();
        assert_eq!(view(&town, "A1").plan().map(|plan| plan.row.reference.clone()).as_deref(), Some("I-2"), "the new one holds");
        assert!(cancel_plan(&town.context, "A1", Some("I-3"), "they asked for it").is_err());
    }

    fn a_waiver_above_the_bound_waits_for_a_second_person(town: Town) {
        let town = billed(town, 1);
        look(&town, "2026-07-12");
        let strict = POLICY.replace("approval_above = \"400.00\"", "approval_above = \"5.00\"").replace("2025-01-01", "2026-07-01");
        store_policy(&town.context, "strict.toml", &strict).unwrap();
        add_staff(&town.context, "clara@utility.example", Role::Clerk);
        add_staff(&town.context, "sam@utility.example", Role::Supervisor);
        let by = |email: &str| Context { actor: email.to_owned(), ..town.context.clone() };
        let clara = by("clara@utility.example");
        assert!(matches!(waive_fee(&clara, "A1", 2, "W-1", "goodwill").unwrap(), Taken::Waits(_)));
        assert_eq!(town.balance("A1"), "53.21");
        let id = list_waiting(&town.context, ApprovalId(0), 10).unwrap()[0].id;
        let sam = by("sam@utility.example");
        let request = show(&sam, id).unwrap();
        let seen = Seen { sha256: request.sha256.clone(), position: request.position };
        decide(&sam, id, Verdict::Approve, &seen, "once").unwrap();
        assert_eq!(waive_fee(&clara, "A1", 2, "W-1", "goodwill").unwrap().posted().unwrap().balance_after_cents, 4_750);
        town.assert_sound();
    }
}
