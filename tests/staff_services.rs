//! The life of an account by the staff's pages, over real HTTP and on both databases: who comes and goes, on what terms,
//! by which meter, and what becomes of the balance at the end.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on must fail loudly")]

mod support;

use aquabills::domain::roles::Role;
use support::http::{Answer, Browser, Served};
use support::pages::{field, follow, open, says, send};
use support::{Town, on_both};

/// Sends it and follows the redirect that says that all went well.
#[track_caller]
fn done(browser: &mut Browser, page: &Answer, path: &str, fields: &[(&str, &str)]) -> Answer {
    let answer = send(browser, page, path, fields);
    follow(browser, &answer)
}

/// Sends it and is refused, with the words at the field.
#[track_caller]
fn refused(browser: &mut Browser, page: &Answer, path: &str, fields: &[(&str, &str)], at: &str, words: &str) {
    let answer = send(browser, page, path, fields);
    assert_eq!(answer.status, 422, "{}", answer.body);
    says(&answer, words);
    if at.is_empty() {
        says(&answer, "Nothing was changed");
    } else {
        says(&answer, &format!("id=\"{at}-error\""));
    }
}

#[track_caller]
fn says_not(page: &Answer, words: &str) {
    assert!(!page.body.contains(words), "'{words}' is on the page: {}", page.body);
}

/// Two customers at two premises, billed through 1 May 2026; the clock stands at 15 June.
fn billed(town: Town) -> Town {
    town.tariff(support::TARIFF).expect("the tariff is accepted");
    let header = "customer_id,service_id,rate_class,meter_id,register_digits,name,address,email,cycle";
    let rows = [
        "A-1,S-1,HOME,M-1,4,Ada Byron,\"12 Mill Lane, Story Town\",ada@example.org,north",
        "O-1,S-9,HOME,M-9,4,Olga Owner,\"1 Hill Road, Story Town\",olga@example.org,south",
    ];
    let report = town.services(&format!("{header}\n{}\n", rows.join("\n"))).expect("the services are read");
    assert_eq!(report.refused, 0, "{report:?}");
    town.reads(&["M-1,2026-04-01,100", "M-1,2026-05-01,105"]);
    town.bill("2026-05-01");
    town
}

fn moving_out(reading: &'static str, on: &'static str) -> Vec<(&'static str, &'static str)> {
    vec![("account", "A-1"), ("on", on), ("reading-M_2d1-1", reading), ("mailing_address", "1 New Street"), ("note", "moves away")]
}

fn moving_in(account: &'static str, name: &'static str, reading: &'static str) -> Vec<(&'static str, &'static str)> {
    vec![("account", account), ("name", name), ("email", ""), ("on", "2026-05-11"), ("reading-M_2d1-1", reading), ("note", "")]
}

on_both! {
    fn a_tenant_leaves_gets_a_final_bill_and_the_credit(town: Town) {
        let mut town = billed(town);
        town.pay("A-1", "50.00", "R-1");
        let site = Served::new(&mut town);
        let mut clerk = site.staff(Role::Clerk);
        says(&open(&mut clerk, "/staff/accounts/A-1"), "/staff/services/S-1\"");
        says(&open(&mut clerk, "/staff/accounts/A-1/services"), "/staff/services/S-1/move-out\"");
        let path = "/staff/services/S-1/move-out";
        let form = open(&mut clerk, path);
        says(&form, "Account A-1 (Ada Byron) leaves 12 Mill Lane");
        refused(&mut clerk, &form, path, &moving_out("107", "2026-07-01"), "on", "is in the future");
        refused(&mut clerk, &form, path, &moving_out("107", "2026-04-20"), "", "is billed through 2026-05-01");
        refused(&mut clerk, &form, path, &moving_out("", "2026-05-11"), "reading-M_2d1-1", "could not be read");
        refused(&mut clerk, &form, path, &moving_out("1x7", "2026-05-11"), "reading-M_2d1-1", "1x7");
        refused(&mut clerk, &form, path, &moving_out("123456", "2026-05-11"), "reading-M_2d1-1", "value=\"123456\"");
        let page = done(&mut clerk, &form, path, &moving_out("107", "2026-05-11"));
        says(&page, "The move out is entered");
        says(&page, "/staff/accounts/A-1/final-bill");
        says(&done(&mut clerk, &form, path, &moving_out("107", "2026-05-11")), "It had happened already");
        says(&open(&mut clerk, path), "nobody can move out");
        says(&open(&mut clerk, "/staff/accounts/A-1"), "1 New Street");

        let path = "/staff/accounts/A-1/final-bill";
        let form = open(&mut clerk, path);
        assert_eq!(field(&form, "through"), "2026-05-11", "up to the day of the move");
        // 2 units: 14.00; 50.00 paid on 20.00
        for words in ["$14.00", "\u{2212}$30.00", "\u{2212}$16.00"] {
            says(&form, words);
        }
        assert_eq!(town.balance("A-1"), "-30.00", "looking makes no bill");
        let future = send(&mut clerk, &form, path, &[("through", "2026-07-01")]);
        assert_eq!(future.status, 422);
        says(&future, "in the future");
        says(&done(&mut clerk, &form, path, &[("through", "2026-05-11")]), "Bill of $14.00 is posted. The balance is now \u{2212}$16.00");
        says(&done(&mut clerk, &form, path, &[("through", "2026-05-11")]), "it had happened already");
        assert_eq!(town.balance("A-1"), "-16.00");
        says(&open(&mut clerk, path), "Nothing is left to bill");

        let list = open(&mut clerk, "/staff/todos");
        says(&list, "Credit after a move out");
        says(&list, "/staff/accounts/A-1/refund");
        let path = "/staff/accounts/A-1/refund";
        let form = open(&mut clerk, path);
        let reference = field(&form, "reference");
        assert_eq!(field(&form, "amount"), "16.00");
        let with = |amount: &'static str, note: &'static str| [("amount", amount), ("note", note), ("reference", reference.as_str())];
        refused(&mut clerk, &form, path, &with("16.01", "moved"), "amount", "16.00");
        refused(&mut clerk, &form, path, &with("0", "moved"), "amount", "more than 0");
        refused(&mut clerk, &form, path, &with("16.00", ""), "note", "fill this in");
        says(&done(&mut clerk, &form, path, &with("16.00", "cheque 12")), "Charge of $16.00 is posted. The balance is now $0.00.");
        says(&done(&mut clerk, &form, path, &with("16.00", "cheque 12")), "Nothing was posted twice");
        assert_eq!(town.balance("A-1"), "0.00");
        says_not(&open(&mut clerk, "/staff/todos"), "Credit after a move out");
        town.assert_sound();
    }

    fn the_owner_has_it_until_the_next_tenant_comes(town: Town) {
        let mut town = billed(town);
        let site = Served::new(&mut town);
        let mut clerk = site.staff(Role::Clerk);
        let path = "/staff/services/S-1/owner";
        let form = open(&mut clerk, path);
        refused(&mut clerk, &form, path, &[("owner", "X-1")], "owner", "there is no account");
        says(&done(&mut clerk, &form, path, &[("owner", "O-1")]), "Olga Owner, O-1</a> takes it over");
        says(&done(&mut clerk, &form, path, &[("owner", "O-1")]), "It had happened already");
        let path = "/staff/services/S-1/move-in";
        let early = open(&mut clerk, path);
        says(&early, "it moves out first");
        let form = open(&mut clerk, "/staff/services/S-1/move-out");
        says(&form, "goes on for its owner, account O-1");
        let csrf_of = form.clone();
        refused(&mut clerk, &csrf_of, path, &moving_in("B-1", "Bob New", "107"), "", "it moves out first");
        done(&mut clerk, &form, "/staff/services/S-1/move-out", &moving_out("106", "2026-05-06"));
        let page = open(&mut clerk, "/staff/services/S-1");
        says(&page, "Olga Owner, O-1");
        says(&open(&mut clerk, "/staff/services/S-1/move-out"), "The account keeps S-9");
        let form = open(&mut clerk, path);
        refused(&mut clerk, &form, path, &moving_in("B-1", "", "107"), "name", "is new");
        refused(&mut clerk, &form, path, &moving_in("A-1", "Bob New", "107"), "account", "Ada Byron");
        refused(&mut clerk, &form, path, &moving_in("B-1", "Bob New", ""), "reading-M_2d1-1", "could not be read");
        let page = done(&mut clerk, &form, path, &moving_in("B-1", "Bob New", "108"));
        says(&page, "The move in is entered.");
        says(&page, "Bob New, B-1");
        says(&done(&mut clerk, &form, path, &moving_in("B-1", "Bob New", "108")), "It had happened already");
        town.reads(&["M-1,2026-06-01,118"]);
        town.bill("2026-06-01");
        // 20.00 and 1 unit, 12.00; the owner 2 units: 14.00; the tenant 10 units: 30.00
        assert_eq!((town.balance("A-1"), town.balance("O-1"), town.balance("B-1")), ("32.00".into(), "14.00".into(), "30.00".into()));
        says(&done(&mut clerk, &form, "/staff/services/S-1/owner", &[("owner", "")]), "nobody takes it over");
        town.assert_sound();
    }

    fn terms_change_from_a_day_on(town: Town) {
        let mut town = billed(town);
        let site = Served::new(&mut town);
        let mut clerk = site.staff(Role::Clerk);
        let path = "/staff/services/S-1/terms";
        let form = open(&mut clerk, path);
        let with = |on: &'static str, class: &'static str, attributes: &'static str, note: &'static str| {
            vec![("effective_on", on), ("rate_class", class), ("attributes", attributes), ("note", note), ("class_before", "HOME"), ("attributes_before", "")]
        };
        refused(&mut clerk, &form, path, &with("2026-04-20", "SHOP", "", "a shop now"), "effective_on", "is billed through");
        refused(&mut clerk, &form, path, &with("2026-05-11", "PALACE", "", "grand"), "", "PALACE");
        refused(&mut clerk, &form, path, &with("2026-05-11", "SHOP", "floors", "a shop now"), "attributes", "NAME=VALUE");
        refused(&mut clerk, &form, path, &with("2026-05-11", "SHOP", "", ""), "note", "fill this in");
        let page = done(&mut clerk, &form, path, &with("2026-05-11", "SHOP", "floors=2", "a shop now"));
        says(&page, "The new terms are entered.");
        for words in ["SHOP", "floors 2", "a shop now", "clerk@utility.example"] {
            says(&page, words);
        }
        says(&done(&mut clerk, &form, path, &with("2026-05-11", "SHOP", "floors=2", "a shop now")), "It had happened already");
        town.reads(&["M-1,2026-05-31,117"]);
        town.bill("2026-05-31");
        // 12 units in 30 days: 10 of them at 10 + 20 + 7 = 37.00, 20 at 12 x 4.25 = 51.00: 12.33 + 34.00
        assert_eq!(town.balance("A-1"), "66.33");
        // Another clerk's old page changes the class back, and leaves alone what it did not touch.
        let old = vec![("effective_on", "2026-06-01"), ("rate_class", "HOME"), ("attributes", ""), ("note", "a home again"),
            ("class_before", "SHOP"), ("attributes_before", "")];
        says(&done(&mut clerk, &form, path, &old), "a home again");
        let now = open(&mut clerk, path);
        says(&now, "floors=2");
        let mut auditor = site.staff(Role::Auditor);
        says(&open(&mut auditor, "/staff/services/S-1"), "service.terms");
        says(&open(&mut auditor, "/staff/accounts/A-1/trail"), "service.terms");
        town.assert_sound();
    }

    fn a_meter_is_exchanged_once(town: Town) {
        let mut town = billed(town);
        let site = Served::new(&mut town);
        let mut clerk = site.staff(Role::Clerk);
        let path = "/staff/services/S-1/exchange";
        let form = open(&mut clerk, path);
        assert_eq!((field(&form, "old_meter_id"), field(&form, "register_digits")), ("M-1".to_owned(), "4".to_owned()));
        let with = |on: &'static str, last: &'static str, new: &'static str, digits: &'static str| {
            vec![("exchanged_on", on), ("old_meter_id", "M-1"), ("final_reading", last), ("new_meter_id", new), ("initial_reading", "3"),
                ("register_digits", digits), ("multiplier", "1")]
        };
        refused(&mut clerk, &form, path, &with("2026-07-01", "108", "N-1", "5"), "exchanged_on", "is in the future");
        refused(&mut clerk, &form, path, &with("2026-04-20", "108", "N-1", "5"), "exchanged_on", "was read on 2026-05-01");
        refused(&mut clerk, &form, path, &with("2026-05-11", "108", "M-9", "5"), "new_meter_id", "is known already");
        refused(&mut clerk, &form, path, &with("2026-05-11", "123456", "N-1", "5"), "final_reading", "123456");
        refused(&mut clerk, &form, path, &with("2026-05-11", "108", "N-1", "13"), "register_digits", "1 to 12");
        refused(&mut clerk, &form, path, &with("2026-05-11", "108", "", "5"), "new_meter_id", "fill this in");
        let page = done(&mut clerk, &form, path, &with("2026-05-11", "108", "N-1", "5"));
        says(&page, "The meters are exchanged.");
        says(&page, "N-1");
        says(&done(&mut clerk, &form, path, &with("2026-05-11", "108", "N-1", "5")), "It had happened already");
        refused(&mut clerk, &form, path, &with("2026-05-11", "109", "N-1", "5"), "final_reading", "there already with 108");
        // 3 units by the old meter, 4 by the new: 10 + 14
        town.reads(&["N-1,2026-06-01,7"]);
        town.bill("2026-06-01");
        assert_eq!(town.balance("A-1"), "44.00");
        town.assert_sound();
    }

    fn a_meter_is_exchanged_at_the_command_line_too(town: Town) {
        let town = billed(town);
        let run = |last: &str, on: &str| {
            let args = ["service", "exchange", "S-1", "--on", on, "--old", "M-1", "--final", last, "--new", "N-1", "--digits", "5"];
            let output = town.command(&args).output().expect("the program runs");
            let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
            (output.status.code(), said)
        };
        let (status, said) = run("108", "2026-04-20");
        assert_eq!(status, Some(1), "{said}");
        assert!(said.contains("exchanged_on: meter 'M-1' was read on 2026-05-01"), "{said}");
        let (status, said) = run("108", "2026-05-11");
        assert_eq!((status, said.trim()), (Some(0), "service S-1 is measured by meter N-1 now"));
        let (status, said) = run("108", "2026-05-11");
        assert_eq!((status, said.trim()), (Some(0), "it had happened already; nothing changed"));
    }

    fn a_final_bill_that_a_gate_holds_waits_for_a_supervisor(town: Town) {
        let mut town = billed(town);
        town.configure(|config| config.gates.fewest_compared = 1);
        let site = Served::new(&mut town);
        let mut clerk = site.staff(Role::Clerk);
        let form = open(&mut clerk, "/staff/services/S-1/move-out");
        done(&mut clerk, &form, "/staff/services/S-1/move-out", &moving_out("145", "2026-06-01"));
        let path = "/staff/accounts/A-1/final-bill";
        let form = open(&mut clerk, path);
        says(&form, "A gate would hold it");
        let page = done(&mut clerk, &form, path, &[("through", "2026-06-01")]);
        says(&page, "held by its gates");
        says(&page, "It waits for a supervisor");
        says(&done(&mut clerk, &form, path, &[("through", "2026-06-01")]), "It waits for a supervisor");
        says(&open(&mut clerk, path), "is made already and waits");
        assert_eq!(town.balance("A-1"), "20.00", "nothing is posted before somebody looked into it");
        town.assert_sound();
    }

    fn a_final_bill_without_its_read_says_why_it_is_held(town: Town) {
        let mut town = billed(town);
        town.reads(&["M-1,2026-05-10,107", "M-1,2026-05-20,109"]);
        let site = Served::new(&mut town);
        let mut clerk = site.staff(Role::Clerk);
        let form = open(&mut clerk, "/staff/services/S-1/move-out");
        says(&done(&mut clerk, &form, "/staff/services/S-1/move-out", &moving_out("4000", "2026-06-01")), "waits for a decision");
        let path = "/staff/accounts/A-1/final-bill";
        let form = open(&mut clerk, path);
        says(&form, "Held:");
        assert_eq!(town.balance("A-1"), "20.00");
    }

    fn a_refused_move_leaves_no_reading_behind(town: Town) {
        let mut town = billed(town);
        let site = Served::new(&mut town);
        let mut clerk = site.staff(Role::Clerk);
        let form = open(&mut clerk, "/staff/services/S-1/move-out");
        done(&mut clerk, &form, "/staff/services/S-1/move-out", &moving_out("106", "2026-05-06"));
        let form = open(&mut clerk, "/staff/services/S-1/move-in");
        refused(&mut clerk, &form, "/staff/services/S-1/move-in", &moving_in("B-1", "", "4567"), "name", "is new");
        says_not(&open(&mut clerk, "/staff/services/S-1"), "4,567");
    }

    fn a_doubtful_last_reading_is_held_and_said(town: Town) {
        let mut town = billed(town);
        town.reads(&["M-1,2026-05-15,107", "M-1,2026-06-01,110"]);
        let site = Served::new(&mut town);
        let mut clerk = site.staff(Role::Clerk);
        let path = "/staff/services/S-1/exchange";
        let form = open(&mut clerk, path);
        let fields = [("exchanged_on", "2026-06-10"), ("old_meter_id", "M-1"), ("final_reading", "4000"), ("new_meter_id", "N-1"),
            ("initial_reading", "0"), ("register_digits", "4"), ("multiplier", "1")];
        says(&done(&mut clerk, &form, path, &fields), "waits for a decision");
        says(&open(&mut clerk, "/staff/todos"), "Doubtful read");
    }

    fn a_balance_is_carried_after_both_were_shown(town: Town) {
        let mut town = billed(town);
        let site = Served::new(&mut town);
        let mut clerk = site.staff(Role::Clerk);
        let path = "/staff/accounts/A-1/transfer";
        let form = open(&mut clerk, path);
        let reference = field(&form, "reference");
        let with = |to: &'static str| vec![("to", to), ("note", "moved along"), ("reference", reference.as_str())];
        refused(&mut clerk, &form, path, &with("A-1"), "to", "account A-1 itself");
        refused(&mut clerk, &form, path, &with("X-1"), "to", "there is no account");
        let preview = send(&mut clerk, &form, path, &with("O-1"));
        assert_eq!(preview.status, 200);
        for words in ["What will happen", "Olga Owner", "$20.00", "$0.00"] {
            says(&preview, words);
        }
        assert_eq!((town.balance("A-1"), town.balance("O-1")), ("20.00".into(), "0.00".into()));
        let shown = field(&preview, "shown");
        let confirmed: Vec<_> = with("O-1").into_iter().chain([("shown", shown.as_str())]).collect();
        town.pay("A-1", "5.00", "R-1");
        refused(&mut clerk, &preview, path, &confirmed, "", "was 20.00 when it was shown and is 15.00 now");
        let preview = send(&mut clerk, &form, path, &with("O-1"));
        let shown = field(&preview, "shown");
        let confirmed: Vec<_> = with("O-1").into_iter().chain([("shown", shown.as_str())]).collect();
        says(&done(&mut clerk, &preview, path, &confirmed), "of $15.00 is posted. The balance is now $0.00");
        says(&done(&mut clerk, &preview, path, &confirmed), "Nothing was posted twice");
        assert_eq!((town.balance("A-1"), town.balance("O-1")), ("0.00".into(), "15.00".into()));
        refused(&mut clerk, &form, path, &with("O-1"), "", "nothing to carry");
        town.assert_sound();
    }

    fn what_only_wants_a_look_is_closed_with_a_note(town: Town) {
        let mut town = billed(town);
        let site = Served::new(&mut town);
        let mut clerk = site.staff(Role::Clerk);
        let form = open(&mut clerk, "/staff/services/S-1/move-out");
        done(&mut clerk, &form, "/staff/services/S-1/move-out", &moving_out("106", "2026-05-06"));
        let form = open(&mut clerk, "/staff/services/S-1/move-in");
        done(&mut clerk, &form, "/staff/services/S-1/move-in", &moving_in("B-1", "Bob New", "120"));
        let list = open(&mut clerk, "/staff/todos?kind=vacant_use");
        for words in ["Use while nobody was served", "/staff/services/S-1\"", "Dealt with: close"] {
            says(&list, words);
        }
        says_not(&list, "value=\"release\"");
        let item = field(&list, "item");
        let path = "/staff/todos?kind=vacant_use";
        refused(&mut clerk, &list, path, &[("item", &item), ("decision", "close"), ("note", " ")], "", "note: it is empty");
        refused(&mut clerk, &list, path, &[("item", &item), ("decision", "release"), ("note", "x")], "", "close it");
        refused(&mut clerk, &list, path, &[("item", &item), ("decision", "reject"), ("note", "x")], "", "nothing to reject");
        says(&done(&mut clerk, &list, path, &[("item", &item), ("decision", "close"), ("note", "the painters")]), "1 item closed.");
        says(&done(&mut clerk, &list, path, &[("item", &item), ("decision", "close"), ("note", "the painters")]), "decided before");
        says(&open(&mut clerk, "/staff/todos"), "Nothing waits");
    }

    fn who_looks_only_sees_no_forms(town: Town) {
        let mut town = billed(town);
        let site = Served::new(&mut town);
        let mut clerk = site.staff(Role::Clerk);
        let form = open(&mut clerk, "/staff/services/S-1/owner");
        assert_eq!(clerk.get("/staff/services/NONE").status, 404);
        let fields = [("owner", "O-1")];
        for role in [Role::Auditor, Role::Administrator] {
            let mut browser = site.staff(role);
            let page = open(&mut browser, "/staff/services/S-1");
            says(&page, "Ada Byron");
            says_not(&page, "/move-out");
            says_not(&open(&mut browser, "/staff/accounts/A-1"), "/final-bill");
            for path in ["/staff/services/S-1/move-in", "/staff/accounts/A-1/refund", "/staff/accounts/A-1/final-bill"] {
                assert_eq!(browser.get(path).status, 403, "{path}");
            }
            let own = open(&mut browser, "/profile/sign-in");
            assert_eq!(send(&mut browser, &own, "/staff/services/S-1/owner", &fields).status, 403);
            says_not(&open(&mut clerk, "/staff/services/S-1"), "takes it over between two tenants\u{a0}");
            says(&open(&mut clerk, "/staff/services/S-1"), "nobody takes it over");
        }
        says(&done(&mut clerk, &form, "/staff/services/S-1/owner", &fields), "Olga Owner");
        let mut auditor_trail = site.staff(Role::Supervisor);
        says(&open(&mut auditor_trail, "/staff/accounts/A-1/trail"), "service.owner");
    }
}
