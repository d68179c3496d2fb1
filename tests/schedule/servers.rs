//! Scheduled runs by the real program: servers that share a database, are stopped, are killed; and `bill --due`.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use aquabills::actions::schedule::{DueOptions, run_due};
use aquabills::actions::stop::Stop;
use aquabills::db::billing;
use aquabills::db::schedule::{self, ScheduledRow};
use chrono::{TimeZone, Utc};
use rustix::process::{Pid, Signal, kill_process};

use super::stories::nightly;
use super::support::{Town, on_both, stderr, stdout};

/// How long a server may take for anything here; mostly it is a second.
const PATIENCE: Duration = Duration::from_secs(120);
/// Once a year, so that what is due does not depend on the moment of the test.
const YEARLY: &str = "0 2 1 1 *";

/// A town whose yearly run is overdue, in so many chunks that a run takes a while.
fn overdue(town: Town, accounts: usize) -> Town {
    let services: Vec<String> = (0..accounts).map(|at| format!("A{at},S{at},HOME,M{at}")).collect();
    let mut town = town.with_services(&services.iter().map(String::as_str).collect::<Vec<_>>());
    let reads: Vec<String> = (0..accounts).flat_map(|at| [format!("M{at},2021-04-15,0"), format!("M{at},2021-05-15,{}", at % 20)]).collect();
    assert_eq!(town.reads(&reads.iter().map(String::as_str).collect::<Vec<_>>()).refused, 0);
    town.file(
        "aquabills.toml",
        &format!(
            "[runs]\nchunk_accounts = 1\nworkers = 1\n[[schedule]]\nname = \"yearly\"\ncycle = \"all\"\ncron = \"{YEARLY}\"\napprove = true\n\
             [sign_in]\nsecure_cookies = false\n"
        ),
    );
    town.configure(|config| config.schedule = vec![nightly("yearly", YEARLY)]);
    town.context.clock.set(Utc.with_ymd_and_hms(2021, 6, 15, 12, 0, 0).single().expect("a moment"));
    let outcomes = run_due(&town.context, &DueOptions { retry_now: false, stop: Stop::default(), progress: &|_, _, _| {} });
    assert_eq!(outcomes.len(), 1, "it is watched");
    town
}

/// A server whose log is read.
struct Server {
    child: Child,
    log: Receiver<String>,
}

impl Server {
    fn start(town: &Town) -> Self {
        let mut command = town.command(&["serve", "--listen", "127.0.0.1:0"]);
        let mut child = command.env("RUST_LOG", "info").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let lines = BufReader::new(child.stderr.take().expect("its standard error"));
        let (sender, log) = channel();
        thread::spawn(move || lines.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, log }
    }

    /// Waits until the scheduler has looked for the first time, and done what it found.
    fn wait_for_first_look(&self) {
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            let line = self.log.recv_timeout(PATIENCE).expect("the server says what it does");
            if line.contains("the scheduler watches") {
                return;
            }
        }
        panic!("the scheduler did not look");
    }

    fn send(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a process id")).expect("a process id");
        kill_process(pid, signal).expect("it is our child");
    }

    fn wait(&mut self) -> ExitStatus {
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status;
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("the server does not end");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A test that fails leaves no server behind; one that has ended already cannot be killed, and that is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn row(town: &Town) -> ScheduledRow {
    town.context.database.read(|conn| schedule::last(conn, "yearly")).expect("the row is read").expect("a row")
}

/// Waits until the run has priced something and is not done yet.
fn wait_until_at_work(town: &Town) {
    let since = Instant::now();
    while since.elapsed() < PATIENCE {
        let chunks = town.context.database.read(|conn| {
            let run = billing::latest_runs(conn, 1)?.pop();
            run.map_or(Ok(Vec::new()), |run| billing::chunks(conn, run.id))
        });
        if chunks.expect("the chunks are read").iter().filter(|chunk| chunk.state != "open").count() >= 3 {
            return;
        }
        thread::sleep(Duration::from_millis(2));
    }
    panic!("no run was begun");
}

fn issued_runs(town: &Town) -> usize {
    let runs = town.context.database.read(|conn| billing::latest_runs(conn, 100)).expect("the runs are read");
    assert!(runs.iter().all(|run| run.status == "issued"), "{runs:?}");
    runs.len()
}

/// Interrupts a server in the middle of a run, and lets another one end it.
fn interrupted(town: Town, signal: Signal) {
    let town = overdue(town, 150);
    let calm = overdue(Town::sqlite(), 150);
    assert!(calm.program(&["bill", "--due"]).status.success());
    let mut first = Server::start(&town);
    wait_until_at_work(&town);
    first.send(signal);
    let status = first.wait();
    if signal == Signal::TERM {
        assert_eq!(status.code(), Some(0), "{status}");
    }
    assert_eq!(row(&town).status, "running", "it was interrupted in the middle");
    let mut second = Server::start(&town);
    second.wait_for_first_look();
    second.send(Signal::TERM);
    assert_eq!(second.wait().code(), Some(0));
    let row = row(&town);
    assert_eq!((row.status.as_str(), row.attempts), ("done", 2), "{row:?}");
    assert_eq!(issued_runs(&town), 1);
    assert_eq!(town.totals(), calm.totals());
    assert_eq!(town.balance("A19"), calm.balance("A19"));
    town.assert_sound();
}

on_both! {
    fn two_servers_on_one_database_run_what_is_due_once(town: Town) {
        let town = overdue(town, 20);
        let mut servers = [Server::start(&town), Server::start(&town)];
        for server in &servers {
            server.wait_for_first_look();
        }
        assert_eq!(row(&town).status, "done");
        assert!(row(&town).missed >= 1, "several years are made up for at once");
        for server in &mut servers {
            server.send(Signal::TERM);
            assert_eq!(server.wait().code(), Some(0));
        }
        assert_eq!(issued_runs(&town), 1);
        assert_eq!(town.totals().len(), 20);
        town.assert_sound();
    }

    fn a_server_killed_in_the_middle_of_a_run_is_succeeded(town: Town) {
        interrupted(town, Signal::KILL);
    }

    fn a_server_told_to_end_in_the_middle_of_a_run_ends_well_and_goes_on_later(town: Town) {
        interrupted(town, Signal::TERM);
    }

    fn from_cron_or_systemd_the_same_is_done_once(town: Town) {
        let town = overdue(town, 5);
        let json = |output: &std::process::Output| serde_json::from_str::<serde_json::Value>(&stdout(output)).expect("one JSON object");
        let first = town.program(&["bill", "--due", "--json"]);
        assert!(first.status.success(), "{}", stderr(&first));
        assert_eq!(json(&first)["outcomes"][0]["status"], "done");
        let again = town.program(&["bill", "--due"]);
        assert_eq!((again.status.code(), stderr(&again).as_str(), stdout(&again).as_str()), (Some(0), "nothing is due\n", ""));
        let list = json(&town.program(&["schedule", "list", "--json"]));
        assert_eq!((&list["schedules"][0]["name"], &list["schedules"][0]["last"][0]["status"]), (&"yearly".into(), &"done".into()));
        assert_eq!(list["schedules"][0]["next"].as_array().map(Vec::len), Some(3));
        let text = stdout(&town.program(&["schedule", "list"]));
        assert!(text.starts_with("yearly: cycle all at '0 2 1 1 *', 0 days back, issues when its gates pass\n  next "), "{text}");
        // One that fails is an answer of no, each time that somebody asks.
        let town = overdue(Town::sqlite(), 1);
        let settings = std::fs::read_to_string(town.dir.path().join("aquabills.toml")).expect("the settings");
        town.file("aquabills.toml", &settings.replace("\"all\"", "\"nowhere\""));
        for _ in 0..2 {
            let failed = town.program(&["bill", "--due"]);
            assert_eq!(failed.status.code(), Some(1));
            assert!(stdout(&failed).contains("failed   there is no cycle 'nowhere'"), "{}", stdout(&failed));
        }
        assert_eq!(town.program(&["bill", "--due", "--cycle", "all"]).status.code(), Some(2));
        assert_eq!(town.program(&["bill", "--cycle", "all"]).status.code(), Some(2));
    }
}

/// What the units start is a command of the program, and they name the same user and folder.
#[test]
fn the_units_start_commands_that_exist() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".systemd");
    let unit = |name: &str| std::fs::read_to_string(folder.join(name)).expect("the unit is read");
    let value = |text: &str, key: &str| text.lines().find_map(|line| line.strip_prefix(key)).expect("the key").to_owned();
    let (serve, bill) = (unit("aquabills.service"), unit("aquabills-bill.service"));
    for (text, expected) in [(&serve, "serve"), (&bill, "bill --due")] {
        let words = value(text, "ExecStart=/usr/local/bin/aquabills ");
        assert_eq!(words, expected);
        let help = Command::new(env!("CARGO_BIN_EXE_aquabills")).args(words.split(' ')).arg("--help").output().expect("the program starts");
        assert!(help.status.success(), "{words}");
    }
    for key in ["User=", "StateDirectory=", "WorkingDirectory=", "Environment=", "EnvironmentFile="] {
        assert_eq!(value(&serve, key), value(&bill, key));
    }
    assert!(unit("aquabills-bill.timer").contains("OnCalendar="));
}
