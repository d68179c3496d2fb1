//! The pages: a customer asks, a clerk answers; a clerk waives, agrees, relieves.

use aquabills::domain::roles::Role;

use crate::support::http::Served;
use crate::support::on_both;
use crate::{BILL, billed, look, on, view};

on_both! {
    fn a_customer_asks_and_a_clerk_answers(town: Town) {
        let mut town = billed(town, 2);
        on(&town, "2026-07-01");
        let served = Served::new(&mut town);
        let asked_at = format!("/bills/{BILL}/dispute");
        assert_eq!(served.browser().get(&asked_at).status, 303, "a guest cannot");
        let mut other = served.customer("p2@town.example");
        assert_eq!(other.get(&asked_at).status, 404, "another's bill is not there");
        let mut customer = served.customer("p1@town.example");
        assert!(customer.get(&format!("/bills/{BILL}")).body.contains("Question this bill"));
        let page = customer.get(&asked_at);
        let empty = customer.post_form(&page, &asked_at, &[("reason", "usage"), ("about", ""), ("words", " "), ("key", "K-1")]);
        assert_eq!(empty.status, 422);
        assert!(empty.body.contains("expected why, in words"));
        let sent = customer.post_form(&page, &asked_at, &[("reason", "usage"), ("about", "S1"), ("words", "I was away <b>"), ("key", "K-2")]);
        assert_eq!(sent.status, 303, "{}", sent.body);
        let shown = customer.get(&asked_at).body;
        assert!(shown.contains("I was away &#60;b&#62;") && shown.contains("We answer by"), "{shown}");
        assert!(customer.get(&format!("/bills/{BILL}")).body.contains("disputed"));
        let mut clerk = served.staff(Role::Clerk);
        let todos = clerk.get("/staff/todos").body;
        assert!(todos.contains("Question about a bill") && todos.contains("/staff/disputes/1"), "{todos}");
        let page = clerk.get("/staff/disputes/1");
        let refused = clerk.post(
            "/staff/disputes/1",
            &crate::support::http::encoded(&[("csrf", &page.csrf("")), ("answer", "upheld"), ("words", "You are right."), ("remedy", "")]),
        );
        assert_eq!(refused.status, 422);
        let page = clerk.get("/staff/disputes/1");
        let answered = clerk.post(
            "/staff/disputes/1",
            &crate::support::http::encoded(&[("csrf", &page.csrf("")), ("answer", "declined"), ("words", "It was read twice."), ("remedy", "")]),
        );
        assert_eq!(answered.status, 303, "{}", answered.body);
        assert!(customer.get(&asked_at).body.contains("It was read twice."));
        assert_eq!(served.staff(Role::Auditor).get("/staff/disputes/1").status, 200);
    }

    fn a_clerk_works_an_account(town: Town) {
        let mut town = billed(town, 1);
        look(&town, "2026-07-12");
        let served = Served::new(&mut town);
        let mut clerk = served.staff(Role::Clerk);
        let page = clerk.get("/staff/accounts/A1/collections").body;
        assert!(page.contains("47.50 was unpaid") && page.contains("Waive this fee"), "{page}");
        let send = |clerk: &mut crate::support::http::Browser, verb: &str, fields: &[(&str, &str)]| {
            let path = format!("/staff/accounts/A1/collections/{verb}");
            let csrf = clerk.get(&path).csrf("");
            let mut all = vec![("csrf", csrf.as_str())];
            all.extend(fields);
            clerk.post(&path, &crate::support::http::encoded(&all))
        };
        let waived = send(&mut clerk, "waive", &[("subject", "2"), ("reference", "W-1"), ("note", "goodwill")]);
        assert_eq!(waived.status, 303, "{}", waived.body);
        let plan = [("instalments", "3"), ("first", "2026-07-12"), ("months", "1"), ("reference", "I-1"), ("note", "lost the job")];
        assert_eq!(send(&mut clerk, "plan", &plan).status, 303);
        assert_eq!(send(&mut clerk, "plan", &plan).status, 303, "the same form is one plan");
        assert_eq!(view(&town, "A1").plans.len(), 1);
        let mut customer = served.customer("p1@town.example");
        let account = customer.get("/account/A1").body;
        assert!(account.contains("Your pay plan") && account.contains("15.84"), "{account}");
        assert_eq!(send(&mut clerk, "plan-cancel", &[("subject", "I-1"), ("note", "they asked for it")]).status, 303);
        assert_eq!(send(&mut clerk, "write-off", &[("amount", "100.00"), ("reference", "O-1"), ("note", "hopeless")]).status, 422);
        assert_eq!(clerk.get("/staff/accounts/A1/collections/nonsense").status, 404);
    }
}
