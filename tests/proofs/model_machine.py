"""The processes, the clock and the memory of the proof by a model: all but what happens in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant

from approvals.reading import Reading
from approvals.request import Ending, Operation, Outcome, Refusal, Request, State
from approvals.store import MovedOn
from tests.approvals.factories import CEM, Desk, open_desk, session
from tests.proofs.model_ottu import WORDS, Truth
from tests.proofs.model_promises import Memory, Promises, nothing_personal

WHAT = st.sampled_from(WORDS)
FIRST = st.sampled_from(["queued", "queued, unnamed", "queued, lost", "done, lost", "lost"])
ANY_FROM = 9  # from there on `_pick` takes any request, not one of those that are asked for


@dataclass(frozen=True)
class Sent:
    """An attempt that was made, and what will be heard of it."""

    request_id: str
    attempt: int
    outcome: Outcome


class Machine(RuleBasedStateMachine):
    """Seven references of six transactions, one of which is cancelled, not refunded; four people, two processes."""

    reached: ClassVar[Counter[str]] = Counter()  # over all runs: moves, endings, ways, kinds of events

    @initialize(sent=FIRST, cancelled=st.sampled_from(["done, lost", "lost"]), copied=st.booleans())
    def open(self, sent: str, cancelled: str, copied: bool) -> None:
        """A request of each kind: unread, undecided, approved; and two that were sent, of which something was heard."""
        self.stack = ExitStack()
        self.folder = Path(self.stack.enter_context(TemporaryDirectory()))
        self.ahead_seconds = 0.0  # what the database's clock is ahead of the real one
        self.owners = count(1)
        self.desk, self.other = self._process(), self._process()
        self.truth, self.memory = Truth(), Memory()
        self.under_way: list[Sent] = []
        self.unchanged: object = None
        self.copy: Memory | None = None  # the memory that belongs to the copy
        self.may_be_put_back = copied
        self.desk.ask(reference="ORD5")
        self.desk.check(self.desk.ask(reference="ORD1", asked_amount="16.000"), self._reading("ORD1"))
        self.desk.approve(self.desk.check(self.desk.ask(reference="ORD6"), self._reading("ORD6")), CEM)
        approved = self.desk.check(self.desk.ask(reference="ORD2"), self._reading("ORD2"))
        self.desk.approve(approved, CEM)
        unlinked = self.desk.ask(reference="ORD4", operation=Operation.CANCEL, asked_amount=None)
        self.desk.check(unlinked, self._reading("ORD4"))
        for name, what in ((approved.id, sent), (unlinked.id, cancelled)):
            self._sent(self.desk.execution.claim(name), what)
            if self.under_way:  # the one before may have been the end of the credentials
                self._hear(self.under_way.pop())
            self.desk.execution.accept_credentials()

    def _process(self) -> Desk:
        """Another process on the file; its database's clock is ours to set."""
        number = next(self.owners)
        desk = open_desk(self.folder, owner=f"host:{number}:1")
        numbers = count(1000 * number)
        desk.service.new_id = lambda length: f"R-{next(numbers):0{length}}"
        desk.store.database.conn.create_function("strftime", 2, self._clock)
        return desk

    def _clock(self, pattern: str, _moment: str) -> str:
        assert pattern == "%Y-%m-%dT%H:%M:%fZ"
        moment = datetime.now(UTC) + timedelta(seconds=self.ahead_seconds)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"

    def teardown(self) -> None:
        if hasattr(self, "stack"):
            with self.stack:
                self._count()
                nothing_personal(self.folder)
                self._close_all()

    def _close_all(self) -> None:
        for desk in (self.desk, self.other):
            desk.store.database.close()

    def _count(self) -> None:
        """What was reached, to see that no part lies idle."""
        for event in self.desk.store.events():
            self.reached[event.kind] += 1
            if event.from_state and event.from_state != event.to_state:
                move = f"{event.from_state}>{event.to_state}"
                self.reached[f"restored {event.from_state}" if event.kind == "restored" else move] += 1
                facts = event.facts
                way = facts.get("by", "") if not facts.get("confirms") else "two people"
                self.reached.update({f"{move} by {way}": 1} if way else {})

    def _reading(self, reference: str, *, hides: str = "") -> Reading:
        """What Ottu shows at this moment of one of the references."""
        number, now = int(reference[-1]), self.desk.store.now()
        if number == 4:
            return self.truth.show_unpaid(session(4), reference, now)
        return self.truth.show(session(number % 2 if number < 4 else number), reference, now, hides=hides)

    def _pick(self, which: int, *states: State) -> Request:
        """One of those in these states, or, now and then or where there is none, any other."""
        every = self.desk.store.select("1 ORDER BY id")
        apt = [request for request in every if request.state in states]
        chosen = apt if apt and which < ANY_FROM else every
        return chosen[which % len(chosen)]

    def _is_any(self, state: State) -> bool:
        return bool(self.desk.store.rows("SELECT 1 FROM requests WHERE state = :state LIMIT 1", state=state.value))

    def attempt(self, act: Callable[[], object]) -> None:
        """Do it, or be refused, with nothing written."""
        before = self.desk.store.head()
        try:
            act()
        except (Refusal, MovedOn):
            assert self.desk.store.head() == before

    def _sent(self, claimed: Request | None, what: str, *, forgets_key: bool = False) -> None:
        if claimed is None:
            return
        assert claimed == self.desk.row(claimed) == self.other.row(claimed)  # committed before it is sent
        assert not claimed.restored
        assert self.desk.execution.stopped() is None
        self.under_way.append(
            Sent(claimed.id, claimed.attempt, self.truth.send(claimed, what, forgets_key=forgets_key))
        )

    def _hear(self, sent: Sent) -> None:
        self.reached[f"ending {sent.outcome.ending.value}"] += 1
        self.desk.execution.settle(sent.request_id, sent.attempt, sent.outcome)
        if sent.outcome.ending is Ending.UNAUTHORIZED:
            assert self.other.execution.stopped() is not None

    # --- what is promised

    @invariant()
    def promises(self) -> None:
        """All of them, wherever this step has written a row or changed the truth."""
        connections = [desk.store.database.conn for desk in (self.desk, self.other)]
        now = (*map(id, connections), *(one.total_changes for one in connections), self.truth.changes)
        if now != self.unchanged:
            Promises(self.desk, self.truth, self.memory).hold()
            self.unchanged = now
