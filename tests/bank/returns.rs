//! What goes back takes back just the payment that it returned, with the fee; what is refused gives it back.

use aquabills::actions::bank::decide::{Share, Verdict, decide};
use aquabills::actions::overcharges::queue::sweep_queue;
use aquabills::actions::payments::{COUNTER_PROVIDER, NewPayment, post_payment};
use aquabills::actions::stop::Stop;
use aquabills::actions::undo::{Undo, undo};
use aquabills::db::{bank_match, customers};
use aquabills::domain::ids::AccountId;
use aquabills::domain::ledger::Tender;

use super::support::{TARIFF, Town, day, lines, on_both, shared_data};
use super::{Booking, assign, camt, counts, file, town_with, try_file, waiting};

fn with_fee() -> String {
    TARIFF.replace("  tier_rule: boundary\n", "  tier_rule: boundary\n  returned_payment_fee: 25.00\n")
}

fn paid() -> Booking {
    Booking { cents: 10_000, bank_ref: "IN-1", reference: "A-1001", name: "Jane Smith", iban: "NL01", ..Booking::default() }
}

/// The return of that payment, by its end-to-end reference.
fn back() -> Booking {
    Booking { cents: -10_000, bank_ref: "OUT-1", returned: Some("AC04"), ..paid() }
}

fn cheque(town: &Town, account: &str, amount: &str, reference: &str) {
    let payment = NewPayment {
        account_id: AccountId(0),
        amount: amount.parse().expect("an amount"),
        effective_on: day("2026-06-01"),
        tender: Tender::Cheque,
        provider: COUNTER_PROVIDER.to_owned(),
        reference: reference.to_owned(),
    };
    post_payment(&town.context, account, &payment).expect("the cheque is taken");
}

pub fn sample(name: &str) -> Vec<u8> {
    let path = shared_data().expect("the folder ../shared/data with the real data is beside the checkout").join("bank").join(name);
    std::fs::read(path).expect("the sample is read")
}

on_both! {
    fn a_returned_transfer_with_a_fee(town: Town) {
        let town = town_with(town, &with_fee());
        assert_eq!(file(&town, "in.xml", &camt("053", "S1", "2026-06-10", &[paid()])).applied, 1);
        assert_eq!(town.balance("A-1001"), "0.00");
        let report = file(&town, "out.xml", &camt("053", "S2", "2026-06-12", &[back()]));
        assert_eq!((counts(&report).as_str(), report.returns), ("1 new, 0 known: 1 applied, 0 waiting, 0 settled, 0 aside", 1));
        assert_eq!(town.balance("A-1001"), "125.00");
        // Once: the same return told by another file, and another return of the same payment.
        assert_eq!(file(&town, "out.054.xml", &camt("054", "N2", "2026-06-12", &[back()])).accepted, 0);
        let again = Booking { bank_ref: "OUT-2", ..back() };
        assert_eq!(file(&town, "again.xml", &camt("053", "S3", "2026-06-13", &[again])).waiting, 1);
        assert!(waiting(&town)[0].row.why.contains("was returned already, on 2026-06-12"), "{}", waiting(&town)[0].row.why);
        assert_eq!(town.balance("A-1001"), "125.00");
        town.assert_sound();
    }

    fn a_payment_and_its_return_in_one_file(town: Town) {
        let town = town_with(town, &with_fee());
        let report = file(&town, "both.xml", &camt("053", "S1", "2026-06-10", &[back(), paid()]));
        assert_eq!((report.applied, town.balance("A-1001")), (2, "125.00".to_owned()), "{:?}", waiting(&town));
        town.assert_sound();
    }

    fn no_fee_where_there_is_none_or_it_is_waived(town: Town) {
        let mut town = town_with(town, &with_fee());
        town.configure(|config| config.bank.waive_returned_payment_fee = true);
        file(&town, "both.xml", &camt("053", "S1", "2026-06-10", &[back(), paid()]));
        assert_eq!(town.balance("A-1001"), "100.00");
    }

    fn a_divided_payment_goes_back_whole(town: Town) {
        let town = crate::town(town);
        let lump = Booking { reference: "JOINT-1", name: "", ..paid() };
        file(&town, "in.xml", &camt("053", "S1", "2026-06-10", &[lump]));
        crate::split(&town, waiting(&town)[0].row.id, &[("A-1001", Some("30.00")), ("A-1002", None)]).expect("it is divided");
        assert_eq!((town.balance("A-1001"), town.balance("A-1002")), ("70.00".to_owned(), "30.00".to_owned()));
        let report = file(&town, "out.xml", &camt("053", "S2", "2026-06-12", &[Booking { reference: "JOINT-1", ..back() }]));
        assert_eq!(report.applied, 1, "{:?}", waiting(&town));
        assert_eq!((town.balance("A-1001"), town.balance("A-1002")), ("100.00".to_owned(), "100.00".to_owned()));
        town.assert_sound();
    }

    fn another_amount_returns_nothing(town: Town) {
        let town = crate::town(town);
        file(&town, "in.xml", &camt("053", "S1", "2026-06-10", &[paid()]));
        let report = file(&town, "out.xml", &camt("053", "S2", "2026-06-12", &[Booking { cents: -9_999, ..back() }]));
        assert_eq!((report.waiting, town.balance("A-1001")), (1, "0.00".to_owned()));
        assert!(waiting(&town)[0].row.why.contains("no payment has its reference and amount"), "{}", waiting(&town)[0].row.why);
    }

    fn the_clearing_house_returns_a_collection(town: Town) {
        let town = town_with(town, &with_fee());
        // What the utility collected under this trace number; the second entry of the file has no payment here.
        cheque(&town, "A-1002", "123.54", "091400600000001");
        let report = try_file(&town, "returns.ach", &sample("ach-return-web.ach")).expect("the file is imported");
        assert_eq!((report.applied, report.waiting), (1, 1), "{:?}", waiting(&town));
        assert_eq!(town.balance("A-1002"), "125.00");
        town.assert_sound();
    }

    fn a_refused_return_gives_the_payment_back_with_the_fee(town: Town) {
        let town = town_with(town, &with_fee());
        cheque(&town, "A-1003", "250.00", "059999990000301");
        let bounced = Booking { cents: -25_000, bank_ref: "OUT-3", reference: "059999990000301", returned: Some("AC04"), ..Booking::default() };
        assert_eq!(file(&town, "out.xml", &camt("053", "S2", "2026-06-12", &[bounced])).applied, 1);
        assert_eq!(town.balance("A-1003"), "125.00");
        let dishonored = sample("ach-dishonored-return.ach");
        let report = try_file(&town, "dishonored.ach", &dishonored).expect("the file is imported");
        assert_eq!((report.applied, report.waiting), (1, 1), "{:?}", waiting(&town));
        assert_eq!(town.balance("A-1003"), "-150.00");
        assert_eq!(try_file(&town, "dishonored.ach", &dishonored).expect("it is known").accepted, 0);
        assert_eq!(town.balance("A-1003"), "-150.00");
        // The customer's bank insists: the payment is told anew and returned once more, with the fee.
        let again = Booking { cents: -25_000, bank_ref: "OUT-4", reference: "059999990000301", returned: Some("AC04"), ..Booking::default() };
        assert_eq!(file(&town, "insists.xml", &camt("053", "S4", "2026-06-14", &[again])).applied, 1, "{:?}", waiting(&town));
        assert_eq!(town.balance("A-1003"), "125.00");
        town.assert_sound();
    }

    fn a_fee_that_a_clerk_took_back_is_not_given_back_again(town: Town) {
        let town = town_with(town.lenient(), &with_fee());
        cheque(&town, "A-1003", "250.00", "059999990000301");
        let bounced = Booking { cents: -25_000, bank_ref: "OUT-3", reference: "059999990000301", returned: Some("AC04"), ..Booking::default() };
        assert_eq!(file(&town, "out.xml", &camt("053", "S2", "2026-06-12", &[bounced])).applied, 1);
        let fee = "SELECT reference AS line FROM adjustment WHERE reason_code = 'returned-payment-fee'";
        let fee = town.context.database.read(|conn| Ok::<_, diesel::result::Error>(lines(conn, fee))).expect("the fee is read").remove(0);
        let wish = |of: &str, reference: &str| Undo {
            account: "A-1003".to_owned(),
            of: of.to_owned(),
            reference: reference.to_owned(),
            note: "as a courtesy".to_owned(),
        };
        undo(&town.context, &wish(&fee, "U-1")).expect("it is taken back");
        assert_eq!(town.balance("A-1003"), "100.00");
        try_file(&town, "dishonored.ach", &sample("ach-dishonored-return.ach")).expect("the file is imported");
        assert_eq!(town.balance("A-1003"), "-150.00", "the fee was given back once");
        town.assert_sound();
    }

    fn a_fee_that_was_given_back_is_not_taken_back_by_hand(town: Town) {
        let town = town_with(town.lenient(), &with_fee());
        cheque(&town, "A-1003", "250.00", "059999990000301");
        let bounced = Booking { cents: -25_000, bank_ref: "OUT-3", reference: "059999990000301", returned: Some("AC04"), ..Booking::default() };
        file(&town, "out.xml", &camt("053", "S2", "2026-06-12", &[bounced]));
        try_file(&town, "dishonored.ach", &sample("ach-dishonored-return.ach")).expect("the file is imported");
        let fee = "SELECT reference AS line FROM adjustment WHERE reason_code = 'returned-payment-fee' AND amount_cents > 0";
        let fee = town.context.database.read(|conn| Ok::<_, diesel::result::Error>(lines(conn, fee))).expect("the fee is read").remove(0);
        let wish = Undo { account: "A-1003".to_owned(), of: fee, reference: "U-1".to_owned(), note: "as a courtesy".to_owned() };
        let refused = undo(&town.context, &wish).expect_err("it is given back already").to_string();
        assert!(refused.contains("was taken back already"), "{refused}");
    }

    fn money_that_the_bank_tells_of_after_the_bill(town: Town) {
        let town = crate::town(town);
        town.reads(&["M1001,2026-01-01,100", "M1001,2026-02-01,120"]);
        town.bill("2026-02-01");
        file(&town, "in.xml", &camt("053", "S1", "2026-06-10", &[paid()]));
        let report = sweep_queue(&town.context, &Stop::default()).expect("the queue is swept");
        assert!(report.is_some(), "its value date is before the bill: the account is looked at before the night");
        let late = "SELECT detail AS line FROM overcharge_finding WHERE cause = 'late_payment' AND status = 'open'";
        let late = town.context.database.read(|conn| Ok::<_, diesel::result::Error>(lines(conn, late))).expect("the findings are read");
        assert_eq!(late.len(), 1, "{late:?}");
    }

    fn a_clerk_says_what_was_returned(town: Town) {
        let town = town_with(town, &with_fee());
        cheque(&town, "A-1002", "60.00", "cheque 1");
        cheque(&town, "A-1002", "60.00", "cheque 2");
        let returned = Booking { cents: -6_000, bank_ref: "OUT-9", reference: "", text: "RETURNED CHEQUE", returned: Some("AM04"), ..Booking::default() };
        assert_eq!(file(&town, "out.xml", &camt("053", "S2", "2026-06-12", &[returned])).waiting, 1);
        let entry = waiting(&town)[0].row.id;
        let several = assign(&town, entry, "A-1002").expect_err("two of the amount").to_string();
        assert!(several.contains("has 2 payments of 60.00") && several.contains("cheque 1"), "{several}");
        let none = assign(&town, entry, "A-1001").expect_err("no such payment").to_string();
        assert!(none.contains("no payment of 60.00"), "{none}");
        let named = |reference: &str| Verdict::Assign {
            shares: vec![Share { account: "A-1002".to_owned(), amount: None }],
            payment: Some(reference.to_owned()),
        };
        decide(&town.context, entry, &named("cheque 2"), "", None).expect("it is the second");
        assert_eq!(town.balance("A-1002"), "65.00");
        // It was the first after all.
        decide(&town.context, entry, &Verdict::Undo, "the other cheque", None).expect("it is taken back");
        assert_eq!(town.balance("A-1002"), "-20.00");
        decide(&town.context, entry, &named("cheque 1"), "", None).expect("it is the first");
        assert_eq!(town.balance("A-1002"), "65.00");
        let standing = town.context.database.read(|conn| {
            let account = customers::account_by_number(conn, "A-1002")?.expect("the account is there");
            bank_match::standing_payments(conn, account.id, 6_000)
        });
        let standing: Vec<_> = standing.expect("the payments are read").into_iter().map(|payment| payment.provider_ref).collect();
        assert_eq!(standing, [Some("cheque 2".to_owned())]);
        town.assert_sound();
    }
}
