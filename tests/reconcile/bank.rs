//! What reached the bank: payouts that are on their way, missing, or of another amount, and movements that nobody decided.

use aquabills::actions::balances::refund_credit;
use aquabills::domain::reconciliation::Action;

use crate::fake_provider::deliver;
use crate::support::{Town, on_both};
use crate::{apply, at, look, open, tamper, told, town, wants_to_pay};

/// A movement of the bank, as the import of its file leaves it.
fn booked(t: &Town, key: &str, cents: i64, on: &str, text: &str, status: &str) {
    let entry = format!(
        "INSERT INTO bank_entry (file_id, place, bank_account, entry_key, amount_cents, booked_on, kind, code, reference, party_name, party_account, text, status, confidence, why)
         VALUES ((SELECT min(id) FROM bank_file), 'line 1', 'DE01', '{key}', {cents}, '{on}', 'credit', '', '{key}', '', '', '{text}', '{status}', 0, '');"
    );
    let file = |blob: &str| {
        format!(
            "INSERT INTO bank_file (sha256, name, format, entries, credits_cents, debits_cents, received_at, received_by, body)
             SELECT 'x', 'statement', 'csv', 1, 0, 0, '2026-06-15 12:00:00', 'tester', {blob} WHERE NOT EXISTS (SELECT 1 FROM bank_file);"
        )
    };
    tamper(t, &(file("X'00'") + &entry), &(file("'\\x00'") + &entry));
}

on_both! {
    fn a_payout_is_on_its_way_then_missing_then_there(t: Town) {
        let (t, books) = town(t, 1);
        booked(&t, "B-1", 100, "2026-06-08", "something else", "set_aside");
        wants_to_pay(&t, "pi_1", "A1", 5000);
        // Paid out on Friday the 12th, less a fee of 30 cents.
        deliver(&t.context, &books.pays("pi_1", 5000, "2026-06-11T10:00:00Z"));
        books.pays_out("po_1", 4970, "2026-06-12", &[1]);
        apply(&t);
        let report = look(&t);
        assert!(report.agrees(), "three business days after Friday is Wednesday: {report:#?}");
        assert_eq!((report.in_transit, report.total.in_transit.cents()), (1, 4970));
        at(&t, "2026-06-17T12:00:00Z");
        assert!(look(&t).agrees());
        at(&t, "2026-06-18T12:00:00Z");
        let report = look(&t);
        assert_eq!((report.differences, report.delta_cents), (1, 4970));
        assert_eq!(told(&t), ["payout_not_at_bank po_1 - 49.70 -"]);
        assert_eq!(open(&t)[0].action(), Action::ImportBankFile);
        // The bank's file comes: another credit of the same amount is no payout, the one that names it is.
        booked(&t, "B-2", 4970, "2026-06-15", "RENT JUNE", "waiting");
        booked(&t, "B-3", 4970, "2026-06-16", "Books / PO-1 settlement", "waiting");
        let report = look(&t);
        assert_eq!((report.total.payouts.left.cents(), report.total.payouts.right.cents()), (4970, 4970));
        assert_eq!((report.differences, report.bank_cents), (0, 4970), "{report:#?}");
        let settled = t.context.database.read(|conn| {
            Ok::<_, diesel::result::Error>(crate::support::lines(conn, "SELECT entry_key || ' ' || status AS line FROM bank_entry ORDER BY entry_key"))
        });
        assert_eq!(settled.expect("the entries"), ["B-1 set_aside", "B-2 waiting", "B-3 settled"]);
        // Nobody decides about the other one.
        at(&t, "2026-06-19T12:00:00Z");
        assert_eq!(look(&t).delta_cents, 4970);
        assert_eq!(told(&t), ["bank_entry_waiting B-2 - - 49.70"]);
    }

    fn a_payout_of_long_ago_is_found_in_the_same_look(t: Town) {
        let (t, books) = town(t, 1);
        at(&t, "2026-04-20T12:00:00Z");
        wants_to_pay(&t, "pi_1", "A1", 5000);
        deliver(&t.context, &books.pays("pi_1", 5000, "2026-04-20T10:00:00Z"));
        books.pays_out("po_1", 4970, "2026-04-21", &[1]);
        apply(&t);
        booked(&t, "B-1", 4970, "2026-04-21", "Books / PO-1 settlement", "waiting");
        at(&t, "2026-06-15T12:00:00Z");
        // Nobody looked for two months, and a correction was lost: only the longer look back that it calls for tells the payout.
        books.corrects("pi_1", 5000, 5500, "2026-04-20T10:00:00Z", "2026-06-14T10:00:00Z");
        look(&t);
        assert_eq!(told(&t), ["amounts_differ pi_1 50.00 55.00 -"]);
    }

    fn a_payout_that_does_not_add_up(t: Town) {
        let (t, books) = town(t, 1);
        wants_to_pay(&t, "pi_1", "A1", 5000);
        deliver(&t.context, &books.pays("pi_1", 5000, "2026-06-11T10:00:00Z"));
        books.pays_out("po_1", 4960, "2026-06-12", &[1]);
        apply(&t);
        let report = look(&t);
        // No file of the bank was ever imported: only the provider's own sums are compared.
        assert_eq!((report.differences, report.delta_cents), (1, 10));
        assert_eq!(told(&t), ["payout_does_not_add_up po_1 - 49.60 -"]);
        // Its movements are asked for once, not in every look.
        books.goes_down_after(Some(2));
        assert_eq!(look(&t).unreachable, []);
    }

    fn money_from_a_provider_that_it_does_not_know_of(t: Town) {
        let (t, _) = town(t, 1);
        booked(&t, "B-1", 7700, "2026-06-12", "BOOKS PO 77", "settled");
        assert!(look(&t).agrees(), "the provider may list it tomorrow");
        at(&t, "2026-06-18T12:00:00Z");
        assert_eq!(look(&t).delta_cents, 7700);
        assert_eq!(told(&t), ["unknown_payout B-1 - - 77.00"]);
    }

    fn a_transfer_and_what_was_posted_from_it(t: Town) {
        let (t, _) = town(t, 1);
        booked(&t, "B-1", 2500, "2026-06-12", "A1", "applied");
        booked(&t, "B-2", 4000, "2026-06-12", "A1", "applied");
        for (amount, reference) in [("25.00", "R-1"), ("39.99", "R-2")] {
            t.pay("A1", amount, reference);
        }
        let link = "UPDATE payment SET bank_entry_id = (SELECT id FROM bank_entry WHERE entry_key = 'B-1') WHERE provider_ref = 'R-1';
                    UPDATE payment SET bank_entry_id = (SELECT id FROM bank_entry WHERE entry_key = 'B-2') WHERE provider_ref = 'R-2';";
        tamper(&t, &format!("DROP TRIGGER payment_correction_is_fixed; {link}"), &format!("ALTER TABLE payment DISABLE TRIGGER ALL; {link} ALTER TABLE payment ENABLE TRIGGER ALL;"));
        let report = look(&t);
        assert_eq!((report.differences, report.delta_cents, report.ledger_cents, report.bank_cents), (1, 1, 6499, 6500));
        assert_eq!(told(&t), ["bank_amounts_differ B-2 39.99 - 40.00"]);
        assert_eq!(open(&t)[0].about(), Some("A1"));
    }

    fn refunds_by_bank_and_returns_are_no_payouts_and_no_transfers(t: Town) {
        let (t, _) = town(t, 1);
        t.pay("A1", "40.00", "R-1");
        refund_credit(&t.context, "A1", Some("40.00".parse().expect("an amount")), "OUT-1", "overpaid").expect("a refund");
        booked(&t, "B-1", -4000, "2026-06-12", "OUT-1", "settled");
        booked(&t, "B-2", 4000, "2026-06-12", "OUT-1 returned", "applied");
        booked(&t, "B-3", 2500, "2026-06-12", "a return that was refused", "applied");
        at(&t, "2026-06-18T12:00:00Z");
        assert_eq!(look(&t).differences, 3, "whoever decided nothing about them must say what they are");
        let of = "UPDATE bank_entry SET returned_payment_id = (SELECT min(id) FROM payment)";
        tamper(&t, of, of);
        assert!(look(&t).agrees());
    }
}
