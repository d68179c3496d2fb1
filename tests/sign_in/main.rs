//! Stories of signing in, told over HTTP on both databases.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on must fail loudly")]

#[path = "../support/mod.rs"]
mod support;

mod forms;
mod guesses;
mod sessions;
mod staff;

use chrono::{DateTime, Duration, Utc};
use support::http::Served;
use support::{Town, lines};

/// A town with customers who have an address on file, served.
fn serve(town: &mut Town) -> Served {
    town.tariff(support::TARIFF).expect("the tariff is accepted");
    let report = town.services(
        "customer_id,service_id,rate_class,meter_id,register_digits,name,email\n\
         A1,S1,HOME,M1,4,Ada Lovelace,Ada@Example.org\n\
         B1,S2,HOME,M2,4,Bob Babbage,bob@example.org\n\
         C1,S3,HOME,M3,4,Cy Nobody,\n",
    );
    assert_eq!(report.expect("the services are read").refused, 0);
    Served::new(town)
}

/// Lets time pass.
fn wait(town: &Town, pause: Duration) {
    let now: DateTime<Utc> = town.context.now().and_utc();
    town.context.clock.set(now + pause);
}

/// The column `line` of a query.
fn ask(town: &Town, sql: &str) -> Vec<String> {
    town.context.database.read(|conn| Ok::<_, diesel::result::Error>(lines(conn, sql))).expect("the query runs")
}

/// The actions in the audit trail about a subject, in order.
fn audit(town: &Town, subject: &str) -> Vec<String> {
    ask(town, &format!("SELECT action AS line FROM audit_event WHERE subject = '{subject}' ORDER BY id"))
}

/// The path of the last mailed link to an address.
fn mailed_link(town: &Town, email: &str) -> Option<String> {
    let facts = ask(town, &format!("SELECT facts AS line FROM notice WHERE kind = 'password_link' AND recipient = '{email}' ORDER BY id"));
    let (_, rest) = facts.last()?.split_once("/password/")?;
    Some(format!("/password/{}", rest.split('"').next()?))
}

/// Kinds of the notices to an address, in order.
fn told(town: &Town, email: &str) -> Vec<String> {
    ask(town, &format!("SELECT kind AS line FROM notice WHERE recipient = '{email}' ORDER BY id"))
}
