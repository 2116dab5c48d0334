"""The short form of the proof by a model: few examples, always the same, that must reach all there is to reach."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from approvals.request import MOVES, OPEN, Ending, State
from tests.approvals.factories import ALICE, BOB, CEM
from tests.proofs.model import Requests, run

EXAMPLES = 50
MOST_RUNS = 12
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
    """Every move, every ending of an attempt, every way out of doubt, and every state that a copy may be in.

    The rarest come a few times in so many examples, and the clock plays a part: where one did not come, there are more.
    """
    moves = {f"{before}>{after}" for before, following in MOVES.items() for after in following}
    endings = {f"ending {ending}" for ending in Ending}
    restored = {f"restored {state}" for state in OPEN - {State.UNKNOWN}}
    idle = moves - UNUSED | endings | restored | WAYS
    for number in range(1, MOST_RUNS + 1):
        figures = run(EXAMPLES, number)
        assert figures.failures == []
        assert not UNUSED & figures.counted.keys()
        idle -= figures.counted.keys()
        if not idle:
            return
    raise AssertionError(f"never reached: {idle}")


@contextmanager
def some_requests(cancelled: str) -> Iterator[Requests]:
    """A refund of which nothing was heard, though it is done; and a cancelled link."""
    state = Requests()
    state.open(sent="done, lost", cancelled=cancelled, copied=False)
    try:
        yield state
    finally:
        state.teardown()


def test_what_the_model_found_at_length() -> None:
    """A refund that people called done; a payment's webhook that looks like its own; an equal refund that is lost; and
    then the late webhook of the first."""
    with some_requests(cancelled="lost") as state:
        state.close(which=0, people=[CEM, BOB], wrong=False, may_fail=True)
        state.webhook(which=0, how="of a payment")
        state.ask(number=2, person=ALICE, amount="5.000", destination="pg", then="lost", is_heard=False)
        state.give_up(which=0)
        state.webhook(which=0, how="right")
        state.promises()


def test_what_the_model_found_once() -> None:
    """A refund is done, which a reading proves; an equal one is sent, and lost; then comes the webhook of the first."""
    with some_requests(cancelled="done, lost") as state:
        state.look(which=0, is_another=0)
        state.ask(number=2, person=ALICE, amount="5.000", destination="pg", then="lost", is_heard=False)
        state.give_up(which=0)
        state.webhook(which=0, how="right")
        state.promises()
