"""What the record says that the channels must show: which cards and results there must be, and what each says.

All of it is derived from the events, as of any version of a request: a card that lags behind its row is compared with
the version that it names, and what the bot posted is rendered anew from that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from approvals.audit import Event
from approvals.following import NOTICED
from approvals.request import Operation, Request, State
from approvals.store import Approval, Store
from bot.shown import Doubt, Facts

_COLUMNS = tuple(Request.__dataclass_fields__)


class Unreadable(Exception):
    """The events of a request make no request: `audit verify` says which."""


@dataclass(frozen=True)
class History:
    """The events of one request, and what it was as of each of them."""

    events: Sequence[Event]
    host: str

    @property
    def moves(self) -> list[Event]:
        """The events that made a version of it."""
        return [event for event in self.events if event.version is not None]

    @property
    def card_from(self) -> Event | None:
        """The event after which it must have a card; None where it never needs one."""
        return next((event for event in self.moves if _set(event).get("digest") is not None), None)

    def noticed(self) -> list[Event]:
        """The events of which a result must tell in the card's thread."""
        first = self.card_from
        if first is None:
            return []
        return [event for event in self.moves if event.seq >= first.seq and self._is_noticed(event)]

    def _is_noticed(self, event: Event) -> bool:
        if event.from_state == event.to_state and event.kind != "restored":
            return False
        if event.to_state == State.WITHDRAWN:  # not where the requester took it back
            return bool(self.at(event.version or 0).request.detail)
        return event.to_state in NOTICED

    def at(self, version: int) -> Facts:
        """What a card of that version shows. Raises Unreadable where there was no such version."""
        until = next((event.seq for event in self.events if event.version == version), None)
        if until is None:
            raise Unreadable
        events = [event for event in self.events if event.seq <= until]
        row: dict[str, Any] = dict.fromkeys(_COLUMNS)
        for event in events:
            row |= {name: value for name, value in _set(event).items() if name in row}
        try:
            row |= {"operation": Operation(str(row["operation"])), "state": State(str(row["state"]))}
        except ValueError:
            raise Unreadable from None
        return Facts(Request(**row), _approvals(events), events, self.host, _doubt(events))


def _set(event: Event) -> dict[str, Any]:
    changed = event.facts.get("set")
    return changed if isinstance(changed, dict) else {}


def _approvals(events: Sequence[Event]) -> list[Approval]:
    """Those that stood then, first given first."""
    given: dict[str, Approval] = {}
    for event in events:
        if event.kind == "approval":
            digest = str(event.facts.get("digest"))
            given[event.actor] = Approval(event.seq, event.request_id or "", event.actor, digest, event.at, None)
        elif event.kind == "approval_taken_back":
            given.pop(event.actor, None)
    return list(given.values())


def _doubt(events: Sequence[Event]) -> Doubt:
    """How an unknown outcome stood: what a reading had found since the last send, and who had proposed what."""
    found, seen = None, ""
    for event in events:
        if event.to_state == State.EXECUTING:
            found, seen = None, ""
        elif event.kind == "reading":
            found = str(event.facts.get("found"))
            seen = str(event.facts.get("children") or event.facts.get("state") or "")
    last = next(event for event in reversed(events) if event.version is not None)
    said = last.facts if last.kind == "close_proposed" else None
    proposal = (last.actor, str(said.get("outcome")), str(said.get("evidence"))) if said else None
    return Doubt(found=found, seen=seen, proposal=proposal)


class Record:
    """The record as the channels must show it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        created = next(iter(store.events_of_kind("database_created")), None)
        self.host = urlsplit(str(created.facts.get("ottu_base_url"))).netloc if created else ""
        self.pausing = frozenset(event.actor for event in store.events_of_kind("paused"))
        self.seq, self.head = store.head()

    def requests(self) -> list[Request]:
        """The rows, oldest first."""
        return self.store.select("1 ORDER BY created_at, id")

    def history(self, request_id: str) -> History:
        return History(list(self.store.events(request_id)), self.host)

    def alarms(self) -> list[Event]:
        return self.store.events_of_kind("alarm")

    def event(self, seq: object) -> Event | None:
        """The event of that number; None where there is none."""
        if not isinstance(seq, int) or not 0 < seq <= self.seq:
            return None
        try:
            return self.store.event(seq)
        except IndexError:
            return None

    def contains(self, seq: object, head: str) -> bool:
        """Does the chain have that hash, or one that begins so, at that place?"""
        event = self.event(seq)
        return event is not None and len(head) >= 8 and event.hash.startswith(head)
