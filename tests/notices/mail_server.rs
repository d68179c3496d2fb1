//! A real SMTP server (aiosmtpd) for the stories, told what to do through a file.

use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aquabills::config::{MailSecurity, MailSettings, MailTransport};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A mail server in a folder of its own.
pub struct MailServer {
    dir: TempDir,
    port: u16,
    args: Vec<String>,
    child: Option<Child>,
}

/// A message that the server accepted.
#[derive(Debug, Clone)]
pub struct Accepted(pub Value);

impl Accepted {
    pub fn text(&self, name: &str) -> String {
        self.0[name].as_str().unwrap_or_default().to_owned()
    }

    pub fn id(&self) -> String {
        self.text("id")
    }

    pub fn to(&self) -> String {
        self.0["to"][0].as_str().unwrap_or_default().to_owned()
    }

    pub fn header(&self, name: &str) -> Vec<String> {
        let headers = self.0["headers"].as_array().expect("headers");
        headers.iter().filter(|pair| pair[0] == name).map(|pair| pair[1].as_str().unwrap_or_default().to_owned()).collect()
    }
}

impl MailServer {
    /// A server that runs.
    pub fn start(args: &[&str]) -> Self {
        let mut server = Self::down(args);
        server.come_up();
        server
    }

    /// A server that is down, with an address that is its own.
    pub fn down(args: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let dir = tempfile::tempdir().expect("a temporary folder");
        Self { dir, port, args: args.iter().map(|arg| (*arg).to_owned()).collect(), child: None }
    }

    pub fn come_up(&mut self) {
        let ready = self.dir.path().join("port");
        let _ = std::fs::remove_file(&ready);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/notices/server.py");
        let child = Command::new(python())
            .arg(script)
            .arg(self.dir.path())
            .args(["--port", &self.port.to_string()])
            .args(&self.args)
            .stdin(Stdio::piped())
            .stderr(std::fs::File::create(self.dir.path().join("log")).expect("a file for the server's log"))
            .spawn();
        let mut child = child.expect("the mail server starts");
        while !ready.exists() {
            assert!(child.try_wait().expect("the server is asked").is_none(), "the mail server ended at once");
            std::thread::sleep(Duration::from_millis(20));
        }
        self.child = Some(child);
    }

    pub fn go_down(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("the server is killed");
            child.wait().expect("the server ends");
        }
    }

    /// Tells the server what to do from now on.
    pub fn control(&self, control: Value) {
        let unfinished = self.dir.path().join(".control");
        std::fs::File::create(&unfinished).and_then(|mut file| file.write_all(control.to_string().as_bytes())).expect("the control file is written");
        std::fs::rename(unfinished, self.dir.path().join("control")).expect("the control file is there");
    }

    /// Does what a good server does.
    pub fn behave(&self) {
        self.control(json!({}));
    }

    /// What was accepted so far, in order.
    pub fn accepted(&self) -> Vec<Accepted> {
        let text = std::fs::read_to_string(self.dir.path().join("accepted")).unwrap_or_default();
        text.lines().map(|line| Accepted(serde_json::from_str(line).expect("a line of JSON"))).collect()
    }

    /// Settings that lead here.
    pub fn settings(&self, security: MailSecurity) -> MailSettings {
        MailSettings {
            transport: MailTransport::Smtp,
            host: "localhost".to_owned(),
            port: self.port,
            security,
            from: "Story town <billing@town.example>".to_owned(),
            timeout_seconds: 10,
            ..MailSettings::default()
        }
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.go_down();
    }
}

/// A Python that has aiosmtpd: Debian's, or the one on the path.
fn python() -> &'static str {
    let has_it =
        |python: &&str| Command::new(python).args(["-c", "import aiosmtpd"]).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    ["/usr/bin/python3", "python3"].into_iter().find(has_it).expect("aiosmtpd is missing: tests/run installs it (Debian: python3-aiosmtpd)")
}

/// A certificate for `localhost` and the authority that signed it, made for this test.
pub struct Certificates {
    dir: TempDir,
}

impl Certificates {
    pub fn make() -> Self {
        let made = Self { dir: tempfile::tempdir().expect("a temporary folder") };
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "3650"];
        made.openssl(&[&["req", "-x509", "-subj", "/CN=Story CA", "-keyout", "ca.key", "-out", "ca.pem"][..], &key].concat());
        made.openssl(&[&["req", "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr"][..], &key[..5]].concat());
        std::fs::write(made.dir.path().join("ext"), "subjectAltName=DNS:localhost\nbasicConstraints=critical,CA:FALSE\n").expect("a file");
        let sign = ["x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "3650", "-extfile", "ext"];
        made.openssl(&[&sign[..], &["-out", "server.pem"]].concat());
        made
    }

    fn openssl(&self, args: &[&str]) {
        let output = Command::new("openssl").args(args).current_dir(self.dir.path()).output().expect("openssl is there");
        assert!(output.status.success(), "openssl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}
