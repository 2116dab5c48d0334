"""The chain of events: each carries a hash over itself and the one before, so that nothing can be cut out or altered.

With an AUDIT_KEY the hash is an HMAC (SHA-256), which nobody can recompute who has only the database.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from approvals.request import Request, as_row

GENESIS = "0" * 64  # what the first event has for its predecessor
UNKEYED = ""


@dataclass(frozen=True)
class Event:
    """One line of the record, as its row in `events`. `data` is JSON; times are UTC in ISO 8601."""

    seq: int
    at: str
    request_id: str | None
    kind: str
    actor: str
    from_state: str | None
    to_state: str | None
    version: int | None
    data: str
    key_id: str
    prev: str
    hash: str

    @property
    def facts(self) -> dict[str, Any]:
        """The data of the event, read."""
        return dict(json.loads(self.data))


@dataclass(frozen=True)
class ChainKey:
    """The key of the chain, or none. Its id tells keys apart without showing them."""

    secret: bytes = b""

    @property
    def id(self) -> str:
        return hashlib.sha256(b"ottu-bot audit key id\0" + self.secret).hexdigest()[:12] if self.secret else UNKEYED

    def hash(self, fields: Iterable[object]) -> str:
        """The hash over the fields of an event, the previous hash among them. 64 hex digits."""
        text = json.dumps(list(fields), ensure_ascii=False, separators=(",", ":")).encode()
        if self.secret:
            return hmac.new(self.secret, text, hashlib.sha256).hexdigest()
        return hashlib.sha256(text).hexdigest()

    def __repr__(self) -> str:
        return f"ChainKey(id={self.id!r})"


def hashed(event: Event) -> tuple[object, ...]:
    """The fields that the hash covers: all but the hash."""
    return (
        event.seq,
        event.at,
        event.request_id,
        event.kind,
        event.actor,
        event.from_state,
        event.to_state,
        event.version,
        event.data,
        event.key_id,
        event.prev,
    )


Rows = Mapping[str, list[dict[str, Any]]]  # the tables `approvals` and `closings`, whole


def differences(
    events: Iterable[Event],
    rows: Mapping[str, Request],
    key: ChainKey,
    beside: Rows | None = None,
    *,
    unkeyed_until: int = 0,
) -> Iterator[str]:
    """What does not agree: a broken chain, a row that its events do not make. Nothing where all is well.

    `beside`: the rows of `approvals` and `closings`, which are derived from the events too. With a key, every event but
    the first `unkeyed_until` must be keyed: else whoever has only the database could write all of it anew without one.
    """
    prev, seq = GENESIS, 0
    derived: dict[str, dict[str, object]] = {}
    words = _Words()
    for event in events:
        seq += 1
        if event.seq != seq:
            yield f"event {event.seq}: expected {seq}"
            seq = event.seq
        if event.prev != prev:
            yield f"event {event.seq}: does not follow the one before"
        if event.key_id not in {UNKEYED, key.id}:
            yield f"event {event.seq}: was written with another key ({event.key_id})"
        elif key.secret and event.key_id == UNKEYED and event.seq > unkeyed_until:
            yield f"event {event.seq}: is not keyed"
        elif (ChainKey() if event.key_id == UNKEYED else key).hash(hashed(event)) != event.hash:
            yield f"event {event.seq}: was altered"
        prev = event.hash
        if event.request_id is not None:
            derived.setdefault(event.request_id, {}).update(event.facts.get("set", {}))
            words.hear(event)
    yield from _row_differences(derived, rows)
    if beside is not None:
        yield from words.differences(beside)


class _Words:
    """The approvals and the words on unknown outcomes, derived from the events that wrote them."""

    def __init__(self) -> None:
        self.approvals: list[dict[str, object]] = []
        self.closings: list[dict[str, object]] = []

    def hear(self, event: Event) -> None:
        about = {"request_id": event.request_id}
        if event.kind == "approval":
            digest = event.facts.get("digest")
            given = {"person": event.actor, "digest": digest, "given_at": event.at, "taken_back_at": None}
            self.approvals.append(about | given)
        elif event.kind == "approval_taken_back":
            self._last(self.approvals, event, person=event.actor, taken_back_at=None)["taken_back_at"] = event.at
        elif event.kind == "close_proposed":
            said = {name: event.facts.get(name) for name in ("outcome", "evidence")}
            who = {"proposed_by": event.actor, "proposed_at": event.at, "confirmed_by": None, "confirmed_at": None}
            self.closings.append(about | {"version": event.version} | said | who)
        elif event.facts.get("confirms"):
            last = self._last(self.closings, event, version=(event.version or 0) - 1)
            last.update({"confirmed_by": event.actor, "confirmed_at": event.at})

    @staticmethod
    def _last(said: list[dict[str, object]], event: Event, **wanted: object) -> dict[str, object]:
        """The last one of that request with those fields; a new one that will differ, where there is none."""
        looked_for = {"request_id": event.request_id, **wanted}
        for one in reversed(said):
            if all(one.get(name) == value for name, value in looked_for.items()):
                return one
        said.append(looked_for)
        return looked_for

    def differences(self, beside: Rows) -> Iterator[str]:
        for table, made in (("approvals", self.approvals), ("closings", self.closings)):
            kept = [{name: value for name, value in row.items() if name != "id"} for row in beside.get(table, [])]
            counted = [Counter(json.dumps(row, sort_keys=True) for row in one) for one in (kept, made)]
            for row in counted[0] - counted[1]:
                yield f"{json.loads(row)['request_id']}: a row of {table} that no event wrote, or that was altered"
            for row in counted[1] - counted[0]:
                yield f"{json.loads(row)['request_id']}: a row of {table} is missing or was altered"


def _row_differences(derived: Mapping[str, Mapping[str, object]], rows: Mapping[str, Request]) -> Iterator[str]:
    for request_id in sorted(derived.keys() | rows.keys()):
        if request_id not in rows:
            yield f"{request_id}: has events but no row"
            continue
        row = as_row(rows[request_id])
        made = dict.fromkeys(row) | dict(derived.get(request_id, {}))
        wrong = sorted(name for name in row if row[name] != made[name])
        if wrong:
            yield f"{request_id}: the row differs from its events in {', '.join(wrong)}"
