//! Notices: queued with their event, sent once, whatever breaks. Told on both databases with a real SMTP server.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on must fail loudly")]

mod attached;
mod delivery;
mod kills;
mod mail_server;
mod queueing;
#[path = "../support/mod.rs"]
mod support;
mod transports;
mod words;

use aquabills::actions::notices::deliver::Counts;
use aquabills::actions::notices::{NoticeFilter, NoticeView, list};
use aquabills::config::{MailSecurity, MailSettings};
use aquabills::domain::notices::NoticeStatus;
use aquabills::jobs::mailer::Round;
use chrono::{TimeDelta, TimeZone, Utc};
use diesel::RunQueryDsl;
use mail_server::MailServer;
use support::{TARIFF, Town, lines};

/// A town whose customers have addresses: accounts `A1` … of `one@town.example` …; `None` has none.
fn peopled(town: Town, emails: &[Option<&str>]) -> Town {
    town.tariff(TARIFF).expect("the tariff is accepted");
    let header = "customer_id,service_id,rate_class,meter_id,register_digits,name,email";
    let row = |(index, email): (usize, Option<&str>)| {
        let n = index + 1;
        format!("A{n},S{n},HOME,M{n},4,Person {n},{}", email.unwrap_or_default())
    };
    let rows: Vec<String> = emails.iter().copied().enumerate().map(row).collect();
    let report = town.services(&format!("{header}\n{}\n", rows.join("\n"))).expect("the services are read");
    assert_eq!(report.refused, 0);
    town
}

/// A town of so many people, each with an address.
fn many(town: Town, count: usize) -> Town {
    let addresses: Vec<String> = (1..=count).map(|n| format!("p{n}@town.example")).collect();
    let emails: Vec<Option<&str>> = addresses.iter().map(|address| Some(address.as_str())).collect();
    peopled(town, &emails)
}

/// Every notice, oldest first.
fn notices(town: &Town) -> Vec<NoticeView> {
    let mut all = list(&town.context, &NoticeFilter::default(), None, 10_000).expect("the notices are listed");
    all.reverse();
    all
}

/// `kind status` of every notice, oldest first.
fn states(town: &Town) -> Vec<String> {
    notices(town).iter().map(|notice| format!("{} {}", notice.kind, notice.status)).collect()
}

/// The notices in a status, oldest first.
fn with_status(town: &Town, status: NoticeStatus) -> Vec<NoticeView> {
    notices(town).into_iter().filter(|notice| notice.status == status).collect()
}

/// Points the town at a server.
fn served(mut town: Town, server: &MailServer) -> Town {
    let mail = server.settings(MailSecurity::None);
    town.configure(|config| config.mail = mail);
    town
}

/// Changes the town's settings of mail.
fn with_mail(town: &mut Town, change: impl FnOnce(&mut MailSettings)) {
    town.configure(|config| change(&mut config.mail));
}

/// Sends what is due, once.
fn send(town: &Town) -> Counts {
    let mut round = Round::open(&town.context).expect("the settings are good").expect("something is sent");
    round.send_due(&|| false).expect("the outbox works")
}

/// Moves the simulated clock.
fn later(town: &Town, by: TimeDelta) {
    town.context.clock.set(Utc.from_utc_datetime(&(town.context.now() + by)));
}

/// Sends again and again, as time goes by, until nothing waits.
fn send_all(town: &Town) {
    for _ in 0..2_000 {
        send(town);
        let (waiting, next) = aquabills::actions::notices::deliver::waiting(&town.context).expect("the outbox works");
        if waiting == 0 {
            return;
        }
        let pause = next.map_or(TimeDelta::zero(), |next| next - town.context.now());
        later(town, pause.max(TimeDelta::milliseconds(1)));
    }
    panic!("notices still wait: {:?}", states(town));
}

/// The audit trail's details of an action.
fn audited(town: &Town, action: &str) -> Vec<String> {
    let sql = format!("SELECT detail AS line FROM audit_event WHERE action = '{action}' ORDER BY id");
    town.context.database.read(|conn| Ok::<_, diesel::result::Error>(lines(conn, &sql))).expect("the audit trail is read")
}

/// Fails unless each notice was accepted exactly once.
fn assert_once_each(town: &Town, server: &MailServer) {
    let mut expected: Vec<String> = with_status(town, NoticeStatus::Sent).iter().map(|notice| format!("<{}>", notice.message_id)).collect();
    assert_eq!(expected.len(), notices(town).len(), "{:?}", states(town));
    let mut got: Vec<String> = server.accepted().iter().map(mail_server::Accepted::id).collect();
    expected.sort();
    got.sort();
    assert_eq!(got, expected);
}

/// Somebody of staff who signs in, sign-in 1; once is enough.
fn with_login(town: &Town) {
    let sql = "INSERT INTO login (id, email, name, role, created_at) VALUES (1, 'ann@town.example', 'Ann', 'clerk', '2026-06-15 00:00:00') \
               ON CONFLICT DO NOTHING";
    let done = town.context.database.write(|conn| diesel::sql_query(sql).execute(conn));
    done.expect("the sign-in is there");
}
