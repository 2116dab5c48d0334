"""The chain of events: each carries a hash over itself and the one before, so that nothing can be cut out or altered.

With an AUDIT_KEY the hash is an HMAC (SHA-256), which nobody can recompute who has only the database.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

GENESIS = "0" * 64  # what the first event has for its predecessor
UNKEYED = ""
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))  # one for all: verifying makes millions


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
        text = _ENCODER.encode(list(fields)).encode()
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


class Chain:
    """Checks a chain, one event after the other; it keeps nothing but where it is.

    With a key, every event but the first `unkeyed_until` must be keyed: else whoever has only the database could write
    all of it anew without one. After the first keyed event none may be unkeyed, whatever is said about the beginning.
    """

    def __init__(self, key: ChainKey, *, unkeyed_until: int = 0) -> None:
        self.key = key
        self.unkeyed_until = unkeyed_until
        self.seq, self.head = 0, GENESIS
        self._keyed_since: int | None = None
        self._run: tuple[int, int, str] | None = None  # the first and the last event that one sentence will name

    def differences(self, event: Event) -> Iterator[str]:
        """What is wrong with the next event. Nothing where all is well.

        Events in a row that are not of the key are named together, when the row is over: whoever verifies without the
        key would else be told of every event.
        """
        written = self._not_with_the_key(event)
        if self._run is not None and (written != self._run[2] or event.seq != self._run[1] + 1):
            yield from self.end()
        if event.seq != self.seq + 1:
            yield f"event {event.seq}: stands where event {self.seq + 1} should"
        if event.prev != self.head:
            yield f"event {event.seq}: does not follow the one before"
        if written:
            self._run = (self._run[0] if self._run else event.seq, event.seq, written)
        elif (ChainKey() if event.key_id == UNKEYED else self.key).hash(hashed(event)) != event.hash:
            yield f"event {event.seq}: was altered"
        if event.key_id != UNKEYED and self._keyed_since is None:
            self._keyed_since = event.seq
        self.seq, self.head = event.seq, event.hash

    def end(self) -> Iterator[str]:
        """What is still to be said of the events that were heard; to be called after the last one, too."""
        if self._run is not None:
            first, last, written = self._run
            self._run = None
            yield (
                f"event {last}: was written {written}"
                if first == last
                else f"events {first} to {last}: were written {written}"
            )

    def _not_with_the_key(self, event: Event) -> str:
        """How it was written, where not with the key; of no length where it was, or need not have been."""
        if event.key_id not in {UNKEYED, self.key.id}:
            return f"with another key ({event.key_id})"
        return "without a key" if event.key_id == UNKEYED and self._must_be_keyed(event.seq) else ""

    def _must_be_keyed(self, seq: int) -> bool:
        return self._keyed_since is not None or (bool(self.key.secret) and seq > self.unkeyed_until)
