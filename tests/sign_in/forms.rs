//! Forms of other sites are refused in every way, and every response tells browsers what not to do.

use aquabills::domain::roles::Role;

use crate::support::http::{PASSWORD, Served, encoded, give_password};
use crate::support::on_both;
use crate::{ask, serve};

/// A form's origin, the site it says it is of, its fields, and what is expected.
type Try<'a> = (&'a str, Option<&'a str>, Vec<(&'a str, &'a str)>, String);

on_both! {
    fn forms_of_other_sites_are_refused(town: Town) {
        let mut town = town;
        let served = serve(&mut town);
        let mut admin = served.staff(Role::Administrator);
        let csrf = admin.get("/staff/logins").csrf("/staff/logins");
        let others = served.customer("ada@example.org").get("/profile/sign-in").csrf("/sign-out");
        let field = |token: &str| encoded(&[("email", "new@utility.example"), ("name", "New"), ("role", "clerk"), ("csrf", token)]);
        let good = field(&csrf);
        let tries: [Try<'_>; 13] = [
            ("no token", None, vec![], encoded(&[("email", "new@utility.example"), ("name", "New"), ("role", "clerk")])),
            ("an empty token", None, vec![], field("")),
            ("a wrong token", None, vec![], field(&"x".repeat(csrf.len()))),
            ("the token of another session", None, vec![], field(&others)),
            ("two tokens", None, vec![], format!("{good}&csrf=x")),
            ("another site", Some("https://evil.example"), vec![], good.clone()),
            ("a site with our name in it", Some("http://127.0.0.1:1.evil.example"), vec![], good.clone()),
            ("another port", Some("http://127.0.0.1:1"), vec![], good.clone()),
            ("no known site", Some("null"), vec![], good.clone()),
            ("no word of where from", Some(""), vec![], good.clone()),
            ("another site, says the browser", None, vec![("Sec-Fetch-Site", "cross-site")], good.clone()),
            ("a sister site, says the browser", None, vec![("Sec-Fetch-Site", "same-site")], good.clone()),
            ("another site's page", Some(""), vec![("Referer", "https://evil.example/page")], good.clone()),
        ];
        for (what, origin, headers, body) in tries {
            let mut browser = admin.clone();
            browser.origin = origin.map(str::to_owned);
            browser.extra = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let answer = browser.post("/staff/logins", &body);
            assert_eq!(answer.status, 403, "{what}");
            assert!(answer.body.contains("open the page again"), "{what}: {}", answer.body);
        }
        let large = format!("{good}&x={}", "y".repeat(65 * 1024));
        assert_eq!(admin.post("/staff/logins", &large).status, 413);
        assert_eq!(ask(&town, "SELECT email AS line FROM login WHERE role = 'clerk'"), Vec::<String>::new(), "nothing was done");
        for (origin, header) in [(None, Some(("Sec-Fetch-Site", "same-origin"))), (Some(""), Some(("Referer", "HERE"))), (None, None)] {
            let mut browser = admin.clone();
            browser.origin = origin.map(str::to_owned);
            let here = format!("http://{}/staff/logins", browser.host);
            browser.extra = header.iter().map(|(name, value)| ((*name).to_owned(), value.replace("HERE", &here))).collect();
            let answer = browser.post("/staff/logins", &good);
            assert!(matches!(answer.status, 303 | 422), "{header:?}: {}", answer.body);
        }
        assert_eq!(ask(&town, "SELECT email AS line FROM login WHERE role = 'clerk'"), ["new@utility.example"]);
    }

    fn nobody_is_signed_in_by_another_site(town: Town) {
        let mut town = town;
        let served = serve(&mut town);
        give_password(&town.context, "ada@example.org", PASSWORD);
        let mut browser = served.browser();
        let csrf = browser.get("/sign-in").csrf("/sign-in");
        let fields = |token: &str| encoded(&[("email", "ada@example.org"), ("password", PASSWORD), ("csrf", token)]);
        let mut foreign = browser.clone();
        foreign.origin = Some("https://evil.example".to_owned());
        assert_eq!(foreign.post("/sign-in", &fields(&csrf)).status, 403);
        let mut without_cookie = served.browser();
        assert_eq!(without_cookie.post("/sign-in", &fields(&csrf)).status, 403);
        assert_eq!(browser.post("/sign-in", &fields("x")).status, 403);
        assert_eq!(browser.post("/sign-in", "email=a").status, 403);
        let missing = browser.post("/sign-in", &format!("email=a&csrf={csrf}"));
        assert!(missing.status == 422 && missing.body.contains("password"), "{}", missing.body);
        assert_eq!(browser.post("/sign-in", &fields(&csrf)).status, 303);
    }

    fn every_response_tells_browsers_what_not_to_do(town: Town) {
        let mut town = town;
        let served = serve(&mut town);
        let mut ada = served.customer("ada@example.org");
        let mut guest = served.browser();
        let answers = [
            ("/", guest.get("/"), 200),
            ("/sign-in", guest.get("/sign-in"), 200),
            ("/static/style.css", guest.get("/static/style.css"), 200),
            ("/health", guest.get("/health"), 200),
            ("/profile/sign-in", guest.get("/profile/sign-in"), 303),
            ("/profile/sign-in of ada", ada.get("/profile/sign-in"), 200),
            ("/staff/logins of ada", ada.get("/staff/logins"), 403),
            ("/nowhere", guest.get("/nowhere"), 404),
            ("/sign-in?next=%", guest.get("/sign-in?next=%ff"), 200),
            ("POST /sign-in", guest.post("/sign-in", "x"), 403),
            ("POST /nowhere", guest.post("/nowhere", "x"), 404),
            ("DELETE /sign-in", guest.send("DELETE", "/sign-in", ""), 404),
        ];
        for (what, answer, status) in &answers {
            assert_eq!(answer.status, *status, "{what}: {}", answer.body);
            let policy = answer.header("content-security-policy");
            assert!(policy.starts_with("default-src 'none'; style-src 'self'"), "{what}: {policy}");
            assert!(policy.contains("frame-ancestors 'none'") && policy.contains("base-uri 'none'") && policy.contains("form-action 'self'"));
            assert!(!policy.contains("unsafe") && !policy.contains("data:") && !policy.contains('*'), "{what}: {policy}");
            for (name, value) in [
                ("x-content-type-options", "nosniff"),
                ("referrer-policy", "same-origin"),
                ("cross-origin-opener-policy", "same-origin"),
                ("cross-origin-resource-policy", "same-origin"),
            ] {
                assert_eq!(answer.header(name), value, "{what}: {name}");
            }
            assert!(answer.header("permissions-policy").contains("camera=()"), "{what}");
            let cache = answer.header("cache-control");
            assert!(cache == "no-store" || what.starts_with("/static"), "{what}: {cache}");
            assert!(!answer.body.contains("style=\"") && !answer.body.contains("<script"), "{what}");
        }
        // the pages of errors are those of whoever looks
        assert!(answers[6].1.body.contains("Signed in as Ada Lovelace"));
        assert!(answers[7].1.body.contains("no page at this address"));
    }

    fn cookies_are_for_protected_connections_unless_told_otherwise(town: Town) {
        let mut town = town;
        let served = serve(&mut town);
        assert_eq!(served.browser().get("/").header("strict-transport-security"), "");
        town.configure(|config| config.sign_in.secure_cookies = true);
        let strict = Served::with_settings(&town);
        give_password(&town.context, "ada@example.org", PASSWORD);
        let mut browser = strict.browser();
        let page = browser.get("/sign-in");
        assert!(page.header("set-cookie").starts_with("__Host-aquabills-form="), "{page:?}");
        assert!(page.header("strict-transport-security").starts_with("max-age="));
        let done = browser.sign_in("ada@example.org", PASSWORD);
        let cookie = done.header("set-cookie");
        assert!(cookie.starts_with("__Host-aquabills=") && cookie.contains("Secure") && cookie.contains("Path=/"), "{cookie}");
        assert!(!cookie.contains("Domain") && !cookie.contains("Max-Age"), "{cookie}");
        assert!(browser.is_signed_in());
        let plain = browser.cookies["__Host-aquabills"].clone();
        browser.cookies = [("aquabills".to_owned(), plain)].into();
        assert!(!browser.is_signed_in(), "a cookie that any neighbour may set is not believed");
    }
}
