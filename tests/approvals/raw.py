"""Raw SQL, as a mistake of ours in Python would send it: right in everything but the one thing under test."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from approvals.request import Operation, Request, State, as_row

from .factories import (
    SESSION,
    Desk,
    a_request,
    put_in,
    terms_of,
)


def update(desk: Desk, request: Request, **changes: object) -> None:
    """A raw UPDATE of the row as it is now, with the next version."""
    changes = {"version": desk.row(request).version + 1, **changes}
    assignments = ", ".join(f"{name} = :{name}" for name in changes)
    text = f"UPDATE requests SET {assignments} WHERE id = :row_id"  # noqa: S608 - our own names
    desk.sql(text, **changes, row_id=request.id)


def insert(desk: Desk, table: str, row: Mapping[str, object], how: str = "INSERT") -> None:
    desk.sql(f"{how} INTO {table} ({', '.join(row)}) VALUES ({', '.join(':' + name for name in row)})", **row)


def new_row(number: int, **changes: Any) -> dict[str, object]:
    facts: dict[str, Any] = {"id": f"R-{number:04}", "origin": f"command:{number}", "reference": f"ORD{number}"}
    return as_row(a_request(**facts | changes))


@contextmanager
def without_triggers(connection: sqlite3.Connection) -> Iterator[None]:
    """Nothing is refused meanwhile. Afterwards the triggers are there again: who can drop them can hide that."""
    triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    yield
    for _, sql in triggers:
        connection.execute(sql)


@contextmanager
def undone(desk: Desk) -> Iterator[None]:
    """What is tried here leaves nothing behind."""
    desk.sql("SAVEPOINT tried")
    try:
        yield
    finally:
        desk.sql("ROLLBACK TO tried")
        desk.sql("RELEASE tried")


def another_value(name: str, value: object) -> object:
    """Something else, of the column's own type."""
    choices: dict[str, object] = {"state": "pending", "destination": "wallet", "is_sandbox": 0, "decimals": 2}
    whole = name in {"doubtful_attempt", "answered_minor"} or isinstance(value, int)
    return choices.get(name, 77 if whole else "changed")


def changeable(desk: Desk, request: Request, names: frozenset[str]) -> dict[str, object]:
    """What of those columns takes another value, or none. Whichever trigger refuses: none of them is a mere CHECK."""
    changed: dict[str, object] = {}
    for name in sorted(names):
        value = getattr(request, name)
        for other in {another_value(name, value), None} - {value}:
            with undone(desk):
                try:
                    update(desk, request, **{name: other})
                except sqlite3.IntegrityError as error:
                    if "constraint failed" not in str(error):
                        continue
                changed[name] = other
    return changed


def pending(desk: Desk, needed: int = 1) -> Request:
    """Alice's refund, waiting for so many approvals."""
    request = put_in(desk.store, State.CHECKING, operation=Operation.REFUND, asked_amount="5.000")
    return desk.store.move(
        request, State.PENDING, actor="bot", changes=terms_of(request, session_id=SESSION, approvals_needed=needed)
    )


def yes(desk: Desk, request: Request, person: str, **changes: object) -> None:
    row: dict[str, object] = {"request_id": request.id, "person": person, "digest": request.digest}
    insert(desk, "approvals", row | {"given_at": desk.store.now()} | changes)
