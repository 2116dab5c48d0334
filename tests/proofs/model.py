"""Several people and several processes do whatever they like, in any order: the promises hold after every step.

The real store on disk, by two connections, against a model: Ottu is a few lines of truth beside the bot, which know
what was really done, whatever was heard of it. The database's clock jumps; processes die in the middle of a
transaction.
Run it: `python -m tests.proofs.model [examples] [seed]`.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from hypothesis import HealthCheck, seed, settings
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
    run_state_machine_as_test,
)

from approvals.closing import Closing, Found
from approvals.hooks import Hook
from approvals.reading import Child, Reading
from approvals.request import FINAL, MOVES, Ending, Operation, Outcome, Refusal, Request, State
from approvals.store import MovedOn
from tests.approvals.factories import ALICE, BOB, CEM, MEMBERS, OUT, READ, Desk, a_reading, open_desk, session
from tests.approvals.hooked import a_hook, unsigned
from tests.proofs.figures import Figures

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

    done: Counter[str] = field(default_factory=Counter)  # by Tracking-Key
    children: dict[str, list[Child]] = field(default_factory=lambda: defaultdict(list))  # by session id
    cancelled: set[str] = field(default_factory=set)  # session ids

    def send(self, request: Request, what: str) -> Ending:
        """What is heard of one send: `lost` are the answers that never come."""
        key = request.tracking_key or ""
        if what in {"done", "done, lost"} and not self.done[key]:
            self.done[key] += 1
            self._do(request)
        if what == "done" or (what == "asked again" and self.done[key]):
            return Ending.SUCCEEDED
        return {
            "not sent": Ending.NOT_SENT,
            "throttled": Ending.NOT_EXECUTED,
            "refused": Ending.REFUSED,
            "unauthorized": Ending.UNAUTHORIZED,
            "disagreeing": Ending.DISAGREES,
        }.get(what, Ending.UNKNOWN)

    def _do(self, request: Request) -> None:
        name = request.session_id or ""
        if request.operation is Operation.CANCEL:
            self.cancelled.add(name)
        else:
            self.children[name].append(Child(f"{len(self.done):040x}", "refunded", request.amount_minor or 0))


WHAT = st.sampled_from(
    [
        "done",
        "done, lost",
        "done, lost",
        "lost",
        "not sent",
        "throttled",
        "refused",
        "unauthorized",
        "disagreeing",
        "asked again",
    ]
)


class Requests(RuleBasedStateMachine):
    """Three transactions, one of which is cancelled rather than refunded; four people, two processes."""

    reached: ClassVar[Counter[str]] = Counter()  # kinds of events, over all runs: to see that no part lies idle
    requests = Bundle("requests")
    under_way = Bundle("under_way")

    @initialize(target=requests, lost=st.sampled_from(["done, lost", "lost"]))
    def open(self, lost: str) -> MultipleResults[str]:
        """One request waits for its second person, another is approved, a third was sent, and not answered."""
        self.stack = ExitStack()
        self.folder = Path(self.stack.enter_context(TemporaryDirectory()))
        self.ahead_seconds = 0.0  # what the database's clock is ahead of the real one
        self.owners = count(1)
        self.desk, self.other = self._process(), self._process()
        self.truth = Truth()
        self.seen: dict[str, dict[str, object]] = {}
        self.keys: dict[str, str] = {}
        self.ended: dict[str, Request] = {}
        waiting = self.desk.check(self.desk.ask(reference="ORD1", asked_amount="16.000"), self._reading("ORD1"))
        approved = self.desk.check(self.desk.ask(reference="ORD2"), self._reading("ORD2"))
        self.desk.approve(approved, CEM)
        unlinked = self.desk.ask(reference="ORD4", operation=Operation.CANCEL, asked_amount=None)
        self.desk.check(unlinked, self._reading("ORD4"))
        claimed = self.desk.execution.claim(unlinked.id)
        assert claimed is not None
        self.desk.execution.settle(claimed.id, 1, Outcome(self.truth.send(claimed, lost)))
        return multiple(waiting.id, approved.id, unlinked.id)

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
            self.reached.update(event.kind for event in self.desk.store.events())
            for desk in (self.desk, self.other):
                desk.store.database.close()
            self.stack.close()

    def _reading(self, reference: str) -> Reading:
        """What Ottu shows at this moment: four references, three transactions."""
        number = int(reference[-1])
        name = session(number % 2 if number < 4 else 4)
        now = self.desk.store.now()
        if number == 4:
            state = "canceled" if name in self.truth.cancelled else "pending"
            unpaid: dict[str, Any] = {"settled_minor": None, "refunded_minor": None, "children": None}
            return a_reading(session_id=name, order_no=reference, state=state, read_at=now, **unpaid)
        children = tuple(self.truth.children[name])
        figures: dict[str, Any] = {"amount_minor": 200_000, "settled_minor": 200_000, "refunded_minor": None}
        return a_reading(session_id=name, order_no=reference, children=children, read_at=now, **figures)

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

    @rule(target=requests, number=st.integers(1, 4), person=ASKERS, amount=st.sampled_from(["5.000", "16.000"]))
    def ask(self, number: int, person: str, amount: str) -> MultipleResults[str]:
        asked: list[Request] = []
        changes: dict[str, Any] = {"reference": f"ORD{number}", "requester": person, "asked_amount": amount}
        if number == 4:
            changes |= {"operation": Operation.CANCEL, "asked_amount": None}
        self.attempt(lambda: asked.append(self.desk.ask(**changes)))
        return multiple(*(request.id for request in asked))

    @rule(request_id=requests)
    def ask_by_the_same_payload(self, request_id: str) -> None:
        """Slack sends it again, to the other process: it is the same request, whatever became of it."""
        before, first = self.desk.store.head(), self.desk.row(request_id)
        asked = {name: getattr(first, name) for name in ("origin", "requester", "reference", "asked_amount")}
        assert self.other.ask(operation=first.operation, **asked) == first
        assert self.desk.store.head() == before

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

    @rule(request_id=requests, people=st.permutations([ALICE, BOB, CEM, OUT]), wrong=st.booleans())
    def close(self, request_id: str, people: list[str], wrong: bool) -> None:
        """They look, and say what they saw; Bob may be wrong, and is the only one."""
        for person in people:
            is_done = self.truth.done[self.desk.row(request_id).tracking_key or ""] == 1
            says = "succeeded" if is_done is not (wrong and person == BOB) else "failed"
            self.attempt(partial(self._say, request_id, person, says))

    def _say(self, request_id: str, person: str, says: str) -> None:
        Closing(self.other.service).close(request_id, person, says, "looked", MEMBERS, may_fail=True)

    @rule(person=PEOPLE, wanted=st.sampled_from(["pause", "resume", "resume"]))
    def stop_or_go_on(self, person: str, wanted: str) -> None:
        if wanted == "pause":
            self.attempt(lambda: self.desk.execution.pause(person, "to look"))
        else:
            self.attempt(lambda: self.other.execution.resume(person))
            self.desk.execution.accept_credentials()

    # --- time

    @rule(hours=st.sampled_from([-1, 0.25, 0.25, 0.5, 2, 25, 15 * 24]))
    def clock_jumps(self, hours: float) -> None:
        """The database's clock is set, forward or back."""
        self.ahead_seconds += hours * 3600

    @rule(request_id=requests)
    def time_is_over(self, request_id: str) -> None:
        """The timers ring, for the other process, rightly or not."""
        self.other.service.expire(request_id)
        self.other.service.lapse(request_id)
        Closing(self.other.service).overdue(request_id)

    # --- what Ottu tells by itself

    @rule(request_id=requests, how=st.sampled_from(["right", "right", "forged", "another amount", "of a payment"]))
    def webhook(self, request_id: str, how: str) -> None:
        """Of an operation that was done, once more or for the first time; or one that proves nothing."""
        request = self.desk.row(request_id)
        if request.amount_minor is None or (how == "right" and not self.truth.done[request.tracking_key or ""]):
            return
        told = self._hook(request, how)
        before = self.desk.row(request_id)
        self.other.execution.hooks.receive(told)
        after = self.desk.row(request_id)
        if how != "right":
            assert after.state is before.state or after.state is State.WITHDRAWN  # nobody's, on its transaction

    def _hook(self, request: Request, how: str) -> Hook:
        own = {"order_no": request.order_no, "session_id": request.session_id, "amount": "5.000"}
        own["amount"] = f"{(request.amount_minor or 0) / 1000:.3f}"
        reference = f"REF-{request.tracking_key}" if how == "right" else f"REF-{how}-{request.id}"
        changes: dict[str, dict[str, Any]] = {
            "forged": {"signed": unsigned("result")},
            "another amount": {"amount": "1.000"},
            "of a payment": {"signed": ("amount", "order_no", "reference_number", "result", "state"), "state": "paid"},
        }
        return a_hook(**{**own, "reference_number": reference, **changes.get(how, {})})

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
        """By the button, where it is offered and by whom it may be pressed; a cancel once by itself."""
        unknown = self.desk.store.in_states(State.UNKNOWN)[0]
        closing = Closing(self.other.service)
        if unknown.operation.moves_money:
            try:
                closing.check_resend(unknown, person, MEMBERS)
            except Refusal:
                return multiple()
        elif not closing.may_send_again(unknown):
            return multiple()
        actor = "bot" if person == unknown.requester else person  # `check_resend` has refused the requester before
        return self._sent(self.other.execution.claim_again(unknown.id, unknown.version, actor), what)

    def _sent(self, claimed: Request | None, what: str) -> MultipleResults[Sent]:
        if claimed is None:
            return multiple()
        assert claimed == self.desk.row(claimed) == self.other.row(claimed)  # committed before it is sent
        return multiple((claimed.id, claimed.attempt, self.truth.send(claimed, what)))

    @rule(sent=consumes(under_way))
    def hear(self, sent: Sent) -> None:
        """An answer, in time or late, before or after that of another attempt."""
        request_id, attempt, ending = sent
        amount = self.desk.row(request_id).amount_minor
        self.desk.execution.settle(request_id, attempt, Outcome(ending, "", amount, None))

    @rule(sent=under_way)
    def give_up(self, sent: Sent) -> None:
        """Its process does not come back, or not for long."""
        self.other.execution.give_up(sent[0], sent[1], "it does not answer", ended=False)

    @precondition(lambda self: self._is_any(State.UNKNOWN))
    @rule()
    def look(self) -> None:
        """One reads what became of it."""
        unknown = self.desk.store.in_states(State.UNKNOWN)[0]
        closing, read = Closing(self.other.service), self._reading(unknown.reference)
        found = (closing.by_children if unknown.operation.moves_money else closing.by_state)(unknown.id, read)
        if found is Found.NOTHING_NEW:
            assert not self.truth.done[unknown.tracking_key or ""]

    @rule(
        request_id=requests,
        person=PEOPLE,
        act=st.sampled_from(["approve", "claim", "settle", "withdraw", "ask", "pause"]),
    )
    def crash(self, request_id: str, person: str, act: str) -> None:
        """A process dies in the middle of a transaction. Another takes its place, and gives up what it was sending."""
        before, owner = self.other.store.head(), self.desk.work.owner
        self.desk.sql("BEGIN IMMEDIATE")
        with suppress(Refusal, MovedOn):
            self._half(request_id, person, act)
        self.desk.store.database.close()
        self.desk = self._process()
        assert self.desk.store.head() == before
        for attempt in self.desk.work.attempts_under_way():
            if attempt.owner == owner:
                self.desk.execution.give_up(attempt.request_id, attempt.attempt, "it ended")

    def _half(self, request_id: str, person: str, act: str) -> None:
        row = self.desk.row(request_id)
        acts: dict[str, Callable[[], object]] = {
            "approve": lambda: self.desk.service.approve(request_id, person, row.digest or "", MEMBERS),
            "claim": lambda: self.desk.execution.claim(request_id),
            "settle": lambda: self.desk.execution.settle(request_id, row.attempt, Outcome(Ending.SUCCEEDED, "", 5_000)),
            "withdraw": lambda: self.desk.service.withdraw(request_id, row.requester),
            "ask": lambda: self.desk.ask(reference="ORD9"),
            "pause": lambda: self.desk.execution.pause(person, ""),
        }
        acts[act]()

    # --- what is promised

    @invariant()
    def two_people(self) -> None:
        for request in self.desk.store.select("1"):
            people = [approval.person for approval in self.desk.store.approvals(request.id)]
            assert request.requester not in people
            assert len(set(people)) == len(people)
            if request.state in PAST_QUORUM:
                needed = request.approvals_needed or 0
                assert len(people) >= needed >= (1 if request.operation.moves_money else 0)
            assert OUT not in [*people, request.requester]  # who is in no group may do nothing
        for closed in self.desk.store.rows("SELECT * FROM closings"):
            pair = {closed["proposed_by"], closed["confirmed_by"]} - {None}
            assert len(pair) == (2 if closed["confirmed_by"] else 1)
            assert not pair & {OUT, self.desk.row(closed["request_id"]).requester}

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
    def final_is_final(self) -> None:
        for request in self.desk.store.in_states(*FINAL):
            assert self.ended.setdefault(request.id, request) == request

    @invariant()
    def nothing_is_lost(self) -> None:
        """Each open request has what will carry it on, on disk; each card is to be brought to its row."""
        jobs = self.desk.jobs()
        carries = {
            State.CHECKING: "check",
            State.PENDING: "expire",
            State.APPROVED: "execute",
            State.UNKNOWN: "close",
            State.QUEUED: "queued",
        }
        under_way = {(a.request_id, a.attempt) for a in self.desk.work.attempts_under_way()}
        for request in self.desk.store.select("1"):
            if request.state in carries:
                assert f"{carries[request.state]}:{request.id}" in jobs
            if request.state is State.EXECUTING:
                assert (request.id, request.attempt) in under_way
            assert request.digest is None or f"card:{request.id}" in jobs

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


def with_examples(number: int, steps: int = 30) -> settings:
    """So many runs of so many steps."""
    return settings(
        max_examples=number,
        stateful_step_count=steps,
        deadline=None,  # a disk may be slow for once
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )


def run(examples: int, number: int = 1) -> Figures:
    """So many examples; a failing one is made small by hypothesis, and printed with what replays it."""
    begun, failures = time.monotonic(), []
    try:
        run_state_machine_as_test(seed(number)(Requests), settings=with_examples(examples, 50))
    except Exception as error:
        notes = "\n".join(getattr(error, "__notes__", []))
        where = "".join(traceback.format_tb(error.__traceback__)[-3:])
        replay = f"python -m tests.proofs.model {examples} {number}"
        failures.append(f"{replay}: {error!r}\n{where}\n{notes}")
    counted = {"examples": examples, "steps at most in each": 50, **Requests.reached, "broken": len(failures)}
    return Figures("model", number, time.monotonic() - begun, counted, failures)


if __name__ == "__main__":
    figures = run(*(int(word) for word in sys.argv[1:3] or ["200"]))
    print(figures)
    sys.exit(bool(figures.failures))
