-- Overcharges: what was billed beside what should have been, kept as findings and grouped by their cause.

-- What findings share: the same tariff version, the same meter, the same run.
CREATE TABLE overcharge_case (
    id INTEGER PRIMARY KEY,
    cause TEXT NOT NULL CHECK (cause <> ''),
    subject TEXT NOT NULL CHECK (subject <> ''),
    status TEXT NOT NULL CHECK (status IN ('open', 'mending', 'settled', 'dismissed', 'gone')),
    opened_at TEXT NOT NULL,
    closed_at TEXT,
    closed_by TEXT,
    note TEXT,
    CHECK ((status IN ('open', 'mending')) = (closed_at IS NULL))
) STRICT;
-- New findings join the open case of their cause; one that is being mended takes no more.
CREATE UNIQUE INDEX overcharge_case_once ON overcharge_case (cause, subject) WHERE status = 'open';
CREATE TRIGGER overcharge_case_fixed BEFORE UPDATE ON overcharge_case
WHEN NEW.id <> OLD.id OR NEW.cause <> OLD.cause OR NEW.subject <> OLD.subject OR NEW.opened_at <> OLD.opened_at
BEGIN SELECT RAISE(ABORT, 'overcharges: cause and subject of a case are never edited'); END;
CREATE TRIGGER overcharge_case_no_delete BEFORE DELETE ON overcharge_case
BEGIN SELECT RAISE(ABORT, 'overcharges: a case is never deleted'); END;

CREATE TABLE overcharge_finding (
    id INTEGER PRIMARY KEY,
    case_id INTEGER NOT NULL REFERENCES overcharge_case (id),
    -- What it is about, whatever it comes to: charge:AGREEMENT:FROM:TO, payment:PAYMENT:RUN, fee:ACCOUNT:POSITION.
    finding_key TEXT NOT NULL CHECK (finding_key <> ''),
    kind TEXT NOT NULL CHECK (kind IN ('charge', 'payment', 'fee')),
    cause TEXT NOT NULL CHECK (cause <> ''),
    account_id INTEGER NOT NULL REFERENCES account (id),
    agreement_id INTEGER REFERENCES service_agreement (id),
    -- The run of the (first) bill that it is about.
    run_id INTEGER REFERENCES bill_run (id),
    from_on TEXT NOT NULL,
    to_on TEXT NOT NULL,
    -- What was charged by bills, what mending that charge gave back or added already, and what it should come to.
    billed_cents INTEGER NOT NULL,
    mended_before_cents INTEGER NOT NULL,
    should_cents INTEGER NOT NULL,
    -- Below zero was charged too much, above zero too little.
    difference_cents INTEGER NOT NULL,
    -- 1 when it is only worth knowing: nothing is to be given back or told.
    information INTEGER NOT NULL DEFAULT 0 CHECK (information IN (0, 1)),
    detail TEXT NOT NULL,
    -- Both sides' working, as JSON.
    evidence TEXT NOT NULL,
    found_at TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('open', 'settled', 'gone', 'dismissed')),
    -- How it was settled: `adjustment:REFERENCE`, `rebill:RUN`, `told`; who or what, and when.
    settled_by TEXT,
    settled_at TEXT,
    -- What settling moved the balance by beside the bills: an adjustment's amount; 0 when the bills themselves were made anew.
    mended_cents INTEGER NOT NULL DEFAULT 0,
    CHECK (difference_cents = should_cents - billed_cents - mended_before_cents),
    CHECK (difference_cents <> 0),
    CHECK ((kind = 'charge') = (agreement_id IS NOT NULL)),
    CHECK ((status = 'open') = (settled_at IS NULL)),
    CHECK (status IN ('settled', 'gone') OR mended_cents = 0)
) STRICT;
CREATE UNIQUE INDEX overcharge_finding_once ON overcharge_finding (finding_key) WHERE status = 'open';
CREATE INDEX overcharge_finding_case ON overcharge_finding (case_id, account_id, id);
CREATE INDEX overcharge_finding_account ON overcharge_finding (account_id, status);
CREATE TRIGGER overcharge_finding_fixed BEFORE UPDATE ON overcharge_finding
WHEN NEW.id <> OLD.id OR NEW.case_id <> OLD.case_id OR NEW.finding_key <> OLD.finding_key OR NEW.kind <> OLD.kind OR NEW.cause <> OLD.cause
    OR NEW.account_id <> OLD.account_id OR NEW.agreement_id IS NOT OLD.agreement_id OR NEW.run_id IS NOT OLD.run_id
    OR NEW.from_on <> OLD.from_on OR NEW.to_on <> OLD.to_on OR NEW.billed_cents <> OLD.billed_cents
    OR NEW.mended_before_cents <> OLD.mended_before_cents OR NEW.should_cents <> OLD.should_cents
    OR NEW.difference_cents <> OLD.difference_cents OR NEW.information <> OLD.information OR NEW.evidence <> OLD.evidence
    OR NEW.detail <> OLD.detail OR NEW.found_at <> OLD.found_at
    OR (OLD.status <> 'open' AND NEW.mended_cents <> OLD.mended_cents)
    -- What was settled is undone at most, by reversing what settled it; what is gone or dismissed stays so.
    OR (OLD.status = 'settled' AND NEW.status NOT IN ('settled', 'gone')) OR (OLD.status IN ('gone', 'dismissed') AND NEW.status <> OLD.status)
BEGIN SELECT RAISE(ABORT, 'overcharges: a finding is never edited, only settled'); END;
CREATE TRIGGER overcharge_finding_no_delete BEFORE DELETE ON overcharge_finding
BEGIN SELECT RAISE(ABORT, 'overcharges: a finding is never deleted'); END;

-- Accounts that a correction touched and that are to be looked at again.
CREATE TABLE sweep_queue (
    id INTEGER PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES account (id),
    why TEXT NOT NULL,
    since TEXT NOT NULL
) STRICT;
CREATE INDEX sweep_queue_account ON sweep_queue (account_id);

-- From when on a night is due: when the servers' last look at everything began or, before the first, when a server came up.
CREATE TABLE sweep_night (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    since TEXT NOT NULL
) STRICT;

-- What the sweep looks up by account.
CREATE INDEX trace_step_ledger ON trace_step (account_id, account_seq) WHERE account_id IS NOT NULL;
CREATE INDEX adjustment_by_account_reason ON adjustment (account_id, reason_code);
