"""Whoever listens to the record hears of each event once it is on disk, and of none that is not."""

from __future__ import annotations

import pytest

from .factories import Desk


class Refused(Exception):
    """What ends a transaction in these tests."""


def record_and_fail(desk: Desk, kind: str) -> None:
    with desk.store.transaction():
        desk.store.record(kind, "bot")
        raise Refused


def test_events_are_told_in_their_order_after_the_commit(desk: Desk) -> None:
    told: list[tuple[str, bool]] = []
    connection = desk.store.database.conn
    desk.store.on_event = lambda event: told.append((event.kind, connection.in_transaction))
    with desk.store.transaction():
        desk.store.record("first", "bot")
        desk.store.record("second", "bot")
        assert told == []
    assert told == [("first", False), ("second", False)]


def test_what_was_rolled_back_is_not_told(desk: Desk) -> None:
    """Neither of a whole transaction, nor of a part of one that goes on without it."""
    told: list[str] = []
    desk.store.on_event = lambda event: told.append(event.kind)
    with pytest.raises(Refused):
        record_and_fail(desk, "lost")
    with desk.store.transaction():
        desk.store.record("kept", "bot")
        with pytest.raises(Refused):
            record_and_fail(desk, "lost too")
    assert told == ["kept"]
    assert [event.kind for event in desk.store.events() if event.kind in {"lost", "lost too"}] == []
