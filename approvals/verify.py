"""`audit verify`: one pass over the events, which makes every row of the record anew and compares it.

What is held meanwhile are the requests that are open at that event: memory does not grow with the record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from approvals.audit import Chain, Event
from approvals.derived import IN_PLACE, Derived
from approvals.request import State
from approvals.store import Store

WORDS = ("approvals", "closings")  # their rows stand in the order of the events that wrote them
VALUE_LONGEST = 40  # characters of a value that a difference shows

MOVING = frozenset({"submitted", *IN_PLACE, *(state.value for state in State)})  # kinds of events that change a row


def differences(
    store: Store, *, unkeyed_until: int = 0, watch: Callable[[Iterator[Event]], Iterable[Event]] = iter
) -> Iterator[str]:
    """What does not agree: a table or trigger that is not the program's, a broken chain, a move that may not be, a row
    that its events do not make.

    Nothing where all is well. `watch` is given the events, and hands them on: a progress bar. The store should see one
    state of the database throughout (a transaction).
    """
    for problem in store.not_as_made():
        yield f"the database: {problem}"
    chain, rows = Chain(store.key, unkeyed_until=unkeyed_until), _Rows(store)
    for event in watch(store.events()):
        yield from chain.differences(event)
        for problem in rows.hear(event):
            yield f"event {event.seq}: {problem}"
        yield from rows.finished()
    yield from chain.end()
    yield from rows.end()


class _Rows:
    """The rows beside the events."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.open: dict[str, Derived] = {}
        self.ended: list[Derived] = []  # by the event that was heard last
        self.counts = dict.fromkeys(WORDS, 0)

    def hear(self, event: Event) -> Iterator[str]:
        """Take one event in; yields what is wrong with it."""
        try:
            facts = event.facts
        except (ValueError, TypeError, RecursionError):
            yield "has data that cannot be read"
            return
        if event.request_id is None:
            if event.version is not None or "set" in facts:
                yield "moves a request without naming it"
        elif event.version is None:
            yield from self._mention(event, event.request_id, facts)
        elif (derived := self._of(event, event.request_id)) is None:
            yield f"moves {event.request_id}, which has not begun, or has ended"
        else:
            yield from self._move(derived, event, facts)

    def _mention(self, event: Event, request_id: str, facts: dict[str, Any]) -> Iterator[str]:
        """An event about a request that changes nothing of it."""
        if "set" in facts or event.to_state is not None or event.kind in MOVING:
            yield f"changes {request_id} without a version"
        if request_id not in self.open and self.store.row("requests", request_id) is None:
            yield f"is about {request_id}, which has no row"

    def _of(self, event: Event, request_id: str) -> Derived | None:
        if event.kind == "submitted" and request_id not in self.open:
            if self.store.began_before(request_id, event.seq):
                return None
            self.open[request_id] = Derived(request_id)
        return self.open.get(request_id)

    def _move(self, derived: Derived, event: Event, facts: dict[str, Any]) -> Iterator[str]:
        known = len(derived.words)
        try:
            yield from derived.hear(event, facts)
        except (TypeError, ValueError, AttributeError):  # whoever writes events can write anything into them
            yield f"says of {derived.id} what makes no sense"
        for word in derived.words[known:]:
            self.counts[word.table] += 1
            word.made["id"] = self.counts[word.table]
        if derived.is_over:
            self.ended.append(self.open.pop(derived.id))

    def finished(self) -> Iterator[str]:
        """Compare what has ended: nothing may change it any more."""
        while self.ended:
            yield from self._compare(self.ended.pop())

    def end(self) -> Iterator[str]:
        """Compare what is still open, and name the rows that no event wrote."""
        for request_id in sorted(self.open):
            yield from self._compare(self.open[request_id])
        for request_id in self.store.rows_without_beginning():
            yield f"{request_id}: the row was written by no event"
        for table in WORDS:
            for row in self.store.rows_beyond(table, self.counts[table]):
                yield f"{row['request_id']}: row {row['id']} of {table} was written by no event"

    def _compare(self, derived: Derived) -> Iterator[str]:
        row = self.store.row("requests", derived.id)
        if row is None:
            yield f"{derived.id}: has events and no row (event {max(derived.set_by.values(), default=0)})"
        else:
            made = dict.fromkeys(row) | derived.row
            wrong = sorted(name for name in made if name not in row or row[name] != made[name])
            if wrong:
                told = ", ".join(
                    f"{name} ({_both(row.get(name), made[name], derived.set_by.get(name))})" for name in wrong
                )
                yield f"{derived.id}: the row differs from its events in {told}"
        for word in derived.words:
            kept = self.store.row(word.table, int(str(word.made["id"])))
            if kept is None:
                yield f"{derived.id}: row {word.made['id']} of {word.table} is missing (event {word.seq})"
                continue
            wrong = sorted(name for name in kept if kept[name] != word.made.get(name))
            if wrong:
                told = ", ".join(f"{name} ({_both(kept[name], word.made.get(name), word.seq)})" for name in wrong)
                yield f"{derived.id}: row {word.made['id']} of {word.table} differs from its events in {told}"


def _both(kept: object, made: object, seq: int | None) -> str:
    """What the row holds and what its events make of it, and which of them set it last."""
    return f"{_short(kept)}; {'no event' if seq is None else f'event {seq}'} says {_short(made)}"


def _short(value: object) -> str:
    if value is None or value == "":
        return "nothing"
    text = str(value)
    return text if len(text) <= VALUE_LONGEST else f"{text[:VALUE_LONGEST]}…"
