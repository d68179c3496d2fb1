//! The utility's people: let in and out on the command line and on the page, never without a second factor.

use std::io::Write;
use std::process::Stdio;

use aquabills::actions::sign_in;
use aquabills::domain::roles::Role;
use chrono::Duration;

use crate::support::http::{PASSWORD, add_staff, code, secret_of};
use crate::support::{on_both, stderr, stdout};
use crate::{audit, mailed_link, serve, told, wait};

on_both! {
    fn staff_gets_nowhere_without_a_second_factor(town: Town) {
        let mut town = town;
        let served = serve(&mut town);
        add_staff(&town.context, "root@utility.example", Role::Administrator);
        let mut browser = served.browser();
        assert_eq!(browser.sign_in("root@utility.example", PASSWORD).location(), "/sign-in/set-up-factor?next=/");
        assert_eq!(browser.get("/staff/logins").location(), "/sign-in/set-up-factor?next=/staff/logins");
        assert!(browser.get("/").body.contains("Sign in"), "the front page takes them for nobody");
        assert_eq!(browser.get("/sign-in/second-factor").location(), "/sign-in/set-up-factor");
        let page = browser.get("/sign-in/set-up-factor");
        let csrf = page.csrf("/sign-in/set-up-factor");
        assert_eq!(browser.post("/staff/logins/disable", &format!("csrf={csrf}&email=x")).location(), "/sign-in/set-up-factor");
        assert!(page.body.contains("<svg role=\"img\"") && !page.body.contains("data:image"), "{}", page.body);
        let secret = secret_of(&page);
        browser.post_form(&page, "/sign-in/set-up-factor", &[("code", &code(&secret, town.context.now())), ("next", "/staff/logins")]);
        assert_eq!(browser.get("/staff/logins").status, 200);
        assert_eq!(browser.get("/sign-in/set-up-factor").status, 422, "there is one already");
        // the second time a code is asked for, and a half session does not last
        let mut again = served.browser();
        assert_eq!(again.sign_in("root@utility.example", PASSWORD).location(), "/sign-in/second-factor?next=/");
        assert_eq!(again.get("/staff/logins").location(), "/sign-in/second-factor?next=/staff/logins");
        assert_eq!(again.get("/sign-in/set-up-factor").location(), "/sign-in/second-factor", "no other factor instead");
        wait(&town, Duration::minutes(11));
        assert_eq!(again.get("/sign-in/second-factor").location(), "/sign-in?next=/sign-in/second-factor");
        assert!(browser.is_signed_in());
        let told = told(&town, "root@utility.example");
        assert_eq!(told, ["second_factor_changed"]);
    }

    fn an_administrator_lets_people_in_and_out(town: Town) {
        let mut town = town;
        let served = serve(&mut town);
        let mut admin = served.staff(Role::Administrator);
        let mut clerk = served.staff(Role::Clerk);
        assert_eq!(clerk.get("/staff/logins").status, 403);
        let clerks_token = clerk.get("/profile/sign-in").csrf("/sign-out");
        assert_eq!(clerk.post("/staff/logins/disable", &format!("csrf={clerks_token}&email=administrator%40utility.example")).status, 403);
        let add = |email: &str, name: &str, role: &str| {
            admin.clone().submit("/staff/logins", "/staff/logins", &[("email", email), ("name", name), ("role", role)])
        };
        assert_eq!(add("New@Utility.example", "Nia New", "auditor").location(), "/staff/logins?done=added");
        for (email, name, role, words) in [
            ("new@utility.example", "Nia New", "auditor", "signs in already"),
            ("ada", "Ada", "clerk", "expected an e-mail address"),
            ("ada@x.example", " ", "clerk", "expected 1 to 100 characters"),
            ("ada@x.example", "Ada", "customer", "expected clerk, supervisor"),
            ("ada@x.example", "Ada", "king", "is not a role"),
        ] {
            let answer = add(email, name, role);
            assert!(answer.status == 422 && answer.body.contains(words), "{words}: {}", answer.body);
        }
        let link = mailed_link(&town, "new@utility.example").expect("an invitation");
        let set = served.browser().submit(&link, &link, &[("password", PASSWORD), ("repeated", PASSWORD)]);
        assert_eq!(set.location(), "/sign-in?done=password");
        let mut change = |action: &str, email: &str| admin.submit("/staff/logins", action, &[("email", email)]);
        assert_eq!(change("/staff/logins/disable", "clerk@utility.example").location(), "/staff/logins?done=disabled");
        assert!(!clerk.is_signed_in(), "their sessions end at once");
        assert_eq!(clerk.sign_in("clerk@utility.example", PASSWORD).status, 422);
        assert_eq!(change("/staff/logins/enable", "clerk@utility.example").status, 303);
        assert!(!clerk.is_signed_in(), "an ended session does not come back");
        assert_eq!(clerk.sign_in("clerk@utility.example", PASSWORD).location(), "/sign-in/second-factor?next=/");
        assert_eq!(change("/staff/logins/reset-factor", "clerk@utility.example").status, 303);
        assert_eq!(clerk.sign_in("clerk@utility.example", PASSWORD).location(), "/sign-in/set-up-factor?next=/");
        let own = change("/staff/logins/reset-factor", "nobody@utility.example");
        assert!(own.status == 422 && own.body.contains("There is no sign-in"), "{}", own.body);
        let page = admin.get("/staff/logins");
        assert!(!page.body.contains("value=\"administrator@utility.example\"><button class=\"button danger\""), "no button against oneself");
        let oneself = admin.post("/staff/logins/disable", &format!("email=administrator%40utility.example&csrf={}", page.csrf("/staff/logins")));
        assert!(oneself.status == 422 && admin.is_signed_in(), "{}", oneself.body);
        let trail = audit(&town, "clerk@utility.example");
        for action in ["staff.add", "staff.disable", "staff.enable", "sign_in.factor_removed", "sign_in.factor_set", "sign_in.ok", "sign_in.failed"] {
            assert!(trail.contains(&action.to_owned()), "{action}: {trail:?}");
        }
    }

    fn the_last_administrator_stays(town: Town) {
        add_staff(&town.context, "root@utility.example", Role::Administrator);
        add_staff(&town.context, "boss@utility.example", Role::Administrator);
        let shut = |email: &str| sign_in::set_staff_disabled(&town.context, email, true);
        std::thread::scope(|scope| {
            let both = ["root@utility.example", "boss@utility.example"].map(|email| scope.spawn(move || shut(email).is_ok()));
            assert_eq!(both.map(|one| one.join().expect("no panic")).iter().filter(|done| **done).count(), 1);
        });
    }

    fn the_command_line_makes_the_first_administrator(town: Town) {
        let mut town = town;
        let served = serve(&mut town);
        let added = town.program(&["staff", "add", "--email", "Root@Utility.example", "--name", "Rita Root", "--role", "administrator"]);
        assert!(added.status.success(), "{}", stderr(&added));
        let link = stdout(&added).trim().trim_start_matches("http://127.0.0.1:8080").to_owned();
        assert!(link.starts_with("/password/"), "{link}");
        let again = town.program(&["staff", "add", "--email", "root@utility.example", "--name", "Rita", "--role", "clerk"]);
        assert_eq!((again.status.code(), stderr(&again).contains("signs in already")), (Some(1), true));
        let wrong = town.program(&["staff", "add", "--email", "x@utility.example", "--name", "X", "--role", "king"]);
        assert_eq!(wrong.status.code(), Some(2));
        let customer = town.program(&["staff", "add", "--email", "x@utility.example", "--name", "X", "--role", "customer"]);
        assert_eq!(customer.status.code(), Some(1), "{}", stderr(&customer));
        // the program's own clock is the machine's: the link is tried with the password from standard input instead
        let with_password = |email: &str, password: &str| {
            let mut command = town.command(&["staff", "add", "--email", email, "--name", "Carl Clerk", "--role", "clerk", "--password-stdin"]);
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
            child.stdin.take().expect("an input").write_all(format!("{password}\n").as_bytes()).expect("written");
            child.wait_with_output().expect("it ends")
        };
        assert!(stderr(&with_password("carl@utility.example", "short")).contains("expected at least 12"));
        let set = with_password("carl@utility.example", PASSWORD);
        assert!(set.status.success(), "{}", stderr(&set));
        assert_eq!(served.browser().sign_in("carl@utility.example", PASSWORD).location(), "/sign-in/set-up-factor?next=/");
        let listed = stdout(&town.program(&["staff", "list"]));
        assert!(listed.contains("no password yet") && listed.contains("no second factor yet") && listed.contains("Rita Root"), "{listed}");
        assert!(town.program(&["staff", "disable", "carl@utility.example"]).status.success());
        assert_eq!(served.browser().sign_in("carl@utility.example", PASSWORD).status, 422);
        let last = town.program(&["staff", "disable", "root@utility.example"]);
        assert_eq!((last.status.code(), stderr(&last).contains("last administrator")), (Some(1), true));
        assert!(town.program(&["staff", "enable", "carl@utility.example"]).status.success());
        assert!(town.program(&["staff", "reset-factor", "carl@utility.example"]).status.success());
        assert_eq!(town.program(&["staff", "reset-factor", "nobody@utility.example"]).status.code(), Some(1));
    }

    fn a_customer_may_have_a_second_factor_too(town: Town) {
        let mut town = town;
        let served = serve(&mut town);
        let mut ada = served.customer("ada@example.org");
        let page = ada.get("/sign-in/set-up-factor?next=/profile/sign-in");
        let secret = secret_of(&page);
        let set = ada.post_form(&page, "/sign-in/set-up-factor", &[("code", &code(&secret, town.context.now())), ("next", "/profile/sign-in")]);
        assert_eq!(set.location(), "/profile/sign-in");
        let mut again = served.browser();
        assert_eq!(again.sign_in("ada@example.org", PASSWORD).location(), "/sign-in/second-factor?next=/");
        let wrong = ada.submit("/profile/sign-in", "/profile/sign-in/drop-factor", &[("current", "wrong")]);
        assert_eq!(wrong.status, 422);
        let dropped = ada.submit("/profile/sign-in", "/profile/sign-in/drop-factor", &[("current", PASSWORD)]);
        assert_eq!(dropped.location(), "/profile/sign-in?done=factor");
        assert_eq!(served.browser().sign_in("ada@example.org", PASSWORD).location(), "/");
        let mut clerk = served.staff(Role::Clerk);
        let token = clerk.get("/profile/sign-in").csrf("/sign-out");
        let refused = clerk.post("/profile/sign-in/drop-factor", &format!("csrf={token}&current=x"));
        assert!(refused.status == 422 && refused.body.contains("need a second factor"), "{}", refused.body);
    }
}
