"""The figures of one month: what was asked, moved, decided, refused, alarming and unknown. Money stays in minor units.

What was asked counts in the month in which it was asked, with its state as the record stands; money counts in the
month in which it was proven to have moved. Amounts of different currencies, or of Ottu's sandbox and of real money,
are never added up.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from approvals.audit import Event
from approvals.doubts import Spell, spells
from approvals.following import BOT
from approvals.month import Month
from approvals.request import Request, State
from approvals.store import Store, seconds_between

STOPS = frozenset({"alarm", "gave_up", "paused", "resumed", "credentials_accepted"})


@dataclass(frozen=True, order=True)
class Kind:
    """What can be counted together: one operation, in one currency, real or in Ottu's sandbox."""

    operation: str
    currency: str  # empty where no amount was read
    is_sandbox: bool

    @classmethod
    def of(cls, request: Request) -> Kind:
        return cls(request.operation.value, request.currency or "", bool(request.is_sandbox))


@dataclass
class Asked:
    """Requests of one kind that were asked in the month, by the state they are in now."""

    states: Counter[State] = field(default_factory=Counter)


@dataclass
class Moved:
    """Money of one kind that was proven to have moved in the month. `by_day`: the minor units of each day."""

    count: int = 0
    amount_minor: int = 0
    by_day: Counter[str] = field(default_factory=Counter)

    def add(self, request: Request) -> None:
        amount_minor = request.amount_minor if request.answered_minor is None else request.answered_minor
        self.count += 1
        self.amount_minor += amount_minor or 0
        self.by_day[request.state_at[:10]] += amount_minor or 0


@dataclass
class Person:
    """What one person did in the month. `asked`: the states now of what they asked for."""

    asked: Counter[State] = field(default_factory=Counter)
    approved: int = 0
    taken_back: int = 0
    rejected: int = 0
    withdrawn: int = 0
    closed: int = 0  # words on unknown outcomes: proposals and confirmations
    refused: int = 0  # attempts


@dataclass(frozen=True)
class ApprovalTimes:
    """Seconds from the card to the quorum, of what reached its quorum in the month; ascending."""

    seconds: tuple[float, ...] = ()

    @property
    def median_seconds(self) -> float | None:
        return median(self.seconds) if self.seconds else None

    @property
    def percentile_95_seconds(self) -> float | None:
        """By the nearest rank: a time that occurred, which 95 of 100 did not exceed."""
        return self.seconds[-(-95 * len(self.seconds) // 100) - 1] if self.seconds else None

    def between(self, least: float, below: float) -> int:
        return sum(least <= seconds < below for seconds in self.seconds)


@dataclass(frozen=True, order=True)
class RefusedKind:
    """One way in which one person was refused. `wanted`: what they wanted to do, such as `approve`."""

    why: str
    person: str
    wanted: str


@dataclass(frozen=True)
class Stop:
    """An alarm, a pause, or the end of one."""

    seq: int
    at: str
    kind: str
    actor: str
    request_id: str | None
    facts: dict[str, Any]


@dataclass
class Figures:
    """All that a report of one month says."""

    month: Month
    asked: dict[Kind, Asked] = field(default_factory=lambda: defaultdict(Asked))
    asked_by_day: dict[str, Counter[State]] = field(default_factory=lambda: defaultdict(Counter))
    moved: dict[Kind, Moved] = field(default_factory=lambda: defaultdict(Moved))
    persons: dict[str, Person] = field(default_factory=lambda: defaultdict(Person))
    approval_times: ApprovalTimes = ApprovalTimes()
    refused: Counter[RefusedKind] = field(default_factory=Counter)
    stops: list[Stop] = field(default_factory=list)
    unknown: list[Spell] = field(default_factory=list)
    queued: list[Spell] = field(default_factory=list)

    @property
    def requests(self) -> int:
        return sum(sum(asked.states.values()) for asked in self.asked.values())

    @property
    def alarms(self) -> int:
        return sum(stop.kind == "alarm" for stop in self.stops)

    @property
    def refused_attempts(self) -> int:
        return sum(self.refused.values())

    @property
    def is_empty(self) -> bool:
        """Has nothing at all happened in the month?"""
        return not any(
            (self.asked, self.moved, self.persons, self.approval_times.seconds, self.stops, self.unknown, self.queued)
        )


def read_figures(store: Store, month: Month) -> Figures:
    """The figures of a month, from the record. One pass over the month's events."""
    figures = Figures(month)
    count_asked(figures, store.asked_between(month.start, month.end))
    count_moved(figures, store.succeeded_between(month.start, month.end))
    count_events(figures, store.events_between(month.start, month.end))
    waits = store.approval_waits(month.start, month.end)
    figures.approval_times = ApprovalTimes(tuple(sorted(seconds_between(*wait) for wait in waits)))
    for state, found in ((State.UNKNOWN, figures.unknown), (State.QUEUED, figures.queued)):
        for request in filter(None, map(store.get, store.ever_in(state, before=month.end))):
            found.extend(_within(month, spells(request, store.events(request.id), state)))
        found.sort(key=lambda spell: (spell.began_at, spell.request.id))
    return figures


def count_asked(figures: Figures, requests: Iterable[Request]) -> None:
    """What was asked, by kind, by day and by person."""
    for request in requests:
        figures.asked[Kind.of(request)].states[request.state] += 1
        figures.asked_by_day[request.created_at[:10]][request.state] += 1
        figures.persons[request.requester].asked[request.state] += 1


def count_moved(figures: Figures, requests: Iterable[Request]) -> None:
    """The money that moved; operations without an amount move none."""
    for request in requests:
        if request.operation.moves_money and request.amount_minor is not None:
            figures.moved[Kind.of(request)].add(request)


def count_events(figures: Figures, events: Iterable[Event]) -> None:
    """What people did and what was refused; alarms, and what stopped executions."""
    for event in events:
        if event.kind in STOPS:
            figures.stops.append(Stop(event.seq, event.at, event.kind, event.actor, event.request_id, event.facts))
        if event.actor == BOT:
            continue
        person = figures.persons[event.actor]
        match event.kind:
            case "approval":
                person.approved += 1
            case "approval_taken_back":
                person.taken_back += 1
            case State.REJECTED.value:
                person.rejected += 1
            case State.WITHDRAWN.value:
                person.withdrawn += 1
            case "close_proposed":
                person.closed += 1
            case "refused_attempt":
                person.refused += 1
                facts = event.facts
                figures.refused[RefusedKind(str(facts["why"]), event.actor, str(facts["wanted"]))] += 1
            case State.SUCCEEDED.value | State.FAILED.value if event.facts.get("confirms"):
                person.closed += 1


def _within(month: Month, found: Iterable[Spell]) -> Iterator[Spell]:
    """Those that lasted for some of the month."""
    return (
        spell
        for spell in found
        if spell.began_at < month.end and (spell.ended_at is None or spell.ended_at >= month.start)
    )
