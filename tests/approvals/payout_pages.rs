//! The pages of payouts and cheques: what waits, the files, their lines, the file again, and a whole file that came back.

use aquabills::actions::payout_batch::{Medium, make_batch};
use aquabills::actions::refunds::{PayoutNews, settle_payout};
use chrono::{TimeDelta, TimeZone, Utc};

use crate::payouts::{cheque, pay_out, to_bank, with_bank};
use crate::support::http::Served;
use crate::support::on_both;
use crate::support::pages::{follow, open, says, send};
use crate::*;

#[track_caller]
fn says_not(page: &crate::support::http::Answer, words: &str) {
    assert!(!page.body.contains(words), "it says {words}: {}", page.body);
}

on_both! {
    fn what_waits_and_what_became_of_each_file_is_shown(town: Town) {
        let mut town = crate::town(town);
        with_bank(&mut town);
        let served = Served::new(&mut town);
        let mut ana = sign_in_as(&served, ANA);
        let empty = open(&mut ana, "/staff/payouts");
        says(&empty, "No payout waits.");
        says(&empty, "No file yet.");
        for account in ["A1", "A2", "A3"] {
            town.pay(account, "50.00", &format!("P-{account}"));
        }
        done(pay_out(&town, BEN, "A1", "10.00", "OUT-1", Some(to_bank("Ann <Mill>", "1"))));
        done(pay_out(&town, BEN, "A2", "20.00", "OUT-2", Some(to_bank("Bob Brook", "2"))));
        done(pay_out(&town, BEN, "A2", "5.00", "C-1", Some(cheque("Bob Brook"))));
        done(pay_out(&town, BEN, "A3", "7.00", "HAND-1", None));
        says(&open(&mut ana, "/staff/bank"), "href=\"/staff/payouts\"");
        says(&open(&mut ana, "/staff/accounts/A1/refunds"), "among <a href=\"/staff/payouts\">payouts that wait</a>");
        let waiting = open(&mut ana, "/staff/payouts");
        for words in ["For the bank\u{2019}s file", "$30.00", "Cheques to write", "$5.00", "Transfers by hand", "$7.00", "Ann &#60;Mill&#62;", "HAND-1", "a person makes the transfer", "/staff/accounts/A2/payouts/OUT-2"] {
            says(&waiting, words);
        }
        let bytes = make_batch(&town.context, Medium::Payout, town.context.today()).unwrap().1;
        make_batch(&town.context, Medium::Cheque, town.context.today()).unwrap();
        settle_payout(&by(&town, BEN), "A2", "OUT-2", &PayoutNews::Sent("BANK-7".to_owned())).unwrap();
        settle_payout(&by(&town, BEN), "A2", "C-1", &PayoutNews::Failed("lost".to_owned())).unwrap();
        says(&open(&mut ana, "/staff/accounts/A1/refunds"), "in <a href=\"/staff/payouts/1\">file 1</a>");
        let files = open(&mut ana, "/staff/payouts");
        for words in ["href=\"/staff/payouts/1\"", "NACHA", "Cheques", "came back", "paid in part", "also tells the bank which it is not to pay any more: 1"] {
            says(&files, words);
        }
        says_not(&files, "OUT-1");
        let file = open(&mut ana, "/staff/payouts/1");
        for words in ["NACHA of <time datetime=\"2026-06-15\">15 Jun 2026</time>", "paid in part", "Bob Brook", "BANK-7", "$30.00", "Still out", "sent", "paid", "/staff/accounts/A1/refunds", "/staff/accounts/A1/payouts/OUT-1"] {
            says(&file, words);
        }
        says_not(&file, "The bank refused the whole file");
        let cheques = open(&mut ana, "/staff/payouts/2");
        for words in ["File of cheques 2", "1001", "came back", "lost"] {
            says(&cheques, words);
        }
        // The file again: the same bytes, and it is written down who took it.
        let again = ana.get("/staff/payouts/1/file.txt");
        assert_eq!((again.status, again.body.as_bytes()), (200, bytes.as_slice()));
        assert_eq!(again.header("content-disposition"), "attachment; filename=\"payouts-2026-06-15.ach\"");
        assert!(ana.get("/staff/payouts/2/file.txt").header("content-disposition").contains("cheques-2026-06-15.csv"));
        assert_eq!(count(&town, &format!("audit_event WHERE action = 'refund.file' AND actor = '{ANA}'")), 2);
        // Whoever only looks takes no file and is offered no form.
        let mut auditor = served.staff(Role::Auditor);
        let file = open(&mut auditor, "/staff/payouts/1");
        says_not(&file, "file.txt");
        says_not(&file, "What became of it");
    }

    fn long_lists_of_payouts_come_in_pages(town: Town) {
        let mut town = crate::town(town);
        with_bank(&mut town);
        town.pay("A1", "90.00", "P-1");
        for number in 10..37 {
            done(pay_out(&town, BEN, "A1", "1.00", &format!("OUT-{number}"), Some(to_bank("Ann Mill", "1"))));
        }
        let served = Served::new(&mut town);
        let mut ana = sign_in_as(&served, ANA);
        let first = open(&mut ana, "/staff/payouts");
        says(&first, "OUT-34<");
        says_not(&first, "OUT-35<");
        let more = open(&mut ana, "/staff/payouts?from=25");
        says(&more, "OUT-35<");
        says(&more, "$27.00");
        make_batch(&town.context, Medium::Payout, town.context.today()).unwrap();
        let first = open(&mut ana, "/staff/payouts/1");
        says(&first, "href=\"/staff/payouts/1?from=25\"");
        says_not(&first, "OUT-35<");
        let more = open(&mut ana, "/staff/payouts/1?from=25");
        says(&more, "OUT-35<");
        says(&more, "OUT-36<");
        // Files, too.
        for number in 50..60 {
            town.context.clock.set(Utc.from_utc_datetime(&town.context.now()) + TimeDelta::days(1));
            done(pay_out(&town, BEN, "A1", "1.00", &format!("OUT-{number}"), Some(to_bank("Ann Mill", "1"))));
            make_batch(&town.context, Medium::Payout, town.context.today()).unwrap();
        }
        let mut ana = sign_in_as(&served, BEN);
        let first = open(&mut ana, "/staff/payouts");
        says(&first, "href=\"/staff/payouts?files=2\"");
        says_not(&first, "href=\"/staff/payouts/1\"");
        says(&open(&mut ana, "/staff/payouts?files=2"), "href=\"/staff/payouts/1\"");
    }

    fn a_file_that_the_bank_refused_comes_back_by_its_page(town: Town) {
        let mut town = crate::town(town);
        with_bank(&mut town);
        for (account, amount) in [("A1", "60.00"), ("A2", "50.00")] {
            town.pay(account, amount, &format!("P-{account}"));
            done(pay_out(&town, BEN, account, amount, &format!("OUT-{account}"), Some(to_bank("Ann Mill", "1"))));
        }
        make_batch(&town.context, Medium::Payout, town.context.today()).unwrap();
        let served = Served::new(&mut town);
        let mut ana = sign_in_as(&served, ANA);
        let page = open(&mut ana, "/staff/payouts/1");
        says(&page, "2 payouts, $110.00 in all");
        let empty = send(&mut ana, &page, "/staff/payouts/1/void", &[("note", " ")]);
        assert_eq!(empty.status, 422);
        says(&empty, "Nothing was changed");
        let form = [("note", "the bank refused the file")];
        for _ in 0..2 {
            assert_eq!(send(&mut ana, &page, "/staff/payouts/1/void", &form).location(), "/staff/approvals/1?done=asked");
        }
        says(&open(&mut ana, "/staff/approvals/1"), "2 payouts");
        says(&open(&mut ana, "/staff/payouts/1"), "It waits for a second person");
        decides(&town, SAM, ApprovalId(1), Verdict::Approve).expect("another one agrees");
        assert_eq!(town.balance("A1"), "0.00");
        let sent = send(&mut ana, &page, "/staff/payouts/1/void", &form);
        let after = follow(&mut ana, &sent);
        says(&after, "the money is the customers\u{2019} again");
        says_not(&after, "The bank refused the whole file");
        assert_eq!((town.balance("A1"), town.balance("A2")), ("-60.00".to_owned(), "-50.00".to_owned()));
        assert_eq!(send(&mut ana, &page, "/staff/payouts/1/void", &form).location(), "/staff/payouts/1?done=unchanged");
        assert_eq!(count(&town, "refund_turn"), 2);
        town.assert_sound();
    }
}
