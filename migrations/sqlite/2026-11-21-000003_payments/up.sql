-- Payments that always count: providers, their events, bank files, autopay, reconciliation, watching.

-- payments: what is posted ------------------------------------------------------------------------
-- A payment of several accounts has a part for each. A return that was itself taken back (a dispute that was won) leaves the
-- payment standing again. A row that a correction replaced stays, with the position that took it out of the ledger.
ALTER TABLE payment ADD COLUMN provider_payment_id INTEGER REFERENCES provider_payment (id);
ALTER TABLE payment ADD COLUMN bank_entry_id INTEGER REFERENCES bank_entry (id);
ALTER TABLE payment ADD COLUMN part INTEGER NOT NULL DEFAULT 1 CHECK (part >= 1);
ALTER TABLE payment ADD COLUMN restored_seq INTEGER;
ALTER TABLE payment ADD COLUMN superseded_seq INTEGER;
DROP INDEX payment_provider_ref_once;
CREATE UNIQUE INDEX payment_provider_ref_once ON payment (provider, merchant, provider_ref, part)
    WHERE provider_ref IS NOT NULL AND superseded_seq IS NULL;
CREATE INDEX payment_of_provider ON payment (provider_payment_id) WHERE provider_payment_id IS NOT NULL;
CREATE UNIQUE INDEX payment_of_bank_entry ON payment (bank_entry_id, part) WHERE bank_entry_id IS NOT NULL AND superseded_seq IS NULL;
CREATE TRIGGER payment_is_named BEFORE INSERT ON payment
WHEN NEW.provider = '' OR NEW.merchant = '' OR NEW.provider_ref = ''
BEGIN SELECT RAISE(ABORT, 'payments: an empty text is no name of a provider, a merchant or a payment'); END;
CREATE TRIGGER payment_correction_is_fixed BEFORE UPDATE ON payment
WHEN NEW.provider_payment_id IS NOT OLD.provider_payment_id OR NEW.bank_entry_id IS NOT OLD.bank_entry_id OR NEW.part <> OLD.part
    OR (OLD.superseded_seq IS NOT NULL AND NEW.superseded_seq IS NOT OLD.superseded_seq)
    OR (OLD.restored_seq IS NOT NULL AND NEW.restored_seq IS NOT OLD.restored_seq)
BEGIN SELECT RAISE(ABORT, 'payments: money, account and reference of a payment are never edited'); END;

-- payments: at a provider -------------------------------------------------------------------------
-- A customer's attempt to pay, or to save a way to pay.
CREATE TABLE checkout (
    id INTEGER PRIMARY KEY,
    -- Our own name of it, which the provider repeats in its events.
    token TEXT NOT NULL UNIQUE,
    -- The form that began it: sent twice, it is one attempt.
    form_key TEXT NOT NULL UNIQUE,
    provider TEXT NOT NULL,
    merchant TEXT NOT NULL,
    purpose TEXT NOT NULL CHECK (purpose IN ('pay', 'mandate')),
    amount_cents INTEGER NOT NULL CHECK (amount_cents >= 0),
    -- Who is signed in; nobody for a guest.
    login_id INTEGER REFERENCES login (id),
    session_ref TEXT,
    session_url TEXT,
    status TEXT NOT NULL CHECK (status IN ('created', 'open', 'complete', 'expired', 'failed')),
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX checkout_session_once ON checkout (provider, merchant, session_ref) WHERE session_ref IS NOT NULL;
CREATE TABLE checkout_part (
    checkout_id INTEGER NOT NULL REFERENCES checkout (id),
    part INTEGER NOT NULL CHECK (part >= 1),
    account_id INTEGER NOT NULL REFERENCES account (id),
    amount_cents INTEGER NOT NULL CHECK (amount_cents >= 0),
    PRIMARY KEY (checkout_id, part),
    UNIQUE (checkout_id, account_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX checkout_part_account ON checkout_part (account_id);

-- A payment as the provider knows it. Its reference may come later than the row, and once it is there it stays.
CREATE TABLE provider_payment (
    id INTEGER PRIMARY KEY,
    provider TEXT NOT NULL,
    merchant TEXT NOT NULL,
    provider_ref TEXT,
    checkout_id INTEGER UNIQUE REFERENCES checkout (id),
    state TEXT NOT NULL CHECK (state IN ('created', 'submitted', 'succeeded', 'failed', 'returned')),
    amount_cents INTEGER NOT NULL,
    currency TEXT NOT NULL,
    tender TEXT NOT NULL CHECK (tender IN ('card', 'transfer')),
    made_on TEXT NOT NULL,
    reason TEXT,
    -- The newest event, by the provider's own time, that its state follows from.
    last_event_id TEXT,
    last_event_at INTEGER,
    -- Under which one can follow it from the callback to the ledger.
    trace_id TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    CHECK (state IN ('created', 'failed') OR provider_ref IS NOT NULL),
    -- An empty text is no name: it would make one payment of all that have none.
    CHECK (provider <> '' AND merchant <> '' AND provider_ref <> '')
) STRICT;
CREATE UNIQUE INDEX provider_payment_ref_once ON provider_payment (provider, merchant, provider_ref) WHERE provider_ref IS NOT NULL;
CREATE INDEX provider_payment_pending ON provider_payment (created_at) WHERE state IN ('created', 'submitted');
CREATE TRIGGER provider_payment_ref_is_fixed BEFORE UPDATE ON provider_payment
WHEN NEW.provider <> OLD.provider OR NEW.merchant <> OLD.merchant OR (OLD.provider_ref IS NOT NULL AND NEW.provider_ref IS NOT OLD.provider_ref)
BEGIN SELECT RAISE(ABORT, 'payments: a provider''s reference is never changed or taken away'); END;
CREATE TRIGGER provider_payment_no_delete BEFORE DELETE ON provider_payment
BEGIN SELECT RAISE(ABORT, 'payments are never deleted'); END;
-- To which accounts its money goes. Empty: nobody knows yet, the money waits as unapplied credit.
CREATE TABLE provider_payment_part (
    provider_payment_id INTEGER NOT NULL REFERENCES provider_payment (id),
    part INTEGER NOT NULL CHECK (part >= 1),
    account_id INTEGER NOT NULL REFERENCES account (id),
    amount_cents INTEGER NOT NULL CHECK (amount_cents >= 0),
    PRIMARY KEY (provider_payment_id, part)
) STRICT, WITHOUT ROWID;
CREATE INDEX provider_payment_part_account ON provider_payment_part (account_id);

-- The inbox: what providers sent, byte by byte, before anything was made of it.
CREATE TABLE provider_event (
    id INTEGER PRIMARY KEY,
    provider TEXT NOT NULL,
    merchant TEXT NOT NULL,
    event_id TEXT NOT NULL,
    -- The same event with other bytes is kept beside the first, never instead of it.
    body_sha256 TEXT NOT NULL,
    event_type TEXT NOT NULL,
    occurred_at INTEGER NOT NULL,
    -- The payment that it tells of, and our own name of the attempt.
    payment_ref TEXT,
    token TEXT,
    body BLOB NOT NULL,
    -- How it came: delivered, or fetched from the provider's list.
    origin TEXT NOT NULL CHECK (origin IN ('callback', 'backfill')),
    status TEXT NOT NULL CHECK (status IN ('received', 'applied', 'ignored', 'failed')),
    deliveries INTEGER NOT NULL,
    received_at TEXT NOT NULL,
    last_delivery_at TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    next_attempt_at TEXT NOT NULL,
    applied_at TEXT,
    error TEXT,
    trace_id TEXT NOT NULL,
    provider_payment_id INTEGER REFERENCES provider_payment (id),
    UNIQUE (provider, merchant, event_id, body_sha256),
    CHECK (provider <> '' AND merchant <> '' AND event_id <> '' AND body_sha256 <> '' AND payment_ref <> '')
) STRICT;
CREATE INDEX provider_event_waiting ON provider_event (next_attempt_at, id) WHERE status IN ('received', 'failed');
CREATE INDEX provider_event_payment ON provider_event (provider, merchant, payment_ref) WHERE payment_ref IS NOT NULL;
CREATE INDEX provider_event_token ON provider_event (token) WHERE token IS NOT NULL;
CREATE INDEX provider_event_last_delivery ON provider_event (last_delivery_at);
CREATE TRIGGER provider_event_is_raw BEFORE UPDATE ON provider_event
WHEN NEW.body <> OLD.body OR NEW.event_id <> OLD.event_id OR NEW.body_sha256 <> OLD.body_sha256 OR NEW.provider <> OLD.provider
    OR NEW.merchant <> OLD.merchant OR NEW.occurred_at <> OLD.occurred_at OR NEW.event_type <> OLD.event_type
    OR NEW.payment_ref IS NOT OLD.payment_ref OR NEW.token IS NOT OLD.token OR NEW.received_at <> OLD.received_at
BEGIN SELECT RAISE(ABORT, 'inbox: what a provider sent is never edited'); END;
CREATE TRIGGER provider_event_no_delete BEFORE DELETE ON provider_event
BEGIN SELECT RAISE(ABORT, 'inbox: what a provider sent is never deleted'); END;

-- Money given back. Ours to the customer as a payout, or of one payment through its provider; the reference may come later or never.
CREATE TABLE refund (
    id INTEGER PRIMARY KEY,
    token TEXT NOT NULL UNIQUE,
    account_id INTEGER NOT NULL REFERENCES account (id),
    amount_cents INTEGER NOT NULL CHECK (amount_cents > 0),
    -- 'provider': ours, to the tender that paid. 'payout': ours, by bank. 'elsewhere': made at the provider, or taken back by a
    -- payer's bank, for a part of a payment.
    way TEXT NOT NULL CHECK (way IN ('provider', 'payout', 'elsewhere')),
    provider_payment_id INTEGER REFERENCES provider_payment (id),
    part INTEGER NOT NULL DEFAULT 1,
    provider TEXT NOT NULL,
    merchant TEXT NOT NULL,
    provider_ref TEXT,
    state TEXT NOT NULL CHECK (state IN ('created', 'submitted', 'succeeded', 'failed', 'returned')),
    made_on TEXT NOT NULL,
    reason TEXT NOT NULL,
    account_seq INTEGER NOT NULL,
    superseded_seq INTEGER,
    attempts INTEGER NOT NULL,
    next_attempt_at TEXT,
    error TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    FOREIGN KEY (account_id, account_seq) REFERENCES financial_transaction (account_id, account_seq),
    FOREIGN KEY (account_id, superseded_seq) REFERENCES financial_transaction (account_id, account_seq)
) STRICT;
CREATE UNIQUE INDEX refund_provider_ref_once ON refund (provider, merchant, provider_ref, part)
    WHERE provider_ref IS NOT NULL AND superseded_seq IS NULL;
CREATE INDEX refund_of_provider ON refund (provider_payment_id) WHERE provider_payment_id IS NOT NULL;
CREATE INDEX refund_account ON refund (account_id, id);
CREATE INDEX refund_waiting ON refund (next_attempt_at) WHERE state = 'created' AND way = 'provider';
CREATE TRIGGER refund_is_fixed BEFORE UPDATE ON refund
WHEN NEW.account_id <> OLD.account_id OR NEW.amount_cents <> OLD.amount_cents OR NEW.way <> OLD.way OR NEW.account_seq <> OLD.account_seq
    OR NEW.token <> OLD.token OR (OLD.provider_ref IS NOT NULL AND NEW.provider_ref IS NOT OLD.provider_ref)
    OR (OLD.superseded_seq IS NOT NULL AND NEW.superseded_seq IS NOT OLD.superseded_seq)
BEGIN SELECT RAISE(ABORT, 'payments: money, account and reference of a refund are never edited'); END;
CREATE TRIGGER refund_no_delete BEFORE DELETE ON refund
BEGIN SELECT RAISE(ABORT, 'refunds are never deleted'); END;

-- Money that fits no account.
CREATE TABLE unapplied_credit (
    id INTEGER PRIMARY KEY,
    provider_payment_id INTEGER UNIQUE REFERENCES provider_payment (id),
    bank_entry_id INTEGER UNIQUE REFERENCES bank_entry (id),
    amount_cents INTEGER NOT NULL,
    received_on TEXT NOT NULL,
    reference TEXT NOT NULL,
    payer TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('waiting', 'applied', 'dismissed')),
    created_at TEXT NOT NULL,
    settled_at TEXT,
    settled_by TEXT,
    note TEXT,
    CHECK ((provider_payment_id IS NULL) <> (bank_entry_id IS NULL))
) STRICT;
CREATE INDEX unapplied_credit_waiting ON unapplied_credit (id) WHERE status = 'waiting';
ALTER TABLE todo ADD COLUMN unapplied_credit_id INTEGER REFERENCES unapplied_credit (id);
CREATE UNIQUE INDEX todo_unapplied_once ON todo (unapplied_credit_id) WHERE unapplied_credit_id IS NOT NULL AND status = 'open';

-- bank files --------------------------------------------------------------------------------------
CREATE TABLE bank_file (
    id INTEGER PRIMARY KEY,
    sha256 TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    format TEXT NOT NULL,
    mapping TEXT,
    entries INTEGER NOT NULL,
    credits_cents INTEGER NOT NULL,
    debits_cents INTEGER NOT NULL,
    received_at TEXT NOT NULL,
    received_by TEXT NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE TRIGGER bank_file_no_update BEFORE UPDATE ON bank_file
BEGIN SELECT RAISE(ABORT, 'bank files are never edited'); END;
CREATE TRIGGER bank_file_no_delete BEFORE DELETE ON bank_file
BEGIN SELECT RAISE(ABORT, 'bank files are never deleted'); END;
CREATE TABLE bank_entry (
    id INTEGER PRIMARY KEY,
    file_id INTEGER NOT NULL REFERENCES bank_file (id),
    place TEXT NOT NULL,
    bank_account TEXT NOT NULL,
    -- The bank's own reference, or what stands for it: the same movement in two files is one.
    entry_key TEXT NOT NULL,
    amount_cents INTEGER NOT NULL,
    booked_on TEXT NOT NULL,
    value_on TEXT,
    -- None where the file does not tell: it is the ledger's then.
    currency TEXT,
    kind TEXT NOT NULL CHECK (kind IN ('credit', 'debit', 'return', 'dishonored_return')),
    code TEXT NOT NULL,
    return_code TEXT,
    return_reason TEXT,
    -- What is returned, and of a refused return also the return.
    original_ref TEXT,
    return_ref TEXT,
    -- The bank's own reference of the movement, and of the whole booking that it may be one part of.
    bank_ref TEXT,
    booking_ref TEXT,
    -- What payer or utility wrote, the most telling first, one to a line.
    reference TEXT NOT NULL,
    party_name TEXT NOT NULL,
    party_account TEXT NOT NULL,
    text TEXT NOT NULL,
    -- What became of it: 'applied' moved an account, 'settled' is money that a provider sent on, 'set_aside' concerns no customer.
    status TEXT NOT NULL CHECK (status IN ('waiting', 'applied', 'settled', 'set_aside')),
    -- Which account the program takes it for, with what confidence (percent) and why.
    suggested_account_id INTEGER REFERENCES account (id),
    confidence INTEGER NOT NULL CHECK (confidence BETWEEN 0 AND 100),
    why TEXT NOT NULL,
    decided_by TEXT,
    decided_at TEXT,
    -- Why a person decided so, in words.
    note TEXT,
    -- The payment that a return took back, or that a refused return gave back.
    returned_payment_id INTEGER REFERENCES payment (id),
    -- The refund that this movement carried out, or brought back.
    refund_id INTEGER REFERENCES refund (id),
    UNIQUE (bank_account, entry_key)
) STRICT;
CREATE INDEX bank_entry_waiting ON bank_entry (id) WHERE status = 'waiting';
CREATE INDEX bank_entry_booked ON bank_entry (booked_on, id);
CREATE INDEX bank_entry_file ON bank_entry (file_id, id);
CREATE INDEX bank_entry_booking ON bank_entry (bank_account, booking_ref) WHERE booking_ref IS NOT NULL;
CREATE INDEX bank_entry_reference ON bank_entry (bank_account, bank_ref) WHERE bank_ref IS NOT NULL;
CREATE INDEX bank_entry_amount ON bank_entry (amount_cents, id);
CREATE INDEX bank_entry_original ON bank_entry (original_ref) WHERE original_ref IS NOT NULL;
CREATE INDEX bank_entry_returned ON bank_entry (returned_payment_id) WHERE returned_payment_id IS NOT NULL;
CREATE INDEX bank_entry_payer ON bank_entry (party_account) WHERE status = 'applied' AND party_account <> '';
CREATE TRIGGER bank_entry_is_fixed BEFORE UPDATE ON bank_entry
WHEN NEW.amount_cents <> OLD.amount_cents OR NEW.booked_on <> OLD.booked_on OR NEW.entry_key <> OLD.entry_key OR NEW.bank_account <> OLD.bank_account
    OR NEW.kind <> OLD.kind OR NEW.reference <> OLD.reference OR NEW.file_id <> OLD.file_id
BEGIN SELECT RAISE(ABORT, 'bank files: what a bank sent is never edited'); END;
CREATE TRIGGER bank_entry_no_delete BEFORE DELETE ON bank_entry
BEGIN SELECT RAISE(ABORT, 'bank files: what a bank sent is never deleted'); END;
CREATE TABLE bank_mapping (
    name TEXT PRIMARY KEY,
    settings TEXT NOT NULL,
    saved_by TEXT NOT NULL,
    saved_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- reconciliation: what the provider says of our balance with it -------------------------------------
CREATE TABLE provider_payout (
    id INTEGER PRIMARY KEY,
    provider TEXT NOT NULL,
    merchant TEXT NOT NULL,
    payout_ref TEXT NOT NULL,
    amount_cents INTEGER NOT NULL,
    arrives_on TEXT NOT NULL,
    paid INTEGER NOT NULL CHECK (paid IN (0, 1)),
    -- It will never arrive: the bank refused it, or it was cancelled.
    failed INTEGER NOT NULL DEFAULT 0 CHECK (failed IN (0, 1)),
    statement_text TEXT NOT NULL,
    bank_entry_id INTEGER UNIQUE REFERENCES bank_entry (id),
    fetched_at TEXT NOT NULL,
    UNIQUE (provider, merchant, payout_ref)
) STRICT;
CREATE TABLE provider_movement (
    id INTEGER PRIMARY KEY,
    provider TEXT NOT NULL,
    merchant TEXT NOT NULL,
    movement_ref TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('payment', 'refund', 'dispute', 'payout', 'other')),
    payment_ref TEXT,
    amount_cents INTEGER NOT NULL,
    fee_cents INTEGER NOT NULL,
    occurred_at INTEGER NOT NULL,
    occurred_on TEXT NOT NULL,
    payout_ref TEXT,
    fetched_at TEXT NOT NULL,
    UNIQUE (provider, merchant, movement_ref)
) STRICT;
CREATE INDEX provider_movement_day ON provider_movement (occurred_on);
CREATE INDEX provider_movement_payment ON provider_movement (provider, merchant, payment_ref) WHERE payment_ref IS NOT NULL;
CREATE INDEX provider_movement_payout ON provider_movement (provider, merchant, payout_ref) WHERE payout_ref IS NOT NULL;
-- Where ledger, provider and bank disagree. One row for each disagreement, however often it is seen.
CREATE TABLE difference (
    id INTEGER PRIMARY KEY,
    difference_key TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    day_on TEXT NOT NULL,
    account_id INTEGER REFERENCES account (id),
    reference TEXT NOT NULL,
    ledger_cents INTEGER,
    provider_cents INTEGER,
    bank_cents INTEGER,
    -- Both rows as they were seen, its likely cause and what mends it, as JSON.
    detail TEXT NOT NULL,
    first_seen_at TEXT NOT NULL,
    last_seen_at TEXT NOT NULL,
    -- Set when a later look no longer finds it.
    gone_at TEXT
) STRICT;
CREATE INDEX difference_open ON difference (day_on, id) WHERE gone_at IS NULL;
-- What each look found: the sums of both sides over the days it looked at.
CREATE TABLE ledger_delta (
    id INTEGER PRIMARY KEY,
    looked_at TEXT NOT NULL,
    from_on TEXT NOT NULL,
    to_on TEXT NOT NULL,
    ledger_cents INTEGER NOT NULL,
    provider_cents INTEGER NOT NULL,
    bank_cents INTEGER NOT NULL,
    delta_cents INTEGER NOT NULL,
    differences INTEGER NOT NULL,
    -- The sums of each day, as JSON.
    days TEXT NOT NULL DEFAULT '[]'
) STRICT;

-- autopay -----------------------------------------------------------------------------------------
CREATE TABLE mandate (
    id INTEGER PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES account (id),
    login_id INTEGER REFERENCES login (id),
    provider TEXT NOT NULL,
    merchant TEXT NOT NULL,
    checkout_id INTEGER NOT NULL UNIQUE REFERENCES checkout (id),
    customer_ref TEXT,
    method_ref TEXT,
    method_label TEXT,
    state TEXT NOT NULL CHECK (state IN ('pending', 'active', 'paused', 'ended', 'failed')),
    -- Above it nothing is drawn; none means any amount.
    limit_cents INTEGER CHECK (limit_cents > 0),
    created_at TEXT NOT NULL,
    active_at TEXT,
    ended_at TEXT,
    ended_because TEXT,
    -- While it is pending the provider is asked how far the customer got.
    attempts INTEGER NOT NULL,
    next_attempt_at TEXT,
    CHECK (state NOT IN ('active', 'paused') OR (customer_ref IS NOT NULL AND method_ref IS NOT NULL))
) STRICT;
CREATE UNIQUE INDEX mandate_account_once ON mandate (account_id) WHERE state IN ('active', 'paused');
CREATE INDEX mandate_pending ON mandate (next_attempt_at) WHERE state = 'pending';
CREATE INDEX mandate_account ON mandate (account_id, id);
CREATE TABLE autopay_draw (
    id INTEGER PRIMARY KEY,
    token TEXT NOT NULL UNIQUE,
    mandate_id INTEGER NOT NULL REFERENCES mandate (id),
    account_id INTEGER NOT NULL REFERENCES account (id),
    run_id INTEGER NOT NULL,
    -- 1; 2 when it was tried once more after it was declined.
    try_no INTEGER NOT NULL CHECK (try_no BETWEEN 1 AND 2),
    -- What was announced; what is drawn is never more.
    amount_cents INTEGER NOT NULL CHECK (amount_cents > 0),
    drawn_cents INTEGER,
    draw_on TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('announced', 'skipped', 'drawing', 'submitted', 'succeeded', 'failed', 'returned')),
    reason TEXT,
    provider_payment_id INTEGER UNIQUE REFERENCES provider_payment (id),
    attempts INTEGER NOT NULL,
    next_attempt_at TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    FOREIGN KEY (run_id, account_id) REFERENCES bill (run_id, account_id),
    UNIQUE (run_id, account_id, try_no)
) STRICT;
CREATE INDEX autopay_draw_account ON autopay_draw (account_id, id);
CREATE INDEX autopay_draw_mandate ON autopay_draw (mandate_id, id);
CREATE INDEX autopay_draw_due ON autopay_draw (draw_on) WHERE state IN ('announced', 'drawing');
CREATE TRIGGER autopay_draw_is_fixed BEFORE UPDATE ON autopay_draw
WHEN NEW.token <> OLD.token OR NEW.account_id <> OLD.account_id OR NEW.run_id <> OLD.run_id OR NEW.amount_cents <> OLD.amount_cents
    OR (OLD.drawn_cents IS NOT NULL AND NEW.drawn_cents IS NOT OLD.drawn_cents)
BEGIN SELECT RAISE(ABORT, 'autopay: bill and amount of a draw are never edited'); END;
CREATE TRIGGER autopay_draw_no_delete BEFORE DELETE ON autopay_draw
BEGIN SELECT RAISE(ABORT, 'autopay: draws are never deleted'); END;
-- A bill that is held back from collection: questioned by the customer, or by a clerk.
CREATE TABLE bill_hold (
    id INTEGER PRIMARY KEY,
    run_id INTEGER NOT NULL,
    account_id INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('held', 'disputed')),
    note TEXT NOT NULL,
    held_by TEXT NOT NULL,
    held_at TEXT NOT NULL,
    released_by TEXT,
    released_at TEXT,
    FOREIGN KEY (run_id, account_id) REFERENCES bill (run_id, account_id)
) STRICT;
CREATE UNIQUE INDEX bill_hold_once ON bill_hold (run_id, account_id, kind) WHERE released_at IS NULL;

-- watching ----------------------------------------------------------------------------------------
-- The way of one payment: callback, inbox, ledger, recheck.
CREATE TABLE trace_step (
    id INTEGER PRIMARY KEY,
    trace_id TEXT NOT NULL,
    step TEXT NOT NULL,
    at TEXT NOT NULL,
    took_us INTEGER NOT NULL,
    detail TEXT NOT NULL,
    provider_event_id INTEGER REFERENCES provider_event (id),
    account_id INTEGER REFERENCES account (id),
    account_seq INTEGER
) STRICT;
CREATE INDEX trace_step_trace ON trace_step (trace_id, id);
CREATE TABLE alarm (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    since TEXT NOT NULL,
    -- When it was last seen to hold, and how high it stood: it is over when that is some time ago.
    seen_at TEXT NOT NULL,
    value INTEGER NOT NULL,
    worst INTEGER NOT NULL,
    over_at TEXT,
    detail TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX alarm_once ON alarm (kind) WHERE over_at IS NULL;

-- A returned payment may cost a fee; autopay and reconciliation need no account of their own in the general ledger.
INSERT INTO gl_account (code, name, kind) VALUES
    ('clearing:refunds', 'Refunds through providers, to be settled', 'asset');
INSERT INTO adjustment_reason (code, name, gl_code, direction) VALUES
    ('refund-failed', 'Refund that did not arrive, back in the account', 'payable:refunds', 'credit');
