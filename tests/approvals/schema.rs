//! The same by hand: whoever writes into the database beside the program is held up by the schema.

use aquabills::db::{Backend, DbConnection, LostRace};
use diesel::RunQueryDsl;

use crate::support::{Town, lines, on_both};
use crate::*;

/// What the database said.
#[derive(Debug)]
struct Said(String);

impl From<diesel::result::Error> for Said {
    fn from(error: diesel::result::Error) -> Self {
        Self(error.to_string())
    }
}

impl LostRace for Said {
    fn lost_race(&self) -> bool {
        false
    }
}

/// Runs statements as one transaction; the error's words when it is refused.
fn by_hand(town: &Town, statements: &[String]) -> Result<(), String> {
    let run = |conn: &mut DbConnection| -> Result<(), Said> {
        for statement in statements {
            diesel::sql_query(statement).execute(conn)?;
        }
        Ok(())
    };
    town.context.database.write(run).map_err(|Said(words)| words)
}

#[track_caller]
fn held(town: &Town, statement: &str, words: &str) {
    let outcome = by_hand(town, &[statement.to_owned()]);
    assert!(outcome.as_ref().is_err_and(|error| error.contains(words)), "{statement}: {outcome:?}");
}

fn text(town: &Town, sql: &str) -> String {
    town.context.database.read(|conn| Ok::<_, diesel::result::Error>(lines(conn, sql))).unwrap().remove(0)
}

/// A decision about request 1.
fn decision(town: &Town, what: &str, who: (&str, &str, &str), login: &str, at: &str) -> String {
    let hash = text(town, "SELECT sha256 AS line FROM approval WHERE id = 1");
    let (by, person, name) = who;
    format!(
        "INSERT INTO approval_decision (approval_id, decision, sha256, decided_by, decided_person, decided_name, login_id, channel, decided_at, note) \
         VALUES (1, '{what}', '{hash}', '{by}', '{person}', '{name}', {login}, 'page', '{at}', '')"
    )
}

const NOW: &str = "2026-06-15 13:00:00";

fn login(email: &str) -> String {
    format!("(SELECT id FROM login WHERE email = '{email}')")
}

/// The rows of a credit to A1 under a reference, the account's first or second entry.
fn credit_rows(reference: &str, cents: i64, seq: i64) -> Vec<String> {
    let (account, id, balance) = ("(SELECT id FROM account WHERE number = 'A1')", 900 + seq, cents * seq);
    vec![
        format!(
            "INSERT INTO posting (transaction_id, posting_no, gl_code, amount_cents) \
             VALUES ({id}, 1, 'receivable', {cents}), ({id}, 2, 'credit:goodwill', {})",
            -cents
        ),
        format!(
            "INSERT INTO financial_transaction (id, account_id, account_seq, kind, source, amount_cents, balance_after_cents, effective_on, posted_at) \
             VALUES ({id}, {account}, {seq}, 'adjustment', 'adjustment:goodwill:{reference}', {cents}, {balance}, '2026-06-15', '{NOW}')"
        ),
        format!(
            "INSERT INTO adjustment (account_id, reason_code, amount_cents, effective_on, reference, note, entered_by, account_seq) \
             VALUES ({account}, 'goodwill', {cents}, '2026-06-15', '{reference}', 'x', 'ana@utility.example', {seq})"
        ),
    ]
}

const SAM_IS: (&str, &str, &str) = ("sam@utility.example", "sam@utility.example", "chief sam");

on_both! {
    fn no_row_decides_for_whoever_asked(town: Town) {
        let town = crate::town(town);
        waits(credit(&town, SUE, "A1", "-150.00", "R-1"));
        let sues = login(SUE);
        for who in [(SUE, SUE, "head sue"), (SUE, "other", "other"), ("x", SUE, "other"), ("x", "other", "head sue")] {
            for what in ["approved", "rejected"] {
                held(&town, &decision(&town, what, who, &sues, NOW), "whoever asks does not decide");
            }
        }
        held(&town, &decision(&town, "approved", SAM_IS, &login(ANA), NOW), "only a supervisor or an administrator");
        held(&town, &decision(&town, "approved", (BEN, BEN, "ben clark"), &login(BEN), NOW), "only a supervisor or an administrator");
        held(&town, &decision(&town, "approved", SAM_IS, "NULL", NOW), "");
        held(&town, &decision(&town, "withdrawn", SAM_IS, &login(SAM), NOW), "only whoever asked withdraws");
        held(&town, &decision(&town, "expired", SAM_IS, "NULL", NOW), "has not expired");
        held(&town, &decision(&town, "approved", SAM_IS, &login(SAM), "2026-07-01 13:00:00"), "has expired");
        let other = decision(&town, "approved", SAM_IS, &login(SAM), NOW).replace(&text(&town, "SELECT sha256 AS line FROM approval"), "0000");
        held(&town, &other, "not the one that was seen");
        by_hand(&town, &["UPDATE login SET disabled_at = '2026-06-15 12:30:00' WHERE email = 'sam@utility.example'".to_owned()]).unwrap();
        held(&town, &decision(&town, "approved", SAM_IS, &login(SAM), NOW), "only a supervisor or an administrator");
        assert_eq!(count(&town, "approval_decision"), 0);
    }

    fn requests_and_decisions_are_never_edited_and_made_once(town: Town) {
        let town = crate::town(town);
        waits(credit(&town, ANA, "A1", "-150.00", "R-1"));
        for statement in [
            "UPDATE approval SET amount_cents = -1",
            "UPDATE approval SET asked_by = 'x', asked_person = 'x', asked_name = 'x'",
            "UPDATE approval SET expires_at = '2036-01-01 00:00:00'",
            "UPDATE approval SET sha256 = 'x'",
            "DELETE FROM approval",
        ] {
            held(&town, statement, "approvals: a request is never");
        }
        by_hand(&town, &[decision(&town, "rejected", SAM_IS, &login(SAM), NOW)]).expect("Sam may");
        held(&town, &decision(&town, "approved", (SUE, SUE, "head sue"), &login(SUE), NOW), "");
        for statement in ["UPDATE approval_decision SET decision = 'approved'", "DELETE FROM approval_decision"] {
            held(&town, statement, "approvals: a decision is never");
        }
        assert_eq!(text(&town, "SELECT decision AS line FROM approval_decision"), "rejected");
    }

    fn what_was_asked_for_is_in_the_ledger_as_approved_or_not_at_all(town: Town) {
        let town = crate::town(town);
        waits(credit(&town, ANA, "A1", "-150.00", "R-1"));
        let refused = |rows: Vec<String>| by_hand(&town, &rows).expect_err("it is refused");
        assert!(refused(credit_rows("R-1", -15_000, 1)).contains("it is not approved"));
        by_hand(&town, &[decision(&town, "approved", SAM_IS, &login(SAM), NOW)]).expect("Sam may");
        assert!(refused(credit_rows("R-1", -15_001, 1)).contains("not for this account and amount"), "another amount");
        assert_eq!(count(&town, "financial_transaction"), 0);
        by_hand(&town, &credit_rows("R-1", -15_000, 1)).expect("as approved");
        assert!(refused(credit_rows("R-1", -15_000, 2)).to_lowercase().contains("unique"), "once only");
    }

    fn an_undo_is_the_same_money_once(town: Town) {
        let town = crate::town(town);
        done(credit(&town, ANA, "A1", "-60.00", "C-1"));
        done(credit(&town, ANA, "A1", "-60.00", "C-2"));
        done(takes_back(&town, ANA, "A1", "C-1", "U-1"));
        let id = |reference: &str| format!("(SELECT id FROM adjustment WHERE reference = '{reference}')");
        let link = |undo: &str, of: &str| format!("INSERT INTO adjustment_reversal (adjustment_id, reverses_id) VALUES ({}, {})", id(undo), id(of));
        held(&town, &link("C-2", "C-1"), "same money the other way");
        held(&town, &link("U-1", "C-2"), "");
        held(&town, &link("C-2", "U-1"), "");
        done(ask(&by(&town, ANA), &adjustment(&town, "A1", "reconnection-fee", "60.00", "F-1")));
        held(&town, &link("F-1", "C-1"), "");
        held(&town, &link("F-1", "U-1"), "");
        for statement in ["UPDATE adjustment_reversal SET reverses_id = adjustment_id", "DELETE FROM adjustment_reversal"] {
            held(&town, statement, "an undo is never");
        }
        assert_eq!(count(&town, "adjustment_reversal"), 1);
        let tables = ["policy_version", "refund_payee", "refund_batch", "refund_batch_item"];
        for table in tables {
            let triggers = match town.context.database.backend() {
                Backend::Sqlite => format!("sqlite_master WHERE type = 'trigger' AND tbl_name = '{table}'"),
                Backend::Postgres => format!("pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE c.relname = '{table}' AND NOT t.tgisinternal"),
            };
            assert!(count(&town, &triggers) > 0, "{table} is guarded");
        }
    }
}
