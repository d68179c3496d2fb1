//! A server that is down, slow, choosy, forgetful: no mail lost, none twice but where nobody can know.

use std::collections::HashMap;
use std::sync::Barrier;
use std::thread;

use aquabills::actions::notices::deliver::Counts;
use aquabills::actions::notices::{bounce_of, clear_bounce, queue, record_bounce};
use aquabills::config::{MailSecurity, MailSettings};
use aquabills::domain::ids::LoginId;
use aquabills::domain::notices::{Addressee, Facts, NewNotice, NoticeStatus, PasswordLink};
use aquabills::jobs::mailer::Mailer;
use chrono::TimeDelta;
use serde_json::json;

use crate::mail_server::{Accepted, MailServer};
use crate::support::{Town, lines, on_both};
use crate::{assert_once_each, audited, later, many, notices, peopled, send, send_all, served, states, with_login, with_mail, with_status};

fn pay_all(town: &Town, count: usize) {
    for n in 1..=count {
        town.pay(&format!("A{n}"), "10.00", &format!("R-{n}"));
    }
}

/// A link that somebody with a sign-in asks for.
fn ask_for_link(town: &Town, key: &str, minutes: i64) {
    with_login(town);
    let notice = NewNotice {
        key: key.to_owned(),
        to: Addressee::Login { id: LoginId(1), person_id: None, email: "ann@town.example".to_owned(), name: "Ann".to_owned() },
        happened_on: town.context.today(),
        facts: Facts::PasswordLink(PasswordLink {
            path: "/password/set?token=SECRET".to_owned(),
            first: false,
            expires_at: town.context.now() + TimeDelta::minutes(minutes),
        }),
    };
    town.context.database.write(|conn| queue(conn, &town.context, notice.clone())).unwrap();
}

fn stored_facts(town: &Town) -> String {
    let rows = town.context.database.read(|conn| Ok::<_, diesel::result::Error>(lines(conn, "SELECT facts AS line FROM notice ORDER BY id")));
    rows.unwrap().join("\n")
}

on_both! {
    fn a_server_that_was_down_for_an_hour_gets_everything_once(town: Town) {
        let mut server = MailServer::down(&[]);
        let town = served(many(town, 12), &server);
        pay_all(&town, 12);
        let until = town.context.now() + TimeDelta::hours(1);
        let mut tries = 0;
        while town.context.now() < until {
            let counts = send(&town);
            assert_eq!(counts.sent, 0);
            tries += u64::from(counts.postponed > 0);
            later(&town, TimeDelta::seconds(20));
        }
        assert!(tries > 3, "it was tried again and again");
        assert!(notices(&town).iter().all(|notice| notice.attempts > 3 && notice.attempts < 40 && notice.last_error.is_some()));
        server.come_up();
        send_all(&town);
        assert_once_each(&town, &server);
        assert_eq!(audited(&town, "notice.unanswered"), Vec::<String>::new());
    }

    fn what_cannot_be_sent_for_three_days_is_given_up_in_the_open(town: Town) {
        let server = MailServer::down(&[]);
        let town = served(many(town, 1), &server);
        pay_all(&town, 1);
        send_all(&town);
        assert_eq!(states(&town), ["payment_received given_up"]);
        let notice = &notices(&town)[0];
        assert!(notice.last_error.as_deref().unwrap().starts_with("tried for 72 hours"), "{notice:?}");
        let tried_for = town.context.now() - notice.created_at;
        assert!(tried_for > TimeDelta::hours(71) && tried_for <= TimeDelta::hours(72), "{tried_for}");
        assert!((280..1500).contains(&notice.attempts), "about every seven minutes: {}", notice.attempts);
        assert_eq!(audited(&town, "notice.given_up").len(), 1);
    }

    fn a_recipient_who_is_refused_does_not_stop_the_others(town: Town) {
        let server = MailServer::start(&[]);
        server.control(json!({ "refuse": ["p2@town.example"] }));
        let town = served(many(town, 3), &server);
        pay_all(&town, 3);
        let counts = send(&town);
        assert_eq!((counts.sent, counts.bounced), (2, 1));
        assert_eq!(states(&town), ["payment_received sent", "payment_received bounced", "payment_received sent"]);
        let bounce = bounce_of(&town.context, "P2@town.example").unwrap().expect("it is remembered");
        assert!(bounce.reason.contains("no such mailbox"), "{bounce:?}");
        assert_eq!(audited(&town, "notice.bounced").len(), 1);
        town.pay("A2", "1.00", "R-later");
        assert_eq!(states(&town).pop().as_deref(), Some("payment_received suppressed"));
        server.behave();
        clear_bounce(&town.context, "p2@town.example").unwrap();
        assert!(clear_bounce(&town.context, "p2@town.example").is_err());
        town.pay("A2", "1.00", "R-cleared");
        assert_eq!(send(&town).sent, 1);
        assert_eq!(server.accepted().len(), 3);
    }

    fn what_is_queued_for_an_address_that_came_back_is_not_sent(town: Town) {
        let server = MailServer::start(&[]);
        let town = served(many(town, 2), &server);
        pay_all(&town, 2);
        assert!(record_bounce(&town.context, "P1@Town.example", "a message came back").unwrap());
        assert!(!record_bounce(&town.context, "p1@town.example", "again").unwrap());
        assert!(record_bounce(&town.context, "nobody", "").is_err());
        let counts = send(&town);
        assert_eq!((counts.sent, counts.bounced), (1, 1));
        let message = &server.accepted()[0];
        assert_eq!(message.to(), "p2@town.example");
        assert_eq!(message.header("Auto-Submitted"), ["auto-generated"]);
        assert_eq!(message.header("From"), ["Story town <billing@town.example>"]);
    }

    fn a_temporary_refusal_is_tried_again(town: Town) {
        let server = MailServer::start(&[]);
        let town = served(many(town, 3), &server);
        pay_all(&town, 3);
        for trouble in [json!({ "temporary": true }), json!({ "blocked": true }), json!({ "drop_rcpt": true })] {
            server.control(trouble.clone());
            let counts = send(&town);
            assert!(counts.postponed >= 3, "{trouble}: {counts:?}");
            assert_eq!((counts.sent, counts.bounced, counts.unanswered), (0, 0, 0), "{trouble}");
            later(&town, TimeDelta::minutes(15));
        }
        server.behave();
        send_all(&town);
        assert_once_each(&town, &server);
    }

    fn a_message_that_is_refused_does_not_blame_the_address(town: Town) {
        let server = MailServer::start(&[]);
        let town = served(many(town, 1), &server);
        pay_all(&town, 1);
        server.control(json!({ "spam": true }));
        assert_eq!(send(&town).bounced, 1);
        assert_eq!(bounce_of(&town.context, "p1@town.example").unwrap(), None);
        assert_eq!(server.accepted().len(), 0);
    }

    fn an_answer_that_is_lost_is_the_one_case_of_a_second_copy(town: Town) {
        let server = MailServer::start(&[]);
        let town = served(many(town, 4), &server);
        pay_all(&town, 4);
        server.control(json!({ "drop_first": true }));
        let counts = send(&town);
        assert_eq!((counts.sent, counts.unanswered), (0, 4), "{counts:?}");
        assert!(states(&town).iter().all(|state| state == "payment_received queued"));
        assert!(notices(&town).iter().all(|notice| notice.last_error.as_deref().unwrap().contains("perhaps it arrived")));
        send_all(&town);
        assert!(states(&town).iter().all(|state| state == "payment_received sent"));
        let mut copies: HashMap<String, Vec<Accepted>> = HashMap::new();
        for message in server.accepted() {
            copies.entry(message.id()).or_default().push(message);
        }
        assert_eq!(copies.len(), 4);
        for messages in copies.values() {
            assert_eq!(messages.len(), 2, "a receiver sees one Message-ID twice");
            assert_eq!(messages[0].text("bytes"), messages[1].text("bytes"), "and the same message");
        }
        assert_eq!(audited(&town, "notice.unanswered").len(), 4);
    }

    fn a_slow_server_is_waited_for(town: Town) {
        let server = MailServer::start(&[]);
        let mut town = served(many(town, 2), &server);
        pay_all(&town, 2);
        server.control(json!({ "delay_ms": 1500 }));
        with_mail(&mut town, |mail| (mail.timeout_seconds, mail.accept_timeout_seconds) = (10, 20));
        assert_eq!(send(&town).sent, 2);
        assert_once_each(&town, &server);
        with_mail(&mut town, |mail| mail.timeout_seconds = 1);
        town.pay("A1", "1.00", "R-slow");
        let counts = send(&town);
        assert!(counts.postponed > 0 && counts.sent == 0, "nobody waits forever, and nothing was handed over: {counts:?}");
        server.behave();
        send_all(&town);
        assert_once_each(&town, &server);
    }

    fn two_senders_never_send_one_notice(town: Town) {
        let server = MailServer::start(&[]);
        let mut town = served(many(town, 40), &server);
        with_mail(&mut town, |mail| mail.batch = 3);
        server.control(json!({ "jitter_ms": 5 }));
        pay_all(&town, 40);
        let start = Barrier::new(4);
        let sent: u64 = thread::scope(|scope| {
            let senders: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        send(&town).sent
                    })
                })
                .collect();
            senders.into_iter().map(|sender| sender.join().unwrap()).sum()
        });
        assert_eq!(sent, 40);
        assert_once_each(&town, &server);
    }

    fn a_claim_that_ran_out_is_not_used(town: Town) {
        use aquabills::actions::notices::deliver::{claim, hand_over};
        let server = MailServer::start(&[]);
        let town = served(many(town, 2), &server);
        pay_all(&town, 2);
        let mut counts = Counts::default();
        let asleep = claim(&town.context, "asleep", &mut counts).unwrap();
        assert_eq!(asleep.len(), 2);
        assert!(claim(&town.context, "other", &mut counts).unwrap().is_empty(), "they are somebody's");
        assert!(hand_over(&town.context, "asleep", asleep[0].letter.id).unwrap());
        later(&town, TimeDelta::hours(1));
        assert!(!hand_over(&town.context, "asleep", asleep[1].letter.id).unwrap(), "its time is over, whoever has it now");
        assert_eq!(send(&town).sent, 2);
        let unanswered = audited(&town, "notice.unanswered");
        assert_eq!(unanswered.len(), 1, "only the one that was being handed over is in doubt");
        assert!(unanswered[0].starts_with(&format!("notice {}:", asleep[0].letter.id)));
        assert_once_each(&town, &server);
    }

    fn a_link_is_wiped_once_it_was_sent(town: Town) {
        let server = MailServer::start(&[]);
        let town = served(peopled(town, &[]), &server);
        ask_for_link(&town, "link:1", 30);
        assert!(stored_facts(&town).contains("SECRET"));
        assert_eq!(send(&town).sent, 1);
        assert!(server.accepted()[0].text("text").contains("/password/set?token=SECRET"));
        assert!(!stored_facts(&town).contains("SECRET"));
        server.control(json!({ "temporary": true }));
        ask_for_link(&town, "link:2", 30);
        send(&town);
        assert!(stored_facts(&town).contains("SECRET"), "it is still to be sent");
        later(&town, TimeDelta::minutes(31));
        server.behave();
        assert_eq!(send(&town).suppressed, 1, "a link that ended is not sent");
        assert!(!stored_facts(&town).contains("SECRET"));
    }

    fn a_link_is_tried_even_where_mail_bounced(town: Town) {
        let server = MailServer::start(&[]);
        let town = served(peopled(town, &[]), &server);
        record_bounce(&town.context, "ann@town.example", "mailbox full").unwrap();
        ask_for_link(&town, "link:1", 30);
        assert_eq!(send(&town).sent, 1);
        assert_eq!(bounce_of(&town.context, "ann@town.example").unwrap(), None, "the address works again");
    }

    fn what_waited_for_a_month_is_not_sent_any_more(town: Town) {
        let server = MailServer::start(&[]);
        let town = served(many(town, 2), &server);
        town.pay("A1", "1.00", "R-1");
        later(&town, TimeDelta::days(31));
        town.pay("A2", "1.00", "R-2");
        assert_eq!(send(&town).sent, 1);
        assert_eq!(states(&town), ["payment_received suppressed", "payment_received sent"]);
    }

    fn what_waited_while_nothing_was_sent_gets_its_tries(town: Town) {
        let server = MailServer::start(&[]);
        let town = served(many(town, 1), &server);
        pay_all(&town, 1);
        later(&town, TimeDelta::days(5));
        server.control(json!({ "temporary": true }));
        assert!(send(&town).postponed >= 1, "one refusal for now is not the end of it");
        later(&town, TimeDelta::minutes(15));
        server.behave();
        send_all(&town);
        assert_once_each(&town, &server);
    }

    fn the_mailer_of_a_server_sends_by_itself(town: Town) {
        let server = MailServer::start(&[]);
        let town = served(many(town, 3), &server);
        let mailer = Mailer::start(&town.context).unwrap();
        pay_all(&town, 3);
        while with_status(&town, NoticeStatus::Sent).len() < 3 {
            thread::sleep(std::time::Duration::from_millis(20));
        }
        mailer.stop();
        assert_once_each(&town, &server);
    }
}

type Change<'a> = &'a dyn Fn(&mut MailSettings);

#[test]
fn settings_that_cannot_work_are_named() {
    let mut town = Town::sqlite();
    let server = MailServer::down(&[]);
    let changes: [(&str, Change<'_>); 3] = [
        ("mail.from", &|mail| mail.from = "no address@".to_owned()),
        ("mail.password_env", &|mail| {
            mail.user = "me".to_owned();
            mail.password_env = "NO_SUCH_VARIABLE".to_owned();
        }),
        ("mail.ca_file", &|mail| {
            mail.security = MailSecurity::Tls;
            mail.ca_file = "/nowhere/ca.pem".into();
        }),
    ];
    for (fault, change) in changes {
        let mut mail = server.settings(MailSecurity::None);
        change(&mut mail);
        town.configure(|config| config.mail = mail);
        let refused = Mailer::start(&town.context).err().expect("it is refused").to_string();
        assert!(refused.starts_with(fault), "{refused}");
    }
}
