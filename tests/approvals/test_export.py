"""What an export takes of the record, and what it makes of each row."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.choice import Choice
from approvals.export import TABLES, cell, event_line, record, text_of
from approvals.request import State
from approvals.store import later

from .factories import ALICE, BOB, CEM, LONG_AGO, Desk
from .records import ARABIC, EVIDENCE, FORMULA, Names, a_record


def exported(desk: Desk, table: str, **chosen: Any) -> list[dict[str, Any]]:
    return [record(table, row) for row in desk.store.chosen(table, Choice(**chosen))]


def ids(desk: Desk, **chosen: Any) -> set[str]:
    """The requests that are chosen; all that belongs to them must be, too."""
    requests = {row["id"] for row in exported(desk, "requests", **chosen)}
    for table in ("events", "approvals", "closings"):
        whole = [row for row in exported(desk, table) if row["request_id"] in requests]
        assert [row for row in exported(desk, table, **chosen) if row["request_id"]] == whole
    return requests


def beside(desk: Desk, **chosen: Any) -> list[str]:
    """The kinds of the chosen events that belong to no request."""
    return [row["kind"] for row in exported(desk, "events", **chosen) if row["request_id"] is None]


def test_every_table_and_column_of_the_record_is_exported(desk: Desk) -> None:
    """A new one must not be forgotten. What is more in an export are decimals, and the amount of an event's request."""
    tables = [name for name in desk.store.database.table_names() if not name.startswith(("work_", "_", "sqlite_"))]
    assert set(TABLES) == set(tables)
    for table in tables:
        there = [row["name"] for row in desk.store.rows(f"PRAGMA table_info({table})")]
        more = {"amount_minor", "currency"} if table == "events" else set()
        assert [name for name in TABLES[table] if not name.endswith("_decimal") and name not in more] == there


def test_amounts_are_decimals_of_their_currency_and_minor_units(desk: Desk) -> None:
    names = a_record(desk)
    rows = {row["id"]: row for row in exported(desk, "requests")}
    shown = {name: (row["amount_decimal"], row["amount_minor"], row["currency"]) for name, row in rows.items()}
    assert shown == {
        names.dinars: ("5.000", 5_000, "KWD"),
        names.dollars: ("2.50", 250, "USD"),
        names.yen: ("7", 7, "JPY"),
        names.refused: (None, None, None),
    }
    dinars = rows[names.dinars]
    decimals = {name: value for name, value in dinars.items() if name.endswith("_decimal")}
    assert decimals == {
        "amount_decimal": "5.000",
        "transaction_decimal": "20.000",
        "taken_decimal": "20.000",
        "refunded_decimal": "2.000",
        "queued_decimal": "0.000",
        "left_decimal": "18.000",
        "answered_decimal": "5.000",
    }
    assert (dinars["reason"], rows[names.dollars]["reason"]) == (FORMULA, ARABIC)


def test_an_event_has_its_request_s_amount_from_the_moment_the_record_knew_it(desk: Desk) -> None:
    """So that an event reads the same whenever it is read."""
    asked = desk.ask()
    first = exported(desk, "events")
    desk.approve(desk.check(asked))
    events = exported(desk, "events")
    assert events[: len(first)] == first
    amounts = [(row["kind"], row["amount_decimal"], row["amount_minor"], row["currency"]) for row in events]
    assert amounts == [("submitted", None, None, None), ("pending", "5.000", 5_000, "KWD")]


def test_the_line_of_an_event_holds_its_data_as_hashed_and_read(desk: Desk) -> None:
    names = a_record(desk)
    (row,) = [row for row in desk.store.chosen("events", Choice(transaction=names.yen)) if row["kind"] == "succeeded"]
    line = event_line(row)
    assert line["amount"] == {"decimal": "7", "minor": 7, "currency": "JPY"}
    assert line["facts"]["evidence"] == [EVIDENCE, EVIDENCE]
    event = desk.store.event(line["seq"])
    assert (line["data"], line["hash"], line["request"]) == (event.data, event.hash, names.yen)


# --- what is chosen


@pytest.fixture
def names(desk: Desk) -> Names:
    return a_record(desk)


def test_nothing_chosen_is_everything(desk: Desk, names: Names) -> None:
    assert ids(desk) == {names.dinars, names.dollars, names.yen, names.refused}
    assert beside(desk) == ["paused"]
    assert len(exported(desk, "events")) == desk.store.head()[0]


@pytest.mark.parametrize(
    ("people", "expected", "events_beside"),
    [
        ([BOB], {"yen"}, []),
        ([CEM], {"dinars", "yen"}, ["paused"]),
        ([ALICE], {"dinars", "dollars", "yen", "refused"}, []),  # of the yen she closed what Bob had asked for
        ([BOB, CEM], {"dinars", "yen"}, ["paused"]),
        (["U0NOBODY"], set(), []),
    ],
)
def test_by_person_who_asked_or_did_something(
    desk: Desk, names: Names, people: list[str], expected: set[str], events_beside: list[str]
) -> None:
    assert ids(desk, people=tuple(people)) == {getattr(names, name) for name in expected}
    assert beside(desk, people=tuple(people)) == events_beside


def test_by_transaction_under_each_of_its_names(desk: Desk, names: Names) -> None:
    session_id = desk.row(names.dollars).session_id
    for name in ("+USD55", session_id, names.dollars):
        assert ids(desk, transaction=name) == {names.dollars}
    assert ids(desk, transaction="USD55") == set()
    assert beside(desk, transaction="+USD55") == []


def test_by_state(desk: Desk, names: Names) -> None:
    assert ids(desk, states=(State.SUCCEEDED,)) == {names.dinars, names.yen}
    assert ids(desk, states=(State.PENDING, State.REFUSED)) == {names.dollars, names.refused}
    assert beside(desk, states=tuple(State)) == []


def test_by_time_at_which_something_happened_to_it(desk: Desk, names: Names) -> None:
    """From the first moment on, and before the second; the request is taken whole."""
    moment = later(desk.store.now(), hours=1)
    desk.store.move(desk.row(names.dollars), State.EXPIRED, actor="bot", at=moment)
    after = later(moment, seconds=0.001)
    assert ids(desk, since=moment, until=after) == {names.dollars}
    assert beside(desk, since=moment, until=after) == []
    assert ids(desk, since=after) == set()
    assert ids(desk, since=LONG_AGO, until=moment) == set(vars(names).values())
    assert ids(desk, since=moment, states=(State.SUCCEEDED,)) == set()
    assert beside(desk, until=moment, people=(CEM,)) == ["paused"]


# --- formulas


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("=1+1", "'=1+1"),
        ("+965", "'+965"),
        ("-5", "'-5"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t'=1"),
        ("\r=1", "'\r'=1"),
        ("＝1+1", "'＝1+1"),
        ("'=1", "''=1"),
        ("a;=1", "a;'=1"),
        ("a\n@b", "a\n'@b"),
        ("damaged = broken, 5-3", "damaged = broken, 5-3"),
        ("don't", "don't"),
        ("", ""),
    ],
)
def test_no_text_is_a_formula(text: str, expected: str) -> None:
    assert cell(text) == expected


@given(st.text(st.sampled_from("='+-@;\t\r\n\0a＝")) | st.text())
def test_what_a_cell_was_made_from_can_be_had_back(text: str) -> None:
    assert text_of(cell(text)) == text
    assert not cell(text).startswith(tuple("=+-@\t\r\n\0＝＋－＠"))
