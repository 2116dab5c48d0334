"""Faults on demand: what the next calls meet."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sandbox.ottu_answers import Outcome

Endpoint = Literal["operation", "inquiry", "retrieve"]
Kind = Literal[
    "slow",  # nothing but the two delays, which every other kind may have too
    "drop_before",  # the connection closes and nothing was done
    "drop_after",  # the money moved, then the connection closes
    "status",  # another status, before or after the money
    "garbage",  # 200, and not JSON
    "dripping",  # the right answer, a byte at a time
    "disagree",  # the answer speaks of another amount, session or operation
    "queued",  # the bank decides the refund later
    "rejected",  # the bank said no to the refund
    "failed",  # the gateway said no: 200, and no child
    "unauthorized",
    "throttled",
    "tracking",  # 400 of the look-up by Tracking-Key; says nothing of the operation
]
NEVER_DONE = frozenset({"drop_before", "unauthorized", "throttled", "tracking"})
OUTCOMES: dict[str, Outcome] = {"queued": "queued", "rejected": "rejected", "failed": "failed"}


class Fault(BaseModel):
    """One fault, for the next `count` calls that fit. For `status` and `garbage`, `when` says whether money moves."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    endpoint: Endpoint = "operation"
    count: int = Field(default=1, ge=1, le=1000)
    match: str | None = None  # a session id or order number; None fits every call
    operation: str | None = None  # refund, capture …; None fits every operation
    seconds_before: float = Field(default=0.0, ge=0, le=600)  # the gateway's time, before the money
    seconds_after: float = Field(default=0.0, ge=0, le=600)  # between the money and the answer
    when: Literal["before", "after"] = "after"
    status: int = Field(default=502, ge=200, le=599)
    body: Any = None  # JSON in place of the one that goes with the status
    retry_after: str | None = None  # the header, on `status` and `throttled`
    drip_seconds: float = Field(default=1.0, gt=0, le=60)  # between two bytes
    changes: dict[str, Any] = {"amount": "0.001"}  # what a disagreeing answer says instead; objects are merged

    @property
    def does_nothing(self) -> bool:
        """True when the call is answered, or dropped, without being carried out."""
        return self.kind in NEVER_DONE or (self.kind in {"status", "garbage"} and self.when == "before")

    @property
    def outcome(self) -> Outcome | None:
        """What the gateway is made to say; None leaves it alone."""
        return OUTCOMES.get(self.kind)

    def fits(self, endpoint: Endpoint, references: set[str], operation: str | None) -> bool:
        """Whether this call meets the fault. Only a refund can be queued or rejected by the bank."""
        if self.kind in {"queued", "rejected"} and operation != "refund":
            return False
        return (
            self.endpoint == endpoint
            and (self.match is None or self.match in references)
            and (self.operation is None or self.operation == operation)
        )


class FaultQueue:
    """Faults in the order of their making; the first that fits is taken."""

    MOST = 1000

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        """ValueError when there are too many."""
        if len(self._faults) >= self.MOST:
            raise ValueError(f"the sandbox keeps at most {self.MOST} faults")
        self._faults.append(fault)
        return fault

    def clear(self) -> None:
        self._faults.clear()

    def waiting(self) -> list[Fault]:
        """Those that no call has met yet, `count` being what is left of each."""
        return list(self._faults)

    def take(self, endpoint: Endpoint, references: set[str], operation: str | None = None) -> Fault | None:
        """The fault that this call meets, counted down; None: all is well."""
        for position, fault in enumerate(self._faults):
            if not fault.fits(endpoint, references, operation):
                continue
            if fault.count == 1:
                del self._faults[position]
            else:
                self._faults[position] = fault.model_copy(update={"count": fault.count - 1})
            return fault
        return None
