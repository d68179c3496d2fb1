//! The program that sends is killed again and again, at any moment.

use std::collections::{HashMap, HashSet};
use std::process::Stdio;
use std::time::Duration;

use aquabills::clock::Clock;
use aquabills::domain::notices::NoticeStatus;
use rand::Rng;
use serde_json::json;

use crate::mail_server::MailServer;
use crate::support::{Town, on_both, stderr};
use crate::{audited, many, notices, served, with_status};

const PEOPLE: usize = 60;
const KILLS: usize = 40;

on_both! {
    fn killed_at_random_moments_nothing_is_lost(town: Town) {
        let server = MailServer::start(&[]);
        server.control(json!({ "jitter_ms": 6 }));
        let mut town = served(many(town, PEOPLE), &server);
        // The program takes the machine's clock.
        town.context.clock = Clock::System;
        for n in 1..=PEOPLE {
            town.pay(&format!("A{n}"), "10.00", &format!("R-{n}"));
        }
        let port = town.context.config.mail.port;
        town.file("aquabills.toml", &format!("[mail]\ntransport = \"smtp\"\nhost = \"localhost\"\nport = {port}\nsecurity = \"none\"\nbatch = 7\n"));
        let mut killed = 0;
        for _ in 0..KILLS {
            let mut child = town.command(&["notices", "send"]).stdout(Stdio::null()).spawn().expect("the program starts");
            std::thread::sleep(Duration::from_millis(rand::rng().random_range(10..180)));
            if child.try_wait().expect("the program is asked").is_none() {
                child.kill().expect("the program is killed");
                killed += 1;
            }
            child.wait().expect("the program ends");
        }
        server.behave();
        let rest = town.program(&["notices", "send", "--wait"]);
        assert!(rest.status.success(), "{}", stderr(&rest));
        assert!(killed > 0, "none was killed");
        assert_eq!(with_status(&town, NoticeStatus::Sent).len(), PEOPLE);
        assert_boundary(&town, &server);
    }
}

/// Everything arrived, and whatever arrived twice was in doubt, as the audit trail says.
fn assert_boundary(town: &Town, server: &MailServer) {
    let mut copies: HashMap<String, usize> = HashMap::new();
    for message in server.accepted() {
        *copies.entry(message.id()).or_default() += 1;
    }
    let doubts: Vec<String> = audited(town, "notice.unanswered");
    let doubtful: HashSet<&str> = doubts.iter().filter_map(|detail| detail.strip_prefix("notice ")?.split(':').next()).collect();
    for notice in notices(town) {
        let times = copies.remove(&format!("<{}>", notice.message_id)).unwrap_or_default();
        let id = notice.id.to_string();
        let in_doubt = doubts.iter().filter(|detail| detail.starts_with(&format!("notice {id}:"))).count();
        assert!(times >= 1, "notice {id} was lost");
        assert!(times <= 1 + in_doubt, "notice {id} came {times} times and was {in_doubt} times in doubt");
        assert!(times == 1 || doubtful.contains(id.as_str()));
    }
    assert!(copies.is_empty(), "messages of nobody: {copies:?}");
}
