//! Customers' pages over real HTTP, on both databases: what they show is what the ledger holds, and nobody sees what is
//! somebody else's.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on must fail loudly")]

mod support;

use aquabills::actions::account_view::Whose;
use aquabills::actions::adjust::{Adjustment, adjust};
use aquabills::actions::bill_run::roll_back_run;
use aquabills::actions::import::reads::import_reads;
use aquabills::actions::payments::{COUNTER_PROVIDER, return_payment};
use aquabills::actions::show_bill::show_bill;
use aquabills::actions::usage_history::usage_history;
use aquabills::db::{customers, ledger};
use aquabills::domain::ids::RunId;
use aquabills::domain::money::Money;
use aquabills::domain::roles::Role;
use support::http::{Answer, Browser, Served, without_tokens};
use support::{TARIFF, Town, day, on_both};

/// Ada has A1 with a home, Ben has A2 with a shop, Cleo has A3 and A4.
fn village(town: Town) -> Town {
    town.tariff(TARIFF).expect("the tariff is accepted");
    let csv = "customer_id,service_id,rate_class,meter_id,register_digits,name,address,email\n\
        A1,S1,HOME,M1,4,Ada Lovelace,\"1 River Road, Millbrook\",ada@example.org\n\
        A2,S2,SHOP,M2,4,Ben & Sons <Ltd>,2 Mill Lane,ben@example.org\n\
        A3,S3,HOME,M3,4,Cleo Marsh,3 Weir Street,cleo@example.org\n\
        A4,S4,HOME,M4,4,Cleo Marsh,4 Weir Street,cleo@example.org\n";
    assert_eq!(town.services(csv).expect("the services are read").refused, 0);
    town
}

/// Ada's account after three bills, a payment, a returned payment and a credit.
fn lively(town: Town) -> Town {
    let town = village(town);
    town.reads(&["M1,2026-01-01,100", "M1,2026-02-01,115", "M2,2026-01-01,0", "M2,2026-02-01,1000"]);
    town.bill("2026-02-01");
    town.pay("A1", "47.50", "R-1");
    town.pay("A1", "5.00", "R-2");
    return_payment(&town.context, COUNTER_PROVIDER, "R-2", day("2026-06-15"), "no funds").expect("the payment is returned");
    let credit = Adjustment {
        account: "A1".to_owned(),
        reason_code: "goodwill".to_owned(),
        amount: "-3.25".parse().expect("an amount"),
        effective_on: day("2026-06-15"),
        reference: "ADJ-1".to_owned(),
        note: "sorry for the noise".to_owned(),
    };
    adjust(&town.context, &credit).expect("the credit is given");
    town.reads(&["M1,2026-03-01,120", "M2,2026-03-01,1010"]);
    town.bill("2026-03-01");
    town
}

/// The text of a page: without marks, each run of spaces one space.
fn text(page: &Answer) -> String {
    let mut out = String::new();
    let mut within = false;
    for letter in page.body.chars() {
        match letter {
            '<' => within = true,
            '>' => {
                within = false;
                out.push(' ');
            }
            letter if !within => out.push(letter),
            _ => {}
        }
    }
    let plain = out.replace("&#60;", "<").replace("&#62;", ">").replace("&#38;", "&").replace("&#39;", "'").replace("&#34;", "\"");
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Amounts that a person reads on a part of a page, as cents: `−$1,234.50` is -123450.
fn amounts(part: &str) -> Vec<i64> {
    let mut found = Vec::new();
    let mut rest = part;
    while let Some(at) = rest.find('$') {
        let minus = rest[..at].ends_with('\u{2212}');
        let digits: String = rest[at + 1..].chars().take_while(|letter| letter.is_ascii_digit() || matches!(letter, ',' | '.')).collect();
        rest = &rest[at + 1 + digits.len()..];
        let money: Money = digits.trim_end_matches(['.', ',']).replace(',', "").parse().expect("an amount");
        found.push(if minus { -money.cents() } else { money.cents() });
    }
    found
}

/// The cells of a page's table rows that have a class, row by row.
fn cells(page: &Answer, class: &str) -> Vec<i64> {
    let mark = format!("<td class=\"{class}\">");
    page.body.split(&mark).skip(1).flat_map(|rest| amounts(rest.split("</td>").next().expect("an end"))).collect()
}

/// An account's ledger, newest first: amount and balance.
fn ledger_of(town: &Town, account: &str) -> Vec<(i64, i64)> {
    let rows = town.context.database.read(|conn| {
        let account = customers::account_by_number(conn, account)?.expect("the account is there");
        ledger::transactions_of(conn, account.id, 0, 10_000)
    });
    rows.expect("the ledger is read").iter().rev().map(|row| (row.amount_cents, row.balance_after_cents)).collect()
}

fn shows(page: &Answer, expected: &[&str]) {
    let text = text(page);
    for words in expected {
        assert!(text.contains(words), "'{words}' is not on the page ({}):\n{text}", page.status);
    }
}

fn signed_in(town: &mut Town, email: &str) -> (Served, Browser) {
    let served = Served::new(town);
    let browser = served.customer(email);
    (served, browser)
}

on_both! {
    fn the_figures_of_an_account_are_the_ledgers(town: Town) {
        let mut town = lively(town);
        let (_, mut ada) = signed_in(&mut town, "ada@example.org");
        let page = ada.get("/account/A1");
        let rows = ledger_of(&town, "A1");
        assert_eq!(rows.len(), 6);
        let recent = page.body.split_once("id=\"activity\"").expect("the part").1.split_once("</section>").expect("its end").0;
        let recent = Answer { body: recent.to_owned(), ..page.clone() };
        assert_eq!(cells(&recent, "number"), rows.iter().map(|row| row.0).collect::<Vec<_>>());
        assert_eq!(cells(&recent, "number balance"), rows.iter().map(|row| row.1).collect::<Vec<_>>());
        shows(&page, &[
            "Account A1", "Ada Lovelace · 1 River Road, Millbrook", "Amount due now $16.75", "Please pay by 6 Jul 2026",
            "Last payment: $5.00 on 15 Jun 2026 , returned on 15 Jun 2026", "Payment received, thank you", "in cash, reference R-1",
            "Returned payment of 15 Jun 2026 no funds, reference R-2", "Goodwill credit", "Bill of 15 Jun 2026", "Meter M1",
            "Last read 120 on 1 Mar 2026", "Rate Home", "Pay by bank transfer",
        ]);
        assert!(!page.body.contains("sorry for the noise"), "a clerk's note is not for customers");
        let activity = ada.get("/account/A1/activity");
        assert_eq!(cells(&activity, "number"), rows.iter().map(|row| row.0).collect::<Vec<_>>());
        assert_eq!(cells(&activity, "number balance"), rows.iter().map(|row| row.1).collect::<Vec<_>>());
        shows(&activity, &["Balance now: $16.75"]);
    }

    fn a_bill_shows_how_it_comes_about(town: Town) {
        let mut town = lively(town);
        let (_, mut ada) = signed_in(&mut town, "ada@example.org");
        let page = ada.get("/bills/00002-0000001");
        let bill = show_bill(&town.context, "00002-0000001").expect("the bill is there");
        let (how, rest) = page.body.split_once("id=\"how\"").expect("the part").1.split_once("</section>").expect("its end");
        let mut expected = vec![bill.previous_balance_cents];
        expected.extend(bill.since.iter().map(|row| row.amount_cents));
        expected.extend([bill.payments_cents, bill.adjustments_cents, bill.charges_cents, bill.amount_due_cents, 4750]);
        assert_eq!(amounts(how), expected);
        let sum: i64 = [bill.previous_balance_cents, bill.payments_cents, bill.adjustments_cents, bill.charges_cents].iter().sum();
        assert_eq!(sum, bill.amount_due_cents);
        assert_eq!(bill.since.iter().map(|row| row.amount_cents).sum::<i64>(), bill.payments_cents + bill.adjustments_cents);
        let charges = rest.split_once("Charges</h3>").expect("the charges").1.split_once("class=\"sum\"").expect("the sum").0;
        let lines: Vec<i64> = charges.split("<td class=\"number\">").skip(1).flat_map(|rest| amounts(rest.split("</td>").next().unwrap())).collect();
        assert_eq!(lines.iter().sum::<i64>(), bill.charges_cents, "the lines add up to the charges");
        shows(&page, &[
            "Bill of 15 Jun 2026", "Bill number 00002-0000001", "Due date 6 Jul 2026", "Amount due $16.75", "Previous balance $47.50",
            "Payments received −$47.50", "Adjustments −$3.25", "Charges of this bill $20.00",
            "Deducted: payment of $47.50 on 15 Jun 2026 , reference R-1 ; everything posted up to ledger position 5 is included.",
            "1 River Road, Millbrook Home, service S1 , 1 Feb 2026 to 1 Mar 2026 28 days", "1 Feb 2026 115", "1 Mar 2026 120, read by us",
            "5 28 days", "Usage: 5 ccf (ccf: hundred cubic feet)", "Service charge $10.00", "tier 1: up to 10 ccf 5 × $2.00 $10.00",
            "Total of this service $20.00", "How to pay",
        ]);
        let first = ada.get("/bills/00001-0000001");
        shows(&first, &["Deducted: no payment was received yet; everything posted up to ledger position 0 is included.", "its balance is now $16.75"]);
        shows(&first, &["This bill asked for $47.50"]);
        assert!(!first.body.contains("Please pay by"), "what is due is the balance, not what a bill asked for: {}", first.body);
        town.pay("A1", "16.75", "R-9");
        let paid = ada.get("/bills/00002-0000001");
        shows(&paid, &["This bill asked for $16.75", "It is due on 6 Jul 2026 . Nothing is due now.", "its balance is now $0.00"]);
        assert!(!paid.body.contains("Please pay by") && !paid.body.contains("Pay online"), "{}", paid.body);
        shows(&ada.get("/account/A1/bills"), &["15 Jun 2026 $20.00 $16.75 6 Jul 2026 00002-0000001", "$47.50 $47.50"]);
    }

    fn a_bill_tells_of_rate_changes_multipliers_and_credits(town: Town) {
        let town = village(town);
        town.tariff(&TARIFF.replace("2020-01-01", "2026-01-10").replace("2.00, 3.50", "3.00, 4.50")).expect("a second version");
        town.reads(&["M1,2026-01-01,9990", "M1,2026-02-01,5"]);
        town.pay("A1", "100.00", "R-1");
        town.bill("2026-02-01");
        let mut town = town;
        let (_, mut ada) = signed_in(&mut town, "ada@example.org");
        let page = ada.get("/bills/00001-0000001");
        let bill = show_bill(&town.context, "00001-0000001").expect("the bill is there");
        assert_eq!(bill.segments[0].rates.iter().map(|part| part.days).collect::<Vec<_>>(), [9, 22]);
        shows(&page, &[
            "The rates changed within this period: 9 days at rates from 1 Jan 2020 , 22 days at rates from 10 Jan 2026 .",
            "Nothing to pay", "credit", "Previous balance $0.00",
        ]);
        assert_eq!(page.body.matches("class=\"group\"").count(), 2, "the lines of each rate stand together");
        let charges = page.body.split_once("Charges</h3>").expect("the charges").1.split_once("class=\"sum\"").expect("the sum").0;
        let lines: Vec<i64> = charges.split("<td class=\"number\">").skip(1).flat_map(|rest| amounts(rest.split("</td>").next().unwrap())).collect();
        assert_eq!(lines.iter().sum::<i64>(), bill.charges_cents);
        let account = ada.get("/account/A1");
        shows(&account, &["Nothing to pay", "credit", "It will be taken off your next bill"]);
    }

    fn a_bill_tells_of_its_estimate_and_of_what_settles_it(town: Town) {
        let town = village(town);
        let with_kind = |rows: &[&str]| {
            let path = town.file("kinds.csv", &format!("meter_id,read_on,reading,kind\n{}\n", rows.join("\n")));
            assert_eq!(import_reads(&town.context, &path, support::QUIET).expect("the file is read").refused, 0);
        };
        with_kind(&["M1,2026-01-01,100,actual", "M1,2026-02-01,110,estimated"]);
        town.bill("2026-02-01");
        with_kind(&["M1,2026-03-01,128,actual"]);
        town.bill("2026-03-01");
        let mut town = town;
        let (_, mut ada) = signed_in(&mut town, "ada@example.org");
        shows(&ada.get("/bills/00001-0000001"), &[
            "partly estimated", "Estimated. The meter was not read on 1 Feb 2026", "the difference is charged or credited on your next bill",
        ]);
        let second = ada.get("/bills/00002-0000001");
        shows(&second, &["Corrections", "The bill for 1 Jan 2026 to 1 Feb 2026 was an estimate", "the difference is settled here", "Estimated bill of 1 Jan 2026 to 1 Feb 2026 corrected"]);
        assert!(!text(&second).contains("partly estimated"));
    }

    fn a_bill_that_was_taken_back_says_so(town: Town) {
        let mut town = lively(town);
        roll_back_run(&town.context, RunId(2), "wrong reads", |_, _| {}).expect("the run is rolled back");
        let (_, mut ada) = signed_in(&mut town, "ada@example.org");
        let page = ada.get("/bills/00002-0000001");
        shows(&page, &["THIS BILL WAS TAKEN BACK", "It was taken back on 15 Jun 2026 with −$20.00 (ledger position 7)", "This bill does not count any more"]);
        assert!(!text(&page).contains("How to pay"));
        shows(&ada.get("/account/A1/activity"), &["Bill of 15 Jun 2026 taken back", "taken back later"]);
        shows(&ada.get("/account/A1/bills"), &["taken back"]);
        shows(&ada.get("/account/A1"), &["−$3.25 credit", "00001-0000001"]);
        let usage = ada.get("/account/A1/usage");
        assert!(!usage.body.contains("00002-0000001"), "what was taken back is not usage");
    }

    fn nobody_sees_what_is_somebody_elses(town: Town) {
        let mut town = lively(town);
        let (served, mut ada) = signed_in(&mut town, "ada@example.org");
        for path in ["/account/A2", "/account/A2/bills", "/account/A2/activity", "/account/A2/usage", "/account/A2/usage.csv", "/account/A2/reading"] {
            let (theirs, nobodys) = (ada.get(path), ada.get(&path.replace("A2", "NO")));
            assert_eq!((theirs.status, nobodys.status), (404, 404), "{path}");
            assert_eq!(without_tokens(&theirs).replace("A2", "NO"), without_tokens(&nobodys), "{path}");
        }
        let (theirs, nobodys) = (ada.get("/bills/00001-0000002"), ada.get("/bills/00077-0000002"));
        assert_eq!((theirs.status, nobodys.status), (404, 404));
        assert_eq!(without_tokens(&theirs).replace("00001-0000002", "00077-0000002"), without_tokens(&nobodys));
        for odd in ["/bills/x", "/bills/1-", "/bills/99999999999999999999-1", "/account/%00", "/account/A1%2F..", "/account/A1/bills?before=x"] {
            assert!((400..=404).contains(&ada.get(odd).status), "{odd}");
        }
        assert_eq!(served.browser().get("/account/A1").location(), "/sign-in?next=/account/A1");
        assert_eq!(served.browser().get("/bills/00001-0000001").status, 303);
        let looks = town.context.database.read(|conn| {
            let sql = "SELECT subject AS line FROM audit_event WHERE action = 'account.look' AND actor = 'ada@example.org'";
            Ok::<_, diesel::result::Error>(support::lines(conn, sql))
        });
        assert_eq!(looks.expect("the audit trail is read"), Vec::<String>::new(), "what was not seen was not looked at");
        ada.get("/bills/00001-0000001");
        ada.get("/account/A1");
        let mut auditor = served.staff(Role::Auditor);
        shows(&auditor.get("/account/A2"), &["Ben & Sons <Ltd>", "You see this account as its customer does."]);
        assert_eq!(auditor.get("/bills/00001-0000002").status, 200);
        let looks = town.context.database.read(|conn| {
            let sql = "SELECT actor || ' ' || subject AS line FROM audit_event WHERE action = 'account.look' ORDER BY id";
            Ok::<_, diesel::result::Error>(support::lines(conn, sql))
        });
        assert_eq!(looks.expect("the audit trail is read"), ["ada@example.org A1", "auditor@utility.example A2"], "a look is written down once");
    }

    fn the_front_door_leads_where_one_belongs(town: Town) {
        let mut town = village(town);
        let served = Served::new(&mut town);
        let front = served.browser().get("/");
        assert_eq!(front.status, 200);
        assert!(front.body.contains("href=\"/sign-in\"") && front.body.contains("href=\"/sign-in/link\""));
        let mut ada = served.customer("ada@example.org");
        assert_eq!(ada.get("/").location(), "/account");
        assert_eq!(ada.get("/account").location(), "/account/A1");
        assert_eq!(served.staff(Role::Clerk).get("/").location(), "/staff");
    }

    fn whoever_has_several_accounts_chooses(town: Town) {
        let town = village(town);
        // The two accounts came from one file as two persons; they are one.
        let moved = town.context.database.write(|conn| {
            use diesel::RunQueryDsl;
            let sql = "UPDATE account SET person_id = (SELECT person_id FROM account WHERE number = 'A3') WHERE number = 'A4'";
            diesel::sql_query(sql).execute(conn)
        });
        assert_eq!(moved.expect("the account is moved"), 1);
        let gone = town.context.database.write(|conn| {
            use diesel::RunQueryDsl;
            diesel::sql_query("UPDATE person SET email = NULL WHERE id NOT IN (SELECT person_id FROM account)").execute(conn)
        });
        gone.expect("the empty person is forgotten");
        town.pay("A4", "1234.50", "R-1");
        let mut town = town;
        let (_, mut cleo) = signed_in(&mut town, "cleo@example.org");
        let page = cleo.get("/account");
        shows(&page, &["Your accounts", "Account A3 3 Weir Street $0.00 nothing to pay", "Account A4 4 Weir Street −$1,234.50 credit in your favour"]);
        assert_eq!(cleo.get("/account/A4").status, 200);
    }

    fn empty_pages_are_friendly(town: Town) {
        let mut town = village(town);
        let (_, mut ada) = signed_in(&mut town, "ada@example.org");
        shows(&ada.get("/account/A1"), &[
            "Nothing to pay $0.00 Nothing was billed yet.", "No usage was billed yet", "Nothing has happened on this account yet", "No bill yet",
            "Last read not read yet",
        ]);
        shows(&ada.get("/account/A1/bills"), &["No bill yet"]);
        shows(&ada.get("/account/A1/activity"), &["Nothing has happened on this account yet"]);
        shows(&ada.get("/account/A1/usage"), &["No usage was billed yet"]);
        assert_eq!(ada.get("/account/A1/usage.csv").body.lines().count(), 1, "the header");
    }

    fn long_lists_come_in_pages(town: Town) {
        let town = village(town);
        for number in 0..60 {
            town.pay("A1", "1.00", &format!("R-{number}"));
        }
        let mut town = town;
        let (_, mut ada) = signed_in(&mut town, "ada@example.org");
        let rows = ledger_of(&town, "A1");
        let mut found = Vec::new();
        let mut path = "/account/A1/activity".to_owned();
        for _ in 0..3 {
            let page = ada.get(&path);
            found.extend(cells(&page, "number balance"));
            let next = page.body.split_once("activity?before=").map(|(_, rest)| rest.split('"').next().unwrap().to_owned());
            path = next.map_or_else(String::new, |before| format!("/account/A1/activity?before={before}"));
        }
        assert_eq!((path.as_str(), found), ("", rows.iter().map(|row| row.1).collect()), "each row once, in order");
        shows(&ada.get("/account/A1/activity?before=1"), &["There is nothing older"]);
    }

    fn usage_is_what_was_billed(town: Town) {
        let town = village(town);
        let mut reading = 0;
        let mut reads = vec!["M1,2024-11-01,0".to_owned()];
        for month in 0..18_i64 {
            reading += 5 + month % 7;
            let on = day("2024-12-01") + chrono::Months::new(u32::try_from(month).unwrap());
            reads.push(format!("M1,{on},{reading}"));
        }
        town.reads(&reads.iter().map(String::as_str).collect::<Vec<_>>());
        town.bill("2026-06-01");
        let mut town = town;
        let (_, mut ada) = signed_in(&mut town, "ada@example.org");
        let page = ada.get("/account/A1/usage");
        let (_, services) = usage_history(&town.context, "A1", Whose::Anybody).expect("the usage is read");
        assert_eq!(services[0].periods.len(), 13);
        assert_eq!(page.body.matches("class=\"bar\" x=").count(), 13);
        assert_eq!(services[0].periods.iter().filter(|period| period.year_before_milli.is_some()).count(), 6);
        assert_eq!(page.body.matches("class=\"bar-before\" x=\"").count(), 6 + 1, "and one in the key");
        let mut charges = cells(&page, "number");
        charges.reverse();
        assert_eq!(charges, services[0].periods.iter().map(|period| period.total_cents).collect::<Vec<_>>());
        assert!(page.body.contains("role=\"img\" aria-label=\"Water used in 13 periods"));
        let table = ada.get("/account/A1/usage.csv");
        assert_eq!((table.status, table.header("content-type")), (200, "text/csv; charset=utf-8"));
        let lines: Vec<&str> = table.body.lines().collect();
        assert_eq!(lines.len(), 19);
        assert_eq!(lines[1], "S1,00001-0000001,2024-11-01,2024-12-01,30,5,ccf,actual,20.00");
    }

    fn a_customer_sends_in_a_reading(town: Town) {
        let mut town = village(town);
        town.reads(&["M1,2026-05-01,100", "M1,2026-06-01,110"]);
        let (_, mut ada) = signed_in(&mut town, "ada@example.org");
        let send = |ada: &mut Browser, meter: &str, reading: &str, on: &str| {
            ada.submit("/account/A1/reading", "/account/A1/reading", &[("meter", meter), ("reading", reading), ("read_on", on)])
        };
        shows(&ada.get("/account/A1/reading"), &["Meter M1 showed 110 on 1 Jun 2026", "What will happen"]);
        let done = send(&mut ada, "M1", "115", "2026-06-15");
        assert_eq!((done.status, done.location()), (303, "/account/A1?done=reading"), "{}", done.body);
        shows(&ada.get("/account/A1?done=reading"), &["your reading was taken in", "Last read 115 on 15 Jun 2026 , read by you"]);
        assert_eq!(send(&mut ada, "M1", "115", "2026-06-15").location(), "/account/A1?done=reading-known");
        let before = support::dump(&town).iter().filter(|row| row.starts_with("meter_read:")).count();
        for (meter, reading, on, words) in [
            ("M1", "12a", "2026-06-15", "'12a' is not a number"),
            ("M1", "120", "soon", "Expected the day on which you read the meter"),
            ("M1", "120", "2026-07-01", "is in the future"),
            ("M2", "120", "2026-06-15", "Choose the meter that you read"),
            ("M1", "123456", "2026-06-14", "more digits than the register"),
        ] {
            let refused = send(&mut ada, meter, reading, on);
            assert_eq!(refused.status, 422, "{reading} on {on}");
            shows(&refused, &["Your reading was not taken in", words]);
            assert!(refused.body.contains("aria-invalid=\"true\""), "{reading} on {on}");
        }
        let after = support::dump(&town).iter().filter(|row| row.starts_with("meter_read:")).count();
        assert_eq!(before, after, "a refusal changes nothing");
        assert_eq!(send(&mut ada, "M1\0", "116", "2026-06-15").status, 422);
        assert_eq!(ada.post("/account/A1/reading", "meter=M1&reading=116&read_on=2026-06-15").status, 403, "no token, no reading");
    }

    fn a_customer_chooses_what_to_be_told(town: Town) {
        let mut town = village(town);
        let (_, mut ada) = signed_in(&mut town, "ada@example.org");
        let page = ada.get("/profile");
        shows(&page, &["Your profile", "Ada Lovelace", "ada@example.org", "A bill is ready"]);
        assert_eq!(page.body.matches(" checked").count(), 5, "all is wanted, paper too");
        let saved = ada.post_form(&page, "/profile", &[("bill_ready", "on"), ("paperless", "on")]);
        assert_eq!((saved.status, saved.location()), (303, "/profile?done=saved"), "{}", saved.body);
        let page = ada.get("/profile?done=saved");
        shows(&page, &["Your choices were saved."]);
        assert_eq!(page.body.matches(" checked").count(), 2);
        assert!(page.body.contains("name=\"paperless\" value=\"on\" checked"));
    }

    fn pages_hold_no_script_and_no_style(town: Town) {
        let mut town = lively(town);
        let (_, mut ada) = signed_in(&mut town, "ada@example.org");
        for path in ["/account/A1", "/account/A1/bills", "/account/A1/activity", "/account/A1/usage", "/account/A1/reading", "/bills/00002-0000001", "/profile"] {
            let page = ada.get(path);
            assert_eq!(page.status, 200, "{path}");
            assert!(!page.body.contains("<script") && !page.body.contains(" style=") && !page.body.contains("<style"), "{path}");
            assert_eq!(page.body.matches("<h1").count(), 1, "{path}: one heading of the first rank");
            assert_eq!(page.header("cache-control"), "no-store", "{path}");
            let mut ids: Vec<&str> = page.body.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
            ids.sort_unstable();
            let all = ids.len();
            ids.dedup();
            assert_eq!(ids.len(), all, "{path}: every id once");
        }
    }
}
