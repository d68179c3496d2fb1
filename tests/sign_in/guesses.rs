//! Guesses: a thousand in a row, a thousand at once, at passwords and at codes.

use std::sync::atomic::{AtomicUsize, Ordering};

use aquabills::domain::roles::Role;
use chrono::Duration;

use crate::support::http::{Browser, PASSWORD, Served, add_staff, code, encoded, give_password, secret_of};
use crate::support::{Town, on_both};
use crate::{ask, serve, wait};

/// A thousand guesses with the right one now and then.
fn guess(number: usize) -> String {
    if number % 7 == 6 && number > 6 { PASSWORD.to_owned() } else { format!("guess number {number}") }
}

fn fields(csrf: &str, email: &str, password: &str) -> String {
    encoded(&[("email", email), ("password", password), ("csrf", csrf)])
}

on_both! {
    fn a_thousand_guesses_in_a_row_are_of_no_use(town: Town) {
        let mut town = town;
        let served = serve(&mut town);
        give_password(&town.context, "ada@example.org", PASSWORD);
        let mut browser = served.browser();
        let csrf = browser.get("/sign-in").csrf("/sign-in");
        let (mut checked, mut blocked) = (0, 0);
        for number in 0..1000 {
            let answer = browser.post("/sign-in", &fields(&csrf, "ada@example.org", &guess(number)));
            match answer.status {
                422 => checked += 1,
                429 => {
                    blocked += 1;
                    assert!(answer.body.contains("this one was not checked"), "{}", answer.body);
                    assert!(answer.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0));
                }
                other => panic!("guess {number} was answered {other}"),
            }
        }
        assert_eq!((checked, blocked), (5, 995));
        assert!(!browser.is_signed_in());
        // with patience it is no better: a quarter of an hour for each guess
        for _ in 0..40 {
            wait(&town, Duration::minutes(1));
            checked += usize::from(browser.post("/sign-in", &fields(&csrf, "ada@example.org", "another guess")).status == 422);
        }
        assert!(checked <= 5 + 9, "{checked} guesses were checked");
        wait(&town, Duration::minutes(16));
        assert_eq!(browser.sign_in("ada@example.org", PASSWORD).status, 303, "its owner waits and comes in");
        assert_eq!(ask(&town, "SELECT subject AS line FROM login_throttle WHERE subject LIKE 'address:%'"), Vec::<String>::new());
    }

    fn a_thousand_guesses_at_once_on_two_servers_are_of_no_use(town: Town) {
        let mut town = town;
        let one = serve(&mut town);
        let other = Served::with_settings(&town);
        give_password(&town.context, "ada@example.org", PASSWORD);
        let (checked, entered) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for worker in 0..8 {
                let served = if worker % 2 == 0 { &one } else { &other };
                let (checked, entered) = (&checked, &entered);
                scope.spawn(move || {
                    let mut browser = served.browser();
                    let csrf = browser.get("/sign-in").csrf("/sign-in");
                    for number in 0..125 {
                        // the right password comes when the block must be there already
                        let password = if number > 5 { PASSWORD.to_owned() } else { format!("guess {worker} {number}") };
                        match browser.post("/sign-in", &fields(&csrf, "ada@example.org", &password)).status {
                            422 => checked.fetch_add(1, Ordering::SeqCst),
                            429 => 0,
                            _ => entered.fetch_add(1, Ordering::SeqCst),
                        };
                    }
                });
            }
        });
        assert_eq!((checked.load(Ordering::SeqCst), entered.load(Ordering::SeqCst)), (5, 0));
    }

    fn a_client_cannot_go_through_the_town(town: Town) {
        let mut town = town;
        let served = serve(&mut town);
        let mut browser = served.browser();
        let csrf = browser.get("/sign-in").csrf("/sign-in");
        let statuses = |browser: &mut Browser, count: usize| -> Vec<u16> {
            let post = |n: usize| browser.post("/sign-in", &fields(&csrf, &format!("person{n}@example.org"), "the same password")).status;
            (0..count).map(post).collect()
        };
        let first = statuses(&mut browser, 30);
        assert_eq!((first[..20].iter().all(|status| *status == 422), first[20..].iter().all(|status| *status == 429)), (true, true));
        // what a client says of itself is not believed, unless the settings name the proxy that says it
        browser.extra = vec![("X-Forwarded-For".to_owned(), "203.0.113.9".to_owned())];
        assert_eq!(statuses(&mut browser, 1), [429]);
        town.configure(|config| config.sign_in.trusted_proxy = Some("127.0.0.1".parse().expect("an address")));
        browser.host = Served::with_settings(&town).host;
        assert_eq!(statuses(&mut browser, 1), [422]);
        browser.extra = vec![("X-Forwarded-For".to_owned(), "198.51.100.1, 127.0.0.1".to_owned())];
        assert_eq!(statuses(&mut browser, 1), [429], "only the last entry is the proxy's own");
        // whoever knows one password does not free the way for guesses at others'
        give_password(&town.context, "ada@example.org", PASSWORD);
        browser.extra = vec![("X-Forwarded-For".to_owned(), "203.0.113.10".to_owned())];
        let mut checked = 0;
        for number in 0..60 {
            let own = number % 2 == 1;
            let (email, password) = if own { ("ada@example.org".to_owned(), PASSWORD) } else { (format!("p{number}@example.org"), "a guess") };
            checked += usize::from(!own && browser.post("/sign-in", &fields(&csrf, &email, password)).status == 422);
        }
        assert!(checked <= 20, "{checked}");
    }

    fn codes_cannot_be_guessed_nor_used_twice(town: Town) {
        let mut town = town;
        let served = serve(&mut town);
        let mut clerk = served.browser();
        add_staff(&town.context, "clerk@utility.example", Role::Clerk);
        clerk.sign_in("clerk@utility.example", PASSWORD);
        let page = clerk.get("/sign-in/set-up-factor");
        let secret = secret_of(&page);
        assert_eq!(secret_of(&clerk.get("/sign-in/set-up-factor")), secret, "a reload shows the same key");
        let wrong = clerk.post_form(&page, "/sign-in/set-up-factor", &[("code", "000000")]);
        assert!(wrong.status == 422 && wrong.body.contains("The code is not right"), "{}", wrong.body);
        let first = code(&secret, town.context.now());
        assert_eq!(clerk.post_form(&page, "/sign-in/set-up-factor", &[("code", &first)]).status, 303);
        assert!(clerk.is_signed_in());
        // the code that set it up is used up, as is each later one
        let mut again = served.browser();
        assert_eq!(again.sign_in("clerk@utility.example", PASSWORD).location(), "/sign-in/second-factor?next=/");
        let give = |browser: &mut Browser, code: &str| browser.submit("/sign-in/second-factor", "/sign-in/second-factor", &[("code", code)]);
        assert_eq!(give(&mut again, &first).status, 422);
        wait(&town, Duration::seconds(30));
        let second = code(&secret, town.context.now());
        let token = again.cookies["aquabills"].clone();
        assert_eq!(give(&mut again, &second).status, 303);
        assert_ne!(again.cookies["aquabills"], token, "the session of the first step ends with it");
        let mut third = served.browser();
        third.sign_in("clerk@utility.example", PASSWORD);
        assert_eq!(give(&mut third, &second).status, 422, "a replayed code");
        // a clock that is half a minute off is forgiven, more is not
        wait(&town, Duration::seconds(90));
        let ahead = code(&secret, town.context.now() + Duration::seconds(60));
        assert_eq!(give(&mut third, &ahead).status, 422);
        let late = code(&secret, town.context.now() - Duration::seconds(30));
        assert_eq!(give(&mut third, &late).status, 303);
        assert!(third.is_signed_in());
    }

    fn a_thousand_codes_are_of_no_use(town: Town) {
        let mut town = town;
        let served = serve(&mut town);
        let mut clerk = served.browser();
        add_staff(&town.context, "clerk@utility.example", Role::Clerk);
        clerk.sign_in("clerk@utility.example", PASSWORD);
        let page = clerk.get("/sign-in/set-up-factor");
        let secret = secret_of(&page);
        clerk.post_form(&page, "/sign-in/set-up-factor", &[("code", &code(&secret, town.context.now()))]);
        wait(&town, Duration::minutes(5));
        let right = code(&secret, town.context.now());
        let mut thief = served.browser();
        thief.sign_in("clerk@utility.example", PASSWORD);
        let csrf = thief.get("/sign-in/second-factor").csrf("/sign-in/second-factor");
        let mut checked = 0;
        for number in 0..1000 {
            let guess = if number > 10 { right.clone() } else { format!("{number:06}") };
            match thief.post("/sign-in/second-factor", &encoded(&[("code", &guess), ("csrf", &csrf)])).status {
                422 => checked += 1,
                429 => {}
                other => panic!("guess {number} was answered {other}"),
            }
        }
        assert_eq!(checked, 5);
        assert!(!thief.is_signed_in() && clerk.is_signed_in(), "the session that is there goes on");
        // signing in anew with the right password gives no further guesses
        thief.sign_in("clerk@utility.example", PASSWORD);
        assert_eq!(thief.submit("/sign-in/second-factor", "/sign-in/second-factor", &[("code", &right)]).status, 429);
    }

    fn nobody_is_flooded_with_links(town: Town) {
        let mut town = town;
        let served = serve(&mut town);
        let mut browser = served.browser();
        let csrf = browser.get("/sign-in/link").csrf("/sign-in/link");
        let statuses: Vec<u16> =
            (0..25).map(|_| browser.post("/sign-in/link", &encoded(&[("email", "ada@example.org"), ("csrf", &csrf)])).status).collect();
        assert_eq!((statuses[..20].iter().all(|status| *status == 200), statuses[20..].iter().all(|status| *status == 429)), (true, true));
        assert_eq!(ask(&town, "SELECT kind AS line FROM notice").len(), 5);
    }
}
