//! Sessions begin with the right secrets and end when they must.

use chrono::Duration;

use aquabills::actions::sign_in;
use aquabills::domain::roles::Role;

use crate::support::http::{PASSWORD, give_password, without_tokens};
use crate::support::{dump, on_both};
use crate::{ask, audit, mailed_link, serve, told, wait};

on_both! {
    fn a_customer_signs_in_and_out(town: Town) {
        let mut town = town;
        let served = serve(&mut town);
        give_password(&town.context, "ada@example.org", PASSWORD);
        let mut browser = served.browser();
        let wrong = browser.sign_in("ada@example.org", "not the password");
        let unknown = browser.sign_in("nobody@example.org", PASSWORD);
        assert_eq!((wrong.status, unknown.status), (422, 422));
        assert!(wrong.body.contains("The address or the password is not right."), "{}", wrong.body);
        assert_eq!(without_tokens(&wrong).replace("ada@", "nobody@"), without_tokens(&unknown), "nobody learns which addresses are known");
        let done = browser.sign_in(" Ada@EXAMPLE.org ", PASSWORD);
        assert_eq!((done.status, done.location()), (303, "/"));
        assert!(done.header("set-cookie").contains("HttpOnly") && done.header("set-cookie").contains("SameSite=Lax"), "{done:?}");
        assert!(browser.get("/profile/sign-in").body.contains("Signed in as Ada Lovelace"));
        let token = browser.cookies["aquabills"].clone();
        let rows = dump(&town).join("\n");
        assert!(!rows.contains(&token) && !rows.contains(PASSWORD), "secrets are not in the database");
        assert!(rows.contains(&sign_in::token_hash(&token)));
        // the cookie of an ended session is worth nothing, even when it is kept
        let out = browser.submit("/profile/sign-in", "/sign-out", &[]);
        assert_eq!((out.status, out.location()), (303, "/sign-in?done=out"));
        assert!(!browser.cookies.contains_key("aquabills"));
        browser.cookies.insert("aquabills".to_owned(), token);
        assert!(!browser.is_signed_in());
        let trail = audit(&town, "ada@example.org");
        assert_eq!(trail[trail.len() - 3..], ["sign_in.failed", "sign_in.ok", "sign_in.out"]);
        assert!(audit(&town, "nobody@example.org").is_empty(), "what was typed as the address of nobody is not kept");
    }

    fn a_page_is_found_again_after_the_sign_in(town: Town) {
        let mut town = town;
        let served = serve(&mut town);
        give_password(&town.context, "ada@example.org", PASSWORD);
        let mut browser = served.browser();
        let sent = browser.get("/profile/sign-in?a=b");
        assert_eq!((sent.status, sent.location()), (303, "/sign-in?next=/profile/sign-in%3Fa%3Db"));
        let page = browser.get(sent.location());
        assert!(page.body.contains(r#"name="next" value="/profile/sign-in?a=b""#), "{}", page.body);
        for (next, place) in [("/profile/sign-in?a=b", "/profile/sign-in?a=b"), ("https://evil.example", "/"), ("//evil.example", "/")] {
            let fields = [("email", "ada@example.org"), ("password", PASSWORD), ("next", next)];
            let mut browser = served.browser();
            assert_eq!(browser.submit("/sign-in", "/sign-in", &fields).location(), place);
        }
        // a form of a session that ended leads to the sign-in as well
        let gone = browser.post("/profile/sign-in/end-all", "csrf=x");
        assert_eq!((gone.status, gone.location()), (303, "/sign-in"));
    }

    fn a_session_ends_when_it_is_not_used(town: Town) {
        let mut town = town;
        let served = serve(&mut town);
        let mut customer = served.customer("ada@example.org");
        let mut clerk = served.staff(Role::Clerk);
        for _ in 0..3 {
            wait(&town, Duration::minutes(29));
            assert!(clerk.is_signed_in() && customer.is_signed_in());
        }
        wait(&town, Duration::minutes(30));
        assert!(!clerk.is_signed_in());
        wait(&town, Duration::minutes(29));
        assert!(customer.is_signed_in(), "59 minutes");
        wait(&town, Duration::minutes(60));
        assert!(!customer.is_signed_in());
    }

    fn a_session_ends_however_it_is_used(town: Town) {
        let mut town = town;
        let served = serve(&mut town);
        let mut browser = served.customer("ada@example.org");
        for _ in 0..24 {
            wait(&town, Duration::minutes(29));
            assert!(browser.is_signed_in());
        }
        wait(&town, Duration::minutes(24));
        assert!(!browser.is_signed_in(), "12 hours");
        // nothing brings it back, and the broom takes it a month later
        wait(&town, Duration::days(29));
        sign_in::sweep(&town.context).expect("swept");
        assert_eq!(ask(&town, "SELECT CAST(count(*) AS TEXT) AS line FROM login_session"), ["1"]);
        wait(&town, Duration::days(2));
        let swept = sign_in::sweep(&town.context).expect("swept");
        assert_eq!((swept.sessions, swept.links > 0 || ask(&town, "SELECT token_hash AS line FROM login_link").is_empty()), (1, true));
        assert_eq!(ask(&town, "SELECT subject AS line FROM login_throttle"), Vec::<String>::new());
    }

    fn sessions_are_listed_and_ended_one_by_one_or_all(town: Town) {
        let mut town = town;
        let served = serve(&mut town);
        let mut here = served.customer("ada@example.org");
        let mut there = served.browser();
        there.agent = "Lynx <b>".to_owned();
        there.sign_in("ada@example.org", PASSWORD);
        let mut other = served.customer("bob@example.org");
        let page = here.get("/profile/sign-in");
        assert!(page.body.contains("Lynx &#60;b&#62;") && page.body.contains("this one"), "{}", page.body);
        assert_eq!(page.body.matches("action=\"/profile/sign-in/end\"").count(), 2);
        let key = sign_in::token_hash(&there.cookies["aquabills"]);
        let not_theirs = other.submit("/profile/sign-in", "/profile/sign-in/end", &[("session", &key)]);
        assert_eq!(not_theirs.status, 404);
        assert!(there.is_signed_in());
        assert_eq!(here.post_form(&page, "/profile/sign-in/end", &[("session", &key)]).status, 303);
        assert!(!there.is_signed_in() && here.is_signed_in());
        there.sign_in("ada@example.org", PASSWORD);
        assert_eq!(here.submit("/profile/sign-in", "/profile/sign-in/end-all", &[]).location(), "/sign-in?done=out");
        assert!(!there.is_signed_in() && !here.is_signed_in() && other.is_signed_in());
    }

    fn a_changed_password_ends_the_other_sessions(town: Town) {
        let mut town = town;
        let served = serve(&mut town);
        let mut here = served.customer("ada@example.org");
        let mut there = here.clone();
        there.cookies.clear();
        there.sign_in("ada@example.org", PASSWORD);
        let new = "dry wells echo at noon";
        let change = |current: &str, new: &str, repeated: &str| {
            let mut browser = here.clone();
            let fields = [("current", current), ("password", new), ("repeated", repeated)];
            browser.submit("/profile/sign-in", "/profile/sign-in/password", &fields)
        };
        assert!(change("wrong", new, new).body.contains("The current password is not right."));
        assert!(change(PASSWORD, new, "another one").body.contains("differ"));
        assert!(change(PASSWORD, "tooshort", "tooshort").body.contains("The password has 8 characters: expected at least 12."));
        assert!(change(PASSWORD, "Password2026!", "Password2026!").body.contains("common"));
        assert!(change(PASSWORD, "adalovelace-1815", "adalovelace-1815").body.contains("mostly your name"));
        assert!(there.is_signed_in(), "nothing was changed yet");
        assert_eq!(change(PASSWORD, new, new).location(), "/profile/sign-in?done=password");
        assert!(here.is_signed_in() && !there.is_signed_in());
        assert_eq!(there.sign_in("ada@example.org", PASSWORD).status, 422);
        assert_eq!(there.sign_in("ada@example.org", new).status, 303);
        assert_eq!(told(&town, "ada@example.org"), ["password_link", "password_link", "password_changed", "password_changed"][1..]);
    }

    fn a_mailed_link_is_good_once(town: Town) {
        let mut town = town;
        let served = serve(&mut town);
        let mut browser = served.browser();
        let asked = browser.submit("/sign-in/link", "/sign-in/link", &[("email", "ADA@example.org")]);
        let unknown = browser.submit("/sign-in/link", "/sign-in/link", &[("email", "nobody@example.org")]);
        assert_eq!((asked.status, unknown.status), (200, 200));
        assert_eq!(without_tokens(&asked), without_tokens(&unknown), "nobody learns which addresses are on file");
        assert_eq!(told(&town, "nobody@example.org"), Vec::<String>::new());
        let link = mailed_link(&town, "ada@example.org").expect("a link was mailed");
        let token = link.trim_start_matches("/password/").to_owned();
        let kept = ask(&town, "SELECT token_hash AS line FROM login_link");
        assert_eq!(kept, [sign_in::token_hash(&token)]);
        // looking does not use it up, nor does a password that breaks a rule
        let page = browser.get(&link);
        assert!(page.body.contains("Ada Lovelace"), "{}", page.body);
        let weak = browser.post_form(&page, &link, &[("password", "aaaaaaaaaaaaaaaa"), ("repeated", "aaaaaaaaaaaaaaaa")]);
        assert!(weak.status == 422 && weak.body.contains("repeats the same characters"), "{}", weak.body);
        let set = browser.post_form(&page, &link, &[("password", PASSWORD), ("repeated", PASSWORD)]);
        assert_eq!((set.status, set.location()), (303, "/sign-in?done=password"));
        assert_eq!(browser.sign_in("ada@example.org", PASSWORD).status, 303);
        assert_eq!(browser.get(&link).status, 410);
        assert_eq!(browser.post_form(&page, &link, &[("password", "other words here"), ("repeated", "other words here")]).status, 410);
        assert!(browser.is_signed_in(), "a used link changes nothing");
    }

    fn a_link_ends_sessions_and_older_links_and_grows_old(town: Town) {
        let mut town = town;
        let served = serve(&mut town);
        let mut ada = served.customer("ada@example.org");
        let ask_for = |count: usize| (0..count).map(|_| {
            served.browser().submit("/sign-in/link", "/sign-in/link", &[("email", "ada@example.org")]);
            mailed_link(&town, "ada@example.org").expect("a link")
        }).collect::<Vec<_>>();
        let links = ask_for(2);
        let new = [("password", "quiet rivers turn slowly"), ("repeated", "quiet rivers turn slowly")];
        let mut browser = served.browser();
        wait(&town, Duration::minutes(29));
        assert_eq!(browser.submit(&links[1], &links[1], &new).status, 303);
        assert!(!ada.is_signed_in());
        assert_eq!(browser.get(&links[0]).status, 410, "an older link");
        let late = ask_for(1).remove(0);
        wait(&town, Duration::minutes(30));
        assert_eq!(browser.get(&late).status, 410, "half an hour");
        // somebody disabled gets no link, and the answer is the same
        let before = told(&town, "ada@example.org").len();
        sign_in::set_staff_disabled(&town.context, "ada@example.org", true).expect("disabled");
        ask_for(1);
        assert_eq!(told(&town, "ada@example.org").len(), before);
    }

    fn a_new_browser_is_told_of(town: Town) {
        let mut town = town;
        let served = serve(&mut town);
        let mut browser = served.customer("ada@example.org");
        browser.cookies.clear();
        browser.sign_in("ada@example.org", PASSWORD);
        let before = told(&town, "ada@example.org");
        assert!(!before.contains(&"sign_in".to_owned()), "the first browser and the same again: {before:?}");
        let mut new = served.browser();
        new.agent = "Netscape 4".to_owned();
        new.sign_in("ada@example.org", PASSWORD);
        new.cookies.clear();
        new.sign_in("ada@example.org", PASSWORD);
        assert_eq!(told(&town, "ada@example.org")[before.len()..], ["sign_in"]);
    }

    fn two_servers_share_their_sessions(town: Town) {
        let mut town = town;
        let one = serve(&mut town);
        let other = crate::support::http::Served::with_settings(&town);
        let mut browser = one.customer("ada@example.org");
        browser.host = other.host.clone();
        assert!(browser.is_signed_in());
        assert_eq!(browser.submit("/profile/sign-in", "/sign-out", &[]).status, 303);
        browser.host = one.host.clone();
        assert!(!browser.is_signed_in());
    }

    fn a_look_at_an_account_is_written_down_once(town: Town) {
        let mut town = town;
        let _served = serve(&mut town);
        let as_actor = |actor: &str| aquabills::actions::Context { actor: actor.to_owned(), ..town.context.clone() };
        let (ada, clerk) = (as_actor("ada@example.org"), as_actor("clerk@utility.example"));
        let looks = || audit(&town, "A1").iter().filter(|action| *action == "account.look").count();
        for context in [&ada, &ada, &clerk, &ada] {
            sign_in::looked_at(context, "A1").expect("written");
        }
        assert_eq!(looks(), 2);
        wait(&town, Duration::minutes(9));
        sign_in::looked_at(&ada, "A1").expect("known");
        assert_eq!(looks(), 2);
        wait(&town, Duration::minutes(2));
        sign_in::looked_at(&ada, "A1").expect("written");
        assert_eq!(looks(), 3);
    }
}
