//! Ways out: protected connections, signing in to the server, a folder, none.

use aquabills::config::{MailSecurity, MailTransport};
use aquabills::domain::notices::NoticeStatus;
use aquabills::jobs::mailer::{Mailer, Round};
use chrono::TimeDelta;

use crate::mail_server::{Certificates, MailServer};
use crate::support::{Town, stderr, stdout};
use crate::{assert_once_each, later, many, notices, send, send_all, states, with_mail, with_status};

fn town() -> Town {
    let town = many(Town::sqlite(), 2);
    town.pay("A1", "1.00", "R-1");
    town.pay("A2", "1.00", "R-2");
    town
}

fn server_args<'a>(how: &'a str, cert: &'a str, key: &'a str) -> Vec<&'a str> {
    vec![how, "--cert", cert, "--key", key, "--user", "utility", "--password", env!("CARGO_PKG_NAME")]
}

#[test]
fn a_protected_connection_with_a_password_begun_either_way() {
    let certificates = Certificates::make();
    let (cert, key) = (certificates.path("server.pem"), certificates.path("server.key"));
    let (cert, key) = (cert.to_str().unwrap(), key.to_str().unwrap());
    for (security, how) in [(MailSecurity::Starttls, "--starttls"), (MailSecurity::Tls, "--tls")] {
        let server = MailServer::start(&server_args(how, cert, key));
        let mut town = town();
        let mut mail = server.settings(security);
        mail.user = "utility".to_owned();
        // A variable that cargo sets for every test: the word is no secret, and the environment stays as it is.
        mail.password_env = "CARGO_PKG_NAME".to_owned();
        mail.ca_file = certificates.path("ca.pem");
        town.configure(|config| config.mail = mail);
        assert_eq!(send(&town).sent, 2, "{security:?}: {:?}", notices(&town)[0].last_error);
        assert_once_each(&town, &server);
        for message in server.accepted() {
            assert_eq!((message.0["encrypted"].as_bool(), message.text("user").as_str()), (Some(true), "utility"));
        }
        // A wrong password is the utility's own trouble: nobody's address is blamed.
        town.pay("A1", "1.00", "R-3");
        with_mail(&mut town, |mail| mail.password_env = "CARGO_PKG_VERSION".to_owned());
        assert_eq!(send(&town).postponed, 1);
        // Nor is a server trusted whose certificate nobody vouches for.
        later(&town, TimeDelta::minutes(15));
        with_mail(&mut town, |mail| mail.ca_file = "".into());
        assert_eq!(send(&town).postponed, 1);
        assert_eq!(server.accepted().len(), 2);
    }
}

#[test]
fn nothing_is_said_to_a_server_that_cannot_protect_the_connection() {
    let server = MailServer::start(&[]);
    let mut town = town();
    let mail = server.settings(MailSecurity::Starttls);
    town.configure(|config| config.mail = mail);
    assert_eq!(send(&town).postponed, 2);
    assert!(server.accepted().is_empty());
    assert!(notices(&town)[0].last_error.as_deref().unwrap().contains("STARTTLS"), "{:?}", notices(&town)[0]);
}

#[test]
fn a_folder_gets_a_file_for_each_notice() {
    let mut town = town();
    let folder = town.dir.path().join("mail");
    let files = || {
        let mut files: Vec<String> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        files
    };
    with_mail(&mut town, |mail| (mail.transport, mail.folder) = (MailTransport::Folder, folder.clone()));
    assert_eq!(send(&town).sent, 2);
    assert_eq!(files(), ["00000001-payment_received.eml", "00000002-payment_received.eml"]);
    let message = std::fs::read_to_string(folder.join("00000001-payment_received.eml")).unwrap();
    assert!(message.contains("To: \"Person 1\" <p1@town.example>") && message.contains("multipart/alternative"), "{message}");
    // Written, and killed before that was noted: it is written again over itself.
    let again = town.context.database.write(|conn| {
        use diesel::RunQueryDsl;
        diesel::sql_query("UPDATE notice SET status = 'sending', sent_at = NULL WHERE id = 1").execute(conn)
    });
    assert_eq!(again.unwrap(), 1);
    send_all(&town);
    assert_eq!(files().len(), 2);
    assert_eq!(std::fs::read_to_string(folder.join("00000001-payment_received.eml")).unwrap(), message, "byte by byte");
}

#[test]
fn off_keeps_notices_where_they_are() {
    let town = town();
    assert!(Round::open(&town.context).unwrap().is_none());
    Mailer::start(&town.context).unwrap().stop();
    assert_eq!(states(&town), ["payment_received queued", "payment_received queued"]);
    let refused = town.program(&["notices", "send"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("mail.transport is off"), "{}", stderr(&refused));
}

#[test]
fn the_command_line_sends_lists_and_records() {
    let mut town = town();
    town.context.clock = aquabills::clock::Clock::System;
    town.pay("A1", "2.00", "R-now");
    town.file("aquabills.toml", "[mail]\ntransport = \"folder\"\nfolder = \"letters\"\n");
    let sent = town.program(&["notices", "send", "--wait", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&stdout(&sent)).unwrap_or_else(|_| panic!("{}", stderr(&sent)));
    assert_eq!(report["waiting"], 0);
    assert!(report["counts"]["sent"].as_u64().unwrap() >= 1, "{report}");
    let listed = town.program(&["notices", "list", "--account", "A1", "--status", "sent", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&stdout(&listed)).unwrap();
    assert_eq!(listed["notices"][0]["recipient"], "p1@town.example");
    assert!(stdout(&town.program(&["notices", "list"])).contains("payment_received"));
    assert!(town.program(&["notices", "bounce", "p1@town.example"]).status.success());
    town.pay("A1", "3.00", "R-after");
    assert_eq!(with_status(&town, NoticeStatus::Suppressed).last().unwrap().recipient, "p1@town.example");
    assert!(town.program(&["notices", "bounce", "p1@town.example", "--clear"]).status.success());
    assert_eq!(town.program(&["notices", "bounce", "p1@town.example", "--clear"]).status.code(), Some(1));
    assert_eq!(town.program(&["notices", "list", "--status", "lost"]).status.code(), Some(2));
}
