//! Alarms: they open once, are told once, are seen on every page of the staff, and end without flapping.

use aquabills::actions::Context;
use aquabills::actions::alarms::{Local, Looked, look};
use aquabills::actions::inbox::receive;
use aquabills::domain::alarms::AlarmKind;
use aquabills::domain::roles::Role;
use aquabills::telemetry::metrics::LastMinute;

use crate::stage::{signature, sql, stage, wait};
use crate::support::http::Served;
use crate::support::{lines, on_both};

fn burst(duplicates: u64) -> Local {
    Local { last_minute: LastMinute { callbacks: duplicates, duplicates }, ..Local::default() }
}

fn told(context: &Context) -> Vec<String> {
    let notices = "SELECT recipient || ' ' || status AS line FROM notice WHERE kind = 'alarm' ORDER BY recipient, id";
    context.database.read(|conn| Ok::<_, diesel::result::Error>(lines(conn, notices))).expect("the notices are read")
}

on_both! {
    fn an_alarm_opens_once_is_told_once_and_ends_when_it_is_calm(town: Town) {
        let mut town = stage(town);
        let context = town.context.clone();
        let served = Served::new(&mut town);
        let mut clerk = served.staff(Role::Clerk);
        let mut ada = served.customer("ada@example.org");
        assert_eq!(look(&context, &burst(60)).expect("a look"), Looked::default(), "the limit itself is no alarm");
        assert!(!clerk.get("/staff").body.contains("role=\"alert\""));

        assert_eq!(look(&context, &burst(61)).expect("a look").opened, [AlarmKind::Duplicates]);
        assert_eq!(look(&context, &burst(500)).expect("a look"), Looked::default(), "it is on already");
        assert_eq!(told(&context), ["desk@utility.example queued", "night@utility.example queued"]);
        for page in ["/staff", "/staff/todos", "/staff/watch", "/staff/accounts/A1", "/staff/nowhere"] {
            let body = clerk.get(page).body;
            assert!(body.contains("role=\"alert\"") && body.contains("The payment provider repeats itself"), "{page}: {body}");
        }
        assert!(clerk.get("/staff/watch").body.contains("500 messages in a minute"));
        assert!(!ada.get("/account/A1").body.contains("role=\"alert\""), "customers are not told");

        // Just below the limit it is not over; well below it takes a while.
        wait(&context, 600);
        assert_eq!(look(&context, &burst(49)).expect("a look"), Looked::default());
        wait(&context, 299);
        assert_eq!(look(&context, &burst(0)).expect("a look"), Looked::default());
        wait(&context, 1);
        assert_eq!(look(&context, &burst(0)).expect("a look").closed, [AlarmKind::Duplicates]);
        let page = clerk.get("/staff/watch").body;
        assert!(!page.contains("role=\"alert\"") && page.contains("No alarm is on") && page.contains(">500<"), "{page}");
        assert_eq!(told(&context).len(), 2);

        // The next burst is another alarm.
        assert_eq!(look(&context, &burst(61)).expect("a look").opened, [AlarmKind::Duplicates]);
        assert_eq!(told(&context).len(), 4);
    }
}

on_both! {
    fn a_secret_that_is_wrong_rings(town: Town) {
        let town = stage(town);
        let refused = |count| Local { refused: count, ..Local::default() };
        assert_eq!(look(&town.context, &refused(3)).expect("a look"), Looked::default(), "now and then somebody tries");
        assert_eq!(look(&town.context, &refused(4)).expect("a look").opened, [AlarmKind::Signatures]);
        assert_eq!(told(&town.context).len(), 2);
    }
}

on_both! {
    fn many_servers_that_look_open_one_alarm(town: Town) {
        let town = stage(town);
        let looks: Vec<_> = (0..8)
            .map(|_| {
                let context = town.context.clone();
                std::thread::spawn(move || look(&context, &burst(1_000)).expect("a look").opened.len())
            })
            .collect();
        let opened: usize = looks.into_iter().map(|look| look.join().expect("it looks")).sum();
        let rows = town.context.database.read(|conn| Ok::<_, diesel::result::Error>(lines(conn, "SELECT kind AS line FROM alarm")));
        // The burst is one of callbacks as well only above its own limit.
        assert_eq!((opened, rows.expect("the alarms are read")), (1, vec!["duplicates".to_owned()]));
        assert_eq!(told(&town.context).len(), 2);
    }
}

on_both! {
    fn ledger_and_provider_may_differ_for_a_while(town: Town) {
        let town = stage(town);
        let context = &town.context;
        let compare = |delta: i64| {
            let at = context.now().format("%Y-%m-%d %H:%M:%S%.6f");
            sql(context, &format!(
                "INSERT INTO ledger_delta (looked_at, from_on, to_on, ledger_cents, provider_cents, bank_cents, delta_cents, differences) \
                 VALUES ('{at}', '2026-06-08', '2026-06-15', 0, 0, 0, {delta}, 0)"
            ));
            look(context, &Local::default()).expect("a look")
        };
        assert_eq!(compare(500), Looked::default());
        wait(context, 600);
        assert_eq!(compare(0), Looked::default());
        wait(context, 600);
        assert_eq!(compare(-500), Looked::default(), "the time begins anew");
        wait(context, 899);
        assert_eq!(compare(-700), Looked::default());
        wait(context, 1);
        assert_eq!(compare(-700).opened, [AlarmKind::LedgerDelta]);
        assert_eq!(compare(0), Looked::default());
        wait(context, 300);
        assert_eq!(compare(0).closed, [AlarmKind::LedgerDelta]);
    }
}

on_both! {
    fn a_payment_that_cannot_be_applied_rings(town: Town) {
        let town = stage(town);
        let context = &town.context;
        receive(context, "stripe", b"{}", Some(&signature(context, "{}"))).expect("it is taken");
        crate::stage::apply(context);
        assert_eq!(look(context, &Local::default()).expect("a look"), Looked::default());
        wait(context, 901);
        assert_eq!(look(context, &Local::default()).expect("a look").opened, [AlarmKind::Unapplied]);
    }
}

on_both! {
    fn that_nobody_watches_is_seen(town: Town) {
        let mut town = stage(town);
        let context = town.context.clone();
        let served = Served::new(&mut town);
        let mut clerk = served.staff(Role::Clerk);
        assert!(!clerk.get("/staff").body.contains("role=\"alert\""), "a server that never had jobs is none that fell silent");
        look(&context, &Local::default()).expect("a look");
        wait(&context, 299);
        assert!(!clerk.get("/staff").body.contains("role=\"alert\""));
        wait(&context, 2);
        let page = clerk.get("/staff").body;
        assert!(page.contains("A job has stopped working") && page.contains("nobody has watched for"), "{page}");
        assert!(served.browser().get("/metrics").body.contains("aquabills_alarm_on{kind=\"silent\"} 1"));
        look(&context, &Local { silent: vec![("inbox", 400)], ..Local::default() }).expect("a look");
        assert!(clerk.get("/staff").body.contains("no sign of life: inbox"));
    }
}
