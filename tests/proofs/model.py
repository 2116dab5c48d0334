"""Several people and several processes do whatever they like, in any order: the promises hold after every step.

The real store on disk, by two connections, against a model: Ottu is a few lines of truth beside the bot, which know
what was really done, whatever was heard of it. The database's clock jumps; processes die in the middle of a
transaction; the database is put back from a copy.
Run it: `python -m tests.proofs.model [examples] [seed]`.
"""

from __future__ import annotations

import shutil
import sqlite3
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import datetime
from functools import partial
from typing import Any

from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS, HypothesisProvider
from hypothesis.stateful import (
    precondition,
    rule,
    run_state_machine_as_test,
)

from approvals.closing import Closing, Found
from approvals.request import OPEN, Ending, Operation, Outcome, Refusal, Request, State
from approvals.store import MovedOn
from tests.approvals.factories import ALICE, BOB, CEM, MEMBERS, OUT, session
from tests.proofs.figures import Figures
from tests.proofs.model_machine import WHAT, Machine
from tests.proofs.model_ottu import WORDS

PEOPLE = st.sampled_from([ALICE, BOB, CEM, OUT])
ASKERS = st.sampled_from([ALICE, ALICE, BOB, OUT])
CROWD = st.permutations([ALICE, BOB, CEM, OUT])
WHICH = st.integers(0, 11)
AGAIN = st.sampled_from(["refused", "declined", "throttled", "done", "done, lost", "queued", "lost", "asked again"])
LOOKS = st.sampled_from(["now", "a moment too early", "a moment too early", "no"])
STOPS = st.sampled_from(["goes on", "goes on", "as it is", "is paused"])
HEARS = st.sampled_from(["webhook", "child", "children", "nobody"])
UNDECIDED = (State.UNKNOWN, State.QUEUED)
STEPS = 50
# Hypothesis makes five examples of six by altering the one before, which leaves most of what can happen unseen here.
# For any other source of choices than its own it does not; this one is the same, under another name.
AVAILABLE_PROVIDERS["without alterations"] = HypothesisProvider


class Requests(Machine):
    """Whatever people, banks, processes and clocks do."""

    # --- what people do

    @rule(
        number=st.sampled_from([1, 2, 3, 4, 5, 6, 7, 5, 6, 7]),
        person=ASKERS,
        amount=st.sampled_from(["5.000", "5.000", "16.000", "full"]),
        destination=st.sampled_from(["pg", "pg", "wallet"]),
        then=st.sampled_from([*WORDS, "approve", "check", "wait"]),
        is_heard=st.booleans(),
    )
    def ask(self, number: int, person: str, amount: str, destination: str, then: str, is_heard: bool) -> None:
        """Perhaps it is read at once, and everybody says yes, and it is sent."""
        changes: dict[str, Any] = {"asked_amount": amount, "destination": destination}
        if number == 4:
            changes = {"operation": Operation.CANCEL, "asked_amount": None}
        asked: list[Request] = []
        self.attempt(lambda: asked.append(self.desk.ask(reference=f"ORD{number}", requester=person, **changes)))
        for request in asked if then != "wait" else []:
            checked = self.desk.check(request, self._reading(request.reference))
            for approver in (BOB, CEM, ALICE) if then != "check" else ():
                self.attempt(partial(self._press, checked.id, approver, checked.digest or ""))
            if then in WORDS:
                self._go_on(True)
                self._sent(self.desk.execution.claim(request.id), then)
                if is_heard and self.under_way:
                    self._hear(self.under_way.pop())

    @rule(which=WHICH)
    def ask_by_the_same_payload(self, which: int) -> None:
        """Slack sends it again, to the other process: it is the same request, whatever became of it."""
        before, first = self.desk.store.head(), self._pick(which)
        names = ("origin", "requester", "reference", "asked_amount", "destination")
        asked = {name: getattr(first, name) for name in names}
        assert self.other.ask(operation=first.operation, **asked) == first
        assert self.desk.store.head() == before

    @rule(which=WHICH)
    def check(self, which: int) -> None:
        request = self._pick(which, State.CHECKING)
        self.desk.service.check(request.id, self._reading(request.reference), MEMBERS)

    @rule(which=WHICH, people=CROWD, stale=st.integers(0, 5))
    def approve(self, which: int, people: list[str], stale: int) -> None:
        """They press the button one after another; now and then it is an older card's."""
        request = self._pick(which, State.PENDING)
        for person in people:
            self.attempt(partial(self._press, request.id, person, (request.digest or "") if stale else "0" * 32))

    def _press(self, request_id: str, person: str, digest: str) -> None:
        approved = self.desk.service.approve(request_id, person, digest, MEMBERS)
        assert digest == approved.digest

    @rule(which=WHICH, person=PEOPLE, act=st.sampled_from(["approve", "take back", "reject", "withdraw"]))
    def decide_alone(self, which: int, person: str, act: str) -> None:
        pending, service = self._pick(which, State.PENDING), self.desk.service
        unsent = self._pick(which, State.CHECKING, State.PENDING, State.APPROVED)
        acts: dict[str, Callable[[], object]] = {
            "approve": lambda: self._press(pending.id, person, pending.digest or ""),
            "take back": lambda: service.unapprove(pending.id, person),
            "reject": lambda: service.reject(pending.id, person, "no", MEMBERS),
            "withdraw": lambda: service.withdraw(unsent.id, person),
        }
        self.attempt(acts[act])

    @rule(which=WHICH, people=CROWD, wrong=st.booleans(), may_fail=st.sampled_from([True, True, False]))
    def close(self, which: int, people: list[str], wrong: bool, may_fail: bool) -> None:
        """They look, and say what they saw; Bob may be wrong, and is the only one. Nobody says what is not decided."""
        request = self._pick(which, *UNDECIDED)
        became = self.truth.became(request.id)
        for person in people if became != "queued" else [BOB]:
            says = "succeeded" if (became == "done") is not (wrong and person == BOB) else "failed"
            self.attempt(partial(self._say, request.id, person, says, may_fail))
        if not may_fail and request.state is not State.FAILED:
            assert self.desk.row(request).state is not State.FAILED

    def _say(self, request_id: str, person: str, says: str, may_fail: bool) -> None:
        Closing(self.other.service).close(request_id, person, says, "looked", MEMBERS, may_fail=may_fail)

    @rule(person=PEOPLE, wanted=st.sampled_from(["resume", "resume", "resume", "pause"]))
    def stop_or_go_on(self, person: str, wanted: str) -> None:
        if wanted == "pause":
            self.attempt(lambda: self.desk.execution.pause(person, "to look"))
        else:
            self.attempt(lambda: self.other.execution.resume(person))
            self.desk.execution.accept_credentials()

    # --- time

    @rule(which=WHICH, hours=st.sampled_from([0, -1, 0.25, 0.5, 2, 25, 15 * 24]))
    def time_is_over(self, which: int, hours: float) -> None:
        """The database's clock is set, forward or back; the timers ring, for the other process, rightly or not."""
        self.ahead_seconds += hours * 3600
        before = self._pick(which, *OPEN)
        self.other.service.expire(before.id)
        self.other.service.lapse(before.id)
        if Closing(self.other.service).overdue(before.id) is not None:
            self.reached["queued: overdue"] += 1

    # --- what Ottu and others do by themselves

    @precondition(lambda self: self.truth.queued())
    @rule(which=WHICH, became=st.sampled_from(["done", "rejected"]), by=HEARS)
    def bank_decides(self, which: int, became: str, by: str) -> None:
        """On a queued refund, and the bot may hear of it, or not."""
        queued = self.truth.queued()
        deed = queued[which % len(queued)]
        self.truth.decide(deed, became)
        request = self.desk.store.get(deed.request_id)
        if by == "webhook":
            self.other.execution.hooks.receive(self.truth.told(deed))
        elif by == "children" and request is not None:
            self._look_at(request)
        elif by == "child" and request is not None and request.state is State.QUEUED:
            self._look_at_child(request, is_another=False)

    @precondition(lambda self: self.truth.deeds)
    @rule(
        which=WHICH,
        how=st.sampled_from(["right", "right", "right", "as it was", "forged", "another amount", "of a payment"]),
    )
    def webhook(self, which: int, how: str) -> None:
        """Of an operation that was done, once more or for the first time; or one that proves nothing."""
        deed = self.truth.deeds[-1 - which % len(self.truth.deeds)]
        before = self.desk.store.get(deed.request_id)
        self.other.execution.hooks.receive(self.truth.told(deed, how))
        if before is not None and how not in {"right", "as it was"}:
            after = self.desk.row(before)
            assert after.state is before.state or after.state is State.WITHDRAWN  # nobody's, on its transaction

    @precondition(lambda self: len(self.truth.deeds) < 4)
    @rule(number=st.sampled_from([1, 2]), seldom=st.integers(0, 2))
    def somebody_else_refunds(self, number: int, seldom: int) -> None:
        """By the dashboard; the webhook tells of it, and what waits on that transaction is not sent any more."""
        if seldom == 0:
            deed = self.truth.by_somebody_else(session(number % 2), f"ORD{number}")
            self.desk.execution.hooks.receive(self.truth.told(deed))
            for request in self.desk.store.in_states(State.CHECKING, State.PENDING, State.APPROVED):
                assert request.order_no != deed.order_no

    # --- what the processes do

    @precondition(lambda self: self._is_any(State.APPROVED))
    @rule(which=WHICH, what=WHAT, stops=STOPS, is_heard=st.booleans())
    def send(self, which: int, what: str, stops: str, is_heard: bool) -> None:
        self._go_on(stops == "goes on")
        if stops == "is paused" and not self.desk.execution.is_paused():
            self.other.execution.pause(CEM, "to look")
        approved = self._pick(which, State.APPROVED)
        stopped, lapses = self.desk.execution.stopped(), self._lapses(approved)
        claimed = self.desk.execution.claim(approved.id)
        assert claimed is None or not (stopped or lapses)
        assert claimed is None or self.other.execution.claim(approved.id) is None
        self._sent(claimed, what)
        if claimed is not None and is_heard:
            self._hear(self.under_way.pop())

    def _go_on(self, really: bool) -> None:
        if really and self.desk.execution.is_paused():
            self.desk.execution.resume(CEM)
        if really:
            self.desk.execution.accept_credentials()

    def _lapses(self, request: Request) -> bool:
        quorum_at = datetime.fromisoformat(request.quorum_at or request.state_at)
        age = datetime.fromisoformat(self.desk.store.now()) - quorum_at
        return age.total_seconds() >= self.desk.policy.timing.lapse_after_seconds

    @precondition(lambda self: self._is_any(State.APPROVED))
    @rule(which=WHICH, times=st.integers(1, 6))
    def send_in_vain(self, which: int, times: int) -> None:
        """No byte of it reaches Ottu, again and again."""
        self._go_on(True)
        approved = self._pick(which, State.APPROVED)
        for _ in range(times):
            self._sent(self.desk.execution.claim(approved.id), "not sent")
            if self.under_way and self.under_way[-1].request_id == approved.id:
                self._hear(self.under_way.pop())

    @precondition(lambda self: self._is_any(State.UNKNOWN))
    @rule(which=WHICH, person=PEOPLE, what=AGAIN, looks=LOOKS, goes_on=st.booleans())
    def send_again(self, which: int, person: str, what: str, looks: str, goes_on: bool) -> None:
        """By the button, where it is offered and by whom it may be pressed; what limits itself once by itself."""
        self._go_on(goes_on)
        unknown = self._pick(which, State.UNKNOWN)
        if looks != "no" and unknown.state is State.UNKNOWN:
            self._look_at(unknown, hides=unknown.id if looks == "a moment too early" else "")
            unknown = self.desk.row(unknown)
        closing = Closing(self.other.service)
        if unknown.state is State.UNKNOWN and closing.may_send_again(unknown):
            moved_before = any(
                event.from_state == State.UNKNOWN and event.to_state == State.EXECUTING
                for event in self.desk.store.events(unknown.id)
            )
            assert not moved_before  # once
            claimed = self.other.execution.claim_again(unknown.id, unknown.version, "bot")
            self._sent(claimed, what, forgets_key=True)  # then no key is needed to keep it from being done twice
            return
        with suppress(Refusal):
            closing.check_resend(unknown, person, MEMBERS)
            assert person not in {unknown.requester, OUT}
            self._sent(self.other.execution.claim_again(unknown.id, unknown.version, person), what)

    @precondition(lambda self: self.under_way)
    @rule(which=WHICH)
    def hear(self, which: int) -> None:
        """An answer, in time or late, before or after that of another attempt."""
        self._hear(self.under_way.pop(which % len(self.under_way)))

    @precondition(lambda self: self.under_way)
    @rule(which=WHICH)
    def give_up(self, which: int) -> None:
        """Its process does not come back, or not for long."""
        sent = self.under_way[which % len(self.under_way)]
        self.other.execution.give_up(sent.request_id, sent.attempt, "it does not answer", ended=False)

    @rule(which=WHICH, is_another=st.integers(0, 5))
    def look(self, which: int, is_another: int) -> None:
        """One reads what became of it; first, where there is one, the queued refund by its own session id."""
        request = self._pick(which, *UNDECIDED)
        if request.state is State.QUEUED and which % 2:
            self._look_at_child(request, is_another=is_another == 0)
        else:
            self._look_at(request)

    def _look_at(self, request: Request, *, hides: str = "") -> None:
        closing, read = Closing(self.other.service), self._reading(request.reference, hides=hides)
        found = (closing.by_children if request.operation.moves_money else closing.by_state)(request.id, read)
        if found is Found.NOTHING_NEW and not hides:
            assert self.truth.became(request.id) is None
        if found is Found.PROOF:
            self.reached[f"{request.state}: by {'children' if request.operation.moves_money else 'state'}"] += 1

    def _look_at_child(self, request: Request, *, is_another: bool) -> None:
        """Now and then it is not the request's own one that Ottu shows."""
        closing = Closing(self.other.service)
        child, deed = closing.queued_child(request), self.truth.deeds[-1]
        shown = deed.child if child is None or is_another else child
        found = closing.by_queued_child(request.id, self.truth.show_child(shown, self.desk.store.now()))
        if found is Found.PROOF:
            assert shown == child
            self.reached["queued: by its child"] += 1

    @rule(which=WHICH, person=PEOPLE, act=st.sampled_from(["approve", "claim", "settle", "withdraw", "ask", "pause"]))
    def crash(self, which: int, person: str, act: str) -> None:
        """A process dies in the middle of a transaction. Another takes its place, and gives up what it was sending."""
        before, owner = self.other.store.head(), self.desk.work.owner
        request = self._pick(which, State.PENDING, State.APPROVED, State.EXECUTING)
        self.desk.sql("BEGIN IMMEDIATE")
        with suppress(Refusal, MovedOn):
            self._half(request, person, act)
        self.desk.store.database.close()
        self.desk = self._process()
        assert self.desk.store.head() == before
        for attempt in self.desk.work.attempts_under_way():
            if attempt.owner == owner:
                self.desk.execution.give_up(attempt.request_id, attempt.attempt, "it ended")

    def _half(self, row: Request, person: str, act: str) -> None:
        acts: dict[str, Callable[[], object]] = {
            "approve": lambda: self.desk.service.approve(row.id, person, row.digest or "", MEMBERS),
            "claim": lambda: self.desk.execution.claim(row.id),
            "settle": lambda: self.desk.execution.settle(row.id, row.attempt, Outcome(Ending.SUCCEEDED, "", 5_000)),
            "withdraw": lambda: self.desk.service.withdraw(row.id, row.requester),
            "ask": lambda: self.desk.ask(reference="ORD9"),
            "pause": lambda: self.desk.execution.pause(person, ""),
        }
        acts[act]()

    # --- copies of the database

    @precondition(lambda self: self.may_be_put_back)
    @rule()
    def back_up(self) -> None:
        with closing(sqlite3.connect(self.folder / "copy")) as copy:
            self.desk.store.database.conn.backup(copy)
        self.copy = self.memory.copy()

    @precondition(lambda self: self.may_be_put_back)
    @rule(seldom=st.integers(0, 2))
    def put_back(self, seldom: int) -> None:
        """An older copy takes the database's place; or it is only taken for one. All that was open is people's then."""
        if seldom == 2:
            return
        if self.copy is not None:
            self._close_all()
            shutil.copy(self.folder / "copy", self.folder / "bot.db")
            for name in ("bot.db-wal", "bot.db-shm"):
                (self.folder / name).unlink(missing_ok=True)
            self.desk, self.other = self._process(), self._process()
            self.memory, self.under_way = self.copy, []
        self.may_be_put_back = False
        opened = [request.id for request in self.desk.store.in_states(*OPEN)]
        assert self.desk.execution.mark_restored("a test") == len(opened)
        assert all((row.state, row.restored) == (State.UNKNOWN, 1) for row in map(self.desk.row, opened))
        assert self.desk.execution.stopped() is not None


def with_examples(number: int, steps: int = 30) -> settings:
    """So many runs of so many steps."""
    return settings(
        max_examples=number,
        stateful_step_count=steps,
        deadline=None,  # a disk may be slow for once
        database=None,
        backend="without alterations",
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )


def run(examples: int, number: int = 1) -> Figures:
    """So many examples; a failing one is made small by hypothesis, and printed with what replays it."""
    begun, failures = time.monotonic(), []
    Requests.reached.clear()
    try:
        run_state_machine_as_test(seed(number)(Requests), settings=with_examples(examples, STEPS))
    except Exception as error:
        notes = "\n".join(getattr(error, "__notes__", []))
        where = "".join(traceback.format_tb(error.__traceback__)[-3:])
        replay = f"python -m tests.proofs.model {examples} {number}"
        failures.append(f"{replay}: {error!r}\n{where}\n{notes}")
    reached = dict(sorted(Requests.reached.items()))
    counted = {"examples": examples, "steps at most in each": STEPS, **reached, "broken": len(failures)}
    return Figures("model", number, time.monotonic() - begun, counted, failures)


if __name__ == "__main__":
    figures = run(*(int(word) for word in sys.argv[1:3] or ["200"]))
    print(figures)
    sys.exit(bool(figures.failures))
