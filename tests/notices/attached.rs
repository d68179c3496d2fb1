//! The bill goes with the notice of it, where the utility wants it so: the true file, once, under the same Message-ID.

use aquabills::actions::bill_words::BillWords;
use aquabills::actions::show_bill::show_bill;
use chrono::TimeDelta;
use data_encoding::BASE64;
use serde_json::json;

use crate::mail_server::{Accepted, MailServer};
use crate::support::{Town, on_both};
use crate::{assert_once_each, later, many, send, send_all, served, with_mail};

fn billed(town: Town, server: &MailServer) -> Town {
    let town = served(many(town, 2), server);
    town.reads(&["M1,2026-05-01,100", "M2,2026-05-01,100", "M1,2026-06-01,112", "M2,2026-06-01,104"]);
    assert_eq!(town.bill("2026-06-01").totals.billed, 2);
    town
}

/// The file in a message.
fn file_in(message: &Accepted) -> Option<Vec<u8>> {
    let bytes = message.text("bytes");
    let (_, part) = bytes.split_once("Content-Disposition: ")?;
    let (head, body) = part.split_once("\r\n\r\n").expect("the part's head");
    assert!(head.contains("attachment; filename=\"bill-00001-000000"), "{head}");
    assert!(head.contains("Content-Type: application/pdf") && head.contains("base64"), "{head}");
    let body = body.split("\r\n--").next().expect("the part's end").replace("\r\n", "");
    Some(BASE64.decode(body.as_bytes()).expect("base64"))
}

on_both! {
    fn the_bill_goes_with_its_notice_when_the_utility_says_so(town: Town) {
        let server = MailServer::start(&[]);
        let mut town = billed(town, &server);
        with_mail(&mut town, |mail| mail.attach_bill = true);
        assert_eq!(send(&town).sent, 2);
        assert_once_each(&town, &server);
        for message in server.accepted() {
            let number = if message.to() == "p1@town.example" { "00001-0000001" } else { "00001-0000002" };
            let words = BillWords::as_issued(&show_bill(&town.context, number).expect("the bill"), &town.context);
            let made = aquabills::pdf::bill(&words, &town.context.config).expect("a PDF");
            assert!(file_in(&message).is_some_and(|file| file == made), "{}", message.text("text"));
            assert!(message.header("Content-Type")[0].starts_with("multipart/mixed"));
            assert!(message.text("text").contains("attached as a PDF") && message.text("html").contains("attached as a PDF"));
            assert!(message.text("text").contains(number), "{}", message.text("text"));
        }
        // Nothing else carries it.
        town.pay("A1", "1.00", "R-1");
        assert_eq!(send(&town).sent, 1);
        assert_eq!(server.accepted().iter().filter(|message| file_in(message).is_some()).count(), 2);
    }

    fn without_the_setting_the_notice_is_what_it_was(town: Town) {
        let server = MailServer::start(&[]);
        let town = billed(town, &server);
        assert_eq!(send(&town).sent, 2);
        for message in server.accepted() {
            assert_eq!(file_in(&message), None);
            assert!(message.header("Content-Type")[0].starts_with("multipart/alternative"));
            assert!(!message.text("text").contains("attached"));
        }
    }

    fn a_copy_after_a_broken_connection_has_the_same_bytes(town: Town) {
        let server = MailServer::start(&[]);
        let mut town = billed(town, &server);
        with_mail(&mut town, |mail| mail.attach_bill = true);
        server.control(json!({"drop_first": true}));
        assert_eq!(send(&town).unanswered, 2);
        server.behave();
        later(&town, TimeDelta::minutes(30));
        send_all(&town);
        let accepted = server.accepted();
        assert_eq!(accepted.len(), 4);
        for first in &accepted[..2] {
            let again: Vec<&Accepted> = accepted[2..].iter().filter(|other| other.id() == first.id()).collect();
            assert_eq!(again.len(), 1);
            assert!(again[0].text("bytes") == first.text("bytes"), "the copy has other bytes");
            assert!(file_in(first).is_some());
        }
    }
}
