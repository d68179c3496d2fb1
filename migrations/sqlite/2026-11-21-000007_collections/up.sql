-- Collections: disputes, late fees, reminders, pay plans, leak relief, deposits, and the days on which accounts were looked at.

-- operations --------------------------------------------------------------------------------------
-- What a work item is about when an account may have several of its kind, and until when it must be dealt with.
ALTER TABLE todo ADD COLUMN subject_key TEXT;
ALTER TABLE todo ADD COLUMN due_on TEXT;
DROP INDEX todo_account_once;
CREATE UNIQUE INDEX todo_account_once ON todo (kind, account_id) WHERE account_id IS NOT NULL AND status = 'open' AND subject_key IS NULL AND approval_id IS NULL;
CREATE UNIQUE INDEX todo_subject_once ON todo (subject_key) WHERE subject_key IS NOT NULL AND status = 'open';
CREATE INDEX todo_subject ON todo (subject_key) WHERE subject_key IS NOT NULL;

-- ledger ------------------------------------------------------------------------------------------
INSERT INTO gl_account (code, name, kind) VALUES
    ('credit:waived-fees', 'Fees waived', 'expense'),
    ('payable:deposits', 'Deposits held for customers', 'liability'),
    ('expense:deposit-interest', 'Interest on deposits', 'expense');
INSERT INTO adjustment_reason (code, name, gl_code, direction) VALUES
    ('late-fee-taken-back', 'Late fee taken back', 'revenue:fees', 'credit'),
    ('late-fee-waived', 'Late fee waived', 'credit:waived-fees', 'credit'),
    ('leak-taken-back', 'Leak relief taken back', 'credit:leak', 'debit'),
    ('write-off-taken-back', 'Write-off taken back', 'writeoff', 'debit'),
    ('deposit', 'Deposit', 'payable:deposits', 'debit'),
    ('deposit-interest', 'Interest on the deposit', 'expense:deposit-interest', 'credit'),
    ('deposit-applied', 'Deposit applied', 'payable:deposits', 'credit'),
    ('deposit-withdrawn', 'Deposit withdrawn', 'payable:deposits', 'credit');

-- collections -------------------------------------------------------------------------------------
-- The days on which an account was looked at: once a day, whatever is repeated.
CREATE TABLE collection_day (
    account_id INTEGER NOT NULL REFERENCES account (id),
    day_on TEXT NOT NULL,
    looked_at TEXT NOT NULL,
    PRIMARY KEY (account_id, day_on)
) STRICT, WITHOUT ROWID;
CREATE INDEX collection_day_day ON collection_day (day_on);

-- A fee of a bill. One stands for each bill and number; one that was taken back makes room for the right one.
CREATE TABLE late_fee (
    id INTEGER PRIMARY KEY,
    run_id INTEGER NOT NULL,
    account_id INTEGER NOT NULL,
    number INTEGER NOT NULL CHECK (number >= 1),
    -- The last day on which a payment was in time, and what was unpaid then.
    deadline_on TEXT NOT NULL,
    unpaid_cents INTEGER NOT NULL CHECK (unpaid_cents > 0),
    amount_cents INTEGER NOT NULL CHECK (amount_cents > 0),
    policy_sha256 TEXT NOT NULL,
    account_seq INTEGER NOT NULL,
    -- The transaction that took it back, or waived it, and why.
    undone_seq INTEGER,
    undone TEXT CHECK (undone IN ('taken_back', 'waived')),
    because TEXT,
    FOREIGN KEY (run_id, account_id) REFERENCES bill (run_id, account_id),
    FOREIGN KEY (account_id, account_seq) REFERENCES financial_transaction (account_id, account_seq),
    FOREIGN KEY (account_id, undone_seq) REFERENCES financial_transaction (account_id, account_seq),
    CHECK ((undone_seq IS NULL) = (undone IS NULL)),
    CHECK ((undone_seq IS NULL) = (because IS NULL))
) STRICT;
CREATE UNIQUE INDEX late_fee_once ON late_fee (run_id, account_id, number) WHERE undone IS NULL OR undone = 'waived';
CREATE UNIQUE INDEX late_fee_seq ON late_fee (account_id, account_seq);
CREATE TRIGGER late_fee_is_fixed BEFORE UPDATE ON late_fee
WHEN NEW.run_id <> OLD.run_id OR NEW.account_id <> OLD.account_id OR NEW.number <> OLD.number OR NEW.amount_cents <> OLD.amount_cents
    OR NEW.unpaid_cents <> OLD.unpaid_cents OR NEW.deadline_on <> OLD.deadline_on OR NEW.account_seq <> OLD.account_seq
    OR NEW.policy_sha256 <> OLD.policy_sha256 OR NEW.id <> OLD.id OR OLD.undone_seq IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'collections: a fee is never edited, only undone once'); END;
CREATE TRIGGER late_fee_no_delete BEFORE DELETE ON late_fee
BEGIN SELECT RAISE(ABORT, 'collections: a fee is never deleted'); END;

-- A customer questions a bill. One question of a bill is open at a time; it is asked again once.
CREATE TABLE dispute (
    id INTEGER PRIMARY KEY,
    form_key TEXT NOT NULL UNIQUE,
    run_id INTEGER NOT NULL,
    account_id INTEGER NOT NULL,
    -- Which part of the bill; empty for all of it.
    about TEXT NOT NULL,
    reason TEXT NOT NULL,
    words TEXT NOT NULL CHECK (words <> ''),
    asked_by TEXT NOT NULL,
    asked_at TEXT NOT NULL,
    asked_on TEXT NOT NULL,
    due_on TEXT NOT NULL,
    policy_sha256 TEXT NOT NULL,
    -- The question that this one asks again.
    again_of INTEGER UNIQUE REFERENCES dispute (id),
    answer TEXT CHECK (answer IN ('upheld', 'partly', 'declined')),
    answer_words TEXT,
    -- What puts the bill right: an adjustment's reference, or the bill that took its place.
    remedy TEXT,
    answered_by TEXT,
    answered_at TEXT,
    answered_on TEXT,
    -- Until when what is left can be paid without a fee.
    pay_by TEXT,
    FOREIGN KEY (run_id, account_id) REFERENCES bill (run_id, account_id),
    CHECK ((answer IS NULL) = (answered_at IS NULL)),
    CHECK (answer IS NULL OR (answer_words <> '' AND answered_by IS NOT NULL AND answered_on IS NOT NULL AND pay_by IS NOT NULL)),
    CHECK (answer IS NULL OR answer = 'declined' OR remedy IS NOT NULL)
) STRICT;
CREATE UNIQUE INDEX dispute_open_once ON dispute (run_id, account_id) WHERE answer IS NULL;
CREATE INDEX dispute_account ON dispute (account_id, id);
CREATE TRIGGER dispute_is_fixed BEFORE UPDATE ON dispute
WHEN NEW.run_id <> OLD.run_id OR NEW.account_id <> OLD.account_id OR NEW.words <> OLD.words OR NEW.reason <> OLD.reason OR NEW.about <> OLD.about
    OR NEW.asked_by <> OLD.asked_by OR NEW.asked_at <> OLD.asked_at OR NEW.due_on <> OLD.due_on OR NEW.form_key <> OLD.form_key
    OR NEW.again_of IS NOT OLD.again_of OR NEW.id <> OLD.id OR OLD.answer IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'collections: what was asked and answered is never edited'); END;
CREATE TRIGGER dispute_no_delete BEFORE DELETE ON dispute
BEGIN SELECT RAISE(ABORT, 'collections: a dispute is never deleted'); END;

-- Reminders of what an account has overdue: one procedure at a time, step after step.
CREATE TABLE dunning_case (
    id INTEGER PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES account (id),
    opened_on TEXT NOT NULL,
    opened_at TEXT NOT NULL,
    -- When the work item at the end was raised.
    finished_at TEXT,
    closed_at TEXT,
    closed_because TEXT,
    CHECK ((closed_at IS NULL) = (closed_because IS NULL))
) STRICT;
CREATE UNIQUE INDEX dunning_case_once ON dunning_case (account_id) WHERE closed_at IS NULL;
CREATE INDEX dunning_case_account ON dunning_case (account_id, id);
-- The charges that the first step was about: later steps are about these only, and what is open of them.
CREATE TABLE dunning_charge (
    case_id INTEGER NOT NULL REFERENCES dunning_case (id),
    account_id INTEGER NOT NULL,
    account_seq INTEGER NOT NULL,
    PRIMARY KEY (case_id, account_seq),
    FOREIGN KEY (account_id, account_seq) REFERENCES financial_transaction (account_id, account_seq)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER dunning_charge_no_update BEFORE UPDATE ON dunning_charge
BEGIN SELECT RAISE(ABORT, 'collections: what a reminder was about is never edited'); END;
CREATE TRIGGER dunning_charge_no_delete BEFORE DELETE ON dunning_charge
BEGIN SELECT RAISE(ABORT, 'collections: what a reminder was about is never deleted'); END;
CREATE TABLE dunning_step (
    case_id INTEGER NOT NULL REFERENCES dunning_case (id),
    step_no INTEGER NOT NULL CHECK (step_no >= 1),
    name TEXT NOT NULL,
    notice_days INTEGER NOT NULL CHECK (notice_days >= 1),
    overdue_cents INTEGER NOT NULL CHECK (overdue_cents > 0),
    since_on TEXT NOT NULL,
    made_on TEXT NOT NULL,
    made_at TEXT NOT NULL,
    policy_sha256 TEXT NOT NULL,
    -- The notice, and the work item about a letter where no e-mail reaches the customer: when it was sent stands there.
    notice_key TEXT NOT NULL UNIQUE,
    PRIMARY KEY (case_id, step_no)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER dunning_step_no_update BEFORE UPDATE ON dunning_step
BEGIN SELECT RAISE(ABORT, 'collections: a step that was taken is never edited'); END;
CREATE TRIGGER dunning_step_no_delete BEFORE DELETE ON dunning_step
BEGIN SELECT RAISE(ABORT, 'collections: a step that was taken is never deleted'); END;

-- A debt that is paid by instalments: what was open at a position of the ledger is due on new days.
CREATE TABLE pay_plan (
    id INTEGER PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES account (id),
    reference TEXT NOT NULL UNIQUE,
    from_seq INTEGER NOT NULL,
    total_cents INTEGER NOT NULL CHECK (total_cents > 0),
    note TEXT NOT NULL,
    policy_sha256 TEXT NOT NULL,
    grace_days INTEGER NOT NULL,
    agreed_by TEXT NOT NULL,
    agreed_at TEXT NOT NULL,
    agreed_on TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('active', 'kept', 'broken', 'cancelled')),
    ended_on TEXT,
    ended_by TEXT,
    ended_because TEXT,
    FOREIGN KEY (account_id, from_seq) REFERENCES financial_transaction (account_id, account_seq),
    CHECK ((state = 'active') = (ended_on IS NULL))
) STRICT;
CREATE UNIQUE INDEX pay_plan_once ON pay_plan (account_id) WHERE state = 'active';
CREATE INDEX pay_plan_account ON pay_plan (account_id, id);
CREATE TRIGGER pay_plan_is_fixed BEFORE UPDATE ON pay_plan
WHEN NEW.account_id <> OLD.account_id OR NEW.from_seq <> OLD.from_seq OR NEW.total_cents <> OLD.total_cents OR NEW.reference <> OLD.reference
    OR NEW.agreed_by <> OLD.agreed_by OR NEW.agreed_on <> OLD.agreed_on OR NEW.id <> OLD.id OR OLD.state <> 'active'
BEGIN SELECT RAISE(ABORT, 'collections: an agreed plan is never edited, only ended once'); END;
CREATE TRIGGER pay_plan_no_delete BEFORE DELETE ON pay_plan
BEGIN SELECT RAISE(ABORT, 'collections: a plan is never deleted'); END;
CREATE TABLE pay_plan_instalment (
    plan_id INTEGER NOT NULL REFERENCES pay_plan (id),
    number INTEGER NOT NULL CHECK (number >= 1),
    due_on TEXT NOT NULL,
    amount_cents INTEGER NOT NULL CHECK (amount_cents > 0),
    PRIMARY KEY (plan_id, number)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER pay_plan_instalment_no_update BEFORE UPDATE ON pay_plan_instalment
BEGIN SELECT RAISE(ABORT, 'collections: an instalment is never edited'); END;
CREATE TRIGGER pay_plan_instalment_no_delete BEFORE DELETE ON pay_plan_instalment
BEGIN SELECT RAISE(ABORT, 'collections: an instalment is never deleted'); END;

-- Relief after a leak: bills priced anew with less use, and the credit of the difference.
CREATE TABLE leak_relief (
    id INTEGER PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES account (id),
    reference TEXT NOT NULL UNIQUE REFERENCES adjustment (reference),
    given_on TEXT NOT NULL,
    amount_cents INTEGER NOT NULL CHECK (amount_cents > 0),
    evidence TEXT NOT NULL CHECK (evidence <> ''),
    policy_sha256 TEXT NOT NULL,
    given_by TEXT NOT NULL,
    account_seq INTEGER NOT NULL,
    undone_seq INTEGER,
    FOREIGN KEY (account_id, account_seq) REFERENCES financial_transaction (account_id, account_seq),
    FOREIGN KEY (account_id, undone_seq) REFERENCES financial_transaction (account_id, account_seq)
) STRICT;
CREATE INDEX leak_relief_account ON leak_relief (account_id, id);
CREATE TRIGGER leak_relief_is_fixed BEFORE UPDATE ON leak_relief
WHEN NEW.account_id <> OLD.account_id OR NEW.amount_cents <> OLD.amount_cents OR NEW.reference <> OLD.reference OR NEW.given_on <> OLD.given_on
    OR NEW.evidence <> OLD.evidence OR NEW.account_seq <> OLD.account_seq OR NEW.id <> OLD.id OR OLD.undone_seq IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'collections: a relief is never edited, only undone once'); END;
CREATE TRIGGER leak_relief_no_delete BEFORE DELETE ON leak_relief
BEGIN SELECT RAISE(ABORT, 'collections: a relief is never deleted'); END;
-- One segment's part, with the working.
CREATE TABLE leak_relief_part (
    relief_id INTEGER NOT NULL REFERENCES leak_relief (id),
    run_id INTEGER NOT NULL,
    account_id INTEGER NOT NULL,
    segment_no INTEGER NOT NULL,
    usage_milli INTEGER NOT NULL,
    usual_milli INTEGER NOT NULL,
    basis TEXT NOT NULL CHECK (basis IN ('season', 'own')),
    reduced_milli INTEGER NOT NULL CHECK (reduced_milli BETWEEN 0 AND usage_milli),
    was_cents INTEGER NOT NULL,
    is_cents INTEGER NOT NULL,
    credit_cents INTEGER NOT NULL CHECK (credit_cents BETWEEN 0 AND was_cents),
    PRIMARY KEY (relief_id, run_id, segment_no),
    FOREIGN KEY (run_id, account_id, segment_no) REFERENCES bill_segment (run_id, account_id, segment_no)
) STRICT, WITHOUT ROWID;
CREATE INDEX leak_relief_part_segment ON leak_relief_part (run_id, account_id, segment_no);
CREATE TRIGGER leak_relief_part_no_update BEFORE UPDATE ON leak_relief_part
BEGIN SELECT RAISE(ABORT, 'collections: a relief is never edited'); END;
CREATE TRIGGER leak_relief_part_no_delete BEFORE DELETE ON leak_relief_part
BEGIN SELECT RAISE(ABORT, 'collections: a relief is never deleted'); END;

-- Money that secures what an account will owe: charged, paid, and held apart until it is applied.
CREATE TABLE deposit (
    id INTEGER PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES account (id),
    reference TEXT NOT NULL UNIQUE,
    amount_cents INTEGER NOT NULL CHECK (amount_cents > 0),
    taken_on TEXT NOT NULL,
    note TEXT NOT NULL,
    taken_by TEXT NOT NULL,
    -- The charge of it, and the payment that covers the charge.
    charge_seq INTEGER NOT NULL,
    payment_seq INTEGER NOT NULL,
    -- Interest is credited up to here.
    interest_to TEXT NOT NULL,
    applied_seq INTEGER,
    applied_on TEXT,
    applied_because TEXT,
    FOREIGN KEY (account_id, charge_seq) REFERENCES financial_transaction (account_id, account_seq),
    FOREIGN KEY (account_id, payment_seq) REFERENCES financial_transaction (account_id, account_seq),
    FOREIGN KEY (account_id, applied_seq) REFERENCES financial_transaction (account_id, account_seq),
    CHECK ((applied_seq IS NULL) = (applied_on IS NULL)),
    CHECK ((applied_seq IS NULL) = (applied_because IS NULL))
) STRICT;
CREATE INDEX deposit_account ON deposit (account_id, id);
CREATE INDEX deposit_held ON deposit (account_id) WHERE applied_seq IS NULL;
CREATE TRIGGER deposit_is_fixed BEFORE UPDATE ON deposit
WHEN NEW.account_id <> OLD.account_id OR NEW.amount_cents <> OLD.amount_cents OR NEW.reference <> OLD.reference OR NEW.taken_on <> OLD.taken_on
    OR NEW.charge_seq <> OLD.charge_seq OR NEW.payment_seq <> OLD.payment_seq OR NEW.id <> OLD.id OR OLD.applied_seq IS NOT NULL
    OR NEW.interest_to < OLD.interest_to
BEGIN SELECT RAISE(ABORT, 'collections: a deposit is never edited, only applied once'); END;
CREATE TRIGGER deposit_no_delete BEFORE DELETE ON deposit
BEGIN SELECT RAISE(ABORT, 'collections: a deposit is never deleted'); END;
-- Interest that was credited: days that are not credited twice.
CREATE TABLE deposit_interest (
    deposit_id INTEGER NOT NULL REFERENCES deposit (id),
    from_on TEXT NOT NULL,
    to_on TEXT NOT NULL,
    amount_cents INTEGER NOT NULL CHECK (amount_cents >= 0),
    -- None where the days came to nothing.
    account_seq INTEGER,
    CHECK (from_on < to_on),
    PRIMARY KEY (deposit_id, from_on)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER deposit_interest_no_update BEFORE UPDATE ON deposit_interest
BEGIN SELECT RAISE(ABORT, 'collections: credited interest is never edited'); END;
CREATE TRIGGER deposit_interest_no_delete BEFORE DELETE ON deposit_interest
BEGIN SELECT RAISE(ABORT, 'collections: credited interest is never deleted'); END;
