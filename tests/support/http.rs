//! A browser without a screen: speaks HTTP over a socket with the application, keeps cookies, fills in forms.
//!
//! The application runs in this process on a town's database with the town's clock, on a port of its own.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use aquabills::actions::Context;
use aquabills::actions::sign_in::{self, NewStaff, set_password_by_link};
use aquabills::domain::roles::Role;
use aquabills::web::Application;
use chrono::NaiveDateTime;
use data_encoding::BASE32_NOPAD;
use totp_rs::{Algorithm, Builder};

use super::Town;

/// A password that every rule accepts.
pub const PASSWORD: &str = "wet pipes hum quietly";

/// An application that serves until the test program ends.
pub struct Served {
    pub context: Context,
    /// `host:port`.
    pub host: String,
}

impl Served {
    /// Serves a town; cookies are for any connection, because there is no TLS here.
    pub fn new(town: &mut Town) -> Self {
        town.configure(|config| config.sign_in.secure_cookies = false);
        Self::with_settings(town)
    }

    /// Serves a town with its settings as they are.
    pub fn with_settings(town: &Town) -> Self {
        let context = town.context.clone();
        let application = Application::build(context.clone(), "127.0.0.1:0").expect("a free port");
        let host = application.address().trim_start_matches("http://").to_owned();
        std::thread::spawn(move || application.run());
        Self { context, host }
    }

    /// A browser that never was here.
    pub fn browser(&self) -> Browser {
        Browser { host: self.host.clone(), agent: "Teststrider 1".to_owned(), cookies: BTreeMap::new(), extra: Vec::new(), origin: None }
    }

    /// Somebody of the utility's, signed in with both factors.
    pub fn staff(&self, role: Role) -> Browser {
        let email = format!("{role}@utility.example");
        add_staff(&self.context, &email, role);
        let mut browser = self.browser();
        assert_eq!(browser.sign_in(&email, PASSWORD).location(), "/sign-in/set-up-factor?next=/");
        let page = browser.get("/sign-in/set-up-factor");
        let secret = secret_of(&page);
        let done = browser.post_form(&page, "/sign-in/set-up-factor", &[("code", &code(&secret, self.context.now()))]);
        assert_eq!((done.status, done.location()), (303, "/"), "{}", done.body);
        browser
    }

    /// The customer with this address on file, signed in.
    pub fn customer(&self, email: &str) -> Browser {
        give_password(&self.context, email, PASSWORD);
        let mut browser = self.browser();
        let done = browser.sign_in(email, PASSWORD);
        assert_eq!((done.status, done.location()), (303, "/"), "{}", done.body);
        browser
    }
}

/// Adds somebody of the utility's with the usual password and no second factor yet.
pub fn add_staff(context: &Context, email: &str, role: Role) {
    let new = NewStaff { email: email.to_owned(), name: format!("The {role}"), role, password: Some(PASSWORD.to_owned()), mail_link: false };
    sign_in::add_staff(context, &new).expect("staff is added");
}

/// Lets a customer in as the mailed link does, without the mail.
pub fn give_password(context: &Context, email: &str, password: &str) {
    let client = sign_in::Client { address: "test".to_owned(), user_agent: String::new() };
    sign_in::request_link(context, email, &client).expect("the link is asked for");
    let path = sign_in::send_link(context, email, false).expect("the customer is on file");
    set_password_by_link(context, path.trim_start_matches("/password/"), password).expect("the password is set");
}

/// The secret that the page of the second factor shows.
pub fn secret_of(page: &Answer) -> String {
    let (_, rest) = page.body.split_once("<code class=\"break\">").unwrap_or_else(|| panic!("no secret on the page: {}", page.body));
    rest.split('<').next().expect("an end").replace(' ', "")
}

/// The code of a moment.
pub fn code(secret: &str, at: NaiveDateTime) -> String {
    let bytes: [u8; 20] = BASE32_NOPAD.decode(secret.as_bytes()).expect("base 32").try_into().expect("20 bytes");
    let totp = Builder::new().with_algorithm(Algorithm::SHA1).with_secret(bytes).build().expect("a secret");
    totp.generate(u64::try_from(at.and_utc().timestamp()).expect("after 1970")).to_string()
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    /// A header's value; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }

    /// Where it leads.
    pub fn location(&self) -> &str {
        self.header("location")
    }

    /// The hidden token of the page's form with this address as its action (any form's, for an empty one).
    pub fn csrf(&self, action: &str) -> String {
        let form = self.body.split("<form").skip(1).find(|form| action.is_empty() || form.contains(&format!("action=\"{action}\"")));
        let form = form.unwrap_or_else(|| panic!("no form for {action} on the page ({}): {}", self.status, self.body));
        let (_, rest) = form.split_once("name=\"csrf\" value=\"").expect("a hidden token");
        rest.split('"').next().expect("an end").to_owned()
    }
}

/// A page without its hidden tokens, which look different each time.
pub fn without_tokens(answer: &Answer) -> String {
    let mut pieces = answer.body.split("name=\"csrf\" value=\"");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |page, piece| page + piece.split_once('"').map_or("", |(_, rest)| rest))
}

/// A browser: cookies, and what it says of itself.
#[derive(Clone)]
pub struct Browser {
    pub host: String,
    pub agent: String,
    pub cookies: BTreeMap<String, String>,
    /// Further headers.
    pub extra: Vec<(String, String)>,
    /// What it sends as `Origin` with forms instead of its own; empty is none.
    pub origin: Option<String>,
}

impl Browser {
    pub fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, "")
    }

    /// Sends a form as it stands.
    pub fn post(&mut self, path: &str, body: &str) -> Answer {
        self.send("POST", path, body)
    }

    /// Sends a form with a file (`multipart/form-data`).
    pub fn upload(&mut self, path: &str, fields: &[(&str, &str)], file: (&str, &str)) -> Answer {
        const BOUNDARY: &str = "----a-boundary-of-the-tests";
        let part = |disposition: String, content: &str| format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{content}\r\n");
        let fields: String = fields.iter().map(|(name, value)| part(format!("name=\"{name}\""), value)).collect();
        let file = part(format!("name=\"file\"; filename=\"{}\"", file.0), file.1);
        self.send_as(&format!("multipart/form-data; boundary={BOUNDARY}"), "POST", path, &format!("{fields}{file}--{BOUNDARY}--\r\n"))
    }

    /// Fills in the form of a page that was loaded, with its hidden token.
    pub fn post_form(&mut self, page: &Answer, action: &str, fields: &[(&str, &str)]) -> Answer {
        let csrf = page.csrf(action);
        let fields: Vec<(&str, &str)> = fields.iter().copied().chain([("csrf", csrf.as_str())]).collect();
        self.post(action, &encoded(&fields))
    }

    /// Loads a page and fills in the form on it.
    pub fn submit(&mut self, page: &str, action: &str, fields: &[(&str, &str)]) -> Answer {
        let page = self.get(page);
        self.post_form(&page, action, fields)
    }

    /// The sign-in's form.
    pub fn sign_in(&mut self, email: &str, password: &str) -> Answer {
        self.submit("/sign-in", "/sign-in", &[("email", email), ("password", password), ("next", "/")])
    }

    /// The name of whom the page greets, when somebody is signed in.
    pub fn is_signed_in(&mut self) -> bool {
        let answer = self.get("/profile/sign-in");
        match answer.status {
            200 => true,
            303 => false,
            other => panic!("unexpected status {other}: {}", answer.body),
        }
    }

    /// Sends any request.
    pub fn send(&mut self, method: &str, path: &str, body: &str) -> Answer {
        self.send_as("application/x-www-form-urlencoded", method, path, body)
    }

    fn send_as(&mut self, kind: &str, method: &str, path: &str, body: &str) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nUser-Agent: {}\r\n", self.host, self.agent);
        if !self.cookies.is_empty() {
            let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            head += &format!("Cookie: {}\r\n", pairs.join("; "));
        }
        if method == "POST" {
            let origin = self.origin.clone().unwrap_or_else(|| format!("http://{}", self.host));
            if !origin.is_empty() {
                head += &format!("Origin: {origin}\r\n");
            }
            head += &format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
        }
        for (name, value) in &self.extra {
            head += &format!("{name}: {value}\r\n");
        }
        let answer = exchange(&self.host, &format!("{head}\r\n{body}"));
        self.remember(&answer);
        answer
    }

    fn remember(&mut self, answer: &Answer) {
        for (_, value) in answer.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")) {
            let (name, rest) = value.split_once('=').expect("a cookie");
            let content = rest.split(';').next().unwrap_or_default();
            if rest.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), content.to_owned());
            }
        }
    }
}

/// Fields as a form sends them.
pub fn encoded(fields: &[(&str, &str)]) -> String {
    let escape = |text: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect::<String>()
    };
    fields.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect::<Vec<_>>().join("&")
}

/// One request, one answer, one connection.
fn exchange(host: &str, request: &str) -> Answer {
    let mut stream = TcpStream::connect(host).expect("the application listens");
    stream.set_read_timeout(Some(Duration::from_secs(120))).expect("a timeout");
    stream.write_all(request.as_bytes()).expect("the request is sent");
    let mut bytes = Vec::new();
    // A server that refuses a large body closes the connection while it is still being sent.
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer to: {request}"));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok()).expect("a status");
    let headers: Vec<(String, String)> =
        lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let chunked = headers.iter().any(|(name, value)| name.eq_ignore_ascii_case("transfer-encoding") && value == "chunked");
    let body = if chunked { unchunked(body) } else { body.to_owned() };
    Answer { status, headers, body }
}

fn unchunked(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 {
            break;
        }
        body += &after[..size];
        rest = after[size..].trim_start_matches("\r\n");
    }
    body
}
