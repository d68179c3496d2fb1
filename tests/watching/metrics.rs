//! What `/metrics` says, that Prometheus' own checker finds nothing to mend in it, and who may read it.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use aquabills::actions::alarms::{Local, look};
use aquabills::actions::inbox::receive;
use aquabills::telemetry::metrics::LastMinute;

use crate::stage::{apply, attempt, paid, signature, sql, stage};
use crate::support::http::{Answer, Served};
use crate::support::{Town, on_both};

/// `promtool`, where `tests/run` puts it, or where the system has it.
fn promtool() -> PathBuf {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = folder("AQUABILLS_CACHE_DIR").unwrap_or_else(|| {
        folder("XDG_CACHE_HOME").unwrap_or_else(|| folder("HOME").unwrap_or_else(|| "/tmp".into()).join(".cache")).join("aquabills")
    });
    let own = cache.join("tools/bin/promtool");
    let name = if own.exists() { own } else { PathBuf::from("promtool") };
    let starts = Command::new(&name).arg("--version").output().is_ok_and(|output| output.status.success());
    assert!(starts, "promtool is missing: `tests/run --install` gets it (Debian has it in the package prometheus)");
    name
}

/// What `promtool check metrics` says: nothing, when all is well.
fn checked(metrics: &str) -> (bool, String) {
    let mut check = Command::new(promtool());
    let mut check = check.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    check.stdin.take().expect("an input").write_all(metrics.as_bytes()).expect("it reads");
    let output = check.wait_with_output().expect("it ends");
    (output.status.success(), format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

fn value(metrics: &str, name: &str) -> i64 {
    let found = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("no {name} in:\n{metrics}")).parse().expect("a whole number")
}

fn read(served: &Served, headers: &[(&str, &str)]) -> Answer {
    let mut reader = served.browser();
    reader.extra = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    reader.get("/metrics")
}

on_both! {
    fn metrics_say_what_is_going_on_and_are_clean(town: Town) {
        let mut town = stage(town);
        town.configure(|config| config.metrics.cache_seconds = 0);
        let context = town.context.clone();
        let token = attempt(&context, "A1", "20.00", 'a');
        let body = paid(&context, "evt_1", "pi_1", &token, 2000);
        for _ in 0..4 {
            receive(&context, "stripe", body.as_bytes(), Some(&signature(&context, &body))).expect("it is taken");
        }
        apply(&context);
        receive(&context, "stripe", b"{}", Some(&signature(&context, "{}"))).expect("it is taken, whatever it says");
        apply(&context);
        let nobodys = paid(&context, "evt_2", "pi_2", "nobody", 1234);
        receive(&context, "stripe", nobodys.as_bytes(), Some(&signature(&context, &nobodys))).expect("it is taken");
        apply(&context);
        crate::stage::wait(&context, 30);
        sql(&context, "INSERT INTO ledger_delta (looked_at, from_on, to_on, ledger_cents, provider_cents, bank_cents, delta_cents, differences) \
                       VALUES ('2026-06-15 12:00:10', '2026-06-08', '2026-06-15', 2000, 3234, 0, -1234, 1)");
        look(&context, &Local { last_minute: LastMinute { callbacks: 0, duplicates: 100_000 }, ..Local::default() }).expect("somebody looks");
        let served = Served::new(&mut town);
        let answer = read(&served, &[]);
        assert_eq!((answer.status, answer.header("content-type")), (200, "text/plain; version=0.0.4; charset=utf-8"), "{}", answer.body);
        let metrics = &answer.body;
        assert_eq!(checked(metrics), (true, String::new()), "{metrics}");
        for (name, expected) in [
            ("aquabills_ledger_delta_cents", -1234),
            ("aquabills_ledger_delta_age_seconds", 20),
            ("aquabills_duplicates_per_min", 3),
            ("aquabills_callbacks_per_min", 6),
            ("aquabills_oldest_unapplied_payment_seconds", 30),
            ("aquabills_inbox_depth{status=\"failed\"}", 1),
            ("aquabills_inbox_depth{status=\"received\"}", 0),
            ("aquabills_retrying{area=\"inbox\"}", 1),
            ("aquabills_retrying{area=\"notices\"}", 0),
            ("aquabills_retrying{area=\"refunds\"}", 0),
            ("aquabills_retrying{area=\"autopay\"}", 0),
            ("aquabills_unapplied_credits", 1),
            ("aquabills_unapplied_credit_cents", 1234),
            ("aquabills_differences_open", 0),
            ("aquabills_alarm_on{kind=\"duplicates\"}", 1),
            ("aquabills_alarm_on{kind=\"ledger_delta\"}", 0),
            ("aquabills_notices_failed", 0),
            ("aquabills_schedules_late", 0),
            ("aquabills_watcher_age_seconds", 0),
            ("aquabills_database_up", 1),
        ] {
            assert_eq!(value(metrics, name), expected, "{name}");
        }
        assert!(value(metrics, "aquabills_retry_attempts{area=\"inbox\"}") >= 1);
        // Of this process, in which other stories may be told at the same time.
        assert!(value(metrics, "aquabills_callbacks_total{outcome=\"duplicate\"}") >= 3);
        assert!(value(metrics, "aquabills_callback_commit_seconds_count") >= 6);
        assert!(metrics.contains("aquabills_build_info{"));
        for personal in ["Ada", "ada@", "Markbearer", "A1"] {
            assert!(!metrics.contains(personal), "{personal}");
        }
    }
}

on_both! {
    fn reading_metrics_again_and_again_asks_the_database_seldom(town: Town) {
        let mut town = stage(town);
        town.configure(|config| config.metrics.cache_seconds = 600);
        let served = Served::new(&mut town);
        assert_eq!(value(&read(&served, &[]).body, "aquabills_unapplied_credits"), 0);
        let body = paid(&town.context, "evt_1", "pi_1", "nobody", 1234);
        receive(&town.context, "stripe", body.as_bytes(), Some(&signature(&town.context, &body))).expect("it is taken");
        apply(&town.context);
        assert_eq!(value(&read(&served, &[]).body, "aquabills_unapplied_credits"), 0, "the figures are those of a moment ago");
    }
}

#[test]
fn nobody_reads_metrics_through_a_proxy_without_a_token() {
    let mut town = stage(Town::sqlite());
    let served = Served::new(&mut town);
    assert_eq!(read(&served, &[]).status, 200);
    for header in ["X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"] {
        assert_eq!(read(&served, &[(header, "192.0.2.7")]).status, 403, "{header}");
    }
    town.configure(|config| config.metrics.enabled = false);
    assert_eq!(read(&Served::new(&mut town), &[]).status, 404);
}

#[test]
fn the_checker_finds_what_is_wrong() {
    let (clean, told) = checked("# TYPE bad_total gauge\nbad_total 1\n");
    assert!(!clean && told.contains("bad_total"), "{told}");
}
