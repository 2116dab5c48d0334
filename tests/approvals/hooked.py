"""Webhooks of one refund, and what a request was before they came."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from approvals.hooks import Hook
from approvals.reading import Reading
from approvals.request import Ending, Outcome, Request

from .factories import SESSION, Desk, a_reading

REFERENCE = "REF-1"
SIGNED = ("amount", "order_no", "reference_number", "result")
NO_ANSWER = Outcome(Ending.UNKNOWN, "no answer")
QUEUED = Outcome(Ending.QUEUED, "the bank decides", 5_000, "REF-QUEUED")
HELD = {"state": "authorized", "settled_minor": 0, "refunded_minor": 0, "children": ()}


def a_hook(**changes: Any) -> Hook:
    """The webhook of that refund of 5.000 of ORD123, done: all is signed that Ottu signs of an operation."""
    return replace(
        Hook(
            signed=SIGNED,
            ending=Ending.SUCCEEDED,
            order_no="ORD123",
            session_id=SESSION,
            operation="refund",
            amount="5.000",
            currency="KWD",
            result="success",
            state=None,
            child_state="refunded",
            reference_number=REFERENCE,
            source="input",
        ),
        **changes,
    )


REJECTED = a_hook(ending=Ending.FAILED, result="rejected", child_state="refund_rejected")
CAPTURED = a_hook(operation="capture", child_state="paid", signed=(*SIGNED, "state"), state="paid")


def unsigned(*names: str) -> tuple[str, ...]:
    return tuple(name for name in SIGNED if name not in names)


def an_unknown(desk: Desk, **changes: Any) -> Request:
    """A refund that was sent, and of which nothing was heard."""
    claimed = desk.claimed(read_now(desk), **changes)
    return desk.execution.settle(claimed.id, claimed.attempt, NO_ANSWER)


def read_now(desk: Desk, **changes: Any) -> Reading:
    return a_reading(read_at=desk.store.now(), **changes)


def heard(desk: Desk, request: Request, hook: Hook) -> Request:
    """The row after the webhook, of which nothing but a move may have changed it."""
    desk.execution.hooks.receive(hook)
    after = desk.row(request)
    assert after.state is not request.state or after == request
    assert desk.differences() == []
    return after


def alarms(desk: Desk) -> list[dict[str, Any]]:
    return [event.facts for event in desk.store.events() if event.kind == "alarm"]


def due_now(desk: Desk, key: str) -> bool:
    job = desk.work.find(key)
    return job is not None and key in desk.jobs() and job.due_at <= desk.store.now()
