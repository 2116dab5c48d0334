"""What a request is: its states, the moves between them, its terms, and the digest that a button carries.

Pure: no clock, no database, no network. Everything here is data or a function of its arguments.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from enum import StrEnum


class Operation(StrEnum):
    """What can be asked of a transaction. The names are Ottu's own."""

    REFUND = "refund"  # money back to the payer
    CAPTURE = "capture"  # take money that is held
    VOID = "void"  # release the hold, always in full
    CANCEL = "cancel"  # close an unpaid transaction (internal to Ottu)
    EXPIRE = "expire"  # the same for a link whose time is over (internal to Ottu)
    DELETE = "delete"  # remove the transaction from Ottu (internal to Ottu)
    INQUIRY = "inquiry"  # a read: never a request, never approved

    @property
    def moves_money(self) -> bool:
        """True for the operations that reach the payment gateway."""
        return self in MONEY_OPERATIONS


MONEY_OPERATIONS = frozenset({Operation.REFUND, Operation.CAPTURE, Operation.VOID})
AMOUNT_OPERATIONS = frozenset({Operation.REFUND, Operation.CAPTURE})  # only these read an amount


class State(StrEnum):
    """Where a request stands."""

    CHECKING = "checking"  # accepted and on disk; the transaction is being read from Ottu; no card yet
    PENDING = "pending"  # the card with the buttons is in the channel
    APPROVED = "approved"  # quorum reached
    EXECUTING = "executing"  # intent committed; the call may be under way
    QUEUED = "queued"  # the gateway took the refund, the bank decides
    UNKNOWN = "unknown"  # we cannot tell
    REFUSED = "refused"  # not possible, or not allowed; final, like all below
    REJECTED = "rejected"  # an approver said no
    WITHDRAWN = "withdrawn"  # taken back by the requester, or by the bot because somebody else acted on the transaction
    EXPIRED = "expired"  # nobody decided in time
    LAPSED = "lapsed"  # approved, but not started in time
    SUCCEEDED = "succeeded"  # proven done
    FAILED = "failed"  # proven not done


MOVES: dict[State, frozenset[State]] = {
    State.CHECKING: frozenset({State.PENDING, State.APPROVED, State.REFUSED, State.WITHDRAWN, State.EXPIRED}),
    State.PENDING: frozenset({State.APPROVED, State.REJECTED, State.WITHDRAWN, State.EXPIRED}),
    State.APPROVED: frozenset({State.EXECUTING, State.WITHDRAWN, State.LAPSED, State.FAILED}),
    State.EXECUTING: frozenset({State.SUCCEEDED, State.FAILED, State.QUEUED, State.UNKNOWN, State.APPROVED}),
    State.QUEUED: frozenset({State.SUCCEEDED, State.FAILED, State.UNKNOWN}),
    State.UNKNOWN: frozenset({State.SUCCEEDED, State.FAILED, State.QUEUED, State.EXECUTING}),
    State.REFUSED: frozenset(),
    State.REJECTED: frozenset(),
    State.WITHDRAWN: frozenset(),
    State.EXPIRED: frozenset(),
    State.LAPSED: frozenset(),
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset(),
}
FINAL = frozenset(state for state, following in MOVES.items() if not following)
OPEN = frozenset(MOVES) - FINAL


class Refusal(Exception):
    """Somebody asked for what is not possible or not allowed. The text is for that person: what happened, what to do.

    `kind` is a short word for the record (`self_approval`, `not_allowed`, `stale_button` …).
    """

    def __init__(self, sentence: str, *, kind: str) -> None:
        super().__init__(sentence)
        self.kind = kind


class Ending(StrEnum):
    """How one attempt to execute a request ended, as far as the answer proves it."""

    NOT_SENT = "not_sent"  # no byte of it can have reached Ottu
    NOT_EXECUTED = "not_executed"  # Ottu throttled it before looking at it (429)
    SUCCEEDED = "succeeded"  # read as success, and agrees with what was approved
    QUEUED = "queued"  # the gateway took it, the bank decides
    FAILED = "failed"  # agrees, and says failed or rejected without contradiction
    REFUSED = "refused"  # a readable refusal (400, 403, 404, 405, 422)
    UNAUTHORIZED = "unauthorized"  # the credentials were refused (401)
    DISAGREES = "disagrees"  # success or queued, but of something else than was approved
    UNKNOWN = "unknown"  # anything else: no answer is not "no"


# What an ending means where no other attempt of the request can have reached Ottu …
AFTER_FIRST: dict[Ending, State] = {
    Ending.NOT_SENT: State.APPROVED,
    Ending.NOT_EXECUTED: State.APPROVED,
    Ending.SUCCEEDED: State.SUCCEEDED,
    Ending.QUEUED: State.QUEUED,
    Ending.FAILED: State.FAILED,
    Ending.REFUSED: State.FAILED,
    Ending.UNAUTHORIZED: State.FAILED,
    Ending.DISAGREES: State.UNKNOWN,
    Ending.UNKNOWN: State.UNKNOWN,
}
# … and where another one may have: then a "no" may be the answer to that one's success.
AFTER_ANOTHER: dict[Ending, State] = {
    ending: state if ending in {Ending.SUCCEEDED, Ending.QUEUED} else State.UNKNOWN
    for ending, state in AFTER_FIRST.items()
}


@dataclass(frozen=True)
class Outcome:
    """The end of one attempt, translated from the gateway's words. Amounts in minor units of the request's currency."""

    ending: Ending
    detail: str = ""  # one sentence for people
    answered_minor: int | None = None
    reference_number: str | None = None
    child_session_id: str | None = None  # of the refund that the answer says is queued
    retry_after_seconds: float | None = None


@dataclass(frozen=True)
class Submission:
    """What somebody asked for, before anything was read from Ottu."""

    origin: str  # key of the payload that asked: one payload makes at most one request
    requester: str
    team: str
    channel: str
    operation: Operation
    reference_kind: str  # "order" or "session"
    reference: str
    asked_amount: str | None = None  # as typed, or "full"
    asked_currency: str | None = None
    destination: str = "pg"  # "pg" or "wallet"
    reason: str = ""


@dataclass(frozen=True)
class Request:
    """One row of `requests`: the same names, the same order. Times are UTC in ISO 8601 with milliseconds."""

    id: str
    origin: str
    created_at: str
    requester: str
    team: str
    channel: str
    operation: Operation
    reference_kind: str
    reference: str
    asked_amount: str | None
    asked_currency: str | None
    destination: str
    reason: str
    session_id: str | None
    order_no: str | None
    amount_minor: int | None
    currency: str | None
    decimals: int | None
    transaction_state: str | None
    transaction_minor: int | None
    taken_minor: int | None
    refunded_minor: int | None
    queued_minor: int | None
    left_minor: int | None
    children: str | None
    figures_at: str | None
    is_sandbox: int | None
    gateway: str | None
    rule_name: str | None
    rule_text: str | None
    rule_hash: str | None
    approvals_needed: int | None
    digest: str | None
    state: State
    state_at: str
    version: int
    expires_at: str
    quorum_at: str | None
    tracking_key: str | None
    attempt: int
    doubtful_attempt: int | None
    misses: int
    detail: str | None
    answered_minor: int | None
    reference_number: str | None
    restored: int = 0  # 1: it was open in a database that was put back from a copy; never sent again

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    @property
    def is_full(self) -> bool | None:
        """Does it take all that was left? None where that is not known."""
        if self.operation is Operation.VOID:
            return True
        if self.operation not in AMOUNT_OPERATIONS or self.left_minor is None:
            return None
        return self.amount_minor == self.left_minor

    @property
    def is_self_limiting(self) -> bool:
        """Would the gateway refuse it a second time, because it takes all there is? Not so with a wallet's refund."""
        return bool(self.is_full) and self.destination == "pg"

    @property
    def left_after_minor(self) -> int | None:
        """What is left once this one has succeeded; None where it was not checked."""
        if self.left_minor is None or self.amount_minor is None:
            return None
        return self.left_minor - self.amount_minor


# What the digest covers: the terms and the figures a person saw, not the state and not the approvals.
SEEN = (
    "id",
    "operation",
    "reference_kind",
    "reference",
    "destination",
    "reason",
    "session_id",
    "order_no",
    "amount_minor",
    "currency",
    "transaction_state",
    "transaction_minor",
    "taken_minor",
    "refunded_minor",
    "queued_minor",
    "left_minor",
    "figures_at",
)


def digest(seen: dict[str, object]) -> str:
    """The digest that a button carries: 32 hex digits over the fields in SEEN."""
    text = json.dumps([seen[name] for name in SEEN], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def as_row(request: Request) -> dict[str, object]:
    """The request as its row: plain values by column name."""
    return {name: value.value if isinstance(value, StrEnum) else value for name, value in asdict(request).items()}
