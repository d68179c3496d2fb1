-- The first street of the house: customers, metering, rates, ledger, payments, billing, operations.
-- Times are UTC text, dates are the utility's own; money is whole cents; a quantity is thousandths of its unit.

-- customers ---------------------------------------------------------------------------------------
CREATE TABLE person (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    email TEXT
) STRICT;

CREATE TABLE account (
    id INTEGER PRIMARY KEY,
    number TEXT NOT NULL UNIQUE CHECK (length(number) BETWEEN 1 AND 64),
    person_id INTEGER NOT NULL REFERENCES person (id)
) STRICT;

CREATE TABLE premise (
    id INTEGER PRIMARY KEY,
    address TEXT NOT NULL
) STRICT;

CREATE TABLE service_point (
    id INTEGER PRIMARY KEY,
    code TEXT NOT NULL UNIQUE CHECK (length(code) BETWEEN 1 AND 64),
    premise_id INTEGER NOT NULL REFERENCES premise (id)
) STRICT;

CREATE TABLE service_agreement (
    id INTEGER PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES account (id),
    service_point_id INTEGER NOT NULL REFERENCES service_point (id),
    schedule TEXT NOT NULL,
    rate_class TEXT NOT NULL,
    cycle TEXT NOT NULL,
    attributes TEXT NOT NULL,
    start_on TEXT,
    end_on TEXT,
    CHECK (start_on IS NULL OR end_on IS NULL OR start_on <= end_on)
) STRICT;
CREATE INDEX service_agreement_account ON service_agreement (account_id, cycle);
CREATE UNIQUE INDEX service_agreement_open ON service_agreement (service_point_id) WHERE end_on IS NULL;
CREATE INDEX service_agreement_service_point ON service_agreement (service_point_id);

-- metering ----------------------------------------------------------------------------------------
CREATE TABLE meter (
    id INTEGER PRIMARY KEY,
    serial TEXT NOT NULL UNIQUE CHECK (length(serial) BETWEEN 1 AND 64)
) STRICT;

CREATE TABLE register (
    id INTEGER PRIMARY KEY,
    meter_id INTEGER NOT NULL REFERENCES meter (id),
    code TEXT NOT NULL,
    digits INTEGER NOT NULL CHECK (digits BETWEEN 1 AND 12),
    multiplier_milli INTEGER NOT NULL CHECK (multiplier_milli > 0),
    unit TEXT,
    UNIQUE (meter_id, code)
) STRICT;

CREATE TABLE installation (
    id INTEGER PRIMARY KEY,
    meter_id INTEGER NOT NULL REFERENCES meter (id),
    service_point_id INTEGER NOT NULL REFERENCES service_point (id),
    installed_on TEXT,
    removed_on TEXT,
    CHECK (installed_on IS NULL OR removed_on IS NULL OR installed_on <= removed_on)
) STRICT;
CREATE INDEX installation_service_point ON installation (service_point_id);
CREATE INDEX installation_meter ON installation (meter_id);
CREATE UNIQUE INDEX installation_meter_open ON installation (meter_id) WHERE removed_on IS NULL;
CREATE UNIQUE INDEX installation_point_open ON installation (service_point_id) WHERE removed_on IS NULL;

CREATE TABLE meter_read (
    id INTEGER PRIMARY KEY,
    register_id INTEGER NOT NULL REFERENCES register (id),
    read_on TEXT NOT NULL,
    reading_milli INTEGER NOT NULL CHECK (reading_milli >= 0),
    kind TEXT NOT NULL CHECK (kind IN ('actual', 'estimated', 'customer', 'final', 'removal', 'installation')),
    status TEXT NOT NULL CHECK (status IN ('accepted', 'held', 'rejected'))
) STRICT;
CREATE UNIQUE INDEX meter_read_once ON meter_read (register_id, read_on) WHERE status <> 'rejected';
CREATE INDEX meter_read_rejected ON meter_read (register_id) WHERE status = 'rejected';

-- operations --------------------------------------------------------------------------------------
CREATE TABLE todo (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('open', 'released', 'rejected')),
    agreement_id INTEGER REFERENCES service_agreement (id),
    meter_read_id INTEGER REFERENCES meter_read (id),
    period_start_on TEXT,
    period_end_on TEXT,
    amount_cents INTEGER,
    reason TEXT NOT NULL,
    raised_at TEXT NOT NULL,
    resolved_at TEXT,
    resolved_by TEXT,
    note TEXT
) STRICT;
CREATE INDEX todo_open ON todo (kind, id) WHERE status = 'open';
CREATE INDEX todo_agreement ON todo (agreement_id);
CREATE UNIQUE INDEX todo_read_once ON todo (meter_read_id) WHERE meter_read_id IS NOT NULL;
CREATE UNIQUE INDEX todo_bill_once ON todo (agreement_id, period_start_on, period_end_on)
    WHERE kind = 'bill_limit' AND status = 'open';

CREATE TABLE lease (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    token INTEGER NOT NULL,
    expires_at TEXT NOT NULL
) STRICT;

CREATE TABLE audit_event (
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE TRIGGER audit_event_no_update BEFORE UPDATE ON audit_event
BEGIN SELECT RAISE(ABORT, 'audit events are append-only'); END;
CREATE TRIGGER audit_event_no_delete BEFORE DELETE ON audit_event
BEGIN SELECT RAISE(ABORT, 'audit events are append-only'); END;

-- rates -------------------------------------------------------------------------------------------
CREATE TABLE tariff_version (
    id INTEGER PRIMARY KEY,
    schedule TEXT NOT NULL,
    effective_on TEXT NOT NULL,
    revision INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    source_name TEXT NOT NULL,
    source TEXT NOT NULL,
    imported_at TEXT NOT NULL,
    UNIQUE (schedule, effective_on, revision)
) STRICT;
CREATE TRIGGER tariff_version_no_update BEFORE UPDATE ON tariff_version
BEGIN SELECT RAISE(ABORT, 'tariff versions are never edited'); END;
CREATE TRIGGER tariff_version_no_delete BEFORE DELETE ON tariff_version
BEGIN SELECT RAISE(ABORT, 'tariff versions are never deleted'); END;

-- ledger ------------------------------------------------------------------------------------------
CREATE TABLE gl_account (
    code TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('asset', 'liability', 'equity', 'income', 'expense'))
) STRICT, WITHOUT ROWID;
INSERT INTO gl_account (code, name, kind) VALUES
    ('receivable', 'Customer accounts receivable', 'asset'),
    ('clearing:cash', 'Cash received, to be banked', 'asset'),
    ('clearing:cheque', 'Cheques received, to be banked', 'asset'),
    ('clearing:card', 'Card receipts to be settled', 'asset'),
    ('clearing:transfer', 'Bank transfers received', 'asset'),
    ('revenue:service', 'Revenue from services', 'income'),
    ('revenue:fees', 'Fees charged', 'income'),
    ('credit:goodwill', 'Goodwill credits given', 'expense'),
    ('credit:billing', 'Billing errors credited', 'income'),
    ('credit:leak', 'Leak relief given', 'expense'),
    ('writeoff', 'Debts written off', 'expense'),
    ('opening', 'Balances brought in from an earlier system', 'equity');

CREATE TABLE posting (
    transaction_id INTEGER NOT NULL,
    posting_no INTEGER NOT NULL,
    gl_code TEXT NOT NULL REFERENCES gl_account (code),
    amount_cents INTEGER NOT NULL,
    PRIMARY KEY (transaction_id, posting_no),
    FOREIGN KEY (transaction_id) REFERENCES financial_transaction (id) DEFERRABLE INITIALLY DEFERRED
) STRICT, WITHOUT ROWID;

CREATE TABLE financial_transaction (
    id INTEGER PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES account (id),
    account_seq INTEGER NOT NULL CHECK (account_seq >= 1),
    kind TEXT NOT NULL CHECK (kind IN ('bill', 'bill_reversal', 'payment', 'payment_reversal', 'adjustment')),
    source TEXT NOT NULL,
    amount_cents INTEGER NOT NULL,
    balance_after_cents INTEGER NOT NULL,
    effective_on TEXT NOT NULL,
    posted_at TEXT NOT NULL,
    UNIQUE (account_id, account_seq)
) STRICT;

-- P1, P3: a row follows its predecessor without a gap, carries its balance on, and arrives with postings
-- that sum to zero and move the receivable by its own amount. The postings come first, so that this
-- trigger can see them; the deferred key above keeps a posting from staying without its transaction.
CREATE TRIGGER financial_transaction_chain BEFORE INSERT ON financial_transaction
BEGIN
    SELECT RAISE(ABORT, 'ledger: balance does not follow the account''s previous transaction')
    WHERE NEW.balance_after_cents - NEW.amount_cents IS NOT
        CASE WHEN NEW.account_seq = 1 THEN 0 ELSE (
            SELECT balance_after_cents FROM financial_transaction
            WHERE account_id = NEW.account_id AND account_seq = NEW.account_seq - 1) END;
    SELECT RAISE(ABORT, 'ledger: postings do not sum to zero or miss the amount')
    WHERE (SELECT count(*) >= 2 AND sum(amount_cents) = 0
            AND coalesce(sum(amount_cents) FILTER (WHERE gl_code = 'receivable'), 0) = NEW.amount_cents
        FROM posting WHERE transaction_id = NEW.id) IS NOT 1;
END;
CREATE TRIGGER posting_closed BEFORE INSERT ON posting
WHEN EXISTS (SELECT 1 FROM financial_transaction WHERE id = NEW.transaction_id)
BEGIN SELECT RAISE(ABORT, 'ledger: the transaction is closed, nothing is added to it'); END;
CREATE TRIGGER financial_transaction_no_update BEFORE UPDATE ON financial_transaction
BEGIN SELECT RAISE(ABORT, 'ledger: financial transactions are append-only'); END;
CREATE TRIGGER financial_transaction_no_delete BEFORE DELETE ON financial_transaction
BEGIN SELECT RAISE(ABORT, 'ledger: financial transactions are append-only'); END;
CREATE TRIGGER posting_no_update BEFORE UPDATE ON posting
BEGIN SELECT RAISE(ABORT, 'ledger: postings are append-only'); END;
CREATE TRIGGER posting_no_delete BEFORE DELETE ON posting
BEGIN SELECT RAISE(ABORT, 'ledger: postings are append-only'); END;

CREATE TABLE adjustment_reason (
    code TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    gl_code TEXT NOT NULL REFERENCES gl_account (code),
    direction TEXT NOT NULL CHECK (direction IN ('credit', 'debit', 'either'))
) STRICT, WITHOUT ROWID;
INSERT INTO adjustment_reason (code, name, gl_code, direction) VALUES
    ('goodwill', 'Goodwill credit', 'credit:goodwill', 'credit'),
    ('billing-error', 'Correction of a billing error', 'credit:billing', 'either'),
    ('leak', 'Leak relief', 'credit:leak', 'credit'),
    ('write-off', 'Debt written off', 'writeoff', 'credit'),
    ('returned-payment-fee', 'Fee for a returned payment', 'revenue:fees', 'debit'),
    ('late-fee', 'Late fee', 'revenue:fees', 'debit'),
    ('reconnection-fee', 'Fee for reconnection', 'revenue:fees', 'debit'),
    ('opening-balance', 'Balance brought in from an earlier system', 'opening', 'either');

CREATE TABLE adjustment (
    id INTEGER PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES account (id),
    reason_code TEXT NOT NULL REFERENCES adjustment_reason (code),
    amount_cents INTEGER NOT NULL CHECK (amount_cents <> 0),
    effective_on TEXT NOT NULL,
    reference TEXT NOT NULL UNIQUE,
    note TEXT NOT NULL,
    entered_by TEXT NOT NULL,
    account_seq INTEGER NOT NULL,
    FOREIGN KEY (account_id, account_seq) REFERENCES financial_transaction (account_id, account_seq)
) STRICT;

CREATE TRIGGER adjustment_no_update BEFORE UPDATE ON adjustment
BEGIN SELECT RAISE(ABORT, 'ledger: adjustments are append-only'); END;
CREATE TRIGGER adjustment_no_delete BEFORE DELETE ON adjustment
BEGIN SELECT RAISE(ABORT, 'ledger: adjustments are append-only'); END;

-- payments ----------------------------------------------------------------------------------------
CREATE TABLE payment (
    id INTEGER PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES account (id),
    amount_cents INTEGER NOT NULL CHECK (amount_cents > 0),
    effective_on TEXT NOT NULL,
    tender TEXT NOT NULL CHECK (tender IN ('cash', 'cheque', 'card', 'transfer')),
    provider TEXT NOT NULL,
    merchant TEXT NOT NULL,
    provider_ref TEXT,
    account_seq INTEGER NOT NULL,
    returned_seq INTEGER,
    returned_on TEXT,
    return_reason TEXT,
    FOREIGN KEY (account_id, account_seq) REFERENCES financial_transaction (account_id, account_seq),
    FOREIGN KEY (account_id, returned_seq) REFERENCES financial_transaction (account_id, account_seq),
    CHECK ((returned_seq IS NULL) = (returned_on IS NULL))
) STRICT;
CREATE UNIQUE INDEX payment_provider_ref_once ON payment (provider, merchant, provider_ref) WHERE provider_ref IS NOT NULL;
CREATE UNIQUE INDEX payment_account_seq ON payment (account_id, account_seq);
CREATE TRIGGER payment_money_is_fixed BEFORE UPDATE ON payment
WHEN NEW.account_id <> OLD.account_id OR NEW.amount_cents <> OLD.amount_cents OR NEW.effective_on <> OLD.effective_on
    OR NEW.account_seq <> OLD.account_seq OR (OLD.returned_seq IS NOT NULL AND NEW.returned_seq IS NOT OLD.returned_seq)
    OR NEW.provider <> OLD.provider OR NEW.merchant <> OLD.merchant OR NEW.tender <> OLD.tender OR NEW.id <> OLD.id
    OR (OLD.provider_ref IS NOT NULL AND NEW.provider_ref IS NOT OLD.provider_ref)
BEGIN SELECT RAISE(ABORT, 'payments: money, account and reference of a payment are never edited'); END;
CREATE TRIGGER payment_no_delete BEFORE DELETE ON payment
BEGIN SELECT RAISE(ABORT, 'payments are never deleted'); END;

-- billing -----------------------------------------------------------------------------------------
CREATE TABLE bill_run (
    id INTEGER PRIMARY KEY,
    cycle TEXT NOT NULL,
    through_on TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pricing', 'review', 'gates_failed', 'issuing', 'issued', 'discarded', 'rolling_back', 'rolled_back')),
    engine_version TEXT NOT NULL,
    started_at TEXT NOT NULL,
    bill_on TEXT NOT NULL,
    due_on TEXT NOT NULL,
    gates TEXT NOT NULL,
    approved_by TEXT,
    finished_at TEXT
) STRICT;
-- One unfinished run for a cycle: what a kill left is resumed, never started beside.
CREATE UNIQUE INDEX bill_run_unfinished ON bill_run (cycle)
    WHERE status IN ('pricing', 'review', 'gates_failed', 'issuing', 'rolling_back');

CREATE TABLE bill_run_chunk (
    run_id INTEGER NOT NULL REFERENCES bill_run (id),
    chunk_no INTEGER NOT NULL,
    first_account_id INTEGER NOT NULL,
    last_account_id INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'priced', 'issued', 'rolled_back')),
    due INTEGER NOT NULL,
    billed INTEGER NOT NULL,
    held INTEGER NOT NULL,
    excluded INTEGER NOT NULL,
    bills INTEGER NOT NULL,
    segments INTEGER NOT NULL,
    total_cents INTEGER NOT NULL,
    compared INTEGER NOT NULL,
    risen INTEGER NOT NULL,
    recomputed INTEGER NOT NULL,
    recomputed_wrong INTEGER NOT NULL,
    unapplied INTEGER NOT NULL,
    PRIMARY KEY (run_id, chunk_no)
) STRICT, WITHOUT ROWID;

CREATE TABLE bill_run_exception (
    run_id INTEGER NOT NULL REFERENCES bill_run (id),
    agreement_id INTEGER NOT NULL REFERENCES service_agreement (id),
    outcome TEXT NOT NULL CHECK (outcome IN ('held', 'excluded')),
    reason TEXT NOT NULL,
    PRIMARY KEY (run_id, agreement_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE bill_segment (
    run_id INTEGER NOT NULL REFERENCES bill_run (id),
    account_id INTEGER NOT NULL,
    segment_no INTEGER NOT NULL,
    agreement_id INTEGER NOT NULL REFERENCES service_agreement (id),
    period_start_on TEXT NOT NULL,
    period_end_on TEXT NOT NULL,
    usage_milli INTEGER NOT NULL CHECK (usage_milli >= 0),
    total_cents INTEGER NOT NULL,
    lines TEXT NOT NULL,
    inputs TEXT NOT NULL,
    live INTEGER NOT NULL CHECK (live IN (0, 1)),
    CHECK (period_start_on < period_end_on),
    PRIMARY KEY (run_id, account_id, segment_no)
) STRICT, WITHOUT ROWID;
-- Two bills for one agreement and period are impossible: the same start by the index, an overlap by the trigger.
CREATE UNIQUE INDEX bill_segment_period ON bill_segment (agreement_id, period_start_on) WHERE live = 1;
CREATE TRIGGER bill_segment_overlap BEFORE INSERT ON bill_segment WHEN NEW.live = 1
BEGIN
    SELECT RAISE(ABORT, 'billing: the agreement is already billed for a part of this period')
    WHERE (SELECT period_end_on FROM bill_segment
            WHERE agreement_id = NEW.agreement_id AND live = 1 AND period_start_on < NEW.period_end_on
            ORDER BY period_start_on DESC LIMIT 1) > NEW.period_start_on;
END;
CREATE TRIGGER bill_segment_fixed BEFORE UPDATE ON bill_segment
WHEN NEW.total_cents <> OLD.total_cents OR NEW.usage_milli <> OLD.usage_milli OR NEW.lines <> OLD.lines
    OR NEW.inputs <> OLD.inputs OR NEW.agreement_id <> OLD.agreement_id OR NEW.period_start_on <> OLD.period_start_on
    OR NEW.period_end_on <> OLD.period_end_on OR (OLD.live = 0 AND NEW.live = 1)
    OR NEW.run_id <> OLD.run_id OR NEW.account_id <> OLD.account_id OR NEW.segment_no <> OLD.segment_no
BEGIN SELECT RAISE(ABORT, 'billing: a bill segment is never edited, only withdrawn'); END;
CREATE TRIGGER bill_segment_no_delete BEFORE DELETE ON bill_segment
BEGIN SELECT RAISE(ABORT, 'billing: a bill segment is never deleted, only withdrawn'); END;

CREATE TABLE bill (
    run_id INTEGER NOT NULL REFERENCES bill_run (id),
    account_id INTEGER NOT NULL REFERENCES account (id),
    account_seq INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('issued', 'cancelled')),
    cancelled_seq INTEGER,
    total_cents INTEGER NOT NULL,
    previous_balance_cents INTEGER NOT NULL,
    payments_cents INTEGER NOT NULL,
    adjustments_cents INTEGER NOT NULL,
    opening_balance_cents INTEGER NOT NULL,
    amount_due_cents INTEGER NOT NULL,
    last_payment_seq INTEGER,
    PRIMARY KEY (run_id, account_id),
    UNIQUE (account_id, account_seq),
    FOREIGN KEY (account_id, account_seq) REFERENCES financial_transaction (account_id, account_seq),
    FOREIGN KEY (account_id, cancelled_seq) REFERENCES financial_transaction (account_id, account_seq),
    CHECK (previous_balance_cents + payments_cents + adjustments_cents = opening_balance_cents),
    CHECK (opening_balance_cents + total_cents = amount_due_cents),
    CHECK ((status = 'cancelled') = (cancelled_seq IS NOT NULL))
) STRICT, WITHOUT ROWID;
-- P1 as schema: what the bill says it opened with is what the ledger held one position before it.
CREATE TRIGGER bill_opens_with_ledger BEFORE INSERT ON bill
BEGIN
    SELECT RAISE(ABORT, 'billing: the bill''s opening balance is not the ledger''s')
    WHERE NOT EXISTS (SELECT 1 FROM financial_transaction
        WHERE account_id = NEW.account_id AND account_seq = NEW.account_seq AND kind = 'bill'
            AND amount_cents = NEW.total_cents AND balance_after_cents = NEW.amount_due_cents);
END;
CREATE TRIGGER bill_fixed BEFORE UPDATE ON bill
WHEN NEW.total_cents <> OLD.total_cents OR NEW.amount_due_cents <> OLD.amount_due_cents
    OR NEW.account_seq <> OLD.account_seq OR NEW.previous_balance_cents <> OLD.previous_balance_cents
    OR NEW.payments_cents <> OLD.payments_cents OR NEW.adjustments_cents <> OLD.adjustments_cents
    OR NEW.run_id <> OLD.run_id OR NEW.account_id <> OLD.account_id OR NEW.opening_balance_cents <> OLD.opening_balance_cents
    OR (OLD.cancelled_seq IS NOT NULL AND NEW.cancelled_seq IS NOT OLD.cancelled_seq)
    OR NEW.last_payment_seq IS NOT OLD.last_payment_seq OR (OLD.status = 'cancelled' AND NEW.status <> 'cancelled')
BEGIN SELECT RAISE(ABORT, 'billing: a bill is never edited, only cancelled'); END;
CREATE TRIGGER bill_no_delete BEFORE DELETE ON bill
BEGIN SELECT RAISE(ABORT, 'billing: a bill is never deleted'); END;
