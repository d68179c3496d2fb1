//! A file of payouts or cheques that the bank refused as a whole: all that is still out comes back at once, as if one by one.

use aquabills::actions::payout_batch::{Medium, make_batch};
use aquabills::actions::refunds::{PayoutNews, settle_payout};
use aquabills::actions::void_batch::{VoidReport, Voided, void_batch};
use aquabills::domain::ids::RefundBatchId;
use aquabills::domain::payouts::Payee;
use chrono::{TimeDelta, TimeZone, Utc};

use crate::payouts::{cheque, pay_out, states, to_bank, with_bank};
use crate::support::{Town, dump, lines, on_both, stderr, stdout};
use crate::*;

/// Payouts of these amounts, one for each account from A1 on, in the file 1.
fn batched(town: Town, amounts: &[&str], payee: impl Fn(&str) -> Payee) -> Town {
    let mut town = crate::town(town);
    with_bank(&mut town);
    for (number, amount) in (1..).zip(amounts) {
        town.pay(&format!("A{number}"), amount, &format!("P-{number}"));
        done(pay_out(&town, BEN, &format!("A{number}"), amount, &format!("OUT-{number}"), Some(payee("Ann Mill"))));
    }
    make(&town);
    town
}

fn make(town: &Town) {
    for medium in [Medium::Payout, Medium::Cheque] {
        make_batch(&town.context, medium, town.context.today()).expect("the batch is made");
    }
}

fn void(town: &Town, who: &str, id: i64) -> Result<Voided, ActionError> {
    void_batch(&by(town, who), RefundBatchId(id), "the bank refused the file")
}

#[track_caller]
fn voided(town: &Town, who: &str, id: i64) -> VoidReport {
    match void(town, who, id).expect("it is done") {
        Voided::Done(report) => report,
        Voided::Waits(waiting) => panic!("it waits: {waiting:?}"),
    }
}

#[track_caller]
fn asked(town: &Town, who: &str, id: i64) -> (ApprovalId, String) {
    match void(town, who, id).expect("it is asked for") {
        Voided::Waits(waiting) => (waiting.id, waiting.why),
        Voided::Done(report) => panic!("it does not wait: {report:?}"),
    }
}

fn query(town: &Town, sql: &str) -> Vec<String> {
    town.context.database.read(|conn| Ok::<_, diesel::result::Error>(lines(conn, sql))).unwrap()
}

/// What is written down of a payout that came back, but for its account.
fn noted(town: &Town, account: i64) -> Vec<String> {
    let mut story = query(
        town,
        &format!(
            "SELECT f.kind || ' ' || a.reason_code || ' ' || a.amount_cents || ' ' || a.note || ' ' || a.entered_by || ' ' || t.turn || ' ' || t.alone AS line \
             FROM financial_transaction f JOIN adjustment a ON a.account_id = f.account_id AND a.account_seq = f.account_seq \
                JOIN refund_turn t ON t.account_id = f.account_id AND t.account_seq = f.account_seq \
             WHERE f.account_id = {account} ORDER BY f.account_seq"
        ),
    );
    story.extend(query(
        town,
        &format!(
            "SELECT kind || ' ' || amount_cents || ' ' || reason AS line FROM todo WHERE account_id = {account} AND status = 'open' ORDER BY id"
        ),
    ));
    story.extend(query(
        town,
        &format!("SELECT kind || ' ' || status AS line FROM notice WHERE dedupe_key LIKE 'refund:{account}:%' ORDER BY dedupe_key"),
    ));
    story.extend(query(town, &format!("SELECT state || ' ' || error AS line FROM refund WHERE account_id = {account}")));
    story.extend(query(
        town,
        &format!("SELECT actor || ' ' || detail AS line FROM audit_event WHERE action = 'refund.fail' AND subject = 'A{account}'"),
    ));
    story
}

on_both! {
    fn a_refused_file_comes_back_as_one_by_one(town: Town) {
        let mut town = batched(town, &["10.00", "10.00", "10.00"], |name| to_bank(name, "1"));
        let rows = ["A1,S1,HOME,M1,4,one@town.example", "A2,S2,HOME,M2,4,two@town.example", "A3,S3,HOME,M3,4,three@town.example"].join("\n");
        town.services(&format!("customer_id,service_id,rate_class,meter_id,register_digits,email\n{rows}\n")).expect("everybody has an address");
        town.configure(|config| config.mail.staff = vec!["desk@utility.example".to_owned()]);
        settle_payout(&by(&town, ANA), "A1", "OUT-1", &PayoutNews::Failed("the bank refused the file".to_owned())).unwrap();
        let report = voided(&town, ANA, 1);
        assert_eq!((report.came_back, report.came_back_cents, report.before, report.untold.len()), (2, 2_000, 1, 0));
        let one = noted(&town, 1);
        assert_eq!(one.len(), 6, "money, work item, two notices, state, audit: {one:?}");
        for account in [2, 3] {
            let same: Vec<String> = noted(&town, account).iter().map(|line| line.replace(&format!("OUT-{account}"), "OUT-1")).collect();
            assert_eq!(same, one, "account {account}");
            assert_eq!(town.balance(&format!("A{account}")), "-10.00");
        }
        // Again it changes nothing.
        let before = dump(&town);
        let again = voided(&town, ANA, 1);
        assert_eq!((again.came_back, again.before), (0, 3));
        assert_eq!(dump(&town), before);
        // The money can be paid out once more, and the file stays as it was.
        done(pay_out(&town, BEN, "A2", "10.00", "OUT-9", Some(to_bank("Ann Mill", "1"))));
        assert!(make_batch(&town.context, Medium::Payout, town.context.today()).unwrap().0.unchanged);
        town.assert_sound();
    }

    fn by_its_sum_a_refused_file_needs_a_second_person(town: Town) {
        let town = batched(town, &["60.00", "40.01"], |name| to_bank(name, "1"));
        assert!(refused(void(&town, "nobody", 1)).contains("name one with --by"));
        let ledger = town.ledger_rows();
        let (id, why) = asked(&town, ANA, 1);
        assert_eq!(why, "100.01 is more than 100.00 (Built-in careful rule: no policy is imported)");
        assert_eq!(asked(&town, ANA, 1).0, id, "the same again is the same request");
        assert_eq!(shown(&town, SAM, id).subject, "file 1 of 2026-06-15 is said to have come back from the bank: 2 payouts, 100.01 in all");
        assert!(refused(decides(&town, ANA, id, Verdict::Approve)).contains("may not decide"));
        decides(&town, SAM, id, Verdict::Approve).expect("another one agrees");
        assert_eq!(town.ledger_rows(), ledger, "agreeing moves nothing yet");
        assert_eq!(voided(&town, ANA, 1).came_back, 2);
        assert_eq!((town.balance("A1"), town.balance("A2")), ("-60.00".to_owned(), "-40.01".to_owned()));
        assert_eq!(query(&town, "SELECT CAST(alone AS TEXT) AS line FROM refund_turn"), ["0", "0"]);
        // They went through after all, and come back once more: that is another question.
        for account in ["A1", "A2"] {
            settle_payout(&town.context, account, &account.replace('A', "OUT-"), &PayoutNews::Sent("B-1".to_owned())).unwrap();
        }
        assert_eq!(town.balance("A1"), "0.00");
        assert!(refused(void(&town, ANA, 1)).contains("the bank paid 2 of its 2 payouts"));
        town.assert_sound();
    }

    fn other_payouts_than_those_agreed_to_are_another_request(town: Town) {
        let town = batched(town, &["60.00", "50.00"], |name| to_bank(name, "1"));
        let (id, _) = asked(&town, ANA, 1);
        decides(&town, SAM, id, Verdict::Approve).expect("another one agrees");
        // One of them came back by itself: what is left, one person may say.
        settle_payout(&by(&town, BEN), "A1", "OUT-1", &PayoutNews::Failed("account closed".to_owned())).unwrap();
        assert_eq!(voided(&town, ANA, 1).came_back, 1);
        assert_eq!(query(&town, "SELECT CAST(alone AS TEXT) AS line FROM refund_turn"), ["1", "1"], "nobody agreed to this");
    }

    fn what_one_person_gave_an_account_before_counts(town: Town) {
        let town = batched(town, &["60.00", "10.00"], |name| to_bank(name, "1"));
        for number in 1..=2 {
            done(credit(&town, ANA, "A1", "-100.00", &format!("C-{number}")));
        }
        let (_, why) = asked(&town, ANA, 1);
        assert!(why.contains("gave the account credits of 260.00 within 30 days"), "{why}");
        assert_eq!(voided(&town, BEN, 1).came_back, 2, "another one may");
    }

    fn what_the_bank_paid_it_did_not_refuse(town: Town) {
        let town = batched(town, &["10.00", "20.00"], |name| to_bank(name, "1"));
        settle_payout(&town.context, "A2", "OUT-2", &PayoutNews::Sent("BANK-7".to_owned())).unwrap();
        let before = dump(&town);
        let why = refused(void(&town, ANA, 1));
        assert!(why.contains("the bank paid 1 of its 2 payouts: OUT-2 of account A2 (BANK-7). Note those"), "{why}");
        assert!(refused(void(&town, ANA, 7)).contains("batch '7'"), "{}", refused(void(&town, ANA, 7)));
        assert!(refused(void_batch(&by(&town, ANA), RefundBatchId(1), " ")).contains("why it failed"));
        assert_eq!(dump(&town), before);
        assert_eq!(states(&town, "A1"), ["OUT-1 submitted"]);
    }

    fn two_who_say_so_at_once_do_it_once(town: Town) {
        let town = batched(town, &["10.00", "20.00", "30.00"], |name| to_bank(name, "1"));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let context = by(&town, ANA);
                std::thread::spawn(move || void_batch(&context, RefundBatchId(1), "refused").expect("it is done"))
            })
            .collect();
        let came_back = threads.into_iter().map(|thread| match thread.join().expect("no panic") {
            Voided::Done(report) => report.came_back,
            Voided::Waits(_) => panic!("it waits"),
        });
        assert_eq!(came_back.sum::<usize>(), 3);
        assert_eq!(count(&town, "refund_turn"), 3);
        town.assert_sound();
    }

    fn a_refused_file_of_cheques_says_which_the_bank_was_not_told_of(town: Town) {
        let town = batched(town, &["10.00", "20.00", "30.00"], cheque);
        settle_payout(&by(&town, ANA), "A1", "OUT-1", &PayoutNews::Failed("lost in the mail".to_owned())).unwrap();
        town.context.clock.set(Utc.from_utc_datetime(&town.context.now()) + TimeDelta::days(1));
        // The second file tells the bank of cheque 1001; it pays one itself.
        town.pay("A2", "5.00", "P-9");
        done(pay_out(&town, BEN, "A2", "5.00", "OUT-9", Some(cheque("Bob Brook"))));
        make(&town);
        let report = voided(&town, ANA, 2);
        assert_eq!((report.came_back, report.untold), (1, vec![1001]));
        assert_eq!(count(&town, "todo WHERE status = 'open' AND reason LIKE 'cheque 1001 of 10.00 is void, and file 2,%'"), 1);
        // Its own cheque is in the next file as one that is not to be paid.
        town.context.clock.set(Utc.from_utc_datetime(&town.context.now()) + TimeDelta::days(1));
        make(&town);
        assert_eq!(query(&town, "SELECT what || ' ' || cheque_number AS line FROM refund_batch_item WHERE batch_id = 3"), ["void 1004"]);
        let why = refused(void(&town, ANA, 3));
        assert!(why.contains("batch 3 pays nothing: tell the bank by yourself not to pay the 1 cheques that it names (1004 first)"), "{why}");
        town.assert_sound();
    }

    fn the_command_does_it(town: Town) {
        let town = batched(town, &["10.00", "20.00"], |name| to_bank(name, "1"));
        let words = ["--by", ANA, "refund", "void-batch", "1", "--note", "the bank refused the file"];
        assert_eq!(stdout(&town.program(&words)), "file 1: 2 payouts came back, 30.00 in all\n");
        assert_eq!(stdout(&town.program(&words)), "file 1: 0 payouts came back, 0.00 in all; 2 had come back before\n");
        let json = town.program(&["refund", "void-batch", "1", "--note", "again", "--json"]);
        let json: serde_json::Value = serde_json::from_str(&stdout(&json)).expect("JSON");
        assert_eq!(json["done"]["before"], 2);
        let unknown = town.program(&["refund", "void-batch", "9", "--note", "x"]);
        assert_eq!(unknown.status.code(), Some(1), "{}", stderr(&unknown));
    }
}
