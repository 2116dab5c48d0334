"""Several people and several processes do whatever they like, in any order: the promises hold after every step.

Ottu is a few lines of truth beside the bot: which operation was really done, whatever was heard of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from approvals.reading import Reading
from approvals.request import MOVES, Ending, Outcome, Refusal, Request, State
from approvals.store import MovedOn

from .factories import ALICE, BOB, CEM, MEMBERS, OUT, READ, a_reading, another, open_desk, session

Sent = tuple[str, int, Ending]  # the request, the attempt, and what will be heard of it
PEOPLE = st.sampled_from([ALICE, BOB, CEM, OUT])
ASKERS = st.sampled_from([ALICE, BOB, OUT])
PAST_QUORUM = {
    State.APPROVED,
    State.EXECUTING,
    State.QUEUED,
    State.UNKNOWN,
    State.SUCCEEDED,
    State.FAILED,
    State.LAPSED,
}


@dataclass
class Truth:
    """What Ottu really did. It does an operation once for each key, and may forget to say so."""

    done: Counter[str] = field(default_factory=Counter)

    def send(self, key: str, what: str) -> Ending:
        """What is heard of one send: `lost` are the answers that never come."""
        if what in {"done", "done, lost"} and not self.done[key]:
            self.done[key] += 1
        if what == "done" or (what == "asked again" and self.done[key]):
            return Ending.SUCCEEDED
        return {
            "not sent": Ending.NOT_SENT,
            "throttled": Ending.NOT_EXECUTED,
            "refused": Ending.REFUSED,
        }.get(what, Ending.UNKNOWN)


WHAT = st.sampled_from(["done", "done, lost", "lost", "not sent", "throttled", "refused", "asked again"])


class Requests(RuleBasedStateMachine):
    """Three transactions, four people, two processes."""

    requests = Bundle("requests")
    under_way = Bundle("under_way")

    @initialize(target=requests)
    def open(self) -> MultipleResults[str]:
        """One request waits for its second person, another is approved."""
        self.stack = ExitStack()
        folder = Path(self.stack.enter_context(TemporaryDirectory()))
        self.desk = open_desk(folder)
        self.stack.callback(self.desk.store.database.close)
        self.other = self.stack.enter_context(another(self.desk))
        self.truth = Truth()
        self.seen: dict[str, dict[str, object]] = {}
        self.keys: dict[str, str] = {}
        waiting = self.desk.check(self.desk.ask(reference="ORD1", asked_amount="16.000"), self._reading("ORD1"))
        approved = self.desk.check(self.desk.ask(reference="ORD2"), self._reading("ORD2"))
        return multiple(waiting.id, self.desk.approve(approved, CEM).id)

    def teardown(self) -> None:
        if hasattr(self, "stack"):
            self.stack.close()

    def _reading(self, reference: str) -> Reading:
        """Three references, two transactions."""
        return a_reading(session_id=session(int(reference[-1]) % 2), order_no=reference)

    def _is_any(self, state: State) -> bool:
        return bool(self.desk.store.in_states(state))

    def attempt(self, act: Callable[[], object]) -> None:
        """Do it, or be refused, with nothing written."""
        before = self.desk.store.head()
        try:
            act()
        except (Refusal, MovedOn):
            assert self.desk.store.head() == before

    # --- what people do

    @rule(target=requests, number=st.integers(1, 3), person=ASKERS, amount=st.sampled_from(["5.000", "16.000"]))
    def ask(self, number: int, person: str, amount: str) -> MultipleResults[str]:
        asked: list[Request] = []
        changes: dict[str, Any] = {"reference": f"ORD{number}", "requester": person, "asked_amount": amount}
        self.attempt(lambda: asked.append(self.desk.ask(**changes)))
        return multiple(*(request.id for request in asked))

    @rule(request_id=requests)
    def check(self, request_id: str) -> None:
        read = self._reading(self.desk.row(request_id).reference)
        self.desk.service.check(request_id, read, MEMBERS)

    @rule(request_id=requests, people=st.permutations([ALICE, BOB, CEM, OUT]), stale=st.integers(0, 5))
    def approve(self, request_id: str, people: list[str], stale: int) -> None:
        """They press the button one after another; now and then it is an older card's."""
        digest = self.desk.row(request_id).digest or ""
        for person in people:
            self.attempt(partial(self._press, request_id, person, digest if stale else "0" * 32))

    def _press(self, request_id: str, person: str, digest: str) -> None:
        approved = self.desk.service.approve(request_id, person, digest, MEMBERS)
        assert digest == approved.digest

    @rule(request_id=requests, person=PEOPLE)
    def approve_alone(self, request_id: str, person: str) -> None:
        digest = self.desk.row(request_id).digest or ""
        self.attempt(lambda: self._press(request_id, person, digest))

    @rule(request_id=requests, person=PEOPLE)
    def take_back(self, request_id: str, person: str) -> None:
        self.attempt(lambda: self.desk.service.unapprove(request_id, person))

    @rule(request_id=requests, person=PEOPLE)
    def reject(self, request_id: str, person: str) -> None:
        self.attempt(lambda: self.desk.service.reject(request_id, person, "no", MEMBERS))

    @rule(request_id=requests, person=PEOPLE)
    def withdraw(self, request_id: str, person: str) -> None:
        self.attempt(lambda: self.desk.service.withdraw(request_id, person))

    # --- what the processes do

    @precondition(lambda self: self._is_any(State.APPROVED))
    @rule(target=under_way, what=WHAT)
    def send(self, what: str) -> MultipleResults[Sent]:
        approved = self.desk.store.in_states(State.APPROVED)[0]
        claimed = self.desk.execution.claim(approved.id)
        assert claimed is None or self.other.execution.claim(approved.id) is None
        return self._sent(claimed, what)

    @precondition(lambda self: self._is_any(State.UNKNOWN))
    @rule(target=under_way, person=PEOPLE, what=WHAT)
    def send_again(self, person: str, what: str) -> MultipleResults[Sent]:
        unknown = self.desk.store.in_states(State.UNKNOWN)[0]
        return self._sent(self.other.execution.claim_again(unknown.id, unknown.version, person), what)

    def _sent(self, claimed: Request | None, what: str) -> MultipleResults[Sent]:
        if claimed is None:
            return multiple()
        assert claimed == self.desk.row(claimed) == self.other.row(claimed)  # committed before it is sent
        return multiple((claimed.id, claimed.attempt, self.truth.send(claimed.tracking_key or "", what)))

    @rule(sent=consumes(under_way))
    def hear(self, sent: Sent) -> None:
        """An answer, in time or late, before or after that of another attempt."""
        request_id, attempt, ending = sent
        self.desk.execution.settle(request_id, attempt, Outcome(ending, "", 5_000, None))

    @rule(sent=under_way)
    def give_up(self, sent: Sent) -> None:
        """Its process does not come back, or not for long."""
        self.other.execution.give_up(sent[0], sent[1], "it does not answer", ended=False)

    # --- what is promised

    @invariant()
    def two_people(self) -> None:
        for request in self.desk.store.select("1"):
            people = [approval.person for approval in self.desk.store.approvals(request.id)]
            assert request.requester not in people
            assert len(set(people)) == len(people)
            if request.state in PAST_QUORUM:
                assert len(people) >= (request.approvals_needed or 0) >= 1

    @invariant()
    def what_was_seen_is_what_is_done(self) -> None:
        for request in self.desk.store.select("digest IS NOT NULL"):
            now = {name: getattr(request, name) for name in READ}
            assert self.seen.setdefault(request.id, now) == now
            assert {approval.digest for approval in self.desk.store.approvals(request.id)} <= {request.digest}

    @invariant()
    def once(self) -> None:
        requests = self.desk.store.select("1")
        for request in requests:
            if request.tracking_key:
                assert self.keys.setdefault(request.id, request.tracking_key) == request.tracking_key
        assert len(set(self.keys.values())) == len(self.keys)
        sessions = [request.session_id for request in requests if request.is_open and request.session_id]
        assert len(set(sessions)) == len(sessions)
        assert all(count == 1 for count in self.truth.done.values())

    @invariant()
    def no_answer_is_not_no(self) -> None:
        """What is said to be done is done, and what is said to have failed is not."""
        for request in self.desk.store.in_states(State.SUCCEEDED, State.FAILED):
            assert (self.truth.done[request.tracking_key or ""] == 1) is (request.state is State.SUCCEEDED)

    @invariant()
    def every_move_is_written_down(self) -> None:
        assert self.desk.differences() == []
        for request in self.desk.store.select("1"):
            events = [event for event in self.desk.store.events(request.id) if event.version is not None]
            assert [event.version for event in events] == list(range(1, request.version + 1))
            states = [State(event.to_state or "") for event in events]
            assert states[0] is State.CHECKING
            assert states[-1] is request.state
            for before, after in pairwise(states):
                assert after is before or after in MOVES[before]


Requests.TestCase.settings = settings(
    max_examples=50,
    stateful_step_count=30,
    deadline=None,  # a disk may be slow for once
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestRequests = Requests.TestCase
