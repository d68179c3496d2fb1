//! What the database itself refuses, whoever asks: raw SQL past all of our code, on both databases.
//!
//! Each refusal is shown to be for its own reason: the same statement with only the fault put right is accepted.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on must fail loudly")]

mod support;

use aquabills::db::{Backend, LostRace};
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::sql_types::BigInt;
use support::{Town, dump, on_both};

/// A database error that is never taken for a lost race: these tests want the refusal, not another attempt.
#[derive(Debug)]
struct Refusal(DieselError);

impl From<DieselError> for Refusal {
    fn from(error: DieselError) -> Self {
        Self(error)
    }
}

impl LostRace for Refusal {
    fn lost_race(&self) -> bool {
        false
    }
}

/// Why the database is expected to refuse.
#[derive(Debug, Clone, Copy)]
enum Because {
    /// A trigger that says this.
    Says(&'static str),
    /// A unique key.
    Unique,
    /// A foreign key.
    ForeignKey,
    /// A check.
    Check,
    /// Whichever of its guards the database asks first.
    AnyGuard,
}

impl Because {
    fn fits(self, error: &DieselError) -> bool {
        let DieselError::DatabaseError(kind, info) = error else { return false };
        match self {
            Self::Says(words) => info.message().contains(words),
            Self::Unique => matches!(kind, DatabaseErrorKind::UniqueViolation),
            Self::ForeignKey => matches!(kind, DatabaseErrorKind::ForeignKeyViolation) || info.message().contains("FOREIGN KEY"),
            Self::Check => matches!(kind, DatabaseErrorKind::CheckViolation),
            Self::AnyGuard => true,
        }
    }
}

/// Runs statements as one transaction.
fn run(town: &Town, statements: &[String]) -> Result<(), DieselError> {
    let outcome = town.context.database.write(|conn| {
        for statement in statements {
            diesel::sql_query(statement).execute(conn)?;
        }
        Ok::<_, Refusal>(())
    });
    outcome.map_err(|refusal| refusal.0)
}

fn accepted(town: &Town, statements: &[String]) {
    run(town, statements).unwrap_or_else(|error| panic!("it should be accepted: {error}\n{}", statements.join("\n")));
}

/// Fails unless the statements are refused for this reason and leave every table as it was.
fn refused(town: &Town, because: Because, statements: &[String]) {
    let before = dump(town);
    match run(town, statements) {
        Ok(()) => panic!("it should be refused ({because:?}):\n{}", statements.join("\n")),
        Err(error) => assert!(because.fits(&error), "refused, but not because of {because:?}: {error}\n{}", statements.join("\n")),
    }
    assert_same(&before, &dump(town), &statements.join("\n"));
}

fn one(statement: &str) -> Vec<String> {
    vec![statement.to_owned()]
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

fn number(town: &Town, sql: &str) -> i64 {
    let row = town.context.database.read(|conn| diesel::sql_query(sql).get_result::<Number>(conn));
    row.expect("the query is right").number
}

/// Fails with the rows that differ, and not with the whole database.
fn assert_same(before: &[String], after: &[String], what: &str) {
    let gone: Vec<&String> = before.iter().filter(|row| !after.contains(row)).collect();
    let came: Vec<&String> = after.iter().filter(|row| !before.contains(row)).collect();
    assert!(before == after, "{what} left a trace\n  before: {gone:#?}\n  after: {came:#?}");
}

/// A1 paid 5.00 (position 1) and was billed 47.50 for January (position 2); A2 has a service and an empty ledger.
fn billed(town: Town) -> Town {
    let town = town.with_services(&["A1,S1,HOME,M1", "A2,S2,HOME,M2"]);
    town.reads(&["M1,2026-01-01,100", "M1,2026-02-01,115", "M2,2026-01-01,7"]);
    town.pay("A1", "5.00", "R-1");
    town.bill("2026-02-01");
    assert_eq!(town.balance("A1"), "42.50");
    town
}

const A1: &str = "(SELECT id FROM account WHERE number = 'A1')";
const A2: &str = "(SELECT id FROM account WHERE number = 'A2')";

/// A transaction with its postings; the postings first, as the program writes them.
struct Entry {
    id: i64,
    account: &'static str,
    kind: &'static str,
    seq: i64,
    cents: i64,
    balance: i64,
    postings: Vec<(&'static str, i64)>,
}

impl Entry {
    /// The next entry of A1 that is right in every way: 3.00 at position 3, balance 45.50.
    fn right() -> Self {
        let postings = vec![("receivable", 300), ("revenue:fees", -300)];
        Self { id: 9_000, account: A1, kind: "adjustment", seq: 3, cents: 300, balance: 4_550, postings }
    }

    fn postings(&self) -> Vec<String> {
        let rows = self.postings.iter().zip(1..);
        rows.map(|((code, cents), no)| {
            format!("INSERT INTO posting (transaction_id, posting_no, gl_code, amount_cents) VALUES ({}, {no}, '{code}', {cents})", self.id)
        })
        .collect()
    }

    fn row(&self) -> String {
        format!(
            "INSERT INTO financial_transaction \
             (id, account_id, account_seq, kind, source, amount_cents, balance_after_cents, effective_on, posted_at) \
             VALUES ({}, {}, {}, '{}', 'test', {}, {}, '2026-06-15', '2026-06-15 12:00:00')",
            self.id, self.account, self.seq, self.kind, self.cents, self.balance
        )
    }

    fn sql(&self) -> Vec<String> {
        let mut statements = self.postings();
        statements.push(self.row());
        statements
    }
}

on_both! {
    fn what_is_append_only_is_neither_edited_nor_deleted(town: Town) {
        let town = billed(town);
        let says = Because::Says("append-only");
        for (table, edit) in [
            ("financial_transaction", "amount_cents = amount_cents + 1"),
            ("financial_transaction", "effective_on = '2020-01-01'"),
            ("financial_transaction", "source = 'other'"),
            ("posting", "amount_cents = amount_cents + 1"),
            ("posting", "gl_code = 'writeoff'"),
            ("audit_event", "actor = 'somebody else'"),
        ] {
            refused(&town, says, &one(&format!("UPDATE {table} SET {edit}")));
            refused(&town, says, &one(&format!("DELETE FROM {table}")));
        }
        let never = Because::Says("tariff versions are never");
        refused(&town, never, &one("UPDATE tariff_version SET source = 'cheaper'"));
        refused(&town, never, &one("UPDATE tariff_version SET effective_on = '2019-01-01'"));
        refused(&town, never, &one("DELETE FROM tariff_version"));
    }

    fn a_transaction_comes_with_postings_that_balance(town: Town) {
        let town = billed(town);
        let says = Because::Says("postings do not sum to zero or miss the amount");
        refused(&town, says, &one(&Entry::right().row()));
        for postings in [
            vec![("receivable", 300)],
            vec![("receivable", 300), ("revenue:fees", -299)],
            vec![("receivable", 300), ("revenue:fees", 300)],
            vec![("receivable", 200), ("revenue:fees", -200)],
            vec![("clearing:cash", 300), ("revenue:fees", -300)],
            vec![("receivable", 300), ("receivable", -300)],
        ] {
            refused(&town, says, &Entry { postings, ..Entry::right() }.sql());
        }
        // A posting is refused without its transaction, and with a general-ledger account that there is not.
        refused(&town, Because::ForeignKey, &Entry::right().postings());
        refused(&town, Because::ForeignKey, &Entry { postings: vec![("receivable", 300), ("nowhere", -300)], ..Entry::right() }.sql());
        accepted(&town, &Entry::right().sql());
        town.assert_ledger_follows();
    }

    fn positions_follow_without_gap_and_carry_the_balance(town: Town) {
        let town = billed(town);
        let says = Because::Says("balance does not follow");
        refused(&town, says, &Entry { seq: 4, ..Entry::right() }.sql());
        refused(&town, says, &Entry { balance: 4_551, ..Entry::right() }.sql());
        refused(&town, says, &Entry { balance: 300, ..Entry::right() }.sql());
        refused(&town, says, &Entry { account: A2, seq: 2, balance: 300, ..Entry::right() }.sql());
        refused(&town, says, &Entry { account: A2, seq: 1, balance: 301, ..Entry::right() }.sql());
        refused(&town, Because::AnyGuard, &Entry { account: A2, seq: 0, balance: 300, ..Entry::right() }.sql());
        // A position that is taken stays taken, also with a balance that would follow.
        refused(&town, Because::Unique, &Entry { seq: 2, balance: -200, ..Entry::right() }.sql());
        refused(&town, Because::ForeignKey, &Entry { account: "77777", seq: 1, balance: 300, ..Entry::right() }.sql());
        accepted(&town, &Entry { account: A2, seq: 1, balance: 300, ..Entry::right() }.sql());
        accepted(&town, &Entry { id: 9_001, ..Entry::right() }.sql());
        town.assert_ledger_follows();
    }

    fn nothing_is_added_to_a_closed_transaction(town: Town) {
        let town = billed(town);
        let id = number(&town, "SELECT min(id) AS number FROM financial_transaction");
        let added = |no: i64, cents: i64| {
            format!("INSERT INTO posting (transaction_id, posting_no, gl_code, amount_cents) VALUES ({id}, {no}, 'revenue:fees', {cents})")
        };
        let says = Because::Says("the transaction is closed");
        refused(&town, says, &[added(3, 1)]);
        refused(&town, says, &[added(3, 0)]);
        // Not even a pair that balances.
        refused(&town, says, &[added(3, 100), added(4, -100)]);
    }
}

/// A live segment like the one that was billed, for another period.
fn segment(no: i64, start: &str, end: &str) -> String {
    format!(
        "INSERT INTO bill_segment \
         (run_id, account_id, segment_no, agreement_id, period_start_on, period_end_on, usage_milli, total_cents, lines, inputs, live) \
         SELECT run_id, account_id, {no}, agreement_id, '{start}', '{end}', usage_milli, total_cents, lines, inputs, 1 \
         FROM bill_segment WHERE segment_no = 1 AND live = 1"
    )
}

on_both! {
    fn no_period_is_billed_twice(town: Town) {
        let town = billed(town);
        let says = Because::Says("already billed for a part of this period");
        for (start, end) in [
            ("2026-01-15", "2026-02-15"),
            ("2026-01-10", "2026-01-20"),
            ("2026-01-31", "2026-02-01"),
            // Begun before the one that is there, and inserted later.
            ("2025-12-15", "2026-01-15"),
            ("2025-12-31", "2026-01-02"),
            ("2025-12-01", "2026-03-01"),
        ] {
            refused(&town, says, &one(&segment(50, start, end)));
        }
        // The same start: the key or the trigger.
        for end in ["2026-01-20", "2026-02-01", "2026-02-20"] {
            refused(&town, Because::AnyGuard, &one(&segment(50, "2026-01-01", end)));
        }
        refused(&town, says, &[segment(50, "2026-03-01", "2026-04-01"), segment(51, "2026-03-15", "2026-04-15")]);
        refused(&town, says, &[segment(50, "2026-03-15", "2026-04-15"), segment(51, "2026-03-01", "2026-04-01")]);
        refused(&town, Because::Check, &one(&segment(50, "2026-03-01", "2026-03-01")));
        refused(&town, Because::Check, &one(&segment(50, "2026-03-02", "2026-03-01")));
        // Touching periods are neighbours, on either side and in either order.
        accepted(&town, &one(&segment(50, "2026-02-01", "2026-03-01")));
        accepted(&town, &one(&segment(51, "2025-12-01", "2026-01-01")));
        accepted(&town, &one(&segment(52, "2026-04-01", "2026-05-01")));
        accepted(&town, &one(&segment(53, "2026-03-01", "2026-04-01")));
    }

    fn overlapping_rows_of_one_statement_are_refused(town: Town) {
        let town = billed(town);
        let select = |no: i64, start: &str, end: &str| segment(no, start, end).split_once(" SELECT").map(|(_, rest)| format!("SELECT{rest}")).unwrap();
        let both = |second: String| one(&format!("{} UNION ALL {second}", segment(50, "2026-03-01", "2026-04-01")));
        // PostgreSQL gives the literals of a union no type of their own: they are dates there.
        let typed = |statements: Vec<String>| -> Vec<String> {
            if town.context.database.backend() == Backend::Sqlite {
                return statements;
            }
            statements.into_iter().map(|sql| sql.replace("'2026-", "DATE '2026-")).collect()
        };
        refused(&town, Because::Says("already billed for a part of this period"), &typed(both(select(51, "2026-03-15", "2026-04-15"))));
        accepted(&town, &typed(both(select(51, "2026-04-01", "2026-05-01"))));
    }

    fn a_withdrawn_segment_makes_room_and_stays_withdrawn(town: Town) {
        let town = billed(town);
        accepted(&town, &one("UPDATE bill_segment SET live = 0"));
        let says = Because::Says("a bill segment is never edited, only withdrawn");
        refused(&town, says, &one("UPDATE bill_segment SET live = 1"));
        let again = segment(50, "2026-01-15", "2026-02-15").replace(" AND live = 1", "");
        accepted(&town, &one(&again));
        refused(&town, Because::Says("already billed"), &one(&again.replace("'2026-01-15', '2026-02-15'", "'2026-02-14', '2026-02-20'").replace(" 50,", " 51,")));
    }

    fn the_money_of_bills_and_segments_is_never_edited(town: Town) {
        let town = billed(town);
        let segments = Because::Says("a bill segment is never edited, only withdrawn");
        for edit in [
            "total_cents = total_cents + 1",
            "usage_milli = 0",
            "lines = '[]'",
            "inputs = '{}'",
            "period_start_on = '2026-01-02'",
            "period_end_on = '2026-01-31'",
            "agreement_id = agreement_id + 1",
            "live = 0, total_cents = 0",
        ] {
            refused(&town, segments, &one(&format!("UPDATE bill_segment SET {edit}")));
        }
        let bills = Because::Says("a bill is never");
        for edit in [
            "total_cents = total_cents + 1, amount_due_cents = amount_due_cents + 1",
            "previous_balance_cents = previous_balance_cents + 1, payments_cents = payments_cents - 1",
            "adjustments_cents = 1, payments_cents = payments_cents - 1",
            "payments_cents = 0, opening_balance_cents = 0, amount_due_cents = 4750",
            "last_payment_seq = NULL",
            "account_seq = 1",
        ] {
            refused(&town, bills, &one(&format!("UPDATE bill SET {edit}")));
        }
        refused(&town, bills, &one("DELETE FROM bill"));
        accepted(&town, &one("UPDATE bill SET status = 'cancelled', cancelled_seq = 2"));
        refused(&town, bills, &one("UPDATE bill SET status = 'issued', cancelled_seq = NULL"));
    }

    fn a_segment_is_never_deleted(town: Town) {
        let town = billed(town);
        refused(&town, Because::AnyGuard, &one("DELETE FROM bill_segment"));
    }

    fn a_bill_stays_with_its_account(town: Town) {
        let town = billed(town);
        town.pay("A2", "1.00", "R-2");
        town.pay("A2", "1.00", "R-3");
        refused(&town, Because::AnyGuard, &one(&format!("UPDATE bill SET account_id = {A2}")));
    }
}

/// A second run, for a bill of A1 that is posted at position 3: 10.00 on top of 42.50.
fn run_of_its_own(town: &Town) {
    accepted(town, &one(&run_row("by hand", "issued")));
    let postings = vec![("receivable", 1_000), ("revenue:service", -1_000)];
    accepted(town, &Entry { kind: "bill", cents: 1_000, balance: 5_250, postings, ..Entry::right() }.sql());
}

fn run_row(cycle: &str, status: &str) -> String {
    format!(
        "INSERT INTO bill_run (cycle, through_on, status, engine_version, started_at, bill_on, due_on, gates) \
         VALUES ('{cycle}', '2026-03-01', '{status}', 'test', '2026-06-15 12:00:00', '2026-06-15', '2026-07-06', '')"
    )
}

/// previous balance, payments, adjustments, opening balance, total, amount due
fn bill_row(seq: i64, cents: [i64; 6]) -> String {
    let [previous, payments, adjustments, opening, total, due] = cents;
    format!(
        "INSERT INTO bill (run_id, account_id, account_seq, status, previous_balance_cents, payments_cents, adjustments_cents, \
         opening_balance_cents, total_cents, amount_due_cents) \
         VALUES ((SELECT max(id) FROM bill_run), {A1}, {seq}, 'issued', {previous}, {payments}, {adjustments}, {opening}, {total}, {due})"
    )
}

on_both! {
    fn a_bill_opens_with_the_ledgers_balance(town: Town) {
        let town = billed(town);
        run_of_its_own(&town);
        let says = Because::Says("the bill's opening balance is not the ledger's");
        // The latest payment was not seen, or one was seen twice.
        refused(&town, says, &one(&bill_row(3, [4_750, 0, 0, 4_750, 1_000, 5_750])));
        refused(&town, says, &one(&bill_row(3, [4_250, -500, 0, 3_750, 1_000, 4_750])));
        refused(&town, says, &one(&bill_row(3, [0, 0, 0, 0, 1_000, 1_000])));
        // The amount due is right, the split into opening balance and charges is not.
        refused(&town, says, &one(&bill_row(3, [4_251, 0, 0, 4_251, 999, 5_250])));
        // Positions that are no bill, or not there.
        refused(&town, says, &one(&bill_row(1, [0, 0, 0, 0, -500, -500])));
        refused(&town, Because::AnyGuard, &one(&bill_row(4, [4_250, 0, 0, 4_250, 1_000, 5_250])));
        // The parts do not add up to the opening balance, or that and the charges not to the amount due.
        for cents in [[4_250, -1, 0, 4_250, 1_000, 5_250], [4_250, 0, 0, 4_250, 1_000, 5_251]] {
            refused(&town, Because::AnyGuard, &one(&bill_row(3, cents)));
        }
        accepted(&town, &one(&bill_row(3, [4_250, 0, 0, 4_250, 1_000, 5_250])));
        refused(&town, Because::Unique, &one(&bill_row(3, [4_250, 0, 0, 4_250, 1_000, 5_250]).replace("(SELECT max(id) FROM bill_run)", "(SELECT min(id) FROM bill_run)")));
    }

    fn two_unfinished_runs_of_one_cycle_are_refused(town: Town) {
        let town = billed(town);
        for unfinished in ["pricing", "review", "gates_failed", "issuing", "rolling_back"] {
            accepted(&town, &one(&run_row(unfinished, unfinished)));
            for second in ["pricing", "review", "gates_failed", "issuing", "rolling_back"] {
                refused(&town, Because::Unique, &one(&run_row(unfinished, second)));
            }
            for finished in ["issued", "discarded", "rolled_back"] {
                accepted(&town, &one(&run_row(unfinished, finished)));
                let reopen = format!("UPDATE bill_run SET status = 'pricing' WHERE cycle = '{unfinished}' AND status = '{finished}'");
                refused(&town, Because::Unique, &one(&reopen));
            }
        }
        refused(&town, Because::Check, &one(&run_row("odd", "nearly done")));
    }

    fn a_register_has_one_read_a_day(town: Town) {
        let town = billed(town);
        let read = |on: &str, reading: i64, status: &str| {
            one(&format!(
                "INSERT INTO meter_read (register_id, read_on, reading_milli, kind, status) \
                 VALUES ((SELECT min(id) FROM register), '{on}', {reading}, 'actual', '{status}')"
            ))
        };
        for status in ["accepted", "held"] {
            refused(&town, Because::Unique, &read("2026-02-01", 115_000, status));
            refused(&town, Because::Unique, &read("2026-02-01", 116_000, status));
        }
        refused(&town, Because::Check, &read("2026-03-01", -1, "accepted"));
        // A rejected read makes room for the right one, and does not come back beside it.
        accepted(&town, &read("2026-03-01", 200_000, "rejected"));
        accepted(&town, &read("2026-03-01", 120_000, "accepted"));
        refused(&town, Because::Unique, &one("UPDATE meter_read SET status = 'accepted' WHERE status = 'rejected'"));
    }
}

/// A payment of 1.00 into A2's ledger at a position, with a reference.
fn payment(id: i64, seq: i64, provider: &str, merchant: &str, reference: &str) -> Vec<String> {
    let postings = vec![("clearing:cash", 100), ("receivable", -100)];
    let mut statements = Entry { id, account: A2, kind: "payment", seq, cents: -100, balance: -100 * seq, postings }.sql();
    statements.push(format!(
        "INSERT INTO payment (account_id, amount_cents, effective_on, tender, provider, merchant, provider_ref, account_seq) \
         VALUES ({A2}, 100, '2026-06-15', 'cash', '{provider}', '{merchant}', {reference}, {seq})"
    ));
    statements
}

on_both! {
    fn a_reference_stands_for_one_payment(town: Town) {
        let town = billed(town);
        accepted(&town, &payment(9_000, 1, "counter", "utility", "'R-2'"));
        refused(&town, Because::Unique, &payment(9_001, 2, "counter", "utility", "'R-1'"));
        refused(&town, Because::Unique, &payment(9_001, 2, "counter", "utility", "'R-2'"));
        accepted(&town, &payment(9_001, 2, "counter", "other town", "'R-2'"));
        accepted(&town, &payment(9_002, 3, "bank", "utility", "'R-2'"));
        // Payments without a reference are not each other's duplicates.
        accepted(&town, &payment(9_003, 4, "bank", "utility", "NULL"));
        accepted(&town, &payment(9_004, 5, "bank", "utility", "NULL"));
        // One that is learned later may not be another's.
        let learn = |reference: &str| one(&format!("UPDATE payment SET provider_ref = '{reference}' WHERE account_seq = 5"));
        refused(&town, Because::Unique, &learn("R-2"));
        accepted(&town, &learn("R-5"));
        town.assert_ledger_follows();
    }

    fn the_money_of_a_payment_is_never_edited(town: Town) {
        let town = billed(town);
        town.pay("A1", "1.00", "R-2");
        let says = Because::Says("are never edited");
        for edit in [
            "provider_ref = NULL",
            "amount_cents = amount_cents + 1",
            "effective_on = '2020-01-01'",
            &format!("account_id = {A2}"),
            "account_seq = account_seq + 1",
        ] {
            refused(&town, says, &one(&format!("UPDATE payment SET {edit} WHERE provider_ref = 'R-2'")));
        }
        refused(&town, Because::Says("payments are never deleted"), &one("DELETE FROM payment"));
        refused(&town, Because::Check, &one("UPDATE payment SET returned_seq = 1"));
        accepted(&town, &one("UPDATE payment SET returned_seq = 1, returned_on = '2026-06-15' WHERE provider_ref = 'R-2'"));
        refused(&town, says, &one("UPDATE payment SET returned_seq = NULL, returned_on = NULL"));
        refused(&town, says, &one("UPDATE payment SET returned_seq = 2 WHERE provider_ref = 'R-2'"));
    }

    fn where_a_payment_came_from_is_never_edited(town: Town) {
        let town = billed(town);
        for edit in ["provider_ref = 'R-other'", "provider = 'bank'", "merchant = 'other town'", "tender = 'card'"] {
            refused(&town, Because::AnyGuard, &one(&format!("UPDATE payment SET {edit}")));
        }
    }

    fn an_adjustment_is_neither_edited_nor_deleted(town: Town) {
        let town = billed(town);
        let done = town.program(&["adjust", "A1", "--amount", "-1.00", "--reason", "goodwill", "--reference", "G-1", "--note", "late crew"]);
        assert!(done.status.success(), "{}", support::stderr(&done));
        for edit in ["UPDATE adjustment SET amount_cents = -200", "UPDATE adjustment SET reason_code = 'leak'", "DELETE FROM adjustment"] {
            refused(&town, Because::AnyGuard, &one(edit));
        }
    }
}

/// SQLite's REPLACE deletes the old row without asking its triggers, unless the connection says `recursive_triggers`.
#[test]
fn replacing_is_no_way_around_append_only() {
    let town = billed(Town::sqlite());
    let before = dump(&town);
    let mut went_through = Vec::new();
    for statement in [
        "REPLACE INTO audit_event SELECT id, at, 'somebody else', action, subject, detail FROM audit_event",
        "REPLACE INTO tariff_version SELECT id, schedule, effective_on, revision, sha256, source_name, 'cheaper', imported_at FROM tariff_version",
        "REPLACE INTO financial_transaction SELECT id, account_id, account_seq, kind, source, amount_cents, balance_after_cents, '2020-01-01', \
         posted_at FROM financial_transaction",
        "REPLACE INTO payment SELECT id, account_id, amount_cents + 1, effective_on, tender, provider, merchant, provider_ref, account_seq, \
         returned_seq, returned_on, return_reason FROM payment",
        "REPLACE INTO bill SELECT run_id, account_id, account_seq, status, cancelled_seq, total_cents, previous_balance_cents - 1, \
         payments_cents + 1, adjustments_cents, opening_balance_cents, amount_due_cents, NULL FROM bill",
    ] {
        if run(&town, &one(statement)).is_ok() {
            went_through.push(statement.split(" SELECT").next().unwrap_or_default());
        }
    }
    assert_eq!(went_through, Vec::<&str>::new(), "these went through");
    assert_same(&before, &dump(&town), "it");
}

/// PostgreSQL has a third way to lose rows.
#[test]
fn truncating_is_refused_like_deleting() {
    let town = billed(Town::postgres());
    let kept = ["financial_transaction", "posting", "audit_event", "tariff_version", "payment", "bill", "overcharge_case", "overcharge_finding"];
    for table in kept {
        refused(&town, Because::AnyGuard, &one(&format!("TRUNCATE {table} CASCADE")));
    }
}

impl Town {
    /// The chain and the postings are right, whatever the tests put beside them by hand.
    fn assert_ledger_follows(&self) {
        let report = self.check();
        let chain: Vec<&String> =
            report.first_faults.iter().filter(|fault| fault.contains("do not make") || fault.contains("do not balance")).collect();
        assert!(chain.is_empty(), "{chain:#?}");
    }
}
