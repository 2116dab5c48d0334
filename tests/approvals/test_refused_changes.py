"""What the database itself refuses: changes of what was asked and of what people saw.

Raw SQL stands for a mistake in Python. Each statement is right in everything but the one thing under test.
"""

from __future__ import annotations

from typing import Any

import pytest

from approvals.request import OPEN, Operation, State

from .factories import (
    ASKED,
    READ,
    Desk,
    database_refuses,
    put_in,
    terms_of,
)
from .raw import changeable, insert, new_row, update


@pytest.mark.parametrize("state", sorted(OPEN))
def test_what_was_asked_never_changes(desk: Desk, state: State) -> None:
    assert changeable(desk, put_in(desk.store, state), ASKED) == {}


@pytest.mark.parametrize("state", sorted(OPEN - {State.CHECKING}))
def test_what_was_seen_never_changes(desk: Desk, state: State) -> None:
    """Operation, transaction, amount, currency, figures, rule and digest: neither to another value nor to none."""
    assert changeable(desk, put_in(desk.store, state), READ) == {}


def test_what_was_seen_is_set_once_even_while_checking(desk: Desk) -> None:
    request = put_in(desk.store, State.CHECKING)
    update(desk, request, **terms_of(request))
    assert changeable(desk, desk.row(request), READ) == {}


def test_where_it_stands_does_change(desk: Desk) -> None:
    """Lest the tests above pass because nothing can be changed at all."""
    request = put_in(desk.store, State.UNKNOWN)
    may = {"detail", "misses", "answered_minor", "reference_number", "doubtful_attempt", "expires_at", "quorum_at"}
    assert set(changeable(desk, request, frozenset(may))) == may


@pytest.mark.parametrize("name", sorted(READ - {"digest", "approvals_needed", "session_id", "amount_minor"}))
def test_what_was_not_seen_is_not_put_in_later(desk: Desk, name: str) -> None:
    """A figure that said "not checked" when people approved it is not filled in afterwards."""
    request = put_in(desk.store, State.CHECKING)
    update(desk, request, **terms_of(request) | {name: None} | _alone(name), state="pending")
    with database_refuses("terms are set once, while checking"):
        update(desk, request, **{name: terms_of(request)[name]})


def _alone(name: str) -> dict[str, object]:
    """An amount has a currency: without the one there is none of the other. (A cancel needs neither.)"""
    return {"amount_minor": None} if name in {"currency", "decimals"} else {}


@pytest.mark.parametrize("key", [None, "another"])
def test_a_request_has_one_tracking_key_for_ever(desk: Desk, key: str | None) -> None:
    request = put_in(desk.store, State.EXECUTING)
    with database_refuses("one tracking key for ever"):
        update(desk, request, tracking_key=key)
    update(desk, request, state="approved")  # proven not sent: the next attempt has the same key
    with database_refuses("one tracking key for ever"):
        update(desk, request, state="executing", tracking_key="another", attempt=2)


def test_two_requests_never_share_a_tracking_key(desk: Desk) -> None:
    first, second = put_in(desk.store, State.EXECUTING, 1), put_in(desk.store, State.APPROVED, 2)
    with database_refuses("UNIQUE"):
        update(desk, second, state="executing", tracking_key=first.tracking_key, attempt=1)


@pytest.mark.parametrize(
    "changes",
    [
        {"destination": "wallet", "operation": Operation.CAPTURE},
        {"destination": "elsewhere"},
        {"operation": "inquiry"},
        {"operation": "transfer"},
        {"reference": ""},
        {"reference": "9" * 129},
        {"reference_kind": "card"},
        {"requester": ""},
        {"id": "7K2M"},
        {"amount_minor": 0, "currency": "KWD", "decimals": 3},
        {"amount_minor": -1, "currency": "KWD", "decimals": 3},
        {"amount_minor": 5000},
        {"amount_minor": 5000, "currency": "KWD"},
        {"currency": "KW"},
        {"decimals": 1},
        {"approvals_needed": -1},
        {"attempt": -1},
        {"misses": -1},
        {"version": 0},
    ],
    ids=str,
)
def test_nonsense_is_refused(desk: Desk, changes: dict[str, Any]) -> None:
    with database_refuses("CHECK"):
        insert(desk, "requests", new_row(1, **changes))


@pytest.mark.parametrize("value", [5.5, "five"])
def test_money_is_a_whole_number_of_minor_units(desk: Desk, value: object) -> None:
    with database_refuses("cannot store"):
        insert(desk, "requests", new_row(1, currency="KWD", decimals=3) | {"amount_minor": value})


@pytest.mark.parametrize("operation", ["refund", "capture", "void"])
def test_money_never_moves_without_an_approval(desk: Desk, operation: str) -> None:
    request = put_in(desk.store, State.CHECKING, operation=Operation(operation))
    with database_refuses("CHECK"):
        update(desk, request, **terms_of(request, approvals_needed=0))


@pytest.mark.parametrize("name", ["session_id", "amount_minor", "digest", "approvals_needed"])
def test_a_refund_has_no_card_without_what_it_is_about(desk: Desk, name: str) -> None:
    request = put_in(desk.store, State.CHECKING, operation=Operation.REFUND)
    with database_refuses("CHECK"):
        update(desk, request, **terms_of(request) | {name: None}, state="pending")
