"""Spells of doubt: how long a request was `unknown` or `queued`, and what ended it, as its events tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from approvals.audit import Event
from approvals.request import Request, State
from approvals.store import seconds_between


class Way(StrEnum):
    """What ended a spell."""

    WEBHOOK = "webhook"  # a signed word of Ottu's
    READING = "reading"  # what Ottu showed when it was asked
    SENT_AGAIN = "sent_again"  # the answer to one more send with the same key
    LATE_ANSWER = "late_answer"  # the answer to the first send, after all
    TWO_PEOPLE = "two_people"  # one proposed, another confirmed
    TIME = "time"  # a queued one of which the bank said nothing for too long
    RESTORED = "restored"  # the database was put back from a copy


@dataclass(frozen=True)
class Send:
    """One more send with the same key. `actor`: who decided it, `bot` or a person."""

    at: str
    actor: str


@dataclass(frozen=True)
class Spell:
    """From the move into a state of doubt to the move out of it. `ended_at` None: it still lasts."""

    request: Request
    began_at: str
    began_because: str
    approvers: tuple[str, ...] = ()  # whose approvals stood when it began, in their order
    sends: tuple[Send, ...] = ()
    proposed_by: str | None = None  # of the proposal that stands: nobody has confirmed it yet
    ended_at: str | None = None
    ended_as: State | None = None
    way: Way | None = None
    people: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()  # of each of the people; else what the bot wrote down of it
    reference_number: str | None = None  # where the end brought one

    @property
    def lasted_seconds(self) -> float:
        """0 while it lasts."""
        return seconds_between(self.began_at, self.ended_at) if self.ended_at else 0.0


def spells(request: Request, events: Iterable[Event], state: State) -> Iterator[Spell]:
    """The spells of one request in `unknown` or in `queued`, first to last, from its events in order.

    Another send does not end a spell of `unknown`: nobody knew more while it was under way.
    """
    spell: Spell | None = None
    approvers: dict[str, None] = {}  # a set that keeps its order
    for event in events:
        if event.kind == "approval":
            approvers[event.actor] = None
        elif event.kind == "approval_taken_back":
            approvers.pop(event.actor, None)
        elif spell is None:
            if event.to_state == state and event.from_state != state:
                spell = Spell(request, event.at, _because(event), tuple(approvers))
        elif event.from_state == State.UNKNOWN and event.to_state == State.EXECUTING:
            spell = replace(spell, sends=(*spell.sends, Send(event.at, event.actor)), proposed_by=None)
        elif event.kind == "close_proposed":
            spell = replace(spell, proposed_by=event.actor)
        elif event.to_state not in {None, state, State.EXECUTING}:
            yield _ended(spell, event)
            spell = None
        elif event.version is not None:  # a proposal stands only while the row does not move
            spell = replace(spell, proposed_by=None)
    if spell is not None:
        yield spell


def _because(event: Event) -> str:
    return str(event.facts.get("set", {}).get("detail") or "")


def _ended(spell: Spell, event: Event) -> Spell:
    facts = event.facts
    people, evidence = _word(facts)
    return replace(
        spell,
        ended_at=event.at,
        ended_as=State(event.to_state or ""),
        way=_way(event, facts),
        people=people,
        evidence=evidence or tuple(filter(None, [_because(event)])),
        reference_number=facts.get("set", {}).get("reference_number"),
        proposed_by=None,
    )


def _word(facts: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The two who closed it and what each had seen; nothing where it ended otherwise."""
    if not facts.get("confirms"):
        return (), ()
    return tuple(map(str, facts["by"])), tuple(map(str, facts["evidence"]))


def _way(event: Event, facts: Mapping[str, Any]) -> Way:
    if facts.get("confirms"):
        return Way.TWO_PEOPLE
    if event.kind == "restored":
        return Way.RESTORED
    if facts.get("by") in {Way.WEBHOOK.value, Way.READING.value}:
        return Way(facts["by"])
    if event.from_state == State.EXECUTING:
        return Way.SENT_AGAIN
    return Way.LATE_ANSWER if "ending" in facts else Way.TIME
