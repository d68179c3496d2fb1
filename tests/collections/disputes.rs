//! Questions about bills: asked, answered, asked again once; the clock, and what is told.

use aquabills::actions::account_view::Whose;
use aquabills::actions::adjust::{Adjustment, adjust};
use aquabills::actions::collections::disputes::{Answering, Asking, DisputeView, answer_dispute, list_disputes, open_dispute};
use aquabills::actions::held::{Decision, ToDoFilter, decide_all, decide_some, list_todos};
use aquabills::actions::show_bill::show_bill;
use aquabills::domain::disputes::Answer;
use aquabills::domain::ids::PersonId;

use crate::support::{Town, day, on_both};
use crate::{BILL, billed, look, look_daily, on, told, view};

fn asking(form: &str) -> Asking {
    Asking {
        bill: BILL.to_owned(),
        about: String::new(),
        reason: "usage".to_owned(),
        words: "I was away all May".to_owned(),
        form_key: form.to_owned(),
    }
}

fn ask(town: &Town, form: &str) -> DisputeView {
    open_dispute(&town.context, &asking(form), Whose::Anybody).expect("it is asked")
}

fn declining(words: &str) -> Answering {
    Answering { answer: Answer::Declined, words: words.to_owned(), remedy: None }
}

on_both! {
    fn a_question_stops_the_fee_and_the_answer_gives_time_to_pay(town: Town) {
        let town = billed(town, 1);
        on(&town, "2026-07-01");
        let asked = ask(&town, "F-1");
        assert_eq!((asked.row.due_on, asked.overdue), (day("2026-07-11"), false));
        assert_eq!(ask(&town, "F-1").row.id, asked.row.id, "the same form is one question");
        assert!(open_dispute(&town.context, &asking("F-2"), Whose::Anybody).is_err(), "one at a time");
        assert_eq!(show_bill(&town.context, BILL).unwrap().held, ["disputed"]);
        assert_eq!(look_daily(&town, "2026-07-06", "2026-07-20").fees, 0);
        on(&town, "2026-07-20");
        assert!(list_disputes(&town.context, true, None, 10).unwrap()[0].overdue);
        answer_dispute(&town.context, asked.row.id, &declining("The meter was read twice and is right.")).unwrap();
        answer_dispute(&town.context, asked.row.id, &declining("The meter was read twice and is right.")).unwrap();
        assert!(answer_dispute(&town.context, asked.row.id, &declining("Other words.")).is_err());
        assert_eq!(show_bill(&town.context, BILL).unwrap().held, Vec::<String>::new());
        // Fourteen days to pay what is left.
        assert_eq!(look_daily(&town, "2026-07-21", "2026-08-03").fees, 0);
        assert_eq!(look(&town, "2026-08-04").fees_cents, 571);
        assert_eq!(told(&town, "A1"), ["dispute_opened", "dispute_answered", "late_fee"]);
        town.assert_sound();
    }

    fn who_is_right_gets_a_credit_and_no_fee_on_it(town: Town) {
        let town = billed(town, 1);
        on(&town, "2026-07-01");
        let asked = ask(&town, "F-1");
        let upheld = |remedy: Option<&str>| Answering { answer: Answer::Upheld, words: "You are right.".to_owned(), remedy: remedy.map(str::to_owned) };
        assert!(answer_dispute(&town.context, asked.row.id, &upheld(None)).is_err(), "it must be put right first");
        assert!(answer_dispute(&town.context, asked.row.id, &upheld(Some("C-1"))).is_err(), "there is no such credit");
        assert!(answer_dispute(&town.context, asked.row.id, &upheld(Some(BILL))).is_err(), "the bill was not taken back");
        let credit = Adjustment {
            account: "A1".to_owned(),
            reason_code: "billing-error".to_owned(),
            amount: "-40.00".parse().unwrap(),
            effective_on: day("2026-07-01"),
            reference: "C-1".to_owned(),
            note: "half of May was a neighbour's".to_owned(),
        };
        adjust(&town.context, &credit).unwrap();
        let wrong = Answering { remedy: Some("C-1".to_owned()), ..declining("no") };
        assert!(answer_dispute(&town.context, asked.row.id, &wrong).is_err(), "a bill that stands needs no remedy");
        answer_dispute(&town.context, asked.row.id, &upheld(Some("C-1"))).unwrap();
        // 7.50 are left: less than a fee is charged for.
        assert_eq!(look_daily(&town, "2026-07-02", "2026-08-31").fees, 0);
        assert_eq!(town.balance("A1"), "7.50");
        assert_eq!(view(&town, "A1").disputes[0].row.remedy.as_deref(), Some("C-1"));
    }

    fn it_is_asked_again_once(town: Town) {
        let town = billed(town, 1);
        on(&town, "2026-07-01");
        let first = ask(&town, "F-1");
        answer_dispute(&town.context, first.row.id, &declining("It is right.")).unwrap();
        on(&town, "2026-07-31");
        let second = ask(&town, "F-2");
        assert_eq!(second.row.again_of, Some(first.row.id));
        answer_dispute(&town.context, second.row.id, &declining("It is still right.")).unwrap();
        assert!(open_dispute(&town.context, &asking("F-3"), Whose::Anybody).is_err(), "not a third time");
        assert_eq!(told(&town, "A1"), ["dispute_opened", "dispute_answered", "dispute_opened", "dispute_answered"]);
    }

    fn what_cannot_be_asked_says_why_and_changes_nothing(town: Town) {
        let town = billed(town, 2);
        on(&town, "2026-08-15");
        let before = crate::support::dump(&town);
        let refused = |asking: &Asking| open_dispute(&town.context, asking, Whose::Anybody).unwrap_err().to_string();
        assert!(refused(&asking("F-1")).contains("60 days"), "too late");
        on(&town, "2026-07-01");
        assert!(refused(&Asking { words: " ".to_owned(), ..asking("F-1") }).starts_with("words:"));
        assert!(refused(&Asking { reason: "bad luck".to_owned(), ..asking("F-1") }).starts_with("reason:"));
        assert!(refused(&Asking { about: "S2".to_owned(), ..asking("F-1") }).starts_with("about:"), "S2 is another's");
        assert!(refused(&Asking { bill: "00009-0000001".to_owned(), ..asking("F-1") }).contains("no bill"));
        let other = open_dispute(&town.context, &asking("F-1"), Whose::Person(PersonId(2)));
        assert!(other.unwrap_err().to_string().contains("there is no bill"), "another's bill is as absent as none");
        assert_eq!(before, crate::support::dump(&town));
        open_dispute(&town.context, &Asking { about: "S1".to_owned(), ..asking("F-1") }, Whose::Person(PersonId(1))).unwrap();
    }

    fn the_work_list_shows_what_is_overdue_first_and_only_the_answer_closes_it(town: Town) {
        let town = billed(town, 2);
        on(&town, "2026-07-01");
        let asked = ask(&town, "F-1");
        on(&town, "2026-07-08");
        let rich = "INSERT INTO todo (kind, status, amount_cents, reason, raised_at) VALUES ('bill_limit', 'open', 99999999, 'much', '2026-07-08 10:00:00')";
        crate::sql(&town, rich);
        let kinds = || list_todos(&town.context, &ToDoFilter::default(), None, 10).unwrap().into_iter().map(|item| item.kind).collect::<Vec<_>>();
        assert_eq!(kinds(), ["bill_limit", "dispute"], "the most money first");
        on(&town, "2026-07-12");
        assert_eq!(kinds(), ["dispute", "bill_limit"], "what is overdue first of all");
        let first = list_todos(&town.context, &ToDoFilter::default(), None, 1).unwrap();
        assert!(first[0].overdue);
        let second = list_todos(&town.context, &ToDoFilter::default(), Some(first[0].id), 1).unwrap();
        assert_eq!(second[0].kind, "bill_limit", "pages follow the same order");
        assert!(decide_some(&town.context, &[first[0].id], Decision::Release, "by hand").is_err());
        decide_all(&town.context, None, Decision::Release, "").unwrap();
        assert_eq!(kinds(), ["dispute"]);
        answer_dispute(&town.context, asked.row.id, &declining("It is right.")).unwrap();
        assert_eq!(kinds(), Vec::<String>::new());
    }
}
