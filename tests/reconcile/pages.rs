//! The page: what each role sees, and what a supervisor mends with a button.

use aquabills::domain::roles::Role;

use crate::fake_provider::deliver;
use crate::support::http::Served;
use crate::support::on_both;
use crate::support::pages::{follow, open, says};
use crate::{apply, at, look, town, wants_to_pay};

on_both! {
    fn both_rows_stand_beside_each_other_and_a_button_mends(t: Town) {
        let (mut t, books) = town(t, 3);
        for (payment, account, cents) in [("pi_1", "A1", 5000), ("pi_2", "A2", 1234)] {
            wants_to_pay(&t, payment, account, cents);
        }
        deliver(&t.context, &books.pays("pi_1", 5000, "2026-06-13T10:00:00Z"));
        apply(&t);
        at(&t, "2026-06-15T13:00:00Z");
        books.corrects("pi_1", 5000, 4000, "2026-06-13T10:00:00Z", "2026-06-14T10:00:00Z");
        books.pays("pi_2", 1234, "2026-06-14T10:00:00Z");
        let site = Served::new(&mut t);
        let (mut auditor, mut supervisor) = (site.staff(Role::Auditor), site.staff(Role::Supervisor));
        says(&open(&mut auditor, "/staff/reconciliation"), "Nothing was compared yet");
        let page = open(&mut supervisor, "/staff/reconciliation");
        let looked = supervisor.post_form(&page, "/staff/reconciliation", &[("action", "look")]);
        let page = follow(&mut supervisor, &looked);
        for words in ["were compared", "22.34", "Amounts differ", "At the provider, not in the ledger", "pi_2", "txn_000003", "correction", "Nothing in the ledger", "2 differ"] {
            says(&page, words);
        }
        // An auditor sees the same and has no button; nor has a clerk.
        for mut browser in [auditor, site.staff(Role::Clerk)] {
            let seen = open(&mut browser, "/staff/reconciliation");
            says(&seen, "Fetch missing events (a supervisor)");
            assert!(!seen.body.contains("value=\"repair\""));
        }
        let file = supervisor.get("/staff/reconciliation.csv?kind=amounts_differ");
        assert_eq!((file.status, file.header("content-type")), (200, "text/csv; charset=utf-8"));
        let rows: Vec<csv::StringRecord> = csv::Reader::from_reader(file.body.as_bytes()).records().map(|row| row.expect("a row")).collect();
        assert_eq!((rows.len(), &rows[0][3], &rows[0][4], &rows[0][5], &rows[0][7]), (1, "pi_1", "50.00", "40.00", "10.00"));
        says(&open(&mut supervisor, "/staff/reconciliation?day=2026-06-10"), "No difference");
        assert_eq!(supervisor.get("/staff/reconciliation?kind=nonsense").status, 422);

        let mended = supervisor.post_form(&page, "/staff/reconciliation", &[("action", "repair")]);
        let after = follow(&mut supervisor, &mended);
        says(&after, "Missing events were fetched and applied");
        says(&after, "No difference");
        assert_eq!((t.balance("A1"), t.balance("A2")), ("-40.00".to_owned(), "-12.34".to_owned()));
        // The same form again does the same as once.
        let rows = t.ledger_rows();
        let again = supervisor.post_form(&page, "/staff/reconciliation", &[("action", "repair")]);
        says(&follow(&mut supervisor, &again), "nothing waited");
        assert_eq!(t.ledger_rows(), rows);
        // Out of reach: the page says so, and what was found stays.
        books.goes_down_after(Some(0));
        let down = supervisor.post_form(&page, "/staff/reconciliation", &[("action", "look")]);
        assert_eq!(down.status, 200);
        says(&down, "could not be reached");
        assert!(look(&t).differences == 0);
    }
}
