-- A utility at work: people who sign in, the life of an account, judged reads, scheduled runs, notices.

-- customers ---------------------------------------------------------------------------------------
-- Where bills on paper go once somebody has moved; paperless people get none.
ALTER TABLE person ADD COLUMN mailing_address TEXT;
ALTER TABLE person ADD COLUMN paperless INTEGER NOT NULL DEFAULT 0 CHECK (paperless IN (0, 1));
CREATE INDEX person_email ON person (lower(email)) WHERE email IS NOT NULL;
CREATE INDEX account_person ON account (person_id);

-- Who takes the service over between two tenants.
ALTER TABLE service_point ADD COLUMN owner_account_id INTEGER REFERENCES account (id);
-- A service without a meter of its own may be measured by another one's: sewer by water.
ALTER TABLE service_agreement ADD COLUMN measured_at INTEGER REFERENCES service_point (id);
CREATE INDEX service_agreement_measured_at ON service_agreement (measured_at) WHERE measured_at IS NOT NULL;

-- What an agreement's terms are from a day on; before the first of them the agreement's own row holds.
CREATE TABLE agreement_term (
    agreement_id INTEGER NOT NULL REFERENCES service_agreement (id),
    effective_on TEXT NOT NULL,
    rate_class TEXT NOT NULL,
    attributes TEXT NOT NULL,
    entered_at TEXT NOT NULL,
    entered_by TEXT NOT NULL,
    note TEXT NOT NULL,
    PRIMARY KEY (agreement_id, effective_on)
) STRICT, WITHOUT ROWID;

-- metering ----------------------------------------------------------------------------------------
-- How an estimate was made, in words.
ALTER TABLE meter_read ADD COLUMN basis TEXT;

-- operations --------------------------------------------------------------------------------------
ALTER TABLE todo ADD COLUMN account_id INTEGER REFERENCES account (id);
CREATE UNIQUE INDEX todo_period_once ON todo (kind, agreement_id, period_end_on)
    WHERE kind = 'read_missing' AND status = 'open';
CREATE UNIQUE INDEX todo_account_once ON todo (kind, account_id) WHERE account_id IS NOT NULL AND status = 'open';
CREATE INDEX audit_event_subject ON audit_event (subject, id);

-- When a schedule's runs were due, and what became of them. One row for each moment: two servers race for it.
CREATE TABLE scheduled_run (
    schedule TEXT NOT NULL,
    due_at TEXT NOT NULL,
    -- The order in which rows were made, which clocks that are set back do not change.
    seq INTEGER NOT NULL,
    -- The cron text and time zone that made the moment due.
    timetable TEXT NOT NULL,
    cycle TEXT NOT NULL,
    through_on TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('watching', 'running', 'done', 'held', 'failed')),
    run_id INTEGER REFERENCES bill_run (id),
    -- Moments that passed while nobody was there to run them.
    missed INTEGER NOT NULL,
    -- Also tells a runner that was taken for dead from its successor.
    attempts INTEGER NOT NULL,
    retry_at TEXT,
    message TEXT NOT NULL,
    started_at TEXT NOT NULL,
    finished_at TEXT,
    PRIMARY KEY (schedule, due_at),
    UNIQUE (schedule, seq)
) STRICT, WITHOUT ROWID;

-- ledger ------------------------------------------------------------------------------------------
INSERT INTO gl_account (code, name, kind) VALUES
    ('payable:taxes', 'Taxes collected for others', 'liability'),
    ('payable:refunds', 'Refunds to be paid out', 'liability'),
    ('clearing:transfers', 'Balances carried between accounts', 'asset');
INSERT INTO adjustment_reason (code, name, gl_code, direction) VALUES
    ('refund', 'Credit balance paid out', 'payable:refunds', 'debit'),
    ('transfer', 'Balance carried to or from another account', 'clearing:transfers', 'either');

-- billing -----------------------------------------------------------------------------------------
-- 1 for a segment that closed with an estimate: the next real read settles it.
ALTER TABLE bill_segment ADD COLUMN estimated INTEGER NOT NULL DEFAULT 0 CHECK (estimated IN (0, 1));
-- The engine before this one did not mark them: those that no real read has followed are settled like any other.
UPDATE bill_segment SET estimated = 1 WHERE inputs LIKE '%"estimated"%' AND EXISTS (
    SELECT 1 FROM json_each(bill_segment.inputs, '$.spans') s
    WHERE json_extract(s.value, '$.kind') = 'estimated' AND json_extract(s.value, '$.to_on') = bill_segment.period_end_on);
-- With the columns of its condition, else SQLite may prefer to walk an agreement's whole history.
CREATE INDEX bill_segment_estimated ON bill_segment (agreement_id, estimated, live, period_start_on) WHERE live = 1 AND estimated = 1;
-- The part of a charge that is tax: collected for others, not earned.
ALTER TABLE bill_segment ADD COLUMN tax_cents INTEGER NOT NULL DEFAULT 0;
ALTER TABLE bill ADD COLUMN tax_cents INTEGER NOT NULL DEFAULT 0;
CREATE TRIGGER bill_segment_tax_fixed BEFORE UPDATE ON bill_segment WHEN NEW.tax_cents <> OLD.tax_cents OR NEW.estimated <> OLD.estimated
BEGIN SELECT RAISE(ABORT, 'billing: a bill segment is never edited, only withdrawn'); END;
CREATE TRIGGER bill_tax_fixed BEFORE UPDATE ON bill WHEN NEW.tax_cents <> OLD.tax_cents
BEGIN SELECT RAISE(ABORT, 'billing: a bill is never edited, only cancelled'); END;

-- sign-in -----------------------------------------------------------------------------------------
CREATE TABLE login (
    id INTEGER PRIMARY KEY,
    email TEXT NOT NULL UNIQUE CHECK (email = lower(email)),
    name TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('customer', 'clerk', 'supervisor', 'auditor', 'administrator')),
    person_id INTEGER REFERENCES person (id),
    password_hash TEXT,
    password_changed_at TEXT,
    totp_secret TEXT,
    totp_confirmed_at TEXT,
    -- The last time step whose code was taken: a code is good once.
    totp_last_step INTEGER NOT NULL DEFAULT 0,
    disabled_at TEXT,
    created_at TEXT NOT NULL,
    CHECK ((role = 'customer') = (person_id IS NOT NULL))
) STRICT;
CREATE INDEX login_person ON login (person_id) WHERE person_id IS NOT NULL;

-- Only the hash of a session's token is kept: whoever reads the table cannot use it.
CREATE TABLE login_session (
    token_hash TEXT PRIMARY KEY,
    login_id INTEGER NOT NULL REFERENCES login (id),
    -- 'password' until the second factor was given, then 'full'.
    stage TEXT NOT NULL CHECK (stage IN ('password', 'full')),
    user_agent TEXT NOT NULL,
    created_at TEXT NOT NULL,
    last_seen_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    revoked_at TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX login_session_login ON login_session (login_id);
CREATE INDEX login_session_expiry ON login_session (expires_at);

-- Links that were e-mailed: to set or reset a password. Each is good once.
CREATE TABLE login_link (
    token_hash TEXT PRIMARY KEY,
    login_id INTEGER NOT NULL REFERENCES login (id),
    purpose TEXT NOT NULL CHECK (purpose IN ('set_password', 'reset_password')),
    created_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    used_at TEXT
) STRICT, WITHOUT ROWID;

-- Failed attempts by what was guessed at: an address, a client, a second factor.
CREATE TABLE login_throttle (
    subject TEXT PRIMARY KEY,
    failures INTEGER NOT NULL,
    first_at TEXT NOT NULL,
    last_at TEXT NOT NULL,
    blocked_until TEXT
) STRICT, WITHOUT ROWID;

-- notices -----------------------------------------------------------------------------------------
-- The outbox: a row is written in the transaction of the event that it tells of.
CREATE TABLE notice (
    id INTEGER PRIMARY KEY,
    -- One notice for one event, whatever is repeated.
    dedupe_key TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    account_id INTEGER REFERENCES account (id),
    person_id INTEGER REFERENCES person (id),
    login_id INTEGER REFERENCES login (id),
    recipient TEXT NOT NULL,
    recipient_name TEXT NOT NULL,
    -- The facts that its text is made of, as JSON. A link that must stay secret is wiped once it was sent.
    facts TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('queued', 'sending', 'sent', 'bounced', 'given_up', 'suppressed')),
    attempts INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL,
    next_attempt_at TEXT NOT NULL,
    -- Who is sending it now, and until when nobody else may.
    claimed_by TEXT,
    claimed_until TEXT,
    message_id TEXT NOT NULL,
    sent_at TEXT,
    last_error TEXT
) STRICT;
CREATE INDEX notice_due ON notice (next_attempt_at) WHERE status IN ('queued', 'sending');
CREATE INDEX notice_account ON notice (account_id, id);
CREATE INDEX notice_recipient ON notice (recipient, id);

-- What a person does not want to be told by e-mail; what is not here is wanted.
CREATE TABLE notice_preference (
    person_id INTEGER NOT NULL REFERENCES person (id),
    kind TEXT NOT NULL,
    wanted INTEGER NOT NULL CHECK (wanted IN (0, 1)),
    PRIMARY KEY (person_id, kind)
) STRICT, WITHOUT ROWID;

-- Addresses that the recipient's server refused for good.
CREATE TABLE bounced_address (
    address TEXT PRIMARY KEY,
    since TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- search and audit trail --------------------------------------------------------------------------
-- What a clerk types: the start of a number in any case, words of a name or an address, a payment's reference.
CREATE INDEX account_number_start ON account (lower(number));
CREATE INDEX service_point_code_start ON service_point (lower(code));
CREATE INDEX meter_serial_start ON meter (lower(serial));
CREATE INDEX service_point_premise ON service_point (premise_id);
CREATE INDEX payment_reference ON payment (provider_ref) WHERE provider_ref IS NOT NULL;
CREATE VIRTUAL TABLE person_words USING fts5 (name, content='person', content_rowid='id', tokenize="unicode61 remove_diacritics 2", prefix='2 3');
CREATE VIRTUAL TABLE premise_words USING fts5 (address, content='premise', content_rowid='id', tokenize="unicode61 remove_diacritics 2", prefix='2 3');
INSERT INTO person_words (person_words) VALUES ('rebuild');
INSERT INTO premise_words (premise_words) VALUES ('rebuild');
CREATE TRIGGER person_words_new AFTER INSERT ON person
BEGIN INSERT INTO person_words (rowid, name) VALUES (NEW.id, NEW.name); END;
CREATE TRIGGER person_words_change AFTER UPDATE OF name ON person
BEGIN
    INSERT INTO person_words (person_words, rowid, name) VALUES ('delete', OLD.id, OLD.name);
    INSERT INTO person_words (rowid, name) VALUES (NEW.id, NEW.name);
END;
CREATE TRIGGER premise_words_new AFTER INSERT ON premise
BEGIN INSERT INTO premise_words (rowid, address) VALUES (NEW.id, NEW.address); END;
CREATE TRIGGER premise_words_change AFTER UPDATE OF address ON premise
BEGIN
    INSERT INTO premise_words (premise_words, rowid, address) VALUES ('delete', OLD.id, OLD.address);
    INSERT INTO premise_words (rowid, address) VALUES (NEW.id, NEW.address);
END;
CREATE INDEX audit_event_actor ON audit_event (actor, id);
CREATE INDEX audit_event_action ON audit_event (action, id);
CREATE INDEX audit_event_at ON audit_event (at, id);
CREATE INDEX notice_failed ON notice (created_at) WHERE status IN ('bounced', 'given_up');
