//! The second person: what one asks for, another decides, and nobody gets round that. Credits, undos, payouts and refunds; by
//! real pages, by the program, and by hand in the database.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on must fail loudly")]

#[path = "../support/mod.rs"]
mod support;

mod around;
mod attacks;
mod kills;
mod laws;
mod payout_pages;
mod payouts;
mod policy;
mod schema;
mod stories;
mod void_batch;

use aquabills::actions::adjust::{Adjustment, ask};
use aquabills::actions::approvals::{ApprovalView, Decided, Outcome, Seen, Verdict, decide, show};
use aquabills::actions::sign_in::{self, NewStaff};
use aquabills::actions::undo::{Undo, undo};
use aquabills::actions::{ActionError, Context};
use aquabills::domain::ids::ApprovalId;
use aquabills::domain::roles::Role;
use support::Town;
use support::http::{Browser, PASSWORD, Served, code, secret_of};

pub(crate) const ANA: &str = "ana@utility.example";
pub(crate) const BEN: &str = "ben@utility.example";
pub(crate) const SAM: &str = "sam@utility.example";
pub(crate) const SUE: &str = "sue@utility.example";

/// Two households; clerks Ana and Ben, supervisors Sam and Sue.
pub(crate) fn town(town: Town) -> Town {
    let town = town.with_services(&["A1,S1,HOME,M1", "A2,S2,HOME,M2", "A3,S3,HOME,M3"]);
    for (email, name, role) in
        [(ANA, "Ana Clerk", Role::Clerk), (BEN, "Ben Clark", Role::Clerk), (SAM, "Sam Chief", Role::Supervisor), (SUE, "Sue Head", Role::Supervisor)]
    {
        add(&town, email, name, role);
    }
    town
}

/// Adds somebody of the utility's.
pub(crate) fn add(town: &Town, email: &str, name: &str, role: Role) {
    let new = NewStaff { email: email.to_owned(), name: name.to_owned(), role, password: Some(PASSWORD.to_owned()), mail_link: false };
    sign_in::add_staff(&town.context, &new).expect("staff is added");
}

/// Sets a second factor up for somebody who was added, and gives its secret.
pub(crate) fn factor(town: &Town, email: &str) -> String {
    let client = sign_in::Client { address: "test".to_owned(), user_agent: String::new() };
    let sign_in::Attempt::Accepted(entered) = sign_in::sign_in(&town.context, email, PASSWORD, &client).unwrap() else { panic!("no sign-in") };
    let session = sign_in::current_session(&town.context, &entered.token).unwrap().expect("a session");
    let secret = sign_in::propose_factor(&town.context, session.login.id).unwrap().secret.replace(' ', "");
    let code = code(&secret, town.context.now());
    let confirmed = sign_in::confirm_factor(&town.context, session.login.id, &session.session, &code, &client).unwrap();
    assert!(matches!(confirmed, sign_in::Attempt::Accepted(_)));
    secret
}

/// Runs the program by the machine's clock with something typed: exit status, standard output, standard error.
pub(crate) fn typed(town: &Town, args: &[&str], input: &str) -> (Option<i32>, String, String) {
    use std::io::Write;
    use std::process::Stdio;
    let mut command = town.command(args);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    // A program that does not ask has gone: that is for the caller to see.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("the program ends");
    (output.status.code(), support::stdout(&output), support::stderr(&output))
}

/// A password and the code of this moment, as they are typed.
pub(crate) fn proof(town: &Town, secret: &str) -> String {
    let now = Context { clock: aquabills::clock::Clock::System, ..town.context.clone() }.now();
    format!("{PASSWORD}\n{}\n", code(secret, now))
}

/// The town as somebody acts in it.
pub(crate) fn by(town: &Town, who: &str) -> Context {
    Context { actor: who.to_owned(), ..town.context.clone() }
}

/// Somebody who was added, signed in with both factors.
pub(crate) fn sign_in_as(served: &Served, email: &str) -> Browser {
    let mut browser = served.browser();
    assert_eq!(browser.sign_in(email, PASSWORD).location(), "/sign-in/set-up-factor?next=/");
    let page = browser.get("/sign-in/set-up-factor");
    let secret = secret_of(&page);
    let done = browser.post_form(&page, "/sign-in/set-up-factor", &[("code", &code(&secret, served.context.now()))]);
    assert_eq!((done.status, done.location()), (303, "/"), "{}", done.body);
    browser
}

pub(crate) fn adjustment(town: &Town, account: &str, reason: &str, amount: &str, reference: &str) -> Adjustment {
    Adjustment {
        account: account.to_owned(),
        reason_code: reason.to_owned(),
        amount: amount.parse().expect("an amount"),
        effective_on: town.context.today(),
        reference: reference.to_owned(),
        note: "for the trouble".to_owned(),
    }
}

/// Somebody asks for a credit.
pub(crate) fn credit(town: &Town, who: &str, account: &str, amount: &str, reference: &str) -> Result<Outcome, ActionError> {
    ask(&by(town, who), &adjustment(town, account, "goodwill", amount, reference))
}

/// The number of a request that waits.
#[track_caller]
pub(crate) fn waits(outcome: Result<Outcome, ActionError>) -> ApprovalId {
    match outcome.expect("it is asked for") {
        Outcome::Waits(waiting) => waiting.id,
        other => panic!("it does not wait: {other:?}"),
    }
}

#[track_caller]
pub(crate) fn done(outcome: Result<Outcome, ActionError>) -> i64 {
    match outcome.expect("it is done") {
        Outcome::Done(posted) => posted.balance_after_cents,
        other => panic!("it is not done: {other:?}"),
    }
}

#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(outcome: Result<T, ActionError>) -> String {
    outcome.expect_err("it is refused").to_string()
}

pub(crate) fn shown(town: &Town, who: &str, id: ApprovalId) -> ApprovalView {
    show(&by(town, who), id).expect("the request is there")
}

/// Looks at a request and decides about what was seen.
pub(crate) fn decides(town: &Town, who: &str, id: ApprovalId, verdict: Verdict) -> Result<Decided, ActionError> {
    let view = shown(town, who, id);
    decide(&by(town, who), id, verdict, &Seen { sha256: view.sha256, position: view.position }, "as it should be")
}

pub(crate) fn takes_back(town: &Town, who: &str, account: &str, of: &str, reference: &str) -> Result<Outcome, ActionError> {
    let wish = Undo { account: account.to_owned(), of: of.to_owned(), reference: reference.to_owned(), note: "a mistake".to_owned() };
    undo(&by(town, who), &wish)
}

/// How many rows a query counts.
pub(crate) fn count(town: &Town, sql: &str) -> i64 {
    let sql = format!("SELECT CAST(count(*) AS TEXT) AS line FROM {sql}");
    let lines = town.context.database.read(|conn| Ok::<_, diesel::result::Error>(support::lines(conn, &sql))).unwrap();
    lines[0].parse().unwrap()
}
