"""The record: a move and its event are one, and the queries find what they should."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from approvals.request import OPEN, Operation, State, as_row
from approvals.store import MovedOn, later, seconds_between

from .factories import (
    ALICE,
    BOB,
    CEM,
    FAR_OFF,
    LONG_AGO,
    Desk,
    a_request,
    another,
    database_refuses,
    put_in,
    session,
    terms_of,
)
from .raw import insert, new_row, yes

# --- moves: the row and its event are one


def test_a_move_changes_the_row_and_writes_its_event(desk: Desk) -> None:
    request = put_in(desk.store, State.PENDING)
    moved = desk.store.move(request, State.REJECTED, actor=CEM, changes={"detail": "no"}, note={"why": "no"})
    assert moved == replace(request, state=State.REJECTED, state_at=moved.state_at, version=3, detail="no")
    event = desk.last_event()
    set_ = {"version": 3, "detail": "no", "state": "rejected", "state_at": moved.state_at}
    assert (event.kind, event.actor, event.request_id) == ("rejected", CEM, request.id)
    assert (event.from_state, event.to_state, event.version, event.at) == ("pending", "rejected", 3, moved.state_at)
    assert event.facts == {"why": "no", "set": set_}


def test_a_change_within_a_state_is_an_event_too(desk: Desk) -> None:
    request = put_in(desk.store, State.UNKNOWN)
    moved = desk.store.move(request, State.UNKNOWN, actor="bot", kind="reading", note={"found": "nothing"}, at=FAR_OFF)
    assert moved == replace(request, version=request.version + 1)
    event = desk.last_event()
    assert (event.kind, event.from_state, event.to_state, event.at) == ("reading", "unknown", "unknown", FAR_OFF)
    assert event.facts == {"found": "nothing", "set": {"version": moved.version}}


@pytest.mark.parametrize(
    "stale", [{"version": 1}, {"state": State.APPROVED}, {"id": "R-0404"}], ids=["version", "state", "id"]
)
def test_a_move_of_a_row_that_has_moved_changes_nothing(desk: Desk, stale: dict[str, Any]) -> None:
    request = put_in(desk.store, State.PENDING)
    before = list(desk.store.events())
    with pytest.raises(MovedOn):
        desk.store.move(replace(request, **stale), State.WITHDRAWN, actor=ALICE)
    assert desk.row(request) == request
    assert list(desk.store.events()) == before


def test_a_move_that_the_database_refuses_leaves_no_event(desk: Desk) -> None:
    request = put_in(desk.store, State.PENDING)
    before = list(desk.store.events())
    with database_refuses("no such move"):
        desk.store.move(request, State.SUCCEEDED, actor="bot", changes={"tracking_key": "key-1"})
    assert list(desk.store.events()) == before
    assert desk.row(request) == request


def test_a_move_whose_event_cannot_be_written_does_not_happen(desk: Desk) -> None:
    request = put_in(desk.store, State.PENDING)
    desk.sql("CREATE TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'the disk is full'); END")
    with database_refuses("the disk is full"):
        desk.store.move(request, State.WITHDRAWN, actor=ALICE)
    with database_refuses("the disk is full"):
        put_in(desk.store, State.CHECKING, 2)
    assert desk.store.select("1") == [request]


def _fail_after(desk: Desk, step: Callable[[], object]) -> None:
    with desk.store.transaction():
        step()
        raise RuntimeError("something later went wrong")


def test_a_move_inside_a_larger_step_that_fails_is_undone_with_it(desk: Desk) -> None:
    request = put_in(desk.store, State.PENDING)
    events = len(list(desk.store.events()))
    with pytest.raises(RuntimeError):
        _fail_after(desk, lambda: desk.store.move(request, State.WITHDRAWN, actor=ALICE))
    assert desk.row(request) == request
    assert len(list(desk.store.events())) == events


def test_a_part_of_a_step_can_fail_alone(desk: Desk) -> None:
    with desk.store.transaction():
        desk.store.record("first", BOB)
        with pytest.raises(RuntimeError):
            _fail_after(desk, lambda: desk.store.record("undone", BOB))
        desk.store.record("second", BOB)
    assert desk.kinds() == ["first", "second"]


def test_each_event_is_told_once_it_is_on_disk(desk: Desk) -> None:
    """In order, and none of what was undone."""
    told: list[str] = []
    with another(desk) as other:
        desk.store.on_event = lambda event: told.append(f"{event.kind} {event.seq == other.store.head()[0]}")
        desk.store.record("alone", BOB)
        with desk.store.transaction():
            desk.store.record("first", BOB)
            with pytest.raises(RuntimeError):
                _fail_after(desk, lambda: desk.store.record("undone", BOB))
            desk.store.record("second", BOB)
            assert told == ["alone True"]
        with pytest.raises(RuntimeError):
            _fail_after(desk, lambda: desk.store.record("undone", BOB))
    assert told == ["alone True", "first False", "second True"]


def test_nothing_is_left_open_where_sqlite_itself_has_rolled_back(desk: Desk) -> None:
    request = put_in(desk.store, State.PENDING)
    row = new_row(2, reference=request.reference)
    with database_refuses("UNIQUE"), desk.store.transaction():
        desk.store.record("undone", BOB)
        insert(desk, "requests", row, how="INSERT OR ROLLBACK")
    assert "undone" not in desk.kinds()
    assert not desk.store.database.conn.in_transaction


def test_what_is_not_committed_is_seen_by_nobody_else_and_holds_writers_back(desk: Desk) -> None:
    """A second process waits for its turn, and says so when it does not come."""
    with another(desk) as other, desk.store.transaction():
        desk.store.record("first", BOB)
        assert other.kinds() == []
        other.sql("PRAGMA busy_timeout = 20")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.store.record("second", BOB)
    assert desk.kinds() == ["first"]


# --- queries


def test_a_request_is_read_back_as_it_was_written(desk: Desk) -> None:
    request = a_request()
    desk.store.insert(request, ALICE)
    assert desk.store.get(request.id) == request
    assert desk.store.by_origin(request.origin) == request
    assert desk.store.get("R-0404") is None
    assert desk.store.by_origin("command:404") is None
    event = desk.store.event(1)
    assert (event.kind, event.actor, event.to_state, event.version) == ("submitted", ALICE, "checking", 1)
    assert event.facts == {"set": {name: value for name, value in as_row(request).items() if value is not None}}


def test_the_store_knows_its_file(desk: Desk) -> None:
    assert Path(desk.store.path) == desk.path


def test_requests_are_found_by_state_first_asked_first(desk: Desk) -> None:
    early = put_in(desk.store, State.PENDING, 2, created_at=LONG_AGO)
    late = put_in(desk.store, State.CHECKING, 1)
    put_in(desk.store, State.FAILED, 3)
    assert desk.store.in_states(State.PENDING, State.CHECKING) == [early, late]


def test_an_open_request_is_found_by_all_that_its_transaction_goes_by(desk: Desk) -> None:
    request = put_in(desk.store, State.PENDING, 7)  # typed ORD7; Ottu calls it ORD123
    put_in(desk.store, State.FAILED, 8, reference="ORD8")
    assert desk.store.open_by_reference("order", "ORD7") == request
    assert desk.store.open_by_reference("order", "ORD123") == request
    assert desk.store.open_by_reference("session", session(7)) == request
    assert desk.store.open_by_session(session(7)) == request
    assert desk.store.open_by_reference("session", "ORD7") is None
    assert desk.store.open_by_reference("order", "ORD8") is None
    assert desk.store.open_by_session(session(8)) is None


def test_the_session_of_an_order_is_known_from_what_was_read_before(desk: Desk) -> None:
    assert desk.store.session_of_order("ORD123") is None
    put_in(desk.store, State.FAILED, 1)
    assert desk.store.session_of_order("ORD123") == session(1)
    put_in(desk.store, State.FAILED, 2)  # the same order number, another transaction: it cannot be told
    assert desk.store.session_of_order("ORD123") is None


@pytest.mark.parametrize("state", sorted(set(State) - {State.CHECKING, State.REFUSED}))
def test_limits_count_all_that_is_open_and_what_has_succeeded_since(desk: Desk, state: State) -> None:
    request = put_in(desk.store, state, created_at=LONG_AGO)

    def total(**changes: Any) -> int:
        asked: dict[str, Any] = {"operation": Operation.CANCEL, "currency": "KWD", "since": LONG_AGO, "where": {}}
        return desk.store.total_minor(**asked | changes)

    amount_minor = request.amount_minor or 0  # one that ended while checking has none
    assert total() == (amount_minor if state in OPEN or state is State.SUCCEEDED else 0)
    assert total(since=FAR_OFF) == (amount_minor if state in OPEN else 0)
    assert total(where={"requester": ALICE, "session_id": session(1)}) == total()
    assert total(operation=Operation.REFUND) == total(currency="USD") == total(where={"requester": BOB}) == 0


def test_the_newest_requests_are_told_by_person(desk: Desk) -> None:
    put_in(desk.store, State.FAILED, 1, created_at=LONG_AGO)
    minute_ago = later(desk.store.now(), seconds=-60)
    put_in(desk.store, State.FAILED, 2, created_at=minute_ago)
    assert [desk.store.nth_newest(ALICE, number) for number in (1, 2, 3)] == [minute_ago, LONG_AGO, None]
    assert desk.store.nth_newest(BOB, 1) is None


@pytest.mark.parametrize(
    ("currency", "decimals", "minor", "shown"),
    [
        ("JPY", 0, 5_000, "5000"),
        ("USD", 2, 5, "0.05"),
        ("USD", 2, 123_456, "1234.56"),
        ("KWD", 3, 5_000, "5.000"),
        ("KWD", 3, 7, "0.007"),
        ("KWD", 3, 9_007_199_254_740_993, "9007199254740.993"),  # more than a floating point number can hold
    ],
)
def test_people_who_read_the_tables_see_amounts_with_their_decimals(
    desk: Desk, currency: str, decimals: int, minor: int, shown: str
) -> None:
    request = put_in(desk.store, State.CHECKING)
    terms = terms_of(request, currency=currency, decimals=decimals, amount_minor=minor, left_minor=minor)
    request = desk.store.move(request, State.PENDING, actor="bot", changes={**terms, "answered_minor": minor})
    yes(desk, request, BOB)
    yes(desk, request, CEM)
    (row,) = desk.store.rows("SELECT * FROM requests_readable")
    assert (row["amount"], row["amount_answered"], row["left_before"], row["currency"]) == (
        shown,
        *[shown] * 2,
        currency,
    )
    assert (row["transaction_of"], row["approved_by"], row["state"]) == ("ORD123", f"{BOB} {CEM}", "pending")


def test_people_who_read_the_tables_see_no_amount_where_there_is_none(desk: Desk) -> None:
    put_in(desk.store, State.CHECKING)
    (row,) = desk.store.rows("SELECT * FROM requests_readable")
    assert (row["amount"], row["amount_answered"], row["left_before"]) == (None, None, None)
    assert (row["transaction_of"], row["approved_by"]) == ("ORD1", None)


# --- what one person's page shows


def test_what_one_person_asked_for_and_what_ended_lately_is_found_newest_first(desk: Desk) -> None:
    """Each final state and each open one, of two people; with bounds, and read by the index of time alone."""
    made = [
        put_in(desk.store, state, number, requester=requester)
        for number, (state, requester) in enumerate(itertools.product(State, (ALICE, BOB)), 1)
    ]
    mine = [request for request in made if request.requester == ALICE]
    by_time = sorted(made, key=lambda request: request.state_at, reverse=True)
    found = desk.store.open_of(ALICE)
    assert {request.id for request in found} == {request.id for request in mine if request.is_open}
    assert [r.created_at for r in found] == sorted((r.created_at for r in found), reverse=True)
    for others in (False, True):
        ended = desk.store.ended_since(LONG_AGO, 100, requester=ALICE, others=others)
        wanted = {r.id for r in by_time if not r.is_open and (r.requester != ALICE) == others}
        assert {request.id for request in ended} == wanted
        assert [r.state_at for r in ended] == sorted((r.state_at for r in ended), reverse=True)
        assert desk.store.ended_since(LONG_AGO, 2, requester=ALICE, others=others) == ended[:2]
        assert desk.store.ended_since(FAR_OFF, 100, requester=ALICE, others=others) == []
    plan = desk.store.rows(
        "EXPLAIN QUERY PLAN SELECT * FROM requests WHERE state_at >= '2026' AND +state NOT IN ('pending')"
        " AND +requester <> 'U' ORDER BY state_at DESC LIMIT 5"
    )
    assert [step["detail"] for step in plan] == ["SEARCH requests USING INDEX requests_by_time (state_at>?)"]


def test_what_waits_is_told_with_its_rule_and_requester_the_first_to_expire_first(desk: Desk) -> None:
    late, early = (
        put_in(desk.store, State.PENDING, 1),
        put_in(desk.store, State.PENDING, 2, expires_at="2098-01-01T00:00:00.000Z"),
    )
    put_in(desk.store, State.APPROVED, 3)
    found = desk.store.pending()
    assert [(one.id, one.requester) for one in found] == [(early.id, ALICE), (late.id, ALICE)]
    assert {one.rule_text for one in found} == {early.rule_text}


def test_approvals_that_stand_are_told_of_what_is_pending_alone(desk: Desk) -> None:
    waiting, other = put_in(desk.store, State.PENDING, 1), put_in(desk.store, State.PENDING, 2)
    for request, person in ((waiting, CEM), (waiting, BOB), (other, BOB)):
        yes(desk, request, person)
    desk.store.take_back_approval(waiting, BOB, desk.store.now())
    desk.store.move(other, State.REJECTED, actor=CEM)
    assert desk.store.approvals_of_pending() == {waiting.id: [CEM]}


# --- time


def test_the_clock_is_the_databases_in_utc_with_milliseconds(desk: Desk) -> None:
    now = desk.store.now()
    assert len(now) == len(LONG_AGO) == 24
    assert seconds_between(now, later(now, seconds=0.25)) == 0.25
    assert later("2026-02-28T23:59:59.900Z", seconds=0.1) == "2026-03-01T00:00:00.000Z"
    assert later("2026-03-01T00:00:00.000Z", days=-1) == "2026-02-28T00:00:00.000Z"
    assert LONG_AGO < now < FAR_OFF  # stored times sort as text
