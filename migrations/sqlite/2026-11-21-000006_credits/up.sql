-- Credits and refunds: the dated policy, the second person's approval, reversals, payouts and cheques in batches.

-- policy ------------------------------------------------------------------------------------------
CREATE TABLE policy_version (
    id INTEGER PRIMARY KEY,
    effective_on TEXT NOT NULL,
    revision INTEGER NOT NULL CHECK (revision >= 1),
    sha256 TEXT NOT NULL,
    source_name TEXT NOT NULL,
    source TEXT NOT NULL,
    imported_at TEXT NOT NULL,
    imported_by TEXT NOT NULL,
    UNIQUE (effective_on, revision)
) STRICT;
CREATE TRIGGER policy_version_no_update BEFORE UPDATE ON policy_version
BEGIN SELECT RAISE(ABORT, 'policy versions are never edited'); END;
CREATE TRIGGER policy_version_no_delete BEFORE DELETE ON policy_version
BEGIN SELECT RAISE(ABORT, 'policy versions are never deleted'); END;

-- approvals ---------------------------------------------------------------------------------------
-- What one person asks for and another decides. Neither the request nor the decision is ever edited.
CREATE TABLE approval (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    -- None for what concerns many accounts.
    account_id INTEGER REFERENCES account (id),
    -- How the account's balance moves: negative is a credit.
    amount_cents INTEGER NOT NULL,
    -- The idempotency key; what is executed carries it, too.
    reference TEXT NOT NULL UNIQUE,
    subject TEXT NOT NULL,
    reason TEXT NOT NULL,
    note TEXT NOT NULL,
    -- What will be done, as JSON.
    act TEXT NOT NULL,
    -- The hash of everything above and of who asked: a decision names it, so that it is about this and nothing else.
    sha256 TEXT NOT NULL,
    -- Why a second person is needed, and by which policy.
    why TEXT NOT NULL,
    policy_sha256 TEXT NOT NULL,
    asked_by TEXT NOT NULL,
    -- Who that is, whatever the sign-in: the address without case and tags, and the name.
    asked_person TEXT NOT NULL CHECK (asked_person <> ''),
    asked_name TEXT NOT NULL CHECK (asked_name <> ''),
    asked_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    CHECK (asked_at < expires_at)
) STRICT;
CREATE INDEX approval_account ON approval (account_id, id);
CREATE TRIGGER approval_no_update BEFORE UPDATE ON approval
BEGIN SELECT RAISE(ABORT, 'approvals: a request is never edited'); END;
CREATE TRIGGER approval_no_delete BEFORE DELETE ON approval
BEGIN SELECT RAISE(ABORT, 'approvals: a request is never deleted'); END;

CREATE TABLE approval_decision (
    -- Decided once.
    approval_id INTEGER PRIMARY KEY REFERENCES approval (id),
    decision TEXT NOT NULL CHECK (decision IN ('approved', 'rejected', 'withdrawn', 'expired')),
    -- What the decider saw.
    sha256 TEXT NOT NULL,
    decided_by TEXT NOT NULL,
    decided_person TEXT NOT NULL CHECK (decided_person <> ''),
    decided_name TEXT NOT NULL CHECK (decided_name <> ''),
    login_id INTEGER REFERENCES login (id),
    -- 'page' is a session with both factors, 'command_line' a password and a code given for this decision,
    -- 'name' somebody on the command line who only says who they are and takes back what they asked for, 'program' nobody.
    channel TEXT NOT NULL CHECK (channel IN ('page', 'command_line', 'name', 'program')),
    decided_at TEXT NOT NULL,
    note TEXT NOT NULL,
    CHECK (decision NOT IN ('approved', 'rejected') OR (login_id IS NOT NULL AND channel IN ('page', 'command_line')))
) STRICT;
CREATE TRIGGER approval_decision_holds BEFORE INSERT ON approval_decision
BEGIN
    SELECT RAISE(ABORT, 'approvals: the request is not the one that was seen')
    WHERE NOT EXISTS (SELECT 1 FROM approval WHERE id = NEW.approval_id AND sha256 = NEW.sha256);
    SELECT RAISE(ABORT, 'approvals: whoever asks does not decide')
    WHERE NEW.decision IN ('approved', 'rejected') AND EXISTS (SELECT 1 FROM approval
        WHERE id = NEW.approval_id AND (asked_person = NEW.decided_person OR asked_name = NEW.decided_name OR asked_by = NEW.decided_by));
    SELECT RAISE(ABORT, 'approvals: only a supervisor or an administrator who may sign in decides')
    WHERE NEW.decision IN ('approved', 'rejected') AND NOT EXISTS (SELECT 1 FROM login
        WHERE id = NEW.login_id AND email = NEW.decided_by AND role IN ('supervisor', 'administrator') AND disabled_at IS NULL);
    SELECT RAISE(ABORT, 'approvals: only whoever asked withdraws')
    WHERE NEW.decision = 'withdrawn' AND NOT EXISTS (SELECT 1 FROM approval WHERE id = NEW.approval_id AND asked_person = NEW.decided_person);
    SELECT RAISE(ABORT, 'approvals: the request has expired')
    WHERE NEW.decision = 'approved' AND EXISTS (SELECT 1 FROM approval WHERE id = NEW.approval_id AND expires_at < NEW.decided_at);
    SELECT RAISE(ABORT, 'approvals: the request has not expired')
    WHERE NEW.decision = 'expired' AND EXISTS (SELECT 1 FROM approval WHERE id = NEW.approval_id AND expires_at >= NEW.decided_at);
END;
CREATE TRIGGER approval_decision_no_update BEFORE UPDATE ON approval_decision
BEGIN SELECT RAISE(ABORT, 'approvals: a decision is never edited'); END;
CREATE TRIGGER approval_decision_no_delete BEFORE DELETE ON approval_decision
BEGIN SELECT RAISE(ABORT, 'approvals: a decision is never deleted'); END;
ALTER TABLE todo ADD COLUMN approval_id INTEGER REFERENCES approval (id);
CREATE UNIQUE INDEX todo_approval_once ON todo (approval_id) WHERE approval_id IS NOT NULL AND status = 'open';
-- An account may have several requests that wait.
DROP INDEX todo_account_once;
CREATE UNIQUE INDEX todo_account_once ON todo (kind, account_id) WHERE account_id IS NOT NULL AND status = 'open' AND approval_id IS NULL;

-- ledger ------------------------------------------------------------------------------------------
CREATE INDEX adjustment_account ON adjustment (account_id, account_seq);
-- What was asked for is in the ledger as it was approved, or not at all.
CREATE TRIGGER adjustment_is_approved BEFORE INSERT ON adjustment
WHEN EXISTS (SELECT 1 FROM approval WHERE reference = NEW.reference)
BEGIN
    SELECT RAISE(ABORT, 'approvals: it is not approved, or not for this account and amount')
    WHERE NOT EXISTS (SELECT 1 FROM approval a JOIN approval_decision d ON d.approval_id = a.id AND d.decision = 'approved'
        WHERE a.reference = NEW.reference AND a.account_id = NEW.account_id AND a.amount_cents = NEW.amount_cents);
END;
-- An adjustment that undoes another one: at most one, and for the same money.
CREATE TABLE adjustment_reversal (
    adjustment_id INTEGER PRIMARY KEY REFERENCES adjustment (id),
    reverses_id INTEGER NOT NULL REFERENCES adjustment (id),
    CHECK (adjustment_id <> reverses_id)
) STRICT;
CREATE UNIQUE INDEX adjustment_reversed_once ON adjustment_reversal (reverses_id);
CREATE TRIGGER adjustment_reversal_fits BEFORE INSERT ON adjustment_reversal
BEGIN
    SELECT RAISE(ABORT, 'ledger: an undo is the same money the other way, on the same account')
    WHERE NOT EXISTS (SELECT 1 FROM adjustment n JOIN adjustment o ON o.id = NEW.reverses_id
        WHERE n.id = NEW.adjustment_id AND n.account_id = o.account_id AND n.amount_cents = -o.amount_cents AND n.account_seq > o.account_seq);
    SELECT RAISE(ABORT, 'ledger: an undo is not undone')
    WHERE EXISTS (SELECT 1 FROM adjustment_reversal WHERE adjustment_id = NEW.reverses_id);
END;
CREATE TRIGGER adjustment_reversal_no_update BEFORE UPDATE ON adjustment_reversal
BEGIN SELECT RAISE(ABORT, 'ledger: an undo is never edited'); END;
CREATE TRIGGER adjustment_reversal_no_delete BEFORE DELETE ON adjustment_reversal
BEGIN SELECT RAISE(ABORT, 'ledger: an undo is never deleted'); END;

-- payments: payouts and cheques -------------------------------------------------------------------
-- To whom a payout goes. It is part of what was approved and never edited.
CREATE TABLE refund_payee (
    refund_id INTEGER PRIMARY KEY REFERENCES refund (id),
    medium TEXT NOT NULL CHECK (medium IN ('payout', 'cheque')),
    name TEXT NOT NULL CHECK (name <> ''),
    -- Where a cheque is sent.
    address TEXT,
    -- Routing number or BIC, and the account or IBAN.
    bank_code TEXT,
    bank_account TEXT,
    account_kind TEXT CHECK (account_kind IN ('checking', 'savings')),
    CHECK ((medium = 'payout') = (bank_account IS NOT NULL))
) STRICT;
CREATE TRIGGER refund_payee_no_update BEFORE UPDATE ON refund_payee
BEGIN SELECT RAISE(ABORT, 'refunds: a payee is never edited'); END;
CREATE TRIGGER refund_payee_no_delete BEFORE DELETE ON refund_payee
BEGIN SELECT RAISE(ABORT, 'refunds: a payee is never deleted'); END;

-- A bank may carry several payouts out under one reference of its own.
DROP INDEX refund_provider_ref_once;
CREATE UNIQUE INDEX refund_provider_ref_once ON refund (provider, merchant, provider_ref, part)
    WHERE provider_ref IS NOT NULL AND superseded_seq IS NULL AND way <> 'payout';

-- A refund that failed is in the account again, and out of it when it went through after all: one turn for each change, odd ones
-- give back.
CREATE TABLE refund_turn (
    refund_id INTEGER NOT NULL REFERENCES refund (id),
    turn INTEGER NOT NULL CHECK (turn BETWEEN 1 AND 50),
    account_id INTEGER NOT NULL,
    account_seq INTEGER NOT NULL,
    -- 1: one person said so, with no movement at the bank and nobody's approval.
    alone INTEGER NOT NULL CHECK (alone IN (0, 1)),
    PRIMARY KEY (refund_id, turn),
    UNIQUE (account_id, account_seq),
    FOREIGN KEY (account_id, account_seq) REFERENCES financial_transaction (account_id, account_seq)
) STRICT, WITHOUT ROWID;
-- Turns of before were known by their references only. One that is another refund's own charge is none.
INSERT INTO refund_turn (refund_id, turn, account_id, account_seq, alone)
WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 50)
SELECT r.id, number.n, r.account_id, a.account_seq, 0 FROM refund r CROSS JOIN number
    JOIN adjustment a ON a.reference = r.token || '/' || number.n AND a.account_id = r.account_id
        AND a.reason_code = CASE WHEN number.n % 2 = 1 THEN 'refund-failed' ELSE 'refund' END
WHERE NOT EXISTS (SELECT 1 FROM refund o WHERE o.account_id = a.account_id AND o.account_seq = a.account_seq);
CREATE TRIGGER refund_turn_fits BEFORE INSERT ON refund_turn
BEGIN
    SELECT RAISE(ABORT, 'refunds: a turn is the next one, and the refund''s own money')
    WHERE NEW.turn <> 1 + (SELECT count(*) FROM refund_turn WHERE refund_id = NEW.refund_id)
        OR NOT EXISTS (SELECT 1 FROM refund r JOIN adjustment a ON a.account_id = r.account_id AND a.account_seq = NEW.account_seq
            WHERE r.id = NEW.refund_id AND r.account_id = NEW.account_id
                AND a.reason_code = CASE WHEN NEW.turn % 2 = 1 THEN 'refund-failed' ELSE 'refund' END
                AND a.amount_cents = CASE WHEN NEW.turn % 2 = 1 THEN -r.amount_cents ELSE r.amount_cents END);
END;
CREATE TRIGGER refund_turn_no_update BEFORE UPDATE ON refund_turn
BEGIN SELECT RAISE(ABORT, 'refunds: a turn is never edited'); END;
CREATE TRIGGER refund_turn_no_delete BEFORE DELETE ON refund_turn
BEGIN SELECT RAISE(ABORT, 'refunds: a turn is never deleted'); END;

-- A file of payouts or cheques as it was given to the bank: one for each way and day.
CREATE TABLE refund_batch (
    id INTEGER PRIMARY KEY,
    medium TEXT NOT NULL CHECK (medium IN ('payout', 'cheque')),
    format TEXT NOT NULL,
    made_on TEXT NOT NULL,
    made_at TEXT NOT NULL,
    made_by TEXT NOT NULL,
    items INTEGER NOT NULL CHECK (items >= 1),
    total_cents INTEGER NOT NULL CHECK (total_cents >= 0),
    sha256 TEXT NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (medium, made_on)
) STRICT;
CREATE TABLE refund_batch_item (
    batch_id INTEGER NOT NULL REFERENCES refund_batch (id),
    line_no INTEGER NOT NULL CHECK (line_no >= 1),
    refund_id INTEGER NOT NULL REFERENCES refund (id),
    -- 'void' tells the bank not to pay a cheque that an earlier batch issued.
    what TEXT NOT NULL CHECK (what IN ('pay', 'void')),
    amount_cents INTEGER NOT NULL CHECK (amount_cents > 0),
    cheque_number INTEGER,
    PRIMARY KEY (batch_id, line_no)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX refund_batch_item_once ON refund_batch_item (refund_id, what);
CREATE UNIQUE INDEX refund_batch_item_cheque ON refund_batch_item (cheque_number, what) WHERE cheque_number IS NOT NULL;
CREATE TRIGGER refund_batch_item_fits BEFORE INSERT ON refund_batch_item
BEGIN
    SELECT RAISE(ABORT, 'refunds: a batch pays what the refund is, by the way that it goes')
    WHERE NOT EXISTS (SELECT 1 FROM refund r JOIN refund_payee p ON p.refund_id = r.id JOIN refund_batch b ON b.id = NEW.batch_id
        WHERE r.id = NEW.refund_id AND r.amount_cents = NEW.amount_cents AND p.medium = b.medium);
END;
CREATE TRIGGER refund_batch_no_update BEFORE UPDATE ON refund_batch
BEGIN SELECT RAISE(ABORT, 'refunds: a batch is never edited'); END;
CREATE TRIGGER refund_batch_no_delete BEFORE DELETE ON refund_batch
BEGIN SELECT RAISE(ABORT, 'refunds: a batch is never deleted'); END;
CREATE TRIGGER refund_batch_item_no_update BEFORE UPDATE ON refund_batch_item
BEGIN SELECT RAISE(ABORT, 'refunds: a batch is never edited'); END;
CREATE TRIGGER refund_batch_item_no_delete BEFORE DELETE ON refund_batch_item
BEGIN SELECT RAISE(ABORT, 'refunds: a batch is never deleted'); END;
