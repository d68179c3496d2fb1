//! What notices say: every kind in text and HTML, the same figures in both, headers that nothing can be slipped into.

use aquabills::config::Config;
use aquabills::domain::alarms::AlarmKind;
use aquabills::domain::ids::{NoticeId, RunId};
use aquabills::domain::notices::{
    AdjustmentGiven, Alarm, AutopayActive, AutopayAnnounced, AutopayFailed, AutopayPaused, AutopaySkipped, BillReady, DisputeAnswered, DisputeOpened,
    Facts, HighUsage, LateFee, Letter, NoticeKind, OverchargeCorrected, PasswordChanged, PasswordLink, PayPlan, PaymentCorrected, PaymentReceived,
    PaymentReminder, PaymentReturned, RefundFailed, RefundSent, RunHeld, RunIncident, SecondFactorChanged, SignIn,
};
use aquabills::domain::retry::{FEWEST_ATTEMPTS, LONGEST_PAUSE_MS, Retry, pause_bound_ms, retry};
use aquabills::mail::message::{compose, words};
use chrono::TimeDelta;
use proptest::prelude::*;

use crate::support::day;

fn config() -> Config {
    Config {
        utility_name: "Story Town Water".to_owned(),
        public_url: "https://water.town.example/".to_owned(),
        time_zone: "America/Los_Angeles".parse().unwrap(),
        ..Config::default()
    }
}

fn letter(facts: Facts) -> Letter {
    Letter {
        id: NoticeId(7),
        message_id: "0123456789abcdef@town.example".to_owned(),
        created_at: day("2026-06-15").and_hms_opt(12, 0, 0).unwrap(),
        recipient: "zoe@town.example".to_owned(),
        recipient_name: "Zoë Łukasz-Ñandú".to_owned(),
        account: Some("A-17".to_owned()),
        facts,
    }
}

fn bill(due: i64) -> Facts {
    Facts::BillReady(BillReady {
        bill_number: "12-17".to_owned(),
        bill_on: day("2026-06-15"),
        due_on: day("2026-07-06"),
        charges_cents: 4750,
        opening_balance_cents: due - 4750,
        amount_due_cents: due,
    })
}

/// One of each kind, and what must be in its text and its HTML alike.
fn samples() -> Vec<(Facts, Vec<&'static str>)> {
    [of_bills_and_payments(), of_autopay(), of_refunds(), of_collections(), of_disputes(), of_overcharges(), of_everything_else()].concat()
}

fn of_bills_and_payments() -> Vec<(Facts, Vec<&'static str>)> {
    vec![
        (bill(5999), vec!["12-17", "$47.50", "$12.49", "$59.99", "15 June 2026", "6 July 2026", "https://water.town.example/bills/12-17"]),
        (bill(-250), vec!["$2.50 credit", "$50.00 credit", "There is nothing to pay."]),
        (
            Facts::PaymentReceived(PaymentReceived {
                amount_cents: 4000,
                effective_on: day("2026-06-14"),
                reference: "R-1".to_owned(),
                balance_cents: 750,
            }),
            vec!["$40.00", "14 June 2026", "R-1", "$7.50", "https://water.town.example/account/A-17"],
        ),
        (
            Facts::PaymentReturned(PaymentReturned {
                amount_cents: 4000,
                is_part: false,
                paid_on: day("2026-06-01"),
                returned_on: day("2026-06-14"),
                reference: "R-1".to_owned(),
                reason: "no funds".to_owned(),
                balance_cents: 4750,
            }),
            vec!["$40.00 of 1 June 2026", "14 June 2026", "R-1", "no funds", "$47.50"],
        ),
        (
            Facts::PaymentCorrected(PaymentCorrected {
                was_cents: 4000,
                is_cents: 3500,
                stands_again: false,
                effective_on: day("2026-06-14"),
                reference: "R-1".to_owned(),
                balance_cents: 1250,
            }),
            vec!["$40.00", "$35.00", "14 June 2026", "R-1", "$12.50", "Its amount was corrected"],
        ),
        (
            Facts::PaymentCorrected(PaymentCorrected {
                was_cents: 0,
                is_cents: 4000,
                stands_again: true,
                effective_on: day("2026-06-14"),
                reference: "R-1".to_owned(),
                balance_cents: 0,
            }),
            vec!["$40.00", "14 June 2026", "R-1", "$0.00", "it counts again", "nothing more to pay for it"],
        ),
        (
            Facts::PaymentReturned(PaymentReturned {
                amount_cents: 1500,
                is_part: true,
                paid_on: day("2026-06-01"),
                returned_on: day("2026-06-14"),
                reference: "R-1".to_owned(),
                reason: "fraudulent".to_owned(),
                balance_cents: 1500,
            }),
            vec!["A part of a payment", "$15.00", "1 June 2026", "14 June 2026", "R-1", "fraudulent"],
        ),
    ]
}

fn of_autopay() -> Vec<(Facts, Vec<&'static str>)> {
    vec![
        (
            Facts::AutopayActive(AutopayActive {
                method: "Visa ending 4242".to_owned(),
                limit_cents: Some(20_000),
                notice_days: 5,
                due_now_cents: 4750,
            }),
            vec!["Visa ending 4242", "$200.00 a bill", "5 days", "$47.50", "https://water.town.example/account/A-17/autopay"],
        ),
        (announced(), vec!["12-17", "$59.99", "6 July 2026", "7 July 2026", "Visa ending 4242", "https://water.town.example/bills/12-17"]),
        (
            Facts::AutopaySkipped(AutopaySkipped {
                bill_number: "12-17".to_owned(),
                amount_cents: 5999,
                due_on: day("2026-07-07"),
                reason: "It is above the limit that you set for autopay.".to_owned(),
                to_pay: true,
            }),
            vec!["12-17", "$59.99", "7 July 2026", "above the limit", "Please pay what is due in another way."],
        ),
        (
            Facts::AutopayFailed(AutopayFailed {
                bill_number: "12-17".to_owned(),
                amount_cents: 5999,
                due_on: day("2026-07-07"),
                method: "Visa ending 4242".to_owned(),
                reason: "insufficient funds".to_owned(),
                again_on: Some(day("2026-07-10")),
            }),
            vec!["12-17", "$59.99", "7 July 2026", "insufficient funds", "10 July 2026"],
        ),
        (
            Facts::AutopayPaused(AutopayPaused { ended: false, method: "Visa ending 4242".to_owned(), reason: "Two draws failed.".to_owned() }),
            vec!["paused", "Visa ending 4242", "Two draws failed.", "https://water.town.example/account/A-17/autopay"],
        ),
    ]
}

fn of_refunds() -> Vec<(Facts, Vec<&'static str>)> {
    vec![
        (
            Facts::RefundSent(RefundSent {
                amount_cents: 1500,
                sent_on: day("2026-06-14"),
                payment_reference: Some("pi_1".to_owned()),
                instead_of_cents: None,
                balance_cents: 0,
            }),
            vec!["$15.00", "14 June 2026", "pi_1", "$0.00", "no longer counts towards your balance"],
        ),
        (
            Facts::RefundSent(RefundSent {
                amount_cents: 1500,
                sent_on: day("2026-06-14"),
                payment_reference: Some("pi_1".to_owned()),
                instead_of_cents: Some(2000),
                balance_cents: 0,
            }),
            vec!["$15.00", "$20.00, which we told you before", "14 June 2026", "pi_1"],
        ),
        (
            Facts::RefundFailed(RefundFailed {
                account: "A-17".to_owned(),
                amount_cents: 1500,
                reason: "the card is closed".to_owned(),
                balance_cents: -1500,
            }),
            vec!["A-17", "$15.00", "the card is closed", "$15.00 credit"],
        ),
    ]
}

fn of_collections() -> Vec<(Facts, Vec<&'static str>)> {
    let plan = |state: &str, autopay| {
        Facts::PayPlan(PayPlan {
            state: state.to_owned(),
            total_cents: 4750,
            open_cents: 3166,
            instalments: vec![(day("2026-06-20"), 1584), (day("2026-07-20"), 1583)],
            grace_days: 5,
            because: "an instalment is missing".to_owned(),
            autopay,
        })
    };
    vec![
        (
            Facts::LateFee(LateFee {
                bill_number: "12-17".to_owned(),
                amount_cents: 571,
                unpaid_cents: 4750,
                due_on: day("2026-07-06"),
                deadline_on: day("2026-07-11"),
                charged_on: day("2026-07-12"),
                citation: "Rule 11".to_owned(),
                balance_cents: 5321,
            }),
            vec![
                "12-17",
                "$5.71",
                "$47.50",
                "6 July 2026",
                "11 July 2026",
                "12 July 2026",
                "Rule 11",
                "$53.21",
                "https://water.town.example/bills/12-17",
            ],
        ),
        (
            Facts::PaymentReminder(PaymentReminder {
                name: "Final notice".to_owned(),
                step: 2,
                is_last: true,
                disconnection: true,
                overdue_cents: 5321,
                since_on: day("2026-07-06"),
                notice_days: 10,
                citation: "Code 777".to_owned(),
            }),
            vec!["Final notice", "$53.21", "6 July 2026", "within 10 days", "disconnected", "Code 777", "https://water.town.example/account/A-17"],
        ),
        (plan("active", true), vec!["$47.50", "$31.66", "20 June 2026", "$15.84", "20 July 2026", "5 days late", "Autopay draws"]),
        (plan("broken", false), vec!["has ended, because an instalment is missing", "$31.66"]),
    ]
}

fn of_disputes() -> Vec<(Facts, Vec<&'static str>)> {
    vec![
        (
            Facts::DisputeOpened(DisputeOpened {
                bill_number: "12-17".to_owned(),
                about: "S1".to_owned(),
                asked_on: day("2026-07-01"),
                answer_by: day("2026-07-11"),
                again: true,
            }),
            vec!["12-17", "S1", "1 July 2026", "11 July 2026", "asked again", "https://water.town.example/bills/12-17/dispute"],
        ),
        (
            Facts::DisputeAnswered(DisputeAnswered {
                bill_number: "12-17".to_owned(),
                outcome: "You were right".to_owned(),
                words: "The meter was read wrongly.".to_owned(),
                remedy: Some("C-1".to_owned()),
                answered_on: day("2026-07-10"),
                pay_by: day("2026-07-24"),
                again_by: Some(day("2026-08-09")),
                balance_cents: 750,
            }),
            vec!["12-17", "You were right", "The meter was read wrongly.", "C-1", "10 July 2026", "24 July 2026", "9 August 2026", "$7.50"],
        ),
    ]
}

fn of_overcharges() -> Vec<(Facts, Vec<&'static str>)> {
    vec![
        (
            corrected(7350, 5999, 5999),
            vec![
                "12-17",
                "00013-0000017",
                "$73.50",
                "$59.99",
                "$13.51",
                "by 6 July 2026",
                "A payment of yours was not deducted.",
                "https://water.town.example/bills/00013-0000017",
            ],
        ),
        (corrected(7350, 5999, -1351), vec!["$13.51 to its good", "paid out", "$13.51 credit"]),
        (corrected(5000, 5999, 5999), vec!["too little", "$9.99"]),
        (
            Facts::RunIncident(RunIncident {
                case_id: 7,
                run_id: Some(RunId(12)),
                cause: "Payments were not deducted.".to_owned(),
                accounts: 125,
                too_much_cents: 1_234_567,
                mended: false,
            }),
            vec!["7", "12", "125", "$12345.67", "Payments were not deducted.", "https://water.town.example/staff/overcharges/7"],
        ),
    ]
}

fn of_everything_else() -> Vec<(Facts, Vec<&'static str>)> {
    let at = day("2026-06-15").and_hms_opt(12, 0, 0).unwrap();
    let moment = "15 June 2026, 05:00 PDT";
    vec![
        (adjustment(-500), vec!["credit", "$5.00", "Courtesy", "C-1", "$42.50"]),
        (adjustment(500), vec!["charge", "$5.00", "Courtesy", "C-1", "$42.50"]),
        (
            Facts::HighUsage(HighUsage {
                address: "1 Elm Street".to_owned(),
                service_id: "S1".to_owned(),
                read_on: day("2026-06-14"),
                detail: "it counts 760 in 31 days".to_owned(),
            }),
            vec!["1 Elm Street", "S1", "14 June 2026", "it counts 760 in 31 days"],
        ),
        (
            Facts::RunHeld(RunHeld {
                run_id: RunId(12),
                cycle: "north".to_owned(),
                through_on: day("2026-06-14"),
                bills: 1234,
                total_cents: 5_000_000,
                reasons: vec!["total: far from the last run".to_owned()],
            }),
            vec!["12", "north", "14 June 2026", "1234", "$50000.00", "total: far from the last run", "https://water.town.example/staff/runs/12"],
        ),
        (
            Facts::Alarm(Alarm { alarm: AlarmKind::Unapplied, detail: "the oldest has waited for 16 minutes".to_owned(), since: at }),
            vec!["A payment waits to be applied", "the oldest has waited for 16 minutes", moment, "https://water.town.example/staff/watch"],
        ),
        (Facts::SignIn(SignIn { at, device: "Firefox".to_owned() }), vec![moment, "Firefox"]),
        (
            Facts::PasswordLink(PasswordLink { path: "/password/set?token=abc".to_owned(), first: true, expires_at: at }),
            vec!["https://water.town.example/password/set?token=abc", moment],
        ),
        (Facts::PasswordChanged(PasswordChanged { at }), vec![moment]),
        (Facts::SecondFactorChanged(SecondFactorChanged { at, change: "was removed".to_owned() }), vec!["was removed", moment]),
    ]
}

fn announced() -> Facts {
    Facts::AutopayAnnounced(AutopayAnnounced {
        bill_number: "12-17".to_owned(),
        amount_cents: 5999,
        draw_on: day("2026-07-06"),
        due_on: day("2026-07-07"),
        method: "Visa ending 4242".to_owned(),
        is_new_day: false,
    })
}

fn corrected(before_cents: i64, after_cents: i64, balance_cents: i64) -> Facts {
    Facts::OverchargeCorrected(OverchargeCorrected {
        cancelled: vec!["12-17".to_owned()],
        bill_number: Some("00013-0000017".to_owned()),
        due_on: Some(day("2026-07-06")),
        asked: true,
        before_cents,
        after_cents,
        cause: "A payment of yours was not deducted.".to_owned(),
        balance_cents,
        ..OverchargeCorrected::default()
    })
}

fn adjustment(cents: i64) -> Facts {
    Facts::AdjustmentGiven(AdjustmentGiven {
        amount_cents: cents,
        effective_on: day("2026-06-14"),
        reason: "Courtesy".to_owned(),
        reference: "C-1".to_owned(),
        balance_cents: 4250,
    })
}

#[test]
fn every_kind_says_the_same_in_text_and_html() {
    let mut seen: Vec<NoticeKind> = Vec::new();
    for (facts, figures) in samples() {
        let kind = facts.kind();
        seen.push(kind);
        let words = words(&config(), &letter(facts)).unwrap();
        for figure in figures {
            assert!(words.text.contains(figure), "{kind}: '{figure}' is not in the text:\n{}", words.text);
            assert!(words.html.contains(figure), "{kind}: '{figure}' is not in the HTML:\n{}", words.html);
        }
        assert!(words.text.contains("Zoë Łukasz-Ñandú") && words.text.contains("Story Town Water"));
        assert_eq!(words.text.contains("https://water.town.example/profile"), kind.can_be_switched_off(), "{kind}");
        assert!(!words.text.contains("\n\n\n") && !words.text.contains('{'), "{kind}:\n{}", words.text);
    }
    assert!(NoticeKind::ALL.iter().all(|kind| seen.contains(kind)), "a kind without a sample");
}

#[test]
fn a_bill_in_full() {
    let words = words(&config(), &letter(bill(5999))).unwrap();
    assert_eq!(words.subject, "Your bill of 15 June 2026: $59.99 due by 6 July 2026");
    insta::assert_snapshot!(words.text, @r#"
    Dear Zoë Łukasz-Ñandú,

    Your bill 12-17 of 15 June 2026 is ready.

    Charges of this bill: $47.50
    Balance before it:    $12.49
    Amount due:           $59.99
    Please pay by:        6 July 2026

    See the whole bill: https://water.town.example/bills/12-17

    Story Town Water
    Account A-17

    --
    Which of these notices you get by e-mail: https://water.town.example/profile
    "#);
    insta::assert_snapshot!(words.html, @r#"
    <!DOCTYPE html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Your bill of 15 June 2026: $59.99 due by 6 July 2026</title>
    <style>
    body { margin: 0; padding: 1rem; font-family: sans-serif; font-size: 1rem; line-height: 1.5; color: #1a1a1a; background: #ffffff; }
    main { max-width: 36rem; }
    th { text-align: left; font-weight: normal; padding: 0.2rem 1.5rem 0.2rem 0; vertical-align: top; }
    td { text-align: right; padding: 0.2rem 0; }
    .small { color: #555555; font-size: 0.875rem; }
    </style>
    </head>
    <body>
    <main>
    <p>Dear Zoë Łukasz-Ñandú,</p>

    <p>Your bill 12-17 of 15 June 2026 is ready.</p>
    <table>
    <tr><th scope="row">Charges of this bill</th><td>$47.50</td></tr>
    <tr><th scope="row">Balance before it</th><td>$12.49</td></tr>
    <tr><th scope="row"><strong>Amount due</strong></th><td><strong>$59.99</strong></td></tr>
    <tr><th scope="row">Please pay by</th><td>6 July 2026</td></tr>
    </table>
    <p><a href="https://water.town.example/bills/12-17">See the whole bill</a></p>

    <p>Story Town Water<br>Account A-17</p>
    <p class="small"><a href="https://water.town.example/profile">Which of these notices you get by e-mail</a></p>
    </main>
    </body>
    </html>
    "#);
}

#[test]
fn headers_are_what_they_must_be() {
    let message = String::from_utf8(compose(&config(), &letter(bill(5999))).unwrap().formatted()).unwrap();
    let head = message.split("\r\n\r\n").next().unwrap();
    for line in [
        "From: AquaBills <billing@example.org>",
        "Message-ID: <0123456789abcdef@town.example>",
        "Auto-Submitted: auto-generated",
        "List-Unsubscribe: <https://water.town.example/profile>",
        "Date: Mon, 15 Jun 2026 12:00:00 +0000",
    ] {
        assert!(head.lines().any(|header| header == line), "'{line}' is not in\n{head}");
    }
    assert!(message.is_ascii(), "names and texts are encoded");
    assert_eq!(message, String::from_utf8(compose(&config(), &letter(bill(5999))).unwrap().formatted()).unwrap(), "the same bytes each time");
    let security = compose(&config(), &letter(Facts::PasswordChanged(PasswordChanged { at: letter(bill(1)).created_at }))).unwrap().formatted();
    assert!(!String::from_utf8(security).unwrap().contains("List-Unsubscribe"));
}

#[test]
fn what_strangers_write_stays_text() {
    let evil = "x\r\nBcc: victim@town.example\r\n\r\n<script>alert(1)</script>";
    let facts =
        Facts::HighUsage(HighUsage { address: evil.to_owned(), service_id: evil.to_owned(), read_on: day("2026-06-14"), detail: evil.to_owned() });
    let slipped = Letter { recipient_name: evil.to_owned(), ..letter(facts) };
    let message = String::from_utf8(compose(&config(), &slipped).unwrap().formatted()).unwrap();
    let head = message.split("\r\n\r\n").next().unwrap();
    assert!(!head.lines().any(|line| line.to_lowercase().starts_with("bcc")), "{head}");
    assert!(!words(&config(), &slipped).unwrap().html.contains("<script>"));
    for address in ["no address", "a@b\r\nBcc: c@d", "<a@b>, c@d", ""] {
        let fault = compose(&config(), &Letter { recipient: address.to_owned(), ..letter(bill(1)) }).unwrap_err();
        assert!(fault.address, "{address:?}: {fault:?}");
    }
    let device = Facts::SignIn(SignIn { at: letter(bill(1)).created_at, device: "x".repeat(5000) });
    assert!(words(&config(), &letter(device)).unwrap().text.len() < 1000);
}

proptest! {
    #[test]
    fn a_retry_is_never_earlier_than_now_nor_later_than_its_bound(attempts in 0_u32..200, luck: u64, waited_ms in 0_i64..300_000_000) {
        let created = day("2026-06-15").and_hms_opt(0, 0, 0).unwrap();
        let now = created + TimeDelta::milliseconds(waited_ms);
        let bound = TimeDelta::milliseconds(i64::try_from(pause_bound_ms(attempts)).unwrap());
        prop_assert!((1_000..=LONGEST_PAUSE_MS).contains(&pause_bound_ms(attempts)));
        prop_assert!(pause_bound_ms(attempts) <= pause_bound_ms(attempts + 1));
        match retry(created, now, attempts, luck) {
            Retry::At(next) => {
                prop_assert!(next >= now && next <= now + bound);
                prop_assert!(attempts < FEWEST_ATTEMPTS || next <= created + TimeDelta::hours(72));
            }
            Retry::GiveUp => prop_assert!(attempts >= FEWEST_ATTEMPTS && now + bound > created + TimeDelta::hours(72)),
        }
    }

    #[test]
    fn the_whole_span_of_a_pause_is_used(attempts in 1_u32..30, share in 0_u64..=100) {
        let created = day("2026-06-15").and_hms_opt(0, 0, 0).unwrap();
        let pause = pause_bound_ms(attempts) * share / 100;
        let next = created + TimeDelta::milliseconds(i64::try_from(pause).unwrap());
        prop_assert_eq!(retry(created, created, attempts, pause), Retry::At(next));
    }
}
