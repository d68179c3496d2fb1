//! The pages in a real browser: Chromium with axe, driven by the programs in `tests/browser` through Node.js.
//!
//! One test shows that each check can fail, the other tells every story against a demonstration town as
//! `aquabills demo` makes and serves it. What they need is installed by `tests/run --install`.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on must fail loudly")]
#![allow(clippy::print_stdout, reason = "what the browser and the demonstration said is shown when a test fails")]

use std::env;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use sha2::{Digest as _, Sha256};

const HELP: &str = "run tests/run --install";

/// One browser at a time: the machines that test have two cores.
static BROWSER: Mutex<()> = Mutex::new(());

#[test]
fn each_check_can_fail() {
    look(&["--self-test"]);
}

#[test]
fn the_demonstration_town_in_a_browser() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let home = folder.path().join("town");
    let town = Demo::start(&home);
    let file = folder.path().join("sign-ins.json");
    std::fs::write(&file, serde_json::to_vec(&town.sign_ins).expect("plain values")).expect("the sign-ins are written");
    look(&[&town.address, &file.display().to_string(), &home.join("mail").display().to_string()]);
}

/// A sign-in as the demonstration prints it: `sign-in: ROLE EMAIL PASSWORD [TOTP-SECRET]`.
#[derive(Debug, PartialEq, Eq, serde::Serialize)]
struct SignIn {
    role: String,
    email: String,
    password: String,
    secret: Option<String>,
}

#[test]
fn sign_ins_are_read_from_what_the_demonstration_prints() {
    let clerk = sign_in("  sign-in: clerk clerk@example.org a-pass SECRET").expect("a sign-in");
    assert_eq!((clerk.role.as_str(), clerk.password.as_str(), clerk.secret.as_deref()), ("clerk", "a-pass", Some("SECRET")));
    assert_eq!(sign_in("sign-in: customer a@example.org b").expect("a sign-in").secret, None);
    assert_eq!(sign_in("verify: 24 bills made again"), None);
}

fn sign_in(line: &str) -> Option<SignIn> {
    let mut words = line.trim().strip_prefix("sign-in: ")?.split_whitespace().map(str::to_owned);
    let (role, email, password) = (words.next()?, words.next()?, words.next()?);
    Some(SignIn { role, email, password, secret: words.next() })
}

/// `aquabills demo`, serving; it ends with the value.
struct Demo {
    child: Child,
    address: String,
    sign_ins: Vec<SignIn>,
}

impl Demo {
    /// Starts it and waits until it has printed where it serves.
    fn start(folder: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aquabills"));
        command.args(["demo", "--listen", "127.0.0.1:0", "--folder"]).arg(folder);
        command.env_remove("DATABASE_URL").env_remove("AQUABILLS_CONFIG").env("RUST_LOG", "error");
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the program starts");
        let mut output = BufReader::new(child.stdout.take().expect("its output is ours")).lines();
        let mut printed = String::new();
        let mut sign_ins = Vec::new();
        let address = loop {
            let Some(Ok(line)) = output.next() else {
                panic!("the demonstration ended before it served: {:?}\n{printed}", child.wait());
            };
            writeln!(printed, "{line}").expect("text grows");
            sign_ins.extend(sign_in(&line));
            if let Some(address) = line.split_whitespace().find(|word| line.contains("serving ") && word.starts_with("http://")) {
                break address.trim_end_matches(['/', ',']).to_owned();
            }
        };
        // What it prints later is read as well, so that it never waits for a reader.
        std::thread::spawn(move || output.map_while(Result::ok).for_each(drop));
        println!("{printed}");
        Self { child, address, sign_ins }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // It may have ended by itself, and then there is nothing to stop.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the browser's program and fails with all that it said.
fn look(arguments: &[&str]) {
    let _one = BROWSER.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let packages = cache().join(packages_folder()).join("node_modules");
    assert!(packages.is_dir(), "the npm packages of the browser tests are not in {}: {HELP}", packages.display());
    let mut command = Command::new("node");
    command.arg(root().join("tests/browser/run.mjs")).args(arguments).env("NODE_PATH", packages).env("PATH", path_with_own_tools());
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("Node.js does not start ({error}): {HELP}"));
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\nnode: {}", output.status);
    println!("{said}");
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Where `tests/run` installs what has no other place: the same rule as there.
fn cache() -> PathBuf {
    let folder = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    folder("AQUABILLS_CACHE_DIR").unwrap_or_else(|| {
        let all = folder("XDG_CACHE_HOME").unwrap_or_else(|| folder("HOME").unwrap_or_else(|| "/tmp".into()).join(".cache"));
        all.join("aquabills")
    })
}

/// Named after the versions that are in it.
fn packages_folder() -> String {
    let lock = std::fs::read(root().join("tests/browser/package-lock.json")).expect("the list of npm packages is there");
    let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(lock));
    format!("browser-{}", &digest[..16])
}

/// A Node.js that `tests/run` installed comes first.
fn path_with_own_tools() -> OsString {
    let rest = env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(cache().join("tools/bin")).chain(env::split_paths(&rest));
    env::join_paths(folders).unwrap_or(rest.clone())
}
