"""Answers to an attempt, and what became of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from approvals.request import Ending, Outcome, Request

from .factories import CEM, Desk, found


def answer(ending: Ending, **changes: Any) -> Outcome:
    """What was read of an answer: of the whole amount, with a reference where there would be one."""
    done = ending in {Ending.SUCCEEDED, Ending.QUEUED, Ending.DISAGREES}
    outcome = Outcome(ending, f"Ottu: {ending}", 5_000 if done else None, "REF1" if done else None)
    return replace(outcome, **changes)


def sent_again(desk: Desk) -> Request:
    """Under way for the second time, after a first that nobody can tell of."""
    first = desk.claimed()
    unknown = desk.execution.settle(first.id, 1, answer(Ending.UNKNOWN))
    return found(desk.execution.claim_again(first.id, unknown.version, CEM))


def alarms(desk: Desk) -> list[str]:
    return [event.facts["why"] for event in desk.store.events() if event.kind == "alarm"]
