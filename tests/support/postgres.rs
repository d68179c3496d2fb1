//! A PostgreSQL server of the tests' own: in a temporary folder, reached by a socket only, gone with the tests.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use aquabills::db::Database;

const TEMPLATE: &str = "aquabills_template";

struct Server {
    folder: PathBuf,
    bin: PathBuf,
}

/// A database of its own for one test, with the schema in place. Returns its address.
pub fn new_database() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let server = server();
    let name = format!("town_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    server.psql(&format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}"));
    server.address(&name)
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let server = start();
        server.psql(&format!("CREATE DATABASE {TEMPLATE}"));
        drop(Database::open(&server.address(TEMPLATE), 1).expect("the template is migrated"));
        server
    })
}

impl Server {
    fn address(&self, database: &str) -> String {
        let folder = self.folder.display().to_string().replace('/', "%2F");
        format!("postgres://postgres@{folder}/{database}")
    }

    fn psql(&self, sql: &str) {
        let output = Command::new(self.bin.join("psql"))
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", "postgres", "-c", sql])
            .arg("-h")
            .arg(&self.folder)
            .output()
            .expect("psql starts");
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// PostgreSQL refuses to run as root: there it runs as the user that its package made.
fn as_user(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    // The server ends when the thread that started it ends.
    command.args(["--pdeathsig", "INT"]);
    if rustix::process::geteuid().is_root() {
        command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]);
    }
    command.arg("--").arg(program);
    command
}

fn bin_folder() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).filter(|bin| bin.join("initdb").exists()).collect();
    found.sort();
    let on_path = std::env::var_os("PATH").and_then(|path| std::env::split_paths(&path).find(|folder| folder.join("initdb").exists()));
    found.pop().or(on_path).expect("PostgreSQL is not installed: `tests/run --install` installs what the tests need")
}

fn start() -> Server {
    let bin = bin_folder();
    let folder = tempfile::Builder::new().prefix("aqb-pg-").tempdir().expect("a temporary folder").keep();
    if rustix::process::geteuid().is_root() {
        let status = Command::new("chown").arg("postgres").arg(&folder).status().expect("chown starts");
        assert!(status.success(), "the folder is not given to postgres");
    }
    let data = folder.join("data");
    let output = as_user(&bin.join("initdb"))
        .args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale", "C", "-N", "-D"])
        .arg(&data)
        .output()
        .expect("initdb starts");
    assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
    run_server(&bin, &folder, &data);
    remove_afterwards(&folder);
    Server { folder, bin }
}

/// A process that waits for the end of the tests, however they end, and then takes the server's folder away: each is
/// half a gigabyte.
fn remove_afterwards(folder: &Path) {
    let janitor = Command::new("sh")
        .args(["-c", "tail --pid=\"$0\" -f /dev/null; sleep 2; rm -rf \"$1\" \"$1.log\""])
        .arg(std::process::id().to_string())
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    drop(janitor.expect("sh starts"));
}

/// Starts the server from a thread that lives as long as the tests, and waits until it answers.
fn run_server(bin: &Path, folder: &Path, data: &Path) {
    let mut command = as_user(&bin.join("postgres"));
    command.arg("-D").arg(data).arg("-k").arg(folder);
    for setting in ["listen_addresses=", "fsync=off", "full_page_writes=off", "max_connections=300", "shared_buffers=128MB", "max_wal_size=1GB"] {
        command.args(["-c", setting]);
    }
    let log = std::fs::File::create(folder.with_extension("log")).expect("a log");
    command.stdout(Stdio::null()).stderr(log);
    let (started, wait) = mpsc::channel();
    std::thread::spawn(move || {
        let mut child = command.spawn().expect("postgres starts");
        started.send(()).expect("somebody waits");
        // Nobody ends the server while the tests run: if it ends, each test says so when it cannot connect.
        drop(child.wait());
    });
    wait.recv().expect("the server's thread lives");
    let since = Instant::now();
    while !Command::new(bin.join("pg_isready")).arg("-q").arg("-h").arg(folder).status().is_ok_and(|status| status.success()) {
        assert!(since.elapsed() < Duration::from_secs(60), "PostgreSQL does not answer; its log is {}", folder.with_extension("log").display());
        std::thread::sleep(Duration::from_millis(50));
    }
}
