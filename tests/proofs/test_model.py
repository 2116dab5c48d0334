"""The short form of the proof by a model: few examples, always the same, that must reach all there is to reach."""

from __future__ import annotations

from approvals.request import MOVES, OPEN, Ending, State
from tests.proofs.model import run

EXAMPLES = 150
# The table allows it; the program counts what was proven not sent when the attempt ends, and fails it from `executing`.
UNUSED = {"approved>failed"}
WAYS = {
    "queued>succeeded by webhook",
    "queued>failed by webhook",
    "queued>succeeded by reading",
    "queued>failed by reading",
    "queued>succeeded by two people",
    "queued: by its child",
    "queued: by children",
    "queued: overdue",
    "unknown>succeeded by webhook",
    "unknown>succeeded by reading",
    "unknown>succeeded by two people",
    "unknown>failed by two people",
    "unknown>queued by reading",
    "unknown>queued by webhook",
    "unknown>failed by reading",
    "pending>withdrawn by webhook",
}


def test_a_run_keeps_every_promise_and_leaves_no_part_idle() -> None:
    """Every move, every ending of an attempt, every way out of doubt, and every state that a copy may be in."""
    figures = run(EXAMPLES)
    assert figures.failures == []
    moves = {f"{before}>{after}" for before, following in MOVES.items() for after in following}
    endings = {f"ending {ending}" for ending in Ending}
    restored = {f"restored {state}" for state in OPEN - {State.UNKNOWN}}
    assert (moves - UNUSED | endings | restored | WAYS) - figures.counted.keys() == set()
    assert not UNUSED & figures.counted.keys()
