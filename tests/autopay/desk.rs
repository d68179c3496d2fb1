//! Autopay, refunds and holds as people reach them: the customer's page, the desk's pages, the command line.

use aquabills::domain::roles::Role;

use crate::support::http::Served;
use crate::support::pages::{field, follow, open, says, send};
use crate::support::{on_both, stderr, stdout};
use crate::{draws, on, peopled, run, view, wait};

on_both! {
    fn a_customer_sets_it_up_and_changes_it(town: Town) {
        let (mut town, fake) = peopled(town, 2);
        let served = Served::new(&mut town);
        let mut ada = served.customer("p1@town.example");
        let page = open(&mut ada, "/account/A1/autopay");
        says(&page, "Let us draw your bills");
        let form = [("limit", "x"), ("form_key", field(&page, "form_key").as_str())].map(|(name, value)| (name, value.to_owned()));
        let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let refused = send(&mut ada, &page, "/account/A1/autopay", &form);
        assert_eq!(refused.status, 422);
        says(&refused, "Nothing was changed");
        let comma = send(&mut ada, &page, "/account/A1/autopay", &[("limit", "1,5"), ("form_key", &field(&page, "form_key"))]);
        says(&comma, "Please use a point for cents: 1.50");
        let key = field(&page, "form_key");
        let begun = send(&mut ada, &page, "/account/A1/autopay", &[("limit", "100"), ("form_key", &key)]);
        let again = send(&mut ada, &page, "/account/A1/autopay", &[("limit", "100"), ("form_key", &key)]);
        assert_eq!(begun.location(), again.location());
        let step = follow(&mut ada, &begun);
        says(&step, "Go on to the payment provider");
        says(&step, "https://pay.example/cs_");
        assert!(!step.body.contains("name=\"limit\""), "no second form beside the step at hand: {}", step.body);
        fake.customers_save("Visa ending 4242");
        let back = follow(&mut ada, &begun);
        says(&back, "Autopay is set up.");
        says(&back, "Visa ending 4242");
        says(&back, "$100.00");
        town.bill("2026-06-01");
        let page = open(&mut ada, "/account/A1/autopay");
        says(&page, "will be drawn");
        says(&open(&mut ada, "/account/A1"), "will be drawn");
        says(&open(&mut ada, "/bills/00001-0000001"), "What is paid before is taken off.");
        let changed = send(&mut ada, &page, "/account/A1/autopay/change", &[("what", "limit"), ("limit", "40")]);
        let page = follow(&mut ada, &changed);
        says(&page, "It is above the limit.");
        let paused = send(&mut ada, &page, "/account/A1/autopay/change", &[("what", "pause")]);
        says(&follow(&mut ada, &paused), "Autopay is paused");
        for (what, status) in [("dance", 422), ("limit", 422)] {
            let answer = send(&mut ada, &page, "/account/A1/autopay/change", &[("what", what), ("limit", "-5")]);
            assert_eq!(answer.status, status, "{what}");
        }
        assert_eq!(send(&mut ada, &page, "/account/A2/autopay/change", &[("what", "end")]).status, 404, "it is another's");
        assert_eq!(ada.get(&begun.location().replace("A1", "A2")).status, 404);
        let ended = send(&mut ada, &page, "/account/A1/autopay/change", &[("what", "end")]);
        says(&follow(&mut ada, &ended), "Autopay has ended.");
        assert_eq!(draws(&town, "A1"), ["skipped 47.50"]);
    }

    fn a_clerk_sees_holds_and_ends(town: Town) {
        let (mut town, fake) = peopled(town, 1);
        crate::enrol(&town, &fake, "A1", Some("100.00"));
        town.bill("2026-06-01");
        let served = Served::new(&mut town);
        let mut clerk = served.staff(Role::Clerk);
        let page = open(&mut clerk, "/staff/accounts/A1/autopay");
        says(&page, "Visa ending 4242");
        says(&page, "will be drawn");
        says(&open(&mut clerk, "/bills/00001-0000001"), "/staff/bills/00001-0000001/hold");
        let hold = open(&mut clerk, "/staff/bills/00001-0000001/hold");
        assert_eq!(send(&mut clerk, &hold, "/staff/bills/00001-0000001/hold", &[("what", "hold"), ("note", "")]).status, 422);
        let held = send(&mut clerk, &hold, "/staff/bills/00001-0000001/hold", &[("what", "dispute"), ("note", "doubts the read")]);
        let hold = follow(&mut clerk, &held);
        says(&hold, "doubts the read");
        says(&open(&mut clerk, "/bills/00001-0000001"), "nothing is drawn for it until that is settled");
        let settled = send(&mut clerk, &hold, "/staff/bills/00001-0000001/hold", &[("what", "settle"), ("note", "the read was right")]);
        says(&follow(&mut clerk, &settled), "let go");
        assert_eq!(send(&mut clerk, &page, "/staff/accounts/A1/autopay", &[("what", "end"), ("note", " ")]).status, 422);
        let ended = send(&mut clerk, &page, "/staff/accounts/A1/autopay", &[("what", "end"), ("note", "asked on the phone")]);
        says(&follow(&mut clerk, &ended), "the customer is told");
        assert!(view(&town, "A1").mandate.is_none());
        assert_eq!(send(&mut clerk, &page, "/account/A1/autopay/change", &[("what", "end")]).status, 403, "staff has a page of its own");
    }

    fn the_command_line_says_the_same(town: Town) {
        let (town, fake) = peopled(town, 1);
        crate::enrol(&town, &fake, "A1", Some("100.00"));
        town.bill("2026-06-01");
        let shown = town.program(&["autopay", "show", "A1"]);
        let text = stdout(&shown);
        assert!(shown.status.success() && text.contains("account A1: active, from Visa ending 4242, at most 100.00 a bill"), "{text}{}", stderr(&shown));
        assert!(text.contains("2026-07-06 00001-0000001 47.50 announced"), "{text}");
        let held = town.program(&["bill-hold", "place", "00001-0000001", "--kind", "disputed", "--note", "doubts"]);
        assert!(held.status.success(), "{}", stderr(&held));
        let held = town.program(&["bill-hold", "show", "00001-0000001", "--json"]);
        assert!(stdout(&held).contains("\"disputed\""), "{}", stdout(&held));
        assert!(town.program(&["bill-hold", "release", "00001-0000001", "--kind", "disputed", "--note", "settled"]).status.success());
        let again = town.program(&["bill-hold", "release", "00001-0000001", "--kind", "disputed", "--note", "settled"]);
        assert_eq!((again.status.code(), stderr(&again).contains("is not disputed")), (Some(1), true), "{}", stderr(&again));
        assert_eq!(town.program(&["bill-hold", "place", "1-1", "--note", "x"]).status.code(), Some(1), "there is no such bill");
        assert!(town.program(&["autopay", "pause", "A1", "--note", "asked"]).status.success());
        assert!(town.program(&["autopay", "end", "A1", "--note", "asked"]).status.success());
        assert_eq!(town.program(&["autopay", "pause", "A1", "--note", "asked"]).status.code(), Some(1), "it is over");
        on(&town, "2026-07-06");
        wait(&town, 1);
        run(&town);
        assert_eq!(fake.draws().len(), 0);
        let done = town.program(&["autopay", "run", "--json"]);
        assert!(stdout(&done).contains("\"drawn\": 0"), "{}{}", stdout(&done), stderr(&done));
    }
}
