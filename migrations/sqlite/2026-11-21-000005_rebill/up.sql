-- Bills that are cancelled, one or many, and billed anew by a run of their accounts alone.
CREATE TABLE rebill (
    id INTEGER PRIMARY KEY,
    -- The idempotency key: a form that is sent twice asks once.
    token TEXT NOT NULL UNIQUE CHECK (token <> ''),
    kind TEXT NOT NULL CHECK (kind IN ('cancel', 'rebill')),
    reason TEXT NOT NULL CHECK (reason <> ''),
    -- Reads up to and including this day are billed anew.
    through_on TEXT NOT NULL,
    -- The case of overcharges that it mends.
    case_id INTEGER REFERENCES overcharge_case (id),
    status TEXT NOT NULL CHECK (status IN ('cancelling', 'billing', 'done')),
    -- The run that billed the accounts anew.
    run_id INTEGER REFERENCES bill_run (id),
    asked_by TEXT NOT NULL,
    asked_at TEXT NOT NULL,
    finished_at TEXT
) STRICT;
CREATE INDEX rebill_unfinished ON rebill (id) WHERE status <> 'done';
CREATE INDEX rebill_case ON rebill (case_id) WHERE case_id IS NOT NULL;
CREATE TRIGGER rebill_is_fixed BEFORE UPDATE ON rebill
WHEN NEW.token <> OLD.token OR NEW.kind <> OLD.kind OR NEW.reason <> OLD.reason OR NEW.through_on <> OLD.through_on
    OR NEW.case_id IS NOT OLD.case_id OR NEW.asked_by <> OLD.asked_by OR NEW.asked_at <> OLD.asked_at
BEGIN SELECT RAISE(ABORT, 'billing: what was asked to be billed anew is never edited'); END;
CREATE TRIGGER rebill_no_delete BEFORE DELETE ON rebill
BEGIN SELECT RAISE(ABORT, 'billing: what was asked to be billed anew is never deleted'); END;

CREATE TABLE rebill_account (
    rebill_id INTEGER NOT NULL REFERENCES rebill (id),
    account_id INTEGER NOT NULL REFERENCES account (id),
    -- 'refused': nothing was done to it, the note says why. 'cancelled': its bills are, and it waits to be billed anew.
    state TEXT NOT NULL CHECK (state IN ('open', 'refused', 'cancelled', 'billed')),
    -- What the bills to be cancelled charge, and what billing them anew was foreseen to charge.
    before_cents INTEGER NOT NULL,
    expected_cents INTEGER NOT NULL,
    segments INTEGER NOT NULL,
    note TEXT NOT NULL,
    PRIMARY KEY (rebill_id, account_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX rebill_account_waiting ON rebill_account (account_id) WHERE state = 'cancelled';
CREATE TRIGGER rebill_account_is_fixed BEFORE UPDATE ON rebill_account
WHEN NEW.before_cents <> OLD.before_cents OR NEW.expected_cents <> OLD.expected_cents OR NEW.rebill_id <> OLD.rebill_id
    OR NEW.account_id <> OLD.account_id OR OLD.state IN ('refused', 'billed') OR (OLD.state = 'cancelled' AND NEW.state <> 'billed')
BEGIN SELECT RAISE(ABORT, 'billing: what was foreseen for an account is never edited'); END;
CREATE TRIGGER rebill_account_no_delete BEFORE DELETE ON rebill_account
BEGIN SELECT RAISE(ABORT, 'billing: what was asked to be billed anew is never deleted'); END;

CREATE TABLE rebill_bill (
    rebill_id INTEGER NOT NULL,
    run_id INTEGER NOT NULL,
    account_id INTEGER NOT NULL,
    -- 1 for a bill that was named, 0 for a later one that stands on such a bill.
    asked INTEGER NOT NULL CHECK (asked IN (0, 1)),
    state TEXT NOT NULL CHECK (state IN ('open', 'refused', 'cancelled')),
    PRIMARY KEY (rebill_id, run_id, account_id),
    FOREIGN KEY (rebill_id, account_id) REFERENCES rebill_account (rebill_id, account_id),
    FOREIGN KEY (run_id, account_id) REFERENCES bill (run_id, account_id)
) STRICT, WITHOUT ROWID;
-- A bill is cancelled once.
CREATE UNIQUE INDEX rebill_bill_once ON rebill_bill (run_id, account_id) WHERE state <> 'refused';
CREATE TRIGGER rebill_bill_is_fixed BEFORE UPDATE ON rebill_bill
WHEN NEW.rebill_id <> OLD.rebill_id OR NEW.run_id <> OLD.run_id OR NEW.account_id <> OLD.account_id OR NEW.asked <> OLD.asked OR OLD.state <> 'open'
BEGIN SELECT RAISE(ABORT, 'billing: what was asked to be billed anew is never edited'); END;
CREATE TRIGGER rebill_bill_no_delete BEFORE DELETE ON rebill_bill
BEGIN SELECT RAISE(ABORT, 'billing: what was asked to be billed anew is never deleted'); END;
