//! What the program itself logs: one JSON object a line, ids and no personal data, also at its most talkative and when things
//! go wrong. It is run as a utility runs it, with its jobs, beside a collector and a mail server that are away.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aquabills::clock::Clock;
use aquabills::domain::roles::Role;
use serde_json::Value;

use crate::stage::{PARENT, SECRET, TRACE, attempt, event_of, paid, signature, stage};
use crate::support::Town;
use crate::support::http::{Browser, Served, encoded};

/// What stands for people: names, addresses, accounts, whatever somebody could be found by. None of it may be logged.
const MARKS: [&str; 9] =
    ["Markbearer", "Secretmark", "zaphod.mark", "Ada", "Lovelace", "ada@example.org", "MARKACCT", "clerk@utility.example", "nomark"];

/// The program while it serves.
struct Serving {
    child: Child,
    host: String,
}

impl Serving {
    fn start(town: &Town, settings: &str, environment: &[(&str, &str)]) -> Self {
        let mut command: Command = town.command(&["serve", "--listen", "127.0.0.1:0"]);
        std::fs::write(town.dir.path().join("aquabills.toml"), settings).expect("the settings are written");
        let log = std::fs::File::create(town.dir.path().join("log")).expect("a file for the log");
        command.stdout(Stdio::piped()).stderr(log).envs(environment.iter().copied());
        let mut child = command.spawn().expect("the program starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("an output")).read_line(&mut line).expect("it says where it serves");
        let (_, host) = line.trim().split_once("http://").unwrap_or_else(|| panic!("no address: {line}"));
        Self { child, host: host.to_owned() }
    }

    /// Ends it as a system does, and returns what it logged.
    fn stop(mut self, town: &Town) -> String {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("it is told");
        assert!(self.child.wait().expect("it ends").success());
        std::fs::read_to_string(town.dir.path().join("log")).expect("the log is read")
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // A test that failed leaves nothing behind; what has ended cannot be ended again.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const SETTINGS: &str = "\
utility_name = \"Story Town\"
[sign_in]
secure_cookies = false
[mail]
transport = \"smtp\"
host = \"127.0.0.1\"
port = 9
security = \"none\"
poll_seconds = 1
staff = [\"clerk@utility.example\"]
[telemetry]
otlp_endpoint = \"http://127.0.0.1:9\"
queue = 1
[alarms]
look_seconds = 1
duplicates_per_minute = 3
[log]
format = \"json\"
";

fn settings() -> String {
    format!(
        "{SETTINGS}[[providers]]\nmerchant = \"acct_story\"\nbase_url = \"http://127.0.0.1:9\"\nsecret_key = \"sk_test_story\"\nwebhook_secrets = [\"{SECRET}\"]\n"
    )
}

/// A town with people who can be told from anything else, on the machine's own clock.
fn marked_town() -> Town {
    let mut town = stage(Town::sqlite());
    let services = "customer_id,service_id,rate_class,meter_id,register_digits,name,email,address\n\
                    MARKACCT7,S9,HOME,M9,4,Zaphod Markbearer,zaphod.mark@private.example,\"42 Secretmark Street, Storyville 90210\"\n";
    assert_eq!(town.services(services).expect("the services are read").refused, 0);
    town.reads(&["M9,2026-01-01,100", "M9,2026-02-01,115"]);
    town.bill("2026-02-01");
    town.context.clock = Clock::System;
    town
}

/// A callback as the provider sends it.
fn deliver(browser: &mut Browser, body: &str, signed: &str) -> u16 {
    browser.extra = vec![
        ("Stripe-Signature".to_owned(), signed.to_owned()),
        ("X-Request-Id".to_owned(), "req-from-provider".to_owned()),
        ("traceparent".to_owned(), format!("00-{TRACE}-{PARENT}-01")),
    ];
    browser.post("/callbacks/stripe", body).status
}

/// People do what they do, well and badly.
fn live(town: &Town, serving: &Serving) {
    let context = &town.context;
    let served = Served { context: context.clone(), host: serving.host.clone() };
    let mut provider = served.browser();
    let token = attempt(context, "MARKACCT7", "20.00", 'a');
    let body = paid(context, "evt_log", "pi_log", &token, 2000);
    for _ in 0..6 {
        assert_eq!(deliver(&mut provider, &body, &signature(context, &body)), 200);
    }
    assert_eq!(deliver(&mut provider, &body, "t=1,v1=zaphod.mark"), 400);
    let odd = event_of("evt_odd", "payment_intent.Markbearer", 1, &serde_json::json!({ "object": "Zaphod Markbearer", "status": "Secretmark" }));
    assert_eq!(deliver(&mut provider, &odd, &signature(context, &odd)), 200, "what cannot be read is kept");

    let mut guest = served.browser();
    assert_eq!(guest.get("/account/MARKACCT7?next=zaphod.mark@private.example").status, 303);
    guest.sign_in("zaphod.mark@private.example", "nomark nomark nomark");
    guest.submit("/sign-in/link", "/sign-in/link", &[("email", "zaphod.mark@private.example")]);
    guest.submit("/pay/guest", "/pay/guest", &[("number", "MARKACCT7"), ("postcode", "90210")]);
    let mut ada = served.customer("ada@example.org");
    for page in ["/account/A1", "/account/A1/bills", "/account/MARKACCT7", "/profile", "/bills/nomark"] {
        ada.get(page);
    }
    let mut clerk = served.staff(Role::Clerk);
    for page in
        ["/staff/search?q=Markbearer", "/staff/accounts/MARKACCT7", "/staff/payments/1/trace", "/staff/notices", "/staff/accounts/%00Markbearer"]
    {
        clerk.get(page);
    }
    let form = "/staff/accounts/MARKACCT7/payment";
    let csrf = clerk.get(form).csrf("");
    let refused = clerk.post(form, &encoded(&[("amount", "Markbearer"), ("reference", "Secretmark"), ("csrf", &csrf)]));
    assert_eq!(refused.status, 422);
}

/// Waits for a line of the log that satisfies.
fn wait_for(town: &Town, what: &str, found: impl Fn(&str) -> bool) {
    let since = Instant::now();
    while !std::fs::read_to_string(town.dir.path().join("log")).is_ok_and(|log| log.lines().any(&found)) {
        assert!(since.elapsed() < Duration::from_secs(60), "{what} is not in the log: {:?}", std::fs::read_to_string(town.dir.path().join("log")));
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The collector is away: its spans are given up and counted, while everything else went on.
fn wait_for_dropped_spans(town: &Town, serving: &Serving) {
    let served = Served { context: town.context.clone(), host: serving.host.clone() };
    let since = Instant::now();
    loop {
        let metrics = served.browser().get("/metrics").body;
        let dropped = metrics.lines().find_map(|line| line.strip_prefix("aquabills_spans_dropped_total ")).expect("a count").to_owned();
        if dropped.parse::<u64>().expect("a number") > 0 {
            return;
        }
        assert!(since.elapsed() < Duration::from_secs(60), "no span was given up");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn the_log_is_json_and_names_nobody() {
    let town = marked_town();
    let folder = town.dir.path().join("from-the-bank");
    std::fs::create_dir(&folder).expect("a folder for the bank's files");
    let settings = format!("{}[bank]\nfolder = '{}'\npoll_seconds = 1\n", settings(), folder.display());
    let serving = Serving::start(&town, &settings, &[("RUST_LOG", "debug")]);
    // It is cut off in the middle of a name: what is wrong is told with the words that stand there.
    std::fs::write(folder.join("cut.txt"), "01,B,U,260201,0600,1,,,2/\nZaphod Markbearer MARKACCT7, Secretmark Street\n")
        .expect("a file of the bank");
    live(&town, &serving);
    wait_for(&town, "the bank's file", |line| line.contains("cut.txt is refused"));
    let reason = std::fs::read_to_string(folder.join("refused").join("cut.txt.reason")).expect("a reason");
    assert!(reason.contains("Zaphod Markbearer"), "{reason}");
    wait_for(&town, "the payment's application", |line| line.contains("an event was applied"));
    wait_for(&town, "the alarm", |line| line.contains("\"alarm\":\"duplicates\""));
    wait_for(&town, "the look after it", |line| line.contains("looked at again"));
    wait_for(&town, "the mail server's absence", |line| line.contains("notice"));
    wait_for_dropped_spans(&town, &serving);
    let log = serving.stop(&town);

    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("no JSON ({error}): {line}"))).collect();
    assert!(lines.len() > 20, "{log}");
    for line in &lines {
        let text = |key: &str| line[key].as_str().unwrap_or_else(|| panic!("no {key}: {line}"));
        let time = chrono::DateTime::parse_from_rfc3339(text("time")).expect("a time of RFC 3339");
        assert!(time.offset().local_minus_utc() == 0 && text("time").len() == "2026-06-15T12:00:00.123Z".len(), "{line}");
        assert!(["error", "warn", "info", "debug"].contains(&text("level")) && !text("target").is_empty() && !text("message").is_empty(), "{line}");
    }
    let about = |message: &str| lines.iter().find(|line| line["message"].as_str().is_some_and(|text| text.starts_with(message)));
    let stored = about("a callback was stored").expect("a line of the callback");
    for (key, expected) in [("provider_event", "evt_log"), ("reference", "pi_log"), ("request", "req-from-provider"), ("trace", TRACE)] {
        assert_eq!(stored[key], expected, "{stored}");
    }
    assert!(stored["event"].is_i64(), "{stored}");
    let applied = about("an event was applied").expect("a line of the application");
    assert!(applied["payment"].is_i64() && applied["reference"] == "pi_log" && applied["trace"] == TRACE, "{applied}");
    let answered = about("answered").expect("a line of a request");
    assert!(answered["request"].is_string() && answered["status"].is_i64(), "{answered}");
    for mark in MARKS {
        let found: Vec<&str> = log.lines().filter(|line| line.contains(mark)).collect();
        assert!(found.is_empty(), "'{mark}' is in the log:\n{}", found.join("\n"));
    }
}

#[test]
fn the_form_of_the_log_is_set_by_file_or_environment_and_metrics_by_token() {
    let town = marked_town();
    let settings = settings().replace("format = \"json\"", "format = \"text\"");
    let serving = Serving::start(&town, &settings, &[("RUST_LOG", "debug"), ("AQUABILLS_METRICS_TOKEN", "open sesame")]);
    let served = Served { context: town.context.clone(), host: serving.host.clone() };
    let mut browser = served.browser();
    let refused = browser.get("/metrics");
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, "Bearer"));
    browser.extra = vec![("Authorization".to_owned(), "Bearer open sesame".to_owned()), ("X-Forwarded-For".to_owned(), "192.0.2.7".to_owned())];
    assert_eq!(browser.get("/metrics").status, 200);
    browser.extra = vec![("Authorization".to_owned(), "Bearer open says me".to_owned())];
    assert_eq!(browser.get("/metrics").status, 401);
    let log = serving.stop(&town);
    assert!(log.lines().any(|line| line.contains("] answered method=GET request=") && line.contains(" route=/metrics status=401 ")), "{log}");

    let output = town.command(&["schedule", "list"]).env("AQUABILLS_LOG_FORMAT", "xml").output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("AQUABILLS_LOG_FORMAT: 'xml': expected text or json"));
}

#[test]
fn a_request_gets_a_name_that_comes_back() {
    let mut town = stage(Town::sqlite());
    let served = Served::new(&mut town);
    let mut browser = served.browser();
    let made = browser.get("/health").header("x-request-id").to_owned();
    assert_eq!(made.len(), 16);
    assert_ne!(browser.get("/health").header("x-request-id"), made);
    browser.extra = vec![("X-Request-Id".to_owned(), "from-the-proxy-1".to_owned())];
    let refused = browser.post("/sign-in", "email=x");
    assert_eq!((refused.status, refused.header("x-request-id")), (403, "from-the-proxy-1"));
    assert!(refused.body.contains("<code class=\"break\">from-the-proxy-1</code>"), "{}", refused.body);
    browser.extra = vec![("X-Request-Id".to_owned(), "<script>alert(1)</script>".to_owned())];
    let answer = browser.post("/sign-in", "email=x");
    assert!(answer.header("x-request-id").len() == 16 && !answer.body.contains("<script>"), "{}", answer.body);
}
