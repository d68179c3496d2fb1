//! Ten thousand payments: found to the cent, in memory that does not grow with them. What it costs is printed, not judged.

use std::time::Instant;

use crate::support::{Town, on_both};
use crate::{at, look, tamper, town};

const PAYMENTS: i64 = 10_000;

/// Ten thousand payments that agree, as a year of callbacks leaves them; each of the hundred accounts has a hundred.
fn many(t: &Town) {
    let rows = format!("WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {PAYMENTS})");
    let movements = format!(
        "{rows} INSERT INTO provider_movement (provider, merchant, movement_ref, kind, payment_ref, amount_cents, fee_cents, occurred_at, occurred_on, fetched_at)
         SELECT 'books', 'waterworks', 'txn_m' || n, 'payment', 'pi_' || n, 100 + n, 0, 1781352000, '2026-06-13', '2026-06-13 13:00:00' FROM n;"
    );
    tamper(t, &movements, &movements.replace("'2026-06-13', '2026-06-13 13:00:00'", "DATE '2026-06-13', TIMESTAMP '2026-06-13 13:00:00'"));
    let ids: Vec<aquabills::domain::ids::AccountId> = (1..=100).map(|n| crate::account_id(&t.context, &format!("A{n}"))).collect();
    let payments: Vec<aquabills::actions::payments::NewPayment> = (1..=PAYMENTS)
        .map(|n| aquabills::actions::payments::NewPayment {
            account_id: ids[usize::try_from(n % 100).expect("an index")],
            amount: aquabills::domain::money::Money::from_cents(100 + n),
            effective_on: crate::support::day("2026-06-13"),
            tender: aquabills::domain::ledger::Tender::Card,
            provider: "books".to_owned(),
            reference: format!("pi_{n}"),
        })
        .collect();
    aquabills::actions::payments::post_many(&t.context, &payments).expect("the payments are posted");
    let ours = "UPDATE payment SET merchant = 'waterworks' WHERE provider = 'books';";
    tamper(
        t,
        &format!("DROP TRIGGER payment_money_is_fixed; {ours}"),
        &format!("ALTER TABLE payment DISABLE TRIGGER ALL; {ours} ALTER TABLE payment ENABLE TRIGGER ALL;"),
    );
    at(t, "2026-06-15T13:00:00Z");
}

on_both! {
    fn ten_thousand_payments_and_one_cent(t: Town) {
        let (t, books) = town(t, 100);
        many(&t);
        books.pays("pi_new", 1, "2026-06-14T10:00:00Z");
        books.written().movements[0].movement_ref = "txn_new".to_owned();
        let since = Instant::now();
        let report = look(&t);
        told(&format!("{PAYMENTS} payments in {} ms", since.elapsed().as_millis()));
        let sum: i64 = (1..=PAYMENTS).map(|n| 100 + n).sum();
        assert_eq!((report.ledger_cents, report.provider_cents), (sum, sum + 1));
        assert_eq!((report.differences, report.delta_cents), (1, 1));
    }

    fn ten_thousand_differences_are_all_kept(t: Town) {
        let (t, _) = town(t, 100);
        many(&t);
        let off = "UPDATE provider_movement SET amount_cents = amount_cents + 3;";
        tamper(&t, off, off);
        let since = Instant::now();
        let report = look(&t);
        told(&format!("{PAYMENTS} differences in {} ms", since.elapsed().as_millis()));
        assert_eq!((report.differences, report.delta_cents), (10_000, 30_000));
        let mut file = Vec::new();
        let rows = aquabills::actions::reconcile::export::export_differences(&t.context, &aquabills::db::reconciliation::DifferenceFilter::default(), &mut file);
        assert_eq!(rows.expect("an export"), 10_000);
        let on = "UPDATE provider_movement SET amount_cents = amount_cents - 3;";
        tamper(&t, on, on);
        assert!(look(&t).agrees());
        assert_eq!(crate::open(&t), []);
    }
}

/// Measured, not asserted: shown with `--nocapture`.
#[allow(clippy::print_stderr, reason = "a figure for whoever runs it by hand")]
fn told(figure: &str) {
    eprintln!("{figure}");
}
