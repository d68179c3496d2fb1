-- A utility at work: people who sign in, the life of an account, judged reads, scheduled runs, notices.

-- customers ---------------------------------------------------------------------------------------
-- Where bills on paper go once somebody has moved; paperless people get none.
ALTER TABLE person ADD COLUMN mailing_address TEXT;
ALTER TABLE person ADD COLUMN paperless INTEGER NOT NULL DEFAULT 0 CHECK (paperless IN (0, 1));
CREATE INDEX person_email ON person (lower(email)) WHERE email IS NOT NULL;
CREATE INDEX account_person ON account (person_id);

-- Who takes the service over between two tenants.
ALTER TABLE service_point ADD COLUMN owner_account_id BIGINT REFERENCES account (id);
-- A service without a meter of its own may be measured by another one's: sewer by water.
ALTER TABLE service_agreement ADD COLUMN measured_at BIGINT REFERENCES service_point (id);
CREATE INDEX service_agreement_measured_at ON service_agreement (measured_at) WHERE measured_at IS NOT NULL;

-- What an agreement's terms are from a day on; before the first of them the agreement's own row holds.
CREATE TABLE agreement_term (
    agreement_id BIGINT NOT NULL REFERENCES service_agreement (id),
    effective_on DATE NOT NULL,
    rate_class TEXT NOT NULL,
    attributes TEXT NOT NULL,
    entered_at TIMESTAMP NOT NULL,
    entered_by TEXT NOT NULL,
    note TEXT NOT NULL,
    PRIMARY KEY (agreement_id, effective_on)
);

-- metering ----------------------------------------------------------------------------------------
-- How an estimate was made, in words.
ALTER TABLE meter_read ADD COLUMN basis TEXT;

-- operations --------------------------------------------------------------------------------------
ALTER TABLE todo ADD COLUMN account_id BIGINT REFERENCES account (id);
CREATE UNIQUE INDEX todo_period_once ON todo (kind, agreement_id, period_end_on)
    WHERE kind = 'read_missing' AND status = 'open';
CREATE UNIQUE INDEX todo_account_once ON todo (kind, account_id) WHERE account_id IS NOT NULL AND status = 'open';
CREATE INDEX audit_event_subject ON audit_event (subject, id);

-- When a schedule's runs were due, and what became of them. One row for each moment: two servers race for it.
CREATE TABLE scheduled_run (
    schedule TEXT NOT NULL,
    due_at TIMESTAMP NOT NULL,
    -- The order in which rows were made, which clocks that are set back do not change.
    seq BIGINT NOT NULL,
    -- The cron text and time zone that made the moment due.
    timetable TEXT NOT NULL,
    cycle TEXT NOT NULL,
    through_on DATE NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('watching', 'running', 'done', 'held', 'failed')),
    run_id BIGINT REFERENCES bill_run (id),
    -- Moments that passed while nobody was there to run them.
    missed INTEGER NOT NULL,
    -- Also tells a runner that was taken for dead from its successor.
    attempts INTEGER NOT NULL,
    retry_at TIMESTAMP,
    message TEXT NOT NULL,
    started_at TIMESTAMP NOT NULL,
    finished_at TIMESTAMP,
    PRIMARY KEY (schedule, due_at),
    UNIQUE (schedule, seq)
);

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
    SELECT 1 FROM jsonb_array_elements(inputs::jsonb -> 'spans') s
    WHERE s ->> 'kind' = 'estimated' AND s ->> 'to_on' = CAST(period_end_on AS TEXT));
-- With the columns of its condition, else SQLite may prefer to walk an agreement's whole history.
CREATE INDEX bill_segment_estimated ON bill_segment (agreement_id, estimated, live, period_start_on) WHERE live = 1 AND estimated = 1;
-- The part of a charge that is tax: collected for others, not earned.
ALTER TABLE bill_segment ADD COLUMN tax_cents BIGINT NOT NULL DEFAULT 0;
ALTER TABLE bill ADD COLUMN tax_cents BIGINT NOT NULL DEFAULT 0;
CREATE TRIGGER bill_segment_tax_fixed BEFORE UPDATE ON bill_segment FOR EACH ROW
    WHEN (NEW.tax_cents <> OLD.tax_cents OR NEW.estimated <> OLD.estimated)
    EXECUTE FUNCTION refuse_change('billing: a bill segment is never edited, only withdrawn');
CREATE TRIGGER bill_tax_fixed BEFORE UPDATE ON bill FOR EACH ROW WHEN (NEW.tax_cents <> OLD.tax_cents)
    EXECUTE FUNCTION refuse_change('billing: a bill is never edited, only cancelled');

-- sign-in -----------------------------------------------------------------------------------------
CREATE TABLE login (
    id BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    email TEXT NOT NULL UNIQUE CHECK (email = lower(email)),
    name TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('customer', 'clerk', 'supervisor', 'auditor', 'administrator')),
    person_id BIGINT REFERENCES person (id),
    password_hash TEXT,
    password_changed_at TIMESTAMP,
    totp_secret TEXT,
    totp_confirmed_at TIMESTAMP,
    -- The last time step whose code was taken: a code is good once.
    totp_last_step BIGINT NOT NULL DEFAULT 0,
    disabled_at TIMESTAMP,
    created_at TIMESTAMP NOT NULL,
    CHECK ((role = 'customer') = (person_id IS NOT NULL))
);
CREATE INDEX login_person ON login (person_id) WHERE person_id IS NOT NULL;

-- Only the hash of a session's token is kept: whoever reads the table cannot use it.
CREATE TABLE login_session (
    token_hash TEXT PRIMARY KEY,
    login_id BIGINT NOT NULL REFERENCES login (id),
    -- 'password' until the second factor was given, then 'full'.
    stage TEXT NOT NULL CHECK (stage IN ('password', 'full')),
    user_agent TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    last_seen_at TIMESTAMP NOT NULL,
    expires_at TIMESTAMP NOT NULL,
    revoked_at TIMESTAMP
);
CREATE INDEX login_session_login ON login_session (login_id);
CREATE INDEX login_session_expiry ON login_session (expires_at);

-- Links that were e-mailed: to set or reset a password. Each is good once.
CREATE TABLE login_link (
    token_hash TEXT PRIMARY KEY,
    login_id BIGINT NOT NULL REFERENCES login (id),
    purpose TEXT NOT NULL CHECK (purpose IN ('set_password', 'reset_password')),
    created_at TIMESTAMP NOT NULL,
    expires_at TIMESTAMP NOT NULL,
    used_at TIMESTAMP
);

-- Failed attempts by what was guessed at: an address, a client, a second factor.
CREATE TABLE login_throttle (
    subject TEXT PRIMARY KEY,
    failures INTEGER NOT NULL,
    first_at TIMESTAMP NOT NULL,
    last_at TIMESTAMP NOT NULL,
    blocked_until TIMESTAMP
);

-- notices -----------------------------------------------------------------------------------------
-- The outbox: a row is written in the transaction of the event that it tells of.
CREATE TABLE notice (
    id BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    -- One notice for one event, whatever is repeated.
    dedupe_key TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    account_id BIGINT REFERENCES account (id),
    person_id BIGINT REFERENCES person (id),
    login_id BIGINT REFERENCES login (id),
    recipient TEXT NOT NULL,
    recipient_name TEXT NOT NULL,
    -- The facts that its text is made of, as JSON. A link that must stay secret is wiped once it was sent.
    facts TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('queued', 'sending', 'sent', 'bounced', 'given_up', 'suppressed')),
    attempts INTEGER NOT NULL DEFAULT 0,
    created_at TIMESTAMP NOT NULL,
    next_attempt_at TIMESTAMP NOT NULL,
    -- Who is sending it now, and until when nobody else may.
    claimed_by TEXT,
    claimed_until TIMESTAMP,
    message_id TEXT NOT NULL,
    sent_at TIMESTAMP,
    last_error TEXT
);
CREATE INDEX notice_due ON notice (next_attempt_at) WHERE status IN ('queued', 'sending');
CREATE INDEX notice_account ON notice (account_id, id);
CREATE INDEX notice_recipient ON notice (recipient, id);

-- What a person does not want to be told by e-mail; what is not here is wanted.
CREATE TABLE notice_preference (
    person_id BIGINT NOT NULL REFERENCES person (id),
    kind TEXT NOT NULL,
    wanted INTEGER NOT NULL CHECK (wanted IN (0, 1)),
    PRIMARY KEY (person_id, kind)
);

-- Addresses that the recipient's server refused for good.
CREATE TABLE bounced_address (
    address TEXT PRIMARY KEY,
    since TIMESTAMP NOT NULL,
    reason TEXT NOT NULL
);

-- search and audit trail --------------------------------------------------------------------------
-- What a clerk types: the start of a number in any case, words of a name or an address, a payment's reference.
CREATE INDEX account_number_start ON account (lower(number) text_pattern_ops);
CREATE INDEX service_point_code_start ON service_point (lower(code) text_pattern_ops);
CREATE INDEX meter_serial_start ON meter (lower(serial) text_pattern_ops);
CREATE INDEX person_email_start ON person (lower(email) text_pattern_ops) WHERE email IS NOT NULL;
CREATE INDEX service_point_premise ON service_point (premise_id);
CREATE INDEX payment_reference ON payment (provider_ref) WHERE provider_ref IS NOT NULL;
-- Punctuation parts words, as it does on SQLite; the parser of text search would take '12/3' for a file.
CREATE FUNCTION search_words(text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN to_tsvector('simple'::regconfig, translate(lower($1), '.,;:/\-''"()#&_@+*', '                 '));
CREATE INDEX person_words ON person USING gin (search_words(name));
CREATE INDEX premise_words ON premise USING gin (search_words(address));
CREATE INDEX audit_event_actor ON audit_event (actor, id);
CREATE INDEX audit_event_action ON audit_event (action, id);
CREATE INDEX audit_event_at ON audit_event (at, id);
CREATE INDEX notice_failed ON notice (created_at) WHERE status IN ('bounced', 'given_up');
