//! Money that goes out: never what a payer's bank can still take back, above the policy's amount with a second person, and in
//! files for the bank that are made once.

use aquabills::actions::balances::{PayOut, Transfer, ask_pay_out, ask_transfer, refund_credit};
use aquabills::actions::payments::{COUNTER_PROVIDER, NewPayment, post_payment, return_payment};
use aquabills::actions::payout_batch::{Medium, list_batches, make_batch};
use aquabills::actions::refundable::refundable;
use aquabills::actions::refunds::{PayoutNews, refunds_of, settle_payout};
use aquabills::domain::ids::AccountId;
use aquabills::domain::ledger::Tender;
use aquabills::domain::payouts::Payee;
use aquabills::formats::bank::{BankFormat, ControlValue, FormatChoice, read};
use chrono::{TimeDelta, TimeZone, Utc};

use crate::support::http::Served;
use crate::support::pages::{field, open, says, send};
use crate::support::{Town, day, on_both, stderr, stdout};
use crate::*;

fn later(town: &Town, days: i64) {
    town.context.clock.set(Utc.from_utc_datetime(&town.context.now()) + TimeDelta::days(days));
}

/// Money over the counter, valued on a day.
pub(crate) fn pays(town: &Town, account: &str, amount: &str, tender: Tender, on: &str, reference: &str) {
    let payment = NewPayment {
        account_id: AccountId(0),
        amount: amount.parse().unwrap(),
        effective_on: day(on),
        tender,
        provider: COUNTER_PROVIDER.to_owned(),
        reference: reference.to_owned(),
    };
    post_payment(&town.context, account, &payment).expect("the payment is posted");
}

pub(crate) fn to_bank(name: &str, account: &str) -> Payee {
    Payee::Payout { name: name.to_owned(), bank_code: "021000021".to_owned(), bank_account: account.to_owned(), savings: false }
}

pub(crate) fn cheque(name: &str) -> Payee {
    Payee::Cheque { name: name.to_owned(), address: "1 Mill Lane, Millford".to_owned() }
}

pub(crate) fn pay_out(town: &Town, who: &str, account: &str, amount: &str, reference: &str, payee: Option<Payee>) -> Result<Outcome, ActionError> {
    let wish = PayOut {
        account: account.to_owned(),
        amount: Some(amount.parse().unwrap()),
        reference: reference.to_owned(),
        note: "paid too much".to_owned(),
        payee,
    };
    ask_pay_out(&by(town, who), &wish)
}

pub(crate) fn with_bank(town: &mut Town) {
    town.configure(|config| {
        config.utility_name = "Millford Water".to_owned();
        let payouts = &mut config.bank.payouts;
        payouts.originator_id = "1234567890".to_owned();
        payouts.bank_code = "091000019".to_owned();
        payouts.bank_name = "First Bank".to_owned();
        payouts.bank_account = "555001".to_owned();
    });
}

pub(crate) fn states(town: &Town, account: &str) -> Vec<String> {
    refunds_of(&town.context, account).unwrap().iter().map(|refund| format!("{} {}", refund.token, refund.state)).collect()
}

on_both! {
    fn money_that_can_still_be_taken_back_is_not_given_back(town: Town) {
        let town = crate::town(town);
        pays(&town, "A1", "40.00", Tender::Cash, "2026-06-15", "CASH-1");
        // A value date long ago does not make a cheque of today safe.
        pays(&town, "A1", "30.00", Tender::Cheque, "2026-01-01", "CHQ-1");
        pays(&town, "A1", "20.00", Tender::Card, "2026-06-15", "CARD-1");
        let safe = refundable(&town.context, "A1").unwrap();
        assert_eq!((safe.credit.cents(), safe.now().cents()), (9_000, 4_000));
        assert_eq!(safe.possible_from("41.00".parse().unwrap()), Some(day("2026-06-25")));
        assert_eq!(safe.possible_from("90.00".parse().unwrap()), Some(day("2026-10-13")));
        assert_eq!(safe.possible_from("90.01".parse().unwrap()), None);
        let why = refused(pay_out(&town, ANA, "A1", "41.00", "OUT-1", None));
        for words in ["40.00 of the credit of 90.00 can be given back now", "30.00 by cheque (CHQ-1) until 2026-06-25", "20.00 by card (CARD-1) until 2026-10-13", "41.00 can be given back from 2026-06-25 on"] {
            assert!(why.contains(words), "{words}: {why}");
        }
        assert_eq!(done(pay_out(&town, ANA, "A1", "40.00", "OUT-1", None)), -5_000);
        assert!(refused(pay_out(&town, ANA, "A1", "0.01", "OUT-2", None)).contains("0.00 of the credit"));
        later(&town, 10);
        assert_eq!(done(pay_out(&town, ANA, "A1", "30.00", "OUT-2", None)), -2_000);
        // What came back is no danger any more, and no credit either.
        return_payment(&town.context, COUNTER_PROVIDER, "CARD-1", town.context.today(), "disputed").unwrap();
        assert_eq!(refundable(&town.context, "A1").unwrap().credit.cents(), 0);
        town.assert_sound();
    }

    fn a_payout_above_the_amount_waits_and_is_checked_again_when_approved(town: Town) {
        let town = crate::town(town);
        town.pay("A1", "900.00", "P-1");
        let id = waits(pay_out(&town, ANA, "A1", "300.00", "OUT-1", Some(to_bank("Ann Mill", "123-456"))));
        let view = shown(&town, SAM, id);
        assert_eq!(view.subject, "payout of 300.00 to Ann Mill, bank 021000021, account 123-456");
        assert_eq!((view.balance.unwrap().cents(), view.balance_after.unwrap().cents()), (-90_000, -60_000));
        // Another payee is another request.
        assert!(refused(pay_out(&town, ANA, "A1", "300.00", "OUT-1", Some(to_bank("Ann Mill", "999")))).contains("stands for another request"));
        // Split, it waits as well.
        done(pay_out(&town, BEN, "A1", "200.00", "OUT-2", None));
        waits(pay_out(&town, BEN, "A1", "50.01", "OUT-3", None));
        // The money went elsewhere meanwhile: then it is not there to be approved.
        let all = waits(pay_out(&town, ANA, "A1", "700.00", "OUT-4", None));
        decides(&town, SAM, id, Verdict::Approve).unwrap();
        assert!(refused(decides(&town, SAM, all, Verdict::Approve)).contains("has 400.00 to its good"));
        assert_eq!((town.balance("A1"), states(&town, "A1").len()), ("-400.00".to_owned(), 2));
        town.assert_sound();
    }

    fn a_file_of_payouts_is_made_once(town: Town) {
        let mut town = crate::town(town);
        for (account, amount) in [("A1", "100.00"), ("A2", "12.34"), ("A3", "5.00")] {
            town.pay(account, amount, &format!("P-{account}"));
        }
        done(pay_out(&town, ANA, "A1", "100.00", "OUT-1", Some(to_bank("Zoë Mill", "123-456"))));
        done(pay_out(&town, ANA, "A2", "12.34", "OUT-2", Some(Payee::Payout { name: "Bob Brook".to_owned(), bank_code: "011401533".to_owned(), bank_account: "77".to_owned(), savings: true })));
        done(pay_out(&town, ANA, "A3", "5.00", "OUT-3", None));
        let today = town.context.today();
        assert!(refused(make_batch(&town.context, Medium::Payout, today)).contains("[bank.payouts] originator_id is missing"));
        assert!(list_batches(&town.context).unwrap().is_empty());
        with_bank(&mut town);
        let (report, bytes) = make_batch(&town.context, Medium::Payout, today).unwrap();
        assert_eq!((report.items, report.total_cents, report.unchanged), (2, 11_234, false));
        // Our own reader of ACH checks lengths, counts, hashes and totals.
        let file = read(&bytes, FormatChoice::Ach).expect("a sound ACH file");
        assert_eq!(file.format, BankFormat::Ach);
        let entries: Vec<(i64, &str)> = file.statements.iter().flat_map(|statement| &statement.entries).map(|entry| (entry.amount.cents(), entry.text.as_str())).collect();
        assert_eq!(entries, [(10_000, "REFUND; for Zoe Mill"), (1_234, "REFUND; for Bob Brook")]);
        let credit = file.controls.iter().find(|control| control.name.contains("total credit")).expect("a control total");
        assert_eq!(credit.value, ControlValue::Amount("112.34".parse().unwrap()));
        // Again, also later with more that waits: the same bytes; what came later is in the next day's.
        town.pay("A3", "8.00", "P-9");
        done(pay_out(&town, ANA, "A3", "8.00", "OUT-9", Some(to_bank("Cy Dale", "9"))));
        for _ in 0..2 {
            let (again, same) = make_batch(&town.context, Medium::Payout, today).unwrap();
            assert!(again.unchanged && same == bytes && again.sha256 == report.sha256);
        }
        later(&town, 1);
        assert_eq!(make_batch(&town.context, Medium::Payout, today).unwrap().1, bytes, "yesterday's is still there");
        let (next, _) = make_batch(&town.context, Medium::Payout, town.context.today()).unwrap();
        assert_eq!((next.items, next.total_cents), (1, 800));
        assert!(refused(make_batch(&town.context, Medium::Payout, day("2026-06-01"))).contains("no batch was made on 2026-06-01"));
        assert!(refused(make_batch(&town.context, Medium::Payout, day("2026-12-01"))).contains("in the future"));
        assert_eq!(states(&town, "A1"), ["OUT-1 submitted"]);
        assert_eq!(states(&town, "A3"), ["OUT-9 submitted", "OUT-3 created"]);
        // One that comes back is the customer's again, and in no file a second time.
        settle_payout(&town.context, "A1", "OUT-1", &PayoutNews::Failed("account closed".to_owned())).unwrap();
        assert_eq!(town.balance("A1"), "-100.00");
        later(&town, 1);
        let (nothing, empty) = make_batch(&town.context, Medium::Payout, town.context.today()).unwrap();
        assert_eq!((nothing.batch, nothing.items, empty.len()), (None, 0, 0));
        assert_eq!(list_batches(&town.context).unwrap().len(), 2);
        town.assert_sound();
    }

    fn payouts_go_by_iso_20022_where_the_policy_says_so(town: Town) {
        let mut town = crate::town(town);
        town.pay("A2", "60.00", "P-2");
        town.pay("A3", "20.00", "P-3");
        // Asked for while payouts went another way.
        done(pay_out(&town, ANA, "A2", "9.99", "OUT-2", Some(to_bank("Ann", "1"))));
        let text = format!("{}payout_format = \"pain001\"\n", "title = \"Euro\"\neffective_on = 2026-06-01\n[refunds]\ncitation = \"EU\"\napproval_above = \"500.00\"\n\
            largest = \"900.00\"\nsmallest_payout = \"0.01\"\nreturn_days = { card = 120, direct_debit = 60, cheque = 10, transfer = 0, cash = 0 }\n");
        aquabills::actions::policy::import_policy(&town.context, &town.file("p.toml", &text), false, false).unwrap();
        town.configure(|config| {
            config.currency = "EUR".to_owned();
            let payouts = &mut config.bank.payouts;
            (payouts.name, payouts.originator_id) = ("Wasser & Söhne".to_owned(), "W1".to_owned());
            (payouts.bank_code, payouts.bank_name, payouts.bank_account) = ("DEUTDEFF".to_owned(), "Bank".to_owned(), "DE89370400440532013000".to_owned());
        });
        town.pay("A1", "60.00", "P-1");
        let iban = |account: &str| Payee::Payout { name: "A <b> & Co".to_owned(), bank_code: "BNPAFRPP".to_owned(), bank_account: account.to_owned(), savings: false };
        assert!(refused(pay_out(&town, ANA, "A1", "60.00", "OUT-1", Some(iban("FR1420041010050500013M02607")))).contains("check digits"));
        done(pay_out(&town, ANA, "A1", "60.00", "OUT-1", Some(iban("FR1420041010050500013M02606"))));
        assert!(refused(pay_out(&town, ANA, "A3", "9.99", "OUT-3", Some(to_bank("Ann", "1")))).contains("bank_code: the utility's payouts need a BIC and an IBAN"));
        let today = town.context.today();
        let (report, bytes) = make_batch(&town.context, Medium::Payout, today).unwrap();
        assert_eq!((report.items, report.left_out), (1, 1), "one misfit does not stop the others");
        assert_eq!(count(&town, "todo WHERE status = 'open' AND reason LIKE 'payout OUT-2 of 9.99: the bank%'"), 1);
        assert!(refused(settle_payout(&town.context, "A2", "OUT-2", &PayoutNews::Sent("B-1".to_owned()))).contains("is in no file for the bank yet"));
        settle_payout(&town.context, "A2", "OUT-2", &PayoutNews::Failed("no IBAN".to_owned())).unwrap();
        assert_eq!(town.balance("A2"), "-60.00");
        let xml = String::from_utf8(bytes).unwrap();
        for words in ["<NbOfTxs>1</NbOfTxs><CtrlSum>60.00</CtrlSum>", "Wasser &amp; Sohne", "A &lt;b&gt; &amp; Co", "<IBAN>FR1420041010050500013M02606</IBAN>", "Ccy=\"EUR\">60.00<", "<EndToEndId>RF00000002</EndToEndId>"] {
            assert!(xml.contains(words), "{words}: {xml}");
        }
        let mut reader = quick_xml_events(&xml);
        assert_eq!(reader.remove("CtrlSum"), Some(2), "well-formed, with both control sums");
    }

    fn cheques_are_numbered_listed_and_voided(town: Town) {
        let mut town = crate::town(town);
        with_bank(&mut town);
        for account in ["A1", "A2"] {
            town.pay(account, "80.00", &format!("P-{account}"));
        }
        done(pay_out(&town, ANA, "A1", "80.00", "C-1", Some(cheque("Mill, \"Ann\""))));
        done(pay_out(&town, ANA, "A2", "70.00", "C-2", Some(cheque("Bob Brook"))));
        // Called back before it was written: it is in no file.
        done(pay_out(&town, ANA, "A2", "10.00", "C-3", Some(cheque("Bob Brook"))));
        settle_payout(&town.context, "A2", "C-3", &PayoutNews::Failed("not wanted".to_owned())).unwrap();
        let (report, bytes) = make_batch(&town.context, Medium::Cheque, town.context.today()).unwrap();
        assert_eq!((report.items, report.total_cents), (2, 15_000));
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert_eq!(
            text,
            "record,bank_account,cheque_number,issued_on,amount,payee,address,account,reference\n\
             issue,555001,1001,2026-06-15,80.00,\"Mill, \"\"Ann\"\"\",\"1 Mill Lane, Millford\",A1,C-1\n\
             issue,555001,1002,2026-06-15,70.00,Bob Brook,\"1 Mill Lane, Millford\",A2,C-2\n\
             total issue,555001,2,2026-06-15,150.00,,,,\n\
             total void,555001,0,2026-06-15,0.00,,,,\n"
        );
        // A cheque that is cancelled is told to the bank once, and the money is the customer's again.
        settle_payout(&town.context, "A1", "C-1", &PayoutNews::Failed("lost in the mail".to_owned())).unwrap();
        assert_eq!(town.balance("A1"), "-80.00");
        later(&town, 1);
        // Until the bank is told, the cheque may still be cashed: its money is not spent a second time.
        let held = refused(pay_out(&town, ANA, "A1", "80.00", "C-4", Some(cheque("Ann Mill"))));
        assert!(held.contains("80.00 by lost cheque (C-1) until the next file of cheques tells the bank not to pay it"), "{held}");
        let elsewhere = ask_transfer(&by(&town, ANA), &Transfer::new("A1", "A3", "T-1", "moved", None));
        assert!(refused(elsewhere).contains("lost cheque"));
        let (only, bytes_only) = make_batch(&town.context, Medium::Cheque, town.context.today()).unwrap();
        assert_eq!((only.items, only.total_cents), (1, 0));
        let text = String::from_utf8(bytes_only).unwrap();
        assert!(text.contains("void,555001,1001,2026-06-16,80.00") && text.contains("total void,555001,1,2026-06-16,80.00"), "{text}");
        later(&town, 1);
        done(pay_out(&town, ANA, "A1", "80.00", "C-4", Some(cheque("Ann Mill"))));
        let (next, bytes_next) = make_batch(&town.context, Medium::Cheque, town.context.today()).unwrap();
        assert_eq!((next.items, next.total_cents), (1, 8_000));
        let text = String::from_utf8(bytes_next).unwrap();
        assert!(text.contains("issue,555001,1003,2026-06-17,80.00,Ann Mill") && text.contains("total void,555001,0,2026-06-17,0.00"), "{text}");
        later(&town, 1);
        assert_eq!(make_batch(&town.context, Medium::Cheque, town.context.today()).unwrap().0.batch, None);
        assert_eq!(make_batch(&town.context, Medium::Cheque, day("2026-06-15")).unwrap().1, bytes);
        town.assert_sound();
    }

    fn two_who_make_the_batch_at_once_get_the_same(town: Town) {
        let mut town = crate::town(town);
        with_bank(&mut town);
        town.pay("A1", "80.00", "P-1");
        for part in 0..8 {
            done(pay_out(&town, ANA, "A1", "10.00", &format!("OUT-{part}"), Some(to_bank("Ann Mill", "1"))));
        }
        let today = town.context.today();
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let context = town.context.clone();
                std::thread::spawn(move || make_batch(&context, Medium::Payout, today).expect("the batch"))
            })
            .collect();
        let made: Vec<_> = threads.into_iter().map(|thread| thread.join().expect("no panic")).collect();
        assert_eq!(made.iter().filter(|(report, _)| !report.unchanged).count(), 1);
        assert!(made.iter().all(|(report, bytes)| *bytes == made[0].1 && report.total_cents == 8_000));
        assert_eq!((count(&town, "refund_batch"), count(&town, "refund_batch_item")), (1, 8));
    }

    fn a_clerk_pays_out_on_the_page_and_the_program_writes_the_file(town: Town) {
        let mut town = crate::town(town);
        town.file("aquabills.toml", "[bank.payouts]\noriginator_id = \"1234567890\"\nbank_code = \"091000019\"\nbank_name = \"First Bank\"\nbank_account = \"555001\"\n");
        town.pay("A1", "80.00", "P-1");
        pays(&town, "A1", "30.00", Tender::Cheque, "2026-06-15", "CHQ-1");
        let served = Served::new(&mut town);
        let mut ana = sign_in_as(&served, ANA);
        let path = "/staff/accounts/A1/refund";
        let form = open(&mut ana, path);
        says(&form, "$80.00 can be paid out now");
        says(&form, "can still take back $30.00 by cheque (CHQ-1)");
        let reference = field(&form, "reference");
        let mut fields = vec![("amount", "80.00"), ("way", "payout"), ("payee", "Ann Mill"), ("bank_code", "021000022"), ("bank_account", "1-2"), ("account_kind", "checking"), ("address", ""), ("note", "paid twice"), ("reference", reference.as_str())];
        let wrong = send(&mut ana, &form, path, &fields);
        assert_eq!(wrong.status, 422);
        says(&wrong, "id=\"bank_code-error\"");
        fields[3].1 = "021000021";
        assert_eq!(send(&mut ana, &form, path, &fields).location(), "/staff/accounts/A1?done=posted.3");
        assert_eq!(send(&mut ana, &form, path, &fields).location(), "/staff/accounts/A1?done=known.3");
        let batch = |out: &str| town.program(&["refunds", "batch", "--way", "payout", "--out", out]);
        let made = batch("one.ach");
        assert!(stdout(&made).contains("1 line, 80.00 in all"), "{}", stderr(&made));
        assert!(stdout(&batch("two.ach")).contains("the same as before"));
        let bytes = |name: &str| std::fs::read(town.dir.path().join(name)).expect("the file");
        assert_eq!(bytes("one.ach"), bytes("two.ach"));
        assert!(stdout(&town.program(&["refund", "batch", "--way", "cheque", "--out", "x.csv"])).contains("nothing waits"));
        assert!(!town.dir.path().join("x.csv").exists());
        assert!(stdout(&town.program(&["refund", "batches"])).contains(" ach 1 lines 80.00 "));
        assert!(stdout(&town.program(&["refund", "safe", "A1"])).contains("of the credit of 30.00 can be given back now"));
        town.pay("A2", "20.00", "P-2");
        let paid = town.program(&["balance", "refund", "A2", "--reference", "B-1", "--note", "gone", "--way", "cheque", "--payee", "Bob", "--address", "1 Mill Lane", "--by", ANA]);
        assert!(stdout(&paid).contains("balance now 0.00"), "{}", stderr(&paid));
        assert_eq!(town.program(&["balance", "refund", "A2", "--reference", "B-2", "--note", "gone", "--way", "cheque"]).status.code(), Some(2));
        town.assert_sound();
    }

    fn small_credits_stay_and_whole_ones_go(town: Town) {
        let town = crate::town(town);
        aquabills::actions::policy::import_policy(&town.context, &town.file("p.toml", &crate::policy::strict("2026-06-01")), false, false).unwrap();
        town.pay("A1", "1.99", "P-1");
        assert!(refused(refund_credit(&by(&town, ANA), "A1", None, "OUT-1", "gone")).contains("1.99 is less than 2.00: it stays in the account"));
        town.pay("A1", "0.01", "P-2");
        assert_eq!(refund_credit(&by(&town, ANA), "A1", None, "OUT-1", "gone").unwrap().balance_after_cents, 0);
    }
}

/// How often each element begins; fails on what is not well-formed.
fn quick_xml_events(xml: &str) -> std::collections::BTreeMap<String, usize> {
    let (mut open, mut counts) = (Vec::new(), std::collections::BTreeMap::new());
    for tag in xml.split('<').skip(1).map(|rest| rest.split_once('>').expect("a tag ends").0).filter(|tag| !tag.starts_with('?')) {
        let name = tag.split(' ').next().unwrap().to_owned();
        if let Some(name) = name.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name));
        } else {
            *counts.entry(name.clone()).or_insert(0) += 1;
            open.push(name);
        }
    }
    assert!(open.is_empty());
    counts
}
