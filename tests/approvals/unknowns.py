"""Requests whose outcome is unknown, and what Ottu shows of their transactions."""

from __future__ import annotations

from typing import Any

from approvals.reading import Child, Reading
from approvals.request import Ending, Operation, Outcome, Request

from .factories import (
    BOB,
    CEM,
    Desk,
    a_reading,
    found,
    session,
)

REFUND, CAPTURE, VOID = Operation.REFUND, Operation.CAPTURE, Operation.VOID


def child(state: str, minor: int = 5_000, number: int | None = 1) -> Child:
    """A child of that state; `number` None: Ottu did not say its session id."""
    return Child(None if number is None else session(number), state, minor)


def now(desk: Desk, *children: Child, **changes: Any) -> Reading:
    """What Ottu shows at this moment."""
    return a_reading(children=children, refunded_minor=None, read_at=desk.store.now(), **changes)


def unanswered(desk: Desk, request: Request, ending: Ending = Ending.UNKNOWN) -> Request:
    return desk.execution.settle(request.id, request.attempt, Outcome(ending, "no answer"))


def an_unknown(desk: Desk, *children: Child, operation: Operation = REFUND, **changes: Any) -> Request:
    """Sent and not answered; `children` were there when the card was made. Of 20.000, 5.000 are asked, or all."""
    changes.setdefault("asked_amount", None if operation is VOID else "5.000")
    return sent(desk, now(desk, *children, **payment_of(operation)), operation=operation, **changes)


def payment_of(operation: Operation) -> dict[str, Any]:
    """What a payment must be for the operation, where that is not `paid`."""
    return {} if operation is REFUND else {"state": "authorized", "settled_minor": 0}


def sent(desk: Desk, read: Reading, **changes: Any) -> Request:
    """Asked by Alice, approved by as many as the rule wants, sent, and not answered."""
    request = desk.pending(read, **changes)
    request = desk.approve(request, *(CEM, BOB)[: request.approvals_needed])
    return unanswered(desk, found(desk.execution.claim(request.id)))


def an_unlinked(desk: Desk, operation: Operation = Operation.CANCEL, state: str = "pending") -> Request:
    """An internal operation, which needs no approval, not answered."""
    read = now(desk, state=state)
    request = desk.check(desk.ask(operation=operation, asked_amount=None), read)
    return unanswered(desk, found(desk.execution.claim(request.id)))
