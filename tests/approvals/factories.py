"""Whole valid records, and a desk: the real store on disk with everything that decides, for one process or several."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from approvals.audit import ChainKey, Event
from approvals.execution import Execution
from approvals.inquiries import Inquiries
from approvals.policy import Members, Policy, load
from approvals.policy_in_force import InForce
from approvals.reading import Child, Reading
from approvals.request import MOVES, SEEN, Operation, Refusal, Request, State, Submission, as_row, digest
from approvals.service import Service
from approvals.sqlite import open_database
from approvals.store import Store, later
from approvals.verify import differences
from approvals.work import Job, Work

ALICE, BOB, CEM, DENIZ = "U01ALICE", "U02BOB", "U03CEM", "U04DENIZ"
OUT = "U09DAVE"  # a full member in no group
MEMBERS: Members = {"agents": frozenset({ALICE, BOB}), "leads": frozenset({BOB, CEM})}
POLICY_TEXT = (Path(__file__).parents[1] / "data" / "policy.toml").read_text(encoding="utf-8")
POLICY = load(POLICY_TEXT)
MONEY = next(rule for rule in POLICY.rules if rule.name == "money")
LINKS = next(rule for rule in POLICY.rules if rule.name == "unpaid links")  # needs no approvals
KEY = ChainKey(b"a secret of the tests")
SESSION = "a" * 40
LONG_AGO = "2020-01-01T00:00:00.000Z"
FAR_OFF = "2099-01-01T00:00:00.000Z"

Opener = Callable[[str], "Desk"]  # a desk under the policy of that text

# What may change once a request has left `checking`: where it stands. Everything else was asked, or seen.
CHANGING = frozenset(
    {
        "state",
        "state_at",
        "version",
        "expires_at",
        "quorum_at",
        "tracking_key",
        "attempt",
        "doubtful_attempt",
        "misses",
        "detail",
        "answered_minor",
        "reference_number",
        "restored",
    }
)
ASKED = frozenset({"id", "created_at"}) | frozenset(Submission.__dataclass_fields__)
READ = frozenset(Request.__dataclass_fields__) - CHANGING - ASKED


def session(number: int) -> str:
    """A session id of its own for each number."""
    return f"{number:040x}"


def a_submission(**changes: Any) -> Submission:
    """A refund of 5.000 of ORD123, asked by Alice."""
    return replace(
        Submission(
            origin="command:1",
            requester=ALICE,
            team="T01",
            channel="C01GEN",
            operation=Operation.REFUND,
            reference_kind="order",
            reference="ORD123",
            asked_amount="5.000",
            reason="the customer sent it back",
        ),
        **changes,
    )


def a_reading(**changes: Any) -> Reading:
    """ORD123: 20.000 KWD, paid, of which 2.000 were refunded."""
    return replace(
        Reading(
            session_id=SESSION,
            order_no="ORD123",
            state="paid",
            currency="KWD",
            amount_minor=20_000,
            read_at="2026-01-01T10:00:00.000Z",
            settled_minor=20_000,
            refunded_minor=2_000,
            children=(Child("c" * 40, "refunded", 2_000),),
            is_sandbox=True,
            gateway="knet",
        ),
        **changes,
    )


LARGE = "16.000"  # above what one approval is enough for
CANCEL, CAPTURE, DELETE, INQUIRY, REFUND, VOID = (
    Operation.CANCEL,
    Operation.CAPTURE,
    Operation.DELETE,
    Operation.INQUIRY,
    Operation.REFUND,
    Operation.VOID,
)
HELD = a_reading(state="authorized", settled_minor=None, refunded_minor=None, children=())
UNPAID = a_reading(state="pending", settled_minor=None, refunded_minor=None, children=None)


NOT_YET_READ: Mapping[str, None] = dict.fromkeys(READ | CHANGING)


def a_request(**changes: Any) -> Request:
    """The row of that submission, as it begins."""
    return replace(
        Request(
            **{
                **NOT_YET_READ,
                **a_submission().__dict__,
                "id": "R-2345",
                "created_at": "2026-01-01T10:00:00.000Z",
                "state": State.CHECKING,
                "state_at": "2026-01-01T10:00:00.000Z",
                "version": 1,
                "expires_at": FAR_OFF,
                "attempt": 0,
                "misses": 0,
                "restored": 0,
            }
        ),
        **changes,
    )


def terms_of(request: Request, **changes: Any) -> dict[str, Any]:
    """All that is set once, while checking: under the rule for its operation, with its digest."""
    rule = LINKS if request.operation in LINKS.operations else MONEY
    terms: dict[str, Any] = {
        "session_id": SESSION,
        "order_no": "ORD123",
        "amount_minor": 5_000,
        "currency": "KWD",
        "decimals": 3,
        "transaction_state": "paid",
        "transaction_minor": 20_000,
        "taken_minor": 20_000,
        "refunded_minor": 2_000,
        "queued_minor": 0,
        "left_minor": 18_000,
        "children": f"refunded:2000:{'c' * 40}",
        "figures_at": "2026-01-01T10:00:00.000Z",
        "is_sandbox": 1,
        "gateway": "knet",
        "rule_name": rule.name,
        "rule_text": rule.text,
        "rule_hash": rule.hash,
        "approvals_needed": rule.approvals,
    }
    assert terms.keys() | {"digest"} == READ
    terms |= changes
    seen = as_row(request) | terms
    return {**terms, "digest": digest({name: seen[name] for name in SEEN})}


@dataclass
class Desk:
    """One process on the database of a folder: the store, and all that decides."""

    path: Path
    policy: Policy
    store: Store
    work: Work
    service: Service
    execution: Execution
    inquiries: Inquiries

    # --- what people do; the digest on the button is the row's unless it is given

    def ask(self, *, members: Members = MEMBERS, **changes: Any) -> Request:
        """Submit, by a payload of its own."""
        origin = changes.pop("origin", f"payload:{len(list(self.store.events()))}")
        return self.service.submit(a_submission(origin=origin, **changes), members)

    def check(self, request: Request, read: Reading | None = None, members: Members = MEMBERS) -> Request:
        """Read the transaction and decide whether the request gets its card."""
        return found(self.service.check(request.id, read or a_reading(), members))

    def approve(self, request: Request, *people: str, members: Members = MEMBERS) -> Request:
        """Each of them presses the button of the card."""
        for person in people:
            request = self.service.approve(request.id, person, request.digest or "", members)
        return request

    def pending(self, read: Reading | None = None, **changes: Any) -> Request:
        """Asked by Alice and checked."""
        return self.check(self.ask(**changes), read)

    def approved(self, read: Reading | None = None, **changes: Any) -> Request:
        """Asked by Alice, approved by Cem."""
        return self.approve(self.pending(read, **changes), CEM)

    def claimed(self, read: Reading | None = None, **changes: Any) -> Request:
        """Under way for the first time."""
        return found(self.execution.claim(self.approved(read, **changes).id))

    # --- what is there

    def row(self, request: Request | str) -> Request:
        return found(self.store.get(request if isinstance(request, str) else request.id))

    def last_event(self) -> Event:
        return list(self.store.events())[-1]

    def kinds(self, request: Request | None = None) -> list[str]:
        """The kinds of the events, first to last."""
        return [event.kind for event in self.store.events(request.id if request else None)]

    def jobs(self) -> set[str]:
        """The keys of the jobs that are not done."""
        return {row["key"] for row in self.store.rows("SELECT key FROM work_jobs WHERE done_at IS NULL")}

    def job(self, key: str) -> Job:
        job = self.work.find(key)
        assert job is not None
        return job

    def record(self) -> object:
        """All that is written, to see that nothing was."""
        return self.store.select("1"), list(self.store.events()), self.words(), self.jobs()

    def words(self) -> dict[str, list[dict[str, Any]]]:
        """The rows of the tables beside requests and events."""
        return {name: self.store.rows(f"SELECT * FROM {name} ORDER BY id") for name in ("approvals", "closings")}  # noqa: S608 - our own names

    def differences(self) -> list[str]:
        """What an audit finds."""
        return list(differences(self.store))

    def sql(self, text: str, **parameters: object) -> None:
        """Raw SQL, as a mistake of ours would send it."""
        self.store.database.execute(text, parameters)


def open_desk(
    folder: Path, policy: Policy = POLICY, *, owner: str = "host:1:1", key: ChainKey = KEY, store: Store | None = None
) -> Desk:
    """A process on the database of that folder. Request and Tracking-Key numbers count up, apart for each owner."""
    path = folder / "bot.db"
    store = store or Store(open_database(path), key)
    work = Work(store, owner)
    numbers, in_force = itertools.count(1), InForce(policy)
    service = Service(store, work, in_force, lambda length: f"R-{next(numbers):0{length}}")
    execution = Execution(store, work, in_force, lambda: f"key:{owner}:{next(numbers)}")
    inquiries = Inquiries(store, lambda: in_force.now.timing.inquiry_gap_seconds)
    return Desk(path, policy, store, work, service, execution, inquiries)


@contextmanager
def another(desk: Desk, owner: str = "host:2:2") -> Iterator[Desk]:
    """A second process on the same database: only what is committed can be seen from it."""
    opened = open_desk(desk.path.parent, desk.policy, owner=owner, key=desk.store.key)
    try:
        yield opened
    finally:
        opened.store.database.close()


@contextmanager
def refused(kind: str) -> Iterator[pytest.ExceptionInfo[Refusal]]:
    """A refusal of that kind."""
    with pytest.raises(Refusal) as info:
        yield info
    assert info.value.kind == kind, str(info.value)


@contextmanager
def database_refuses(sentence: str) -> Iterator[None]:
    """The database itself says no, with that sentence (of a trigger) or constraint."""
    with pytest.raises(sqlite3.IntegrityError, match=sentence):
        yield


def found(request: Request | None) -> Request:
    assert request is not None
    return request


def way_to(state: State) -> list[State]:
    """A shortest way by allowed moves from `checking`, without it."""
    ways: dict[State, list[State]] = {State.CHECKING: []}
    waiting = [State.CHECKING]
    while waiting:
        here = waiting.pop(0)
        for following in sorted(MOVES[here] - ways.keys()):
            ways[following] = [*ways[here], following]
            waiting.append(following)
    return ways[state]


def put_in(store: Store, state: State, number: int = 1, **changes: Any) -> Request:
    """A request in that state, led there by the store's own moves. It is a cancel, which needs no approvals."""
    facts: dict[str, Any] = {"operation": Operation.CANCEL, "asked_amount": None, "reference": f"ORD{number}"}
    request = a_request(**facts | {"id": f"R-{number:04}", "origin": f"command:{number}"} | changes)
    store.insert(request, request.requester)
    for following in way_to(state):
        actor = CEM if following is State.REJECTED else "bot"
        request = store.move(request, following, actor=actor, changes=_changes(request, following, number))
    return request


def _changes(request: Request, to: State, number: int) -> dict[str, object]:
    changes: dict[str, object] = {}
    if request.state is State.CHECKING:
        changes = terms_of(request, session_id=session(number))
    if to is State.EXECUTING:
        changes |= {"tracking_key": f"key-{number}", "attempt": request.attempt + 1}
    return changes


def age_seconds(desk: Desk, **seconds: float) -> str:
    """A stored time that long ago: `age_seconds(desk, seconds=90)`."""
    return later(desk.store.now(), **{unit: -amount for unit, amount in seconds.items()})
