"""What the database itself refuses: moves, deletions, nonsense, a second open request.

Raw SQL stands for a mistake in Python. Each statement is right in everything but the one thing under test.
"""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import pytest

from approvals.request import FINAL, MOVES, OPEN, Operation, Request, State

from .factories import (
    CHANGING,
    Desk,
    a_request,
    database_refuses,
    put_in,
    session,
    terms_of,
)
from .raw import changeable, insert, new_row, undone, update


def _raw_move(desk: Desk, request: Request, to: State) -> None:
    """Everything that a move to that state asks for, so that the move alone decides."""
    changes: dict[str, object] = {"state": to.value, "state_at": desk.store.now()}
    if request.state is State.CHECKING:
        changes |= terms_of(request, session_id=session(90), approvals_needed=0)
    if to in {State.EXECUTING, State.QUEUED, State.UNKNOWN, State.SUCCEEDED}:
        changes["tracking_key"] = request.tracking_key or "key-90"
    if to is State.EXECUTING and request.state is not State.EXECUTING:
        changes["attempt"] = request.attempt + 1
    update(desk, request, **changes)


def test_the_database_allows_the_moves_of_the_table_and_no_other(desk: Desk) -> None:
    """Every pair of states, by raw SQL."""
    allowed = set()
    for number, state in enumerate(State, start=1):
        request = put_in(desk.store, state, number)
        assert request.state is state
        for to in set(State) - {state}:
            with undone(desk):
                try:
                    _raw_move(desk, request, to)
                except sqlite3.IntegrityError as error:
                    assert str(error) == ("a final state is immutable" if state in FINAL else "no such move")  # noqa: PT017 - both ways are tested
                else:
                    allowed.add((state, to))
    assert allowed == {(state, to) for state, following in MOVES.items() for to in following}


@pytest.mark.parametrize("state", sorted(FINAL))
def test_a_final_row_never_changes(desk: Desk, state: State) -> None:
    request = put_in(desk.store, state)
    assert changeable(desk, request, CHANGING - {"version"}) == {}
    with database_refuses("a final state is immutable"):
        update(desk, request)


@pytest.mark.parametrize("state", sorted(FINAL))
def test_even_the_restore_procedure_does_not_open_a_final_row(desk: Desk, state: State) -> None:
    with database_refuses("a final state is immutable"):
        update(desk, put_in(desk.store, state), state="unknown", restored=1)


@pytest.mark.parametrize("state", sorted(OPEN))
def test_the_restore_procedure_moves_every_open_row_to_unknown(desk: Desk, state: State) -> None:
    request = put_in(desk.store, state)
    update(desk, request, state="unknown", restored=1)
    assert desk.row(request) == replace(request, state=State.UNKNOWN, restored=1, version=request.version + 1)


def test_what_was_restored_is_never_sent_again(desk: Desk) -> None:
    request = put_in(desk.store, State.APPROVED)
    update(desk, request, state="unknown", restored=1)
    with database_refuses("CHECK"):
        update(desk, request, state="executing", attempt=1, tracking_key="key-1")
    with database_refuses("CHECK"):
        update(desk, request, state="queued")
    with database_refuses("restored is for ever"):
        update(desk, request, restored=0)
    with database_refuses("CHECK"):
        update(desk, request, restored=2)
    update(desk, request, state="failed")  # two people looked


@pytest.mark.parametrize("state", sorted(set(State) - {State.CHECKING}))
def test_a_request_begins_in_checking(desk: Desk, state: State) -> None:
    with database_refuses("a request begins in checking"):
        insert(desk, "requests", new_row(1) | terms_of(a_request()) | {"state": state, "attempt": 1})


@pytest.mark.parametrize("state", sorted(State))
def test_a_request_is_never_deleted(desk: Desk, state: State) -> None:
    request = put_in(desk.store, state)
    with database_refuses("a request is never deleted"):
        desk.sql("DELETE FROM requests WHERE id = :id", id=request.id)


@pytest.mark.parametrize("state", [State.PENDING, State.SUCCEEDED])
@pytest.mark.parametrize("how", ["INSERT OR REPLACE", "REPLACE"])
def test_a_request_is_never_replaced_by_another(desk: Desk, state: State, how: str) -> None:
    """SQLite's REPLACE deletes the row that is in the way, without asking the triggers unless it is told to."""
    request = put_in(desk.store, state)
    row = new_row(1, operation=Operation.CANCEL, asked_amount="99.000")
    with database_refuses("a request is never deleted"):
        insert(desk, "requests", row, how=how)
    assert desk.row(request) == request


@pytest.mark.parametrize("step", [-1, 0, 2])
def test_versions_go_up_by_one(desk: Desk, step: int) -> None:
    request = put_in(desk.store, State.PENDING)
    with database_refuses("versions go up by one"):
        update(desk, request, version=request.version + step)


@pytest.mark.parametrize("state", sorted(OPEN - {State.EXECUTING}))
def test_an_attempt_is_counted_when_it_begins_and_only_then(desk: Desk, state: State) -> None:
    request = put_in(desk.store, state)
    with database_refuses("an attempt is counted when it begins"):
        update(desk, request, attempt=request.attempt + 1)
    if State.EXECUTING in MOVES[state]:
        for attempt in (request.attempt, request.attempt + 2):
            with database_refuses("an attempt is counted when it begins"):
                update(desk, request, state="executing", tracking_key="key-1", attempt=attempt)


def test_nothing_is_under_way_without_its_tracking_key(desk: Desk) -> None:
    """Without its key an operation could not be looked up again."""
    request = put_in(desk.store, State.APPROVED)
    with database_refuses("CHECK"):
        update(desk, request, state="executing", attempt=1)


# --- one open request


@pytest.mark.parametrize("state", sorted(OPEN - {State.CHECKING}))
def test_a_transaction_has_one_open_request(desk: Desk, state: State) -> None:
    """Two references that turn out to be one transaction."""
    put_in(desk.store, state, 1)
    second = put_in(desk.store, State.CHECKING, 2)
    with database_refuses("UNIQUE.*session_id"):
        update(desk, second, **terms_of(second, session_id=session(1)), state="pending")
    update(desk, second, **terms_of(second, session_id=session(2)), state="pending")


@pytest.mark.parametrize("state", sorted(OPEN))
def test_a_reference_has_one_open_request(desk: Desk, state: State) -> None:
    request = put_in(desk.store, state, 1)
    with database_refuses("UNIQUE.*reference"):
        insert(desk, "requests", new_row(2, reference=request.reference))
    insert(desk, "requests", new_row(3, reference=request.reference, reference_kind="session"))


@pytest.mark.parametrize("state", sorted(FINAL))
def test_a_transaction_is_free_again_when_its_request_is_over(desk: Desk, state: State) -> None:
    request = put_in(desk.store, state, 1)
    put_in(desk.store, State.PENDING, 2, reference=request.reference)
    with undone(desk):
        third = put_in(desk.store, State.CHECKING, 3)
        update(desk, third, **terms_of(third, session_id=session(1)), state="pending")


def test_a_payload_makes_one_request(desk: Desk) -> None:
    put_in(desk.store, State.REFUSED, 1)
    with database_refuses("UNIQUE.*origin"):
        insert(desk, "requests", new_row(2, origin="command:1"))
