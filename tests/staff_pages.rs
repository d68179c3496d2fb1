//! The staff's pages over real HTTP, on both databases: search, accounts, payments, work items, runs, and who may what.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on must fail loudly")]

mod support;

use aquabills::domain::roles::Role;
use support::http::{Answer, Browser, Served};
use support::pages::{field, follow, open, says, send};
use support::{Town, on_both};

/// A town with two customers, reads of three months and one bill each.
fn billed(town: Town) -> Town {
    town.tariff(support::TARIFF).expect("the tariff is accepted");
    let header = "customer_id,service_id,rate_class,meter_id,register_digits,name,address,email,cycle";
    let rows = [
        "A-1,S-1,HOME,M-1,4,Ada Byron,\"12 Mill Lane, Story Town\",ada@example.org,north",
        "A-2,S-2,HOME,M-2,4,Adam Smith,\"7 Pin Street, Story Town\",adam@example.org,south",
    ];
    let report = town.services(&format!("{header}\n{}\n", rows.join("\n"))).expect("the services are read");
    assert_eq!(report.refused, 0, "{report:?}");
    town.reads(&["M-1,2026-01-01,100", "M-1,2026-02-01,115", "M-2,2026-01-01,0", "M-2,2026-02-01,10"]);
    town.bill("2026-02-01");
    town
}

on_both! {
    fn search_finds_by_whatever_a_caller_can_name(town: Town) {
        let mut town = billed(town);
        town.pay("A-1", "5.00", "REF-77");
        let site = Served::new(&mut town);
        let mut clerk = site.staff(Role::Clerk);
        for text in ["a-1", "A-1", "s-1", "M-1", "ADA@example.org", "REF-77", "00001-0000001"] {
            let answer = clerk.get(&format!("/staff/search?q={text}"));
            assert_eq!((answer.status, answer.location()), (303, "/staff/accounts/A-1"), "{text}: {}", answer.body);
        }
        for text in ["byron", "Ada%20B", "mill", "12%20mil", "lane%20story", "ada@e"] {
            let page = open(&mut clerk, &format!("/staff/search?q={text}"));
            says(&page, "/staff/accounts/A-1\"");
            assert!(!page.body.contains("/staff/accounts/A-2\""), "{text} is not about A-2");
        }
        let both = open(&mut clerk, "/staff/search?q=ada");
        says(&both, "/staff/accounts/A-1\"");
        says(&both, "/staff/accounts/A-2\"");
        says(&open(&mut clerk, "/staff/search?q=nobody"), "Nothing was found");
        for odd in ["%25", "'", "%22*", "a%22%20OR%20%22b", "%26%20%7C%20%21", "(", "-", "%C3%BC", "%C2%BD", "%E7%94%B0"] {
            open(&mut clerk, &format!("/staff/search?q={odd}"));
        }
        assert_eq!(clerk.get("/staff/search?q=%00").status, 404, "no name has such a character");
    }

    fn a_search_of_many_is_paged(town: Town) {
        let mut town = town;
        let rows: Vec<String> = (1..=60).map(|n| format!("C{n:03},S{n:03},HOME,M{n:03}")).collect();
        town = town.with_services(&rows.iter().map(String::as_str).collect::<Vec<_>>());
        let site = Served::new(&mut town);
        let mut clerk = site.staff(Role::Clerk);
        let mut path = "/staff/search?q=c".to_owned();
        let mut seen = Vec::new();
        loop {
            let page = open(&mut clerk, &path);
            seen.extend(page.body.split("href=\"/staff/accounts/").skip(1).map(|rest| rest[..4].to_owned()));
            let Some((_, rest)) = page.body.split_once("<a href=\"/staff/search") else { break };
            path = format!("/staff/search{}", rest.split('"').next().expect("an end").replace("&#38;", "&").replace("&amp;", "&"));
        }
        let all: Vec<String> = (1..=60).map(|n| format!("C{n:03}")).collect();
        assert_eq!(seen, all);
    }

    fn a_payment_is_taken_once_and_returned(town: Town) {
        let mut town = billed(town);
        let site = Served::new(&mut town);
        let mut clerk = site.staff(Role::Clerk);
        let path = "/staff/accounts/A-1/payment";
        let form = open(&mut clerk, path);
        let reference = field(&form, "reference");
        let wrong = [("amount", "4,5"), ("tender", "cash"), ("effective_on", "2030-01-01"), ("reference", reference.as_str())];
        let refused = send(&mut clerk, &form, path, &wrong);
        assert_eq!(refused.status, 422);
        says(&refused, "id=\"amount-error\"");
        says(&refused, "value=\"4,5\"");
        says(&refused, &reference);
        assert_eq!(town.balance("A-1"), "47.50");
        let right = [("amount", "40.00"), ("tender", "cheque"), ("effective_on", "2026-06-14"), ("reference", reference.as_str())];
        let done = send(&mut clerk, &form, path, &right);
        says(&follow(&mut clerk, &done), "Payment of $40.00 is posted. The balance is now $7.50.");
        let again = send(&mut clerk, &form, path, &right);
        says(&follow(&mut clerk, &again), "Nothing was posted twice");
        assert_eq!(town.balance("A-1"), "7.50");
        let other = [("amount", "41.00"), ("tender", "cheque"), ("effective_on", "2026-06-14"), ("reference", reference.as_str())];
        let clash = send(&mut clerk, &form, path, &other);
        assert_eq!(clash.status, 422);
        says(&clash, "id=\"reference-error\"");
        says(&open(&mut clerk, "/staff/accounts/A-1/payments/2"), "Return this payment");
        let path = "/staff/accounts/A-1/payments/2/return";
        let form = open(&mut clerk, path);
        says(&form, "will be $47.50");
        let early = send(&mut clerk, &form, path, &[("effective_on", "2026-01-01"), ("reason", "Account closed")]);
        assert_eq!(early.status, 422);
        let done = send(&mut clerk, &form, path, &[("effective_on", "2026-06-15"), ("reason", "Account closed"), ("note", "")]);
        says(&follow(&mut clerk, &done), "Payment returned of $40.00 is posted");
        let again = send(&mut clerk, &form, path, &[("effective_on", "2026-06-15"), ("reason", "Account closed"), ("note", "")]);
        says(&follow(&mut clerk, &again), "Nothing was posted twice");
        assert_eq!(town.balance("A-1"), "47.50");
        assert_eq!(clerk.get("/staff/accounts/A-1/payments/1").status, 404, "a bill is no payment");
        town.assert_sound();
    }

    fn an_adjustment_has_a_reason_a_direction_and_a_note(town: Town) {
        let mut town = billed(town);
        let site = Served::new(&mut town);
        let mut clerk = site.staff(Role::Clerk);
        let path = "/staff/accounts/A-1/adjustment";
        let form = open(&mut clerk, path);
        let reference = field(&form, "reference");
        let with = |way: &'static str, amount: &'static str, note: &'static str| {
            [("reason", "goodwill"), ("way", way), ("amount", amount), ("effective_on", "2026-06-15"), ("note", note), ("reference", reference.as_str())]
        };
        for (way, amount, note, wrong) in [
            ("charge", "5.00", "sorry", "way-error"),
            ("credit", "-5.00", "sorry", "amount-error"),
            ("credit", "5.00", "", "note-error"),
            ("credit", "5.001", "sorry", "amount-error"),
        ] {
            let refused = send(&mut clerk, &form, path, &with(way, amount, note));
            assert_eq!(refused.status, 422);
            says(&refused, &format!("id=\"{wrong}\""));
        }
        assert_eq!(town.balance("A-1"), "47.50");
        for words in ["Credit of $5.00 is posted", "Nothing was posted twice"] {
            let done = send(&mut clerk, &form, path, &with("credit", "5.00", "a <b>late</b> truck"));
            let page = follow(&mut clerk, &done);
            says(&page, words);
            assert!(!page.body.contains("<b>late</b>"), "what people type is not markup");
        }
        assert_eq!(town.balance("A-1"), "42.50");
    }

    fn an_account_shows_the_ledger_and_who_looked(town: Town) {
        let mut town = billed(town);
        for n in 1..=30 {
            town.pay("A-1", "1.00", &format!("R-{n}"));
        }
        let site = Served::new(&mut town);
        let mut clerk = site.staff(Role::Clerk);
        let page = open(&mut clerk, "/staff/accounts/A-1");
        for words in ["Ada Byron", "12 Mill Lane", ">ada</span>", ">@example.org</span>", "$17.50", "S-1", "M-1", "R-30"] {
            says(&page, words);
        }
        let (_, rest) = page.body.split_once("/staff/accounts/A-1?from=").expect("older rows");
        let older = open(&mut clerk, &format!("/staff/accounts/A-1?from={}", rest.split('"').next().expect("an end")));
        says(&older, "/bills/00001-0000001");
        says(&older, "R-1<");
        let bills = open(&mut clerk, "/staff/accounts/A-1/bills");
        says(&bills, "$47.50");
        let services = open(&mut clerk, "/staff/accounts/A-1/services");
        says(&services, "1 Feb 2026");
        says(&open(&mut clerk, "/staff/accounts/A-1/reads"), "115");
        open(&mut clerk, "/staff/accounts/A-1/notices");
        assert_eq!(clerk.get("/staff/accounts/A-1/trail").status, 403, "clerks do not read the trail");
        assert_eq!(clerk.get("/staff/accounts/NOBODY").status, 404);
        let mut auditor = site.staff(Role::Auditor);
        let trail = open(&mut auditor, "/staff/accounts/A-1/trail");
        says(&trail, "clerk@utility.example");
        says(&trail, "account.look");
        says(&trail, "payment.post");
        let all = open(&mut auditor, "/staff/audit?actor=clerk%40utility.example&action=account.&from_day=2026-06-15&to_day=2026-06-15");
        says(&all, "account.look");
        assert!(!all.body.contains("payment.post"));
        assert!(!open(&mut auditor, "/staff/audit?to_day=2026-06-14").body.contains("account.look"));
    }

    fn a_read_is_entered_and_judged(town: Town) {
        let mut town = billed(town);
        let site = Served::new(&mut town);
        let mut clerk = site.staff(Role::Clerk);
        let path = "/staff/accounts/A-1/read";
        let form = open(&mut clerk, path);
        let with = |reading: &'static str, on: &'static str| [("register", "M-1 1"), ("reading", reading), ("read_on", on), ("kind", "actual")];
        for (reading, on) in [("12x", "2026-03-01"), ("120", "2030-03-01"), ("99999", "2026-03-01"), ("120", "2026-01-15")] {
            let refused = send(&mut clerk, &form, path, &with(reading, on));
            assert_eq!(refused.status, 422, "{reading} {on}: {}", refused.body);
        }
        let register = field_of_choice(&form);
        let fields = [("register", register.as_str()), ("reading", "120"), ("read_on", "2026-03-01"), ("kind", "actual")];
        let done = send(&mut clerk, &form, path, &fields);
        says(&follow(&mut clerk, &done), "The read is accepted.");
        let again = send(&mut clerk, &form, path, &fields);
        says(&follow(&mut clerk, &again), "This read was there already");
        let foreign = [("register", "M-2 1"), ("reading", "120"), ("read_on", "2026-03-01"), ("kind", "actual")];
        assert_eq!(send(&mut clerk, &form, path, &foreign).status, 422, "another account's meter");
        says(&open(&mut clerk, "/staff/accounts/A-1/reads"), "120");
    }

    fn work_items_are_decided_with_what_is_needed(town: Town) {
        let mut town = billed(town);
        town.reads(&["M-1,2026-03-01,130", "M-1,2026-04-01,145", "M-1,2026-05-01,2000", "M-2,2026-03-01,20", "M-2,2026-04-01,30", "M-2,2026-05-01,4000"]);
        let site = Served::new(&mut town);
        let mut auditor = site.staff(Role::Auditor);
        let page = open(&mut auditor, "/staff/todos");
        says(&page, "Doubtful read");
        says(&page, "Own average");
        assert!(!page.body.contains("value=\"release\""), "auditors decide nothing");
        let mut clerk = site.staff(Role::Clerk);
        let page = open(&mut clerk, "/staff/todos");
        let items: Vec<String> =
            page.body.split("name=\"item\" value=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect();
        assert!(items.len() >= 2, "{}", page.body);
        says(&open(&mut clerk, "/staff/accounts/A-1"), "Waiting for a decision");
        let none = send(&mut clerk, &page, "/staff/todos", &[("decision", "release")]);
        assert_eq!(none.status, 422);
        says(&none, "Tick the items");
        let unsaid = send(&mut clerk, &page, "/staff/todos", &[("item", &items[0]), ("decision", "reject"), ("note", "")]);
        assert_eq!(unsaid.status, 422);
        says(&unsaid, "note");
        let done = send(&mut clerk, &page, "/staff/todos", &[("item", &items[0]), ("decision", "reject"), ("note", "digits swapped")]);
        says(&follow(&mut clerk, &done), "1 item rejected.");
        let done = send(&mut clerk, &page, "/staff/todos", &[("item", &items[1]), ("decision", "release"), ("note", "")]);
        says(&follow(&mut clerk, &done), "1 item released.");
        let again = send(&mut clerk, &page, "/staff/todos", &[("item", &items[1]), ("decision", "release"), ("note", "")]);
        says(&follow(&mut clerk, &again), "decided before");
        let page = open(&mut auditor, "/staff/todos");
        let forged = send(&mut auditor, &page, "/staff/todos", &[("item", &items[1]), ("decision", "release")]);
        assert_eq!(forged.status, 403);
    }

    fn a_run_goes_from_its_start_to_its_end_by_pages(town: Town) {
        let mut town = billed(town);
        town.reads(&["M-1,2026-03-01,120", "M-2,2026-03-01,15"]);
        let site = Served::new(&mut town);
        let mut clerk = site.staff(Role::Clerk);
        assert_eq!(clerk.get("/staff/run").status, 403);
        let mut supervisor = site.staff(Role::Supervisor);
        let form = open(&mut supervisor, "/staff/run");
        says(&form, ">north<");
        let future = send(&mut supervisor, &form, "/staff/run", &[("cycle", "north"), ("through", "2027-01-01")]);
        assert_eq!(future.status, 422);
        says(&future, "id=\"through-error\"");
        let trial = send(&mut supervisor, &form, "/staff/run", &[("cycle", "north"), ("through", "2026-03-01"), ("dry_run", "yes")]);
        assert_eq!(trial.status, 200);
        says(&trial, "Nothing was written");
        assert!(!open(&mut supervisor, "/staff/runs").body.contains("Run 2<"));
        let started = send(&mut supervisor, &form, "/staff/run", &[("cycle", "north"), ("through", "2026-03-01")]);
        let page = wait_for(&mut supervisor, &started, "waits for approval");
        says(&page, "$20.00");
        says(&page, "1 billed + 0 held + 0 excluded = 1 agreement due");
        let again = send(&mut supervisor, &form, "/staff/run", &[("cycle", "north"), ("through", "2026-03-01")]);
        assert_eq!(again.location(), started.location(), "the same run, not a second one");
        assert_eq!(town.balance("A-1"), "47.50", "nothing is posted before it is approved");
        says(&open(&mut clerk, "/staff/runs/2"), "It waits for a supervisor");
        says(&open(&mut clerk, "/staff/runs/2/bills"), "Ada Byron");
        let form = open(&mut clerk, "/staff/accounts/A-1/payment");
        let forged = send(&mut clerk, &form, "/staff/runs/2/approve", &[]);
        assert_eq!(forged.status, 403);
        let approved = supervisor.post_form(&page, "/staff/runs/2/approve", &[]);
        let page = wait_for(&mut supervisor, &approved, "badge good\">issued");
        says(&page, "supervisor@utility.example");
        assert_eq!(town.balance("A-1"), "67.50");
        let twice = send(&mut supervisor, &page, "/staff/runs/2/approve", &[]);
        assert_eq!(twice.status, 303);
        assert_eq!(town.balance("A-1"), "67.50", "approved twice is issued once");
        let path = "/staff/runs/2/rollback";
        let sure = open(&mut supervisor, path);
        says(&sure, "1 bill over $20.00");
        let unsure = send(&mut supervisor, &sure, path, &[("reason", "wrong tariff")]);
        assert_eq!(unsure.status, 422);
        assert_eq!(town.balance("A-1"), "67.50");
        let back = send(&mut supervisor, &sure, path, &[("reason", "wrong tariff"), ("sure", "yes")]);
        let page = wait_for(&mut supervisor, &back, "badge bad\">taken back");
        says(&page, "wrong tariff");
        assert_eq!(town.balance("A-1"), "47.50");
        says(&open(&mut supervisor, "/staff/accounts/A-1"), "Bill taken back");
        town.assert_sound();
    }

    fn a_run_that_its_gates_hold_needs_a_reason(town: Town) {
        let mut town = billed(town);
        town.configure(|config| config.gates.fewest_compared = 1);
        town.reads(&["M-1,2026-03-01,140", "M-2,2026-03-01,50"]);
        let site = Served::new(&mut town);
        let mut supervisor = site.staff(Role::Supervisor);
        let form = open(&mut supervisor, "/staff/run");
        let started = send(&mut supervisor, &form, "/staff/run", &[("cycle", "all"), ("through", "2026-03-01")]);
        let page = wait_for(&mut supervisor, &started, "held by its gates");
        says(&page, "badge bad\">failed");
        let unsaid = supervisor.post_form(&page, "/staff/runs/2/approve", &[("reason", " ")]);
        assert_eq!(unsaid.status, 422);
        says(&unsaid, "id=\"reason-error\"");
        let other = send(&mut supervisor, &form, "/staff/run", &[("cycle", "north"), ("through", "2026-03-01")]);
        assert_eq!(other.status, 422, "another run is in the way: {}", other.body);
        says(&other, "is unfinished");
        let discarded = supervisor.post_form(&page, "/staff/runs/2/discard", &[]);
        says(&follow(&mut supervisor, &discarded), "The run is discarded");
        let started = send(&mut supervisor, &form, "/staff/run", &[("cycle", "all"), ("through", "2026-03-01")]);
        let page = wait_for(&mut supervisor, &started, "held by its gates");
        let issued = supervisor.post_form(&page, "/staff/runs/3/approve", &[("reason", "a dry summer")]);
        let page = wait_for(&mut supervisor, &issued, "badge good\">issued");
        says(&page, "a dry summer");
        town.assert_sound();
    }

    fn the_desk_and_its_lists_open_for_staff_only(town: Town) {
        let mut town = billed(town);
        let site = Served::new(&mut town);
        let pages = ["/staff", "/staff/search?q=a", "/staff/todos", "/staff/runs", "/staff/runs/1", "/staff/runs/1/held", "/staff/runs/1/excluded",
            "/staff/runs/1/bills", "/staff/notices", "/staff/schedule", "/staff/accounts/A-1"];
        let mut nobody = site.browser();
        let mut customer = site.customer("ada@example.org");
        let mut browsers: Vec<Browser> = [Role::Clerk, Role::Supervisor, Role::Auditor, Role::Administrator].map(|role| site.staff(role)).into();
        for path in pages {
            assert_eq!(nobody.get(path).status, 303, "{path}");
            assert_eq!(customer.get(path).status, 403, "{path}");
            for staff in &mut browsers {
                open(staff, path);
            }
        }
        for path in ["/staff/runs/99", "/staff/notices/99", "/staff/accounts/A-9/bills", "/staff/accounts/A-1/payments/9"] {
            assert_eq!(browsers[0].get(path).status, 404, "{path}");
        }
        for staff in &mut browsers[2..] {
            for path in ["/staff/accounts/A-1/payment", "/staff/accounts/A-1/adjustment", "/staff/accounts/A-1/read", "/staff/run"] {
                assert_eq!(staff.get(path).status, 403, "{path}");
            }
        }
    }
}

/// Opens a run's page until it says where it should stand; the work goes on in a thread of its own.
fn wait_for(browser: &mut Browser, answer: &Answer, words: &str) -> Answer {
    assert_eq!(answer.status, 303, "{}", answer.body);
    let place = answer.location().to_owned();
    for _ in 0..600 {
        let page = open(browser, &place);
        if page.body.contains(words) {
            return page;
        }
        std::thread::yield_now();
    }
    panic!("'{words}' never came: {}", open(browser, &place).body)
}

/// The first register that the read form offers.
fn field_of_choice(page: &Answer) -> String {
    let (_, rest) = page.body.split_once("id=\"register\"").expect("a list of registers");
    let (_, rest) = rest.split_once("<option value=\"").expect("an option");
    rest.split('"').next().expect("an end").to_owned()
}
