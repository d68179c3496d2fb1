//! What somebody hostile, hasty or confused does over HTTP, on both databases: each story is an attack that once worked,
//! or one that must never work.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on must fail loudly")]

mod support;

use std::sync::Barrier;

use aquabills::actions::bill_run::{RunOptions, continue_run, discard_run};
use aquabills::actions::sign_in::{Attempt, change_password, send_link, set_password_by_link};
use aquabills::actions::stop::Stop;
use aquabills::config::MailTransport;
use aquabills::domain::ids::RunId;
use aquabills::domain::roles::Role;
use aquabills::jobs::mailer::Round;
use chrono::Duration;
use support::http::{Answer, Browser, PASSWORD, Served, encoded, give_password, secret_of};
use support::{Town, day, lines, on_both};

const HEADER: &str = "customer_id,service_id,rate_class,meter_id,register_digits,name,address,email";

/// Rows of services with whose they are.
fn people(town: &Town, rows: &[&str]) {
    let report = town.services(&format!("{HEADER}\n{}\n", rows.join("\n"))).expect("the services are read");
    assert_eq!(report.refused, 0, "{report:?}");
}

/// Two customers with an address, and reads of one period.
fn town_of_two(town: &Town) {
    town.tariff(support::TARIFF).expect("the tariff is accepted");
    people(town, &["A-1,S-1,HOME,M-1,4,Ada Byron,12 Mill Lane,ada@example.org", "A-2,S-2,HOME,M-2,4,Adam Smith,7 Pin Street,adam@example.org"]);
    town.reads(&["M-1,2026-01-01,100", "M-1,2026-02-01,115", "M-2,2026-01-01,0", "M-2,2026-02-01,10"]);
}

/// The column `line` of a query.
fn ask(town: &Town, sql: &str) -> Vec<String> {
    town.context.database.read(|conn| Ok::<_, diesel::result::Error>(lines(conn, sql))).expect("the query runs")
}

/// The body of the form that is on a page, with these fields and its hidden token.
fn filled(page: &Answer, fields: &[(&str, &str)]) -> String {
    let (_, rest) = page.body.split_once("name=\"csrf\" value=\"").unwrap_or_else(|| panic!("no form ({}): {}", page.status, page.body));
    let csrf = rest.split('"').next().expect("an end");
    encoded(&fields.iter().copied().chain([("csrf", csrf)]).collect::<Vec<_>>())
}

fn send(browser: &mut Browser, page: &str, to: &str, fields: &[(&str, &str)]) -> Answer {
    let page = browser.get(page);
    let body = filled(&page, fields);
    browser.post(to, &body)
}

/// The same request from several hands at the same moment.
fn at_once(browser: &Browser, requests: &[(String, String)]) -> Vec<Answer> {
    let barrier = Barrier::new(requests.len());
    std::thread::scope(|scope| {
        let hand = |(path, body): &(String, String)| {
            let (mut browser, path, body) = (browser.clone(), path.clone(), body.clone());
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                browser.post(&path, &body)
            })
        };
        let hands: Vec<_> = requests.iter().map(hand).collect();
        hands.into_iter().map(|hand| hand.join().expect("the hand ends")).collect()
    })
}

/// Waits for the thread that works on a run; what it does is told by the run's status.
fn settled(town: &Town) -> Vec<String> {
    for _ in 0..600 {
        let runs = ask(town, "SELECT status AS line FROM bill_run ORDER BY id");
        if !runs.iter().any(|status| status == "pricing" || status == "issuing") {
            return runs;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("the runs do not come to an end");
}

on_both! {
    fn whoever_approves_a_run_gets_that_run_or_none(town: Town) {
        town_of_two(&town);
        let seen = town.try_bill("2026-02-01", false, None).expect("the run is priced").run_id.expect("a run");
        let all = RunOptions::approving_all(day("2026-02-01"), &|_, _, _| {});
        // Somebody discards it between the look and the approval.
        discard_run(&town.context, seen).expect("it is discarded");
        let approval = RunOptions { override_gates: Some("I have seen it".to_owned()), ..all.clone() };
        let refused = continue_run(&town.context, seen, &approval, &Stop::default()).expect_err("it is discarded");
        assert!(refused.to_string().contains("discarded"), "{refused}");
        assert_eq!(settled(&town), ["discarded"], "no other run was begun in its place");
        assert!(ask(&town, "SELECT source AS line FROM financial_transaction").is_empty(), "nothing was issued");
        // An approval that comes twice finds the run issued, and does not begin another.
        let again = town.try_bill("2026-02-01", false, None).expect("the run is priced").run_id.expect("a run");
        for _ in 0..2 {
            assert_eq!(continue_run(&town.context, again, &all, &Stop::default()).expect("it is issued").status, "issued");
        }
        assert_eq!(settled(&town), ["discarded", "issued"]);
        assert!(continue_run(&town.context, RunId(77), &all, &Stop::default()).is_err());
        town.assert_sound();
    }

    fn a_run_approved_and_discarded_from_many_hands_is_decided_once(town: Town) {
        let mut town = town;
        town_of_two(&town);
        let site = Served::new(&mut town);
        let supervisor = site.staff(Role::Supervisor);
        for _ in 0..4 {
            let before = settled(&town).len();
            let run = town.try_bill("2026-02-01", false, None).expect("the run is priced").run_id.expect("a run");
            let page = supervisor.clone().get(&format!("/staff/runs/{run}"));
            let request = |what: &str| (format!("/staff/runs/{run}/{what}"), filled(&page, &[]));
            let requests = [request("approve"), request("discard"), request("approve"), request("discard"), request("approve")];
            for answer in at_once(&supervisor, &requests) {
                assert!(matches!(answer.status, 303 | 409 | 422), "{}: {}", answer.status, answer.body);
            }
            let runs = settled(&town);
            assert_eq!(runs.len(), before + 1, "one run, whatever was decided: {runs:?}");
            if runs.last().is_some_and(|status| status == "issued") {
                break;
            }
        }
        town.assert_sound();
        let bills = ask(&town, "SELECT count(*) || '' AS line FROM bill");
        assert!(bills == ["0"] || bills == ["2"], "{bills:?}");
    }

    fn an_address_that_was_corrected_opens_nothing_any_more(town: Town) {
        let mut town = town;
        town_of_two(&town);
        let site = Served::new(&mut town);
        // The address was mistyped, and its owner, a stranger, signed in.
        let mut stranger = site.customer("ada@example.org");
        assert_eq!(stranger.get("/account/A-1").status, 200);
        people(&town, &["A-1,S-1,HOME,M-1,4,Ada Byron,12 Mill Lane,ada@right.example"]);
        assert_eq!(stranger.get("/account/A-1").status, 303, "the session has ended");
        let again = site.browser().sign_in("ada@example.org", PASSWORD);
        assert_eq!(again.status, 422, "the password opens nothing");
        let before = ask(&town, "SELECT dedupe_key AS line FROM notice WHERE kind = 'password_link'");
        send(&mut site.browser(), "/sign-in/link", "/sign-in/link", &[("email", "ada@example.org")]);
        assert_eq!(ask(&town, "SELECT dedupe_key AS line FROM notice WHERE kind = 'password_link'"), before, "and no link is mailed there");
        // The right address opens the account.
        assert_eq!(site.customer("ada@right.example").get("/account/A-1").status, 200);
        // The old address turns out to be another customer's: it opens theirs, and asks for a new password.
        people(&town, &["A-2,S-2,HOME,M-2,4,Adam Smith,7 Pin Street,ada@example.org"]);
        let mut browser = site.browser();
        send(&mut browser, "/sign-in/link", "/sign-in/link", &[("email", "ada@example.org")]);
        assert_eq!(browser.sign_in("ada@example.org", PASSWORD).status, 422, "the former owner's password is gone");
        let mut adam = site.customer("ada@example.org");
        assert_eq!((adam.get("/account/A-2").status, adam.get("/account/A-1").status), (200, 404));
    }

    fn guesses_are_counted_by_the_address_that_the_proxy_wrote(town: Town) {
        let mut town = town;
        town_of_two(&town);
        town.configure(|config| config.sign_in.trusted_proxy = Some("::ffff:127.0.0.1".parse().expect("an address")));
        let site = Served::new(&mut town);
        let mut browser = site.browser();
        let page = browser.get("/sign-in");
        let mut blocked = 0;
        for number in 0..30 {
            // The attacker writes a header of their own; the proxy adds another one.
            let forged = ("X-Forwarded-For".to_owned(), format!("198.51.100.{number}"));
            browser.extra = vec![forged, ("X-Forwarded-For".to_owned(), "203.0.113.7".to_owned())];
            let email = format!("nobody{number}@example.org");
            blocked += u32::from(browser.post_form(&page, "/sign-in", &[("email", &email), ("password", "wrong")]).status == 429);
        }
        assert!(blocked >= 9, "{blocked}");
        browser.extra = vec![("X-Forwarded-For".to_owned(), "203.0.113.8".to_owned())];
        assert_eq!(browser.post_form(&page, "/sign-in", &[("email", "x@example.org"), ("password", "wrong")]).status, 422, "others are not blocked");
    }

    fn a_password_that_was_replaced_meanwhile_changes_nothing(town: Town) {
        let mut town = town;
        town_of_two(&town);
        let site = Served::new(&mut town);
        let mut thief = site.customer("ada@example.org");
        let session = ask(&town, "SELECT token_hash AS line FROM login_session WHERE revoked_at IS NULL").pop().expect("a session");
        let login = ask(&town, "SELECT id || '' AS line FROM login WHERE email = 'ada@example.org'").pop().expect("a login");
        let login = aquabills::domain::ids::LoginId(login.parse().expect("a number"));
        // Both at the same moment, again and again: once the owner's password is set, the thief's does not come after it.
        for round in 0..4 {
            let stolen = format!("the thief took this {round}");
            let own = format!("quiet pipes in winter {round}");
            let current = if round == 0 { PASSWORD.to_owned() } else { format!("quiet pipes in winter {}", round - 1) };
            let link = send_link(&town.context, "ada@example.org", false).expect("a link");
            let token = link.trim_start_matches("/password/");
            let set = std::thread::scope(|scope| {
                let context = &town.context;
                scope.spawn(|| drop(change_password(context, login, &session, &current, &stolen)));
                scope.spawn(|| set_password_by_link(context, token, &own).is_ok()).join().expect("the owner's hand ends")
            });
            if !set {
                // The thief was first, which made the link worthless: the owner asks for another.
                give_password(&town.context, "ada@example.org", &own);
            }
            town.context.clock.set(town.context.now().and_utc() + Duration::hours(25));
            assert_eq!(site.browser().sign_in("ada@example.org", &own).status, 303, "{round}");
            let tried = change_password(&town.context, login, &session, &stolen, &own).expect("an answer");
            assert!(matches!(tried, Attempt::Wrong), "{tried:?}");
        }
        assert!(!thief.is_signed_in());
    }

    fn a_secret_that_was_seen_is_not_proposed_again(town: Town) {
        let mut town = town;
        town_of_two(&town);
        let site = Served::new(&mut town);
        let mut thief = site.customer("ada@example.org");
        let seen = secret_of(&thief.get("/sign-in/set-up-factor"));
        let mut owner = site.customer("ada@example.org");
        let page = owner.get("/sign-in/set-up-factor");
        let secret = secret_of(&page);
        assert_ne!(secret, seen, "a new password takes a new secret");
        // Whoever is signed in elsewhere gave no code: they are out.
        let mut other = site.browser();
        other.sign_in("ada@example.org", PASSWORD);
        assert!(other.is_signed_in());
        let code = support::http::code(&secret, town.context.now());
        let page = owner.get("/sign-in/set-up-factor");
        assert_eq!(owner.post_form(&page, "/sign-in/set-up-factor", &[("code", &code)]).status, 303);
        assert!(owner.is_signed_in() && !other.is_signed_in() && !thief.is_signed_in());
    }

    fn days_that_no_calendar_of_ours_has_are_refused(town: Town) {
        let mut town = town;
        town_of_two(&town);
        let site = Served::new(&mut town);
        let mut clerk = site.staff(Role::Clerk);
        let path = "/staff/accounts/A-1/payment";
        for (number, on) in ["0000-01-01", "-0001-01-01", "-262143-01-01", "1899-12-31", "9999-12-31", "+2026-01-01", "2026-1-1", "٢٠٢٦-٠١-٠١"].iter().enumerate() {
            let reference = format!("R-{number}");
            let answer = send(&mut clerk, path, path, &[("amount", "1.00"), ("tender", "cash"), ("effective_on", on), ("reference", &reference)]);
            assert_eq!(answer.status, 422, "{on}: {}", answer.location());
            let path = "/staff/accounts/A-1/read";
            let fields = [("register", "M-1 1"), ("reading", "120"), ("read_on", on), ("kind", "actual"), ("vouch", "yes"), ("note", "seen")];
            assert_eq!(send(&mut clerk, path, path, &fields).status, 422, "{on}");
        }
        let mut supervisor = site.staff(Role::Supervisor);
        for on in ["0000-01-01x", "-262143-01-01", "99999-01-01"] {
            assert_eq!(send(&mut supervisor, "/staff/run", "/staff/run", &[("cycle", "all"), ("through", on)]).status, 422, "{on}");
        }
        let mut ada = site.customer("ada@example.org");
        let sent = send(&mut ada, "/account/A-1/reading", "/account/A-1/reading", &[("meter", "M-1"), ("reading", "120"), ("read_on", "-0001-01-01")]);
        assert_eq!(sent.status, 422);
        assert!(ask(&town, "SELECT source AS line FROM financial_transaction").is_empty());
    }

    fn one_payment_from_many_browsers_is_one_payment_and_one_letter(town: Town) {
        let mut town = town;
        town_of_two(&town);
        let site = Served::new(&mut town);
        let mut clerk = site.staff(Role::Clerk);
        let path = "/staff/accounts/A-1/payment";
        let page = clerk.get(path);
        let payment = |cents: &str| {
            let fields = [("amount", cents), ("tender", "cash"), ("effective_on", "2026-06-01"), ("reference", "P-ONCE")];
            (path.to_owned(), filled(&page, &fields))
        };
        let answers = at_once(&clerk, &vec![payment("40.00"); 6]);
        assert_eq!(answers.iter().filter(|answer| answer.location().contains("done=posted")).count(), 1);
        assert_eq!(answers.iter().filter(|answer| answer.location().contains("done=known")).count(), 5);
        let (to, body) = payment("41.00");
        assert_eq!(clerk.post(&to, &body).status, 422, "another amount is another payment");
        assert_eq!(town.balance("A-1"), "-40.00");
        assert_eq!(ask(&town, "SELECT kind AS line FROM notice WHERE kind = 'payment_received'").len(), 1);
        let back = "/staff/accounts/A-1/payments/1/return";
        let page = clerk.get(back);
        let request = (back.to_owned(), filled(&page, &[("effective_on", "2026-06-02"), ("reason", "Account closed")]));
        let answers = at_once(&clerk, &vec![request; 6]);
        assert!(answers.iter().all(|answer| answer.status == 303), "{answers:?}");
        assert_eq!(town.balance("A-1"), "0.00");
        assert_eq!(ask(&town, "SELECT kind AS line FROM notice WHERE kind = 'payment_returned'").len(), 1);
        town.assert_sound();
    }

    fn hostile_words_stay_words(town: Town) {
        let mut town = town;
        let evil = "<script>alert(1)</script>'><img src=x onerror=alert(2)>";
        town.tariff(support::TARIFF).expect("the tariff is accepted");
        people(&town, &[&format!("A<b>1,S<b>1,HOME,M<b>'1,4,{evil},{evil} street,eve@example.org")]);
        town.reads(&["M<b>'1,2026-01-01,100", "M<b>'1,2026-02-01,115"]);
        town.bill("2026-02-01");
        town.reads(&["M<b>'1,2026-03-01,9000"]);
        let site = Served::new(&mut town);
        let account = "/staff/accounts/A%3Cb%3E1";
        let mut supervisor = site.staff(Role::Supervisor);
        let path = format!("{account}/payment");
        let fields = [("amount", "4.00"), ("tender", "cash"), ("effective_on", "2026-06-01"), ("reference", evil)];
        let posted = send(&mut supervisor, &path, &path, &fields);
        assert_eq!(posted.status, 303, "{}", posted.body);
        let path = format!("{account}/payments/2/return");
        let fields = [("effective_on", "2026-06-02"), ("reason", evil), ("note", evil)];
        assert_eq!(send(&mut supervisor, &path, &path, &fields).status, 303);
        give_password(&site.context, "eve@example.org", PASSWORD);
        let mut eve = site.browser();
        eve.agent = evil.to_owned();
        assert_eq!(eve.sign_in("eve@example.org", PASSWORD).status, 303);
        let query = "%3Cscript%3Ealert(1)%3C%2Fscript%3E%22%27";
        let mut seen = 0;
        let look = |browser: &mut Browser, paths: &[String]| {
            for path in paths {
                let page = browser.get(path);
                assert!(page.status < 500, "{path}: {}", page.status);
                for bad in ["<script", "<img src=x", "<b>1", "alert(1)\""] {
                    assert!(!page.body.contains(bad), "{path} says {bad}: {}", page.body);
                }
                assert!(page.header("content-security-policy").starts_with("default-src 'none'"), "{path}");
            }
        };
        let staff: Vec<String> = ["", "/bills", "/services", "/reads", "/notices", "/payment", "/adjustment", "/read", "/payments/2", "/trail"]
            .iter()
            .map(|part| format!("{account}{part}"))
            .chain(["/staff", "/staff/todos", "/staff/runs/1", "/staff/runs/1/bills", "/staff/notices", "/staff/notices/1", "/staff/notices/2", "/staff/notices/3", "/staff/notices/4", "/staff/notices/5"].map(str::to_owned))
            .chain([format!("/staff/search?q={query}"), "/staff/search?q=street".to_owned(), format!("/staff/audit?actor={query}&action={query}&subject={query}&from_day={query}")])
            .chain([format!("/staff/notices?account={query}&recipient={query}"), format!("/staff/todos?kind={query}&account={query}&done={query}")])
            .collect();
        look(&mut supervisor, &staff);
        look(&mut site.staff(Role::Administrator), &staff);
        let own: Vec<String> = ["", "/bills", "/activity", "/usage", "/reading"].iter().map(|part| format!("/account/A%3Cb%3E1{part}")).collect();
        look(&mut eve, &own);
        look(&mut eve, &["/profile".to_owned(), "/profile/sign-in".to_owned(), "/bills/00001-0000001".to_owned(), format!("/sign-in?next={query}")]);
        seen += staff.len();
        assert!(seen > 20);
        let table = eve.get("/account/A%3Cb%3E1/usage.csv");
        assert_eq!((table.status, table.header("content-type")), (200, "text/csv; charset=utf-8"));
    }

    fn odd_requests_are_answered_plainly(town: Town) {
        let mut town = town;
        town_of_two(&town);
        let site = Served::new(&mut town);
        let mut clerk = site.staff(Role::Clerk);
        for path in ["/health", "/", "/sign-in", "/staff/accounts/A-1"] {
            let (get, head) = (clerk.get(path), clerk.send("HEAD", path, ""));
            assert_eq!((head.status, head.body.as_str()), (get.status, ""), "HEAD {path}");
        }
        assert_eq!(site.browser().send("HEAD", "/staff", "").status, 303, "and is no way around the sign-in");
        for method in ["OPTIONS", "TRACE", "PUT", "DELETE", "PATCH"] {
            assert_eq!(clerk.send(method, "/staff/accounts/A-1", "").status, 404, "{method}");
        }
        // A zero that is not escaped: PostgreSQL keeps none.
        let path = "/staff/accounts/A-1/adjustment";
        let page = clerk.get(path);
        let body = filled(&page, &[("reason", "goodwill"), ("way", "credit"), ("amount", "1.00"), ("effective_on", "2026-06-01"), ("reference", "R")]);
        assert_eq!(clerk.post(path, &format!("{body}&note=a\0b")).status, 422);
        for path in ["/account/%2e%2e", "/staff//runs", "/%2e%2e/etc/passwd", "/static/%2e%2e/Cargo.toml", "/account/A-1%0d%0aX:y"] {
            assert_eq!(clerk.get(path).status, 404, "{path}");
        }
    }

    fn a_folder_of_mail_that_was_cleared_away_comes_again(town: Town) {
        let mut town = town;
        town_of_two(&town);
        let folder = town.dir.path().join("mail");
        town.configure(|config| (config.mail.transport, config.mail.folder) = (MailTransport::Folder, folder.clone()));
        let mut round = Round::open(&town.context).expect("the folder opens").expect("something is sent");
        std::fs::remove_dir_all(&folder).expect("it is cleared away");
        town.pay("A-1", "5.00", "P-1");
        assert_eq!(round.send_due(&|| false).expect("it is sent").sent, 1);
    }
}

#[test]
fn a_half_made_demonstration_is_not_taken_for_a_whole_one() {
    let town = Town::sqlite();
    let folder = town.dir.path().join("demo");
    let demo = |more: &[&str]| {
        let mut args = vec!["demo", "--accounts", "20", "--folder", folder.to_str().expect("a path")];
        args.extend(more);
        std::process::Command::new(env!("CARGO_BIN_EXE_aquabills")).args(args).output().expect("the program runs")
    };
    let made = demo(&["--no-serve"]);
    assert!(made.status.success(), "{}", support::stderr(&made));
    assert!(demo(&["--no-serve"]).status.success(), "a whole one is kept");
    // What a kill leaves: everything but the last file.
    std::fs::remove_file(folder.join("sign-ins.txt")).expect("it is there");
    let half = demo(&["--no-serve"]);
    assert!(half.status.success() && support::stderr(&half).contains("made anew"), "{}", support::stderr(&half));
    // Where somebody else listens nothing is thrown away.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    assert_eq!(demo(&["--fresh", "--listen", &address]).status.code(), Some(1));
    assert!(folder.join("town.db").exists());
    let fresh = demo(&["--fresh", "--no-serve"]);
    assert!(fresh.status.success(), "{}", support::stderr(&fresh));
}
