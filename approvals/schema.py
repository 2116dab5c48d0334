"""The tables, and what the database itself refuses: checks, unique indexes, triggers.

Tables whose names begin with `work_` are bookkeeping: they may change or vanish without changing the record. All other
tables are the record; every change of theirs has an event in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterator

from approvals.audit import GENESIS
from approvals.request import FINAL, MOVES, Operation, State


def _listed(words: Iterator[str] | list[str]) -> str:
    return ", ".join(f"'{word}'" for word in sorted(words))


OPERATIONS = _listed([o.value for o in Operation if o is not Operation.INQUIRY])
STATES = _listed([s.value for s in State])
FINAL_STATES = _listed([s.value for s in FINAL])
ALLOWED_MOVES = _listed([f"{a}>{b}" for a, following in MOVES.items() for b in following])

# Never change once the row is there; the second group is set once, while the request is in `checking`.
FIXED = (
    "id",
    "origin",
    "created_at",
    "requester",
    "team",
    "channel",
    "operation",
    "reference_kind",
    "reference",
    "asked_amount",
    "asked_currency",
    "destination",
    "reason",
)
TERMS = (
    "session_id",
    "order_no",
    "amount_minor",
    "currency",
    "decimals",
    "transaction_state",
    "transaction_minor",
    "taken_minor",
    "refunded_minor",
    "queued_minor",
    "left_minor",
    "children",
    "figures_at",
    "is_sandbox",
    "gateway",
    "rule_name",
    "rule_text",
    "rule_hash",
    "approvals_needed",
    "digest",
)

REQUESTS = f"""
CREATE TABLE requests (
    id TEXT PRIMARY KEY NOT NULL CHECK (id GLOB 'R-*' AND length(id) BETWEEN 6 AND 20),
    origin TEXT NOT NULL UNIQUE,
    created_at TEXT NOT NULL,
    requester TEXT NOT NULL CHECK (length(requester) > 0),
    team TEXT NOT NULL,
    channel TEXT NOT NULL,
    operation TEXT NOT NULL CHECK (operation IN ({OPERATIONS})),
    reference_kind TEXT NOT NULL CHECK (reference_kind IN ('order', 'session')),
    reference TEXT NOT NULL CHECK (length(reference) BETWEEN 1 AND 128),
    asked_amount TEXT,
    asked_currency TEXT,
    destination TEXT NOT NULL CHECK (destination = 'pg' OR (destination = 'wallet' AND operation = 'refund')),
    reason TEXT NOT NULL,
    session_id TEXT,
    order_no TEXT,
    amount_minor INTEGER CHECK (amount_minor > 0),
    currency TEXT CHECK (length(currency) = 3),
    decimals INTEGER CHECK (decimals IN (0, 2, 3)),
    transaction_state TEXT,
    transaction_minor INTEGER,
    taken_minor INTEGER,
    refunded_minor INTEGER,
    queued_minor INTEGER,
    left_minor INTEGER,
    children TEXT,
    figures_at TEXT,
    is_sandbox INTEGER CHECK (is_sandbox IN (0, 1)),
    gateway TEXT,
    rule_name TEXT,
    rule_text TEXT,
    rule_hash TEXT,
    approvals_needed INTEGER CHECK (
        approvals_needed >= 0 AND (approvals_needed >= 1 OR operation NOT IN ('refund', 'capture', 'void'))),
    digest TEXT,
    state TEXT NOT NULL CHECK (state IN ({STATES})),
    state_at TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version >= 1),
    expires_at TEXT NOT NULL,
    quorum_at TEXT,
    tracking_key TEXT UNIQUE,
    attempt INTEGER NOT NULL CHECK (attempt >= 0),
    doubtful_attempt INTEGER,
    misses INTEGER NOT NULL CHECK (misses >= 0),
    detail TEXT,
    answered_minor INTEGER,
    reference_number TEXT,
    restored INTEGER NOT NULL DEFAULT 0 CHECK (restored = 0 OR (restored = 1 AND state NOT IN ('executing', 'queued'))),
    CHECK ((amount_minor IS NULL) OR (currency IS NOT NULL AND decimals IS NOT NULL)),
    CHECK (state IN ('checking', 'refused', 'withdrawn', 'expired')
        OR (digest IS NOT NULL AND approvals_needed IS NOT NULL) OR restored = 1),
    CHECK (operation NOT IN ('refund', 'capture', 'void') OR state IN ('checking', 'refused', 'withdrawn', 'expired')
        OR (session_id IS NOT NULL AND amount_minor IS NOT NULL) OR restored = 1),
    CHECK (state NOT IN ('executing', 'queued', 'unknown', 'succeeded')
        OR (tracking_key IS NOT NULL AND attempt >= 1) OR restored = 1)
) STRICT
"""

APPROVALS = """
CREATE TABLE approvals (
    id INTEGER PRIMARY KEY,
    request_id TEXT NOT NULL REFERENCES requests (id),
    person TEXT NOT NULL CHECK (length(person) > 0),
    digest TEXT NOT NULL,
    given_at TEXT NOT NULL,
    taken_back_at TEXT
) STRICT
"""

CLOSINGS = """
CREATE TABLE closings (
    id INTEGER PRIMARY KEY,
    request_id TEXT NOT NULL REFERENCES requests (id),
    version INTEGER NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('succeeded', 'failed')),
    evidence TEXT NOT NULL CHECK (length(evidence) > 0),
    proposed_by TEXT NOT NULL CHECK (length(proposed_by) > 0),
    proposed_at TEXT NOT NULL,
    confirmed_by TEXT CHECK (confirmed_by <> proposed_by),
    confirmed_at TEXT
) STRICT
"""

EVENTS = """
CREATE TABLE events (
    seq INTEGER PRIMARY KEY NOT NULL,
    at TEXT NOT NULL,
    request_id TEXT REFERENCES requests (id),
    kind TEXT NOT NULL,
    actor TEXT NOT NULL,
    from_state TEXT,
    to_state TEXT,
    version INTEGER,
    data TEXT NOT NULL CHECK (json_valid(data)),
    key_id TEXT NOT NULL,
    prev TEXT NOT NULL CHECK (length(prev) = 64),
    hash TEXT NOT NULL UNIQUE CHECK (length(hash) = 64)
) STRICT
"""

WORK = [
    # Everything that waits to be done: payloads from Slack, reads, executions, cards, answers, timers.
    """
CREATE TABLE work_jobs (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL CHECK (json_valid(payload)),
    created_at TEXT NOT NULL,
    due_at TEXT NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    owner TEXT,
    taken_at TEXT,
    again INTEGER NOT NULL DEFAULT 0,
    done_at TEXT
) STRICT
""",
    "CREATE INDEX work_jobs_due ON work_jobs (kind, due_at) WHERE done_at IS NULL AND owner IS NULL",
    # Where the card of a request is, and which version of the row it shows.
    """
CREATE TABLE work_cards (
    request_id TEXT PRIMARY KEY NOT NULL,
    channel TEXT NOT NULL,
    ts TEXT,
    permalink TEXT,
    shown_version INTEGER NOT NULL DEFAULT 0,
    posting_at TEXT
) STRICT
""",
    # Who performs which attempt; an attempt without an end whose process is gone has an unknown outcome.
    """
CREATE TABLE work_attempts (
    request_id TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    owner TEXT NOT NULL,
    started_at TEXT NOT NULL,
    ended_at TEXT,
    PRIMARY KEY (request_id, attempt)
) STRICT
""",
    # Inquiries are scarce: each is written down before it is sent, and its answer is shared.
    """
CREATE TABLE work_inquiries (
    id INTEGER PRIMARY KEY,
    reference_kind TEXT NOT NULL,
    reference TEXT NOT NULL,
    session_id TEXT,
    sent_at TEXT NOT NULL,
    outcome TEXT NOT NULL,
    retry_after_seconds REAL,
    answer TEXT
) STRICT
""",
    "CREATE INDEX work_inquiries_of ON work_inquiries (reference, sent_at)",
    "CREATE INDEX work_inquiries_session ON work_inquiries (session_id, sent_at)",
    # Reference numbers that are known, and since when: a webhook proves nothing by one that was known before.
    """
CREATE TABLE work_references (
    reference TEXT PRIMARY KEY NOT NULL,
    known_at TEXT NOT NULL,
    request_id TEXT,
    source TEXT NOT NULL
) STRICT
""",
    # Operation webhooks that were kept: for a request that is executing, or as something nobody asked for.
    """
CREATE TABLE work_webhooks (
    id INTEGER PRIMARY KEY,
    request_id TEXT,
    session_id TEXT,
    order_no TEXT,
    received_at TEXT NOT NULL,
    hook TEXT NOT NULL
) STRICT
""",
    # Single facts: the account this database belongs to, a pause.
    "CREATE TABLE work_facts (name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) STRICT",
]

INDEXES = [
    # One open request per transaction, and per reference as typed before the transaction is known.
    f"""CREATE UNIQUE INDEX one_open_per_transaction ON requests (session_id)
    WHERE session_id IS NOT NULL AND state NOT IN ({FINAL_STATES})""",
    f"""CREATE UNIQUE INDEX one_open_per_reference ON requests (reference_kind, reference)
    WHERE state NOT IN ({FINAL_STATES})""",
    "CREATE INDEX requests_by_order ON requests (order_no)",
    "CREATE INDEX requests_by_requester ON requests (requester, created_at)",
    "CREATE INDEX requests_by_state ON requests (state)",
    "CREATE INDEX events_of_request ON events (request_id, seq)",
    "CREATE UNIQUE INDEX one_approval_per_person ON approvals (request_id, person) WHERE taken_back_at IS NULL",
]


def _refuse(name: str, when: str, table: str, condition: str, sentence: str) -> str:
    return (
        f"CREATE TRIGGER {name} BEFORE {when} ON {table} WHEN {condition}\nBEGIN SELECT RAISE(ABORT, '{sentence}'); END"
    )


def _changed(columns: tuple[str, ...]) -> str:
    return "(" + " OR ".join(f"NEW.{c} IS NOT OLD.{c}" for c in columns) + ")"


_LIVE = "(SELECT count(*) FROM approvals WHERE request_id = NEW.id AND taken_back_at IS NULL)"
_REQUEST = "(SELECT {} FROM requests WHERE id = NEW.request_id)"
TRIGGERS = [
    _refuse("requests_stay", "DELETE", "requests", "1", "a request is never deleted"),
    _refuse("requests_fixed", "UPDATE", "requests", _changed(FIXED), "what was asked never changes"),
    _refuse(
        "requests_terms_once",
        "UPDATE",
        "requests",
        "("
        + " OR ".join(f"(OLD.{c} IS NOT NULL AND NEW.{c} IS NOT OLD.{c})" for c in TERMS)
        + f") OR (OLD.state <> 'checking' AND {_changed(TERMS)})",
        "terms are set once, while checking",
    ),
    _refuse(
        "requests_key_once",
        "UPDATE",
        "requests",
        "OLD.tracking_key IS NOT NULL AND NEW.tracking_key IS NOT OLD.tracking_key",
        "a request has one tracking key for ever",
    ),
    _refuse(
        "requests_moves",
        "UPDATE",
        "requests",
        f"NEW.state <> OLD.state AND OLD.state || '>' || NEW.state NOT IN ({ALLOWED_MOVES})"
        " AND NOT (NEW.state = 'unknown' AND NEW.restored = 1)",
        "no such move",
    ),
    _refuse("requests_restored", "UPDATE", "requests", "NEW.restored < OLD.restored", "restored is for ever"),
    _refuse("requests_final", "UPDATE", "requests", f"OLD.state IN ({FINAL_STATES})", "a final state is immutable"),
    _refuse("requests_version", "UPDATE", "requests", "NEW.version <> OLD.version + 1", "versions go up by one"),
    _refuse("requests_begin", "INSERT", "requests", "NEW.state <> 'checking'", "a request begins in checking"),
    _refuse(
        "requests_quorum",
        "UPDATE",
        "requests",
        f"NEW.state IN ('approved', 'executing') AND OLD.state IN ('checking', 'pending', 'approved')"
        f" AND {_LIVE} < NEW.approvals_needed",
        "not enough approvals",
    ),
    _refuse(
        "requests_attempt",
        "UPDATE",
        "requests",
        "NEW.attempt <> OLD.attempt + (NEW.state = 'executing' AND OLD.state <> 'executing')",
        "an attempt is counted when it begins",
    ),
    _refuse("approvals_stay", "DELETE", "approvals", "1", "an approval is never deleted"),
    _refuse(
        "approvals_change",
        "UPDATE",
        "approvals",
        "OLD.taken_back_at IS NOT NULL OR NEW.taken_back_at IS NULL OR "
        + _changed(("id", "request_id", "person", "digest", "given_at"))
        + f" OR {_REQUEST.format('state')} <> 'pending'",
        "an approval can only be taken back, while pending",
    ),
    _refuse(
        "approvals_two_people",
        "INSERT",
        "approvals",
        f"NEW.person = {_REQUEST.format('requester')}",
        "nobody approves their own request",
    ),
    _refuse(
        "approvals_pending",
        "INSERT",
        "approvals",
        f"{_REQUEST.format('state')} IS NOT 'pending' OR {_REQUEST.format('digest')} IS NOT NEW.digest"
        " OR NEW.taken_back_at IS NOT NULL",
        "an approval is given while pending, to what was seen",
    ),
    _refuse("closings_stay", "DELETE", "closings", "1", "a proposal is never deleted"),
    _refuse(
        "closings_two_people",
        "INSERT",
        "closings",
        f"NEW.proposed_by = {_REQUEST.format('requester')} OR NEW.confirmed_by IS NOT NULL"
        f" OR NEW.version <> {_REQUEST.format('version')}",
        "a proposal is made by somebody else than the requester, for the row as it is",
    ),
    _refuse(
        "closings_confirmed",
        "UPDATE",
        "closings",
        _changed(("id", "request_id", "version", "outcome", "evidence", "proposed_by", "proposed_at"))
        + " OR OLD.confirmed_by IS NOT NULL OR NEW.confirmed_by IS NULL"
        f" OR NEW.confirmed_by = {_REQUEST.format('requester')} OR NEW.version <> {_REQUEST.format('version')}",
        "a proposal is confirmed once, by a third person, for the row as it is",
    ),
    _refuse("events_stay", "DELETE", "events", "1", "an event is never deleted"),
    _refuse("events_fixed", "UPDATE", "events", "1", "an event never changes"),
    _refuse(
        "events_chain",
        "INSERT",
        "events",
        "NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM events) OR NEW.prev <> "
        f"coalesce((SELECT hash FROM events ORDER BY seq DESC LIMIT 1), '{GENESIS}')",
        "an event follows the last one",
    ),
]


def _decimal(column: str) -> str:
    """The SQL that shows minor units as a decimal, without floating point."""
    return (
        f"CASE WHEN {column} IS NULL THEN NULL WHEN decimals = 0 THEN CAST({column} AS TEXT) WHEN decimals = 2 "
        f"THEN printf('%d.%02d', {column} / 100, {column} % 100) "
        f"ELSE printf('%d.%03d', {column} / 1000, {column} % 1000) END"
    )


VIEW = f"""
CREATE VIEW requests_readable AS SELECT
    id, state, operation, coalesce(order_no, reference) AS transaction_of,
    {_decimal("amount_minor")} AS amount, currency,
    {_decimal("answered_minor")} AS amount_answered, {_decimal("left_minor")} AS left_before,
    requester, (SELECT group_concat(person, ' ') FROM approvals
        WHERE request_id = requests.id AND taken_back_at IS NULL) AS approved_by,
    reason, detail, reference_number, tracking_key, created_at, state_at, session_id, rule_name
FROM requests
"""


STATEMENTS = [REQUESTS, APPROVALS, CLOSINGS, EVENTS, *INDEXES, *TRIGGERS, *WORK, VIEW]
# Since the second version: what ended lately is found without reading all that ever was.
INDEX_OF_TIME = "CREATE INDEX requests_by_time ON requests (state_at)"
# Since the third: how far the record had come when an inquiry was sent (0: not known, and older than anything).
HEAD_OF_INQUIRY = "ALTER TABLE work_inquiries ADD COLUMN head INTEGER NOT NULL DEFAULT 0"
# And those of the last minute, or of the future, are found without reading all that ever were.
INQUIRIES_BY_TIME = "CREATE INDEX work_inquiries_by_time ON work_inquiries (sent_at)"
