//! What clerks see and send: files in the browser, what waits, decisions by form.

use aquabills::domain::roles::Role;

use super::support::http::Served;
use super::support::on_both;
use super::support::pages::{follow, open, send};
use super::{COLUMNS, csv, waiting};

const DAY: &str = "2026-06-10,50.00,,John Miller,DE02,thanks,1\n2026-06-10,100.00,A-1001,Jane Smith,DE01,<b>water</b>,2\n";

on_both! {
    fn a_file_is_taken_in_by_a_form(town: Town) {
        let mut town = crate::town(town);
        let served = Served::new(&mut town);
        let mut clerk = served.staff(Role::Clerk);
        let page = open(&mut clerk, "/staff/bank");
        assert!(page.body.contains("No movement waits") && page.body.contains("No file yet"), "{}", page.body);
        let token = page.csrf("/staff/bank/files");
        let day = format!("{COLUMNS}\n{DAY}");
        let done = clerk.upload("/staff/bank/files", &[("csrf", &token), ("format", ""), ("mapping", "ops")], ("C:\\day <1>.csv", &day));
        assert_eq!(done.status, 200, "{}", done.body);
        for words in ["day &#60;1&#62;.csv", "2 new, 0 known: 1 applied, 1 waiting", "Waiting (1)", "John Miller", "Yes: A-1002"] {
            assert!(done.body.contains(words), "{words}: {}", done.body);
        }
        let again = clerk.upload("/staff/bank/files", &[("csrf", &token), ("mapping", "ops")], ("again.csv", &day));
        assert!(again.body.contains("Everything in it was known") && again.body.contains("0 new, 2 known"), "{}", again.body);
        let refused = clerk.upload("/staff/bank/files", &[("csrf", &token)], ("odd.txt", "hello"));
        assert_eq!(refused.status, 422);
        assert!(refused.body.contains("Nothing was changed") && refused.body.contains("odd.txt: line 1: format"), "{}", refused.body);
        assert_eq!(clerk.upload("/staff/bank/files", &[("csrf", &token)], ("", "")).status, 422, "no file was chosen");
        assert_eq!(clerk.upload("/staff/bank/files", &[("csrf", "x")], ("day.csv", &day)).status, 403, "the token is another's");
        assert_eq!(clerk.upload("/staff/bank/files", &[], ("day.csv", &day)).status, 403);
        let mut elsewhere = clerk.clone();
        elsewhere.origin = Some("https://evil.example".to_owned());
        assert_eq!(elsewhere.upload("/staff/bank/files", &[("csrf", &token)], ("day.csv", &day)).status, 403);
        let page = open(&mut clerk, "/staff/bank");
        assert!(page.body.contains("aquabills bank mapping save NAME FILE"), "{}", page.body);
        let mut auditor = served.staff(Role::Auditor);
        assert!(!open(&mut auditor, "/staff/bank").body.contains("Take a file in"));
        assert_eq!(auditor.upload("/staff/bank/files", &[("csrf", &token)], ("day.csv", &day)).status, 403);
        let file = open(&mut clerk, "/staff/bank/files/1");
        assert!(file.body.contains("&#60;b&#62;") || !file.body.contains("<b>water</b>"), "{}", file.body);
        assert!(open(&mut clerk, "/staff/bank/files/1?status=applied").body.contains("A-1001"));
    }

    fn movements_are_decided_by_forms(town: Town) {
        let mut town = crate::town(town);
        csv(&town, &["2026-06-10,50.00,,John Miller,DE02,thanks,1", "2026-06-10,70.00,,Nobody,DE03,thanks,2"]);
        let (first, second) = (waiting(&town)[0].row.id, waiting(&town)[1].row.id);
        let served = Served::new(&mut town);
        let (mut clerk, mut other) = (served.staff(Role::Clerk), served.staff(Role::Supervisor));
        let page = open(&mut clerk, "/staff/bank");
        let theirs = open(&mut other, "/staff/bank");
        let place = format!("/staff/bank/movements/{first}");
        let accept = |page: &crate::support::http::Answer| {
            let (_, form) = page.body.split_once(&format!("action=\"{place}\"")).expect("a form");
            let (_, seen) = form.split_once("name=\"seen\" value=\"").expect("what was seen");
            seen.split('"').next().expect("an end").to_owned()
        };
        let seen = accept(&page);
        assert_eq!(seen, accept(&theirs));
        let fields = [("decision", "assign"), ("account1", "A-1002"), ("seen", seen.as_str())];
        let done = clerk.post_form(&page, &place, &fields);
        let told = follow(&mut clerk, &done);
        assert!(told.body.contains(&format!("Movement {first} was applied")), "{}", told.body);
        assert_eq!(town.balance("A-1002"), "50.00");
        // The same form once more does nothing; the second clerk, who chose another account, is told.
        assert!(clerk.post_form(&page, &place, &fields).location().contains("unchanged"));
        let late = other.post_form(&theirs, &place, &[("decision", "assign"), ("account1", "A-1003"), ("seen", seen.as_str())]);
        assert_eq!(late.status, 422);
        assert!(late.body.contains("was decided meanwhile by") && late.body.contains("applied to A-1002"), "{}", late.body);
        assert_eq!((town.balance("A-1002"), town.balance("A-1003")), ("50.00".to_owned(), "100.00".to_owned()));
        // The other one: searched, divided, taken back, set aside.
        let place = format!("/staff/bank/movements/{second}");
        let found = open(&mut clerk, &format!("{place}?q=Smith"));
        assert!(found.body.contains("Choose A-1001") && found.body.contains("Choose A-1004"), "{}", found.body);
        let chosen = open(&mut clerk, &format!("{place}?account=A-1001"));
        let seen = crate::support::pages::field(&chosen, "seen");
        let wrong = send(&mut clerk, &chosen, &place, &[("decision", "assign"), ("account1", "A-1001"), ("amount1", "x"), ("seen", &seen)]);
        assert!(wrong.status == 422 && wrong.body.contains("amount: "), "{}", wrong.body);
        let parts = [("account1", "A-1001"), ("amount1", "30.00"), ("account2", "A-1004"), ("amount2", ""), ("seen", seen.as_str()), ("decision", "assign")];
        let done = send(&mut clerk, &chosen, &place, &parts);
        follow(&mut clerk, &done);
        assert_eq!((town.balance("A-1001"), town.balance("A-1004")), ("70.00".to_owned(), "60.00".to_owned()));
        let applied = open(&mut clerk, &place);
        let seen = crate::support::pages::field(&applied, "seen");
        assert_eq!(send(&mut clerk, &applied, &place, &[("decision", "undo"), ("note", ""), ("seen", &seen)]).status, 422);
        let done = send(&mut clerk, &applied, &place, &[("decision", "undo"), ("note", "wrong"), ("seen", &seen)]);
        follow(&mut clerk, &done);
        assert_eq!((town.balance("A-1001"), town.balance("A-1004")), ("100.00".to_owned(), "100.00".to_owned()));
        let again = open(&mut clerk, &place);
        let seen = crate::support::pages::field(&again, "seen");
        let done = send(&mut clerk, &again, &place, &[("decision", "set_aside"), ("note", "a sale"), ("seen", &seen)]);
        assert!(follow(&mut clerk, &done).body.contains("was set aside"));
        town.assert_sound();
    }
}
